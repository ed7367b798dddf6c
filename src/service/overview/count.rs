//! What a process counts, until it is added to what the others count.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{MINUTE, beginning};

/// Minutes that are kept while the database cannot be reached.
const WAITING: usize = 10_000;

/// Upper bounds of how long it took until the app knew, in milliseconds: from a hundredth of a second to
/// three days. A percentile is told as one of them.
const BOUNDS: [i64; 31] = [
    10,
    15,
    20,
    30,
    50,
    70,
    100,
    150,
    200,
    300,
    500,
    700,
    1_000,
    1_500,
    2_000,
    3_000,
    5_000,
    7_000,
    10_000,
    15_000,
    20_000,
    30_000,
    60_000,
    120_000,
    300_000,
    900_000,
    3_600_000,
    10_800_000,
    36_000_000,
    86_400_000,
    259_200_000,
];

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Series {
    /// Requests of identity providers.
    Scim,
    /// Requests with API keys.
    Api,
    /// Those of both that were answered with 4xx.
    Refused,
    /// Those of both that failed through no fault of their client.
    Failed,
    /// Runs of directories that are read.
    RunsCompleted,
    RunsFailed,
    RunsHeld,
    /// Events that take access away, by the upper bound of how long it took until an endpoint had
    /// accepted one.
    Offboarding(i64),
}

impl Series {
    /// The series of a time between a change and the answer of who was told of it.
    pub fn offboarding(ms: i64) -> Self {
        let [.., longest] = BOUNDS;
        Self::Offboarding(BOUNDS.into_iter().find(|bound| ms <= *bound).unwrap_or(longest))
    }

    /// The series of a run that has ended so; `None` for ends that say nothing about the source.
    pub fn of_run(status: &str) -> Option<Self> {
        match status {
            "completed" => Some(Self::RunsCompleted),
            "failed" => Some(Self::RunsFailed),
            "held" => Some(Self::RunsHeld),
            _ => None,
        }
    }

    pub(super) fn name(self) -> String {
        let name = match self {
            Self::Scim => "requests.scim",
            Self::Api => "requests.api",
            Self::Refused => "requests.refused",
            Self::Failed => "requests.failed",
            Self::RunsCompleted => "runs.completed",
            Self::RunsFailed => "runs.failed",
            Self::RunsHeld => "runs.held",
            Self::Offboarding(bound) => return format!("offboarding.{bound}"),
        };
        name.to_owned()
    }
}

/// By minute and series.
pub(super) type Counts = BTreeMap<(i64, Series), i64>;

/// What this process has counted and not yet added.
#[derive(Default)]
pub struct Samples {
    counts: Mutex<Counts>,
}

impl Samples {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one at that time, in milliseconds.
    pub fn count(&self, now: i64, series: Series) {
        *self.counts().entry((beginning(MINUTE, now), series)).or_default() += 1;
    }

    /// Counts a request with the name of its route for metrics.
    pub fn request(&self, now: i64, route: &str, status: u16, is_failure: bool) {
        let series = match route {
            _ if route.starts_with("scim") => Series::Scim,
            "management" | "identities" | "read" | "webhooks" | "event_log" | "ssf" => Series::Api,
            _ => return,
        };
        self.count(now, series);
        if is_failure {
            self.count(now, Series::Failed);
        } else if (400..500).contains(&status) {
            self.count(now, Series::Refused);
        }
    }

    pub(super) fn take(&self) -> Counts {
        std::mem::take(&mut self.counts())
    }

    /// Puts back what could not be added. Of what waits for long the oldest goes.
    pub(super) fn put_back(&self, counts: Counts) {
        let mut all = self.counts();
        for (key, count) in counts {
            *all.entry(key).or_default() += count;
        }
        while all.len() > WAITING {
            all.pop_first();
        }
    }
}

/// The upper bound below which a share of all (`percent`) lies; `None` when there are none.
pub(super) fn percentile(counts: &BTreeMap<i64, i64>, percent: i64) -> Option<i64> {
    let all: i64 = counts.values().sum();
    let mut seen = 0;
    counts.iter().find_map(|(bound, count)| {
        seen += count;
        (seen * 100 >= all * percent && all > 0).then_some(*bound)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_their_upper_bound() {
        assert_eq!(Series::offboarding(0).name(), "offboarding.10");
        assert_eq!(Series::offboarding(10).name(), "offboarding.10");
        assert_eq!(Series::offboarding(11).name(), "offboarding.15");
        assert_eq!(Series::offboarding(i64::MAX).name(), "offboarding.259200000");
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn percentile_is_the_bound_below_which_so_many_lie() {
        let counts = BTreeMap::from([(10, 50), (100, 45), (1_000, 5)]);
        let of = |percent| percentile(&counts, percent);
        assert_eq!((of(50), of(51), of(95), of(96)), (Some(10), Some(100), Some(100), Some(1_000)));
        assert_eq!(percentile(&BTreeMap::new(), 50), None);
        assert_eq!(percentile(&BTreeMap::from([(70, 1)]), 95), Some(70));
    }

    #[test]
    fn what_could_not_be_added_counts_again() {
        let samples = Samples::default();
        samples.count(MINUTE + 1, Series::Scim);
        let taken = samples.take();
        samples.count(MINUTE + 2, Series::Scim);
        samples.put_back(taken);
        assert_eq!(samples.take(), Counts::from([((MINUTE, Series::Scim), 2)]));
    }
}
