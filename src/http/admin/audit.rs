//! The audit log: pages, and all of it as a file.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Bytes;
use futures_util::stream;

use super::{Answer, Manager, failed, ok, parameters};
use crate::http::State;
use crate::http::body::Query;
use crate::http::error::HttpError;
use crate::service::audit::{AuditPages, AuditQuery, ExportFormat};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, ServiceError};

/// Rows, newest first; with `format`, all that the query selects.
pub(super) async fn list(by: Manager) -> Answer {
    let query = by.query()?;
    let wanted = AuditQuery { page: parameters(&query)?, ..wanted(&query) };
    match query.get("format").filter(|format| !format.is_empty() && *format != "json") {
        None => by.service().audit_list(&by.access, &wanted).await.map(ok).map_err(failed),
        Some(format) => export(&by.state, &by.access, &wanted, format).map_err(HttpError::api),
    }
}

/// What the parameters of a query select, without the page.
pub(in crate::http) fn wanted(query: &Query) -> AuditQuery {
    let text = |name: &str| query.get(name).filter(|t| !t.is_empty()).map(str::to_owned);
    AuditQuery {
        organization_id: text("organization_id"),
        directory_id: text("directory_id"),
        actor: text("actor"),
        action: text("action"),
        target: text("target"),
        from: text("from"),
        to: text("to"),
        q: text("q"),
        page: Default::default(),
    }
}

/// The answer that streams the rows as a file. A part is read when the one before was sent.
pub(in crate::http) fn export(
    state: &State,
    access: &ApiAccess,
    wanted: &AuditQuery,
    format: &str,
) -> Result<HttpResponse, ServiceError> {
    let (format, mime) = match format {
        "csv" => (ExportFormat::Csv, "text/csv; charset=utf-8"),
        "jsonl" => (ExportFormat::Jsonl, "application/jsonl"),
        other => {
            let other: String = other.chars().take(80).collect();
            let message = format!("it is \"{other}\"; allowed is json, csv or jsonl.");
            return Err(AdminError::invalid("format", message).into());
        }
    };
    let file = match format {
        ExportFormat::Csv => "attachment; filename=\"audit.csv\"",
        ExportFormat::Jsonl => "attachment; filename=\"audit.jsonl\"",
    };
    let pages = Arc::clone(&state.service).audit_pages(access, wanted, format)?;
    let chunks = stream::try_unfold(pages, |mut pages: AuditPages| async move {
        let lines = pages.next().await?;
        Ok::<_, ServiceError>(lines.map(|lines| (Bytes::from(lines), pages)))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, mime))
        .insert_header((CONTENT_DISPOSITION, file))
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(chunks))
}
