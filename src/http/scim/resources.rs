//! Resource endpoints: the same handlers for every resource type.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{
    ETAG, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LOCATION,
};
use actix_web::{HttpResponse, web};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::asynchronous::{self, Preference};
use super::{Call, HttpError, MEDIA_TYPE, Problem, State, client, members};
use crate::http::body;
use crate::profile::{PatchReply, Tolerance};
use crate::scim::list::{PageLimits, SearchRequest};
use crate::scim::resource::Projection;
use crate::scim::resource::meta::{Condition, etag};
use crate::scim::{Object, ResourceType, ScimError};
use crate::service::discovery::MAX_BODY_BYTES;
use crate::service::query::{Found, Written};
use crate::service::{ServiceError, render};

/// Groups with more members are not sent back after a PATCH.
const MAX_PATCH_REPLY_MEMBERS: i64 = 1_000;

/// `/Users`
pub(super) async fn collection(
    call: &Call,
    state: &State,
    endpoint: &str,
    payload: web::Payload,
) -> Result<HttpResponse, HttpError> {
    refuse_conditions(call)?;
    let resource_type = resource_type(call, endpoint)?;
    refuse_writes(call, &resource_type)?;
    match *call.request.method() {
        Method::GET | Method::HEAD => list(call, state, &resource_type).await,
        Method::POST => {
            let body = read(call, state, payload).await?;
            if let Some(preference) = Preference::of(call) {
                let path = format!("/{endpoint}");
                return asynchronous::one(call, state, preference, path, Some(body)).await;
            }
            create(call, state, &resource_type, body).await
        }
        _ => Err(HttpError::scim(Problem::Method("GET, HEAD, POST"))),
    }
}

/// `/Users/{id}`
pub(super) async fn resource(
    call: &Call,
    state: &State,
    endpoint: &str,
    id: &str,
    payload: web::Payload,
) -> Result<HttpResponse, HttpError> {
    refuse_conditions(call)?;
    let resource_type = resource_type(call, endpoint)?;
    refuse_writes(call, &resource_type)?;
    let method = call.request.method();
    let preference = Preference::of(call)
        .filter(|_| matches!(*method, Method::PUT | Method::PATCH | Method::DELETE));
    if let Some(preference) = preference {
        let body = match *method {
            Method::DELETE => None,
            _ => Some(read(call, state, payload).await?),
        };
        let path = format!("/{endpoint}/{}", percent_encode(id.as_bytes(), NON_ALPHANUMERIC));
        return asynchronous::one(call, state, preference, path, body).await;
    }
    match *method {
        Method::GET | Method::HEAD => get(call, state, &resource_type, id).await,
        Method::PUT => {
            let body = read(call, state, payload).await?;
            replace(call, state, &resource_type, id, body).await
        }
        Method::PATCH => {
            let body = read(call, state, payload).await?;
            patch(call, state, &resource_type, id, body).await
        }
        Method::DELETE => delete(call, state, &resource_type, id).await,
        _ => Err(HttpError::scim(Problem::Method("GET, HEAD, PUT, PATCH, DELETE"))),
    }
}

async fn list(
    call: &Call,
    state: &State,
    resource_type: &Arc<ResourceType>,
) -> Result<HttpResponse, HttpError> {
    let request = query(call)?;
    answer(call, state, std::slice::from_ref(resource_type), &request).await
}

/// The query of a GET.
fn query(call: &Call) -> Result<SearchRequest, HttpError> {
    let negative = call.access.directory.profile.negative_count();
    let get = |name: &str| call.query.get(name).map(Cow::Borrowed);
    SearchRequest::parse(get, PageLimits::default(), negative).map_err(HttpError::scim)
}

async fn answer(
    call: &Call,
    state: &State,
    types: &[Arc<ResourceType>],
    request: &SearchRequest,
) -> Result<HttpResponse, HttpError> {
    let listed = state.service.list(&call.access, &call.base, types, request).await?;
    let text = render::list(&listed, call.links());
    Ok(HttpResponse::Ok().content_type(MEDIA_TYPE).body(text))
}

/// `/`: every resource type in one list (RFC 7644 §3.4.2.1).
pub(super) async fn root(call: &Call, state: &State) -> Result<HttpResponse, HttpError> {
    refuse_conditions(call)?;
    match *call.request.method() {
        Method::GET | Method::HEAD => {
            answer(call, state, call.access.directory.registry.types(), &query(call)?).await
        }
        _ => Err(HttpError::scim(Problem::Method("GET, HEAD"))),
    }
}

/// `/.search` and `/Users/.search`: a query in a body (RFC 7644 §3.4.3).
pub(super) async fn search(
    call: &Call,
    state: &State,
    endpoint: Option<&str>,
    payload: web::Payload,
) -> Result<HttpResponse, HttpError> {
    refuse_conditions(call)?;
    let directory = &call.access.directory;
    let types = match endpoint {
        None => directory.registry.types().to_vec(),
        Some(endpoint) => vec![resource_type(call, endpoint)?],
    };
    if *call.request.method() != Method::POST {
        return Err(HttpError::scim(Problem::Method("POST")));
    }
    let body = read(call, state, payload).await?;
    let profile = &directory.profile;
    let (negative, schemas) = (profile.negative_count(), profile.missing_schemas());
    let request = SearchRequest::from_body(&body, PageLimits::default(), negative, schemas)
        .map_err(HttpError::scim)?;
    answer(call, state, &types, &request).await
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
    Ok(show(HttpResponse::Ok(), call, state, found, resource_type, &projection))
}

/// 304, if the client has what it would be shown (RFC 7644 §3.14).
pub(super) fn unchanged(
    call: &Call,
    found: &Found,
    resource_type: &ResourceType,
    projection: &Projection,
) -> Option<HttpResponse> {
    let condition = condition(call, &IF_NONE_MATCH)?;
    let shows = |name| resource_type.attribute(name).is_some() && projection.wants(name);
    // What the version does not cover is in the tag.
    let is_related = shows("groups") || found.manager.is_some();
    let tag = render::tag(found);
    let is_unchanged = match (is_related, found.members.is_empty()) {
        // Names of members change without a new version of the group.
        (_, false) => false,
        (true, true) => condition.names(&tag),
        (false, true) => condition.holds_for(found.row.version),
    };
    is_unchanged.then(|| HttpResponse::NotModified().insert_header((ETAG, tag)).finish())
}

async fn create(
    call: &Call,
    state: &State,
    resource_type: &Arc<ResourceType>,
    body: Object,
) -> Result<HttpResponse, HttpError> {
    let projection = projection(call, resource_type)?.showing_written(&body, resource_type);
    let service = &state.service;
    let row = service.create(&call.access, resource_type, body).await?;
    let found =
        service.with_relations(&call.access, resource_type, row, Written::New, &projection).await?;
    let mut response = HttpResponse::Created();
    let location = render::location(&call.base, resource_type, &found.row.id);
    response.insert_header((LOCATION, location));
    Ok(show(response, call, state, found, resource_type, &projection))
}

async fn replace(
    call: &Call,
    state: &State,
    resource_type: &Arc<ResourceType>,
    id: &str,
    body: Object,
) -> Result<HttpResponse, HttpError> {
    let projection = projection(call, resource_type)?.showing_written(&body, resource_type);
    let (service, condition) = (&state.service, condition(call, &IF_MATCH));
    let row = service.replace(&call.access, resource_type, id, condition, body).await?;
    let found = service
        .with_relations(&call.access, resource_type, row, Written::Changed, &projection)
        .await?;
    Ok(show(HttpResponse::Ok(), call, state, found, resource_type, &projection))
}

async fn patch(
    call: &Call,
    state: &State,
    resource_type: &Arc<ResourceType>,
    id: &str,
    body: Object,
) -> Result<HttpResponse, HttpError> {
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
    Ok(show(HttpResponse::Ok(), call, state, found, resource_type, &projection))
}

/// A PATCH answers 200 with the resource; 204 where the profile says so for users or groups, or the
/// group is large, unless the client selected attributes.
pub(super) async fn answers_without_body(
    call: &Call,
    state: &State,
    resource_type: &ResourceType,
    projection: &Projection,
    key: i64,
) -> Result<bool, HttpError> {
    if !projection.is_default() {
        return Ok(false);
    }
    let profile = &call.access.directory.profile;
    if resource_type.is_user() {
        return Ok(profile.user_patch_reply == PatchReply::NoContent);
    }
    if !resource_type.is_group() {
        return Ok(false);
    }
    if profile.group_patch_reply == PatchReply::NoContent {
        return Ok(true);
    }
    let limit = MAX_PATCH_REPLY_MEMBERS;
    Ok(state.service.has_more_members(&call.access, key, limit).await?)
}

async fn delete(
    call: &Call,
    state: &State,
    resource_type: &Arc<ResourceType>,
    id: &str,
) -> Result<HttpResponse, HttpError> {
    let condition = condition(call, &IF_MATCH);
    state.service.delete(&call.access, resource_type, id, condition).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn show(
    mut response: actix_web::HttpResponseBuilder,
    call: &Call,
    state: &State,
    found: Found,
    resource_type: &Arc<ResourceType>,
    projection: &Projection,
) -> HttpResponse {
    response.content_type(MEDIA_TYPE).insert_header((ETAG, render::tag(&found)));
    if found.has_more_members {
        return members::streamed(response, call, state, found, resource_type, projection);
    }
    response.body(render::resource(&found, resource_type, projection, call.links()))
}

fn resource_type(call: &Call, endpoint: &str) -> Result<Arc<ResourceType>, HttpError> {
    call.access.directory.resource_type(endpoint).cloned().map_err(HttpError::scim)
}

fn projection(call: &Call, resource_type: &ResourceType) -> Result<Projection, HttpError> {
    let (wanted, excluded) = (call.query.get("attributes"), call.query.get("excludedAttributes"));
    Projection::parse(wanted, excluded, resource_type).map_err(HttpError::scim)
}

/// Roles and entitlements are the operator's to change.
fn refuse_writes(call: &Call, resource_type: &ResourceType) -> Result<(), HttpError> {
    let reads = matches!(*call.request.method(), Method::GET | Method::HEAD);
    match reads || !resource_type.is_read_only() {
        true => Ok(()),
        false => Err(HttpError::scim(Problem::Method("GET, HEAD"))),
    }
}

/// Conditional requests where the profile of the directory has none.
pub(super) fn refuse_conditions(call: &Call) -> Result<(), HttpError> {
    if call.access.directory.profile.conditional_headers == Tolerance::Accept {
        return Ok(());
    }
    let conditions = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
    match conditions.iter().find(|name| call.request.headers().contains_key(*name)) {
        Some(name) => Err(HttpError::scim(ScimError::new(
            400,
            format!(
                "The request has the header \"{name}\", but this directory takes no conditional \
                 requests; send it without."
            ),
        ))),
        None => Ok(()),
    }
}

/// The condition of a header that may stand on several lines (RFC 9110 §5.3).
pub(super) fn condition(call: &Call, header: &HeaderName) -> Option<Condition> {
    // A tag that cannot be read names no version: the condition stands and does not hold.
    let lines: Vec<&str> =
        call.request.headers().get_all(header).map(|v| v.to_str().unwrap_or_default()).collect();
    (!lines.is_empty()).then(|| Condition::parse(&lines.join(",")))
}

/// The body, from a caller who is still let in when it has arrived: a slow body must not outlive
/// the token that began it.
pub(super) async fn read(
    call: &Call,
    state: &State,
    payload: web::Payload,
) -> Result<Object, HttpError> {
    let body = body::bytes(&call.request, payload, MAX_BODY_BYTES).await;
    if let Ok(bytes) = &body {
        call.access.trace.received(bytes);
    }
    super::authenticate(call, state).await?;
    let body = body.and_then(|bytes| body::parsed(&bytes));
    client::notice(call, state, body.as_ref().ok());
    body.map_err(HttpError::scim)
}

impl From<ServiceError> for HttpError {
    /// In this module every failure is one of a SCIM request.
    fn from(error: ServiceError) -> Self {
        Self::scim(error)
    }
}
