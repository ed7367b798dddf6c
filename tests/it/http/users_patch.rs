//! PATCH /Users/{id} (RFC 7644 §3.5.2).

use std::time::Duration;

use serde_json::{Value, json};

use super::{NOW, USER, create, plain_user};
use crate::on_both_databases;
use crate::support::{ENTERPRISE, TestApp, patch};

on_both_databases![
    operations_change_what_they_name,
    removes_take_away_what_they_name,
    operations_without_a_path_name_their_attributes,
    operations_apply_in_order,
    words_are_read_in_any_letter_case,
    refused_operation_undoes_those_before_it,
    patch_that_changes_nothing_keeps_version_time_and_silence,
    patch_moves_version_and_last_modified,
    extension_comes_and_goes_with_its_schema,
    deactivation_and_reactivation_are_told_with_previous_attributes,
    rename_to_a_taken_user_name_is_409,
    unknown_path_is_kept_for_the_app_and_the_rest_applies,
];

/// A user with two addresses, a name and an extension.
fn rich_user(name: &str) -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "userName": name,
        "displayName": "Ada Lane",
        "name": {"familyName": "Lane", "givenName": "Ada"},
        "emails": [
            {"value": "w@example.com", "type": "work", "primary": true},
            {"value": "h@example.com", "type": "home"},
        ],
        ENTERPRISE: {"department": "R&D", "manager": {"value": "boss"}},
    })
}

/// Applies each row's operations to a fresh user; the pointer then shows the value.
fn assert_each(app: &TestApp, table: &[(Value, &str, Value)]) {
    for (index, (operations, pointer, expected)) in table.iter().enumerate() {
        let id = create(&app.scim, "/Users", rich_user(&format!("user{index}")));
        let path = format!("/Users/{id}");
        let answer = app.scim.patch(&path, patch(operations.clone())).expect(200);
        let found = |body: &Value| body.pointer(pointer).cloned().unwrap_or(Value::Null);
        assert_eq!(found(&answer.body), *expected, "{operations} in {}", answer.text);
        assert_eq!(app.scim.get(&path).expect(200).body, answer.body, "{operations}");
    }
}

fn operations_change_what_they_name(app: &TestApp) {
    let dept = format!("{ENTERPRISE}:department");
    let enterprise = format!("/{ENTERPRISE}");
    let home = json!({"value": "h@example.com", "type": "home"});
    let work = json!({"value": "w@example.com", "type": "work", "primary": true});
    let other = json!({"value": "o@example.com", "type": "other"});
    assert_each(
        app,
        &[
            (json!([{"op": "add", "path": "title", "value": "Dr"}]), "/title", json!("Dr")),
            (json!([{"op": "replace", "path": "title", "value": "Dr"}]), "/title", json!("Dr")),
            (json!([{"op": "add", "path": "userName", "value": "zoe"}]), "/userName", json!("zoe")),
            (
                json!([{"op": "replace", "path": "name.givenName", "value": "Eve"}]),
                "/name",
                json!({"familyName": "Lane", "givenName": "Eve"}),
            ),
            (
                json!([{"op": "replace", "path": "name", "value": {"givenName": "Eve"}}]),
                "/name",
                json!({"familyName": "Lane", "givenName": "Eve"}),
            ),
            (
                json!([{"op": "add", "path": "emails", "value": [other]}]),
                "/emails",
                json!([work, home, other]),
            ),
            (
                json!([{"op": "add", "path": "emails", "value": other}]),
                "/emails",
                json!([work, home, other]),
            ),
            (
                json!([{"op": "add", "path": "emails", "value": [home]}]),
                "/emails",
                json!([work, home]),
            ),
            (
                json!([{"op": "replace", "path": "emails", "value": [other]}]),
                "/emails",
                json!([other]),
            ),
            (
                json!([{"op": "replace", "path": "emails[type eq \"HOME\"].value", "value": "x@y.z"}]),
                "/emails/1",
                json!({"value": "x@y.z", "type": "home"}),
            ),
            (
                json!([{"op": "replace", "path": "emails[value sw \"h@\"]", "value": other}]),
                "/emails/1",
                other.clone(),
            ),
            (
                json!([{"op": "add", "path": "emails[type eq \"other\"].value", "value": "x@y.z"}]),
                "/emails/2",
                json!({"value": "x@y.z", "type": "other"}),
            ),
            (
                json!([{"op": "replace", "path": "emails[type eq \"home\"].primary", "value": true}]),
                "/emails",
                json!([
                    {"value": "w@example.com", "type": "work", "primary": false},
                    {"value": "h@example.com", "type": "home", "primary": true},
                ]),
            ),
            (
                json!([{"op": "replace", "path": dept, "value": "Ops"}]),
                &enterprise,
                json!({"department": "Ops", "manager": {"value": "boss"}}),
            ),
            (
                json!([{"op": "add", "path": format!("{ENTERPRISE}:manager.value"), "value": "m"}]),
                &enterprise,
                json!({"department": "R&D", "manager": {"value": "m"}}),
            ),
            (
                json!([{"op": "add", "path": ENTERPRISE, "value": {"division": "X"}}]),
                &enterprise,
                json!({"division": "X", "department": "R&D", "manager": {"value": "boss"}}),
            ),
            (
                json!([{"op": "add", "path": format!("{USER}:nickName"), "value": "A"}]),
                "/nickName",
                json!("A"),
            ),
        ],
    );
}

fn removes_take_away_what_they_name(app: &TestApp) {
    let work = json!({"value": "w@example.com", "type": "work", "primary": true});
    let home = json!({"value": "h@example.com", "type": "home"});
    let enterprise = format!("/{ENTERPRISE}");
    assert_each(
        app,
        &[
            (json!([{"op": "remove", "path": "displayName"}]), "/displayName", json!(null)),
            (json!([{"op": "remove", "path": "nickName"}]), "/userName", json!("user1")),
            (
                json!([{"op": "replace", "path": "displayName", "value": null}]),
                "/displayName",
                json!(null),
            ),
            (
                json!([{"op": "remove", "path": "name.givenName"}]),
                "/name",
                json!({"familyName": "Lane"}),
            ),
            (json!([{"op": "remove", "path": "emails"}]), "/emails", json!(null)),
            (json!([{"op": "replace", "path": "emails", "value": []}]), "/emails", json!(null)),
            (
                json!([{"op": "remove", "path": "emails[type eq \"work\"]"}]),
                "/emails",
                json!([home]),
            ),
            (
                json!([{"op": "remove", "path": "emails[type eq \"none\"]"}]),
                "/emails",
                json!([work, home]),
            ),
            (
                json!([{"op": "remove", "path": "emails", "value": [{"value": "w@example.com"}]}]),
                "/emails",
                json!([home]),
            ),
            (
                json!([{"op": "remove", "path": "emails[type eq \"home\"].type"}]),
                "/emails/1",
                json!({"value": "h@example.com"}),
            ),
            (
                json!([{"op": "remove", "path": format!("{ENTERPRISE}:manager")}]),
                &enterprise,
                json!({"department": "R&D"}),
            ),
            (json!([{"op": "remove", "path": ENTERPRISE}]), &enterprise, json!(null)),
        ],
    );
}

fn operations_without_a_path_name_their_attributes(app: &TestApp) {
    let dept = format!("{ENTERPRISE}:department");
    let enterprise = format!("/{ENTERPRISE}/department");
    assert_each(
        app,
        &[
            (json!([{"op": "add", "value": {"title": "Dr"}}]), "/title", json!("Dr")),
            (
                json!([{"op": "replace", "value": {"name.givenName": "Eve"}}]),
                "/name",
                json!({"familyName": "Lane", "givenName": "Eve"}),
            ),
            (json!([{"op": "replace", "value": {dept: "Ops"}}]), &enterprise, json!("Ops")),
            (
                json!([{"op": "replace", "value": {ENTERPRISE: {"department": "Ops"}}}]),
                &enterprise,
                json!("Ops"),
            ),
            (
                json!([{"op": "replace", "value": {"displayName": null}}]),
                "/displayName",
                json!(null),
            ),
            // What a client was shown it may send back.
            (
                json!([{"op": "replace", "value": {"id": "x", "meta": {}, "title": "Dr"}}]),
                "/title",
                json!("Dr"),
            ),
        ],
    );
}

fn operations_apply_in_order(app: &TestApp) {
    assert_each(
        app,
        &[
            (
                json!([
                    {"op": "add", "path": "title", "value": "a"},
                    {"op": "replace", "path": "title", "value": "b"},
                ]),
                "/title",
                json!("b"),
            ),
            (
                json!([
                    {"op": "remove", "path": "emails"},
                    {"op": "add", "path": "emails", "value": [{"value": "n@example.com"}]},
                ]),
                "/emails",
                json!([{"value": "n@example.com"}]),
            ),
        ],
    );
}

fn words_are_read_in_any_letter_case(app: &TestApp) {
    let path = format!("/Users/{}", create(&app.scim, "/Users", rich_user("ada")));
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "operations": [
            {"Op": "Replace", "PATH": "EMAILS[TYPE EQ \"work\"].VALUE", "Value": "x@y.z"},
            {"op": "ADD", "path": "TITLE", "value": "Dr"},
        ],
    });
    let answer = app.scim.patch(&path, body).expect(200);
    assert_eq!(answer.body["emails"][0]["value"], "x@y.z");
    assert_eq!(answer.body["title"], "Dr");
}

fn refused_operation_undoes_those_before_it(app: &TestApp) {
    let made = app.scim.post("/Users", rich_user("ada")).expect(201);
    let path = format!("/Users/{}", made.id());
    let operations = json!([
        {"op": "replace", "path": "title", "value": "Dr"},
        {"op": "replace", "path": "active", "value": "perhaps"},
    ]);
    let detail =
        app.scim.patch(&path, patch(operations)).expect_scim_error(400, Some("invalidValue"));
    assert!(detail.contains("\"active\"") && detail.contains("perhaps"), "{detail}");
    assert_eq!(app.scim.get(&path).expect(200).body, made.body);
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

fn patch_that_changes_nothing_keeps_version_time_and_silence(app: &TestApp) {
    let made = app.scim.post("/Users", rich_user("ada")).expect(201);
    let path = format!("/Users/{}", made.id());
    app.clock.advance(Duration::from_secs(60));
    for operations in [
        json!([{"op": "replace", "path": "displayName", "value": "Ada Lane"}]),
        json!([{"op": "remove", "path": "nickName"}]),
        json!([{"op": "add", "path": "emails", "value": []}]),
        json!([
            {"op": "add", "path": "title", "value": "Dr"},
            {"op": "remove", "path": "title"},
        ]),
    ] {
        let answer = app.scim.patch(&path, patch(operations)).expect(200);
        assert_eq!(answer.body, made.body);
        assert_eq!(answer.header("etag"), Some("W/\"1\""));
    }
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

fn patch_moves_version_and_last_modified(app: &TestApp) {
    let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
    app.clock.advance(Duration::from_millis(1_500));
    let operations = json!([{"op": "add", "path": "title", "value": "Dr"}]);
    let answer = app.scim.patch(&path, patch(operations)).expect(200);
    assert_eq!(answer.header("etag"), Some("W/\"2\""));
    assert_eq!(answer.body["meta"]["created"], NOW);
    assert_eq!(answer.body["meta"]["lastModified"], "2025-06-15T15:06:41.500Z");
}

fn extension_comes_and_goes_with_its_schema(app: &TestApp) {
    let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
    let number = format!("{ENTERPRISE}:employeeNumber");
    let filter = format!("{number} eq \"7\"");
    let add = patch(json!([{"op": "add", "path": number, "value": "7"}]));
    let with = app.scim.patch(&path, add).expect(200);
    assert_eq!(with.body["schemas"], json!([USER, ENTERPRISE]));
    assert_eq!(app.scim.filter("/Users", &filter).total(), 1);
    let remove = patch(json!([{"op": "remove", "path": number}]));
    let without = app.scim.patch(&path, remove).expect(200);
    assert_eq!(without.body["schemas"], json!([USER]));
    assert_eq!(app.scim.filter("/Users", &filter).total(), 0);
}

fn deactivation_and_reactivation_are_told_with_previous_attributes(app: &TestApp) {
    let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
    for (active, state, before) in [(false, "inactive", "active"), (true, "active", "inactive")] {
        let operations = json!([{"op": "replace", "path": "active", "value": active}]);
        let answer = app.scim.patch(&path, patch(operations)).expect(200);
        assert_eq!(answer.body["active"], active);
        let (name, data) = app.events(&app.directory).pop().expect("an event");
        assert_eq!((name.as_str(), &data["state"]), ("dsync.user.updated", &json!(state)));
        let previous = json!({"state": before, "raw_attributes": {"active": !active}});
        assert_eq!(data["previous_attributes"], previous);
        assert_eq!(app.scim.filter("/Users", &format!("active eq {active}")).total(), 1);
    }
}

fn rename_to_a_taken_user_name_is_409(app: &TestApp) {
    create(&app.scim, "/Users", plain_user("ben"));
    let made = app.scim.post("/Users", plain_user("ada")).expect(201);
    let path = format!("/Users/{}", made.id());
    let operations = json!([{"op": "replace", "path": "userName", "value": "Ben"}]);
    app.scim.patch(&path, patch(operations)).expect_scim_error(409, Some("uniqueness"));
    assert_eq!(app.scim.get(&path).expect(200).body, made.body);
}

fn unknown_path_is_kept_for_the_app_and_the_rest_applies(app: &TestApp) {
    let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
    let operations = json!([
        {"op": "add", "path": "shoeSize", "value": 38},
        {"op": "add", "path": "title", "value": "Dr"},
    ]);
    let answer = app.scim.patch(&path, patch(operations)).expect(200);
    assert_eq!(answer.body["title"], "Dr");
    assert!(!answer.text.contains("shoeSize"), "{}", answer.text);
    let (_, data) = app.events(&app.directory).pop().expect("an event");
    assert_eq!(data["raw_attributes"]["shoeSize"], 38);
    assert_eq!(
        data["previous_attributes"],
        json!({"job_title": null, "raw_attributes": {"title": null, "shoeSize": null}})
    );
}
