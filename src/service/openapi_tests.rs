//! The description holds together, and says of types what their schemas say.

use super::*;
use crate::scim::schema::OwnSchemas;

/// Every `$ref` below the value.
fn collect_references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| collect_references(member, found));
        }
        Value::Array(elements) => elements.iter().for_each(|e| collect_references(e, found)),
        _ => {}
    }
}

fn operation_ids(document: &Value) -> Vec<&str> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.values().flat_map(|p| p.as_object().expect("path").values());
    operations.filter_map(|operation| operation.get("operationId")?.as_str()).collect()
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document(&with_own_type(), "https://example.com/scim/v2/KEY");
    let mut found = Vec::new();
    collect_references(&document, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for reference in found {
        let Some(pointer) = reference.strip_prefix('#') else { continue };
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_link_names_an_operation_and_no_operation_has_the_name_of_another() {
    let document = document(&Registry::builtin(), "");
    let ids = operation_ids(&document);
    let links = &document["paths"]["/Users"]["post"]["responses"]["201"]["links"];
    for link in links.as_object().expect("links").values() {
        assert!(ids.contains(&link["operationId"].as_str().expect("id")), "{link}");
    }
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), ids.len());
}

/// User and Group, and a type of the directory's own with a required extension.
fn with_own_type() -> Registry {
    let own = json!({
        "schemas": [
            {"id": "urn:example:Device", "name": "Device", "attributes": [
                {"name": "serial", "type": "string", "required": true},
            ]},
            {"id": "urn:example:Lease", "name": "Lease", "attributes": [
                {"name": "until", "type": "dateTime"},
            ]},
        ],
        "resource_types": [{
            "name": "Device",
            "endpoint": "/Devices",
            "schema": "urn:example:Device",
            "schemaExtensions": [{"schema": "urn:example:Lease", "required": true}],
        }],
    });
    let builtin = Registry::builtin();
    let own = own.as_object().expect("an object");
    OwnSchemas::parse(own, &builtin).expect("well formed").added_to(&builtin)
}

#[test]
fn every_type_has_its_paths() {
    let registry = with_own_type();
    let document = document(&registry, "");
    for resource_type in registry.types() {
        let endpoint = &resource_type.endpoint;
        for (path, methods) in [
            (endpoint.clone(), "get post"),
            (format!("{endpoint}/{{id}}"), "get put patch delete"),
            (format!("{endpoint}/.search"), "post"),
        ] {
            for method in methods.split(' ') {
                assert!(document["paths"][&path][method].is_object(), "{method} {path}");
            }
        }
    }
    let request = &document["components"]["schemas"]["Device.request"];
    assert_eq!(request["required"], json!(["schemas", "serial", "urn:example:Lease"]));
    let lease = &request["properties"]["urn:example:Lease"]["properties"];
    assert_eq!(lease["until"]["format"], "date-time");
}

#[test]
fn requests_have_no_read_only_attributes_and_answers_no_secrets() {
    let document = document(&Registry::builtin(), "");
    let schemas = &document["components"]["schemas"];
    let (request, answer) = (&schemas["User.request"], &schemas["User"]);
    assert_eq!(request["required"], json!(["schemas", "userName"]));
    assert_eq!(answer["required"], json!(["schemas", "id"]));
    assert_eq!(request["properties"]["password"]["writeOnly"], true);
    assert_eq!(answer["properties"]["groups"]["readOnly"], true);
    assert_eq!(answer["properties"]["password"], Value::Null);
    assert_eq!(request["properties"]["groups"], Value::Null);
    assert_eq!(request["properties"]["meta"], Value::Null);
    let manager = &answer["properties"][urn::ENTERPRISE_USER]["properties"]["manager"];
    assert_eq!(manager["properties"]["displayName"]["readOnly"], true);
    assert_eq!(answer["properties"]["emails"]["items"]["properties"]["primary"]["type"], "boolean");
}
