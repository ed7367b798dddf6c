//! `/ServiceProviderConfig`, `/Schemas`, `/ResourceTypes` (RFC 7644 §4, RFC 7643 §5 to §7).

use serde_json::{Value, json};

use super::{GROUP, USER};
use crate::support::{Client, Database, ENTERPRISE, TestApp};

const ENDPOINTS: [&str; 7] = [
    "/ServiceProviderConfig",
    "/Schemas",
    "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User",
    "/ResourceTypes",
    "/ResourceTypes/User",
    "/schemas",
    "/resourcetypes/user",
];

/// Discovery reads no resource, so one database is enough.
fn start() -> TestApp {
    TestApp::start(Database::sqlite())
}

fn elements(list: &Value) -> &Vec<Value> {
    list.as_array().expect("a list")
}

#[test]
fn service_provider_config_says_what_the_server_can_do() {
    let app = start();
    let config = app.scim.get("/ServiceProviderConfig").expect(200);
    assert_eq!(config.header("content-type"), Some("application/scim+json"));
    let body = &config.body;
    assert_eq!(
        body["schemas"],
        json!(["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"])
    );
    for (feature, supported) in [
        ("patch", true),
        ("bulk", true),
        ("filter", true),
        ("changePassword", false),
        ("sort", true),
        ("etag", true),
    ] {
        assert_eq!(body[feature]["supported"], supported, "{feature}");
    }
    assert_eq!(body["filter"]["maxResults"], 1_000);
    assert!(body["bulk"]["maxOperations"].is_u64() && body["bulk"]["maxPayloadSize"].is_u64());
    let schemes = elements(&body["authenticationSchemes"]);
    let types: Vec<&Value> = schemes.iter().map(|scheme| &scheme["type"]).collect();
    assert_eq!(types, ["oauthbearertoken", "oauth2", "httpbasic"]);
    let primary = schemes.iter().filter(|scheme| scheme["primary"] == true);
    assert_eq!(primary.count(), 1, "{body}");
    for scheme in schemes {
        for member in ["name", "description"] {
            assert!(scheme[member].is_string(), "{scheme}");
        }
    }
    assert_eq!(body["meta"]["resourceType"], "ServiceProviderConfig");
    let location = format!("{}/ServiceProviderConfig", app.directory.base_url);
    assert_eq!(body["meta"]["location"], location);
}

#[test]
fn service_provider_config_alone_needs_no_token() {
    let app = start();
    let anonymous = app.scim.with_bearer(None);
    let mut config = anonymous.get("/ServiceProviderConfig").expect(200).body;
    let mut with_token = app.scim.get("/ServiceProviderConfig").expect(200).body;
    for body in [&mut config, &mut with_token] {
        body.as_object_mut().expect("an object").shift_remove("meta");
    }
    assert_eq!(config, with_token);
    for path in ENDPOINTS.iter().skip(1) {
        let answer = anonymous.get(path);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"rollbook\""));
        answer.expect_scim_error(401, None);
    }
    let wrong = app.scim.with_bearer(Some("rbd_wrong"));
    wrong.get("/ServiceProviderConfig").expect_scim_error(401, None);
}

#[test]
fn resource_types_name_their_schemas() {
    let app = start();
    let list = app.scim.get("/ResourceTypes").expect(200);
    assert_eq!(list.total(), 2);
    assert_eq!(list.body["itemsPerPage"], 2);
    let base = &app.directory.base_url;
    let expected = |name: &str, schema: &str, extensions: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": name,
            "name": name,
            "endpoint": format!("/{name}s"),
            "schema": schema,
            "schemaExtensions": extensions,
            "meta": {
                "resourceType": "ResourceType",
                "location": format!("{base}/ResourceTypes/{name}"),
            },
        })
    };
    let extension = json!([{"schema": ENTERPRISE, "required": false}]);
    let expected = [expected("User", USER, extension), expected("Group", GROUP, json!([]))];
    for (found, expected) in elements(&list.body["Resources"]).iter().zip(expected) {
        let mut found = found.clone();
        let described = found.as_object_mut().and_then(|o| o.shift_remove("description"));
        assert!(described.is_some_and(|text| text.is_string()), "{found}");
        assert_eq!(found, expected);
    }
}

#[test]
fn schemas_define_every_characteristic_of_every_attribute() {
    fn check(attribute: &Value, path: &str) {
        for member in ["name", "type", "mutability", "returned", "uniqueness"] {
            assert!(attribute[member].is_string(), "{path} {member}: {attribute}");
        }
        for member in ["multiValued", "required", "caseExact"] {
            assert!(attribute[member].is_boolean(), "{path} {member}: {attribute}");
        }
        let subs = attribute["subAttributes"].as_array();
        assert_eq!(subs.is_some(), attribute["type"] == "complex", "{path}");
        for sub in subs.into_iter().flatten() {
            check(sub, &format!("{path}.{}", sub["name"]));
        }
    }
    let app = start();
    let list = app.scim.get("/Schemas").expect(200);
    let mut ids = list.ids();
    ids.sort_unstable();
    assert_eq!(ids, [GROUP, USER, ENTERPRISE]);
    assert_eq!(list.total(), 3);
    for schema in elements(&list.body["Resources"]) {
        assert_eq!(schema["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:Schema"]));
        assert_eq!(schema["meta"]["resourceType"], "Schema");
        assert!(schema["name"].is_string() && schema["description"].is_string(), "{schema}");
        for attribute in elements(&schema["attributes"]) {
            check(attribute, &schema["id"].to_string());
        }
    }
}

#[test]
fn user_schema_says_how_its_attributes_behave() {
    let app = start();
    let schema = app.scim.get(&format!("/Schemas/{USER}")).expect(200).body;
    let attribute = |name: &str| {
        let found = elements(&schema["attributes"]).iter().find(|a| a["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    for (name, member, expected) in [
        ("userName", "required", json!(true)),
        ("userName", "uniqueness", json!("server")),
        ("userName", "caseExact", json!(false)),
        ("password", "mutability", json!("writeOnly")),
        ("password", "returned", json!("never")),
        ("groups", "mutability", json!("readOnly")),
        ("emails", "multiValued", json!(true)),
        ("active", "type", json!("boolean")),
    ] {
        assert_eq!(attribute(name)[member], expected, "{name} {member}");
    }
}

#[test]
fn every_location_serves_what_it_is_the_location_of() {
    let app = start();
    let anywhere = Client::new("", &app.directory.token, "application/scim+json");
    for path in ["/Schemas", "/ResourceTypes"] {
        for element in elements(&app.scim.get(path).expect(200).body["Resources"]) {
            let location = element["meta"]["location"].as_str().expect("a URL");
            assert_eq!(anywhere.get(location).expect(200).body, *element, "{location}");
        }
    }
}

#[test]
fn names_are_found_in_any_letter_case_and_unknown_ones_are_404() {
    let app = start();
    let user = app.scim.get(&format!("/Schemas/{USER}")).expect(200).body;
    let upper = app.scim.get(&format!("/SCHEMAS/{}", USER.to_uppercase())).expect(200).body;
    assert_eq!(upper, user);
    for path in ["/Schemas/urn:example:x", "/ResourceTypes/Device", "/Schemas/a/b"] {
        app.scim.get(path).expect_scim_error(404, None);
    }
}

#[test]
fn filter_of_the_service_provider_config_is_403() {
    let app = start();
    let answer = app.scim.get("/ServiceProviderConfig?filter=patch+pr");
    answer.expect_scim_error(403, None);
}

#[test]
fn filters_are_403_and_other_parameters_are_passed_over() {
    let app = start();
    for path in ENDPOINTS.iter().skip(1) {
        let answer = app.scim.get(&format!("{path}?filter=name+pr"));
        answer.expect_scim_error(403, None);
    }
    let plain = app.scim.get("/Schemas").expect(200).body;
    let paged = app.scim.get("/Schemas?startIndex=2&count=1&sortBy=name").expect(200).body;
    assert_eq!(paged, plain);
}

#[test]
fn me_is_501_for_a_token_without_a_user() {
    let app = start();
    for method in ["GET", "PATCH", "POST"] {
        let detail = app.scim.send(method, "/Me", &[], None).expect_scim_error(501, None);
        assert!(detail.contains("/Me"), "{detail}");
    }
}
