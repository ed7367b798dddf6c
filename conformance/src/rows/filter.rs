//! Filters (RFC 7644 §3.4.2.2).

mod language;
mod values;

use serde_json::json;

use super::{Check, Row};
use crate::scim::{full_user, user, with};
use crate::subject::Subject;

/// The rows of this file's parts, in order.
pub(super) const PARTS: &[&[Row]] = &[language::ROWS, values::ROWS];

/// Each filter has to find the users of these names, no more and no less.
fn expect_users(s: &Subject, table: &[(&str, &[&str])]) -> Check {
    for (filter, expected) in table {
        let found = s.scim.filter("/Users", filter)?.expect(200)?;
        found.expect_found("/userName", expected)?;
        found.expect_at("/totalResults", &json!(expected.len()))?;
    }
    Ok(())
}

/// Each filter has to be 400 `invalidFilter`.
fn expect_refused(s: &Subject, filters: &[&str]) -> Check {
    for filter in filters {
        s.scim.filter("/Users", filter)?.expect_error(400, Some("invalidFilter"))?;
    }
    Ok(())
}

/// ada (Lane, Engineer, active), ben (Moss, Engineer, inactive), cyd (no name, no title).
fn three_users(s: &Subject) -> Check {
    let ada = full_user("ada");
    let ben = with(full_user("ben"), "active", json!(false));
    let ben = with(ben, "name", json!({"givenName": "Ben", "familyName": "Moss"}));
    let ben = with(ben, "displayName", json!("Ben Moss"));
    for body in [ada, ben, user("cyd")] {
        s.scim.create("/Users", &body)?;
    }
    Ok(())
}
