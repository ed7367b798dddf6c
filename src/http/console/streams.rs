//! Streams of Security Event Tokens, and consumers of the log.

use actix_web::web::ServiceConfig;

pub(super) fn routes(_config: &mut ServiceConfig) {}
