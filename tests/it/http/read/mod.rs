//! The read API at the root: what the company's app sees, in the form that the public SDKs speak.

mod directories;
mod groups;
mod idempotent;
mod organizations;
mod pages;
mod plans;
mod users;

use serde_json::Value;

use crate::support::{Answer, Client, TestApp};

/// The members of `data`.
fn data(list: Answer) -> Vec<Value> {
    let list = list.expect(200);
    assert_eq!(list.body["object"], "list", "{}", list.text);
    list.body["data"].as_array().expect("a list").clone()
}

/// That member of each object of a list, in its order.
fn each(list: Answer, member: &str) -> Vec<String> {
    let text = |object: &Value| object[member].as_str().expect("text").to_owned();
    data(list).iter().map(text).collect()
}

/// A client with a key for these scopes and organizations.
fn key(app: &TestApp, scopes: &[&str], organizations: Option<&[&str]>) -> Client {
    let body = serde_json::json!({
        "name": "Key", "scopes": scopes, "organization_ids": organizations,
    });
    let made = app.api.post("/api/v1/api_keys", body).expect(201);
    app.api.with_bearer(made.body["secret"].as_str())
}
