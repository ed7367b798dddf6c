//! Requests as the clients of SCIM 1.1 send them: Okta, OneLogin and PingFederate.

use serde_json::{Value, json};

use super::{CORE, client_of, refused};
use crate::http::create;
use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp};

on_both_databases![
    okta_updates_a_user_with_what_it_read,
    okta_pushes_a_group_with_its_description,
    onelogin_pushes_members_without_schemas,
    pingfederate_disables_and_deletes_by_put_and_delete,
];

/// As Okta sends it.
fn okta(scim: &Client, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let headers = [
        ("Accept", "application/json"),
        ("Accept-Charset", "utf-8"),
        ("Content-Type", "application/json; charset=utf-8"),
        ("User-Agent", "Okta SCIM Client 1.0.0"),
    ];
    scim.send(method, path, &headers, body.map(Value::to_string))
}

fn okta_updates_a_user_with_what_it_read(app: &TestApp) {
    let (directory, _) = app.directory("scim.okta");
    let scim = client_of(&directory);
    assert_eq!(okta(&scim, "GET", "/Users?startIndex=1&count=2", None).total(), 0);
    assert_eq!(okta(&scim, "GET", "/Groups?startIndex=1&count=100", None).total(), 0);
    let body = json!({
        "schemas": [CORE],
        "userName": "test.user@example.com",
        "name": {"givenName": "Test", "familyName": "User"},
        "emails": [{"primary": true, "value": "test.user@example.com", "type": "work"}],
        "displayName": "Test User", "locale": "en_US", "externalId": "00b443dd40",
        "groups": [], "password": "1mz050nq", "active": true,
    });
    let made = okta(&scim, "POST", "/Users", Some(&body)).expect(201);
    let path = format!("/Users/{}", made.id());
    let mut echo = okta(&scim, "GET", &path, None).expect(200).body;
    echo["active"] = json!(false);
    echo["groups"] = json!([]);
    let replaced = okta(&scim, "PUT", &path, Some(&echo)).expect(200);
    assert_eq!(replaced.body["active"], false);
    assert_eq!(replaced.body["externalId"], "00b443dd40");
    let found = okta(
        &scim,
        "GET",
        "/Users?filter=userName%20eq%20%22test.user%40example.com%22&startIndex=1&count=100",
        None,
    );
    assert_eq!(found.ids(), [made.id()]);
    let revived = json!({"schemas": [CORE], "id": made.id(), "active": true});
    let revived = okta(&scim, "PATCH", &path, Some(&revived)).expect(200);
    assert_eq!(revived.body["active"], true);
    assert_eq!(revived.body["emails"], body["emails"]);
}

fn okta_pushes_a_group_with_its_description(app: &TestApp) {
    const DESCRIPTION: &str = "urn:okta:custom:group:1.0";
    let (directory, _) = app.directory("scim.okta");
    let scim = client_of(&directory);
    let user = create(&scim, "/Users", json!({"schemas": [CORE], "userName": "a@example.com"}));
    let body = json!({
        "schemas": [CORE, DESCRIPTION], "displayName": "Group 10",
        DESCRIPTION: {"description": "All of them"},
    });
    let made = okta(&scim, "POST", "/Groups", Some(&body)).expect(201);
    let path = format!("/Groups/{}", made.id());
    let renamed = json!({"schemas": [CORE], "id": made.id(), "displayName": "Group 11"});
    assert_eq!(
        okta(&scim, "PATCH", &path, Some(&renamed)).expect(200).body["displayName"],
        "Group 11"
    );
    let joined =
        json!({"schemas": [CORE], "members": [{"value": user, "display": "a@example.com"}]});
    let joined = okta(&scim, "PATCH", &path, Some(&joined)).expect(200);
    assert_eq!(joined.body["members"][0]["value"], user);
    assert_eq!(joined.body[DESCRIPTION], body[DESCRIPTION]);
    let left = json!({
        "schemas": [CORE],
        "members": [{"value": user, "display": "a@example.com", "operation": "delete"}],
    });
    assert_eq!(okta(&scim, "PATCH", &path, Some(&left)).expect(200).body.get("members"), None);
    okta(&scim, "DELETE", &path, None).expect(204);
}

fn onelogin_pushes_members_without_schemas(app: &TestApp) {
    let (directory, _) = app.directory("scim.onelogin");
    let scim = client_of(&directory);
    scim.get("/Users").expect(200);
    scim.get("/Groups").expect(200);
    let filter = "/Users?filter=userName+eq+%22a%40example.com%22&";
    assert_eq!(scim.get(filter).total(), 0);
    let body = json!({
        "schemas": [CORE], "userName": "a@example.com",
        "name": {"givenName": "G", "familyName": "F"},
        "emails": {"value": "a@example.com", "type": "work"}, "active": true,
    });
    let made = scim.post("/Users", body.clone()).expect(201);
    assert_eq!(made.body["emails"], json!([{"value": "a@example.com", "type": "work"}]));
    let id = made.id();
    let path = format!("/Groups/{}", create(&scim, "/Groups", json!({"displayName": "Sales"})));
    for (operation, count) in [("add", Some(1)), ("add", Some(1)), ("delete", None)] {
        let change = json!({"members": [{"value": id, "operation": operation}]});
        scim.patch(&format!("{path}?"), change).expect(200);
        let read = scim.get(&path).expect(200);
        assert_eq!(read.body["members"].as_array().map(Vec::len), count, "{operation}");
    }
    let mut suspended = body;
    suspended["active"] = json!(false);
    assert_eq!(scim.put(&format!("/Users/{id}?"), suspended).expect(200).body["active"], false);
    scim.delete(&format!("/Users/{id}")).expect(204);
    let description = refused(&scim.get(&format!("/Users/{id}")), 404);
    assert!(description.contains(&id), "{description}");
}

fn pingfederate_disables_and_deletes_by_put_and_delete(app: &TestApp) {
    let (directory, _) = app.directory("scim.pingfederate");
    let scim = client_of(&directory);
    let body = json!({
        "schemas": [CORE, "urn:scim:schemas:extension:enterprise:1.0"],
        "userName": "pf11",
        "name": {"givenName": "G", "familyName": "F"},
        "emails": [{"value": "pf11@example.com", "type": "work"}],
        "active": true,
        "urn:scim:schemas:extension:enterprise:1.0": {"department": "D"},
    });
    let made = scim.post("/Users", body.clone()).expect(201);
    let path = format!("/Users/{}", made.id());
    let mut disabled = body;
    disabled["active"] = json!(false);
    assert_eq!(scim.put(&path, disabled).expect(200).body["active"], false);
    scim.delete(&path).expect(204);
    refused(&scim.delete(&path), 404);
}
