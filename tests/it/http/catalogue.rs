//! Roles and entitlements (draft-ietf-scim-roles-entitlements): put through the management API, read
//! over SCIM.

use serde_json::{Value, json};

use super::{NOW, api_error, assert_invalid, create, plain_user, texts};
use crate::on_both_databases;
use crate::support::{Answer, TestApp};

on_both_databases![
    list_is_put_as_a_whole_and_ids_stay_with_values,
    attributes_of_a_value,
    contained_by_follows_from_contains,
    lists_that_are_refused,
    nothing_is_served_while_a_list_is_empty,
    discovery_shows_what_there_is,
    values_are_read_over_scim,
    values_are_filtered_sorted_and_projected,
    values_are_not_written_over_scim,
    one_directory_is_not_shown_in_another,
    keys_that_may_not_manage_are_refused,
    own_schemas_and_lists_do_not_touch_each_other,
    deleted_directory_takes_its_lists_with_it,
    lists_put_at_once_hold_each_value_once,
];

const ROLE: &str = "urn:ietf:params:scim:schemas:core:2.0:Role";
const ENTITLEMENT: &str = "urn:ietf:params:scim:schemas:core:2.0:Entitlement";

fn path(app: &TestApp, list: &str) -> String {
    format!("/api/v1/directories/{}/{list}", app.directory.id)
}

fn put(app: &TestApp, list: &str, values: Value) -> Answer {
    app.api.put(&path(app, list), json!({"data": values}))
}

/// Puts values that have nothing but a name, and gives their ids.
fn put_values(app: &TestApp, list: &str, values: &[&str]) -> Vec<String> {
    let values = values.iter().map(|value| json!({"value": value}));
    members(&put(app, list, values.collect()).expect(200), "id")
}

fn members(answer: &Answer, member: &str) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let data = answer.body["data"].as_array().expect("a list").iter();
    data.map(|one| one[member].as_str().unwrap_or_default().to_owned()).collect()
}

fn list_is_put_as_a_whole_and_ids_stay_with_values(app: &TestApp) {
    for list in ["roles", "entitlements"] {
        assert_eq!(app.api.get(&path(app, list)).expect(200).body, json!({"data": []}));
        let first = put_values(app, list, &["a", "b", "c"]);
        let answer = app.api.get(&path(app, list)).expect(200);
        assert_eq!(members(&answer, "value"), ["a", "b", "c"]);
        assert_eq!(members(&answer, "id"), first);
        assert!(first.iter().all(|id| id.starts_with("directory_resource_")), "{first:?}");

        // What stays keeps its id and its place, what is new comes behind; letter case counts.
        let second = put_values(app, list, &["d", "c", "A", "a"]);
        let answer = app.api.get(&path(app, list)).expect(200);
        assert_eq!(members(&answer, "value"), ["a", "c", "d", "A"]);
        assert_eq!(members(&answer, "id"), second);
        assert_eq!(second[..2], [first[0].clone(), first[2].clone()]);

        // An answer can be sent back.
        let same = app.api.put(&path(app, list), answer.body.clone()).expect(200);
        assert_eq!(same.body, answer.body);
        assert_eq!(put_values(app, list, &[]), Vec::<String>::new());
        // A value that comes back is a new one.
        assert_ne!(put_values(app, list, &["a"]), first[..1]);
    }
    assert_eq!(app.event_names(&app.directory), Vec::<String>::new());
}

fn attributes_of_a_value(app: &TestApp) {
    let all = json!({
        "value": "admin",
        "display": "Administrator",
        "type": "direct",
        "primary": true,
        "supported": false,
        "limitedAssignmentsPermitted": true,
        "totalAssignmentsPermitted": 10,
        "totalAssignmentsUsed": 3,
    });
    let plain = json!([all, {"VALUE": "plain"}, {"value": "off", "SUPPORTED": false}]);
    let answer = put(app, "roles", plain).expect(200);
    let mut shown = answer.body["data"].clone();
    for one in shown.as_array_mut().expect("a list") {
        assert!(one.as_object_mut().expect("an object").remove("id").is_some());
    }
    let off = json!({"value": "off", "supported": false});
    assert_eq!(shown, json!([all, {"value": "plain", "supported": true}, off]));
    let admin = members(&answer, "id").remove(0);
    let served = app.scim.get(&format!("/Roles/{admin}")).expect(200);
    let location = format!("{}/Roles/{admin}", app.scim.base);
    let mut expected = all.clone();
    expected["schemas"] = json!([ROLE]);
    expected["id"] = admin.into();
    expected["meta"] = json!({
        "resourceType": "Role", "created": NOW, "lastModified": NOW, "location": location,
        "version": "W/\"1\"",
    });
    assert_eq!(served.body, expected);
}

fn contained_by_follows_from_contains(app: &TestApp) {
    let lists = json!([
        {"value": "owner", "contains": ["admin", "reader", "admin"]},
        {"value": "admin", "contains": ["reader"], "containedBy": ["nobody"]},
        {"value": "reader", "CONTAINEDBY": ["nobody"]},
        {"value": "other", "ContainedBy": ["owner"], "id": "chosen"},
    ]);
    let answer = put(app, "roles", lists).expect(200);
    let data = answer.body["data"].as_array().expect("a list");
    let told: Vec<Value> =
        data.iter().map(|one| json!([one["value"], one["contains"], one["containedBy"]])).collect();
    assert_eq!(
        told,
        [
            json!(["owner", ["admin", "reader"], null]),
            json!(["admin", ["reader"], ["owner"]]),
            json!(["reader", null, ["owner", "admin"]]),
            json!(["other", null, null]),
        ]
    );
    assert_ne!(data[3]["id"], "chosen");
    // The versions of those whose containers change move, the others stay.
    let ids = members(&answer, "id");
    let lists = json!([
        {"value": "owner", "contains": ["admin"]},
        {"value": "admin", "contains": ["reader"]},
        {"value": "reader"},
        {"value": "other"},
    ]);
    put(app, "roles", lists).expect(200);
    let versions: Vec<String> = ids
        .iter()
        .map(|id| {
            app.scim.get(&format!("/Roles/{id}")).expect(200).header("etag").map(String::from)
        })
        .map(|tag| tag.expect("a tag"))
        .collect();
    assert_eq!(versions, ["W/\"2\"", "W/\"1\"", "W/\"2\"", "W/\"1\""]);
    assert_eq!(app.scim.filter("/Roles", "containedBy eq \"owner\"").ids(), ids[1..2]);
}

fn lists_that_are_refused(app: &TestApp) {
    let kept = put_values(app, "roles", &["kept"]);
    let many: Vec<Value> = (0..1_001).map(|n| json!({"value": format!("v{n}")})).collect();
    let long = json!([{"value": "a", "display": "x".repeat(600)}]);
    for (values, field) in [
        (json!("all"), "data"),
        (json!({}), "data"),
        (Value::Null, "data"),
        (many.into(), "data"),
        (json!(["a"]), "data[0]"),
        (json!([{}]), "data[0].value"),
        (json!([{"value": "a"}, {"display": "b"}]), "data[1].value"),
        (json!([{"value": ""}]), "data[0].value"),
        (json!([{"value": null}]), "data[0].value"),
        (json!([{"value": 7}]), "data[0]"),
        (json!([{"value": "a"}, {"value": "b"}, {"value": "a"}]), "data[2].value"),
        (json!([{"value": "a", "contains": ["b"]}]), "data[0].contains"),
        (json!([{"value": "a", "contains": ["A"]}]), "data[0].contains"),
        (json!([{"value": "a", "contains": [7]}]), "data[0]"),
        (json!([{"value": "a", "supported": "often"}]), "data[0]"),
        (json!([{"value": "a", "totalAssignmentsPermitted": 1.5}]), "data[0]"),
        (json!([{"value": "a", "colour": "red"}]), "data[0]"),
        (json!([{"value": "a", "schemas": [ENTITLEMENT]}]), "data[0]"),
        (json!([{"value": "a", "Value": "b"}]), "data[0]"),
    ] {
        assert_invalid(&put(app, "roles", values), field);
    }
    put(app, "roles", long).expect(200);
    put_values(app, "roles", &["kept"]);
    let unknown = app.api.put(&path(app, "roles"), json!({"data": [], "more": 1}));
    assert_invalid(&unknown, "more");
    assert_invalid(&app.api.put(&path(app, "roles"), json!({})), "data");
    let answer = app.api.get(&path(app, "roles")).expect(200);
    assert_eq!(members(&answer, "value"), ["kept"]);
    assert_eq!(kept.len(), 1);
    let refused = app.api.post(&path(app, "roles"), json!({}));
    api_error(&refused, 405, "method_not_allowed");
    assert_eq!(refused.header("allow"), Some("GET, PUT"));
    let thousand: Vec<Value> = (0..1_000).map(|n| json!({"value": format!("v{n}")})).collect();
    let all = put(app, "roles", thousand.clone().into()).expect(200);
    assert_eq!(members(&all, "value").len(), 1_000);
    assert_eq!(put(app, "roles", thousand.into()).expect(200).body, all.body);
}

fn nothing_is_served_while_a_list_is_empty(app: &TestApp) {
    let hidden = |list: &str, block: Value| {
        let (endpoint, name, urn) = match list {
            "roles" => ("/Roles", "Role", ROLE),
            _ => ("/Entitlements", "Entitlement", ENTITLEMENT),
        };
        for path in [
            endpoint.to_owned(),
            format!("{endpoint}/1"),
            format!("/ResourceTypes/{name}"),
            format!("/Schemas/{urn}"),
        ] {
            app.scim.get(&path).expect_scim_error(404, None);
        }
        app.scim.post(&format!("{endpoint}/.search"), json!({})).expect_scim_error(404, None);
        app.scim.post(endpoint, json!({"value": "a"})).expect_scim_error(404, None);
        let types = app.scim.get("/ResourceTypes").expect(200);
        assert!(!types.text.contains(name), "{}", types.text);
        assert!(!app.scim.get("/Schemas").expect(200).text.contains(urn));
        let config = app.scim.get("/ServiceProviderConfig").expect(200);
        assert_eq!(config.body["RolesAndEntitlements"][list]["supported"], block);
        // No block at all while both are empty.
        let blocks = config.body.get("RolesAndEntitlements");
        assert_eq!(blocks.is_some(), !block.is_null(), "{blocks:?}");
    };
    hidden("roles", Value::Null);
    let role = put_values(app, "roles", &["a"]).remove(0);
    hidden("entitlements", false.into());
    let entitlement = put_values(app, "entitlements", &["a"]).remove(0);
    put_values(app, "roles", &[]);
    hidden("roles", false.into());
    app.scim.get(&format!("/Roles/{role}")).expect_scim_error(404, None);
    app.scim.get(&format!("/Entitlements/{entitlement}")).expect(200);
    put_values(app, "entitlements", &[]);
    hidden("entitlements", Value::Null);
    let anonymous = app.scim.with_bearer(None).get("/ServiceProviderConfig").expect(200);
    assert!(anonymous.body.get("RolesAndEntitlements").is_none());
}

fn discovery_shows_what_there_is(app: &TestApp) {
    put_values(app, "roles", &["a"]);
    let types = app.scim.get("/ResourceTypes").expect(200);
    assert_eq!(texts(&types, "name"), ["User", "Group", "Role"]);
    let role = app.scim.get("/ResourceTypes/role").expect(200);
    assert_eq!(role.body["endpoint"], "/Roles");
    assert_eq!(role.body["schema"], ROLE);
    let schema = app.scim.get(&format!("/Schemas/{ROLE}")).expect(200);
    let attributes = schema.body["attributes"].as_array().expect("a list");
    let names: Vec<&str> = attributes.iter().filter_map(|a| a["name"].as_str()).collect();
    assert_eq!(
        names,
        [
            "value",
            "display",
            "type",
            "primary",
            "supported",
            "limitedAssignmentsPermitted",
            "totalAssignmentsPermitted",
            "totalAssignmentsUsed",
            "containedBy",
            "contains",
        ]
    );
    assert!(attributes.iter().all(|attribute| attribute["mutability"] == "readOnly"));
    put_values(app, "entitlements", &["a"]);
    let types = app.scim.get("/ResourceTypes").expect(200);
    assert_eq!(texts(&types, "name"), ["User", "Group", "Role", "Entitlement"]);
    let config = app.scim.get("/ServiceProviderConfig").expect(200);
    let block = |several: &str| {
        json!({
            "supported": true, several: true, "primarySupported": true, "typeSupported": true,
        })
    };
    assert_eq!(
        config.body["RolesAndEntitlements"],
        json!({
            "roles": block("multipleRolesSupported"),
            "entitlements": block("multipleEntitlementsSupported"),
        })
    );
}

fn values_are_read_over_scim(app: &TestApp) {
    let roles = put_values(app, "roles", &["a", "b"]);
    let entitlements = put_values(app, "entitlements", &["a"]);
    create(&app.scim, "/Users", plain_user("ada@example.com"));
    let list = app.scim.get("/Roles").expect(200);
    assert_eq!((list.total(), list.ids()), (2, roles.clone()));
    let one = app.scim.get(&format!("/roles/{}", roles[1])).expect(200);
    assert_eq!(one.body["value"], "b");
    assert_eq!(one.header("etag"), Some("W/\"1\""));
    let path = format!("/Roles/{}", roles[1]);
    let headers = [("If-None-Match", "W/\"1\"")];
    let same = app.scim.send("GET", &path, &headers, None).expect(304);
    assert_eq!(same.text, "");
    assert_eq!(app.scim.send("HEAD", &path, &[], None).expect(200).text, "");
    // An id belongs to its endpoint.
    app.scim.get(&format!("/Entitlements/{}", roles[0])).expect_scim_error(404, None);
    app.scim.get(&format!("/Roles/{}", entitlements[0])).expect_scim_error(404, None);
    app.scim.get(&format!("/Users/{}", roles[0])).expect_scim_error(404, None);
    let search = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": "value eq \"a\"",
    });
    assert_eq!(app.scim.post("/Roles/.search", search.clone()).expect(200).ids(), roles[..1]);
    let mut both = vec![roles[0].clone(), entitlements[0].clone()];
    both.sort();
    for answer in [
        app.scim.post("/.search", search).expect(200),
        app.scim.get("/?filter=value%20eq%20%22a%22").expect(200),
    ] {
        let mut ids = answer.ids();
        ids.sort();
        assert_eq!(ids, both);
    }
    assert_eq!(app.scim.get("/").expect(200).total(), 4);
    let token = app.api.post(&self::path(app, "tokens"), json!({"scope": "read"})).expect(201);
    let reader = app.scim.with_bearer(token.body["secret"].as_str());
    assert_eq!(reader.get("/Roles").expect(200).total(), 2);
}

fn values_are_filtered_sorted_and_projected(app: &TestApp) {
    let values = json!([
        {"value": "b", "display": "Zoe", "totalAssignmentsPermitted": 5, "contains": ["c"]},
        {"value": "c", "display": "adam", "totalAssignmentsPermitted": 50, "type": "x"},
        {"value": "A", "display": "Max", "supported": false, "primary": true},
    ]);
    put(app, "entitlements", values).expect(200);
    for (filter, expected) in [
        ("value eq \"b\"", vec!["b"]),
        ("value eq \"a\"", vec![]),
        ("display eq \"ADAM\"", vec!["c"]),
        ("display co \"a\"", vec!["c", "A"]),
        ("supported eq false", vec!["A"]),
        ("primary eq true or type pr", vec!["c", "A"]),
        ("totalAssignmentsPermitted gt 5", vec!["c"]),
        ("contains eq \"c\"", vec!["b"]),
        ("not (containedBy pr)", vec!["b", "A"]),
        ("urn:ietf:params:scim:schemas:core:2.0:Entitlement:value sw \"b\" and id pr", vec!["b"]),
    ] {
        assert_eq!(texts(&app.scim.filter("/Entitlements", filter), "value"), expected, "{filter}");
    }
    app.scim.filter("/Entitlements", "value eq").expect_scim_error(400, Some("invalidFilter"));
    for (query, expected) in [
        ("sortBy=display", ["c", "A", "b"]),
        ("sortBy=display&sortOrder=descending", ["b", "A", "c"]),
        ("sortBy=value", ["A", "b", "c"]),
    ] {
        let answer = app.scim.get(&format!("/Entitlements?{query}"));
        assert_eq!(texts(&answer, "value"), expected, "{query}");
    }
    let page = app.scim.get("/Entitlements?startIndex=2&count=1").expect(200);
    assert_eq!((page.total(), texts(&page, "value")), (3, vec!["c".to_owned()]));
    let shown = app.scim.get("/Entitlements?attributes=value&count=1").expect(200);
    let one = shown.body["Resources"][0].as_object().expect("an object");
    let names: Vec<&str> = one.keys().map(String::as_str).collect();
    assert_eq!(names, ["schemas", "id", "value"]);
    let shown = app.scim.get("/Entitlements?excludedAttributes=display,meta&count=1").expect(200);
    let one = &shown.body["Resources"][0];
    assert!(one.get("display").is_none() && one.get("meta").is_none(), "{one}");
    assert_eq!(one["contains"], json!(["c"]));
}

fn values_are_not_written_over_scim(app: &TestApp) {
    let id = put_values(app, "roles", &["a"]).remove(0);
    let body = json!({"schemas": [ROLE], "value": "b"});
    let operations = json!([{"op": "replace", "path": "display", "value": "B"}]);
    let one = format!("/Roles/{id}");
    for (method, path, body) in [
        ("POST", "/Roles", Some(body.clone())),
        ("PUT", "/Roles", Some(body.clone())),
        ("PUT", one.as_str(), Some(body.clone())),
        ("PATCH", one.as_str(), Some(crate::support::patch(operations.clone()))),
        ("DELETE", one.as_str(), None),
        ("POST", one.as_str(), Some(body.clone())),
    ] {
        for headers in [&[][..], &[("Prefer", "respond-async")][..]] {
            let text = body.as_ref().map(Value::to_string);
            let refused = app.scim.send(method, path, headers, text);
            assert_eq!(refused.header("allow"), Some("GET, HEAD"), "{method} {path}");
            refused.expect_scim_error(405, None);
        }
    }
    let operations = json!([
        {"method": "POST", "path": "/Roles", "bulkId": "r", "data": body},
        {"method": "PUT", "path": one, "data": body},
        {"method": "PATCH", "path": one, "data": crate::support::patch(operations)},
        {"method": "DELETE", "path": one},
    ]);
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    });
    let answer = app.scim.post("/Bulk", bulk).expect(200);
    for outcome in answer.body["Operations"].as_array().expect("a list") {
        assert_eq!(outcome["status"], "405", "{outcome}");
        assert!(outcome["response"]["detail"].as_str().is_some_and(|d| d.contains("Role")));
    }
    let list = app.scim.get("/Roles").expect(200);
    assert_eq!((list.ids(), texts(&list, "value")), (vec![id], vec!["a".to_owned()]));
}

fn one_directory_is_not_shown_in_another(app: &TestApp) {
    let id = put_values(app, "roles", &["a"]).remove(0);
    let (other, scim) = app.directory("scim.generic");
    scim.get("/Roles").expect_scim_error(404, None);
    let theirs = format!("/api/v1/directories/{}/roles", other.id);
    assert_eq!(app.api.get(&theirs).expect(200).body, json!({"data": []}));
    app.api.put(&theirs, json!({"data": [{"value": "a"}]})).expect(200);
    let shown = scim.get("/Roles").expect(200);
    assert_eq!(shown.total(), 1);
    assert_ne!(shown.ids(), [id.as_str()]);
    scim.get(&format!("/Roles/{id}")).expect_scim_error(404, None);
    app.api.put(&theirs, json!({"data": []})).expect(200);
    assert_eq!(app.scim.get("/Roles").expect(200).ids(), [id]);
}

fn keys_that_may_not_manage_are_refused(app: &TestApp) {
    let key = |body: Value| {
        let made = app.api.post("/api/v1/api_keys", body).expect(201);
        app.api.with_bearer(made.body["secret"].as_str())
    };
    let reader = key(json!({"name": "Reader", "scopes": ["read"]}));
    let (other, _) = app.directory("scim.generic");
    let elsewhere = json!([other.organization_id]);
    let limited =
        key(json!({"name": "Limited", "scopes": ["manage"], "organization_ids": elsewhere}));
    let body = json!({"data": [{"value": "a"}]});
    for list in ["roles", "entitlements"] {
        let path = path(app, list);
        api_error(&reader.get(&path), 403, "forbidden");
        api_error(&reader.put(&path, body.clone()), 403, "forbidden");
        api_error(&limited.get(&path), 404, "entity_not_found");
        api_error(&limited.put(&path, body.clone()), 404, "entity_not_found");
        api_error(&app.api.with_bearer(None).get(&path), 401, "unauthorized");
        limited.put(&format!("/api/v1/directories/{}/{list}", other.id), body.clone()).expect(200);
        assert_eq!(app.api.get(&path).expect(200).body, json!({"data": []}));
        let nobody = format!("/api/v1/directories/directory_none/{list}");
        api_error(&app.api.put(&nobody, body.clone()), 404, "entity_not_found");
    }
}

fn own_schemas_and_lists_do_not_touch_each_other(app: &TestApp) {
    let schemas = path(app, "schemas");
    let device = "urn:example:schemas:Device";
    let serial = json!({"name": "serial", "type": "string", "multiValued": false});
    let document = |endpoint: &str, name: &str, urn: &str| {
        json!({
            "schemas": [{"id": urn, "name": name, "attributes": [serial]}],
            "resource_types": [{"name": name, "endpoint": endpoint, "schema": urn}],
        })
    };
    for (endpoint, name, urn) in [
        ("/Roles", "Device", device),
        ("/entitlements", "Device", device),
        ("/Devices", "Role", device),
        ("/Devices", "entitlement", device),
        ("/Devices", "Device", ROLE),
        ("/Devices", "Device", &ENTITLEMENT.to_uppercase()),
    ] {
        let refused = app.api.put(&schemas, document(endpoint, name, urn));
        api_error(&refused, 422, "invalid_schemas");
    }
    let before = put(
        app,
        "roles",
        json!([{"value": "a", "contains": ["b"]}, {"value": "b", "display": "B"}]),
    );
    let ids = members(&before.expect(200), "id");
    let shown = app.scim.get("/Roles").expect(200).body;
    app.api.put(&schemas, document("/Devices", "Device", device)).expect(200);
    assert_eq!(app.scim.get("/Roles").expect(200).body, shown);
    create(&app.scim, "/Devices", json!({"schemas": [device], "serial": "1"}));
    assert_eq!(put_values(app, "roles", &["a", "b", "c"])[..2], ids);
    let types = app.scim.get("/ResourceTypes").expect(200);
    assert_eq!(texts(&types, "name"), ["User", "Group", "Device", "Role"]);
    put_values(app, "roles", &[]);
    assert_eq!(app.scim.get("/Devices").expect(200).total(), 1);
}

fn deleted_directory_takes_its_lists_with_it(app: &TestApp) {
    put_values(app, "roles", &["a", "b"]);
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    app.api.delete(&directory).expect(202);
    let service = app.service().clone();
    app.wait(async move { service.purge_deleted_directories().await }).expect("purged");
    app.api.get(&directory).expect(404);
    api_error(&app.api.get(&path(app, "roles")), 404, "entity_not_found");
    api_error(&put(app, "roles", json!([{"value": "a"}])), 404, "entity_not_found");
}

fn lists_put_at_once_hold_each_value_once(app: &TestApp) {
    for round in 0..5 {
        let values: Vec<Value> =
            (0..20).map(|n| json!({"value": format!("v{round}-{n}")})).collect();
        std::thread::scope(|scope| {
            for _ in 0..6 {
                let (values, app) = (values.clone(), &app);
                let (api, path) = (app.api.clone(), path(app, "roles"));
                scope.spawn(move || api.put(&path, json!({"data": values})).expect(200));
            }
        });
        let answer = app.api.get(&path(app, "roles")).expect(200);
        let mut found = members(&answer, "value");
        found.sort();
        let mut expected: Vec<String> = (0..20).map(|n| format!("v{round}-{n}")).collect();
        expected.sort();
        assert_eq!(found, expected);
    }
}
