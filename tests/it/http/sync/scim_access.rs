//! `pull.scim` with tokens of an OAuth server, and with certificates of one's own authority. The source is
//! this server.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::Source;
use crate::http::{assert_invalid, client_with_secret};
use crate::support::{Database, TestApp, user};

fn reader<'a>(app: &'a TestApp, more: &Value) -> Source<'a> {
    let mut config = json!({"base_url": app.directory.base_url, "allow_private_network": true});
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    Source::new(app, "pull.scim", config, json!({"schedule": "off"}))
}

#[test]
fn client_credentials_are_shown_and_their_end_is_told() {
    let app = &TestApp::start(Database::sqlite());
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    let (id, secret) = client_with_secret(app, json!({}));
    let oauth = |authentication: &str, secret: &str| {
        json!({"token_url": format!("{}/oauth/token", app.url), "client_id": id,
            "client_secret": secret, "client_authentication": authentication})
    };
    let sources = ["basic", "post"].map(|authentication| {
        let source = reader(app, &oauth(authentication, &secret));
        assert_eq!(source.sync()["counts"]["users"]["created"], 1);
        // The token of the run before has ended.
        app.clock.advance(Duration::from_secs(3_600));
        source.sync();
        source
    });
    let source = &sources[0];
    let shown = source.view()["config"]["client_secret"].clone();
    assert!(shown.as_str().is_some_and(|shown| shown.starts_with("****") && shown != secret));
    let (told, users) = (source.events(), source.users());
    let wrong = "wrong-0123456789-0123456789";
    app.api.patch(&source.path, json!({"config": {"client_secret": wrong}})).expect(200);
    let run = source.run(json!({"mode": "full"}));
    let error = run["error"].as_str().expect("an error");
    assert!(error.starts_with("no access token: ") && !error.contains(wrong), "{error}");
    assert_eq!(source.view()["state"], "invalid_credentials");
    assert_eq!((source.events(), source.users()), (told, users));
    app.api.patch(&source.path, json!({"config": {"client_secret": secret}})).expect(200);
    source.sync();
    assert_eq!(source.view()["state"], "linked");
    // The secret does not follow the endpoint to another origin.
    let moved = json!({"config": {"token_url": "http://127.0.0.1:9/token"}});
    assert_invalid(&app.api.patch(&source.path, moved), "config.client_secret");
    let gone = format!("/api/v1/directories/{}/oauth_clients/{id}", app.directory.id);
    app.api.delete(&gone).expect(204);
    app.clock.advance(Duration::from_secs(3_600));
    let run = sources[1].run(json!({"mode": "full"}));
    assert_eq!(
        (&run["status"], &sources[1].view()["state"]),
        (&json!("failed"), &json!("invalid_credentials"))
    );
    assert_eq!(sources[1].users().len(), 1);
}

#[test]
fn own_authority_vouches_and_no_other_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = || rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a pair");
    let (made, other) = (pair(), pair());
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let app = &TestApp::start_with(Database::sqlite(), |config| {
        config.tls_cert = Some(cert);
        config.tls_key = Some(key);
    });
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    let with = |ca: Option<&str>| {
        let mut config = json!({"token": app.directory.token});
        if let Some(pem) = ca {
            config["ca_pem"] = pem.into();
        }
        reader(app, &config)
    };
    let both = format!("{}{}", other.cert.pem(), made.cert.pem());
    for pem in [made.cert.pem(), both] {
        assert_eq!(with(Some(&pem)).sync()["counts"]["users"]["created"], 1);
    }
    let gate = Gate::before(app.url.rsplit_once(':').expect("a port").1);
    for pem in [None, Some(other.cert.pem())] {
        let source = with(pem.as_deref());
        app.api
            .patch(&source.path, json!({"config": {"base_url": gate.url, "token": "theirs"}}))
            .expect(200);
        gate.passed();
        let run = source.run(json!({}));
        assert_eq!(run["status"], "failed", "{run}");
        assert_eq!(gate.passed(), 1, "it will be the same certificate the next time");
        assert!(run["error"].as_str().is_some_and(|error| error.contains("certificate")), "{run}");
        assert_eq!(source.view()["state"], "error");
    }
}

#[test]
fn source_that_cannot_be_reached_ends_the_run_soon() {
    let app = &TestApp::start(Database::sqlite());
    let gate = Gate::before("1");
    let source = reader(app, &json!({"base_url": gate.url, "token": "theirs"}));
    let run = source.run(json!({}));
    let error = run["error"].as_str().unwrap_or_default();
    assert!(run["status"] == "failed" && error.starts_with(&format!("{}: ", gate.url)), "{run}");
    assert_eq!(gate.passed(), 3, "the schedule comes again");
}

/// Leads connections on to a port of this machine, and counts them. Where nobody listens it hangs up.
struct Gate {
    url: String,
    passed: Arc<AtomicUsize>,
}

impl Gate {
    fn before(port: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        let (passed, to) = (Arc::new(AtomicUsize::new(0)), format!("127.0.0.1:{port}"));
        let count = Arc::clone(&passed);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                let Ok(target) = TcpStream::connect(&to) else { continue };
                for (mut from, mut to) in
                    [(&stream, &target), (&target, &stream)].map(|(from, to)| {
                        (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"))
                    })
                {
                    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                }
            }
        });
        Self { url, passed }
    }

    /// How many there were since it was asked.
    fn passed(&self) -> usize {
        self.passed.swap(0, Ordering::SeqCst)
    }
}

#[test]
fn half_a_way_to_show_who_asks_is_refused() {
    let app = &TestApp::start(Database::sqlite());
    let url = "https://directory.example.com";
    for (more, field) in [
        (json!({}), "token"),
        (json!({"token_url": url}), "client_id"),
        (json!({"token_url": url, "client_id": "a"}), "client_secret"),
        (json!({"client_secret": "a"}), "token_url"),
        (json!({"token": "a", "client_id": "a"}), "token"),
        (json!({"username": "a", "password": "b", "token_url": url}), "username"),
        (json!({"token": "a", "scope": "read"}), "scope"),
        (
            json!({"token_url": "http://10.0.0.1/t", "client_id": "a", "client_secret": "b"}),
            "token_url",
        ),
        (json!({"token": "a", "ca_pem": "no PEM"}), "ca_pem"),
        (
            json!({"token": "a", "ca_pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}),
            "ca_pem",
        ),
    ] {
        let mut config = json!({"base_url": url});
        for (name, value) in more.as_object().expect("an object") {
            config[name] = value.clone();
        }
        let body = json!({"organization_id": app.directory.organization_id, "name": "S",
            "kind": "pull.scim", "config": config});
        let answer = app.api.post("/api/v1/directories", body);
        assert_invalid(&answer, &format!("config.{field}"));
    }
}
