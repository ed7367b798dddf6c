//! One request to a receiver, and what is kept of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Secrets;
use crate::clock::Stopwatch;
use crate::event::sign::Signed;
use crate::outbound::Session;
use crate::scim::key::instant_text;
use crate::service::Service;
use crate::service::events::EventView;
use crate::store::event_log::LogRow;
use crate::store::webhook::AttemptRow;

/// Bytes of an answer that are read.
const ANSWER_BYTES: u64 = 1_024;

/// The name of the event that asks whether a receiver is there.
const TEST_EVENT: &str = "rollbook.webhook.test";

/// Where to send, and how to sign.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) endpoint_id: String,
    pub(super) url: String,
    pub(super) secrets: Secrets,
}

/// An event as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) id: String,
    pub(super) event: String,
    /// Compact JSON, the same at every attempt.
    pub(super) body: String,
}

impl Envelope {
    pub(super) fn of(row: &LogRow) -> Self {
        let view = EventView::from(row.clone());
        let body = serde_json::to_string(&view).unwrap_or_default();
        Self { id: row.id.clone(), event: row.event.clone(), body }
    }

    /// An event that is in no log.
    pub(super) fn test(id: String, endpoint_id: &str, now: i64) -> Self {
        let body = json!({
            "object": "event",
            "id": id,
            "event": TEST_EVENT,
            "data": {"object": "webhook_endpoint", "id": endpoint_id},
            "created_at": instant_text(now),
            "context": {},
        });
        Self { id, event: TEST_EVENT.to_owned(), body: body.to_string() }
    }
}

/// What came of a request.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) at: i64,
    pub(super) duration: Duration,
    /// `None` when there was no answer.
    pub(super) status: Option<u16>,
    /// How long the receiver wants to be left alone, in milliseconds.
    pub(super) retry_after: Option<i64>,
    pub(super) error: Option<String>,
    pub(super) answer: Option<String>,
}

impl Attempt {
    pub(super) fn is_accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// The receiver says that it is no more (RFC 9110 §15.5.11).
    pub(super) fn is_gone(&self) -> bool {
        self.status == Some(410)
    }
}

/// What of an attempt may be personal: it is stored sealed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Detail {
    pub(super) error: Option<String>,
    pub(super) answer: Option<String>,
}

impl Service {
    /// Sends the event once, signed for this very moment.
    pub(super) async fn webhook_send(
        &self,
        target: &Target,
        session: &Session,
        event: &Envelope,
        replay: Option<&str>,
    ) -> Attempt {
        let (at, since) = (self.clock.now_ms(), Stopwatch::start());
        let (target, session) = (target.clone(), session.clone());
        let (id, body) = (event.id.clone(), event.body.clone());
        let replay = replay.map(str::to_owned);
        let sent = tokio::task::spawn_blocking(move || {
            let signed = Signed { id: &id, at_ms: at, body: &body };
            let mut headers = vec![
                ("Content-Type", "application/json".to_owned()),
                ("WorkOS-Signature", signed.workos(target.secrets.single())),
                ("webhook-id", id.clone()),
                ("webhook-timestamp", signed.timestamp().to_string()),
                ("webhook-signature", signed.standard(target.secrets.all())),
            ];
            headers.extend(replay.map(|replay| ("Rollbook-Replay", replay)));
            session.post(&target.url, &headers, &body, ANSWER_BYTES)
        });
        let failed = |error: String| Attempt {
            at,
            duration: since.elapsed(),
            status: None,
            retry_after: None,
            error: Some(error),
            answer: None,
        };
        let attempt = match sent.await {
            Ok(Ok(posted)) => Attempt {
                at,
                duration: since.elapsed(),
                status: Some(posted.status),
                retry_after: posted.retry_after.map(|seconds| seconds.saturating_mul(1_000)),
                error: None,
                answer: (!posted.body.is_empty())
                    .then(|| String::from_utf8_lossy(&posted.body).into_owned()),
            },
            Ok(Err(error)) => failed(error.to_string()),
            Err(_) => failed("the request was not finished".to_owned()),
        };
        self.webhooks.metrics.attempt(&attempt);
        attempt
    }

    /// The attempt as the log keeps it.
    pub(super) fn attempt_row(
        &self,
        endpoint_id: &str,
        event: &Envelope,
        number: i64,
        replay: Option<&str>,
        attempt: &Attempt,
    ) -> AttemptRow {
        let id = self.clock.id("webhook_attempt");
        let detail = Detail { error: attempt.error.clone(), answer: attempt.answer.clone() };
        let detail = serde_json::to_vec(&detail).unwrap_or_default();
        let outcome = if attempt.is_accepted() { "delivered" } else { "failed" };
        AttemptRow {
            detail: self.webhooks.seal.seal(&context(endpoint_id, &id), &detail),
            id,
            event_id: event.id.clone(),
            event: event.event.clone(),
            replay_id: replay.map(str::to_owned),
            attempt: number,
            at: attempt.at,
            duration_ms: i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
            status: attempt.status.map(i32::from),
            outcome: outcome.to_owned(),
        }
    }

    pub(super) fn attempt_detail(&self, endpoint_id: &str, row: &AttemptRow) -> Detail {
        let opened = self.webhooks.seal.open(&context(endpoint_id, &row.id), &row.detail);
        opened.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }
}

/// What the detail of an attempt is sealed for.
fn context(endpoint_id: &str, attempt_id: &str) -> Vec<u8> {
    format!("{endpoint_id}\0{attempt_id}").into_bytes()
}
