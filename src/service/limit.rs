//! How many requests a directory, or an API key, may make: a bucket that fills at a steady rate
//! (the generic cell rate algorithm), per process and in memory.
//!
//! A bucket that is full is not remembered, so memory follows the callers of the last seconds. What
//! has been taken is one instant: the one at which the bucket is full again.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bulk::MAX_OPERATIONS;

/// Greatest rate and burst that can be asked for.
const MOST: u32 = 1_000_000;

const SECOND_NS: i64 = 1_000_000_000;

/// How often it is said that one caller is at its limit, in milliseconds.
const TELL_EVERY_MS: i64 = 60_000;

/// Buckets before the full ones are looked for.
const PRUNE_FROM: usize = 1_024;

/// Requests a second in the long run, and how many may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub per_second: u32,
    pub burst: u32,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.per_second, self.burst)
    }
}

/// A rate, or none. As text `off`, `500` or `500/1000`; in JSON and TOML also a number or
/// `{"per_second": 500, "burst": 1000}`. Without a burst it is twice the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    Off,
    At(Rate),
}

impl Default for RateLimit {
    fn default() -> Self {
        Self::At(Rate { per_second: 500, burst: 1_000 })
    }
}

impl RateLimit {
    fn new(per_second: u64, burst: Option<u64>) -> Result<Self, String> {
        let number = |name: &str, value: u64| match u32::try_from(value) {
            Ok(value) if (1..=MOST).contains(&value) => Ok(value),
            _ => Err(format!("{name} is {value}, but must be 1 to {MOST}")),
        };
        let per_second = number("the rate per second", per_second)?;
        let burst = match burst {
            Some(burst) => number("the burst", burst)?,
            None => per_second.saturating_mul(2).min(MOST),
        };
        Ok(Self::At(Rate { per_second, burst }))
    }
}

const ALLOWED: &str = "\"off\", a number of requests a second, \"<number>/<burst>\" or \
     {\"per_second\": <number>, \"burst\": <number>}";

impl FromStr for RateLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        let number = |text: &str| {
            let unreadable = || format!("it is \"{text}\", but must be {ALLOWED}");
            text.trim().parse::<u64>().map_err(|_| unreadable())
        };
        match text.split_once('/') {
            Some((rate, burst)) => Self::new(number(rate)?, Some(number(burst)?)),
            None => Self::new(number(text)?, None),
        }
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(rate) => rate.fmt(f),
        }
    }
}

impl Serialize for RateLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RateLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyForm)
    }
}

struct AnyForm;

impl<'de> Visitor<'de> for AnyForm {
    type Value = RateLimit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALLOWED)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<RateLimit, E> {
        RateLimit::new(number, None).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<RateLimit, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::custom(format!("it is {number}, but must be 1 to {MOST}"))),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RateLimit, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RateLimit, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Pair {
            per_second: u64,
            burst: Option<u64>,
        }
        let pair = Pair::deserialize(de::value::MapAccessDeserializer::new(map))?;
        RateLimit::new(pair.per_second, pair.burst).map_err(de::Error::custom)
    }
}

/// What is left of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub rate: Rate,
    pub remaining: u32,
    /// Whole seconds until the bucket is full.
    pub reset_seconds: i64,
}

/// A request that is one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    pub quota: Quota,
    /// Whole seconds until a request is let in again; at least one.
    pub retry_seconds: i64,
    /// True once a minute for a caller who is at the limit: worth a line in the log.
    pub tell: bool,
}

/// What a request costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    One,
    /// The operations of a bulk request, of which one is paid. They are let in while the bucket is not
    /// overdrawn, and may overdraw it: a bulk request can be larger than any burst.
    Operations(usize),
}

/// The buckets of callers with keys of one kind.
pub struct Limiter<K> {
    book: Mutex<Book<K>>,
}

struct Book<K> {
    buckets: HashMap<K, Bucket>,
    prune_at: usize,
}

struct Bucket {
    /// When it is full again, in nanoseconds since 1970.
    full_at: i64,
    told_ms: Option<i64>,
}

impl<K> Default for Limiter<K> {
    fn default() -> Self {
        Self { book: Mutex::new(Book { buckets: HashMap::new(), prune_at: PRUNE_FROM }) }
    }
}

impl<K: Eq + Hash> Limiter<K> {
    /// Takes the cost out of the caller's bucket, or nothing when that is not allowed.
    pub fn take(&self, key: K, rate: Rate, cost: Cost, now_ms: i64) -> Result<Quota, Limited> {
        let now = now_ms.saturating_mul(1_000_000);
        let interval = SECOND_NS / i64::from(rate.per_second.max(1));
        let capacity = interval.saturating_mul(i64::from(rate.burst));
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.prune(now);
        let bucket = book.buckets.entry(key).or_insert(Bucket { full_at: now, told_ms: None });
        // The clock may have been put back and the limit changed: nobody pays longer than for the
        // most that can be taken.
        let debt = interval.saturating_mul(i64::try_from(MAX_OPERATIONS).unwrap_or(i64::MAX));
        let taken = (bucket.full_at - now).clamp(0, capacity.saturating_add(debt));
        let (price, allowed) = match cost {
            Cost::One => (interval, taken + interval <= capacity),
            Cost::Operations(operations) => {
                let rest = i64::try_from(operations.saturating_sub(1)).unwrap_or(i64::MAX);
                (interval.saturating_mul(rest), taken <= capacity)
            }
        };
        let taken = if allowed { taken.saturating_add(price) } else { taken };
        bucket.full_at = now.saturating_add(taken);
        let left = (capacity - taken).max(0) / interval;
        let quota = Quota {
            rate,
            remaining: u32::try_from(left).unwrap_or(0),
            reset_seconds: whole_seconds(taken),
        };
        if allowed {
            return Ok(quota);
        }
        let tell = bucket.told_ms.is_none_or(|told| (now_ms - told).abs() >= TELL_EVERY_MS);
        if tell {
            bucket.told_ms = Some(now_ms);
        }
        let wait = taken + interval - capacity;
        Err(Limited { quota, retry_seconds: whole_seconds(wait).max(1), tell })
    }
}

impl<K: Eq + Hash> Book<K> {
    /// Forgets full buckets, once in a while.
    fn prune(&mut self, now: i64) {
        if self.buckets.len() >= self.prune_at {
            self.buckets.retain(|_, bucket| bucket.full_at > now);
            self.prune_at = self.buckets.len().saturating_mul(2).max(PRUNE_FROM);
        }
    }
}

fn whole_seconds(nanoseconds: i64) -> i64 {
    nanoseconds.max(0).saturating_add(SECOND_NS - 1) / SECOND_NS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 20 };

    /// A day in 2025, in milliseconds.
    const NOW: i64 = 1_750_000_000_000;

    fn let_in(limiter: &Limiter<i64>, key: i64, now: i64) -> usize {
        (0..1_000).take_while(|_| limiter.take(key, RATE, Cost::One, now).is_ok()).count()
    }

    #[test]
    fn burst_then_the_rate_then_the_burst_again() {
        let limiter = Limiter::default();
        for (now, expected) in [
            (0, 20),
            (99, 0),
            (100, 1),
            (600, 5),
            (1_600, 10),
            (1_600, 0),
            (3_600, 20),
            (99_000, 20),
        ] {
            assert_eq!(let_in(&limiter, 1, NOW + now), expected, "after {now} ms");
        }
        assert_eq!(let_in(&limiter, 2, NOW), 20, "another caller has a bucket of its own");
    }

    #[test]
    fn refusal_says_when_to_come_back_and_is_told_once_a_minute() {
        let limiter = Limiter::default();
        assert_eq!(
            limiter.take(1, RATE, Cost::One, NOW),
            Ok(Quota { rate: RATE, remaining: 19, reset_seconds: 1 })
        );
        let_in(&limiter, 1, NOW);
        let refuse = |now| limiter.take(1, RATE, Cost::One, now).expect_err("at the limit");
        let empty = Quota { rate: RATE, remaining: 0, reset_seconds: 2 };
        // `let_in` met the limit itself.
        assert_eq!(refuse(NOW), Limited { quota: empty, retry_seconds: 1, tell: false });
        limiter.take(1, RATE, Cost::Operations(1_000), NOW + 60_000).expect("a full bucket");
        let wait = refuse(NOW + 60_000);
        assert_eq!((wait.retry_seconds, wait.tell), (98, true));
        assert_eq!(wait.quota.reset_seconds, 100);
        assert!(!refuse(NOW + 119_999).tell);
        assert!(refuse(NOW + 120_000).tell);
        assert!(limiter.take(1, RATE, Cost::One, NOW + 60_000 + 98_000).is_ok());
    }

    #[test]
    fn operations_overdraw_the_bucket_once() {
        let limiter = Limiter::default();
        let one = Rate { per_second: 1, burst: 1 };
        let take = |cost, now| limiter.take(1, one, cost, now).is_ok();
        assert!(take(Cost::One, NOW) && take(Cost::Operations(5), NOW), "larger than the burst");
        assert!(!take(Cost::Operations(5), NOW), "overdrawn");
        assert!(!take(Cost::One, NOW + 4_999));
        assert!(take(Cost::One, NOW + 5_000));
    }

    #[test]
    fn clock_that_is_put_back_costs_no_more_than_the_most_that_can_be_taken() {
        let limiter = Limiter::default();
        assert_eq!(let_in(&limiter, 1, NOW), 20);
        let an_hour = 3_600_000;
        let refused = limiter.take(1, RATE, Cost::One, NOW - an_hour).expect_err("empty");
        assert!(refused.retry_seconds <= 1_001, "{refused:?}");
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten() {
        let limiter = Limiter::default();
        for key in 0..100_000 {
            limiter.take(key, RATE, Cost::One, NOW + key).expect("a full bucket");
        }
        let kept = limiter.book.lock().expect("no panic").buckets.len();
        assert!(kept <= PRUNE_FROM, "{kept}");
    }

    #[test]
    fn forms_that_can_be_written() {
        let at = |per_second, burst| RateLimit::At(Rate { per_second, burst });
        for (json, expected) in [
            ("\"off\"", Ok(RateLimit::Off)),
            ("\"OFF\"", Ok(RateLimit::Off)),
            ("25", Ok(at(25, 50))),
            ("\"25\"", Ok(at(25, 50))),
            ("\"25/30\"", Ok(at(25, 30))),
            ("{\"per_second\": 25, \"burst\": 5}", Ok(at(25, 5))),
            ("{\"per_second\": 25}", Ok(at(25, 50))),
            ("1000000", Ok(at(MOST, MOST))),
            ("0", Err("is 0, but must be 1 to 1000000")),
            ("-1", Err("is -1, but must be")),
            ("1000001", Err("is 1000001")),
            ("\"25/0\"", Err("the burst is 0")),
            ("\"fast\"", Err("it is \"fast\", but must be \"off\"")),
            ("{\"rate\": 25}", Err("unknown field `rate`, expected `per_second` or `burst`")),
            ("true", Err("invalid type: boolean `true`, expected \"off\"")),
            ("[25]", Err("expected \"off\"")),
        ] {
            let read = serde_json::from_str::<RateLimit>(json).map_err(|error| error.to_string());
            match (read, expected) {
                (Ok(read), Ok(expected)) => {
                    assert_eq!(read, expected, "{json}");
                    assert_eq!(read.to_string().parse(), Ok(expected), "{json}");
                }
                (Err(message), Err(expected)) => assert!(message.contains(expected), "{message}"),
                (read, _) => panic!("{json}: {read:?}"),
            }
        }
    }

    proptest! {
        /// Whatever comes when: in no window are more requests let in than burst and rate allow.
        #[test]
        fn never_more_than_burst_and_rate(
            per_second in 1_u32..2_000,
            burst in 1_u32..2_000,
            gaps in prop::collection::vec(0_i64..2_000, 1..300),
        ) {
            let (limiter, rate) = (Limiter::default(), Rate { per_second, burst });
            let (mut now, mut let_in) = (NOW, Vec::new());
            for gap in gaps {
                now += gap;
                if limiter.take(1, rate, Cost::One, now).is_ok() {
                    let_in.push(now);
                }
            }
            for (index, from) in let_in.iter().enumerate() {
                for (more, to) in let_in.iter().skip(index).enumerate() {
                    let allowed = i64::from(burst) + (to - from) * i64::from(per_second) / 1_000 + 1;
                    prop_assert!(i64::try_from(more).expect("small") < allowed);
                }
            }
        }
    }
}
