//! When a delivery that failed is tried again, and when an endpoint is given up.
//!
//! Events go to an endpoint one after another, so one that is refused holds up all behind it. Whether the
//! receiver refuses that one event or nothing works is found out by a test event ([`Verdict::Probe`]):
//! - after 24 hours without an event that was accepted the test event is sent, once a day; fails that, too,
//!   the endpoint pauses;
//! - an event that was refused for three days, while something else was accepted, is parked;
//! - is the one behind it refused for 24 hours as well, and nothing was accepted between them, the
//!   endpoint pauses: the receiver takes test events and nothing else.

/// Nothing but failures for so long makes an endpoint pause, in milliseconds: 24 hours.
pub const PAUSE_AFTER_MS: i64 = 24 * HOUR_MS;

/// An event that alone is refused for so long is parked: three days.
pub const PARK_AFTER_MS: i64 = 3 * 24 * HOUR_MS;

/// Longest time between two attempts.
pub const LONGEST_MS: i64 = HOUR_MS;

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// How an endpoint has fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Attempts of the next event that failed.
    pub attempts: i64,
    /// When the first of them failed.
    pub head_since: Option<i64>,
    /// Since when no event of the log was accepted.
    pub failing_since: Option<i64>,
    /// When one was accepted last.
    pub last_success: Option<i64>,
    /// When the test event was accepted last.
    pub probed: Option<i64>,
}

/// What follows from an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Retry,
    /// Send a test event: accepted, the endpoint is [`Health::answers`]; refused, it pauses.
    Probe,
    /// Put the event aside and go on with the next one.
    Park,
    /// Send nothing more.
    Pause,
}

impl Health {
    /// The receiver has accepted another event of the log than the next one.
    pub fn alive(&mut self, now: i64) {
        (self.failing_since, self.last_success) = (None, Some(now));
    }

    /// The receiver has accepted a test event.
    pub fn answers(&mut self, now: i64) {
        self.probed = Some(now);
    }

    /// The next event is delivered.
    pub fn delivered(&mut self, now: i64) {
        self.alive(now);
        self.passed();
    }

    /// The next event is another one.
    pub fn passed(&mut self) {
        (self.attempts, self.head_since) = (0, None);
    }

    /// The next event was refused, or nobody answered.
    pub fn failed(&mut self, now: i64) {
        self.attempts = self.attempts.saturating_add(1);
        self.head_since.get_or_insert(now);
        self.failing_since.get_or_insert(now);
    }

    /// An operator gives the endpoint another chance.
    pub fn renewed(self) -> Self {
        Self { last_success: self.last_success, ..Self::default() }
    }

    pub fn verdict(&self, now: i64) -> Verdict {
        let over = |since: Option<i64>, after: i64| {
            since.is_some_and(|since| now.saturating_sub(since) >= after)
        };
        let is_second = matches!(
            (self.failing_since, self.head_since),
            (Some(failing), Some(head)) if failing < head
        );
        if is_second && over(self.head_since, PAUSE_AFTER_MS) {
            return Verdict::Pause;
        }
        // None sorts before all times.
        if self.failing_since.is_some() && over(self.failing_since.max(self.probed), PAUSE_AFTER_MS)
        {
            return Verdict::Probe;
        }
        let others_pass =
            self.head_since.is_some() && self.last_success.max(self.probed) >= self.head_since;
        match others_pass && over(self.head_since, PARK_AFTER_MS) {
            true => Verdict::Park,
            false => Verdict::Retry,
        }
    }
}

/// Milliseconds until the next attempt after `attempts` that failed: `first`, doubled each time, of that
/// between a half and the whole, and not less than the receiver has asked for. `random` is any number.
pub fn back_off(attempts: i64, first: i64, asked: Option<i64>, random: u32) -> i64 {
    let doublings = u32::try_from(attempts.saturating_sub(1).clamp(0, 40)).unwrap_or(0);
    let whole = first.saturating_mul(1_i64 << doublings).clamp(1, LONGEST_MS);
    let half = whole / 2;
    let jittered = half + i64::from(random) % (whole - half + 1);
    jittered.max(asked.unwrap_or(0).min(LONGEST_MS)).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_750_000_000_000;

    #[test]
    fn event_that_alone_is_refused_is_parked_and_a_dead_endpoint_is_probed() {
        let mut health = Health::default();
        health.delivered(NOW);
        health.failed(NOW + 1);
        assert_eq!(health.verdict(NOW + PAUSE_AFTER_MS), Verdict::Retry);
        assert_eq!(health.verdict(NOW + 1 + PAUSE_AFTER_MS), Verdict::Probe);
        // The probe is accepted each day: the event alone is refused.
        for day in 1..=2 {
            let now = NOW + 1 + day * PAUSE_AFTER_MS;
            health.failed(now);
            assert_eq!(health.verdict(now), Verdict::Probe);
            health.answers(now);
            assert_eq!(health.verdict(now), Verdict::Retry);
            health.failed(now);
            assert_eq!(health.verdict(now), Verdict::Retry, "asked once a day");
        }
        let now = NOW + 1 + PARK_AFTER_MS;
        health.failed(now - 1);
        assert_eq!(health.verdict(now - 1), Verdict::Retry);
        health.failed(now);
        assert_eq!(health.verdict(now), Verdict::Probe);
        health.answers(now);
        assert_eq!(health.verdict(now), Verdict::Park);
        health.passed();
        assert_eq!((health.attempts, health.head_since), (0, None));
        assert_eq!(health.last_success, Some(NOW), "a test event is none of the log");
        // The next one has its own time, and when it is delivered all is well.
        health.failed(now + 1);
        assert_eq!(health.verdict(now + 1), Verdict::Retry);
        health.delivered(now + 2);
        health.failed(now + 3);
        assert_eq!(health.verdict(now + 2 + PAUSE_AFTER_MS), Verdict::Retry);
        assert_eq!(health.verdict(now + 3 + PAUSE_AFTER_MS), Verdict::Probe);
    }

    #[test]
    fn receiver_that_takes_test_events_alone_is_paused_at_its_second_event() {
        let mut health = Health::default();
        for day in 0..=3 {
            let now = NOW + day * PAUSE_AFTER_MS;
            health.failed(now);
            if health.verdict(now) == Verdict::Probe {
                health.answers(now);
            }
        }
        let parked = NOW + PARK_AFTER_MS;
        assert_eq!(health.verdict(parked), Verdict::Park);
        health.passed();
        health.failed(parked + 1);
        assert_eq!(health.verdict(parked + 1), Verdict::Retry);
        assert_ne!(health.verdict(parked + PAUSE_AFTER_MS), Verdict::Pause);
        assert_eq!(health.verdict(parked + 1 + PAUSE_AFTER_MS), Verdict::Pause);
        // Another event that was accepted meanwhile, as by a replay.
        health.alive(parked + 2);
        health.failed(parked + 3);
        assert_ne!(health.verdict(parked + 1 + PAUSE_AFTER_MS), Verdict::Pause);
    }

    #[test]
    fn nothing_is_parked_while_nothing_is_accepted() {
        let mut health = Health { last_success: Some(NOW - 1), ..Health::default() };
        health.failed(NOW);
        health.failing_since = Some(NOW + PARK_AFTER_MS);
        assert_eq!(health.verdict(NOW + PARK_AFTER_MS), Verdict::Retry);
        assert_eq!(health.renewed(), Health { last_success: Some(NOW - 1), ..Health::default() });
    }

    #[test]
    fn pauses_double_up_to_an_hour() {
        for (attempts, whole) in [
            (1, 1_000),
            (2, 2_000),
            (5, 16_000),
            (12, 2_048_000),
            (13, LONGEST_MS),
            (i64::MAX, LONGEST_MS),
        ] {
            assert_eq!(back_off(attempts, 1_000, None, 0), whole / 2, "{attempts}");
        }
        assert_eq!(back_off(1, 1_000, Some(30_000), 5), 30_000);
        assert_eq!(back_off(1, 1_000, Some(i64::MAX), 5), LONGEST_MS);
    }

    proptest! {
        #[test]
        fn pause_is_between_a_half_and_the_whole(
            attempts in 0..1_000_i64, first in 1..100_000_i64, random in any::<u32>(),
        ) {
            let least = back_off(attempts, first, None, 0);
            let pause = back_off(attempts, first, None, random);
            prop_assert!(pause >= least && pause <= least.saturating_mul(2) + 1);
            prop_assert!((1..=LONGEST_MS).contains(&pause));
        }
    }
}
