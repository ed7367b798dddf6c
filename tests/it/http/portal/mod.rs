//! The set-up portal: links, the session that comes of one, and what is done in it.

mod branding;
mod groups;
mod links;
mod maps;
mod session;
mod setup;
mod source;
mod stop;

use serde_json::{Value, json};

use crate::support::{Answer, Browser, TestApp, form_field};

/// A link to the set-up pages of the test's organization, with these members besides.
#[track_caller]
fn link(app: &TestApp, more: Value) -> String {
    let mut body = json!({"organization": app.directory.organization_id});
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let made = app.api.post("/portal/generate_link", body).expect(201);
    made.body["link"].as_str().expect("a link").to_owned()
}

/// The path of a link of this server.
#[track_caller]
fn path<'l>(app: &TestApp, link: &'l str) -> &'l str {
    link.strip_prefix(&app.url).expect("a link of this server")
}

/// Fails the test unless the answer has the headers that every page has.
#[track_caller]
fn assert_page_headers(answer: &Answer) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let policy = answer.header("content-security-policy").expect("a policy");
    for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
}

/// Scripts and styles are files of this server.
#[track_caller]
fn assert_nothing_inline(text: &str) {
    for script in text.split("<script").skip(1) {
        let source = script.strip_prefix(" src=\"").and_then(|rest| rest.split('"').next());
        assert!(source.is_some_and(|source| source.contains("/assets/")), "{text}");
    }
    assert!(!text.contains("<style") && !text.contains("style=\""), "{text}");
}

/// Fails the test unless this is a page with that status; gives its text.
#[track_caller]
fn page(answer: Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_page_headers(&answer);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_nothing_inline(&answer.text);
    answer.text
}

/// A session of the test's organization, and what its forms carry.
#[track_caller]
fn enter(app: &TestApp) -> (Browser, String) {
    let browser = Browser::entered(&app.url, &link(app, json!({})));
    let proof = browser.proof();
    (browser, proof)
}

/// Sends a form of the session and answers where it leads, without the word of what was done.
#[track_caller]
fn led(browser: &Browser, proof: &str, path: &str, fields: &[(&str, &str)]) -> String {
    let fields = [&[("proof", proof)], fields].concat();
    let answer = browser.post(path, &fields).expect(303);
    let location = answer.header("location").expect("a place");
    location.split('?').next().expect("its path").to_owned()
}

/// Opens the form of a kind of source; gives the path of the form and what names the directory that it makes.
#[track_caller]
fn source_form(browser: &Browser, kind: &str) -> (String, String) {
    let answer = browser.get(&format!("/setup/sources/{kind}")).expect(303);
    let path = answer.header("location").expect("the form").to_owned();
    let draft = form_field(&browser.get(&path).expect(200), "draft");
    (path, draft)
}

/// Connects a source and gives the path of its directory.
#[track_caller]
fn connected(browser: &Browser, proof: &str, kind: &str, fields: &[(&str, &str)]) -> String {
    let (_, draft) = source_form(browser, kind);
    let fields = [&[("draft", &*draft)], fields].concat();
    led(browser, proof, &format!("/setup/sources/{kind}"), &fields)
}

/// Hands in a file of users.
#[track_caller]
fn hand_in(browser: &Browser, proof: &str, at: &str, users: &str) -> Answer {
    browser.upload(&format!("{at}/files/users"), &[("proof", proof)], ("users.csv", users))
}

/// The page of a run once it is over.
#[track_caller]
fn ended(app: &TestApp, browser: &Browser, place: &str) -> String {
    let run = place.replace("/setup/", "/api/v1/").replace("/runs/", "/syncs/");
    app.api.get(&format!("{run}?wait=30")).expect(200);
    page(browser.get(place), 200)
}
