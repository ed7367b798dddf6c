//! The settings themselves: what is refused, and what a change would do.

use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, RunQueryDsl};
use serde_json::{Value, json};

use super::{Ear, delete, new_group, new_user, set, set_active};
use crate::http::{api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::{Database, TestApp};

on_both_databases![
    wrong_settings_are_refused_by_name,
    settings_are_shown_as_they_were_put,
    preview_says_what_would_happen_and_stores_nothing,
    preview_shows_at_most_a_hundred,
    preview_is_checked_like_settings,
    changed_name_or_state_changes_no_policy,
    policies_hold_in_a_directory_made_with_them,
    metrics_count_what_policies_did,
];

fn path(app: &TestApp) -> String {
    format!("/api/v1/directories/{}", app.directory.id)
}

fn preview(app: &TestApp, settings: Value) -> Value {
    let path = format!("{}/settings/preview", path(app));
    app.api.post(&path, json!({"settings": settings})).expect(200).body
}

fn wrong_settings_are_refused_by_name(app: &TestApp) {
    let before = app.api.get(&path(app)).body;
    for (name, value, allowed) in [
        ("inactive_users", json!("remove"), "\"keep\" or \"delete\""),
        ("inactive_users", json!(null), "\"keep\" or \"delete\""),
        ("inactive_users", json!({"keep": null}), "\"keep\" or \"delete\""),
        ("delete", json!("delete"), "\"remove\" or \"deactivate\""),
        ("delete", json!(true), "\"remove\" or \"deactivate\""),
        ("grace_period", json!("P30D"), "\"30d\""),
        ("grace_period", json!(30), "\"30d\""),
        ("grace_period", json!("0d"), "\"30d\""),
        ("grace_period", json!("99999d"), "\"3650d\""),
        ("strip_groups_when_inactive", json!("yes"), "a boolean"),
        ("revive_on_create", json!("always"), "\"never\" or \"same_external_id\""),
        ("suspend_when_groupless", json!("soon"), "\"30d\""),
        ("suspend_when_groupless", json!(false), "\"30d\""),
    ] {
        let field = format!("settings.{name}");
        let answer = app.api.patch(&path(app), json!({"settings": {(name): value}}));
        assert_invalid(&answer, &field);
        let message = answer.body["message"].as_str().expect("a sentence");
        assert!(message.contains(&field) && message.contains(allowed), "{message}");
    }
    let answer = app.api.patch(&path(app), json!({"settings": {"inactive_user": "keep"}}));
    let message = api_error(&answer, 422, "invalid_request_parameters");
    assert!(message.contains("inactive_user") && message.contains("`inactive_users`"), "{message}");
    assert_eq!(app.api.get(&path(app)).body, before);
}

fn settings_are_shown_as_they_were_put(app: &TestApp) {
    let settings = json!({
        "inactive_users": "delete", "delete": "deactivate", "grace_period": "12h",
        "strip_groups_when_inactive": true, "revive_on_create": "same_external_id",
        "suspend_when_groupless": "30m",
    });
    set(app, settings.clone());
    assert_eq!(app.api.get(&path(app)).expect(200).body["settings"], settings);
    set(app, json!({"grace_period": null, "suspend_when_groupless": null}));
    let shown = app.api.get(&path(app)).expect(200).body;
    assert_eq!(shown["settings"], json!({"grace_period": null, "suspend_when_groupless": null}));
}

fn preview_says_what_would_happen_and_stores_nothing(app: &TestApp) {
    set(app, json!({"delete": "deactivate"}));
    let (ada, ben, cy) = (new_user(app, "Ada"), new_user(app, "ben"), new_user(app, "cy"));
    new_group(app, "One", &[&ada, &ben]);
    new_group(app, "Two", &[&ada]);
    set_active(app, &ada, false);
    delete(app, &cy);
    let mut ear = Ear::of(app);
    let none = json!({"dsync.user.created": 0, "dsync.user.updated": 0, "dsync.user.deleted": 0,
        "dsync.group.created": 0, "dsync.group.deleted": 0, "dsync.group.user_added": 0,
        "dsync.group.user_removed": 0});
    let same = preview(app, json!({"delete": "deactivate"}));
    assert_eq!(same, json!({"users": 0, "groups": 0, "events": none, "examples": []}));
    let hidden = json!({"inactive_users": "delete"});
    let mut events = none.clone();
    events["dsync.user.deleted"] = 2.into();
    events["dsync.group.user_removed"] = 2.into();
    let expected = json!({"users": 2, "groups": 0, "events": events, "examples": [
        {"user_id": cy, "username": "cy", "from": "inactive", "to": "deleted",
         "memberships": 0, "reason": "scim_delete"},
        {"user_id": ada, "username": "Ada", "from": "inactive", "to": "deleted",
         "memberships": 2, "reason": "scim_active_false"},
    ]});
    assert_eq!(preview(app, hidden.clone()), expected);
    ear.heard(&[]);
    // The change does what the preview said.
    set(app, hidden);
    ear.heard(&[
        "user.deleted cy inactive",
        "group.user_removed One Ada",
        "group.user_removed Two Ada",
        "user.deleted Ada inactive",
    ]);
    let mut events = none;
    events["dsync.user.created"] = 1.into();
    events["dsync.group.user_added"] = 2.into();
    let expected = json!({"users": 1, "groups": 0, "events": events, "examples": [
        {"user_id": ada, "username": "Ada", "from": "deleted", "to": "inactive",
         "memberships": 2, "reason": null},
    ]});
    assert_eq!(preview(app, json!({})), expected);
}

fn preview_shows_at_most_a_hundred(app: &TestApp) {
    set(app, json!({"delete": "deactivate"}));
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let scim = app.scim.clone();
            scope.spawn(move || {
                for n in 0..30 {
                    let mut body = crate::http::plain_user(&format!("u{worker}-{n}"));
                    body["active"] = (n < 10).into();
                    let id = scim.post("/Users", body).expect(201).id();
                    if n < 10 {
                        scim.delete(&format!("/Users/{id}")).expect(204);
                    }
                }
            });
        }
    });
    let answer = preview(app, json!({"inactive_users": "delete"}));
    assert_eq!(answer["users"], 120);
    assert_eq!(answer["events"]["dsync.user.deleted"], 120);
    assert_eq!(answer["examples"].as_array().map(Vec::len), Some(100));
}

fn preview_is_checked_like_settings(app: &TestApp) {
    let path = format!("{}/settings/preview", path(app));
    let wrong = app.api.post(&path, json!({"settings": {"delete": "never"}}));
    assert_invalid(&wrong, "settings.delete");
    assert_invalid(&app.api.post(&path, json!({"settings": []})), "settings");
    let answer = app.api.post(&path, json!({}));
    assert!(api_error(&answer, 422, "invalid_request_parameters").contains("settings"));
    let other = "/api/v1/directories/directory_01ARZ3NDEKTSV4RRFFQ69G5FAV/settings/preview";
    api_error(&app.api.post(other, json!({"settings": {}})), 404, "entity_not_found");
    let answer = app.api.get(&path);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}

fn changed_name_or_state_changes_no_policy(app: &TestApp) {
    set(app, json!({"inactive_users": "delete"}));
    let ada = new_user(app, "ada");
    set_active(app, &ada, false);
    let mut ear = Ear::of(app);
    app.api.patch(&path(app), json!({"name": "Renamed", "state": "paused"})).expect(200);
    app.api.patch(&path(app), json!({"state": "linked"})).expect(200);
    app.apply_policies();
    ear.heard(&[]);
    set_active(app, &ada, true);
    ear.heard(&["user.created ada active"]);
}

fn metrics_count_what_policies_did(app: &TestApp) {
    set(app, json!({"grace_period": "1d", "suspend_when_groupless": "1d"}));
    let (ada, ben, cy) = (new_user(app, "ada"), new_user(app, "ben"), new_user(app, "cy"));
    let team = new_group(app, "Team", &[&ben]);
    app.scim.delete(&format!("/Groups/{team}")).expect(204);
    delete(app, &ada);
    app.clock.advance(super::DAY);
    app.apply_policies();
    set_active(app, &cy, false);
    set(app, json!({"inactive_users": "delete"}));
    let metrics = crate::support::Client::new(&app.url, "", "text/plain").get("/metrics").text;
    for line in [
        "rollbook_policy_departed_ended_total 1",
        "rollbook_policy_users_suspended_total 1",
        // One is hidden, and the suspension of the other is lifted with its policy.
        "rollbook_policy_users_settled_total 2",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
}

fn policies_hold_in_a_directory_made_with_them(app: &TestApp) {
    let body = json!({"organization_id": app.directory.organization_id, "name": "D",
        "kind": "scim.generic", "settings": {"inactive_users": "delete"}});
    let made = app.api.post("/api/v1/directories", body).expect(201);
    assert_eq!(made.body["settings"], json!({"inactive_users": "delete"}));
    let wrong = json!({"organization_id": app.directory.organization_id, "name": "D",
        "kind": "scim.generic", "settings": {"inactive_users": "hide"}});
    assert_invalid(&app.api.post("/api/v1/directories", wrong), "settings.inactive_users");
}

/// A newer version of the program, on the same database, may store settings that this one does not know.
/// A create of one statement goes by the policies beside them, like every other unit.
mod policies_hold_beside_settings_of_a_newer_version {
    use super::*;

    #[test]
    fn postgres() {
        let app = TestApp::start(Database::postgres());
        let mut conn = PgConnection::establish(&app.database.url()).expect("a session");
        let stored = "{\"inactive_users\":\"delete\",\"unknown\":1}";
        diesel::sql_query("UPDATE directory SET settings = $1 WHERE id = $2")
            .bind::<Text, _>(stored)
            .bind::<Text, _>(&app.directory.id)
            .execute(&mut conn)
            .expect("the settings");
        let mut ear = Ear::of(&app);
        let body = json!({
            "schemas": crate::http::plain_user("")["schemas"], "userName": "ben", "active": false,
        });
        app.scim.post("/Users", body).expect(201);
        ear.heard(&[]);
        new_user(&app, "ada");
        ear.heard(&["user.created ada active"]);
    }
}
