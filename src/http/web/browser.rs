//! What a browser brings and keeps: cookies, and forms that prove which page they come from.

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_TYPE, COOKIE, HeaderValue};
use actix_web::web::Payload;
use url::Url;

use crate::http::body::{self, Query};
use crate::http::error::{HttpError, Surface};
use crate::http::{State, caller};
use crate::scim::ScimError;
use crate::service::error::AdminError;
use crate::service::portal::is_same_secret;

/// Largest form, in bytes.
const MAX_FORM_BYTES: usize = 256 * 1024;

/// The field of every form that proves where it comes from.
const PROOF: &str = "proof";

/// A cookie of the portal or of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Cookie {
    /// Given with the page of a link: the exchange comes from the same browser.
    Start,
    Session,
    /// Given with the form that signs in: it is sent from the same browser.
    ConsoleStart,
    Console,
    /// Given to a browser in which somebody has signed in with a password, and kept when they sign out.
    ConsoleKnown,
    /// Given while an OpenID provider signs in, which leads back from another site.
    ConsoleAway,
}

/// How the browser reaches the server.
#[derive(Clone, Debug)]
pub(in crate::http) struct Site {
    /// The path of the public URL, without a slash at its end: what every link of a page begins with.
    pub(in crate::http) base: String,
    pub(in crate::http) public_url: String,
    is_secure: bool,
}

impl Site {
    pub(in crate::http) fn of(request: &HttpRequest, state: &State) -> Self {
        let public_url = caller::public_url(request, state);
        let path = Url::parse(&public_url).map(|url| url.path().to_owned()).unwrap_or_default();
        Self {
            base: path.trim_end_matches('/').to_owned(),
            is_secure: public_url.starts_with("https://"),
            public_url,
        }
    }

    /// A name with `__Host-` is believed only from this host, over TLS, for all paths.
    fn name(&self, cookie: Cookie) -> &'static str {
        match (cookie, self.is_secure) {
            (Cookie::Start, true) => "__Host-rollbook_setup_start",
            (Cookie::Start, false) => "rollbook_setup_start",
            (Cookie::Session, true) => "__Host-rollbook_setup",
            (Cookie::Session, false) => "rollbook_setup",
            (Cookie::ConsoleStart, true) => "__Host-rollbook_console_start",
            (Cookie::ConsoleStart, false) => "rollbook_console_start",
            (Cookie::Console, true) => "__Host-rollbook_console",
            (Cookie::Console, false) => "rollbook_console",
            (Cookie::ConsoleKnown, true) => "__Host-rollbook_console_known",
            (Cookie::ConsoleKnown, false) => "rollbook_console_known",
            (Cookie::ConsoleAway, true) => "__Host-rollbook_console_away",
            (Cookie::ConsoleAway, false) => "rollbook_console_away",
        }
    }

    /// The value that the browser sent.
    pub(in crate::http) fn cookie(&self, request: &HttpRequest, cookie: Cookie) -> Option<String> {
        let name = self.name(cookie);
        let lines = request.headers().get_all(COOKIE).filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|p| p.split_once('='));
        pairs.find(|(known, _)| known.trim() == name).map(|(_, value)| value.trim().to_owned())
    }

    /// `Set-Cookie` for so many seconds, for as long as the browser runs, or (zero) to take it away. It is
    /// not sent with requests that another site begins, and no script reads it. Only where an OpenID
    /// provider leads back does a link of another site bring its cookie along.
    pub(in crate::http) fn set(&self, cookie: Cookie, value: &str, seconds: Option<i64>) -> String {
        let life = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        let secure = if self.is_secure { "; Secure" } else { "" };
        let name = self.name(cookie);
        let site = if cookie == Cookie::ConsoleAway { "Lax" } else { "Strict" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite={site}{secure}{life}")
    }
}

/// The fields of a form (`application/x-www-form-urlencoded`).
pub(in crate::http) struct Form(Query);

impl Form {
    pub(in crate::http) async fn read(
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<Self, HttpError> {
        let wrong = |error: ScimError| HttpError::on(Surface::Page, error);
        let header = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = header.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let message = "The request must be a form: application/x-www-form-urlencoded.";
            return Err(wrong(ScimError::new(415, message)));
        }
        let body = body::read(payload, MAX_FORM_BYTES).await.map_err(wrong)?;
        let text = str::from_utf8(&body)
            .map_err(|_| wrong(ScimError::invalid_syntax("The form is not UTF-8.")))?;
        Query::parse(text).map(Self).map_err(wrong)
    }

    /// A form that was sent in another shape.
    pub(in crate::http) fn of(fields: Query) -> Self {
        Self(fields)
    }

    /// A field; empty when it is not there.
    pub(in crate::http) fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_default()
    }

    /// Every field of that name, in order.
    pub(in crate::http) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.all(name)
    }

    /// A field that was filled in.
    pub(in crate::http) fn filled(&self, name: &str) -> Option<&str> {
        Some(self.get(name).trim()).filter(|text| !text.is_empty())
    }

    /// Refuses a form that another site made, or another page. `Origin` says nothing here: pages that name
    /// themselves to nobody send `null`.
    pub(in crate::http) fn check(
        &self,
        request: &HttpRequest,
        proof: &str,
    ) -> Result<(), HttpError> {
        let sent_by = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
        let is_own =
            sent_by.is_none_or(|site| [b"same-origin".as_slice(), b"none"].contains(&site));
        if is_own && is_same_secret(self.get(PROOF), proof) {
            return Ok(());
        }
        let message = "This form does not belong to this session. Open the page again and send the form \
                       from there; the browser has to accept cookies of this site.";
        Err(HttpError::on(Surface::Page, AdminError::new(403, "forged_form", message)))
    }
}
