//! What a visitor does: choose a provider, take a token, follow the steps, see what arrives.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{link, page};
use crate::on_both_databases;
use crate::support::{Answer, Browser, Client, Database, TestApp, group, user};

on_both_databases![
    provider_is_chosen_once_however_often_the_form_is_sent,
    forms_that_are_sent_at_once_make_one_thing,
    token_is_shown_once_and_breaks_none_before_it,
    steps_are_those_of_the_provider,
    what_arrives_is_shown,
    directories_of_others_are_not_there,
    state_of_the_directory_is_said,
];

/// A session of the test's organization.
fn enter(app: &TestApp) -> (Browser, String) {
    let browser = Browser::entered(&app.url, &link(app, json!({})));
    let proof = browser.proof();
    (browser, proof)
}

/// The text of the first element with that class.
#[track_caller]
fn copied(text: &str, n: usize) -> String {
    let rest = text.split("<code class=\"copy\">").nth(n + 1).expect("something to copy");
    rest.split('<').next().expect("its end").to_owned()
}

/// The value of the hidden field with the newest token.
fn newest(text: &str) -> String {
    let rest = text.split("name=\"newest\" value=\"").nth(1).expect("a field");
    rest.split('"').next().expect("its end").to_owned()
}

#[track_caller]
fn choose(browser: &Browser, proof: &str, provider: &str) -> String {
    let fields = [("proof", proof), ("provider", provider)];
    let answer = browser.post("/setup/directories", &fields).expect(303);
    answer.header("location").expect("a directory").to_owned()
}

fn provider_is_chosen_once_however_often_the_form_is_sent(app: &TestApp) {
    let (browser, proof) = enter(app);
    let okta = choose(&browser, &proof, "okta");
    assert_eq!(choose(&browser, &proof, "okta"), okta);
    let entra = choose(&browser, &proof, "entra");
    assert_ne!(entra, okta);
    let id = okta.rsplit('/').next().expect("an id");
    let shown = app.api.get(&format!("/api/v1/directories/{id}")).expect(200).body;
    assert_eq!(shown["organization_id"], app.directory.organization_id);
    assert_eq!((&shown["kind"], &shown["name"]), (&json!("scim.okta"), &json!("Okta")));
    let tokens = app.api.get(&format!("/api/v1/directories/{id}/tokens")).expect(200);
    assert_eq!(tokens.body["data"], json!([]), "a token is made when somebody asks");
    // One that is talked to is no draft any more: who chooses again wants another.
    let made =
        page(browser.post(&format!("{okta}/tokens"), &[("proof", &proof), ("newest", "")]), 200);
    let scim = Client::new(&copied(&made, 1), &copied(&made, 0), "application/scim+json");
    scim.get("/Users").expect(200);
    let tokens = format!("/api/v1/directories/{id}/tokens");
    while app.api.get(&tokens).body["data"][0]["last_used_at"].is_null() {
        std::thread::yield_now();
    }
    assert_ne!(choose(&browser, &proof, "okta"), okta);
    for provider in ["", "rfc", "strict", "default", "scim.okta", "none", "<b>"] {
        let fields = [("proof", &*proof), ("provider", provider)];
        page(browser.post("/setup/directories", &fields), 422);
    }
    // The test's own, two for Okta and one for Entra.
    app.settle_events();
    let organization = &app.directory.organization_id;
    let told = format!("/events?organization_id={organization}&events=dsync.activated&limit=100");
    let told = app.api.get(&told).expect(200);
    assert_eq!(told.body["data"].as_array().map(Vec::len), Some(4), "{}", told.text);
}

fn forms_that_are_sent_at_once_make_one_thing(app: &TestApp) {
    let (browser, proof) = enter(app);
    let at_once = |path: &str, field: (&str, &str)| -> Vec<Answer> {
        std::thread::scope(|scope| {
            let sent = (0..6).map(|_| {
                let (browser, fields) = (browser.clone(), [("proof", &*proof), field]);
                scope.spawn(move || browser.post(path, &fields))
            });
            let sent: Vec<_> = sent.collect();
            sent.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        })
    };
    let chosen = at_once("/setup/directories", ("provider", "okta"));
    let places: BTreeSet<&str> =
        chosen.iter().map(|answer| answer.header("location").expect("a directory")).collect();
    assert_eq!(places.len(), 1, "{places:?}");
    let place = places.first().expect("one").to_owned();
    let mut made: Vec<u16> =
        at_once(&format!("{place}/tokens"), ("newest", "")).iter().map(|a| a.status).collect();
    made.sort_unstable();
    assert_eq!(made, [200, 409, 409, 409, 409, 409]);
    let id = place.rsplit('/').next().expect("an id");
    let tokens = app.api.get(&format!("/api/v1/directories/{id}/tokens")).expect(200);
    assert_eq!(tokens.body["data"].as_array().map(Vec::len), Some(1));
}

fn token_is_shown_once_and_breaks_none_before_it(app: &TestApp) {
    let (browser, proof) = enter(app);
    let at = format!("/setup/directories/{}", app.directory.id);
    let before = page(browser.get(&at), 200);
    assert_eq!(newest(&before), app.directory.token_id);
    assert!(before.contains(&app.directory.base_url), "{before}");
    assert!(!before.contains(&app.directory.token), "{before}");
    let fields = [("proof", proof.clone()), ("newest", newest(&before))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let made = page(browser.post(&format!("{at}/tokens"), &fields), 200);
    let token = copied(&made, 0);
    assert!(token.starts_with("rbd_"), "{token}");
    assert_eq!(copied(&made, 1), app.directory.base_url);
    // A reload sends the form again.
    let again = page(browser.post(&format!("{at}/tokens"), &fields), 409);
    assert!(again.contains("shown only once") && !again.contains("rbd_"), "{again}");
    let after = page(browser.get(&at), 200);
    assert!(!after.contains(&token), "{after}");
    assert!(after.contains(&format!("<code>{}</code>", &token[token.len() - 4..])), "{after}");
    for (secret, name) in [(&token, "new@example.com"), (&app.directory.token, "old@example.com")] {
        app.scim.with_bearer(Some(secret)).post("/Users", user(name)).expect(201);
    }
    let names: Vec<String> = app.events(&app.directory).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.iter().filter(|name| *name == "dsync.token.created").count(), 2);
    assert!(!names.contains(&"dsync.token.revoked".to_owned()));
    // Nobody fills the directory with tokens.
    for _ in 2..20 {
        let newest = newest(&page(browser.get(&at), 200));
        page(browser.post(&format!("{at}/tokens"), &[("proof", &proof), ("newest", &newest)]), 200);
    }
    let newest = newest(&page(browser.get(&at), 200));
    let full = browser.post(&format!("{at}/tokens"), &[("proof", &proof), ("newest", &newest)]);
    assert!(page(full, 409).contains("20 tokens"));
}

fn steps_are_those_of_the_provider(app: &TestApp) {
    let (browser, proof) = enter(app);
    for (provider, words) in [
        ("okta", "<strong>SCIM connector base URL</strong>"),
        ("entra", "<strong>Tenant URL</strong>"),
        ("keycloak", "<code>/opt/keycloak/providers/</code>"),
        ("generic", "bearer token"),
    ] {
        let text = page(browser.get(&choose(&browser, &proof, provider)), 200);
        assert!(text.contains(words), "{provider}: {text}");
        assert!(!text.contains("**") && !text.contains("rollbook directory"), "{text}");
    }
}

fn what_arrives_is_shown(app: &TestApp) {
    let (browser, _) = enter(app);
    let at = format!("/setup/directories/{}/status", app.directory.id);
    let text = page(browser.get(&at), 200);
    assert!(text.contains("http-equiv=\"refresh\" content=\"5\""), "{text}");
    assert!(text.contains("Waiting for the first request"), "{text}");
    let name = "<b>ada</b>@example.com";
    let ada = app.scim.post("/Users", user(name)).expect(201).id();
    let mut bob = user("bob@example.com");
    bob["active"] = Value::from(false);
    app.scim.post("/Users", bob).expect(201);
    app.scim.post("/Groups", group("Sales", &[&ada])).expect(201);
    app.scim.post("/Users", user(name)).expect(409);
    let text = page(browser.get(&at), 200);
    for words in [
        "Active users</th><td>1</td>",
        "Inactive users</th><td>1</td>",
        "Groups</th><td>1</td>",
        "Last request</th><td>2025-06-15 15:06:40 UTC</td>",
        "add the user &#60;b&#62;ada&#60;/b&#62;@example.com</td>",
        "<td>done</td>",
        "<td>refused (409)</td>",
        "It is there already.",
        "The answer said:",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("<b>ada") && !text.contains("Waiting for"), "{text}");
    let home = page(browser.get("/setup"), 200);
    assert!(
        home.contains("last heard of on") || home.contains("nothing has arrived yet"),
        "{home}"
    );
}

fn directories_of_others_are_not_there(app: &TestApp) {
    let (other, _) = app.directory("scim.okta");
    let (browser, proof) = enter(app);
    let home = page(browser.get("/setup"), 200);
    assert!(home.contains(&app.directory.id) && !home.contains(&other.id), "{home}");
    for id in [other.id.as_str(), &other.external_key, "directory_none"] {
        let at = format!("/setup/directories/{id}");
        let shown = page(browser.get(&at), 404);
        assert!(!shown.contains(&other.external_key), "{shown}");
        page(browser.get(&format!("{at}/status")), 404);
        let fields = [("proof", &*proof), ("newest", &*other.token_id)];
        page(browser.post(&format!("{at}/tokens"), &fields), 404);
    }
    // One that is deleted is gone for the session, too.
    app.api.delete(&format!("/directories/{}", app.directory.id)).expect(202);
    let at = format!("/setup/directories/{}", app.directory.id);
    page(browser.get(&at), 404);
    page(browser.get(&format!("{at}/status")), 404);
    page(browser.post(&format!("{at}/tokens"), &[("proof", &proof), ("newest", "")]), 404);
    assert!(!page(browser.get("/setup"), 200).contains(&app.directory.id));
}

fn state_of_the_directory_is_said(app: &TestApp) {
    let (browser, _) = enter(app);
    let at = format!("/setup/directories/{}", app.directory.id);
    for (state, words) in [("paused", "paused by the operator"), ("disabled", "switched off")] {
        let path = format!("/api/v1/directories/{}", app.directory.id);
        app.api.patch(&path, json!({"state": state})).expect(200);
        for path in ["/setup".to_owned(), at.clone(), format!("{at}/status")] {
            let text = page(browser.get(&path), 200);
            assert!(text.contains(words), "{path}: {text}");
        }
    }
}

/// Each visit has a bucket of its own.
mod visits_have_a_rate_limit {
    use super::*;

    #[test]
    fn sqlite() {
        let app = TestApp::start_with(Database::sqlite(), |config| {
            config.rate_limit = "2/4".parse().expect("a rate");
        });
        let (first, second) = (link(&app, json!({})), link(&app, json!({})));
        let busy = Browser::entered(&app.url, &first);
        for left in ["3", "2", "1", "0"] {
            let answer = busy.get("/setup").expect(200);
            assert_eq!(answer.header("ratelimit-remaining"), Some(left));
        }
        let answer = busy.get("/setup");
        assert_eq!(answer.header("retry-after"), Some("1"));
        let text = page(answer, 429);
        assert!(text.contains("This visit may make 2 requests a second"), "{text}");
        let metrics = app.api.with_bearer(None).get("/metrics").text;
        let refused = "rollbook_rate_limited_total{surface=\"portal\",provider=\"\"} 1";
        assert!(metrics.contains(refused), "{metrics}");
        page(Browser::entered(&app.url, &second).get("/setup"), 200);
    }
}
