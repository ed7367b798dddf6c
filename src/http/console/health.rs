//! The health of the server: database, queues, keys, settings.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Payload, ServiceConfig};
use askama::Template;
use serde_json::Value;

use super::{Answer, Frame, enter, failed, submitted};
use crate::clock::Stopwatch;
use crate::http::web::only;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::http::{Setting, State};
use crate::service::console::Role;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(only("/console/health", "GET").route(web::get().to(show)))
        .service(only("/console/health/secret-key/rotate", "POST").route(web::post().to(rotate)));
}

#[derive(Template)]
#[template(path = "console/health.html")]
struct HealthPage<'p> {
    frame: Frame,
    version: &'static str,
    /// Milliseconds until the database has answered; `None` when it has not.
    database: Option<u128>,
    queues: [(&'static str, usize); 3],
    key: SecretKey,
    settings: &'p [Setting],
}

/// The secret key of the installation as the page shows it.
struct SecretKey {
    current: String,
    others: String,
    needed: String,
    /// Several keys are needed: what is sealed with an older one is to be sealed again.
    is_due: bool,
    rotation: Option<Rotation>,
}

struct Rotation {
    state: String,
    started_at: String,
    finished_at: Option<String>,
    error: Option<String>,
}

impl SecretKey {
    /// From how the management API shows it.
    fn of(status: &Value) -> Self {
        let text =
            |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let list = |name: &str| -> Vec<&str> {
            let array = status.get(name).and_then(Value::as_array);
            array.into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let rotation = status.get("rotation").filter(|rotation| rotation.is_object());
        Self {
            current: text(status, "current").unwrap_or_default(),
            others: list("others").join(", "),
            needed: list("needed").join(", "),
            is_due: list("needed").len() > 1,
            rotation: rotation.map(|rotation| Rotation {
                state: text(rotation, "state").unwrap_or_default(),
                started_at: text(rotation, "started_at").unwrap_or_default(),
                finished_at: text(rotation, "finished_at"),
                error: text(rotation, "error"),
            }),
        }
    }
}

fn said(key: &str) -> Option<&'static str> {
    (key == "rotating").then_some("Everything is being sealed again with the key that seals now.")
}

async fn show(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let watch = Stopwatch::start();
    let answered = state.service.check_database().await.is_ok();
    let database = answered.then(|| watch.elapsed().as_millis());
    let status = state.service.secret_key_status(&admin.access).await.map_err(failed)?;
    let page = HealthPage {
        frame: frame.saying(said),
        version: env!("CARGO_PKG_VERSION"),
        database,
        queues: state.service.queue_depths(),
        key: SecretKey::of(&status),
        settings: &state.settings,
    };
    Ok(respond(StatusCode::OK, &page))
}

async fn rotate(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Owner).await?;
    state.service.secret_key_rotate(&admin.access).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/health?said=rotating", frame.base)))
}
