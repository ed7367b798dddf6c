//! `rollbook brake` and `rollbook alarms`.

use serde_json::{Value, json};

use super::{Server, first_start, run};
use crate::support::{Client, user};

#[test]
fn brake_is_set_shown_released_and_undone_by_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = Server::start(folder);
    let out = |arguments: &[&str]| -> Value {
        let output = run(folder, arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let [base, token, _] = first_start(folder);
    let path = base.split_once("/scim/").expect("a SCIM URL").1;
    let scim = Client::new(&format!("{}/scim/{path}", server.url), &token, "application/scim+json");
    let directories = out(&["directory", "list"]);
    let directory = directories["data"][0]["id"].as_str().expect("an id");

    let limits = r#"{"users": {"at_least": 1, "more_than": 1, "percent": 100}}"#;
    let set = out(&["brake", "set", directory, "hold", "--limits", limits]);
    assert_eq!((&set["mode"], &set["state"]), (&json!("hold"), &json!("open")));
    let mut ids = Vec::new();
    for name in ["a@example.com", "b@example.com", "c@example.com"] {
        ids.push(scim.post("/Users", user(name)).expect(201).id());
    }
    let take_away = |ids: &[String]| {
        for id in ids {
            scim.delete(&format!("/Users/{id}")).expect(204);
        }
    };
    take_away(&ids[..2]);
    let shown = out(&["brake", "show", directory]);
    assert_eq!((&shown["state"], &shown["held"]["events"]), (&json!("holding"), &json!(1)));
    let alarms = out(&["alarms", "--kind", "brake", "--directory", directory]);
    assert_eq!(alarms["data"].as_array().map(Vec::len), Some(1));
    let report = out(&["brake", "undo", directory, "--dry-run"]);
    assert_eq!((&report["dry_run"], &report["lost"]["users_deleted"]), (&json!(true), &json!(1)));
    let report = out(&["brake", "undo", directory]);
    assert_eq!(report["not_restored"], json!([]));
    scim.get(&format!("/Users/{}", ids[1])).expect(200);
    let refused = run(folder, &["brake", "release", directory]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("No events of this directory wait"));

    take_away(&ids[1..]);
    assert_eq!(out(&["brake", "release", directory])["state"], "open");
    assert_eq!(out(&["alarms"])["data"], json!([]));
    assert_eq!(out(&["alarms", "--state", "all"])["data"].as_array().map(Vec::len), Some(2));
    let wrong = run(folder, &["brake", "set", directory, "hold", "--limits", "many"]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("it is not JSON"));
}
