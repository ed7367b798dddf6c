//! People and groups of all directories, and the story of one person.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};

use super::{Answer, failed, manager, ok, parameters, query};
use crate::http::State;
use crate::http::body::Query;
use crate::http::error::HttpError;
use crate::service::people::PeopleQuery;

/// `q`, `organization_id`, `limit`, `after`.
fn wanted(query: &Query) -> Result<PeopleQuery, HttpError> {
    let page = parameters(query)?;
    Ok(PeopleQuery {
        q: query.get("q").unwrap_or_default().to_owned(),
        organization_id: query.get("organization_id").filter(|t| !t.is_empty()).map(str::to_owned),
        limit: page.limit,
        after: page.after,
    })
}

pub(super) async fn people(request: HttpRequest, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let wanted = wanted(&query(&request)?)?;
    state.service.people(&access, &wanted).await.map(ok).map_err(failed)
}

pub(super) async fn groups(request: HttpRequest, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let wanted = wanted(&query(&request)?)?;
    state.service.groups(&access, &wanted).await.map(ok).map_err(failed)
}

pub(super) async fn story(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let page = parameters(&query(&request)?)?;
    state.service.story(&access, &id, &page).await.map(ok).map_err(failed)
}

pub(super) async fn group(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let page = parameters(&query(&request)?)?;
    state.service.group(&access, &id, &page).await.map(ok).map_err(failed)
}
