//! Roles follow memberships, in the unit that changes one.
//!
//! Up to 100 users are told in the unit itself; of more the unit leaves a note, and the job tells
//! ([`super::work`]). Users are told only if the group, or a group above it, is in the role map.
//!
//! Two units may change the way from a user to a group at two places at once, and on PostgreSQL neither
//! sees the other: one puts a group into a mapped group while the other takes a group out of the inner
//! one. A user's row is locked before it is asked where the user's groups lead, so two changes of the
//! user's own memberships see each other. Whoever changes where a *group* is, leaves a note besides, even
//! when it sees no way from there to a role, and the job looks at everybody below once all units of that
//! moment have ended.
//!
//! Locks: groups, notes of groups, users in the order of their keys, notes of users.

use std::collections::{HashMap, HashSet};

use super::roles::RoleMap;
use crate::scim::Object;
use crate::service::context::Directory;
use crate::service::record::Recorder;
use crate::service::seen::object;
use crate::store::mapping::{MappedUser, RoleWork};
use crate::store::resource::{Mapped, ResourceContent, ResourceRow};
use crate::store::{StoreError, Tx};

/// Users of whom one unit tells the app something.
pub(in crate::service) const TOLD: usize = 100;

/// Resources below a group that a unit looks for; more are left to the job.
const MOST_BELOW: i64 = 1_000;

/// How many keys go into one statement.
pub(super) const CHUNK: usize = 1_000;

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

/// Who is moved by a change of a group's members. The users are locked.
#[derive(Debug)]
pub(in crate::service) struct Moved {
    /// In the order of their keys.
    users: Vec<i64>,
    /// The unit tells all of them; otherwise these are those who moved themselves, and the job does it.
    is_told_at_once: bool,
}

/// Members have left the group, or joined it; its row is locked, and no user is. Leaves a note of every
/// group among them, whatever is known of the way from there to a role, then locks all users whose roles
/// the unit may change, in one go: two units that lock the same users in two goes wait for each other.
/// `None` where roles follow from no membership.
pub(in crate::service) fn lock(
    tx: &mut Tx<'_>,
    recorder: &Recorder<'_>,
    group: &ResourceRow,
    keys: &[i64],
) -> Result<Option<Moved>, StoreError> {
    let directory = recorder.directory;
    let Some(map) = directory.mapping.group_roles().filter(|_| !keys.is_empty()) else {
        return Ok(None);
    };
    let (direct, groups) = users_and_groups(tx, directory.key, keys)?;
    let mut moved = Moved { is_told_at_once: direct.len() <= TOLD, users: direct };
    if !groups.is_empty() {
        tx.role_work_add(directory.key, RoleWork::Below, &groups)?;
        if moved.is_told_at_once && leads_to_roles(tx, directory, map, group)? {
            moved.add_below(tx, directory.key, &groups)?;
        }
    }
    for users in moved.users.chunks(CHUNK) {
        tx.app_user_lock(directory.key, users)?;
    }
    Ok(Some(moved))
}

impl Moved {
    /// Adds the users below groups, if they are not too many.
    fn add_below(
        &mut self,
        tx: &mut Tx<'_>,
        directory_key: i64,
        groups: &[i64],
    ) -> Result<(), StoreError> {
        let below = tx.below_groups(directory_key, groups, MOST_BELOW)?;
        self.is_told_at_once = i64::try_from(below.len()).is_ok_and(|found| found < MOST_BELOW);
        if !self.is_told_at_once {
            return Ok(());
        }
        let mut users = users_and_groups(tx, directory_key, &below)?.0;
        users.extend(&self.users);
        users.sort_unstable();
        users.dedup();
        self.is_told_at_once = users.len() <= TOLD;
        if self.is_told_at_once {
            self.users = users;
        }
        Ok(())
    }

    /// Brings the users to their roles, or leaves that to the job. It finds those below the groups by
    /// itself, and takes a note away while it holds the user: it cannot take one whose reason it does not
    /// see yet.
    fn settle(self, tx: &mut Tx<'_>, recorder: &mut Recorder<'_>) -> Result<(), StoreError> {
        if self.is_told_at_once {
            settle(tx, recorder, &self.users)?;
            return Ok(());
        }
        for users in self.users.chunks(CHUNK) {
            tx.role_work_add(recorder.directory.key, RoleWork::User, users)?;
        }
        Ok(())
    }
}

/// Brings those whom [`lock`] has locked to their roles; behind the events of their memberships.
pub(in crate::service) fn moved(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    group: &ResourceRow,
    moved: Option<Moved>,
) -> Result<(), StoreError> {
    let directory = recorder.directory;
    let Some((map, moved)) = directory.mapping.group_roles().zip(moved) else { return Ok(()) };
    // Asked again under the locks: who has made a way from the group to a role without seeing this change
    // held the users before.
    match !moved.users.is_empty() && may_lead_to_roles(tx, directory, map, group)? {
        true => moved.settle(tx, recorder),
        false => Ok(()),
    }
}

/// The members of a group that is about to end, if that is about their roles. Its row is locked.
pub(in crate::service) fn before_end(
    tx: &mut Tx<'_>,
    recorder: &Recorder<'_>,
    group: &ResourceRow,
) -> Result<Option<Moved>, StoreError> {
    let directory = recorder.directory;
    let Some(map) = directory.mapping.group_roles().filter(|_| group.resource_type == "Group")
    else {
        return Ok(None);
    };
    let members = tx.member_keys(directory.key, group.key, 0, i64::MAX)?;
    match lock(tx, recorder, group, &members)? {
        Some(moved) if may_lead_to_roles(tx, directory, map, group)? => Ok(Some(moved)),
        _ => Ok(None),
    }
}

/// The group has ended.
pub(in crate::service) fn after_end(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    moved: Option<Moved>,
) -> Result<(), StoreError> {
    moved.map_or(Ok(()), |moved| moved.settle(tx, recorder))
}

/// Whether who is in the group gets roles for it, or got some and the job has not taken them yet: it will
/// look at those who are below a group by then.
fn may_lead_to_roles(
    tx: &mut Tx<'_>,
    directory: &Directory,
    map: &RoleMap,
    group: &ResourceRow,
) -> Result<bool, StoreError> {
    Ok(leads_to_roles(tx, directory, map, group)? || tx.role_work_of_groups(directory.key)?)
}

/// Whether who is in the group gets roles for it, as far as this unit sees.
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
            excluded: None,
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
