//! Security Event Tokens: streams as receivers manage them, and what comes through them.

/// Makes `name::sqlite` and `name::postgres` of each function, with a server that may call this machine.
macro_rules! with_streams {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[test]
            fn sqlite() {
                super::$name(&$crate::http::ssf::start($crate::support::Database::sqlite()));
            }

            #[test]
            fn postgres() {
                super::$name(&$crate::http::ssf::start($crate::support::Database::postgres()));
            }
        })*
    };
}

mod keys;
mod poll;
mod push;
mod streams;

use std::time::{Duration, Instant};

use rollbook::auth::jwt::{self, Algorithm, KeySet};
use serde_json::{Value, json};

use crate::support::{Client, Database, TestApp};

const STREAMS: &str = "/ssf/streams";
const STATUS: &str = "/ssf/status";
const PUSH: &str = "urn:ietf:rfc:8935";
const POLL: &str = "urn:ietf:rfc:8936";
const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type";
const PROV: &str = "urn:ietf:params:scim:event:prov";

fn start(database: Database) -> TestApp {
    TestApp::start_with(database, |config| {
        config.outbound_networks = vec!["127.0.0.0/8".parse().expect("a network")];
        config.webhook_timeout = 1;
    })
}

/// A client with a key for streams, of these organizations or of all.
fn receiver_key(app: &TestApp, organizations: Value) -> Client {
    let body = json!({"name": "Receiver", "scopes": ["ssf.manage"],
        "organization_ids": organizations});
    let made = app.api.post("/api/v1/api_keys", body).expect(201).body;
    app.api.with_bearer(made["secret"].as_str())
}

/// A stream that gets what happens from now on: its id.
#[track_caller]
fn stream(app: &TestApp, client: &Client, body: Value) -> String {
    // On PostgreSQL what happened a moment ago gets its position now: that is not for this stream.
    app.settle_events();
    let made = client.post(STREAMS, body).expect(201).body;
    made["stream_id"].as_str().expect("an id").to_owned()
}

/// A stream that is polled.
#[track_caller]
fn polled(app: &TestApp, events: &[String]) -> String {
    stream(app, &app.api, json!({"events_requested": events}))
}

/// What a receiver gets that does not wait, in the order of the answer.
#[track_caller]
fn poll(app: &TestApp, id: &str, more: Value) -> Vec<Value> {
    app.settle_events();
    let mut body = json!({"returnImmediately": true});
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let answer = app.api.post(&format!("{STREAMS}/{id}/poll"), body).expect(200).body;
    let sets = answer["sets"].as_object().expect("sets");
    sets.iter()
        .map(|(jti, token)| {
            let claims = verified(app, token.as_str().expect("a token"));
            assert_eq!(claims["jti"], *jti);
            claims
        })
        .collect()
}

/// The claims of a token that a published key has signed.
#[track_caller]
fn verified(app: &TestApp, token: &str) -> Value {
    let header = jwt::header(token).expect("a header");
    assert_eq!(header.typ.as_deref(), Some("secevent+jwt"));
    let answer = app.api.with_bearer(None).get("/jwks.json").expect(200);
    let keys = KeySet::strict(&answer.body).expect("a key set");
    assert!(header.kid.is_some_and(|kid| keys.has(&kid)));
    let (claims, _) =
        jwt::verified::<Value>(token, &keys, &[Algorithm::RS256]).expect("a good signature");
    assert_eq!(claims["iss"], app.url);
    assert!(claims.get("sub").is_none() && claims.get("exp").is_none());
    claims
}

/// The URI of the one event of each token.
#[track_caller]
fn uris(sets: &[Value]) -> Vec<String> {
    sets.iter()
        .map(|claims| {
            let events = claims["events"].as_object().expect("events");
            assert_eq!(events.len(), 1, "{claims}");
            events.keys().next().expect("one").clone()
        })
        .collect()
}

fn ids(sets: &[Value]) -> Vec<String> {
    sets.iter().map(|claims| claims["jti"].as_str().expect("an id").to_owned()).collect()
}

fn status(app: &TestApp, id: &str) -> Value {
    app.api.get(&format!("{STATUS}?stream_id={id}")).expect(200).body
}

/// Asks until the status of the stream is like that, and gives it.
#[track_caller]
fn wait_until(app: &TestApp, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let status = status(app, id);
        if is_so(&status) {
            return status;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{status}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A new user: its id.
fn person(scim: &Client, name: &str) -> String {
    scim.post("/Users", crate::support::user(name)).expect(201).id()
}

fn set_active(scim: &Client, id: &str, active: bool) {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "active", "value": active}],
    });
    let answer = scim.patch(&format!("/Users/{id}"), body);
    assert!(answer.status < 300, "{}", answer.text);
}
