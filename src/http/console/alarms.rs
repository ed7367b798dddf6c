//! Alarms, and what waits behind the brake of a directory: released, or put back.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use askama::Template;
use serde_json::{Value, json};

use super::{Answer, Frame, enter, failed, page_parameters, submitted};
use crate::http::State;
use crate::http::body::Query;
use crate::http::web::only;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::service::administer::ListPage;
use crate::service::alarms::{AlarmQuery, AlarmView};
use crate::service::brake::UndoRequest;
use crate::service::console::Role;

pub(super) fn routes(config: &mut ServiceConfig) {
    let (get, post) = (web::get, web::post);
    config
        .service(only("/console/alarms", "GET").route(get().to(list)))
        .service(only("/console/alarms/{directory}", "GET").route(get().to(brake)))
        .service(only("/console/alarms/{directory}/release", "POST").route(post().to(release)))
        .service(only("/console/alarms/{directory}/undo", "POST").route(post().to(undo)));
}

#[derive(Template)]
#[template(path = "console/alarms.html")]
struct AlarmsPage {
    frame: Frame,
    alarms: ListPage<AlarmView>,
    /// `raised`, `resolved` or `all`.
    state: String,
}

#[derive(Template)]
#[template(path = "console/alarms_brake.html")]
struct BrakePage {
    frame: Frame,
    directory_id: String,
    /// As the management API shows it.
    brake: Value,
    /// A dry run of the undo, while events wait.
    undo: Option<Value>,
}

impl BrakePage {
    fn text(&self, name: &str) -> &str {
        self.brake.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, part: &str, name: &str) -> i64 {
        let part = self.brake.get(part);
        part.and_then(|part| part.get(name)).and_then(Value::as_i64).unwrap_or_default()
    }

    /// What was taken away: id, type, and what became of it.
    fn taken(&self) -> Vec<(&str, &str, &str)> {
        let restores = self.undo.as_ref().and_then(|undo| undo.get("restores"));
        let list = restores.and_then(|restores| restores.get("resources"));
        let rows = list.and_then(Value::as_array).into_iter().flatten();
        rows.map(|row| {
            let text = |name| row.get(name).and_then(Value::as_str).unwrap_or_default();
            (text("id"), text("resource_type"), text("was"))
        })
        .collect()
    }
}

fn said(key: &str) -> Option<&'static str> {
    match key {
        "released" => Some("The app is told of what waited."),
        "undone" => Some("What was taken away is put back; the app hears of the rest alone."),
        _ => None,
    }
}

async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let wanted = query.get("state").filter(|state| !state.is_empty()).unwrap_or("raised");
    let shown = AlarmQuery {
        state: Some(wanted.to_owned()),
        kind: None,
        directory_id: None,
        page: page_parameters(&request)?,
    };
    let alarms = state.service.alarm_list(&admin.access, &shown).await.map_err(failed)?;
    let page = AlarmsPage { frame: frame.saying(said), alarms, state: wanted.to_owned() };
    Ok(respond(StatusCode::OK, &page))
}

async fn brake(request: HttpRequest, directory: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let service = &state.service;
    let brake = json!(service.brake_get(&admin.access, &directory).await.map_err(failed)?);
    let undo = match brake.get("state").and_then(Value::as_str) {
        Some("holding") => {
            let dry = UndoRequest { dry_run: true };
            // Somebody else may have decided meanwhile.
            service.brake_undo(&admin.access, &directory, dry).await.ok().map(|undo| json!(undo))
        }
        _ => None,
    };
    let directory_id = directory.into_inner();
    let page = BrakePage { frame: frame.saying(said), directory_id, brake, undo };
    Ok(respond(StatusCode::OK, &page))
}

async fn release(
    request: HttpRequest,
    directory: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    state.service.brake_release(&admin.access, &directory).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/alarms/{directory}?said=released", frame.base)))
}

async fn undo(
    request: HttpRequest,
    directory: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    let wanted = UndoRequest { dry_run: false };
    state.service.brake_undo(&admin.access, &directory, wanted).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/alarms/{directory}?said=undone", frame.base)))
}
