//! The pages, and the headers that every one of them has. Templates escape whatever they are given.

use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::auth::secret;
use crate::scim::key::instant_text;
use crate::service::administer::{DirectoryView, TokenView};
use crate::service::portal::guide::{Guide, Mark};
use crate::service::portal::{Arrived, Landing};

/// The one style of all pages, in each of them.
const STYLE: &str = include_str!("../../../templates/setup/style.css");

/// Seconds after which the page of what arrives is read again.
const REFRESH_SECONDS: u32 = 5;

/// Nothing is fetched and nothing runs; the style is known by its hash (CSP 3 §8.4).
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(secret::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
});

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
#[template(path = "setup/failure.html")]
struct FailurePage<'p> {
    heading: &'p str,
    sentence: &'p str,
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

/// `2026-11-21T17:30:05.000Z` as people write it.
fn plain_time(at: &str) -> String {
    let (day, time) = at.split_once('T').unwrap_or((at, ""));
    let time = time.split(['.', 'Z']).next().unwrap_or_default();
    format!("{day} {time} UTC")
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

/// An error, into an answer that may have headers already.
pub(in crate::http) fn failure(
    response: &mut HttpResponseBuilder,
    status: StatusCode,
    sentence: &str,
) -> HttpResponse {
    let heading = match status.as_u16() {
        403 => "There is no session for this",
        404 => "There is nothing here",
        409 => "Nothing was changed",
        429 => "Too many requests",
        500.. => "The server cannot do this now",
        _ => "The request was not understood",
    };
    body(response, &FailurePage { heading, sentence })
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

fn show(status: StatusCode, page: &impl Template) -> HttpResponse {
    body(&mut HttpResponse::build(status), page)
}

#[expect(clippy::expect_used, reason = "a template has no fallible filter, and a String grows")]
fn body(response: &mut HttpResponseBuilder, page: &impl Template) -> HttpResponse {
    let text = page.render().expect("text is written into a String");
    secure(response).content_type("text/html; charset=utf-8").body(text)
}

/// No cache keeps the answer, no site learns where it stood, and nobody frames it.
pub(super) fn secure(response: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    response
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY.as_str()))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header(("Cross-Origin-Opener-Policy", "same-origin"))
        .insert_header(("X-Robots-Tag", "noindex"))
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
            FailurePage { heading: NASTY, sentence: NASTY }.render(),
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
            assert!(!page.contains("<script") && !page.contains("\"'"), "{page}");
        }
    }

    /// The style is written into each page as it is, so its hash is that of the file.
    #[test]
    fn style_of_a_page_has_the_hash_of_the_policy() {
        let page = ClosedPage { base: "" }.render().expect("a page");
        let (_, rest) = page.split_once("<style>").expect("a style");
        let (style, _) = rest.split_once("</style>").expect("its end");
        let hash = STANDARD.encode(secret::digest(style));
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "{}", *POLICY);
        assert_eq!(page.matches("<style").count(), 1);
        assert!(!page.contains("style="));
    }

    #[test]
    fn times_are_plain() {
        assert_eq!(plain_time("2026-11-21T17:30:05.000Z"), "2026-11-21 17:30:05 UTC");
        assert_eq!(plain_time("2026-11-21T17:30:05Z"), "2026-11-21 17:30:05 UTC");
    }
}
