//! A test of a connection takes a place for as long as its source lets it wait, and gives it back.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use crate::http::api_error;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![directory_is_tested_once_at_a_time, place_is_free_when_nobody_waits_any_more];

/// A source that takes a connection and says nothing, and the path of its directory.
fn silent(app: &TestApp) -> (TcpListener, String) {
    let source = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = source.local_addr().expect("an address").port();
    let body = json!({
        "organization_id": app.directory.organization_id, "name": "Silent", "kind": "pull.scim",
        "config": {"base_url": format!("https://127.0.0.1:{port}/scim"), "token": "theirs",
            "allow_private_network": true},
        "settings": {"schedule": "off"},
    });
    let made = app.api.post("/api/v1/directories", body).expect(201);
    (source, format!("/api/v1/directories/{}/test", made.id()))
}

/// From now on the source hangs up at once.
fn hang_up(source: TcpListener) {
    std::thread::spawn(move || source.incoming().for_each(drop));
}

fn directory_is_tested_once_at_a_time(app: &TestApp) {
    let (source, path) = silent(app);
    let (api, at) = (app.api.clone(), path.clone());
    let first = std::thread::spawn(move || api.post(&at, json!({})));
    let (held, _) = source.accept().expect("the test has begun");
    api_error(&app.api.post(&path, json!({})), 409, "test_in_progress");
    hang_up(source);
    drop(held);
    let tested = first.join().expect("an answer").expect(200);
    assert_eq!(tested.body["ok"], false, "{}", tested.text);
    app.api.post(&path, json!({})).expect(200);
}

fn place_is_free_when_nobody_waits_any_more(app: &TestApp) {
    let (source, path) = silent(app);
    let address = app.url.strip_prefix("http://").expect("an address");
    let bearer = app.api.bearer.as_deref().expect("a key");
    let mut browser = TcpStream::connect(address).expect("connected");
    write!(
        browser,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {bearer}\r\n\
         Content-Length: 0\r\n\r\n"
    )
    .expect("sent");
    let (held, _) = source.accept().expect("the test has begun");
    drop(browser);
    hang_up(source);
    drop(held);
    let again = loop {
        let answer = app.api.post(&path, json!({}));
        match answer.status {
            409 => std::thread::yield_now(),
            _ => break answer,
        }
    };
    assert_eq!(again.expect(200).body["ok"], false);
}
