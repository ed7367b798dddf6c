//! Reads of a few rows by key, on the thread that asks.
//!
//! To hand a unit to a lane and its answer back wakes two threads, which costs more than such a read
//! does. SQLite's readers wait for nobody, so it runs where it is asked for, on one of as many
//! connections as threads have ever asked at the same time. PostgreSQL answers over a socket: there it
//! is a unit like any other.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::conn::{AnyConn, Role, open_sqlite};
use super::dialect;
use super::error::UnitError;
use super::exec::attempt;
use super::sql::Tx;

/// Connections to one SQLite file that are used in turns.
pub(super) struct Lookups {
    path: PathBuf,
    idle: Mutex<Vec<AnyConn>>,
}

impl Lookups {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default() }
    }

    /// Runs the closure on one state of the database. `None` when the storage failed: a lane tries
    /// again, waits where this did not, and says why.
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
        let result = attempt(name, work, &mut Tx::new(&mut conn)).ok()?;
        dialect::rollback(&mut conn).ok()?;
        self.idle().push(conn);
        Some(result)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<AnyConn>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
