//! What the store indexes of a document: keys are made here, when a resource is written.

use serde_json::Value;

use super::Document;
use crate::scim::key::text_key;
use crate::scim::urn;
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
}

/// One entry of the attribute index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeKey {
    pub path: IndexedPath,
    /// At most [`MAX_INDEX_BYTES`]; longer text is cut and the evaluator decides the rest.
    pub key: String,
    /// Which element of a multi-valued attribute, from 0.
    pub ordinal: i32,
}

/// Attributes that every directory indexes. The number is stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexedPath {
    EmailsValue = 1,
    EmployeeNumber = 2,
}

impl IndexedPath {
    /// The stored number.
    pub fn id(self) -> i32 {
        match self {
            Self::EmailsValue => 1,
            Self::EmployeeNumber => 2,
        }
    }

    /// The indexed attribute with that name in schema spelling, `emails.value`.
    pub fn by_name(full_name: &str) -> Option<Self> {
        match full_name {
            "emails.value" => Some(Self::EmailsValue),
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber" => {
                Some(Self::EmployeeNumber)
            }
            _ => None,
        }
    }
}

/// Longest attribute key in the index, in bytes.
pub const MAX_INDEX_BYTES: usize = 256;

/// The start of a key that the index holds.
pub fn index_key(key: &str) -> &str {
    let mut end = key.len().min(MAX_INDEX_BYTES);
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    key.get(..end).unwrap_or_default()
}

/// The columns and index entries of a document.
pub fn columns(document: &Document, resource_type: &ResourceType) -> Result<Columns, ScimError> {
    let user_name_key = match resource_type.attribute("userName") {
        Some(_) => Some(user_name(document)?),
        None => None,
    };
    let display_key = match resource_type.attribute("displayName") {
        Some(attribute) if attribute.required => {
            document.text(&attribute.name).map(|text| text_key(text, attribute.case_exact))
        }
        _ => None,
    };
    if display_key.as_deref() == Some("") {
        return Err(empty("displayName"));
    }
    Ok(Columns {
        user_name_key,
        display_key,
        external_id: document.text("externalId").map(|text| text_key(text, true)),
        active: document.is_active(),
        attributes: attribute_keys(document.as_object()),
    })
}

fn user_name(document: &Document) -> Result<String, ScimError> {
    let key = text_key(document.text("userName").unwrap_or_default(), false);
    if key.is_empty() { Err(empty("userName")) } else { Ok(key) }
}

fn empty(attribute: &str) -> ScimError {
    ScimError::invalid_value(format!(
        "The attribute \"{attribute}\" is required and must not be empty."
    ))
}

fn attribute_keys(object: &Object) -> Vec<AttributeKey> {
    let mut keys = Vec::new();
    let mut push = |path, value: Option<&Value>, ordinal: usize| {
        if let (Some(text), Ok(ordinal)) = (value.and_then(Value::as_str), i32::try_from(ordinal)) {
            let key = text_key(text, false);
            keys.push(AttributeKey { path, key: index_key(&key).to_owned(), ordinal });
        }
    };
    if let Some(Value::Array(emails)) = object.get("emails") {
        for (ordinal, email) in emails.iter().enumerate() {
            push(IndexedPath::EmailsValue, email.get("value"), ordinal);
        }
    }
    let employee_number = object.get(urn::ENTERPRISE_USER).and_then(|e| e.get("employeeNumber"));
    push(IndexedPath::EmployeeNumber, employee_number, 0);
    keys
}
