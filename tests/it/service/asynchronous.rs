//! An accepted request is done once, whatever happens to the process that runs it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use rollbook::auth::SecretKey;
use rollbook::service::Service;
use rollbook::service::limit::RateLimit;
use rollbook::store::async_request::AsyncRow;
use rollbook::store::{RecordStore, StoreError, Tx};

use crate::on_both_databases;
use crate::support::{Answer, TestApp, group, user};

on_both_databases![
    heavy_stopped_request_goes_on_where_it_ended,
    heavy_schemas_that_change_meanwhile_fail_nothing,
    heavy_passwords_of_accepted_requests_are_not_stored_in_clear,
    request_is_run_by_one_process,
    stored_request_is_done_by_the_rules_of_today,
    failures_before_the_stop_count_after_it,
    more_than_a_hundred_requests_are_refused,
    every_stopped_request_is_taken_over,
    completion_is_kept_for_a_day,
    deleted_directory_takes_its_requests_with_it,
];

const LEASE: Duration = Duration::from_secs(31);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

type Results = Vec<(i32, String)>;

fn directory_key(app: &TestApp) -> i64 {
    let (id, service) = (app.directory.id.clone(), Arc::clone(app.service()));
    let row =
        app.wait(async move { service.store.get("key", move |tx| tx.directory_get(&id)).await });
    let row: Result<_, StoreError> = row;
    row.expect("readable").expect("the directory").key
}

fn stored(app: &TestApp, key: i64, txn: &str) -> (Option<AsyncRow>, Results) {
    let (txn, service) = (txn.to_owned(), Arc::clone(app.service()));
    let read = async move {
        let read = move |tx: &mut Tx<'_>| {
            Ok::<_, StoreError>((tx.async_get(key, &txn)?, tx.async_results(key, &txn)?))
        };
        service.store.read("stored", read).await
    };
    app.wait(read).expect("readable")
}

/// Puts requests, whose bodies are sealed here, there as a process leaves them behind that stops.
fn leave_behind(app: &TestApp, rows: Vec<AsyncRow>, results: Vec<(String, i32, Value)>) {
    let service = Arc::clone(app.service());
    let sealing = Arc::clone(app.service());
    let write = async move {
        let write = move |tx: &mut Tx<'_>| {
            for row in &rows {
                let body = sealing.seal_accepted(row.directory_key, &row.id, &row.body);
                tx.async_insert(&AsyncRow { body, ..row.clone() })?;
                for (_, index, outcome) in results.iter().filter(|(id, _, _)| *id == row.id) {
                    tx.async_note(row.directory_key, &row.id, *index, &outcome.to_string())?;
                }
            }
            Ok::<_, StoreError>(())
        };
        service.store.write("leave", write).await
    };
    app.wait(write).expect("stored");
}

fn row(app: &TestApp, key: i64, id: &str, operations: &Value, ids: &Value) -> AsyncRow {
    let schemas = ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"];
    AsyncRow {
        directory_key: key,
        id: id.to_owned(),
        form: "bulk".into(),
        base: app.scim.base.clone(),
        body: json!({"schemas": schemas, "Operations": operations}).to_string(),
        ids: ids.to_string(),
        runner: "runner_gone".into(),
        lease: app.clock.now_ms(),
        created: app.clock.now_ms(),
        finished: None,
    }
}

fn post(bulk_id: &str, user_name: &str) -> Value {
    json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": user(user_name)})
}

fn begin(app: &TestApp, operations: &[Value]) -> String {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    });
    let headers = [("Prefer", "respond-async")];
    let answer = app.scim.send("POST", "/Bulk", &headers, Some(body.to_string())).expect(202);
    answer.header("set-txn").expect("a transaction").to_owned()
}

fn completion(app: &TestApp, txn: &str) -> Answer {
    app.scim.get(&format!("/Async/{txn}"))
}

/// Lets services look for stopped requests, and keeps them at it until the request is done.
fn resume_with(app: &TestApp, services: Vec<Arc<Service>>, txn: &str) {
    let path = format!("/Async/{txn}");
    let (scim, until) = (app.scim.clone(), Instant::now() + Duration::from_secs(60));
    app.wait(async move {
        let looking = services.iter().map(Service::resume_asynchronous);
        for looked in futures_util::future::join_all(looking).await {
            looked.expect("looked");
        }
        while scim.get(&path).status == 202 {
            assert!(Instant::now() < until, "not done");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
}

fn resume(app: &TestApp, txn: &str) -> Vec<Value> {
    resume_with(app, vec![Arc::clone(app.service())], txn);
    outcomes(&completion(app, txn))
}

#[track_caller]
fn outcomes(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["Operations"].as_array().expect("a list").clone()
}

fn id_of(outcome: &Value) -> &str {
    let location = outcome["location"].as_str().unwrap_or_else(|| panic!("none in {outcome}"));
    location.rsplit('/').next().unwrap_or_default()
}

fn statuses(outcomes: &[Value]) -> Vec<&str> {
    outcomes.iter().map(|outcome| outcome["status"].as_str().unwrap_or_default()).collect()
}

/// Another runner has the request before it is half done, and does not go on: to the first one that
/// is the same as to have stopped.
fn heavy_stopped_request_goes_on_where_it_ended(app: &TestApp) {
    let key = directory_key(app);
    let mut operations: Vec<Value> =
        (0..1_998).map(|n| post(&format!("u{n}"), &format!("user{n}@example.com"))).collect();
    let all = ["bulkId:u0", "bulkId:u1997", "bulkId:inner"];
    let (outer, inner) = (group("Outer", &all), group("Inner", &["bulkId:u1"]));
    operations.push(json!({"method": "POST", "path": "/Groups", "bulkId": "outer", "data": outer}));
    operations.push(json!({"method": "POST", "path": "/Groups", "bulkId": "inner", "data": inner}));
    let txn = begin(app, &operations);
    while stored(app, key, &txn).1.is_empty() {}
    let (service, now) = (Arc::clone(app.service()), app.clock.now_ms());
    let take = async move {
        let later = now + 40_000;
        let take = move |tx: &mut Tx<'_>| {
            // Between two units of the runner: each holds the directory.
            tx.directory_lock_exclusive(key)?;
            tx.async_take_over("other", later, later)
        };
        service.store.write("take", take).await
    };
    let taken: Result<Option<AsyncRow>, StoreError> = app.wait(take);
    let ids: Value = serde_json::from_str(&taken.expect("taken").expect("one").ids).expect("JSON");

    let (row, before) = stored(app, key, &txn);
    assert_eq!(row.expect("it is there").runner, "other");
    assert!(!before.is_empty() && before.len() < 2_000, "{} done", before.len());
    let answer = completion(app, &txn).expect(202);
    assert_eq!(answer.body["operationsDone"], before.len());
    assert_eq!(app.scim.get("/Users?count=0").total(), before.len() as u64);
    // The other runner is believed to be at it.
    let service = Arc::clone(app.service());
    app.wait(async move { service.resume_asynchronous().await }).expect("looked");
    assert_eq!(stored(app, key, &txn).1.len(), before.len());

    app.clock.advance(Duration::from_secs(41));
    let done = resume(app, &txn);
    assert_eq!(done.len(), 2_000);
    assert!(done.iter().all(|outcome| outcome["status"] == "201"));
    for (outcome, operation) in done.iter().zip(&operations) {
        let bulk_id = operation["bulkId"].as_str().expect("a bulkId");
        assert_eq!(outcome["bulkId"], bulk_id);
        assert_eq!(id_of(outcome), ids[bulk_id], "the id that was decided first");
    }
    for (index, outcome) in &before {
        let index = usize::try_from(*index).expect("an index");
        assert_eq!(done[index].to_string(), *outcome, "what was done stays as it was told");
    }
    assert_eq!(app.scim.get("/Users?count=0").total(), 1_998);
    assert_eq!(app.scim.get("/Groups?count=0").total(), 2);
    let group = app.scim.get(&format!("/Groups/{}", id_of(&done[1_998]))).expect(200);
    assert_eq!(group.body["members"].as_array().map(Vec::len), Some(3));
    let names = app.event_names(&app.directory);
    let count = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
    assert_eq!(count("dsync.user.created"), 1_998);
    assert_eq!(count("dsync.group.created"), 2);
    assert_eq!(count("dsync.group.user_added"), 3);
}

/// A unit that finds other schemas than its request was read with is not run; the request is read
/// again.
fn heavy_schemas_that_change_meanwhile_fail_nothing(app: &TestApp) {
    let operations: Vec<Value> =
        (0..1_000).map(|n| post(&format!("u{n}"), &format!("user{n}@example.com"))).collect();
    let txn = begin(app, &operations);
    let urn = "urn:example:schemas:Extension";
    let badge = json!({"name": "badge", "type": "string", "multiValued": false});
    let document = json!({
        "schemas": [{"id": urn, "name": "Extension", "attributes": [badge]}],
        "resource_types": [{
            "name": "User", "schemaExtensions": [{"schema": urn, "required": false}],
        }],
    });
    let path = format!("/api/v1/directories/{}/schemas", app.directory.id);
    app.api.put(&path, document).expect(200);
    app.clock.advance(LEASE);
    let done = resume(app, &txn);
    assert_eq!(done.len(), 1_000);
    assert!(done.iter().all(|outcome| outcome["status"] == "201"), "{:?}", statuses(&done));
}

fn heavy_passwords_of_accepted_requests_are_not_stored_in_clear(app: &TestApp) {
    let key = directory_key(app);
    let with_password = |n: usize| {
        let mut operation = post(&format!("u{n}"), &format!("user{n}@example.com"));
        operation["data"]["password"] = json!("correct-horse");
        operation
    };
    let txn = begin(app, &(0..1_000).map(with_password).collect::<Vec<_>>());
    let (row, _) = stored(app, key, &txn);
    let row = row.expect("accepted");
    assert!(row.finished.is_none() && !row.body.is_empty(), "it takes longer than the look");
    for clear in ["correct-horse", "password", "user0@example.com"] {
        assert!(!row.body.contains(clear), "{clear}");
    }
    let done = resume(app, &txn);
    assert!(done.iter().all(|outcome| outcome["status"] == "201"), "{:?}", statuses(&done));
}

fn request_is_run_by_one_process(app: &TestApp) {
    let key = directory_key(app);
    let another = || {
        let store = app.service().store.clone();
        let secret = app.database.folder.path().join("data/secret.key");
        let secret = std::fs::read_to_string(secret).expect("the key of the server");
        let (url, secret) = (app.url.clone(), SecretKey::parse(&secret).expect("a key"));
        let records = RecordStore::shared(store.clone());
        let (clock, off) = (app.clock.clone(), RateLimit::Off);
        Arc::new(Service::new(store, clock, url, Vec::new(), &secret, off, records))
    };
    for round in 0..5 {
        let txn = format!("txn_{round}");
        let names = (0..120).map(|n| format!("u{round}-{n}"));
        let operations: Vec<Value> =
            names.clone().map(|name| post(&name, &format!("{name}@example.com"))).collect();
        let ids: Value = names
            .map(|name| (name.clone(), Value::from(format!("directory_user_{name}"))))
            .collect();
        leave_behind(app, vec![row(app, key, &txn, &operations.into(), &ids)], Vec::new());
        app.clock.advance(Duration::from_millis(1));
        resume_with(app, vec![another(), another(), Arc::clone(app.service())], &txn);
        let done = outcomes(&completion(app, &txn));
        assert_eq!(done.len(), 120);
        assert!(done.iter().all(|outcome| outcome["status"] == "201"), "{:?}", statuses(&done));
    }
    assert_eq!(app.scim.get("/Users?count=0").total(), 600);
    assert_eq!(app.event_names(&app.directory).len(), 600);
}

/// A directory that has become stricter since does not leave what it accepted undone.
fn stored_request_is_done_by_the_rules_of_today(app: &TestApp) {
    let key = directory_key(app);
    let operations = json!([
        post("a", "ada@example.com"),
        {"method": "POST", "path": "/Devices", "bulkId": "d", "data": {"serial": "1"}},
    ]);
    let mut left = row(app, key, "txn_1", &operations, &json!({"a": "directory_user_a"}));
    left.body = json!({"Operations": operations}).to_string();
    leave_behind(app, vec![left], Vec::new());
    let settings = json!({"profile": {"messages_without_schemas": "refuse"}});
    let path = format!("/api/v1/directories/{}", app.directory.id);
    app.api.patch(&path, json!({"settings": settings})).expect(200);
    app.clock.advance(Duration::from_millis(1));
    let done = resume(app, "txn_1");
    assert_eq!(statuses(&done), ["201", "404"]);
    assert_eq!(id_of(&done[0]), "directory_user_a");
}

/// What failed before the stop is counted against failOnErrors and fails what depends on it.
fn failures_before_the_stop_count_after_it(app: &TestApp) {
    let key = directory_key(app);
    let operations = json!([
        post("a", "ada@example.com"),
        post("b", "ben@example.com"),
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": group("G", &["bulkId:a"])},
        {"method": "POST", "path": "/Groups", "bulkId": "h", "data": group("H", &["bulkId:b"])},
        {"method": "DELETE", "path": "/Users/nobody"},
        post("c", "cleo@example.com"),
    ]);
    let ids = json!({
        "a": "directory_user_a", "b": "directory_user_b", "c": "directory_user_c",
        "g": "directory_group_g", "h": "directory_group_h",
    });
    let error = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": "409", "scimType": "uniqueness", "detail": "Taken.",
    });
    let failed = json!({"method": "POST", "bulkId": "a", "status": "409", "response": error});
    let mut limited = row(app, key, "txn_1", &operations, &ids);
    limited.body = limited.body.replacen('{', "{\"failOnErrors\":3,", 1);
    leave_behind(app, vec![limited], vec![("txn_1".into(), 0, failed.clone())]);
    app.clock.advance(Duration::from_millis(1));
    let done = resume(app, "txn_1");
    assert_eq!(statuses(&done), ["409", "201", "409", "201", "404"], "the third error ends it");
    assert_eq!(done[0], failed);
    assert!(done[2]["response"]["detail"].as_str().expect("text").contains("bulkId:a"));
    assert_eq!(id_of(&done[3]), "directory_group_h");
    assert_eq!(app.scim.get("/Users?count=0").total(), 1);
}

fn more_than_a_hundred_requests_are_refused(app: &TestApp) {
    let key = directory_key(app);
    let lease = app.clock.now_ms() + 60_000;
    let rows = (0..100).map(|n| AsyncRow {
        lease,
        ..row(app, key, &format!("txn_{n}"), &json!([post("a", "a@example.com")]), &json!({}))
    });
    leave_behind(app, rows.collect(), Vec::new());
    let send = |scim: &crate::support::Client| {
        let body = user("ada@example.com").to_string();
        scim.send("POST", "/Users", &[("Prefer", "respond-async")], Some(body))
    };
    let refused = send(&app.scim);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("set-txn"), None);
    let detail = refused.expect_scim_error(503, None);
    assert!(detail.contains("100"), "{detail}");
    assert_eq!(app.scim.get("/Users?count=0").total(), 0);
    // Who does not ask for it is served, and so is another directory.
    app.scim.post("/Users", user("ben@example.com")).expect(201);
    let (_, other) = app.directory("scim.generic");
    send(&other).expect(202);
    let (service, now) = (Arc::clone(app.service()), app.clock.now_ms());
    let finish = async move {
        let finish = move |tx: &mut Tx<'_>| tx.async_finish(key, "txn_7", now);
        service.store.write("finish", finish).await
    };
    let finished: Result<(), StoreError> = app.wait(finish);
    finished.expect("one is done");
    send(&app.scim).expect(202);
}

/// More requests than run at a time: one look is enough to get all of them done.
fn every_stopped_request_is_taken_over(app: &TestApp) {
    let key = directory_key(app);
    let rows = (0..30).map(|n| {
        let ids = json!({"a": format!("directory_user_{n}")});
        let operations = json!([post("a", &format!("user{n}@example.com"))]);
        row(app, key, &format!("txn_{n:02}"), &operations, &ids)
    });
    leave_behind(app, rows.collect(), Vec::new());
    app.clock.advance(Duration::from_millis(1));
    let service = Arc::clone(app.service());
    let (scim, until) = (app.scim.clone(), Instant::now() + Duration::from_secs(60));
    app.wait(async move {
        service.resume_asynchronous().await.expect("looked");
        while (0..30).any(|n| scim.get(&format!("/Async/txn_{n:02}")).status == 202) {
            assert!(Instant::now() < until, "not done");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let ids = app.scim.get("/Users?count=100").ids();
    let expected: BTreeSet<String> = (0..30).map(|n| format!("directory_user_{n}")).collect();
    assert_eq!(ids.into_iter().collect::<BTreeSet<String>>(), expected);
}

fn completion_is_kept_for_a_day(app: &TestApp) {
    let key = directory_key(app);
    let old = begin(app, &[post("a", "ada@example.com")]);
    let until = Instant::now() + Duration::from_secs(60);
    while completion(app, &old).status == 202 {
        assert!(Instant::now() < until, "not done");
    }
    app.clock.advance(Duration::from_millis(1));
    let young = begin(app, &[post("b", "ben@example.com")]);
    while completion(app, &young).status == 202 {
        assert!(Instant::now() < until, "not done");
    }
    let look = || {
        let service = Arc::clone(app.service());
        app.wait(async move { service.resume_asynchronous().await }).expect("looked");
    };
    app.clock.advance(DAY - Duration::from_millis(1));
    look();
    completion(app, &old).expect(200);
    app.clock.advance(Duration::from_millis(1));
    look();
    completion(app, &old).expect_scim_error(404, None);
    completion(app, &young).expect(200);
    let (gone, results) = stored(app, key, &old);
    assert!(gone.is_none() && results.is_empty());
}

fn deleted_directory_takes_its_requests_with_it(app: &TestApp) {
    let key = directory_key(app);
    let failed = json!({"method": "DELETE", "status": "404", "response": {}});
    let operations = json!([{"method": "DELETE", "path": "/Users/1"}, post("a", "a@example.com")]);
    let rows = vec![
        row(app, key, "txn_1", &operations, &json!({"a": "directory_user_a"})),
        AsyncRow { finished: None, ..row(app, key, "txn_2", &operations, &json!({})) },
    ];
    leave_behind(app, rows, vec![("txn_1".into(), 0, failed)]);
    app.api.delete(&format!("/api/v1/directories/{}", app.directory.id)).expect(202);
    let service = Arc::clone(app.service());
    app.wait(async move { service.purge_deleted_directories().await }).expect("purged");
    app.clock.advance(Duration::from_millis(1));
    for txn in ["txn_1", "txn_2"] {
        let (row, results) = stored(app, key, txn);
        assert!(row.is_none() && results.is_empty(), "{txn}");
    }
    let service = Arc::clone(app.service());
    app.wait(async move { service.resume_asynchronous().await }).expect("looked");
}
