//! Values against an operand: comparing, and what counts as present.

use std::cmp::Ordering;

use serde_json::Value;

use super::ast::CompareOp;
use super::operand::Operand;
use crate::scim::key::{TextForm, instant_ms, text_key};
use crate::scim::schema::{Attribute, DataType};

/// True when any of the values matches; for `ne`, when none is equal.
///
/// [`Operand::Null`] is about presence and is decided by the caller.
pub(super) fn matches<'v>(
    leaf: &Attribute,
    op: CompareOp,
    operand: &Operand,
    mut values: impl Iterator<Item = &'v Value>,
) -> bool {
    match op {
        CompareOp::Ne => !values.any(|value| matches_one(leaf, CompareOp::Eq, operand, value)),
        op => values.any(|value| matches_one(leaf, op, operand, value)),
    }
}

fn matches_one(leaf: &Attribute, op: CompareOp, operand: &Operand, value: &Value) -> bool {
    let ordering = match operand {
        Operand::Null => None,
        Operand::Bool(wanted) => value.as_bool().map(|found| found.cmp(wanted)),
        Operand::Integer(wanted) => match value.as_i64() {
            Some(found) => Some(found.cmp(wanted)),
            // More than an i64 holds is more than any operand.
            None => value.as_u64().map(|_| Ordering::Greater),
        },
        Operand::Decimal(wanted) => value.as_f64().and_then(|found| found.partial_cmp(wanted)),
        Operand::Instant(wanted) => {
            value.as_str().and_then(instant_ms).map(|found| found.cmp(wanted))
        }
        Operand::Text(wanted) => {
            let Some(text) = value.as_str() else { return false };
            let form = TextForm::of(leaf);
            let part = || text_key(text, form.is_case_exact());
            match op {
                CompareOp::Co => return part().contains(wanted.as_str()),
                CompareOp::Sw => return part().starts_with(wanted.as_str()),
                CompareOp::Ew => return part().ends_with(wanted.as_str()),
                _ => Some(form.key(text).as_str().cmp(wanted)),
            }
        }
    };
    let Some(ordering) = ordering else { return false };
    match op {
        CompareOp::Eq => ordering.is_eq(),
        CompareOp::Ne => ordering.is_ne(),
        CompareOp::Gt => ordering.is_gt(),
        CompareOp::Ge => ordering.is_ge(),
        CompareOp::Lt => ordering.is_lt(),
        CompareOp::Le => ordering.is_le(),
        CompareOp::Co | CompareOp::Sw | CompareOp::Ew => false,
    }
}

/// True for a value that is not empty (RFC 7644 §3.4.2.2, `pr`).
pub(super) fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(elements) => elements.iter().any(is_present),
        Value::Object(members) => members.values().any(is_present),
    }
}

/// The values in it: the elements of an array, nothing for null, else the value itself.
pub(super) fn each(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(elements) => elements,
        single => std::slice::from_ref(single),
    }
}

/// The values of a sub-attribute in one element. A missing `primary` is false (RFC 7643 §2.4).
pub(super) fn values_of_sub<'v>(element: &'v Value, sub: &Attribute) -> &'v [Value] {
    static NOT_PRIMARY: Value = Value::Bool(false);
    match element.get(&sub.name) {
        Some(value) if !value.is_null() => each(value),
        _ if element.is_object() && sub.name == "primary" && sub.data_type == DataType::Boolean => {
            std::slice::from_ref(&NOT_PRIMARY)
        }
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::operand::fit;
    use super::super::operand::tests::{attribute, number, text};
    use super::*;

    #[test]
    fn values_that_match() {
        let big = json!(u64::MAX);
        let table = [
            ("string", "eq", text("ANN "), json!("Ann"), true),
            ("string", "co", text("n b"), json!("Ann B"), true),
            ("string", "co", text(" b"), json!("Ann B"), true),
            ("string", "sw", text("ann "), json!("Anna"), false),
            ("string", "sw", text(" ann"), json!("Anna"), true),
            ("string", "ew", text(" na"), json!("Anna"), false),
            ("string", "gt", text("A"), json!("b"), true),
            ("string", "le", text("é"), json!("z"), true),
            ("string", "eq", text("x"), json!(5), false),
            ("reference", "eq", text("A"), json!("a"), false),
            ("integer", "gt", number("9"), json!(10), true),
            ("integer", "le", number("9"), json!(10), false),
            ("integer", "gt", number("9"), big.clone(), true),
            ("integer", "lt", number("9"), big, false),
            ("decimal", "ge", number("1.5"), json!(1.5), true),
            ("decimal", "eq", number("2"), json!(2.0), true),
            (
                "dateTime",
                "eq",
                text("2021-06-25T19:07:33+02:00"),
                json!("2021-06-25T17:07:33Z"),
                true,
            ),
            (
                "dateTime",
                "lt",
                text("2021-06-25T19:07:33.1550001Z"),
                json!("2021-06-25T19:07:33.155Z"),
                false,
            ),
            ("dateTime", "gt", text("2021-06-25T19:07:33Z"), json!("soon"), false),
        ];
        for (data_type, word, literal, value, expected) in table {
            let attribute = attribute(data_type, false);
            let op = CompareOp::ALL.into_iter().find(|op| op.as_str() == word).unwrap();
            let (operand, _) = fit(&attribute, "a", op, &literal).unwrap();
            let found = matches(&attribute, op, &operand, [&value].into_iter());
            assert_eq!(found, expected, "{value} {word} {literal}");
        }
    }

    #[test]
    fn references_are_equal_in_every_version_of_the_protocol() {
        let (plain, versioned) = ("https://example.com/Users/1", "https://example.com/v2/Users/1");
        let mut attribute = attribute("reference", true);
        let found = |attribute: &Attribute, word: &str, wanted: &str, value: &str| {
            let op = CompareOp::ALL.into_iter().find(|op| op.as_str() == word).unwrap();
            let (operand, _) = fit(attribute, "a", op, &text(wanted)).unwrap();
            matches(attribute, op, &operand, [&json!(value)].into_iter())
        };
        for types in [vec!["User"], vec!["uri"], vec!["external", "Group"], vec![]] {
            attribute.reference_types = types.iter().map(|&t| t.to_owned()).collect();
            for (wanted, value) in [(plain, versioned), (versioned, plain), (plain, plain)] {
                assert!(found(&attribute, "eq", wanted, value), "{types:?} {wanted} {value}");
                assert!(!found(&attribute, "ne", wanted, value), "{types:?} {wanted} {value}");
                assert!(found(&attribute, "ge", wanted, value), "{types:?} {wanted} {value}");
                assert!(!found(&attribute, "lt", wanted, value), "{types:?} {wanted} {value}");
            }
            assert!(!found(&attribute, "eq", plain, "https://example.com/v2/Users/2"));
            // What looks for a part of the text finds what is stored.
            assert!(found(&attribute, "co", "/v2/", versioned));
            assert!(!found(&attribute, "sw", plain, versioned));
            assert!(!found(&attribute, "co", "/v2/", plain));
        }
        attribute.reference_types = vec!["external".into()];
        assert!(found(&attribute, "ne", plain, versioned));
        let text = super::super::operand::tests::attribute("string", true);
        assert!(found(&text, "ne", plain, versioned));
    }

    #[test]
    fn presence() {
        for absent in [json!(null), json!(""), json!([]), json!({}), json!([null, {"a": ""}])] {
            assert!(!is_present(&absent), "{absent}");
        }
        for present in [json!(false), json!(0), json!(" "), json!([0]), json!({"a": {"b": false}})]
        {
            assert!(is_present(&present), "{present}");
        }
    }
}
