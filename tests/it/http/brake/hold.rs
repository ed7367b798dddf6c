//! `hold`: what is taken away beyond the limits waits, and everything behind it.

use serde_json::json;

use super::undo::leave;
use super::{
    HOUR, alarm_events, alarms, assert_app_knows_what_there_is, brake, delete, lines, path, rename,
    set_active, shown, team, tight, users,
};
use crate::http::{api_error, plain_user};
use crate::on_both_databases;
use crate::support::TestApp;
use rollbook::store::brake::Brake;

on_both_databases![
    what_is_beyond_the_limits_waits_in_its_order,
    scim_is_answered_and_stored_as_always,
    defaults_hold_the_fourth_of_thirty_users,
    other_directories_go_on,
    alarm_goes_ahead_of_what_waits,
    released_events_come_in_their_order_and_are_new,
    released_directory_counts_anew,
    what_comes_behind_a_release_is_counted,
    little_behind_a_release_is_told_with_it,
    what_is_an_hour_old_counts_no_longer,
    snapshot_and_digest_of_a_held_directory_are_409,
    tokens_wait_as_well,
    changed_mode_lets_nothing_go,
    directory_that_holds_is_not_deleted,
    bulk_request_is_held_from_the_operation_that_is_too_much,
    released_events_are_not_pruned_by_the_age_of_the_change,
];

fn what_is_beyond_the_limits_waits_in_its_order(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    brake(app, tight());
    set_active(app, &ids[0], false);
    assert_eq!(lines(app, 3), ["user.updated a inactive"]);
    set_active(app, &ids[1], false);
    delete(app, &format!("/Users/{}", ids[2]));
    // Also what takes nothing away.
    users(app, &["d"]);
    rename(&app.scim, &ids[0], "Engineer");
    assert_eq!(lines(app, 3), ["user.updated a inactive"]);
    let found = shown(app);
    assert_eq!(found["state"], "holding");
    assert_eq!(found["held"]["events"], 4);
    assert_eq!(found["since"], crate::http::NOW);
    app.api.post(&path(app, "/release"), json!({})).expect(200);
    assert_eq!(
        lines(app, 4),
        [
            "user.updated b inactive",
            "user.deleted c active",
            "user.created d active",
            "user.updated a inactive"
        ]
    );
    assert_app_knows_what_there_is(app);
}

fn scim_is_answered_and_stored_as_always(app: &TestApp) {
    let ids = users(app, &["a", "b"]);
    brake(app, tight());
    for id in &ids {
        set_active(app, id, false);
        let stored = app.scim.get(&format!("/Users/{id}")).expect(200);
        assert_eq!(stored.body["active"], false);
        // The read API shows what is stored, too.
        let read = app.api.get(&format!("/directory_users/{id}")).expect(200);
        assert_eq!(read.body["state"], "inactive");
    }
    assert_eq!(lines(app, 2).len(), 1);
}

fn defaults_hold_the_fourth_of_thirty_users(app: &TestApp) {
    let names: Vec<String> = (0..30).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ids = users(app, &names);
    brake(app, json!({"mode": "hold"}));
    for id in &ids[..3] {
        set_active(app, id, false);
    }
    // Three are a tenth, not more.
    assert_eq!(shown(app)["state"], "open");
    set_active(app, &ids[3], false);
    let found = shown(app);
    assert_eq!((&found["state"], &found["held"]["events"]), (&json!("holding"), &json!(1)));
    assert_eq!(lines(app, 30).len(), 3);
}

fn other_directories_go_on(app: &TestApp) {
    let (other, scim) = app.directory("scim.okta");
    let ids = users(app, &["a", "b"]);
    brake(app, tight());
    ids.iter().for_each(|id| set_active(app, id, false));
    let ada = scim.post("/Users", plain_user("ada")).expect(201).id();
    scim.delete(&format!("/Users/{ada}")).expect(204);
    assert_eq!(app.event_names(&other), ["dsync.user.created", "dsync.user.deleted"]);
    app.settle_events();
    let all = app.api.get("/events?limit=100").expect(200);
    let deleted = all.body["data"].as_array().expect("a list").iter();
    assert_eq!(deleted.filter(|event| event["event"] == "dsync.user.deleted").count(), 1);
}

fn alarm_goes_ahead_of_what_waits(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    brake(app, tight());
    ids.iter().for_each(|id| delete(app, &format!("/Users/{id}")));
    assert_eq!(alarm_events(app), ["rollbook.alarm.raised brake"]);
    let standing = alarms(app, &format!("directory_id={}", app.directory.id));
    assert_eq!(standing.len(), 1);
    assert_eq!(standing[0]["kind"], "brake");
    assert_eq!(standing[0]["detail"]["users"], 2);
    assert_eq!(standing[0]["detail"]["mode"], "hold");
    assert!(standing[0]["message"].as_str().expect("text").contains("2 users"));
    // It stands until somebody decides, however long that takes.
    app.clock.advance(HOUR * 48);
    super::watch(app);
    assert_eq!(alarms(app, "kind=brake").len(), 1);
    app.api.post(&path(app, "/release"), json!({})).expect(200);
    let told = alarm_events(app).into_iter().filter(|line| line.ends_with(" brake"));
    assert_eq!(
        told.collect::<Vec<_>>(),
        ["rollbook.alarm.raised brake", "rollbook.alarm.resolved brake"]
    );
    assert!(alarms(app, "kind=brake").is_empty());
    assert_eq!(alarms(app, "kind=brake&state=resolved").len(), 1);
}

fn released_events_come_in_their_order_and_are_new(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    team(app, "Team", &[&ids[1], &ids[2]]);
    brake(app, tight());
    delete(app, &format!("/Users/{}", ids[0]));
    delete(app, &format!("/Users/{}", ids[1]));
    app.clock.advance(HOUR * 5);
    users(app, &["d"]);
    app.api.post(&path(app, "/release"), json!({})).expect(200);
    let rows = app.event_rows(&app.directory);
    let late: Vec<_> = rows.iter().rev().take(4).collect();
    // Ids and times rise with the log: readers find events by both.
    let is_new = |id: &str| rows.iter().all(|row| row.created == late[0].created || *row.id < *id);
    assert!(late.iter().all(|row| row.created == late[0].created && is_new(&row.id)), "{rows:?}");
    assert!(rows.windows(2).all(|pair| pair[0].created <= pair[1].created));
    assert_eq!(late.iter().filter(|row| row.event.starts_with("dsync.")).count(), 3);
    let deleted = rows.iter().rev().find(|row| row.event == "dsync.user.deleted").expect("one");
    assert_eq!(deleted.reason.as_deref(), Some("scim_delete"));
    assert_eq!(
        lines(app, 7),
        ["group.user_removed Team b", "user.deleted b active", "user.created d active"]
    );
}

fn released_directory_counts_anew(app: &TestApp) {
    let ids = users(app, &["a", "b", "c", "d"]);
    brake(app, tight());
    set_active(app, &ids[0], false);
    set_active(app, &ids[1], false);
    app.api.post(&path(app, "/release"), json!({})).expect(200);
    set_active(app, &ids[2], false);
    let found = shown(app);
    assert_eq!((&found["state"], &found["lately"]["users"]), (&json!("open"), &json!(1)));
    set_active(app, &ids[3], false);
    assert_eq!(shown(app)["state"], "holding");
}

/// Goes on with what a stopped process has left.
fn finish(app: &TestApp) {
    let service = std::sync::Arc::clone(app.service());
    app.wait(async move { service.finish_brakes().await }).expect("the rest is done");
}

fn what_comes_behind_a_release_is_counted(app: &TestApp) {
    let ids = users(app, &["a", "b", "c", "d", "e"]);
    brake(app, tight());
    ids[..2].iter().for_each(|id| delete(app, &format!("/Users/{id}")));
    let before = lines(app, 0).len() - 1;
    leave(app, Brake::Releasing);
    // What was decided on does not count any more.
    app.clock.advance(HOUR * 2);
    ids[2..4].iter().for_each(|id| delete(app, &format!("/Users/{id}")));
    finish(app);
    assert_eq!(lines(app, before), ["user.deleted a active", "user.deleted b active"]);
    let found = shown(app);
    assert_eq!((&found["state"], &found["held"]["events"]), (&json!("holding"), &json!(2)));
    assert_eq!(found["lost"]["users_deleted"], 2);
    let (standing, all) = (alarms(app, "kind=brake"), alarms(app, "state=all&kind=brake"));
    assert_eq!((standing.len(), all.len()), (1, 2));
    // An undo is about them alone.
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    assert_eq!(lines(app, before + 2), Vec::<String>::new());
    for (id, status) in ids.iter().zip([404, 404, 200, 200, 200]) {
        app.scim.get(&format!("/Users/{id}")).expect(status);
    }
    assert_app_knows_what_there_is(app);
}

fn little_behind_a_release_is_told_with_it(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    brake(app, tight());
    ids[..2].iter().for_each(|id| set_active(app, id, false));
    let before = lines(app, 0).len();
    leave(app, Brake::Releasing);
    app.clock.advance(HOUR * 2);
    set_active(app, &ids[2], false);
    finish(app);
    assert_eq!(lines(app, before), ["user.updated b inactive", "user.updated c inactive"]);
    assert_eq!(shown(app)["state"], "open");
    assert!(alarms(app, "kind=brake").is_empty());
    assert_app_knows_what_there_is(app);
}

fn what_is_an_hour_old_counts_no_longer(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    brake(app, tight());
    set_active(app, &ids[0], false);
    app.clock.advance(HOUR);
    set_active(app, &ids[1], false);
    assert_eq!(shown(app)["state"], "open");
    set_active(app, &ids[2], false);
    assert_eq!(shown(app)["state"], "holding");
}

fn snapshot_and_digest_of_a_held_directory_are_409(app: &TestApp) {
    let ids = users(app, &["a", "b"]);
    brake(app, tight());
    ids.iter().for_each(|id| set_active(app, id, false));
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    api_error(&app.api.get(&format!("{directory}/snapshot")), 409, "brake_holding");
    let digest = app.api.post(&format!("{directory}/reconcile"), json!({"objects": {}}));
    api_error(&digest, 409, "brake_holding");
    app.api.post(&path(app, "/release"), json!({})).expect(200);
    assert_app_knows_what_there_is(app);
}

fn tokens_wait_as_well(app: &TestApp) {
    let ids = users(app, &["a", "b"]);
    brake(app, tight());
    ids.iter().for_each(|id| set_active(app, id, false));
    let tokens = format!("/api/v1/directories/{}/tokens", app.directory.id);
    app.api.post(&tokens, json!({})).expect(201);
    let told = |app: &TestApp| {
        let events = app.events(&app.directory).into_iter();
        events.filter(|(name, _)| name == "dsync.token.created").count()
    };
    assert_eq!(told(app), 1, "the first one");
    app.api.post(&path(app, "/release"), json!({})).expect(200);
    assert_eq!(told(app), 2);
}

fn changed_mode_lets_nothing_go(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    brake(app, tight());
    ids[..2].iter().for_each(|id| set_active(app, id, false));
    brake(app, json!({"mode": "off"}));
    set_active(app, &ids[2], false);
    let found = shown(app);
    assert_eq!((&found["mode"], &found["state"]), (&json!("off"), &json!("holding")));
    assert_eq!(found["held"]["events"], 2);
}

fn directory_that_holds_is_not_deleted(app: &TestApp) {
    let ids = users(app, &["a", "b"]);
    brake(app, tight());
    ids.iter().for_each(|id| set_active(app, id, false));
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    api_error(&app.api.delete(&directory), 409, "brake_holding");
    app.api.post(&path(app, "/release"), json!({})).expect(200);
    app.api.delete(&directory).expect(202);
    app.settle_events();
    let query = format!("/api/v1/events?directory_id={}&limit=1000", app.directory.id);
    let log = app.api.get(&query).expect(200);
    let names: Vec<&str> = log.body["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["event"].as_str().expect("text"))
        .collect();
    assert_eq!(names[names.len() - 2..], ["rollbook.alarm.resolved", "dsync.deleted"]);
    assert_eq!(names.iter().filter(|name| **name == "dsync.user.updated").count(), 2);
    assert!(alarms(app, "state=raised").is_empty());
}

fn bulk_request_is_held_from_the_operation_that_is_too_much(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    brake(app, tight());
    let operations: Vec<_> =
        ids.iter().map(|id| json!({"method": "DELETE", "path": format!("/Users/{id}")})).collect();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    });
    app.scim.post("/Bulk", body).expect(200);
    assert_eq!(lines(app, 3), ["user.deleted a active"]);
    assert_eq!(shown(app)["held"]["events"], 2);
}

fn released_events_are_not_pruned_by_the_age_of_the_change(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    brake(app, tight());
    ids.iter().for_each(|id| set_active(app, id, false));
    app.clock.advance(HOUR * 24 * 91);
    app.api.post(&path(app, "/release"), json!({})).expect(200);
    app.settle_events();
    let service = std::sync::Arc::clone(app.service());
    app.wait(async move { service.prune_events().await }).expect("events are pruned");
    assert_eq!(lines(app, 0), ["user.updated b inactive", "user.updated c inactive"]);
}
