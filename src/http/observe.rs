//! What every request passes: an id, a count, a latency and a log line.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};

use super::error::Unexpected;
use super::web::browser::Site;
use super::web::look::Look;
use super::web::page::Failure;
use super::{State, limit};
use crate::clock::Stopwatch;
use crate::service::limit::Quota;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The route of a request for metrics: a name from a fixed set, never a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteName(pub(super) &'static str);

/// The `X-Request-ID` of a request.
#[derive(Clone, Debug)]
pub(super) enum RequestId {
    /// `req_…`
    Ours(String),
    Clients(String),
}

/// Gives the request an id that is also a response header, and counts and logs the answer.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let watch = Stopwatch::start();
    let state = request.app_data::<web::Data<State>>().cloned();
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let usable = |id: &&str| {
        !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let id = match (given.filter(usable), &state) {
        (Some(id), _) => id.to_owned(),
        (None, Some(state)) => state.service.clock.id("req"),
        (None, None) => String::new(),
    };
    let request_id = match given.filter(usable) {
        Some(id) => RequestId::Clients(id.to_owned()),
        None => RequestId::Ours(id.clone()),
    };
    request.extensions_mut().insert(request_id);
    let method = method_name(request.method());
    let mut response = next.call(request).await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let quota = response.request().extensions().get::<Quota>().copied();
    if let Some(quota) = quota {
        limit::show(quota, response.headers_mut());
    }
    let route = response.request().extensions().get::<RouteName>().map_or("other", |name| name.0);
    let status = response.status().as_u16();
    let elapsed = watch.elapsed();
    if let Some(state) = state {
        state.metrics.request(route, method, status, elapsed);
        let is_failure = response.response().extensions().contains::<Unexpected>();
        if is_failure {
            state.metrics.request_failed();
        }
        let now = state.service.clock.now_ms();
        state.service.samples.request(now, route, status, is_failure);
    }
    let millis = elapsed.as_secs_f64() * 1_000.0;
    tracing::info!(request_id = id, route, method, status, millis, "request");
    Ok(with_page(response))
}

/// Where people look, a failure becomes a page.
fn with_page<B: MessageBody>(mut response: ServiceResponse<B>) -> ServiceResponse<EitherBody<B>> {
    let failure = response.response_mut().extensions_mut().remove::<Failure>();
    let Some(failure) = failure else { return response.map_into_left_body() };
    let request = response.request();
    let state = request.app_data::<web::Data<State>>();
    let base = state.map(|state| Site::of(request, state).base).unwrap_or_default();
    let look = request.extensions().get::<Look>().cloned();
    let body = failure.body(response.status(), &base, request.path(), look.as_ref());
    let (name, value) = Failure::content_type();
    response.headers_mut().insert(name, value);
    response.map_body(|_, _| EitherBody::right(body))
}

/// Methods by a fixed set of names, so that a client cannot invent metric labels.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
