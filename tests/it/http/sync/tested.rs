//! A test of a connection takes a place for as long as its source lets it wait, and gives it back.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use serde_json::json;

use super::scim::{healthy, reader};
use crate::http::api_error;
use crate::on_both_databases;
use crate::support::fake::Fault;
use crate::support::{Answer, FakeSource, TestApp};

on_both_databases![
    directory_is_tested_once_at_a_time,
    organization_has_two_tests_at_a_time_and_leaves_places_to_others,
    place_is_free_when_nobody_waits_any_more,
    source_that_is_busy_in_the_midst_of_a_test_is_not_waited_for,
];

/// A test of a directory of the app's organization that goes on until it is ended.
pub(in crate::http) struct UnderTest {
    source: TcpListener,
    held: TcpStream,
    path: String,
    answer: JoinHandle<Answer>,
}

impl UnderTest {
    pub(in crate::http) fn begin(app: &TestApp) -> Self {
        let (source, path) = silent(app, &app.directory.organization_id);
        let (api, at) = (app.api.clone(), path.clone());
        let answer = std::thread::spawn(move || api.post(&at, json!({})));
        let (held, _) = source.accept().expect("the test has begun");
        Self { source, held, path, answer }
    }

    pub(in crate::http) fn end(self) -> Answer {
        hang_up(self.source);
        drop(self.held);
        self.answer.join().expect("an answer").expect(200)
    }
}

/// A source that takes a connection and says nothing, and the path of its directory.
fn silent(app: &TestApp, organization_id: &str) -> (TcpListener, String) {
    let source = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = source.local_addr().expect("an address").port();
    let body = json!({
        "organization_id": organization_id, "name": "Silent", "kind": "pull.scim",
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
    let first = UnderTest::begin(app);
    let path = first.path.clone();
    api_error(&app.api.post(&path, json!({})), 409, "test_in_progress");
    let tested = first.end();
    assert_eq!(tested.body["ok"], false, "{}", tested.text);
    app.api.post(&path, json!({})).expect(200);
}

fn organization_has_two_tests_at_a_time_and_leaves_places_to_others(app: &TestApp) {
    let [first, second] = [UnderTest::begin(app), UnderTest::begin(app)];
    let ready = |organization_id: &str| {
        let (source, path) = silent(app, organization_id);
        hang_up(source);
        path
    };
    let third = ready(&app.directory.organization_id);
    let refused = app.api.post(&third, json!({}));
    api_error(&refused, 503, "too_many_tests");
    assert!(refused.header("retry-after").is_some(), "{}", refused.text);
    let (other, _) = app.directory("scim.okta");
    app.api.post(&ready(&other.organization_id), json!({})).expect(200);
    first.end();
    app.api.post(&third, json!({})).expect(200);
    second.end();
}

fn place_is_free_when_nobody_waits_any_more(app: &TestApp) {
    let (source, path) = silent(app, &app.directory.organization_id);
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

fn source_that_is_busy_in_the_midst_of_a_test_is_not_waited_for(app: &TestApp) {
    let fake = FakeSource::start(healthy(2));
    let source = reader(app, &fake.url, json!({}));
    // The users were answered; of the groups the source wants to be asked later than a test waits.
    fake.fault(Fault::busy("/Groups", 20, &json!({"detail": "Later."})).once());
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    let error = "the groups cannot be read: the source answers 429: Later.";
    assert_eq!((&tested["ok"], &tested["error"]), (&json!(false), &json!(error)), "{tested}");
}
