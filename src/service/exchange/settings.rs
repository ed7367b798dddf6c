//! `settings.records` of a directory.

use serde::{Deserialize, Serialize};

/// Which records hold the bodies of requests and the values that they changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bodies {
    Off,
    /// Those of requests that failed.
    Errors,
    #[default]
    All,
}

/// What is kept of a directory's requests, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordSettings {
    #[serde(default)]
    pub bodies: Bodies,
    /// Days that a record is kept.
    #[serde(default = "default_days")]
    pub days: i64,
    /// Most records.
    #[serde(default = "default_count")]
    pub count: i64,
}

fn default_days() -> i64 {
    7
}

fn default_count() -> i64 {
    10_000
}

impl Default for RecordSettings {
    fn default() -> Self {
        Self { bodies: Bodies::All, days: default_days(), count: default_count() }
    }
}

impl RecordSettings {
    const DAYS: std::ops::RangeInclusive<i64> = 1..=90;
    const COUNT: std::ops::RangeInclusive<i64> = 10..=100_000;

    /// The field that is out of its range, and what is allowed.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        for (field, value, allowed) in
            [("days", self.days, Self::DAYS), ("count", self.count, Self::COUNT)]
        {
            if !allowed.contains(&value) {
                let (low, high) = allowed.into_inner();
                return Err((field, format!("it is {value}; allowed is {low} to {high}.")));
            }
        }
        Ok(())
    }

    /// How long a record is kept, in milliseconds.
    pub(super) fn keep_ms(&self) -> i64 {
        self.days * 24 * 60 * 60 * 1_000
    }
}
