//! The health of the server: database, queues, keys, settings.

use actix_web::web::{self, ServiceConfig};
use askama::Template;
use serde_json::Value;

use super::{Answer, By, Frame, Owner, Sent, Viewer, html};
use crate::clock::Stopwatch;
use crate::http::Setting;
use crate::http::web::only;
use crate::http::web::text as filters;

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

async fn show(visit: By<Viewer>) -> Answer {
    let watch = Stopwatch::start();
    let answered = visit.service().check_database().await.is_ok();
    let database = answered.then(|| watch.elapsed().as_millis());
    let status = visit.service().secret_key_status(visit.access()).await?;
    let page = HealthPage {
        frame: visit.saying(said),
        version: env!("CARGO_PKG_VERSION"),
        database,
        queues: visit.service().queue_depths(),
        key: SecretKey::of(&status),
        settings: &visit.state.settings,
    };
    html(&page)
}

async fn rotate(sent: Sent<Owner>) -> Answer {
    sent.service().secret_key_rotate(sent.access()).await?;
    sent.back_to("health", "rotating")
}
