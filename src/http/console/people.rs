//! People of all directories: a search, and the story of one.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, ServiceConfig};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Answer, Frame, enter, failed, page_parameters};
use crate::http::State;
use crate::http::body::Query;
use crate::http::web::only;
use crate::http::web::page::respond;
use crate::http::web::text as filters;
use crate::service::console::Role;
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
    /// The search as it stands in links, with a & at its end.
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
pub(super) fn asked(request: &HttpRequest) -> Result<(PeopleQuery, String), super::HttpError> {
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let page = page_parameters(request)?;
    let q = query.get("q").unwrap_or_default().trim().to_owned();
    let organization_id =
        query.get("organization_id").filter(|text| !text.is_empty()).map(str::to_owned);
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut search = format!("q={}&", encoded(&q));
    if let Some(id) = &organization_id {
        search.push_str(&format!("organization_id={}&", encoded(id)));
    }
    Ok((PeopleQuery { q, organization_id, limit: page.limit, after: page.after }, search))
}

async fn search(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let (wanted, search) = asked(&request)?;
    let found = match wanted.q.is_empty() {
        true => None,
        false => Some(state.service.people(&admin.access, &wanted).await.map_err(failed)?),
    };
    Ok(respond(StatusCode::OK, &PeoplePage { frame, wanted, found, search }))
}

async fn story(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let page = page_parameters(&request)?;
    let story = state.service.story(&admin.access, &id, &page).await.map_err(failed)?;
    Ok(respond(StatusCode::OK, &StoryPage { frame, story }))
}
