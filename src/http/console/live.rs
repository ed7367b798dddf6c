//! `GET /console/live?of=<topic>,<topic>`: what open pages of the console are told.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{self, Data, ServiceConfig};

use super::{Answer, enter, failed};
use crate::http::State;
use crate::http::body::Query;
use crate::http::web::browser::{Cookie, Site};
use crate::http::web::{live, only};
use crate::service::console::Role;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(only("/console/live", "GET").route(web::get().to(tell)));
}

async fn tell(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, _) = enter(&request, &state, Role::Viewer).await?;
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let topics = query.get("of").unwrap_or_default();
    let watch = state.service.watch(&admin.access, &admin.session_id, topics).await;
    let cookie = Site::of(&request, &state).cookie(&request, Cookie::Console).unwrap_or_default();
    let service = Arc::clone(&state.service);
    Ok(live::tell(watch.map_err(failed)?, move || {
        let (service, cookie) = (Arc::clone(&service), cookie.clone());
        async move { service.console_lasts(&cookie).await }
    }))
}
