//! Microsoft's own client reads the fake that `pull.entra` is tried against, and finds nothing that is not
//! as Microsoft describes it.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::{Value, json};
use ureq::Agent;

use crate::support::fakes::graph::{CLIENT, Graph, SECRET, TENANT};
use crate::support::peer::peer;

fn token(url: &str) -> String {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("client_secret", SECRET),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    let url = format!("{url}/{TENANT}/oauth2/v2.0/token");
    let mut answer = Agent::new_with_defaults().post(url).send_form(form).expect("a token");
    let text = answer.body_mut().read_to_string().expect("a body");
    let body: Value = serde_json::from_str(&text).expect("JSON");
    body["access_token"].as_str().expect("a token").to_owned()
}

#[test]
fn heavy_vendors_client_reads_the_fake() {
    let Some(mut client) = peer("graph", "program.py") else { return };
    let fake = Graph::start(5, 1_750_000_000);
    fake.data(|graph| {
        graph.page = 2;
        graph.put_user("u001", json!({"jobTitle": "Engineer", "department": "R&D"}));
        graph.set_manager("u001", "u005");
        graph.put_user("guest", json!({"userType": "Guest"}));
        graph.add_group("g2", "Outer");
        graph.join("g2", "g1");
    });
    let mut child = client
        .args([format!("{}/v1.0", fake.url), token(&fake.url)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut line = || lines.next().and_then(Result::ok).unwrap_or_default();
    let first = line();
    fake.data(|graph| {
        graph.put_user("u001", json!({"jobTitle": null}));
        graph.remove_user("u002", "changed");
        graph.remove_user("u003", "deleted");
        graph.leave("g1", "u004");
    });
    let _ = child.stdin.take().expect("its input").write_all(b"\n");
    let second = line();
    let output = child.wait_with_output().expect("it ends");
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{faults}");

    let read: Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!((&read["list"]["pages"], &read["list"]["rows"]), (&json!(3), &json!(6)));
    let ada = json!({"name": "u001@example.com", "enabled": true, "title": "Engineer",
        "manager": "u005"});
    assert_eq!(read["list"]["users"]["u001"], ada);
    assert_eq!(read["some"], json!([["u001", "R&D"], ["u003", null]]));
    assert_eq!(read["guests"], 1);
    assert_eq!(read["users_delta"]["users"].as_object().map(serde_json::Map::len), Some(6));
    assert_eq!(read["groups_delta"]["groups"], json!({"g1": "Everybody", "g2": "Outer"}));
    assert_eq!(read["groups_delta"]["members"].as_array().map(Vec::len), Some(6));

    let read: Value = serde_json::from_str(&second).expect("JSON");
    let changed =
        json!({"users": {"u001": null}, "removed": {"u002": "changed", "u003": "deleted"}});
    assert_eq!(read["users_delta"], changed);
    let left = json!([["g1", "u002", false], ["g1", "u003", false], ["g1", "u004", false]]);
    assert_eq!(read["groups_delta"], json!({"groups": {}, "members": left}));
}
