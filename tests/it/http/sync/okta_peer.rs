//! The fake of Okta as Okta's own SDK for Python sees it (tests/peers/okta).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::SigningKey;
use crate::support::fakes::okta::{API_TOKEN, CLIENT_ID, start};
use crate::support::peer::peer;

#[test]
fn vendors_sdk_reads_the_fake() {
    let Some(mut client) = peer("okta", "program.py") else { return };
    // The SDK signs with the clock of the machine.
    let fake = start(rollbook::clock::Clock::system().now_ms());
    let (users, staff) = fake.data(|org| {
        org.keys = vec![SigningKey::rsa().jwk("rsa-1")];
        let staff = org.add_group("Staff", "OKTA_GROUP");
        org.add_group("Imported", "APP_GROUP");
        let add = |n: usize| org.add_user(&format!("user{n}@example.com"), json!({}));
        let users: Vec<String> = (1..=5).map(add).collect();
        users.iter().for_each(|user| org.join(&staff, user));
        org.set_status(&users[4], "DEPROVISIONED");
        (users, staff)
    });
    let der = include_bytes!("../../support/keys/first.pkcs8");
    let pem = STANDARD.encode(der);
    let lines: Vec<&str> =
        pem.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    let output = client
        .args([&fake.url, API_TOKEN, CLIENT_ID, "rsa-1", &pem])
        .env("OKTA_TESTING_TESTINGDISABLEHTTPSCHECK", "true")
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let seen: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(seen.len(), 2, "by a token and as a service app");
    for seen in seen {
        let of_status = |status: &str| {
            let all = seen["users"].as_object().expect("users").iter();
            all.filter(|(_, found)| *found == status).map(|(id, _)| id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(of_status("ACTIVE"), users[..4], "{seen}");
        assert_eq!(of_status("DEPROVISIONED"), users[4..], "{seen}");
        assert_eq!(seen["pages"], 3, "{seen}");
        assert_eq!(seen["plain"], json!(users[..4]), "{seen}");
        assert_eq!(seen["deprovisioned"], json!(users[4..]), "{seen}");
        assert_eq!(seen["members"], json!({&staff: users[..4]}), "{seen}");
        assert_eq!(seen["events"].as_array().map(Vec::len), Some(fake.data(|org| org.log.len())));
    }
    let asked = fake.asked();
    assert!(asked.iter().any(|a| a.header("authorization").starts_with("Bearer ")));
}
