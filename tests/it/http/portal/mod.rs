//! The set-up portal: links, the session that comes of one, and what is done in it.

mod links;
mod session;
mod setup;

use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

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
    let files = text.matches("<script src=\"/assets/").count();
    assert_eq!(text.matches("<script").count(), files, "{text}");
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
