//! The SCIM surface of a directory as an OpenAPI 3.1 description, made from the directory's schemas.
//!
//! Each resource type has three schemas: `User` as answers show it, where only `schemas` and `id` are
//! certain because the client may choose attributes, `User.request` as clients send it, without what
//! is read-only, and `User.list`. Messages of the protocol are `scim.…`: type names have no dot, so
//! the two never meet. Canonical values are examples, because RFC 7643 §7 does not close them.

use serde_json::{Value, json};

use crate::scim::list::PageLimits;
use crate::scim::schema::{DataType, Mutability, Returned};
use crate::scim::{Attribute, Object, Registry, ResourceType, urn};

const SCIM: &str = "application/scim+json";
const JSON: &str = "application/json";

const SEARCH_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
const BULK_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const BULK_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

/// What any request may answer.
const ANY: [u16; 6] = [400, 401, 403, 405, 429, 503];
/// What a request with a body may answer besides.
const BODY: [u16; 3] = [408, 413, 415];

/// Whether a schema describes what clients send or what the server answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
}

/// The description of what is served below `base`, the directory's SCIM base URL.
pub fn document(registry: &Registry, base: &str) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Rollbook SCIM 2.0",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The SCIM endpoints of one directory (RFC 7643, RFC 7644, RFC 9865).",
        },
        "servers": [{"url": base}],
        "security": [{"bearer": []}],
        "paths": paths(registry),
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A directory token (RFC 6750)",
                },
            },
            "parameters": parameters(),
            "headers": headers(),
            "responses": failures(),
            "schemas": schemas(registry),
        },
    })
}

// --- Paths ---------------------------------------------------------------------------------------

fn paths(registry: &Registry) -> Object {
    let mut paths = Object::new();
    for resource_type in registry.types() {
        let endpoint = &resource_type.endpoint;
        paths.insert(endpoint.clone(), collection(resource_type));
        paths.insert(format!("{endpoint}/{{id}}"), resource(resource_type));
        let list = format!("{}.list", resource_type.name);
        let name = format!("search{}", resource_type.name);
        let search = search(&name, &list, &format!("Search resources of type {}", resource_type.name));
        paths.insert(format!("{endpoint}/.search"), search);
    }
    let mut query = operation("query", "Query the resources of all types");
    query.insert("parameters".into(), query_parameters());
    query.insert("responses".into(), responses(&[(200, content("scim.list"))], &[]));
    paths.insert("/".into(), json!({"get": query}));
    paths.insert("/.search".into(), search("search", "scim.list", "Search resources of all types"));
    paths.insert("/Bulk".into(), bulk());
    if let Some(user) = registry.by_name("User") {
        paths.insert("/Me".into(), me(user));
    }
    discovery(&mut paths);
    paths
}

fn collection(resource_type: &ResourceType) -> Value {
    let name = &resource_type.name;
    let mut list = operation(&format!("list{name}"), &format!("List resources of type {name}"));
    list.insert("parameters".into(), query_parameters());
    let found = content(&format!("{name}.list"));
    list.insert("responses".into(), responses(&[(200, found)], &[]));
    if !has_writes(resource_type) {
        return json!({"get": list});
    }
    let mut create = operation(&format!("create{name}"), &format!("Create a {name}"));
    create.insert("parameters".into(), json!([reference("parameters", "attributes"),
        reference("parameters", "excludedAttributes")]));
    create.insert("requestBody".into(), body(&format!("{name}.request")));
    let mut created = content(name);
    created["headers"] = json!({
        "Location": reference("headers", "Location"),
        "ETag": reference("headers", "ETag"),
    });
    let mut links = Object::new();
    for verb in ["read", "replace", "modify", "delete"] {
        links.insert(
            verb.into(),
            json!({"operationId": format!("{verb}{name}"), "parameters": {"id": "$response.body#/id"}}),
        );
    }
    created["links"] = links.into();
    create.insert("responses".into(), responses(&[(201, created)], &[409, 408, 413, 415]));
    json!({"get": list, "post": create})
}

fn resource(resource_type: &ResourceType) -> Value {
    let name = &resource_type.name;
    let mut path = json!({"parameters": [reference("parameters", "id")]});
    path["get"] = read(&format!("read{name}"), name, &[404]).into();
    if has_writes(resource_type) {
        for (method, verb) in [("put", "replace"), ("patch", "modify"), ("delete", "delete")] {
            path[method] = write(verb, name, name, &[404]).into();
        }
    }
    path
}

/// `/Me` (RFC 7644 §3.11).
fn me(user: &ResourceType) -> Value {
    let mut path = json!({"get": read("readMe", &user.name, &[404, 501])});
    for (method, verb) in [("put", "replace"), ("patch", "modify"), ("delete", "delete")] {
        path[method] = write(verb, "Me", &user.name, &[404, 501]).into();
    }
    path
}

fn read(id: &str, schema: &str, more: &[u16]) -> Object {
    let mut read = operation(id, "Read a resource");
    let parameters = ["attributes", "excludedAttributes", "If-None-Match"];
    read.insert("parameters".into(), parameters.map(|name| reference("parameters", name)).into());
    let unchanged = json!({"description": "The client has the current version", "headers": etag()});
    let answers = [(200, tagged(schema)), (304, unchanged)];
    read.insert("responses".into(), responses(&answers, more));
    read
}

/// PUT, PATCH or DELETE of the resource that `what` names.
fn write(verb: &str, what: &str, schema: &str, more: &[u16]) -> Object {
    let mut write = operation(&format!("{verb}{what}"), &format!("{} a resource", capital(verb)));
    let mut more = [more, &[409, 412]].concat();
    if verb == "delete" {
        write.insert("parameters".into(), json!([reference("parameters", "If-Match")]));
        write.insert("responses".into(), responses(&[(204, no_content())], &more));
        return write;
    }
    let parameters = ["attributes", "excludedAttributes", "If-Match"];
    write.insert("parameters".into(), parameters.map(|name| reference("parameters", name)).into());
    let mut answers = vec![(200, tagged(schema))];
    if verb == "modify" {
        write.insert("requestBody".into(), body("scim.PatchOp"));
        let mut empty = no_content();
        empty["headers"] = etag();
        answers.push((204, empty));
    } else {
        write.insert("requestBody".into(), body(&format!("{schema}.request")));
    }
    more.extend(BODY);
    write.insert("responses".into(), responses(&answers, &more));
    write
}

/// POST `…/.search` (RFC 7644 §3.4.3).
fn search(id: &str, list: &str, summary: &str) -> Value {
    let mut search = operation(id, summary);
    search.insert("requestBody".into(), body("scim.SearchRequest"));
    search.insert("responses".into(), responses(&[(200, content(list))], &BODY));
    json!({"post": search})
}

/// `/Bulk` (RFC 7644 §3.7); with `Prefer: respond-async` as RFC 9967 has it.
fn bulk() -> Value {
    let mut bulk = operation("bulk", "Several operations in one request");
    bulk.insert("parameters".into(), json!([reference("parameters", "Prefer")]));
    bulk.insert("requestBody".into(), body("scim.BulkRequest"));
    let accepted = json!({
        "description": "The operations go on after the answer",
        "headers": {
            "Location": reference("headers", "Location"),
            "Preference-Applied": {"schema": {"type": "string"}},
            "Set-Txn": {"schema": {"type": "string"}},
        },
    });
    let answers = [(200, content("scim.BulkResponse")), (202, accepted)];
    bulk.insert("responses".into(), responses(&answers, &[409, 408, 413, 415]));
    json!({"post": bulk})
}

/// RFC 7644 §4, and this document.
fn discovery(paths: &mut Object) {
    let mut add = |path: &str, id: &str, summary: &str, schema: &str| {
        let mut get = operation(id, summary);
        let mut more: &[u16] = &[];
        if path.ends_with('}') {
            get.insert("parameters".into(), json!([reference("parameters", "id")]));
            more = &[404];
        }
        get.insert("responses".into(), responses(&[(200, content(schema))], more));
        if schema == "scim.ServiceProviderConfig" {
            // Facts about the server are there without a token (RFC 7643 §5).
            get.insert("security".into(), json!([{}, {"bearer": []}]));
        }
        paths.insert(path.into(), json!({"get": get}));
    };
    add(
        "/ServiceProviderConfig",
        "readServiceProviderConfig",
        "What the server supports",
        "scim.ServiceProviderConfig",
    );
    add("/Schemas", "listSchemas", "The schemas of the directory", "scim.Schema.list");
    add("/Schemas/{id}", "readSchema", "One schema, by its URI", "scim.Schema");
    let types = "The resource types of the directory";
    add("/ResourceTypes", "listResourceTypes", types, "scim.ResourceType.list");
    add("/ResourceTypes/{id}", "readResourceType", "One resource type", "scim.ResourceType");
    let mut this = operation("readDescription", "This document");
    let answer = json!({
        "description": "An OpenAPI document",
        "content": {JSON: {"schema": {"type": "object", "required": ["openapi", "paths"]}}},
    });
    this.insert("responses".into(), responses(&[(200, answer)], &[]));
    paths.insert("/openapi.json".into(), json!({"get": this}));
}

/// False for types whose values the server alone sets.
fn has_writes(resource_type: &ResourceType) -> bool {
    let mut attributes = resource_type.schema.attributes.iter();
    attributes.any(|attribute| attribute.mutability != Mutability::ReadOnly)
}

// --- Parts of operations -------------------------------------------------------------------------

fn operation(id: &str, summary: &str) -> Object {
    let mut operation = Object::new();
    operation.insert("operationId".into(), id.into());
    operation.insert("summary".into(), summary.into());
    operation
}

fn reference(section: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{section}/{name}")})
}

fn schema_reference(name: &str) -> Value {
    reference("schemas", name)
}

fn body(schema: &str) -> Value {
    let media = json!({"schema": schema_reference(schema)});
    json!({"required": true, "content": {SCIM: media, JSON: media}})
}

fn content(schema: &str) -> Value {
    json!({
        "description": "Done",
        "content": {SCIM: {"schema": schema_reference(schema)}},
    })
}

/// An answer with one resource and its version.
fn tagged(schema: &str) -> Value {
    let mut answer = content(schema);
    answer["headers"] = etag();
    answer
}

fn etag() -> Value {
    json!({"ETag": reference("headers", "ETag")})
}

fn no_content() -> Value {
    json!({"description": "Done; there is nothing to show"})
}

fn responses(answers: &[(u16, Value)], more: &[u16]) -> Object {
    let answers = answers.iter().map(|(status, answer)| (status.to_string(), answer.clone()));
    let errors = ANY.iter().chain(more).map(|status| {
        let status = status.to_string();
        let reference = reference("responses", &status);
        (status, reference)
    });
    answers.chain(errors).collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

// --- Components ----------------------------------------------------------------------------------

fn query_parameters() -> Value {
    let names = [
        "filter",
        "sortBy",
        "sortOrder",
        "startIndex",
        "count",
        "cursor",
        "attributes",
        "excludedAttributes",
    ];
    names.map(|name| reference("parameters", name)).into()
}

fn parameters() -> Value {
    let query = |name: &str, description: &str, schema: Value| {
        json!({"name": name, "in": "query", "description": description, "schema": schema})
    };
    let names = |name: &str, description: &str| {
        let mut parameter =
            query(name, description, json!({"type": "array", "items": {"type": "string"}}));
        parameter["style"] = "form".into();
        parameter["explode"] = false.into();
        parameter
    };
    let header = |name: &str, description: &str| {
        json!({
            "name": name, "in": "header", "description": description, "schema": {"type": "string"},
        })
    };
    let max = PageLimits::default().max;
    json!({
        "id": {"name": "id", "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}},
        "filter": query("filter", "A filter (RFC 7644 §3.4.2.2)", json!({
            "type": "string", "examples": ["userName eq \"ada@example.com\""],
        })),
        "sortBy": query("sortBy", "Path of the attribute to sort by", json!({"type": "string"})),
        "sortOrder": query("sortOrder", "Which end comes first", json!({
            "type": "string", "enum": ["ascending", "descending"], "default": "ascending",
        })),
        "startIndex": query("startIndex", "Number of the first resource; below 1 means 1", json!({
            "type": "integer", "default": 1,
        })),
        "count": query("count", &format!("Resources on a page, at most {max}"), json!({
            "type": "integer", "default": PageLimits::default().default,
        })),
        "cursor": query("cursor", "A page of RFC 9865; empty for the first", json!({"type": "string"})),
        "attributes": names("attributes", "Paths of the attributes to show"),
        "excludedAttributes": names("excludedAttributes",
            "Paths of attributes not to show; not together with `attributes`"),
        "If-Match": header("If-Match", "Only when the resource has this version"),
        "If-None-Match": header("If-None-Match", "Only when the resource has another version"),
        "Prefer": header("Prefer", "`respond-async` for an answer before the work is done"),
    })
}

fn headers() -> Value {
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    json!({
        "ETag": text("The version of the resource"),
        "Location": text("The address of the result"),
        "Allow": text("The methods that there are"),
        "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}},
        "WWW-Authenticate": text("How to authenticate"),
    })
}

fn failures() -> Object {
    let failure = |(status, description, header): (u16, &str, Option<&str>)| {
        let mut answer = content("scim.Error");
        answer["description"] = description.into();
        if let Some(name) = header {
            let mut headers = Object::new();
            headers.insert(name.into(), reference("headers", name));
            answer["headers"] = headers.into();
        }
        (status.to_string(), answer)
    };
    [
        (400, "The request cannot be understood; `scimType` says which part", None),
        (401, "There is no token, or it is not known", Some("WWW-Authenticate")),
        (403, "The token does not allow this", None),
        (404, "There is no such resource", None),
        (405, "The endpoint does not have the method", Some("Allow")),
        (408, "The body took too long to arrive", None),
        (409, "Another resource has a value that must be unique", None),
        (412, "The resource has another version", None),
        (413, "The body is too large", None),
        (415, "The body is of another media type", None),
        (429, "Too many requests", Some("Retry-After")),
        (501, "The token was not issued for a user", None),
        (503, "The directory is paused or the server is busy", Some("Retry-After")),
    ]
    .into_iter()
    .map(failure)
    .collect()
}

fn schemas(registry: &Registry) -> Object {
    let mut schemas = Object::new();
    for resource_type in registry.types() {
        let name = &resource_type.name;
        schemas.insert(name.clone(), type_schema(resource_type, Direction::Answer));
        if has_writes(resource_type) {
            let request = type_schema(resource_type, Direction::Request);
            schemas.insert(format!("{name}.request"), request);
        }
        schemas.insert(format!("{name}.list"), list(&schema_reference(name)));
    }
    let names = registry.types().iter().map(|t| schema_reference(&t.name));
    schemas.insert("scim.list".into(), list(&json!({"anyOf": names.collect::<Vec<_>>()})));
    if let Value::Object(messages) = messages() {
        schemas.extend(messages);
    }
    schemas
}

// --- Resources -----------------------------------------------------------------------------------

fn type_schema(resource_type: &ResourceType, direction: Direction) -> Value {
    let mut uris = vec![resource_type.schema.id.as_str()];
    uris.extend(resource_type.extensions.iter().map(|e| e.schema.id.as_str()));
    let common = resource_type.common().attributes.iter().filter(|a| a.name != "schemas");
    let own = resource_type.schema.attributes.iter();
    let mut schema = object(common.chain(own), direction);
    let mut required = vec![Value::from("schemas")];
    if direction == Direction::Answer {
        required.push("id".into());
    } else if let Some(Value::Array(names)) = schema.get("required") {
        required.extend(names.iter().cloned());
    }
    let mut properties = Object::new();
    properties.insert("schemas".into(), match direction {
        Direction::Answer => json!({"type": "array", "items": {"type": "string"}}),
        Direction::Request => json!({
            "type": "array",
            "items": {"type": "string", "enum": uris},
            "contains": {"const": resource_type.schema.id},
        }),
    });
    if let Some(Value::Object(attributes)) = schema.remove("properties") {
        properties.extend(attributes);
    }
    for extension in &resource_type.extensions {
        let mut part = object(extension.schema.attributes.iter(), direction);
        part.insert("description".into(), extension.schema.description.clone().into());
        properties.insert(extension.schema.id.clone(), part.into());
        if extension.required && direction == Direction::Request {
            required.push(extension.schema.id.clone().into());
        }
    }
    schema.insert("description".into(), resource_type.description.clone().into());
    schema.insert("properties".into(), properties.into());
    schema.insert("required".into(), required.into());
    schema.into()
}

/// An object with these attributes. Only requests have required members.
fn object<'a>(attributes: impl Iterator<Item = &'a Attribute>, direction: Direction) -> Object {
    let mut properties = Object::new();
    let mut required: Vec<Value> = Vec::new();
    for attribute in attributes {
        let shown = match direction {
            Direction::Request => attribute.mutability != Mutability::ReadOnly,
            Direction::Answer => attribute.returned != Returned::Never,
        };
        if !shown {
            continue;
        }
        if attribute.required && direction == Direction::Request {
            required.push(attribute.name.clone().into());
        }
        properties.insert(attribute.name.clone(), attribute_schema(attribute, direction));
    }
    let mut object = Object::new();
    object.insert("type".into(), "object".into());
    object.insert("properties".into(), properties.into());
    if !required.is_empty() {
        object.insert("required".into(), required.into());
    }
    object
}

fn attribute_schema(attribute: &Attribute, direction: Direction) -> Value {
    let mut schema = match attribute.data_type {
        DataType::String => json!({"type": "string"}),
        DataType::Boolean => json!({"type": "boolean"}),
        DataType::Decimal => json!({"type": "number"}),
        DataType::Integer => json!({"type": "integer", "format": "int64"}),
        DataType::DateTime => json!({"type": "string", "format": "date-time"}),
        DataType::Binary => json!({"type": "string", "contentEncoding": "base64"}),
        DataType::Reference => json!({"type": "string", "pattern": r#"^[^\s<>"{}|\\^`]*$"#}),
        DataType::Complex => object(attribute.sub_attributes.iter(), direction).into(),
    };
    if !attribute.canonical_values.is_empty() {
        schema["examples"] = json!(attribute.canonical_values);
    }
    if attribute.multi_valued {
        schema = json!({"type": "array", "items": schema});
    }
    if !attribute.description.is_empty() {
        schema["description"] = attribute.description.clone().into();
    }
    match attribute.mutability {
        Mutability::ReadOnly => schema["readOnly"] = true.into(),
        Mutability::WriteOnly => schema["writeOnly"] = true.into(),
        Mutability::ReadWrite | Mutability::Immutable => {}
    }
    schema
}

// --- Messages ------------------------------------------------------------------------------------

/// `schemas` of a message.
fn exactly(uri: &str) -> Value {
    json!({"type": "array", "items": {"const": uri}, "minItems": 1, "maxItems": 1})
}

/// A ListResponse; a page of RFC 9865 may leave out where it begins and how many there are.
fn list(resource: &Value) -> Value {
    let number = json!({"type": "integer", "minimum": 0});
    json!({
        "type": "object",
        "required": ["schemas", "itemsPerPage", "Resources"],
        "properties": {
            "schemas": exactly(urn::LIST_RESPONSE),
            "totalResults": number,
            "startIndex": {"type": "integer", "minimum": 1},
            "itemsPerPage": number,
            "nextCursor": {"type": "string"},
            "previousCursor": {"type": "string"},
            "Resources": {"type": "array", "items": resource},
        },
    })
}

fn messages() -> Value {
    let names = json!({"type": "array", "items": {"type": "string"}});
    let text = json!({"type": "string"});
    let status = json!({"type": "string", "pattern": "^[1-5][0-9][0-9]$"});
    let supported = json!({
        "type": "object",
        "required": ["supported"],
        "properties": {"supported": {"type": "boolean"}},
    });
    json!({
        "scim.Error": {
            "type": "object",
            "required": ["schemas", "status", "detail"],
            "properties": {
                "schemas": exactly(urn::ERROR), "status": status, "scimType": text, "detail": text,
            },
        },
        "scim.PatchOp": {
            "type": "object",
            "required": ["schemas", "Operations"],
            "properties": {
                "schemas": exactly(urn::PATCH_OP),
                "Operations": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["op"],
                        "properties": {
                            "op": {"type": "string", "enum": ["add", "remove", "replace"]},
                            "path": {"type": "string", "examples": ["displayName", "active"]},
                            "value": {"description": "What the path takes"},
                        },
                    },
                },
            },
        },
        "scim.SearchRequest": {
            "type": "object",
            "required": ["schemas"],
            "properties": {
                "schemas": exactly(SEARCH_REQUEST),
                "attributes": names,
                "excludedAttributes": names,
                "filter": text,
                "sortBy": text,
                "sortOrder": {"type": "string", "enum": ["ascending", "descending"]},
                "startIndex": {"type": "integer"},
                "count": {"type": "integer"},
                "cursor": text,
            },
        },
        "scim.BulkRequest": {
            "type": "object",
            "required": ["schemas", "Operations"],
            "properties": {
                "schemas": exactly(BULK_REQUEST),
                "failOnErrors": {"type": "integer"},
                "Operations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["method", "path"],
                        "properties": {
                            "method": {"type": "string", "enum": ["POST", "PUT", "PATCH", "DELETE"]},
                            "bulkId": text,
                            "version": text,
                            "path": {"type": "string", "examples": ["/Users"]},
                            "data": {"type": "object"},
                        },
                    },
                },
            },
        },
        "scim.BulkResponse": {
            "type": "object",
            "required": ["schemas", "Operations"],
            "properties": {
                "schemas": exactly(BULK_RESPONSE),
                "Operations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["method", "status"],
                        "properties": {
                            "method": text,
                            "bulkId": text,
                            "version": text,
                            "location": text,
                            "status": status,
                            "response": {"type": "object"},
                        },
                    },
                },
            },
        },
        "scim.ServiceProviderConfig": {
            "type": "object",
            "required": [
                "schemas", "patch", "bulk", "filter", "changePassword", "sort", "etag",
                "authenticationSchemes",
            ],
            "properties": {
                "schemas": {"type": "array", "contains": {"const": urn::SERVICE_PROVIDER_CONFIG}},
                "patch": supported, "bulk": supported, "filter": supported,
                "changePassword": supported, "sort": supported, "etag": supported,
                "authenticationSchemes": {"type": "array", "items": {"type": "object"}},
            },
        },
        "scim.Schema": described(urn::SCHEMA, &["id", "name", "attributes"]),
        "scim.Schema.list": list(&schema_reference("scim.Schema")),
        "scim.ResourceType": described(urn::RESOURCE_TYPE, &["name", "endpoint", "schema"]),
        "scim.ResourceType.list": list(&schema_reference("scim.ResourceType")),
    })
}

/// A schema or resource type as discovery shows it (RFC 7643 §6, §7).
fn described(uri: &str, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "required": [&["schemas"], required].concat(),
        "properties": {"schemas": {"type": "array", "contains": {"const": uri}}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` and `operationId` link below the value.
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(elements) => elements.iter().for_each(|e| references(e, found)),
            _ => {}
        }
    }

    fn operation_ids(document: &Value) -> Vec<&str> {
        let paths = document["paths"].as_object().expect("paths");
        let operations = paths.values().flat_map(|p| p.as_object().expect("path").values());
        operations.filter_map(|operation| operation.get("operationId")?.as_str()).collect()
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(&Registry::builtin(), "https://example.com/scim/v2/KEY");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100, "{}", found.len());
        for reference in found {
            let Some(pointer) = reference.strip_prefix('#') else { continue };
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_link_names_an_operation_and_no_operation_has_the_name_of_another() {
        let document = document(&Registry::builtin(), "");
        let ids = operation_ids(&document);
        let links = &document["paths"]["/Users"]["post"]["responses"]["201"]["links"];
        for link in links.as_object().expect("links").values() {
            assert!(ids.contains(&link["operationId"].as_str().expect("id")), "{link}");
        }
        let mut distinct = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ids.len());
    }

    #[test]
    fn every_type_has_its_paths() {
        let registry = Registry::builtin();
        let document = document(&registry, "");
        for resource_type in registry.types() {
            let endpoint = &resource_type.endpoint;
            for (path, methods) in [
                (endpoint.clone(), &["get", "post"] as &[&str]),
                (format!("{endpoint}/{{id}}"), &["get", "put", "patch", "delete"]),
                (format!("{endpoint}/.search"), &["post"]),
            ] {
                for method in methods {
                    assert!(document["paths"][&path][method].is_object(), "{method} {path}");
                }
            }
        }
    }

    #[test]
    fn requests_have_no_read_only_attributes_and_answers_no_secrets() {
        let document = document(&Registry::builtin(), "");
        let schemas = &document["components"]["schemas"];
        let (request, answer) = (&schemas["User.request"], &schemas["User"]);
        assert_eq!(request["required"], json!(["schemas", "userName"]));
        assert_eq!(answer["required"], json!(["schemas", "id"]));
        assert_eq!(request["properties"]["password"]["writeOnly"], true);
        assert_eq!(answer["properties"]["groups"]["readOnly"], true);
        assert_eq!(answer["properties"]["password"], Value::Null);
        assert_eq!(request["properties"]["groups"], Value::Null);
        assert_eq!(request["properties"]["meta"], Value::Null);
        let manager = &answer["properties"][urn::ENTERPRISE_USER]["properties"]["manager"];
        assert_eq!(manager["properties"]["displayName"]["readOnly"], true);
        assert_eq!(answer["properties"]["emails"]["items"]["properties"]["primary"]["type"], "boolean");
    }
}
