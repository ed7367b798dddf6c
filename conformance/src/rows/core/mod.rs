//! Users and groups (RFC 7643 §4).

mod relations;
mod users;

pub(super) use users::prepared_names;

use super::Row;

/// The rows in order.
pub(super) const PARTS: &[&[Row]] = &[users::ROWS, relations::ROWS];
