//! `rollbook requests` and `rollbook replay`, and what a crash leaves of the records.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Server, first_start, rollbook, run};
use crate::support::{Client, user};

fn out(folder: &Path, arguments: &[&str]) -> Value {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A client of the directory of the first start, and that directory's id.
fn scim(folder: &Path, server: &Server) -> (Client, String) {
    let [base, token, _] = first_start(folder);
    let path = base.split_once("/scim/").expect("a SCIM URL").1;
    let client =
        Client::new(&format!("{}/scim/{path}", server.url), &token, "application/scim+json");
    let directories = out(folder, &["directory", "list"]);
    (client, directories["data"][0]["id"].as_str().expect("an id").to_owned())
}

#[test]
fn records_are_listed_shown_and_replayed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = Server::start(folder);
    let (scim, directory) = scim(folder, &server);
    scim.post("/Users", json!({"userName": "ada@example.com", "active": "perhaps"})).expect(400);
    scim.post("/Users", user("bob@example.com")).expect(201);
    let list = out(folder, &["requests", "list", &directory, "--status", "4xx"]);
    assert_eq!(list["data"].as_array().expect("a list").len(), 1);
    let id = list["data"][0]["id"].as_str().expect("an id");
    let record = out(folder, &["requests", "show", &directory, id]);
    assert_eq!(record["received"]["userName"], "ada@example.com");
    // The directory is found by the record.
    let replayed = out(folder, &["replay", id, "--profile", "entra"]);
    assert_eq!(replayed["profile"], "entra");
    let same = out(folder, &["replay", id, "--directory", &directory]);
    assert_eq!(same["difference"], json!([]));
    assert!(!run(folder, &["replay", "req_nothing"]).status.success());
    assert!(!run(folder, &["requests", "list", &directory, "--status", "teapot"]).status.success());
}

#[test]
fn tail_follows_the_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = Server::start(folder);
    let (scim, directory) = scim(folder, &server);
    scim.post("/Users", user("ada@example.com")).expect(201);
    let mut child = rollbook(folder)
        .args(["requests", "tail", &directory, "-v"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut until = |word: &str| -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let line = lines.next().expect("the command goes on").expect("UTF-8");
            let found = line.contains(word);
            seen.push(line);
            if found {
                return seen;
            }
        }
    };
    let first = until("event_");
    assert!(first[0].contains(" 201 POST ") && first[0].contains("ada@example.com"), "{first:?}");
    assert!(first.iter().any(|line| line.trim_start().starts_with("received")), "{first:?}");
    scim.post("/Users", user("ADA@example.com")).expect(409);
    scim.post("/Users", user("bob@example.com")).expect(201);
    let then = until("bob@example.com");
    assert!(then.iter().any(|line| line.contains(" 409 POST ")), "{then:?}");
    let heads = then.iter().filter(|line| !line.starts_with(' ')).count();
    assert_eq!(heads, 2, "each record once: {then:?}");
    child.kill().expect("killed");
    child.wait().expect("it ends");
    assert!(server.stop());
    let alone = run(folder, &["requests", "tail", &directory]);
    assert!(String::from_utf8_lossy(&alone.stderr).contains("no server runs"));
}

#[test]
fn crash_loses_no_record_that_was_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = Server::start(folder);
    let (scim, directory) = scim(folder, &server);
    scim.post("/Users", user("ada@example.com")).expect(201);
    assert_eq!(
        out(folder, &["requests", "list", &directory])["data"].as_array().map(Vec::len),
        Some(1)
    );
    // Killed, not stopped.
    drop(server);
    // Nobody listens where the killed one did.
    std::fs::remove_file(folder.join("data/local.json")).expect("left behind");
    let server = Server::start(folder);
    let list = out(folder, &["requests", "list", &directory]);
    assert_eq!(list["data"][0]["resource"]["user_name"], "ada@example.com");
    // A stop that is let finish writes what waits.
    let (client, _) = self::scim(folder, &server);
    client.post("/Users", user("bob@example.com")).expect(201);
    assert!(server.stop());
    let list = out(folder, &["requests", "list", &directory]);
    assert_eq!(list["data"].as_array().map(Vec::len), Some(2));
}
