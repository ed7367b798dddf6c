//! `/directory_users`.

use serde_json::{Value, json};

use super::super::{NOW, USER, api_error, assert_invalid};
use super::{data, each};
use crate::on_both_databases;
use crate::support::{ENTERPRISE, TestApp, encode, group, patch, user};

on_both_databases![
    user_has_every_member,
    user_is_the_object_of_its_events,
    users_are_found_by_group_idp_id_and_email,
    lists_need_a_directory_or_a_group,
    hidden_users_are_hidden_and_departed_ones_shown,
    groups_are_direct_ones,
    group_narrows_before_the_page_is_full,
    idp_id_is_found_in_every_form_of_its_letters,
    address_that_many_have_beside_another_is_looked_through_heavy,
    page_with_many_groups_ends_early_and_leads_on,
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

fn group_narrows_before_the_page_is_full(app: &TestApp) {
    let make = |name: &str| {
        let body = json!({"schemas": [USER], "userName": name, "externalId": "00u1",
            "emails": [{"value": "team@example.com", "primary": true}]});
        app.scim.post("/Users", body).expect(201).id()
    };
    let (ada, bob, cid) = (make("ada"), make("bob"), make("cid"));
    let (dan, eve) = (make("dan"), make("eve"));
    let sales = app.scim.post("/Groups", group("Sales", &[&ada, &eve])).expect(201).id();
    let middle = app.scim.post("/Groups", group("Middle", &[&cid])).expect(201).id();
    let directory = app.directory.id.as_str();
    for which in ["email=team@example.com", "idp_id=00u1", "email=TEAM@example.com&idp_id=00u1"] {
        for (query, expected) in [
            (format!("group={middle}&limit=1"), vec![&cid]),
            (format!("group={middle}&limit=1&order=asc"), vec![&cid]),
            (format!("group={sales}&limit=1"), vec![&eve]),
            (format!("group={sales}&limit=1&after={eve}"), vec![&ada]),
            (format!("group={sales}&limit=1&order=asc&after={ada}"), vec![&eve]),
            (format!("group={sales}&limit=1&after={ada}"), vec![]),
            ("limit=2".to_owned(), vec![&eve, &dan]),
            (format!("limit=2&after={dan}"), vec![&cid, &bob]),
            (format!("limit=2&before={cid}"), vec![&eve, &dan]),
        ] {
            let path = format!("/directory_users?directory={directory}&{which}&{query}");
            let expected: Vec<String> = expected.into_iter().cloned().collect();
            assert_eq!(each(app.api.get(&path), "id"), expected, "{path}");
        }
    }
    let first = format!("/directory_users?directory={directory}&idp_id=00u1&group={sales}&limit=1");
    let first = app.api.get(&first).expect(200);
    assert_eq!(first.body["list_metadata"], json!({"before": null, "after": eve}));
}

fn idp_id_is_found_in_every_form_of_its_letters(app: &TestApp) {
    let (composed, apart) = ("caf\u{e9}", "cafe\u{301}");
    app.settings(&app.directory, json!({"delete": "deactivate"}));
    for (name, stored) in [("ada", composed), ("bob", apart)] {
        let body = json!({"schemas": [USER], "userName": name, "externalId": stored});
        let id = app.scim.post("/Users", body).expect(201).id();
        let found = |asked: &str| {
            let (directory, asked) = (&app.directory.id, encode(asked));
            each(
                app.api.get(&format!("/directory_users?directory={directory}&idp_id={asked}")),
                "id",
            )
        };
        for asked in [composed, apart] {
            assert!(found(asked).contains(&id), "{stored:?} by {asked:?}");
        }
        app.scim.delete(&format!("/Users/{id}")).expect(204);
        for asked in [composed, apart] {
            assert!(found(asked).contains(&id), "{stored:?} by {asked:?} when departed");
        }
        assert_eq!(found("cafe"), [""; 0]);
    }
}

/// More users than are looked at beside other reads have the address, and few are shown with it.
fn address_that_many_have_beside_another_is_looked_through_heavy(app: &TestApp) {
    const USERS: usize = 1_100;
    let mut operations = Vec::new();
    for n in 0..USERS {
        let mut body = user(&format!("u{n}@example.com"));
        let shared = [3, 700, USERS - 1].contains(&n);
        body["emails"] = json!([
            {"value": format!("u{n}@example.com"), "primary": !shared, "type": "work"},
            {"value": "Shared@example.com", "primary": shared, "type": "other"},
        ]);
        operations.push(
            json!({"method": "POST", "path": "/Users", "bulkId": n.to_string(), "data": body}),
        );
    }
    let schema = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
    for chunk in operations.chunks(500) {
        app.scim.post("/Bulk", json!({"schemas": [schema], "Operations": chunk})).expect(200);
    }
    let id = |n: usize| {
        let filter = format!("userName eq \"u{n}@example.com\"");
        app.scim.filter("/Users", &filter).expect(200).ids().pop().expect("a user")
    };
    let (first, middle, last) = (id(3), id(700), id(USERS - 1));
    let sales = app.scim.post("/Groups", group("Sales", &[&id(5), &middle])).expect(201).id();
    let list = |query: &str| {
        let directory = &app.directory.id;
        let path =
            format!("/directory_users?directory={directory}&email=shared@example.com{query}");
        each(app.api.get(&path), "id")
    };
    for (query, expected) in [
        (String::new(), vec![&last, &middle, &first]),
        ("&limit=1&order=asc".to_owned(), vec![&first]),
        (format!("&limit=1&after={last}"), vec![&middle]),
        (format!("&limit=1&before={first}"), vec![&middle]),
        (format!("&after={first}"), vec![]),
        (format!("&limit=1&group={sales}"), vec![&middle]),
    ] {
        assert_eq!(list(&query), expected.into_iter().cloned().collect::<Vec<_>>(), "{query}");
    }
}

fn page_with_many_groups_ends_early_and_leads_on(app: &TestApp) {
    let mut users: Vec<String> = Vec::new();
    for n in 0..10 {
        users.push(app.scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201).id());
    }
    let members: Vec<&str> = users.iter().map(String::as_str).collect();
    // 60 kB of each of forty groups for every user, in what the group says beside the schema.
    for n in 0..40 {
        let mut body = group(&n.to_string(), &members);
        body["description"] = "x".repeat(60_000).into();
        app.scim.post("/Groups?attributes=id", body).expect(201);
    }
    let directory = &app.directory.id;
    for order in ["asc", "desc"] {
        let mut seen: Vec<String> = Vec::new();
        let mut pages = 0;
        let mut cursor = String::new();
        loop {
            let path = format!("/directory_users?directory={directory}&order={order}{cursor}");
            let page = app.api.get(&path).expect(200);
            assert!(page.text.len() < 9 * 1024 * 1024, "{} bytes", page.text.len());
            for object in page.body["data"].as_array().expect("a list") {
                assert_eq!(object["groups"].as_array().map(Vec::len), Some(40));
                seen.push(object["id"].as_str().expect("an id").to_owned());
            }
            pages += 1;
            match page.body["list_metadata"]["after"].as_str() {
                Some(after) => cursor = format!("&after={after}"),
                None => break,
            }
        }
        if order == "desc" {
            seen.reverse();
        }
        assert_eq!(seen, users, "{order}");
        assert!(pages >= 3, "{pages} pages");
    }
    // Backwards, the page is the one that ends at the cursor.
    let path = format!("/directory_users?directory={directory}&order=asc&before={}", users[9]);
    let page = app.api.get(&path).expect(200);
    let shown: Vec<&str> = page.body["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|object| object["id"].as_str().expect("an id"))
        .collect();
    assert!((1..9).contains(&shown.len()), "{}", shown.len());
    assert_eq!(shown, members[9 - shown.len()..9]);
    assert_eq!(page.body["list_metadata"]["before"], json!(shown[0]));
}
