//! Signing in and out, and being refused.

use std::time::Duration;

use serde_json::json;

use super::super::api_error;
use super::page;
use crate::on_both_databases;
use crate::support::{Browser, PASSWORD, TestApp, form_field};

on_both_databases![
    password_opens_the_console,
    unknown_account_and_wrong_password_look_alike,
    too_many_attempts_wait_before_anything_is_hashed,
    wrong_passwords_of_a_stranger_keep_nobody_out,
    only_forms_of_the_page_sign_in,
    one_is_led_back_to_own_pages_only,
    session_ends_by_itself,
    session_opens_no_api_and_no_key_opens_the_console,
    change_of_password_ends_other_sessions,
    role_decides_what_may_be_done,
    files_of_pages_are_kept_for_good,
    what_is_not_there_is_a_page,
];

const HOUR: Duration = Duration::from_secs(60 * 60);

fn account(app: &TestApp, email: &str, role: &str) -> String {
    let body = json!({"email": email, "name": "Ada Lane", "role": role, "password": PASSWORD});
    app.api.post("/api/v1/admins", body).expect(201).id()
}

fn password_opens_the_console(app: &TestApp) {
    account(app, "Ada@Example.com", "viewer");
    let browser = Browser::new(&app.url);
    let answer = browser.get("/console/account").expect(303);
    assert_eq!(answer.header("location"), Some("/console/sign-in?next=%2Fconsole%2Faccount"));
    page(browser.get("/console/sign-in"), 200);
    let answer = browser.sign_in("ada@example.COM ", PASSWORD).expect(303);
    assert_eq!(answer.header("location"), Some("/console"));
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("rollbook_console="), "{cookie}");
    assert!(cookie.contains("; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800"), "{cookie}");
    let text = page(browser.get("/console/account"), 200);
    assert!(text.contains("Ada@Example.com") && text.contains("this browser"), "{text}");
    let answer = browser.submit("/console/sign-out", &[]).expect(303);
    assert_eq!(answer.header("location"), Some("/console/sign-in"));
    browser.get("/console/account").expect(303);
    let text = page(browser.post("/console/organizations", &[("name", "Late")]), 403);
    assert!(text.contains("You are signed out, so nothing was changed."), "{text}");
}

fn unknown_account_and_wrong_password_look_alike(app: &TestApp) {
    account(app, "ada@example.com", "viewer");
    let texts = ["ada@example.com", "nobody@example.com"].map(|email| {
        let browser = Browser::new(&app.url);
        let text = page(browser.sign_in(email, "wrong horse battery"), 403);
        text.replace(&form_field(&browser.get("/console/sign-in"), "proof"), "").replace(email, "")
    });
    assert_eq!(texts[0], texts[1]);
    assert!(texts[0].contains("The e-mail address or the password is wrong."), "{}", texts[0]);
    for odd in ["", "a\0b", "'; DROP TABLE admin; --", &"x".repeat(100_000)] {
        page(Browser::new(&app.url).sign_in(odd, odd), if odd.contains('\0') { 400 } else { 403 });
    }
}

fn too_many_attempts_wait_before_anything_is_hashed(app: &TestApp) {
    account(app, "ada@example.com", "viewer");
    let browser = Browser::new(&app.url);
    for email in ["ada@example.com", "nobody@example.com"] {
        for _ in 0..10 {
            browser.sign_in(email, "wrong horse battery").expect(403);
        }
        let answer = browser.sign_in(email, PASSWORD).expect(429);
        assert_eq!(answer.header("retry-after"), Some("300"));
        page(answer, 429);
    }
    app.clock.advance(Duration::from_secs(300));
    browser.sign_in("ada@example.com", PASSWORD).expect(303);
}

fn wrong_passwords_of_a_stranger_keep_nobody_out(app: &TestApp) {
    account(app, "ada@example.com", "viewer");
    account(app, "ben@example.com", "viewer");
    let known = Browser::new(&app.url);
    let answer = known.sign_in("ada@example.com", PASSWORD).expect(303);
    let mark = answer.cookies.iter().find(|line| line.starts_with("rollbook_console_known="));
    let mark = mark.expect("a mark of the browser");
    assert!(mark.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000"), "{mark}");
    known.submit("/console/sign-out", &[]).expect(303);
    // From the same network, without the mark, and with one of another account.
    let stranger = Browser::new(&app.url);
    for _ in 0..10 {
        stranger.sign_in("ada@example.com", "wrong horse battery").expect(403);
    }
    stranger.sign_in("ada@example.com", PASSWORD).expect(429);
    let other = Browser::new(&app.url);
    other.sign_in("ben@example.com", PASSWORD).expect(303);
    other.sign_in("ada@example.com", PASSWORD).expect(429);
    for _ in 0..9 {
        known.sign_in("ada@example.com", "wrong horse battery").expect(403);
    }
    known.sign_in("ada@example.com", PASSWORD).expect(303);
    let change =
        |before| [("before", before), ("password", "another horse"), ("again", "another horse")];
    // Who has signed in before may not guess without end either, and a session is counted like a mark.
    for _ in 0..10 {
        page(known.submit("/console/account/password", &change("wrong horse battery")), 422);
    }
    let fields = change(PASSWORD);
    known.submit("/console/account/password", &fields).expect(429);
    app.clock.advance(Duration::from_secs(60));
    known.submit("/console/account/password", &fields).expect(303);
}

fn only_forms_of_the_page_sign_in(app: &TestApp) {
    account(app, "ada@example.com", "viewer");
    let fields = [("email", "ada@example.com"), ("password", PASSWORD)];
    let browser = Browser::new(&app.url);
    page(browser.post("/console/sign-in", &fields), 403);
    let proof = form_field(&browser.get("/console/sign-in"), "proof");
    let fields = [&[("proof", &*proof)], &fields[..]].concat();
    let elsewhere = [("Sec-Fetch-Site", "cross-site")];
    page(browser.post_with("/console/sign-in", &elsewhere, &fields), 403);
    page(Browser::new(&app.url).post("/console/sign-in", &fields), 403);
    browser.post("/console/sign-in", &fields).expect(303);
    // A form of another session does nothing.
    let own = browser.get("/console/account").expect(200);
    page(browser.post("/console/sign-out", &[("proof", &proof)]), 403);
    page(browser.post("/console/sign-out", &[]), 403);
    browser.post("/console/sign-out", &[("proof", &form_field(&own, "proof"))]).expect(303);
}

fn one_is_led_back_to_own_pages_only(app: &TestApp) {
    account(app, "ada@example.com", "viewer");
    for (next, location) in [
        ("/console/keys?after=a", "/console/keys?after=a"),
        ("https://evil.example.com/", "/console"),
        ("//evil.example.com", "/console"),
        ("/console\\@evil.example.com", "/console"),
        ("/setup", "/console"),
    ] {
        let browser = Browser::new(&app.url);
        let proof = form_field(&browser.get("/console/sign-in"), "proof");
        let fields = [
            ("proof", &*proof),
            ("email", "ada@example.com"),
            ("password", PASSWORD),
            ("next", next),
        ];
        let answer = browser.post("/console/sign-in", &fields).expect(303);
        assert_eq!(answer.header("location"), Some(location), "{next}");
    }
    // From another site the cookie does not come along; the page that leads on is of this one.
    let from = [("Sec-Fetch-Site", "cross-site")];
    let path = "/console/sign-in?next=%2Fconsole%2Fkeys";
    let text = page(Browser::new(&app.url).send("GET", path, &from, None), 200);
    assert!(text.contains("content=\"0; url=/console/keys\""), "{text}");
}

fn session_ends_by_itself(app: &TestApp) {
    let browser = app.signed_in("viewer");
    app.clock.advance(11 * HOUR);
    browser.get("/console/account").expect(200);
    // The use is written down a little later.
    let seen = "2025-06-16T02:06:40.000Z";
    let id =
        app.api.get("/api/v1/admins").body["data"][0]["id"].as_str().expect("an id").to_owned();
    let sessions = format!("/api/v1/admins/{id}/sessions");
    while app.api.get(&sessions).body["data"][0]["last_seen_at"] != json!(seen) {
        std::thread::yield_now();
    }
    app.clock.advance(11 * HOUR);
    browser.get("/console/account").expect(200);
    app.clock.advance(24 * 7 * HOUR);
    browser.get("/console/account").expect(303);
    assert_eq!(app.api.get(&sessions).body["data"], json!([]));
    let service = app.service().clone();
    app.wait(async move { service.prune_console().await }).expect("pruned");
}

fn session_opens_no_api_and_no_key_opens_the_console(app: &TestApp) {
    let browser = app.signed_in("owner");
    let cookie = browser.cookie_header();
    let bearer = format!("Bearer {}", cookie.split('=').next_back().expect("a value"));
    for path in ["/api/v1/organizations", "/directories", "/scim/v2/Users"] {
        browser.get(path).expect(401);
        Browser::new(&app.url).send("GET", path, &[("Authorization", &bearer)], None).expect(401);
    }
    let key = app.api.post("/api/v1/api_keys", json!({"name": "k", "scopes": ["manage"]}));
    let key = format!("Bearer {}", key.body["secret"].as_str().expect("a secret"));
    Browser::new(&app.url)
        .send("GET", "/console/account", &[("Authorization", &key)], None)
        .expect(303);
    for cookie in ["rollbook_console=x", "rollbook_console=", "__Host-rollbook_console=x"] {
        let answer =
            Browser::new(&app.url).send("GET", "/console/keys", &[("Cookie", cookie)], None);
        answer.expect(303);
    }
}

fn change_of_password_ends_other_sessions(app: &TestApp) {
    let browser = app.signed_in("viewer");
    let other = Browser::new(&app.url);
    other.sign_in("viewer@example.com", PASSWORD).expect(303);
    let change = |before: &str, after: &str, again: &str| {
        let fields = [("before", before), ("password", after), ("again", again)];
        browser.submit("/console/account/password", &fields)
    };
    for (before, after, again, sentence) in [
        (PASSWORD, "short", "short", "at least 12 are needed"),
        (PASSWORD, "another horse", "another house", "and not the same"),
        ("wrong horse battery", "another horse", "another horse", "is another one"),
        (PASSWORD, "viewer@example.com", "viewer@example.com", "not be the e-mail address"),
    ] {
        let text = page(change(before, after, again), 422);
        assert!(text.contains(sentence), "{sentence} in {text}");
    }
    other.get("/console/account").expect(200);
    let answer = change(PASSWORD, "another horse", "another horse").expect(303);
    assert_eq!(answer.header("location"), Some("/console/account?said=password"));
    let text = page(browser.get("/console/account?said=password"), 200);
    assert!(text.contains("The password was changed"), "{text}");
    other.get("/console/account").expect(303);
    Browser::new(&app.url).sign_in("viewer@example.com", PASSWORD).expect(403);
    Browser::new(&app.url).sign_in("viewer@example.com", "another horse").expect(303);
}

fn role_decides_what_may_be_done(app: &TestApp) {
    let viewer = app.signed_in("viewer");
    let operator = app.signed_in("operator");
    let owner = app.signed_in("owner");
    for path in ["/console/keys", "/console/administrators"] {
        for browser in [&viewer, &operator] {
            let text = page(browser.get(path), 403);
            assert!(text.contains("This needs the role owner"), "{text}");
        }
        page(owner.get(path), 200);
    }
    let make = |browser: &Browser| browser.submit("/console/organizations", &[("name", "Made")]);
    let text = page(make(&viewer), 403);
    assert!(text.contains("This needs the role operator; yours is viewer"), "{text}");
    make(&operator).expect(303);
    make(&owner).expect(303);
    for path in ["/console/organizations", "/console/health"] {
        let text = page(viewer.get(path), 200);
        assert!(!text.contains("<button>Make"), "{text}");
    }
    assert!(!viewer.get("/console/health").text.contains("Seal everything again</button>"));
    assert!(owner.get("/console/health").text.contains("Seal everything again</button>"));
    page(operator.submit("/console/health/secret-key/rotate", &[]), 403);
}

fn files_of_pages_are_kept_for_good(app: &TestApp) {
    let browser = Browser::new(&app.url);
    let text = browser.get("/console/sign-in").expect(200).text;
    let mut found = 0;
    for place in text.split("\"/assets/").skip(1) {
        let path = format!("/assets/{}", place.split('"').next().expect("its end"));
        let answer = browser.get(&path).expect(200);
        let kept = answer.header("cache-control").expect("a header");
        assert_eq!(kept, "public, max-age=31536000, immutable", "{path}");
        found += 1;
    }
    assert_eq!(found, 5, "{text}");
    page(browser.get("/assets/0000000000000000/rollbook.css"), 404);
    page(browser.send("POST", "/assets/0000000000000000/rollbook.css", &[], None), 405);
}

fn what_is_not_there_is_a_page(app: &TestApp) {
    let browser = app.signed_in("owner");
    for path in
        ["/console/nothing", "/console/organizations/org_none", "/console/administrators/%00"]
    {
        page(browser.get(path), 404);
    }
    for path in ["/console/keys?after=%FF", "/console/keys?after=%00"] {
        page(browser.get(path), 400);
    }
    page(browser.send("DELETE", "/console/keys", &[], None), 405);
    page(browser.submit("/console/organizations", &[("name", " ")]), 422);
    page(browser.submit("/console/keys", &[("name", "k"), ("scope", "everything")]), 422);
    page(browser.submit("/console/keys", &[("name", "k")]), 422);
    api_error(&app.api.get("/api/v1/admins/admin_none"), 404, "entity_not_found");
}
