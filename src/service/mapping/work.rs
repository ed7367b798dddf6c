//! What maps have to do besides the requests: bring users to changed maps, and to memberships whose
//! change was about more users than one unit tells of.
//!
//! Users are looked at outside the unit, where expressions may take their time; the unit writes for at
//! most 100 of them. A user whom a request has changed meanwhile was changed by the new map. What is done
//! is stored with it, so that a process that stops leaves the rest to the next one, and several processes
//! may work on one directory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::follow::{self, GroupIds, TOLD, ids_of};
use super::mapped_row;
use crate::clock::Ids;
use crate::service::authenticate::served_catalogue;
use crate::service::context::{Directory, State};
use crate::service::exchange::Listed;
use crate::service::identity::Scope;
use crate::service::policy::InForce;
use crate::service::policy_work::rests;
use crate::service::record::{Recorder, object};
use crate::service::{Service, ServiceError};
use crate::store::brake::Brake;
use crate::store::directory::DirectoryRow;
use crate::store::mapping::{MappedUser, RoleWork};
use crate::store::resource::{Mapped, ResourceRow};
use crate::store::{StoreError, Tx};

/// Users whom one step looks at.
const LOOKED_AT: i64 = 200;

/// Users whose memberships one unit looks at.
const FOLLOWED: i64 = 100;

/// What maps have done in this process besides the requests; clones share the same values.
#[derive(Clone, Debug, Default)]
pub struct MappingMetrics {
    /// Users brought to changed maps.
    pub mapped: Counter,
    /// Users whose roles followed a change of many memberships.
    pub followed: Counter,
    /// Users with an attribute that is required and missing, or whose expression has failed.
    pub faulty: Gauge,
}

impl MappingMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "mapping_users_changed",
            "Users whom changed maps have changed",
            self.mapped.clone(),
        );
        registry.register(
            "mapping_users_followed",
            "Users whose roles have followed a change of many memberships",
            self.followed.clone(),
        );
        registry.register(
            "attribute_faults",
            "Users with an attribute that is required and missing, or whose expression has failed",
            self.faulty.clone(),
        );
    }
}

/// What a unit has done.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    mapped: usize,
    followed: usize,
    /// There is more to do now.
    more: bool,
}

/// What the maps make of a user as it was read.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    key: i64,
    version: i64,
    mapped: Mapped,
    differs: bool,
}

impl Service {
    /// Does everything that maps have to do by now, in every directory.
    pub async fn apply_mappings(&self) -> Result<(), ServiceError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let keys: Result<Vec<i64>, StoreError> =
            self.store.get("mapping_directories", |tx| tx.mapping_directories()).await;
        for key in keys? {
            // One directory that fails does not hold up the others.
            if let Err(error) = self.apply_mappings_in(key).await {
                tracing::warn!(%error, "the maps of a directory are not applied yet");
            }
        }
        Ok(())
    }

    async fn apply_mappings_in(&self, key: i64) -> Result<(), ServiceError> {
        while self.apply_mappings_step(key).await? {}
        Ok(())
    }

    /// One step of [`Service::apply_mappings`] in a directory; false when nothing is left to do.
    pub async fn apply_mappings_step(&self, key: i64) -> Result<bool, ServiceError> {
        let found: Result<_, StoreError> = self
            .store
            .read("mapping_work", move |tx| {
                let Some(row) = tx.directory_by_key(key)? else { return Ok(None) };
                Ok(Some((row, tx.schema_get(key)?, served_catalogue(tx, key)?)))
            })
            .await;
        let Some((row, own, served)) = found? else { return Ok(false) };
        if rests(State::parse(&row.state)) {
            return Ok(false);
        }
        let registry = self.registry_of(own.as_ref()).with_catalogue(|name| served.contains(&name));
        let work = Work {
            directory: Arc::new(Directory::from_row(&row, registry)),
            ids: self.clock.ids(),
            now: self.clock.now_ms(),
        };
        let mut done = self.follow_step(&work).await?;
        if let (false, Some(after)) = (done.more, row.mapping_cursor) {
            done = self.map_step(&work, after).await?;
        }
        self.mapping_metrics.mapped.inc_by(as_count(done.mapped));
        self.mapping_metrics.followed.inc_by(as_count(done.followed));
        Ok(done.more)
    }

    /// Brings the next users to the maps.
    async fn map_step(&self, work: &Work, after: i64) -> Result<Done, ServiceError> {
        let candidates = self.candidates(&work.directory, after, LOOKED_AT).await?;
        let work = work.clone();
        self.store.write("mapping", move |tx| work.map(tx, after, &candidates)).await
    }

    /// What the maps make of the next users, as they are stored now.
    pub(super) async fn candidates(
        &self,
        directory: &Arc<Directory>,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Candidate>, ServiceError> {
        let (key, groups) = (directory.key, directory.follows_memberships());
        let read: Result<_, StoreError> = self
            .store
            .read("mapping_look", move |tx| {
                let users = tx.mapping_chunk(key, after, limit)?;
                let keys: Vec<i64> = users.iter().map(|user| user.row.key).collect();
                let groups = match groups {
                    true => follow::group_ids(tx, key, &keys)?,
                    false => GroupIds::new(),
                };
                Ok((users, groups))
            })
            .await;
        let (users, groups) = read?;
        let directory = Arc::clone(directory);
        computed(move || {
            users.into_iter().map(|user| Candidate::of(&directory, user, &groups)).collect()
        })
        .await
    }

    /// Does the next part of what changes of memberships have left.
    async fn follow_step(&self, work: &Work) -> Result<Done, ServiceError> {
        let directory = Arc::clone(&work.directory);
        let left: Result<Option<Left>, StoreError> =
            self.store.read("role_work", move |tx| left(tx, &directory)).await;
        let Some(left) = left? else { return Ok(Done::default()) };
        let work = work.clone();
        self.store.write("role_work", move |tx| work.follow(tx, &left)).await
    }

    /// Counts the users with faults.
    pub async fn measure_mappings(&self) -> Result<(), ServiceError> {
        let count: Result<i64, StoreError> =
            self.store.scan("faulty_count", |tx| tx.faulty_count(None)).await;
        self.mapping_metrics.faulty.set(count?);
        Ok(())
    }
}

/// Runs what may take its time where it holds up nobody.
pub(super) async fn computed<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ServiceError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StoreError::Unavailable("an evaluation has stopped".to_owned()).into())
}

/// The kind of work that is next.
#[derive(Clone, Copy, Debug)]
enum Left {
    /// Everybody below a group.
    Below {
        group: i64,
    },
    Users,
    Members,
    /// The role map has no groups any more.
    Nothing,
}

impl Candidate {
    fn of(directory: &Directory, user: MappedUser, groups: &GroupIds) -> Self {
        let MappedUser { row, faults } = user;
        let groups = ids_of(groups, row.key);
        let mapped = mapped_row(&directory.mapping, &directory.registry, &row, &groups);
        let is_now = Mapped { custom_attributes: row.custom_attributes, faults, roles: row.roles };
        Self { key: row.key, version: row.version, differs: mapped != is_now, mapped }
    }
}

/// A unit of the work in one directory.
#[derive(Clone)]
struct Work {
    directory: Arc<Directory>,
    ids: Ids,
    now: i64,
}

impl Work {
    /// Whether the directory still has the rules by which this was worked out.
    fn stands(&self, tx: &mut Tx<'_>) -> Result<Option<InForce>, StoreError> {
        let Some(shared) = tx.directory_share(self.directory.key)? else { return Ok(None) };
        let is_current =
            !shared.converting && shared.schema_version == self.directory.schema_version;
        let is_undone = shared.brake.as_deref() == Some(Brake::Undoing.as_str());
        let is_told = !rests(State::parse(&shared.state)) && !is_undone;
        let in_force = InForce::new(&shared.settings, shared.policy_cursor);
        Ok((is_current && is_told).then_some(in_force))
    }

    fn recorder(&self, tx: &mut Tx<'_>, in_force: InForce) -> Result<Recorder<'_>, StoreError> {
        // What a map makes of a user may be a part of the profile of its identity.
        let identities = Scope::enter(tx, &self.directory)?;
        Ok(recorder(&self.directory, in_force, identities, self.ids.clone(), self.now))
    }

    /// Writes for those whom the maps change, and notes how far all are.
    fn map(
        &self,
        tx: &mut Tx<'_>,
        after: i64,
        candidates: &[Candidate],
    ) -> Result<Done, ServiceError> {
        let key = self.directory.key;
        let Some(in_force) = self.stands(tx)? else { return Ok(Done::default()) };
        let row = tx.directory_by_key(key)?;
        if row.is_none_or(|row| row.mapping_cursor != Some(after)) {
            // Another process was faster.
            return Ok(Done { more: true, ..Done::default() });
        }
        let mut recorder = self.recorder(tx, in_force)?;
        let mut wanted: Vec<&Candidate> = candidates.iter().filter(|one| one.differs).collect();
        let cut_off = wanted.get(TOLD).map(|one| one.key);
        wanted.truncate(TOLD);
        let mapped = apply(tx, &mut recorder, &wanted)?;
        let done = candidates.iter().take_while(|one| cut_off.is_none_or(|cut| one.key < cut));
        let cursor = done.last().map(|one| one.key);
        tx.mapping_cursor_set(key, cursor)?;
        Ok(Done { mapped, more: cursor.is_some(), ..Done::default() })
    }

    /// Does the next part of what changes of memberships have left.
    fn follow(&self, tx: &mut Tx<'_>, left: &Left) -> Result<Done, ServiceError> {
        let key = self.directory.key;
        if let Left::Below { .. } = left {
            // Waits for units that do not see the change yet, and keeps new ones out.
            tx.directory_lock_exclusive(key)?;
        }
        let Some(in_force) = self.stands(tx)? else { return Ok(Done::default()) };
        let mut recorder = self.recorder(tx, in_force)?;
        let followed = follow_left(tx, &mut recorder, left)?;
        Ok(Done { followed, more: true, ..Done::default() })
    }
}

/// What changes of memberships have left to do next.
fn left(tx: &mut Tx<'_>, directory: &Directory) -> Result<Option<Left>, StoreError> {
    for kind in [RoleWork::Below, RoleWork::User, RoleWork::Members] {
        let Some(first) = tx.role_work_next(directory.key, kind, 1)?.pop() else { continue };
        return Ok(Some(match kind {
            _ if !directory.follows_memberships() => Left::Nothing,
            RoleWork::Below => Left::Below { group: first.target_key },
            RoleWork::User => Left::Users,
            RoleWork::Members => Left::Members,
        }));
    }
    Ok(None)
}

/// Does the next part; answers how many users were changed.
fn follow_left(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    left: &Left,
) -> Result<usize, StoreError> {
    let key = recorder.directory.key;
    match left {
        Left::Nothing => tx.role_work_forget(key)?,
        Left::Below { group } => {
            let groups = tx.groups_below(key, *group)?;
            tx.role_work_add(key, RoleWork::Members, &groups)?;
            tx.role_work_done(key, RoleWork::Below, &[*group])?;
        }
        Left::Users => {
            let users = tx.role_work_next(key, RoleWork::User, FOLLOWED)?;
            let users: Vec<i64> = users.iter().map(|user| user.target_key).collect();
            let followed = follow::settle(tx, recorder, &users)?;
            tx.role_work_done(key, RoleWork::User, &users)?;
            return Ok(followed);
        }
        Left::Members => return follow_members(tx, recorder),
    }
    Ok(0)
}

/// Brings the next users to what changes of their memberships have left, in a unit that has the directory
/// for itself; false when nothing is left.
pub(in crate::service) fn follow_roles(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
) -> Result<bool, StoreError> {
    let Some(left) = left(tx, recorder.directory)? else { return Ok(false) };
    follow_left(tx, recorder, &left)?;
    Ok(true)
}

/// Brings the next members of a group to their roles; answers how many were changed.
fn follow_members(tx: &mut Tx<'_>, recorder: &mut Recorder<'_>) -> Result<usize, StoreError> {
    let key = recorder.directory.key;
    let Some(group) = tx.role_work_next(key, RoleWork::Members, 1)?.pop() else { return Ok(0) };
    let members = tx.member_keys(key, group.target_key, group.after_key, FOLLOWED)?;
    let followed = follow::settle(tx, recorder, &members)?;
    match members.last() {
        Some(last) => tx.role_work_move(key, group.target_key, *last)?,
        None => tx.role_work_done(key, RoleWork::Members, &[group.target_key])?,
    }
    Ok(followed)
}

pub(super) fn recorder(
    directory: &Directory,
    in_force: InForce,
    identities: Option<Scope>,
    ids: Ids,
    now: i64,
) -> Recorder<'_> {
    Recorder {
        directory,
        in_force,
        identities,
        ids,
        now,
        event_ids: Listed::default(),
        has_intents: false,
    }
}

/// Brings users to the maps, by what was worked out for them; answers how many were changed. Whoever has
/// another version by now was changed by a request that goes by the maps in force.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    candidates: &[&Candidate],
) -> Result<usize, StoreError> {
    if candidates.is_empty() {
        return Ok(0);
    }
    let directory = recorder.directory;
    let by_key: HashMap<i64, &Candidate> = candidates.iter().map(|one| (one.key, *one)).collect();
    let keys: Vec<i64> = candidates.iter().map(|one| one.key).collect();
    let users = tx.mapping_lock(directory.key, &keys)?;
    let groups = match directory.follows_memberships() {
        true => follow::group_ids(tx, directory.key, &keys)?,
        false => GroupIds::new(),
    };
    let mut changed = 0;
    for user in users {
        let Some(candidate) = by_key.get(&user.row.key) else { continue };
        let mut mapped = match user.row.version == candidate.version {
            true => candidate.mapped.clone(),
            false => Mapped {
                custom_attributes: user.row.custom_attributes.clone(),
                faults: user.faults.clone(),
                roles: None,
            },
        };
        mapped.roles = roles_of(directory, &user.row, &ids_of(&groups, user.row.key));
        changed += usize::from(follow::write(tx, recorder, user, mapped)?);
    }
    Ok(changed)
}

fn roles_of(directory: &Directory, row: &ResourceRow, groups: &HashSet<&str>) -> Option<String> {
    directory.mapping.roles.as_ref()?.text_of(&object(&row.doc), groups)
}

/// Whether these are all users of a directory, each as it was looked at.
pub(super) fn covers(
    tx: &mut Tx<'_>,
    row: &DirectoryRow,
    candidates: &[Candidate],
) -> Result<bool, StoreError> {
    let limit = i64::try_from(candidates.len()).unwrap_or(i64::MAX).saturating_add(1);
    let users = tx.mapping_chunk(row.key, 0, limit)?;
    let found = users.iter().map(|user| (user.row.key, user.row.version));
    Ok(found.eq(candidates.iter().map(|one| (one.key, one.version))))
}

fn as_count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
