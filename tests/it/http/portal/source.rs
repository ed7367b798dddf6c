//! A directory that is read, from its form to what a run did.

use serde_json::{Value, json};

use super::{connected, ended, enter, hand_in, led, page, source_form};
use crate::http::sync::tested::UnderTest;
use crate::on_both_databases;
use crate::support::{Browser, TestApp};

on_both_databases![
    source_is_connected_tested_tried_and_read,
    faults_stand_beside_their_fields_and_secrets_nowhere,
    directory_that_is_pushed_has_no_source_to_narrow,
    form_that_is_sent_twice_makes_one_directory,
    form_that_is_corrected_after_the_way_back_is_applied,
    secret_keeps_its_blanks,
    file_is_chosen_or_pasted_and_its_faults_are_named,
    file_that_cannot_be_checked_now_is_kept_and_it_is_said_so,
    held_run_is_the_customers_unless_the_operator_decides,
    held_run_shows_what_the_last_hour_has_taken,
];

const USERS: &str = "id,userName,active\n1,ada@example.com,true\n2,bob@example.com,true\n";

fn csv(browser: &Browser, proof: &str) -> String {
    connected(browser, proof, "pull.csv", &[])
}

fn source_is_connected_tested_tried_and_read(app: &TestApp) {
    let (browser, proof) = enter(app);
    let home = page(browser.get("/setup"), 200);
    assert!(home.contains("/setup/sources/pull.ldap"), "{home}");
    let at = csv(&browser, &proof);
    hand_in(&browser, &proof, &at, USERS).expect(303);
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
    for kind in ["pull.aws", "pull.entra", "pull.google", "pull.okta", "pull.scim", "pull.csv"] {
        source_form(&browser, kind);
    }
    let (path, draft) = source_form(&browser, "pull.ldap");
    let form = page(browser.get(&path), 200);
    assert!(
        form.contains("type=\"password\"") && !form.contains("allow_private_network"),
        "{form}"
    );
    let fields = [
        ("proof", &*proof),
        ("draft", &*draft),
        ("config.bind_password", "s3cret-s3cret-s3cret"),
        ("config.user_base", "dc=x"),
    ];
    let text = page(browser.post("/setup/sources/pull.ldap", &fields), 422);
    assert!(text.contains("it is required.") && text.contains("value=\"dc=x\""), "{text}");
    // The summary leads to the field, and the field names what is wrong with it.
    assert!(
        text.contains("autofocus") && text.contains("<a href=\"#config-url\">URL</a>"),
        "{text}"
    );
    let field = text.split("<input id=\"config-url\"").nth(1).expect("the field");
    let field = field.split('>').next().expect("its end");
    let described = "aria-describedby=\"config-url-hint config-url-fault\"";
    for part in ["required", described, "aria-invalid=\"true\""] {
        assert!(field.contains(part), "{field}");
    }
    assert!(text.contains("id=\"config-url-fault\""), "{text}");
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
    let (_, draft) = source_form(&browser, "pull.csv");
    let send = |draft: &str| {
        let fields = [("draft", draft), ("config.key", "userName")];
        led(&browser, &proof, "/setup/sources/pull.csv", &fields)
    };
    let first = send(&draft);
    let row = || app.api.get("/api/v1/audit?limit=1").expect(200).body["data"][0]["id"].clone();
    let made = row();
    assert_eq!(send(&draft), first);
    assert_eq!(row(), made, "what was sent twice was done once");
    assert_ne!(connected(&browser, &proof, "pull.csv", &[]), first);
    // A form of another session or another kind makes nothing.
    let (others, their_proof) = enter(app);
    for (browser, proof, kind) in
        [(&others, &their_proof, "pull.csv"), (&browser, &proof, "pull.scim")]
    {
        let fields = [("proof", &**proof), ("draft", &*draft)];
        page(browser.post(&format!("/setup/sources/{kind}"), &fields), 422);
    }
    // Nobody pushes into it.
    page(browser.post(&format!("{first}/tokens"), &[("proof", &proof), ("newest", "")]), 409);
}

fn form_that_is_corrected_after_the_way_back_is_applied(app: &TestApp) {
    let (browser, proof) = enter(app);
    let (path, draft) = source_form(&browser, "pull.scim");
    let send = |url: &str, token: &str| {
        let fields = [("draft", &*draft), ("config.base_url", url), ("config.token", token)];
        led(&browser, &proof, "/setup/sources/pull.scim", &fields)
    };
    let at = send("https://wrong.example/scim", "theirs-0123456789");
    assert_eq!(send("https://right.example/scim", "theirs-9876543210"), at);
    let api = at.replace("/setup/", "/api/v1/");
    let config = app.api.get(&api).expect(200).body["config"].clone();
    let expected = json!({"base_url": "https://right.example/scim", "token": "********3210"});
    assert_eq!(config, expected);
    // A secret that the browser has forgotten stays.
    assert_eq!(send("https://right.example/scim/v2", ""), at);
    let config = app.api.get(&api).expect(200).body["config"].clone();
    assert_eq!(config["token"], "********3210");
    // Whoever opens the form again finds the directory that it has made.
    let again = browser.get(&path).expect(303);
    assert_eq!(again.header("location"), Some(&*format!("{at}/source")));
    // One that was deleted is not made again.
    app.api.delete(&api).expect(202);
    let fields = [
        ("proof", &*proof),
        ("draft", &*draft),
        ("config.base_url", "https://a.example/scim"),
        ("config.token", "x"),
    ];
    page(browser.post("/setup/sources/pull.scim", &fields), 404);
}

fn secret_keeps_its_blanks(app: &TestApp) {
    let (browser, proof) = enter(app);
    let fields =
        [("config.base_url", " https://a.example/scim "), ("config.token", " theirs-0123456789  ")];
    let at = connected(&browser, &proof, "pull.scim", &fields);
    let config = app.api.get(&at.replace("/setup/", "/api/v1/")).expect(200).body["config"].clone();
    let expected = json!({"base_url": "https://a.example/scim", "token": "********89  "});
    assert_eq!(config, expected);
}

fn file_is_chosen_or_pasted_and_its_faults_are_named(app: &TestApp) {
    let (browser, proof) = enter(app);
    let at = csv(&browser, &proof);
    let form = page(browser.get(&at), 200);
    assert!(
        form.contains("type=\"file\" id=\"file-users\"") && form.contains("multipart"),
        "{form}"
    );
    let bytes = || {
        let files = app.api.get(&format!("{}/files", at.replace("/setup/", "/api/v1/")));
        files.expect(200).body["data"][0]["bytes"].clone()
    };
    hand_in(&browser, &proof, &at, USERS).expect(303);
    assert_eq!(bytes(), json!(USERS.len()));
    let pasted = "id,userName\n1,ada@example.com\n";
    let fields = [("proof", &*proof), ("content", pasted)];
    browser.upload(&format!("{at}/files/users"), &fields, ("", "")).expect(303);
    assert_eq!(bytes(), json!(pasted.len()));
    // What cannot be used is named by its line.
    let faulty = "id,userName\n1,ada@example.com\n,bob@example.com\n1,eve@example.com\n4,dan,x\n";
    let text = page(hand_in(&browser, &proof, &at, faulty), 200);
    assert!(text.contains("The file was taken with 3 faults"), "{text}");
    for line in ["line 3 of users", "line 4 of users", "line 5 of users"] {
        assert!(text.contains(&format!("<strong>{line}</strong>: ")), "{line}: {text}");
    }
    let text = page(hand_in(&browser, &proof, &at, "colour\nred\n"), 200);
    assert!(text.contains("it has no column for the key"), "{text}");
    let text = page(hand_in(&browser, &proof, &at, ""), 422);
    assert!(text.contains("<a href=\"#file-users\">File users</a>: it is empty."), "{text}");
    page(hand_in(&browser, "forged", &at, USERS), 403);
    page(browser.post(&format!("{at}/files/users"), &[("proof", &*proof), ("content", "x")]), 415);
}

fn file_that_cannot_be_checked_now_is_kept_and_it_is_said_so(app: &TestApp) {
    let (browser, proof) = enter(app);
    let at = csv(&browser, &proof);
    let tests = [UnderTest::begin(app), UnderTest::begin(app)];
    let text = page(hand_in(&browser, &proof, &at, USERS), 200);
    let said = ["The file was kept, but it was not checked.", "Two directories", "try again"];
    said.iter().for_each(|said| assert!(text.contains(said), "{said} in {text}"));
    let files = app.api.get(&format!("{}/files", at.replace("/setup/", "/api/v1/"))).expect(200);
    assert_eq!(files.body["data"][0]["bytes"], json!(USERS.len()));
    for test in tests {
        test.end();
    }
    hand_in(&browser, &proof, &at, USERS).expect(303);
}

fn held_run_is_the_customers_unless_the_operator_decides(app: &TestApp) {
    let (browser, proof) = enter(app);
    let at = csv(&browser, &proof);
    let path = at.replace("/setup/", "/api/v1/");
    let many: String = (0..30).map(|n| format!("{n},u{n}@example.com,true\n")).collect();
    let upload = |rows: &str| {
        let content = format!("id,userName,active\n{rows}");
        hand_in(&browser, &proof, &at, &content).expect(303);
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

fn held_run_shows_what_the_last_hour_has_taken(app: &TestApp) {
    let (browser, proof) = enter(app);
    let at = csv(&browser, &proof);
    let read = |users: u32| {
        let rows: String = (0..users).map(|n| format!("{n},u{n}@example.com,true\n")).collect();
        hand_in(&browser, &proof, &at, &format!("id,userName,active\n{rows}")).expect(303);
        ended(app, &browser, &led(&browser, &proof, &format!("{at}/sync"), &[]))
    };
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    read(40);
    let text = words(read(37));
    assert!(!text.contains("nothing was taken away yet"), "{text}");
    let text = words(read(34));
    let said = "3 users, 0 memberships. Runs of the last hour have taken away 3 users and 0 memberships before, \
                which count as well. The list below says who.";
    assert!(text.contains("nothing was taken away yet") && text.contains(said), "{text}");
}
