//! A bulk request asks again before each of its units whether it is still let in.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![request_ends_when_it_is_no_longer_let_in];

/// Reads a request of two operations, lets `meanwhile` happen, runs it and answers its statuses.
fn statuses(app: &TestApp, names: [&str; 2], meanwhile: impl FnOnce()) -> Vec<String> {
    let post = |name: &str| json!({"method": "POST", "path": "/Users", "bulkId": name, "data": {"userName": name}});
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": names.map(post),
    });
    let Value::Object(body) = body else { panic!("an object") };
    let (service, token) = (Arc::clone(app.service()), app.directory.token.clone());
    let run = app.wait(async move {
        let access = service.directory_access(&token, None).await.expect("let in");
        service.bulk_begin(&access, "https://scim.example.com", body).expect("readable")
    });
    meanwhile();
    let service = Arc::clone(app.service());
    let answer = app.wait(async move { service.bulk(run).await });
    let operations = answer["Operations"].as_array().expect("a list").iter();
    operations.map(|operation| operation["status"].as_str().expect("text").to_owned()).collect()
}

fn request_ends_when_it_is_no_longer_let_in(app: &TestApp) {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    let state = |state: &str| app.api.patch(&path, json!({"state": state})).expect(200);
    assert_eq!(statuses(app, ["ada", "ben"], || {}), ["201", "201"]);
    assert_eq!(statuses(app, ["cid", "dan"], || drop(state("paused"))), ["503", "503"]);
    state("linked");
    assert_eq!(statuses(app, ["cid", "dan"], || drop(state("disabled"))), ["403", "403"]);
    state("linked");
    let revoke = || {
        app.api.delete(&format!("{path}/tokens/{}", app.directory.token_id)).expect(204);
    };
    assert_eq!(statuses(app, ["cid", "dan"], revoke), ["401", "401"]);
    let token = app.api.post(&format!("{path}/tokens"), json!({})).expect(201);
    let secret = token.body["secret"].as_str().expect("a secret");
    assert_eq!(app.scim.with_bearer(Some(secret)).get("/Users").total(), 2);
}
