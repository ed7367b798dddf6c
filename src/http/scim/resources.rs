//! Resource endpoints: the same handlers for every resource type.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH, LOCATION};
use actix_web::{HttpResponse, web};

use super::{Call, HttpError, MEDIA_TYPE, Problem, State};
use crate::http::body;
use crate::profile::PatchReply;
use crate::scim::list::{Page, PageLimits, SortOrder};
use crate::scim::resource::Projection;
use crate::scim::resource::meta::{Condition, etag};
use crate::scim::{Object, ResourceType};
use crate::service::discovery::MAX_BODY_BYTES;
use crate::service::query::{Found, ListRequest};
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
    let resource_type = resource_type(call, endpoint)?;
    match *call.request.method() {
        Method::GET | Method::HEAD => list(call, state, &resource_type).await,
        Method::POST => {
            let body = read(call, state, payload).await?;
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
    let resource_type = resource_type(call, endpoint)?;
    match *call.request.method() {
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
    let query = &call.query;
    let negative = call.access.directory.profile.negative_count();
    let (start, count) = (query.get("startIndex"), query.get("count"));
    let request = ListRequest {
        filter: query.get("filter").map(str::to_owned),
        sort_by: query.get("sortBy").map(str::to_owned),
        sort_order: SortOrder::parse(query.get("sortOrder")).map_err(HttpError::scim)?,
        page: Page::parse(start, count, PageLimits::default(), negative)
            .map_err(HttpError::scim)?,
        projection: projection(call, resource_type)?,
    };
    let listed = state.service.list(&call.access, resource_type, &request).await?;
    let text = render::list(&listed, resource_type, &request.projection, &call.base);
    Ok(HttpResponse::Ok().content_type(MEDIA_TYPE).body(text))
}

async fn get(
    call: &Call,
    state: &State,
    resource_type: &Arc<ResourceType>,
    id: &str,
) -> Result<HttpResponse, HttpError> {
    let projection = projection(call, resource_type)?;
    let found = state.service.get(&call.access, resource_type, id, &projection).await?;
    let unchanged = condition(call, &IF_NONE_MATCH).is_some_and(|condition| {
        let shows = |name| resource_type.attribute(name).is_some() && projection.wants(name);
        match (shows("groups"), found.members.is_empty()) {
            // Names of members change without a new version of the group.
            (_, false) => false,
            (true, true) => condition.names(&render::tag(&found)),
            (false, true) => condition.holds_for(found.row.version),
        }
    });
    if unchanged {
        let tag = render::tag(&found);
        return Ok(HttpResponse::NotModified().insert_header((ETAG, tag)).finish());
    }
    Ok(show(HttpResponse::Ok(), call, &found, resource_type, &projection))
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
    let found = service.with_relations(&call.access, resource_type, row, &projection).await?;
    let mut response = HttpResponse::Created();
    let location = render::location(&call.base, resource_type, &found.row.id);
    response.insert_header((LOCATION, location));
    Ok(show(response, call, &found, resource_type, &projection))
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
    let found = service.with_relations(&call.access, resource_type, row, &projection).await?;
    Ok(show(HttpResponse::Ok(), call, &found, resource_type, &projection))
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
    let found = service.with_relations(&call.access, resource_type, row, &projection).await?;
    Ok(show(HttpResponse::Ok(), call, &found, resource_type, &projection))
}

/// A PATCH answers 200 with the resource; for a group 204 where the profile says so or the group is
/// large, unless the client selected attributes.
async fn answers_without_body(
    call: &Call,
    state: &State,
    resource_type: &ResourceType,
    projection: &Projection,
    group_key: i64,
) -> Result<bool, HttpError> {
    if resource_type.name != "Group" || !projection.is_default() {
        return Ok(false);
    }
    if call.access.directory.profile.group_patch_reply == PatchReply::NoContent {
        return Ok(true);
    }
    let limit = MAX_PATCH_REPLY_MEMBERS;
    Ok(state.service.has_more_members(&call.access, group_key, limit).await?)
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
    found: &Found,
    resource_type: &ResourceType,
    projection: &Projection,
) -> HttpResponse {
    response
        .content_type(MEDIA_TYPE)
        .insert_header((ETAG, render::tag(found)))
        .body(render::resource(found, resource_type, projection, &call.base))
}

fn resource_type(call: &Call, endpoint: &str) -> Result<Arc<ResourceType>, HttpError> {
    call.access.directory.resource_type(endpoint).cloned().map_err(HttpError::scim)
}

fn projection(call: &Call, resource_type: &ResourceType) -> Result<Projection, HttpError> {
    let (wanted, excluded) = (call.query.get("attributes"), call.query.get("excludedAttributes"));
    Projection::parse(wanted, excluded, resource_type).map_err(HttpError::scim)
}

/// The condition of a header that may stand on several lines (RFC 9110 §5.3).
fn condition(call: &Call, header: &HeaderName) -> Option<Condition> {
    // A tag that cannot be read names no version: the condition stands and does not hold.
    let lines: Vec<&str> =
        call.request.headers().get_all(header).map(|v| v.to_str().unwrap_or_default()).collect();
    (!lines.is_empty()).then(|| Condition::parse(&lines.join(",")))
}

/// The body, from a caller who is still let in when it has arrived: a slow body must not outlive
/// the token that began it.
async fn read(call: &Call, state: &State, payload: web::Payload) -> Result<Object, HttpError> {
    let body = body::object(&call.request, payload, MAX_BODY_BYTES).await;
    let key = &call.access.directory.external_key;
    super::authenticate(&call.request, state, Some(key)).await?;
    body.map_err(HttpError::scim)
}

impl From<ServiceError> for HttpError {
    /// In this module every failure is one of a SCIM request.
    fn from(error: ServiceError) -> Self {
        Self::scim(error)
    }
}
