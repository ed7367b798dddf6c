//! Tokens that are pushed (RFC 8935): accepted, refused, tried again, paused.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{PROV, PUSH, STATUS, person, status, stream, uris, verified, wait_until};
use crate::support::{Delivery, Receiver, Reply, TestApp};

with_streams![
    tokens_are_pushed_in_order_with_what_the_receiver_expects,
    token_that_failed_comes_again_as_it_was_before_later_ones,
    token_that_is_never_valid_holds_up_no_other,
    stream_that_fails_for_a_day_pauses_and_goes_on_when_resumed,
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
    let metrics = app.api.get("/metrics").expect(200).text;
    let line = "rollbook_ssf_sets_total{method=\"push\",outcome=\"acknowledged\"} 3";
    assert!(metrics.contains(line), "{metrics}");
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
        0..5 => Reply { body: refusal.clone(), ..Reply::status(400) },
        _ => Reply::status(202),
    });
    let id = pushed(app, &receiver);
    for name in ["a@example.com", "b@example.com"] {
        person(&app.scim, name);
    }
    for attempts in 1..5 {
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
    assert_eq!(sets.len(), 6);
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
    receiver.answer(|_| Reply::status(202));
    app.api.post(STATUS, json!({"stream_id": id, "status": "enabled"})).expect(200);
    let got = receiver.wait_accepted(1);
    assert_eq!(uris(&claims(app, &got)), [format!("{PROV}:create:notice")]);
    wait_until(app, &id, |shown| shown["lag"] == 0);
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
