//! `/directories`.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};

use super::reader;
use crate::http::State;
use crate::http::json::{Answer, failed, ok};

pub(super) async fn get(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    state.service.read_directory(&access, &id).await.map(ok).map_err(failed)
}
