//! The operations on a document (RFC 7644 §3.5.2.1 to §3.5.2.3).

use serde_json::Value;

use super::edit::{append, as_object, merge, refuse_immutable_change, replace_whole, set_member};
use super::op::{OpKind, PatchOp};
use super::rules::{ComplexReplace, PatchRules, UnknownPaths};
use super::target::{self, Target, object_or_new};
use crate::scim::filter::{Filter, parse_target_path};
use crate::scim::resource::elements::{holds_references, same};
use crate::scim::resource::validate::{
    attribute_value, check_schema_uris, describe, refuse_unknown, wrong_type,
};
use crate::scim::resource::{Document, Notes, PathTo};
use crate::scim::schema::{Attribute, Kept, Mutability};
use crate::scim::{AttrRef, Object, ResourceType, Schema, ScimError};

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

/// A document in the middle of being edited.
pub(super) struct Editor<'e> {
    pub(super) object: Object,
    resource_type: &'e ResourceType,
    pub(super) rules: PatchRules,
    pub(super) notes: &'e mut Notes,
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
                Target::Unknown(path) => self.unknown_path(op.kind, path, op.value.as_ref()),
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

    /// A value without a path names its attributes itself: as `title`, `name.givenName`,
    /// `URN:attribute` or a whole extension object (RFC 7644 §3.5.2.1, and as identity providers
    /// write them). What a client may not set is passed over, because clients send back what they
    /// were shown; a name that cannot be read as a path is an unknown attribute.
    fn members_of_value(&mut self, kind: OpKind, members: &Object) -> Result<(), ScimError> {
        for (name, value) in members {
            let Ok(path) = parse_target_path(name) else {
                self.unknown_member(kind, name.clone(), value)?;
                continue;
            };
            match target::resolve(&path, self.resource_type) {
                Target::Extension(schema) => self.extension(kind, schema, Some(value))?,
                Target::Attribute(at) => {
                    if !is_read_only(&at) {
                        self.attribute(kind, at, path.filter.as_ref(), Some(value))?;
                    }
                }
                Target::Unknown(path) => self.unknown_member(kind, path, value)?,
            }
        }
        Ok(())
    }

    /// The path of an operation that names no attribute.
    fn unknown_path(
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
        self.keep(kind, path, value);
        Ok(())
    }

    /// A name inside a value that is no attribute, as in the body of a POST.
    fn unknown_member(
        &mut self,
        kind: OpKind,
        name: String,
        value: &Value,
    ) -> Result<(), ScimError> {
        refuse_unknown(&name, self.rules.values)?;
        self.keep(kind, name, Some(value));
        Ok(())
    }

    fn keep(&mut self, kind: OpKind, path: String, value: Option<&Value>) {
        let removed = kind == OpKind::Remove;
        self.notes.keep(path, value.filter(|_| !removed).unwrap_or(&Value::Null));
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
                None => self.unknown_member(kind, format!("{}:{name}", schema.id), value)?,
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
        if at.attribute.name == "schemas" && at.extension.is_none() {
            if kind == OpKind::Remove && filter.is_none() && value.is_none() {
                return Err(ScimError::mutability(
                    "The attribute \"schemas\" is required and cannot be removed.",
                ));
            }
            // It follows from the content; what it may name is checked all the same.
            let uris = match value {
                _ if kind == OpKind::Remove => &[],
                None | Some(Value::Null) => &[],
                Some(Value::Array(uris)) => uris.as_slice(),
                Some(one) => std::slice::from_ref(one),
            };
            return check_schema_uris(uris, self.resource_type, self.rules.values, self.notes);
        }
        if at.attribute.kept != Kept::InDocument {
            return Ok(());
        }
        let immutable = at.attribute.mutability == Mutability::Immutable;
        let before = match immutable || holds_references(at.attribute) {
            true => self.value_of(&at).cloned(),
            false => None,
        };
        let value = value.unwrap_or(&Value::Null);
        let removing = kind == OpKind::Remove;
        let was_assigned = removing && self.value_of(&at).is_some();
        if removing && filter.is_none() && at.sub.is_none() {
            self.refuse_losing_immutable_parts(&at)?;
        }
        match (kind, filter, at.sub) {
            (OpKind::Remove, _, _) => self.remove(&at, filter, value)?,
            (_, Some(filter), _) => self.set_matching(kind, &at, filter, value)?,
            (_, None, Some(sub)) => self.set_sub(&at, sub, value)?,
            (_, None, None) => self.set_whole(kind, &at, value)?,
        }
        self.drop_empties(&at);
        // The last value of a required attribute stays (RFC 7644 §3.5.2.2).
        if was_assigned && at.attribute.required && self.value_of(&at).is_none() {
            return Err(ScimError::mutability(format!(
                "The attribute \"{}\" is required and cannot lose its last value.",
                at.attribute.name
            )));
        }
        let Some(old) = before else { return Ok(()) };
        let new = self.value_of(&at);
        if new.is_some_and(|new| same(at.attribute, &old, new)) {
            // Another spelling of the same references is no change.
            let object = target::container_or_new(&mut self.object, &at);
            object.insert(at.attribute.name.clone(), old);
            return Ok(());
        }
        match immutable {
            true => refuse_immutable_change(at.attribute, &old, new, &at.full_name()),
            false => Ok(()),
        }
    }

    /// A singular complex value does not go with a part that nobody may change.
    fn refuse_losing_immutable_parts(&self, at: &AttrRef<'_>) -> Result<(), ScimError> {
        let Some(Value::Object(old)) = self.value_of(at) else { return Ok(()) };
        let immutable = at
            .attribute
            .sub_attributes
            .iter()
            .find(|sub| sub.mutability == Mutability::Immutable && old.contains_key(&sub.name));
        match immutable {
            None => Ok(()),
            Some(part) => Err(ScimError::mutability(format!(
                "The attribute \"{}.{}\" is immutable and already has a value.",
                at.full_name(),
                part.name
            ))),
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
        let new = match attribute.multi_valued && !value.is_array() && !value.is_null() {
            true => Value::Array(vec![value.clone()]),
            false => value.clone(),
        };
        let checked =
            attribute_value(attribute, new, &PathTo::top(&path), self.rules.values, self.notes)?;
        let slot = target::container_or_new(&mut self.object, at)
            .entry(attribute.name.clone())
            .or_insert(Value::Null);
        match (checked, value) {
            (Some(Value::Array(new)), _) if kind == OpKind::Add => append(attribute, slot, new),
            (checked, Value::Object(sent)) if !attribute.multi_valued => {
                let (slot, new) = (object_or_new(slot), as_object(checked));
                match (kind, self.rules.complex_replace) {
                    (OpKind::Replace, ComplexReplace::Whole) => {
                        replace_whole(attribute, slot, sent, new, &path)?;
                    }
                    _ => merge(attribute, slot, sent, new, &path)?,
                }
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
        let (new, values) = (value.clone(), self.rules.values);
        let checked = attribute_value(sub, new, &PathTo::top(&path), values, self.notes)?;
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
