//! Schemas as data: attribute definitions with every characteristic of RFC 7643 §7, read from JSON
//! in the form in which `/Schemas` serves them.

mod own;
mod own_checks;
mod registry;
mod rules;

use serde::{Deserialize, Serialize};

pub use own::{OwnSchemas, Problem, Problems};
pub use registry::{Extension, Registry, Resolution, ResourceType};
pub use rules::{Claim, Index, MANAGER, MAX_INDEX_BYTES, Place, UniqueRule, cut};

/// Data types of RFC 7643 §2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DataType {
    String,
    Boolean,
    Decimal,
    Integer,
    DateTime,
    Binary,
    Reference,
    Complex,
}

impl DataType {
    /// The word that schemas and error details use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Decimal => "decimal",
            Self::Integer => "integer",
            Self::DateTime => "dateTime",
            Self::Binary => "binary",
            Self::Reference => "reference",
            Self::Complex => "complex",
        }
    }
}

/// Who may set a value, and when (RFC 7643 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mutability {
    ReadOnly,
    ReadWrite,
    Immutable,
    WriteOnly,
}

/// When a value is part of an answer (RFC 7643 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Returned {
    Always,
    Never,
    Default,
    Request,
}

/// How far a value must be unique (RFC 7643 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Uniqueness {
    None,
    Server,
    Global,
}

/// One attribute definition (RFC 7643 §7). Every characteristic is written out in the JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attribute {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: DataType,
    pub multi_valued: bool,
    pub description: String,
    pub required: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canonical_values: Vec<String>,
    pub case_exact: bool,
    pub mutability: Mutability,
    pub returned: Returned,
    pub uniqueness: Uniqueness,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference_types: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub_attributes: Vec<Attribute>,
    /// Asks for an index. Not a characteristic of the RFC, so `/Schemas` does not show it.
    #[serde(default, skip_serializing)]
    pub indexed: bool,
    /// Where values are kept. Not part of the JSON.
    #[serde(skip)]
    pub kept: Kept,
}

/// Where the values of an attribute are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// In the stored document.
    #[default]
    InDocument,
    /// As rows of their own: the members of a group.
    AsMembers,
    /// Nowhere: a password is accepted and dropped.
    Nowhere,
}

impl Attribute {
    /// The sub-attribute of that name, in any letter case.
    pub fn sub(&self, name: &str) -> Option<&Attribute> {
        self.sub_attributes.iter().find(|sub| sub.name.eq_ignore_ascii_case(name))
    }

    /// The `value` sub-attribute that stands for the whole element of a complex attribute.
    pub fn value_sub(&self) -> Option<&Attribute> {
        self.sub("value")
    }

    pub fn is_complex(&self) -> bool {
        self.data_type == DataType::Complex
    }
}

/// A schema: a URI and the attributes that it defines (RFC 7643 §7).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    pub id: String,
    pub name: String,
    pub description: String,
    pub attributes: Vec<Attribute>,
}

impl Schema {
    /// The attribute of that name, in any letter case.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    }
}
