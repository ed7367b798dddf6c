//! Old events go; who has missed some is told.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use serde_json::json;

use super::{data, walk};
use crate::http::api_error;
use crate::on_both_databases;
use crate::support::{TestApp, user};

on_both_databases![
    old_events_go_and_cursors_say_so,
    newest_event_stays_and_positions_go_on,
    pruning_goes_in_bounded_units,
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
    let numbers = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         INSERT INTO event (directory_key, id, event, resource_id, data, created) \
         SELECT (SELECT MAX(key) FROM directory), 'event_00' || i, 'dsync.token.revoked', 't', \
         '{{}}', 1 FROM n"
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
