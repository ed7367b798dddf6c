//! Keys that sign Security Event Tokens, and the secret key of the installation.

use actix_web::HttpResponse;
use actix_web::web::Payload;
use serde_json::json;

use super::Manager;
use crate::http::json::{Answer, created, failed, ok};
use crate::service::ssf::KeyRotation;

pub(super) async fn list(by: Manager) -> Answer {
    let keys = by.service().signing_key_list(&by.access).await.map_err(failed)?;
    Ok(ok(json!({"data": keys})))
}

pub(super) async fn rotate(by: Manager, payload: Payload) -> Answer {
    by.once(payload, async |service, access, rotation: KeyRotation| {
        let keys = service.signing_key_rotate(&access, rotation).await.map_err(failed)?;
        Ok(created(json!({"data": keys})))
    })
    .await
}

pub(super) async fn secret_status(by: Manager) -> Answer {
    by.service().secret_key_status(&by.access).await.map(ok).map_err(failed)
}

/// There is no body: which key is taken, the configuration says.
pub(super) async fn secret_rotate(by: Manager) -> Answer {
    let begun = by.service().secret_key_rotate(&by.access).await.map_err(failed)?;
    Ok(HttpResponse::Accepted().json(begun))
}
