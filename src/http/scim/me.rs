//! `/Me` (RFC 7644 §3.11): the user that the token was issued for, under another name.

use actix_web::http::header::{CONTENT_LOCATION, HeaderValue, LOCATION};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, ResponseError, web};

use super::{Call, HttpError, Problem, State, resources};
use crate::scim::ScimError;
use crate::service::render;

/// Answers like the permanent URL of the user and names that URL, in every answer.
pub(super) async fn serve(
    call: &Call,
    state: &State,
    payload: web::Payload,
) -> Result<HttpResponse, HttpError> {
    let Some(id) = &call.access.user_id else {
        let detail = "This token was not issued for a user, so there is no /Me.";
        return Err(HttpError::scim(ScimError::new(501, detail)));
    };
    let answer = match *call.request.method() {
        // The user exists: there is nothing to register.
        Method::POST => Err(HttpError::scim(Problem::Method("GET, HEAD, PUT, PATCH, DELETE"))),
        _ => resources::resource(call, state, "Users", id, payload).await,
    };
    let mut answer = answer.unwrap_or_else(|error| error.error_response());
    let user = call.access.directory.registry.user();
    if let Ok(permanent) = HeaderValue::from_str(&render::location(&call.base, user, id)) {
        // Only where the body is the user, or would be.
        if matches!(answer.status(), StatusCode::OK | StatusCode::NOT_MODIFIED) {
            answer.headers_mut().insert(CONTENT_LOCATION, permanent.clone());
        }
        answer.headers_mut().insert(LOCATION, permanent);
    }
    Ok(answer)
}
