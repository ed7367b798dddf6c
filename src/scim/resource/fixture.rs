//! Resource types and documents for tests: the built-in types, and one with every characteristic
//! that those do not have.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Document, Notes, Rules, UnknownAttributes, UnknownSchemas, validate};
use crate::scim::schema::Extension;
use crate::scim::{Object, Registry, ResourceType, Schema, urn};

pub(crate) const DEVICE: &str = "urn:example:params:scim:schemas:Device";
pub(crate) const RACK: &str = "urn:example:params:scim:schemas:extension:Rack";

pub(crate) const LENIENT: Rules =
    Rules { unknown_attributes: UnknownAttributes::Keep, unknown_schemas: UnknownSchemas::Drop };

pub(crate) const STRICT: Rules = Rules {
    unknown_attributes: UnknownAttributes::Refuse,
    unknown_schemas: UnknownSchemas::Refuse,
};

pub(crate) fn user() -> ResourceType {
    (**Registry::builtin().user()).clone()
}

pub(crate) fn group() -> ResourceType {
    (**Registry::builtin().by_name("Group").unwrap()).clone()
}

/// A type of its own with an extension that must be there.
pub(crate) fn device() -> ResourceType {
    let mut device = user();
    device.name = "Device".into();
    device.endpoint = "/Devices".into();
    device.schema = schema(
        DEVICE,
        json!([
            with(attribute("name", "string"), json!({"required": true})),
            with(attribute("serial", "string"), json!({"mutability": "immutable"})),
            attribute("count", "integer"),
            attribute("weight", "decimal"),
            attribute("since", "dateTime"),
            attribute("key", "binary"),
            attribute("page", "reference"),
            with(attribute("colour", "string"), json!({"canonicalValues": ["Red", "Blue"]})),
            with(
                attribute("grade", "string"),
                json!({"canonicalValues": ["A", "B"], "caseExact": true})
            ),
            with(attribute("level", "integer"), json!({"mutability": "readOnly"})),
            with(attribute("label", "string"), json!({"returned": "always"})),
            with(attribute("note", "string"), json!({"returned": "request"})),
            with(attribute("pin", "string"), json!({"returned": "never"})),
            with(attribute("tags", "string"), json!({"multiValued": true})),
            complex(
                "origin",
                json!({"mutability": "immutable"}),
                json!([attribute("site", "string"), attribute("line", "string")])
            ),
            complex(
                "shelf",
                json!({}),
                json!([
                    with(attribute("row", "string"), json!({"required": true})),
                    attribute("place", "string"),
                    with(attribute("seal", "string"), json!({"mutability": "immutable"})),
                    with(attribute("floor", "string"), json!({"mutability": "readOnly"}))
                ])
            ),
            complex(
                "ports",
                json!({"multiValued": true}),
                json!([
                    attribute("value", "string"),
                    attribute("type", "string"),
                    with(attribute("speed", "integer"), json!({"returned": "request"})),
                    with(attribute("code", "string"), json!({"returned": "never"})),
                    attribute("primary", "boolean")
                ])
            ),
            complex(
                "vault",
                json!({"returned": "always"}),
                json!([
                    attribute("door", "string"),
                    with(attribute("code", "string"), json!({"returned": "never"}))
                ])
            )
        ]),
    );
    let rack = schema(
        RACK,
        json!([
            attribute("unit", "integer"),
            with(attribute("owner", "string"), json!({"mutability": "immutable"}))
        ]),
    );
    device.extensions = vec![Extension { schema: rack, required: true }];
    device
}

fn schema(id: &str, attributes: Value) -> Arc<Schema> {
    let mut schema = json!({"id": id, "name": id, "description": id});
    schema["attributes"] = attributes;
    Arc::new(serde_json::from_value(schema).unwrap())
}

fn attribute(name: &str, data_type: &str) -> Value {
    json!({
        "name": name, "type": data_type, "multiValued": false, "description": "",
        "required": false, "caseExact": false, "mutability": "readWrite",
        "returned": "default", "uniqueness": "none"
    })
}

fn with(mut attribute: Value, changes: Value) -> Value {
    attribute.as_object_mut().unwrap().extend(object(changes));
    attribute
}

fn complex(name: &str, changes: Value, subs: Value) -> Value {
    let mut complex = with(attribute(name, "complex"), changes);
    complex["subAttributes"] = subs;
    complex
}

pub(crate) fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// A valid device.
pub(crate) fn device_body() -> Value {
    json!({"name": "d1", RACK: {"unit": 3}})
}

/// A document as a POST would store it, with the id `id1`.
pub(crate) fn document(body: Value, resource_type: &ResourceType) -> Document {
    let mut notes = Notes::default();
    let checked =
        validate::representation(object(body), resource_type, LENIENT, &mut notes).unwrap();
    Document::canonical(checked, "id1", resource_type).unwrap()
}

/// The JSON with `ENT` written out where it begins a string.
pub(crate) fn expand(value: &Value) -> Value {
    let text = value.to_string().replace("\"ENT", &format!("\"{}", urn::ENTERPRISE_USER));
    serde_json::from_str(&text).unwrap()
}
