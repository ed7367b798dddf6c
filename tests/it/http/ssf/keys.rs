//! Keys that sign: published before they do, and afterwards.

use std::time::Duration;

use rollbook::auth::jwt;
use serde_json::{Value, json};

use super::{PROV, STREAMS, person, polled, receiver_key};
use crate::support::TestApp;

with_streams![key_is_published_before_it_signs_and_after_it_has];

const KEYS: &str = "/api/v1/signing_keys";
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The ids of the published keys.
fn published(app: &TestApp) -> Vec<String> {
    let answer = app.api.with_bearer(None).get("/jwks.json").expect(200);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let keys = answer.body["keys"].as_array().expect("keys").clone();
    for key in &keys {
        assert_eq!((&key["alg"], &key["use"]), (&json!("RS256"), &json!("sig")));
        assert!(key.get("d").is_none() && key.get("p").is_none(), "{key}");
    }
    keys.iter().map(|key| key["kid"].as_str().expect("an id").to_owned()).collect()
}

fn key_is_published_before_it_signs_and_after_it_has(app: &TestApp) {
    let id = polled(app, &[format!("{PROV}:create:notice")]);
    person(&app.scim, "ada@example.com");
    app.settle_events();
    // The key that signs the token which waits.
    let signs = || {
        let path = format!("{STREAMS}/{id}/poll");
        let answer = app.api.post(&path, json!({"returnImmediately": true})).expect(200).body;
        let token = answer["sets"].as_object().expect("sets").values().next().cloned();
        let token = token.expect("a token");
        jwt::header(token.as_str().expect("text")).expect("a header").kid.expect("a key")
    };
    let states = |answer: &Value| -> Vec<String> {
        let keys = answer["data"].as_array().expect("keys");
        keys.iter().map(|key| key["state"].as_str().expect("a state").to_owned()).collect()
    };
    let first = published(app);
    assert_eq!(first, [signs()]);
    let rotated = app.api.post(&format!("{KEYS}/rotate"), json!({})).expect(201).body;
    assert_eq!(states(&rotated), ["active", "next"]);
    let both = published(app);
    assert_eq!((both.len(), &both[0]), (2, &first[0]));
    assert_eq!(signs(), first[0]);
    let again = app.api.post(&format!("{KEYS}/rotate"), json!({}));
    assert_eq!((again.status, &again.body["code"]), (409, &json!("rotation_in_progress")));
    app.clock.advance(DAY);
    assert_eq!(signs(), both[1]);
    assert_eq!(published(app), both);
    assert_eq!(states(&app.api.get(KEYS).expect(200).body), ["previous", "active"]);
    app.clock.advance(DAY * 30);
    assert_eq!(published(app), both[1..]);
    // A key that has leaked ends at once.
    let now = json!({"publish": 0, "keep": 0});
    app.api.post(&format!("{KEYS}/rotate"), now).expect(201);
    let last = published(app);
    assert_eq!((last.len(), last.contains(&both[1])), (1, false));
    assert_eq!(signs(), last[0]);

    for body in [json!({"publish": -1}), json!({"keep": 365 * 24 * 3_600 + 1})] {
        app.api.post(&format!("{KEYS}/rotate"), body).expect(422);
    }
    receiver_key(app, json!(null)).get(KEYS).expect(403);
    let limited = json!({"name": "L", "scopes": ["manage"],
        "organization_ids": [app.directory.organization_id]});
    let limited = app.api.post("/api/v1/api_keys", limited).expect(201).body;
    let limited = app.api.with_bearer(limited["secret"].as_str());
    limited.get(KEYS).expect(403);
    limited.post(&format!("{KEYS}/rotate"), json!({})).expect(403);
}
