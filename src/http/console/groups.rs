//! Groups of all directories: a search, and one with its members.

use actix_web::web::{self, Path, ServiceConfig};
use askama::Template;

use super::people::{asked, directories};
use super::{Answer, By, Frame, Viewer, html};
use crate::http::web::only;
use crate::http::web::text as filters;
use crate::service::administer::Names;
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
    names: Names,
    /// The search as it stands in links.
    search: String,
}

#[derive(Template)]
#[template(path = "console/groups_one.html")]
struct GroupPage {
    frame: Frame,
    shown: GroupView,
    names: Names,
}

async fn search(visit: By<Viewer>) -> Answer {
    let (wanted, search) = asked(&visit);
    let found = match wanted.q.is_empty() {
        true => None,
        false => Some(visit.service().groups(visit.access(), &wanted).await?),
    };
    let names = directories(&visit, &found).await?;
    html(&GroupsPage { frame: visit.frame.clone(), wanted, found, names, search })
}

async fn one(visit: By<Viewer>, id: Path<String>) -> Answer {
    let shown = visit.service().group(visit.access(), &id, &visit.stretch()).await?;
    let places = [&shown.group.directory_id, &shown.group.organization_id];
    let names = visit.service().names(visit.access(), places).await?;
    html(&GroupPage { frame: visit.frame.clone(), shown, names })
}
