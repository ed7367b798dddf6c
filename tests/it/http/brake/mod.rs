//! The brake: directories that take away too much within an hour.

mod alarm;
mod hold;
mod joined;
mod memberships;
mod random;
mod settings;
mod undo;
mod watch;

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::plain_user;
use crate::support::{Answer, Client, Consumer, TestApp, group, patch};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A brake that holds from the second user on, and from the second membership.
fn tight() -> Value {
    let limit = json!({"at_least": 1, "more_than": 1, "percent": 100});
    json!({"mode": "hold", "limits": {"users": limit, "memberships": limit}})
}

#[track_caller]
fn brake(app: &TestApp, settings: Value) {
    app.api.put(&path(app, ""), settings).expect(200);
}

/// `/brake` of the test's directory, with more behind it.
fn path(app: &TestApp, more: &str) -> String {
    format!("/api/v1/directories/{}/brake{more}", app.directory.id)
}

#[track_caller]
fn shown(app: &TestApp) -> Value {
    app.api.get(&path(app, "")).expect(200).body
}

#[track_caller]
fn users(app: &TestApp, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| app.scim.post("/Users", plain_user(name)).expect(201).id()).collect()
}

#[track_caller]
fn team(app: &TestApp, name: &str, members: &[&String]) -> String {
    let members: Vec<&str> = members.iter().map(|id| id.as_str()).collect();
    app.scim.post("/Groups", group(name, &members)).expect(201).id()
}

#[track_caller]
fn set_active(app: &TestApp, id: &str, active: bool) {
    let change = json!([{"op": "replace", "path": "active", "value": active}]);
    app.scim.patch(&format!("/Users/{id}"), patch(change)).expect(200);
}

#[track_caller]
fn delete(app: &TestApp, path: &str) {
    app.scim.delete(path).expect(204);
}

/// What an app knows that has read the events of the test's directory.
fn consumer(app: &TestApp) -> Consumer {
    Consumer::of(&app.events(&app.directory))
}

/// The names of all that an app was told about users and groups, since so many events.
fn lines(app: &TestApp, since: usize) -> Vec<String> {
    let events = app.events(&app.directory);
    let about = events
        .iter()
        .filter(|(name, _)| name.starts_with("dsync.user") || name.starts_with("dsync.group"));
    about.skip(since).map(|(name, data)| crate::support::event_line(name, data)).collect()
}

/// Fails the test unless the app that has read all events knows what the read API shows.
#[track_caller]
fn assert_app_knows_what_there_is(app: &TestApp) {
    app.settle_events();
    let known = consumer(app);
    let snapshot = app.api.get(&format!("/api/v1/directories/{}/snapshot", app.directory.id));
    let lines = snapshot.expect(200).text;
    let events: Vec<(String, Value)> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|line| line["object"] == "event")
        .map(|event| (event["event"].as_str().expect("text").to_owned(), event["data"].clone()))
        .collect();
    let stored = Consumer::of(&events);
    let ids = |consumer: &Consumer| {
        let users = consumer.users.iter().map(|(id, user)| (id.clone(), user["state"].clone()));
        let groups = consumer.groups.iter().map(|(id, group)| (id.clone(), group["name"].clone()));
        (users.collect::<Vec<_>>(), groups.collect::<Vec<_>>(), consumer.members.clone())
    };
    assert_eq!(ids(&known), ids(&stored));
    for (id, user) in &known.users {
        let stored = &stored.users[id];
        for member in [
            "username",
            "email",
            "job_title",
            "raw_attributes",
            "created_at",
            "custom_attributes",
            "roles",
        ] {
            assert_eq!(user[member], stored[member], "{member} of {id}");
        }
    }
}

#[track_caller]
fn alarms(app: &TestApp, query: &str) -> Vec<Value> {
    let answer: Answer = app.api.get(&format!("/api/v1/alarms?{query}")).expect(200);
    answer.body["data"].as_array().expect("a list").clone()
}

/// Looks for alarms once.
fn watch(app: &TestApp) {
    let service = std::sync::Arc::clone(app.service());
    app.wait(async move { service.watch_alarms().await }).expect("alarms are looked for");
}

/// The names of the alarm events of the test's directory with their kinds.
fn alarm_events(app: &TestApp) -> Vec<String> {
    let events = app.events(&app.directory).into_iter();
    events
        .filter(|(name, _)| name.starts_with("rollbook.alarm."))
        .map(|(name, data)| format!("{name} {}", data["kind"].as_str().expect("text")))
        .collect()
}

#[track_caller]
fn rename(scim: &Client, id: &str, title: &str) {
    let change = json!([{"op": "replace", "path": "title", "value": title}]);
    scim.patch(&format!("/Users/{id}"), patch(change)).expect(200);
}
