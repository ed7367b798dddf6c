//! Reads of a few rows by key, on the thread that asks.
//!
//! To hand a unit to a lane and its answer back wakes two threads, which costs more than such a read
//! does. SQLite's readers wait for nobody, so it runs where it is asked for, on one of as many
//! connections as threads have ever asked at the same time. PostgreSQL answers over a socket: there it
//! is a unit like any other.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::conn::{AnyConn, Role, open_sqlite};
use super::dialect;
use super::error::{StoreError, UnitError};
use super::exec::attempt;
use super::sql::Tx;

/// How long a look-up may go on asking. Other requests wait for the thread meanwhile; a lane has time for
/// a user who is in very many groups.
const LONGEST: Duration = Duration::from_millis(5);

/// Queries that a look-up may ask however long it takes: on a machine that is too busy, to begin an
/// ordinary one again would only add to its work.
const FREE: u32 = 8;

/// Connections to one SQLite file that are used in turns.
pub(super) struct Lookups {
    path: PathBuf,
    idle: Mutex<Vec<AnyConn>>,
}

impl Lookups {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default() }
    }

    /// Runs the closure on one state of the database. `None` when it took too long or the storage failed:
    /// a lane tries again, waits where this did not, and says why.
    pub(super) fn run<T, E: UnitError>(
        &self,
        name: &'static str,
        work: &mut impl FnMut(&mut Tx<'_>) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        let idle = self.idle().pop();
        let mut conn = match idle {
            Some(conn) => conn,
            None => open_sqlite(&self.path, Role::Lookup).ok()?,
        };
        dialect::begin_snapshot(&mut conn).ok()?;
        let result = attempt(name, work, &mut Tx::briefly(&mut conn, LONGEST, FREE));
        // A connection on which something failed is not used again; one whose time was over is sound.
        if matches!(result, Ok(_) | Err(StoreError::TimedOut(_))) {
            dialect::rollback(&mut conn).ok()?;
            self.idle().push(conn);
        }
        result.ok()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<AnyConn>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stopwatch;
    use diesel::sql_types::BigInt;

    #[test]
    fn look_up_that_takes_long_is_left_to_a_lane_and_gives_its_connection_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let lookups = Lookups::new(folder.path().join("test.db"));
        let asked = |queries: u32| {
            let mut begun = 0;
            let answer = lookups.run("test", &mut |tx: &mut Tx<'_>| {
                let watch = Stopwatch::start();
                while watch.elapsed() <= LONGEST {
                    std::hint::spin_loop();
                }
                for _ in 0..queries {
                    begun += 1;
                    tx.row::<BigInt, i64>("SELECT CAST(1 AS BIGINT)", &[])?;
                }
                Ok::<_, StoreError>(())
            });
            (begun, answer.is_some(), lookups.idle().len())
        };
        assert_eq!(asked(FREE), (FREE, true, 1), "an ordinary one comes to its end");
        assert_eq!(asked(100), (FREE + 1, false, 1), "one without an end stops");
        assert_eq!(asked(1), (1, true, 1), "and the connection is good for the next");
    }
}
