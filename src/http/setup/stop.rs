//! Pause, disconnect, and what the brake has stopped. Each page says first what would happen.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use super::handlers::{Answer, failed, opened, submitted};
use super::page::{Frame, Shown};
use crate::http::State;
use crate::http::body::Query;
use crate::http::web::disconnect::Act;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::service::administer::DirectoryChange;
use crate::service::brake::UndoRequest;
use crate::service::disconnect::{
    DisconnectReport, DisconnectRequest, Disconnection, DisconnectionView, HandOverReport,
};
use crate::service::error::AdminError;

#[derive(Template)]
#[template(path = "setup/stop.html")]
struct StopPage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    /// A visitor has stopped it, and may start it again.
    may_start: bool,
    about: DisconnectReport,
    under_way: Option<DisconnectionView>,
    /// Id and name of directories that may take everybody over.
    targets: Vec<(String, String)>,
    /// What a hand over to one of them would do, or why it cannot be done.
    chosen: Option<HandOverReport>,
    problem: Option<String>,
}

impl StopPage<'_> {
    /// What the operator has stopped no visitor changes.
    fn may_act(&self) -> bool {
        self.may_start || !self.directory.is_stopped()
    }

    fn is_in_part(&self) -> bool {
        self.under_way.as_ref().is_some_and(|under_way| under_way.is_in_part)
    }
}

#[derive(Template)]
#[template(path = "setup/brake.html")]
struct BrakePage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    brake: Brake,
    may_release: bool,
    restores: Vec<Restored>,
}

/// What the brake has stopped, of what the management API shows.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Brake {
    state: String,
    since: Option<String>,
    held: Held,
    lost: Lost,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Held {
    events: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Lost {
    users_deleted: i64,
    users_deactivated: i64,
    groups_deleted: i64,
    memberships_ended: i64,
}

/// Somebody who would be put back.
#[derive(Deserialize)]
struct Restored {
    id: String,
    resource_type: String,
    name: Option<String>,
    was: String,
}

pub(super) async fn page(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (visit, frame, directory) = opened(&request, &state, &id).await?;
    let (service, access) = (&state.service, &visit.access);
    let wanted = DisconnectRequest::preview(Disconnection::Deprovision);
    let about = service.directory_disconnect(access, &id, wanted);
    let about = service.portal_see(&visit, &id, about).await.map_err(failed)?;
    let may_start = service.portal_may_start(&visit, &id).await.map_err(failed)?;
    let under_way = service.disconnection_find(access, &id);
    let under_way = service.portal_see(&visit, &id, under_way).await.map_err(failed)?;
    let others = service.portal_directories(&visit).await.map_err(failed)?;
    let others = others.into_iter().filter(|other| other.id != directory.id);
    let targets = others.filter(|other| other.state != "disabled");
    let targets = targets.map(|other| (other.id, other.name)).collect();
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let (chosen, problem) = match query.get("to").filter(|to| !to.is_empty()) {
        None => (None, None),
        Some(to) => {
            let asked = service.hand_over_look(access, &id, to);
            service.portal_see(&visit, &id, asked).await.map_err(failed)?
        }
    };
    let page = StopPage {
        frame: &frame,
        tab: "stop",
        directory,
        may_start,
        about,
        under_way,
        targets,
        chosen,
        problem,
    };
    Ok(respond(StatusCode::OK, &page))
}

/// Pauses the directory or starts it again.
pub(super) async fn state(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, form) = submitted(&request, payload, &state).await?;
    let (word, said) = match form.get("state") {
        "paused" => ("paused", "paused"),
        "linked" => ("linked", "resumed"),
        _ => {
            let message = "it is none of those that the page offers.";
            return Err(failed(AdminError::invalid("state", message)));
        }
    };
    let change = DirectoryChange { state: Some(word.to_owned()), ..DirectoryChange::default() };
    let changed = state.service.directory_update(&visit.access, &id, change);
    state.service.portal_do(&visit, &id, changed).await.map_err(failed)?;
    Ok(lead_to(&format!("{}?said={said}", frame.of(&id, "stop"))))
}

/// Freezes the directory, takes access away from everybody in it, hands them over, or calls that off.
pub(super) async fn disconnect(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, form) = submitted(&request, payload, &state).await?;
    let (act, service) = (Act::read(&form).map_err(failed)?, &state.service);
    let there = format!("{}?said={}", frame.of(&id, "stop"), act.said());
    match act {
        Act::CallOff => {
            let called_off = service.disconnection_call_off(&visit.access, &id);
            service.portal_do(&visit, &id, called_off).await.map_err(failed)?;
            Ok(lead_to(&there))
        }
        Act::Disconnect(wanted) if wanted.mode == Disconnection::Freeze => {
            let frozen = service.directory_disconnect(&visit.access, &id, wanted);
            service.portal_do(&visit, &id, frozen).await.map_err(failed)?;
            Ok(lead_to(&there))
        }
        Act::Disconnect(wanted) => {
            let begun = service.directory_disconnect(&visit.access, &id, wanted);
            // Otherwise it would be a way around what the operator decides about.
            service.portal_let_go(&visit, &id, begun).await.map_err(failed)?;
            // It may be gone as soon as the page is read.
            Ok(lead_to(&format!("{}/setup?said=disconnecting", frame.base)))
        }
    }
}

/// What waits because too much was taken away, and what an undo would put back.
pub(super) async fn brake(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (visit, frame, directory) = opened(&request, &state, &id).await?;
    let service = &state.service;
    let found = service.brake_get(&visit.access, &id);
    let found = service.portal_see(&visit, &id, found).await.map_err(failed)?;
    let found = serde_json::to_value(found).unwrap_or_default();
    let brake: Brake = serde_json::from_value(found).unwrap_or_default();
    let restores = match brake.state.as_str() {
        "holding" => {
            let asked = service.brake_undo(&visit.access, &id, UndoRequest { dry_run: true });
            let report = service.portal_see(&visit, &id, asked).await.map_err(failed)?;
            let report = serde_json::to_value(report).unwrap_or_default();
            report.pointer("/restores/resources").cloned().unwrap_or_default()
        }
        _ => Value::Null,
    };
    let page = BrakePage {
        frame: &frame,
        tab: "brake",
        may_release: directory.settings.get("operator_decides") != Some(&Value::Bool(true)),
        directory,
        brake,
        restores: serde_json::from_value(restores).unwrap_or_default(),
    };
    Ok(respond(StatusCode::OK, &page))
}

/// Lets through what waits, or puts back what was taken away.
pub(super) async fn let_go(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, _) = submitted(&request, payload, &state).await?;
    let ((id, verb), service) = (path.into_inner(), &state.service);
    let said = match verb.as_str() {
        "release" => {
            let released = service.brake_release(&visit.access, &id);
            service.portal_let_go(&visit, &id, released).await.map_err(failed)?;
            "released"
        }
        "undo" => {
            let undone = service.brake_undo(&visit.access, &id, UndoRequest { dry_run: false });
            service.portal_do(&visit, &id, undone).await.map_err(failed)?;
            "undone"
        }
        _ => return Err(failed(AdminError::not_found("This page"))),
    };
    Ok(lead_to(&format!("{}?said={said}", frame.of(&id, "brake"))))
}
