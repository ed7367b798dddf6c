//! `GET /api/v1/events/stream`: server-sent events.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::ending_key;
use crate::on_both_databases;
use crate::support::{Client, TestApp, user};

on_both_databases![
    stream_tells_events_as_they_come,
    last_event_id_goes_before_the_url,
    wrong_places_are_refused_before_the_stream_begins,
    readers_have_places,
    stream_of_a_key_that_ends_is_handed_nothing,
];

/// An open stream.
struct Stream {
    lines: BufReader<TcpStream>,
}

impl Stream {
    /// Opens the stream and reads the head of the answer.
    fn open(app: &TestApp, query: &str, headers: &str) -> (String, Self) {
        let address = app.url.strip_prefix("http://").expect("http");
        Self::open_with(&app.api, address, query, headers)
    }

    fn open_with(api: &Client, address: &str, query: &str, headers: &str) -> (String, Self) {
        let bearer = api.bearer.as_deref().expect("a key");
        let mut socket = TcpStream::connect(address).expect("a connection");
        write!(
            socket,
            "GET /api/v1/events/stream?{query} HTTP/1.1\r\nHost: {address}\r\n\
             Authorization: Bearer {bearer}\r\n{headers}\r\n"
        )
        .expect("a request");
        let mut stream = Self { lines: BufReader::new(socket) };
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.lines.read_line(&mut head).expect("a line") > 0, "{head}");
        }
        (head, stream)
    }

    /// The next event as (id, name, data). The lines between are frames of the chunked transfer, or
    /// comments.
    fn event(&mut self) -> (String, String, Value) {
        let (mut id, mut name) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).expect("a line") > 0, "the stream ended");
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.trim().to_owned();
            } else if let Some(text) = line.strip_prefix("event: ") {
                name = text.trim().to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                return (id, name, serde_json::from_str(text).expect("JSON on one line"));
            }
        }
    }
}

fn stream_tells_events_as_they_come(app: &TestApp) {
    app.settle_events();
    let (head, mut stream) = Stream::open(app, "", "");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    let (id, name, data) = stream.event();
    assert_eq!((id.as_str(), name.as_str()), ("1", "dsync.activated"));
    assert_eq!(data["position"], 1);
    assert_eq!(data["event"], "dsync.activated");
    for position in ["2", "3", "4"] {
        assert_eq!(stream.event().0, position);
    }
    for n in 5..=14 {
        app.scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201);
        let (id, name, data) = stream.event();
        assert_eq!((id, name.as_str()), (n.to_string(), "dsync.user.created"));
        assert_eq!(data["data"]["username"], format!("u{n}@example.com"));
    }
}

fn last_event_id_goes_before_the_url(app: &TestApp) {
    app.scim.post("/Users", user("a@example.com")).expect(201);
    app.settle_events();
    let (_, mut stream) = Stream::open(app, "after=oldest", "Last-Event-ID: 4\r\n");
    assert_eq!(stream.event().1, "dsync.user.created");
    let (_, mut stream) = Stream::open(app, "after=1&events=dsync.user.created", "");
    assert_eq!(stream.event().0, "5");
}

fn wrong_places_are_refused_before_the_stream_begins(app: &TestApp) {
    for (query, headers, status) in [
        ("after=99", "", "400"),
        ("", "Last-Event-ID: x\r\n", "422"),
        ("consumer=nobody", "", "404"),
        ("events=dsync.foo", "", "422"),
    ] {
        let (head, _) = Stream::open(app, query, headers);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{query}: {head}");
    }
}

fn readers_have_places(app: &TestApp) {
    let log = &app.service().event_log;
    let places: Vec<_> = std::iter::from_fn(|| log.place()).collect();
    assert_eq!(places.len(), 1_000);
    for path in [
        "/api/v1/events/stream".to_owned(),
        "/api/v1/events?wait=1".to_owned(),
        format!("/api/v1/directories/{}/snapshot", app.directory.id),
    ] {
        let answer = app.api.get(&path).expect(503);
        assert_eq!(answer.body["code"], "too_many_readers", "{path}");
        assert!(answer.header("retry-after").is_some(), "{path}");
    }
    app.api.get("/api/v1/events").expect(200);
    drop(places);
    app.api.get("/api/v1/events?wait=1").expect(200);
}

fn stream_of_a_key_that_ends_is_handed_nothing(app: &TestApp) {
    app.settle_events();
    let (client, key) = ending_key(app);
    let address = app.url.strip_prefix("http://").expect("http");
    let (_, mut stream) = Stream::open_with(&client, address, "after=3", "");
    assert_eq!(stream.event().0, "4");
    // It waits for the next event, after its key was looked at.
    while !app.api.get("/metrics").expect(200).text.contains("\nrollbook_event_readers 1\n") {
        std::thread::yield_now();
    }
    app.api.delete(&key).expect(204);
    app.scim.post("/Users", user("late@example.com")).expect(201);
    let mut rest = String::new();
    let _ = std::io::Read::read_to_string(&mut stream.lines, &mut rest);
    assert!(!rest.contains("late@example.com"), "{rest}");
}
