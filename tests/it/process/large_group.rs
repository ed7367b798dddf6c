//! A very large group: it is created, changed, shown and deleted in bounded memory, and nobody waits for
//! the whole of it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use serde_json::{Value, json};

use super::{Server, first_start};
use crate::support::{Answer, Client, Database, group, patch, user};

/// On PostgreSQL each event is a round trip, which takes long without optimisation.
fn size(database: &Database) -> usize {
    match cfg!(debug_assertions) && !database.url().starts_with("sqlite:") {
        true => 20_000,
        false => 100_000,
    }
}

/// What a GET may take of memory beyond what the process has, in KiB.
const MEMORY_KIB: u64 = 64 * 1024;

/// The longest that another writer may wait while a large group is stored. A unit of a thousand members
/// takes several times as long in a build without optimisation, on a machine that runs other tests.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });

fn execute(database: &Database, text: &str) {
    let url = database.url();
    match url.strip_prefix("sqlite://") {
        // The server writes, too, and this waits for its turn.
        Some(file) => SqliteConnection::establish(file)
            .expect("the file")
            .batch_execute(&format!("PRAGMA busy_timeout = 30000; BEGIN IMMEDIATE; {text} COMMIT")),
        None => PgConnection::establish(&url).expect("the database").batch_execute(text),
    }
    .expect("the statements run");
}

/// Users of the first directory, as the server would have stored them; their ids.
fn seed(database: &Database) -> Vec<String> {
    let users = size(database);
    execute(
        database,
        &format!(
            "INSERT INTO resource (directory_key, id, resource_type, user_name_key, display, active, \
             doc, version, created, modified) \
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {users}) \
             SELECT (SELECT MIN(key) FROM directory), 'directory_user_' || (1000000000 + i), 'User', \
             'seeded' || i || '@example.com', 'Seeded ' || i, TRUE, \
             '{{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],' || \
             '\"id\":\"directory_user_' || (1000000000 + i) || '\",' || \
             '\"userName\":\"seeded' || i || '@example.com\",' || \
             '\"displayName\":\"Seeded ' || i || '\",\"active\":true}}', 1, 0, 0 FROM n; \
             INSERT INTO resource_count (directory_key, resource_type, active, slot, n) \
             SELECT MIN(key), 'User', TRUE, 0, {users} FROM directory;"
        ),
    );
    database.analyze();
    (1..=users).map(|n| format!("directory_user_{}", 1_000_000_000 + n)).collect()
}

/// A figure of the process in KiB.
fn memory(server: &Server, name: &str) -> u64 {
    let file = format!("/proc/{}/status", server.child.id());
    let text = std::fs::read_to_string(file).expect("the process runs");
    let line = text.lines().find(|line| line.starts_with(name)).expect(name);
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}

/// How much the process grows at most while it does something, in KiB.
fn growth<T>(server: &Server, work: impl FnOnce() -> T) -> (T, u64) {
    let peak = format!("/proc/{}/clear_refs", server.child.id());
    std::fs::write(peak, "5").expect("the peak is forgotten");
    let before = memory(server, "VmRSS");
    let done = work();
    (done, memory(server, "VmHWM").saturating_sub(before))
}

fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

fn members(answer: &Answer) -> HashSet<String> {
    let members = answer.body["members"].as_array().expect("members");
    let found: HashSet<String> =
        members.iter().filter_map(|m| m["value"].as_str()).map(str::to_owned).collect();
    assert_eq!(found.len(), members.len(), "nobody is shown twice");
    found
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    println!("{what}: {:?}", started.elapsed());
    done
}

/// Creates users one after the other until it is told to stop; the longest that one took.
fn other_writer(scim: &Client, stop: &AtomicBool, name: &str) -> Duration {
    let mut longest = Duration::ZERO;
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let started = Instant::now();
        scim.post("/Users", user(&format!("{name}{n}@example.com"))).expect(201);
        longest = longest.max(started.elapsed());
    }
    longest
}

fn very_large_group_is_served(database: &Database) {
    let folder = database.folder.path();
    let url = database.url();
    let settings = [("ROLLBOOK_DATABASE_URL", url.as_str())];
    let server = Server::start_with(folder, &settings);
    let ids = seed(database);
    let [base_url, token, _] = first_start(folder);
    let path = base_url.split("/scim").nth(1).expect("the path");
    let base = format!("{}/scim{path}", server.url);
    let scim = Client::new(&base, &token, "application/scim+json");
    let values = |ids: &[String]| ids.iter().map(|id| json!({"value": id})).collect::<Vec<_>>();
    let body = |ids: &[String]| {
        let mut body = group("Everybody", &[]);
        body["members"] = values(ids).into();
        body
    };
    let quiet = |path: &str| format!("{path}?excludedAttributes=members");
    let while_others_write = |what: &str, work: &dyn Fn() -> Answer| {
        let stop = AtomicBool::new(false);
        let (answer, longest) = std::thread::scope(|scope| {
            let name: String = what.split_whitespace().collect();
            let (scim, stop) = (&scim, &stop);
            let other = scope.spawn(move || other_writer(scim, stop, &name));
            let answer = timed(what, work);
            stop.store(true, Ordering::Relaxed);
            (answer, other.join().expect("no panic"))
        });
        println!("  another writer waited {longest:?} at most");
        assert!(longest < PATIENCE, "another writer waited {longest:?}");
        answer
    };

    let made = while_others_write("create with all", &|| {
        scim.post(&quiet("/Groups"), body(&ids)).expect(201)
    });
    let large = format!("/Groups/{}", made.id());
    let small = format!("/Groups/{}", scim.post("/Groups", group("Few", &[])).expect(201).id());

    // The first one fills the caches of the connections, which are the process's, whoever reads.
    let shown = timed("GET", || scim.get(&large).expect(200));
    let (_, grown) = growth(&server, || timed("GET", || scim.get(&large).expect(200)));
    println!("  with {grown} KiB of memory; the process has {} KiB", memory(&server, "VmRSS"));
    assert!(grown <= MEMORY_KIB, "a GET takes {grown} KiB");
    assert_eq!(shown.header("transfer-encoding"), Some("chunked"));
    assert_eq!(members(&shown).len(), ids.len());
    assert_eq!(shown.body["members"][7]["display"], "Seeded 8");
    assert_eq!(shown.header("etag"), Some("W/\"2\""), "the first unit and the last move it");
    let values_only = scim.get(&format!("{large}?attributes=members.value")).expect(200);
    assert_eq!(members(&values_only), members(&shown));
    assert_eq!(values_only.body["members"][7]["display"], Value::Null);
    let without = scim.get(&quiet(&large)).expect(200);
    assert_eq!(
        (&without.body["members"], without.body["displayName"].as_str()),
        (&Value::Null, Some("Everybody"))
    );
    let head = scim.send("HEAD", &large, &[], None).expect(200);
    assert_eq!(head.text, "");

    let one = |path: &str, op: &str, id: &String| {
        let ops = json!([{"op": op, "path": "members", "value": [{"value": id}]}]);
        let started = Instant::now();
        scim.patch(&quiet(path), patch(ops)).expect(200);
        started.elapsed()
    };
    scim.patch(
        &quiet(&small),
        patch(json!([
            {"op": "add", "path": "members", "value": values(&ids[..10])}
        ])),
    )
    .expect(200);
    let mut of = [Vec::new(), Vec::new()];
    for id in &ids[20..80] {
        // The large group has it, the small one has not.
        of[0].extend([one(&large, "remove", id), one(&large, "add", id)]);
        of[1].extend([one(&small, "add", id), one(&small, "remove", id)]);
    }
    let [in_large, in_small] = of.map(median);
    println!("a PATCH of one member: {in_large:?}, in a group of ten {in_small:?}");
    assert!(in_large < in_small * 2 + Duration::from_millis(2), "{in_large:?} {in_small:?}");

    let thousand = |op: &str| {
        let ops = json!([{"op": op, "path": "members", "value": values(&ids[..1_000])}]);
        scim.patch(&quiet(&large), patch(ops)).expect(200)
    };
    timed("PATCH removes 1,000", || thousand("remove"));
    timed("PATCH adds 1,000", || thousand("add"));
    let tag = scim.get(&quiet(&large)).header("etag").map(str::to_owned);
    let same =
        while_others_write("PUT of the same", &|| scim.put(&quiet(&large), body(&ids)).expect(200));
    assert_eq!(same.header("etag").map(str::to_owned), tag, "nothing changed");
    timed("PUT without one", || scim.put(&quiet(&large), body(&ids[1..])).expect(200));
    // What is shown can be sent back: it fits into a request.
    let whole = scim.get(&large).expect(200);
    timed("PUT of what was shown", || scim.put(&quiet(&large), whole.body).expect(200));
    let fewer = while_others_write("PUT that takes 10,000 away", &|| {
        scim.put(&quiet(&large), body(&ids[10_000..])).expect(200)
    });
    assert_ne!(fewer.header("etag").map(str::to_owned), tag);
    assert_eq!(members(&scim.get(&large).expect(200)).len(), ids.len() - 10_000);
    while_others_write("DELETE", &|| scim.delete(&large).expect(204));
    scim.get(&large).expect(404);
    assert!(server.stop());
}

mod heavy_very_large_group_is_served {
    use crate::support::Database;

    #[test]
    fn sqlite() {
        super::very_large_group_is_served(&Database::sqlite());
    }

    #[test]
    fn postgres() {
        super::very_large_group_is_served(&Database::postgres());
    }
}
