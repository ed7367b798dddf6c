//! Tokens that are pushed (RFC 8935): accepted, refused, tried again, paused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{PROV, PUSH, STATUS, STREAMS, person, status, stream, uris, verified, wait_until};
use crate::support::{Delivery, Receiver, Reply, TestApp};

with_streams![
    tokens_are_pushed_in_order_with_what_the_receiver_expects,
    token_that_failed_comes_again_as_it_was_before_later_ones,
    token_that_is_never_valid_holds_up_no_other,
    stream_that_fails_for_a_day_pauses_and_goes_on_when_resumed,
    failures_of_a_token_that_is_gone_are_forgotten,
    mended_header_is_tried_at_once,
    verification_takes_the_stream_from_nobody,
    runner_that_lost_its_stream_stores_nothing,
];

fn pushed(app: &TestApp, receiver: &Receiver) -> String {
    let delivery = json!({"method": PUSH, "endpoint_url": receiver.url,
        "authorization_header": "Bearer receiver-secret"});
    let events = [format!("{PROV}:create:notice"), format!("{PROV}:delete")];
    stream(app, &app.api, json!({"delivery": delivery, "events_requested": events}))
}

fn claims(app: &TestApp, deliveries: &[Delivery]) -> Vec<Value> {
    deliveries.iter().map(|delivery| verified(app, &delivery.body)).collect()
}

fn tokens_are_pushed_in_order_with_what_the_receiver_expects(app: &TestApp) {
    let receiver = Receiver::start();
    receiver.answer(|_| Reply::status(202));
    let id = pushed(app, &receiver);
    let ada = person(&app.scim, "ada@example.com");
    app.scim.delete(&format!("/Users/{ada}")).expect(204);
    let got = receiver.wait_accepted(2);
    for delivery in &got {
        assert_eq!(delivery.header("content-type"), "application/secevent+jwt");
        assert_eq!(delivery.header("accept"), "application/json");
        assert_eq!(delivery.header("authorization"), "Bearer receiver-secret");
    }
    let sets = claims(app, &got);
    assert_eq!(uris(&sets), [format!("{PROV}:create:notice"), format!("{PROV}:delete")]);
    assert_eq!(sets[0]["sub_id"]["uri"], format!("/Users/{ada}"));
    let shown = wait_until(app, &id, |shown| shown["lag"] == 0);
    assert_eq!(shown["last_success_at"], crate::http::NOW);
    let ask = json!({"stream_id": id, "state": "nonce"});
    app.api.post("/ssf/verify", ask).expect(204);
    let got = receiver.wait_accepted(3);
    let set = verified(app, &got[2].body);
    assert_eq!(set["sub_id"], json!({"format": "opaque", "id": id}));
    // Nothing was sent twice.
    assert_eq!(receiver.all().len(), 3);
    // An answer is counted once it has been read.
    let metrics = || app.api.get("/metrics").expect(200).text;
    let line = "rollbook_ssf_sets_total{method=\"push\",outcome=\"acknowledged\"} 3";
    let since = Instant::now();
    while !metrics().contains(line) {
        assert!(since.elapsed() < Duration::from_secs(30), "{}", metrics());
    }
    assert!(metrics().contains("rollbook_ssf_seconds_count 2\n"), "{}", metrics());
}

fn token_that_failed_comes_again_as_it_was_before_later_ones(app: &TestApp) {
    let receiver = Receiver::start();
    receiver.answer(|delivery| Reply::status(if delivery.number < 2 { 500 } else { 202 }));
    let id = pushed(app, &receiver);
    for name in ["a@example.com", "b@example.com"] {
        person(&app.scim, name);
    }
    for attempts in 1..=2 {
        let shown = wait_until(app, &id, |shown| shown["attempts"] == attempts);
        assert_eq!(shown["failing_since"], crate::http::NOW);
        assert!(shown["next_attempt_at"].is_string(), "{shown}");
        app.clock.advance(Duration::from_secs(1 << (attempts - 1)));
    }
    receiver.wait_accepted(2);
    let all: Vec<String> = receiver.all().into_iter().map(|delivery| delivery.body).collect();
    assert_eq!(all.len(), 4);
    assert_eq!((&all[0], &all[0]), (&all[1], &all[2]), "the same token");
    assert_ne!(all[2], all[3]);
    let shown = wait_until(app, &id, |shown| shown["lag"] == 0);
    assert_eq!((&shown["attempts"], &shown["failing_since"]), (&json!(0), &Value::Null));
}

fn token_that_is_never_valid_holds_up_no_other(app: &TestApp) {
    let receiver = Receiver::start();
    let refusal = json!({"err": "invalid_request", "description": "who is that"}).to_string();
    receiver.answer(move |delivery| match delivery.number {
        // An outage is no refusal.
        0 => Reply::status(503),
        1..6 => Reply { body: refusal.clone(), ..Reply::status(400) },
        _ => Reply::status(202),
    });
    let id = pushed(app, &receiver);
    for name in ["a@example.com", "b@example.com"] {
        person(&app.scim, name);
    }
    for attempts in 1..6 {
        wait_until(app, &id, |shown| shown["attempts"] == attempts);
        app.clock.advance(Duration::from_secs(1 << (attempts - 1)));
    }
    receiver.wait_accepted(1);
    let shown = wait_until(app, &id, |shown| shown["lag"] == 0);
    assert_eq!(shown["refused"], 1);
    let last = &shown["last_refusal"];
    assert_eq!(
        (&last["err"], &last["description"]),
        (&json!("invalid_request"), &json!("who is that"))
    );
    let sets = claims(app, &receiver.all());
    assert_eq!(last["jti"], sets[0]["jti"]);
    assert_eq!(sets.len(), 7);
}

fn stream_that_fails_for_a_day_pauses_and_goes_on_when_resumed(app: &TestApp) {
    let receiver = Receiver::start();
    receiver.answer(|_| Reply::status(503));
    let id = pushed(app, &receiver);
    person(&app.scim, "ada@example.com");
    wait_until(app, &id, |shown| shown["attempts"] == 1);
    app.clock.advance(Duration::from_secs(24 * 3_600));
    let shown = wait_until(app, &id, |shown| shown["status"] == "paused");
    assert_eq!(shown["reason"], "The receiver has accepted nothing for 24 hours.");
    // The receiver is told once, whether it hears it or not.
    let all = receiver.wait_all(3);
    let told = verified(app, &all[2].body);
    let uri = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";
    assert_eq!(told["events"][uri]["status"], "paused");
    let alarms = || {
        let service = Arc::clone(app.service());
        app.wait(async move { service.watch_alarms().await }).expect("a look");
        let found = app.api.get("/api/v1/alarms?kind=stream_paused").expect(200).body;
        found["data"].as_array().expect("a list").clone()
    };
    let raised = alarms();
    assert_eq!((raised.len(), &raised[0]["subject"]), (1, &json!(id)));
    receiver.answer(|_| Reply::status(202));
    app.api.post(STATUS, json!({"stream_id": id, "status": "enabled"})).expect(200);
    assert_eq!(alarms(), Vec::<Value>::new());
    let got = receiver.wait_accepted(1);
    assert_eq!(uris(&claims(app, &got)), [format!("{PROV}:create:notice")]);
    wait_until(app, &id, |shown| shown["lag"] == 0);
}

fn failures_of_a_token_that_is_gone_are_forgotten(app: &TestApp) {
    let receiver = Receiver::start();
    receiver.answer(|_| Reply::status(503));
    let id = pushed(app, &receiver);
    person(&app.scim, "ada@example.com");
    wait_until(app, &id, |shown| shown["attempts"] == 1);
    let events = [format!("{PROV}:delete")];
    app.api.patch(STREAMS, json!({"stream_id": id, "events_requested": events})).expect(200);
    assert_eq!(status(app, &id)["attempts"], 1, "it was not asked to try again");
    app.clock.advance(Duration::from_secs(1));
    let shown = wait_until(app, &id, |shown| shown["attempts"] == 0);
    assert_eq!((&shown["failing_since"], &shown["next_attempt_at"]), (&Value::Null, &Value::Null));
    assert_eq!(receiver.all().len(), 1);
}

fn mended_header_is_tried_at_once(app: &TestApp) {
    let receiver = Receiver::start();
    receiver.answer(|delivery| {
        let is_new = delivery.header("authorization") == "Bearer new";
        Reply::status(if is_new { 202 } else { 401 })
    });
    let id = pushed(app, &receiver);
    person(&app.scim, "ada@example.com");
    wait_until(app, &id, |shown| shown["attempts"] == 1);
    let delivery = json!({"method": PUSH, "endpoint_url": receiver.url,
        "authorization_header": "Bearer new"});
    app.api.patch(STREAMS, json!({"stream_id": id, "delivery": delivery})).expect(200);
    receiver.wait_accepted(1);
}

fn verification_takes_the_stream_from_nobody(app: &TestApp) {
    let id = pushed(app, &Receiver::start());
    let now = app.clock.now_ms();
    let unit = |verified: Option<String>| {
        let (service, stream) = (Arc::clone(app.service()), id.clone());
        let stored = app.wait(async move {
            service
                .store
                .write("test", move |tx| {
                    let row = tx.stream_get(&stream)?.expect("a stream");
                    let (from, lease) = (row.place.position, now + 60_000);
                    let is_saved = match &verified {
                        None => tx.stream_claim(&stream, "run_1", now, lease)?.is_some(),
                        Some(done) => tx.stream_save(&row, "run_1", from, lease, done)?,
                    };
                    let left = tx.stream_get(&stream)?.and_then(|row| row.verification);
                    Ok::<_, rollbook::store::StoreError>((is_saved, left))
                })
                .await
        });
        stored.expect("a unit")
    };
    assert_eq!(unit(None), (true, None));
    app.api.post("/ssf/verify", json!({"stream_id": id})).expect(204);
    let (is_saved, asked) = unit(Some(String::new()));
    assert!(is_saved && asked.is_some(), "the runner had not seen it");
    assert_eq!(unit(asked), (true, None));
}

fn runner_that_lost_its_stream_stores_nothing(app: &TestApp) {
    let receiver = Receiver::start();
    let id = pushed(app, &receiver);
    app.api.post(STATUS, json!({"stream_id": id, "status": "enabled"})).expect(200);
    let position = status(app, &id)["position"].as_i64().expect("a position");
    let (service, stream) = (Arc::clone(app.service()), id.clone());
    let stored = app.wait(async move {
        service
            .store
            .write("test", move |tx| {
                let mut claim =
                    |runner: &str, now| tx.stream_claim(&stream, runner, now, now + 100);
                let first = claim("run_1", 1)?.expect("it is free");
                let held = claim("run_2", 50)?;
                let second = claim("run_2", 101)?.expect("the lease is over");
                let mut row = first;
                row.place.position += 7;
                let stale = tx.stream_save(&row, "run_1", row.place.position - 7, 0, "")?;
                let elsewhere = tx.stream_save(&row, "run_2", row.place.position - 8, 0, "")?;
                let own = tx.stream_save(&second, "run_2", second.place.position, 0, "")?;
                Ok::<_, rollbook::store::StoreError>((held.is_none(), stale, elsewhere, own))
            })
            .await
    });
    assert_eq!(stored.expect("a unit"), (true, false, false, true));
    assert_eq!(status(app, &id)["position"], position);
}
