//! The end of a connection: a directory is stopped; or access is taken away from everybody in it, or everybody
//! is handed over to another directory of the organization, and it is deleted.
//!
//! A directory that is disconnected is disabled at once, so that nothing more arrives. Then a job goes on, a
//! bounded part in each unit and each with events of its own: [`deprovision`] and [`hand_over`]. The unit that
//! finds nobody left begins the deletion. Directories take turns. What a stopped process leaves is done by the
//! next one. What stands in the way stops a disconnection where people see it, and nobody loses access by that.
//! Whoever sets the state of the directory meanwhile calls it off: what is done stays so.
//!
//! What the operator has stopped no visitor of a setup link starts again.

mod carry;
mod deprovision;
mod hand_over;
mod run;
mod view;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

pub use hand_over::{Conflict, HandOverReport, RoleMaps, Taken};
pub use view::{DisconnectionView, Fault};

use super::administer::{DirectoryChange, missing};
use super::audit::{Target, action};
use super::authenticate::ApiAccess;
use super::context::State;
use super::error::AdminError;
use super::{Service, ServiceError};
use crate::store::app_read::AppCounts;
use crate::store::directory::DirectoryRow;
use crate::store::disconnection::DisconnectionRow;
use crate::store::stop::StopRow;
use crate::store::{StoreError, Tx};

/// Memberships that are counted for a preview, which every look at a page makes.
const COUNTED: i64 = 1_000;

/// How a directory is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disconnection {
    /// What arrives is refused; the app goes on seeing everybody as they were.
    Freeze,
    /// Everybody loses access, then the directory is deleted.
    Deprovision,
    /// Everybody goes to another directory of the organization, then this one is deleted.
    HandOver,
}

impl Disconnection {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Deprovision => "deprovision",
            Self::HandOver => "hand_over",
        }
    }
}

/// Words of [`DisconnectionRow::state`].
mod state {
    pub(super) const RUNNING: &str = "running";
    pub(super) const STOPPED: &str = "stopped";
    pub(super) const CALLED_OFF: &str = "called_off";
    pub(super) const DONE: &str = "done";
}

/// Words of [`DisconnectionRow::step`].
mod step {
    pub(super) const GROUPS: &str = "groups";
    pub(super) const NESTED: &str = "nested";
    pub(super) const USERS: &str = "users";
    /// The users who are left of a directory that was handed over in part.
    pub(super) const REST: &str = "rest";
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisconnectRequest {
    pub mode: Disconnection,
    /// Of a hand over: the id of the directory that takes the users over.
    #[serde(default)]
    pub to: Option<String>,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

impl DisconnectRequest {
    pub fn new(mode: Disconnection) -> Self {
        Self { mode, to: None, dry_run: false }
    }

    /// The same without doing it.
    pub fn preview(mode: Disconnection) -> Self {
        Self { dry_run: true, ..Self::new(mode) }
    }
}

/// What a disconnection is about.
#[derive(Clone, Debug, Serialize)]
pub struct DisconnectReport {
    object: &'static str,
    pub directory_id: String,
    pub mode: Disconnection,
    pub dry_run: bool,
    /// Users who lose access, or keep it when the directory is frozen or handed over.
    pub active_users: i64,
    pub inactive_users: i64,
    pub groups: i64,
    /// Memberships, counted up to 1,000.
    pub memberships: i64,
    /// Of a hand over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hand_over: Option<HandOverReport>,
}

impl DisconnectReport {
    /// Whether there are more than were counted.
    pub fn has_more_memberships(&self) -> bool {
        self.memberships >= COUNTED
    }
}

const PRIMARY: &str = "The directory is the primary one of its organization. PUT primary_directory \
                       with dry_run shows what follows from another one or none; choose that first.";

const HOLDS: &str = "Events of this directory wait because of its brake, and nobody would be told of the people \
                     whose removal is among them; release them or undo what happened first.";

const IN_PART: &str = "A part of this directory was handed over to another one already, and its identity provider \
                       would make those users once more. Go on with the hand over, or deprovision the rest.";

/// Refuses the end of a directory on which others depend. Nobody makes it the primary one behind this look: that
/// takes the directory as well.
pub(super) fn refuse_unready(tx: &mut Tx<'_>, row: &DirectoryRow) -> Result<(), ServiceError> {
    if row.primary {
        return Err(AdminError::new(409, "directory_is_primary", PRIMARY).into());
    }
    // With the directory nobody would hear of the people whose removal waits.
    if tx.brake_get(row.key)?.is_some() {
        return Err(AdminError::new(409, "brake_holding", HOLDS).into());
    }
    Ok(())
}

/// Notes who has stopped a directory, in the unit that sets its state, and calls a disconnection off.
///
/// # Errors
/// 409 for a visitor of a setup link who would change what the operator has decided, and where users were
/// handed over already.
pub(super) fn note_stop(
    tx: &mut Tx<'_>,
    made_by: &str,
    row: &DirectoryRow,
    wanted: Option<&str>,
    now: i64,
) -> Result<(), ServiceError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let is_visit = ApiAccess::is_visit(made_by);
    let is_stopped = matches!(State::parse(&row.state), Some(State::Paused | State::Disabled));
    let stop = tx.stop_get(row.key)?.filter(|stop| ApiAccess::is_visit(&stop.made_by));
    if is_visit && is_stopped && stop.is_none() {
        let message =
            "Whoever runs the application has stopped this directory; ask them to start it again.";
        return Err(AdminError::new(409, "stopped_by_operator", message).into());
    }
    if let Some(under_way) = tx.disconnection_get(row.key)? {
        if wanted != State::Disabled.as_str() && is_in_part(&under_way) {
            return Err(AdminError::new(409, "handed_over_in_part", IN_PART).into());
        }
        call_off(tx, under_way, now)?;
    }
    match (is_visit, wanted) {
        (false, _) | (true, "linked") => Ok(tx.stop_clear(row.key)?),
        (true, other) => Ok(tx.stop_set(row.key, other, made_by, now)?),
    }
}

/// Whether some of the directory are in another one by now.
fn is_in_part(row: &DisconnectionRow) -> bool {
    let is_hand_over = row.mode == Disconnection::HandOver.as_str();
    (is_hand_over && row.done > 0) || row.step == step::REST
}

fn call_off(tx: &mut Tx<'_>, row: DisconnectionRow, now: i64) -> Result<(), StoreError> {
    if !matches!(row.state.as_str(), state::RUNNING | state::STOPPED) {
        return Ok(());
    }
    let state = state::CALLED_OFF.to_owned();
    tx.disconnection_put(&DisconnectionRow { state, modified: now, ..row })
}

impl Service {
    /// Whether visitors may start the directory again: nobody has stopped it, or one of them did.
    pub async fn directory_is_startable(&self, row_key: i64) -> Result<bool, ServiceError> {
        let stop: Result<Option<StopRow>, StoreError> =
            self.store.get("stop_get", move |tx| tx.stop_get(row_key)).await;
        Ok(stop?.is_some_and(|stop| ApiAccess::is_visit(&stop.made_by)))
    }

    /// Stops a directory for good, or says what that would do.
    ///
    /// # Errors
    /// 409 where others depend on the directory, and where a hand over meets users or groups of the other
    /// directory; 422 for a directory that cannot take users over.
    pub async fn directory_disconnect(
        &self,
        access: &ApiAccess,
        id: &str,
        wanted: DisconnectRequest,
    ) -> Result<DisconnectReport, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let DisconnectRequest { mode, to, dry_run } = wanted;
        let target = match mode {
            Disconnection::HandOver => Some(self.hand_over_target(access, &row, to).await?),
            _ if to.is_some() => {
                let message = "only a hand over goes to another directory.";
                return Err(AdminError::invalid("to", message).into());
            }
            _ => None,
        };
        let hand_over = match &target {
            Some(target) => Some(self.hand_over_outlook(&row, target).await?),
            None => None,
        };
        let key = row.key;
        let counted: Result<_, StoreError> = self
            .store
            .read("disconnect_counts", move |tx| {
                let counts: HashMap<i64, AppCounts> = tx.app_counts(&[key])?;
                let memberships = tx.brake_memberships(key, COUNTED)?;
                Ok((counts.get(&key).copied().unwrap_or_default(), memberships))
            })
            .await;
        let (counts, memberships) = counted?;
        match mode {
            _ if dry_run => {}
            Disconnection::Freeze => {
                let state = Some(State::Disabled.as_str().to_owned());
                let change = DirectoryChange { state, ..DirectoryChange::default() };
                self.directory_update(access, id, change).await?;
            }
            Disconnection::Deprovision | Disconnection::HandOver => {
                hand_over.as_ref().map_or(Ok(()), HandOverReport::refuse_conflicts)?;
                self.disconnection_begin(access, key, mode, target.map(|target| target.key))
                    .await?;
            }
        }
        Ok(DisconnectReport {
            object: "disconnection",
            directory_id: row.id,
            mode,
            dry_run,
            active_users: counts.active,
            inactive_users: counts.inactive,
            groups: counts.groups,
            memberships,
            hand_over,
        })
    }

    /// What a hand over would do, or a sentence that says why it cannot be done.
    pub async fn hand_over_look(
        &self,
        access: &ApiAccess,
        id: &str,
        to: &str,
    ) -> Result<(Option<HandOverReport>, Option<String>), ServiceError> {
        let wanted = DisconnectRequest::preview(Disconnection::HandOver);
        let wanted = DisconnectRequest { to: Some(to.to_owned()), ..wanted };
        match self.directory_disconnect(access, id, wanted).await {
            Ok(report) => Ok((report.hand_over, None)),
            Err(ServiceError::Admin(AdminError { status: 409 | 422, message, .. })) => {
                Ok((None, Some(message)))
            }
            Err(other) => Err(other),
        }
    }

    /// Disables the directory and leaves the rest to the job. One that was stopped or called off goes on.
    async fn disconnection_begin(
        &self,
        access: &ApiAccess,
        key: i64,
        mode: Disconnection,
        into_key: Option<i64>,
    ) -> Result<(), ServiceError> {
        let (now, made_by) = (self.clock.now_ms(), access.key_id.clone());
        let ids = self.clock.ids();
        let audit = self.audit(access, action::DIRECTORY_DISCONNECTED);
        self.store
            .write("disconnect", move |tx| {
                take(tx, key, into_key)?;
                let row = tx.directory_by_key(key)?.filter(|row| row.state != "deleting");
                let row = row.ok_or_else(missing)?;
                refuse_unready(tx, &row)?;
                note_stop(tx, &made_by, &row, Some(State::Disabled.as_str()), now)?;
                let before = tx.disconnection_get(key)?.filter(is_in_part);
                let disabled = State::Disabled.as_str();
                let (first, moved, groups, after) = match into_key {
                    None => {
                        let first = if before.is_some() { step::REST } else { step::USERS };
                        (first, 0, 0, json!({"state": disabled}))
                    }
                    Some(into_key) => {
                        if before.as_ref().is_some_and(|it| it.into_key != Some(into_key)) {
                            return Err(AdminError::new(409, "handed_over_in_part", IN_PART).into());
                        }
                        let target = hand_over::prepare(tx, &row, into_key, &mut ids.clone(), now)?;
                        let moved = before.map_or(0, |before| before.done);
                        let groups = tx.hand_over_groups_left(key)?;
                        (step::GROUPS, moved, groups, json!({"state": disabled, "to": target.id}))
                    }
                };
                tx.directory_update(key, &row.name, disabled, &row.settings, &row.config, now)?;
                audit.write(tx, Target::directory(&row), json!({"state": row.state}), after)?;
                let users = tx.count_total(key, "User")?;
                tx.disconnection_put(&DisconnectionRow {
                    directory_key: key,
                    mode: mode.as_str().to_owned(),
                    into_key,
                    state: state::RUNNING.to_owned(),
                    made_by: made_by.clone(),
                    step: first.to_owned(),
                    reached: 0,
                    total: moved + groups + users,
                    done: moved,
                    failed: 0,
                    faults: "[]".to_owned(),
                    problem: None,
                    created: now,
                    modified: now,
                })?;
                Ok::<_, ServiceError>(())
            })
            .await?;
        self.forget_access();
        self.disconnecting.notify_one();
        Ok(())
    }

    /// How a disconnection stands; 404 where there is none.
    pub async fn disconnection_get(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<DisconnectionView, ServiceError> {
        let key = self.directory_row(access, id).await?.key;
        let found: Result<_, StoreError> =
            self.store.read("disconnection", move |tx| view::of(tx, key)).await;
        found?.ok_or_else(none_under_way)
    }

    /// The same, where there may be none.
    pub async fn disconnection_find(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<Option<DisconnectionView>, ServiceError> {
        match self.disconnection_get(access, id).await {
            Err(ServiceError::Admin(AdminError { status: 404, .. })) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Calls a disconnection off: what is done stays so, the directory stays disabled.
    ///
    /// # Errors
    /// 404 where none is under way; 409 for a visitor of a setup link, when the operator has begun it.
    pub async fn disconnection_call_off(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<DisconnectionView, ServiceError> {
        let key = self.directory_row(access, id).await?.key;
        let (now, made_by) = (self.clock.now_ms(), access.key_id.clone());
        let audit = self.audit(access, action::DISCONNECTION_CALLED_OFF);
        self.store
            .write("disconnection_call_off", move |tx| {
                let locked = tx.directory_lock_exclusive(key)?;
                let row = tx.directory_by_key(key)?.filter(|_| locked.is_some());
                let row = row.ok_or_else(missing)?;
                let before = view::of(tx, key)?.filter(DisconnectionView::is_under_way);
                let before = json!(before.ok_or_else(none_under_way)?);
                note_stop(tx, &made_by, &row, Some(State::Disabled.as_str()), now)?;
                let after = view::of(tx, key)?.ok_or_else(none_under_way)?;
                audit.write(tx, Target::directory(&row), before, json!(after))?;
                Ok::<_, ServiceError>(after)
            })
            .await
    }
}

fn none_under_way() -> ServiceError {
    AdminError::not_found("A disconnection of this directory").into()
}

/// Keeps everybody else out of a directory, and of the one that takes its users over: in the order of their
/// keys, so that no two units wait for each other.
fn take(tx: &mut Tx<'_>, key: i64, into_key: Option<i64>) -> Result<(), StoreError> {
    let mut keys: Vec<i64> = into_key.into_iter().chain([key]).collect();
    keys.sort_unstable();
    for key in keys {
        tx.directory_lock_exclusive(key)?;
    }
    Ok(())
}
