//! `POST /portal/generate_link` and `/portal/revoke_link`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use rollbook::auth::secret;
use rollbook::service::ServiceError;
use rollbook::service::portal::SecretOf;

use super::super::{api_error, assert_invalid};
use super::{link, page, path};
use crate::on_both_databases;
use crate::support::{Browser, Database, TestApp, link_secret};

on_both_databases![
    link_is_below_the_public_url_and_its_secret_in_no_row,
    wrong_links_are_named,
    link_is_for_an_organization_that_the_key_reaches,
    link_ends_after_five_minutes_or_when_asked_for,
    same_request_has_the_same_link,
    revoked_links_and_their_sessions_end,
    form_on_its_way_when_the_link_is_revoked_does_nothing,
    visit_that_was_let_in_before_the_revocation_stores_nothing,
    links_end_with_their_organization,
];

fn link_is_below_the_public_url_and_its_secret_in_no_row(app: &TestApp) {
    let body = json!({
        "organization": app.directory.organization_id,
        "intent": "dsync",
        "return_url": "https://app.example.com/settings?tab=directory",
        "success_url": "https://app.example.com/done",
        "it_contact_emails": ["ada@example.com"],
        "intent_options": {},
    });
    let made = app.api.post("/portal/generate_link", body).expect(201);
    let members = made.body.as_object().expect("an object");
    assert_eq!(members.keys().collect::<Vec<_>>(), ["link"]);
    let link = made.body["link"].as_str().expect("a link");
    let text = link_secret(link);
    assert_eq!(link, format!("{}/setup/{text}", app.url));
    assert!(text.starts_with("rbl_") && text.len() >= 4 + 43, "{text}");
    let browser = Browser::entered(&app.url, link);
    let hash = secret::text_digest(text);
    let service = Arc::clone(app.service());
    let row = app.wait(async move {
        let read = service.store.get("portal_link_get", move |tx| tx.portal_link_get(&hash)).await;
        read.expect("it is read").expect("the link")
    });
    assert_eq!(row.organization_id, app.directory.organization_id);
    let shown = format!("{row:?}");
    assert!(!shown.contains(&text[4..]), "{shown}");
    let cookies = browser.cookie_header();
    let session = cookies.split("rollbook_setup=").nth(1).expect("a session");
    assert!(!shown.contains(session.split(';').next().expect("its value")), "{shown}");
}

fn wrong_links_are_named(app: &TestApp) {
    let organization = &app.directory.organization_id;
    for (more, field) in [
        (json!({"intent": "sso"}), "intent"),
        (json!({"intent": "audit_logs"}), "intent"),
        (json!({"intent": ""}), "intent"),
        (json!({"intent": 1}), "intent"),
        (json!({"return_url": "https://evil.example/"}), "return_url"),
        (json!({"return_url": "http://app.example.com/"}), "return_url"),
        (json!({"return_url": "https://app.example.com:8443/"}), "return_url"),
        (json!({"return_url": "https://app.example.com@evil.example/"}), "return_url"),
        (json!({"return_url": "/settings"}), "return_url"),
        (json!({"success_url": "https://app.example.com.evil.example/"}), "success_url"),
        (json!({"success_url": "javascript:alert(1)"}), "success_url"),
        (json!({"success_url": ""}), "success_url"),
        (json!({"success_url": ["https://app.example.com"]}), "success_url"),
        (json!({"expires_in": 59}), "expires_in"),
        (json!({"expires_in": 604_801}), "expires_in"),
        (json!({"expires_in": -1}), "expires_in"),
        (json!({"expires_in": "7d"}), "expires_in"),
        (json!({"external_user_id": ""}), "external_user_id"),
        (json!({"external_user_id": "\u{0}"}), "external_user_id"),
        (json!({"organization": 7}), "organization"),
    ] {
        let mut body = json!({"organization": organization});
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        assert_invalid(&app.api.post("/portal/generate_link", body), field);
    }
    let nothing = app.api.post("/portal/generate_link", json!({}));
    let message = api_error(&nothing, 422, "invalid_request_parameters");
    assert!(message.contains("organization"), "{message}");
    let unknown = app.api.post("/portal/generate_link", json!({"organization": "org_none"}));
    api_error(&unknown, 404, "entity_not_found");
    api_error(&app.api.get("/portal/generate_link"), 405, "method_not_allowed");
    let unknown = app.api.post("/portal/revoke_link", json!({"organization": "org_none"}));
    api_error(&unknown, 404, "entity_not_found");
}

fn link_is_for_an_organization_that_the_key_reaches(app: &TestApp) {
    let (other, _) = app.directory("scim.okta");
    let key = |scopes: &[&str]| {
        let body = json!({"name": "Key", "scopes": scopes,
            "organization_ids": [app.directory.organization_id]});
        let made = app.api.post("/api/v1/api_keys", body).expect(201);
        app.api.with_bearer(made.body["secret"].as_str())
    };
    let limited = key(&["manage"]);
    let ask = |organization: &str| json!({"organization": organization});
    limited.post("/portal/generate_link", ask(&app.directory.organization_id)).expect(201);
    for path in ["/portal/generate_link", "/portal/revoke_link"] {
        let answer = limited.post(path, ask(&other.organization_id));
        api_error(&answer, 404, "entity_not_found");
        let answer = key(&["read"]).post(path, ask(&app.directory.organization_id));
        api_error(&answer, 403, "forbidden");
        let nobody = app.api.with_bearer(None).post(path, ask(&other.organization_id));
        api_error(&nobody, 401, "unauthorized");
    }
}

fn link_ends_after_five_minutes_or_when_asked_for(app: &TestApp) {
    let browser = Browser::new(&app.url);
    let is_open = |link: &str| browser.get(path(app, link)).status == 200;
    let usual = link(app, json!({}));
    let long = link(app, json!({"expires_in": 604_800}));
    app.clock.advance(Duration::from_secs(299));
    assert!(is_open(&usual) && is_open(&long));
    app.clock.advance(Duration::from_secs(1));
    assert!(!is_open(&usual) && is_open(&long));
    app.clock.advance(Duration::from_secs(604_800 - 301));
    assert!(is_open(&long));
    // What has ended is forgotten, what has not stays.
    let service = Arc::clone(app.service());
    app.wait(async move { service.prune_portal_links().await }).expect("pruned");
    assert!(is_open(&long));
    app.clock.advance(Duration::from_secs(1));
    assert!(!is_open(&long));
    page(browser.get(path(app, &long)), 404);
}

fn same_request_has_the_same_link(app: &TestApp) {
    let body = json!({"organization": app.directory.organization_id}).to_string();
    let send = || {
        let key = [("Idempotency-Key", "one")];
        app.api.send("POST", "/portal/generate_link", &key, Some(body.clone())).expect(201)
    };
    let (first, second) = (send(), send());
    assert_eq!(first.text, second.text);
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_ne!(link(app, json!({})), first.body["link"]);
}

fn revoked_links_and_their_sessions_end(app: &TestApp) {
    let for_user = |user: &str| link(app, json!({"external_user_id": user}));
    let (ada, bob, ada_again) = (for_user("ada"), for_user("bob"), for_user("ada"));
    let (plain, visitor) = (link(app, json!({})), Browser::new(&app.url));
    let session = Browser::entered(&app.url, &ada);
    let other_session = Browser::entered(&app.url, &bob);
    let revoke = |more: &str| {
        let mut body = json!({"organization": app.directory.organization_id});
        if !more.is_empty() {
            body["external_user_id"] = more.into();
        }
        let answer = app.api.post("/portal/revoke_link", body).expect(204);
        assert_eq!(answer.text, "");
    };
    revoke("ada");
    page(session.get("/setup"), 403);
    page(visitor.get(path(app, &ada_again)), 404);
    page(other_session.get("/setup"), 200);
    page(visitor.get(path(app, &plain)), 200);
    revoke("nobody");
    page(other_session.get("/setup"), 200);
    revoke("");
    page(other_session.get("/setup"), 403);
    page(visitor.get(path(app, &plain)), 404);
}

/// Fails the test unless the organization has the one directory with the one token that it began with.
#[track_caller]
fn assert_nothing_was_made(app: &TestApp) {
    let tokens = app.api.get(&format!("/api/v1/directories/{}/tokens", app.directory.id));
    assert_eq!(tokens.body["data"].as_array().map(Vec::len), Some(1), "{}", tokens.text);
    let of = &app.directory.organization_id;
    let all = app.api.get(&format!("/api/v1/directories?organization_id={of}"));
    assert_eq!(all.body["data"].as_array().map(Vec::len), Some(1), "{}", all.text);
}

fn revoke_all(app: &TestApp) {
    let body = json!({"organization": app.directory.organization_id});
    app.api.post("/portal/revoke_link", body).expect(204);
}

/// The head of the form comes in time, its last byte after the revocation.
fn form_on_its_way_when_the_link_is_revoked_does_nothing(app: &TestApp) {
    let browser = Browser::entered(&app.url, &link(app, json!({})));
    let form = format!("proof={}&newest={}", browser.proof(), app.directory.token_id);
    let (begin, end) = form.split_at(form.len() - 1);
    let host = app.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(host).expect("connected");
    let head = format!(
        "POST /setup/directories/{}/tokens HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\nCookie: {}\r\n\r\n",
        app.directory.id,
        form.len(),
        browser.cookie_header()
    );
    stream.write_all(head.as_bytes()).expect("written");
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    let mut answer = vec![0; go_on.len()];
    stream.read_exact(&mut answer).expect("the server wants the form");
    assert_eq!(String::from_utf8_lossy(&answer), go_on);
    stream.write_all(begin.as_bytes()).expect("written");
    revoke_all(app);
    stream.write_all(end.as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(!answer.contains("rbd_"), "{answer}");
    assert_nothing_was_made(app);
}

/// Between the look at the session and the unit that writes.
fn visit_that_was_let_in_before_the_revocation_stores_nothing(app: &TestApp) {
    let browser = Browser::entered(&app.url, &link(app, json!({})));
    let cookies = browser.cookie_header();
    let session = cookies.split("rollbook_setup=").nth(1).expect("a session");
    let session = session.split(';').next().expect("its value").to_owned();
    let service = Arc::clone(app.service());
    let session = service.portal_issued(SecretOf::Session, &session).expect("of this server");
    let visit = app.wait(service.portal_visit(&session)).expect("read").expect("a visit");
    revoke_all(app);
    let (id, newest) = (&app.directory.id, &app.directory.token_id);
    let refused = [
        app.wait(service.portal_token(&visit, id, newest)).map(drop),
        app.wait(service.portal_choose(&visit, "okta")).map(drop),
    ];
    for refused in refused {
        let ServiceError::Admin(error) = refused.expect_err("the link was revoked") else {
            panic!("a refusal")
        };
        assert_eq!((error.status, error.code), (403, "no_session"));
    }
    assert_nothing_was_made(app);
}

fn links_end_with_their_organization(app: &TestApp) {
    let organization = app.api.post("/organizations", json!({"name": "Short"})).expect(201).id();
    let make = || {
        let made = app.api.post("/portal/generate_link", json!({"organization": organization}));
        made.expect(201).body["link"].as_str().expect("a link").to_owned()
    };
    let (used, unused) = (make(), make());
    let session = Browser::entered(&app.url, &used);
    app.api.delete(&format!("/organizations/{organization}")).expect(204);
    page(session.get("/setup"), 403);
    page(session.get(path(app, &unused)), 404);
}

/// An operator who names no origin lets links lead nowhere.
mod no_link_leads_back_unless_the_operator_says_where {
    use super::*;

    #[test]
    fn sqlite() {
        let app = TestApp::start_with(Database::sqlite(), |config| config.portal_origins.clear());
        let body = json!({"organization": app.directory.organization_id,
            "return_url": "https://app.example.com/"});
        let answer = app.api.post("/portal/generate_link", body);
        assert_invalid(&answer, "return_url");
        assert!(answer.text.contains("ROLLBOOK_PORTAL_ORIGINS"), "{}", answer.text);
    }
}
