//! `add` (RFC 7644 §3.5.2.1).

use std::time::Duration;

use serde_json::{Value, json};

use super::{about, enterprise, expect_each, expect_refused, user_with_addresses};
use crate::rows::{Check, Row};
use crate::scim::{ENTERPRISE, USER, full_user, with};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "X12",
        "MUST",
        "RFC 7644 §3.5.2.1",
        "rfc_x12_add_needs_a_value",
        "add without `value`: 400 invalidValue",
        x12,
    ),
    Row::new(
        "X13",
        "SHALL",
        "RFC 7644 §3.5.2.1",
        "rfc_x13_add_without_a_path",
        "add, no path: `value` is an object merged into the resource (also `\"name.givenName\"` \
         and URN keys as IdPs send them)",
        x13,
    ),
    Row::new(
        "X14",
        "SHALL",
        "RFC 7644 §3.5.2.1",
        "rfc_x14_add_by_kind_of_attribute",
        "add to a complex: sub-attributes merged; to a multi-valued: elements appended; to a \
         singular: replaced",
        x14,
    ),
    Row::new(
        "X15",
        "SHALL NOT",
        "RFC 7644 §3.5.2.1",
        "rfc_x15_add_of_what_is_there_is_no_change",
        "add of what is already there changes nothing: `lastModified` and version stay",
        x15,
    ),
    Row::new(
        "X16",
        "—",
        "RFC 7644 §3.5.2.1",
        "rfc_x16_add_with_an_unmatched_filter",
        "add with a valuePath that matches nothing creates the element (Entra relies on it) or \
         noTarget — documented",
        x16,
    ),
];

fn x12(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let tools = s.scim.create_group("Tools", &[])?;
    let number = enterprise("employeeNumber");
    let paths = ["title", "emails", "name", "emails[type eq \"work\"].value", &number];
    let mut table: Vec<_> =
        paths.iter().map(|path| (json!({"op": "add", "path": path}), "invalidValue")).collect();
    table.push((json!({"op": "add"}), "invalidValue"));
    expect_refused(s, &ada.path, &table)?;
    expect_refused(s, &tools.path, &[(json!({"op": "add", "path": "members"}), "invalidValue")])
}

fn x13(s: &Subject) -> Check {
    let number = enterprise("employeeNumber");
    let new = json!({"value": "n@example.com", "type": "other"});
    let add = |value: Value| json!([{"op": "add", "value": value}]);
    expect_each(
        s,
        &[
            (add(json!({"title": "Boss", "nickName": "A"})), "/title", json!("Boss")),
            (add(json!({"nickName": "A"})), "/nickName", json!("A")),
            (
                add(json!({"name": {"givenName": "Eve"}})),
                "/name",
                json!({"givenName": "Eve", "familyName": "Lane", "formatted": "Ada Lane"}),
            ),
            (
                add(json!({"name.givenName": "Eve"})),
                "/name",
                json!({"givenName": "Eve", "familyName": "Lane", "formatted": "Ada Lane"}),
            ),
            (add(json!({"emails": [new]})), "/emails/3", new.clone()),
            (add(json!({"emails": [new]})), "/emails/0/value", json!("w1@example.com")),
            (
                add(json!({number.as_str(): "7"})),
                &format!("/{ENTERPRISE}/employeeNumber"),
                json!("7"),
            ),
            (
                add(json!({ENTERPRISE: {"division": "D"}})),
                &format!("/{ENTERPRISE}"),
                json!({
                    "employeeNumber": "701984", "department": "Tools", "costCenter": "4130",
                    "division": "D",
                }),
            ),
            (add(json!({format!("{USER}:title"): "Boss"})), "/title", json!("Boss")),
        ],
    )?;
    let ada = s.scim.create_user("ada@example.com")?;
    for value in [json!("x"), json!(["title"]), json!(7), json!(null)] {
        let operation = json!({"op": "add", "value": value});
        expect_refused(s, &ada.path, &[(operation, "invalidValue")])?;
    }
    let tools = s.scim.create_group("Tools", &[])?;
    let merged = json!({"displayName": "Sales", "members": [{"value": ada.id}]});
    let patched = s.scim.apply(&tools.path, &add(merged))?;
    patched.expect_at("/displayName", &json!("Sales"))?;
    patched.expect_at("/members/0/value", &json!(ada.id))?;
    Ok(())
}

fn x14(s: &Subject) -> Check {
    let new = json!({"value": "n@example.com", "type": "other"});
    let add = |path: &str, value: Value| json!([{"op": "add", "path": path, "value": value}]);
    expect_each(
        s,
        &[
            (add("title", json!("Boss")), "/title", json!("Boss")),
            (add("nickName", json!("A")), "/nickName", json!("A")),
            (add("active", json!(false)), "/active", json!(false)),
            (
                add("name", json!({"givenName": "Eve", "middleName": "M"})),
                "/name",
                json!({
                    "givenName": "Eve", "familyName": "Lane", "formatted": "Ada Lane",
                    "middleName": "M",
                }),
            ),
            (
                add("name.givenName", json!("Eve")),
                "/name",
                json!({"givenName": "Eve", "familyName": "Lane", "formatted": "Ada Lane"}),
            ),
            (add("emails", json!([new])), "/emails/3", new.clone()),
            (add("emails", new.clone()), "/emails/3", new.clone()),
            (
                add("emails", json!([new, {"value": "m@example.com"}])),
                "/emails/4/value",
                json!("m@example.com"),
            ),
            (add("emails", json!([new])), "/emails/2/value", json!("h@example.com")),
            (
                add("ims", json!([{"value": "x", "type": "xmpp"}])),
                "/ims",
                json!([{"value": "x", "type": "xmpp"}]),
            ),
            (
                add("emails[type eq \"home\"]", json!({"display": "New"})),
                "/emails/2",
                json!({"value": "h@example.com", "type": "home", "display": "New"}),
            ),
            (
                add(ENTERPRISE, json!({"department": "Sales"})),
                &format!("/{ENTERPRISE}"),
                json!({"employeeNumber": "701984", "department": "Sales", "costCenter": "4130"}),
            ),
            (
                add(&enterprise("department"), json!("Sales")),
                &format!("/{ENTERPRISE}/department"),
                json!("Sales"),
            ),
        ],
    )?;
    let [ada, ben] = [s.scim.create_user("ada")?, s.scim.create_user("ben")?];
    let tools = s.scim.create_group("Tools", &[&ada.id])?;
    let patched = s.scim.apply(&tools.path, &add("members", json!([{"value": ben.id}])))?;
    patched.expect_contains(&json!({"members": [{"value": ada.id}, {"value": ben.id}]}))?;
    Ok(())
}

fn x15(s: &Subject) -> Check {
    let made = user_with_addresses(s, "ada@example.com")?;
    let tools = s.scim.create_group("Tools", &[&made.id])?;
    let ada = s.scim.get(&made.path)?.expect(200)?;
    let group = s.scim.get(&tools.path)?.expect(200)?;
    // Whatever moves now would be seen in `lastModified`.
    s.pass(Duration::from_millis(20));
    let add = |path: &str, value: Value| json!([{"op": "add", "path": path, "value": value}]);
    let home = json!({"value": "h@example.com", "type": "home", "display": "Home"});
    for operations in [
        add("title", json!("Engineer")),
        add("userName", json!("ada@example.com")),
        add("name", json!({"givenName": "Ada"})),
        add("name.familyName", json!("Lane")),
        add("emails", json!([home])),
        add("emails", home),
        add("emails[type eq \"home\"].value", json!("h@example.com")),
        add(&enterprise("department"), json!("Tools")),
        json!([{"op": "add", "value": {"title": "Engineer", "displayName": "Ada Lane"}}]),
        json!([{"op": "replace", "path": "title", "value": "Engineer"}]),
        json!([{"op": "remove", "path": "nickName"}]),
        json!([{"op": "add", "path": "nickName", "value": "A"}, {"op": "remove", "path": "nickName"}]),
    ] {
        let patched = s.scim.apply(&made.path, &operations)?;
        patched.expect_same(&ada.json).map_err(|finding| about(&operations, finding))?;
        patched.expect_that(patched.etag()? == ada.etag()?, "the version has moved")?;
    }
    for operations in [
        add("members", json!([{"value": made.id}])),
        add("members", json!([{"value": made.id}, {"value": made.id}])),
        add("displayName", json!("Tools")),
        json!([{"op": "remove", "path": "members[value eq \"nobody\"]"}]),
    ] {
        let patched = s.scim.apply(&tools.path, &operations)?;
        patched.expect_same(&group.json).map_err(|finding| about(&operations, finding))?;
        patched.expect_that(patched.etag()? == group.etag()?, "the version has moved")?;
    }
    // What does change moves both.
    let moved = s.scim.apply(&made.path, &add("title", json!("Boss")))?;
    let stayed = moved.at("/meta/lastModified")? == ada.at("/meta/lastModified")?;
    moved.expect_that(!stayed, "lastModified must move")?;
    moved.expect_that(moved.etag()? != ada.etag()?, "the version must move")?;
    Ok(())
}

/// Rollbook creates the element, as far as the filter says what it is.
fn x16(s: &Subject) -> Check {
    let add = |path: &str, value: Value| json!([{"op": "add", "path": path, "value": value}]);
    expect_each(
        s,
        &[
            (
                add("emails[type eq \"other\"].value", json!("o@example.com")),
                "/emails/3",
                json!({"type": "other", "value": "o@example.com"}),
            ),
            (
                add("phoneNumbers[type eq \"mobile\"].value", json!("+1")),
                "/phoneNumbers/1",
                json!({"type": "mobile", "value": "+1"}),
            ),
            (
                add("addresses[type eq \"work\"].locality", json!("Berlin")),
                "/addresses",
                json!([{"type": "work", "locality": "Berlin"}]),
            ),
            (
                add("emails[type eq \"other\"]", json!({"value": "o@example.com"})),
                "/emails/3",
                json!({"type": "other", "value": "o@example.com"}),
            ),
            // Several operations build one element.
            (
                json!([
                    {"op": "add", "path": "addresses[type eq \"work\"].locality", "value": "Berlin"},
                    {"op": "add", "path": "addresses[type eq \"work\"].country", "value": "DE"},
                ]),
                "/addresses",
                json!([{"type": "work", "locality": "Berlin", "country": "DE"}]),
            ),
        ],
    )?;
    let ada = s.scim.create("/Users", &with(full_user("ada"), "emails", json!(null)))?;
    for filter in ["value co \"x\"", "type pr", "not (type eq \"work\")", "type ne \"work\""] {
        let operation =
            json!({"op": "add", "path": format!("emails[{filter}].display"), "value": "x"});
        expect_refused(s, &ada.path, &[(operation, "noTarget")])?;
    }
    Ok(())
}
