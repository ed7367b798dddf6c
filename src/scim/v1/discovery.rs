//! `/ServiceProviderConfigs` and `/Schemas` (Core Schema 1.1 §9, §10).

use serde_json::{Value, json};

use super::answer::list;
use super::names::{CORE, MANAGER_ID, older_uri};
use crate::scim::schema::{Attribute, DataType, Mutability};
use crate::scim::{Object, Registry, ResourceType, ScimError};

/// The configuration of SCIM 2.0 as SCIM 1.1 tells it. `/Bulk` is not served here, and XML is not
/// spoken.
pub fn service_provider_config(newer: &Value, base: &str) -> Value {
    let mut older = Object::new();
    older.insert("schemas".into(), json!([CORE]));
    if let Some(address) = newer.get("documentationUri") {
        older.insert("documentationUrl".into(), address.clone());
    }
    older.insert("patch".into(), newer.get("patch").cloned().unwrap_or_default());
    older.insert(
        "bulk".into(),
        json!({"supported": false, "maxOperations": 0, "maxPayloadSize": 0}),
    );
    for name in ["filter", "changePassword", "sort", "etag"] {
        older.insert(name.into(), newer.get(name).cloned().unwrap_or_default());
    }
    older.insert("xmlDataFormat".into(), json!({"supported": false}));
    let schemes = newer.get("authenticationSchemes").and_then(Value::as_array);
    let schemes: Vec<Value> = schemes.into_iter().flatten().map(authentication_scheme).collect();
    older.insert("authenticationSchemes".into(), schemes.into());
    older.insert("meta".into(), json!({"location": format!("{base}/ServiceProviderConfigs")}));
    older.into()
}

fn authentication_scheme(newer: &Value) -> Value {
    let older = newer.as_object().into_iter().flatten().map(|(name, value)| {
        let name = match name.as_str() {
            "specUri" => "specUrl",
            "documentationUri" => "documentationUrl",
            same => same,
        };
        (name.to_owned(), value.clone())
    });
    Value::Object(older.collect())
}

/// `/Schemas`: one for each resource type of SCIM 1.1, with its extensions.
pub fn schemas(registry: &Registry, base: &str) -> Value {
    let all: Vec<Value> = types(registry).map(|t| schema_value(t, base)).collect();
    list(i64::try_from(all.len()).unwrap_or(i64::MAX), 1, all)
}

/// `/Schemas/{id}`, in any letter case.
pub fn schema(registry: &Registry, id: &str, base: &str) -> Result<Value, ScimError> {
    match types(registry).find(|t| schema_id(t).eq_ignore_ascii_case(id)) {
        Some(resource_type) => Ok(schema_value(resource_type, base)),
        None => {
            let known: Vec<String> =
                types(registry).map(|t| format!("\"{}\"", schema_id(t))).collect();
            Err(ScimError::new(
                404,
                format!(
                    "The schema was not found; this server has {} for SCIM 1.1.",
                    known.join(" and ")
                ),
            ))
        }
    }
}

/// The types that SCIM 1.1 defines.
fn types(registry: &Registry) -> impl Iterator<Item = &ResourceType> {
    registry.types().iter().map(|t| &**t).filter(|t| t.is_user() || t.is_group())
}

fn schema_id(resource_type: &ResourceType) -> String {
    format!("{CORE}:{}", resource_type.name)
}

fn schema_value(resource_type: &ResourceType, base: &str) -> Value {
    let id = schema_id(resource_type);
    // `schemas` is part of every message, no attribute of a resource.
    let common = resource_type.common().attributes.iter().filter(|a| a.name != "schemas");
    let mut attributes: Vec<Value> = common.map(|a| attribute_value(a, CORE)).collect();
    for schema in resource_type.schemas() {
        let uri = older_uri(&schema.id, resource_type);
        attributes.extend(schema.attributes.iter().map(|a| attribute_value(a, uri)));
    }
    json!({
        "schemas": [CORE],
        "id": id,
        "name": resource_type.name,
        "description": resource_type.description,
        "schema": CORE,
        "endpoint": resource_type.endpoint,
        "attributes": attributes,
        "meta": {"location": format!("{base}/Schemas/{id}")},
    })
}

fn attribute_value(attribute: &Attribute, schema: &str) -> Value {
    let mut value = characteristics(attribute, &attribute.name);
    if attribute.multi_valued {
        value.insert("multiValuedAttributeChildName".into(), singular(&attribute.name).into());
    }
    value.insert("schema".into(), schema.into());
    let subs: Vec<Value> = attribute
        .sub_attributes
        .iter()
        .filter(|sub| sub.name != "$ref" && sub.name != "resourceType")
        .map(|sub| {
            let is_manager_id = attribute.name == "manager" && sub.name == "value";
            let name = if is_manager_id { MANAGER_ID } else { &sub.name };
            Value::Object(characteristics(sub, name))
        })
        .collect();
    if !subs.is_empty() {
        value.insert("subAttributes".into(), subs.into());
    }
    value.into()
}

fn characteristics(attribute: &Attribute, name: &str) -> Object {
    // A reference is text in SCIM 1.1.
    let data_type = match attribute.data_type {
        DataType::Reference => DataType::String,
        other => other,
    };
    let mut value = Object::new();
    value.insert("name".into(), name.into());
    value.insert("type".into(), data_type.as_str().into());
    value.insert("multiValued".into(), attribute.multi_valued.into());
    value.insert("description".into(), attribute.description.as_str().into());
    value.insert("readOnly".into(), (attribute.mutability == Mutability::ReadOnly).into());
    value.insert("required".into(), attribute.required.into());
    value.insert("caseExact".into(), attribute.case_exact.into());
    if !attribute.canonical_values.is_empty() {
        value.insert("canonicalValues".into(), attribute.canonical_values.clone().into());
    }
    value
}

/// `email` of `emails`: the name of one value, which XML would need.
fn singular(name: &str) -> &str {
    match name.strip_suffix("sses") {
        Some(_) => name.strip_suffix("es").unwrap_or(name),
        None => name.strip_suffix('s').unwrap_or(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://x.org/scim/v1/K";

    fn attribute<'v>(schema: &'v Value, name: &str) -> &'v Value {
        let attributes = schema["attributes"].as_array().expect("a list");
        attributes.iter().find(|a| a["name"] == name).unwrap_or_else(|| panic!("no {name}"))
    }

    #[test]
    fn schema_of_users_in_the_words_of_1_1() {
        let registry = Registry::builtin();
        let user = schema(&registry, "URN:scim:schemas:core:1.0:user", BASE).expect("found");
        assert_eq!(user["id"], "urn:scim:schemas:core:1.0:User");
        assert_eq!(user["endpoint"], "/Users");
        assert_eq!(user["schema"], CORE);
        let id = attribute(&user, "id");
        assert_eq!((&id["readOnly"], &id["schema"]), (&json!(true), &json!(CORE)));
        let emails = attribute(&user, "emails");
        assert_eq!(emails["multiValuedAttributeChildName"], "email");
        assert_eq!(emails["type"], "complex");
        assert!(emails.get("mutability").is_none() && emails.get("returned").is_none());
        assert_eq!(attribute(&user, "addresses")["multiValuedAttributeChildName"], "address");
        assert_eq!(attribute(&user, "profileUrl")["type"], "string");
        let manager = attribute(&user, "manager");
        assert_eq!(manager["schema"], super::super::ENTERPRISE);
        let subs: Vec<&str> = manager["subAttributes"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|sub| sub["name"].as_str())
            .collect();
        assert_eq!(subs, ["managerId", "displayName"]);
    }

    #[test]
    fn schemas_are_those_of_1_1() {
        let registry = Registry::builtin();
        let all = schemas(&registry, BASE);
        assert_eq!((&all["totalResults"], &all["schemas"]), (&json!(2), &json!([CORE])));
        for unknown in ["urn:scim:schemas:core:1.0", "urn:scim:schemas:core:1.0:Role", "User"] {
            let error = schema(&registry, unknown, BASE).expect_err("not found");
            assert_eq!(error.status, 404);
            assert!(error.detail.contains("urn:scim:schemas:core:1.0:Group"));
        }
    }

    #[test]
    fn configuration_renames_addresses() {
        let newer = json!({
            "documentationUri": "https://x.org/docs",
            "patch": {"supported": true}, "bulk": {"supported": true, "maxOperations": 1000},
            "filter": {"supported": true, "maxResults": 10}, "changePassword": {"supported": false},
            "sort": {"supported": true}, "etag": {"supported": false}, "pagination": {"cursor": true},
            "authenticationSchemes": [{"name": "B", "specUri": "https://x.org/spec", "primary": true}],
        });
        let expected = json!({
            "schemas": [CORE],
            "documentationUrl": "https://x.org/docs",
            "patch": {"supported": true},
            "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
            "filter": {"supported": true, "maxResults": 10}, "changePassword": {"supported": false},
            "sort": {"supported": true}, "etag": {"supported": false},
            "xmlDataFormat": {"supported": false},
            "authenticationSchemes": [{"name": "B", "specUrl": "https://x.org/spec", "primary": true}],
            "meta": {"location": "https://x.org/scim/v1/K/ServiceProviderConfigs"},
        });
        assert_eq!(service_provider_config(&newer, BASE), expected);
    }
}
