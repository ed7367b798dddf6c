//! Small edits of checked values: elements that join others, sub-attributes that are set.

use serde_json::Value;

use crate::scim::message::member;
use crate::scim::resource::elements::{is_primary, join, same};
use crate::scim::schema::{Attribute, Mutability};
use crate::scim::{Object, ScimError};

/// Adds elements that are not there yet.
pub(super) fn append(attribute: &Attribute, slot: &mut Value, new: Vec<Value>) {
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    let Value::Array(elements) = slot else { return };
    let touched = join(attribute, elements, new);
    one_primary(elements, &touched);
}

/// A value that becomes primary ends the others being so (RFC 7644 §3.5.2).
pub(super) fn one_primary(elements: &mut [Value], touched: &[usize]) {
    let new_primary = touched.iter().any(|i| elements.get(*i).is_some_and(is_primary));
    if !new_primary {
        return;
    }
    for (index, element) in elements.iter_mut().enumerate() {
        if !touched.contains(&index)
            && is_primary(element)
            && let Value::Object(members) = element
        {
            members.insert("primary".into(), false.into());
        }
    }
}

/// A filter on a singular complex attribute was worked on as an array of one.
pub(super) fn collapse_singular(slot: &mut Value, attribute: &Attribute) {
    if let (false, Value::Array(elements)) = (attribute.multi_valued, &mut *slot) {
        *slot = elements.pop().unwrap_or(Value::Null);
    }
}

/// A checked complex value; one without any sub-attribute is `None`.
pub(super) fn as_object(checked: Option<Value>) -> Object {
    match checked {
        Some(Value::Object(members)) => members,
        _ => Object::new(),
    }
}

/// Sets the sub-attributes in `new`; what was sent and is not in there unassigns.
pub(super) fn merge(
    attribute: &Attribute,
    into: &mut Object,
    sent: &Object,
    mut new: Object,
    path: &str,
) -> Result<(), ScimError> {
    for sub in sent.keys().filter_map(|name| attribute.sub(name)) {
        if sub.mutability != Mutability::ReadOnly {
            set_member(into, sub, new.shift_remove(&sub.name), path)?;
        }
    }
    Ok(())
}

/// Sets the sub-attributes to those in `new`, and no others. What the client cannot set, or has set
/// once for all and leaves out, is not its to take away.
pub(super) fn replace_whole(
    attribute: &Attribute,
    into: &mut Object,
    sent: &Object,
    mut new: Object,
    path: &str,
) -> Result<(), ScimError> {
    for sub in &attribute.sub_attributes {
        let stays = match sub.mutability {
            Mutability::ReadOnly => true,
            Mutability::Immutable => member(sent, &sub.name).is_none(),
            Mutability::ReadWrite | Mutability::WriteOnly => false,
        };
        if !stays {
            set_member(into, sub, new.shift_remove(&sub.name), path)?;
        }
    }
    Ok(())
}

pub(super) fn set_member(
    object: &mut Object,
    sub: &Attribute,
    value: Option<Value>,
    path: &str,
) -> Result<(), ScimError> {
    if let Some(old) = object.get(&sub.name) {
        refuse_immutable_change(sub, old, value.as_ref(), path)?;
    }
    match value {
        Some(value) => object.insert(sub.name.clone(), value),
        None => object.shift_remove(&sub.name),
    };
    Ok(())
}

/// An immutable attribute takes a first value and keeps it (RFC 7643 §7).
pub(super) fn refuse_immutable_change(
    attribute: &Attribute,
    old: &Value,
    new: Option<&Value>,
    path: &str,
) -> Result<(), ScimError> {
    let is_change = !old.is_null() && !new.is_some_and(|new| same(attribute, old, new));
    if attribute.mutability == Mutability::Immutable && is_change {
        return Err(ScimError::mutability(format!(
            "The attribute \"{path}\" is immutable and already has a value."
        )));
    }
    Ok(())
}
