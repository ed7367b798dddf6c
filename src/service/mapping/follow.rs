//! Roles follow memberships, in the unit that changes one.
//!
//! Up to 100 users are told in the unit itself; of more the unit leaves a note, and the job tells
//! ([`super::work`]). A change is looked at only if its group, or a group above it, is in the role map.
//!
//! Two units may change the way from a user to a group at two places at once, and on PostgreSQL neither
//! sees the other: one puts a group into a mapped group while the other puts a user into the inner one.
//! A user's row is locked before its memberships are read, so two changes of the user's own memberships
//! see each other. Whoever changes where a *group* is, leaves a note besides, and the job looks at
//! everybody below once all units of that moment have ended.

use std::collections::{HashMap, HashSet};

use super::roles::RoleMap;
use crate::scim::Object;
use crate::service::context::Directory;
use crate::service::record::{Recorder, object};
use crate::store::mapping::{MappedUser, RoleWork};
use crate::store::resource::{Mapped, ResourceContent, ResourceRow};
use crate::store::{StoreError, Tx};

/// Users of whom one unit tells the app something.
pub(super) const TOLD: usize = 100;

/// Resources below a group that a unit looks for; more are left to the job.
const MOST_BELOW: i64 = 1_000;

/// How many keys go into one statement.
const CHUNK: usize = 1_000;

/// The groups that have each of some users, directly or not, by their ids.
pub(super) type GroupIds = HashMap<i64, HashSet<String>>;

/// The roles of a resource whose content changes; `strips` says that all its memberships end. The row is
/// locked.
pub(in crate::service) fn roles_after(
    tx: &mut Tx<'_>,
    directory: &Directory,
    row: &ResourceRow,
    content: &ResourceContent,
    strips: bool,
) -> Result<Option<String>, StoreError> {
    let Some(map) = &directory.mapping.roles else { return Ok(None) };
    if strips || !map.reads_groups() || row.resource_type != "User" {
        return Ok(content.mapped.roles.clone());
    }
    if !map.reads_document() {
        return Ok(row.roles.clone());
    }
    let groups = tx.membership_list(directory.key, row.key)?;
    let ids: HashSet<&str> = groups.iter().map(|group| group.group_id.as_str()).collect();
    Ok(map.text_of(&object(&content.doc), &ids))
}

/// Members have left the group, or joined it. Its row and those of the users are locked.
pub(in crate::service) fn moved(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    group: &ResourceRow,
    moved: [&[i64]; 2],
) -> Result<(), StoreError> {
    let Some(map) = recorder.directory.mapping.group_roles() else { return Ok(()) };
    let keys = moved.concat();
    if keys.is_empty() || !leads_to_roles(tx, recorder.directory, map, group)? {
        return Ok(());
    }
    affected(tx, recorder, &keys)
}

/// The members of a group that is about to end, if that is about roles.
pub(in crate::service) fn before_end(
    tx: &mut Tx<'_>,
    recorder: &Recorder<'_>,
    group: &ResourceRow,
) -> Result<Vec<i64>, StoreError> {
    let directory = recorder.directory;
    match directory.mapping.group_roles() {
        Some(map) if group.resource_type == "Group" => {
            match leads_to_roles(tx, directory, map, group)? {
                true => tx.member_keys(directory.key, group.key, 0, i64::MAX),
                false => Ok(Vec::new()),
            }
        }
        _ => Ok(Vec::new()),
    }
}

/// The group has ended.
pub(in crate::service) fn after_end(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    members: &[i64],
) -> Result<(), StoreError> {
    match members.is_empty() {
        true => Ok(()),
        false => affected(tx, recorder, members),
    }
}

/// Whether who is in the group gets roles for it.
fn leads_to_roles(
    tx: &mut Tx<'_>,
    directory: &Directory,
    map: &RoleMap,
    group: &ResourceRow,
) -> Result<bool, StoreError> {
    if map.groups().contains(&group.id) {
        return Ok(true);
    }
    let above = tx.membership_list(directory.key, group.key)?;
    Ok(above.iter().any(|above| map.groups().contains(&above.group_id)))
}

/// Users and groups below which the roles may have changed.
fn affected(tx: &mut Tx<'_>, recorder: &mut Recorder<'_>, keys: &[i64]) -> Result<(), StoreError> {
    let directory_key = recorder.directory.key;
    let (direct, groups) = users_and_groups(tx, directory_key, keys)?;
    let mut users = direct.clone();
    let mut is_many = direct.len() > TOLD;
    if !groups.is_empty() {
        tx.role_work_add(directory_key, RoleWork::Below, &groups)?;
        let below = tx.below_groups(directory_key, &groups, MOST_BELOW)?;
        is_many |= i64::try_from(below.len()).is_ok_and(|found| found >= MOST_BELOW);
        if !is_many {
            users.extend(users_and_groups(tx, directory_key, &below)?.0);
            users.sort_unstable();
            users.dedup();
            is_many = users.len() > TOLD;
        }
    }
    if !is_many {
        settle(tx, recorder, &users)?;
        return Ok(());
    }
    // The job finds those below the groups by itself. It takes a note away while it holds the user, so
    // that it cannot take one whose reason it does not see yet.
    for users in direct.chunks(CHUNK) {
        tx.app_user_lock(directory_key, users)?;
        tx.role_work_add(directory_key, RoleWork::User, users)?;
    }
    Ok(())
}

fn users_and_groups(
    tx: &mut Tx<'_>,
    directory_key: i64,
    keys: &[i64],
) -> Result<(Vec<i64>, Vec<i64>), StoreError> {
    let (mut users, mut groups) = (Vec::new(), Vec::new());
    for keys in keys.chunks(CHUNK) {
        for (key, kind) in tx.resource_kinds(directory_key, keys)? {
            match kind.as_str() {
                "User" => users.push(key),
                "Group" => groups.push(key),
                _ => {}
            }
        }
    }
    users.sort_unstable();
    groups.sort_unstable();
    Ok((users, groups))
}

/// Brings the roles of users to what their memberships say now; answers of how many the app was told, or
/// would be if it saw them.
pub(super) fn settle(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    keys: &[i64],
) -> Result<usize, StoreError> {
    let directory = recorder.directory;
    let Some(map) = directory.mapping.group_roles() else { return Ok(0) };
    let users = tx.mapping_lock(directory.key, keys)?;
    let groups = group_ids(tx, directory.key, keys)?;
    let mut changed = 0;
    for user in users {
        let document = match map.reads_document() {
            true => object(&user.row.doc),
            false => Object::new(),
        };
        let mapped = Mapped {
            custom_attributes: user.row.custom_attributes.clone(),
            faults: user.faults.clone(),
            roles: map.text_of(&document, &ids_of(&groups, user.row.key)),
        };
        changed += usize::from(write(tx, recorder, user, mapped)?);
    }
    Ok(changed)
}

/// The groups of users whose rows are locked.
pub(super) fn group_ids(
    tx: &mut Tx<'_>,
    directory_key: i64,
    users: &[i64],
) -> Result<GroupIds, StoreError> {
    let mut found = GroupIds::new();
    for (user, group) in tx.membership_lists(directory_key, users)? {
        found.entry(user).or_default().insert(group.group_id);
    }
    Ok(found)
}

pub(super) fn ids_of(groups: &GroupIds, user: i64) -> HashSet<&str> {
    groups.get(&user).into_iter().flatten().map(String::as_str).collect()
}

/// Writes what the maps make of a user whose row is locked, and tells the app; false when it is stored
/// already.
pub(super) fn write(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    user: MappedUser,
    mapped: Mapped,
) -> Result<bool, StoreError> {
    let MappedUser { row, faults } = user;
    let is_seen = mapped.custom_attributes != row.custom_attributes || mapped.roles != row.roles;
    if !is_seen && mapped.faults == faults {
        return Ok(false);
    }
    tx.mapping_write(recorder.directory.key, row.key, &mapped)?;
    if !is_seen {
        return Ok(false);
    }
    let Mapped { custom_attributes, roles, .. } = mapped;
    let new = ResourceRow { custom_attributes, roles, ..row.clone() };
    recorder.updated(tx, &row, &new, None)?;
    Ok(true)
}
