//! What the lanes measure.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

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
    /// Requests refused because a queue was full.
    pub overloaded: Counter,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            batch_units: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            commit_seconds: Histogram::new(exponential_buckets(0.0001, 2.5, 12)),
            retries: Counter::default(),
            aborted_batches: Counter::default(),
            overloaded: Counter::default(),
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
            "store_overloaded",
            "Requests refused because a queue was full",
            self.overloaded.clone(),
        );
    }
}
