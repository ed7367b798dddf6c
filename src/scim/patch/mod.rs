//! PATCH (RFC 7644 §3.5.2): a list of operations applied to a document, all or none.
//!
//! [`op`] reads the request, [`target`] finds what a path means, [`apply`] edits the document
//! ([`matching`] where a filter chooses elements, [`remove`] to take values away) and [`members`]
//! takes changes of a group's membership out, because members are rows and not part of the document.

pub mod apply;
mod edit;
#[cfg(test)]
pub(crate) mod laws;
mod matching;
pub mod members;
pub mod op;
mod remove;
mod rules;
mod target;
#[cfg(test)]
mod tests;

pub use apply::apply;
pub use members::{MemberChange, MemberStep};
pub use op::{OpKind, PatchOp};
pub use rules::{
    ComplexReplace, PatchRules, SeveralMatches, UnknownPaths, UnmatchedReplace, WholeElements,
};
