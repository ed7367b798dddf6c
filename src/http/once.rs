//! `Idempotency-Key`: a POST that was sent again is answered again and carried out once.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use serde::de::DeserializeOwned;

use super::error::{HttpError, Problem};
use super::json::{Answer, MAX_BODY_BYTES, failed, typed};
use super::{State, body};
use crate::service::idempotent::{Kept, Turn, fingerprint, under_claim};
use crate::service::{ApiAccess, Service};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Stands on an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Reads the body and runs the request, or answers what it answered before with the same key.
///
/// With a key it runs in a task of its own: a client that goes away and comes again finds the answer.
pub(super) async fn once<T: DeserializeOwned + 'static>(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
    access: Arc<ApiAccess>,
    run: impl AsyncFnOnce(Arc<Service>, Arc<ApiAccess>, T) -> Answer + 'static,
) -> Answer {
    let body = body::bytes(request, payload, MAX_BODY_BYTES).await.map_err(HttpError::api)?;
    let wanted = typed(body::parsed(&body).map_err(HttpError::api)?)?;
    run_once(request, &body, wanted, state, access, run).await
}

/// The same where no body at all asks for what is usual.
pub(super) async fn once_or_default<T: DeserializeOwned + Default + 'static>(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
    access: Arc<ApiAccess>,
    run: impl AsyncFnOnce(Arc<Service>, Arc<ApiAccess>, T) -> Answer + 'static,
) -> Answer {
    let body = body::bytes(request, payload, MAX_BODY_BYTES).await.map_err(HttpError::api)?;
    let wanted = match body.is_empty() {
        true => T::default(),
        false => typed(body::parsed(&body).map_err(HttpError::api)?)?,
    };
    run_once(request, &body, wanted, state, access, run).await
}

async fn run_once<T: 'static>(
    request: &HttpRequest,
    body: &[u8],
    wanted: T,
    state: &State,
    access: Arc<ApiAccess>,
    run: impl AsyncFnOnce(Arc<Service>, Arc<ApiAccess>, T) -> Answer + 'static,
) -> Answer {
    let service = Arc::clone(&state.service);
    let key = request.headers().get(KEY).map(|key| String::from_utf8_lossy(key.as_bytes()));
    let Some(key) = key.as_deref().map(str::trim).filter(|key| !key.is_empty()) else {
        return run(service, access, wanted).await;
    };
    let path_and_query = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let fingerprint = fingerprint(request.method().as_str(), path_and_query, body);
    let turn = service.idempotent_begin(&access, key, fingerprint).await.map_err(failed)?;
    let claim = match turn {
        Turn::Run(claim) => claim,
        Turn::Replay(kept) => return Ok(replayed(kept)),
        Turn::Busy(seconds) => return Err(HttpError::api(Problem::Busy(seconds))),
    };
    let task = actix_web::rt::spawn(async move {
        let running = run(Arc::clone(&service), access, wanted);
        let answer = under_claim(claim.clone(), running).await;
        let (answer, kept) = match answer {
            Ok(answer) if answer.status().is_success() => {
                let (answer, kept) = kept(answer);
                (Ok(answer), kept)
            }
            refused => (refused, None),
        };
        service.idempotent_end(claim, kept).await;
        answer
    });
    task.await.unwrap_or_else(|_| Err(HttpError::api(Problem::Busy(1))))
}

/// The answer and what is kept of it.
fn kept(answer: HttpResponse) -> (HttpResponse, Option<Kept>) {
    let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let status = answer.status().as_u16();
    let (head, body) = answer.into_parts();
    match body.try_into_bytes() {
        Ok(bytes) => {
            let body = String::from_utf8_lossy(&bytes).into_owned();
            (head.set_body(BoxBody::new(bytes)), Some(Kept { status, content_type, body }))
        }
        Err(body) => (head.set_body(body), None),
    }
}

fn replayed(kept: Kept) -> HttpResponse {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let mut answer = HttpResponse::build(status);
    answer.insert_header((REPLAYED, HeaderValue::from_static("true")));
    if !kept.content_type.is_empty() {
        answer.insert_header((CONTENT_TYPE, kept.content_type));
    }
    answer.body(kept.body)
}
