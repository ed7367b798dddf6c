//! Commands that look at what is there: people, events, the audit log, the overview. And those that change
//! what no other test changes by command.

use std::path::Path;

use serde_json::{Value, json};

use super::{Server, first_start, run};
use crate::support::{Client, group, user};

/// What a command prints, which must succeed; null for nothing.
#[track_caller]
fn out(folder: &Path, arguments: &[&str]) -> Value {
    let output = run(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    match output.stdout.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&output.stdout).expect("JSON"),
    }
}

/// What a command says that must fail.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

#[track_caller]
fn column(list: &Value, member: &str) -> Vec<String> {
    let rows = list["data"].as_array().expect("a list").iter();
    rows.map(|row| text(&row[member]).to_owned()).collect()
}

/// A SCIM client of the directory that the first start has made.
fn scim(server: &Server, folder: &Path) -> Client {
    let [base, token, _] = first_start(folder);
    let path = base.split_once("/scim/").expect("a SCIM URL").1;
    Client::new(&format!("{}/scim/{path}", server.url), &token, "application/scim+json")
}

#[test]
fn people_groups_and_events_are_found_by_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = Server::start(folder);
    let scim = scim(&server, folder);
    let ada = scim.post("/Users", user("ada@example.com")).expect(201).id();
    scim.post("/Users", user("bob@example.com")).expect(201);
    let team = scim.post("/Groups", group("Team", &[&ada])).expect(201).id();

    let found = out(folder, &["people", "search", "ADA@"]);
    assert_eq!(column(&found, "id"), std::slice::from_ref(&ada));
    let organization = text(&found["data"][0]["organization_id"]).to_owned();
    let none = out(folder, &["people", "search", "ad", "--organization", "org_1"]);
    assert_eq!(none["data"], json!([]));
    let found =
        out(folder, &["people", "search", "te", "--groups", "--organization", &organization]);
    assert_eq!(column(&found, "id"), std::slice::from_ref(&team));
    let shown = out(folder, &["people", "group", &team]);
    assert_eq!(
        (&shown["group"]["name"], &shown["members"][0]["id"]),
        (&json!("Team"), &json!(ada))
    );
    let story = out(folder, &["people", "story", &ada, "--limit", "1"]);
    assert_eq!(story["person"]["user_name"], "ada@example.com");
    let after = text(&story["list_metadata"]["after"]);
    let rest = out(folder, &["people", "story", &ada, "--after", after]);
    assert_eq!(rest["data"].as_array().map(Vec::len), Some(1));
    assert!(refused(folder, &["people", "story", "directory_user_1"]).contains("404"));
    assert!(refused(folder, &["people", "search", " "]).contains("1 to 256"));

    let about = ["events", "list", "--resource", &ada];
    let events = out(folder, &about);
    assert_eq!(column(&events, "event"), ["dsync.user.created"]);
    let id = text(&events["data"][0]["id"]);
    assert_eq!(out(folder, &["events", "show", id]), events["data"][0]);
    let named = ["events", "list", "--events", "dsync.user.created", "--limit", "1"];
    let newest = out(folder, &named);
    assert_eq!(newest["data"][0]["data"]["username"], "bob@example.com");
    let before = newest["before"].to_string();
    let older = out(folder, &[&named[..], &["--before", &before]].concat());
    assert_eq!(older["data"][0]["data"]["username"], "ada@example.com");
    let until = [&about[..], &["--to", "2020-01-01T00:00:00Z"]].concat();
    assert_eq!(out(folder, &until)["data"], json!([]));
    assert!(refused(folder, &["events", "show", "event_1"]).contains("404"));

    let overview = out(folder, &["overview", "--span", "24h"]);
    assert_eq!(overview["span"], "24h");
    assert!(overview["steps"].as_array().is_some_and(|steps| !steps.is_empty()), "{overview}");
    assert!(refused(folder, &["overview", "--span", "1y"]).contains("span"));
}

#[test]
fn what_is_changed_by_command_stands_in_the_audit_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let _server = Server::start(folder);
    let organization = out(folder, &["organization", "create", "Acme", "--external-id", "a1"]);
    let id = text(&organization["id"]);
    let named = out(folder, &["organization", "update", id, "--name", "Acme Inc"]);
    let both = (&named["name"], &named["external_id"]);
    assert_eq!(both, (&json!("Acme Inc"), &json!("a1")));
    let without = out(folder, &["organization", "update", id, "--no-external-id"]);
    let both = (&without["name"], &without["external_id"]);
    assert_eq!(both, (&json!("Acme Inc"), &json!(null)));

    let rows = out(folder, &["audit", "list", "--target", id]);
    let updated = "organization.updated";
    assert_eq!(column(&rows, "action"), [updated, updated, "organization.created"]);
    assert_eq!(rows["data"][0]["before"], json!({"external_id": "a1"}));
    assert_eq!(rows["data"][0]["actor"]["type"], "operator");
    let page = ["audit", "list", "--organization", id, "--action", updated, "--limit", "1"];
    let first = out(folder, &page);
    let after = text(&first["list_metadata"]["after"]);
    let rest = out(folder, &[&page[..], &["--after", after]].concat());
    assert_eq!(rest["data"][0]["after"], json!({"name": "Acme Inc"}));
    let found = out(folder, &["audit", "list", "--q", "acme inc"]);
    assert_eq!(column(&found, "action"), [updated, updated], "its name now, and in the change");
    assert_eq!(
        out(folder, &["audit", "list", "--from", "2999-01-01T00:00:00Z"])["data"],
        json!([])
    );
    assert!(refused(folder, &["audit", "list", "--action", "nothing"]).contains("action"));

    let export = |format: &str| {
        let output = run(folder, &["audit", "export", "--target", id, "--format", format]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let lines = export("jsonl");
    let rows: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[2]["action"], "organization.created");
    assert_eq!(export("csv").lines().count(), 4, "a line of names, and the rows");
}

#[test]
fn directories_are_named_configured_and_looked_at_by_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = Server::start(folder);
    let scim = scim(&server, folder);
    let pushed = out(folder, &["directory", "list", "--kind", "scim.generic"]);
    let id = text(&pushed["data"][0]["id"]);
    assert_eq!(out(folder, &["directory", "rename", id, "Staff"])["name"], "Staff");
    assert_eq!(column(&out(folder, &["directory", "list", "--search", "STA"]), "id"), [id]);
    assert_eq!(out(folder, &["directory", "list", "--search", "none"])["data"], json!([]));
    scim.post("/Users", user("ada@example.com")).expect(201);
    let users = out(folder, &["directory", "users", id]);
    assert_eq!(users["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(out(folder, &["directory", "pending-members", id])["data"], json!([]));
    let first = out(folder, &["organization", "create", "Another"]);
    let page = out(folder, &["organization", "list", "--limit", "1"]);
    assert_eq!(column(&page, "id"), [text(&first["id"])]);
    let after = text(&page["list_metadata"]["after"]);
    let rest = out(folder, &["organization", "list", "--after", after]);
    assert!(!column(&rest, "id").contains(&text(&first["id"]).to_owned()), "{rest}");
    assert_eq!(out(folder, &["directory", "disable", id])["state"], "disabled");
    assert_eq!(column(&out(folder, &["directory", "list", "--state", "disabled"]), "id"), [id]);
    assert_eq!(out(folder, &["directory", "resume", id])["state"], "linked");

    let config = folder.join("config.json");
    let path = config.to_str().expect("UTF-8");
    let organization = text(&pushed["data"][0]["organization_id"]);
    let create =
        ["directory", "create", "File", "--organization", organization, "--kind", "pull.csv"];
    let read = out(folder, &create);
    let read = text(&read["id"]);
    std::fs::write(&config, r#"{"delimiter": "semicolon"}"#).expect("written");
    let configured = out(folder, &["directory", "configure", read, path]);
    assert_eq!(configured["config"]["delimiter"], "semicolon");
    std::fs::write(&config, r#"{"nothing": 1}"#).expect("written");
    assert!(refused(folder, &["directory", "configure", read, path]).contains("nothing"));
    std::fs::write(&config, "{").expect("written");
    assert!(refused(folder, &["directory", "configure", read, path]).contains("it is not JSON"));
}

#[test]
fn branding_and_endpoints_are_set_by_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let _server = Server::start(folder);
    let logo = folder.join("logo.gif");
    std::fs::write(&logo, "GIF89a and what follows").expect("written");
    let path = logo.to_str().expect("UTF-8");
    let set = ["branding", "set", "--name", "Acme", "--color", "#7A1FA2", "--logo", path];
    assert_eq!(out(folder, &set)["logo_type"], "image/gif");
    let shown = out(folder, &["branding", "show"]);
    assert_eq!((&shown["name"], &shown["color"]), (&json!("Acme"), &json!("#7a1fa2")));
    assert_eq!(out(folder, &["branding", "set", "--no-logo"])["logo_type"], json!(null));
    assert!(refused(folder, &["branding", "set", "--color", "#ffcc00"]).contains("1.5:1"));

    let organization = out(folder, &["organization", "create", "Acme"]);
    let organization = text(&organization["id"]);
    let url = "https://app.example.com/hook";
    let made = out(folder, &["webhook", "create", url, "--events", "dsync.deleted", "--paused"]);
    let id = text(&made["id"]);
    let limited = out(folder, &["webhook", "update", id, "--organizations", organization]);
    assert_eq!(limited["organization_ids"], json!([organization]));
    let all = out(folder, &["webhook", "update", id, "--all-organizations"]);
    assert_eq!(all["organization_ids"], json!(null));
    assert_eq!(out(folder, &["webhook", "disable", id])["state"], "disabled");
}
