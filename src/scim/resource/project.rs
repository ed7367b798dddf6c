//! Projection: which attributes an answer shows (RFC 7644 §3.4.2.5, §3.9; RFC 7643 §7 `returned`).

use serde_json::Value;

use crate::scim::filter::parse_attr_path;
use crate::scim::schema::{Attribute, Resolution, ResourceType, Returned};
use crate::scim::{Object, ScimError};

/// `attributes` or `excludedAttributes` of a request, resolved for one resource type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    rule: Rule,
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
        Ok(Self { rule })
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
        match (attribute.returned, &self.rule) {
            (Returned::Never, _) => None,
            (Returned::Request, Rule::Default | Rule::Without(_)) => None,
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
                    Returned::Request | Returned::Never => false,
                })
            }
        }
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
