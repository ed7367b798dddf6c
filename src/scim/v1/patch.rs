//! PATCH as a part of the resource (REST API 1.1 §3.3.2), as the operations of RFC 7644 §3.5.2.
//!
//! | in the body | operation |
//! |---|---|
//! | a name in `meta.attributes` | remove, before everything else |
//! | a singular value | replace; null unassigns |
//! | a singular complex value | add: what it does not name stays |
//! | an element with a `value` | add of each sub-attribute to the element with that `value`, and that `type` if the body has the `value` more than once |
//! | an element without one | add |
//! | an element with `"operation": "delete"` | remove of what has that `value` and `type`, or all that it names |
//! | `members` | add and remove, whoever else is in the group |
//!
//! Paths are written out, so that the operations mean the same under every profile. A request is one
//! change: everything applies, or nothing.

use serde_json::{Value, json};

use super::names::attribute_name;
use super::request::{Operation, newer_members, take_operation};
use crate::scim::filter::parse_attr_path;
use crate::scim::message::member;
use crate::scim::resource::validate::{Rules, describe, refuse_unknown};
use crate::scim::schema::{Attribute, Kept, Mutability, Schema};
use crate::scim::{Object, ResourceType, ScimError, urn};

/// Longest `value` that an element is found by, in bytes; it stands inside a path. An element with a
/// longer one is added as it is.
const MAX_VALUE_BYTES: usize = 4 * 1024;

/// The PATCH request of SCIM 2.0 that means the same.
pub fn patch(
    body: Object,
    resource_type: &ResourceType,
    rules: Rules,
) -> Result<Object, ScimError> {
    let removed = removed_names(&body)?;
    let body = newer_members(body, resource_type)?;
    let mut request = Request::default();
    // What `schemas` names is checked, and a request that changes nothing has an operation too.
    let schemas = member(&body, "schemas").cloned();
    let schemas = schemas.unwrap_or_else(|| json!([resource_type.schema.id]));
    request.push("add", Some("schemas"), Some(schemas));
    for name in &removed {
        request.remove(name, &body, resource_type);
    }
    for (name, value) in body {
        if name.eq_ignore_ascii_case("schemas") {
            continue;
        }
        if let Some(attribute) = resource_type.attribute(&name) {
            request.attribute(&attribute.name, attribute, value)?;
        } else if let Some(extension) = resource_type.extension(&name) {
            request.extension(&extension.schema, value)?;
        } else {
            refuse_unknown(&name, rules)?;
            request.keep(name, value);
        }
    }
    Ok(request.into_body())
}

/// The names in `meta.attributes`.
fn removed_names(body: &Object) -> Result<Vec<String>, ScimError> {
    let meta = member(body, "meta").and_then(Value::as_object);
    let wrong = |found: &Value| {
        ScimError::invalid_value(format!(
            "The attribute \"meta.attributes\" must be an array of names of attributes, but it has {}.",
            describe(found)
        ))
    };
    match meta.and_then(|meta| member(meta, "attributes")) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(names)) => {
            let text = |name: &Value| name.as_str().map(str::to_owned).ok_or_else(|| wrong(name));
            names.iter().map(text).collect()
        }
        Some(other) => Err(wrong(other)),
    }
}

/// A PATCH request of SCIM 2.0 in the making.
#[derive(Default)]
struct Request {
    operations: Vec<Value>,
}

impl Request {
    fn push(&mut self, op: &str, path: Option<&str>, value: Option<Value>) {
        let mut operation = Object::new();
        operation.insert("op".into(), op.into());
        if let Some(path) = path {
            operation.insert("path".into(), path.into());
        }
        if let Some(value) = value {
            operation.insert("value".into(), value);
        }
        self.operations.push(operation.into());
    }

    /// What no schema knows, kept beside the resource under the name that the client used; null takes it
    /// out again.
    fn keep(&mut self, name: String, value: Value) {
        let value: Object = [(name, value)].into_iter().collect();
        self.push("replace", None, Some(value.into()));
    }

    fn remove(&mut self, name: &str, body: &Object, resource_type: &ResourceType) {
        let path = attribute_name(name, resource_type);
        let parsed = parse_attr_path(&path).ok();
        let found = parsed.as_ref().and_then(|path| resource_type.resolve(path));
        if found.is_none() && path.contains(':') {
            return self.keep(path, Value::Null);
        }
        // What the body sets again needs no removal, and a required attribute allows none.
        let is_set = |attribute: &Attribute| {
            !attribute.multi_valued
                && !attribute.is_complex()
                && member(body, &attribute.name).is_some_and(|value| !value.is_null())
        };
        if !resource_type.attribute(&path).is_some_and(is_set) {
            self.push("remove", Some(&path), None);
        }
    }

    fn extension(&mut self, schema: &Schema, value: Value) -> Result<(), ScimError> {
        let members = match value {
            Value::Object(members) => members,
            Value::Null => {
                self.push("remove", Some(&schema.id), None);
                return Ok(());
            }
            other => {
                self.push("add", Some(&schema.id), Some(other));
                return Ok(());
            }
        };
        let mut unknown = Object::new();
        for (name, value) in members {
            match schema.attribute(&name) {
                Some(attribute) => {
                    let path = format!("{}:{}", schema.id, attribute.name);
                    self.attribute(&path, attribute, value)?;
                }
                None => {
                    unknown.insert(name, value);
                }
            }
        }
        if !unknown.is_empty() {
            self.push("add", Some(&schema.id), Some(unknown.into()));
        }
        Ok(())
    }

    /// Clients send back what they were shown, so what they may not set is passed over.
    fn attribute(
        &mut self,
        path: &str,
        attribute: &Attribute,
        value: Value,
    ) -> Result<(), ScimError> {
        if attribute.mutability == Mutability::ReadOnly {
            return Ok(());
        }
        if !attribute.multi_valued {
            let op = if attribute.is_complex() && !value.is_null() { "add" } else { "replace" };
            self.push(op, Some(path), Some(value));
            return Ok(());
        }
        let elements = match value {
            Value::Null => Vec::new(),
            Value::Array(elements) => elements,
            one => vec![one],
        };
        match attribute.kept {
            Kept::AsMembers => self.members(path, attribute, elements),
            _ => {
                let values: Vec<Option<String>> = elements.iter().map(folded_value).collect();
                elements.into_iter().zip(&values).try_for_each(|(one, value)| {
                    let same = values.iter().filter(|other| *other == value).count();
                    self.element(path, attribute, one, same > 1)
                })
            }
        }
    }

    /// Members that follow each other and go the same way are one operation: a request may name
    /// thousands.
    fn members(
        &mut self,
        path: &str,
        attribute: &Attribute,
        elements: Vec<Value>,
    ) -> Result<(), ScimError> {
        let mut runs: Vec<(Operation, Vec<Value>)> = Vec::new();
        for mut element in elements {
            let operation = take_operation(attribute, &mut element)?;
            match runs.last_mut() {
                Some((last, run)) if *last == operation => run.push(element),
                _ => runs.push((operation, vec![element])),
            }
        }
        for (operation, run) in runs {
            let op = if operation == Operation::Delete { "remove" } else { "add" };
            self.push(op, Some(path), Some(run.into()));
        }
        Ok(())
    }

    fn element(
        &mut self,
        path: &str,
        attribute: &Attribute,
        mut element: Value,
        is_shared: bool,
    ) -> Result<(), ScimError> {
        let operation = take_operation(attribute, &mut element)?;
        let wanted = attribute.value_sub().and_then(|_| filter_on_value(&element));
        // A value that several elements have does not tell them apart, and a deletion takes no more
        // than it names. Otherwise the type is what may change.
        let by_type = (is_shared || operation == Operation::Delete)
            .then(|| filter_on_type(attribute, &element))
            .flatten();
        let wanted = match (wanted, by_type) {
            (Some(value), Some(kind)) => Some(format!("{value} and {kind}")),
            (wanted, _) => wanted,
        };
        match (operation, wanted, element) {
            (Operation::Delete, Some(filter), _) => {
                self.push("remove", Some(&format!("{path}[{filter}]")), None);
            }
            (Operation::Delete, None, element) => {
                let listed = deleted(attribute, element)?;
                self.push("remove", Some(path), Some(vec![listed].into()));
            }
            (Operation::Merge, Some(filter), Value::Object(members)) => {
                // Whatever comes first makes the element when there is none.
                let (value, others): (Object, Object) =
                    members.into_iter().partition(|(name, _)| name.eq_ignore_ascii_case("value"));
                for (name, value) in value.into_iter().chain(others) {
                    let sub = attribute.sub(&name);
                    if sub.is_none_or(|sub| sub.mutability != Mutability::ReadOnly) {
                        let name = sub.map_or(name.as_str(), |sub| &sub.name);
                        self.push("add", Some(&format!("{path}[{filter}].{name}")), Some(value));
                    }
                }
            }
            (Operation::Merge, _, element) => {
                self.push("add", Some(path), Some(vec![element].into()));
            }
        }
        Ok(())
    }

    fn into_body(self) -> Object {
        let mut body = Object::new();
        body.insert("schemas".into(), json!([urn::PATCH_OP]));
        body.insert("Operations".into(), self.operations.into());
        body
    }
}

/// The `value` of an element in one spelling, as it is compared.
fn folded_value(element: &Value) -> Option<String> {
    Some(member(element.as_object()?, "value")?.as_str()?.to_lowercase())
}

/// The filter on the `type` that the element names.
fn filter_on_type(attribute: &Attribute, element: &Value) -> Option<String> {
    attribute.sub("type")?;
    match member(element.as_object()?, "type")? {
        Value::String(text) if text.trim().is_empty() || text.len() > MAX_VALUE_BYTES => None,
        Value::String(text) => Some(format!("type eq {}", Value::from(text.as_str()))),
        _ => None,
    }
}

/// The filter that finds the element with the same `value`.
fn filter_on_value(element: &Value) -> Option<String> {
    match member(element.as_object()?, "value")? {
        Value::String(text) if text.trim().is_empty() || text.len() > MAX_VALUE_BYTES => None,
        Value::String(text) => Some(format!("value eq {}", Value::from(text.as_str()))),
        _ => None,
    }
}

/// What a deletion without a usable `value` names.
fn deleted(attribute: &Attribute, element: Value) -> Result<Value, ScimError> {
    let named = match (attribute.is_complex(), element) {
        (false, Value::Object(members)) => member(&members, "value").cloned().unwrap_or_default(),
        (_, element) => element,
    };
    let is_empty = named.is_null() || named.as_object().is_some_and(Object::is_empty);
    match is_empty {
        false => Ok(named),
        true => Err(ScimError::invalid_value(format!(
            "A value of \"{}\" has \"operation\": \"delete\" but does not say which value goes; name \
             its \"value\".",
            attribute.name
        ))),
    }
}
