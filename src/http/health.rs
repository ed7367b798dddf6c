//! Health and metrics, for orchestrators and Prometheus.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, Resource, web};
use serde_json::json;

use super::State;
use super::error::{HttpError, Problem};
use super::observe::RouteName;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(read_only("/health/live").route(web::get().to(live)).route(web::head().to(live)))
        .service(
            read_only("/health/ready").route(web::get().to(ready)).route(web::head().to(ready)),
        )
        .service(
            read_only("/metrics").route(web::get().to(metrics)).route(web::head().to(metrics)),
        );
}

fn read_only(path: &str) -> Resource {
    let refuse = || async { Err::<HttpResponse, _>(HttpError::api(Problem::Method("GET, HEAD"))) };
    web::resource(path).default_service(web::to(refuse))
}

/// The process runs.
async fn live(request: HttpRequest) -> HttpResponse {
    request.extensions_mut().insert(RouteName("health_live"));
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// The database answers.
async fn ready(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    request.extensions_mut().insert(RouteName("health_ready"));
    match state.service.check_database().await {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ok"})),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            HttpResponse::ServiceUnavailable()
                .insert_header(("Retry-After", "1"))
                .json(json!({"status": "unavailable"}))
        }
    }
}

async fn metrics(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    request.extensions_mut().insert(RouteName("metrics"));
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(state.metrics.render(state.service.queue_depths()))
}
