//! Webhook endpoints with all that is known of them: state, deliveries, parked events, replays.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::parameters;
use crate::http::State;
use crate::http::api::webhooks::keeper;
use crate::http::error::HttpError;
use crate::http::json::{Answer, created, failed, json, ok, query};
use crate::http::once::{once, once_or_default};
use crate::service::error::AdminError;
use crate::service::events::LogQuery;
use crate::service::webhook::DeliveryQuery;

pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    let list = parameters(&query(&request)?)?;
    state.service.webhook_list(&access, &list).await.map(ok).map_err(failed)
}

pub(super) async fn create(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    once(&request, payload, &state, access, async |service, access, new| {
        service.webhook_create(&access, new).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn get(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    state.service.webhook_get(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn update(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = keeper(&request, &state).await?;
    let change = json(&request, payload).await?;
    state.service.webhook_update(&access, &id, change).await.map(ok).map_err(failed)
}

pub(super) async fn delete(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    state.service.webhook_delete(&access, &id).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn rotate(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = keeper(&request, &state).await?;
    let id = id.into_inner();
    once_or_default(&request, payload, &state, access, async move |service, access, rotation| {
        service.webhook_rotate(&access, &id, rotation).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn test(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    state.service.webhook_test(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn deliveries(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = keeper(&request, &state).await?;
    let query = query(&request)?;
    let text = |name: &str| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let wanted = DeliveryQuery {
        event_id: text("event_id"),
        outcome: text("outcome"),
        list: parameters(&query)?,
    };
    state.service.webhook_deliveries(&access, &id, wanted).await.map(ok).map_err(failed)
}

pub(super) async fn parked(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    let query = query(&request)?;
    let limit = LogQuery::limit_of(query.get("limit")).map_err(HttpError::api)?;
    let after = position(query.get("after")).map_err(HttpError::api)?;
    state.service.webhook_parked(&access, &id, after, limit).await.map(ok).map_err(failed)
}

/// The position in `after`; without one, all are behind it.
fn position(text: Option<&str>) -> Result<i64, AdminError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(0) };
    let number = text.parse().ok().filter(|position| *position >= 0);
    number.ok_or_else(|| {
        let text: String = text.chars().take(80).collect();
        AdminError::invalid("after", format!("it is \"{text}\"; allowed is a position."))
    })
}

pub(super) async fn replay(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = keeper(&request, &state).await?;
    let id = id.into_inner();
    once(&request, payload, &state, access, async move |service, access, wanted| {
        let replay = service.webhook_replay(&access, &id, wanted).await.map_err(failed)?;
        Ok(HttpResponse::Accepted().json(replay))
    })
    .await
}

pub(super) async fn replays(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = keeper(&request, &state).await?;
    let replays = state.service.webhook_replays(&access, &id).await.map_err(failed)?;
    Ok(ok(json!({"data": replays})))
}

pub(super) async fn replay_cancel(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let access = keeper(&request, &state).await?;
    let (id, replay) = path.into_inner();
    state.service.webhook_replay_cancel(&access, &id, &replay).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}
