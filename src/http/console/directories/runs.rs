//! Runs of a directory that is read: asked for, watched, decided about; and a test of the connection.

use actix_web::web::Path;
use askama::Template;
use serde_json::Value;

use super::{
    Answer, By, Fault, Frame, Operator, Sent, Shown, Top, Viewer, Visit, back, checked, document,
    found, html, html_with, link, said, sentences,
};
use crate::http::web::text as filters;
use crate::service::administer::ListMetadata;
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
    faults: &'p [String],
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
        "source_empty" | "groups_empty" => "The source may have lost the right to see them.",
        "memberships" => "It would end more memberships than the guard lets go.",
        _ => "It would take something from more users than the guard lets go.",
    }
}

pub(super) async fn list(visit: By<Viewer>, id: Path<String>) -> Answer {
    shown(&visit, &id, None, &[]).await
}

/// The page of the runs, with what a test of the connection has found or what was wrong with a form.
pub(super) async fn shown(
    visit: &Visit,
    id: &str,
    tested: Option<Value>,
    faults: &[Fault],
) -> Answer {
    let (service, access, stretch) = (visit.service(), visit.access(), visit.stretch());
    let directory = found(visit, id).await?;
    let runs = service.sync_list(access, id, &stretch).await?;
    let connector = service.connector(Shown(&directory).text("kind"))?;
    let files = match Shown(&connector).has("files") {
        true => service.source_file_list(access, id).await?,
        false => Value::Null,
    };
    let (frame, faults) = (&visit.saying(said), sentences(faults));
    let top = Top::new(frame, &directory, "runs");
    let cursors = [("after", stretch.after.as_deref()), ("before", stretch.before.as_deref())];
    let page = RunsPage {
        frame,
        again: link(&format!("{}/runs", top.path), &cursors),
        top,
        rows: runs.data.iter().map(Shown).collect(),
        metadata: &runs.list_metadata,
        takes: Shown(&connector).list("files").collect(),
        files: Shown(&files).list("data").collect(),
        tested: tested.as_ref().map(Shown),
        faults: &faults,
    };
    html_with(&faults, &page)
}

pub(super) async fn test(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let tested = sent.service().source_test(sent.access(), &id).await?;
    shown(&sent, &id, Some(tested), &[]).await
}

pub(super) async fn start(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let settings = sent.form.filled("settings").map(|text| document("settings", text)).transpose();
    let asked = match settings {
        Err(error) => Err(error.into()),
        Ok(settings) => {
            let dry_run = sent.form.get("dry_run") == "on";
            let mode = sent.form.filled("mode").map(str::to_owned);
            let wanted = NewRun { dry_run, mode, settings };
            sent.service().sync_request(sent.access(), &id, wanted).await
        }
    };
    match checked(asked)? {
        Ok(run) => back(&sent, &id, &format!("/runs/{}", Shown(&run).text("id")), "asked"),
        Err(faults) => shown(&sent, &id, None, &faults).await,
    }
}

pub(super) async fn show(visit: By<Viewer>, path: Path<(String, String)>) -> Answer {
    let (id, run) = path.into_inner();
    let after = visit.asked("after").map(|text| number("after", &text)).transpose()?;
    let only = visit.asked("status");
    let directory = found(&visit, &id).await?;
    let part = DiffParameters { after, limit: Some(CHANGES), status: only.clone() };
    let diff = visit.service().sync_diff(visit.access(), &id, &run, part).await?;
    let frame = visit.saying(said);
    let top = Top::new(&frame, &directory, "runs");
    let here = format!("{}/runs/{}", top.path, Shown(&diff).text("run.id"));
    let narrowed = link(&here, &[("status", only.as_deref())]);
    let cursor = after.map(|after| after.to_string());
    let next = Shown(&diff).number("next");
    html(&RunPage {
        frame: &frame,
        top,
        run: Shown(&diff).at("run"),
        changes: Shown(&diff).list("data").map(Change::of).collect(),
        only: only.as_deref().unwrap_or_default(),
        next: (next > 0).then(|| format!("{narrowed}after={next}")),
        again: link(&here, &[("status", only.as_deref()), ("after", cursor.as_deref())]),
    })
}

fn number(field: &str, text: &str) -> Result<i64, AdminError> {
    text.parse().map_err(|_| AdminError::invalid(field, "it must be a whole number."))
}

pub(super) async fn approve(sent: Sent<Operator>, path: Path<(String, String)>) -> Answer {
    let (id, run) = path.into_inner();
    sent.service().sync_approve(sent.access(), &id, &run).await?;
    back(&sent, &id, &format!("/runs/{run}"), "approved")
}

pub(super) async fn reject(sent: Sent<Operator>, path: Path<(String, String)>) -> Answer {
    let (id, run) = path.into_inner();
    sent.service().sync_reject(sent.access(), &id, &run).await?;
    back(&sent, &id, &format!("/runs/{run}"), "rejected")
}
