//! Rate limits: applied once the caller is known and before the body is read, so that nobody uses up
//! what is another's, and shown in the answer.
//!
//! `RateLimit-Limit`, `-Remaining`, `-Reset` and `-Policy` are those of
//! draft-ietf-httpapi-ratelimit-headers-06; later drafts have one structured field, which clients do
//! not read yet.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};

use super::State;
use super::error::{HttpError, Surface};
use crate::service::limit::{Cost, Limited, Quota};
use crate::service::portal::Issued;
use crate::service::{Access, ApiAccess};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Who is limited.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject {
    Directory,
    ApiKey,
    /// Of the set-up portal.
    Visitor,
    /// Of the console.
    Administrator,
}

/// A request that is one too many for its caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooMany {
    subject: Subject,
    pub(super) limited: Limited,
}

impl From<Limited> for TooMany {
    /// The refusal of a directory.
    fn from(limited: Limited) -> Self {
        Self { subject: Subject::Directory, limited }
    }
}

impl TooMany {
    pub(super) fn sentence(&self) -> String {
        let who = match self.subject {
            Subject::Directory => "This directory",
            Subject::ApiKey => "This API key",
            Subject::Visitor => "This visit",
            Subject::Administrator => "This account",
        };
        let (rate, seconds) = (self.limited.quota.rate, self.limited.retry_seconds);
        let unit = if seconds == 1 { "second" } else { "seconds" };
        format!(
            "{who} may make {} requests a second in the long run and {} at once, and has made more; \
             try again in {seconds} {unit}.",
            rate.per_second, rate.burst
        )
    }
}

/// Takes a request of the directory out of its bucket.
pub(super) fn directory(
    request: &HttpRequest,
    state: &State,
    access: &Access,
    cost: Cost,
) -> Result<(), HttpError> {
    let outcome = state.service.limit_directory(access, cost);
    let provider = access.directory.provider;
    settle(request, state, outcome, Subject::Directory, provider).map_err(HttpError::scim)
}

/// Takes a request out of the bucket of the API key.
pub(super) fn api_key(
    request: &HttpRequest,
    state: &State,
    access: &ApiAccess,
) -> Result<(), HttpError> {
    let outcome = state.service.limit_api_key(access);
    let too_many = |problem| HttpError::on(Surface::Api, problem);
    settle(request, state, outcome, Subject::ApiKey, "").map_err(too_many)
}

/// Takes a request out of the bucket of a link of the set-up portal, or of its session.
pub(super) fn visitor(
    request: &HttpRequest,
    state: &State,
    issued: &Issued,
) -> Result<(), HttpError> {
    let outcome = state.service.limit_visitor(issued).map(Some);
    let too_many = |problem| HttpError::on(Surface::Page, problem);
    settle(request, state, outcome, Subject::Visitor, "").map_err(too_many)
}

/// Takes a request out of the bucket of an administrator.
pub(super) fn administrator(
    request: &HttpRequest,
    state: &State,
    access: &ApiAccess,
) -> Result<(), HttpError> {
    let outcome = state.service.limit_api_key(access);
    let too_many = |problem| HttpError::on(Surface::Page, problem);
    settle(request, state, outcome, Subject::Administrator, "").map_err(too_many)
}

/// Leaves what is left for [`show`], and counts a refusal.
fn settle(
    request: &HttpRequest,
    state: &State,
    outcome: Result<Option<Quota>, Limited>,
    subject: Subject,
    provider: &'static str,
) -> Result<(), TooMany> {
    let quota = match outcome {
        Ok(quota) => quota,
        Err(limited) => Some(limited.quota),
    };
    if let Some(quota) = quota {
        request.extensions_mut().insert(quota);
    }
    outcome.map(drop).map_err(|limited| {
        let surface = match subject {
            Subject::Directory => "scim",
            Subject::ApiKey => "management",
            Subject::Visitor => "portal",
            Subject::Administrator => "console",
        };
        state.metrics.rate_limited(surface, provider);
        TooMany { subject, limited }
    })
}

/// Writes what is left into the headers of the answer.
pub(super) fn show(quota: Quota, headers: &mut HeaderMap) {
    let rate = quota.rate;
    let window = rate.burst.div_ceil(rate.per_second.max(1));
    headers.insert(LIMIT, HeaderValue::from(rate.burst));
    headers.insert(REMAINING, HeaderValue::from(quota.remaining));
    headers.insert(RESET, HeaderValue::from(quota.reset_seconds));
    if let Ok(policy) = HeaderValue::from_str(&format!("{};w={window}", rate.burst)) {
        headers.insert(POLICY, policy);
    }
}
