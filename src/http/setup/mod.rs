//! The set-up portal: plain pages behind a setup link, for an administrator of an organization.
//!
//! The link's page consumes nothing; its form exchanges the link for a session cookie and leads to an
//! address without the secret. Pages are never cached, framed or named to other sites.
//! A form is accepted from the page that it was made for alone.

mod handlers;
mod live;
mod page;

use actix_web::web::{self, ServiceConfig};

use super::web::only;

pub(super) fn routes(config: &mut ServiceConfig) {
    use handlers as h;
    let (get, post) = (web::get, web::post);
    config
        .service(only("/setup", "GET").route(get().to(h::home)))
        .service(only("/setup/live", "GET").route(get().to(live::tell)))
        .service(only("/setup/session", "POST").route(post().to(h::exchange)))
        .service(only("/setup/finish", "POST").route(post().to(h::finish)))
        .service(only("/setup/directories", "POST").route(post().to(h::choose)))
        .service(only("/setup/directories/{id}", "GET").route(get().to(h::directory)))
        .service(only("/setup/directories/{id}/tokens", "POST").route(post().to(h::token)))
        .service(only("/setup/directories/{id}/status", "GET").route(get().to(h::status)))
        .service(
            only("/setup/{link}", "GET, HEAD")
                .route(get().to(h::landing))
                .route(web::head().to(h::landing)),
        );
}
