//! What a client sends in bulk or on purpose ends in a 4xx, and no tenant meets another's remains.

use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{TestApp, group, patch, user};

on_both_databases![
    filter_with_very_many_terms_is_400,
    decoded_filter_never_holds_a_control_character,
    resource_that_is_too_large_is_refused_and_not_stored,
    long_external_id_of_an_organization_is_422,
    thousands_of_member_steps_are_one_change,
    unique_names_are_not_switched_on_over_duplicates,
    new_directory_has_nothing_of_a_deleted_one,
];

fn filter_with_very_many_terms_is_400(app: &TestApp) {
    let filter = |terms: usize| vec!["id pr"; terms].join(" or ");
    app.scim.filter("/Users", &filter(200)).expect(200);
    let detail = app.scim.filter("/Users", &filter(1_100));
    let detail = detail.expect_scim_error(400, Some("invalidFilter"));
    assert!(detail.contains("1100") && detail.contains("200"), "{detail}");
}

fn decoded_filter_never_holds_a_control_character(app: &TestApp) {
    let (_, scim) = app.directory("scim.entra");
    scim.post("/Users", user("a+b@example.com")).expect(201);
    let twice = "/Users?filter=userName%20eq%20%22a%252Bb%40example.com%22";
    assert_eq!(scim.get(twice).total(), 1);
    assert_eq!(scim.get("/Users?filter=userName%20eq%20%22a%2500%22").total(), 0);
    assert_eq!(app.scim.get(twice).total(), 0, "only where the profile says so");
}

fn resource_that_is_too_large_is_refused_and_not_stored(app: &TestApp) {
    let mut body = user("ada@example.com");
    let emails: Vec<Value> = (0..1_001).map(|n| json!({"value": format!("{n}@a.b")})).collect();
    body["emails"] = emails.into();
    let detail = app.scim.post("/Users", body.clone());
    let detail = detail.expect_scim_error(400, Some("invalidValue"));
    assert!(detail.contains("1001") && detail.contains("1000"), "{detail}");
    body["emails"] = json!([]);
    body["title"] = "x".repeat(1_100_000).into();
    app.scim.post("/Users", body).expect_scim_error(413, None);
    assert_eq!(app.scim.get("/Users?count=0").total(), 0);
    assert!(app.event_names(&app.directory).is_empty());
}

fn long_external_id_of_an_organization_is_422(app: &TestApp) {
    for external_id in ["".to_owned(), "x".repeat(513), "a\tb".to_owned()] {
        let body = json!({"name": "A", "external_id": external_id});
        let answer = app.api.post("/api/v1/organizations", body).expect(422);
        assert_eq!(answer.body["errors"][0]["field"], "external_id");
    }
}

fn thousands_of_member_steps_are_one_change(app: &TestApp) {
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let path = format!("/Groups/{}", app.scim.post("/Groups", group("G", &[])).expect(201).id());
    let strangers: Vec<Value> = (0..100).map(|n| json!({"value": format!("nobody-{n}")})).collect();
    let mut operations =
        vec![json!({"op": "remove", "path": "members", "value": strangers}); 5_000];
    operations.push(json!({"op": "add", "path": "members", "value": [{"value": id}]}));
    let answer = app.scim.patch(&path, patch(operations.into())).expect(200);
    assert_eq!(answer.body["members"][0]["value"], id);
    assert_eq!(answer.header("etag"), Some("W/\"2\""));
}

fn unique_names_are_not_switched_on_over_duplicates(app: &TestApp) {
    let unique = |on: bool| {
        let body = json!({"settings": {"profile": {"group_display_name_unique": on}}});
        app.api.patch(&format!("/api/v1/directories/{}", app.directory.id), body)
    };
    app.scim.post("/Groups", group("Sales", &[])).expect(201);
    let second = app.scim.post("/Groups", group("SALES", &[])).expect(201).id();
    let refused = unique(true).expect(409);
    assert_eq!(refused.body["code"], "duplicate_group_names");
    assert!(refused.text.contains("sales"), "{}", refused.text);
    app.scim.delete(&format!("/Groups/{second}")).expect(204);
    unique(true).expect(200);
    app.scim.post("/Groups", group("sales", &[])).expect_scim_error(409, Some("uniqueness"));
    unique(false).expect(200);
    app.scim.post("/Groups", group("sales", &[])).expect(201);
}

fn new_directory_has_nothing_of_a_deleted_one(app: &TestApp) {
    let (old, scim) = app.directory("scim.okta");
    scim.post("/Users", user("ada@example.com")).expect(201);
    app.api.delete(&format!("/api/v1/directories/{}", old.id)).expect(202);
    let service = app.service().clone();
    app.wait(async move { service.purge_deleted_directories().await }).expect("purged");
    let (new, scim) = app.directory("scim.okta");
    assert_eq!(scim.get("/Users?count=0").total(), 0);
    assert!(app.event_names(&new).is_empty(), "events of the old directory stay its own");
    scim.post("/Users", user("ada@example.com")).expect(201);
    let service = app.service().clone();
    app.wait(async move { service.purge_deleted_directories().await }).expect("purged");
    assert_eq!(scim.get("/Users?count=0").total(), 1, "a second purge finds nothing");
}
