//! One pushed stream, for a few seconds: its tokens in the order of the log (RFC 8935).
//!
//! Progress is stored a few times a second and after every failure. What was accepted since is pushed again
//! when the process ends before, with the same `jti`.
//!
//! A receiver that says of a token that it is no valid request (`invalid_request`) gets it a few times more and
//! then the next one: a revocation must not wait behind a token that nobody will ever take. Every other
//! failure concerns all tokens, and everything waits for it to pass.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::metrics::Method;
use super::poll::SetError;
use super::window::{Waiting, Window, acked, page, settle};
use crate::auth::SigningKey;
use crate::clock::{Stopwatch, fill_random};
use crate::event::deliver::{PAUSE_AFTER_MS, back_off};
use crate::event::set::stream_updated;
use crate::outbound::{Posted, Session};
use crate::service::{Service, ServiceError};
use crate::store::StoreError;
use crate::store::stream::{StreamHealth, StreamRow};

/// How long a stream is served before others get its place.
const TURN: Duration = Duration::from_secs(5);

/// How often progress is stored, and a lease renewed.
const SAVE_EVERY: Duration = Duration::from_millis(250);

/// How often a token is pushed that its receiver calls invalid.
const REFUSALS: i64 = 5;

/// Bytes of an answer that are read.
const ANSWER_BYTES: u64 = 2_048;

/// The reason of a stream that this server has paused.
const FAILING: &str = "The receiver has accepted nothing for 24 hours.";

/// What a lane does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Onward,
    /// The turn is over, or the next token is to be tried later.
    Over,
    /// The stream is not this lane's any more.
    Stop,
}

/// What a receiver makes of a token.
#[derive(Debug)]
enum Outcome {
    Accepted,
    /// This token is wrong.
    Invalid(SetError),
    /// Nothing gets through; milliseconds that the receiver wants to be left alone.
    Failed(String, Option<i64>),
}

struct Lane {
    service: Arc<Service>,
    row: StreamRow,
    /// The position that is stored.
    stored: i64,
    runner: String,
    session: Session,
    authorization: Option<String>,
    acked: BTreeSet<String>,
    /// The verification that was pushed last, as it was asked for; empty before.
    verified: String,
    begun: Stopwatch,
    saved: Stopwatch,
}

/// What the answer means (RFC 8935 §2.2, §2.3). 202 is the answer of the standard; receivers that say 200 or
/// 204 have accepted as well.
fn outcome(answer: Result<Posted, String>) -> Outcome {
    match answer {
        Ok(posted) if (200..300).contains(&posted.status) => Outcome::Accepted,
        Ok(posted) => {
            let error: SetError = serde_json::from_slice(&posted.body).unwrap_or_default();
            let error = error.bounded();
            if posted.status == 400 && error.err == "invalid_request" {
                return Outcome::Invalid(error);
            }
            let SetError { err, description } = error;
            let said = format!("{} {err} {description}", posted.status).trim().to_owned();
            Outcome::Failed(said, posted.retry_after.map(|seconds| seconds.saturating_mul(1_000)))
        }
        Err(error) => Outcome::Failed(error, None),
    }
}

impl Service {
    /// Pushes a stream whose lease this runner holds, and lets it go.
    pub(super) async fn push_stream(
        self: &Arc<Self>,
        row: StreamRow,
        runner: String,
    ) -> Result<(), ServiceError> {
        let sealed = row.authorization_header.as_deref();
        let opened = sealed.map(|text| self.streams.seal.open(row.id.as_bytes(), text));
        if matches!(opened, Some(None)) {
            // The receiver refuses what comes without it, and says so.
            tracing::error!(stream = row.id, "a header was sealed with another secret key");
        }
        let authorization = opened.flatten().and_then(|text| String::from_utf8(text).ok());
        let lane = Lane {
            service: Arc::clone(self),
            session: self.streams.outbound.session(self.streams.timeout),
            authorization,
            acked: acked(&row.place),
            verified: String::new(),
            stored: row.place.position,
            row,
            runner,
            begun: Stopwatch::start(),
            saved: Stopwatch::start(),
        };
        Box::pin(lane.serve()).await
    }
}

impl Lane {
    async fn serve(mut self) -> Result<(), ServiceError> {
        loop {
            let Some(window) = self.window().await? else { return Ok(()) };
            let key = self.service.signing_key(&window.keys)?;
            match self.push_window(&window, &key).await? {
                Step::Stop => return Ok(()),
                Step::Onward if window.more && !self.is_over() => {}
                Step::Onward | Step::Over => break,
            }
        }
        let now = self.now();
        self.store(now).await?;
        Ok(())
    }

    /// True when it is another stream's turn, or the process is about to stop.
    fn is_over(&self) -> bool {
        self.begun.elapsed() >= TURN || self.service.event_log.is_closing()
    }

    fn now(&self) -> i64 {
        self.service.clock.now_ms()
    }

    /// The next tokens; `None` when an operator has changed the stream, or somebody else has it.
    async fn window(&self) -> Result<Option<Window>, ServiceError> {
        let (row, runner, now) = (self.row.clone(), self.runner.clone(), self.now());
        let read: Result<_, StoreError> = self
            .service
            .store
            .read("stream_page", move |tx| {
                if tx.stream_held(&row.id, &runner, row.version)?.is_none() {
                    return Ok(None);
                }
                Ok(Some(page(tx, &row, row.place.position, now)?))
            })
            .await;
        match read? {
            Some(page) => Ok(Some(self.service.stream_window(&self.row, page).await?)),
            None => Ok(None),
        }
    }

    /// Sees before each attempt that the stream is still this lane's, as it was: what an operator has taken
    /// out of it is not sent any more. Pushes the verification that was asked for, once: who has missed it
    /// asks again.
    async fn check(&mut self, key: &Arc<SigningKey>) -> Result<Step, ServiceError> {
        let (id, runner, version) = (self.row.id.clone(), self.runner.clone(), self.row.version);
        let held: Result<Option<Option<String>>, StoreError> = self
            .service
            .store
            .get("stream_held", move |tx| tx.stream_held(&id, &runner, version))
            .await;
        let Some(asked) = held? else { return Ok(Step::Stop) };
        match asked.filter(|asked| *asked != self.verified) {
            Some(asked) => self.verify(asked, key).await,
            None => Ok(Step::Onward),
        }
    }

    async fn verify(&mut self, asked: String, key: &Arc<SigningKey>) -> Result<Step, ServiceError> {
        self.verified.clone_from(&asked);
        self.row.verification = Some(asked);
        let Some(token) = self.service.stream_verification(&self.row) else {
            return Ok(Step::Onward);
        };
        match self.attempt(&token, key).await {
            Outcome::Accepted => {
                self.service.streams.metrics.verified(Method::Push);
                self.accepted();
            }
            Outcome::Invalid(error) => self.refuse(&token, &error),
            Outcome::Failed(description, _) => {
                let err = "verification".to_owned();
                self.service.streams.metrics.failed();
                let error = SetError { err, description };
                self.row.place.last_refusal =
                    Some(self.service.stream_refusal(&self.row.id, &token, &error));
            }
        }
        Ok(if self.keep().await? { Step::Onward } else { Step::Stop })
    }

    async fn push_window(
        &mut self,
        window: &Window,
        key: &Arc<SigningKey>,
    ) -> Result<Step, ServiceError> {
        settle(&mut self.row.place, &mut self.acked, window);
        self.forget_failures(window);
        // A verification does not wait for the next try; tokens do.
        if let Step::Stop = self.check(key).await? {
            return Ok(Step::Stop);
        }
        if self.now() < self.row.health.next_at {
            return Ok(Step::Over);
        }
        let mut is_checked = true;
        for token in &window.waiting {
            if self.acked.contains(&token.set.jti) || token.position <= self.row.place.position {
                continue;
            }
            if self.saved.elapsed() >= SAVE_EVERY && !self.keep().await? {
                return Ok(Step::Stop);
            }
            if !std::mem::take(&mut is_checked) && self.check(key).await? == Step::Stop {
                return Ok(Step::Stop);
            }
            match self.push(token, key).await? {
                Step::Onward => settle(&mut self.row.place, &mut self.acked, window),
                other => return Ok(other),
            }
            if self.is_over() {
                return Ok(Step::Over);
            }
        }
        Ok(Step::Onward)
    }

    /// What failed may be gone: acknowledged, pruned, or not selected any more. Then its failures say nothing
    /// of what comes next.
    fn forget_failures(&mut self, window: &Window) {
        let mut waiting = window.waiting.iter();
        let next = waiting.find(|token| !self.acked.contains(&token.set.jti));
        if next.is_none_or(|token| token.set.jti != self.row.health.head) {
            let last_success = self.row.health.last_success;
            self.row.health = StreamHealth { last_success, ..StreamHealth::default() };
        }
    }

    /// Pushes a token once.
    async fn push(&mut self, token: &Waiting, key: &Arc<SigningKey>) -> Result<Step, ServiceError> {
        if self.row.health.head != token.set.jti {
            // Attempts and refusals are those of one token.
            let health = &mut self.row.health;
            (health.attempts, health.refusals) = (0, 0);
            health.head.clone_from(&token.set.jti);
        }
        let outcome = self.attempt(token, key).await;
        let now = self.now();
        let asked = match outcome {
            Outcome::Accepted => {
                self.service.streams.metrics.acknowledged(Method::Push, token.at, now);
                self.accepted();
                self.acked.insert(token.set.jti.clone());
                return Ok(Step::Onward);
            }
            Outcome::Invalid(error) => {
                // It answers, and takes what is valid.
                self.row.health.failing_since = None;
                self.row.health.refusals += 1;
                if self.row.health.refusals >= REFUSALS {
                    self.refuse(token, &error);
                    self.acked.insert(token.set.jti.clone());
                    (self.row.health.attempts, self.row.health.next_at) = (0, 0);
                    return Ok(Step::Onward);
                }
                None
            }
            Outcome::Failed(said, asked) => {
                tracing::debug!(stream = self.row.id, said, "a token was not accepted");
                self.row.health.failing_since.get_or_insert(now);
                asked
            }
        };
        self.service.streams.metrics.failed();
        let health = &mut self.row.health;
        health.attempts = health.attempts.saturating_add(1);
        let mut random = [0; 4];
        fill_random(&mut random);
        let (first, random) = (self.service.streams.first_retry_ms, u32::from_le_bytes(random));
        health.next_at = now + back_off(health.attempts, first, asked, random);
        if health.failing_since.is_some_and(|since| now - since >= PAUSE_AFTER_MS) {
            return self.pause(key, now).await;
        }
        Ok(Step::Over)
    }

    /// The receiver has taken a token.
    fn accepted(&mut self) {
        let now = self.now();
        let health = &mut self.row.health;
        (health.attempts, health.failing_since, health.next_at) = (0, None, 0);
        health.last_success = Some(now);
    }

    /// The receiver will never take the token.
    fn refuse(&mut self, token: &Waiting, error: &SetError) {
        self.service.streams.metrics.refused(Method::Push);
        self.row.place.refused += 1;
        self.row.place.last_refusal = Some(self.service.stream_refusal(&self.row.id, token, error));
    }

    /// Nothing was accepted for too long: the stream waits for its receiver, who is told once more.
    async fn pause(&mut self, key: &Arc<SigningKey>, now: i64) -> Result<Step, ServiceError> {
        tracing::warn!(stream = self.row.id, "a stream is paused: {FAILING}");
        (self.row.status, self.row.status_since) = ("paused".to_owned(), now);
        self.row.status_cause = Some("failing".to_owned());
        self.row.status_reason = Some(FAILING.to_owned());
        if !self.store(now).await? {
            return Ok(Step::Stop);
        }
        let set = {
            let service = Arc::clone(&self.service);
            let stream = service.stream_audience(&self.row.id);
            let audience = service.audience_of(&self.row, &stream, &[]);
            stream_updated(&audience, now, "paused", FAILING)
        };
        let told = Waiting { position: self.row.place.position, at: now, set };
        let _ = self.attempt(&told, key).await;
        Ok(Step::Stop)
    }

    /// Sends a token.
    async fn attempt(&self, token: &Waiting, key: &Arc<SigningKey>) -> Outcome {
        let (session, key) = (self.session.clone(), Arc::clone(key));
        let (claims, authorization) = (token.set.claims.clone(), self.authorization.clone());
        let url = self.row.endpoint_url.clone().unwrap_or_default();
        let sent = tokio::task::spawn_blocking(move || {
            let signed = key.sign(&claims).ok_or("the token could not be signed")?;
            let mut headers = vec![
                ("Content-Type", "application/secevent+jwt".to_owned()),
                ("Accept", "application/json".to_owned()),
            ];
            headers.extend(authorization.map(|header| ("Authorization", header)));
            let posted = session.post(&url, &headers, &signed, ANSWER_BYTES);
            posted.map_err(|error| error.to_string())
        });
        outcome(sent.await.unwrap_or_else(|_| Err("the request was not finished".to_owned())))
    }

    /// Stores what was done and renews the lease; false when the stream is not this lane's any more.
    async fn keep(&mut self) -> Result<bool, ServiceError> {
        let lease = self.service.streams.lease(self.now());
        self.store(lease).await
    }

    async fn store(&mut self, lease: i64) -> Result<bool, ServiceError> {
        // A stream that is let go has no lease, and one that has is looked after when it ends.
        let lease = if lease <= self.now() { 0 } else { lease };
        let (row, runner, from) = (self.row.clone(), self.runner.clone(), self.stored);
        let verified = self.verified.clone();
        let stored: Result<bool, StoreError> = self
            .service
            .store
            .write("stream_progress", move |tx| {
                tx.stream_save(&row, &runner, from, lease, &verified)
            })
            .await;
        (self.saved, self.stored) = (Stopwatch::start(), self.row.place.position);
        Ok(stored?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Outcome {
        outcome(Ok(Posted { status, retry_after: Some(3), body: body.as_bytes().to_vec() }))
    }

    #[test]
    fn only_invalid_request_is_about_one_token() {
        for status in [200, 202, 204] {
            assert!(matches!(answer(status, ""), Outcome::Accepted), "{status}");
        }
        let body = r#"{"err": "invalid_request", "description": "no such claim"}"#;
        match answer(400, body) {
            Outcome::Invalid(error) => assert_eq!(error.description, "no such claim"),
            other => panic!("{other:?}"),
        }
        for (status, body) in [
            (400, r#"{"err": "invalid_key"}"#),
            (400, r#"{"err": "authentication_failed"}"#),
            (400, ""),
            (401, body),
            (500, body),
            (302, ""),
        ] {
            match answer(status, body) {
                Outcome::Failed(_, asked) => assert_eq!(asked, Some(3_000)),
                other => panic!("{status} {body}: {other:?}"),
            }
        }
    }
}
