//! The installation in numbers, now and over time.
//!
//! Nothing is counted when somebody asks: a million users are not walked for a page. Every process counts
//! what it does ([`Samples`]) and adds that up in the database; what can be looked up there (users,
//! directories, how far endpoints are) is looked up once a minute by one process, which claims the minute.
//! Each number is kept by the minute for a day and by the hour for 90 days.

mod count;
mod sample;
mod view;

pub use count::{Samples, Series};
pub use view::{Overview, SPANS, Step};

/// Lengths of the stretches that numbers are kept by, in milliseconds.
pub(super) const MINUTE: i64 = 60 * 1_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How long they are kept.
const KEPT: [(i64, i64); 2] = [(MINUTE, DAY), (HOUR, 90 * DAY)];

/// A series that every look-up has.
pub(super) const USERS: &str = "users.active";

/// The beginning of the stretch that an instant is in.
fn beginning(span: i64, at: i64) -> i64 {
    at - at.rem_euclid(span)
}
