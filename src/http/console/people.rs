//! People of all directories: a search, and the story of one.

use actix_web::web::{self, Path, ServiceConfig};
use askama::Template;
use serde_json::Value;

use super::{Answer, By, Frame, PageError, Viewer, Visit, html, link};
use crate::http::web::only;
use crate::http::web::text as filters;
use crate::service::administer::Names;
use crate::service::people::{Found, PeopleQuery, Story};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(only("/console/people", "GET").route(web::get().to(search)))
        .service(only("/console/people/{id}", "GET").route(web::get().to(story)));
}

#[derive(Template)]
#[template(path = "console/people.html")]
struct PeoplePage {
    frame: Frame,
    wanted: PeopleQuery,
    /// `None` before anything was looked for.
    found: Option<Found>,
    names: Names,
    /// The search as it stands in links.
    search: String,
}

#[derive(Template)]
#[template(path = "console/people_one.html")]
struct StoryPage {
    frame: Frame,
    story: Story,
    names: Names,
}

/// A value as people read it.
fn shown(value: &Option<Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::Object(members)) => {
            let parts = members.iter().map(|(name, value)| match value {
                Value::String(text) => format!("{name}: {text}"),
                other => format!("{name}: {other}"),
            });
            parts.collect::<Vec<_>>().join("; ")
        }
        Some(other) => other.to_string(),
    }
}

/// `q`, `organization_id` and the page of a search; and how they stand in links.
pub(super) fn asked(visit: &Visit) -> (PeopleQuery, String) {
    let page = visit.stretch();
    let (q, organization_id) =
        (visit.asked("q").unwrap_or_default(), visit.asked("organization_id"));
    let pairs = [("q", Some(q.as_str())), ("organization_id", organization_id.as_deref())];
    let search = link("", &pairs);
    (PeopleQuery { q, organization_id, limit: page.limit, after: page.after }, search)
}

/// The names of the directories in which something was found.
pub(super) async fn directories(visit: &Visit, found: &Option<Found>) -> Result<Names, PageError> {
    let found = found.iter().flat_map(|found| &found.data).map(|one| &one.directory_id);
    Ok(visit.service().names(visit.access(), found).await?)
}

async fn search(visit: By<Viewer>) -> Answer {
    let (wanted, search) = asked(&visit);
    let found = match wanted.q.is_empty() {
        true => None,
        false => Some(visit.service().people(visit.access(), &wanted).await?),
    };
    let names = directories(&visit, &found).await?;
    html(&PeoplePage { frame: visit.frame.clone(), wanted, found, names, search })
}

async fn story(visit: By<Viewer>, id: Path<String>) -> Answer {
    let story = visit.service().story(visit.access(), &id, &visit.stretch()).await?;
    let accounts = story.accounts.iter().map(|account| &account.directory_id);
    let places = accounts.chain([&story.directory_id, &story.organization_id]);
    let names = visit.service().names(visit.access(), places).await?;
    html(&StoryPage { frame: visit.frame.clone(), story, names })
}
