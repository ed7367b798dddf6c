//! The filter language (RFC 7644 §3.4.2.2) and the paths of PATCH (§3.5.2).
//!
//! Text becomes a [`Filter`] ([`parse_filter`]): grammar only, nothing is known about attributes.
//! With a resource type it becomes a [`Resolved`] ([`resolve`]): every name found, every literal of
//! the right type and in its comparison form. That one is evaluated here ([`Resolved::matches`]) or
//! translated by the store; both must agree.
//!
//! What a filter means where the RFC leaves room:
//! - A name that the resource type does not have is an error, never an empty result. So is an
//!   attribute that is never returned: its value must not be guessed by asking.
//! - A complex attribute stands for its `value` (`emails eq "x"`); one without `value` (`name`) can
//!   only be compared by sub-attribute. The URI of an extension can only be used with `pr`.
//! - A multi-valued attribute matches when any of its values does. `ne` is exactly `not (… eq …)`:
//!   it matches an attribute without a value, and it does not match when any value is equal.
//! - `eq null` is `not (… pr)` and `ne null` is `pr`; no other operator takes null.
//! - `pr` is false for a missing attribute, null, `""`, `[]`, `{}` and what holds only those.
//! - Text is compared by [key](super::key::text_key). `caseExact` of the schema decides about case;
//!   references and binary values are always exact, `schemas` never is: registered URIs are found in
//!   any letter case everywhere. Text is ordered by code point.
//! - References to SCIM resources are equal whatever version of the protocol their path names
//!   (RFC 7643 §2.4); `co`, `sw` and `ew` look at the text as it is.
//! - `dateTime` is compared by instant, in milliseconds. Numbers are compared as numbers.
//! - A literal must fit the attribute's type. `"true"` in quotation marks fits a boolean, because
//!   Entra ID writes it so.
//! - A value without `primary` counts as `primary: false` (RFC 7643 §2.4), though it is not present.

mod ast;
mod compare;
mod element;
mod eval;
mod grammar;
#[cfg(test)]
mod laws;
mod operand;
mod parse;
mod resolve;
mod token;

pub use ast::{CompareOp, Filter, Literal};
pub use element::{ElementFilter, resolve_element};
pub use eval::{Comparison, Resolved};
pub use operand::Operand;
pub use parse::{
    MAX_FILTER_BYTES, MAX_FILTER_DEPTH, TargetPath, UnquotedValues, parse_attr_path, parse_filter,
    parse_target_path,
};
pub use resolve::{UnknownNames, resolve, resolve_with};
