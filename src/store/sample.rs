//! Numbers of the whole installation over time, and the look-ups that they come from.
//!
//! The look-ups add running totals up: they read a few rows for each directory and count no user.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Bool, Text};

use super::StoreError;
use super::app_read::AppCounts;
use super::sql::{Bind, Tx};

/// The series of those who have claimed a stretch.
pub const CLAIM: &str = "claim";

/// The values of a series within a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct SampleRow {
    pub series: String,
    /// The beginning of the stretch, in milliseconds.
    pub at: i64,
    pub sum: i64,
    /// How many values the sum is made of.
    pub count: i64,
}

impl Tx<'_> {
    /// Claims a stretch for the caller; false when somebody has it already.
    pub fn sample_claim(&mut self, span: i64, at: i64) -> Result<bool, StoreError> {
        let claimed = self.execute(
            "INSERT INTO sample (span, series, at, value) VALUES (?, ?, ?, 1) \
             ON CONFLICT DO NOTHING",
            &[Bind::Int(span), Bind::Text(CLAIM), Bind::Int(at)],
        )?;
        Ok(claimed == 1)
    }

    /// Writes a value in place of the one before.
    pub fn sample_put(
        &mut self,
        span: i64,
        series: &str,
        at: i64,
        value: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO sample (span, series, at, value) VALUES (?, ?, ?, ?) \
             ON CONFLICT (span, series, at) DO UPDATE SET value = excluded.value",
            &[Bind::Int(span), Bind::Text(series), Bind::Int(at), Bind::Int(value)],
        )?;
        Ok(())
    }

    /// Adds to what other processes have counted in the same stretch.
    pub fn sample_add(
        &mut self,
        span: i64,
        series: &str,
        at: i64,
        value: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO sample (span, series, at, value) VALUES (?, ?, ?, ?) \
             ON CONFLICT (span, series, at) DO UPDATE SET value = sample.value + excluded.value",
            &[Bind::Int(span), Bind::Text(series), Bind::Int(at), Bind::Int(value)],
        )?;
        Ok(())
    }

    /// A series from `from` on, in stretches of `step` milliseconds, oldest first.
    pub fn sample_list(
        &mut self,
        span: i64,
        series: &str,
        from: i64,
        step: i64,
    ) -> Result<Vec<SampleRow>, StoreError> {
        self.rows::<(Text, BigInt, BigInt, BigInt), _>(
            "SELECT series, at - at % ?, CAST(SUM(value) AS BIGINT), COUNT(*) FROM sample \
             WHERE span = ? AND series = ? AND at >= ? GROUP BY 1, 2 ORDER BY 2",
            &[Bind::Int(step), Bind::Int(span), Bind::Text(series), Bind::Int(from)],
        )
    }

    /// The series of a kind (`users.`), each added up from `from` on.
    pub fn sample_totals(
        &mut self,
        span: i64,
        kind: &str,
        from: i64,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        // `/` follows `.`
        let beyond = format!("{}/", kind.trim_end_matches('.'));
        self.rows::<(Text, BigInt), _>(
            "SELECT series, CAST(SUM(value) AS BIGINT) FROM sample \
             WHERE span = ? AND series >= ? AND series < ? AND at >= ? GROUP BY series",
            &[Bind::Int(span), Bind::Text(kind), Bind::Owned(beyond), Bind::Int(from)],
        )
    }

    /// The beginning of the newest stretch of a series.
    pub fn sample_newest(&mut self, span: i64, series: &str) -> Result<Option<i64>, StoreError> {
        self.row::<BigInt, i64>(
            "SELECT at FROM sample WHERE span = ? AND series = ? ORDER BY at DESC LIMIT 1",
            &[Bind::Int(span), Bind::Text(series)],
        )
    }

    /// All values of one stretch.
    pub fn sample_at(&mut self, span: i64, at: i64) -> Result<Vec<(String, i64)>, StoreError> {
        self.rows::<(Text, BigInt), _>(
            "SELECT series, value FROM sample WHERE span = ? AND at = ? ORDER BY series",
            &[Bind::Int(span), Bind::Int(at)],
        )
    }

    /// Forgets what is older than that.
    pub fn sample_prune(&mut self, span: i64, before: i64) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM sample WHERE span = ? AND at < ?",
            &[Bind::Int(span), Bind::Int(before)],
        )
    }

    /// Directories by state.
    pub fn directory_states(&mut self) -> Result<Vec<(String, i64)>, StoreError> {
        self.rows::<(Text, BigInt), _>("SELECT state, COUNT(*) FROM directory GROUP BY state", &[])
    }

    /// Users and groups of all directories, as the app sees them.
    pub fn app_totals(&mut self) -> Result<AppCounts, StoreError> {
        let totals = self.rows::<(Text, Bool, BigInt), (String, bool, i64)>(
            "SELECT resource_type, active, CAST(SUM(n) AS BIGINT) FROM resource_count \
             WHERE resource_type IN ('Group', 'User') GROUP BY resource_type, active",
            &[],
        )?;
        let deviating = self.row::<(BigInt, BigInt), (i64, i64)>(
            "SELECT CAST(COALESCE(SUM(active), 0) AS BIGINT), \
             CAST(COALESCE(SUM(inactive), 0) AS BIGINT) FROM app_count",
            &[],
        )?;
        let (active, inactive) = deviating.unwrap_or_default();
        let mut counts = AppCounts { active, inactive, groups: 0 };
        for (resource_type, is_active, n) in totals {
            match (resource_type.as_str(), is_active) {
                ("User", true) => counts.active += n,
                ("User", false) => counts.inactive += n,
                _ => counts.groups += n,
            }
        }
        let hidden = self.row::<BigInt, i64>(
            "SELECT COUNT(*) FROM resource WHERE resource_type = 'Group' AND app_state = 'hidden'",
            &[],
        )?;
        counts.groups -= hidden.unwrap_or_default();
        Ok(counts)
    }
}
