//! What the lanes measure.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::error::StoreError;

/// Counters of the lanes; clones share the same values.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    /// Units in one SQLite transaction.
    pub batch_units: Histogram,
    /// Seconds from begin to commit of a batch or unit.
    pub commit_seconds: Histogram,
    /// Units run again after a serialization failure, a deadlock or a lost batch.
    pub retries: Counter,
    /// Batches ended by a failure that could not be confined to one unit.
    pub aborted_batches: Counter,
    /// Units that were given up because the database failed: out of reach, no room, read-only, an error.
    pub failed_units: Counter,
    /// Requests refused because a queue was full.
    pub overloaded: Counter,
    /// Seconds for which a read of several statements held on to one state of a SQLite file.
    pub snapshot_seconds: Histogram,
    /// Size of the write-ahead log of SQLite.
    pub log_bytes: Gauge,
    /// Copies of the log back into the file.
    pub checkpoints: Counter,
    /// Cuts of a log that had grown.
    pub log_cuts: Counter,
    /// Cuts that a reader held up; they are tried again.
    pub log_held: Counter,
    /// Size of the pages of the SQLite file.
    pub file_bytes: Gauge,
    /// Those that hold nothing.
    pub free_bytes: Gauge,
    /// What went back to the file system.
    pub reclaimed_bytes: Counter,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            batch_units: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            commit_seconds: Histogram::new(exponential_buckets(0.0001, 2.5, 12)),
            retries: Counter::default(),
            aborted_batches: Counter::default(),
            failed_units: Counter::default(),
            overloaded: Counter::default(),
            snapshot_seconds: Histogram::new(exponential_buckets(0.0001, 2.5, 14)),
            log_bytes: Gauge::default(),
            checkpoints: Counter::default(),
            log_cuts: Counter::default(),
            log_held: Counter::default(),
            file_bytes: Gauge::default(),
            free_bytes: Gauge::default(),
            reclaimed_bytes: Counter::default(),
        }
    }
}

impl StoreMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "store_batch_units",
            "Units committed together on SQLite",
            self.batch_units.clone(),
        );
        registry.register(
            "store_commit_seconds",
            "Seconds from begin to commit",
            self.commit_seconds.clone(),
        );
        registry.register("store_retries", "Units that were run again", self.retries.clone());
        registry.register(
            "store_aborted_batches",
            "Batches ended by a storage failure",
            self.aborted_batches.clone(),
        );
        registry.register(
            "store_failed_units",
            "Units that were given up because the database failed",
            self.failed_units.clone(),
        );
        registry.register(
            "store_overloaded",
            "Requests refused because a queue was full",
            self.overloaded.clone(),
        );
        self.register_file(registry);
    }

    /// Counts a unit that was given up with this error, if the database is to blame.
    pub(super) fn unit_failed(&self, error: &StoreError) {
        if matches!(error, StoreError::Unavailable(_) | StoreError::Database(_)) {
            self.failed_units.inc();
        }
    }

    /// What there is to know of a SQLite file; zero on PostgreSQL.
    fn register_file(&self, registry: &mut Registry) {
        registry.register(
            "store_snapshot_seconds",
            "Seconds for which a read held on to one state of the SQLite file",
            self.snapshot_seconds.clone(),
        );
        registry.register(
            "store_log_bytes",
            "Size of the write-ahead log of SQLite",
            self.log_bytes.clone(),
        );
        registry.register(
            "store_checkpoints",
            "Copies of the write-ahead log back into the SQLite file",
            self.checkpoints.clone(),
        );
        registry.register(
            "store_log_cuts",
            "Write-ahead logs that had grown and were begun anew",
            self.log_cuts.clone(),
        );
        registry.register(
            "store_log_held",
            "Times that the write-ahead log could not be begun anew, mostly because of a reader",
            self.log_held.clone(),
        );
        registry.register(
            "store_file_bytes",
            "Size of the pages of the SQLite file",
            self.file_bytes.clone(),
        );
        registry.register(
            "store_free_bytes",
            "Size of the pages of the SQLite file that hold nothing",
            self.free_bytes.clone(),
        );
        registry.register(
            "store_reclaimed_bytes",
            "Size of free pages that went back to the file system",
            self.reclaimed_bytes.clone(),
        );
    }
}
