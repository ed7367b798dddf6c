//! When a source is read again. Pure.

/// Longest pause after failures, in milliseconds: six hours.
const LONGEST_MS: i64 = 6 * HOUR_MS;

const MINUTE_MS: i64 = 60 * 1_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// How the last run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Well,
    /// So many runs have failed one after another.
    Failed {
        times: i64,
        retry_after_ms: Option<i64>,
    },
    /// Sources block who goes on with wrong credentials.
    Refused {
        times: i64,
    },
}

/// Milliseconds until the next run of a source that is read every `every_ms`. Never exactly that: sources
/// that were set up together are not read together for ever. `random` is any number.
pub fn pause(every_ms: i64, ended: Ended, random: u32) -> i64 {
    let doubled = |first: i64, times: i64| {
        let doublings = u32::try_from(times.saturating_sub(1).clamp(0, 30)).unwrap_or(0);
        first.saturating_mul(1_i64 << doublings).min(LONGEST_MS)
    };
    let (whole, at_least) = match ended {
        Ended::Well => (every_ms, 0),
        Ended::Failed { times, retry_after_ms } => {
            (doubled(MINUTE_MS, times), retry_after_ms.unwrap_or(0).clamp(0, LONGEST_MS))
        }
        Ended::Refused { times } => (doubled(HOUR_MS, times), 0),
    };
    let fifth = (whole / 5).max(1);
    let jittered = whole - fifth / 2 + i64::from(random) % fifth;
    jittered.max(at_least).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_are_near_what_was_asked_for(every in MINUTE_MS..48 * HOUR_MS, random: u32) {
            let next = pause(every, Ended::Well, random);
            prop_assert!((every * 9 / 10..=every * 11 / 10).contains(&next));
        }

        #[test]
        fn failures_back_off_and_end_at_the_longest(times in 1_i64..100, random: u32) {
            let failed = pause(HOUR_MS, Ended::Failed { times, retry_after_ms: None }, random);
            let longest = LONGEST_MS * 11 / 10;
            prop_assert!((MINUTE_MS * 9 / 10..=longest).contains(&failed));
            let refused = pause(MINUTE_MS, Ended::Refused { times }, random);
            prop_assert!((HOUR_MS * 9 / 10..=longest).contains(&refused));
        }
    }

    #[test]
    fn pause_doubles_and_heeds_the_source() {
        let failed = |times, retry_after_ms| {
            pause(HOUR_MS, Ended::Failed { times, retry_after_ms }, 0) / 1_000
        };
        assert_eq!([1, 2, 3, 99].map(|n| failed(n, None)), [54, 108, 216, 19_440]);
        assert_eq!(failed(1, Some(600_000)), 600);
        assert_eq!(failed(1, Some(i64::MAX)), 21_600);
    }
}
