//! Every change has its events, in the order of the contract, and a change of nothing has none.

use serde_json::json;

use crate::on_both_databases;
use crate::support::{TestApp, group, patch, user};

on_both_databases![
    each_operation_makes_its_events,
    update_tells_what_was_before,
    write_that_changes_nothing_makes_no_event,
    deleted_directory_ends_with_one_event,
];

fn each_operation_makes_its_events(app: &TestApp) {
    let scim = &app.scim;
    let ada = scim.post("/Users", user("ada@example.com")).expect(201).id();
    let ben = scim.post("/Users", user("ben@example.com")).expect(201).id();
    let inner = scim.post("/Groups", group("Inner", &[&ada])).expect(201).id();
    let outer = scim.post("/Groups", group("Outer", &[&ada, &ben, &inner])).expect(201).id();
    let ops = json!([
        {"op": "replace", "path": "displayName", "value": "Outside"},
        {"op": "replace", "path": "members", "value": [{"value": ben}]},
    ]);
    scim.patch(&format!("/Groups/{outer}"), patch(ops)).expect(200);
    let ops = json!([{"op": "replace", "path": "active", "value": false}]);
    scim.patch(&format!("/Users/{ben}"), patch(ops)).expect(200);
    scim.delete(&format!("/Users/{ben}")).expect(204);
    scim.delete(&format!("/Groups/{inner}")).expect(204);
    assert_eq!(
        app.event_names(&app.directory),
        [
            "dsync.user.created",
            "dsync.user.created",
            "dsync.group.created",
            "dsync.group.user_added",
            "dsync.group.created",
            "dsync.group.user_added",
            "dsync.group.user_added",
            "dsync.group.updated",
            "dsync.group.user_removed",
            "dsync.user.updated",
            "dsync.group.user_removed",
            "dsync.user.deleted",
            "dsync.group.deleted",
        ]
    );
    let events = app.events(&app.directory);
    assert_eq!(events[0].0, "dsync.activated");
    assert_eq!(events[1].0, "dsync.token.created");
    let (_, removed) = events.iter().rfind(|(n, _)| n == "dsync.group.user_removed").expect("one");
    assert_eq!(removed["user"]["id"], ben);
    assert_eq!(removed["user"]["state"], "inactive");
    assert_eq!(removed["group"]["id"], outer);
    assert_eq!(removed["group"]["name"], "Outside");
    assert_eq!(removed["directory_id"], app.directory.id);
}

fn update_tells_what_was_before(app: &TestApp) {
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let ops = json!([
        {"op": "replace", "path": "active", "value": false},
        {"op": "add", "path": "title", "value": "Lead"},
        {"op": "add", "path": "favouriteColour", "value": "blue"},
    ]);
    app.clock.advance(std::time::Duration::from_secs(1));
    app.scim.patch(&format!("/Users/{id}"), patch(ops)).expect(200);
    let events = app.events(&app.directory);
    let (name, data) = events.last().expect("an event");
    assert_eq!(name, "dsync.user.updated");
    assert_eq!(data["state"], "inactive");
    assert_eq!(data["raw_attributes"]["favouriteColour"], "blue");
    assert_eq!(
        data["previous_attributes"],
        json!({
            "state": "active",
            "job_title": null,
            "raw_attributes": {"active": true, "title": null, "favouriteColour": null},
        })
    );
}

fn write_that_changes_nothing_makes_no_event(app: &TestApp) {
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201);
    let (id, tag) = (ada.id(), ada.header("etag").expect("a tag").to_owned());
    let group_id = app.scim.post("/Groups", group("G", &[&id])).expect(201).id();
    let joined = app.scim.get(&format!("/Users/{id}")).expect(200);
    assert_ne!(joined.header("etag"), Some(tag.as_str()), "the groups are part of the answer");
    let tag = joined.header("etag").expect("a tag").to_owned();
    let before = app.events(&app.directory).len();
    app.clock.advance(std::time::Duration::from_secs(1));

    let same = app.scim.put(&format!("/Users/{id}"), user("ada@example.com")).expect(200);
    assert_eq!(same.header("etag"), Some(tag.as_str()));
    assert_eq!(same.body["meta"]["lastModified"], same.body["meta"]["created"]);
    let ops = json!([{"op": "add", "path": "name.givenName", "value": "Ada"}]);
    app.scim.patch(&format!("/Users/{id}"), patch(ops)).expect(200);
    let ops = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
    let same = app.scim.patch(&format!("/Groups/{group_id}"), patch(ops)).expect(200);
    assert_eq!(same.header("etag"), Some("W/\"1\""));
    let refused = app.scim.post("/Users", user("ADA@example.com"));
    refused.expect_scim_error(409, Some("uniqueness"));
    assert_eq!(app.events(&app.directory).len(), before);
}

fn deleted_directory_ends_with_one_event(app: &TestApp) {
    let (directory, scim) = app.directory("scim.okta");
    scim.post("/Users", user("ada@example.com")).expect(201);
    app.api.delete(&format!("/api/v1/directories/{}", directory.id)).expect(202);
    scim.get("/Users").expect_scim_error(401, None);
    let service = app.service().clone();
    app.wait(async move { service.purge_deleted_directories().await }).expect("purged");
    app.api.get(&format!("/api/v1/directories/{}", directory.id)).expect(404);
}
