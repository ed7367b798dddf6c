//! Another secret key for the installation: nothing that is sealed is lost.

use serde_json::{Value, json};

use rollbook::auth::SecretKey;
use rollbook::store::sealed::{SEALED_COLUMNS, SealedColumn};
use rollbook::store::{Store, StoreError};

use super::{Source, numbered};
use crate::http::api_error;
use crate::support::{Client, Database, TestApp, user};

/// Makes `name::sqlite` and `name::postgres` of each function, which starts its own servers.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[test]
            fn sqlite() {
                super::$name($crate::support::Database::sqlite());
            }

            #[test]
            fn postgres() {
                super::$name($crate::support::Database::postgres());
            }
        })*
    };
}

on_both![secret_key_changes_and_nothing_is_lost, rotation_that_was_cut_off_goes_on];

fn start(database: Database, key: &SecretKey) -> TestApp {
    let key = key.to_text().replace('\n', ",");
    TestApp::start_with(database, |config| {
        config.secret_key = Some(key);
        config.outbound_networks = vec!["127.0.0.0/8".parse().expect("a network")];
    })
}

/// The same database under other keys.
fn restart(app: TestApp, key: &SecretKey) -> TestApp {
    let database = app.into_database();
    start(database, key)
}

/// Texts of each kind that are not sealed with the key, in the first page.
fn left(app: &TestApp, key: &SecretKey) -> Vec<&'static str> {
    let prefix = key.seal("any").prefix();
    let service = std::sync::Arc::clone(app.service());
    let of = |store: Store, column: &'static SealedColumn| {
        let prefix = prefix.clone();
        let page: Result<_, StoreError> = app.wait(async move {
            store.read("test", move |tx| tx.sealed_page(column, None, &prefix)).await
        });
        !page.expect("a page").is_empty()
    };
    let columns = SEALED_COLUMNS.iter().filter(|column| match column.is_record {
        true => of(service.records.database().expect("records"), column),
        false => of(service.store.clone(), column),
    });
    columns.map(|column| column.what).collect()
}

fn rotate(app: &TestApp) -> Value {
    app.api.post("/api/v1/secret_keys/rotate", json!({})).expect(202);
    loop {
        let status = app.api.get("/api/v1/secret_keys").expect(200).body;
        if status["rotation"]["state"] != "running" {
            return status;
        }
        std::thread::yield_now();
    }
}

/// Something sealed of every kind, and what it is later known by.
struct Kept {
    /// A directory with a request record.
    pushed: String,
    source: String,
    run: String,
    endpoint: String,
    answered: String,
    answer: Value,
}

fn fill(app: &TestApp) -> Kept {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=10));
    let run = source.sync_users(&numbered(1..=2));
    assert_eq!(run["status"], "held");
    let body = json!({"endpoint_url": "http://127.0.0.1:9/gone", "events": ["dsync.user.created"]});
    let endpoint = app.api.post("/api/v1/webhook_endpoints", body).expect(201).id();
    let rotated = format!("/api/v1/webhook_endpoints/{endpoint}/rotate");
    app.api.post(&rotated, json!({})).expect(201);
    let delivery = json!({"method": "urn:ietf:rfc:8935", "endpoint_url": "http://127.0.0.1:9/set",
        "authorization_header": "Bearer of-the-receiver"});
    app.api.post("/ssf/streams", json!({"delivery": delivery})).expect(201);
    app.api.get("/api/v1/signing_keys").expect(200);
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    let key = [("Idempotency-Key", "once")];
    let body = json!({"name": "Kept", "scopes": ["read"]}).to_string();
    let answer = app.api.send("POST", "/api/v1/api_keys", &key, Some(body.clone())).expect(201);
    Kept {
        pushed: app.directory.id.clone(),
        source: source.handle.id.clone(),
        run: run["id"].as_str().expect("an id").to_owned(),
        endpoint,
        answered: body,
        answer: answer.body,
    }
}

/// Everything that was sealed opens.
fn assert_whole(app: &TestApp, kept: &Kept) {
    let path = format!("/api/v1/directories/{}", kept.source);
    let diff = app.api.get(&format!("{path}/syncs/{}/diff", kept.run)).expect(200).body;
    assert_eq!(diff["data"].as_array().map(Vec::len), Some(8), "{diff}");
    let body = json!({"dry_run": true});
    let asked = app.api.post(&format!("{path}/sync"), body).expect(202).id();
    let run = app.api.get(&format!("{path}/syncs/{asked}?wait=30")).expect(200).body;
    assert_eq!(run["status"], "completed", "the file is read: {run}");
    let key = [("Idempotency-Key", "once")];
    let again = app.api.send("POST", "/api/v1/api_keys", &key, Some(kept.answered.clone()));
    assert_eq!(again.expect(201).body, kept.answer);
    let records = format!("/api/v1/directories/{}/requests", kept.pushed);
    let records = app.api.get(&records).expect(200).body;
    assert!(records["data"].as_array().is_some_and(|data| !data.is_empty()), "{records}");
    let endpoint = format!("/api/v1/webhook_endpoints/{}", kept.endpoint);
    app.api.get(&endpoint).expect(200);
}

fn secret_key_changes_and_nothing_is_lost(database: Database) {
    let old = SecretKey::generate();
    let both = old.followed();
    let new = both.alone();
    let app = start(database, &old);
    let kept = fill(&app);
    assert_whole(&app, &kept);
    let told = app.api.get("/api/v1/secret_keys").expect(200).body;
    assert_eq!((&told["others"], &told["rotation"]), (&json!([]), &Value::Null), "{told}");

    let app = restart(app, &both);
    assert_whole(&app, &kept);
    let told = app.api.get("/api/v1/secret_keys").expect(200).body;
    assert_eq!(told["needed"], json!([told["current"], told["others"][0]]), "{told}");
    let sealed = left(&app, &new);
    for what in [
        "configurations of sources",
        "changes of runs",
        "files of sources",
        "webhook secrets",
        "webhook secrets that end",
        "headers of streams",
        "signing keys",
        "answers to idempotent requests",
        "request records",
    ] {
        assert!(sealed.contains(&what), "{what}: {sealed:?}");
    }
    let status = rotate(&app);
    assert_eq!(status["rotation"]["state"], "completed", "{status}");
    assert_eq!(status["rotation"]["unreadable"], json!({}), "{status}");
    assert_eq!(status["needed"], json!([status["current"]]), "{status}");
    assert_eq!(left(&app, &new), [""; 0]);
    assert_whole(&app, &kept);
    // There is nothing left to do, which may be asked for.
    assert_eq!(rotate(&app)["rotation"]["sealed"], json!({}));

    let app = restart(app, &new);
    assert_whole(&app, &kept);
    let limited = json!({"name": "Limited", "scopes": ["manage"],
        "organization_ids": [app.directory.organization_id]});
    let limited = app.api.post("/api/v1/api_keys", limited).expect(201).body;
    let limited: Client = app.api.with_bearer(limited["secret"].as_str());
    api_error(&limited.get("/api/v1/secret_keys"), 403, "forbidden");
    // Whoever comes with the old key, or with another one, is turned away.
    let database = app.into_database();
    for key in [&old, &SecretKey::generate()] {
        let refused = TestApp::refused(&database, |config| config.secret_key = Some(key.to_text()));
        assert!(refused.contains("another secret key"), "{refused}");
    }
}

/// A process that dies while it seals leaves some of each.
fn rotation_that_was_cut_off_goes_on(database: Database) {
    let old = SecretKey::generate();
    let both = old.followed();
    let app = start(database, &old);
    let kept = fill(&app);
    let app = restart(app, &both);
    let (service, current) = (std::sync::Arc::clone(app.service()), both.alone());
    let text = json!({
        "state": "running", "key": rollbook::auth::key_id(&current.check_value()),
        "started": 1, "updated": 1, "finished": null, "sealed": {"signing keys": 1},
        "unreadable": {}, "error": null,
    });
    let text = text.to_string();
    app.wait(async move {
        let put =
            move |tx: &mut rollbook::store::Tx<'_>| tx.setting_put("secret_key_rotation", &text);
        let noted: Result<(), StoreError> = service.store.write("test", put).await;
        noted.expect("noted");
    });
    let status = || app.api.get("/api/v1/secret_keys").expect(200).body;
    // The process may have seen it already, as it looks when it starts and every minute.
    let asked = app.api.post("/api/v1/secret_keys/rotate", json!({})).status;
    assert!([202, 409].contains(&asked), "{asked}");
    while status()["rotation"]["state"] != "completed" {
        std::thread::yield_now();
    }
    assert_eq!(left(&app, &current), [""; 0]);
    assert_whole(&app, &kept);
}
