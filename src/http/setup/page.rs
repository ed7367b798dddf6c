//! The pages of the portal.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use crate::http::web::page::respond as show;
use crate::http::web::text::plain_time;
use crate::scim::key::instant_text;
use crate::service::administer::{DirectoryView, TokenView};
use crate::service::portal::guide::{Guide, Mark};
use crate::service::portal::{Arrived, Landing};

/// Seconds after which the page of what arrives is read again.
const REFRESH_SECONDS: u32 = 5;

/// What the pages of a session have in common.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// What every path of a link begins with.
    pub(super) base: String,
    /// What every address begins with that is pasted elsewhere.
    pub(super) public_url: String,
    pub(super) organization: String,
    pub(super) return_url: Option<String>,
    /// When the session ends.
    pub(super) until: String,
    /// Goes into every form.
    pub(super) proof: String,
}

impl Frame {
    /// What an administrator pastes into the identity provider.
    fn base_url(&self, directory: &DirectoryView) -> String {
        format!("{}/scim/v2/{}", self.public_url, directory.external_key)
    }
}

#[derive(Template)]
#[template(path = "setup/landing.html")]
struct LandingPage<'p> {
    base: &'p str,
    organization: &'p str,
    until: String,
    link: &'p str,
    proof: &'p str,
}

#[derive(Template)]
#[template(path = "setup/closed.html")]
struct ClosedPage<'p> {
    base: &'p str,
}

#[derive(Template)]
#[template(path = "setup/home.html")]
struct HomePage<'p> {
    frame: &'p Frame,
    directories: Vec<Shown<'p>>,
    guides: Vec<&'static Guide>,
}

#[derive(Template)]
#[template(path = "setup/directory.html")]
struct DirectoryPage<'p> {
    frame: &'p Frame,
    directory: Shown<'p>,
    base_url: String,
    tokens: Vec<ShownToken<'p>>,
    newest: &'p str,
    guide: Option<&'static Guide>,
}

#[derive(Template)]
#[template(path = "setup/token.html")]
struct TokenPage<'p> {
    frame: &'p Frame,
    directory: Shown<'p>,
    base_url: String,
    secret: &'p str,
}

#[derive(Template)]
#[template(path = "setup/status.html")]
struct StatusPage<'p> {
    frame: &'p Frame,
    directory: Shown<'p>,
    arrived: &'p Arrived,
    refresh: u32,
}

#[derive(Template)]
#[template(path = "setup/finished.html")]
struct FinishedPage<'p> {
    frame: &'p Frame,
    onward: Option<&'p str>,
}

/// A directory as pages name it.
struct Shown<'p> {
    id: &'p str,
    name: &'p str,
    provider: &'p str,
    /// What is to be said about its state; empty while it works.
    trouble: &'static str,
    last_request: Option<String>,
}

impl<'p> Shown<'p> {
    fn of(directory: &'p DirectoryView) -> Self {
        let provider = Guide::of_kind(&directory.kind).map(|guide| guide.title.as_str());
        Self {
            id: &directory.id,
            name: &directory.name,
            provider: provider.unwrap_or(&directory.kind),
            trouble: match directory.state.as_str() {
                "paused" => {
                    "paused by the operator: what the provider sends now is refused for a while"
                }
                "disabled" => "switched off by the operator: what the provider sends is refused",
                _ => "",
            },
            last_request: directory.last_request_at.as_deref().map(plain_time),
        }
    }
}

struct ShownToken<'p> {
    suffix: &'p str,
    made: String,
    last_used: Option<String>,
}

pub(super) fn landing(base: &str, landing: &Landing, link: &str, proof: &str) -> HttpResponse {
    let until = plain_time(&instant_text(landing.expires));
    let organization = &landing.organization;
    show(StatusCode::OK, &LandingPage { base, organization, until, link, proof })
}

/// The same for links that were used, have ended, were revoked or never were.
pub(super) fn closed(base: &str) -> HttpResponse {
    show(StatusCode::NOT_FOUND, &ClosedPage { base })
}

pub(super) fn home(frame: &Frame, directories: &[DirectoryView]) -> HttpResponse {
    let directories = directories.iter().map(Shown::of).collect();
    show(StatusCode::OK, &HomePage { frame, directories, guides: Guide::offered().collect() })
}

pub(super) fn directory(
    frame: &Frame,
    directory: &DirectoryView,
    tokens: &[TokenView],
    guide: Option<&'static Guide>,
) -> HttpResponse {
    let shown = tokens.iter().map(|token| ShownToken {
        suffix: &token.suffix,
        made: plain_time(&token.created_at),
        last_used: token.last_used_at.as_deref().map(plain_time),
    });
    let page = DirectoryPage {
        frame,
        directory: Shown::of(directory),
        base_url: frame.base_url(directory),
        tokens: shown.collect(),
        newest: tokens.first().map_or("", |token| &token.id),
        guide,
    };
    show(StatusCode::OK, &page)
}

pub(super) fn token(frame: &Frame, directory: &DirectoryView, token: &TokenView) -> HttpResponse {
    let page = TokenPage {
        frame,
        directory: Shown::of(directory),
        base_url: frame.base_url(directory),
        secret: token.secret.as_deref().unwrap_or_default(),
    };
    show(StatusCode::OK, &page)
}

pub(super) fn status(frame: &Frame, directory: &DirectoryView, arrived: &Arrived) -> HttpResponse {
    let directory = Shown::of(directory);
    show(StatusCode::OK, &StatusPage { frame, directory, arrived, refresh: REFRESH_SECONDS })
}

pub(super) fn finished(frame: &Frame, onward: Option<&str>) -> HttpResponse {
    show(StatusCode::OK, &FinishedPage { frame, onward })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::portal::guide::Span;
    use crate::service::portal::{Heard, Refused};

    const NASTY: &str = "<script>alert(1)</script>\"'&";

    fn frame() -> Frame {
        Frame {
            base: String::new(),
            public_url: String::new(),
            organization: NASTY.into(),
            return_url: Some(format!("https://app.example.com/?a=\"{NASTY}")),
            until: NASTY.into(),
            proof: NASTY.into(),
        }
    }

    #[test]
    fn templates_escape_what_they_are_given() {
        let frame = frame();
        let shown = || Shown {
            id: NASTY,
            name: NASTY,
            provider: NASTY,
            trouble: "",
            last_request: Some(NASTY.into()),
        };
        let span = |mark| Span { mark, text: NASTY.into() };
        let steps = vec![[Mark::Plain, Mark::Strong, Mark::Code].map(span).to_vec()];
        let guide = Guide { provider: NASTY, title: NASTY.into(), steps };
        let heard = || Heard { at: NASTY.into(), wish: NASTY.into(), status: 409 };
        let nothing = Arrived {
            active_users: 0,
            inactive_users: 0,
            groups: 0,
            last_request_at: Some(NASTY.into()),
            recent: Vec::new(),
            refused: None,
            kept_days: 7,
        };
        let arrived = Arrived {
            recent: vec![heard()],
            refused: Some(Refused { heard: heard(), meaning: NASTY, detail: NASTY.into() }),
            ..nothing.clone()
        };
        let pages = [
            LandingPage {
                base: "",
                organization: NASTY,
                until: NASTY.into(),
                link: NASTY,
                proof: NASTY,
            }
            .render(),
            HomePage { frame: &frame, directories: vec![shown()], guides: Vec::new() }.render(),
            TokenPage { frame: &frame, directory: shown(), base_url: NASTY.into(), secret: NASTY }
                .render(),
            FinishedPage { frame: &frame, onward: Some(NASTY) }.render(),
            DirectoryPage {
                frame: &frame,
                directory: shown(),
                base_url: NASTY.into(),
                tokens: vec![ShownToken {
                    suffix: NASTY,
                    made: NASTY.into(),
                    last_used: Some(NASTY.into()),
                }],
                newest: NASTY,
                guide: Some(Box::leak(Box::new(guide))),
            }
            .render(),
            StatusPage { frame: &frame, directory: shown(), arrived: &arrived, refresh: 5 }
                .render(),
            StatusPage { frame: &frame, directory: shown(), arrived: &nothing, refresh: 5 }
                .render(),
        ];
        for page in pages {
            let page = page.expect("a page");
            assert!(page.contains("alert(1)"), "{page}");
            assert!(!page.contains("<script>") && !page.contains("\"'"), "{page}");
        }
    }
}
