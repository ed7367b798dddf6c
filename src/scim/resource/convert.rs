//! A stored document under changed schemas.
//!
//! Nothing that a client sent is lost: a value that no schema knows any more, or that does not fit
//! what its attribute has become, moves to `extra`; a value there that a schema knows now comes back.
//! The names in `extra` are paths. `emails.rank` of a multi-valued attribute holds elements of which
//! only that part is not in the document; the part comes back into elements that are still there,
//! because an element that a client removed must not come back.

use serde_json::Value;

use super::elements::distinct;
use super::validate::{self, UnknownAttributes, UnknownSchemas};
use super::{Document, Notes, PathTo, Rules};
use crate::scim::filter::parse_attr_path;
use crate::scim::schema::{Attribute, Kept, Mutability, ResourceType};
use crate::scim::{AttrPath, AttrRef, Object, Schema};

const LENIENT: Rules =
    Rules { unknown_attributes: UnknownAttributes::Keep, unknown_schemas: UnknownSchemas::Drop };

/// The document and its `extra` as `resource_type` has them.
///
/// A resource that lacks what has become required stays as it is: it can be read, and the next
/// change has to supply the value.
pub fn convert(doc: &Object, extra: &Object, resource_type: &ResourceType) -> (Document, Object) {
    let (own, found) = (Object::new(), Object::new());
    let mut sorter = Sorter { resource_type, own, found, extra: Object::new() };
    for (name, value) in doc.iter().filter(|(name, _)| !matches!(name.as_str(), "schemas" | "id")) {
        sorter.value(name, value);
    }
    sorter.own = sorter.found.clone();
    for (name, value) in extra {
        sorter.value(name, value);
    }
    let id = doc.get("id").and_then(Value::as_str).unwrap_or_default();
    (Document::arranged(sorter.found, id, resource_type), sorter.extra)
}

/// Puts every value where it belongs. What stands in the document comes first and wins.
struct Sorter<'s> {
    resource_type: &'s ResourceType,
    /// What the document had, before anything came back.
    own: Object,
    found: Object,
    extra: Object,
}

impl<'s> Sorter<'s> {
    fn value(&mut self, name: &str, value: &Value) {
        let resource_type = self.resource_type;
        if let (Some(extension), Value::Object(members)) = (resource_type.extension(name), value) {
            let schema = &*extension.schema;
            for (member, value) in members {
                match schema.attribute(member) {
                    Some(attribute) => {
                        let at = AttrRef { extension: Some(schema), attribute, sub: None };
                        self.attribute(at, &at.full_name(), value);
                    }
                    None => self.keep(&format!("{}:{member}", schema.id), value),
                }
            }
            return;
        }
        match self.place(name) {
            None => self.keep(name, value),
            Some(at @ AttrRef { sub: None, .. }) => self.attribute(at, name, value),
            Some(at @ AttrRef { sub: Some(sub), .. }) => self.part(at, sub, name, value),
        }
    }

    /// What the name of a stored value means. A name without a URI is never one of an extension: a
    /// client that writes it so into a resource does not mean that.
    fn place(&self, name: &str) -> Option<AttrRef<'s>> {
        let path: AttrPath = parse_attr_path(name).ok()?;
        let at = self.resource_type.resolve_attribute(&path)?;
        (path.schema.is_some() || at.extension.is_none()).then_some(at)
    }

    fn attribute(&mut self, at: AttrRef<'s>, name: &str, value: &Value) {
        let attribute = at.attribute;
        if attribute.kept != Kept::InDocument || attribute.mutability == Mutability::ReadOnly {
            return self.keep(name, value);
        }
        match (attribute.is_complex(), attribute.multi_valued, value) {
            (true, false, Value::Object(members)) => {
                let (fitted, lost) = split(attribute, members, name);
                for (part, value) in &lost {
                    self.keep(&format!("{name}.{part}"), value);
                }
                if !fitted.is_empty() {
                    self.insert(at, fitted.into());
                }
            }
            (true, true, Value::Array(elements)) if elements.iter().all(Value::is_object) => {
                match self.elements(attribute, elements, name) {
                    Some(elements) => self.insert(at, elements.into()),
                    None => self.keep(name, value),
                }
            }
            _ => match fit(attribute, value, name) {
                Ok(Some(fitted)) => self.insert(at, fitted),
                Ok(None) => {}
                Err(()) => self.keep(name, value),
            },
        }
    }

    /// The parts of elements that the attribute has; the other parts are kept with what tells which
    /// element they are of. `None` when two elements would become one, or one would be empty.
    fn elements(
        &mut self,
        attribute: &Attribute,
        elements: &[Value],
        name: &str,
    ) -> Option<Vec<Value>> {
        let mut kept: Vec<Value> = Vec::with_capacity(elements.len());
        let mut lost = Object::new();
        for members in elements.iter().filter_map(Value::as_object) {
            let (fitted, parts) = split(attribute, members, name);
            for (part, value) in parts {
                let mut element = key(&fitted);
                element.insert(part.clone(), value);
                let list = lost.entry(format!("{name}.{part}"));
                if let Value::Array(list) = list.or_insert_with(|| Value::Array(Vec::new())) {
                    list.push(element.into());
                }
            }
            if !fitted.is_empty() {
                kept.push(fitted.into());
            }
        }
        if kept.is_empty() || distinct(attribute, kept.clone()).len() < elements.len() {
            return None;
        }
        for (name, list) in &lost {
            self.keep(name, list);
        }
        Some(kept)
    }

    /// A part of a complex attribute that was kept apart.
    fn part(&mut self, at: AttrRef<'s>, sub: &Attribute, name: &str, value: &Value) {
        let kept_here = at.attribute.kept == Kept::InDocument;
        let settable = [at.attribute, sub].iter().all(|a| a.mutability != Mutability::ReadOnly);
        if !kept_here || !settable {
            return self.keep(name, value);
        }
        if !at.attribute.multi_valued {
            return match fit(sub, value, name) {
                Ok(Some(fitted)) => {
                    let whole = self.holder(at.extension).entry(at.attribute.name.clone());
                    if let Value::Object(whole) = whole.or_insert_with(|| Object::new().into()) {
                        whole.entry(sub.name.clone()).or_insert(fitted);
                    }
                }
                Ok(None) => {}
                Err(()) => self.keep(name, value),
            };
        }
        let parts = value.as_array().map(Vec::as_slice);
        let Some(parts) = parts.filter(|parts| parts.iter().all(Value::is_object)) else {
            return self.keep(name, value);
        };
        let mut misfits = Vec::new();
        for part in parts.iter().filter_map(Value::as_object) {
            let Some((part_name, value)) =
                part.iter().find(|(member, _)| sub.name.eq_ignore_ascii_case(member))
            else {
                continue;
            };
            match fit(sub, value, name) {
                Ok(Some(fitted)) => {
                    let mut of = part.clone();
                    of.shift_remove(part_name);
                    self.give_back(at, sub, &of, &fitted);
                }
                Ok(None) => {}
                Err(()) => misfits.push(Value::Object(part.clone())),
            }
        }
        if !misfits.is_empty() {
            self.keep(name, &misfits.into());
        }
    }

    /// Gives a part back to the elements that it is of: to those that are what it was of, and if a client
    /// has changed that, to those that have all of it.
    fn give_back(&mut self, at: AttrRef<'_>, sub: &Attribute, of: &Object, part: &Value) {
        let is = |element: &Value| element.as_object().is_some_and(|members| key(members) == *of);
        let exact: Vec<bool> = self.own_elements(at).iter().map(is).collect();
        let is_any_exact = exact.contains(&true);
        let elements = self.holder(at.extension).get_mut(&at.attribute.name);
        let elements = elements.and_then(Value::as_array_mut).into_iter().flatten();
        for (index, element) in elements.enumerate() {
            let is_meant = match is_any_exact {
                true => exact.get(index) == Some(&true),
                false => of.iter().all(|(name, value)| element.get(name) == Some(value)),
            };
            if let (true, Value::Object(members)) = (is_meant, element) {
                members.entry(sub.name.clone()).or_insert_with(|| part.clone());
            }
        }
    }

    /// The elements that the document had.
    fn own_elements(&self, at: AttrRef<'_>) -> &[Value] {
        let holder = match at.extension {
            Some(schema) => self.own.get(&schema.id).and_then(Value::as_object),
            None => Some(&self.own),
        };
        let elements = holder.and_then(|holder| holder.get(&at.attribute.name)?.as_array());
        elements.map_or(&[], Vec::as_slice)
    }

    fn insert(&mut self, at: AttrRef<'_>, value: Value) {
        self.holder(at.extension).entry(at.attribute.name.clone()).or_insert(value);
    }

    /// The object that holds the attributes of the schema.
    #[expect(clippy::expect_used, reason = "only this function puts a value under that name")]
    fn holder(&mut self, extension: Option<&Schema>) -> &mut Object {
        let Some(schema) = extension else { return &mut self.found };
        let inner = self.found.entry(schema.id.clone()).or_insert_with(|| Object::new().into());
        inner.as_object_mut().expect("made an object above")
    }

    fn keep(&mut self, name: &str, value: &Value) {
        self.extra.entry(name).or_insert_with(|| value.clone());
    }
}

/// The members that the complex attribute has and that fit, in its spelling; and the others.
fn split(attribute: &Attribute, members: &Object, path: &str) -> (Object, Object) {
    let (mut fitted, mut lost) = (Object::new(), Object::new());
    for (name, value) in members {
        let sub = attribute.sub(name).filter(|sub| sub.mutability != Mutability::ReadOnly);
        match sub.map(|sub| (sub, fit(sub, value, path))) {
            Some((sub, Ok(Some(value)))) => {
                fitted.entry(sub.name.clone()).or_insert(value);
            }
            Some((_, Ok(None))) => {}
            Some((_, Err(()))) | None => {
                lost.insert(name.clone(), value.clone());
            }
        }
    }
    (fitted, lost)
}

/// What tells an element from others: `value` and `type`, or all of it.
fn key(element: &Object) -> Object {
    let mut key = element.clone();
    if key.contains_key("value") {
        key.retain(|name, _| matches!(name.as_str(), "value" | "type"));
    }
    key
}

/// The value as the attribute has it; `Err` when it does not fit.
fn fit(attribute: &Attribute, value: &Value, path: &str) -> Result<Option<Value>, ()> {
    validate::attribute_value(
        attribute,
        value.clone(),
        &PathTo::top(path),
        LENIENT,
        &mut Notes::default(),
    )
    .map_err(|_| ())
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
