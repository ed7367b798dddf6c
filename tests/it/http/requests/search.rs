//! Who finds which record.

use std::time::Duration;

use serde_json::{Value, json};

use super::{listed, path, whole};
use crate::http::{api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::{TestApp, patch, user};

on_both_databases![
    records_are_found_by_what_they_are_about,
    lists_go_page_by_page_in_both_directions,
    text_is_found_anywhere_and_page_by_page,
    wrong_parameters_are_named,
    directories_do_not_see_each_other,
    token_of_another_directory_writes_no_record,
    key_that_is_limited_sees_its_organizations_only,
];

fn records_are_found_by_what_they_are_about(app: &TestApp) {
    let mut body = user("ada@example.com");
    body["externalId"] = "00uADA".into();
    let id = app.scim.post("/Users", body).expect(201).id();
    app.clock.advance(Duration::from_secs(60));
    app.scim.post("/Users", user("bob@example.com")).expect(201);
    app.scim.post("/Users", user("bob@example.com")).expect(409);
    app.clock.advance(Duration::from_secs(60));
    let body = patch(json!([{"op": "replace", "path": "userName", "value": "eve@example.com"}]));
    app.scim.patch(&format!("/Users/{id}"), body).expect(200);
    app.scim.get(&format!("/Users/{id}")).expect(200);
    app.scim.get("/Users/nobody").expect(404);
    for (query, expected) in [
        ("", vec![404, 200, 200, 409, 201, 201]),
        ("status=409", vec![409]),
        ("status=4xx", vec![404, 409]),
        ("status=5xx", vec![]),
        ("method=patch", vec![200]),
        ("method=POST&status=2xx", vec![201, 201]),
        ("user=ada@example.com", vec![200, 201]),
        ("user=EVE@example.com", vec![200]),
        ("user=00uada", vec![200, 201]),
        ("user=bob@example.com&status=4xx", vec![409]),
        ("user=nobody@example.com", vec![]),
        ("since=2025-06-15T15:07:40Z", vec![404, 200, 200, 409, 201]),
        ("until=2025-06-15T15:07:40Z", vec![201]),
        ("since=2025-06-15T15:07:40Z&until=2025-06-15T15:07:40.001Z", vec![409, 201]),
        ("text=EVE%40exa", vec![200]),
        ("text=uniqueness", vec![409]),
        ("text=no-such-word", vec![]),
    ] {
        let statuses: Vec<Value> =
            listed(app, &app.directory, query).iter().map(|r| r["status"].clone()).collect();
        assert_eq!(Value::from(statuses), json!(expected), "{query}");
    }
    let by_id = listed(app, &app.directory, &format!("user={id}"));
    assert_eq!(by_id.len(), 3);
    // Lists leave out what can be large.
    for record in &by_id {
        for name in ["received", "changes", "operations"] {
            assert_eq!(record.get(name), None, "{name}");
        }
    }
}

/// The ids of all pages, with those cursors.
fn walk(app: &TestApp, query: &str, direction: &str, from: Option<String>) -> Vec<String> {
    let (mut cursor, mut ids) = (from, Vec::new());
    loop {
        let at = cursor.as_ref().map(|id| format!("&{direction}={id}")).unwrap_or_default();
        let answer = app.api.get(&format!("{}?{query}{at}", path(&app.directory))).expect(200);
        let page = answer.body["data"].as_array().expect("a list").clone();
        let page = page.iter().map(|r| r["id"].as_str().expect("an id").to_owned());
        match direction {
            "after" => ids.extend(page),
            _ => ids.splice(0..0, page).for_each(drop),
        }
        cursor = answer.body["list_metadata"][direction].as_str().map(str::to_owned);
        if cursor.is_none() {
            return ids;
        }
    }
}

fn make_many(app: &TestApp, count: usize) {
    for n in 0..count {
        app.scim.post("/Users", json!({"userName": 7, "title": format!("title-{n}")})).expect(400);
    }
}

fn lists_go_page_by_page_in_both_directions(app: &TestApp) {
    make_many(app, 7);
    let all: Vec<String> = listed(app, &app.directory, "")
        .iter()
        .map(|record| record["id"].as_str().expect("an id").to_owned())
        .collect();
    assert_eq!(all.len(), 7);
    assert!(all.is_sorted_by(|a, b| a > b), "newest first");
    assert_eq!(walk(app, "limit=3", "after", None), all);
    assert_eq!(walk(app, "limit=3", "before", all.last().cloned()), all[..6]);
}

fn text_is_found_anywhere_and_page_by_page(app: &TestApp) {
    make_many(app, 12);
    let all = walk(app, "limit=500", "after", None);
    let ones: Vec<String> = [11, 10, 1].iter().map(|n: &usize| all[11 - n].clone()).collect();
    assert_eq!(walk(app, "limit=2&text=TITLE-1", "after", None), ones);
    assert_eq!(walk(app, "limit=2&text=title-1", "before", all.last().cloned()), ones);
    let record = listed(app, &app.directory, "text=title-1&limit=1");
    assert_eq!(whole(app, &app.directory, &record[0])["received"]["title"], "title-11");
}

fn wrong_parameters_are_named(app: &TestApp) {
    for (query, field) in [
        ("status=teapot", "status"),
        ("status=9xx", "status"),
        ("method=BREW", "method"),
        ("since=yesterday", "since"),
        ("until=1", "until"),
        ("limit=0", "limit"),
        ("after=a&before=b", "after"),
    ] {
        assert_invalid(&app.api.get(&format!("{}?{query}", path(&app.directory))), field);
    }
    let nowhere = app.api.get("/api/v1/directories/directory_x/requests");
    api_error(&nowhere, 404, "entity_not_found");
    api_error(&app.api.post(&path(&app.directory), json!({})), 405, "method_not_allowed");
    let settings = format!("/api/v1/directories/{}", app.directory.id);
    for (records, field) in [
        (json!({"days": 0}), "settings.records.days"),
        (json!({"days": 91}), "settings.records.days"),
        (json!({"count": 9}), "settings.records.count"),
        (json!({"count": 100_001}), "settings.records.count"),
        (json!({"bodies": "some"}), "settings.records.bodies"),
        (json!({"body": "all"}), "settings.records.body"),
    ] {
        let answer = app.api.patch(&settings, json!({"settings": {"records": records}}));
        assert_invalid(&answer, field);
    }
}

fn directories_do_not_see_each_other(app: &TestApp) {
    let (other, scim) = app.directory("scim.okta");
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    scim.post("/Users", user("ada@example.com")).expect(201);
    for (directory, profile) in [(&app.directory, "generic"), (&other, "okta")] {
        let found = listed(app, directory, "user=ada@example.com");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["directory_id"], directory.id);
        assert_eq!(found[0]["profile"], profile);
        assert_eq!(listed(app, directory, "text=ada").len(), 1);
    }
    let theirs = listed(app, &other, "")[0]["id"].as_str().expect("an id").to_owned();
    let mine = path(&app.directory);
    api_error(&app.api.get(&format!("{mine}/{theirs}")), 404, "entity_not_found");
    let replay = app.api.post(&format!("{mine}/{theirs}/replay"), json!({}));
    api_error(&replay, 404, "entity_not_found");
    // As a cursor an id of another directory is a place in time, and no more.
    for found in listed(app, &app.directory, &format!("before={theirs}")) {
        assert_eq!(found["directory_id"], app.directory.id);
    }
}

fn token_of_another_directory_writes_no_record(app: &TestApp) {
    let (other, scim) = app.directory("scim.okta");
    let theirs = format!("/scim/v2/{}/Users", other.external_key);
    let url = scim.base.replace(&format!("/scim/v2/{}", other.external_key), "");
    let stranger = crate::support::Client::new(&url, &app.directory.token, "application/scim+json");
    stranger.post(&theirs, user("ada@example.com")).expect(403);
    stranger.with_bearer(Some("rbd_nothing")).get(&theirs).expect(401);
    stranger.with_bearer(None).get(&theirs).expect(401);
    assert!(listed(app, &other, "").is_empty());
    assert!(listed(app, &app.directory, "").is_empty());
}

fn key_that_is_limited_sees_its_organizations_only(app: &TestApp) {
    let (other, _) = app.directory("scim.okta");
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    let id = listed(app, &app.directory, "")[0]["id"].as_str().expect("an id").to_owned();
    let key =
        json!({"name": "K", "scopes": ["manage"], "organization_ids": [other.organization_id]});
    let key = app.api.post("/api/v1/api_keys", key).expect(201);
    let limited = app.api.with_bearer(key.body["secret"].as_str());
    let mine = path(&app.directory);
    for path in [mine.clone(), format!("{mine}/{id}")] {
        api_error(&limited.get(&path), 404, "entity_not_found");
    }
    let replay = limited.post(&format!("{mine}/{id}/replay"), json!({}));
    api_error(&replay, 404, "entity_not_found");
    limited.get(&path(&other)).expect(200);
}
