//! Google's own client reads the fake that `pull.google` is tried against, and finds nothing that is not as
//! Google describes it.

use serde_json::{Value, json};

use crate::support::fakes::google::{ADMINISTRATOR, Google, member, service_account_key, user};
use crate::support::peer::peer;

#[test]
fn vendors_client_reads_the_fake() {
    let Some(mut client) = peer("google", "program.py") else { return };
    let fake = Google::start(250, rollbook::clock::Clock::system().now_ms() / 1000);
    fake.data(|google| {
        google.user("1")["suspended"] = true.into();
        google.user("1")["suspensionReason"] = "ADMIN".into();
        let ada = google.user("2");
        ada["organizations"] = json!([{"title": "Engineer", "costCenter": "7", "primary": true}]);
        ada["relations"] = json!([{"type": "manager", "value": "user1@example.com"}]);
        ada["customSchemas"] = json!({"Badge": {"number": "9"}});
        google.users.push(user("900", "gone@example.com"));
        google.delete("900");
        google.add_group(
            "g2",
            "outer@example.com",
            vec![
                member("GROUP", "g1", "all@example.com"),
                member("CUSTOMER", "C0example", ""),
                member("EXTERNAL", "", "ada@elsewhere.example"),
            ],
        );
        google.add_group("g3", "empty@example.com", Vec::new());
    });
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key.json");
    std::fs::write(&key, service_account_key()).expect("the key is written");
    let token_url = format!("{}/token", fake.url);
    let output = client
        .args([fake.url.as_str(), token_url.as_str()])
        .arg(&key)
        .arg(ADMINISTRATOR)
        .output()
        .expect("Python runs");
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{faults}");
    let read: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(read["users"].as_array().map(Vec::len), Some(251));
    assert_eq!(read["deleted"], json!(["900"]));
    assert_eq!(read["members"]["g1"].as_array().map(Vec::len), Some(250));
    let outer = json!(["g1", "C0example", "ada@elsewhere.example"]);
    assert_eq!((&read["members"]["g2"], &read["members"]["g3"]), (&outer, &json!([])));
    // It proved itself, and went from page to page.
    let asked = fake.asked();
    assert!(asked.iter().any(|asked| asked.target == "/token"));
    assert!(asked.iter().filter(|asked| !asked.param("pageToken").is_empty()).count() >= 3);
}
