//! The set-up portal: plain pages behind a setup link, for an administrator of an organization.
//!
//! The link's page consumes nothing; its form exchanges the link for a session cookie and leads to an
//! address without the secret. Pages are never cached, framed or named to other sites.
//! A form is accepted from the page that it was made for alone.
//!
//! - [`handlers`]: links, the session, the first page
//! - [`push`]: a directory that is pushed: base URL, tokens, steps, what arrives
//! - [`source`]: the source of a directory that is read; [`scope`]: what comes in; [`pull`]: the rest of it;
//!   [`run`]: runs
//! - [`attributes`] and [`roles`], which are [`tried`] before they are put
//! - [`stop`]: pause, disconnect, what the brake has stopped
//! - [`look`]: the operator's logo and colours

mod attributes;
mod handlers;
mod live;
mod look;
mod page;
mod pull;
mod push;
mod roles;
mod run;
mod scope;
mod source;
mod stop;
mod tried;

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
                .route(get().to(source::ask))
                .route(post().to(source::create)),
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
                .route(get().to(source::show))
                .route(post().to(source::change)),
        )
        .service(
            only("/setup/directories/{id}/files/{name}", "POST").route(post().to(source::file)),
        )
        .service(only("/setup/directories/{id}/test", "POST").route(post().to(source::test)))
        .service(
            only("/setup/directories/{id}/scope", "GET, POST")
                .route(get().to(scope::show))
                .route(post().to(scope::put)),
        )
        .service(only("/setup/directories/{id}/schedule", "POST").route(post().to(pull::schedule)))
        .service(only("/setup/directories/{id}/sync", "POST").route(post().to(run::begin)))
        .service(only("/setup/directories/{id}/runs/{run}", "GET").route(get().to(run::show)))
        .service(
            only("/setup/directories/{id}/runs/{run}/{verb}", "POST").route(post().to(run::decide)),
        )
        .service(
            only("/setup/directories/{id}/attributes", "GET, POST")
                .route(get().to(attributes::show))
                .route(post().to(attributes::put)),
        )
        .service(
            only("/setup/directories/{id}/roles", "GET, POST")
                .route(get().to(roles::show))
                .route(post().to(roles::put)),
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
