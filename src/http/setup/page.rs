//! What the pages of the portal have in common, and those of links and of the session.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::http::web::look::Look;
use crate::http::web::page::respond;
use crate::http::web::text as filters;
use crate::scim::Object;
use crate::service::administer::DirectoryView;
use crate::service::portal::{Landing, Offer};

/// What the pages of a session have in common.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// What every path of a link begins with.
    pub(super) base: String,
    pub(super) look: Look,
    /// What every address begins with that is pasted elsewhere.
    pub(super) public_url: String,
    pub(super) organization: String,
    pub(super) return_url: Option<String>,
    /// When the session ends.
    pub(super) until: String,
    /// Goes into every form.
    pub(super) proof: String,
    /// What was just done, as a sentence.
    pub(super) said: Option<&'static str>,
}

impl Frame {
    /// The path of a page of a directory: `/setup/directories/…/stop`.
    pub(super) fn of(&self, id: &str, page: &str) -> String {
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC).to_string().replace("%5F", "_");
        match page {
            "" => format!("{}/setup/directories/{id}", self.base),
            page => format!("{}/setup/directories/{id}/{page}", self.base),
        }
    }
}

/// What was just done, by the word in the address.
pub(super) fn said(key: &str) -> Option<&'static str> {
    Some(match key {
        "revoked" => "The token was revoked.",
        "saved" => "It was saved.",
        "paused" => "The directory is paused.",
        "resumed" => "The directory works again.",
        "frozen" => "The directory is frozen.",
        "called_off" => "The disconnection was called off.",
        "disconnecting" => "The directory is being disconnected.",
        "kept" => "The file was taken.",
        "approved" => "What was held goes ahead.",
        "rejected" => "What was held was rejected.",
        "released" => "What waited was let through.",
        "undone" => "What was taken away was put back.",
        _ => return None,
    })
}

/// A directory as pages name it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) provider: String,
    /// A word of `badge`.
    pub(super) state: String,
    /// It is read from its source.
    pub(super) is_read: bool,
    /// What an identity provider is given behind the public URL.
    pub(super) external_key: String,
    pub(super) last_request_at: Option<String>,
    pub(super) last_sync_at: Option<String>,
    pub(super) next_sync_at: Option<String>,
    pub(super) last_error: Option<String>,
    pub(super) settings: Value,
    /// Secrets are masked.
    pub(super) config: Object,
}

impl Shown {
    pub(super) fn of(directory: DirectoryView) -> Self {
        let is_read = directory.scim.is_none();
        Self {
            provider: Offer::title(&directory.kind).to_owned(),
            is_read,
            id: directory.id,
            name: directory.name,
            kind: directory.kind,
            state: directory.state,
            external_key: directory.external_key,
            last_request_at: directory.last_request_at,
            last_sync_at: directory.last_sync_at,
            next_sync_at: directory.next_sync_at,
            last_error: directory.last_error,
            settings: directory.settings,
            config: match directory.config {
                Some(Value::Object(config)) => config,
                _ => Object::new(),
            },
        }
    }

    /// What is to be said about its state; empty while it works.
    pub(super) fn trouble(&self) -> &'static str {
        match (self.state.as_str(), self.is_read) {
            ("paused", false) => "Paused: what the provider sends now is refused for a while.",
            ("paused", true) => "Paused: the source is not read now.",
            ("disabled", false) => "Switched off: what the provider sends is refused.",
            ("disabled", true) => "Switched off: the source is not read.",
            ("invalid_credentials", _) => "The source refuses the credentials.",
            ("error", _) => "The last synchronisation failed.",
            _ => "",
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.state.as_str(), "paused" | "disabled")
    }
}

/// Of pages without a session.
struct Outside<'p> {
    base: &'p str,
    look: Look,
}

#[derive(Template)]
#[template(path = "setup/landing.html")]
struct LandingPage<'p> {
    frame: Outside<'p>,
    organization: &'p str,
    until: i64,
    link: &'p str,
    proof: &'p str,
}

#[derive(Template)]
#[template(path = "setup/closed.html")]
struct ClosedPage<'p> {
    frame: Outside<'p>,
}

#[derive(Template)]
#[template(path = "setup/home.html")]
struct HomePage<'p> {
    frame: &'p Frame,
    directories: Vec<Shown>,
    pushed: Vec<Offer>,
    read: Vec<Offer>,
}

#[derive(Template)]
#[template(path = "setup/finished.html")]
struct FinishedPage<'p> {
    frame: &'p Frame,
    onward: Option<&'p str>,
}

pub(super) fn landing(
    base: &str,
    look: Look,
    landing: &Landing,
    (link, proof): (&str, &str),
) -> HttpResponse {
    let frame = Outside { base, look };
    let (organization, until) = (&landing.organization, landing.expires);
    respond(StatusCode::OK, &LandingPage { frame, organization, until, link, proof })
}

/// The same for links that were used, have ended, were revoked or never were.
pub(super) fn closed(base: &str, look: Look) -> HttpResponse {
    respond(StatusCode::NOT_FOUND, &ClosedPage { frame: Outside { base, look } })
}

pub(super) fn home(frame: &Frame, directories: Vec<Shown>) -> HttpResponse {
    let (pushed, read) = (Offer::pushed(), Offer::read());
    respond(StatusCode::OK, &HomePage { frame, directories, pushed, read })
}

pub(super) fn finished(frame: &Frame, onward: Option<&str>) -> HttpResponse {
    respond(StatusCode::OK, &FinishedPage { frame, onward })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "<script>alert(1)</script>\"'&";

    #[test]
    fn templates_escape_what_they_are_given() {
        let text = || NASTY.to_owned();
        let look = || Look { name: text(), logo: text(), stylesheet: text() };
        let frame = Frame {
            base: String::new(),
            look: look(),
            public_url: text(),
            organization: text(),
            return_url: Some(text()),
            until: text(),
            proof: text(),
            said: None,
        };
        let directory = Shown {
            id: text(),
            name: text(),
            kind: text(),
            provider: text(),
            state: text(),
            is_read: false,
            external_key: text(),
            last_request_at: Some(text()),
            last_sync_at: None,
            next_sync_at: None,
            last_error: Some(text()),
            settings: Value::Null,
            config: Object::new(),
        };
        let outside = || Outside { base: "", look: look() };
        let pages = [
            LandingPage {
                frame: outside(),
                organization: NASTY,
                until: 0,
                link: NASTY,
                proof: NASTY,
            }
            .render(),
            ClosedPage { frame: outside() }.render(),
            HomePage {
                frame: &frame,
                directories: vec![directory],
                pushed: Vec::new(),
                read: Vec::new(),
            }
            .render(),
            FinishedPage { frame: &frame, onward: Some(NASTY) }.render(),
        ];
        for page in pages {
            let page = page.expect("a page");
            assert!(page.contains("alert(1)"), "{page}");
            assert!(!page.contains("<script>") && !page.contains("\"'"), "{page}");
        }
    }
}
