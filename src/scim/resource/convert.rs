//! A stored document under changed schemas.
//!
//! Nothing that a client sent is lost: a value that no schema knows any more, or that does not fit
//! what its attribute has become, moves to `extra`; a value there that a schema knows now comes back.

use serde_json::Value;

use super::validate::{self, UnknownAttributes, UnknownSchemas};
use super::{Document, Notes, Rules};
use crate::scim::Object;
use crate::scim::schema::{Attribute, Kept, Mutability, ResourceType};

const LENIENT: Rules =
    Rules { unknown_attributes: UnknownAttributes::Keep, unknown_schemas: UnknownSchemas::Drop };

/// The document and its `extra` as `resource_type` has them.
///
/// A resource that lacks what has become required stays as it is: it can be read, and the next
/// change has to supply the value.
pub fn convert(doc: &Object, extra: &Object, resource_type: &ResourceType) -> (Document, Object) {
    let mut sorter = Sorter { resource_type, found: Object::new(), extra: Object::new() };
    let stored = doc.iter().filter(|(name, _)| !matches!(name.as_str(), "schemas" | "id"));
    for (name, value) in stored.chain(extra) {
        sorter.value(name, value);
    }
    let id = doc.get("id").and_then(Value::as_str).unwrap_or_default();
    (Document::arranged(sorter.found, id, resource_type), sorter.extra)
}

/// Puts every value where it belongs. What stands in the document comes first and wins.
struct Sorter<'s> {
    resource_type: &'s ResourceType,
    found: Object,
    extra: Object,
}

impl Sorter<'_> {
    fn value(&mut self, name: &str, value: &Value) {
        let resource_type = self.resource_type;
        if let Some(attribute) = resource_type.attribute(name) {
            return self.attribute(None, attribute, name, value);
        }
        if let (Some(extension), Value::Object(members)) = (resource_type.extension(name), value) {
            let uri = extension.schema.id.as_str();
            for (member, value) in members {
                let path = format!("{uri}:{member}");
                match extension.schema.attribute(member) {
                    Some(attribute) => self.attribute(Some(uri), attribute, &path, value),
                    None => self.keep(&path, value),
                }
            }
            return;
        }
        // `urn:…:User:badge`, as the member of an extension is kept when nothing knows it.
        let split = name.rsplit_once(':').and_then(|(uri, member)| {
            let schema = &resource_type.extension(uri)?.schema;
            Some((schema.id.as_str(), schema.attribute(member)?))
        });
        match split {
            Some((uri, attribute)) => self.attribute(Some(uri), attribute, name, value),
            None => self.keep(name, value),
        }
    }

    fn attribute(
        &mut self,
        extension: Option<&str>,
        attribute: &Attribute,
        name: &str,
        value: &Value,
    ) {
        let kept_here = attribute.kept == Kept::InDocument;
        if attribute.mutability == Mutability::ReadOnly || !kept_here {
            return self.keep(name, value);
        }
        let mut notes = Notes::default();
        let fitted = validate::attribute_value(attribute, value, name, LENIENT, &mut notes);
        match fitted {
            Ok(Some(fitted)) => self.insert(extension, &attribute.name, fitted),
            Ok(None) => {}
            Err(_) => self.keep(name, value),
        }
    }

    fn insert(&mut self, extension: Option<&str>, name: &str, value: Value) {
        let holder = match extension {
            None => Some(&mut self.found),
            Some(uri) => {
                let inner = self.found.entry(uri).or_insert_with(|| Object::new().into());
                inner.as_object_mut()
            }
        };
        if let Some(holder) = holder {
            holder.entry(name).or_insert(value);
        }
    }

    fn keep(&mut self, name: &str, value: &Value) {
        self.extra.entry(name).or_insert_with(|| value.clone());
    }
}
