//! Keys that sign Security Event Tokens.

use actix_web::HttpRequest;
use actix_web::web::{Data, Payload};
use serde_json::json;

use super::manager;
use crate::http::State;
use crate::http::json::{Answer, created, failed, ok};
use crate::http::once::once;
use crate::service::ssf::KeyRotation;

pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let keys = state.service.signing_key_list(&access).await.map_err(failed)?;
    Ok(ok(json!({"data": keys})))
}

pub(super) async fn rotate(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    once(&request, payload, &state, access, async |service, access, rotation: KeyRotation| {
        let keys = service.signing_key_rotate(&access, rotation).await.map_err(failed)?;
        Ok(created(json!({"data": keys})))
    })
    .await
}
