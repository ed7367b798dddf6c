//! `GET /api/v1/overview`: the installation in numbers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::{Database, Receiver, TestApp, user};

on_both_databases![
    users_and_directories_are_looked_up_once_a_minute,
    requests_are_counted_by_the_minute,
    what_two_processes_count_is_added_up,
    every_span_has_its_steps_and_old_numbers_go,
    overview_is_for_keys_of_everybody,
];

mod time_until_the_app_knows_of_a_leaver_is_told {
    use super::*;

    fn check(database: Database) {
        let app = TestApp::start_with(database, |config| {
            config.outbound_networks = vec!["127.0.0.0/8".parse().expect("a network")];
        });
        time_until_the_app_knows_of_a_leaver_is_told(&app);
    }

    #[test]
    fn sqlite() {
        check(Database::sqlite());
    }

    #[test]
    fn postgres() {
        check(Database::postgres());
    }
}

const MINUTE: Duration = Duration::from_secs(60);

fn sample(app: &TestApp) {
    let service = Arc::clone(app.service());
    app.wait(async move { service.sample().await }).expect("a sample");
}

/// Waits until the users of the first minute have been counted, by whoever does it: the server looks, too.
pub(super) fn first_sample(app: &TestApp) {
    sample(app);
    while last_steps(&overview(app, "1h"))[1]["users_active"].is_null() {}
}

#[track_caller]
fn overview(app: &TestApp, span: &str) -> Value {
    app.api.get(&format!("/api/v1/overview?span={span}")).expect(200).body
}

/// The last step that is over, and the one under way.
fn last_steps(overview: &Value) -> [Value; 2] {
    let steps = overview["steps"].as_array().expect("steps");
    let [.., before, last] = steps.as_slice() else { panic!("steps: {overview}") };
    [before.clone(), last.clone()]
}

fn users_and_directories_are_looked_up_once_a_minute(app: &TestApp) {
    let ids: Vec<String> = ["a", "b", "c"]
        .map(|name| app.scim.post("/Users", user(&format!("{name}@example.com"))).expect(201).id())
        .into();
    let change = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "active", "value": false}]});
    app.scim.patch(&format!("/Users/{}", ids[0]), change).expect(200);
    let (paused, _) = app.directory("scim.okta");
    app.api
        .patch(&format!("/api/v1/directories/{}", paused.id), json!({"state": "paused"}))
        .expect(200);
    app.clock.advance(MINUTE);
    sample(app);
    let seen = overview(app, "1h");
    assert_eq!(seen["users"], json!({"active": 2, "inactive": 1}));
    assert_eq!(seen["directories"]["paused"], 1);
    let all: i64 = seen["directories"].as_object().expect("states").values().map(number).sum();
    // The one that a first start makes, that of the test, and the paused one.
    assert_eq!(all, 3, "{seen}");
    let [_, last] = last_steps(&seen);
    assert_eq!((&last["users_active"], &last["users_inactive"]), (&json!(2), &json!(1)));
    // Within the same minute nobody looks again.
    app.scim.delete(&format!("/Users/{}", ids[1])).expect(204);
    sample(app);
    assert_eq!(overview(app, "1h")["users"]["active"], 2);
    app.clock.advance(MINUTE);
    sample(app);
    let seen = overview(app, "1h");
    assert_eq!(seen["users"]["active"], 1);
    let steps = last_steps(&seen).map(|step| step["users_active"].clone());
    assert_eq!(steps, [json!(2), json!(1)]);
}

fn number(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}

fn requests_are_counted_by_the_minute(app: &TestApp) {
    app.clock.advance(MINUTE);
    app.scim.post("/Users", user("a@example.com")).expect(201);
    app.scim.post("/Users", user("a@example.com")).expect(409);
    app.scim.get("/Users/nobody").expect(404);
    app.api.get("/api/v1/organizations").expect(200);
    app.clock.advance(MINUTE);
    app.scim.get("/Users").expect(200);
    sample(app);
    let [before, last] = last_steps(&overview(app, "1h"));
    assert_eq!((&before["requests_scim"], &before["requests_api"]), (&json!(3), &json!(1)));
    assert_eq!((&before["requests_refused"], &before["requests_failed"]), (&json!(2), &json!(0)));
    assert_eq!((&last["requests_scim"], &last["requests_refused"]), (&json!(1), &json!(0)));
}

/// Each adds its own to the same minute, however often.
fn what_two_processes_count_is_added_up(app: &TestApp) {
    app.clock.advance(MINUTE);
    for count in [2, 3] {
        for _ in 0..count {
            app.scim.get("/Users").expect(200);
        }
        sample(app);
    }
    let [_, last] = last_steps(&overview(app, "1h"));
    assert_eq!(last["requests_scim"], 5);
    let [_, hour] = last_steps(&overview(app, "7d"));
    assert_eq!(hour["requests_scim"], 5);
}

fn every_span_has_its_steps_and_old_numbers_go(app: &TestApp) {
    first_sample(app);
    app.scim.post("/Users", user("a@example.com")).expect(201);
    app.clock.advance(MINUTE);
    app.scim.get("/Users").expect(200);
    sample(app);
    for (span, steps, seconds) in
        [("1h", 60, 60), ("24h", 96, 900), ("7d", 84, 7_200), ("90d", 90, 86_400)]
    {
        let seen = overview(app, span);
        assert_eq!(seen["steps"].as_array().expect("steps").len(), steps, "{span}");
        assert_eq!(seen["step_seconds"], seconds);
        let [_, last] = last_steps(&seen);
        let requests = if span == "1h" { 1 } else { 2 };
        assert_eq!(last["requests_scim"], requests, "{span}");
        // Of a quarter of an hour it is the mean.
        let users = if span == "24h" { 0 } else { 1 };
        assert_eq!(last["users_active"], users, "{span}");
    }
    assert_invalid(&app.api.get("/api/v1/overview?span=2h"), "span");
    // After a day the minutes are gone and the hours are there.
    app.clock.advance(MINUTE * 60 * 25);
    sample(app);
    let sum = |span: &str| {
        let seen = overview(app, span);
        let steps = seen["steps"].as_array().expect("steps").clone();
        steps.iter().map(|step| number(&step["requests_scim"])).sum::<i64>()
    };
    assert_eq!((sum("24h"), sum("7d")), (0, 2));
    app.clock.advance(MINUTE * 60 * 24 * 91);
    sample(app);
    assert_eq!(sum("90d"), 0);
}

fn overview_is_for_keys_of_everybody(app: &TestApp) {
    let body = json!({"name": "Limited", "scopes": ["manage"],
        "organization_ids": [app.directory.organization_id]});
    let made = app.api.post("/api/v1/api_keys", body).expect(201);
    let limited = app.api.with_bearer(made.body["secret"].as_str());
    api_error(&limited.get("/api/v1/overview"), 403, "forbidden");
    let body = json!({"name": "Reads", "scopes": ["read"]});
    let made = app.api.post("/api/v1/api_keys", body).expect(201);
    let reader = app.api.with_bearer(made.body["secret"].as_str());
    api_error(&reader.get("/api/v1/overview"), 403, "forbidden");
}

fn time_until_the_app_knows_of_a_leaver_is_told(app: &TestApp) {
    let receiver = Receiver::start();
    let body = json!({"endpoint_url": receiver.url, "events": ["dsync.user.deleted"]});
    app.api.post("/api/v1/webhook_endpoints", body).expect(201);
    let id = app.scim.post("/Users", user("a@example.com")).expect(201).id();
    assert_eq!(overview(app, "1h")["offboarding"]["p50_ms"], Value::Null);
    app.scim.delete(&format!("/Users/{id}")).expect(204);
    receiver.wait_all(1);
    // The answer of the receiver is counted a moment after it was given.
    let since = std::time::Instant::now();
    let seen = loop {
        sample(app);
        let seen = overview(app, "1h")["offboarding"].clone();
        if seen["count"] == 1 || since.elapsed() > Duration::from_secs(30) {
            break seen;
        }
    };
    // The clock of the test stands still.
    assert_eq!(seen, json!({"count": 1, "p50_ms": 10, "p95_ms": 10}));
}
