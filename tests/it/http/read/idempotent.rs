//! `Idempotency-Key`: what is sent again is answered again and done once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use rollbook::service::idempotent::{Turn, fingerprint, under_claim};
use rollbook::service::{ApiAccess, ServiceError};
use rollbook::store::StoreError;
use rollbook::store::idempotent::{Claim, IdempotentRow};

use super::super::{api_error, assert_invalid};
use super::{each, key};
use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp};

on_both_databases![
    same_request_has_the_same_answer_and_is_done_once,
    every_creating_route_replays_its_secret,
    another_request_with_the_key_is_refused,
    refusals_leave_the_key_free,
    keys_end_after_a_day,
    request_at_work_is_not_run_twice,
    lost_answer_is_said_and_an_undone_request_runs_again,
    kept_answer_shows_nothing,
    leases_end_with_the_process_that_had_them,
];

fn post(client: &Client, path: &str, key: &str, body: &Value) -> Answer {
    client.send("POST", path, &[("idempotency-key", key)], Some(body.to_string()))
}

fn same_request_has_the_same_answer_and_is_done_once(app: &TestApp) {
    let body = json!({"name": "Once"});
    let first = post(&app.api, "/organizations", "retry-1", &body).expect(201);
    assert_eq!(first.header("idempotent-replayed"), None);
    for _ in 0..3 {
        let again = post(&app.api, "/organizations", "retry-1", &body).expect(201);
        assert_eq!(again.text, first.text);
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.header("content-type"), first.header("content-type"));
        assert!(again.header("x-request-id").is_some());
    }
    assert_eq!(each(app.api.get("/organizations?search=once"), "id"), [first.id()]);
    // Another API key has keys of its own.
    let other = key(app, &["read", "manage"], None);
    let theirs = post(&other, "/organizations", "retry-1", &body).expect(201);
    assert_ne!(theirs.id(), first.id());
    // Without a key every request counts.
    assert_ne!(app.api.post("/organizations", body).expect(201).id(), first.id());
}

fn every_creating_route_replays_its_secret(app: &TestApp) {
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    let rotate = format!("{directory}/tokens/{}/rotate", app.directory.token_id);
    for (path, body, secret) in [
        ("/api/v1/organizations".to_owned(), json!({"name": "A"}), "/id"),
        (
            "/api/v1/directories".to_owned(),
            json!({"organization_id": app.directory.organization_id, "name": "D", "kind": "scim.okta"}),
            "/token/secret",
        ),
        (format!("{directory}/tokens"), json!({}), "/secret"),
        (rotate, json!({}), "/secret"),
        (
            format!("{directory}/oauth_clients"),
            json!({"auth_method": "client_secret"}),
            "/client_secret",
        ),
        ("/api/v1/api_keys".to_owned(), json!({"name": "K", "scopes": ["read"]}), "/secret"),
    ] {
        let first = post(&app.api, &path, &format!("k {path}"), &body).expect(201);
        let again = post(&app.api, &path, &format!("k {path}"), &body).expect(201);
        assert!(first.body.pointer(secret).is_some_and(Value::is_string), "{path}: {}", first.text);
        assert_eq!(again.text, first.text, "{path}");
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{path}");
    }
    let tokens = app.api.get(&format!("{directory}/tokens")).expect(200);
    assert_eq!(tokens.body["data"].as_array().map(Vec::len), Some(3));
}

fn another_request_with_the_key_is_refused(app: &TestApp) {
    post(&app.api, "/organizations", "k", &json!({"name": "A"})).expect(201);
    let answer = post(&app.api, "/organizations", "k", &json!({"name": "B"}));
    assert_invalid(&answer, "Idempotency-Key");
    let answer = post(&app.api, "/api/v1/organizations", "k", &json!({"name": "A"}));
    assert_invalid(&answer, "Idempotency-Key");
    let long = "x".repeat(256);
    assert_invalid(
        &post(&app.api, "/organizations", &long, &json!({"name": "A"})),
        "Idempotency-Key",
    );
    assert_eq!(each(app.api.get("/organizations?search=B"), "id"), [""; 0]);
}

fn refusals_leave_the_key_free(app: &TestApp) {
    let wrong = json!({"name": "A", "kind": "scim.okta", "organization_id": "org_none"});
    api_error(&post(&app.api, "/api/v1/directories", "k", &wrong), 404, "entity_not_found");
    api_error(&post(&app.api, "/api/v1/directories", "k", &wrong), 404, "entity_not_found");
    let right = json!({"name": "A", "kind": "scim.okta",
        "organization_id": app.directory.organization_id});
    post(&app.api, "/api/v1/directories", "k", &right).expect(201);
    // Who may not ask does not learn whether the key was used.
    let reader = key(app, &["read"], None);
    api_error(&post(&reader, "/organizations", "k", &json!({"name": "A"})), 403, "forbidden");
}

fn keys_end_after_a_day(app: &TestApp) {
    let body = json!({"name": "A"});
    let first = post(&app.api, "/organizations", "k", &body).expect(201).id();
    app.clock.advance(Duration::from_secs(24 * 60 * 60 - 1));
    assert_eq!(post(&app.api, "/organizations", "k", &body).expect(201).id(), first);
    app.clock.advance(Duration::from_secs(2));
    let second = post(&app.api, "/organizations", "k", &body).expect(201).id();
    assert_ne!(second, first);
    app.clock.advance(Duration::from_secs(24 * 60 * 60 + 1));
    let service = Arc::clone(app.service());
    app.wait(async move { service.prune_idempotent().await }).expect("pruned");
    assert_ne!(post(&app.api, "/organizations", "k", &body).expect(201).id(), second);
}

/// The fixed key of the tests, as the server knows it.
fn access(app: &TestApp) -> Arc<ApiAccess> {
    let service = Arc::clone(app.service());
    let bearer = app.api.bearer.clone().expect("a key");
    app.wait(async move { service.api_access(&bearer, None).await }).expect("let in")
}

fn begin(app: &TestApp, body: &Value) -> Result<Turn, ServiceError> {
    let (service, access) = (Arc::clone(app.service()), access(app));
    let print = fingerprint("POST", "/organizations", body.to_string().as_bytes());
    app.wait(async move { service.idempotent_begin(&access, "k", print).await })
}

/// Another process has begun the same request.
fn request_at_work_is_not_run_twice(app: &TestApp) {
    let body = json!({"name": "A"});
    let Ok(Turn::Run(claim)) = begin(app, &body) else { panic!("the key is free") };
    let busy = post(&app.api, "/organizations", "k", &body);
    api_error(&busy, 409, "conflict");
    assert_eq!(busy.header("retry-after"), Some("1"));
    assert_eq!(
        each(app.api.get("/organizations?search=A&order=asc"), "name"),
        ["Default", "Example"]
    );
    // Requests are short: one that runs for long may have stopped, and its lease ends after two minutes.
    app.clock.advance(Duration::from_millis(10_001));
    let busy = post(&app.api, "/organizations", "k", &body);
    let message = api_error(&busy, 409, "conflict");
    assert_eq!(busy.header("retry-after"), Some("110"));
    assert!(message.contains("in 110 seconds"), "{message}");
    let service = Arc::clone(app.service());
    app.wait(async move { service.idempotent_end(claim, None).await });
    post(&app.api, "/organizations", "k", &body).expect(201);
}

/// A process stops after its unit was committed and before it kept the answer, or before the unit.
fn lost_answer_is_said_and_an_undone_request_runs_again(app: &TestApp) {
    let body = json!({"name": "Lost"});
    let Ok(Turn::Run(claim)) = begin(app, &body) else { panic!("the key is free") };
    // Nothing was done: when the lease is over another run takes the key, and the first may not write
    // any more.
    app.clock.advance(Duration::from_secs(3 * 60));
    let first = post(&app.api, "/organizations", "k", &body).expect(201).id();
    let write = |claim| {
        let service = Arc::clone(app.service());
        let new = serde_json::from_value(json!({"name": "Twice"})).expect("an organization");
        let access = access(app);
        app.wait(under_claim(claim, async move { service.make_organization(&access, new).await }))
    };
    write(claim).expect_err("the key belongs to another run");
    assert_eq!(each(app.api.get("/organizations?search=Twice"), "id"), [""; 0]);
    assert_eq!(post(&app.api, "/organizations", "k", &body).expect(201).id(), first);

    app.clock.advance(Duration::from_secs(25 * 60 * 60));
    let Ok(Turn::Run(claim)) = begin(app, &body) else { panic!("the key is free again") };
    write(claim).expect("done");
    api_error(&post(&app.api, "/organizations", "k", &body), 409, "conflict");
    app.clock.advance(Duration::from_secs(3 * 60));
    let answer = post(&app.api, "/organizations", "k", &body);
    let message = api_error(&answer, 409, "idempotent_answer_lost");
    assert!(message.contains("was carried out"), "{message}");
    assert_eq!(each(app.api.get("/organizations?search=Lost"), "id"), [first]);
}

/// What is kept shows no secret to whoever reads the database.
fn kept_answer_shows_nothing(app: &TestApp) {
    let body = json!({"name": "Visible", "scopes": ["read"]});
    let made = post(&app.api, "/api/v1/api_keys", "k", &body).expect(201);
    let claim =
        Claim { api_key_id: access(app).key_id.clone(), key: "k".into(), runner: "r".into() };
    let service = Arc::clone(app.service());
    let row = app.wait(async move {
        service.store.write("look", move |tx| tx.idempotent_claim(&claim, "", 0, 0)).await
    });
    let row: Option<IdempotentRow> = row.map_err(|error: StoreError| error).expect("read");
    let row = row.expect("the row of the request");
    assert_eq!((row.status, row.committed), (Some(201), true));
    let answer = row.answer.expect("an answer is kept");
    let secret = made.body["secret"].as_str().expect("a secret");
    assert!(made.text.contains(secret) && made.text.contains("Visible"));
    for text in [secret, "Visible", "secret", "api_key", "{"] {
        assert!(!answer.contains(text), "{text} in {answer}");
        assert!(!row.fingerprint.contains(text), "{text} in {}", row.fingerprint);
    }
}

/// As a process does that has the database for itself when it starts.
fn leases_end_with_the_process_that_had_them(app: &TestApp) {
    let release = || {
        let service = Arc::clone(app.service());
        app.wait(async move { service.release_idempotent().await }).expect("released");
    };
    let body = json!({"name": "Undone"});
    let Ok(Turn::Run(_)) = begin(app, &body) else { panic!("the key is free") };
    api_error(&post(&app.api, "/organizations", "k", &body), 409, "conflict");
    release();
    let made = post(&app.api, "/organizations", "k", &body).expect(201).id();
    // What is kept stays kept.
    release();
    assert_eq!(post(&app.api, "/organizations", "k", &body).expect(201).id(), made);
}
