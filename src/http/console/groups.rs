//! Groups of all directories: a search, and one with its members.

use actix_web::web::{self, Path, ServiceConfig};
use askama::Template;

use super::people::asked;
use super::{Answer, By, Frame, Viewer, html};
use crate::http::web::only;
use crate::http::web::text as filters;
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
    /// The search as it stands in links.
    search: String,
}

#[derive(Template)]
#[template(path = "console/groups_one.html")]
struct GroupPage {
    frame: Frame,
    shown: GroupView,
}

async fn search(visit: By<Viewer>) -> Answer {
    let (wanted, search) = asked(&visit);
    let found = match wanted.q.is_empty() {
        true => None,
        false => Some(visit.service().groups(visit.access(), &wanted).await?),
    };
    html(&GroupsPage { frame: visit.frame.clone(), wanted, found, search })
}

async fn one(visit: By<Viewer>, id: Path<String>) -> Answer {
    let shown = visit.service().group(visit.access(), &id, &visit.stretch()).await?;
    html(&GroupPage { frame: visit.frame.clone(), shown })
}
