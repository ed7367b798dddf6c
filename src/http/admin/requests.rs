//! Request records: what the SCIM clients of a directory sent, and what came of it.

use actix_web::web::{Path, Payload};

use super::{Answer, Manager, failed, json_or_default, ok, parameters};
use crate::service::exchange::RecordQuery;

pub(super) async fn list(by: Manager, id: Path<String>) -> Answer {
    let query = by.query()?;
    let text = |name: &str| query.get(name).filter(|t| !t.is_empty()).map(str::to_owned);
    let wanted = RecordQuery {
        status: text("status"),
        user: text("user"),
        method: text("method"),
        since: text("since"),
        until: text("until"),
        text: text("text"),
        page: parameters(&query)?,
    };
    by.service().record_list(&by.access, &id, &wanted).await.map(ok).map_err(failed)
}

pub(super) async fn get(by: Manager, path: Path<(String, String)>) -> Answer {
    let (id, record) = path.into_inner();
    by.service().record_get(&by.access, &id, &record).await.map(ok).map_err(failed)
}

/// The body may be left out: then the directory's own profile is tried.
pub(super) async fn replay(by: Manager, path: Path<(String, String)>, payload: Payload) -> Answer {
    let (id, record) = path.into_inner();
    let wanted = json_or_default(&by.request, payload).await?;
    by.service().replay(&by.access, &id, &record, wanted).await.map(ok).map_err(failed)
}
