//! `GET /api/v1/events?order=desc`: what somebody looks for in the log, newest first; and one event.

use serde_json::json;

use super::{column, data, reader};
use crate::http::{api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::{TestApp, group, patch, user};
use rollbook::store::event_log::{Order, Stretch};
use rollbook::store::{StoreError, Tx};

on_both_databases![
    newest_come_first_and_pages_lead_to_the_oldest,
    events_are_found_by_what_they_are_about,
    parameters_of_the_other_order_are_refused,
    one_event_is_shown_to_who_may_see_it,
    events_of_a_subject_are_found_by_an_index,
];

fn newest_come_first_and_pages_lead_to_the_oldest(app: &TestApp) {
    for name in ["a", "b", "c"] {
        app.scim.post("/Users", user(name)).expect(201);
    }
    app.settle_events();
    let rising = app.api.get("/api/v1/events");
    let mut expected = column(&rising, "id");
    expected.reverse();
    let (mut found, mut before) = (Vec::new(), String::new());
    loop {
        let page = app.api.get(&format!("/api/v1/events?order=desc&limit=2{before}"));
        found.extend(column(&page, "id"));
        let Some(position) = page.body["before"].as_i64() else { break };
        before = format!("&before={position}");
    }
    assert_eq!(found, expected);
    let created = app.api.get("/api/v1/events?order=desc&events=dsync.user.created&limit=1");
    assert_eq!(data(&created)[0]["data"]["username"], "c");
}

fn events_are_found_by_what_they_are_about(app: &TestApp) {
    let id = app.scim.post("/Users", user("a")).expect(201).id();
    for title in ["One", "Two", "Three"] {
        app.scim.post("/Users", user(title)).expect(201);
        let change = json!([{"op": "replace", "path": "title", "value": title}]);
        app.scim.patch(&format!("/Users/{id}"), patch(change)).expect(200);
    }
    let team = app.scim.post("/Groups", group("Team", &[])).expect(201).id();
    app.settle_events();
    let path = format!("/api/v1/events?order=desc&resource_id={id}");
    let [created, updated] = ["dsync.user.created", "dsync.user.updated"];
    let all = app.api.get(&path);
    assert_eq!(column(&all, "event"), [updated, updated, updated, created]);
    assert_eq!(all.body["before"], json!(null));
    let titles = data(&all).iter().map(|event| &event["data"]["job_title"]);
    assert_eq!(titles.take(3).collect::<Vec<_>>(), ["Three", "Two", "One"]);
    let first = app.api.get(&format!("{path}&limit=3"));
    let before = first.body["before"].as_i64().expect("there is more");
    assert_eq!(column(&app.api.get(&format!("{path}&before={before}")), "event"), [created]);
    let named = app.api.get(&format!("{path}&events={created}"));
    assert_eq!(column(&named, "event"), [created]);
    let directory = &app.directory.id;
    assert_eq!(data(&app.api.get(&format!("{path}&directory_id={directory}"))).len(), 4);
    let (other, _) = app.directory("scim.okta");
    assert_eq!(data(&app.api.get(&format!("{path}&directory_id={}", other.id))).len(), 0);
    assert_eq!(data(&app.api.get(&format!("{path}&range_end=2020-01-01T00:00:00Z"))).len(), 0);
    let limited = reader(app, Some(&[&other.organization_id]));
    assert_eq!(data(&limited.get(&path)).len(), 0);
    let about = app.api.get(&format!("/api/v1/events?order=desc&resource_id={team}"));
    assert_eq!(column(&about, "event"), ["dsync.group.created"]);
}

fn parameters_of_the_other_order_are_refused(app: &TestApp) {
    for (query, name) in [
        ("order=normal", "order"),
        ("resource_id=x", "resource_id"),
        ("before=7", "before"),
        ("order=asc&range_start=2031-01-01T00:00:00Z", "range_start"),
        ("order=desc&after=7", "after"),
        ("order=desc&consumer=app", "consumer"),
        ("order=desc&wait=1", "wait"),
        ("order=desc&before=x", "before"),
        ("order=desc&limit=501", "limit"),
        ("order=desc&limit=x", "limit"),
        ("order=desc&range_end=soon", "range_end"),
        ("order=desc&events=dsync.nothing", "events"),
    ] {
        assert_invalid(&app.api.get(&format!("/api/v1/events?{query}")), name);
    }
}

fn one_event_is_shown_to_who_may_see_it(app: &TestApp) {
    app.scim.post("/Users", user("a")).expect(201);
    app.settle_events();
    let newest = data(&app.api.get("/api/v1/events?order=desc&limit=1"))[0].clone();
    let path = format!("/api/v1/events/{}", newest["id"].as_str().expect("an id"));
    assert_eq!(app.api.get(&path).expect(200).body, newest);
    let (other, _) = app.directory("scim.okta");
    let limited = reader(app, Some(&[&other.organization_id]));
    api_error(&limited.get(&path), 404, "entity_not_found");
    api_error(&app.api.get("/api/v1/events/event_1"), 404, "entity_not_found");
}

fn events_of_a_subject_are_found_by_an_index(app: &TestApp) {
    let service = app.service().clone();
    let work = move |tx: &mut Tx<'_>| {
        tx.explained(|tx| {
            let (order, beyond, limit) = (Order::NewestFirst, i64::MAX, 10);
            let subject = Some("directory_user_1".to_owned());
            tx.log_heads(&Stretch { order, beyond, directories: None, subject, limit })?;
            Ok::<_, StoreError>(())
        })
    };
    let plans = app.wait(async move { service.store.read("explain", work).await }).expect("plans");
    for plan in plans {
        let lines = || plan.lines().skip(1);
        // An empty table is read as it is on PostgreSQL.
        let is_sqlite = lines().any(|line| line.starts_with("SEARCH"));
        let is_held = lines().any(|line| line.contains("event_resource (resource_id=?)"));
        let is_scan = |line: &str| line.starts_with("SCAN n") || line.starts_with("SCAN e");
        assert!(!is_sqlite || (is_held && !lines().any(is_scan)), "{plan}");
    }
}
