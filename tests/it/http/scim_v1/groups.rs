//! The life of a group: members that join and leave, and what no schema knows.

use serde_json::{Value, json};

use super::{CORE, assert_older, base_of, client, group, refused, user};
use crate::http::create;
use crate::on_both_databases;
use crate::support::{Client, TestApp};

on_both_databases![
    group_is_created_read_replaced_and_deleted,
    members_join_and_leave_by_patch,
    members_are_replaced_by_meta_attributes,
    patch_without_members_touches_none,
    unknown_schemas_are_kept_and_given_back,
    groups_contain_groups,
    thousands_of_members_are_one_change,
];

const OKTA: &str = "urn:okta:custom:group:1.0";

/// The ids of the members of the group at that path.
fn members(scim: &Client, path: &str) -> Vec<String> {
    let read = scim.get(path).expect(200);
    let members = read.body["members"].as_array().cloned().unwrap_or_default();
    members.iter().filter_map(|m| m["value"].as_str()).map(str::to_owned).collect()
}

fn group_is_created_read_replaced_and_deleted(app: &TestApp) {
    let scim = client(app);
    let mut ada = user("ada@example.com");
    ada["displayName"] = json!("Ada");
    let ada = create(&scim, "/Users", ada);
    let made = scim.post("/Groups", group("Staff", &[&ada])).expect(201);
    assert_older(&made);
    let path = format!("/Groups/{}", made.id());
    let location = format!("{}{path}", base_of(&app.directory));
    assert_eq!(made.header("location"), Some(location.as_str()));
    assert_eq!(made.body["schemas"], json!([CORE]));
    let member = json!({"value": ada, "display": "Ada", "type": "User"});
    assert_eq!(made.body["members"], json!([member]));

    let of_ada = scim.get(&format!("/Users/{ada}")).expect(200);
    assert_older(&of_ada);
    assert_eq!(
        of_ada.body["groups"],
        json!([{"value": made.id(), "display": "Staff", "type": "direct"}])
    );

    let renamed = json!({"schemas": [CORE], "displayName": "All", "members": [member]});
    let replaced = scim.put(&path, renamed).expect(200);
    assert_eq!(replaced.body["displayName"], "All");
    assert_eq!(replaced.body["members"], json!([member]));
    // As in SCIM 2.0, a PUT that lists no members empties the group.
    let emptied = scim.put(&path, json!({"displayName": "All"})).expect(200);
    assert_eq!(emptied.body.get("members"), None);
    scim.delete(&path).expect(204);
    refused(&scim.get(&path), 404);
    assert_eq!(
        app.event_names(&app.directory),
        [
            "dsync.user.created",
            "dsync.group.created",
            "dsync.group.user_added",
            "dsync.group.updated",
            "dsync.group.user_removed",
            "dsync.group.deleted",
        ]
    );
}

fn members_join_and_leave_by_patch(app: &TestApp) {
    let scim = client(app);
    let [ada, ben, eve] = ["ada", "ben", "eve"]
        .map(|name| create(&scim, "/Users", user(&format!("{name}@example.com"))));
    let path = format!("/Groups/{}", create(&scim, "/Groups", group("Staff", &[&ada])));
    let send = |elements: Value| scim.patch(&path, json!({"members": elements}));

    let joined = send(json!([{"value": ben, "display": "b"}, {"value": eve, "operation": "add"}]));
    assert_older(&joined.expect(200));
    assert_eq!(members(&scim, &path), [ada.clone(), ben.clone(), eve.clone()]);
    // Once more is no change.
    let again = send(json!([{"value": ben}])).expect(200);
    assert_eq!(again.body["meta"]["version"], "W/\"2\"");

    send(json!([{"value": ada, "operation": "delete"}, {"value": eve, "operation": "DELETE"}]));
    assert_eq!(members(&scim, &path), std::slice::from_ref(&ben));
    send(json!([{"value": "stranger", "operation": "delete"}])).expect(200);
    assert_eq!(members(&scim, &path), std::slice::from_ref(&ben));

    let description = refused(&send(json!([{"value": ada}, {"value": "stranger"}])), 400);
    assert!(description.contains("\"stranger\""), "{description}");
    assert_eq!(
        members(&scim, &path),
        std::slice::from_ref(&ben),
        "nothing of a refused request is done"
    );
    for element in [json!({"value": ada, "operation": "move"}), json!({"operation": "delete"})] {
        refused(&send(json!([element])), 400);
    }
    assert_eq!(members(&scim, &path), [ben]);
    let names = app.event_names(&app.directory);
    let changes: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| name.contains("group.user")).collect();
    assert_eq!(
        changes,
        [
            "dsync.group.user_added",
            "dsync.group.user_added",
            "dsync.group.user_added",
            "dsync.group.user_removed",
            "dsync.group.user_removed",
        ]
    );
}

fn members_are_replaced_by_meta_attributes(app: &TestApp) {
    let scim = client(app);
    let [ada, ben] =
        ["ada@example.com", "ben@example.com"].map(|n| create(&scim, "/Users", user(n)));
    let path = format!("/Groups/{}", create(&scim, "/Groups", group("Staff", &[&ada])));
    let body = json!({"meta": {"attributes": ["members"]}, "members": [{"value": ben}]});
    scim.patch(&path, body).expect(200);
    assert_eq!(members(&scim, &path), [ben]);
    let emptied = scim.patch(&path, json!({"meta": {"attributes": ["members"]}})).expect(200);
    assert_eq!(emptied.body.get("members"), None);
}

fn patch_without_members_touches_none(app: &TestApp) {
    let scim = client(app);
    let ada = create(&scim, "/Users", user("ada@example.com"));
    let path = format!("/Groups/{}", create(&scim, "/Groups", group("Staff", &[&ada])));
    for body in [
        json!({"schemas": [CORE], "id": "x", "displayName": "All"}),
        json!({"members": []}),
        json!({"members": null}),
        json!({}),
    ] {
        scim.patch(&path, body).expect(200);
        assert_eq!(members(&scim, &path), std::slice::from_ref(&ada));
    }
    assert_eq!(scim.get(&path).expect(200).body["displayName"], "All");
}

fn unknown_schemas_are_kept_and_given_back(app: &TestApp) {
    let scim = client(app);
    let body = json!({
        "schemas": [CORE, OKTA], "displayName": "Group 10",
        OKTA: {"description": "All Users West of the Rockies"}
    });
    let made = scim.post("/Groups", body.clone()).expect(201);
    let path = format!("/Groups/{}", made.id());
    for answer in [&made, &scim.get(&path).expect(200)] {
        assert_eq!(answer.body["schemas"], json!([CORE, OKTA]));
        assert_eq!(answer.body[OKTA], body[OKTA]);
    }
    let listed = scim.get("/Groups").expect(200);
    assert_eq!(listed.body["Resources"][0][OKTA], body[OKTA]);
    assert!(!app.scim.get(&path).expect(200).text.contains("okta"), "SCIM 2.0 shows what it knows");

    let patched = scim.patch(&path, json!({OKTA: {"description": "new"}})).expect(200);
    assert_eq!(patched.body[OKTA], json!({"description": "new"}));
    let kept = scim.patch(&path, json!({"displayName": "Group 11"})).expect(200);
    assert_eq!(kept.body[OKTA], json!({"description": "new"}));
    let removed = scim.patch(&path, json!({"meta": {"attributes": [OKTA]}})).expect(200);
    assert_eq!((&removed.body["schemas"], removed.body.get(OKTA)), (&json!([CORE]), None));
    scim.put(&path, body).expect(200);
    let cleared = scim.put(&path, json!({"displayName": "Group 12"})).expect(200);
    assert_eq!(cleared.body.get(OKTA), None);
}

fn groups_contain_groups(app: &TestApp) {
    let scim = client(app);
    let inner = create(&scim, "/Groups", group("Inner", &[]));
    let ada = create(&scim, "/Users", user("ada@example.com"));
    let outer = scim.post("/Groups", group("Outer", &[&inner])).expect(201);
    let member = json!({"value": inner, "display": "Inner", "type": "Group"});
    assert_eq!(outer.body["members"], json!([member]));
    scim.patch(&format!("/Groups/{inner}"), json!({"members": [{"value": ada}]})).expect(200);
    let of_ada = scim.get(&format!("/Users/{ada}")).expect(200);
    let mut kinds: Vec<&str> = of_ada.body["groups"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|group| group["type"].as_str())
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["direct", "indirect"]);
}

fn thousands_of_members_are_one_change(app: &TestApp) {
    let scim = client(app);
    let ada = create(&scim, "/Users", user("ada@example.com"));
    let path = format!("/Groups/{}", create(&scim, "/Groups", group("Staff", &[])));
    let mut elements: Vec<Value> = (0..12_000)
        .map(|n| json!({"value": format!("nobody-{n}"), "operation": "delete"}))
        .collect();
    elements.push(json!({"value": ada}));
    let answer = scim.patch(&path, json!({"members": elements})).expect(200);
    assert_eq!(answer.body["members"][0]["value"], ada);
    assert_eq!(answer.header("etag"), Some("W/\"2\""));
}
