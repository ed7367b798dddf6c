//! Endpoints in the management API: what is refused, and what is shown.

use serde_json::{Value, json};

use super::PATH;
use crate::http::{NOW, api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    endpoint_shows_all_that_is_known_of_it,
    what_does_not_fit_is_named,
    organizations_of_an_endpoint_can_be_changed,
    nobody_makes_endpoints_without_end,
    deleted_organization_is_in_no_scope,
    secret_is_rotated_once_for_the_same_request,
];

const URL: &str = "https://app.example.com/hooks";

fn body() -> Value {
    json!({"endpoint_url": URL, "events": ["dsync.user.created"], "state": "paused"})
}

fn with(name: &str, value: Value) -> Value {
    let mut body = body();
    body[name] = value;
    body
}

fn endpoint_shows_all_that_is_known_of_it(app: &TestApp) {
    app.settle_events();
    let made = app.api.post(PATH, body()).expect(201);
    let mut shown = made.body.clone();
    assert!(shown["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")));
    shown.as_object_mut().expect("an object").remove("secret");
    let position = shown["position"].as_i64().expect("a position");
    assert!(position > 0);
    assert_eq!(
        shown,
        json!({
            "object": "webhook_endpoint",
            "id": made.id(),
            "endpoint_url": URL,
            "events": ["dsync.user.created"],
            "organization_ids": null,
            "state": "paused",
            "state_since": NOW,
            "state_reason": "operator",
            "position": position,
            "lag": 0,
            "missed": 0,
            "attempts": 0,
            "refused_since": null,
            "failing_since": null,
            "last_success_at": null,
            "next_attempt_at": null,
            "parked": 0,
            "previous_secret_until": null,
            "created_at": NOW,
            "updated_at": NOW,
        })
    );
    let one = format!("{PATH}/{}", made.id());
    assert_eq!(app.api.get(&one).expect(200).body, shown);
    let listed = app.api.get(PATH).expect(200).body;
    assert_eq!(listed["data"], json!([shown]));
    for part in ["deliveries", "parked", "replays"] {
        assert_eq!(app.api.get(&format!("{one}/{part}")).expect(200).body["data"], json!([]));
    }
    app.api.delete(&one).expect(204);
    api_error(&app.api.get(&one), 404, "entity_not_found");
    for (method, part) in [
        ("GET", "deliveries"),
        ("GET", "parked"),
        ("GET", "replays"),
        ("POST", "rotate"),
        ("POST", "test"),
    ] {
        let path = format!("{one}/{part}");
        api_error(&app.api.send(method, &path, &[], None), 404, "entity_not_found");
    }
}

fn what_does_not_fit_is_named(app: &TestApp) {
    for (name, value) in [
        ("organization_ids", json!([])),
        ("organization_ids", json!(["org_none"])),
        ("events", json!(["dsync.user"])),
        ("after", json!("yesterday")),
        ("after", json!(-1)),
    ] {
        assert_invalid(&app.api.post(PATH, with(name, value)), name);
    }
    for (name, value) in [("secret", json!("whsec_x")), ("state", json!("on"))] {
        let answer = app.api.post(PATH, with(name, value));
        api_error(&answer, 422, "invalid_request_parameters");
    }
    api_error(&app.api.post(PATH, with("after", json!(1_000_000))), 400, "invalid_cursor");
    api_error(&app.api.post(PATH, with("after", json!("event_none"))), 400, "invalid_cursor");
    assert_eq!(app.api.get(PATH).expect(200).body["data"], json!([]));
    let id = app.api.post(PATH, body()).expect(201).id();
    let one = format!("{PATH}/{id}");
    assert_invalid(&app.api.post(&format!("{one}/rotate"), json!({"overlap": -1})), "overlap");
    let month = json!({"overlap": 31 * 24 * 3_600});
    assert_invalid(&app.api.post(&format!("{one}/rotate"), month), "overlap");
    for request in [
        json!({}),
        json!({"parked": false}),
        json!({"parked": true, "after": 1}),
        json!({"event_id": "event_1", "range_start": "2031-01-01T00:00:00Z"}),
        json!({"after": 1, "range_end": "2031-01-01T00:00:00Z"}),
        json!({"everything": true}),
    ] {
        let answer = app.api.post(&format!("{one}/replay"), request);
        api_error(&answer, 422, "invalid_request_parameters");
    }
    let answer = app.api.post(&format!("{one}/replay"), json!({"range_start": "today"}));
    assert_invalid(&answer, "range_start");
    let path = format!("{one}/replays/webhook_replay_none");
    api_error(&app.api.delete(&path), 404, "entity_not_found");
}

fn organizations_of_an_endpoint_can_be_changed(app: &TestApp) {
    let organization = &app.directory.organization_id;
    let id = app.api.post(PATH, with("organization_ids", json!([organization]))).expect(201).id();
    let one = format!("{PATH}/{id}");
    assert_eq!(app.api.get(&one).expect(200).body["organization_ids"], json!([organization]));
    // The same address for all organizations is another endpoint, until they are the same.
    let all = app.api.post(PATH, body()).expect(201).id();
    let change = json!({"organization_ids": null});
    api_error(&app.api.patch(&one, change.clone()), 409, "duplicate_endpoint");
    app.api.delete(&format!("{PATH}/{all}")).expect(204);
    assert_eq!(app.api.patch(&one, change).expect(200).body["organization_ids"], Value::Null);
    let unknown = json!({"organization_ids": ["org_none"]});
    assert_invalid(&app.api.patch(&one, unknown), "organization_ids");
    let kept = app.api.patch(&one, json!({})).expect(200).body;
    assert_eq!((&kept["state"], &kept["organization_ids"]), (&json!("paused"), &Value::Null));
}

fn nobody_makes_endpoints_without_end(app: &TestApp) {
    for n in 0..100 {
        app.api.post(PATH, with("endpoint_url", json!(format!("{URL}/{n}")))).expect(201);
    }
    let one_more = app.api.post(PATH, with("endpoint_url", json!(format!("{URL}/100"))));
    api_error(&one_more, 409, "too_many_endpoints");
    // Of an organization there are as many under whatever combination.
    let (other, _) = app.directory("scim.okta");
    let (own, other) = (&app.directory.organization_id, &other.organization_id);
    let of = |url: &str, ids: Value| {
        let mut body = with("endpoint_url", json!(format!("{URL}/{url}")));
        body["organization_ids"] = ids;
        app.api.post(PATH, body)
    };
    for n in 0..100 {
        let ids = if n % 2 == 0 { json!([own]) } else { json!([own, other]) };
        of(&n.to_string(), ids).expect(201);
    }
    let refused = api_error(&of("100", json!([own])), 409, "too_many_endpoints");
    assert!(refused.contains(own.as_str()), "{refused}");
    let theirs = of("100", json!([other])).expect(201).id();
    let change = json!({"organization_ids": [own]});
    api_error(&app.api.patch(&format!("{PATH}/{theirs}"), change), 409, "too_many_endpoints");
}

fn deleted_organization_is_in_no_scope(app: &TestApp) {
    let (other, _) = app.directory("scim.okta");
    let (own, gone) = (&app.directory.organization_id, &other.organization_id);
    let of = |url: &str, ids: Value| {
        let mut body = with("endpoint_url", json!(format!("{URL}/{url}")));
        body["organization_ids"] = ids;
        app.api.post(PATH, body).expect(201).id()
    };
    let [alone, both, twice] =
        [of("1", json!([gone])), of("2", json!([own, gone])), of("3", json!([own, gone]))];
    let same = of("3", json!([own]));
    let change = |id: &str, change: Value| {
        app.api.patch(&format!("{PATH}/{id}"), change).expect(200);
    };
    let key = json!({"name": "App", "scopes": ["webhooks"], "organization_ids": [own, gone]});
    let key = app.api.post("/api/v1/api_keys", key).expect(201).body;
    app.api.delete(&format!("/api/v1/directories/{}", other.id)).expect(202);
    app.purge();
    app.settle_events();
    let end = || app.api.delete(&format!("/api/v1/organizations/{gone}"));
    // Nobody answers there: what has ended is not sent yet.
    change(&both, json!({"state": "enabled", "events": ["dsync.deleted"]}));
    let message = api_error(&end(), 409, "events_pending");
    assert!(message.contains(&both), "{message}");
    change(&both, json!({"events": ["dsync.group.created"]}));
    // One would vanish although it may be the only one to get an event.
    let message = api_error(&end(), 409, "duplicate_endpoint");
    assert!(message.contains(&same) && message.contains(&twice), "{message}");
    change(&twice, json!({"organization_ids": [gone]}));
    end().expect(204);
    for id in [alone, twice] {
        api_error(&app.api.get(&format!("{PATH}/{id}")), 404, "entity_not_found");
    }
    for id in [both, same] {
        let shown = app.api.get(&format!("{PATH}/{id}")).expect(200).body;
        assert_eq!(shown["organization_ids"], json!([own]));
    }
    // A key that was limited to it as well goes on with what is left.
    let limited = app.api.with_bearer(key["secret"].as_str());
    let body = json!({"endpoint_url": format!("{URL}/4"), "events": ["dsync.deleted"]});
    let made = limited.post("/webhook_endpoints", body).expect(201).id();
    let shown = limited.get(&format!("{PATH}/{made}")).expect(200).body;
    assert_eq!(shown["organization_ids"], json!([own]));
}

fn secret_is_rotated_once_for_the_same_request(app: &TestApp) {
    let id = app.api.post(PATH, body()).expect(201).id();
    let path = format!("{PATH}/{id}/rotate");
    let key = [("Idempotency-Key", "once")];
    let [first, again] = [0; 2].map(|_| {
        let body = json!({"overlap": 0}).to_string();
        app.api.send("POST", &path, &key, Some(body)).expect(201).body
    });
    assert_eq!(first["secret"], again["secret"]);
    let shown = app.api.get("/webhook_endpoints").expect(200).body;
    assert_eq!(shown["data"][0]["secret"], first["secret"]);
}
