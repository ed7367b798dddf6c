//! People and groups of all directories, and the story of one person.

use actix_web::web::Path;

use super::{Answer, Manager, failed, ok, parameters};
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

pub(super) async fn people(by: Manager) -> Answer {
    let wanted = wanted(&by.query()?)?;
    by.service().people(&by.access, &wanted).await.map(ok).map_err(failed)
}

pub(super) async fn groups(by: Manager) -> Answer {
    let wanted = wanted(&by.query()?)?;
    by.service().groups(&by.access, &wanted).await.map(ok).map_err(failed)
}

pub(super) async fn story(by: Manager, id: Path<String>) -> Answer {
    let page = by.page()?;
    by.service().story(&by.access, &id, &page).await.map(ok).map_err(failed)
}

pub(super) async fn group(by: Manager, id: Path<String>) -> Answer {
    let page = by.page()?;
    by.service().group(&by.access, &id, &page).await.map(ok).map_err(failed)
}
