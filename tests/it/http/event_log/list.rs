//! `GET /events`: order, cursors, filters, errors.

use serde_json::{Value, json};

use super::{column, data, reader, walk};
use crate::on_both_databases;
use crate::support::{TestApp, group, user};

on_both_databases![
    events_come_oldest_first_and_end_with_null,
    each_order_has_its_cursors,
    names_are_read_in_three_encodings,
    unknown_names_of_our_family_are_refused,
    filters_that_match_little_still_reach_the_end,
    time_range_counts_both_ends,
    range_ends_the_walk,
    key_of_an_organization_sees_its_events_alone,
    events_of_a_deleted_directory_stay,
    cursor_that_is_not_in_the_log_is_400,
    parameters_that_are_wrong_are_422,
    data_is_what_javascript_would_write,
    envelope_has_the_members_of_the_contract,
];

fn users(app: &TestApp, names: &[&str]) {
    for name in names {
        app.scim.post("/Users", user(&format!("{name}@example.com"))).expect(201);
    }
    app.settle_events();
}

/// The user names that events tell of, in their order.
fn told(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["data"]["username"].as_str()).collect()
}

fn events_come_oldest_first_and_end_with_null(app: &TestApp) {
    users(app, &["a", "b", "c", "d", "e"]);
    let events = walk(&reader(app, None), "limit=2");
    let names =
        ["a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com"];
    assert_eq!(told(&events), names);
    assert_eq!(events[0]["event"], "dsync.activated");
    let last = events.last().expect("events")["id"].as_str().expect("an id").to_owned();
    let rest = app.api.get(&format!("/events?after={last}")).expect(200);
    assert_eq!(
        rest.text,
        r#"{"object":"list","data":[],"list_metadata":{"before":null,"after":null}}"#
    );
    users(app, &["f"]);
    let rest = app.api.get(&format!("/events?after={last}")).expect(200);
    assert_eq!(told(data(&rest)), ["f@example.com"]);
}

fn each_order_has_its_cursors(app: &TestApp) {
    users(app, &["a", "b", "c", "d"]);
    let page = |query: &str| {
        app.api.get(&format!("/events?events=dsync.user.created&{query}")).expect(200)
    };
    let all = column(&page("limit=100"), "id");
    let [a, b, c, d] = &all[..] else { panic!("four events: {all:?}") };
    for (query, ids, before, after) in [
        ("order=asc&limit=2".to_owned(), vec![a, b], None, Some(b)),
        (format!("order=asc&limit=2&after={b}"), vec![c, d], Some(c), None),
        (format!("order=asc&limit=2&before={d}"), vec![b, c], Some(b), Some(c)),
        ("order=desc&limit=2".to_owned(), vec![d, c], None, Some(c)),
        (format!("order=desc&limit=2&after={c}"), vec![b, a], Some(b), None),
        (format!("order=desc&limit=1&before={c}"), vec![d], None, Some(d)),
        ("order=normal&limit=2".to_owned(), vec![d, c], Some(c), None),
        (format!("order=normal&limit=2&before={c}"), vec![b, a], None, Some(b)),
        (format!("order=normal&limit=2&after={b}"), vec![d, c], Some(c), None),
    ] {
        let page = page(&query);
        assert_eq!(column(&page, "id").iter().collect::<Vec<_>>(), ids, "{query}");
        let metadata = &page.body["list_metadata"];
        assert_eq!(metadata["before"].as_str(), before.map(String::as_str), "before, {query}");
        assert_eq!(metadata["after"].as_str(), after.map(String::as_str), "after, {query}");
    }
}

fn names_are_read_in_three_encodings(app: &TestApp) {
    app.scim.post("/Groups", group("G", &[])).expect(201);
    users(app, &["a"]);
    for query in [
        "events=dsync.user.created,dsync.group.created",
        "events=dsync.user.created%2Cdsync.group.created",
        "events=dsync.user.created&events=dsync.group.created",
        "events[]=dsync.user.created&events[]=dsync.group.created",
        "events%5B%5D=dsync.user.created&events%5B%5D=dsync.group.created",
        "events=connection.activated,dsync.user.created,dsync.group.created",
    ] {
        let page = app.api.get(&format!("/events?{query}")).expect(200);
        assert_eq!(
            column(&page, "event"),
            ["dsync.group.created", "dsync.user.created"],
            "{query}"
        );
    }
    let others = app.api.get("/events?events=connection.activated").expect(200);
    assert!(data(&others).is_empty());
}

fn unknown_names_of_our_family_are_refused(app: &TestApp) {
    let answer = app.api.get("/events?events=dsync.user.create").expect(422);
    assert_eq!(answer.body["errors"][0]["field"], "events");
    assert_eq!(answer.body["errors"][0]["code"], "invalid");
    let message = answer.body["message"].as_str().expect("a message");
    assert!(message.contains("\"dsync.user.create\"") && message.contains("dsync.user.created"));
}

/// A filter looks at a bounded number of events for each request; a page may be empty and lead on.
fn filters_that_match_little_still_reach_the_end(app: &TestApp) {
    app.scim.post("/Groups", group("First", &[])).expect(201);
    let key = app.event_rows(&app.directory).len();
    super::retention::fill(app, 60_000);
    app.scim.post("/Groups", group("Last", &[])).expect(201);
    app.settle_events();
    let events = walk(&app.api, "events=dsync.group.created&limit=100");
    let names: Vec<&str> = events.iter().filter_map(|e| e["data"]["name"].as_str()).collect();
    assert_eq!(names, ["First", "Last"], "{key} events before");
    let newest = walk(&app.api, "events=dsync.group.created&order=desc&limit=100");
    let names: Vec<&str> = newest.iter().filter_map(|e| e["data"]["name"].as_str()).collect();
    assert_eq!(names, ["Last", "First"]);
}

fn time_range_counts_both_ends(app: &TestApp) {
    for name in ["a", "b", "c"] {
        app.clock.advance(std::time::Duration::from_secs(1_000));
        users(app, &[name]);
    }
    // The clock began at 15:06:40; the users came at 15:23:20, 15:40:00, 15:56:40.
    let (b, late) = ("2025-06-15T15:40:00Z", "2025-06-15T15:40:00.001Z");
    for (query, expected) in [
        (format!("range_start={b}"), vec!["b@example.com", "c@example.com"]),
        (format!("range_start={late}"), vec!["c@example.com"]),
        (
            format!("range_end={b}&range_start=2025-06-15T15:10:00Z"),
            vec!["a@example.com", "b@example.com"],
        ),
        (format!("range_start={b}&range_end={b}"), vec!["b@example.com"]),
        (
            format!("range_end={b}&order=desc&events=dsync.user.created"),
            vec!["b@example.com", "a@example.com"],
        ),
        ("range_start=2025-06-15T20:00:00%2B02:00".into(), vec![]),
    ] {
        let page = app.api.get(&format!("/events?limit=100&{query}")).expect(200);
        assert_eq!(told(data(&page)), expected, "{query}");
    }
}

/// Nothing leads on from a page whose rest lies beyond the range.
fn range_ends_the_walk(app: &TestApp) {
    users(app, &["a"]);
    // Made in 1970, and the newest ones.
    super::retention::fill(app, 60_000);
    app.settle_events();
    let path = "/events?order=desc&range_start=2025-06-15T15:00:00Z&after=event_0059000";
    let page = app.api.get(path).expect(200);
    assert!(data(&page).is_empty());
    assert!(page.body["list_metadata"]["after"].is_null(), "{}", page.text);
}

fn key_of_an_organization_sees_its_events_alone(app: &TestApp) {
    let (other, scim) = app.directory("scim.okta");
    users(app, &["ours"]);
    scim.post("/Users", user("theirs@example.com")).expect(201);
    app.settle_events();
    let own = reader(app, Some(&[&other.organization_id]));
    let events = walk(&own, "limit=1");
    assert_eq!(told(&events), ["theirs@example.com"]);
    assert_eq!(events.len(), 3, "the directory, its token and the user");
    let theirs = walk(&app.api, &format!("organization_id={}", other.organization_id));
    assert_eq!(theirs, events);
    // What the key may not see is like what is not there.
    for id in [app.directory.organization_id.as_str(), "org_unknown"] {
        let page = own.get(&format!("/events?organization_id={id}")).expect(200);
        assert!(data(&page).is_empty(), "{}", page.text);
    }
    let all = walk(&app.api, "events=dsync.user.created");
    let ours = all[0]["id"].as_str().expect("an id");
    assert_eq!(told(&all[..1]), ["ours@example.com"]);
    let [hidden, unknown] =
        [ours, "event_unknown"].map(|id| own.get(&format!("/events?after={id}")).expect(400));
    let anonymous = |text: &str, id: &str| text.replace(id, "…");
    assert_eq!(anonymous(&hidden.text, ours), anonymous(&unknown.text, "event_unknown"));
    let none = Client::get(&own.with_bearer(Some("sk_nothing")), "/events");
    assert_eq!(none.status, 401);
}

use crate::support::Client;

fn events_of_a_deleted_directory_stay(app: &TestApp) {
    let (other, scim) = app.directory("scim.okta");
    scim.post("/Users", user("theirs@example.com")).expect(201);
    app.api.delete(&format!("/api/v1/directories/{}", other.id)).expect(202);
    let service = app.service().clone();
    app.wait(async move { service.purge_deleted_directories().await }).expect("purged");
    app.api.get(&format!("/api/v1/directories/{}", other.id)).expect(404);
    app.settle_events();
    let own = reader(app, Some(&[&other.organization_id]));
    let events = walk(&own, "");
    let names: Vec<&str> = events.iter().filter_map(|e| e["event"].as_str()).collect();
    assert_eq!(
        names,
        ["dsync.activated", "dsync.token.created", "dsync.user.created", "dsync.deleted"]
    );
    // With the organization everything of it goes but its end, which is kept until it is old.
    app.api.delete(&format!("/api/v1/organizations/{}", other.organization_id)).expect(204);
    let service = app.service().clone();
    users(app, &["newest"]);
    app.wait(async move { service.prune_events().await }).expect("pruned");
    let left = walk(&own, "");
    assert_eq!((left.len(), &left[0]["event"]), (1, &json!("dsync.deleted")));
    assert_eq!(told(&walk(&app.api, "events=dsync.user.created")), ["newest@example.com"]);
}

fn cursor_that_is_not_in_the_log_is_400(app: &TestApp) {
    users(app, &["a"]);
    for cursor in ["after=event_01JXSKYG00ZZZZZZZZZZZZZZZZ", "before=event_x", "after=nonsense"] {
        let answer = app.api.get(&format!("/events?{cursor}")).expect(400);
        assert_eq!(answer.body["code"], "invalid_cursor");
        let message = answer.body["message"].as_str().expect("a message");
        assert!(message.contains("not in the log"), "{message}");
    }
}

fn parameters_that_are_wrong_are_422(app: &TestApp) {
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("order=up", "order"),
        ("range_start=yesterday", "range_start"),
        ("range_end=2025-13-01", "range_end"),
        ("after=event_a&before=event_b", "after"),
    ] {
        let answer = app.api.get(&format!("/events?{query}")).expect(422);
        assert_eq!(answer.body["errors"][0]["field"], field, "{}", answer.text);
        assert!(answer.body["errors"][0]["code"].is_string(), "{}", answer.text);
        assert!(answer.body["message"].is_string());
    }
    let answer = app.api.post("/events", json!({})).expect(405);
    assert_eq!(answer.header("allow"), Some("GET"));
}

fn data_is_what_javascript_would_write(app: &TestApp) {
    let mut body = user("a@example.com");
    body["numbers"] = json!({"b": 1.0, "7": 12345678901234567890_u64, "a": "\u{2028}/é\u{1}"});
    app.scim.post("/Users", body).expect(201);
    app.settle_events();
    let page = app.api.get("/events?events=dsync.user.created").expect(200);
    let expected =
        "\"numbers\":{\"7\":\"12345678901234567890\",\"b\":1,\"a\":\"\u{2028}/é\\u0001\"}";
    assert!(page.text.contains(expected), "{}", page.text);
}

fn envelope_has_the_members_of_the_contract(app: &TestApp) {
    users(app, &["a"]);
    let page = app.api.get("/events?events=dsync.user.created").expect(200);
    let event = data(&page)[0].as_object().expect("an object");
    let members: Vec<&String> = event.keys().collect();
    assert_eq!(members, ["object", "id", "event", "data", "created_at", "context"]);
    assert_eq!(event["object"], "event");
    assert_eq!(event["created_at"], crate::http::NOW);
    assert!(event["data"].get("groups").is_none());
    assert!(page.header("x-request-id").is_some());
}
