//! Endpoints, deliveries, parked events and replays as they are shown.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Secrets, organizations};
use crate::scim::key::instant_text;
use crate::store::webhook::{EndpointRow, ParkedRow, ReplayRow};

/// An endpoint as the public SDKs read it.
#[derive(Clone, Debug, Serialize)]
pub struct HookView {
    object: &'static str,
    pub id: String,
    endpoint_url: String,
    /// The one that `WorkOS-Signature` is made with now.
    secret: String,
    status: &'static str,
    events: Value,
    created_at: String,
    updated_at: String,
}

impl HookView {
    /// Without secrets, as when they were sealed with a key that is lost, its secret is empty.
    pub(super) fn of(row: EndpointRow, secrets: Option<&Secrets>) -> Self {
        Self {
            object: "webhook_endpoint",
            id: row.id,
            endpoint_url: row.url,
            secret: secrets.map(|secrets| secrets.single().text().to_owned()).unwrap_or_default(),
            status: if row.state == "enabled" { "enabled" } else { "disabled" },
            events: serde_json::from_str(&row.events).unwrap_or_default(),
            created_at: instant_text(row.created),
            updated_at: instant_text(row.modified),
        }
    }
}

/// An endpoint with all that is known of it.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointView {
    object: &'static str,
    pub id: String,
    pub endpoint_url: String,
    pub events: Value,
    /// Null when the events of all organizations count.
    pub organization_ids: Option<Vec<String>>,
    /// `enabled`, `paused` or `disabled`.
    pub state: String,
    pub state_since: String,
    /// `operator`, `failing` or `gone`.
    pub state_reason: Option<String>,
    /// Everything up to here is delivered or parked.
    pub position: i64,
    /// Positions from there to the end of the log.
    pub lag: i64,
    /// Positions that were removed because of their age before they were delivered.
    pub missed: i64,
    /// Attempts of the next event that failed.
    pub attempts: i64,
    /// Since when the next event is refused.
    pub refused_since: Option<String>,
    /// Since when no event was accepted.
    pub failing_since: Option<String>,
    pub last_success_at: Option<String>,
    pub next_attempt_at: Option<String>,
    /// Events that were put aside.
    pub parked: i64,
    /// Until when the secret before signs as well.
    pub previous_secret_until: Option<String>,
    /// Shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// What operators set of an endpoint, as the audit log keeps it.
pub(super) fn audited(row: &EndpointRow) -> Value {
    json!({
        "endpoint_url": row.url,
        "events": serde_json::from_str::<Value>(&row.events).unwrap_or_default(),
        "organization_ids": organizations(&row.scope),
        "state": row.state,
        "state_reason": row.state_reason,
    })
}

impl EndpointView {
    pub(super) fn of(row: EndpointRow, end: i64, parked: i64, now: i64) -> Self {
        let waits = row.state == "enabled" && row.next_at > now;
        // An event that was passed over has attempts no more.
        let has_head = row.head_position.is_some_and(|head| head > row.position);
        Self {
            object: "webhook_endpoint",
            organization_ids: organizations(&row.scope),
            id: row.id,
            endpoint_url: row.url,
            events: serde_json::from_str(&row.events).unwrap_or_default(),
            state: row.state,
            state_since: instant_text(row.state_since),
            state_reason: row.state_reason,
            position: row.position,
            lag: end.saturating_sub(row.position).max(0),
            missed: row.missed,
            attempts: if has_head { row.attempts } else { 0 },
            refused_since: row.head_since.filter(|_| has_head).map(instant_text),
            failing_since: row.failing_since.map(instant_text),
            last_success_at: row.last_success.map(instant_text),
            next_attempt_at: waits.then(|| instant_text(row.next_at)),
            parked,
            previous_secret_until: row
                .previous_until
                .filter(|until| *until > now)
                .map(instant_text),
            secret: None,
            created_at: instant_text(row.created),
            updated_at: instant_text(row.modified),
        }
    }

    /// The names of the events that it has selected.
    pub fn event_names(&self) -> Vec<String> {
        serde_json::from_value(self.events.clone()).unwrap_or_default()
    }

    pub(super) fn with_secret(self, secret: &str) -> Self {
        Self { secret: Some(secret.to_owned()), ..self }
    }
}

/// An attempt to deliver, as the log has it.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryView {
    pub id: String,
    pub event_id: String,
    pub event: String,
    /// The replay that sent it.
    pub replay_id: Option<String>,
    /// Which one it was of this event.
    pub attempt: i64,
    pub at: String,
    pub duration_ms: i64,
    /// Null when there was no answer.
    pub status: Option<i32>,
    /// `delivered` or `failed`.
    pub outcome: String,
    pub error: Option<String>,
    /// The first bytes of the answer.
    pub answer: Option<String>,
}

/// Parked events, oldest first.
#[derive(Clone, Debug, Serialize)]
pub struct ParkedPage {
    pub data: Vec<ParkedView>,
    /// Send this as `after` to go on.
    pub next: i64,
    pub more: bool,
}

/// An event that an endpoint has refused until it was passed over.
#[derive(Clone, Debug, Serialize)]
pub struct ParkedView {
    pub event_id: String,
    pub event: String,
    pub position: i64,
    pub attempts: i64,
    pub status: Option<i32>,
    pub refused_since: String,
    pub parked_at: String,
}

impl From<ParkedRow> for ParkedView {
    fn from(row: ParkedRow) -> Self {
        Self {
            event_id: row.event_id,
            event: row.event,
            position: row.position,
            attempts: row.attempts,
            status: row.status,
            refused_since: instant_text(row.since),
            parked_at: instant_text(row.parked),
        }
    }
}

/// A stretch of the log that is sent once more.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayView {
    object: &'static str,
    pub id: String,
    pub endpoint_id: String,
    /// Everything up to here has been sent.
    pub after: i64,
    /// The last position.
    pub until: i64,
    pub range_start: Option<String>,
    pub range_end: Option<String>,
    /// Only parked events are sent.
    pub parked: bool,
    /// When it was given up because nothing was accepted.
    pub failed_at: Option<String>,
    pub created_at: String,
}

impl From<ReplayRow> for ReplayView {
    fn from(row: ReplayRow) -> Self {
        Self {
            object: "webhook_replay",
            id: row.id,
            endpoint_id: row.endpoint_id,
            after: row.position,
            until: row.until,
            range_start: row.range_start.map(instant_text),
            range_end: row.range_end.map(instant_text),
            parked: row.only_parked,
            failed_at: row.failed.map(instant_text),
            created_at: instant_text(row.created),
        }
    }
}
