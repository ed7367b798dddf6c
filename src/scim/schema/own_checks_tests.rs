//! Every refusal of a directory's own schemas, with its place and sentence; and that what is accepted
//! can be named in paths.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::scim::filter::{parse_attr_path, parse_target_path};
use crate::scim::schema::{OwnSchemas, Problem, Resolution};
use crate::scim::{Object, Registry, urn};

const DEVICE: &str = "urn:example:params:scim:schemas:Device";
const BADGE: &str = "urn:example:params:scim:schemas:extension:Badge:2.0:User";

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// A type of its own and an extension of User.
fn sound() -> Value {
    json!({
        "schemas": [
            {"id": DEVICE, "name": "Device", "description": "A device", "attributes": [
                {"name": "serial"},
                {"name": "ports", "type": "complex", "multiValued": true, "subAttributes": [
                    {"name": "value"}, {"name": "$ref", "type": "reference"},
                ]},
            ]},
            {"id": BADGE, "attributes": [{"name": "number", "type": "integer"}]},
        ],
        "resource_types": [
            {"name": "Device", "endpoint": "/Devices", "schema": DEVICE},
            {"name": "User", "schemaExtensions": [{"schema": BADGE}]},
        ],
    })
}

fn parse(document: Value) -> Result<OwnSchemas, Vec<Problem>> {
    OwnSchemas::parse(&object(document), &Registry::builtin())
}

/// The sound document with another value at the JSON pointer.
fn with(pointer: &str, value: Value) -> Value {
    let mut document = sound();
    *document.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
    document
}

/// The sound document with other members of the first attribute.
fn attribute(members: Value) -> Value {
    with("/schemas/0/attributes/0", members)
}

/// Fails unless each document is refused for exactly that reason.
fn refused<const N: usize>(table: [(Value, &str, &str); N]) {
    for (document, at, message) in table {
        let problems = parse(document.clone()).err().unwrap_or_default();
        let expected = Problem { at: at.to_owned(), message: message.to_owned() };
        assert_eq!(problems, [expected], "{document}");
    }
}

#[test]
fn sound_documents_are_accepted() {
    for document in [json!({}), json!({"schemas": [], "resource_types": null}), sound()] {
        assert!(parse(document.clone()).is_ok(), "{document}");
    }
    assert!(parse(json!({})).is_ok_and(|own| own.is_empty()));
    let registry = parse(sound()).map(|own| own.added_to(&Registry::builtin())).unwrap();
    let device = registry.by_endpoint("devices").unwrap();
    assert_eq!((device.name.as_str(), device.description.as_str()), ("Device", "A device"));
    assert_eq!(device.id_prefix, "directory_resource");
    assert!(registry.user().extension(BADGE).is_some());
    assert!(registry.user().extension(urn::ENTERPRISE_USER).is_some());
}

#[test]
fn what_is_left_out_has_the_defaults_of_the_rfc() {
    let registry = parse(sound()).map(|own| own.added_to(&Registry::builtin())).unwrap();
    let device = registry.by_name("Device").unwrap();
    assert_eq!(
        serde_json::to_value(device.attribute("serial").unwrap()).unwrap(),
        json!({
            "name": "serial", "type": "string", "multiValued": false, "description": "",
            "required": false, "caseExact": false, "mutability": "readWrite",
            "returned": "default", "uniqueness": "none",
        })
    );
    assert_eq!(registry.user().extension(BADGE).unwrap().schema.name, BADGE);
}

#[test]
fn shapes_that_cannot_be_read_are_refused() {
    refused([
        (
            json!({"schema": []}),
            "schema",
            "is not known here; allowed are \"schemas\" and \"resource_types\".",
        ),
        (json!({"schemas": {}}), "schemas", "must be a list."),
        (
            with("/schemas/0/attributes/0", json!({"name": "a", "type": "text"})),
            "schemas[0].attributes[0].type",
            "does not fit: unknown variant `text`, expected one of `string`, `boolean`, `decimal`, \
             `integer`, `dateTime`, `binary`, `reference`, `complex`.",
        ),
        (
            attribute(json!({"name": "a", "unique": true})),
            "schemas[0].attributes[0].unique",
            "does not fit: unknown field `unique`, expected one of `name`, `type`, `multiValued`, \
             `description`, `required`, `canonicalValues`, `caseExact`, `mutability`, `returned`, \
             `uniqueness`, `referenceTypes`, `subAttributes`, `indexed`.",
        ),
        (
            attribute(json!({"type": "string"})),
            "schemas[0].attributes[0]",
            "does not fit: missing field `name`.",
        ),
        (
            with("/resource_types/1", json!({"name": "User", "schemaExtensions": [{}]})),
            "resource_types[1].schemaExtensions[0]",
            "does not fit: missing field `schema`.",
        ),
        (
            with("/schemas/1", json!({"id": BADGE})),
            "schemas[1]",
            "does not fit: missing field `attributes`.",
        ),
        (
            with("/schemas/1", json!("x")),
            "schemas[1]",
            "does not fit: invalid type: string \"x\", expected struct Schema.",
        ),
    ]);
}

/// The sound document with another id of the extension.
fn with_id(id: &str) -> Value {
    let mut document = with("/schemas/1/id", json!(id));
    document["resource_types"][1]["schemaExtensions"][0]["schema"] = json!(id);
    document
}

#[test]
fn ids_must_be_urns_of_their_own() {
    let at = "schemas[1].id";
    for id in
        ["Badge", "urn:badge", "http://example.com/badge", "urn::badge", "urn:a b:c", "urn:a:é"]
    {
        let sentence = format!(
            "\"{id}\" is not a URN such as \
             \"urn:example:params:scim:schemas:extension:acme:2.0:User\"."
        );
        refused([(with_id(id), at, &sentence)]);
    }
    let long = format!("urn:example:{}", "x".repeat(190));
    assert!(parse(with_id(&long)).is_err());
    for (id, sentence) in [
        (urn::SCHEMA, "belongs to the protocol."),
        ("urn:ietf:params:scim:api:messages:2.0:Mine", "belongs to the protocol."),
        (urn::USER, "is the id of another schema."),
        (&urn::ENTERPRISE_USER.to_uppercase(), "is the id of another schema."),
        (
            "urn:ietf:params:scim:schemas:core:2.0:User:userName",
            "is also the full name of an attribute of another schema.",
        ),
        (
            "urn:ietf:params:scim:schemas:core:2.0:User:name.givenName",
            "is also the full name of an attribute of another schema.",
        ),
        (
            &format!("{}:SERIAL", DEVICE.to_uppercase()),
            "is also the full name of an attribute of another schema.",
        ),
    ] {
        refused([(with_id(id), at, &format!("\"{id}\" {sentence}"))]);
    }
    let mut twice = sound();
    twice["schemas"][1]["id"] = json!(DEVICE.to_uppercase());
    let problems = parse(twice).unwrap_err();
    assert_eq!(
        problems.first().map(|problem| problem.message.clone()),
        Some(format!("\"{}\" is the id of another schema.", DEVICE.to_uppercase()))
    );
}

#[test]
fn names_are_those_of_the_rfc() {
    let at = "schemas[0].attributes[0].name";
    let long = "x".repeat(65);
    for name in ["", "1a", "a b", "_a", "$ref", "ä", "a.b", "a:b", long.as_str()] {
        let sentence = format!(
            "\"{name}\" is no attribute name: a letter, then letters, digits, \"-\", \"_\" and \"$\", \
             at most 64 in all (RFC 7643 §2.1)."
        );
        refused([(attribute(json!({"name": name})), at, &sentence)]);
    }
    for name in ["id", "Schemas", "EXTERNALID", "meta"] {
        let sentence = format!("\"{name}\" is an attribute that every resource has already.");
        refused([(attribute(json!({"name": name})), at, &sentence)]);
    }
    refused([(
        attribute(json!({"name": "PORTS"})),
        "schemas[0].attributes[1].name",
        "\"ports\" stands twice; letter case makes no difference.",
    )]);
    for name in ["a", "a-b_c$d9", "and", "not", "Pr", "members", "userName", &"x".repeat(64)] {
        assert!(parse(attribute(json!({"name": name}))).is_ok(), "{name}");
    }
}

#[test]
fn types_and_characteristics_must_go_together() {
    let here = |member: &str| format!("schemas[0].attributes[0].{member}");
    let sub = |member: &str| format!("schemas[0].attributes[0].subAttributes[0].{member}");
    let complex = |members: Value, part: Value| {
        let mut whole = json!({"name": "a", "type": "complex", "subAttributes": [part]});
        object(members).into_iter().for_each(|(name, value)| whole[name] = value);
        attribute(whole)
    };
    let plain = |name: &str, value: Value| attribute(json!({"name": "a", name: value}));
    let typed = |data_type: &str, name: &str, value: Value| {
        attribute(json!({"name": "a", "type": data_type, name: value}))
    };
    let unique = "must be \"none\" for the types complex and boolean; mark a sub-attribute.";
    let oracle = "must be \"none\" for an attribute that is never returned: a refusal would tell \
                  that another resource has the value.";
    let index_type = "may be true only for the types string, boolean, decimal, integer and \
                      dateTime; mark a sub-attribute of a complex one.";
    let index_never = "may not be true for an attribute that is never returned.";
    let display = "may be true for \"displayName\" only where that is a single string: it is the \
                   name by which resources are found.";
    refused([
        (
            plain("subAttributes", json!([{"name": "b"}])),
            &here("subAttributes"),
            "may stand only with the type \"complex\".",
        ),
        (
            typed("complex", "subAttributes", json!([])),
            &here("subAttributes"),
            "must have at least one element.",
        ),
        (
            complex(json!({}), json!({"name": "b", "type": "complex"})),
            &sub("type"),
            "must not be \"complex\": a complex attribute has no complex parts (RFC 7643 §2.3.8).",
        ),
        (
            plain("mutability", json!("writeOnly")),
            &here("returned"),
            "must be \"never\" for a writeOnly attribute (RFC 7643 §7).",
        ),
        (
            attribute(json!({"name": "a", "mutability": "readOnly", "required": true})),
            &here("required"),
            "must be false for a readOnly attribute, which no client can send.",
        ),
        (typed("boolean", "uniqueness", json!("server")), &here("uniqueness"), unique),
        (
            complex(json!({"uniqueness": "global"}), json!({"name": "b"})),
            &here("uniqueness"),
            unique,
        ),
        (
            attribute(json!({"name": "a", "returned": "never", "uniqueness": "server"})),
            &here("uniqueness"),
            oracle,
        ),
        (
            complex(json!({"returned": "never"}), json!({"name": "b", "uniqueness": "server"})),
            &sub("uniqueness"),
            oracle,
        ),
        (typed("binary", "indexed", json!(true)), &here("indexed"), index_type),
        (typed("reference", "indexed", json!(true)), &here("indexed"), index_type),
        (complex(json!({"indexed": true}), json!({"name": "b"})), &here("indexed"), index_type),
        (
            attribute(json!({"name": "a", "returned": "never", "indexed": true})),
            &here("indexed"),
            index_never,
        ),
        (
            complex(json!({"returned": "never"}), json!({"name": "b", "indexed": true})),
            &sub("indexed"),
            index_never,
        ),
        (
            typed("integer", "canonicalValues", json!(["1"])),
            &here("canonicalValues"),
            "may stand only with the types string and reference.",
        ),
        (
            plain("referenceTypes", json!(["User"])),
            &here("referenceTypes"),
            "may stand only with the type reference.",
        ),
        (
            attribute(json!({"name": "displayName", "required": true, "multiValued": true})),
            &here("required"),
            display,
        ),
        (
            attribute(json!({"name": "displayName", "required": true, "type": "integer"})),
            &here("required"),
            display,
        ),
    ]);
    assert!(parse(attribute(json!({"name": "displayName", "type": "integer"}))).is_ok());
}

#[test]
fn resource_types_must_be_new_or_built_in() {
    let endpoint = |text: &str| with("/resource_types/0/endpoint", json!(text));
    let at = "resource_types[0].endpoint";
    for text in [
        "Devices",
        "",
        "/",
        "/a/b",
        "/a b",
        "/1a",
        "/ä",
        "/Users",
        "/GROUPS",
        "/me",
        "/Bulk",
        "/bulk",
        "/.search",
        "/Schemas",
        "/ResourceTypes",
        "/ServiceProviderConfig",
        "/ServiceProviderConfigs",
        "/Roles",
        "/Entitlements",
        "/async",
        "/openapi.json",
        &format!("/{}", "a".repeat(65)),
    ] {
        let problems = parse(endpoint(text)).err().unwrap_or_default();
        let sentence = format!("\"{text}\" cannot be an endpoint: a slash, a letter, then letters");
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert_eq!(problems[0].at, at);
        assert!(problems[0].message.starts_with(&sentence), "{problems:?}");
        assert!(problems[0].message.contains(", .search, schemas, "), "{problems:?}");
    }
    for key in ["/A1ARZ3NDEKTSV4RRFFQ69G5FAV", "/a1arz3ndektsv4rrffq69g5fav"] {
        let sentence = format!("\"{key}\" has the shape of a directory's key in the base URL.");
        refused([(endpoint(key), at, &sentence)]);
    }
    // 25 and 27 characters, and one with a letter that no key has.
    for text in [
        "/A1ARZ3NDEKTSV4RRFFQ69G5FA",
        "/A1ARZ3NDEKTSV4RRFFQ69G5FAVX",
        "/UUUUUUUUUUUUUUUUUUUUUUUUUU",
    ] {
        assert!(parse(endpoint(text)).is_ok(), "{text}");
    }

    let name = |text: &str| with("/resource_types/0/name", json!(text));
    for text in ["", "a b", "1a", "a-b", "Schema", "RESOURCETYPE", "role", &"x".repeat(65)] {
        let sentence = format!(
            "\"{text}\" cannot name a type: a letter, then letters and digits, at most 64, and none \
             of schema, resourcetype, serviceproviderconfig, role, entitlement."
        );
        refused([(name(text), "resource_types[0].name", &sentence)]);
    }
    let built_in =
        "is built in: write its name as \"Group\" and only \"schemaExtensions\" beside it.";
    let unknown = format!("\"{DEVICE}2\" is the id of no element of \"schemas\".");
    let enterprise = urn::ENTERPRISE_USER;
    refused([
        (
            with("/resource_types/0", json!({"name": "Device", "schema": DEVICE})),
            at,
            "is missing; write one such as \"/Devices\".",
        ),
        (
            with(
                "/resource_types/1",
                json!({"name": "group", "schemaExtensions": [{"schema": BADGE}]}),
            ),
            "resource_types[1]",
            built_in,
        ),
        (
            with(
                "/resource_types/1",
                json!({"name": "Group", "endpoint": "/G", "schemaExtensions": [{"schema": BADGE}]}),
            ),
            "resource_types[1]",
            built_in,
        ),
        (
            with(
                "/resource_types/1/schemaExtensions",
                json!([{"schema": BADGE}, {"schema": BADGE}]),
            ),
            "resource_types[1].schemaExtensions[1].schema",
            &format!("\"{BADGE}\" is used twice by this type."),
        ),
        (
            with(
                "/resource_types/1/schemaExtensions",
                json!([
                    {"schema": BADGE}, {"schema": format!("{DEVICE}2")}
                ]),
            ),
            "resource_types[1].schemaExtensions[1].schema",
            &unknown,
        ),
        (
            with(
                "/resource_types/1/schemaExtensions",
                json!([
                    {"schema": BADGE}, {"schema": enterprise}
                ]),
            ),
            "resource_types[1].schemaExtensions[1].schema",
            &format!("\"{enterprise}\" is the id of no element of \"schemas\"."),
        ),
        (
            with(
                "/resource_types",
                json!([
                    {"name": "Device", "endpoint": "/Devices", "schema": DEVICE}
                ]),
            ),
            "schemas[1]",
            "is used by no element of \"resource_types\".",
        ),
        (
            with(
                "/resource_types/1",
                json!({
                    "name": "DEVICE", "endpoint": "/Other", "schema": DEVICE,
                    "schemaExtensions": [{"schema": BADGE}]
                }),
            ),
            "resource_types[1].name",
            "\"DEVICE\" stands twice.",
        ),
        (
            with(
                "/resource_types/1",
                json!({
                    "name": "Other", "endpoint": "/DEVICES", "schema": DEVICE,
                    "schemaExtensions": [{"schema": BADGE}]
                }),
            ),
            "resource_types[1].endpoint",
            "\"/DEVICES\" stands twice.",
        ),
    ]);
    let without = with(
        "/resource_types/0",
        json!({"name": "Device", "endpoint": "/Devices", "schemaExtensions": [{"schema": DEVICE}]}),
    );
    refused([(without, "resource_types[0].schema", "is missing; name one of \"schemas\".")]);
}

#[test]
fn all_faults_are_told_at_once() {
    let mut document = sound();
    document["schemas"][0]["attributes"][0]["name"] = json!("1");
    document["schemas"][1]["attributes"] = json!([]);
    document["resource_types"][0]["endpoint"] = json!("/Me");
    let places: Vec<String> = parse(document).unwrap_err().into_iter().map(|p| p.at).collect();
    assert_eq!(
        places,
        ["schemas[0].attributes[0].name", "schemas[1].attributes", "resource_types[0].endpoint"]
    );
}

#[test]
fn numbers_are_limited() {
    let attributes = |n: usize, more: Value| -> Value {
        let made = (0..n).map(|n| {
            let mut attribute = json!({"name": format!("a{n}")});
            object(more.clone()).into_iter().for_each(|(name, value)| attribute[name] = value);
            attribute
        });
        with("/schemas/0/attributes", made.collect())
    };
    assert!(parse(attributes(200, json!({}))).is_ok());
    assert!(parse(attributes(20, json!({"indexed": true, "uniqueness": "server"}))).is_ok());
    refused([
        (attributes(201, json!({})), "schemas[0].attributes", "has more than 200 elements."),
        (
            attributes(21, json!({"indexed": true})),
            "schemas",
            &format!(
                "\"{DEVICE}\" has 21 indexed and 0 unique attributes; at most 20 of each are allowed."
            ),
        ),
        (
            attributes(21, json!({"uniqueness": "server"})),
            "schemas",
            &format!(
                "\"{DEVICE}\" has 0 indexed and 21 unique attributes; at most 20 of each are allowed."
            ),
        ),
    ]);
    let many = |n: usize| -> Value {
        let ids: Vec<String> = (0..n).map(|n| format!("urn:example:many:s{n}")).collect();
        let schema = |id: &String| json!({"id": id, "attributes": [{"name": "a"}]});
        let of_type = |(n, id): (usize, &String)| json!({"name": format!("T{n}"), "endpoint": format!("/T{n}"), "schema": id});
        json!({
            "schemas": ids.iter().map(schema).collect::<Vec<_>>(),
            "resource_types": ids.iter().enumerate().map(of_type).collect::<Vec<_>>(),
        })
    };
    assert!(parse(many(50)).is_ok());
    let messages: Vec<Problem> = parse(many(51)).unwrap_err();
    let places: Vec<&str> = messages.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(places, ["schemas", "resource_types"]);
    assert!(messages.iter().all(|problem| problem.message == "has more than 50 elements."));
}

/// Parts of URNs as people write them, also such as look like names, numbers and paths.
fn id() -> impl Strategy<Value = String> {
    let part = "[A-Za-z0-9._+~/-]{1,8}";
    (part, proptest::collection::vec(part, 1..4))
        .prop_map(|(first, rest)| format!("urn:{first}:{}", rest.join(":")))
}

proptest! {
    /// Whatever is accepted can be named: whole extensions, attributes and sub-attributes.
    #[test]
    fn accepted_names_resolve(
        id in id(), longer in "[A-Za-z0-9.-]{1,6}",
        name in "[A-Za-z][A-Za-z0-9_$-]{0,6}", sub in "[A-Za-z][A-Za-z0-9_$-]{0,6}",
    ) {
        let other = format!("{id}:{longer}");
        let document = json!({
            "schemas": [
                {"id": id, "attributes": [
                    {"name": name, "type": "complex", "subAttributes": [{"name": sub}]}
                ]},
                {"id": other, "attributes": [{"name": "only"}]},
            ],
            "resource_types": [{
                "name": "User", "schemaExtensions": [{"schema": id}, {"schema": other}]
            }],
        });
        let Ok(own) = parse(document) else { return Ok(()) };
        let registry = own.added_to(&Registry::builtin());
        let user = registry.user();
        for uri in [&id, &other] {
            for path in [parse_attr_path(uri).ok(), parse_target_path(uri).ok().map(|t| t.attr)] {
                let path = path.expect("a path");
                let found = user.resolve(&path);
                prop_assert!(
                    matches!(found, Some(Resolution::Extension(e)) if e.0.id == *uri),
                    "{} {:?}", uri, found
                );
            }
        }
        let whole = format!("{id}:{name}");
        let part = format!("{whole}.{sub}");
        for (text, full_name) in [(&whole, &whole), (&part, &part)] {
            let path = parse_attr_path(text).expect("a path");
            let found = user.resolve_attribute(&path).map(|at| at.full_name());
            prop_assert_eq!(found.as_ref(), Some(full_name));
        }
    }
}
