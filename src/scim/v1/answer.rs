//! Answers: resources, lists and errors of SCIM 2.0 as SCIM 1.1 writes them.

use serde_json::{Value, json};

use super::names::{CORE, ENTERPRISE, MANAGER_ID, older_uri};
use crate::scim::{Object, ResourceType, ScimError, urn};

/// A resource (Core Schema 1.1 §5 to §8).
///
/// `kept` are objects under the URI of a schema that this server does not know; they are given back as
/// they came.
pub fn resource(newer: Object, kept: Object, resource_type: &ResourceType) -> Object {
    let mut older = Object::with_capacity(newer.len() + kept.len());
    for (name, mut value) in newer {
        match name.as_str() {
            "schemas" => older_schemas(&mut value, &kept, resource_type),
            "meta" => {
                without(&mut value, "resourceType");
            }
            "members" | "groups" => {
                for element in value.as_array_mut().into_iter().flatten() {
                    without(element, "$ref");
                }
            }
            _ => {}
        }
        if name.eq_ignore_ascii_case(urn::ENTERPRISE_USER) {
            older_manager(&mut value);
        }
        if !value.as_object().is_some_and(Object::is_empty) {
            older.insert(older_uri(&name, resource_type).to_owned(), value);
        }
    }
    for (name, value) in kept {
        older.entry(name).or_insert(value);
    }
    older
}

fn without(value: &mut Value, name: &str) -> Option<Value> {
    value.as_object_mut()?.shift_remove(name)
}

fn older_schemas(schemas: &mut Value, kept: &Object, resource_type: &ResourceType) {
    let Some(uris) = schemas.as_array_mut() else { return };
    for uri in uris.iter_mut() {
        let older = uri.as_str().map(|uri| older_uri(uri, resource_type).to_owned());
        *uri = older.map_or(Value::Null, Value::from);
    }
    uris.extend(kept.keys().map(|uri| Value::from(uri.as_str())));
}

fn older_manager(extension: &mut Value) {
    let manager = extension.get_mut("manager").and_then(Value::as_object_mut);
    let Some(manager) = manager else { return };
    manager.shift_remove("$ref");
    let mut older = Object::with_capacity(manager.len());
    for (name, value) in std::mem::take(manager) {
        let name = if name == "value" { MANAGER_ID.to_owned() } else { name };
        older.insert(name, value);
    }
    *manager = older;
}

/// A page of resources that are already translated (REST API 1.1 §3.2.2).
pub fn list(total: i64, start_index: u64, resources: Vec<Value>) -> Value {
    let mut page = Object::new();
    page.insert("schemas".into(), json!([CORE]));
    page.insert("totalResults".into(), total.into());
    page.insert("itemsPerPage".into(), resources.len().into());
    page.insert("startIndex".into(), start_index.into());
    page.insert("Resources".into(), resources.into());
    page.into()
}

/// An error (REST API 1.1 §3.9). The words of SCIM 2.0 have no place in it, and what it calls by a name
/// of SCIM 2.0 is called by the client's.
pub fn error(error: &ScimError) -> Value {
    let mut description = error.detail.clone();
    for (newer, older) in [
        (
            format!("{}:manager.value", urn::ENTERPRISE_USER),
            format!("{ENTERPRISE}:manager.managerId"),
        ),
        (urn::ENTERPRISE_USER.to_owned(), ENTERPRISE.to_owned()),
        (urn::USER.to_owned(), CORE.to_owned()),
        (urn::GROUP.to_owned(), CORE.to_owned()),
    ] {
        description = description.replace(&newer, &older);
    }
    json!({"Errors": [{"description": description, "code": error.status.to_string()}]})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::Registry;

    fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            _ => panic!("an object"),
        }
    }

    #[test]
    fn user_loses_what_its_protocol_does_not_have() {
        let registry = Registry::builtin();
        let newer = json!({
            "schemas": [urn::USER, urn::ENTERPRISE_USER],
            "id": "7",
            "userName": "ada",
            "groups": [{"value": "1", "$ref": "https://x/Groups/1", "display": "A", "type": "direct"}],
            urn::ENTERPRISE_USER: {
                "department": "D",
                "manager": {"value": "8", "$ref": "https://x/Users/8", "displayName": "Ben"},
            },
            "meta": {"resourceType": "User", "version": "W/\"1\"", "location": "https://x/Users/7"},
        });
        let kept = object(json!({"urn:x:y": {"z": 1}}));
        let older = resource(object(newer), kept, registry.user());
        let expected = json!({
            "schemas": [CORE, ENTERPRISE, "urn:x:y"],
            "id": "7",
            "userName": "ada",
            "groups": [{"value": "1", "display": "A", "type": "direct"}],
            ENTERPRISE: {"department": "D", "manager": {"managerId": "8", "displayName": "Ben"}},
            "meta": {"version": "W/\"1\"", "location": "https://x/Users/7"},
            "urn:x:y": {"z": 1},
        });
        assert_eq!(Value::Object(older).to_string(), expected.to_string());
    }

    #[test]
    fn what_is_left_empty_is_left_out() {
        let newer = json!({"schemas": [urn::USER], "id": "7", "meta": {"resourceType": "User"}});
        let older = resource(object(newer), Object::new(), Registry::builtin().user());
        assert_eq!(Value::Object(older), json!({"schemas": [CORE], "id": "7"}));
    }

    #[test]
    fn errors_speak_the_language_of_the_client() {
        let refused = ScimError::invalid_value(format!(
            "The attribute \"{0}:manager.value\" of {0} and {1} is wrong.",
            urn::ENTERPRISE_USER,
            urn::GROUP
        ));
        let description = format!(
            "The attribute \"{ENTERPRISE}:manager.managerId\" of {ENTERPRISE} and {CORE} is wrong."
        );
        assert_eq!(
            error(&refused),
            json!({"Errors": [{"description": description, "code": "400"}]})
        );
    }
}
