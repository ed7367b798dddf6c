//! One directory's schemas never show in another's.

use serde_json::{Value, json};

use super::{BADGE, DEVICE, TEAM, badge, devices, path_of, put, read, user_with};
use crate::http::create;
use crate::on_both_databases;
use crate::support::{Client, TestApp};

on_both_databases![
    schemas_of_one_directory_are_unknown_in_another,
    same_names_mean_different_things_in_different_directories,
    directory_with_schemas_is_purged_when_it_is_deleted,
];

fn schemas_of_one_directory_are_unknown_in_another(app: &TestApp) {
    let (other, scim) = app.directory("scim.generic");
    let discovery = |scim: &Client| -> Vec<String> {
        ["/Schemas", "/ResourceTypes"].map(|path| scim.get(path).expect(200).text).to_vec()
    };
    let before = discovery(&scim);
    let mut document = badge(json!([{"name": "number", "type": "integer", "indexed": true}]));
    document["schemas"]
        .as_array_mut()
        .expect("a list")
        .push(json!({"id": DEVICE, "attributes": [{"name": "serial", "uniqueness": "server"}]}));
    document["resource_types"]
        .as_array_mut()
        .expect("a list")
        .push(json!({"name": "Device", "endpoint": "/Devices", "schema": DEVICE}));
    put(app, document.clone()).expect(200);
    assert_eq!(discovery(&scim), before);
    assert_eq!(
        app.api.get(&path_of(&other.id)).expect(200).body,
        json!({"schemas": [], "resource_types": []})
    );
    scim.get(&format!("/Schemas/{BADGE}")).expect_scim_error(404, None);
    scim.get("/ResourceTypes/Device").expect_scim_error(404, None);
    scim.get("/Devices").expect_scim_error(404, None);
    scim.post("/Devices", json!({"serial": "1"})).expect_scim_error(404, None);
    let filter = format!("{BADGE}:number eq 7");
    scim.filter("/Users", &filter).expect_scim_error(400, Some("invalidFilter"));

    let sent = user_with("ada", json!({BADGE: {"number": 7}}));
    let mine = app.scim.post("/Users", sent.clone()).expect(201);
    assert_eq!(mine.body[BADGE], json!({"number": 7}));
    let theirs = scim.post("/Users", sent).expect(201);
    assert!(!theirs.text.contains(BADGE), "{}", theirs.text);
    let device = create(&app.scim, "/Devices", json!({"serial": "1"}));
    scim.get(&format!("/Devices/{device}")).expect_scim_error(404, None);
    scim.get(&format!("/Users/{device}")).expect_scim_error(404, None);
    let projected = scim.get(&format!("/Users?attributes={BADGE}:number")).expect(200);
    assert!(!projected.text.contains("number"), "{}", projected.text);
    // A token of the one opens the other as little as before.
    let path = app.directory.base_url.replace(&app.directory.external_key, &other.external_key);
    let foreign = Client::new(&path, &app.directory.token, "application/scim+json");
    foreign.get("/Schemas").expect_scim_error(403, None);
}

fn same_names_mean_different_things_in_different_directories(app: &TestApp) {
    let (other, scim) = app.directory("scim.generic");
    let text = json!([{"name": "serial", "uniqueness": "server", "indexed": true}]);
    let number = json!([{"name": "serial", "type": "integer", "indexed": true}]);
    put(app, devices(text)).expect(200);
    let mut document = devices(number);
    document["resource_types"][0]["endpoint"] = json!("/Machines");
    app.api.put(&path_of(&other.id), document.clone()).expect(200);

    create(&app.scim, "/Devices", json!({"serial": "7"}));
    app.scim.post("/Devices", json!({"serial": "7"})).expect_scim_error(409, Some("uniqueness"));
    for _ in 0..2 {
        create(&scim, "/Machines", json!({"serial": 7}));
    }
    assert_eq!(app.scim.filter("/Devices", "serial eq \"7\"").total(), 1);
    assert_eq!(scim.filter("/Machines", "serial eq 7").total(), 2);
    scim.filter("/Machines", "serial eq \"7\"").expect_scim_error(400, Some("invalidFilter"));
    app.scim.get("/Machines").expect_scim_error(404, None);
    scim.get("/Devices").expect_scim_error(404, None);
    // Changing the one leaves the other alone.
    app.api.put(&path_of(&other.id), devices(json!([{"name": "serial"}]))).expect(200);
    assert_eq!(read(app)["schemas"][0]["attributes"][0]["uniqueness"], "server");
    assert_eq!(app.scim.filter("/Devices", "serial eq \"7\"").total(), 1);
}

fn directory_with_schemas_is_purged_when_it_is_deleted(app: &TestApp) {
    let mut document =
        devices(json!([{"name": "serial", "uniqueness": "server", "indexed": true}]));
    document["schemas"].as_array_mut().expect("a list").push(
        json!({"id": TEAM, "attributes": [{"name": "cost", "type": "integer", "indexed": true}]}),
    );
    document["resource_types"]
        .as_array_mut()
        .expect("a list")
        .push(json!({"name": "Group", "schemaExtensions": [{"schema": TEAM}]}));
    put(app, document).expect(200);
    create(&app.scim, "/Devices", json!({"serial": "7"}));
    create(&app.scim, "/Groups", json!({"displayName": "A", TEAM: {"cost": 1}}));
    let (_, other) = app.directory("scim.generic");
    create(&other, "/Users", json!({"userName": "ada"}));
    let tables =
        ["resource", "resource_attr", "resource_unique", "resource_count", "directory_schema"];
    let left = |table: &str| super::number(app, &format!("SELECT COUNT(*) FROM {table}"));
    assert!(tables.iter().all(|table| left(table) > 0));
    app.api.delete(&format!("/api/v1/directories/{}", app.directory.id)).expect(202);
    let service = app.service().clone();
    app.wait(async move { service.purge_deleted_directories().await }).expect("purged");
    let counts: Vec<(&str, i64)> = tables.map(|table| (table, left(table))).to_vec();
    let only_the_other = [
        ("resource", 1),
        ("resource_attr", 0),
        ("resource_unique", 0),
        ("resource_count", 1),
        ("directory_schema", 0),
    ];
    assert_eq!(counts, only_the_other);
    let gone: Value = app.api.get(&path_of(&app.directory.id)).expect(404).body;
    assert_eq!(gone["code"], "entity_not_found");
}
