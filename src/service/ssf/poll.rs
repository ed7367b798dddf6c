//! Tokens that a receiver fetches (RFC 8936).
//!
//! A token is served until it is acknowledged, or reported as wrong. Receivers may acknowledge in any order
//! within a window.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::MOST_WAITING;
use super::metrics::Method;
use super::window::{Waiting, Window, acked, page, settle};
use crate::clock::Stopwatch;
use crate::scim::key::instant_text;
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;
use crate::store::stream::StreamRow;

/// Tokens in one answer, at most: each costs a signature.
const MOST: usize = 100;

/// How long a request waits for the first token.
const WAIT: Duration = Duration::from_secs(30);

/// How often such a request looks whether its stream was changed, as by asking for a verification.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Acknowledgements in one request, at most.
const MAX_ACKS: usize = 1_000;

/// How often an acknowledgement is tried that another one crosses.
const TRIES: usize = 5;

/// Positions without a token for this receiver that are passed over before that is stored.
const PASSED: i64 = 1_000;

/// A request (RFC 8936 §2.4).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollRequest {
    #[serde(default)]
    pub max_events: Option<i64>,
    #[serde(default)]
    pub return_immediately: bool,
    #[serde(default)]
    pub ack: Vec<String>,
    #[serde(default)]
    pub set_errs: BTreeMap<String, SetError>,
}

/// What a receiver finds wrong with a token (RFC 8936 §2.6).
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SetError {
    #[serde(default)]
    pub err: String,
    #[serde(default)]
    pub description: String,
}

impl SetError {
    /// The texts of others, in bounds.
    pub(super) fn bounded(&self) -> Self {
        let bounded =
            |text: &str, most| text.chars().filter(|c| !c.is_control()).take(most).collect();
        Self { err: bounded(&self.err, 80), description: bounded(&self.description, 300) }
    }
}

/// An answer (RFC 8936 §2.5).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PollAnswer {
    /// Signed tokens by their `jti`.
    pub sets: Map<String, Value>,
    pub more_available: bool,
}

/// What waits for a receiver.
struct Served {
    tokens: Vec<Waiting>,
    window: Window,
    row: StreamRow,
}

impl Service {
    /// Takes acknowledgements and answers what waits; waits for it if there is nothing. `bearer` is the key
    /// of the request, which must still be good then.
    pub async fn stream_poll(
        &self,
        access: &ApiAccess,
        bearer: &str,
        id: &str,
        request: PollRequest,
    ) -> Result<PollAnswer, ServiceError> {
        let row = self.stream_row(access, id).await?;
        if row.method != "poll" {
            let message = "This stream is pushed; it cannot be polled.";
            return Err(AdminError::new(400, "not_polled", message).into());
        }
        let most = match request.max_events {
            None => MOST,
            Some(number) => usize::try_from(number).map(|number| number.min(MOST)).map_err(|_| {
                let message = format!(
                    "The field \"maxEvents\" is not valid: it is {number}; allowed is 0 and more."
                );
                AdminError::new(400, "invalid_request_parameters", message)
            })?,
        };
        let named = request.ack.len() + request.set_errs.len();
        if named > MAX_ACKS {
            let message = format!(
                "The fields \"ack\" and \"setErrs\" name {named} tokens; allowed are {MAX_ACKS}."
            );
            return Err(AdminError::new(400, "invalid_request_parameters", message).into());
        }
        if named > 0 {
            self.stream_acknowledge(access, id, &request).await?;
        }
        let mut served = self.stream_served(access, id).await?;
        if served.tokens.is_empty() && !request.return_immediately && most > 0 {
            served = self.stream_wait(access, id, served).await?;
            // A key that has ended meanwhile is handed nothing more.
            let access = self.still_open(bearer).await?;
            self.stream_row(&access, id).await?;
        }
        self.stream_answer(served, most).await
    }

    /// What is not acknowledged, the oldest first.
    async fn stream_served(&self, access: &ApiAccess, id: &str) -> Result<Served, ServiceError> {
        let row = self.stream_row(access, id).await?;
        if row.status != "enabled" {
            let window = Window::empty(row.place.position);
            return Ok(Served { tokens: Vec::new(), window, row });
        }
        let window = self.stream_window_from(&row, row.place.position).await?;
        let known = acked(&row.place);
        let waiting = window.waiting.iter().filter(|token| !known.contains(&token.set.jti));
        let tokens = self.stream_verification(&row).into_iter().chain(waiting.cloned()).collect();
        let served = Served { tokens, window, row };
        self.stream_pass(&served).await?;
        Ok(served)
    }

    /// The tokens behind a position.
    pub(super) async fn stream_window_from(
        &self,
        row: &StreamRow,
        after: i64,
    ) -> Result<Window, ServiceError> {
        let (reading, now) = (row.clone(), self.clock.now_ms());
        let read: Result<_, StoreError> =
            self.store.read("stream_page", move |tx| page(tx, &reading, after, now)).await;
        self.stream_window(row, read?).await
    }

    /// Stores that a long stretch of the log has nothing for this receiver.
    async fn stream_pass(&self, served: &Served) -> Result<(), ServiceError> {
        let (mut after, mut known) = (served.row.clone(), acked(&served.row.place));
        settle(&mut after.place, &mut known, &served.window);
        if after.place.position - served.row.place.position >= PASSED {
            self.stream_store(served.row.clone(), after).await?;
        }
        Ok(())
    }

    async fn stream_store(
        &self,
        before: StreamRow,
        after: StreamRow,
    ) -> Result<bool, ServiceError> {
        let stored: Result<bool, StoreError> = self
            .store
            .write("stream_acknowledge", move |tx| tx.stream_acknowledge(&before, &after))
            .await;
        Ok(stored?)
    }

    /// Waits until something is there for the receiver, looking at what is new alone; for as long as the stream
    /// is not enabled, until it was changed.
    async fn stream_wait(
        &self,
        access: &ApiAccess,
        id: &str,
        served: Served,
    ) -> Result<Served, ServiceError> {
        let _one = self.streams.one_more(id).ok_or_else(|| {
            let message = format!(
                "{MOST_WAITING} requests wait for tokens of this stream already; let these end, or ask \
                 with \"returnImmediately\"."
            );
            AdminError::new(429, "too_many_readers", message)
        })?;
        let _place = self.event_log.place().ok_or_else(|| {
            let message =
                "As many readers wait for events as this process serves at a time; try again.";
            AdminError::new(503, "too_many_readers", message)
        })?;
        let mut positions = self.event_log.positions();
        let row = served.row.clone();
        let (mut next, mut more) = (served.window.next, served.window.more);
        let news = async {
            if row.status != "enabled" {
                std::future::pending::<()>().await;
            }
            loop {
                if !more && positions.wait_for(|position| *position > next).await.is_err() {
                    return Ok::<(), ServiceError>(());
                }
                let window = self.stream_window_from(&row, next).await?;
                (next, more) = (window.next, window.more);
                if !window.waiting.is_empty() {
                    return Ok(());
                }
            }
        };
        tokio::pin!(news);
        let begun = Stopwatch::start();
        while begun.elapsed() < WAIT {
            // Taken before the look, so that no change falls in between.
            let changed = self.streams.changed.notified();
            let found = self.stream_row(access, id).await?;
            if (found.version, &found.verification) != (row.version, &row.verification) {
                break;
            }
            tokio::select! {
                found = &mut news => {
                    found?;
                    break;
                }
                () = self.event_log.closed() => break,
                () = changed => {}
                // Another process may have changed the stream.
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        self.stream_served(access, id).await
    }

    async fn stream_answer(&self, served: Served, most: usize) -> Result<PollAnswer, ServiceError> {
        let more_available = served.tokens.len() > most || served.window.more;
        if served.tokens.is_empty() || most == 0 {
            return Ok(PollAnswer { sets: Map::new(), more_available });
        }
        let key = self.signing_key(&served.window.keys)?;
        let tokens: Vec<Waiting> = served.tokens.into_iter().take(most).collect();
        let failed = || AdminError::new(500, "not_signed", "The tokens could not be signed.");
        let place = Arc::clone(&self.streams.signers).acquire_owned().await;
        let (place, known) = (place.map_err(|_| failed())?, Arc::clone(&self.streams.signed));
        let signed = tokio::task::spawn_blocking(move || {
            // Kept until it is done, also when nobody waits for it any more.
            let _place = place;
            let signed = tokens.into_iter().map(|token| {
                let text = known.token(&key, &token.set.claims)?;
                Some((token.set.jti, Value::String(text)))
            });
            signed.collect::<Option<Map<String, Value>>>()
        });
        let sets = signed.await.ok().flatten().ok_or_else(failed)?;
        Ok(PollAnswer { sets, more_available })
    }

    /// Stores what the receiver has dealt with. Ids that name no token that waits are passed over.
    async fn stream_acknowledge(
        &self,
        access: &ApiAccess,
        id: &str,
        request: &PollRequest,
    ) -> Result<(), ServiceError> {
        for _ in 0..TRIES {
            let before = self.stream_row(access, id).await?;
            let window = self.stream_window_from(&before, before.place.position).await?;
            let (mut after, mut known) = (before.clone(), acked(&before.place));
            let verification = self.stream_verification(&before);
            let named =
                |jti: &String| request.ack.contains(jti) || request.set_errs.contains_key(jti);
            let waiting: Vec<&Waiting> = verification
                .iter()
                .chain(&window.waiting)
                .filter(|token| named(&token.set.jti) && !known.contains(&token.set.jti))
                .collect();
            let errors: Vec<(&Waiting, &SetError)> = waiting
                .iter()
                .filter_map(|token| Some((*token, request.set_errs.get(&token.set.jti)?)))
                .collect();
            if verification.as_ref().is_some_and(|token| named(&token.set.jti)) {
                after.verification = None;
            }
            let now = self.clock.now_ms();
            for (token, error) in &errors {
                after.place.refused += 1;
                after.place.last_refusal = Some(self.stream_refusal(id, token, error));
            }
            if waiting.len() > errors.len() {
                after.health.last_success = Some(now);
            }
            known.extend(waiting.iter().map(|token| token.set.jti.clone()));
            settle(&mut after.place, &mut known, &window);
            if after == before || self.stream_store(before, after).await? {
                let wrong: BTreeSet<&str> =
                    errors.iter().map(|(token, _)| token.set.jti.as_str()).collect();
                for token in waiting {
                    let metrics = &self.streams.metrics;
                    if wrong.contains(token.set.jti.as_str()) {
                        metrics.refused(Method::Poll);
                    } else if verification.as_ref().is_some_and(|own| own.set.jti == token.set.jti)
                    {
                        metrics.verified(Method::Poll);
                    } else {
                        metrics.acknowledged(Method::Poll, token.at, now);
                    }
                }
                return Ok(());
            }
        }
        let message =
            "Other requests acknowledge tokens of this stream at the same time; try again.";
        Err(AdminError::new(503, "busy", message).into())
    }

    /// What a receiver finds wrong with a token, sealed: its words may repeat personal data.
    pub(super) fn stream_refusal(&self, id: &str, token: &Waiting, error: &SetError) -> String {
        let SetError { err, description } = error.bounded();
        tracing::warn!(stream = id, jti = token.set.jti, err, "a receiver has refused a token");
        let refusal = json!({
            "jti": token.set.jti,
            "event": token.set.event,
            "txn": token.set.claims.get("txn"),
            "err": err,
            "description": description,
            "at": instant_text(self.clock.now_ms()),
        });
        self.streams.seal.seal(id.as_bytes(), refusal.to_string().as_bytes())
    }
}
