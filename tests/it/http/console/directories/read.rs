//! A directory that is read: its files, runs, what they did, decisions; its configuration.

use serde_json::{Value, json};

use super::{done, hides, shows};
use crate::on_both_databases;
use crate::support::{Answer, Browser, TestApp};

on_both_databases![
    file_is_handed_in_tried_and_read,
    held_run_shows_who_goes_and_is_decided_about,
    faults_are_found_among_many_changes,
    connection_is_tested_and_configuration_changed,
    dry_run_goes_by_settings_that_are_tried,
    uploads_of_others_are_refused,
];

fn made(app: &TestApp, kind: &str, config: Value) -> String {
    let body = json!({
        "organization_id": app.directory.organization_id, "name": "Source", "kind": kind,
        "config": config, "settings": {"schedule": "off"},
    });
    let made = app.api.post("/api/v1/directories", body).expect(201);
    format!("/console/directories/{}", made.id())
}

/// Hands in a file with a form of the page.
#[track_caller]
fn hand_in(browser: &Browser, path: &str, proof: Option<&str>, content: &str) -> Answer {
    let (path, name) = (format!("{path}/files"), ("name", "users"));
    match proof {
        None => browser.submit_file(&path, &[name], content),
        Some(proof) => browser.upload(&path, &[("proof", proof), name], ("users.csv", content)),
    }
}

/// Asks for a run and opens its page once it is over.
#[track_caller]
fn run(app: &TestApp, browser: &Browser, path: &str, fields: &[(&str, &str)]) -> (String, Answer) {
    let answer = browser.submit(&format!("{path}/runs"), fields).expect(303);
    let place = answer.header("location").expect("a place");
    let run = place.split('?').next().expect("a path").to_owned();
    ended(app, &run);
    let page = browser.get(&run).expect(200);
    (run, page)
}

/// Waits for the end of the run that the page is about.
#[track_caller]
fn ended(app: &TestApp, page: &str) {
    let api = page.replace("/console/", "/api/v1/").replace("/runs/", "/syncs/");
    app.api.get(&format!("{api}?wait=30")).expect(200);
}

fn numbered(numbers: std::ops::RangeInclusive<u32>) -> String {
    let rows = numbers.map(|n| format!("{n},user{n}@example.com\n"));
    format!("id,userName\n{}", rows.collect::<String>())
}

fn file_is_handed_in_tried_and_read(app: &TestApp) {
    let (browser, path) = (app.signed_in("operator"), made(app, "pull.csv", json!({})));
    let fresh = browser.get(&format!("{path}/runs")).expect(200);
    shows(&fresh, &["No file was handed in.", "It has not been read yet.", "multipart/form-data"]);
    hand_in(&browser, &path, None, &numbered(1..=3)).expect(303);
    shows(&browser.get(&format!("{path}/runs?said=uploaded")).expect(200), &["The file is stored"]);
    let (_, dry) = run(app, &browser, &path, &[("dry_run", "on")]);
    shows(&dry, &["Dry run of", "user1@example.com", "comes", "planned", "badge-completed"]);
    shows(&browser.get(&path).expect(200), &["It has not been read yet."]);
    let (_, read) = run(app, &browser, &path, &[("mode", "full")]);
    shows(&read, &["badge-completed", "<th scope=\"row\">come</th><td class=\"number\">3</td>"]);
    shows(&browser.get(&path).expect(200), &["<div class=\"figure\">3</div>active users"]);
    shows(&browser.get(&format!("{path}/members")).expect(200), &["user2@example.com"]);
    let refused = browser.submit(&format!("{path}/runs"), &[("mode", "odd")]).expect(422);
    shows(&refused, &["mode: it is &#34;odd&#34;"]);
    shows(&done(&browser, &format!("{path}/files/users/delete"), &[]), &["The file is removed."]);
    shows(&hand_in(&browser, &path, None, "").expect(422), &["file: it is empty."]);
}

fn held_run_shows_who_goes_and_is_decided_about(app: &TestApp) {
    let (browser, path) = (app.signed_in("operator"), made(app, "pull.csv", json!({})));
    hand_in(&browser, &path, None, &numbered(1..=12)).expect(303);
    run(app, &browser, &path, &[]);
    hand_in(&browser, &path, None, &numbered(1..=4)).expect(303);
    let (held, page) = run(app, &browser, &path, &[]);
    shows(
        &page,
        &[
            "It waits for your decision.",
            "8 of 12 active users",
            "user5@example.com",
            "goes",
            "is not in the source any more",
            "Approve",
            "Reject",
        ],
    );
    shows(&browser.get(&path).expect(200), &["<strong>run held</strong>", "Decide"]);
    let rejected = done(&browser, &format!("{held}/reject"), &[]);
    shows(&rejected, &["The run is rejected"]);
    shows(&browser.submit(&format!("{held}/approve"), &[]).expect(409), &["The run is rejected"]);
    let (held, _) = run(app, &browser, &path, &[]);
    browser.submit(&format!("{held}/approve"), &[]).expect(303);
    ended(app, &held);
    shows(&browser.get(&held).expect(200), &["badge-completed", "applied"]);
    shows(&browser.get(&path).expect(200), &["<div class=\"figure\">4</div>active users"]);
}

fn faults_are_found_among_many_changes(app: &TestApp) {
    let (browser, path) =
        (app.signed_in("operator"), made(app, "pull.csv", json!({"max_errors": 1})));
    hand_in(&browser, &path, None, &numbered(1..=150)).expect(303);
    // The filter fails for one of them.
    let settings = r#"{"filter": "resource != '7' || payload.nothing == 'x'"}"#;
    let (dry, all) = run(app, &browser, &path, &[("dry_run", "on"), ("settings", settings)]);
    shows(&all, &["Further changes", "user1@example.com"]);
    let faults = browser.get(&format!("{dry}?status=failed")).expect(200);
    shows(&faults, &["aria-current=\"page\">Faults", "failed"]);
    hides(&faults, &["Further changes", "user1@example.com"]);
    assert_eq!(faults.text.matches("data-label=\"Status\">failed").count(), 1);
    let api = dry.replace("/console/", "/api/v1/").replace("/runs/", "/syncs/");
    let found = app.api.get(&format!("{api}/diff?status=failed&limit=2")).expect(200).body;
    assert_eq!((found["data"].as_array().map(Vec::len), &found["next"]), (Some(1), &Value::Null));
    crate::http::assert_invalid(&app.api.get(&format!("{api}/diff?status=odd")), "status");
    browser.get(&format!("{dry}?after=x")).expect(422);
}

fn connection_is_tested_and_configuration_changed(app: &TestApp) {
    let config = json!({"base_url": "https://127.0.0.1:1/scim", "token": "theirs-0123456789abcdef",
        "allow_private_network": true});
    let (browser, path) = (app.signed_in("operator"), made(app, "pull.scim", config));
    let settings = browser.get(&format!("{path}/settings")).expect(200);
    shows(&settings, &["value=\"https://127.0.0.1:1/scim\"", "placeholder=\"stored\""]);
    hides(&settings, &["theirs-0123", "********"]);
    let tested = browser.submit(&format!("{path}/test"), &[]).expect(200);
    shows(&tested, &["The source cannot be read", "Change the configuration"]);
    let changed = [
        ("config.base_url", "https://127.0.0.1:1/other"),
        ("config.group_members", "each"),
        ("config.allow_private_network", "on"),
        ("config.user_filter", "active eq true"),
    ];
    let page = done(&browser, &format!("{path}/source"), &changed);
    shows(&page, &["The configuration is stored.", "https://127.0.0.1:1/other"]);
    let api = path.replace("/console/", "/api/v1/");
    let view = app.api.get(&api).expect(200).body;
    assert_eq!(view["config"]["token"], "********cdef", "a secret that was left empty stays");
    assert_eq!(view["config"]["group_members"], "each");
    let refused = browser.submit(&format!("{path}/source"), &[("config.base_url", "")]);
    shows(&refused.expect(422), &["id=\"config-base-url-fault\""]);
}

fn dry_run_goes_by_settings_that_are_tried(app: &TestApp) {
    let (browser, path) = (app.signed_in("operator"), made(app, "pull.csv", json!({})));
    hand_in(&browser, &path, None, &numbered(1..=3)).expect(303);
    let fields = [
        ("do", "preview"),
        ("settings.schedule", "1h"),
        ("settings.filter", "envelope.resource != '2'"),
        ("settings.guard", "on"),
    ];
    let preview = browser.submit(&format!("{path}/settings"), &fields).expect(200);
    shows(&preview, &["Dry run with these settings", "envelope.resource"]);
    let wanted = r#"{"filter": "envelope.resource != '2'", "schedule": {"every": "1h"}}"#;
    let (_, dry) = run(app, &browser, &path, &[("dry_run", "on"), ("settings", wanted)]);
    shows(&dry, &["user1@example.com", "user3@example.com"]);
    hides(&dry, &["user2@example.com"]);
    let refused = browser.submit(&format!("{path}/runs"), &[("settings", "{")]).expect(422);
    shows(&refused, &["settings: it is not JSON"]);
}

fn uploads_of_others_are_refused(app: &TestApp) {
    let path = made(app, "pull.csv", json!({}));
    let viewer = app.signed_in("viewer");
    hand_in(&viewer, &path, None, &numbered(1..=3)).expect(403);
    let operator = app.signed_in("operator");
    hand_in(&operator, &path, Some("forged"), &numbered(1..=3)).expect(403);
    let broken = operator.send(
        "POST",
        &format!("{path}/files"),
        &[("Content-Type", "multipart/form-data; boundary=b")],
        Some("--b\r\nnothing".to_owned()),
    );
    broken.expect(400);
    let files = app.api.get(&format!("{}/files", path.replace("/console/", "/api/v1/")));
    assert_eq!(files.expect(200).body["data"], json!([]));
}
