//! Tokens that Entra issues itself: accepted for the one tenant that a directory names.

use std::sync::Arc;
use std::time::Duration;

use rollbook::service::Credentials;
use serde_json::{Value, json};

use super::{assert_invalid, assert_nothing_stored, invalid_token, plain_user};
use crate::support::{Client, Database, KeyServer, SigningKey, TestApp};

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const OTHER_TENANT: &str = "99999999-2222-3333-4444-555555555555";
const APP: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
const AUDIENCE: &str = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621";

/// The clock of the test, in seconds.
const NOW: i64 = 1_750_000_000;

/// Makes `name::sqlite` and `name::postgres` of each function of a server that asks `KeyServer`.
macro_rules! with_key_server {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            use super::*;

            #[test]
            fn sqlite() {
                super::$name(&Entra::start(Database::sqlite()));
            }

            #[test]
            fn postgres() {
                super::$name(&Entra::start(Database::postgres()));
            }
        })*
    };
}

with_key_server![
    token_of_the_tenant_opens_the_directory,
    token_is_refused_until_the_directory_says_so,
    token_of_another_tenant_is_401,
    wrong_claims_are_401,
    wrong_signatures_are_401,
    stored_application_must_be_the_one_of_the_token,
    directory_must_be_named_by_the_url,
    new_keys_are_fetched_and_invented_ids_are_not_asked_for,
    keys_that_cannot_be_fetched_are_503_and_known_ones_go_on,
    fetched_keys_are_kept_although_who_asked_has_gone,
    other_directories_at_one_address_are_not_locked_out,
    key_of_another_issuer_does_not_count,
    wrong_settings_are_refused,
];

/// A server whose Entra is on this machine.
struct Entra {
    app: TestApp,
    keys: KeyServer,
    key: SigningKey,
}

impl Entra {
    fn start(database: Database) -> Self {
        let keys = KeyServer::start();
        let key = SigningKey::rsa();
        publish(&keys, TENANT, &[(&key, "k1")]);
        let authority = keys.url.clone();
        let app = TestApp::start_with(database, |config| {
            config.entra_authority = format!("{authority}/");
            config.outbound_networks = vec!["127.0.0.0/8".parse().expect("a network")];
        });
        Self { app, keys, key }
    }

    fn trust(&self, setting: Value) {
        let path = format!("/api/v1/directories/{}", self.app.directory.id);
        self.app.api.patch(&path, json!({"settings": {"entra_token": setting}})).expect(200);
    }

    /// A token with a change to good claims.
    fn token(&self, change: Value) -> String {
        self.key.sign(&header("k1"), &claims(change))
    }

    fn scim(&self, token: &str) -> Client {
        self.app.scim.with_bearer(Some(token))
    }
}

fn header(kid: &str) -> Value {
    json!({"typ": "JWT", "alg": "RS256", "kid": kid, "x5t": kid})
}

fn claims(change: Value) -> Value {
    let mut claims = json!({
        "aud": AUDIENCE, "iss": format!("https://sts.windows.net/{TENANT}/"), "tid": TENANT,
        "appid": APP, "idtyp": "app", "iat": NOW - 300, "nbf": NOW - 300, "exp": NOW + 3_600,
        "ver": "1.0",
    });
    for (name, value) in change.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

/// Publishes keys as Entra does, each for the tenant's issuer.
fn publish(server: &KeyServer, tenant: &str, keys: &[(&SigningKey, &str)]) {
    let keys: Vec<Value> = keys
        .iter()
        .map(|(key, kid)| {
            let mut jwk = key.jwk(kid);
            jwk["issuer"] = json!(format!("https://login.microsoftonline.com/{tenant}/v2.0"));
            jwk["x5c"] = json!(["MII"]);
            jwk
        })
        .collect();
    server.set(&path(tenant), 200, json!({"keys": keys}));
}

fn path(tenant: &str) -> String {
    format!("/{tenant}/discovery/v2.0/keys")
}

fn token_of_the_tenant_opens_the_directory(entra: &Entra) {
    entra.trust(json!({"tenant_id": TENANT.to_uppercase()}));
    for (n, change) in [
        json!({}),
        json!({"aud": format!("spn:{AUDIENCE}")}),
        json!({"aud": format!("api://{AUDIENCE}")}),
        json!({"aud": [AUDIENCE]}),
        json!({"iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "ver": "2.0"}),
        json!({"iss": format!("{}/{TENANT}/v2.0", entra.keys.url), "ver": "2.0"}),
        json!({"nbf": NOW + 60}),
        json!({"nbf": null}),
        json!({"exp": NOW + 1}),
    ]
    .into_iter()
    .enumerate()
    {
        let client = entra.scim(&entra.token(change.clone()));
        client.post("/Users", plain_user(&format!("user-{n}"))).expect(201);
    }
    assert_eq!(entra.app.scim.get("/Users").total(), 9);
    assert_eq!(entra.keys.asked(), 1);
}

fn token_is_refused_until_the_directory_says_so(entra: &Entra) {
    let client = entra.scim(&entra.token(json!({})));
    invalid_token(client.get("/Users"));
    invalid_token(client.post("/Users", plain_user("eve")));
    assert_eq!(entra.keys.asked(), 0);
    entra.trust(json!({"tenant_id": TENANT}));
    client.get("/Users").expect(200);
    // Another directory of the same server has not said so.
    let (other, _) = entra.app.directory("scim.entra");
    let mut elsewhere = client.clone();
    elsewhere.base = other.base_url;
    invalid_token(elsewhere.get("/Users"));
    entra.trust(json!(null));
    invalid_token(client.get("/Users"));
    assert_nothing_stored(&entra.app);
}

fn token_of_another_tenant_is_401(entra: &Entra) {
    entra.trust(json!({"tenant_id": TENANT}));
    // Entra signs for every tenant with the same keys: only the claims tell them apart.
    publish(&entra.keys, OTHER_TENANT, &[(&entra.key, "k1")]);
    let issuer = format!("https://sts.windows.net/{OTHER_TENANT}/");
    for change in [
        json!({"tid": OTHER_TENANT, "iss": issuer}),
        json!({"tid": OTHER_TENANT}),
        json!({"iss": issuer}),
    ] {
        let client = entra.scim(&entra.token(change));
        invalid_token(client.get("/Users"));
        invalid_token(client.post("/Users", plain_user("eve")));
    }
    // Of two directories each takes its own tenant's.
    let (other, _) = entra.app.directory("scim.entra");
    let path = format!("/api/v1/directories/{}", other.id);
    let setting = json!({"settings": {"entra_token": {"tenant_id": OTHER_TENANT}}});
    entra.app.api.patch(&path, setting).expect(200);
    let mut theirs = entra.scim(&entra.token(json!({"tid": OTHER_TENANT, "iss": issuer})));
    invalid_token(theirs.get("/Users"));
    theirs.base.clone_from(&other.base_url);
    theirs.get("/Users").expect(200);
    let mut ours = entra.scim(&entra.token(json!({})));
    ours.get("/Users").expect(200);
    ours.base = other.base_url;
    invalid_token(ours.get("/Users"));
    assert_nothing_stored(&entra.app);
}

fn wrong_claims_are_401(entra: &Entra) {
    entra.trust(json!({"tenant_id": TENANT}));
    for change in [
        json!({"aud": "00000002-0000-0000-c000-000000000000"}),
        json!({"aud": format!("{AUDIENCE} ")}),
        json!({"aud": format!("https://{AUDIENCE}")}),
        json!({"aud": [AUDIENCE, "00000002-0000-0000-c000-000000000000"]}),
        json!({"aud": null}),
        json!({"iss": format!("https://sts.windows.net/{TENANT}")}),
        json!({"iss": "https://sts.windows.net/"}),
        json!({"iss": format!("https://evil.example.com/{TENANT}/v2.0")}),
        json!({"iss": "https://login.microsoftonline.com/{tenantid}/v2.0"}),
        json!({"iss": null}),
        json!({"tid": null}),
        json!({"tid": TENANT.replace('1', "2")}),
        json!({"exp": NOW}),
        json!({"exp": null}),
        json!({"exp": "9999999999"}),
        json!({"nbf": NOW + 61}),
        json!({"nbf": "soon"}),
    ] {
        let answer = entra.scim(&entra.token(change.clone())).get("/Users");
        assert_eq!(answer.status, 401, "{change}: {}", answer.text);
        invalid_token(answer);
    }
    let client = entra.scim(&entra.token(json!({"exp": NOW + 5})));
    client.get("/Users").expect(200);
    entra.app.clock.advance(Duration::from_secs(5));
    invalid_token(client.get("/Users"));
}

fn wrong_signatures_are_401(entra: &Entra) {
    entra.trust(json!({"tenant_id": TENANT}));
    let good = entra.token(json!({}));
    let jwk = entra.key.jwk("k1");
    let public = SigningKey::Secret(jwk["n"].as_str().expect("n").as_bytes().to_vec());
    let (message, _) = good.rsplit_once('.').expect("a signature");
    let all = claims(json!({}));
    let other = SigningKey::other_rsa();
    for forged in [
        other.sign(&header("k1"), &all),
        other.sign(&json!({"alg": "RS256", "kid": "k1", "jwk": other.jwk("k1")}), &all),
        entra.key.sign(&json!({"alg": "PS256", "kid": "k1"}), &all),
        entra.key.sign(&json!({"alg": "none", "kid": "k1"}), &all),
        entra.key.sign(&json!({"alg": "RS256"}), &all),
        public.sign(&json!({"alg": "HS256", "kid": "k1"}), &all),
        public.sign(&json!({"alg": "HS256", "kid": "k1", "typ": "at+jwt"}), &all),
        SigningKey::ec().sign(&json!({"alg": "ES256", "kid": "k1"}), &all),
        format!("{message}."),
    ] {
        invalid_token(entra.scim(&forged).get("/Users"));
    }
    entra.scim(&good).get("/Users").expect(200);
}

fn stored_application_must_be_the_one_of_the_token(entra: &Entra) {
    entra.trust(json!({"tenant_id": TENANT, "app_id": APP}));
    entra.scim(&entra.token(json!({}))).get("/Users").expect(200);
    entra.scim(&entra.token(json!({"appid": null, "azp": APP}))).get("/Users").expect(200);
    for change in [
        json!({"appid": OTHER_TENANT}),
        json!({"appid": null}),
        json!({"appid": null, "azp": OTHER_TENANT}),
        json!({"azp": OTHER_TENANT}),
    ] {
        invalid_token(entra.scim(&entra.token(change)).get("/Users"));
    }
}

fn directory_must_be_named_by_the_url(entra: &Entra) {
    entra.trust(json!({"tenant_id": TENANT}));
    let mut client = entra.scim(&entra.token(json!({})));
    client.get("/Users").expect(200);
    for base in ["/scim/v2", "/scim", "/scim/v2/01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
        client.base = format!("{}{base}", entra.app.url);
        invalid_token(client.get("/Users"));
        invalid_token(client.post("/Users", plain_user("eve")));
    }
    // Entra speaks no SCIM 1.1.
    client.base = entra.app.scim.base.replace("/scim/v2/", "/scim/v1/");
    let answer = client.get("/Users").expect(401);
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    assert!(challenge.contains("invalid_token"), "{challenge}");
    assert_nothing_stored(&entra.app);
}

fn new_keys_are_fetched_and_invented_ids_are_not_asked_for(entra: &Entra) {
    entra.trust(json!({"tenant_id": TENANT}));
    let good = entra.scim(&entra.token(json!({})));
    good.get("/Users").expect(200);
    assert_eq!(entra.keys.asked(), 1);
    let invented = |n: usize| entra.key.sign(&header(&format!("invented-{n}")), &claims(json!({})));
    for n in 0..20 {
        invalid_token(entra.scim(&invented(n)).get("/Users"));
    }
    assert_eq!(entra.keys.asked(), 1, "the keys were fetched less than a minute ago");
    // Entra rolls its keys over: the new one counts within a minute, without a restart.
    let next = SigningKey::other_rsa();
    publish(&entra.keys, TENANT, &[(&entra.key, "k1"), (&next, "k2")]);
    let rolled = next.sign(&header("k2"), &claims(json!({})));
    invalid_token(entra.scim(&rolled).get("/Users"));
    entra.app.clock.advance(Duration::from_secs(60));
    entra.scim(&rolled).get("/Users").expect(200);
    good.get("/Users").expect(200);
    assert_eq!(entra.keys.asked(), 2);
    for n in 0..20 {
        invalid_token(entra.scim(&invented(n)).get("/Users"));
        good.get("/Users").expect(200);
    }
    assert_eq!(entra.keys.asked(), 2);
    // A key that is withdrawn stops counting within the hour.
    publish(&entra.keys, TENANT, &[(&next, "k2")]);
    entra.app.clock.advance(Duration::from_secs(3_539));
    good.get("/Users").expect(200);
    entra.app.clock.advance(Duration::from_secs(61));
    let late = json!({"exp": NOW + 9_000});
    invalid_token(entra.scim(&entra.token(late.clone())).get("/Users"));
    entra.scim(&next.sign(&header("k2"), &claims(late))).get("/Users").expect(200);
    assert_eq!(entra.keys.asked(), 3);
}

fn keys_that_cannot_be_fetched_are_503_and_known_ones_go_on(entra: &Entra) {
    entra.trust(json!({"tenant_id": TENANT}));
    let document = json!({"keys": [entra.key.jwk("k1")]});
    let late = entra.token(json!({"exp": NOW + 100_000}));
    let client = entra.scim(&late);
    for (status, body) in [
        (500, document.to_string()),
        (302, document.to_string()),
        (200, "not JSON".to_owned()),
        (200, json!({"keys": []}).to_string()),
        (200, json!({"keys": [{"kty": "oct", "k": "AA"}]}).to_string()),
        (200, " ".repeat(300_000) + &document.to_string()),
    ] {
        entra.keys.set(&path(TENANT), status, body);
        let answer = client.get("/Users");
        assert_eq!(answer.header("retry-after"), Some("60"), "{}", answer.text);
        answer.expect_scim_error(503, None);
        client.get("/Users").expect_scim_error(503, None);
        entra.app.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(entra.keys.asked(), 6);
    publish(&entra.keys, TENANT, &[(&entra.key, "k1")]);
    client.get("/Users").expect(200);
    // Entra is away for hours: who was let in goes on, for a day.
    entra.keys.set(&path(TENANT), 500, "");
    entra.app.clock.advance(Duration::from_secs(23 * 3_600));
    client.get("/Users").expect(200);
    entra.app.clock.advance(Duration::from_secs(3_600));
    client.get("/Users").expect_scim_error(503, None);
}

fn fetched_keys_are_kept_although_who_asked_has_gone(entra: &Entra) {
    entra.trust(json!({"tenant_id": TENANT}));
    let (service, token) = (Arc::clone(entra.app.service()), entra.token(json!({})));
    let key = entra.app.directory.external_key.clone();
    let held = entra.keys.hold();
    entra.app.wait(async move {
        let (asking, text, at) = (Arc::clone(&service), token.clone(), key.clone());
        let asking = tokio::spawn(async move {
            let credentials = Credentials::Token(&text);
            asking.scim_access(credentials, Some(&at), None).await.is_ok()
        });
        while entra.keys.asked() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        asking.abort();
        assert!(asking.await.is_err_and(|error| error.is_cancelled()));
        drop(held);
        let opened = service.scim_access(Credentials::Token(&token), Some(&key), None).await;
        assert!(opened.is_ok(), "{opened:?}");
    });
    assert_eq!(entra.keys.asked(), 1);
}

/// Every customer's requests come from the addresses of Entra.
fn other_directories_at_one_address_are_not_locked_out(entra: &Entra) {
    let trusting = json!({"tenant_id": TENANT});
    entra.trust(trusting.clone());
    let ours = entra.scim(&entra.token(json!({})));
    ours.get("/Users").expect(200);
    // Entra has signed this one; whoever has it cannot have guessed it.
    let ended = entra.scim(&entra.token(json!({"exp": NOW})));
    for _ in 0..601 {
        invalid_token(ended.get("/Users"));
    }
    let (fresh, _) = entra.app.directory("scim.entra");
    let path = format!("/api/v1/directories/{}", fresh.id);
    entra.app.api.patch(&path, json!({"settings": {"entra_token": trusting}})).expect(200);
    let mut new = ours.clone();
    new.base = fresh.base_url;
    new.get("/Users").expect(200);
    // A directory that takes no such tokens: that many are too many.
    let (misconfigured, _) = entra.app.directory("scim.entra");
    let mut lost = ours.clone();
    lost.base = misconfigured.base_url;
    for _ in 0..600 {
        invalid_token(lost.get("/Users"));
    }
    lost.get("/Users").expect_scim_error(429, None);
    for _ in 0..3 {
        entra.app.clock.advance(Duration::from_secs(5));
        lost.get("/Users").expect_scim_error(429, None);
        ours.get("/Users").expect(200);
        new.get("/Users").expect(200);
    }
}

fn key_of_another_issuer_does_not_count(entra: &Entra) {
    entra.trust(json!({"tenant_id": TENANT}));
    let mut foreign = entra.key.jwk("k1");
    foreign["issuer"] = json!(format!("https://login.microsoftonline.com/{OTHER_TENANT}/v2.0"));
    entra.keys.set(&path(TENANT), 200, json!({"keys": [foreign]}));
    invalid_token(entra.scim(&entra.token(json!({}))).get("/Users"));
    // A key of every tenant, as the document of all tenants writes it.
    let mut shared = entra.key.jwk("k2");
    shared["issuer"] = json!("https://login.microsoftonline.com/{tenantid}/v2.0");
    entra.keys.set(&path(TENANT), 200, json!({"keys": [shared]}));
    entra.app.clock.advance(Duration::from_secs(60));
    let token = entra.key.sign(&header("k2"), &claims(json!({})));
    entra.scim(&token).get("/Users").expect(200);
}

fn wrong_settings_are_refused(entra: &Entra) {
    let path = format!("/api/v1/directories/{}", entra.app.directory.id);
    for (setting, field) in [
        (json!({"tenant_id": "common"}), "settings.entra_token.tenant_id"),
        (json!({"tenant_id": format!("{TENANT}/../x")}), "settings.entra_token.tenant_id"),
        (json!({"tenant_id": 7}), "settings.entra_token.tenant_id"),
        (json!({"tenant_id": TENANT, "app_id": "x"}), "settings.entra_token.app_id"),
        (json!({"app_id": APP}), "settings.entra_token"),
        (json!({"tenant_id": TENANT, "audience": "x"}), "settings.entra_token.audience"),
        (json!(true), "settings.entra_token"),
    ] {
        let answer = entra.app.api.patch(&path, json!({"settings": {"entra_token": setting}}));
        assert_invalid(&answer, field);
    }
    assert_eq!(entra.app.api.get(&path).expect(200).body["settings"], json!({}));
}

/// Without the operator's word nothing on this machine or in its network is called.
mod private_networks_are_not_called_unless_allowed {
    use super::*;

    #[test]
    fn sqlite() {
        let keys = KeyServer::start();
        let key = SigningKey::rsa();
        publish(&keys, TENANT, &[(&key, "k1")]);
        let authority = keys.url.clone();
        let app = TestApp::start_with(Database::sqlite(), |config| {
            config.entra_authority = authority;
        });
        let path = format!("/api/v1/directories/{}", app.directory.id);
        let setting = json!({"settings": {"entra_token": {"tenant_id": TENANT}}});
        app.api.patch(&path, setting).expect(200);
        let token = key.sign(&header("k1"), &claims(json!({})));
        app.scim.with_bearer(Some(&token)).get("/Users").expect_scim_error(503, None);
        assert_eq!(keys.asked(), 0);
    }
}
