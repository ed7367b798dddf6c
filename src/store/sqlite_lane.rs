//! The SQLite lanes: one writer with group commit, and readers.
//!
//! The writer drains waiting units into one `BEGIN IMMEDIATE … COMMIT`, each in a savepoint, and
//! answers every caller after the commit. A failure that is not confined to one unit ends the batch
//! at once: SQLite may already have rolled everything back without the driver noticing, and later
//! statements would then commit one by one. The connection is replaced and the other units run
//! again, one per transaction; only the faulty one is refused.
//!
//! Units that write much, and begin a batch, have no savepoints, for which every page that they change would be
//! copied. When one of them is refused the batch is undone, and its units run again, one per transaction.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::conn::{AnyConn, Role, open_sqlite};
use super::dialect;
use super::error::StoreError;
use super::exec::{Ended, Mode, Unit};
use super::metrics::StoreMetrics;
use super::queue::Queue;
use super::sql::Tx;
use crate::clock::Stopwatch;

/// Most units in one transaction.
const MAX_BATCH: usize = 256;

/// How long a transaction takes more units: nobody waits longer for the commit because of the others.
const MAX_BATCH_TIME: Duration = Duration::from_millis(25);

/// The same while all of them are [`Mode::Bulk`]: a page of an index that each of them changes is written
/// once.
const MAX_BULK_TIME: Duration = Duration::from_millis(100);

/// A connection that is opened when needed and thrown away when suspect.
struct Slot {
    path: PathBuf,
    role: Role,
    conn: Option<AnyConn>,
}

impl Slot {
    fn get(&mut self) -> Result<&mut AnyConn, StoreError> {
        if self.conn.is_none() {
            self.conn = Some(open_sqlite(&self.path, self.role)?);
        }
        self.conn.as_mut().ok_or_else(|| StoreError::Unavailable("no connection".to_owned()))
    }

    fn discard(&mut self) {
        self.conn = None;
    }
}

/// Runs the writer until the queue is closed and empty.
pub(super) fn write_loop(
    path: &Path,
    role: Role,
    conn: AnyConn,
    queue: &Queue,
    metrics: &StoreMetrics,
) {
    let mut slot = Slot { path: path.to_owned(), role, conn: Some(conn) };
    while let Some(first) = queue.take() {
        let started = Stopwatch::start();
        let units = match queue.len() {
            0 => {
                run_alone(&mut slot, first, metrics);
                1
            }
            _ => run_batch(&mut slot, first, queue, metrics),
        };
        metrics.batch_units.observe(f64::from(u32::try_from(units).unwrap_or(u32::MAX)));
        metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
    }
}

/// Runs the unit and others that wait; answers how many shared a commit.
fn run_batch(
    slot: &mut Slot,
    first: Box<dyn Unit>,
    queue: &Queue,
    metrics: &StoreMetrics,
) -> usize {
    let mut batch = vec![first];
    // A lock that another process holds is waited for once, not once for each unit.
    if let Err(error) = begin(slot) {
        let reason = error.to_string();
        batch.extend(std::iter::from_fn(|| queue.try_take()).take(MAX_BATCH));
        let units = batch.len();
        for unit in batch {
            let error = StoreError::Unavailable(reason.clone());
            metrics.unit_failed(&error);
            unit.fail(error);
        }
        return units;
    }
    let outcome = try_batch(slot, &mut batch, queue);
    let units = batch.len();
    match outcome {
        Ok(Batch::Committed) => batch.into_iter().for_each(Unit::answer),
        Ok(Batch::Undone) => {
            for unit in batch {
                metrics.retries.inc();
                run_alone(slot, unit, metrics);
            }
            return 1;
        }
        Err((faulty, error)) => {
            slot.discard();
            metrics.aborted_batches.inc();
            tracing::warn!(%error, units = batch.len(), "a batch was ended; its units run alone");
            if let Some(index) = faulty {
                metrics.unit_failed(&error);
                batch.remove(index).fail(error);
            }
            for unit in batch {
                metrics.retries.inc();
                run_alone(slot, unit, metrics);
            }
        }
    }
    units
}

fn begin(slot: &mut Slot) -> Result<(), StoreError> {
    let begun = slot.get().and_then(|conn| Ok(dialect::begin_write(conn)?));
    if begun.is_err() {
        slot.discard();
    }
    begun
}

/// What has become of a batch.
enum Batch {
    Committed,
    Undone,
}

/// Runs units in the transaction that was begun, and commits. Units are taken from the queue one by one:
/// who comes in the meantime is not behind all that waited before. The error names the unit that broke
/// the batch, if one did.
fn try_batch(
    slot: &mut Slot,
    batch: &mut Vec<Box<dyn Unit>>,
    queue: &Queue,
) -> Result<Batch, (Option<usize>, StoreError)> {
    let outside = |error: StoreError| (None, error);
    let conn = slot.get().map_err(outside)?;
    let (started, mut index, mut is_bulk) = (Stopwatch::start(), 0, true);
    while let Some(unit) = batch.get_mut(index) {
        let inside = |error: diesel::result::Error| (Some(index), StoreError::from(error));
        is_bulk &= unit.mode() == Mode::Bulk;
        if !is_bulk {
            dialect::begin_savepoint(conn).map_err(inside)?;
        }
        match unit.run(&mut Tx::new(conn)) {
            Ended::Done if is_bulk => {}
            Ended::Done => dialect::release(conn).map_err(inside)?,
            Ended::Refused if is_bulk => {
                dialect::rollback(conn).map_err(|error| outside(error.into()))?;
                return Ok(Batch::Undone);
            }
            Ended::Refused => dialect::undo(conn).map_err(inside)?,
            Ended::Broken(error) => return Err((Some(index), error)),
        }
        index += 1;
        let most = if is_bulk { MAX_BULK_TIME } else { MAX_BATCH_TIME };
        if index < MAX_BATCH && started.elapsed() < most {
            batch.extend(queue.try_take());
        }
    }
    dialect::commit(conn).map_err(|error| outside(error.into()))?;
    Ok(Batch::Committed)
}

/// Runs one unit in a transaction of its own.
fn run_alone(slot: &mut Slot, mut unit: Box<dyn Unit>, metrics: &StoreMetrics) {
    let outcome = slot.get().and_then(|conn| {
        dialect::begin_write(conn)?;
        match unit.run(&mut Tx::new(conn)) {
            Ended::Done => dialect::commit(conn)?,
            Ended::Refused => dialect::rollback(conn)?,
            Ended::Broken(error) => return Err(error),
        }
        Ok(())
    });
    match outcome {
        Ok(()) => unit.answer(),
        Err(error) => {
            slot.discard();
            metrics.unit_failed(&error);
            unit.fail(error);
        }
    }
}

/// Runs a reader until the queue is closed and empty.
pub(super) fn read_loop(path: &Path, queue: &Queue, longest: Duration, metrics: &StoreMetrics) {
    let mut slot = Slot { path: path.to_owned(), role: Role::Reader, conn: None };
    while queue.serve(|unit| read(&mut slot, unit, longest, metrics)) {}
}

/// A read of several statements keeps its part of the log, so it has `longest` and no more.
fn read(slot: &mut Slot, mut unit: Box<dyn Unit>, longest: Duration, metrics: &StoreMetrics) {
    // A read has no effect: without a reader it is not worth its time.
    if unit.is_abandoned() {
        return;
    }
    let outcome = slot.get().and_then(|conn| {
        if unit.mode() != Mode::Read {
            return match unit.run(&mut Tx::new(conn)) {
                Ended::Broken(error) => Err(error),
                Ended::Done | Ended::Refused => Ok(()),
            };
        }
        let started = Stopwatch::start();
        dialect::begin_snapshot(conn)?;
        let ended = unit.run(&mut Tx::until(conn, longest));
        metrics.snapshot_seconds.observe(started.elapsed().as_secs_f64());
        match ended {
            Ended::Broken(error) => Err(error),
            Ended::Done | Ended::Refused => Ok(dialect::rollback(conn)?),
        }
    });
    match outcome {
        Ok(()) => unit.answer(),
        Err(error) => {
            slot.discard();
            metrics.unit_failed(&error);
            unit.fail(error);
        }
    }
}
