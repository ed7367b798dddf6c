//! Messages: bodies that are requests rather than resources (RFC 7644 §3.1).

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
