//! What a visitor does: choose a provider, take a token, follow the steps, see what arrives.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use rollbook::service::on_behalf_of;
use rollbook::store::{StoreError, Tx};
use serde_json::{Value, json};

use super::{enter, link, page};
use crate::on_both_databases;
use crate::support::{Answer, Browser, Client, Database, TestApp, group, user};

on_both_databases![
    provider_is_chosen_once_however_often_the_form_is_sent,
    forms_that_are_sent_at_once_make_one_thing,
    token_is_shown_once_and_breaks_none_before_it,
    steps_are_those_of_the_provider,
    what_arrives_is_shown,
    page_that_waits_reads_itself_again_without_scripts,
    directories_of_others_are_not_there,
    state_of_the_directory_is_said,
    visitors_bring_an_organization_to_twenty_directories,
    quiet_directory_is_told_from_one_that_never_was_connected,
    refusal_is_looked_for_among_the_newest_requests,
];

/// The text of the first element with that class.
#[track_caller]
fn copied(text: &str, n: usize) -> String {
    let rest = text
        .split("<span class=\"copy\"><code tabindex=\"0\">")
        .nth(n + 1)
        .expect("something to copy");
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
    // Who made which can be told, after the link is gone as well.
    let list = app.api.get(&format!("/api/v1/directories/{}/tokens", app.directory.id)).expect(200);
    let makers: Vec<&str> =
        (0..2).filter_map(|n| list.body["data"][n]["made_by"].as_str()).collect();
    assert!(makers[0].starts_with("portal_link_") && makers[1] == "configured", "{makers:?}");
    let events = app.events(&app.directory);
    let made = events.iter().rfind(|(name, _)| name == "dsync.token.created").expect("an event");
    assert_eq!(made.1["made_by"], makers[0]);
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

fn page_that_waits_reads_itself_again_without_scripts(app: &TestApp) {
    let (browser, _) = enter(app);
    let at = format!("/setup/directories/{}", app.directory.id);
    let refresh = "<noscript><meta http-equiv=\"refresh\"";
    assert!(page(browser.get(&at), 200).contains(refresh));
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    assert!(!page(browser.get(&at), 200).contains(refresh), "nobody waits any more");
}

fn what_arrives_is_shown(app: &TestApp) {
    let (browser, _) = enter(app);
    let at = format!("/setup/directories/{}/status", app.directory.id);
    let home = page(browser.get("/setup"), 200);
    assert!(home.contains("nothing has arrived yet"), "{home}");
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
        "Active users</dt><dd>1</dd>",
        "Inactive users</dt><dd>1</dd>",
        "Groups</dt><dd>1</dd>",
        "2025-06-15 15:06:40 UTC</time></dd>",
        "added the user <strong>&#60;b&#62;ada&#60;/b&#62;@example.com</strong>",
        "tried to add the user <strong>&#60;b&#62;ada",
        ">done</td>",
        ">refused (409)</td>",
        "It is there already.",
        "The answer said:",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("<b>ada") && !text.contains("Waiting for"), "{text}");
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    while app.api.get(&directory).body["last_request_at"].is_null() {
        std::thread::yield_now();
    }
    let home = page(browser.get("/setup"), 200);
    assert!(home.contains("last heard of on <time datetime=\"2025-06-15T15:06:40"), "{home}");
}

fn visitors_bring_an_organization_to_twenty_directories(app: &TestApp) {
    let (browser, proof) = enter(app);
    let okta = choose(&browser, &proof, "okta");
    for n in 2..20 {
        let body = json!({"organization_id": app.directory.organization_id,
            "name": format!("D{n}"), "kind": "scim.generic"});
        app.api.post("/api/v1/directories", body).expect(201);
    }
    let fields = [("proof", &*proof), ("provider", "entra")];
    let text = page(browser.post("/setup/directories", &fields), 409);
    assert!(text.contains("20 directories already"), "{text}");
    assert_eq!(choose(&browser, &proof, "okta"), okta, "the one that is there can be opened");
    let id = okta.rsplit('/').next().expect("an id");
    app.api.delete(&format!("/directories/{id}")).expect(202);
    choose(&browser, &proof, "entra");
}

fn quiet_directory_is_told_from_one_that_never_was_connected(app: &TestApp) {
    app.scim.get("/Users").expect(200);
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    while app.api.get(&directory).body["last_request_at"].is_null() {
        std::thread::yield_now();
    }
    app.clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
    let (browser, _) = enter(app);
    let at = format!("/setup/directories/{}/status", app.directory.id);
    let text = page(browser.get(&at), 200);
    assert!(text.contains("no record of a request in the last 7 days"), "{text}");
    assert!(text.contains("2025-06-15 15:06:40 UTC</time></dd>"), "{text}");
    assert!(!text.contains("Waiting for") && !text.contains("paste base URL"), "{text}");
}

/// However many records there are, a few hundred are looked at.
fn refusal_is_looked_for_among_the_newest_requests(app: &TestApp) {
    let (browser, _) = enter(app);
    let at = format!("/setup/directories/{}/status", app.directory.id);
    app.scim.get("/Users/none").expect(404);
    let shows = || page(browser.get(&at), 200).contains("Last refusal");
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "active", "value": true}]});
    for _ in 0..198 {
        app.scim.patch(&format!("/Users/{ada}"), body.clone()).expect(200);
    }
    assert!(shows(), "among the newest 200");
    app.scim.patch(&format!("/Users/{ada}"), body).expect(200);
    assert!(!shows(), "behind them");
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
    for (state, words) in [("paused", "Paused: what"), ("disabled", "Switched off: what")] {
        let path = format!("/api/v1/directories/{}", app.directory.id);
        app.api.patch(&path, json!({"state": state})).expect(200);
        for path in ["/setup".to_owned(), at.clone(), format!("{at}/status")] {
            let text = page(browser.get(&path), 200);
            assert!(text.contains(words), "{path}: {text}");
        }
    }
}

/// Each visit has a bucket of its own, whatever the operator's limits are.
mod visits_have_a_rate_limit {
    use super::*;

    #[test]
    fn sqlite() {
        let app = TestApp::start(Database::sqlite());
        let (first, second) = (link(&app, json!({})), link(&app, json!({})));
        let busy = Browser::entered(&app.url, &first);
        for left in (0..60).rev() {
            let answer = busy.get("/setup").expect(200);
            assert_eq!(answer.header("ratelimit-remaining"), Some(&*left.to_string()));
        }
        let answer = busy.get("/setup");
        assert_eq!(answer.header("retry-after"), Some("1"));
        let text = page(answer, 429);
        assert!(text.contains("This visit may make 5 requests a second"), "{text}");
        let metrics = app.api.with_bearer(None).get("/metrics").text;
        let refused = "rollbook_rate_limited_total{surface=\"portal\",provider=\"\"} 1";
        assert!(metrics.contains(refused), "{metrics}");
        page(Browser::entered(&app.url, &second).get("/setup"), 200);
        // A link that was used is one that is asked for too often, too.
        let at = super::super::path(&app, &first);
        for _ in 0..58 {
            page(busy.get(at), 404);
        }
        page(busy.get(at), 429);
        app.clock.advance(Duration::from_secs(1));
        page(busy.get("/setup"), 200);
    }
}

/// Forms for one directory wait for its lock in as many threads as its identity provider may have: others go on.
mod visitors_take_turns_with_the_directory {
    use super::*;

    #[test]
    fn postgres() {
        let app = TestApp::start(Database::postgres());
        let (_, other) = app.directory("scim.okta");
        let other = other.with_deadline(Duration::from_secs(8));
        other.post("/Users", user("before@example.com")).expect(201);
        let (browser, proof) = enter(&app);
        let at = format!("/setup/directories/{}", app.directory.id);
        let newest = newest(&page(browser.get(&at), 200));
        let cookies = browser.cookie_header();
        let (held, is_held) = channel();
        let (release, released) = channel::<()>();
        let (service, id) = (Arc::clone(app.service()), app.directory.id.clone());
        let holder = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let row = service.store.get("directory_get", move |tx| tx.directory_get(&id));
                let row: Result<_, StoreError> = row.await;
                let key = row.expect("read").expect("the directory").key;
                let unit = move |tx: &mut Tx<'_>| {
                    tx.directory_lock_exclusive(key)?;
                    held.send(()).expect("the test waits");
                    let _ = released.recv();
                    Ok::<_, StoreError>(())
                };
                // The directory's own unit: its thread is one of those that it may have.
                on_behalf_of(key, service.store.write("hold", unit)).await.expect("held");
            });
        });
        is_held.recv().expect("the lock");
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let (at, proof, newest, cookies) = (&at, &proof, &newest, &cookies);
            let url = &app.url;
            let send = move |_| {
                scope.spawn(move || {
                    let fields = [("proof", &**proof), ("newest", &**newest)];
                    let headers = [("Cookie", &**cookies)];
                    let browser = Browser::new(url);
                    browser.post_with(&format!("{at}/tokens"), &headers, &fields).status
                })
            };
            let sent: Vec<_> = (0..12).map(send).collect();
            // More forms wait than threads may be at them.
            while app.service().queue_depths().iter().all(|(_, depth)| *depth < 4) {
                std::thread::yield_now();
            }
            let answer = other.try_post("/Users", user("beside@example.com"));
            release.send(()).expect("the lock is held");
            assert_eq!(answer.map(|answer| answer.status), Some(201), "nobody else waits");
            sent.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        holder.join().expect("released");
        let made = statuses.iter().filter(|status| **status == 200).count();
        let refused = statuses.iter().filter(|status| **status == 409).count();
        assert_eq!((made, refused), (1, 11), "{statuses:?}");
    }
}
