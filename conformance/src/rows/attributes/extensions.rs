//! Schema extensions and the `schemas` of an instance (RFC 7643 §3.3, §6).

use serde_json::{Value, json};

use crate::answer::{Answer, ensure};
use crate::rows::custom::{BADGE, Need, THING, THINGS, a_thing, extension, resource_type_with};
use crate::rows::{Check, Row};
use crate::scim::{ENTERPRISE, GROUP, USER, full_user, group, patch, user, with, without};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "A31",
        "MUST",
        "RFC 7643 §3.3",
        "rfc_a31_schemas_includes_the_base_schema",
        "An instance's `schemas` includes the base schema of its type",
        a31,
    ),
    Row::new(
        "A32",
        "SHALL",
        "RFC 7643 §3.3",
        "rfc_a32_extension_attributes_sit_below_their_uri",
        "Extension attributes sit in an object keyed by the extension URI, never at top level; core \
         ones never inside a core-URI object",
        a32,
    ),
    Row::new(
        "A33",
        "MUST",
        "RFC 7643 §3.3",
        "rfc_a33_extension_data_and_its_uri_go_together",
        "When extension data is present its URI is in `schemas`; when the last extension attribute \
         goes, the URI may go",
        a33,
    ),
    Row::new(
        "A34",
        "MUST",
        "RFC 7643 §6",
        "rfc_a34_required_extension_is_demanded",
        "With `schemaExtensions[].required=true`, POST/PUT without the extension (or its required \
         attributes) gives 400 invalidValue",
        a34,
    ),
];

fn a31(s: &Subject) -> Check {
    s.load_schemas(&resource_type_with(
        &json!([{"name": "label", "type": "string"}]),
        &json!([{"name": "number", "type": "string"}]),
        Need::Optional,
    ))?;
    let thing = a_thing(&json!({"label": "x", BADGE: {"number": "1"}}));
    for (endpoint, base, body) in [
        ("/Users", USER, full_user("ada@example.com")),
        ("/Groups", GROUP, group("Team", &[])),
        (THINGS, THING, with(thing, "schemas", json!([THING, BADGE]))),
    ] {
        let has_base = |answer: &Answer| -> Check {
            let uris = answer.array_at("/schemas")?;
            answer.expect_that(uris.contains(&json!(base)), "the base schema is missing").map(drop)
        };
        let made = s.scim.create(endpoint, &body)?;
        has_base(&s.scim.get(&made.path)?.expect(200)?)?;
        has_base(&s.scim.put(&made.path, &body)?.expect(200)?)?;
        has_base(&s.scim.put(&made.path, &without(body.clone(), "schemas"))?.expect(200)?)?;
        let list = s.scim.get(endpoint)?.expect(200)?;
        let uris = list.array_at("/Resources/0/schemas")?;
        list.expect_that(uris.contains(&json!(base)), "the base schema is missing in the list")?;
        // Nothing that a client does takes it away.
        for value in [json!([]), json!([ENTERPRISE]), Value::Null] {
            let replace = json!([{"op": "replace", "path": "schemas", "value": value}]);
            s.scim.patch(&made.path, &patch(&replace))?.expect_status(&[200, 204, 400])?;
            has_base(&s.scim.get(&made.path)?.expect(200)?)?;
        }
        let remove = json!([{"op": "remove", "path": format!("schemas[value eq \"{base}\"]")}]);
        s.scim.patch(&made.path, &patch(&remove))?.expect_status(&[200, 204, 400])?;
        has_base(&s.scim.get(&made.path)?.expect(200)?)?;
    }
    Ok(())
}

fn a32(s: &Subject) -> Check {
    let sent = full_user("ada@example.com");
    let ada = s.scim.create("/Users", &sent)?;
    let strange = with(user("ben@example.com"), USER, json!({"title": "Hidden"}));
    let strange = with(strange, "department", json!("Nowhere"));
    let ben = s.scim.post("/Users", &strange)?.expect_status(&[201, 400])?;
    if ben.status == 201 {
        ben.expect_absent(&format!("/{USER}"))?.expect_absent("/department")?;
    } else {
        ben.expect_error(400, Some("invalidValue"))?;
    }
    let operations = json!([
        {"op": "replace", "path": format!("{USER}:title"), "value": "Lead"},
        {"op": "replace", "path": format!("{ENTERPRISE}:division"), "value": "North"},
        {"op": "add", "value": {format!("{ENTERPRISE}:organization"): "Example",
            format!("{USER}:nickName"): "ada"}},
    ]);
    let patched = s.scim.patch(&ada.path, &patch(&operations))?.expect(200)?;
    for answer in [patched, s.scim.get(&ada.path)?.expect(200)?] {
        let members = answer.json.as_object().into_iter().flatten();
        for (name, _) in members {
            let core = !["employeeNumber", "department", "costCenter", "division", "organization"]
                .contains(&name.as_str());
            answer.expect_that(core, &format!("`{name}` of the extension is at top level"))?;
            let plain = name == ENTERPRISE || !name.contains(':');
            answer.expect_that(plain, &format!("there is a member `{name}`"))?;
        }
        answer
            .expect_at("/title", &json!("Lead"))?
            .expect_at("/nickName", &json!("ada"))?
            .expect_at(
                &format!("/{ENTERPRISE}"),
                &json!({"employeeNumber": "701984", "costCenter": "4130", "organization": "Example",
                    "division": "North", "department": "Tools"}),
            )?;
    }
    Ok(())
}

fn a33(s: &Subject) -> Check {
    let listed = |answer: &Answer, present: bool| -> Check {
        let uris = answer.array_at("/schemas")?;
        let found = uris.contains(&json!(ENTERPRISE));
        answer.expect_that(found == present, "`schemas` and the extension disagree").map(drop)
    };
    let there = format!("/{ENTERPRISE}");
    let full = s.scim.create("/Users", &full_user("ada@example.com"))?;
    listed(&s.scim.get(&full.path)?.expect(200)?, true)?;
    // Data counts, not what the client said about it.
    let quiet = with(full_user("ben@example.com"), "schemas", json!([USER]));
    let quiet = s.scim.create("/Users", &quiet)?;
    let read = s.scim.get(&quiet.path)?.expect(200)?;
    read.expect_at(&format!("{there}/department"), &json!("Tools"))?;
    listed(&read, true)?;
    let plain = s.scim.create_user("cyd@example.com")?;
    listed(&s.scim.get(&plain.path)?.expect(200)?, false)?;
    let one = format!("{ENTERPRISE}:division");
    let add = json!([{"op": "add", "path": one, "value": "North"}]);
    s.scim.patch(&plain.path, &patch(&add))?.expect_status(&[200, 204])?;
    listed(&s.scim.get(&plain.path)?.expect(200)?, true)?;
    let remove = json!([{"op": "remove", "path": one}]);
    s.scim.patch(&plain.path, &patch(&remove))?.expect_status(&[200, 204])?;
    s.scim.get(&plain.path)?.expect(200)?.expect_absent(&there)?;
    let remove = json!([{"op": "remove", "path": ENTERPRISE}]);
    s.scim.patch(&full.path, &patch(&remove))?.expect_status(&[200, 204])?;
    s.scim.get(&full.path)?.expect(200)?.expect_absent(&there)?;
    let put = s.scim.put(&quiet.path, &user("ben@example.com"))?.expect(200)?;
    put.expect_absent(&there)?;
    Ok(())
}

fn a34(s: &Subject) -> Check {
    let number = json!([
        {"name": "number", "type": "string", "required": true},
        {"name": "colour", "type": "string"},
    ]);
    s.load_schemas(&extension(&number, Need::Required))?;
    required_extension(s, "/Users", USER, user("ada@example.com"))?;
    let label = json!([{"name": "label", "type": "string"}]);
    s.load_schemas(&resource_type_with(&label, &number, Need::Required))?;
    required_extension(s, THINGS, THING, a_thing(&json!({"label": "x"})))?;
    // The ResourceType says so.
    let types = s.scim.get("/ResourceTypes/Thing")?.expect(200)?;
    types.expect_at("/schemaExtensions", &json!([{"schema": BADGE, "required": true}]))?;
    Ok(())
}

fn required_extension(s: &Subject, endpoint: &str, base: &str, plain: Value) -> Check {
    let plain = with(plain, "schemas", json!([base, BADGE]));
    let bad = [
        plain.clone(),
        with(plain.clone(), "schemas", json!([base])),
        with(plain.clone(), BADGE, json!({})),
        with(plain.clone(), BADGE, Value::Null),
        with(plain.clone(), BADGE, json!({"colour": "red"})),
        with(plain.clone(), BADGE, json!({"number": null, "colour": "red"})),
    ];
    let total = s.scim.get(endpoint)?.total()?;
    for body in &bad {
        s.scim.post(endpoint, body)?.expect_error(400, Some("invalidValue"))?;
    }
    ensure(s.scim.get(endpoint)?.total()? == total, || "a refused body was stored".into())?;
    let good = with(plain, BADGE, json!({"number": "7"}));
    let made = s.scim.create(endpoint, &good)?;
    for body in &bad {
        s.scim.put(&made.path, body)?.expect_error(400, Some("invalidValue"))?;
    }
    for path in [BADGE.to_owned(), format!("{BADGE}:number")] {
        let remove = json!([{"op": "remove", "path": path}]);
        s.scim.patch(&made.path, &patch(&remove))?.expect_status(&[400])?;
    }
    let read = s.scim.get(&made.path)?.expect(200)?;
    read.expect_at(&format!("/{BADGE}"), &json!({"number": "7"}))?;
    let changed = with(good, BADGE, json!({"number": "8"}));
    s.scim.put(&made.path, &changed)?.expect(200)?;
    Ok(())
}
