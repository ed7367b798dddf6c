//! Undo: what was taken away is there again, and the app has not heard of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    alarm_events, assert_app_knows_what_there_is, brake, delete, lines, path, rename, set_active,
    shown, team, tight, users,
};
use crate::http::{api_error, plain_user};
use crate::on_both_databases;
use crate::support::{ENTERPRISE, TestApp, group, user};
use rollbook::store::brake::Brake;

on_both_databases![
    app_hears_nothing_of_what_is_undone,
    deleted_users_come_back_with_everything,
    later_changes_stay_and_are_told_once,
    given_and_taken_meanwhile_stays_away,
    what_was_had_before_comes_back_however_often_it_went,
    name_has_one_owner_after_an_undo,
    departed_user_comes_back_unheard,
    dry_run_says_what_would_come_back_and_changes_nothing,
    name_that_is_taken_by_now_is_reported_and_told,
    undo_with_each_policy,
    suspended_users_come_back_suspended,
    manager_comes_back,
    undo_goes_on_where_a_process_stopped,
    directory_takes_no_writes_while_it_is_undone,
    tokens_made_meanwhile_are_told,
];

/// The users of the read API as (id, state).
fn read(app: &TestApp) -> Vec<(String, Value)> {
    let list = app.api.get(&format!("/directory_users?directory={}&limit=100", app.directory.id));
    let data = list.expect(200).body["data"].clone();
    let mut users: Vec<_> = data
        .as_array()
        .expect("a list")
        .iter()
        .map(|user| (user["id"].as_str().expect("text").to_owned(), user["state"].clone()))
        .collect();
    users.sort_by(|a, b| a.0.cmp(&b.0));
    users
}

fn app_hears_nothing_of_what_is_undone(app: &TestApp) {
    let ids = users(app, &["a", "b", "c", "d"]);
    let id = team(app, "Team", &ids.iter().collect::<Vec<_>>());
    brake(app, tight());
    set_active(app, &ids[0], false);
    let (before, read_before) = (lines(app, 0).len(), read(app));
    set_active(app, &ids[1], false);
    delete(app, &format!("/Users/{}", ids[2]));
    delete(app, &format!("/Groups/{id}"));
    let report = app.api.post(&path(app, "/undo"), json!({})).expect(200).body;
    assert_eq!(report["not_restored"], json!([]));
    assert_eq!(
        report["lost"],
        json!({
            "users_deleted": 1,
            "users_deactivated": 1,
            "groups_deleted": 1,
            "other_resources_deleted": 0,
            "memberships_ended": 4,
        })
    );
    assert_eq!(lines(app, before), Vec::<String>::new());
    assert_eq!(read(app), read_before);
    let found = shown(app);
    assert_eq!((&found["state"], &found["held"]["events"]), (&json!("open"), &json!(0)));
    assert_eq!(found["lost"]["memberships_ended"], 0);
    assert_eq!(alarm_events(app), ["rollbook.alarm.raised brake", "rollbook.alarm.resolved brake"]);
    assert_app_knows_what_there_is(app);
    // What the identity provider sends next is counted anew.
    set_active(app, &ids[3], false);
    assert_eq!(lines(app, before), ["user.updated d inactive"]);
}

fn deleted_users_come_back_with_everything(app: &TestApp) {
    let mut body = user("ada@example.com");
    body["externalId"] = json!("00u1");
    body["password"] = json!("t0p-s3cret");
    body["urn:example:unknown"] = json!({"shoe": 42});
    let ada = app.scim.post("/Users", body).expect(201);
    let ben = users(app, &["ben"]).remove(0);
    brake(app, tight());
    delete(app, &format!("/Users/{ben}"));
    let before = app.scim.get(&format!("/Users/{}", ada.id())).expect(200).body;
    delete(app, &format!("/Users/{}", ada.id()));
    app.scim.get(&format!("/Users/{}", ada.id())).expect(404);
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    let mut back = app.scim.get(&format!("/Users/{}", ada.id())).expect(200).body;
    assert_eq!(back["meta"]["created"], before["meta"]["created"]);
    assert_ne!(back["meta"]["version"], before["meta"]["version"], "a new version");
    back["meta"] = before["meta"].clone();
    assert_eq!(back, before);
    for filter in [
        "userName eq \"ADA@example.com\"",
        "externalId eq \"00u1\"",
        "emails.value eq \"ada@example.com\"",
    ] {
        assert_eq!(app.scim.filter("/Users", filter).total(), 1, "{filter}");
    }
    assert_eq!(app.scim.get("/Users").total(), 1);
    assert_app_knows_what_there_is(app);
    // Its name is taken, as it was.
    app.scim.post("/Users", user("ada@example.com")).expect_scim_error(409, Some("uniqueness"));
}

fn later_changes_stay_and_are_told_once(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    brake(app, tight());
    set_active(app, &ids[0], false);
    let before = lines(app, 0).len();
    set_active(app, &ids[1], false);
    rename(&app.scim, &ids[1], "Engineer");
    rename(&app.scim, &ids[1], "Manager");
    rename(&app.scim, &ids[2], "Writer");
    let new = users(app, &["d"]).remove(0);
    rename(&app.scim, &new, "Novice");
    team(app, "New", &[&new, &ids[1]]);
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    let mut told = lines(app, before);
    // Of one rank in no promised order.
    told[1..4].sort();
    told[4..].sort();
    assert_eq!(
        told,
        [
            "group.created New",
            "user.created d active",
            "user.updated b active",
            "user.updated c active",
            "group.user_added New b",
            "group.user_added New d",
        ]
    );
    let events = app.events(&app.directory);
    let (_, changed) = events
        .iter()
        .rfind(|(name, data)| name == "dsync.user.updated" && data["id"] == json!(ids[1]))
        .expect("one");
    assert_eq!(changed["job_title"], "Manager");
    assert_eq!(
        changed["previous_attributes"],
        json!({"job_title": null, "raw_attributes": {"title": null}})
    );
    assert_app_knows_what_there_is(app);
}

fn inactive(app: &TestApp, name: &str) -> String {
    let mut body = plain_user(name);
    body["active"] = json!(false);
    app.scim.post("/Users", body).expect(201).id()
}

fn given_and_taken_meanwhile_stays_away(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    let (off, gone) = (inactive(app, "off"), inactive(app, "gone"));
    let (admins, inner) = (team(app, "Admins", &[]), team(app, "Inner", &[&ids[2]]));
    brake(app, tight());
    ids[..2].iter().for_each(|id| set_active(app, id, false));
    let (before, held) = (lines(app, 0).len() - 1, read(app));
    let elevate = |member: &str| {
        app.scim.put(&format!("/Groups/{admins}"), group("Admins", &[member])).expect(200);
        app.scim.put(&format!("/Groups/{admins}"), group("Admins", &[])).expect(200);
    };
    elevate(&ids[2]);
    elevate(&inner);
    set_active(app, &off, true);
    set_active(app, &off, false);
    set_active(app, &gone, true);
    delete(app, &format!("/Users/{gone}"));
    let new = users(app, &["new"]).remove(0);
    set_active(app, &new, false);
    delete(app, &format!("/Users/{new}"));
    let crew = team(app, "Crew", &[&ids[2]]);
    delete(app, &format!("/Groups/{crew}"));
    let report = app.api.post(&path(app, "/undo"), json!({})).expect(200).body;
    assert_eq!(
        (&report["not_restored"], &report["lost"]["users_deleted"]),
        (&json!([]), &json!(1))
    );
    assert_eq!(report["lost"]["memberships_ended"], 0);
    assert_eq!(lines(app, before), ["user.updated a inactive"]);
    let mut expected = held;
    expected.iter_mut().filter(|(id, _)| *id == ids[1]).for_each(|user| user.1 = json!("active"));
    assert_eq!(read(app), expected);
    let found = app.scim.get(&format!("/Groups/{admins}")).expect(200).body;
    assert_eq!(found.get("members").and_then(Value::as_array).map_or(0, Vec::len), 0);
    assert_app_knows_what_there_is(app);
}

fn what_was_had_before_comes_back_however_often_it_went(app: &TestApp) {
    let ids = users(app, &["a", "b"]);
    let id = team(app, "Team", &[&ids[1]]);
    brake(app, tight());
    set_active(app, &ids[0], false);
    let before = lines(app, 0).len();
    for active in [false, true, false] {
        set_active(app, &ids[1], active);
    }
    for members in [&[][..], &[ids[1].as_str()], &[]] {
        app.scim.put(&format!("/Groups/{id}"), group("Team", members)).expect(200);
    }
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    assert_eq!(lines(app, before), Vec::<String>::new());
    assert_eq!(app.scim.get(&format!("/Users/{}", ids[1])).expect(200).body["active"], true);
    assert_app_knows_what_there_is(app);
}

fn name_has_one_owner_after_an_undo(app: &TestApp) {
    app.settings(&app.directory, json!({"delete": "deactivate", "brake": tight()}));
    let ids = users(app, &["a", "b", "bob"]);
    ids[..2].iter().for_each(|id| set_active(app, id, false));
    delete(app, &format!("/Users/{}", ids[2]));
    let second = users(app, &["bob"]).remove(0);
    delete(app, &format!("/Users/{second}"));
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    assert_app_knows_what_there_is(app);
    assert!(read(app).iter().all(|(id, _)| *id != second));
    brake(app, json!({"mode": "off"}));
    delete(app, &format!("/Users/{}", ids[2]));
    assert_app_knows_what_there_is(app);
}

fn departed_user_comes_back_unheard(app: &TestApp) {
    app.settings(&app.directory, json!({"delete": "deactivate", "brake": tight()}));
    let (ids, off) = (users(app, &["a", "b"]), inactive(app, "off"));
    set_active(app, &ids[0], false);
    let before = lines(app, 0).len();
    set_active(app, &ids[1], false);
    delete(app, &format!("/Users/{off}"));
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    assert_eq!(lines(app, before), Vec::<String>::new());
    app.scim.get(&format!("/Users/{off}")).expect(200);
    assert_app_knows_what_there_is(app);
}

fn dry_run_says_what_would_come_back_and_changes_nothing(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    brake(app, tight());
    ids.iter().for_each(|id| delete(app, &format!("/Users/{id}")));
    app.scim.post("/Users", plain_user("C")).expect(201);
    let before = shown(app);
    // Who looks waits for no writer.
    let client = app.api.with_deadline(Duration::from_secs(4));
    let report = app.database.without_writers(|| {
        client.post(&path(app, "/undo"), json!({"dry_run": true})).expect(200).body
    });
    assert_eq!((&report["dry_run"], &report["events_held"]), (&json!(true), &json!(3)));
    assert_eq!(report["lost"]["users_deleted"], 2);
    let would = |id: &String, name: &str| json!({"id": id, "resource_type": "User", "name": name, "was": "deleted"});
    let expected = json!([would(&ids[1], "b"), would(&ids[2], "c")]);
    assert_eq!(report["restores"]["resources"], expected);
    let left = &report["not_restored"][0];
    assert_eq!((&left["id"], &left["name"]), (&json!(ids[2]), &json!("c")));
    assert_eq!(shown(app), before);
    let wrong = app.api.post(&path(app, "/undo"), json!({"dryrun": true}));
    api_error(&wrong, 422, "invalid_request_parameters");
}

fn name_that_is_taken_by_now_is_reported_and_told(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    let id = team(app, "Team", &ids.iter().collect::<Vec<_>>());
    brake(app, tight());
    delete(app, &format!("/Users/{}", ids[0]));
    let before = lines(app, 0).len();
    set_active(app, &ids[1], false);
    delete(app, &format!("/Users/{}", ids[1]));
    delete(app, &format!("/Users/{}", ids[2]));
    let new = users(app, &["B"]).remove(0);
    let report = app.api.post(&path(app, "/undo"), json!({})).expect(200).body;
    let left = report["not_restored"].as_array().expect("a list");
    assert_eq!(left.len(), 1);
    assert_eq!((&left[0]["id"], &left[0]["resource_type"]), (&json!(ids[1]), &json!("User")));
    assert!(left[0]["message"].as_str().expect("text").contains("userName"), "{report}");
    assert_eq!(
        lines(app, before),
        ["group.user_removed Team b", "user.deleted b inactive", "user.created B active"]
    );
    let members = app.scim.get(&format!("/Groups/{id}")).expect(200);
    assert_eq!(members.body["members"].as_array().map(Vec::len), Some(1));
    app.scim.get(&format!("/Users/{new}")).expect(200);
    assert_app_knows_what_there_is(app);
}

fn undo_with_each_policy(app: &TestApp) {
    for (number, policy) in [
        json!({"inactive_users": "delete"}),
        json!({"delete": "deactivate"}),
        json!({"grace_period": "30d"}),
        json!({"strip_groups_when_inactive": true}),
        json!({"suspend_when_groupless": "1d"}),
    ]
    .into_iter()
    .enumerate()
    {
        let mut settings = policy.clone();
        settings["brake"] = tight();
        app.settings(&app.directory, settings);
        let names: Vec<String> = (0..4).map(|n| format!("u{n}-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let ids = users(app, &names);
        let id = team(app, &format!("Team {number}"), &ids.iter().collect::<Vec<_>>());
        delete(app, &format!("/Users/{}", ids[0]));
        let (before, read_before) = (lines(app, 0).len(), read(app));
        set_active(app, &ids[1], false);
        delete(app, &format!("/Users/{}", ids[2]));
        set_active(app, &ids[3], false);
        delete(app, &format!("/Users/{}", ids[3]));
        assert_eq!(shown(app)["state"], "holding", "{policy}");
        app.api.post(&path(app, "/undo"), json!({})).expect(200);
        assert_eq!(lines(app, before), Vec::<String>::new(), "{policy}");
        assert_eq!(read(app), read_before, "{policy}");
        let back = app.scim.get(&format!("/Groups/{id}")).expect(200);
        assert_eq!(back.body["members"].as_array().map(Vec::len), Some(3), "{policy}");
        assert_app_knows_what_there_is(app);
    }
}

fn suspended_users_come_back_suspended(app: &TestApp) {
    let policy = json!({"suspend_when_groupless": "1d", "brake": "off"});
    app.settings(&app.directory, policy);
    let ids = users(app, &["a", "b"]);
    let id = team(app, "Team", &[&ids[0]]);
    app.scim.put(&format!("/Groups/{id}"), group("Team", &[])).expect(200);
    app.clock.advance(super::HOUR * 25);
    app.apply_policies();
    let before = read(app);
    assert_eq!(before.iter().filter(|(_, state)| state == "inactive").count(), 1);
    brake(app, tight());
    delete(app, &format!("/Users/{}", ids[1]));
    let told = lines(app, 0).len();
    delete(app, &format!("/Users/{}", ids[0]));
    assert_eq!(shown(app)["state"], "holding");
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    assert_eq!(lines(app, told), Vec::<String>::new());
    assert_eq!(read(app), [before[0].clone()]);
    assert_app_knows_what_there_is(app);
    // A group ends it, as ever.
    app.scim.put(&format!("/Groups/{id}"), group("Team", &[&ids[0]])).expect(200);
    assert_eq!(read(app), [(ids[0].clone(), json!("active"))]);
}

fn manager_comes_back(app: &TestApp) {
    let ids = users(app, &["boss", "other"]);
    let mut report = plain_user("report");
    report["schemas"] = json!([report["schemas"][0], ENTERPRISE]);
    report[ENTERPRISE] = json!({"department": "Sales", "manager": {"value": ids[0]}});
    let report = app.scim.post("/Users", report).expect(201).id();
    brake(app, tight());
    delete(app, &format!("/Users/{}", ids[1]));
    let before = lines(app, 0).len();
    delete(app, &format!("/Users/{}", ids[0]));
    let alone = app.scim.get(&format!("/Users/{report}")).expect(200);
    assert_eq!(alone.body[ENTERPRISE]["manager"], json!(null));
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    let back = app.scim.get(&format!("/Users/{report}")).expect(200);
    assert_eq!(back.body[ENTERPRISE]["manager"]["value"], json!(ids[0]));
    assert_eq!(lines(app, before), Vec::<String>::new());
}

/// As a process leaves it that is killed when the undo has begun.
fn leave_undone(app: &TestApp) {
    leave(app, Brake::Undoing);
}

/// As a process leaves it that is killed behind a decision.
pub(super) fn leave(app: &TestApp, decided: Brake) {
    let id = app.directory.id.clone();
    let service = std::sync::Arc::clone(app.service());
    let left: Result<(), rollbook::store::StoreError> = app.wait(async move {
        service
            .store
            .write("left", move |tx| {
                let row = tx.directory_get(&id)?.expect("the directory");
                tx.directory_lock_exclusive(row.key)?;
                match decided {
                    Brake::Releasing => tx.brake_release(row.key, Some(0)),
                    decided => tx.brake_set(row.key, Some(decided), Some(0)),
                }
            })
            .await
    });
    left.expect("it has begun");
}

fn undo_goes_on_where_a_process_stopped(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    brake(app, tight());
    set_active(app, &ids[0], false);
    let before = lines(app, 0).len();
    set_active(app, &ids[1], false);
    delete(app, &format!("/Users/{}", ids[2]));
    leave_undone(app);
    api_error(&app.api.post(&path(app, "/release"), json!({})), 409, "undo_under_way");
    let service = std::sync::Arc::clone(app.service());
    app.wait(async move { service.finish_brakes().await }).expect("the rest is done");
    assert_eq!(shown(app)["state"], "open");
    assert_eq!(lines(app, before), Vec::<String>::new());
    assert_app_knows_what_there_is(app);
}

fn directory_takes_no_writes_while_it_is_undone(app: &TestApp) {
    let ids = users(app, &["a", "b"]);
    brake(app, tight());
    ids.iter().for_each(|id| set_active(app, id, false));
    leave_undone(app);
    let refused = app.scim.post("/Users", plain_user("c"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    refused.expect_scim_error(503, None);
    app.scim.get("/Users").expect(200);
    // Whoever asks for the undo again has it finished.
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    app.scim.post("/Users", plain_user("c")).expect(201);
}

fn tokens_made_meanwhile_are_told(app: &TestApp) {
    let ids = users(app, &["a", "b"]);
    brake(app, tight());
    ids.iter().for_each(|id| set_active(app, id, false));
    let tokens = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let token = app.api.post(&tokens, json!({})).expect(201).id();
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    let events = app.events(&app.directory);
    assert!(
        events
            .iter()
            .any(|(name, data)| { name == "dsync.token.created" && data["id"] == json!(token) })
    );
}
