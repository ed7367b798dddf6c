//! JSON that is the same after JavaScript has read and written it.
//!
//! Consumers in JavaScript verify the signature of a webhook over `JSON.stringify(JSON.parse(body))`.
//! JavaScript puts members whose names are whole numbers first, in their order, and knows numbers as
//! doubles alone. A number that it would write in another way is kept as text.

use serde::{Serialize, Serializer};
use serde_json::{Map, Number, Value};

/// The greatest whole number that a double has without gaps: 2^53 - 1.
const MAX_SAFE: i64 = 9_007_199_254_740_991;

/// Brings a value into the form that JavaScript gives back byte for byte.
pub fn stabilise(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(stabilise);
            if members.keys().any(|name| index(name).is_some()) {
                reorder(members);
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(stabilise),
        Value::Number(number) => {
            if let Some(stable) = other_form(number) {
                *value = stable;
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Writes a value in that form, without changing it.
pub struct Stable<'v>(pub &'v Value);

impl Serialize for Stable<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => StableObject(members).serialize(serializer),
            Value::Array(elements) => serializer.collect_seq(elements.iter().map(Stable)),
            Value::Number(number) => match other_form(number) {
                Some(stable) => stable.serialize(serializer),
                None => number.serialize(serializer),
            },
            Value::Null | Value::Bool(_) | Value::String(_) => self.0.serialize(serializer),
        }
    }
}

/// The same for an object.
pub struct StableObject<'v>(pub &'v Map<String, Value>);

impl Serialize for StableObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = self.0.iter().map(|(name, value)| (name, Stable(value)));
        if !self.0.keys().any(|name| index(name).is_some()) {
            return serializer.collect_map(members);
        }
        let mut members: Vec<_> = members.collect();
        members.sort_by_key(|(name, _)| place(name));
        serializer.collect_map(members)
    }
}

/// The value as JSON whose members are sorted by their UTF-16 code units (RFC 8785), for values that
/// [`stabilise`] has seen.
pub fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let mut members: Vec<(&String, &Value)> = members.iter().collect();
                members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
                members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
            }
            Value::Array(elements) => elements.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

/// What JavaScript takes for an array index (ECMA-262 §6.1.7): below 2^32 - 1, without leading zeros.
fn index(name: &str) -> Option<u32> {
    let number: u32 = name.parse().ok()?;
    (number < u32::MAX && number.to_string() == name).then_some(number)
}

/// Where a member stands, in a sort that leaves equal ones as they are: names that are no index stay in
/// their order, behind the others.
fn place(name: &str) -> u64 {
    index(name).map_or(u64::MAX, u64::from)
}

fn reorder(members: &mut Map<String, Value>) {
    let mut all: Vec<(String, Value)> = std::mem::take(members).into_iter().collect();
    all.sort_by_key(|(name, _)| place(name));
    members.extend(all);
}

/// The form of a number that JavaScript would write in another way.
fn other_form(number: &Number) -> Option<Value> {
    if let Some(whole) = number.as_i64() {
        return (whole.unsigned_abs() > MAX_SAFE.unsigned_abs()).then(|| number.to_string().into());
    }
    if !number.is_f64() {
        return Some(number.to_string().into());
    }
    let text = number.to_string();
    if let Some(whole) = text.strip_suffix(".0") {
        let safe = whole
            .parse::<i64>()
            .ok()
            .filter(|whole| whole.unsigned_abs() <= MAX_SAFE.unsigned_abs());
        return Some(safe.map_or_else(|| text.clone().into(), Value::from));
    }
    // The two write exponents differently.
    text.contains(['e', 'E']).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stable(text: &str) -> String {
        let mut value: Value = serde_json::from_str(text).expect("JSON");
        let written = serde_json::to_string(&Stable(&value)).expect("JSON");
        stabilise(&mut value);
        assert_eq!(written, value.to_string(), "written as it is changed");
        written
    }

    /// What `JSON.stringify(JSON.parse(text))` gives for the expected form is the expected form.
    #[test]
    fn numbers_and_names_are_as_javascript_writes_them() {
        for (text, expected) in [
            (r#"{"a":1.0,"b":-0.0,"c":1.5,"d":-7}"#, r#"{"a":1,"b":0,"c":1.5,"d":-7}"#),
            (
                r#"{"a":9007199254740991,"b":9007199254740993}"#,
                r#"{"a":9007199254740991,"b":"9007199254740993"}"#,
            ),
            (r#"[18446744073709551615,1e300,1e-6]"#, r#"["18446744073709551615","1e+300","1e-6"]"#),
            (
                r#"{"b":1,"10":2,"2":3,"a":4,"02":5,"4294967295":6}"#,
                r#"{"2":3,"10":2,"b":1,"a":4,"02":5,"4294967295":6}"#,
            ),
            (r#"{"x":[{"z":1,"1":{"k":2.0}}]}"#, r#"{"x":[{"1":{"k":2},"z":1}]}"#),
        ] {
            assert_eq!(stable(text), expected);
            assert_eq!(stable(expected), expected, "a second time changes nothing");
        }
    }

    #[test]
    fn canonical_text_does_not_depend_on_order() {
        let canonical = |text: &str| canonical(&serde_json::from_str(text).expect("JSON"));
        assert_eq!(
            canonical(
                "{\"b\":[{\"d\":1,\"c\":null}],\"a\":\"\u{e9}\",\"\u{1F600}\":1,\"\u{FB33}\":2}"
            ),
            "{\"a\":\"\u{e9}\",\"b\":[{\"c\":null,\"d\":1}],\"\u{1F600}\":1,\"\u{FB33}\":2}"
        );
    }
}
