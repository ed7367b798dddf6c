//! The maps of a directory: custom attributes and roles.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Payload};

use super::{Answer, failed, json, manager, ok, parameters, query};
use crate::http::State;

pub(super) async fn attributes_get(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.attribute_map(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn attributes_put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let change = json(&request, payload).await?;
    state.service.attribute_map_put(&access, &id, change).await.map(ok).map_err(failed)
}

pub(super) async fn attributes_preview(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let wanted = json(&request, payload).await?;
    state.service.attribute_map_preview(&access, &id, wanted).await.map(ok).map_err(failed)
}

pub(super) async fn attribute_faults(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let page = parameters(&query(&request)?)?;
    state.service.attribute_faults(&access, &id, &page).await.map(ok).map_err(failed)
}

pub(super) async fn roles_get(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.role_map(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn roles_put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let change = json(&request, payload).await?;
    state.service.role_map_put(&access, &id, change).await.map(ok).map_err(failed)
}

pub(super) async fn roles_preview(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let wanted = json(&request, payload).await?;
    state.service.role_map_preview(&access, &id, wanted).await.map(ok).map_err(failed)
}
