//! The rewrites that a profile may switch on: pure functions from what a client sent to what the
//! strict core reads. Each has a name, which the request record shows with the path it touched.

use serde_json::Value;

use super::Profile;
use crate::scim::filter::{TargetPath, parse_target_path};
use crate::scim::message::member;
use crate::scim::patch::PatchOp;
use crate::scim::schema::{Attribute, DataType, Resolution, Schema};
use crate::scim::{AttrPath, Object, ResourceType, ScimError, certificate, urn};

/// One rewrite that fired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired {
    pub rule: &'static str,
    pub path: String,
}

/// Rewrites a POST or PUT body.
pub fn representation(
    body: &mut Object,
    resource_type: &ResourceType,
    profile: &Profile,
) -> Vec<Fired> {
    let mut rewriter = Rewriter { profile, fired: Vec::new() };
    if profile.legacy_urns {
        rewriter.legacy_urns(body, resource_type);
    }
    for (name, value) in body.iter_mut() {
        rewriter.member(name, value, resource_type);
    }
    if profile.display_name_from_name && resource_type.is_user() {
        rewriter.display_name_from_name(body);
    }
    rewriter.fired
}

/// Rewrites the paths and values of PATCH operations.
pub fn patch(ops: &mut [PatchOp], resource_type: &ResourceType, profile: &Profile) -> Vec<Fired> {
    let mut rewriter = Rewriter { profile, fired: Vec::new() };
    for op in ops {
        if profile.legacy_urns {
            rewriter.legacy_paths(op, resource_type);
        }
        let Some(value) = &mut op.value else { continue };
        match (&op.path, value) {
            (None, Value::Object(members)) => {
                for (name, value) in members.iter_mut() {
                    rewriter.member(name, value, resource_type);
                }
            }
            (None, _) => {}
            (Some(path), value) => {
                rewriter.target(path, value, resource_type, &path.to_string());
            }
        }
    }
    rewriter.fired
}

/// Early names of the schemas of users and groups, before and after the URN was registered.
const LEGACY_CORE: [&str; 2] =
    ["urn:scim:schemas:core:2.0", "urn:ietf:params:scim:schemas:core:2.0"];

/// The same for the Enterprise extension.
const LEGACY_ENTERPRISE: [&str; 2] = [
    "urn:scim:schemas:extension:enterprise:2.0",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0",
];

/// The registered name of a schema that is called by an early name.
fn registered<'t>(uri: &str, resource_type: &'t ResourceType) -> Option<&'t str> {
    if LEGACY_CORE.iter().any(|early| uri.eq_ignore_ascii_case(early)) {
        return Some(&resource_type.schema.id);
    }
    is_legacy_enterprise(uri).then_some(urn::ENTERPRISE_USER)
}

fn is_legacy_enterprise(uri: &str) -> bool {
    LEGACY_ENTERPRISE.iter().any(|early| uri.eq_ignore_ascii_case(early))
}

/// The path with the registered name of its schema, if it means nothing as it is and something then:
/// `…:core:2.0:User.title` begins like an early name.
fn registered_path(path: &TargetPath, resource_type: &ResourceType) -> Option<TargetPath> {
    let mut known = path.clone();
    match &path.attr.schema {
        Some(schema) => known.attr.schema = Some(registered(schema, resource_type)?.to_owned()),
        None => known.attr.name = registered(&path.attr.name, resource_type)?.to_owned(),
    }
    // What a path that names a schema means is decided when it is read.
    let known = parse_target_path(&known.to_string()).ok()?;
    let means_nothing = resource_type.resolve(&path.attr).is_none();
    (means_nothing && resource_type.resolve(&known.attr).is_some()).then_some(known)
}

/// Whether clients write its values in other forms, too: lists, complex values and truth values.
fn has_forms(attribute: &Attribute) -> bool {
    attribute.multi_valued || attribute.is_complex() || attribute.data_type == DataType::Boolean
}

struct Rewriter<'p> {
    profile: &'p Profile,
    fired: Vec<Fired>,
}

impl Rewriter<'_> {
    fn fire(&mut self, rule: &'static str, path: &str) {
        self.fired.push(Fired { rule, path: path.to_owned() });
    }

    /// A top-level member: an attribute, an extension object, or a path as a name.
    fn member(&mut self, name: &str, value: &mut Value, resource_type: &ResourceType) {
        // Most names are no paths.
        if let Some(attribute) = resource_type.attribute(name) {
            self.value(attribute, value, name);
        } else if let (Some(extension), Value::Object(members)) =
            (resource_type.extension(name), &mut *value)
        {
            self.extension(&extension.schema, members, name);
        } else if let Ok(path) = parse_target_path(name) {
            self.target(&path, value, resource_type, name);
        }
    }

    /// The value of what `path` names; `shown` is how the client wrote it.
    fn target(
        &mut self,
        path: &TargetPath,
        value: &mut Value,
        resource_type: &ResourceType,
        shown: &str,
    ) {
        match (resource_type.resolve(&path.attr), value) {
            (Some(Resolution::Extension(extension)), Value::Object(members)) => {
                self.extension(extension.0, members, shown);
            }
            (Some(Resolution::Attribute(at)), value) => {
                let sub = path.sub.as_deref().and_then(|sub| at.attribute.sub(sub)).or(at.sub);
                let attribute = sub.unwrap_or(at.attribute);
                let filtered = path.filter.is_some();
                match value {
                    // An array of one stands for its element.
                    Value::Array(elements) if filtered && sub.is_none_or(|s| !s.multi_valued) => {
                        for element in elements {
                            self.element(attribute, element, shown);
                        }
                    }
                    value if filtered && sub.is_none() => self.element(attribute, value, shown),
                    value => self.value(attribute, value, shown),
                }
            }
            _ => {}
        }
    }

    fn extension(&mut self, extension: &Schema, members: &mut Object, shown: &str) {
        for (inner, value) in members.iter_mut() {
            let attribute = extension.attribute(inner);
            if let Some(attribute) = attribute.filter(|attribute| has_forms(attribute)) {
                self.value(attribute, value, &format!("{shown}:{inner}"));
            }
        }
    }

    fn value(&mut self, attribute: &Attribute, value: &mut Value, path: &str) {
        if !attribute.multi_valued {
            return self.element(attribute, value, path);
        }
        if self.profile.array_from_object && value.is_object() {
            *value = Value::Array(vec![value.take()]);
            self.fire("array_from_object", path);
        }
        if let Value::Array(elements) = value {
            for element in elements.iter_mut() {
                self.element(attribute, element, path);
            }
            self.single_primary(elements, path);
        }
    }

    fn element(&mut self, attribute: &Attribute, value: &mut Value, path: &str) {
        if attribute.is_complex() {
            self.complex_from_scalar(attribute, value, path);
            self.json_in_roles(attribute, value, path);
            if let Value::Object(members) = value {
                for (name, member) in members.iter_mut() {
                    if let Some(sub) = attribute.sub(name).filter(|sub| has_forms(sub)) {
                        self.value(sub, member, &format!("{path}.{name}"));
                    }
                }
            }
        } else if attribute.data_type == DataType::Boolean {
            self.boolean_text(value, path);
        }
    }

    fn boolean_text(&mut self, value: &mut Value, path: &str) {
        let boolean = match value {
            Value::String(text) if text.eq_ignore_ascii_case("true") => true,
            Value::String(text) if text.eq_ignore_ascii_case("false") => false,
            _ => return,
        };
        if self.profile.boolean_text {
            *value = boolean.into();
            self.fire("boolean_text", path);
        }
    }

    fn complex_from_scalar(&mut self, attribute: &Attribute, value: &mut Value, path: &str) {
        if !self.profile.complex_from_scalar || attribute.value_sub().is_none() {
            return;
        }
        let mut changed = false;
        if let (false, Value::Array(elements)) = (attribute.multi_valued, &mut *value)
            && elements.len() <= 1
        {
            *value = elements.pop().unwrap_or(Value::Null);
            changed = true;
        }
        match value {
            Value::String(text) if text.is_empty() => *value = Value::Null,
            Value::String(_) | Value::Number(_) | Value::Bool(_) => {
                *value = serde_json::json!({"value": value.take()});
            }
            _ if !changed => return,
            _ => {}
        }
        self.fire("complex_from_scalar", path);
    }

    fn json_in_roles(&mut self, attribute: &Attribute, value: &mut Value, path: &str) {
        if !self.profile.json_in_roles || attribute.name != "roles" {
            return;
        }
        let text = value.get("value").and_then(Value::as_str).unwrap_or_default();
        let Ok(Value::Object(mut role)) = serde_json::from_str(text) else { return };
        if let (Some(display), None) = (role.shift_remove("displayName"), role.get("display")) {
            role.insert("display".into(), display);
        }
        if let Some(primary) = value.get("primary") {
            role.entry("primary").or_insert_with(|| primary.clone());
        }
        *value = Value::Object(role);
        self.fire("json_in_roles", path);
    }

    fn single_primary(&mut self, elements: &mut [Value], path: &str) {
        if !self.profile.single_primary {
            return;
        }
        let primaries = elements
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .flat_map(Object::iter_mut)
            .filter(|(name, value)| name.eq_ignore_ascii_case("primary") && **value == true)
            .map(|(_, primary)| primary);
        let mut cleared = false;
        for primary in primaries.skip(1) {
            *primary = false.into();
            cleared = true;
        }
        if cleared {
            self.fire("single_primary", path);
        }
    }

    fn legacy_urns(&mut self, body: &mut Object, resource_type: &ResourceType) {
        if let Some(Value::Array(uris)) = body.get_mut("schemas") {
            self.legacy_uris(uris, resource_type);
        }
        let early = body.keys().find(|name| is_legacy_enterprise(name)).cloned();
        if let Some(early) = early.filter(|_| member(body, urn::ENTERPRISE_USER).is_none())
            && let Some(value) = body.shift_remove(&early)
        {
            body.insert(urn::ENTERPRISE_USER.into(), value);
            self.fire("legacy_urns", &early);
        }
    }

    fn legacy_uris(&mut self, uris: &mut [Value], resource_type: &ResourceType) {
        for uri in uris {
            if let Some(registered) = uri.as_str().and_then(|uri| registered(uri, resource_type)) {
                *uri = registered.into();
                self.fire("legacy_urns", "schemas");
            }
        }
    }

    /// The path of an operation, or the names in the value of one that has none.
    fn legacy_paths(&mut self, op: &mut PatchOp, resource_type: &ResourceType) {
        if let Some(path) = &mut op.path {
            if let Some(known) = registered_path(path, resource_type) {
                self.fire("legacy_urns", &path.to_string());
                *path = known;
            }
            let is_schemas = path.attr == AttrPath::name("schemas");
            if let (true, Some(Value::Array(uris))) = (is_schemas, &mut op.value) {
                self.legacy_uris(uris, resource_type);
            }
        } else if let Some(Value::Object(members)) = &mut op.value {
            if let Some(Value::Array(uris)) = members.get_mut("schemas") {
                self.legacy_uris(uris, resource_type);
            }
            let sent = std::mem::take(members);
            for (name, value) in &sent {
                let known = parse_target_path(name).ok();
                let known = known.and_then(|path| registered_path(&path, resource_type));
                let known = known.map(|path| path.to_string());
                match known.filter(|known| !sent.contains_key(known)) {
                    Some(known) => {
                        self.fire("legacy_urns", name);
                        members.insert(known, value.clone());
                    }
                    None => {
                        members.insert(name.clone(), value.clone());
                    }
                }
            }
        }
    }

    fn display_name_from_name(&mut self, body: &mut Object) {
        let missing = member(body, "displayName").and_then(Value::as_str).is_none_or(str::is_empty);
        let name = member(body, "name").and_then(Value::as_object);
        let part = |part: &str| member(name?, part)?.as_str().filter(|text| !text.is_empty());
        let composed = part("formatted").map(str::to_owned).or_else(|| {
            let parts: Vec<&str> =
                [part("givenName"), part("familyName")].into_iter().flatten().collect();
            (!parts.is_empty()).then(|| parts.join(" "))
        });
        if let (true, Some(composed)) = (missing, composed) {
            body.retain(|name, _| !name.eq_ignore_ascii_case("displayName"));
            body.insert("displayName".into(), composed.into());
            self.fire("display_name_from_name", "displayName");
        }
    }
}

/// What a profile makes of a document before it is stored, whatever request it came from.
pub fn stored(
    document: &mut Object,
    resource_type: &ResourceType,
    profile: &Profile,
) -> Result<(), ScimError> {
    if !resource_type.is_user() {
        return Ok(());
    }
    if profile.email_domain_case {
        email_domain_case(document);
    }
    match profile.any_certificate {
        true => Ok(()),
        false => certificate::check(document),
    }
}

/// The domain of every e-mail address in lower case; the part before the `@` is the owner's.
fn email_domain_case(document: &mut Object) {
    let emails = document.get_mut("emails").and_then(Value::as_array_mut);
    for email in emails.into_iter().flatten() {
        let Some(Value::String(address)) = email.get_mut("value") else { continue };
        if let Some((local, domain)) = address.rsplit_once('@') {
            *address = format!("{local}@{}", domain.to_lowercase());
        }
    }
}
