//! From a link to a session, and to its end.

use std::time::Duration;

use serde_json::json;

use rollbook::service::portal::SecretOf;

use super::super::api_error;
use super::{assert_page_headers, link, page, path};
use crate::on_both_databases;
use crate::support::{Browser, Database, TestApp, form_field, link_secret};

on_both_databases![
    reading_a_link_consumes_nothing,
    link_is_exchanged_once,
    one_of_many_who_come_at_once_gets_the_session,
    form_that_is_sent_twice_ends_in_one_session,
    forged_forms_are_refused_and_change_nothing,
    session_lasts_an_hour_and_ends_when_finished,
    session_opens_no_api,
    made_up_secrets_open_nothing_and_lock_nobody_out,
    requests_that_fit_nothing_are_pages,
];

fn reading_a_link_consumes_nothing(app: &TestApp) {
    let link = link(app, json!({}));
    let at = path(app, &link);
    let scanner = Browser::new(&app.url);
    for method in ["GET", "HEAD", "GET"] {
        assert_page_headers(&scanner.send(method, at, &[], None).expect(200));
    }
    // A browser without cookies changes nothing either.
    scanner.post("/setup/session", &[("link", link_secret(&link))]).expect(403);
    let text = page(Browser::new(&app.url).get(at), 200);
    assert!(text.contains("<strong>Example</strong>"), "{text}");
    Browser::new(&app.url).exchange(&link).expect(303);
    let text = page(scanner.get(at), 404);
    assert!(!text.contains("Example"), "{text}");
}

fn link_is_exchanged_once(app: &TestApp) {
    let link = link(app, json!({}));
    let late = Browser::new(&app.url);
    let page_before = late.get(path(app, &link)).expect(200);
    let browser = Browser::new(&app.url);
    let answer = browser.exchange(&link).expect(303);
    assert_page_headers(&answer);
    assert_eq!(answer.header("location"), Some("/setup"));
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("rollbook_setup="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=3600"), "{cookie}");
    assert!(!cookie.contains(link_secret(&link)) && !answer.text.contains(link_secret(&link)));
    page(browser.get("/setup"), 200);
    // Whoever had opened the page before comes too late.
    let proof = form_field(&page_before, "proof");
    let fields = [("link", link_secret(&link)), ("proof", &*proof)];
    page(late.post("/setup/session", &fields), 404);
    page(late.get("/setup"), 403);
    let metrics = app.api.get("/metrics").text;
    for line in [
        "rollbook_portal_links_total 1",
        "rollbook_portal_exchanges_total{outcome=\"opened\"} 1",
        "rollbook_portal_exchanges_total{outcome=\"refused\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

fn one_of_many_who_come_at_once_gets_the_session(app: &TestApp) {
    let link = link(app, json!({}));
    let opened = |_| {
        let browser = Browser::new(&app.url);
        let proof = form_field(&browser.get(path(app, &link)).expect(200), "proof");
        (browser, proof)
    };
    let browsers: Vec<(Browser, String)> = (0..8).map(opened).collect();
    let secret = link_secret(&link);
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let sent = browsers.into_iter().map(|(browser, proof)| {
            scope.spawn(move || {
                browser.post("/setup/session", &[("link", secret), ("proof", &proof)]).status
            })
        });
        let sent: Vec<_> = sent.collect();
        sent.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 404, 404, 404, 404, 404, 404, 404]);
}

/// Somebody clicks twice, and the browser waits for the second answer alone.
fn form_that_is_sent_twice_ends_in_one_session(app: &TestApp) {
    let link = link(app, json!({}));
    let browser = Browser::new(&app.url);
    let proof = form_field(&browser.get(path(app, &link)).expect(200), "proof");
    let fields = [("link", link_secret(&link)), ("proof", &*proof)];
    // Sent before the first answer has come, which takes the cookie of the page away.
    let (twice, late) = (browser.clone(), browser.clone());
    let first = browser.post("/setup/session", &fields).expect(303);
    let second = twice.post("/setup/session", &fields).expect(303);
    assert_eq!(first.header("set-cookie"), second.header("set-cookie"));
    page(browser.get("/setup"), 200);
    // When the session has ended, that leads nowhere.
    let session_proof = browser.proof();
    page(browser.post("/setup/finish", &[("proof", &session_proof)]), 200);
    page(late.post("/setup/session", &fields), 404);
}

fn forged_forms_are_refused_and_change_nothing(app: &TestApp) {
    let link = link(app, json!({}));
    let browser = Browser::new(&app.url);
    let proof = form_field(&browser.get(path(app, &link)).expect(200), "proof");
    let secret = link_secret(&link);
    // Another site lets a victim's browser send the attacker's link, with the attacker's proof.
    let victim = Browser::new(&app.url);
    page(victim.post("/setup/session", &[("link", secret), ("proof", &proof)]), 403);
    page(browser.post("/setup/session", &[("link", secret), ("proof", "")]), 403);
    for site in ["cross-site", "same-site"] {
        let headers = [("Sec-Fetch-Site", site)];
        let fields = [("link", secret), ("proof", &*proof)];
        page(browser.post_with("/setup/session", &headers, &fields), 403);
    }
    let headers = [("Sec-Fetch-Site", "same-origin"), ("Origin", "null")];
    let fields = [("link", secret), ("proof", &*proof)];
    browser.post_with("/setup/session", &headers, &fields).expect(303);
    let proof = browser.proof();
    let token = format!("/setup/directories/{}/tokens", app.directory.id);
    for path in ["/setup/directories", &token, "/setup/finish"] {
        let fields = [("provider", "okta"), ("newest", &*app.directory.token_id)];
        page(browser.post(path, &fields), 403);
        let cross = [("Sec-Fetch-Site", "cross-site")];
        page(browser.post_with(path, &cross, &[&fields[..], &[("proof", &proof)]].concat()), 403);
        // A proof of another session, and none at all.
        let other = Browser::entered(&app.url, &super::link(app, json!({})));
        page(other.post(path, &[&fields[..], &[("proof", &proof)]].concat()), 403);
        page(Browser::new(&app.url).post(path, &[("proof", &proof)]), 403);
        let json = Some(json!({"proof": proof}).to_string());
        page(browser.send("POST", path, &[], json), 415);
    }
    let directories = format!("/directories?organization_id={}", app.directory.organization_id);
    assert_eq!(app.api.get(&directories).body["data"].as_array().map(Vec::len), Some(1));
    let tokens = format!("/api/v1/directories/{}/tokens", app.directory.id);
    assert_eq!(app.api.get(&tokens).body["data"].as_array().map(Vec::len), Some(1));
    page(browser.get("/setup"), 200);
}

fn session_lasts_an_hour_and_ends_when_finished(app: &TestApp) {
    let browser = Browser::entered(&app.url, &link(app, json!({})));
    app.clock.advance(Duration::from_secs(3_599));
    let text = page(browser.get("/setup"), 200);
    let end = "<time datetime=\"2025-06-15T16:06:40.000Z\">2025-06-15 16:06:40 UTC</time>";
    assert!(text.contains(&format!("lasts until {end}")), "{text}");
    app.clock.advance(Duration::from_secs(1));
    let text = page(browser.get("/setup"), 403);
    assert!(text.contains("a session lasts an hour"), "{text}");
    let app_urls = json!({"return_url": "https://app.example.com/a?b=1&c=2",
        "success_url": "https://app.example.com/done"});
    let browser = Browser::entered(&app.url, &link(app, app_urls));
    let text = page(browser.get("/setup"), 200);
    assert!(text.contains("href=\"https://app.example.com/a?b=1&#38;c=2\""), "{text}");
    let cookies = browser.cookie_header();
    let proof = browser.proof();
    let ended = browser.post("/setup/finish", &[("proof", &proof)]);
    let taken_away = ended.header("set-cookie").expect("a cookie").to_owned();
    assert!(taken_away.starts_with("rollbook_setup=;") && taken_away.ends_with("; Max-Age=0"));
    let text = page(ended, 200);
    assert!(text.contains("content=\"3; url=https://app.example.com/done\""), "{text}");
    assert!(text.contains("href=\"https://app.example.com/done\""), "{text}");
    // The cookie is worth nothing, wherever it was kept.
    let kept = [("Cookie", &*cookies)];
    page(Browser::new(&app.url).send("GET", "/setup", &kept, None), 403);
    let browser = Browser::entered(&app.url, &link(app, json!({})));
    let proof = browser.proof();
    let text = page(browser.post("/setup/finish", &[("proof", &proof)]), 200);
    assert!(!text.contains("url="), "{text}");
}

fn session_opens_no_api(app: &TestApp) {
    let link = link(app, json!({}));
    let browser = Browser::entered(&app.url, &link);
    let cookies = browser.cookie_header();
    let session = cookies.split("rollbook_setup=").nth(1).expect("a session");
    let session = session.split(';').next().expect("its value");
    for path in ["/directories", "/api/v1/organizations", "/events", "/scim/v2/Users"] {
        for secret in [None, Some(session), Some(link_secret(&link))] {
            let client = app.api.with_bearer(secret);
            let answer = client.send("GET", path, &[("Cookie", &*cookies)], None);
            assert_eq!(answer.status, 401, "{path}: {}", answer.text);
        }
    }
}

/// What was made up is known without the database, so nobody has to be locked out for guessing: neither the
/// address nor whoever shares it.
fn made_up_secrets_open_nothing_and_lock_nobody_out(app: &TestApp) {
    let good = link(app, json!({}));
    let browser = Browser::new(&app.url);
    let own = link_secret(&good);
    let made_up = [
        "guess".to_owned(),
        format!("rbl_{}", "A".repeat(59)),
        format!("{own}A"),
        own[..own.len() - 16].to_owned(),
    ];
    for _ in 0..20 {
        for link in &made_up {
            page(browser.get(&format!("/setup/{link}")), 404);
        }
        let cookie = format!("rollbook_setup={}", "A".repeat(59));
        let answer = browser.send("GET", "/setup", &[("Cookie", &*cookie)], None);
        assert_eq!(answer.header("ratelimit-limit"), None);
        page(answer, 403);
    }
    for link in &made_up {
        assert!(app.service().portal_issued(SecretOf::Link, link).is_none(), "{link}");
    }
    // A link is no session, and a session no link.
    assert!(app.service().portal_issued(SecretOf::Link, own).is_some());
    assert!(app.service().portal_issued(SecretOf::Session, own).is_none());
    page(browser.get(path(app, &good)), 200);
    browser.exchange(&good).expect(303);
}

fn requests_that_fit_nothing_are_pages(app: &TestApp) {
    let browser = Browser::entered(&app.url, &link(app, json!({})));
    for (method, path, allowed) in [
        ("DELETE", "/setup", "GET"),
        ("GET", "/setup/session", "POST"),
        ("GET", "/setup/finish", "POST"),
        ("GET", "/setup/directories", "POST"),
        ("PUT", "/setup/rbl_x", "GET, HEAD"),
    ] {
        let answer = browser.send(method, path, &[], None);
        assert_eq!(answer.header("allow"), Some(allowed), "{path}");
        page(answer, 405);
    }
    page(browser.get("/setup/a/b/c"), 404);
    page(browser.get("/setup/directories/a%00b"), 404);
    page(browser.get("/setup/%FF"), 404);
    let long = "x".repeat(300_000);
    let fields =
        [("proof", &*browser.proof()), ("provider", &*long)].map(|(n, v)| (n, v.to_owned()));
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    page(browser.post("/setup/directories", &fields), 413);
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    for form in ["proof=%FF", "proof=%00"] {
        page(browser.send("POST", "/setup/directories", &kind, Some(form.into())), 400);
    }
    api_error(&browser.get("/setupx"), 404, "entity_not_found");
}

/// Behind a proxy that ends TLS, below a path.
mod cookies_of_an_https_site_are_of_this_host_alone {
    use super::*;

    #[test]
    fn sqlite() {
        let app = TestApp::start_with(Database::sqlite(), |config| {
            config.public_url = Some("https://directory.example.com/sync/".into());
        });
        let link = link(&app, json!({}));
        let secret = link_secret(&link);
        assert_eq!(link, format!("https://directory.example.com/sync/setup/{secret}"));
        let browser = Browser::new(&app.url);
        let landing = browser.get(&format!("/setup/{secret}")).expect(200);
        let start = landing.header("set-cookie").expect("a cookie");
        assert!(start.starts_with("__Host-rollbook_setup_start="), "{start}");
        assert!(start.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{start}");
        assert!(landing.text.contains("action=\"/sync/setup/session\""), "{}", landing.text);
        let proof = form_field(&landing, "proof");
        let fields = [("link", secret), ("proof", &*proof)];
        let answer = browser.post("/setup/session", &fields).expect(303);
        assert_eq!(answer.header("location"), Some("/sync/setup"));
        let session = answer.header("set-cookie").expect("a cookie");
        assert!(session.starts_with("__Host-rollbook_setup="), "{session}");
        assert!(session.contains("; Secure;"), "{session}");
        let home = page(browser.get("/setup"), 200);
        assert!(home.contains("href=\"/sync/setup/directories/"), "{home}");
    }
}
