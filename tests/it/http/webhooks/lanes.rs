//! Who is served, and what of it is stored.

use std::sync::mpsc;
use std::time::Duration;

use rollbook::store::StoreError;
use rollbook::store::webhook::EndpointRow;
use rollbook::store::webhook_lane::{Kept, LaneEnd, LaneProgress};
use serde_json::json;

use super::{PATH, endpoint, execute, people, raw, wait_until};
use crate::http::api_error;
use crate::support::{Delivery, Receiver, Reply, TestApp, group};

with_receivers![
    endpoint_with_nothing_new_is_not_served,
    progress_is_stored_where_the_endpoint_stands,
    change_by_an_operator_keeps_what_was_done,
    endpoint_is_tested_once_at_a_time,
];

fn endpoint_with_nothing_new_is_not_served(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.group.created"]);
    app.scim.post("/Groups", group("One", &[])).expect(201);
    receiver.wait_accepted(1);
    wait_until(app, &id, |endpoint| endpoint["lag"] == 0);
    // Whoever serves it ends at a change.
    app.api.patch(&format!("{PATH}/{id}"), json!({})).expect(200);
    let since = std::time::Instant::now();
    let leases = "SELECT id AS text FROM webhook_endpoint WHERE lease > 1750000000000";
    while !raw(app, leases).is_empty() {
        assert!(since.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(5));
    }
    let runner = || raw(app, "SELECT runner AS text FROM webhook_endpoint");
    let before = runner();
    people(&app.scim, &["a@example.com", "b@example.com"]);
    app.settle_events();
    let behind = wait_until(app, &id, |endpoint| endpoint["lag"] == 0);
    assert_eq!(runner(), before, "it was brought to the end without a turn: {behind}");
    app.scim.post("/Groups", group("Two", &[])).expect(201);
    let events: Vec<String> = receiver.wait_accepted(2).iter().map(Delivery::event).collect();
    assert_eq!(events, ["dsync.group.created"; 2]);
    assert_ne!(runner(), before);
}

/// A paused endpoint that a runner holds, at the beginning of a log that has some events.
fn held(app: &TestApp) -> EndpointRow {
    people(&app.scim, &["a@example.com", "b@example.com"]);
    app.settle_events();
    let body = json!({"endpoint_url": "https://app.example.com/hooks", "after": "oldest",
        "events": ["dsync.user.created"], "state": "paused"});
    let id = app.api.post(PATH, body).expect(201).id();
    execute(app, "UPDATE webhook_endpoint SET runner = 'run_1', failing_since = 5, lease = 9");
    row(app, &id)
}

fn row(app: &TestApp, id: &str) -> EndpointRow {
    let (service, id) = (app.service().clone(), id.to_owned());
    let row: Result<Option<EndpointRow>, StoreError> =
        app.wait(async move { service.store.get("row", move |tx| tx.webhook_get(&id)).await });
    row.expect("read").expect("a row")
}

fn save(app: &TestApp, done: LaneProgress) -> Kept {
    let service = app.service().clone();
    let kept: Result<Kept, StoreError> = app
        .wait(async move { service.store.write("save", move |tx| tx.webhook_save(&done)).await });
    kept.expect("stored")
}

/// The next event was delivered at 7.
fn progress(row: &EndpointRow) -> LaneProgress {
    LaneProgress {
        endpoint_id: row.id.clone(),
        runner: "run_1".to_owned(),
        version: row.version,
        stood: row.position,
        position: row.position + 1,
        passed: row.position + 1,
        missed: 3,
        attempts: 0,
        head_since: None,
        head_position: None,
        failing_since: None,
        last_success: Some(7),
        probed: None,
        next_at: 0,
        lease: 11,
        end: LaneEnd::Open,
        trim: false,
        state: None,
        log: Vec::new(),
        parked: Vec::new(),
        unparked: Vec::new(),
        replay: None,
    }
}

fn progress_is_stored_where_the_endpoint_stands(app: &TestApp) {
    let before = held(app);
    let other = LaneProgress { runner: "run_2".to_owned(), ..progress(&before) };
    assert_eq!(save(app, other), Kept::Lost);
    let elsewhere = LaneProgress { stood: before.position + 1, ..progress(&before) };
    assert_eq!(save(app, elsewhere), Kept::Lost);
    assert_eq!(row(app, &before.id), before);
    assert_eq!(save(app, progress(&before)), Kept::Yes);
    let after = row(app, &before.id);
    assert_eq!((after.position, after.missed), (before.position + 1, 3));
    assert_eq!((after.failing_since, after.last_success), (None, Some(7)));
    // The log is shorter than what was delivered of it, as behind a standby that lost its tail.
    let end = app.api.get("/api/v1/events?after=newest").expect(200).body["next"].clone();
    let beyond = LaneProgress { position: 1_000_000, passed: 1_000_000, ..progress(&after) };
    assert_eq!(save(app, beyond), Kept::Yes);
    assert_eq!(json!(row(app, &before.id).position), end);
}

fn change_by_an_operator_keeps_what_was_done(app: &TestApp) {
    let before = held(app);
    let path = format!("{PATH}/{}", before.id);
    app.api.patch(&path, json!({"events": ["dsync.deleted"]})).expect(200);
    // What the selection before passed over, it may have passed over for the wrong reason by now.
    let passed = LaneProgress { passed: before.position + 2, ..progress(&before) };
    assert_eq!(save(app, passed), Kept::Changed);
    let after = row(app, &before.id);
    assert_eq!((after.position, after.missed), (before.position + 1, 3));
    assert_eq!((after.failing_since, after.last_success), (None, Some(7)), "it has just worked");
    // What the operator has forgiven comes not back.
    app.api.patch(&path, json!({"endpoint_url": "https://app.example.com/2"})).expect(200);
    let failed = LaneProgress { failing_since: Some(8), attempts: 2, ..progress(&after) };
    assert_eq!(save(app, failed), Kept::Changed);
    let last = row(app, &before.id);
    assert_eq!((last.failing_since, last.attempts), (None, 0));
}

fn endpoint_is_tested_once_at_a_time(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created"]);
    let ((came, comes), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
    receiver.answer(move |_| {
        came.send(()).expect("somebody waits");
        let _ = released.recv_timeout(Duration::from_secs(10));
        Reply::status(200)
    });
    let path = format!("{PATH}/{id}/test");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| app.api.post(&path, json!({})));
        comes.recv_timeout(Duration::from_secs(30)).expect("the first one comes");
        api_error(&app.api.post(&path, json!({})), 409, "test_in_progress");
        drop(release);
        first.join().expect("answered").expect(200);
    });
    receiver.answer(|_| Reply::status(200));
    app.api.post(&path, json!({})).expect(200);
}
