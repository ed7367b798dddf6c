//! What the app is told when users come and go for it, by whatever way: the one place where the
//! state of a user turns into events.
//!
//! The app has been told a state of every user (`resource.app_state`). A change computes the state
//! that the policies want and, where it differs, tells the difference: an inactive user is an update,
//! one who is hidden leaves every group and is deleted, one who is shown again is created and joins
//! every group. About hidden users and their memberships the app hears nothing.
//!
//! Locks: groups in the order of their keys, then users in the order of theirs, then what counts removals
//! and the alarm about them. Who hides or shows a user holds the user's groups and the user against every
//! other unit, so that no membership comes or goes unseen.

use super::exchange::Listed;
use super::mapping::follow;
use super::record::{MAX_NAMED, Recorder};
use super::seen::object;
use crate::event::{Reason, name};
use crate::scim::resource::project::strip_hidden;
use crate::store::app_group::{AppGroup, Telling};
use crate::store::app_user::AppUser;
use crate::store::brake::Taken;
use crate::store::brake_note::Membership;
use crate::store::departed::DepartedRow;
use crate::store::resource::{AppState, ResourceRow};
use crate::store::{StoreError, Tx};

use super::policy::{self, DepartedUntil};

/// How many keys go into one statement.
const CHUNK: usize = 1_000;

/// Tells the change of a user from one row to the other. `groups` are all that the user is in.
pub(super) fn tell(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    old: &ResourceRow,
    new: &ResourceRow,
    groups: &[i64],
) -> Result<(), StoreError> {
    let reason = recorder.inactive_reason(new);
    match (old.app_state.is_visible(), new.app_state.is_visible()) {
        // Whose address it is others may have to know.
        (false, false) => recorder.account_changed(tx, new),
        (true, true) => {
            let ends = old.app_state == AppState::Active && new.app_state == AppState::Inactive;
            recorder.updated(tx, old, new, ends.then_some(reason))
        }
        (true, false) => {
            let groups = [groups, &emptied(tx, recorder, new.key)?].concat();
            let groups = group_rows(tx, recorder, &groups)?;
            recorder.left(tx, old, &groups, reason)?;
            recorder.deleted(tx, old, new, Some(reason))?;
            // In SCIM the user is there, and may come back.
            recorder.account_seen(tx, new)
        }
        (false, true) => {
            // The app is not told that the user is in these.
            emptied(tx, recorder, new.key)?;
            recorder.created(tx, &[(new, None)])?;
            let groups = group_rows(tx, recorder, groups)?;
            recorder.entered(tx, new, &groups)
        }
    }
}

impl Recorder<'_> {
    /// Why a user is inactive who was active before.
    fn inactive_reason(&self, user: &ResourceRow) -> Reason {
        self.removal.filter(|_| !user.active).unwrap_or_else(|| policy::reason(user))
    }
}

/// Groups that are being deleted in several units and have lost the user in one of them, as far as nobody
/// was told. The user is locked; the answer is given once.
fn emptied(tx: &mut Tx<'_>, recorder: &Recorder<'_>, user: i64) -> Result<Vec<i64>, StoreError> {
    match recorder.has_intents {
        true => tx.intent_emptied_take(recorder.directory.key, user),
        false => Ok(Vec::new()),
    }
}

/// The rows of groups in the order of their keys.
pub(super) fn group_rows(
    tx: &mut Tx<'_>,
    recorder: &Recorder<'_>,
    groups: &[i64],
) -> Result<Vec<ResourceRow>, StoreError> {
    let mut rows = tx.resource_rows(recorder.directory.key, groups)?;
    rows.sort_unstable_by_key(|group| group.key);
    Ok(rows)
}

/// Takes a user who becomes inactive out of every group; the app hears of it if it sees the user.
/// The groups and the user are locked. Answers which groups they are.
pub(super) fn strip(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    user: &ResourceRow,
    groups: &[i64],
) -> Result<Listed, StoreError> {
    let mut named = Listed::default();
    if groups.is_empty() {
        return Ok(named);
    }
    let directory_key = recorder.directory.key;
    for group in groups {
        recorder.note_members(tx, *group, &[user.key], Membership::Ended)?;
    }
    tx.membership_strip(directory_key, user.key)?;
    for group in groups {
        tx.resource_touch(directory_key, *group, recorder.now)?;
    }
    let groups = group_rows(tx, recorder, groups)?;
    if user.app_state.is_visible() {
        let reason = recorder.removal.unwrap_or(Reason::ScimActiveFalse);
        recorder.left(tx, user, &groups, reason)?;
    }
    note_groupless(tx, recorder, &[user.key])?;
    groups.iter().for_each(|group| named.push(&group.id, MAX_NAMED));
    Ok(named)
}

/// Tells who has left a group, which is locked, and who has joined it, and what that makes of their roles.
/// Answers who they are.
pub(super) fn moved(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    group: &ResourceRow,
    removed: &[i64],
    added: &[i64],
) -> Result<[Listed; 2], StoreError> {
    let mut keys = [removed, added].concat();
    let followed = follow::lock(tx, recorder, group, &keys)?;
    if followed.is_none() && !removed.is_empty() {
        // In one go: two changes that swap users would wait for each other. And before removals are
        // counted: whoever deactivates a user counts that while it holds the user.
        let changes = match added.is_empty() {
            true => recorder.in_force.policies.suspend_when_groupless.is_some(),
            false => recorder.in_force.may_lift(),
        };
        if changes || recorder.counts() {
            keys.sort_unstable();
            keep(tx, recorder, &keys, !changes)?;
        }
    }
    let told = [left(tx, recorder, group, removed)?, joined(tx, recorder, group, added)?];
    follow::moved(tx, recorder, group, followed)?;
    Ok(told)
}

/// Locks users whom the unit reads later, or changes.
fn keep(
    tx: &mut Tx<'_>,
    recorder: &Recorder<'_>,
    keys: &[i64],
    reads: bool,
) -> Result<(), StoreError> {
    for keys in keys.chunks(CHUNK) {
        tx.app_user_keep(recorder.directory.key, keys, reads)?;
    }
    Ok(())
}

/// Locks users who lose a membership of which nobody is told, where that begins a clock.
pub(super) fn keep_leaving(
    tx: &mut Tx<'_>,
    recorder: &Recorder<'_>,
    keys: &[i64],
) -> Result<(), StoreError> {
    match recorder.in_force.policies.suspend_when_groupless.is_some() {
        true => keep(tx, recorder, keys, false),
        false => Ok(()),
    }
}

/// How many memberships in a group the app may see of these: none while it does not see the group.
pub(super) fn seen_in(group: &ResourceRow, keys: &[i64]) -> i64 {
    match group.app_state.is_visible() {
        true => i64::try_from(keys.len()).unwrap_or(i64::MAX),
        false => 0,
    }
}

/// Members have left a group. Answers who they are.
fn left(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    group: &ResourceRow,
    keys: &[i64],
) -> Result<Listed, StoreError> {
    let memberships = seen_in(group, keys);
    recorder.takes_away(tx, Taken { memberships, ..Taken::default() }, Taken::default())?;
    recorder.note_members(tx, group.key, keys, Membership::Ended)?;
    note_groupless(tx, recorder, keys)?;
    recorder.members(tx, name::GROUP_USER_REMOVED, group, keys)
}

/// Starts the clock of users who have lost their last membership, where the directory wants it.
pub(super) fn note_groupless(
    tx: &mut Tx<'_>,
    recorder: &Recorder<'_>,
    keys: &[i64],
) -> Result<(), StoreError> {
    if recorder.in_force.policies.suspend_when_groupless.is_none() {
        return Ok(());
    }
    let directory_key = recorder.directory.key;
    for keys in keys.chunks(CHUNK) {
        // Two groups may lose the same user at once: the second sees what the first one did.
        let users: Vec<i64> =
            tx.app_user_lock(directory_key, keys)?.iter().map(|user| user.key).collect();
        tx.groupless_mark(directory_key, &users, recorder.now)?;
    }
    Ok(())
}

/// Members have joined a group. Who was suspended for being in none comes back. Answers who they are.
fn joined(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    group: &ResourceRow,
    keys: &[i64],
) -> Result<Listed, StoreError> {
    recorder.note_members(tx, group.key, keys, Membership::Given)?;
    rejoined(tx, recorder, keys)?;
    recorder.members(tx, name::GROUP_USER_ADDED, group, keys)
}

/// Brings those of some users back who were suspended for being in no group: they are in one now.
pub(super) fn rejoined(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    keys: &[i64],
) -> Result<(), StoreError> {
    if recorder.in_force.may_lift() {
        for keys in keys.chunks(CHUNK) {
            for user in tx.app_user_lock(recorder.directory.key, keys)? {
                if user.suspended || user.groupless_since.is_some() {
                    lift(tx, recorder, user)?;
                }
            }
        }
    }
    Ok(())
}

/// The user is in a group again. Memberships are told by those who made them: there were none.
fn lift(tx: &mut Tx<'_>, recorder: &mut Recorder<'_>, user: AppUser) -> Result<(), StoreError> {
    let directory_key = recorder.directory.key;
    let state = recorder.in_force.policies.state(user.active, false, user.excluded);
    let lifted = AppUser { app_state: state, suspended: false, groupless_since: None, ..user };
    tx.app_user_set(directory_key, &lifted)?;
    if state == user.app_state {
        return Ok(());
    }
    let Some(new) = tx.resource_rows(directory_key, &[user.key])?.pop() else { return Ok(()) };
    let old = ResourceRow { app_state: user.app_state, ..new.clone() };
    tell(tx, recorder, &old, &new, &[])
}

/// SCIM deletes a user: the memberships end, and the app keeps the user or not. Answers the groups that
/// the user leaves, as far as somebody is told of them.
pub(super) fn depart(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    row: &ResourceRow,
    groups: &[i64],
    keys: (String, Option<String>),
) -> Result<Vec<ResourceRow>, StoreError> {
    if !row.app_state.is_visible() {
        recorder.account_gone(tx, &row.id)?;
        return Ok(Vec::new());
    }
    let reason = recorder.removal.unwrap_or(Reason::ScimDelete);
    let now = recorder.now.max(row.modified);
    let groups = [groups, &emptied(tx, recorder, row.key)?].concat();
    let groups = group_rows(tx, recorder, &groups)?;
    recorder.left(tx, row, &groups, reason)?;
    if !recorder.in_force.policies.keeps_departed() {
        recorder.deleted(tx, row, row, Some(reason))?;
        recorder.account_gone(tx, &row.id)?;
        return Ok(groups);
    }
    let kept = ResourceRow { app_state: AppState::Inactive, modified: now, ..row.clone() };
    recorder.updated(tx, row, &kept, Some(reason))?;
    recorder.account_departed(tx, &kept)?;
    let (user_name_key, external_id) = keys;
    let doc = shown(recorder, &kept.doc);
    let extra = kept.extra.as_deref().map(|extra| shown(recorder, extra));
    let departed = DepartedRow {
        email_key: recorder.email_key(&kept),
        custom_attributes: kept.custom_attributes,
        roles: kept.roles,
        id: kept.id,
        user_name_key,
        external_id,
        doc,
        extra,
        created: kept.created,
        modified: kept.modified,
        departed: recorder.now,
    };
    tx.departed_insert(recorder.directory.key, &departed)?;
    Ok(groups)
}

/// A document of a user without what is never returned. What is kept of the departed outlives the
/// schemas that say so.
fn shown(recorder: &Recorder<'_>, document: &str) -> String {
    let mut document = object(document);
    if let Some(user) = recorder.directory.registry.by_name("User") {
        strip_hidden(&mut document, user);
    }
    serde_json::Value::Object(document).to_string()
}

/// Somebody has the name now; whoever had it before is gone for the app.
pub(super) fn take_name(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    user_name_key: &str,
) -> Result<(), StoreError> {
    if !recorder.in_force.may_have_departed() {
        return Ok(());
    }
    match tx.departed_take_name(recorder.directory.key, user_name_key)? {
        Some(departed) => end(tx, recorder, departed),
        None => Ok(()),
    }
}

/// Ends some of those whose time is over; answers how many.
pub(super) fn end_departed(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    limit: i64,
) -> Result<usize, StoreError> {
    let until = recorder.in_force.policies.departed_until(recorder.now);
    let DepartedUntil::At(until) = until else { return Ok(0) };
    let departed = tx.departed_take(recorder.directory.key, until, limit)?;
    let ended = departed.len();
    for departed in departed {
        end(tx, recorder, departed)?;
    }
    Ok(ended)
}

fn end(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    departed: DepartedRow,
) -> Result<(), StoreError> {
    let row = departed_row(departed);
    recorder.deleted(tx, &row, &row, Some(Reason::ScimDelete))?;
    recorder.account_gone(tx, &row.id)
}

/// A departed user as the inactive user that the app sees.
pub(super) fn departed_row(departed: DepartedRow) -> ResourceRow {
    ResourceRow {
        key: 0,
        id: departed.id,
        resource_type: "User".to_owned(),
        active: false,
        doc: departed.doc,
        extra: departed.extra,
        version: 0,
        created: departed.created,
        modified: departed.modified,
        app_state: AppState::Inactive,
        suspended: false,
        excluded: false,
        groupless_since: None,
        custom_attributes: departed.custom_attributes,
        roles: departed.roles,
    }
}

/// Brings a user to the policies in force, whatever the ones before were, and to what the filter says now.
/// No other unit is in the directory. Nobody becomes suspended unless `suspends`. Answers whether the app was
/// told something.
pub(super) fn settle(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    user: &AppUser,
    excluded: bool,
    suspends: bool,
) -> Result<bool, StoreError> {
    let directory_key = recorder.directory.key;
    // By a clock that has not begun no delay is over.
    let now = if suspends || user.suspended { recorder.now } else { i64::MIN };
    let wanted = recorder.in_force.policies.applied(&AppUser { excluded, ..*user }, now);
    if wanted == *user {
        return Ok(false);
    }
    tx.app_user_set(directory_key, &wanted)?;
    if wanted.app_state == user.app_state {
        return Ok(false);
    }
    let Some(new) = tx.resource_rows(directory_key, &[user.key])?.pop() else { return Ok(false) };
    let old = ResourceRow { app_state: user.app_state, ..new.clone() };
    let groups = tx.membership_groups(directory_key, user.key)?;
    tell(tx, recorder, &old, &new, &groups)?;
    Ok(true)
}

/// What a look at a group has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// The app sees it, or does not, as it should.
    Already,
    /// The app was told, of so many members too.
    Told(i64),
    /// The same, and there are more members.
    More,
}

/// Brings a group to whether the app is to see groups, and tells of up to `most` of its members. No other
/// unit is in the directory.
pub(super) fn settle_group(
    tx: &mut Tx<'_>,
    recorder: &mut Recorder<'_>,
    group: AppGroup,
    most: i64,
) -> Result<Settled, StoreError> {
    let (directory_key, key) = (recorder.directory.key, group.key);
    let telling = tx.telling_get(directory_key)?.filter(|telling| telling.group_key == key);
    let hides = recorder.directory.hides_groups(&recorder.in_force.policies);
    let (was_seen, is_half_told) = (group.app_state.is_visible(), telling.is_some());
    if hides != was_seen && !is_half_told {
        return Ok(Settled::Already);
    }
    let Some(row) = tx.resource_rows(directory_key, &[key])?.pop() else {
        return Ok(Settled::Already);
    };
    if hides {
        tx.telling_set(directory_key, None)?;
        tx.app_group_set(directory_key, key, AppState::Hidden)?;
        recorder.deleted(tx, &row, &row, Some(Reason::FilterExcluded))?;
        return Ok(Settled::Told(0));
    }
    let row = ResourceRow { app_state: AppState::Active, ..row };
    if !was_seen {
        tx.app_group_set(directory_key, key, AppState::Active)?;
        recorder.created(tx, &[(&row, None)])?;
    }
    let after = telling.map_or(0, |telling| telling.member_key);
    let members = tx.member_keys(directory_key, key, after, most)?;
    let told = i64::try_from(members.len()).unwrap_or(i64::MAX);
    let left = members.last().filter(|_| told >= most);
    let left = left.map(|member| Telling { group_key: key, member_key: *member });
    // First: of members up to this one every unit may tell from here on.
    tx.telling_set(directory_key, left)?;
    recorder.members(tx, name::GROUP_USER_ADDED, &row, &members)?;
    Ok(if left.is_some() { Settled::More } else { Settled::Told(told) })
}
