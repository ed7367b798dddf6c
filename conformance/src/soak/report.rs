//! What a soak found: requests by provider and status, times, and everything that was wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::time::Duration;

use super::Options;
use super::wire::Tally;

/// How many findings are printed of each sort.
const SHOWN: usize = 50;

/// One provider's share.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) clients: usize,
    pub(super) tally: Tally,
}

/// The outcome of a soak.
#[derive(Debug)]
pub struct Report {
    pub(super) options: Options,
    pub(super) rows: BTreeMap<&'static str, Row>,
    /// Users and groups that were there at the end, and compared.
    pub(super) resources: usize,
    /// Answers that were wrong while clients played.
    pub failures: Vec<String>,
    /// What the checker found when it read everything back.
    pub differences: Vec<String>,
    /// Why something that was made stays on the server.
    pub left: Option<String>,
}

impl Report {
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && self.differences.is_empty() && self.server_errors() == 0
    }

    /// Answers of 500 and above.
    pub fn server_errors(&self) -> usize {
        let statuses = self.rows.values().flat_map(|row| &row.tally.statuses);
        statuses.filter(|(status, _)| **status >= 500).map(|(_, count)| count).sum()
    }

    pub fn requests(&self) -> usize {
        self.rows.values().map(|row| row.tally.requests()).sum()
    }

    /// Requests of one provider's clients.
    pub fn requests_of(&self, provider: &str) -> usize {
        self.rows.get(provider).map_or(0, |row| row.tally.requests())
    }

    /// Users and groups that were compared.
    pub fn resources(&self) -> usize {
        self.resources
    }

    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        for (title, findings) in
            [("wrong answers", &self.failures), ("differences", &self.differences)]
        {
            if !findings.is_empty() {
                writeln!(out, "{title}:")?;
            }
            for finding in findings.iter().take(SHOWN) {
                writeln!(out, "    {finding}")?;
            }
            if let Some(more) = findings.len().checked_sub(SHOWN).filter(|more| *more > 0) {
                writeln!(out, "    and {more} more")?;
            }
        }
        if let Some(left) = &self.left {
            writeln!(out, "warning: the organization stays: {left}")?;
        }
        self.table(out)?;
        let Options { clients, duration, seed } = self.options;
        writeln!(
            out,
            "{} requests of {clients} clients in {} s, seed {seed}; {} users and groups compared: \
             {} 5xx, {} wrong answers, {} differences",
            self.requests(),
            duration.as_secs(),
            self.resources,
            self.server_errors(),
            self.failures.len(),
            self.differences.len(),
        )
    }

    fn table(&self, out: &mut impl Write) -> io::Result<()> {
        let statuses: BTreeSet<u16> =
            self.rows.values().flat_map(|row| row.tally.statuses.keys().copied()).collect();
        write!(out, "{:14} {:>7} {:>9}", "provider", "clients", "requests")?;
        for status in &statuses {
            write!(out, " {status:>8}")?;
        }
        writeln!(out, " {:>8} {:>8}", "p50 ms", "p99 ms")?;
        let mut total = Row::default();
        for (provider, row) in &self.rows {
            line(out, provider, row, &statuses)?;
            total.clients += row.clients;
            total.tally.absorb(row.tally.clone());
        }
        line(out, "all", &total, &statuses)
    }
}

fn line(out: &mut impl Write, name: &str, row: &Row, statuses: &BTreeSet<u16>) -> io::Result<()> {
    write!(out, "{name:14} {:>7} {:>9}", row.clients, row.tally.requests())?;
    for status in statuses {
        let count = row.tally.statuses.get(status).copied().unwrap_or_default();
        write!(out, " {count:>8}")?;
    }
    let mut times = row.tally.times.clone();
    times.sort_unstable();
    let (middle, late) = (percentile(&times, 50), percentile(&times, 99));
    writeln!(out, " {:>8.1} {:>8.1}", middle.as_secs_f64() * 1e3, late.as_secs_f64() * 1e3)
}

/// The time that `percent` of the requests did not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_by_rank() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(100));
        assert_eq!(percentile(&times, 99), Duration::from_millis(198));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
