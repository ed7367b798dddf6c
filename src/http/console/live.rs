//! `GET /console/live`: what open pages of the console are told.

use actix_web::web::ServiceConfig;

pub(super) fn routes(_config: &mut ServiceConfig) {}
