//! Who is let in, and to what (RFC 7644 §2, RFC 6750 §3).

use std::time::Duration;

use serde_json::{Value, json};

use super::{api_error, assert_nothing_stored, create, plain_user};
use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp, group, patch};

on_both_databases![
    missing_or_wrong_token_is_401_before_anything_else,
    scheme_is_read_in_any_letter_case,
    token_without_a_scheme_is_accepted,
    api_key_is_401_for_scim_and_directory_token_for_the_management_api,
    token_of_another_directory_is_403,
    ids_of_another_directory_are_404_under_every_method,
    read_only_token_reads_and_is_403_for_writes,
    expired_token_is_401,
    revoked_token_is_401_at_once_and_others_go_on,
    paused_directory_is_503_once_the_token_was_checked,
    disabled_directory_is_403_once_the_token_was_checked,
    deleted_directory_is_401_for_its_tokens,
    many_wrong_secrets_for_one_id_are_429,
    api_keys_expire_and_are_revoked,
    api_key_without_the_scope_manage_is_403,
];

/// A request with each method, on lists, resources, discovery and nonsense.
fn knock(client: &Client) -> Vec<Answer> {
    let operations = patch(json!([{"op": "replace", "path": "title", "value": "x"}]));
    vec![
        client.get("/Users"),
        client.get("/Users/x"),
        client.get("/Groups?filter=nonsense"),
        client.get("/Schemas"),
        client.get("/Nothing/of/this"),
        client.post("/Users", plain_user("eve")),
        client.post("/Groups", json!("not an object")),
        client.put("/Users/x", plain_user("eve")),
        client.patch("/Users/x", operations),
        client.delete("/Users/x"),
        client.delete("/Users"),
    ]
}

#[track_caller]
fn assert_unauthorized(client: &Client) {
    for answer in knock(client) {
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"rollbook\""));
        answer.expect_scim_error(401, None);
    }
}

/// The secret with its last character changed.
fn forged(secret: &str) -> String {
    let last = if secret.ends_with('A') { 'B' } else { 'A' };
    let mut forged = secret.to_owned();
    forged.pop();
    forged.push(last);
    forged
}

fn missing_or_wrong_token_is_401_before_anything_else(app: &TestApp) {
    assert_unauthorized(&app.scim.with_bearer(None));
    let unknown = format!("rbd_01ARZ3NDEKTSV4RRFFQ69G5FAV{}", "a".repeat(43));
    for bearer in ["", "x", "rbd_", "rbd_short", unknown.as_str()] {
        assert_unauthorized(&app.scim.with_bearer(Some(bearer)));
    }
    let wrong = forged(&app.directory.token);
    let answer = app.scim.with_bearer(Some(&wrong)).get("/Users");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"rollbook\""));
    answer.expect_scim_error(401, None);
    for header in ["Basic dXNlcjpwYXNz", "Basic", "Bearer", "Digest x", "Token a b", &wrong] {
        let answer = app.scim.send("GET", "/Users", &[("Authorization", header)], None);
        answer.expect_scim_error(401, None);
    }
    assert_nothing_stored(app);
}

/// Okta's "HTTP Header" sends the token as it was pasted.
fn token_without_a_scheme_is_accepted(app: &TestApp) {
    let token = app.directory.token.as_str();
    for header in [token.to_owned(), format!(" {token} ")] {
        app.scim.send("GET", "/Users", &[("Authorization", &header)], None).expect(200);
    }
    // Only over SCIM: the management API names its scheme.
    let key = app.api.bearer.clone().expect("a key");
    let path = "/api/v1/organizations";
    let answer = app.api.send("GET", path, &[("Authorization", &key)], None);
    api_error(&answer, 401, "unauthorized");
}

fn scheme_is_read_in_any_letter_case(app: &TestApp) {
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let header = format!("{scheme} {}", app.directory.token);
        app.scim.send("GET", "/Users", &[("Authorization", &header)], None).expect(200);
    }
}

fn new_key(app: &TestApp, scopes: Value, expires_at: Value) -> (String, Client) {
    let body = json!({"name": "Key", "scopes": scopes, "expires_at": expires_at});
    let key = app.api.post("/api/v1/api_keys", body).expect(201);
    let secret = key.body["secret"].as_str().expect("a secret");
    (key.id(), app.api.with_bearer(Some(secret)))
}

fn api_key_is_401_for_scim_and_directory_token_for_the_management_api(app: &TestApp) {
    let (_, key) = new_key(app, json!(["manage"]), json!(null));
    key.get("/api/v1/organizations").expect(200);
    assert_unauthorized(&app.scim.with_bearer(key.bearer.as_deref()));
    assert_unauthorized(&app.scim.with_bearer(app.api.bearer.as_deref()));
    for bearer in [Some(app.directory.token.as_str()), Some("sk_wrong"), Some(""), None] {
        let client = app.api.with_bearer(bearer);
        let directory = format!("/api/v1/directories/{}", app.directory.id);
        for answer in [
            client.get("/api/v1/organizations"),
            client.post("/api/v1/organizations", json!({"name": "Evil"})),
            client.get(&directory),
            client.patch(&directory, json!({"state": "disabled"})),
            client.delete(&directory),
            client.post(&format!("{directory}/tokens"), json!({})),
            client.post("/api/v1/api_keys", json!({"name": "Evil", "scopes": ["manage"]})),
        ] {
            api_error(&answer, 401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"rollbook\""));
        }
    }
    app.scim.get("/Users").expect(200);
    assert_nothing_stored(app);
}

fn token_of_another_directory_is_403(app: &TestApp) {
    let (other, _) = app.directory("scim.generic");
    let foreign = app.scim.with_bearer(Some(&other.token));
    for answer in knock(&foreign) {
        let detail = answer.expect_scim_error(403, None);
        assert!(detail.contains("another directory"), "{detail}");
    }
    assert_nothing_stored(app);
    // Without a key in the path the token alone names the directory.
    let mut bare = foreign;
    bare.base = format!("{}/scim/v2", app.url);
    let id = create(&bare, "/Users", plain_user("eve"));
    let read = bare.get(&format!("/Users/{id}")).expect(200);
    let location = format!("{}/Users/{id}", other.base_url);
    assert_eq!(read.body["meta"]["location"], location);
    assert_nothing_stored(app);
}

fn ids_of_another_directory_are_404_under_every_method(app: &TestApp) {
    let (directory, other) = app.directory("scim.generic");
    let user = create(&other, "/Users", plain_user("eve"));
    let staff = create(&other, "/Groups", group("Staff", &[&user]));
    let told = app.events(&directory).len();
    for (path, body) in [
        (format!("/Users/{user}"), plain_user("eve")),
        (format!("/Groups/{staff}"), group("Staff", &[])),
    ] {
        let operations = json!([{"op": "replace", "path": "displayName", "value": "x"}]);
        for answer in [
            app.scim.get(&path),
            app.scim.put(&path, body),
            app.scim.patch(&path, patch(operations)),
            app.scim.delete(&path),
        ] {
            answer.expect_scim_error(404, None);
        }
        other.get(&path).expect(200);
    }
    let filter = format!("id eq \"{user}\"");
    assert_eq!(app.scim.filter("/Users", &filter).total(), 0);
    assert_eq!(app.scim.filter("/Users", &format!("{filter} or userName pr")).total(), 0);
    let answer = app.scim.post("/Groups", group("Mine", &[&user]));
    answer.expect_scim_error(400, Some("invalidValue"));
    assert_nothing_stored(app);
    assert_eq!(app.events(&directory).len(), told);
}

/// Another token of the test's directory.
fn new_token(app: &TestApp, body: Value) -> (String, Client) {
    let path = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let token = app.api.post(&path, body).expect(201);
    let secret = token.body["secret"].as_str().expect("a secret");
    (token.id(), app.scim.with_bearer(Some(secret)))
}

fn read_only_token_reads_and_is_403_for_writes(app: &TestApp) {
    let made = app.scim.post("/Users", plain_user("ada")).expect(201);
    let path = format!("/Users/{}", made.id());
    let (_, reader) = new_token(app, json!({"scope": "read"}));
    for read in ["/Users", &path, "/Schemas", "/ServiceProviderConfig"] {
        reader.get(read).expect(200);
    }
    assert_eq!(reader.send("HEAD", &path, &[], None).expect(200).text, "");
    let operations = json!([{"op": "replace", "path": "title", "value": "x"}]);
    for answer in [
        reader.post("/Users", plain_user("eve")),
        reader.put(&path, plain_user("eve")),
        reader.patch(&path, patch(operations)),
        reader.delete(&path),
    ] {
        let detail = answer.expect_scim_error(403, None);
        assert!(detail.contains("read"), "{detail}");
    }
    assert_eq!(app.scim.get("/Users").expect(200).body["Resources"], json!([made.body]));
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

fn expired_token_is_401(app: &TestApp) {
    let (_, client) = new_token(app, json!({"expires_at": "2025-06-15T15:06:43Z"}));
    client.get("/Users").expect(200);
    app.clock.advance(Duration::from_millis(2_999));
    client.get("/Users").expect(200);
    app.clock.advance(Duration::from_millis(1));
    assert_unauthorized(&client);
    app.clock.advance(Duration::from_secs(60));
    assert_unauthorized(&client);
    app.scim.get("/Users").expect(200);
    assert_nothing_stored(app);
}

fn revoked_token_is_401_at_once_and_others_go_on(app: &TestApp) {
    let (id, client) = new_token(app, json!({}));
    client.get("/Users").expect(200);
    let path = format!("/api/v1/directories/{}/tokens/{id}", app.directory.id);
    app.api.delete(&path).expect(204);
    assert_unauthorized(&client);
    app.scim.get("/Users").expect(200);
    api_error(&app.api.delete(&path), 404, "entity_not_found");
    assert_nothing_stored(app);
}

fn set_state(app: &TestApp, state: &str) {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    let answer = app.api.patch(&path, json!({"state": state})).expect(200);
    assert_eq!(answer.body["state"], state);
}

fn paused_directory_is_503_once_the_token_was_checked(app: &TestApp) {
    set_state(app, "paused");
    for answer in knock(&app.scim) {
        assert_eq!(answer.header("retry-after"), Some("3600"));
        answer.expect_scim_error(503, None);
    }
    assert_unauthorized(&app.scim.with_bearer(None));
    assert_unauthorized(&app.scim.with_bearer(Some("rbd_wrong")));
    set_state(app, "linked");
    assert_nothing_stored(app);
}

fn disabled_directory_is_403_once_the_token_was_checked(app: &TestApp) {
    set_state(app, "disabled");
    for answer in knock(&app.scim) {
        let detail = answer.expect_scim_error(403, None);
        assert!(detail.contains("disabled"), "{detail}");
    }
    assert_unauthorized(&app.scim.with_bearer(None));
    assert_unauthorized(&app.scim.with_bearer(Some("rbd_wrong")));
    set_state(app, "linked");
    assert_nothing_stored(app);
}

fn deleted_directory_is_401_for_its_tokens(app: &TestApp) {
    let (directory, client) = app.directory("scim.generic");
    create(&client, "/Users", plain_user("ada"));
    app.api.delete(&format!("/api/v1/directories/{}", directory.id)).expect(202);
    assert_unauthorized(&client);
    assert_unauthorized(&app.scim.with_bearer(Some(&directory.token)));
    app.scim.get("/Users").expect(200);
}

fn many_wrong_secrets_for_one_id_are_429(app: &TestApp) {
    app.scim.get("/Users").expect(200);
    let wrong = app.scim.with_bearer(Some(&forged(&app.directory.token)));
    for _ in 0..10 {
        wrong.get("/Users").expect_scim_error(401, None);
    }
    let answer = wrong.get("/Users");
    assert_eq!(answer.header("retry-after"), Some("60"));
    answer.expect_scim_error(429, None);
    // A secret that was verified before goes on.
    app.scim.get("/Users").expect(200);
    app.clock.advance(Duration::from_secs(60));
    wrong.get("/Users").expect_scim_error(401, None);
}

fn api_keys_expire_and_are_revoked(app: &TestApp) {
    let (_, short) = new_key(app, json!(["manage"]), json!("2025-06-15T15:06:43Z"));
    let (id, revoked) = new_key(app, json!(["manage"]), json!(null));
    short.get("/api/v1/organizations").expect(200);
    revoked.get("/api/v1/organizations").expect(200);
    app.clock.advance(Duration::from_secs(3));
    app.api.delete(&format!("/api/v1/api_keys/{id}")).expect(204);
    for client in [short, revoked] {
        let answer = client.post("/api/v1/organizations", json!({"name": "Evil"}));
        api_error(&answer, 401, "unauthorized");
    }
}

fn api_key_without_the_scope_manage_is_403(app: &TestApp) {
    let (_, client) = new_key(app, json!(["read", "webhooks", "ssf.manage"]), json!(null));
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    for answer in [
        client.get("/api/v1/organizations"),
        client.post("/api/v1/organizations", json!({"name": "Evil"})),
        client.delete(&directory),
        client.get("/api/v1/api_keys"),
    ] {
        let message = api_error(&answer, 403, "forbidden");
        assert!(message.contains("\"manage\""), "{message}");
    }
    app.api.get(&directory).expect(200);
}
