//! Security Event Tokens for the app (SSF 1.0): streams of them, pushed (RFC 8935) or polled (RFC 8936).
//!
//! A stream is one row with the position in the event log up to which everything is acknowledged, and the
//! ids of tokens beyond it that are. No token is stored: [`window`] makes those that wait of the log, the
//! same ones each time. [`poll`] hands them out; [`run`] looks for streams that something new is for, and
//! [`lane`] pushes it, one token after another. [`keys`] signs. [`manage`] is what receivers do with their
//! streams. What follows from which event is decided by [`crate::event::set`].

mod keys;
mod lane;
mod manage;
mod metrics;
mod poll;
mod run;
mod subject;
mod view;
mod window;

pub use keys::{KeyRotation, SigningKeyView};
pub use manage::{StatusRequest, StreamRequest, VerificationRequest};
pub use metrics::StreamMetrics;
pub use poll::{PollAnswer, PollRequest};
pub use subject::SubjectRequest;
pub use view::{Configuration, StatusView, StreamView};

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use super::error::AdminError;
use super::webhook::{FIRST_RETRY_MS, TIMEOUT};
use super::{ApiAccess, Service, ServiceError};
use crate::auth::{Seal, SecretKey, SigningKey};
use crate::outbound::Outbound;
use crate::store::StoreError;
use crate::store::stream::StreamRow;

/// Streams that one process pushes at the same time.
const LANES: usize = 16;

/// Seconds between two verifications of a stream, at least.
const MIN_VERIFICATION_INTERVAL: i64 = 5;

pub const STREAMS_PATH: &str = "/ssf/streams";
pub const STATUS_PATH: &str = "/ssf/status";
pub const VERIFY_PATH: &str = "/ssf/verify";
pub const ADD_SUBJECT_PATH: &str = "/ssf/subjects/add";
pub const REMOVE_SUBJECT_PATH: &str = "/ssf/subjects/remove";
pub const JWKS_PATH: &str = "/jwks.json";

/// Delivery methods by their URNs (SSF 1.0 §6.1).
const PUSH: &str = "urn:ietf:rfc:8935";
const POLL: &str = "urn:ietf:rfc:8936";

/// What a process knows of streams.
pub struct Streams {
    outbound: Outbound,
    timeout: Duration,
    first_retry_ms: i64,
    /// For headers of receivers, and what they have answered.
    seal: Seal,
    key_seal: Seal,
    lanes: Arc<Semaphore>,
    /// Streams that this process pushes at the moment.
    busy: Mutex<BTreeSet<String>>,
    /// Told when a receiver has changed something.
    changed: Notify,
    /// The key that has signed last, opened.
    signing: Mutex<Option<Arc<SigningKey>>>,
    pub metrics: StreamMetrics,
}

impl Streams {
    pub(super) fn new(secret_key: &SecretKey) -> Self {
        Self {
            outbound: Outbound::new(Vec::new()),
            timeout: TIMEOUT,
            first_retry_ms: FIRST_RETRY_MS,
            seal: secret_key.seal("stream"),
            key_seal: secret_key.seal("signing key"),
            lanes: Arc::new(Semaphore::new(LANES)),
            busy: Mutex::default(),
            changed: Notify::new(),
            signing: Mutex::default(),
            metrics: StreamMetrics::default(),
        }
    }

    /// The same with the operator's network and patience.
    pub fn reaching(self, outbound: Outbound, timeout: Duration, first_retry_ms: i64) -> Self {
        Self { outbound, timeout, first_retry_ms, ..self }
    }

    fn busy(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The organizations of a scope; `None` for all.
fn organizations(scope: &str) -> Option<Vec<String>> {
    (!scope.is_empty()).then(|| scope.split(',').map(str::to_owned).collect())
}

/// Whether a key may see a stream: all of its organizations are the key's.
fn reaches(access: &ApiAccess, scope: &str) -> bool {
    match &access.organization_ids {
        None => true,
        Some(_) => !scope.is_empty() && scope.split(',').all(|id| access.reaches(id)),
    }
}

fn missing() -> ServiceError {
    AdminError::not_found("The stream").into()
}

impl Service {
    /// The stream, if the key may see it.
    async fn stream_row(&self, access: &ApiAccess, id: &str) -> Result<StreamRow, ServiceError> {
        let id = id.to_owned();
        let row: Result<Option<StreamRow>, StoreError> =
            self.store.get("stream_get", move |tx| tx.stream_get(&id)).await;
        row?.filter(|row| reaches(access, &row.scope)).ok_or_else(missing)
    }

    fn stream_audience(&self, stream_id: &str) -> String {
        format!("{}{STREAMS_PATH}/{stream_id}", self.public_url)
    }
}
