//! Directories that are read, by command, and a server that is killed while it reads.

use std::fs;

use serde_json::{Value, json};

use super::{Server, run};
use crate::support::Client;
use crate::support::slapd::Slapd;

const KEY: &str = "sk_test_0123456789abcdef0123456789abcdef";

/// Users in the file: enough for the kill to come in between.
const USERS: usize = 1_500;

#[test]
fn killed_server_goes_on_with_the_run_and_commands_show_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut server = Server::start_with(folder, &[("ROLLBOOK_API_KEY", KEY)]);
    let api = Client::new(&server.url, KEY, "application/json");
    let command = |arguments: &[&str]| {
        let output = run(folder, arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    };
    let json_of =
        |arguments: &[&str]| -> Value { serde_json::from_str(&command(arguments)).expect("JSON") };
    let organization = json_of(&["organization", "create", "Example"]);
    let organization = organization["id"].as_str().expect("an id");
    let made =
        ["directory", "create", "Files", "--kind", "pull.csv", "--organization", organization];
    let directory = json_of(&made)["id"].as_str().expect("an id").to_owned();
    let rows = |more: &str| {
        let rows = (1..=USERS).map(|n| format!("{n},user{n}@example.com,Staff\n"));
        format!("id,userName,groups\n{}{more}", rows.collect::<String>())
    };
    let file = folder.join("users.csv");
    fs::write(&file, rows("")).expect("written");
    let upload = ["sync", "upload", &*directory, file.to_str().expect("UTF-8")];
    assert_eq!(json_of(&upload)["name"], "users");
    assert_eq!(json_of(&["sync", "test", &directory])["users"], USERS);

    let path = format!("/api/v1/directories/{directory}");
    let asked = api.post(&format!("{path}/sync"), json!({})).expect(202).id();
    let users = || {
        let path = format!("/directory_users?directory={directory}&limit=1");
        let listed = api.get(&path).expect(200).body["data"].clone();
        listed.as_array().map_or(0, Vec::len)
    };
    while users() == 0 {
        std::thread::yield_now();
    }
    server.kill();
    server.again();
    let look = || api.get(&format!("{path}/syncs/{asked}?wait=30")).expect(200).body;
    let ended = look();
    let counts = &ended["counts"]["users"];
    assert_eq!(ended["status"], "completed", "{ended}");
    let number = |name: &str| counts[name].as_u64().expect("a number");
    assert!(number("unchanged") > 0, "some were there before the kill: {ended}");
    assert_eq!(number("created") + number("unchanged"), 1_500, "{ended}");
    // Nobody was told twice of anybody, and nobody was taken for missing.
    let told = command(&["events", "export", "--directory", &directory]);
    let of = |name: &str| told.lines().filter(|line| line.contains(&format!("\"{name}\""))).count();
    assert_eq!(of("dsync.activated"), 1);
    assert_eq!(of("dsync.user.created"), USERS);
    assert_eq!(of("dsync.group.user_added"), USERS);
    assert_eq!((of("dsync.user.updated"), of("dsync.user.deleted")), (0, 0));

    fs::write(&file, rows("9999,new@example.com,Staff\n")).expect("written");
    command(&upload);
    let dry = command(&["sync", "run", &directory, "--dry-run"]);
    assert!(dry.contains("+ user new@example.com (9999)\n"), "{dry}");
    assert!(dry.contains("+ membership new@example.com (9999) of group Staff\n"), "{dry}");
    fs::write(&file, "id,userName,groups\n1,user1@example.com,Staff\n").expect("written");
    command(&upload);
    let output = run(folder, &["sync", "run", &directory]);
    assert_eq!(output.status.code(), Some(3), "a held run is no success");
    let held = String::from_utf8(output.stdout).expect("text");
    assert!(held.contains("- user user2@example.com (2) [pull_missing] held\n"), "{held}");
    assert!(held.contains("held: it takes something from 1499 of 1500 active users"), "{held}");
    let runs = command(&["sync", "runs", &directory]);
    let newest = runs.split_whitespace().next().expect("a run").to_owned();
    let output = run(folder, &["sync", "show", &directory, &newest, "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&shown["run"]["status"], &shown["run"]["held"]["users"]),
        (&json!("held"), &json!(1499))
    );
    let (listed, counted) =
        (shown["data"].as_array().map(Vec::len), shown["data"][0]["action"].clone());
    assert_eq!((listed, counted), (Some(1_499), json!("delete")), "more than one answer has");
    let runs = json_of(&["sync", "runs", &directory, "--json", "--limit", "1"]);
    assert_eq!(
        (&runs["data"][0]["id"], runs["data"].as_array().map(Vec::len)),
        (&json!(newest), Some(1))
    );
    let lines = run(folder, &["sync", "runs", &directory, "--limit", "1"]);
    assert!(String::from_utf8_lossy(&lines.stderr).contains("There are more: --after sync_"));
    assert!(command(&["sync", "reject", &directory, &newest]).contains("rejected"));
    assert!(command(&["sync", "show", &directory, &newest]).contains("rejected"));
    assert!(!run(folder, &["sync", "approve", &directory, &newest]).status.success());
    command(&["sync", "remove-file", &directory, "users"]);
    assert_eq!(run(folder, &["sync", "run", &directory]).status.code(), Some(1));
}

#[test]
fn ldap_directory_is_read_by_command() {
    let Some(slapd) = Slapd::start(60) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = Server::start_with(folder, &[("ROLLBOOK_API_KEY", KEY)]);
    let command = |arguments: &[&str]| {
        let output = run(folder, arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    };
    let json_of =
        |arguments: &[&str]| -> Value { serde_json::from_str(&command(arguments)).expect("JSON") };
    let organization = json_of(&["organization", "create", "Example"]);
    let organization = organization["id"].as_str().expect("an id");
    let config = folder.join("ldap.json");
    let tls = json!({"tls": "starttls", "ca_pem": slapd.authority()});
    fs::write(&config, slapd.config(tls).to_string()).expect("written");
    let config = config.to_str().expect("UTF-8");
    let made =
        ["directory", "create", "Staff", "--kind", "pull.ldap", "--organization", organization];
    let made = [&made[..], &["--config", config]].concat();
    let directory = json_of(&made)["id"].as_str().expect("an id").to_owned();
    assert_eq!(json_of(&["sync", "test", &directory])["users"], 60);
    let dry = command(&["sync", "run", &directory, "--dry-run"]);
    assert!(dry.contains("+ user u00013 ("), "{dry}");
    command(&["sync", "run", &directory]);
    let api = Client::new(&server.url, KEY, "application/json");
    let path = format!("/directory_users?directory={directory}&limit=100");
    let users = api.get(&path).expect(200).body["data"].as_array().map_or(0, Vec::len);
    assert_eq!(users, 60);
}
