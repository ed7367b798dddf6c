//! SCIM 1.1 on the wire: `/scim/v1`.

mod discovery;
mod errors;
mod groups;
mod isolation;
mod lists;
mod patch;
mod providers;
mod users;

use serde_json::{Value, json};

use crate::support::{Answer, Client, DirectoryHandle, TestApp};

const CORE: &str = "urn:scim:schemas:core:1.0";
const ENTERPRISE_1: &str = "urn:scim:schemas:extension:enterprise:1.0";

fn base_of(directory: &DirectoryHandle) -> String {
    directory.base_url.replace("/scim/v2/", "/scim/v1/")
}

fn client_of(directory: &DirectoryHandle) -> Client {
    Client::new(&base_of(directory), &directory.token, "application/json")
}

/// SCIM 1.1 on the directory of the test.
fn client(app: &TestApp) -> Client {
    client_of(&app.directory)
}

/// A user as a client of SCIM 1.1 sends one.
fn user(user_name: &str) -> Value {
    json!({
        "schemas": [CORE],
        "userName": user_name,
        "name": {"givenName": "Given", "familyName": "Family"},
        "emails": [{"value": user_name, "type": "work", "primary": true}],
        "active": true,
    })
}

fn group(display_name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    json!({"schemas": [CORE], "displayName": display_name, "members": members})
}

/// Fails the test unless this is an error of SCIM 1.1 with that status; gives its description.
#[track_caller]
fn refused(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let description = answer.body["Errors"][0]["description"].as_str().unwrap_or_default();
    let expected = json!({"Errors": [{"description": description, "code": status.to_string()}]});
    assert_eq!(answer.body, expected);
    assert!(description.ends_with('.'), "{description}");
    assert!(!description.contains("urn:ietf"), "{description}");
    description.to_owned()
}

/// Fails the test when the answer has something that SCIM 1.1 does not have.
#[track_caller]
fn assert_older(answer: &Answer) {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{}", answer.text);
    for newer in ["urn:ietf", "$ref", "resourceType", "/scim/v2"] {
        assert!(!answer.text.contains(newer), "{newer} in {}", answer.text);
    }
}
