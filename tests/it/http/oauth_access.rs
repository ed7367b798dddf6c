//! What access tokens and HTTP Basic open over SCIM, and what they do not.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    access_token, ask_token, assert_nothing_stored, basic, client_with_secret, invalid_token,
    plain_user,
};
use crate::on_both_databases;
use crate::support::{Answer, Client, SigningKey, TestApp, group, patch};

on_both_databases![
    access_token_opens_its_directory_with_and_without_its_key,
    access_token_of_another_directory_opens_nothing,
    access_token_ends_after_ten_minutes,
    forged_access_tokens_are_invalid_token,
    access_token_dies_with_its_client,
    access_token_sees_the_state_of_the_directory,
    access_token_is_no_api_key,
    last_use_of_a_client_is_shown,
    basic_takes_the_id_and_the_secret_of_a_token_or_client,
    basic_with_anything_else_is_401,
    many_wrong_passwords_are_429,
];

fn with_token(app: &TestApp) -> (String, String, Client) {
    let (id, secret) = client_with_secret(app, json!({}));
    let token = access_token(app, &id, &secret);
    (id, secret, app.scim.with_bearer(Some(&token)))
}

fn access_token_opens_its_directory_with_and_without_its_key(app: &TestApp) {
    let (_, _, client) = with_token(app);
    let id = super::create(&client, "/Users", plain_user("ada"));
    let mut bare = client.clone();
    bare.base = format!("{}/scim/v2", app.url);
    let read = bare.get(&format!("/Users/{id}")).expect(200);
    assert_eq!(read.body["userName"], "ada");
    let mut first = client.clone();
    first.base = app.scim.base.replace("/scim/v2/", "/scim/v1/");
    first.get(&format!("/Users/{id}")).expect(200);
    // As a provider sends it that was told to send a header.
    let token = client.bearer.clone().expect("a token");
    app.scim.send("GET", "/Users", &[("Authorization", &token)], None).expect(200);
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

/// A request with each method on every kind of path below a SCIM base URL.
fn knock(client: &Client, user: &str) -> Vec<Answer> {
    let operations = patch(json!([{"op": "replace", "path": "title", "value": "x"}]));
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": "DELETE", "path": format!("/Users/{user}")}],
    });
    let search = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]});
    vec![
        client.get("/"),
        client.get("/Users"),
        client.get("/Groups?startIndex=1"),
        client.get(&format!("/Users/{user}")),
        client.get("/Schemas"),
        client.get("/ResourceTypes"),
        client.get("/ServiceProviderConfig"),
        client.get("/openapi.json"),
        client.get("/Me"),
        client.get("/Roles"),
        client.get("/Async/txn_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        client.post("/Users", plain_user("eve")),
        client.post("/Groups", group("Evil", &[user])),
        client.post("/Bulk", bulk),
        client.post("/.search", search.clone()),
        client.post("/Users/.search", search),
        client.put(&format!("/Users/{user}"), plain_user("eve")),
        client.patch(&format!("/Users/{user}"), operations),
        client.delete(&format!("/Users/{user}")),
    ]
}

fn access_token_of_another_directory_opens_nothing(app: &TestApp) {
    let (directory, other) = app.directory("scim.generic");
    let user = super::create(&other, "/Users", plain_user("ada"));
    let before = other.get("/Users").expect(200).body;
    let told = app.events(&directory).len();
    let (_, secret, mut client) = with_token(app);
    let secret = secret.clone();
    client.base.clone_from(&directory.base_url);
    for answer in knock(&client, &user) {
        let detail = invalid_token(answer);
        assert!(!detail.contains("ada"), "{detail}");
    }
    // Nor does the id of the other directory's things open anything at home.
    client.base.clone_from(&app.scim.base);
    client.get(&format!("/Users/{user}")).expect_scim_error(404, None);
    client.delete(&format!("/Users/{user}")).expect_scim_error(404, None);
    client.post("/Groups", group("Mine", &[&user])).expect_scim_error(400, Some("invalidValue"));
    // The secret of the client neither, presented where the other directory lives.
    let id = app.api.get(&format!("/api/v1/directories/{}/oauth_clients", app.directory.id));
    let id = id.expect(200).body["data"][0]["id"].as_str().expect("an id").to_owned();
    let header = basic(&id, &secret);
    let answer = other.send("GET", "/Users", &[("Authorization", &header)], None);
    answer.expect_scim_error(403, None);
    assert_eq!(other.get("/Users").expect(200).body, before);
    assert_eq!(app.events(&directory).len(), told);
    assert_nothing_stored(app);
}

fn access_token_ends_after_ten_minutes(app: &TestApp) {
    let (id, secret, client) = with_token(app);
    app.clock.advance(Duration::from_millis(599_999));
    client.get("/Users").expect(200);
    app.clock.advance(Duration::from_millis(1));
    let detail = invalid_token(client.get("/Users"));
    assert!(detail.contains("expired"), "{detail}");
    let fresh = access_token(app, &id, &secret);
    client.with_bearer(Some(&fresh)).get("/Users").expect(200);
}

fn forged_access_tokens_are_invalid_token(app: &TestApp) {
    let (id, _, client) = with_token(app);
    let good = client.bearer.clone().expect("a token");
    let (message, signature) = good.rsplit_once('.').expect("a signature");
    let claims = json!({
        "iss": app.url, "sub": id, "client_id": id, "aud": app.directory.id, "scope": "write",
        "iat": 1_750_000_000, "exp": 1_750_000_600, "jti": "access_1",
    });
    let at = |algorithm: &str| json!({"alg": algorithm, "typ": "at+jwt"});
    let rsa = SigningKey::rsa();
    for forged in [
        format!("{message}."),
        format!("{message}.{}", signature.chars().rev().collect::<String>()),
        rsa.sign(&at("none"), &claims),
        rsa.sign(&at("RS256"), &claims),
        rsa.sign(&at("PS256"), &claims),
        SigningKey::ec().sign(&at("ES256"), &claims),
        SigningKey::Secret(Vec::new()).sign(&at("HS256"), &claims),
        SigningKey::Secret(b"secret".to_vec()).sign(&at("HS256"), &claims),
        SigningKey::Secret(b"secret".to_vec()).sign(&json!({"alg": "HS256"}), &claims),
        "eyJhbGciOiJIUzI1NiJ9.e30.x".to_owned(),
        "eyJ.eyJ.eyJ".to_owned(),
        "ey..".to_owned(),
    ] {
        invalid_token(client.with_bearer(Some(&forged)).get("/Users"));
        let mut bare = client.with_bearer(Some(&forged));
        bare.base = format!("{}/scim/v2", app.url);
        invalid_token(bare.post("/Users", plain_user("eve")));
    }
    client.get("/Users").expect(200);
    assert_nothing_stored(app);
}

fn access_token_dies_with_its_client(app: &TestApp) {
    let (id, _, client) = with_token(app);
    let (short, short_secret) =
        client_with_secret(app, json!({"expires_at": "2025-06-15T15:06:43Z"}));
    let short = client.with_bearer(Some(&access_token(app, &short, &short_secret)));
    let (_, _, other) = with_token(app);
    for client in [&client, &short, &other] {
        client.get("/Users").expect(200);
    }
    let path = format!("/api/v1/directories/{}/oauth_clients/{id}", app.directory.id);
    app.api.delete(&path).expect(204);
    invalid_token(client.get("/Users"));
    invalid_token(client.post("/Users", plain_user("eve")));
    app.clock.advance(Duration::from_millis(2_999));
    short.get("/Users").expect(200);
    app.clock.advance(Duration::from_millis(1));
    invalid_token(short.get("/Users"));
    other.get("/Users").expect(200);
    assert_nothing_stored(app);
}

fn set_state(app: &TestApp, state: &str) {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    app.api.patch(&path, json!({"state": state})).expect(200);
}

fn access_token_sees_the_state_of_the_directory(app: &TestApp) {
    let (_, _, client) = with_token(app);
    client.get("/Users").expect(200);
    set_state(app, "paused");
    let answer = client.get("/Users");
    assert_eq!(answer.header("retry-after"), Some("3600"));
    answer.expect_scim_error(503, None);
    set_state(app, "disabled");
    client.get("/Users").expect_scim_error(403, None);
    invalid_token(client.with_bearer(Some("eyJhbGciOiJIUzI1NiJ9.e30.x")).get("/Users"));
    set_state(app, "linked");
    client.get("/Users").expect(200);
}

fn access_token_is_no_api_key(app: &TestApp) {
    let (_, secret, client) = with_token(app);
    for bearer in [client.bearer.as_deref(), Some(&secret)] {
        let answer = app.api.with_bearer(bearer).get("/api/v1/organizations");
        super::api_error(&answer, 401, "unauthorized");
    }
    // The secret itself fetches tokens; as a bearer it opens nothing.
    app.scim.with_bearer(Some(&secret)).get("/Users").expect_scim_error(401, None);
}

fn last_use_of_a_client_is_shown(app: &TestApp) {
    let (id, secret, client) = with_token(app);
    client.get("/Users").expect(200);
    let path = format!("/api/v1/directories/{}/oauth_clients/{id}", app.directory.id);
    // It is noted outside the request.
    let shown =
        std::iter::repeat_with(|| app.api.get(&path).expect(200).body["last_used_at"].clone())
            .take(10_000)
            .find(|used: &Value| !used.is_null());
    assert_eq!(shown, Some(json!(super::NOW)));
    ask_token(
        &app.url,
        &[("Authorization", &basic(&id, &secret))],
        &[("grant_type", "client_credentials")],
    )
    .expect(200);
}

fn basic_takes_the_id_and_the_secret_of_a_token_or_client(app: &TestApp) {
    let (id, secret) = client_with_secret(app, json!({}));
    let (reader, reader_secret) = client_with_secret(app, json!({"scope": "read"}));
    for (user, password, name) in
        [(&app.directory.token_id, &app.directory.token, "ada"), (&id, &secret, "grace")]
    {
        let header = basic(user, password);
        let lower = header.replace("Basic", "basic");
        let unpadded = header.trim_end_matches('=').to_owned();
        for header in [&header, &lower, &unpadded] {
            app.scim.send("GET", "/Users", &[("Authorization", header)], None).expect(200);
        }
        let body = Some(plain_user(name).to_string());
        app.scim.send("POST", "/Users", &[("Authorization", &header)], body).expect(201);
    }
    let header = basic(&reader, &reader_secret);
    let reading = [("Authorization", header.as_str())];
    app.scim.send("GET", "/Users", &reading, None).expect(200);
    let body = Some(plain_user("eve").to_string());
    app.scim.send("POST", "/Users", &reading, body).expect_scim_error(403, None);
    assert_eq!(app.scim.get("/Users").total(), 2);
}

fn basic_with_anything_else_is_401(app: &TestApp) {
    let (id, secret) = client_with_secret(app, json!({}));
    let (token, token_id) = (&*app.directory.token, &*app.directory.token_id);
    let key = app.api.bearer.clone().expect("a key");
    let signer = super::oauth_client(
        app,
        json!({"auth_method": "private_key_jwt", "jwks": SigningKey::rsa().jwks("a")}),
    )
    .0;
    let of_signer = format!("rbc_{}{}", &signer["oauth_client_".len()..], "a".repeat(43));
    for (user, password) in [
        ("", token),
        ("admin", token),
        (&*id, token),
        (token_id, &*secret),
        (token_id, ""),
        (token_id, token_id),
        (&*id, "x"),
        (&*signer, &*of_signer),
        ("", &*key),
        ("bearer", &*access_token(app, &id, &secret)),
    ] {
        let header = basic(user, password);
        let answer = app.scim.send("GET", "/Users", &[("Authorization", &header)], None);
        let challenge = answer.header("www-authenticate").map(str::to_owned);
        answer.expect_scim_error(401, None);
        assert_eq!(challenge.as_deref(), Some("Basic realm=\"rollbook\", charset=\"UTF-8\""));
    }
    for header in ["Basic %%%", "Basic bm9jb2xvbg==", "Basic /w=="] {
        let answer = app.scim.send("GET", "/Users", &[("Authorization", header)], None);
        answer.expect_scim_error(401, None);
    }
    let path = format!("/api/v1/directories/{}/oauth_clients/{id}", app.directory.id);
    let header = basic(&id, &secret);
    app.scim.send("GET", "/Users", &[("Authorization", &header)], None).expect(200);
    app.api.delete(&path).expect(204);
    let answer = app.scim.send("GET", "/Users", &[("Authorization", &header)], None);
    answer.expect_scim_error(401, None);
}

fn many_wrong_passwords_are_429(app: &TestApp) {
    let (id, secret) = client_with_secret(app, json!({}));
    let mut wrong = secret.clone();
    wrong.pop();
    wrong.push(if secret.ends_with('A') { 'B' } else { 'A' });
    let header = basic(&id, &wrong);
    let knock = || app.scim.send("GET", "/Users", &[("Authorization", &header)], None);
    for _ in 0..10 {
        knock().expect_scim_error(401, None);
    }
    knock().expect_scim_error(429, None);
    app.scim.get("/Users").expect(200);
}
