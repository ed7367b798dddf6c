//! Changes of a group's members inside a unit that has locked the group's row.

use std::collections::HashSet;

use serde_json::json;

use super::ServiceError;
use super::context::Directory;
use super::exchange::Listed;
use super::record::MAX_NAMED;
use crate::scim::filter::resolve_element;
use crate::scim::patch::members::members_attribute;
use crate::scim::patch::{MemberChange, MemberStep};
use crate::scim::resource::validate::MAX_KEY_BYTES;
use crate::scim::{ResourceType, ScimError};
use crate::store::intent::{Ending, MemberPart};
use crate::store::member::{Candidate, MemberRow};
use crate::store::pending::{Guard, Named};
use crate::store::{StoreError, Tx};

/// How many ids go into one statement.
const CHUNK: usize = 1_000;

/// Members that a filter looks at at a time.
const PAGE: i64 = 1_000;

/// What really changed, by member key.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) removed: Vec<i64>,
    pub(super) added: Vec<i64>,
    /// Values of the request that wait for their resources.
    pub(super) waiting: Listed,
    /// How many leave and join in all, when later units do the rest.
    pub(super) planned: Option<(usize, usize)>,
}

impl Outcome {
    pub(super) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty() && self.planned.is_none()
    }

    /// Who left, with those of later units counted.
    pub(super) fn all_left(&self, left: Listed) -> Listed {
        Listed { count: self.planned.map_or(left.count, |(leave, _)| leave), ..left }
    }

    /// Who joined, with those of later units counted.
    pub(super) fn all_joined(&self, joined: Listed) -> Listed {
        Listed { count: self.planned.map_or(joined.count, |(_, join)| join), ..joined }
    }
}

/// Most values that one group may wait for.
const MAX_PENDING: usize = 10_000;

/// The group whose members change. Its row is locked.
#[derive(Clone, Copy)]
pub(super) struct Group<'g> {
    pub(super) directory: &'g Directory,
    pub(super) resource_type: &'g ResourceType,
    pub(super) key: i64,
    pub(super) now: i64,
    /// Most changes in one unit.
    pub(super) at_once: usize,
}

/// Who leaves a group and who joins it, by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    removed: Vec<i64>,
    added: Vec<i64>,
    /// What it was made from, without who is added.
    change: MemberChange,
}

/// What a unit with these steps does in a directory whose groups may wait.
pub(super) fn guard_of(members: &[MemberStep]) -> Guard {
    if members.is_empty() { Guard::Write } else { Guard::Look }
}

/// Takes the guard of a directory whose groups may wait for members.
pub(super) fn guard(
    tx: &mut Tx<'_>,
    directory: &Directory,
    guard: Guard,
) -> Result<(), StoreError> {
    match directory.profile.hold_unknown_members {
        true => tx.pending_guard(directory.key, guard),
        false => Ok(()),
    }
}

/// Applies the steps. Members that are to be added and are not in the directory refuse the request.
/// Where the profile says so, a value that is no id is an externalId instead, and waits when no
/// resource has it. Members that are to be removed and are not there are passed over.
///
/// A change of many members was worked out before, as `plan`, or is worked out here. What goes beyond
/// one unit is left to the units after it: [`super::intent`].
pub(super) fn apply(
    tx: &mut Tx<'_>,
    group: Group<'_>,
    steps: &[MemberStep],
    plan: Option<&Plan>,
) -> Result<Outcome, ServiceError> {
    if let Some(plan) = plan {
        wait_for(tx, group, &plan.change, &[])?;
        return Ok(plan.carry_out(tx, group)?);
    }
    let directory = group.directory;
    let change = match MemberChange::fold(steps) {
        Some(change) => change,
        None => fold_with_elements(tx, group, steps)?,
    };
    let mut outcome = Outcome::default();
    if change.is_empty() {
        return Ok(outcome);
    }
    let holds = directory.profile.hold_unknown_members;
    let found = candidates(tx, directory, &change.add)?;
    let mut missing = unknown(&change.add, found.iter().map(|candidate| &*candidate.id));
    let mut wanted: Vec<i64> = found.iter().map(|candidate| candidate.key).collect();
    if holds {
        refuse_long(&missing)?;
        let named = named(tx, directory, &missing)?;
        let mut there = HashSet::new();
        // Several resources may have an externalId: the oldest is meant.
        let oldest = named.iter().filter(|named| there.insert(named.external_id.as_str()));
        wanted.extend(oldest.map(|named| named.key));
        missing.retain(|value| !there.contains(value));
        if !there.is_empty() {
            // The group may have waited for them when the profile did not let it.
            let there: Vec<String> = there.into_iter().map(str::to_owned).collect();
            tx.pending_remove(directory.key, group.key, &there)?;
        }
    } else {
        refuse(&missing)?;
    }
    wait_for(tx, group, &change, &missing)?;
    missing.iter().for_each(|value| outcome.waiting.push(value, MAX_NAMED));
    let unwanted = match change.only_added_stay {
        true => tx.member_others(directory.key, group.key, &wanted)?,
        false => {
            let found = candidates(tx, directory, &change.remove)?;
            let mut unwanted: Vec<i64> = found.iter().map(|candidate| candidate.key).collect();
            if holds {
                let missing = unknown(&change.remove, found.iter().map(|c| &*c.id));
                unwanted.extend(named(tx, directory, &missing)?.iter().map(|n| n.key));
                // The same member under its other name is to stay.
                let stays: HashSet<i64> = wanted.iter().copied().collect();
                unwanted.retain(|key| !stays.contains(key));
            }
            unwanted
        }
    };
    if unwanted.len() + wanted.len() > group.at_once {
        let unwanted = (unwanted, change.only_added_stay);
        let plan = Plan::among(tx, (directory.key, group.key), unwanted, wanted)?;
        return Ok(Outcome { waiting: outcome.waiting, ..plan.carry_out(tx, group)? });
    }
    outcome.removed = remove(tx, group, &unwanted)?;
    outcome.added = add(tx, group, &wanted)?;
    Ok(outcome)
}

/// Removes members; answers those who were there, in order.
fn remove(tx: &mut Tx<'_>, group: Group<'_>, keys: &[i64]) -> Result<Vec<i64>, StoreError> {
    let mut removed = Vec::new();
    for keys in keys.chunks(CHUNK) {
        removed.extend(tx.member_remove(group.directory.key, group.key, keys)?);
    }
    removed.sort_unstable();
    Ok(removed)
}

/// Adds members; answers those who were not there, in order.
fn add(tx: &mut Tx<'_>, group: Group<'_>, keys: &[i64]) -> Result<Vec<i64>, StoreError> {
    let mut added = Vec::new();
    for keys in keys.chunks(CHUNK) {
        added.extend(tx.member_add(group.directory.key, group.key, keys)?);
    }
    added.sort_unstable();
    Ok(added)
}

impl Plan {
    /// What a change of a group's members comes to, read before the unit that makes it. For a new group
    /// there is no key.
    pub(super) fn of(
        tx: &mut Tx<'_>,
        directory_key: i64,
        group_key: Option<i64>,
        mut change: MemberChange,
    ) -> Result<Self, ServiceError> {
        let mut find = |ids: &[String]| -> Result<Vec<(i64, String)>, StoreError> {
            let mut found = Vec::with_capacity(ids.len());
            for chunk in ids.chunks(CHUNK) {
                found.extend(tx.member_keys_of(directory_key, chunk)?);
            }
            Ok(found)
        };
        let (add, remove) = (find(&change.add)?, find(&change.remove)?);
        refuse(&unknown(&change.add, add.iter().map(|(_, id)| id.as_str())))?;
        let keys = |found: Vec<(i64, String)>| found.into_iter().map(|(key, _)| key).collect();
        let (wanted, mut unwanted): (Vec<i64>, Vec<i64>) = (keys(add), keys(remove));
        let mut plan = match group_key {
            None => Self::sorted(Vec::new(), wanted),
            Some(group_key) => {
                if change.only_added_stay {
                    unwanted = tx.member_others(directory_key, group_key, &wanted)?;
                }
                let are_members = change.only_added_stay;
                Self::among(tx, (directory_key, group_key), (unwanted, are_members), wanted)?
            }
        };
        change.add = Vec::new();
        plan.change = change;
        Ok(plan)
    }

    /// Of these who are to leave or to join, those to whom it makes a difference. Of who is to leave it
    /// may be known that they are members.
    fn among(
        tx: &mut Tx<'_>,
        (directory_key, group_key): (i64, i64),
        (unwanted, are_members): (Vec<i64>, bool),
        mut wanted: Vec<i64>,
    ) -> Result<Self, StoreError> {
        let mut members = |keys: &[i64]| -> Result<HashSet<i64>, StoreError> {
            let mut found = HashSet::with_capacity(keys.len());
            for keys in keys.chunks(CHUNK) {
                found.extend(tx.members_among(directory_key, group_key, keys)?);
            }
            Ok(found)
        };
        let there = members(&wanted)?;
        wanted.retain(|key| !there.contains(key));
        let leaving = match are_members {
            true => unwanted,
            false => members(&unwanted)?.into_iter().collect(),
        };
        Ok(Self::sorted(leaving, wanted))
    }

    fn sorted(mut removed: Vec<i64>, mut added: Vec<i64>) -> Self {
        removed.sort_unstable();
        added.sort_unstable();
        Self { removed, added, change: MemberChange::default() }
    }

    /// Does it, or its first part and leaves the others to later units.
    fn carry_out(&self, tx: &mut Tx<'_>, group: Group<'_>) -> Result<Outcome, StoreError> {
        let mut outcome = Outcome::default();
        if self.removed.len() + self.added.len() <= group.at_once {
            outcome.removed = remove(tx, group, &self.removed)?;
            outcome.added = join(tx, group, &self.added)?;
            return Ok(outcome);
        }
        let leave = self.removed.chunks(group.at_once).map(|keys| (false, keys));
        let parts = leave.chain(self.added.chunks(group.at_once).map(|keys| (true, keys)));
        let (directory_key, group_key) = (group.directory.key, group.key);
        tx.intent_open(directory_key, group_key, Ending::Stays, group.now)?;
        for (number, (joins, keys)) in (0..).zip(parts) {
            let part = MemberPart { number, joins, keys: keys.to_vec() };
            match number {
                0 => outcome = do_part(tx, group, &part)?,
                _ => tx.intent_part_add(directory_key, group_key, &part)?,
            }
        }
        outcome.planned = Some((self.removed.len(), self.added.len()));
        Ok(outcome)
    }
}

/// Adds members who may have been deleted since they were found.
fn join(tx: &mut Tx<'_>, group: Group<'_>, keys: &[i64]) -> Result<Vec<i64>, StoreError> {
    let mut present = Vec::with_capacity(keys.len());
    for keys in keys.chunks(CHUNK) {
        present.extend(tx.member_present(group.directory.key, keys)?);
    }
    add(tx, group, &present)
}

/// Does one part of a plan.
pub(super) fn do_part(
    tx: &mut Tx<'_>,
    group: Group<'_>,
    part: &MemberPart,
) -> Result<Outcome, StoreError> {
    let mut outcome = Outcome::default();
    match part.joins {
        true => outcome.added = join(tx, group, &part.keys)?,
        false => outcome.removed = remove(tx, group, &part.keys)?,
    }
    Ok(outcome)
}

fn candidates(
    tx: &mut Tx<'_>,
    directory: &Directory,
    ids: &[String],
) -> Result<Vec<Candidate>, ServiceError> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        found.extend(tx.member_candidates(directory.key, chunk)?);
    }
    Ok(found)
}

/// Resources with these externalIds.
fn named(
    tx: &mut Tx<'_>,
    directory: &Directory,
    values: &[&str],
) -> Result<Vec<Named>, StoreError> {
    let mut found = Vec::new();
    for chunk in values.chunks(CHUNK) {
        found.extend(tx.pending_candidates(directory.key, chunk)?);
    }
    found.sort_unstable_by_key(|named| named.key);
    Ok(found)
}

/// The ids that are not among the found.
fn unknown<'i, 'f>(
    ids: &'i [String],
    found: impl ExactSizeIterator<Item = &'f str>,
) -> Vec<&'i str> {
    if ids.len() == found.len() {
        return Vec::new();
    }
    let known: HashSet<&str> = found.collect();
    ids.iter().map(String::as_str).filter(|id| !known.contains(id)).collect()
}

fn refuse(unknown: &[&str]) -> Result<(), ScimError> {
    if unknown.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = unknown
        .iter()
        .take(5)
        .map(|id| format!("\"{}\"", id.chars().take(80).collect::<String>()))
        .collect();
    let more = unknown.len().saturating_sub(shown.len());
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(ScimError::invalid_value(format!(
        "The attribute \"members\" names {}{rest}, which is no id of a resource in this directory.",
        shown.join(", ")
    )))
}

/// What is longer than an externalId can be waits for nothing.
fn refuse_long(values: &[&str]) -> Result<(), ScimError> {
    let Some(long) = values.iter().find(|value| value.len() > MAX_KEY_BYTES) else {
        return Ok(());
    };
    Err(ScimError::invalid_value(format!(
        "The attribute \"members\" names \"{}…\", which is no id of a resource in this directory \
         and, being {} bytes long, no externalId; at most {MAX_KEY_BYTES} are allowed.",
        long.chars().take(80).collect::<String>(),
        long.len()
    )))
}

/// Keeps what the group waits for: values that name nothing yet come, values that the request takes
/// away go.
fn wait_for(
    tx: &mut Tx<'_>,
    group: Group<'_>,
    change: &MemberChange,
    unknown: &[&str],
) -> Result<(), ServiceError> {
    let (directory_key, group_key) = (group.directory.key, group.key);
    if change.only_added_stay {
        tx.pending_remove_others(directory_key, group_key, unknown)?;
    } else if !change.remove.is_empty() {
        tx.pending_remove(directory_key, group_key, &change.remove)?;
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let too_many = || {
        ScimError::invalid_value(format!(
            "The group would wait for more than {MAX_PENDING} members that are not in this \
             directory; add them when they are there."
        ))
    };
    if unknown.len() > MAX_PENDING {
        return Err(too_many().into());
    }
    for values in unknown.chunks(CHUNK) {
        tx.pending_add(directory_key, group_key, values, group.now)?;
    }
    let waiting = usize::try_from(tx.pending_count(directory_key, group_key)?);
    match waiting.is_ok_and(|waiting| waiting <= MAX_PENDING) {
        true => Ok(()),
        false => Err(too_many().into()),
    }
}

/// Makes a resource with that externalId a member of every group that waits for it; answers the keys
/// of those groups. The groups are locked.
///
/// What waits is read again under the locks: a group may be gone meanwhile, or another resource with
/// that externalId may have come first.
pub(super) fn arrive(
    tx: &mut Tx<'_>,
    directory: &Directory,
    external_id: &str,
    key: i64,
) -> Result<Vec<i64>, StoreError> {
    let waiting = tx.pending_groups(directory.key, external_id)?;
    if waiting.is_empty() {
        return Ok(waiting);
    }
    tx.membership_lock_groups(directory.key, &waiting)?;
    let waiting = tx.pending_groups(directory.key, external_id)?;
    let mut joined = Vec::with_capacity(waiting.len());
    for group in &waiting {
        if !tx.member_add(directory.key, *group, &[key])?.is_empty() {
            joined.push(*group);
        }
    }
    tx.pending_arrived(directory.key, external_id, &waiting)?;
    Ok(joined)
}

/// A filter over members other than by id needs to see them; the steps are then played through on
/// the list as it is. Members are looked at page by page; only the ids that match are kept.
pub(super) fn fold_with_elements(
    tx: &mut Tx<'_>,
    group: Group<'_>,
    steps: &[MemberStep],
) -> Result<MemberChange, ServiceError> {
    let attribute = members_attribute(group.resource_type)
        .ok_or_else(|| ScimError::invalid_path("This resource type has no members."))?;
    let mut plain = Vec::with_capacity(steps.len());
    for step in steps {
        let MemberStep::RemoveMatching(filter) = step else {
            plain.push(step.clone());
            continue;
        };
        let condition = resolve_element(filter, attribute)
            .map_err(|error| ScimError::invalid_path(error.detail))?;
        let (mut ids, mut after) = (Vec::new(), 0);
        loop {
            let page = tx.member_list(group.directory.key, group.key, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.key;
            let matching = page.iter().filter(|row| condition.matches(&element(row)));
            ids.extend(matching.map(|row| row.id.clone()));
        }
        plain.push(MemberStep::Remove(ids));
    }
    MemberChange::fold(&plain)
        .ok_or_else(|| ScimError::invalid_path("The members filter cannot be resolved.").into())
}

/// A member as a filter sees it.
fn element(row: &MemberRow) -> serde_json::Value {
    json!({"value": row.id, "type": row.resource_type, "display": row.display})
}
