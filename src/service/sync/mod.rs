//! Directories that are read: runs, from a source through a plan into the store.
//!
//! ```text
//! connector ─envelopes▶ stage (filter, check, digest) ─source▶ plan ─▶ guard ─▶ apply
//!                         └─new users of a long first read▶ ahead ──────────────┘
//! ```
//!
//! [`run`] says which directory this process reads now, [`readers`] how many places it has for them,
//! [`drive`] is one run, [`stage`] takes what a connector reads, [`apply`] writes by the same use cases as
//! SCIM does. One run at a time reads a directory, under a lease; a run that was cut off is done again from
//! its beginning, where everything that it has applied is found unchanged. [`ask`] takes requests for runs,
//! [`manage`] is what an operator sees and decides, [`config`] what is stored of the source, [`taken`] what runs have taken away lately,
//! [`files`] what was handed in, [`found`] what it has; [`probe`] looks at it beside its runs.

mod addresses;
mod ahead;
mod alarm;
mod apply;
mod ask;
mod bundle;
mod change;
pub(in crate::service) mod config;
mod decide;
mod drive;
mod end;
mod files;
mod found;
mod ids;
mod join;
mod known;
mod manage;
mod names;
mod outcome;
mod probe;
mod readers;
mod reading;
mod refuse;
mod round;
mod run;
pub(in crate::service) mod settings;
mod show;
mod stage;
mod taken;
mod view;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;

pub(in crate::service) use alarm::outdate;
pub use ask::NewRun;
pub use files::MAX_FILE_BYTES;
pub use found::{Found, FoundGroup};
pub use manage::DiffParameters;
use readers::Readers;
pub use reading::Reading;
pub use settings::Schedule;

use crate::auth::{Seal, SecretKey};
use crate::outbound::Outbound;
use crate::service::turns::Turns;

/// The first pause after a source that did not answer, in milliseconds.
pub const SOURCE_RETRY_MS: i64 = 1_000;

/// Longest time of one request to a source, from the name to the last byte.
pub const SOURCE_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest time of one read of a source, from its first request to its end.
pub const LONGEST_READ: Duration = Duration::from_secs(6 * 60 * 60);

/// What reading takes beside the store.
pub struct Syncs {
    /// Seals configurations, cursors, files and changes.
    seal: Arc<Seal>,
    outbound: Outbound,
    /// Where files are laid for directories; `None` where nobody looks.
    inbox: Option<PathBuf>,
    first_retry_ms: i64,
    request_timeout: Duration,
    longest_read: Duration,
    readers: Readers,
    /// Tests of connections.
    tests: Arc<Turns>,
    /// Somebody has asked for a run.
    pub(super) wanted: Notify,
    /// A run has ended.
    ended: Notify,
    pub metrics: SyncMetrics,
}

impl Syncs {
    pub(super) fn new(secret_key: &SecretKey) -> Self {
        Self {
            seal: Arc::new(secret_key.seal("source of a directory")),
            outbound: Outbound::new(Vec::new()),
            inbox: None,
            first_retry_ms: SOURCE_RETRY_MS,
            request_timeout: SOURCE_TIMEOUT,
            longest_read: LONGEST_READ,
            readers: Readers::default(),
            tests: Arc::default(),
            wanted: Notify::new(),
            ended: Notify::new(),
            metrics: SyncMetrics::default(),
        }
    }

    /// The same in the operator's network, with a folder for files.
    pub(super) fn reaching(
        &self,
        outbound: Outbound,
        inbox: PathBuf,
        first_retry_ms: i64,
        request_timeout: Duration,
        longest_read: Duration,
    ) -> Self {
        Self {
            seal: Arc::clone(&self.seal),
            outbound,
            inbox: Some(inbox),
            first_retry_ms,
            request_timeout,
            longest_read,
            readers: self.readers.clone(),
            tests: Arc::clone(&self.tests),
            wanted: Notify::new(),
            ended: Notify::new(),
            metrics: self.metrics.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    kind: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

/// What this process has read; clones share the same values.
#[derive(Clone, Debug, Default)]
pub struct SyncMetrics {
    runs: Family<RunLabels, Counter>,
    faults: Family<KindLabels, Counter>,
    held: Gauge,
    running: Gauge,
}

impl SyncMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "sync_runs",
            "Runs of directories that are read, by kind and how they ended",
            self.runs.clone(),
        );
        registry.register(
            "sync_faults",
            "Objects of sources that could not be used, by kind",
            self.faults.clone(),
        );
        registry.register(
            "sync_held",
            "Runs that take too much away and wait for a decision",
            self.held.clone(),
        );
        registry.register("sync_running", "Directories being read now", self.running.clone());
    }

    fn ended(&self, kind: &'static str, status: &'static str, faults: usize) {
        self.runs.get_or_create(&RunLabels { kind, status }).inc();
        let faults = u64::try_from(faults).unwrap_or(u64::MAX);
        self.faults.get_or_create(&KindLabels { kind }).inc_by(faults);
    }
}
