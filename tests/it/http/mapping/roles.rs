//! Roles: from groups, direct and nested, and from what the source says of a user.

use serde_json::{Value, json};

use rollbook::store::mapping::{RoleWork, RoleWorkRow};
use rollbook::store::resource::Mapped;
use rollbook::store::{StoreError, Tx};

use super::{
    change_members, in_store, new_group, new_user, path, put_roles, roles, seen, settle, since,
    told,
};
use crate::http::{assert_invalid, plain_user};
use crate::on_both_databases;
use crate::support::{Consumer, Database, TestApp, event_line, group, patch};

on_both_databases![
    roles_follow_direct_memberships,
    roles_follow_nested_groups,
    deleted_groups_take_their_roles,
    values_of_roles_and_entitlements_give_roles,
    changed_map_is_told_user_by_user,
    inactive_users_keep_their_roles,
    stripped_users_lose_the_roles_of_groups_in_one_update,
    departed_users_keep_their_roles,
    hidden_users_get_their_roles_unheard,
    users_who_were_waited_for_get_the_roles_of_the_group,
    bulk_gives_roles_in_the_same_request,
    many_members_are_told_by_the_job,
    many_users_below_a_group_are_told_by_the_job,
    who_leaves_before_the_job_has_come_loses_the_role,
    group_in_progress_is_looked_at_once_more_and_not_anew,
    one_directory_does_not_hold_up_the_roles_of_others,
    work_waits_for_a_directory_that_rests,
    nested_groups_that_move_do_not_wait_for_each_other,
    wrong_maps_are_refused,
    preview_shows_roles_and_stores_nothing,
];

fn lines(events: &[(String, Value)]) -> Vec<String> {
    events.iter().map(|(name, data)| event_line(name, data)).collect()
}

/// The `previous_attributes` of the only update.
#[track_caller]
fn only_update(events: &[(String, Value)]) -> Value {
    let mut updates = events.iter().filter(|(name, _)| name == "dsync.user.updated");
    let (first, second) = (updates.next(), updates.next());
    assert!(second.is_none(), "{:?}", lines(events));
    first.expect("an update").1["previous_attributes"].clone()
}

fn admin_and_viewer(admins: &str, viewers: &str) -> Value {
    json!({"rules": [
        {"role": "viewer", "group": viewers},
        {"role": "admin", "priority": 10, "group": admins},
    ]})
}

fn roles_follow_direct_memberships(app: &TestApp) {
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let admins = new_group(app, "Admins", &[]);
    let viewers = new_group(app, "Viewers", &[&ada]);
    let other = new_group(app, "Other", &[]);
    put_roles(app, admin_and_viewer(&admins, &viewers));
    assert_eq!(roles(&seen(app, &ada)), ["viewer"]);
    assert_eq!(roles(&seen(app, &ben)), [""; 0]);

    // In the unit of the membership and behind it; the one who is there already is told nothing.
    let from = told(app);
    change_members(app, &admins, "add", &[&ada]);
    let events = since(app, from);
    assert_eq!(lines(&events), ["group.user_added Admins ada", "user.updated ada active"]);
    let expected = json!({"role": {"slug": "viewer"}, "roles": [{"slug": "viewer"}]});
    assert_eq!(only_update(&events), expected);
    assert_eq!(roles(&events[0].1["user"]), ["viewer"], "as it was before");
    assert_eq!(roles(&events[1].1), ["admin", "viewer"]);
    let from = told(app);
    change_members(app, &admins, "add", &[&ada]);
    change_members(app, &other, "add", &[&ada, &ben]);
    assert_eq!(
        lines(&since(app, from)),
        ["group.user_added Other ada", "group.user_added Other ben"]
    );

    let from = told(app);
    change_members(app, &admins, "replace", &[&ben]);
    let events = since(app, from);
    assert_eq!(
        lines(&events),
        [
            "group.user_removed Admins ada",
            "group.user_added Admins ben",
            "user.updated ada active",
            "user.updated ben active",
        ]
    );
    let expected = json!({"role": null, "roles": null});
    assert_eq!(events[3].1["previous_attributes"], expected);
    let expected =
        json!({"role": {"slug": "admin"}, "roles": [{"slug": "admin"}, {"slug": "viewer"}]});
    assert_eq!(events[2].1["previous_attributes"], expected);
    change_members(app, &viewers, "remove", &[&ada]);
    assert_eq!(roles(&seen(app, &ada)), [""; 0]);
    let made = new_group(app, "Late", &[&ada]);
    put_roles(app, json!({"rules": [{"role": "late", "group": made}]}));
    let from = told(app);
    assert_eq!(roles(&seen(app, &ada)), ["late"]);
    assert_eq!(roles(&seen(app, &ben)), [""; 0]);
    settle(app);
    assert_eq!(since(app, from), []);
    Consumer::of(&app.events(&app.directory));
}

fn roles_follow_nested_groups(app: &TestApp) {
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let inner = new_group(app, "Inner", &[&ada]);
    let middle = new_group(app, "Middle", &[&inner]);
    let outer = new_group(app, "Outer", &[]);
    put_roles(app, json!({"rules": [{"role": "member", "group": outer}]}));
    let from = told(app);
    change_members(app, &outer, "add", &[&middle]);
    let events = since(app, from);
    assert_eq!(lines(&events), ["user.updated ada active"]);
    assert_eq!(only_update(&events), json!({"role": null, "roles": null}));
    let from = told(app);
    change_members(app, &inner, "add", &[&ben]);
    assert_eq!(lines(&since(app, from)), ["group.user_added Inner ben", "user.updated ben active"]);
    // A circle ends.
    change_members(app, &inner, "add", &[&outer]);
    let from = told(app);
    change_members(app, &middle, "remove", &[&inner]);
    assert_eq!(lines(&since(app, from)), ["user.updated ada active", "user.updated ben active"]);
    // What the job looks at once more is as it should be.
    settle(app);
    assert_eq!(told(app), from + 2);
    assert_eq!(roles(&seen(app, &ada)), [""; 0]);
}

fn deleted_groups_take_their_roles(app: &TestApp) {
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let inner = new_group(app, "Inner", &[&ben]);
    let middle = new_group(app, "Middle", &[&inner, &ada]);
    let outer = new_group(app, "Outer", &[&middle]);
    put_roles(app, json!({"rules": [{"role": "member", "group": outer}], "default_role": "guest"}));
    assert_eq!(roles(&seen(app, &ben)), ["member"]);
    let from = told(app);
    app.scim.delete(&format!("/Groups/{middle}")).expect(204);
    let events = since(app, from);
    let expected = ["group.deleted Middle", "user.updated ada active", "user.updated ben active"];
    assert_eq!(lines(&events), expected);
    assert_eq!(roles(&events[1].1), ["guest"]);
    assert_eq!(events[2].1["previous_attributes"]["role"], json!({"slug": "member"}));
    // A rule about a group that is gone gives nothing, and the map can be put again without it only.
    let from = told(app);
    app.scim.delete(&format!("/Groups/{outer}")).expect(204);
    assert_eq!(lines(&since(app, from)), ["group.deleted Outer"]);
    let shown = app.api.get(&path(app, "role_map")).expect(200).body;
    assert_eq!(shown["rules"][0]["group"], outer);
    let again = app.api.put(&path(app, "role_map"), json!({"rules": shown["rules"]}));
    assert_invalid(&again, "rules");
    settle(app);
}

fn values_of_roles_and_entitlements_give_roles(app: &TestApp) {
    put_roles(
        app,
        json!({
            "rules": [
                {"role": "admin", "priority": 2, "scim_role": "Global Admin"},
                {"role": "billing", "priority": 1, "entitlement": "billing"},
            ],
            "default_role": "member",
        }),
    );
    let mut body = plain_user("ada");
    body["roles"] = json!([{"value": "global admin", "primary": true}]);
    let from = told(app);
    let ada = app.scim.post("/Users", body.clone()).expect(201).id();
    let events = since(app, from);
    assert_eq!(lines(&events), ["user.created ada active"]);
    assert_eq!(roles(&events[0].1), ["admin"], "in the event of the create itself");
    let from = told(app);
    body["entitlements"] = json!([{"value": "BILLING"}]);
    app.scim.put(&format!("/Users/{ada}"), body).expect(200);
    let previous = only_update(&since(app, from));
    assert_eq!(previous["roles"], json!([{"slug": "admin"}]));
    assert!(previous.get("role").is_none(), "the highest stays: {previous}");
    let from = told(app);
    let operation = json!([{"op": "remove", "path": "roles"}]);
    app.scim.patch(&format!("/Users/{ada}"), patch(operation)).expect(200);
    let events = since(app, from);
    assert_eq!(only_update(&events)["role"], json!({"slug": "admin"}));
    assert_eq!(roles(&events[0].1), ["billing"]);
    app.scim.put(&format!("/Users/{ada}"), plain_user("ada")).expect(200);
    assert_eq!(roles(&seen(app, &ada)), ["member"]);
}

fn changed_map_is_told_user_by_user(app: &TestApp) {
    let (ada, _ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let team = new_group(app, "Team", &[&ada]);
    let from = told(app);
    put_roles(app, json!({"rules": [{"role": "a", "group": team}]}));
    assert_eq!(lines(&since(app, from)), ["user.updated ada active"]);
    let from = told(app);
    put_roles(app, json!({"rules": [{"role": "a", "group": team}], "default_role": "b"}));
    assert_eq!(lines(&since(app, from)), ["user.updated ben active"]);
    let from = told(app);
    put_roles(app, json!({}));
    let events = since(app, from);
    assert_eq!(lines(&events), ["user.updated ada active", "user.updated ben active"]);
    assert!(events.iter().all(|(_, data)| roles(data).is_empty()));
    // Without a map a membership is a membership.
    let from = told(app);
    change_members(app, &team, "remove", &[&ada]);
    assert_eq!(lines(&since(app, from)), ["group.user_removed Team ada"]);
}

fn inactive_users_keep_their_roles(app: &TestApp) {
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    put_roles(app, json!({"rules": [{"role": "a", "group": team}]}));
    let from = told(app);
    let operation = json!([{"op": "replace", "path": "active", "value": false}]);
    app.scim.patch(&format!("/Users/{ada}"), patch(operation)).expect(200);
    let events = since(app, from);
    assert_eq!(only_update(&events)["state"], "active");
    assert!(only_update(&events).get("role").is_none());
    assert_eq!(roles(&seen(app, &ada)), ["a"]);
    let from = told(app);
    change_members(app, &team, "remove", &[&ada]);
    assert_eq!(
        lines(&since(app, from)),
        ["group.user_removed Team ada", "user.updated ada inactive"]
    );
    assert_eq!(roles(&seen(app, &ada)), [""; 0]);
}

fn stripped_users_lose_the_roles_of_groups_in_one_update(app: &TestApp) {
    app.settings(&app.directory, json!({"strip_groups_when_inactive": true}));
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    put_roles(app, json!({"rules": [{"role": "a", "group": team}]}));
    let from = told(app);
    let operation = json!([{"op": "replace", "path": "active", "value": false}]);
    app.scim.patch(&format!("/Users/{ada}"), patch(operation)).expect(200);
    let events = since(app, from);
    assert_eq!(lines(&events), ["group.user_removed Team ada", "user.updated ada inactive"]);
    let previous = only_update(&events);
    assert_eq!((&previous["state"], &previous["role"]), (&json!("active"), &json!({"slug": "a"})));
    assert_eq!(roles(&seen(app, &ada)), [""; 0]);
}

fn departed_users_keep_their_roles(app: &TestApp) {
    app.settings(&app.directory, json!({"delete": "deactivate"}));
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    put_roles(app, json!({"rules": [{"role": "a", "group": team}]}));
    let from = told(app);
    app.scim.delete(&format!("/Users/{ada}")).expect(204);
    assert_eq!(
        lines(&since(app, from)),
        ["group.user_removed Team ada", "user.updated ada inactive"]
    );
    assert_eq!(roles(&seen(app, &ada)), ["a"]);
    put_roles(app, json!({}));
    assert_eq!(roles(&seen(app, &ada)), ["a"], "whoever is gone is brought to no map");
}

fn hidden_users_get_their_roles_unheard(app: &TestApp) {
    app.settings(&app.directory, json!({"inactive_users": "delete"}));
    let mut body = plain_user("ada");
    body["active"] = false.into();
    let ada = app.scim.post("/Users", body).expect(201).id();
    let team = new_group(app, "Team", &[]);
    put_roles(app, json!({"rules": [{"role": "a", "group": team}]}));
    let from = told(app);
    change_members(app, &team, "add", &[&ada]);
    assert_eq!(since(app, from), []);
    let operation = json!([{"op": "replace", "path": "active", "value": true}]);
    app.scim.patch(&format!("/Users/{ada}"), patch(operation)).expect(200);
    let events = since(app, from);
    assert_eq!(lines(&events), ["user.created ada active", "group.user_added Team ada"]);
    assert_eq!(roles(&events[0].1), ["a"]);
}

fn users_who_were_waited_for_get_the_roles_of_the_group(app: &TestApp) {
    app.settings(&app.directory, json!({"profile": {"hold_unknown_members": true}}));
    let team = new_group(app, "Team", &["ext-1"]);
    put_roles(app, json!({"rules": [{"role": "a", "group": team}]}));
    let from = told(app);
    let mut body = plain_user("ada");
    body["externalId"] = "ext-1".into();
    let ada = app.scim.post("/Users", body).expect(201).id();
    let expected =
        ["user.created ada active", "group.user_added Team ada", "user.updated ada active"];
    assert_eq!(lines(&since(app, from)), expected);
    assert_eq!(roles(&seen(app, &ada)), ["a"]);
}

fn bulk_gives_roles_in_the_same_request(app: &TestApp) {
    let team = new_group(app, "Team", &[]);
    put_roles(app, json!({"rules": [{"role": "a", "group": team}]}));
    let from = told(app);
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "u", "data": plain_user("ada")},
            {"method": "PATCH", "path": format!("/Groups/{team}"), "data": patch(json!([
                {"op": "add", "path": "members", "value": [{"value": "bulkId:u"}]},
            ]))},
        ],
    });
    app.scim.post("/Bulk", body).expect(200);
    let expected =
        ["user.created ada active", "group.user_added Team ada", "user.updated ada active"];
    assert_eq!(lines(&since(app, from)), expected);
}

/// Makes users and answers their ids.
fn many_users(app: &TestApp, number: usize) -> Vec<String> {
    (0..number).map(|n| new_user(app, &format!("user{n:04}"))).collect()
}

/// Fails the test unless exactly these users have the role, each told once since then.
#[track_caller]
fn assert_told_once(app: &TestApp, from: usize, users: &[String], expected: &[&str]) {
    let events = since(app, from);
    let updates = events.iter().filter(|(name, _)| name == "dsync.user.updated");
    let mut told: Vec<String> = updates
        .map(|(_, data)| {
            assert_eq!(roles(data), expected);
            data["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    told.sort();
    let mut users = users.to_vec();
    users.sort();
    assert_eq!(told, users);
}

fn many_members_are_told_by_the_job(app: &TestApp) {
    let users = many_users(app, 120);
    let ids: Vec<&str> = users.iter().map(String::as_str).collect();
    let team = new_group(app, "Team", &[]);
    put_roles(app, json!({"rules": [{"role": "a", "group": team}]}));
    let from = told(app);
    change_members(app, &team, "add", &ids);
    settle(app);
    assert_told_once(app, from, &users, &["a"]);
    let from = told(app);
    change_members(app, &team, "remove", &ids[..101]);
    settle(app);
    assert_told_once(app, from, &users[..101], &[]);
    let from = told(app);
    change_members(app, &team, "add", &ids);
    settle(app);
    assert_told_once(app, from, &users[..101], &["a"]);
    let from = told(app);
    app.scim.delete(&format!("/Groups/{team}")).expect(204);
    settle(app);
    assert_told_once(app, from, &users, &[]);
    settle(app);
    Consumer::of(&app.events(&app.directory));
    let metrics = app.api.get("/metrics").expect(200).text;
    assert!(metrics.contains("rollbook_mapping_users_followed_total"), "{metrics}");
}

/// More members than one unit of memberships takes, each with more users than one unit tells.
mod members_of_several_units_are_told_by_the_job {
    use super::*;

    #[test]
    fn sqlite() {
        several_units(&start(Database::sqlite()));
    }

    #[test]
    fn postgres() {
        several_units(&start(Database::postgres()));
    }

    fn start(database: Database) -> TestApp {
        TestApp::start_with(database, |config| config.members_at_once = 110)
    }
}

fn several_units(app: &TestApp) {
    let users = many_users(app, 240);
    let ids: Vec<&str> = users.iter().map(String::as_str).collect();
    let team = new_group(app, "Team", &[]);
    put_roles(app, json!({"rules": [{"role": "a", "group": team}]}));
    let from = told(app);
    change_members(app, &team, "add", &ids);
    settle(app);
    assert_told_once(app, from, &users, &["a"]);
    let from = told(app);
    app.scim.delete(&format!("/Groups/{team}")).expect(204);
    settle(app);
    assert_told_once(app, from, &users, &[]);
}

fn many_users_below_a_group_are_told_by_the_job(app: &TestApp) {
    let users = many_users(app, 130);
    let ids: Vec<&str> = users.iter().map(String::as_str).collect();
    let deepest = new_group(app, "Deepest", &ids[..65]);
    let inner = new_group(app, "Inner", &[&[deepest.as_str()], &ids[60..]].concat());
    let outer = new_group(app, "Outer", &[]);
    put_roles(app, json!({"rules": [{"role": "a", "group": outer}]}));
    let from = told(app);
    change_members(app, &outer, "add", &[&inner]);
    settle(app);
    assert_told_once(app, from, &users, &["a"]);
    let from = told(app);
    app.scim.delete(&format!("/Groups/{inner}")).expect(204);
    settle(app);
    assert_told_once(app, from, &users, &[]);
}

/// Up to which member the groups are done that are left after a change.
fn left(app: &TestApp, change: fn(&mut Tx<'_>, i64) -> Result<(), StoreError>) -> Vec<i64> {
    in_store(app, move |tx, key| {
        change(tx, key)?;
        let left = tx.role_work_next(key, RoleWork::Members, 10)?;
        Ok(left.iter().map(|row| row.after_key).collect())
    })
}

fn group_in_progress_is_looked_at_once_more_and_not_anew(app: &TestApp) {
    // The directory rests, so that nobody else takes the work.
    let id = &app.directory.id;
    app.api.patch(&format!("/api/v1/directories/{id}"), json!({"state": "disabled"})).expect(200);
    let add: fn(&mut Tx<'_>, i64) -> _ = |tx, key| tx.role_work_add(key, RoleWork::Members, &[7]);
    assert_eq!(left(app, add), [0]);
    let forth = |tx: &mut Tx<'_>, key| tx.role_work_move(key, &row(0), 500);
    assert_eq!(left(app, forth), [500]);
    assert_eq!(left(app, add), [500]);
    // Another process was slower.
    assert_eq!(left(app, |tx, key| tx.role_work_move(key, &row(0), 100)), [500]);
    assert_eq!(left(app, |tx, key| tx.role_work_end(key, &row(500))), [0]);
    assert_eq!(left(app, forth), [500]);
    assert_eq!(left(app, |tx, key| tx.role_work_end(key, &row(500))), [0; 0]);
}

fn row(after_key: i64) -> RoleWorkRow {
    RoleWorkRow { target_key: 7, after_key }
}

/// A changed map of many users takes its time; whose role is taken away does not wait for it.
fn one_directory_does_not_hold_up_the_roles_of_others(app: &TestApp) {
    let users = many_users(app, 310);
    let (other, scim) = app.directory("scim.okta");
    let ada = scim.post("/Users", plain_user("ada")).expect(201).id();
    let team = scim.post("/Groups", group("Team", &[&ada])).expect(201).id();
    let map = json!({"rules": [{"role": "a", "group": team}]});
    app.api.put(&format!("/api/v1/directories/{}/role_map", other.id), map).expect(200);
    settle(app);
    let id = other.id.clone();
    in_store(app, move |tx, busy| {
        // As a change of many members leaves it, with a map that was changed just before.
        let other = tx.directory_get(&id)?.expect("the other one").key;
        let ada = tx.mapping_chunk(other, 0, 1)?.remove(0).row.key;
        tx.mapping_write(other, ada, &Mapped::default())?;
        tx.role_work_add(other, RoleWork::User, &[ada])?;
        tx.mapping_set(busy, Some("{\"login\":{\"expression\":\"raw.userName\"}}"), None, 0)?;
        tx.mapping_cursor_set(busy, Some(0))
    });
    settle(app);
    let changed = |directory| {
        let rows = app.event_rows(directory).into_iter();
        let rows = rows.filter(|row| row.event == "dsync.user.updated");
        rows.map(|row| row.key).collect::<Vec<i64>>()
    };
    let (busy, other) = (changed(&app.directory), changed(&other));
    assert_eq!((busy.len(), other.len()), (users.len(), 2));
    assert!(other[1] < busy[200], "{other:?} before the end of {busy:?}");
}

/// Nothing is told of a directory that is disabled; what was left goes on when it is enabled, and what is
/// about a role map that has no groups any more is forgotten.
fn work_waits_for_a_directory_that_rests(app: &TestApp) {
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let team = new_group(app, "Team", &[&ada]);
    put_roles(app, json!({"rules": [{"role": "a", "group": team}]}));
    let switch = |state: &str| {
        let path = format!("/api/v1/directories/{}", app.directory.id);
        app.api.patch(&path, json!({"state": state})).expect(200);
    };
    switch("disabled");
    in_store(app, |tx, key| {
        let users = tx.mapping_chunk(key, 0, 1)?;
        tx.mapping_write(key, users[0].row.key, &Mapped::default())?;
        // A user, and one who is gone.
        tx.role_work_add(key, RoleWork::User, &[users[0].row.key, 9_999])
    });
    settle(app);
    assert_eq!(roles(&seen(app, &ada)), [""; 0]);
    switch("linked");
    settle(app);
    assert_eq!(roles(&seen(app, &ada)), ["a"]);
    // A membership that changes while a map is still being applied goes by that map.
    switch("disabled");
    let map = json!({"rules": [{"role": "b", "group": team}]});
    app.api.put(&path(app, "role_map"), map).expect(200);
    assert_eq!(app.api.get(&path(app, "role_map")).expect(200).body["applying"], true);
    switch("linked");
    change_members(app, &team, "add", &[&ben]);
    let operation = json!([{"op": "replace", "path": "title", "value": "Head"}]);
    app.scim.patch(&format!("/Users/{ada}"), patch(operation)).expect(200);
    settle(app);
    assert_eq!(
        (roles(&seen(app, &ada)), roles(&seen(app, &ben))),
        (vec!["b".into()], vec!["b".into()])
    );
    in_store(app, |tx, key| tx.role_work_add(key, RoleWork::Below, &[7]));
    put_roles(app, json!({"default_role": "guest"}));
    let left = in_store(app, |tx, _| tx.role_work_directories());
    assert_eq!(left, [0; 0]);
    assert_eq!(roles(&seen(app, &ada)), ["guest"]);
}

/// Each unit has a user of its own and one below a group, which are those of the other the other way round.
fn nested_groups_that_move_do_not_wait_for_each_other(app: &TestApp) {
    let users = many_users(app, 2);
    let inner: Vec<String> =
        (0..2).map(|n| new_group(app, &format!("Inner{n}"), &[&users[1 - n]])).collect();
    let outer: Vec<String> = (0..2).map(|n| new_group(app, &format!("Outer{n}"), &[])).collect();
    let rules = outer.iter().map(|id| json!({"role": "a", "group": id}));
    put_roles(app, json!({"rules": rules.collect::<Vec<_>>()}));
    for round in 0..20 {
        std::thread::scope(|scope| {
            for n in 0..2 {
                let (users, inner, outer) = (&users, &inner, &outer);
                scope.spawn(move || {
                    let op = if round % 2 == 0 { "add" } else { "remove" };
                    change_members(app, &outer[n], op, &[&users[n], &inner[n]]);
                });
            }
        });
    }
    settle(app);
    assert_eq!(roles(&seen(app, &users[0])), [""; 0]);
    // A unit that the database ends because of a deadlock runs again.
    let metrics = app.api.get("/metrics").expect(200).text;
    assert!(metrics.contains("rollbook_store_retries_total 0\n"), "{metrics}");
}

fn wrong_maps_are_refused(app: &TestApp) {
    let ada = new_user(app, "ada");
    let (_, other) = app.directory("scim.okta");
    let theirs = other.post("/Groups", group("Theirs", &[])).expect(201).id();
    let team = new_group(app, "Team", &[&ada]);
    put_roles(app, json!({"rules": [{"role": "a", "group": team}]}));
    let put = |map: Value| app.api.put(&path(app, "role_map"), map);
    for (map, field) in [
        (json!({"rules": [{"role": "a", "group": theirs}]}), "rules"),
        (json!({"rules": [{"role": "a", "group": ada}]}), "rules"),
        (json!({"rules": [{"role": "a"}]}), "rules[0]"),
        (json!({"rules": [{"role": "A", "group": team}]}), "rules[0].role"),
        (json!({"default_role": ""}), "default_role"),
    ] {
        assert_invalid(&put(map), field);
    }
    for body in [json!({"roles": []}), json!({"rules": [{"role": "a", "group": team, "x": 1}]})] {
        let answer = put(body);
        assert_eq!(answer.status, 422, "{}", answer.text);
    }
    let shown = app.api.get(&path(app, "role_map")).expect(200).body;
    assert_eq!(shown["rules"], json!([{"role": "a", "priority": 0, "group": team}]));
    assert_eq!((&shown["default_role"], &shown["applying"]), (&Value::Null, &json!(false)));
}

fn preview_shows_roles_and_stores_nothing(app: &TestApp) {
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let inner = new_group(app, "Inner", &[&ada]);
    let outer = new_group(app, "Outer", &[&inner]);
    put_roles(app, json!({"default_role": "guest"}));
    let from = told(app);
    let body = json!({"rules": [{"role": "a", "group": outer}]});
    let shown = app.api.post(&path(app, "role_map/preview"), body).expect(200).body;
    assert_eq!(shown["changed"], 2);
    let users = shown["data"].as_array().expect("a list");
    assert_eq!((&users[0]["user_id"], &users[1]["user_id"]), (&json!(ada), &json!(ben)));
    assert_eq!((&users[0]["before"], &users[0]["after"]), (&json!(["guest"]), &json!(["a"])));
    assert_eq!((&users[1]["before"], &users[1]["after"]), (&json!(["guest"]), &json!([])));
    assert_eq!(since(app, from), []);
    assert_eq!(roles(&seen(app, &ada)), ["guest"]);
}

/// The way to the role ends above, for more users than one unit tells; before the job looks at them, one of
/// them leaves below, where nothing leads to a role any more.
fn who_leaves_before_the_job_has_come_loses_the_role(app: &TestApp) {
    let users = many_users(app, 102);
    let ids: Vec<&str> = users.iter().map(String::as_str).collect();
    let inner = new_group(app, "Inner", &ids);
    let ending = new_group(app, "Ending", &ids[..1]);
    let middle = new_group(app, "Middle", &[&inner, &ending]);
    let top = new_group(app, "Top", &[&middle]);
    put_roles(app, json!({"rules": [{"role": "a", "group": top}]}));
    settle(app);
    let remove = |group: &str, member: &str| {
        json!({"method": "PATCH", "path": format!("/Groups/{group}"), "data": patch(json!([
            {"op": "remove", "path": format!("members[value eq \"{member}\"]")},
        ]))})
    };
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            remove(&top, &middle),
            remove(&inner, &users[0]),
            remove(&inner, &users[1]),
            {"method": "DELETE", "path": format!("/Groups/{ending}")},
        ],
    });
    let answer = app.scim.post("/Bulk", body).expect(200).body;
    let statuses = answer["Operations"].as_array().expect("results").iter();
    assert!(
        statuses.clone().all(|one| one["status"] == "200" || one["status"] == "204"),
        "{answer}"
    );
    settle(app);
    for user in &users {
        assert_eq!(roles(&seen(app, user)), [""; 0]);
    }
}
