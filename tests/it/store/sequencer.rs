//! Positions on PostgreSQL: an event that commits late is not missed, an event that never commits holds
//! up nobody, and the changes of one resource keep their order.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, PgConnection};
use serde_json::{Value, json};

use crate::support::{Database, TestApp, patch, user};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Gaps {
    #[diesel(sql_type = Text)]
    gaps: String,
}

fn connect(app: &TestApp) -> PgConnection {
    PgConnection::establish(&app.database.url()).expect("a session")
}

/// Begins a transaction that has drawn a key for an event of its own.
fn late(app: &TestApp, id: &str) -> PgConnection {
    let mut session = connect(app);
    session.batch_execute("BEGIN").expect("a transaction");
    session
        .batch_execute(&format!(
            "UPDATE setting SET value = value WHERE name = 'first_start'; \
             SELECT pg_current_xact_id(); \
             INSERT INTO event (directory_key, id, event, resource_id, data, created) \
             SELECT MAX(key), '{id}', 'dsync.token.revoked', 't', '{{}}', 0 FROM directory"
        ))
        .expect("an event");
    session
}

/// The ids of the events behind a position.
fn ids(app: &TestApp, after: i64) -> Vec<String> {
    let page = app.api.get(&format!("/api/v1/events?limit=1000&after={after}")).expect(200);
    let events = page.body["data"].as_array().expect("a list").iter();
    events.filter_map(|event| event["id"].as_str()).map(str::to_owned).collect()
}

fn end(app: &TestApp) -> i64 {
    app.settle_events();
    let page = app.api.get("/api/v1/events?after=newest").expect(200);
    page.body["next"].as_i64().expect("a position")
}

/// Returns when a reader sees that event.
fn wait_for(app: &TestApp, after: i64, id: &str) -> Vec<String> {
    loop {
        let ids = ids(app, after);
        if ids.iter().any(|known| known == id) {
            return ids;
        }
        std::thread::yield_now();
    }
}

fn gaps(app: &TestApp) -> String {
    let gaps: Gaps = diesel::sql_query("SELECT gaps FROM event_sequencer")
        .get_result(&mut connect(app))
        .expect("the row");
    gaps.gaps
}

#[test]
fn event_that_commits_late_is_read_after_those_that_came_before_it() {
    let app = TestApp::start(Database::postgres());
    let start = end(&app);
    let mut slow = late(&app, "event_slow");
    app.scim.post("/Users", user("fast@example.com")).expect(201);
    let first = end(&app);
    assert_eq!(first, start + 1, "the user is told of although a smaller key is not there");
    assert!(gaps(&app).contains("\"from\""), "{}", gaps(&app));
    slow.batch_execute("COMMIT").expect("committed");
    assert_eq!(wait_for(&app, first, "event_slow"), ["event_slow"]);
    app.scim.post("/Users", user("last@example.com")).expect(201);
    end(&app);
    assert_eq!(ids(&app, start).len(), 3);
    assert_eq!(ids(&app, start)[1], "event_slow");
    wait_until_no_gaps(&app);
}

#[test]
fn event_that_never_commits_holds_up_nobody() {
    let app = TestApp::start(Database::postgres());
    let start = end(&app);
    let mut gone = late(&app, "event_gone");
    app.scim.post("/Users", user("a@example.com")).expect(201);
    assert_eq!(end(&app), start + 1);
    gone.batch_execute("ROLLBACK").expect("rolled back");
    wait_until_no_gaps(&app);
    app.scim.post("/Users", user("b@example.com")).expect(201);
    assert_eq!(end(&app), start + 2, "positions have no gap");
}

/// What was not there is forgotten when nobody can fill it any more.
fn wait_until_no_gaps(app: &TestApp) {
    while gaps(app) != "[]" {
        std::thread::yield_now();
    }
}

/// A gap stays while the transaction that drew it lives, however many others end.
#[test]
fn gap_of_a_living_transaction_is_never_given_up() {
    let app = TestApp::start(Database::postgres());
    let start = end(&app);
    let mut slow = late(&app, "event_slow");
    for n in 0..40 {
        app.scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201);
        end(&app);
    }
    assert_ne!(gaps(&app), "[]");
    slow.batch_execute("COMMIT").expect("committed");
    assert_eq!(wait_for(&app, start, "event_slow").len(), 41);
}

/// The order rule of the design: one session holds the lock of a user and appends its event last; the
/// positions follow the changes.
#[test]
fn two_changes_of_one_resource_keep_their_order() {
    let app = TestApp::start(Database::postgres());
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let start = end(&app);
    let mut other = connect(&app);
    other.batch_execute("BEGIN").expect("a transaction");
    diesel::sql_query("UPDATE resource SET version = version + 1 WHERE id = $1")
        .bind::<Text, _>(&id)
        .execute(&mut other)
        .expect("the lock");
    let waiting = std::thread::spawn({
        let (scim, path) = (app.scim.clone(), format!("/Users/{id}"));
        move || {
            let ops = json!([{"op": "replace", "path": "title", "value": "second"}]);
            scim.patch(&path, patch(ops))
        }
    });
    // Another resource is told of meanwhile: the log goes on.
    app.scim.post("/Users", user("ben@example.com")).expect(201);
    assert_eq!(end(&app), start + 1);
    app.database.wait_for_lock_of("%resource%");
    diesel::sql_query(
        "INSERT INTO event (directory_key, id, event, resource_id, data, created) \
         SELECT directory_key, 'event_first', 'dsync.user.updated', id, '{}', 0 \
         FROM resource WHERE id = $1",
    )
    .bind::<Text, _>(&id)
    .execute(&mut other)
    .expect("the first event");
    other.batch_execute("COMMIT").expect("the first change commits");
    waiting.join().expect("no panic").expect(200);
    assert_eq!(end(&app), start + 3);
    let told = ids(&app, start + 1);
    assert_eq!((told.len(), told[0].as_str()), (2, "event_first"));
}

/// A session that has locked the row and does nothing keeps others out only as long as it lives.
#[test]
fn lock_of_a_process_that_is_gone_is_free_again() {
    let app = TestApp::start(Database::postgres());
    let start = end(&app);
    let mut holder = connect(&app);
    holder.batch_execute("BEGIN; SELECT * FROM event_sequencer FOR UPDATE").expect("the lock");
    app.scim.post("/Users", user("a@example.com")).expect(201);
    assert!(ids(&app, start).is_empty(), "nobody else gives positions");
    drop(holder);
    assert_eq!(end(&app), start + 1);
}

#[test]
fn no_position_is_given_twice() {
    let app = TestApp::start(Database::postgres());
    for n in 0..30 {
        app.scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201);
    }
    app.settle_events();
    let mut conn = connect(&app);
    let count = |conn: &mut PgConnection, text: &str| {
        diesel::sql_query(text).get_result::<Number>(conn).expect("a number").n
    };
    let events = count(&mut conn, "SELECT COUNT(*) AS n FROM event");
    assert_eq!(
        count(&mut conn, "SELECT COUNT(DISTINCT position) AS n FROM event_position"),
        events
    );
    assert_eq!(count(&mut conn, "SELECT MAX(position) AS n FROM event_position"), events);
    assert_eq!(count(&mut conn, "SELECT position AS n FROM event_sequencer"), events);
    let told: Value = app.api.get("/api/v1/events?limit=1000").expect(200).body;
    assert_eq!(told["data"].as_array().map(Vec::len), usize::try_from(events).ok());
}
