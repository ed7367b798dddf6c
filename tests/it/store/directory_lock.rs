//! Who wants a directory alone gets it, however many share it one after the other.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use rollbook::store::StoreError;

use crate::support::{Database, TestApp};

const WRITERS: usize = 10;
const ROUNDS: usize = 20;

#[test]
fn exclusive_lock_comes_in_its_turn_postgres() {
    let app = TestApp::start_with(Database::postgres(), |config| {
        config.postgres_connections = 16;
    });
    let store = &app.service().store;
    let id = app.directory.id.clone();
    let row: Result<_, StoreError> =
        app.wait(async { store.get("test", move |tx| tx.directory_get(&id)).await });
    let key = row.expect("readable").expect("the directory").key;
    let (begun, stop) = (Arc::new(AtomicUsize::new(0)), AtomicBool::new(false));
    let ready = Barrier::new(WRITERS + 1);
    let waits: Vec<usize> = std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (app, begun, stop, ready) = (&app, &begun, &stop, &ready);
            scope.spawn(move || {
                app.wait(async {
                    for turn in 0.. {
                        let begun = Arc::clone(begun);
                        let held = store.write("share", move |tx| {
                            tx.directory_share(key)?;
                            begun.fetch_add(1, Ordering::SeqCst);
                            // A unit that takes its time, and never ends with all of the others.
                            std::thread::sleep(Duration::from_millis(10 + writer as u64));
                            Ok(())
                        });
                        let held: Result<(), StoreError> = held.await;
                        held.expect("shared");
                        if turn == 0 {
                            ready.wait();
                        }
                        if stop.load(Ordering::SeqCst) {
                            break;
                        }
                    }
                });
            });
        }
        ready.wait();
        let waits = (0..ROUNDS).map(|_| {
            let begun = Arc::clone(&begun);
            let alone = store.write("alone", move |tx| {
                let before = begun.load(Ordering::SeqCst);
                tx.directory_lock_exclusive(key)?;
                Ok(begun.load(Ordering::SeqCst) - before)
            });
            let passed: Result<usize, StoreError> = app.wait(alone);
            passed.expect("locked")
        });
        let waits = waits.collect();
        stop.store(true, Ordering::SeqCst);
        waits
    });
    // Those that were let in when it came may have counted themselves after it looked.
    assert!(waits.iter().all(|passed| *passed <= WRITERS), "{waits:?}");
}
