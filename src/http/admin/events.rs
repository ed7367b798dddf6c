//! The event log for native readers: pages, long polls, a stream, checkpoints, snapshots, digests.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Bytes, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use crate::http::State;
use crate::http::body::Query;
use crate::http::error::HttpError;
use crate::http::json::{Answer, failed, json, let_in_any, ok, query};
use crate::http::observe::RouteName;
use crate::service::error::AdminError;
use crate::service::events::{
    Browse, CheckpointPut, LogPage, LogQuery, Reconcile, Snapshot, Start,
};
use crate::service::{ApiAccess, ApiScope, Service, ServiceError};

/// How often a stream without events shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Milliseconds after which a cut stream is to be opened again.
const RETRY_MS: u64 = 1_000;

/// Lets in keys that read or manage.
async fn reader(request: &HttpRequest, state: &State) -> Result<Arc<ApiAccess>, HttpError> {
    let scopes = [ApiScope::Read, ApiScope::Manage];
    let_in_any(request, state, RouteName("event_log"), &scopes).await
}

fn text(query: &Query, name: &str) -> Option<String> {
    query.get(name).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// `after` or `consumer`, `limit`, `events`, `organization_id`, `directory_id`.
fn wanted(query: &Query) -> Result<LogQuery, HttpError> {
    let start = match (text(query, "after"), text(query, "consumer")) {
        (Some(_), Some(_)) => {
            let message = "send \"after\" or \"consumer\", not both.";
            return Err(HttpError::api(AdminError::invalid("after", message)));
        }
        (Some(after), None) => Start::parse("after", &after).map_err(HttpError::api)?,
        (None, Some(name)) => Start::Consumer(name),
        (None, None) => Start::Oldest,
    };
    Ok(LogQuery {
        start,
        limit: LogQuery::limit_of(query.get("limit")).map_err(HttpError::api)?,
        events: query.list("events"),
        organization_id: text(query, "organization_id"),
        directory_id: text(query, "directory_id"),
    })
}

/// What stands for an order; those of the other one are refused.
const OLDEST_FIRST: [&str; 3] = ["after", "consumer", "wait"];
const NEWEST_FIRST: [&str; 4] = ["before", "resource_id", "range_start", "range_end"];

/// Whether the newest events come first. Fails for parameters of the other order.
fn is_newest_first(query: &Query) -> Result<bool, AdminError> {
    let (is_newest_first, others, order) = match query.get("order").unwrap_or_default() {
        "" | "asc" => (false, NEWEST_FIRST.as_slice(), "desc"),
        "desc" => (true, OLDEST_FIRST.as_slice(), "asc"),
        _ => return Err(AdminError::invalid("order", "it must be asc or desc.")),
    };
    match others.iter().find(|name| text(query, name).is_some()) {
        None => Ok(is_newest_first),
        Some(name) => {
            Err(AdminError::invalid(name, format!("it is for the other order: order={order}.")))
        }
    }
}

/// What somebody looks for among the newest events.
fn browsed(query: &Query) -> Result<Browse, AdminError> {
    let number = |name: &str| {
        let wrong = |_| AdminError::invalid(name, "it must be a whole number.");
        text(query, name).map(|text| text.parse().map_err(wrong)).transpose()
    };
    Ok(Browse {
        events: query.list("events"),
        organization_id: text(query, "organization_id"),
        directory_id: text(query, "directory_id"),
        resource_id: text(query, "resource_id"),
        range_start: text(query, "range_start"),
        range_end: text(query, "range_end"),
        before: number("before")?,
        limit: number("limit")?,
    })
}

pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    let query = query(&request)?;
    if is_newest_first(&query).map_err(HttpError::api)? {
        let wanted = browsed(&query).map_err(HttpError::api)?;
        return state.service.log_browse(&access, &wanted).await.map(ok).map_err(failed);
    }
    let wait = LogQuery::wait_of(query.get("wait")).map_err(HttpError::api)?;
    let page = state.service.log_wait(&access, &wanted(&query)?, wait).await.map_err(failed)?;
    if !wait.is_zero() {
        // The key may have ended while the answer waited.
        let bearer = crate::http::caller::bearer(&request).map_err(HttpError::api)?;
        state.service.still_open(bearer).await.map_err(failed)?;
    }
    Ok(ok(page))
}

pub(super) async fn get(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    state.service.log_get(&access, &id).await.map(ok).map_err(failed)
}

/// Server-sent events (WHATWG HTML §9.2). The id of each is its position.
pub(super) async fn stream(request: HttpRequest, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    let mut wanted = wanted(&query(&request)?)?;
    let last = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
    // A browser sends what it has seen last; the URL says where it began.
    if let Some(last) = last.map(str::trim).filter(|last| !last.is_empty()) {
        wanted.start = Start::parse("Last-Event-ID", last).map_err(HttpError::api)?;
    }
    let service = Arc::clone(&state.service);
    let place = service.event_log.place().ok_or_else(|| {
        let message = "As many readers wait for events as this process serves; try again.";
        HttpError::api(AdminError::new(503, "too_many_readers", message))
    })?;
    // What is wrong with the request is said before the stream begins.
    let first = service.log_read(&access, &wanted).await.map_err(failed)?;
    let bearer = crate::http::caller::bearer(&request).map_err(HttpError::api)?.to_owned();
    let reader = Reader { service, bearer, wanted, page: Some(first), _place: place };
    let chunks = stream::try_unfold(reader, |reader| async move {
        Ok::<_, ServiceError>(
            reader.next().await?.map(|(text, reader)| (Bytes::from(text), reader)),
        )
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        // Proxies must not collect what is to arrive now.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(chunks))
}

/// A reader of the stream. The next page is read when the one before was sent: one that is slow holds
/// one page and no connection to the database.
struct Reader {
    service: Arc<Service>,
    bearer: String,
    wanted: LogQuery,
    /// Read, and not yet sent.
    page: Option<LogPage>,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    /// The next piece of the stream.
    async fn next(mut self) -> Result<Option<(String, Self)>, ServiceError> {
        if self.service.event_log.is_closing() {
            return Ok(None);
        }
        let (page, opening) = match self.page.take() {
            Some(first) => (first, format!("retry: {RETRY_MS}\n\n")),
            None => (self.read().await?, String::new()),
        };
        self.wanted.start = Start::After(page.next);
        let mut text = opening;
        for event in &page.data {
            let position = event.position.unwrap_or(page.next);
            let data = serde_json::to_string(event).unwrap_or_default();
            text.push_str(&format!("id: {position}\nevent: {}\ndata: {data}\n\n", event.event));
        }
        if page.data.is_empty() && text.is_empty() {
            text.push_str(":\n\n");
        }
        Ok(Some((text, self)))
    }

    /// The next events, or none after a while. A key that was revoked meanwhile ends the stream.
    async fn read(&self) -> Result<LogPage, ServiceError> {
        let access = self.service.still_open(&self.bearer).await?;
        let page = self.service.log_follow(&access, &self.wanted, HEARTBEAT).await?;
        self.service.still_open(&self.bearer).await?;
        Ok(page)
    }
}

pub(super) async fn snapshot(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    let bearer = crate::http::caller::bearer(&request).map_err(HttpError::api)?;
    let service = Arc::clone(&state.service);
    let snapshot = service.snapshot(&access, bearer, &id).await.map_err(failed)?;
    let lines = stream::try_unfold(snapshot, |mut snapshot: Snapshot| async move {
        let next = snapshot.next().await.inspect_err(|error| {
            tracing::warn!(%error, "a snapshot was cut off");
        })?;
        Ok::<_, ServiceError>(next.map(|lines| (Bytes::from(lines), snapshot)))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/x-ndjson"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(lines))
}

pub(super) async fn reconcile(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = reader(&request, &state).await?;
    let wanted: Reconcile = json(&request, payload).await?;
    state.service.reconcile(&access, &id, wanted).await.map(ok).map_err(failed)
}

pub(super) async fn consumer_list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    let consumers = state.service.checkpoint_list(&access).await.map_err(failed)?;
    Ok(ok(json!({"data": consumers})))
}

pub(super) async fn consumer_get(
    request: HttpRequest,
    name: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = reader(&request, &state).await?;
    state.service.checkpoint_get(&access, &name).await.map(ok).map_err(failed)
}

pub(super) async fn consumer_put(
    request: HttpRequest,
    name: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = reader(&request, &state).await?;
    let put: CheckpointPut = json(&request, payload).await?;
    state.service.checkpoint_put(&access, &name, &put).await.map(ok).map_err(failed)
}

pub(super) async fn consumer_delete(
    request: HttpRequest,
    name: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = reader(&request, &state).await?;
    state.service.checkpoint_delete(&access, &name).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}
