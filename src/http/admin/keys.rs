//! Keys that sign Security Event Tokens, and the secret key of the installation.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
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

pub(super) async fn secret_status(request: HttpRequest, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.secret_key_status(&access).await.map(ok).map_err(failed)
}

/// There is no body: which key is taken, the configuration says.
pub(super) async fn secret_rotate(request: HttpRequest, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let begun = state.service.secret_key_rotate(&access).await.map_err(failed)?;
    Ok(HttpResponse::Accepted().json(begun))
}
