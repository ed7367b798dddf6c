//! Deprovisioning policies: what a provider's requests make of a user for the app.

mod delete;
mod filter;
mod groupless;
mod hidden_groups;
mod interactions;
mod revive;
mod rows;
mod settings;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Client, TestApp, event_line, group, patch};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the app is told from now on.
struct Ear<'a> {
    app: &'a TestApp,
    heard: usize,
}

impl<'a> Ear<'a> {
    fn of(app: &'a TestApp) -> Self {
        Self { app, heard: app.event_rows(&app.directory).len() }
    }

    /// The events since the last time, one line each: `user.updated ada inactive`.
    fn lines(&mut self) -> Vec<String> {
        self.rows().into_iter().map(|(line, _)| line).collect()
    }

    /// The events since the last time with their reasons.
    fn rows(&mut self) -> Vec<(String, Option<String>)> {
        let rows = self.app.event_rows(&self.app.directory);
        let new = rows[self.heard..].iter().map(|row| {
            let data: Value = serde_json::from_str(&row.data).expect("JSON");
            (event_line(&row.event, &data), row.reason.clone())
        });
        let new = new.collect();
        self.heard = rows.len();
        new
    }

    /// Fails the test unless the app was told exactly this since the last time.
    #[track_caller]
    fn heard(&mut self, expected: &[&str]) {
        assert_eq!(self.lines(), expected);
    }

    /// Fails the test unless the app was told exactly this, each for that reason.
    #[track_caller]
    fn heard_because(&mut self, reason: &str, expected: &[&str]) {
        let rows = self.rows();
        let lines: Vec<&str> = rows.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(lines, expected);
        for (line, found) in &rows {
            assert_eq!(found.as_deref(), Some(reason), "{line}");
        }
    }
}

fn set(app: &TestApp, settings: Value) {
    app.settings(&app.directory, settings);
}

/// A user with nothing but a name; gives the id.
#[track_caller]
fn new_user(app: &TestApp, name: &str) -> String {
    app.scim.post("/Users", super::plain_user(name)).expect(201).id()
}

#[track_caller]
fn new_group(app: &TestApp, name: &str, members: &[&str]) -> String {
    app.scim.post("/Groups", group(name, members)).expect(201).id()
}

#[track_caller]
fn change(scim: &Client, path: &str, operation: Value) -> Answer {
    scim.patch(path, patch(json!([operation]))).expect(200)
}

#[track_caller]
fn set_active(app: &TestApp, id: &str, active: bool) {
    let operation = json!({"op": "replace", "path": "active", "value": active});
    change(&app.scim, &format!("/Users/{id}"), operation);
}

#[track_caller]
fn add(app: &TestApp, group: &str, user: &str) {
    let operation = json!({"op": "add", "path": "members", "value": [{"value": user}]});
    change(&app.scim, &format!("/Groups/{group}"), operation);
}

#[track_caller]
fn remove(app: &TestApp, group: &str, user: &str) {
    let operation = json!({"op": "remove", "path": format!("members[value eq \"{user}\"]")});
    change(&app.scim, &format!("/Groups/{group}"), operation);
}

#[track_caller]
fn delete(app: &TestApp, id: &str) {
    app.scim.delete(&format!("/Users/{id}")).expect(204);
}

/// The ids of a group's members, as SCIM shows them.
#[track_caller]
fn members(app: &TestApp, group: &str) -> Vec<String> {
    let answer = app.scim.get(&format!("/Groups/{group}")).expect(200);
    let members = answer.body["members"].as_array().cloned().unwrap_or_default();
    members.iter().filter_map(|m| m["value"].as_str()).map(str::to_owned).collect()
}

/// What SCIM says of `active`.
#[track_caller]
fn scim_active(app: &TestApp, id: &str) -> bool {
    let answer = app.scim.get(&format!("/Users/{id}")).expect(200);
    answer.body["active"].as_bool().expect("a boolean")
}
