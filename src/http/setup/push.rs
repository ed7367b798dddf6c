//! A directory that is pushed: base URL, tokens, the steps of its provider, and what arrives.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use askama::Template;
use serde_json::Value;

use super::handlers::{Answer, failed, opened, submitted};
use super::page::{Frame, Shown};
use crate::http::State;
use crate::http::body::Query;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::service::administer::TokenView;
use crate::service::portal::guide::{Guide, Mark};
use crate::service::portal::{Arrived, Log, LogQuery, Visit};

#[derive(Template)]
#[template(path = "setup/directory.html")]
struct DirectoryPage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    base_url: String,
    tokens: Vec<TokenView>,
    newest: String,
    guide: Option<&'static Guide>,
    arrived: Arrived,
}

#[derive(Template)]
#[template(path = "setup/token.html")]
struct TokenPage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    base_url: String,
    secret: String,
}

#[derive(Template)]
#[template(path = "setup/status.html")]
struct StatusPage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    arrived: Arrived,
    log: Log,
    refused_only: bool,
    pending: Vec<Pending>,
}

/// Somebody who is to be in a group and is not there yet.
struct Pending {
    group: String,
    value: String,
    since: String,
}

/// What an administrator pastes into the identity provider.
fn base_url(frame: &Frame, directory: &Shown) -> String {
    format!("{}/scim/v2/{}", frame.public_url, directory.external_key)
}

pub(super) async fn overview(
    state: &Data<State>,
    visit: &Visit,
    frame: &Frame,
    directory: Shown,
) -> Answer {
    let tokens = state.service.portal_tokens(visit, &directory.id).await.map_err(failed)?;
    let (_, arrived) = state.service.portal_status(visit, &directory.id).await.map_err(failed)?;
    let page = DirectoryPage {
        frame,
        tab: "",
        base_url: base_url(frame, &directory),
        newest: tokens.first().map(|token| token.id.clone()).unwrap_or_default(),
        guide: Guide::of_kind(&directory.kind),
        tokens,
        arrived,
        directory,
    };
    Ok(respond(StatusCode::OK, &page))
}

/// Makes a token and shows it, once: the page is the answer to the form.
pub(super) async fn token(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, form) = submitted(&request, payload, &state).await?;
    let newest = form.get("newest");
    let made = state.service.portal_token(&visit, &id, newest).await.map_err(failed)?;
    let (directory, token) = (Shown::of(made.0), made.1);
    let page = TokenPage {
        frame: &frame,
        tab: "",
        base_url: base_url(&frame, &directory),
        directory,
        secret: token.secret.unwrap_or_default(),
    };
    Ok(respond(StatusCode::OK, &page))
}

pub(super) async fn revoke(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, _) = submitted(&request, payload, &state).await?;
    let ((id, token), service) = (path.into_inner(), &state.service);
    let revoked = service.token_delete(&visit.access, &id, &token);
    service.portal_do(&visit, &id, revoked).await.map_err(failed)?;
    Ok(lead_to(&(frame.of(&id, "") + "?said=revoked")))
}

/// What has arrived; the page reads itself again.
pub(super) async fn status(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (visit, frame, directory) = opened(&request, &state, &id).await?;
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let text = |name: &str| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let refused_only = text("only").as_deref() == Some("refused");
    let wanted = LogQuery { refused_only, after: text("after"), before: text("before") };
    let service = &state.service;
    let (_, arrived) = service.portal_status(&visit, &id).await.map_err(failed)?;
    let log = service.portal_log(&visit, &id, &wanted).await.map_err(failed)?;
    let pending = service.pending_members(&visit.access, &id);
    let pending = service.portal_see(&visit, &id, pending).await.map_err(failed)?;
    let pending = pending.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    let pending = pending.iter().map(|one| Pending {
        group: text(one, "group").unwrap_or_default(),
        value: text(one, "value").unwrap_or_default(),
        since: text(one, "since").unwrap_or_default(),
    });
    let pending = pending.collect();
    let page =
        StatusPage { frame: &frame, tab: "status", directory, arrived, log, refused_only, pending };
    Ok(respond(StatusCode::OK, &page))
}
