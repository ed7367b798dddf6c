//! How the set-up portal looks, set in the console.

use serde_json::json;

use super::page;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![name_logo_and_colours_are_set_and_taken_away, viewer_sees_and_sets_nothing];

const PATH: &str = "/console/branding";

/// The first bytes say what it is.
const PICTURE: &str = "GIF89a and what follows";

fn name_logo_and_colours_are_set_and_taken_away(app: &TestApp) {
    let operator = app.signed_in("operator");
    assert!(page(operator.get(PATH), 200).contains("There is no logo."));
    let fields = [("name", "Acme <b>"), ("color", "#7A1FA2"), ("color_dark", "")];
    let set = operator.submit_file(PATH, &fields, PICTURE).expect(303);
    let text = page(operator.get(set.header("location").expect("a place")), 200);
    assert!(text.contains("look so from now on") && text.contains("Acme &#60;b&#62;"), "{text}");
    let stored = app.api.get("/api/v1/branding").expect(200).body;
    assert_eq!((&stored["name"], &stored["color"]), (&json!("Acme <b>"), &json!("#7a1fa2")));
    let logo = format!("/setup/brand/{}/logo", stored["logo_digest"].as_str().expect("a logo"));
    assert!(text.contains(&format!("src=\"{logo}\"")), "{text}");
    assert_eq!(operator.get(&logo).expect(200).text, PICTURE);
    // What is wrong is said beside what was filled in; nothing is stored.
    let text = page(operator.submit_file(PATH, &[("color", "#ffcc00")], ""), 422);
    assert!(text.contains("1.5:1") && text.contains("value=\"#ffcc00\""), "{text}");
    assert!(text.contains(&logo), "{text}");
    page(operator.submit_file(PATH, &[], "<svg>"), 422);
    assert_eq!(app.api.get("/api/v1/branding").body, stored);
    // Without a file the logo stays, until it is taken away.
    operator.submit_file(PATH, &[("name", "Acme")], "").expect(303);
    assert_eq!(app.api.get("/api/v1/branding").body["logo_type"], "image/gif");
    operator.submit_file(PATH, &[("no_logo", "on")], "").expect(303);
    let stored = app.api.get("/api/v1/branding").body;
    assert_eq!((&stored["name"], &stored["logo_type"]), (&json!(null), &json!(null)));
}

fn viewer_sees_and_sets_nothing(app: &TestApp) {
    let viewer = app.signed_in("viewer");
    assert!(!page(viewer.get(PATH), 200).contains("action=\"/console/branding\""));
    page(viewer.submit_file(PATH, &[("name", "Mine")], PICTURE), 403);
    let operator = app.signed_in("operator");
    page(operator.upload(PATH, &[("proof", "forged")], ("a file", PICTURE)), 403);
    assert_eq!(app.api.get("/api/v1/branding").body["name"], json!(null));
}
