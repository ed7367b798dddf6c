//! The event-order rule: an event gets its number while the resource's lock is held, so two changes
//! of one resource are never reported in the wrong order, whoever waited for whom.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, PgConnection};
use serde_json::json;

use crate::support::{TestApp, patch, user};

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = BigInt)]
    key: i64,
}

/// Another session changes the user and holds its lock while a PATCH waits for it. The other session
/// then appends its event and commits; the event of the PATCH must come after it.
fn change_that_waited_for_a_lock_is_reported_later(app: &TestApp) {
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let mut other = PgConnection::establish(&app.database.url()).expect("a second session");
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
    app.database.wait_for_lock_of("%resource%");
    let first: Key = diesel::sql_query(
        "INSERT INTO event (directory_key, id, event, resource_id, data, created) \
         SELECT directory_key, 'event_first', 'dsync.user.updated', id, '{}', 0 \
         FROM resource WHERE id = $1 RETURNING key",
    )
    .bind::<Text, _>(&id)
    .get_result(&mut other)
    .expect("the first event");
    other.batch_execute("COMMIT").expect("the first change commits");

    waiting.join().expect("no panic").expect(200);
    let second: Key = diesel::sql_query(
        "SELECT key FROM event WHERE resource_id = $1 AND event = 'dsync.user.updated' \
         AND id <> 'event_first'",
    )
    .bind::<Text, _>(&id)
    .get_result(&mut other)
    .expect("the second event");
    assert!(second.key > first.key, "{} came before {}", second.key, first.key);
    let answer = app.scim.get(&format!("/Users/{id}")).expect(200);
    assert_eq!(answer.body["meta"]["version"], "W/\"3\"", "no update was lost");
}

/// Another session has the directory for itself, as the deletion of a directory has it, while a create of
/// one statement waits. The create was computed for a directory that was there.
fn create_that_waited_for_the_deletion_of_its_directory_stores_nothing(app: &TestApp) {
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    let before = app.event_rows(&app.directory).len();
    let mut other = PgConnection::establish(&app.database.url()).expect("a second session");
    other.batch_execute("BEGIN").expect("a transaction");
    let directory: Key = diesel::sql_query(
        "SELECT key FROM directory WHERE id = $1 AND pg_advisory_xact_lock(hashtext('directory'), \
         CAST(key % 2147483647 AS INTEGER)) IS NOT NULL FOR UPDATE",
    )
    .bind::<Text, _>(&app.directory.id)
    .get_result(&mut other)
    .expect("the directory alone");

    let waiting = std::thread::spawn({
        let scim = app.scim.clone();
        move || scim.post("/Users", user("ben@example.com"))
    });
    app.database.wait_for_lock_of("WITH d AS%");
    diesel::sql_query("UPDATE directory SET state = 'deleting' WHERE key = $1")
        .bind::<BigInt, _>(directory.key)
        .execute(&mut other)
        .expect("the state");
    other.batch_execute("COMMIT").expect("the deletion begins");

    waiting.join().expect("no panic").expect(403);
    let users: Key =
        diesel::sql_query("SELECT COUNT(*) AS key FROM resource WHERE directory_key = $1")
            .bind::<BigInt, _>(directory.key)
            .get_result(&mut other)
            .expect("the users");
    assert_eq!(users.key, 1);
    let events: Key =
        diesel::sql_query("SELECT COUNT(*) AS key FROM event WHERE directory_key = $1")
            .bind::<BigInt, _>(directory.key)
            .get_result(&mut other)
            .expect("the events");
    assert_eq!(usize::try_from(events.key), Ok(before));
}

mod change_that_waited_for_a_lock_is_reported_later {
    use crate::support::{Database, TestApp};

    #[test]
    fn postgres() {
        let app = TestApp::start(Database::postgres());
        super::change_that_waited_for_a_lock_is_reported_later(&app);
    }
}

mod create_that_waited_for_the_deletion_of_its_directory_stores_nothing {
    use crate::support::{Database, TestApp};

    #[test]
    fn postgres() {
        let app = TestApp::start(Database::postgres());
        super::create_that_waited_for_the_deletion_of_its_directory_stores_nothing(&app);
    }
}
