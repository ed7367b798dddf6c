//! `GET /console/live?of=<topic>,<topic>`: what open pages of the console are told.

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};

use super::{Answer, By, Viewer};
use crate::http::web::browser::{Cookie, Site};
use crate::http::web::{live, only};
use crate::service::live::Watcher;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(only("/console/live", "GET").route(web::get().to(tell)));
}

async fn tell(visit: By<Viewer>) -> Answer {
    let topics = visit.query.get("of").unwrap_or_default();
    let watcher = Watcher::Console { session: &visit.admin.session_id };
    let watch = visit.service().watch(visit.access(), watcher, topics).await?;
    let site = Site::of(&visit.request, &visit.state);
    let cookie = site.cookie(&visit.request, Cookie::Console).unwrap_or_default();
    let service = Arc::clone(visit.service());
    Ok(live::tell(watch, move || {
        let (service, cookie) = (Arc::clone(&service), cookie.clone());
        async move { service.console_lasts(&cookie).await }
    }))
}
