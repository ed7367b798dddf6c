//! The management API under `/api/v1`: organizations, directories, tokens, OAuth clients, API keys.

mod handlers;
mod requests;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::body::{self, Query};
use super::error::{HttpError, Problem};
use super::observe::RouteName;
use super::{State, caller, limit};
use crate::scim::{Object, ScimError};
use crate::service::administer::ListParameters;
use crate::service::error::AdminError;
use crate::service::{ApiAccess, ApiScope, ServiceError};

use std::sync::Arc;

/// Largest request body, in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

pub(super) fn routes(config: &mut ServiceConfig) {
    use handlers as h;
    config.service(
        web::scope("/api/v1")
            .service(
                methods("/organizations", "GET, POST")
                    .get(h::organization_list)
                    .post(h::organization_create),
            )
            .service(
                methods("/organizations/{id}", "GET, PATCH, DELETE")
                    .get(h::organization_get)
                    .patch(h::organization_update)
                    .delete(h::organization_delete),
            )
            .service(
                methods("/directories", "GET, POST")
                    .get(h::directory_list)
                    .post(h::directory_create),
            )
            .service(
                methods("/directories/{id}", "GET, PATCH, DELETE")
                    .get(h::directory_get)
                    .patch(h::directory_update)
                    .delete(h::directory_delete),
            )
            .service(
                methods("/directories/{id}/settings/preview", "POST").post(h::settings_preview),
            )
            .service(
                methods("/directories/{id}/schemas", "GET, PUT")
                    .get(h::schemas_get)
                    .put(h::schemas_put),
            )
            .service(
                methods("/directories/{id}/roles", "GET, PUT").get(h::roles_get).put(h::roles_put),
            )
            .service(
                methods("/directories/{id}/entitlements", "GET, PUT")
                    .get(h::entitlements_get)
                    .put(h::entitlements_put),
            )
            .service(
                methods("/directories/{id}/profile", "GET, PUT, PATCH")
                    .get(h::profile_get)
                    .put(h::profile_put)
                    .patch(h::profile_patch),
            )
            .service(methods("/directories/{id}/pending_members", "GET").get(h::pending_members))
            .service(methods("/directories/{id}/requests", "GET").get(requests::list))
            .service(methods("/directories/{id}/requests/{request}", "GET").get(requests::get))
            .service(
                methods("/directories/{id}/requests/{request}/replay", "POST")
                    .post(requests::replay),
            )
            .service(methods("/directories/{id}/test", "POST").post(h::not_pullable))
            .service(methods("/directories/{id}/sync", "POST").post(h::not_pullable))
            .service(
                methods("/directories/{id}/tokens", "GET, POST")
                    .get(h::token_list)
                    .post(h::token_create),
            )
            .service(methods("/directories/{id}/tokens/{token}", "DELETE").delete(h::token_delete))
            .service(
                methods("/directories/{id}/tokens/{token}/rotate", "POST").post(h::token_rotate),
            )
            .service(
                methods("/directories/{id}/oauth_clients", "GET, POST")
                    .get(h::oauth_client_list)
                    .post(h::oauth_client_create),
            )
            .service(
                methods("/directories/{id}/oauth_clients/{client}", "GET, DELETE")
                    .get(h::oauth_client_get)
                    .delete(h::oauth_client_delete),
            )
            .service(methods("/api_keys", "GET, POST").get(h::api_key_list).post(h::api_key_create))
            .service(methods("/api_keys/{id}", "DELETE").delete(h::api_key_delete)),
    );
}

/// A path with the methods it has; others are 405 with `Allow`.
fn methods(path: &str, allowed: &'static str) -> Methods {
    let refuse =
        move || async move { Err::<HttpResponse, _>(HttpError::api(Problem::Method(allowed))) };
    Methods(web::resource(path).default_service(web::to(refuse)))
}

/// Reads like the table it is.
struct Methods(Resource);

macro_rules! method {
    ($name:ident) => {
        fn $name<F, Args>(self, handler: F) -> Self
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

type Answer = Result<HttpResponse, HttpError>;

/// Lets in keys that manage.
async fn manager(request: &HttpRequest, state: &State) -> Result<Arc<ApiAccess>, HttpError> {
    request.extensions_mut().insert(RouteName("management"));
    let bearer = caller::bearer(request).map_err(HttpError::api)?;
    let address = caller::address(request, state);
    let access = state.service.api_access(bearer, address).await.map_err(HttpError::api)?;
    limit::api_key(request, state, &access)?;
    if !access.scopes.contains(&ApiScope::Manage) {
        let error = AdminError::new(403, "forbidden", "This API key lacks the scope \"manage\".");
        return Err(HttpError::api(error));
    }
    // No id contains U+0000, and PostgreSQL would not even look.
    if request.match_info().iter().any(|(_, part)| part.contains("%00") || part.contains('\0')) {
        return Err(HttpError::api(AdminError::not_found("This path")));
    }
    Ok(access)
}

/// Reads a JSON body into its type; 422 names what does not fit.
async fn json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<T, HttpError> {
    typed(body::object(request, payload, MAX_BODY_BYTES).await.map_err(HttpError::api)?)
}

/// Like [`json`] where a body may be left out.
async fn json_or_default<T: DeserializeOwned + Default>(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<T, HttpError> {
    let bytes = body::bytes(request, payload, MAX_BODY_BYTES).await.map_err(HttpError::api)?;
    match bytes.is_empty() {
        true => Ok(T::default()),
        false => typed(body::parsed(&bytes).map_err(HttpError::api)?),
    }
}

fn typed<T: DeserializeOwned>(object: Object) -> Result<T, HttpError> {
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
fn refuse_nul(object: &Object) -> Result<(), HttpError> {
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

/// `limit`, `after` and `before`.
fn parameters(query: &Query) -> Result<ListParameters, HttpError> {
    let text = |name: &str| query.get(name).filter(|t| !t.is_empty()).map(str::to_owned);
    let limit = text("limit").map(|limit| {
        limit
            .parse()
            .map_err(|_| HttpError::api(AdminError::invalid("limit", "it must be a whole number.")))
    });
    Ok(ListParameters { limit: limit.transpose()?, after: text("after"), before: text("before") })
}

fn query(request: &HttpRequest) -> Result<Query, HttpError> {
    Query::parse(request.query_string())
        .map_err(|error: ScimError| HttpError::api(AdminError::invalid("query", error.detail)))
}

fn ok(value: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(value)
}

fn created(value: impl Serialize) -> HttpResponse {
    HttpResponse::Created().json(value)
}

/// Answers a use case of the management API.
fn failed(error: ServiceError) -> HttpError {
    HttpError::api(error)
}
