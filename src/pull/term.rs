//! How long a source may be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::SourceError;
use crate::clock::Clock;

/// How often a pause looks whether the read is to end, in milliseconds.
const LOOK_MS: i64 = 100;

/// Ends a read when somebody says so, or when its time is over. Clones end together.
#[derive(Clone, Debug)]
pub struct Term {
    /// Set when the read is to end.
    stop: Arc<AtomicBool>,
    clock: Clock,
    /// The end of its time, by [`Clock::steady_ms`].
    until: i64,
}

impl Term {
    /// From now on, for that long at most.
    pub fn begin(stop: Arc<AtomicBool>, clock: Clock, longest: Duration) -> Self {
        let longest_ms = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
        Self { until: clock.steady_ms().saturating_add(longest_ms), stop, clock }
    }

    /// # Errors
    /// [`SourceError::Stopped`] once it is to end.
    pub fn check(&self) -> Result<(), SourceError> {
        match self.is_stopped() || self.is_over() {
            true => Err(SourceError::Stopped),
            false => Ok(()),
        }
    }

    /// Waits for so many milliseconds.
    ///
    /// # Errors
    /// [`SourceError::Stopped`] once it is to end.
    pub fn rest(&self, ms: i64) -> Result<(), SourceError> {
        let mut left = ms;
        while left > 0 {
            self.check()?;
            let step = left.min(LOOK_MS);
            std::thread::sleep(Duration::from_millis(u64::try_from(step).unwrap_or(0)));
            left -= step;
        }
        Ok(())
    }

    /// Whether somebody has said so.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether its time is over.
    pub fn is_over(&self) -> bool {
        self.clock.steady_ms() >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_ends_by_word_or_by_time() {
        let clock = Clock::fixed(7_000);
        let stop = Arc::new(AtomicBool::new(false));
        let term = Term::begin(Arc::clone(&stop), clock.clone(), Duration::from_secs(10));
        clock.advance(Duration::from_millis(9_999));
        assert_eq!(term.check(), Ok(()));
        clock.advance(Duration::from_millis(1));
        assert_eq!(term.check(), Err(SourceError::Stopped));
        assert_eq!((term.is_over(), term.is_stopped()), (true, false));
        let other = Term::begin(Arc::clone(&stop), clock, Duration::MAX);
        assert_eq!(other.check(), Ok(()));
        stop.store(true, Ordering::Relaxed);
        assert_eq!(other.check(), Err(SourceError::Stopped));
        assert_eq!((other.is_over(), other.is_stopped()), (false, true));
    }
}
