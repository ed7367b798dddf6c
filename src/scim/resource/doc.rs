//! The canonical document of a resource: the form in which it is stored and served.
//!
//! Names are in schema spelling and schema order, `schemas` lists exactly the schemas in use, there
//! is no null, no empty array and no empty object, no pair of `value` and `type` twice and at most
//! one `primary` per attribute, and no value that the server computes (`id` is there, `meta`, `groups` and `members` are not).

use serde_json::Value;

use super::elements::{distinct, is_primary};
use crate::scim::schema::{Attribute, Mutability, ResourceType, Returned};
use crate::scim::{Object, ScimError};

/// A document that has passed validation. Only [`super::validate`] and [`crate::scim::patch`] make
/// one; the store reads back what they made.
#[derive(Clone, Debug, PartialEq)]
pub struct Document(Object);

impl Document {
    /// A document as the store kept it.
    pub fn stored(object: Object) -> Self {
        Self(object)
    }

    pub fn as_object(&self) -> &Object {
        &self.0
    }

    pub fn into_object(self) -> Object {
        self.0
    }

    /// The id that the server assigned (RFC 7643 §3.1).
    pub fn id(&self) -> Option<&str> {
        self.0.get("id")?.as_str()
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// `active`, which counts as true while nobody has set it (RFC 7643 §4.1.1 leaves the meaning
    /// to the provider).
    pub fn is_active(&self) -> bool {
        self.0.get("active").and_then(Value::as_bool).unwrap_or(true)
    }

    /// The stored text.
    pub fn to_json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// Brings an edited object into canonical form and checks what only the whole document shows:
    /// required attributes and sub-attributes, required extensions and `primary` (RFC 7643 §2.4, §7).
    ///
    /// `id` is written into the document; the values in `object` are already checked one by one.
    pub fn canonical(
        mut object: Object,
        id: &str,
        resource_type: &ResourceType,
    ) -> Result<Self, ScimError> {
        let mut schemas = vec![Value::from(resource_type.schema.id.clone())];
        let mut body = Object::new();
        take_in_order(&mut object, &resource_type.schema.attributes, "", &mut body)?;
        for extension in &resource_type.extensions {
            let uri = &extension.schema.id;
            let mut ordered = Object::new();
            if let Some(Value::Object(mut inner)) = object.shift_remove(uri) {
                let prefix = format!("{uri}:");
                take_in_order(&mut inner, &extension.schema.attributes, &prefix, &mut ordered)?;
            }
            if !ordered.is_empty() {
                schemas.push(uri.clone().into());
                body.insert(uri.clone(), ordered.into());
            } else if extension.required {
                return Err(required(uri));
            }
        }
        let mut document = Object::new();
        document.insert("schemas".into(), schemas.into());
        document.insert("id".into(), id.into());
        if let Some(external_id) = object.shift_remove("externalId").filter(|v| !v.is_null()) {
            document.insert("externalId".into(), external_id);
        }
        document.append(&mut body);
        Ok(Self(document))
    }
}

/// Moves the values of `attributes` from `from` to `to` in schema order and checks each.
fn take_in_order(
    from: &mut Object,
    attributes: &[Attribute],
    prefix: &str,
    to: &mut Object,
) -> Result<(), ScimError> {
    for attribute in attributes {
        let path = format!("{prefix}{}", attribute.name);
        let value = match from.shift_remove(&attribute.name) {
            Some(value) => canonical_value(attribute, value, &path)?,
            None => None,
        };
        match value {
            Some(value) => {
                refuse_two_primaries(&value, &path)?;
                to.insert(attribute.name.clone(), value);
            }
            None if attribute.required && attribute.mutability != Mutability::ReadOnly => {
                return Err(required(&path));
            }
            None => {}
        }
    }
    Ok(())
}

/// Null, `[]` and `{}` mean unassigned (RFC 7643 §2.5); the same element twice is stored once.
fn canonical_value(
    attribute: &Attribute,
    value: Value,
    path: &str,
) -> Result<Option<Value>, ScimError> {
    Ok(match value {
        Value::Null => None,
        Value::Array(elements) => {
            let mut kept = Vec::with_capacity(elements.len());
            for element in elements {
                kept.extend(canonical_value(attribute, element, path)?);
            }
            (!kept.is_empty()).then(|| Value::Array(distinct(attribute, kept)))
        }
        Value::Object(members) if members.values().all(Value::is_null) => None,
        Value::Object(mut members) => {
            let mut ordered = Object::new();
            let prefix = format!("{path}.");
            take_in_order(&mut members, &attribute.sub_attributes, &prefix, &mut ordered)?;
            (!ordered.is_empty()).then_some(Value::Object(ordered))
        }
        other => Some(other),
    })
}

fn required(path: &str) -> ScimError {
    ScimError::invalid_value(format!(
        "The attribute \"{path}\" is required, but the resource has no value for it."
    ))
}

fn refuse_two_primaries(value: &Value, path: &str) -> Result<(), ScimError> {
    let Value::Array(elements) = value else { return Ok(()) };
    let primaries = elements.iter().filter(|element| is_primary(element)).count();
    if primaries > 1 {
        return Err(ScimError::invalid_value(format!(
            "The attribute \"{path}\" has {primaries} values with \"primary\": true; at most one is \
             allowed."
        )));
    }
    Ok(())
}

/// Copies values that a client cannot have seen (`returned` never or request) from the old document
/// into the new one where the client left them out of a PUT.
pub fn keep_unseen(new: &mut Object, old: &Object, resource_type: &ResourceType) {
    copy_unseen(new, old, &resource_type.schema.attributes);
    for extension in &resource_type.extensions {
        let schema = &extension.schema;
        if let Some(Value::Object(old_inner)) = old.get(&schema.id) {
            let mut inner = match new.shift_remove(&schema.id) {
                Some(Value::Object(inner)) => inner,
                _ => Object::new(),
            };
            copy_unseen(&mut inner, old_inner, &schema.attributes);
            if !inner.is_empty() {
                new.insert(schema.id.clone(), inner.into());
            }
        }
    }
}

fn copy_unseen(new: &mut Object, old: &Object, attributes: &[Attribute]) {
    for attribute in attributes {
        let unseen = matches!(attribute.returned, Returned::Never | Returned::Request);
        if let (true, false, Some(value)) =
            (unseen, new.contains_key(&attribute.name), old.get(&attribute.name))
        {
            new.insert(attribute.name.clone(), value.clone());
        }
    }
}
