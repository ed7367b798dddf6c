//! The requirements of RFC 7643 and RFC 7644, one row each, and how each is checked.
//!
//! A check is a function that talks to a fresh directory. It proves the whole sentence of its row,
//! and says in its failure what was sent and what came back. Rows run in two columns: a directory
//! that follows the RFC to the letter, and one with the default profile, where some rows differ on
//! purpose.

mod attributes;
mod bulk;
mod core;
mod create;
pub mod custom;
mod delete;
mod discovery;
mod errors;
mod filter;
mod me;
mod paging;
mod patch;
mod query;
mod replace;
mod retrieve;
mod security;
mod sort;
mod transport;
mod versioning;

use std::fmt;

use crate::subject::Subject;

/// One requirement.
pub struct Row {
    /// The letter of the section and a number: `A21`.
    pub id: &'static str,
    /// The RFC's word, `—` where it has none.
    pub level: &'static str,
    /// `RFC 7643 §3.1`
    pub source: &'static str,
    /// The requirement in one sentence.
    pub text: &'static str,
    /// The name of the test: `rfc_a21_server_assigns_id`.
    pub name: &'static str,
    pub check: fn(&Subject) -> Check,
    pub default: OnDefault,
}

/// What the default profile does about a row.
#[derive(Clone, Copy)]
pub enum OnDefault {
    Same,
    /// This other check must hold there, for this reason.
    Differs {
        reason: &'static str,
        check: fn(&Subject) -> Check,
    },
}

pub type Check = Result<(), Finding>;

/// Why a row does not simply hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// What was sent, what came back, what is right.
    Failed(String),
    /// The requirement speaks of something that the server does not have, for this reason.
    NotApplicable(&'static str),
    /// This run could not look: no management API, no process of its own.
    Skipped(&'static str),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed(failure) => failure,
            Self::NotApplicable(reason) | Self::Skipped(reason) => reason,
        })
    }
}

impl From<String> for Finding {
    fn from(failure: String) -> Self {
        Self::Failed(failure)
    }
}

/// The rows of one letter.
pub struct Section {
    pub letter: &'static str,
    pub title: &'static str,
    pub rows: Vec<&'static Row>,
}

impl Row {
    /// A row that is the same in both columns.
    pub const fn new(
        id: &'static str,
        level: &'static str,
        source: &'static str,
        name: &'static str,
        text: &'static str,
        check: fn(&Subject) -> Check,
    ) -> Self {
        Self { id, level, source, text, name, check, default: OnDefault::Same }
    }

    /// The row with another check for the default profile.
    pub const fn differs(self, reason: &'static str, check: fn(&Subject) -> Check) -> Self {
        Self { default: OnDefault::Differs { reason, check }, ..self }
    }
}

/// Every section in the order of the report.
pub fn sections() -> Vec<Section> {
    fn section(letter: &'static str, title: &'static str, parts: &[&'static [Row]]) -> Section {
        Section { letter, title, rows: parts.iter().copied().flatten().collect() }
    }
    vec![
        section("A", "Attributes and data types", attributes::PARTS),
        section("K", "Core resources", core::PARTS),
        section("H", "HTTP, media types, versioning", &[transport::ROWS]),
        section("C", "Create", &[create::ROWS]),
        section("R", "Retrieve", &[retrieve::ROWS]),
        section("Q", "Query", &[query::ROWS]),
        section("F", "Filter", filter::PARTS),
        section("S", "Sort", &[sort::ROWS]),
        section("P", "Paging", &[paging::ROWS]),
        section("U", "Replace", &[replace::ROWS]),
        section("X", "PATCH", patch::PARTS),
        section("D", "Delete", &[delete::ROWS]),
        section("B", "Bulk", bulk::PARTS),
        section("M", "/Me", &[me::ROWS]),
        section("V", "Discovery", &[discovery::ROWS]),
        section("T", "ETag and versioning", &[versioning::ROWS]),
        section("E", "Errors", &[errors::ROWS]),
        section("Z", "Security", &[security::ROWS]),
    ]
}

/// Every row in the order of the report.
pub fn all() -> Vec<&'static Row> {
    sections().into_iter().flat_map(|section| section.rows).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// How many rows the requirements have per letter.
    const EXPECTED: [(&str, usize); 18] = [
        ("A", 44),
        ("K", 12),
        ("H", 12),
        ("C", 8),
        ("R", 7),
        ("Q", 11),
        ("F", 18),
        ("S", 6),
        ("P", 6),
        ("U", 8),
        ("X", 26),
        ("D", 4),
        ("B", 10),
        ("M", 2),
        ("V", 10),
        ("T", 6),
        ("E", 6),
        ("Z", 8),
    ];

    #[test]
    fn every_requirement_is_one_row_in_order() {
        for (section, (letter, total)) in sections().iter().zip(EXPECTED) {
            assert_eq!(section.letter, letter);
            let ids: Vec<&str> = section.rows.iter().map(|row| row.id).collect();
            let expected: Vec<String> =
                (1..=total).map(|number| format!("{letter}{number}")).collect();
            assert_eq!(ids, expected, "section {letter}");
        }
        assert_eq!(sections().len(), EXPECTED.len());
        assert_eq!(all().len(), 204);
    }

    #[test]
    fn names_begin_with_the_id_and_are_unique() {
        let mut names = BTreeSet::new();
        for row in all() {
            let start = format!("rfc_{}_", row.id.to_ascii_lowercase());
            assert!(row.name.starts_with(&start), "{} is named {}", row.id, row.name);
            assert!(names.insert(row.name), "{} is there twice", row.name);
            let tail = &row.name[start.len()..];
            let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(!tail.is_empty() && tail.chars().all(word), "{}", row.name);
        }
    }

    #[test]
    fn rows_say_where_they_come_from() {
        for row in all() {
            let (rfc, section) = row.source.split_once(" §").unwrap_or_default();
            assert!(["RFC 7643", "RFC 7644"].contains(&rfc), "{}: {}", row.id, row.source);
            assert!(!section.is_empty(), "{}: {}", row.id, row.source);
            assert!(!row.text.is_empty() && !row.level.is_empty(), "{}", row.id);
            if let OnDefault::Differs { reason, .. } = row.default {
                assert!(reason.len() > 20, "{}: {reason}", row.id);
            }
        }
    }
}
