//! Lanes: threads that own connections and run units one after another.
//!
//! A unit is a closure that runs in one transaction; it may be run again, so it has no effect but
//! on the database. Callers wait on a channel, never a worker thread on a database.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::error::{StoreError, UnitError};
use super::idempotent::Claim;
use super::metrics::StoreMetrics;
use super::queue::{Queue, Tenant};
use super::single::Single;
use super::sql::Tx;

tokio::task_local! {
    /// For whom the task works.
    static TENANT: Tenant;

    /// The idempotent request that the task carries out.
    static CLAIM: Claim;

    /// The set-up session that the task works in.
    static SESSION: Session;

    /// The lease that the task works under.
    static LEASE: Lease;
}

/// Runs `work` so that every unit it hands over takes turns as one of that directory.
pub fn on_behalf_of<F: Future>(
    directory_key: i64,
    work: F,
) -> impl Future<Output = F::Output> + use<F> {
    in_turn(directory_key, None, work)
}

/// Like [`on_behalf_of`]. Of the units that work of the same line writes few are run at once: they wait for
/// each other in the database anyhow.
pub fn in_turn<F: Future>(
    directory_key: i64,
    line: Option<i64>,
    work: F,
) -> impl Future<Output = F::Output> + use<F> {
    TENANT.scope(Tenant { directory: Some(directory_key), line }, work)
}

/// Runs `work`, which is no directory's, so that the units it writes stand in a line.
pub fn in_line<F: Future>(line: i64, work: F) -> impl Future<Output = F::Output> + use<F> {
    TENANT.scope(Tenant { directory: None, line: Some(line) }, work)
}

/// Runs `work` so that every unit it writes notes that the request has done something, in the same
/// transaction: a process that stops before it has kept the answer must not let the request run again.
pub async fn under_claim<F: Future>(claim: Claim, work: F) -> F::Output {
    CLAIM.scope(claim, work).await
}

/// A session of the set-up portal: the link that it came of, and the time of the request.
#[derive(Clone, Debug)]
pub struct Session {
    pub link_id: String,
    pub now: i64,
}

/// Runs `work` so that every unit it writes is undone with [`StoreError::SessionEnded`] unless the session
/// lasts until the unit ends: what a revoked one has asked for is not done.
pub async fn in_session<F: Future>(session: Session, work: F) -> F::Output {
    SESSION.scope(session, work).await
}

/// The lease on a directory that is read, and who has it.
#[derive(Clone, Debug)]
pub struct Lease {
    pub directory_key: i64,
    pub runner: String,
}

/// Runs `work` so that every unit it writes is undone with [`StoreError::LeaseLost`] when somebody else has the
/// directory by the end of it: a process that stood still does nothing late.
pub async fn under_lease<F: Future>(lease: Lease, work: F) -> F::Output {
    LEASE.scope(lease, work).await
}

/// What every unit that the task writes has to end with.
#[derive(Clone)]
pub(super) struct Terms {
    claim: Option<Claim>,
    session: Option<Session>,
    pub(super) lease: Option<Lease>,
}

impl Terms {
    pub(super) fn check(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        if let Some(Session { link_id, now }) = &self.session
            && !tx.portal_session_lock(link_id, *now)?
        {
            return Err(StoreError::SessionEnded);
        }
        if let Some(lease) = &self.lease
            && !tx.sync_lease_stands(lease)?
        {
            return Err(StoreError::LeaseLost);
        }
        match &self.claim {
            Some(claim) if !tx.idempotent_commit(claim)? => Err(StoreError::MissingReference),
            _ => Ok(()),
        }
    }

    /// The unit with what it has to end with.
    pub(super) fn after<T, E: UnitError>(
        self,
        mut work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static {
        move |tx| {
            let value = work(tx)?;
            self.check(tx)?;
            Ok(value)
        }
    }

    /// Whether a unit of one statement can look at them by itself, as it can at the lease.
    pub(super) fn fit_one_statement(&self) -> bool {
        self.claim.is_none() && self.session.is_none()
    }
}

/// The terms of the task.
pub(super) fn terms() -> Terms {
    Terms {
        claim: CLAIM.try_with(Clone::clone).ok(),
        session: SESSION.try_with(Clone::clone).ok(),
        lease: LEASE.try_with(Clone::clone).ok(),
    }
}

/// What a unit needs around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// One statement; no transaction around it.
    Get,
    /// Several statements that see one state.
    Read,
    /// A transaction that writes.
    Write,
    /// A transaction that writes much, and that nobody waits for at a screen.
    Bulk,
}

impl Mode {
    pub(super) fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Bulk)
    }
}

/// How a unit ended, seen from the lane.
pub(super) enum Ended {
    /// Keep what it did.
    Done,
    /// Undo what it did; the connection is sound.
    Refused,
    /// The storage failed; the connection is suspect.
    Broken(StoreError),
}

/// A unit in a queue, without its types.
pub(super) trait Unit: Send {
    fn name(&self) -> &'static str;
    fn mode(&self) -> Mode;
    /// Runs it once and keeps the result until [`Unit::answer`] or the next run.
    fn run(&mut self, tx: &mut Tx<'_>) -> Ended;
    /// True when PostgreSQL may be able to do it in one statement.
    fn has_single(&self) -> bool;
    /// Tries that; `None` when the case is none for one statement, and nothing was done.
    fn run_single(&mut self, single: Single<'_>) -> Option<Ended>;
    /// True when nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// Gives the kept result to the caller. After a write this comes after the commit.
    fn answer(self: Box<Self>);
    /// Tells the caller that nothing was stored.
    fn fail(self: Box<Self>, error: StoreError);
}

/// Runs a closure once: its result, or the failure of the storage after which the connection is suspect.
pub(super) fn attempt<T, E: UnitError>(
    name: &'static str,
    work: &mut impl FnMut(&mut Tx<'_>) -> Result<T, E>,
    tx: &mut Tx<'_>,
) -> Result<Result<T, E>, StoreError> {
    // A panic in one unit must not take the lane down; what it did is rolled back.
    let outcome = catch_unwind(AssertUnwindSafe(|| work(tx)));
    settle(outcome.map_err(|_| StoreError::Panicked(name))?)
}

/// Tells what a unit decided from a failure of the storage.
fn settle<T, E: UnitError>(result: Result<T, E>) -> Result<Result<T, E>, StoreError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match error.into_storage() {
            Ok(storage) if storage.is_refusal() => Ok(Err(E::from(storage))),
            Ok(storage) => Err(storage),
            Err(own) => Ok(Err(own)),
        },
    }
}

/// A unit as one statement of PostgreSQL, if it can be: see [`super::Store::write_in_one`].
pub(super) type InOne<T, E> = Box<dyn FnMut(Single<'_>) -> Result<Option<T>, E> + Send>;

struct TypedUnit<F, T, E> {
    name: &'static str,
    mode: Mode,
    single: Option<InOne<T, E>>,
    work: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Unit for TypedUnit<F, T, E>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: UnitError,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Ended {
        let outcome = attempt(self.name, &mut self.work, tx);
        self.keep(outcome)
    }

    fn has_single(&self) -> bool {
        self.single.is_some()
    }

    fn run_single(&mut self, single: Single<'_>) -> Option<Ended> {
        let work = self.single.as_mut()?;
        let outcome = catch_unwind(AssertUnwindSafe(|| work(single)));
        match outcome {
            Ok(Ok(Some(value))) => Some(self.keep(Ok(Ok(value)))),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => Some(self.keep(settle(Err(error)))),
            Err(_) => Some(Ended::Broken(StoreError::Panicked(self.name))),
        }
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn answer(self: Box<Self>) {
        if let Some(result) = self.result {
            // A caller that has gone away is not an error.
            let _ = self.reply.send(result);
        }
    }

    fn fail(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(E::from(error)));
    }
}

impl<F, T, E: UnitError> TypedUnit<F, T, E> {
    /// Keeps what came of a run, unless the storage failed.
    fn keep(&mut self, outcome: Result<Result<T, E>, StoreError>) -> Ended {
        let result = match outcome {
            Ok(result) => result,
            Err(broken) => return Ended::Broken(broken),
        };
        let ended = if result.is_ok() { Ended::Done } else { Ended::Refused };
        self.result = Some(result);
        ended
    }
}

/// The sending end of a lane.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) queue: Arc<Queue>,
    pub(super) metrics: StoreMetrics,
}

impl Lane {
    /// Queues the unit and waits for its answer. A queue that is full for the directory refuses at once.
    pub(super) async fn run<T, E>(
        &self,
        name: &'static str,
        mode: Mode,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: UnitError,
    {
        self.run_in_one(name, mode, None, work).await
    }

    /// Like [`Lane::run`], with the unit as one statement beside it.
    pub(super) async fn run_in_one<T, E>(
        &self,
        name: &'static str,
        mode: Mode,
        single: Option<InOne<T, E>>,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: UnitError,
    {
        let (reply, answer) = oneshot::channel();
        let unit = Box::new(TypedUnit { name, mode, single, work, result: None, reply });
        let tenant = TENANT.try_with(|tenant| *tenant).unwrap_or_default();
        let tenant = match mode {
            Mode::Write | Mode::Bulk => tenant,
            // Reads wait for nobody.
            Mode::Get | Mode::Read => Tenant { line: None, ..tenant },
        };
        if self.queue.push(tenant, unit).is_err() {
            self.metrics.overloaded.inc();
            return Err(StoreError::Overloaded.into());
        }
        match answer.await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Unavailable("the lane has stopped".to_owned()).into()),
        }
    }

    pub(super) fn depth(&self) -> usize {
        self.queue.len()
    }
}
