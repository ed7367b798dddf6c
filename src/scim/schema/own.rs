//! A directory's own schemas: read from JSON, checked as a whole, added to the built-in types.
//!
//! The document is declarative: it names every schema of the directory's own, the resource types
//! made of them, and the extensions that they add to User and Group. A document with any fault is
//! refused with all of its faults; nothing of it is used.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::own_checks;
use super::registry::{Extension, Parts, Registry, ResourceType};
use super::{Attribute, Schema};
use crate::scim::Object;

/// What a directory adds to the built-in types.
#[derive(Clone, Debug, Default)]
pub struct OwnSchemas {
    pub(super) schemas: Vec<Schema>,
    pub(super) resource_types: Vec<OwnType>,
}

/// A resource type as the document writes it (RFC 7643 §6). For User and Group only `name` and
/// `schemaExtensions` may stand there.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct OwnType {
    pub(super) name: String,
    pub(super) endpoint: Option<String>,
    #[serde(default)]
    pub(super) description: String,
    pub(super) schema: Option<String>,
    #[serde(default)]
    pub(super) schema_extensions: Vec<OwnExtension>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnExtension {
    pub(super) schema: String,
    #[serde(default)]
    pub(super) required: bool,
}

/// A fault of a document: where, and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `schemas[0].attributes[2].type`
    pub at: String,
    /// A sentence.
    pub message: String,
}

/// All faults that were found.
pub type Problems = Vec<Problem>;

pub(super) fn problem(at: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem { at: at.into(), message: message.into() }
}

impl OwnSchemas {
    /// Reads and checks a document against the built-in types.
    pub fn parse(document: &Object, builtin: &Registry) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        for name in document.keys() {
            if !matches!(name.as_str(), "schemas" | "resource_types") {
                let message = "is not known here; allowed are \"schemas\" and \"resource_types\".";
                problems.push(problem(name, message));
            }
        }
        let schemas = each(document, "schemas", &mut problems, |value, at| {
            let mut value = value.clone();
            complete_schema(&mut value);
            read::<Schema>(value, at)
        });
        let resource_types = each(document, "resource_types", &mut problems, |value, at| {
            read::<OwnType>(value.clone(), at)
        });
        let own = Self { schemas, resource_types };
        // What could not be read would only cause more complaints.
        if problems.is_empty() {
            own_checks::check(&own, builtin, &mut problems);
        }
        if problems.is_empty() { Ok(own) } else { Err(problems) }
    }

    /// True when the directory has nothing of its own.
    pub fn is_empty(&self) -> bool {
        self.schemas.is_empty() && self.resource_types.is_empty()
    }

    /// The built-in types with these added.
    pub fn added_to(&self, builtin: &Registry) -> Registry {
        let schemas: Vec<Arc<Schema>> = self.schemas.iter().cloned().map(Arc::new).collect();
        let find = |id: &str| schemas.iter().find(|schema| schema.id.eq_ignore_ascii_case(id));
        builtin.with_types(|common| {
            let made = self.resource_types.iter().filter_map(|own| {
                let extensions = own.schema_extensions.iter().filter_map(|extension| {
                    let schema = Arc::clone(find(&extension.schema)?);
                    Some(Extension { schema, required: extension.required })
                });
                let extensions = extensions.collect();
                if let Some(known) = builtin.by_name(&own.name) {
                    return Some(known.extended(extensions, common));
                }
                let schema = Arc::clone(find(own.schema.as_deref()?)?);
                let parts = Parts {
                    name: own.name.clone(),
                    endpoint: own.endpoint.clone()?,
                    description: match own.description.is_empty() {
                        true => schema.description.clone(),
                        false => own.description.clone(),
                    },
                    id_prefix: "directory_resource".into(),
                    schema,
                    extensions,
                };
                Some(ResourceType::new(parts, common))
            });
            made.collect()
        })
    }
}

/// The elements of a list, each read; what cannot be read is a problem.
fn each<T>(
    document: &Object,
    name: &str,
    problems: &mut Problems,
    read: impl Fn(&Value, &str) -> Result<T, Problem>,
) -> Vec<T> {
    let elements = match document.get(name) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(elements)) => elements,
        Some(_) => {
            problems.push(problem(name, "must be a list."));
            return Vec::new();
        }
    };
    let mut found = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        match read(element, &format!("{name}[{index}]")) {
            Ok(value) => found.push(value),
            Err(error) => problems.push(error),
        }
    }
    found
}

fn read<T: serde::de::DeserializeOwned>(value: Value, at: &str) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { at.to_owned() } else { format!("{at}.{path}") };
        problem(place, format!("does not fit: {}.", error.inner()))
    })
}

/// Writes out what RFC 7643 §2.2 lets a schema leave out, and drops what `/Schemas` adds to one.
fn complete_schema(value: &mut Value) {
    let Some(schema) = value.as_object_mut() else { return };
    schema.shift_remove("schemas");
    schema.shift_remove("meta");
    let id = schema.get("id").cloned().unwrap_or_default();
    schema.entry("name").or_insert(id);
    schema.entry("description").or_insert("".into());
    if let Some(attributes) = schema.get_mut("attributes") {
        complete_attributes(attributes);
    }
}

fn complete_attributes(attributes: &mut Value) {
    let Value::Array(attributes) = attributes else { return };
    for attribute in attributes.iter_mut().filter_map(Value::as_object_mut) {
        let defaults: [(&str, Value); 8] = [
            ("type", "string".into()),
            ("multiValued", false.into()),
            ("description", "".into()),
            ("required", false.into()),
            ("caseExact", false.into()),
            ("mutability", "readWrite".into()),
            ("returned", "default".into()),
            ("uniqueness", "none".into()),
        ];
        for (name, default) in defaults {
            attribute.entry(name).or_insert(default);
        }
        if let Some(subs) = attribute.get_mut("subAttributes") {
            complete_attributes(subs);
        }
    }
}

/// Every attribute with its sub-attributes.
pub(super) fn with_subs(attribute: &Attribute) -> impl Iterator<Item = &Attribute> {
    std::iter::once(attribute).chain(&attribute.sub_attributes)
}
