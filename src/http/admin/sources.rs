//! Directories that are read: kinds of sources, tests, runs, diffs, decisions, files.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{Answer, failed, manager, ok, parameters, query};
use crate::http::State;
use crate::http::body::{self, Query};
use crate::http::error::HttpError;
use crate::http::once::once_or_default;
use crate::scim::ScimError;
use crate::service::error::AdminError;
use crate::service::sync::{DiffParameters, MAX_FILE_BYTES};

pub(super) async fn kinds(request: HttpRequest, state: Data<State>) -> Answer {
    manager(&request, &state).await?;
    Ok(ok(state.service.connector_list()))
}

pub(super) async fn kind(request: HttpRequest, kind: Path<String>, state: Data<State>) -> Answer {
    manager(&request, &state).await?;
    state.service.connector(&kind).map(ok).map_err(failed)
}

pub(super) async fn test(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.source_test(&access, &id).await.map(ok).map_err(failed)
}

/// 202: the run is done as soon as somebody is free for it.
pub(super) async fn sync(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    once_or_default(&request, payload, &state, access, async move |service, access, wanted| {
        let run = service.sync_request(&access, &id, wanted).await.map_err(failed)?;
        Ok(HttpResponse::Accepted().json(run))
    })
    .await
}

pub(super) async fn list(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let page = parameters(&query(&request)?)?;
    state.service.sync_list(&access, &id, &page).await.map(ok).map_err(failed)
}

pub(super) async fn get(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let wait = number(&query(&request)?, "wait")?.unwrap_or(0);
    let wait = u64::try_from(wait)
        .map_err(|_| HttpError::api(AdminError::invalid("wait", "it must not be negative.")))?;
    let (id, run) = path.into_inner();
    state.service.sync_get(&access, &id, &run, wait).await.map(ok).map_err(failed)
}

pub(super) async fn diff(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let query = query(&request)?;
    let part = DiffParameters {
        after: number(&query, "after")?,
        limit: number(&query, "limit")?,
        status: query.get("status").filter(|text| !text.is_empty()).map(str::to_owned),
    };
    let (id, run) = path.into_inner();
    state.service.sync_diff(&access, &id, &run, part).await.map(ok).map_err(failed)
}

pub(super) async fn approve(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let (id, run) = path.into_inner();
    state.service.sync_approve(&access, &id, &run).await.map(ok).map_err(failed)
}

pub(super) async fn reject(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let (id, run) = path.into_inner();
    state.service.sync_reject(&access, &id, &run).await.map(ok).map_err(failed)
}

pub(super) async fn file_list(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.source_file_list(&access, &id).await.map(ok).map_err(failed)
}

/// The body is the file.
pub(super) async fn file_put(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    check_is_file(&request).map_err(HttpError::api)?;
    let content = body::read(payload, MAX_FILE_BYTES).await.map_err(HttpError::api)?.to_vec();
    let (id, name) = path.into_inner();
    state.service.source_file_put(&access, &id, &name, content).await.map(ok).map_err(failed)
}

pub(super) async fn file_delete(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let (id, name) = path.into_inner();
    state.service.source_file_delete(&access, &id, &name).await.map_err(failed)?;
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
