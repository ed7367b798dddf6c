//! The log of events, by filter, and sending some of it again.

use actix_web::web::ServiceConfig;

pub(super) fn routes(_config: &mut ServiceConfig) {}
