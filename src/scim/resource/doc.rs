//! The canonical document of a resource: the form in which it is stored and served.
//!
//! Names are in schema spelling and schema order, `schemas` lists exactly the schemas in use, there
//! is no null, no empty array and no empty object, no pair of `value` and `type` twice and at most
//! one `primary` per attribute, and no value that the server computes (`id` is there, `meta`, `groups` and `members` are not).

use std::collections::HashMap;
use std::fmt::Display;

use serde_json::Value;

use super::PathTo;
use super::elements::{are_in_order, distinct, is_primary};
use crate::scim::key::text_key;
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
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// Brings an edited object into canonical form and checks what only the whole document shows:
    /// required attributes and sub-attributes, required extensions and `primary` (RFC 7643 §2.4, §7).
    ///
    /// `id` is written into the document; the values in `object` are already checked one by one.
    pub fn canonical(
        object: Object,
        id: &str,
        resource_type: &ResourceType,
    ) -> Result<Self, ScimError> {
        let document = Self::arranged(object, id, resource_type);
        check_attributes(&document.0, &resource_type.schema.attributes, None)?;
        document.check_display_name(resource_type)?;
        for extension in &resource_type.extensions {
            let uri = &extension.schema.id;
            match document.0.get(uri).and_then(Value::as_object) {
                Some(inner) => {
                    let extends = PathTo::extension(uri);
                    check_attributes(inner, &extension.schema.attributes, Some(&extends))?;
                }
                None if extension.required => return Err(required(uri)),
                None => {}
            }
        }
        Ok(document)
    }

    /// A `displayName` that must be there is a key, and an empty key is none.
    fn check_display_name(&self, resource_type: &ResourceType) -> Result<(), ScimError> {
        match (resource_type.attribute("displayName"), self.text("displayName")) {
            (Some(attribute), Some(text))
                if attribute.required && text_key(text, attribute.case_exact).is_empty() =>
            {
                Err(empty(&attribute.name))
            }
            _ => Ok(()),
        }
    }

    /// Canonical form without the checks, for what is stored already.
    pub(super) fn arranged(mut object: Object, id: &str, resource_type: &ResourceType) -> Self {
        let mut schemas = vec![Value::from(resource_type.schema.id.clone())];
        let mut extensions = Vec::new();
        for extension in &resource_type.extensions {
            let uri = &extension.schema.id;
            if let Some(Value::Object(inner)) = object.swap_remove(uri) {
                let ordered = in_order(inner, &extension.schema.attributes, Object::new());
                if !ordered.is_empty() {
                    schemas.push(uri.clone().into());
                    extensions.push((uri.clone(), ordered.into()));
                }
            }
        }
        let mut document = Object::with_capacity(object.len() + extensions.len() + 2);
        document.insert("schemas".into(), schemas.into());
        document.insert("id".into(), id.into());
        if let Some(external_id) = object.swap_remove("externalId").filter(|v| !v.is_null()) {
            document.insert("externalId".into(), external_id);
        }
        let mut document = in_order(object, &resource_type.schema.attributes, document);
        document.extend(extensions);
        Self(document)
    }
}

/// Puts the values of `attributes` behind what is in `ordered`, in schema order; what else is in `from` goes.
fn in_order(from: Object, attributes: &[Attribute], mut ordered: Object) -> Object {
    // Few of the attributes have values: to look for theirs by name would take a look for each of them.
    let mut placed: Vec<_> = from
        .into_iter()
        .filter_map(|(name, value)| {
            let place = attributes.iter().position(|attribute| attribute.name == name)?;
            Some((place, name, canonical_value(attributes.get(place)?, value)?))
        })
        .collect();
    placed.sort_unstable_by_key(|(place, ..)| *place);
    ordered.extend(placed.into_iter().map(|(_, name, value)| (name, value)));
    ordered
}

/// Whether a complex value is canonical as it is.
fn is_arranged(members: &Object, attributes: &[Attribute]) -> bool {
    let is_simple =
        |value: &Value| !matches!(value, Value::Null | Value::Array(_) | Value::Object(_));
    members.values().all(is_simple) && are_in_order(members, attributes)
}

/// Null, `[]` and `{}` mean unassigned (RFC 7643 §2.5); the same element twice is stored once.
fn canonical_value(attribute: &Attribute, value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(elements) => {
            let kept: Vec<Value> =
                elements.into_iter().filter_map(|e| canonical_value(attribute, e)).collect();
            (!kept.is_empty()).then(|| Value::Array(distinct(attribute, kept)))
        }
        Value::Object(members) if is_arranged(&members, &attribute.sub_attributes) => {
            (!members.is_empty()).then_some(Value::Object(members))
        }
        Value::Object(members) => {
            let ordered = in_order(members, &attribute.sub_attributes, Object::new());
            (!ordered.is_empty()).then_some(Value::Object(ordered))
        }
        other => Some(other),
    }
}

fn check_attributes(
    holder: &Object,
    attributes: &[Attribute],
    within: Option<&PathTo<'_>>,
) -> Result<(), ScimError> {
    // Of most there is nothing that only the whole document shows.
    for attribute in attributes.iter().filter(|attribute| needs_look(attribute)) {
        let name = &attribute.name;
        let path = within.map_or_else(|| PathTo::top(name), |within| within.then(name));
        match holder.get(&attribute.name) {
            Some(value) => {
                refuse_two_primaries(value, &path)?;
                let elements = match value {
                    Value::Array(elements) => elements.as_slice(),
                    single => std::slice::from_ref(single),
                };
                for element in elements.iter().filter_map(Value::as_object) {
                    check_attributes(element, &attribute.sub_attributes, Some(&path))?;
                }
            }
            None if attribute.required && attribute.mutability != Mutability::ReadOnly => {
                return Err(required(path));
            }
            None => {}
        }
    }
    Ok(())
}

/// Whether only the whole document shows that its values are good: lists, and what is required, of it or of its
/// parts.
fn needs_look(attribute: &Attribute) -> bool {
    let is_one = attribute.multi_valued || attribute.required;
    is_one || attribute.sub_attributes.iter().any(needs_look)
}

pub(super) fn empty(attribute: &str) -> ScimError {
    ScimError::invalid_value(format!(
        "The attribute \"{attribute}\" is required and must not be empty."
    ))
}

fn required(path: impl Display) -> ScimError {
    ScimError::invalid_value(format!(
        "The attribute \"{path}\" is required, but the resource has no value for it."
    ))
}

fn refuse_two_primaries(value: &Value, path: &PathTo<'_>) -> Result<(), ScimError> {
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

/// The path of an immutable value that has another one in the new document (RFC 7643 §7). A value
/// that the new document lacks is no change; elements of a multi-valued attribute come and go.
pub fn changed_immutable(
    old: &Object,
    new: &Object,
    resource_type: &ResourceType,
) -> Option<String> {
    let schema = &resource_type.schema;
    changed(old, new, &schema.attributes, "").or_else(|| {
        resource_type.extensions.iter().find_map(|extension| {
            let schema = &extension.schema;
            let (old, new) = (old.get(&schema.id)?.as_object()?, new.get(&schema.id)?.as_object()?);
            changed(old, new, &schema.attributes, &format!("{}:", schema.id))
        })
    })
}

fn changed(old: &Object, new: &Object, attributes: &[Attribute], prefix: &str) -> Option<String> {
    attributes.iter().find_map(|attribute| {
        let (before, after) = (old.get(&attribute.name)?, new.get(&attribute.name)?);
        let path = format!("{prefix}{}", attribute.name);
        if attribute.mutability == Mutability::Immutable && before != after {
            return Some(path);
        }
        let (subs, path) = (&attribute.sub_attributes, format!("{path}."));
        match (before, after) {
            (Value::Object(before), Value::Object(after)) => changed(before, after, subs, &path),
            (Value::Array(before), Value::Array(after)) if !subs.is_empty() => {
                let known = by_identity(before, attribute);
                after.iter().find_map(|element| {
                    let before = known.get(&identity(element, attribute))?.as_object()?;
                    changed(before, element.as_object()?, subs, &path)
                })
            }
            _ => None,
        }
    })
}

/// Copies from the old document into the new one what a client does not take away by leaving it out
/// of a PUT: values that it cannot have seen (`returned` never or request), and immutable ones.
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
        let Some(before) = old.get(&attribute.name) else { continue };
        match new.get_mut(&attribute.name) {
            Some(after) => copy_unseen_parts(after, before, attribute),
            None if stays(attribute) || !shows_anything(before, attribute) => {
                new.insert(attribute.name.clone(), before.clone());
            }
            None => {}
        }
    }
}

fn stays(attribute: &Attribute) -> bool {
    is_unseen(attribute) || attribute.mutability == Mutability::Immutable
}

fn is_unseen(attribute: &Attribute) -> bool {
    matches!(attribute.returned, Returned::Never | Returned::Request)
}

/// False for a complex value of which no answer shows any part.
fn shows_anything(value: &Value, attribute: &Attribute) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(|e| shows_anything(e, attribute)),
        Value::Object(_) => !shown(value, attribute).is_empty(),
        _ => true,
    }
}

/// The parts of a complex value that a client has seen.
fn shown(value: &Value, attribute: &Attribute) -> Object {
    let seen = |name: &str| attribute.sub(name).is_some_and(|sub| !is_unseen(sub));
    let members = value.as_object().into_iter().flatten();
    members.filter(|(name, _)| seen(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// The parts of complex values. An element of the new value continues one of the old if what the
/// client could see of it is the same, or its `value` and `type` are.
fn copy_unseen_parts(new: &mut Value, old: &Value, attribute: &Attribute) {
    if !attribute.sub_attributes.iter().any(stays) {
        return;
    }
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            copy_unseen(new, old, &attribute.sub_attributes);
        }
        (Value::Array(new), Value::Array(old)) => {
            let known = by_identity(old, attribute);
            for element in new {
                let before = known.get(&identity(element, attribute));
                if let (Value::Object(new), Some(Value::Object(old))) = (element, before) {
                    copy_unseen(new, old, &attribute.sub_attributes);
                }
            }
        }
        _ => {}
    }
}

/// The elements, the first of each identity.
fn by_identity<'e>(elements: &'e [Value], attribute: &Attribute) -> HashMap<String, &'e Value> {
    elements.iter().rev().map(|element| (identity(element, attribute), element)).collect()
}

fn identity(element: &Value, attribute: &Attribute) -> String {
    let mut seen = shown(element, attribute);
    if seen.contains_key("value") {
        seen.retain(|name, _| matches!(name.as_str(), "value" | "type"));
    }
    seen.sort_keys();
    Value::Object(seen).to_string()
}

#[cfg(test)]
#[path = "doc_tests.rs"]
mod tests;
