//! The end of a connection: a directory is stopped, or access is taken away from everybody in it and it is
//! deleted.
//!
//! A directory that somebody disconnects with *deprovision* is disabled at once, so that nothing more arrives.
//! Then its users are deactivated, a bounded part in each unit and each with events of its own, and last it is
//! deleted. What a stopped process leaves is done by the next one. Whoever sets the state of the directory
//! meanwhile ends the disconnection: those who have lost access stay as they are.
//!
//! What the operator has stopped no visitor of a setup link starts again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::administer::{DirectoryChange, missing};
use super::audit::{Target, action};
use super::authenticate::ApiAccess;
use super::brake::BrakeMode;
use super::context::{Directory, State};
use super::error::AdminError;
use super::exchange::{Listed, Trace};
use super::identity::Scope;
use super::policy::InForce;
use super::record::{Recorder, object};
use super::unit::{Edit, Prepared, Site};
use super::{Service, ServiceError};
use crate::event::Reason;
use crate::scim::resource::convert;
use crate::store::app_read::AppCounts;
use crate::store::directory::DirectoryRow;
use crate::store::resource::ResourceRow;
use crate::store::stop::StopRow;
use crate::store::{StoreError, Tx};

/// Users who are looked at in one unit.
const ROWS: i64 = 100;

/// Memberships that are counted for a preview.
const COUNTED: i64 = 100_000;

/// How often it is looked for what other processes have left.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How a directory is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disconnection {
    /// What arrives is refused; the app goes on seeing everybody as they were.
    Freeze,
    /// Everybody loses access, then the directory is deleted.
    Deprovision,
}

impl Disconnection {
    fn as_str(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Deprovision => "deprovision",
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisconnectRequest {
    pub mode: Disconnection,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a disconnection is about.
#[derive(Clone, Debug, Serialize)]
pub struct DisconnectReport {
    object: &'static str,
    pub directory_id: String,
    pub mode: Disconnection,
    pub dry_run: bool,
    /// Users who lose access, or keep it when the directory is frozen.
    pub active_users: i64,
    pub inactive_users: i64,
    pub groups: i64,
    /// Memberships, counted up to 100,000.
    pub memberships: i64,
}

const PRIMARY: &str = "The directory is the primary one of its organization. PUT primary_directory \
                       with dry_run shows what follows from another one or none; choose that first.";

const HOLDS: &str = "Events of this directory wait because of its brake, and nobody would be told of the people \
                     whose removal is among them; release them or undo what happened first.";

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

/// Notes who has stopped a directory, in the unit that sets its state.
///
/// # Errors
/// 409 for a visitor of a setup link who would change what the operator has decided.
pub(super) fn note_stop(
    tx: &mut Tx<'_>,
    made_by: &str,
    row: &DirectoryRow,
    wanted: Option<&str>,
    now: i64,
) -> Result<(), ServiceError> {
    let Some(wanted) = wanted else { return Ok(()) };
    if !ApiAccess::is_visit(made_by) {
        return Ok(tx.stop_clear(row.key)?);
    }
    let is_stopped = matches!(State::parse(&row.state), Some(State::Paused | State::Disabled));
    let stop = tx.stop_get(row.key)?.filter(|stop| ApiAccess::is_visit(&stop.made_by));
    if is_stopped && stop.is_none() {
        let message =
            "Whoever runs the application has stopped this directory; ask them to start it again.";
        return Err(AdminError::new(409, "stopped_by_operator", message).into());
    }
    match wanted {
        "linked" => Ok(tx.stop_clear(row.key)?),
        other => Ok(tx.stop_set(row.key, other, made_by, now)?),
    }
}

impl Service {
    /// Whether visitors may start the directory again: nobody has stopped it, or one of them did.
    pub async fn directory_is_startable(&self, row_key: i64) -> Result<bool, ServiceError> {
        let stop: Result<Option<StopRow>, StoreError> =
            self.store.get("stop_get", move |tx| tx.stop_get(row_key)).await;
        Ok(stop?.is_some_and(|stop| ApiAccess::is_visit(&stop.made_by)))
    }

    /// Stops a directory for good, or says what that would do.
    pub async fn directory_disconnect(
        &self,
        access: &ApiAccess,
        id: &str,
        wanted: DisconnectRequest,
    ) -> Result<DisconnectReport, ServiceError> {
        let row = self.directory_row(access, id).await?;
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
        match wanted {
            DisconnectRequest { dry_run: true, .. } => {}
            DisconnectRequest { mode: Disconnection::Freeze, .. } => {
                let state = Some(State::Disabled.as_str().to_owned());
                let change = DirectoryChange { state, ..DirectoryChange::default() };
                self.directory_update(access, id, change).await?;
            }
            DisconnectRequest { mode: Disconnection::Deprovision, .. } => {
                self.deprovision(access, key).await?;
            }
        }
        Ok(DisconnectReport {
            object: "disconnection",
            directory_id: row.id,
            mode: wanted.mode,
            dry_run: wanted.dry_run,
            active_users: counts.active,
            inactive_users: counts.inactive,
            groups: counts.groups,
            memberships,
        })
    }

    async fn deprovision(&self, access: &ApiAccess, key: i64) -> Result<(), ServiceError> {
        let (now, made_by) = (self.clock.now_ms(), access.key_id.clone());
        let audit = self.audit(access, action::DIRECTORY_DISCONNECTED);
        self.store
            .write("disconnect", move |tx| {
                let state = tx.directory_lock_exclusive(key)?;
                let row = tx.directory_by_key(key)?.filter(|row| row.state != "deleting");
                let row = row.filter(|_| state.is_some()).ok_or_else(missing)?;
                refuse_unready(tx, &row)?;
                note_stop(tx, &made_by, &row, Some("disabled"), now)?;
                let disabled = State::Disabled.as_str();
                tx.directory_update(key, &row.name, disabled, &row.settings, &row.config, now)?;
                let before = json!({"state": row.state});
                audit.write(tx, Target::directory(&row), before, json!({"state": disabled}))?;
                let choice = Disconnection::Deprovision.as_str();
                Ok::<_, ServiceError>(tx.stop_set(key, choice, &made_by, now)?)
            })
            .await?;
        self.forget_access();
        self.disconnecting.notify_one();
        Ok(())
    }

    /// Goes on with every disconnection.
    pub async fn finish_disconnects(&self) -> Result<(), ServiceError> {
        let choice = Disconnection::Deprovision.as_str();
        let found: Result<Vec<StopRow>, StoreError> =
            self.store.get("stop_list", move |tx| tx.stop_list(choice)).await;
        for stop in found? {
            // One directory that fails does not hold up the others.
            if let Err(error) = self.disconnect_one(&stop).await {
                tracing::warn!(%error, "a directory is not disconnected yet");
            }
        }
        Ok(())
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

    async fn disconnect_one(&self, stop: &StopRow) -> Result<(), ServiceError> {
        while let Some(directory) = self.directory_now(stop.directory_key).await? {
            if directory.state != State::Disabled {
                return Ok(());
            }
            match self.disconnect_step(Arc::clone(&directory)).await? {
                Step::More => {}
                Step::Ended => return Ok(()),
                Step::Empty => {
                    let access =
                        ApiAccess::of_organization(&stop.made_by, &directory.organization_id);
                    self.directory_delete(&access, &directory.id).await?;
                    tracing::info!(directory = directory.id, "a directory was disconnected");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn disconnect_step(&self, directory: Arc<Directory>) -> Result<Step, ServiceError> {
        let (now, ids) = (self.clock.now_ms(), self.clock.ids());
        let members_at_once = self.members_at_once;
        self.store
            .write("disconnect_part", move |tx| {
                let key = directory.key;
                let state = tx.directory_lock_exclusive(key)?;
                let stop = tx.stop_get(key)?;
                let stop = stop.filter(|s| s.choice == Disconnection::Deprovision.as_str());
                let stop = stop.filter(|_| state.as_deref() == Some(State::Disabled.as_str()));
                let (Some(stop), Some(shared)) = (stop, tx.directory_share(key)?) else {
                    return Ok(Step::Ended);
                };
                if shared.converting || shared.schema_version != directory.schema_version {
                    return Err(ServiceError::SchemasChange);
                }
                let users = tx.app_user_chunk(key, stop.reached, ROWS)?;
                let Some(last) = users.last().map(|user| user.key) else {
                    return Ok(Step::Empty);
                };
                let mut in_force = InForce::new(&shared.settings, shared.policy_cursor);
                // It was decided that everybody goes.
                in_force.policies.brake.mode = BrakeMode::Off;
                let mut recorder = Recorder {
                    directory: &directory,
                    in_force,
                    identities: Scope::enter(tx, &directory)?,
                    ids: ids.clone(),
                    now,
                    event_ids: Listed::default(),
                    has_intents: shared.has_intents,
                    removal: Some(Reason::DirectoryDeleted),
                };
                let active: Vec<i64> =
                    users.iter().filter(|user| user.active).map(|user| user.key).collect();
                for row in tx.resource_rows(key, &active)? {
                    deactivate(tx, &directory, &row, members_at_once, &mut recorder)?;
                }
                tx.stop_reached(key, last)?;
                Ok(Step::More)
            })
            .await
    }
}

/// What a unit of a disconnection has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    More,
    /// Nobody is left.
    Empty,
    /// Somebody has decided otherwise.
    Ended,
}

/// As a PATCH of `active` would.
fn deactivate(
    tx: &mut Tx<'_>,
    directory: &Arc<Directory>,
    row: &ResourceRow,
    members_at_once: usize,
    recorder: &mut Recorder<'_>,
) -> Result<(), ServiceError> {
    let Some(resource_type) = directory.registry.by_name(&row.resource_type) else {
        return Ok(());
    };
    let site = Site {
        directory: Arc::clone(directory),
        resource_type: Arc::clone(resource_type),
        id: row.id.clone(),
        now: recorder.now,
        ids: recorder.ids.clone(),
        trace: Trace::off(),
        members_at_once,
        removal: recorder.removal,
    };
    let mut document = object(&row.doc);
    document.insert("active".to_owned(), false.into());
    let extra = row.extra.as_deref().map(object).unwrap_or_default();
    let (document, extra) = convert(&document, &extra, resource_type);
    let edit = Edit { document, extra, members: Vec::new() };
    let prepared = match Prepared::whole(row, edit, &site) {
        // One user who cannot be stored any more keeps nobody else's access; the deletion ends theirs.
        Err(ServiceError::Scim(error)) => {
            tracing::warn!(user = row.id, detail = error.detail, "a user ends with the directory");
            return Ok(());
        }
        prepared => prepared?,
    };
    let groups = tx.membership_groups(directory.key, row.key)?;
    site.update(tx, row, &prepared, Some(&groups), recorder)?;
    Ok(())
}
