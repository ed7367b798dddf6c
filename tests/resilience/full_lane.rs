//! More writes than may wait: those beyond are refused at once, the others are done when their turn comes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};

use crate::support::{Database, user};
use crate::tables;
use crate::world::{Tenant, api, embedded, start, tenant, wait};

/// More than one directory may have waiting.
const WRITES: usize = 900;

/// Of those beyond, how many are waited for while nothing moves.
const REFUSED: usize = 100;

/// A create under way on a connection of its own.
fn create(url: &str, tenant: &Tenant, number: usize) -> TcpStream {
    let address = url.split("://").nth(1).expect("an address");
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    let body = user(&format!("u{number}@example.com")).to_string();
    let head = format!(
        "POST /scim/v2/{}/Users HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/scim+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        tenant.external_key,
        tenant.token,
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).expect("sent");
    stream
}

/// Status and whether the answer says when to come back.
fn answer(stream: &mut TcpStream) -> (u16, bool) {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    (status, text.to_lowercase().contains("\r\nretry-after: "))
}

/// Requests that the server says it has refused because a lane was full.
fn overloaded(url: &str) -> usize {
    let text = api(url).get("/metrics").expect(200).text;
    let line = text.lines().find_map(|line| line.strip_prefix("rollbook_store_overloaded_total "));
    line.expect("the metric is there").parse().expect("a number")
}

/// `hold` keeps writers from going on until what it gives is dropped.
fn lane_is_full<H>(url: &str, database: &str, tenant: &Tenant, hold: impl FnOnce() -> H) {
    tenant.scim(url).get("/Users").expect(200);
    let held = hold();
    let mut streams: Vec<TcpStream> = (0..WRITES).map(|n| create(url, tenant, n)).collect();
    // Those beyond the lane's places are answered while nothing moves.
    wait("a full lane refuses", || overloaded(url) >= REFUSED);
    drop(held);
    let (mut stored, mut refused) = (0, 0);
    for stream in &mut streams {
        match answer(stream) {
            (201, _) => stored += 1,
            (503, true) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    println!("{stored} of {WRITES} stored, {refused} refused");
    assert!(refused >= REFUSED, "{refused}");
    assert!(stored >= 100, "what had its place is done: {stored}");
    let scim = tenant.scim(url);
    assert_eq!(scim.get("/Users?count=0").total(), stored);
    scim.post("/Users", user("later@example.com")).expect(201);
    assert_eq!(tables::faults(database), [""; 0]);
}

mod full_lane_refuses_at_once_and_does_the_rest {
    use super::*;

    #[test]
    fn sqlite() {
        let folder = tempfile::tempdir().expect("a folder");
        let server = start(folder.path(), "");
        let (tenant, database) = (tenant(&server.url), embedded(folder.path()));
        lane_is_full(&server.url, &database, &tenant, || {
            let path = database.strip_prefix("sqlite://").expect("a path");
            let mut conn = SqliteConnection::establish(path).expect("the file");
            conn.batch_execute("PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE").expect("the lock");
            conn
        });
    }

    #[test]
    fn postgres() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::postgres();
        let server = start(folder.path(), &database.url());
        let tenant = tenant(&server.url);
        lane_is_full(&server.url, &database.url(), &tenant, || {
            let mut conn = PgConnection::establish(&database.url()).expect("a session");
            conn.batch_execute("BEGIN; LOCK TABLE event IN EXCLUSIVE MODE").expect("the lock");
            conn
        });
    }
}
