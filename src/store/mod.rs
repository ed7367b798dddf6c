//! The store: the only user of the database.
//!
//! Callers hand over closures. [`Store::get`] runs one statement, [`Store::read`] several on one
//! snapshot, [`Store::lookup`] a few by key, [`Store::write`] one unit: all of it commits or none. Units
//! may be run again, so they touch nothing but the database. The nouns (`directory`, `resource`, `member`, …) are functions
//! on [`Tx`]; [`plan`] turns filters into SQL.

pub mod backup;
mod check;
mod conn;
mod dialect;
mod each;
mod error;
mod exec;
mod housekeep;
pub mod list;
mod lookup;
mod metrics;
mod postgres_lane;
mod queue;
mod range;
mod sql;
mod sqlite_lane;
mod statistics;

pub mod admin;
pub mod alarm;
pub mod alarm_look;
pub mod api_key;
pub mod app_group;
pub mod app_read;
pub mod app_user;
pub mod async_request;
pub mod audit;
pub mod brake;
pub mod brake_note;
pub mod client;
pub mod consumer;
pub mod departed;
pub mod directory;
pub mod disconnection;
pub mod event;
pub mod event_log;
pub mod hand_over;
pub mod idempotent;
pub mod identity;
pub mod identity_account;
pub mod identity_suggestion;
pub mod intent;
mod live;
pub mod mapping;
pub mod member;
pub mod names;
pub mod oauth;
pub mod organization;
pub mod packed;
pub mod pending;
pub mod people;
pub mod plan;
pub mod portal;
pub mod private;
mod record_store;
pub mod request_record;
pub mod resource;
mod resource_create;
mod resource_find;
pub mod sample;
pub mod schemas;
pub mod sealed;
pub mod sequencer;
mod setting;
pub mod signing_key;
mod single;
pub mod snapshot;
pub mod stop;
pub mod stream;
pub mod sync;
pub mod sync_run;
pub mod token;
pub mod webhook;
pub mod webhook_lane;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

pub use check::{CheckPart, check, repair_counters};
pub use conn::Location;
pub use error::{StoreError, UniqueRule, UnitError};
pub use event::EventForm;
pub use exec::{
    Lease, Session, in_line, in_session, in_turn, on_behalf_of, under_claim, under_lease,
};
pub use housekeep::{Keeping, Pages};
pub use metrics::StoreMetrics;
pub use range::{From as RangeFrom, IdRange, ListRange, Walk};
pub use record_store::RecordStore;
pub use resource_create::{NewResource, WriteInto};
pub use resource_find::{ResourceFound, Shown};
pub use single::Single;
pub use sql::Tx;

use conn::{AnyConn, Role};
use exec::{InOne, Lane, Mode};
use lookup::Lookups;
use queue::Queue;

/// How many threads serve reads on SQLite, and everything on PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub struct LaneSizes {
    pub sqlite_readers: usize,
    pub postgres_connections: usize,
    /// Units that may wait in a lane before requests are refused; one directory has half of it at most.
    pub queue: usize,
    pub keeping: Keeping,
}

impl Default for LaneSizes {
    fn default() -> Self {
        Self {
            sqlite_readers: 4,
            postgres_connections: 16,
            queue: 1_024,
            keeping: Keeping::default(),
        }
    }
}

/// Scans that may wait.
const SCANS: usize = 256;

/// The store of one process. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    lanes: Arc<Lanes>,
}

struct Lanes {
    write: Lane,
    read: Lane,
    scan: Lane,
    /// On SQLite.
    lookups: Option<Lookups>,
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    metrics: StoreMetrics,
}

impl Drop for Lanes {
    /// Lets the queues run empty and the threads end, so that a stopped process leaves no half
    /// finished batch behind.
    fn drop(&mut self) {
        for lane in [&self.write, &self.read, &self.scan] {
            lane.queue.close();
        }
        self.stop = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Opens one connection, as commands and migrations use it.
fn connect(location: &Location) -> Result<AnyConn, StoreError> {
    match location {
        Location::Sqlite(path) => conn::open_sqlite(path, Role::Writer),
        Location::Postgres(url) => conn::open_postgres(url),
    }
}

/// Brings the database to the newest version and answers the migrations that were applied.
pub fn migrate(location: &Location) -> Result<Vec<String>, StoreError> {
    if let Location::Sqlite(path) = location {
        restrict(path);
    }
    let mut conn = connect(location)?;
    dialect::migrate(&mut conn).map_err(StoreError::Unavailable)
}

/// Brings a file of request records to the newest version and answers the migrations that were
/// applied.
pub fn migrate_requests(path: &Path) -> Result<Vec<String>, StoreError> {
    restrict(path);
    let mut conn = conn::open_sqlite(path, Role::RecordWriter)?;
    dialect::migrate_requests(&mut conn).map_err(StoreError::Unavailable)
}

/// A SQLite file that an older version made, and its log, may be open to others.
fn restrict(path: &Path) {
    for file in backup::companions(path).iter().map(PathBuf::as_path).chain([path]) {
        private::restrict(file);
    }
}

/// Takes every migration back: all data is gone.
pub fn revert_all(location: &Location) -> Result<(), StoreError> {
    let mut conn = connect(location)?;
    dialect::revert_all(&mut conn).map_err(StoreError::Unavailable)
}

impl Store {
    /// Starts the lanes. The tables must be there: see [`migrate`].
    pub fn open(location: &Location, sizes: LaneSizes) -> Result<Self, StoreError> {
        match location {
            Location::Sqlite(path) => Self::open_sqlite(path, Role::Writer, sizes),
            Location::Postgres(url) => Self::open_postgres(url, sizes),
        }
    }

    /// A writer, readers, a scanner and the checkpoints of one file.
    fn open_sqlite(path: &Path, role: Role, sizes: LaneSizes) -> Result<Self, StoreError> {
        let metrics = StoreMetrics::default();
        let queues = Queues {
            write: queue(sizes.queue, 1),
            read: queue(sizes.queue, sizes.sqlite_readers),
            scan: queue(sizes.queue.min(SCANS), 1),
        };
        let mut threads = Vec::new();
        let writer = conn::open_sqlite(path, role)?;
        let (file, units) = (path.to_owned(), Arc::clone(&queues.write));
        let lane_metrics = metrics.clone();
        threads.push(spawn("write", move || {
            sqlite_lane::write_loop(&file, role, writer, &units, &lane_metrics);
        })?);
        let keeping = sizes.keeping;
        let readers = std::iter::repeat_n(("read", &queues.read), sizes.sqlite_readers);
        for (name, units) in readers.chain(std::iter::once(("scan", &queues.scan))) {
            let (file, units, lane_metrics) = (path.to_owned(), Arc::clone(units), metrics.clone());
            threads.push(spawn(name, move || {
                sqlite_lane::read_loop(&file, &units, keeping.snapshot, &lane_metrics);
            })?);
        }
        let (stop, stopped) = bounded(1);
        let (file, log_metrics) = (path.to_owned(), metrics.clone());
        threads.push(spawn("checkpoint", move || {
            housekeep::checkpoint_loop(&file, keeping, &log_metrics, &stopped);
        })?);
        let lookups = Some(Lookups::new(path.to_owned()));
        Ok(Self::of(queues, lookups, Some(stop), threads, metrics))
    }

    /// Connections that share a queue, one for scans, and one that looks after statistics.
    fn open_postgres(url: &str, sizes: LaneSizes) -> Result<Self, StoreError> {
        let metrics = StoreMetrics::default();
        let shared = queue(sizes.queue, sizes.postgres_connections);
        let scan = queue(sizes.queue.min(SCANS), 1);
        let mut threads = Vec::new();
        let served = std::iter::repeat_n(&shared, sizes.postgres_connections);
        for units in served.chain(std::iter::once(&scan)) {
            let (url, units) = (url.to_owned(), Arc::clone(units));
            let lane_metrics = metrics.clone();
            threads.push(spawn("postgres", move || {
                postgres_lane::run_loop(&url, &units, &lane_metrics);
            })?);
        }
        let (stop, stopped) = bounded(1);
        let url = url.to_owned();
        threads.push(spawn("statistics", move || statistics::watch_loop(&url, &stopped))?);
        let queues = Queues { write: Arc::clone(&shared), read: shared, scan };
        Ok(Self::of(queues, None, Some(stop), threads, metrics))
    }

    fn of(
        queues: Queues,
        lookups: Option<Lookups>,
        stop: Option<Sender<()>>,
        threads: Vec<JoinHandle<()>>,
        metrics: StoreMetrics,
    ) -> Self {
        let lane = |queue| Lane { queue, metrics: metrics.clone() };
        Self {
            lanes: Arc::new(Lanes {
                write: lane(queues.write),
                read: lane(queues.read),
                scan: lane(queues.scan),
                lookups,
                stop,
                threads,
                metrics,
            }),
        }
    }

    /// One statement.
    pub async fn get<T, E>(
        &self,
        name: &'static str,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: UnitError,
    {
        self.lanes.read.run(name, Mode::Get, work).await
    }

    /// Several statements that see one state.
    pub async fn read<T, E>(
        &self,
        name: &'static str,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: UnitError,
    {
        self.lanes.read.run(name, Mode::Read, work).await
    }

    /// A few rows by key, all of one state. On SQLite the closure runs on the calling thread, so it must
    /// not look at more rows than such a thread has time for.
    pub async fn lookup<T, E>(
        &self,
        name: &'static str,
        mut work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: UnitError,
    {
        match self.look_up_here(name, &mut work) {
            Some(result) => result,
            None => self.lanes.read.run(name, Mode::Read, work).await,
        }
    }

    /// Like [`Store::lookup`], of one statement.
    pub async fn lookup_one<T, E>(
        &self,
        name: &'static str,
        mut work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: UnitError,
    {
        match self.look_up_here(name, &mut work) {
            Some(result) => result,
            None => self.lanes.read.run(name, Mode::Get, work).await,
        }
    }

    /// Like [`Store::lookup`]. On PostgreSQL `single` is tried first: the same in one statement, without
    /// a transaction around it.
    pub async fn lookup_in_one<T, E>(
        &self,
        name: &'static str,
        single: impl FnMut(Single<'_>) -> Result<Option<T>, E> + Send + 'static,
        mut work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: UnitError,
    {
        if let Some(result) = self.look_up_here(name, &mut work) {
            return result;
        }
        let single = self.in_one(single);
        self.lanes.read.run_in_one(name, Mode::Read, single, work).await
    }

    fn look_up_here<T, E: UnitError>(
        &self,
        name: &'static str,
        work: &mut impl FnMut(&mut Tx<'_>) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        self.lanes.lookups.as_ref()?.run(name, work)
    }

    fn in_one<T, E>(
        &self,
        single: impl FnMut(Single<'_>) -> Result<Option<T>, E> + Send + 'static,
    ) -> Option<InOne<T, E>> {
        self.has_singles().then(|| -> InOne<T, E> { Box::new(single) })
    }

    /// Reads that may look at many rows; they wait for each other and for nothing else.
    pub async fn scan<T, E>(
        &self,
        name: &'static str,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: UnitError,
    {
        self.lanes.scan.run(name, Mode::Read, work).await
    }

    /// One unit: commits as a whole or not at all. It may be run more than once before it commits.
    pub async fn write<T, E>(
        &self,
        name: &'static str,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: UnitError,
    {
        self.lanes.write.run(name, Mode::Write, exec::terms().after(work)).await
    }

    /// Like [`Store::write`], for many rows that nobody waits for at a screen: units of this kind that come
    /// one after another are committed together.
    pub async fn write_bulk<T, E>(
        &self,
        name: &'static str,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: UnitError,
    {
        self.lanes.write.run(name, Mode::Bulk, exec::terms().after(work)).await
    }

    /// True where a unit can be one statement: on PostgreSQL. Elsewhere nothing has to be prepared
    /// for it.
    pub fn has_singles(&self) -> bool {
        self.lanes.lookups.is_none()
    }

    /// How the data of events is kept here.
    pub fn event_form(&self) -> EventForm {
        if self.has_singles() { EventForm::Text } else { EventForm::Packed }
    }

    /// Like [`Store::write`]. On PostgreSQL `single` is tried first: the same in one statement, which
    /// commits by itself.
    pub async fn write_in_one<T, E>(
        &self,
        name: &'static str,
        mut single: impl FnMut(Single<'_>) -> Result<Option<T>, E> + Send + 'static,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: UnitError,
    {
        let terms = exec::terms();
        // What else a unit has to end with is a statement of its own.
        if !terms.fit_one_statement() {
            return self.write(name, work).await;
        }
        let lease = terms.lease.clone();
        let single = self.in_one(move |one: Single<'_>| single(one.under(lease.as_ref())));
        self.lanes.write.run_in_one(name, Mode::Write, single, terms.after(work)).await
    }

    pub fn metrics(&self) -> &StoreMetrics {
        &self.lanes.metrics
    }

    /// Units that wait, as (lane, number).
    pub fn queue_depths(&self) -> [(&'static str, usize); 3] {
        [
            ("write", self.lanes.write.depth()),
            ("read", self.lanes.read.depth()),
            ("scan", self.lanes.scan.depth()),
        ]
    }
}

/// What waits for the threads of a store.
struct Queues {
    write: Arc<Queue>,
    read: Arc<Queue>,
    scan: Arc<Queue>,
}

fn queue(places: usize, threads: usize) -> Arc<Queue> {
    Arc::new(Queue::new(places, threads))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name(format!("store-{name}"))
        .spawn(work)
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}
