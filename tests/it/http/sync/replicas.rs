//! Several processes that read the same directories: which they take, and what they may not do any more.

use std::sync::Arc;
use std::time::Duration;

use rollbook::service::ServiceError;
use rollbook::store::sync::Room;
use rollbook::store::{Lease, StoreError, Tx, under_lease};
use serde_json::{Value, json};

use super::{Source, numbered};
use crate::on_both_databases;
use crate::support::{Database, TestApp, user};

on_both_databases![
    who_has_waited_longest_is_taken_first,
    unit_of_a_lost_lease_is_undone,
    create_under_a_lost_lease_stores_nothing,
];

const SECRET_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Directories on a short schedule.
const DIRECTORIES: usize = 100;

mod no_run_is_done_twice_and_none_is_forgotten {
    use super::*;

    #[test]
    fn postgres() {
        let database = Database::postgres();
        let url = database.url();
        let first = TestApp::start_with(database, |config| {
            config.secret_key = Some(SECRET_KEY.into());
        });
        let second = TestApp::start_with(Database::sqlite(), |config| {
            config.database_url = Some(url);
            config.secret_key = Some(SECRET_KEY.into());
        });
        let make = |_| {
            let source = Source::new(&first, "pull.csv", json!({}), json!({}));
            source.upload("users", &numbered(1..=3));
            source
        };
        let sources: Vec<Source<'_>> = (0..DIRECTORIES).map(make).collect();
        for source in &sources {
            let settings = json!({"schedule": {"every": "1m"}});
            first.api.patch(&source.path, json!({"settings": settings})).expect(200);
        }
        for round in 1..=3 {
            for source in &sources {
                let runs = finished(source, round);
                for run in runs.as_array().expect("a list") {
                    assert_eq!(
                        (&run["status"], &run["cause"]),
                        (&json!("completed"), &json!("schedule"))
                    );
                }
                let created = &runs[round - 1]["counts"]["users"]["created"];
                assert_eq!(created, &json!(3), "the first run of each has made them: {runs}");
                let told = source.told(0);
                let users = told.iter().filter(|name| name.starts_with("user.")).count();
                assert_eq!((users, told.len()), (3, 4), "{told:?}");
            }
            for app in [&first, &second] {
                app.clock.advance(Duration::from_secs(90));
            }
        }
    }
}

/// So many runs of a directory, once all are over.
fn finished(source: &Source<'_>, number: usize) -> Value {
    loop {
        let runs = source.app.api.get(&format!("{}/syncs", source.path)).expect(200).body;
        let runs = runs["data"].clone();
        let list = runs.as_array().expect("a list");
        assert!(list.len() <= number, "{runs}");
        if list.len() == number && list.iter().all(|run| run["finished_at"].is_string()) {
            return runs;
        }
        std::thread::yield_now();
    }
}

/// A unit of the store about the directory with that id.
fn unit<T: Send + 'static>(
    source: &Source<'_>,
    lease: Option<&str>,
    work: impl Fn(&mut Tx<'_>, i64) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (service, id) = (Arc::clone(source.app.service()), source.handle.id.clone());
    let runner = lease.map(str::to_owned);
    source.app.wait(async move {
        let key = move |tx: &mut Tx<'_>| Ok(tx.directory_get(&id)?.expect("the directory").key);
        let key = service.store.get::<_, StoreError>("test", key).await?;
        let written = service.store.write("test", move |tx| work(tx, key));
        match runner {
            Some(runner) => under_lease(Lease { directory_key: key, runner }, written).await,
            None => written.await,
        }
    })
}

/// Directories whose time has come do not keep those waiting whose process was killed before.
fn who_has_waited_longest_is_taken_first(app: &TestApp) {
    let now = app.clock.now_ms();
    let off = || Source::new(app, "pull.csv", json!({}), json!({"schedule": "off"}));
    // Its time came at the second second, when somebody had it until the fifth.
    let times = [(10_000, None), (2_000, Some(5_000)), (20_000, None)];
    let sources: Vec<Source<'_>> = times.iter().map(|_| off()).collect();
    for (source, (next, lease)) in sources.iter().zip(times) {
        let set = move |tx: &mut Tx<'_>, key: i64| {
            tx.sync_schedule_set(key, Some(now + next))?;
            tx.sync_hold(key, "", lease.map_or(0, |lease| now + lease))
        };
        assert!(unit(source, None, set).expect("set"));
    }
    let claimed: Vec<(i64, bool)> = (0..4)
        .flat_map(|_| {
            let claim = move |tx: &mut Tx<'_>, _| {
                let (now, until) = (now + 60_000, now + 90_000);
                tx.sync_claim("run_test", now, until, &Room { free: 1, ..Room::default() })
            };
            unit(&sources[0], None, claim).expect("claimed")
        })
        .map(|claimed| (claimed.directory_key, claimed.is_taken_over))
        .collect();
    let key = |source: &Source<'_>| unit(source, None, |_, key| Ok(key)).expect("a key");
    let [tenth, fifth, twentieth] = [0, 1, 2].map(|n: usize| key(&sources[n]));
    assert_eq!(claimed, [(fifth, true), (tenth, false), (twentieth, false)]);
}

/// Whoever stood still has begun it before it could know that somebody else has the directory.
fn unit_of_a_lost_lease_is_undone(app: &TestApp) {
    let source = Source::new(app, "pull.csv", json!({}), json!({"schedule": "off"}));
    let generation = || {
        let read = |tx: &mut Tx<'_>, key| Ok(tx.sync_get(key)?.expect("the directory").generation);
        unit(&source, None, read).expect("readable")
    };
    let outdate = |runner: &str| {
        let work = |tx: &mut Tx<'_>, key| {
            tx.sync_outdate(key)?;
            Ok(())
        };
        unit(&source, Some(runner), work)
    };
    let before = generation();
    let lost = outdate("run_other");
    assert!(matches!(lost, Err(StoreError::LeaseLost)), "{lost:?}");
    assert_eq!(generation(), before);
    // Nobody has had it yet.
    outdate("").expect("stored");
    assert_eq!(generation(), before + 1);
}

/// On PostgreSQL it is one statement, which looks by itself.
fn create_under_a_lost_lease_stores_nothing(app: &TestApp) {
    let body = user("ada@example.com").as_object().expect("an object").clone();
    let created = app.wait(async {
        let service = app.service();
        let access = service.directory_access(&app.directory.token, None).await;
        let access = access.expect("the token is good");
        let user_type = access.directory.registry.user().clone();
        let lease = Lease { directory_key: access.directory.key, runner: "run_other".to_owned() };
        under_lease(lease, service.create(&access, &user_type, body)).await
    });
    assert!(matches!(created, Err(ServiceError::Store(StoreError::LeaseLost))), "{created:?}");
    assert_eq!(app.scim.get("/Users").total(), 0);
    assert!(app.event_names(&app.directory).is_empty());
}
