//! The elements of a multi-valued attribute: which two are the same, and that at most one is
//! primary (RFC 7643 §2.4).

use std::collections::HashMap;

use serde_json::Value;

use crate::scim::{Attribute, Object};

/// What makes two elements one: the pair of `value` and `type`, or the whole of an element that has
/// no `value`.
#[derive(PartialEq, Eq, Hash)]
enum Identity<'v> {
    Pair(&'v Value, Option<&'v Value>),
    Whole(&'v Value),
}

fn identity(element: &Value) -> Identity<'_> {
    match element.get("value") {
        Some(value) => Identity::Pair(value, element.get("type")),
        None => Identity::Whole(element),
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
        known.entry(identity(element)).or_insert(index);
    }
    let mut next = elements.len();
    let mut places = Vec::with_capacity(new.len());
    for element in &new {
        let place = *known.entry(identity(element)).or_insert(next);
        next = next.max(place + 1);
        places.push(place);
    }
    for (place, element) in places.iter().zip(new) {
        match (elements.get_mut(*place), element) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                old.extend(new);
                order(attribute, old);
            }
            (Some(_), _) => {}
            (None, element) => elements.push(element),
        }
    }
    places
}

/// The elements, each once.
pub(crate) fn distinct(attribute: &Attribute, elements: Vec<Value>) -> Vec<Value> {
    let mut kept = Vec::with_capacity(elements.len());
    join(attribute, &mut kept, elements);
    kept
}

/// Puts the sub-attributes of a complex value in schema order.
pub(crate) fn order(attribute: &Attribute, members: &mut Object) {
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
