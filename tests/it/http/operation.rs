//! What operators look at: health, metrics, request ids, and the links in answers.

use serde_json::json;

use super::{api_error, create, plain_user};
use crate::on_both_databases;
use crate::support::{Client, Database, TestApp};

on_both_databases![
    health_is_ok_without_a_token,
    metrics_count_requests_by_route_method_and_status,
    request_id_is_given_back_or_made,
    wrong_methods_are_405_with_the_one_that_is_allowed,
];

fn health_is_ok_without_a_token(app: &TestApp) {
    let anonymous = app.api.with_bearer(None);
    for path in ["/health/live", "/health/ready"] {
        let answer = anonymous.get(path).expect(200);
        assert_eq!(answer.body, json!({"status": "ok"}), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    api_error(&anonymous.get("/health"), 404, "entity_not_found");
}

fn metrics_count_requests_by_route_method_and_status(app: &TestApp) {
    let id = create(&app.scim, "/Users", plain_user("ada"));
    app.scim.get("/Users").expect(200);
    app.scim.get("/Users").expect(200);
    app.scim.get("/Users/secret-id").expect_scim_error(404, None);
    app.scim.with_bearer(None).get("/Groups").expect_scim_error(401, None);
    app.scim.send("SECRET", "/Users", &[], None).expect_scim_error(405, None);
    let metrics = app.api.with_bearer(None).get("/metrics").expect(200);
    assert_eq!(
        metrics.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let count = |route: &str, method: &str, status: u16| {
        let name = "rollbook_http_requests_total";
        format!("{name}{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}")
    };
    for line in [
        format!("{} 1", count("scim_users", "POST", 201)),
        format!("{} 2", count("scim_users", "GET", 200)),
        format!("{} 1", count("scim_user", "GET", 404)),
        format!("{} 1", count("scim_groups", "GET", 401)),
        format!("{} 1", count("scim_users", "other", 405)),
        "rollbook_http_request_seconds_count{route=\"scim_user\"} 1".to_owned(),
    ] {
        assert!(metrics.text.lines().any(|known| known == line), "{line}\n{}", metrics.text);
    }
    assert!(metrics.text.ends_with("# EOF\n"), "{}", metrics.text);
    for secret in ["SECRET", "secret-id", &id, &app.directory.id, &app.directory.token] {
        assert!(!metrics.text.contains(secret), "{secret}");
    }
}

fn request_id_is_given_back_or_made(app: &TestApp) {
    let long = "a".repeat(128);
    for id in ["abc-123", "A/b:c", long.as_str()] {
        let answer = app.scim.send("GET", "/Users", &[("X-Request-Id", id)], None).expect(200);
        assert_eq!(answer.header("x-request-id"), Some(id));
    }
    let too_long = "a".repeat(129);
    for id in ["", "two words", too_long.as_str()] {
        let answer = app.scim.send("GET", "/Users", &[("X-Request-Id", id)], None).expect(200);
        let made = answer.header("x-request-id").expect("an id");
        assert!(made.starts_with("req_") && made.len() == 30, "{made}");
    }
    let mut made: Vec<String> = [
        app.scim.get("/Users"),
        app.scim.get("/Users/x"),
        app.scim.with_bearer(None).get("/Users"),
        app.api.get("/nothing"),
        app.api.get("/health/live"),
        app.api.get("/metrics"),
    ]
    .iter()
    .map(|answer| answer.header("x-request-id").expect("an id").to_owned())
    .collect();
    made.sort_unstable();
    made.dedup();
    assert_eq!(made.len(), 6);
}

fn wrong_methods_are_405_with_the_one_that_is_allowed(app: &TestApp) {
    for path in ["/health/live", "/health/ready", "/metrics"] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let body = (method != "DELETE").then(|| "{}".to_owned());
            let answer = app.api.send(method, path, &[], body);
            api_error(&answer, 405, "method_not_allowed");
            let allowed = answer.header("allow").unwrap_or_default();
            assert!(allowed.split(", ").any(|known| known == "GET"), "{method} {path}: {allowed}");
        }
    }
}

/// The location of a new user for a request with that `Host`.
fn location(client: &Client, headers: &[(&str, &str)]) -> String {
    let body = plain_user("ada").to_string();
    let made = client.send("POST", "/Users", headers, Some(body)).expect(201);
    let location = made.header("location").expect("a location").to_owned();
    assert_eq!(made.body["meta"]["location"], location);
    client.delete(&format!("/Users/{}", made.id())).expect(204);
    location
}

#[test]
fn links_take_the_host_of_the_request_only_if_it_is_trusted() {
    let app = TestApp::start_with(Database::sqlite(), |config| {
        config.trusted_hosts = vec!["scim.example.com".into(), "other.example.com:8443".into()];
    });
    let path = format!("/scim/v2/{}/Users/", app.directory.external_key);
    for (host, base) in [
        ("scim.example.com", "http://scim.example.com"),
        ("SCIM.example.com", "http://SCIM.example.com"),
        ("scim.example.com:8080", "http://scim.example.com:8080"),
        ("other.example.com:8443", "http://other.example.com:8443"),
        ("other.example.com", app.url.as_str()),
        ("evil.example.com", app.url.as_str()),
        ("scim.example.com.evil.com", app.url.as_str()),
    ] {
        let found = location(&app.scim, &[("Host", host)]);
        assert!(found.starts_with(&format!("{base}{path}")), "{host}: {found}");
    }
    let forwarded = [("X-Forwarded-Host", "scim.example.com")];
    assert!(location(&app.scim, &forwarded).starts_with(&app.url));
}

#[test]
fn links_start_with_the_public_url_whatever_the_request_says() {
    let app = TestApp::start_with(Database::sqlite(), |config| {
        config.public_url = Some("https://public.example.com/".into());
        config.trusted_hosts = vec!["scim.example.com".into()];
    });
    let base = format!("https://public.example.com/scim/v2/{}", app.directory.external_key);
    assert_eq!(app.directory.base_url, base);
    let mut client = app.scim.clone();
    client.base = format!("{}/scim/v2", app.url);
    for headers in [vec![], vec![("Host", "scim.example.com")]] {
        let found = location(&client, &headers);
        assert!(found.starts_with(&format!("{base}/Users/")), "{found}");
    }
}
