//! The end of a hold: what waits is told, in its order.
//!
//! Each unit has the directory for itself and tells a bounded part, so the events keep their order and
//! none of them is told twice. Events that come meanwhile go behind, and what they take away is counted:
//! with too much of it the directory holds again, for nobody has decided on that. What a stopped process
//! leaves is done by the next one.

use std::sync::Arc;

use serde_json::json;

use super::account;
use super::count::excess;
use super::settings::BrakeMode;
use super::view::{BrakeView, nothing_waits};
use crate::clock::Ids;
use crate::event::name;
use crate::scim::key::instant_text;
use crate::service::alarms::{self, AlarmKind};
use crate::service::audit::{Target, action};
use crate::service::authenticate::served_catalogue;
use crate::service::context::Directory;
use crate::service::error::AdminError;
use crate::service::exchange::Listed;
use crate::service::identity::Scope;
use crate::service::policy::InForce;
use crate::service::record::Recorder;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::brake::{Brake, HeldRow, Taken};
use crate::store::directory::Shared;
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
        let audit = self.audit(access, action::BRAKE_RELEASED);
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
                        // What was decided on does not count again.
                        tx.brake_count_clear(key)?;
                        let before = json!({"state": "holding", "since": since.map(instant_text)});
                        let after = json!({"state": "releasing"});
                        audit.write(tx, Target::directory(&row), before, after)?;
                        Ok(tx.brake_release(key, since)?)
                    }
                }
            })
            .await?;
        tracing::info!(directory = id, "the events of a directory are released");
        self.release_all(key).await?;
        self.brake_get(access, id).await
    }

    pub(super) async fn release_all(&self, key: i64) -> Result<(), ServiceError> {
        while let Some(directory) = self.directory_now(key).await? {
            match self.release_step(directory).await? {
                Step::More => {}
                Step::Done => return Ok(()),
                Step::Again => return Err(ServiceError::SchemasChange),
            }
        }
        Ok(())
    }

    /// A directory as it is now; `None` when it is gone.
    pub(in crate::service) async fn directory_now(
        &self,
        key: i64,
    ) -> Result<Option<Arc<Directory>>, ServiceError> {
        let found: Result<_, StoreError> = self
            .store
            .read("brake_look", move |tx| {
                let Some(row) = tx.directory_by_key(key)? else { return Ok(None) };
                Ok(Some((row, tx.schema_get(key)?, served_catalogue(tx, key)?)))
            })
            .await;
        let Some((row, own, served)) = found? else { return Ok(None) };
        let registry = self.registry_of(own.as_ref()).with_catalogue(|name| served.contains(&name));
        Ok(Some(Arc::new(Directory::from_row(&row, registry))))
    }

    /// One unit of a release.
    async fn release_step(&self, directory: Arc<Directory>) -> Result<Step, ServiceError> {
        let (now, ids) = (self.clock.now_ms(), self.clock.ids());
        let step: Result<Step, StoreError> = self
            .store
            .write("brake_release_part", move |tx| {
                let key = directory.key;
                tx.directory_lock_exclusive(key)?;
                let Some(shared) = tx.directory_share(key)? else { return Ok(Step::Done) };
                match tx.brake_get(key)? {
                    Some((Brake::Releasing, _)) => {
                        let mut recorder = recorder(tx, &directory, &shared, &ids, now)?;
                        let until = tx.brake_until(key)?;
                        tell_part(tx, &shared, &mut recorder, Some(until))
                    }
                    _ => Ok(Step::Done),
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

/// What a unit of a release or an undo has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    More,
    /// The rules of the directory have changed since they were read.
    Again,
    Done,
}

/// Whether the directory still has the rules by which it was read.
pub(super) fn is_current(directory: &Directory, shared: &Shared) -> bool {
    !shared.converting && shared.schema_version == directory.schema_version
}

/// For a unit that has the directory for itself.
pub(super) fn recorder<'d>(
    tx: &mut Tx<'_>,
    directory: &'d Directory,
    shared: &Shared,
    ids: &Ids,
    now: i64,
) -> Result<Recorder<'d>, StoreError> {
    Ok(Recorder {
        directory,
        in_force: InForce::new(&shared.settings, shared.policy_cursor),
        identities: Scope::enter(tx, directory)?,
        ids: ids.clone(),
        now,
        event_ids: Listed::default(),
        has_intents: false,
        removal: None,
    })
}

/// Tells the next events, or what follows them, or ends the hold. A release was decided on `until` one of
/// them.
pub(super) fn tell_part(
    tx: &mut Tx<'_>,
    shared: &Shared,
    recorder: &mut Recorder<'_>,
    until: Option<i64>,
) -> Result<Step, StoreError> {
    let (key, now) = (recorder.directory.key, recorder.now);
    let rows = tx.held_first(key, until.unwrap_or(i64::MAX), EVENTS)?;
    if !rows.is_empty() {
        for row in &rows {
            tx.event_write(key, &told(row, &mut recorder.ids, now))?;
        }
        let keys: Vec<i64> = rows.iter().map(|row| row.key).collect();
        tx.held_delete(key, &keys)?;
        return Ok(Step::More);
    }
    if !is_current(recorder.directory, shared) {
        return Ok(Step::Again);
    }
    if account::follow(tx, recorder)? {
        return Ok(Step::More);
    }
    let brake = recorder.in_force.policies.brake;
    let too_much = match (until, brake.mode) {
        (None, _) | (_, BrakeMode::Off) => None,
        (Some(_), _) => excess(tx, key, &brake.limits, Taken::default(), now)?,
    };
    if tx.held_count(key)?.events > 0 {
        // They came behind the decision.
        if let (Some(taken), BrakeMode::Hold) = (too_much, brake.mode) {
            recorder.holds_again(tx, taken)?;
            return Ok(Step::Done);
        }
        let since = tx.brake_get(key)?.and_then(|(_, since)| since);
        tx.brake_release(key, since)?;
        return Ok(Step::More);
    }
    if tx.brake_forget(key, NOTES)? > 0 {
        return Ok(Step::More);
    }
    tx.brake_set(key, None, None)?;
    if until.is_none() {
        tx.brake_count_clear(key)?;
    }
    match too_much {
        Some(taken) => recorder.alarms_anew(tx, taken, false)?,
        None => {
            let about = (key, AlarmKind::Brake, recorder.directory.id.as_str());
            alarms::resolve(tx, &mut recorder.ids, now, about)?;
        }
    }
    Ok(Step::Done)
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
        member_id: Some(row.member_id.clone()).filter(|id| !id.is_empty()),
        data: row.data.clone().into(),
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
