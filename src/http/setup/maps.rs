//! What is made of the users: attributes with suggestions, roles by groups. Both are tried on stored users
//! before they are put.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use super::handlers::{Answer, failed, opened, submitted};
use super::page::{Frame, Shown};
use super::pull::faults;
use crate::http::State;
use crate::http::web::browser::Form;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::service::ServiceError;
use crate::service::error::AdminError;
use crate::service::mapping::attributes::{AttributeRule, AttributeRules};
use crate::service::mapping::manage::{AttributeMapChange, AttributeMapPreview, RoleMapPreview};
use crate::service::mapping::roles::{RoleRule, RoleRules};
use crate::service::mapping::suggest::Suggestion;
use crate::service::portal::Visit;

/// Empty rows at the end of a form.
const EMPTY_ROWS: usize = 3;

/// Users on whom attributes are tried, and roles.
const TRIED: usize = 3;
const TRIED_ROLES: usize = 20;

#[derive(Template)]
#[template(path = "setup/attributes.html")]
struct AttributesPage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    rows: Vec<AttributeRow>,
    suggestions: Vec<Suggestion>,
    tried: Option<Vec<Tried>>,
    fault: Option<String>,
    applying: bool,
    faulty: i64,
}

#[derive(Clone, Debug, Default)]
struct AttributeRow {
    name: String,
    expression: String,
    required: bool,
    fault: Option<String>,
}

#[derive(Template)]
#[template(path = "setup/roles.html")]
struct RolesPage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    rows: Vec<RoleRow>,
    default_role: String,
    groups: Vec<(String, String)>,
    tried: Option<Vec<Tried>>,
    fault: Option<String>,
    applying: bool,
}

#[derive(Clone, Debug, Default)]
struct RoleRow {
    /// `group:…`, `scim_role:…`, `entitlement:…`; empty for none.
    who: String,
    role: String,
}

impl RoleRow {
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

/// A user before and after.
#[derive(Clone, Debug, Deserialize)]
struct Tried {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
    #[serde(default)]
    faults: Vec<TriedFault>,
}

#[derive(Clone, Debug, Deserialize)]
struct TriedFault {
    attribute: String,
    #[serde(default)]
    message: Option<String>,
}

impl Tried {
    fn who(&self) -> &str {
        let named = self.username.as_deref().or(self.email.as_deref());
        named.unwrap_or("a user without a name")
    }

    fn is_changed(&self) -> bool {
        self.before != self.after
    }

    fn lines(value: &Value) -> Vec<String> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match value {
            Value::Object(members) => {
                members.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect()
            }
            Value::Array(elements) => elements.iter().map(text).collect(),
            _ => Vec::new(),
        }
    }

    fn of(preview: &Value) -> Vec<Self> {
        let data = preview.get("data").cloned().unwrap_or_default();
        serde_json::from_value(data).unwrap_or_default()
    }
}

pub(super) async fn attributes(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let (visit, frame, directory) = opened(&request, &state, &id).await?;
    let map = state.service.attribute_map(&visit.access, &id);
    let map = state.service.portal_see(&visit, &id, map).await.map_err(failed)?;
    let rows = map.attributes.into_iter().map(|(name, rule)| AttributeRow {
        name,
        expression: rule.expression.unwrap_or_default(),
        required: rule.required,
        fault: None,
    });
    attributes_page(&state, &visit, &frame, directory, Rows::of(rows.collect())).await
}

/// The rows of the attribute form, and what came of them.
struct Rows {
    rows: Vec<AttributeRow>,
    tried: Option<Vec<Tried>>,
    fault: Option<String>,
}

impl Rows {
    fn of(rows: Vec<AttributeRow>) -> Self {
        Self { rows, tried: None, fault: None }
    }

    /// As a form has them: a name and an expression in each, and the suggestions that were chosen.
    fn sent(form: &Form) -> Self {
        let required: Vec<&str> = form.all("required").collect();
        let rows = form.all("name").zip(form.all("expression")).enumerate();
        let rows = rows.map(|(index, (name, expression))| AttributeRow {
            name: name.trim().to_owned(),
            expression: expression.trim().to_owned(),
            required: required.contains(&index.to_string().as_str()),
            fault: None,
        });
        let suggested = form.all("suggestion").map(|text| {
            let (name, expression) = text.split_once('=').unwrap_or((text, ""));
            AttributeRow {
                name: name.to_owned(),
                expression: expression.to_owned(),
                ..AttributeRow::default()
            }
        });
        let rows =
            rows.chain(suggested).filter(|row| !row.name.is_empty() || !row.expression.is_empty());
        Self::of(rows.collect())
    }

    fn rules(&self) -> Result<AttributeRules, AdminError> {
        let mut rules = BTreeMap::new();
        for row in &self.rows {
            let expression = Some(row.expression.clone()).filter(|text| !text.is_empty());
            let rule = AttributeRule { expression, required: row.required };
            if rules.insert(row.name.clone(), rule).is_some() {
                let field = format!("attributes.{}", row.name);
                return Err(AdminError::invalid(&field, "it is there twice."));
            }
        }
        Ok(rules)
    }

    fn refused(mut self, error: AdminError) -> Self {
        for row in &mut self.rows {
            let place = format!("attributes.{}", row.name);
            let is_own = |field: &str| {
                field.strip_prefix(&place).is_some_and(|rest| matches!(rest, "" | ".expression"))
            };
            row.fault = error
                .errors
                .iter()
                .find(|(field, _)| is_own(field))
                .map(|(_, fault)| fault.clone());
        }
        Self { fault: Some(error.message), ..self }
    }
}

async fn attributes_page(
    state: &Data<State>,
    visit: &Visit,
    frame: &Frame,
    directory: Shown,
    mut rows: Rows,
) -> Answer {
    let (service, id) = (&state.service, directory.id.clone());
    let map = service.attribute_map(&visit.access, &id);
    let map = service.portal_see(visit, &id, map).await.map_err(failed)?;
    let suggestions = service.attribute_suggestions(&visit.access, &id);
    let suggestions = service.portal_see(visit, &id, suggestions).await.map_err(failed)?;
    let is_new = |one: &Suggestion| !rows.rows.iter().any(|row| row.name == one.name);
    let suggestions = suggestions.into_iter().filter(is_new).collect();
    let status = status(rows.fault.is_some());
    rows.rows.resize_with(rows.rows.len() + EMPTY_ROWS, AttributeRow::default);
    let page = AttributesPage {
        frame,
        tab: "attributes",
        directory,
        rows: rows.rows,
        suggestions,
        tried: rows.tried,
        fault: rows.fault,
        applying: map.applying,
        faulty: map.users_with_faults,
    };
    Ok(respond(status, &page))
}

fn status(is_refused: bool) -> StatusCode {
    if is_refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
}

/// Tries the attributes on three users, or puts them.
pub(super) async fn attributes_put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, form) = submitted(&request, payload, &state).await?;
    let service = &state.service;
    let directory = service.portal_directory(&visit, &id).await.map_err(failed)?;
    let mut rows = Rows::sent(&form);
    let done = match rows.rules() {
        Err(error) => Err(error.into()),
        Ok(attributes) if form.get("do") == "save" => {
            let put = AttributeMapChange { attributes };
            let put = service.attribute_map_put(&visit.access, &id, put);
            service.portal_do(&visit, &id, put).await.map(|_| None)
        }
        Ok(attributes) => {
            let limit = Some(TRIED);
            let wanted = AttributeMapPreview { attributes, user_ids: None, after: None, limit };
            let tried = service.attribute_map_preview(&visit.access, &id, wanted);
            service.portal_see(&visit, &id, tried).await.map(|tried| Some(Tried::of(&tried)))
        }
    };
    match outcome(done)? {
        Outcome::Put => return Ok(saved(&frame, &id, "attributes")),
        Outcome::Tried(tried) => rows.tried = Some(tried),
        Outcome::Refused(error) => rows = rows.refused(error),
    }
    attributes_page(&state, &visit, &frame, Shown::of(directory), rows).await
}

enum Outcome {
    Put,
    Tried(Vec<Tried>),
    Refused(AdminError),
}

fn outcome(
    done: Result<Option<Vec<Tried>>, ServiceError>,
) -> Result<Outcome, crate::http::error::HttpError> {
    Ok(match done {
        Ok(None) => Outcome::Put,
        Ok(Some(tried)) => Outcome::Tried(tried),
        Err(error) => Outcome::Refused(faults(error).map_err(failed)?),
    })
}

fn saved(frame: &Frame, id: &str, page: &str) -> HttpResponse {
    lead_to(&(frame.of(id, page) + "?said=saved"))
}

pub(super) async fn roles(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (visit, frame, directory) = opened(&request, &state, &id).await?;
    let map = state.service.role_map(&visit.access, &id);
    let map = state.service.portal_see(&visit, &id, map).await.map_err(failed)?;
    let mut rules = map.map.rules;
    // As the rows stand: the first one is the highest.
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
    let rows = rules.into_iter().map(|rule| RoleRow {
        who: match (rule.group, rule.scim_role, rule.entitlement) {
            (Some(group), _, _) => format!("group:{group}"),
            (_, Some(role), _) => format!("scim_role:{role}"),
            (_, _, entitlement) => format!("entitlement:{}", entitlement.unwrap_or_default()),
        },
        role: rule.role,
    });
    let sent = SentRoles {
        rows: rows.collect(),
        default_role: map.map.default_role.unwrap_or_default(),
        tried: None,
        fault: None,
    };
    roles_page(&state, &visit, &frame, directory, sent).await
}

/// The role form, and what came of it.
struct SentRoles {
    rows: Vec<RoleRow>,
    default_role: String,
    tried: Option<Vec<Tried>>,
    fault: Option<String>,
}

impl SentRoles {
    fn of(form: &Form) -> Self {
        let rows = form
            .all("who")
            .zip(form.all("role"))
            .map(|(who, role)| RoleRow { who: who.to_owned(), role: role.trim().to_owned() });
        Self {
            rows: rows.filter(|row| !row.who.is_empty() || !row.role.is_empty()).collect(),
            default_role: form.get("default_role").trim().to_owned(),
            tried: None,
            fault: None,
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

async fn roles_page(
    state: &Data<State>,
    visit: &Visit,
    frame: &Frame,
    directory: Shown,
    mut sent: SentRoles,
) -> Answer {
    let (service, id) = (&state.service, directory.id.clone());
    let map = service.role_map(&visit.access, &id);
    let map = service.portal_see(visit, &id, map).await.map_err(failed)?;
    let groups = service.portal_groups(visit, &id).await.map_err(failed)?;
    let status = status(sent.fault.is_some());
    sent.rows.resize_with(sent.rows.len() + EMPTY_ROWS, RoleRow::default);
    let page = RolesPage {
        frame,
        tab: "roles",
        directory,
        rows: sent.rows,
        default_role: sent.default_role,
        groups,
        tried: sent.tried,
        fault: sent.fault,
        applying: map.applying,
    };
    Ok(respond(status, &page))
}

/// Tries the roles on some users, or puts them.
pub(super) async fn roles_put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, form) = submitted(&request, payload, &state).await?;
    let service = &state.service;
    let directory = service.portal_directory(&visit, &id).await.map_err(failed)?;
    let mut sent = SentRoles::of(&form);
    let rules = sent.rules();
    let done = if form.get("do") == "save" {
        let put = service.role_map_put(&visit.access, &id, rules);
        service.portal_do(&visit, &id, put).await.map(|_| None)
    } else {
        let RoleRules { rules, default_role } = rules;
        let limit = Some(TRIED_ROLES);
        let wanted = RoleMapPreview { rules, default_role, user_ids: None, after: None, limit };
        let tried = service.role_map_preview(&visit.access, &id, wanted);
        service.portal_see(&visit, &id, tried).await.map(|tried| Some(Tried::of(&tried)))
    };
    match outcome(done)? {
        Outcome::Put => return Ok(saved(&frame, &id, "roles")),
        Outcome::Tried(tried) => sent.tried = Some(tried),
        Outcome::Refused(error) => sent.fault = Some(error.message),
    }
    roles_page(&state, &visit, &frame, Shown::of(directory), sent).await
}
