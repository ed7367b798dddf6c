//! The audit log is searched, exported and forgotten.

use std::time::Duration;

use serde_json::{Value, json};

use super::newest;
use crate::http::assert_invalid;
use crate::on_both_databases;
use crate::support::{Client, TestApp, encode};

on_both_databases![
    filters_select,
    pages_go_from_new_to_old,
    limited_keys_see_their_organizations,
    export_has_every_row,
    old_rows_go,
    deleted_organization_leaves_ids_alone,
    refused_change_leaves_no_row,
];

#[track_caller]
fn actions(app: &TestApp, query: &str) -> Vec<String> {
    let page = app.api.get(&format!("/api/v1/audit?{query}")).expect(200).body;
    let rows = page["data"].as_array().expect("a list").iter();
    rows.map(|row| row["action"].as_str().expect("text").to_owned()).collect()
}

fn organization(app: &TestApp, name: &str) -> String {
    app.api.post("/api/v1/organizations", json!({"name": name})).expect(201).id()
}

fn filters_select(app: &TestApp) {
    let id = organization(app, "Needle");
    let key = json!({"name": "Deploy", "scopes": ["manage"]});
    let key = app.api.post("/api/v1/api_keys", key).expect(201);
    let client = app.api.with_bearer(key.body["secret"].as_str());
    let change = json!({"name": "Thimble"});
    client.patch(&format!("/api/v1/organizations/{id}"), change).expect(200);
    let row = newest(app);
    assert_eq!(row["actor"], json!({"type": "api_key", "id": key.id(), "name": "Deploy"}));
    let both = ["organization.updated", "organization.created"];
    assert_eq!(actions(app, &format!("organization_id={id}")), both);
    assert_eq!(actions(app, &format!("target={id}")), both);
    assert_eq!(actions(app, &format!("actor={}", key.id())), ["organization.updated"]);
    assert_eq!(
        actions(app, &format!("organization_id={id}&action=organization.created")),
        both[1..]
    );
    assert_eq!(actions(app, "q=nEEdle"), both);
    assert_eq!(actions(app, "q=thimble&actor=configured"), [""; 0]);
    assert_eq!(actions(app, "directory_id=directory_1"), [""; 0]);
    let at = encode(row["at"].as_str().expect("text"));
    assert_eq!(actions(app, &format!("organization_id={id}&from={at}")), both);
    assert_eq!(actions(app, &format!("organization_id={id}&to={at}")), [""; 0]);
    for (query, field) in [
        ("action=organization", "action"),
        ("from=yesterday", "from"),
        ("to=tomorrow", "to"),
        ("limit=501", "limit"),
        ("format=xml", "format"),
    ] {
        assert_invalid(&app.api.get(&format!("/api/v1/audit?{query}")), field);
    }
}

fn pages_go_from_new_to_old(app: &TestApp) {
    for n in 0..5 {
        organization(app, &format!("Page {n}"));
    }
    for query in ["action=organization.created&", "action=organization.created&q=page&"] {
        let first = app.api.get(&format!("/api/v1/audit?{query}limit=3")).expect(200).body;
        let name = |page: &Value, n: usize| page["data"][n]["target"]["name"].clone();
        assert_eq!((name(&first, 0), name(&first, 2)), (json!("Page 4"), json!("Page 2")));
        let after = first["list_metadata"]["after"].as_str().expect("a cursor");
        let second = app.api.get(&format!("/api/v1/audit?{query}limit=3&after={after}"));
        let second = second.expect(200).body;
        assert_eq!(name(&second, 0), "Page 1");
        let before = second["list_metadata"]["before"].as_str().expect("a cursor");
        let back = app.api.get(&format!("/api/v1/audit?{query}limit=3&before={before}"));
        assert_eq!(back.expect(200).body["data"], first["data"]);
    }
}

fn limited_keys_see_their_organizations(app: &TestApp) {
    let ids = ["One", "Two", "Three"].map(|name| organization(app, name));
    let key = |ids: &[String]| {
        let body = json!({"name": "Limited", "scopes": ["manage"], "organization_ids": ids});
        let made = app.api.post("/api/v1/api_keys", body).expect(201);
        app.api.with_bearer(made.body["secret"].as_str())
    };
    let names = |client: &Client, query: &str| {
        let page = client.get(&format!("/api/v1/audit?{query}")).expect(200).body;
        let rows = page["data"].as_array().expect("a list").iter();
        rows.map(|row| row["target"]["name"].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(names(&key(&ids[..1]), ""), ["One"]);
    let two = key(&ids[..2]);
    assert_eq!(names(&two, ""), ["Two", "One"]);
    assert_eq!(names(&two, "limit=1"), ["Two"]);
    // However many rows each organization has, a page is the newest of all of them.
    for name in ["One more", "Two more", "Three more"] {
        let number = ["One", "Two", "Three"].iter().position(|start| name.starts_with(start));
        let id = &ids[number.expect("one of three")];
        app.api.patch(&format!("/api/v1/organizations/{id}"), json!({"name": name})).expect(200);
    }
    let twice = key(&[&ids[..2], &ids[..2]].concat());
    let newest = twice.get("/api/v1/audit?limit=3").expect(200).body;
    assert_eq!(names(&twice, "limit=3"), ["Two more", "One more", "Two"]);
    let after = newest["list_metadata"]["after"].as_str().expect("a cursor");
    assert_eq!(names(&twice, &format!("limit=3&after={after}")), ["One"]);
    let last = twice.get(&format!("/api/v1/audit?limit=3&after={after}")).expect(200).body;
    let before = last["list_metadata"]["before"].as_str().expect("a cursor");
    assert_eq!(names(&twice, &format!("limit=3&before={before}")), names(&twice, "limit=3"));
    assert_eq!(names(&twice, "action=organization.updated&limit=1"), ["Two more"]);
    assert_eq!(names(&two, "q=one"), ["One more", "One"]);
    assert_eq!(names(&two, &format!("organization_id={}", ids[2])), [""; 0]);
    let lines = two.get("/api/v1/audit?format=jsonl").expect(200).text;
    assert_eq!(lines.lines().count(), 4);
}

fn export_has_every_row(app: &TestApp) {
    // More than one part.
    for n in 0..520 {
        organization(app, &format!("=sum({n}) \"quoted\""));
    }
    let query = "/api/v1/audit?action=organization.created&format=";
    let answer = app.api.get(&format!("{query}jsonl")).expect(200);
    assert_eq!(answer.header("content-type"), Some("application/jsonl"));
    let rows: Vec<Value> =
        answer.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().expect("an id")).collect();
    assert!(ids.len() >= 520 && ids.is_sorted_by(|a, b| a > b), "{} rows", ids.len());
    let answer = app.api.get(&format!("{query}csv")).expect(200);
    let lines: Vec<&str> = answer.text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), rows.len() + 1);
    assert!(lines[0].starts_with("id,at,actor_type,"), "{}", lines[0]);
    assert!(lines[1].contains(",\"'=sum(519) \"\"quoted\"\"\","), "{}", lines[1]);
}

fn old_rows_go(app: &TestApp) {
    organization(app, "Old");
    let prune = || app.wait(async { app.service().prune_audit().await }).expect("pruned");
    app.clock.advance(Duration::from_secs(399 * 24 * 60 * 60));
    prune();
    assert_eq!(actions(app, "q=old"), ["organization.created"]);
    app.clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
    prune();
    assert_eq!(actions(app, ""), [""; 0]);
}

fn deleted_organization_leaves_ids_alone(app: &TestApp) {
    let id = organization(app, "Secretive");
    let other = organization(app, "Other");
    app.api.delete(&format!("/api/v1/organizations/{id}")).expect(204);
    app.wait(async { app.service().prune_audit().await }).expect("pruned");
    let page = app.api.get(&format!("/api/v1/audit?organization_id={id}")).expect(200);
    assert!(!page.text.contains("Secretive"), "{}", page.text);
    let row = &page.body["data"][0];
    assert_eq!(
        (&row["action"], &row["target"]["id"]),
        (&json!("organization.deleted"), &json!(id))
    );
    assert_eq!((&row["before"], &row["target"]["name"]), (&Value::Null, &Value::Null));
    let other = app.api.get(&format!("/api/v1/audit?organization_id={other}")).expect(200);
    assert!(other.text.contains("Other"));
}

fn refused_change_leaves_no_row(app: &TestApp) {
    let body = json!({"name": "First", "external_id": "taken"});
    app.api.post("/api/v1/organizations", body.clone()).expect(201);
    let before = newest(app)["id"].clone();
    app.api.post("/api/v1/organizations", body).expect(409);
    let directory = &app.directory.organization_id;
    app.api.delete(&format!("/api/v1/organizations/{directory}")).expect(409);
    assert_eq!(newest(app)["id"], before);
}
