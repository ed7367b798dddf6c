//! The right-hand side of a comparison: does it fit the attribute, and in what form is it compared.

use serde_json::{Number, Value};

use super::ast::{CompareOp, Literal};
use super::token::number_of;
use crate::scim::ScimError;
use crate::scim::key::{TextForm, instant_ms, part_key, text_key};
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
        check_operator("null", op, &[CompareOp::Eq, CompareOp::Ne])?;
        return Ok((Operand::Null, Value::Null));
    }
    let what = format!("the attribute \"{name}\" of type {}", leaf.data_type.as_str());
    check_operator(&what, op, operators(leaf.data_type))?;
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

fn check_operator(what: &str, op: CompareOp, allowed: &[CompareOp]) -> Result<(), ScimError> {
    if allowed.contains(&op) {
        return Ok(());
    }
    let words: Vec<&str> = allowed.iter().map(|op| op.as_str()).collect();
    Err(ScimError::invalid_filter(format!(
        "The operator {} cannot be used with {what}; allowed are {} and pr.",
        op.as_str(),
        words.join(", ")
    )))
}

fn operand_key(leaf: &Attribute, op: CompareOp, text: &str) -> String {
    let form = TextForm::of(leaf);
    let case_exact = form.is_case_exact();
    match op {
        // Keys have no white space at their ends; elsewhere in the operand it counts.
        CompareOp::Sw if !case_exact => part_key(text, false).trim_start().to_owned(),
        CompareOp::Ew if !case_exact => part_key(text, false).trim_end().to_owned(),
        CompareOp::Co => part_key(text, case_exact),
        CompareOp::Sw | CompareOp::Ew => text_key(text, case_exact),
        _ => form.key(text),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in crate::scim::filter) fn attribute(data_type: &str, case_exact: bool) -> Attribute {
        serde_json::from_value(json!({
            "name": "a", "type": data_type, "multiValued": false, "description": "",
            "required": false, "caseExact": case_exact, "mutability": "readWrite",
            "returned": "default", "uniqueness": "none"
        }))
        .unwrap()
    }

    pub(in crate::scim::filter) fn text(value: &str) -> Literal {
        Literal::Text(value.into())
    }

    fn bare(value: &str) -> Literal {
        Literal::Bare(value.into())
    }

    pub(in crate::scim::filter) fn number(json: &str) -> Literal {
        Literal::Number(number_of(json).unwrap())
    }

    #[test]
    fn literals_that_fit() {
        let when = "2021-06-25T19:07:33.155Z";
        let table = [
            ("string", text(" Ann"), Operand::Text("ann".into()), json!(" Ann")),
            ("string", bare("null"), Operand::Text("null".into()), json!("null")),
            ("string", bare("1042"), Operand::Text("1042".into()), json!("1042")),
            ("string", Literal::Null, Operand::Null, json!(null)),
            ("reference", text("A"), Operand::Text("A".into()), json!("A")),
            ("reference", bare("true"), Operand::Text("true".into()), json!("true")),
            ("binary", text("TQ=="), Operand::Text("TQ==".into()), json!("TQ==")),
            ("boolean", Literal::Bool(true), Operand::Bool(true), json!(true)),
            ("boolean", text("False"), Operand::Bool(false), json!(false)),
            ("boolean", bare("TRUE"), Operand::Bool(true), json!(true)),
            ("boolean", bare("null"), Operand::Null, json!(null)),
            ("integer", number("-7"), Operand::Integer(-7), json!(-7)),
            ("integer", bare("42"), Operand::Integer(42), json!(42)),
            ("integer", bare("Null"), Operand::Null, json!(null)),
            ("decimal", number("7"), Operand::Decimal(7.0), json!(7)),
            ("decimal", bare("1.5e1"), Operand::Decimal(15.0), json!(15.0)),
            ("dateTime", text(when), Operand::Instant(1_624_648_053_155), json!(when)),
            ("dateTime", bare(when), Operand::Instant(1_624_648_053_155), json!(when)),
            ("complex", Literal::Null, Operand::Null, json!(null)),
        ];
        for (data_type, literal, operand, written) in table {
            let fitted = fit(&attribute(data_type, false), "a", CompareOp::Eq, &literal);
            assert_eq!(fitted, Ok((operand, written)), "{data_type} {literal}");
        }
    }

    #[test]
    fn literals_that_do_not_fit() {
        let string = "a string in quotation marks, such as";
        let boolean = "true or false";
        let integer = "a whole number of 64 bits";
        let instant = "a date and time such as \"2021-06-25T19:07:33Z\"";
        let table = [
            ("string", number("5"), format!("{string} \"5\"")),
            ("string", Literal::Bool(true), format!("{string} \"true\"")),
            ("reference", Literal::Bool(true), format!("{string} \"true\"")),
            ("boolean", text("yes"), boolean.into()),
            ("boolean", number("1"), boolean.into()),
            ("integer", number("4.5"), integer.into()),
            ("integer", number("1e2"), integer.into()),
            ("integer", number("18446744073709551615"), integer.into()),
            ("integer", text("5"), integer.into()),
            ("integer", bare("x"), integer.into()),
            ("decimal", Literal::Bool(true), "a number".into()),
            ("decimal", bare("1,5"), "a number".into()),
            ("dateTime", text("2021-06-25"), instant.into()),
            ("dateTime", number("5"), instant.into()),
        ];
        for (data_type, literal, allowed) in table {
            let error = fit(&attribute(data_type, false), "n", CompareOp::Eq, &literal);
            let detail = format!(
                "The attribute \"n\" of type {data_type} cannot be compared with {literal}; allowed \
                 is {allowed}."
            );
            assert_eq!(error, Err(ScimError::invalid_filter(detail)));
        }
    }

    #[test]
    fn operators_that_do_not_fit() {
        let table = [
            (
                "boolean",
                "gt",
                Literal::Bool(true),
                "the attribute \"n\" of type boolean; allowed are eq, ne",
            ),
            (
                "boolean",
                "co",
                text("true"),
                "the attribute \"n\" of type boolean; allowed are eq, ne",
            ),
            (
                "binary",
                "ge",
                text("TQ=="),
                "the attribute \"n\" of type binary; allowed are eq, ne, co, sw, ew",
            ),
            (
                "integer",
                "sw",
                number("1"),
                "the attribute \"n\" of type integer; allowed are eq, ne, gt, ge, lt, le",
            ),
            (
                "dateTime",
                "co",
                text("2021"),
                "the attribute \"n\" of type dateTime; allowed are eq, ne, gt, ge, lt, le",
            ),
            ("string", "co", Literal::Null, "null; allowed are eq, ne"),
            ("dateTime", "gt", Literal::Null, "null; allowed are eq, ne"),
        ];
        for (data_type, word, literal, rest) in table {
            let op = CompareOp::ALL.into_iter().find(|op| op.as_str() == word).unwrap();
            let detail = format!("The operator {word} cannot be used with {rest} and pr.");
            let error = fit(&attribute(data_type, false), "n", op, &literal);
            assert_eq!(error, Err(ScimError::invalid_filter(detail)));
        }
    }
}
