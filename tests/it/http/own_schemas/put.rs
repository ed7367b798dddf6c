//! What may be put, and what it makes.

use serde_json::{Value, json};

use super::{BADGE, DEVICE, TEAM, badge, devices, path_of, put, read, user_with};
use crate::http::{USER, api_error, create};
use crate::on_both_databases;
use crate::support::{ENTERPRISE, TestApp, group, patch};

on_both_databases![
    directory_has_no_schemas_at_first,
    document_is_read_back_as_it_was_put,
    user_and_group_get_extensions,
    faulty_documents_are_refused_with_every_fault,
    endpoints_that_collide_are_refused,
    documents_that_are_too_large_are_refused,
    only_those_who_may_manage_may_put,
    type_with_resources_cannot_go,
    type_without_resources_can_go,
    endpoint_and_description_may_change,
];

fn directory_has_no_schemas_at_first(app: &TestApp) {
    assert_eq!(read(app), json!({"schemas": [], "resource_types": []}));
    let put = put(app, json!({})).expect(200);
    assert_eq!(put.body, json!({"schemas": [], "resource_types": []}));
}

fn document_is_read_back_as_it_was_put(app: &TestApp) {
    let mut document = badge(json!([{"name": "number", "indexed": true, "type": "integer"}]));
    document["schemas"][0]["schemas"] = json!(["urn:ietf:params:scim:schemas:core:2.0:Schema"]);
    document["schemas"][0]["meta"] = json!({"resourceType": "Schema"});
    let answer = put(app, document.clone()).expect(200);
    assert_eq!(answer.body, document);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(read(app), document);
    assert_eq!(put(app, document.clone()).expect(200).body, document);
    assert_eq!(put(app, json!({})).expect(200).body["schemas"], json!([]));
}

fn user_and_group_get_extensions(app: &TestApp) {
    let document = json!({
        "schemas": [
            {"id": BADGE, "attributes": [{"name": "number", "type": "integer"}, {"name": "title"}]},
            {"id": TEAM, "attributes": [{"name": "cost", "type": "decimal"}]},
        ],
        "resource_types": [
            {"name": "User", "schemaExtensions": [{"schema": BADGE}]},
            {"name": "Group", "schemaExtensions": [{"schema": TEAM}]},
        ],
    });
    put(app, document).expect(200);
    let types = app.scim.get("/ResourceTypes").expect(200);
    assert_eq!(types.total(), 2);
    assert_eq!(
        types.body["Resources"][0]["schemaExtensions"],
        json!([{"schema": ENTERPRISE, "required": false}, {"schema": BADGE, "required": false}])
    );
    assert_eq!(
        types.body["Resources"][1]["schemaExtensions"],
        json!([{"schema": TEAM, "required": false}])
    );
    let sent = user_with(
        "ada",
        json!({
            "title": "Dr", ENTERPRISE: {"department": "R&D"}, BADGE: {"number": 7, "title": "B"},
        }),
    );
    let ada = app.scim.post("/Users", sent).expect(201);
    assert_eq!(ada.body["schemas"], json!([USER, ENTERPRISE, BADGE]));
    assert_eq!(ada.body[BADGE], json!({"number": 7, "title": "B"}));
    create(&app.scim, "/Users", user_with("ben", json!({})));
    for (filter, total) in [
        (format!("{BADGE}:number eq 7"), 1),
        ("number gt 6".to_owned(), 1),
        (format!("{BADGE}:title eq \"b\""), 1),
        // A name without a URN is the one of User.
        ("title eq \"b\"".to_owned(), 0),
        (format!("not ({BADGE} pr)"), 1),
    ] {
        assert_eq!(app.scim.filter("/Users", &filter).total(), total, "{filter}");
    }
    let mut team = group("Staff", &[&ada.id()]);
    team[TEAM] = json!({"cost": 1.5});
    let team = app.scim.post("/Groups", team).expect(201);
    assert_eq!(team.body[TEAM], json!({"cost": 1.5}));
    let operations = json!([{"op": "replace", "path": format!("{TEAM}:cost"), "value": 2}]);
    let path = format!("/Groups/{}", team.id());
    let answer = app.scim.patch(&path, patch(operations)).expect(200);
    assert_eq!(answer.body[TEAM], json!({"cost": 2}));
    assert_eq!(answer.body["members"][0]["value"], ada.id());
    // The app is told what was sent.
    let (_, data) = app.events(&app.directory).into_iter().nth(2).expect("an event");
    assert_eq!(data["raw_attributes"][BADGE], json!({"number": 7, "title": "B"}));
}

fn faulty_documents_are_refused_with_every_fault(app: &TestApp) {
    let answer = put(app, devices(json!([{"name": "1"}, {"name": "a", "indexed": "yes"}])));
    let message = api_error(&answer, 422, "invalid_schemas");
    let field = "schemas[0].attributes[1].indexed";
    let sentence = "does not fit: invalid type: string \"yes\", expected a boolean.";
    assert_eq!(message, format!("The schemas have 1 faults; the first: {field} {sentence}"));
    assert_eq!(
        answer.body["errors"],
        json!([{"field": field, "code": "invalid", "message": sentence}])
    );

    let mut document = devices(json!([{"name": "a"}, {"name": "A"}, {"name": "id"}]));
    document["resource_types"][0]["endpoint"] = json!("/Me");
    let answer = put(app, document);
    api_error(&answer, 422, "invalid_schemas");
    let fields: Vec<&Value> =
        answer.body["errors"].as_array().expect("a list").iter().map(|e| &e["field"]).collect();
    assert_eq!(
        fields,
        [
            "schemas[0].attributes[1].name",
            "schemas[0].attributes[2].name",
            "resource_types[0].endpoint",
        ]
    );
    let answer = put(app, json!({"attributes": []}));
    api_error(&answer, 422, "invalid_schemas");
    assert_eq!(answer.body["errors"][0]["field"], "attributes");
    assert_eq!(read(app), json!({"schemas": [], "resource_types": []}));
    app.scim.get("/Devices").expect_scim_error(404, None);

    let answer = app.api.send("PUT", &path_of(&app.directory.id), &[], Some("[]".into()));
    assert_eq!(answer.status, 400, "{}", answer.text);
    let answer = put(app, devices(json!([{"name": "a", "description": "\0"}])));
    api_error(&answer, 422, "invalid_request_parameters");
}

fn endpoints_that_collide_are_refused(app: &TestApp) {
    for endpoint in [
        "/Me",
        "/Bulk",
        "/.search",
        "/Schemas",
        "/ResourceTypes",
        "/ServiceProviderConfig",
        "/Users",
        "/groups",
        "/Roles",
        "/Entitlements",
        "/A1ARZ3NDEKTSV4RRFFQ69G5FAV",
    ] {
        let mut document = devices(json!([{"name": "a"}]));
        document["resource_types"][0]["endpoint"] = json!(endpoint);
        let answer = put(app, document);
        api_error(&answer, 422, "invalid_schemas");
        assert_eq!(answer.body["errors"][0]["field"], "resource_types[0].endpoint", "{endpoint}");
        let message = answer.body["errors"][0]["message"].as_str().expect("text");
        assert!(message.starts_with(&format!("\"{endpoint}\" ")), "{message}");
    }
    // Almost the shape of a directory's key is an endpoint.
    let mut document = devices(json!([{"name": "a"}]));
    document["resource_types"][0]["endpoint"] = json!("/A1ARZ3NDEKTSV4RRFFQ69G5FA");
    put(app, document).expect(200);
    assert_eq!(app.scim.get("/a1arz3ndektsv4rrffq69g5fa").total(), 0);
}

fn documents_that_are_too_large_are_refused(app: &TestApp) {
    let large = |bytes: usize| devices(json!([{"name": "a", "description": "x".repeat(bytes)}]));
    put(app, large(250 * 1024)).expect(200);
    let answer = put(app, large(257 * 1024));
    let message = api_error(&answer, 413, "payload_too_large");
    assert!(message.ends_with("at most 262144 are allowed."), "{message}");
    assert_eq!(put(app, large(1024 * 1024)).status, 413);
    assert_eq!(read(app), large(250 * 1024));
}

fn only_those_who_may_manage_may_put(app: &TestApp) {
    let path = path_of(&app.directory.id);
    app.api.with_bearer(None).get(&path).expect(401);
    app.api.with_bearer(Some(&app.directory.token)).put(&path, json!({})).expect(401);
    let key = |body: Value| {
        let made = app.api.post("/api/v1/api_keys", body).expect(201);
        app.api.with_bearer(Some(made.body["secret"].as_str().expect("a secret")))
    };
    let reader = key(json!({"name": "r", "scopes": ["read"]}));
    api_error(&reader.put(&path, json!({})), 403, "forbidden");
    let other = app.api.post("/api/v1/organizations", json!({"name": "Other"})).expect(201).id();
    let stranger = key(json!({"name": "s", "scopes": ["manage"], "organization_ids": [other]}));
    api_error(&stranger.get(&path), 404, "entity_not_found");
    api_error(&stranger.put(&path, json!({})), 404, "entity_not_found");
    api_error(&app.api.get("/api/v1/directories/nothing/schemas"), 404, "entity_not_found");
    let answer = app.api.post(&path, json!({}));
    api_error(&answer, 405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET, PUT"));
}

fn type_with_resources_cannot_go(app: &TestApp) {
    put(app, devices(json!([{"name": "a"}]))).expect(200);
    let id = create(&app.scim, "/Devices", json!({"a": "1"}));
    let mut renamed = devices(json!([{"name": "a"}]));
    renamed["resource_types"][0]["name"] = json!("Gadget");
    // In another letter case it is another name: resources are stored with theirs.
    let mut respelled = devices(json!([{"name": "a"}]));
    respelled["resource_types"][0]["name"] = json!("DEVICE");
    for document in [json!({}), badge(json!([{"name": "a"}])), renamed, respelled] {
        let message = api_error(&put(app, document), 409, "resource_type_in_use");
        assert_eq!(message, "The resource type \"Device\" has 1 resources; delete them before it.");
    }
    assert_eq!(read(app), devices(json!([{"name": "a"}])));
    assert_eq!(app.scim.get(&format!("/Devices/{id}")).expect(200).body["a"], "1");
    app.scim.delete(&format!("/Devices/{id}")).expect(204);
    put(app, json!({})).expect(200);
}

fn type_without_resources_can_go(app: &TestApp) {
    put(app, devices(json!([{"name": "a"}]))).expect(200);
    assert_eq!(app.scim.get("/ResourceTypes").total(), 3);
    assert_eq!(app.scim.get("/Schemas").total(), 4);
    put(app, json!({})).expect(200);
    assert_eq!(app.scim.get("/ResourceTypes").total(), 2);
    assert_eq!(app.scim.get("/Schemas").total(), 3);
    app.scim.get(&format!("/Schemas/{DEVICE}")).expect_scim_error(404, None);
    app.scim.get("/Devices").expect_scim_error(404, None);
}

fn endpoint_and_description_may_change(app: &TestApp) {
    put(app, devices(json!([{"name": "a"}]))).expect(200);
    let id = create(&app.scim, "/Devices", json!({"a": "1"}));
    let mut document = devices(json!([{"name": "a", "description": "New"}]));
    document["resource_types"][0]["endpoint"] = json!("/Gadgets");
    document["resource_types"][0]["description"] = json!("What we have");
    put(app, document).expect(200);
    app.scim.get("/Devices").expect_scim_error(404, None);
    let read = app.scim.get(&format!("/Gadgets/{id}")).expect(200);
    assert_eq!(read.header("etag"), Some("W/\"1\""));
    assert_eq!(read.body["meta"]["location"], format!("{}/Gadgets/{id}", app.directory.base_url));
    let shown = app.scim.get("/ResourceTypes/Device").expect(200);
    assert_eq!(shown.body["description"], "What we have");
}
