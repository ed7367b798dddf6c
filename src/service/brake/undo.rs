//! Undo: what was taken away since the hold began is put back, and the app hears of the rest alone.
//!
//! Put back is what removals took: deleted users and groups with what they held, `active`, memberships,
//! managers. Everything else that has changed meanwhile stays. The writes that put it back make events
//! like all others, behind those that wait; then all of them are folded ([`super::fold`]): what came back
//! as it was comes to nothing, what else has changed is told as one difference.
//!
//! Each unit has the directory for itself and does a bounded part; which part is next follows from what is
//! left, so a process that stops leaves the rest to the next one. Writes of the identity provider are
//! refused with 503 meanwhile: what they change could neither be folded nor wait.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fold::{self, Folded, rank};
use super::release::{Step, is_current, recorder, tell_part};
use super::restore::Restorer;
use super::view::{Lost, nothing_waits};
use crate::scim::key::instant_text;
use crate::service::audit::{Target, action};
use crate::service::context::{Directory, State};
use crate::service::error::AdminError;
use crate::service::mapping::work::follow_roles;
use crate::service::record::Recorder;
use crate::service::seen::{app_view, called, object};
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::brake::{Brake, HeldRow};
use crate::store::brake_note::{Lost as Part, LostMember, NotedRow};
use crate::store::directory::Shared;
use crate::store::{StoreError, Tx};

/// Things put back in one unit, and subjects folded in one.
const ROWS: i64 = 100;

/// What could not be put back, and what would be, that an answer shows.
const SHOWN: i64 = 100;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoRequest {
    /// Only say what would be put back.
    #[serde(default)]
    pub dry_run: bool,
}

/// Something that cannot be put back.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Left {
    id: String,
    resource_type: String,
    /// `userName` or `displayName`, as far as it is noted.
    name: Option<String>,
    message: String,
}

impl From<NotedRow> for Left {
    fn from(row: NotedRow) -> Self {
        let name = called(&object(&row.doc)).map(str::to_owned);
        Self { id: row.id, resource_type: row.resource_type, name, message: row.what }
    }
}

/// What an undo has done, or would do.
#[derive(Clone, Debug, Serialize)]
pub struct UndoReport {
    object: &'static str,
    directory_id: String,
    dry_run: bool,
    events_held: i64,
    /// What was taken away.
    lost: Lost,
    /// What of it would come back, in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    restores: Option<Restores>,
    /// What of it cannot be put back, at most 100; the app is told that it went.
    not_restored: Vec<Left>,
}

impl UndoReport {
    fn of(
        directory_id: String,
        held: Held,
        restores: Option<Restores>,
        not_restored: Vec<Left>,
    ) -> Self {
        Self {
            object: "brake_undo",
            directory_id,
            dry_run: restores.is_some(),
            events_held: held.events,
            lost: held.lost,
            restores,
            not_restored,
        }
    }
}

/// Who would have what again: the first 100 resources and the first 100 memberships.
#[derive(Clone, Debug, Serialize)]
struct Restores {
    resources: Vec<Resource>,
    memberships: Vec<Membership>,
}

#[derive(Clone, Debug, Serialize)]
struct Resource {
    id: String,
    resource_type: String,
    /// `userName` or `displayName`.
    name: Option<String>,
    /// `deleted` or `inactive`.
    was: String,
}

impl From<NotedRow> for Resource {
    fn from(row: NotedRow) -> Self {
        let name = called(&object(&row.doc)).map(str::to_owned);
        Self { id: row.id, resource_type: row.resource_type, name, was: row.what }
    }
}

#[derive(Clone, Debug, Serialize)]
struct Membership {
    group_id: String,
    member_id: String,
}

/// What is held back of a directory, by the brake that holds it.
struct Held {
    events: i64,
    lost: Lost,
}

impl Held {
    fn read(tx: &mut Tx<'_>, key: i64) -> Result<Self, StoreError> {
        Ok(Self { events: tx.held_count(key)?.events, lost: tx.brake_lost(key)?.into() })
    }
}

/// The brake of a directory that holds something, and since when.
fn holding(tx: &mut Tx<'_>, key: i64) -> Result<(Brake, Option<i64>), ServiceError> {
    match tx.brake_get(key)?.ok_or_else(nothing_waits)? {
        (Brake::Releasing, _) => {
            let message = "The events that waited are being told already.";
            Err(AdminError::new(409, "release_under_way", message).into())
        }
        found => Ok(found),
    }
}

impl Service {
    pub async fn brake_undo(
        &self,
        access: &ApiAccess,
        id: &str,
        wanted: UndoRequest,
    ) -> Result<UndoReport, ServiceError> {
        match wanted.dry_run {
            true => self.brake_undo_preview(access, id).await,
            false => self.brake_undo_begin(access, id).await,
        }
    }

    /// What an undo would put back. It is only read: no writer waits for who looks.
    async fn brake_undo_preview(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<UndoReport, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let key = row.key;
        let found: Result<_, ServiceError> = self
            .store
            .read("brake_undo_preview", move |tx| {
                holding(tx, key)?;
                let names = tx.brake_taken_names(key, SHOWN)?;
                Ok((Held::read(tx, key)?, names, restores(tx, key)?))
            })
            .await;
        let (held, names, restores) = found?;
        let not_restored = names.into_iter().map(name_taken).collect();
        Ok(UndoReport::of(row.id, held, Some(restores), not_restored))
    }

    async fn brake_undo_begin(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<UndoReport, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let (key, directory_id) = (row.key, row.id.clone());
        let audit = self.audit(access, action::BRAKE_UNDONE);
        let begun: Result<_, ServiceError> = self
            .store
            .write("brake_undo", move |tx| {
                tx.directory_lock_exclusive(key)?;
                let shared = tx.directory_share(key)?.ok_or_else(nothing_waits)?;
                if let (Brake::Holding, since) = holding(tx, key)? {
                    if shared.has_intents || shared.converting {
                        let message = "A change of many members or of the schemas is under way in \
                                       this directory; try again when it is done.";
                        return Err(AdminError::new(409, "change_under_way", message).into());
                    }
                    tx.brake_set(key, Some(Brake::Undoing), since)?;
                    let before = json!({"state": "holding", "since": since.map(instant_text)});
                    let after = json!({"state": "undoing"});
                    audit.write(tx, Target::directory(&row), before, after)?;
                }
                Ok(Held::read(tx, key)?)
            })
            .await;
        let held = begun?;
        tracing::info!(directory = directory_id, "what a directory took away is put back");
        let not_restored = self.undo_all(key).await?;
        Ok(UndoReport::of(directory_id, held, None, not_restored))
    }

    /// Does the rest of an undo; answers what could not be put back.
    pub(super) async fn undo_all(&self, key: i64) -> Result<Vec<Left>, ServiceError> {
        let mut left = Vec::new();
        while let Some(directory) = self.directory_now(key).await? {
            // Read before the last unit, which forgets them.
            let failed: Result<Vec<NotedRow>, StoreError> =
                self.store.get("brake_failed", move |tx| tx.brake_failed(key, SHOWN)).await;
            let failed = failed?;
            if !failed.is_empty() {
                left = failed.into_iter().map(Left::from).collect();
            }
            match self.undo_step(directory).await? {
                Step::More => {}
                Step::Done => break,
                Step::Again => return Err(ServiceError::SchemasChange),
            }
        }
        Ok(left)
    }

    async fn undo_step(&self, directory: Arc<Directory>) -> Result<Step, ServiceError> {
        let (now, ids) = (self.clock.now_ms(), self.clock.ids());
        let members_at_once = self.members_at_once;
        self.store
            .write("brake_undo_part", move |tx| {
                let key = directory.key;
                let state = tx.directory_lock_exclusive(key)?;
                let Some(shared) = tx.directory_share(key)? else { return Ok(Step::Done) };
                let is_ending = state.as_deref() == Some(State::Deleting.as_str());
                let undoing = matches!(tx.brake_get(key)?, Some((Brake::Undoing, _)));
                if is_ending || !undoing {
                    return Ok(Step::Done);
                }
                if !is_current(&directory, &shared) {
                    return Ok(Step::Again);
                }
                let mut recorder = recorder(tx, &directory, &shared, &ids, now)?;
                let restorer = Restorer { directory: &directory, now, members_at_once };
                part(tx, &restorer, &shared, &mut recorder)
            })
            .await
    }
}

fn restores(tx: &mut Tx<'_>, key: i64) -> Result<Restores, StoreError> {
    let resources = tx.brake_listed(key, SHOWN)?;
    let memberships = tx.brake_members(key, SHOWN)?.into_iter();
    Ok(Restores {
        resources: resources.into_iter().map(Resource::from).collect(),
        memberships: memberships
            .map(|LostMember { group_id, member_id, .. }| Membership { group_id, member_id })
            .collect(),
    })
}

/// The next bounded part of what is left.
fn part(
    tx: &mut Tx<'_>,
    restorer: &Restorer<'_>,
    shared: &Shared,
    recorder: &mut Recorder<'_>,
) -> Result<Step, ServiceError> {
    let key = restorer.directory.key;
    // Who is back is in groups again afterwards, and somebody's manager.
    for lost in [Part::Deleted, Part::Inactive] {
        if restorer.resources(tx, recorder, lost, ROWS)? {
            return Ok(Step::More);
        }
    }
    if restorer.members(tx, recorder, ROWS)?
        || restorer.resources(tx, recorder, Part::Manager, ROWS)?
    {
        return Ok(Step::More);
    }
    // Who is back in groups of groups has the roles again before anything is told.
    if follow_roles(tx, recorder)? {
        return Ok(Step::More);
    }
    let subjects = tx.held_subjects(key, ROWS)?;
    for (resource, member) in &subjects {
        fold_subject(tx, restorer.directory, (resource, member))?;
    }
    if !subjects.is_empty() {
        return Ok(Step::More);
    }
    Ok(tell_part(tx, shared, recorder, None)?)
}

fn fold_subject(
    tx: &mut Tx<'_>,
    directory: &Directory,
    subject: (&str, &str),
) -> Result<(), StoreError> {
    let key = directory.key;
    let rows = tx.held_of(key, subject)?;
    let keep: Option<(HeldRow, i32)> = match fold::fold(&rows) {
        Folded::Nothing => None,
        Folded::All => {
            for row in &rows {
                tx.held_replace(key, row, rank::OTHER)?;
            }
            return Ok(());
        }
        Folded::One(row, rank @ (rank::MEMBER_CAME | rank::MEMBER_LEFT)) => {
            membership(tx, directory, *row, rank)?.map(|row| (row, rank))
        }
        Folded::One(row, rank) => Some((*row, rank)),
    };
    let stays = keep.as_ref().map(|(row, _)| row.key);
    let gone: Vec<i64> = rows.iter().map(|row| row.key).filter(|key| Some(*key) != stays).collect();
    tx.held_delete(key, &gone)?;
    match keep {
        Some((row, rank)) => tx.held_replace(key, &row, rank),
        None => Ok(()),
    }
}

/// The event of a membership with its user and its group as the app knows them when it reads it. With a
/// group or a user that is gone, or a group that is hidden, a new membership has ended.
fn membership(
    tx: &mut Tx<'_>,
    directory: &Directory,
    row: HeldRow,
    rank: i32,
) -> Result<Option<HeldRow>, StoreError> {
    let key = directory.key;
    let group = tx.resource_get(key, "Group", &row.resource_id)?;
    let group = group.filter(|group| group.app_state.is_visible());
    let user = tx.resource_get(key, "User", &row.member_id)?;
    if rank == rank::MEMBER_CAME {
        let is_member = match (&group, &user) {
            (Some(group), Some(user)) => !tx.members_among(key, group.key, &[user.key])?.is_empty(),
            _ => false,
        };
        if !is_member {
            return Ok(None);
        }
    }
    let mut data: Value = serde_json::from_str(&row.data).unwrap_or_default();
    for (name, id, stored) in [("group", &row.resource_id, &group), ("user", &row.member_id, &user)]
    {
        let before = match rank {
            // Memberships end before anything else is told.
            rank::MEMBER_LEFT => tx.held_before(key, id)?,
            _ => None,
        };
        let known = before.and_then(|text| serde_json::from_str(&text).ok());
        let shown = stored.as_ref().and_then(|row| app_view(directory, row));
        if let (Some(view), Some(members)) = (known.or(shown), data.as_object_mut()) {
            members.insert(name.to_owned(), view);
        }
    }
    Ok(Some(HeldRow { data: data.to_string(), ..row }))
}

fn name_taken(row: NotedRow) -> Left {
    let what = format!("The user {} has its userName by now.", row.what);
    Left::from(NotedRow { what, ..row })
}
