//! The client of sources that speak HTTP and JSON: one origin, bounded answers, patience with a source that
//! is busy, and no secret in what it says.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;
use url::Url;

use super::{SourceError, Surroundings};
use crate::outbound::{Fetched, OutboundError, Session};
use crate::scim::Object;

/// Longest time of one request, from the name to the last byte.
const DEADLINE: Duration = Duration::from_secs(60);

/// Largest answer, in bytes.
const MAX_BODY: u64 = 64 * 1024 * 1024;

/// How often a request is sent that the source is too busy for.
const TRIES: u32 = 6;

/// Longest time that one read waits for a busy source, all pauses together, in milliseconds.
const PATIENCE_MS: i64 = 5 * 60 * 1_000;

/// How often a pause looks whether the read is to end, in milliseconds.
const LOOK_MS: i64 = 100;

/// Longest part of a source's own words that is kept, in characters.
const MAX_WORDS: usize = 300;

/// Makes requests to one origin.
pub struct Client {
    session: Session,
    surroundings: Surroundings,
    origin: url::Origin,
    headers: Vec<(String, String)>,
    /// What is never to be seen in a message.
    secrets: Vec<String>,
    patience_ms: i64,
}

/// An answer of status 200.
#[derive(Clone, Debug)]
pub struct Reply {
    pub object: Object,
    /// The clock of the source, in milliseconds since 1970, if it says it.
    pub date: Option<i64>,
}

impl Client {
    pub fn new(
        base: &Url,
        headers: Vec<(String, String)>,
        secrets: Vec<String>,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            session: surroundings.outbound.session(DEADLINE),
            origin: base.origin(),
            surroundings,
            headers,
            secrets: secrets.into_iter().filter(|secret| !secret.is_empty()).collect(),
            patience_ms: PATIENCE_MS,
        }
    }

    /// The JSON object at an address of the origin.
    pub fn get(&mut self, url: &Url) -> Result<Reply, SourceError> {
        // A link that an answer holds may lead anywhere, and would take the credentials along.
        if url.origin() != self.origin {
            let host = url.host_str().unwrap_or_default();
            let message = format!("the source leads to {host}, which is not its own address");
            return Err(SourceError::failed(message));
        }
        let mut tries = 0;
        loop {
            self.surroundings.check_stop()?;
            tries += 1;
            let pause = match self.session.fetch(url.as_str(), &self.headers, MAX_BODY) {
                Ok(fetched) => match self.judged(&fetched)? {
                    Judged::Good(reply) => return Ok(reply),
                    Judged::Busy { message, pause_ms } => (message, pause_ms),
                },
                Err(OutboundError::Forbidden(reason)) => {
                    return Err(SourceError::failed(format!("it must not be called: {reason}")));
                }
                Err(OutboundError::Failed(reason)) => (self.clean(&reason), None),
            };
            self.wait(pause, tries)?;
        }
    }

    fn judged(&self, fetched: &Fetched) -> Result<Judged, SourceError> {
        let now = fetched.date.as_deref().and_then(instant);
        match fetched.status {
            200 => match serde_json::from_slice(&fetched.body) {
                Ok(Value::Object(object)) => Ok(Judged::Good(Reply { object, date: now })),
                _ => Err(SourceError::failed(
                    "the source answers 200 with something that is no JSON object",
                )),
            },
            status @ (401 | 403) => {
                Err(SourceError::Credentials(self.words(status, &fetched.body)))
            }
            status @ (429 | 500 | 502..=599) => {
                let pause_ms = fetched.retry_after.as_deref().and_then(|text| pause(text, now));
                Ok(Judged::Busy { message: self.words(status, &fetched.body), pause_ms })
            }
            status => Err(SourceError::failed(self.words(status, &fetched.body))),
        }
    }

    /// What a source says about a refusal, in its own words as far as they are words.
    fn words(&self, status: u16, body: &[u8]) -> String {
        let said = serde_json::from_slice::<Value>(body).ok().and_then(|value| {
            let named = ["detail", "message", "error_description", "error"];
            named.iter().find_map(|name| value.get(name)?.as_str().map(str::to_owned))
        });
        let said = said.unwrap_or_default();
        match said.is_empty() {
            true => format!("the source answers {status}"),
            false => format!("the source answers {status}: {}", self.clean(&said)),
        }
    }

    fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), "[secret]");
        }
        text.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
    }

    /// Waits for a busy source, or gives up.
    fn wait(
        &mut self,
        (message, asked_ms): (String, Option<i64>),
        tries: u32,
    ) -> Result<(), SourceError> {
        let own = self.surroundings.first_retry_ms << tries.saturating_sub(1).min(7);
        let pause = asked_ms.unwrap_or(own).max(0);
        if tries >= TRIES || pause > self.patience_ms {
            return Err(SourceError::Failed { message, retry_after_ms: asked_ms });
        }
        self.patience_ms -= pause;
        let mut left = pause;
        while left > 0 {
            self.surroundings.check_stop()?;
            let step = left.min(LOOK_MS);
            std::thread::sleep(Duration::from_millis(u64::try_from(step).unwrap_or(0)));
            left -= step;
        }
        Ok(())
    }
}

enum Judged {
    Good(Reply),
    Busy { message: String, pause_ms: Option<i64> },
}

/// Milliseconds that `Retry-After` asks for (RFC 9110 §10.2.3): seconds, or a time, which the clock of the
/// source makes a length of.
fn pause(text: &str, now: Option<i64>) -> Option<i64> {
    match text.parse::<i64>() {
        Ok(seconds) => seconds.checked_mul(1_000).filter(|ms| *ms >= 0),
        Err(_) => Some(instant(text)?.saturating_sub(now?).max(0)),
    }
}

/// Milliseconds since 1970 of a date in a header (RFC 9110 §5.6.7).
fn instant(text: &str) -> Option<i64> {
    let parsed = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()?;
    Some(parsed.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_time() {
        let now = instant("Sat, 21 Nov 2026 20:00:00 GMT");
        assert_eq!(now, Some(1_795_291_200_000));
        for (text, expected) in [
            ("3", Some(3_000)),
            ("0", Some(0)),
            ("-1", None),
            ("Sat, 21 Nov 2026 20:00:05 GMT", Some(5_000)),
            ("Sat, 21 Nov 2026 19:00:00 GMT", Some(0)),
            ("soon", None),
        ] {
            assert_eq!(pause(text, now), expected, "{text}");
        }
        assert_eq!(pause("Sat, 21 Nov 2026 20:00:05 GMT", None), None);
    }
}
