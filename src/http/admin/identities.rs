//! Identities of an organization, suggestions, aliases, and its primary directory.

use std::sync::Arc;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{Answer, created, failed, json, manager, ok, parameters, query};
use crate::http::State;
use crate::http::body::Query;
use crate::http::error::HttpError;
use crate::http::json::let_in_any;
use crate::http::observe::RouteName;
use crate::http::once::once;
use crate::service::identity::{Decision, IdentityQuery};
use crate::service::{ApiAccess, ApiScope};

/// Lets in keys that read or manage.
async fn reader(request: &HttpRequest, state: &State) -> Result<Arc<ApiAccess>, HttpError> {
    let scopes = [ApiScope::Read, ApiScope::Manage];
    let_in_any(request, state, RouteName("identities"), &scopes).await
}

fn text(query: &Query, name: &str) -> Option<String> {
    query.get(name).filter(|text| !text.is_empty()).map(str::to_owned)
}

pub(super) async fn primary_get(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = reader(&request, &state).await?;
    state.service.primary_get(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn primary_put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let change = json(&request, payload).await?;
    state.service.primary_put(&access, &id, change).await.map(ok).map_err(failed)
}

pub(super) async fn list(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    let query = query(&request)?;
    let wanted = IdentityQuery {
        state: text(&query, "state"),
        email: text(&query, "email"),
        directory_id: text(&query, "directory_id"),
        user_id: text(&query, "user_id"),
        page: parameters(&query)?,
    };
    state.service.identity_list(&access, &id, wanted).await.map(ok).map_err(failed)
}

pub(super) async fn get(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let access = reader(&request, &state).await?;
    state.service.identity_get(&access, &path.0, &path.1).await.map(ok).map_err(failed)
}

pub(super) async fn unlink(
    request: HttpRequest,
    path: Path<(String, String, String)>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let (id, identity, user) = path.into_inner();
    let alone = state.service.account_unlink(&access, &id, &identity, &user).await;
    alone.map(ok).map_err(failed)
}

pub(super) async fn alias_list(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let access = reader(&request, &state).await?;
    state.service.alias_list(&access, &path.0, &path.1).await.map(ok).map_err(failed)
}

pub(super) async fn alias_create(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let (id, identity) = path.into_inner();
    once(&request, payload, &state, access, async move |service, access, new| {
        let made = service.alias_create(&access, &id, &identity, new).await;
        made.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn alias_delete(
    request: HttpRequest,
    path: Path<(String, String, String)>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let (id, identity, email) = path.into_inner();
    state.service.alias_delete(&access, &id, &identity, &email).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn suggestion_list(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = reader(&request, &state).await?;
    let query = query(&request)?;
    let (wanted, page) = (text(&query, "state"), parameters(&query)?);
    let found = state.service.suggestion_list(&access, &id, wanted.as_deref(), &page).await;
    found.map(ok).map_err(failed)
}

pub(super) async fn accept(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    decide(&request, path, &state, Decision::Accept).await
}

pub(super) async fn reject(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    decide(&request, path, &state, Decision::Reject).await
}

pub(super) async fn undo(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    decide(&request, path, &state, Decision::Undo).await
}

async fn decide(
    request: &HttpRequest,
    path: Path<(String, String)>,
    state: &State,
    decision: Decision,
) -> Answer {
    let access = manager(request, state).await?;
    let (id, suggestion) = path.into_inner();
    let decided = state.service.suggestion_decide(&access, &id, &suggestion, decision).await;
    decided.map(ok).map_err(failed)
}

pub(super) async fn orphaned_access(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = reader(&request, &state).await?;
    let page = parameters(&query(&request)?)?;
    state.service.orphaned_access(&access, &id, &page).await.map(ok).map_err(failed)
}
