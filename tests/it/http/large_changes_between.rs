//! Large changes that are not done at once: what comes between their units, and units that the database does
//! not take.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use serde_json::json;

use rollbook::store::intent::Ending;

use super::large_changes::{
    assert_nothing_is_left, finish, in_parts_on_both_databases, in_store, large, leave, make_users,
    members, moves, set, shown, start, values,
};
use super::{create, plain_user};
use crate::support::{Database, TestApp, group, patch};

const BADGE: &str = "urn:example:params:scim:schemas:extension:Badge";

in_parts_on_both_databases![
    key_of_a_deleted_user_names_nobody_else,
    part_that_is_not_taken_is_tried_again,
    rules_that_change_in_the_middle_stop_no_change,
    part_that_cannot_be_read_is_not_passed_over,
    what_is_read_half_done_has_another_version_than_the_end,
    accepted_request_waits_for_the_change_of_another,
    few_members_put_in_place_of_many,
    user_who_goes_before_the_group_leaves_it_first,
];

/// Runs statements that no unit of the server would.
fn run_sql(database: &Database, sqlite: &str, postgres: &str) {
    let url = database.url();
    match url.strip_prefix("sqlite://") {
        Some(file) => {
            let mut conn = SqliteConnection::establish(file).expect("the file opens");
            conn.batch_execute("PRAGMA busy_timeout = 10000").expect("patience");
            conn.batch_execute(sqlite).expect("the statements");
        }
        None => {
            let mut conn = PgConnection::establish(&url).expect("the database");
            conn.batch_execute(postgres).expect("the statements");
        }
    }
}

/// Lets the database remove no row of a table: there is no room.
fn refuse(app: &TestApp, table: &str) {
    run_sql(
        &app.database,
        &format!(
            "CREATE TRIGGER no_room BEFORE DELETE ON {table} \
             BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        ),
        &format!(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN RAISE EXCEPTION ''No space left on device''; END'; \
             CREATE TRIGGER no_room BEFORE DELETE ON {table} \
             FOR EACH ROW EXECUTE FUNCTION no_room()"
        ),
    );
}

fn take(app: &TestApp, table: &str) {
    let postgres = format!("DROP TRIGGER no_room ON {table}");
    run_sql(&app.database, "DROP TRIGGER no_room", &postgres);
}

/// Lets the database take no part of a change.
fn refuse_parts(app: &TestApp) {
    refuse(app, "member_intent_part");
}

fn take_parts(app: &TestApp) {
    take(app, "member_intent_part");
}

/// Waits until a request has tried that often to go on.
fn wait_for_retries(app: &TestApp, wanted: u64) -> u64 {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let metrics = app.api.get("/metrics").text;
        let line =
            metrics.lines().find_map(|l| l.strip_prefix("rollbook_member_change_retries_total "));
        let found: u64 = line.expect("a metric").parse().expect("a number");
        if found >= wanted {
            return found;
        }
        assert!(Instant::now() < until, "nobody tries again");
        std::thread::yield_now();
    }
}

/// What is left to do names members by the keys of their rows.
fn key_of_a_deleted_user_names_nobody_else(app: &TestApp) {
    let ids = make_users(app, 12);
    let id = create(&app.scim, "/Groups", large(&ids[..1]));
    leave(app, &id, Ending::Stays, &[(true, &ids[1..])]);
    app.scim.delete(&format!("/Users/{}", ids[11])).expect(204);
    let late = create(&app.scim, "/Users", plain_user("late@example.com"));
    finish(app);
    let found = members(&app.scim, &id);
    assert!(!found.contains(&late), "somebody else has the key of the user who was meant");
    assert_eq!(found, set(&ids[..11]));
}

fn part_that_is_not_taken_is_tried_again(app: &TestApp) {
    let ids = make_users(app, 35);
    refuse_parts(app);
    let made = std::thread::scope(|scope| {
        let (scim, body) = (app.scim.clone(), large(&ids));
        let post = scope.spawn(move || scim.post("/Groups", body));
        wait_for_retries(app, 2);
        take_parts(app);
        post.join().expect("no panic").expect(201)
    });
    assert_eq!(shown(&made), set(&ids));
    assert_eq!(app.scim.get("/Groups?count=0").total(), 1);
    assert_eq!(moves(app).len(), 35, "each once");
    assert_nothing_is_left(app);
}

fn rules_that_change_in_the_middle_stop_no_change(app: &TestApp) {
    let ids = make_users(app, 35);
    refuse_parts(app);
    let made = std::thread::scope(|scope| {
        let (scim, body) = (app.scim.clone(), large(&ids));
        let post = scope.spawn(move || scim.post("/Groups", body));
        let before = wait_for_retries(app, 1);
        let attribute = json!({"name": "floor", "type": "string"});
        let schemas = json!({
            "schemas": [{"id": BADGE, "attributes": [attribute]}],
            "resource_types": [{"name": "User", "schemaExtensions": [{"schema": BADGE}]}],
        });
        let path = format!("/api/v1/directories/{}/schemas", app.directory.id);
        app.api.put(&path, schemas).expect(200);
        wait_for_retries(app, before + 1);
        take_parts(app);
        post.join().expect("no panic").expect(201)
    });
    assert_eq!(shown(&made), set(&ids));
    assert_nothing_is_left(app);
}

fn part_that_cannot_be_read_is_not_passed_over(app: &TestApp) {
    let ids = make_users(app, 12);
    let id = create(&app.scim, "/Groups", large(&ids[..1]));
    leave(app, &id, Ending::Stays, &[(true, &ids[1..])]);
    let damage = "UPDATE member_intent_part SET member_keys = member_keys || '?'";
    run_sql(&app.database, damage, damage);
    finish(app);
    assert_eq!(in_store(app, |tx| Ok(tx.intent_list(i64::MAX)?.len())), 1);
    assert_eq!(members(&app.scim, &id), set(&ids[..1]));
    let repair = "UPDATE member_intent_part SET member_keys = replace(member_keys, '?', '')";
    run_sql(&app.database, repair, repair);
    finish(app);
    assert_eq!(members(&app.scim, &id), set(&ids));
    assert_nothing_is_left(app);
}

fn what_is_read_half_done_has_another_version_than_the_end(app: &TestApp) {
    let ids = make_users(app, 25);
    let id = create(&app.scim, "/Groups", large(&ids[..5]));
    let path = format!("/Groups/{id}");
    leave(app, &id, Ending::Stays, &[(true, &ids[5..15]), (true, &ids[15..])]);
    let read = app.scim.get(&path).expect(200);
    finish(app);
    let tag = read.header("etag").expect("a version");
    let body = large(&ids[..5]).to_string();
    app.scim.send("PUT", &path, &[("If-Match", tag)], Some(body)).expect(412);
    assert_eq!(members(&app.scim, &id), set(&ids), "nobody who joined meanwhile is lost");
    // What a large change is answered is its end, too.
    let put = app.scim.put(&path, large(&ids[..5])).expect(200);
    let after = app.scim.get(&path).expect(200);
    assert_eq!(put.header("etag"), after.header("etag"));
    assert_eq!(put.body["meta"], after.body["meta"]);
}

/// The other change begins between two operations of the request.
fn accepted_request_waits_for_the_change_of_another(app: &TestApp) {
    let ids = make_users(app, 2);
    let id = create(&app.scim, "/Groups", large(&ids[..1]));
    let begin = "INSERT INTO member_intent (directory_key, group_key, ending, created) \
                 SELECT directory_key, key, FALSE, 0 FROM resource WHERE display = 'Large';";
    run_sql(
        &app.database,
        &format!(
            "CREATE TRIGGER begins AFTER INSERT ON resource WHEN NEW.display = 'Opener' \
             BEGIN {begin} END"
        ),
        &format!(
            "CREATE FUNCTION begins() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN {begin} RETURN NULL; END $$; \
             CREATE TRIGGER begins AFTER INSERT ON resource FOR EACH ROW \
             WHEN (NEW.display = 'Opener') EXECUTE FUNCTION begins()"
        ),
    );
    let add = patch(json!([{"op": "add", "path": "members", "value": values(&ids[1..])}]));
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            {"method": "POST", "path": "/Groups", "bulkId": "o", "data": group("Opener", &[])},
            {"method": "PATCH", "path": format!("/Groups/{id}"), "data": add},
        ],
    });
    let headers = [("Prefer", "respond-async")];
    let begun = app.scim.send("POST", "/Bulk", &headers, Some(body.to_string())).expect(202);
    let path = format!("/Async/{}", begun.header("set-txn").expect("a transaction"));
    let until = Instant::now() + Duration::from_secs(30);
    let outcomes = loop {
        let answer = app.scim.get(&path);
        if answer.status == 200 && answer.body["Operations"].is_array() {
            break answer.body["Operations"].clone();
        }
        assert!(Instant::now() < until, "it does not end: {}", answer.text);
        std::thread::yield_now();
    };
    let statuses: Vec<&str> =
        outcomes.as_array().expect("a list").iter().filter_map(|o| o["status"].as_str()).collect();
    assert_eq!(statuses, ["201", "200"], "{outcomes}");
    assert_eq!(members(&app.scim, &id), set(&ids));
    assert_nothing_is_left(app);
}

/// The new list names few, but who is not in it leaves.
fn few_members_put_in_place_of_many(app: &TestApp) {
    let ids = make_users(app, 40);
    let id = create(&app.scim, "/Groups", large(&ids[..38]));
    let path = format!("/Groups/{id}");
    assert_eq!(shown(&app.scim.put(&path, large(&ids[37..])).expect(200)), set(&ids[37..]));
    assert_eq!(moves(app).len(), 38 + 37 + 2);
    assert_nothing_is_left(app);
}

/// The group has lost the user already, of which nobody was told.
fn user_who_goes_before_the_group_leaves_it_first(app: &TestApp) {
    let ids = make_users(app, 25);
    let id = create(&app.scim, "/Groups", large(&ids));
    app.settings(&app.directory, json!({"inactive_users": "delete", "brake": "off"}));
    let before = app.events(&app.directory).len();
    refuse(app, "member_intent");
    std::thread::scope(|scope| {
        let (scim, path) = (app.scim.clone(), format!("/Groups/{id}"));
        let delete = scope.spawn(move || scim.delete(&path));
        wait_for_retries(app, 1);
        let active = |user: &str, active: bool| {
            let ops = json!([{"op": "replace", "path": "active", "value": active}]);
            app.scim.patch(&format!("/Users/{user}"), patch(ops)).expect(200);
        };
        active(&ids[0], false);
        active(&ids[0], true);
        for user in [&ids[0], &ids[1], &ids[24]] {
            app.scim.delete(&format!("/Users/{user}")).expect(204);
        }
        take(app, "member_intent");
        delete.join().expect("no panic").expect(204);
    });
    let told: Vec<String> =
        app.events(&app.directory).into_iter().skip(before).map(|(name, _)| name).collect();
    let wanted = [
        "dsync.group.user_removed",
        "dsync.user.deleted",
        "dsync.user.created",
        "dsync.user.deleted",
        "dsync.group.user_removed",
        "dsync.user.deleted",
        "dsync.group.user_removed",
        "dsync.user.deleted",
        "dsync.group.deleted",
    ];
    assert_eq!(told, wanted);
    assert_nothing_is_left(app);
}

/// A DELETE that has looked for a large change and found none waits for the group; the change begins.
#[test]
fn delete_that_waited_for_the_first_unit_postgres() {
    let app = start(Database::postgres());
    let ids = make_users(&app, 3);
    let id = create(&app.scim, "/Groups", large(&ids));
    let mut conn = PgConnection::establish(&app.database.url()).expect("the database");
    conn.batch_execute(&format!(
        "BEGIN; SELECT key FROM resource WHERE id = '{id}' FOR NO KEY UPDATE; \
         INSERT INTO member_intent (directory_key, group_key, ending, created) \
         SELECT directory_key, key, FALSE, {now} FROM resource WHERE id = '{id}'",
        now = app.clock.now_ms(),
    ))
    .expect("the first unit");
    let path = format!("/Groups/{id}");
    std::thread::scope(|scope| {
        let (scim, path) = (app.scim.clone(), path.clone());
        let delete = scope.spawn(move || scim.delete(&path));
        app.database.wait_for_lock_of("%resource%");
        conn.batch_execute("COMMIT").expect("the first unit is stored");
        let detail = delete.join().expect("no panic").expect_scim_error(503, None);
        assert!(detail.contains("changing many members"), "{detail}");
    });
    finish(&app);
    app.scim.delete(&path).expect(204);
}
