//! A parsed filter, and its canonical text.

use std::fmt;

use serde_json::{Number, Value};

use crate::scim::AttrPath;

/// The comparing operators of RFC 7644 §3.4.2.2, Table 3; `pr` compares nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
}

impl CompareOp {
    /// Every operator, in the order of the RFC's table.
    pub const ALL: [Self; 9] =
        [Self::Eq, Self::Ne, Self::Co, Self::Sw, Self::Ew, Self::Gt, Self::Ge, Self::Lt, Self::Le];

    /// The word in a filter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Co => "co",
            Self::Sw => "sw",
            Self::Ew => "ew",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
        }
    }
}

/// The right-hand side of a comparison, as the client wrote it.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// Without quotation marks; only where the profile accepts that. The attribute's type decides
    /// what it is.
    Bare(String),
}

/// A filter whose names and values nobody has checked.
///
/// The parser never makes an `Or` inside an `Or`, an `And` inside an `And`, or either with fewer
/// than two parts, so one text has one tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    Or(Vec<Filter>),
    And(Vec<Filter>),
    Not(Box<Filter>),
    /// `path pr`
    Present(AttrPath),
    Compare {
        path: AttrPath,
        op: CompareOp,
        value: Literal,
    },
    /// `path[filter]`: the filter holds for one and the same element.
    Element {
        path: AttrPath,
        filter: Box<Filter>,
    },
}

impl Filter {
    /// The parts joined by `or`, nested `or` opened; a single part is itself.
    pub fn any(parts: Vec<Filter>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        only(&mut flat).unwrap_or(Self::Or(flat))
    }

    /// The parts joined by `and`, nested `and` opened; a single part is itself.
    pub fn all(parts: Vec<Filter>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        only(&mut flat).unwrap_or(Self::And(flat))
    }

    /// The names that stand outside square brackets.
    pub fn paths(&self) -> Vec<&AttrPath> {
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter().flat_map(Self::paths).collect(),
            Self::Not(inner) => inner.paths(),
            Self::Present(path) | Self::Compare { path, .. } | Self::Element { path, .. } => {
                vec![path]
            }
        }
    }

    /// How deep the brackets of the canonical text go.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Or(parts) => parts.iter().map(Self::depth).max().unwrap_or(0),
            Self::And(parts) => parts.iter().map(Self::depth_in_and).max().unwrap_or(0),
            Self::Not(inner) => 1 + inner.depth(),
            Self::Element { filter, .. } => 1 + filter.depth(),
            Self::Present(_) | Self::Compare { .. } => 0,
        }
    }

    fn depth_in_and(&self) -> usize {
        self.depth() + usize::from(matches!(self, Self::Or(_)))
    }
}

fn only(parts: &mut Vec<Filter>) -> Option<Filter> {
    if parts.len() == 1 { parts.pop() } else { None }
}

impl Filter {
    /// How many comparisons and presence tests it has.
    pub fn terms(&self) -> usize {
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter().map(Self::terms).sum(),
            Self::Not(inner) => inner.terms(),
            Self::Element { filter, .. } => filter.terms(),
            Self::Present(_) | Self::Compare { .. } => 1,
        }
    }
}

impl fmt::Display for Filter {
    /// The canonical text; [`super::parse_filter`] makes the same filter of it, unless it is longer
    /// than [`super::MAX_FILTER_BYTES`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Or(parts) => joined(f, parts, " or "),
            Self::And(parts) => joined(f, parts, " and "),
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::Present(path) => write!(f, "{path} pr"),
            Self::Compare { path, op, value } => write!(f, "{path} {} {value}", op.as_str()),
            Self::Element { path, filter } => write!(f, "{path}[{filter}]"),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[Filter], word: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        // Only an `or` inside an `and` binds weaker than its surroundings.
        match part {
            Filter::Or(_) => write!(f, "({part})")?,
            _ => write!(f, "{part}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{}", Value::from(value.as_str())),
            Self::Bare(value) => f.write_str(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(name: &str) -> Filter {
        Filter::Present(AttrPath::name(name))
    }

    #[test]
    fn joining_opens_what_is_nested() {
        let or = Filter::any(vec![Filter::any(vec![present("a"), present("b")]), present("c")]);
        assert_eq!(or, Filter::Or(vec![present("a"), present("b"), present("c")]));
        let and = Filter::all(vec![present("a"), Filter::all(vec![present("b"), present("c")])]);
        assert_eq!(and, Filter::And(vec![present("a"), present("b"), present("c")]));
        assert_eq!(Filter::any(vec![present("a")]), present("a"));
    }

    #[test]
    fn only_or_inside_and_needs_parentheses() {
        let or = Filter::any(vec![present("a"), present("b")]);
        let both = Filter::all(vec![or, Filter::Not(Box::new(present("c")))]);
        assert_eq!(both.to_string(), "(a pr or b pr) and not (c pr)");
        let either = Filter::any(vec![both, present("d")]);
        assert_eq!(either.to_string(), "(a pr or b pr) and not (c pr) or d pr");
        assert_eq!(either.depth(), 1);
    }

    #[test]
    fn text_is_written_as_json() {
        let text = Literal::Text("\"Ü\\\n\u{1}".into());
        assert_eq!(text.to_string(), r#""\"Ü\\\n\u0001""#);
    }
}
