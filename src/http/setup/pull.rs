//! A directory that is read: its source, a test of it, what comes in, and when.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use askama::Template;
use serde::Deserialize;
use serde_json::{Value, json};

use super::handlers::{Answer, enter, failed, opened, submitted};
use super::page::{Frame, Shown};
use super::run::Run;
use crate::http::State;
use crate::http::body::Query;
use crate::http::web::browser::Form;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::scim::Object;
use crate::service::ServiceError;
use crate::service::administer::{DirectoryChange, ListParameters};
use crate::service::error::AdminError;
use crate::service::portal::Visit;
use crate::service::portal::form::{self, Control, Question};
use crate::service::sync::{NewRun, Reading};

/// Runs that are shown.
const RUNS: i64 = 10;

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

/// A file that a source takes.
struct File {
    name: &'static str,
    bytes: i64,
    uploaded_at: Option<String>,
}

#[derive(Template)]
#[template(path = "setup/source.html")]
struct SourcePage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    /// None before it is made.
    directory: Option<Shown>,
    title: &'p str,
    description: &'p str,
    action: String,
    newest: &'p str,
    questions: Vec<Question>,
    /// What is wrong beside the single answers.
    fault: Option<String>,
}

#[derive(Template)]
#[template(path = "setup/tested.html")]
struct TestedPage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    tested: Tested,
}

/// What a test of the connection came to.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Tested {
    ok: bool,
    users: Option<u64>,
    groups: Option<u64>,
    warnings: Vec<String>,
    error: Option<String>,
    code: Option<String>,
}

#[derive(Template)]
#[template(path = "setup/scope.html")]
struct ScopePage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    filter: String,
    groups: bool,
    scope: String,
    faults: Vec<(String, String)>,
}

impl ScopePage<'_> {
    fn fault(&self, field: &str) -> Option<&str> {
        let place = format!("settings.{field}");
        let found = self.faults.iter().find(|(known, _)| known.starts_with(&place));
        found.map(|(_, fault)| fault.as_str())
    }
}

/// A refusal whose fields a form can show.
pub(super) fn faults(error: ServiceError) -> Result<AdminError, ServiceError> {
    match error {
        ServiceError::Admin(error) if error.status == 422 => Ok(error),
        other => Err(other),
    }
}

pub(super) async fn overview(
    state: &Data<State>,
    visit: &Visit,
    frame: &Frame,
    directory: Shown,
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
    };
    Ok(respond(StatusCode::OK, &page))
}

/// The form of a source that is to be connected.
pub(super) async fn ask(request: HttpRequest, kind: Path<String>, state: Data<State>) -> Answer {
    let (_, frame) = enter(&request, &state).await?;
    let kind = state.service.portal_source(&kind).map_err(failed)?;
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let page = SourcePage {
        frame: &frame,
        tab: "source",
        directory: None,
        title: kind.title,
        description: kind.description,
        action: format!("{}/setup/sources/{}", frame.base, kind.name),
        newest: query.get("newest").unwrap_or_default(),
        questions: form::questions(kind, &Object::new()),
        fault: None,
    };
    Ok(respond(StatusCode::OK, &page))
}

/// Makes the directory of a source; nothing is read yet.
pub(super) async fn create(
    request: HttpRequest,
    kind: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, form) = submitted(&request, payload, &state).await?;
    let kind = state.service.portal_source(&kind).map_err(failed)?;
    let given = answers_of(&form);
    let config = form::answers(kind, None, &given);
    let made = state.service.portal_source_create(&visit, kind, &config, form.get("newest")).await;
    let error = match made {
        Ok(id) => return Ok(lead_to(&frame.of(&id, ""))),
        Err(error) => faults(error).map_err(failed)?,
    };
    let page = SourcePage {
        frame: &frame,
        tab: "source",
        directory: None,
        title: kind.title,
        description: kind.description,
        action: format!("{}/setup/sources/{}", frame.base, kind.name),
        newest: form.get("newest"),
        questions: form::questioned(kind, &Object::new(), &given, &error),
        fault: Some(error.message),
    };
    Ok(respond(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// The answers of a form, by the names of the questions.
fn answers_of<'f>(form: &'f Form) -> impl Fn(&str) -> &'f str {
    |name| form.get(&format!("config.{name}"))
}

/// The form of a source that is there.
pub(super) async fn source(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (_, frame, directory) = opened(&request, &state, &id).await?;
    let kind = state.service.portal_source(&directory.kind).map_err(failed)?;
    let page = SourcePage {
        frame: &frame,
        tab: "source",
        title: kind.title,
        description: kind.description,
        action: frame.of(&id, "source"),
        newest: "",
        questions: form::questions(kind, &directory.config),
        directory: Some(directory),
        fault: None,
    };
    Ok(respond(StatusCode::OK, &page))
}

pub(super) async fn change(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, form) = submitted(&request, payload, &state).await?;
    let service = &state.service;
    let directory = service.portal_directory(&visit, &id).await.map_err(failed)?;
    let directory = Shown::of(directory);
    let kind = service.portal_source(&directory.kind).map_err(failed)?;
    let given = answers_of(&form);
    let config = form::answers(kind, Some(&directory.config), &given);
    let change =
        DirectoryChange { config: Some(Value::Object(config)), ..DirectoryChange::default() };
    let changed = service.directory_update(&visit.access, &id, change);
    let error = match service.portal_do(&visit, &id, changed).await {
        Ok(_) => return Ok(lead_to(&(frame.of(&id, "source") + "?said=saved"))),
        Err(error) => faults(error).map_err(failed)?,
    };
    let page = SourcePage {
        frame: &frame,
        tab: "source",
        title: kind.title,
        description: kind.description,
        action: frame.of(&id, "source"),
        newest: "",
        questions: form::questioned(kind, &directory.config, &given, &error),
        directory: Some(directory),
        fault: Some(error.message),
    };
    Ok(respond(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Keeps a file whose content was pasted.
pub(super) async fn file(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, form) = submitted(&request, payload, &state).await?;
    let ((id, name), service) = (path.into_inner(), &state.service);
    let content = form.get("content").as_bytes().to_vec();
    let kept = service.source_file_put(&visit.access, &id, &name, content);
    service.portal_do(&visit, &id, kept).await.map_err(failed)?;
    Ok(lead_to(&(frame.of(&id, "") + "?said=kept")))
}

/// Tries the connection and says what came of it. It changes nothing, so the page is the answer.
pub(super) async fn test(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, _) = submitted(&request, payload, &state).await?;
    let service = &state.service;
    let directory = service.portal_directory(&visit, &id).await.map_err(failed)?;
    let tested = service.source_test(&visit.access, &id);
    let tested = service.portal_see(&visit, &id, tested).await.map_err(failed)?;
    let page = TestedPage {
        frame: &frame,
        tab: "",
        directory: Shown::of(directory),
        tested: serde_json::from_value(tested).unwrap_or_default(),
    };
    Ok(respond(StatusCode::OK, &page))
}

/// What of the source comes in.
pub(super) async fn scope(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (_, frame, directory) = opened(&request, &state, &id).await?;
    state.service.portal_source(&directory.kind).map_err(failed)?;
    let settings = &directory.settings;
    let names = settings.get("group_scope").and_then(Value::as_array).into_iter().flatten();
    let names: Vec<&str> = names.filter_map(Value::as_str).collect();
    let page = ScopePage {
        frame: &frame,
        tab: "scope",
        filter: settings.get("filter").and_then(Value::as_str).unwrap_or_default().to_owned(),
        groups: settings.get("disable_group_sync") != Some(&Value::Bool(true)),
        scope: names.join("\n"),
        faults: Vec::new(),
        directory,
    };
    Ok(respond(StatusCode::OK, &page))
}

/// Shows what other settings would do, by a dry run, or puts them.
pub(super) async fn scope_put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, form) = submitted(&request, payload, &state).await?;
    let service = &state.service;
    let names = form.get("scope").lines().map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    let reading = Reading {
        filter: Some(form.filled("filter").map(str::to_owned)),
        disable_group_sync: Some(form.get("groups").is_empty()),
        group_scope: Some(Some(names).filter(|names| !names.is_empty())),
        schedule: None,
    };
    let directory = service.portal_directory(&visit, &id).await.map_err(failed)?;
    let done = if form.get("do") == "save" {
        let put = service.reading_put(&visit.access, &id, reading);
        service.portal_do(&visit, &id, put).await.map(|_| frame.of(&id, "scope") + "?said=saved")
    } else {
        let settings = Some(reading.merged(&directory.settings));
        let wanted = NewRun { dry_run: true, mode: None, settings };
        let asked = service.sync_request(&visit.access, &id, wanted);
        service.portal_do(&visit, &id, asked).await.map(|run| {
            let run = run.get("id").and_then(Value::as_str).unwrap_or_default();
            frame.of(&id, &format!("runs/{run}"))
        })
    };
    let error = match done {
        Ok(path) => return Ok(lead_to(&path)),
        Err(error) => faults(error).map_err(failed)?,
    };
    let page = ScopePage {
        frame: &frame,
        tab: "scope",
        directory: Shown::of(directory),
        filter: form.get("filter").to_owned(),
        groups: !form.get("groups").is_empty(),
        scope: form.get("scope").to_owned(),
        faults: error.errors,
    };
    Ok(respond(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Says when the source is read, and begins.
pub(super) async fn schedule(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, form) = submitted(&request, payload, &state).await?;
    let (service, every) = (&state.service, form.get("every"));
    let directory = service.portal_directory(&visit, &id).await.map_err(failed)?;
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
    let asked = service.sync_request(&visit.access, &id, NewRun::default());
    let run = service.portal_do(&visit, &id, asked).await.map_err(failed)?;
    let run = run.get("id").and_then(Value::as_str).unwrap_or_default();
    Ok(lead_to(&frame.of(&id, &format!("runs/{run}"))))
}
