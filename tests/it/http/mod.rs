//! Tests of `http`: what a client sees on the wire, area by area.

mod asynchronous;
mod audit;
mod auth;
mod bad_input;
mod brake;
mod bulk;
mod bulk_references;
mod catalogue;
mod console;
mod cursor;
mod detected_client;
mod device;
mod disconnect;
mod discovery;
mod entra_token;
mod errors;
mod etag;
mod event_log;
mod groups_members;
mod identities;
mod large_changes;
mod large_changes_between;
mod large_groups;
mod limits;
mod lists_filter;
mod lists_page_sort;
mod management;
mod management_keys;
mod mapping;
mod me;
mod monitoring;
mod oauth_access;
mod oauth_assertion;
mod oauth_clients;
mod oauth_replicas;
mod oauth_token;
mod operation;
mod overview;
mod own_schemas;
mod own_types;
mod paging_walk;
mod pending_members;
mod people;
mod policies;
mod portal;
mod profile_change;
mod profile_flags;
mod profile_providers;
mod profile_unique;
mod profiles;
mod profiles_strict;
mod projection;
mod rate_limits;
mod read;
mod relations;
mod requests;
mod scim_v1;
mod search;
mod ssf;
mod sync;
mod token_rotate;
mod tolerance;
mod urls;
mod users_create;
mod users_delete;
mod users_patch;
mod users_replace;
mod webhooks;

use serde_json::{Value, json};

use crate::support::{Answer, Client, TestApp, encode};

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

/// Makes an OAuth client of the test's directory and gives its id and what was answered.
#[track_caller]
fn oauth_client(app: &TestApp, body: Value) -> (String, Answer) {
    let path = format!("/api/v1/directories/{}/oauth_clients", app.directory.id);
    let made = app.api.post(&path, body).expect(201);
    (made.id(), made)
}

/// A client with a secret: its id and the secret.
#[track_caller]
fn client_with_secret(app: &TestApp, more: Value) -> (String, String) {
    let mut body = json!({"auth_method": "client_secret"});
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let (id, made) = oauth_client(app, body);
    (id, made.body["client_secret"].as_str().expect("a secret").to_owned())
}

/// Asks the token endpoint; `form` is percent-encoded here.
fn ask_token(url: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Answer {
    let pairs: Vec<String> =
        form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let client = Client::new(url, "", "application/x-www-form-urlencoded").with_bearer(None);
    client.send("POST", "/oauth/token", headers, Some(pairs.join("&")))
}

/// An access token for that client.
#[track_caller]
fn access_token(app: &TestApp, id: &str, secret: &str) -> String {
    let answer = ask_token(
        &app.url,
        &[],
        &[("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)],
    );
    answer.expect(200).body["access_token"].as_str().expect("a token").to_owned()
}

/// `Authorization` for HTTP Basic.
fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    let engine = base64::engine::general_purpose::STANDARD;
    format!("Basic {}", engine.encode(format!("{user}:{password}")))
}

/// Fails the test unless this is an error of the token endpoint; gives its description.
#[track_caller]
fn oauth_error(answer: &Answer, status: u16, error: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.body["error"], error, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    let challenge = answer.header("www-authenticate");
    assert_eq!(challenge.is_some_and(|c| c.starts_with("Basic ")), status == 401);
    let description = answer.body["error_description"].as_str().unwrap_or_default().to_owned();
    assert!(!description.is_empty(), "{}", answer.text);
    description
}

/// Fails the test unless this is the refusal of a signed token over SCIM; gives its detail.
#[track_caller]
fn invalid_token(answer: Answer) -> String {
    let challenge = answer.header("www-authenticate").map(str::to_owned);
    let detail = answer.expect_scim_error(401, None);
    let expected = "Bearer realm=\"rollbook\", error=\"invalid_token\"";
    assert_eq!(challenge.as_deref(), Some(expected), "{detail}");
    detail
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
