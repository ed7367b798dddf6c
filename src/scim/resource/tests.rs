//! Tables for validation, the canonical form and projection.

use serde_json::{Value, json};

use super::doc::keep_unseen;
use super::fixture::{
    DEVICE, LENIENT, RACK, STRICT, device, device_body, document, expand, group, object, user,
};
use super::validate::{MAX_KEY_BYTES, representation};
use super::{Document, Notes, Projection, Rules};
use crate::scim::{ResourceType, ScimError, urn};

#[expect(clippy::needless_pass_by_value, reason = "rows of tables are literals")]
fn check(body: Value, rt: &ResourceType, rules: Rules) -> Result<(Value, Notes), ScimError> {
    let mut notes = Notes::default();
    let checked = representation(object(expand(&body)), rt, rules, &mut notes)?;
    Ok((Value::Object(checked), notes))
}

fn accepted(rt: &ResourceType, table: &[(Value, Value)]) {
    for (body, expected) in table {
        let (found, notes) =
            check(body.clone(), rt, STRICT).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(found.to_string(), expand(expected).to_string(), "{body}");
        assert_eq!(notes, Notes::default(), "{body}");
    }
}

fn refused(rt: &ResourceType, table: &[(Value, &str)]) {
    for (body, detail) in table {
        let error = check(body.clone(), rt, LENIENT).expect_err(&body.to_string());
        let detail = detail.replace("ENT", urn::ENTERPRISE_USER);
        assert_eq!(error, ScimError::invalid_value(detail), "{body}");
    }
}

#[test]
fn names_and_values_get_the_spelling_of_the_schema() {
    accepted(
        &user(),
        &[
            (json!({"USERNAME": "Bob"}), json!({"userName": "Bob"})),
            (json!({"Name": {"GIVENNAME": "B"}}), json!({"name": {"givenName": "B"}})),
            (
                json!({"name": {"givenName": "B", "formatted": "F"}}),
                json!({"name": {"formatted": "F", "givenName": "B"}}),
            ),
            (
                json!({"emails": [{"TYPE": "WORK", "Value": "A@x"}]}),
                json!({"emails": [{"value": "A@x", "type": "work"}]}),
            ),
            (
                json!({"emails": [{"value": "a", "type": "Private"}]}),
                json!({"emails": [{"value": "a", "type": "Private"}]}),
            ),
            (
                json!({"ENT": {"DEPARTMENT": "D", "manager": {"VALUE": "m"}}}),
                json!({"ENT": {"department": "D", "manager": {"value": "m"}}}),
            ),
            (json!({"displayName": ""}), json!({"displayName": ""})),
            (json!({"displayName": "Straße\t1\r\n"}), json!({"displayName": "Straße\t1\r\n"})),
        ],
    );
    let (upper, _) =
        check(json!({urn::ENTERPRISE_USER.to_uppercase(): {"division": "D"}}), &user(), STRICT)
            .unwrap();
    assert_eq!(upper, expand(&json!({"ENT": {"division": "D"}})));
    accepted(
        &device(),
        &[(json!({"colour": "RED", "grade": "a"}), json!({"colour": "Red", "grade": "a"}))],
    );
}

#[test]
fn null_and_empty_mean_unassigned() {
    accepted(
        &user(),
        &[
            (json!({"title": null, "emails": null, "name": null, "ENT": null}), json!({})),
            (json!({"emails": [], "ims": [null, {}], "name": {}}), json!({})),
            (json!({"name": {"givenName": null}}), json!({})),
            (
                json!({"emails": [{"value": "a", "type": null}, null]}),
                json!({"emails": [{"value": "a"}]}),
            ),
            (json!({"profileUrl": ""}), json!({})),
            (json!({"schemas": null}), json!({})),
        ],
    );
}

#[test]
fn what_the_server_sets_or_never_stores_is_left_out() {
    accepted(
        &user(),
        &[
            (
                json!({"id": 7, "meta": {"created": "yesterday"}, "groups": [{"value": "g"}]}),
                json!({}),
            ),
            (json!({"password": "s3cret", "userName": "b"}), json!({"userName": "b"})),
            (
                json!({"ENT": {"manager": {"value": "m", "displayName": "M"}}}),
                json!({"ENT": {"manager": {"value": "m"}}}),
            ),
            (json!({"externalId": "E"}), json!({"externalId": "E"})),
        ],
    );
    accepted(&group(), &[(json!({"displayName": "G", "members": 7}), json!({"displayName": "G"}))]);
    accepted(&device(), &[(json!({"level": 7}), json!({}))]);
}

#[test]
fn the_same_value_twice_is_stored_once() {
    let a = json!({"value": "a", "type": "work"});
    accepted(
        &user(),
        &[
            (json!({"emails": [a, a, {"value": "a", "type": "WORK"}]}), json!({"emails": [a]})),
            (json!({"emails": [a, {"value": "a"}]}), json!({"emails": [a, {"value": "a"}]})),
            (
                json!({"emails": [a, {"value": "a", "type": "work", "primary": true}]}),
                json!({"emails": [{"value": "a", "type": "work", "primary": true}]}),
            ),
            (
                json!({"addresses": [{"country": "DE"}, {"country": "DE"}, {"country": "FR"}]}),
                json!({"addresses": [{"country": "DE"}, {"country": "FR"}]}),
            ),
        ],
    );
    accepted(
        &device(),
        &[(json!({"tags": ["b", "a", "b", "A"]}), json!({"tags": ["b", "a", "A"]}))],
    );
}

#[test]
fn many_values_are_checked_in_linear_time() {
    let emails: Vec<Value> = (0..50_000).map(|n| json!({"value": format!("{n}")})).collect();
    let (found, _) = check(json!({"emails": emails}), &user(), STRICT).unwrap();
    assert_eq!(found["emails"].as_array().unwrap().len(), 50_000);
}

#[test]
fn values_of_every_type() {
    accepted(
        &device(),
        &[
            (json!({"count": -4, "weight": 4.5}), json!({"count": -4, "weight": 4.5})),
            (json!({"count": u64::MAX, "weight": 4}), json!({"count": u64::MAX, "weight": 4})),
            (
                json!({"since": "2021-06-25T19:07:33.155+02:00"}),
                json!({"since": "2021-06-25T19:07:33.155+02:00"}),
            ),
            (json!({"key": "/+8="}), json!({"key": "/+8="})),
            (json!({"key": "_-8"}), json!({"key": "_-8"})),
            (json!({"page": "../Users/1?a=%20#x"}), json!({"page": "../Users/1?a=%20#x"})),
        ],
    );
    let no = |name: &str, want: &str, found: &str| {
        format!("The attribute \"{name}\" must be {want}, but the request has {found}.")
    };
    let date = "a date and time such as \"2021-06-25T19:07:33Z\"";
    let table = [
        (json!({"name": 7}), no("name", "a string", "the number 7")),
        (json!({"name": true}), no("name", "a string", "the boolean true")),
        (json!({"name": ["x"]}), no("name", "a string", "an array")),
        (json!({"name": {"x": 1}}), no("name", "a string", "an object")),
        (json!({"count": 4.0}), no("count", "a whole number", "the number 4.0")),
        (json!({"count": 4.5}), no("count", "a whole number", "the number 4.5")),
        (
            serde_json::from_str("{\"count\": 1e2}").unwrap(),
            no("count", "a whole number", "the number 100.0"),
        ),
        (json!({"count": "4"}), no("count", "a whole number", "the string \"4\"")),
        (json!({"weight": "4"}), no("weight", "a number", "the string \"4\"")),
        (json!({"since": "2020-01-01"}), no("since", date, "the string \"2020-01-01\"")),
        (
            json!({"since": "2020-13-01T00:00:00Z"}),
            no("since", date, "the string \"2020-13-01T00:00:00Z\""),
        ),
        (json!({"since": 7}), no("since", date, "the number 7")),
        (json!({"key": "a b"}), no("key", "base64 text", "the string \"a b\"")),
        (json!({"key": false}), no("key", "base64 text", "the boolean false")),
        (json!({"page": "a b"}), no("page", "a URI", "the string \"a b\"")),
        (json!({"page": "<x>"}), no("page", "a URI", "the string \"<x>\"")),
        (json!({"shelf": "x"}), no("shelf", "an object", "the string \"x\"")),
        (json!({"ports": {"value": "x"}}), no("ports", "an array", "an object")),
        (json!({"ports": ["x"]}), no("ports", "an object", "the string \"x\"")),
        (
            json!({"ports": [{"primary": "true"}]}),
            no("ports.primary", "true or false", "the string \"true\""),
        ),
        (json!({"tags": [1]}), no("tags", "a string", "the number 1")),
        (json!({RACK: 7}), no(RACK, "an object", "the number 7")),
        (
            json!({RACK: {"unit": "7"}}),
            no(&format!("{RACK}:unit"), "a whole number", "the string \"7\""),
        ),
        (
            json!({"name": "x".repeat(50).as_str(), "count": "y".repeat(50).as_str()}),
            no("count", "a whole number", &format!("the string \"{}\"", "y".repeat(40))),
        ),
    ];
    for (body, detail) in &table {
        refused(&device(), &[(body.clone(), detail.as_str())]);
    }
}

#[test]
fn text_has_limits() {
    let control = |path: &str, code: &str| {
        format!(
            "The attribute \"{path}\" contains the control character {code}, which is not allowed."
        )
    };
    refused(
        &user(),
        &[
            (json!({"title": "a\u{0}"}), &control("title", "U+0000")),
            (json!({"title": "\u{1b}[1m"}), &control("title", "U+001B")),
            (json!({"title": "a\u{7f}"}), &control("title", "U+007F")),
            (json!({"title": "a\u{85}"}), &control("title", "U+0085")),
            (json!({"emails": [{"value": "\u{1}"}]}), &control("emails.value", "U+0001")),
            (json!({"ENT": {"division": "\u{1}"}}), &control("ENT:division", "U+0001")),
            (json!({"profileUrl": "a\u{1}"}), &control("profileUrl", "U+0001")),
        ],
    );
    let longest = "x".repeat(MAX_KEY_BYTES);
    for name in ["userName", "externalId", "displayName"] {
        assert!(check(json!({name: longest}), &user(), STRICT).is_ok());
        refused(
            &user(),
            &[(
                json!({name: format!("{longest}é")}),
                &format!("The attribute \"{name}\" is 514 bytes long; at most 512 are allowed."),
            )],
        );
    }
    assert!(check(json!({"title": longest.repeat(9)}), &user(), STRICT).is_ok());
}

#[test]
fn attribute_twice_in_other_letter_case_is_refused() {
    for (body, name) in [
        (json!({"userName": "a", "USERNAME": "a"}), "userName"),
        (json!({"name": {"givenName": "a", "givenname": "b"}}), "name.givenName"),
        (json!({"emails": [{"value": "a", "VALUE": "b"}]}), "emails.value"),
        (json!({"ENT": {"division": "a", "DIVISION": "b"}}), "ENT:division"),
        (json!({"ENT": {}, urn::ENTERPRISE_USER.to_lowercase(): {}}), urn::ENTERPRISE_USER),
    ] {
        let error = check(body.clone(), &user(), LENIENT).expect_err(&body.to_string());
        let name = name.replace("ENT", urn::ENTERPRISE_USER);
        let detail = format!(
            "The attribute \"{name}\" stands twice in the request, in different letter case."
        );
        assert_eq!(error, ScimError::invalid_syntax(detail));
    }
    assert!(check(json!({"userName": "a", "USERNAME": null}), &user(), LENIENT).is_ok());
}

#[test]
fn unknown_attributes_are_kept_apart_or_refused() {
    let unknown = |path: &str| {
        format!("The attribute \"{path}\" is not defined by the schemas of this resource type.")
    };
    let table = [
        (json!({"hat": [1]}), "hat", json!({"hat": [1]})),
        (json!({"ENT": {"desk": 5}}), "ENT:desk", json!({"ENT:desk": 5})),
        (json!({"urn:other": {"a": 1}}), "urn:other", json!({"urn:other": {"a": 1}})),
        (json!({"name": {"nick": "x"}}), "name.nick", json!({})),
        (json!({"emails": [{"x": 1}]}), "emails.x", json!({})),
    ];
    for (body, path, extra) in table {
        let path = path.replace("ENT", urn::ENTERPRISE_USER);
        let (found, notes) = check(body.clone(), &user(), LENIENT).unwrap();
        let found = Document::canonical(object(found), "i", &device()).is_err();
        assert!(found, "nothing of {body} is part of the resource");
        let expected = Notes { ignored: vec![path.clone()], extra: object(expand(&extra)) };
        assert_eq!(notes, expected, "{body}");
        let error = check(body, &user(), STRICT).unwrap_err();
        assert_eq!(error, ScimError::invalid_syntax(unknown(&path)));
    }
    for name in ["Password", "password ", "/password", "user.password", "urn:x:Password[a pr]"] {
        let (_, notes) = check(json!({name: "s3cret"}), &group(), LENIENT).unwrap();
        let found = (notes.extra.len(), notes.ignored.len());
        assert_eq!(found, (0, 1), "a password is kept nowhere: {name}");
    }
    let nested =
        json!({"urn:other": {"a": 1, "b": [{"Password": "s3cret", "c": 2}], "password": 3}});
    let (_, notes) = check(nested, &group(), LENIENT).unwrap();
    assert_eq!(Value::Object(notes.extra), json!({"urn:other": {"a": 1, "b": [{"c": 2}]}}));
    let body = json!({"members": [{"value": "a"}, {"value": "b", "colour": 1}]});
    let error = check(body.clone(), &group(), STRICT).unwrap_err();
    assert_eq!(error, ScimError::invalid_syntax(unknown("members.colour")));
    assert!(check(body, &group(), LENIENT).is_ok());
}

#[test]
fn schemas_are_checked() {
    let uris = |uris: Value| json!({"schemas": uris});
    accepted(
        &user(),
        &[
            (uris(json!([urn::USER])), json!({})),
            (uris(json!([urn::ENTERPRISE_USER, urn::USER.to_uppercase(), urn::USER])), json!({})),
            (uris(json!([])), json!({})),
        ],
    );
    refused(
        &user(),
        &[
            (
                uris(json!("x")),
                "The attribute \"schemas\" must be an array of URIs, but the request has the string \
             \"x\".",
            ),
            (
                uris(json!([urn::USER, 7])),
                "The attribute \"schemas\" must be an array of URIs, but the request has the number 7.",
            ),
        ],
    );
    let (_, notes) = check(uris(json!(["urn:x"])), &user(), LENIENT).unwrap();
    assert_eq!(notes.ignored, ["schemas[\"urn:x\"]"]);
    let error = check(uris(json!([urn::USER, "urn:x"])), &user(), STRICT).unwrap_err();
    let detail = format!(
        "The attribute \"schemas\" names \"urn:x\", which the resource type User does not have; \
         allowed are {}, {}.",
        urn::USER,
        urn::ENTERPRISE_USER
    );
    assert_eq!(error, ScimError::invalid_value(detail));
    let error = check(uris(json!([urn::ENTERPRISE_USER])), &user(), STRICT).unwrap_err();
    let detail = format!("The attribute \"schemas\" must contain \"{}\".", urn::USER);
    assert_eq!(error, ScimError::invalid_value(detail));
}

#[test]
fn canonical_document_has_its_order_and_schemas() {
    // The extension is honoured though `schemas` does not name it, and the other way round.
    let body = expand(&json!({
        "ENT": {"manager": {"$ref": "../Users/m", "value": "m"}, "department": "D"},
        "schemas": [urn::USER],
        "emails": [{"type": "work", "value": "a"}],
        "userName": "bob",
        "externalId": "e"
    }));
    assert_eq!(
        document(body, &user()).to_json(),
        expand(&json!({
            "schemas": [urn::USER, urn::ENTERPRISE_USER],
            "id": "id1",
            "externalId": "e",
            "userName": "bob",
            "emails": [{"value": "a", "type": "work"}],
            "ENT": {"department": "D", "manager": {"value": "m", "$ref": "../Users/m"}}
        }))
        .to_string()
    );
    let body = expand(&json!({
        "userName": "bob", "schemas": [urn::USER, urn::ENTERPRISE_USER], "ENT": {"manager": {}}
    }));
    assert_eq!(
        document(body, &user()).to_json(),
        json!({"schemas": [urn::USER], "id": "id1", "userName": "bob"}).to_string()
    );
}

#[test]
fn whole_document_is_checked() {
    let canonical = |body: Value, rt: &ResourceType| {
        let (checked, _) = check(body, rt, LENIENT).unwrap();
        Document::canonical(object(checked), "id1", rt)
    };
    let required = |path: &str| {
        format!("The attribute \"{path}\" is required, but the resource has no value for it.")
    };
    let two = json!({"userName": "b", "emails": [
        {"value": "a", "primary": true}, {"value": "b", "primary": true}
    ]});
    let table = [
        (json!({}), user(), required("userName")),
        (json!({"userName": null}), user(), required("userName")),
        (json!({}), group(), required("displayName")),
        (json!({"name": "d"}), device(), required(RACK)),
        (json!({"name": "d", RACK: {}}), device(), required(RACK)),
        (json!({"name": "d", RACK: {"unit": null}}), device(), required(RACK)),
        (
            json!({"name": "d", RACK: {"unit": 1}, "shelf": {"place": "x"}}),
            device(),
            required("shelf.row"),
        ),
        (
            two,
            user(),
            "The attribute \"emails\" has 2 values with \"primary\": true; at most one is allowed."
                .into(),
        ),
    ];
    for (body, rt, detail) in table {
        let error = canonical(body.clone(), &rt).expect_err(&body.to_string());
        assert_eq!(error, ScimError::invalid_value(detail), "{body}");
    }
    assert!(canonical(json!({"userName": "b", "shelf": {}}), &user()).is_ok());
}

#[test]
fn put_keeps_what_the_client_cannot_have_seen() {
    let old = object(json!({"name": "d", "note": "n", "pin": "1", "label": "l"}));
    let mut new = object(json!({"name": "e"}));
    keep_unseen(&mut new, &old, &device());
    assert_eq!(Value::Object(new), json!({"name": "e", "note": "n", "pin": "1"}));
    let mut new = object(json!({"note": "m"}));
    keep_unseen(&mut new, &old, &device());
    assert_eq!(new["note"], "m");
}

fn full_user() -> Value {
    expand(&json!({
        "schemas": [urn::USER, urn::ENTERPRISE_USER],
        "id": "id1",
        "userName": "bob",
        "name": {"formatted": "F", "givenName": "B"},
        "active": true,
        "emails": [{"value": "a", "type": "work"}, {"value": "b"}],
        "ENT": {"department": "D", "manager": {"value": "m", "$ref": "../Users/m"}},
        "meta": {"resourceType": "User", "version": "W/\"1\""}
    }))
}

fn project(
    attributes: Option<&str>,
    excluded: Option<&str>,
    body: &Value,
    rt: &ResourceType,
) -> Value {
    let expand = |names: Option<&str>| names.map(|n| n.replace("ENT", urn::ENTERPRISE_USER));
    let (attributes, excluded) = (expand(attributes), expand(excluded));
    let projection = Projection::parse(attributes.as_deref(), excluded.as_deref(), rt).unwrap();
    Value::Object(projection.apply(object(body.clone()), rt))
}

#[test]
fn attributes_name_what_is_shown() {
    let department = json!({"ENT": {"department": "D"}});
    let table = [
        ("userName", json!({"userName": "bob"})),
        ("USERNAME, active", json!({"userName": "bob", "active": true})),
        ("name.givenName", json!({"name": {"givenName": "B"}})),
        ("name.givenName,name", json!({"name": {"formatted": "F", "givenName": "B"}})),
        ("emails.value", json!({"emails": [{"value": "a"}, {"value": "b"}]})),
        ("emails.type", json!({"emails": [{"type": "work"}]})),
        ("emails.display", json!({})),
        ("urn:ietf:params:scim:schemas:core:2.0:User:userName", json!({"userName": "bob"})),
        (
            "urn:ietf:params:scim:schemas:core:2.0:User:name.givenName",
            json!({"name": {"givenName": "B"}}),
        ),
        ("ENT:department", department.clone()),
        ("department", department),
        ("ENT:manager.value", json!({"ENT": {"manager": {"value": "m"}}})),
        (
            "ENT",
            json!({"ENT": {"department": "D", "manager": {"value": "m", "$ref": "../Users/m"}}}),
        ),
        ("meta.version", json!({"meta": {"version": "W/\"1\""}})),
        ("id", json!({})),
        ("password", json!({})),
        ("nothing,urn:x:nothing,name.nothing", json!({})),
    ];
    for (names, shown) in table {
        let mut expected = object(json!({
            "schemas": [urn::USER, urn::ENTERPRISE_USER], "id": "id1"
        }));
        expected.extend(object(expand(&shown)));
        let found = project(Some(names), None, &full_user(), &user());
        assert_eq!(found, Value::Object(expected), "{names}");
    }
}

#[test]
fn excluded_attributes_name_what_is_hidden() {
    let manager = |value: Value| json!({"ENT": {"department": "D", "manager": value}});
    let table = [
        ("userName", json!({"userName": null})),
        ("NAME.givenName", json!({"name": {"formatted": "F"}})),
        ("name.givenName,name.formatted", json!({"name": null})),
        ("emails.type", json!({"emails": [{"value": "a"}, {"value": "b"}]})),
        ("emails.value", json!({"emails": [{"type": "work"}]})),
        ("ENT", json!({"ENT": null})),
        ("ENT:manager", json!({"ENT": {"department": "D"}})),
        ("ENT:manager.$ref", manager(json!({"value": "m"}))),
        ("manager.value", manager(json!({"$ref": "../Users/m"}))),
        ("meta", json!({"meta": null})),
        ("id,schemas,nothing", json!({})),
        ("groups", json!({})),
    ];
    for (names, changes) in table {
        let mut expected = object(full_user());
        expected.extend(object(expand(&changes)));
        expected.retain(|_, value| !value.is_null());
        let found = project(None, Some(names), &full_user(), &user());
        assert_eq!(found, Value::Object(expected), "{names}");
    }
}

#[test]
fn returned_decides_before_the_parameters() {
    let body = json!({
        "schemas": [DEVICE], "id": "id1", "name": "d", "label": "l", "note": "n", "pin": "1",
        "ports": [{"value": "p", "speed": 9, "code": "c"}, {"code": "c"}],
        "vault": {"door": "x", "code": "c"}
    });
    let always = json!({
        "schemas": [DEVICE], "id": "id1", "label": "l", "vault": {"door": "x"}
    });
    let shown = |more: Value| {
        let mut expected = object(always.clone());
        expected.extend(object(more));
        Value::Object(expected)
    };
    let name = json!({"name": "d", "ports": [{"value": "p"}]});
    let table = [
        (None, None, shown(name.clone())),
        (None, Some("label,id,vault"), shown(name.clone())),
        (None, Some("note"), shown(name)),
        (None, Some("name"), shown(json!({"ports": [{"value": "p"}]}))),
        (None, Some("ports.value"), shown(json!({"name": "d"}))),
        (Some("name"), None, shown(json!({"name": "d"}))),
        (Some("note,pin"), None, shown(json!({"note": "n"}))),
        (Some("ports"), None, shown(json!({"ports": [{"value": "p"}]}))),
        (Some("ports.speed"), None, shown(json!({"ports": [{"speed": 9}]}))),
        (Some("ports,ports.speed"), None, shown(json!({"ports": [{"value": "p", "speed": 9}]}))),
        (Some("ports.code,vault.code"), None, shown(json!({}))),
    ];
    for (attributes, excluded, expected) in table {
        let found = project(attributes, excluded, &body, &device());
        assert_eq!(found, expected, "{attributes:?} {excluded:?}");
    }
}

#[test]
fn projection_parameters_are_read() {
    let parse = |attributes, excluded| Projection::parse(attributes, excluded, &group());
    let both = parse(Some("id"), Some("members")).unwrap_err();
    assert_eq!(
        both,
        ScimError::invalid_value(
            "The parameters \"attributes\" and \"excludedAttributes\" exclude each other; send \
             one of them."
        )
    );
    for (attributes, excluded, parameter) in
        [(Some("userName, a b"), None, "attributes"), (None, Some("a b"), "excludedAttributes")]
    {
        let detail = format!(
            "The parameter \"{parameter}\" holds \"a b\", which can be no attribute name; expected are \
             names such as userName or name.familyName, separated by commas."
        );
        assert_eq!(parse(attributes, excluded).unwrap_err(), ScimError::invalid_value(detail));
    }
    for (attributes, excluded) in [(None, None), (Some(" "), None), (Some(""), Some(""))] {
        assert!(parse(attributes, excluded).unwrap().is_default());
    }
    assert!(!parse(Some(","), None).unwrap().is_default());
    for (attributes, excluded, wants) in [
        (None, None, true),
        (Some("displayName"), None, false),
        (Some("MEMBERS"), None, true),
        (Some("members.value"), None, true),
        (Some("urn:ietf:params:scim:schemas:core:2.0:Group:members"), None, true),
        (None, Some("Members"), false),
        (None, Some("members.display"), true),
        (None, Some("displayName"), true),
    ] {
        let projection = parse(attributes, excluded).unwrap();
        assert_eq!(projection.wants("members"), wants, "{attributes:?} {excluded:?}");
    }
}

#[test]
fn device_fixture_is_valid() {
    assert_eq!(
        document(device_body(), &device()).to_json(),
        json!({"schemas": [DEVICE, RACK], "id": "id1", "name": "d1", RACK: {"unit": 3}})
            .to_string()
    );
}
