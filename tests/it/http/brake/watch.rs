//! Alarms about what other parts have written down: OAuth clients, webhook endpoints, attributes.

use std::sync::Arc;

use serde_json::json;

use super::{HOUR, alarms, users, watch};
use crate::on_both_databases;
use crate::support::{Database, Receiver, Reply, TestApp};

on_both_databases![client_that_ends_is_an_alarm, attribute_that_is_missing_is_an_alarm];

mod endpoint_that_was_stopped_is_an_alarm {
    use super::*;

    fn check(database: Database) {
        let app = TestApp::start_with(database, |config| {
            config.outbound_networks = vec!["127.0.0.0/8".parse().expect("a network")];
        });
        endpoint_that_was_stopped_is_an_alarm(&app);
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

fn client_that_ends_is_an_alarm(app: &TestApp) {
    let path = format!("/api/v1/directories/{}/oauth_clients", app.directory.id);
    let client = |expires: &str| {
        let body = json!({"name": "IdP", "auth_method": "client_secret", "expires_at": expires});
        app.api.post(&path, body).expect(201).id()
    };
    let first = client("2025-07-25T15:06:40Z");
    app.clock.advance(HOUR * 24 * 11);
    watch(app);
    let standing = alarms(app, "kind=token_expiring");
    assert_eq!((standing.len(), &standing[0]["subject"]), (1, &json!(first)));
    assert_eq!(standing[0]["detail"]["credential"], "oauth_client");
    assert_eq!(standing[0]["detail"]["days"], 30);
    client("2026-07-25T15:06:40Z");
    watch(app);
    assert!(alarms(app, "kind=token_expiring").is_empty());
}

fn endpoint_that_was_stopped_is_an_alarm(app: &TestApp) {
    const PATH: &str = "/api/v1/webhook_endpoints";
    let receiver = Receiver::start();
    receiver.answer(|_| Reply::status(410));
    let body = json!({"endpoint_url": receiver.url, "events": ["dsync.user.created"],
        "organization_ids": [app.directory.organization_id]});
    let id = app.api.post(PATH, body).expect(201).id();
    users(app, &["a"]);
    let since = std::time::Instant::now();
    while app.api.get(&format!("{PATH}/{id}")).expect(200).body["state"] != "disabled" {
        assert!(since.elapsed().as_secs() < 30, "410 disables");
        std::thread::yield_now();
    }
    watch(app);
    watch(app);
    let standing = alarms(app, "state=all&kind=endpoint_paused");
    assert_eq!(standing.len(), 1);
    assert_eq!(standing[0]["subject"], json!(id));
    assert_eq!(standing[0]["organization_id"], json!(app.directory.organization_id));
    assert_eq!(standing[0]["directory_id"], json!(null));
    assert_eq!(standing[0]["detail"]["reason"], "gone");
    // It is an event of the log, for those who see all of it.
    app.settle_events();
    let told = app.api.get("/api/v1/events?events=rollbook.alarm.raised").expect(200).body;
    assert_eq!(told["data"][0]["data"]["id"], standing[0]["id"]);
    let set = |state: &str| {
        app.api.patch(&format!("{PATH}/{id}"), json!({"state": state})).expect(200);
        watch(app);
        alarms(app, "kind=endpoint_paused").len()
    };
    // An operator has seen it, and may want it so.
    assert_eq!(set("paused"), 0);
    // What waits is sent at once, and must not stop it again.
    receiver.answer(|_| Reply::status(200));
    assert_eq!(set("enabled"), 0);
}

fn attribute_that_is_missing_is_an_alarm(app: &TestApp) {
    let put = |required: bool| {
        let path = format!("/api/v1/directories/{}/attribute_map", app.directory.id);
        let badge = json!({"expression": "raw.badgeNumber", "required": required});
        app.api.put(&path, json!({"attributes": {"badge": badge}})).expect(200);
        let service = Arc::clone(app.service());
        app.wait(async move { service.apply_mappings().await }).expect("maps are applied");
        watch(app);
        alarms(app, "kind=attribute_missing")
    };
    users(app, &["a", "b"]);
    let standing = put(true);
    assert_eq!(standing.len(), 1);
    assert_eq!(
        (&standing[0]["subject"], &standing[0]["detail"]["missing"]),
        (&json!("badge"), &json!(2))
    );
    assert_eq!(standing[0]["directory_id"], json!(app.directory.id));
    watch(app);
    assert_eq!(alarms(app, "kind=attribute_missing"), standing);
    assert!(put(false).is_empty());
}
