//! The places of a process for directories that it reads, and which directories have them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::sync::Room;

/// Directories that a process reads at the same time.
const PLACES: usize = 4;

/// Clones share the places.
#[derive(Clone)]
pub(super) struct Readers {
    places: Arc<Semaphore>,
    /// Keys of the directories that have one.
    reading: Arc<Mutex<Vec<i64>>>,
}

impl Default for Readers {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), reading: Arc::default() }
    }
}

impl Readers {
    pub(super) fn room(&self) -> Room {
        let free = i64::try_from(self.places.available_permits()).unwrap_or(0);
        Room { free, reading: self.list().clone() }
    }

    /// Gives a directory a place, once one is free.
    pub(super) async fn place(&self, directory_key: i64) -> Option<Place> {
        let permit = Arc::clone(&self.places).acquire_owned().await.ok()?;
        self.list().push(directory_key);
        Some(Place { directory_key, readers: self.clone(), _permit: permit })
    }

    /// Waits until every place is free.
    pub(super) async fn all_gone(&self) {
        let all = u32::try_from(PLACES).unwrap_or(u32::MAX);
        drop(self.places.acquire_many(all).await);
    }

    fn list(&self) -> MutexGuard<'_, Vec<i64>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A directory has it until it is dropped.
pub(super) struct Place {
    directory_key: i64,
    readers: Readers,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut list = self.readers.list();
        if let Some(at) = list.iter().position(|key| *key == self.directory_key) {
            list.swap_remove(at);
        }
    }
}
