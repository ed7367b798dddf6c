//! What a replay says, and that it leaves everything as it is.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{dump, listed, newest, path, set};
use crate::http::{USER, api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp, group, patch, user};

on_both_databases![
    another_profile_says_what_it_would_have_done,
    replay_of_a_create_does_not_meet_what_it_made,
    replay_runs_on_the_resource_as_it_is_now,
    replay_changes_nothing,
    scim_1_1_is_refused_however_its_path_is_written,
    what_cannot_be_replayed_is_refused_with_the_reason,
];

/// Replays the newest record of the directory.
fn replay(app: &TestApp, body: Value) -> Answer {
    let id = newest(app)["id"].as_str().expect("an id").to_owned();
    app.api.post(&format!("{}/{id}/replay", path(&app.directory)), body)
}

fn fields(answer: &Value) -> Vec<&str> {
    let difference = answer["difference"].as_array().expect("a list");
    difference.iter().filter_map(|d| d["field"].as_str()).collect()
}

fn another_profile_says_what_it_would_have_done(app: &TestApp) {
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    set(app, json!({"profile": {"boolean_text": false}}));
    let body = patch(json!([{"op": "replace", "path": "active", "value": "False"}]));
    app.scim.patch(&format!("/Users/{id}"), body).expect(400);
    set(app, json!({}));
    let answer = replay(app, json!({"profile": "entra"})).expect(200).body;
    assert_eq!(answer["profile"], "entra");
    assert_eq!(answer["directory_id"], app.directory.id);
    assert_eq!(answer["status"], 200);
    assert_eq!(answer["rewritten"], json!([{"rule": "boolean_text", "path": "active"}]));
    assert_eq!(answer["changes"], json!([{"path": "active", "old": true, "new": false}]));
    assert_eq!(answer["error"], Value::Null);
    assert_eq!(fields(&answer), ["status", "rewritten", "changes", "error"]);
    assert_eq!(
        answer["difference"][0],
        json!({"field": "status", "recorded": 400, "replayed": 200})
    );
    let answer = replay(app, json!({"profile": "rfc"})).expect(200).body;
    assert_eq!((&answer["status"], fields(&answer)), (&json!(400), vec![]));
    assert_eq!(answer["error"]["status"], "400");
    assert_eq!(app.scim.get(&format!("/Users/{id}")).body["active"], true);
}

fn replay_of_a_create_does_not_meet_what_it_made(app: &TestApp) {
    let body = json!({"schemas": [USER], "userName": "ada@example.com", "active": "True"});
    set(app, json!({"profile": {"boolean_text": true}}));
    let id = app.scim.post("/Users", body).expect(201).id();
    app.scim.post("/Groups", group("G", &[&id])).expect(201);
    let made = listed(app, &app.directory, &format!("user={id}"));
    let created = made.last().expect("the create")["id"].as_str().expect("an id").to_owned();
    let one = format!("{}/{created}/replay", path(&app.directory));
    // Without a body the profile of the directory is tried.
    let same = app.api.send("POST", &one, &[], None).expect(200).body;
    assert_eq!((&same["status"], fields(&same)), (&json!(201), vec![]), "{same:#}");
    set(app, json!({}));
    let strict = app.api.post(&one, json!({"profile": "rfc"})).expect(200).body;
    assert_eq!(strict["status"], 400);
    assert!(strict["error"]["detail"].as_str().expect("a detail").contains("active"));
    // The user and its membership are still there.
    let groups = app.scim.get(&format!("/Users/{id}")).body["groups"].clone();
    assert_eq!(groups.as_array().map(Vec::len), Some(1));
    // When it is gone, nothing is in the way either.
    app.scim.delete(&format!("/Users/{id}")).expect(204);
    let after = app.api.post(&one, json!({})).expect(200).body;
    assert_eq!(after["status"], 201, "{after:#}");
}

fn replay_runs_on_the_resource_as_it_is_now(app: &TestApp) {
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let one = format!("/Users/{id}");
    let title = |title: &str| patch(json!([{"op": "add", "path": "title", "value": title}]));
    app.scim.patch(&one, title("Lead")).expect(200);
    let first = newest(app)["id"].as_str().expect("an id").to_owned();
    app.scim.patch(&one, title("Head")).expect(200);
    let first = format!("{}/{first}/replay", path(&app.directory));
    let answer = app.api.post(&first, json!({})).expect(200).body;
    assert_eq!(answer["changes"], json!([{"path": "title", "old": "Head", "new": "Lead"}]));
    app.scim.delete(&one).expect(204);
    let answer = app.api.post(&first, json!({})).expect(200).body;
    assert_eq!(answer["status"], 404);
    let answer = replay(app, json!({})).expect(200).body;
    assert_eq!(
        (&answer["status"], fields(&answer)),
        (&json!(404), vec!["status", "changes", "error"])
    );
}

fn replay_changes_nothing(app: &TestApp) {
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let bob = app.scim.post("/Users", user("bob@example.com")).expect(201).id();
    let group_id = app.scim.post("/Groups", group("G", &[&ada])).expect(201).id();
    let one = format!("/Groups/{group_id}");
    let add = |id: &str| patch(json!([{"op": "add", "path": "members", "value": [{"value": id}]}]));
    app.scim.patch(&one, add(&bob)).expect(200);
    app.scim.put(&one, group("H", &[&bob])).expect(200);
    app.scim.patch(&one, add(&ada)).expect(200);
    app.scim.put(&format!("/Users/{ada}"), user("ada@example.com")).expect(200);
    app.scim.delete(&format!("/Users/{bob}")).expect(204);
    app.scim.post("/Users", user("ada@example.com")).expect(409);
    let records = listed(app, &app.directory, "limit=500");
    assert_eq!(records.len(), 9);
    let before = without_records(dump(app));
    let mut statuses = Vec::new();
    for record in &records {
        let id = record["id"].as_str().expect("an id");
        for profile in [json!(null), json!("okta"), json!("entra"), json!("strict")] {
            let one = format!("{}/{id}/replay", path(&app.directory));
            let answer = app.api.post(&one, json!({"profile": profile})).expect(200);
            statuses.push(answer.body["status"].as_u64().expect("a status"));
        }
    }
    assert!(statuses.contains(&201) && statuses.contains(&200), "{statuses:?}");
    assert_eq!(without_records(dump(app)), before);
    assert_eq!(listed(app, &app.directory, "limit=500").len(), 9, "a replay is no request");
}

/// Without the records themselves, the notes of SQLite about its counters, and the places in the log
/// that PostgreSQL gives to events a moment after they are there.
fn without_records(mut dump: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    for table in ["request_record", "event_position", "event_sequencer"] {
        dump.remove(table);
    }
    dump
}

fn scim_1_1_is_refused_however_its_path_is_written(app: &TestApp) {
    let body = |n: usize| {
        let name = format!("u{n}@example.com");
        json!({"schemas": ["urn:scim:schemas:core:1.0"], "userName": name})
    };
    for (n, root) in ["/scim/v1/", "//scim/v1/", "/scim//v1/", "/scim/V1/"].into_iter().enumerate()
    {
        let base = app.directory.base_url.replace("/scim/v2/", root);
        let client = Client::new(&base, &app.directory.token, "application/json");
        client.post("/Users", body(n)).expect(201);
        let record = newest(app);
        assert!(record["path"].as_str().expect("a path").starts_with(root), "{record:#}");
        assert_eq!(record["scim"], "1.1", "{root}");
        let message = api_error(&replay(app, json!({})), 409, "not_replayable");
        assert!(message.contains("SCIM 2.0"), "{message}");
    }
}

fn what_cannot_be_replayed_is_refused_with_the_reason(app: &TestApp) {
    let refused = |word: &str| {
        let message = api_error(&replay(app, json!({})), 409, "not_replayable");
        assert!(message.contains(word), "{message}");
    };
    app.scim.get("/Users").expect(200);
    refused("reads");
    let bulk = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
    let operation = json!({"method": "DELETE", "path": "/Users/x"});
    app.scim.post("/Bulk", json!({"schemas": [bulk], "Operations": [operation]})).expect(200);
    refused("bulk");
    app.scim.send("POST", "/Users", &[], Some("{".into())).expect(400);
    refused("whole body");
    set(app, json!({"records": {"bodies": "off"}}));
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    refused("whole body");
    assert_invalid(&replay(app, json!({"profile": "nobody"})), "profile");
    let unknown = replay(app, json!({"profil": "okta"}));
    api_error(&unknown, 422, "invalid_request_parameters");
    let nothing = app.api.post(&format!("{}/req_x/replay", path(&app.directory)), json!({}));
    api_error(&nothing, 404, "entity_not_found");
}
