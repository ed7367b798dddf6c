//! `private_key_jwt` (RFC 7523): what a client signs, and everything that does not count.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ask_token, client_with_secret, oauth_client, oauth_error};
use crate::on_both_databases;
use crate::support::{Answer, SigningKey, TestApp};

on_both_databases![
    each_algorithm_is_accepted_and_the_token_opens_the_directory,
    wrong_claims_are_invalid_client,
    wrong_signatures_are_invalid_client,
    assertion_counts_once,
    assertion_of_a_client_does_not_count_for_another,
    client_may_be_named_beside_its_assertion,
    expired_and_deleted_clients_get_nothing,
    proved_client_is_not_locked_out_by_others_at_its_address,
    used_assertions_are_forgotten_when_they_have_ended,
];

/// The clock of the test, in seconds.
const NOW: i64 = 1_750_000_000;

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn signing_client(app: &TestApp, jwks: Value) -> String {
    oauth_client(app, json!({"auth_method": "private_key_jwt", "jwks": jwks})).0
}

/// Good claims of that client.
fn claims(app: &TestApp, id: &str, jti: &str) -> Value {
    json!({
        "iss": id, "sub": id, "aud": app.url, "exp": NOW + 300, "iat": NOW, "nbf": NOW, "jti": jti,
    })
}

fn ask(app: &TestApp, assertion: &str, more: &[(&str, &str)]) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion),
    ];
    ask_token(&app.url, &[], &[&form[..], more].concat())
}

fn each_algorithm_is_accepted_and_the_token_opens_the_directory(app: &TestApp) {
    let (rsa, ec) = (SigningKey::rsa(), SigningKey::ec());
    let id = signing_client(app, json!({"keys": [rsa.jwk("r"), ec.jwk("e")]}));
    let endpoint = format!("{}/oauth/token", app.url);
    for (algorithm, key, kid, audience) in [
        ("RS256", &rsa, json!("r"), json!(app.url)),
        ("PS256", &rsa, json!("r"), json!(endpoint)),
        ("ES256", &ec, json!("e"), json!([app.url])),
        // Without a key id every key of the family is tried.
        ("RS256", &rsa, json!(null), json!([endpoint])),
    ] {
        let mut header = json!({"alg": algorithm, "typ": "JWT"});
        if !kid.is_null() {
            header["kid"] = kid;
        }
        let mut claims = claims(app, &id, &format!("{algorithm}{audience}"));
        claims["aud"] = audience;
        let answer = ask(app, &key.sign(&header, &claims), &[]).expect(200);
        let token = answer.body["access_token"].as_str().expect("a token");
        app.scim.with_bearer(Some(token)).post("/Users", super::plain_user(algorithm));
        app.scim.with_bearer(Some(token)).get("/Users").expect(200);
    }
    assert_eq!(app.scim.get("/Users").total(), 3);
}

fn wrong_claims_are_invalid_client(app: &TestApp) {
    let key = SigningKey::ec();
    let id = signing_client(app, key.jwks("e"));
    let header = json!({"alg": "ES256", "kid": "e"});
    for (number, (name, value)) in [
        ("iss", json!("oauth_client_01ARZ3NDEKTSV4RRFFQ69G5FAV")),
        ("iss", json!(null)),
        ("sub", json!("oauth_client_01ARZ3NDEKTSV4RRFFQ69G5FAV")),
        ("sub", json!("x' OR 1=1")),
        ("sub", json!("oauth_client_\u{0}")),
        ("sub", json!(null)),
        ("sub", json!(7)),
        ("aud", json!("https://example.com")),
        ("aud", json!(format!("{}/", app.url))),
        ("aud", json!([app.url, "https://example.com"])),
        ("aud", json!([])),
        ("aud", json!(null)),
        ("exp", json!(null)),
        ("exp", json!(NOW)),
        ("exp", json!(NOW - 1)),
        ("exp", json!(NOW + 301)),
        ("exp", json!((NOW + 60) * 1_000)),
        ("exp", json!((NOW + 60).to_string())),
        ("nbf", json!(NOW + 31)),
        ("iat", json!(NOW + 31)),
        ("jti", json!(null)),
        ("jti", json!("")),
        ("jti", json!(7)),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = claims(app, &id, &format!("wrong-{number}"));
        claims[name] = value.clone();
        let answer = ask(app, &key.sign(&header, &claims), &[]);
        let description = oauth_error(&answer, 401, "invalid_client");
        assert!(!description.contains("SQL"), "{name} {value}: {description}");
    }
    // A claim that stands twice could be read in two ways.
    let good = claims(app, &id, "twice").to_string();
    let twice = good.replacen('{', "{\"exp\":9999999999,", 1);
    for text in [twice.as_str(), "[]", "", "{", "null"] {
        let answer = ask(app, &key.sign_text(&header, text), &[]);
        oauth_error(&answer, 401, "invalid_client");
    }
    ask(app, &key.sign_text(&header, &good), &[]).expect(200);
}

fn wrong_signatures_are_invalid_client(app: &TestApp) {
    let (key, other) = (SigningKey::rsa(), SigningKey::other_rsa());
    let jwk = key.jwk("r");
    let id = signing_client(app, json!({"keys": [jwk]}));
    let claims = claims(app, &id, "forged");
    let rs = json!({"alg": "RS256", "kid": "r"});
    let good = key.sign(&rs, &claims);
    let (message, signature) = good.rsplit_once('.').expect("a signature");
    let payload = message.split('.').nth(1).expect("claims");
    let changed = good.replace(payload, &format!("{}A", &payload[..payload.len() - 1]));
    let public = SigningKey::Secret(jwk["n"].as_str().expect("n").as_bytes().to_vec());
    let document = SigningKey::Secret(jwk.to_string().into_bytes());
    let hs = json!({"alg": "HS256", "kid": "r"});
    let embedded = json!({"alg": "RS256", "jwk": other.jwk("r"), "jku": "http://127.0.0.1/keys"});
    for forged in [
        other.sign(&rs, &claims),
        other.sign(&embedded, &claims),
        key.sign(&json!({"alg": "none"}), &claims),
        key.sign(&json!({"alg": "none", "kid": "r"}), &claims),
        public.sign(&hs, &claims),
        document.sign(&hs, &claims),
        SigningKey::ec().sign(&json!({"alg": "ES256", "kid": "r"}), &claims),
        key.sign(&json!({"alg": "RS256", "kid": "unknown"}), &claims),
        key.sign(&json!({"alg": "RS256", "kid": "r", "crit": ["exp"]}), &claims),
        good.replace(&good[..10], "eyJhbGciOi"),
        format!("{message}."),
        format!("{message}.{}", signature.replace('A', "B")),
        changed,
        message.to_owned(),
        "a.b.c".to_owned(),
        "..".to_owned(),
        "x".repeat(40_000),
    ] {
        if forged == good {
            continue;
        }
        oauth_error(&ask(app, &forged, &[]), 401, "invalid_client");
    }
    // None of them used the identifier up.
    ask(app, &good, &[]).expect(200);
}

fn assertion_counts_once(app: &TestApp) {
    let key = SigningKey::ec();
    let id = signing_client(app, key.jwks("e"));
    let header = json!({"alg": "ES256"});
    let assertion = key.sign(&header, &claims(app, &id, "once"));
    ask(app, &assertion, &[]).expect(200);
    let description = oauth_error(&ask(app, &assertion, &[]), 401, "invalid_client");
    assert!(description.contains("jti"), "{description}");
    // The identifier counts, not the text.
    let mut later = claims(app, &id, "once");
    later["exp"] = json!(NOW + 200);
    oauth_error(&ask(app, &key.sign(&header, &later), &[]), 401, "invalid_client");
    let long = claims(app, &id, &"j".repeat(10_000));
    ask(app, &key.sign(&header, &long), &[]).expect(200);
    let odd = claims(app, &id, "\u{0}'; --");
    ask(app, &key.sign(&header, &odd), &[]).expect(200);
    // Of many at once one counts.
    let racing = key.sign(&header, &claims(app, &id, "race"));
    let granted: usize = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| usize::from(ask(app, &racing, &[]).status == 200)))
            .collect();
        asking.into_iter().map(|thread| thread.join().expect("asked")).sum()
    });
    assert_eq!(granted, 1);
    // Another client may have made up the same identifier.
    let second = signing_client(app, key.jwks("e"));
    ask(app, &key.sign(&header, &claims(app, &second, "once")), &[]).expect(200);
}

fn assertion_of_a_client_does_not_count_for_another(app: &TestApp) {
    let (key, other) = (SigningKey::ec(), SigningKey::ec());
    let id = signing_client(app, key.jwks("e"));
    let second = signing_client(app, other.jwks("e"));
    let header = json!({"alg": "ES256", "kid": "e"});
    let forged = key.sign(&header, &claims(app, &second, "1"));
    oauth_error(&ask(app, &forged, &[]), 401, "invalid_client");
    let (with_secret, _) = client_with_secret(app, json!({}));
    let forged = key.sign(&header, &claims(app, &with_secret, "2"));
    oauth_error(&ask(app, &forged, &[]), 401, "invalid_client");
    let mut mixed = claims(app, &id, "3");
    mixed["sub"] = json!(second);
    oauth_error(&ask(app, &key.sign(&header, &mixed), &[]), 401, "invalid_client");
}

fn client_may_be_named_beside_its_assertion(app: &TestApp) {
    let key = SigningKey::ec();
    let id = signing_client(app, key.jwks("e"));
    let header = json!({"alg": "ES256"});
    let first = key.sign(&header, &claims(app, &id, "1"));
    let other = ("client_id", "oauth_client_01ARZ3NDEKTSV4RRFFQ69G5FAV");
    oauth_error(&ask(app, &first, &[other]), 401, "invalid_client");
    let answer = ask(app, &first, &[("client_id", &id), ("scope", "read")]).expect(200);
    assert_eq!(answer.body["scope"], "read");
}

fn expired_and_deleted_clients_get_nothing(app: &TestApp) {
    let key = SigningKey::ec();
    let header = json!({"alg": "ES256"});
    let body = json!({
        "auth_method": "private_key_jwt", "jwks": key.jwks("e"),
        "expires_at": "2025-06-15T15:06:43Z",
    });
    let (short, _) = oauth_client(app, body);
    let gone = signing_client(app, key.jwks("e"));
    for id in [&short, &gone] {
        ask(app, &key.sign(&header, &claims(app, id, "1")), &[]).expect(200);
    }
    app.clock.advance(Duration::from_secs(3));
    let path = format!("/api/v1/directories/{}/oauth_clients/{gone}", app.directory.id);
    app.api.delete(&path).expect(204);
    for id in [&short, &gone] {
        let answer = ask(app, &key.sign(&header, &claims(app, id, "2")), &[]);
        oauth_error(&answer, 401, "invalid_client");
    }
}

fn proved_client_is_not_locked_out_by_others_at_its_address(app: &TestApp) {
    let key = SigningKey::ec();
    let header = json!({"alg": "ES256"});
    let (known, stranger) =
        (signing_client(app, key.jwks("e")), signing_client(app, key.jwks("e")));
    ask(app, &key.sign(&header, &claims(app, &known, "1")), &[]).expect(200);
    // What the client has signed is no guess, whatever is wrong with it.
    let mut ended = claims(app, &known, "2");
    ended["exp"] = json!(NOW);
    let ended = key.sign(&header, &ended);
    for _ in 0..601 {
        oauth_error(&ask(app, &ended, &[]), 401, "invalid_client");
    }
    let nobody = "oauth_client_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let guess = key.sign(&header, &claims(app, nobody, "3"));
    for _ in 0..600 {
        oauth_error(&ask(app, &guess, &[]), 401, "invalid_client");
    }
    let good = key.sign(&header, &claims(app, &stranger, "4"));
    for text in [&guess, &good, "x"] {
        let refused = ask(app, text, &[]);
        assert_eq!(refused.header("retry-after"), Some("60"));
        oauth_error(&refused, 429, "temporarily_unavailable");
    }
    ask(app, &key.sign(&header, &claims(app, &known, "5")), &[]).expect(200);
    app.clock.advance(Duration::from_secs(60));
    ask(app, &good, &[]).expect(200);
}

fn used_assertions_are_forgotten_when_they_have_ended(app: &TestApp) {
    let key = SigningKey::ec();
    let id = signing_client(app, key.jwks("e"));
    let assertion = key.sign(&json!({"alg": "ES256"}), &claims(app, &id, "1"));
    ask(app, &assertion, &[]).expect(200);
    let prune = || {
        let service = std::sync::Arc::clone(app.service());
        app.wait(async move { service.prune_assertions().await }).expect("pruned");
    };
    let known = || {
        let service = std::sync::Arc::clone(app.service());
        let left: Result<usize, rollbook::store::StoreError> = app.wait(async move {
            service.store.write("left", move |tx| tx.oauth_jti_prune(i64::MAX, 1_000)).await
        });
        left.expect("counted")
    };
    app.clock.advance(Duration::from_secs(299));
    prune();
    oauth_error(&ask(app, &assertion, &[]), 401, "invalid_client");
    app.clock.advance(Duration::from_secs(62));
    prune();
    assert_eq!(known(), 0);
    oauth_error(&ask(app, &assertion, &[]), 401, "invalid_client");
}
