//! `/webhook_endpoints`: where events are sent to.

use std::sync::Arc;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::page;
use crate::http::State;
use crate::http::error::HttpError;
use crate::http::json::{Answer, created, failed, json, let_in_any, ok, query};
use crate::http::observe::RouteName;
use crate::http::once::once;
use crate::service::read::Order;
use crate::service::{ApiAccess, ApiScope};

/// Lets in keys that manage webhooks, or everything.
pub(in crate::http) async fn keeper(
    request: &HttpRequest,
    state: &State,
) -> Result<Arc<ApiAccess>, HttpError> {
    let scopes = [ApiScope::Webhooks, ApiScope::Manage];
    let_in_any(request, state, RouteName("webhooks"), &scopes).await
}

pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    let page = page(&query(&request)?, Order::Desc)?;
    state.service.hook_list(&access, page).await.map(ok).map_err(failed)
}

pub(super) async fn create(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    once(&request, payload, &state, access, async |service, access, new| {
        service.hook_create(&access, new).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn update(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = keeper(&request, &state).await?;
    let change = json(&request, payload).await?;
    state.service.hook_update(&access, &id, change).await.map(ok).map_err(failed)
}

pub(super) async fn delete(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    state.service.webhook_delete(&access, &id).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}
