//! `strip_groups_when_inactive`, and what policies do together.

use serde_json::json;

use super::{DAY, Ear, add, change, members, new_group, new_user, remove, set, set_active};
use crate::http::plain_user;
use crate::on_both_databases;
use crate::support::{TestApp, patch};

on_both_databases![
    stripped_user_leaves_every_group_for_good,
    stripped_and_hidden_user_comes_back_without_groups,
    strip_takes_nothing_from_those_who_are_inactive_already,
    strip_happens_with_the_rest_of_the_change,
    refused_change_strips_nothing,
    stripped_user_is_groupless,
    suspension_counts_as_inactive_for_revival,
    provider_may_deactivate_in_any_way,
    one_request_moves_several_things,
];

fn stripped_user_leaves_every_group_for_good(app: &TestApp) {
    set(app, json!({"strip_groups_when_inactive": true}));
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let one = new_group(app, "One", &[&ada, &ben]);
    let two = new_group(app, "Two", &[&ada]);
    let outer = new_group(app, "Outer", &[&two]);
    let tag = |id: &str| {
        let answer = app.scim.get(&format!("/Groups/{id}")).expect(200);
        answer.header("etag").expect("a tag").to_owned()
    };
    let before = [tag(&one), tag(&two), tag(&outer)];
    let mut ear = Ear::of(app);
    set_active(app, &ada, false);
    ear.heard_because(
        "scim_active_false",
        &["group.user_removed One ada", "group.user_removed Two ada", "user.updated ada inactive"],
    );
    assert_eq!((members(app, &one), members(app, &two)), (vec![ben], vec![]));
    let shown = app.scim.get(&format!("/Users/{ada}")).expect(200);
    assert!(shown.body.get("groups").is_none(), "{}", shown.text);
    let after = [tag(&one), tag(&two), tag(&outer)];
    assert!(before[0] != after[0] && before[1] != after[1], "the groups have new versions");
    assert_eq!(before[2], after[2]);
    set_active(app, &ada, true);
    ear.heard(&["user.updated ada active"]);
}

fn stripped_and_hidden_user_comes_back_without_groups(app: &TestApp) {
    set(app, json!({"strip_groups_when_inactive": true, "inactive_users": "delete"}));
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    let mut ear = Ear::of(app);
    set_active(app, &ada, false);
    ear.heard_because(
        "scim_active_false",
        &["group.user_removed Team ada", "user.deleted ada inactive"],
    );
    assert!(members(app, &team).is_empty());
    set_active(app, &ada, true);
    ear.heard(&["user.created ada active"]);
}

fn strip_takes_nothing_from_those_who_are_inactive_already(app: &TestApp) {
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    set_active(app, &ada, false);
    let mut ear = Ear::of(app);
    set(app, json!({"strip_groups_when_inactive": true}));
    let path = format!("/Users/{ada}");
    change(&app.scim, &path, json!({"op": "add", "path": "title", "value": "Lead"}));
    ear.heard(&["user.updated ada inactive"]);
    assert_eq!(members(app, &team), std::slice::from_ref(&ada));
    remove(app, &team, &ada);
    add(app, &team, &ada);
    assert_eq!(members(app, &team), [ada]);
}

fn strip_happens_with_the_rest_of_the_change(app: &TestApp) {
    set(app, json!({"strip_groups_when_inactive": true}));
    let ada = new_user(app, "ada");
    new_group(app, "Team", &[&ada]);
    let mut ear = Ear::of(app);
    let mut body = plain_user("ada2");
    body["active"] = false.into();
    app.scim.put(&format!("/Users/{ada}"), body).expect(200);
    ear.heard(&["group.user_removed Team ada", "user.updated ada2 inactive"]);
}

fn refused_change_strips_nothing(app: &TestApp) {
    set(app, json!({"strip_groups_when_inactive": true, "inactive_users": "delete"}));
    let (ada, _ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let team = new_group(app, "Team", &[&ada]);
    let mut ear = Ear::of(app);
    let path = format!("/Users/{ada}");
    let taken = json!([
        {"op": "replace", "path": "active", "value": false},
        {"op": "replace", "path": "userName", "value": "ben"},
    ]);
    app.scim.patch(&path, patch(taken)).expect_scim_error(409, Some("uniqueness"));
    let off = patch(json!([{"op": "replace", "path": "active", "value": false}]));
    let headers = [("If-Match", "W/\"77\"")];
    let stale = app.scim.send("PATCH", &path, &headers, Some(off.to_string()));
    stale.expect_scim_error(412, None);
    ear.heard(&[]);
    assert_eq!(members(app, &team), [ada]);
}

fn stripped_user_is_groupless(app: &TestApp) {
    set(app, json!({"strip_groups_when_inactive": true, "suspend_when_groupless": "1d"}));
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    set_active(app, &ada, false);
    set_active(app, &ada, true);
    let mut ear = Ear::of(app);
    app.clock.advance(DAY);
    app.apply_policies();
    ear.heard_because("out_of_scope", &["user.updated ada inactive"]);
    add(app, &team, &ada);
    ear.heard(&["user.updated ada active", "group.user_added Team ada"]);
}

fn suspension_counts_as_inactive_for_revival(app: &TestApp) {
    let settings = json!({"suspend_when_groupless": "1d", "revive_on_create": "same_external_id"});
    set(app, settings);
    let mut body = plain_user("ada");
    body["externalId"] = "e-1".into();
    let ada = app.scim.post("/Users", body.clone()).expect(201).id();
    let team = new_group(app, "Team", &[&ada]);
    remove(app, &team, &ada);
    app.scim.post("/Users", body.clone()).expect_scim_error(409, Some("uniqueness"));
    app.clock.advance(DAY);
    app.apply_policies();
    let mut ear = Ear::of(app);
    body["title"] = "Lead".into();
    assert_eq!(app.scim.post("/Users", body).expect(201).id(), ada);
    // Only a membership lifts a suspension.
    ear.heard(&["user.updated ada inactive"]);
    add(app, &team, &ada);
    ear.heard(&["user.updated ada active", "group.user_added Team ada"]);
}

/// Each provider's way of saying that somebody is gone, in a directory of its own kind.
fn provider_may_deactivate_in_any_way(app: &TestApp) {
    let off = |value: serde_json::Value| patch(json!([{"op": "replace", "value": value}]));
    for (kind, body) in [
        ("scim.okta", off(json!({"active": false}))),
        ("scim.entra", patch(json!([{"op": "Replace", "path": "active", "value": "False"}]))),
        ("scim.generic", patch(json!([{"op": "replace", "path": "active", "value": false}]))),
    ] {
        let (directory, scim) = app.directory(kind);
        app.settings(&directory, json!({"inactive_users": "delete"}));
        let ada = scim.post("/Users", plain_user("ada")).expect(201).id();
        let path = format!("/Users/{ada}");
        assert!(scim.patch(&path, body).status < 300, "{kind}");
        let mut put = plain_user("ada");
        put["active"] = true.into();
        scim.put(&path, put.clone()).expect(200);
        put["active"] = false.into();
        scim.put(&path, put).expect(200);
        let created = "dsync.user.created";
        let deleted = "dsync.user.deleted";
        assert_eq!(app.event_names(&directory), [created, deleted, created, deleted], "{kind}");
    }
}

fn one_request_moves_several_things(app: &TestApp) {
    set(app, json!({"inactive_users": "delete", "suspend_when_groupless": "1d"}));
    let (ada, ben, cy) = (new_user(app, "ada"), new_user(app, "ben"), new_user(app, "cy"));
    let team = new_group(app, "Team", &[&ada, &ben]);
    remove(app, &team, &ada);
    set_active(app, &cy, false);
    app.clock.advance(DAY);
    app.apply_policies();
    let mut ear = Ear::of(app);
    // In comes the suspended one and the inactive one; out goes the visible one.
    let ops = json!([
        {"op": "replace", "path": "displayName", "value": "Crew"},
        {"op": "replace", "path": "members", "value": [{"value": ada}, {"value": cy}]},
    ]);
    app.scim.patch(&format!("/Groups/{team}"), patch(ops)).expect(200);
    ear.heard(&[
        "group.updated Crew",
        "group.user_removed Crew ben",
        "user.created ada active",
        "group.user_added Crew ada",
    ]);
}
