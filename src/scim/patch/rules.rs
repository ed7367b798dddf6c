//! The choices of a PATCH that the RFC leaves open or that a profile changes.

use crate::scim::resource::Rules;

/// How operations are applied; how the request is read is [`super::op::BodyRules`].
#[derive(Clone, Copy, Debug)]
pub struct PatchRules {
    pub values: Rules,
    pub unknown_paths: UnknownPaths,
    pub unmatched_replace: UnmatchedReplace,
    pub complex_replace: ComplexReplace,
    pub whole_elements: WholeElements,
    pub several_matches: SeveralMatches,
}

/// What an operation is whose path is well formed but names no attribute. An unknown attribute in a
/// value is [`Rules::unknown_attributes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownPaths {
    /// Left out, kept in [`Notes::extra`](crate::scim::resource::Notes::extra); the operations
    /// beside it apply.
    Skip,
    /// 400 `invalidPath`.
    Refuse,
}

/// What a replace is whose value filter matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnmatchedReplace {
    /// The element is created from the filter's `eq` terms, as for `add`.
    Create,
    /// 400 `noTarget` (RFC 7644 §3.5.2.3).
    Refuse,
}

/// What a replace of a singular complex attribute does with the sub-attributes that it leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComplexReplace {
    /// They stay (RFC 7644 §3.5.2.3).
    Merge,
    /// They go, as far as clients can take them away.
    Whole,
}

/// What an add or replace is whose path chooses elements and names no sub-attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WholeElements {
    /// The elements themselves are changed (RFC 7644 §3.5.2, Figure 7).
    Accept,
    /// 400 `invalidPath`. Removing chosen elements is allowed: nothing else removes one.
    Refuse,
}

/// What a value filter in a path is that matches several elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeveralMatches {
    /// Each of them is changed or removed (RFC 7644 §3.5.2.2, §3.5.2.3).
    Change,
    /// 400 `invalidFilter`. Members are not read for a change, so there the filter must say which
    /// one it means: `value eq "…"`.
    Refuse,
}

#[cfg(test)]
impl PatchRules {
    /// Everything is accepted.
    pub(crate) const LENIENT: Self = Self {
        values: crate::scim::resource::fixture::LENIENT,
        unknown_paths: UnknownPaths::Skip,
        unmatched_replace: UnmatchedReplace::Create,
        complex_replace: ComplexReplace::Merge,
        whole_elements: WholeElements::Accept,
        several_matches: SeveralMatches::Change,
    };

    /// Everything is refused that can be.
    pub(crate) const STRICT: Self = Self {
        values: crate::scim::resource::fixture::STRICT,
        unknown_paths: UnknownPaths::Refuse,
        unmatched_replace: UnmatchedReplace::Refuse,
        complex_replace: ComplexReplace::Whole,
        whole_elements: WholeElements::Refuse,
        several_matches: SeveralMatches::Refuse,
    };
}
