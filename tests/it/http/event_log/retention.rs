//! Old events go; who has missed some is told.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use rollbook::service::error::ServiceError;
use rollbook::store::StoreError;
use serde_json::json;

use super::{data, reader, walk};
use crate::http::api_error;
use crate::on_both_databases;
use crate::support::{Client, TestApp, user};

on_both_databases![
    old_events_go_and_cursors_say_so,
    newest_event_stays_and_positions_go_on,
    pruning_goes_in_bounded_units,
    what_was_removed_never_goes_back,
    snapshot_that_is_slower_than_retention_is_cut_off,
    end_of_a_directory_outlives_its_organization,
];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn create(app: &TestApp, name: &str) {
    app.scim.post("/Users", user(&format!("{name}@example.com"))).expect(201);
    app.settle_events();
}

fn prune(app: &TestApp) {
    let service = app.service().clone();
    app.wait(async move { service.prune_events().await }).expect("pruned");
}

/// Appends events that nobody looks for.
pub(super) fn fill(app: &TestApp, count: usize) {
    fill_with(app, count, "'{}'");
}

/// The same with that expression as their data.
pub(super) fn fill_with(app: &TestApp, count: usize, data: &str) {
    let numbers = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         INSERT INTO event (directory_key, id, event, resource_id, data, created) \
         SELECT (SELECT MAX(key) FROM directory), 'event_00' || i, 'dsync.token.revoked', 't', \
         {data}, 1 FROM n"
    );
    let url = app.database.url();
    match url.strip_prefix("sqlite://") {
        Some(file) => {
            let mut conn = SqliteConnection::establish(file).expect("the file");
            conn.batch_execute("PRAGMA busy_timeout = 10000").expect("a pragma");
            conn.batch_execute(&numbers).expect("events");
        }
        None => {
            let mut conn = PgConnection::establish(&url).expect("the database");
            conn.batch_execute(&numbers).expect("events");
        }
    }
}

fn old_events_go_and_cursors_say_so(app: &TestApp) {
    create(app, "old");
    let old = walk(&app.api, "");
    app.api.put("/api/v1/consumers/slow", json!({"position": 1})).expect(200);
    app.clock.advance(DAY * 89);
    create(app, "young");
    prune(app);
    assert_eq!(walk(&app.api, "").len(), 6, "nothing is 90 days old");
    app.clock.advance(DAY * 2);
    prune(app);
    let left = walk(&app.api, "");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["data"]["username"], "young@example.com");
    for event in &old {
        let id = event["id"].as_str().expect("an id");
        let answer = app.api.get(&format!("/events?after={id}"));
        assert!(api_error(&answer, 400, "invalid_cursor").contains("older than events are kept"));
    }
    for path in ["/api/v1/events?after=2", "/api/v1/events?consumer=slow", "/api/v1/events?after=0"]
    {
        let message = api_error(&app.api.get(path), 400, "cursor_expired");
        assert!(message.contains("those behind 5 are kept"), "{message}");
    }
    let page = app.api.get("/api/v1/events?after=5").expect(200);
    assert_eq!(data(&page)[0]["position"], 6);
    assert_eq!(app.api.get("/api/v1/events").expect(200).text, page.text);
    let metrics = app.api.get("/metrics").expect(200).text;
    assert!(metrics.contains("rollbook_events_pruned_total 5\n"), "{metrics}");
}

fn newest_event_stays_and_positions_go_on(app: &TestApp) {
    create(app, "old");
    app.clock.advance(DAY * 365);
    prune(app);
    let left = app.api.get("/api/v1/events").expect(200);
    assert_eq!(data(&left).len(), 1);
    assert_eq!(left.body["next"], 5);
    create(app, "new");
    let page = app.api.get("/api/v1/events?after=5").expect(200);
    assert_eq!(data(&page)[0]["position"], 6);
    prune(app);
    assert_eq!(data(&app.api.get("/api/v1/events").expect(200)).len(), 1);
}

fn pruning_goes_in_bounded_units(app: &TestApp) {
    app.settle_events();
    fill(app, 3_500);
    create(app, "new");
    app.clock.advance(DAY * 365);
    prune(app);
    let left = app.api.get("/api/v1/events").expect(200);
    assert_eq!(data(&left)[0]["position"], 3_505);
    assert_eq!(data(&left).len(), 1);
}

/// Two processes that prune at the same time: the slower one must not take back what the other noted.
fn what_was_removed_never_goes_back(app: &TestApp) {
    let removed = |number: i64| {
        let store = app.service().store.clone();
        let raised: Result<(), StoreError> = app.wait(async move {
            store.write("test", move |tx| tx.setting_raise("events_pruned", number)).await
        });
        raised.expect("noted");
    };
    let known = || {
        let store = app.service().store.clone();
        let known: Result<i64, ServiceError> =
            app.wait(async move { store.read("test", |tx| Ok(tx.log_pruned()?)).await });
        known.expect("a position")
    };
    create(app, "old");
    app.clock.advance(DAY * 91);
    create(app, "young");
    removed(1_000);
    prune(app);
    assert_eq!(data(&app.api.get("/events").expect(200)).len(), 1, "the old ones are gone");
    assert_eq!(known(), 1_000);
    removed(999);
    assert_eq!(known(), 1_000);
    removed(10_000);
    assert_eq!(known(), 10_000);
}

fn snapshot_that_is_slower_than_retention_is_cut_off(app: &TestApp) {
    create(app, "first");
    let (service, api) = (app.service().clone(), app.api.clone());
    let id = app.directory.id.clone();
    let mut snapshot = app.wait(async move {
        let bearer = api.bearer.clone().expect("a key");
        let access = service.api_access(&bearer, None).await.expect("the key");
        let mut snapshot = service.clone().snapshot(&access, &bearer, &id).await.expect("begins");
        snapshot.next().await.expect("groups");
        snapshot
    });
    create(app, "old");
    app.clock.advance(DAY * 91);
    create(app, "young");
    prune(app);
    let error = app.wait(snapshot.next()).expect_err("events are missing");
    assert!(format!("{error:?}").contains("cursor_expired"), "{error:?}");
}

fn end_of_a_directory_outlives_its_organization(app: &TestApp) {
    let others = [app.directory("scim.okta"), app.directory("scim.okta")];
    let own = others.each_ref().map(|(other, scim)| {
        scim.post("/Users", user("theirs@example.com")).expect(201);
        reader(app, Some(&[&other.organization_id]))
    });
    // The one that was made last ends first: the newest event is of the other one.
    for (other, _) in others.iter().rev() {
        app.api.delete(&format!("/api/v1/directories/{}", other.id)).expect(202);
        app.wait(app.service().purge_deleted_directories()).expect("purged");
        let path = format!("/api/v1/organizations/{}", other.organization_id);
        app.api.delete(&path).expect(204);
    }
    app.settle_events();
    prune(app);
    let names = |own: &Client| -> Vec<String> {
        let events = walk(own, "").into_iter();
        events.filter_map(|event| event["event"].as_str().map(str::to_owned)).collect()
    };
    for own in &own {
        assert_eq!(names(own), ["dsync.deleted"]);
    }
    app.clock.advance(DAY * 91);
    create(app, "young");
    prune(app);
    for own in &own {
        assert!(names(own).is_empty());
    }
    let (past, _) = &others[0];
    let path = format!("/api/v1/events?directory_id={}", past.id);
    app.api.get(&path).expect(404);
}
