//! Commands, with and without a running server.

use serde_json::Value;

use super::{Server, rollbook, run};

fn json(output: &std::process::Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// The life of a directory by command.
fn life_of_a_directory(folder: &std::path::Path) {
    let organization =
        json(&run(folder, &["organization", "create", "Example", "--external-id", "e1"]));
    assert_eq!(organization["external_id"], "e1");
    let id = text(&organization["id"]);
    let directory = json(&run(
        folder,
        &["directory", "create", "Okta", "--organization", &id, "--kind", "scim.okta"],
    ));
    assert!(text(&directory["token"]["secret"]).starts_with("rbd_"));
    let directory_id = text(&directory["id"]);
    let token = json(&run(folder, &["token", "create", &directory_id, "--scope", "read"]));
    assert_eq!(token["scope"], "read");
    let tokens = json(&run(folder, &["token", "list", &directory_id]));
    assert_eq!(tokens["data"].as_array().expect("a list").len(), 2);
    let rotate = ["token", "rotate", &directory_id, &text(&token["id"]), "--overlap", "60"];
    let successor = json(&run(folder, &rotate));
    assert_eq!(successor["replaces"]["id"], token["id"]);
    assert_eq!(successor["scope"], "read");
    let client = json(&run(folder, &["oauth-client", "create", &directory_id, "--name", "Ping"]));
    assert!(text(&client["client_secret"]).starts_with("rbc_"));
    let jwks = folder.join("keys.json");
    let set = crate::support::SigningKey::ec().jwks("e");
    std::fs::write(&jwks, set.to_string()).expect("written");
    let jwks = jwks.to_str().expect("UTF-8");
    let create = ["oauth-client", "create", &directory_id, "--jwks", jwks, "--scope", "read"];
    let signer = json(&run(folder, &create));
    assert_eq!(signer["auth_method"], "private_key_jwt");
    assert_eq!(signer["jwks"], set);
    let clients = json(&run(folder, &["oauth-client", "list", &directory_id]));
    assert_eq!(clients["data"].as_array().expect("a list").len(), 2);
    let delete = ["oauth-client", "delete", &directory_id, &text(&client["client_id"])];
    assert!(run(folder, &delete).status.success());
    let missing = ["oauth-client", "create", &directory_id, "--jwks", "no/such/file"];
    assert!(!run(folder, &missing).status.success());
    let revoked = run(folder, &["token", "revoke", &directory_id, &text(&token["id"])]);
    assert!(revoked.status.success());
    let paused = json(&run(folder, &["directory", "pause", &directory_id]));
    assert_eq!(paused["state"], "paused");
    let resumed = json(&run(folder, &["directory", "resume", &directory_id]));
    assert_eq!(resumed["state"], "linked");
    let hide = "{\"inactive_users\": \"delete\"}";
    let preview = json(&run(folder, &["directory", "settings", &directory_id, hide, "--preview"]));
    assert_eq!(preview["users"], 0);
    assert_eq!(
        json(&run(folder, &["directory", "get", &directory_id]))["settings"],
        Value::from(serde_json::Map::new())
    );
    let set = json(&run(folder, &["directory", "settings", &directory_id, hide]));
    assert_eq!(set["settings"]["inactive_users"], "delete");
    let wrong = run(folder, &["directory", "settings", &directory_id, "inactive"]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("settings"));
    let profile = json(&run(
        folder,
        &[
            "directory",
            "profile",
            &directory_id,
            "--set",
            "bulk=false",
            "--set",
            "negative_count=max",
        ],
    ));
    assert_eq!(profile["overrides"], serde_json::json!({"bulk": false, "negative_count": "max"}));
    let profile = json(&run(folder, &["directory", "profile", &directory_id, "--unset", "bulk"]));
    assert_eq!(profile["overrides"], serde_json::json!({"negative_count": "max"}));
    assert_eq!(json(&run(folder, &["directory", "profile", &directory_id])), profile);
    assert_eq!(profile["flags"]["group_display_name_unique"]["from"], "provider");
    let wrong = run(folder, &["directory", "profile", &directory_id, "--set", "bulk=perhaps"]);
    assert!(!wrong.status.success());
    let message = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(message.contains("overrides.bulk") && message.contains("perhaps"), "{message}");
    let file = folder.join("map.json");
    let path = file.to_str().expect("UTF-8");
    std::fs::write(&file, r#"{"login": {"expression": "raw.userName"}}"#).expect("written");
    let map = ["directory", "attribute-map", &directory_id];
    let preview = json(&run(folder, &[&map[..], &["--set", path, "--preview"]].concat()));
    assert_eq!(preview["changed"], 0);
    let put = json(&run(folder, &[&map[..], &["--set", path]].concat()));
    assert_eq!(put["attributes"]["login"]["expression"], "raw.userName");
    assert_eq!(json(&run(folder, &map)), put);
    assert!(!run(folder, &[&map[..], &["--preview"]].concat()).status.success());
    let faults = json(&run(folder, &["directory", "attribute-faults", &directory_id]));
    assert_eq!(faults["data"], serde_json::json!([]));
    std::fs::write(&file, r#"{"default_role": "member"}"#).expect("written");
    let put = json(&run(folder, &["directory", "role-map", &directory_id, "--set", path]));
    assert_eq!(put["default_role"], "member");
    let key = json(&run(folder, &["api-key", "create", "Reader", "--scopes", "read,webhooks"]));
    assert!(text(&key["secret"]).starts_with("sk_"));
    assert!(run(folder, &["directory", "delete", &directory_id]).status.success());
}

#[test]
fn commands_work_without_a_server() {
    let folder = tempfile::tempdir().expect("a folder");
    life_of_a_directory(folder.path());
}

#[test]
fn commands_reach_the_running_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    life_of_a_directory(folder.path());
    assert_eq!(json(&run(folder.path(), &["health"]))["status"], "ok");
    assert!(server.stop());
    assert!(!run(folder.path(), &["health"]).status.success());
}

#[test]
fn reader_that_has_seen_enough_ends_a_command_quietly() {
    use std::process::Stdio;
    let folder = tempfile::tempdir().expect("a folder");
    // The first command makes the installation, and says so.
    let first = run(folder.path(), &["organization", "list"]);
    assert!(String::from_utf8_lossy(&first.stderr).contains("first-start.txt"), "{first:?}");
    let mut command = rollbook(folder.path());
    command.args(["organization", "list"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn refusal_is_told_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(
        folder.path(),
        &["directory", "create", "X", "--organization", "org_x", "--kind", "scim.nobody"],
    );
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("scim.nobody") && message.contains("scim.okta"), "{message}");
}

#[test]
fn migrate_says_what_it_did() {
    let folder = tempfile::tempdir().expect("a folder");
    let applied = json(&run(folder.path(), &["migrate"]));
    assert!(!applied["applied"].as_array().expect("a list").is_empty());
    let nothing = json(&run(folder.path(), &["migrate"]));
    assert!(nothing["applied"].as_array().expect("a list").is_empty());
}
