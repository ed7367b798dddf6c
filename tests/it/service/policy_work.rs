//! Changed policies reach a large directory in bounded units, whoever runs them and whatever is
//! written meanwhile.

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use serde_json::{Value, json};

use rollbook::service::Service;
use rollbook::service::administer::DirectoryChange;
use rollbook::store::StoreError;

use crate::on_both_databases;
use crate::support::{Consumer, Database, TestApp, event_line, group, patch, user};

on_both_databases![
    large_directory_is_settled_in_bounded_units,
    requests_settle_their_users_themselves,
    change_of_policies_during_a_change_begins_anew,
    several_processes_settle_a_directory_once,
    departed_and_groupless_users_go_in_bounded_units,
    join_before_the_job_comes_ends_the_time_without_a_group,
    stale_suspension_revives_nobody,
    members_of_groups_that_come_back_are_told_once_in_bounded_units,
    groups_go_in_bounded_units,
];

const API_KEY: &str = "sk_test_0123456789abcdef0123456789abcdef";

/// Makes inactive users in a group; gives the group and the users.
fn fill(app: &TestApp, users: usize, active: bool) -> (String, Vec<String>) {
    let ids: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let scim = app.scim.clone();
                scope.spawn(move || {
                    let made = (worker..users).step_by(4).map(|n| {
                        let body = json!({
                            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                            "userName": format!("u{n}"), "active": active,
                        });
                        scim.post("/Users", body).expect(201).id()
                    });
                    made.collect::<Vec<String>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    let team = app.scim.post("/Groups", group("Team", &members)).expect(201).id();
    (team, ids)
}

/// Stores settings as the API does, without the server's own work behind it; gives the key of the
/// directory.
fn store_settings(app: &TestApp, settings: Value) -> i64 {
    let (service, id) = (Arc::clone(app.service()), app.directory.id.clone());
    app.wait(async move {
        let access = service.api_access(API_KEY, None).await.expect("the key of the test");
        let change = json!({"settings": settings});
        let change: DirectoryChange = serde_json::from_value(change).expect("a change");
        service.directory_update(&access, &id, change).await.expect("stored");
        let row: Result<_, StoreError> =
            service.store.get("test", move |tx| tx.directory_get(&id)).await;
        row.expect("readable").expect("the directory").key
    })
}

fn step(app: &TestApp, key: i64) -> bool {
    let service = Arc::clone(app.service());
    app.wait(async move { service.apply_policies_step(key).await }).expect("a step")
}

/// How many events of that name there are.
fn count(app: &TestApp, name: &str) -> usize {
    app.event_names(&app.directory).iter().filter(|n| *n == name).count()
}

fn large_directory_is_settled_in_bounded_units(app: &TestApp) {
    fill(app, 250, false);
    let key = store_settings(app, json!({"inactive_users": "delete"}));
    assert_eq!(count(app, "dsync.user.deleted"), 0);
    for expected in [100, 200, 250] {
        assert!(step(app, key));
        assert_eq!(count(app, "dsync.user.deleted"), expected);
        assert_eq!(count(app, "dsync.group.user_removed"), expected);
    }
    while step(app, key) {}
    assert!(!step(app, key), "nothing is left to do");
    assert_eq!(count(app, "dsync.user.deleted"), 250);
    let consumer = Consumer::of(&app.events(&app.directory));
    assert!(consumer.users.is_empty() && consumer.members.is_empty());
}

fn requests_settle_their_users_themselves(app: &TestApp) {
    let (team, users) = fill(app, 150, false);
    let key = store_settings(app, json!({"inactive_users": "delete"}));
    assert!(step(app, key));
    let consumer = Consumer::of(&app.events(&app.directory));
    let (gone, still): (Vec<&String>, Vec<&String>) =
        users.iter().partition(|id| !consumer.users.contains_key(*id));
    assert_eq!((gone.len(), still.len()), (100, 50));
    let before = app.events(&app.directory).len();
    let set = |id: &str, ops: Value| {
        app.scim.patch(&format!("/Users/{id}"), patch(json!([ops]))).expect(200);
    };
    set(gone[0], json!({"op": "add", "path": "title", "value": "Lead"}));
    set(gone[1], json!({"op": "replace", "path": "active", "value": true}));
    set(still[0], json!({"op": "add", "path": "title", "value": "Lead"}));
    set(still[1], json!({"op": "replace", "path": "active", "value": true}));
    app.scim.delete(&format!("/Users/{}", still[2])).expect(204);
    let out = json!({"op": "remove", "path": format!("members[value eq \"{}\"]", still[3])});
    app.scim.patch(&format!("/Groups/{team}"), patch(json!([out]))).expect(200);
    let events = app.events(&app.directory);
    let names: Vec<String> = events[before..].iter().map(|(n, d)| event_line(n, d)).collect();
    let name = |id: &str| {
        let (_, data) = events.iter().find(|(_, data)| data["id"] == id).expect("created");
        data["username"].as_str().expect("a name").to_owned()
    };
    let expected = [
        format!("user.created {} active", name(gone[1])),
        format!("group.user_added Team {}", name(gone[1])),
        format!("group.user_removed Team {}", name(still[0])),
        format!("user.deleted {} inactive", name(still[0])),
        format!("user.updated {} active", name(still[1])),
        format!("group.user_removed Team {}", name(still[2])),
        format!("user.deleted {} inactive", name(still[2])),
        format!("group.user_removed Team {}", name(still[3])),
    ];
    assert_eq!(names, expected);
    app.apply_policies();
    let consumer = Consumer::of(&app.events(&app.directory));
    let left: Vec<&String> = consumer.users.keys().collect();
    let mut expected = vec![gone[1], still[1]];
    expected.sort_unstable();
    assert_eq!(left, expected);
    assert_eq!(count(app, "dsync.user.deleted"), 149);
}

fn change_of_policies_during_a_change_begins_anew(app: &TestApp) {
    fill(app, 150, false);
    let key = store_settings(app, json!({"inactive_users": "delete"}));
    assert!(step(app, key));
    store_settings(app, json!({}));
    app.apply_policies();
    let consumer = Consumer::of(&app.events(&app.directory));
    assert_eq!((consumer.users.len(), consumer.members.len()), (150, 150));
    assert_eq!(count(app, "dsync.user.deleted"), 100, "the others were never told");
    assert_eq!(count(app, "dsync.user.created"), 250);
}

fn several_processes_settle_a_directory_once(app: &TestApp) {
    fill(app, 350, false);
    let key = store_settings(app, json!({"inactive_users": "delete"}));
    let service = Arc::clone(app.service());
    let all = async |service: &Service| {
        while service.apply_policies_step(key).await.expect("a step") {}
    };
    app.wait(async {
        let (a, b, c) = (all(&service), all(&service), all(&service));
        futures_util::future::join3(a, b, c).await;
    });
    assert_eq!(count(app, "dsync.user.deleted"), 350);
    assert!(Consumer::of(&app.events(&app.directory)).users.is_empty());
}

fn departed_and_groupless_users_go_in_bounded_units(app: &TestApp) {
    let key = store_settings(app, json!({"suspend_when_groupless": "1d", "grace_period": "1d"}));
    let (team, users) = fill(app, 240, true);
    app.scim.delete(&format!("/Groups/{team}")).expect(204);
    for id in &users[..120] {
        app.scim.delete(&format!("/Users/{id}")).expect(204);
    }
    assert!(!step(app, key), "nothing is due");
    app.clock.advance(Duration::from_secs(24 * 60 * 60));
    let updated = count(app, "dsync.user.updated");
    assert_eq!(updated, 120, "the departed became inactive");
    for (deleted, suspended) in [(100, 0), (120, 0), (120, 100), (120, 120)] {
        assert!(step(app, key));
        assert_eq!(count(app, "dsync.user.deleted"), deleted);
        assert_eq!(count(app, "dsync.user.updated"), updated + suspended);
    }
    assert!(!step(app, key));
    let consumer = Consumer::of(&app.events(&app.directory));
    assert_eq!(consumer.users.len(), 120);
    assert!(consumer.users.values().all(|user| user["state"] == "inactive"));
}

/// One operation on the members of a group.
fn member(app: &TestApp, group: &str, op: &str, user: &str) {
    let op = json!({"op": op, "path": "members", "value": [{"value": user}]});
    app.scim.patch(&format!("/Groups/{group}"), patch(json!([op]))).expect(200);
}

fn join_before_the_job_comes_ends_the_time_without_a_group(app: &TestApp) {
    let on = json!({"suspend_when_groupless": "1d"});
    store_settings(app, on.clone());
    let (team, users) = fill(app, 120, true);
    member(app, &team, "remove", &users[0]);
    store_settings(app, json!({}));
    member(app, &team, "add", &users[0]);
    store_settings(app, on);
    app.clock.advance(Duration::from_secs(48 * 60 * 60));
    app.apply_policies();
    assert_eq!(count(app, "dsync.user.updated"), 0, "everybody is in a group");
}

fn stale_suspension_revives_nobody(app: &TestApp) {
    store_settings(app, json!({"suspend_when_groupless": "1d"}));
    let (team, _) = fill(app, 120, true);
    let mut body = user("ada@example.com");
    body["externalId"] = "e-1".into();
    let ada = app.scim.post("/Users", body.clone()).expect(201).id();
    member(app, &team, "add", &ada);
    member(app, &team, "remove", &ada);
    app.clock.advance(Duration::from_secs(24 * 60 * 60));
    app.apply_policies();
    assert_eq!(count(app, "dsync.user.updated"), 1, "suspended");
    store_settings(app, json!({"revive_on_create": "same_external_id"}));
    body["title"] = "Somebody else".into();
    app.scim.post("/Users", body).expect_scim_error(409, Some("uniqueness"));
    assert_eq!(app.scim.get(&format!("/Users/{ada}")).expect(200).body["title"], Value::Null);
}

/// The schemas are changed by another process after a change of settings has read them.
#[test]
fn change_by_schemas_of_before_is_left_to_the_job_postgres() {
    let app = TestApp::start(Database::postgres());
    fill(&app, 1, false);
    let mut other = PgConnection::establish(&app.database.url()).expect("the database");
    let id = &app.directory.id;
    let lock = format!("BEGIN; SELECT 1 FROM directory WHERE id = '{id}' FOR UPDATE");
    other.batch_execute(&lock).expect("the lock");
    std::thread::scope(|scope| {
        let change = scope.spawn(|| store_settings(&app, json!({"inactive_users": "delete"})));
        app.database.wait_for_lock_of("SELECT state, brake FROM directory%");
        let version = "UPDATE directory SET schema_version = schema_version + 1";
        other.batch_execute(&format!("{version} WHERE id = '{id}'; COMMIT")).expect("changed");
        change.join().expect("no panic");
    });
    assert_eq!(count(&app, "dsync.user.deleted"), 0);
    app.apply_policies();
    assert_eq!(count(&app, "dsync.user.deleted"), 1);
}

fn members_of_groups_that_come_back_are_told_once_in_bounded_units(app: &TestApp) {
    app.settings(&app.directory, json!({"disable_group_sync": true}));
    let (team, mut users) = fill(app, 620, true);
    users.sort_unstable();
    assert_eq!(count(app, "dsync.group.created"), 0);
    let key = store_settings(app, json!({"inactive_users": "delete"}));
    assert!(step(app, key));
    assert_eq!(count(app, "dsync.group.created"), 1);
    assert_eq!(count(app, "dsync.group.user_added"), 500);
    // The app has heard of some and hears of the others later; of what changes meanwhile it hears once.
    let known = Consumer::of(&app.events(&app.directory)).members;
    let is_known = |user: &&String| known.contains(&(team.clone(), (*user).clone()));
    let (told, untold): (Vec<&String>, Vec<&String>) = users.iter().partition(is_known);
    assert_eq!((told.len(), untold.len()), (500, 120));
    let user = |id: &str, operation: Value| {
        app.scim.patch(&format!("/Users/{id}"), patch(json!([operation]))).expect(200);
    };
    let active = |value: bool| json!({"op": "replace", "path": "active", "value": value});
    let leave = |id: &str| {
        let path = format!("members[value eq \"{id}\"]");
        let operations = json!([{"op": "remove", "path": path}]);
        app.scim.patch(&format!("/Groups/{team}"), patch(operations)).expect(200);
    };
    let join = |id: &str| {
        let operations = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
        app.scim.patch(&format!("/Groups/{team}"), patch(operations)).expect(200);
    };
    for some in [&told, &untold] {
        leave(some[0]);
        leave(some[1]);
        join(some[1]);
        user(some[2], active(false));
        user(some[3], active(false));
        user(some[3], active(true));
        app.scim.delete(&format!("/Users/{}", some[4])).expect(204);
    }
    let late = app.scim.post("/Users", support_user("late")).expect(201).id();
    join(&late);
    while step(app, key) {}
    let consumer = Consumer::of(&app.events(&app.directory));
    let gone = [told[0], told[2], told[4], untold[0], untold[2], untold[4]];
    let mut expected: Vec<&String> = users.iter().filter(|id| !gone.contains(id)).collect();
    expected.push(&late);
    expected.sort_unstable();
    let mut members: Vec<&String> = consumer.members.iter().map(|(_, user)| user).collect();
    members.sort_unstable();
    assert_eq!(members, expected);
}

/// A user with nothing but a name.
fn support_user(name: &str) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name})
}

fn groups_go_in_bounded_units(app: &TestApp) {
    let (team, users) = fill(app, 30, true);
    for n in 0..150 {
        app.scim.post("/Groups", group(&format!("Group {n}"), &[&users[n % 30]])).expect(201);
    }
    let key = store_settings(app, json!({"disable_group_sync": true}));
    assert_eq!(count(app, "dsync.group.deleted"), 0);
    assert!(step(app, key));
    assert_eq!(count(app, "dsync.group.deleted"), 100);
    // What was not told yet goes on being told, and what went is not told of any more.
    let known = Consumer::of(&app.events(&app.directory)).groups;
    assert!(!known.contains_key(&team));
    let before = app.events(&app.directory).len();
    app.scim.delete(&format!("/Groups/{team}")).expect(204);
    let left = known.keys().next().expect("a group that is left");
    let name = json!([{"op": "replace", "path": "displayName", "value": "Renamed"}]);
    app.scim.patch(&format!("/Groups/{left}"), patch(name)).expect(200);
    assert_eq!(app.events(&app.directory).len(), before + 1);
    while step(app, key) {}
    let consumer = Consumer::of(&app.events(&app.directory));
    assert!(consumer.groups.is_empty() && consumer.members.is_empty());
    assert_eq!(consumer.users.len(), 30);
}
