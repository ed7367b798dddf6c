//! Writers on several processes and readers that walk the log: everybody sees every change once, in the
//! same order, the changes of one resource in the order of its versions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, Database, TestApp, patch, user};

/// What was answered: user id → the titles that its changes had, in the order of its versions.
type Changes = BTreeMap<String, Vec<(u64, String)>>;

/// Writes until it is told to stop: each writer has users of its own and some that all write to.
fn write(scims: &[Client], writer: usize, shared: &[String], stop: &AtomicBool) -> Changes {
    let mut changes = Changes::new();
    let mut note = |id: &str, version: u64, title: String| {
        changes.entry(id.to_owned()).or_default().push((version, title));
    };
    let mut round = 0_usize;
    while !stop.load(Ordering::SeqCst) {
        let scim = &scims[(writer + round) % scims.len()];
        let (name, title) = (format!("w{writer}-{round}@example.com"), format!("{writer}.{round}"));
        let mut body = user(&name);
        body["title"] = json!(title.clone());
        let made = scim.post("/Users", body).expect(201);
        note(&made.id(), version(&made.body), title.clone());
        let id = &shared[(writer * 7 + round) % shared.len()];
        let ops = json!([{"op": "replace", "path": "title", "value": title}]);
        let changed = scim.patch(&format!("/Users/{id}"), patch(ops)).expect(200);
        note(id, version(&changed.body), title);
        round += 1;
    }
    changes
}

fn version(body: &Value) -> u64 {
    let tag = body["meta"]["version"].as_str().expect("a version");
    tag.trim_start_matches("W/\"").trim_end_matches('"').parse().expect("a number")
}

/// Walks `/events` until everything that was written has been seen: (event id, user id, title).
fn walk(api: &Client, done: &AtomicBool) -> Vec<(String, String, String)> {
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        // Whoever has written before this look is seen by the next one.
        let is_last = done.load(Ordering::SeqCst);
        let page = api.get(&format!("/events?limit=100{after}")).expect(200);
        let events = page.body["data"].as_array().expect("a list");
        for event in events {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let data = &event["data"];
            seen.push((text(&event["id"]), text(&data["id"]), text(&data["job_title"])));
        }
        if let Some(event) = events.last() {
            after = format!("&after={}", event["id"].as_str().expect("an id"));
        } else if is_last {
            return seen;
        }
    }
}

fn hold(apps: &[TestApp], writers: usize, time: Duration) {
    let directory = &apps[0].directory;
    let scims: Vec<Client> = apps
        .iter()
        .map(|app| {
            let base = format!("{}/scim/v2/{}", app.url, directory.external_key);
            Client::new(&base, &directory.token, "application/scim+json")
        })
        .collect();
    let shared: Vec<String> = (0..8)
        .map(|n| scims[0].post("/Users", user(&format!("s{n}@example.com"))).expect(201).id())
        .collect();
    let (stop, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let (written, walked) = std::thread::scope(|scope| {
        let (stop, done, shared, scims) = (&stop, &done, &shared, &scims);
        let readers: Vec<_> = (0..3)
            .map(|reader| {
                let api = apps[reader % apps.len()].api.clone();
                scope.spawn(move || walk(&api, done))
            })
            .collect();
        let writing: Vec<_> = (0..writers)
            .map(|writer| scope.spawn(move || write(scims, writer, shared, stop)))
            .collect();
        let (_sender, nothing) = std::sync::mpsc::channel::<()>();
        let _ = nothing.recv_timeout(time);
        stop.store(true, Ordering::SeqCst);
        let written: Vec<Changes> =
            writing.into_iter().map(|writer| writer.join().expect("no panic")).collect();
        apps[0].settle_events();
        settled(&apps[0]);
        done.store(true, Ordering::SeqCst);
        let walked: Vec<_> =
            readers.into_iter().map(|reader| reader.join().expect("no panic")).collect();
        (written, walked)
    });
    for other in &walked[1..] {
        assert_eq!(walked[0].len(), other.len(), "every reader sees as many events");
        assert!(walked[0] == *other, "every reader sees the same order");
    }
    let ids: BTreeSet<&String> = walked[0].iter().map(|(id, _, _)| id).collect();
    assert_eq!(ids.len(), walked[0].len(), "no event is seen twice");
    let mut expected = Changes::new();
    for (id, changes) in written.into_iter().flatten() {
        expected.entry(id).or_default().extend(changes);
    }
    let mut told: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    for (_, user, title) in walked[0].iter().filter(|(_, _, title)| !title.is_empty()) {
        told.entry(user).or_default().push(title);
    }
    let mut changes = 0;
    for (id, mut versions) in expected {
        versions.sort();
        changes += versions.len();
        let titles: Vec<&String> = versions.iter().map(|(_, title)| title).collect();
        assert_eq!(told.remove(&id), Some(titles), "{id}");
    }
    assert!(told.is_empty(), "nobody tells what was not written: {told:?}");
    assert!(changes > writers * 2, "{changes} changes");
}

/// Waits until nothing that is committed lacks its position, gaps included.
fn settled(app: &TestApp) {
    app.wait(async {
        loop {
            #[expect(
                clippy::redundant_closure_for_method_calls,
                reason = "its lifetime is too narrow"
            )]
            let look: Result<_, rollbook::store::StoreError> =
                app.service().store.get("look", |tx| tx.sequencer_look()).await;
            if !look.expect("a look").work {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
}

fn two_replicas() -> Vec<TestApp> {
    let database = Database::postgres();
    let url = database.url();
    let key = || Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned());
    let first = TestApp::start_with(database, |config| config.secret_key = key());
    // Its own folder, the other's database. It stops first: the database goes with the other.
    let second = TestApp::start_with(Database::sqlite(), |config| {
        config.database_url = Some(url);
        config.secret_key = key();
    });
    vec![second, first]
}

mod readers_see_every_change_once_in_one_order {
    use super::*;

    #[test]
    fn sqlite() {
        hold(&[TestApp::start(Database::sqlite())], 8, Duration::from_secs(3));
    }

    #[test]
    fn postgres() {
        hold(&two_replicas(), 8, Duration::from_secs(3));
    }
}

mod heavy_readers_see_every_change_of_64_writers_in_60_seconds {
    use super::*;

    #[test]
    fn sqlite() {
        hold(&[TestApp::start(Database::sqlite())], 64, Duration::from_secs(60));
    }

    #[test]
    fn postgres() {
        hold(&two_replicas(), 64, Duration::from_secs(60));
    }
}
