//! The operator's console: pages for people who signed in.
//!
//! A page calls the same use cases as the management API, as the administrator who looks at it. Viewers see
//! everything, operators act, owners also decide who signs in and which keys there are. Actions are forms
//! that lead back to a page, which says in a sentence what was done.

mod administrators;
mod alarms;
mod audit;
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
mod session;
mod streams;
mod webhooks;

use actix_web::web::ServiceConfig;
use actix_web::{HttpRequest, HttpResponse};

pub(in crate::http) use frame::{Frame, enter, submitted};

use super::body::Query;
use super::error::{HttpError, Problem, Surface};
use crate::service::administer::ListParameters;

type Answer = Result<HttpResponse, HttpError>;

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
        .configure(alarms::routes)
        .configure(audit::routes)
        .configure(keys::routes)
        .configure(administrators::routes)
        .configure(health::routes)
        .configure(live::routes);
}

/// A use case that failed, to be shown as a page.
fn failed(problem: impl Into<Problem>) -> HttpError {
    HttpError::on(Surface::Page, problem)
}

/// Rows on a page of a list.
const PAGE_ROWS: i64 = 50;

/// Where a list starts: `after` or `before` of the query.
fn page_parameters(request: &HttpRequest) -> Result<ListParameters, HttpError> {
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let id = |name: &str| query.get(name).filter(|id| !id.is_empty()).map(str::to_owned);
    Ok(ListParameters { limit: Some(PAGE_ROWS), after: id("after"), before: id("before") })
}
