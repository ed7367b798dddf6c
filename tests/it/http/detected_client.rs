//! Which client talks to a directory, and whether it is the one that the directory was made for.

use std::time::Duration;

use serde_json::{Value, json};

use super::{NOW, plain_user};
use crate::on_both_databases;
use crate::support::{Client, DirectoryHandle, TestApp, patch};

on_both_databases![
    client_is_shown_with_what_gives_it_away,
    another_client_than_expected_is_shown_and_nothing_is_switched,
    generic_directory_takes_every_client,
    surer_sight_stands,
    sight_is_written_down_for_every_process,
    unknown_client_is_unknown,
    deleted_directory_leaves_no_sight_behind,
];

const OKTA: (&str, &str) = ("User-Agent", "Okta SCIM Client 1.0.0");

fn client(app: &TestApp, directory: &DirectoryHandle) -> Value {
    let path = format!("/api/v1/directories/{}", directory.id);
    app.api.get(&path).expect(200).body["client"].clone()
}

fn metrics(app: &TestApp) -> String {
    Client::new(&app.url, "", "").with_bearer(None).get("/metrics").expect(200).text
}

fn client_is_shown_with_what_gives_it_away(app: &TestApp) {
    let (okta, scim) = app.directory("scim.okta");
    scim.send("GET", "/Users?startIndex=1&count=2", &[OKTA], None).expect(200);
    let shown = json!({
        "expected": "okta",
        "detected": "okta",
        "confidence": "certain",
        "evidence": [
            "User-Agent \"Okta SCIM Client\"",
            "asks for the first two users, as the connection test does",
        ],
        "first_seen": NOW,
        "last_seen": NOW,
        "matches": true,
    });
    assert_eq!(client(app, &okta), shown);
    let list = format!("/api/v1/directories?organization_id={}", okta.organization_id);
    assert_eq!(app.api.get(&list).expect(200).body["data"][0]["client"], shown);
    app.clock.advance(Duration::from_secs(5));
    let body = Some(plain_user("ada").to_string());
    scim.send("POST", "/Users", &[OKTA], body).expect(201);
    let later = client(app, &okta);
    assert_eq!(later["first_seen"], NOW);
    assert_eq!(later["last_seen"], "2025-06-15T15:06:45.000Z");
    assert!(!metrics(app).contains("rollbook_client_mismatch_total{"));
}

fn another_client_than_expected_is_shown_and_nothing_is_switched(app: &TestApp) {
    let (okta, scim) = app.directory("scim.okta");
    let id = scim.post("/Users", plain_user("ada")).expect(201).id();
    let operations = json!([{"op": "Replace", "path": "active", "value": false}]);
    scim.patch(&format!("/Users/{id}"), patch(operations)).expect(200);
    let seen = client(app, &okta);
    assert_eq!((&seen["expected"], &seen["detected"]), (&json!("okta"), &json!("entra")));
    assert_eq!((&seen["confidence"], &seen["matches"]), (&json!("likely"), &json!(false)));
    let path = format!("/api/v1/directories/{}", okta.id);
    let directory = app.api.get(&path).expect(200);
    assert_eq!(
        (&directory.body["kind"], &directory.body["settings"]),
        (&json!("scim.okta"), &json!({}))
    );
    let counted = r#"rollbook_client_mismatch_total{expected="okta",detected="entra"} 1"#;
    assert!(metrics(app).contains(counted), "{}", metrics(app));
}

fn generic_directory_takes_every_client(app: &TestApp) {
    app.scim.send("GET", "/Users", &[OKTA], None).expect(200);
    let seen = client(app, &app.directory);
    assert_eq!((&seen["detected"], &seen["matches"]), (&json!("okta"), &json!(true)));
    app.scim.send("GET", "/Users", &[("Adscimversion", "1.0")], None).expect(200);
    let seen = client(app, &app.directory);
    assert_eq!((&seen["detected"], &seen["matches"]), (&json!("entra"), &json!(true)));
}

fn surer_sight_stands(app: &TestApp) {
    app.scim.send("GET", "/Users", &[OKTA], None).expect(200);
    app.scim.filter("/Users", "emails eq \"ada@example.com\"").expect(200);
    assert_eq!(client(app, &app.directory)["detected"], "okta");
}

fn sight_is_written_down_for_every_process(app: &TestApp) {
    app.scim.send("GET", "/Users", &[OKTA], None).expect(200);
    let id = app.directory.id.clone();
    let service = app.service().clone();
    let stored = app.wait(async move {
        loop {
            let id = id.clone();
            let found: Result<_, rollbook::store::StoreError> = service
                .store
                .read("client", move |tx| {
                    let key = tx.directory_get(&id)?.expect("it exists").key;
                    tx.client_list(&[key])
                })
                .await;
            match found.expect("readable").pop() {
                Some(row) => break row,
                // It is written outside the request.
                None => tokio::task::yield_now().await,
            }
        }
    });
    assert_eq!((stored.provider.as_str(), stored.confidence), ("okta", 3));
    let note = |provider: &str, confidence: i32, last_seen: i64| {
        let row = rollbook::store::client::ClientRow {
            provider: provider.to_owned(),
            confidence,
            first_seen: last_seen,
            last_seen,
            ..stored.clone()
        };
        let (store, key) = (app.service().store.clone(), stored.directory_key);
        let noted: Result<_, rollbook::store::StoreError> = app.wait(async move {
            store
                .write("client", move |tx| {
                    tx.client_seen(&row)?;
                    tx.client_list(&[key])
                })
                .await
        });
        noted.expect("written").pop().expect("a row")
    };
    // Another process is less sure, sees the same client less surely, is as sure of another one.
    assert_eq!(note("entra", 2, stored.last_seen + 1), stored);
    let again = note("okta", 1, stored.last_seen + 2);
    assert_eq!((again.confidence, again.first_seen), (3, stored.first_seen));
    assert_eq!(again.last_seen, stored.last_seen + 2);
    let other = note("entra", 3, stored.last_seen + 3);
    assert_eq!((other.provider.as_str(), other.first_seen), ("entra", stored.last_seen + 3));
}

fn unknown_client_is_unknown(app: &TestApp) {
    app.scim.send("GET", "/Users", &[("User-Agent", "python-requests/2.32")], None).expect(200);
    app.scim.post("/Users", plain_user("ada")).expect(201);
    let seen = client(app, &app.directory);
    assert_eq!((&seen["detected"], &seen["matches"]), (&json!(null), &json!(null)));
    // What is refused at the door is nobody's.
    app.scim.with_bearer(Some("rbd_wrong")).send("GET", "/Users", &[OKTA], None).expect(401);
    assert_eq!(client(app, &app.directory)["detected"], json!(null));
}

fn deleted_directory_leaves_no_sight_behind(app: &TestApp) {
    let (okta, scim) = app.directory("scim.okta");
    scim.send("GET", "/Users", &[OKTA], None).expect(200);
    let path = format!("/api/v1/directories/{}", okta.id);
    app.api.delete(&path).expect(202);
    app.wait(app.service().purge_deleted_directories()).expect("purged");
    app.api.get(&path).expect(404);
}
