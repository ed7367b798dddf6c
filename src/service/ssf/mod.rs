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
mod signed;
mod subject;
mod view;
mod window;

pub use keys::{KeyRotation, SigningKeyView};
pub use manage::{StatusRequest, StreamRequest, VerificationRequest};
pub use metrics::StreamMetrics;
pub use poll::{PollAnswer, PollRequest};
pub use subject::SubjectRequest;
pub use view::{Configuration, StatusView, StreamView};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, Semaphore};

use self::signed::Signed;
use super::error::AdminError;
use super::webhook::{FIRST_RETRY_MS, TIMEOUT};
use super::{ApiAccess, Service, ServiceError};
use crate::auth::{Seal, SecretKey, SigningKey};
use crate::outbound::Outbound;
use crate::store::StoreError;
use crate::store::stream::StreamRow;

/// Streams that one process pushes at the same time.
const LANES: usize = 16;

/// Requests that wait for tokens of one stream at the same time.
const MOST_WAITING: usize = 10;

/// Polls whose tokens are signed at the same time: the other processors are for other work.
const SIGNERS: usize = 2;

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
    /// Streams that this process pushes at the moment, with their scopes.
    busy: Mutex<BTreeMap<String, String>>,
    /// Told when a receiver has changed something.
    changed: Notify,
    /// The key that has signed last, opened.
    signing: Mutex<Option<Arc<SigningKey>>>,
    signers: Arc<Semaphore>,
    signed: Arc<Signed>,
    /// How many requests wait for tokens of a stream.
    waiting: Mutex<BTreeMap<String, usize>>,
    /// The key set as it was read last, and when.
    published: tokio::sync::Mutex<Option<(i64, Value)>>,
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
            signers: Arc::new(Semaphore::new(SIGNERS)),
            signed: Arc::default(),
            waiting: Mutex::default(),
            published: tokio::sync::Mutex::default(),
            metrics: StreamMetrics::default(),
        }
    }

    /// The same with the operator's network and patience.
    pub fn reaching(self, outbound: Outbound, timeout: Duration, first_retry_ms: i64) -> Self {
        Self { outbound, timeout, first_retry_ms, ..self }
    }

    fn busy(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a request that waits for tokens of the stream; `None` when all are taken.
    fn one_more(&self, id: &str) -> Option<OneMore<'_>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(id.to_owned()).or_default();
        if *count >= MOST_WAITING {
            return None;
        }
        *count += 1;
        Some(OneMore { streams: self, id: id.to_owned() })
    }
}

/// A request that waits for tokens, as long as this lives.
struct OneMore<'a> {
    streams: &'a Streams,
    id: String,
}

impl Drop for OneMore<'_> {
    fn drop(&mut self) {
        let mut waiting = self.streams.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.get_mut(&self.id) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                waiting.remove(&self.id);
            }
        }
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
