//! Identities of an organization, suggestions, aliases, and its primary directory.

use std::sync::Arc;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{Answer, Manager, created, failed, ok, parameters, query};
use crate::http::State;
use crate::http::body::Query;
use crate::http::error::HttpError;
use crate::http::json::let_in_any;
use crate::http::observe::RouteName;
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

pub(super) async fn primary_put(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    let change = by.json(payload).await?;
    by.service().primary_put(&by.access, &id, change).await.map(ok).map_err(failed)
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

pub(super) async fn unlink(by: Manager, path: Path<(String, String, String)>) -> Answer {
    let (id, identity, user) = path.into_inner();
    let alone = by.service().account_unlink(&by.access, &id, &identity, &user).await;
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
    by: Manager,
    path: Path<(String, String)>,
    payload: Payload,
) -> Answer {
    let (id, identity) = path.into_inner();
    by.once(payload, async move |service, access, new| {
        let made = service.alias_create(&access, &id, &identity, new).await;
        made.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn alias_delete(by: Manager, path: Path<(String, String, String)>) -> Answer {
    let (id, identity, email) = path.into_inner();
    by.service().alias_delete(&by.access, &id, &identity, &email).await.map_err(failed)?;
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

pub(super) async fn accept(by: Manager, path: Path<(String, String)>) -> Answer {
    decide(by, path, Decision::Accept).await
}

pub(super) async fn reject(by: Manager, path: Path<(String, String)>) -> Answer {
    decide(by, path, Decision::Reject).await
}

pub(super) async fn undo(by: Manager, path: Path<(String, String)>) -> Answer {
    decide(by, path, Decision::Undo).await
}

async fn decide(by: Manager, path: Path<(String, String)>, decision: Decision) -> Answer {
    let (id, suggestion) = path.into_inner();
    let decided = by.service().suggestion_decide(&by.access, &id, &suggestion, decision).await;
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
