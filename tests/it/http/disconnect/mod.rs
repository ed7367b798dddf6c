//! The end of a connection: how far it is, what stands in its way, and what the app is told.

mod deprovision;
mod hand_over;
mod read;

use serde_json::{Value, json};

use crate::support::{Client, DirectoryHandle, TestApp};

/// A directory in the organization of the test's directory, and a SCIM client for it.
fn neighbour(app: &TestApp, settings: Value) -> (DirectoryHandle, Client) {
    let body = json!({
        "organization_id": app.directory.organization_id,
        "name": "New provider",
        "kind": "scim.generic",
        "settings": settings,
    });
    let made = app.api.post("/api/v1/directories", body).expect(201);
    let text = |pointer: &str| made.body.pointer(pointer).and_then(Value::as_str).expect("a text");
    let handle = DirectoryHandle {
        id: made.id(),
        base_url: text("/scim/base_url").to_owned(),
        token: text("/token/secret").to_owned(),
        ..app.directory.clone()
    };
    let scim = Client::new(&handle.base_url, &handle.token, "application/scim+json");
    (handle, scim)
}

fn path(directory: &DirectoryHandle) -> String {
    format!("/api/v1/directories/{}/disconnect", directory.id)
}

fn state(app: &TestApp, directory: &DirectoryHandle) -> Value {
    app.api.get(&format!("/api/v1/directories/{}", directory.id)).expect(200).body["state"].clone()
}

/// Waits until no disconnection can go on.
fn finish(app: &TestApp) {
    app.wait(app.service().finish_disconnects()).expect("finished");
}

fn hand_over(app: &TestApp, to: &DirectoryHandle, dry_run: bool) -> crate::support::Answer {
    let body = json!({"mode": "hand_over", "to": to.id, "dry_run": dry_run});
    app.api.post(&path(&app.directory), body)
}

/// A user of an identity provider.
fn person(external_id: &str, name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "externalId": external_id,
        "userName": name,
        "name": {"formatted": name},
        "emails": [{"value": name, "primary": true}],
    })
}
