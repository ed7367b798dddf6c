//! Runs rows and says what held: one line per row that did not, a table by section, and the rows
//! where the default profile differs on purpose.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::host::Host;
use crate::rows::{Finding, OnDefault, Row, Section};
use crate::subject::Column;

/// What became of one row in one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Held,
    /// The other behaviour of the default profile was shown to hold.
    Differs(&'static str),
    NotApplicable(&'static str),
    Skipped(&'static str),
    Failed(String),
}

/// One row with its outcome per column that was run.
pub struct RowReport {
    pub row: &'static Row,
    pub outcomes: Vec<(Column, Outcome)>,
}

/// The rows of one letter that were run.
pub struct SectionReport {
    pub letter: &'static str,
    pub title: &'static str,
    pub rows: Vec<RowReport>,
}

/// Runs one row in one column on a directory of its own.
pub fn run_row(host: &Host, row: &Row, column: Column) -> Outcome {
    let subject = match host.subject(row.name, column) {
        Ok(subject) => subject,
        Err(error) => return Outcome::Failed(format!("no directory: {error}")),
    };
    let (check, held) = match (column, row.default) {
        (Column::Default, OnDefault::Differs { reason, check }) => {
            (check, Outcome::Differs(reason))
        }
        _ => (row.check, Outcome::Held),
    };
    match check(&subject) {
        Ok(()) => held,
        Err(Finding::NotApplicable(reason)) => Outcome::NotApplicable(reason),
        Err(Finding::Skipped(reason)) => Outcome::Skipped(reason),
        Err(Finding::Failed(failure)) => Outcome::Failed(failure),
    }
}

/// Runs the rows of these sections, telling about each that does not hold as it goes.
pub fn run(
    host: &Host,
    sections: Vec<Section>,
    columns: &[Column],
    out: &mut impl Write,
) -> io::Result<Vec<SectionReport>> {
    let mut reports = Vec::new();
    for Section { letter, title, rows } in sections {
        let mut done = Vec::new();
        for row in rows {
            let mut outcomes = Vec::new();
            for column in columns {
                let outcome = run_row(host, row, *column);
                tell(out, row, *column, &outcome)?;
                outcomes.push((*column, outcome));
            }
            done.push(RowReport { row, outcomes });
        }
        reports.push(SectionReport { letter, title, rows: done });
    }
    Ok(reports)
}

fn tell(out: &mut impl Write, row: &Row, column: Column, outcome: &Outcome) -> io::Result<()> {
    let word = match outcome {
        Outcome::Held | Outcome::Differs(_) | Outcome::NotApplicable(_) => return Ok(()),
        Outcome::Skipped(_) => "skipped",
        Outcome::Failed(_) => "FAILED",
    };
    let Row { id, text, .. } = row;
    writeln!(out, "{word} {id} ({}): {text}", column.name())?;
    writeln!(out, "    {}", outcome.reason())?;
    out.flush()
}

impl Outcome {
    /// True when the row is as it was declared to be.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Held | Self::Differs(_) | Self::NotApplicable(_))
    }

    pub fn reason(&self) -> &str {
        match self {
            Self::Held => "",
            Self::Differs(reason) | Self::NotApplicable(reason) | Self::Skipped(reason) => reason,
            Self::Failed(failure) => failure,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Differs(_) => "differs",
            Self::NotApplicable(_) => "not applicable",
            Self::Skipped(_) => "skipped",
            Self::Failed(_) => "failed",
        }
    }
}

impl SectionReport {
    fn outcomes(&self, column: Column) -> impl Iterator<Item = (&'static Row, &Outcome)> {
        self.rows.iter().flat_map(move |report| {
            let of_column = report.outcomes.iter().filter(move |(ran, _)| *ran == column);
            of_column.map(|(_, outcome)| (report.row, outcome))
        })
    }
}

/// How many rows of one column had which outcome.
#[derive(Clone, Copy, Default)]
struct Count {
    total: usize,
    held: usize,
    differ: usize,
    not_applicable: usize,
    skipped: usize,
    failed: usize,
}

impl Count {
    fn of<'o>(outcomes: impl Iterator<Item = &'o Outcome>) -> Self {
        let mut count = Self::default();
        for outcome in outcomes {
            count.total += 1;
            let slot = match outcome {
                Outcome::Held => &mut count.held,
                Outcome::Differs(_) => &mut count.differ,
                Outcome::NotApplicable(_) => &mut count.not_applicable,
                Outcome::Skipped(_) => &mut count.skipped,
                Outcome::Failed(_) => &mut count.failed,
            };
            *slot += 1;
        }
        count
    }

    /// `203/204 (1 not applicable)`
    fn shown(&self) -> String {
        let parts = [
            (self.differ, "differ on purpose"),
            (self.not_applicable, "not applicable"),
            (self.skipped, "skipped"),
            (self.failed, "failed"),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, words)| format!("{number} {words}"))
            .collect();
        let head = format!("{}/{}", self.held, self.total);
        if parts.is_empty() { head } else { format!("{head} ({})", parts.join(", ")) }
    }
}

/// Prints the table, the totals, and every row that does not simply hold with its reason.
pub fn print(
    out: &mut impl Write,
    reports: &[SectionReport],
    columns: &[Column],
) -> io::Result<()> {
    let title = |report: &SectionReport| format!("{} {}", report.letter, report.title);
    let width = reports.iter().map(|report| title(report).chars().count()).max().unwrap_or(0);
    write!(out, "\n{:width$} | rows", "section")?;
    for column in columns {
        write!(out, " | {:>12}", format!("{} held", column.name()))?;
    }
    writeln!(out, " | notes")?;
    for report in reports {
        write!(out, "{:width$} | {:>4}", title(report), report.rows.len())?;
        for column in columns {
            let count = Count::of(report.outcomes(*column).map(|(_, outcome)| outcome));
            write!(out, " | {:>12}", format!("{}/{}", count.held, count.total))?;
        }
        writeln!(out, " | {}", notes(report, columns).join(", "))?;
    }
    writeln!(out, "\n{}", totals(reports, columns))?;
    for (words, wanted) in [
        ("not applicable", Outcome::NotApplicable("")),
        ("differs in the default profile", Outcome::Differs("")),
    ] {
        list(out, reports, columns, words, &wanted)?;
    }
    Ok(())
}

/// `rfc 203/204 (1 not applicable) · default 195/204 (8 differ on purpose, 1 not applicable)`
pub fn totals(reports: &[SectionReport], columns: &[Column]) -> String {
    let totals = columns.iter().map(|column| {
        let outcomes = reports.iter().flat_map(|report| report.outcomes(*column));
        format!("{} {}", column.name(), Count::of(outcomes.map(|(_, outcome)| outcome)).shown())
    });
    totals.collect::<Vec<_>>().join(" · ")
}

/// The ids of rows that do not simply hold, each with a word.
fn notes(report: &SectionReport, columns: &[Column]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for column in columns {
        for (row, outcome) in report.outcomes(*column).filter(|(_, found)| **found != Outcome::Held)
        {
            let note = format!("{} {}", row.id, outcome.word());
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

fn list(
    out: &mut impl Write,
    reports: &[SectionReport],
    columns: &[Column],
    words: &str,
    wanted: &Outcome,
) -> io::Result<()> {
    let mut lines: Vec<String> = Vec::new();
    for column in columns {
        for (row, outcome) in reports.iter().flat_map(|report| report.outcomes(*column)) {
            let line = format!("    {:4} {}", row.id, outcome.reason());
            if outcome.word() == wanted.word() && !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    if !lines.is_empty() {
        writeln!(out, "\n{words}:\n{}", lines.join("\n"))?;
    }
    Ok(())
}

/// The report as one document.
pub fn json(reports: &[SectionReport], columns: &[Column]) -> Value {
    let rows = reports.iter().flat_map(|report| &report.rows).map(|RowReport { row, outcomes }| {
        let mut entry = json!({
            "id": row.id, "level": row.level, "source": row.source, "requirement": row.text,
            "test": row.name,
        });
        if let Some(members) = entry.as_object_mut() {
            for (column, outcome) in outcomes {
                let outcome = json!({"outcome": outcome.word(), "reason": outcome.reason()});
                members.insert(column.name().to_owned(), outcome);
            }
        }
        entry
    });
    json!({"totals": totals(reports, columns), "rows": rows.collect::<Vec<_>>()})
}
