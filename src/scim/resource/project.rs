//! Projection: which attributes an answer shows (RFC 7644 §3.4.2.5, §3.9; RFC 7643 §7 `returned`).

use serde_json::Value;

use crate::scim::filter::{parse_attr_path, parse_target_path};
use crate::scim::message::member;
use crate::scim::schema::{Attribute, Resolution, ResourceType, Returned};
use crate::scim::{Object, Schema, ScimError};

/// `attributes` or `excludedAttributes` of a request, resolved for one resource type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    rule: Rule,
    /// Values with `returned: request` that the request has just written.
    written: Vec<Selected>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Rule {
    /// Neither parameter was given.
    #[default]
    Default,
    Only(Vec<Selected>),
    Without(Vec<Selected>),
}

/// A named attribute in schema spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Selected {
    /// The extension URI, or `None` for the top of the document.
    extension: Option<String>,
    /// `None` means the whole extension.
    attribute: Option<String>,
    sub: Option<String>,
}

impl Projection {
    /// Reads the two parameters. Both at once is 400 `invalidValue`: RFC 7644 §3.9 calls them
    /// mutually exclusive. So is text that can be no name: a parameter has no path that could be
    /// invalid. Names that the type does not have select nothing.
    pub fn parse(
        attributes: Option<&str>,
        excluded: Option<&str>,
        resource_type: &ResourceType,
    ) -> Result<Self, ScimError> {
        let attributes = attributes.filter(|text| !text.trim().is_empty());
        let excluded = excluded.filter(|text| !text.trim().is_empty());
        let rule = match (attributes, excluded) {
            (None, None) => Rule::Default,
            (Some(names), None) => Rule::Only(select("attributes", names, resource_type)?),
            (None, Some(names)) => {
                Rule::Without(select("excludedAttributes", names, resource_type)?)
            }
            (Some(_), Some(_)) => {
                return Err(ScimError::invalid_value(
                    "The parameters \"attributes\" and \"excludedAttributes\" exclude each other; \
                     send one of them.",
                ));
            }
        };
        Ok(Self { rule, written: Vec::new() })
    }

    /// For the answer to a POST or PUT: what is returned on request is shown where the body set it
    /// (RFC 7643 §7, `returned`). `attributes` still decides alone.
    pub fn showing_written(mut self, body: &Object, resource_type: &ResourceType) -> Self {
        if !resource_type.hides_attributes() {
            return self;
        }
        for (name, value) in body {
            if let Some(attribute) = resource_type.attribute(name) {
                note_written(&mut self.written, None, attribute, Some(value));
            } else if let Some(extension) = resource_type.extension(name) {
                note_extension(&mut self.written, &extension.schema, Some(value));
            }
        }
        self
    }

    /// The same for a PATCH: what its operations name.
    pub fn showing_patched(mut self, body: &Object, resource_type: &ResourceType) -> Self {
        if !resource_type.hides_attributes() {
            return self;
        }
        let operations = member(body, "operations").and_then(Value::as_array);
        for op in operations.into_iter().flatten().filter_map(Value::as_object) {
            let path = member(op, "path").and_then(Value::as_str).filter(|p| !p.trim().is_empty());
            match (path, member(op, "value")) {
                (Some(path), value) => self.note_path(path, value, resource_type),
                (None, Some(Value::Object(members))) => {
                    for (path, value) in members {
                        self.note_path(path, Some(value), resource_type);
                    }
                }
                (None, _) => {}
            }
        }
        self
    }

    fn note_path(&mut self, path: &str, value: Option<&Value>, resource_type: &ResourceType) {
        let Ok(path) = parse_target_path(path) else { return };
        match resource_type.resolve(&path.attr) {
            Some(Resolution::Extension(extension)) => {
                note_extension(&mut self.written, extension.0, value);
            }
            Some(Resolution::Attribute(at)) => {
                let after_filter = path.sub.as_deref().and_then(|sub| at.attribute.sub(sub));
                let extension = at.extension.map(|schema| schema.id.as_str());
                match after_filter.or(at.sub) {
                    None => note_written(&mut self.written, extension, at.attribute, value),
                    Some(sub) => note(&mut self.written, extension, at.attribute, Some(sub)),
                }
            }
            None => {}
        }
    }

    /// True when neither parameter was given.
    pub fn is_default(&self) -> bool {
        self.rule == Rule::Default
    }

    /// True when an answer can contain the top-level attribute, so that it must be loaded.
    pub fn wants(&self, name: &str) -> bool {
        let named = |selected: &Selected| {
            selected.extension.is_none() && selected.attribute.as_deref() == Some(name)
        };
        match &self.rule {
            Rule::Default => true,
            Rule::Only(list) => list.iter().any(named),
            Rule::Without(list) => !list.iter().any(|s| named(s) && s.sub.is_none()),
        }
    }

    /// True when an answer can contain something of the extension.
    pub fn wants_extension(&self, uri: &str) -> bool {
        let of_it = |selected: &Selected| selected.extension.as_deref() == Some(uri);
        match &self.rule {
            Rule::Default => true,
            Rule::Only(list) => list.iter().any(of_it),
            Rule::Without(list) => !list.iter().any(|s| of_it(s) && s.attribute.is_none()),
        }
    }

    /// The document as the answer shows it.
    pub fn apply(&self, document: Object, resource_type: &ResourceType) -> Object {
        let mut shown = Object::new();
        for (name, value) in document {
            if let Some(attribute) = resource_type.attribute(&name) {
                if let Some(value) = self.attribute(None, attribute, value) {
                    shown.insert(name, value);
                }
            } else if let (Some(extension), Value::Object(inner)) =
                (resource_type.extension(&name), value)
            {
                let uri = extension.schema.id.as_str();
                let kept: Object = inner
                    .into_iter()
                    .filter_map(|(inner_name, value)| {
                        let attribute = extension.schema.attribute(&inner_name)?;
                        Some((inner_name, self.attribute(Some(uri), attribute, value)?))
                    })
                    .collect();
                if !kept.is_empty() {
                    shown.insert(name, kept.into());
                }
            }
        }
        shown
    }

    fn attribute(
        &self,
        extension: Option<&str>,
        attribute: &Attribute,
        value: Value,
    ) -> Option<Value> {
        let list = match &self.rule {
            Rule::Default => &[][..],
            Rule::Only(list) | Rule::Without(list) => list,
        };
        let named = matching(list, extension, attribute);
        let whole = named.iter().any(|selected| selected.sub.is_none());
        let names = |sub: &Attribute| named.iter().any(|s| s.sub.as_ref() == Some(&sub.name));
        let written = matching(&self.written, extension, attribute);
        let wrote = |sub: &Attribute| written.iter().any(|s| s.sub.as_ref() == Some(&sub.name));
        match (attribute.returned, &self.rule) {
            (Returned::Never, _) => None,
            (Returned::Request, Rule::Default | Rule::Without(_)) if written.is_empty() => None,
            (Returned::Request, Rule::Without(_)) if whole => None,
            (Returned::Default | Returned::Request, Rule::Only(_)) if named.is_empty() => None,
            (Returned::Default, Rule::Without(_)) if whole => None,
            (returned, Rule::Only(_)) => keep_subs(value, attribute, |sub| match sub.returned {
                Returned::Always => true,
                Returned::Default => whole || returned == Returned::Always || names(sub),
                Returned::Request => names(sub),
                Returned::Never => false,
            }),
            (_, Rule::Default | Rule::Without(_)) => {
                keep_subs(value, attribute, |sub| match sub.returned {
                    Returned::Always => true,
                    Returned::Default => !names(sub),
                    Returned::Request => wrote(sub) && !names(sub),
                    Returned::Never => false,
                })
            }
        }
    }
}

/// Takes out what is never returned, of a document or of what is kept beside one, for whoever is told
/// of the whole.
pub fn strip_hidden(document: &mut Object, resource_type: &ResourceType) {
    strip(document, &resource_type.schema.attributes);
    for extension in &resource_type.extensions {
        let hidden = extension.schema.attributes.iter().filter(|a| a.returned == Returned::Never);
        for attribute in hidden {
            document.shift_remove(&format!("{}:{}", extension.schema.id, attribute.name));
        }
        if let Some(Value::Object(inner)) = document.get_mut(&extension.schema.id) {
            strip(inner, &extension.schema.attributes);
        }
    }
}

fn strip(holder: &mut Object, attributes: &[Attribute]) {
    for attribute in attributes {
        if attribute.returned == Returned::Never {
            holder.shift_remove(&attribute.name);
        }
        let elements = match holder.get_mut(&attribute.name) {
            Some(Value::Array(elements)) => elements.as_mut_slice(),
            Some(single) => std::slice::from_mut(single),
            None => &mut [],
        };
        for element in elements.iter_mut().filter_map(Value::as_object_mut) {
            strip(element, &attribute.sub_attributes);
        }
    }
}

fn note_extension(list: &mut Vec<Selected>, schema: &Schema, value: Option<&Value>) {
    for (name, value) in value.and_then(Value::as_object).into_iter().flatten() {
        if let Some(attribute) = schema.attribute(name) {
            note_written(list, Some(&schema.id), attribute, Some(value));
        }
    }
}

/// Notes the attribute and the sub-attributes in its value.
fn note_written(
    list: &mut Vec<Selected>,
    extension: Option<&str>,
    attribute: &Attribute,
    value: Option<&Value>,
) {
    note(list, extension, attribute, None);
    let elements = match value {
        Some(Value::Array(elements)) => elements.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    };
    for name in elements.iter().filter_map(Value::as_object).flat_map(Object::keys) {
        if let Some(sub) = attribute.sub(name) {
            note(list, extension, attribute, Some(sub));
        }
    }
}

/// Notes a name that nothing but the writing shows, once.
fn note(
    list: &mut Vec<Selected>,
    extension: Option<&str>,
    attribute: &Attribute,
    sub: Option<&Attribute>,
) {
    let on_request = |attribute: &Attribute| attribute.returned == Returned::Request;
    if !on_request(attribute) && !sub.is_some_and(on_request) {
        return;
    }
    let selected = Selected {
        extension: extension.map(str::to_owned),
        attribute: Some(attribute.name.clone()),
        sub: sub.map(|sub| sub.name.clone()),
    };
    if !list.contains(&selected) {
        list.push(selected);
    }
}

fn select(
    parameter: &str,
    names: &str,
    resource_type: &ResourceType,
) -> Result<Vec<Selected>, ScimError> {
    let mut list = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let path = parse_attr_path(name).map_err(|_| {
            ScimError::invalid_value(format!(
                "The parameter \"{parameter}\" holds \"{}\", which can be no attribute name; \
                 expected are names such as userName or name.familyName, separated by commas.",
                name.chars().take(80).filter(|c| !c.is_control()).collect::<String>()
            ))
        })?;
        match resource_type.resolve(&path) {
            Some(Resolution::Attribute(found)) => list.push(Selected {
                extension: found.extension.map(|schema| schema.id.clone()),
                attribute: Some(found.attribute.name.clone()),
                sub: found.sub.map(|sub| sub.name.clone()),
            }),
            Some(Resolution::Extension(extension)) => list.push(Selected {
                extension: Some(extension.0.id.clone()),
                attribute: None,
                sub: None,
            }),
            // An attribute that does not exist has no value to show or to hide.
            None => {}
        }
    }
    Ok(list)
}

fn matching<'l>(
    list: &'l [Selected],
    extension: Option<&str>,
    attribute: &Attribute,
) -> Vec<&'l Selected> {
    list.iter()
        .filter(|selected| {
            selected.extension.as_deref() == extension
                && selected.attribute.as_ref().is_none_or(|name| *name == attribute.name)
        })
        .collect()
}

fn keep_subs(
    value: Value,
    attribute: &Attribute,
    keep: impl Fn(&Attribute) -> bool + Copy,
) -> Option<Value> {
    match value {
        Value::Array(elements) => {
            let kept: Vec<Value> =
                elements.into_iter().filter_map(|e| keep_subs(e, attribute, keep)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::Object(members) => {
            let kept: Object = members
                .into_iter()
                .filter(|(name, _)| attribute.sub(name).is_some_and(keep))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        simple => Some(simple),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::Registry;
    use crate::scim::resource::fixture::object;
    use crate::scim::schema::OwnSchemas;

    const DEVICE: &str = "urn:example:params:scim:schemas:Device";
    const RACK: &str = "urn:example:params:scim:schemas:extension:Rack";

    fn device() -> Registry {
        let hidden = |name: &str| json!({"name": name, "returned": "request"});
        let own = json!({
            "schemas": [
                {"id": DEVICE, "attributes": [
                    {"name": "name"}, hidden("note"), {"name": "pin", "returned": "never"},
                    {"name": "ports", "type": "complex", "multiValued": true, "subAttributes": [
                        {"name": "value"}, hidden("speed"), {"name": "code", "returned": "never"},
                    ]},
                    {"name": "vault", "type": "complex", "returned": "request", "subAttributes": [
                        {"name": "door"}, hidden("lock"),
                    ]},
                ]},
                {"id": RACK, "attributes": [{"name": "unit"}, hidden("owner")]},
            ],
            "resource_types": [{
                "name": "Device", "endpoint": "/Devices", "schema": DEVICE,
                "schemaExtensions": [{"schema": RACK}],
            }],
        });
        let builtin = Registry::builtin();
        OwnSchemas::parse(&object(own), &builtin).unwrap().added_to(&builtin)
    }

    fn stored() -> Object {
        object(json!({
            "name": "d", "note": "n", "pin": "1",
            "ports": [{"value": "p", "speed": 9, "code": "c"}],
            "vault": {"door": "x", "lock": "y"},
            RACK: {"unit": "u", "owner": "o"},
        }))
    }

    /// What is shown besides what every answer shows.
    fn shown(projection: &Projection, resource_type: &ResourceType) -> Value {
        Value::Object(projection.apply(stored(), resource_type))
    }

    fn usual(more: Value) -> Value {
        let mut expected = object(json!({
            "name": "d", "ports": [{"value": "p"}], RACK: {"unit": "u"},
        }));
        expected.extend(object(more));
        expected.into()
    }

    #[test]
    fn written_values_are_shown_though_they_are_returned_on_request() {
        let registry = device();
        let device = registry.by_name("Device").unwrap();
        let ports = json!({"ports": [{"value": "p", "speed": 9}]});
        let owner = json!({RACK: {"unit": "u", "owner": "o"}});
        let table = [
            (json!({"name": "d"}), json!({})),
            (json!({"NOTE": "n", "pin": "1"}), json!({"note": "n"})),
            (json!({"ports": [{"value": "p"}]}), json!({})),
            (json!({"ports": [{"value": "p"}, {"Speed": 9}]}), ports.clone()),
            (json!({"vault": {"door": "x"}}), json!({"vault": {"door": "x"}})),
            (json!({"vault": {"lock": "y"}}), json!({"vault": {"door": "x", "lock": "y"}})),
            (json!({RACK.to_uppercase(): {"OWNER": "o"}}), owner.clone()),
            (json!({"owner": "o", "x y": 1}), json!({})),
        ];
        for (body, more) in table {
            let projection = Projection::default().showing_written(&object(body.clone()), device);
            assert_eq!(shown(&projection, device), usual(more), "{body}");
        }
        let one = |op: Value| json!({"operations": [op]});
        let table = [
            (one(json!({"op": "add", "path": "note", "value": "n"})), json!({"note": "n"})),
            (one(json!({"op": "add", "value": {"note": "n"}})), json!({"note": "n"})),
            (one(json!({"op": "replace", "path": "pin", "value": "1"})), json!({})),
            (one(json!({"op": "add", "path": "ports", "value": [{"speed": 9}]})), ports.clone()),
            (
                one(json!({"op": "add", "path": "ports[value eq \"p\"].speed", "value": 9})),
                ports.clone(),
            ),
            (one(json!({"op": "add", "path": "ports.speed", "value": 9})), ports),
            (
                one(json!({"op": "add", "path": format!("{RACK}:owner"), "value": "o"})),
                owner.clone(),
            ),
            (one(json!({"op": "add", "path": RACK, "value": {"owner": "o"}})), owner.clone()),
            (one(json!({"op": "add", "value": {RACK: {"owner": "o"}}})), owner),
            (one(json!({"op": "add", "path": "name", "value": "d"})), json!({})),
            (one(json!({"op": "add", "path": "x[", "value": "d"})), json!({})),
            (json!({"Operations": 7}), json!({})),
        ];
        for (body, more) in table {
            let projection = Projection::default().showing_patched(&object(body.clone()), device);
            assert_eq!(shown(&projection, device), usual(more), "{body}");
        }
    }

    #[test]
    fn parameters_decide_before_what_was_written() {
        let registry = device();
        let device = registry.by_name("Device").unwrap();
        let body = object(json!({"note": "n", "ports": [{"speed": 9}]}));
        let projected = |attributes, excluded| {
            let projection = Projection::parse(attributes, excluded, device).unwrap();
            shown(&projection.showing_written(&body, device), device)
        };
        assert_eq!(projected(Some("name"), None), json!({"name": "d"}));
        assert_eq!(projected(None, Some("note,ports.speed")), usual(json!({})));
        assert_eq!(
            projected(None, Some("name")),
            json!({
                "note": "n", "ports": [{"value": "p", "speed": 9}], RACK: {"unit": "u"},
            })
        );
    }
}
