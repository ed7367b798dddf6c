//! The remove operation (RFC 7644 §3.5.2.2).

use serde_json::Value;

use super::apply::Editor;
use super::edit::set_member;
use super::matching::{element_filter, refuse_several};
use super::target::{self, object_or_new};
use crate::scim::filter::Filter;
use crate::scim::resource::elements::same;
use crate::scim::resource::validate::single_value;
use crate::scim::resource::{Notes, PathTo, Rules, UnknownAttributes, UnknownSchemas};
use crate::scim::schema::Attribute;
use crate::scim::{AttrRef, Object, ScimError};

impl Editor<'_> {
    pub(super) fn remove(
        &mut self,
        at: &AttrRef<'_>,
        filter: Option<&Filter>,
        value: &Value,
    ) -> Result<(), ScimError> {
        let attribute = at.attribute;
        let required = match at.sub {
            Some(sub) => sub.required,
            None => attribute.required && filter.is_none(),
        };
        if required {
            return Err(ScimError::mutability(format!(
                "The attribute \"{}\" is required and cannot be removed.",
                at.full_name()
            )));
        }
        let condition = filter.map(|filter| element_filter(filter, attribute)).transpose()?;
        let path = at.full_name();
        let listed = match attribute.multi_valued && condition.is_none() && at.sub.is_none() {
            true => listed_values(attribute, value, &path),
            false => None,
        };
        let Some(slot) = target::container(&mut self.object, at)
            .and_then(|object| object.get_mut(&attribute.name))
        else {
            return Ok(());
        };
        if let (Some(filter), Some(condition), Value::Array(elements)) =
            (filter, &condition, &*slot)
        {
            let matches = elements.iter().filter(|element| condition.matches(element)).count();
            refuse_several(matches, attribute, filter, self.rules)?;
        }
        match (at.sub, condition) {
            (Some(sub), condition) => {
                let chosen = |element: &Value| {
                    condition.as_ref().is_none_or(|condition| condition.matches(element))
                };
                match slot {
                    Value::Array(elements) => {
                        for element in elements.iter_mut().filter(|element| chosen(element)) {
                            set_member(object_or_new(element), sub, None, &path)?;
                        }
                    }
                    single if chosen(single) => {
                        set_member(object_or_new(single), sub, None, &path)?;
                    }
                    _ => {}
                }
                Ok(())
            }
            (None, Some(condition)) => {
                match slot {
                    Value::Array(elements) => elements.retain(|e| !condition.matches(e)),
                    single if condition.matches(single) => *single = Value::Null,
                    _ => {}
                }
                Ok(())
            }
            (None, None) => {
                if let (Some(listed), Value::Array(elements)) = (listed, &mut *slot) {
                    elements.retain(|element| {
                        !listed.iter().any(|one| includes(attribute, element, one))
                    });
                } else {
                    *slot = Value::Null;
                }
                Ok(())
            }
        }
    }
}

/// The values of a remove that lists what to remove, spelled as they are stored; an empty list
/// removes nothing, and what is no value of the attribute is none of its elements.
fn listed_values(attribute: &Attribute, value: &Value, path: &str) -> Option<Vec<Value>> {
    let values = match value {
        Value::Null => return None,
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    let rules = Rules {
        unknown_attributes: UnknownAttributes::Keep,
        unknown_schemas: UnknownSchemas::Drop,
    };
    let spelled = |value: &Value| match value {
        Value::Object(_) => {
            single_value(attribute, value.clone(), &PathTo::top(path), rules, &mut Notes::default())
                .ok()
                .flatten()
        }
        bare => Some(bare.clone()),
    };
    Some(values.iter().filter_map(spelled).collect())
}

/// True when `element` has everything that `wanted` says; a bare value means `value`.
fn includes(attribute: &Attribute, element: &Value, wanted: &Value) -> bool {
    let has = |element: &Object, name: &str, wanted: &Value| {
        let found = element.get(name);
        found.is_some_and(|found| match attribute.sub(name) {
            Some(sub) => same(sub, found, wanted),
            None => found == wanted,
        })
    };
    match (element, wanted) {
        (Value::Object(element), Value::Object(wanted)) => {
            wanted.iter().all(|(name, value)| has(element, name, value))
        }
        (Value::Object(element), wanted) => has(element, "value", wanted),
        (element, wanted) => same(attribute, element, wanted),
    }
}
