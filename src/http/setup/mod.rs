//! The set-up portal: plain pages behind a setup link, for an administrator of an organization.
//!
//! The link's page consumes nothing; its form exchanges the link for a session cookie and leads to an
//! address without the secret. Pages are never cached, framed or named to other sites.
//! A form is accepted from the page that it was made for alone.
//!
//! - [`handlers`]: links, the session, the first page
//! - [`push`]: a directory that is pushed: base URL, tokens, steps, what arrives
//! - [`pull`]: a directory that is read: its source, what comes in, when; [`run`]: runs
//! - [`maps`]: attributes and roles
//! - [`stop`]: pause, disconnect, what the brake has stopped
//! - [`look`]: the operator's logo and colours

mod handlers;
mod live;
mod look;
mod maps;
mod page;
mod pull;
mod push;
mod run;
mod stop;

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
        .service(only("/setup/brand/{digest}/{file}", "GET").route(get().to(look::file)))
        .service(only("/setup/directories", "POST").route(post().to(h::choose)))
        .service(
            only("/setup/sources/{kind}", "GET, POST")
                .route(get().to(pull::ask))
                .route(post().to(pull::create)),
        )
        .service(only("/setup/directories/{id}", "GET").route(get().to(h::directory)))
        .service(only("/setup/directories/{id}/tokens", "POST").route(post().to(push::token)))
        .service(
            only("/setup/directories/{id}/tokens/{token}/revoke", "POST")
                .route(post().to(push::revoke)),
        )
        .service(only("/setup/directories/{id}/status", "GET").route(get().to(push::status)))
        .service(
            only("/setup/directories/{id}/source", "GET, POST")
                .route(get().to(pull::source))
                .route(post().to(pull::change)),
        )
        .service(only("/setup/directories/{id}/files/{name}", "POST").route(post().to(pull::file)))
        .service(only("/setup/directories/{id}/test", "POST").route(post().to(pull::test)))
        .service(
            only("/setup/directories/{id}/scope", "GET, POST")
                .route(get().to(pull::scope))
                .route(post().to(pull::scope_put)),
        )
        .service(only("/setup/directories/{id}/schedule", "POST").route(post().to(pull::schedule)))
        .service(only("/setup/directories/{id}/sync", "POST").route(post().to(run::begin)))
        .service(only("/setup/directories/{id}/runs/{run}", "GET").route(get().to(run::show)))
        .service(
            only("/setup/directories/{id}/runs/{run}/{verb}", "POST").route(post().to(run::decide)),
        )
        .service(
            only("/setup/directories/{id}/attributes", "GET, POST")
                .route(get().to(maps::attributes))
                .route(post().to(maps::attributes_put)),
        )
        .service(
            only("/setup/directories/{id}/roles", "GET, POST")
                .route(get().to(maps::roles))
                .route(post().to(maps::roles_put)),
        )
        .service(only("/setup/directories/{id}/stop", "GET").route(get().to(stop::page)))
        .service(only("/setup/directories/{id}/state", "POST").route(post().to(stop::state)))
        .service(
            only("/setup/directories/{id}/disconnect", "POST").route(post().to(stop::disconnect)),
        )
        .service(only("/setup/directories/{id}/brake", "GET").route(get().to(stop::brake)))
        .service(
            only("/setup/directories/{id}/brake/{verb}", "POST").route(post().to(stop::let_go)),
        )
        .service(
            only("/setup/{link}", "GET, HEAD")
                .route(get().to(h::landing))
                .route(web::head().to(h::landing)),
        );
}
