//! `/directories`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::{manager, page, reader, text};
use crate::http::State;
use crate::http::json::{Answer, delete_directory, failed, ok, query};
use crate::service::read::{DirectoryQuery, Order};

pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    let query = query(&request)?;
    let wanted = DirectoryQuery {
        organization_id: text(&query, "organization_id"),
        search: text(&query, "search"),
        domain: text(&query, "domain"),
        page: page(&query, Order::Desc)?,
    };
    state.service.read_directories(&access, wanted).await.map(ok).map_err(failed)
}

pub(super) async fn get(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    state.service.read_directory(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn delete(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    delete_directory(&state, &access, &id).await
}

/// 202: a directory that is read is read as soon as somebody is free for it.
pub(super) async fn sync(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let asked = state.service.sync_ask(&access, &id).await.map_err(failed)?;
    Ok(HttpResponse::Accepted().json(asked))
}
