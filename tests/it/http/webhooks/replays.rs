//! Parts of the log that are sent once more: one event, ranges of positions and of times.

use std::time::Duration;

use serde_json::{Value, json};

use super::{PATH, endpoint, names, people, shown, wait_until};
use crate::http::{api_error, assert_invalid};
use crate::support::{Receiver, Reply, TestApp, group};

with_receivers![
    one_event_is_sent_again,
    ranges_are_sent_again_in_their_order,
    what_is_new_goes_before_a_replay,
    replay_that_is_refused_is_tried_and_then_parked,
    narrowed_endpoint_has_nothing_of_other_organizations,
    replay_can_be_cancelled,
    replay_has_only_what_the_endpoint_gets,
    replay_goes_on_beside_an_event_that_is_refused,
    replay_to_a_receiver_that_takes_nothing_is_given_up,
    parked_event_that_is_selected_no_more_is_not_sent,
];

const ALL: [&str; 4] = ["a@example.com", "b@example.com", "c@example.com", "d@example.com"];

/// Four users, a minute apart, that the receiver has got; the ids and positions of their events.
fn four(app: &TestApp, receiver: &Receiver) -> (String, Vec<(String, i64)>) {
    let (id, _) = endpoint(app, receiver, &["dsync.user.created"]);
    for name in ALL {
        people(&app.scim, &[name]);
        app.clock.advance(Duration::from_secs(60));
    }
    receiver.wait_accepted(4);
    wait_until(app, &id, |endpoint| endpoint["lag"] == 0);
    let log = app.api.get("/api/v1/events?events=dsync.user.created").expect(200).body;
    let events = log["data"].as_array().expect("a list").iter();
    let events = events
        .map(|event| {
            let id = event["id"].as_str().expect("an id").to_owned();
            (id, event["position"].as_i64().expect("a position"))
        })
        .collect();
    (id, events)
}

fn replay(app: &TestApp, id: &str, request: Value) -> Value {
    app.api.post(&format!("{PATH}/{id}/replay"), request).expect(202).body
}

/// Lets time pass until so many events are parked.
fn wait_parked(app: &TestApp, id: &str, number: usize) {
    let since = std::time::Instant::now();
    let path = format!("{PATH}/{id}/parked");
    loop {
        let parked = app.api.get(&path).expect(200).body;
        if parked["data"].as_array().expect("a list").len() >= number {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{parked}");
        app.clock.advance(Duration::from_secs(600));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until no replay is left.
fn settle(app: &TestApp, id: &str) {
    let since = std::time::Instant::now();
    let path = format!("{PATH}/{id}/replays");
    while app.api.get(&path).expect(200).body["data"] != json!([]) {
        assert!(since.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn one_event_is_sent_again(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, events) = four(app, &receiver);
    let made = replay(app, &id, json!({"event_id": events[1].0}));
    assert_eq!(made["object"], "webhook_replay");
    assert_eq!(made["endpoint_id"], id.as_str());
    assert_eq!((&made["after"], &made["until"]), (&json!(events[1].1 - 1), &json!(events[1].1)));
    let got = receiver.wait_accepted(5);
    assert_eq!(got[4].user_name(), "b@example.com");
    assert_eq!(got[4].header("rollbook-replay"), made["id"].as_str().expect("an id"));
    assert_eq!((got[4].id(), &got[4].body), (events[1].0.clone(), &got[1].body));
    assert!(!got[1].headers.contains_key("rollbook-replay"));
    settle(app, &id);
    let log = app.api.get(&format!("{PATH}/{id}/deliveries?event_id={}", events[1].0)).expect(200);
    let replays: Vec<&Value> = log.body["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|each| &each["replay_id"])
        .collect();
    assert_eq!(replays, [&made["id"], &Value::Null]);
}

fn ranges_are_sent_again_in_their_order(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, events) = four(app, &receiver);
    let minute = |n: u32| format!("2025-06-15T15:{:02}:40.000Z", 6 + n);
    let mut sent = 4;
    for (request, expected) in [
        (json!({"after": events[0].1, "until": events[2].1}), &ALL[1..3]),
        (json!({"after": events[1].0}), &ALL[2..]),
        (json!({"until": events[1].0}), &ALL[..2]),
        (json!({"after": "oldest", "until": "newest"}), &ALL[..]),
        (json!({"range_start": minute(1), "range_end": minute(2)}), &ALL[1..3]),
        (json!({"range_start": minute(3)}), &ALL[3..]),
        (json!({"range_end": minute(0)}), &ALL[..1]),
    ] {
        replay(app, &id, request.clone());
        let got = receiver.wait_accepted(sent + expected.len());
        assert_eq!(names(&got[sent..]), expected, "{request}");
        sent += expected.len();
        settle(app, &id);
    }
    assert_eq!(receiver.all().len(), sent);
    let path = format!("{PATH}/{id}/replay");
    let end = json!({"after": events[3].1, "until": events[3].1});
    api_error(&app.api.post(&path, end), 422, "empty_range");
    api_error(&app.api.post(&path, json!({"after": 1_000_000})), 400, "invalid_cursor");
    api_error(&app.api.post(&path, json!({"event_id": "event_none"})), 400, "invalid_cursor");
    assert_invalid(&app.api.post(&path, json!({"until": "tomorrow"})), "until");
}

fn what_is_new_goes_before_a_replay(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = four(app, &receiver);
    let one = format!("{PATH}/{id}");
    app.api.patch(&one, json!({"state": "paused"})).expect(200);
    replay(app, &id, json!({"after": "oldest", "until": "newest"}));
    people(&app.scim, &["e@example.com"]);
    app.settle_events();
    assert_eq!(receiver.all().len(), 4, "a paused endpoint gets no replay");
    app.api.patch(&one, json!({"state": "enabled"})).expect(200);
    let got = receiver.wait_accepted(9);
    assert_eq!(got[4].user_name(), "e@example.com");
    assert_eq!(names(&got[5..]), ALL);
}

fn replay_that_is_refused_is_tried_and_then_parked(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = four(app, &receiver);
    receiver.answer(|delivery| {
        Reply::status(if delivery.user_name() == "b@example.com" { 500 } else { 200 })
    });
    replay(app, &id, json!({"after": "oldest", "until": "newest"}));
    let tried =
        |receiver: &Receiver| receiver.all().iter().filter(|each| each.status == 500).count();
    let since = std::time::Instant::now();
    let mut told = false;
    while tried(&receiver) < 10 {
        assert!(since.elapsed() < Duration::from_secs(60), "{} tries", tried(&receiver));
        if tried(&receiver) >= 3 && !told {
            // Nobody else waits for it.
            people(&app.scim, &["e@example.com"]);
            receiver.wait_accepted(6);
            told = true;
        }
        // Longer than the longest pause between two tries.
        app.clock.advance(Duration::from_secs(600));
        std::thread::sleep(Duration::from_millis(5));
    }
    settle(app, &id);
    let endpoint = wait_until(app, &id, |endpoint| endpoint["parked"] == 1);
    assert_eq!((&endpoint["state"], &endpoint["attempts"]), (&json!("enabled"), &json!(0)));
    assert_eq!(tried(&receiver), 10);
    let accepted = names(&receiver.accepted()[4..]);
    assert_eq!(accepted, ["a@example.com", "e@example.com", "c@example.com", "d@example.com"]);
}

fn narrowed_endpoint_has_nothing_of_other_organizations(app: &TestApp) {
    let (_, their_scim) = app.directory("scim.okta");
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created"]);
    people(&app.scim, &["a@example.com"]);
    people(&their_scim, &["b@example.com"]);
    receiver.wait_accepted(2);
    wait_until(app, &id, |endpoint| endpoint["lag"] == 0);
    receiver.answer(|_| Reply::status(500));
    for event in receiver.accepted() {
        replay(app, &id, json!({"event_id": event.id()}));
    }
    wait_parked(app, &id, 2);
    settle(app, &id);
    let one = format!("{PATH}/{id}");
    let list = |part: &str| {
        let listed = app.api.get(&format!("{one}/{part}")).expect(200).body;
        listed["data"].as_array().expect("a list").len()
    };
    assert!(list("deliveries") > 0);
    let first = app.api.get(&format!("{one}/parked?limit=1")).expect(200).body;
    assert_eq!(first["more"], true);
    let path = format!("{one}/parked?limit=1&after={}", first["next"]);
    let second = app.api.get(&path).expect(200).body;
    assert_eq!((&second["data"][0]["position"], &second["more"]), (&second["next"], &json!(false)));
    assert_ne!(first["data"][0]["event_id"], second["data"][0]["event_id"]);
    assert_invalid(&app.api.get(&format!("{one}/parked?after=last")), "after");
    assert_invalid(&app.api.get(&format!("{one}/parked?limit=0")), "limit");
    let narrow = json!({"organization_ids": [app.directory.organization_id]});
    app.api.patch(&one, narrow).expect(200);
    assert_eq!((list("parked"), list("deliveries")), (1, 0));
    receiver.answer(|_| Reply::status(200));
    replay(app, &id, json!({"parked": true}));
    settle(app, &id);
    wait_until(app, &id, |endpoint| endpoint["parked"] == 0);
    assert_eq!(names(&receiver.accepted()[2..]), ["a@example.com"]);
}

fn replay_can_be_cancelled(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = four(app, &receiver);
    let one = format!("{PATH}/{id}");
    app.api.patch(&one, json!({"state": "paused"})).expect(200);
    let made = replay(app, &id, json!({"after": "oldest"}));
    let other = replay(app, &id, json!({"parked": true}));
    let listed = app.api.get(&format!("{one}/replays")).expect(200).body;
    assert_eq!(listed["data"], json!([made, other]));
    for made in [&made, &other] {
        let path = format!("{one}/replays/{}", made["id"].as_str().expect("an id"));
        app.api.delete(&path).expect(204);
        api_error(&app.api.delete(&path), 404, "entity_not_found");
    }
    app.api.patch(&one, json!({"state": "enabled"})).expect(200);
    people(&app.scim, &["e@example.com"]);
    receiver.wait_accepted(5);
    settle(app, &id);
    assert_eq!(receiver.all().len(), 5);
    for _ in 0..100 {
        app.api.patch(&one, json!({"state": "paused"})).expect(200);
        app.api.post(&format!("{one}/replay"), json!({"after": "oldest"})).expect(202);
    }
    let one_more = app.api.post(&format!("{one}/replay"), json!({"after": "oldest"}));
    api_error(&one_more, 409, "too_many_replays");
}

fn replay_has_only_what_the_endpoint_gets(app: &TestApp) {
    let receiver = Receiver::start();
    let (other, their_scim) = app.directory("scim.generic");
    let body = json!({"endpoint_url": receiver.url, "events": ["dsync.user.created"],
        "organization_ids": [app.directory.organization_id]});
    let id = app.api.post(PATH, body).expect(201).id();
    people(&app.scim, &["a@example.com"]);
    people(&their_scim, &["b@example.com"]);
    receiver.wait_accepted(1);
    app.settle_events();
    replay(app, &id, json!({"after": "oldest"}));
    assert_eq!(names(&receiver.wait_accepted(2)), ["a@example.com"; 2]);
    settle(app, &id);
    assert_eq!(receiver.all().len(), 2);
    let path = format!("/api/v1/events?directory_id={}", other.id);
    let theirs = app.api.get(&path).expect(200).body;
    let token = app.api.get("/api/v1/events?events=dsync.token.created").expect(200).body;
    for event in [&theirs["data"][0]["id"], &token["data"][0]["id"]] {
        let request = json!({"event_id": event});
        assert_invalid(&app.api.post(&format!("{PATH}/{id}/replay"), request), "event_id");
    }
}

fn replay_goes_on_beside_an_event_that_is_refused(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, events) = four(app, &receiver);
    receiver.answer(|delivery| match delivery.number {
        4 => Reply { headers: "Retry-After: 3600\r\n", ..Reply::status(503) },
        5 => Reply::status(500),
        _ => Reply::status(200),
    });
    people(&app.scim, &["e@example.com"]);
    wait_until(app, &id, |endpoint| endpoint["attempts"] == 1);
    // Its first event is refused once, so it needs more than one turn.
    replay(app, &id, json!({"after": "oldest", "until": events[3].1}));
    receiver.wait_all(6);
    for _ in 0..100 {
        if receiver.accepted().len() == 8 {
            break;
        }
        app.clock.advance(Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(names(&receiver.accepted()[4..]), ALL);
    assert_eq!(shown(app, &id)["attempts"], 1, "the other one has its own time");
}

fn replay_to_a_receiver_that_takes_nothing_is_given_up(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = four(app, &receiver);
    receiver.answer(|_| Reply::status(500));
    replay(app, &id, json!({"after": "oldest", "until": "newest"}));
    let path = format!("{PATH}/{id}/replays");
    let since = std::time::Instant::now();
    let given_up = loop {
        let left = app.api.get(&path).expect(200).body["data"][0].clone();
        if left["failed_at"].is_string() {
            break left;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{left}");
        app.clock.advance(Duration::from_secs(600));
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(receiver.all().len(), 4 + 20, "ten times each of two events");
    let parked = app.api.get(&format!("{PATH}/{id}/parked")).expect(200).body;
    assert_eq!(parked["data"].as_array().map(Vec::len), Some(1), "{parked}");
    // It says where it stopped, and is forgotten when somebody says so, or after a week.
    assert_eq!(given_up["after"], parked["data"][0]["position"]);
    let one = format!("{path}/{}", given_up["id"].as_str().expect("an id"));
    app.clock.advance(Duration::from_secs(8 * 24 * 3_600));
    let service = app.service().clone();
    app.wait(async move { service.prune_webhooks().await }).expect("pruned");
    api_error(&app.api.delete(&one), 404, "entity_not_found");
}

fn parked_event_that_is_selected_no_more_is_not_sent(app: &TestApp) {
    let receiver = Receiver::start();
    let (id, _) = endpoint(app, &receiver, &["dsync.user.created", "dsync.group.created"]);
    people(&app.scim, &["a@example.com"]);
    app.scim.post("/Groups", group("Team", &[])).expect(201);
    let got = receiver.wait_accepted(2);
    wait_until(app, &id, |endpoint| endpoint["lag"] == 0);
    receiver.answer(|_| Reply::status(500));
    for event in &got {
        replay(app, &id, json!({"event_id": event.id()}));
    }
    wait_parked(app, &id, 2);
    settle(app, &id);
    receiver.answer(|_| Reply::status(200));
    let change = json!({"events": ["dsync.group.created"]});
    app.api.patch(&format!("{PATH}/{id}"), change).expect(200);
    replay(app, &id, json!({"parked": true}));
    settle(app, &id);
    let again = receiver.accepted();
    assert_eq!(again.len(), 3);
    assert_eq!(again[2].event(), "dsync.group.created");
}
