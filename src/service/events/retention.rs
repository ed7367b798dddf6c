//! Events go when they are old, the oldest first.

use crate::service::{Service, ServiceError};
use crate::store::StoreError;

/// Events removed in one unit.
const ROWS: i64 = 1_000;

impl Service {
    /// Removes events that are older than the retention, and those of organizations that are gone, in
    /// bounded units. The newest event stays: it says where the log ends.
    pub async fn prune_events(&self) -> Result<(), ServiceError> {
        let until = self.clock.now_ms().saturating_sub(self.event_log.retention.as_ms());
        let due: Result<bool, StoreError> =
            self.store.read("event_prune_due", move |tx| tx.log_prunable(until)).await;
        if !due? {
            return Ok(());
        }
        loop {
            let pruned: Result<usize, StoreError> =
                self.store.write("event_prune", move |tx| tx.log_prune(until, ROWS)).await;
            match pruned? {
                0 => break,
                pruned => {
                    let pruned = u64::try_from(pruned).unwrap_or(0);
                    self.event_log.metrics.pruned.inc_by(pruned);
                }
            }
        }
        loop {
            let forgotten: Result<usize, StoreError> =
                self.store.write("event_forget", |tx| tx.log_forget(ROWS)).await;
            if forgotten? == 0 {
                return Ok(());
            }
        }
    }
}
