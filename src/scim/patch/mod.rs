//! PATCH (RFC 7644 §3.5.2): a list of operations applied to a document, all or none.
//!
//! [`op`] reads the request, [`target`] finds what a path means, [`apply`] edits the document and
//! [`members`] takes changes of a group's membership out, because members are rows and not part of
//! the document.

pub mod apply;
#[cfg(test)]
pub(crate) mod laws;
pub mod members;
pub mod op;
mod target;
#[cfg(test)]
mod tests;

pub use apply::{UnknownPaths, UnmatchedReplace, apply};
pub use members::{MemberChange, MemberStep};
pub use op::{OpKind, PatchOp};

use crate::scim::resource::Rules;

/// The choices of a PATCH that the RFC leaves open or that a profile changes.
#[derive(Clone, Copy, Debug)]
pub struct PatchRules {
    pub values: Rules,
    pub unknown_paths: UnknownPaths,
    pub unmatched_replace: UnmatchedReplace,
}
