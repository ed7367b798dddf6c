//! `/organizations`.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{manager, page, reader, text};
use crate::http::State;
use crate::http::json::{Answer, created, failed, json, ok, query};
use crate::http::once::once;
use crate::service::read::{Order, OrganizationQuery};

pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    let query = query(&request)?;
    let wanted = OrganizationQuery {
        domains: query.list("domains"),
        search: text(&query, "search"),
        page: page(&query, Order::Desc)?,
    };
    state.service.read_organizations(&access, wanted).await.map(ok).map_err(failed)
}

pub(super) async fn create(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    once(&request, payload, &state, access, async |service, access, input| {
        service.make_organization(&access, input).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn get(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    state.service.read_organization(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn get_by_external_id(
    request: HttpRequest,
    external_id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = reader(&request, &state).await?;
    let found = state.service.read_organization_by_external_id(&access, &external_id).await;
    found.map(ok).map_err(failed)
}

pub(super) async fn update(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let change = json(&request, payload).await?;
    state.service.change_organization(&access, &id, change).await.map(ok).map_err(failed)
}

pub(super) async fn delete(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.organization_delete(&access, &id).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}
