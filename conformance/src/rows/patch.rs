//! Changing parts with PATCH (RFC 7644 §3.5.2).

mod add;
mod remove;
mod replace;
mod request;
mod rules;

use serde_json::{Value, json};

use super::{Check, Finding, Row};
use crate::scim::{ENTERPRISE, Resource, full_user, patch, with};
use crate::subject::Subject;

/// The rows of this file's parts, in order.
pub(super) const PARTS: &[&[Row]] =
    &[request::ROWS, rules::ROWS, add::ROWS, remove::ROWS, replace::ROWS];

/// A user with three addresses, two of them for work, and the rest of [`full_user`].
fn user_with_addresses(s: &Subject, name: &str) -> Result<Resource, Finding> {
    let emails = json!([
        {"value": "w1@example.com", "type": "work", "display": "One", "primary": true},
        {"value": "w2@example.com", "type": "work", "display": "Two"},
        {"value": "h@example.com", "type": "home", "display": "Home"},
    ]);
    s.scim.create("/Users", &with(full_user(name), "emails", emails))
}

/// Applies each row's operations to a fresh user: the pointer then leads to the value, or nowhere
/// when the value is null.
fn expect_each(s: &Subject, table: &[(Value, &str, Value)]) -> Check {
    for (number, (operations, place, expected)) in table.iter().enumerate() {
        let made = user_with_addresses(s, &format!("user{number}@example.com"))?;
        let patched = s.scim.apply(&made.path, operations)?;
        match expected {
            Value::Null => patched.expect_unassigned(place),
            _ => patched.expect_at(place, expected),
        }
        .map_err(|finding| about(operations, finding))?;
        s.scim.delete(&made.path)?.expect(204)?;
    }
    Ok(())
}

/// Each operation on the resource has to be refused with that word, and change nothing.
fn expect_refused(s: &Subject, path: &str, table: &[(Value, &str)]) -> Check {
    let before = s.scim.get(path)?.expect(200)?;
    for (operation, word) in table {
        let operations = json!([operation]);
        let answer = s.scim.patch(path, &patch(&operations))?;
        answer.expect_error(400, Some(word)).map_err(|finding| about(&operations, finding))?;
        s.scim.get(path)?.expect(200)?.expect_same(&before.json)?;
    }
    Ok(())
}

/// The failure with the operations that led to it.
fn about(operations: &Value, finding: Finding) -> Finding {
    match finding {
        Finding::Failed(failure) => Finding::Failed(format!("{operations}: {failure}")),
        other => other,
    }
}

/// The path of an attribute of the enterprise extension.
fn enterprise(attribute: &str) -> String {
    format!("{ENTERPRISE}:{attribute}")
}
