//! Writing records, outside the requests: in batches, sealed, and the oldest ones away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{MutexGuard, Notify};

use super::buffer::{Buffer, Sampler};
use super::compose::{Composed, compose, name_key};
use super::{Exchange, RecordMetrics, RecordSettings};
use crate::auth::{Mac, Seal, SecretKey};
use crate::clock::Clock;
use crate::scim::Object;
use crate::service::context::{Directory, Settings, State};
use crate::service::{Service, ServiceError};
use crate::store::directory::DirectoryRow;
use crate::store::request_record::RequestRow;
use crate::store::{RecordStore, Store, StoreError, Tx};

/// How long requests are collected before they are written.
const COLLECT: Duration = Duration::from_millis(100);

/// Records removed in one unit.
const ROWS: i64 = 1_000;

/// Prefix of the ids.
pub(super) const PREFIX: &str = "req";

/// The request records of a process.
pub struct Records {
    pub metrics: RecordMetrics,
    pub(super) store: RecordStore,
    seal: Seal,
    users: Mac,
    buffer: Mutex<Buffer>,
    sampler: Mutex<Sampler>,
    filled: Notify,
    /// Held while records are written, so that they are in order.
    writing: tokio::sync::Mutex<()>,
    /// Directory → records written since the last look at how many there are.
    since: Mutex<HashMap<i64, i64>>,
}

impl Records {
    pub fn new(store: RecordStore, key: &SecretKey) -> Self {
        Self {
            metrics: RecordMetrics::default(),
            store,
            seal: key.seal("request record"),
            users: key.mac("request record user"),
            buffer: Mutex::default(),
            sampler: Mutex::default(),
            filled: Notify::new(),
            writing: tokio::sync::Mutex::default(),
            since: Mutex::default(),
        }
    }

    /// True when a request with that answer is to be recorded; of what succeeds, and what is refused
    /// unseen, only so many a second.
    pub fn wants(&self, directory: &Directory, kind: super::Kind, status: u16, now: i64) -> bool {
        let is_served =
            !matches!(directory.state, State::Paused | State::Disabled | State::Deleting);
        let mut sampler = self.sampler.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = sampler.keeps((directory.key, is_served), kind, status, now);
        if !wanted {
            self.metrics.skipped.inc();
        }
        wanted
    }

    /// Takes an exchange over; without room it is dropped and counted.
    pub fn push(&self, exchange: Exchange) {
        let kept = self.buffer.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
        if kept {
            self.filled.notify_one();
        } else {
            self.metrics.dropped.inc();
        }
    }

    /// Nothing is written while the guard lives: what comes meanwhile waits, or is dropped.
    pub async fn hold(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().await
    }

    /// True when the records are rows of the same database as the directories.
    pub(in crate::service) fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    fn batch(&self) -> Vec<Exchange> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner).batch()
    }

    /// Where the records are.
    pub fn database(&self) -> Result<Store, StoreError> {
        self.store.get()
    }

    /// The hashes by which records about a user are found, by each key that may have made them.
    pub(super) fn user_keys(&self, directory_id: &str, name: &str) -> Vec<String> {
        self.users.hashes(directory_id, &name_key(name))
    }

    fn sealed(&self, exchange: &Exchange) -> RequestRow {
        let Composed { record, names } = compose(exchange);
        let (directory, id) = (&exchange.directory, &exchange.id);
        let mut user_keys = String::from(" ");
        for name in &names {
            user_keys.push_str(&self.users.hash(&directory.id, name));
            user_keys.push(' ');
        }
        let text = Value::Object(record).to_string();
        RequestRow {
            directory_key: directory.key,
            id: id.clone(),
            method: exchange.method.clone(),
            status: i32::from(exchange.status),
            user_keys,
            sealed: self.seal.seal(context(&directory.id, id).as_bytes(), text.as_bytes()),
        }
    }

    /// The record of a row, if it is one of that directory and can be opened.
    pub(super) fn opened(&self, directory_id: &str, row: &RequestRow) -> Option<Object> {
        let text = self.seal.open(context(directory_id, &row.id).as_bytes(), &row.sealed)?;
        serde_json::from_slice(&text).ok()
    }
}

/// A record opens only as the one that it was sealed as.
fn context(directory_id: &str, id: &str) -> String {
    format!("{directory_id} {id}")
}

impl Service {
    /// Writes records as long as the process runs.
    pub async fn run_records(self: &Arc<Self>) {
        loop {
            self.records.filled.notified().await;
            tokio::time::sleep(COLLECT).await;
            self.flush_records().await;
        }
    }

    /// Writes everything that waits. It goes on when the caller goes away: what was taken out of the
    /// buffer is in nobody else's hands.
    pub async fn flush_records(self: &Arc<Self>) {
        let service = Arc::clone(self);
        let flushed = tokio::spawn(async move { service.write_waiting().await }).await;
        flushed.unwrap_or_else(|error| tracing::warn!(%error, "request records were not written"));
    }

    async fn write_waiting(&self) {
        let _writing = self.records.writing.lock().await;
        loop {
            let batch = self.records.batch();
            if batch.is_empty() {
                return;
            }
            self.write_records(batch).await;
        }
    }

    async fn write_records(&self, batch: Vec<Exchange>) {
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let records = Arc::clone(&self.records);
        // Hashing and sealing take time that no worker of the server has.
        let sealed = tokio::task::spawn_blocking(move || {
            records.store.reopen_lost();
            let mut limits: HashMap<i64, RecordSettings> = HashMap::new();
            for exchange in &batch {
                limits.insert(exchange.directory.key, exchange.directory.records);
            }
            let rows: Vec<RequestRow> = batch.iter().map(|e| records.sealed(e)).collect();
            (rows, limits)
        });
        let written = match sealed.await {
            Ok((rows, limits)) => self.insert_records(rows, &limits).await,
            Err(_) => Err(StoreError::Panicked("request_seal")),
        };
        match written {
            Ok(written) => {
                self.records.metrics.written.inc_by(written);
            }
            Err(error) => {
                self.records.metrics.dropped.inc_by(count);
                tracing::warn!(%error, count, "request records were not written");
                self.reopen_records(error).await;
            }
        }
    }

    /// After a failure of the store of records, which may be one of its file.
    pub(super) async fn reopen_records(&self, error: StoreError) {
        let records = Arc::clone(&self.records);
        let reopened =
            tokio::task::spawn_blocking(move || records.store.reopen_after(&error)).await;
        reopened.unwrap_or_else(|error| tracing::warn!(%error, "requests.db is not opened again"));
    }

    /// Writes the rows of directories that are there, and takes away what is over their limits.
    async fn insert_records(
        &self,
        rows: Vec<RequestRow>,
        limits: &HashMap<i64, RecordSettings>,
    ) -> Result<u64, StoreError> {
        let rows = match self.records.store.is_shared() {
            true => rows,
            false => self.without_deleted(rows).await,
        };
        let (store, shared) = (self.records.store.get()?, self.records.store.is_shared());
        let inserted: Result<Vec<i64>, StoreError> = store
            .write("request_records", move |tx| {
                let mut kept = Vec::with_capacity(rows.len());
                let mut seen: HashMap<i64, bool> = HashMap::new();
                // Directories in the order of their keys, as every unit locks several.
                let mut keys: Vec<i64> = rows.iter().map(|row| row.directory_key).collect();
                keys.sort_unstable();
                keys.dedup();
                for key in keys {
                    seen.insert(key, !shared || is_there(tx, key)?);
                }
                for row in rows.iter().filter(|row| seen.get(&row.directory_key) == Some(&true)) {
                    tx.request_insert(row)?;
                    kept.push(row.directory_key);
                }
                Ok(kept)
            })
            .await;
        let inserted = inserted?;
        let mut full = Vec::new();
        {
            let mut since = self.records.since.lock().unwrap_or_else(PoisonError::into_inner);
            for key in &inserted {
                let count = since.entry(*key).or_default();
                *count += 1;
                let limit = limits.get(key).map_or(10_000, |limit| limit.count);
                // A ring that is a little too full costs less than a look at each batch.
                if *count >= (limit / 20).max(1) {
                    *count = 0;
                    full.push(*key);
                }
            }
        }
        for key in full {
            if let Some(limits) = limits.get(&key) {
                self.prune_directory(key, *limits).await?;
            }
        }
        Ok(u64::try_from(inserted.len()).unwrap_or(0))
    }

    /// On SQLite the rows are in another file than the directories: those of a deleted directory are
    /// not written, and [`Service::prune_records`] removes what slips through, as all does when the
    /// directories cannot be read.
    async fn without_deleted(&self, rows: Vec<RequestRow>) -> Vec<RequestRow> {
        let mut keys: Vec<i64> = rows.iter().map(|row| row.directory_key).collect();
        keys.sort_unstable();
        keys.dedup();
        let there: Result<Vec<i64>, StoreError> = self
            .store
            .read("request_directories", move |tx| {
                let mut there = Vec::new();
                for key in &keys {
                    let row = tx.directory_by_key(*key)?;
                    if row.is_some_and(|row| row.state != State::Deleting.as_str()) {
                        there.push(*key);
                    }
                }
                Ok::<_, StoreError>(there)
            })
            .await;
        match there {
            Ok(there) => {
                rows.into_iter().filter(|row| there.contains(&row.directory_key)).collect()
            }
            Err(_) => rows,
        }
    }

    /// Removes records that are too old or too many, and those of directories that are gone.
    pub async fn prune_records(&self) -> Result<(), ServiceError> {
        let mut key = 0;
        loop {
            let after = key;
            let next: Result<Option<i64>, StoreError> = self
                .records
                .store
                .get()?
                .get("request_directory", move |tx| tx.request_directory_after(after))
                .await;
            let Some(found) = next? else { return Ok(()) };
            key = found;
            let row: Result<Option<DirectoryRow>, StoreError> =
                self.store.get("directory", move |tx| tx.directory_by_key(found)).await;
            match row?.filter(|row| row.state != State::Deleting.as_str()) {
                None => self.forget_records(key).await?,
                Some(row) => {
                    let settings: Settings =
                        serde_json::from_str(&row.settings).unwrap_or_default();
                    self.prune_directory(key, settings.records).await?;
                }
            }
        }
    }

    async fn prune_directory(&self, key: i64, limits: RecordSettings) -> Result<(), StoreError> {
        let too_old = Clock::floor(PREFIX, self.clock.now_ms() - limits.keep_ms());
        let store = self.records.store.get()?;
        let oldest: Result<Option<String>, StoreError> =
            store.get("request_oldest", move |tx| tx.request_oldest_kept(key, limits.count)).await;
        let until = oldest?.map_or(too_old.clone(), |oldest| oldest.max(too_old));
        self.remove_records(key, Some(until)).await
    }

    /// Removes all records of a directory.
    pub(in crate::service) async fn forget_records(&self, key: i64) -> Result<(), ServiceError> {
        self.records.since.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        Ok(self.remove_records(key, None).await?)
    }

    async fn remove_records(&self, key: i64, until: Option<String>) -> Result<(), StoreError> {
        loop {
            let (store, until) = (self.records.store.get()?, until.clone());
            let removed: Result<usize, StoreError> = store
                .write("request_prune", move |tx| {
                    tx.request_remove_before(key, until.as_deref(), ROWS)
                })
                .await;
            if removed? == 0 {
                return Ok(());
            }
        }
    }
}

/// Shares the directory for this unit; false when it is gone or being deleted.
fn is_there(tx: &mut Tx<'_>, key: i64) -> Result<bool, StoreError> {
    let shared = tx.directory_share(key)?;
    Ok(shared.is_some_and(|shared| shared.state != State::Deleting.as_str()))
}
