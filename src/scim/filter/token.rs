//! The smallest parts of filters and paths: names, operators, literals; and what is reported when
//! one of them is missing.

use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_till1, take_while, take_while1};
use nom::character::complete::{
    alpha1, anychar, char, digit1, multispace0, multispace1, none_of, one_of, satisfy,
};
use nom::combinator::{all_consuming, eof, map, map_opt, not, opt, peek, recognize, value};
use nom::error::{ErrorKind, ParseError};
use nom::multi::many0_count;
use nom::sequence::{delimited, preceded, terminated};
use nom::{Err, IResult, Parser};
use serde_json::Number;

use super::ast::{CompareOp, Literal};
use super::parse::MAX_FILTER_DEPTH;
use crate::scim::AttrPath;

pub(super) type Parsed<'a, T> = IResult<&'a str, T, Stop<'a>>;

/// Why reading stopped, and the text from there on.
#[derive(Debug)]
pub(super) struct Stop<'a> {
    rest: &'a str,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Expected(&'static str),
    TooDeep,
}

impl<'a> ParseError<&'a str> for Stop<'a> {
    fn from_error_kind(rest: &'a str, _: ErrorKind) -> Self {
        Self { rest, reason: Reason::Expected("something else") }
    }

    fn append(_: &'a str, _: ErrorKind, first: Self) -> Self {
        first
    }
}

impl Stop<'_> {
    /// The error detail; `what` is "filter" or "path".
    pub(super) fn detail(&self, whole: &str, what: &str) -> String {
        let read = whole.len().saturating_sub(self.rest.len());
        let position = 1 + whole.get(..read).map_or(0, |text| text.chars().count());
        match self.reason {
            Reason::Expected(expected) => format!(
                "The {what} could not be read at position {position}: found {}, expected \
                 {expected}.",
                found(self.rest, what)
            ),
            Reason::TooDeep => format!(
                "The {what} could not be read at position {position}: its brackets are nested \
                 deeper than {MAX_FILTER_DEPTH} levels."
            ),
        }
    }
}

/// What a person would point at: a bracket, a quoted string, or the text up to the next of them.
fn found(rest: &str, what: &str) -> String {
    const LONGEST: usize = 40;
    let is_end = |c: char| c.is_whitespace() || "()[]\"".contains(c);
    let end = match rest.chars().next() {
        None => return format!("the end of the {what}"),
        Some('"') => rest.char_indices().skip(1).find(|(_, c)| *c == '"').map(|(at, _)| at + 1),
        Some(first) if is_end(first) => Some(first.len_utf8()),
        Some(_) => rest.find(is_end),
    };
    let token = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
    match token.char_indices().nth(LONGEST).and_then(|(at, _)| token.get(..at)) {
        Some(start) => format!("`{start}…`"),
        None => format!("`{token}`"),
    }
}

/// A final refusal at this place.
pub(super) fn refuse<'a, T>(rest: &'a str, expected: &'static str) -> Parsed<'a, T> {
    Err(Err::Failure(Stop { rest, reason: Reason::Expected(expected) }))
}

/// A final refusal of a bracket.
pub(super) fn too_deep(rest: &str) -> Err<Stop<'_>> {
    Err::Failure(Stop { rest, reason: Reason::TooDeep })
}

/// White space between tokens.
pub(super) fn is_blank(c: char) -> bool {
    " \t\r\n".contains(c)
}

/// Skips white space; what follows must be what `parser` reads.
pub(super) fn expect<'a, T>(
    expected: &'static str,
    mut parser: impl Parser<&'a str, Output = T, Error = Stop<'a>>,
) -> impl FnMut(&'a str) -> Parsed<'a, T> {
    move |input| {
        let (input, _) = multispace0(input)?;
        match parser.parse(input) {
            Err(Err::Error(_)) => refuse(input, expected),
            other => other,
        }
    }
}

/// `and` or `or` between two expressions.
pub(super) fn connective<'a>(word: &'static str) -> impl FnMut(&'a str) -> Parsed<'a, &'a str> {
    move |input| {
        let after = alt((multispace1, tag("("), eof));
        delimited(multispace0, tag_no_case(word), peek(after)).parse(input)
    }
}

/// The word `not`, which no attribute of a filter can be called.
pub(super) fn not_word(input: &str) -> Parsed<'_, &str> {
    terminated(tag_no_case("not"), not(satisfy(is_name_char))).parse(input)
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_$".contains(c)
}

/// ATTRNAME of RFC 7643 §2.1. `$` may also come first: the RFC's own `$ref` breaks its rule.
pub(super) fn name(input: &str) -> Parsed<'_, &str> {
    // `$ref` is the one name that starts with a dollar sign (RFC 7643 §2.4).
    let first = recognize((opt(char('$')), satisfy(|c| c.is_ascii_alphabetic())));
    recognize((first, take_while(is_name_char))).parse(input)
}

fn name_and_sub(input: &str) -> Parsed<'_, (&str, Option<&str>)> {
    (name, opt(preceded(char('.'), name))).parse(input)
}

/// `[URI ":"] ATTRNAME ["." ATTRNAME]`.
///
/// The URI ends at the last colon. What does not look like a name after it is no attribute path;
/// the whole text is then kept as the name, which no resource type has.
pub(super) fn attr_path(input: &str) -> Parsed<'_, AttrPath> {
    let owned = |text: &str| text.to_owned();
    let is_uri_char = |c: char| c.is_ascii_alphanumeric() || ":.-_$'%+=@;!*,~/?#&".contains(c);
    let (after, run) = take_while1(is_uri_char).parse(input)?;
    if starts_with_scheme(run) {
        let split = run.rsplit_once(':').and_then(|(uri, last)| {
            let (_, (name, sub)) = all_consuming(name_and_sub).parse(last).ok()?;
            Some(AttrPath { schema: Some(uri.into()), name: name.into(), sub: sub.map(owned) })
        });
        return Ok((after, split.unwrap_or_else(|| AttrPath::name(run))));
    }
    let (after, (name, sub)) = name_and_sub(input)?;
    Ok((after, AttrPath { schema: None, name: name.into(), sub: sub.map(owned) }))
}

fn starts_with_scheme(run: &str) -> bool {
    run.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// `pr` is `None`.
pub(super) fn operator(input: &str) -> Parsed<'_, Option<CompareOp>> {
    let named = |word: &str| match word.eq_ignore_ascii_case("pr") {
        true => Some(None),
        false => {
            CompareOp::ALL.into_iter().find(|op| op.as_str().eq_ignore_ascii_case(word)).map(Some)
        }
    };
    let (rest, op) = map_opt(alpha1, named).parse(input)?;
    before_end_of_word(rest, "a space after the operator")?;
    Ok((rest, op))
}

/// White space, a closing bracket or the end of the text.
fn end_of_word(input: &str) -> Parsed<'_, &str> {
    alt((multispace1, tag(")"), tag("]"), eof)).parse(input)
}

fn before_end_of_word<'a>(rest: &'a str, expected: &'static str) -> Parsed<'a, ()> {
    match end_of_word(rest) {
        Ok(_) => Ok((rest, ())),
        Err(_) => refuse(rest, expected),
    }
}

pub(super) const LITERAL: &str = "a quoted string, a number, true, false or null";
const STRING: &str =
    "a string with a closing quotation mark and the escapes of JSON, without U+0000";

/// A JSON value (RFC 7159 §3) that is no object and no array. The words are accepted in any letter
/// case.
pub(super) fn json_literal(input: &str) -> Parsed<'_, Literal> {
    if input.starts_with('"') {
        return quoted(input);
    }
    let word = alt((
        value(Literal::Null, tag_no_case("null")),
        value(Literal::Bool(true), tag_no_case("true")),
        value(Literal::Bool(false), tag_no_case("false")),
        map(json_number, Literal::Number),
    ));
    terminated(word, peek(end_of_word)).parse(input)
}

/// A quoted string, or whatever stands before the next space or closing bracket.
pub(super) fn loose_literal(input: &str) -> Parsed<'_, Literal> {
    if input.starts_with('"') {
        return quoted(input);
    }
    let bare = take_till1(|c: char| is_blank(c) || c == ')' || c == ']');
    let without_nul = |text: &str| (!text.contains('\0')).then(|| Literal::Bare(text.to_owned()));
    map_opt(bare, without_nul).parse(input)
}

fn quoted(input: &str) -> Parsed<'_, Literal> {
    let character = alt((none_of("\"\\"), preceded(char('\\'), anychar)));
    let string = recognize(delimited(char('"'), many0_count(character), char('"')));
    let text = |json: &str| serde_json::from_str::<String>(json).ok().filter(|s| !s.contains('\0'));
    let (rest, text) = expect(STRING, map_opt(string, text))(input)?;
    before_end_of_word(rest, "a space or a closing bracket after the string")?;
    Ok((rest, Literal::Text(text)))
}

/// The number that the whole text is.
pub(super) fn number_of(text: &str) -> Option<Number> {
    all_consuming(json_number).parse(text).ok().map(|(_, number)| number)
}

fn json_number(input: &str) -> Parsed<'_, Number> {
    // Not `digit0`: at the end of a str, nom 8.0 returns a rest that points to the start, and
    // `recognize` then cuts the number there.
    let digits = take_while(|c: char| c.is_ascii_digit());
    let whole = alt((tag("0"), recognize((one_of("123456789"), digits))));
    let fraction = opt((char('.'), digit1));
    let exponent = opt((one_of("eE"), opt(one_of("+-")), digit1));
    let text = recognize((opt(char('-')), whole, fraction, exponent));
    map_opt(text, number_from).parse(input)
}

/// Whole numbers stay whole where 64 bits hold them. serde_json itself rounds the last digit of some
/// fractions, and then the canonical text would not read back.
fn number_from(text: &str) -> Option<Number> {
    let whole = text.parse::<i64>().map(Number::from);
    let whole = whole.or_else(|_| text.parse::<u64>().map(Number::from)).ok();
    whole.or_else(|| Number::from_f64(text.parse().ok()?))
}
