//! What the store keeps of a type besides its documents: index entries and unique values.
//!
//! Both follow from the schema: `indexed` and `uniqueness` of an attribute. The keys are made here,
//! when a resource is written and when a filter is planned.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Attribute, DataType, Kept, ResourceType, Uniqueness};
use crate::scim::Object;
use crate::scim::key::{TextForm, decimal_key, instant_key, instant_ms, integer_key};
use crate::scim::path::AttrRef;

/// Where a value stands in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The URI of the extension whose object holds the attribute.
    pub extension: Option<String>,
    pub attribute: String,
    pub sub: Option<String>,
}

impl Place {
    /// The values there: one, or one for each element of a multi-valued attribute.
    pub fn values<'d>(&self, document: &'d Object) -> Vec<&'d Value> {
        let holder = match &self.extension {
            None => Some(document),
            Some(uri) => document.get(uri).and_then(Value::as_object),
        };
        let whole = holder.and_then(|holder| holder.get(&self.attribute));
        let elements = match whole {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(elements)) => elements.as_slice(),
            Some(single) => std::slice::from_ref(single),
        };
        match &self.sub {
            None => elements.iter().collect(),
            Some(sub) => elements.iter().filter_map(|element| element.get(sub)).collect(),
        }
    }
}

/// An attribute that the store keeps an index of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Stands in the index entries; the same name has the same number for ever.
    pub path_id: i32,
    /// The attribute in schema spelling, `emails.value`.
    pub name: String,
    place: Place,
    data_type: DataType,
    form: TextForm,
}

/// Longest key in the index, in bytes. Longer text is cut; the evaluator decides the rest.
pub const MAX_INDEX_BYTES: usize = 256;

impl Index {
    /// The keys of a document, one for each value.
    pub fn keys(&self, document: &Object) -> Vec<String> {
        let values = self.place.values(document);
        values.into_iter().filter_map(|value| self.key(value)).collect()
    }

    fn key(&self, value: &Value) -> Option<String> {
        let key = value_key(value, self.data_type, self.form)?;
        Some(cut(&key).to_owned())
    }
}

/// The start of a key that the index holds.
pub fn cut(key: &str) -> &str {
    let mut end = key.len().min(MAX_INDEX_BYTES);
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    key.get(..end).unwrap_or_default()
}

/// A value whose order as text is the order of its type.
fn value_key(value: &Value, data_type: DataType, form: TextForm) -> Option<String> {
    match (value, data_type) {
        (Value::Bool(b), _) => Some(if *b { "1" } else { "0" }.to_owned()),
        (Value::Number(n), DataType::Decimal) => n.as_f64().map(decimal_key),
        (Value::Number(n), _) => n.as_i128().map(integer_key),
        (Value::String(text), DataType::DateTime) => instant_ms(text).map(instant_key),
        (Value::String(text), _) => Some(form.key(text)),
        _ => None,
    }
}

/// An attribute whose values no two resources of the type share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueRule {
    /// The attribute in schema spelling.
    pub name: String,
    /// Stands beside the claimed values.
    pub scope: String,
    place: Place,
    data_type: DataType,
    form: TextForm,
}

impl UniqueRule {
    /// The values that a document claims, each once, with the text to show when one is taken.
    pub fn claims(&self, document: &Object) -> Vec<Claim> {
        let mut claims: Vec<Claim> = Vec::new();
        for value in self.place.values(document) {
            let Some(key) = value_key(value, self.data_type, self.form) else { continue };
            let key = bounded(key);
            if !key.is_empty() && !claims.iter().any(|claim| claim.key == key) {
                claims.push(Claim { scope: self.scope.clone(), attribute: self.name.clone(), key });
            }
        }
        claims
    }
}

/// A value that one resource holds and no other may.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    pub scope: String,
    /// The attribute in schema spelling.
    pub attribute: String,
    pub key: String,
}

/// A key that fits into the index and is still as different as the whole.
fn bounded(key: String) -> String {
    if key.len() <= MAX_INDEX_BYTES {
        return key;
    }
    let digest: String = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    let start: String = key.chars().take(40).collect();
    format!("{start}#{digest}")
}

/// Numbers below this one belong to built-in attributes.
const FIRST_OWN_PATH: u32 = 1_000;

/// Built-in attributes with an index: what identity providers look users up by, and what has to be
/// found when a user goes.
const BUILT_IN: [(i32, &str); 3] = [
    (1, "emails.value"),
    (2, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber"),
    (3, MANAGER),
];

/// The index that finds the users who have somebody as their manager.
pub const MANAGER: &str =
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value";

/// The stored number of an index. An attribute of a directory's own schema gets one from its name,
/// so that no table of numbers is needed; two names with one number are refused when they are loaded.
fn path_id(name: &str) -> i32 {
    if let Some((id, _)) = BUILT_IN.iter().find(|(_, known)| *known == name) {
        return *id;
    }
    let digest = Sha256::digest(name.to_lowercase());
    let number = digest.iter().take(4).fold(0_u32, |n, byte| (n << 8) | u32::from(*byte));
    let span = i32::MAX.unsigned_abs() - FIRST_OWN_PATH;
    i32::try_from(FIRST_OWN_PATH + number % span).unwrap_or(i32::MAX)
}

pub(super) fn indexes(resource_type: &ResourceType) -> Vec<Index> {
    places(resource_type)
        .filter(|(_, attr, name)| {
            let built_in = resource_type.is_user() && BUILT_IN.iter().any(|(_, n)| n == name);
            attr.indexed || built_in
        })
        .map(|(place, attr, name)| Index {
            path_id: path_id(&name),
            name,
            place,
            data_type: attr.data_type,
            form: TextForm::of(attr),
        })
        .collect()
}

pub(super) fn unique_rules(resource_type: &ResourceType) -> Vec<UniqueRule> {
    places(resource_type)
        .filter(|(_, attr, name)| {
            // A user's name has a column of its own.
            let own_column = resource_type.is_user() && name == "userName";
            attr.uniqueness != Uniqueness::None && attr.kept == Kept::InDocument && !own_column
        })
        .map(|(place, attr, name)| UniqueRule {
            scope: format!("{}:{name}", resource_type.name),
            name,
            place,
            data_type: attr.data_type,
            form: TextForm::of(attr),
        })
        .collect()
}

/// Every attribute and sub-attribute that can have a simple value, with its place and full name.
fn places(resource_type: &ResourceType) -> impl Iterator<Item = (Place, &Attribute, String)> {
    let schemas = resource_type.schemas().map(|schema| {
        let is_base = schema.id == resource_type.schema.id;
        (schema, (!is_base).then_some(&**schema))
    });
    schemas.flat_map(|(schema, extension)| {
        schema.attributes.iter().flat_map(move |attribute| {
            let whole = AttrRef { extension, attribute, sub: None };
            let subs = attribute.sub_attributes.iter();
            let subs = subs.map(move |sub| AttrRef { sub: Some(sub), ..whole });
            std::iter::once(whole).chain(subs).map(|at| {
                let place = Place {
                    extension: at.extension.map(|schema| schema.id.clone()),
                    attribute: at.attribute.name.clone(),
                    sub: at.sub.map(|sub| sub.name.clone()),
                };
                (place, at.sub.unwrap_or(at.attribute), at.full_name())
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::{Registry, urn};

    #[test]
    fn built_in_indexes_keep_their_numbers() {
        let registry = Registry::builtin();
        let numbers: Vec<(i32, &str)> = registry
            .user()
            .indexes
            .iter()
            .map(|index| (index.path_id, index.name.as_str()))
            .collect();
        assert_eq!(numbers, BUILT_IN);
        assert!(registry.user().unique.is_empty(), "{:?}", registry.user().unique);
        assert!(
            BUILT_IN
                .iter()
                .all(|(_, name)| name.starts_with("urn:") == name.contains(urn::ENTERPRISE_USER))
        );
    }

    #[test]
    fn keys_are_ordered_like_their_values() {
        let ordered = [
            (
                DataType::Integer,
                vec![json!(i64::MIN), json!(-2), json!(0), json!(7), json!(u64::MAX)],
            ),
            (DataType::Decimal, vec![json!(-1e300), json!(-0.5), json!(0), json!(1e-9), json!(12)]),
            (DataType::Boolean, vec![json!(false), json!(true)]),
            (
                DataType::DateTime,
                vec![
                    json!("1969-12-31T23:59:59Z"),
                    json!("2021-06-25T21:07:33+02:00"),
                    json!("2021-06-25T19:07:33.001Z"),
                ],
            ),
        ];
        for (data_type, values) in ordered {
            let keys: Vec<String> = values
                .iter()
                .map(|v| value_key(v, data_type, TextForm::CaseExact).expect("a key"))
                .collect();
            assert!(keys.is_sorted_by(|a, b| a < b), "{data_type:?}: {keys:?}");
        }
        assert_eq!(decimal_key(-0.0), decimal_key(0.0));
    }

    #[test]
    fn text_is_indexed_as_filters_compare_it() {
        let attribute = |data_type: &str, case_exact: bool, types: Value| -> Attribute {
            serde_json::from_value(json!({
                "name": "a", "type": data_type, "multiValued": false, "description": "",
                "required": false, "caseExact": case_exact, "mutability": "readWrite",
                "returned": "default", "uniqueness": "none", "referenceTypes": types
            }))
            .expect("an attribute")
        };
        let uri = "https://x.org/v2/Users/A";
        for (attribute, key) in [
            (attribute("string", false, json!([])), "https://x.org/v2/users/a"),
            (attribute("string", true, json!([])), uri),
            (attribute("binary", false, json!([])), uri),
            (attribute("reference", false, json!(["external"])), uri),
            (attribute("reference", false, json!(["User"])), "https://x.org/Users/A"),
            (attribute("reference", true, json!([])), "https://x.org/Users/A"),
        ] {
            let found = value_key(&uri.into(), attribute.data_type, TextForm::of(&attribute));
            assert_eq!(found.as_deref(), Some(key), "{attribute:?}");
        }
    }

    #[test]
    fn long_values_stay_apart() {
        let (a, b) = ("x".repeat(300) + "a", "x".repeat(300) + "b");
        assert_ne!(bounded(a.clone()), bounded(b));
        assert!(bounded(a).len() <= MAX_INDEX_BYTES);
    }
}
