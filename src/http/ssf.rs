//! Security Event Tokens: what receivers find out (SSF 1.0 §7), how they manage their streams (§8), the
//! keys that they verify with, and where they poll (RFC 8936).

use std::sync::Arc;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Path, Payload, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::HttpError;
use super::json::{
    Answer, MAX_BODY_BYTES, created, failed, let_in, methods, ok, query, refuse_nul,
};
use super::observe::RouteName;
use super::once::once;
use super::{State, body, caller};
use crate::scim::Object;
use crate::service::error::AdminError;
use crate::service::ssf::{PollRequest, StreamRequest};
use crate::service::{ApiAccess, ApiScope};

/// How long receivers may go by a key set: keys are published a day before they sign.
const KEYS_FOR: &str = "public, max-age=300";

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(methods("/.well-known/ssf-configuration", "GET").get(configuration))
        .service(
            methods("/.well-known/ssf-configuration/{path:.*}", "GET").get(configuration_below),
        )
        .service(methods("/jwks.json", "GET").get(jwks))
        .service(
            methods("/ssf/streams", "GET, POST, PATCH, PUT, DELETE")
                .get(read)
                .post(create)
                .patch(update)
                .put(replace)
                .delete(delete),
        )
        .service(methods("/ssf/streams/{id}/poll", "POST").post(poll))
        .service(methods("/ssf/status", "GET, POST").get(status).post(status_set))
        .service(methods("/ssf/verify", "POST").post(verify))
        .service(methods("/ssf/subjects/add", "POST").post(subject_add))
        .service(methods("/ssf/subjects/remove", "POST").post(subject_remove));
}

/// Lets in keys that manage streams.
async fn receiver(request: &HttpRequest, state: &State) -> Result<Arc<ApiAccess>, HttpError> {
    let_in(request, state, RouteName("ssf"), ApiScope::SsfManage).await
}

/// Reads a JSON body; 400 says what does not fit, as SSF has it.
async fn read_body<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, HttpError> {
    fitted(body::object(request, payload, MAX_BODY_BYTES).await.map_err(HttpError::api)?)
}

fn fitted<T: DeserializeOwned>(object: Object) -> Result<T, HttpError> {
    refuse_nul(&object)?;
    serde_path_to_error::deserialize(Value::Object(object)).map_err(|error| {
        let message = match error.path().to_string().as_str() {
            "." => format!("The request body does not fit: {}.", error.inner()),
            field => format!("The field \"{field}\" is not valid: {}.", error.inner()),
        };
        HttpError::api(AdminError::new(400, "invalid_request_parameters", message))
    })
}

/// The stream that the query names.
fn stream_id(request: &HttpRequest) -> Result<Option<String>, HttpError> {
    let query = query(request)?;
    Ok(query.get("stream_id").filter(|id| !id.is_empty() && !id.contains('\0')).map(str::to_owned))
}

fn named(request: &HttpRequest) -> Result<String, HttpError> {
    stream_id(request)?.ok_or_else(|| {
        let message = "The parameter \"stream_id\" is missing: it names the stream that is meant.";
        HttpError::api(AdminError::new(400, "invalid_request_parameters", message))
    })
}

async fn configuration(request: HttpRequest, state: Data<State>) -> HttpResponse {
    request.extensions_mut().insert(RouteName("ssf_configuration"));
    ok(state.service.ssf_configuration())
}

/// The same for an issuer with a path, which stands behind the well-known name.
async fn configuration_below(
    request: HttpRequest,
    path: Path<String>,
    state: Data<State>,
) -> Answer {
    request.extensions_mut().insert(RouteName("ssf_configuration"));
    match state.service.issuer_path().trim_matches('/') {
        own if !own.is_empty() && own == path.trim_end_matches('/') => {
            Ok(ok(state.service.ssf_configuration()))
        }
        _ => Err(HttpError::api(AdminError::not_found("This issuer"))),
    }
}

async fn jwks(request: HttpRequest, state: Data<State>) -> Answer {
    request.extensions_mut().insert(RouteName("jwks"));
    let keys = state.service.jwks().await.map_err(failed)?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, KEYS_FOR)).json(keys))
}

/// One stream, or all of them.
async fn read(request: HttpRequest, state: Data<State>) -> Answer {
    let access = receiver(&request, &state).await?;
    match stream_id(&request)? {
        Some(id) => state.service.stream_get(&access, &id).await.map(ok).map_err(failed),
        None => state.service.stream_list(&access).await.map(ok).map_err(failed),
    }
}

async fn create(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let access = receiver(&request, &state).await?;
    once(&request, payload, &state, access, async |service, access, wanted: Object| {
        let wanted: StreamRequest = fitted(wanted)?;
        service.stream_create(&access, wanted).await.map(created).map_err(failed)
    })
    .await
}

async fn update(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let access = receiver(&request, &state).await?;
    let wanted = read_body(&request, payload).await?;
    state.service.stream_update(&access, wanted).await.map(ok).map_err(failed)
}

async fn replace(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let access = receiver(&request, &state).await?;
    let wanted = read_body(&request, payload).await?;
    state.service.stream_replace(&access, wanted).await.map(ok).map_err(failed)
}

async fn delete(request: HttpRequest, state: Data<State>) -> Answer {
    let access = receiver(&request, &state).await?;
    let id = named(&request)?;
    state.service.stream_delete(&access, &id).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

async fn status(request: HttpRequest, state: Data<State>) -> Answer {
    let access = receiver(&request, &state).await?;
    let id = named(&request)?;
    state.service.stream_status(&access, &id).await.map(ok).map_err(failed)
}

async fn status_set(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let access = receiver(&request, &state).await?;
    let wanted = read_body(&request, payload).await?;
    state.service.stream_status_set(&access, wanted).await.map(ok).map_err(failed)
}

async fn verify(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let access = receiver(&request, &state).await?;
    let wanted = read_body(&request, payload).await?;
    state.service.stream_verify(&access, wanted).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

async fn subject_add(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let access = receiver(&request, &state).await?;
    let wanted = read_body(&request, payload).await?;
    state.service.stream_subject_add(&access, wanted).await.map_err(failed)?;
    Ok(HttpResponse::Ok().finish())
}

async fn subject_remove(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let access = receiver(&request, &state).await?;
    let wanted = read_body(&request, payload).await?;
    state.service.stream_subject_remove(&access, wanted).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

async fn poll(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = receiver(&request, &state).await?;
    let bearer = caller::bearer(&request).map_err(HttpError::api)?;
    let wanted: PollRequest = read_body(&request, payload).await?;
    state.service.stream_poll(&access, bearer, &id, wanted).await.map(ok).map_err(failed)
}
