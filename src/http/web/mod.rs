//! What the pages of the set-up portal and of the console share: files that browsers load, cookies and
//! forms, answers that are pages, and how values are written on them.

pub(super) mod assets;
pub(super) mod browser;
pub(super) mod chart;
pub(super) mod disconnect;
pub(super) mod form;
pub(super) mod live;
pub(super) mod look;
pub(super) mod page;
#[expect(unreachable_pub, reason = "what `filter_fn` makes is public")]
pub(super) mod text;
pub(super) mod upload;

use actix_web::web::ServiceConfig;
use actix_web::{HttpResponse, Resource, web};

use super::error::{HttpError, Problem, Surface};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(
        only("/assets/{digest}/{name}", "GET, HEAD")
            .route(web::get().to(assets::get))
            .route(web::head().to(assets::get)),
    );
}

/// A path with the methods it has; others are 405 with `Allow`.
pub(super) fn only(path: &str, allowed: &'static str) -> Resource {
    let refuse = move || async move {
        Err::<HttpResponse, _>(HttpError::on(Surface::Page, Problem::Method(allowed)))
    };
    web::resource(path).default_service(web::to(refuse))
}
