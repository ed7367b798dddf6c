//! Bodies of POST and PUT, and what they have in common with those of PATCH.

use serde_json::Value;

use super::names::{ENTERPRISE, MANAGER_ID, newer_uri};
use crate::scim::message::check_unique;
use crate::scim::resource::validate::describe;
use crate::scim::schema::Attribute;
use crate::scim::{Object, ResourceType, ScimError, urn};

/// What is to be done with an element of a multi-valued attribute (REST API 1.1 §3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Nothing is said, or `add`.
    Merge,
    Delete,
}

/// The body of a POST or PUT (REST API 1.1 §3.1, §3.3.1) as SCIM 2.0 would have it.
///
/// `operation` belongs to PATCH: `add` says nothing here, `delete` is 400 `invalidValue`, because an
/// element that is to go must not be stored.
pub fn representation(body: Object, resource_type: &ResourceType) -> Result<Object, ScimError> {
    let mut newer = newer_members(body, resource_type)?;
    for (name, value) in &mut newer {
        if let Some(attribute) = resource_type.attribute(name) {
            refuse_deletions(attribute, value)?;
        } else if let (Some(extension), Value::Object(inner)) =
            (resource_type.extension(name), value)
        {
            for (name, value) in inner {
                if let Some(attribute) = extension.schema.attribute(name) {
                    refuse_deletions(attribute, value)?;
                }
            }
        }
    }
    Ok(newer)
}

/// The members of a body with the names that they have in SCIM 2.0.
pub(super) fn newer_members(
    body: Object,
    resource_type: &ResourceType,
) -> Result<Object, ScimError> {
    check_unique(&body, "the request")?;
    let mut newer = Object::with_capacity(body.len());
    for (name, mut value) in body {
        let mut known = name.as_str();
        if name.eq_ignore_ascii_case("schemas") {
            newer_schemas(&mut value, resource_type);
        } else if name.eq_ignore_ascii_case(ENTERPRISE) {
            known = urn::ENTERPRISE_USER;
            newer_manager(&mut value)?;
        }
        if newer.insert(known.to_owned(), value).is_some() {
            return Err(ScimError::invalid_syntax(format!(
                "The Enterprise extension stands twice in the request, as \"{ENTERPRISE}\" and as \
                 \"{known}\"."
            )));
        }
    }
    Ok(newer)
}

fn newer_schemas(schemas: &mut Value, resource_type: &ResourceType) {
    for uri in schemas.as_array_mut().into_iter().flatten() {
        if let Some(newer) = uri.as_str().map(|uri| newer_uri(uri, resource_type).to_owned()) {
            *uri = newer.into();
        }
    }
}

/// `manager.managerId` (Core Schema 1.1 §7) is `manager.value`.
fn newer_manager(extension: &mut Value) -> Result<(), ScimError> {
    let managers = extension.as_object_mut().into_iter().flatten();
    for (_, manager) in managers.filter(|(name, _)| name.eq_ignore_ascii_case("manager")) {
        let Some(manager) = manager.as_object_mut() else { continue };
        let named = manager.keys().find(|name| name.eq_ignore_ascii_case(MANAGER_ID)).cloned();
        let Some(id) = named.and_then(|name| manager.shift_remove(&name)) else { continue };
        if manager.keys().any(|name| name.eq_ignore_ascii_case("value")) {
            return Err(ScimError::invalid_syntax(
                "\"manager\" has both \"managerId\" and \"value\", which mean the same; send \
                 \"managerId\".",
            ));
        }
        manager.insert("value".into(), id);
    }
    Ok(())
}

fn refuse_deletions(attribute: &Attribute, value: &mut Value) -> Result<(), ScimError> {
    if !attribute.multi_valued {
        return Ok(());
    }
    let elements = match value {
        Value::Array(elements) => elements.as_mut_slice(),
        one => std::slice::from_mut(one),
    };
    for element in elements {
        if take_operation(attribute, element)? == Operation::Delete {
            return Err(ScimError::invalid_value(format!(
                "A value of \"{}\" has \"operation\": \"delete\", which only a PATCH may have; leave \
                 the value out instead.",
                attribute.name
            )));
        }
    }
    Ok(())
}

/// Takes `operation` out of an element, unless the schema gives it a meaning of its own.
pub(super) fn take_operation(
    attribute: &Attribute,
    element: &mut Value,
) -> Result<Operation, ScimError> {
    let Value::Object(members) = element else { return Ok(Operation::Merge) };
    if attribute.sub("operation").is_some() {
        return Ok(Operation::Merge);
    }
    let named = members.keys().find(|name| name.eq_ignore_ascii_case("operation")).cloned();
    match named.and_then(|name| members.shift_remove(&name)) {
        None | Some(Value::Null) => Ok(Operation::Merge),
        Some(Value::String(word)) if word.eq_ignore_ascii_case("delete") => Ok(Operation::Delete),
        Some(Value::String(word)) if word.eq_ignore_ascii_case("add") => Ok(Operation::Merge),
        Some(other) => Err(ScimError::invalid_value(format!(
            "The sub-attribute \"{}.operation\" must be \"delete\", or \"add\" or missing, but it is \
             {}.",
            attribute.name,
            describe(&other)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::Registry;
    use crate::scim::v1::CORE;

    fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            _ => panic!("an object"),
        }
    }

    fn user(body: Value) -> Result<Value, ScimError> {
        representation(object(body), Registry::builtin().user()).map(Value::Object)
    }

    #[test]
    fn bodies() {
        for (old, new) in [
            (json!({}), json!({})),
            (
                json!({"schemas": [CORE, ENTERPRISE, "urn:x:y"], "userName": "ada"}),
                json!({"schemas": [urn::USER, urn::ENTERPRISE_USER, "urn:x:y"], "userName": "ada"}),
            ),
            (json!({"Schemas": CORE}), json!({"Schemas": CORE})),
            (
                json!({"URN:scim:schemas:extension:enterprise:1.0": {"manager": {"managerId": "7"}}}),
                json!({urn::ENTERPRISE_USER: {"manager": {"value": "7"}}}),
            ),
            (
                json!({ENTERPRISE: {"manager": "7"}}),
                json!({urn::ENTERPRISE_USER: {"manager": "7"}}),
            ),
            (json!({ENTERPRISE: null}), json!({urn::ENTERPRISE_USER: null})),
            (
                json!({"emails": [{"value": "a@x.org", "operation": "add"}, "b@x.org"]}),
                json!({"emails": [{"value": "a@x.org"}, "b@x.org"]}),
            ),
            (json!({"emails": {"Operation": null}}), json!({"emails": {}})),
            (json!({"custom": [{"operation": "x"}]}), json!({"custom": [{"operation": "x"}]})),
        ] {
            assert_eq!(user(old.clone()), Ok(new), "{old}");
        }
    }

    #[test]
    fn bodies_that_contradict_themselves() {
        for (body, named) in [
            (json!({"emails": [{"value": "a", "operation": "delete"}]}), "\"emails\""),
            (json!({"emails": [{"value": "a", "operation": "move"}]}), "the string \"move\""),
            (json!({"emails": [{"value": "a", "operation": 7}]}), "the number 7"),
            (json!({ENTERPRISE: {}, urn::ENTERPRISE_USER: {}}), "twice"),
            (json!({"userName": "a", "USERNAME": "b"}), "twice"),
            (json!({ENTERPRISE: {"manager": {"managerId": "1", "value": "2"}}}), "managerId"),
        ] {
            let error = user(body.clone()).expect_err("refused");
            assert_eq!(error.status, 400, "{body}");
            assert!(error.detail.contains(named), "{body}: {}", error.detail);
        }
    }
}
