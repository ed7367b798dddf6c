//! `/directories`.

use std::time::Duration;

use serde_json::json;

use super::super::{NOW, api_error, assert_invalid};
use super::{data, each, key};
use crate::on_both_databases;
use crate::support::{TestApp, group, patch, user};

on_both_databases![
    directory_has_every_member,
    states_and_types_are_those_of_the_read_api,
    directories_are_found_by_name_domain_and_organization,
    numbers_are_what_the_app_sees,
    deletion_is_accepted_and_ends_all_that_was_in_it,
    push_directories_are_not_synchronised,
    keys_need_the_scope_and_reach_their_organizations,
];

fn directory_has_every_member(app: &TestApp) {
    let directory = &app.directory;
    let shown = app.api.get(&format!("/directories/{}", directory.id)).expect(200);
    assert!(shown.header("x-request-id").is_some_and(|id| id.starts_with("req_")));
    let expected = json!({
        "object": "directory",
        "id": directory.id,
        "organization_id": directory.organization_id,
        "external_key": directory.external_key,
        "type": "generic scim v2.0",
        "state": "linked",
        "name": "Directory",
        "domain": null,
        "metadata": {"users": {"active": 0, "inactive": 0}, "groups": 0},
        "created_at": NOW,
        "updated_at": NOW,
    });
    assert_eq!(shown.body, expected);
    let query = format!("/directories?organization_id={}", directory.organization_id);
    let list = app.api.get(&query).expect(200);
    let metadata = json!({"before": null, "after": null});
    assert_eq!(list.body, json!({"object": "list", "data": [expected], "list_metadata": metadata}));
    for id in ["directory_01", "%00", "nothing"] {
        api_error(&app.api.get(&format!("/directories/{id}")), 404, "entity_not_found");
    }
    api_error(&app.api.post("/directories", json!({})), 405, "method_not_allowed");
    api_error(&app.api.get("/directories/a/b/c"), 404, "entity_not_found");
}

fn states_and_types_are_those_of_the_read_api(app: &TestApp) {
    for (kind, expected) in [
        ("scim.okta", "okta scim v2.0"),
        ("scim.entra", "azure scim v2.0"),
        ("scim.onelogin", "onelogin scim v2.0"),
        ("scim.jumpcloud", "jump cloud scim v2.0"),
        ("scim.pingfederate", "pingfederate scim v2.0"),
        ("scim.rippling", "rippling scim v2.0"),
        ("scim.cyberark", "cyberark scim v2.0"),
        ("scim.keycloak", "scim.keycloak"),
    ] {
        let (directory, _) = app.directory(kind);
        let shown = app.api.get(&format!("/directories/{}", directory.id)).expect(200);
        assert_eq!(shown.body["type"], expected);
    }
    let path = format!("/api/v1/directories/{}", app.directory.id);
    for (state, expected) in
        [("paused", "unlinked"), ("disabled", "unlinked"), ("linked", "linked")]
    {
        app.api.patch(&path, json!({"state": state})).expect(200);
        let shown = app.api.get(&format!("/directories/{}", app.directory.id)).expect(200);
        assert_eq!(shown.body["state"], expected, "{state}");
    }
}

fn directories_are_found_by_name_domain_and_organization(app: &TestApp) {
    let (other, _) = app.directory("scim.okta");
    let path = format!("/api/v1/directories/{}", other.id);
    app.api.patch(&path, json!({"name": "Überall Süd"})).expect(200);
    let path = format!("/organizations/{}", other.organization_id);
    app.api.put(&path, json!({"domain_data": [{"domain": "Example.org"}]})).expect(200);
    let first = app.directory.id.as_str();
    let other = (other.id.as_str(), other.organization_id.as_str());
    for (query, expected) in [
        ("", vec![other.0, first]),
        ("?order=asc", vec![first, other.0]),
        ("?search=direct", vec![first]),
        ("?search=%C3%BCBERALL+s", vec![other.0]),
        ("?search=nowhere", vec![]),
        ("?domain=EXAMPLE.org", vec![other.0]),
        ("?domain=example.com", vec![]),
        (&format!("?organization_id={}", other.1), vec![other.0]),
        (&format!("?organization_id={}&search=direct", other.1), vec![]),
        ("?organization_id=org_none", vec![]),
    ] {
        // The first start has made a directory, too.
        let mut ids = each(app.api.get(&format!("/directories{query}")), "id");
        ids.retain(|id| [first, other.0].contains(&id.as_str()));
        assert_eq!(ids, expected, "{query}");
    }
    let shown = app.api.get(&format!("/directories/{}", other.0)).expect(200);
    assert_eq!(shown.body["domain"], "example.org");
}

/// Creates, changes, policies and departures: the running totals equal what the lists show.
fn numbers_are_what_the_app_sees(app: &TestApp) {
    let assert_numbers = |active: usize, inactive: usize, groups: usize, when: &str| {
        let id = &app.directory.id;
        let shown = app.api.get(&format!("/directories/{id}")).expect(200);
        let metadata = json!({"users": {"active": active, "inactive": inactive}, "groups": groups});
        assert_eq!(shown.body["metadata"], metadata, "{when}");
        let users = data(app.api.get(&format!("/directory_users?directory={id}&limit=100")));
        let with = |state: &str| users.iter().filter(|user| user["state"] == state).count();
        assert_eq!((with("active"), with("inactive")), (active, inactive), "{when}");
        let groups_shown = each(app.api.get(&format!("/directory_groups?directory={id}")), "id");
        assert_eq!(groups_shown.len(), groups, "{when}");
    };
    let make = |name: &str, active: bool| {
        let mut body = user(name);
        body["active"] = json!(active);
        app.scim.post("/Users", body).expect(201).id()
    };
    let set = |id: &str, active: bool| {
        let value = patch(json!([{"op": "replace", "path": "active", "value": active}]));
        app.scim.patch(&format!("/Users/{id}"), value).expect(200);
    };
    let (ada, bob) = (make("ada@example.com", true), make("bob@example.com", true));
    let (cid, dan) = (make("cid@example.com", false), make("dan@example.com", true));
    app.scim.post("/Groups", group("Sales", &[&ada])).expect(201);
    assert_numbers(3, 1, 1, "at first");
    set(&bob, false);
    assert_numbers(2, 2, 1, "one more inactive");
    app.settings(&app.directory, json!({"inactive_users": "delete"}));
    assert_numbers(2, 0, 1, "inactive users are hidden");
    set(&cid, true);
    set(&dan, false);
    let eve = make("eve@example.com", false);
    assert_numbers(2, 0, 1, "one comes, one goes, one was never seen");
    app.scim.delete(&format!("/Users/{eve}")).expect(204);
    assert_numbers(2, 0, 1, "who was hidden is deleted");
    app.settings(&app.directory, json!({"grace_period": "1d"}));
    assert_numbers(2, 2, 1, "shown again");
    app.scim.delete(&format!("/Users/{ada}")).expect(204);
    app.scim.delete(&format!("/Users/{dan}")).expect(204);
    assert_numbers(1, 3, 1, "the departed stay for a day");
    app.clock.advance(Duration::from_secs(25 * 60 * 60));
    app.apply_policies();
    assert_numbers(1, 1, 1, "and then go");
    app.settings(&app.directory, json!({"suspend_when_groupless": "1m"}));
    let group = app.scim.post("/Groups", group("Tech", &[&cid])).expect(201).id();
    app.scim.delete(&format!("/Groups/{group}")).expect(204);
    app.clock.advance(Duration::from_secs(3_600));
    app.apply_policies();
    assert_numbers(0, 2, 1, "suspended is inactive");
}

fn deletion_is_accepted_and_ends_all_that_was_in_it(app: &TestApp) {
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let group = app.scim.post("/Groups", group("Sales", &[&ada])).expect(201).id();
    let path = format!("/directories/{}", app.directory.id);
    let reader = key(app, &["read"], None);
    let message = api_error(&reader.delete(&path), 403, "forbidden");
    assert!(message.contains("\"manage\""), "{message}");
    let gone = app.api.delete(&path).expect(202);
    assert_eq!(gone.text, "");
    for path in [
        format!("/directory_users/{ada}"),
        format!("/directory_groups/{group}"),
        format!("/directory_users?group={group}"),
        format!("/directory_groups?user={ada}"),
    ] {
        api_error(&app.api.get(&path), 404, "entity_not_found");
    }
    // Until the rows are gone it is there, empty.
    let shown = app.api.get(&path);
    if shown.status == 200 {
        assert_eq!(shown.body["state"], "deleting");
        assert_eq!(shown.body["metadata"]["users"]["active"], 0);
    }
    let service = app.service().clone();
    app.wait(async move { service.purge_deleted_directories().await }).expect("purged");
    api_error(&app.api.get(&path), 404, "entity_not_found");
    let users = format!("/directory_users?directory={}", app.directory.id);
    api_error(&app.api.get(&users), 404, "entity_not_found");
}

fn push_directories_are_not_synchronised(app: &TestApp) {
    let path = format!("/directories/{}/sync", app.directory.id);
    let message = api_error(&app.api.post(&path, json!({})), 422, "not_pullable");
    assert!(message.starts_with("This directory is pushed by its identity provider"), "{message}");
    api_error(&app.api.post("/directories/directory_1/sync", json!({})), 404, "entity_not_found");
}

fn keys_need_the_scope_and_reach_their_organizations(app: &TestApp) {
    let (other, scim) = app.directory("scim.okta");
    let stranger = scim.post("/Users", user("eve@example.com")).expect(201).id();
    let theirs = scim.post("/Groups", group("Sales", &[&stranger])).expect(201).id();
    let limited = key(app, &["read"], Some(&[&app.directory.organization_id]));
    assert_eq!(each(limited.get("/directories"), "id"), [app.directory.id.as_str()]);
    assert_eq!(each(limited.get("/organizations"), "id"), [app.directory.organization_id.as_str()]);
    let organization = format!("/directories?organization_id={}", other.organization_id);
    assert_eq!(each(limited.get(&organization), "id"), Vec::<String>::new());
    for path in [
        format!("/directories/{}", other.id),
        format!("/directory_users/{stranger}"),
        format!("/directory_users?directory={}", other.id),
        format!("/directory_users?group={theirs}"),
        format!("/directory_groups/{theirs}"),
        format!("/directory_groups?directory={}", other.id),
        format!("/directory_groups?user={stranger}"),
        format!("/organizations/{}", other.organization_id),
    ] {
        let message = api_error(&limited.get(&path), 404, "entity_not_found");
        app.api.get(&path).expect(200);
        assert!(message.ends_with("was not found."), "{message}");
    }
    let manages = key(app, &["manage"], None);
    let message = api_error(&manages.get("/directories"), 403, "forbidden");
    assert!(message.contains("\"read\""), "{message}");
    let nobody = app.api.with_bearer(None);
    api_error(&nobody.get("/directories"), 401, "unauthorized");
    let token = app.api.with_bearer(Some(&app.directory.token));
    let message = api_error(&token.get("/directories"), 401, "unauthorized");
    assert!(message.contains("sk_"), "{message}");
    assert_invalid(&limited.get("/directories?limit=0"), "limit");
}
