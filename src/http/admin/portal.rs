//! What set-up links lead to: how the pages look, and the end of a connection.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Payload};

use super::{Answer, failed, json, manager, ok};
use crate::http::State;

pub(super) async fn branding_get(request: HttpRequest, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.branding_get(&access).await.map(ok).map_err(failed)
}

pub(super) async fn branding_put(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let change = json(&request, payload).await?;
    state.service.branding_put(&access, change).await.map(ok).map_err(failed)
}

pub(super) async fn disconnect(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let wanted = json(&request, payload).await?;
    state.service.directory_disconnect(&access, &id, wanted).await.map(ok).map_err(failed)
}

/// How the disconnection stands.
pub(super) async fn disconnection(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.disconnection_get(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn call_off(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.disconnection_call_off(&access, &id).await.map(ok).map_err(failed)
}
