//! Runs of a directory that is read: progress, what they did or would do, and decisions about held ones.

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
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::service::ServiceError;
use crate::service::error::AdminError;
use crate::service::portal::Visit;
use crate::service::sync::{DiffParameters, NewRun, Reading};

/// Changes on one page.
const CHANGES: i64 = 100;

/// A run, of what the management API shows.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) dry_run: bool,
    pub(super) created_at: String,
    pub(super) finished_at: Option<String>,
    pub(super) counts: Counts,
    pub(super) progress: Option<Value>,
    pub(super) held: Option<Value>,
    pub(super) error: Option<String>,
    pub(super) settings: Option<Value>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    pub(super) users: Tally,
    pub(super) groups: Tally,
    pub(super) memberships: Members,
}

impl Counts {
    fn tallies(&self) -> Vec<(&'static str, Tally)> {
        vec![("Users", self.users), ("Groups", self.groups)]
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tally {
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) deactivated: u64,
    pub(super) deleted: u64,
    pub(super) unchanged: u64,
    pub(super) failed: u64,
}

impl Tally {
    pub(super) fn go(&self) -> u64 {
        self.deactivated + self.deleted
    }

    pub(super) fn stay(&self) -> u64 {
        self.updated + self.unchanged
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Members {
    pub(super) added: u64,
    pub(super) removed: u64,
}

impl Run {
    pub(super) fn of(run: Value) -> Option<Self> {
        serde_json::from_value(run).ok()
    }

    pub(super) fn is_over(&self) -> bool {
        !matches!(self.status.as_str(), "pending" | "running")
    }

    pub(super) fn failed(&self) -> u64 {
        self.counts.users.failed + self.counts.groups.failed
    }

    /// How many objects were read so far, while it runs.
    pub(super) fn read(&self) -> Option<u64> {
        let members = self.progress.as_ref()?.as_object()?;
        Some(members.values().filter_map(Value::as_u64).sum())
    }

    /// A number of why it is held, by its path.
    pub(super) fn held_number(&self, path: &str) -> u64 {
        let held = self.held.as_ref().and_then(|held| held.pointer(&format!("/{path}")));
        held.and_then(Value::as_u64).unwrap_or(0)
    }

    /// Whether runs before it have taken something away.
    pub(super) fn counts_earlier(&self) -> bool {
        self.held_number("earlier/users") + self.held_number("earlier/memberships") > 0
    }
}

/// A change of a run.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Change {
    kind: String,
    action: String,
    status: String,
    source_id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    attributes: Vec<String>,
    #[serde(default)]
    message: Option<String>,
}

impl Change {
    fn who(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.source_id)
    }

    /// What happens, and why.
    fn what(&self) -> String {
        let words = match (self.kind.as_str(), self.action.as_str()) {
            ("membership", "add") => {
                format!("joins {}", self.group.as_deref().unwrap_or("a group"))
            }
            ("membership", _) => format!("leaves {}", self.group.as_deref().unwrap_or("a group")),
            (_, "create") => "comes in".to_owned(),
            (_, "update") => format!("changes: {}", self.attributes.join(", ")),
            (_, "deactivate") => "becomes inactive".to_owned(),
            (_, "delete") => "goes".to_owned(),
            _ => "cannot be used".to_owned(),
        };
        let why = match self.reason.as_deref() {
            Some("pull_missing") => ", is not in the source any more",
            Some("pull_suspended") => ", is inactive in the source",
            Some("filter_excluded") => ", is left out by the filter",
            Some("out_of_scope") => ", is in none of the chosen groups",
            _ => "",
        };
        words + why
    }
}

#[derive(Template)]
#[template(path = "setup/run.html")]
struct RunPage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    run: Run,
    changes: Vec<Change>,
    next: Option<i64>,
    /// Whether the visitor may let a held run go ahead.
    may_approve: bool,
    /// It is the first page of the changes.
    is_first: bool,
}

/// Asks for a run: a dry one that shows who would come, or a real one.
pub(super) async fn begin(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, form) = submitted(&request, payload, &state).await?;
    let wanted = NewRun { dry_run: !form.get("dry_run").is_empty(), ..NewRun::default() };
    let run = asked(&state, &visit, &frame, &id, wanted).await.map_err(failed)?;
    Ok(lead_to(&run))
}

/// Asks for a run; answers the path of its page.
pub(super) async fn asked(
    state: &State,
    visit: &Visit,
    frame: &Frame,
    id: &str,
    wanted: NewRun,
) -> Result<String, ServiceError> {
    let asked = state.service.sync_request(&visit.access, id, wanted);
    let run = state.service.portal_do(visit, id, asked).await?;
    let run = run.get("id").and_then(Value::as_str).unwrap_or_default();
    Ok(frame.of(id, &format!("runs/{run}")))
}

pub(super) async fn show(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let (id, run) = path.into_inner();
    let (visit, frame, directory) = opened(&request, &state, &id).await?;
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let after = query.get("after").and_then(|after| after.parse().ok());
    let wanted = DiffParameters { after, limit: Some(CHANGES), status: None };
    let diff = state.service.sync_diff(&visit.access, &id, &run, wanted);
    let mut diff = state.service.portal_see(&visit, &id, diff).await.map_err(failed)?;
    let found = diff.get_mut("run").map(Value::take).and_then(Run::of);
    let found = found.ok_or_else(|| failed(AdminError::not_found("The run")))?;
    let changes = diff.get_mut("data").map(Value::take).unwrap_or_default();
    let page = RunPage {
        frame: &frame,
        tab: "",
        may_approve: directory.settings.get("operator_decides") != Some(&Value::Bool(true)),
        directory,
        run: found,
        changes: serde_json::from_value(changes).unwrap_or_default(),
        next: diff.get("next").and_then(Value::as_i64),
        is_first: after.is_none(),
    };
    Ok(respond(StatusCode::OK, &page))
}

/// Decides about a held run, or puts the settings that a dry run went by.
pub(super) async fn decide(
    request: HttpRequest,
    path: Path<(String, String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, _) = submitted(&request, payload, &state).await?;
    let (id, run, verb) = path.into_inner();
    let (service, access) = (&state.service, &visit.access);
    let page = frame.of(&id, &format!("runs/{run}"));
    match verb.as_str() {
        "approve" => {
            let approved = service.sync_approve(access, &id, &run);
            service.portal_let_go(&visit, &id, approved).await.map_err(failed)?;
            Ok(lead_to(&(page + "?said=approved")))
        }
        "reject" => {
            let rejected = service.sync_reject(access, &id, &run);
            service.portal_do(&visit, &id, rejected).await.map_err(failed)?;
            Ok(lead_to(&(page + "?said=rejected")))
        }
        "apply" => {
            let found = service.sync_get(access, &id, &run, 0);
            let found = service.portal_see(&visit, &id, found).await.map_err(failed)?;
            let reading = Run::of(found).and_then(|run| run.settings).map(|s| Reading::of(&s));
            let reading = reading.ok_or_else(|| {
                let message = "The run went by the settings in force; there is nothing to put.";
                failed(AdminError::new(409, "nothing_to_apply", message))
            })?;
            let put = service.reading_put(access, &id, reading);
            service.portal_do(&visit, &id, put).await.map_err(failed)?;
            Ok(lead_to(&(frame.of(&id, "scope") + "?said=saved")))
        }
        _ => Err(failed(AdminError::not_found("This page"))),
    }
}
