//! What a resource is sorted by where no index gives the order (RFC 7644 §3.4.2.3).

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scim::key::{instant_ms, text_key};
use crate::scim::schema::DataType;
use crate::scim::{AttrRef, Object};
use crate::service::seen::object;
use crate::store::resource::ResourceRow;

/// The order of the variants puts unassigned values last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum SortKey {
    Bool(bool),
    Integer(i64),
    Decimal(#[serde(with = "exact")] f64),
    Instant(i64),
    Text(String),
    Unassigned,
}

impl SortKey {
    /// The primary value of a multi-valued attribute, else its first (RFC 7644 §3.4.2.3).
    pub(super) fn of(row: &ResourceRow, attr: &AttrRef<'_>) -> Self {
        match (attr.extension, attr.attribute.name.as_str(), attr.sub.map(|sub| sub.name.as_str()))
        {
            (None, "meta", Some("created")) => Self::Instant(row.created),
            (None, "meta", Some("lastModified")) => Self::Instant(row.modified),
            (None, "meta", Some("resourceType")) => Self::Text(row.resource_type.clone()),
            _ => Self::of_document(&object(&row.doc), attr),
        }
    }

    fn of_document(document: &Object, attr: &AttrRef<'_>) -> Self {
        let container = match attr.extension {
            None => Some(document),
            Some(schema) => document.get(&schema.id).and_then(Value::as_object),
        };
        let mut value = container.and_then(|object| object.get(&attr.attribute.name));
        if let Some(Value::Array(elements)) = value {
            let is_primary = |e: &&Value| e.get("primary") == Some(&Value::Bool(true));
            value = elements.iter().find(is_primary).or_else(|| elements.first());
        }
        let leaf = attr.leaf();
        if let Some(members) = value.and_then(Value::as_object) {
            value = members.get(&leaf.name);
        }
        match (value, leaf.data_type) {
            (Some(Value::Bool(b)), _) => Self::Bool(*b),
            (Some(Value::Number(n)), DataType::Integer) => {
                n.as_i64().map_or(Self::Unassigned, Self::Integer)
            }
            (Some(Value::Number(n)), _) => n.as_f64().map_or(Self::Unassigned, Self::Decimal),
            (Some(Value::String(text)), DataType::DateTime) => {
                instant_ms(text).map_or(Self::Unassigned, Self::Instant)
            }
            // An empty text is no value, as `pr` has it.
            (Some(Value::String(text)), _) => match text_key(text, leaf.case_exact) {
                key if key.is_empty() => Self::Unassigned,
                key => Self::Text(key),
            },
            _ => Self::Unassigned,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Integer(_) => 1,
            Self::Decimal(_) => 2,
            Self::Instant(_) => 3,
            Self::Text(_) => 4,
            Self::Unassigned => 5,
        }
    }
}

impl Eq for SortKey {}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SortKey {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => a.total_cmp(b),
            (Self::Instant(a), Self::Instant(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

/// A number as its bits: read from decimal digits, it could be another in the last one.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(number.to_bits())
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }
}
