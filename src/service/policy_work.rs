//! What policies have to do besides the requests: bring users to changed policies, end those whose
//! grace is over, suspend those who are in no group for long enough.
//!
//! Each unit takes the directory for itself, reads the policies that are stored now and does a
//! bounded part. What is done is stored with it, so that a process that stops leaves the rest to the
//! next one, and several processes may work on one directory. A user whom a request has brought to
//! the new policies meanwhile is as they want it, and is passed over.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::authenticate::served_catalogue;
use super::context::{Directory, Settings, State};
use super::error::AdminError;
use super::exchange::Listed;
use super::identity::Scope;
use super::lifecycle::{self, Settled};
use super::mapping::Gate;
use super::policy::{DepartedUntil, InForce, Policies};
use super::record::Recorder;
use super::{Service, ServiceError};
use crate::clock::Ids;
use crate::store::app_group::AppGroup;
use crate::store::app_user::AppUser;
use crate::store::brake::Brake;
use crate::store::directory::DirectoryRow;
use crate::store::schemas::SchemaRow;
use crate::store::{StoreError, Tx};

/// Users of whom one unit tells the app something.
const TOLD: usize = 100;
const TOLD_ROWS: i64 = 100;

/// Users and groups that one unit looks at.
const LOOKED_AT: i64 = 1_000;

/// Members of groups of whom one unit tells the app.
const MEMBERS: i64 = 500;

/// What policies have done in this process besides the requests; clones share the same values.
#[derive(Clone, Debug, Default)]
pub struct PolicyMetrics {
    /// Users of whom the app was told because policies were changed.
    pub settled: Counter,
    pub suspended: Counter,
    /// Departed users whose time was over.
    pub ended: Counter,
}

impl PolicyMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "policy_users_settled",
            "Users of whom the app was told because policies were changed",
            self.settled.clone(),
        );
        registry.register(
            "policy_users_suspended",
            "Users suspended because no group has them",
            self.suspended.clone(),
        );
        registry.register(
            "policy_departed_ended",
            "Deleted users whom the app sees no longer because their time was over",
            self.ended.clone(),
        );
    }
}

/// What a unit has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    settled: u64,
    suspended: u64,
    ended: u64,
    /// There is more to do now.
    more: bool,
}

impl Service {
    /// Does everything that policies have to do by now, in every directory.
    pub async fn apply_policies(&self) -> Result<(), ServiceError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let keys: Result<Vec<i64>, StoreError> =
            self.store.get("policy_directories", |tx| tx.policy_directories()).await;
        for key in keys? {
            // One directory that fails does not hold up the others.
            if let Err(error) = self.apply_policies_in(key).await {
                tracing::warn!(%error, "policies of a directory are not applied yet");
            }
        }
        Ok(())
    }

    async fn apply_policies_in(&self, key: i64) -> Result<(), ServiceError> {
        while self.apply_policies_step(key).await? {}
        Ok(())
    }

    /// One unit of [`Service::apply_policies`] in a directory; false when nothing is left to do.
    pub async fn apply_policies_step(&self, key: i64) -> Result<bool, ServiceError> {
        let now = self.clock.now_ms();
        let found: Result<_, StoreError> = self
            .store
            .read("policy_work", move |tx| {
                // Most of what has departed or is in no group is not due: no writer waits for a look.
                match is_due(tx, key, now)? {
                    true => Ok(tx
                        .directory_by_key(key)?
                        .zip(Some((tx.schema_get(key)?, served_catalogue(tx, key)?)))),
                    false => Ok(None),
                }
            })
            .await;
        let Some((row, (own, served))) = found? else { return Ok(false) };
        let work = self.policy_work_of(&row, own.as_ref(), &served);
        let done = self.store.write("policies", move |tx| work.run_once(tx)).await?;
        self.count_policy_work(done);
        Ok(done.more)
    }

    /// The work in a directory whose policies are about to be changed.
    pub(super) async fn policy_work(&self, key: i64) -> Result<PolicyWork, ServiceError> {
        let found: Result<_, StoreError> = self
            .store
            .read("policy_work", move |tx| {
                let Some(row) = tx.directory_by_key(key)? else { return Ok(None) };
                Ok(Some((row, tx.schema_get(key)?, served_catalogue(tx, key)?)))
            })
            .await;
        let (row, own, served) =
            found?.ok_or_else(|| ServiceError::from(AdminError::not_found("The directory")))?;
        Ok(self.policy_work_of(&row, own.as_ref(), &served))
    }

    fn policy_work_of(
        &self,
        row: &DirectoryRow,
        own: Option<&SchemaRow>,
        served: &[&'static str],
    ) -> PolicyWork {
        let registry = self.registry_of(own).with_catalogue(|name| served.contains(&name));
        PolicyWork {
            directory: Arc::new(Directory::from_row(row, registry)),
            ids: self.clock.ids(),
            now: self.clock.now_ms(),
        }
    }

    pub(super) fn count_policy_work(&self, done: Done) {
        self.policy_metrics.settled.inc_by(done.settled);
        self.policy_metrics.suspended.inc_by(done.suspended);
        self.policy_metrics.ended.inc_by(done.ended);
    }
}

/// Whether a directory has something to do now.
fn is_due(tx: &mut Tx<'_>, key: i64, now: i64) -> Result<bool, StoreError> {
    let Some(row) = tx.directory_by_key(key)? else { return Ok(false) };
    let state = State::parse(&row.state);
    if rests(state) {
        return Ok(false);
    }
    let in_force = InForce::new(&row.settings, row.policy_cursor);
    let departed = match in_force.policies.departed_until(now) {
        DepartedUntil::At(until) => !tx.departed_list(key, until, 1)?.is_empty(),
        DepartedUntil::Nobody => false,
    };
    let groupless = match groupless_until(&in_force.policies, now) {
        Some(until) if may_suspend(state) => !tx.groupless_due(key, until, 1)?.is_empty(),
        _ => false,
    };
    Ok(in_force.changing || departed || groupless)
}

/// Whether the app is told nothing of a directory in this state.
pub(super) fn rests(state: Option<State>) -> bool {
    matches!(state, None | Some(State::Disabled | State::Deleting))
}

/// Whether who is in no group can be suspended: not while the identity provider is kept from putting
/// users back into their groups.
fn may_suspend(state: Option<State>) -> bool {
    state.is_some_and(State::lets_write)
}

fn groupless_until(policies: &Policies, now: i64) -> Option<i64> {
    policies.suspend_when_groupless.map(|delay| now.saturating_sub(delay.as_ms()))
}

/// A unit of the work in one directory.
pub(super) struct PolicyWork {
    directory: Arc<Directory>,
    ids: Ids,
    now: i64,
}

impl PolicyWork {
    /// Does a bounded part of what there is to do, and keeps every other unit out meanwhile.
    fn run(&self, tx: &mut Tx<'_>, ids: &mut Ids) -> Result<Done, ServiceError> {
        let key = self.directory.key;
        let state = tx.directory_lock_exclusive(key)?;
        let Some(shared) = tx.directory_share(key)? else { return Ok(Done::default()) };
        let undoing = shared.brake.as_deref() == Some(Brake::Undoing.as_str());
        let current = !shared.converting
            && !undoing
            && shared.schema_version == self.directory.schema_version;
        // With other schemas the app would be told something else; the next look reads them.
        let state = state.as_deref().and_then(State::parse);
        if !current || rests(state) {
            return Ok(Done::default());
        }
        let mut recorder = Recorder {
            directory: &self.directory,
            in_force: InForce::new(&shared.settings, shared.policy_cursor),
            identities: Scope::enter(tx, &self.directory)?,
            ids: ids.clone(),
            now: self.now,
            event_ids: Listed::default(),
            has_intents: false,
            removal: None,
        };
        let done = part(tx, &mut recorder, shared.policy_cursor, may_suspend(state))?;
        *ids = recorder.ids;
        Ok(done)
    }

    /// The directory as it would be with other settings.
    pub(super) fn with_settings(&self, row: DirectoryRow, settings: String) -> Directory {
        let row = DirectoryRow { settings, ..row };
        Directory::from_row(&row, self.directory.registry.clone())
    }

    /// One unit.
    fn run_once(&self, tx: &mut Tx<'_>) -> Result<Done, ServiceError> {
        self.run(tx, &mut self.ids.clone())
    }

    /// Begins to bring users to changed settings, in the unit that has stored them. `before` is the
    /// directory as the unit has found it. A small directory is brought to them at once, unless its
    /// schemas are no longer those that were read for this: the app would be told something else.
    pub(super) fn after_change(
        &self,
        tx: &mut Tx<'_>,
        before: &DirectoryRow,
        new: &str,
    ) -> Result<Done, ServiceError> {
        let key = self.directory.key;
        let filter = |settings: &str| Settings::stored(settings).filter;
        let is_filtered_anew = !self.directory.is_read && filter(&before.settings) != filter(new);
        if is_filtered_anew {
            // Units that were computed by the filter before are done again.
            tx.directory_rules_changed(key)?;
        }
        let (old, wanted) = (Policies::stored(&before.settings), Policies::stored(new));
        let hides = |policies: &Policies| self.directory.hides_groups(policies);
        let turns_groups = hides(&old) != hides(&wanted);
        if turns_groups && tx.brake_get(key)?.is_some() {
            let message = "Events of the directory wait behind the brake. Release or undo them before \
                           settings.disable_group_sync is changed.";
            return Err(AdminError::new(409, "brake_holding", message).into());
        }
        if turns_groups && before.role_map.is_some() {
            // Roles that come from groups come and go with them.
            tx.directory_rules_changed(key)?;
            tx.mapping_cursor_set(key, Some(0))?;
        }
        if !is_filtered_anew && !turns_groups && !wanted.differs_for_stored(&old) {
            return Ok(Done::default());
        }
        tx.policy_cursor_set(key, Some(0))?;
        if before.schema_version != self.directory.schema_version {
            return Ok(Done::default());
        }
        let users = tx.count_total(key, "User")?.max(tx.departed_count(key, i64::MAX)?);
        let groups = if turns_groups { tx.count_total(key, "Group")? } else { 0 };
        let is_small = users <= TOLD_ROWS && groups.saturating_mul(users.max(1)) <= MEMBERS;
        let Some(row) = tx.directory_by_key(key)?.filter(|_| is_small) else {
            return Ok(Done::default());
        };
        // The profile may have been changed with the policies.
        let directory = Directory::from_row(&row, self.directory.registry.clone());
        Self { directory: Arc::new(directory), ids: self.ids.clone(), now: self.now }.run_to_end(tx)
    }

    /// Does all of it, for a directory that is small enough.
    fn run_to_end(&self, tx: &mut Tx<'_>) -> Result<Done, ServiceError> {
        let (mut all, mut ids) = (Done::default(), self.ids.clone());
        loop {
            let done = self.run(tx, &mut ids)?;
            all.settled += done.settled;
            all.suspended += done.suspended;
            all.ended += done.ended;
            if !done.more {
                return Ok(all);
            }
        }
    }
}

/// The next bounded part of what there is to do.
fn part(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    cursor: Option<i64>,
    suspends: bool,
) -> Result<Done, StoreError> {
    let ended = lifecycle::end_departed(tx, recorder, TOLD_ROWS)?;
    if ended > 0 {
        return Ok(Done { ended: as_count(ended), more: true, ..Done::default() });
    }
    if let Some(after) = cursor {
        let settled = settle_next(tx, recorder, after, suspends)?;
        return Ok(Done { settled: as_count(settled), more: true, ..Done::default() });
    }
    if !suspends {
        return Ok(Done::default());
    }
    let suspended = suspend_users(tx, recorder)?;
    Ok(Done { suspended: as_count(suspended), more: suspended > 0, ..Done::default() })
}

fn as_count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// What a unit looks at next, in the order of keys.
enum Next {
    User(AppUser),
    Group(AppGroup),
}

impl Next {
    fn key(&self) -> i64 {
        match self {
            Self::User(user) => user.key,
            Self::Group(group) => group.key,
        }
    }
}

/// Brings the next users and groups to the policies in force; answers of how many the app was told.
fn settle_next(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    after: i64,
    suspends: bool,
) -> Result<usize, StoreError> {
    let directory_key = recorder.directory.key;
    let users = tx.app_user_chunk(directory_key, after, LOOKED_AT)?;
    let filtered = Filtered::of(tx, recorder.directory, &users)?;
    let groups = tx.app_group_chunk(directory_key, after, LOOKED_AT)?;
    let users = users.into_iter().map(Next::User);
    let mut next: Vec<Next> = users.chain(groups.into_iter().map(Next::Group)).collect();
    next.sort_unstable_by_key(Next::key);
    // Behind the last of a full part there may be others of the other kind that were not read.
    next.truncate(usize::try_from(LOOKED_AT).unwrap_or(usize::MAX));
    let (mut told, mut memberships, mut cursor) = (0, 0, None);
    for one in &next {
        if told == TOLD || memberships >= MEMBERS {
            break;
        }
        match one {
            Next::User(user) => {
                let excluded = filtered.excludes(user);
                told += usize::from(lifecycle::settle(tx, recorder, user, excluded, suspends)?);
            }
            Next::Group(group) => {
                match lifecycle::settle_group(tx, recorder, *group, MEMBERS - memberships)? {
                    Settled::Already => {}
                    Settled::Told(members) => {
                        told += 1;
                        memberships += members;
                    }
                    Settled::More => {
                        // The same group once more.
                        cursor = Some(one.key() - 1);
                        told += 1;
                        break;
                    }
                }
            }
        }
        cursor = Some(one.key());
    }
    if cursor.is_none() {
        tx.telling_set(directory_key, None)?;
    }
    tx.policy_cursor_set(directory_key, cursor)?;
    Ok(told)
}

/// What the filter of a directory says of some users, by their keys; nothing of anybody without a filter.
pub(super) struct Filtered(HashMap<i64, Result<bool, String>>);

impl Filtered {
    pub(super) fn of(
        tx: &mut Tx<'_>,
        directory: &Directory,
        users: &[AppUser],
    ) -> Result<Self, StoreError> {
        let mapping = &directory.mapping;
        if matches!(mapping.gate, Gate::Open) {
            return Ok(Self(HashMap::new()));
        }
        let keys: Vec<i64> = users.iter().map(|user| user.key).collect();
        let rows = tx.resource_rows(directory.key, &keys)?;
        let asked = rows.iter().map(|row| (row.key, mapping.excludes(&directory.registry, row)));
        Ok(Self(asked.collect()))
    }

    /// Whether it keeps the user from the app. Of whom it fails for that stays as it is.
    pub(super) fn excludes(&self, user: &AppUser) -> bool {
        match self.0.get(&user.key) {
            None => false,
            Some(Ok(excluded)) => *excluded,
            Some(Err(_)) => user.excluded,
        }
    }

    /// For how many it fails, and what is wrong with one of them.
    pub(super) fn faults(&self) -> (usize, Option<&str>) {
        let mut faults = self.0.values().filter_map(|said| said.as_ref().err());
        let first = faults.next().map(String::as_str);
        (usize::from(first.is_some()) + faults.count(), first)
    }
}

/// Suspends some of those who are in no group for long enough; answers how many.
fn suspend_users(tx: &mut Tx<'_>, recorder: &mut Recorder<'_>) -> Result<usize, StoreError> {
    let Some(until) = groupless_until(&recorder.in_force.policies, recorder.now) else {
        return Ok(0);
    };
    let directory_key = recorder.directory.key;
    let keys = tx.groupless_due(directory_key, until, TOLD_ROWS)?;
    for user in tx.app_user_lock(directory_key, &keys)? {
        lifecycle::settle(tx, recorder, &user, user.excluded, true)?;
    }
    Ok(keys.len())
}
