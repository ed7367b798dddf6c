//! `/directory_users`.

use serde_json::{Value, json};

use super::super::{NOW, USER, api_error, assert_invalid};
use super::{data, each};
use crate::on_both_databases;
use crate::support::{ENTERPRISE, TestApp, group, patch, user};

on_both_databases![
    user_has_every_member,
    user_is_the_object_of_its_events,
    users_are_found_by_group_idp_id_and_email,
    lists_need_a_directory_or_a_group,
    hidden_users_are_hidden_and_departed_ones_shown,
    groups_are_direct_ones,
];

fn user_has_every_member(app: &TestApp) {
    let body = json!({
        "schemas": [USER, ENTERPRISE],
        "userName": "ada@example.com",
        "externalId": "00u1",
        "name": {"givenName": "Ada", "familyName": "Byron"},
        "emails": [{"value": "ada@example.com", "type": "work", "primary": true}],
        "title": "Engineer",
        "password": "t0p-secret",
        ENTERPRISE: {"department": "Engines"},
    });
    let ada = app.scim.post("/Users", body).expect(201).id();
    let sales = app.scim.post("/Groups", group("Sales", &[&ada])).expect(201).id();
    let (directory, organization) = (&app.directory.id, &app.directory.organization_id);
    let shown = app.api.get(&format!("/directory_users/{ada}")).expect(200);
    let expected = json!({
        "object": "directory_user",
        "id": ada,
        "directory_id": directory,
        "organization_id": organization,
        "idp_id": "00u1",
        "email": "ada@example.com",
        "first_name": "Ada",
        "last_name": "Byron",
        "name": "Ada Byron",
        "emails": [{"value": "ada@example.com", "type": "work", "primary": true}],
        "job_title": "Engineer",
        "username": "ada@example.com",
        "state": "active",
        "raw_attributes": {
            "schemas": [USER, ENTERPRISE],
            "id": ada,
            "userName": "ada@example.com",
            "externalId": "00u1",
            "name": {"givenName": "Ada", "familyName": "Byron"},
            "emails": [{"value": "ada@example.com", "type": "work", "primary": true}],
            "title": "Engineer",
            "active": true,
            ENTERPRISE: {"department": "Engines"},
        },
        "custom_attributes": {},
        "created_at": NOW,
        "updated_at": NOW,
        "groups": [{
            "object": "directory_group",
            "id": sales,
            "idp_id": sales,
            "directory_id": directory,
            "organization_id": organization,
            "name": "Sales",
            "raw_attributes": shown.body["groups"][0]["raw_attributes"],
            "created_at": NOW,
            "updated_at": NOW,
        }],
    });
    assert_eq!(shown.body, expected);
    assert_eq!(data(app.api.get(&format!("/directory_users?directory={directory}"))), [expected]);
    let bare =
        app.scim.post("/Users", json!({"schemas": [USER], "userName": "x"})).expect(201).id();
    let shown = app.api.get(&format!("/directory_users/{bare}")).expect(200).body;
    for (member, value) in [
        ("idp_id", json!(bare)),
        ("email", Value::Null),
        ("first_name", Value::Null),
        ("name", Value::Null),
        ("emails", json!([])),
        ("custom_attributes", json!({})),
        ("groups", json!([])),
    ] {
        assert_eq!(shown.get(member), Some(&value), "{member}");
    }
    api_error(&app.api.get("/directory_users/directory_user_1"), 404, "entity_not_found");
    api_error(&app.api.get(&format!("/directory_users/{sales}")), 404, "entity_not_found");
}

fn user_is_the_object_of_its_events(app: &TestApp) {
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let change = patch(json!([{"op": "add", "path": "title", "value": "Engineer"}]));
    app.scim.patch(&format!("/Users/{ada}"), change).expect(200);
    let (name, mut told) = app.events(&app.directory).pop().expect("an event");
    assert_eq!(name, "dsync.user.updated");
    told.as_object_mut().expect("an object").shift_remove("previous_attributes");
    let mut shown = app.api.get(&format!("/directory_users/{ada}")).expect(200).body;
    let groups = shown.as_object_mut().expect("an object").shift_remove("groups");
    assert_eq!(groups, Some(json!([])));
    assert_eq!(shown, told);
}

fn users_are_found_by_group_idp_id_and_email(app: &TestApp) {
    let make = |name: &str, external_id: Option<&str>, emails: &[(&str, bool)]| {
        let emails: Vec<Value> =
            emails.iter().map(|(v, p)| json!({"value": v, "primary": p, "type": "work"})).collect();
        let body = json!({"schemas": [USER], "userName": name, "externalId": external_id,
            "emails": emails});
        app.scim.post("/Users", body).expect(201).id()
    };
    app.settings(&app.directory, json!({"profile": {"email_from_user_name": true}}));
    let ada = make("ada", Some("00u1"), &[("Ada@Example.com", true), ("old@example.com", false)]);
    let bob = make("bob@example.com", None, &[]);
    let cid = make("cid", Some("00u1"), &[("cid@example.com", true)]);
    let sales = app.scim.post("/Groups", group("Sales", &[&ada, &bob])).expect(201).id();
    let directory = app.directory.id.as_str();
    for (query, expected) in [
        (format!("directory={directory}"), vec![&cid, &bob, &ada]),
        (format!("directory={directory}&order=asc"), vec![&ada, &bob, &cid]),
        (format!("group={sales}"), vec![&bob, &ada]),
        (format!("group={sales}&order=asc"), vec![&ada, &bob]),
        (format!("directory={directory}&group={sales}&limit=1"), vec![&bob]),
        (format!("directory={directory}&idp_id=00u1"), vec![&cid, &ada]),
        (format!("directory={directory}&idp_id=00u1&limit=1&order=asc"), vec![&ada]),
        (format!("directory={directory}&idp_id=00u1&after={cid}"), vec![&ada]),
        (format!("directory={directory}&idp_id={bob}"), vec![&bob]),
        // Who has an id of the provider's is not known by ours.
        (format!("directory={directory}&idp_id={ada}"), vec![]),
        (format!("directory={directory}&idp_id=00U1"), vec![]),
        (format!("directory={directory}&email=ADA@example.com"), vec![&ada]),
        // The address that is shown, not another one.
        (format!("directory={directory}&email=old@example.com"), vec![]),
        (format!("directory={directory}&email=bob@example.com"), vec![&bob]),
        (format!("directory={directory}&email=bob@example.com&after={bob}"), vec![]),
        (format!("directory={directory}&email=cid@example.com&group={sales}"), vec![]),
        (format!("directory={directory}&email=cid@example.com&idp_id=00u1"), vec![&cid]),
    ] {
        assert_eq!(
            each(app.api.get(&format!("/directory_users?{query}")), "id"),
            expected.into_iter().cloned().collect::<Vec<_>>(),
            "{query}"
        );
    }
    let (other, _) = app.directory("scim.okta");
    for query in [
        "directory=directory_1".to_owned(),
        "group=directory_group_1".to_owned(),
        format!("group={ada}"),
        format!("directory={}&group={sales}", other.id),
    ] {
        let answer = app.api.get(&format!("/directory_users?{query}"));
        api_error(&answer, 404, "entity_not_found");
    }
}

fn lists_need_a_directory_or_a_group(app: &TestApp) {
    for (query, field) in [
        ("/directory_users", "directory"),
        ("/directory_users?directory=", "directory"),
        ("/directory_users?idp_id=1", "idp_id"),
        ("/directory_users?email=ada@example.com", "email"),
        ("/directory_users?group=directory_group_1&email=ada@example.com", "email"),
        ("/directory_groups", "directory"),
    ] {
        let answer = app.api.get(query);
        assert_invalid(&answer, field);
        assert_eq!(answer.body["errors"][0]["code"], "invalid", "{}", answer.text);
    }
}

fn hidden_users_are_hidden_and_departed_ones_shown(app: &TestApp) {
    let directory = app.directory.id.as_str();
    let list = |query: &str| {
        each(app.api.get(&format!("/directory_users?directory={directory}{query}")), "id")
    };
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let mut bob = user("bob@example.com");
    bob["externalId"] = json!("b1");
    bob["emails"] = json!([{"value": "Robert@example.com", "primary": true}]);
    let bob = app.scim.post("/Users", bob).expect(201).id();
    let sales = app.scim.post("/Groups", group("Sales", &[&ada, &bob])).expect(201).id();
    app.settings(&app.directory, json!({"inactive_users": "delete"}));
    let change = patch(json!([{"op": "replace", "path": "active", "value": false}]));
    app.scim.patch(&format!("/Users/{bob}"), change).expect(200);
    assert_eq!(list(""), [ada.as_str()]);
    assert_eq!(each(app.api.get(&format!("/directory_users?group={sales}")), "id"), [ada.as_str()]);
    for query in ["&idp_id=b1", "&email=robert@example.com"] {
        assert_eq!(list(query), Vec::<String>::new(), "{query}");
    }
    api_error(&app.api.get(&format!("/directory_users/{bob}")), 404, "entity_not_found");
    api_error(&app.api.get(&format!("/directory_groups?user={bob}")), 404, "entity_not_found");

    app.settings(&app.directory, json!({"delete": "deactivate"}));
    assert_eq!(list(""), [bob.as_str(), &ada]);
    app.scim.delete(&format!("/Users/{bob}")).expect(204);
    for query in ["", "&idp_id=b1", "&email=ROBERT@example.com", "&email=bob@example.com"] {
        let expected: &[&str] = match query {
            "" => &[&bob, &ada],
            "&email=bob@example.com" => &[],
            _ => &[&bob],
        };
        assert_eq!(list(query), expected, "{query}");
    }
    let shown = app.api.get(&format!("/directory_users/{bob}")).expect(200).body;
    assert_eq!((&shown["state"], &shown["groups"]), (&json!("inactive"), &json!([])));
    assert_eq!(each(app.api.get(&format!("/directory_groups?user={bob}")), "id"), [""; 0]);
    // Both kinds come in one order, page by page.
    assert_eq!(list("&limit=1"), [bob.as_str()]);
    assert_eq!(list(&format!("&limit=1&after={bob}")), [ada.as_str()]);
    assert_eq!(list(&format!("&order=asc&after={ada}")), [bob.as_str()]);
}

fn groups_are_direct_ones(app: &TestApp) {
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let inner = app.scim.post("/Groups", group("Inner", &[&ada])).expect(201).id();
    let outer = app.scim.post("/Groups", group("Outer", &[&inner])).expect(201).id();
    let shown = app.api.get(&format!("/directory_users/{ada}")).expect(200).body;
    let groups: Vec<&Value> =
        shown["groups"].as_array().expect("a list").iter().map(|group| &group["id"]).collect();
    assert_eq!(groups, [&json!(inner)]);
    assert_eq!(each(app.api.get(&format!("/directory_users?group={outer}")), "id"), [""; 0]);
    assert_eq!(each(app.api.get(&format!("/directory_groups?user={ada}")), "id"), [inner.as_str()]);
}
