//! Who may sign in: invited, changed, removed; by pages, by the management API.

use std::time::Duration;

use serde_json::json;

use super::super::{api_error, assert_invalid};
use super::page;
use crate::on_both_databases;
use crate::support::{Browser, Client, PASSWORD, TestApp, form_field};

on_both_databases![
    invited_one_chooses_a_password_once,
    invitation_ends_and_is_replaced,
    last_owner_stays,
    two_owners_who_go_at_once_leave_one,
    two_owners_who_are_demoted_at_once_leave_one,
    another_role_signs_out,
    wishes_are_checked,
    sessions_are_listed_and_ended,
    limited_keys_manage_no_administrators,
    keys_need_a_scope_of_its_own_for_administrators,
    pages_manage_accounts_and_keys,
];

/// The path of a link of this server.
fn path<'l>(app: &TestApp, link: &'l str) -> &'l str {
    link.strip_prefix(&app.url).expect("a link of this server")
}

/// Sends the form of the page of a link.
#[track_caller]
fn join(
    app: &TestApp,
    browser: &Browser,
    link: &str,
    fields: &[(&str, &str)],
) -> crate::support::Answer {
    let shown = browser.get(path(app, link)).expect(200);
    let (proof, secret) = (form_field(&shown, "proof"), form_field(&shown, "link"));
    browser.post("/console/welcome", &[&[("proof", &*proof), ("link", &*secret)], fields].concat())
}

const CHOSEN: [(&str, &str); 2] = [("password", PASSWORD), ("again", PASSWORD)];

fn invite(app: &TestApp, role: &str) -> (String, String) {
    let body = json!({"email": "ada@example.com", "name": "Ada Lane", "role": role});
    let made = app.api.post("/api/v1/admins", body).expect(201);
    assert_eq!(made.body["has_password"], false);
    assert_eq!(made.body["invitation_expires_at"], "2025-06-18T15:06:40.000Z");
    (made.id(), made.body["invitation_url"].as_str().expect("a link").to_owned())
}

fn invited_one_chooses_a_password_once(app: &TestApp) {
    let (id, link) = invite(app, "operator");
    Browser::new(&app.url).sign_in("ada@example.com", "").expect(403);
    let browser = Browser::new(&app.url);
    for _ in 0..2 {
        let text = page(browser.get(path(app, &link)), 200);
        assert!(text.contains("Ada Lane (ada@example.com)"), "{text}");
    }
    let text = page(join(app, &browser, &link, &[("password", "short"), ("again", "short")]), 422);
    assert!(text.contains("at least 12 are needed"), "{text}");
    let unlike = [("password", PASSWORD), ("again", "something else")];
    page(join(app, &browser, &link, &unlike), 422);
    let late = Browser::new(&app.url);
    let before = late.get(path(app, &link)).expect(200);
    let answer = join(app, &browser, &link, &CHOSEN).expect(303);
    assert_eq!(answer.header("location"), Some("/console"));
    let text = page(browser.get("/console/account"), 200);
    assert!(text.contains("operator"), "{text}");
    // Whoever had opened the page before comes too late.
    let fields = [
        ("proof", &*form_field(&before, "proof")),
        ("link", &*form_field(&before, "link")),
        CHOSEN[0],
        CHOSEN[1],
    ];
    page(late.post("/console/welcome", &fields), 404);
    page(late.get(path(app, &link)), 404);
    page(late.get("/console/welcome/made-up"), 404);
    let shown = app.api.get(&format!("/api/v1/admins/{id}")).expect(200);
    assert_eq!(shown.body["has_password"], true);
    assert!(shown.body.get("invitation_url").is_none(), "{}", shown.text);
    Browser::new(&app.url).sign_in("ada@example.com", PASSWORD).expect(303);
}

fn invitation_ends_and_is_replaced(app: &TestApp) {
    let (id, link) = invite(app, "viewer");
    let again = app.api.post(&format!("/api/v1/admins/{id}/invitation"), json!({})).expect(201);
    let other = again.body["invitation_url"].as_str().expect("a link").to_owned();
    page(Browser::new(&app.url).get(path(app, &link)), 404);
    page(Browser::new(&app.url).get(path(app, &other)), 200);
    app.clock.advance(Duration::from_secs(3 * 24 * 60 * 60));
    page(Browser::new(&app.url).get(path(app, &other)), 404);
    let service = app.service().clone();
    app.wait(async move { service.prune_console().await }).expect("pruned");
    // Whoever gets another role was invited to something else.
    let again = app.api.post(&format!("/api/v1/admins/{id}/invitation"), json!({})).expect(201);
    let last = again.body["invitation_url"].as_str().expect("a link").to_owned();
    let one = format!("/api/v1/admins/{id}");
    app.api.patch(&one, json!({"name": "Ada", "role": "viewer"})).expect(200);
    page(Browser::new(&app.url).get(path(app, &last)), 200);
    app.api.patch(&one, json!({"role": "operator"})).expect(200);
    page(Browser::new(&app.url).get(path(app, &last)), 404);
}

fn last_owner_stays(app: &TestApp) {
    let make = |name: &str, role: &str| {
        let email = format!("{name}@example.com");
        let body = json!({"email": email, "name": name, "role": role, "password": PASSWORD});
        format!("/api/v1/admins/{}", app.api.post("/api/v1/admins", body).expect(201).id())
    };
    let (first, viewer) = (make("first", "owner"), make("viewer", "viewer"));
    api_error(&app.api.delete(&first), 409, "last_owner");
    api_error(&app.api.patch(&first, json!({"role": "operator"})), 409, "last_owner");
    app.api.patch(&first, json!({"role": "owner", "name": "Ada"})).expect(200);
    app.api.patch(&viewer, json!({"role": "operator"})).expect(200);
    app.api.delete(&viewer).expect(204);
    let second = make("second", "owner");
    app.api.patch(&first, json!({"role": "viewer"})).expect(200);
    api_error(&app.api.delete(&second), 409, "last_owner");
    app.api.delete(&first).expect(204);
}

fn two_owners_who_go_at_once_leave_one(app: &TestApp) {
    for round in 0..5 {
        let mut paths: Vec<String> = app.api.get("/api/v1/admins").body["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|admin| format!("/api/v1/admins/{}", admin["id"].as_str().expect("an id")))
            .collect();
        while paths.len() < 2 {
            let email = format!("owner{round}{}@example.com", paths.len());
            let body = json!({"email": email, "name": "Owner", "role": "owner"});
            paths.push(format!(
                "/api/v1/admins/{}",
                app.api.post("/api/v1/admins", body).expect(201).id()
            ));
        }
        let mut statuses = std::thread::scope(|scope| {
            let going: Vec<_> =
                paths.iter().map(|path| scope.spawn(|| app.api.delete(path).status)).collect();
            going.into_iter().map(|one| one.join().expect("an answer")).collect::<Vec<_>>()
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409]);
    }
}

fn two_owners_who_are_demoted_at_once_leave_one(app: &TestApp) {
    let new = |name: &str| {
        let body = json!({"email": format!("{name}@example.com"), "name": name, "role": "owner"});
        format!("/api/v1/admins/{}", app.api.post("/api/v1/admins", body).expect(201).id())
    };
    let paths = [new("first"), new("second")];
    for _ in 0..5 {
        let mut statuses = std::thread::scope(|scope| {
            let demoted = paths
                .each_ref()
                .map(|path| scope.spawn(|| app.api.patch(path, json!({"role": "viewer"})).status));
            demoted.map(|one| one.join().expect("an answer"))
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        for path in &paths {
            app.api.patch(path, json!({"role": "owner"})).expect(200);
        }
    }
}

fn another_role_signs_out(app: &TestApp) {
    let browser = app.signed_in("viewer");
    let id =
        app.api.get("/api/v1/admins").body["data"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/admins/{id}");
    app.api.patch(&path, json!({"name": "Another name", "role": "viewer"})).expect(200);
    browser.get("/console/account").expect(200);
    app.api.patch(&path, json!({"role": "operator"})).expect(200);
    browser.get("/console/account").expect(303);
    browser.sign_in("viewer@example.com", PASSWORD).expect(303);
    app.api.patch(&path, json!({"password": "another horse"})).expect(200);
    browser.get("/console/account").expect(303);
    browser.sign_in("viewer@example.com", "another horse").expect(303);
    app.api.delete(&path).expect(204);
    browser.get("/console/account").expect(303);
}

fn wishes_are_checked(app: &TestApp) {
    let new = |email: &str, name: &str, password: &str| {
        app.api.post(
            "/api/v1/admins",
            json!({"email": email, "name": name, "role": "viewer", "password": password}),
        )
    };
    for email in ["", "ada", "@example.com", "ada@", "a b@example.com", &"x".repeat(300)] {
        assert_invalid(&new(email, "Ada", PASSWORD), "email");
    }
    assert_invalid(&new("ada@example.com", "", PASSWORD), "name");
    assert_invalid(&new("ada@example.com", "Ada", "short"), "password");
    assert_invalid(&new("ada@example.com", "Ada", "ADA@example.com"), "password");
    assert_invalid(&new("ada@example.com", "Ada", &"x".repeat(513)), "password");
    new("ada@example.com", "Ada", PASSWORD).expect(201);
    api_error(&new("ADA@example.com", "Other", PASSWORD), 409, "email_taken");
    let body = json!({"email": "b@example.com", "name": "B", "role": "king"});
    assert_invalid(&app.api.post("/api/v1/admins", body), "role");
}

fn sessions_are_listed_and_ended(app: &TestApp) {
    let browser = Browser::new(&app.url);
    app.signed_in("viewer");
    browser.sign_in("viewer@example.com", PASSWORD).expect(303);
    let id =
        app.api.get("/api/v1/admins").body["data"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/admins/{id}/sessions");
    let sessions = app.api.get(&path).expect(200);
    let list = sessions.body["data"].as_array().expect("a list");
    assert_eq!(list.len(), 2, "{}", sessions.text);
    assert_eq!(list[0]["address"], "127.0.0.1");
    assert!(!sessions.text.contains("hash"), "{}", sessions.text);
    // The newest stands first.
    let newest = list[0]["id"].as_str().expect("an id");
    app.api.delete(&format!("{path}/{newest}")).expect(204);
    api_error(&app.api.delete(&format!("{path}/{newest}")), 404, "entity_not_found");
    browser.get("/console/account").expect(303);
    app.api.delete(&path).expect(204);
    assert_eq!(app.api.get(&path).body["data"], json!([]));
}

fn limited_keys_manage_no_administrators(app: &TestApp) {
    let body = json!({"name": "k", "scopes": ["admins"],
        "organization_ids": [app.directory.organization_id]});
    let made = app.api.post("/api/v1/api_keys", body).expect(201);
    let limited = app.api.with_bearer(made.body["secret"].as_str());
    api_error(&limited.get("/api/v1/admins"), 403, "forbidden");
    let body = json!({"email": "ada@example.com", "name": "Ada", "role": "owner"});
    api_error(&limited.post("/api/v1/admins", body), 403, "forbidden");
}

fn keys_need_a_scope_of_its_own_for_administrators(app: &TestApp) {
    let key = |client: &Client, scopes: &[&str]| {
        client.post("/api/v1/api_keys", json!({"name": "k", "scopes": scopes}))
    };
    let manages = key(&app.api, &["manage"]).expect(201);
    let manages = app.api.with_bearer(manages.body["secret"].as_str());
    let owner = json!({"email": "ada@example.com", "name": "Ada", "role": "owner"});
    let refused = manages.post("/api/v1/admins", owner.clone());
    let message = api_error(&refused, 403, "forbidden");
    assert_eq!(message, "This API key lacks the scope \"admins\".");
    api_error(&manages.get("/api/v1/admins"), 403, "forbidden");
    // Nor does it give itself what it has not.
    let message = api_error(&key(&manages, &["read", "admins"]), 403, "forbidden");
    assert!(message.contains("cannot give it"), "{message}");
    key(&manages, &["read", "manage"]).expect(201);
    let keeps = key(&app.api, &["admins"]).expect(201);
    let keeps = app.api.with_bearer(keeps.body["secret"].as_str());
    keeps.post("/api/v1/admins", owner).expect(201);
    api_error(&keeps.get("/api/v1/organizations"), 403, "forbidden");
}

fn pages_manage_accounts_and_keys(app: &TestApp) {
    let owner = app.signed_in("owner");
    let fields = [("email", "ada@example.com"), ("name", "<b>Ada</b>"), ("role", "viewer")];
    let text = page(owner.submit("/console/administrators", &fields), 200);
    assert!(text.contains("/console/welcome/") && !text.contains("<b>Ada"), "{text}");
    let text = page(owner.submit("/console/administrators", &fields), 422);
    assert!(
        text.contains("role=\"alert\"") && text.contains("value=\"ada@example.com\""),
        "{text}"
    );
    let list = app.api.get("/api/v1/admins").body["data"].clone();
    let id = list[0]["id"].as_str().expect("an id");
    let text = page(owner.get("/console/administrators"), 200);
    assert!(text.contains("ada@example.com") && text.contains("badge-invited"), "{text}");
    let one = format!("/console/administrators/{id}");
    page(owner.get(&one), 200);
    owner.submit(&format!("{one}/role"), &[("role", "operator")]).expect(303);
    let text = page(owner.get(&format!("{one}?said=role")), 200);
    assert!(text.contains("The role was changed"), "{text}");
    page(owner.submit(&format!("{one}/invitation"), &[]), 200);
    owner.submit(&format!("{one}/sign-out"), &[]).expect(303);
    owner.submit(&format!("{one}/delete"), &[]).expect(303);
    page(owner.get(&one), 404);
    let itself = list[1]["id"].as_str().expect("an id");
    page(owner.submit(&format!("/console/administrators/{itself}/delete"), &[]), 409);

    let fields =
        [("name", "App"), ("scope", "read"), ("scope", "manage"), ("expires_at", "2031-01-01")];
    let text = page(owner.submit("/console/keys", &fields), 200);
    let (_, rest) = text.split_once("<code tabindex=\"0\">").expect("a secret");
    let secret = rest.split('<').next().expect("its end");
    let client = Client::new(&app.url, secret, "application/json");
    let keys = client.get("/api/v1/api_keys").expect(200);
    let key = &keys.body["data"][0];
    assert_eq!(key["scopes"], json!(["read", "manage"]));
    assert_eq!(key["expires_at"], "2031-01-01T00:00:00.000Z");
    let text = page(owner.get("/console/keys"), 200);
    assert!(text.contains("read, manage") && !text.contains(secret), "{text}");
    let id = key["id"].as_str().expect("an id");
    owner.submit(&format!("/console/keys/{id}/revoke"), &[]).expect(303);
    client.get("/api/v1/api_keys").expect(401);
    page(owner.submit(&format!("/console/keys/{id}/revoke"), &[]), 404);
}
