//! Files that a directory is read from: handed in and removed.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Payload};

use super::{Answer, back, failed, faults, runs, sentences};
use crate::http::State;
use crate::http::console::{enter, submitted};
use crate::http::web::upload::Upload;
use crate::service::console::Role;
use crate::service::sync::MAX_FILE_BYTES;

pub(super) async fn upload(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    // Nobody who is not signed in has so much of theirs read.
    enter(&request, &state, Role::Operator).await?;
    let Upload { form, content } = Upload::read(&request, payload, MAX_FILE_BYTES).await?;
    let (admin, frame) = enter(&request, &state, Role::Operator).await?;
    form.check(&request, &admin.proof)?;
    let name = form.get("name");
    match state.service.source_file_put(&admin.access, &id, name, content).await {
        Ok(_) => back(&frame, &id, "/runs", "uploaded"),
        Err(error) => {
            let faults = sentences(&faults(error)?);
            runs::refused(&state, &admin, &frame, &id, faults).await
        }
    }
}

pub(super) async fn delete(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    let (id, name) = path.into_inner();
    state.service.source_file_delete(&admin.access, &id, &name).await.map_err(failed)?;
    back(&frame, &id, "/runs", "file_deleted")
}
