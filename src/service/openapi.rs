//! The SCIM surface of a directory as an OpenAPI 3.1 description, made from the directory's schemas.
//!
//! Each resource type has three schemas: `User` as answers show it, where only `schemas` and `id` are
//! certain because the client may choose attributes, `User.request` as clients send it, without what
//! is read-only, and `User.list`. Messages of the protocol are `scim.…`, because no type has a dot in
//! its name; they stand in `openapi.json`. Canonical values are examples: RFC 7643 §7 leaves their
//! lists open.

use serde_json::{Value, json};

use crate::scim::schema::{DataType, Mutability, Returned};
use crate::scim::{Attribute, Object, Registry, ResourceType, urn};

const SCIM: &str = "application/scim+json";
const JSON: &str = "application/json";

/// How any request may fail.
const ANY: [u16; 5] = [400, 401, 403, 429, 503];
/// How a request with a body may fail besides.
const BODY: [u16; 3] = [408, 413, 415];

const PROJECTION: [&str; 2] = ["attributes", "excludedAttributes"];

/// The parameters of RFC 7644 §3.4.2 and RFC 9865.
const QUERY: [&str; 8] = [
    "filter",
    "sortBy",
    "sortOrder",
    "startIndex",
    "count",
    "cursor",
    "attributes",
    "excludedAttributes",
];

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
        "components": components(registry),
    })
}

// --- Paths ---------------------------------------------------------------------------------------

fn paths(registry: &Registry) -> Object {
    let mut paths = Object::new();
    for resource_type in registry.types() {
        let (name, endpoint) = (&resource_type.name, &resource_type.endpoint);
        paths.insert(endpoint.clone(), collection(resource_type));
        paths.insert(format!("{endpoint}/{{id}}"), resource(resource_type));
        let search = search(&format!("search{name}"), &format!("{name}.list"));
        paths.insert(format!("{endpoint}/.search"), search);
    }
    let query = Operation {
        parameters: QUERY.into(),
        answers: vec![(200, answer("scim.list", &[]))],
        ..Operation::new("query", "Query the resources of all types")
    };
    paths.insert("/".into(), json!({"get": query.value()}));
    paths.insert("/.search".into(), search("search", "scim.list"));
    paths.insert("/Bulk".into(), bulk());
    paths.insert("/Async/{id}".into(), completion());
    if let Some(user) = registry.by_name("User") {
        let methods = methods(".me", user, &[404, 501]);
        paths.insert("/Me".into(), methods.into());
    }
    discovery(&mut paths);
    paths
}

fn collection(resource_type: &ResourceType) -> Value {
    let name = &resource_type.name;
    let list = Operation {
        parameters: QUERY.into(),
        answers: vec![(200, answer(&format!("{name}.list"), &[]))],
        ..Operation::new(format!("list{name}"), format!("List resources of type {name}"))
    };
    if resource_type.is_read_only() {
        return json!({"get": list.value()});
    }
    let links = ["read", "replace", "modify", "delete"].map(|verb| {
        let id = format!("{verb}{name}");
        (verb.to_owned(), json!({"operationId": id, "parameters": {"id": "$response.body#/id"}}))
    });
    let mut created = answer(name, &["Location", "ETag"]);
    created.insert("links".into(), links.into_iter().collect());
    let create = Operation {
        parameters: PROJECTION.into(),
        body: Some(format!("{name}.request")),
        answers: vec![(201, created)],
        failures: vec![409],
        may_be_async: true,
        ..Operation::new(format!("create{name}"), format!("Create a resource of type {name}"))
    };
    json!({"get": list.value(), "post": create.value()})
}

fn resource(resource_type: &ResourceType) -> Value {
    let name = &resource_type.name;
    let mut path = Object::new();
    path.insert("parameters".into(), references("parameters", &["id"]));
    path.extend(methods(name, resource_type, &[404]));
    path.into()
}

/// What can be done with one resource. `what` ends the names of the operations; with a dot they
/// cannot be those of a type.
fn methods(what: &str, resource_type: &ResourceType, failures: &[u16]) -> Object {
    let schema = &resource_type.name;
    let mut methods = Object::new();
    let conditional = |header: &'static str| [&PROJECTION[..], &[header]].concat();
    let shown = (200, answer(schema, &["ETag"]));
    let read = Operation {
        parameters: conditional("If-None-Match"),
        answers: vec![shown.clone(), (304, empty("The client has this version", &["ETag"]))],
        failures: failures.to_vec(),
        ..Operation::new(format!("read{what}"), "Read a resource")
    };
    methods.insert("get".into(), read.value());
    if resource_type.is_read_only() {
        return methods;
    }
    let failures = [failures, &[409, 412]].concat();
    let replace = Operation {
        parameters: conditional("If-Match"),
        body: Some(format!("{schema}.request")),
        answers: vec![shown.clone()],
        failures: failures.clone(),
        may_be_async: true,
        ..Operation::new(format!("replace{what}"), "Replace a resource")
    };
    let modify = Operation {
        parameters: conditional("If-Match"),
        body: Some("scim.PatchOp".into()),
        answers: vec![shown, (204, empty("Done", &["ETag"]))],
        failures: failures.clone(),
        may_be_async: true,
        ..Operation::new(format!("modify{what}"), "Change parts of a resource")
    };
    let delete = Operation {
        parameters: vec!["If-Match"],
        answers: vec![(204, empty("Done", &[]))],
        failures,
        may_be_async: true,
        ..Operation::new(format!("delete{what}"), "Delete a resource")
    };
    methods.insert("put".into(), replace.value());
    methods.insert("patch".into(), modify.value());
    methods.insert("delete".into(), delete.value());
    methods
}

/// POST `…/.search` (RFC 7644 §3.4.3).
fn search(id: &str, list: &str) -> Value {
    let search = Operation {
        body: Some("scim.SearchRequest".into()),
        answers: vec![(200, answer(list, &[]))],
        ..Operation::new(id, "Query with the parameters in the body")
    };
    json!({"post": search.value()})
}

/// `/Bulk` (RFC 7644 §3.7).
fn bulk() -> Value {
    let bulk = Operation {
        body: Some("scim.BulkRequest".into()),
        answers: vec![(200, answer("scim.BulkResponse", &[]))],
        failures: vec![501],
        may_be_async: true,
        ..Operation::new("bulk", "Several operations in one request")
    };
    json!({"post": bulk.value()})
}

/// What came of a request with `Prefer: respond-async` (RFC 9967 §2.5.1.1).
fn completion() -> Value {
    let mut running = empty("The work is not done", &["Set-Txn", "Retry-After"]);
    running.insert("content".into(), json!({JSON: {"schema": {"type": "object"}}}));
    let read = Operation {
        parameters: vec!["id"],
        answers: vec![(200, answer("scim.Completion", &["Set-Txn"])), (202, running)],
        failures: vec![404],
        ..Operation::new("read.completion", "What came of a request that is answered later")
    };
    json!({"get": read.value()})
}

/// The answer to `Prefer: respond-async`.
fn accepted() -> Object {
    let headers = ["Location", "Preference-Applied", "Set-Txn"];
    let mut accepted = empty("The work goes on after the answer", &headers);
    let link = json!({
        "operationId": "read.completion",
        "parameters": {"id": "$response.header.Set-Txn"},
    });
    accepted.insert("links".into(), json!({"completion": link}));
    accepted
}

/// RFC 7644 §4, and this document.
fn discovery(paths: &mut Object) {
    for (path, id, schema) in [
        ("/Schemas", "list.schemas", "scim.Schema.list"),
        ("/Schemas/{id}", "read.schema", "scim.Schema"),
        ("/ResourceTypes", "list.resourceTypes", "scim.ResourceType.list"),
        ("/ResourceTypes/{id}", "read.resourceType", "scim.ResourceType"),
    ] {
        let one = path.ends_with('}');
        let get = Operation {
            parameters: if one { vec!["id"] } else { vec![] },
            answers: vec![(200, answer(schema, &[]))],
            failures: if one { vec![404] } else { vec![] },
            ..Operation::new(id, "What the directory has")
        };
        paths.insert(path.into(), json!({"get": get.value()}));
    }
    let config = Operation {
        answers: vec![(200, answer("scim.ServiceProviderConfig", &[]))],
        // Facts about the server are there without a token (RFC 7643 §5).
        without_token: true,
        ..Operation::new("read.serviceProviderConfig", "What the server supports")
    };
    paths.insert("/ServiceProviderConfig".into(), json!({"get": config.value()}));
    let mut document = empty("An OpenAPI document", &[]);
    document.insert("content".into(), json!({JSON: {"schema": {"type": "object"}}}));
    let this = Operation {
        answers: vec![(200, document)],
        ..Operation::new("read.description", "This document")
    };
    paths.insert("/openapi.json".into(), json!({"get": this.value()}));
}

// --- Parts of operations -------------------------------------------------------------------------

#[derive(Default)]
struct Operation {
    id: String,
    summary: String,
    parameters: Vec<&'static str>,
    /// The schema of the body.
    body: Option<String>,
    answers: Vec<(u16, Object)>,
    /// Besides those of any request.
    failures: Vec<u16>,
    without_token: bool,
    /// May be answered before it is done (RFC 7240 §4.1).
    may_be_async: bool,
}

impl Operation {
    fn new(id: impl Into<String>, summary: impl Into<String>) -> Self {
        Self { id: id.into(), summary: summary.into(), ..Self::default() }
    }

    fn value(&self) -> Value {
        let mut operation = Object::new();
        operation.insert("operationId".into(), self.id.clone().into());
        operation.insert("summary".into(), self.summary.clone().into());
        let mut parameters = self.parameters.clone();
        parameters.extend(self.may_be_async.then_some("Prefer"));
        if !parameters.is_empty() {
            operation.insert("parameters".into(), references("parameters", &parameters));
        }
        if let Some(schema) = &self.body {
            let media = json!({"schema": reference("schemas", schema)});
            let body = json!({"required": true, "content": {SCIM: media, JSON: media}});
            operation.insert("requestBody".into(), body);
        }
        operation.insert("responses".into(), self.responses());
        if self.without_token {
            operation.insert("security".into(), json!([{}, {"bearer": []}]));
        }
        operation.into()
    }

    fn responses(&self) -> Value {
        let with_body: &[u16] = if self.body.is_some() { &BODY } else { &[] };
        let failures = ANY.iter().chain(with_body).chain(&self.failures).map(|status| {
            let status = status.to_string();
            let failure = reference("responses", &status);
            (status, failure)
        });
        let later = self.may_be_async.then(|| (202, accepted()));
        let answers = self.answers.iter().cloned().chain(later);
        let answers = answers.map(|(status, answer)| (status.to_string(), answer.into()));
        answers.chain(failures).collect()
    }
}

fn reference(section: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{section}/{name}")})
}

fn references(section: &str, names: &[&str]) -> Value {
    names.iter().map(|name| reference(section, name)).collect()
}

/// An answer with a body of that schema.
fn answer(schema: &str, headers: &[&str]) -> Object {
    let mut answer = empty("Done", headers);
    answer.insert("content".into(), json!({SCIM: {"schema": reference("schemas", schema)}}));
    answer
}

fn empty(description: &str, headers: &[&str]) -> Object {
    let mut answer = Object::new();
    answer.insert("description".into(), description.into());
    if !headers.is_empty() {
        let headers = headers.iter().map(|name| ((*name).to_owned(), reference("headers", name)));
        answer.insert("headers".into(), headers.collect());
    }
    answer
}

// --- Components ----------------------------------------------------------------------------------

/// What is the same for every directory, and the schemas of this one.
#[expect(clippy::expect_used, reason = "the file is compiled in and a test reads it")]
fn components(registry: &Registry) -> Object {
    let fixed = serde_json::from_str(include_str!("openapi.json"));
    let mut components: Object = fixed.expect("the components are well formed");
    if let Some(Value::Object(known)) = components.get_mut("schemas") {
        known.extend(schemas(registry));
    }
    components
}

fn schemas(registry: &Registry) -> Object {
    let mut schemas = Object::new();
    for resource_type in registry.types() {
        let name = &resource_type.name;
        schemas.insert(name.clone(), type_schema(resource_type, Direction::Answer));
        if !resource_type.is_read_only() {
            let request = type_schema(resource_type, Direction::Request);
            schemas.insert(format!("{name}.request"), request);
        }
        schemas.insert(format!("{name}.list"), list(&reference("schemas", name)));
    }
    let names = registry.types().iter().map(|t| reference("schemas", &t.name));
    schemas.insert("scim.list".into(), list(&json!({"anyOf": names.collect::<Vec<_>>()})));
    for name in ["scim.Schema", "scim.ResourceType"] {
        schemas.insert(format!("{name}.list"), list(&reference("schemas", name)));
    }
    schemas
}

// --- Resources -----------------------------------------------------------------------------------

fn type_schema(resource_type: &ResourceType, direction: Direction) -> Value {
    let mut uris = vec![resource_type.schema.id.as_str()];
    uris.extend(resource_type.extensions.iter().map(|e| e.schema.id.as_str()));
    let schemas = match direction {
        Direction::Answer => json!({"type": "array", "items": {"type": "string"}}),
        Direction::Request => json!({
            "type": "array",
            "items": {"type": "string", "enum": uris},
            "contains": {"const": resource_type.schema.id},
        }),
    };
    let common = resource_type.common().attributes.iter().filter(|a| a.name != "schemas");
    let own = resource_type.schema.attributes.iter();
    let (attributes, mut required) = members(common.chain(own), direction);
    required.insert(0, "schemas".into());
    if direction == Direction::Answer {
        required.push("id".into());
    }
    let mut properties = Object::new();
    properties.insert("schemas".into(), schemas);
    properties.extend(attributes);
    for extension in &resource_type.extensions {
        let mut part = object(&extension.schema.attributes, direction);
        part.insert("description".into(), extension.schema.description.clone().into());
        properties.insert(extension.schema.id.clone(), part.into());
        if extension.required && direction == Direction::Request {
            required.push(extension.schema.id.clone().into());
        }
    }
    json!({
        "type": "object",
        "description": resource_type.description,
        "properties": properties,
        "required": required,
    })
}

fn object(attributes: &[Attribute], direction: Direction) -> Object {
    let (properties, required) = members(attributes.iter(), direction);
    let mut object = Object::new();
    object.insert("type".into(), "object".into());
    object.insert("properties".into(), properties.into());
    if !required.is_empty() {
        object.insert("required".into(), required.into());
    }
    object
}

/// The properties that the attributes make, and which of them requests must have.
fn members<'a>(
    attributes: impl Iterator<Item = &'a Attribute>,
    direction: Direction,
) -> (Object, Vec<Value>) {
    let (mut properties, mut required) = (Object::new(), Vec::new());
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
    (properties, required)
}

fn attribute_schema(attribute: &Attribute, direction: Direction) -> Value {
    let mut schema = match (attribute.data_type, direction) {
        (DataType::Complex, _) => object(&attribute.sub_attributes, direction),
        (DataType::String, Direction::Request) => text(attribute.required),
        (simple, _) => simple_schema(simple),
    };
    if !attribute.canonical_values.is_empty() {
        schema.insert("examples".into(), attribute.canonical_values.clone().into());
    }
    if attribute.multi_valued {
        let items = std::mem::take(&mut schema);
        schema.insert("type".into(), "array".into());
        schema.insert("items".into(), items.into());
    }
    if !attribute.description.is_empty() {
        schema.insert("description".into(), attribute.description.clone().into());
    }
    match attribute.mutability {
        Mutability::ReadOnly => schema.insert("readOnly".into(), true.into()),
        Mutability::WriteOnly => schema.insert("writeOnly".into(), true.into()),
        Mutability::ReadWrite | Mutability::Immutable => None,
    };
    schema.into()
}

/// A string as the server takes it.
fn text(required: bool) -> Object {
    let mut text = Object::new();
    text.insert("type".into(), "string".into());
    // No control characters but tab and line breaks.
    text.insert("pattern".into(), r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$".into());
    if required {
        text.insert("minLength".into(), 1.into());
    }
    text
}

/// RFC 7643 §2.3.
fn simple_schema(data_type: DataType) -> Object {
    let (kind, more) = match data_type {
        DataType::Boolean => ("boolean", None),
        DataType::Decimal => ("number", None),
        DataType::Integer => ("integer", Some(("format", "int64"))),
        DataType::DateTime => ("string", Some(("format", "date-time"))),
        DataType::Binary => ("string", Some(("contentEncoding", "base64"))),
        // What the server takes for a URI.
        DataType::Reference => ("string", Some(("pattern", r#"^[^\s<>"{}|\\^`]*$"#))),
        DataType::String | DataType::Complex => ("string", None),
    };
    let members = [("type", kind)].into_iter().chain(more);
    members.map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// A ListResponse; a page of RFC 9865 may leave out where it begins and how many there are.
fn list(resource: &Value) -> Value {
    let number = json!({"type": "integer", "minimum": 0});
    json!({
        "type": "object",
        "required": ["schemas", "itemsPerPage", "Resources"],
        "properties": {
            "schemas": {"type": "array", "items": {"const": urn::LIST_RESPONSE}},
            "totalResults": number,
            "startIndex": {"type": "integer", "minimum": 1},
            "itemsPerPage": number,
            "nextCursor": {"type": "string"},
            "previousCursor": {"type": "string"},
            "Resources": {"type": "array", "items": resource},
        },
    })
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
