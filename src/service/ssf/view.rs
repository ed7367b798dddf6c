//! Streams as receivers read them (SSF 1.0 §7, §8).

use serde::Serialize;
use serde_json::{Value, json};

use super::window::{delivered, requested};
use super::{
    ADD_SUBJECT_PATH, JWKS_PATH, MIN_VERIFICATION_INTERVAL, POLL, PUSH, REMOVE_SUBJECT_PATH,
    STATUS_PATH, STREAMS_PATH, VERIFY_PATH, organizations,
};
use crate::event::set::SUPPORTED;
use crate::scim::key::instant_text;
use crate::service::Service;
use crate::store::stream::StreamRow;

/// What `/.well-known/ssf-configuration` says.
#[derive(Clone, Debug, Serialize)]
pub struct Configuration(Value);

/// A stream's configuration.
#[derive(Clone, Debug, Serialize)]
pub struct StreamView {
    pub stream_id: String,
    pub iss: String,
    pub aud: String,
    pub delivery: Value,
    pub events_supported: [&'static str; 12],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_requested: Option<Vec<String>>,
    pub events_delivered: Vec<String>,
    pub min_verification_interval: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Ours: how CAEP and RISC events name the account.
    pub subject_format: String,
    /// Ours: null when the events of all organizations count.
    pub organization_ids: Option<Vec<String>>,
}

/// What operators set of a stream, as the audit log keeps it.
pub(super) fn audited(row: &StreamRow) -> Value {
    json!({
        "description": row.description,
        "endpoint_url": row.endpoint_url,
        "events_requested": requested(row.events.as_deref()),
        "subject_format": row.subject_format,
        "organization_ids": organizations(&row.scope),
        "status": row.status,
        "reason": row.status_reason,
    })
}

/// A stream's status, with what is known of its deliveries.
#[derive(Clone, Debug, Serialize)]
pub struct StatusView {
    pub stream_id: String,
    /// `enabled`, `paused` or `disabled`.
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub status_since: String,
    /// Every token of events up to here is acknowledged.
    pub position: i64,
    /// Positions from there to the end of the log.
    pub lag: i64,
    /// Positions that were removed because of their age before they were acknowledged.
    pub missed: i64,
    /// Tokens that the receiver has refused for good.
    pub refused: i64,
    /// The last of them.
    pub last_refusal: Option<Value>,
    /// Attempts of the next token that failed.
    pub attempts: i64,
    pub failing_since: Option<String>,
    pub last_success_at: Option<String>,
    pub next_attempt_at: Option<String>,
}

impl Service {
    /// What receivers find out about this server (SSF 1.0 §7.1).
    pub fn ssf_configuration(&self) -> Configuration {
        let at = |path: &str| format!("{}{path}", self.public_url);
        Configuration(json!({
            "spec_version": "1_0",
            "issuer": self.public_url,
            "jwks_uri": at(JWKS_PATH),
            "delivery_methods_supported": [PUSH, POLL],
            "configuration_endpoint": at(STREAMS_PATH),
            "status_endpoint": at(STATUS_PATH),
            "add_subject_endpoint": at(ADD_SUBJECT_PATH),
            "remove_subject_endpoint": at(REMOVE_SUBJECT_PATH),
            "verification_endpoint": at(VERIFY_PATH),
            "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6750"}],
            "default_subjects": "ALL",
        }))
    }

    /// The path of the issuer, which stands behind the well-known name (SSF 1.0 §7.2); empty for most.
    pub fn issuer_path(&self) -> &str {
        let rest = self.public_url.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default()
    }

    pub(super) fn stream_view(&self, row: StreamRow) -> StreamView {
        let delivery = match &row.endpoint_url {
            Some(url) => json!({"method": PUSH, "endpoint_url": url}),
            None => {
                let url = format!("{}/poll", self.stream_audience(&row.id));
                json!({"method": POLL, "endpoint_url": url})
            }
        };
        StreamView {
            iss: self.public_url.clone(),
            aud: self.stream_audience(&row.id),
            delivery,
            events_supported: SUPPORTED,
            events_requested: requested(row.events.as_deref()),
            events_delivered: delivered(row.events.as_deref()),
            min_verification_interval: MIN_VERIFICATION_INTERVAL,
            description: row.description,
            subject_format: row.subject_format,
            organization_ids: organizations(&row.scope),
            stream_id: row.id,
        }
    }

    pub(super) fn stream_status_view(&self, row: StreamRow, end: i64) -> StatusView {
        let opened = row.place.last_refusal.as_deref();
        let opened = opened.and_then(|text| self.streams.seal.open(row.id.as_bytes(), text));
        let waits = row.status == "enabled" && row.health.next_at > self.clock.now_ms();
        StatusView {
            status: row.status,
            reason: row.status_reason,
            status_since: instant_text(row.status_since),
            position: row.place.position,
            lag: end.saturating_sub(row.place.position).max(0),
            missed: row.place.missed,
            refused: row.place.refused,
            last_refusal: opened.and_then(|text| serde_json::from_slice(&text).ok()),
            attempts: row.health.attempts,
            failing_since: row.health.failing_since.map(instant_text),
            last_success_at: row.health.last_success.map(instant_text),
            next_attempt_at: waits.then(|| instant_text(row.health.next_at)),
            stream_id: row.id,
        }
    }
}
