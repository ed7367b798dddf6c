//! `/ServiceProviderConfig`, `/Schemas` and `/ResourceTypes` (RFC 7644 §4).

use actix_web::HttpResponse;
use actix_web::http::Method;
use serde_json::Value;

use super::route::Target;
use super::{Call, HttpError, MEDIA_TYPE, Problem, Query};
use crate::scim::ScimError;
use crate::service::{Directory, discovery, openapi};

const READ_ONLY: &str = "GET, HEAD";

pub(super) fn service_provider_config(
    method: &Method,
    query: &Query,
    base: &str,
    directory: Option<&Directory>,
) -> Result<HttpResponse, HttpError> {
    refuse_writes_and_filters(method, query)?;
    Ok(answer(&discovery::service_provider_config(base, directory)))
}

pub(super) fn serve(call: &Call, target: &Target) -> Result<HttpResponse, HttpError> {
    refuse_writes_and_filters(call.request.method(), &call.query)?;
    let (registry, base) = (&call.access.directory.registry, call.base.as_str());
    let value = match target {
        Target::Schema(uri) => discovery::schema(registry, uri, base),
        Target::ResourceTypes => Ok(discovery::resource_types(registry, base)),
        Target::ResourceType(name) => discovery::resource_type(registry, name, base),
        _ => Ok(discovery::schemas(registry, base)),
    };
    Ok(answer(&value.map_err(HttpError::scim)?))
}

/// `/openapi.json`: what the directory serves, for tools that read such descriptions.
pub(super) fn openapi(call: &Call) -> Result<HttpResponse, HttpError> {
    if !matches!(*call.request.method(), Method::GET | Method::HEAD) {
        return Err(HttpError::scim(Problem::Method(READ_ONLY)));
    }
    let document = openapi::document(&call.access.directory.registry, &call.base);
    Ok(HttpResponse::Ok().content_type("application/json").body(document.to_string()))
}

/// RFC 7644 §4: discovery is read-only, and a filter on it is forbidden.
pub(super) fn refuse_writes_and_filters(method: &Method, query: &Query) -> Result<(), HttpError> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(HttpError::scim(Problem::Method(READ_ONLY)));
    }
    if query.get("filter").is_some_and(|filter| !filter.trim().is_empty()) {
        return Err(HttpError::scim(ScimError::new(
            403,
            "Discovery endpoints cannot be filtered (RFC 7644 §4).",
        )));
    }
    Ok(())
}

fn answer(value: &Value) -> HttpResponse {
    HttpResponse::Ok().content_type(MEDIA_TYPE).body(value.to_string())
}
