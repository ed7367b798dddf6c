//! PATCH as a part of the resource, and methods that a header overrides.

use serde_json::{Value, json};

use super::{CORE, ENTERPRISE_1, assert_older, client, refused, user};
use crate::http::create;
use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp};

on_both_databases![
    part_of_a_user_is_merged_into_it,
    elements_are_found_by_value_and_removed_by_operation,
    elements_that_share_a_value_are_told_apart_by_type,
    refused_patch_changes_nothing,
    patch_means_the_same_under_every_profile,
    method_is_overridden_by_the_header,
    group_patch_is_answered_as_the_profile_says,
];

fn made(scim: &Client) -> String {
    let mut body = user("ada@example.com");
    body["title"] = json!("Dr");
    body[ENTERPRISE_1] = json!({"department": "D", "costCenter": "C"});
    format!("/Users/{}", create(scim, "/Users", body))
}

fn part_of_a_user_is_merged_into_it(app: &TestApp) {
    let scim = client(app);
    let path = made(&scim);
    let body = json!({
        "schemas": [CORE, ENTERPRISE_1],
        "active": "false",
        "name": {"givenName": "New"},
        "meta": {"attributes": ["title", format!("{ENTERPRISE_1}:costCenter")]},
        ENTERPRISE_1: {"manager": {"managerId": "m"}},
    });
    let patched = scim.patch(&path, body).expect(200);
    assert_older(&patched);
    assert_eq!(patched.body["active"], false);
    assert_eq!(patched.body["name"], json!({"familyName": "Family", "givenName": "New"}));
    assert_eq!(patched.body.get("title"), None);
    assert_eq!(
        patched.body[ENTERPRISE_1],
        json!({"department": "D", "manager": {"managerId": "m"}})
    );
    assert_eq!(patched.body["emails"].as_array().map(Vec::len), Some(1));
    assert_eq!(scim.get(&path).expect(200).body, patched.body);
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created", "dsync.user.updated"]);

    let unchanged = scim.patch(&path, json!({"schemas": [CORE], "active": false})).expect(200);
    assert_eq!(unchanged.body, patched.body);
    assert_eq!(app.event_names(&app.directory).len(), 2);
}

fn elements_are_found_by_value_and_removed_by_operation(app: &TestApp) {
    let scim = client(app);
    let path = made(&scim);
    let send = |emails: Value| scim.patch(&path, json!({"emails": emails})).expect(200);
    let both = send(json!([{"value": "new@example.com", "type": "home", "primary": true}]));
    assert_eq!(
        both.body["emails"],
        json!([
            {"value": "ada@example.com", "type": "work", "primary": false},
            {"value": "new@example.com", "type": "home", "primary": true},
        ])
    );
    let merged = send(json!([{"value": "NEW@example.com", "display": "New"}]));
    assert_eq!(
        merged.body["emails"][1],
        json!({"value": "NEW@example.com", "display": "New", "type": "home", "primary": true})
    );
    let one = send(json!([{"value": "new@example.com", "operation": "delete"}]));
    assert_eq!(one.body["emails"].as_array().map(Vec::len), Some(1));
    let none = send(json!([{"value": "ada@example.com", "operation": "delete"}]));
    assert_eq!(none.body.get("emails"), None);
}

fn elements_that_share_a_value_are_told_apart_by_type(app: &TestApp) {
    let scim = client(app);
    let path = made(&scim);
    let send = |numbers: Value| {
        let answer = scim.patch(&path, json!({"phoneNumbers": numbers})).expect(200);
        answer.body["phoneNumbers"].clone()
    };
    let two = json!([{"value": "555", "type": "work"}, {"value": "555", "type": "mobile"}]);
    assert_eq!(send(two.clone()), two);
    assert_eq!(
        send(two),
        json!([{"value": "555", "type": "work"}, {"value": "555", "type": "mobile"}])
    );
    let one = send(json!([{"value": "555", "type": "work", "operation": "delete"}]));
    assert_eq!(one, json!([{"value": "555", "type": "mobile"}]));
    // What is there once takes the new type.
    let other = send(json!([{"value": "555", "type": "home"}]));
    assert_eq!(other, json!([{"value": "555", "type": "home"}]));
}

fn refused_patch_changes_nothing(app: &TestApp) {
    let scim = client(app);
    let path = made(&scim);
    let before = scim.get(&path).expect(200).body;
    for (wrong, named) in [
        (json!({"userName": null}), "userName"),
        (json!({"emails": [{"value": "n@example.com", "primary": "perhaps"}]}), "emails.primary"),
        (json!({"emails": [{"operation": "delete"}]}), "emails"),
        (json!({"meta": {"attributes": "title"}}), "meta.attributes"),
        (json!({"meta": {"attributes": ["userName"]}}), "userName"),
        (json!({"meta": {"attributes": ["id"]}}), "id"),
        (json!({ENTERPRISE_1: {"employeeNumber": 7}}), ENTERPRISE_1),
        (json!({ENTERPRISE_1: {"manager": {"managerId": 7}}}), "manager.managerId"),
    ] {
        let mut body = json!({"title": "other", "active": false});
        body.as_object_mut().expect("an object").extend(wrong.as_object().expect("one").clone());
        let description = refused(&scim.patch(&path, body), 400);
        assert!(description.contains(named), "{wrong}: {description}");
        assert_eq!(scim.get(&path).expect(200).body, before, "{wrong}");
    }
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

fn patch_means_the_same_under_every_profile(app: &TestApp) {
    let mut seen: Vec<Value> = Vec::new();
    for kind in ["scim.generic", "scim.rfc", "scim.strict", "scim.entra", "scim.okta"] {
        let (directory, _) = app.directory(kind);
        let scim = super::client_of(&directory);
        let path = made(&scim);
        let body = json!({
            "schemas": [CORE],
            "meta": {"attributes": ["title"]},
            "name": {"givenName": "New"},
            "emails": [
                {"value": "ada@example.com", "operation": "delete"},
                {"value": "n@example.com", "type": "home", "primary": true}
            ],
            ENTERPRISE_1: {"department": "E"},
        });
        let mut patched = scim.patch(&path, body).expect(200).body;
        let known = patched.as_object_mut().expect("an object");
        known.remove("id");
        known.remove("meta");
        seen.push(patched);
    }
    assert!(seen.windows(2).all(|two| two[0] == two[1]), "{seen:#?}");
}

fn method_is_overridden_by_the_header(app: &TestApp) {
    let scim = client(app);
    let path = made(&scim);
    let send = |method: &str, target: &str, word: &str, body: Value| -> Answer {
        let headers = [("X-HTTP-Method-Override", word)];
        scim.send(method, target, &headers, Some(body.to_string()))
    };
    let patched = send("POST", &path, "PATCH", json!({"title": "Prof"})).expect(200);
    assert_eq!(patched.body["title"], "Prof");
    let replaced = send("POST", &path, "put", user("ada@example.com")).expect(200);
    assert_eq!(replaced.body.get("title"), None);
    // Only a POST stands for another method.
    send("PUT", &path, "DELETE", user("ada@example.com")).expect(200);
    let description = refused(&send("POST", &path, "TRACE", json!({})), 400);
    assert!(description.contains("TRACE"), "{description}");
    refused(&send("POST", "/Users", "PATCH", json!({})), 405);
    refused(&scim.post(&path, json!({})), 405);
    assert_eq!(send("POST", &path, "DELETE", json!({})).expect(204).text, "");
    refused(&scim.get(&path), 404);
    // A token that may only read does not write in disguise.
    let tokens = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let token = app.api.post(&tokens, json!({"scope": "read"})).expect(201);
    let reader = scim.with_bearer(token.body["secret"].as_str());
    let headers = [("X-HTTP-Method-Override", "DELETE")];
    refused(&reader.send("POST", &path, &headers, None), 403);
}

fn group_patch_is_answered_as_the_profile_says(app: &TestApp) {
    let (directory, _) = app.directory("scim.entra");
    let scim = super::client_of(&directory);
    let path = format!("/Groups/{}", create(&scim, "/Groups", super::group("Staff", &[])));
    let answer = scim.patch(&path, json!({"displayName": "All"})).expect(204);
    assert_eq!((answer.text.as_str(), answer.header("etag")), ("", Some("W/\"2\"")));
    let shown = scim.patch(&format!("{path}?attributes=displayName"), json!({"displayName": "A"}));
    assert_eq!(shown.expect(200).body["displayName"], "A");
}
