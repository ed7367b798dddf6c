//! The operations on a document (RFC 7644 §3.5.2.1 to §3.5.2.3).

use serde_json::Value;

use super::op::{OpKind, PatchOp};
use super::target::{self, Target};
use super::{PatchRules, target::object_or_new};
use crate::scim::filter::{ElementFilter, Filter, resolve_element};
use crate::scim::resource::elements::{is_primary, join};
use crate::scim::resource::validate::{attribute_value, describe, single_value, wrong_type};
use crate::scim::resource::{Document, Notes, Rules, UnknownAttributes, UnknownSchemas};
use crate::scim::schema::{Attribute, Kept, Mutability};
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
                    if !is_read_only(&at) {
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
        let removed = kind == OpKind::Remove;
        self.notes.keep(path, value.filter(|_| !removed).unwrap_or(&Value::Null));
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
                if let Some(Value::Object(old)) = self.object.shift_remove(&schema.id) {
                    for (attribute, old) in
                        schema.attributes.iter().filter_map(|a| Some((a, old.get(&a.name)?)))
                    {
                        let path = format!("{}:{}", schema.id, attribute.name);
                        refuse_immutable_change(attribute, old, None, &path)?;
                    }
                }
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
        if is_read_only(&at) {
            return Err(ScimError::mutability(format!(
                "The attribute \"{}\" is read-only.",
                at.full_name()
            )));
        }
        if at.attribute.kept != Kept::InDocument || at.attribute.name == "schemas" {
            // `schemas` follows from the content, and a password is accepted and dropped.
            return Ok(());
        }
        let before = match at.attribute.mutability {
            Mutability::Immutable => self.value_of(&at).cloned(),
            _ => None,
        };
        let value = value.unwrap_or(&Value::Null);
        match (kind, filter, at.sub) {
            (OpKind::Remove, _, _) => self.remove(&at, filter, value)?,
            (_, Some(filter), _) => self.set_matching(kind, &at, filter, value)?,
            (_, None, Some(sub)) => self.set_sub(&at, sub, value)?,
            (_, None, None) => self.set_whole(kind, &at, value)?,
        }
        self.drop_empties(&at);
        match before {
            Some(old) => {
                refuse_immutable_change(at.attribute, &old, self.value_of(&at), &at.full_name())
            }
            None => Ok(()),
        }
    }

    fn value_of(&self, at: &AttrRef<'_>) -> Option<&Value> {
        match at.extension {
            None => self.object.get(&at.attribute.name),
            Some(schema) => self.object.get(&schema.id)?.get(&at.attribute.name),
        }
    }

    /// What an operation has emptied is unassigned for the next one.
    fn drop_empties(&mut self, at: &AttrRef<'_>) {
        let Some(object) = target::container(&mut self.object, at) else { return };
        let Some(slot) = object.get_mut(&at.attribute.name) else { return };
        if let Value::Array(elements) = slot {
            elements.retain(|element| !is_empty(element));
        }
        if is_empty(slot) {
            object.shift_remove(&at.attribute.name);
        }
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
        let slot = target::container_or_new(&mut self.object, at)
            .entry(attribute.name.clone())
            .or_insert(Value::Null);
        match (checked, value) {
            (Some(Value::Array(new)), _) if kind == OpKind::Add => append(attribute, slot, new),
            (checked, Value::Object(sent)) if !attribute.multi_valued => {
                merge(attribute, object_or_new(slot), sent, as_object(checked), &path)?;
            }
            (Some(new), _) => *slot = new,
            // Adding nothing changes nothing; replacing by nothing unassigns (RFC 7643 §2.5).
            (None, _) if kind == OpKind::Add && attribute.multi_valued => {}
            (None, _) => *slot = Value::Null,
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
            *slot = Value::Array(vec![Value::Null]);
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
        let seed = match condition.seed() {
            // Checked and spelled like what a client sends as a value.
            Some(seed) => {
                let seed = Value::Object(seed.into_iter().collect());
                let path = AttrRef { sub: None, ..*at }.full_name();
                let seed = single_value(attribute, &seed, &path, self.rules.values, self.notes)?;
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

    fn remove(
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
                    elements.retain(|element| !listed.iter().any(|one| includes(element, one)));
                } else {
                    *slot = Value::Null;
                }
                Ok(())
            }
        }
    }
}

fn is_read_only(at: &AttrRef<'_>) -> bool {
    let read_only = |attribute: &Attribute| attribute.mutability == Mutability::ReadOnly;
    read_only(at.attribute) || at.sub.is_some_and(read_only)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn element_filter<'t>(
    filter: &Filter,
    attribute: &'t Attribute,
) -> Result<ElementFilter<'t>, ScimError> {
    // What is wrong with a filter inside a path is wrong with the path (RFC 7644 §3.12).
    resolve_element(filter, attribute).map_err(|error| ScimError::invalid_path(error.detail))
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
            single_value(attribute, value, path, rules, &mut Notes::default()).ok().flatten()
        }
        bare => Some(bare.clone()),
    };
    Some(values.iter().filter_map(spelled).collect())
}

/// True when `element` has everything that `wanted` says; a bare value means `value`.
fn includes(element: &Value, wanted: &Value) -> bool {
    match (element, wanted) {
        (Value::Object(element), Value::Object(wanted)) => {
            wanted.iter().all(|(name, value)| element.get(name) == Some(value))
        }
        (Value::Object(element), wanted) => element.get("value") == Some(wanted),
        (element, wanted) => element == wanted,
    }
}

/// Adds elements that are not there yet.
fn append(attribute: &Attribute, slot: &mut Value, new: Vec<Value>) {
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    let Value::Array(elements) = slot else { return };
    let touched = join(attribute, elements, new);
    one_primary(elements, &touched);
}

/// A value that becomes primary ends the others being so (RFC 7644 §3.5.2).
fn one_primary(elements: &mut [Value], touched: &[usize]) {
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
fn collapse_singular(slot: &mut Value, attribute: &Attribute) {
    if let (false, Value::Array(elements)) = (attribute.multi_valued, &mut *slot) {
        *slot = elements.pop().unwrap_or(Value::Null);
    }
}

/// A checked complex value; one without any sub-attribute is `None`.
fn as_object(checked: Option<Value>) -> Object {
    match checked {
        Some(Value::Object(members)) => members,
        _ => Object::new(),
    }
}

/// Sets the sub-attributes in `new`; what was sent and is not in there unassigns.
fn merge(
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
