//! Which client talks, as far as its request gives it away.

use actix_web::HttpMessage;
use actix_web::http::header::USER_AGENT;

use super::{Call, State};
use crate::profile::detect::{self, Signs};
use crate::scim::Object;

/// Notes the client of a request; the detection stays with the request.
pub(super) fn notice(call: &Call, state: &State, body: Option<&Object>) {
    let headers = call.request.headers();
    let found = detect::of_request(&Signs {
        method: call.request.method().as_str(),
        query: call.request.uri().query(),
        filter: call.query.get("filter"),
        count: call.query.get("count"),
        user_agent: headers.get(USER_AGENT).and_then(|value| value.to_str().ok()),
        adscimversion: headers.contains_key("adscimversion"),
        body,
    });
    let Some(found) = found else { return };
    let fits = state.service.client_seen(&call.access, &found);
    if !fits {
        state.metrics.client_mismatch(call.access.directory.provider, found.provider);
    }
    call.request.extensions_mut().insert(found);
}
