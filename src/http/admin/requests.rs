//! Request records: what the SCIM clients of a directory sent, and what came of it.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Payload};

use super::{Answer, failed, json_or_default, manager, ok, parameters, query};
use crate::http::State;
use crate::service::exchange::RecordQuery;

pub(super) async fn list(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let query = query(&request)?;
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
    state.service.record_list(&access, &id, &wanted).await.map(ok).map_err(failed)
}

pub(super) async fn get(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let (id, record) = path.into_inner();
    state.service.record_get(&access, &id, &record).await.map(ok).map_err(failed)
}

/// The body may be left out: then the directory's own profile is tried.
pub(super) async fn replay(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let (id, record) = path.into_inner();
    let wanted = json_or_default(&request, payload).await?;
    state.service.replay(&access, &id, &record, wanted).await.map(ok).map_err(failed)
}
