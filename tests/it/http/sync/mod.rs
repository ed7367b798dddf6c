//! Directories that are read: from a source into the store, as the operator and the app see it.

mod ad;
mod ahead;
mod alarms;
mod asked;
mod aws;
mod aws_faults;
mod csv;
mod csv_glitches;
mod decided;
mod drips;
mod entra;
mod entra_client;
mod entra_faults;
mod follows;
mod google;
mod google_client;
mod google_faults;
mod guard;
mod keys;
mod ldap;
mod ldap_faults;
mod ldap_places;
mod manage;
mod names;
mod okta;
mod okta_faults;
mod okta_peer;
mod replicas;
mod scim;
mod scim_access;
mod scim_faults;
mod share;
mod states;
pub(in crate::http) mod tested;
mod whole_reads;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Answer, DirectoryHandle, TestApp};

/// A directory that is read.
struct Source<'a> {
    app: &'a TestApp,
    path: String,
    handle: DirectoryHandle,
}

impl<'a> Source<'a> {
    /// In the organization of the test's directory.
    fn new(app: &'a TestApp, kind: &str, config: Value, settings: Value) -> Self {
        Self::within(app, &app.directory.organization_id, kind, config, settings)
    }

    fn within(
        app: &'a TestApp,
        organization: &str,
        kind: &str,
        config: Value,
        settings: Value,
    ) -> Self {
        let body = json!({
            "organization_id": organization,
            "name": "Source",
            "kind": kind,
            "config": config,
            "settings": settings,
        });
        let made = app.api.post("/api/v1/directories", body).expect(201);
        assert!(made.body.get("token").is_none() && made.body.get("scim").is_none());
        assert_eq!(made.body["state"], "validating");
        let handle = DirectoryHandle { id: made.id(), ..app.directory.clone() };
        Self { app, path: format!("/api/v1/directories/{}", made.id()), handle }
    }

    fn csv(app: &'a TestApp) -> Self {
        Self::new(app, "pull.csv", json!({}), json!({}))
    }

    fn view(&self) -> Value {
        self.app.api.get(&self.path).expect(200).body
    }

    #[track_caller]
    fn upload(&self, name: &str, text: &str) {
        let path = format!("{}/files/{name}", self.path);
        let headers = [("Content-Type", "text/csv")];
        self.app.api.send("PUT", &path, &headers, Some(text.to_owned())).expect(200);
    }

    /// Asks for a run and waits for its end.
    #[track_caller]
    fn run(&self, body: Value) -> Value {
        let asked = self.app.api.post(&format!("{}/sync", self.path), body).expect(202);
        self.ended(&asked.id())
    }

    #[track_caller]
    fn ended(&self, run: &str) -> Value {
        let path = format!("{}/syncs/{run}?wait=30", self.path);
        let run = self.app.api.get(&path).expect(200).body;
        let status = run["status"].as_str().expect("a status");
        assert!(!["pending", "running"].contains(&status), "{run}");
        run
    }

    /// Waits for that many runs, and for the end of the last: the server looks every second for what is due.
    #[track_caller]
    fn next_run(&self, number: usize) -> Value {
        loop {
            let runs = self.app.api.get(&format!("{}/syncs", self.path)).expect(200).body;
            let runs = runs["data"].as_array().expect("a list").clone();
            if runs.len() == number {
                return self.ended(runs[0]["id"].as_str().expect("an id"));
            }
            assert!(runs.len() < number, "{runs:?}");
            std::thread::yield_now();
        }
    }

    /// A run that is to end well.
    #[track_caller]
    fn sync(&self) -> Value {
        let run = self.run(json!({}));
        assert_eq!(run["status"], "completed", "{run}");
        run
    }

    /// Hands in a file of users and reads it.
    #[track_caller]
    fn sync_users(&self, users: &str) -> Value {
        self.upload("users", users);
        self.run(json!({}))
    }

    #[track_caller]
    fn decide(&self, run: &Value, decision: &str) -> Answer {
        let id = run["id"].as_str().expect("an id");
        self.app.api.post(&format!("{}/syncs/{id}/{decision}", self.path), json!({}))
    }

    /// The changes of a run as `action kind source_id status`.
    #[track_caller]
    fn diff(&self, run: &Value) -> Vec<String> {
        let id = run["id"].as_str().expect("an id");
        let path = format!("{}/syncs/{id}/diff?limit=1000", self.path);
        let diff = self.app.api.get(&path).expect(200).body;
        let changes = diff["data"].as_array().expect("a list").iter();
        let text = |change: &Value, name: &str| change[name].as_str().unwrap_or("-").to_owned();
        let mut lines: Vec<String> = changes
            .map(|change| {
                ["action", "kind", "source_id", "status"].map(|name| text(change, name)).join(" ")
            })
            .collect();
        lines.sort_unstable();
        lines
    }

    /// Events of users and groups from the `from`th on, as name and what it is about.
    fn told(&self, from: usize) -> Vec<String> {
        let about = |(name, data): (String, Value)| {
            let name = name.trim_start_matches("dsync.").to_owned();
            let user = if data["user"].is_object() { &data["user"] } else { &data };
            let who = user["idp_id"].as_str().unwrap_or("-");
            match data["group"]["idp_id"].as_str() {
                Some(group) => format!("{name} {who} {group}"),
                None => format!("{name} {who}"),
            }
        };
        self.heard().split_off(from).into_iter().map(about).collect()
    }

    /// Events of the directory without its alarms.
    fn heard(&self) -> Vec<(String, Value)> {
        let events = self.app.events(&self.handle).into_iter();
        events.filter(|(name, _)| !name.starts_with("rollbook.alarm.")).collect()
    }

    fn events(&self) -> usize {
        self.heard().len()
    }

    /// Why, for each event that takes something away.
    fn reasons(&self) -> Vec<(String, Option<String>)> {
        let rows = self.app.event_rows(&self.handle).into_iter();
        rows.filter(|row| row.reason.is_some()).map(|row| (row.event, row.reason)).collect()
    }

    /// Users as the app reads them: the source's id, and state and e-mail.
    fn users(&self) -> BTreeMap<String, String> {
        let path = format!("/directory_users?directory={}&limit=100", self.handle.id);
        let listed = self.app.api.get(&path).expect(200).body;
        let user = |user: &Value| {
            let text = |name: &str| user[name].as_str().unwrap_or("-").to_owned();
            (text("idp_id"), format!("{} {}", text("username"), text("state")))
        };
        listed["data"].as_array().expect("a list").iter().map(user).collect()
    }

    /// A user of the source as the app reads it.
    #[track_caller]
    fn user(&self, source_id: &str) -> Value {
        let path = format!("/directory_users?directory={}&idp_id={source_id}", self.handle.id);
        let listed = self.app.api.get(&path).expect(200).body;
        let users = listed["data"].as_array().expect("a list");
        users.first().expect("the user is there").clone()
    }
}

/// A file of users with their numbers and names.
fn numbered(numbers: impl Iterator<Item = usize>) -> String {
    let rows = numbers.map(|n| format!("{n},user{n}@example.com\n"));
    format!("id,userName\n{}", rows.collect::<String>())
}
