//! `attributes` and `excludedAttributes` (RFC 7644 §3.4.2.5, §3.9).

use serde_json::{Value, json};

use super::{USER, create, plain_user};
use crate::on_both_databases;
use crate::support::{ENTERPRISE, TestApp, group, patch};

on_both_databases![
    attributes_show_only_what_they_name_and_what_is_always_shown,
    excluded_attributes_hide_what_they_name_but_not_what_is_always_shown,
    groups_of_a_user_can_be_selected,
    every_answer_with_a_resource_is_projected,
    both_parameters_at_once_are_400,
    malformed_name_is_400_and_stores_nothing,
];

fn rich_user() -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "userName": "ada",
        "name": {"familyName": "Lane", "givenName": "Ada"},
        "emails": [{"value": "a@x.org", "type": "work"}, {"value": "b@x.org", "type": "home"}],
        ENTERPRISE: {"employeeNumber": "7", "department": "R&D"},
    })
}

fn attributes_show_only_what_they_name_and_what_is_always_shown(app: &TestApp) {
    let id = create(&app.scim, "/Users", rich_user());
    let number = format!("{ENTERPRISE}:employeeNumber");
    let urn_name = format!("{USER}:userName");
    for (names, shown) in [
        ("userName", json!({"userName": "ada"})),
        ("USERNAME", json!({"userName": "ada"})),
        (&urn_name, json!({"userName": "ada"})),
        ("userName, active", json!({"userName": "ada", "active": true})),
        ("name.givenName", json!({"name": {"givenName": "Ada"}})),
        ("name", json!({"name": {"familyName": "Lane", "givenName": "Ada"}})),
        ("emails.value", json!({"emails": [{"value": "a@x.org"}, {"value": "b@x.org"}]})),
        (&number, json!({ENTERPRISE: {"employeeNumber": "7"}})),
        (ENTERPRISE, json!({ENTERPRISE: {"employeeNumber": "7", "department": "R&D"}})),
        ("meta.version", json!({"meta": {"version": "W/\"1\""}})),
        ("id", json!({})),
        ("title", json!({})),
        ("shoeSize", json!({})),
        ("password", json!({})),
    ] {
        let mut expected = json!({"schemas": [USER, ENTERPRISE], "id": id});
        let extra = shown.as_object().expect("an object").clone();
        expected.as_object_mut().expect("an object").extend(extra);
        let names = names.replace(' ', "%20");
        let one = app.scim.get(&format!("/Users/{id}?attributes={names}")).expect(200);
        assert_eq!(one.body, expected, "{names}");
        let list = app.scim.get(&format!("/Users?attributes={names}")).expect(200);
        assert_eq!(list.body["Resources"], json!([expected]), "{names}");
    }
}

fn excluded_attributes_hide_what_they_name_but_not_what_is_always_shown(app: &TestApp) {
    let made = app.scim.post("/Users", rich_user()).expect(201);
    let id = made.id();
    let number = format!("{ENTERPRISE}:employeeNumber");
    for (names, pointer, left) in [
        ("userName", "/userName", json!(null)),
        ("id,schemas", "/id", json!(id)),
        ("name.givenName", "/name", json!({"familyName": "Lane"})),
        ("emails.type", "/emails", json!([{"value": "a@x.org"}, {"value": "b@x.org"}])),
        ("EMAILS", "/emails", json!(null)),
        (number.as_str(), &format!("/{ENTERPRISE}"), json!({"department": "R&D"})),
        (ENTERPRISE, &format!("/{ENTERPRISE}"), json!(null)),
        ("meta", "/meta", json!(null)),
        ("shoeSize", "", made.body.clone()),
    ] {
        let one = app.scim.get(&format!("/Users/{id}?excludedAttributes={names}")).expect(200);
        let found = one.body.pointer(pointer).cloned().unwrap_or(Value::Null);
        assert_eq!(found, left, "{names}");
        let list = app.scim.get(&format!("/Users?excludedAttributes={names}")).expect(200);
        assert_eq!(list.body["Resources"], json!([one.body]), "{names}");
    }
}

fn groups_of_a_user_can_be_selected(app: &TestApp) {
    let ada = create(&app.scim, "/Users", plain_user("ada"));
    let staff = create(&app.scim, "/Groups", group("Staff", &[&ada]));
    let path = format!("/Users/{ada}");
    let only = app.scim.get(&format!("{path}?attributes=groups.display")).expect(200);
    let expected = json!({"schemas": [USER], "id": ada, "groups": [{"display": "Staff"}]});
    assert_eq!(only.body, expected);
    let without = app.scim.get(&format!("{path}?excludedAttributes=groups")).expect(200);
    assert_eq!(without.body.get("groups"), None);
    let members = app.scim.get(&format!("/Groups/{staff}?attributes=members.value")).expect(200);
    assert_eq!(members.body["members"], json!([{"value": ada}]));
    assert_eq!(members.body.get("displayName"), None);
}

fn every_answer_with_a_resource_is_projected(app: &TestApp) {
    let made = app.scim.post("/Users?attributes=userName", rich_user()).expect(201);
    let expected =
        |name: &str| json!({"schemas": [USER, ENTERPRISE], "id": made.id(), "userName": name});
    assert_eq!(made.body, expected("ada"));
    assert_eq!(made.header("etag"), Some("W/\"1\""));
    let path = format!("/Users/{}?attributes=userName", made.id());
    let mut body = rich_user();
    body["userName"] = json!("eve");
    assert_eq!(app.scim.put(&path, body).expect(200).body, expected("eve"));
    let operations = json!([{"op": "replace", "path": "userName", "value": "zoe"}]);
    assert_eq!(app.scim.patch(&path, patch(operations)).expect(200).body, expected("zoe"));
}

fn both_parameters_at_once_are_400(app: &TestApp) {
    let id = create(&app.scim, "/Users", plain_user("ada"));
    for path in ["/Users".to_owned(), format!("/Users/{id}")] {
        let answer = app.scim.get(&format!("{path}?attributes=name&excludedAttributes=emails"));
        let detail = answer.expect_scim_error(400, Some("invalidValue"));
        assert!(detail.contains("\"attributes\""), "{detail}");
        assert!(detail.contains("\"excludedAttributes\""), "{detail}");
    }
    app.scim.get("/Users?attributes=&excludedAttributes=emails").expect(200);
}

fn malformed_name_is_400_and_stores_nothing(app: &TestApp) {
    for parameter in ["attributes", "excludedAttributes"] {
        for name in ["emails%5B", "a%20b", "9", "name..x"] {
            let answer = app.scim.post(&format!("/Users?{parameter}={name}"), rich_user());
            answer.expect_scim_error(400, Some("invalidValue"));
        }
    }
    super::assert_nothing_stored(app);
}
