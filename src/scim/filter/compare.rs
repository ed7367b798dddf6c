//! One comparison: does the literal fit the attribute, and does a value match it.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::ast::{CompareOp, Literal};
use super::token::number_of;
use crate::scim::ScimError;
use crate::scim::key::{instant_ms, part_key, text_key};
use crate::scim::schema::{Attribute, DataType};

/// The right-hand side of a comparison in the form in which values are compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// Only with `eq` and `ne`.
    Null,
    /// Only with `eq` and `ne`.
    Bool(bool),
    Integer(i64),
    Decimal(f64),
    /// The comparison key for the attribute's `caseExact`. With `co`, `sw` and `ew` it may begin or
    /// end with white space.
    Text(String),
    /// Milliseconds since 1970 UTC.
    Instant(i64),
}

/// The operand, and the literal as a JSON value of the attribute's type.
pub(super) type Fitted = (Operand, Value);

/// Checks that operator and literal fit the attribute's type; `name` is for the error detail.
pub(super) fn fit(
    leaf: &Attribute,
    name: &str,
    op: CompareOp,
    literal: &Literal,
) -> Result<Fitted, ScimError> {
    let misfit = |allowed: &str| {
        Err(ScimError::invalid_filter(format!(
            "The attribute \"{name}\" of type {} cannot be compared with {literal}; allowed is \
             {allowed}.",
            leaf.data_type.as_str()
        )))
    };
    if is_null(leaf, literal) {
        check_operator(name, "null", op, &[CompareOp::Eq, CompareOp::Ne])?;
        return Ok((Operand::Null, Value::Null));
    }
    check_operator(name, leaf.data_type.as_str(), op, operators(leaf.data_type))?;
    let text = match literal {
        Literal::Text(text) | Literal::Bare(text) => Some(text.as_str()),
        Literal::Null | Literal::Bool(_) | Literal::Number(_) => None,
    };
    match leaf.data_type {
        DataType::String | DataType::Reference | DataType::Binary => match text {
            Some(text) => Ok((Operand::Text(operand_key(leaf, op, text)), text.into())),
            None => misfit(&format!("a string in quotation marks, such as \"{literal}\"")),
        },
        DataType::Boolean => match (literal, text) {
            (Literal::Bool(value), _) => Ok((Operand::Bool(*value), (*value).into())),
            (_, Some(text)) if text.eq_ignore_ascii_case("true") => {
                Ok((Operand::Bool(true), true.into()))
            }
            (_, Some(text)) if text.eq_ignore_ascii_case("false") => {
                Ok((Operand::Bool(false), false.into()))
            }
            _ => misfit("true or false"),
        },
        DataType::Integer => match number(literal).and_then(|number| number.as_i64()) {
            Some(value) => Ok((Operand::Integer(value), value.into())),
            None => misfit("a whole number of 64 bits"),
        },
        DataType::Decimal => match number(literal) {
            Some(number) => match number.as_f64() {
                Some(value) => Ok((Operand::Decimal(value), Value::Number(number))),
                None => misfit("a number"),
            },
            None => misfit("a number"),
        },
        DataType::DateTime => match text.and_then(|text| Some((instant_ms(text)?, text))) {
            Some((ms, text)) => Ok((Operand::Instant(ms), text.into())),
            None => misfit("a date and time such as \"2021-06-25T19:07:33Z\""),
        },
        DataType::Complex => Err(ScimError::invalid_filter(format!(
            "The attribute \"{name}\" is complex and cannot be compared; name one of its \
             sub-attributes, such as \"{name}.{}\".",
            leaf.sub_attributes.first().map_or("value", |sub| sub.name.as_str())
        ))),
    }
}

/// `null`, or the same word without quotation marks where no text is expected.
fn is_null(leaf: &Attribute, literal: &Literal) -> bool {
    match literal {
        Literal::Null => true,
        Literal::Bare(text) => {
            let is_text = matches!(leaf.data_type, DataType::String | DataType::Reference);
            !is_text && text.eq_ignore_ascii_case("null")
        }
        Literal::Bool(_) | Literal::Number(_) | Literal::Text(_) => false,
    }
}

fn number(literal: &Literal) -> Option<Number> {
    match literal {
        Literal::Number(number) => Some(number.clone()),
        Literal::Bare(text) => number_of(text),
        Literal::Null | Literal::Bool(_) | Literal::Text(_) => None,
    }
}

/// What makes sense for the type (RFC 7644 §3.4.2.2, Table 3). Complex attributes are refused later,
/// with a better sentence.
fn operators(data_type: DataType) -> &'static [CompareOp] {
    use CompareOp::{Co, Eq, Ew, Ge, Gt, Le, Lt, Ne, Sw};
    match data_type {
        DataType::String | DataType::Reference | DataType::Complex => &CompareOp::ALL,
        DataType::Binary => &[Eq, Ne, Co, Sw, Ew],
        DataType::Boolean => &[Eq, Ne],
        DataType::Integer | DataType::Decimal | DataType::DateTime => &[Eq, Ne, Gt, Ge, Lt, Le],
    }
}

fn check_operator(
    name: &str,
    kind: &str,
    op: CompareOp,
    allowed: &[CompareOp],
) -> Result<(), ScimError> {
    if allowed.contains(&op) {
        return Ok(());
    }
    let words: Vec<&str> = allowed.iter().map(|op| op.as_str()).collect();
    Err(ScimError::invalid_filter(format!(
        "The operator {} cannot be used with \"{name}\" and {kind}; allowed are {}.",
        op.as_str(),
        words.join(", ")
    )))
}

fn operand_key(leaf: &Attribute, op: CompareOp, text: &str) -> String {
    let case_exact = is_case_exact(leaf);
    match op {
        // Keys have no white space at their ends; elsewhere in the operand it counts.
        CompareOp::Sw if !case_exact => part_key(text, false).trim_start().to_owned(),
        CompareOp::Ew if !case_exact => part_key(text, false).trim_end().to_owned(),
        CompareOp::Co => part_key(text, case_exact),
        _ => text_key(text, case_exact),
    }
}

/// `caseExact` as far as the schema decides it: references and binary values always are
/// (RFC 7643 §2.3.6, §2.3.7), schema URIs are not.
fn is_case_exact(leaf: &Attribute) -> bool {
    match leaf.data_type {
        _ if leaf.name == "schemas" => false,
        DataType::Reference | DataType::Binary => true,
        _ => leaf.case_exact,
    }
}

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
            let Some(found) = value.as_str().map(|text| text_key(text, is_case_exact(leaf))) else {
                return false;
            };
            match op {
                CompareOp::Co => return found.contains(wanted.as_str()),
                CompareOp::Sw => return found.starts_with(wanted.as_str()),
                CompareOp::Ew => return found.ends_with(wanted.as_str()),
                _ => Some(found.as_str().cmp(wanted)),
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
