//! Schemas that checks load at run time.

use serde_json::{Value, json};

/// The base schema of [`resource_type`].
pub const THING: &str = "urn:example:params:scim:schemas:conformance:2.0:Thing";
/// Where [`resource_type`] is served.
pub const THINGS: &str = "/Things";
/// The schema of [`extension`].
pub const BADGE: &str = "urn:example:params:scim:schemas:conformance:2.0:Badge";

/// Whether a resource must have the extension.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Required,
    Optional,
}

/// A resource type `Thing` at `/Things` with these attributes (RFC 7643 §7 objects; what they leave
/// out takes the defaults of the RFC).
pub fn resource_type(attributes: &Value) -> Value {
    json!({
        "schemas": [schema(THING, "Thing", attributes)],
        "resource_types": [thing(&json!([]))],
    })
}

/// A resource type `Thing` with one extension.
pub fn resource_type_with(attributes: &Value, extension: &Value, need: Need) -> Value {
    json!({
        "schemas": [schema(THING, "Thing", attributes), schema(BADGE, "Badge", extension)],
        "resource_types": [thing(&json!([{"schema": BADGE, "required": need == Need::Required}]))],
    })
}

/// An extension `Badge` of `User` with these attributes.
pub fn extension(attributes: &Value, need: Need) -> Value {
    json!({
        "schemas": [schema(BADGE, "Badge", attributes)],
        "resource_types": [
            {"name": "User", "schemaExtensions": [{"schema": BADGE, "required": need == Need::Required}]},
        ],
    })
}

fn schema(id: &str, name: &str, attributes: &Value) -> Value {
    json!({"id": id, "name": name, "description": "Loaded by a check", "attributes": attributes})
}

fn thing(extensions: &Value) -> Value {
    json!({
        "name": "Thing",
        "endpoint": THINGS,
        "description": "Loaded by a check",
        "schema": THING,
        "schemaExtensions": extensions,
    })
}

/// A `Thing` with these members beside `schemas`.
pub fn a_thing(members: &Value) -> Value {
    let mut thing = json!({"schemas": [THING]});
    if let (Some(thing), Some(members)) = (thing.as_object_mut(), members.as_object()) {
        thing.extend(members.clone());
    }
    thing
}
