//! The event log on the wire: `/events`, and the native readers under `/api/v1`.
//!
//! It begins with four events: the directory and the token of the first start, and those of the test.

mod checkpoints;
mod list;
mod native;
mod newest;
mod reconcile;
mod retention;
mod snapshot;
mod stream;

use serde_json::{Value, json};

use crate::support::{Answer, Client, TestApp};

/// The `data` of a list.
fn data(answer: &Answer) -> &Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["data"].as_array().expect("a list")
}

/// That member of each element, as text.
fn column(answer: &Answer, member: &str) -> Vec<String> {
    let texts = data(answer).iter().map(|one| one[member].as_str().unwrap_or_default());
    texts.map(str::to_owned).collect()
}

/// Every event from there on, page by page.
fn walk(client: &Client, query: &str) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/events?{query}{after}")).expect(200);
        events.extend(data(&page).iter().cloned());
        match page.body["list_metadata"]["after"].as_str() {
            Some(id) => after = format!("&after={id}"),
            None => return events,
        }
    }
}

/// A client with an API key of its own, and the path of the key.
fn ending_key(app: &TestApp) -> (Client, String) {
    let made = app.api.post("/api/v1/api_keys", json!({"name": "App", "scopes": ["read"]}));
    let made = made.expect(201);
    let client = app.api.with_bearer(made.body["secret"].as_str());
    (client, format!("/api/v1/api_keys/{}", made.id()))
}

/// A client with an API key for these organizations, with the scope `read`.
fn reader(app: &TestApp, organizations: Option<&[&str]>) -> Client {
    let body = json!({"name": "App", "scopes": ["read"], "organization_ids": organizations});
    let made = app.api.post("/api/v1/api_keys", body).expect(201);
    Client::new(&app.url, made.body["secret"].as_str().expect("a secret"), "application/json")
}
