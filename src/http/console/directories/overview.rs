//! How a directory is: its state in words, what to do next, what is in it; and its end.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use askama::Template;
use serde_json::Value;

use super::{Answer, Shown, Top, back, failed, found, said, value};
use crate::http::State;
use crate::http::after;
use crate::http::console::{Frame, enter, submitted};
use crate::http::web::{page, text as filters};
use crate::service::administer::{DirectoryChange, ListParameters};
use crate::service::alarms::AlarmQuery;
use crate::service::console::Role;
use crate::service::error::AdminError;
use crate::service::exchange::RecordQuery;

#[derive(Template)]
#[template(path = "console/directories/overview.html")]
struct OverviewPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    advice: Advice,
    alarms: Vec<Shown<'p>>,
    /// The newest request that was refused.
    refused: Option<Shown<'p>>,
}

#[derive(Template)]
#[template(path = "console/directories/delete.html")]
struct DeletePage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    fault: Option<String>,
}

/// What the state means, and where to go on.
struct Advice {
    /// Class of the note.
    tone: &'static str,
    sentence: &'static str,
    /// End of a path, and what is there.
    next: Option<(&'static str, &'static str)>,
}

impl Advice {
    fn of(directory: Shown<'_>, is_read: bool) -> Self {
        let advice = |tone, sentence, next| Self { tone, sentence, next };
        match (directory.text("state"), is_read) {
            ("paused", true) => advice("warn", "It is paused: it is not read.", None),
            ("paused", false) => advice(
                "warn",
                "It is paused: requests are answered with 503, and identity providers come again later.",
                None,
            ),
            ("disabled", true) => advice("bad", "It is switched off: it is not read.", None),
            ("disabled", false) => {
                advice("bad", "It is switched off: requests are answered with 403.", None)
            }
            ("deleting", _) => advice("bad", "It is being deleted.", None),
            ("invalid_credentials", _) => advice(
                "bad",
                "The source refuses the credentials. Give it new ones, then test them.",
                Some(("/settings", "Credentials")),
            ),
            ("error", _) => advice(
                "bad",
                "The last read failed. If the reason is gone, read it again; else change the configuration.",
                Some(("/runs", "Runs")),
            ),
            ("validating", _) => advice(
                "warn",
                "It has not been read yet. Test the connection, look at a dry run, then start the first run.",
                Some(("/runs", "Runs")),
            ),
            (_, false) if !directory.has("last_request_at") => advice(
                "warn",
                "Nothing has arrived yet. Paste the base URL and a token into the identity provider, and \
                 test the connection there.",
                Some(("/tokens", "Tokens")),
            ),
            (_, true) => advice("good", "It works: what the source says is read and told.", None),
            (_, false) => advice("good", "It works: the identity provider may write.", None),
        }
    }
}

pub(super) async fn show(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let directory = found(&state, &admin, &id).await?;
    let alarms = AlarmQuery { directory_id: Some(id.to_string()), ..AlarmQuery::default() };
    let alarms = state.service.alarm_list(&admin.access, &alarms).await.map_err(failed)?;
    let alarms: Vec<Value> = alarms.data.iter().map(value).collect();
    let is_read = super::is_read(&directory);
    let refused = match is_read {
        true => None,
        false => {
            let page = ListParameters { limit: Some(1), ..ListParameters::default() };
            let status = Some("4xx".to_owned());
            let wanted = RecordQuery { status, page, ..RecordQuery::default() };
            let list = state.service.record_list(&admin.access, &id, &wanted).await;
            list.map_err(failed)?.data.into_iter().next()
        }
    };
    let page = OverviewPage {
        top: Top::new(&frame, &directory, "overview"),
        advice: Advice::of(Shown(&directory), is_read),
        alarms: alarms.iter().map(Shown).collect(),
        refused: refused.as_ref().map(Shown),
        frame: &frame.clone().saying(said),
    };
    Ok(page::respond(StatusCode::OK, &page))
}

pub(super) async fn set_state(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let wanted = form.get("state").to_owned();
    let change = DirectoryChange { state: Some(wanted.clone()), ..DirectoryChange::default() };
    state.service.directory_update(&admin.access, &id, change).await.map_err(failed)?;
    back(&frame, &id, "", &wanted)
}

/// What would go with the directory.
pub(super) async fn before_delete(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Operator).await?;
    let directory = found(&state, &admin, &id).await?;
    let top = Top::new(&frame, &directory, "overview");
    Ok(page::respond(StatusCode::OK, &DeletePage { frame: &frame, top, fault: None }))
}

/// Deletes it, once its name was written out.
pub(super) async fn delete(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let directory = found(&state, &admin, &id).await?;
    let name = Shown(&directory).text("name");
    let outcome = match form.get("name").trim() == name.trim() {
        true => state.service.directory_delete(&admin.access, &id).await.map_err(super::faults),
        false => {
            let message = format!("write \"{name}\", the name of the directory.");
            Err(Ok(AdminError::invalid("name", message).errors))
        }
    };
    let Err(faults) = outcome else {
        after::purge(&state);
        return Ok(page::lead_to(&format!("{}/console/directories?said=deleted", frame.base)));
    };
    let page = DeletePage {
        frame: &frame,
        top: Top::new(&frame, &directory, "overview"),
        fault: super::sentences(&faults?).pop(),
    };
    Ok(page::respond(StatusCode::UNPROCESSABLE_ENTITY, &page))
}
