//! What of a source comes in: a filter, and groups. It is tried by a dry run before it is put.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use askama::Template;
use serde_json::Value;

use super::handlers::{Answer, failed, opened, sent, settled};
use super::page::{Frame, Shown};
use super::run;
use crate::http::State;
use crate::http::web::browser::Form;
use crate::http::web::form::Fault;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::service::error::AdminError;
use crate::service::portal::Visit;
use crate::service::sync::{Found, FoundGroup, NewRun, Reading};

/// Groups that are offered beside those that are chosen.
const OFFERED: usize = 50;

/// Groups that nobody needs to look through.
const MANY: usize = 20;

#[derive(Template)]
#[template(path = "setup/scope.html")]
struct ScopePage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    wanted: Wanted,
    choices: Choices,
    faults: Vec<Fault>,
}

/// What the form has.
struct Wanted {
    filter: String,
    groups: bool,
    /// Names or ids of groups.
    scope: Vec<String>,
    /// What the groups are looked through for.
    find: String,
}

/// The groups of the source, to choose from.
struct Choices {
    /// Those that are chosen, then the others that are looked for; whether they are chosen.
    listed: Vec<(FoundGroup, bool)>,
    /// Others that are looked for, beyond those.
    beyond: usize,
    /// Groups of the source.
    total: usize,
    /// What the scope names that is none of them.
    typed: Vec<String>,
}

impl Choices {
    fn of(found: Found, wanted: &Wanted) -> Self {
        let total = found.groups.len();
        let is = |group: &FoundGroup, name: &String| *name == group.id || *name == group.name;
        let typed = wanted.scope.iter().filter(|name| !found.groups.iter().any(|g| is(g, name)));
        let typed = typed.cloned().collect();
        let (chosen, others): (Vec<FoundGroup>, Vec<FoundGroup>) = found
            .groups
            .into_iter()
            .partition(|group| wanted.scope.iter().any(|name| is(group, name)));
        let find = wanted.find.to_lowercase();
        let mut others =
            others.into_iter().filter(|group| group.name.to_lowercase().contains(&find));
        let mut listed: Vec<(FoundGroup, bool)> =
            chosen.into_iter().map(|group| (group, true)).collect();
        listed.extend(others.by_ref().take(OFFERED).map(|group| (group, false)));
        Self { listed, beyond: others.count(), total, typed }
    }

    /// Whether there are so many that one looks through them.
    fn are_many(&self) -> bool {
        self.total > MANY
    }
}

impl Wanted {
    /// As the settings of a directory say it.
    fn stored(settings: &Value) -> Self {
        let reading = Reading::of(settings);
        Self {
            filter: reading.filter.flatten().unwrap_or_default(),
            groups: reading.disable_group_sync != Some(true),
            scope: reading.group_scope.flatten().unwrap_or_default(),
            find: String::new(),
        }
    }

    fn sent(form: &Form) -> Self {
        let typed = form.get("scope").lines().map(str::trim).filter(|name| !name.is_empty());
        Self {
            filter: form.get("filter").trim().to_owned(),
            groups: !form.get("groups").is_empty(),
            scope: form.all("group").chain(typed).map(str::to_owned).collect(),
            find: form.get("find").trim().to_owned(),
        }
    }

    fn reading(&self) -> Reading {
        Reading {
            filter: Some(Some(self.filter.clone()).filter(|filter| !filter.is_empty())),
            disable_group_sync: Some(!self.groups),
            group_scope: Some(Some(self.scope.clone()).filter(|scope| !scope.is_empty())),
            schedule: None,
        }
    }
}

/// What is wrong with the settings, by the fields of the page.
fn faults(refusal: AdminError) -> Vec<Fault> {
    let fault = |(setting, sentence): (String, String)| {
        let (id, label) = match setting.as_str() {
            "settings.filter" => ("filter", "Filter"),
            setting if setting.starts_with("settings.group_scope") => {
                ("scope", "Only these groups")
            }
            other => ("", other),
        };
        Fault { id: id.to_owned(), label: label.to_owned(), sentence }
    };
    refusal.errors.into_iter().map(fault).collect()
}

pub(super) async fn show(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (visit, frame, directory) = opened(&request, &state, &id).await?;
    state.service.portal_source(&directory.kind).map_err(failed)?;
    let wanted = Wanted::stored(&directory.settings);
    page(&state, &visit, &frame, directory, wanted, Vec::new()).await
}

async fn page(
    state: &State,
    visit: &Visit,
    frame: &Frame,
    directory: Shown,
    wanted: Wanted,
    faults: Vec<Fault>,
) -> Answer {
    let found = state.service.portal_found(visit, &directory.id).await.map_err(failed)?;
    let status = match faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let choices = Choices::of(found, &wanted);
    let page = ScopePage { frame, tab: "scope", directory, wanted, choices, faults };
    Ok(respond(status, &page))
}

/// Looks through the groups, shows what other settings would do, by a dry run, or puts them.
pub(super) async fn put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, directory, form) = sent(&request, payload, &state, &id).await?;
    let (service, wanted) = (&state.service, Wanted::sent(&form));
    let done = match form.get("do") {
        "find" => return page(&state, &visit, &frame, directory, wanted, Vec::new()).await,
        "save" => {
            let put = service.reading_put(&visit.access, &id, wanted.reading());
            service
                .portal_do(&visit, &id, put)
                .await
                .map(|_| frame.of(&id, "scope") + "?said=saved")
        }
        _ => {
            let settings = Some(wanted.reading().merged(&directory.settings));
            let dry = NewRun { dry_run: true, mode: None, settings };
            run::asked(&state, &visit, &frame, &id, dry).await
        }
    };
    match settled(done)? {
        Ok(path) => Ok(lead_to(&path)),
        Err(refusal) => page(&state, &visit, &frame, directory, wanted, faults(refusal)).await,
    }
}
