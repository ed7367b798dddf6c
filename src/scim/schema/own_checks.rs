//! What a directory's own schemas must not be (RFC 7643 §2, §6, §7), and what this server cannot
//! serve.

use std::collections::HashSet;

use super::own::{OwnSchemas, OwnType, Problems, problem, with_subs};
use super::{Attribute, DataType, Mutability, Registry, Returned, Schema, Uniqueness};
use crate::scim::urn;

/// Limits that keep one directory's schemas from being a burden to all.
const MAX_SCHEMAS: usize = 50;
const MAX_TYPES: usize = 50;
const MAX_ATTRIBUTES: usize = 200;
const MAX_KEYS: usize = 20;
const MAX_NAME_BYTES: usize = 64;

/// Path segments with a meaning of their own, in lower case.
const RESERVED_ENDPOINTS: [&str; 13] = [
    "me",
    "bulk",
    ".search",
    "schemas",
    "resourcetypes",
    "serviceproviderconfig",
    "serviceproviderconfigs",
    "users",
    "groups",
    "roles",
    "entitlements",
    "async",
    "openapi.json",
];

/// Names that other parts of the protocol give to types, in lower case.
const RESERVED_TYPES: [&str; 5] =
    ["schema", "resourcetype", "serviceproviderconfig", "role", "entitlement"];

pub(super) fn check(own: &OwnSchemas, builtin: &Registry, problems: &mut Problems) {
    if own.schemas.len() > MAX_SCHEMAS {
        problems.push(problem("schemas", format!("has more than {MAX_SCHEMAS} elements.")));
    }
    if own.resource_types.len() > MAX_TYPES {
        problems.push(problem("resource_types", format!("has more than {MAX_TYPES} elements.")));
    }
    let catalogue = builtin.catalogue().iter().map(|resource_type| &resource_type.schema);
    let builtin_schemas = builtin.schemas();
    let mut ids: HashSet<String> =
        builtin_schemas.iter().chain(catalogue).map(|schema| schema.id.to_lowercase()).collect();
    for (index, schema) in own.schemas.iter().enumerate() {
        let at = format!("schemas[{index}]");
        check_id(schema, &at, problems);
        if !ids.insert(schema.id.to_lowercase()) {
            let message = format!("\"{}\" is the id of another schema.", schema.id);
            problems.push(problem(format!("{at}.id"), message));
        }
        check_attributes(&schema.attributes, None, &at, "attributes", problems);
        if !own.resource_types.iter().any(|made| uses(made, &schema.id)) {
            problems.push(problem(&at, "is used by no element of \"resource_types\"."));
        }
    }
    check_types(own, builtin, problems);
    if problems.is_empty() {
        check_paths(own, builtin, problems);
    }
    if problems.is_empty() {
        check_keys(own, builtin, problems);
    }
}

fn uses(made: &OwnType, id: &str) -> bool {
    let extensions = made.schema_extensions.iter().map(|extension| &extension.schema);
    made.schema.iter().chain(extensions).any(|used| used.eq_ignore_ascii_case(id))
}

fn check_id(schema: &Schema, at: &str, problems: &mut Problems) {
    let id = schema.id.to_lowercase();
    let at = format!("{at}.id");
    let is_urn = id.starts_with("urn:")
        && id.len() <= 200
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:/+~".contains(&b))
        && id.split(':').all(|part| !part.is_empty());
    // The last part is told from an attribute name by what stands before it.
    if !is_urn || id.split(':').count() < 3 {
        let message = format!(
            "\"{}\" is not a URN such as \"urn:example:params:scim:schemas:extension:acme:2.0:User\".",
            schema.id
        );
        problems.push(problem(at, message));
    } else if id.starts_with("urn:ietf:params:scim:api:")
        || [urn::SCHEMA, urn::RESOURCE_TYPE, urn::SERVICE_PROVIDER_CONFIG]
            .iter()
            .any(|known| known.to_lowercase() == id)
    {
        problems.push(problem(at, format!("\"{}\" belongs to the protocol.", schema.id)));
    }
}

/// The attributes of a schema, or the sub-attributes of `parent`.
fn check_attributes(
    attributes: &[Attribute],
    parent: Option<&Attribute>,
    at: &str,
    member: &str,
    problems: &mut Problems,
) {
    let at = format!("{at}.{member}");
    if attributes.is_empty() {
        problems.push(problem(&at, "must have at least one element."));
    }
    if attributes.len() > MAX_ATTRIBUTES {
        problems.push(problem(&at, format!("has more than {MAX_ATTRIBUTES} elements.")));
    }
    let mut names = HashSet::new();
    for (index, attribute) in attributes.iter().enumerate() {
        let at = format!("{at}[{index}]");
        if !names.insert(attribute.name.to_lowercase()) {
            let message =
                format!("\"{}\" stands twice; letter case makes no difference.", attribute.name);
            problems.push(problem(format!("{at}.name"), message));
        }
        check_name(attribute, parent, &at, problems);
        check_shape(attribute, parent, &at, problems);
        check_characteristics(attribute, parent, &at, problems);
    }
}

/// RFC 7643 §2.1; `$ref` is the one name that starts with a dollar sign (§2.4).
fn check_name(
    attribute: &Attribute,
    parent: Option<&Attribute>,
    at: &str,
    problems: &mut Problems,
) {
    let (name, at) = (attribute.name.as_str(), format!("{at}.name"));
    let mut bytes = name.bytes();
    let well_formed = bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"-_$".contains(&b));
    if !(well_formed || (parent.is_some() && name == "$ref")) || name.len() > MAX_NAME_BYTES {
        let message = format!(
            "\"{name}\" is no attribute name: a letter, then letters, digits, \"-\", \"_\" and \"$\", \
             at most {MAX_NAME_BYTES} in all (RFC 7643 §2.1)."
        );
        problems.push(problem(at, message));
    } else if parent.is_none()
        && ["schemas", "id", "externalId", "meta"].iter().any(|n| n.eq_ignore_ascii_case(name))
    {
        let message = format!("\"{name}\" is an attribute that every resource has already.");
        problems.push(problem(at, message));
    }
}

fn check_shape(
    attribute: &Attribute,
    parent: Option<&Attribute>,
    at: &str,
    problems: &mut Problems,
) {
    if !attribute.is_complex() {
        if !attribute.sub_attributes.is_empty() {
            let message = "may stand only with the type \"complex\".";
            problems.push(problem(format!("{at}.subAttributes"), message));
        }
        return;
    }
    if parent.is_some() {
        let message = "must not be \"complex\": a complex attribute has no complex parts \
                       (RFC 7643 §2.3.8).";
        problems.push(problem(format!("{at}.type"), message));
        return;
    }
    check_attributes(&attribute.sub_attributes, Some(attribute), at, "subAttributes", problems);
}

fn check_characteristics(
    attribute: &Attribute,
    parent: Option<&Attribute>,
    at: &str,
    problems: &mut Problems,
) {
    let mut refuse = |member: &str, message: &str| {
        problems.push(problem(format!("{at}.{member}"), message));
    };
    let data_type = attribute.data_type;
    if attribute.mutability == Mutability::WriteOnly && attribute.returned != Returned::Never {
        refuse("returned", "must be \"never\" for a writeOnly attribute (RFC 7643 §7).");
    }
    if attribute.mutability == Mutability::ReadOnly && attribute.required {
        refuse("required", "must be false for a readOnly attribute, which no client can send.");
    }
    let unique = attribute.uniqueness != Uniqueness::None;
    if unique && matches!(data_type, DataType::Complex | DataType::Boolean) {
        let message = "must be \"none\" for the types complex and boolean; mark a sub-attribute.";
        refuse("uniqueness", message);
    }
    let mut hiding = [Some(attribute), parent].into_iter().flatten();
    let never = hiding.any(|a| a.returned == Returned::Never);
    if unique && never {
        let message = "must be \"none\" for an attribute that is never returned: a refusal would \
                       tell that another resource has the value.";
        refuse("uniqueness", message);
    }
    let indexable = matches!(
        data_type,
        DataType::String
            | DataType::Boolean
            | DataType::Decimal
            | DataType::Integer
            | DataType::DateTime
    );
    if attribute.indexed && !indexable {
        let message = "may be true only for the types string, boolean, decimal, integer and \
                       dateTime; mark a sub-attribute of a complex one.";
        refuse("indexed", message);
    }
    if attribute.indexed && never {
        refuse("indexed", "may not be true for an attribute that is never returned.");
    }
    let textual = matches!(data_type, DataType::String | DataType::Reference);
    if !attribute.canonical_values.is_empty() && !textual {
        refuse("canonicalValues", "may stand only with the types string and reference.");
    }
    if !attribute.reference_types.is_empty() && data_type != DataType::Reference {
        refuse("referenceTypes", "may stand only with the type reference.");
    }
    let is_text = data_type == DataType::String && !attribute.multi_valued;
    if parent.is_none() && attribute.name == "displayName" && attribute.required && !is_text {
        let message = "may be true for \"displayName\" only where that is a single string: it is the \
                       name by which resources are found.";
        refuse("required", message);
    }
}

fn check_types(own: &OwnSchemas, builtin: &Registry, problems: &mut Problems) {
    let mut names = HashSet::new();
    let mut endpoints = HashSet::new();
    for (index, made) in own.resource_types.iter().enumerate() {
        let at = format!("resource_types[{index}]");
        if !names.insert(made.name.to_lowercase()) {
            let message = format!("\"{}\" stands twice.", made.name);
            problems.push(problem(format!("{at}.name"), message));
        }
        match builtin.by_name(&made.name) {
            Some(known) => {
                if made.endpoint.is_some() || made.schema.is_some() || made.name != known.name {
                    let message = format!(
                        "is built in: write its name as \"{}\" and only \"schemaExtensions\" beside \
                         it.",
                        known.name
                    );
                    problems.push(problem(&at, message));
                }
            }
            None => check_new_type(own, made, &at, &mut endpoints, problems),
        }
        let mut used: HashSet<String> = made.schema.iter().map(|id| id.to_lowercase()).collect();
        for (index, extension) in made.schema_extensions.iter().enumerate() {
            let at = format!("{at}.schemaExtensions[{index}].schema");
            check_reference(own, &extension.schema, &at, problems);
            if !used.insert(extension.schema.to_lowercase()) {
                let message = format!("\"{}\" is used twice by this type.", extension.schema);
                problems.push(problem(at, message));
            }
        }
    }
}

fn check_new_type(
    own: &OwnSchemas,
    made: &OwnType,
    at: &str,
    endpoints: &mut HashSet<String>,
    problems: &mut Problems,
) {
    let name = made.name.as_str();
    let well_formed = is_word(name, b"");
    if !well_formed || RESERVED_TYPES.contains(&name.to_lowercase().as_str()) {
        let message = format!(
            "\"{name}\" cannot name a type: a letter, then letters and digits, at most \
             {MAX_NAME_BYTES}, and none of {}.",
            RESERVED_TYPES.join(", ")
        );
        problems.push(problem(format!("{at}.name"), message));
    }
    let place = format!("{at}.endpoint");
    match made.endpoint.as_deref() {
        None => problems.push(problem(place, "is missing; write one such as \"/Devices\".")),
        Some(endpoint) => {
            let segment = endpoint.strip_prefix('/').unwrap_or_default();
            let lower = segment.to_lowercase();
            if !is_word(segment, b"-_") || RESERVED_ENDPOINTS.contains(&lower.as_str()) {
                let message = format!(
                    "\"{endpoint}\" cannot be an endpoint: a slash, a letter, then letters, digits, \
                     \"-\" and \"_\", and none of {}.",
                    RESERVED_ENDPOINTS.join(", ")
                );
                problems.push(problem(&place, message));
            } else if urn::is_external_key(segment) {
                let message =
                    format!("\"{endpoint}\" has the shape of a directory's key in the base URL.");
                problems.push(problem(&place, message));
            }
            if !endpoints.insert(lower) {
                problems.push(problem(place, format!("\"{endpoint}\" stands twice.")));
            }
        }
    }
    let place = format!("{at}.schema");
    match made.schema.as_deref() {
        None => problems.push(problem(place, "is missing; name one of \"schemas\".")),
        Some(id) => check_reference(own, id, &place, problems),
    }
}

fn is_word(text: &str, also: &[u8]) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
        && text.len() <= MAX_NAME_BYTES
}

fn check_reference(own: &OwnSchemas, id: &str, at: &str, problems: &mut Problems) {
    if !own.schemas.iter().any(|schema| schema.id.eq_ignore_ascii_case(id)) {
        let message = format!("\"{id}\" is the id of no element of \"schemas\".");
        problems.push(problem(at, message));
    }
}

/// What a full name means must not depend on where its URI ends.
fn check_paths(own: &OwnSchemas, builtin: &Registry, problems: &mut Problems) {
    let known = builtin.schemas();
    let known = || known.iter().map(|schema| &**schema).chain(&own.schemas);
    for (index, schema) in own.schemas.iter().enumerate() {
        let id = schema.id.to_lowercase();
        let named = known().any(|other| {
            let rest = id.strip_prefix(&other.id.to_lowercase());
            let rest = rest.and_then(|rest| rest.strip_prefix(':')).unwrap_or_default();
            let name = rest.split('.').next().unwrap_or_default();
            other.attribute(name).is_some()
        });
        if named {
            let message = format!(
                "\"{}\" is also the full name of an attribute of another schema.",
                schema.id
            );
            problems.push(problem(format!("schemas[{index}].id"), message));
        }
    }
}

/// Index entries and unique values are rows that every write has to keep.
fn check_keys(own: &OwnSchemas, builtin: &Registry, problems: &mut Problems) {
    for schema in &own.schemas {
        let parts = || schema.attributes.iter().flat_map(with_subs);
        let indexed = parts().filter(|attribute| attribute.indexed).count();
        let unique = parts().filter(|a| a.uniqueness != Uniqueness::None).count();
        if indexed > MAX_KEYS || unique > MAX_KEYS {
            let message = format!(
                "\"{}\" has {indexed} indexed and {unique} unique attributes; at most {MAX_KEYS} of \
                 each are allowed.",
                schema.id
            );
            problems.push(problem("schemas", message));
        }
    }
    let registry = own.added_to(builtin);
    for made in registry.types() {
        let mut seen = HashSet::new();
        for index in made.indexes.iter().filter(|index| !seen.insert(index.path_id)) {
            let message = format!(
                "The name \"{}\" cannot be indexed because its number is taken; rename it.",
                index.name
            );
            problems.push(problem("schemas", message));
        }
    }
}

#[cfg(test)]
#[path = "own_checks_tests.rs"]
mod tests;
