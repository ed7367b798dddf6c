//! `/directory_users`.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};

use super::{page, reader, text};
use crate::http::State;
use crate::http::json::{Answer, failed, ok, query};
use crate::service::read::{Order, UserQuery};

pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    let query = query(&request)?;
    let wanted = UserQuery {
        directory: text(&query, "directory"),
        group: text(&query, "group"),
        idp_id: text(&query, "idp_id"),
        email: text(&query, "email"),
        page: page(&query, Order::Desc)?,
    };
    state.service.read_users(&access, wanted).await.map(ok).map_err(failed)
}

pub(super) async fn get(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    state.service.read_user(&access, &id).await.map(ok).map_err(failed)
}
