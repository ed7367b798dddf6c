//! SCIM 1.1 for identity providers: `/scim/v1/{external_key}/…` and `/scim/v1/…`.
//!
//! The same resources as SCIM 2.0, by the same use cases; [`crate::scim::v1`] translates what comes and
//! what goes.

mod resources;

use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::route::Target;
use super::{Call, HttpError, Query, State, discovery};
use crate::scim::{ScimError, v1};
use crate::service::Directory;
use crate::service::discovery::service_provider_config as newer_config;

const MEDIA_TYPE: &str = "application/json";

const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// A request whose caller is known.
pub(super) async fn serve(
    call: &Call,
    state: &State,
    payload: web::Payload,
) -> Result<HttpResponse, HttpError> {
    refuse_xml(&call.request)?;
    let method = method(&call.request)?;
    match &call.target {
        Target::ServiceProviderConfig => {
            let directory = Some(&*call.access.directory);
            service_provider_config(&call.request, &call.query, &call.base, directory)
        }
        Target::Schemas | Target::Schema(_) => {
            discovery::refuse_writes_and_filters(&method, &call.query)?;
            let (registry, base) = (&call.access.directory.registry, &call.base);
            let value = match &call.target {
                Target::Schema(id) => v1::schema(registry, id, base),
                _ => Ok(v1::schemas(registry, base)),
            };
            Ok(answer(&value.map_err(HttpError::scim)?))
        }
        Target::Collection(endpoint) => {
            resources::collection(call, state, &method, endpoint, payload).await
        }
        Target::Resource(endpoint, id) => {
            resources::resource(call, state, &method, endpoint, id, payload).await
        }
        Target::Bulk => Err(HttpError::scim(ScimError::new(
            501,
            "/Bulk is not served for SCIM 1.1, as /ServiceProviderConfigs says; send the requests one \
             by one.",
        ))),
        Target::Xml => Err(HttpError::scim(only_json())),
        _ => Err(HttpError::scim(ScimError::not_found("This path"))),
    }
}

/// `/ServiceProviderConfigs`: like the one of SCIM 2.0 readable without a token.
pub(super) fn service_provider_config(
    request: &HttpRequest,
    query: &Query,
    base: &str,
    directory: Option<&Directory>,
) -> Result<HttpResponse, HttpError> {
    refuse_xml(request)?;
    discovery::refuse_writes_and_filters(request.method(), query)?;
    Ok(answer(&v1::service_provider_config(&newer_config(base, directory), base)))
}

fn answer(value: &Value) -> HttpResponse {
    HttpResponse::Ok().content_type(MEDIA_TYPE).body(value.to_string())
}

/// The method that the client means: firewalls that let only GET and POST through are got past with a
/// header (REST API 1.1, HTTP Method Overloading).
fn method(request: &HttpRequest) -> Result<Method, HttpError> {
    let Some(header) = request.headers().get(METHOD_OVERRIDE) else {
        return Ok(request.method().clone());
    };
    if *request.method() != Method::POST {
        return Ok(request.method().clone());
    }
    match header.to_str().unwrap_or_default().trim().to_ascii_uppercase().as_str() {
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        other => Err(HttpError::scim(ScimError::new(
            400,
            format!(
                "The header X-HTTP-Method-Override must be PUT, PATCH or DELETE, but it is \"{}\".",
                other.chars().filter(|c| !c.is_control()).take(40).collect::<String>()
            ),
        ))),
    }
}

/// A client that can read nothing but XML is told so at once.
fn refuse_xml(request: &HttpRequest) -> Result<(), HttpError> {
    let lines: Vec<&str> =
        request.headers().get_all(ACCEPT).map(|value| value.to_str().unwrap_or_default()).collect();
    let lines = lines.join(",");
    let mut wanted = lines.split(',').map(essence).filter(|media| !media.is_empty()).peekable();
    match wanted.peek().is_some() && wanted.all(is_xml) {
        true => Err(HttpError::scim(only_json())),
        false => Ok(()),
    }
}

fn only_json() -> ScimError {
    ScimError::new(406, "This server speaks JSON, not XML; accept application/json.")
}

/// A media type without its parameters.
fn essence(media: &str) -> &str {
    media.split(';').next().unwrap_or_default().trim()
}

fn is_xml(media: &str) -> bool {
    let media = media.to_ascii_lowercase();
    media.ends_with("/xml") || media.ends_with("+xml")
}

/// The name of the route in metrics and logs.
pub(super) fn name(target: &Target) -> &'static str {
    match target {
        Target::ServiceProviderConfig => "scim1_service_provider_configs",
        Target::Schemas | Target::Schema(_) => "scim1_schemas",
        Target::Collection(endpoint) if endpoint.eq_ignore_ascii_case("Users") => "scim1_users",
        Target::Collection(endpoint) if endpoint.eq_ignore_ascii_case("Groups") => "scim1_groups",
        Target::Resource(endpoint, _) if endpoint.eq_ignore_ascii_case("Users") => "scim1_user",
        Target::Resource(endpoint, _) if endpoint.eq_ignore_ascii_case("Groups") => "scim1_group",
        Target::Bulk => "scim1_bulk",
        _ => "scim1_unknown",
    }
}
