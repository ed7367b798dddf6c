//! Webhook endpoints, what was sent to them and what waits.

use actix_web::web::ServiceConfig;

pub(super) fn routes(_config: &mut ServiceConfig) {}
