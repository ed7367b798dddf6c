//! Laws of the translation, held against random resources and hostile JSON.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::{attribute_list, filter, patch, representation, resource};
use crate::scim::filter::{UnquotedValues, parse_filter};
use crate::scim::patch::laws::{hostile, word};
use crate::scim::patch::op::{BodyRules, parse};
use crate::scim::patch::{PatchRules, apply};
use crate::scim::resource::fixture::{LENIENT, document, group, object, user};
use crate::scim::resource::{Document, Notes};
use crate::scim::{Object, urn};

fn assigned(members: Vec<(&str, Option<Value>)>) -> Value {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn text() -> impl Strategy<Value = Value> {
    select(vec!["a", "b", "C", "ü", "\"", "x y"]).prop_map(Value::from)
}

/// Values are unique, as matching by `value` wants.
fn emails() -> impl Strategy<Value = Value> {
    let element = (option::of(text()), option::of(text()));
    (vec(element, 0..4), option::of(0..4_usize)).prop_map(|(elements, primary)| {
        let email = |(index, (kind, display)): (usize, (Option<Value>, Option<Value>))| {
            let value = Some(format!("{index}@x.example").into());
            let primary = (primary == Some(index)).then_some(Value::Bool(true));
            assigned(vec![
                ("value", value),
                ("display", display),
                ("type", kind),
                ("primary", primary),
            ])
        };
        elements.into_iter().enumerate().map(email).collect()
    })
}

/// Elements that share values and differ by their types.
fn phone_numbers() -> impl Strategy<Value = Value> {
    let element = (select(vec!["555", "+1 555"]), option::of(text()));
    vec(element, 0..4).prop_map(|elements| {
        let phone = |(index, (value, display)): (usize, (&str, Option<Value>))| {
            let (value, kind) = (Some(value.into()), Some(format!("type {index}").into()));
            assigned(vec![("value", value), ("display", display), ("type", kind)])
        };
        elements.into_iter().enumerate().map(phone).collect()
    })
}

/// A user whose elements share values.
fn repeating_body() -> impl Strategy<Value = Value> {
    (body(), phone_numbers()).prop_map(|(mut body, phone_numbers)| {
        body["phoneNumbers"] = phone_numbers;
        body
    })
}

/// A user as SCIM 2.0 stores one.
fn body() -> impl Strategy<Value = Value> {
    let name = (option::of(text()), option::of(text()))
        .prop_map(|(f, g)| assigned(vec![("familyName", f), ("givenName", g)]));
    let manager = option::of(text().prop_map(|id| json!({"value": id})));
    let extension = (option::of(text()), manager)
        .prop_map(|(d, m)| assigned(vec![("department", d), ("manager", m)]));
    (option::of(text()), name, emails(), extension).prop_map(|(title, name, emails, extension)| {
        json!({
            "userName": "ada", "title": title, "name": name, "emails": emails,
            urn::ENTERPRISE_USER: extension
        })
    })
}

/// What a client of SCIM 1.1 is shown of a stored user.
fn shown(stored: &Document) -> Object {
    resource(stored.as_object().clone(), Object::new(), &user())
}

fn patched(before: &Document, body: Object, rules: PatchRules) -> Document {
    let newer = patch(body, &user(), rules.values).unwrap();
    let ops = parse(&newer, BodyRules::STRICT).unwrap();
    apply(before, &ops, &user(), rules, &mut Notes::default()).unwrap()
}

proptest! {
    #[test]
    fn a_resource_that_is_sent_back_is_the_same(body in body()) {
        let stored = document(body, &user());
        let again = representation(shown(&stored), &user()).unwrap();
        prop_assert_eq!(
            document(Value::Object(again), &user()).to_json(),
            stored.to_json()
        );
    }

    #[test]
    fn nothing_of_scim_2_0_is_shown(body in body()) {
        let text = Value::Object(shown(&document(body, &user()))).to_string();
        for newer in ["urn:ietf", "$ref", "resourceType"] {
            prop_assert!(!text.contains(newer), "{text}");
        }
    }

    #[test]
    fn patching_with_the_resource_itself_changes_nothing(body in repeating_body()) {
        let stored = document(body, &user());
        for rules in [PatchRules::LENIENT, PatchRules::STRICT] {
            let after = patched(&stored, shown(&stored), rules);
            prop_assert_eq!(after.to_json(), stored.to_json());
        }
    }

    #[test]
    fn patching_twice_is_patching_once(before in repeating_body(), with in repeating_body()) {
        let (before, with) = (document(before, &user()), shown(&document(with, &user())));
        let once = patched(&before, with.clone(), PatchRules::LENIENT);
        prop_assert_eq!(patched(&once, with, PatchRules::LENIENT).to_json(), once.to_json());
    }

    #[test]
    fn profiles_do_not_change_what_a_patch_means(before in body(), with in body()) {
        let (before, with) = (document(before, &user()), shown(&document(with, &user())));
        let lenient = patched(&before, with.clone(), PatchRules::LENIENT);
        prop_assert_eq!(patched(&before, with, PatchRules::STRICT).to_json(), lenient.to_json());
    }

    #[test]
    fn removing_everything_first_makes_a_patch_a_put(
        before in repeating_body(),
        with in repeating_body(),
    ) {
        let (before, with) = (document(before, &user()), document(with, &user()));
        let mut body = shown(&with);
        body.insert(
            "meta".into(),
            json!({"attributes": ["title", "name", "emails", "phoneNumbers", super::ENTERPRISE]}),
        );
        let after = patched(&before, body, PatchRules::LENIENT);
        prop_assert_eq!(after.to_json(), with.to_json());
    }

    #[test]
    fn hostile_bodies_are_translated_or_refused(
        body in hostile(),
        emails in hostile(),
        members in hostile(),
        removed in vec(word(), 0..4),
    ) {
        let crafted = json!({
            "emails": emails, "members": members, "meta": {"attributes": removed}, "x": body
        });
        for body in [body, crafted] {
            let Value::Object(body) = body else { continue };
            for resource_type in [user(), group()] {
                let _ = representation(body.clone(), &resource_type);
                if let Ok(newer) = patch(body.clone(), &resource_type, LENIENT) {
                    let _ = parse(&newer, BodyRules::LENIENT);
                }
                let _ = resource(body.clone(), object(json!({"urn:a:b": {}})), &resource_type);
            }
        }
    }

    #[test]
    fn filters_without_old_names_stay(names in vec(word(), 1..4)) {
        let text = names.iter().map(|name| format!("{name} pr")).collect::<Vec<_>>().join(" and ");
        let known = parse_filter(&text, UnquotedValues::Refuse);
        let again = filter(&text, UnquotedValues::Refuse, &user());
        if let Ok(known) = known {
            prop_assert_eq!(parse_filter(&again, UnquotedValues::Refuse), Ok(known));
        }
        let _ = attribute_list(&text, &user());
    }
}
