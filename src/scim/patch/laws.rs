//! Laws of PATCH and of validation, held against random documents, operations and hostile JSON.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::op::{BodyRules, PatchOp, parse};
use super::{ComplexReplace, PatchRules, apply, members};
use crate::scim::resource::fixture::{
    LENIENT, RACK, STRICT, device, device_body, document, expand, group, object, user,
};
use crate::scim::resource::{Document, Notes, Projection, validate};
use crate::scim::{Object, ResourceType, ScimError};

const RULES: PatchRules = PatchRules::LENIENT;

fn text() -> impl Strategy<Value = Value> {
    select(vec!["a", "b", "C", "ü"]).prop_map(Value::from)
}

fn assigned(members: Vec<(&str, Option<Value>)>) -> Value {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn email() -> impl Strategy<Value = Value> {
    let kind = option::of(select(vec!["work", "home", "WORK", "x"]).prop_map(Value::from));
    let primary = option::weighted(0.2, any::<bool>().prop_map(Value::from));
    (text(), option::of(text()), kind, primary).prop_map(|(value, display, kind, primary)| {
        let members = [("value", Some(value)), ("display", display), ("type", kind)];
        assigned(members.into_iter().chain([("primary", primary)]).collect())
    })
}

fn emails() -> impl Strategy<Value = Value> {
    vec(email(), 0..4).prop_map(|mut emails| {
        for other in emails.iter_mut().skip(1) {
            other.as_object_mut().unwrap().shift_remove("primary");
        }
        emails.into()
    })
}

fn name() -> impl Strategy<Value = Value> {
    (option::of(text()), option::of(text()), option::of(text())).prop_map(|(f, g, m)| {
        assigned(vec![("familyName", f), ("givenName", g), ("middleName", m)])
    })
}

fn enterprise() -> impl Strategy<Value = Value> {
    let manager = option::of(text().prop_map(|id| json!({"value": id})));
    (option::of(text()), manager)
        .prop_map(|(d, m)| assigned(vec![("department", d), ("manager", m)]))
}

fn body() -> impl Strategy<Value = Value> {
    (option::of(text()), name(), emails(), enterprise()).prop_map(|(title, name, emails, ext)| {
        let body = json!({
            "userName": "bob", "title": title, "name": name, "emails": emails, "ENT": ext
        });
        expand(&body)
    })
}

/// A path, or none, with a value that fits and does not contradict the path.
fn target() -> impl Strategy<Value = (Option<&'static str>, Value)> {
    let at = |path: &'static str| move |value: Value| (Some(path), value);
    let untyped = email().prop_map(|mut email| {
        email.as_object_mut().unwrap().shift_remove("type");
        email
    });
    prop_oneof![
        text().prop_map(at("title")),
        name().prop_map(at("name")),
        text().prop_map(at("name.givenName")),
        emails().prop_map(at("emails")),
        email().prop_map(at("emails")),
        untyped.prop_map(at("emails[type eq \"work\"]")),
        text().prop_map(at("emails[type eq \"HOME\"].value")),
        text().prop_map(at("emails[type eq \"x\" and primary eq true].display")),
        any::<bool>().prop_map(|b| (Some("emails[value eq \"a\"].primary"), b.into())),
        text().prop_map(at("ENT:department")),
        text().prop_map(|id| (Some("ENT.manager"), json!({"value": id}))),
        text().prop_map(at("department")),
        enterprise().prop_map(at("ENT")),
        select(vec!["title", "name", "emails", "ENT", "ENT:manager"])
            .prop_map(|path| (Some(path), Value::Null)),
        body().prop_map(|body| (None, body)),
    ]
}

fn op(kind: &str, path: Option<&str>, value: &Value) -> PatchOp {
    let op = expand(&json!({"op": kind, "path": path, "value": value}));
    parse(&object(json!({"Operations": [op]})), BodyRules::LENIENT).unwrap().remove(0)
}

fn operation() -> impl Strategy<Value = PatchOp> {
    (select(vec!["add", "replace", "remove"]), target()).prop_map(|(kind, (path, value))| {
        match (kind, path) {
            ("remove", Some(path)) => op("remove", Some(path), &Value::Null),
            ("remove", None) => op("remove", Some("title"), &Value::Null),
            _ => op(kind, path, &value),
        }
    })
}

fn run(before: &Document, ops: &[PatchOp]) -> Result<Document, ScimError> {
    apply(before, ops, &user(), RULES, &mut Notes::default())
}

/// Names, paths and keys that mean something, in hostile places.
pub(crate) fn word() -> impl Strategy<Value = String> {
    let words = [
        "schemas",
        "Operations",
        "op",
        "path",
        "value",
        "userName",
        "USERNAME",
        "name",
        "emails",
        "EMAILS",
        "type",
        "primary",
        "$ref",
        "displayName",
        "givenName",
        "members",
        "password",
        "active",
        "meta",
        "id",
        "externalId",
        "manager",
        "ENT",
        "ENT:manager",
        "ENT.manager",
        "ENT:department",
        "name.givenName",
        "emails.value",
        "emails[type eq \"work\"]",
        "emails[type eq \"work\"].value",
        "emails[not (type eq \"work\")].type",
        "emails[value pr]",
        "members[value eq \"a\"]",
        "members[type eq \"User\"]",
        "members.value",
        "groups",
        "title",
        "tags",
        "tags[value eq \"a\"]",
        "ports",
        "ports[type eq \"a\"].speed",
        "shelf",
        "shelf.row",
        "shelf[row pr].seal",
        "origin",
        "serial",
        "count",
        "since",
        "key",
        "page",
        RACK,
        "roles",
        "x509Certificates",
        "profileUrl",
        "photos",
    ];
    prop_oneof![
        8 => select(words.to_vec())
            .prop_map(|word| word.replace("ENT", crate::scim::urn::ENTERPRISE_USER)),
        1 => "[ -~]{0,12}",
        1 => any::<String>(),
    ]
}

pub(crate) fn hostile() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text(),
        select(vec!["2020-01-01T00:00:00Z", "QUJD", "True", "work", "urn:x:y", "{\"value\":1}"])
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((word(), inner), 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// JSON that is a body of a resource type more often than not: what validation accepts.
pub(crate) fn plausible() -> impl Strategy<Value = Value> {
    (body(), vec((word(), hostile()), 0..3)).prop_map(|(mut body, more)| {
        body.as_object_mut().unwrap().extend(more);
        body
    })
}

fn types() -> [(ResourceType, Document); 3] {
    [
        (user(), document(json!({"userName": "bob", "emails": [{"value": "a"}]}), &user())),
        (group(), document(json!({"displayName": "G"}), &group())),
        (device(), document(device_body(), &device())),
    ]
}

/// What a PATCH request passes through; the answer does not matter.
fn patch_all(body: &Object) {
    let Ok(ops) = parse(body, BodyRules::LENIENT) else { return };
    for (rt, before) in types() {
        for rules in [PatchRules::LENIENT, PatchRules::STRICT] {
            let Ok((ops, steps)) = members::split(ops.clone(), &rt, rules) else { continue };
            super::MemberChange::fold(&steps);
            if let Ok(after) = apply(&before, &ops, &rt, rules, &mut Notes::default()) {
                assert_canonical(&after, &rt);
            }
        }
    }
}

fn assert_canonical(document: &Document, rt: &ResourceType) {
    let id = document.id().unwrap();
    let again = Document::canonical(document.as_object().clone(), id, rt).unwrap();
    assert_eq!(again.to_json(), document.to_json());
}

proptest! {
    #[test]
    fn operation_twice_is_once(body in body(), op in operation()) {
        let before = document(body, &user());
        if let Ok(once) = run(&before, std::slice::from_ref(&op)) {
            let again = run(&once, std::slice::from_ref(&op)).unwrap();
            prop_assert_eq!(again.to_json(), once.to_json());
            prop_assert_eq!(run(&before, &[op.clone(), op]).unwrap().to_json(), once.to_json());
        }
    }

    #[test]
    fn patched_document_is_canonical(body in body(), ops in vec(operation(), 1..6)) {
        let before = document(body, &user());
        if let Ok(after) = run(&before, &ops) {
            assert_canonical(&after, &user());
            // Nothing is stored that a POST of the same content would refuse or change.
            prop_assert_eq!(
                document(Value::Object(after.as_object().clone()), &user()).to_json(),
                after.to_json()
            );
        }
    }

    #[test]
    fn operations_in_one_request_are_requests_in_a_row(
        body in body(),
        ops in vec(operation(), 1..6),
    ) {
        let before = document(body, &user());
        let one_by_one = ops.iter().try_fold(before.clone(), |document, op| {
            run(&document, std::slice::from_ref(op))
        });
        // A required or contradicting value may be there only between two operations.
        if let Ok(expected) = one_by_one {
            prop_assert_eq!(run(&before, &ops).unwrap().to_json(), expected.to_json());
        }
    }

    #[test]
    fn add_of_an_element_and_remove_of_it_is_nothing(body in body(), element in email()) {
        let before = document(body, &user());
        let canonical =
            document(json!({"userName": "b", "emails": [element]}), &user()).into_object();
        let members = canonical["emails"][0].as_object().unwrap();
        let known = before.as_object().get("emails").and_then(Value::as_array);
        let there = known.into_iter().flatten().any(|old| {
            let all = members.iter().all(|(name, value)| old.get(name) == Some(value));
            all || (old.get("value"), old.get("type"))
                == (members.get("value"), members.get("type"))
        });
        // A new primary value ends another being so, and removing it does not bring that back.
        if there || members.get("primary") == Some(&Value::Bool(true)) {
            return Ok(());
        }
        let ops = [op("add", Some("emails"), &element), op("remove", Some("emails"), &json!([element]))];
        prop_assert!(run(&before, &ops[..1]).unwrap() != before);
        prop_assert_eq!(run(&before, &ops).unwrap().to_json(), before.to_json());
    }

    #[test]
    fn add_and_replace_of_a_singular_simple_attribute_are_one(
        body in body(),
        path in select(vec!["title", "userName", "externalId", "name.givenName", "ENT:department"]),
        value in option::of(text()),
    ) {
        let before = document(body, &user());
        let value = value.unwrap_or_default();
        let run = |kind| {
            let ops = [op(kind, Some(path), &value)];
            [PatchRules::LENIENT, PatchRules::STRICT]
                .map(|rules| apply(&before, &ops, &user(), rules, &mut Notes::default()))
        };
        prop_assert_eq!(run("add"), run("replace"));
    }

    #[test]
    fn whole_replacement_is_remove_and_add(body in body(), value in name(), ext in enterprise()) {
        let before = document(body, &user());
        let manager = ext.get("manager").cloned().unwrap_or(json!({}));
        for (path, value) in [("name", value), ("ENT:manager", manager)] {
            let replace = [op("replace", Some(path), &value)];
            let both = [op("remove", Some(path), &Value::Null), op("add", Some(path), &value)];
            let run = |ops: &[PatchOp]| {
                apply(&before, ops, &user(), PatchRules::STRICT, &mut Notes::default()).unwrap()
            };
            prop_assert_eq!(run(&replace).to_json(), run(&both).to_json());
        }
    }

    /// Strict rules refuse; but for whole replacement they never change what a request means.
    #[test]
    fn what_strict_rules_accept_means_the_same_everywhere(
        body in body(),
        ops in vec(operation(), 1..4),
    ) {
        let before = document(body, &user());
        let rules = PatchRules { complex_replace: ComplexReplace::Merge, ..PatchRules::STRICT };
        if let Ok(after) = apply(&before, &ops, &user(), rules, &mut Notes::default()) {
            prop_assert_eq!(run(&before, &ops).unwrap().to_json(), after.to_json());
        }
    }

    #[test]
    fn strict_rules_change_one_element_for_one_filter(
        body in body(),
        kind in select(vec!["add", "replace", "remove"]),
        filter in select(vec!["type eq \"work\"", "value eq \"a\"", "value pr", "display co \"b\""]),
        value in text(),
    ) {
        let before = document(body, &user());
        let elements = |document: &Document| {
            document.as_object().get("emails").and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let path = format!("emails[{filter}].display");
        let ops = [op(kind, Some(&path), &value)];
        let after = apply(&before, &ops, &user(), PatchRules::STRICT, &mut Notes::default());
        let Ok(after) = after else { return Ok(()) };
        let (old, new) = (elements(&before), elements(&after));
        let changed = new.iter().filter(|element| !old.contains(element)).count();
        prop_assert!(changed <= 1, "{changed} of {new:?}");
    }

    #[test]
    fn primary_is_one_at_most(body in body(), ops in vec(operation(), 1..6)) {
        if let Ok(after) = run(&document(body, &user()), &ops) {
            let emails = after.as_object().get("emails").and_then(Value::as_array);
            let primaries = emails.into_iter().flatten().filter(|email| email["primary"] == true);
            prop_assert!(primaries.count() <= 1);
        }
    }

    #[test]
    fn hostile_patch_bodies_never_panic(
        body in hostile(),
        ops in vec((select(vec!["add", "REPLACE", "remove", "x"]), option::of(word()), hostile()), 1..4),
    ) {
        if let Value::Object(body) = &body {
            patch_all(body);
        }
        let ops: Vec<Value> = (ops.iter())
            .map(|(op, path, value)| json!({"op": op, "path": path, "value": value}))
            .collect();
        patch_all(&object(json!({"Operations": ops})));
    }

    #[test]
    fn valid_representation_is_a_fixed_point(body in prop_oneof![hostile(), plausible()]) {
        let Value::Object(body) = body else { return Ok(()) };
        for (rt, _) in types() {
            for rules in [LENIENT, STRICT] {
                let mut notes = Notes::default();
                let Ok(once) = validate::representation(body.clone(), &rt, rules, &mut notes) else {
                    continue;
                };
                let again = validate::representation(once.clone(), &rt, STRICT, &mut notes).unwrap();
                prop_assert_eq!(
                    Value::Object(again.clone()).to_string(),
                    Value::Object(once).to_string()
                );
                if let Ok(document) = Document::canonical(again, "id1", &rt) {
                    assert_canonical(&document, &rt);
                }
            }
        }
    }

    #[test]
    fn projection_shows_a_part(body in body(), names in vec(word(), 0..4)) {
        let names = names.join(",");
        let before = document(body, &user());
        for (attributes, excluded) in [(Some(names.as_str()), None), (None, Some(names.as_str()))] {
            let Ok(projection) = Projection::parse(attributes, excluded, &user()) else { continue };
            let shown = projection.apply(before.as_object().clone(), &user());
            prop_assert_eq!(shown.get("id"), before.as_object().get("id"));
            prop_assert_eq!(shown.get("schemas"), before.as_object().get("schemas"));
            prop_assert!(shown.keys().all(|name| before.as_object().contains_key(name)));
            // A projection of its own answer shows the same.
            prop_assert_eq!(projection.apply(shown.clone(), &user()), shown);
        }
    }
}
