//! `disable_group_sync` of a directory that is pushed: groups and memberships are stored and answered as sent,
//! and the app sees none of them, nor roles that come from them.

use serde_json::{Value, json};

use super::{Ear, add, change, delete, members, new_group, new_user, remove, set, set_active};
use crate::http::{api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::{Consumer, TestApp, group};

on_both_databases![
    app_sees_no_group_and_scim_sees_all,
    groups_go_and_come_back_with_their_members,
    users_come_and_go_without_their_groups,
    roles_of_groups_go_with_them,
    memberships_that_the_app_does_not_see_do_not_count_for_the_brake,
    scope_of_groups_is_for_directories_that_are_read,
];

fn off() -> Value {
    json!({"disable_group_sync": true})
}

/// The ids that a list of the read API has.
#[track_caller]
fn read(app: &TestApp, path: &str) -> Vec<String> {
    let list = app.api.get(path).expect(200).body;
    let data = list["data"].as_array().expect("a list").iter();
    data.map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

fn path(app: &TestApp, more: &str) -> String {
    format!("/api/v1/directories/{}{more}", app.directory.id)
}

fn preview(app: &TestApp, settings: &Value) -> Value {
    let body = json!({"settings": settings});
    app.api.post(&path(app, "/settings/preview"), body).expect(200).body
}

/// The names of the events in a snapshot.
fn snapshot(app: &TestApp) -> Vec<String> {
    let lines = app.api.get(&path(app, "/snapshot")).expect(200).text;
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter_map(|line| Some(line["event"].as_str()?.to_owned())).collect()
}

fn app_sees_no_group_and_scim_sees_all(app: &TestApp) {
    set(app, off());
    let mut ear = Ear::of(app);
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let team = new_group(app, "Team", &[&ada]);
    let outer = new_group(app, "Outer", &[&team, &ben]);
    ear.heard(&["user.created ada active", "user.created ben active"]);
    add(app, &team, &ben);
    remove(app, &team, &ada);
    let name = json!({"op": "replace", "path": "displayName", "value": "Crew"});
    change(&app.scim, &format!("/Groups/{team}"), name);
    app.scim.put(&format!("/Groups/{team}"), group("Squad", &[&ada, &ben])).expect(200);
    ear.heard(&[]);
    assert_eq!(members(app, &team).len(), 2);
    assert_eq!(app.scim.get("/Groups?filter=displayName%20eq%20%22Squad%22").total(), 1);
    let shown = app.scim.get(&format!("/Users/{ben}")).expect(200);
    assert_eq!(shown.body["groups"].as_array().map(Vec::len), Some(2), "{}", shown.text);
    // The read API knows as much as the events.
    let directory = &app.directory.id;
    assert_eq!(read(app, &format!("/directory_groups?directory={directory}")), [""; 0]);
    assert_eq!(read(app, &format!("/directory_groups?user={ben}")), [""; 0]);
    app.api.get(&format!("/directory_groups/{team}")).expect(404);
    app.api.get(&format!("/directory_users?group={team}")).expect(404);
    assert_eq!(
        app.api.get(&format!("/directory_users/{ben}")).expect(200).body["groups"],
        json!([])
    );
    assert_eq!(snapshot(app), ["dsync.user.created", "dsync.user.created"]);
    let shown = app.api.get(&path(app, "")).expect(200).body;
    assert_eq!(shown["metadata"]["groups"], 0);
    // What ends unseen is not told either.
    delete(app, &ada);
    app.scim.delete(&format!("/Groups/{team}")).expect(204);
    app.scim.delete(&format!("/Groups/{outer}")).expect(204);
    ear.heard(&["user.deleted ada active"]);
}

fn groups_go_and_come_back_with_their_members(app: &TestApp) {
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let team = new_group(app, "Team", &[&ada, &ben]);
    new_group(app, "Outer", &[&team, &ada]);
    new_group(app, "Empty", &[]);
    let mut ear = Ear::of(app);
    let shown = preview(app, &off());
    assert_eq!((&shown["users"], &shown["groups"]), (&json!(0), &json!(3)));
    assert_eq!(shown["events"]["dsync.group.deleted"], 3);
    ear.heard(&[]);
    set(app, off());
    ear.heard_because(
        "filter_excluded",
        &["group.deleted Team", "group.deleted Outer", "group.deleted Empty"],
    );
    assert_eq!(preview(app, &off())["groups"], 0);
    // Meanwhile things change; the app hears how they are now.
    remove(app, &team, &ben);
    set_active(app, &ben, false);
    ear.lines();
    let shown = preview(app, &json!({}));
    assert_eq!(shown["groups"], 3);
    assert_eq!(shown["events"]["dsync.group.created"], 3);
    assert_eq!(shown["events"]["dsync.group.user_added"], 2);
    set(app, json!({}));
    ear.heard(&[
        "group.created Team",
        "group.user_added Team ada",
        "group.created Outer",
        "group.user_added Outer ada",
        "group.created Empty",
    ]);
    assert_eq!(read(app, &format!("/directory_groups?user={ada}")).len(), 2);
    let shown = app.api.get(&path(app, "")).expect(200).body;
    assert_eq!(shown["metadata"]["groups"], 3);
    // As ever from here on.
    add(app, &team, &ben);
    app.scim.delete(&format!("/Groups/{team}")).expect(204);
    ear.heard(&["group.user_added Team ben", "group.deleted Team"]);
    Consumer::of(&app.events(&app.directory));
}

fn users_come_and_go_without_their_groups(app: &TestApp) {
    set(app, json!({"disable_group_sync": true, "inactive_users": "delete"}));
    let ada = new_user(app, "ada");
    new_group(app, "Team", &[&ada]);
    let mut ear = Ear::of(app);
    set_active(app, &ada, false);
    set_active(app, &ada, true);
    ear.heard(&["user.deleted ada inactive", "user.created ada active"]);
    set_active(app, &ada, false);
    set(app, json!({"inactive_users": "delete"}));
    ear.heard(&["user.deleted ada inactive", "group.created Team"]);
    set_active(app, &ada, true);
    ear.heard(&["user.created ada active", "group.user_added Team ada"]);
    Consumer::of(&app.events(&app.directory));
}

fn roles_of_groups_go_with_them(app: &TestApp) {
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    let map = json!({"rules": [{"role": "lead", "priority": 0, "group": team}], "default_role": "member"});
    app.api.put(&path(app, "/role_map"), map.clone()).expect(200);
    let settle = || {
        let service = app.service().clone();
        app.wait(async move { service.apply_mappings().await }).expect("roles are made");
        app.api.get(&format!("/directory_users/{ada}")).expect(200).body["roles"].clone()
    };
    let slugs = |roles: &Value| {
        let roles = roles.as_array().expect("a list").iter();
        roles.map(|role| role["slug"].as_str().expect("a slug").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(slugs(&settle()), ["lead"]);
    let mut ear = Ear::of(app);
    set(app, off());
    assert_eq!(slugs(&settle()), ["member"]);
    ear.heard(&["group.deleted Team", "user.updated ada active"]);
    // No membership gives one while it lasts; the map stays as it is.
    let ben = new_user(app, "ben");
    add(app, &team, &ben);
    settle();
    ear.heard(&["user.created ben active"]);
    assert_eq!(app.api.get(&path(app, "/role_map")).expect(200).body["rules"], map["rules"]);
    let shown = app.api.post(&path(app, "/role_map/preview"), map).expect(200).body;
    assert_eq!(shown["changed"], 0, "{shown}");
    set(app, json!({}));
    assert_eq!(slugs(&settle()), ["lead"]);
    let mut told = ear.lines();
    told.sort_unstable();
    let expected = [
        "group.created Team",
        "group.user_added Team ada",
        "group.user_added Team ben",
        "user.updated ada active",
        "user.updated ben active",
    ];
    assert_eq!(told, expected);
}

fn memberships_that_the_app_does_not_see_do_not_count_for_the_brake(app: &TestApp) {
    let limit = json!({"at_least": 1, "more_than": 1, "percent": 100});
    let limits = json!({"users": limit, "memberships": limit});
    set(app, json!({"disable_group_sync": true, "brake": {"mode": "hold", "limits": limits}}));
    let users = ["ada", "ben", "cy", "dee"].map(|name| new_user(app, name));
    let all: Vec<&str> = users.iter().map(String::as_str).collect();
    let (team, other) = (new_group(app, "Team", &all), new_group(app, "Other", &all));
    users.iter().take(3).for_each(|user| remove(app, &team, user));
    app.scim.delete(&format!("/Groups/{other}")).expect(204);
    assert_eq!(app.api.get(&path(app, "/brake")).expect(200).body["state"], "open");
    let mut ear = Ear::of(app);
    users.iter().take(2).for_each(|user| set_active(app, user, false));
    let told = ear.lines();
    let told: Vec<&String> = told.iter().filter(|line| line.starts_with("user.")).collect();
    assert_eq!(told.len(), 1, "the second one waits: {told:?}");
    // What waits is about things as they were.
    let answer = app.api.patch(&path(app, ""), json!({"settings": {"grace_period": "1d"}}));
    api_error(&answer, 409, "brake_holding");
    app.api.post(&path(app, "/brake/release"), json!({})).expect(200);
    set(app, json!({}));
    let mut told = ear.lines();
    told.retain(|line| line.starts_with("group."));
    assert_eq!(told, ["group.created Team", "group.user_added Team dee"]);
}

fn scope_of_groups_is_for_directories_that_are_read(app: &TestApp) {
    let body = json!({"settings": {"group_scope": ["Team"]}});
    assert_invalid(&app.api.patch(&path(app, ""), body), "settings.group_scope");
}
