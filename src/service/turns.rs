//! Tests that somebody asks for and waits for: of a webhook endpoint, of a source.
//!
//! Each lasts as long as somebody else's server lets it wait, and outsiders may ask for one. So a thing is
//! tested once at a time, and a process makes a few tests. A turn is over when it is dropped: whoever has
//! it keeps it until the work has ended, whatever has become of whoever asked.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::AdminError;

/// Tests that a process makes at the same time.
const TESTS: usize = 8;

/// The tests of a process.
pub(super) struct Turns {
    places: Arc<Semaphore>,
    /// Ids of what is tested at the moment.
    taken: Mutex<BTreeSet<String>>,
}

/// The one test of a thing that there may be.
pub(super) struct Turn {
    turns: Arc<Turns>,
    id: String,
    _place: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(TESTS)), taken: Mutex::default() }
    }
}

impl Turns {
    fn taken(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// 409 `test_in_progress` while that is tested, 503 `too_many_tests` while too much else is.
    pub(super) fn begin(self: &Arc<Self>, id: &str) -> Result<Turn, AdminError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = "As many tests run as this process makes at a time; try again.";
            AdminError::new(503, "too_many_tests", message)
        })?;
        if !self.taken().insert(id.to_owned()) {
            let message = "It is being tested already; wait for the end of that test.";
            return Err(AdminError::new(409, "test_in_progress", message));
        }
        Ok(Turn { turns: Arc::clone(self), id: id.to_owned(), _place: place })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.taken().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_has_one_turn_and_a_process_eight() {
        let turns = Arc::new(Turns::default());
        let code = |id: &str| turns.begin(id).map(drop).map_err(|error| error.code);
        let first = turns.begin("a").expect("a turn");
        assert_eq!(code("a"), Err("test_in_progress"));
        assert_eq!(code("b"), Ok(()), "what is refused or over keeps no place");
        let others: Vec<Turn> =
            (1..TESTS).map(|n| turns.begin(&n.to_string()).expect("a turn")).collect();
        assert_eq!(code("b"), Err("too_many_tests"));
        drop(first);
        assert_eq!(code("a"), Ok(()));
        drop(others);
    }
}
