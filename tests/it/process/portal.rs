//! Setup links by command, and that no log shows them.

use serde_json::Value;

use super::{Server, run};
use crate::support::{Browser, link_secret};

fn json(output: &std::process::Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn link_by_command_opens_the_pages_and_is_in_no_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let organization = json(&run(folder, &["organization", "create", "Example"]));
    let organization = organization["id"].as_str().expect("an id");
    let server = Server::start_with(
        folder,
        &[("ROLLBOOK_LOG", "trace"), ("ROLLBOOK_PORTAL_ORIGINS", "https://app.example.com")],
    );
    let make = |more: &[&str]| run(folder, &[&["portal", "link", organization], more].concat());
    let made = json(&make(&["--return-url", "https://app.example.com/", "--expires-in", "3600"]));
    let link = made["link"].as_str().expect("a link");
    let refused = make(&["--success-url", "https://evil.example/"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("success_url"));
    let browser = Browser::entered(&server.url, link);
    let proof = browser.proof();
    let chosen = browser.post("/setup/directories", &[("proof", &proof), ("provider", "okta")]);
    let at = chosen.expect(303).header("location").expect("a directory").to_owned();
    let fields = [("proof", &*proof), ("newest", "")];
    let token = browser.post(&format!("{at}/tokens"), &fields).expect(200).text;
    let token = token.split("rbd_").nth(1).expect("a token").split('<').next().expect("its end");
    let revoked = run(folder, &["portal", "revoke", organization]);
    assert!(revoked.status.success() && revoked.stdout.is_empty());
    browser.get("/setup").expect(403);
    let log = server.log();
    assert!(log.contains("request_id") && log.contains("TRACE"), "the log is there, whole");
    let cookies = browser.cookie_header();
    let cookies = cookies.split("; ").filter_map(|pair| Some(pair.split_once('=')?.1));
    for secret in [&link_secret(link)[4..], token, &proof].into_iter().chain(cookies) {
        assert!(secret.len() > 20, "{secret}");
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a secret is in the log");
    }
}
