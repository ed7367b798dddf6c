//! The end of a directory: its rows go in bounded units, without events.

use super::{Service, ServiceError};
use crate::store::StoreError;

/// Rows removed in one unit.
const ROWS: i64 = 1_000;

impl Service {
    /// Finishes every deletion that was begun, also one that a stopped process left behind.
    pub async fn purge_deleted_directories(&self) -> Result<(), ServiceError> {
        let keys: Result<Vec<i64>, StoreError> =
            self.store.get("deleting", |tx| tx.directory_keys_in_state("deleting")).await;
        for key in keys? {
            self.purge(key).await?;
        }
        Ok(())
    }

    async fn purge(&self, key: i64) -> Result<(), ServiceError> {
        loop {
            let removed: Result<usize, StoreError> =
                self.store.write("purge", move |tx| tx.directory_purge(key, ROWS)).await;
            if removed? == 0 {
                break;
            }
        }
        let gone: Result<(), StoreError> =
            self.store.write("directory_delete", move |tx| tx.directory_delete(key)).await;
        Ok(gone?)
    }
}
