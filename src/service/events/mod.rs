//! The event log for its readers: positions, pages, checkpoints, snapshots, digests.
//!
//! Every change appends its events in its own unit (`record.rs`, `lifecycle.rs`). [`sequence`] gives
//! committed events their positions; everything here reads positioned events alone, so all readers see
//! the same events in the same order, and each of them once.

mod audience;
mod browse;
mod checkpoint;
mod look;
mod read;
mod reconcile;
mod retention;
mod sequence;
mod snapshot;
mod view;
pub(super) mod walk;

pub use browse::{Browse, BrowsePage};
pub use checkpoint::{Checkpoint, CheckpointPut, Place};
pub use read::{EventQuery, LogPage, LogQuery, Start};
pub(super) use read::{
    INNER_BYTES, Part, Selection, bounds, event_position, instant, part, position_of,
};
pub use reconcile::{Reconcile, Reconciled};
pub use sequence::EventMetrics;
pub use snapshot::Snapshot;
pub use view::{EventView, LogEvent};

/// The names of events.
pub use crate::event::name;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::error::AdminError;
use super::policy::Span;
use super::{ApiAccess, AuthError, Service, ServiceError};

/// Streams, long polls and snapshots that one process serves at the same time.
const MAX_WAITING: usize = 1_000;

/// How long events are kept unless the operator says otherwise.
pub const RETENTION: Span = Span::days(90);

/// What a process knows of the event log.
pub struct EventLog {
    /// The last position that this process has seen.
    last: watch::Sender<i64>,
    waiting: Arc<Semaphore>,
    /// True when the process is about to stop.
    closing: watch::Sender<bool>,
    retention: Span,
    pub metrics: EventMetrics,
}

impl Default for EventLog {
    fn default() -> Self {
        Self {
            last: watch::Sender::new(0),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            closing: watch::Sender::new(false),
            retention: RETENTION,
            metrics: EventMetrics::default(),
        }
    }
}

impl EventLog {
    /// The same with the operator's retention.
    pub fn keeping(self, retention: Span) -> Self {
        Self { retention, ..self }
    }

    /// How long events are kept.
    pub fn kept_for(&self) -> Span {
        self.retention
    }

    /// Tells of every position that the process sees.
    pub fn positions(&self) -> watch::Receiver<i64> {
        self.last.subscribe()
    }

    /// Lets readers go who wait: the process is about to stop, and they would hold it up.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Returns when the process is about to stop.
    pub async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        let _ = closing.wait_for(|closing| *closing).await;
    }

    /// A place for a reader that stays; `None` when all are taken.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.waiting).try_acquire_owned().ok()
    }

    /// Readers that wait or stream.
    fn readers(&self) -> usize {
        MAX_WAITING.saturating_sub(self.waiting.available_permits())
    }
}

impl Service {
    /// The key of a reader that stays, asked for again before it is handed more. Fails when the key has
    /// ended.
    pub async fn still_open(&self, bearer: &str) -> Result<Arc<ApiAccess>, ServiceError> {
        self.api_access(bearer, None).await.map_err(|error| match error {
            AuthError::Store(error) => error.into(),
            _ => AdminError::new(401, "unauthorized", "The API key has ended.").into(),
        })
    }
}
