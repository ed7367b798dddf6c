//! `delete` and `grace_period`: SCIM forgets a deleted user at once, the app may not.

use serde_json::json;

use super::{DAY, Ear, add, change, delete, members, new_group, new_user, set, set_active};
use crate::http::plain_user;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    deactivated_user_stays_for_the_app_without_groups,
    grace_ends_once_it_is_over,
    inactive_user_that_is_deleted_only_leaves_its_groups,
    new_user_of_the_name_ends_the_old_one_in_the_same_unit,
    renamed_user_ends_the_one_who_had_the_name,
    departed_user_of_another_directory_is_left_alone,
    hidden_users_are_not_kept,
    changed_grace_counts_from_the_deletion,
    departed_users_end_when_the_policy_does,
];

fn deactivated_user_stays_for_the_app_without_groups(app: &TestApp) {
    set(app, json!({"delete": "deactivate"}));
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    let mut ear = Ear::of(app);
    delete(app, &ada);
    ear.heard_because("scim_delete", &["group.user_removed Team ada", "user.updated ada inactive"]);
    let (_, event) = app.events(&app.directory).pop().expect("an event");
    assert_eq!(event["previous_attributes"], json!({"state": "active"}));
    // For SCIM the user is gone at once.
    let path = format!("/Users/{ada}");
    app.scim.get(&path).expect_scim_error(404, None);
    app.scim.put(&path, plain_user("ada")).expect_scim_error(404, None);
    app.scim.delete(&path).expect_scim_error(404, None);
    assert_eq!(app.scim.filter("/Users", "userName eq \"ada\"").total(), 0);
    assert!(members(app, &team).is_empty());
    app.clock.advance(DAY * 4_000);
    app.apply_policies();
    ear.heard(&[]);
}

fn grace_ends_once_it_is_over(app: &TestApp) {
    set(app, json!({"grace_period": "30d"}));
    let ada = new_user(app, "ada");
    delete(app, &ada);
    let mut ear = Ear::of(app);
    app.clock.advance(DAY * 30 - DAY / 86_400);
    app.apply_policies();
    ear.heard(&[]);
    app.clock.advance(DAY / 86_400);
    app.apply_policies();
    ear.heard_because("scim_delete", &["user.deleted ada inactive"]);
    app.apply_policies();
    ear.heard(&[]);
}

fn inactive_user_that_is_deleted_only_leaves_its_groups(app: &TestApp) {
    set(app, json!({"grace_period": "1d"}));
    let ada = new_user(app, "ada");
    new_group(app, "Team", &[&ada]);
    set_active(app, &ada, false);
    let mut ear = Ear::of(app);
    delete(app, &ada);
    ear.heard_because("scim_delete", &["group.user_removed Team ada"]);
    app.clock.advance(DAY);
    app.apply_policies();
    ear.heard_because("scim_delete", &["user.deleted ada inactive"]);
}

fn new_user_of_the_name_ends_the_old_one_in_the_same_unit(app: &TestApp) {
    set(app, json!({"delete": "deactivate", "grace_period": "30d"}));
    let old = new_user(app, "ada");
    new_group(app, "Team", &[&old]);
    delete(app, &old);
    let mut ear = Ear::of(app);
    let new = new_user(app, "ADA");
    assert_ne!(old, new);
    ear.heard(&["user.deleted ada inactive", "user.created ADA active"]);
    let rows = app.event_rows(&app.directory);
    let [deleted, created] = &rows[rows.len() - 2..] else { panic!("two events") };
    assert_eq!((&deleted.resource_id, &created.resource_id), (&old, &new));
    assert_eq!(deleted.reason.as_deref(), Some("scim_delete"));
    // A create that is refused ends nobody.
    delete(app, &new);
    ear.lines();
    let mut wrong = plain_user("ada");
    wrong["emails"] = json!("none");
    app.scim.post("/Users", wrong).expect_scim_error(400, Some("invalidValue"));
    ear.heard(&[]);
    app.clock.advance(DAY * 30);
    app.apply_policies();
    ear.heard(&["user.deleted ADA inactive"]);
}

fn renamed_user_ends_the_one_who_had_the_name(app: &TestApp) {
    set(app, json!({"delete": "deactivate"}));
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    delete(app, &ada);
    let mut ear = Ear::of(app);
    let path = format!("/Users/{ben}");
    change(&app.scim, &path, json!({"op": "replace", "path": "userName", "value": "ada"}));
    ear.heard(&["user.deleted ada inactive", "user.updated ada active"]);
}

fn departed_user_of_another_directory_is_left_alone(app: &TestApp) {
    set(app, json!({"delete": "deactivate"}));
    let (other, scim) = app.directory("scim.okta");
    app.settings(&other, json!({"delete": "deactivate"}));
    let ada = new_user(app, "ada");
    delete(app, &ada);
    let mut ear = Ear::of(app);
    scim.post("/Users", plain_user("ada")).expect(201);
    app.settings(&other, json!({}));
    ear.heard(&[]);
    assert_eq!(app.event_names(&other), ["dsync.user.created"]);
}

fn hidden_users_are_not_kept(app: &TestApp) {
    set(app, json!({"inactive_users": "delete", "delete": "deactivate", "grace_period": "1d"}));
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    set_active(app, &ada, false);
    let mut ear = Ear::of(app);
    delete(app, &ada);
    ear.heard(&[]);
    delete(app, &ben);
    ear.heard_because("scim_delete", &["user.deleted ben active"]);
    app.clock.advance(DAY * 2);
    app.apply_policies();
    ear.heard(&[]);
}

fn changed_grace_counts_from_the_deletion(app: &TestApp) {
    set(app, json!({"grace_period": "10d"}));
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    delete(app, &ada);
    app.clock.advance(DAY * 2);
    delete(app, &ben);
    app.clock.advance(DAY);
    let mut ear = Ear::of(app);
    set(app, json!({"grace_period": "3d"}));
    ear.heard(&["user.deleted ada inactive"]);
    set(app, json!({"grace_period": "3d", "delete": "deactivate"}));
    set(app, json!({"delete": "deactivate"}));
    app.clock.advance(DAY * 100);
    app.apply_policies();
    ear.heard(&[]);
    set(app, json!({"grace_period": "103d"}));
    ear.heard(&[]);
    set(app, json!({"grace_period": "101d"}));
    ear.heard(&["user.deleted ben inactive"]);
}

fn departed_users_end_when_the_policy_does(app: &TestApp) {
    set(app, json!({"delete": "deactivate"}));
    let (ada, ben, cy) = (new_user(app, "ada"), new_user(app, "ben"), new_user(app, "cy"));
    let team = new_group(app, "Team", &[]);
    add(app, &team, &cy);
    delete(app, &ada);
    let mut ear = Ear::of(app);
    set(app, json!({}));
    ear.heard_because("scim_delete", &["user.deleted ada inactive"]);
    set(app, json!({"delete": "deactivate"}));
    delete(app, &ben);
    ear.lines();
    set(app, json!({"delete": "deactivate", "inactive_users": "delete"}));
    ear.heard_because("scim_delete", &["user.deleted ben inactive"]);
}
