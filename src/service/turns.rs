//! Tests that somebody asks for and waits for: of a webhook endpoint, of a source.
//!
//! Each lasts as long as somebody else's server lets it wait, and outsiders may ask for one. So a thing is
//! tested once at a time, and a process makes a few tests, of which one organization has some at most: others
//! find a place. A turn is over when it is dropped: whoever has it keeps it until the work has ended, whatever
//! has become of whoever asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::AdminError;

/// Tests that a process makes at the same time.
const TESTS: usize = 8;

/// Those of them that are of one organization.
const OF_ONE: usize = 2;

/// The tests of a process.
pub(super) struct Turns {
    places: Arc<Semaphore>,
    /// Ids of what is tested at the moment, and of the organization that it is of, if it is of one.
    taken: Mutex<BTreeMap<String, Option<String>>>,
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
    fn taken(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The test of something that is of no organization alone.
    ///
    /// # Errors
    /// 409 `test_in_progress` while that is tested, 503 `too_many_tests` while too much else is.
    pub(super) fn begin(self: &Arc<Self>, id: &str) -> Result<Turn, AdminError> {
        self.take(id, None)
    }

    /// The test of something of an organization.
    ///
    /// # Errors
    /// The same; 503 also while two others of the organization are tested.
    pub(super) fn begin_of(
        self: &Arc<Self>,
        organization_id: &str,
        id: &str,
    ) -> Result<Turn, AdminError> {
        self.take(id, Some(organization_id))
    }

    fn take(self: &Arc<Self>, id: &str, of: Option<&str>) -> Result<Turn, AdminError> {
        let too_many = |message: &str| AdminError::new(503, "too_many_tests", message);
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            too_many("As many tests run as this process makes at a time; try again.")
        })?;
        let mut taken = self.taken();
        if taken.contains_key(id) {
            let message = "It is being tested already; wait for the end of that test.";
            return Err(AdminError::new(409, "test_in_progress", message));
        }
        let others = taken.values().filter(|other| of.is_some() && other.as_deref() == of);
        if others.count() >= OF_ONE {
            let message = "Two directories of this organization are being tested already; try again \
                           when one of the tests has ended.";
            return Err(too_many(message));
        }
        taken.insert(id.to_owned(), of.map(str::to_owned));
        drop(taken);
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

    #[test]
    fn one_organization_leaves_places_to_others() {
        let turns = Arc::new(Turns::default());
        let begin = |organization: &str, id: &str| turns.begin_of(organization, id);
        let code = |organization: &str, id: &str| {
            begin(organization, id).map(drop).map_err(|error| error.code)
        };
        let (one, two) = (begin("x", "1").expect("a turn"), begin("x", "2").expect("a turn"));
        assert_eq!(code("x", "3"), Err("too_many_tests"));
        assert_eq!((code("y", "4"), turns.begin("5").map(drop)), (Ok(()), Ok(())));
        drop(one);
        assert_eq!(code("x", "3"), Ok(()));
        drop(two);
    }
}
