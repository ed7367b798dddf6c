//! Charts, drawn here: a picture for who looks, the same numbers as a table for who reads.
//!
//! The drawing is stretched to the width of the page, so it holds shapes only; numbers and times stand
//! around it as text, which keeps its size.

use askama::Template;

use super::text as filters;
use crate::scim::key::instant_ms;

/// The drawing is so many units wide and high.
const WIDTH: i64 = 6_000;
const HEIGHT: i64 = 2_000;

/// Lines across the drawing, beside the one at zero; each has its number.
const LINES: i64 = 4;

/// Times below the drawing.
const TIMES: usize = 4;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Values over time that have a name.
#[derive(Clone, Debug)]
pub(in crate::http) struct Series<'c> {
    pub(in crate::http) name: &'c str,
    /// One for each time; `None` where there is none.
    pub(in crate::http) values: Vec<Option<i64>>,
}

/// How values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Shape {
    /// A line for each series.
    Lines,
    /// Columns, one series upon the other.
    Columns,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub(in crate::http) struct Chart<'c> {
    /// The id of its heading and what begins those of its parts.
    pub(in crate::http) id: &'c str,
    pub(in crate::http) title: &'c str,
    /// What the numbers are: `users`, `requests in 15 minutes`.
    pub(in crate::http) unit: String,
    pub(in crate::http) shape: Shape,
    /// The beginning of each step (RFC 3339).
    pub(in crate::http) times: Vec<String>,
    pub(in crate::http) series: Vec<Series<'c>>,
}

#[derive(Template)]
#[template(path = "web/chart.html")]
struct Drawing<'c> {
    chart: &'c Chart<'c>,
    width: i64,
    height: i64,
    /// Heights of the lines across, without the one at zero.
    grid: Vec<i64>,
    /// From the top down.
    numbers: Vec<i64>,
    times: Vec<&'c str>,
    lines: Vec<Line>,
    columns: Vec<Column>,
    /// Times of a day, or days.
    short: &'static str,
    summary: String,
    rows: Vec<Row<'c>>,
    is_empty: bool,
}

impl Drawing<'_> {
    /// `17:30` of `2026-11-21T17:30:05.000Z`, or `11-21`.
    fn shortened(&self, time: &str) -> String {
        let (day, rest) = time.split_once('T').unwrap_or((time, ""));
        let part = if self.short == "time" { rest.get(..5) } else { day.get(5..) };
        part.unwrap_or(time).to_owned()
    }
}

struct Line {
    /// Which of the series it is, from one on: they have colours.
    place: usize,
    path: String,
}

struct Column {
    place: usize,
    x: i64,
    y: i64,
    width: i64,
    height: i64,
}

struct Row<'c> {
    at: &'c str,
    values: Vec<Option<i64>>,
}

impl Chart<'_> {
    /// The chart as HTML.
    #[expect(clippy::expect_used, reason = "a template has no fallible filter, and a String grows")]
    pub(in crate::http) fn draw(&self) -> String {
        let top = top(self.highest());
        let drawing = Drawing {
            chart: self,
            width: WIDTH,
            height: HEIGHT,
            grid: (0..LINES).map(|line| HEIGHT * line / LINES).collect(),
            numbers: (0..=LINES).rev().map(|line| top * line / LINES).collect(),
            times: self.marked_times(),
            lines: if self.shape == Shape::Lines { self.lines(top) } else { Vec::new() },
            columns: if self.shape == Shape::Columns { self.columns(top) } else { Vec::new() },
            short: self.short(),
            summary: self.summary(),
            rows: self.rows(),
            is_empty: self.series.iter().all(|series| series.values.iter().all(Option::is_none)),
        };
        drawing.render().expect("text is written into a String")
    }

    /// The value of a series at a time.
    fn value(&self, series: usize, at: usize) -> Option<i64> {
        *self.series.get(series)?.values.get(at)?
    }

    fn highest(&self) -> i64 {
        let all = |at| (0..self.series.len()).filter_map(move |series| self.value(series, at));
        let steps = 0..self.times.len();
        let highest = match self.shape {
            Shape::Lines => steps.filter_map(|at| all(at).max()).max(),
            Shape::Columns => steps.map(|at| all(at).sum()).max(),
        };
        highest.unwrap_or(0)
    }

    /// The middle of a step.
    fn x(&self, at: usize) -> i64 {
        let (at, steps) = (whole(at), whole(self.times.len()).max(1));
        WIDTH * (2 * at + 1) / (2 * steps)
    }

    /// A path for each series, which is broken where there are no values.
    fn lines(&self, top: i64) -> Vec<Line> {
        let path = |series: usize| {
            let mut path = String::new();
            let mut draws = false;
            for at in 0..self.times.len() {
                let Some(value) = self.value(series, at) else {
                    draws = false;
                    continue;
                };
                let (step, x, y) = (if draws { 'L' } else { 'M' }, self.x(at), height(value, top));
                // A point that stands alone is a short stroke.
                let stroke = if draws { "" } else { "h1" };
                path.push_str(&format!("{step}{x} {y}{stroke}"));
                draws = true;
            }
            path
        };
        let line = |series: usize| Line { place: series + 1, path: path(series) };
        (0..self.series.len()).map(line).collect()
    }

    fn columns(&self, top: i64) -> Vec<Column> {
        let width = WIDTH * 4 / (5 * whole(self.times.len()).max(1));
        let mut columns = Vec::new();
        for at in 0..self.times.len() {
            let mut below = 0;
            for series in 0..self.series.len() {
                let (place, value) = (series + 1, self.value(series, at).unwrap_or(0));
                if value > 0 {
                    let (foot, head) = (height(below, top), height(below + value, top));
                    let x = self.x(at) - width / 2;
                    columns.push(Column { place, x, y: head, width, height: foot - head });
                    below += value;
                }
            }
        }
        columns
    }

    /// Times at equal distances, from the first to the last.
    fn marked_times(&self) -> Vec<&str> {
        let last = self.times.len().saturating_sub(1);
        let marks = (0..=TIMES).filter_map(|mark| self.times.get(last * mark / TIMES));
        marks.map(String::as_str).collect()
    }

    /// `time` where the steps lie within a day, `date` where they do not.
    fn short(&self) -> &'static str {
        let [first, last] = [self.times.first(), self.times.get(1)];
        let day = |time: Option<&String>| time.and_then(|time| instant_ms(time)).unwrap_or(0);
        let steps = whole(self.times.len());
        if (day(last) - day(first)).saturating_mul(steps) > DAY_MS { "date" } else { "time" }
    }

    /// What somebody sees at a glance, in words.
    fn summary(&self) -> String {
        let told = self.series.iter().map(|series| {
            let values: Vec<i64> = series.values.iter().flatten().copied().collect();
            let (Some(lowest), Some(highest)) = (values.iter().min(), values.iter().max()) else {
                return format!("{}: no numbers yet.", series.name);
            };
            let last = values.last().copied().unwrap_or(0);
            let grouped = |number: i64| filters::grouped_text(&number.to_string());
            let [last, lowest, highest] = [last, *lowest, *highest].map(grouped);
            format!("{}: {last} last, between {lowest} and {highest}.", series.name)
        });
        told.collect::<Vec<_>>().join(" ")
    }

    /// The newest first.
    fn rows(&self) -> Vec<Row<'_>> {
        let row = |at: usize| Row {
            at: self.times.get(at).map_or("", String::as_str),
            values: (0..self.series.len()).map(|series| self.value(series, at)).collect(),
        };
        (0..self.times.len()).rev().map(row).collect()
    }
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How far from the top a value is.
fn height(value: i64, top: i64) -> i64 {
    let share = i128::from(HEIGHT) * i128::from(value) / i128::from(top.max(1));
    HEIGHT - i64::try_from(share).unwrap_or(HEIGHT)
}

/// The number at the top: round, not below the highest, and divided into whole numbers by the lines.
fn top(highest: i64) -> i64 {
    let mut scale: i64 = 1;
    loop {
        for step in [1, 2, 3, 5] {
            let top = LINES.saturating_mul(step).saturating_mul(scale);
            if top >= highest {
                return top;
            }
        }
        scale = scale.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_is_round_and_high_enough() {
        let tops = [0, 4, 5, 12, 13, 40, 41, 999_999, 1_000_001].map(top);
        assert_eq!(tops, [4, 4, 8, 12, 20, 40, 80, 1_200_000, 1_200_000]);
        assert!(top(i64::MAX) > 0);
    }

    fn chart(shape: Shape) -> Chart<'static> {
        Chart {
            id: "users",
            title: "Users <b>",
            unit: "users".into(),
            shape,
            times: (0..4).map(|hour| format!("2026-11-21T0{hour}:00:00.000Z")).collect(),
            series: vec![
                Series { name: "Active", values: vec![Some(2), None, Some(4), Some(0)] },
                Series { name: "Inactive", values: vec![Some(1), None, None, Some(1)] },
            ],
        }
    }

    #[test]
    fn lines_are_broken_where_nothing_is_known() {
        let lines = chart(Shape::Lines).lines(4);
        let paths: Vec<&str> = lines.iter().map(|line| line.path.as_str()).collect();
        assert_eq!(paths, ["M750 1000h1M3750 0h1L5250 2000", "M750 1500h1M5250 1500h1"]);
    }

    #[test]
    fn columns_stand_upon_each_other() {
        let columns = chart(Shape::Columns).columns(4);
        let places = columns.iter().map(|c| (c.place, c.x, c.y, c.height)).collect::<Vec<_>>();
        assert_eq!(
            places,
            [
                (1, 150, 1_000, 1_000),
                (2, 150, 500, 500),
                (1, 3_150, 0, 2_000),
                (2, 4_650, 1_500, 500)
            ]
        );
    }

    #[test]
    fn chart_is_a_picture_with_words_and_a_table_behind_it() {
        let html = chart(Shape::Lines).draw();
        assert!(html.contains("role=\"img\"") && html.contains("<desc"), "{html}");
        assert!(html.contains("Active: 0 last, between 0 and 4."), "{html}");
        assert_eq!(html.matches("<tr>").count(), 5, "{html}");
        assert!(!html.contains("style=") && !html.contains("<b>"), "{html}");
    }
}
