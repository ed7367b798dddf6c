//! `/directory_groups`.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};

use super::{page, reader, text};
use crate::http::State;
use crate::http::json::{Answer, failed, ok, query};
use crate::service::read::{GroupQuery, Order};

pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    let query = query(&request)?;
    let wanted = GroupQuery {
        directory: text(&query, "directory"),
        user: text(&query, "user"),
        page: page(&query, Order::Desc)?,
    };
    state.service.read_groups(&access, wanted).await.map(ok).map_err(failed)
}

pub(super) async fn get(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    state.service.read_group(&access, &id).await.map(ok).map_err(failed)
}
