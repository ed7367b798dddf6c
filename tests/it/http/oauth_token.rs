//! The token endpoint with a client secret (RFC 6749 §4.4, §5), and its metadata (RFC 8414).

use std::time::Duration;

use serde_json::{Value, json};

use super::{ask_token, basic, client_with_secret, oauth_client, oauth_error};
use crate::on_both_databases;
use crate::support::{Client, SigningKey, TestApp};

on_both_databases![
    secret_is_accepted_by_header_and_in_the_form,
    answer_has_the_members_of_the_rfc,
    wrong_requests_are_refused_in_the_words_of_the_rfc,
    wrong_credentials_are_invalid_client,
    scope_is_granted_as_asked_for_and_never_widened,
    many_wrong_secrets_are_429_and_a_known_one_goes_on,
    expired_and_deleted_clients_get_nothing,
    metadata_says_what_is_there,
    other_methods_are_405,
    grants_and_refusals_are_counted,
];

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

fn secret_is_accepted_by_header_and_in_the_form(app: &TestApp) {
    let (id, secret) = client_with_secret(app, json!({}));
    let header = basic(&id, &secret);
    // RFC 6749 §2.3.1: both are form-encoded before they are joined.
    let encoded = basic(&id.replace('_', "%5F"), &secret.replace('_', "%5f"));
    for (headers, form) in [
        (vec![("Authorization", header.as_str())], vec![GRANT]),
        (vec![("Authorization", encoded.as_str())], vec![GRANT]),
        (vec![("Authorization", header.as_str())], vec![GRANT, ("client_id", &id)]),
        (vec![], vec![GRANT, ("client_id", &id), ("client_secret", &secret)]),
        (vec![], vec![GRANT, ("client_id", &id), ("client_secret", &secret), ("resource", "x")]),
    ] {
        let answer = ask_token(&app.url, &headers, &form).expect(200);
        let token = answer.body["access_token"].as_str().expect("a token");
        app.scim.with_bearer(Some(token)).get("/Users").expect(200);
    }
}

fn answer_has_the_members_of_the_rfc(app: &TestApp) {
    let (id, secret) = client_with_secret(app, json!({}));
    let form = [GRANT, ("client_id", &id), ("client_secret", &secret)];
    let answer = ask_token(&app.url, &[], &form).expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"], 600);
    assert_eq!(answer.body["scope"], "write");
    let token = answer.body["access_token"].as_str().expect("a token");
    let parts: Vec<Value> = token.split('.').take(2).map(decoded).collect();
    assert_eq!(parts[0], json!({"typ": "at+jwt", "alg": "HS256"}));
    let claims = &parts[1];
    let now = 1_750_000_000;
    assert_eq!(claims["iss"], app.url.as_str());
    assert_eq!(claims["sub"], id.as_str());
    assert_eq!(claims["client_id"], id.as_str());
    assert_eq!(claims["aud"], app.directory.id.as_str());
    assert_eq!(claims["scope"], "write");
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(now), &json!(now + 600)));
    let again = ask_token(&app.url, &[], &form).expect(200);
    assert_ne!(again.body["access_token"], answer.body["access_token"]);
    let shown =
        app.api.get(&format!("/api/v1/directories/{}/oauth_clients/{id}", app.directory.id));
    assert!(!shown.expect(200).text.contains(&secret));
}

fn decoded(part: &str) -> Value {
    use base64::Engine;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    serde_json::from_slice(&engine.decode(part).expect("base64url")).expect("JSON")
}

fn wrong_requests_are_refused_in_the_words_of_the_rfc(app: &TestApp) {
    let (id, secret) = client_with_secret(app, json!({}));
    let (id, secret) = (id.as_str(), secret.as_str());
    let header = basic(id, secret);
    let by_header = [("Authorization", header.as_str())];
    let both = [("client_id", id), ("client_secret", secret)];
    let password = [("username", "a"), ("password", "b")];
    for (headers, form, error) in [
        (&[][..], both.to_vec(), "invalid_request"),
        (&[], [&both[..], &[("grant_type", "")]].concat(), "invalid_request"),
        (&[], [&both[..], &[GRANT, GRANT]].concat(), "invalid_request"),
        (
            &[],
            [&both[..], &[GRANT, ("scope", "read"), ("scope", "write")]].concat(),
            "invalid_request",
        ),
        (&[], [&both[..], &both[..], &[GRANT]].concat(), "invalid_request"),
        (
            &[],
            [&both[..], &[("grant_type", "password")], &password[..]].concat(),
            "unsupported_grant_type",
        ),
        (
            &[],
            [&both[..], &[("grant_type", "authorization_code")]].concat(),
            "unsupported_grant_type",
        ),
        (
            &[],
            [&both[..], &[("grant_type", "CLIENT_CREDENTIALS")]].concat(),
            "unsupported_grant_type",
        ),
        (&by_header, [&both[..], &[GRANT]].concat(), "invalid_request"),
        (&by_header, vec![GRANT, ("client_id", "oauth_client_other")], "invalid_request"),
        (&by_header, vec![GRANT, ("client_assertion", "x")], "invalid_request"),
        (&by_header, vec![GRANT, ("client_assertion_type", "x")], "invalid_request"),
        (&[], [&both[..], &[GRANT, ("client_assertion", "a.b.c")]].concat(), "invalid_request"),
        (&[], vec![GRANT, ("client_assertion", "a.b.c")], "invalid_request"),
        (
            &[],
            vec![GRANT, ("client_assertion", "a.b.c"), ("client_assertion_type", "jwt")],
            "invalid_request",
        ),
    ] {
        let answer = ask_token(&app.url, headers, &form);
        oauth_error(&answer, 400, error);
    }
    let raw = Client::new(&app.url, "", "application/json").with_bearer(None);
    let body =
        json!({"grant_type": "client_credentials", "client_id": id, "client_secret": secret});
    let description = oauth_error(&raw.post("/oauth/token", body), 400, "invalid_request");
    assert!(description.contains("x-www-form-urlencoded"), "{description}");
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for body in ["grant_type=%FF".to_owned(), format!("grant_type={}", "a".repeat(70_000))] {
        let answer = raw.send("POST", "/oauth/token", &form, Some(body));
        oauth_error(&answer, 400, "invalid_request");
    }
    // Secrets in the query string would stand in logs; they are not read.
    let query =
        format!("/oauth/token?grant_type=client_credentials&client_id={id}&client_secret={secret}");
    oauth_error(&raw.send("POST", &query, &form, Some(String::new())), 401, "invalid_client");
}

fn wrong_credentials_are_invalid_client(app: &TestApp) {
    let (id, secret) = client_with_secret(app, json!({}));
    let (other, other_secret) = client_with_secret(app, json!({}));
    let jwks = SigningKey::rsa().jwks("a");
    let (signer, _) = oauth_client(app, json!({"auth_method": "private_key_jwt", "jwks": jwks}));
    let mut forged = secret.clone();
    forged.pop();
    forged.push(if secret.ends_with('A') { 'B' } else { 'A' });
    let unknown = format!("rbc_01ARZ3NDEKTSV4RRFFQ69G5FAV{}", "a".repeat(43));
    let of_signer = format!("rbc_{}{}", &signer["oauth_client_".len()..], "a".repeat(43));
    let (token, token_id) = (&app.directory.token, &app.directory.token_id);
    for (client_id, client_secret) in [
        (&*id, &*forged),
        (&*id, "x"),
        (&*id, &*other_secret),
        (&*other, &*secret),
        ("nobody", &*secret),
        ("a\0b", "a\0b"),
        ("oauth_client_01ARZ3NDEKTSV4RRFFQ69G5FAV", &*unknown),
        (&*signer, &*of_signer),
        (&**token_id, &**token),
        (&*id, &**token),
    ] {
        let form = [GRANT, ("client_id", client_id), ("client_secret", client_secret)];
        oauth_error(&ask_token(&app.url, &[], &form), 401, "invalid_client");
        let header = basic(client_id, client_secret);
        let answer = ask_token(&app.url, &[("Authorization", &header)], &[GRANT]);
        oauth_error(&answer, 401, "invalid_client");
    }
    for header in ["Basic !", "Basic", "Bearer x", "Basic bm9jb2xvbg=="] {
        let answer = ask_token(&app.url, &[("Authorization", header)], &[GRANT]);
        oauth_error(&answer, 401, "invalid_client");
    }
    for form in
        [vec![GRANT], vec![GRANT, ("client_id", &id)], vec![GRANT, ("client_secret", &secret)]]
    {
        oauth_error(&ask_token(&app.url, &[], &form), 401, "invalid_client");
    }
}

fn scope_is_granted_as_asked_for_and_never_widened(app: &TestApp) {
    let (writer, writer_secret) = client_with_secret(app, json!({}));
    let (reader, reader_secret) = client_with_secret(app, json!({"scope": "read"}));
    let user = super::plain_user("ada");
    for (id, secret, scope, granted, writes) in [
        (&writer, &writer_secret, "", "write", true),
        (&writer, &writer_secret, "scim", "scim", true),
        (&writer, &writer_secret, "read", "read", false),
        (&writer, &writer_secret, "read write", "read write", true),
        (&reader, &reader_secret, "", "read", false),
        (&reader, &reader_secret, "scim", "scim", false),
    ] {
        let form = [GRANT, ("client_id", id), ("client_secret", secret), ("scope", scope)];
        let answer = ask_token(&app.url, &[], &form).expect(200);
        assert_eq!(answer.body["scope"], granted);
        let client = app.scim.with_bearer(answer.body["access_token"].as_str());
        client.get("/Users").expect(200);
        let made = client.post("/Users", user.clone());
        if writes {
            let path = format!("/Users/{}", made.expect(201).id());
            client.delete(&path).expect(204);
        } else {
            made.expect_scim_error(403, None);
        }
    }
    for (id, secret, scope) in [
        (&reader, &reader_secret, "write"),
        (&reader, &reader_secret, "read write"),
        (&writer, &writer_secret, "openid"),
        (&writer, &writer_secret, "write admin"),
        (&writer, &writer_secret, "Write"),
        (&writer, &writer_secret, "write,read"),
    ] {
        let form = [GRANT, ("client_id", id), ("client_secret", secret), ("scope", scope)];
        oauth_error(&ask_token(&app.url, &[], &form), 400, "invalid_scope");
    }
}

fn many_wrong_secrets_are_429_and_a_known_one_goes_on(app: &TestApp) {
    let (id, secret) = client_with_secret(app, json!({}));
    super::access_token(app, &id, &secret);
    let mut wrong = secret.clone();
    wrong.pop();
    wrong.push(if secret.ends_with('A') { 'B' } else { 'A' });
    let form = [GRANT, ("client_id", &*id), ("client_secret", &*wrong)];
    for _ in 0..10 {
        oauth_error(&ask_token(&app.url, &[], &form), 401, "invalid_client");
    }
    let answer = ask_token(&app.url, &[], &form);
    assert_eq!(answer.header("retry-after"), Some("60"));
    oauth_error(&answer, 429, "temporarily_unavailable");
    super::access_token(app, &id, &secret);
    app.clock.advance(Duration::from_secs(60));
    oauth_error(&ask_token(&app.url, &[], &form), 401, "invalid_client");
}

fn expired_and_deleted_clients_get_nothing(app: &TestApp) {
    let (short, short_secret) =
        client_with_secret(app, json!({"expires_at": "2025-06-15T15:06:43Z"}));
    let (gone, gone_secret) = client_with_secret(app, json!({}));
    super::access_token(app, &short, &short_secret);
    super::access_token(app, &gone, &gone_secret);
    app.clock.advance(Duration::from_secs(3));
    let path = format!("/api/v1/directories/{}/oauth_clients/{gone}", app.directory.id);
    app.api.delete(&path).expect(204);
    for (id, secret) in [(short, short_secret), (gone, gone_secret)] {
        let form = [GRANT, ("client_id", &*id), ("client_secret", &*secret)];
        oauth_error(&ask_token(&app.url, &[], &form), 401, "invalid_client");
    }
}

fn metadata_says_what_is_there(app: &TestApp) {
    let client = Client::new(&app.url, "", "application/json").with_bearer(None);
    let answer = client.get("/.well-known/oauth-authorization-server").expect(200);
    assert_eq!(
        answer.body,
        json!({
            "issuer": app.url,
            "token_endpoint": format!("{}/oauth/token", app.url),
            "scopes_supported": ["scim", "read", "write"],
            "response_types_supported": [],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES256", "RS256", "PS256"],
        })
    );
}

fn other_methods_are_405(app: &TestApp) {
    let client = Client::new(&app.url, "", "application/json").with_bearer(None);
    let answer = client.get("/oauth/token");
    assert_eq!(answer.header("allow"), Some("POST"));
    oauth_error(&answer, 405, "invalid_request");
    let answer = client.delete("/.well-known/oauth-authorization-server");
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    super::api_error(&answer, 405, "method_not_allowed");
}

fn grants_and_refusals_are_counted(app: &TestApp) {
    let (id, secret) = client_with_secret(app, json!({}));
    super::access_token(app, &id, &secret);
    ask_token(&app.url, &[], &[GRANT, ("client_id", &id), ("client_secret", "x")]).expect(401);
    ask_token(
        &app.url,
        &[],
        &[("grant_type", "password"), ("client_id", &id), ("client_secret", "x")],
    )
    .expect(400);
    app.scim.with_bearer(Some("eyJhbGciOiJub25lIn0.e30.")).get("/Users").expect(401);
    let metrics = Client::new(&app.url, "", "text/plain").get("/metrics").expect(200).text;
    for line in [
        "rollbook_oauth_grants_total{method=\"client_secret\"} 1",
        "rollbook_oauth_refusals_total{reason=\"secret\"} 1",
        "rollbook_oauth_refusals_total{reason=\"grant_type\"} 1",
        "rollbook_signed_token_refusals_total{reason=\"algorithm\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}
