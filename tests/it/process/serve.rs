//! Start, restart and stop.

use std::os::unix::fs::PermissionsExt;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde_json::json;

use super::{Server, first_start, run};
use crate::support::{Client, user};

#[test]
fn first_start_makes_what_an_administrator_needs_and_a_restart_keeps_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let file = folder.path().join("data/first-start.txt");
    let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let [base_url, token, api_key] = first_start(folder.path());
    assert!(base_url.starts_with(&server.url));
    let scim = Client::new(&base_url, &token, "application/scim+json");
    let id = scim.post("/Users", user("ada@example.com")).expect(201).id();
    let api = Client::new(&server.url, &api_key, "application/json");
    api.get("/api/v1/organizations").expect(200);
    assert!(server.stop(), "it ends well");

    let server = Server::start(folder.path());
    let path = base_url.split("/scim").nth(1).expect("the path").to_owned();
    let again = format!("{}/scim{path}", server.url);
    let scim = Client::new(&again, &token, "application/scim+json");
    let answer = scim.get(&format!("/Users/{id}")).expect(200);
    assert_eq!(answer.body["userName"], "ada@example.com");
    assert!(server.stop(), "it ends well");
}

#[test]
fn second_server_on_a_data_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let second = run(folder.path(), &["serve"]);
    assert!(!second.status.success());
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(message.contains("another server uses the data folder"), "{message}");
    assert!(server.stop());
}

#[test]
fn unknown_setting_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = super::rollbook(folder.path())
        .env("ROLLBOOK_LISTN", "127.0.0.1:0")
        .arg("serve")
        .output()
        .expect("the binary runs");
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("listn") && message.contains("listen"), "{message}");
}

/// The value of a counter of `/metrics`.
fn counted(server: &Server, name: &str) -> u64 {
    let client = Client::new(&server.url, "", "text/plain").with_bearer(None);
    let text = client.get("/metrics").expect(200).text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// What the alerts about failures ask for: a write that the database refuses for want of its lock counts
/// although it had no batch, a directory that its operator paused does not.
#[test]
fn failures_are_counted_and_a_paused_directory_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let [base_url, token, api_key] = first_start(folder.path());
    let scim = Client::new(&base_url, &token, "application/scim+json");
    let api = Client::new(&server.url, &api_key, "application/json");
    let failures = || counted(&server, "rollbook_http_failures_total");
    let units = || counted(&server, "rollbook_store_failed_units_total");

    let directories = api.get("/api/v1/directories").expect(200);
    let id = directories.body["data"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/directories/{id}");
    api.patch(&path, json!({"state": "paused"})).expect(200);
    scim.get("/Users").expect(503);
    api.patch(&path, json!({"state": "linked"})).expect(200);
    assert_eq!((failures(), units()), (0, 0));

    let database = folder.path().join("data/rollbook.db");
    let mut other = SqliteConnection::establish(database.to_str().expect("UTF-8")).expect("opens");
    other.batch_execute("BEGIN IMMEDIATE").expect("the lock");
    scim.post("/Users", user("ada@example.com")).expect(503);
    other.batch_execute("ROLLBACK").expect("the lock is given back");
    assert_eq!(failures(), 1);
    assert!(units() >= 1);
    scim.post("/Users", user("ada@example.com")).expect(201);
    assert_eq!(failures(), 1);
    assert!(server.stop());
}

/// Clients write until the server is told to stop; every answer of 201 is stored.
#[test]
fn stop_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &["organization", "list"]);
    let server = Server::start(folder.path());
    let [base_url, token, _] = first_start(folder.path());
    let path = base_url.split("/scim").nth(1).expect("the path").to_owned();
    let scim = Client::new(&format!("{}/scim{path}", server.url), &token, "application/scim+json");
    let (sender, progress) = std::sync::mpsc::channel();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (scim, sender) = (scim.clone(), sender.clone());
            std::thread::spawn(move || {
                let mut acknowledged = Vec::new();
                for n in 0.. {
                    let name = format!("user-{writer}-{n}@example.com");
                    match scim.try_post("/Users", user(&name)) {
                        Some(answer) if answer.status == 201 => acknowledged.push(answer.id()),
                        _ => break,
                    }
                    let _ = sender.send(());
                }
                acknowledged
            })
        })
        .collect();
    for _ in 0..200 {
        progress.recv().expect("the writers write");
    }
    assert!(server.stop(), "it ends well");
    let acknowledged: Vec<String> =
        writers.into_iter().flat_map(|writer| writer.join().expect("no panic")).collect();
    assert!(acknowledged.len() >= 200);

    let server = Server::start(folder.path());
    let scim = Client::new(&format!("{}/scim{path}", server.url), &token, "application/scim+json");
    for id in acknowledged {
        scim.get(&format!("/Users/{id}")).expect(200);
    }
    assert!(server.stop());
}
