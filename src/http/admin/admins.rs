//! Administrators: who may sign in to the console.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::{Answer, created, failed, json as body, keeper, ok, parameters, query};
use crate::http::once::once;
use crate::http::{State, caller};

pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    let page = parameters(&query(&request)?)?;
    state.service.admin_list(&access, &page).await.map(ok).map_err(failed)
}

pub(super) async fn create(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    let public_url = caller::public_url(&request, &state);
    once(&request, payload, &state, access, async move |service, access, new| {
        service.admin_create(&access, new, &public_url).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn get(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    state.service.admin_get(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn update(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = keeper(&request, &state).await?;
    let change = body(&request, payload).await?;
    state.service.admin_update(&access, &id, change).await.map(ok).map_err(failed)
}

pub(super) async fn delete(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    state.service.admin_delete(&access, &id).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

/// There is no body: everything about the link is decided here.
pub(super) async fn invite(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    let public_url = caller::public_url(&request, &state);
    state.service.admin_invite(&access, &id, &public_url).await.map(created).map_err(failed)
}

pub(super) async fn sessions(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    let sessions = state.service.admin_sessions(&access, &id).await.map_err(failed)?;
    Ok(ok(json!({"data": sessions})))
}

pub(super) async fn session_end_all(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = keeper(&request, &state).await?;
    state.service.admin_session_end(&access, &id, None).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn session_end(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let access = keeper(&request, &state).await?;
    let (id, session) = path.into_inner();
    state.service.admin_session_end(&access, &id, Some(&session)).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}
