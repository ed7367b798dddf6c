//! The end of a directory: its rows go in bounded units, without events.

use super::identity::retire;
use super::{Service, ServiceError};
use crate::store::directory::DirectoryRow;
use crate::store::{StoreError, Tx, in_line};

/// Rows removed in one unit.
const ROWS: i64 = 1_000;

/// How long a member value waits for its resource, in milliseconds: 30 days.
const PENDING_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// Takes a directory for this unit; false when it is none that was deleted.
fn may_purge(tx: &mut Tx<'_>, key: i64) -> Result<bool, StoreError> {
    Ok(tx.directory_lock_exclusive(key)?.as_deref() == Some("deleting"))
}

impl Service {
    /// Finishes every deletion that was begun, also one that a stopped process left behind.
    pub async fn purge_deleted_directories(&self) -> Result<(), ServiceError> {
        let keys: Result<Vec<i64>, StoreError> =
            self.store.get("deleting", |tx| tx.directory_keys_in_state("deleting")).await;
        let keys = keys?;
        // Who has lost an account does not wait for the rows of large directories.
        for key in &keys {
            if let Err(error) = self.retire(*key).await {
                tracing::warn!(%error, "accounts of a deleted directory have not ended yet");
            }
        }
        for key in keys {
            // One directory that cannot be purged now does not hold up the others.
            if let Err(error) = self.purge(key).await {
                tracing::warn!(%error, "a deleted directory is not purged yet");
            }
        }
        Ok(())
    }

    /// Gives up member values that have waited too long for their resources.
    pub async fn prune_pending_members(&self) -> Result<(), ServiceError> {
        let until = self.clock.now_ms() - PENDING_MS;
        loop {
            let pruned: Result<usize, StoreError> =
                self.store.write("pending_prune", move |tx| tx.pending_prune(until, ROWS)).await;
            if pruned? == 0 {
                return Ok(());
            }
        }
    }

    /// Ends the accounts of a deleted directory: the identities of its users go on without them.
    async fn retire(&self, key: i64) -> Result<(), ServiceError> {
        let found: Result<Option<DirectoryRow>, StoreError> =
            self.store.get("deleting", move |tx| tx.directory_by_key(key)).await;
        let Some(organization_key) = found?.and_then(|row| row.identities) else { return Ok(()) };
        in_line(organization_key, async {
            while self.retire_step(key).await? {}
            Ok(())
        })
        .await
    }

    async fn retire_step(&self, key: i64) -> Result<bool, ServiceError> {
        let (ids, now) = (self.clock.ids(), self.clock.now_ms());
        let step: Result<bool, StoreError> = self
            .store
            .write("retire", move |tx| {
                Ok(may_purge(tx, key)? && retire(tx, key, ids.clone(), now)? > 0)
            })
            .await;
        Ok(step?)
    }

    async fn purge(&self, key: i64) -> Result<(), ServiceError> {
        if let Err(error) = self.forget_records(key).await {
            // In a file of their own they hold nothing up: what is left of them goes by age.
            if self.records.is_shared() {
                return Err(error);
            }
            tracing::warn!(%error, "the request records of a directory are not purged");
        }
        while self.purge_step(key).await? {}
        Ok(())
    }

    /// Removes some rows of a directory, or the directory itself when no others are left. False when
    /// there is nothing more to do. The lock keeps two purges apart, and the state says that the key
    /// still means the directory that was deleted.
    async fn purge_step(&self, key: i64) -> Result<bool, ServiceError> {
        let (ids, now) = (self.clock.ids(), self.clock.now_ms());
        let step: Result<bool, StoreError> = self
            .store
            .write("purge", move |tx| {
                if !may_purge(tx, key)? {
                    return Ok(false);
                }
                // The organization may keep identities only since the accounts were ended.
                if retire(tx, key, ids.clone(), now)? > 0 || tx.directory_purge(key, ROWS)? > 0 {
                    return Ok(true);
                }
                tx.directory_delete(key)?;
                Ok(false)
            })
            .await;
        Ok(step?)
    }
}
