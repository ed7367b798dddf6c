//! What every operation has to keep to: one primary value, mutability, `schemas`.

use serde_json::{Value, json};

use super::{about, enterprise, expect_refused, user_with_addresses};
use crate::rows::custom::{THING, THINGS, a_thing, resource_type};
use crate::rows::{Check, Row};
use crate::scim::{ENTERPRISE, GROUP, USER, full_user};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "X9",
        "SHALL",
        "RFC 7644 §3.5.2",
        "rfc_x9_one_primary",
        "Setting `primary: true` on one value clears it on the others",
        x9,
    ),
    Row::new(
        "X10",
        "SHALL",
        "RFC 7644 §3.5.2",
        "rfc_x10_mutability",
        "Changing readOnly or set immutable attributes: 400 mutability; adding to an unset \
         immutable is fine",
        x10,
    ),
    Row::new(
        "X11",
        "SHALL",
        "RFC 7644 §3.5.2",
        "rfc_x11_schemas_follow_extensions",
        "Adding extension data adds its URI to `schemas` implicitly; `schemas` itself can be patched",
        x11,
    ),
];

fn x9(s: &Subject) -> Check {
    let new = json!({"value": "n@example.com", "type": "other", "primary": true});
    for operations in [
        json!([{"op": "add", "path": "emails", "value": [new]}]),
        json!([{"op": "add", "path": "emails", "value": new}]),
        json!([{"op": "add", "value": {"emails": [new]}}]),
        json!([{"op": "replace", "path": "emails[type eq \"home\"].primary", "value": true}]),
        json!([{"op": "add", "path": "emails[type eq \"home\"].primary", "value": true}]),
        json!([{"op": "replace", "path": "emails[type eq \"home\"]", "value": new}]),
        json!([{"op": "add", "path": "emails[type eq \"home\"]", "value": {"primary": true}}]),
        json!([
            {"op": "replace", "path": "emails[value eq \"w2@example.com\"].primary", "value": true},
            {"op": "replace", "path": "emails[type eq \"home\"].primary", "value": true},
        ]),
    ] {
        let made = user_with_addresses(s, "ada@example.com")?;
        let patched = s.scim.apply(&made.path, &operations)?;
        let emails = patched.array_at("/emails")?;
        let primary: Vec<_> =
            emails.iter().filter(|one| one.get("primary") == Some(&json!(true))).collect();
        let one = matches!(primary.as_slice(), [only]
            if only.get("value") != Some(&json!("w1@example.com")));
        patched
            .expect_that(one, "exactly the new one must be primary")
            .map_err(|finding| about(&operations, finding))?;
        s.scim.delete(&made.path)?.expect(204)?;
    }
    Ok(())
}

fn x10(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let tools = s.scim.create_group("Tools", &[&ada.id])?;
    let set = |op: &str, path: &str, value: Value| json!({"op": op, "path": path, "value": value});
    let mut read_only = Vec::new();
    for path in ["id", "meta", "meta.created", "meta.lastModified", "meta.version", "groups"] {
        let value = if path == "groups" { json!([]) } else { json!("2020-01-01T00:00:00Z") };
        read_only.push((set("add", path, value.clone()), "mutability"));
        read_only.push((set("replace", path, value), "mutability"));
        read_only.push((json!({"op": "remove", "path": path}), "mutability"));
    }
    expect_refused(s, &ada.path, &read_only)?;
    let member = format!("members[value eq \"{}\"]", ada.id);
    expect_refused(
        s,
        &tools.path,
        &[
            (set("replace", &format!("{member}.value"), json!("another")), "mutability"),
            (set("replace", &format!("{member}.display"), json!("another")), "mutability"),
        ],
    )?;
    // What a client was shown it may send back among other things.
    let echo = json!({"id": "mine", "meta": {"version": "x"}, "groups": [], "title": "Boss"});
    let echoed = s.scim.apply(&ada.path, &json!([{"op": "replace", "value": echo}]))?;
    echoed.expect_at("/title", &json!("Boss"))?;
    echoed.expect_at("/id", &json!(ada.id))?;
    echoed.expect_at("/groups/0/value", &json!(tools.id))?;

    s.load_schemas(&resource_type(&json!([
        {"name": "label", "type": "string"},
        {"name": "serial", "type": "string", "mutability": "immutable"},
        {"name": "stamp", "type": "string", "mutability": "readOnly"},
    ])))?;
    let thing = s.scim.create(THINGS, &a_thing(&json!({"label": "a"})))?;
    expect_refused(s, &thing.path, &[(set("add", "stamp", json!("x")), "mutability")])?;
    let first = s.scim.apply(&thing.path, &json!([set("add", "serial", json!("S-1"))]))?;
    first.expect_at("/serial", &json!("S-1"))?;
    let equal = s.scim.apply(&thing.path, &json!([set("replace", "serial", json!("S-1"))]))?;
    equal.expect_same(&first.json)?;
    let urn = format!("{THING}:serial");
    expect_refused(
        s,
        &thing.path,
        &[
            (set("replace", "serial", json!("S-2")), "mutability"),
            (set("add", "serial", json!("S-2")), "mutability"),
            (set("replace", &urn, json!("S-2")), "mutability"),
            (json!({"op": "remove", "path": "serial"}), "mutability"),
            (json!({"op": "replace", "value": {"serial": "S-2"}}), "mutability"),
        ],
    )
}

/// `schemas` is what the resource has: it follows the data, and setting it changes no data.
fn x11(s: &Subject) -> Check {
    let number = enterprise("employeeNumber");
    let both = json!([USER, ENTERPRISE]);
    for operation in [
        json!({"op": "add", "path": number, "value": "7"}),
        json!({"op": "replace", "path": number, "value": "7"}),
        json!({"op": "add", "value": {number.as_str(): "7"}}),
        json!({"op": "add", "path": ENTERPRISE, "value": {"employeeNumber": "7"}}),
        json!({"op": "replace", "value": {ENTERPRISE: {"employeeNumber": "7"}}}),
    ] {
        let ada = s.scim.create_user("ada@example.com")?;
        let patched = s.scim.apply(&ada.path, &json!([operation]))?;
        patched.expect_at("/schemas", &both)?;
        patched.expect_at(&format!("/{ENTERPRISE}/employeeNumber"), &json!("7"))?;
        let removed = s.scim.apply(&ada.path, &json!([{"op": "remove", "path": number}]))?;
        removed.expect_unassigned(&format!("/{ENTERPRISE}"))?;
        removed.expect_at("/schemas/0", &json!(USER))?;
        s.scim.delete(&ada.path)?.expect(204)?;
    }
    let ada = s.scim.create_user("ada@example.com")?;
    let patched = s.scim.apply(
        &ada.path,
        &json!([
            {"op": "add", "path": "schemas", "value": [ENTERPRISE]},
            {"op": "add", "path": number, "value": "7"},
        ]),
    )?;
    patched.expect_at("/schemas", &both)?;
    for operation in [
        json!({"op": "replace", "path": "schemas", "value": both}),
        json!({"op": "add", "path": "schemas", "value": [USER]}),
        json!({"op": "add", "path": "schemas", "value": ENTERPRISE}),
        json!({"op": "replace", "value": {"schemas": both}}),
    ] {
        s.scim.apply(&ada.path, &json!([operation]))?.expect_same(&patched.json)?;
    }
    // A resource has its base schema, and no request takes it away.
    let tools = s.scim.create_group("Tools", &[])?;
    expect_refused(s, &tools.path, &[(json!({"op": "remove", "path": "schemas"}), "mutability")])?;
    s.scim.get(&tools.path)?.expect(200)?.expect_at("/schemas", &json!([GROUP]))?;
    Ok(())
}
