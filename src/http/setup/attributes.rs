//! What the application gets to know of users: custom attributes, with suggestions.

use std::collections::BTreeMap;

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
use crate::service::ServiceError;
use crate::service::error::AdminError;
use crate::service::mapping::attributes::{AttributeRule, AttributeRules};
use crate::service::mapping::manage::{AttributeMapChange, AttributeMapPreview};
use crate::service::mapping::suggest::Suggestion;
use crate::service::portal::Visit;

/// Empty rows at the end of the form.
const EMPTY_ROWS: usize = 3;

/// Users on whom attributes are tried.
const TRIED: usize = 3;

#[derive(Template)]
#[template(path = "setup/attributes.html")]
struct AttributesPage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    rows: Vec<Row>,
    suggestions: Suggested,
    tried: Option<Vec<Tried>>,
    faults: Vec<Fault>,
    applying: bool,
    faulty: i64,
}

/// What could be an attribute.
enum Suggested {
    Some(Vec<Suggestion>),
    /// All that users have is an attribute already.
    NoMore,
    /// There is nobody to look at.
    NobodyYet,
    /// Why nothing can be suggested.
    Failed(String),
}

impl Suggested {
    /// Of what users have, what is in none of the rows.
    fn of(found: Result<Vec<Suggestion>, ServiceError>, rows: &[Row]) -> Self {
        let found = match found {
            Ok(found) if found.is_empty() => return Self::NobodyYet,
            Ok(found) => found,
            Err(error) => return Self::Failed(error.to_scim().detail),
        };
        let is_new = |one: &Suggestion| !rows.iter().any(|row| row.name == one.name);
        match found.into_iter().filter(is_new).collect::<Vec<_>>() {
            none if none.is_empty() => Self::NoMore,
            new => Self::Some(new),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Row {
    name: String,
    expression: String,
    required: bool,
}

/// The rows of a form: a name and an expression in each, and the suggestions that were chosen.
fn rows_of(form: &Form) -> Vec<Row> {
    let required: Vec<&str> = form.all("required").collect();
    let rows = form.all("name").zip(form.all("expression")).enumerate();
    let rows = rows.map(|(index, (name, expression))| Row {
        name: name.trim().to_owned(),
        expression: expression.trim().to_owned(),
        required: required.contains(&index.to_string().as_str()),
    });
    let suggested = form.all("suggestion").map(|text| {
        let (name, expression) = text.split_once('=').unwrap_or((text, ""));
        Row { name: name.to_owned(), expression: expression.to_owned(), ..Row::default() }
    });
    let rows = rows.chain(suggested);
    rows.filter(|row| !row.name.is_empty() || !row.expression.is_empty()).collect()
}

/// The map of the rows.
///
/// # Errors
/// 422 for a name that is there twice.
fn rules_of(rows: &[Row]) -> Result<AttributeRules, AdminError> {
    let mut rules = BTreeMap::new();
    for row in rows {
        let expression = Some(row.expression.clone()).filter(|text| !text.is_empty());
        let rule = AttributeRule { expression, required: row.required };
        if rules.insert(row.name.clone(), rule).is_some() {
            let field = format!("attributes.{}", row.name);
            return Err(AdminError::invalid(&field, "it is there twice."));
        }
    }
    Ok(rules)
}

/// What is wrong with the rows, by the fields of the page.
fn faults(rows: &[Row], refusal: AdminError) -> Vec<Fault> {
    let fault = |(place, sentence): (String, String)| {
        let name = place.strip_prefix("attributes.").unwrap_or_default();
        let (name, field) = match name.strip_suffix(".expression") {
            Some(name) => (name, "expression"),
            None => (name, "name"),
        };
        match rows.iter().position(|row| row.name == name) {
            Some(row) => Fault {
                id: format!("{field}-{row}"),
                label: if name.is_empty() { "New attribute" } else { name }.to_owned(),
                sentence,
            },
            None => Fault { id: String::new(), label: place, sentence },
        }
    };
    refusal.errors.into_iter().map(fault).collect()
}

pub(super) async fn show(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (visit, frame, directory) = opened(&request, &state, &id).await?;
    let map = state.service.attribute_map(&visit.access, &id);
    let map = state.service.portal_see(&visit, &id, map).await.map_err(failed)?;
    let rows = map.attributes.into_iter().map(|(name, rule)| Row {
        name,
        expression: rule.expression.unwrap_or_default(),
        required: rule.required,
    });
    page(&state, &visit, &frame, directory, rows.collect(), Outcome::default()).await
}

/// Tries the attributes on three users, or puts them.
pub(super) async fn put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, directory, form) = sent(&request, payload, &state, &id).await?;
    let (service, access, rows) = (&state.service, &visit.access, rows_of(&form));
    let done = match rules_of(&rows) {
        Err(refusal) => Err(refusal.into()),
        Ok(attributes) => {
            let change = AttributeMapChange { attributes: attributes.clone() };
            let limit = Some(TRIED);
            let preview = AttributeMapPreview { attributes, user_ids: None, after: None, limit };
            let put = service.attribute_map_put(access, &id, change);
            let tried = service.attribute_map_preview(access, &id, preview);
            put_or_try(&state, (&visit, &id), &form, put, tried).await
        }
    };
    match Outcome::of(done, |refusal| faults(&rows, refusal))? {
        None => Ok(lead_to(&(frame.of(&id, "attributes") + "?said=saved"))),
        Some(outcome) => page(&state, &visit, &frame, directory, rows, outcome).await,
    }
}

async fn page(
    state: &State,
    visit: &Visit,
    frame: &Frame,
    directory: Shown,
    mut rows: Vec<Row>,
    outcome: Outcome,
) -> Answer {
    let (service, id) = (&state.service, directory.id.clone());
    let map = service.attribute_map(&visit.access, &id);
    let map = service.portal_see(visit, &id, map).await.map_err(failed)?;
    let suggestions = service.attribute_suggestions(&visit.access, &id);
    let suggestions = service.portal_see(visit, &id, suggestions).await;
    let suggestions = Suggested::of(suggestions, &rows);
    rows.resize_with(rows.len() + EMPTY_ROWS, Row::default);
    let status = outcome.status();
    let page = AttributesPage {
        frame,
        tab: "attributes",
        directory,
        rows,
        suggestions,
        tried: outcome.tried,
        faults: outcome.faults,
        applying: map.applying,
        faulty: map.users_with_faults,
    };
    Ok(respond(status, &page))
}
