//! Alarms, and the brake of a directory.

use actix_web::web::{Path, Payload};

use super::{Answer, Manager, failed, json_or_default, ok, parameters};
use crate::service::alarms::AlarmQuery;

pub(super) async fn list(by: Manager) -> Answer {
    let query = by.query()?;
    let text = |name: &str| query.get(name).filter(|t| !t.is_empty()).map(str::to_owned);
    let wanted = AlarmQuery {
        state: text("state"),
        kind: text("kind"),
        directory_id: text("directory_id"),
        page: parameters(&query)?,
    };
    by.service().alarm_list(&by.access, &wanted).await.map(ok).map_err(failed)
}

pub(super) async fn brake_get(by: Manager, id: Path<String>) -> Answer {
    by.service().brake_get(&by.access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn brake_put(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    let change = by.json(payload).await?;
    by.service().brake_put(&by.access, &id, change).await.map(ok).map_err(failed)
}

pub(super) async fn brake_release(by: Manager, id: Path<String>) -> Answer {
    by.service().brake_release(&by.access, &id).await.map(ok).map_err(failed)
}

/// The body may be left out.
pub(super) async fn brake_undo(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    let wanted = json_or_default(&by.request, payload).await?;
    by.service().brake_undo(&by.access, &id, wanted).await.map(ok).map_err(failed)
}
