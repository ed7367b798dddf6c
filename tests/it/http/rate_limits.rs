//! Rate limits of directories and API keys, and what a flood leaves for others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rollbook::service::limit::RateLimit;
use serde_json::{Value, json};

use super::{
    api_error, ask_token, assert_invalid, assert_nothing_stored, client_with_secret, create,
    oauth_client, oauth_error, plain_user,
};
use crate::on_both_databases;
use crate::support::{Client, Database, DirectoryHandle, SigningKey, TestApp, group, patch, user};

on_both_databases![
    directory_at_its_limit_is_429_and_told_when_to_come_back,
    every_answer_says_what_is_left,
    limit_is_the_directory_s_alone,
    request_without_a_good_token_costs_nothing,
    token_endpoint_takes_from_the_bucket_of_the_directory,
    limited_request_is_refused_before_its_body_is_read,
    bulk_request_costs_its_operations,
    rate_limit_setting_is_checked,
    limit_may_be_switched_off_for_one_directory,
    flood_of_searches_leaves_others_their_turns,
    flood_of_writes_leaves_others_their_turns,
];

fn limit(app: &TestApp, directory: &DirectoryHandle, limit: Value) {
    let path = format!("/api/v1/directories/{}", directory.id);
    let settings = json!({"settings": {"rate_limit": limit}});
    assert_eq!(
        app.api.patch(&path, settings.clone()).expect(200).body["settings"],
        settings["settings"]
    );
}

fn directory_at_its_limit_is_429_and_told_when_to_come_back(app: &TestApp) {
    limit(app, &app.directory, json!({"per_second": 2, "burst": 4}));
    for _ in 0..4 {
        app.scim.get("/Users").expect(200);
    }
    for answer in [
        app.scim.get("/Users"),
        app.scim.post("/Users", plain_user("ada")),
        app.scim.patch("/Users/1", patch(json!([]))),
        app.scim.delete("/Users/1"),
        app.scim.get("/Schemas"),
    ] {
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(
            answer.expect_scim_error(429, None),
            "This directory may make 2 requests a second in the long run and 4 at once, and has made \
             more; try again in 1 second."
        );
    }
    let old = Client::new(
        &app.directory.base_url.replace("/scim/v2/", "/scim/v1/"),
        &app.directory.token,
        "application/json",
    );
    let answer = old.get("/Users").expect(429);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.body["Errors"][0]["code"], "429", "{}", answer.text);
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(app.scim.get("/Users").total(), 0);
    app.scim.get("/Users").expect(200);
    app.scim.get("/Users").expect_scim_error(429, None);
    let refused = r#"rollbook_rate_limited_total{surface="scim",provider="generic"} 7"#;
    let metrics = Client::new(&app.url, "", "").with_bearer(None).get("/metrics").expect(200);
    assert!(metrics.text.contains(refused), "{}", metrics.text);
    limit(app, &app.directory, json!("off"));
    assert_nothing_stored(app);
}

fn every_answer_says_what_is_left(app: &TestApp) {
    limit(app, &app.directory, json!("2/10"));
    let shown = |path: &str| {
        let answer = app.scim.get(path);
        let header = |name: &str| answer.header(name).unwrap_or("none").to_owned();
        let headers = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].map(header);
        assert_eq!(answer.header("ratelimit-policy"), Some("10;w=5"));
        (answer.status, headers.join(" "))
    };
    for (path, status, left) in [
        ("/Users", 200, "10 9 1"),
        ("/Users/unknown", 404, "10 8 1"),
        ("/Users?filter=x", 400, "10 7 2"),
        ("/ServiceProviderConfig", 200, "10 6 2"),
    ] {
        assert_eq!(shown(path), (status, left.to_owned()), "{path}");
    }
    for _ in 0..6 {
        app.scim.get("/Users").expect(200);
    }
    assert_eq!(shown("/Users"), (429, "10 0 5".to_owned()));
    limit(app, &app.directory, json!("off"));
    assert_eq!(app.scim.get("/Users").header("ratelimit-limit"), None);
}

fn limit_is_the_directory_s_alone(app: &TestApp) {
    let (other, scim) = app.directory("scim.okta");
    for directory in [&app.directory, &other] {
        limit(app, directory, json!("1/3"));
    }
    let second = json!({"expires_at": null});
    let path = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let secret = app.api.post(&path, second).expect(201);
    let same = app.scim.with_bearer(secret.body["secret"].as_str());
    app.scim.get("/Users").expect(200);
    same.get("/Users").expect(200);
    app.scim.get("/Users").expect(200);
    same.get("/Users").expect_scim_error(429, None);
    for _ in 0..3 {
        scim.get("/Users").expect(200);
    }
    scim.get("/Users").expect_scim_error(429, None);
}

fn request_without_a_good_token_costs_nothing(app: &TestApp) {
    let (other, _) = app.directory("scim.okta");
    let stranger = app.scim.with_bearer(Some(&other.token));
    limit(app, &app.directory, json!("1/2"));
    for _ in 0..10 {
        app.scim.with_bearer(None).get("/Users").expect_scim_error(401, None);
        app.scim.with_bearer(Some("rbd_wrong")).get("/Users").expect_scim_error(401, None);
        stranger.get("/Users").expect_scim_error(403, None);
    }
    app.scim.get("/Users").expect(200);
    app.scim.get("/Users").expect(200);
}

fn token_endpoint_takes_from_the_bucket_of_the_directory(app: &TestApp) {
    let key = SigningKey::ec();
    let (with_secret, secret) = client_with_secret(app, json!({}));
    let body = json!({"auth_method": "private_key_jwt", "jwks": key.jwks("e")});
    let (signing, _) = oauth_client(app, body);
    let assertion = |jti: &str| {
        let now = app.clock.now_ms() / 1_000;
        let claims = json!({
            "iss": signing, "sub": signing, "aud": app.url, "exp": now + 60, "jti": jti,
        });
        key.sign(&json!({"alg": "ES256"}), &claims)
    };
    let grant = ("grant_type", "client_credentials");
    let by_secret = |secret: &str| {
        let form = [grant, ("client_id", &with_secret), ("client_secret", secret)];
        ask_token(&app.url, &[], &form)
    };
    let by_assertion = |assertion: &str| {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let form = [grant, ("client_assertion_type", kind), ("client_assertion", assertion)];
        ask_token(&app.url, &[], &form)
    };
    limit(app, &app.directory, json!("1/2"));
    for _ in 0..5 {
        oauth_error(&by_secret("wrong"), 401, "invalid_client");
        oauth_error(&by_assertion("wrong"), 401, "invalid_client");
    }
    by_secret(&secret).expect(200);
    by_assertion(&assertion("1")).expect(200);
    let late = assertion("2");
    for refused in [by_secret(&secret), by_assertion(&late), by_assertion(&late)] {
        assert_eq!(refused.header("retry-after"), Some("1"));
        let description = oauth_error(&refused, 429, "temporarily_unavailable");
        assert!(description.contains("1 requests a second"), "{description}");
    }
    app.scim.get("/Users").expect_scim_error(429, None);
    let metrics = Client::new(&app.url, "", "").with_bearer(None).get("/metrics").expect(200).text;
    for line in [
        r#"rollbook_rate_limited_total{surface="oauth",provider="generic"} 3"#,
        r#"rollbook_oauth_refusals_total{reason="rate_limit"} 3"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    // What was refused is not used up.
    app.clock.advance(Duration::from_secs(1));
    by_assertion(&late).expect(200);
}

fn limited_request_is_refused_before_its_body_is_read(app: &TestApp) {
    limit(app, &app.directory, json!("1/1"));
    app.scim.get("/Users").expect(200);
    let address = app.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let (key, token) = (&app.directory.external_key, &app.directory.token);
    write!(
        stream,
        "POST /scim/v2/{key}/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/scim+json\r\nContent-Length: 1000000\r\n\r\n"
    )
    .expect("sent");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("an answer although the body never comes");
    assert_eq!(&start, b"HTTP/1.1 429");
}

fn bulk_request_costs_its_operations(app: &TestApp) {
    limit(app, &app.directory, json!("10/20"));
    let bulk = |operations: usize, name: &str| {
        let operations: Vec<Value> = (0..operations)
            .map(|n| {
                json!({"method": "POST", "path": "/Users", "bulkId": format!("b{n}"),
                    "data": plain_user(&format!("{name}{n}"))})
            })
            .collect();
        let schemas = ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"];
        app.scim.post("/Bulk", json!({"schemas": schemas, "Operations": operations}))
    };
    // More than the burst: let in, and paid for afterwards.
    let first = bulk(50, "a").expect(200);
    assert_eq!(first.header("ratelimit-remaining"), Some("0"));
    let refused = app.scim.get("/Users");
    assert_eq!(refused.header("retry-after"), Some("4"));
    refused.expect_scim_error(429, None);
    bulk(1, "b").expect_scim_error(429, None);
    app.clock.advance(Duration::from_secs(4));
    assert_eq!(app.scim.get("/Users?count=0").total(), 50);
}

fn rate_limit_setting_is_checked(app: &TestApp) {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    for (wrong, field, said) in [
        (json!(0), "settings.rate_limit", "must be 1 to 1000000"),
        (json!(-1), "settings.rate_limit", "it is -1"),
        (json!(1.5), "settings.rate_limit", "\"off\""),
        (json!("fast"), "settings.rate_limit", "it is \"fast\", but must be \"off\""),
        (json!({"per_second": 1, "burst": 0}), "settings.rate_limit", "the burst is 0"),
        (json!({"per_second": 1, "bursts": 1}), "settings.rate_limit.bursts", "unknown field"),
        (json!({"per_second": "1"}), "settings.rate_limit.per_second", "invalid type"),
        (json!([]), "settings.rate_limit", "\"off\""),
    ] {
        let answer = app.api.patch(&path, json!({"settings": {"rate_limit": wrong}}));
        assert_invalid(&answer, field);
        assert!(answer.text.contains(&said.replace('"', "\\\"")), "{}", answer.text);
    }
    assert_eq!(app.api.get(&path).expect(200).body["settings"], json!({}));
}

fn limit_may_be_switched_off_for_one_directory(app: &TestApp) {
    limit(app, &app.directory, json!("off"));
    for _ in 0..30 {
        assert_eq!(app.scim.get("/Users").expect(200).header("ratelimit-limit"), None);
    }
}

#[test]
fn configured_limit_holds_for_directories_and_api_keys() {
    let app = TestApp::start_with(Database::sqlite(), |config| {
        config.rate_limit = RateLimit::default();
    });
    let answer = app.scim.get("/Users").expect(200);
    assert_eq!(answer.header("ratelimit-limit"), Some("1000"));
    assert_eq!(answer.header("ratelimit-policy"), Some("1000;w=2"));
    assert_eq!(app.api.get("/api/v1/directories").header("ratelimit-limit"), Some("1000"));
    drop(app);

    let app = TestApp::start_with(Database::sqlite(), |config| {
        config.rate_limit = "1/5".parse().expect("a limit");
    });
    // Making the directory of the test took two.
    let made = app.api.post("/api/v1/api_keys", json!({"name": "a", "scopes": ["manage"]}));
    let other = app.api.with_bearer(made.expect(201).body["secret"].as_str());
    app.api.get("/api/v1/directories").expect(200);
    app.api.get("/api/v1/directories").expect(200);
    let refused = app.api.get("/api/v1/directories");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let message = api_error(&refused, 429, "rate_limited");
    assert!(message.starts_with("This API key may make 1 requests a second"), "{message}");
    other.get("/api/v1/directories").expect(200);
    app.scim.get("/Users").expect(200);
    app.clock.advance(Duration::from_secs(1));
    app.api.get("/api/v1/directories").expect(200);
    let metrics = Client::new(&app.url, "", "").with_bearer(None).get("/metrics").expect(200);
    let refused = r#"rollbook_rate_limited_total{surface="management",provider=""} 1"#;
    assert!(metrics.text.contains(refused), "{}", metrics.text);
}

/// Clients of the directory that floods.
const FLOOD: usize = 64;

/// Requests of the other directory meanwhile.
const OTHERS: usize = 15;

/// Lets 64 clients send one request after the other while another one sends a few; gives the median
/// time of each. Every request of both must succeed: a flood of one directory fills no queue.
fn medians(
    flood: impl Fn(usize, usize) -> u16 + Sync,
    other: impl Fn(usize) -> u16,
) -> (Duration, Duration) {
    let (done, times) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let others = std::thread::scope(|scope| {
        for client in 0..FLOOD {
            let (done, times, flood) = (&done, &times, &flood);
            scope.spawn(move || {
                for round in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let (started, status) = (Instant::now(), flood(client, round));
                    times.lock().expect("no panic").push((started.elapsed(), status));
                }
            });
        }
        // The flood is there once every client has had an answer.
        while times.lock().expect("no panic").len() < FLOOD {
            std::thread::yield_now();
        }
        let others: Vec<(Duration, u16)> = (0..OTHERS)
            .map(|round| {
                let (started, status) = (Instant::now(), other(round));
                (started.elapsed(), status)
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        others
    });
    let median = |mut times: Vec<(Duration, u16)>| {
        let refused: Vec<u16> =
            times.iter().map(|t| t.1).filter(|s| !matches!(s, 200 | 201)).collect();
        assert_eq!(refused, Vec::<u16>::new());
        times.sort_unstable();
        times[times.len() / 2].0
    };
    (median(times.into_inner().expect("no panic")), median(others))
}

/// Were there one row for all, the other directory would wait as long as every client of the flood.
fn assert_own_turns((flood, other): (Duration, Duration)) {
    assert!(other * 4 < flood, "the flood waits {flood:?}, the other directory {other:?}");
}

fn flood_of_searches_leaves_others_their_turns(app: &TestApp) {
    let (_, other) = app.directory("scim.okta");
    create(&other, "/Users", user("ada@example.com"));
    let operations: Vec<Value> = (0..600)
        .map(|n| {
            json!({"method": "POST", "path": "/Users", "bulkId": format!("b{n}"),
                "data": user(&format!("u{n}@example.com"))})
        })
        .collect();
    let schemas = ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"];
    let bulk = json!({"schemas": schemas, "Operations": operations});
    app.scim.post("/Bulk", bulk).expect(200);
    // No index helps here: every user is looked at.
    let search = "/Users?count=0&filter=name.givenName%20ew%20%22nobody%22";
    assert_own_turns(medians(|_, _| app.scim.get(search).status, |_| other.get(search).status));
}

fn flood_of_writes_leaves_others_their_turns(app: &TestApp) {
    let (_, other) = app.directory("scim.okta");
    let ids: Vec<String> =
        (0..100).map(|n| create(&app.scim, "/Users", plain_user(&format!("u{n}")))).collect();
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_own_turns(medians(
        |client, round| {
            app.scim.post("/Groups", group(&format!("g{client}-{round}"), &members)).status
        },
        |round| other.post("/Users", plain_user(&format!("o{round}"))).status,
    ));
}
