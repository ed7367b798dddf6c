//! What the store indexes of a document: keys are made here, when a resource is written.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Document;
use super::doc::empty;
use crate::scim::key::text_key;
use crate::scim::schema::{Claim, Index, cut};
use crate::scim::{Object, ResourceType, ScimError};

/// The key columns of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Comparison key of `userName`; `None` for types without one.
    pub user_name_key: Option<String>,
    /// Comparison key of `displayName`, for groups: identity providers look groups up by name.
    pub display_key: Option<String>,
    /// `externalId`, which is compared with case.
    pub external_id: Option<String>,
    pub active: bool,
    pub attributes: Vec<AttributeKey>,
    /// Values that no other resource of the directory may hold.
    pub claims: Vec<Claim>,
}

/// One entry of the attribute index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeKey {
    /// The number of the index.
    pub path_id: i32,
    /// At most [`crate::scim::schema::MAX_INDEX_BYTES`]; longer text is cut and the evaluator
    /// decides the rest.
    pub key: String,
    /// Which element of a multi-valued attribute, from 0.
    pub ordinal: i32,
}

/// The index of the few users whose `active` was taken away.
pub const ACTIVE_UNASSIGNED: i32 = 4;
pub const ACTIVE_UNASSIGNED_KEY: &str = "-";

/// The index of what people call a user. Searches for people use it, no filter does.
pub const PERSON_NAMES: i32 = 5;

/// Comparison keys of what people call a user, each once: the name that is shown, the given name with the
/// family name behind it, the family name.
pub fn person_names(user: &Object) -> BTreeSet<String> {
    let part = |name: &str| user.get("name")?.get(name)?.as_str();
    let (given, family) = (part("givenName"), part("familyName"));
    let full = [given, family].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let shown = user.get("displayName").and_then(Value::as_str);
    let all = [shown, Some(full.as_str()), family].into_iter().flatten();
    let keys = all.map(|name| cut(&text_key(name.trim(), false)).to_owned());
    keys.filter(|key| !key.is_empty()).collect()
}

/// The index entries of them.
pub fn person_name_keys(user: &Object) -> impl Iterator<Item = AttributeKey> + use<> {
    let numbered = (0_i32..).zip(person_names(user));
    numbered.map(|(ordinal, key)| AttributeKey { path_id: PERSON_NAMES, key, ordinal })
}

/// The columns and index entries of a document.
pub fn columns(document: &Document, resource_type: &ResourceType) -> Result<Columns, ScimError> {
    let user_name_key = match resource_type.is_user() {
        true => Some(user_name(document)?),
        false => None,
    };
    let display_key = match resource_type.attribute("displayName") {
        Some(attribute) if attribute.required => {
            document.text(&attribute.name).map(|text| text_key(text, attribute.case_exact))
        }
        _ => None,
    };
    Ok(Columns {
        user_name_key,
        display_key,
        external_id: document.text("externalId").map(|text| text_key(text, true)),
        active: document.is_active(),
        attributes: attribute_keys(document, resource_type),
        claims: claims(document.as_object(), resource_type),
    })
}

fn user_name(document: &Document) -> Result<String, ScimError> {
    let key = text_key(document.text("userName").unwrap_or_default(), false);
    if key.is_empty() { Err(empty("userName")) } else { Ok(key) }
}

fn attribute_keys(document: &Document, resource_type: &ResourceType) -> Vec<AttributeKey> {
    let object = document.as_object();
    let of_index = |index: &Index| {
        let path_id = index.path_id;
        let numbered = (0_i32..).zip(index.keys(object));
        numbered.map(move |(ordinal, key)| AttributeKey { path_id, key, ordinal })
    };
    let mut keys: Vec<AttributeKey> = resource_type.indexes.iter().flat_map(of_index).collect();
    // The column says that the user is active; a filter must not find a value that is not there.
    if resource_type.is_user() && !object.contains_key("active") {
        let key = ACTIVE_UNASSIGNED_KEY.to_owned();
        keys.push(AttributeKey { path_id: ACTIVE_UNASSIGNED, key, ordinal: 0 });
    }
    if resource_type.is_user() {
        keys.extend(person_name_keys(object));
    }
    keys
}

fn claims(object: &Object, resource_type: &ResourceType) -> Vec<Claim> {
    resource_type.unique.iter().flat_map(|rule| rule.claims(object)).collect()
}
