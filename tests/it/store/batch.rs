//! The batch-abort rule of the SQLite lane: when the storage fails in the middle of a batch, nothing
//! that was reported as failed is stored and nothing that was acknowledged is lost.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::{Connection, SqliteConnection};
use futures_util::FutureExt;
use tempfile::TempDir;

use rollbook::store::event::NewEvent;
use rollbook::store::{LaneSizes, Location, Store, StoreError, Tx, migrate};

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

fn names(path: &std::path::Path) -> HashSet<String> {
    let mut conn =
        SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("the file opens");
    let rows: Vec<Name> =
        diesel::sql_query("SELECT name FROM setting").load(&mut conn).expect("readable");
    rows.into_iter().map(|row| row.name).collect()
}

fn open(folder: &TempDir, sizes: LaneSizes) -> (PathBuf, Store) {
    let path = folder.path().join("test.db");
    let location = Location::Sqlite(path.clone());
    migrate(&location).expect("tables");
    (path, Store::open(&location, sizes).expect("a store"))
}

/// Lets the units queue up behind one that keeps the writer busy, so that they share batches.
async fn behind_a_busy_writer<T>(
    store: &Store,
    units: impl Iterator<Item = impl Future<Output = T>>,
) -> Vec<T> {
    let gate = Arc::new(AtomicBool::new(false));
    let closed = Arc::clone(&gate);
    let busy = store.write("busy", move |_| {
        while !closed.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        Ok::<_, StoreError>(())
    });
    let open = async { gate.store(true, Ordering::Release) };
    let (ended, results, ()) = tokio::join!(busy, futures_util::future::join_all(units), open);
    ended.expect("the busy unit commits");
    results
}

/// Every tenth of 200 units writes a large value; the file has room for some of them only.
#[test]
fn full_database_in_mid_batch_keeps_what_was_acknowledged() {
    full_database_keeps_what_was_acknowledged(false);
}

#[test]
fn full_database_in_mid_batch_of_bulk_units_keeps_what_was_acknowledged() {
    full_database_keeps_what_was_acknowledged(true);
}

fn full_database_keeps_what_was_acknowledged(is_bulk: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, store) = open(&folder, LaneSizes::default());
    let outcome = actix_web::rt::System::new().block_on(async {
        let limited: Result<(), StoreError> = store.write("limit", |tx| tx.limit_growth(12)).await;
        limited.expect("the limit");
        let units = (0..200).map(|n| {
            let name = format!("unit-{n:03}");
            let value = "x".repeat(if n % 10 == 0 { 60_000 } else { 10 });
            let unit_name = name.clone();
            let put = move |tx: &mut Tx<'_>| tx.setting_put_once(&unit_name, &value);
            let done = match is_bulk {
                true => store.write_bulk("put", put).boxed_local(),
                false => store.write("put", put).boxed_local(),
            };
            async move { (name, done.await) }
        });
        behind_a_busy_writer(&store, units).await
    });
    assert!(store.metrics().aborted_batches.get() > 0, "a batch of several units was ended");
    let failed_units = store.metrics().failed_units.get();
    drop(store);

    let stored = names(&path);
    let (acknowledged, failed): (Vec<_>, Vec<_>) =
        outcome.into_iter().partition(|(_, result)| result.is_ok());
    assert!(acknowledged.len() >= 180, "small units fit: {}", acknowledged.len());
    assert!(!failed.is_empty(), "the database was full for some");
    assert_eq!(failed_units, failed.len() as u64);
    for (name, _) in acknowledged {
        assert!(stored.contains(&name), "{name} was acknowledged and is lost");
    }
    for (name, result) in failed {
        assert!(!stored.contains(&name), "{name} was refused and is stored");
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{name}: {result:?}");
    }
}

#[test]
fn unit_that_panics_is_rolled_back_and_the_others_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, store) = open(&folder, LaneSizes::default());
    let results = actix_web::rt::System::new().block_on(async {
        let units = (0..20).map(|n| {
            store.write("maybe_panic", move |tx| {
                tx.setting_put_once(&format!("unit-{n}"), "x")?;
                assert!(n != 7, "this unit panics on purpose");
                Ok::<_, StoreError>(())
            })
        });
        behind_a_busy_writer(&store, units).await
    });
    for (n, result) in results.into_iter().enumerate() {
        match result {
            Ok(()) => assert_ne!(n, 7),
            Err(StoreError::Panicked(name)) => assert_eq!((n, name), (7, "maybe_panic")),
            Err(other) => panic!("unit {n}: {other}"),
        }
    }
    drop(store);
    let stored = names(&path);
    assert_eq!(stored.len(), 19);
    assert!(!stored.contains("unit-7"));
}

/// How a unit ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Well,
    Refused,
    Panic,
}

/// Bulk units that begin a batch have no savepoints: one that is refused takes the batch with it, and the others
/// run again. Whatever stands beside it, of a unit that fails nothing is left, and nothing else is lost.
#[test]
fn unit_that_fails_beside_bulk_units_leaves_nothing_and_the_others_commit() {
    use End::{Panic, Refused, Well};
    let (bulk, plain) = (true, false);
    for units in [
        [(bulk, Well), (bulk, Well), (bulk, Refused), (bulk, Well), (plain, Well)],
        [(bulk, Well), (bulk, Well), (plain, Refused), (plain, Well), (bulk, Well)],
        [(plain, Well), (bulk, Well), (bulk, Refused), (bulk, Well), (plain, Well)],
        [(bulk, Refused), (bulk, Refused), (bulk, Well), (plain, Refused), (plain, Well)],
        [(bulk, Well), (bulk, Panic), (bulk, Well), (plain, Well), (bulk, Refused)],
        [(bulk, Well), (plain, Panic), (bulk, Well), (plain, Well), (bulk, Well)],
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, store) = open(&folder, LaneSizes::default());
        let results = actix_web::rt::System::new().block_on(async {
            let units = units.into_iter().enumerate().map(|(n, (is_bulk, end))| {
                let work = move |tx: &mut Tx<'_>| {
                    tx.setting_put_once(&format!("unit-{n}"), "x")?;
                    assert!(end != Panic, "this unit panics on purpose");
                    if end == Refused { Err(StoreError::MissingReference) } else { Ok(()) }
                };
                match is_bulk {
                    true => store.write_bulk("unit", work).boxed_local(),
                    false => store.write("unit", work).boxed_local(),
                }
            });
            behind_a_busy_writer(&store, units).await
        });
        for (result, (_, end)) in results.iter().zip(units) {
            match end {
                Well => assert!(result.is_ok(), "{result:?}"),
                Refused => assert!(matches!(result, Err(StoreError::MissingReference))),
                Panic => assert!(matches!(result, Err(StoreError::Panicked("unit")))),
            }
        }
        drop(store);
        let well = units.iter().enumerate().filter(|(_, (_, end))| *end == Well);
        assert_eq!(names(&path), well.map(|(n, _)| format!("unit-{n}")).collect());
    }
}

fn event(number: usize) -> NewEvent {
    NewEvent {
        id: format!("event_{number:03}"),
        event: "dsync.user.created",
        resource_id: format!("user_{number:03}"),
        member_id: None,
        data: format!("{{\"id\":\"user_{number:03}\"}}").into(),
        reason: None,
        created: 0,
    }
}

/// The statement that meets an id for the second time does not undo what it has written before: the unit or
/// its part is undone as a whole.
#[test]
fn event_id_that_is_there_leaves_nothing_of_the_unit() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, store) = open(&folder, LaneSizes::default());
    let twice: Vec<NewEvent> = (0..150).chain([5]).chain(150..300).map(event).collect();
    assert_eq!(twice.len(), 301);
    let again = twice.clone();
    actix_web::rt::System::new().block_on(async {
        let all = store.write("all", move |tx| {
            tx.setting_put_once("all", "x")?;
            tx.events_write(1, twice.iter())
        });
        let part = store.write("part", move |tx| {
            tx.setting_put_once("part", "x")?;
            let refused = tx.part(|tx| tx.events_write(1, again.iter()))?;
            assert!(matches!(refused, Err(StoreError::Unique(_))), "{refused:?}");
            tx.event_write(1, &event(500))
        });
        let [all, part] = <[_; 2]>::try_from(
            behind_a_busy_writer(&store, [all.boxed_local(), part.boxed_local()].into_iter()).await,
        )
        .expect("two units");
        assert!(matches!(all, Err(StoreError::Unique(_))), "{all:?}");
        part.expect("what stands beside the part commits");
        let left = store.read("events", |tx| tx.event_list(1, 0, 1_000)).await.expect("events");
        let left: Vec<(&str, &str)> =
            left.iter().map(|row| (row.id.as_str(), row.data.as_str())).collect();
        assert_eq!(left, [("event_500", r#"{"id":"user_500"}"#)]);
    });
    assert_eq!(store.metrics().aborted_batches.get(), 0);
    drop(store);
    assert_eq!(names(&path), HashSet::from(["part".to_owned()]));
}

#[test]
fn full_queue_refuses_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, store) = open(&folder, LaneSizes { queue: 4, ..LaneSizes::default() });
    let results = actix_web::rt::System::new().block_on(async {
        let units = (0..50).map(|_| store.write("nothing", |_| Ok::<_, StoreError>(())));
        behind_a_busy_writer(&store, units).await
    });
    let refused = results.iter().filter(|r| matches!(r, Err(StoreError::Overloaded))).count();
    assert!(refused >= 40, "{refused}");
    assert!(results.iter().any(Result::is_ok), "what was queued is done");
}

/// A file that another connection keeps locked is reported as unavailable, not as a failure.
#[test]
fn locked_file_is_unavailable() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, store) = open(&folder, LaneSizes::default());
    let mut other =
        SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("the file opens");
    other.batch_execute("BEGIN IMMEDIATE").expect("the lock");
    actix_web::rt::System::new().block_on(async {
        let put = || store.write("put", |tx| tx.setting_put_once("a", "b"));
        let results: Vec<Result<String, StoreError>> =
            futures_util::future::join_all((0..20).map(|_| put())).await;
        for result in results {
            assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
        }
        other.batch_execute("ROLLBACK").expect("the lock is given back");
        assert_eq!(store.metrics().failed_units.get(), 20);
        assert_eq!(put().await.expect("stored"), "b");
    });
}

/// A unit that waits for no other has a transaction of its own: it fails without a batch.
#[test]
fn unit_alone_that_fails_is_counted_and_one_that_is_refused_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, store) = open(&folder, LaneSizes::default());
    actix_web::rt::System::new().block_on(async {
        let limited: Result<(), StoreError> = store.write("limit", |tx| tx.limit_growth(4)).await;
        limited.expect("the limit");
        let refused = store.write("refuse", |_| Err::<(), _>(StoreError::MissingReference)).await;
        assert!(matches!(refused, Err(StoreError::MissingReference)), "{refused:?}");
        assert_eq!(store.metrics().failed_units.get(), 0);
        let value = "x".repeat(600_000);
        let full: Result<String, StoreError> =
            store.write("put", move |tx| tx.setting_put_once("large", &value)).await;
        assert!(matches!(full, Err(StoreError::Unavailable(_))), "{full:?}");
    });
    assert_eq!(store.metrics().failed_units.get(), 1);
    assert_eq!(store.metrics().aborted_batches.get(), 0);
}
