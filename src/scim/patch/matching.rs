//! Paths that choose elements with a filter: `emails[type eq "work"]` and
//! `emails[type eq "work"].value`.

use serde_json::Value;

use super::apply::Editor;
use super::edit::{as_object, collapse_singular, merge, one_primary, set_member};
use super::op::OpKind;
use super::rules::{PatchRules, SeveralMatches, UnmatchedReplace, WholeElements};
use super::target::{self, object_or_new};
use crate::scim::filter::{ElementFilter, Filter, resolve_element};
use crate::scim::resource::PathTo;
use crate::scim::resource::validate::{attribute_value, single_value};
use crate::scim::schema::Attribute;
use crate::scim::{AttrRef, ScimError};

impl Editor<'_> {
    /// An add or replace on the elements that match.
    pub(super) fn set_matching(
        &mut self,
        kind: OpKind,
        at: &AttrRef<'_>,
        filter: &Filter,
        value: &Value,
    ) -> Result<(), ScimError> {
        let (attribute, path) = (at.attribute, at.full_name());
        let condition = element_filter(filter, attribute)?;
        if at.sub.is_none() {
            refuse_whole_element(kind, attribute, filter, self.rules)?;
        }
        // An array of one stands for its element.
        let value = match value.as_array().map(Vec::as_slice) {
            Some([only]) if at.sub.is_none_or(|sub| !sub.multi_valued) => only,
            _ => value,
        };
        let (new, values) = (value.clone(), self.rules.values);
        let checked = match at.sub {
            Some(sub) => attribute_value(sub, new, &PathTo::top(&path), values, self.notes)?,
            None => single_value(attribute, new, &PathTo::top(&path), values, self.notes)?,
        };
        let seed = match condition.seed() {
            // Checked and spelled like what a client sends as a value.
            Some(seed) => {
                let seed = Value::Object(seed.into_iter().collect());
                let path = AttrRef { sub: None, ..*at }.full_name();
                let path = PathTo::top(&path);
                let seed = single_value(attribute, seed, &path, values, self.notes)?;
                Some(seed.unwrap_or_default())
            }
            None => None,
        };
        let slot = target::container_or_new(&mut self.object, at)
            .entry(attribute.name.clone())
            .or_insert(Value::Null);
        if !slot.is_array() {
            let existing = std::mem::take(slot);
            *slot = Value::Array(if existing.is_null() { Vec::new() } else { vec![existing] });
        }
        let Value::Array(elements) = slot else { return Ok(()) };
        let mut touched: Vec<usize> = (elements.iter().enumerate())
            .filter(|(_, element)| condition.matches(element))
            .map(|(index, _)| index)
            .collect();
        refuse_several(touched.len(), attribute, filter, self.rules)?;
        if touched.is_empty() {
            let refused =
                kind == OpKind::Replace && self.rules.unmatched_replace == UnmatchedReplace::Refuse;
            let Some(seed) = seed.as_ref().filter(|_| !refused) else {
                return Err(ScimError::no_target(format!(
                    "No value of \"{}\" matches [{filter}].",
                    attribute.name
                )));
            };
            touched.push(elements.len());
            elements.push(seed.clone());
        }
        for index in &touched {
            let Some(element) = elements.get_mut(*index) else { continue };
            match (at.sub, &checked) {
                (Some(sub), new) => set_member(object_or_new(element), sub, new.clone(), &path)?,
                (None, Some(Value::Object(new))) if kind == OpKind::Replace => {
                    // What the filter asks for stays true of the element.
                    let asked = |name: &str| seed.as_ref().is_some_and(|s| s.get(name).is_some());
                    let element = object_or_new(element);
                    element.retain(|name, _| asked(name));
                    element.extend(new.clone());
                }
                (None, new) => match (kind, value) {
                    (OpKind::Add, Value::Object(sent)) => {
                        let new = as_object(new.clone());
                        merge(attribute, object_or_new(element), sent, new, &path)?;
                    }
                    _ => *element = new.clone().unwrap_or_default(),
                },
            }
        }
        one_primary(elements, &touched);
        collapse_singular(slot, attribute);
        Ok(())
    }
}

pub(super) fn element_filter<'t>(
    filter: &Filter,
    attribute: &'t Attribute,
) -> Result<ElementFilter<'t>, ScimError> {
    // What is wrong with a filter inside a path is wrong with the path (RFC 7644 §3.12).
    resolve_element(filter, attribute).map_err(|error| ScimError::invalid_path(error.detail))
}

/// An add or replace of elements that a filter chooses, as [`WholeElements`] has it.
pub(super) fn refuse_whole_element(
    kind: OpKind,
    attribute: &Attribute,
    filter: &Filter,
    rules: PatchRules,
) -> Result<(), ScimError> {
    let is_element = attribute.multi_valued && attribute.is_complex() && kind != OpKind::Remove;
    if !is_element || rules.whole_elements == WholeElements::Accept {
        return Ok(());
    }
    let example = attribute.value_sub().or_else(|| attribute.sub_attributes.first());
    Err(ScimError::invalid_path(format!(
        "The path \"{0}[{filter}]\" of {1} names a whole value; name one of its sub-attributes, such \
         as {0}[{filter}].{2}.",
        attribute.name,
        kind.with_article(),
        example.map_or("value", |sub| sub.name.as_str())
    )))
}

/// A filter that matches several elements, as [`SeveralMatches`] has it.
pub(super) fn refuse_several(
    matches: usize,
    attribute: &Attribute,
    filter: &Filter,
    rules: PatchRules,
) -> Result<(), ScimError> {
    if matches < 2 || rules.several_matches == SeveralMatches::Change {
        return Ok(());
    }
    Err(ScimError::invalid_filter(format!(
        "The filter [{filter}] matches {matches} values of \"{}\"; in a path it must match one.",
        attribute.name
    )))
}
