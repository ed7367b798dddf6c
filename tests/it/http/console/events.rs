//! The log of events, and sending some of it again.

use serde_json::json;

use crate::on_both_databases;
use crate::support::{Database, Receiver, TestApp, group, user};

on_both_databases![
    events_are_listed_newest_first_and_by_what_they_are_about,
    event_is_shown_as_json,
];

mod event_is_sent_once_more_by_who_may_act {
    use super::*;

    fn check(database: Database) {
        let app = TestApp::start_with(database, |config| {
            config.outbound_networks = vec!["127.0.0.0/8".parse().expect("a network")];
        });
        event_is_sent_once_more_by_who_may_act(&app);
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

fn events_are_listed_newest_first_and_by_what_they_are_about(app: &TestApp) {
    let id = app.scim.post("/Users", user("a@example.com")).expect(201).id();
    app.scim.post("/Users", user("b@example.com")).expect(201);
    app.scim.post("/Groups", group("Team", &[&id])).expect(201);
    app.settle_events();
    let browser = app.signed_in("viewer");
    let page = browser.get("/console/events").expect(200).text;
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
    assert!(place(">a@example.com<") > place(">b@example.com<"));
    assert!(place(">b@example.com<") > place(">a@example.com in Team<"));
    assert!(page.contains("/console/live?of=events"), "{page}");
    let person = format!("<a href=\"/console/people/{id}\">a@example.com in Team</a>");
    let directory = format!("<a href=\"/console/directories/{}\">Directory</a>", app.directory.id);
    assert!(page.contains(&person) && page.contains(&directory), "{page}");
    let page = browser.get("/console/events?event=dsync.user.created").expect(200).text;
    assert!(page.contains(">b@example.com<") && !page.contains("in Team"), "{page}");
    let page = browser.get(&format!("/console/events?resource_id={id}")).expect(200).text;
    assert!(page.contains(">a@example.com<") && !page.contains(">b@example.com<"), "{page}");
    let (other, _) = app.directory("scim.okta");
    let path = format!("/console/events?directory_id={}", other.id);
    assert!(!browser.get(&path).expect(200).text.contains(">b@example.com<"));
    for (range, is_there) in [
        ("range_start=2025-06-15T15:00", true),
        ("range_start=2025-06-15T16:00", false),
        ("range_end=2025-06-15T15:00", false),
        ("range_end=2025-06-15T16:00", true),
    ] {
        let page = browser.get(&format!("/console/events?{range}")).expect(200).text;
        assert_eq!(page.contains(">b@example.com<"), is_there, "{range}");
    }
    let page = browser.get("/console/events?before=2").expect(200).text;
    assert!(!page.contains(">a@example.com<") && !page.contains("of=events"), "{page}");
    for wrong in ["before=x", "range_start=yesterday", "event=dsync.nothing"] {
        browser.get(&format!("/console/events?{wrong}")).expect(422);
    }
    browser.get("/console/events?directory_id=directory_no").expect(404);
}

fn event_is_shown_as_json(app: &TestApp) {
    app.scim.post("/Users", user("<b>@example.com")).expect(201);
    app.settle_events();
    let listed = app.api.get("/events?events=dsync.user.created").expect(200);
    let id = listed.body["data"][0]["id"].as_str().expect("an id").to_owned();
    let browser = app.signed_in("viewer");
    let page = browser.get(&format!("/console/events/{id}")).expect(200).text;
    assert!(page.contains("dsync.user.created") && page.contains("&#60;b&#62;@"), "{page}");
    assert!(!page.contains("<b>@") && !page.contains("Send it once more"), "{page}");
    browser.get("/console/events/event_no").expect(404);
}

fn event_is_sent_once_more_by_who_may_act(app: &TestApp) {
    let receiver = Receiver::start();
    let body = json!({"endpoint_url": receiver.url, "events": ["dsync.user.created"]});
    let endpoint = app.api.post("/api/v1/webhook_endpoints", body).expect(201).id();
    app.scim.post("/Users", user("a@example.com")).expect(201);
    let id = receiver.wait_all(1)[0].id();
    let path = format!("/console/events/{id}/replay");
    let fields = [("endpoint_id", endpoint.as_str())];
    app.signed_in("viewer").submit(&path, &fields).expect(403);
    let operator = app.signed_in("operator");
    let answer = operator.submit(&path, &fields).expect(303);
    let onward = format!("/console/webhooks/{endpoint}?said=replay");
    assert_eq!(answer.header("location"), Some(&*onward));
    assert_eq!(receiver.wait_all(2)[1].id(), id);
    assert!(operator.get(&onward).expect(200).text.contains("The events are sent again"));
    operator.post(&path, &fields).expect(403);
}
