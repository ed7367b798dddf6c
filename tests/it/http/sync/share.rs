//! Several organizations have directories that one process reads: slow sources of one keep nobody else waiting,
//! and there is an end to a read.

use std::sync::Arc;
use std::time::Duration;

use rollbook::store::sync::Room;
use rollbook::store::{StoreError, Tx};
use serde_json::{Value, json};

use super::{Source, numbered, scim};
use crate::on_both_databases;
use crate::support::fake::{Asked, Fake, Fault, Gate, Said};
use crate::support::{Database, TestApp};

on_both_databases![
    organization_gets_a_place_only_while_more_are_free_than_it_has,
    slow_sources_of_an_organization_keep_no_other_from_being_read,
];

fn organization(app: &TestApp) -> String {
    app.api.post("/api/v1/organizations", json!({"name": "Other"})).expect(201).id()
}

fn file_of<'a>(app: &'a TestApp, organization: &str) -> Source<'a> {
    Source::within(app, organization, "pull.csv", json!({}), json!({"schedule": "off"}))
}

/// Directories by the letters of their organizations.
struct Directories(Vec<(char, Vec<i64>)>);

impl Directories {
    fn make(app: &TestApp, letters: &str, each: usize) -> Self {
        let of = |letter| {
            let organization = organization(app);
            let keys = (0..each).map(|_| key(&file_of(app, &organization)));
            (letter, keys.collect())
        };
        Self(letters.chars().map(of).collect())
    }

    /// A directory for each letter, no one twice.
    fn keys(&self, letters: &str) -> Vec<i64> {
        let nth = |at, letter| letters.chars().take(at).filter(|other| *other == letter).count();
        let of = |letter| &self.0.iter().find(|(known, _)| *known == letter).expect("a letter").1;
        letters.chars().enumerate().map(|(at, letter)| of(letter)[nth(at, letter)]).collect()
    }

    fn all(&self) -> Vec<i64> {
        self.0.iter().flat_map(|(_, keys)| keys.clone()).collect()
    }

    fn letters(&self, keys: impl IntoIterator<Item = i64>) -> String {
        let of = |key| self.0.iter().find(|(_, keys)| keys.contains(&key)).expect("a directory").0;
        keys.into_iter().map(of).collect()
    }
}

fn key(source: &Source<'_>) -> i64 {
    let id = source.handle.id.clone();
    let key = move |tx: &mut Tx<'_>| Ok(tx.directory_get(&id)?.expect("the directory").key);
    let service = Arc::clone(source.app.service());
    source
        .app
        .wait(async move { service.store.get::<_, StoreError>("test", key).await })
        .expect("a key")
}

fn organization_gets_a_place_only_while_more_are_free_than_it_has(app: &TestApp) {
    let directories = Directories::make(app, "abc", 6);
    let now = app.clock.now_ms();
    for (due, reading, free, expected) in [
        ("aaaaaa", "", 4, "aa"),
        ("aaaaaa", "", 8, "aaaa"),
        ("aa", "", 8, "aa"),
        ("aa", "", 1, "a"),
        // Who has fewest comes first, then who has waited longest.
        ("aaaabbc", "", 4, "abc"),
        ("aaaabbc", "", 8, "abcaba"),
        ("baaa", "", 4, "baa"),
        ("aab", "aa", 2, "b"),
        ("aabb", "aa", 2, "b"),
        ("aab", "a", 3, "ba"),
        // The last one is for an organization that has none.
        ("aabb", "aab", 1, ""),
        ("aabbcc", "aab", 1, "c"),
    ] {
        let (all, keys) = (directories.all(), directories.keys(due));
        let busy = directories.keys(&[due, reading].concat()).split_off(due.len());
        let unit = move |tx: &mut Tx<'_>| {
            tx.sync_release_all()?;
            for key in &all {
                tx.sync_schedule_set(*key, None)?;
            }
            for (key, at) in keys.iter().zip(now + 1_000..) {
                tx.sync_schedule_set(*key, Some(at))?;
            }
            let (now, room) = (now + 60_000, Room { free, reading: busy.clone() });
            let is_due = tx.sync_due(now, &room)?;
            Ok((is_due, tx.sync_claim("run_test", now, now + 30_000, &room)?))
        };
        let service = Arc::clone(app.service());
        let claimed: Result<_, StoreError> =
            app.wait(async move { service.store.write("test", unit).await });
        let (is_due, claimed) = claimed.expect("claimed");
        let taken = directories.letters(claimed.iter().map(|claimed| claimed.directory_key));
        assert_eq!((taken.as_str(), is_due), (expected, !expected.is_empty()), "{due} {reading}");
    }
}

/// Only those whose time has come are looked at, and the table of directories by its keys.
#[test]
fn who_is_due_is_found_along_indexes() {
    let app = &TestApp::start(Database::sqlite());
    let reading = Directories::make(app, "a", 1).all();
    let service = Arc::clone(app.service());
    let explain = move |tx: &mut Tx<'_>| {
        tx.explained(|tx| tx.sync_due(7, &Room { free: 3, reading: reading.clone() }))
    };
    let plans = app.wait(async move { service.store.get::<_, StoreError>("test", explain).await });
    let plans = plans.expect("a plan");
    let is_walk =
        |line: &&str| ["s", "d", "n"].contains(&line.split(' ').nth(1).unwrap_or_default());
    let lines = plans.iter().flat_map(|plan| plan.lines());
    let walked: Vec<&str> =
        lines.filter(|line| line.starts_with("SCAN ")).filter(is_walk).collect();
    assert_eq!(walked, [""; 0], "{plans:#?}");
    assert!(plans[0].contains("sync_directory_due") && plans[0].contains("sync_run_open"));
}

/// The first so many of the users, of whom each page shows two.
fn answer(users: &mut usize, asked: &Asked) -> Said {
    let user = |n| json!({"id": format!("u{n}"), "userName": format!("user{n}@example.com")});
    let number = |name: &str| asked.param(name).parse::<usize>().expect("a number");
    let all: Vec<Value> = match asked.parts()[..] {
        ["Users"] => (1..=*users).map(user).collect(),
        _ => vec![],
    };
    let page: Vec<&Value> =
        all.iter().skip(number("startIndex") - 1).take(number("count")).collect();
    Said::json(200, &json!({"totalResults": all.len(), "Resources": page}))
}

fn reader<'a>(app: &'a TestApp, fake: &Fake<usize>) -> Source<'a> {
    scim::reader(app, &fake.url, json!({"page_size": 2, "paging": "index"}))
}

fn asked_for(source: &Source<'_>) -> String {
    source.app.api.post(&format!("{}/sync", source.path), json!({})).expect(202).id()
}

fn slow_sources_of_an_organization_keep_no_other_from_being_read(app: &TestApp) {
    let (fake, gate) = (Fake::start(|_| 3, answer), Gate::default());
    let behind = gate.clone();
    fake.fault(Fault::new("", move |_, said| said.behind(&behind)));
    let slow: Vec<Source<'_>> = (0..6).map(|_| reader(app, &fake)).collect();
    let runs: Vec<String> = slow.iter().map(asked_for).collect();
    let mut asked = 0;
    while asked < 2 {
        asked += fake.asked().len();
        std::thread::yield_now();
    }
    for _ in 0..3 {
        let other = file_of(app, &organization(app));
        let run = other.sync_users(&numbered(1..=3));
        assert_eq!(run["status"], "completed", "{run}");
    }
    let path = |(source, run): (&Source<'_>, &String)| format!("{}/syncs/{run}", source.path);
    let status = |path: String| app.api.get(&path).expect(200).body["status"].clone();
    let statuses: Vec<Value> = slow.iter().zip(&runs).map(path).map(status).collect();
    let running = statuses.iter().filter(|status| *status == "running").count();
    assert_eq!(running, 2, "{statuses:?}");
    gate.open();
    for (source, run) in slow.iter().zip(&runs) {
        let run = source.ended(run);
        assert_eq!(run["status"], "completed", "{run}");
    }
}

mod read_that_takes_too_long_fails_and_takes_nobody_away {
    use super::*;

    #[test]
    fn sqlite() {
        too_long(Database::sqlite());
    }

    #[test]
    fn postgres() {
        too_long(Database::postgres());
    }
}

fn too_long(database: Database) {
    let app = &TestApp::start_with(database, |config| config.source_read_timeout = 10);
    let fake = Fake::start(|_| 5, answer);
    let source = reader(app, &fake);
    source.sync();
    let standing = || (source.events(), source.users());
    let before = standing();
    fake.data(|users| *users = 4);
    // An answer that comes late, and a source that asks to be left alone for minutes.
    let gate = Gate::default();
    let behind = gate.clone();
    let busy = Said::json(503, &json!({})).with("Retry-After", 250);
    for fault in [
        Fault::new("startIndex=3", move |_, said| said.behind(&behind)),
        Fault::instead("startIndex=3", busy),
    ] {
        fake.fault(fault.once());
        fake.asked();
        let run = asked_for(&source);
        while !fake.asked().iter().any(|asked| asked.target.contains("startIndex=3")) {
            std::thread::yield_now();
        }
        app.clock.advance(Duration::from_secs(10));
        gate.open();
        let run = source.ended(&run);
        assert_eq!(run["status"], "failed", "{run}");
        assert_eq!(run["error"], "the source was not read to its end within 10 seconds");
        assert_eq!(standing(), before);
        assert_eq!(source.view()["state"], "error");
    }
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["deleted"], 1, "{run}");
    assert_eq!(source.view()["state"], "linked");
}
