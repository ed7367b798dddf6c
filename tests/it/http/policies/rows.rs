//! The table of events row by row (the contract with the app), with and without
//! `inactive_users: delete`.

use serde_json::json;

use super::{Ear, add, change, delete, members, new_group, new_user, remove, scim_active, set};
use super::{group, set_active};
use crate::http::plain_user;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    create_user_also_inactive_is_told,
    put_and_patch_are_updates,
    active_is_an_update_when_inactive_users_are_kept,
    active_is_coming_and_going_when_inactive_users_are_deleted,
    nothing_about_a_hidden_user_is_told,
    user_created_inactive_is_hidden_when_inactive_users_are_deleted,
    deleted_user_leaves_the_groups_first,
    group_is_told_before_its_members,
    group_change_is_told_before_who_left_and_who_joined,
    deleted_group_is_one_event,
    groups_as_members_are_not_told,
    changed_policy_is_told_user_by_user,
    deleted_directory_is_one_event,
];

fn create_user_also_inactive_is_told(app: &TestApp) {
    let mut ear = Ear::of(app);
    new_user(app, "ada");
    let body = json!({"schemas": plain_user("")["schemas"], "userName": "ben", "active": false});
    app.scim.post("/Users", body).expect(201);
    ear.heard(&["user.created ada active", "user.created ben inactive"]);
    let reasons: Vec<_> = app.event_rows(&app.directory).into_iter().map(|e| e.reason).collect();
    assert!(reasons.iter().all(Option::is_none), "nobody lost anything: {reasons:?}");
}

fn put_and_patch_are_updates(app: &TestApp) {
    let id = new_user(app, "ada");
    let mut ear = Ear::of(app);
    let mut body = plain_user("ada");
    body["title"] = "Lead".into();
    app.scim.put(&format!("/Users/{id}"), body).expect(200);
    let operation = json!({"op": "replace", "path": "title", "value": "Head"});
    change(&app.scim, &format!("/Users/{id}"), operation);
    ear.heard(&["user.updated ada active", "user.updated ada active"]);
}

fn active_is_an_update_when_inactive_users_are_kept(app: &TestApp) {
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    let mut ear = Ear::of(app);
    set_active(app, &ada, false);
    ear.heard_because("scim_active_false", &["user.updated ada inactive"]);
    let (_, event) = app.events(&app.directory).pop().expect("an event");
    assert_eq!(event["previous_attributes"]["state"], "active");
    assert_eq!(members(app, &team), [ada.as_str()], "memberships survive inactivity");
    set_active(app, &ada, true);
    ear.heard(&["user.updated ada active"]);
}

fn active_is_coming_and_going_when_inactive_users_are_deleted(app: &TestApp) {
    set(app, json!({"inactive_users": "delete"}));
    let ada = new_user(app, "ada");
    let one = new_group(app, "One", &[&ada]);
    let two = new_group(app, "Two", &[&ada]);
    new_group(app, "Outer", &[&two]);
    let mut ear = Ear::of(app);
    set_active(app, &ada, false);
    ear.heard_because(
        "scim_active_false",
        &["group.user_removed One ada", "group.user_removed Two ada", "user.deleted ada inactive"],
    );
    assert!(!scim_active(app, &ada), "SCIM shows the user as before");
    assert_eq!((members(app, &one), members(app, &two)), (vec![ada.clone()], vec![ada.clone()]));
    set_active(app, &ada, true);
    ear.heard(&["user.created ada active", "group.user_added One ada", "group.user_added Two ada"]);
}

fn nothing_about_a_hidden_user_is_told(app: &TestApp) {
    set(app, json!({"inactive_users": "delete"}));
    let (ada, boss) = (new_user(app, "ada"), new_user(app, "boss"));
    let old = new_group(app, "Old", &[&ada, &boss]);
    set_active(app, &ada, false);
    let mut ear = Ear::of(app);
    let path = format!("/Users/{ada}");
    change(&app.scim, &path, json!({"op": "add", "path": "title", "value": "Lead"}));
    let mut body = plain_user("ada2");
    body["active"] = false.into();
    app.scim.put(&path, body).expect(200);
    remove(app, &old, &ada);
    ear.heard(&[]);
    let new = new_group(app, "New", &[&ada, &boss]);
    ear.heard(&["group.created New", "group.user_added New boss"]);
    add(app, &old, &ada);
    app.scim.put(&format!("/Groups/{old}"), group("Old", &[&boss])).expect(200);
    app.scim.put(&format!("/Groups/{old}"), group("Old", &[&ada, &boss])).expect(200);
    ear.heard(&[]);
    set_active(app, &ada, true);
    ear.heard(&[
        "user.created ada2 active",
        "group.user_added Old ada2",
        "group.user_added New ada2",
    ]);
    set_active(app, &ada, false);
    ear.lines();
    delete(app, &ada);
    ear.heard(&[]);
    assert_eq!(members(app, &new), [boss]);
}

fn user_created_inactive_is_hidden_when_inactive_users_are_deleted(app: &TestApp) {
    set(app, json!({"inactive_users": "delete"}));
    let mut ear = Ear::of(app);
    let mut body = plain_user("ada");
    body["active"] = false.into();
    let ada = app.scim.post("/Users", body).expect(201).id();
    ear.heard(&[]);
    set_active(app, &ada, true);
    ear.heard(&["user.created ada active"]);
}

fn deleted_user_leaves_the_groups_first(app: &TestApp) {
    let ada = new_user(app, "ada");
    new_group(app, "One", &[&ada]);
    new_group(app, "Two", &[&ada]);
    let mut ear = Ear::of(app);
    delete(app, &ada);
    ear.heard_because(
        "scim_delete",
        &["group.user_removed One ada", "group.user_removed Two ada", "user.deleted ada active"],
    );
}

fn group_is_told_before_its_members(app: &TestApp) {
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let mut ear = Ear::of(app);
    new_group(app, "Team", &[&ben, &ada]);
    ear.heard(&["group.created Team", "group.user_added Team ada", "group.user_added Team ben"]);
}

fn group_change_is_told_before_who_left_and_who_joined(app: &TestApp) {
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    let team = new_group(app, "Team", &[&ada]);
    let mut ear = Ear::of(app);
    let path = format!("/Groups/{team}");
    app.scim.put(&path, group("Crew", &[&ben])).expect(200);
    ear.heard(&["group.updated Crew", "group.user_removed Crew ada", "group.user_added Crew ben"]);
    app.scim.put(&path, group("Crew", &[&ada])).expect(200);
    ear.heard(&["group.user_removed Crew ben", "group.user_added Crew ada"]);
}

fn deleted_group_is_one_event(app: &TestApp) {
    let ada = new_user(app, "ada");
    let team = new_group(app, "Team", &[&ada]);
    let mut ear = Ear::of(app);
    app.scim.delete(&format!("/Groups/{team}")).expect(204);
    ear.heard(&["group.deleted Team"]);
    assert!(scim_active(app, &ada));
}

fn groups_as_members_are_not_told(app: &TestApp) {
    let ada = new_user(app, "ada");
    let inner = new_group(app, "Inner", &[&ada]);
    let mut ear = Ear::of(app);
    let outer = new_group(app, "Outer", &[&inner]);
    ear.heard(&["group.created Outer"]);
    remove(app, &outer, &inner);
    ear.heard(&[]);
}

fn changed_policy_is_told_user_by_user(app: &TestApp) {
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    new_group(app, "Team", &[&ada, &ben]);
    set_active(app, &ada, false);
    let mut ear = Ear::of(app);
    set(app, json!({"inactive_users": "delete"}));
    ear.heard_because(
        "scim_active_false",
        &["group.user_removed Team ada", "user.deleted ada inactive"],
    );
    set(app, json!({}));
    ear.heard(&["user.created ada inactive", "group.user_added Team ada"]);
}

fn deleted_directory_is_one_event(app: &TestApp) {
    set(app, json!({"delete": "deactivate"}));
    let (ada, ben) = (new_user(app, "ada"), new_user(app, "ben"));
    new_group(app, "Team", &[&ada]);
    delete(app, &ben);
    let mut ear = Ear::of(app);
    let id = app.directory.id.clone();
    let service = app.service().clone();
    // The directory is marked without the server's own purge behind it.
    let key = app.wait(async move {
        let access = service.api_access("sk_test_0123456789abcdef0123456789abcdef", None).await;
        let access = access.expect("the key of the test");
        service.directory_delete(&access, &id).await.expect("deleted");
        let row = service.store.get("test", move |tx| tx.directory_get(&id)).await;
        let row: rollbook::store::directory::DirectoryRow = row
            .and_then(|row| row.ok_or(rollbook::store::StoreError::MissingReference))
            .expect("a row");
        row.key
    });
    app.scim.get("/Users").expect_scim_error(401, None);
    app.apply_policies();
    ear.heard_because("directory_deleted", &["deleted"]);
    let service = app.service().clone();
    let left = app.wait(async move {
        service.purge_deleted_directories().await.expect("purged");
        service.store.get("test", move |tx| tx.departed_count(key, i64::MAX)).await
    });
    let left: Result<i64, rollbook::store::StoreError> = left;
    assert_eq!(left.expect("a count"), 0, "departed users go with the directory");
}
