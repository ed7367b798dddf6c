//! Which group gives which role in the application.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Payload};
use askama::Template;

use super::handlers::{Answer, failed, opened, sent};
use super::page::{Frame, Shown};
use super::tried::{Outcome, Tried, put_or_try};
use crate::http::State;
use crate::http::web::browser::Form;
use crate::http::web::form::Fault;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::service::error::AdminError;
use crate::service::mapping::manage::RoleMapPreview;
use crate::service::mapping::roles::{RoleRule, RoleRules};
use crate::service::portal::Visit;

/// Empty rows at the end of the form.
const EMPTY_ROWS: usize = 3;

/// Users on whom roles are tried.
const TRIED: usize = 20;

#[derive(Template)]
#[template(path = "setup/roles.html")]
struct RolesPage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    wanted: Wanted,
    groups: Vec<(String, String)>,
    tried: Option<Vec<Tried>>,
    faults: Vec<Fault>,
    applying: bool,
}

#[derive(Clone, Debug, Default)]
struct Row {
    /// `group:…`, `scim_role:…`, `entitlement:…`; empty for none.
    who: String,
    role: String,
}

impl Row {
    /// What it goes by where that is none of the groups that are offered.
    fn other(&self, groups: &[(String, String)]) -> Option<String> {
        let (kind, value) = self.who.split_once(':')?;
        match kind {
            "group" if groups.iter().any(|(id, _)| id == value) => None,
            "group" => Some(format!("Group {value}")),
            "scim_role" => Some(format!("Everybody with the role {value} at the provider")),
            _ => Some(format!("Everybody with the entitlement {value} at the provider")),
        }
    }

    fn is(&self, group: &str) -> bool {
        self.who.strip_prefix("group:") == Some(group)
    }
}

/// What the form has.
struct Wanted {
    rows: Vec<Row>,
    default_role: String,
}

impl Wanted {
    fn stored(mut map: RoleRules) -> Self {
        // As the rows stand: the first one is the highest.
        map.rules.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
        let rows = map.rules.into_iter().map(|rule| Row {
            who: match (rule.group, rule.scim_role, rule.entitlement) {
                (Some(group), _, _) => format!("group:{group}"),
                (_, Some(role), _) => format!("scim_role:{role}"),
                (_, _, entitlement) => format!("entitlement:{}", entitlement.unwrap_or_default()),
            },
            role: rule.role,
        });
        Self { rows: rows.collect(), default_role: map.default_role.unwrap_or_default() }
    }

    fn sent(form: &Form) -> Self {
        let rows = form
            .all("who")
            .zip(form.all("role"))
            .map(|(who, role)| Row { who: who.to_owned(), role: role.trim().to_owned() });
        Self {
            rows: rows.filter(|row| !row.who.is_empty() || !row.role.is_empty()).collect(),
            default_role: form.get("default_role").trim().to_owned(),
        }
    }

    fn rules(&self) -> RoleRules {
        let priorities = (0..i32::try_from(self.rows.len()).unwrap_or(i32::MAX)).rev();
        let rules = self.rows.iter().zip(priorities).map(|(row, priority)| {
            let (kind, value) = row.who.split_once(':').unwrap_or_default();
            let of = |name: &str| (kind == name).then(|| value.to_owned());
            RoleRule {
                role: row.role.clone(),
                priority,
                group: of("group"),
                scim_role: of("scim_role"),
                entitlement: of("entitlement"),
            }
        });
        let default_role = Some(self.default_role.clone()).filter(|role| !role.is_empty());
        RoleRules { rules: rules.collect(), default_role }
    }
}

/// What is wrong with the map, by the fields of the page.
fn faults(refusal: AdminError) -> Vec<Fault> {
    let fault = |(place, sentence): (String, String)| {
        let row = place.strip_prefix("rules[").and_then(|rest| rest.split(']').next());
        let row = row.and_then(|row| row.parse::<usize>().ok());
        let (id, label) = match row {
            Some(row) if place.ends_with(".role") => {
                (format!("role-{row}"), format!("Role, row {}", row + 1))
            }
            Some(row) => (format!("who-{row}"), format!("Who, row {}", row + 1)),
            None if place == "default_role" => (place, "Everybody else".to_owned()),
            None => (String::new(), place),
        };
        Fault { id, label, sentence }
    };
    refusal.errors.into_iter().map(fault).collect()
}

pub(super) async fn show(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (visit, frame, directory) = opened(&request, &state, &id).await?;
    let map = state.service.role_map(&visit.access, &id);
    let map = state.service.portal_see(&visit, &id, map).await.map_err(failed)?;
    let wanted = Wanted::stored(map.map);
    page(&state, &visit, &frame, directory, wanted, Outcome::default()).await
}

/// Tries the roles on some users, or puts them.
pub(super) async fn put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, directory, form) = sent(&request, payload, &state, &id).await?;
    let (service, access, wanted) = (&state.service, &visit.access, Wanted::sent(&form));
    let RoleRules { rules, default_role } = wanted.rules();
    let limit = Some(TRIED);
    let preview = RoleMapPreview { rules, default_role, user_ids: None, after: None, limit };
    let put = service.role_map_put(access, &id, wanted.rules());
    let tried = service.role_map_preview(access, &id, preview);
    let done = put_or_try(&state, (&visit, &id), &form, put, tried).await;
    match Outcome::of(done, faults)? {
        None => Ok(lead_to(&(frame.of(&id, "roles") + "?said=saved"))),
        Some(outcome) => page(&state, &visit, &frame, directory, wanted, outcome).await,
    }
}

async fn page(
    state: &State,
    visit: &Visit,
    frame: &Frame,
    directory: Shown,
    mut wanted: Wanted,
    outcome: Outcome,
) -> Answer {
    let (service, id) = (&state.service, directory.id.clone());
    let map = service.role_map(&visit.access, &id);
    let map = service.portal_see(visit, &id, map).await.map_err(failed)?;
    let groups = service.portal_groups(visit, &id).await.map_err(failed)?;
    wanted.rows.resize_with(wanted.rows.len() + EMPTY_ROWS, Row::default);
    let status = outcome.status();
    let page = RolesPage {
        frame,
        tab: "roles",
        directory,
        wanted,
        groups,
        tried: outcome.tried,
        faults: outcome.faults,
        applying: map.applying,
    };
    Ok(respond(status, &page))
}
