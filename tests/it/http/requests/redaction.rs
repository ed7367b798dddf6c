//! No secret is kept: neither in a record nor, unsealed, in the database.

use serde_json::{Value, json};

use super::{dump, listed, newest, set, whole};
use crate::http::USER;
use crate::on_both_databases;
use crate::support::{TestApp, patch, user};

on_both_databases![
    secrets_are_removed_wherever_they_stand,
    secrets_of_filters_are_removed,
    many_secrets_leave_no_text_beside_them,
    values_that_are_never_returned_are_removed,
    records_are_sealed,
    bodies_can_be_left_out,
];

const SECRET: &str = "t1meMa5heen-and-more-of-it";

#[track_caller]
fn assert_kept_without(app: &TestApp, secret: &str) {
    for record in listed(app, &app.directory, "limit=500") {
        let record = whole(app, &app.directory, &record).to_string();
        assert!(!record.contains(secret), "{record}");
    }
}

fn secrets_are_removed_wherever_they_stand(app: &TestApp) {
    let with = |name: &str| {
        let mut body = user("ada@example.com");
        body[name] = SECRET.into();
        body
    };
    let id = app.scim.post("/Users", with("password")).expect(201).id();
    assert_eq!(newest(app)["received"]["password"], "[removed]");
    app.scim.put(&format!("/Users/{id}"), with("password")).expect(200);
    let one = format!("/Users/{id}");
    for operation in [
        json!({"op": "replace", "path": "password", "value": SECRET}),
        json!({"op": "replace", "path": format!("{USER}:password"), "value": SECRET}),
        json!({"op": "replace", "value": {"password": SECRET}}),
        json!({"op": "add", "path": "clientSecret", "value": [{"value": SECRET}]}),
        json!({"op": "add", "value": {"api_key": SECRET, "x": {"AccessToken": SECRET}}}),
    ] {
        app.scim.patch(&one, patch(json!([operation]))).expect(200);
    }
    // In requests that fail, and in what their errors repeat.
    app.scim.post("/Users", with("bearer_credential")).expect(409);
    let path = format!("emails[password eq \"{SECRET}\"]");
    let refused = app.scim.patch(&one, patch(json!([{"op": "remove", "path": path}])));
    assert!(refused.status == 400 || refused.status == 200, "{}", refused.text);
    app.scim.send("POST", "/Users", &[], Some(format!("{{\"password\": \"{SECRET}"))).expect(400);
    assert_eq!(newest(app)["received"], Value::Null);
    assert!(newest(app)["received_note"].as_str().expect("a note").contains("secret"));
    for query in [
        format!("filter=password+eq+%22{SECRET}%22"),
        format!("access_token={SECRET}"),
        format!("filter=p%61ssword+co+%22{SECRET}%22"),
    ] {
        app.scim.get(&format!("/Users?{query}"));
    }
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": "POST", "path": "/Users", "bulkId": "a", "data": with("password")}],
    });
    app.scim.post("/Bulk", bulk).expect(200);
    app.scim
        .send("POST", "/Users", &[("prefer", "respond-async")], Some(with("password").to_string()))
        .expect(202);
    assert!(listed(app, &app.directory, "limit=500").len() >= 14);
    assert_kept_without(app, SECRET);
    assert_kept_without(app, &app.directory.token);
}

fn secrets_of_filters_are_removed(app: &TestApp) {
    let search = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": format!("password eq \"{SECRET}\""),
    });
    app.scim.post("/Users/.search", search);
    assert_eq!(newest(app)["received"]["filter"], "[removed]");
    for (filter, word) in [
        (format!("password+%22{SECRET}%22"), SECRET),
        ("password+%22unlikely+phrase%22".to_owned(), "phrase"),
        ("password+%22%237%22".to_owned(), "#7"),
    ] {
        app.scim.get(&format!("/Users?filter={filter}")).expect(400);
        let record = newest(app);
        assert!(record["path"].as_str().expect("a path").ends_with("?filter=[removed]"));
        assert_eq!(record["error"]["status"], "400");
        assert!(!record["error"].to_string().contains(word), "{record:#}");
    }
    assert_kept_without(app, SECRET);
}

fn many_secrets_leave_no_text_beside_them(app: &TestApp) {
    let mut body = user("ada@example.com");
    body["unknownTokens"] = (0..100_000).map(|n| format!("secret-{n}")).collect();
    body["userName"] = 7.into();
    app.scim.post("/Users?count=1", body).expect(400);
    let record = newest(app);
    assert!(record["path"].as_str().expect("a path").ends_with("/Users?[removed]"), "{record:#}");
    assert_eq!(record["error"]["detail"], "[removed]");
    assert_eq!((&record["error"]["status"], &record["scim"]), (&json!("400"), &json!("2.0")));
    assert_eq!(record["received"]["unknownTokens"], "[removed]");
}

fn values_that_are_never_returned_are_removed(app: &TestApp) {
    let urn = "urn:example:params:scim:schemas:extension:Door";
    let document = json!({
        "schemas": [{"id": urn, "name": "Door", "attributes": [
            {"name": "pin", "returned": "never", "mutability": "writeOnly"},
            {"name": "floor"},
        ]}],
        "resource_types": [{"name": "User", "schemaExtensions": [{"schema": urn, "required": false}]}],
    });
    let schemas = format!("/api/v1/directories/{}/schemas", app.directory.id);
    app.api.put(&schemas, document).expect(200);
    let mut body = user("ada@example.com");
    body["schemas"] = json!([USER, urn]);
    body[urn] = json!({"pin": SECRET, "floor": "3"});
    let id = app.scim.post("/Users", body).expect(201).id();
    let record = newest(app);
    assert_eq!(record["received"][urn], json!({"pin": "[removed]", "floor": "3"}));
    let changes = record["changes"].as_array().expect("a list");
    let pin = json!({"path": format!("{urn}:pin"), "new": "[removed]"});
    assert!(changes.contains(&pin), "{record:#}");
    let operation =
        json!([{"op": "replace", "path": format!("{urn}:pin"), "value": "9-and-8-and-7"}]);
    app.scim.patch(&format!("/Users/{id}"), patch(operation)).expect(200);
    let pin = json!([{"path": format!("{urn}:pin"), "old": "[removed]", "new": "[removed]"}]);
    assert_eq!(newest(app)["changes"], pin);
    assert_kept_without(app, SECRET);
    assert_kept_without(app, "9-and-8-and-7");
}

fn records_are_sealed(app: &TestApp) {
    app.scim.post("/Users", user("unmistakable@example.com")).expect(201);
    assert_eq!(newest(app)["received"]["userName"], "unmistakable@example.com");
    let rows = &dump(app)["request_record"];
    assert_eq!(rows.len(), 1);
    for word in ["unmistakable", "userName", "Ada"] {
        assert!(!rows[0].contains(word), "{rows:?}");
    }
    // Two people have two hashes, one person has one.
    let found = |user: &str| listed(app, &app.directory, &format!("user={user}")).len();
    assert_eq!((found("unmistakable@example.com"), found("other@example.com")), (1, 0));
}

fn bodies_can_be_left_out(app: &TestApp) {
    set(app, json!({"records": {"bodies": "errors"}}));
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    let record = newest(app);
    assert_eq!(record["received"], Value::Null);
    assert!(record["received_note"].as_str().expect("a note").contains("no bodies"));
    let paths = record["changes"].as_array().expect("a list");
    assert!(paths.contains(&json!({"path": "userName"})), "{record:#}");
    app.scim.post("/Users", user("ada@example.com")).expect(409);
    assert_eq!(newest(app)["received"]["userName"], "ada@example.com");
    set(app, json!({"records": {"bodies": "off"}}));
    app.scim.post("/Users", user("ada@example.com")).expect(409);
    assert_eq!(newest(app)["received"], Value::Null);
    // Whom a request is about can be searched for all the same.
    assert_eq!(listed(app, &app.directory, "user=ada@example.com").len(), 3);
}
