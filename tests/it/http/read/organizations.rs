//! `/organizations`.

use std::time::Duration;

use serde_json::json;

use super::super::{NOW, api_error, assert_invalid};
use super::{each, key};
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    organization_is_made_with_domains_and_metadata,
    organization_is_changed_member_by_member,
    organizations_are_found_by_name_and_domain,
    wrong_organizations_are_named,
    organization_with_directories_stays,
    domains_are_told_with_a_new_directory,
    domains_without_a_state_keep_theirs,
    limited_key_does_not_verify_domains,
];

fn organization_is_made_with_domains_and_metadata(app: &TestApp) {
    let body = json!({
        "name": "Foo Corp",
        "domain_data": [
            {"domain": "Foo-Corp.com", "state": "verified"},
            {"domain": "foo.example", "state": "pending"},
        ],
        "external_id": "cust/1",
        "metadata": {"tier": "gold"},
        "allow_profiles_outside_organization": true,
    });
    let made = app.api.post("/organizations", body).expect(201);
    let domain = |n: usize, name: &str, state: &str| {
        json!({
            "object": "organization_domain",
            "id": made.body["domains"][n]["id"],
            "organization_id": made.id(),
            "domain": name,
            "state": state,
            "created_at": NOW,
            "updated_at": NOW,
        })
    };
    let expected = json!({
        "object": "organization",
        "id": made.id(),
        "name": "Foo Corp",
        "domains": [domain(0, "foo-corp.com", "verified"), domain(1, "foo.example", "pending")],
        "metadata": {"tier": "gold"},
        "external_id": "cust/1",
        "created_at": NOW,
        "updated_at": NOW,
    });
    assert_eq!(made.body, expected);
    let id = made.body["domains"][0]["id"].as_str().expect("an id");
    assert!(id.starts_with("org_domain_"), "{id}");
    for path in
        [format!("/organizations/{}", made.id()), "/organizations/external_id/cust%2F1".into()]
    {
        assert_eq!(app.api.get(&path).expect(200).body, expected, "{path}");
    }
    let plain = app.api.post("/organizations", json!({"name": "Bare"})).expect(201);
    assert_eq!(plain.body["domains"], json!([]));
    assert_eq!(plain.body["metadata"], json!({}));
    assert_eq!(plain.body.get("external_id"), Some(&json!(null)));
    // Both APIs have the same organizations.
    let path = format!("/api/v1/organizations/{}", made.id());
    assert_eq!(app.api.get(&path).expect(200).body["external_id"], "cust/1");
}

fn organization_is_changed_member_by_member(app: &TestApp) {
    let body = json!({
        "name": "Foo",
        "domain_data": [{"domain": "a.example"}, {"domain": "b.example", "state": "verified"}],
        "external_id": "1",
        "metadata": {"a": "1", "b": "2"},
    });
    let made = app.api.post("/organizations", body).expect(201);
    let path = format!("/organizations/{}", made.id());
    let put = |body| app.api.put(&path, body).expect(200).body;
    let same = put(json!({}));
    assert_eq!(same, made.body);
    let changed = put(json!({"name": "Bar", "metadata": {"a": null, "c": "3"}}));
    assert_eq!(changed["name"], "Bar");
    assert_eq!(changed["metadata"], json!({"b": "2", "c": "3"}));
    assert_eq!(changed["external_id"], "1");
    app.clock.advance(Duration::from_millis(1));
    let domains = json!([
        {"domain": "a.example", "state": "verified"}, {"domain": "c.example"},
    ]);
    let changed = put(json!({"domain_data": domains, "external_id": null, "metadata": null}));
    assert_eq!(changed["metadata"], json!({}));
    assert_eq!(changed["external_id"], json!(null));
    let shown = |n: usize, member: &str| changed["domains"][n][member].clone();
    assert_eq!(shown(0, "id"), made.body["domains"][0]["id"], "a domain that stays keeps its id");
    assert_eq!((shown(0, "domain"), shown(0, "state")), (json!("a.example"), json!("verified")));
    assert_eq!((shown(1, "domain"), shown(1, "state")), (json!("c.example"), json!("pending")));
    assert_eq!(changed["domains"].as_array().map(Vec::len), Some(2));
    app.api.delete(&path).expect(204);
    api_error(&app.api.get(&path), 404, "entity_not_found");
    api_error(&app.api.put(&path, json!({"name": "x"})), 404, "entity_not_found");
    api_error(&app.api.delete(&path), 404, "entity_not_found");
}

fn organizations_are_found_by_name_and_domain(app: &TestApp) {
    let make = |name: &str, domain: &str| {
        let body = json!({"name": name, "domain_data": [{"domain": domain}]});
        app.api.post("/organizations", body).expect(201).id()
    };
    let (one, two) = (make("Alpha Ltd", "a.example"), make("Beta Ltd", "b.example"));
    for (query, expected) in [
        ("domains=a.example", vec![&one]),
        ("domains=A.example,b.example", vec![&two, &one]),
        ("domains=a.example&domains=b.example&order=asc", vec![&one, &two]),
        ("domains%5B%5D=b.example", vec![&two]),
        ("domains=c.example", vec![]),
        ("search=ltd", vec![&two, &one]),
        ("search=ALPHA&domains=a.example,b.example", vec![&one]),
    ] {
        let ids = each(app.api.get(&format!("/organizations?{query}")), "id");
        assert_eq!(ids, expected.into_iter().cloned().collect::<Vec<_>>(), "{query}");
    }
    let limited = key(app, &["read"], Some(&[&one]));
    assert_eq!(
        each(limited.get("/organizations?domains=a.example,b.example"), "id"),
        [one.as_str()]
    );
}

fn wrong_organizations_are_named(app: &TestApp) {
    for (body, field) in [
        (json!({"name": " "}), "name"),
        (json!({"name": 1}), "name"),
        (json!({"name": "A", "external_id": ""}), "external_id"),
        (json!({"name": "A", "domain_data": [{"domain": "https://a.example"}]}), "domain_data"),
        (
            json!({"name": "A", "domain_data": [{"domain": "a.example", "state": "failed"}]}),
            "domain_data[0].state",
        ),
        (json!({"name": "A", "domains": ["a b.example"]}), "domains"),
        (json!({"name": "A", "metadata": {"a": 1}}), "metadata.a"),
        (json!({"name": "A", "metadata": []}), "metadata"),
        (json!({"name": "\u{0}"}), "name"),
        (json!({"name": "A", "domains": vec!["a.example"; 101]}), "domains"),
        (json!({"name": "A", "domain_data": vec![json!({"domain": ""}); 101]}), "domain_data"),
    ] {
        assert_invalid(&app.api.post("/organizations", body), field);
    }
    api_error(&app.api.post("/organizations", json!({})), 422, "invalid_request_parameters");
    let one = json!({"name": "A", "external_id": "taken"});
    app.api.post("/organizations", one.clone()).expect(201);
    api_error(&app.api.post("/organizations", one), 409, "external_id_taken");
    let text = app.api.send(
        "POST",
        "/organizations",
        &[("content-type", "text/plain")],
        Some("{}".into()),
    );
    api_error(&text, 415, "unsupported_media_type");
    let limited = key(app, &["read", "manage"], Some(&[&app.directory.organization_id]));
    api_error(&limited.post("/organizations", json!({"name": "A"})), 403, "forbidden");
    let path = format!("/organizations/{}", app.directory.organization_id);
    api_error(&limited.put(&path, json!({"external_id": "x"})), 403, "forbidden");
    limited.put(&path, json!({"name": "Renamed"})).expect(200);
    api_error(&limited.get("/organizations/external_id/taken"), 404, "entity_not_found");
}

fn organization_with_directories_stays(app: &TestApp) {
    let path = format!("/organizations/{}", app.directory.organization_id);
    app.api.put(&path, json!({"domain_data": [{"domain": "a.example"}]})).expect(200);
    api_error(&app.api.delete(&path), 409, "organization_has_directories");
    assert_eq!(app.api.get(&path).expect(200).body["domains"][0]["domain"], "a.example");
}

fn domains_are_told_with_a_new_directory(app: &TestApp) {
    let body = json!({"name": "A", "domain_data": [{"domain": "a.example", "state": "verified"}]});
    let made = app.api.post("/organizations", body).expect(201);
    let body = json!({"organization_id": made.id(), "name": "D", "kind": "scim.okta"});
    let directory = app.api.post("/api/v1/directories", body).expect(201);
    let mut handle = app.directory.clone();
    handle.id = directory.id();
    let (name, told) = app.events(&handle).into_iter().next().expect("an event");
    assert_eq!(name, "dsync.activated");
    let domain = json!({
        "object": "organization_domain",
        "id": made.body["domains"][0]["id"],
        "domain": "a.example",
    });
    assert_eq!(told["domains"], json!([domain]));
}

/// (name, state) of each domain, by name: those of one moment have no order.
fn states(organization: &serde_json::Value) -> Vec<(&str, &str)> {
    let domains = organization["domains"].as_array().expect("a list").iter();
    let mut states: Vec<(&str, &str)> = domains
        .map(|domain| {
            let member = |name: &str| domain[name].as_str().expect("text");
            (member("domain"), member("state"))
        })
        .collect();
    states.sort_unstable();
    states
}

fn domains_without_a_state_keep_theirs(app: &TestApp) {
    let body = json!({"name": "A", "domain_data": [
        {"domain": "a.example", "state": "verified"}, {"domain": "b.example"},
    ]});
    let made = app.api.post("/organizations", body).expect(201);
    let path = format!("/organizations/{}", made.id());
    for change in [
        json!({"domains": ["a.example", "B.example"]}),
        json!({"domain_data": [{"domain": "a.example"}, {"domain": "b.example"}]}),
    ] {
        let put = app.api.put(&path, change).expect(200).body;
        assert_eq!(states(&put), [("a.example", "verified"), ("b.example", "pending")]);
        assert_eq!(put["domains"], made.body["domains"]);
    }
    let put = app.api.put(&path, json!({"domains": ["a.example", "c.example"]})).expect(200).body;
    assert_eq!(states(&put), [("a.example", "verified"), ("c.example", "pending")]);
    // What is said is done.
    let pending = json!({"domain_data": [{"domain": "a.example", "state": "pending"}]});
    assert_eq!(states(&app.api.put(&path, pending).expect(200).body), [("a.example", "pending")]);
}

fn limited_key_does_not_verify_domains(app: &TestApp) {
    let path = format!("/organizations/{}", app.directory.organization_id);
    let limited = key(app, &["read", "manage"], Some(&[&app.directory.organization_id]));
    let all = |name: &str| {
        json!({"domain_data": [{"domain": "a.example", "state": "verified"},
            {"domain": name, "state": "verified"}]})
    };
    let one = json!({"domain_data": [{"domain": "a.example", "state": "verified"}]});
    for change in [one.clone(), all("b.example")] {
        let message = api_error(&limited.put(&path, change), 403, "forbidden");
        assert!(message.contains("a.example"), "{message}");
    }
    assert_eq!(app.api.get(&path).expect(200).body["domains"], json!([]), "nothing is stored");
    app.api.put(&path, one.clone()).expect(200);
    // What is verified may be said again, with new ones that are not.
    limited.put(&path, one).expect(200);
    api_error(&limited.put(&path, all("b.example")), 403, "forbidden");
    let with = json!({"domain_data": [{"domain": "a.example", "state": "verified"},
        {"domain": "b.example", "state": "pending"}], "name": "Renamed"});
    let put = limited.put(&path, with).expect(200).body;
    assert_eq!(states(&put), [("a.example", "verified"), ("b.example", "pending")]);
    api_error(&limited.put(&path, all("b.example")), 403, "forbidden");
    // Nor by taking it away and naming it again.
    limited.put(&path, json!({"domains": []})).expect(200);
    let put = limited.put(&path, json!({"domains": ["a.example"]})).expect(200).body;
    assert_eq!(states(&put), [("a.example", "pending")]);
}
