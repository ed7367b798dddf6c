//! The operator's console: pages for people who signed in.
//!
//! A page calls the same use cases as the management API, as the administrator who looks at it. Viewers see
//! everything, operators act, owners also decide who signs in and which keys there are. Actions are forms
//! that lead back to a page, which says in a sentence what was done.

mod administrators;
mod alarms;
mod audit;
mod branding;
mod directories;
mod events;
mod frame;
mod groups;
mod health;
mod identities;
mod keys;
mod live;
mod organizations;
mod overview;
mod people;
mod primary;
mod session;
mod shown;
mod streams;
mod webhooks;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::ServiceConfig;
use askama::Template;

pub(in crate::http) use frame::{By, Frame, Operator, Owner, Sent, Viewer, Visit};

use super::error::{HttpError, Problem, Surface};
use super::web::browser::Form;
use super::web::page;
use super::web::text::encoded;
use crate::service::ServiceError;
use crate::service::error::AdminError;

type Answer = Result<HttpResponse, PageError>;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .configure(session::routes)
        .configure(overview::routes)
        .configure(organizations::routes)
        .configure(directories::routes)
        .configure(people::routes)
        .configure(groups::routes)
        .configure(events::routes)
        .configure(webhooks::routes)
        .configure(streams::routes)
        .configure(identities::routes)
        .configure(primary::routes)
        .configure(alarms::routes)
        .configure(audit::routes)
        .configure(branding::routes)
        .configure(keys::routes)
        .configure(administrators::routes)
        .configure(health::routes)
        .configure(live::routes);
}

/// Rows on a page of a list.
const PAGE_ROWS: i64 = 50;

/// A failure that is shown as a page.
#[derive(Debug)]
pub(in crate::http) struct PageError(HttpError);

impl<P: Into<Problem>> From<P> for PageError {
    fn from(problem: P) -> Self {
        Self(HttpError::on(Surface::Page, problem))
    }
}

impl From<HttpError> for PageError {
    fn from(error: HttpError) -> Self {
        Self(error.shown_on(Surface::Page))
    }
}

impl From<PageError> for actix_web::Error {
    fn from(error: PageError) -> Self {
        error.0.into()
    }
}

fn failed(problem: impl Into<Problem>) -> PageError {
    problem.into().into()
}

/// An answer that shows the page.
fn html(page: &impl Template) -> Answer {
    Ok(page::respond(StatusCode::OK, page))
}

/// The page of a form, again when there are faults in what was sent.
fn html_with<F>(faults: &[F], page: &impl Template) -> Answer {
    let status = match faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Ok(page::respond(status, page))
}

/// A path with parameters, to which further ones can be added.
fn link(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    let pairs: String = given.map(|(name, value)| format!("{name}={}&", encoded(value))).collect();
    format!("{path}?{pairs}")
}

/// The ids of organizations in a field, with spaces, commas or lines between them; none means all.
fn organizations(form: &Form, field: &str) -> Option<Vec<String>> {
    let ids = form.get(field).split([' ', ',', '\n', '\r', '\t']);
    let ids: Vec<String> = ids.filter(|id| !id.is_empty()).map(str::to_owned).collect();
    (!ids.is_empty()).then_some(ids)
}

/// Something that is wrong with a form: the field, empty for the whole of it, and a sentence.
type Fault = (String, String);
type Faults = Vec<Fault>;

/// A form of a page, again: what was wrong with what was sent, and what that was.
#[derive(Default)]
struct Again<'f> {
    faults: Vec<String>,
    form: Option<&'f Form>,
}

impl<'f> Again<'f> {
    fn of<R>(sent: &'f Sent<R>, faults: &[Fault]) -> Self {
        Self { faults: sentences(faults), form: Some(&sent.form) }
    }

    /// What a field has: what was sent, or, on a page that is opened, what is stored.
    fn or<'v>(&self, name: &str, stored: &'v str) -> &'v str
    where
        'f: 'v,
    {
        self.form.map_or(stored, |form| form.get(name))
    }

    /// What a field of something new has.
    fn value(&self, name: &str) -> &'f str {
        self.or(name, "")
    }

    /// Whether a box of that name is ticked, or a choice made.
    fn has(&self, name: &str, value: &str) -> bool {
        self.form.is_some_and(|form| form.all(name).any(|sent| sent == value))
    }
}

/// What a use case answered, or what is wrong with the form that asked for it. Other failures have a
/// page of their own.
fn checked<T>(outcome: Result<T, ServiceError>) -> Result<Result<T, Faults>, PageError> {
    match outcome {
        Ok(answer) => Ok(Ok(answer)),
        Err(ServiceError::Admin(AdminError { status: 422 | 409, message, errors, .. })) => {
            Ok(Err(match errors.is_empty() {
                true => vec![(String::new(), message)],
                false => errors,
            }))
        }
        Err(other) => Err(other.into()),
    }
}

/// The faults as sentences, for a form whose fields are not told apart.
fn sentences(faults: &[Fault]) -> Vec<String> {
    let sentence = |(field, message): &Fault| match field.as_str() {
        "" => message.clone(),
        field => format!("{field}: {message}"),
    };
    faults.iter().map(sentence).collect()
}
