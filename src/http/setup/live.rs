//! `GET /setup/live?of=<topic>,<topic>`: what open pages of the portal are told.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::handlers::{Answer, enter, failed};
use crate::http::State;
use crate::http::body::Query;
use crate::http::web::browser::{Cookie, Site};
use crate::http::web::live;
use crate::service::live::Watcher;
use crate::service::portal::SecretOf;

pub(super) async fn tell(request: HttpRequest, state: Data<State>) -> Answer {
    let (visit, _) = enter(&request, &state).await?;
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let topics = query.get("of").unwrap_or_default();
    let watcher =
        Watcher::Visitor { session: &visit.link_id, organization: &visit.organization_id };
    let watch = state.service.watch(&visit.access, watcher, topics).await;
    let cookie = Site::of(&request, &state).cookie(&request, Cookie::Session).unwrap_or_default();
    let service = Arc::clone(&state.service);
    Ok(live::tell(watch.map_err(failed)?, move || {
        let (service, cookie) = (Arc::clone(&service), cookie.clone());
        async move {
            let Some(session) = service.portal_issued(SecretOf::Session, &cookie) else {
                return false;
            };
            matches!(service.portal_visit(&session).await, Ok(Some(_)))
        }
    }))
}
