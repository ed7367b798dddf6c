//! An event as JSON: for the read API and webhooks, and with more for the native readers.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::scim::Object;
use crate::scim::key::instant_text;
use crate::store::event_log::LogRow;

/// The envelope of the read API and of webhooks: what their SDKs read and nothing else. `data` is the
/// stored text, byte for byte.
#[derive(Clone, Debug, Serialize)]
pub struct EventView {
    object: &'static str,
    pub id: String,
    event: String,
    data: Box<RawValue>,
    created_at: String,
    context: Object,
}

/// The envelope of the native readers.
#[derive(Clone, Debug, Serialize)]
pub struct LogEvent {
    object: &'static str,
    /// Null in snapshots, where the event was made for the reader.
    pub id: Option<String>,
    pub event: String,
    pub data: Box<RawValue>,
    pub created_at: String,
    /// Null in snapshots.
    pub position: Option<i64>,
    /// Why access was taken away, on events that do so.
    pub reason: Option<String>,
}

/// Stored JSON as it is. What is stored was made by this program; anything else is damage.
fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap_or_else(|error| {
        tracing::error!(%error, "the data of an event is not JSON");
        RawValue::NULL.to_owned()
    })
}

impl From<LogRow> for EventView {
    fn from(row: LogRow) -> Self {
        Self {
            object: "event",
            id: row.id,
            event: row.event,
            data: raw(row.data),
            created_at: instant_text(row.created),
            context: Object::new(),
        }
    }
}

impl From<LogRow> for LogEvent {
    fn from(row: LogRow) -> Self {
        Self {
            object: "event",
            id: Some(row.id),
            event: row.event,
            data: raw(row.data),
            created_at: instant_text(row.created),
            position: Some(row.position),
            reason: row.reason,
        }
    }
}

impl LogEvent {
    /// An event that tells what is there, made at `now`.
    pub(super) fn of_state(event: &str, data: String, now: i64) -> Self {
        Self {
            object: "event",
            id: None,
            event: event.to_owned(),
            data: raw(data),
            created_at: instant_text(now),
            position: None,
            reason: None,
        }
    }

    /// The same event in a snapshot, where positions say nothing.
    pub(super) fn without_position(self) -> Self {
        Self { position: None, ..self }
    }
}
