//! `rollbook admin`, and the link of the first start.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use super::{Server, rollbook, run};
use crate::support::{Browser, PASSWORD, form_field};

/// Runs a command that reads the password from its input.
fn typed(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = rollbook(folder);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut stdin = child.stdin.take().expect("an input");
    // A command that asks for nothing has ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

#[track_caller]
fn shown(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    if output.stdout.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn administrators_are_made_changed_and_removed_by_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = Server::start(folder);
    let out = |arguments: &[&str]| shown(&run(folder, arguments));
    let create = ["admin", "create", "ada@example.com", "--name", "Ada Lane", "--role", "owner"];
    let refused = run(folder, &create);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--password-stdin"));
    let with_input = [&create[..], &["--password-stdin"]].concat();
    let short = typed(folder, &with_input, "short\n");
    assert!(String::from_utf8_lossy(&short.stderr).contains("at least 12 are needed"));
    let made = shown(&typed(folder, &with_input, &format!("{PASSWORD}\n")));
    assert_eq!((&made["role"], &made["has_password"]), (&json!("owner"), &json!(true)));
    let id = made["id"].as_str().expect("an id");
    let browser = Browser::new(&server.url);
    browser.sign_in("ada@example.com", PASSWORD).expect(303);
    assert_eq!(out(&["admin", "list"])["data"].as_array().map(Vec::len), Some(1));
    let sessions = out(&["admin", "sessions", id]);
    let session = sessions["data"][0]["id"].as_str().expect("a session");
    out(&["admin", "revoke", id, session]);
    browser.get("/console/account").expect(303);
    out(&["admin", "revoke", id]);
    let other = ["admin", "create", "b@example.com", "--name", "B", "--invite"];
    let other = out(&other);
    assert_eq!(other["role"], "viewer");
    assert!(other["invitation_url"].as_str().is_some_and(|url| url.contains("/console/welcome/")));
    let other = other["id"].as_str().expect("an id");
    assert!(out(&["admin", "invite", other])["invitation_url"].is_string());
    assert_eq!(out(&["admin", "set-role", other, "operator"])["role"], "operator");
    let set = ["admin", "set-password", other, "--password-stdin"];
    assert_eq!(shown(&typed(folder, &set, PASSWORD))["has_password"], json!(true));
    Browser::new(&server.url).sign_in("b@example.com", PASSWORD).expect(303);
    out(&["admin", "delete", other]);
    let last = run(folder, &["admin", "delete", id]);
    assert!(String::from_utf8_lossy(&last.stderr).contains("the last owner"));
}

#[test]
fn first_start_shows_a_link_to_the_first_account() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = Server::start(folder);
    let text = fs::read_to_string(folder.join("data/first-start.txt")).expect("the file");
    let line = text.lines().find(|line| line.starts_with("Console ")).expect("a line");
    let link = line.split_whitespace().last().expect("a link");
    let at = link.strip_prefix(&server.url).expect("a link of this server");
    let browser = Browser::new(&server.url);
    let page = browser.get(at).expect(200);
    let (proof, secret) = (form_field(&page, "proof"), form_field(&page, "link"));
    let fields = [
        ("proof", &*proof),
        ("link", &*secret),
        ("email", "ada@example.com"),
        ("name", "Ada Lane"),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    browser.post("/console/welcome", &fields).expect(303);
    let page = browser.get("/console/account").expect(200);
    assert!(page.text.contains("owner"), "{}", page.text);
    browser.get(at).expect(404);
    assert!(!server.log().contains(&secret), "{}", server.log());
}

#[test]
fn link_to_the_first_account_ends_when_somebody_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = Server::start(folder);
    let text = fs::read_to_string(folder.join("data/first-start.txt")).expect("the file");
    let link = text.split_whitespace().last().expect("a link");
    let at = link.strip_prefix(&server.url).expect("a link of this server");
    shown(&run(folder, &["admin", "create", "b@example.com", "--name", "B", "--invite"]));
    Browser::new(&server.url).get(at).expect(404);
}
