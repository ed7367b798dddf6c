//! Discovery: what this server and this directory can do (RFC 7644 §4, RFC 7643 §5 to §7).

use serde_json::{Value, json};

use super::bulk::MAX_OPERATIONS;
use super::context::Directory;
use super::query::CURSOR_SECONDS;
use crate::event::set;
use crate::profile::Tolerance;
use crate::scim::list::PageLimits;
use crate::scim::{Registry, ResourceType, Schema, ScimError, urn};

/// Largest request body, in bytes.
pub const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// `/ServiceProviderConfig`: facts about the server, and what the profile of a directory adds to
/// them. Without one only what holds for every directory is told.
pub fn service_provider_config(base: &str, directory: Option<&Directory>) -> Value {
    let profile = directory.map(|directory| &*directory.profile);
    let conditions_count = profile.is_none_or(|p| p.conditional_headers == Tolerance::Accept);
    let mut config = json!({
        "schemas": [urn::SERVICE_PROVIDER_CONFIG],
        "patch": {"supported": profile.is_none_or(|p| p.patch)},
        "bulk": {
            "supported": profile.is_none_or(|p| p.bulk),
            "maxOperations": MAX_OPERATIONS,
            "maxPayloadSize": MAX_BODY_BYTES,
        },
        "filter": {"supported": true, "maxResults": PageLimits::default().max},
        "changePassword": {"supported": false},
        "sort": {"supported": true},
        "etag": {"supported": conditions_count},
        "pagination": {
            "cursor": true,
            "index": true,
            "defaultPaginationMethod": "index",
            "defaultPageSize": PageLimits::default().default,
            "maxPageSize": PageLimits::default().max,
            "cursorTimeout": CURSOR_SECONDS,
        },
        "authenticationSchemes": authentication_schemes(),
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base}/ServiceProviderConfig"),
        },
    });
    let Some(members) = config.as_object_mut() else { return config };
    if profile.is_none_or(|profile| profile.async_requests) {
        let uris: Vec<&str> = set::scim_events().collect();
        let security_events = json!({"asyncRequest": "request", "eventUris": uris});
        members.insert("securityEvents".into(), security_events);
    }
    let Some(directory) = directory else { return config };
    if directory.profile.follows_interop_profile() {
        members.insert("interopProfileConformant".into(), true.into());
    }
    members.extend(roles_and_entitlements(directory).map(|b| ("RolesAndEntitlements".into(), b)));
    config
}

fn authentication_schemes() -> Value {
    json!([
        {
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A directory token in the Authorization header (RFC 6750)",
            "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
            "primary": true,
        },
        {
            "type": "oauth2",
            "name": "OAuth 2.0 client credentials",
            "description": "An access token from /oauth/token for a client of the directory",
            "specUri": "https://www.rfc-editor.org/rfc/rfc6749",
        },
        {
            "type": "httpbasic",
            "name": "HTTP Basic",
            "description": "The id and the secret of a directory token or of a client",
            "specUri": "https://www.rfc-editor.org/rfc/rfc7617",
        },
    ])
}

/// What users can be given (draft-ietf-scim-roles-entitlements); `None` when nothing is listed.
fn roles_and_entitlements(directory: &Directory) -> Option<Value> {
    let has = |name: &str| directory.registry.by_name(name).is_some();
    if !has("Role") && !has("Entitlement") {
        return None;
    }
    let block = |name: &str, several: &str| {
        let supported = has(name);
        json!({
            "supported": supported,
            several: supported,
            "primarySupported": supported,
            "typeSupported": supported,
        })
    };
    Some(json!({
        "roles": block("Role", "multipleRolesSupported"),
        "entitlements": block("Entitlement", "multipleEntitlementsSupported"),
    }))
}

/// `/Schemas`.
pub fn schemas(registry: &Registry, base: &str) -> Value {
    let schemas: Vec<Value> =
        registry.schemas().iter().map(|schema| schema_value(schema, base)).collect();
    list(&schemas)
}

/// `/Schemas/{urn}`, in any letter case.
pub fn schema(registry: &Registry, uri: &str, base: &str) -> Result<Value, ScimError> {
    let schemas = registry.schemas();
    let found = schemas.iter().find(|schema| schema.id.eq_ignore_ascii_case(uri));
    match found {
        Some(schema) => Ok(schema_value(schema, base)),
        None => Err(ScimError::not_found("The schema")),
    }
}

/// `/ResourceTypes`.
pub fn resource_types(registry: &Registry, base: &str) -> Value {
    let types: Vec<Value> = registry.types().iter().map(|t| resource_type_value(t, base)).collect();
    list(&types)
}

/// `/ResourceTypes/{name}`, in any letter case.
pub fn resource_type(registry: &Registry, name: &str, base: &str) -> Result<Value, ScimError> {
    match registry.by_name(name) {
        Some(found) => Ok(resource_type_value(found, base)),
        None => Err(ScimError::not_found("The resource type")),
    }
}

fn schema_value(schema: &Schema, base: &str) -> Value {
    json!({
        "schemas": [urn::SCHEMA],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": schema.attributes,
        "meta": {
            "resourceType": "Schema",
            "location": format!("{base}/Schemas/{}", schema.id),
        },
    })
}

fn resource_type_value(resource_type: &ResourceType, base: &str) -> Value {
    let extensions: Vec<Value> = resource_type
        .extensions
        .iter()
        .map(|e| json!({"schema": e.schema.id, "required": e.required}))
        .collect();
    json!({
        "schemas": [urn::RESOURCE_TYPE],
        "id": resource_type.name,
        "name": resource_type.name,
        "endpoint": resource_type.endpoint,
        "description": resource_type.description,
        "schema": resource_type.schema.id,
        "schemaExtensions": extensions,
        "meta": {
            "resourceType": "ResourceType",
            "location": format!("{base}/ResourceTypes/{}", resource_type.name),
        },
    })
}

fn list(resources: &[Value]) -> Value {
    json!({
        "schemas": [urn::LIST_RESPONSE],
        "totalResults": resources.len(),
        "startIndex": 1,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}
