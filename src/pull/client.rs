//! The client of sources that speak HTTP and JSON: one origin, bounded answers, patience with a source that
//! is busy, and no secret in what it says.

use std::collections::HashSet;

use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;
use url::Url;

use super::{SourceError, Surroundings};
use crate::clock::{Stopwatch, fill_random};
use crate::outbound::{Fetched, OutboundError, Session};
use crate::scim::Object;

/// Largest answer, in bytes.
const MAX_BODY: u64 = 64 * 1024 * 1024;

/// How often a request is sent that the source is too busy for.
const TRIES: u32 = 8;

/// How often a source is tried that has not answered anything yet, and how long, in milliseconds: it will be
/// read again, and whoever waits for this read wants to know why it does not begin.
pub(super) const FIRST_TRIES: u32 = 3;
pub(super) const FIRST_PATIENCE_MS: i64 = 15 * 1_000;

/// Longest time that a read waits for a busy source without getting on, all pauses and requests in vain
/// together, in milliseconds.
pub const PATIENCE_MS: i64 = 5 * 60 * 1_000;

/// How much patience every good answer gives back, in milliseconds: a long read meets many short limits.
const REFILL_MS: i64 = 30 * 1_000;

/// Longest pause of our own choice, in milliseconds.
const MAX_OWN_PAUSE_MS: i64 = 60 * 1_000;

/// Longest part of a source's own words that is kept, in characters.
const MAX_WORDS: usize = 300;

/// Where sources say what is wrong, as JSON pointers: SCIM, OAuth, Okta, Google, Microsoft Graph.
const WORDS: [&str; 8] = [
    "/detail",
    "/error_description",
    "/errorSummary",
    "/error/message",
    "/message",
    "/Message",
    "/error/code",
    "/error",
];

/// Makes requests to one origin.
pub struct Client {
    session: Session,
    surroundings: Surroundings,
    origin: url::Origin,
    headers: Vec<(String, String)>,
    /// What is never to be seen in a message.
    secrets: Vec<String>,
    patience_ms: i64,
    /// Whether there was an answer, whatever it said.
    is_reached: bool,
    /// Why it was given up before there was any: nobody has to wait for that twice.
    given_up: Option<SourceError>,
    judge: Judge,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Request<'r> {
    pub url: &'r Url,
    /// Beside those of the client.
    pub headers: Vec<(String, String)>,
    /// Sent by POST; nothing is a GET.
    pub body: Option<Vec<u8>>,
    /// What its refusals mean, before the judge of the client is asked.
    pub judge: Option<Judge>,
}

impl<'r> Request<'r> {
    pub fn get(url: &'r Url) -> Self {
        Self { url, headers: Vec::new(), body: None, judge: None }
    }

    /// A form (`application/x-www-form-urlencoded`).
    pub fn form(url: &'r Url, fields: &[(&str, &str)]) -> Self {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let body = form.extend_pairs(fields).finish();
        Self::get(url).with_body("application/x-www-form-urlencoded", body.into_bytes())
    }

    pub fn with_body(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self.with_header("Content-Type", content_type)
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// An answer of status 200 that is JSON.
#[derive(Clone, Debug)]
pub struct Answer {
    pub body: Value,
    /// Names in lower case; a name may stand there several times.
    pub headers: Vec<(String, String)>,
    /// The clock of the source, in milliseconds since 1970, if it says it.
    pub date: Option<i64>,
}

impl Answer {
    /// The body, where nothing but an object is of use.
    pub fn object(self) -> Result<Object, SourceError> {
        match self.body {
            Value::Object(object) => Ok(object),
            _ => Err(SourceError::failed(
                "the source answers 200 with something that is no JSON object",
            )),
        }
    }
}

/// An answer of status 200 that is a JSON object.
#[derive(Clone, Debug)]
pub struct Reply {
    pub object: Object,
    /// As in [`Answer`].
    pub date: Option<i64>,
}

/// An answer that is not what was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'r> {
    pub status: u16,
    /// Names in lower case.
    pub headers: &'r [(String, String)],
    /// Null for what is no JSON.
    pub body: &'r Value,
}

impl Refusal<'_> {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.headers, name)
    }

    /// A text of the body, by JSON pointer; empty for none.
    pub fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Milliseconds that `Retry-After` asks for.
    pub fn retry_after_ms(&self) -> Option<i64> {
        pause(self.header("retry-after")?, self.date())
    }

    /// Milliseconds until a time that a header holds in seconds since 1970, by the clock of the source.
    pub fn until_ms(&self, name: &str) -> Option<i64> {
        let at = self.header(name)?.parse::<i64>().ok()?.checked_mul(1_000)?;
        Some(at.saturating_sub(self.date()?).max(0))
    }

    fn date(&self) -> Option<i64> {
        instant(self.header("date")?)
    }
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Later it may work; after so many milliseconds, if the source says so.
    Busy {
        pause_ms: Option<i64>,
    },
    /// Whoever asks is not known, or its token has ended.
    Unauthorized,
    /// Whoever asks must not have it.
    Refused,
    /// The cursor is not known any more.
    CursorLost,
    Failed,
}

/// What a source means that says things in a way of its own; `None` for what it says like others.
pub type Judge = fn(&Refusal<'_>) -> Option<Verdict>;

/// What an answer means to whoever looks at it as a whole; words go into a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// What was asked for.
    Answer,
    /// Later it may work; after so many milliseconds, if the source says so.
    Busy {
        words: String,
        pause_ms: Option<i64>,
    },
    Credentials(String),
    Failed(String),
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// A new token may be accepted.
    Unauthorized(String),
    Other(SourceError),
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        Self::Other(error)
    }
}

impl From<Trouble> for SourceError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unauthorized(message) => Self::Credentials(message),
            Trouble::Other(error) => error,
        }
    }
}

impl Client {
    pub fn new(
        base: &Url,
        headers: Vec<(String, String)>,
        secrets: Vec<String>,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            session: surroundings.outbound.session(surroundings.request_timeout),
            origin: base.origin(),
            patience_ms: surroundings.patience_ms.min(FIRST_PATIENCE_MS),
            is_reached: false,
            given_up: None,
            surroundings,
            headers,
            secrets: secrets.into_iter().filter(|secret| !secret.is_empty()).collect(),
            judge: |_| None,
        }
    }

    /// Lets a source mean things in a way of its own.
    pub fn judged_by(self, judge: Judge) -> Self {
        Self { judge, ..self }
    }

    /// Never shows that text.
    pub(super) fn hide(&mut self, secret: &str) {
        if !secret.is_empty() && !self.secrets.iter().any(|known| known == secret) {
            self.secrets.push(secret.to_owned());
        }
    }

    /// The JSON object at an address of the origin.
    pub fn get(&mut self, url: &Url) -> Result<Reply, SourceError> {
        let answer = self.send(&Request::get(url))?;
        let date = answer.date;
        Ok(Reply { object: answer.object()?, date })
    }

    /// The JSON that an address of the origin answers.
    pub fn send(&mut self, request: &Request<'_>) -> Result<Answer, SourceError> {
        Ok(self.exchange(request)?)
    }

    /// The same; a token that is not accepted is told apart.
    pub(super) fn exchange(&mut self, request: &Request<'_>) -> Result<Answer, Trouble> {
        let judged = |client: &Self, fetched: Fetched| client.judged(fetched, request.judge);
        self.tried(&mut || Ok(request.clone()), &judged)
    }

    /// The answer to a request that is made anew for each try, as a signature with a time has to be, and
    /// judged by who reads it. What it is for is up to them: nothing of it is looked at here.
    pub fn send_made<'r>(
        &mut self,
        make: &mut dyn FnMut() -> Result<Request<'r>, SourceError>,
        judge: &dyn Fn(&Fetched) -> Judgement,
    ) -> Result<Fetched, SourceError> {
        let judged = |client: &Self, fetched: Fetched| match judge(&fetched) {
            Judgement::Answer => Ok(Judged::Good(fetched)),
            Judgement::Busy { words, pause_ms } => {
                Ok(Judged::Busy { message: client.clean(&words), pause_ms })
            }
            Judgement::Credentials(words) => {
                Err(SourceError::Credentials(client.clean(&words)).into())
            }
            Judgement::Failed(words) => Err(SourceError::failed(client.clean(&words)).into()),
        };
        Ok(self.tried(make, &judged)?)
    }

    /// Sends a request until there is an answer, or patience ends.
    fn tried<'r, T>(
        &mut self,
        make: &mut dyn FnMut() -> Result<Request<'r>, SourceError>,
        judge: &Understand<'_, T>,
    ) -> Result<T, Trouble> {
        if let Some(error) = &self.given_up {
            return Err(error.clone().into());
        }
        let mut tries = 0;
        loop {
            self.surroundings.term.check()?;
            tries += 1;
            let Request { url, headers, body, .. } = make()?;
            // A link that an answer holds may lead anywhere, and would take the credentials along.
            if url.origin() != self.origin {
                let host = url.host_str().unwrap_or_default();
                let message = format!("the source leads to {host}, which is not its own address");
                return Err(SourceError::failed(message).into());
            }
            let headers: Vec<_> = self.headers.iter().cloned().chain(headers).collect();
            let watch = Stopwatch::start();
            let fetched = self.session.fetch(url.as_str(), &headers, body.as_deref(), MAX_BODY);
            if fetched.is_ok() && !self.is_reached {
                self.is_reached = true;
                self.patience_ms = self.surroundings.patience_ms;
            }
            let (message, pause_ms) = match fetched {
                Ok(fetched) => match judge(self, fetched)? {
                    Judged::Good(answer) => {
                        let most = self.surroundings.patience_ms;
                        self.patience_ms = refilled(self.patience_ms, most);
                        return Ok(answer);
                    }
                    Judged::Busy { message, pause_ms } => (message, pause_ms),
                },
                Err(OutboundError::Forbidden(reason)) => {
                    let message = format!("it must not be called: {reason}");
                    return Err(SourceError::failed(message).into());
                }
                Err(OutboundError::Untrusted(reason)) => {
                    return Err(self.ends(SourceError::failed(self.broken(&reason))).into());
                }
                Err(OutboundError::Failed(reason)) => (self.broken(&reason), None),
            };
            let spent = i64::try_from(watch.elapsed().as_millis()).unwrap_or(i64::MAX);
            self.patience_ms = self.patience_ms.saturating_sub(spent);
            self.wait(message, pause_ms, tries)?;
        }
    }

    fn judged(&self, fetched: Fetched, own: Option<Judge>) -> Result<Judged<Answer>, Trouble> {
        let Fetched { status, headers, body } = fetched;
        let parsed = serde_json::from_slice::<Value>(&body);
        if status == 200 {
            return match parsed {
                Ok(body) => {
                    let date = header(&headers, "date").and_then(instant);
                    Ok(Judged::Good(Answer { body, headers, date }))
                }
                Err(_) => Err(SourceError::failed(
                    "the source answers 200 with something that is no JSON object",
                )
                .into()),
            };
        }
        let body = parsed.unwrap_or_default();
        let refusal = Refusal { status, headers: &headers, body: &body };
        let message = self.words(&refusal);
        let verdict = own.and_then(|own| own(&refusal)).or_else(|| (self.judge)(&refusal));
        match verdict.unwrap_or_else(|| usual(&refusal)) {
            Verdict::Busy { pause_ms } => Ok(Judged::Busy { message, pause_ms }),
            Verdict::Unauthorized => Err(Trouble::Unauthorized(message)),
            Verdict::Refused => Err(SourceError::Credentials(message).into()),
            Verdict::CursorLost => Err(SourceError::CursorLost(message).into()),
            Verdict::Failed => Err(SourceError::failed(message).into()),
        }
    }

    /// What a source says about a refusal, in its own words as far as they are words.
    fn words(&self, refusal: &Refusal<'_>) -> String {
        let said = WORDS.iter().map(|pointer| refusal.text(pointer)).find(|text| !text.is_empty());
        let status = refusal.status;
        match said {
            None => format!("the source answers {status}"),
            Some(said) => format!("the source answers {status}: {}", self.clean(said)),
        }
    }

    /// Why there was no answer, and of whom: a source may be asked at several addresses.
    fn broken(&self, reason: &str) -> String {
        let reason = self.clean(reason.strip_prefix("io: ").unwrap_or(reason));
        format!("{}: {reason}", self.origin.ascii_serialization())
    }

    fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), "[secret]");
        }
        let spaced = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        spaced.take(MAX_WORDS).collect()
    }

    /// Waits for a busy source, or gives up.
    fn wait(
        &mut self,
        message: String,
        asked_ms: Option<i64>,
        tries: u32,
    ) -> Result<(), SourceError> {
        let own = || own_pause_ms(self.surroundings.first_retry_ms, tries);
        let pause = asked_ms.unwrap_or_else(own).max(0);
        let most = if self.is_reached { TRIES } else { FIRST_TRIES };
        if tries >= most || pause > self.patience_ms {
            return Err(self.ends(SourceError::Failed { message, retry_after_ms: asked_ms }));
        }
        self.patience_ms -= pause;
        self.surroundings.term.rest(pause)
    }

    fn ends(&mut self, error: SourceError) -> SourceError {
        if !self.is_reached {
            self.given_up = Some(error.clone());
        }
        error
    }
}

/// A pause after so many tries: twice as long each time, and not as long as others wait who were refused at the
/// same moment.
pub(super) fn own_pause_ms(first_ms: i64, tries: u32) -> i64 {
    let longest = (first_ms.max(1) << tries.saturating_sub(1).min(10)).min(MAX_OWN_PAUSE_MS);
    let mut random = [0; 4];
    fill_random(&mut random);
    let half = longest / 2;
    half + i64::from(u32::from_le_bytes(random)) % (longest - half).max(1)
}

/// Says what an answer is.
type Understand<'j, T> = dyn Fn(&Client, Fetched) -> Result<Judged<T>, Trouble> + 'j;

enum Judged<T> {
    Good(T),
    Busy { message: String, pause_ms: Option<i64> },
}

/// Patience after a good answer: never more than `most`, which there was in the beginning.
fn refilled(patience_ms: i64, most: i64) -> i64 {
    patience_ms.max(0).saturating_add(REFILL_MS).min(most)
}

/// What a refusal means where nothing else is agreed (RFC 9110 §15).
fn usual(refusal: &Refusal<'_>) -> Verdict {
    match refusal.status {
        401 => Verdict::Unauthorized,
        403 => Verdict::Refused,
        429 | 500 | 502..=599 => Verdict::Busy { pause_ms: refusal.retry_after_ms() },
        _ => Verdict::Failed,
    }
}

/// Most pages of one walk, and most pages without a row one after another: a source that always leads on must not
/// take a place among those that are read for ever.
const MAX_PAGES: usize = 100_000;
const MAX_EMPTY: usize = 200;

/// The places that a walk through pages has been at.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    places: HashSet<String>,
    empty: usize,
}

impl Trail {
    /// Notes a page with so many rows that were not there before. Fails where the source leads in a circle, or does
    /// not get on.
    pub fn step(&mut self, place: &str, rows: usize) -> Result<(), SourceError> {
        if !self.places.insert(place.to_owned()) {
            return Err(SourceError::failed("the source gives the same page again"));
        }
        self.empty = if rows == 0 { self.empty + 1 } else { 0 };
        let without_end = |limit: usize, pages: &str| {
            Err(SourceError::failed(format!("the source gives more than {limit} {pages}")))
        };
        match (self.places.len(), self.empty) {
            (pages, _) if pages > MAX_PAGES => without_end(MAX_PAGES, "pages of one list"),
            (_, empty) if empty > MAX_EMPTY => without_end(MAX_EMPTY, "pages without anything new"),
            _ => Ok(()),
        }
    }
}

/// An address that an answer holds. Whether it may be called is seen when it is.
pub fn link(text: &str) -> Result<Url, SourceError> {
    Url::parse(text).map_err(|_| SourceError::failed("the source gives a link that is no URL"))
}

fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
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
    use serde_json::json;

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

    #[test]
    fn refusals_mean_what_others_mean_by_them() {
        let headers = [
            ("date".to_owned(), "Sat, 21 Nov 2026 20:00:00 GMT".to_owned()),
            ("retry-after".to_owned(), "7".to_owned()),
            ("x-rate-limit-reset".to_owned(), "1795291209".to_owned()),
        ];
        let body = json!({"error": {"message": "Too many."}});
        for (status, expected) in [
            (400, Verdict::Failed),
            (401, Verdict::Unauthorized),
            (403, Verdict::Refused),
            (404, Verdict::Failed),
            (429, Verdict::Busy { pause_ms: Some(7_000) }),
            (500, Verdict::Busy { pause_ms: Some(7_000) }),
            (501, Verdict::Failed),
            (503, Verdict::Busy { pause_ms: Some(7_000) }),
        ] {
            let refusal = Refusal { status, headers: &headers, body: &body };
            assert_eq!(usual(&refusal), expected, "{status}");
            assert_eq!(refusal.until_ms("x-rate-limit-reset"), Some(9_000));
            assert_eq!(refusal.text("/error/message"), "Too many.");
        }
    }

    #[test]
    fn walks_that_do_not_get_on_end() {
        let mut trail = Trail::default();
        for page in 0..MAX_EMPTY {
            assert_eq!(trail.step(&page.to_string(), 0), Ok(()));
        }
        assert_eq!(trail.step("new", 1), Ok(()), "what comes at last counts");
        assert!(trail.step("new", 1).is_err(), "a circle");
        let mut empty = (0..=MAX_EMPTY).map(|page| trail.step(&format!("empty {page}"), 0));
        assert!(empty.any(|stepped| stepped.is_err()));
        let mut pages = (0..=MAX_PAGES).map(|page| trail.step(&format!("page {page}"), 1));
        assert!(pages.any(|stepped| stepped.is_err()));
    }

    #[test]
    fn patience_comes_back_with_every_answer_and_never_grows() {
        let refilled = |patience| refilled(patience, PATIENCE_MS);
        assert_eq!(refilled(PATIENCE_MS), PATIENCE_MS);
        assert_eq!(refilled(0), REFILL_MS);
        assert_eq!(refilled(-5), REFILL_MS, "a request in vain may have taken longer");
        // A source that asks for a pause of 20 seconds before every page is read to its end.
        let after = (0..10_000).fold(PATIENCE_MS, |patience, _| refilled(patience - 20_000));
        assert_eq!(after, PATIENCE_MS);
        // One that asks for 80 is not.
        let after = (0..10).fold(PATIENCE_MS, |patience, _| refilled(patience - 80_000));
        assert!(after < 80_000, "{after}");
    }

    #[test]
    fn walk_in_a_circle_ends() {
        let mut trail = Trail::default();
        assert_eq!(trail.step("a", 1), Ok(()));
        assert_eq!(trail.step("b", 1), Ok(()));
        assert!(trail.step("a", 1).is_err());
    }
}
