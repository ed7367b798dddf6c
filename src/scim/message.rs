//! Messages: bodies that are requests rather than resources (RFC 7644 §3.1).

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{Object, ScimError};

/// What a message is whose `schemas` are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingSchemas {
    Accept,
    /// 400 `invalidSyntax`.
    Refuse,
}

/// The member of that name, in any letter case.
pub fn member<'o>(object: &'o Object, name: &str) -> Option<&'o Value> {
    let other_case = || object.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    object.get(name).or_else(|| other_case().map(|(_, value)| value))
}

/// Refuses an object in which a member stands twice, in different letter case: which one is meant,
/// nobody can say.
pub fn check_unique(object: &Object, at: &str) -> Result<(), ScimError> {
    let mut names = std::collections::HashSet::with_capacity(object.len());
    match object.keys().find(|name| !names.insert(name.to_ascii_lowercase())) {
        None => Ok(()),
        Some(name) => Err(ScimError::invalid_syntax(format!(
            "The member \"{name}\" stands twice in {at}, in different letter case."
        ))),
    }
}

/// JSON in which no object has a member twice (RFC 8259 §4 leaves open what that would mean).
#[derive(Clone, Debug, PartialEq)]
pub struct UniqueJson(pub Value);

impl<'de> Deserialize<'de> for UniqueJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(UniqueJson(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Object::new();
        while let Some((name, UniqueJson(value))) = members.next_entry::<String, _>()? {
            if object.contains_key(&name) {
                let message = format!("the member \"{name}\" stands twice");
                return Err(serde::de::Error::custom(message));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// Checks that a body is the message that its endpoint takes.
pub fn check(body: &Object, message: &str, missing: MissingSchemas) -> Result<(), ScimError> {
    let uris = match member(body, "schemas") {
        None | Some(Value::Null) if missing == MissingSchemas::Accept => return Ok(()),
        Some(Value::Array(uris)) => uris.as_slice(),
        _ => &[],
    };
    let named = |uri: &Value| uri.as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(message));
    match uris.iter().any(named) {
        true => Ok(()),
        false => Err(ScimError::invalid_syntax(format!(
            "\"schemas\" of this request must be [\"{message}\"]."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_with_a_member_twice_is_no_json() {
        let parse = |text: &str| serde_json::from_str::<UniqueJson>(text);
        let text = r#"{"a":[1,-2,1.5,"x",null,true,{"b":{"c":18446744073709551615}}],"A":0}"#;
        let expected: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(parse(text).expect("unique").0, expected);
        for text in [r#"{"a":1,"a":1}"#, r#"[{"x":{"op":"add","op":"remove"}}]"#] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains("stands twice"), "{error}");
        }
    }

    #[test]
    fn members_differ_in_more_than_letter_case() {
        let check = |value: Value| check_unique(value.as_object().expect("an object"), "it");
        assert!(check(json!({"op": 1, "path": 2})).is_ok());
        assert!(check(json!({"op": 1, "Op": 2})).is_err());
    }
}
