//! The life of a user, and the same user seen by both versions of the protocol.

use std::time::Duration;

use serde_json::json;

use super::{CORE, ENTERPRISE_1, assert_older, base_of, client, refused, user};
use crate::http::{NOW, USER};
use crate::on_both_databases;
use crate::support::{ENTERPRISE, TestApp};

on_both_databases![
    user_is_created_read_replaced_and_deleted,
    enterprise_extension_has_the_names_of_1_1,
    password_is_accepted_and_shown_nowhere,
    versions_guard_reads_and_writes,
    both_versions_show_the_same_user,
    put_clears_what_it_leaves_out_but_keeps_active,
    projection_selects_attributes,
];

fn user_is_created_read_replaced_and_deleted(app: &TestApp) {
    let scim = client(app);
    let mut body = user("ada@example.com");
    body["id"] = json!("mine");
    body["meta"] = json!({"created": "05-17-2018 00:00:00", "version": "v1.0"});
    let made = scim.post("/Users", body).expect(201);
    assert_older(&made);
    let id = made.id();
    let location = format!("{}/Users/{id}", base_of(&app.directory));
    assert_eq!(made.header("location"), Some(location.as_str()));
    assert_eq!(made.header("etag"), Some("W/\"1\""));
    assert_ne!(id, "mine");
    let expected = json!({
        "schemas": [CORE],
        "id": id,
        "userName": "ada@example.com",
        "name": {"familyName": "Family", "givenName": "Given"},
        "active": true,
        "emails": [{"value": "ada@example.com", "type": "work", "primary": true}],
        "meta": {"created": NOW, "lastModified": NOW, "version": "W/\"1\"", "location": location},
    });
    assert_eq!(made.body, expected);

    let path = format!("/Users/{id}");
    let read = scim.get(&path).expect(200);
    assert_eq!((&read.body, read.header("location")), (&expected, Some(location.as_str())));
    assert_eq!(scim.send("HEAD", &path, &[], None).expect(200).text, "");

    app.clock.advance(Duration::from_secs(1));
    let mut body = read.body;
    body["title"] = json!("Dr");
    body["active"] = json!("False");
    let replaced = scim.put(&path, body).expect(200);
    assert_older(&replaced);
    assert_eq!(replaced.body["title"], "Dr");
    assert_eq!(replaced.body["active"], false);
    assert_eq!(replaced.body["meta"]["version"], "W/\"2\"");
    assert_eq!(replaced.body["meta"]["created"], NOW);

    assert_eq!(scim.delete(&path).expect(204).text, "");
    refused(&scim.get(&path), 404);
    refused(&scim.delete(&path), 404);
    refused(&scim.put(&path, user("ada@example.com")), 404);
    assert_eq!(scim.get("/Users").total(), 0);
    assert_eq!(
        app.event_names(&app.directory),
        ["dsync.user.created", "dsync.user.updated", "dsync.user.deleted"]
    );
    scim.post("/Users", user("ADA@example.com")).expect(201);
}

fn enterprise_extension_has_the_names_of_1_1(app: &TestApp) {
    let scim = client(app);
    let manager = scim.post("/Users", user("boss@example.com")).expect(201).id();
    let mut body = user("ada@example.com");
    body["schemas"] = json!([CORE, ENTERPRISE_1]);
    body[ENTERPRISE_1] =
        json!({"employeeNumber": "7", "manager": {"managerId": manager, "displayName": "ignored"}});
    let made = scim.post("/Users", body.clone()).expect(201);
    assert_older(&made);
    assert_eq!(made.body["schemas"], json!([CORE, ENTERPRISE_1]));
    assert_eq!(
        made.body[ENTERPRISE_1],
        json!({"employeeNumber": "7", "manager": {"managerId": manager}})
    );
    let newer = app.scim.get(&format!("/Users/{}", made.id())).expect(200);
    assert_eq!(newer.body[ENTERPRISE]["manager"]["value"], manager);

    // The URI may be missing from `schemas`, and its letter case does not matter.
    let number = body[ENTERPRISE_1].take();
    let body = json!({"userName": "ben", ENTERPRISE_1.to_uppercase(): number});
    let made = scim.post("/Users", body).expect(201);
    assert_eq!(made.body[ENTERPRISE_1]["employeeNumber"], "7");
}

fn password_is_accepted_and_shown_nowhere(app: &TestApp) {
    let scim = client(app);
    let mut body = user("ada@example.com");
    body["password"] = json!("1mz050nq");
    body["urn:okta:custom:user:1.0"] = json!({"password": "1mz050nq", "shoe": 41});
    let made = scim.post("/Users", body.clone()).expect(201);
    let path = format!("/Users/{}", made.id());
    let patch = json!({"schemas": [CORE], "password": "1mz050nq"});
    for answer in [
        made,
        scim.patch(&path, patch).expect(200),
        scim.put(&path, body).expect(200),
        scim.get(&format!("{path}?attributes=password,userName")).expect(200),
        scim.get("/Users").expect(200),
        app.scim.get(&path).expect(200),
    ] {
        assert!(!answer.text.contains("1mz050nq"), "{}", answer.text);
        assert!(!answer.text.contains("\"password\""), "{}", answer.text);
    }
    let told = format!("{:?}", app.events(&app.directory));
    assert!(!told.contains("1mz050nq"), "{told}");
}

fn versions_guard_reads_and_writes(app: &TestApp) {
    let scim = client(app);
    let path = format!("/Users/{}", scim.post("/Users", user("ada@example.com")).expect(201).id());
    let get = |tag: &str| scim.send("GET", &path, &[("If-None-Match", tag)], None);
    assert_eq!(get("W/\"1\"").expect(304).text, "");
    get("W/\"2\"").expect(200);
    let send = |method: &str, tag: &str, body: serde_json::Value| {
        scim.send(method, &path, &[("If-Match", tag)], Some(body.to_string()))
    };
    let description = refused(&send("PUT", "W/\"9\"", user("eve@example.com")), 412);
    assert!(!description.is_empty());
    refused(&send("PATCH", "W/\"9\"", json!({"title": "x"})), 412);
    refused(&send("DELETE", "W/\"9\"", json!(null)), 412);
    assert_eq!(get("W/\"1\"").expect(304).text, "", "nothing was changed");
    let patched = send("PATCH", "W/\"1\"", json!({"title": "x"})).expect(200);
    assert_eq!(patched.header("etag"), Some("W/\"2\""));
    send("PUT", "W/\"2\"", user("ada@example.com")).expect(200);
    send("DELETE", "W/\"3\"", json!(null)).expect(204);
}

fn both_versions_show_the_same_user(app: &TestApp) {
    let scim = client(app);
    let older = scim.post("/Users", user("ada@example.com")).expect(201);
    let path = format!("/Users/{}", older.id());
    let newer = app.scim.get(&path).expect(200);
    assert_eq!(newer.body["schemas"], json!([USER]));
    assert_eq!(newer.body["emails"], older.body["emails"]);
    assert_eq!(newer.body["meta"]["location"], format!("{}{path}", app.scim.base));
    assert_eq!(newer.header("etag"), older.header("etag"));

    let operations = json!([{"op": "replace", "path": "title", "value": "Dr"}]);
    app.scim.patch(&path, crate::support::patch(operations)).expect(200);
    let read = scim.get(&path).expect(200);
    assert_older(&read);
    assert_eq!(read.body["title"], "Dr");
    refused(&app_duplicate(app), 409);
    app.scim.delete(&path).expect(204);
    refused(&scim.get(&path), 404);
}

/// A create by 1.1 of a user that 2.0 shows.
fn app_duplicate(app: &TestApp) -> crate::support::Answer {
    client(app).post("/Users", user("ADA@example.com"))
}

fn put_clears_what_it_leaves_out_but_keeps_active(app: &TestApp) {
    let scim = client(app);
    let mut body = user("ada@example.com");
    body["active"] = json!(false);
    body["title"] = json!("Dr");
    let path = format!("/Users/{}", scim.post("/Users", body).expect(201).id());
    let replaced = scim.put(&path, json!({"userName": "ada@example.com"})).expect(200);
    let members: Vec<&String> = replaced.body.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["schemas", "id", "userName", "active", "meta"]);
    assert_eq!(replaced.body["active"], false);
}

fn projection_selects_attributes(app: &TestApp) {
    let scim = client(app);
    let mut body = user("ada@example.com");
    body[ENTERPRISE_1] = json!({"department": "D", "manager": {"managerId": "m"}});
    let id = scim.post("/Users", body).expect(201).id();
    for (names, expected) in [
        (
            "userName",
            json!({"schemas": [CORE, ENTERPRISE_1], "id": id, "userName": "ada@example.com"}),
        ),
        (
            "urn:scim:schemas:core:1.0:name.givenName",
            json!({"schemas": [CORE, ENTERPRISE_1], "id": id, "name": {"givenName": "Given"}}),
        ),
        (
            "urn:scim:schemas:extension:enterprise:1.0:manager.managerId",
            json!({
                "schemas": [CORE, ENTERPRISE_1], "id": id,
                ENTERPRISE_1: {"manager": {"managerId": "m"}}
            }),
        ),
    ] {
        let read = scim.get(&format!("/Users/{id}?attributes={names}")).expect(200);
        assert_eq!(read.body, expected, "{names}");
        let patched = scim.patch(&format!("/Users/{id}?attributes={names}"), json!({}));
        assert_eq!(patched.expect(200).body, expected, "{names}");
    }
    refused(&scim.get(&format!("/Users/{id}?attributes=not+a+name!")), 400);
}
