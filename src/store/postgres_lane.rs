//! The PostgreSQL lane: threads with a connection each, fed by one queue.

use std::time::Duration;

use super::conn::{AnyConn, open_postgres};
use super::dialect;
use super::error::StoreError;
use super::exec::{Ended, Mode, Unit};
use super::metrics::StoreMetrics;
use super::queue::Queue;
use super::single::Single;
use super::sql::{Sharing, Tx};
use crate::clock::Stopwatch;

/// How often a unit is run when the database asks for another try.
const MAX_ATTEMPTS: u32 = 5;

/// A connection that has rested so long is asked whether it still stands before a statement commits by
/// itself: when that one fails with the connection, nobody knows whether it was done.
const RESTED: Duration = Duration::from_millis(20);

/// A connection and when it was last used.
struct Session {
    conn: AnyConn,
    used: Stopwatch,
}

impl Session {
    fn open(url: &str) -> Result<Self, StoreError> {
        Ok(Self { conn: open_postgres(url)?, used: Stopwatch::start() })
    }
}

/// Runs units until the queue is closed and empty.
pub(super) fn run_loop(url: &str, queue: &Queue, metrics: &StoreMetrics) {
    let mut session: Option<Session> = None;
    while queue.serve(|unit| answer(url, &mut session, unit, metrics)) {}
}

fn answer(
    url: &str,
    session: &mut Option<Session>,
    mut unit: Box<dyn Unit>,
    metrics: &StoreMetrics,
) {
    // A read has no effect: without a reader it is not worth its time.
    if !unit.mode().writes() && unit.is_abandoned() {
        return;
    }
    let started = Stopwatch::start();
    match run_unit(url, session, &mut *unit, metrics) {
        Ok(()) => unit.answer(),
        Err(error) => {
            metrics.unit_failed(&error);
            unit.fail(error);
        }
    }
    metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
}

fn run_unit(
    url: &str,
    session: &mut Option<Session>,
    unit: &mut dyn Unit,
    metrics: &StoreMetrics,
) -> Result<(), StoreError> {
    let (mut attempt, mut sharing) = (1, Sharing::Shared);
    loop {
        let fresh = session.is_none();
        let Fault { error, committing } = match try_unit(url, session, unit, sharing) {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        *session = None;
        if matches!(error, StoreError::WantsAlone) && sharing == Sharing::Shared {
            sharing = Sharing::Alone;
            continue;
        }
        // A connection that broke while idle says so at the first statement: once more on a new
        // one. After a commit whose answer was lost nobody knows; the caller is told, not guessed.
        let lost = matches!(error, StoreError::Unavailable(_)) && !fresh && !committing;
        if !(error.is_retryable() || lost) {
            return Err(error);
        }
        if attempt >= MAX_ATTEMPTS {
            let tried = format!("{error}, {MAX_ATTEMPTS} times");
            return Err(StoreError::TimedOut(tried));
        }
        metrics.retries.inc();
        tracing::debug!(unit = unit.name(), %error, attempt, "a unit runs again");
        attempt += 1;
    }
}

struct Fault {
    error: StoreError,
    /// True when the failure came from the commit itself, or from a statement that commits by itself.
    committing: bool,
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self { error, committing: false }
    }
}

impl From<diesel::result::Error> for Fault {
    fn from(error: diesel::result::Error) -> Self {
        StoreError::from(error).into()
    }
}

fn try_unit(
    url: &str,
    slot: &mut Option<Session>,
    unit: &mut dyn Unit,
    sharing: Sharing,
) -> Result<(), Fault> {
    let session = match slot {
        Some(session) => session,
        None => slot.insert(Session::open(url)?),
    };
    if unit.has_single()
        && let Some(ended) = try_single(session, unit)?
    {
        session.used = Stopwatch::start();
        let committing = unit.mode().writes();
        return match ended {
            Ended::Broken(error) => Err(Fault { error, committing }),
            Ended::Done | Ended::Refused => Ok(()),
        };
    }
    run_in_transaction(&mut session.conn, unit, sharing)?;
    session.used = Stopwatch::start();
    Ok(())
}

/// Tries the unit as one statement; `None` when it is none and nothing was done.
fn try_single(session: &mut Session, unit: &mut dyn Unit) -> Result<Option<Ended>, StoreError> {
    if unit.mode().writes() && session.used.elapsed() > RESTED {
        dialect::run(&mut session.conn, "SELECT 1")?;
    }
    Ok(unit.run_single(Single::new(&mut session.conn)))
}

fn run_in_transaction(
    conn: &mut AnyConn,
    unit: &mut dyn Unit,
    sharing: Sharing,
) -> Result<(), Fault> {
    match unit.mode() {
        Mode::Get => {}
        Mode::Read => dialect::begin_snapshot(conn)?,
        Mode::Write | Mode::Bulk => dialect::begin_write(conn)?,
    }
    match (unit.run(&mut Tx::sharing(conn, sharing)), unit.mode()) {
        (Ended::Broken(error), _) => Err(error.into()),
        (_, Mode::Get) => Ok(()),
        (Ended::Done, _) => {
            dialect::commit(conn).map_err(|error| Fault { error: error.into(), committing: true })
        }
        (Ended::Refused, _) => Ok(dialect::rollback(conn)?),
    }
}
