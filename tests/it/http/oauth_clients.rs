//! OAuth clients in the management API: made, shown, removed, and only where they belong.

use serde_json::json;

use super::{api_error, assert_invalid, client_with_secret, oauth_client};
use crate::on_both_databases;
use crate::support::{SigningKey, TestApp};

on_both_databases![
    client_is_made_with_a_secret_that_is_shown_once,
    client_that_signs_has_keys_and_no_secret,
    wrong_input_is_refused_with_the_field,
    clients_are_listed_by_page,
    client_of_another_directory_is_404,
    limited_api_key_reaches_only_clients_of_its_organizations,
    deleting_a_directory_takes_its_clients,
];

fn path(app: &TestApp) -> String {
    format!("/api/v1/directories/{}/oauth_clients", app.directory.id)
}

fn client_is_made_with_a_secret_that_is_shown_once(app: &TestApp) {
    let body = json!({
        "name": "Ping", "auth_method": "client_secret", "scope": "read",
        "expires_at": "2031-01-01T00:00:00Z",
    });
    let made = app.api.post(&path(app), body).expect(201);
    let secret = made.body["client_secret"].as_str().expect("a secret").to_owned();
    let id = made.id();
    assert!(id.starts_with("oauth_client_") && secret.starts_with("rbc_"), "{}", made.text);
    assert!(secret.ends_with(made.body["suffix"].as_str().expect("a suffix")));
    assert_eq!(made.body["client_id"], id.as_str());
    assert_eq!(made.body["name"], "Ping");
    assert_eq!(made.body["auth_method"], "client_secret");
    assert_eq!(made.body["scope"], "read");
    assert_eq!(made.body["jwks"], json!(null));
    assert_eq!(made.body["expires_at"], "2031-01-01T00:00:00.000Z");
    assert_eq!(made.body["last_used_at"], json!(null));
    assert_eq!(made.body["token_endpoint"], format!("{}/oauth/token", app.url));
    let mut shown = made.body.clone();
    shown.as_object_mut().expect("an object").shift_remove("client_secret");
    let one = app.api.get(&format!("{}/{id}", path(app))).expect(200);
    assert_eq!(one.body, shown);
    let list = app.api.get(&path(app)).expect(200);
    assert_eq!(list.body["data"], json!([shown]));
    assert!(!one.text.contains(&secret) && !list.text.contains("argon2"));
    app.api.delete(&format!("{}/{id}", path(app))).expect(204);
    api_error(&app.api.get(&format!("{}/{id}", path(app))), 404, "entity_not_found");
    api_error(&app.api.delete(&format!("{}/{id}", path(app))), 404, "entity_not_found");
}

fn client_that_signs_has_keys_and_no_secret(app: &TestApp) {
    let (rsa, ec) = (SigningKey::rsa().jwk("a"), SigningKey::ec().jwk("b"));
    let jwks = json!({"keys": [rsa, ec]});
    let body = json!({"auth_method": "private_key_jwt", "jwks": jwks});
    let (_, made) = oauth_client(app, body);
    assert_eq!(made.body["auth_method"], "private_key_jwt");
    assert_eq!(made.body["jwks"], jwks);
    assert_eq!(made.body["suffix"], json!(null));
    assert_eq!(made.body["scope"], "write");
    assert!(made.body.get("client_secret").is_none());
}

fn wrong_input_is_refused_with_the_field(app: &TestApp) {
    let key = SigningKey::rsa().jwk("a");
    let mut private = key.clone();
    private["d"] = json!("AQAB");
    let mut small = key.clone();
    small["n"] = json!("AQAB");
    let many: Vec<_> = (0..21).map(|n| SigningKey::rsa().jwk(&n.to_string())).collect();
    for (body, field) in [
        (json!({}), "auth_method"),
        (json!({"auth_method": "none"}), "auth_method"),
        (json!({"auth_method": "client_secret", "scope": "admin"}), "scope"),
        (json!({"auth_method": "client_secret", "name": " "}), "name"),
        (json!({"auth_method": "client_secret", "name": "a\u{0}b"}), "name"),
        (
            json!({"auth_method": "client_secret", "expires_at": "2001-01-01T00:00:00Z"}),
            "expires_at",
        ),
        (json!({"auth_method": "client_secret", "expires_at": "soon"}), "expires_at"),
        (json!({"auth_method": "client_secret", "jwks": {"keys": [key]}}), "jwks"),
        (json!({"auth_method": "private_key_jwt"}), "jwks"),
        (json!({"auth_method": "private_key_jwt", "jwks": []}), "jwks"),
        (json!({"auth_method": "private_key_jwt", "jwks": "https://x/keys"}), "jwks"),
        (json!({"auth_method": "private_key_jwt", "jwks": {"keys": []}}), "jwks.keys"),
        (json!({"auth_method": "private_key_jwt", "jwks": {"keys": many}}), "jwks.keys"),
        (json!({"auth_method": "private_key_jwt", "jwks": {"keys": [private]}}), "jwks.keys[0].d"),
        (json!({"auth_method": "private_key_jwt", "jwks": {"keys": [small]}}), "jwks.keys[0].n"),
        (
            json!({"auth_method": "private_key_jwt", "jwks": {"keys": [key, key]}}),
            "jwks.keys[1].kid",
        ),
        (
            json!({"auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct"}]}}),
            "jwks.keys[0].kty",
        ),
    ] {
        let answer = app.api.post(&path(app), body.clone());
        if field == "auth_method" && body.get("auth_method").is_none() {
            api_error(&answer, 422, "invalid_request_parameters");
        } else {
            assert_invalid(&answer, field);
        }
    }
    let unknown = json!({"auth_method": "client_secret", "redirect_uris": []});
    let answer = app.api.post(&path(app), unknown);
    let message = api_error(&answer, 422, "invalid_request_parameters");
    assert!(message.contains("redirect_uris"), "{message}");
    let large =
        json!({"auth_method": "private_key_jwt", "jwks": {"keys": [key], "x": "x".repeat(40_000)}});
    assert_invalid(&app.api.post(&path(app), large), "jwks");
    assert_eq!(app.api.get(&path(app)).expect(200).body["data"], json!([]));
}

fn clients_are_listed_by_page(app: &TestApp) {
    let ids: Vec<String> = (0..3).map(|_| client_with_secret(app, json!({})).0).collect();
    let first = app.api.get(&format!("{}?limit=2", path(app))).expect(200);
    assert_eq!(first.body["data"][0]["id"], ids[2].as_str());
    let after = first.body["list_metadata"]["after"].as_str().expect("a cursor");
    let rest = app.api.get(&format!("{}?limit=2&after={after}", path(app))).expect(200);
    assert_eq!(rest.body["data"].as_array().expect("a list").len(), 1);
    assert_eq!(rest.body["data"][0]["id"], ids[0].as_str());
}

fn client_of_another_directory_is_404(app: &TestApp) {
    let (id, _) = client_with_secret(app, json!({}));
    let (other, _) = app.directory("scim.generic");
    let foreign = format!("/api/v1/directories/{}/oauth_clients", other.id);
    api_error(&app.api.get(&format!("{foreign}/{id}")), 404, "entity_not_found");
    api_error(&app.api.delete(&format!("{foreign}/{id}")), 404, "entity_not_found");
    assert_eq!(app.api.get(&foreign).expect(200).body["data"], json!([]));
    app.api.get(&format!("{}/{id}", path(app))).expect(200);
    // Nor does a token's path reach it.
    let tokens = format!("/api/v1/directories/{}/tokens/{id}", app.directory.id);
    api_error(&app.api.delete(&tokens), 404, "entity_not_found");
}

fn limited_api_key_reaches_only_clients_of_its_organizations(app: &TestApp) {
    let (other, _) = app.directory("scim.generic");
    let key = json!({
        "name": "Other", "scopes": ["manage"], "organization_ids": [other.organization_id],
    });
    let key = app.api.post("/api/v1/api_keys", key).expect(201);
    let limited = app.api.with_bearer(key.body["secret"].as_str());
    let (id, _) = client_with_secret(app, json!({}));
    let one = format!("{}/{id}", path(app));
    for answer in [
        limited.get(&path(app)),
        limited.post(&path(app), json!({"auth_method": "client_secret"})),
        limited.get(&one),
        limited.delete(&one),
        limited.post(
            &format!(
                "/api/v1/directories/{}/tokens/{}/rotate",
                app.directory.id, app.directory.token_id
            ),
            json!({"overlap": 0}),
        ),
    ] {
        api_error(&answer, 404, "entity_not_found");
    }
    app.api.get(&one).expect(200);
    app.scim.get("/Users").expect(200);
}

fn deleting_a_directory_takes_its_clients(app: &TestApp) {
    let (id, secret) = client_with_secret(app, json!({}));
    let token = super::access_token(app, &id, &secret);
    app.api.delete(&format!("/api/v1/directories/{}", app.directory.id)).expect(202);
    super::invalid_token(app.scim.with_bearer(Some(&token)).get("/Users"));
    let form =
        [("grant_type", "client_credentials"), ("client_id", &*id), ("client_secret", &*secret)];
    super::oauth_error(&super::ask_token(&app.url, &[], &form), 401, "invalid_client");
    let service = std::sync::Arc::clone(app.service());
    app.wait(async move { service.purge_deleted_directories().await }).expect("purged");
    let service = std::sync::Arc::clone(app.service());
    let left =
        app.wait(
            async move { service.store.read("client", move |tx| tx.oauth_client_get(&id)).await },
        );
    assert!(left.expect("read").is_none());
}
