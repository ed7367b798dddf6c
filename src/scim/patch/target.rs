//! What the path of an operation means for a resource type.

use serde_json::Value;

use crate::scim::filter::TargetPath;
use crate::scim::schema::Resolution;
use crate::scim::{AttrRef, Object, ResourceType, Schema};

/// A resolved path.
pub(super) enum Target<'t> {
    /// An extension as a whole.
    Extension(&'t Schema),
    /// An attribute or sub-attribute; the path's filter, if it has one, selects elements of it.
    Attribute(AttrRef<'t>),
    /// Well formed, but no such attribute.
    Unknown(String),
}

/// Finds the attribute that `path` names; its sub-attribute may stand before or after the filter.
pub(super) fn resolve<'t>(path: &TargetPath, resource_type: &'t ResourceType) -> Target<'t> {
    let at = match resource_type.resolve(&path.attr) {
        Some(Resolution::Extension(extension)) if path.filter.is_none() => {
            return Target::Extension(extension.0);
        }
        Some(Resolution::Attribute(at)) => at,
        _ => return Target::Unknown(path.to_string()),
    };
    match path.sub.as_deref().map(|sub| at.attribute.sub(sub)) {
        None => Target::Attribute(at),
        Some(Some(sub)) => Target::Attribute(AttrRef { sub: Some(sub), ..at }),
        Some(None) => Target::Unknown(path.to_string()),
    }
}

/// The object that holds the attribute, if there is one.
pub(super) fn container<'d>(document: &'d mut Object, at: &AttrRef<'_>) -> Option<&'d mut Object> {
    match at.extension {
        None => Some(document),
        Some(schema) => document.get_mut(&schema.id)?.as_object_mut(),
    }
}

/// The object that holds the attribute, made if it is missing.
pub(super) fn container_or_new<'d>(document: &'d mut Object, at: &AttrRef<'_>) -> &'d mut Object {
    let Some(schema) = at.extension else { return document };
    object_or_new(document.entry(schema.id.clone()).or_insert(Value::Null))
}

/// The value as an object; anything else is replaced by an empty one.
#[expect(clippy::expect_used, reason = "the line before makes it an object")]
pub(super) fn object_or_new(value: &mut Value) -> &mut Object {
    if !value.is_object() {
        *value = Value::Object(Object::new());
    }
    value.as_object_mut().expect("made an object above")
}
