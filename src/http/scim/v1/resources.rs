//! `/Users` and `/Groups` of SCIM 1.1 (REST API 1.1 §3.1 to §3.4).

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_TYPE, ETAG, IF_MATCH, LOCATION};
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use serde_json::Value;

use super::{MEDIA_TYPE, essence, is_xml};
use crate::http::scim::resources::{
    answers_without_body, condition, read, refuse_conditions, unchanged,
};
use crate::http::scim::{Call, HttpError, Problem, State};
use crate::scim::list::{PageLimits, SearchRequest};
use crate::scim::resource::Projection;
use crate::scim::resource::meta::etag;
use crate::scim::{Object, ResourceType, ScimError, v1};
use crate::service::query::{Found, Written};
use crate::service::render;

/// `/Users`
pub(super) async fn collection(
    call: &Call,
    state: &State,
    method: &Method,
    endpoint: &str,
    payload: web::Payload,
) -> Result<HttpResponse, HttpError> {
    refuse_conditions(call)?;
    let resource_type = resource_type(call, endpoint)?;
    match *method {
        Method::GET | Method::HEAD => list(call, state, &resource_type).await,
        Method::POST => {
            let body = body(call, state, payload).await?;
            create(call, state, &resource_type, body).await
        }
        _ => Err(HttpError::scim(Problem::Method("GET, HEAD, POST"))),
    }
}

/// `/Users/{id}`
pub(super) async fn resource(
    call: &Call,
    state: &State,
    method: &Method,
    endpoint: &str,
    id: &str,
    payload: web::Payload,
) -> Result<HttpResponse, HttpError> {
    refuse_conditions(call)?;
    let resource_type = resource_type(call, endpoint)?;
    match *method {
        Method::GET | Method::HEAD => get(call, state, &resource_type, id).await,
        Method::PUT => {
            let body = body(call, state, payload).await?;
            replace(call, state, &resource_type, id, body).await
        }
        Method::PATCH => {
            let body = body(call, state, payload).await?;
            patch(call, state, &resource_type, id, body).await
        }
        Method::DELETE => {
            let condition = condition(call, &IF_MATCH);
            state.service.delete(&call.access, &resource_type, id, condition).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        _ => Err(HttpError::scim(Problem::Method("GET, HEAD, PUT, PATCH, DELETE"))),
    }
}

async fn list(
    call: &Call,
    state: &State,
    resource_type: &Arc<ResourceType>,
) -> Result<HttpResponse, HttpError> {
    let profile = &call.access.directory.profile;
    let get = |name: &str| {
        let text = call.query.get(name)?;
        match name {
            "filter" => Some(v1::filter(text, profile.unquoted_values(), resource_type)),
            "attributes" | "excludedAttributes" => {
                Some(Cow::Owned(v1::attribute_list(text, resource_type)))
            }
            "sortBy" => Some(Cow::Owned(v1::attribute_name(text, resource_type))),
            // Pages are by index alone.
            "cursor" => None,
            _ => Some(Cow::Borrowed(text)),
        }
    };
    let request = SearchRequest::parse(get, PageLimits::default(), profile.negative_count())
        .map_err(HttpError::scim)?;
    let types = std::slice::from_ref(resource_type);
    let listed = state.service.list(&call.access, &call.base, types, &request).await?;
    let resources = listed.resources.iter();
    let resources = resources.map(|e| older(call, &e.found, &e.resource_type, &e.projection));
    let page = v1::list(listed.total, listed.start_index.unwrap_or(1), resources.collect());
    Ok(HttpResponse::Ok().content_type(MEDIA_TYPE).body(page.to_string()))
}

async fn get(
    call: &Call,
    state: &State,
    resource_type: &Arc<ResourceType>,
    id: &str,
) -> Result<HttpResponse, HttpError> {
    let projection = projection(call, resource_type)?;
    let found = state.service.get(&call.access, resource_type, id, &projection).await?;
    if let Some(unchanged) = unchanged(call, &found, resource_type, &projection) {
        return Ok(unchanged);
    }
    show(HttpResponse::Ok(), call, state, found, resource_type, &projection).await
}

async fn create(
    call: &Call,
    state: &State,
    resource_type: &Arc<ResourceType>,
    body: Object,
) -> Result<HttpResponse, HttpError> {
    let body = v1::representation(body, resource_type).map_err(HttpError::scim)?;
    let projection = projection(call, resource_type)?.showing_written(&body, resource_type);
    let service = &state.service;
    let row = service.create(&call.access, resource_type, body).await?;
    let found =
        service.with_relations(&call.access, resource_type, row, Written::New, &projection).await?;
    show(HttpResponse::Created(), call, state, found, resource_type, &projection).await
}

async fn replace(
    call: &Call,
    state: &State,
    resource_type: &Arc<ResourceType>,
    id: &str,
    body: Object,
) -> Result<HttpResponse, HttpError> {
    let body = v1::representation(body, resource_type).map_err(HttpError::scim)?;
    let projection = projection(call, resource_type)?.showing_written(&body, resource_type);
    let (service, condition) = (&state.service, condition(call, &IF_MATCH));
    let row = service.replace(&call.access, resource_type, id, condition, body).await?;
    let found = service
        .with_relations(&call.access, resource_type, row, Written::Changed, &projection)
        .await?;
    show(HttpResponse::Ok(), call, state, found, resource_type, &projection).await
}

/// 200 with the resource, or 204 as for SCIM 2.0 (REST API 1.1 §3.3.2 has both).
async fn patch(
    call: &Call,
    state: &State,
    resource_type: &Arc<ResourceType>,
    id: &str,
    body: Object,
) -> Result<HttpResponse, HttpError> {
    let rules = call.access.directory.profile.value_rules();
    let body = v1::patch(body, resource_type, rules).map_err(HttpError::scim)?;
    let projection = projection(call, resource_type)?.showing_patched(&body, resource_type);
    let (service, condition) = (&state.service, condition(call, &IF_MATCH));
    let row = service.patch(&call.access, resource_type, id, condition, &body).await?;
    if answers_without_body(call, state, resource_type, &projection, row.key).await? {
        let tag = etag(row.version, None);
        return Ok(HttpResponse::NoContent().insert_header((ETAG, tag)).finish());
    }
    let found = service
        .with_relations(&call.access, resource_type, row, Written::Changed, &projection)
        .await?;
    show(HttpResponse::Ok(), call, state, found, resource_type, &projection).await
}

async fn show(
    mut response: HttpResponseBuilder,
    call: &Call,
    state: &State,
    found: Found,
    resource_type: &ResourceType,
    projection: &Projection,
) -> Result<HttpResponse, HttpError> {
    let found = state.service.with_all_members(&call.access, found).await?;
    Ok(response
        .content_type(MEDIA_TYPE)
        .insert_header((ETAG, render::tag(&found)))
        .insert_header((LOCATION, render::location(&call.base, resource_type, &found.row.id)))
        .body(older(call, &found, resource_type, projection).to_string()))
}

/// The resource as SCIM 1.1 writes it, with what the client sent for schemas that are not known here.
fn older(
    call: &Call,
    found: &Found,
    resource_type: &ResourceType,
    projection: &Projection,
) -> Value {
    let shown = render::shown(found, resource_type, projection, call.links());
    let kept = match projection.is_default() {
        true => render::kept_extensions(found, resource_type),
        false => Object::new(),
    };
    Value::Object(v1::resource(shown, kept, resource_type))
}

/// Users and groups: what SCIM 1.1 defines.
fn resource_type(call: &Call, endpoint: &str) -> Result<Arc<ResourceType>, HttpError> {
    let found = call.access.directory.registry.by_endpoint(endpoint);
    found.filter(|found| found.is_user() || found.is_group()).cloned().ok_or_else(|| {
        HttpError::scim(ScimError::new(
            404,
            "This endpoint was not found; for SCIM 1.1 there are /Users, /Groups, \
             /ServiceProviderConfigs and /Schemas.",
        ))
    })
}

fn projection(call: &Call, resource_type: &ResourceType) -> Result<Projection, HttpError> {
    let names = |parameter: &str| {
        call.query.get(parameter).map(|names| v1::attribute_list(names, resource_type))
    };
    let (wanted, excluded) = (names("attributes"), names("excludedAttributes"));
    Projection::parse(wanted.as_deref(), excluded.as_deref(), resource_type)
        .map_err(HttpError::scim)
}

async fn body(call: &Call, state: &State, payload: web::Payload) -> Result<Object, HttpError> {
    let header = call.request.headers().get(CONTENT_TYPE);
    let media = header.map_or("", |value| essence(value.to_str().unwrap_or_default()));
    if is_xml(media) {
        return Err(HttpError::scim(ScimError::new(
            415,
            "This server speaks JSON, not XML; send application/json.",
        )));
    }
    read(call, state, payload).await
}
