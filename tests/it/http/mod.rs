//! Tests of `http`: what a client sees on the wire, area by area.

mod asynchronous;
mod auth;
mod bad_input;
mod bulk;
mod bulk_references;
mod catalogue;
mod cursor;
mod detected_client;
mod device;
mod discovery;
mod errors;
mod etag;
mod groups_members;
mod large_groups;
mod limits;
mod lists_filter;
mod lists_page_sort;
mod management;
mod management_keys;
mod me;
mod operation;
mod own_schemas;
mod own_types;
mod paging_walk;
mod pending_members;
mod policies;
mod profile_change;
mod profile_flags;
mod profile_providers;
mod profile_unique;
mod profiles;
mod profiles_strict;
mod projection;
mod rate_limits;
mod relations;
mod requests;
mod scim_v1;
mod search;
mod tolerance;
mod urls;
mod users_create;
mod users_delete;
mod users_patch;
mod users_replace;

use serde_json::{Value, json};

use crate::support::{Answer, Client, TestApp};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// Where the clock of a test stands until the test moves it.
const NOW: &str = "2025-06-15T15:06:40.000Z";

/// The smallest user.
fn plain_user(user_name: &str) -> Value {
    json!({"schemas": [USER], "userName": user_name})
}

/// Stores a resource and gives its id.
#[track_caller]
fn create(client: &Client, path: &str, body: Value) -> String {
    client.post(path, body).expect(201).id()
}

/// The text of that member of each listed resource, in the order of the list.
#[track_caller]
fn texts(list: &Answer, member: &str) -> Vec<String> {
    assert_eq!(list.status, 200, "{}", list.text);
    let resources = list.body["Resources"].as_array().expect("a list");
    resources.iter().map(|r| r[member].as_str().unwrap_or_default().to_owned()).collect()
}

/// Fails the test unless this is an error of the management API; gives its message.
#[track_caller]
fn api_error(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.body["code"], code, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let message = answer.body["message"].as_str().unwrap_or_default().to_owned();
    assert!(!message.is_empty(), "{}", answer.text);
    message
}

/// Fails the test unless this is the refusal of that one field.
#[track_caller]
fn assert_invalid(answer: &Answer, field: &str) {
    api_error(answer, 422, "invalid_request_parameters");
    assert_eq!(answer.body["errors"][0]["field"], field, "{}", answer.text);
    assert!(answer.body["errors"][0]["message"].is_string(), "{}", answer.text);
}

/// Fails the test unless the directory of the test is empty and nothing was told about it.
#[track_caller]
fn assert_nothing_stored(app: &TestApp) {
    assert_eq!(app.scim.get("/Users").total(), 0);
    assert_eq!(app.scim.get("/Groups").total(), 0);
    assert_eq!(app.event_names(&app.directory), Vec::<String>::new());
}
