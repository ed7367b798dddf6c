//! `Prefer: respond-async` and what its `Location` leads to (RFC 9967 §2.5.1.1, RFC 7240 §4.1, §4.3).

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, IF_MATCH, LOCATION, RETRY_AFTER};
use serde_json::json;

use super::{Call, HttpError, MEDIA_TYPE, Problem, State, resources};
use crate::scim::Object;
use crate::service::asynchronous::{Completion, Form, single};

/// A tag that no version has.
const NO_TAG: &str = "\"\"";

const SET_TXN: HeaderName = HeaderName::from_static("set-txn");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What a client prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Preference {
    /// How long it would rather wait for the ordinary answer.
    wait: Option<Duration>,
}

impl Preference {
    /// `None` unless the client asks for an asynchronous answer.
    pub(super) fn of(call: &Call) -> Option<Self> {
        // A preference may be passed over (RFC 7240 §2).
        if !call.access.directory.profile.async_requests {
            return None;
        }
        let lines: Vec<&str> = call
            .request
            .headers()
            .get_all(PREFER)
            .filter_map(|value| value.to_str().ok())
            .collect();
        Self::parse(&lines.join(","))
    }

    fn parse(header: &str) -> Option<Self> {
        let mut preference = Self { wait: None };
        let mut wanted = false;
        for part in header.split([',', ';']).map(str::trim) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "respond-async" => wanted = true,
                "wait" => {
                    let seconds = value.trim().trim_matches('"').parse().ok();
                    preference.wait = seconds.map(Duration::from_secs);
                }
                _ => {}
            }
        }
        wanted.then_some(preference)
    }
}

/// Accepts a bulk request.
pub(super) async fn bulk(
    call: &Call,
    state: &State,
    preference: Preference,
    body: Object,
) -> Result<HttpResponse, HttpError> {
    accept(call, state, preference, Form::Bulk, body).await
}

/// Accepts a request about one resource or endpoint; `path` is the one below the base URL.
pub(super) async fn one(
    call: &Call,
    state: &State,
    preference: Preference,
    path: String,
    body: Option<Object>,
) -> Result<HttpResponse, HttpError> {
    let lines: Vec<&str> = call
        .request
        .headers()
        .get_all(IF_MATCH)
        .map(|value| value.to_str().unwrap_or_default())
        .collect();
    // A condition that names no version stands too; in a bulk operation a blank one would be none.
    let version = (!lines.is_empty()).then(|| lines.join(","));
    let version = version.map(|v| if v.trim().is_empty() { NO_TAG.to_owned() } else { v });
    let body = single(call.request.method().as_str(), path, version, body);
    accept(call, state, preference, Form::Single, body).await
}

async fn accept(
    call: &Call,
    state: &State,
    preference: Preference,
    form: Form,
    body: Object,
) -> Result<HttpResponse, HttpError> {
    let (access, base) = (&call.access, &call.base);
    let accepted = state.service.asynchronous(access, base, form, body, preference.wait).await?;
    // An outcome that stands alone is no ordinary answer: that one would hold the resource.
    if let (Some(answer), Form::Bulk) = (&accepted.answer, form) {
        return Ok(HttpResponse::Ok().content_type(MEDIA_TYPE).body(answer.to_string()));
    }
    Ok(HttpResponse::Accepted()
        .insert_header((LOCATION, format!("{base}/Async/{}", accepted.txn)))
        .insert_header((PREFERENCE_APPLIED, "respond-async"))
        .insert_header((SET_TXN, accepted.txn))
        .finish())
}

/// `/Async/{txn}`: 202 while the request runs, then what a bulk answer says of it. Only the directory
/// that the request was made in knows it.
pub(super) async fn completion(
    call: &Call,
    state: &State,
    txn: &str,
) -> Result<HttpResponse, HttpError> {
    resources::refuse_conditions(call)?;
    if !matches!(*call.request.method(), Method::GET | Method::HEAD) {
        return Err(HttpError::scim(Problem::Method("GET, HEAD")));
    }
    Ok(match state.service.completion(&call.access, txn).await? {
        Completion::Running(done) => HttpResponse::Accepted()
            .insert_header((RETRY_AFTER, "1"))
            .insert_header((SET_TXN, txn))
            .content_type("application/json")
            .body(json!({"txn": txn, "status": "running", "operationsDone": done}).to_string()),
        Completion::Done(answer) => HttpResponse::Ok()
            .insert_header((SET_TXN, txn))
            .content_type(MEDIA_TYPE)
            .body(answer.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_that_clients_send() {
        let preference =
            |wait: Option<u64>| Some(Preference { wait: wait.map(Duration::from_secs) });
        for (header, expected) in [
            ("respond-async", preference(None)),
            ("Respond-Async, wait=10", preference(Some(10))),
            ("wait=\"5\", handling=strict, respond-async", preference(Some(5))),
            ("respond-async; wait=x", preference(None)),
            ("wait=10", None),
            ("return=minimal", None),
            ("", None),
        ] {
            assert_eq!(Preference::parse(header), expected, "{header}");
        }
    }
}
