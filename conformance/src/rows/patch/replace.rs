//! `replace` (RFC 7644 §3.5.2.3), and what a PATCH must not run into.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{enterprise, expect_each, expect_refused, user_with_addresses};
use crate::answer::ensure;
use crate::rows::{Check, Finding, Row};
use crate::scim::{ENTERPRISE, full_user, patch, without};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "X21",
        "SHALL",
        "RFC 7644 §3.5.2.3",
        "rfc_x21_replace_without_a_path",
        "replace, no path: `value` holds the attributes to replace",
        x21,
    ),
    Row::new(
        "X22",
        "SHALL",
        "RFC 7644 §3.5.2.3",
        "rfc_x22_replace_of_an_absent_attribute",
        "replace of an absent attribute acts as add",
        x22,
    ),
    Row::new(
        "X23",
        "SHALL",
        "RFC 7644 §3.5.2.3",
        "rfc_x23_replace_by_kind_of_attribute",
        "replace of a complex: unmentioned sub-attributes stay; of a multi-valued without filter: \
         all values replaced",
        x23,
    ),
    Row::new(
        "X24",
        "SHALL",
        "RFC 7644 §3.5.2.3",
        "rfc_x24_replace_every_match",
        "replace with valuePath: every match replaced (sub-attribute form: only that sub-attribute)",
        x24,
    ),
    Row::new(
        "X25",
        "SHALL",
        "RFC 7644 §3.5.2.3",
        "rfc_x25_replace_with_an_unmatched_filter",
        "replace with an unmatched valuePath: 400 noTarget",
        x25,
    )
    .differs(
        "it creates the element: Entra ID sends `replace` for values that the user does not have \
         yet, and a refusal would lose everything else in the request",
        x25_default,
    ),
    Row::new(
        "X26",
        "—",
        "RFC 7644 §3.5.2",
        "rfc_x26_taken_user_name_and_many_members",
        "PATCH to a taken userName: 409 uniqueness; 10 000 members in one add finishes in bounded \
         time",
        x26,
    ),
];

/// Ten thousand members have to be added within this time.
const BOUNDED: Duration = Duration::from_secs(30);

fn replace(path: &str, value: &Value) -> Value {
    json!([{"op": "replace", "path": path, "value": value}])
}

fn x21(s: &Subject) -> Check {
    let number = enterprise("employeeNumber");
    let new = json!([{"value": "n@example.com", "type": "work"}]);
    let replace = |value: Value| json!([{"op": "replace", "value": value}]);
    expect_each(
        s,
        &[
            (replace(json!({"title": "Boss", "active": false})), "/title", json!("Boss")),
            (replace(json!({"title": "Boss", "active": false})), "/active", json!(false)),
            (replace(json!({"title": "Boss"})), "/displayName", json!("Ada Lane")),
            (replace(json!({"emails": new})), "/emails", new.clone()),
            (
                replace(json!({"name": {"givenName": "Eve"}})),
                "/name",
                json!({"givenName": "Eve", "familyName": "Lane", "formatted": "Ada Lane"}),
            ),
            (replace(json!({"name.givenName": "Eve"})), "/name/givenName", json!("Eve")),
            (replace(json!({"name.givenName": "Eve"})), "/name/familyName", json!("Lane")),
            (replace(json!({"title": null})), "/title", json!(null)),
            (replace(json!({"emails": []})), "/emails", json!(null)),
            (
                replace(json!({number.as_str(): "7"})),
                &format!("/{ENTERPRISE}/employeeNumber"),
                json!("7"),
            ),
            (
                replace(json!({ENTERPRISE: {"department": "Sales"}})),
                &format!("/{ENTERPRISE}"),
                json!({"employeeNumber": "701984", "department": "Sales", "costCenter": "4130"}),
            ),
        ],
    )?;
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    for value in [json!("x"), json!(["title"]), json!(null)] {
        expect_refused(
            s,
            &ada.path,
            &[(json!({"op": "replace", "value": value}), "invalidValue")],
        )?;
    }
    let bad = [
        (json!({"op": "replace"}), "invalidValue"),
        (json!({"op": "replace", "path": "title"}), "invalidValue"),
        (json!({"op": "replace", "value": {"userName": null}}), "invalidValue"),
    ];
    expect_refused(s, &ada.path, &bad)?;

    let ben = s.scim.create_user("ben@example.com")?;
    let tools = s.scim.create_group("Tools", &[&ada.id])?;
    let value = json!({"displayName": "Sales", "members": [{"value": ben.id}]});
    let patched = s.scim.apply(&tools.path, &replace(value))?;
    patched.expect_at("/displayName", &json!("Sales"))?;
    patched.expect_at("/members/0/value", &json!(ben.id))?;
    patched.expect_absent("/members/1")?;
    // What is not named stays: an empty list is something else than none.
    let named = s.scim.apply(&tools.path, &replace(json!({"displayName": "Tools"})))?;
    named.expect_at("/members/0/value", &json!(ben.id))?;
    s.scim.apply(&tools.path, &replace(json!({"members": []})))?.expect_unassigned("/members")?;
    Ok(())
}

fn x22(s: &Subject) -> Check {
    for (path, value) in [
        ("nickName", json!("A")),
        ("ims", json!([{"value": "x", "type": "xmpp"}])),
        ("name.middleName", json!("M")),
        (&enterprise("division"), json!("D")),
        (&enterprise("manager"), json!({"value": "m"})),
        (&enterprise("manager.value"), json!("m")),
    ] {
        let patched = |op: &str| {
            let made = user_with_addresses(s, "ada@example.com")?;
            let operations = json!([{"op": op, "path": path, "value": value}]);
            let patched = s.scim.apply(&made.path, &operations)?;
            patched
                .expect_that(content(&patched.json) != content(&made.body), "nothing changed")?;
            s.scim.delete(&made.path)?.expect(204)?;
            Ok::<_, Finding>(patched)
        };
        let (replaced, added) = (patched("replace")?, patched("add")?);
        let same = content(&replaced.json) == content(&added.json);
        replaced.expect_that(same, &format!("replace of {path}; add gives {}", added.text))?;
    }
    let bare = s.scim.create_user("bare@example.com")?;
    let emails = json!([{"value": "b@example.com"}]);
    let patched = s.scim.apply(&bare.path, &replace("emails", &emails))?;
    patched.expect_at("/emails", &emails)?;
    Ok(())
}

/// What a client has put into the resource.
fn content(body: &Value) -> Value {
    without(without(body.clone(), "id"), "meta")
}

fn x23(s: &Subject) -> Check {
    let new = json!([{"value": "n@example.com", "type": "work"}]);
    expect_each(
        s,
        &[
            (replace("title", &json!("Boss")), "/title", json!("Boss")),
            (
                replace("name", &json!({"givenName": "Eve", "middleName": "M"})),
                "/name",
                json!({
                    "givenName": "Eve", "familyName": "Lane", "formatted": "Ada Lane",
                    "middleName": "M",
                }),
            ),
            (
                replace("name.familyName", &json!("Moss")),
                "/name",
                json!({"givenName": "Ada", "familyName": "Moss", "formatted": "Ada Lane"}),
            ),
            (
                replace(ENTERPRISE, &json!({"department": "Sales"})),
                &format!("/{ENTERPRISE}"),
                json!({"employeeNumber": "701984", "department": "Sales", "costCenter": "4130"}),
            ),
            (replace("emails", &new), "/emails", new.clone()),
            (replace("emails", &json!([])), "/emails", json!(null)),
            (replace("title", &json!(null)), "/title", json!(null)),
        ],
    )?;
    let ids = s.scim.create_users(4)?;
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let (old, new) = ids.split_at(2);
    let tools = s.scim.create_group("Tools", old)?;
    let members: Vec<_> = new.iter().map(|id| json!({"value": id})).collect();
    let patched = s.scim.apply(&tools.path, &replace("members", &json!(members)))?;
    patched.expect_contains(&json!({"members": members}))?;
    patched.expect_absent("/members/2")?;
    for id in old {
        patched.expect_nowhere(id)?;
    }
    Ok(())
}

fn x24(s: &Subject) -> Check {
    let home = json!({"value": "h@example.com", "type": "home", "display": "Home"});
    let new = json!({"value": "n@example.com", "type": "work"});
    expect_each(
        s,
        &[
            (
                replace("emails[type eq \"work\"].display", &json!("Office")),
                "/emails",
                json!([
                    {"value": "w1@example.com", "type": "work", "display": "Office", "primary": true},
                    {"value": "w2@example.com", "type": "work", "display": "Office"},
                    home,
                ]),
            ),
            (
                replace("emails[type eq \"home\"].value", &json!("x@example.com")),
                "/emails/2",
                json!({"value": "x@example.com", "type": "home", "display": "Home"}),
            ),
            (replace("emails[value eq \"w2@example.com\"]", &new), "/emails/1", new.clone()),
            (
                replace("emails[value eq \"w2@example.com\"]", &new),
                "/emails/0/value",
                json!("w1@example.com"),
            ),
            (
                replace("emails[display co \"o\" and type eq \"work\"].type", &json!("other")),
                "/emails/1/type",
                json!("other"),
            ),
            (
                replace("emails[primary eq true].value", &json!("p@example.com")),
                "/emails/0/value",
                json!("p@example.com"),
            ),
        ],
    )?;
    // Every match: two that would be equal are one.
    let made = user_with_addresses(s, "ada@example.com")?;
    let replaced = s.scim.apply(&made.path, &replace("emails[type eq \"work\"]", &new))?;
    replaced.expect_contains(&json!({"emails": [new, home]}))?;
    replaced.expect_nowhere("w1@example.com")?;
    replaced.expect_nowhere("w2@example.com")?;
    Ok(())
}

/// Replaces whose filter matches nothing, and what the element is when they create it.
fn unmatched() -> [(Value, Value); 3] {
    [
        (
            json!({"op": "replace", "path": "emails[type eq \"other\"].value", "value": "o@example.com"}),
            json!({"emails": [{"type": "other", "value": "o@example.com"}]}),
        ),
        (
            json!({
                "op": "replace", "path": "emails[type eq \"other\"]",
                "value": {"value": "o@example.com", "type": "other"},
            }),
            json!({"emails": [{"type": "other", "value": "o@example.com"}]}),
        ),
        (
            json!({"op": "replace", "path": "addresses[type eq \"work\"].locality", "value": "Berlin"}),
            json!({"addresses": [{"type": "work", "locality": "Berlin"}]}),
        ),
    ]
}

fn x25(s: &Subject) -> Check {
    let made = user_with_addresses(s, "ada@example.com")?;
    for (operation, _) in unmatched() {
        expect_refused(s, &made.path, &[(operation, "noTarget")])?;
    }
    unseeded(s, &made.path)
}

fn x25_default(s: &Subject) -> Check {
    for (operation, created) in unmatched() {
        let made = user_with_addresses(s, "ada@example.com")?;
        let operations = json!([operation, {"op": "replace", "path": "active", "value": false}]);
        let patched = s.scim.apply(&made.path, &operations)?;
        patched.expect_contains(&created)?;
        patched.expect_at("/emails/2/value", &json!("h@example.com"))?;
        patched.expect_at("/active", &json!(false))?;
        s.scim.delete(&made.path)?.expect(204)?;
    }
    unseeded(s, &user_with_addresses(s, "ada@example.com")?.path)
}

/// A filter that does not say what the element is cannot create one.
fn unseeded(s: &Subject, path: &str) -> Check {
    let operation =
        json!({"op": "replace", "path": "emails[value co \"nothing\"].display", "value": "x"});
    expect_refused(s, path, &[(operation, "noTarget")])
}

fn x26(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let ben = s.scim.create_user("ben@example.com")?;
    for operation in [
        json!({"op": "replace", "path": "userName", "value": "ben@example.com"}),
        json!({"op": "add", "path": "userName", "value": "BEN@example.com"}),
        json!({"op": "replace", "value": {"userName": "Ben@Example.com"}}),
    ] {
        let answer = s.scim.patch(&ada.path, &patch(&json!([operation])))?;
        answer.expect_error(409, Some("uniqueness"))?;
        s.scim.get(&ada.path)?.expect(200)?.expect_same(&ada.body)?;
    }
    s.scim.get(&ben.path)?.expect(200)?.expect_same(&ben.body)?;
    s.scim.apply(&ada.path, &replace("userName", &json!("ADA@example.com")))?;

    let ids = s.scim.create_users(10_000)?;
    let tools = s.scim.create_group("Tools", &[])?;
    let members: Vec<_> = ids.iter().map(|id| json!({"value": id})).collect();
    let add = json!([{"op": "add", "path": "members", "value": members}]);
    let started = Instant::now();
    s.scim.patch(&tools.path, &patch(&add))?.expect_status(&[200, 204])?;
    let took = started.elapsed();
    ensure(took < BOUNDED, || format!("10,000 members took {took:?}"))?;
    let read = s.scim.get(&tools.path)?.expect(200)?;
    let found = read.array_at("/members")?.len();
    read.expect_that(found == 10_000, &format!("there are {found} members"))?;
    Ok(())
}
