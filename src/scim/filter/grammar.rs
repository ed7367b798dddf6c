//! The grammar of filters (RFC 7644 §3.4.2.2, Figure 1) and of PATCH paths (§3.5.2, Figure 7).
//!
//! Recursion goes as deep as the brackets do, and those are counted on the way in, so no text can
//! exhaust the stack. Nothing is read twice, so time grows with the length of the text.

use nom::character::complete::{char, multispace0};
use nom::combinator::eof;
use nom::multi::separated_list1;
use nom::{Err, Parser};

use super::ast::{CompareOp, Filter};
use super::parse::{MAX_FILTER_DEPTH, TargetPath, UnquotedValues};
use super::token::{
    LITERAL, Parsed, Stop, attr_path, connective, expect, is_blank, json_literal, loose_literal,
    name, not_word, operator, refuse, too_deep,
};
use crate::scim::AttrPath;

/// A filter and nothing after it.
pub(super) fn filter(input: &str, unquoted: UnquotedValues) -> Parsed<'_, Filter> {
    let within = Within { depth: 0, brackets: Brackets::Outside, unquoted };
    let (input, filter) = disjunction(input, within)?;
    let (input, _) = expect("`and`, `or` or the end of the filter", eof)(input)?;
    Ok((input, filter))
}

/// An attribute path and nothing after it.
pub(super) fn lone_path(input: &str) -> Parsed<'_, AttrPath> {
    let (input, path) = expect("an attribute name", attr_path)(input)?;
    let (input, _) = expect("the end of the path", eof)(input)?;
    Ok((input, path))
}

/// The path of a PATCH operation and nothing after it.
pub(super) fn target_path(input: &str) -> Parsed<'_, TargetPath> {
    let within = Within { depth: 0, brackets: Brackets::Outside, unquoted: UnquotedValues::Refuse };
    let (input, attr) = expect("an attribute name", attr_path)(input)?;
    let (bracket, _) = multispace0(input)?;
    let (input, filter, sub) = if bracket.starts_with('[') {
        let (input, filter) = value_filter(bracket, within)?;
        let (input, sub) = sub_after_brackets(input)?;
        (input, Some(filter), sub.map(str::to_owned))
    } else {
        (input, None, None)
    };
    let (input, _) = expect("the end of the path", eof)(input)?;
    Ok((input, TargetPath { attr, filter, sub }))
}

/// Where an expression stands.
#[derive(Clone, Copy)]
struct Within {
    depth: usize,
    brackets: Brackets,
    unquoted: UnquotedValues,
}

#[derive(Clone, Copy, PartialEq)]
enum Brackets {
    Outside,
    /// Between `[` and `]`, where another `[` is not allowed.
    Inside,
}

impl Within {
    /// One level further in; `bracket` is the text that starts with the bracket.
    fn deeper(self, bracket: &str) -> Result<Self, Err<Stop<'_>>> {
        if self.depth >= MAX_FILTER_DEPTH {
            return Err(too_deep(bracket));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

fn disjunction(input: &str, within: Within) -> Parsed<'_, Filter> {
    let part = |input| conjunction(input, within);
    separated_list1(connective("or"), part).map(Filter::any).parse(input)
}

fn conjunction(input: &str, within: Within) -> Parsed<'_, Filter> {
    let part = |input| term(input, within);
    separated_list1(connective("and"), part).map(Filter::all).parse(input)
}

fn term(input: &str, within: Within) -> Parsed<'_, Filter> {
    let (input, _) = multispace0(input)?;
    if input.starts_with('(') {
        return group(input, within);
    }
    if let Ok((input, _)) = not_word(input) {
        let (input, inner) = group(input, within)?;
        return Ok((input, Filter::Not(Box::new(inner))));
    }
    let expected = "an attribute name, `not` or an opening parenthesis";
    let (input, path) = expect(expected, attr_path)(input)?;
    let (bracket, _) = multispace0(input)?;
    if bracket.starts_with('[') {
        return element(bracket, path, within);
    }
    comparison(input, path, within)
}

fn group(input: &str, within: Within) -> Parsed<'_, Filter> {
    let (bracket, _) = multispace0(input)?;
    let (input, _) = expect("an opening parenthesis after `not`", char('('))(bracket)?;
    let inside = within.deeper(bracket)?;
    let (input, filter) = disjunction(input, inside)?;
    let (input, _) = expect("`and`, `or` or a closing parenthesis", char(')'))(input)?;
    Ok((input, filter))
}

fn comparison(input: &str, path: AttrPath, within: Within) -> Parsed<'_, Filter> {
    let expected = "an operator (eq, ne, co, sw, ew, gt, ge, lt, le or pr)";
    if !input.is_empty() && !input.starts_with(is_blank) {
        return refuse(input, "a space and an operator after the attribute name");
    }
    let (input, op) = expect(expected, operator)(input)?;
    let Some(op) = op else { return Ok((input, Filter::Present(path))) };
    let may_be_bare = matches!(op, CompareOp::Eq | CompareOp::Ne | CompareOp::Co | CompareOp::Sw);
    let (input, value) = match within.unquoted {
        UnquotedValues::Accept if may_be_bare => expect(LITERAL, loose_literal)(input)?,
        _ => expect(LITERAL, json_literal)(input)?,
    };
    Ok((input, Filter::Compare { path, op, value }))
}

/// `path[filter]`, and `path[filter].sub eq …`, which Entra ID sends and the RFC does not have: the
/// comparison becomes one more condition on the element.
fn element(bracket: &str, path: AttrPath, within: Within) -> Parsed<'_, Filter> {
    let (input, filter) = value_filter(bracket, within)?;
    let (input, filter) = match sub_after_brackets(input)? {
        (input, None) => (input, filter),
        (input, Some(sub)) => {
            let (input, condition) = comparison(input, AttrPath::name(sub), within)?;
            let both = Filter::all(vec![filter, condition]);
            // An `or` in the brackets gets parentheses of its own in the canonical text.
            if within.depth + 1 + both.depth() > MAX_FILTER_DEPTH {
                return Err(too_deep(bracket));
            }
            (input, both)
        }
    };
    Ok((input, Filter::Element { path, filter: Box::new(filter) }))
}

/// `[filter]`.
fn value_filter(bracket: &str, within: Within) -> Parsed<'_, Filter> {
    if within.brackets == Brackets::Inside {
        return refuse(bracket, "an operator, because square brackets cannot be nested");
    }
    let inside = Within { brackets: Brackets::Inside, ..within.deeper(bracket)? };
    let (input, _) = expect("an opening square bracket", char('['))(bracket)?;
    let (input, filter) = disjunction(input, inside)?;
    let (input, _) = expect("`and`, `or` or a closing square bracket", char(']'))(input)?;
    Ok((input, filter))
}

fn sub_after_brackets(input: &str) -> Parsed<'_, Option<&str>> {
    let Some(after) = input.strip_prefix('.') else { return Ok((input, None)) };
    // The canonical text has it inside the brackets, where `not` is no name.
    match (not_word(after), name(after)) {
        (Err(_), Ok((rest, sub))) => Ok((rest, Some(sub))),
        _ => refuse(after, "a sub-attribute name"),
    }
}
