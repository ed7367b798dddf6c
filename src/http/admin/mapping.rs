//! The maps of a directory: custom attributes and roles.

use actix_web::web::{Path, Payload};

use super::{Answer, Manager, failed, ok};

pub(super) async fn attributes_get(by: Manager, id: Path<String>) -> Answer {
    by.service().attribute_map(&by.access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn attributes_put(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    let change = by.json(payload).await?;
    by.service().attribute_map_put(&by.access, &id, change).await.map(ok).map_err(failed)
}

pub(super) async fn attributes_preview(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    let wanted = by.json(payload).await?;
    by.service().attribute_map_preview(&by.access, &id, wanted).await.map(ok).map_err(failed)
}

pub(super) async fn attribute_faults(by: Manager, id: Path<String>) -> Answer {
    let page = by.page()?;
    by.service().attribute_faults(&by.access, &id, &page).await.map(ok).map_err(failed)
}

pub(super) async fn roles_get(by: Manager, id: Path<String>) -> Answer {
    by.service().role_map(&by.access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn roles_put(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    let change = by.json(payload).await?;
    by.service().role_map_put(&by.access, &id, change).await.map(ok).map_err(failed)
}

pub(super) async fn roles_preview(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    let wanted = by.json(payload).await?;
    by.service().role_map_preview(&by.access, &id, wanted).await.map(ok).map_err(failed)
}
