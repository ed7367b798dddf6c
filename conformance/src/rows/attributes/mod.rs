//! Attributes: their data types, the ones that every resource has, their characteristics
//! (RFC 7643 §2, §3, §7).

mod characteristics;
mod common;
mod extensions;
mod multi_valued;
mod names;
mod types;
mod values;

use super::Row;

/// The rows in order.
pub(super) const PARTS: &[&[Row]] = &[
    names::ROWS,
    types::ROWS,
    multi_valued::ROWS,
    common::ROWS,
    extensions::ROWS,
    characteristics::ROWS,
    values::ROWS,
];
