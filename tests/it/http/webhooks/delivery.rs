//! What a receiver gets: the events that were selected, in their order, signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use std::time::Duration;

use super::{PATH, endpoint, names, people, shown, wait_until};
use crate::http::api_error;
use crate::support::{Delivery, Receiver, Reply, TestApp, group, patch};

with_receivers![
    events_arrive_in_their_order_as_the_log_has_them,
    selected_events_and_organizations_alone_are_sent,
    signatures_verify_with_the_secret,
    secrets_overlap_when_they_are_rotated,
    endpoint_begins_where_it_was_told_to,
    paused_endpoint_goes_on_where_it_stopped,
    slow_endpoint_holds_up_no_other,
    changed_selection_counts_for_what_is_next,
    test_event_is_sent_at_once,
];

/// What the header of a WorkOS SDK says, verified as the SDKs do.
fn workos_time(delivery: &Delivery, secret: &str) -> Option<i64> {
    let (time, hash) = delivery.header("workos-signature").split_once(", ").expect("two parts");
    let (time, hash) = (&time[2..], &hash[3..]);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let message = format!("{time}.{}", delivery.body);
    let tag = hmac::sign(&key, message.as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    (hex == hash).then(|| time.parse().expect("a number"))
}

/// The signature that Standard Webhooks expects of that secret.
fn standard(delivery: &Delivery, secret: &str) -> String {
    let bytes = STANDARD.decode(&secret["whsec_".len()..]).expect("base64");
    let (id, time) = (delivery.header("webhook-id"), delivery.header("webhook-timestamp"));
    let message = format!("{id}.{time}.{}", delivery.body);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
    format!("v1,{}", STANDARD.encode(hmac::sign(&key, message.as_bytes()).as_ref()))
}

fn events_arrive_in_their_order_as_the_log_has_them(app: &TestApp) {
    let receiver = Receiver::start();
    let all = rollbook::event::name::ALL;
    let (id, _) = endpoint(app, &receiver, &all);
    let ids = people(&app.scim, &["a@example.com", "b@example.com"]);
    let team = app.scim.post("/Groups", group("Team", &[&ids[0]])).expect(201).id();
    let change = json!([{"op": "add", "path": "members", "value": [{"value": ids[1]}]}]);
    app.scim.patch(&format!("/Groups/{team}"), patch(change)).expect(200);
    let title =
        json!([{"op": "replace", "path": "title", "value": "Ing. \"é\" \u{2028}</script>"}]);
    app.scim.patch(&format!("/Users/{}", ids[0]), patch(title)).expect(200);
    app.scim.delete(&format!("/Users/{}", ids[1])).expect(204);
    app.settle_events();
    let log = app.api.get("/events?limit=100").expect(200);
    let listed: Value = serde_json::from_str(&log.text).expect("JSON");
    let listed: Vec<&Value> = listed["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|event| {
            event["event"]
                .as_str()
                .is_some_and(|name| !name.contains("activated") && !name.contains("token"))
        })
        .collect();
    assert_eq!(listed.len(), 8, "{}", log.text);
    let got = receiver.wait_accepted(listed.len());
    for (got, event) in got.iter().zip(&listed) {
        // The same text, byte for byte.
        assert_eq!(got.body, event.to_string());
        assert_eq!(got.header("webhook-id"), event["id"].as_str().expect("an id"));
        assert_eq!(got.header("content-type"), "application/json");
        assert!(got.header("user-agent").starts_with("rollbook/"));
    }
    let endpoint = wait_until(app, &id, |endpoint| endpoint["lag"] == 0);
    assert_eq!(endpoint["state"], "enabled");
    assert_eq!(endpoint["attempts"], 0);
    assert_eq!(endpoint["last_success_at"], crate::http::NOW);
    assert_eq!(receiver.all().len(), listed.len(), "each once");
    let log = app.api.get(&format!("{PATH}/{id}/deliveries")).expect(200).body;
    let kept = log["data"].as_array().expect("a list");
    assert!((1..=8).contains(&kept.len()));
    for delivery in kept {
        assert_eq!(delivery["outcome"], "delivered");
        assert_eq!(delivery["status"], 204);
        assert_eq!(delivery["attempt"], 1);
        assert_eq!(delivery["replay_id"], Value::Null);
    }
}

fn selected_events_and_organizations_alone_are_sent(app: &TestApp) {
    let (other, their_scim) = app.directory("scim.okta");
    let [one, theirs, wide] = [0; 3].map(|_| Receiver::start());
    endpoint(app, &one, &["dsync.group.created"]);
    let body = json!({"endpoint_url": theirs.url, "events": ["dsync.user.created"],
        "organization_ids": [other.organization_id]});
    app.api.post(PATH, body).expect(201);
    endpoint(app, &wide, &["dsync.user.created", "dsync.deleted"]);
    people(&app.scim, &["a@example.com"]);
    people(&their_scim, &["b@example.com"]);
    app.scim.post("/Groups", group("Team", &[])).expect(201);
    app.api.delete(&format!("/api/v1/directories/{}", other.id)).expect(202);
    let seen = |receiver: &Receiver, number: usize| -> Vec<String> {
        receiver.wait_accepted(number).iter().map(Delivery::event).collect()
    };
    assert_eq!(seen(&wide, 3), ["dsync.user.created", "dsync.user.created", "dsync.deleted"]);
    assert_eq!(seen(&one, 1), ["dsync.group.created"]);
    assert_eq!(names(&theirs.wait_accepted(1)), ["b@example.com"]);
    people(&app.scim, &["c@example.com"]);
    wide.wait_accepted(4);
    assert_eq!(one.all().len(), 1);
    assert_eq!(theirs.all().len(), 1);
}

fn signatures_verify_with_the_secret(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, secret) = endpoint(app, &receiver, &["dsync.user.created"]);
    receiver.answer(|delivery| Reply::status(if delivery.number == 0 { 500 } else { 200 }));
    people(&app.scim, &["a@example.com"]);
    wait_until(app, &id, |endpoint| endpoint["attempts"] == 1);
    app.clock.advance(Duration::from_secs(2));
    let got = receiver.wait_all(2);
    let times: Vec<i64> =
        got.iter().map(|each| workos_time(each, &secret).expect("a good signature")).collect();
    assert_eq!(times, [1_750_000_000_000, 1_750_000_002_000], "each attempt is signed anew");
    for each in &got {
        assert_eq!(each.header("webhook-signature"), standard(each, &secret));
        assert_eq!(each.header("webhook-id"), each.id());
    }
    assert_eq!(got[0].body, got[1].body);
    assert_eq!(got[0].header("webhook-timestamp"), "1750000000");
    assert!(workos_time(&got[0], "whsec_other").is_none());
}

fn secrets_overlap_when_they_are_rotated(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, old) = endpoint(app, &receiver, &["dsync.user.created"]);
    let rotate = format!("{PATH}/{id}/rotate");
    let rotated = app.api.post(&rotate, json!({"overlap": 3600})).expect(201).body;
    let new = rotated["secret"].as_str().expect("a secret").to_owned();
    assert_ne!(old, new);
    assert_eq!(rotated["previous_secret_until"], "2025-06-15T16:06:40.000Z");
    api_error(&app.api.post(&rotate, json!({})), 409, "rotation_in_progress");
    // The one that the header with one signature is made with.
    let sdk = app.api.get("/webhook_endpoints").expect(200).body;
    assert_eq!(sdk["data"][0]["secret"], old.as_str());
    people(&app.scim, &["a@example.com"]);
    let both = &receiver.wait_accepted(1)[0];
    assert!(workos_time(both, &old).is_some() && workos_time(both, &new).is_none());
    let expected = format!("{} {}", standard(both, &new), standard(both, &old));
    assert_eq!(both.header("webhook-signature"), expected);
    app.clock.advance(Duration::from_secs(3600));
    // Whoever serves the endpoint looks at it anew.
    app.api.patch(&format!("{PATH}/{id}"), json!({"state": "enabled"})).expect(200);
    people(&app.scim, &["b@example.com"]);
    let after = &receiver.wait_accepted(2)[1];
    assert!(workos_time(after, &new).is_some());
    assert_eq!(after.header("webhook-signature"), standard(after, &new));
    assert_eq!(shown(app, &id)["previous_secret_until"], Value::Null);
    let at_once = app.api.post(&rotate, json!({"overlap": 0})).expect(201).body;
    assert_eq!(at_once["previous_secret_until"], Value::Null);
    let sdk = app.api.get("/webhook_endpoints").expect(200).body;
    assert_eq!(sdk["data"][0]["secret"], at_once["secret"]);
}

fn endpoint_begins_where_it_was_told_to(app: &TestApp) {
    people(&app.scim, &["a@example.com", "b@example.com"]);
    app.settle_events();
    let log = app.api.get("/api/v1/events?events=dsync.user.created").expect(200).body;
    let first = log["data"][0].clone();
    let [oldest, position, event, newest] = [0; 4].map(|_| Receiver::start());
    for (receiver, after) in [
        (&oldest, json!("oldest")),
        (&position, first["position"].clone()),
        (&event, first["id"].clone()),
        (&newest, json!("newest")),
    ] {
        let body = json!({"endpoint_url": receiver.url, "events": ["dsync.user.created"],
            "after": after});
        app.api.post(PATH, body).expect(201);
    }
    people(&app.scim, &["c@example.com"]);
    let all = ["a@example.com", "b@example.com", "c@example.com"];
    assert_eq!(names(&oldest.wait_accepted(3)), all);
    assert_eq!(names(&position.wait_accepted(2)), all[1..]);
    assert_eq!(names(&event.wait_accepted(2)), all[1..]);
    assert_eq!(names(&newest.wait_accepted(1)), all[2..]);
}

fn paused_endpoint_goes_on_where_it_stopped(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created"]);
    let one = format!("{PATH}/{id}");
    people(&app.scim, &["a@example.com"]);
    receiver.wait_accepted(1);
    for state in ["paused", "disabled"] {
        let paused = app.api.patch(&one, json!({"state": state})).expect(200).body;
        assert_eq!(paused["state"], state);
        assert_eq!(paused["state_reason"], "operator");
        let sdk = app.api.get("/webhook_endpoints").expect(200).body;
        assert_eq!(sdk["data"][0]["status"], "disabled");
    }
    let other = Receiver::start();
    endpoint(app, &other, &["dsync.user.created"]);
    people(&app.scim, &["b@example.com", "c@example.com"]);
    other.wait_accepted(2);
    let waiting = shown(app, &id);
    assert!(waiting["lag"].as_i64().is_some_and(|lag| lag >= 2), "{waiting}");
    assert_eq!(receiver.all().len(), 1);
    let resumed = app.api.patch(&one, json!({"state": "enabled"})).expect(200).body;
    assert_eq!((&resumed["state"], &resumed["state_reason"]), (&json!("enabled"), &Value::Null));
    assert_eq!(
        names(&receiver.wait_accepted(3)),
        ["a@example.com", "b@example.com", "c@example.com"]
    );
    app.api.delete(&one).expect(204);
    people(&app.scim, &["d@example.com"]);
    other.wait_accepted(3);
    assert_eq!(receiver.all().len(), 3);
}

fn slow_endpoint_holds_up_no_other(app: &TestApp) {
    let (slow, quick) = (Receiver::start(), Receiver::start());
    // Longer than the server waits.
    slow.answer(|_| Reply::status(200).after(Duration::from_millis(1_500)));
    endpoint(app, &slow, &["dsync.user.created"]);
    let (id, _) = endpoint(app, &quick, &["dsync.user.created"]);
    let users: Vec<String> = (0..20).map(|n| format!("u{n}@example.com")).collect();
    people(&app.scim, &users.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(names(&quick.wait_accepted(20)), users);
    // Not one of the slow one's has been answered in time, or ever will be.
    assert!(slow.accepted().len() <= 1);
    wait_until(app, &id, |endpoint| endpoint["lag"] == 0);
}

fn changed_selection_counts_for_what_is_next(app: &TestApp) {
    let (receiver, moved) = (Receiver::start(), Receiver::start());
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created"]);
    people(&app.scim, &["a@example.com"]);
    receiver.wait_accepted(1);
    let change = json!({"events": ["dsync.user.deleted"], "endpoint_url": moved.url});
    app.api.patch(&format!("{PATH}/{id}"), change).expect(200);
    let ids = people(&app.scim, &["b@example.com"]);
    app.scim.delete(&format!("/Users/{}", ids[0])).expect(204);
    let got = moved.wait_accepted(1);
    assert_eq!(got[0].event(), "dsync.user.deleted");
    assert_eq!(receiver.all().len(), 1);
    assert_eq!(moved.all().len(), 1);
}

fn test_event_is_sent_at_once(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, secret) = endpoint(app, &receiver, &["dsync.user.created"]);
    app.api.patch(&format!("{PATH}/{id}"), json!({"state": "paused"})).expect(200);
    receiver.answer(|_| Reply { body: "x".repeat(3_000), ..Reply::status(418) });
    let test = app.api.post(&format!("{PATH}/{id}/test"), json!({})).expect(200).body;
    assert_eq!(test["event"], "rollbook.webhook.test");
    assert_eq!((&test["status"], &test["outcome"]), (&json!(418), &json!("failed")));
    assert_eq!(test["answer"].as_str().map(str::len), Some(1_024), "no more than that is read");
    let got = &receiver.all()[0];
    assert!(workos_time(got, &secret).is_some());
    assert_eq!(got.json()["data"], json!({"object": "webhook_endpoint", "id": id}));
    let log = app.api.get(&format!("{PATH}/{id}/deliveries")).expect(200).body;
    assert_eq!(log["data"], json!([test]));
    let endpoint = shown(app, &id);
    assert_eq!((&endpoint["state"], &endpoint["attempts"]), (&json!("paused"), &json!(0)));
    drop(receiver);
    let gone = app.api.post(&format!("{PATH}/{id}/test"), json!({})).expect(200).body;
    assert_eq!(gone["status"], Value::Null);
    assert!(gone["error"].as_str().is_some_and(|error| !error.is_empty()), "{gone}");
}
