//! The only source of time and of ids.
//!
//! Units of the store are run again when a transaction is; they take an [`Ids`] made before, which
//! gives the same ids every time, and the time at which the request came.

use std::cell::RefCell;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ulid::Ulid;

/// Of [`Clock::steady_ms`].
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Time and ids of the process, or of a test. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    /// The last id given out: ids of one process rise, also within a millisecond.
    last: Arc<Mutex<Ids>>,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    pub fn system() -> Self {
        Self::of(Source::System)
    }

    /// A clock that stands still at `ms` until it is moved.
    pub fn fixed(ms: i64) -> Self {
        Self::of(Source::Fixed(Arc::new(AtomicI64::new(ms))))
    }

    fn of(source: Source) -> Self {
        Self { source, last: Arc::new(Mutex::new(Ids { ms: 0, random: 0 })) }
    }

    /// Moves a fixed clock; the system clock does not move.
    pub fn advance(&self, by: Duration) {
        if let Source::Fixed(ms) = &self.source {
            ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now_ms(&self) -> i64 {
        match &self.source {
            Source::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
            Source::Fixed(ms) => ms.load(Ordering::SeqCst),
        }
    }

    /// Milliseconds that only rise, from a beginning that means nothing: for lengths of time, which a clock
    /// that is set would make wrong. A fixed clock has one time for both.
    pub fn steady_ms(&self) -> i64 {
        match &self.source {
            Source::System => i64::try_from(BEGINNING.elapsed().as_millis()).unwrap_or(i64::MAX),
            Source::Fixed(ms) => ms.load(Ordering::SeqCst),
        }
    }

    /// A new id: prefix, `_` and 26 characters that sort by time.
    pub fn id(&self, prefix: &str) -> String {
        let fresh = self.ids();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if fresh.ms > last.ms {
            *last = fresh;
        }
        last.next(prefix)
    }

    /// What sorts before every id with that prefix that is made at `ms` or later, and after all that
    /// were made before.
    pub fn floor(prefix: &str, ms: i64) -> String {
        let ulid = Ulid::from_parts(u64::try_from(ms).unwrap_or(0), 0);
        format!("{prefix}_{ulid}")
    }

    /// Ids for one unit.
    pub fn ids(&self) -> Ids {
        Ids { ms: u64::try_from(self.now_ms()).unwrap_or(0), random: random_u128() }
    }
}

/// A run of ids that is decided before it is used.
#[derive(Clone, Debug)]
pub struct Ids {
    ms: u64,
    random: u128,
}

impl Ids {
    /// The next id with that prefix. Ids of one run rise.
    pub fn next(&mut self, prefix: &str) -> String {
        let ulid = Ulid::from_parts(self.ms, self.random);
        self.random = self.random.wrapping_add(1);
        format!("{prefix}_{ulid}")
    }
}

/// Numbers that are fetched at a time: a call of the operating system takes longer than the rest of an id.
const AHEAD: usize = 64;

/// 80 random bits with the highest one clear, so that counting up does not wrap.
fn random_u128() -> u128 {
    thread_local! {
        static NUMBERS: RefCell<Vec<u128>> = const { RefCell::new(Vec::new()) };
    }
    let number = NUMBERS.with_borrow_mut(|numbers| {
        numbers.pop().unwrap_or_else(|| {
            let mut bytes = [[0; 16]; AHEAD];
            fill_random(bytes.as_flattened_mut());
            let [one, others @ ..] = bytes.map(u128::from_le_bytes);
            numbers.extend(others);
            one
        })
    });
    number & ((1 << 79) - 1)
}

/// Fills the buffer from the operating system's generator.
#[expect(clippy::expect_used, reason = "without randomness no secret or id is safe: stop")]
pub fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system provides randomness");
}

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_within_a_millisecond() {
        let clock = Clock::fixed(1_750_000_000_000);
        let ids: Vec<String> = (0..100).map(|_| clock.id("x")).collect();
        assert!(ids.is_sorted());
        clock.advance(Duration::from_millis(1));
        assert!(clock.id("x") > ids[99]);
    }

    #[test]
    fn floor_lies_between_the_ids_of_two_milliseconds() {
        let clock = Clock::fixed(1_750_000_000_000);
        let before = clock.id("x");
        clock.advance(Duration::from_millis(1));
        let floor = Clock::floor("x", clock.now_ms());
        assert!(before < floor && floor <= clock.id("x"));
    }

    #[test]
    fn ids_of_a_unit_are_the_same_when_it_runs_again() {
        let ids = Clock::system().ids();
        let run = |mut ids: Ids| [ids.next("event"), ids.next("event")];
        assert_eq!(run(ids.clone()), run(ids));
    }
}
