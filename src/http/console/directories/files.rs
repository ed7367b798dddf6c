//! Files that a directory is read from: handed in and removed.

use actix_web::web::{Path, Payload};

use super::{Answer, By, Operator, Sent, back, checked, runs};
use crate::service::sync::MAX_FILE_BYTES;

pub(super) async fn upload(visit: By<Operator>, id: Path<String>, payload: Payload) -> Answer {
    let (sent, content) = visit.uploaded(payload, MAX_FILE_BYTES).await?;
    let name = sent.form.get("name");
    match checked(sent.service().source_file_put(sent.access(), &id, name, content).await)? {
        Ok(_) => back(&sent, &id, "/runs", "uploaded"),
        Err(faults) => runs::shown(&sent, &id, None, &faults).await,
    }
}

pub(super) async fn delete(sent: Sent<Operator>, path: Path<(String, String)>) -> Answer {
    let (id, name) = path.into_inner();
    sent.service().source_file_delete(sent.access(), &id, &name).await?;
    back(&sent, &id, "/runs", "file_deleted")
}
