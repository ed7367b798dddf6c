//! What open pages are told.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::on_both_databases;
use crate::support::{Browser, TestApp, user};

on_both_databases![
    page_is_told_that_its_topic_has_changed,
    stream_ends_with_the_session,
    topics_of_nobody_are_not_found,
    watches_of_a_session_are_bounded,
    visitor_of_the_portal_watches_what_is_the_organizations,
];

/// An open stream.
struct Stream {
    lines: BufReader<TcpStream>,
}

impl Stream {
    /// Opens the stream and reads the head of the answer.
    fn open(app: &TestApp, browser: &Browser, path: &str) -> (String, Self) {
        let address = app.url.strip_prefix("http://").expect("http");
        let mut socket = TcpStream::connect(address).expect("a connection");
        let cookies = browser.cookie_header();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookies}\r\n\r\n")
            .expect("a request");
        let mut stream = Self { lines: BufReader::new(socket) };
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.lines.read_line(&mut head).expect("a line") > 0, "{head}");
        }
        (head, stream)
    }

    /// The name of the next event; `None` at the end of the stream.
    fn event(&mut self) -> Option<String> {
        let mut name = None;
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("a line") == 0 || line == "0\r\n" {
                return None;
            }
            if let Some(text) = line.strip_prefix("event: ") {
                name = Some(text.trim().to_owned());
            } else if line.starts_with("data: ") {
                return Some(name.expect("a name before the data"));
            }
        }
    }
}

fn page_is_told_that_its_topic_has_changed(app: &TestApp) {
    let browser = app.signed_in("viewer");
    let (own, other) = (app.directory.id.clone(), app.directory("scim.okta").0.id);
    let path = format!("/console/live?of=requests:{own},directory:{other}");
    let (head, mut stream) = Stream::open(app, &browser, &path);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("cache-control: no-store\r\n"), "{head}");
    // The page may have been read before its topics were watched: each is told of once.
    let both = [stream.event(), stream.event()].map(|name| name.expect("an event"));
    assert_eq!(both, [format!("requests:{own}"), format!("directory:{other}")]);
    app.scim.post("/Users", user("a@example.com")).expect(201);
    assert_eq!(stream.event(), Some(format!("requests:{own}")));
    let path = format!("/api/v1/directories/{other}");
    app.clock.advance(std::time::Duration::from_secs(1));
    app.api.patch(&path, json!({"state": "paused"})).expect(200);
    assert_eq!(stream.event(), Some(format!("directory:{other}")));
}

fn stream_ends_with_the_session(app: &TestApp) {
    let browser = app.signed_in("viewer");
    let (_, mut stream) = Stream::open(app, &browser, "/console/live?of=events");
    assert_eq!(stream.event().as_deref(), Some("events"));
    browser.submit("/console/sign-out", &[]).expect(303);
    app.scim.post("/Users", user("a@example.com")).expect(201);
    assert_eq!(stream.event(), None, "nothing is told after the end");
}

fn topics_of_nobody_are_not_found(app: &TestApp) {
    let browser = app.signed_in("viewer");
    for topic in ["", "nothing", "requests:", "requests:directory_no", "run:sync_no", "events:x"] {
        browser.get(&format!("/console/live?of={topic}")).expect(404);
    }
    let many = ["events"; 9].join(",");
    browser.get(&format!("/console/live?of={many}")).expect(422);
    Browser::new(&app.url).get("/console/live?of=events").expect(303);
}

fn watches_of_a_session_are_bounded(app: &TestApp) {
    let browser = app.signed_in("viewer");
    let open: Vec<_> =
        (0..20).map(|_| Stream::open(app, &browser, "/console/live?of=alarms").1).collect();
    browser.get("/console/live?of=alarms").expect(503);
    // Another session has its own.
    let other = app.signed_in("operator");
    let (head, _stream) = Stream::open(app, &other, "/console/live?of=alarms");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    drop(open);
}

fn visitor_of_the_portal_watches_what_is_the_organizations(app: &TestApp) {
    let body = json!({"organization": app.directory.organization_id, "intent": "dsync"});
    let made = app.api.post("/portal/generate_link", body).expect(201);
    let browser = Browser::entered(&app.url, made.body["link"].as_str().expect("a link"));
    let own = app.directory.id.clone();
    let other = app.directory("scim.okta").0.id;
    for topic in [format!("requests:{other}"), "overview".to_owned(), "events".to_owned()] {
        browser.get(&format!("/setup/live?of={topic}")).expect(404);
    }
    let (head, mut stream) = Stream::open(app, &browser, &format!("/setup/live?of=requests:{own}"));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let name = Some(format!("requests:{own}"));
    assert_eq!(stream.event(), name);
    app.scim.post("/Users", user("a@example.com")).expect(201);
    assert_eq!(stream.event(), name);
}
