//! Directories that are disconnected by command, and a server that is killed meanwhile.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Server, run};
use crate::support::Client;

const KEY: &str = "sk_test_0123456789abcdef0123456789abcdef";

/// Users in the file: enough for the kill to come in between.
const USERS: usize = 2_000;

fn command(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

fn json_of(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&command(folder, arguments)).expect("JSON")
}

/// A directory with all users, read from a file, in a new organization: its id and the organization's.
fn filled(folder: &Path) -> (String, String) {
    let organization = json_of(folder, &["organization", "create", "Example"]);
    let organization = organization["id"].as_str().expect("an id").to_owned();
    let directory = made(folder, &organization, "pull.csv");
    let rows = (1..=USERS).map(|n| format!("{n},user{n}@example.com\n"));
    let file = folder.join("users.csv");
    fs::write(&file, format!("id,userName\n{}", rows.collect::<String>())).expect("written");
    command(folder, &["sync", "upload", &directory, file.to_str().expect("UTF-8")]);
    command(folder, &["sync", "run", &directory]);
    (directory, organization)
}

fn made(folder: &Path, organization: &str, kind: &str) -> String {
    let made = ["directory", "create", "Staff", "--kind", kind, "--organization", organization];
    json_of(folder, &made)["id"].as_str().expect("an id").to_owned()
}

/// Kills the server when something was done, and waits until the one after it has done all.
fn killed_in_between(server: &mut Server, directory: &str) {
    let api = Client::new(&server.url, KEY, "application/json");
    let way = format!("/api/v1/directories/{directory}/disconnect");
    loop {
        let seen = api.get(&way).expect(200).body;
        if seen["done"].as_u64().is_some_and(|done| done > 0) {
            assert_eq!(seen["state"], "running", "the kill comes in between: {seen}");
            break;
        }
        std::thread::yield_now();
    }
    server.kill();
    server.again();
    while api.get(&way).status == 200 {
        if api.get(&way).body["state"] == "done" {
            break;
        }
        std::thread::yield_now();
    }
}

#[test]
fn killed_server_goes_on_taking_access_away_and_tells_each_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut server = Server::start_with(folder, &[("ROLLBOOK_API_KEY", KEY)]);
    let (directory, _) = filled(folder);
    let dry = json_of(folder, &["directory", "disconnect", &directory, "deprovision", "--dry-run"]);
    assert_eq!(dry["active_users"], USERS);
    command(folder, &["directory", "disconnect", &directory, "deprovision"]);
    killed_in_between(&mut server, &directory);
    let told = command(folder, &["events", "export", "--directory", &directory]);
    let of = |name: &str| told.lines().filter(|line| line.contains(&format!("\"{name}\""))).count();
    assert_eq!((of("dsync.user.updated"), of("dsync.deleted")), (USERS, 1));
    let inactive = told.lines().filter(|line| line.contains("\"state\":\"inactive\"")).count();
    assert!(inactive >= USERS, "{inactive}");
}

#[test]
fn killed_server_goes_on_handing_over_and_everybody_keeps_the_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut server = Server::start_with(folder, &[("ROLLBOOK_API_KEY", KEY)]);
    let (old, organization) = filled(folder);
    let new = made(folder, &organization, "scim.okta");
    let way = ["directory", "disconnect", &*old, "hand-over", "--to", &*new];
    let dry = json_of(folder, &[&way[..], &["--dry-run"]].concat());
    assert_eq!(dry["hand_over"]["users"], USERS);
    command(folder, &way);
    let shown = run(folder, &["directory", "disconnection", &old]);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    killed_in_between(&mut server, &old);
    let before = command(folder, &["events", "export", "--directory", &old]);
    let after = command(folder, &["events", "export", "--directory", &new]);
    let ids = |told: &str, name: &str| {
        let told = told.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let mut ids: Vec<String> = told
            .filter(|event| event["event"] == name)
            .map(|event| event["data"]["id"].as_str().expect("an id").to_owned())
            .collect();
        ids.sort_unstable();
        ids
    };
    let moved = ids(&after, "dsync.user.updated");
    assert_eq!(moved.len(), USERS);
    assert_eq!(moved, ids(&before, "dsync.user.created"));
    assert!(ids(&before, "dsync.user.deleted").is_empty());
    assert!(ids(&after, "dsync.user.deleted").is_empty());
    assert_eq!(ids(&before, "dsync.deleted").len(), 1);
}
