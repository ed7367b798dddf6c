//! Housekeeping of a SQLite file: the write-ahead log is copied back and begun anew, and pages that large
//! deletions left free go back to the file system.
//!
//! The log is copied back while others read and write (PASSIVE). It begins anew by itself when all of it was
//! copied and nobody reads from it; in a busy server it only grows. From a second size on it is cut, for which
//! writers wait until nobody reads an old state any more (RESTART). Its file stays: pages that are written over
//! cost the file system less than new ones. A file that a reader has made much larger goes back as a whole
//! (TRUNCATE). How long a reader may keep the log is bounded by [`Keeping::snapshot`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use diesel::sql_types::{BigInt, Integer};

use super::conn::{AnyConn, LOG_FILE_BYTES, Role, open_sqlite};
use super::dialect::{self, Dialect};
use super::metrics::StoreMetrics;
use super::sql::Tx;
use super::{Store, StoreError};
use crate::clock::Stopwatch;

/// Bounds of what a SQLite file keeps beside its rows.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// Bytes of log that wait to be copied back before a checkpoint copies them.
    pub copy: u64,
    /// Bytes of log from which it is begun anew.
    pub cut: u64,
    /// How long a read may hold on to one state. A scan ends by itself after five seconds, with an
    /// answer of its own; what goes on is refused its next statement.
    pub snapshot: Duration,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { copy: 16 * 1024 * 1024, cut: LOG_FILE_BYTES, snapshot: Duration::from_secs(6) }
    }
}

/// How often the log is looked at.
const EVERY: Duration = Duration::from_millis(200);

/// How long a cut waits for readers. Writers wait with it.
const CUT_WAIT: &str = "PRAGMA busy_timeout = 200";

/// After a reader held up a cut, writers are left alone for that long.
const CUT_PAUSE: Duration = Duration::from_secs(2);

/// A page of SQLite's default size and its header in the log.
const FRAME_BYTES: u64 = 4_096 + 24;

const PAGE_BYTES: i64 = 4_096;

/// Looks after the log until `stop` is closed.
pub(super) fn checkpoint_loop(
    path: &Path,
    keeping: Keeping,
    metrics: &StoreMetrics,
    stop: &Receiver<()>,
) {
    let mut log = Log::of(path, keeping);
    while stop.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        if let Err(error) = log.tend(metrics) {
            tracing::warn!(%error, "the write-ahead log could not be copied back");
            log.conn = None;
        }
    }
}

struct Log {
    database: PathBuf,
    file: PathBuf,
    keeping: Keeping,
    conn: Option<AnyConn>,
    /// Since a reader held up the last cut.
    held: Option<Stopwatch>,
    /// The log was cut, and nothing has been written since: it begins with what comes next.
    begins: bool,
}

/// What a checkpoint answers.
struct Outcome {
    busy: bool,
    /// Bytes of the log that hold pages.
    bytes: u64,
    /// How many of them are not in the database file yet.
    waiting: u64,
}

impl Log {
    fn of(database: &Path, keeping: Keeping) -> Self {
        let mut file = database.as_os_str().to_owned();
        file.push("-wal");
        Self {
            database: database.to_owned(),
            file: PathBuf::from(file),
            keeping,
            conn: None,
            held: None,
            begins: false,
        }
    }

    fn tend(&mut self, metrics: &StoreMetrics) -> Result<(), StoreError> {
        let size = std::fs::metadata(&self.file).map_or(0, |meta| meta.len());
        metrics.log_bytes.set(i64::try_from(size).unwrap_or(i64::MAX));
        // The file does not shrink when the log begins anew, but it is never smaller than the log.
        if size < self.keeping.copy {
            return Ok(());
        }
        let log = self.checkpoint("PRAGMA wal_checkpoint(NOOP)")?;
        self.begins &= log.waiting == 0;
        if self.begins {
            return Ok(());
        }
        let rests = self.held.as_ref().is_some_and(|since| since.elapsed() < CUT_PAUSE);
        if log.bytes >= self.keeping.cut && !rests {
            self.cut(size, metrics)
        } else if log.waiting >= self.keeping.copy {
            metrics.checkpoints.inc();
            self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)").map(drop)
        } else {
            Ok(())
        }
    }

    fn cut(&mut self, size: u64, metrics: &StoreMetrics) -> Result<(), StoreError> {
        // What can be copied without anybody waiting is copied first.
        self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)")?;
        let cut = match size > 2 * LOG_FILE_BYTES {
            true => self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)")?,
            false => self.checkpoint("PRAGMA wal_checkpoint(RESTART)")?,
        };
        self.begins = !cut.busy;
        self.held = match cut.busy {
            true => {
                metrics.log_held.inc();
                Some(Stopwatch::start())
            }
            false => {
                metrics.log_cuts.inc();
                None
            }
        };
        Ok(())
    }

    fn checkpoint(&mut self, statement: &'static str) -> Result<Outcome, StoreError> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            None => {
                let mut conn = open_sqlite(&self.database, Role::Reader)?;
                dialect::run(&mut conn, CUT_WAIT)?;
                self.conn.insert(conn)
            }
        };
        let row =
            Tx::new(conn).row::<(Integer, Integer, Integer), (i32, i32, i32)>(statement, &[])?;
        let (busy, pages, copied) = row.unwrap_or_default();
        let bytes = |pages: i32| u64::try_from(pages).unwrap_or(0) * FRAME_BYTES;
        let waiting = bytes(pages).saturating_sub(bytes(copied));
        Ok(Outcome { busy: busy != 0, bytes: bytes(pages), waiting })
    }
}

/// Pages of a SQLite file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    pub all: i64,
    /// Pages that hold nothing; new rows are written into them first.
    pub free: i64,
}

/// Free pages that are not worth a unit.
const FEW_PAGES: i64 = 1_024;

impl Pages {
    /// A quarter of the file is free: more than the next rows will need.
    fn has_excess(self) -> bool {
        self.free > FEW_PAGES && self.free > self.all / 4
    }

    /// A twentieth is left for the next rows.
    fn has_enough(self) -> bool {
        self.free <= FEW_PAGES / 4 || self.free <= self.all / 20
    }
}

/// `None` on PostgreSQL, which looks after its files itself.
fn pages(tx: &mut Tx<'_>) -> Result<Option<Pages>, StoreError> {
    if tx.dialect == Dialect::Postgres {
        return Ok(None);
    }
    let row = tx.row::<(BigInt, BigInt), (i64, i64)>(
        "SELECT p.page_count, f.freelist_count FROM pragma_page_count p, pragma_freelist_count f",
        &[],
    )?;
    Ok(row.map(|(all, free)| Pages { all, free }))
}

/// Moves up to 256 pages from the end of the file into free ones, and cuts the file there.
fn pages_release(tx: &mut Tx<'_>) -> Result<Option<Pages>, StoreError> {
    dialect::run(tx.conn, "PRAGMA incremental_vacuum(256)")?;
    pages(tx)
}

impl Store {
    /// Gives free pages back when a large part of a SQLite file is free, in small units between which
    /// others run. Answers how many pages were given back.
    pub async fn reclaim(&self) -> Result<i64, StoreError> {
        let Some(before) = self.get("pages", pages).await? else { return Ok(0) };
        self.show_pages(before);
        if !before.has_excess() {
            return Ok(0);
        }
        let mut now = before;
        while !now.has_enough() {
            let step = Stopwatch::start();
            let left = self.write("pages_release", pages_release).await?;
            let Some(left) = left else { break };
            // A file that was made without incremental vacuum keeps its pages.
            if left.free >= now.free && left.all >= now.all {
                break;
            }
            now = left;
            self.show_pages(now);
            // The writer has at least as much time for others.
            tokio::time::sleep(step.elapsed()).await;
        }
        let released = before.all - now.all;
        self.metrics().reclaimed_bytes.inc_by(u64::try_from(released * PAGE_BYTES).unwrap_or(0));
        tracing::info!(
            pages = released,
            left = now.free,
            "free pages went back to the file system"
        );
        Ok(released)
    }

    fn show_pages(&self, pages: Pages) {
        self.metrics().file_bytes.set(pages.all * PAGE_BYTES);
        self.metrics().free_bytes.set(pages.free * PAGE_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1_024;

    #[test]
    fn log_that_has_grown_is_begun_anew_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let mut writer = open_sqlite(&path, Role::Writer).unwrap();
        dialect::run(&mut writer, "CREATE TABLE filler (bytes BLOB)").unwrap();
        let keeping = Keeping { copy: 64 * KIB, cut: 128 * KIB, ..Keeping::default() };
        let (mut log, metrics) = (Log::of(&path, keeping), StoreMetrics::default());
        for cuts in 1..=3 {
            dialect::run(&mut writer, "INSERT INTO filler VALUES (zeroblob(300000))").unwrap();
            for _ in 0..3 {
                log.tend(&metrics).unwrap();
            }
            assert_eq!(metrics.log_cuts.get(), cuts);
        }
    }
}
