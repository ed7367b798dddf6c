//! `/Bulk` (RFC 7644 §3.7).

use actix_web::http::Method;
use actix_web::{HttpResponse, web};

use super::asynchronous::{self, Preference};
use super::{Call, HttpError, MEDIA_TYPE, Problem, State, resources};
use crate::http::limit;
use crate::scim::{Object, ScimError};
use crate::service::limit::Cost;

pub(super) async fn serve(
    call: &Call,
    state: &State,
    payload: web::Payload,
) -> Result<HttpResponse, HttpError> {
    resources::refuse_conditions(call)?;
    if !call.access.directory.profile.bulk {
        let detail = "The profile of this directory does not serve /Bulk.";
        return Err(HttpError::scim(ScimError::new(501, detail)));
    }
    if *call.request.method() != Method::POST {
        return Err(HttpError::scim(Problem::Method("POST")));
    }
    let body = resources::read(call, state, payload).await?;
    limit::directory(&call.request, state, &call.access, Cost::Operations(operations(&body)))?;
    if let Some(preference) = Preference::of(call) {
        return asynchronous::bulk(call, state, preference, body).await;
    }
    let service = &state.service;
    let run = service.bulk_begin(&call.access, &call.base, body).map_err(HttpError::scim)?;
    let answer = service.bulk(run).await;
    Ok(HttpResponse::Ok().content_type(MEDIA_TYPE).body(answer.to_string()))
}

/// How many operations the body has, before it is read closely.
fn operations(body: &Object) -> usize {
    let operations = body.iter().find(|(name, _)| name.eq_ignore_ascii_case("Operations"));
    operations.and_then(|(_, list)| list.as_array()).map_or(0, Vec::len)
}
