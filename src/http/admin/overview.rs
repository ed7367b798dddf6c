//! The installation in numbers.

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::{Answer, failed, manager, ok, query};
use crate::http::State;

pub(super) async fn get(request: HttpRequest, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let query = query(&request)?;
    let span = query.get("span").filter(|span| !span.is_empty());
    state.service.overview(&access, span).await.map(ok).map_err(failed)
}
