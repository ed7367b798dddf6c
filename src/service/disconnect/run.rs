//! The job that goes on with disconnections.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Disconnection, carry, deprovision, hand_over, state, take};
use crate::service::administer::Ending;
use crate::service::audit::action;
use crate::service::context::{Directory, State};
use crate::service::{Service, ServiceError, on_behalf_of};
use crate::store::disconnection::DisconnectionRow;
use crate::store::{StoreError, Tx};

/// Users, or groups, that one unit is about: all other writers of SQLite wait for it.
pub(super) const ROWS: i64 = 50;

/// How often it is looked for what other processes have left.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A unit of a disconnection.
pub(super) struct Part {
    pub(super) directory: Arc<Directory>,
    /// The directory that takes the users over.
    pub(super) into: Option<Arc<Directory>>,
    pub(super) ids: crate::clock::Ids,
    pub(super) now: i64,
    pub(super) members_at_once: usize,
    ending: Ending,
}

impl Service {
    /// Goes on with every disconnection until all are done, or none can go on.
    pub async fn finish_disconnects(&self) -> Result<(), ServiceError> {
        let mut failed = HashSet::new();
        loop {
            #[expect(
                clippy::redundant_closure_for_method_calls,
                reason = "its lifetime is too narrow"
            )]
            let found: Result<Vec<DisconnectionRow>, StoreError> =
                self.store.get("disconnections", |tx| tx.disconnection_running()).await;
            let mut found = found?;
            found.retain(|row| !failed.contains(&row.directory_key));
            if found.is_empty() || self.event_log.is_closing() {
                return Ok(());
            }
            // One after the other: a large directory does not hold up the others.
            for row in found {
                let key = row.directory_key;
                if let Err(error) = on_behalf_of(key, self.disconnection_step(row)).await {
                    tracing::warn!(%error, directory_key = key, "a directory is not disconnected yet");
                    failed.insert(key);
                }
            }
        }
    }

    /// Goes on with disconnections as soon as one is asked for, for as long as the process serves.
    pub async fn run_disconnects(self: Arc<Self>) {
        while !self.event_log.is_closing() {
            if let Err(error) = self.finish_disconnects().await {
                tracing::warn!(%error, "directories are not disconnected yet");
            }
            tokio::select! {
                () = self.disconnecting.notified() => {}
                () = self.event_log.closed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// One unit. What refuses it stands in the way until somebody does something about it.
    async fn disconnection_step(&self, row: DisconnectionRow) -> Result<(), ServiceError> {
        let Some(directory) = self.directory_now(row.directory_key).await? else { return Ok(()) };
        let into = match row.into_key {
            Some(key) => self.directory_now(key).await?,
            None => None,
        };
        let part = Part {
            directory,
            into,
            ids: self.clock.ids(),
            now: self.clock.now_ms(),
            members_at_once: self.members_at_once,
            ending: self.directory_ending(self.audit_by(&row.made_by, action::DIRECTORY_DELETED)),
        };
        let (key, into_key) = (row.directory_key, row.into_key);
        let done = self.store.write("disconnect_part", move |tx| part.run(tx, into_key)).await;
        match done {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.forget_access();
                self.mapping_wake.notify_one();
                self.syncs.wanted.notify_one();
                tracing::info!(directory_key = key, "a directory was disconnected");
                Ok(())
            }
            Err(ServiceError::Admin(error)) => self.disconnection_stop(key, error.message).await,
            Err(ServiceError::Scim(error)) => self.disconnection_stop(key, error.detail).await,
            Err(error) => Err(error),
        }
    }

    async fn disconnection_stop(&self, key: i64, problem: String) -> Result<(), ServiceError> {
        let now = self.clock.now_ms();
        tracing::warn!(directory_key = key, problem, "a disconnection is stopped");
        let stopped: Result<(), StoreError> = self
            .store
            .write("disconnection_stop", move |tx| {
                tx.directory_lock_exclusive(key)?;
                let Some(row) = running(tx, key)? else { return Ok(()) };
                let (state, problem) = (state::STOPPED.to_owned(), Some(problem.clone()));
                tx.disconnection_put(&DisconnectionRow { state, problem, modified: now, ..row })
            })
            .await;
        Ok(stopped?)
    }
}

/// The disconnection of a directory, unless somebody has decided otherwise.
fn running(tx: &mut Tx<'_>, key: i64) -> Result<Option<DisconnectionRow>, StoreError> {
    Ok(tx.disconnection_get(key)?.filter(|row| row.state == state::RUNNING))
}

impl Part {
    /// Does the next part; true when nobody was left and the directory is being deleted.
    fn run(&self, tx: &mut Tx<'_>, into_key: Option<i64>) -> Result<bool, ServiceError> {
        let key = self.directory.key;
        take(tx, key, into_key)?;
        let row = running(tx, key)?.filter(|row| row.into_key == into_key);
        let (Some(row), Some(shared)) = (row, tx.directory_share(key)?) else { return Ok(false) };
        if shared.state != State::Disabled.as_str() {
            return Ok(false);
        }
        if shared.converting || shared.schema_version != self.directory.schema_version {
            return Err(ServiceError::SchemasChange);
        }
        let next = match row.mode == Disconnection::HandOver.as_str() {
            true => carry::step(tx, self, row.clone())?,
            false => deprovision::step(tx, self, &shared, row.clone())?,
        };
        let Some(next) = next else {
            if let Some(into) = &self.into {
                hand_over::finish(tx, into, self.now)?;
            }
            self.ending.begin(tx, key)?;
            let (state, modified) = (state::DONE.to_owned(), self.now);
            tx.disconnection_put(&DisconnectionRow { state, modified, ..row })?;
            return Ok(true);
        };
        tx.disconnection_put(&DisconnectionRow { modified: self.now, ..next })?;
        Ok(false)
    }
}
