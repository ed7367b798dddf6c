//! Webhooks across processes and in the terminal: commands manage endpoints, and a server that is stopped
//! in the middle goes on when it starts again.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Server, run};
use crate::support::{Client, Delivery, Receiver, Reply, user};

const API_KEY: &str = "sk_test_0123456789abcdef0123456789abcdef";

const SETTINGS: [(&str, &str); 3] = [
    ("ROLLBOOK_API_KEY", API_KEY),
    ("ROLLBOOK_OUTBOUND_NETWORKS", "127.0.0.0/8"),
    ("ROLLBOOK_WEBHOOK_RETRY", "20"),
];

/// What a command prints, which must succeed.
#[track_caller]
fn webhook(folder: &Path, arguments: &[&str]) -> Value {
    let output = run(folder, &[&["webhook"], arguments].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// A SCIM client of the directory that the first start has made.
fn scim(folder: &Path) -> Client {
    let [base, token, _] = crate::support::process::first_start(folder);
    Client::new(&base, &token, "application/scim+json")
}

fn id(made: &Value) -> String {
    made["id"].as_str().expect("an id").to_owned()
}

#[test]
fn commands_manage_endpoints() {
    let folder = tempfile::tempdir().expect("a folder");
    let _server = Server::start_with(folder.path(), &SETTINGS);
    let folder = folder.path();
    let receiver = Receiver::start();
    let made =
        webhook(folder, &["create", &receiver.url, "--events", "dsync.user.created,dsync.deleted"]);
    assert!(made["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")));
    assert_eq!(made["events"], json!(["dsync.user.created", "dsync.deleted"]));
    let hook = id(&made);
    scim(folder).post("/Users", user("ada@example.com")).expect(201);
    let event = receiver.wait_accepted(1)[0].id();
    assert_eq!(webhook(folder, &["test", &hook])["outcome"], "delivered");
    receiver.wait_accepted(2);
    assert_eq!(webhook(folder, &["pause", &hook])["state"], "paused");
    let replay = webhook(folder, &["replay", &hook, "--event", &event]);
    assert_eq!(webhook(folder, &["replays", &hook])["data"], json!([replay]));
    webhook(folder, &["cancel", &hook, &id(&replay)]);
    assert_eq!(webhook(folder, &["replays", &hook])["data"], json!([]));
    webhook(folder, &["replay", &hook, "--after", "oldest", "--until", "newest"]);
    assert_eq!(webhook(folder, &["resume", &hook])["state"], "enabled");
    assert_eq!(receiver.wait_accepted(3)[2].id(), event);
    let listed = webhook(folder, &["list"]);
    assert_eq!(listed["data"][0]["id"], hook.as_str());
    let rotated = webhook(folder, &["rotate", &hook, "--overlap", "60"]);
    assert_ne!(rotated["secret"], made["secret"]);
    let changed = webhook(folder, &["update", &hook, "--events", "dsync.user.deleted"]);
    assert_eq!(changed["events"], json!(["dsync.user.deleted"]));
    let shown = webhook(folder, &["get", &hook]);
    assert_eq!((&shown["endpoint_url"], &shown["secret"]), (&json!(receiver.url), &Value::Null));
    let log = webhook(folder, &["deliveries", &hook, "--outcome", "delivered", "--limit", "2"]);
    assert_eq!(log["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(webhook(folder, &["parked", &hook])["data"], json!([]));
    webhook(folder, &["delete", &hook]);
    let output = run(folder, &["webhook", "get", &hook]);
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("The webhook endpoint was not found (404"), "{error}");
}

#[test]
fn stop_lets_go_and_a_start_goes_on() {
    const USERS: usize = 60;
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(folder.path(), &SETTINGS);
    let receiver = Receiver::start();
    receiver.answer(|_| Reply::status(200).after(Duration::from_millis(20)));
    let body = json!({"endpoint_url": receiver.url, "events": ["dsync.user.created"]});
    let api = Client::new(&server.url, API_KEY, "application/json");
    api.post("/api/v1/webhook_endpoints", body).expect(201);
    let scim = scim(folder.path());
    for n in 0..USERS {
        scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201);
    }
    receiver.wait_accepted(10);
    assert!(server.stop(), "it ends well");
    let before = receiver.accepted().len();
    assert!(before < USERS, "it was stopped in the middle");
    let _server = Server::start_with(folder.path(), &SETTINGS);
    let got = receiver.wait_accepted(USERS);
    let names: Vec<String> = got.iter().map(Delivery::user_name).collect();
    let expected: Vec<String> = (0..USERS).map(|n| format!("u{n}@example.com")).collect();
    assert_eq!(names, expected, "a stop in good order delivers nothing twice");
}
