//! `GET /api/v1/events`: positions, reasons, long polls.

use std::time::Duration;

use serde_json::{Value, json};

use super::retention::fill_with;
use super::{column, data, ending_key, reader, walk};
use crate::on_both_databases;
use crate::support::{TestApp, patch, user};

on_both_databases![
    pages_lead_on_by_position,
    reason_says_why_access_went,
    long_poll_waits_for_the_first_event,
    long_poll_passes_over_what_is_filtered,
    long_poll_ends_empty,
    directory_and_names_narrow_the_log,
    position_beyond_the_end_is_refused,
    keys_without_a_scope_are_refused,
    long_poll_of_a_key_that_ends_is_handed_nothing,
    directory_that_is_gone_is_read_to_its_end,
    pages_of_large_events_are_short,
];

fn create(app: &TestApp, name: &str) -> String {
    app.scim.post("/Users", user(&format!("{name}@example.com"))).expect(201).id()
}

fn next(page: &Value) -> i64 {
    page["next"].as_i64().expect("a position")
}

fn pages_lead_on_by_position(app: &TestApp) {
    for name in ["a", "b", "c"] {
        create(app, name);
    }
    app.settle_events();
    let (mut after, mut seen) = ("oldest".to_owned(), Vec::new());
    loop {
        let page = app.api.get(&format!("/api/v1/events?limit=2&after={after}")).expect(200);
        seen.extend(data(&page).clone());
        after = next(&page.body).to_string();
        if page.body["more"] == json!(false) {
            break;
        }
    }
    let positions: Vec<i64> = seen.iter().filter_map(|e| e["position"].as_i64()).collect();
    assert_eq!(positions, (1..=7).collect::<Vec<_>>());
    let newest = app.api.get("/api/v1/events?after=newest").expect(200);
    assert_eq!(newest.text, r#"{"data":[],"next":7,"more":false}"#);
    let id = seen[5]["id"].as_str().expect("an id");
    let behind = app.api.get(&format!("/api/v1/events?after={id}")).expect(200);
    assert_eq!(data(&behind), &seen[6..]);
    let expected = ["object", "id", "event", "data", "created_at", "position", "reason"];
    let members: Vec<&String> = seen[6].as_object().expect("an object").keys().collect();
    assert_eq!(members, expected);
}

fn reason_says_why_access_went(app: &TestApp) {
    let id = create(app, "a");
    let ops = json!([{"op": "replace", "path": "active", "value": false}]);
    app.scim.patch(&format!("/Users/{id}"), patch(ops)).expect(200);
    app.scim.delete(&format!("/Users/{id}")).expect(204);
    app.settle_events();
    let page = app.api.get("/api/v1/events?after=4").expect(200);
    let reasons: Vec<&Value> = data(&page).iter().map(|event| &event["reason"]).collect();
    assert_eq!(reasons, [&Value::Null, &json!("scim_active_false"), &json!("scim_delete")]);
}

fn long_poll_waits_for_the_first_event(app: &TestApp) {
    app.settle_events();
    let start = app.api.get("/api/v1/events?after=newest").expect(200);
    let path = format!("/api/v1/events?wait=30&after={}", next(&start.body));
    let api = app.api.clone();
    let waiting = std::thread::spawn(move || api.get(&path));
    wait_for_readers(app, 1);
    create(app, "late");
    let page = waiting.join().expect("no panic").expect(200);
    assert_eq!(column(&page, "event"), ["dsync.user.created"]);
    wait_for_readers(app, 0);
}

/// Returns when that many readers wait.
fn wait_for_readers(app: &TestApp, wanted: i64) {
    let metric = format!("\nrollbook_event_readers {wanted}\n");
    while !app.api.get("/metrics").expect(200).text.contains(&metric) {
        std::thread::yield_now();
    }
}

fn long_poll_passes_over_what_is_filtered(app: &TestApp) {
    let path = "/api/v1/events?wait=30&after=newest&events=dsync.user.deleted";
    let api = app.api.clone();
    let waiting = std::thread::spawn(move || api.get(path));
    wait_for_readers(app, 1);
    let id = create(app, "short");
    app.scim.delete(&format!("/Users/{id}")).expect(204);
    let page = waiting.join().expect("no panic").expect(200);
    assert_eq!(column(&page, "event"), ["dsync.user.deleted"]);
}

fn long_poll_ends_empty(app: &TestApp) {
    app.settle_events();
    let watch = rollbook::clock::Stopwatch::start();
    let page = app.api.get("/api/v1/events?after=newest&wait=1").expect(200);
    assert!(data(&page).is_empty());
    assert!(watch.elapsed() >= Duration::from_secs(1));
}

fn directory_and_names_narrow_the_log(app: &TestApp) {
    let (other, scim) = app.directory("scim.okta");
    create(app, "ours");
    scim.post("/Users", user("theirs@example.com")).expect(201);
    app.settle_events();
    let path = format!("/api/v1/events?directory_id={}&events=dsync.user.created", other.id);
    let page = app.api.get(&path).expect(200);
    assert_eq!(data(&page)[0]["data"]["username"], "theirs@example.com");
    assert_eq!(data(&page).len(), 1);
    let end = app.api.get("/api/v1/events?after=newest").expect(200);
    assert_eq!(next(&page.body), next(&end.body), "what was passed over need not be read again");
    app.api.get("/api/v1/events?directory_id=directory_x").expect(404);
}

fn position_beyond_the_end_is_refused(app: &TestApp) {
    let answer = app.api.get("/api/v1/events?after=1000").expect(400);
    assert_eq!(answer.body["code"], "invalid_cursor");
    for (query, field) in [
        ("after=-1", "after"),
        ("after=x", "after"),
        ("wait=61", "wait"),
        ("limit=1001", "limit"),
        ("after=1&consumer=x", "after"),
    ] {
        let answer = app.api.get(&format!("/api/v1/events?{query}"));
        crate::http::assert_invalid(&answer, field);
    }
}

fn keys_without_a_scope_are_refused(app: &TestApp) {
    let body = json!({"name": "Hooks", "scopes": ["webhooks"]});
    let made = app.api.post("/api/v1/api_keys", body).expect(201);
    let hooks = app.api.with_bearer(made.body["secret"].as_str());
    let answer = hooks.get("/api/v1/events").expect(403);
    assert_eq!(answer.body["message"], "This API key lacks the scope \"read\" or \"manage\".");
    reader(app, None).get("/api/v1/events").expect(200);
}

fn long_poll_of_a_key_that_ends_is_handed_nothing(app: &TestApp) {
    app.settle_events();
    let (client, key) = ending_key(app);
    let waiting =
        std::thread::spawn(move || client.get("/api/v1/events?wait=30&after=newest").expect(401));
    wait_for_readers(app, 1);
    app.api.delete(&key).expect(204);
    create(app, "late");
    let answer = waiting.join().expect("no panic");
    assert!(!answer.text.contains("late@example.com"), "{}", answer.text);
}

fn directory_that_is_gone_is_read_to_its_end(app: &TestApp) {
    let (other, scim) = app.directory("scim.okta");
    scim.post("/Users", user("theirs@example.com")).expect(201);
    app.settle_events();
    let path = format!("/api/v1/events?directory_id={}", other.id);
    let next = next(&app.api.get(&path).expect(200).body);
    app.api.delete(&format!("/api/v1/directories/{}", other.id)).expect(202);
    app.wait(app.service().purge_deleted_directories()).expect("purged");
    app.settle_events();
    app.api.get(&format!("/api/v1/directories/{}", other.id)).expect(404);
    for client in [app.api.clone(), reader(app, Some(&[&other.organization_id]))] {
        let rest = client.get(&format!("{path}&after={next}")).expect(200);
        assert_eq!(column(&rest, "event"), ["dsync.deleted"]);
    }
    reader(app, Some(&[&app.directory.organization_id])).get(&path).expect(404);
}

fn pages_of_large_events_are_short(app: &TestApp) {
    app.settle_events();
    let zeros = match app.database.url().starts_with("sqlite://") {
        true => "hex(zeroblob(524288))",
        false => "repeat('0', 1048576)",
    };
    fill_with(app, 30, &format!("'{{\"x\":\"' || {zeros} || '\"}}'"));
    app.settle_events();
    for filter in ["", "&events=dsync.token.revoked"] {
        let (mut after, mut seen, mut pages) = (4, Vec::new(), 0);
        loop {
            let path = format!("/api/v1/events?limit=1000&after={after}{filter}");
            let page = app.api.get(&path).expect(200);
            assert!(page.text.len() < 9 * 1024 * 1024, "{} bytes", page.text.len());
            seen.extend(data(&page).iter().filter_map(|event| event["position"].as_i64()));
            pages += 1;
            after = next(&page.body);
            if page.body["more"] == json!(false) {
                break;
            }
        }
        assert_eq!(seen, (5..=34).collect::<Vec<_>>());
        assert_eq!(pages, 5, "seven go into one");
    }
    for query in ["limit=100", "limit=100&order=desc", "limit=100&events=dsync.token.revoked"] {
        let events = walk(&app.api, query).into_iter();
        let mut ids: Vec<String> =
            events.filter_map(|event| event["id"].as_str().map(str::to_owned)).collect();
        ids.retain(|id| id.starts_with("event_00"));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 30, "{query}");
    }
}
