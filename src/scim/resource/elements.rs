//! The elements of a multi-valued attribute: which two are the same, and that at most one is
//! primary (RFC 7643 §2.4).

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use crate::scim::key::{refers_to_resources, resource_uri_key};
use crate::scim::{Attribute, Object};

/// What makes two elements one: the pair of `value` and `type`, or the whole of an element that has
/// no `value`. References are compared by their keys.
#[derive(PartialEq, Eq, Hash)]
enum Identity<'v> {
    Pair(Cow<'v, Value>, Option<&'v Value>),
    Whole(Cow<'v, Value>),
}

fn identity<'v>(attribute: &Attribute, element: &'v Value) -> Identity<'v> {
    match (element.get("value"), attribute.value_sub()) {
        (Some(value), Some(sub)) => Identity::Pair(comparable(sub, value), element.get("type")),
        (Some(value), None) => Identity::Pair(Cow::Borrowed(value), element.get("type")),
        (None, _) => Identity::Whole(comparable(attribute, element)),
    }
}

/// True when the attribute or a part of it refers to SCIM resources, so that one value can be
/// spelled in several ways.
pub(crate) fn holds_references(attribute: &Attribute) -> bool {
    refers_to_resources(attribute) || attribute.sub_attributes.iter().any(holds_references)
}

/// True when two checked values of the attribute mean the same.
pub(crate) fn same(attribute: &Attribute, one: &Value, other: &Value) -> bool {
    one == other
        || (holds_references(attribute)
            && comparable(attribute, one) == comparable(attribute, other))
}

/// The value with each reference to a SCIM resource replaced by its key.
fn comparable<'v>(attribute: &Attribute, value: &'v Value) -> Cow<'v, Value> {
    if !holds_references(attribute) {
        return Cow::Borrowed(value);
    }
    match value {
        Value::String(uri) => match resource_uri_key(uri) {
            Cow::Borrowed(_) => Cow::Borrowed(value),
            Cow::Owned(key) => Cow::Owned(key.into()),
        },
        Value::Array(elements) => Cow::Owned(
            elements.iter().map(|element| comparable(attribute, element).into_owned()).collect(),
        ),
        Value::Object(members) => {
            let key = |(name, member): (&String, &Value)| {
                let member = match attribute.sub(name) {
                    Some(sub) => comparable(sub, member).into_owned(),
                    None => member.clone(),
                };
                (name.clone(), member)
            };
            Cow::Owned(members.iter().map(key).collect())
        }
        _ => Cow::Borrowed(value),
    }
}

/// Adds elements that are not there yet; one that is there takes over what the new one says.
/// Answers where each of them stands now. Linear, because the request decides how many they are.
pub(crate) fn join(
    attribute: &Attribute,
    elements: &mut Vec<Value>,
    new: Vec<Value>,
) -> Vec<usize> {
    let mut known = HashMap::with_capacity(elements.len() + new.len());
    for (index, element) in elements.iter().enumerate() {
        known.entry(identity(attribute, element)).or_insert(index);
    }
    let mut next = elements.len();
    let mut places = Vec::with_capacity(new.len());
    for element in &new {
        let place = *known.entry(identity(attribute, element)).or_insert(next);
        next = next.max(place + 1);
        places.push(place);
    }
    for (place, element) in places.iter().zip(new) {
        match (elements.get_mut(*place), element) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                take_over(attribute, old, new);
                order(attribute, old);
            }
            (Some(_), _) => {}
            (None, element) => elements.push(element),
        }
    }
    places
}

/// Puts the members of `new` into `old`; a reference that is there keeps its spelling.
fn take_over(attribute: &Attribute, old: &mut Object, new: Object) {
    for (name, value) in new {
        let known = |old: &Value| attribute.sub(&name).is_some_and(|sub| same(sub, old, &value));
        if !old.get(&name).is_some_and(known) {
            old.insert(name, value);
        }
    }
}

/// The elements, each once.
pub(crate) fn distinct(attribute: &Attribute, elements: Vec<Value>) -> Vec<Value> {
    if elements.len() < 2 {
        return elements;
    }
    let mut kept = Vec::with_capacity(elements.len());
    join(attribute, &mut kept, elements);
    kept
}

/// Whether all names are those of `attributes`, in their order: most clients write what they have read.
pub(super) fn are_in_order(members: &Object, attributes: &[Attribute]) -> bool {
    let mut behind = attributes.iter();
    members.keys().all(|name| behind.any(|attribute| attribute.name == *name))
}

/// Puts the sub-attributes of a complex value in schema order.
pub(crate) fn order(attribute: &Attribute, members: &mut Object) {
    if are_in_order(members, &attribute.sub_attributes) {
        return;
    }
    let mut ordered = Object::with_capacity(members.len());
    for sub in &attribute.sub_attributes {
        ordered.extend(members.shift_remove_entry(&sub.name));
    }
    *members = ordered;
}

/// True for an element that says `primary: true`.
pub(crate) fn is_primary(element: &Value) -> bool {
    element.get("primary").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attribute(data_type: &str, reference_types: &[&str]) -> Attribute {
        serde_json::from_value(json!({
            "name": "a", "type": data_type, "multiValued": true, "description": "",
            "required": false, "caseExact": true, "mutability": "readWrite",
            "returned": "default", "uniqueness": "none", "referenceTypes": reference_types
        }))
        .unwrap()
    }

    /// `links`: elements of `value`, `$ref` and `type`, of which `name` refers to users.
    fn links(name: &str) -> Attribute {
        let mut links = attribute("complex", &[]);
        for sub in ["value", "type", "$ref"] {
            let data_type = if sub == name { "reference" } else { "string" };
            let mut sub_attribute = attribute(data_type, &["User"]);
            sub_attribute.name = sub.to_owned();
            links.sub_attributes.push(sub_attribute);
        }
        links
    }

    const PLAIN: &str = "https://x.org/Users/1";
    const VERSIONED: &str = "https://x.org/v2/Users/1";
    const OTHER: &str = "https://x.org/v2/Users/2";

    #[track_caller]
    fn kept(attribute: &Attribute, sent: &[Value], expected: &[Value]) {
        assert_eq!(distinct(attribute, sent.to_vec()), expected);
    }

    #[test]
    fn reference_in_two_versions_of_the_protocol_is_stored_once() {
        let all = [PLAIN, VERSIONED, OTHER].map(Value::from);
        let once = [PLAIN, OTHER].map(Value::from);
        kept(&attribute("reference", &["User"]), &all, &once);
        kept(&attribute("reference", &["uri"]), &all, &once);
        kept(&attribute("reference", &["external"]), &all, &all);
        kept(&attribute("string", &[]), &all, &all);
    }

    #[test]
    fn elements_with_references_keep_the_first_spelling() {
        kept(
            &links("value"),
            &[
                json!({"value": PLAIN, "type": "a"}),
                json!({"value": VERSIONED, "type": "a", "$ref": "r"}),
                json!({"value": VERSIONED, "type": "b"}),
            ],
            &[
                json!({"value": PLAIN, "type": "a", "$ref": "r"}),
                json!({"value": VERSIONED, "type": "b"}),
            ],
        );
        let other = json!({"$ref": OTHER});
        let typed = json!({"$ref": PLAIN, "type": "a"});
        kept(
            &links("$ref"),
            &[json!({"$ref": VERSIONED}), json!({"$ref": PLAIN}), other.clone(), typed.clone()],
            &[json!({"$ref": VERSIONED}), other, typed],
        );
        // The same element may learn about another target.
        kept(
            &links("$ref"),
            &[json!({"value": "1", "$ref": PLAIN}), json!({"value": "1", "$ref": OTHER})],
            &[json!({"value": "1", "$ref": OTHER})],
        );
    }

    #[test]
    fn same_values() {
        let one = attribute("reference", &["User"]);
        assert!(same(&one, &json!(PLAIN), &json!(VERSIONED)));
        assert!(!same(&one, &json!(PLAIN), &json!(OTHER)));
        assert!(!same(&one, &json!(PLAIN), &json!([VERSIONED])));
        assert!(same(&links("$ref"), &json!([{"$ref": PLAIN}]), &json!([{"$ref": VERSIONED}])));
        assert!(!same(&links("value"), &json!([{"$ref": PLAIN}]), &json!([{"$ref": VERSIONED}])));
        assert!(holds_references(&links("$ref")) && !holds_references(&links("display")));
    }
}
