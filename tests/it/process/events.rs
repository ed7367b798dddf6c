//! The event log across processes: one is killed, streams end when a server stops, commands read it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde_json::{Value, json};

use crate::support::process::{Server, first_start, rollbook, run};
use crate::support::{Client, Database, user};

const API_KEY: &str = "sk_test_0123456789abcdef0123456789abcdef";
const SECRET_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Two processes on one PostgreSQL; the one is killed while both write and both give positions. What was
/// acknowledged is read once, and the other one goes on giving positions.
#[test]
fn postgres_log_survives_a_killed_process() {
    let database = Database::postgres();
    let url = database.url();
    let settings = [
        ("ROLLBOOK_DATABASE_URL", url.as_str()),
        ("ROLLBOOK_SECRET_KEY", SECRET_KEY),
        ("ROLLBOOK_API_KEY", API_KEY),
    ];
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let mut killed = Server::start_with(folders[0].path(), &settings);
    let left = Server::start_with(folders[1].path(), &settings);
    let api = Client::new(&left.url, API_KEY, "application/json");
    let organization = api.post("/api/v1/organizations", json!({"name": "O"})).expect(201).id();
    let directory = json!({"organization_id": organization, "name": "D", "kind": "scim.generic"});
    let made = api.post("/api/v1/directories", directory).expect(201).body;
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let (key, token) = (text(&made["external_key"]), text(&made["token"]["secret"]));
    let scim = |server: &Server| {
        Client::new(&format!("{}/scim/v2/{key}", server.url), &token, "application/scim+json")
    };
    let clients = [scim(&killed), scim(&left)];
    let acknowledged: Vec<String> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..6)
            .map(|writer| {
                let client = clients[writer % 2].clone();
                scope.spawn(move || {
                    let mut ids = Vec::new();
                    for n in 0..100 {
                        let body = user(&format!("w{writer}-{n}@example.com"));
                        match client.try_post("/Users", body) {
                            Some(answer) if answer.status == 201 => ids.push(answer.id()),
                            _ => break,
                        }
                    }
                    ids
                })
            })
            .collect();
        // Both are at it.
        let started = |ids: &Value| ids["totalResults"].as_u64().is_some_and(|total| total > 60);
        while !started(&clients[1].get("/Users?count=0").body) {
            std::thread::yield_now();
        }
        killed.kill();
        writers.into_iter().flat_map(|writer| writer.join().expect("no panic")).collect()
    });
    assert!(acknowledged.len() >= 300, "{} were acknowledged", acknowledged.len());
    let wanted = clients[1].get("/Users?count=0").total();
    let mut told: Vec<String> = Vec::new();
    let mut after = "oldest".to_owned();
    while u64::try_from(told.len()).expect("few") < wanted {
        let path =
            format!("/api/v1/events?wait=5&limit=1000&events=dsync.user.created&after={after}");
        let page = api.get(&path).expect(200);
        let events = page.body["data"].as_array().expect("a list").iter();
        told.extend(events.map(|event| text(&event["data"]["id"])));
        after = page.body["next"].to_string();
    }
    for id in &acknowledged {
        assert_eq!(told.iter().filter(|known| *known == id).count(), 1, "{id}");
    }
    let all = told.len();
    told.sort();
    told.dedup();
    assert_eq!((told.len(), u64::try_from(all).expect("few")), (all, wanted));
}

/// A stream does not hold up a stop.
#[test]
fn stop_ends_streams() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [("ROLLBOOK_API_KEY", API_KEY), ("ROLLBOOK_STOP_TIMEOUT", "600")];
    let server = Server::start_with(folder.path(), &settings);
    let address = server.url.strip_prefix("http://").expect("http").to_owned();
    let mut socket = TcpStream::connect(&address).expect("a connection");
    write!(
        socket,
        "GET /api/v1/events/stream?after=newest HTTP/1.1\r\nHost: {address}\r\n\
         Authorization: Bearer {API_KEY}\r\n\r\n"
    )
    .expect("a request");
    let mut lines = BufReader::new(socket);
    let mut line = String::new();
    while !line.starts_with("retry:") {
        line.clear();
        assert!(lines.read_line(&mut line).expect("a line") > 0);
    }
    let api = Client::new(&server.url, API_KEY, "application/json");
    let polled = std::thread::spawn(move || api.try_get("/api/v1/events?after=newest&wait=60"));
    let api = Client::new(&server.url, API_KEY, "application/json");
    while !api.get("/metrics").text.contains("\nrollbook_event_readers 2\n") {
        std::thread::yield_now();
    }
    assert!(server.stop(), "it ends well, long before the time that requests have");
    let answer = polled.join().expect("no panic").expect("the poll is answered").expect(200);
    assert_eq!(answer.body["data"], json!([]));
}

#[test]
fn commands_read_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = |arguments: &[&str]| -> Vec<Value> {
        let output = run(folder.path(), arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    // Without a running server, too.
    let told = lines(&["events", "export"]);
    let names: Vec<&str> = told.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(names, ["dsync.activated", "dsync.token.created"]);

    let server = Server::start(folder.path());
    let [base_url, token, _] = first_start(folder.path());
    let path = base_url.split("/scim").nth(1).expect("the path").to_owned();
    let scim = Client::new(&format!("{}/scim{path}", server.url), &token, "application/scim+json");
    let mut tail = rollbook(folder.path())
        .args(["events", "tail", "--after", "2", "--events", "dsync.user.created"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut out = BufReader::new(tail.stdout.take().expect("its output"));
    for n in 0..3 {
        scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201);
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["data"]["username"], format!("u{n}@example.com"));
    }
    tail.kill().expect("killed");
    tail.wait().expect("ended");
    let told = lines(&["events", "export", "--after", "3"]);
    assert_eq!(told.len(), 2);
    let set = run(folder.path(), &["events", "checkpoint", "app", "4"]);
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    let shown = String::from_utf8(run(folder.path(), &["events", "consumers"]).stdout);
    let shown: Value = serde_json::from_str(&shown.expect("UTF-8")).expect("JSON");
    assert_eq!((&shown["data"][0]["name"], &shown["data"][0]["lag"]), (&json!("app"), &json!(1)));
    assert!(run(folder.path(), &["events", "forget", "app"]).status.success());
    assert!(server.stop());
}

/// More than ten megabytes on one page, without a running server, and with one that is gone for a moment.
#[test]
fn commands_read_large_events_and_outlive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(folder.path());
    let mut conn = SqliteConnection::establish(
        folder.path().join("data/rollbook.db").to_str().expect("UTF-8"),
    )
    .expect("the file");
    conn.batch_execute(
        "PRAGMA busy_timeout = 10000; \
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2) \
         INSERT INTO event (directory_key, id, event, resource_id, data, created) \
         SELECT (SELECT MAX(key) FROM directory), 'event_00' || i, 'dsync.token.revoked', 't', \
         '{\"x\":\"' || hex(zeroblob(6000000)) || '\"}', 1 FROM n",
    )
    .expect("events");
    drop(conn);
    let [base_url, token, _] = first_start(folder.path());
    let path = base_url.split("/scim").nth(1).expect("the path").to_owned();
    let scim = Client::new(&format!("{}/scim{path}", server.url), &token, "application/scim+json");
    let mut tail = rollbook(folder.path())
        .args(["events", "tail", "--after", "4", "--events", "dsync.user.created"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut out = BufReader::new(tail.stdout.take().expect("its output"));
    let mut created = |name: &str| {
        scim.post("/Users", user(name)).expect(201);
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["data"]["username"], name);
    };
    created("before@example.com");
    server.kill();
    server.again();
    created("after@example.com");
    tail.kill().expect("killed");
    tail.wait().expect("ended");
    assert!(server.stop());
    let output = run(folder.path(), &["events", "export"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&[u8]> = output.stdout.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 2 + 2 + 2 + 1, "the last one is empty");
    assert!(lines[2].len() > 12_000_000 && lines[3].len() > 12_000_000);
}
