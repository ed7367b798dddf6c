//! What a record says.

use serde_json::{Value, json};

use super::{listed, newest, path, set, whole};
use crate::http::{GROUP, NOW, USER};
use crate::on_both_databases;
use crate::support::{Client, TestApp, group, patch, user};

const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

on_both_databases![
    create_is_recorded_with_every_field,
    patch_shows_what_was_rewritten_ignored_and_changed,
    put_and_delete_show_what_changed,
    members_are_counted_and_named,
    groups_that_a_user_is_stripped_of_are_named,
    pending_members_show,
    refused_request_shows_its_error_and_no_change,
    quirk_that_no_profile_covers_names_its_path,
    body_that_is_no_json_is_kept_as_text,
    reads_and_failed_reads_are_recorded,
    states_and_scopes_that_refuse_are_recorded,
    bulk_request_is_one_record_with_its_operations,
    accepted_request_is_recorded,
    me_is_recorded_as_its_user,
    requests_of_scim_1_1_are_recorded,
    change_that_is_none_has_no_changes_and_no_events,
];

fn event_ids(app: &TestApp) -> Vec<String> {
    let service = std::sync::Arc::clone(app.service());
    let id = app.directory.id.clone();
    let rows = app.wait(async move {
        service
            .store
            .read("events", move |tx| {
                let row = tx.directory_get(&id)?.expect("the directory");
                tx.event_list(row.key, 0, 1_000)
            })
            .await
    });
    rows.expect("events").into_iter().map(|row| row.id).collect()
}

fn create_is_recorded_with_every_field(app: &TestApp) {
    let body = json!({
        "schemas": [USER], "userName": "ada@example.com", "externalId": "00u1", "shoe": 43,
        "name": {"givenName": "Ada"},
    });
    let headers = [("user-agent", "Okta SCIM Client 1.0.0"), ("x-request-id", "from-the-client")];
    let answer = app.scim.send("POST", "/Users", &headers, Some(body.to_string())).expect(201);
    let record = newest(app);
    assert_eq!(answer.header("x-request-id"), Some("from-the-client"));
    assert_eq!(record["client_request_id"], "from-the-client");
    assert!(record["id"].as_str().expect("an id").starts_with("req_"));
    assert_eq!(record["directory_id"], app.directory.id);
    assert_eq!(record["at"], NOW);
    assert_eq!(record["method"], "POST");
    assert_eq!(record["path"], format!("/scim/v2/{}/Users", app.directory.external_key));
    assert_eq!(record["scim"], "2.0");
    assert_eq!(record["status"], 201);
    assert!(record["duration_ms"].as_f64().expect("a number") >= 0.0);
    assert_eq!(record["client"], "okta");
    assert_eq!(record["user_agent"], "Okta SCIM Client 1.0.0");
    assert_eq!(record["profile"], "generic");
    let resource = json!({"type": "User", "id": answer.id(), "user_name": "ada@example.com"});
    assert_eq!(record["resource"], resource);
    assert_eq!(record["received"], body);
    assert_eq!(record["received_note"], Value::Null);
    assert_eq!(record["ignored"], json!(["shoe"]));
    assert_eq!(
        record["changes"],
        json!([
            {"path": "externalId", "new": "00u1"},
            {"path": "userName", "new": "ada@example.com"},
            {"path": "name.givenName", "new": "Ada"},
            {"path": "active", "new": true},
        ])
    );
    let created = event_ids(app).last().cloned().expect("an event");
    assert_eq!(record["event_ids"], json!([created]));
    assert_eq!(record["error"], Value::Null);

    // Without an id of the client's the record has the one that was answered.
    let answer = app.scim.post("/Users", user("bob@example.com")).expect(201);
    let record = newest(app);
    assert_eq!(record["id"].as_str(), answer.header("x-request-id"));
    assert_eq!(record["client_request_id"], Value::Null);
    assert_eq!(listed(app, &app.directory, "").len(), 2);
}

fn patch_shows_what_was_rewritten_ignored_and_changed(app: &TestApp) {
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    set(app, json!({"profile": {"boolean_text": true}}));
    let body = patch(json!([
        {"op": "replace", "path": "active", "value": "False"},
        {"op": "add", "path": "shoeSize", "value": 43},
        {"op": "add", "path": "title", "value": "Lead"},
        {"op": "replace", "path": "name.givenName", "value": "Bea"},
    ]));
    app.scim.patch(&format!("/Users/{id}"), body.clone()).expect(200);
    let record = newest(app);
    assert_eq!(record["received"], body);
    assert_eq!(record["rewritten"], json!([{"rule": "boolean_text", "path": "active"}]));
    assert_eq!(record["ignored"], json!(["shoeSize"]));
    let mut changes = record["changes"].as_array().expect("a list").clone();
    changes.sort_by_key(|change| change["path"].to_string());
    assert_eq!(
        Value::from(changes),
        json!([
            {"path": "active", "old": true, "new": false},
            {"path": "name.givenName", "old": "Ada", "new": "Bea"},
            {"path": "title", "new": "Lead"},
        ])
    );
    assert_eq!(record["event_ids"], json!([event_ids(app).last()]));
}

fn put_and_delete_show_what_changed(app: &TestApp) {
    let mut body = user("ada@example.com");
    body["title"] = "Lead".into();
    let id = app.scim.post("/Users", body).expect(201).id();
    let members = [id.as_str()];
    let group_id = app.scim.post("/Groups", group("G", &members)).expect(201).id();
    app.scim.put(&format!("/Users/{id}"), user("ada@example.com")).expect(200);
    let record = newest(app);
    assert_eq!(record["changes"], json!([{"path": "title", "old": "Lead"}]));
    assert_eq!(record["resource"]["id"], id.as_str());

    let before = event_ids(app);
    app.scim.delete(&format!("/Users/{id}")).expect(204);
    let record = newest(app);
    let changes = record["changes"].as_array().expect("a list");
    assert!(changes.contains(&json!({"path": "userName", "old": "ada@example.com"})));
    let left = json!({"path": "groups", "removed": {"count": 1, "first": [group_id]}});
    assert!(changes.contains(&left), "{record:#}");
    let made: Vec<String> = event_ids(app).split_off(before.len());
    assert_eq!(made.len(), 2);
    assert_eq!(record["event_ids"], json!(made));
    assert_eq!(record["resource"]["user_name"], "ada@example.com");
}

fn members_are_counted_and_named(app: &TestApp) {
    let ids: Vec<String> = (0..60)
        .map(|n| app.scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201).id())
        .collect();
    let id = app.scim.post("/Groups", group("G", &[&ids[0]])).expect(201).id();
    let members: Vec<Value> = ids[1..].iter().map(|id| json!({"value": id})).collect();
    let body = patch(json!([
        {"op": "add", "path": "members", "value": members},
        {"op": "remove", "path": format!("members[value eq \"{}\"]", ids[0])},
    ]));
    app.scim.patch(&format!("/Groups/{id}"), body).expect(200);
    let record = newest(app);
    let change = &record["changes"][0];
    assert_eq!(record["changes"].as_array().map(Vec::len), Some(1), "{record:#}");
    assert_eq!(change["path"], "members");
    assert_eq!(change["added"]["count"], 59);
    assert_eq!(change["added"]["first"].as_array().map(Vec::len), Some(50));
    assert_eq!(change["removed"], json!({"count": 1, "first": [ids[0]]}));
    assert_eq!(record["event_ids"].as_array().map(Vec::len), Some(60));
    // The record is found by who joined and left, too.
    for id in [&ids[0], &ids[1]] {
        let found = listed(app, &app.directory, &format!("user={id}"));
        assert_eq!(found[0]["id"], record["id"]);
    }
}

fn pending_members_show(app: &TestApp) {
    set(app, json!({"profile": {"hold_unknown_members": true}}));
    let id = app.scim.post("/Groups", group("G", &["later-1"])).expect(201).id();
    let created = newest(app);
    let waiting = json!({"path": "members", "pending": {"count": 1, "first": ["later-1"]}});
    let changes = created["changes"].as_array().expect("a list");
    assert!(changes.contains(&waiting), "{created:#}");
    let body = patch(json!([{"op": "add", "path": "members", "value": [{"value": "later-2"}]}]));
    app.scim.patch(&format!("/Groups/{id}"), body).expect(200);
    let record = newest(app);
    let waiting = json!({"path": "members", "pending": {"count": 1, "first": ["later-2"]}});
    assert_eq!(record["changes"], json!([waiting]));
    assert_eq!(record["event_ids"], json!([]));
}

fn refused_request_shows_its_error_and_no_change(app: &TestApp) {
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let refused = app.scim.post("/Users", user("ADA@example.com")).expect(409);
    let record = newest(app);
    assert_eq!(record["status"], 409);
    assert_eq!(record["error"], refused.body);
    assert_eq!((&record["changes"], &record["event_ids"]), (&json!([]), &json!([])));
    let resource = json!({"type": "User", "id": null, "user_name": "ADA@example.com"});
    assert_eq!(record["resource"], resource);

    let bob = app.scim.post("/Users", user("bob@example.com")).expect(201).id();
    let body = patch(json!([{"op": "replace", "path": "userName", "value": "ada@example.com"}]));
    app.scim.patch(&format!("/Users/{bob}"), body).expect(409);
    let record = newest(app);
    assert_eq!(
        record["resource"],
        json!({"type": "User", "id": bob, "user_name": "bob@example.com"})
    );
    assert_eq!((&record["changes"], &record["event_ids"]), (&json!([]), &json!([])));

    let headers = [("if-match", "W/\"9\"")];
    app.scim.send("DELETE", &format!("/Users/{id}"), &headers, None).expect(412);
    assert_eq!(newest(app)["status"], 412);
    app.scim.send("PATCH", "/Users", &[], Some("{}".into())).expect(405);
    assert_eq!(newest(app)["status"], 405);
    let headers = [("content-type", "application/xml")];
    app.scim.send("POST", "/Users", &headers, Some("<a/>".into())).expect(415);
    assert_eq!((&newest(app)["status"], &newest(app)["received"]), (&json!(415), &Value::Null));
    app.scim.get("/Nothing/here/at-all").expect(404);
    assert_eq!(newest(app)["status"], 404);
}

fn quirk_that_no_profile_covers_names_its_path(app: &TestApp) {
    for (value, named) in [
        (json!({"active": "perhaps"}), "active"),
        (json!({"emails": [{"value": 7}]}), "emails.value"),
        (json!({"name": "Ada"}), "name"),
    ] {
        let mut body = json!({"schemas": [USER], "userName": "ada@example.com"});
        body.as_object_mut()
            .expect("an object")
            .extend(value.as_object().expect("an object").clone());
        let answer = app.scim.post("/Users", body.clone()).expect(400);
        let record = newest(app);
        assert_eq!(record["received"], body);
        let detail = record["error"]["detail"].as_str().expect("a detail");
        assert!(detail.contains(&format!("\"{named}\"")), "{detail}");
        assert_eq!(record["error"], answer.body);
    }
    assert_eq!(app.scim.get("/Users").total(), 0);
}

fn body_that_is_no_json_is_kept_as_text(app: &TestApp) {
    let text = "{\"userName\": \"ada@example.com\", \"userName\"";
    app.scim.send("POST", "/Users", &[], Some(text.into())).expect(400);
    let record = newest(app);
    assert_eq!(record["received"], text);
    assert!(record["received_note"].as_str().expect("a note").contains("not JSON"));
    assert_eq!(record["error"]["scimType"], "invalidSyntax");

    let long = json!({"schemas": [USER], "userName": "a", "title": "x".repeat(100_000)});
    app.scim.post("/Users", long).expect(201);
    let record = newest(app);
    assert_eq!(record["received"].as_str().map(str::len), Some(65_536));
    assert!(record["received_note"].as_str().expect("a note").contains("65536"), "{record}");
}

fn reads_and_failed_reads_are_recorded(app: &TestApp) {
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    app.scim.get(&format!("/Users/{id}?attributes=userName")).expect(200);
    let record = newest(app);
    assert_eq!(record["method"], "GET");
    let named = record["path"].as_str().expect("a path");
    assert!(named.ends_with(&format!("/Users/{id}?attributes=userName")), "{named}");
    assert_eq!(record["resource"]["id"], id.as_str());
    assert_eq!(record["received"], Value::Null);
    app.scim.get("/Users?filter=userName+eq").expect(400);
    assert_eq!(newest(app)["error"]["scimType"], "invalidFilter");
    app.scim.post("/Users/.search", json!({"filter": "userName sw"})).expect(400);
    assert_eq!(newest(app)["received"], json!({"filter": "userName sw"}));
    // What stands in a filter finds the record.
    app.scim.get("/Users?filter=userName+eq+%22Ada%40example.com%22").expect(200);
    let found = listed(app, &app.directory, "user=ada@EXAMPLE.com&method=get");
    assert_eq!(found.len(), 1, "{found:#?}");
}

fn states_and_scopes_that_refuse_are_recorded(app: &TestApp) {
    let tokens = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let reader = app.api.post(&tokens, json!({"scope": "read"})).expect(201);
    let reader = app.scim.with_bearer(reader.body["secret"].as_str());
    reader.post("/Users", user("ada@example.com")).expect(403);
    assert_eq!(newest(app)["status"], 403);
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    for (state, status) in [("paused", 503), ("disabled", 403)] {
        app.api.patch(&directory, json!({"state": state})).expect(200);
        app.scim.post("/Users", user("ada@example.com")).expect(status);
        let record = newest(app);
        assert_eq!(record["status"], status);
        assert!(record["error"]["detail"].as_str().expect("a detail").contains(state));
    }
    assert_eq!(listed(app, &app.directory, "").len(), 3);
}

fn bulk_request_is_one_record_with_its_operations(app: &TestApp) {
    set(app, json!({"profile": {"boolean_text": true}}));
    let body = json!({"schemas": [BULK], "Operations": [
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": {
            "schemas": [USER], "userName": "ada@example.com", "active": "True"}},
        {"method": "POST", "path": "/Users", "bulkId": "b", "data": {
            "schemas": [USER], "userName": "ada@example.com"}},
        {"method": "POST", "path": "/Groups", "bulkId": "c", "data": {
            "schemas": [GROUP], "displayName": "G", "members": [{"value": "bulkId:a"}]}},
    ]});
    app.scim.post("/Bulk", body.clone()).expect(200);
    let list = listed(app, &app.directory, "method=POST");
    assert_eq!(list.len(), 1);
    let record = whole(app, &app.directory, &list[0]);
    assert_eq!(record["received"], body);
    let operations = record["operations"].as_array().expect("a list");
    let statuses: Vec<&Value> = operations.iter().map(|o| &o["status"]).collect();
    assert_eq!(statuses, ["201", "409", "201"]);
    assert_eq!(operations[0]["rewritten"], json!([{"rule": "boolean_text", "path": "active"}]));
    let named = json!({"path": "userName", "new": "ada@example.com"});
    assert!(operations[0]["changes"].as_array().expect("a list").contains(&named));
    assert_eq!(operations[1]["changes"], json!([]));
    assert_eq!(operations[1]["error"]["scimType"], "uniqueness");
    assert_eq!(operations[2]["changes"][1]["added"]["count"], 1, "{record:#}");
    assert_eq!(record["event_ids"].as_array().map(Vec::len), Some(3));
    assert_eq!(listed(app, &app.directory, "user=ada@example.com").len(), 1);

    // However long the request, the record has an end; failures are in it.
    let operations: Vec<Value> = (0..300)
        .map(|n| {
            let name =
                if n == 250 { "ada@example.com".into() } else { format!("u{n}@example.com") };
            json!({"method": "POST", "path": "/Users", "bulkId": format!("u{n}"),
                   "data": {"schemas": [USER], "userName": name}})
        })
        .collect();
    app.scim.post("/Bulk", json!({"schemas": [BULK], "Operations": operations})).expect(200);
    let operations = newest(app)["operations"].clone();
    let operations = operations.as_array().expect("a list");
    assert_eq!(operations.len(), 101);
    assert_eq!(
        (&operations[100]["operation"], &operations[100]["status"]),
        (&json!(250), &json!("409"))
    );
}

fn accepted_request_is_recorded(app: &TestApp) {
    let body = user("ada@example.com").to_string();
    let headers = [("prefer", "respond-async")];
    app.scim.send("POST", "/Users", &headers, Some(body)).expect(202);
    assert_eq!(newest(app)["status"], 202);
}

fn me_is_recorded_as_its_user(app: &TestApp) {
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let tokens = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let own = app.api.post(&tokens, json!({"user_id": id})).expect(201);
    let own = app.scim.with_bearer(own.body["secret"].as_str());
    let body = patch(json!([{"op": "add", "path": "title", "value": "Lead"}]));
    own.patch("/Me", body).expect(200);
    let record = newest(app);
    assert_eq!(record["resource"]["id"], id.as_str());
    assert_eq!(record["changes"], json!([{"path": "title", "new": "Lead"}]));
    own.patch("/Me", json!({})).expect(400);
    let record = newest(app);
    assert_eq!(record["error"]["status"], "400");
}

fn change_that_is_none_has_no_changes_and_no_events(app: &TestApp) {
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let body = patch(json!([{"op": "replace", "path": "active", "value": true}]));
    app.scim.patch(&format!("/Users/{id}"), body).expect(200);
    let record = newest(app);
    assert_eq!((&record["changes"], &record["event_ids"]), (&json!([]), &json!([])));
    assert_eq!(record["resource"]["user_name"], "ada@example.com");
    assert!(app.api.get(&format!("{}/req_nothing", path(&app.directory))).status == 404);
}

fn requests_of_scim_1_1_are_recorded(app: &TestApp) {
    let base = app.directory.base_url.replace("/scim/v2/", "/scim/v1/");
    let client = Client::new(&base, &app.directory.token, "application/json");
    let body = json!({"schemas": ["urn:scim:schemas:core:1.0"], "userName": "ada@example.com"});
    let made = client.post("/Users", body.clone()).expect(201);
    let record = newest(app);
    assert_eq!(record["status"], 201);
    assert!(record["path"].as_str().expect("a path").starts_with("/scim/v1/"));
    assert_eq!(record["received"], body);
    assert_eq!(record["resource"]["id"], made.id());
    assert_eq!(record["event_ids"], json!(event_ids(app).last().into_iter().collect::<Vec<_>>()));

    client.send("PUT", "/Users/nobody", &[], Some(body.to_string())).expect(404);
    let record = newest(app);
    assert_eq!(record["status"], 404);
    assert_eq!(record["error"]["Errors"][0]["code"], "404");
}

fn groups_that_a_user_is_stripped_of_are_named(app: &TestApp) {
    set(app, json!({"strip_groups_when_inactive": true}));
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let group_id = app.scim.post("/Groups", group("G", &[&id])).expect(201).id();
    let off = json!([{"op": "replace", "path": "active", "value": false}]);
    app.scim.patch(&format!("/Users/{id}"), patch(off)).expect(200);
    let changes = json!([
        {"path": "active", "old": true, "new": false},
        {"path": "groups", "removed": {"count": 1, "first": [group_id]}},
    ]);
    assert_eq!(newest(app)["changes"], changes);
}
