//! Resources as documents: from what a client sent to the canonical form that is stored, and from
//! there to what an answer shows.

mod convert;
pub mod doc;
pub(crate) mod elements;
pub mod extract;
#[cfg(test)]
pub(crate) mod fixture;
pub mod meta;
mod path_to;
pub mod project;
#[cfg(test)]
mod tests;
pub mod validate;

pub use convert::convert;
pub use doc::Document;
pub use extract::{AttributeKey, Columns};
pub use meta::Meta;
pub use path_to::PathTo;
pub use project::Projection;
pub use validate::{Notes, Rules, UnknownAttributes, UnknownSchemas};
