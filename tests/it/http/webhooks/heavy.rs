//! Ten thousand events through a receiver that fails three times in ten, is slow once in ten, and is
//! down for a minute of the test's clock, which runs faster than others.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::{PATH, endpoint, wait_for};
use crate::support::{Database, Delivery, Receiver, Reply, TestApp, group, patch, user};

mod events_arrive_completely_and_in_order_through_a_receiver_that_fails_heavy {
    use super::*;

    #[test]
    fn sqlite() {
        run(Database::sqlite(), 10);
    }

    #[test]
    fn postgres() {
        run(Database::postgres(), 2);
    }
}

/// Members of the group that come and go.
const MEMBERS: usize = 1_000;

const DOWN_MS: i64 = 60_000;

/// Stores what makes `rounds` thousand events, while they are delivered.
fn run(database: Database, rounds: usize) {
    let app = TestApp::start_with(database, |config| {
        config.outbound_networks = vec!["127.0.0.0/8".parse().expect("a network")];
        config.webhook_timeout = 5;
        config.webhook_retry = 1;
    });
    let receiver = Receiver::start();
    let events = rollbook::event::name::ALL;
    let (id, _) = endpoint(&app, &receiver, &events);
    let begin = super::shown(&app, &id)["position"].clone();
    let ended = Arc::new(AtomicBool::new(false));
    let ticking = fast_clock(&app, &ended);
    let down_until = Arc::new(AtomicI64::new(0));
    let clock = app.clock.clone();
    let until = Arc::clone(&down_until);
    receiver.answer(move |delivery| {
        let now = clock.now_ms();
        if delivery.number == 2_000 {
            until.store(now + DOWN_MS, Ordering::SeqCst);
        }
        if now < until.load(Ordering::SeqCst) {
            return Reply::status(0);
        }
        match delivery.number % 10 {
            0 => Reply::status(500),
            3 => Reply::status(429),
            6 => Reply::status(0),
            9 => Reply::status(200).after(Duration::from_millis(5)),
            _ => Reply::status(200),
        }
    });
    write(&app, rounds);
    app.settle_events();
    let endpoint = wait_for(&app, &id, Duration::from_secs(150), |endpoint| endpoint["lag"] == 0);
    ended.store(true, Ordering::SeqCst);
    ticking.join().expect("the clock runs");
    assert_eq!((&endpoint["lag"], &endpoint["parked"]), (&json!(0), &json!(0)), "{endpoint}");
    assert_eq!(endpoint["state"], "enabled");
    let got: Vec<String> = receiver.accepted().iter().map(Delivery::id).collect();
    let expected = log(&app, &begin);
    assert!(expected.len() > rounds * MEMBERS, "{} events", expected.len());
    assert_eq!(got, expected, "each of them once, in the order of the log");
    let failed = receiver.all().len() - got.len();
    assert!(failed * 10 > got.len() * 3, "{failed} of {} failed", receiver.all().len());
    let bodies: HashSet<String> = receiver.all().into_iter().map(|each| each.body).collect();
    assert_eq!(bodies.len(), expected.len(), "an event is the same text each time");
    let log = app.api.get(&format!("{PATH}/{id}/deliveries?limit=500")).expect(200).body;
    assert!(log["data"].as_array().is_some_and(|log| !log.is_empty()));
}

/// Ten milliseconds pass with each one.
fn fast_clock(app: &TestApp, ended: &Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let (clock, ended) = (app.clock.clone(), Arc::clone(ended));
    std::thread::spawn(move || {
        while !ended.load(Ordering::SeqCst) {
            clock.advance(Duration::from_millis(10));
            std::thread::sleep(Duration::from_millis(1));
        }
    })
}

/// A thousand users; then they come into a group and leave it, a thousand events each time.
fn write(app: &TestApp, rounds: usize) {
    let mut ids = Vec::new();
    for part in 0..MEMBERS / 100 {
        let operations: Vec<Value> = (0..100)
            .map(|n| {
                let data = user(&format!("u{part}-{n}@example.com"));
                json!({"method": "POST", "path": "/Users", "bulkId": format!("u{n}"), "data": data})
            })
            .collect();
        let schemas = ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"];
        let done = app.scim.post("/Bulk", json!({"schemas": schemas, "Operations": operations}));
        for operation in done.expect(200).body["Operations"].as_array().expect("a list") {
            let location = operation["location"].as_str().expect("a location");
            ids.push(location.rsplit('/').next().expect("an id").to_owned());
        }
    }
    let team = app.scim.post("/Groups", group("Team", &[])).expect(201).id();
    let members: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
    for round in 1..rounds {
        let op = if round % 2 == 1 { "add" } else { "remove" };
        let change = json!([{"op": op, "path": "members", "value": members}]);
        app.scim.patch(&format!("/Groups/{team}"), patch(change)).expect(200);
    }
    // Somebody leaves for good at the end.
    app.scim.delete(&format!("/Users/{}", ids[0])).expect(204);
}

/// The ids of the log behind that position.
fn log(app: &TestApp, begin: &Value) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), begin.to_string());
    loop {
        let page =
            app.api.get(&format!("/api/v1/events?limit=1000&after={after}")).expect(200).body;
        let data = page["data"].as_array().expect("a list").iter();
        // Whom so many leave has an alarm, which is not selected.
        let is_selected = |event: &&Value| !event["event"].to_string().contains("rollbook.alarm.");
        ids.extend(
            data.filter(is_selected).map(|event| event["id"].as_str().expect("an id").to_owned()),
        );
        if page["more"] != true {
            return ids;
        }
        after = page["next"].to_string();
    }
}
