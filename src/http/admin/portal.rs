//! What set-up links lead to: how the pages look, and the end of a connection.

use actix_web::web::{Path, Payload};

use super::{Answer, Manager, failed, ok};

pub(super) async fn branding_get(by: Manager) -> Answer {
    by.service().branding_get(&by.access).await.map(ok).map_err(failed)
}

pub(super) async fn branding_put(by: Manager, payload: Payload) -> Answer {
    let change = by.json(payload).await?;
    by.service().branding_put(&by.access, change).await.map(ok).map_err(failed)
}

pub(super) async fn disconnect(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    let wanted = by.json(payload).await?;
    by.service().directory_disconnect(&by.access, &id, wanted).await.map(ok).map_err(failed)
}

/// How the disconnection stands.
pub(super) async fn disconnection(by: Manager, id: Path<String>) -> Answer {
    by.service().disconnection_get(&by.access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn call_off(by: Manager, id: Path<String>) -> Answer {
    by.service().disconnection_call_off(&by.access, &id).await.map(ok).map_err(failed)
}
