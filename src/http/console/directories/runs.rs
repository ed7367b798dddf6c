//! Runs of a directory that is read: asked for, watched, decided about; and a test of the connection.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use askama::Template;
use serde_json::Value;

use super::{
    Answer, Shown, Top, back, document, failed, faults, filled, found, link, query, said,
    sentences, stretch,
};
use crate::http::State;
use crate::http::console::{Frame, enter, submitted};
use crate::http::error::HttpError;
use crate::http::web::{page, text as filters};
use crate::service::administer::{ListMetadata, ListParameters};
use crate::service::console::{Admin, Role};
use crate::service::error::AdminError;
use crate::service::sync::{DiffParameters, NewRun};

/// Changes on a page.
const CHANGES: i64 = 100;

#[derive(Template)]
#[template(path = "console/directories/runs.html")]
struct RunsPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    rows: Vec<Shown<'p>>,
    metadata: &'p ListMetadata,
    /// The path of this very page, from which it is read again.
    again: String,
    /// The names of the files that the source has, and those that were handed in.
    takes: Vec<Shown<'p>>,
    files: Vec<Shown<'p>>,
    /// What a test of the connection has found.
    tested: Option<Shown<'p>>,
    faults: Vec<String>,
}

impl RunsPage<'_> {
    fn is_newest(&self) -> bool {
        self.metadata.before.is_none()
    }
}

#[derive(Template)]
#[template(path = "console/directories/run.html")]
struct RunPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    run: Shown<'p>,
    changes: Vec<Change<'p>>,
    /// `failed` for the faults alone, and the like; empty for all changes.
    only: &'p str,
    /// Leads to the next changes.
    next: Option<String>,
    again: String,
}

impl RunPage<'_> {
    fn is_held(&self) -> bool {
        self.run.text("status") == "held"
    }

    /// Where a decision is sent.
    fn action(&self, verb: &str) -> String {
        self.top.act("runs", self.run.text("id"), verb)
    }

    fn is_over(&self) -> bool {
        !matches!(self.run.text("status"), "pending" | "running")
    }
}

/// A change as people read it.
struct Change<'p> {
    shown: Shown<'p>,
    /// What happens, to be followed by a name.
    verb: &'static str,
    /// Class of the badge.
    tone: &'static str,
    why: &'static str,
}

impl<'p> Change<'p> {
    fn of(shown: Shown<'p>) -> Self {
        let (verb, tone) = match shown.text("action") {
            "create" => ("comes", "good"),
            "add" => ("joins", "good"),
            "update" => ("changes", "warn"),
            "deactivate" => ("becomes inactive", "bad"),
            "delete" => ("goes", "bad"),
            "remove" => ("leaves", "bad"),
            _ => ("is passed over", "warn"),
        };
        let why = match shown.text("reason") {
            "pull_missing" => "is not in the source any more",
            "pull_suspended" => "is inactive in the source",
            "filter_excluded" => "the filter does not let it in",
            "out_of_scope" => "is in none of the groups of the scope",
            _ => "",
        };
        Self { shown, verb, tone, why }
    }
}

/// Why a run is held, in words.
fn held_because(reason: &str) -> &'static str {
    match reason {
        "source_empty" => "The source lists nobody any more.",
        "groups_empty" => "The source lists no groups any more.",
        "memberships" => "It would end more memberships than the guard lets go.",
        _ => "It would take something from more users than the guard lets go.",
    }
}

pub(super) async fn list(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let stretch = stretch(&query(&request)?);
    shown(&state, &admin, &frame.saying(said), &id, &stretch, None, Vec::new()).await
}

async fn shown(
    state: &State,
    admin: &Admin,
    frame: &Frame,
    id: &str,
    stretch: &ListParameters,
    tested: Option<Value>,
    faults: Vec<String>,
) -> Answer {
    let (service, access) = (&state.service, &admin.access);
    let directory = found(state, admin, id).await?;
    let runs = service.sync_list(access, id, stretch).await.map_err(failed)?;
    let connector = service.connector(Shown(&directory).text("kind")).map_err(failed)?;
    let files = match Shown(&connector).has("files") {
        true => service.source_file_list(access, id).await.map_err(failed)?,
        false => Value::Null,
    };
    let top = Top::new(frame, &directory, "runs");
    let cursors = [("after", stretch.after.as_deref()), ("before", stretch.before.as_deref())];
    let status = match faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = RunsPage {
        frame,
        again: link(&format!("{}/runs", top.path), &cursors),
        top,
        rows: runs.data.iter().map(Shown).collect(),
        metadata: &runs.list_metadata,
        takes: Shown(&connector).list("files").collect(),
        files: Shown(&files).list("data").collect(),
        tested: tested.as_ref().map(Shown),
        faults,
    };
    Ok(page::respond(status, &page))
}

/// The page of the runs with what was wrong with a form of it.
pub(super) async fn refused(
    state: &State,
    admin: &Admin,
    frame: &Frame,
    id: &str,
    faults: Vec<String>,
) -> Answer {
    let first = ListParameters { limit: Some(super::ROWS), ..ListParameters::default() };
    shown(state, admin, frame, id, &first, None, faults).await
}

pub(super) async fn test(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    let tested = state.service.source_test(&admin.access, &id).await.map_err(failed)?;
    let first = ListParameters { limit: Some(super::ROWS), ..ListParameters::default() };
    shown(&state, &admin, &frame, &id, &first, Some(tested), Vec::new()).await
}

pub(super) async fn start(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let settings = form.filled("settings").map(|text| document("settings", text)).transpose();
    let asked = match settings {
        Err(error) => Err(error.into()),
        Ok(settings) => {
            let dry_run = form.get("dry_run") == "on";
            let mode = form.filled("mode").map(str::to_owned);
            let wanted = NewRun { dry_run, mode, settings };
            state.service.sync_request(&admin.access, &id, wanted).await
        }
    };
    match asked {
        Ok(run) => {
            let run = Shown(&run).text("id").to_owned();
            back(&frame, &id, &format!("/runs/{run}"), "asked")
        }
        Err(error) => {
            let faults = sentences(&faults(error)?);
            refused(&state, &admin, &frame, &id, faults).await
        }
    }
}

pub(super) async fn show(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let (id, run) = path.into_inner();
    let query = query(&request)?;
    let after = filled(&query, "after").map(|text| number("after", &text)).transpose()?;
    let only = filled(&query, "status");
    let directory = found(&state, &admin, &id).await?;
    let part = DiffParameters { after, limit: Some(CHANGES), status: only.clone() };
    let diff = state.service.sync_diff(&admin.access, &id, &run, part).await.map_err(failed)?;
    let frame = frame.saying(said);
    let top = Top::new(&frame, &directory, "runs");
    let here = format!("{}/runs/{}", top.path, Shown(&diff).text("run.id"));
    let narrowed = link(&here, &[("status", only.as_deref())]);
    let cursor = after.map(|after| after.to_string());
    let next = Shown(&diff).number("next");
    let page = RunPage {
        frame: &frame,
        top,
        run: Shown(&diff).at("run"),
        changes: Shown(&diff).list("data").map(Change::of).collect(),
        only: only.as_deref().unwrap_or_default(),
        next: (next > 0).then(|| format!("{narrowed}after={next}")),
        again: link(&here, &[("status", only.as_deref()), ("after", cursor.as_deref())]),
    };
    Ok(page::respond(StatusCode::OK, &page))
}

fn number(field: &str, text: &str) -> Result<i64, HttpError> {
    text.parse().map_err(|_| failed(AdminError::invalid(field, "it must be a whole number.")))
}

pub(super) async fn approve(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    let (id, run) = path.into_inner();
    state.service.sync_approve(&admin.access, &id, &run).await.map_err(failed)?;
    back(&frame, &id, &format!("/runs/{run}"), "approved")
}

pub(super) async fn reject(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    let (id, run) = path.into_inner();
    state.service.sync_reject(&admin.access, &id, &run).await.map_err(failed)?;
    back(&frame, &id, &format!("/runs/{run}"), "rejected")
}
