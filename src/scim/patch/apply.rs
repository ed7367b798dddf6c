//! The operations on a document (RFC 7644 §3.5.2.1 to §3.5.2.3).

use serde_json::Value;

use super::op::{OpKind, PatchOp};
use super::target::{self, Target};
use super::{PatchRules, target::object_or_new};
use crate::scim::filter::{ElementFilter, Filter, resolve_element};
use crate::scim::resource::doc::is_primary;
use crate::scim::resource::validate::{
    attribute_value, describe, is_kept_elsewhere, single_value, wrong_type,
};
use crate::scim::resource::{Document, Notes};
use crate::scim::schema::{Attribute, Mutability};
use crate::scim::{AttrRef, Object, ResourceType, Schema, ScimError};

/// What an operation is whose path is well formed but names no attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownPaths {
    /// Left out, kept in [`Notes::extra`]; the operations beside it apply.
    Skip,
    /// 400 `invalidPath`.
    Refuse,
}

/// What a replace is whose value filter matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnmatchedReplace {
    /// The element is created from the filter's `eq` terms, as for `add`.
    Create,
    /// 400 `noTarget` (RFC 7644 §3.5.2.3).
    Refuse,
}

/// Applies the operations in order to a copy; an error leaves nothing changed.
///
/// `notes.extra` enters with what is stored beside the document and leaves with the operations on
/// unknown attributes applied to it.
pub fn apply(
    document: &Document,
    ops: &[PatchOp],
    resource_type: &ResourceType,
    rules: PatchRules,
    notes: &mut Notes,
) -> Result<Document, ScimError> {
    let id = document.id().unwrap_or_default().to_owned();
    let mut editor = Editor { object: document.as_object().clone(), resource_type, rules, notes };
    for op in ops {
        editor.operation(op)?;
    }
    Document::canonical(editor.object, &id, resource_type)
}

struct Editor<'e> {
    object: Object,
    resource_type: &'e ResourceType,
    rules: PatchRules,
    notes: &'e mut Notes,
}

impl<'e> Editor<'e> {
    fn operation(&mut self, op: &PatchOp) -> Result<(), ScimError> {
        if let Some(path) = &op.path {
            let resource_type = self.resource_type;
            return match target::resolve(path, resource_type) {
                Target::Extension(schema) => self.extension(op.kind, schema, op.value.as_ref()),
                Target::Attribute(at) => {
                    self.attribute(op.kind, at, path.filter.as_ref(), op.value.as_ref())
                }
                Target::Unknown(path) => self.unknown(op.kind, path, op.value.as_ref()),
            };
        }
        match &op.value {
            Some(Value::Object(members)) => self.members_of_value(op.kind, members),
            other => Err(ScimError::invalid_value(format!(
                "The value of {} without a path must be an object of attributes, but it is {}.",
                op.kind.as_str(),
                other.as_ref().map_or("missing".to_owned(), describe)
            ))),
        }
    }

    /// A value without a path names its attributes itself; what a client may not set is passed over
    /// because clients send back what they were shown.
    fn members_of_value(&mut self, kind: OpKind, members: &Object) -> Result<(), ScimError> {
        for (path, value) in target::members_of_value(members)? {
            match target::resolve(&path, self.resource_type) {
                Target::Extension(schema) => self.extension(kind, schema, Some(value))?,
                Target::Attribute(at) => {
                    let read_only = at.attribute.mutability == Mutability::ReadOnly;
                    if !read_only && at.attribute.name != "schemas" {
                        self.attribute(kind, at, path.filter.as_ref(), Some(value))?;
                    }
                }
                Target::Unknown(path) => self.unknown(kind, path, Some(value))?,
            }
        }
        Ok(())
    }

    fn unknown(
        &mut self,
        kind: OpKind,
        path: String,
        value: Option<&Value>,
    ) -> Result<(), ScimError> {
        if self.rules.unknown_paths == UnknownPaths::Refuse {
            return Err(ScimError::invalid_path(format!(
                "The path \"{path}\" names no attribute of the resource type {}.",
                self.resource_type.name
            )));
        }
        match (kind, value) {
            (OpKind::Remove, _) | (_, None | Some(Value::Null)) => {
                self.notes.extra.shift_remove(&path);
            }
            (_, Some(value)) => {
                self.notes.extra.insert(path.clone(), value.clone());
            }
        }
        self.notes.ignored.push(path);
        Ok(())
    }

    fn extension(
        &mut self,
        kind: OpKind,
        schema: &'e Schema,
        value: Option<&Value>,
    ) -> Result<(), ScimError> {
        let members = match (kind, value) {
            (OpKind::Remove, _) | (_, None | Some(Value::Null)) => {
                self.object.shift_remove(&schema.id);
                return Ok(());
            }
            (_, Some(Value::Object(members))) => members,
            (_, Some(other)) => return Err(wrong_type(&schema.id, "an object", other)),
        };
        for (name, value) in members {
            match schema.attribute(name) {
                Some(attribute) if attribute.mutability == Mutability::ReadOnly => {}
                Some(attribute) => {
                    let at = AttrRef { extension: Some(schema), attribute, sub: None };
                    self.attribute(kind, at, None, Some(value))?;
                }
                None => self.unknown(kind, format!("{}:{name}", schema.id), Some(value))?,
            }
        }
        Ok(())
    }

    fn attribute(
        &mut self,
        kind: OpKind,
        at: AttrRef<'e>,
        filter: Option<&Filter>,
        value: Option<&Value>,
    ) -> Result<(), ScimError> {
        self.refuse_read_only(&at)?;
        if is_kept_elsewhere(at.attribute) || at.attribute.name == "schemas" {
            // `schemas` follows from the content, and a password is accepted and dropped.
            return Ok(());
        }
        if kind == OpKind::Remove {
            return self.remove(&at, filter, value);
        }
        let value = value.unwrap_or(&Value::Null);
        match (filter, at.sub) {
            (Some(filter), _) => self.set_matching(kind, &at, filter, value),
            (None, Some(sub)) => self.set_sub(&at, sub, value),
            (None, None) => self.set_whole(kind, &at, value),
        }
    }

    fn refuse_read_only(&self, at: &AttrRef<'_>) -> Result<(), ScimError> {
        let read_only = at.attribute.mutability == Mutability::ReadOnly
            || at.sub.is_some_and(|sub| sub.mutability == Mutability::ReadOnly);
        if read_only {
            return Err(ScimError::mutability(format!(
                "The attribute \"{}\" is read-only.",
                at.full_name()
            )));
        }
        Ok(())
    }

    fn set_whole(
        &mut self,
        kind: OpKind,
        at: &AttrRef<'_>,
        value: &Value,
    ) -> Result<(), ScimError> {
        let (attribute, path) = (at.attribute, at.full_name());
        // One element may stand for an array of one (RFC 7644 §3.5.2.1).
        let wrapped;
        let value = if attribute.multi_valued && !value.is_array() && !value.is_null() {
            wrapped = Value::Array(vec![value.clone()]);
            &wrapped
        } else {
            value
        };
        let checked = attribute_value(attribute, value, &path, self.rules.values, self.notes)?;
        let Some(checked) = checked else {
            // Adding nothing changes nothing; replacing by nothing unassigns (RFC 7643 §2.5).
            let is_empty_add = kind == OpKind::Add && attribute.multi_valued;
            return if is_empty_add { Ok(()) } else { self.unassign(at) };
        };
        let slot = target::container_or_new(&mut self.object, at)
            .entry(attribute.name.clone())
            .or_insert(Value::Null);
        match (attribute.multi_valued, checked) {
            (true, Value::Array(new)) => {
                if kind == OpKind::Replace {
                    refuse_immutable_change(
                        attribute,
                        slot,
                        Some(&Value::Array(new.clone())),
                        &path,
                    )?;
                    *slot = Value::Array(new);
                } else {
                    append(slot, new);
                }
            }
            (false, Value::Object(new)) => merge(attribute, object_or_new(slot), new, &path)?,
            (_, new) => {
                refuse_immutable_change(attribute, slot, Some(&new), &path)?;
                *slot = new;
            }
        }
        // A null sub-attribute unassigns it; `attribute_value` leaves nulls out.
        if let (false, Value::Object(sent)) = (attribute.multi_valued, value) {
            for (name, _) in sent.iter().filter(|(_, v)| v.is_null()) {
                if let (Some(sub), Value::Object(slot)) = (attribute.sub(name), &mut *slot) {
                    slot.shift_remove(&sub.name);
                }
            }
        }
        Ok(())
    }

    /// `name.givenName`: a sub-attribute of a singular complex attribute, or of the only element of
    /// a multi-valued one.
    fn set_sub(
        &mut self,
        at: &AttrRef<'_>,
        sub: &Attribute,
        value: &Value,
    ) -> Result<(), ScimError> {
        let path = at.full_name();
        let checked = attribute_value(sub, value, &path, self.rules.values, self.notes)?;
        let slot = target::container_or_new(&mut self.object, at)
            .entry(at.attribute.name.clone())
            .or_insert(Value::Null);
        if !at.attribute.multi_valued {
            return set_member(object_or_new(slot), sub, checked, &path);
        }
        if !slot.is_array() {
            *slot = Value::Array(vec![Value::Object(Object::new())]);
        }
        match slot.as_array_mut().map(Vec::as_mut_slice) {
            Some([only]) => set_member(object_or_new(only), sub, checked, &path),
            several => Err(ScimError::invalid_path(format!(
                "The path \"{path}\" names {} values; choose with a filter such as \
                 {}[type eq \"work\"].{}.",
                several.map_or(0, |elements| elements.len()),
                at.attribute.name,
                sub.name
            ))),
        }
    }

    /// `emails[type eq "work"]` and `emails[type eq "work"].value`.
    fn set_matching(
        &mut self,
        kind: OpKind,
        at: &AttrRef<'_>,
        filter: &Filter,
        value: &Value,
    ) -> Result<(), ScimError> {
        let (attribute, path) = (at.attribute, at.full_name());
        let condition = element_filter(filter, attribute)?;
        // An array of one stands for its element.
        let value = match value.as_array().map(Vec::as_slice) {
            Some([only]) if at.sub.is_none_or(|sub| !sub.multi_valued) => only,
            _ => value,
        };
        let checked = match at.sub {
            Some(sub) => attribute_value(sub, value, &path, self.rules.values, self.notes)?,
            None => single_value(attribute, value, &path, self.rules.values, self.notes)?,
        };
        let seed = condition.seed();
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
        if touched.is_empty() {
            let refused =
                kind == OpKind::Replace && self.rules.unmatched_replace == UnmatchedReplace::Refuse;
            let Some(seed) = seed.filter(|_| !refused) else {
                return Err(ScimError::no_target(format!(
                    "No value of \"{}\" matches [{filter}].",
                    attribute.name
                )));
            };
            touched.push(elements.len());
            elements.push(Value::Object(seed.into_iter().collect()));
        }
        for index in &touched {
            let Some(element) = elements.get_mut(*index) else { continue };
            match (at.sub, &checked) {
                (Some(sub), new) => set_member(object_or_new(element), sub, new.clone(), &path)?,
                (None, Some(Value::Object(new))) => {
                    let mut fresh = Object::new();
                    if kind == OpKind::Replace {
                        // What the filter asks for stays true of the element.
                        fresh.extend(condition.seed().unwrap_or_default());
                        fresh.extend(new.clone());
                        *element = Value::Object(fresh);
                    } else {
                        merge(attribute, object_or_new(element), new.clone(), &path)?;
                    }
                }
                (None, Some(new)) => *element = new.clone(),
                (None, None) => *element = Value::Null,
            }
        }
        one_primary(elements, &touched);
        collapse_singular(slot, attribute);
        Ok(())
    }

    fn remove(
        &mut self,
        at: &AttrRef<'_>,
        filter: Option<&Filter>,
        value: Option<&Value>,
    ) -> Result<(), ScimError> {
        let attribute = at.attribute;
        if attribute.required && filter.is_none() && at.sub.is_none() {
            return Err(ScimError::mutability(format!(
                "The attribute \"{}\" is required and cannot be removed.",
                at.full_name()
            )));
        }
        let condition = filter.map(|filter| element_filter(filter, attribute)).transpose()?;
        let listed = match value {
            Some(value) if condition.is_none() && at.sub.is_none() && attribute.multi_valued => {
                listed_values(value)
            }
            _ => None,
        };
        let path = at.full_name();
        let Some(slot) = target::container(&mut self.object, at)
            .and_then(|object| object.get_mut(&attribute.name))
        else {
            return Ok(());
        };
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
                    single => set_member(object_or_new(single), sub, None, &path)?,
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
                    elements.retain(|element| !listed.iter().any(|one| includes(element, one)));
                    return Ok(());
                }
                self.unassign(at)
            }
        }
    }

    fn unassign(&mut self, at: &AttrRef<'_>) -> Result<(), ScimError> {
        let path = at.full_name();
        if let Some(object) = target::container(&mut self.object, at) {
            if let Some(old) = object.get(&at.attribute.name) {
                refuse_immutable_change(at.attribute, old, None, &path)?;
            }
            object.shift_remove(&at.attribute.name);
        }
        Ok(())
    }
}

fn element_filter<'t>(
    filter: &Filter,
    attribute: &'t Attribute,
) -> Result<ElementFilter<'t>, ScimError> {
    // What is wrong with a filter inside a path is wrong with the path (RFC 7644 §3.12).
    resolve_element(filter, attribute).map_err(|error| ScimError::invalid_path(error.detail))
}

/// The values of a remove that lists what to remove; an empty list removes nothing.
fn listed_values(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Null => None,
        Value::Array(values) => Some(values.clone()),
        one => Some(vec![one.clone()]),
    }
}

/// True when `element` has everything that `wanted` says; a bare value means `value`.
fn includes(element: &Value, wanted: &Value) -> bool {
    match (element, wanted) {
        (Value::Object(element), Value::Object(wanted)) => {
            wanted.iter().filter(|(_, v)| !v.is_null()).all(|(name, value)| {
                element.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && v == value)
            })
        }
        (Value::Object(element), wanted) => element.get("value") == Some(wanted),
        (element, wanted) => element == wanted,
    }
}

/// Adds elements that are not there yet. An element with the same value and type takes over what
/// the new one says: the pair is never stored twice (RFC 7643 §2.4).
fn append(slot: &mut Value, new: Vec<Value>) {
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    let Value::Array(elements) = slot else { return };
    let mut touched = Vec::new();
    for element in new {
        let same = |old: &Value| {
            *old == element
                || (element.get("value").is_some()
                    && old.get("value") == element.get("value")
                    && old.get("type") == element.get("type"))
        };
        match elements.iter().position(same) {
            Some(index) => {
                touched.push(index);
                if let (Some(Value::Object(old)), Value::Object(new)) =
                    (elements.get_mut(index), element)
                {
                    old.extend(new);
                }
            }
            None => {
                touched.push(elements.len());
                elements.push(element);
            }
        }
    }
    one_primary(elements, &touched);
}

/// A value that becomes primary ends the others being so (RFC 7644 §3.5.2).
fn one_primary(elements: &mut [Value], touched: &[usize]) {
    let new_primary = touched.iter().any(|i| elements.get(*i).is_some_and(is_primary));
    if !new_primary {
        return;
    }
    for (index, element) in elements.iter_mut().enumerate() {
        if !touched.contains(&index) && is_primary(element)
            && let Value::Object(members) = element {
                members.insert("primary".into(), false.into());
            }
    }
}

/// A filter on a singular complex attribute was worked on as an array of one.
fn collapse_singular(slot: &mut Value, attribute: &Attribute) {
    if let (false, Value::Array(elements)) = (attribute.multi_valued, &mut *slot) {
        *slot = elements.pop().unwrap_or(Value::Null);
    }
}

fn merge(
    attribute: &Attribute,
    into: &mut Object,
    new: Object,
    path: &str,
) -> Result<(), ScimError> {
    for (name, value) in new {
        if let Some(sub) = attribute.sub(&name) {
            set_member(into, sub, Some(value), path)?;
        }
    }
    // Sub-attributes stand in schema order, whatever the order of the operations.
    let mut ordered = Object::new();
    for sub in &attribute.sub_attributes {
        if let Some(value) = into.shift_remove(&sub.name) {
            ordered.insert(sub.name.clone(), value);
        }
    }
    *into = ordered;
    Ok(())
}

fn set_member(
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
fn refuse_immutable_change(
    attribute: &Attribute,
    old: &Value,
    new: Option<&Value>,
    path: &str,
) -> Result<(), ScimError> {
    let is_change = !old.is_null() && Some(old) != new;
    if attribute.mutability == Mutability::Immutable && is_change {
        return Err(ScimError::mutability(format!(
            "The attribute \"{path}\" is immutable and already has a value."
        )));
    }
    Ok(())
}
