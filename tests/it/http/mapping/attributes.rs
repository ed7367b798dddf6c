//! Custom attributes: expressions over what the source sent.

use serde_json::{Value, json};

use rollbook::store::resource::Mapped;

use super::{in_store, new_user, path, put_attributes, seen, settle, since, told};
use crate::http::{api_error, assert_invalid, plain_user};
use crate::on_both_databases;
use crate::support::{Consumer, ENTERPRISE, TestApp, patch};

on_both_databases![
    attributes_follow_the_user,
    changed_map_is_applied_to_stored_users,
    map_of_more_users_than_a_unit_tells_is_applied_in_steps,
    failing_expression_drops_nothing_and_is_listed,
    wrong_maps_are_refused_and_change_nothing,
    preview_shows_before_and_after_and_stores_nothing,
    departed_users_keep_their_attributes,
    hidden_values_are_not_shown_to_expressions,
    same_map_put_again_repairs_what_is_stored,
    users_whom_the_app_does_not_see_are_not_listed,
    preview_that_costs_too_much_is_refused,
    many_users_without_their_manager_are_brought_to_the_map_by_the_job,
];

fn engineer(name: &str) -> Value {
    let mut user = plain_user(name);
    user["title"] = "Engineer".into();
    user[ENTERPRISE] = json!({"department": "R&D", "costCenter": "7"});
    user["badgeNumber"] = json!(42);
    user
}

/// The only event, and what it says was before.
#[track_caller]
fn only_update(events: &[(String, Value)]) -> &Value {
    let [(name, data)] = events else { panic!("one event: {events:?}") };
    assert_eq!(name, "dsync.user.updated");
    &data["previous_attributes"]
}

fn attributes_follow_the_user(app: &TestApp) {
    put_attributes(
        app,
        json!({
            "department_name": {},
            "badge": {"expression": "raw.badgeNumber"},
            "label": {"expression": "raw.title + ' in ' + enterprise.department"},
        }),
    );
    let from = told(app);
    let ada = app.scim.post("/Users", engineer("ada")).expect(201).id();
    let expected = json!({"badge": 42, "department_name": "R&D", "label": "Engineer in R&D"});
    let [(name, created)] = &since(app, from)[..] else { panic!("one event") };
    assert_eq!((name.as_str(), &created["custom_attributes"]), ("dsync.user.created", &expected));
    assert_eq!(seen(app, &ada)["custom_attributes"], expected);

    let from = told(app);
    let operation = json!([{"op": "replace", "path": "title", "value": "Head"}]);
    app.scim.patch(&format!("/Users/{ada}"), patch(operation)).expect(200);
    let expected = json!({
        "custom_attributes": {"label": "Engineer in R&D"},
        "job_title": "Engineer",
        "raw_attributes": {"title": "Engineer"},
    });
    assert_eq!(*only_update(&since(app, from)), expected);

    // What goes is null before it came, and gone in the read API.
    let from = told(app);
    app.scim.put(&format!("/Users/{ada}"), plain_user("ada")).expect(200);
    let previous = only_update(&since(app, from))["custom_attributes"].clone();
    assert_eq!(previous, json!({"badge": 42, "department_name": "R&D", "label": "Head in R&D"}));
    assert_eq!(seen(app, &ada)["custom_attributes"], json!({}));
    // The same again changes nothing.
    let from = told(app);
    app.scim.put(&format!("/Users/{ada}"), plain_user("ada")).expect(200);
    assert_eq!(since(app, from), []);
}

fn changed_map_is_applied_to_stored_users(app: &TestApp) {
    let ada = app.scim.post("/Users", engineer("ada")).expect(201).id();
    let ben = new_user(app, "ben");
    let etag = app.scim.get(&format!("/Users/{ada}")).expect(200).header("etag").map(str::to_owned);
    let from = told(app);
    let shown = put_attributes(app, json!({"team": {"expression": "enterprise.department"}}));
    assert_eq!(shown["applying"], false);
    assert_eq!(shown["attributes"]["team"]["expression"], "enterprise.department");
    let events = since(app, from);
    assert_eq!(*only_update(&events), json!({"custom_attributes": {"team": null}}));
    assert_eq!(events[0].1["custom_attributes"], json!({"team": "R&D"}));
    assert_eq!(events[0].1["id"], ada);
    // For the identity provider nothing has changed.
    assert_eq!(
        app.scim.get(&format!("/Users/{ada}")).expect(200).header("etag").map(str::to_owned),
        etag
    );

    let from = told(app);
    put_attributes(app, json!({"unit": {"expression": "enterprise.department"}}));
    let expected = json!({"custom_attributes": {"team": "R&D", "unit": null}});
    assert_eq!(*only_update(&since(app, from)), expected);
    // The same map again, and one that makes the same, tell nothing.
    let from = told(app);
    put_attributes(app, json!({"unit": {"expression": "enterprise.department"}}));
    put_attributes(app, json!({"unit": {"expression": "true ? enterprise.department : ''"}}));
    assert_eq!(since(app, from), []);
    put_attributes(app, json!({}));
    assert_eq!(*only_update(&since(app, from)), json!({"custom_attributes": {"unit": "R&D"}}));
    assert_eq!(seen(app, &ben)["custom_attributes"], json!({}));
    Consumer::of(&app.events(&app.directory));
}

fn map_of_more_users_than_a_unit_tells_is_applied_in_steps(app: &TestApp) {
    for n in 0..130 {
        app.scim.post("/Users", plain_user(&format!("user{n:03}"))).expect(201);
    }
    let from = told(app);
    put_attributes(app, json!({"login": {"expression": "raw.userName.upperAscii()"}}));
    let events = since(app, from);
    assert_eq!(events.len(), 130);
    for (name, data) in &events {
        assert_eq!(name, "dsync.user.updated");
        assert_eq!(data["previous_attributes"], json!({"custom_attributes": {"login": null}}));
        let login = data["username"].as_str().expect("a name").to_uppercase();
        assert_eq!(data["custom_attributes"]["login"], login);
    }
    assert_eq!(app.api.get(&path(app, "attribute_map")).expect(200).body["applying"], false);
    settle(app);
    assert_eq!(told(app), from + 130, "nothing is told twice");
    let ids = |events: &[(String, Value)]| -> Vec<String> {
        events.iter().map(|(_, data)| data["id"].as_str().expect("an id").to_owned()).collect()
    };
    let mut once = ids(&events);
    once.sort();
    once.dedup();
    assert_eq!(once.len(), 130);
    // A process that stops in the middle leaves the rest to the next one.
    let from = told(app);
    in_store(app, |tx, key| {
        let users = tx.mapping_chunk(key, 0, 1_000)?;
        for user in &users {
            tx.mapping_write(key, user.row.key, &Mapped::default())?;
        }
        tx.mapping_cursor_set(key, users.get(9).map(|user| user.row.key))
    });
    settle(app);
    assert_eq!(ids(&since(app, from)), ids(&events[10..]));
    // All of them, when the operator asks for it.
    put_attributes(app, json!({"login": {"expression": "raw.userName.upperAscii()"}}));
    assert_eq!(ids(&since(app, from + 120)), ids(&events[..10]));
}

fn failing_expression_drops_nothing_and_is_listed(app: &TestApp) {
    let map = put_attributes(
        app,
        json!({
            "badge": {"expression": "raw.badgeNumber", "required": true},
            "sum": {"expression": "raw.title + 1"},
            "good": {"expression": "raw.userName"},
        }),
    );
    assert_eq!(map["users_with_faults"], 0);
    let ada = app.scim.post("/Users", engineer("ada")).expect(201).id();
    let ben = new_user(app, "ben");
    assert_eq!(seen(app, &ada)["custom_attributes"], json!({"badge": 42, "good": "ada"}));
    assert_eq!(seen(app, &ben)["custom_attributes"], json!({"good": "ben"}));
    let faults = path(app, "attribute_map/faults");
    let listed = app.api.get(&faults).expect(200).body;
    let one = |user: &Value| (user["username"].clone(), user["faults"].clone());
    let listed: Vec<_> = listed["data"].as_array().expect("a list").iter().map(one).collect();
    let failed = json!({
        "attribute": "sum", "kind": "failed", "message": "\"+\" does not take string, int",
    });
    let expected = vec![
        (json!("ben"), json!([{"attribute": "badge", "kind": "missing"}])),
        (json!("ada"), json!([failed])),
    ];
    assert_eq!(listed, expected);
    let first = app.api.get(&format!("{faults}?limit=1")).expect(200).body;
    assert_eq!(first["data"][0]["user_id"], ben);
    let after = first["list_metadata"]["after"].as_str().expect("more").to_owned();
    let rest = app.api.get(&format!("{faults}?limit=1&after={after}")).expect(200).body;
    assert_eq!(
        (rest["data"][0]["user_id"].clone(), rest["list_metadata"]["after"].clone()),
        (json!(ada), Value::Null)
    );
    assert_eq!(app.api.get(&path(app, "attribute_map")).expect(200).body["users_with_faults"], 2);

    // What is sent at last ends the fault; a map that does not ask for it ends the others.
    let mut body = plain_user("ben");
    body["badgeNumber"] = json!(7);
    app.scim.put(&format!("/Users/{ben}"), body).expect(200);
    assert_eq!(app.api.get(&faults).expect(200).body["data"].as_array().map(Vec::len), Some(1));
    put_attributes(app, json!({"good": {"expression": "raw.userName"}}));
    assert_eq!(app.api.get(&faults).expect(200).body["data"], json!([]));
}

fn wrong_maps_are_refused_and_change_nothing(app: &TestApp) {
    put_attributes(app, json!({"good": {"expression": "raw.userName"}}));
    let put = |attributes: Value| {
        app.api.put(&path(app, "attribute_map"), json!({"attributes": attributes}))
    };
    for (attributes, field) in [
        (json!({"x": {"expression": "raw."}}), "attributes.x.expression"),
        (json!({"x": {"expression": "user.title"}}), "attributes.x.expression"),
        (json!({"x": {"expression": "raw.title.matches('a')"}}), "attributes.x.expression"),
        (json!({"x": {}}), "attributes.x.expression"),
        (json!({"1x": {"expression": "1"}}), "attributes.1x"),
        (json!({"": {"expression": "1"}}), "attributes."),
    ] {
        assert_invalid(&put(attributes), field);
    }
    let long = format!("'{}'", "x".repeat(2_000));
    let large: Value = (0..40)
        .map(|n| (format!("a{n}"), json!({"expression": long})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    assert_invalid(&put(large), "attributes");
    for body in [json!({}), json!({"attributes": []}), json!({"attributes": {"x": {"when": 1}}})] {
        let answer = app.api.put(&path(app, "attribute_map"), body);
        assert_eq!(answer.status, 422, "{}", answer.text);
    }
    let shown = app.api.get(&path(app, "attribute_map")).expect(200).body;
    assert_eq!(
        shown["attributes"],
        json!({"good": {"expression": "raw.userName", "required": false}})
    );
    let nowhere = app.api.get("/api/v1/directories/directory_none/attribute_map");
    api_error(&nowhere, 404, "entity_not_found");
}

fn preview_shows_before_and_after_and_stores_nothing(app: &TestApp) {
    let ada = app.scim.post("/Users", engineer("ada")).expect(201).id();
    let ben = new_user(app, "ben");
    put_attributes(app, json!({"team": {"expression": "enterprise.department"}}));
    let from = told(app);
    let preview = |more: Value| {
        let mut body = json!({"attributes": {
            "team": {"expression": "enterprise.department.lowerAscii()", "required": true},
            "sum": {"expression": "raw.title + 1"},
        }});
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        app.api.post(&path(app, "attribute_map/preview"), body)
    };
    let shown = preview(json!({})).expect(200).body;
    assert_eq!(shown["changed"], 1);
    let users = shown["data"].as_array().expect("a list");
    assert_eq!(users.len(), 2);
    assert_eq!((&users[0]["user_id"], &users[1]["user_id"]), (&json!(ada), &json!(ben)));
    assert_eq!(users[0]["before"], json!({"team": "R&D"}));
    assert_eq!(users[0]["after"], json!({"team": "r&d"}));
    assert_eq!(users[0]["faults"][0]["attribute"], "sum");
    assert_eq!(users[1]["faults"], json!([{"attribute": "team", "kind": "missing"}]));
    let first = preview(json!({"limit": 1})).expect(200).body;
    assert_eq!(first["list_metadata"]["after"], ada);
    let rest = preview(json!({"limit": 1, "after": ada})).expect(200).body;
    assert_eq!(
        (&rest["data"][0]["user_id"], &rest["list_metadata"]["after"]),
        (&json!(ben), &Value::Null)
    );
    let named = preview(json!({"user_ids": [ben]})).expect(200).body;
    assert_eq!(named["data"].as_array().map(Vec::len), Some(1));
    api_error(&preview(json!({"user_ids": ["directory_user_none"]})), 404, "entity_not_found");
    assert_invalid(&preview(json!({"limit": 0})), "limit");
    assert_invalid(
        &preview(json!({"attributes": {"x": {"expression": "("}}})),
        "attributes.x.expression",
    );
    assert_eq!(since(app, from), []);
    assert_eq!(seen(app, &ada)["custom_attributes"], json!({"team": "R&D"}));
}

fn departed_users_keep_their_attributes(app: &TestApp) {
    app.settings(&app.directory, json!({"delete": "deactivate"}));
    put_attributes(app, json!({"team": {"expression": "enterprise.department"}}));
    let ada = app.scim.post("/Users", engineer("ada")).expect(201).id();
    app.scim.delete(&format!("/Users/{ada}")).expect(204);
    let shown = seen(app, &ada);
    assert_eq!(
        (&shown["state"], &shown["custom_attributes"]),
        (&json!("inactive"), &json!({"team": "R&D"}))
    );
    let from = told(app);
    app.settings(&app.directory, json!({}));
    let [(name, data)] = &since(app, from)[..] else { panic!("one event") };
    assert_eq!(name, "dsync.user.deleted");
    assert_eq!(data["custom_attributes"], json!({"team": "R&D"}));
}

fn same_map_put_again_repairs_what_is_stored(app: &TestApp) {
    let ada = app.scim.post("/Users", engineer("ada")).expect(201).id();
    let map = json!({"team": {"expression": "enterprise.department"}});
    put_attributes(app, map.clone());
    in_store(app, |tx, key| {
        let users = tx.mapping_chunk(key, 0, 1)?;
        tx.mapping_write(key, users[0].row.key, &Mapped::default())
    });
    assert_eq!(seen(app, &ada)["custom_attributes"], json!({}));
    put_attributes(app, map);
    assert_eq!(seen(app, &ada)["custom_attributes"], json!({"team": "R&D"}));
}

fn users_whom_the_app_does_not_see_are_not_listed(app: &TestApp) {
    app.settings(&app.directory, json!({"inactive_users": "delete"}));
    let rules = json!({"badge": {"expression": "raw.badgeNumber", "required": true}});
    put_attributes(app, rules.clone());
    let ben = new_user(app, "ben");
    let mut body = plain_user("ada");
    body["active"] = false.into();
    let ada = app.scim.post("/Users", body).expect(201).id();
    let listed = app.api.get(&path(app, "attribute_map/faults")).expect(200).body;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["data"][0]["user_id"], ben);
    assert_eq!(app.api.get(&path(app, "attribute_map")).expect(200).body["users_with_faults"], 1);
    let service = std::sync::Arc::clone(app.service());
    app.wait(async move { service.measure_mappings().await }).expect("a count");
    let metrics = app.api.get("/metrics").expect(200).text;
    assert!(metrics.contains("rollbook_attribute_faults 1\n"), "{metrics}");
    let preview = |ids: Value| {
        let body = json!({"attributes": rules, "user_ids": ids});
        app.api.post(&path(app, "attribute_map/preview"), body)
    };
    api_error(&preview(json!([ben, ada])), 404, "entity_not_found");
    preview(json!([ben])).expect(200);
}

fn preview_that_costs_too_much_is_refused(app: &TestApp) {
    for n in 0..12 {
        let mut user = plain_user(&format!("user{n}"));
        user["list"] = vec!["element"; 400].into();
        app.scim.post("/Users", user).expect(201);
    }
    let walk = json!({"expression": "raw.list.map(a, raw.list.map(b, a + b))"});
    let attributes = json!({"a": walk, "b": walk, "c": walk, "d": walk, "e": walk});
    let preview = |limit: usize| {
        let body = json!({"attributes": attributes, "limit": limit});
        app.api.post(&path(app, "attribute_map/preview"), body)
    };
    assert_invalid(&preview(12), "attributes");
    let shown = preview(2).expect(200).body;
    assert_eq!(shown["data"][0]["faults"].as_array().map(Vec::len), Some(5));
}

fn many_users_without_their_manager_are_brought_to_the_map_by_the_job(app: &TestApp) {
    let boss = new_user(app, "boss");
    put_attributes(app, json!({"lead": {"expression": "enterprise.manager.value"}}));
    for n in 0..101 {
        let mut body = plain_user(&format!("user{n:03}"));
        body[ENTERPRISE] = json!({"manager": {"value": boss}});
        app.scim.post("/Users", body).expect(201);
    }
    let from = told(app);
    app.scim.delete(&format!("/Users/{boss}")).expect(204);
    settle(app);
    let events = since(app, from);
    let updates = events.iter().filter(|(name, _)| name == "dsync.user.updated");
    // One of the manager that is gone, and one of what follows from that.
    let updates: Vec<&Value> = updates.map(|(_, data)| &data["previous_attributes"]).collect();
    let expected = json!({"custom_attributes": {"lead": boss}});
    assert_eq!(updates.len(), 202);
    assert_eq!(updates.iter().filter(|previous| ***previous == expected).count(), 101);
    settle(app);
    assert_eq!(since(app, from).len(), events.len());
}

/// What schemas never return no expression sees, also when the schema comes later.
fn hidden_values_are_not_shown_to_expressions(app: &TestApp) {
    const PAY: &str = "urn:example:params:scim:schemas:Pay";
    put_attributes(app, json!({"grade": {"expression": format!("raw['{PAY}'].grade")}}));
    let mut user = plain_user("ada");
    user["schemas"] = json!([user["schemas"][0], PAY]);
    user[PAY] = json!({"grade": "9"});
    let ada = app.scim.post("/Users", user).expect(201).id();
    assert_eq!(seen(app, &ada)["custom_attributes"], json!({"grade": "9"}));
    let schemas = json!({
        "schemas": [{"id": PAY, "attributes": [{"name": "grade", "returned": "never"}]}],
        "resource_types": [{"name": "User", "schemaExtensions": [{"schema": PAY}]}],
    });
    let put = app.api.put(&path(app, "schemas"), schemas);
    assert_eq!(put.status, 200, "{}", put.text);
    settle(app);
    assert_eq!(seen(app, &ada)["custom_attributes"], json!({}));
    Consumer::of(&app.events(&app.directory));
}
