//! What happens to stored data when schemas change.

use serde_json::{Value, json};

use super::{BADGE, badge, devices, here, number, put, user_with};
use crate::http::{USER, create};
use crate::on_both_databases;
use crate::support::{TestApp, patch};

on_both_databases![
    existing_data_is_indexed,
    index_that_goes_leaves_no_entries,
    values_sent_before_there_was_a_schema_become_attributes,
    values_of_a_schema_that_goes_are_kept_and_come_back,
    values_that_do_not_fit_any_more_are_kept_and_come_back,
    what_has_become_required_is_asked_for_with_the_next_change,
    types_that_stay_as_they_are_are_left_alone,
    change_of_schemas_moves_versions_of_what_it_changes,
    secrets_of_the_departed_do_not_outlive_their_schema,
];

fn entries(app: &TestApp) -> i64 {
    // Numbers below a thousand belong to what every directory has.
    let query =
        format!("SELECT COUNT(*) FROM resource_attr WHERE path_id >= 1000 AND {}", here(app));
    number(app, &query)
}

fn existing_data_is_indexed(app: &TestApp) {
    let attributes = |indexed: bool| {
        let typed = |name: &str, data_type: &str| json!({"name": name, "type": data_type, "indexed": indexed});
        devices(json!([
            typed("text", "string"), typed("count", "integer"), typed("since", "dateTime"),
            {"name": "tags", "multiValued": true, "indexed": indexed},
        ]))
    };
    put(app, attributes(false)).expect(200);
    for n in 0..450 {
        let body = json!({
            "text": format!("T{n}"), "count": n, "since": "2020-01-01T00:00:00Z",
            "tags": ["all", format!("tag{n}")],
        });
        create(&app.scim, "/Devices", body);
    }
    assert_eq!(entries(app), 0);
    let filters = [
        ("text eq \"t449\"", 1),
        ("count lt 10", 10),
        ("tags eq \"tag7\"", 1),
        ("tags eq \"all\"", 450),
        ("since eq \"2020-01-01T01:00:00+01:00\"", 450),
        ("count ge 200 and not (text pr)", 0),
    ];
    let assert_found = || {
        for (filter, total) in filters {
            assert_eq!(app.scim.filter("/Devices", filter).total(), total, "{filter}");
        }
    };
    assert_found();
    put(app, attributes(true)).expect(200);
    assert_eq!(entries(app), 450 * 5);
    assert_found();
    // Entries that the change made go with their resources.
    for id in app.scim.filter("/Devices", "count ge 1").ids() {
        app.scim.delete(&format!("/Devices/{id}")).expect(204);
    }
    let left = app.scim.get("/Devices").total();
    assert_eq!(u64::try_from(entries(app)).expect("a number"), left * 5);
}

fn index_that_goes_leaves_no_entries(app: &TestApp) {
    put(app, devices(json!([{"name": "a", "indexed": true}, {"name": "b", "indexed": true}])))
        .expect(200);
    create(&app.scim, "/Devices", json!({"a": "1", "b": "2"}));
    assert_eq!(entries(app), 2);
    put(app, devices(json!([{"name": "a"}, {"name": "b", "indexed": true}]))).expect(200);
    assert_eq!(entries(app), 1);
    assert_eq!(app.scim.filter("/Devices", "a eq \"1\" and b eq \"2\"").total(), 1);
    // Another type needs other keys.
    put(app, devices(json!([{"name": "a"}, {"name": "b", "type": "integer", "indexed": true}])))
        .expect(200);
    assert_eq!(entries(app), 0);
    put(app, devices(json!([{"name": "a"}]))).expect(200);
    assert_eq!(app.scim.filter("/Devices", "a eq \"1\"").total(), 1);
}

fn values_sent_before_there_was_a_schema_become_attributes(app: &TestApp) {
    let path = |id: &str| format!("/Users/{id}");
    let by_post = create(
        &app.scim,
        "/Users",
        user_with(
            "ada",
            json!({"schemas": [USER, BADGE], BADGE: {"NUMBER": 7, "desk": {"row": 1}}}),
        ),
    );
    let by_patch = create(&app.scim, "/Users", user_with("ben", json!({})));
    let operations = json!([
        {"op": "add", "path": format!("{BADGE}:number"), "value": 8},
        {"op": "add", "path": format!("{BADGE}:desk.row"), "value": 2},
        {"op": "add", "path": format!("{BADGE}:hat"), "value": "red"},
    ]);
    app.scim.patch(&path(&by_patch), patch(operations)).expect(200);
    let unfit = create(&app.scim, "/Users", user_with("cleo", json!({BADGE: {"number": "seven"}})));
    for id in [&by_post, &by_patch, &unfit] {
        assert!(!app.scim.get(&path(id)).expect(200).text.contains(BADGE));
    }
    put(app, badge(json!([
        {"name": "number", "type": "integer", "indexed": true},
        {"name": "desk", "type": "complex", "subAttributes": [{"name": "row", "type": "integer"}]},
    ])))
    .expect(200);
    let read = |id: &str| app.scim.get(&path(id)).expect(200).body;
    assert_eq!(read(&by_post)[BADGE], json!({"number": 7, "desk": {"row": 1}}));
    assert_eq!(read(&by_post)["schemas"], json!([USER, BADGE]));
    assert_eq!(read(&by_patch)[BADGE], json!({"number": 8, "desk": {"row": 2}}));
    assert_eq!(read(&unfit).get(BADGE), None);
    assert_eq!(app.scim.filter("/Users", &format!("{BADGE}:number ge 7")).total(), 2);
    // What still nothing knows waits on.
    put(app, badge(json!([{"name": "hat"}, {"name": "number"}]))).expect(200);
    assert_eq!(read(&by_patch)[BADGE], json!({"hat": "red"}));
    assert_eq!(read(&unfit)[BADGE], json!({"number": "seven"}));
}

fn values_of_a_schema_that_goes_are_kept_and_come_back(app: &TestApp) {
    let document = badge(json!([
        {"name": "number", "type": "integer", "indexed": true, "uniqueness": "server"},
        {"name": "rooms", "type": "complex", "multiValued": true, "subAttributes": [
            {"name": "value"}, {"name": "key", "returned": "never"},
        ]},
    ]));
    put(app, document.clone()).expect(200);
    let sent = user_with(
        "ada",
        json!({BADGE: {
            "number": 7, "rooms": [{"value": "a", "key": "k"}, {"value": "b"}],
        }}),
    );
    let made = app.scim.post("/Users", sent).expect(201);
    let path = format!("/Users/{}", made.id());
    let before = made.body[BADGE].clone();
    assert_eq!(before, json!({"number": 7, "rooms": [{"value": "a"}, {"value": "b"}]}));

    put(app, json!({})).expect(200);
    let without = app.scim.get(&path).expect(200);
    assert!(!without.text.contains(BADGE), "{}", without.text);
    assert_eq!(without.body["userName"], "ada");
    assert_eq!(entries(app), 0);
    create(&app.scim, "/Users", user_with("ben", json!({BADGE: {"number": 8}})));
    // A change meanwhile keeps what is kept.
    let operations = json!([{"op": "add", "path": "title", "value": "Dr"}]);
    app.scim.patch(&path, patch(operations)).expect(200);

    put(app, document).expect(200);
    assert_eq!(app.scim.get(&path).expect(200).body[BADGE], before);
    assert_eq!(app.scim.filter("/Users", &format!("{BADGE}:number gt 0")).total(), 2);
    let again = user_with("cleo", json!({BADGE: {"number": 8}}));
    app.scim.post("/Users", again).expect_scim_error(409, Some("uniqueness"));
    // The app saw the values all the time; it is told that the schema went and came.
    let told = app.events(&app.directory);
    let changed: Vec<Value> =
        told.iter().map(|(_, data)| data["previous_attributes"].clone()).collect();
    let with = json!({"raw_attributes": {"schemas": [USER, BADGE]}});
    let without = json!({"raw_attributes": {"schemas": [USER]}});
    let title = json!({"job_title": null, "raw_attributes": {"title": null}});
    let created = json!(null);
    let expected = [&created, &with, &created, &title, &without, &without];
    assert_eq!(changed[changed.len() - 6..].iter().collect::<Vec<_>>(), expected);
    assert!(
        told.iter()
            .filter(|(name, _)| name == "dsync.user.updated")
            .all(|(_, data)| { data["raw_attributes"][BADGE]["number"].is_number() })
    );
}

fn values_that_do_not_fit_any_more_are_kept_and_come_back(app: &TestApp) {
    let text = devices(json!([
        {"name": "size", "indexed": true},
        {"name": "ports", "type": "complex", "multiValued": true, "subAttributes": [
            {"name": "value"}, {"name": "speed"},
        ]},
    ]));
    let typed = devices(json!([
        {"name": "size", "type": "integer", "indexed": true},
        {"name": "ports", "type": "complex", "multiValued": true, "subAttributes": [
            {"name": "value"}, {"name": "speed", "type": "integer"},
        ]},
    ]));
    put(app, text.clone()).expect(200);
    let sent = json!({"size": "large", "ports": [{"value": "a", "speed": "fast"}, {"value": "b"}]});
    let made = app.scim.post("/Devices", sent).expect(201);
    let path = format!("/Devices/{}", made.id());
    put(app, typed).expect(200);
    let shown = app.scim.get(&path).expect(200);
    assert_eq!(shown.body.get("size"), None);
    assert_eq!(shown.body["ports"], json!([{"value": "a"}, {"value": "b"}]));
    assert_eq!(app.scim.filter("/Devices", "size pr").total(), 0);
    // Another element goes, and does not come back.
    let operations = json!([{"op": "remove", "path": "ports[value eq \"b\"]"}]);
    app.scim.patch(&path, patch(operations)).expect(200);
    put(app, text).expect(200);
    let back = app.scim.get(&path).expect(200);
    assert_eq!(back.body["size"], "large");
    assert_eq!(back.body["ports"], json!([{"value": "a", "speed": "fast"}]));
    assert_eq!(app.scim.filter("/Devices", "size eq \"LARGE\"").total(), 1);
}

fn what_has_become_required_is_asked_for_with_the_next_change(app: &TestApp) {
    put(app, devices(json!([{"name": "a"}, {"name": "displayName"}]))).expect(200);
    let path = format!("/Devices/{}", create(&app.scim, "/Devices", json!({"displayName": ""})));
    put(
        app,
        devices(
            json!([{"name": "a", "required": true}, {"name": "displayName", "required": true}]),
        ),
    )
    .expect(200);
    assert_eq!(app.scim.get(&path).expect(200).header("etag"), Some("W/\"1\""));
    let name = json!([{"op": "add", "path": "displayName", "value": "D"}]);
    let answer = app.scim.patch(&path, patch(name));
    let detail = answer.expect_scim_error(400, Some("invalidValue"));
    assert!(detail.starts_with("The attribute \"a\" is required"), "{detail}");
    let both = json!([{"op": "add", "value": {"a": "1", "displayName": "D"}}]);
    app.scim.patch(&path, patch(both)).expect(200);
    assert_eq!(app.scim.filter("/Devices", "displayName eq \"d\"").total(), 1);
    // Or it is deleted.
    app.scim.delete(&path).expect(204);
}

fn types_that_stay_as_they_are_are_left_alone(app: &TestApp) {
    let extended = badge(json!([{"name": "number", "type": "integer", "indexed": true}]));
    put(app, extended.clone()).expect(200);
    let sent = user_with("ada", json!({BADGE: {"number": 7}}));
    let path = format!("/Users/{}", create(&app.scim, "/Users", sent));
    let before = app.scim.get(&path).expect(200).text;
    let mut document = devices(json!([{"name": "a"}]));
    for list in ["schemas", "resource_types"] {
        let more = extended[list].as_array().expect("a list").clone();
        document[list].as_array_mut().expect("a list").extend(more);
    }
    put(app, document).expect(200);
    assert_eq!(app.scim.get(&path).expect(200).text, before);
    assert_eq!(app.scim.filter("/Users", &format!("{BADGE}:number eq 7")).total(), 1);
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

fn change_of_schemas_moves_versions_of_what_it_changes(app: &TestApp) {
    put(app, badge(json!([{"name": "number"}, {"name": "hat"}]))).expect(200);
    let with = create(&app.scim, "/Users", user_with("ada", json!({BADGE: {"hat": "red"}})));
    let without = create(&app.scim, "/Users", user_with("ben", json!({BADGE: {"number": "1"}})));
    app.clock.advance(std::time::Duration::from_secs(60));
    put(app, badge(json!([{"name": "number"}]))).expect(200);
    let read = |id: &str| app.scim.get(&format!("/Users/{id}")).expect(200);
    assert_eq!(read(&with).header("etag"), Some("W/\"2\""));
    assert_eq!(read(&with).body["meta"]["lastModified"], "2025-06-15T15:07:40.000Z");
    assert_eq!(read(&without).header("etag"), Some("W/\"1\""));
    let (name, data) = app.events(&app.directory).pop().expect("an event");
    assert_eq!(name, "dsync.user.updated");
    let moved: Value = data["raw_attributes"][format!("{BADGE}:hat")].clone();
    assert_eq!(moved, "red");
}

fn secrets_of_the_departed_do_not_outlive_their_schema(app: &TestApp) {
    app.settings(&app.directory, json!({"grace_period": "1d"}));
    put(app, badge(json!([{"name": "hat"}, {"name": "pin", "returned": "never"}]))).expect(200);
    let values = json!({BADGE: {"hat": "red", "pin": "topsecret"}});
    let ada = create(&app.scim, "/Users", user_with("ada", values));
    app.scim.delete(&format!("/Users/{ada}")).expect(204);
    put(app, json!({"schemas": [], "resource_types": []})).expect(200);
    app.clock.advance(std::time::Duration::from_secs(24 * 60 * 60));
    app.apply_policies();
    let events = app.events(&app.directory);
    let (name, data) = events.last().expect("an event");
    assert_eq!(name, "dsync.user.deleted");
    assert!(data.to_string().contains("red"), "what was shown is shown: {data}");
    assert!(events.iter().all(|(_, data)| !data.to_string().contains("topsecret")));
}
