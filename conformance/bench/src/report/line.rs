//! Lines of the report: what was to be reached and what was.

use serde::Serialize;

/// What a figure has to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// What a figure is measured in.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unit {
    Times,
    Megabytes,
    Milliseconds,
}

/// A line: the figure of every run, and the one in the middle.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    what: String,
    target: String,
    unit: Unit,
    runs: Vec<f64>,
    measured: f64,
    held: bool,
    /// What the figure was computed from.
    figures: String,
}

impl Line {
    pub(super) fn new(
        what: impl Into<String>,
        target: Target,
        unit: Unit,
        runs: Vec<f64>,
        figures: impl Into<String>,
    ) -> Self {
        let measured = median(&runs);
        let (sign, bound, held) = match target {
            Target::AtLeast(bound) => ("≥", bound, measured >= bound),
            Target::AtMost(bound) => ("≤", bound, measured <= bound),
        };
        let target = format!("{sign} {bound} {}", unit.sign());
        let figures = figures.into();
        // Without a figure nothing is held.
        let held = held && !runs.is_empty();
        Self { what: what.into(), target, unit, runs, measured, held, figures }
    }

    fn cells(&self) -> [String; 5] {
        let (least, most) = self
            .runs
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), run| (l.min(*run), m.max(*run)));
        let number = |value: f64| match self.unit {
            Unit::Times => format!("{value:.2}"),
            Unit::Megabytes | Unit::Milliseconds => format!("{value:.0}"),
        };
        let spread = match self.runs.len() {
            0 | 1 => String::new(),
            _ => format!(" ({}–{})", number(least), number(most)),
        };
        [
            self.what.clone(),
            self.target.clone(),
            format!("{} {}{spread}", number(self.measured), self.unit.sign()),
            if self.held { "held" } else { "**not held**" }.to_owned(),
            self.figures.clone(),
        ]
    }
}

impl Unit {
    fn sign(self) -> &'static str {
        match self {
            Self::Times => "×",
            Self::Megabytes => "MB",
            Self::Milliseconds => "ms",
        }
    }
}

/// The figure in the middle; of an even number of them the mean of the two.
pub(super) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or(f64::NAN);
    match sorted.len() % 2 {
        0 => sorted
            .get(middle.wrapping_sub(1))
            .map_or(f64::NAN, |lower| f64::midpoint(*lower, upper)),
        _ => upper,
    }
}

/// One figure over the other, run by run.
pub(super) fn over(one: &[f64], other: &[f64]) -> Vec<f64> {
    one.iter().zip(other).map(|(one, other)| one / other).collect()
}

/// Measures every subject once in every run, in turn and then the other way round: what the machine
/// does meanwhile meets all alike. Answers the figures of each subject.
pub(super) fn runs<const N: usize>(
    runs: usize,
    mut measure: impl FnMut(usize) -> Result<f64, String>,
) -> Result<[Vec<f64>; N], String> {
    let mut figures = [const { Vec::new() }; N];
    for run in 0..runs {
        for turn in 0..N {
            let subject = if run % 2 == 0 { turn } else { N - 1 - turn };
            let figure = measure(subject)?;
            if let Some(figures) = figures.get_mut(subject) {
                figures.push(figure);
            }
        }
    }
    Ok(figures)
}

/// The lines as a table in Markdown, also readable as it is.
pub(super) fn table(lines: &[Line]) -> String {
    let head = ["what", "target", "measured", "", "from"].map(str::to_owned);
    let rows: Vec<[String; 5]> =
        std::iter::once(head).chain(lines.iter().map(Line::cells)).collect();
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
        if index == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
            text.push_str(&format!("|{}|\n", rules.join("|")));
        }
    }
    text
}

/// How many lines did not reach their target.
pub(super) fn missed(lines: &[Line]) -> usize {
    lines.iter().filter(|line| !line.held).count()
}

/// A rate as `12,345`.
pub(super) fn thousands(rate: f64) -> String {
    grouped(&format!("{rate:.0}"))
}

/// A number of things as `12,345`.
pub(super) fn count(number: u64) -> String {
    grouped(&number.to_string())
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_held_by_its_median() {
        let runs = vec![0.9, 0.5, 0.7];
        let line = |target| Line::new("x", target, Unit::Times, runs.clone(), "y");
        assert!(line(Target::AtLeast(0.7)).held && !line(Target::AtLeast(0.71)).held);
        assert!(line(Target::AtMost(0.7)).held && !line(Target::AtMost(0.69)).held);
        assert!(!Line::new("x", Target::AtMost(1.0), Unit::Times, Vec::new(), "").held);
        let text = table(&[line(Target::AtLeast(0.75))]);
        assert!(
            text.contains("| x    | ≥ 0.75 × | 0.70 × (0.50–0.90) | **not held** | y    |"),
            "{text}"
        );
    }

    #[test]
    fn figures_are_put_together() {
        assert!((median(&[3.0, 1.0, 2.0, 4.0]) - 2.5).abs() < 1e-9);
        assert!(median(&[]).is_nan());
        assert_eq!(over(&[1.0, 3.0], &[2.0, 4.0]), [0.5, 0.75]);
        assert_eq!(
            [0.0, 999.0, 1_000.0, 1_234_567.4].map(thousands),
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn every_other_run_goes_the_other_way() {
        let mut order = Vec::new();
        let figures: [Vec<f64>; 2] = runs(2, |subject| {
            order.push(subject);
            Ok(if subject == 0 { 1.0 } else { 2.0 })
        })
        .expect("nothing fails");
        assert_eq!((order, figures), (vec![0, 1, 1, 0], [vec![1.0, 1.0], vec![2.0, 2.0]]));
    }
}
