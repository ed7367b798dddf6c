//! The loop that gives events their positions and tells the readers of this process.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::EventLog;
use crate::service::{Service, ServiceError};
use crate::store::StoreError;
use crate::store::sequencer::{Look, STEP, Step};

/// Pauses of the loop: while events come, while somebody waits for one, otherwise.
const BUSY: Duration = Duration::from_millis(20);
const WAITED_FOR: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_millis(200);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ConsumerLabels {
    pub(super) consumer: String,
}

/// What this process sees of the event log; clones share the same values.
#[derive(Clone, Debug, Default)]
pub struct EventMetrics {
    position: Gauge,
    lag_seconds: Gauge<f64, AtomicU64>,
    sequenced: Counter,
    readers: Gauge,
    pub(super) pruned: Counter,
    pub(super) consumer_lag: Family<ConsumerLabels, Gauge>,
}

impl EventMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "event_position",
            "Last position of the event log",
            self.position.clone(),
        );
        registry.register(
            "event_lag_seconds",
            "Age of the oldest committed event that no reader can see yet",
            self.lag_seconds.clone(),
        );
        registry.register(
            "events_sequenced",
            "Events that this process gave their positions, on PostgreSQL",
            self.sequenced.clone(),
        );
        registry.register(
            "event_readers",
            "Streams, long polls and snapshots that are open",
            self.readers.clone(),
        );
        registry.register(
            "events_pruned",
            "Events removed because of their age",
            self.pruned.clone(),
        );
        registry.register(
            "event_consumer_lag",
            "Positions between the checkpoint of a consumer and the end of the event log",
            self.consumer_lag.clone(),
        );
    }
}

/// A number for a gauge; exact far beyond what is counted here.
#[expect(clippy::as_conversions, reason = "f64 has no conversion from i64 that may round")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

impl EventLog {
    /// Notes what a look has found. True when the log has moved.
    fn saw(&self, look: Look, now: i64) -> bool {
        let waited = look.waiting_since.map_or(0, |since| now.saturating_sub(since).max(0));
        self.metrics.lag_seconds.set(seconds(waited));
        self.metrics.readers.set(i64::try_from(self.readers()).unwrap_or(i64::MAX));
        self.reached(look.position)
    }

    fn reached(&self, position: i64) -> bool {
        self.metrics.position.set(position);
        // Back, too: behind a standby that lost its tail readers would else be told of news for ever.
        self.last.send_if_modified(|last| std::mem::replace(last, position) != position)
    }
}

/// What the loop has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// More waits already.
    Now,
    Busy,
    Idle,
}

impl Service {
    /// Gives positions to events and tells readers, for as long as the process serves.
    pub async fn run_event_log(&self) {
        loop {
            let pace = self.sequence_events().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "events have no positions yet");
                Pace::Idle
            });
            let pause = match pace {
                Pace::Now => continue,
                Pace::Busy => BUSY,
                Pace::Idle if self.event_log.readers() > 0 => WAITED_FOR,
                Pace::Idle => IDLE,
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn look_at_events(&self) -> Result<Look, ServiceError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let look: Result<Look, StoreError> =
            self.store.get("event_look", |tx| tx.sequencer_look()).await;
        Ok(look?)
    }

    /// One look, and one step if something waits.
    pub(crate) async fn sequence_events(&self) -> Result<Pace, ServiceError> {
        let look = self.look_at_events().await?;
        let moved = self.event_log.saw(look, self.clock.now_ms());
        if !look.work {
            return Ok(if moved { Pace::Busy } else { Pace::Idle });
        }
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let step: Result<Step, StoreError> =
            self.store.write("event_sequence", |tx| tx.sequencer_step()).await;
        match step? {
            Step::Elsewhere => Ok(Pace::Busy),
            Step::Done { position, given } => {
                self.event_log.reached(position);
                self.event_log.metrics.sequenced.inc_by(u64::try_from(given).unwrap_or(0));
                Ok(match given {
                    0 => Pace::Idle,
                    given if given >= STEP => Pace::Now,
                    _ => Pace::Busy,
                })
            }
        }
    }

    /// Gives positions to everything that is committed now.
    pub async fn sequence_all_events(&self) -> Result<(), ServiceError> {
        loop {
            if self.look_at_events().await?.waiting_since.is_none() {
                return Ok(());
            }
            if self.sequence_events().await? != Pace::Now {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_that_is_shorter_than_before_wakes_nobody_who_waits_behind_its_end() {
        let log = EventLog::default();
        let positions = log.positions();
        assert!(log.reached(100));
        assert!(!log.reached(100));
        assert!(log.reached(50));
        assert_eq!(*positions.borrow(), 50);
    }
}
