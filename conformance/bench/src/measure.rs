//! What was measured: latencies and failures of each kind of request.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Latencies of one worker, in microseconds, and what went wrong.
#[derive(Default)]
pub(crate) struct Measurements {
    kinds: BTreeMap<&'static str, Kind>,
}

struct Kind {
    latencies: Histogram<u64>,
    /// Number of answers by status; 0 stands for none.
    failures: BTreeMap<u16, u64>,
}

/// One row of the report. Latencies are milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) request: String,
    pub(crate) count: u64,
    pub(crate) per_second: f64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub(crate) max: f64,
    pub(crate) errors: u64,
    /// By status; 0 is a connection that failed.
    pub(crate) errors_by_status: BTreeMap<u16, u64>,
}

/// From a microsecond to ten minutes, three significant digits.
#[expect(clippy::expect_used, reason = "constant bounds that the histogram accepts")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("bounds in order")
}

impl Measurements {
    /// Counts an answer; `status` is 0 when there was none.
    pub(crate) fn add(&mut self, kind: &'static str, latency: Duration, status: u16) {
        let entry = self
            .kinds
            .entry(kind)
            .or_insert_with(|| Kind { latencies: histogram(), failures: BTreeMap::new() });
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        entry.latencies.saturating_record(micros.max(1));
        if !(200..300).contains(&status) {
            *entry.failures.entry(status).or_default() += 1;
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (name, kind) in other.kinds {
            match self.kinds.get_mut(name) {
                None => {
                    self.kinds.insert(name, kind);
                }
                Some(known) => {
                    // Same bounds: this cannot fail.
                    let _ = known.latencies.add(&kind.latencies);
                    for (status, count) in kind.failures {
                        *known.failures.entry(status).or_default() += count;
                    }
                }
            }
        }
    }

    /// A row for each kind, and one for all when there are several.
    pub(crate) fn rows(&self, elapsed: Duration) -> Vec<Row> {
        let mut rows: Vec<Row> =
            self.kinds.iter().map(|(name, kind)| row(name, kind, elapsed)).collect();
        if rows.len() > 1 {
            let mut all = Kind { latencies: histogram(), failures: BTreeMap::new() };
            for kind in self.kinds.values() {
                let _ = all.latencies.add(&kind.latencies);
                for (status, count) in &kind.failures {
                    *all.failures.entry(*status).or_default() += count;
                }
            }
            rows.push(row("all", &all, elapsed));
        }
        rows
    }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "figures for people")]
fn row(name: &str, kind: &Kind, elapsed: Duration) -> Row {
    let latencies = &kind.latencies;
    let at = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
    Row {
        request: name.to_owned(),
        count: latencies.len(),
        per_second: latencies.len() as f64 / elapsed.as_secs_f64().max(f64::EPSILON),
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
        max: latencies.max() as f64 / 1_000.0,
        errors: kind.failures.values().sum(),
        errors_by_status: kind.failures.clone(),
    }
}

/// The rows as a table for people.
pub(crate) fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.request.len()).max().unwrap_or(0).max(16);
    let mut text = format!(
        "{:<width$} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>8}\n",
        "request", "count", "per s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "errors"
    );
    for row in rows {
        text.push_str(&format!(
            "{:<width$} {:>10} {:>10.0} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>8}\n",
            row.request, row.count, row.per_second, row.p50, row.p99, row.p999, row.max, row.errors
        ));
        for (status, count) in &row.errors_by_status {
            let what = if *status == 0 { "no answer".to_owned() } else { status.to_string() };
            text.push_str(&format!("{:<width$} {count:>10} × {what}\n", ""));
        }
    }
    text
}

/// Rows of several runs, each under its name; requests in the order of the first run that has them.
pub(crate) fn side_by_side(runs: &[(String, Vec<Row>)]) -> String {
    let mut requests: Vec<&str> = Vec::new();
    for row in runs.iter().flat_map(|(_, rows)| rows) {
        if !requests.contains(&row.request.as_str()) {
            requests.push(&row.request);
        }
    }
    let mut rows = Vec::new();
    for request in requests {
        for (name, of_run) in runs {
            for row in of_run.iter().filter(|row| row.request == request) {
                rows.push(Row { request: format!("{request} {name}"), ..row.clone() });
            }
        }
    }
    table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_measurements_are_the_sum() {
        let mut one = Measurements::default();
        let mut other = Measurements::default();
        one.add("get", Duration::from_millis(1), 200);
        other.add("get", Duration::from_millis(3), 503);
        other.add("create", Duration::from_millis(2), 0);
        one.merge(other);
        let rows = one.rows(Duration::from_secs(1));
        let by_name: BTreeMap<&str, &Row> =
            rows.iter().map(|row| (row.request.as_str(), row)).collect();
        assert_eq!((by_name["get"].count, by_name["get"].errors), (2, 1));
        assert_eq!(by_name["get"].errors_by_status.get(&503), Some(&1));
        assert_eq!((by_name["all"].count, by_name["all"].errors), (3, 2));
        assert!(table(&rows).contains("no answer"));
        let text = serde_json::to_string(&rows).expect("JSON");
        let read: Vec<Row> = serde_json::from_str(&text).expect("what was written");
        let both = side_by_side(&[("a".to_owned(), rows), ("b".to_owned(), read)]);
        let names: Vec<&str> =
            both.lines().filter_map(|line| line.get(..16)).map(str::trim).collect();
        let known = ["create a", "create b", "get a", "get b", "all a", "all b"];
        let found: Vec<&str> = names.into_iter().filter(|name| known.contains(name)).collect();
        assert_eq!(found, known);
    }
}
