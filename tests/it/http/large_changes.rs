//! Changes of more members than one unit takes: whole when they are answered, once each, and finished by
//! whoever finds them when a process stopped in the middle. Ten members are many here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use rollbook::service::error::ServiceError;
use rollbook::store::Tx;
use rollbook::store::intent::{Ending, MemberPart};

use super::{GROUP, create, plain_user};
use crate::support::{Answer, Client, Database, TestApp, group, patch};

const AT_ONCE: usize = 10;

macro_rules! in_parts_on_both_databases {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[test]
            fn sqlite() {
                super::$name(&super::start(super::Database::sqlite()));
            }

            #[test]
            fn postgres() {
                super::$name(&super::start(super::Database::postgres()));
            }
        })*
    };
}

pub(super) use in_parts_on_both_databases;

in_parts_on_both_databases![
    create_with_many_members_is_whole_when_it_is_answered,
    put_of_many_members_makes_the_difference_only,
    patch_adds_and_removes_many,
    filter_removes_many,
    unknown_member_among_many_refuses_all,
    members_that_are_many_and_unknown_wait,
    delete_of_a_large_group_is_whole_when_it_is_answered,
    bulk_changes_one_large_group_several_times,
    bulk_circle_of_large_groups,
    group_that_is_half_changed_takes_no_other_change,
    what_a_stopped_process_left_is_finished_once,
    deletion_that_a_stopped_process_left_is_finished,
    two_processes_finish_one_change_together,
    directory_with_a_half_changed_group_can_be_deleted,
    writers_of_one_large_group_take_turns,
    condition_is_checked_once,
    record_of_a_large_change_counts_all,
    old_protocol_changes_many,
];

pub(super) fn start(database: Database) -> TestApp {
    TestApp::start_with(database, |config| config.members_at_once = AT_ONCE)
}

pub(super) fn make_users(app: &TestApp, count: usize) -> Vec<String> {
    let name = |n| plain_user(&format!("member{n}@example.com"));
    (0..count).map(|n| create(&app.scim, "/Users", name(n))).collect()
}

pub(super) fn large(ids: &[String]) -> Value {
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    group("Large", &members)
}

pub(super) fn values(ids: &[String]) -> Vec<Value> {
    ids.iter().map(|id| json!({"value": id})).collect()
}

pub(super) fn set(ids: &[String]) -> BTreeSet<String> {
    ids.iter().cloned().collect()
}

/// The members of an answer.
#[track_caller]
pub(super) fn shown(answer: &Answer) -> BTreeSet<String> {
    let members = answer.body["members"].as_array().cloned().unwrap_or_default();
    let found: BTreeSet<String> =
        members.iter().map(|member| member["value"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(found.len(), members.len(), "nobody is shown twice");
    found
}

#[track_caller]
pub(super) fn members(scim: &Client, id: &str) -> BTreeSet<String> {
    shown(&scim.get(&format!("/Groups/{id}")).expect(200))
}

/// How often each user was told to have joined or left, in order, as `+id` or `-id`.
pub(super) fn moves(app: &TestApp) -> Vec<String> {
    let told = app.events(&app.directory).into_iter();
    told.filter_map(|(name, data)| {
        let sign = match name.as_str() {
            "dsync.group.user_added" => '+',
            "dsync.group.user_removed" => '-',
            _ => return None,
        };
        Some(format!("{sign}{}", data["user"]["id"].as_str().expect("an id")))
    })
    .collect()
}

pub(super) fn in_store<T: Send + 'static>(
    app: &TestApp,
    work: impl FnMut(&mut Tx<'_>) -> Result<T, ServiceError> + Send + 'static,
) -> T {
    let service = Arc::clone(app.service());
    app.wait(async move { service.store.write("test", work).await }).expect("stored")
}

#[track_caller]
pub(super) fn assert_nothing_is_left(app: &TestApp) {
    assert_eq!(in_store(app, |tx| Ok(tx.intent_list(i64::MAX)?)), Vec::<(i64, i64)>::new());
}

pub(super) fn finish(app: &TestApp) {
    let service = Arc::clone(app.service());
    app.wait(async move { service.finish_member_changes(Duration::ZERO).await }).expect("finished");
}

/// Stores what the first unit of a change would have left, if the process had stopped after it.
pub(super) fn leave(app: &TestApp, group_id: &str, ending: Ending, parts: &[(bool, &[String])]) {
    let (directory_id, group_id) = (app.directory.id.clone(), group_id.to_owned());
    let parts: Vec<(bool, Vec<String>)> =
        parts.iter().map(|(joins, ids)| (*joins, ids.to_vec())).collect();
    // The look of the server leaves young ones alone.
    let now = app.clock.now_ms();
    in_store(app, move |tx| {
        let key = tx.directory_get(&directory_id)?.expect("the directory").key;
        let group = tx.resource_get(key, "Group", &group_id)?.expect("the group").key;
        tx.intent_open(key, group, ending, now)?;
        for (number, (joins, ids)) in (1..).zip(&parts) {
            let found = tx.member_keys_of(key, ids)?;
            let keys = found.into_iter().map(|(key, _)| key).collect();
            tx.intent_part_add(key, group, &MemberPart { number, joins: *joins, keys })?;
        }
        Ok(())
    });
}

fn create_with_many_members_is_whole_when_it_is_answered(app: &TestApp) {
    let ids = make_users(app, 35);
    let made = app.scim.post("/Groups", large(&ids)).expect(201);
    assert_eq!(shown(&made), set(&ids));
    assert_eq!(made.body["meta"]["version"], "W/\"2\"", "the last unit moves it again");
    let joined: Vec<String> = ids.iter().map(|id| format!("+{id}")).collect();
    assert_eq!(moves(app), joined, "each once, in the order of the users");
    let names = app.event_names(&app.directory);
    assert_eq!(names[35], "dsync.group.created");
    assert_nothing_is_left(app);
    let metrics = app.api.get("/metrics").text;
    assert!(metrics.contains("rollbook_member_changes_split_total 1"), "{metrics}");
    assert!(metrics.contains("rollbook_member_change_parts_total 3"), "{metrics}");
}

fn put_of_many_members_makes_the_difference_only(app: &TestApp) {
    let ids = make_users(app, 45);
    let id = create(&app.scim, "/Groups", large(&ids[..30]));
    let before = moves(app).len();
    let path = format!("/Groups/{id}");
    let put = app.scim.put(&path, large(&ids[15..])).expect(200);
    assert_eq!(shown(&put), set(&ids[15..]));
    assert_eq!(put.header("etag"), Some("W/\"4\""), "the first unit and the last move it");
    let left = ids[..15].iter().map(|id| format!("-{id}"));
    let joined = ids[30..].iter().map(|id| format!("+{id}"));
    assert_eq!(moves(app)[before..], left.chain(joined).collect::<Vec<_>>());
    let again = app.scim.put(&path, large(&ids[15..])).expect(200);
    assert_eq!(again.header("etag"), Some("W/\"4\""), "nothing has changed");
    // One of many: named are more than one unit takes, changed is one.
    let one = app.scim.put(&path, large(&ids[16..])).expect(200);
    assert_eq!((shown(&one), one.header("etag")), (set(&ids[16..]), Some("W/\"5\"")));
    let none = app.scim.put(&path, json!({"schemas": [GROUP], "displayName": "Few"})).expect(200);
    assert_eq!(none.body["members"], Value::Null);
    assert_eq!(moves(app).len(), before + 30 + 1 + 29);
    assert_nothing_is_left(app);
}

fn patch_adds_and_removes_many(app: &TestApp) {
    let ids = make_users(app, 60);
    let id = create(&app.scim, "/Groups", large(&ids[..25]));
    let path = format!("/Groups/{id}");
    let ops = json!([
        {"op": "add", "path": "members", "value": values(&ids[20..])},
        {"op": "remove", "path": "members", "value": values(&ids[..12])},
        {"op": "replace", "path": "displayName", "value": "Renamed"},
    ]);
    let patched = app.scim.patch(&path, patch(ops.clone())).expect(200);
    assert_eq!(shown(&patched), set(&ids[12..]));
    assert_eq!(patched.body["displayName"], "Renamed");
    assert_eq!(patched.header("etag"), Some("W/\"4\""));
    assert_eq!(moves(app).len(), 25 + 35 + 12);
    let again = app.scim.patch(&path, patch(ops)).expect(200);
    assert_eq!(again.header("etag"), Some("W/\"4\""));
    let replace = json!([{"op": "replace", "path": "members", "value": values(&ids[..30])}]);
    assert_eq!(shown(&app.scim.patch(&path, patch(replace)).expect(200)), set(&ids[..30]));
    let remove = json!([{"op": "remove", "path": "members"}]);
    let emptied = app.scim.patch(&path, patch(remove)).expect(200);
    assert_eq!(emptied.body["members"], Value::Null);
    assert_nothing_is_left(app);
}

fn filter_removes_many(app: &TestApp) {
    let ids = make_users(app, 25);
    let inner = create(&app.scim, "/Groups", group("Inner", &[]));
    let mut all = ids.clone();
    all.push(inner.clone());
    let id = create(&app.scim, "/Groups", large(&all));
    let ops = json!([{"op": "remove", "path": "members[type eq \"User\"]"}]);
    let patched = app.scim.patch(&format!("/Groups/{id}"), patch(ops)).expect(200);
    assert_eq!(shown(&patched), set(&[inner]));
    assert_eq!(moves(app).len(), 50);
    assert_nothing_is_left(app);
}

fn unknown_member_among_many_refuses_all(app: &TestApp) {
    let mut ids = make_users(app, 30);
    let id = create(&app.scim, "/Groups", group("Large", &[]));
    ids.push("directory_user_nobody".to_owned());
    let path = format!("/Groups/{id}");
    let add = json!([{"op": "add", "path": "members", "value": values(&ids)}]);
    for answer in [
        app.scim.post("/Groups", large(&ids)),
        app.scim.put(&path, large(&ids)),
        app.scim.patch(&path, patch(add)),
    ] {
        let detail = answer.expect_scim_error(400, Some("invalidValue"));
        assert!(detail.contains("directory_user_nobody"), "{detail}");
    }
    assert_eq!(app.scim.get("/Groups").total(), 1);
    assert_eq!(members(&app.scim, &id), BTreeSet::new());
    assert_eq!(moves(app), Vec::<String>::new());
    assert_nothing_is_left(app);
}

fn members_that_are_many_and_unknown_wait(app: &TestApp) {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    let settings = json!({"settings": {"profile": {"hold_unknown_members": true}}});
    app.api.patch(&path, settings).expect(200);
    let ids = make_users(app, 25);
    let mut all = ids.clone();
    all.extend((0..15).map(|n| format!("later-{n}")));
    let id = create(&app.scim, "/Groups", large(&all));
    assert_eq!(members(&app.scim, &id), set(&ids));
    let mut late = plain_user("late@example.com");
    late["externalId"] = "later-7".into();
    let late = create(&app.scim, "/Users", late);
    assert!(members(&app.scim, &id).contains(&late));
    assert_nothing_is_left(app);
}

fn delete_of_a_large_group_is_whole_when_it_is_answered(app: &TestApp) {
    let ids = make_users(app, 35);
    let inner = create(&app.scim, "/Groups", large(&ids));
    let outer = create(&app.scim, "/Groups", group("Outer", &[&inner]));
    let path = format!("/Groups/{inner}");
    app.scim.delete(&path).expect(204);
    app.scim.get(&path).expect(404);
    assert_eq!(app.scim.get("/Groups?count=0").total(), 1);
    assert_eq!(members(&app.scim, &outer), BTreeSet::new());
    let user = app.scim.get(&format!("/Users/{}", ids[20])).expect(200);
    assert_eq!(user.body["groups"], Value::Null);
    let names = app.event_names(&app.directory);
    assert_eq!(names.iter().filter(|name| *name == "dsync.group.deleted").count(), 1);
    assert_eq!(moves(app).len(), 35, "the end of a group tells of no member");
    assert_nothing_is_left(app);
}

fn bulk(scim: &Client, operations: Value) -> Vec<Value> {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    });
    let answer = scim.post("/Bulk", body).expect(200);
    answer.body["Operations"].as_array().expect("outcomes").clone()
}

fn bulk_changes_one_large_group_several_times(app: &TestApp) {
    let ids = make_users(app, 50);
    let id = create(&app.scim, "/Groups", large(&ids[..25]));
    let path = format!("/Groups/{id}");
    let ops = |op: &str, ids: &[String]| {
        let operations = json!([{"op": op, "path": "members", "value": values(ids)}]);
        json!({"method": "PATCH", "path": path, "data": patch(operations)})
    };
    let outcomes = bulk(
        &app.scim,
        json!([
            ops("add", &ids[25..]),
            ops("remove", &ids[..20]),
            {"method": "PUT", "path": path, "data": large(&ids[..40])},
            ops("remove", &ids[3..4]),
            {"method": "POST", "path": "/Groups", "bulkId": "b", "data": group("Other", &["bulkId:u"])},
            {"method": "POST", "path": "/Users", "bulkId": "u", "data": plain_user("u@example.com")},
            {"method": "DELETE", "path": path},
        ]),
    );
    let statuses: Vec<&str> = outcomes.iter().filter_map(|o| o["status"].as_str()).collect();
    assert_eq!(statuses, ["200", "200", "200", "200", "201", "201", "204"], "{outcomes:?}");
    app.scim.get(&path).expect(404);
    assert_eq!(moves(app).len(), 25 + 25 + 20 + (20 + 10) + 1 + 1);
    assert_nothing_is_left(app);
}

fn bulk_circle_of_large_groups(app: &TestApp) {
    let ids = make_users(app, 30);
    let with = |other: &str| {
        let mut members = vec![json!({"value": format!("bulkId:{other}")})];
        members.extend(values(&ids));
        json!({"schemas": [GROUP], "displayName": other, "members": members})
    };
    let outcomes = bulk(
        &app.scim,
        json!([
            {"method": "POST", "path": "/Groups", "bulkId": "a", "data": with("b")},
            {"method": "POST", "path": "/Groups", "bulkId": "b", "data": with("a")},
        ]),
    );
    let made: Vec<&str> = outcomes
        .iter()
        .map(|outcome| {
            assert_eq!(outcome["status"], "201", "{outcome}");
            outcome["location"].as_str().and_then(|l| l.rsplit('/').next()).expect("an id")
        })
        .collect();
    for (id, other) in [(made[0], made[1]), (made[1], made[0])] {
        let mut expected = set(&ids);
        expected.insert(other.to_owned());
        assert_eq!(members(&app.scim, id), expected);
    }
    for outcome in &outcomes {
        let path = outcome["location"].as_str().expect("a location").split("/Groups").nth(1);
        let group = app.scim.get(&format!("/Groups{}", path.expect("a path"))).expect(200);
        assert_eq!(group.header("etag"), outcome["version"].as_str());
    }
    assert_eq!(moves(app).len(), 60);
    assert_nothing_is_left(app);
}

fn group_that_is_half_changed_takes_no_other_change(app: &TestApp) {
    let ids = make_users(app, 30);
    let id = create(&app.scim, "/Groups", large(&ids[..5]));
    let other = create(&app.scim, "/Groups", group("Other", &[]));
    leave(app, &id, Ending::Stays, &[(true, &ids[5..15]), (false, &ids[..2])]);
    let path = format!("/Groups/{id}");
    let rename = patch(json!([{"op": "replace", "path": "displayName", "value": "Renamed"}]));
    let add =
        |ids: &[String]| patch(json!([{"op": "add", "path": "members", "value": values(ids)}]));
    for answer in [
        app.scim.patch(&path, rename.clone()),
        app.scim.patch(&path, add(&ids[20..21])),
        app.scim.patch(&path, add(&ids[16..])),
        app.scim.put(&path, large(&ids)),
        app.scim.put(&path, large(&ids[..1])),
        app.scim.delete(&path),
    ] {
        assert_eq!(answer.header("retry-after"), Some("1"), "{}", answer.text);
        let detail = answer.expect_scim_error(503, None);
        assert!(detail.contains("changing many members"), "{detail}");
    }
    let outcomes =
        bulk(&app.scim, json!([{"method": "PATCH", "path": path, "data": rename.clone()}]));
    assert_eq!(outcomes[0]["status"], "503");
    // Readers see it half done; other groups and the users go on as ever.
    assert_eq!(members(&app.scim, &id), set(&ids[..5]));
    app.scim.patch(&format!("/Groups/{other}"), add(&ids[..1])).expect(200);
    app.scim.delete(&format!("/Users/{}", ids[8])).expect(204);
    app.scim.delete(&format!("/Users/{}", ids[1])).expect(204);
    finish(app);
    let expected: BTreeSet<String> =
        set(&ids[2..15]).difference(&set(&ids[8..9])).cloned().collect();
    assert_eq!(members(&app.scim, &id), expected, "who was deleted meanwhile is in no group");
    app.scim.patch(&path, rename).expect(200);
    assert_nothing_is_left(app);
}

fn what_a_stopped_process_left_is_finished_once(app: &TestApp) {
    let ids = make_users(app, 30);
    let id = create(&app.scim, "/Groups", large(&ids[..5]));
    leave(app, &id, Ending::Stays, &[(false, &ids[..3]), (true, &ids[4..15]), (true, &ids[15..])]);
    finish(app);
    finish(app);
    assert_eq!(members(&app.scim, &id), set(&ids[3..]));
    let told = moves(app);
    assert_eq!(told.len(), 5 + 3 + 25, "who was a member already is not told again");
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), told.len());
    assert_nothing_is_left(app);
}

fn deletion_that_a_stopped_process_left_is_finished(app: &TestApp) {
    let ids = make_users(app, 35);
    let id = create(&app.scim, "/Groups", large(&ids));
    leave(app, &id, Ending::Deleted, &[]);
    app.scim.delete(&format!("/Groups/{id}")).expect_scim_error(503, None);
    finish(app);
    app.scim.get(&format!("/Groups/{id}")).expect(404);
    let names = app.event_names(&app.directory);
    assert_eq!(names.last().map(String::as_str), Some("dsync.group.deleted"));
    assert_nothing_is_left(app);
}

fn two_processes_finish_one_change_together(app: &TestApp) {
    let ids = make_users(app, 60);
    let id = create(&app.scim, "/Groups", group("Large", &[]));
    let parts: Vec<(bool, &[String])> = ids.chunks(5).map(|ids| (true, ids)).collect();
    leave(app, &id, Ending::Stays, &parts);
    let ended = create(&app.scim, "/Groups", large(&ids[..40]));
    let before = moves(app).len();
    leave(app, &ended, Ending::Deleted, &[]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| finish(app));
        }
    });
    assert_eq!(members(&app.scim, &id), set(&ids));
    app.scim.get(&format!("/Groups/{ended}")).expect(404);
    assert_eq!(moves(app).len() - before, 60, "each part is done once");
    let names = app.event_names(&app.directory);
    assert_eq!(names.iter().filter(|name| *name == "dsync.group.deleted").count(), 1);
    assert_nothing_is_left(app);
}

fn directory_with_a_half_changed_group_can_be_deleted(app: &TestApp) {
    let ids = make_users(app, 20);
    let id = create(&app.scim, "/Groups", large(&ids[..5]));
    leave(app, &id, Ending::Stays, &[(true, &ids[5..])]);
    app.api.delete(&format!("/api/v1/directories/{}", app.directory.id)).expect(202);
    finish(app);
    let service = Arc::clone(app.service());
    app.wait(async move { service.purge_deleted_directories().await }).expect("purged");
    app.api.get(&format!("/api/v1/directories/{}", app.directory.id)).expect(404);
    assert_nothing_is_left(app);
}

fn writers_of_one_large_group_take_turns(app: &TestApp) {
    let ids = make_users(app, 60);
    let id = create(&app.scim, "/Groups", group("Large", &[]));
    let path = format!("/Groups/{id}");
    let wanted = [&ids[..40], &ids[20..], &ids[10..50]];
    std::thread::scope(|scope| {
        for ids in wanted {
            let (scim, path) = (app.scim.clone(), path.clone());
            scope.spawn(move || {
                for _ in 0..3 {
                    while scim.put(&path, large(ids)).status == 503 {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    let found = members(&app.scim, &id);
    assert!(wanted.iter().any(|ids| set(ids) == found), "one of them was last: {found:?}");
    let mut told = BTreeSet::new();
    for change in moves(app) {
        let (sign, user) = change.split_at(1);
        let news = if sign == "+" { told.insert(user.to_owned()) } else { told.remove(user) };
        assert!(news, "{change} was no change");
    }
    assert_eq!(told, found, "the events lead to the same members");
    assert_nothing_is_left(app);
}

fn condition_is_checked_once(app: &TestApp) {
    let ids = make_users(app, 35);
    let id = create(&app.scim, "/Groups", group("Large", &[]));
    let path = format!("/Groups/{id}");
    let put = |tag: &str| {
        app.scim.send("PUT", &path, &[("If-Match", tag)], Some(large(&ids).to_string()))
    };
    put("W/\"7\"").expect(412);
    assert_eq!(members(&app.scim, &id), BTreeSet::new());
    assert_eq!(shown(&put("W/\"1\"").expect(200)), set(&ids));
    let delete = |tag: &str| app.scim.send("DELETE", &path, &[("If-Match", tag)], None);
    delete("W/\"1\"").expect(412);
    delete("W/\"2\"").expect(412);
    delete("W/\"3\"").expect(204);
    app.scim.get(&path).expect(404);
}

fn record_of_a_large_change_counts_all(app: &TestApp) {
    let ids = make_users(app, 35);
    let id = create(&app.scim, "/Groups", large(&ids[..12]));
    app.scim.put(&format!("/Groups/{id}"), large(&ids[1..])).expect(200);
    let path = format!("/api/v1/directories/{}/requests", app.directory.id);
    let newest = app.api.get(&format!("{path}?method=PUT")).expect(200);
    let record = newest.body["data"][0]["id"].as_str().expect("a record").to_owned();
    let record = app.api.get(&format!("{path}/{record}")).expect(200);
    let changes = record.body["changes"].as_array().expect("changes");
    let of_members = changes.iter().find(|change| change["path"] == "members").expect("members");
    let counts = |name: &str| of_members[name]["count"].as_u64();
    assert_eq!((counts("added"), counts("removed")), (Some(23), Some(1)), "{}", record.text);
    // It is done again as a whole and taken back as a whole.
    let again = app.api.post(&format!("{path}/{}/replay", record.id()), json!({})).expect(200);
    assert_eq!(again.body["status"], 200, "{}", again.text);
    assert_eq!(members(&app.scim, &id), set(&ids[1..]));
    assert_nothing_is_left(app);
}

fn old_protocol_changes_many(app: &TestApp) {
    let ids = make_users(app, 35);
    let id = create(&app.scim, "/Groups", large(&ids[..3]));
    let base = app.directory.base_url.replace("/scim/v2/", "/scim/v1/");
    let old = Client::new(&base, &app.directory.token, "application/json");
    let body = json!({
        "schemas": ["urn:scim:schemas:core:1.0"],
        "displayName": "Large",
        "members": values(&ids[2..]),
    });
    let put = old.put(&format!("/Groups/{id}"), body).expect(200);
    assert_eq!(shown(&put), set(&ids[2..]));
    assert_nothing_is_left(app);
}
