//! A directory token gets a successor; both are valid for a while.

use std::time::Duration;

use serde_json::{Value, json};

use super::{api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp};

on_both_databases![
    both_tokens_work_in_the_overlap_and_the_old_one_dies_after,
    overlap_is_a_day_unless_said_otherwise,
    token_that_ends_earlier_still_does,
    successor_has_the_scope_and_the_user_of_the_old_one,
    overlap_of_zero_ends_the_old_token_at_once,
    wrong_rotations_are_refused,
];

fn rotate(app: &TestApp, token: &str, body: Value) -> Answer {
    let path = format!("/api/v1/directories/{}/tokens/{token}/rotate", app.directory.id);
    app.api.post(&path, body)
}

fn successor(app: &TestApp, answer: &Answer) -> Client {
    app.scim.with_bearer(Some(answer.body["secret"].as_str().expect("a secret")))
}

fn both_tokens_work_in_the_overlap_and_the_old_one_dies_after(app: &TestApp) {
    app.scim.get("/Users").expect(200);
    let answer = rotate(app, &app.directory.token_id, json!({"overlap": 3_600})).expect(201);
    let ends = "2025-06-15T16:06:40.000Z";
    let replaces = json!({"id": app.directory.token_id, "expires_at": ends});
    assert_eq!(answer.body["replaces"], replaces);
    assert_eq!(answer.body["expires_at"], json!(null));
    let new = successor(app, &answer);
    for client in [&app.scim, &new] {
        client.get("/Users").expect(200);
    }
    app.clock.advance(Duration::from_millis(3_599_999));
    for client in [&app.scim, &new] {
        client.get("/Users").expect(200);
    }
    app.clock.advance(Duration::from_millis(1));
    app.scim.get("/Users").expect_scim_error(401, None);
    new.get("/Users").expect(200);
    let list = app.api.get(&format!("/api/v1/directories/{}/tokens", app.directory.id)).expect(200);
    assert_eq!(list.body["data"].as_array().expect("a list").len(), 2);
    assert_eq!(list.body["data"][1]["expires_at"], ends);
    let events = app.events(&app.directory);
    let created = events.iter().filter(|(name, _)| name == "dsync.token.created").count();
    assert_eq!(created, 2);
}

fn overlap_is_a_day_unless_said_otherwise(app: &TestApp) {
    let answer = rotate(app, &app.directory.token_id, json!({})).expect(201);
    assert_eq!(answer.body["replaces"]["expires_at"], "2025-06-16T15:06:40.000Z");
}

fn token_that_ends_earlier_still_does(app: &TestApp) {
    let path = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let soon = "2025-06-15T15:07:00.000Z";
    let token = app.api.post(&path, json!({"expires_at": soon})).expect(201);
    let later = "2031-01-01T00:00:00.000Z";
    let answer = rotate(app, &token.id(), json!({"expires_at": later})).expect(201);
    assert_eq!(answer.body["replaces"]["expires_at"], soon);
    assert_eq!(answer.body["expires_at"], later);
}

fn successor_has_the_scope_and_the_user_of_the_old_one(app: &TestApp) {
    let user = super::create(&app.scim, "/Users", super::plain_user("ada"));
    let path = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let body = json!({"scope": "read", "user_id": user});
    let token = app.api.post(&path, body).expect(201);
    let answer = rotate(app, &token.id(), json!({})).expect(201);
    assert_eq!(answer.body["scope"], "read");
    assert_eq!(answer.body["user_id"], user.as_str());
    let new = successor(app, &answer);
    assert_eq!(new.get("/Me").expect(200).id(), user);
    new.post("/Users", super::plain_user("eve")).expect_scim_error(403, None);
}

fn overlap_of_zero_ends_the_old_token_at_once(app: &TestApp) {
    app.scim.get("/Users").expect(200);
    let answer = rotate(app, &app.directory.token_id, json!({"overlap": 0})).expect(201);
    app.scim.get("/Users").expect_scim_error(401, None);
    successor(app, &answer).get("/Users").expect(200);
    let again = rotate(app, &app.directory.token_id, json!({}));
    api_error(&again, 409, "token_expired");
}

fn wrong_rotations_are_refused(app: &TestApp) {
    let token = &app.directory.token_id;
    for (body, field) in [
        (json!({"overlap": -1}), "overlap"),
        (json!({"overlap": 90 * 86_400 + 1}), "overlap"),
        (json!({"overlap": "1h"}), "overlap"),
        (json!({"expires_at": "2001-01-01T00:00:00Z"}), "expires_at"),
    ] {
        assert_invalid(&rotate(app, token, body), field);
    }
    api_error(&rotate(app, token, json!({"scope": "read"})), 422, "invalid_request_parameters");
    let (other, _) = app.directory("scim.generic");
    api_error(&rotate(app, &other.token_id, json!({})), 404, "entity_not_found");
    api_error(&rotate(app, "directory_token_x", json!({})), 404, "entity_not_found");
    let list = app.api.get(&format!("/api/v1/directories/{}/tokens", app.directory.id)).expect(200);
    assert_eq!(list.body["data"].as_array().expect("a list").len(), 1);
    app.scim.get("/Users").expect(200);
}
