//! `/ServiceProviderConfig`, `/Schemas` and `/ResourceTypes` (RFC 7644 §4).

use actix_web::HttpResponse;
use actix_web::http::Method;
use serde_json::Value;

use super::route::Target;
use super::{Call, HttpError, MEDIA_TYPE, Problem};
use crate::scim::{ScimError, ScimType};
use crate::service::discovery;

const READ_ONLY: &str = "GET, HEAD";

pub(super) fn service_provider_config(
    method: &Method,
    base: &str,
) -> Result<HttpResponse, HttpError> {
    refuse_writes(method)?;
    Ok(answer(&discovery::service_provider_config(base)))
}

pub(super) fn serve(call: &Call, target: &Target) -> Result<HttpResponse, HttpError> {
    refuse_writes(call.request.method())?;
    if call.query.get("filter").is_some_and(|filter| !filter.trim().is_empty()) {
        return Err(HttpError::scim(ScimError {
            status: 403,
            scim_type: Some(ScimType::InvalidFilter),
            detail: "Discovery endpoints cannot be filtered (RFC 7644 §4).".into(),
        }));
    }
    let (registry, base) = (&call.access.directory.registry, call.base.as_str());
    let value = match target {
        Target::Schema(uri) => discovery::schema(registry, uri, base),
        Target::ResourceTypes => Ok(discovery::resource_types(registry, base)),
        Target::ResourceType(name) => discovery::resource_type(registry, name, base),
        _ => Ok(discovery::schemas(registry, base)),
    };
    Ok(answer(&value.map_err(HttpError::scim)?))
}

fn refuse_writes(method: &Method) -> Result<(), HttpError> {
    match *method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(HttpError::scim(Problem::Method(READ_ONLY))),
    }
}

fn answer(value: &Value) -> HttpResponse {
    HttpResponse::Ok().content_type(MEDIA_TYPE).body(value.to_string())
}
