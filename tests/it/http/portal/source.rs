//! A directory that is read, from its form to what a run did.

use serde_json::{Value, json};

use super::{enter, led, page};
use crate::on_both_databases;
use crate::support::{Browser, TestApp};

on_both_databases![
    source_is_connected_tested_tried_and_read,
    faults_stand_beside_their_fields_and_secrets_nowhere,
    directory_that_is_pushed_has_no_source_to_narrow,
    form_that_is_sent_twice_makes_one_directory,
    held_run_is_the_customers_unless_the_operator_decides,
];

const USERS: &str = "id,userName,active\n1,ada@example.com,true\n2,bob@example.com,true\n";

fn csv(browser: &Browser, proof: &str) -> String {
    led(browser, proof, "/setup/sources/pull.csv", &[])
}

/// The run's page once it is over.
#[track_caller]
fn ended(app: &TestApp, browser: &Browser, place: &str) -> String {
    let run = place.replace("/setup/", "/api/v1/").replace("/runs/", "/syncs/");
    app.api.get(&format!("{run}?wait=30")).expect(200);
    page(browser.get(place), 200)
}

fn source_is_connected_tested_tried_and_read(app: &TestApp) {
    let (browser, proof) = enter(app);
    let home = page(browser.get("/setup"), 200);
    assert!(home.contains("/setup/sources/pull.ldap"), "{home}");
    let at = csv(&browser, &proof);
    led(&browser, &proof, &format!("{at}/files/users"), &[("content", USERS)]);
    let tested = page(browser.post(&format!("{at}/test"), &[("proof", &proof)]), 200);
    assert!(tested.contains("can be read") && tested.contains("2 users"), "{tested}");
    let dry = led(&browser, &proof, &format!("{at}/sync"), &[("dry_run", "yes")]);
    let text = ended(app, &browser, &dry);
    assert!(text.contains("ada@example.com") && text.contains("comes in"), "{text}");
    // Other settings are tried before they are put.
    let wanted = [
        ("filter", "envelope.kind != 'account' || payload.userName.startsWith('ada')"),
        ("groups", "yes"),
        ("scope", ""),
        ("do", "preview"),
    ];
    let dry = led(&browser, &proof, &format!("{at}/scope"), &wanted);
    let text = ended(app, &browser, &dry);
    assert!(text.contains("ada@example.com") && !text.contains("bob@example.com"), "{text}");
    led(&browser, &proof, &format!("{dry}/apply"), &[]);
    let path = at.replace("/setup/", "/api/v1/");
    let settings = app.api.get(&path).expect(200).body["settings"].clone();
    assert!(settings["filter"].as_str().is_some_and(|filter| filter.contains("ada")), "{settings}");
    let row = app.api.get("/api/v1/audit?limit=1").expect(200).body["data"][0].clone();
    assert_eq!(
        (&row["action"], &row["actor"]["type"]),
        (&json!("directory.updated"), &json!("portal_link"))
    );
    assert_eq!(settings["schedule"], "off", "nothing is read by itself before somebody says so");
    let run =
        led(&browser, &proof, &format!("{at}/schedule"), &[("every", "off"), ("start", "yes")]);
    let text = ended(app, &browser, &run);
    assert!(
        text.contains("What happened") && text.contains("<td data-label=\"Come\">1</td>"),
        "{text}"
    );
    assert!(text.contains("who came is not listed"), "{text}");
    let faulty = [("proof", &*proof), ("filter", "payload."), ("do", "save")];
    let text = page(browser.post(&format!("{at}/scope"), &faulty), 422);
    assert!(text.contains("class=\"fault\"") && text.contains("payload."), "{text}");
}

fn faults_stand_beside_their_fields_and_secrets_nowhere(app: &TestApp) {
    let (browser, proof) = enter(app);
    let form = page(browser.get("/setup/sources/pull.ldap"), 200);
    for kind in ["pull.aws", "pull.entra", "pull.google", "pull.okta", "pull.scim", "pull.csv"] {
        page(browser.get(&format!("/setup/sources/{kind}")), 200);
    }
    assert!(
        form.contains("type=\"password\"") && !form.contains("allow_private_network"),
        "{form}"
    );
    let fields = [
        ("proof", &*proof),
        ("config.bind_password", "s3cret-s3cret-s3cret"),
        ("config.user_base", "dc=x"),
    ];
    let text = page(browser.post("/setup/sources/pull.ldap", &fields), 422);
    assert!(text.contains("it is required.") && text.contains("value=\"dc=x\""), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    page(browser.get("/setup/sources/pull.none"), 404);
    let organization = &app.directory.organization_id;
    let path = format!("/api/v1/directories?organization_id={organization}");
    let directories = app.api.get(&path).expect(200);
    assert_eq!(directories.body["data"].as_array().map(Vec::len), Some(1));
}

fn directory_that_is_pushed_has_no_source_to_narrow(app: &TestApp) {
    let (browser, proof) = enter(app);
    let at = format!("/setup/directories/{}", app.directory.id);
    let scope = [("proof", &*proof), ("filter", "false"), ("groups", "yes"), ("do", "save")];
    page(browser.post(&format!("{at}/scope"), &scope), 409);
    page(browser.post(&format!("{at}/schedule"), &[("proof", &proof), ("every", "1h")]), 409);
    let stored = app.api.get(&format!("/api/v1/directories/{}", app.directory.id)).expect(200);
    assert_eq!(stored.body["settings"], json!({}));
}

fn form_that_is_sent_twice_makes_one_directory(app: &TestApp) {
    let (browser, proof) = enter(app);
    let newest = ("newest", app.directory.id.as_str());
    let first = led(&browser, &proof, "/setup/sources/pull.csv", &[newest]);
    assert_eq!(led(&browser, &proof, "/setup/sources/pull.csv", &[newest]), first);
    let shown = ("newest", first.rsplit('/').next().expect("an id"));
    assert_ne!(led(&browser, &proof, "/setup/sources/pull.csv", &[shown]), first);
    // Nobody pushes into it.
    page(browser.post(&format!("{first}/tokens"), &[("proof", &proof), ("newest", "")]), 409);
}

fn held_run_is_the_customers_unless_the_operator_decides(app: &TestApp) {
    let (browser, proof) = enter(app);
    let at = csv(&browser, &proof);
    let path = at.replace("/setup/", "/api/v1/");
    let many: String = (0..30).map(|n| format!("{n},u{n}@example.com,true\n")).collect();
    let upload = |rows: &str| {
        let content = format!("id,userName,active\n{rows}");
        led(&browser, &proof, &format!("{at}/files/users"), &[("content", &content)]);
    };
    let run = || led(&browser, &proof, &format!("{at}/sync"), &[]);
    upload(&many);
    ended(app, &browser, &run());
    upload("0,u0@example.com,true\n");
    let held = run();
    let text = ended(app, &browser, &held);
    assert!(text.contains("nothing was taken away yet") && text.contains("29 users"), "{text}");
    assert!(text.contains("Let it go ahead"), "{text}");
    let settings = json!({"settings": {"schedule": "off", "operator_decides": true}});
    app.api.patch(&path, settings).expect(200);
    let held = run();
    let text = ended(app, &browser, &held);
    assert!(!text.contains("Let it go ahead"), "{text}");
    page(browser.post(&format!("{held}/approve"), &[("proof", &proof)]), 403);
    led(&browser, &proof, &format!("{held}/reject"), &[]);
    app.api.patch(&path, json!({"settings": {"schedule": "off"}})).expect(200);
    let held = run();
    ended(app, &browser, &held);
    led(&browser, &proof, &format!("{held}/approve"), &[]);
    ended(app, &browser, &held);
    let users = app.api.get(&format!("{path}/users?limit=100")).expect(200).body;
    let users = users["data"].as_array().map(Vec::len);
    assert_eq!(users, Some(1), "{}", Value::from(users));
    // Decided twice is decided once.
    page(browser.post(&format!("{held}/approve"), &[("proof", &proof)]), 409);
}
