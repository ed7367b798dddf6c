//! Flags that no shipped profile sets, switched on for one directory.

use serde_json::{Value, json};

use super::{create, plain_user};
use crate::on_both_databases;
use crate::support::{TestApp, group, patch};

on_both_databases![
    user_patch_answers_204_where_the_profile_says_so,
    patch_that_is_not_announced_is_served,
];

fn set(app: &TestApp, overrides: Value) {
    let path = format!("/api/v1/directories/{}/profile", app.directory.id);
    app.api.put(&path, json!({"overrides": overrides})).expect(200);
}

fn title(value: &str) -> Value {
    patch(json!([{"op": "replace", "path": "title", "value": value}]))
}

fn user_patch_answers_204_where_the_profile_says_so(app: &TestApp) {
    let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
    assert_eq!(app.scim.patch(&path, title("Dr")).expect(200).body["title"], "Dr");
    set(app, json!({"user_patch_reply": "no_content"}));
    let answer = app.scim.patch(&path, title("Prof")).expect(204);
    assert_eq!((answer.text.as_str(), answer.header("etag")), ("", Some("W/\"3\"")));
    let unchanged = app.scim.patch(&path, title("Prof")).expect(204);
    assert_eq!(unchanged.header("etag"), Some("W/\"3\""));
    // The tag is the one that a later write is compared with.
    let condition = [("If-Match", "W/\"3\"")];
    let body = title("Sir").to_string();
    app.scim.send("PATCH", &path, &condition, Some(body.clone())).expect(204);
    app.scim.send("PATCH", &path, &condition, Some(body)).expect_scim_error(412, None);
    assert_eq!(app.scim.get(&path).expect(200).body["title"], "Sir");
    // A client that names attributes is shown them (RFC 7644 §3.5.2).
    let shown = app.scim.patch(&format!("{path}?attributes=title"), title("Dr")).expect(200);
    assert_eq!(shown.body["title"], "Dr");
    // Errors keep their bodies, and groups their own flag.
    let wrong = patch(json!([{"op": "replace", "path": "active", "value": "perhaps"}]));
    app.scim.patch(&path, wrong).expect_scim_error(400, Some("invalidValue"));
    let path = format!("/Groups/{}", create(&app.scim, "/Groups", group("Staff", &[])));
    let rename = patch(json!([{"op": "replace", "path": "displayName", "value": "Crew"}]));
    assert_eq!(app.scim.patch(&path, rename).expect(200).body["displayName"], "Crew");
}

fn patch_that_is_not_announced_is_served(app: &TestApp) {
    let announced = || {
        let config = app.scim.get("/ServiceProviderConfig").expect(200);
        config.body["patch"]["supported"].clone()
    };
    assert_eq!(announced(), true);
    set(app, json!({"patch": false}));
    assert_eq!(announced(), false);
    let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
    let off = patch(json!([{"op": "replace", "path": "active", "value": false}]));
    assert_eq!(app.scim.patch(&path, off).expect(200).body["active"], false);
    // Without a token no directory is known, and the facts about the server are told.
    let stranger = app.scim.with_bearer(None);
    let config = stranger.get("/ServiceProviderConfig").expect(200);
    assert_eq!(config.body["patch"]["supported"], true);
}
