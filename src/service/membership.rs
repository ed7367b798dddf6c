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
use crate::store::member::{Candidate, MemberRow};
use crate::store::pending::{Guard, Named};
use crate::store::{StoreError, Tx};

/// How many ids go into one statement.
const CHUNK: usize = 1_000;

/// What really changed, by member key.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) removed: Vec<i64>,
    pub(super) added: Vec<i64>,
    /// Values of the request that wait for their resources.
    pub(super) waiting: Listed,
}

impl Outcome {
    pub(super) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }
}

/// Most values that one group may wait for.
const MAX_PENDING: usize = 10_000;

/// A group.
#[derive(Clone, Copy)]
struct Place {
    directory_key: i64,
    group_key: i64,
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
pub(super) fn apply(
    tx: &mut Tx<'_>,
    directory: &Directory,
    resource_type: &ResourceType,
    group_key: i64,
    steps: &[MemberStep],
    now: i64,
) -> Result<Outcome, ServiceError> {
    let change = match MemberChange::fold(steps) {
        Some(change) => change,
        None => fold_with_elements(tx, directory, resource_type, group_key, steps)?,
    };
    let mut outcome = Outcome::default();
    if change.is_empty() {
        return Ok(outcome);
    }
    let holds = directory.profile.hold_unknown_members;
    let found = candidates(tx, directory, &change.add)?;
    let mut missing = unknown(&change.add, &found);
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
            tx.pending_remove(directory.key, group_key, &there)?;
        }
    } else {
        refuse(&missing)?;
    }
    let place = Place { directory_key: directory.key, group_key };
    wait_for(tx, place, &change, &missing, now)?;
    missing.iter().for_each(|value| outcome.waiting.push(value, MAX_NAMED));
    if change.only_added_stay {
        outcome.removed = tx.member_remove_others(directory.key, group_key, &wanted)?;
    } else {
        let found = candidates(tx, directory, &change.remove)?;
        let mut unwanted: Vec<i64> = found.iter().map(|candidate| candidate.key).collect();
        if holds {
            let missing = unknown(&change.remove, &found);
            unwanted.extend(named(tx, directory, &missing)?.iter().map(|n| n.key));
            // The same member under its other name is to stay.
            let stays: HashSet<i64> = wanted.iter().copied().collect();
            unwanted.retain(|key| !stays.contains(key));
        }
        for keys in unwanted.chunks(CHUNK) {
            outcome.removed.extend(tx.member_remove(directory.key, group_key, keys)?);
        }
    }
    for keys in wanted.chunks(CHUNK) {
        outcome.added.extend(tx.member_add(directory.key, group_key, keys)?);
    }
    outcome.removed.sort_unstable();
    outcome.added.sort_unstable();
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
fn unknown<'i>(ids: &'i [String], found: &[Candidate]) -> Vec<&'i str> {
    if ids.len() == found.len() {
        return Vec::new();
    }
    let known: HashSet<&str> = found.iter().map(|c| c.id.as_str()).collect();
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
    place: Place,
    change: &MemberChange,
    unknown: &[&str],
    now: i64,
) -> Result<(), ServiceError> {
    let Place { directory_key, group_key } = place;
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
        tx.pending_add(directory_key, group_key, values, now)?;
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
/// the list as it is.
fn fold_with_elements(
    tx: &mut Tx<'_>,
    directory: &Directory,
    resource_type: &ResourceType,
    group_key: i64,
    steps: &[MemberStep],
) -> Result<MemberChange, ServiceError> {
    let attribute = members_attribute(resource_type)
        .ok_or_else(|| ScimError::invalid_path("This resource type has no members."))?;
    let mut rows: Vec<MemberRow> = Vec::new();
    loop {
        let after = rows.last().map_or(0, |row| row.key);
        let page = tx.member_list(directory.key, group_key, after, 10_000)?;
        let last = page.is_empty();
        rows.extend(page);
        if last {
            break;
        }
    }
    let mut plain = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            MemberStep::RemoveMatching(filter) => {
                let condition = resolve_element(filter, attribute)
                    .map_err(|error| ScimError::invalid_path(error.detail))?;
                let ids = rows
                    .iter()
                    .filter(|row| condition.matches(&element(row)))
                    .map(|row| row.id.clone())
                    .collect();
                plain.push(MemberStep::Remove(ids));
            }
            other => plain.push(other.clone()),
        }
    }
    MemberChange::fold(&plain)
        .ok_or_else(|| ScimError::invalid_path("The members filter cannot be resolved.").into())
}

/// A member as a filter sees it.
fn element(row: &MemberRow) -> serde_json::Value {
    json!({"value": row.id, "type": row.resource_type, "display": row.display})
}
