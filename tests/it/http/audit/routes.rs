//! Every route of the management API that changes something leaves a row, and those that only look none.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::newest;
use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp, group, user};

on_both_databases![each_change_leaves_a_row];

/// What changes nothing that anybody has set up, and why.
const LOOKS: [(&str, &str); 7] = [
    ("POST /directories/{id}/settings/preview", "stores nothing"),
    ("POST /directories/{id}/attribute_map/preview", "stores nothing"),
    ("POST /directories/{id}/role_map/preview", "stores nothing"),
    ("POST /directories/{id}/requests/{request}/replay", "is rolled back"),
    ("POST /directories/{id}/test", "asks the source"),
    ("POST /directories/{id}/reconcile", "compares"),
    ("POST /webhook_endpoints/{id}/test", "sends an event that is in no log"),
];

/// What [`super::decisions`] does, which needs something to decide about.
const DECISIONS: [&str; 9] = [
    // Of an administrator who is signed in; the same function ends all of them.
    "DELETE /admins/{id}/sessions/{session}",
    "POST /directories/{id}/brake/release",
    "POST /directories/{id}/brake/undo",
    "POST /directories/{id}/syncs/{run}/approve",
    "POST /directories/{id}/syncs/{run}/reject",
    "POST /organizations/{id}/identities/{identity}/accounts/{user}/unlink",
    "POST /organizations/{id}/identity_suggestions/{suggestion}/accept",
    "POST /organizations/{id}/identity_suggestions/{suggestion}/reject",
    "POST /organizations/{id}/identity_suggestions/{suggestion}/undo",
];

/// The rows of the route table that may change something, as `METHOD /path`.
fn changing_routes() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/admin/mod.rs");
    let text = fs::read_to_string(path).expect("readable");
    let table = text.split_once("pub(super) fn routes(").expect("the table").1;
    let table = table.split_once("\n}\n").expect("its end").0;
    let mut routes = BTreeSet::new();
    for row in table.split("methods(").skip(1) {
        let mut words = row.split('"').skip(1).step_by(2);
        let (path, methods) = (words.next().expect("a path"), words.next().expect("methods"));
        let changing = methods.split(", ").filter(|method| *method != "GET");
        routes.extend(changing.map(|method| format!("{method} {path}")));
    }
    assert!(routes.len() > 40, "{routes:?}");
    routes
}

/// Does things and looks for their rows.
struct Walk<'a> {
    app: &'a TestApp,
    done: RefCell<BTreeSet<String>>,
}

impl Walk<'_> {
    /// Sends a request for a route, and expects the newest row to be of that action.
    #[track_caller]
    fn act(&self, route: &str, path: &str, body: Value, action: &str) -> Answer {
        let before = newest(self.app)["id"].clone();
        let (method, _) = route.split_once(' ').expect("a method");
        let path = format!("/api/v1{path}");
        let answer = match method {
            "POST" => self.app.api.post(&path, body),
            "PUT" => self.app.api.put(&path, body),
            "PATCH" => self.app.api.patch(&path, body),
            _ => self.app.api.delete(&path),
        };
        assert!((200..300).contains(&answer.status), "{route}: {} {}", answer.status, answer.text);
        self.row(route, &before, action);
        answer
    }

    #[track_caller]
    fn row(&self, route: &str, before: &Value, action: &str) {
        let row = newest(self.app);
        assert_ne!(row["id"], *before, "{route} leaves no row");
        assert_eq!(row["action"], action, "{route}: {row}");
        assert_eq!(row["actor"]["type"], "operator", "{row}");
        assert_eq!(row["actor"]["id"], "configured", "{row}");
        for secret in ["sk_", "rbd_", "whsec_", "$argon2"] {
            assert!(!row.to_string().contains(secret), "{route} shows a secret: {row}");
        }
        self.done.borrow_mut().insert(route.to_owned());
    }
}

fn each_change_leaves_a_row(app: &TestApp) {
    let walk = Walk { app, done: RefCell::default() };
    organizations(&walk);
    directories(&walk);
    secrets(&walk);
    receivers(&walk);
    sources(&walk);
    administrators(&walk);
    let mut done = walk.done.into_inner();
    done.extend(LOOKS.map(|(route, _)| route.to_owned()));
    done.extend(DECISIONS.map(str::to_owned));
    assert_eq!(done, changing_routes());
}

/// A hand over of two groups of one name to a directory that has each name once stops, and is called off.
fn disconnection_called_off(walk: &Walk<'_>, organization: &str) {
    let make = |unique: bool| {
        let settings = json!({"profile": {"group_display_name_unique": unique}});
        let body = json!({"organization_id": organization, "name": "Left", "kind": "scim.generic",
            "settings": settings});
        walk.app.api.post("/api/v1/directories", body).expect(201).body
    };
    let (old, new) = (make(false), make(true));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let scim = Client::new(
        &text(&old["scim"]["base_url"]),
        &text(&old["token"]["secret"]),
        "application/scim+json",
    );
    for _ in 0..2 {
        scim.post("/Groups", group("Twins", &[])).expect(201);
    }
    let path = format!("/directories/{}/disconnect", text(&old["id"]));
    let body = json!({"mode": "hand_over", "to": new["id"]});
    walk.app.api.post(&format!("/api/v1{path}"), body).expect(200);
    app_has_finished(walk.app);
    let route = "DELETE /directories/{id}/disconnect";
    walk.act(route, &path, json!({}), "directory.disconnection_called_off");
}

/// What a disconnection leaves to be done is done, so that the next row is the next one's.
fn app_has_finished(app: &TestApp) {
    let service = app.service().clone();
    app.wait(async move { service.finish_disconnects().await }).expect("finished");
    app.wait(app.service().purge_deleted_directories()).expect("purged");
}

fn organizations(walk: &Walk<'_>) {
    let (all, one) = ("POST /organizations", "PATCH /organizations/{id}");
    let id = walk.act(all, "/organizations", json!({"name": "Acme"}), "organization.created").id();
    let path = format!("/organizations/{id}");
    walk.act(one, &path, json!({"name": "Acme Inc"}), "organization.updated");
    let row = newest(walk.app);
    assert_eq!(row["before"], json!({"name": "Acme"}));
    assert_eq!(row["after"], json!({"name": "Acme Inc"}));
    assert_eq!(row["target"], json!({"type": "organization", "id": id, "name": "Acme Inc"}));
    assert_eq!(row["organization_id"], json!(id));
    let primary = "PUT /organizations/{id}/primary_directory";
    let body = json!({"directory_id": null});
    let action = "primary_directory.changed";
    walk.act(primary, &format!("{path}/primary_directory"), body, action);
    let aliases = "POST /organizations/{id}/identities/{identity}/aliases";
    let made = json!({"organization_id": id, "name": "Office", "kind": "scim.generic"});
    let made = walk.app.api.post("/api/v1/directories", made).expect(201);
    let base = made.body["scim"]["base_url"].as_str().expect("a URL").to_owned();
    let token = made.body["token"]["secret"].as_str().expect("a secret").to_owned();
    let scim = Client::new(&base, &token, "application/scim+json");
    scim.post("/Users", user("ada@example.com")).expect(201);
    let list = walk.app.api.get(&format!("/api/v1{path}/identities")).expect(200).body;
    let identity = list["data"][0]["id"].as_str().expect("an identity").to_owned();
    let path = format!("{path}/identities/{identity}/aliases");
    walk.act(aliases, &path, json!({"email": "ada@example.org"}), "identity_alias.created");
    let alias = "DELETE /organizations/{id}/identities/{identity}/aliases/{email}";
    let path = format!("{path}/ada@example.org");
    walk.act(alias, &path, json!({}), "identity_alias.deleted");
    let empty = json!({"name": "Empty"});
    let id = walk.app.api.post("/api/v1/organizations", empty).expect(201).id();
    let one = "DELETE /organizations/{id}";
    walk.act(one, &format!("/organizations/{id}"), json!({}), "organization.deleted");
}

fn directories(walk: &Walk<'_>) {
    let organization = &walk.app.directory.organization_id;
    let body = json!({"organization_id": organization, "name": "Okta", "kind": "scim.okta"});
    let made = walk.act("POST /directories", "/directories", body, "directory.created");
    let path = format!("/directories/{}", made.id());
    let act = |method: &str, rest: &str, body: Value, action: &str| {
        let route = format!("{method} /directories/{{id}}{rest}");
        walk.act(&route, &format!("{path}{rest}"), body, action)
    };
    act("PATCH", "", json!({"settings": {"inactive_users": "delete"}}), "directory.updated");
    let row = newest(walk.app);
    assert_eq!(row["after"], json!({"settings": {"inactive_users": "delete"}}));
    assert_eq!(row["directory_id"], json!(made.id()));
    act("PUT", "/schemas", json!({"schemas": [], "resource_types": []}), "schemas.changed");
    let roles = json!({"data": [{"value": "admin"}]});
    act("PUT", "/roles", roles.clone(), "roles.changed");
    assert_eq!(newest(walk.app)["after"]["admin"]["value"], "admin");
    act("PUT", "/entitlements", roles, "entitlements.changed");
    let overrides = json!({"overrides": {"hold_unknown_members": true}});
    act("PUT", "/profile", overrides, "profile.changed");
    let overrides = json!({"overrides": {"hold_unknown_members": null}});
    act("PATCH", "/profile", overrides, "profile.changed");
    act("PUT", "/brake", json!({"mode": "off"}), "brake.changed");
    let body = json!({"organization_id": organization, "name": "Left", "kind": "scim.generic"});
    let left = walk.app.api.post("/api/v1/directories", body).expect(201).id();
    let disconnect = "POST /directories/{id}/disconnect";
    // The row is looked for: the deletion at the end of a disconnection may have its own already.
    let way = format!("/api/v1/directories/{left}/disconnect");
    let ended = walk.app.api.post(&way, json!({"mode": "deprovision"}));
    assert!((200..300).contains(&ended.status), "{}", ended.text);
    let rows = walk.app.api.get("/api/v1/audit?action=directory.disconnected").expect(200).body;
    assert_eq!(rows["data"][0]["target"]["id"], json!(left));
    assert_eq!(rows["data"][0]["after"], json!({"state": "disabled"}));
    walk.done.borrow_mut().insert(disconnect.to_owned());
    app_has_finished(walk.app);
    disconnection_called_off(walk, organization);
    walk.act("PUT /branding", "/branding", json!({"name": "Acme"}), "branding.changed");
    let map = json!({"attributes": {"title": {"from": "title"}}});
    let map = match walk.app.api.put(&format!("/api/v1{path}/attribute_map"), map.clone()).status {
        200 => map,
        _ => json!({"attributes": {}}),
    };
    act("PUT", "/attribute_map", map, "attribute_map.changed");
    act("PUT", "/role_map", json!({"rules": []}), "role_map.changed");
    let id = act("POST", "/tokens", json!({}), "directory_token.created").id();
    let rotate = "POST /directories/{id}/tokens/{token}/rotate";
    let tokens = format!("{path}/tokens/{id}");
    walk.act(rotate, &format!("{tokens}/rotate"), json!({}), "directory_token.rotated");
    let token = "DELETE /directories/{id}/tokens/{token}";
    walk.act(token, &tokens, json!({}), "directory_token.revoked");
    let client = json!({"auth_method": "client_secret", "name": "App"});
    let id = act("POST", "/oauth_clients", client, "oauth_client.created").id();
    let client = "DELETE /directories/{id}/oauth_clients/{client}";
    walk.act(client, &format!("{path}/oauth_clients/{id}"), json!({}), "oauth_client.deleted");
    act("DELETE", "", json!({}), "directory.deleted");
}

fn secrets(walk: &Walk<'_>) {
    let body = json!({"name": "App", "scopes": ["read"]});
    let id = walk.act("POST /api_keys", "/api_keys", body, "api_key.created").id();
    let path = format!("/api_keys/{id}");
    walk.act("DELETE /api_keys/{id}", &path, json!({}), "api_key.deleted");
    let path = "/signing_keys/rotate";
    walk.act("POST /signing_keys/rotate", path, json!({}), "signing_key.rotated");
    let path = "/secret_keys/rotate";
    walk.act("POST /secret_keys/rotate", path, json!({}), "secret_key.rotated");
}

fn receivers(walk: &Walk<'_>) {
    let (one, path) = ("PUT /consumers/{name}", "/consumers/app");
    walk.act(one, path, json!({"position": "newest"}), "consumer.created");
    walk.act(one, path, json!({"position": 0}), "consumer.moved_back");
    let before = newest(walk.app)["id"].clone();
    let put = json!({"position": "newest"});
    walk.app.api.put("/api/v1/consumers/app", put).expect(200);
    assert_eq!(newest(walk.app)["id"], before, "a consumer gets on without a row");
    walk.act("DELETE /consumers/{name}", path, json!({}), "consumer.deleted");
    let body = json!({"endpoint_url": "https://app.example.com/hook", "state": "paused",
        "events": ["dsync.user.created"]});
    let made =
        walk.act("POST /webhook_endpoints", "/webhook_endpoints", body, "webhook_endpoint.created");
    let path = format!("/webhook_endpoints/{}", made.id());
    let act = |method: &str, rest: &str, body: Value, action: &str| {
        let route = format!("{method} /webhook_endpoints/{{id}}{rest}");
        walk.act(&route, &format!("{path}{rest}"), body, action)
    };
    let events = json!({"events": ["dsync.user.deleted"]});
    act("PATCH", "", events.clone(), "webhook_endpoint.updated");
    assert_eq!(newest(walk.app)["after"], events);
    act("POST", "/rotate", json!({}), "webhook_endpoint.secret_rotated");
    walk.app.scim.post("/Groups", group("Team", &[])).expect(201);
    walk.app.settle_events();
    let range = json!({"after": "oldest", "until": "newest"});
    let replay = act("POST", "/replay", range, "webhook_replay.created").id();
    let cancel = "DELETE /webhook_endpoints/{id}/replays/{replay}";
    let action = "webhook_replay.cancelled";
    walk.act(cancel, &format!("{path}/replays/{replay}"), json!({}), action);
    act("DELETE", "", json!({}), "webhook_endpoint.deleted");
}

fn sources(walk: &Walk<'_>) {
    let organization = &walk.app.directory.organization_id;
    let body = json!({"organization_id": organization, "name": "Staff", "kind": "pull.csv"});
    let id = walk.app.api.post("/api/v1/directories", body).expect(201).id();
    let path = format!("/directories/{id}");
    let before = newest(walk.app)["id"].clone();
    let (file, headers) = (format!("/api/v1{path}/files/users"), [("Content-Type", "text/csv")]);
    let users = "id,userName\n1,ada@example.com\n".to_owned();
    walk.app.api.send("PUT", &file, &headers, Some(users)).expect(200);
    walk.row("PUT /directories/{id}/files/{name}", &before, "source_file.stored");
    let sync = "POST /directories/{id}/sync";
    walk.act(sync, &format!("{path}/sync"), json!({"dry_run": true}), "sync.requested");
    let file = "DELETE /directories/{id}/files/{name}";
    walk.act(file, &format!("{path}/files/users"), json!({}), "source_file.deleted");
}

fn administrators(walk: &Walk<'_>) {
    let body = json!({"email": "ada@example.com", "name": "Ada", "role": "viewer"});
    let id = walk.act("POST /admins", "/admins", body, "administrator.created").id();
    let path = format!("/admins/{id}");
    let invite = "POST /admins/{id}/invitation";
    walk.act(invite, &format!("{path}/invitation"), json!({}), "administrator.invited");
    let one = "PATCH /admins/{id}";
    walk.act(one, &path, json!({"role": "operator"}), "administrator.updated");
    let row = newest(walk.app);
    let roles = (json!({"role": "viewer"}), json!({"role": "operator"}));
    assert_eq!((&row["before"], &row["after"]), (&roles.0, &roles.1));
    let sessions = "DELETE /admins/{id}/sessions";
    walk.act(sessions, &format!("{path}/sessions"), json!({}), "administrator.signed_out");
    walk.act("DELETE /admins/{id}", &path, json!({}), "administrator.deleted");
}
