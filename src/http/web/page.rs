//! Answers that are pages, and the headers that every one of them has. Templates escape whatever they are
//! given.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, REFERRER_POLICY,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use askama::Template;

use super::look::Look;

/// Everything comes from this server, nothing stands in the page itself: neither script nor style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";

/// An answer that shows the page.
pub(in crate::http) fn respond(status: StatusCode, page: &impl Template) -> HttpResponse {
    secure(&mut HttpResponse::build(status)).content_type(HTML).body(text(page))
}

/// Leads to a path of this server with GET.
pub(in crate::http) fn lead_to(path: &str) -> HttpResponse {
    secure(&mut HttpResponse::SeeOther()).insert_header((LOCATION, path)).finish()
}

/// The same path of this server is written otherwise.
pub(in crate::http) fn stands_at(path: &str) -> HttpResponse {
    secure(&mut HttpResponse::PermanentRedirect()).insert_header((LOCATION, path)).finish()
}

/// Adds a cookie to the answer.
pub(in crate::http) fn put_cookie(answer: &mut HttpResponse, cookie: &str) {
    if let Ok(value) = cookie.parse() {
        answer.headers_mut().append(SET_COOKIE, value);
    }
}

#[expect(clippy::expect_used, reason = "no filter of a template fails, and a String grows")]
fn text(page: &impl Template) -> String {
    page.render().expect("text is written into a String")
}

/// No cache keeps the answer, no site learns where it stood, and nobody frames it.
pub(in crate::http) fn secure(response: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    response
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header(("Cross-Origin-Opener-Policy", "same-origin"))
        .insert_header(("X-Robots-Tag", "noindex"))
}

/// A request that failed where people look. The error itself does not know under which path its page loads
/// what it needs, so the page is made when the answer leaves.
#[derive(Clone, Debug)]
pub(in crate::http) struct Failure {
    /// Of [`crate::service::error::AdminError`], if it was one.
    pub(in crate::http) code: Option<&'static str>,
    pub(in crate::http) sentence: String,
}

#[derive(Template)]
#[template(path = "web/failure.html")]
struct FailurePage<'p> {
    base: &'p str,
    /// Where it is known who is shown the failure.
    look: Option<&'p Look>,
    heading: &'p str,
    sentence: &'p str,
    /// Path and words of a link to where one can go on.
    onward: Option<(&'p str, &'p str)>,
}

impl Failure {
    /// An answer without a page yet; it may have headers already.
    pub(in crate::http) fn answer(self, response: &mut HttpResponseBuilder) -> HttpResponse {
        let mut answer = secure(response).finish();
        answer.extensions_mut().insert(self);
        answer
    }

    /// The page of a failure that was answered with that status at a path.
    pub(in crate::http) fn body(
        &self,
        status: StatusCode,
        base: &str,
        path: &str,
        look: Option<&Look>,
    ) -> BoxBody {
        let heading = match (status.as_u16(), self.code) {
            (403, Some("no_session")) => "There is no session for this",
            (403, Some("signed_out")) => "You are signed out",
            (403, Some("role_too_small")) => "Your role does not allow this",
            (403, _) => "This is not allowed",
            (404, _) => "There is nothing here",
            (409, _) => "Nothing was changed",
            (422, _) => "Something was not filled in as it has to be",
            (429, _) => "Too many requests",
            (500.., _) => "The server cannot do this now",
            _ => "The request was not understood",
        };
        let onward = match self.code {
            // The first page is behind the same session.
            Some("no_session") => None,
            _ if path.starts_with("/setup") => Some(("/setup", "All directories")),
            _ => Some(("/console", "To the overview")),
        };
        let sentence = &self.sentence;
        BoxBody::new(text(&FailurePage { base, look, heading, sentence, onward }))
    }

    pub(in crate::http) fn content_type() -> (actix_web::http::header::HeaderName, HeaderValue) {
        (CONTENT_TYPE, HeaderValue::from_static(HTML))
    }
}
