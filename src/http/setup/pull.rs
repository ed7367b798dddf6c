//! A directory that is read: how it stands, its files and runs, and when it is read.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use askama::Template;
use serde_json::{Value, json};

use super::handlers::{Answer, failed, sent};
use super::page::{Frame, Shown};
use super::run::{self, Run};
use crate::http::State;
use crate::http::web::form::Fault;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::service::administer::ListParameters;
use crate::service::error::AdminError;
use crate::service::portal::Visit;
use crate::service::sync::{NewRun, Reading};

/// Runs that are shown.
const RUNS: i64 = 10;

/// Lines that cannot be used of a file, as many as are shown.
const UNUSABLE: usize = 100;

/// How often a source may be read, as the form offers it: the value, and how people say it.
const OFTEN: [(&str, &str); 7] = [
    ("off", "only when somebody asks"),
    ("15m", "every 15 minutes"),
    ("30m", "every 30 minutes"),
    ("1h", "every hour"),
    ("6h", "every 6 hours"),
    ("12h", "every 12 hours"),
    ("1d", "once a day"),
];

const PROPOSED: &str = "1h";

#[derive(Template)]
#[template(path = "setup/read.html")]
struct ReadPage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    files: Vec<File>,
    runs: Vec<Run>,
    often: &'static [(&'static str, &'static str)],
    schedule: String,
    handed: Handed,
}

impl ReadPage<'_> {
    /// The schedule is none of those that are offered.
    fn is_unusual(&self) -> bool {
        !self.schedule.is_empty() && !self.often.iter().any(|(value, _)| *value == self.schedule)
    }

    /// Before the first read every hour is proposed.
    fn is_picked(&self, value: &str) -> bool {
        let is_first = self.directory.last_sync_at.is_none();
        match self.schedule.as_str() {
            "" => value == PROPOSED,
            "off" if is_first => value == PROPOSED,
            schedule => value == schedule,
        }
    }
}

/// What came of a file that was handed in; nothing where all is well.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Handed {
    /// Why it was not taken.
    pub(super) faults: Vec<Fault>,
    /// What cannot be used of what was taken: `line 3 of users` (empty for all of it), and why.
    pub(super) unusable: Vec<(String, String)>,
    /// Why nobody could look at what was taken.
    pub(super) unchecked: Option<String>,
}

impl Handed {
    pub(super) fn refused(name: &str, refusal: AdminError) -> Self {
        let fault = |(_, sentence): (String, String)| Fault {
            id: format!("file-{name}"),
            label: format!("File {name}"),
            sentence,
        };
        Self { faults: refusal.errors.into_iter().map(fault).collect(), ..Self::default() }
    }

    /// Those that are shown, and how many more there are.
    fn shown(&self) -> (&[(String, String)], usize) {
        let (shown, rest) = self.unusable.split_at(self.unusable.len().min(UNUSABLE));
        (shown, rest.len())
    }

    fn status(&self) -> StatusCode {
        match self.faults.is_empty() {
            true => StatusCode::OK,
            false => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

/// A file that a source takes.
struct File {
    name: &'static str,
    bytes: i64,
    uploaded_at: Option<String>,
}

pub(super) async fn overview(
    state: &Data<State>,
    visit: &Visit,
    frame: &Frame,
    directory: Shown,
    handed: Handed,
) -> Answer {
    let (service, id) = (&state.service, &directory.id);
    let newest = ListParameters { limit: Some(RUNS), ..ListParameters::default() };
    let runs = service.sync_list(&visit.access, id, &newest);
    let runs = service.portal_see(visit, id, runs).await.map_err(failed)?;
    let kept = service.source_file_list(&visit.access, id);
    let kept = service.portal_see(visit, id, kept).await.map_err(failed)?;
    let names = service.portal_source(&directory.kind).map_err(failed)?.files;
    let files = names.iter().map(|name| {
        let kept = kept.get("data").and_then(Value::as_array).into_iter().flatten();
        let found = kept.into_iter().find(|file| file.get("name") == Some(&Value::from(*name)));
        let part = |name: &str| found.and_then(|file| file.get(name));
        File {
            name,
            bytes: part("bytes").and_then(Value::as_i64).unwrap_or(0),
            uploaded_at: part("uploaded_at").and_then(Value::as_str).map(str::to_owned),
        }
    });
    let page = ReadPage {
        frame,
        tab: "",
        files: files.collect(),
        runs: runs.data.into_iter().filter_map(Run::of).collect(),
        often: &OFTEN,
        schedule: match directory.settings.get("schedule") {
            Some(Value::String(off)) => off.clone(),
            Some(schedule) => {
                schedule.get("every").and_then(Value::as_str).unwrap_or_default().to_owned()
            }
            None => String::new(),
        },
        directory,
        handed,
    };
    Ok(respond(page.handed.status(), &page))
}

/// Says when the source is read, and begins.
pub(super) async fn schedule(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, directory, form) = sent(&request, payload, &state, &id).await?;
    let (service, every) = (&state.service, form.get("every"));
    let mut stored = directory.settings.get("schedule").cloned().unwrap_or_default();
    let is_stored = stored.get("every").and_then(Value::as_str) == Some(every);
    if !is_stored && !OFTEN.iter().any(|(known, _)| *known == every) {
        let message = "it is none of those that the page offers.";
        return Err(failed(AdminError::invalid("every", message)));
    }
    let schedule = match (every, stored.as_object_mut()) {
        ("off", _) => json!("off"),
        (every, None) => json!({"every": every}),
        // How often everything is read is the operator's.
        (every, Some(members)) => {
            members.insert("every".to_owned(), every.into());
            stored
        }
    };
    let reading = Reading { schedule: Some(Some(schedule)), ..Reading::default() };
    let put = service.reading_put(&visit.access, &id, reading);
    service.portal_do(&visit, &id, put).await.map_err(failed)?;
    if form.get("start").is_empty() {
        return Ok(lead_to(&(frame.of(&id, "") + "?said=saved")));
    }
    let run = run::asked(&state, &visit, &frame, &id, NewRun::default()).await;
    Ok(lead_to(&run.map_err(failed)?))
}
