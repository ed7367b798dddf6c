//! Discovery endpoints (RFC 7644 §4, RFC 7643 §5 to §7).

mod announced;

use serde_json::{Value, json};

use super::custom::{BADGE, Need, THING, THINGS, extension, resource_type_with};
use super::{Check, Finding, Row};
use crate::answer::{Answer, ensure};
use crate::scim::{ENTERPRISE, GROUP, LIST_RESPONSE, USER};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "V1",
        "SHALL",
        "RFC 7644 §4",
        "rfc_v1_service_provider_config",
        "GET /ServiceProviderConfig: one object with its URI; patch, \
         bulk(maxOperations,maxPayloadSize), filter(maxResults), changePassword, sort, etag, \
         authenticationSchemes(type,name,description) all present",
        v1,
    ),
    Row::new(
        "V2",
        "SHOULD",
        "RFC 7643 §5",
        "rfc_v2_config_without_credentials",
        "/ServiceProviderConfig is readable without credentials",
        v2,
    ),
    Row::new(
        "V3",
        "SHALL",
        "RFC 7644 §4",
        "rfc_v3_lists_of_schemas_and_types",
        "/Schemas and /ResourceTypes answer ListResponses with all entries",
        v3,
    ),
    Row::new(
        "V4",
        "SHALL",
        "RFC 7644 §4",
        "rfc_v4_one_schema_or_type",
        "/Schemas/{urn} and /ResourceTypes/{name} give single objects, unknown ones 404 SCIM error",
        v4,
    ),
    Row::new(
        "V5",
        "MUST",
        "RFC 7643 §6",
        "rfc_v5_resource_type",
        "ResourceType: name, endpoint, schema, schemaExtensions(schema, required) present; schema \
         URIs exist at /Schemas",
        v5,
    ),
    Row::new(
        "V6",
        "MUST",
        "RFC 7643 §7",
        "rfc_v6_schema",
        "Schema: id is the URN, name and description given, every attribute lists type, \
         multiValued, required, caseExact, mutability, returned, uniqueness",
        v6,
    ),
    Row::new(
        "V7",
        "SHALL",
        "RFC 7644 §4",
        "rfc_v7_parameters_are_ignored",
        "Filter, sort and paging parameters are ignored on the discovery endpoints",
        v7,
    ),
    Row::new(
        "V8",
        "SHOULD",
        "RFC 7644 §4",
        "rfc_v8_filter_is_forbidden",
        "A `filter` on a discovery endpoint gives 403 (contradicts the row above for suites)",
        v8,
    ),
    Row::new(
        "V9",
        "—",
        "RFC 7644 §4",
        "rfc_v9_discovery_is_read_only",
        "POST/PUT/PATCH/DELETE on the discovery endpoints: 405",
        v9,
    ),
    Row::new(
        "V10",
        "SHALL",
        "RFC 7644 §4",
        "rfc_v10_announced_is_served",
        "What is announced is what is served: each `supported: false` feature answers 501/403/400, \
         each true one works",
        announced::v10,
    ),
];

const CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";

const LISTS: [&str; 2] = ["/Schemas", "/ResourceTypes"];

fn v1(s: &Subject) -> Check {
    let config = s.scim.config()?;
    config.expect_scim_json()?;
    config.expect_at("/schemas", &json!([CONFIG]))?;
    config.expect_at("/meta/resourceType", &json!("ServiceProviderConfig"))?;
    for feature in ["patch", "bulk", "filter", "changePassword", "sort", "etag"] {
        let supported = config.at(&format!("/{feature}/supported"))?;
        config
            .expect_that(supported.is_boolean(), &format!("`{feature}.supported` is no boolean"))?;
    }
    for limit in ["/bulk/maxOperations", "/bulk/maxPayloadSize", "/filter/maxResults"] {
        let number = config.at(limit)?.as_u64();
        config.expect_that(number.is_some(), &format!("`{limit}` is no whole number"))?;
    }
    let schemes = config.array_at("/authenticationSchemes")?;
    config.expect_that(!schemes.is_empty(), "there is no authentication scheme")?;
    let known = ["oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest"];
    for (n, _) in schemes.iter().enumerate() {
        for member in ["type", "name", "description"] {
            let text = config.text_at(&format!("/authenticationSchemes/{n}/{member}"))?;
            config.expect_that(!text.is_empty(), &format!("scheme {n} has an empty {member}"))?;
        }
        let kind = config.text_at(&format!("/authenticationSchemes/{n}/type"))?;
        config.expect_that(known.contains(&kind), &format!("`{kind}` is no type of the RFC"))?;
    }
    // It is one object, not a list, and its location leads back to it.
    config.expect_absent("/Resources")?;
    let location = config.text_at("/meta/location")?;
    s.scim.follow(location)?.expect(200)?.expect_same(&config.json)?;
    Ok(())
}

fn v2(s: &Subject) -> Check {
    let anonymous = s.scim.with_token(None);
    let config = anonymous.config()?;
    config.expect_at("/schemas", &json!([CONFIG]))?;
    config.expect_at("/patch/supported", s.scim.config()?.at("/patch/supported")?)?;
    // That is all that can be seen without a token.
    for path in ["/Schemas", "/ResourceTypes", "/Users", "/Me"] {
        anonymous.get(path)?.expect_error(401, None)?;
    }
    anonymous.get("/ServiceProviderConfig?filter=patch+pr")?.expect_error(403, None)?;
    Ok(())
}

fn v3(s: &Subject) -> Check {
    let check = |more_schemas: &[&str], more_types: &[&str]| {
        for (path, known, more, place) in [
            ("/Schemas", &[USER, GROUP, ENTERPRISE][..], more_schemas, "/id"),
            ("/ResourceTypes", &["User", "Group"], more_types, "/name"),
        ] {
            let list = s.scim.get(path)?.expect(200)?;
            list.expect_scim_json()?;
            list.expect_at("/schemas", &json!([LIST_RESPONSE]))?;
            let entries = list.texts(place)?;
            for wanted in known.iter().chain(more) {
                let count = entries.iter().filter(|entry| entry == wanted).count();
                list.expect_that(count == 1, &format!("`{wanted}` is there {count} times"))?;
            }
            list.expect_at("/totalResults", &json!(entries.len()))?;
            list.expect_at("/itemsPerPage", &json!(entries.len()))?;
            list.expect_at("/startIndex", &json!(1))?;
        }
        Ok::<_, Finding>(())
    };
    check(&[], &[])?;
    s.load_schemas(&own_schemas())?;
    check(&[THING, BADGE], &["Thing"])
}

/// A resource type with an extension.
fn own_schemas() -> Value {
    let attributes = json!([
        {"name": "label", "type": "string", "required": true},
        {
            "name": "parts", "type": "complex", "multiValued": true,
            "subAttributes": [{"name": "value", "type": "string"}, {"name": "size", "type": "integer"}],
        },
    ]);
    resource_type_with(&attributes, &json!([{"name": "colour", "type": "string"}]), Need::Optional)
}

fn v4(s: &Subject) -> Check {
    s.load_schemas(&own_schemas())?;
    for (path, id) in [("/Schemas", "/id"), ("/ResourceTypes", "/name")] {
        let list = s.scim.get(path)?.expect(200)?;
        for (entry, id) in list.resources()?.iter().zip(list.texts(id)?) {
            let one = s.scim.get(&format!("{path}/{id}"))?.expect(200)?;
            one.expect_scim_json()?;
            one.expect_same(entry)?;
            one.expect_absent("/Resources")?;
            let location = one.text_at("/meta/location")?;
            s.scim.follow(location)?.expect(200)?.expect_same(entry)?;
        }
        for unknown in ["nothing", "urn:example:params:scim:schemas:none:2.0:X", "%00", "a/b"] {
            s.scim.get(&format!("{path}/{unknown}"))?.expect_error(404, None)?;
        }
    }
    Ok(())
}

fn v5(s: &Subject) -> Check {
    let badge = json!([{"name": "colour", "type": "string"}]);
    s.load_schemas(&extension(&badge, Need::Required))?;
    expect_resource_types(s)?;
    let user = s.scim.get("/ResourceTypes/User")?.expect(200)?;
    user.expect_contains(&json!({"schemaExtensions": [
        {"schema": ENTERPRISE, "required": false},
        {"schema": BADGE, "required": true},
    ]}))?;
    s.load_schemas(&own_schemas())?;
    expect_resource_types(s)?;
    let thing = s.scim.get("/ResourceTypes/Thing")?.expect(200)?;
    thing.expect_contains(&json!({
        "name": "Thing", "endpoint": THINGS, "schema": THING,
        "schemaExtensions": [{"schema": BADGE, "required": false}],
    }))?;
    Ok(())
}

fn expect_resource_types(s: &Subject) -> Check {
    let schemas = s.scim.get("/Schemas")?.expect(200)?.texts("/id")?;
    let known = |uri: &str| schemas.iter().any(|schema| schema == uri);
    let types = s.scim.get("/ResourceTypes")?.expect(200)?;
    for name in types.texts("/name")? {
        let one = s.scim.get(&format!("/ResourceTypes/{name}"))?.expect(200)?;
        let uri = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
        one.expect_at("/schemas", &json!([uri]))?;
        one.expect_at("/meta/resourceType", &json!("ResourceType"))?;
        let schema = one.text_at("/schema")?;
        one.expect_that(known(schema), &format!("`{schema}` is not at /Schemas"))?;
        for (n, extension) in one.array_at("/schemaExtensions")?.iter().enumerate() {
            let schema = one.text_at(&format!("/schemaExtensions/{n}/schema"))?;
            one.expect_that(known(schema), &format!("`{schema}` is not at /Schemas"))?;
            let required = extension.get("required").is_some_and(Value::is_boolean);
            one.expect_that(required, &format!("extension {n} does not say `required`"))?;
        }
        let endpoint = one.text_at("/endpoint")?;
        one.expect_that(endpoint.starts_with('/'), "the endpoint is no path")?;
        s.scim.get(endpoint)?.expect(200)?.expect_at("/schemas", &json!([LIST_RESPONSE]))?;
    }
    Ok(())
}

fn v6(s: &Subject) -> Check {
    s.load_schemas(&own_schemas())?;
    let list = s.scim.get("/Schemas")?.expect(200)?;
    for schema in list.resources()? {
        let text = |name: &str| schema.get(name).and_then(Value::as_str).unwrap_or_default();
        let id = text("id");
        ensure(id.starts_with("urn:"), || format!("the id `{id}` is no URN"))?;
        for name in ["name", "description"] {
            ensure(!text(name).is_empty(), || format!("{id} has no {name}"))?;
        }
        let attributes = schema.get("attributes").and_then(Value::as_array);
        let attributes = attributes.ok_or_else(|| list.failed(&format!("{id}: no attributes")))?;
        ensure(!attributes.is_empty(), || format!("{id} has no attributes"))?;
        expect_attributes(id, attributes)?;
    }
    let user = s.scim.get(&format!("/Schemas/{USER}"))?.expect(200)?;
    user.expect_contains(&json!({"attributes": [
        {"name": "userName", "required": true, "caseExact": false, "uniqueness": "server"},
        {"name": "password", "mutability": "writeOnly", "returned": "never"},
        {"name": "active", "type": "boolean", "multiValued": false},
        {"name": "emails", "type": "complex", "multiValued": true, "subAttributes": [
            {"name": "primary", "type": "boolean"},
        ]},
        {"name": "groups", "mutability": "readOnly"},
    ]}))?;
    let group = s.scim.get(&format!("/Schemas/{GROUP}"))?.expect(200)?;
    group.expect_contains(&json!({"attributes": [
        {"name": "displayName", "required": true, "type": "string"},
        {"name": "members", "multiValued": true, "subAttributes": [
            {"name": "value", "mutability": "immutable"},
            {"name": "$ref", "type": "reference", "referenceTypes": ["User", "Group"]},
        ]},
    ]}))?;
    // What was left out when the schema was loaded has taken the default of RFC 7643 §2.2.
    let thing = s.scim.get(&format!("/Schemas/{THING}"))?.expect(200)?;
    thing.expect_contains(&json!({"id": THING, "name": "Thing", "attributes": [{
        "name": "label", "type": "string", "multiValued": false, "required": true,
        "caseExact": false, "mutability": "readWrite", "returned": "default", "uniqueness": "none",
    }]}))?;
    Ok(())
}

/// Every characteristic of RFC 7643 §7 with one of its words, in every attribute.
fn expect_attributes(within: &str, attributes: &[Value]) -> Check {
    const WORDS: [(&str, &[&str]); 4] = [
        (
            "type",
            &[
                "string",
                "boolean",
                "decimal",
                "integer",
                "dateTime",
                "binary",
                "reference",
                "complex",
            ],
        ),
        ("mutability", &["readOnly", "readWrite", "immutable", "writeOnly"]),
        ("returned", &["always", "never", "default", "request"]),
        ("uniqueness", &["none", "server", "global"]),
    ];
    for attribute in attributes {
        let text = |name: &str| attribute.get(name).and_then(Value::as_str).unwrap_or_default();
        let name = format!("{within}:{}", text("name"));
        ensure(!text("name").is_empty(), || format!("an attribute of {within} has no name"))?;
        for (characteristic, words) in WORDS {
            let found = text(characteristic);
            ensure(words.contains(&found), || format!("{name}: {characteristic} is `{found}`"))?;
        }
        for characteristic in ["multiValued", "required", "caseExact"] {
            let said = attribute.get(characteristic).is_some_and(Value::is_boolean);
            ensure(said, || format!("{name} does not say {characteristic}"))?;
        }
        let parts = attribute.get("subAttributes").and_then(Value::as_array);
        let parts = parts.map(Vec::as_slice).unwrap_or_default();
        let complex = text("type") == "complex";
        ensure(complex != parts.is_empty(), || format!("{name}: complex means sub-attributes"))?;
        let nested = |part: &Value| part.get("type") == Some(&json!("complex"));
        ensure(!parts.iter().any(nested), || format!("{name} has a complex sub-attribute"))?;
        let reference = text("type") == "reference";
        let targets = attribute.get("referenceTypes").is_some_and(Value::is_array);
        ensure(!reference || targets, || format!("{name} does not say what it refers to"))?;
        expect_attributes(&name, parts)?;
    }
    Ok(())
}

fn v7(s: &Subject) -> Check {
    for path in ["/Schemas", "/ResourceTypes", "/ServiceProviderConfig"] {
        let plain = s.scim.get(path)?.expect(200)?;
        for parameters in [
            "startIndex=2&count=1",
            "count=0",
            "startIndex=x&count=-1",
            "sortBy=name&sortOrder=descending",
            "sortBy=nothing",
            "sortOrder=upwards",
        ] {
            s.scim.get(&format!("{path}?{parameters}"))?.expect(200)?.expect_same(&plain.json)?;
        }
    }
    Ok(())
}

fn v8(s: &Subject) -> Check {
    let entries = [format!("/Schemas/{USER}"), "/ResourceTypes/User".into()];
    let entries = entries.iter().map(String::as_str);
    for path in LISTS.into_iter().chain(["/ServiceProviderConfig"]).chain(entries) {
        for filter in ["name eq \"User\"", "id pr", "((", "nothing at all"] {
            s.scim.filter(path, filter)?.expect_error(403, None)?;
        }
    }
    Ok(())
}

fn v9(s: &Subject) -> Check {
    let before: Vec<Answer> =
        LISTS.iter().map(|path| s.scim.get(path)).collect::<Result<_, _>>()?;
    let entries = [format!("/Schemas/{USER}"), "/ResourceTypes/User".into()];
    let entries = entries.iter().map(String::as_str);
    for path in LISTS.into_iter().chain(["/ServiceProviderConfig"]).chain(entries) {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let body = (method != "DELETE").then_some("{\"schemas\":[\"urn:example:x\"]}");
            let answer = s.scim.send(method, path, &[], body)?.expect_error(405, None)?;
            let allowed = answer.expect_header("allow")?.to_owned();
            let allows = |method: &str| allowed.split(',').any(|one| one.trim() == method);
            answer.expect_that(allows("GET"), "`Allow` must name GET")?;
            answer.expect_that(!allows(method), "`Allow` names what was refused")?;
        }
    }
    for (path, before) in LISTS.iter().zip(&before) {
        s.scim.get(path)?.expect(200)?.expect_same(&before.json)?;
    }
    Ok(())
}
