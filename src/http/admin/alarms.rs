//! Alarms, and the brake of a directory.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Payload};

use super::{Answer, failed, json, json_or_default, manager, ok, parameters, query};
use crate::http::State;
use crate::service::alarms::AlarmQuery;

pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let query = query(&request)?;
    let text = |name: &str| query.get(name).filter(|t| !t.is_empty()).map(str::to_owned);
    let wanted = AlarmQuery {
        state: text("state"),
        kind: text("kind"),
        directory_id: text("directory_id"),
        page: parameters(&query)?,
    };
    state.service.alarm_list(&access, &wanted).await.map(ok).map_err(failed)
}

pub(super) async fn brake_get(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.brake_get(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn brake_put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let change = json(&request, payload).await?;
    state.service.brake_put(&access, &id, change).await.map(ok).map_err(failed)
}

pub(super) async fn brake_release(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.brake_release(&access, &id).await.map(ok).map_err(failed)
}

/// The body may be left out.
pub(super) async fn brake_undo(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let wanted = json_or_default(&request, payload).await?;
    state.service.brake_undo(&access, &id, wanted).await.map(ok).map_err(failed)
}
