//! A resource type loaded at run time, with every data type and every characteristic, does what User
//! does.

mod characteristics;
mod crud;
mod filter;
mod indexed;
mod patch;
mod sort_project;

use std::sync::Arc;

use serde_json::{Value, json};

use rollbook::scim::schema::OwnSchemas;
use rollbook::scim::{Registry, ResourceType};

use crate::support::TestApp;

/// The base schema of TestResource.
const TEST: &str = "urn:example:params:scim:schemas:TestResource";
/// The extension that every TestResource must have.
const ASSET: &str = "urn:example:params:scim:schemas:extension:Asset";
/// The extension that it may have.
const LAB: &str = "urn:example:params:scim:schemas:extension:lab:2.0:Lab.v1";

/// An attribute of that type, with what differs from the defaults.
fn attr(name: &str, data_type: &str, more: Value) -> Value {
    let mut attribute = json!({"name": name, "type": data_type});
    merge(&mut attribute, more);
    attribute
}

fn merge(into: &mut Value, more: Value) {
    for (name, value) in more.as_object().expect("an object") {
        into[name] = value.clone();
    }
}

/// The document that makes `/TestResources`.
fn document() -> Value {
    let many = || json!({"multiValued": true});
    let indexed = || json!({"indexed": true});
    json!({
        "schemas": [
            {"id": TEST, "name": "TestResource", "description": "Everything", "attributes": [
                attr("name", "string", json!({
                    "required": true, "uniqueness": "server", "indexed": true,
                    "description": "What it is called",
                })),
                attr("code", "string", json!({"caseExact": true, "indexed": true})),
                attr("colour", "string", json!({"canonicalValues": ["Red", "Green", "Blue"]})),
                attr("flag", "boolean", indexed()),
                attr("ratio", "decimal", indexed()),
                attr("count", "integer", indexed()),
                attr("since", "dateTime", indexed()),
                attr("blob", "binary", json!({"caseExact": true})),
                attr("page", "reference", json!({"referenceTypes": ["external", "User"]})),
                attr("tags", "string", json!({"multiValued": true, "indexed": true})),
                attr("scores", "integer", json!({"multiValued": true, "indexed": true})),
                attr("ratios", "decimal", many()),
                attr("flags", "boolean", many()),
                attr("dates", "dateTime", many()),
                attr("blobs", "binary", many()),
                attr("pages", "reference", many()),
                attr("address", "complex", json!({"subAttributes": [
                    attr("street", "string", json!({})),
                    attr("city", "string", json!({"indexed": true})),
                    attr("plot", "string", json!({"mutability": "immutable"})),
                    attr("floor", "integer", json!({"mutability": "readOnly"})),
                    attr("door", "string", json!({"returned": "request"})),
                    attr("lock", "string", json!({"mutability": "writeOnly", "returned": "never"})),
                ]})),
                attr("contacts", "complex", json!({"multiValued": true, "subAttributes": [
                    attr("value", "string", json!({"indexed": true, "required": true})),
                    attr("type", "string", json!({"canonicalValues": ["work", "home"]})),
                    attr("primary", "boolean", indexed()),
                    attr("rank", "integer", indexed()),
                    attr("$ref", "reference", json!({})),
                ]})),
                attr("level", "integer", json!({"mutability": "readOnly"})),
                attr("serial", "string", json!({
                    "mutability": "immutable", "uniqueness": "global", "caseExact": true,
                })),
                attr("secret", "string", json!({"mutability": "writeOnly", "returned": "never"})),
                attr("label", "string", json!({"returned": "always"})),
                attr("note", "string", json!({"returned": "request"})),
                attr("pin", "integer", json!({"returned": "never"})),
            ]},
            {"id": ASSET, "name": "Asset", "description": "Must be there", "attributes": [
                attr("tag", "string", json!({
                    "required": true, "uniqueness": "server", "indexed": true,
                })),
                attr("owner", "string", json!({"mutability": "immutable"})),
                attr("slot", "complex", json!({"subAttributes": [
                    attr("row", "integer", json!({})),
                    attr("seal", "string", json!({"mutability": "immutable"})),
                ]})),
            ]},
            {"id": LAB, "name": "Lab", "description": "May be there", "attributes": [
                attr("rooms", "integer", many()),
                attr("opened", "dateTime", indexed()),
                attr("hint", "string", json!({"returned": "request"})),
                attr("key", "string", json!({"mutability": "writeOnly", "returned": "never"})),
            ]},
        ],
        "resource_types": [{
            "name": "TestResource", "endpoint": "/TestResources", "description": "Test resources",
            "schema": TEST,
            "schemaExtensions": [
                {"schema": ASSET, "required": true}, {"schema": LAB, "required": false},
            ],
        }],
    })
}

/// Puts the document in place; `/TestResources` is there afterwards.
#[track_caller]
fn load(app: &TestApp) {
    let path = format!("/api/v1/directories/{}/schemas", app.directory.id);
    app.api.put(&path, document()).expect(200);
}

/// The type as the server sees it.
fn test_resource() -> Arc<ResourceType> {
    let builtin = Registry::builtin();
    let document = document();
    let own = OwnSchemas::parse(document.as_object().expect("an object"), &builtin);
    let registry = own.expect("a sound document").added_to(&builtin);
    Arc::clone(registry.by_name("TestResource").expect("the type"))
}

/// The smallest TestResource.
fn plain(name: &str) -> Value {
    json!({
        "schemas": [TEST, ASSET],
        "name": name,
        ASSET: {"tag": format!("tag-{name}")},
    })
}

/// One with these members more.
fn with(name: &str, more: Value) -> Value {
    let mut body = plain(name);
    merge(&mut body, more);
    body
}

/// One with a value everywhere where a client may set one.
fn full(name: &str) -> Value {
    json!({
        "schemas": [TEST, ASSET, LAB],
        "externalId": format!("ext-{name}"),
        "name": name,
        "code": "Code-1",
        "colour": "Red",
        "flag": true,
        "ratio": 1.5,
        "count": 42,
        "since": "2021-06-25T19:07:33.155+02:00",
        "blob": "AP8=",
        "page": "https://example.com/a",
        "tags": ["One", "two"],
        "scores": [3, -7],
        "ratios": [0.5, 2],
        "flags": [true, false],
        "dates": ["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"],
        "blobs": ["AQ==", "Ag=="],
        "pages": ["../Users/1", "urn:x:y"],
        "address": {
            "street": "Long Street 1", "city": "Bern", "plot": "P1", "door": "D1", "lock": "hidden-lock",
        },
        "contacts": [
            {
                "value": "w@example.com", "type": "work", "primary": true, "rank": 1,
                "$ref": "../Users/1",
            },
            {"value": "h@example.com", "type": "home", "rank": 2},
        ],
        "serial": format!("S-{name}"),
        "secret": "hidden-secret",
        "label": "Label",
        "note": "Note",
        "pin": 987_654_321,
        ASSET: {"tag": format!("tag-{name}"), "owner": "Ada", "slot": {"row": 1, "seal": "S"}},
        LAB: {
            "rooms": [1, 2], "opened": "2019-01-01T00:00:00Z", "hint": "Hint", "key": "hidden-key",
        },
    })
}

/// What an answer shows of [`full`] unasked, without `id` and `meta`.
fn full_shown(name: &str) -> Value {
    let mut body = full(name);
    for gone in ["/secret", "/note", "/pin", "/address/door", "/address/lock"] {
        take(&mut body, gone);
    }
    for gone in ["hint", "key"] {
        body[LAB].as_object_mut().expect("an object").remove(gone);
    }
    body
}

/// Removes the member that a JSON pointer names.
fn take(body: &mut Value, pointer: &str) -> Value {
    let (holder, name) = pointer.rsplit_once('/').expect("a pointer");
    let holder = body.pointer_mut(holder).and_then(Value::as_object_mut);
    holder.and_then(|holder| holder.shift_remove(name)).unwrap_or(Value::Null)
}

/// The answer's body without what the server adds to it.
fn sent_part(body: &Value) -> Value {
    let mut body = body.clone();
    take(&mut body, "/id");
    take(&mut body, "/meta");
    body
}

/// Percent-encodes a parameter of a query.
fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
