//! What maps have to do besides the requests: bring users to changed maps, and to memberships whose
//! change was about more users than one unit tells of.
//!
//! Users are looked at outside the unit, where expressions may take their time; the unit writes for at
//! most 100 of them. A user whom a request has changed meanwhile was changed by the new map. What is done
//! is stored with it, so that a process that stops leaves the rest to the next one, and several processes
//! may work on one directory.
//!
//! Directories take turns. Whose roles have to follow goes before changed maps, which wait for nobody.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::follow::{self, CHUNK, GroupIds, TOLD, ids_of};
use super::mapped_row;
use crate::clock::Ids;
use crate::service::authenticate::served_catalogue;
use crate::service::context::{Directory, State};
use crate::service::exchange::Listed;
use crate::service::identity::Scope;
use crate::service::policy::InForce;
use crate::service::policy_work::rests;
use crate::service::record::Recorder;
use crate::service::seen::object;
use crate::service::{Service, ServiceError};
use crate::store::brake::Brake;
use crate::store::directory::DirectoryRow;
use crate::store::mapping::{MappedUser, RoleWork};
use crate::store::resource::{Mapped, ResourceRow};
use crate::store::{StoreError, Tx};

/// Users whom one step looks at.
const LOOKED_AT: i64 = 200;

/// Users whose memberships one unit looks at, and of how many groups.
const FOLLOWED: usize = 100;
const FOLLOWED_ROWS: i64 = 100;

/// After how many rounds a directory with other work waits again for all its units: they stand still
/// meanwhile.
const ROUNDS_BETWEEN: usize = 4;

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

/// What the maps make of a user as it was read.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    key: i64,
    version: i64,
    mapped: Mapped,
    differs: bool,
}

/// A look at all directories, which goes on until nothing is left to do.
#[derive(Debug, Default)]
struct Pass {
    round: usize,
    /// Directories whose memberships and whose maps are left to the next pass.
    unfollowed: HashSet<i64>,
    unmapped: HashSet<i64>,
    /// Whose users were brought to changed maps last.
    mapped: i64,
}

impl Service {
    /// Does everything that maps have to do by now, in every directory. One that fails does not hold up
    /// the others.
    pub async fn apply_mappings(&self) -> Result<(), ServiceError> {
        let mut pass = Pass::default();
        loop {
            let found: Result<_, StoreError> = self
                .store
                .get("mapping_directories", |tx| {
                    Ok((tx.role_work_directories()?, tx.mapping_directories()?))
                })
                .await;
            let (mut followed, mut mapped) = found?;
            followed.retain(|key| !pass.unfollowed.contains(key));
            mapped.retain(|key| !pass.unmapped.contains(key));
            let mut did = false;
            for key in followed {
                match self.follow_in(key, pass.round).await {
                    Ok(done) => did |= done,
                    Err(error) => {
                        tracing::warn!(%error, "roles do not follow memberships yet");
                        pass.unfollowed.insert(key);
                    }
                }
            }
            let next = mapped.iter().find(|key| **key > pass.mapped).or(mapped.first()).copied();
            if let Some(key) = next {
                pass.mapped = key;
                let done = self.map_in(key).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "the maps of a directory are not applied yet");
                    false
                });
                if !done {
                    pass.unmapped.insert(key);
                }
                did |= done || mapped.len() > 1;
            }
            if !did {
                return Ok(());
            }
            pass.round += 1;
        }
    }

    /// Returns when a map was put, or after that time.
    pub async fn mappings_due(&self, after: Duration) {
        // Either is a reason to look.
        let _ = tokio::time::timeout(after, self.mapping_wake.notified()).await;
    }

    /// The directory as it is now; `None` when the app is told nothing of it.
    async fn mapping_work(&self, key: i64) -> Result<Option<(Work, Option<i64>)>, ServiceError> {
        let found: Result<_, StoreError> = self
            .store
            .read("mapping_work", move |tx| {
                let Some(row) = tx.directory_by_key(key)? else { return Ok(None) };
                Ok(Some((row, tx.schema_get(key)?, served_catalogue(tx, key)?)))
            })
            .await;
        let Some((row, own, served)) = found? else { return Ok(None) };
        if rests(State::parse(&row.state)) {
            return Ok(None);
        }
        let registry = self.registry_of(own.as_ref()).with_catalogue(|name| served.contains(&name));
        let work = Work {
            directory: Arc::new(Directory::from_row(&row, registry)),
            ids: self.clock.ids(),
            now: self.clock.now_ms(),
        };
        Ok(Some((work, row.mapping_cursor)))
    }

    /// Brings the next users of a directory to its maps; answers whether something was done.
    async fn map_in(&self, key: i64) -> Result<bool, ServiceError> {
        let Some((work, Some(after))) = self.mapping_work(key).await? else { return Ok(false) };
        let candidates = self.candidates(&work.directory, Which::After(after, LOOKED_AT)).await?;
        let mapped: Option<usize> =
            self.store.write("mapping", move |tx| work.map(tx, after, &candidates)).await?;
        self.mapping_metrics.mapped.inc_by(as_count(mapped.unwrap_or(0)));
        Ok(mapped.is_some())
    }

    /// Does the next part of what changes of memberships have left in a directory; answers whether
    /// something was done.
    async fn follow_in(&self, key: i64, round: usize) -> Result<bool, ServiceError> {
        let Some((work, _)) = self.mapping_work(key).await? else { return Ok(false) };
        let left: Result<[bool; 3], StoreError> = self
            .store
            .read("role_work", move |tx| {
                let mut left = [false; 3];
                let kinds = [RoleWork::Below, RoleWork::User, RoleWork::Members];
                for (left, kind) in left.iter_mut().zip(kinds) {
                    *left = !tx.role_work_next(key, kind, 1)?.is_empty();
                }
                Ok(left)
            })
            .await;
        let [below, users, members] = left?;
        let mut parts = Vec::new();
        if work.directory.follows_memberships() {
            if below && (round.is_multiple_of(ROUNDS_BETWEEN) || !(users || members)) {
                parts.push(Part::Below);
            }
            parts.extend(members.then_some(Part::Members));
        } else if below || members {
            parts.push(Part::Forget);
        }
        if users {
            parts.push(Part::Users(self.candidates(&work.directory, Which::Noted).await?));
        }
        let mut did = false;
        for part in parts {
            let work = work.clone();
            let followed: Option<usize> =
                self.store.write("role_work", move |tx| work.follow(tx, &part)).await?;
            did |= followed.is_some();
            self.mapping_metrics.followed.inc_by(as_count(followed.unwrap_or(0)));
        }
        Ok(did)
    }

    /// What the maps make of users, as they are stored now.
    pub(super) async fn candidates(
        &self,
        directory: &Arc<Directory>,
        which: Which,
    ) -> Result<Vec<Candidate>, ServiceError> {
        let (key, groups) = (directory.key, directory.follows_memberships());
        let read: Result<_, StoreError> = self
            .store
            .read("mapping_look", move |tx| {
                let users = match which {
                    Which::After(after, limit) => tx.mapping_chunk(key, after, limit)?,
                    Which::Noted => {
                        let noted = tx.role_work_next(key, RoleWork::User, FOLLOWED_ROWS)?;
                        let noted: Vec<i64> = noted.iter().map(|user| user.target_key).collect();
                        tx.mapping_rows(key, &noted)?
                    }
                };
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
            let users = users.into_iter().map(|user| Candidate::of(&directory, user, &groups));
            Ok(users.collect::<Result<_, StoreError>>()?)
        })
        .await?
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
pub(in crate::service) async fn computed<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ServiceError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StoreError::Unavailable("an evaluation has stopped".to_owned()).into())
}

/// Users who are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// The next behind a key, so many.
    After(i64, i64),
    /// The next of whom there are notes.
    Noted,
}

/// What one unit does about what was noted.
#[derive(Clone, Debug)]
enum Part {
    /// Waits for all units, and finds the groups below those that have moved.
    Below,
    /// Brings users to what was worked out for them.
    Users(Vec<Candidate>),
    Members,
    /// The role map has no groups any more.
    Forget,
}

impl Candidate {
    fn of(directory: &Directory, user: MappedUser, groups: &GroupIds) -> Result<Self, StoreError> {
        let MappedUser { row, faults } = user;
        let groups = ids_of(groups, row.key);
        let mapped = mapped_row(&directory.mapping, &directory.registry, &row, &groups)?;
        let ResourceRow { custom_attributes, roles, .. } = row;
        let is_now = Mapped { custom_attributes, faults, roles, excluded: None };
        Ok(Self { key: row.key, version: row.version, differs: mapped != is_now, mapped })
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

    fn recorder(&self, in_force: InForce, identities: Option<Scope>) -> Recorder<'_> {
        recorder(&self.directory, in_force, identities, self.ids.clone(), self.now)
    }

    /// What a map makes of a user may be a part of the profile of its identity.
    fn scope(&self, tx: &mut Tx<'_>) -> Result<Option<Scope>, StoreError> {
        Scope::enter(tx, &self.directory)
    }

    /// Writes for those whom the maps change, and notes how far all are. Answers how many were changed;
    /// `None` when the directory is no longer as it was read.
    fn map(
        &self,
        tx: &mut Tx<'_>,
        after: i64,
        candidates: &[Candidate],
    ) -> Result<Option<usize>, ServiceError> {
        let key = self.directory.key;
        let Some(in_force) = self.stands(tx)? else { return Ok(None) };
        let row = tx.directory_by_key(key)?;
        if row.is_none_or(|row| row.mapping_cursor != Some(after)) {
            // Another process was faster.
            return Ok(Some(0));
        }
        let mut recorder = self.recorder(in_force, self.scope(tx)?);
        let mut wanted: Vec<&Candidate> = candidates.iter().filter(|one| one.differs).collect();
        let cut_off = wanted.get(TOLD).map(|one| one.key);
        wanted.truncate(TOLD);
        let mapped = apply(tx, &mut recorder, &wanted)?;
        let done = candidates.iter().take_while(|one| cut_off.is_none_or(|cut| one.key < cut));
        tx.mapping_cursor_set(key, done.last().map(|one| one.key))?;
        Ok(Some(mapped))
    }

    /// Does the next part of what changes of memberships have left. Answers how many users were changed;
    /// `None` when the directory is no longer as it was read.
    fn follow(&self, tx: &mut Tx<'_>, part: &Part) -> Result<Option<usize>, ServiceError> {
        let key = self.directory.key;
        if let Part::Below = part {
            // Waits for units that do not see the changes yet, and keeps new ones out.
            tx.directory_lock_exclusive(key)?;
        }
        let Some(in_force) = self.stands(tx)? else { return Ok(None) };
        // No identity hears of roles, and whoever has the directory alone must not wait for others.
        let identities = if let Part::Users(_) = part { self.scope(tx)? } else { None };
        let mut recorder = self.recorder(in_force, identities);
        let mut followed = 0;
        match part {
            Part::Forget => tx.role_work_forget(key)?,
            Part::Below => descend(tx, key)?,
            Part::Users(candidates) => {
                followed = apply(tx, &mut recorder, &candidates.iter().collect::<Vec<_>>())?;
                noted_done(tx, &self.directory, candidates)?;
            }
            Part::Members => followed = follow_members(tx, &mut recorder)?,
        }
        Ok(Some(followed))
    }
}

/// Takes away the notes of users who were brought to the maps, and of who is gone. Whom another unit has
/// changed meanwhile, perhaps leaving the attributes to the job once more, is looked at again.
fn noted_done(
    tx: &mut Tx<'_>,
    directory: &Directory,
    candidates: &[Candidate],
) -> Result<(), StoreError> {
    let noted = tx.role_work_next(directory.key, RoleWork::User, FOLLOWED_ROWS)?;
    let noted: Vec<i64> = noted.iter().map(|user| user.target_key).collect();
    let there = tx.mapping_rows(directory.key, &noted)?;
    let there: HashMap<i64, i64> =
        there.iter().map(|user| (user.row.key, user.row.version)).collect();
    let known: HashMap<i64, i64> = candidates.iter().map(|one| (one.key, one.version)).collect();
    let goes_on = |key: &i64| there.get(key).is_some_and(|is| known.get(key) != Some(is));
    let done: Vec<i64> = noted.into_iter().filter(|key| !goes_on(key)).collect();
    tx.role_work_done(directory.key, RoleWork::User, &done)
}

/// Notes that the members of every group below those that have moved are to be looked at. No other unit is
/// in the directory: one wait is enough for all of them.
fn descend(tx: &mut Tx<'_>, directory_key: i64) -> Result<(), StoreError> {
    let noted = tx.role_work_next(directory_key, RoleWork::Below, i64::MAX)?;
    let noted: Vec<i64> = noted.iter().map(|group| group.target_key).collect();
    let mut members: HashMap<i64, Vec<i64>> = HashMap::new();
    for (group, member) in tx.group_edges(directory_key)? {
        members.entry(group).or_default().push(member);
    }
    let mut below: BTreeSet<i64> = noted.iter().copied().collect();
    let mut waiting = noted.clone();
    while let Some(group) = waiting.pop() {
        let inner = members.get(&group).into_iter().flatten();
        waiting.extend(inner.filter(|inner| below.insert(**inner)));
    }
    let below: Vec<i64> = below.into_iter().collect();
    for groups in below.chunks(CHUNK) {
        tx.role_work_add(directory_key, RoleWork::Members, groups)?;
    }
    for groups in noted.chunks(CHUNK) {
        tx.role_work_done(directory_key, RoleWork::Below, groups)?;
    }
    Ok(())
}

/// Does the next part of what changes of memberships have left, in a unit that has the directory for
/// itself; false when nothing is left.
pub(in crate::service) fn follow_roles(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
) -> Result<bool, StoreError> {
    let directory = recorder.directory;
    let key = directory.key;
    if !directory.follows_memberships() {
        tx.role_work_forget(key)?;
    } else if !tx.role_work_next(key, RoleWork::Below, 1)?.is_empty() {
        descend(tx, key)?;
        return Ok(true);
    }
    let noted = tx.role_work_next(key, RoleWork::User, FOLLOWED_ROWS)?;
    if noted.is_empty() {
        let left = !tx.role_work_next(key, RoleWork::Members, 1)?.is_empty();
        follow_members(tx, recorder)?;
        return Ok(left);
    }
    let noted: Vec<i64> = noted.iter().map(|user| user.target_key).collect();
    let users = tx.mapping_rows(key, &noted)?;
    let groups = follow::group_ids(tx, key, &noted)?;
    let candidates = users.into_iter().map(|user| Candidate::of(directory, user, &groups));
    let candidates = candidates.collect::<Result<Vec<_>, _>>()?;
    apply(tx, recorder, &candidates.iter().collect::<Vec<_>>())?;
    noted_done(tx, directory, &candidates)?;
    Ok(true)
}

/// Brings the next members of groups to their roles; answers how many were changed.
fn follow_members(tx: &mut Tx<'_>, recorder: &mut Recorder<'_>) -> Result<usize, StoreError> {
    let key = recorder.directory.key;
    let mut users = Vec::with_capacity(FOLLOWED);
    let mut done = Vec::new();
    for group in tx.role_work_next(key, RoleWork::Members, FOLLOWED_ROWS)? {
        let room = FOLLOWED.saturating_sub(users.len());
        let limit = i64::try_from(room).unwrap_or(i64::MAX);
        let members = tx.member_keys(key, group.target_key, group.after_key, limit)?;
        let is_full = members.len() >= room;
        done.push((group, members.last().copied().filter(|_| is_full)));
        users.extend(members);
        if is_full {
            break;
        }
    }
    // In one go: users of two groups are in no order.
    users.sort_unstable();
    users.dedup();
    let followed = follow::settle(tx, recorder, &users)?;
    for (group, reached) in done {
        match reached {
            Some(last) => tx.role_work_move(key, &group, last)?,
            None => tx.role_work_end(key, &group)?,
        }
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
        removal: None,
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
                excluded: None,
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
