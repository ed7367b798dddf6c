//! How much is kept and how long, and that requests never feel it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{counter, dump, listed, path, set};
use crate::on_both_databases;
use crate::support::{Database, TestApp, user};

on_both_databases![
    ring_keeps_the_newest_by_count,
    ring_forgets_by_age,
    reads_are_kept_at_a_bounded_rate,
    refused_requests_are_kept_at_a_bounded_rate,
    caller_that_goes_away_loses_no_records,
    full_buffer_drops_records_and_no_request,
    deleted_directory_takes_its_records_with_it,
    stop_writes_what_waits,
];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn prune(app: &TestApp) {
    let service = Arc::clone(app.service());
    app.wait(async move { service.prune_records().await }).expect("pruned");
}

fn stored(app: &TestApp) -> usize {
    dump(app)["request_record"].len()
}

fn ring_keeps_the_newest_by_count(app: &TestApp) {
    set(app, json!({"records": {"count": 10}}));
    let (other, scim) = app.directory("scim.okta");
    scim.post("/Users", user("ada@example.com")).expect(201);
    for n in 0..25 {
        app.scim.get(&format!("/Users/nobody-{n}")).expect(404);
    }
    let records = listed(app, &app.directory, "limit=500");
    assert_eq!(records.len(), 10);
    for (record, n) in records.iter().zip((15..25).rev()) {
        assert!(record["path"].as_str().expect("a path").ends_with(&format!("nobody-{n}")));
    }
    prune(app);
    assert_eq!(stored(app), 11);
    assert_eq!(listed(app, &other, "").len(), 1, "the other directory has its own ring");
}

fn ring_forgets_by_age(app: &TestApp) {
    set(app, json!({"records": {"days": 2}}));
    let (other, scim) = app.directory("scim.okta");
    app.scim.get("/Users/one").expect(404);
    scim.get("/Users/one").expect(404);
    let id = listed(app, &app.directory, "")[0]["id"].as_str().expect("an id").to_owned();
    app.clock.advance(DAY);
    app.scim.get("/Users/two").expect(404);
    assert_eq!(listed(app, &app.directory, "").len(), 2);
    app.clock.advance(DAY + Duration::from_millis(1));
    // What is too old is not shown any more, also before it is removed.
    assert_eq!(listed(app, &app.directory, "").len(), 1);
    app.api.get(&format!("{}/{id}", path(&app.directory))).expect(404);
    assert_eq!(stored(app), 3);
    prune(app);
    assert_eq!(stored(app), 2);
    assert_eq!(listed(app, &other, "").len(), 1, "seven days unless said otherwise");
    app.clock.advance(DAY * 5);
    prune(app);
    assert_eq!(stored(app), 0);
}

fn reads_are_kept_at_a_bounded_rate(app: &TestApp) {
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    for _ in 0..30 {
        app.scim.get(&format!("/Users/{id}")).expect(200);
    }
    assert_eq!(listed(app, &app.directory, "method=GET").len(), 20);
    assert_eq!(counter(app, "rollbook_request_records_skipped_total"), 10);
    app.scim.get("/Users/nobody").expect(404);
    app.scim.put(&format!("/Users/{id}"), user("ada@example.com")).expect(200);
    app.clock.advance(Duration::from_secs(1));
    app.scim.get(&format!("/Users/{id}")).expect(200);
    assert_eq!(listed(app, &app.directory, "").len(), 24);
}

fn refused_requests_are_kept_at_a_bounded_rate(app: &TestApp) {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    app.api.patch(&path, json!({"state": "paused"})).expect(200);
    for n in 0..30 {
        app.scim.post("/Users", user(&format!("u{n}@example.com"))).expect(503);
    }
    assert_eq!(listed(app, &app.directory, "limit=500").len(), 20);
    assert_eq!(counter(app, "rollbook_request_records_skipped_total"), 10);
    app.api.patch(&path, json!({"state": "linked"})).expect(200);
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    assert_eq!(listed(app, &app.directory, "limit=500").len(), 21);
}

fn caller_that_goes_away_loses_no_records(app: &TestApp) {
    let service = Arc::clone(app.service());
    let held = app.wait(service.records.hold());
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    drop(held);
    let service = Arc::clone(app.service());
    app.wait(async move {
        let mut flush = Box::pin(service.flush_records());
        let begun = std::future::poll_fn(|cx| std::task::Poll::Ready(flush.as_mut().poll(cx)));
        assert!(begun.await.is_pending(), "it takes longer than one look");
        drop(flush);
        service.flush_records().await;
    });
    assert_eq!(stored(app), 1);
}

fn full_buffer_drops_records_and_no_request(app: &TestApp) {
    let service = Arc::clone(app.service());
    let held = app.wait(service.records.hold());
    let large = json!({"userName": 7, "title": "x".repeat(900_000)}).to_string();
    for _ in 0..40 {
        app.scim.send("POST", "/Users", &[], Some(large.clone())).expect(400);
    }
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let dropped = counter(app, "rollbook_request_records_dropped_total");
    assert!((1..40).contains(&dropped), "{dropped}");
    assert_eq!(counter(app, "rollbook_request_records_written_total"), 0);
    drop(held);
    let kept = listed(app, &app.directory, "limit=500").len();
    assert_eq!(u64::try_from(kept).expect("few") + dropped, 41);
    // What was dropped was the record, not the request.
    app.scim.get(&format!("/Users/{id}")).expect(200);
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

fn deleted_directory_takes_its_records_with_it(app: &TestApp) {
    let (other, scim) = app.directory("scim.okta");
    scim.post("/Users", user("ada@example.com")).expect(201);
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    assert_eq!(listed(app, &other, "").len(), 1);
    let service = Arc::clone(app.service());
    let held = app.wait(service.records.hold());
    scim.post("/Users", user("bob@example.com")).expect(201);
    app.api.delete(&format!("/api/v1/directories/{}", other.id)).expect(202);
    drop(held);
    let service = Arc::clone(app.service());
    app.wait(async move {
        service.purge_deleted_directories().await.expect("purged");
        service.flush_records().await;
        service.prune_records().await.expect("pruned");
    });
    app.api.get(&path(&other)).expect(404);
    assert_eq!(stored(app), 1, "also what waited when it was deleted");
    assert_eq!(listed(app, &app.directory, "").len(), 1);
}

fn stop_writes_what_waits(app: &TestApp) {
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    assert_eq!(listed(app, &app.directory, "").len(), 1);
    app.scim.post("/Users", user("bob@example.com")).expect(201);
    let service = Arc::clone(app.service());
    app.wait(async move { service.flush_records().await });
    assert_eq!(stored(app), 2);
}

/// The file of the records of an app on SQLite.
fn file(app: &TestApp) -> std::path::PathBuf {
    app.database.folder.path().join("data/requests.db")
}

#[test]
fn file_that_is_deleted_is_made_again() {
    let app = TestApp::start(Database::sqlite());
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    assert_eq!(listed(&app, &app.directory, "").len(), 1);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", file(&app).display()));
    }
    app.scim.post("/Users", user("bob@example.com")).expect(201);
    assert_eq!(listed(&app, &app.directory, "").len(), 1);
    assert_eq!(stored(&app), 1);
    assert_eq!(app.scim.get("/Users").total(), 2);
}

#[test]
fn file_that_is_damaged_makes_room_for_a_new_one() {
    let app = TestApp::start(Database::sqlite());
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    assert_eq!(listed(&app, &app.directory, "").len(), 1);
    // Another file in its place, as after a disk that failed.
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", file(&app).display()));
    }
    std::fs::write(file(&app), "no database ".repeat(10_000)).expect("written");
    for n in 0..3 {
        app.scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201);
        let service = Arc::clone(app.service());
        app.wait(async move { service.flush_records().await });
    }
    app.scim.post("/Users", user("last@example.com")).expect(201);
    let kept = listed(&app, &app.directory, "user=last@example.com");
    assert_eq!(kept.len(), 1, "records go on");
    assert_eq!(app.scim.get("/Users").total(), 5);
    app.api.get("/health/ready").expect(200);
}
