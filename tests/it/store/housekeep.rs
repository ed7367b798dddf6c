//! The write-ahead log and the free pages of a SQLite file stay bounded.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use tempfile::TempDir;

use rollbook::store::{Keeping, LaneSizes, Location, Store, StoreError, migrate};

const KIB: u64 = 1_024;

fn open(folder: &TempDir, keeping: Keeping) -> (PathBuf, Store) {
    let path = folder.path().join("test.db");
    let location = Location::Sqlite(path.clone());
    migrate(&location).expect("tables");
    let store = Store::open(&location, LaneSizes { keeping, ..LaneSizes::default() });
    (path, store.expect("a store"))
}

fn log_bytes(path: &Path) -> u64 {
    std::fs::metadata(path.with_extension("db-wal")).map_or(0, |meta| meta.len())
}

async fn write(store: &Store, range: std::ops::Range<i32>) {
    for n in range {
        put(store, n, 30_000).await;
    }
}

async fn put(store: &Store, n: i32, bytes: usize) {
    let (name, value) = (format!("name-{n}"), "x".repeat(bytes));
    let done: Result<String, StoreError> =
        store.write("put", move |tx| tx.setting_put_once(&name, &value)).await;
    done.expect("acknowledged");
}

/// Gives other threads time until it holds; the test's own limit ends a wait for nothing.
fn until(holds: impl Fn() -> bool) {
    while !holds() {
        std::thread::yield_now();
    }
}

#[test]
fn log_that_a_reader_holds_is_cut_when_the_reader_lets_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let keeping = Keeping { copy: 256 * KIB, cut: KIB * KIB, snapshot: Duration::from_secs(600) };
    let (path, store) = open(&folder, keeping);
    let (hold, held) = channel::<()>();
    let (begun, reading) = channel();
    actix_web::rt::System::new().block_on(async {
        let reader = store.clone();
        let reader = actix_web::rt::spawn(async move {
            let mut held = Some(held);
            let read: Result<Option<String>, StoreError> = reader
                .scan("hold", move |tx| {
                    tx.setting_get("name-0")?;
                    begun.send(()).expect("the test waits");
                    // Until the other end is dropped.
                    let _ = held.take().map(|held| held.recv());
                    tx.setting_get("name-0")
                })
                .await;
            read
        });
        tokio::task::spawn_blocking(move || reading.recv().expect("it reads"))
            .await
            .expect("waited");
        // Every write is acknowledged although the log cannot be cut.
        write(&store, 0..100).await;
        let metrics = store.metrics().clone();
        let blocked = move || until(|| metrics.log_held.get() > 0);
        tokio::task::spawn_blocking(blocked).await.expect("waited");
        assert!(log_bytes(&path) > 2 * KIB * KIB, "{}", log_bytes(&path));
        write(&store, 100..110).await;
        assert_eq!(store.metrics().log_cuts.get(), 0);
        drop(hold);
        assert_eq!(
            reader.await.expect("no panic").expect("a read"),
            None,
            "the state it began with"
        );
        let metrics = store.metrics().clone();
        let cut = move || until(|| metrics.log_cuts.get() > 0);
        tokio::task::spawn_blocking(cut).await.expect("waited");
        // What comes next is written over what was there.
        let kept = log_bytes(&path);
        write(&store, 110..150).await;
        assert_eq!(log_bytes(&path), kept);
    });
}

#[test]
fn log_is_bounded_while_reads_and_writes_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, store) = open(&folder, Keeping::default());
    let limit = Keeping::default().cut;
    let mut largest = 0;
    actix_web::rt::System::new().block_on(async {
        // More than twice what the log may hold before it is begun anew.
        for n in 0..500 {
            let cuts = store.metrics().log_cuts.get();
            put(&store, n, 300_000).await;
            let read: Result<Option<String>, StoreError> =
                store.read("get", |tx| tx.setting_get("name-0")).await;
            assert!(read.expect("a read").is_some());
            largest = largest.max(log_bytes(&path));
            // The log is looked at five times a second, however fast the machine writes.
            if log_bytes(&path) > limit {
                let metrics = store.metrics().clone();
                let cut = move || until(|| metrics.log_cuts.get() > cuts);
                tokio::task::spawn_blocking(cut).await.expect("waited");
            }
        }
    });
    assert!(largest < limit + KIB * KIB, "one write more than it waits for: {largest}");
}

#[test]
fn read_that_holds_on_to_a_state_for_too_long_is_refused_its_next_query() {
    let folder = tempfile::tempdir().expect("a folder");
    let keeping = Keeping { snapshot: Duration::from_millis(50), ..Keeping::default() };
    let (_, store) = open(&folder, keeping);
    actix_web::rt::System::new().block_on(async {
        let endless: Result<(), StoreError> = store
            .read("endless", |tx| {
                loop {
                    tx.setting_get("x")?;
                }
            })
            .await;
        assert!(matches!(endless, Err(StoreError::TimedOut(_))), "{endless:?}");
        let next: Result<Option<String>, StoreError> =
            store.read("next", |tx| tx.setting_get("x")).await;
        assert_eq!(next.expect("the reader goes on"), None);
    });
}

fn fill(path: &Path, megabytes: u32) {
    let mut conn = SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("the file");
    conn.batch_execute(&format!(
        "CREATE TABLE filler (value BLOB);
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {megabytes})
         INSERT INTO filler SELECT zeroblob(1000000) FROM n;"
    ))
    .expect("filled");
}

fn empty(path: &Path) {
    let mut conn = SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("the file");
    conn.batch_execute("DROP TABLE filler").expect("dropped");
}

#[test]
fn free_pages_go_back_in_steps_after_a_large_deletion() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, store) = open(&folder, Keeping::default());
    fill(&path, 20);
    empty(&path);
    actix_web::rt::System::new().block_on(async {
        let units = store.metrics().clone();
        let pages = store.reclaim().await.expect("reclaimed");
        assert!(pages > 4_000, "most of 20 MB: {pages}");
        assert!(units.file_bytes.get() < 4_000_000, "{}", units.file_bytes.get());
        assert!(units.free_bytes.get() < 2_000_000, "{}", units.free_bytes.get());
        assert!(units.reclaimed_bytes.get() > 16_000_000);
        assert_eq!(store.reclaim().await.expect("nothing more"), 0);
        write(&store, 0..3).await;
    });
    drop(store);
    let size = std::fs::metadata(&path).expect("the file").len();
    assert!(size < 4_000_000, "the file is shorter: {size}");
}

#[test]
fn free_pages_that_the_next_rows_will_use_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, store) = open(&folder, Keeping::default());
    fill(&path, 3);
    empty(&path);
    actix_web::rt::System::new().block_on(async {
        assert_eq!(store.reclaim().await.expect("looked"), 0);
        assert!(store.metrics().free_bytes.get() > 2_000_000);
    });
}
