//! The store: the only user of the database.
//!
//! Callers hand over closures. [`Store::get`] runs one statement, [`Store::read`] several on one
//! snapshot, [`Store::write`] one unit: all of it commits or none. Units may be run again, so they
//! touch nothing but the database. The nouns (`directory`, `resource`, `member`, …) are functions
//! on [`Tx`]; [`plan`] turns filters into SQL.

mod conn;
mod dialect;
mod error;
mod exec;
pub mod list;
mod metrics;
mod postgres_lane;
mod range;
mod sql;
mod sqlite_lane;

pub mod api_key;
pub mod async_request;
pub mod directory;
pub mod event;
pub mod member;
pub mod oauth;
pub mod organization;
pub mod pending;
pub mod plan;
pub mod resource;
pub mod schemas;
mod setting;
pub mod token;

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

pub use conn::Location;
pub use error::{StoreError, UniqueRule, UnitError};
pub use metrics::StoreMetrics;
pub use range::{From as RangeFrom, ListRange};
pub use sql::Tx;

use conn::{AnyConn, Role};
use exec::{Lane, Mode};

/// How many threads serve reads on SQLite, and everything on PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub struct LaneSizes {
    pub sqlite_readers: usize,
    pub postgres_connections: usize,
    /// Units that may wait before requests are refused.
    pub queue: usize,
}

impl Default for LaneSizes {
    fn default() -> Self {
        Self { sqlite_readers: 4, postgres_connections: 16, queue: 1_024 }
    }
}

/// The store of one process. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    lanes: Arc<Lanes>,
}

struct Lanes {
    write: Option<Lane>,
    read: Option<Lane>,
    scan: Option<Lane>,
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    metrics: StoreMetrics,
}

impl Drop for Lanes {
    /// Lets the queues run empty and the threads end, so that a stopped process leaves no half
    /// finished batch behind.
    fn drop(&mut self) {
        self.write = None;
        self.read = None;
        self.scan = None;
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
    let mut conn = connect(location)?;
    dialect::migrate(&mut conn).map_err(StoreError::Unavailable)
}

/// Takes every migration back: all data is gone.
pub fn revert_all(location: &Location) -> Result<(), StoreError> {
    let mut conn = connect(location)?;
    dialect::revert_all(&mut conn).map_err(StoreError::Unavailable)
}

impl Store {
    /// Starts the lanes. The tables must be there: see [`migrate`].
    pub fn open(location: &Location, sizes: LaneSizes) -> Result<Self, StoreError> {
        let metrics = StoreMetrics::default();
        let (write_sender, write_queue) = bounded(sizes.queue);
        let (scan_sender, scan_queue) = bounded(sizes.queue.min(64));
        let mut threads = Vec::new();
        let (mut read_sender, mut stop) = (write_sender.clone(), None);
        match location {
            Location::Sqlite(path) => {
                let (sender, read_queue) = bounded(sizes.queue);
                read_sender = sender;
                let writer = conn::open_sqlite(path, Role::Writer)?;
                let (file, lane_metrics) = (path.clone(), metrics.clone());
                threads.push(spawn("write", move || {
                    sqlite_lane::write_loop(&file, writer, &write_queue, &lane_metrics);
                })?);
                for _ in 0..sizes.sqlite_readers {
                    let (file, queue) = (path.clone(), read_queue.clone());
                    threads.push(spawn("read", move || sqlite_lane::read_loop(&file, &queue))?);
                }
                let file = path.clone();
                threads.push(spawn("scan", move || sqlite_lane::read_loop(&file, &scan_queue))?);
                let (stop_sender, stopped) = bounded(1);
                stop = Some(stop_sender);
                let file = path.clone();
                threads.push(spawn("checkpoint", move || {
                    sqlite_lane::checkpoint_loop(&file, &stopped);
                })?);
            }
            Location::Postgres(url) => {
                let queues = std::iter::repeat_n(write_queue, sizes.postgres_connections)
                    .chain(std::iter::once(scan_queue));
                for queue in queues {
                    let (url, lane_metrics) = (url.clone(), metrics.clone());
                    threads.push(spawn("postgres", move || {
                        postgres_lane::run_loop(&url, &queue, &lane_metrics);
                    })?);
                }
            }
        }
        let lane = |sender| Some(Lane { sender, metrics: metrics.clone() });
        Ok(Self {
            lanes: Arc::new(Lanes {
                write: lane(write_sender),
                read: lane(read_sender),
                scan: lane(scan_sender),
                stop,
                threads,
                metrics,
            }),
        })
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
        lane(&self.lanes.read)?.run(name, Mode::Get, work).await
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
        lane(&self.lanes.read)?.run(name, Mode::Read, work).await
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
        lane(&self.lanes.scan)?.run(name, Mode::Read, work).await
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
        lane(&self.lanes.write)?.run(name, Mode::Write, work).await
    }

    pub fn metrics(&self) -> &StoreMetrics {
        &self.lanes.metrics
    }

    /// Units that wait, as (lane, number).
    pub fn queue_depths(&self) -> [(&'static str, usize); 3] {
        let depth = |lane: &Option<Lane>| lane.as_ref().map_or(0, Lane::depth);
        [
            ("write", depth(&self.lanes.write)),
            ("read", depth(&self.lanes.read)),
            ("scan", depth(&self.lanes.scan)),
        ]
    }
}

fn lane(lane: &Option<Lane>) -> Result<&Lane, StoreError> {
    lane.as_ref().ok_or_else(|| StoreError::Unavailable("the store is closed".to_owned()))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name(format!("store-{name}"))
        .spawn(work)
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}
