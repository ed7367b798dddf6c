//! `/Me` (RFC 7644 §3.11): the user that the token was issued for, under another name.

use actix_web::http::Method;
use actix_web::http::header::CONTENT_LOCATION;
use actix_web::{HttpResponse, web};

use super::{Call, HttpError, Problem, State, resources};
use crate::scim::ScimError;
use crate::service::render;

/// Answers like the permanent URL of the user, and names it.
pub(super) async fn serve(
    call: &Call,
    state: &State,
    payload: web::Payload,
) -> Result<HttpResponse, HttpError> {
    let Some(id) = &call.access.user_id else {
        let detail = "This token was not issued for a user, so there is no /Me.";
        return Err(HttpError::scim(ScimError::new(501, detail)));
    };
    // The user exists: there is nothing to register.
    if *call.request.method() == Method::POST {
        return Err(HttpError::scim(Problem::Method("GET, HEAD, PUT, PATCH, DELETE")));
    }
    let mut answer = resources::resource(call, state, "Users", id, payload).await?;
    let user = call.access.directory.registry.user();
    let permanent = render::location(&call.base, user, id);
    if let Ok(permanent) = permanent.parse() {
        answer.headers_mut().insert(CONTENT_LOCATION, permanent);
    }
    Ok(answer)
}
