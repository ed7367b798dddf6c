//! Request records: what a SCIM client sent, how it was understood, and what it changed.
//!
//! A request that may be recorded carries a [`Trace`] into the use cases, which note there what they
//! find out. When it is answered, `http` hands an [`Exchange`] over. It waits in a bounded [`buffer`];
//! a background task makes the record of it ([`compose`]: secrets out, changes computed), seals it and
//! writes it with others ([`keep`]). None of that is part of the request's unit, and nothing of it can
//! fail or delay the request: what does not fit is dropped and counted. [`find`] reads records,
//! [`replay`] does a request again without storing anything.

mod buffer;
mod changes;
mod compose;
mod find;
mod keep;
mod redact;
mod replay;
mod settings;
mod trace;

pub use buffer::RecordMetrics;
pub(super) use compose::MAX_EVENTS;
pub use find::RecordQuery;
pub use keep::Records;
pub use replay::Replay;
pub use settings::{Bodies, RecordSettings};
pub use trace::Trace;
pub(super) use trace::{Changed, Listed};

use std::sync::Arc;
use std::time::Duration;

use super::context::Directory;

/// The status of a request whose client went away before the answer, as proxies log it.
pub const GONE: u16 = 499;

/// What a method is for the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Kept at a low rate when it succeeds.
    Read,
    /// Kept, at a rate that only a load without limits exceeds when it succeeds.
    Write,
}

/// A SCIM request of a known directory with its answer.
#[derive(Debug)]
pub struct Exchange {
    pub directory: Arc<Directory>,
    /// `req_…`
    pub id: String,
    /// The client's own `X-Request-ID`.
    pub client_id: Option<String>,
    /// When it came, in milliseconds.
    pub at: i64,
    pub kind: Kind,
    pub method: String,
    /// Path and query as they were sent.
    pub path: String,
    /// The version of the protocol that it was served as: `2.0` or `1.1`.
    pub scim: &'static str,
    /// The provider whose client it seems to be.
    pub client: Option<&'static str>,
    pub user_agent: String,
    pub status: u16,
    pub duration: Duration,
    /// The type and id that the path names.
    pub resource: Option<(String, String)>,
    /// The body of an answer that is an error.
    pub error: Option<Vec<u8>>,
    pub trace: Trace,
}

impl Exchange {
    /// About how many bytes of memory it holds.
    fn size(&self) -> usize {
        let texts = self.path.len() + self.user_agent.len() + self.method.len();
        512 + texts + self.error.as_ref().map_or(0, Vec::len) + self.trace.size()
    }
}
