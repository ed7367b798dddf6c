//! Endpoints, deliveries, and what waits.

use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{Browser, Database, Receiver, TestApp, user};

on_both_databases![
    streams_and_consumers_are_shown_and_moved,
    forms_that_are_filled_in_wrongly_change_nothing,
];

mod endpoint_lives_on_its_pages {
    use super::*;

    fn check(database: Database) {
        let app = TestApp::start_with(database, |config| {
            config.outbound_networks = vec!["127.0.0.0/8".parse().expect("a network")];
        });
        endpoint_lives_on_its_pages(&app);
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

/// The secret on a page that shows one.
#[track_caller]
fn secret(page: &str) -> String {
    let (_, rest) = page.split_once("whsec_").unwrap_or_else(|| panic!("no secret in {page}"));
    let text = rest.split('<').next().expect("its end");
    format!("whsec_{text}")
}

fn endpoint_lives_on_its_pages(app: &TestApp) {
    let receiver = Receiver::start();
    let operator = app.signed_in("operator");
    assert!(operator.get("/console/webhooks").expect(200).text.contains("There is no webhook"));
    operator.get("/console/webhooks/new").expect(200);
    let fields = [("endpoint_url", receiver.url.as_str()), ("events", "dsync.user.created")];
    let made = operator.submit("/console/webhooks/new", &fields).expect(200).text;
    let first = secret(&made);
    let listed = app.api.get("/api/v1/webhook_endpoints").expect(200).body;
    let id = listed["data"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/console/webhooks/{id}");
    let page = |browser: &Browser| browser.get(&path).expect(200).text;
    assert!(!page(&operator).contains(&first), "the secret is shown once");
    // Sent twice, it is one endpoint.
    let again = operator.submit("/console/webhooks/new", &fields).expect(422).text;
    assert!(again.contains(&format!("value=\"{}\"", receiver.url)), "{again}");

    let answer = operator.submit(&format!("{path}/test"), &[]).expect(303);
    assert_eq!(answer.header("location"), Some(&*format!("{path}?said=accepted")));
    app.scim.post("/Users", user("a@example.com")).expect(201);
    receiver.wait_accepted(2);
    let shown = page(&operator);
    assert!(shown.contains("badge-delivered"), "{shown}");
    let deliveries = operator.get(&format!("{path}/deliveries?outcome=failed")).expect(200).text;
    assert!(deliveries.contains("No attempt fits."), "{deliveries}");

    operator.submit(&format!("{path}/state"), &[("state", "paused")]).expect(303);
    assert!(page(&operator).contains("this endpoint is paused (by an operator)"));
    let state = |app: &TestApp| -> Value {
        app.api.get(&format!("/api/v1/webhook_endpoints/{id}")).expect(200).body["state"].clone()
    };
    assert_eq!(state(app), "paused");
    operator.submit(&format!("{path}/state"), &[("state", "enabled")]).expect(303);
    let rotated = operator.submit(&format!("{path}/rotate"), &[("hours", "1")]).expect(200).text;
    assert_ne!(secret(&rotated), first);
    let fields = [("endpoint_url", receiver.url.as_str()), ("events", "dsync.user.deleted")];
    operator.submit(&format!("{path}/update"), &fields).expect(303);
    let events = app.api.get(&format!("/api/v1/webhook_endpoints/{id}")).expect(200).body;
    assert_eq!(events["events"], json!(["dsync.user.deleted"]));

    let viewer = app.signed_in("viewer");
    assert!(!page(&viewer).contains("<form method=\"post\" action=\"/console/webhooks"));
    for verb in ["test", "rotate", "update", "state", "replay", "cancel", "delete"] {
        viewer.submit(&format!("{path}/{verb}"), &[]).expect(403);
        operator.post(&format!("{path}/{verb}"), &[("proof", "forged")]).expect(403);
    }
    viewer.get("/console/webhooks/new").expect(403);
    operator.submit(&format!("{path}/delete"), &[]).expect(303);
    operator.get(&path).expect(404);
}

fn forms_that_are_filled_in_wrongly_change_nothing(app: &TestApp) {
    let operator = app.signed_in("operator");
    let new = "/console/webhooks/new";
    for fields in [
        [("endpoint_url", "no address"), ("events", "dsync.user.created")],
        [("endpoint_url", "https://app.example.com/hook"), ("events", "dsync.nothing")],
        [("endpoint_url", "https://app.example.com/hook"), ("organization_ids", "org_no")],
    ] {
        let status = operator.submit(new, &fields).status;
        assert!([404, 422].contains(&status), "{status} for {fields:?}");
    }
    let listed = app.api.get("/api/v1/webhook_endpoints").expect(200).body;
    assert_eq!(listed["data"], json!([]));
    for verb in ["test", "rotate", "state", "delete"] {
        let path = format!("/console/webhooks/we_no/{verb}");
        operator.submit(&path, &[("state", "paused")]).expect(404);
    }
    let body = json!({"endpoint_url": "https://app.example.com/hook", "state": "paused",
        "events": ["dsync.user.created"]});
    let id = app.api.post("/api/v1/webhook_endpoints", body).expect(201).id();
    for (verb, field, value) in [
        ("state", "state", "asleep"),
        ("rotate", "hours", "many"),
        ("rotate", "hours", "9223372036854775807"),
        ("replay", "range_start", "yesterday"),
        ("replay", "what", "nothing"),
    ] {
        let path = format!("/console/webhooks/{id}/{verb}");
        operator.submit(&path, &[(field, value)]).expect(422);
    }
    operator.submit(&format!("/console/webhooks/{id}/cancel"), &[("replay", "no")]).expect(404);
}

fn streams_and_consumers_are_shown_and_moved(app: &TestApp) {
    let operator = app.signed_in("operator");
    let page = operator.get("/console/streams").expect(200).text;
    assert!(page.contains("There is no stream.") && page.contains("No consumer"), "{page}");
    app.settle_events();
    app.api.put("/api/v1/consumers/billing", json!({"position": "newest"})).expect(200);
    let page = operator.get("/console/streams").expect(200).text;
    assert!(page.contains(">billing</th>"), "{page}");
    let path = "/console/consumers/billing";
    let moved = [("position", "oldest")];
    operator.submit(&format!("{path}/move"), &moved).expect(303);
    assert_eq!(app.api.get("/api/v1/consumers/billing").expect(200).body["position"], 0);
    operator.submit(&format!("{path}/move"), &[("position", "everywhere")]).expect(422);
    app.signed_in("viewer").submit(&format!("{path}/move"), &moved).expect(403);
    operator.submit(&format!("{path}/delete"), &[]).expect(303);
    app.api.get("/api/v1/consumers/billing").expect(404);

    let body = json!({"delivery": {"method": "urn:ietf:rfc:8936"}, "description": "Radar",
        "events_requested": []});
    let made = app.api.post("/ssf/streams", body).expect(201).body;
    let id = made["stream_id"].as_str().expect("an id").to_owned();
    let path = format!("/console/streams/{id}");
    assert!(operator.get("/console/streams").expect(200).text.contains(">Radar</a>"));
    operator.submit(&format!("{path}/status"), &[("status", "paused")]).expect(303);
    assert!(operator.get(&path).expect(200).text.contains("this stream is paused since"));
    operator.submit(&format!("{path}/verify"), &[]).expect(303);
    operator.submit(&format!("{path}/delete"), &[]).expect(303);
    operator.get(&path).expect(404);
}
