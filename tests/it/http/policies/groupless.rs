//! `suspend_when_groupless`: a user whose last direct membership ended long enough ago.

use serde_json::{Value, json};

use super::{DAY, Ear, add, change, delete, new_group, new_user, remove, scim_active, set};
use super::{group, set_active};
use crate::on_both_databases;
use crate::support::{TestApp, patch};

on_both_databases![
    last_membership_starts_the_clock,
    whoever_never_had_a_membership_is_left_alone,
    every_way_out_of_a_group_counts,
    regained_membership_stops_the_clock,
    regained_membership_lifts_the_suspension,
    suspended_users_are_hidden_where_inactive_users_are,
    scim_active_is_obeyed_while_suspended,
    only_direct_memberships_count,
    only_memberships_that_ended_while_it_was_on_count,
    changed_delay_applies_to_everybody,
    switched_off_it_lifts_every_suspension,
    bulk_and_pending_members_count,
    nobody_is_suspended_while_the_directory_is_paused,
    disabled_directory_emits_nothing,
];

const HOUR: std::time::Duration = std::time::Duration::from_secs(3_600);

fn on(app: &TestApp) {
    set(app, json!({"suspend_when_groupless": "1d"}));
}

fn pass(app: &TestApp, days: u32) {
    app.clock.advance(DAY * days);
    app.apply_policies();
}

fn last_membership_starts_the_clock(app: &TestApp) {
    on(app);
    let ada = new_user(app, "ada");
    let (one, two) = (new_group(app, "One", &[&ada]), new_group(app, "Two", &[&ada]));
    remove(app, &one, &ada);
    let mut ear = Ear::of(app);
    pass(app, 2);
    ear.heard(&[]);
    remove(app, &two, &ada);
    ear.heard(&["group.user_removed Two ada"]);
    app.clock.advance(DAY - HOUR);
    app.apply_policies();
    ear.heard(&[]);
    app.clock.advance(HOUR);
    app.apply_policies();
    ear.heard_because("out_of_scope", &["user.updated ada inactive"]);
    let (_, event) = app.events(&app.directory).pop().expect("an event");
    assert_eq!(event["previous_attributes"], json!({"state": "active"}));
    assert_eq!(event["raw_attributes"]["active"], true);
    assert!(scim_active(app, &ada), "membership changes never change active");
    pass(app, 10);
    ear.heard(&[]);
}

fn whoever_never_had_a_membership_is_left_alone(app: &TestApp) {
    on(app);
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[]);
    remove(app, &team, &ada);
    let mut ear = Ear::of(app);
    pass(app, 100);
    ear.heard(&[]);
}

fn every_way_out_of_a_group_counts(app: &TestApp) {
    on(app);
    let users: Vec<String> =
        ["u0", "u1", "u2", "u3", "u4"].iter().map(|name| new_user(app, name)).collect();
    let ids: Vec<&str> = users.iter().map(String::as_str).collect();
    let team = new_group(app, "Team", &ids);
    let path = format!("/Groups/{team}");
    // One by path, one by list, one by PUT, one by replace, one with the group.
    remove(app, &team, ids[0]);
    change(
        &app.scim,
        &path,
        json!({"op": "remove", "path": "members", "value": [{"value": ids[1]}]}),
    );
    app.scim.put(&path, group("Team", &[ids[3], ids[4]])).expect(200);
    change(
        &app.scim,
        &path,
        json!({"op": "replace", "path": "members", "value": [{"value": ids[4]}]}),
    );
    app.scim.delete(&path).expect(204);
    let mut ear = Ear::of(app);
    pass(app, 1);
    let mut heard = ear.lines();
    heard.sort_unstable();
    let expected: Vec<String> = (0..5).map(|n| format!("user.updated u{n} inactive")).collect();
    assert_eq!(heard, expected);
}

fn regained_membership_stops_the_clock(app: &TestApp) {
    on(app);
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    remove(app, &team, &ada);
    app.clock.advance(HOUR);
    add(app, &team, &ada);
    let mut ear = Ear::of(app);
    pass(app, 3);
    ear.heard(&[]);
    // One request that takes the user out and in is no time without a group.
    let ops = json!([
        {"op": "remove", "path": "members"},
        {"op": "add", "path": "members", "value": [{"value": ada}]},
    ]);
    app.scim.patch(&format!("/Groups/{team}"), patch(ops)).expect(200);
    pass(app, 3);
    ear.heard(&[]);
    // The clock starts anew each time.
    remove(app, &team, &ada);
    ear.lines();
    app.clock.advance(DAY - HOUR);
    app.apply_policies();
    ear.heard(&[]);
}

fn regained_membership_lifts_the_suspension(app: &TestApp) {
    on(app);
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    remove(app, &team, &ada);
    pass(app, 1);
    let mut ear = Ear::of(app);
    add(app, &team, &ada);
    ear.heard(&["user.updated ada active", "group.user_added Team ada"]);
    remove(app, &team, &ada);
    pass(app, 1);
    ear.lines();
    new_group(app, "New", &[&ada]);
    ear.heard(&["group.created New", "user.updated ada active", "group.user_added New ada"]);
}

fn suspended_users_are_hidden_where_inactive_users_are(app: &TestApp) {
    set(app, json!({"suspend_when_groupless": "1d", "inactive_users": "delete"}));
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    remove(app, &team, &ada);
    let mut ear = Ear::of(app);
    pass(app, 1);
    ear.heard_because("out_of_scope", &["user.deleted ada inactive"]);
    let path = format!("/Users/{ada}");
    change(&app.scim, &path, json!({"op": "add", "path": "title", "value": "Lead"}));
    ear.heard(&[]);
    add(app, &team, &ada);
    ear.heard(&["user.created ada active", "group.user_added Team ada"]);
    // Inactive in SCIM too: a membership alone brings nobody back.
    remove(app, &team, &ada);
    set_active(app, &ada, false);
    pass(app, 1);
    ear.lines();
    add(app, &team, &ada);
    ear.heard(&[]);
    set_active(app, &ada, true);
    ear.heard(&["user.created ada active", "group.user_added Team ada"]);
}

fn scim_active_is_obeyed_while_suspended(app: &TestApp) {
    on(app);
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    remove(app, &team, &ada);
    pass(app, 1);
    let mut ear = Ear::of(app);
    set_active(app, &ada, false);
    ear.heard(&["user.updated ada inactive"]);
    let (_, event) = app.events(&app.directory).pop().expect("an event");
    assert_eq!(event["previous_attributes"], json!({"raw_attributes": {"active": true}}));
    // Active again in SCIM, and still in no group.
    set_active(app, &ada, true);
    ear.heard(&["user.updated ada inactive"]);
    add(app, &team, &ada);
    ear.heard(&["user.updated ada active", "group.user_added Team ada"]);
    remove(app, &team, &ada);
    pass(app, 1);
    ear.lines();
    delete(app, &ada);
    ear.heard_because("scim_delete", &["user.deleted ada inactive"]);
}

fn only_direct_memberships_count(app: &TestApp) {
    on(app);
    let ada = new_user(app, "ada");
    let inner = new_group(app, "Inner", &[&ada]);
    let outer = new_group(app, "Outer", &[&inner]);
    let mut ear = Ear::of(app);
    remove(app, &outer, &inner);
    pass(app, 2);
    ear.heard(&[]);
}

fn only_memberships_that_ended_while_it_was_on_count(app: &TestApp) {
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let team = new_group(app, "Team", &[&ada, &ben]);
    remove(app, &team, &ada);
    on(app);
    remove(app, &team, &ben);
    set(app, json!({}));
    on(app);
    let mut ear = Ear::of(app);
    pass(app, 30);
    ear.heard(&[]);
}

fn changed_delay_applies_to_everybody(app: &TestApp) {
    set(app, json!({"suspend_when_groupless": "10d"}));
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let team = new_group(app, "Team", &[&ada, &ben]);
    remove(app, &team, &ada);
    app.clock.advance(DAY * 2);
    remove(app, &team, &ben);
    let mut ear = Ear::of(app);
    set(app, json!({"suspend_when_groupless": "2d"}));
    ear.heard_because("out_of_scope", &["user.updated ada inactive"]);
    set(app, json!({"suspend_when_groupless": "3d"}));
    ear.heard(&["user.updated ada active"]);
    pass(app, 3);
    let mut heard = ear.lines();
    heard.sort_unstable();
    assert_eq!(heard, ["user.updated ada inactive", "user.updated ben inactive"]);
}

fn switched_off_it_lifts_every_suspension(app: &TestApp) {
    set(app, json!({"suspend_when_groupless": "1d", "inactive_users": "delete"}));
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let team = new_group(app, "Team", &[&ada, &ben]);
    set_active(app, &ben, false);
    remove(app, &team, &ada);
    remove(app, &team, &ben);
    pass(app, 1);
    let mut ear = Ear::of(app);
    set(app, json!({"inactive_users": "delete"}));
    ear.heard(&["user.created ada active"]);
}

fn bulk_and_pending_members_count(app: &TestApp) {
    let settings = |delay: Value| json!({"suspend_when_groupless": delay, "profile": {"hold_unknown_members": true}});
    set(app, settings("1d".into()));
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    let later = new_group(app, "Later", &["e-1"]);
    let operation = json!({"op": "remove", "path": format!("members[value eq \"{ada}\"]")});
    let data = patch(json!([operation]));
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": "PATCH", "path": format!("/Groups/{team}"), "data": data}],
    });
    let answer = app.scim.post("/Bulk", bulk).expect(200);
    assert_eq!(answer.body["Operations"][0]["status"], "200", "{}", answer.text);
    let mut ear = Ear::of(app);
    pass(app, 1);
    ear.heard(&["user.updated ada inactive"]);
    // A group that waited for the externalId takes the user in.
    let path = format!("/Users/{ada}");
    change(&app.scim, &path, json!({"op": "add", "path": "externalId", "value": "e-1"}));
    ear.heard(&[
        "user.updated ada inactive",
        "user.updated ada active",
        "group.user_added Later ada",
    ]);
    remove(app, &later, &ada);
    pass(app, 1);
    ear.heard(&["group.user_removed Later ada", "user.updated ada inactive"]);
}

fn switch(app: &TestApp, change: Value) {
    app.api.patch(&format!("/api/v1/directories/{}", app.directory.id), change).expect(200);
    app.apply_policies();
}

fn nobody_is_suspended_while_the_directory_is_paused(app: &TestApp) {
    on(app);
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let team = new_group(app, "Team", &[&ada, &ben]);
    remove(app, &team, &ada);
    pass(app, 1);
    remove(app, &team, &ben);
    let mut ear = Ear::of(app);
    switch(app, json!({"state": "paused"}));
    pass(app, 2);
    ear.heard(&[]);
    // A policy that is changed meanwhile says what becomes of the suspended, and suspends nobody.
    switch(app, json!({"settings": {"suspend_when_groupless": "2d", "inactive_users": "delete"}}));
    ear.heard(&["user.deleted ada inactive"]);
    switch(app, json!({"state": "linked"}));
    ear.heard(&["user.deleted ben inactive"]);
}

fn disabled_directory_emits_nothing(app: &TestApp) {
    set(app, json!({"suspend_when_groupless": "1d", "grace_period": "1d"}));
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let team = new_group(app, "Team", &[&ada]);
    remove(app, &team, &ada);
    delete(app, &ben);
    let cy = new_user(app, "cy");
    set_active(app, &cy, false);
    let mut ear = Ear::of(app);
    switch(app, json!({"state": "disabled"}));
    pass(app, 2);
    let changed = json!({"suspend_when_groupless": "1d", "inactive_users": "delete"});
    switch(app, json!({"settings": changed}));
    ear.heard(&[]);
    switch(app, json!({"state": "linked"}));
    let mut heard = ear.lines();
    heard.sort_unstable();
    let names = ["ada", "ben", "cy"];
    assert_eq!(heard, names.map(|name| format!("user.deleted {name} inactive")));
}
