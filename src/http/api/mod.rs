//! The read API at the root, in the form that the public WorkOS SDKs speak: what the app sees of
//! directories, users, groups and organizations; and links to the set-up portal.
//!
//! Keys need the scope `read`; what changes something needs `manage`, webhook endpoints `webhooks`. Errors have the body of the
//! management API.

mod directories;
mod events;
mod groups;
mod organizations;
mod portal;
mod users;
pub(super) mod webhooks;

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::ServiceConfig;

use super::State;
use super::body::Query;
use super::error::HttpError;
use super::json::{let_in, methods};
use super::observe::RouteName;
use crate::service::read::{Order, PageRequest, PageWords};
use crate::service::{ApiAccess, ApiScope};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(methods("/directories", "GET").get(directories::list))
        .service(
            methods("/directories/{id}", "GET, DELETE")
                .get(directories::get)
                .delete(directories::delete),
        )
        .service(methods("/directories/{id}/sync", "POST").post(directories::sync))
        .service(methods("/events", "GET").get(events::list))
        .service(
            methods("/webhook_endpoints", "GET, POST").get(webhooks::list).post(webhooks::create),
        )
        .service(
            methods("/webhook_endpoints/{id}", "PATCH, DELETE")
                .patch(webhooks::update)
                .delete(webhooks::delete),
        )
        .service(methods("/directory_users", "GET").get(users::list))
        .service(methods("/directory_users/{id}", "GET").get(users::get))
        .service(methods("/directory_groups", "GET").get(groups::list))
        .service(methods("/directory_groups/{id}", "GET").get(groups::get))
        .service(
            methods("/organizations", "GET, POST")
                .get(organizations::list)
                .post(organizations::create),
        )
        .service(
            methods("/organizations/external_id/{external_id}", "GET")
                .get(organizations::get_by_external_id),
        )
        .service(
            methods("/organizations/{id}", "GET, PUT, DELETE")
                .get(organizations::get)
                .put(organizations::update)
                .delete(organizations::delete),
        )
        .service(methods("/portal/generate_link", "POST").post(portal::generate_link))
        .service(methods("/portal/revoke_link", "POST").post(portal::revoke_link));
}

/// Lets in keys that read.
pub(super) async fn reader(
    request: &HttpRequest,
    state: &State,
) -> Result<Arc<ApiAccess>, HttpError> {
    let_in(request, state, RouteName("read"), ApiScope::Read).await
}

/// Lets in keys that change things.
async fn manager(request: &HttpRequest, state: &State) -> Result<Arc<ApiAccess>, HttpError> {
    let_in(request, state, RouteName("read"), ApiScope::Manage).await
}

/// A parameter; empty text counts as absent.
fn text(query: &Query, name: &str) -> Option<String> {
    query.get(name).filter(|value| !value.is_empty()).map(str::to_owned)
}

/// Which page the query string asks for; `default` is the order of the list when it names none.
pub(super) fn page(query: &Query, default: Order) -> Result<PageRequest, HttpError> {
    let words = PageWords {
        limit: query.get("limit"),
        order: query.get("order"),
        before: query.get("before"),
        after: query.get("after"),
    };
    PageRequest::parse(words, default).map_err(HttpError::api)
}
