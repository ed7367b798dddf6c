//! Directories that are read: kinds of sources, tests, runs, diffs, decisions, files.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{Answer, Manager, failed, ok};
use crate::http::body::{self, Query};
use crate::http::error::HttpError;
use crate::http::once::once_or_default;
use crate::scim::ScimError;
use crate::service::error::AdminError;
use crate::service::sync::{DiffParameters, MAX_FILE_BYTES};

pub(super) async fn kinds(by: Manager) -> Answer {
    Ok(ok(by.service().connector_list()))
}

pub(super) async fn kind(by: Manager, kind: Path<String>) -> Answer {
    by.service().connector(&kind).map(ok).map_err(failed)
}

pub(super) async fn test(by: Manager, id: Path<String>) -> Answer {
    by.service().source_test(&by.access, &id).await.map(ok).map_err(failed)
}

/// 202: the run is done as soon as somebody is free for it.
pub(super) async fn sync(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    once_or_default(
        &by.request,
        payload,
        &by.state,
        by.access,
        async move |service, access, wanted| {
            let run = service.sync_request(&access, &id, wanted).await.map_err(failed)?;
            Ok(HttpResponse::Accepted().json(run))
        },
    )
    .await
}

pub(super) async fn list(by: Manager, id: Path<String>) -> Answer {
    let page = by.page()?;
    by.service().sync_list(&by.access, &id, &page).await.map(ok).map_err(failed)
}

pub(super) async fn get(by: Manager, path: Path<(String, String)>) -> Answer {
    let wait = number(&by.query()?, "wait")?.unwrap_or(0);
    let wait = u64::try_from(wait)
        .map_err(|_| HttpError::api(AdminError::invalid("wait", "it must not be negative.")))?;
    let (id, run) = path.into_inner();
    by.service().sync_get(&by.access, &id, &run, wait).await.map(ok).map_err(failed)
}

pub(super) async fn diff(by: Manager, path: Path<(String, String)>) -> Answer {
    let query = by.query()?;
    let part = DiffParameters {
        after: number(&query, "after")?,
        limit: number(&query, "limit")?,
        status: query.get("status").filter(|text| !text.is_empty()).map(str::to_owned),
    };
    let (id, run) = path.into_inner();
    by.service().sync_diff(&by.access, &id, &run, part).await.map(ok).map_err(failed)
}

pub(super) async fn approve(by: Manager, path: Path<(String, String)>) -> Answer {
    let (id, run) = path.into_inner();
    by.service().sync_approve(&by.access, &id, &run).await.map(ok).map_err(failed)
}

pub(super) async fn reject(by: Manager, path: Path<(String, String)>) -> Answer {
    let (id, run) = path.into_inner();
    by.service().sync_reject(&by.access, &id, &run).await.map(ok).map_err(failed)
}

pub(super) async fn file_list(by: Manager, id: Path<String>) -> Answer {
    by.service().source_file_list(&by.access, &id).await.map(ok).map_err(failed)
}

/// The body is the file.
pub(super) async fn file_put(
    by: Manager,
    path: Path<(String, String)>,
    payload: Payload,
) -> Answer {
    check_is_file(&by.request).map_err(HttpError::api)?;
    let content = body::read(payload, MAX_FILE_BYTES).await.map_err(HttpError::api)?.to_vec();
    let (id, name) = path.into_inner();
    by.service().source_file_put(&by.access, &id, &name, content).await.map(ok).map_err(failed)
}

pub(super) async fn file_delete(by: Manager, path: Path<(String, String)>) -> Answer {
    let (id, name) = path.into_inner();
    by.service().source_file_delete(&by.access, &id, &name).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

/// A form or a JSON document is not the file that it may hold.
fn check_is_file(request: &HttpRequest) -> Result<(), ScimError> {
    let Some(header) = request.headers().get(CONTENT_TYPE) else { return Ok(()) };
    let text = header.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = ["text/csv", "text/plain", "application/csv", "application/octet-stream"];
    match essence.is_empty() || known.contains(&essence.as_str()) {
        true => Ok(()),
        false => Err(ScimError::new(
            415,
            "The media type is not supported; send the file itself as text/csv.",
        )),
    }
}

fn number(query: &Query, name: &str) -> Result<Option<i64>, HttpError> {
    let text = query.get(name).filter(|text| !text.is_empty());
    let number = text.map(|text| {
        text.parse()
            .map_err(|_| HttpError::api(AdminError::invalid(name, "it must be a whole number.")))
    });
    number.transpose()
}
