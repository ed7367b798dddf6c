//! Groups of all directories: a search, and one with its members.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, ServiceConfig};
use askama::Template;

use super::people::asked;
use super::{Answer, Frame, enter, failed, page_parameters};
use crate::http::State;
use crate::http::web::only;
use crate::http::web::page::respond;
use crate::http::web::text as filters;
use crate::service::console::Role;
use crate::service::people::{Found, GroupView, PeopleQuery};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(only("/console/groups", "GET").route(web::get().to(search)))
        .service(only("/console/groups/{id}", "GET").route(web::get().to(one)));
}

#[derive(Template)]
#[template(path = "console/groups.html")]
struct GroupsPage {
    frame: Frame,
    wanted: PeopleQuery,
    /// `None` before anything was looked for.
    found: Option<Found>,
    /// The search as it stands in links, with a & at its end.
    search: String,
}

#[derive(Template)]
#[template(path = "console/groups_one.html")]
struct GroupPage {
    frame: Frame,
    shown: GroupView,
}

async fn search(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let (wanted, search) = asked(&request)?;
    let found = match wanted.q.is_empty() {
        true => None,
        false => Some(state.service.groups(&admin.access, &wanted).await.map_err(failed)?),
    };
    Ok(respond(StatusCode::OK, &GroupsPage { frame, wanted, found, search }))
}

async fn one(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let page = page_parameters(&request)?;
    let shown = state.service.group(&admin.access, &id, &page).await.map_err(failed)?;
    Ok(respond(StatusCode::OK, &GroupPage { frame, shown }))
}
