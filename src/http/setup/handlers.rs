//! Links, the session, the first page: who visits, what is wanted, the page.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use super::page::{self, Frame, Shown, said};
use super::pull::{self, Handed};
use super::push;
use crate::auth::secret;
use crate::http::body::Query;
use crate::http::error::{HttpError, Problem, Surface};
use crate::http::observe::RouteName;
use crate::http::web::browser::{Cookie, Form, Site};
use crate::http::web::look::Look;
use crate::http::web::page::{lead_to, put_cookie};
use crate::http::{State, limit};
use crate::scim::key::instant_text;
use crate::service::ServiceError;
use crate::service::error::{AdminError, no_session};
use crate::service::portal::{Issued, SecretOf, Visit};

pub(super) type Answer = Result<HttpResponse, HttpError>;

pub(super) fn failed(problem: impl Into<Problem>) -> HttpError {
    HttpError::on(Surface::Page, problem)
}

/// The page of a link. It changes nothing, however often it is read and by whom.
pub(super) async fn landing(
    request: HttpRequest,
    link: Path<String>,
    state: Data<State>,
) -> Answer {
    request.extensions_mut().insert(RouteName("setup"));
    let site = Site::of(&request, &state);
    let Some(issued) = state.service.portal_issued(SecretOf::Link, &link) else {
        return closed(&state, site, None).await;
    };
    limit::visitor(&request, &state, &issued)?;
    let found = state.service.portal_landing(&issued).await.map_err(failed)?;
    let Some(landing) = found else { return closed(&state, site, Some(&issued)).await };
    let kept = site.cookie(&request, Cookie::Start).filter(|text| secret::is_random_text(text));
    let browser = kept.unwrap_or_else(secret::random_text);
    let proof = state.service.portal_start_secret(&browser);
    let look = state.service.branding().await.map_err(failed)?.into();
    let mut answer = page::landing(&site.base, look, &landing, (&link, &proof));
    put_cookie(&mut answer, &site.set(Cookie::Start, &browser, None));
    Ok(answer)
}

/// Exchanges the link for a session and leads to an address without it.
pub(super) async fn exchange(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    request.extensions_mut().insert(RouteName("setup"));
    let site = Site::of(&request, &state);
    let form = Form::read(&request, payload).await?;
    let browser = site.cookie(&request, Cookie::Start).unwrap_or_default();
    form.check(&request, &state.service.portal_start_secret(&browser))?;
    let link = state.service.portal_issued(SecretOf::Link, form.get("link"));
    if let Some(link) = &link {
        limit::visitor(&request, &state, link)?;
    }
    let session = state.service.portal_exchange(link.as_ref(), &browser).await.map_err(failed)?;
    let Some(session) = session else { return closed(&state, site, link.as_ref()).await };
    let mut answer = lead_to(&format!("{}/setup", site.base));
    let seconds = state.service.portal_session_seconds();
    put_cookie(&mut answer, &site.set(Cookie::Session, session.text(), Some(seconds)));
    put_cookie(&mut answer, &site.set(Cookie::Start, "", Some(0)));
    Ok(answer)
}

/// The same for links that were used, have ended, were revoked or never were. For one that was made up nothing
/// is looked up, not even how pages look.
async fn closed(state: &State, site: Site, link: Option<&Issued>) -> Answer {
    let look = match link {
        Some(_) => state.service.branding().await.map_err(failed)?.into(),
        None => Look::default(),
    };
    Ok(page::closed(&site.base, look))
}

/// The directories of the organization, and what to choose from.
pub(super) async fn home(request: HttpRequest, state: Data<State>) -> Answer {
    let (visit, frame) = enter(&request, &state).await?;
    let directories = state.service.portal_directories(&visit).await.map_err(failed)?;
    Ok(page::home(&frame, directories.into_iter().map(Shown::of).collect()))
}

/// Goes to a directory for the provider that was chosen.
pub(super) async fn choose(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let (visit, frame, form) = submitted(&request, payload, &state).await?;
    let id = state.service.portal_choose(&visit, form.get("provider")).await.map_err(failed)?;
    Ok(lead_to(&frame.of(&id, "")))
}

/// What to do about a directory: its steps, and how it stands.
pub(super) async fn directory(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let (visit, frame, shown) = opened(&request, &state, &id).await?;
    match shown.is_read {
        true => pull::overview(&state, &visit, &frame, shown, Handed::default()).await,
        false => push::overview(&state, &visit, &frame, shown).await,
    }
}

/// The session of the request and a directory of its organization.
pub(super) async fn opened(
    request: &HttpRequest,
    state: &State,
    id: &str,
) -> Result<(Visit, Frame, Shown), HttpError> {
    let (visit, frame) = enter(request, state).await?;
    let directory = state.service.portal_directory(&visit, id).await.map_err(failed)?;
    Ok((visit, frame, Shown::of(directory)))
}

/// Ends the session and leads on to the app.
pub(super) async fn finish(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let (visit, frame, _) = submitted(&request, payload, &state).await?;
    state.service.portal_finish(&visit).await.map_err(failed)?;
    let onward = visit.success_url.as_ref().or(visit.return_url.as_ref());
    let mut answer = page::finished(&frame, onward.map(String::as_str));
    let site = Site::of(&request, &state);
    put_cookie(&mut answer, &site.set(Cookie::Session, "", Some(0)));
    Ok(answer)
}

/// The session of the request, within its rate limit, and what its pages have in common.
pub(super) async fn enter(
    request: &HttpRequest,
    state: &State,
) -> Result<(Visit, Frame), HttpError> {
    request.extensions_mut().insert(RouteName("setup"));
    let site = Site::of(request, state);
    let cookie = site.cookie(request, Cookie::Session).unwrap_or_default();
    let session = state.service.portal_issued(SecretOf::Session, &cookie);
    let session = session.ok_or_else(|| failed(no_session()))?;
    limit::visitor(request, state, &session)?;
    let look: Look = state.service.branding().await.map_err(failed)?.into();
    // What fails from here on is shown as other pages are.
    request.extensions_mut().insert(look.clone());
    let visit = state.service.portal_visit(&session).await.map_err(failed)?;
    let visit = visit.ok_or_else(|| failed(no_session()))?;
    // No id contains U+0000, and PostgreSQL would not even look.
    if request.match_info().iter().any(|(_, part)| part.contains("%00") || part.contains('\0')) {
        return Err(failed(AdminError::not_found("This page")));
    }
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let frame = Frame {
        base: site.base,
        look,
        said: query.get("said").and_then(said),
        public_url: site.public_url,
        organization: visit.organization.clone(),
        return_url: visit.return_url.clone(),
        until: instant_text(visit.expires),
        proof: visit.form_secret.clone(),
    };
    Ok((visit, frame))
}

/// The same for a form, which must be one of this session.
pub(super) async fn submitted(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
) -> Result<(Visit, Frame, Form), HttpError> {
    // A sender may take its time over the form; the session is looked at when all of it is there.
    let form = Form::read(request, payload).await?;
    let (visit, frame) = enter(request, state).await?;
    form.check(request, &visit.form_secret)?;
    Ok((visit, frame, form))
}

/// The same for a form of one of the organization's directories.
pub(super) async fn sent(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
    id: &str,
) -> Result<(Visit, Frame, Shown, Form), HttpError> {
    let (visit, frame, form) = submitted(request, payload, state).await?;
    let directory = state.service.portal_directory(&visit, id).await.map_err(failed)?;
    Ok((visit, frame, Shown::of(directory), form))
}

/// What came of a form: done, or refused for what its fields hold, which its page can show. Other failures
/// have a page of their own.
pub(super) fn settled<T>(
    done: Result<T, ServiceError>,
) -> Result<Result<T, AdminError>, HttpError> {
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(ServiceError::Admin(refusal)) if refusal.status == 422 => Ok(Err(refusal)),
        Err(other) => Err(failed(other)),
    }
}
