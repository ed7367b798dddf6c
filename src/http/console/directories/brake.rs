//! The brake of a directory: what it does, what waits because of it, and the decision about that.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use askama::Template;
use serde_json::{Value, json};

use super::{Answer, Shown, Top, back, failed, faults, found, said, sentences, value};
use crate::http::State;
use crate::http::console::{Frame, enter, submitted};
use crate::http::error::HttpError;
use crate::http::web::{page, text as filters};
use crate::scim::Object;
use crate::service::brake::{BrakeChange, UndoRequest};
use crate::service::console::{Admin, Role};

#[derive(Template)]
#[template(path = "console/directories/brake.html")]
struct BrakePage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    brake: Shown<'p>,
    faults: Vec<String>,
}

#[derive(Template)]
#[template(path = "console/directories/undo.html")]
struct UndoPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    report: Shown<'p>,
}

/// The limits as a form has them: group, name, label.
const LIMITS: [(&str, &str, &str); 6] = [
    ("users", "at_least", "Users: never for fewer than"),
    ("users", "more_than", "Users: always for more than"),
    ("users", "percent", "Users: for more than this percentage of the active ones"),
    ("memberships", "at_least", "Memberships: never for fewer than"),
    ("memberships", "more_than", "Memberships: always for more than"),
    ("memberships", "percent", "Memberships: for more than this percentage of all"),
];

impl BrakePage<'_> {
    fn mode_is(&self, mode: &str) -> bool {
        self.brake.text("mode") == mode
    }

    fn limit(&self, group: &str, name: &str) -> i64 {
        self.brake.number(&format!("limits.{group}.{name}"))
    }
}

pub(super) async fn show(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    shown(&state, &admin, &frame.saying(said), &id, Vec::new()).await
}

async fn shown(
    state: &State,
    admin: &Admin,
    frame: &Frame,
    id: &str,
    faults: Vec<String>,
) -> Answer {
    let directory = found(state, admin, id).await?;
    let brake = value(state.service.brake_get(&admin.access, id).await.map_err(failed)?);
    let status = match faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let top = Top::new(frame, &directory, "brake");
    Ok(page::respond(status, &BrakePage { frame, top, brake: Shown(&brake), faults }))
}

pub(super) async fn set(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let number = |name: &str| -> Value {
        let text = form.get(name).trim();
        text.parse::<i64>().map_or_else(|_| text.into(), Value::from)
    };
    let mut limits = Object::new();
    for (group, name, _) in LIMITS {
        let members = limits.entry(group).or_insert_with(|| json!({}));
        if let Some(members) = members.as_object_mut() {
            members.insert(name.to_owned(), number(&format!("{group}.{name}")));
        }
    }
    limits.insert("role_groups".to_owned(), number("role_groups"));
    let change = BrakeChange { mode: form.get("mode").into(), limits: Some(limits.into()) };
    match state.service.brake_put(&admin.access, &id, change).await {
        Ok(_) => back(&frame, &id, "/brake", "brake"),
        Err(error) => {
            let faults = sentences(&faults(error)?);
            shown(&state, &admin, &frame, &id, faults).await
        }
    }
}

pub(super) async fn release(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    state.service.brake_release(&admin.access, &id).await.map_err(failed)?;
    back(&frame, &id, "/brake", "released")
}

/// What an undo would put back.
pub(super) async fn before_undo(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Operator).await?;
    let directory = found(&state, &admin, &id).await?;
    let report = undone(&state, &admin, &id, true).await?;
    let top = Top::new(&frame, &directory, "brake");
    let page = UndoPage { frame: &frame, top, report: Shown(&report) };
    Ok(page::respond(StatusCode::OK, &page))
}

/// Puts it back, and says what could not be.
pub(super) async fn undo(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    let report = undone(&state, &admin, &id, false).await?;
    if !Shown(&report).has("not_restored") {
        return back(&frame, &id, "/brake", "undone");
    }
    let directory = found(&state, &admin, &id).await?;
    let top = Top::new(&frame, &directory, "brake");
    let page = UndoPage { frame: &frame, top, report: Shown(&report) };
    Ok(page::respond(StatusCode::OK, &page))
}

async fn undone(state: &State, admin: &Admin, id: &str, dry_run: bool) -> Result<Value, HttpError> {
    let report = state.service.brake_undo(&admin.access, id, UndoRequest { dry_run }).await;
    Ok(value(report.map_err(failed)?))
}
