//! The management API: organizations, directories and tokens.

use std::time::Duration;

use serde_json::{Value, json};

use super::{NOW, api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::{Answer, TestApp};

on_both_databases![
    organization_has_exactly_these_members,
    organization_change_keeps_what_it_does_not_name,
    organization_external_id_is_unique,
    organization_with_a_directory_is_not_deleted,
    directory_has_exactly_these_members,
    directory_change_is_checked,
    push_directory_is_not_pullable,
    token_secret_is_shown_once,
    token_wishes_are_checked,
    list_parameters_are_checked,
    bodies_that_do_not_fit_are_refused,
    value_of_a_wrong_type_is_refused_with_the_name_of_its_field,
    ids_that_nothing_can_have_are_404,
];

/// A second after [`NOW`].
const LATER: &str = "2025-06-15T15:06:41.000Z";

fn organization(app: &TestApp, body: Value) -> Answer {
    app.api.post("/api/v1/organizations", body).expect(201)
}

fn organization_has_exactly_these_members(app: &TestApp) {
    // Lists go from new to old, and ids of one instant have no order.
    app.clock.advance(Duration::from_secs(1));
    let made = organization(app, json!({"name": "Acme", "external_id": "c-1"}));
    let id = made.id();
    assert!(id.starts_with("org_") && id.len() == 30, "{id}");
    let expected = json!({"id": id, "name": "Acme", "external_id": "c-1", "created_at": LATER,
        "updated_at": LATER});
    assert_eq!(made.body, expected);
    let path = format!("/api/v1/organizations/{id}");
    assert_eq!(app.api.get(&path).expect(200).body, expected);
    assert_eq!(app.api.get("/api/v1/organizations").expect(200).body["data"][0], expected);
    assert_eq!(app.api.delete(&path).expect(204).text, "");
    for answer in
        [app.api.get(&path), app.api.patch(&path, json!({"name": "A"})), app.api.delete(&path)]
    {
        api_error(&answer, 404, "entity_not_found");
    }
}

fn organization_change_keeps_what_it_does_not_name(app: &TestApp) {
    let made = organization(app, json!({"name": "Acme", "external_id": "c-1"}));
    let path = format!("/api/v1/organizations/{}", made.id());
    for (change, name, external_id) in [
        (json!({}), "Acme", json!("c-1")),
        (json!({"name": "Acme 2"}), "Acme 2", json!("c-1")),
        (json!({"external_id": "c-2"}), "Acme 2", json!("c-2")),
        (json!({"external_id": null}), "Acme 2", json!(null)),
    ] {
        let changed = app.api.patch(&path, change).expect(200);
        assert_eq!(changed.body["name"], name);
        assert_eq!(changed.body["external_id"], external_id);
        assert_eq!(app.api.get(&path).expect(200).body, changed.body);
    }
}

fn organization_external_id_is_unique(app: &TestApp) {
    organization(app, json!({"name": "A", "external_id": "c-1"}));
    let other = organization(app, json!({"name": "B"}));
    organization(app, json!({"name": "C"}));
    let path = format!("/api/v1/organizations/{}", other.id());
    for answer in [
        app.api.post("/api/v1/organizations", json!({"name": "D", "external_id": "c-1"})),
        app.api.patch(&path, json!({"name": "D", "external_id": "c-1"})),
    ] {
        api_error(&answer, 409, "external_id_taken");
    }
    assert_eq!(app.api.get(&path).expect(200).body, other.body);
}

fn organization_with_a_directory_is_not_deleted(app: &TestApp) {
    let path = format!("/api/v1/organizations/{}", app.directory.organization_id);
    let answer = app.api.delete(&path);
    api_error(&answer, 409, "organization_has_directories");
    app.api.get(&path).expect(200);
    app.scim.get("/Users").expect(200);
}

fn directory_has_exactly_these_members(app: &TestApp) {
    app.clock.advance(Duration::from_secs(1));
    let organization = app.directory.organization_id.as_str();
    let body = json!({"organization_id": organization, "name": "Okta", "kind": "scim.okta"});
    let made = app.api.post("/api/v1/directories", body).expect(201);
    let id = made.id();
    let key = id.strip_prefix("directory_").expect("a directory's id");
    let secret = made.body["token"]["secret"].as_str().expect("a secret");
    assert!(secret.starts_with("rbd_"), "{secret}");
    let mut expected = json!({
        "id": id,
        "organization_id": organization,
        "external_key": key,
        "name": "Okta",
        "kind": "scim.okta",
        "state": "linked",
        "primary": false,
        "scim": {
            "base_url": format!("{}/scim/v2/{key}", app.url),
            "v1_base_url": format!("{}/scim/v1/{key}", app.url),
        },
        "settings": {},
        "client": {
            "expected": "okta",
            "detected": null,
            "confidence": null,
            "evidence": [],
            "first_seen": null,
            "last_seen": null,
            "matches": null,
        },
        "metadata": {"users": {"active": 0, "inactive": 0}, "groups": 0},
        "last_request_at": null,
        "last_sync_at": null,
        "last_sync_counts": null,
        "last_error": null,
        "created_at": LATER,
        "updated_at": LATER,
    });
    let path = format!("/api/v1/directories/{id}");
    assert_eq!(app.api.get(&path).expect(200).body, expected);
    let list = app.api.get(&format!("/api/v1/directories?organization_id={organization}"));
    assert_eq!(list.expect(200).body["data"][0], expected);
    expected["token"] = json!({
        "id": made.body["token"]["id"],
        "secret": secret,
        "suffix": secret.get(secret.len() - 4..),
        "scope": "write",
        "user_id": null,
        "expires_at": null,
        "last_used_at": null,
        "created_at": LATER,
        "made_by": "configured",
    });
    assert_eq!(made.body, expected);
    app.api.delete(&path).expect(202);
    app.wait(app.service().purge_deleted_directories()).expect("purged");
    api_error(&app.api.get(&path), 404, "entity_not_found");
}

fn directory_change_is_checked(app: &TestApp) {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    let before = app.api.get(&path).expect(200).body["updated_at"].clone();
    for (change, field) in [
        (json!({"name": " "}), "name"),
        (json!({"name": "a".repeat(513)}), "name"),
        (json!({"name": "a\u{0}"}), "name"),
        (json!({"state": "deleting"}), "state"),
        (json!({"state": "error"}), "state"),
        (json!({"config": {"url": "x"}}), "config"),
    ] {
        assert_invalid(&app.api.patch(&path, change), field);
    }
    let shown = app.api.get(&path).expect(200);
    assert_eq!((&shown.body["name"], &shown.body["updated_at"]), (&json!("Directory"), &before));
    let organization = app.directory.organization_id.as_str();
    for (wrong, field) in [
        (json!({"name": ""}), "name"),
        (json!({"kind": "scim.unheard"}), "kind"),
        (json!({"kind": "okta"}), "kind"),
        (json!({"config": {"x": 1}}), "config"),
    ] {
        let mut body = json!({"organization_id": organization, "name": "D", "kind": "scim.okta"});
        body.as_object_mut().expect("an object").extend(wrong.as_object().expect("one").clone());
        assert_invalid(&app.api.post("/api/v1/directories", body), field);
    }
    let unknown = json!({"organization_id": "org_x", "name": "D", "kind": "scim.okta"});
    api_error(&app.api.post("/api/v1/directories", unknown), 404, "entity_not_found");
    let list = app.api.get(&format!("/api/v1/directories?organization_id={organization}"));
    assert_eq!(list.expect(200).body["data"].as_array().map(Vec::len), Some(1));
}

fn push_directory_is_not_pullable(app: &TestApp) {
    for action in ["test", "sync"] {
        let path = format!("/api/v1/directories/{}/{action}", app.directory.id);
        api_error(&app.api.post(&path, json!({})), 409, "not_pullable");
        let answer = app.api.post(&format!("/api/v1/directories/x/{action}"), json!({}));
        api_error(&answer, 404, "entity_not_found");
    }
}

fn token_secret_is_shown_once(app: &TestApp) {
    let path = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let user = app.scim.post("/Users", json!({"userName": "ada"})).expect(201).id();
    let wishes = json!({"expires_at": "2031-01-01T00:00:00Z", "scope": "read", "user_id": user});
    let made = app.api.post(&path, wishes).expect(201);
    let secret = made.body["secret"].as_str().expect("a secret");
    assert!(made.id().starts_with("directory_token_"), "{}", made.id());
    let mut expected = json!({
        "id": made.id(),
        "suffix": secret.get(secret.len() - 4..),
        "scope": "read",
        "user_id": user,
        "expires_at": "2031-01-01T00:00:00.000Z",
        "last_used_at": null,
        "created_at": NOW,
        "made_by": "configured",
    });
    let list = app.api.get(&path).expect(200);
    let shown = list.body["data"].as_array().expect("a list");
    assert_eq!(shown.len(), 2);
    assert!(shown.contains(&expected), "{}", list.text);
    for known in [secret, &app.directory.token] {
        assert!(!list.text.contains(known), "{}", list.text);
    }
    expected["secret"] = json!(secret);
    assert_eq!(made.body, expected);
}

fn token_wishes_are_checked(app: &TestApp) {
    let path = format!("/api/v1/directories/{}/tokens", app.directory.id);
    for (wishes, field) in [
        (json!({"expires_at": "tomorrow"}), "expires_at"),
        (json!({"expires_at": NOW}), "expires_at"),
        (json!({"user_id": "nobody"}), "user_id"),
        (json!({"user_id": "a\u{0}"}), "user_id"),
    ] {
        assert_invalid(&app.api.post(&path, wishes), field);
    }
    let answer = app.api.post("/api/v1/directories/x/tokens", json!({}));
    api_error(&answer, 404, "entity_not_found");
    let (other, _) = app.directory("scim.generic");
    let foreign = format!("{path}/{}", other.token_id);
    api_error(&app.api.delete(&foreign), 404, "entity_not_found");
    let list = app.api.get(&path).expect(200);
    assert_eq!(list.body["data"].as_array().map(Vec::len), Some(1));
}

fn list_parameters_are_checked(app: &TestApp) {
    let tokens = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let lists = ["/api/v1/organizations", "/api/v1/directories", "/api/v1/api_keys", &tokens];
    for path in lists {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=-1", "limit"),
            ("limit=many", "limit"),
            ("after=a&before=b", "after"),
            ("limit=%FF", "query"),
            ("after=%00", "query"),
        ] {
            assert_invalid(&app.api.get(&format!("{path}?{query}")), field);
        }
        for query in ["limit=500", "limit=", "after=zzz", "before=0", "unknown=1"] {
            let list = app.api.get(&format!("{path}?{query}")).expect(200);
            assert!(list.body["data"].is_array(), "{path}?{query}");
        }
    }
    let list = app.api.get("/api/v1/directories?organization_id=org_x").expect(200);
    assert_eq!(list.body["data"], json!([]));
}

fn bodies_that_do_not_fit_are_refused(app: &TestApp) {
    let path = "/api/v1/organizations";
    let before = app.api.get(path).expect(200).body;
    for text in ["", "{", "[]", "null", "\"name\""] {
        let answer = app.api.send("POST", path, &[], Some(text.to_owned()));
        api_error(&answer, 400, "invalid_request");
    }
    for (body, named) in [(json!({}), "name"), (json!({"name": "A", "colour": "red"}), "colour")] {
        let message = api_error(&app.api.post(path, body), 422, "invalid_request_parameters");
        assert!(message.contains(named), "{message}");
    }
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "a\u{0}"}), "name"),
        (json!({"name": "A", "external_id": "a\u{0}"}), "external_id"),
    ] {
        assert_invalid(&app.api.post(path, body), field);
    }
    let media = [("Content-Type", "text/plain")];
    let answer = app.api.send("POST", path, &media, Some("{\"name\":\"A\"}".into()));
    api_error(&answer, 415, "unsupported_media_type");
    let huge = format!("{}{{}}", " ".repeat(1024 * 1024));
    let answer = app.api.send("POST", path, &[], Some(huge));
    api_error(&answer, 413, "payload_too_large");
    assert_eq!(app.api.get(path).expect(200).body, before);
}

fn value_of_a_wrong_type_is_refused_with_the_name_of_its_field(app: &TestApp) {
    let tokens = format!("/api/v1/directories/{}/tokens", app.directory.id);
    for (path, body, named) in [
        ("/api/v1/organizations", json!({"name": 7}), ["name", "7"]),
        ("/api/v1/api_keys", json!({"name": "K", "scopes": ["all"]}), ["scopes", "all"]),
        ("/api/v1/api_keys", json!({"name": "K", "scopes": "all"}), ["scopes", "all"]),
        (&tokens, json!({"scope": "admin"}), ["scope", "admin"]),
        (&tokens, json!({"scop": "read"}), ["scop", "scope"]),
    ] {
        let message = api_error(&app.api.post(path, body), 422, "invalid_request_parameters");
        for word in named {
            assert!(message.contains(word), "no {word} in {message}");
        }
    }
}

fn ids_that_nothing_can_have_are_404(app: &TestApp) {
    for id in ["x", "%00", "org_%C3%A9", "%FF"] {
        for (method, path) in [
            ("GET", format!("/api/v1/organizations/{id}")),
            ("PATCH", format!("/api/v1/organizations/{id}")),
            ("DELETE", format!("/api/v1/organizations/{id}")),
            ("GET", format!("/api/v1/directories/{id}")),
            ("PATCH", format!("/api/v1/directories/{id}")),
            ("DELETE", format!("/api/v1/directories/{id}")),
            ("GET", format!("/api/v1/directories/{id}/tokens")),
            ("DELETE", format!("/api/v1/directories/{}/tokens/{id}", app.directory.id)),
            ("DELETE", format!("/api/v1/api_keys/{id}")),
        ] {
            let body = (method == "PATCH").then(|| "{\"name\":\"A\"}".to_owned());
            let answer = app.api.send(method, &path, &[], body);
            api_error(&answer, 404, "entity_not_found");
        }
    }
    let body = json!({"organization_id": "\u{0}", "name": "D", "kind": "scim.okta"});
    assert_invalid(&app.api.post("/api/v1/directories", body), "organization_id");
}
