//! The end of a hold: what waits is told, in its order.
//!
//! Each unit has the directory for itself and tells a bounded part, so the events keep their order and
//! none of them is told twice. Events that come meanwhile go behind. What a stopped process leaves is done
//! by the next one.

use super::view::{BrakeView, nothing_waits};
use crate::clock::Ids;
use crate::event::name;
use crate::service::alarms::{self, AlarmKind};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::brake::{Brake, HeldRow};
use crate::store::event::NewEvent;
use crate::store::{StoreError, Tx};

/// Events told in one unit, and notes forgotten in one.
const EVENTS: i64 = 500;
const NOTES: i64 = 1_000;

impl Service {
    /// Has the events of a directory told that wait.
    pub async fn brake_release(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<BrakeView, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let key = row.key;
        self.store
            .write("brake_release", move |tx| {
                tx.directory_lock_exclusive(key)?;
                match tx.brake_get(key)? {
                    None => Err(nothing_waits()),
                    Some((Brake::Releasing, _)) => Ok(()),
                    Some((Brake::Undoing, _)) => {
                        let message = "What was taken away is being put back already.";
                        Err(AdminError::new(409, "undo_under_way", message).into())
                    }
                    Some((Brake::Holding, since)) => {
                        Ok(tx.brake_set(key, Some(Brake::Releasing), since)?)
                    }
                }
            })
            .await?;
        tracing::info!(directory = id, "the events of a directory are released");
        self.release_all(key).await?;
        self.brake_get(access, id).await
    }

    pub(super) async fn release_all(&self, key: i64) -> Result<(), ServiceError> {
        while self.release_step(key).await? {}
        Ok(())
    }

    /// One unit of a release; false when nothing is left of it.
    async fn release_step(&self, key: i64) -> Result<bool, ServiceError> {
        let (now, ids) = (self.clock.now_ms(), self.clock.ids());
        let step: Result<bool, StoreError> = self
            .store
            .write("brake_release_part", move |tx| {
                tx.directory_lock_exclusive(key)?;
                match tx.brake_get(key)? {
                    Some((Brake::Releasing, _)) => tell_part(tx, key, &mut ids.clone(), now),
                    _ => Ok(false),
                }
            })
            .await;
        Ok(step?)
    }

    /// Goes on with what stopped processes have left of releases and undos.
    pub async fn finish_brakes(&self) -> Result<(), ServiceError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let found: Result<Vec<(i64, String)>, StoreError> =
            self.store.get("brake_directories", |tx| tx.brake_directories()).await;
        for (key, brake) in found? {
            let done = match Brake::parse(&brake) {
                Some(Brake::Releasing) => self.release_all(key).await,
                Some(Brake::Undoing) => self.undo_all(key).await.map(|_| ()),
                Some(Brake::Holding) | None => Ok(()),
            };
            // One directory that fails does not hold up the others.
            if let Err(error) = done {
                tracing::warn!(%error, "the brake of a directory is not let go yet");
            }
        }
        Ok(())
    }
}

/// Tells the next events, or ends the hold; false when it has ended.
pub(super) fn tell_part(
    tx: &mut Tx<'_>,
    key: i64,
    ids: &mut Ids,
    now: i64,
) -> Result<bool, StoreError> {
    let rows = tx.held_first(key, EVENTS)?;
    if !rows.is_empty() {
        for row in &rows {
            tx.event_write(key, &told(row, ids, now))?;
        }
        let keys: Vec<i64> = rows.iter().map(|row| row.key).collect();
        tx.held_delete(key, &keys)?;
        return Ok(true);
    }
    if tx.brake_forget(key, NOTES)? > 0 {
        return Ok(true);
    }
    tx.brake_set(key, None, None)?;
    // What was decided on does not count again.
    tx.brake_count_clear(key)?;
    if let Some(row) = tx.directory_by_key(key)? {
        alarms::resolve(tx, ids, now, (key, AlarmKind::Brake, &row.id))?;
    }
    Ok(false)
}

/// The event as the log has it. It gets its id and its time now: readers find events by both, and none of
/// them may come late.
fn told(row: &HeldRow, ids: &mut Ids, now: i64) -> NewEvent {
    NewEvent {
        id: ids.next("event"),
        event: name::ALL
            .into_iter()
            .chain(name::NATIVE)
            .find(|name| *name == row.event)
            .unwrap_or(name::USER_UPDATED),
        resource_id: row.resource_id.clone(),
        data: row.data.clone(),
        reason: row.reason.as_deref().and_then(crate::event::Reason::parse),
        created: now,
    }
}

/// Lets a directory go that is deleted, in the unit that begins to: its end is one event, and what waits
/// is about what ends with it.
pub(in crate::service) fn let_go(
    tx: &mut Tx<'_>,
    key: i64,
    ids: &mut Ids,
    now: i64,
) -> Result<(), StoreError> {
    if tx.holds(key) {
        tx.brake_set(key, None, None)?;
    }
    alarms::resolve_all(tx, ids, now, key)
}
