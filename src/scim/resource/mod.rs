//! Resources as documents: from what a client sent to the canonical form that is stored, and from
//! there to what an answer shows.

pub mod doc;
pub mod extract;
pub mod meta;
pub mod project;
pub mod validate;

pub use doc::Document;
pub use extract::{AttributeKey, Columns};
pub use meta::Meta;
pub use project::Projection;
pub use validate::{Notes, Rules, UnknownAttributes, UnknownSchemas};
