//! PUT /Users/{id} (RFC 7644 §3.5.1).

use std::time::Duration;

use serde_json::json;

use super::{NOW, USER, create, plain_user};
use crate::on_both_databases;
use crate::support::{ENTERPRISE, TestApp, user};

on_both_databases![
    replace_clears_what_is_left_out_but_not_active,
    replace_moves_version_and_last_modified,
    replace_with_the_same_content_changes_nothing,
    replace_may_respell_the_own_user_name,
    replace_to_a_taken_user_name_is_409_and_changes_nothing,
    replace_frees_the_old_user_name,
    replace_of_an_unknown_user_is_404_and_makes_none,
    replace_passes_over_read_only_attributes,
    replace_removes_and_adds_an_extension_with_its_schema,
    replace_with_active_false_tells_the_app_inactive,
];

fn replace_clears_what_is_left_out_but_not_active(app: &TestApp) {
    let mut body = user("ada@example.com");
    body["externalId"] = json!("E-1");
    body["active"] = json!(false);
    let path = format!("/Users/{}", create(&app.scim, "/Users", body));
    let replaced = app.scim.put(&path, plain_user("ada@example.com")).expect(200);
    let names: Vec<&String> = replaced.body.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["schemas", "id", "userName", "active", "meta"]);
    assert_eq!(replaced.body["active"], false);
    assert_eq!(app.scim.get(&path).expect(200).body, replaced.body);
    assert_eq!(app.scim.filter("/Users", "externalId eq \"E-1\"").total(), 0);
    assert_eq!(app.scim.filter("/Users", "emails.value eq \"ada@example.com\"").total(), 0);
}

fn replace_moves_version_and_last_modified(app: &TestApp) {
    let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
    app.clock.advance(Duration::from_secs(60));
    let replaced = app.scim.put(&path, plain_user("ada.lane")).expect(200);
    assert_eq!(replaced.header("etag"), Some("W/\"2\""));
    assert_eq!(replaced.body["meta"]["version"], "W/\"2\"");
    assert_eq!(replaced.body["meta"]["created"], NOW);
    assert_eq!(replaced.body["meta"]["lastModified"], "2025-06-15T15:07:40.000Z");
}

fn replace_with_the_same_content_changes_nothing(app: &TestApp) {
    let made = app.scim.post("/Users", user("ada@example.com")).expect(201);
    app.clock.advance(Duration::from_secs(60));
    let path = format!("/Users/{}", made.id());
    for body in [user("ada@example.com"), made.body.clone()] {
        let replaced = app.scim.put(&path, body).expect(200);
        assert_eq!(replaced.body, made.body);
        assert_eq!(replaced.header("etag"), Some("W/\"1\""));
    }
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

fn replace_may_respell_the_own_user_name(app: &TestApp) {
    let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
    let replaced = app.scim.put(&path, plain_user("Ada")).expect(200);
    assert_eq!(replaced.body["userName"], "Ada");
    let (name, data) = app.events(&app.directory).pop().expect("an event");
    assert_eq!(name, "dsync.user.updated");
    assert_eq!(
        data["previous_attributes"],
        json!({"username": "ada", "raw_attributes": {"userName": "ada"}})
    );
}

fn replace_to_a_taken_user_name_is_409_and_changes_nothing(app: &TestApp) {
    create(&app.scim, "/Users", plain_user("ben"));
    let made = app.scim.post("/Users", plain_user("ada")).expect(201);
    let path = format!("/Users/{}", made.id());
    let mut body = plain_user("BEN");
    body["title"] = json!("Boss");
    let detail = app.scim.put(&path, body).expect_scim_error(409, Some("uniqueness"));
    assert!(detail.contains("\"userName\""), "{detail}");
    assert_eq!(app.scim.get(&path).expect(200).body, made.body);
    assert_eq!(app.event_names(&app.directory).len(), 2);
}

fn replace_frees_the_old_user_name(app: &TestApp) {
    let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
    app.scim.put(&path, plain_user("ada.lane")).expect(200);
    create(&app.scim, "/Users", plain_user("ada"));
    assert_eq!(app.scim.filter("/Users", "userName sw \"ada\"").total(), 2);
}

fn replace_of_an_unknown_user_is_404_and_makes_none(app: &TestApp) {
    let group = create(&app.scim, "/Groups", json!({"schemas": [], "displayName": "A"}));
    for id in ["directory_user_01ARZ3NDEKTSV4RRFFQ69G5FAV", "mine", group.as_str()] {
        let answer = app.scim.put(&format!("/Users/{id}"), plain_user("ada"));
        let detail = answer.expect_scim_error(404, None);
        assert!(detail.contains(id), "{detail}");
    }
    assert_eq!(app.scim.get("/Users").total(), 0);
}

fn replace_passes_over_read_only_attributes(app: &TestApp) {
    let made = app.scim.post("/Users", plain_user("ada")).expect(201);
    let path = format!("/Users/{}", made.id());
    let mut body = plain_user("ada");
    body["id"] = json!("other");
    body["groups"] = json!([{"value": "admins"}]);
    body["meta"] = json!({"version": "W/\"9\"", "created": "1999-01-01T00:00:00Z"});
    assert_eq!(app.scim.put(&path, body).expect(200).body, made.body);
}

fn replace_removes_and_adds_an_extension_with_its_schema(app: &TestApp) {
    let mut body = plain_user("ada");
    body[ENTERPRISE] = json!({"employeeNumber": "7", "manager": {"value": "boss"}});
    let made = app.scim.post("/Users", body.clone()).expect(201);
    assert_eq!(made.body["schemas"], json!([USER, ENTERPRISE]));
    let path = format!("/Users/{}", made.id());
    let by_number = format!("{ENTERPRISE}:employeeNumber eq \"7\"");

    let without = app.scim.put(&path, plain_user("ada")).expect(200);
    assert_eq!(without.body["schemas"], json!([USER]));
    assert_eq!(without.body[ENTERPRISE], json!(null));
    assert_eq!(app.scim.filter("/Users", &by_number).total(), 0);

    let with = app.scim.put(&path, body.clone()).expect(200);
    assert_eq!(with.body["schemas"], json!([USER, ENTERPRISE]));
    assert_eq!(with.body[ENTERPRISE], body[ENTERPRISE]);
    assert_eq!(app.scim.filter("/Users", &by_number).total(), 1);
}

fn replace_with_active_false_tells_the_app_inactive(app: &TestApp) {
    let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
    let mut body = plain_user("ada");
    body["active"] = json!(false);
    assert_eq!(app.scim.put(&path, body).expect(200).body["active"], false);
    let (name, data) = app.events(&app.directory).pop().expect("an event");
    assert_eq!(name, "dsync.user.updated");
    assert_eq!(data["state"], "inactive");
    assert_eq!(
        data["previous_attributes"],
        json!({"state": "active", "raw_attributes": {"active": true}})
    );
}
