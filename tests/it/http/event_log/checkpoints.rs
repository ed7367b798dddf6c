//! `/api/v1/consumers`: how far named consumers have got.

use serde_json::json;

use super::{column, data, reader};
use crate::http::{api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::{TestApp, user};

on_both_databases![
    consumer_goes_on_where_it_has_stored,
    two_who_store_at_once_do_not_overwrite_each_other,
    names_belong_to_the_organizations_of_the_key,
    lag_is_a_metric,
    what_makes_no_sense_is_refused,
];

fn consumer_goes_on_where_it_has_stored(app: &TestApp) {
    app.scim.post("/Users", user("a@example.com")).expect(201);
    app.settle_events();
    api_error(&app.api.get("/api/v1/events?consumer=billing"), 404, "entity_not_found");
    let made = app.api.put("/api/v1/consumers/billing", json!({"position": "oldest"})).expect(200);
    assert_eq!(made.body["position"], 0);
    assert_eq!(made.body["lag"], 5);
    let page = app.api.get("/api/v1/events?consumer=billing&limit=4").expect(200);
    let last = data(&page)[3]["id"].as_str().expect("an id").to_owned();
    let stored = app.api.put("/api/v1/consumers/billing", json!({"event_id": last})).expect(200);
    assert_eq!((&stored.body["position"], &stored.body["lag"]), (&json!(4), &json!(1)));
    let page = app.api.get("/api/v1/events?consumer=billing").expect(200);
    assert_eq!(column(&page, "event"), ["dsync.user.created"]);
    let one = app.api.get("/api/v1/consumers/billing").expect(200);
    let all = app.api.get("/api/v1/consumers").expect(200);
    assert_eq!(data(&all), &vec![one.body]);
    app.api.delete("/api/v1/consumers/billing").expect(204);
    app.api.get("/api/v1/consumers/billing").expect(404);
    app.api.delete("/api/v1/consumers/billing").expect(404);
}

fn two_who_store_at_once_do_not_overwrite_each_other(app: &TestApp) {
    app.settle_events();
    let path = "/api/v1/consumers/app";
    app.api.put(path, json!({"position": 0})).expect(200);
    app.api.put(path, json!({"position": 1, "expected": 0})).expect(200);
    let late = app.api.put(path, json!({"position": 2, "expected": 0}));
    assert!(api_error(&late, 409, "checkpoint_moved").contains("is 1"), "{}", late.text);
    assert_eq!(app.api.get(path).expect(200).body["position"], 1);
}

fn names_belong_to_the_organizations_of_the_key(app: &TestApp) {
    let (other, _) = app.directory("scim.okta");
    app.settle_events();
    let own = reader(app, Some(&[&other.organization_id]));
    own.put("/api/v1/consumers/app", json!({"position": "newest"})).expect(200);
    app.api.get("/api/v1/consumers/app").expect(404);
    app.api.put("/api/v1/consumers/app", json!({"position": 0})).expect(200);
    assert_eq!(own.get("/api/v1/consumers/app").expect(200).body["lag"], 0);
    assert_eq!(data(&own.get("/api/v1/consumers").expect(200)).len(), 1);
}

fn lag_is_a_metric(app: &TestApp) {
    app.settle_events();
    app.api.put("/api/v1/consumers/app", json!({"position": 3})).expect(200);
    let service = app.service().clone();
    app.wait(async move { service.measure_consumers().await }).expect("measured");
    let metrics = app.api.get("/metrics").expect(200).text;
    assert!(metrics.contains("rollbook_event_consumer_lag{consumer=\"app\"} 1\n"), "{metrics}");
}

fn what_makes_no_sense_is_refused(app: &TestApp) {
    app.settle_events();
    for (body, field) in [
        (json!({}), "position"),
        (json!({"position": 1, "event_id": "event_x"}), "position"),
        (json!({"position": "soon"}), "position"),
        (json!({"position": -1}), "position"),
        (json!({"place": 1}), "place"),
    ] {
        assert_invalid(&app.api.put("/api/v1/consumers/app", body), field);
    }
    for body in [json!({"position": 99}), json!({"event_id": "event_x"})] {
        api_error(&app.api.put("/api/v1/consumers/app", body), 400, "invalid_cursor");
    }
    assert_invalid(&app.api.put("/api/v1/consumers/a%20b", json!({"position": 1})), "name");
    app.api.get("/api/v1/consumers/app").expect(404);
    for n in 0..100 {
        app.api.put(&format!("/api/v1/consumers/c{n}"), json!({"position": 1})).expect(200);
    }
    let more = app.api.put("/api/v1/consumers/c100", json!({"position": 1}));
    api_error(&more, 409, "too_many_consumers");
    app.api.put("/api/v1/consumers/c99", json!({"position": 2})).expect(200);
}
