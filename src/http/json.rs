//! What the surfaces that speak JSON to holders of API keys share: letting in, methods, bodies, answers.

use std::sync::Arc;

use actix_web::web;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::body::{self, Query};
use super::error::{HttpError, Problem};
use super::observe::RouteName;
use super::{State, after, caller, limit};
use crate::scim::{Object, ScimError};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, ApiScope, ServiceError};

/// Largest request body, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A path with the methods it has; others are 405 with `Allow`.
pub(super) fn methods(path: &str, allowed: &'static str) -> Methods {
    let refuse =
        move || async move { Err::<HttpResponse, _>(HttpError::api(Problem::Method(allowed))) };
    Methods(web::resource(path).default_service(web::to(refuse)))
}

/// Reads like the table it is.
pub(super) struct Methods(Resource);

macro_rules! method {
    ($name:ident) => {
        pub(super) fn $name<F, Args>(self, handler: F) -> Self
        where
            F: actix_web::Handler<Args>,
            Args: actix_web::FromRequest + 'static,
            F::Output: actix_web::Responder + 'static,
        {
            Self(self.0.route(web::$name().to(handler)))
        }
    };
}

impl Methods {
    method!(get);
    method!(post);
    method!(put);
    method!(patch);
    method!(delete);
}

impl actix_web::dev::HttpServiceFactory for Methods {
    fn register(self, config: &mut actix_web::dev::AppService) {
        self.0.register(config);
    }
}

pub(super) type Answer = Result<HttpResponse, HttpError>;

/// Lets in keys that have the scope, within their rate limit.
pub(super) async fn let_in(
    request: &HttpRequest,
    state: &State,
    route: RouteName,
    scope: ApiScope,
) -> Result<Arc<ApiAccess>, HttpError> {
    let_in_any(request, state, route, &[scope]).await
}

/// Lets in keys that have one of the scopes, within their rate limit.
pub(super) async fn let_in_any(
    request: &HttpRequest,
    state: &State,
    route: RouteName,
    scopes: &[ApiScope],
) -> Result<Arc<ApiAccess>, HttpError> {
    request.extensions_mut().insert(route);
    let bearer = caller::bearer(request).map_err(HttpError::api)?;
    let address = caller::address(request, state);
    let access = state.service.api_access(bearer, address).await.map_err(HttpError::api)?;
    limit::api_key(request, state, &access)?;
    if !scopes.iter().any(|scope| access.scopes.contains(scope)) {
        let wanted: Vec<String> =
            scopes.iter().map(|scope| format!("\"{}\"", scope.as_str())).collect();
        let message = format!("This API key lacks the scope {}.", wanted.join(" or "));
        return Err(HttpError::api(AdminError::new(403, "forbidden", message)));
    }
    // No id contains U+0000, and PostgreSQL would not even look.
    if request.match_info().iter().any(|(_, part)| part.contains("%00") || part.contains('\0')) {
        return Err(HttpError::api(AdminError::not_found("This path")));
    }
    Ok(access)
}

/// Reads a JSON body into its type; 422 names what does not fit.
pub(super) async fn json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<T, HttpError> {
    typed(body::object(request, payload, MAX_BODY_BYTES).await.map_err(HttpError::api)?)
}

/// Like [`json`] where a body may be left out.
pub(super) async fn json_or_default<T: DeserializeOwned + Default>(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<T, HttpError> {
    let bytes = body::bytes(request, payload, MAX_BODY_BYTES).await.map_err(HttpError::api)?;
    match bytes.is_empty() {
        true => Ok(T::default()),
        false => typed(body::parsed(&bytes).map_err(HttpError::api)?),
    }
}

pub(super) fn typed<T: DeserializeOwned>(object: Object) -> Result<T, HttpError> {
    refuse_nul(&object)?;
    serde_path_to_error::deserialize(Value::Object(object)).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.into_inner());
        HttpError::api(match path.as_str() {
            "." => {
                let message = format!("The request body does not fit: {inner}.");
                AdminError::new(422, "invalid_request_parameters", message)
            }
            field => AdminError::invalid(field, format!("{inner}.")),
        })
    })
}

/// No text in the database contains U+0000; escaped in JSON it would reach it.
pub(super) fn refuse_nul(object: &Object) -> Result<(), HttpError> {
    fn contains_nul(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(elements) => elements.iter().any(contains_nul),
            Value::Object(members) => {
                members.iter().any(|(name, value)| name.contains('\0') || contains_nul(value))
            }
            _ => false,
        }
    }
    match object.iter().find(|(name, value)| name.contains('\0') || contains_nul(value)) {
        Some((name, _)) => {
            let field = name.replace('\0', "");
            Err(HttpError::api(AdminError::invalid(&field, "it contains the character U+0000.")))
        }
        None => Ok(()),
    }
}

pub(super) fn query(request: &HttpRequest) -> Result<Query, HttpError> {
    Query::parse(request.query_string())
        .map_err(|error: ScimError| HttpError::api(AdminError::invalid("query", error.detail)))
}

pub(super) fn ok(value: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(value)
}

pub(super) fn created(value: impl Serialize) -> HttpResponse {
    HttpResponse::Created().json(value)
}

/// A use case that failed.
pub(super) fn failed(error: ServiceError) -> HttpError {
    HttpError::api(error)
}

/// Begins the deletion of a directory: 202, it serves nothing any more and its rows go afterwards.
pub(super) async fn delete_directory(state: &State, access: &ApiAccess, id: &str) -> Answer {
    state.service.directory_delete(access, id).await.map_err(failed)?;
    after::purge(state);
    Ok(HttpResponse::Accepted().finish())
}
