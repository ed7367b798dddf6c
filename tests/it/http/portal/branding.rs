//! How the pages look: set by whoever manages the server, shown to whoever comes by a link.

use serde_json::json;

use super::super::api_error;
use super::{link, page, path};
use crate::on_both_databases;
use crate::support::{Browser, TestApp};

on_both_databases![name_logo_and_colours_are_shown, what_cannot_be_shown_is_refused_by_field,];

/// A PNG of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const BRANDING: &str = "/api/v1/branding";

fn name_logo_and_colours_are_shown(app: &TestApp) {
    assert_eq!(app.api.get(BRANDING).expect(200).body["name"], json!(null));
    let body = json!({"name": "Acme <b>", "color": "#7A1FA2", "logo": PIXEL});
    let put = app.api.put(BRANDING, body).expect(200).body;
    assert_eq!((&put["color"], &put["logo_type"]), (&json!("#7a1fa2"), &json!("image/png")));
    let link = link(app, json!({}));
    let landing = page(Browser::new(&app.url).get(path(app, &link)), 200);
    let browser = Browser::entered(&app.url, &link);
    let (used, missing) = (path(app, &link), "/setup/directories/none");
    // Whoever has made a link up learns nothing of the operator, not even that there is one.
    for neutral in [browser.get("/setup/none"), Browser::new(&app.url).get(missing)] {
        assert!(matches!(neutral.status, 403 | 404) && !neutral.text.contains("/setup/brand/"));
    }
    for text in [
        landing,
        page(browser.get("/setup"), 200),
        page(browser.get(used), 404),
        page(browser.get(missing), 404),
    ] {
        let digest = put["logo_digest"].as_str().expect("a digest");
        let logo = format!("/setup/brand/{digest}/logo");
        assert!(text.contains(&format!("src=\"{logo}\" alt=\"Acme &#60;b&#62;\"")), "{text}");
        let found = ureq::get(format!("{}{logo}", app.url)).call().expect("it is there");
        assert_eq!(found.headers()["content-type"], "image/png");
        let sheet = text.split("href=\"").find(|rest| rest.contains("/colors.css\"")).expect("one");
        let sheet = browser.get(sheet.split('"').next().expect("its end")).expect(200);
        assert_eq!(sheet.header("content-type"), Some("text/css; charset=utf-8"));
        assert!(sheet.text.contains("--strong:#7a1fa2"), "{}", sheet.text);
    }
    // What is left out is taken away, but for the logo.
    let put = app.api.put(BRANDING, json!({})).expect(200).body;
    assert_eq!((&put["name"], &put["logo_type"]), (&json!(null), &json!("image/png")));
    let put = app.api.put(BRANDING, json!({"logo": null}));
    assert_eq!(put.expect(200).body["logo_type"], json!(null));
}

fn what_cannot_be_shown_is_refused_by_field(app: &TestApp) {
    for (body, words) in [
        (json!({"color": "#ffcc00"}), "1.5:1"),
        (json!({"color": "red"}), "#rrggbb"),
        (json!({"color_dark": "#000000"}), "lighter"),
        (json!({"name": ""}), "1 to 80"),
        (json!({"logo": "PHN2Zz4="}), "PNG, JPEG, GIF, WebP"),
        (json!({"logo": "no base64!"}), "base64"),
        (json!({"fonts": "x"}), "fonts"),
    ] {
        let put = app.api.put(BRANDING, body.clone());
        assert!(matches!(put.status, 400 | 422), "{body}: {}", put.text);
        assert!(put.text.contains(words), "{body}: {}", put.text);
    }
    let limited = json!({"name": "k", "organization_ids": [app.directory.organization_id],
        "scopes": ["manage"]});
    let key = app.api.post("/api/v1/api_keys", limited).expect(201);
    let limited = app.api.with_bearer(key.body["secret"].as_str());
    api_error(&limited.get(BRANDING), 403, "forbidden");
}
