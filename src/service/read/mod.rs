//! The read API: what the company's app sees of directories, users, groups and organizations.
//!
//! The objects are those that events carry, made by the same functions. What a policy hides from the
//! app is hidden here, too. Every list is ordered by id, so that a cursor stays valid when its row is
//! gone, and is read along an index.

mod directory;
mod page;

pub use page::{Metadata, Order, Page, PageRequest, PageWords};
