//! The management API: API keys, and what a limited key reaches; the lists of all.

use serde_json::{Value, json};

use super::{NOW, api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::{Client, TestApp};

on_both_databases![
    api_key_secret_is_shown_once,
    api_key_wishes_are_checked,
    lists_go_from_new_to_old_in_pages,
    limited_key_reaches_its_organizations_only,
];

fn api_key_secret_is_shown_once(app: &TestApp) {
    let organization = app.directory.organization_id.as_str();
    let body = json!({"name": "App", "scopes": ["read", "ssf.manage"],
        "organization_ids": [organization], "expires_at": "2031-01-01T00:00:00Z"});
    let made = app.api.post("/api/v1/api_keys", body).expect(201);
    let secret = made.body["secret"].as_str().expect("a secret");
    assert!(secret.starts_with("sk_") && made.id().starts_with("api_key_"), "{}", made.text);
    let mut expected = json!({
        "id": made.id(),
        "name": "App",
        "suffix": secret.get(secret.len() - 4..),
        "scopes": ["read", "ssf.manage"],
        "organization_ids": [organization],
        "expires_at": "2031-01-01T00:00:00.000Z",
        "last_used_at": null,
        "created_at": NOW,
    });
    let list = app.api.get("/api/v1/api_keys").expect(200);
    assert_eq!(list.body["data"], json!([expected]));
    expected["secret"] = json!(secret);
    assert_eq!(made.body, expected);
    let path = format!("/api/v1/api_keys/{}", made.id());
    app.api.delete(&path).expect(204);
    api_error(&app.api.delete(&path), 404, "entity_not_found");
}

fn api_key_wishes_are_checked(app: &TestApp) {
    for (wishes, field) in [
        (json!({"name": "", "scopes": ["read"]}), "name"),
        (json!({"name": "K", "scopes": []}), "scopes"),
        (json!({"name": "K", "scopes": ["read"], "expires_at": "x"}), "expires_at"),
        (json!({"name": "K", "scopes": ["read"], "organization_ids": ["x"]}), "organization_ids"),
        (
            json!({"name": "K", "scopes": ["read"], "organization_ids": vec!["org_x"; 101]}),
            "organization_ids",
        ),
        (
            json!({"name": "K", "scopes": ["read"], "organization_ids": ["\u{0}"]}),
            "organization_ids",
        ),
    ] {
        assert_invalid(&app.api.post("/api/v1/api_keys", wishes), field);
    }
    let unknown = json!({"name": "K", "scopes": ["everything"]});
    let answer = app.api.post("/api/v1/api_keys", unknown);
    let message = api_error(&answer, 422, "invalid_request_parameters");
    for word in ["everything", "read", "webhooks", "manage", "admins", "ssf.manage"] {
        assert!(message.contains(word), "{message}");
    }
    assert_eq!(app.api.get("/api/v1/api_keys").expect(200).body["data"], json!([]));
}

/// The names of a page and its cursors.
fn page(client: &Client, query: &str) -> (Vec<String>, Value, Value) {
    let list = client.get(&format!("/api/v1/api_keys?{query}")).expect(200);
    let data = list.body["data"].as_array().expect("a list");
    let names = data.iter().map(|k| k["name"].as_str().expect("a name").to_owned()).collect();
    let cursors = &list.body["list_metadata"];
    (names, cursors["before"].clone(), cursors["after"].clone())
}

fn lists_go_from_new_to_old_in_pages(app: &TestApp) {
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        let body = json!({"name": name, "scopes": ["read"]});
        ids.push(json!(app.api.post("/api/v1/api_keys", body).expect(201).id()));
        app.clock.advance(std::time::Duration::from_millis(1));
    }
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let id = |index: usize| ids.get(index).cloned().expect("made above");
    let cursor = |index: usize| id(index).as_str().expect("text").to_owned();
    let none = json!(null);
    for (query, shown, before, after) in [
        (String::new(), names(&["e", "d", "c", "b", "a"]), none.clone(), none.clone()),
        ("limit=2".into(), names(&["e", "d"]), none.clone(), id(3)),
        (format!("limit=2&after={}", cursor(3)), names(&["c", "b"]), id(2), id(1)),
        (format!("limit=2&after={}", cursor(1)), names(&["a"]), id(0), none.clone()),
        (format!("limit=2&before={}", cursor(0)), names(&["c", "b"]), id(2), id(1)),
        (format!("limit=2&before={}", cursor(2)), names(&["e", "d"]), none.clone(), id(3)),
        ("limit=500".into(), names(&["e", "d", "c", "b", "a"]), none.clone(), none.clone()),
    ] {
        assert_eq!(page(&app.api, &query), (shown, before, after), "{query}");
    }
    // A cursor goes on working when its row is gone.
    app.api.delete(&format!("/api/v1/api_keys/{}", cursor(3))).expect(204);
    assert_eq!(page(&app.api, &format!("after={}", cursor(3))).0, names(&["c", "b", "a"]));
}

fn limited_key_reaches_its_organizations_only(app: &TestApp) {
    let (foreign, _) = app.directory("scim.generic");
    let own = &app.directory;
    let body = json!({"name": "Limited", "scopes": ["manage"],
        "organization_ids": [own.organization_id]});
    let made = app.api.post("/api/v1/api_keys", body).expect(201);
    let key = app.api.with_bearer(made.body["secret"].as_str());
    key.get(&format!("/api/v1/organizations/{}", own.organization_id)).expect(200);
    key.get(&format!("/api/v1/directories/{}", own.id)).expect(200);
    for (path, id) in
        [("/api/v1/organizations", &own.organization_id), ("/api/v1/directories", &own.id)]
    {
        let list = key.get(path).expect(200);
        let data = list.body["data"].as_array().expect("a list");
        let ids: Vec<&str> = data.iter().filter_map(|row| row["id"].as_str()).collect();
        assert_eq!(ids, [id.as_str()], "{path}");
    }
    // The operator's id of an organization is unique: to set it would tell who has it.
    let mine = format!("/api/v1/organizations/{}", own.organization_id);
    for external_id in [json!("customer-1"), json!(null)] {
        let answer = key.patch(&mine, json!({"external_id": external_id}));
        api_error(&answer, 403, "forbidden");
    }
    assert_eq!(key.patch(&mine, json!({"name": "Mine"})).expect(200).body["name"], "Mine");
    let organization = format!("/api/v1/organizations/{}", foreign.organization_id);
    let directory = format!("/api/v1/directories/{}", foreign.id);
    let theirs = json!({"organization_id": foreign.organization_id, "name": "D",
        "kind": "scim.okta"});
    for answer in [
        key.get(&organization),
        key.patch(&organization, json!({"name": "Mine"})),
        key.delete(&organization),
        key.get(&directory),
        key.patch(&directory, json!({"name": "Mine"})),
        key.delete(&directory),
        key.get(&format!("{directory}/tokens")),
        key.post(&format!("{directory}/tokens"), json!({})),
        key.delete(&format!("{directory}/tokens/{}", foreign.token_id)),
        key.post(&format!("{directory}/sync"), json!({})),
        key.post("/api/v1/directories", theirs),
    ] {
        api_error(&answer, 404, "entity_not_found");
    }
    for answer in [
        key.post("/api/v1/organizations", json!({"name": "New"})),
        key.get("/api/v1/api_keys"),
        key.post("/api/v1/api_keys", json!({"name": "More", "scopes": ["manage"]})),
        key.delete(&format!("/api/v1/api_keys/{}", made.id())),
    ] {
        api_error(&answer, 403, "forbidden");
    }
    let answer =
        key.get(&format!("/api/v1/directories?organization_id={}", foreign.organization_id));
    assert_invalid(&answer, "organization_id");
    assert_eq!(app.api.get(&directory).expect(200).body["name"], "Directory");
}
