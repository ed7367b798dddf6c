//! Members that are not there yet (`hold_unknown_members`): their values wait for a resource with
//! that externalId.

use std::time::Duration;

use serde_json::{Value, json};

use super::device::{add_devices, device};
use super::{USER, api_error, create, plain_user};
use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp, group, patch};

on_both_databases![
    unknown_value_waits_and_the_rest_applies,
    waiting_alone_changes_nothing,
    value_joins_when_its_user_appears,
    value_joins_when_a_group_or_a_device_appears,
    value_joins_every_group_that_waits_for_it,
    external_id_of_a_resource_that_is_there_is_that_member,
    ways_to_stop_waiting,
    value_waits_thirty_days,
    other_directories_do_not_matter,
    waiting_values_are_listed,
    value_that_no_external_id_can_be_is_refused,
    heavy_group_waits_for_ten_thousand_values,
    without_the_flag_nothing_waits_and_nothing_joins,
];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Turns the flag of the test's directory on or off.
fn hold(app: &TestApp, on: bool) {
    hold_in(app, &app.directory.id, on);
}

fn hold_in(app: &TestApp, directory: &str, on: bool) {
    let settings = json!({"profile": {"hold_unknown_members": on}});
    let path = format!("/api/v1/directories/{directory}");
    app.api.patch(&path, json!({"settings": settings})).expect(200);
}

fn user_of(user_name: &str, external_id: &str) -> Value {
    json!({"schemas": [USER], "userName": user_name, "externalId": external_id})
}

fn list(app: &TestApp) -> Answer {
    app.api.get(&format!("/api/v1/directories/{}/pending_members", app.directory.id)).expect(200)
}

/// What the group waits for.
fn waiting(app: &TestApp, group_id: &str) -> Vec<String> {
    let answer = list(app);
    let rows = answer.body["data"].as_array().expect("a list").iter();
    let of_group = rows.filter(|row| row["group_id"] == group_id);
    let mut values: Vec<String> =
        of_group.map(|row| row["value"].as_str().expect("text").to_owned()).collect();
    values.sort();
    values
}

/// The ids of the members, in order.
fn members(scim: &Client, group_id: &str) -> Vec<String> {
    let answer = scim.get(&format!("/Groups/{group_id}")).expect(200);
    let members = answer.body["members"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<String> =
        members.iter().map(|m| m["value"].as_str().expect("an id").to_owned()).collect();
    ids.sort();
    ids
}

fn version(scim: &Client, group_id: &str) -> String {
    let answer = scim.get(&format!("/Groups/{group_id}")).expect(200);
    answer.body["meta"]["version"].as_str().expect("a version").to_owned()
}

fn change(scim: &Client, path: &str, operation: Value) -> Answer {
    scim.patch(path, patch(json!([operation]))).expect(200)
}

fn add(scim: &Client, group_id: &str, value: &str) -> Answer {
    let value = json!([{"value": value}]);
    let operation = json!({"op": "add", "path": "members", "value": value});
    change(scim, &format!("/Groups/{group_id}"), operation)
}

/// Users that were added to groups, by event, as (group, user).
fn added(app: &TestApp) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    let events = app.events(&app.directory).into_iter();
    let added = events.filter(|(name, _)| name == "dsync.group.user_added");
    added.map(|(_, data)| (text(&data["group"]["id"]), text(&data["user"]["id"]))).collect()
}

fn unknown_value_waits_and_the_rest_applies(app: &TestApp) {
    hold(app, true);
    let scim = &app.scim;
    let ada = create(scim, "/Users", plain_user("ada@example.com"));
    let both = json!([{"value": "ext-1"}, {"value": ada}]);
    let put = |id: &str| {
        let path = format!("/Groups/{id}");
        scim.put(&path, group("New", &["ext-1", &ada])).expect(200)
    };
    let patched = |id: &str, operation: Value| change(scim, &format!("/Groups/{id}"), operation);
    type Way<'w> = (&'w str, Box<dyn Fn(&str) -> Answer + 'w>);
    let ways: [Way<'_>; 5] = [
        ("add", Box::new(|id| patched(id, json!({"op": "add", "path": "members", "value": both})))),
        (
            "replace",
            Box::new(|id| patched(id, json!({"op": "replace", "path": "members", "value": both}))),
        ),
        ("no path", Box::new(|id| patched(id, json!({"op": "add", "value": {"members": both}})))),
        ("put", Box::new(|id| put(id))),
        ("post", Box::new(|_| scim.post("/Groups", group("Posted", &["ext-1", &ada])).expect(201))),
    ];
    for (way, send) in ways {
        let id = create(scim, "/Groups", group("G", &[]));
        let before = added(app).len();
        let answer = send(&id);
        let id = answer.id();
        assert!(!answer.text.contains("ext-1"), "{way}: {}", answer.text);
        assert_eq!(members(scim, &id), [ada.as_str()], "{way}");
        assert_eq!(waiting(app, &id), ["ext-1"], "{way}");
        assert_eq!(added(app)[before..], [(id, ada.clone())], "{way}");
    }
}

fn waiting_alone_changes_nothing(app: &TestApp) {
    hold(app, true);
    let scim = &app.scim;
    let id = create(scim, "/Groups", group("G", &[]));
    let (tag, events) = (version(scim, &id), app.events(&app.directory).len());
    app.clock.advance(Duration::from_secs(1));
    for _ in 0..2 {
        let answer = add(scim, &id, "ext-1");
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
        assert_eq!(answer.body["meta"]["lastModified"], answer.body["meta"]["created"]);
    }
    let same = scim.put(&format!("/Groups/{id}"), group("G", &["ext-1", "ext-2"])).expect(200);
    assert_eq!(same.header("etag"), Some(tag.as_str()));
    assert_eq!(app.events(&app.directory).len(), events);
    assert_eq!(waiting(app, &id), ["ext-1", "ext-2"]);
    let unchanged = scim.filter("/Groups", "members.value eq \"ext-1\"");
    assert_eq!(unchanged.total(), 0, "a value that waits is no member");
}

fn value_joins_when_its_user_appears(app: &TestApp) {
    hold(app, true);
    let scim = &app.scim;
    let patched = |user: &str| {
        let operation = json!({"op": "add", "path": "externalId", "value": "ext-patch"});
        change(scim, &format!("/Users/{user}"), operation)
    };
    type Way<'w> = (&'w str, Box<dyn Fn() -> Answer + 'w>);
    let ways: [Way<'_>; 3] = [
        (
            "ext-post",
            Box::new(|| scim.post("/Users", user_of("a@example.com", "ext-post")).expect(201)),
        ),
        ("ext-patch", Box::new(|| patched(&create(scim, "/Users", plain_user("b@example.com"))))),
        (
            "ext-put",
            Box::new(|| {
                let user = create(scim, "/Users", plain_user("c@example.com"));
                let body = user_of("c@example.com", "ext-put");
                scim.put(&format!("/Users/{user}"), body).expect(200)
            }),
        ),
    ];
    for (value, send) in ways {
        let group_id = create(scim, "/Groups", group("G", &[value]));
        app.clock.advance(Duration::from_secs(1));
        let answer = send();
        let user = answer.id();
        assert_eq!(answer.body["groups"][0]["value"], group_id, "{}", answer.text);
        assert_eq!(members(scim, &group_id), [user.as_str()], "{value}");
        assert_eq!(waiting(app, &group_id), Vec::<String>::new(), "{value}");
        assert_eq!(version(scim, &group_id), "W/\"2\"", "{value}");
        let shown = scim.get(&format!("/Groups/{group_id}")).expect(200);
        assert_ne!(shown.body["meta"]["lastModified"], shown.body["meta"]["created"]);
        let events = app.events(&app.directory);
        let (name, data) = events.last().expect("an event");
        assert_eq!(name, "dsync.group.user_added", "{value}");
        assert_eq!(data["user"]["id"], user);
        assert_eq!(data["group"]["id"], group_id);
        assert_eq!(data["group"]["updated_at"], shown.body["meta"]["lastModified"]);
        let again = scim.get(&format!("/Users/{user}")).expect(200);
        assert_eq!(again.body["groups"][0]["value"], group_id);
        // A later change of the user does not add it again.
        let operation = json!({"op": "add", "path": "title", "value": "Lead"});
        change(scim, &format!("/Users/{user}"), operation);
        assert_eq!(version(scim, &group_id), "W/\"2\"", "{value}");
    }
}

fn value_joins_when_a_group_or_a_device_appears(app: &TestApp) {
    hold(app, true);
    add_devices(app);
    let outer = create(&app.scim, "/Groups", group("Outer", &["inner", "device"]));
    let mut inner = group("Inner", &[]);
    inner["externalId"] = "inner".into();
    let inner = create(&app.scim, "/Groups", inner);
    assert_eq!(members(&app.scim, &outer), [inner.as_str()]);
    let mut thing = device("1", 1);
    thing["externalId"] = "device".into();
    let thing = create(&app.scim, "/Devices", thing);
    let mut both = [inner, thing];
    both.sort();
    assert_eq!(members(&app.scim, &outer), both);
    assert_eq!(version(&app.scim, &outer), "W/\"3\"");
    assert_eq!(waiting(app, &outer), Vec::<String>::new());
    assert_eq!(added(app), [], "only users that join are told");
}

fn value_joins_every_group_that_waits_for_it(app: &TestApp) {
    hold(app, true);
    let groups: Vec<String> =
        (0..5).map(|n| create(&app.scim, "/Groups", group(&format!("G{n}"), &["ext"]))).collect();
    let user = create(&app.scim, "/Users", user_of("ada@example.com", "ext"));
    for id in &groups {
        assert_eq!(members(&app.scim, id), [user.as_str()]);
    }
    let expected: Vec<_> = groups.iter().map(|id| (id.clone(), user.clone())).collect();
    assert_eq!(added(app), expected, "in the order of the groups");
    // The value has come: a second resource with it joins nothing.
    create(&app.scim, "/Users", user_of("ben@example.com", "ext"));
    assert_eq!(members(&app.scim, &groups[0]), [user.as_str()]);
}

/// A client that names members by its own ids sends the same ones after they have come.
fn external_id_of_a_resource_that_is_there_is_that_member(app: &TestApp) {
    hold(app, true);
    let scim = &app.scim;
    let ada = create(scim, "/Users", user_of("ada@example.com", "ext-a"));
    let id = create(scim, "/Groups", group("G", &["ext-a", "ext-b"]));
    let path = format!("/Groups/{id}");
    assert_eq!(members(scim, &id), [ada.as_str()]);
    let ben = create(scim, "/Users", user_of("ben@example.com", "ext-b"));
    assert_eq!(waiting(app, &id), Vec::<String>::new());
    let (tag, events) = (version(scim, &id), app.events(&app.directory).len());
    scim.put(&path, group("G", &["ext-a", "ext-b"])).expect(200);
    add(scim, &id, "ext-b");
    let either = json!([{"value": ben}, {"value": "ext-b"}, {"value": "ext-a"}]);
    change(scim, &path, json!({"op": "replace", "path": "members", "value": either}));
    assert_eq!(version(scim, &id), tag, "the same members");
    assert_eq!(app.events(&app.directory).len(), events);
    assert_eq!(waiting(app, &id), Vec::<String>::new());

    change(scim, &path, json!({"op": "remove", "path": "members[value eq \"ext-a\"]"}));
    assert_eq!(members(scim, &id), [ben.as_str()]);
    let listed = json!({"op": "remove", "path": "members", "value": [{"value": "ext-b"}]});
    change(scim, &path, listed);
    assert_eq!(members(scim, &id), Vec::<String>::new());
    scim.put(&path, group("G", &["ext-a"])).expect(200);
    assert_eq!(members(scim, &id), [ada.as_str()]);
    scim.put(&path, group("G", &["ext-b"])).expect(200);
    assert_eq!(members(scim, &id), [ben.as_str()]);
}

fn ways_to_stop_waiting(app: &TestApp) {
    hold(app, true);
    let scim = &app.scim;
    let table = [
        ("filter", json!({"op": "remove", "path": "members[value eq \"ext\"]"})),
        ("list", json!({"op": "remove", "path": "members", "value": [{"value": "ext"}]})),
        ("whole", json!({"op": "remove", "path": "members"})),
        ("replace", json!({"op": "replace", "path": "members", "value": []})),
        ("put", Value::Null),
        ("put without members", Value::Null),
        ("delete", Value::Null),
    ];
    let mut groups = Vec::new();
    for (way, operation) in &table {
        let id = create(scim, "/Groups", group(way, &["ext", "stays"]));
        let path = format!("/Groups/{id}");
        let left: &[&str] = match *way {
            "put" => {
                scim.put(&path, group(way, &["stays"])).expect(200);
                &["stays"]
            }
            "put without members" => {
                let mut body = group(way, &[]);
                body.as_object_mut().expect("an object").remove("members");
                scim.put(&path, body).expect(200);
                &[]
            }
            "delete" => {
                scim.delete(&path).expect(204);
                &[]
            }
            "filter" | "list" => {
                change(scim, &path, operation.clone());
                &["stays"]
            }
            _ => {
                change(scim, &path, operation.clone());
                &[]
            }
        };
        assert_eq!(waiting(app, &id), left, "{way}");
        if *way != "delete" {
            assert_eq!(version(scim, &id), "W/\"1\"", "{way}");
            groups.push(id);
        }
    }
    create(scim, "/Users", user_of("ada@example.com", "ext"));
    for id in groups {
        assert_eq!(members(scim, &id), Vec::<String>::new());
    }
    assert_eq!(added(app), []);
}

fn value_waits_thirty_days(app: &TestApp) {
    hold(app, true);
    let scim = &app.scim;
    let id = create(scim, "/Groups", group("G", &["old", "kept"]));
    app.clock.advance(DAY * 29);
    // A value that is sent again waits from when it first came.
    add(scim, &id, "old");
    scim.put(&format!("/Groups/{id}"), group("G", &["young", "old", "kept"])).expect(200);
    app.clock.advance(DAY);
    let prune = || {
        let service = app.service().clone();
        app.wait(async move { service.prune_pending_members().await }).expect("pruned");
    };
    prune();
    assert_eq!(waiting(app, &id), ["kept", "old", "young"]);
    let kept = create(scim, "/Users", user_of("kept@example.com", "kept"));
    app.clock.advance(Duration::from_millis(1));
    prune();
    assert_eq!(waiting(app, &id), ["young"]);
    create(scim, "/Users", user_of("old@example.com", "old"));
    assert_eq!(members(scim, &id), [kept]);
}

fn other_directories_do_not_matter(app: &TestApp) {
    hold(app, true);
    let (other, other_scim) = app.directory("scim.generic");
    hold_in(app, &other.id, true);
    let foreign = create(&other_scim, "/Users", user_of("ada@example.com", "ext"));
    let id = create(&app.scim, "/Groups", group("G", &[&foreign, "ext"]));
    let mut both = [foreign.clone(), "ext".to_owned()];
    both.sort();
    assert_eq!(waiting(app, &id), both, "to this directory both are unknown");
    create(&other_scim, "/Users", user_of("ben@example.com", "ext"));
    create(&other_scim, "/Users", user_of("cleo@example.com", &foreign));
    assert_eq!(waiting(app, &id), both);
    assert_eq!(members(&app.scim, &id), Vec::<String>::new());
    // What it waits for is an externalId, also where that looks like an id of another directory.
    let own = create(&app.scim, "/Users", user_of("dan@example.com", &foreign));
    assert_eq!(members(&app.scim, &id), [own]);
    assert_eq!(waiting(app, &id), ["ext"]);
}

fn waiting_values_are_listed(app: &TestApp) {
    hold(app, true);
    assert_eq!(list(app).body, json!({"data": []}));
    let first = create(&app.scim, "/Groups", group("First", &["b"]));
    app.clock.advance(Duration::from_secs(1));
    let second = create(&app.scim, "/Groups", group("Second", &["a"]));
    assert_eq!(
        list(app).body,
        json!({"data": [
            {"group_id": first, "group": "First", "value": "b", "since": super::NOW},
            {
                "group_id": second, "group": "Second", "value": "a",
                "since": "2025-06-15T15:06:41.000Z"
            },
        ]})
    );
    let path = format!("/api/v1/directories/{}/pending_members", app.directory.id);
    let key = |body: Value| {
        let made = app.api.post("/api/v1/api_keys", body).expect(201);
        app.api.with_bearer(made.body["secret"].as_str())
    };
    let reader = key(json!({"name": "Reader", "scopes": ["read"]}));
    api_error(&reader.get(&path), 403, "forbidden");
    let (other, _) = app.directory("scim.generic");
    let elsewhere = json!([other.organization_id]);
    let limited =
        key(json!({"name": "Limited", "scopes": ["manage"], "organization_ids": elsewhere}));
    api_error(&limited.get(&path), 404, "entity_not_found");
    let refused = app.api.post(&path, json!({}));
    api_error(&refused, 405, "method_not_allowed");
    assert_eq!(refused.header("allow"), Some("GET"));
}

fn value_that_no_external_id_can_be_is_refused(app: &TestApp) {
    hold(app, true);
    let id = create(&app.scim, "/Groups", group("G", &[]));
    let path = format!("/Groups/{id}");
    let operation =
        |value: &str| patch(json!([{"op": "add", "path": "members", "value": [{"value": value}]}]));
    app.scim.patch(&path, operation(&"é".repeat(256))).expect(200);
    for length in [257, 100_000] {
        let refused = app.scim.patch(&path, operation(&"é".repeat(length)));
        let detail = refused.expect_scim_error(400, Some("invalidValue"));
        assert!(detail.contains("members") && detail.contains("512"), "{detail}");
        assert!(detail.len() < 1_000, "{detail}");
    }
    assert_eq!(waiting(app, &id).len(), 1);
}

fn heavy_group_waits_for_ten_thousand_values(app: &TestApp) {
    hold(app, true);
    let values = |from: usize, to: usize| -> Vec<Value> {
        (from..to).map(|n| json!({"value": format!("ext-{n}")})).collect()
    };
    let id = create(&app.scim, "/Groups", group("G", &[]));
    let path = format!("/Groups/{id}");
    let send = |op: &str, values: Vec<Value>| {
        app.scim.patch(&path, patch(json!([{"op": op, "path": "members", "value": values}])))
    };
    let refused = |answer: Answer| {
        let detail = answer.expect_scim_error(400, Some("invalidValue"));
        assert!(detail.contains("10000"), "{detail}");
    };
    refused(send("add", values(0, 10_001)));
    assert_eq!(list(app).body["data"].as_array().map(Vec::len), Some(0));
    send("add", values(0, 9_999)).expect(200);
    send("add", values(9_990, 10_000)).expect(200);
    refused(send("add", values(10_000, 10_001)));
    send("replace", values(10_000, 20_000)).expect(200);
    refused(send("add", values(0, 1)));
    assert_eq!(list(app).body["data"].as_array().map(Vec::len), Some(500), "as many as are shown");
    let user = create(&app.scim, "/Users", user_of("ada@example.com", "ext-19999"));
    assert_eq!(members(&app.scim, &id), [user]);
    send("add", values(0, 1)).expect(200);
}

fn without_the_flag_nothing_waits_and_nothing_joins(app: &TestApp) {
    let scim = &app.scim;
    let refused = |answer: Answer, value: &str| {
        let detail = answer.expect_scim_error(400, Some("invalidValue"));
        assert!(detail.contains("members") && detail.contains(value), "{detail}");
    };
    refused(scim.post("/Groups", group("G", &["ext"])), "ext");
    hold(app, true);
    let id = create(scim, "/Groups", group("G", &["ext-1", "ext-2", "ext-3"]));
    hold(app, false);
    refused(scim.put(&format!("/Groups/{id}"), group("G", &["ext-4"])), "ext-4");
    let ada = create(scim, "/Users", user_of("ada@example.com", "ext-1"));
    refused(scim.put(&format!("/Groups/{id}"), group("G", &["ext-1"])), "ext-1");
    assert_eq!(members(scim, &id), Vec::<String>::new());
    // What waited can still be taken away, and goes on waiting until then.
    let operation = json!({"op": "remove", "path": "members[value eq \"ext-2\"]"});
    change(scim, &format!("/Groups/{id}"), operation);
    assert_eq!(waiting(app, &id), ["ext-1", "ext-3"]);
    hold(app, true);
    let cleo = create(scim, "/Users", user_of("cleo@example.com", "ext-3"));
    assert_eq!(members(scim, &id), [cleo.as_str()]);
    let mut both = [ada, cleo];
    both.sort();
    add(scim, &id, "ext-1");
    assert_eq!(members(scim, &id), both);
    assert_eq!(waiting(app, &id), Vec::<String>::new());
}
