//! Alarms: raised once, resolved once, as events, in the list and as metrics.

use serde_json::{Value, json};

use super::{HOUR, alarm_events, alarms, brake, delete, set_active, users, watch};
use crate::http::assert_invalid;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    brake_alarms_once_and_until_the_hour_is_over,
    hold_is_an_alarm_where_one_stands_already,
    directory_that_is_silent_for_longer_than_ever,
    directory_that_takes_no_requests_is_not_missed,
    token_that_ends_is_told_at_each_threshold,
    rotated_token_is_no_alarm,
    keys_see_alarms_of_their_organizations,
    lists_are_paged_and_filtered,
    sdk_readers_do_not_see_alarms,
    alarms_are_metrics,
    old_alarms_go,
];

fn brake_alarms_once_and_until_the_hour_is_over(app: &TestApp) {
    let ids = users(app, &["a", "b", "c", "d"]);
    for id in &ids {
        set_active(app, id, false);
    }
    // Of four active users three are more than a tenth; all of it was told.
    assert_eq!(super::lines(app, 4).len(), 4);
    assert_eq!(alarm_events(app), ["rollbook.alarm.raised brake"]);
    let standing = alarms(app, "kind=brake");
    assert_eq!(standing[0]["detail"]["mode"], "alarm");
    watch(app);
    assert_eq!(alarms(app, "kind=brake"), standing);
    app.clock.advance(HOUR);
    watch(app);
    watch(app);
    assert_eq!(alarm_events(app), ["rollbook.alarm.raised brake", "rollbook.alarm.resolved brake"]);
    let resolved = alarms(app, "state=resolved");
    assert_eq!(resolved[0]["id"], standing[0]["id"]);
    assert!(resolved[0]["resolved_at"].is_string());
}

fn hold_is_an_alarm_where_one_stands_already(app: &TestApp) {
    let ids = users(app, &["a", "b", "c", "d"]);
    ids[..3].iter().for_each(|id| set_active(app, id, false));
    assert_eq!(alarms(app, "kind=brake")[0]["detail"]["mode"], "alarm");
    brake(app, json!({"mode": "hold"}));
    delete(app, &format!("/Users/{}", ids[3]));
    let standing = alarms(app, "kind=brake");
    assert_eq!((standing.len(), &standing[0]["detail"]["mode"]), (1, &json!("hold")));
    let (raised, resolved) = ("rollbook.alarm.raised brake", "rollbook.alarm.resolved brake");
    assert_eq!(alarm_events(app), [raised, resolved, raised]);
}

/// The identity provider talks, and that is written down.
fn talk(app: &TestApp) {
    app.clock.advance(std::time::Duration::from_secs(61));
    let before = last_request(app);
    app.scim.get("/Users").expect(200);
    // It is written beside the request.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while last_request(app) == before {
        assert!(std::time::Instant::now() < deadline, "the request is noted");
        std::thread::yield_now();
    }
}

fn last_request(app: &TestApp) -> Value {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    app.api.get(&path).expect(200).body["last_request_at"].clone()
}

fn silent(app: &TestApp, state: &str) -> usize {
    let query = format!("kind=directory_silent&state={state}&directory_id={}", app.directory.id);
    alarms(app, &query).len()
}

fn directory_that_is_silent_for_longer_than_ever(app: &TestApp) {
    talk(app);
    app.clock.advance(HOUR * 23);
    watch(app);
    assert_eq!(silent(app, "all"), 0, "a day is the least");
    app.clock.advance(HOUR * 2);
    watch(app);
    watch(app);
    assert_eq!(silent(app, "raised"), 1);
    app.clock.advance(HOUR * 25);
    talk(app);
    watch(app);
    assert_eq!((silent(app, "raised"), silent(app, "resolved")), (0, 1));
    // Fifty hours have happened before.
    app.clock.advance(HOUR * 49);
    watch(app);
    assert_eq!(silent(app, "raised"), 0);
    app.clock.advance(HOUR * 3);
    watch(app);
    assert_eq!(silent(app, "raised"), 1);
    let alarm = &alarms(app, "kind=directory_silent")[0];
    assert!(alarm["message"].as_str().expect("text").contains("for 52 hours"), "{alarm}");
    assert_eq!(
        alarm_events(app),
        [
            "rollbook.alarm.raised directory_silent",
            "rollbook.alarm.resolved directory_silent",
            "rollbook.alarm.raised directory_silent"
        ]
    );
}

fn directory_that_takes_no_requests_is_not_missed(app: &TestApp) {
    talk(app);
    let path = format!("/api/v1/directories/{}", app.directory.id);
    app.clock.advance(HOUR * 30);
    watch(app);
    assert_eq!(silent(app, "raised"), 1);
    app.api.patch(&path, json!({"state": "paused"})).expect(200);
    watch(app);
    assert_eq!(silent(app, "raised"), 0);
    app.clock.advance(HOUR * 30);
    watch(app);
    assert_eq!(silent(app, "raised"), 0);
}

fn tokens(app: &TestApp) -> String {
    format!("/api/v1/directories/{}/tokens", app.directory.id)
}

/// A token that ends in 40 days.
fn ending(app: &TestApp) -> String {
    let made = app.api.post(&tokens(app), json!({"expires_at": "2025-07-25T15:06:40Z"}));
    made.expect(201).id()
}

fn token_that_ends_is_told_at_each_threshold(app: &TestApp) {
    // The first token never ends, but is older: the young one is in use.
    app.clock.advance(std::time::Duration::from_secs(1));
    let token = ending(app);
    let mut days = Vec::new();
    for step in [9, 2, 21, 2, 4, 3, 2] {
        app.clock.advance(HOUR * 24 * step);
        watch(app);
        watch(app);
        let standing = alarms(app, "kind=token_expiring");
        days.push(standing.first().map(|alarm| alarm["detail"]["days"].clone()));
        assert!(standing.iter().all(|alarm| alarm["subject"] == json!(token)));
    }
    let expected = [json!(null), json!(30), json!(30), json!(7), json!(7), json!(1), json!(1)];
    let days: Vec<Value> = days.into_iter().map(Option::unwrap_or_default).collect();
    assert_eq!(days, expected);
    app.api.delete(&format!("{}/{token}", tokens(app))).expect(204);
    watch(app);
    assert!(alarms(app, "kind=token_expiring").is_empty());
    let (raised, resolved) =
        ("rollbook.alarm.raised token_expiring", "rollbook.alarm.resolved token_expiring");
    assert_eq!(alarm_events(app), [raised, resolved, raised, resolved, raised, resolved]);
}

fn rotated_token_is_no_alarm(app: &TestApp) {
    app.clock.advance(std::time::Duration::from_secs(1));
    let token = ending(app);
    app.clock.advance(HOUR * 24 * 20);
    watch(app);
    assert_eq!(alarms(app, "kind=token_expiring").len(), 1);
    app.api.post(&format!("{}/{token}/rotate", tokens(app)), json!({})).expect(201);
    watch(app);
    assert!(alarms(app, "kind=token_expiring").is_empty());
}

fn keys_see_alarms_of_their_organizations(app: &TestApp) {
    users(app, &["a", "b", "c", "d"]).iter().for_each(|id| set_active(app, id, false));
    let (other, _) = app.directory("scim.okta");
    let key = |organization: &str| {
        let body = json!({"name": "k", "scopes": ["manage"], "organization_ids": [organization]});
        let made = app.api.post("/api/v1/api_keys", body).expect(201);
        app.api.with_bearer(made.body["secret"].as_str())
    };
    let seen = |organization: &str| {
        let list = key(organization).get("/api/v1/alarms").expect(200);
        list.body["data"].as_array().map(Vec::len)
    };
    assert_eq!(seen(&app.directory.organization_id), Some(1));
    assert_eq!(seen(&other.organization_id), Some(0));
}

fn lists_are_paged_and_filtered(app: &TestApp) {
    users(app, &["a", "b", "c", "d"]).iter().for_each(|id| set_active(app, id, false));
    app.clock.advance(std::time::Duration::from_secs(1));
    let (other, scim) = app.directory("scim.okta");
    for name in ["a", "b", "c", "d"] {
        let id = scim.post("/Users", crate::http::plain_user(name)).expect(201).id();
        scim.delete(&format!("/Users/{id}")).expect(204);
    }
    let first = app.api.get("/api/v1/alarms?limit=1").expect(200);
    assert_eq!(first.body["data"][0]["directory_id"], json!(other.id));
    let after = first.body["list_metadata"]["after"].as_str().expect("more").to_owned();
    let second = app.api.get(&format!("/api/v1/alarms?limit=1&after={after}")).expect(200);
    assert_eq!(second.body["data"][0]["directory_id"], json!(app.directory.id));
    assert_eq!(second.body["list_metadata"]["after"], json!(null));
    assert_eq!(alarms(app, "kind=run_held").len(), 0);
    assert_invalid(&app.api.get("/api/v1/alarms?kind=fire"), "kind");
    assert_invalid(&app.api.get("/api/v1/alarms?state=open"), "state");
    assert_invalid(&app.api.get("/api/v1/alarms?limit=0"), "limit");
}

fn sdk_readers_do_not_see_alarms(app: &TestApp) {
    users(app, &["a", "b", "c", "d"]).iter().for_each(|id| delete(app, &format!("/Users/{id}")));
    app.settle_events();
    let mut after = String::new();
    let mut names = Vec::new();
    loop {
        let page = app.api.get(&format!("/events?limit=2{after}")).expect(200);
        let data = page.body["data"].as_array().expect("a list").clone();
        names.extend(data.iter().map(|event| event["event"].as_str().expect("text").to_owned()));
        match page.body["list_metadata"]["after"].as_str() {
            Some(id) => after = format!("&after={id}"),
            None => break,
        }
    }
    assert!(names.iter().all(|name| name.starts_with("dsync.")), "{names:?}");
    assert_eq!(names.iter().filter(|name| *name == "dsync.user.deleted").count(), 4);
    let asked = app.api.get("/events?events=rollbook.alarm.raised").expect(200);
    assert_eq!(asked.body["data"], json!([]));
    let native = app.api.get("/api/v1/events?events=rollbook.alarm.raised").expect(200);
    assert_eq!(native.body["data"][0]["data"]["kind"], "brake");
    assert_eq!(native.body["data"].as_array().map(Vec::len), Some(1));
}

fn alarms_are_metrics(app: &TestApp) {
    let count = |kind: &str| {
        let text = app.api.get("/metrics").expect(200).text;
        let line = format!("rollbook_alarms{{kind=\"{kind}\"}} ");
        text.lines().find_map(|found| found.strip_prefix(&line).map(str::to_owned))
    };
    assert_eq!(count("brake").as_deref(), Some("0"));
    assert_eq!(count("endpoint_paused").as_deref(), Some("0"));
    brake(app, super::tight());
    users(app, &["a", "b"]).iter().for_each(|id| set_active(app, id, false));
    watch(app);
    assert_eq!(count("brake").as_deref(), Some("1"));
    let text = app.api.get("/metrics").expect(200).text;
    assert!(text.contains("\nrollbook_brake_holding 1\n"), "{text}");
}

fn old_alarms_go(app: &TestApp) {
    users(app, &["a", "b", "c", "d"]).iter().for_each(|id| set_active(app, id, false));
    app.clock.advance(HOUR);
    watch(app);
    assert_eq!(alarms(app, "state=all&kind=brake").len(), 1);
    app.clock.advance(HOUR * 24 * 91);
    watch(app);
    assert_eq!(alarms(app, "state=all&kind=brake").len(), 0);
}
