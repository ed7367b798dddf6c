//! Tables for PATCH: what a body does to a stored document, under the most lenient and the strictest
//! rules alike, and what is refused.

use serde_json::{Value, json};

use super::{CORE, ENTERPRISE, patch};
use crate::scim::patch::op::{BodyRules, parse};
use crate::scim::patch::{MemberStep, PatchRules, apply, members};
use crate::scim::resource::fixture::{document, group, object, user};
use crate::scim::resource::{Document, Notes};
use crate::scim::{ResourceType, ScimError, urn};

const LENIENT: (BodyRules, PatchRules) = (BodyRules::LENIENT, PatchRules::LENIENT);
const STRICT: (BodyRules, PatchRules) = (BodyRules::STRICT, PatchRules::STRICT);

fn ada() -> Value {
    json!({
        "userName": "ada",
        "title": "T",
        "name": {"familyName": "F", "givenName": "G"},
        "active": true,
        "emails": [
            {"value": "a@w.example", "type": "work", "primary": true},
            {"value": "a@h.example", "type": "home"}
        ],
        "addresses": [{"type": "work", "locality": "L"}, {"type": "home", "locality": "M"}],
        urn::ENTERPRISE_USER: {"department": "D", "manager": {"value": "m1"}}
    })
}

fn run(
    before: &Document,
    body: &Value,
    resource_type: &ResourceType,
    (reading, rules): (BodyRules, PatchRules),
    notes: &mut Notes,
) -> Result<(Document, Vec<MemberStep>), ScimError> {
    let newer = patch(object(body.clone()), resource_type, rules.values)?;
    let (ops, steps) = members::split(parse(&newer, reading)?, resource_type, rules)?;
    Ok((apply(before, &ops, resource_type, rules, notes)?, steps))
}

/// Fails unless `body` makes `changes` of Ada; null takes a member out.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "calls read as a table")]
fn becomes(body: Value, changes: Value) {
    let before = document(ada(), &user());
    let mut expected = ada();
    expected.as_object_mut().unwrap().extend(object(changes));
    let expected = document(expected, &user());
    for rules in [LENIENT, STRICT] {
        let (after, _) = run(&before, &body, &user(), rules, &mut Notes::default())
            .unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(after.to_json(), expected.to_json(), "{body}");
    }
}

#[test]
fn singular_values_are_replaced_and_others_stay() {
    becomes(json!({}), json!({}));
    becomes(json!({"schemas": [CORE, ENTERPRISE], "id": "other"}), json!({}));
    becomes(json!({"active": false}), json!({"active": false}));
    becomes(json!({"TITLE": "U", "nickName": "N"}), json!({"title": "U", "nickName": "N"}));
    becomes(json!({"title": null}), json!({"title": null}));
    becomes(json!({"password": "secret"}), json!({}));
    becomes(json!({"groups": [{"value": "1"}], "meta": {"version": "x"}}), json!({}));
}

#[test]
fn complex_values_are_merged() {
    let name = json!({"familyName": "F", "givenName": "H", "middleName": "I"});
    becomes(json!({"name": {"givenName": "H", "middleName": "I"}}), json!({"name": name}));
    becomes(json!({"name": {"givenName": null}}), json!({"name": {"familyName": "F"}}));
    becomes(json!({"name": null}), json!({"name": null}));
    becomes(
        json!({ENTERPRISE: {"costCenter": "C", "manager": {"managerId": "m2"}}}),
        json!({urn::ENTERPRISE_USER: {
            "costCenter": "C", "department": "D", "manager": {"value": "m2"}
        }}),
    );
    becomes(json!({ENTERPRISE: null}), json!({urn::ENTERPRISE_USER: null}));
}

#[test]
fn elements_are_matched_by_value() {
    let (work, home) = (
        json!({"value": "a@w.example", "type": "work", "primary": true}),
        json!({"value": "a@h.example", "type": "home"}),
    );
    let new = json!({"value": "n@x.example", "type": "other"});
    becomes(json!({"emails": []}), json!({}));
    becomes(json!({"emails": null}), json!({}));
    becomes(json!({"emails": [new]}), json!({"emails": [work, home, new]}));
    becomes(json!({"emails": new}), json!({"emails": [work, home, new]}));
    becomes(json!({"emails": [{"value": "a@w.example"}]}), json!({}));
    becomes(
        json!({"emails": [{"display": "Home", "value": "a@h.example", "operation": "add"}]}),
        json!({"emails": [work, {"value": "a@h.example", "display": "Home", "type": "home"}]}),
    );
    becomes(
        json!({"emails": [{"value": "A@H.example", "type": "other"}]}),
        json!({"emails": [work, {"value": "A@H.example", "type": "other"}]}),
    );
    // Who becomes primary ends the others being so.
    becomes(
        json!({"emails": [{"value": "n@x.example", "primary": true}]}),
        json!({"emails": [
            {"value": "a@w.example", "type": "work", "primary": false}, home,
            {"value": "n@x.example", "primary": true}
        ]}),
    );
    becomes(
        json!({"emails": [{"value": "say \"hi\"", "type": "x"}]}),
        json!({"emails": [work, home, {"value": "say \"hi\"", "type": "x"}]}),
    );
}

#[test]
fn elements_marked_delete_go() {
    let home = json!({"value": "a@h.example", "type": "home"});
    becomes(
        json!({"emails": [{"value": "A@w.example", "operation": "Delete"}]}),
        json!({"emails": [home]}),
    );
    becomes(json!({"emails": [{"value": "unknown", "operation": "delete"}]}), json!({}));
    becomes(
        json!({"emails": [
            {"value": "a@w.example", "operation": "delete"},
            {"value": "a@h.example", "operation": "delete"}
        ]}),
        json!({"emails": null}),
    );
    // Without a value, all that the element names must be so.
    becomes(
        json!({"addresses": [
            {"type": "work", "operation": "delete"},
            {"type": "home", "locality": "X", "operation": "delete"},
            {"type": "other", "locality": "N"}
        ]}),
        json!({"addresses": [
            {"type": "home", "locality": "M"}, {"type": "other", "locality": "N"}
        ]}),
    );
}

#[test]
fn meta_attributes_are_removed_first() {
    let removed = |names: Value| json!({"meta": {"attributes": names}});
    becomes(removed(json!([])), json!({}));
    becomes(removed(json!(["title", "nickName"])), json!({"title": null}));
    becomes(removed(json!(["name.givenName"])), json!({"name": {"familyName": "F"}}));
    becomes(removed(json!(["emails", "addresses"])), json!({"emails": null, "addresses": null}));
    becomes(
        removed(json!([format!("{CORE}:title"), format!("{ENTERPRISE}:manager.managerId")])),
        json!({"title": null, urn::ENTERPRISE_USER: {"department": "D"}}),
    );
    becomes(removed(json!([ENTERPRISE])), json!({urn::ENTERPRISE_USER: null}));
    // What is removed and set again is replaced.
    becomes(
        json!({
            "meta": {"attributes": ["emails", "name", "title", "userName"]},
            "emails": [{"value": "n@x.example"}], "name": {"middleName": "I"},
            "title": "U", "userName": "eve"
        }),
        json!({
            "emails": [{"value": "n@x.example"}], "name": {"middleName": "I"},
            "title": "U", "userName": "eve"
        }),
    );
}

#[test]
fn members_join_and_leave_in_order() {
    let before = document(json!({"displayName": "A"}), &group());
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<String>>();
    for (body, steps) in [
        (json!({"displayName": "A"}), vec![]),
        (json!({"members": []}), vec![]),
        (json!({"members": null}), vec![]),
        (
            json!({"members": [{"value": "1"}, {"value": "2", "operation": "add"}]}),
            vec![MemberStep::Add(ids(&["1", "2"]))],
        ),
        (
            json!({"members": [
                {"value": "1", "display": "D", "operation": "delete"}, {"value": "2"},
                {"value": "3", "operation": "delete"}
            ]}),
            vec![
                MemberStep::Remove(ids(&["1"])),
                MemberStep::Add(ids(&["2"])),
                MemberStep::Remove(ids(&["3"])),
            ],
        ),
        (
            json!({"members": {"value": "1", "operation": "delete"}}),
            vec![MemberStep::Remove(ids(&["1"]))],
        ),
        (
            json!({"meta": {"attributes": ["members"]}, "members": [{"value": "9"}]}),
            vec![MemberStep::Set(Vec::new()), MemberStep::Add(ids(&["9"]))],
        ),
        (json!({"meta": {"attributes": ["MEMBERS"]}}), vec![MemberStep::Set(Vec::new())]),
    ] {
        for rules in [LENIENT, STRICT] {
            let found = run(&before, &body, &group(), rules, &mut Notes::default());
            assert_eq!(found.map(|(_, steps)| steps), Ok(steps.clone()), "{body}");
        }
    }
}

#[test]
fn what_no_schema_knows_is_kept_beside() {
    const OKTA: &str = "urn:okta:custom:group:1.0";
    let before = document(json!({"displayName": "A"}), &group());
    let mut notes = Notes::default();
    let mut send = |body: Value| {
        let (after, _) = run(&before, &body, &group(), LENIENT, &mut notes).unwrap();
        assert_eq!(after.to_json(), before.to_json());
        Value::Object(notes.extra.clone())
    };
    let described = json!({OKTA: {"description": "west"}});
    assert_eq!(send(json!({"schemas": [CORE, OKTA], OKTA: {"description": "west"}})), described);
    assert_eq!(send(json!({"displayName": "A"})), described);
    assert_eq!(send(json!({"meta": {"attributes": [OKTA]}})), json!({}));
    let error = run(&before, &described, &group(), STRICT, &mut Notes::default()).unwrap_err();
    assert!(error.detail.contains(OKTA), "{error}");
    // An unknown name inside a known extension.
    let before = document(ada(), &user());
    let body = json!({ENTERPRISE: {"badge": 7, "department": "E"}});
    let mut notes = Notes::default();
    run(&before, &body, &user(), LENIENT, &mut notes).unwrap();
    assert_eq!(Value::Object(notes.extra), json!({format!("{}:badge", urn::ENTERPRISE_USER): 7}));
}

#[test]
fn refusals_name_what_is_wrong() {
    let before = document(ada(), &user());
    for (body, named) in [
        (json!({"meta": {"attributes": "title"}}), "meta.attributes"),
        (json!({"meta": {"attributes": [7]}}), "the number 7"),
        (json!({"meta": {"attributes": ["userName"]}}), "\"userName\" is required"),
        (json!({"meta": {"attributes": ["id"]}}), "\"id\" is read-only"),
        (json!({"meta": {"attributes": ["not a name"]}}), "not"),
        (json!({"userName": null}), "\"userName\""),
        (json!({"userName": 7}), "the number 7"),
        (json!({"title": "a", "TITLE": "b"}), "twice"),
        (json!({"schemas": [7]}), "\"schemas\""),
        (json!({"emails": [{"operation": "delete"}]}), "\"emails\""),
        (json!({"emails": [{"value": "a", "operation": "remove"}]}), "emails.operation"),
        (json!({"emails": [{"value": 7}]}), "\"emails.value\""),
        (json!({"emails": [{"value": "n", "primary": "x"}]}), "emails.primary"),
        (json!({"name": "Ada"}), "\"name\""),
        (json!({ENTERPRISE: "x"}), urn::ENTERPRISE_USER),
    ] {
        for rules in [LENIENT, STRICT] {
            let error = run(&before, &body, &user(), rules, &mut Notes::default())
                .expect_err(&body.to_string());
            assert_eq!(error.status, 400, "{body}");
            assert!(error.detail.contains(named), "{body}: {}", error.detail);
        }
    }
}

#[test]
fn very_long_values_are_added_as_they_are() {
    let long = format!("{}@x.example", "a".repeat(5_000));
    let work = json!({"value": "a@w.example", "type": "work", "primary": true});
    let home = json!({"value": "a@h.example", "type": "home"});
    becomes(
        json!({"emails": [{"value": long, "type": "x"}]}),
        json!({"emails": [work, home, {"value": long, "type": "x"}]}),
    );
}
