//! `filter` of a directory that is pushed: whom it does not let in is stored and answered as sent, and is not
//! active for the app.

use serde_json::{Value, json};

use super::{Ear, change, members, new_group, new_user, scim_active, set, set_active};
use crate::http::assert_invalid;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    user_whom_the_filter_excludes_is_stored_and_not_active_for_the_app,
    excluded_user_is_hidden_where_inactive_users_are,
    changed_filter_works_through_the_users_that_are_there,
    filter_that_fails_decides_about_nobody_who_is_there,
    filter_is_checked_before_it_is_stored,
    excluded_users_count_for_the_brake,
];

const FILTER: &str = "!has(payload.title) || payload.title != 'Contractor'";

fn filter() -> Value {
    json!({"filter": FILTER})
}

fn set_title(app: &TestApp, user: &str, title: &str) {
    let operation = json!({"op": "replace", "path": "title", "value": title});
    change(&app.scim, &format!("/Users/{user}"), operation);
}

#[track_caller]
fn titled(app: &TestApp, name: &str, title: &str) -> String {
    let mut user = crate::http::plain_user(name);
    user["title"] = title.into();
    app.scim.post("/Users", user).expect(201).id()
}

fn preview(app: &TestApp, settings: Value) -> Value {
    let path = format!("/api/v1/directories/{}/settings/preview", app.directory.id);
    app.api.post(&path, json!({"settings": settings})).expect(200).body
}

/// Names and states as the management API has them.
fn states(app: &TestApp) -> Vec<String> {
    let path = format!("/api/v1/directories/{}/users", app.directory.id);
    let listed = app.api.get(&path).expect(200).body;
    let mut states: Vec<String> = listed["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|user| {
            let text = |name: &str| user[name].as_str().expect("a text");
            format!("{} {}", text("user_name"), text("state"))
        })
        .collect();
    states.sort_unstable();
    states
}

fn user_whom_the_filter_excludes_is_stored_and_not_active_for_the_app(app: &TestApp) {
    set(app, filter());
    let mut ear = Ear::of(app);
    let ada = titled(app, "ada", "Contractor");
    let ben = new_user(app, "ben");
    let team = new_group(app, "Team", &[&ada, &ben]);
    ear.heard(&[
        "user.created ada inactive",
        "user.created ben active",
        "group.created Team",
        "group.user_added Team ada",
        "group.user_added Team ben",
    ]);
    set_title(app, &ben, "Contractor");
    ear.heard_because("filter_excluded", &["user.updated ben inactive"]);
    assert_eq!(states(app), ["ada excluded", "ben excluded"]);
    // What SCIM says stays what it was told.
    assert!(scim_active(app, &ada) && scim_active(app, &ben));
    assert_eq!(members(app, &team).len(), 2);
    let found = app.scim.get("/Users?filter=active%20eq%20true").expect(200).body;
    assert_eq!(found["totalResults"], 2);
    // Other changes leave that as it is.
    let name = json!({"op": "replace", "path": "displayName", "value": "Ben"});
    change(&app.scim, &format!("/Users/{ben}"), name);
    ear.heard(&["user.updated ben inactive"]);
    set_title(app, &ben, "Engineer");
    ear.heard(&["user.updated ben active"]);
    // Who is inactive as well is active only when both are over.
    set_active(app, &ada, false);
    set_title(app, &ada, "Engineer");
    assert_eq!(ear.lines().last().map(String::as_str), Some("user.updated ada inactive"));
    assert_eq!(states(app), ["ada inactive", "ben active"]);
    set_active(app, &ada, true);
    ear.heard(&["user.updated ada active"]);
}

fn excluded_user_is_hidden_where_inactive_users_are(app: &TestApp) {
    set(app, json!({"filter": FILTER, "inactive_users": "delete"}));
    let mut ear = Ear::of(app);
    let ada = new_user(app, "ada");
    new_group(app, "Team", &[&ada]);
    titled(app, "cy", "Contractor");
    ear.lines();
    set_title(app, &ada, "Contractor");
    ear.heard_because(
        "filter_excluded",
        &["group.user_removed Team ada", "user.deleted ada inactive"],
    );
    let path = format!("/directory_users?directory={}", app.directory.id);
    assert_eq!(app.api.get(&path).expect(200).body["data"], json!([]));
    set_title(app, &ada, "Engineer");
    ear.heard(&["user.created ada active", "group.user_added Team ada"]);
}

fn changed_filter_works_through_the_users_that_are_there(app: &TestApp) {
    // More than one unit brings to it.
    for n in 0..130 {
        titled(app, &format!("user{n}"), if n % 2 == 0 { "Contractor" } else { "Engineer" });
    }
    let mut ear = Ear::of(app);
    let shown = preview(app, filter());
    assert_eq!((&shown["users"], &shown["events"]["dsync.user.updated"]), (&json!(65), &json!(65)));
    let example = &shown["examples"][0];
    assert_eq!(
        (&example["from"], &example["to"], &example["reason"]),
        (&json!("active"), &json!("inactive"), &json!("filter_excluded")),
        "{shown}"
    );
    assert!(shown.get("filter_faults").is_none(), "{shown}");
    ear.heard(&[]);
    set(app, filter());
    let told = ear.rows();
    assert_eq!(told.len(), 65);
    assert!(told.iter().all(|(line, reason)| {
        line.ends_with(" inactive") && reason.as_deref() == Some("filter_excluded")
    }));
    assert_eq!(preview(app, filter())["users"], 0, "all is done");
    // Another setting beside it tells nobody anything.
    set(app, json!({"filter": FILTER, "grace_period": "1d"}));
    ear.heard(&[]);
    // Without it everybody is back.
    assert_eq!(preview(app, json!({}))["users"], 65);
    set(app, json!({}));
    let told = ear.lines();
    assert_eq!(told.len(), 65);
    assert!(told.iter().all(|line| line.ends_with(" active")), "{told:?}");
    assert!(states(app).iter().all(|line| line.ends_with(" active")));
}

fn filter_that_fails_decides_about_nobody_who_is_there(app: &TestApp) {
    let ada = new_user(app, "ada");
    titled(app, "ben", "Contractor");
    set(app, filter());
    let mut ear = Ear::of(app);
    // It fails for who has no title.
    let strict = json!({"filter": "payload.title == 'Engineer'"});
    let faults = &preview(app, strict.clone())["filter_faults"];
    assert_eq!(faults["users"], 1);
    assert!(faults["message"].as_str().is_some_and(|text| text.contains("has()")), "{faults}");
    set(app, strict);
    ear.heard(&[]);
    assert_eq!(states(app), ["ada active", "ben excluded"]);
    let name = json!({"op": "replace", "path": "displayName", "value": "Ada"});
    change(&app.scim, &format!("/Users/{ada}"), name);
    ear.heard(&["user.updated ada active"]);
    // Who is new is not let in by an error.
    new_user(app, "cy");
    ear.heard(&["user.created cy inactive"]);
    set_title(app, &ada, "Engineer");
    assert_eq!(states(app), ["ada active", "ben excluded", "cy excluded"]);
}

fn filter_is_checked_before_it_is_stored(app: &TestApp) {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    for wrong in ["payload.", "", "raw.title == 'x'"] {
        let answer = app.api.patch(&path, json!({"settings": {"filter": wrong}}));
        assert_invalid(&answer, "settings.filter");
        let body = json!({"settings": {"filter": wrong}});
        assert_invalid(&app.api.post(&format!("{path}/settings/preview"), body), "settings.filter");
    }
    // Groups are not looked at: who is in them says the identity provider.
    set(
        app,
        json!({"filter": "envelope.kind == 'account' && action == 'upsert' && resource == ''"}),
    );
    let ada = new_user(app, "ada");
    new_group(app, "Team", &[&ada]);
    assert_eq!(states(app), ["ada active"]);
}

fn excluded_users_count_for_the_brake(app: &TestApp) {
    let users: Vec<String> = (0..8).map(|n| new_user(app, &format!("user{n}"))).collect();
    set(app, json!({"filter": FILTER, "brake": {"mode": "hold"}}));
    let mut ear = Ear::of(app);
    users.iter().take(5).for_each(|user| set_title(app, user, "Contractor"));
    let told = ear.lines();
    let told: Vec<&String> = told.iter().filter(|line| line.starts_with("user.")).collect();
    assert_eq!(told.len(), 2, "the third one waits: {told:?}");
    assert!(users.iter().all(|user| scim_active(app, user)));
}
