//! A group names a member by externalId while the resource with it is being written: whichever
//! commits first, it becomes a member.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{Answer, Client, Database, TestApp, group, patch, user};

on_both_databases![
    heavy_user_and_group_that_names_it_appear_together,
    heavy_bulk_requests_that_name_each_others_users,
];

fn start(database: Database) -> TestApp {
    let app = TestApp::start(database);
    hold(&app);
    app
}

fn hold(app: &TestApp) {
    let settings = json!({"profile": {"hold_unknown_members": true}});
    let path = format!("/api/v1/directories/{}", app.directory.id);
    app.api.patch(&path, json!({"settings": settings})).expect(200);
}

fn user_of(user_name: &str, external_id: &str) -> Value {
    let mut body = user(user_name);
    body["externalId"] = external_id.into();
    body
}

fn add(scim: &Client, group_id: &str, value: &str) -> Answer {
    let operation = json!({"op": "add", "path": "members", "value": [{"value": value}]});
    scim.patch(&format!("/Groups/{group_id}"), patch(json!([operation])))
}

fn members(scim: &Client, group_id: &str) -> Vec<String> {
    let answer = scim.get(&format!("/Groups/{group_id}")).expect(200);
    let members = answer.body["members"].as_array().cloned().unwrap_or_default();
    members.iter().map(|m| m["value"].as_str().expect("an id").to_owned()).collect()
}

fn heavy_user_and_group_that_names_it_appear_together(app: &TestApp) {
    hold(app);
    let scim = &app.scim;
    let group_ids: Vec<String> =
        (0..2).map(|_| scim.post("/Groups", group("G", &[])).expect(201).id()).collect();
    for round in 0..60 {
        let value = format!("ext-{round}");
        let id = std::thread::scope(|scope| {
            let adders: Vec<_> = group_ids
                .iter()
                .map(|id| {
                    let (scim, id, value) = (scim.clone(), id.clone(), value.clone());
                    scope.spawn(move || add(&scim, &id, &value).expect(200))
                })
                .collect();
            let made = scim.post("/Users", user_of(&format!("u{round}@example.com"), &value));
            for adder in adders {
                adder.join().expect("no panic");
            }
            made.expect(201).id()
        });
        for group_id in &group_ids {
            assert!(members(scim, group_id).contains(&id), "round {round}");
        }
    }
    let names = app.event_names(&app.directory);
    let added = names.iter().filter(|name| *name == "dsync.group.user_added").count();
    assert_eq!(added, 120, "one for each membership");
}

/// Each request makes users and groups of the users of all requests, in one unit: it looks for some
/// while it writes others.
fn heavy_bulk_requests_that_name_each_others_users(app: &TestApp) {
    const CLIENTS: usize = 4;
    hold(app);
    for round in 0..5 {
        let value = move |client: usize, n: usize| format!("ext-{round}-{client}-{n}");
        let values: Vec<String> =
            (0..CLIENTS).flat_map(|client| (0..10).map(move |n| value(client, n))).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let requests = (0..CLIENTS).map(|client| {
            let group_id = format!("g-{client}");
            let mut operations = Vec::new();
            for n in 0..10 {
                let name = format!("user-{round}-{client}-{n}@example.com");
                let (bulk_id, data) = (format!("u-{n}"), user_of(&name, &value(client, n)));
                operations.push(
                    json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": data}),
                );
            }
            let data = group("G", &values);
            operations.insert(
                client * 3,
                json!({"method": "POST", "path": "/Groups", "bulkId": group_id, "data": data}),
            );
            json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                "Operations": operations,
            })
        });
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let clients: Vec<_> = requests
                .map(|request| {
                    let scim = app.scim.clone();
                    scope.spawn(move || scim.post("/Bulk", request).expect(200))
                })
                .collect();
            clients.into_iter().map(|client| client.join().expect("no panic")).collect()
        });
        for (client, answer) in answers.iter().enumerate() {
            let outcomes = answer.body["Operations"].as_array().expect("a list");
            assert!(outcomes.iter().all(|one| one["status"] == "201"), "{}", answer.text);
            let location = outcomes[client * 3]["location"].as_str().expect("a location");
            let group_id = location.rsplit('/').next().expect("an id");
            assert_eq!(members(&app.scim, group_id).len(), CLIENTS * 10, "round {round}");
        }
    }
}

#[derive(QueryableByName)]
struct Waiting {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// A second connection that keeps units from going on.
struct Barrier(PgConnection);

impl Barrier {
    fn before_writes_to(app: &TestApp, table: &str) -> Self {
        let mut conn = PgConnection::establish(&app.database.url()).expect("the database");
        let text = format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE");
        conn.batch_execute(&text).expect("the lock");
        Self(conn)
    }

    /// Waits until that many units of this database wait for a lock, or for an answer that came
    /// without waiting.
    fn wait_for(&mut self, waiting: i64, done: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(30);
        let text = "SELECT COUNT(DISTINCT pid) AS n FROM pg_stat_activity \
                    WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while !done() {
            // A transaction sees the activity of when it first looked.
            self.0.batch_execute("SELECT pg_stat_clear_snapshot()").expect("a new look");
            let now: Waiting = diesel::sql_query(text).get_result(&mut self.0).expect("a count");
            if now.n >= waiting {
                return;
            }
            assert!(Instant::now() < until, "nobody waits");
            std::thread::yield_now();
        }
    }

    fn lift(mut self) {
        self.0.batch_execute("ROLLBACK").expect("the lock is gone");
    }
}

/// The user has looked for groups that wait and found none; it commits after the group looks for it.
#[test]
fn group_sees_the_user_that_commits_later_postgres() {
    let app = start(Database::postgres());
    let scim = &app.scim;
    let id = scim.post("/Users", user("ada@example.com")).expect(201).id();
    let group_id = scim.post("/Groups", group("G", &[])).expect(201).id();
    let mut barrier = Barrier::before_writes_to(&app, "resource_count");
    std::thread::scope(|scope| {
        let operations = json!([
            {"op": "add", "path": "externalId", "value": "ext"},
            {"op": "replace", "path": "active", "value": false},
        ]);
        let (path, client) = (format!("/Users/{id}"), scim.clone());
        let writer = scope.spawn(move || client.patch(&path, patch(operations)));
        barrier.wait_for(1, || false);
        let (client, group_id) = (scim.clone(), group_id.clone());
        let adder = scope.spawn(move || add(&client, &group_id, "ext"));
        barrier.wait_for(2, || adder.is_finished());
        barrier.lift();
        writer.join().expect("no panic").expect(200);
        adder.join().expect("no panic").expect(200);
    });
    assert_eq!(members(scim, &group_id), [id]);
}

/// The group has looked for the user and found none; it commits after the user looks for groups.
#[test]
fn user_sees_the_group_that_commits_later_postgres() {
    let app = start(Database::postgres());
    let scim = &app.scim;
    let ada = scim.post("/Users", user("ada@example.com")).expect(201).id();
    let group_id = scim.post("/Groups", group("G", &[])).expect(201).id();
    let mut barrier = Barrier::before_writes_to(&app, "member");
    let made = std::thread::scope(|scope| {
        let (client, path) = (scim.clone(), format!("/Groups/{group_id}"));
        let body = group("G", &["ext", &ada]);
        let adder = scope.spawn(move || client.put(&path, body));
        barrier.wait_for(1, || false);
        let client = scim.clone();
        let writer = scope.spawn(move || client.post("/Users", user_of("ben@example.com", "ext")));
        barrier.wait_for(2, || writer.is_finished());
        barrier.lift();
        adder.join().expect("no panic").expect(200);
        writer.join().expect("no panic").expect(201).id()
    });
    assert_eq!(members(scim, &group_id), [ada, made]);
}

/// The value stops waiting, or its group goes, while its user appears: nobody joins afterwards, and
/// the user is there all the same.
#[test]
fn user_does_not_join_what_waits_no_more_postgres() {
    let app = start(Database::postgres());
    let scim = &app.scim;
    for (round, delete) in [false, true].into_iter().enumerate() {
        let value = format!("ext-{round}");
        let group_id = scim.post("/Groups", group("G", &[&value])).expect(201).id();
        let path = format!("/Groups/{group_id}");
        let mut barrier = Barrier::before_writes_to(&app, "member_pending");
        std::thread::scope(|scope| {
            let (client, path) = (scim.clone(), path.clone());
            let remover = scope.spawn(move || match delete {
                true => client.delete(&path),
                false => client.put(&path, group("G", &[])),
            });
            barrier.wait_for(1, || false);
            let body = user_of(&format!("user-{round}@example.com"), &value);
            let client = scim.clone();
            let writer = scope.spawn(move || client.post("/Users", body));
            barrier.wait_for(2, || writer.is_finished());
            barrier.lift();
            assert!(remover.join().expect("no panic").status < 300);
            writer.join().expect("no panic").expect(201);
        });
        match delete {
            true => assert_eq!(scim.get(&path).status, 404),
            false => assert_eq!(members(scim, &group_id), Vec::<String>::new()),
        }
    }
}
