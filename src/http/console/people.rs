//! People of all directories: a search, and the story of one.

use actix_web::web::{self, Path, ServiceConfig};
use askama::Template;
use serde_json::Value;

use super::{Answer, By, Frame, Viewer, Visit, html, link};
use crate::http::web::only;
use crate::http::web::text as filters;
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
    /// The search as it stands in links.
    search: String,
}

#[derive(Template)]
#[template(path = "console/people_one.html")]
struct StoryPage {
    frame: Frame,
    story: Story,
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

async fn search(visit: By<Viewer>) -> Answer {
    let (wanted, search) = asked(&visit);
    let found = match wanted.q.is_empty() {
        true => None,
        false => Some(visit.service().people(visit.access(), &wanted).await?),
    };
    html(&PeoplePage { frame: visit.frame.clone(), wanted, found, search })
}

async fn story(visit: By<Viewer>, id: Path<String>) -> Answer {
    let story = visit.service().story(visit.access(), &id, &visit.stretch()).await?;
    html(&StoryPage { frame: visit.frame.clone(), story })
}
