//! What happens when a receiver does not accept: again, later, paused, parked, disabled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::{PATH, endpoint, execute, names, people, raw, shown, wait_until};
use crate::support::{Delivery, Receiver, Reply, TestApp, group};

with_receivers![
    event_that_was_refused_is_sent_again_before_later_ones,
    whatever_is_no_2xx_is_a_failure,
    receiver_says_when_to_come_again,
    receiver_that_is_gone_disables_its_endpoint,
    endpoint_that_fails_for_a_day_pauses_and_goes_on_when_resumed,
    event_that_alone_is_refused_is_parked_after_three_days,
    event_behind_one_that_was_passed_over_has_its_own_time,
    endpoint_that_waits_for_its_next_try_tries_when_it_is_enabled_again,
    endpoint_with_a_lost_secret_is_in_the_way_of_none,
    answers_are_kept_sealed_for_a_week,
    events_removed_before_they_were_sent_are_counted,
];

const HOUR: Duration = Duration::from_secs(3_600);

fn event_that_was_refused_is_sent_again_before_later_ones(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created"]);
    receiver.answer(|delivery| Reply::status(if delivery.number < 3 { 500 } else { 200 }));
    people(&app.scim, &["a@example.com", "b@example.com"]);
    for attempts in 1..=3 {
        let endpoint = wait_until(app, &id, |endpoint| endpoint["attempts"] == attempts);
        assert_eq!(endpoint["failing_since"], crate::http::NOW);
        assert!(endpoint["next_attempt_at"].is_string(), "{endpoint}");
        assert_eq!(endpoint["last_success_at"], Value::Null);
        if attempts < 3 {
            // The pauses double: a second, two, four.
            app.clock.advance(Duration::from_secs(1 << (attempts - 1)));
        }
    }
    app.clock.advance(Duration::from_secs(4));
    let got = receiver.wait_accepted(2);
    assert_eq!(names(&got), ["a@example.com", "b@example.com"]);
    let all = names(&receiver.all());
    assert_eq!(all[..4], ["a@example.com"; 4], "nothing passes the event that waits");
    let endpoint = wait_until(app, &id, |endpoint| endpoint["lag"] == 0);
    assert_eq!((&endpoint["attempts"], &endpoint["failing_since"]), (&json!(0), &Value::Null));
    let path = format!("{PATH}/{id}/deliveries?outcome=failed");
    let failed = app.api.get(&path).expect(200).body;
    let numbers: Vec<i64> = failed["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|each| each["attempt"].as_i64().expect("a number"))
        .collect();
    assert_eq!(numbers, [3, 2, 1]);
}

fn whatever_is_no_2xx_is_a_failure(app: &TestApp) {
    let elsewhere = Receiver::start();
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created"]);
    let location = format!("Location: {}\r\n", elsewhere.url);
    let location: &'static str = Box::leak(location.into_boxed_str());
    receiver.answer(move |delivery| match delivery.number {
        0 => Reply { headers: location, ..Reply::status(307) },
        1 => Reply::status(404),
        // The connection ends without an answer, then the answer is late.
        2 => Reply::status(0),
        3 => Reply::status(200).after(Duration::from_millis(1_500)),
        _ => Reply::status(202),
    });
    people(&app.scim, &["a@example.com"]);
    for attempts in 1..=4 {
        wait_until(app, &id, |endpoint| endpoint["attempts"] == attempts);
        app.clock.advance(Duration::from_secs(60));
    }
    wait_until(app, &id, |endpoint| endpoint["lag"] == 0);
    let log = app.api.get(&format!("{PATH}/{id}/deliveries")).expect(200).body;
    let statuses: Vec<Value> = log["data"]
        .as_array()
        .expect("a list")
        .iter()
        .rev()
        .map(|each| each["status"].clone())
        .collect();
    assert_eq!(statuses, [json!(307), json!(404), Value::Null, Value::Null, json!(202)]);
    for each in &log["data"].as_array().expect("a list")[1..3] {
        assert!(each["error"].as_str().is_some_and(|error| !error.is_empty()), "{each}");
    }
    assert_eq!(elsewhere.all().len(), 0, "no redirect is followed");
    let metrics = app.api.with_bearer(None).get("/metrics").expect(200).text;
    for line in [
        "rollbook_webhook_attempts_total{status=\"2xx\"} 1",
        "rollbook_webhook_attempts_total{status=\"3xx\"} 1",
        "rollbook_webhook_attempts_total{status=\"4xx\"} 1",
        "rollbook_webhook_attempts_total{status=\"none\"} 2",
        "rollbook_webhook_seconds_count 5",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

fn receiver_says_when_to_come_again(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created"]);
    receiver.answer(|delivery| match delivery.number {
        0 => Reply { headers: "Retry-After: 120\r\n", ..Reply::status(503) },
        _ => Reply::status(200),
    });
    people(&app.scim, &["a@example.com"]);
    let endpoint = wait_until(app, &id, |endpoint| endpoint["attempts"] == 1);
    assert_eq!(endpoint["next_attempt_at"], "2025-06-15T15:08:40.000Z");
    app.clock.advance(Duration::from_secs(120));
    receiver.wait_accepted(1);
}

fn receiver_that_is_gone_disables_its_endpoint(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created"]);
    receiver.answer(|delivery| Reply::status(if delivery.number == 0 { 410 } else { 200 }));
    people(&app.scim, &["a@example.com"]);
    let endpoint = wait_until(app, &id, |endpoint| endpoint["state"] == "disabled");
    assert_eq!(endpoint["state_reason"], "gone");
    assert_eq!(endpoint["state_since"], crate::http::NOW);
    let sdk = app.api.get("/webhook_endpoints").expect(200).body;
    assert_eq!(sdk["data"][0]["status"], "disabled");
    app.api.patch(&format!("/webhook_endpoints/{id}"), json!({"status": "enabled"})).expect(200);
    assert_eq!(names(&receiver.wait_accepted(1)), ["a@example.com"], "nothing is lost");
}

fn endpoint_that_fails_for_a_day_pauses_and_goes_on_when_resumed(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created"]);
    receiver.answer(|_| Reply::status(503));
    people(&app.scim, &["a@example.com", "b@example.com"]);
    for attempts in 1..=4 {
        let endpoint = wait_until(app, &id, |endpoint| endpoint["attempts"] == attempts);
        assert_eq!(endpoint["state"], "enabled", "{endpoint}");
        if attempts == 4 {
            let metrics = measured(app);
            for (metric, value) in [("lag", 2), ("refused_seconds", 3 * 3_600)] {
                let line = format!("rollbook_webhook_{metric}{{endpoint=\"{id}\"}} {value}");
                assert!(metrics.contains(&line), "{line}\n{metrics}");
            }
        }
        app.clock.advance(if attempts < 4 { HOUR } else { 21 * HOUR });
    }
    let endpoint = wait_until(app, &id, |endpoint| endpoint["state"] != "enabled");
    assert_eq!(
        (&endpoint["state"], &endpoint["state_reason"]),
        (&json!("paused"), &json!("failing"))
    );
    assert_eq!(endpoint["state_since"], "2025-06-16T15:06:40.000Z");
    let events: Vec<String> = receiver.all().iter().map(Delivery::event).collect();
    assert_eq!(events.last().map(String::as_str), Some("rollbook.webhook.test"));
    assert_eq!(events[..events.len() - 1], ["dsync.user.created"; 5]);
    let metrics = measured(app);
    assert!(
        metrics.contains("rollbook_webhook_endpoints{state=\"paused\",reason=\"failing\"} 1"),
        "{metrics}"
    );
    assert!(!metrics.contains("rollbook_webhook_lag{"), "{metrics}");
    receiver.answer(|_| Reply::status(200));
    let resumed =
        app.api.patch(&format!("{PATH}/{id}"), json!({"state": "enabled"})).expect(200).body;
    assert_eq!((&resumed["attempts"], &resumed["failing_since"]), (&json!(0), &Value::Null));
    assert_eq!(names(&receiver.wait_accepted(2)), ["a@example.com", "b@example.com"]);
}

fn measured(app: &TestApp) -> String {
    let service = app.service().clone();
    app.wait(async move { service.measure_webhooks().await }).expect("places");
    app.api.with_bearer(None).get("/metrics").expect(200).text
}

fn event_that_alone_is_refused_is_parked_after_three_days(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created"]);
    let poison = Arc::new(Mutex::new("b@example.com".to_owned()));
    let refused = Arc::clone(&poison);
    receiver.answer(move |delivery| {
        let refused = refused.lock().expect("not poisoned");
        Reply::status(if delivery.user_name() == *refused { 400 } else { 200 })
    });
    people(&app.scim, &["a@example.com", "b@example.com", "c@example.com"]);
    for attempts in 1..=7 {
        let endpoint = wait_until(app, &id, |endpoint| endpoint["attempts"] == attempts);
        assert_eq!(endpoint["state"], "enabled", "{endpoint}");
        // A test event that is accepted is none of these.
        for since in ["refused_since", "failing_since", "last_success_at"] {
            assert_eq!(endpoint[since], crate::http::NOW, "{since}");
        }
        if attempts < 7 {
            assert_eq!(
                receiver.accepted().iter().filter(|d| d.user_name() == "c@example.com").count(),
                0
            );
            app.clock.advance(12 * HOUR - Duration::from_secs(if attempts == 6 { 1 } else { 0 }));
        }
    }
    // A second before the third day is over.
    assert_eq!(shown(app, &id)["parked"], 0);
    app.clock.advance(HOUR);
    let endpoint = wait_until(app, &id, |endpoint| endpoint["parked"] == 1);
    assert_eq!(endpoint["state"], "enabled");
    wait_until(app, &id, |endpoint| endpoint["lag"] == 0);
    let events: Vec<(String, String)> =
        receiver.accepted().iter().map(|each| (each.event(), each.user_name())).collect();
    let user = |name: &str| ("dsync.user.created".to_owned(), name.to_owned());
    let users: Vec<_> = events.iter().filter(|(event, _)| event == "dsync.user.created").collect();
    assert_eq!(users, [&user("a@example.com"), &user("c@example.com")]);
    assert!(events.iter().any(|(event, _)| event == "rollbook.webhook.test"), "{events:?}");
    let parked = app.api.get(&format!("{PATH}/{id}/parked")).expect(200).body;
    let parked = &parked["data"][0];
    assert_eq!((&parked["status"], &parked["attempts"]), (&json!(400), &json!(8)));
    assert_eq!(parked["refused_since"], crate::http::NOW);
    // Once it is accepted it is parked no more.
    poison.lock().expect("not poisoned").clear();
    let replay = json!({"parked": true});
    app.api.post(&format!("{PATH}/{id}/replay"), replay).expect(202);
    wait_until(app, &id, |endpoint| endpoint["parked"] == 0);
    assert_eq!(names(&receiver.accepted()).last().map(String::as_str), Some("b@example.com"));
    let left = app.api.get(&format!("{PATH}/{id}/replays")).expect(200).body;
    assert_eq!(left["data"], json!([]));
}

fn answers_are_kept_sealed_for_a_week(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, secret) = endpoint(app, &receiver, &["dsync.user.created"]);
    receiver.answer(|_| Reply { body: "ada@example.com is known".into(), ..Reply::status(200) });
    people(&app.scim, &["a@example.com"]);
    receiver.wait_accepted(1);
    wait_until(app, &id, |endpoint| endpoint["lag"] == 0);
    let path = format!("{PATH}/{id}/deliveries");
    let log = app.api.get(&path).expect(200).body;
    assert_eq!(log["data"][0]["answer"], "ada@example.com is known");
    for (table, column) in [("webhook_attempt", "detail"), ("webhook_endpoint", "secret")] {
        let text = raw(app, &format!("SELECT {column} AS text FROM {table}"));
        assert!(!text.is_empty());
        for text in text {
            assert!(!text.contains("known") && !text.contains(&secret), "{text}");
        }
    }
    let event = log["data"][0]["event_id"].as_str().expect("an id");
    let of = |query: &str| app.api.get(&format!("{path}?{query}")).expect(200).body["data"].clone();
    assert_eq!(of(&format!("event_id={event}")), log["data"]);
    assert_eq!(of("event_id=event_other"), json!([]));
    assert_eq!(of("outcome=failed"), json!([]));
    crate::http::assert_invalid(&app.api.get(&format!("{path}?outcome=lost")), "outcome");
    let prune = || {
        let service = app.service().clone();
        app.wait(async move { service.prune_webhooks().await }).expect("pruned");
    };
    app.clock.advance(7 * 24 * HOUR);
    prune();
    assert_eq!(of(""), log["data"]);
    app.clock.advance(Duration::from_millis(1));
    prune();
    assert_eq!(of(""), json!([]));
}

fn events_removed_before_they_were_sent_are_counted(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created"]);
    let before = shown(app, &id)["position"].as_i64().expect("a position");
    app.api.patch(&format!("{PATH}/{id}"), json!({"state": "paused"})).expect(200);
    people(&app.scim, &["a@example.com", "b@example.com"]);
    app.settle_events();
    app.clock.advance(91 * 24 * HOUR);
    people(&app.scim, &["c@example.com"]);
    app.settle_events();
    let service = app.service().clone();
    app.wait(async move { service.prune_events().await }).expect("pruned");
    app.api.patch(&format!("{PATH}/{id}"), json!({"state": "enabled"})).expect(200);
    assert_eq!(names(&receiver.wait_accepted(1)), ["c@example.com"]);
    let endpoint = wait_until(app, &id, |endpoint| endpoint["lag"] == 0);
    assert_eq!(endpoint["missed"], 2, "behind {before}: {endpoint}");
}

fn event_behind_one_that_was_passed_over_has_its_own_time(app: &TestApp) {
    let receiver = Receiver::start();
    let events = ["dsync.user.created", "dsync.group.created"];
    let (id, _) = endpoint(app, &receiver, &events);
    let refuses = Arc::new(AtomicBool::new(true));
    let refused = Arc::clone(&refuses);
    receiver.answer(move |delivery| {
        let is_test = delivery.event() == "rollbook.webhook.test";
        Reply::status(if is_test || !refused.load(Ordering::SeqCst) { 200 } else { 500 })
    });
    people(&app.scim, &["a@example.com"]);
    app.scim.post("/Groups", group("Team", &[])).expect(201);
    for attempts in 1..=5 {
        wait_until(app, &id, |endpoint| endpoint["attempts"] == attempts);
        if attempts < 5 {
            app.clock.advance(17 * HOUR);
        }
    }
    // Nearly three days: a little more, and it would be parked. Now it is wanted no more.
    let change = json!({"events": ["dsync.group.created"]});
    app.api.patch(&format!("{PATH}/{id}"), change).expect(200);
    let endpoint = wait_until(app, &id, |endpoint| endpoint["attempts"] == 1);
    assert_eq!((&endpoint["state"], &endpoint["parked"]), (&json!("enabled"), &json!(0)));
    assert_eq!(endpoint["refused_since"], "2025-06-18T11:06:40.000Z");
    refuses.store(false, Ordering::SeqCst);
    app.clock.advance(HOUR);
    let endpoint = wait_until(app, &id, |endpoint| endpoint["lag"] == 0);
    assert_eq!((&endpoint["attempts"], &endpoint["parked"]), (&json!(0), &json!(0)));
    assert_eq!(receiver.accepted().last().map(Delivery::event), Some(events[1].to_owned()));
}

fn endpoint_that_waits_for_its_next_try_tries_when_it_is_enabled_again(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created"]);
    receiver.answer(|delivery| match delivery.number {
        0 => Reply { headers: "Retry-After: 3600\r\n", ..Reply::status(503) },
        _ => Reply::status(200),
    });
    people(&app.scim, &["a@example.com"]);
    wait_until(app, &id, |endpoint| endpoint["attempts"] == 1);
    app.api.patch(&format!("{PATH}/{id}"), json!({"state": "enabled"})).expect(200);
    receiver.wait_accepted(1);
}

fn endpoint_with_a_lost_secret_is_in_the_way_of_none(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created"]);
    execute(app, "UPDATE webhook_endpoint SET secret = 'sealed with another key'");
    let listed = app.api.get("/webhook_endpoints").expect(200).body;
    assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["secret"]), (&json!(id), &json!("")));
    let one = format!("{PATH}/{id}");
    crate::http::api_error(&app.api.post(&format!("{one}/test"), json!({})), 500, "secret_lost");
    // A new one works at once, although the one before would sign as well.
    app.api.send("POST", &format!("{one}/rotate"), &[], None).expect(201);
    people(&app.scim, &["a@example.com"]);
    let signatures = receiver.wait_accepted(1)[0].header("webhook-signature").to_owned();
    assert_eq!(signatures.split(' ').count(), 1, "{signatures}");
}
