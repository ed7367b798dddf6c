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
        self.values_or(document, None)
    }

    /// With a value for every element that lacks the sub-attribute.
    fn values_or<'d>(&self, document: &'d Object, missing: Option<&'d Value>) -> Vec<&'d Value> {
        let holder = match &self.extension {
            None => Some(document),
            Some(uri) => document.get(uri).and_then(Value::as_object),
        };
        let whole = holder.and_then(|holder| holder.get(&self.attribute));
        let elements = whole.map_or(&[][..], each);
        match &self.sub {
            None => elements.iter().collect(),
            Some(sub) => {
                let objects = elements.iter().filter(|element| element.is_object());
                objects.filter_map(|e| e.get(sub).or(missing)).flat_map(each).collect()
            }
        }
    }
}

/// The elements of an array, nothing for null, else the value itself.
fn each(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(elements) => elements,
        single => std::slice::from_ref(single),
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
        // A value without `primary` counts as not primary (RFC 7643 §2.4).
        let not_primary = Value::Bool(false);
        let is_primary =
            self.data_type == DataType::Boolean && self.place.sub.as_deref() == Some("primary");
        let implied = is_primary.then_some(&not_primary);
        let values = self.place.values_or(document, implied);
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
    use crate::scim::schema::OwnSchemas;
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

    const DEVICE: &str = "urn:example:params:scim:schemas:Device";
    const RACK: &str = "urn:example:params:scim:schemas:extension:Rack";

    /// A type whose every attribute is indexed or unique, where that is possible.
    fn device() -> ResourceType {
        let index =
            |name: &str, data_type: &str| json!({"name": name, "type": data_type, "indexed": true});
        let unique = |name: &str, data_type: &str| json!({"name": name, "type": data_type, "uniqueness": "server"});
        let many = |mut attribute: Value| {
            attribute["multiValued"] = json!(true);
            attribute
        };
        let document = json!({
            "schemas": [
                {"id": DEVICE, "attributes": [
                    index("text", "string"), many(index("flags", "boolean")),
                    index("count", "integer"), index("weight", "decimal"), index("since", "dateTime"),
                    {"name": "ports", "type": "complex", "multiValued": true, "subAttributes": [
                        index("value", "string"), index("primary", "boolean"),
                        many(index("lanes", "integer")),
                    ]},
                    {"name": "exact", "caseExact": true, "uniqueness": "global"},
                    unique("serial", "string"), many(unique("keys", "binary")),
                    unique("page", "reference"), unique("number", "decimal"),
                ]},
                {"id": RACK, "attributes": [
                    index("unit", "integer"),
                    {"name": "slot", "type": "complex", "subAttributes": [unique("id", "string")]},
                ]},
            ],
            "resource_types": [{
                "name": "Device", "endpoint": "/Devices", "schema": DEVICE,
                "schemaExtensions": [{"schema": RACK}],
            }],
        });
        let builtin = Registry::builtin();
        let own = OwnSchemas::parse(document.as_object().unwrap(), &builtin).unwrap();
        (**own.added_to(&builtin).by_name("Device").unwrap()).clone()
    }

    fn object(value: &Value) -> &Object {
        value.as_object().unwrap()
    }

    /// Entries with these numbers are in databases: a name must keep its number for ever.
    #[test]
    fn numbers_follow_from_names() {
        let device = device();
        let numbers: Vec<(i32, &str)> =
            device.indexes.iter().map(|index| (index.path_id, index.name.as_str())).collect();
        let unit = format!("{RACK}:unit");
        assert_eq!(
            numbers,
            [
                (405_644_815, "text"),
                (691_339_057, "flags"),
                (1_815_432_482, "count"),
                (138_732_407, "weight"),
                (1_801_077_205, "since"),
                (1_903_801_414, "ports.value"),
                (1_839_657_906, "ports.primary"),
                (1_946_198_780, "ports.lanes"),
                (753_149_597, unit.as_str()),
            ]
        );
        assert_eq!(path_id("TEXT"), path_id("text"), "letter case is no part of a name");
        assert!(numbers.iter().all(|(number, _)| *number >= 1_000));
    }

    #[test]
    fn index_has_every_value_of_every_place() {
        let device = device();
        let integer = |n: i128| integer_key(n);
        let minute = instant_key(60_000);
        for (name, document, expected) in [
            ("text", json!({"text": " Ä b"}), vec!["ä b".to_owned()]),
            ("text", json!({"text": ""}), vec![String::new()]),
            ("text", json!({"text": "x".repeat(300)}), vec!["x".repeat(256)]),
            ("text", json!({"text": "é".repeat(300)}), vec!["é".repeat(128)]),
            ("text", json!({}), vec![]),
            ("flags", json!({"flags": [true, false]}), vec!["1".into(), "0".into()]),
            ("count", json!({"count": -7}), vec![integer(-7)]),
            ("count", json!({"count": u64::MAX}), vec![integer(u64::MAX.into())]),
            ("weight", json!({"weight": 2}), vec![decimal_key(2.0)]),
            ("since", json!({"since": "1970-01-01T01:01:00+01:00"}), vec![minute]),
            (
                "ports.value",
                json!({"ports": [{"value": "B"}, {"primary": true}, {"value": "a"}]}),
                vec!["b".into(), "a".into()],
            ),
            (
                "ports.primary",
                json!({"ports": [{"value": "B"}, {"primary": true}]}),
                vec!["0".into(), "1".into()],
            ),
            ("ports.primary", json!({}), vec![]),
            (
                "ports.lanes",
                json!({"ports": [{"lanes": [1, 2]}, {"lanes": [3]}]}),
                vec![integer(1), integer(2), integer(3)],
            ),
        ] {
            let index = device.indexes.iter().find(|index| index.name == name).unwrap();
            assert_eq!(index.keys(object(&document)), expected, "{document}");
        }
        let unit = device.indexes.last().unwrap();
        assert_eq!(unit.keys(object(&json!({RACK: {"unit": 3}}))), [integer(3)]);
        assert_eq!(unit.keys(object(&json!({"unit": 3}))), Vec::<String>::new());
    }

    #[test]
    fn claims_are_equal_where_values_are() {
        let claims = |document: Value| -> Vec<(String, String)> {
            let rules = device().unique;
            let claims = rules.iter().flat_map(|rule| rule.claims(object(&document)));
            claims.map(|claim| (claim.scope, claim.key)).collect()
        };
        let slot = |id: &str| json!({RACK: {"slot": {"id": id}}});
        for (one, other) in [
            (json!({"serial": "Ab "}), json!({"serial": "aB"})),
            (json!({"exact": "Jose\u{301}"}), json!({"exact": "Jos\u{e9}"})),
            (json!({"number": 1}), json!({"number": 1.0})),
            (slot("A"), slot("a")),
        ] {
            assert_eq!(claims(one.clone()), claims(other), "{one}");
        }
        for (one, other) in [
            (json!({"exact": "a"}), json!({"exact": "A"})),
            (json!({"keys": ["TWFu"]}), json!({"keys": ["twfu"]})),
            (json!({"page": "../a"}), json!({"page": "../A"})),
            (json!({"number": 1}), json!({"number": 1.5})),
            (json!({"serial": "x".repeat(300)}), json!({"serial": "x".repeat(301)})),
        ] {
            assert_ne!(claims(one.clone()), claims(other), "{one}");
        }
        assert_eq!(
            claims(json!({"keys": ["YQ==", "YQ==", "Yg=="], "serial": " ", "page": "p"})),
            [("Device:keys", "YQ=="), ("Device:keys", "Yg=="), ("Device:page", "p")]
                .map(|(scope, key)| (scope.to_owned(), key.to_owned()))
        );
        assert_eq!(
            claims(slot("7")),
            [(format!("Device:{RACK}:slot.id"), "7".to_owned())],
            "scopes are in databases: they must not change"
        );
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
