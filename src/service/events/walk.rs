//! What the app sees of a directory, in the order of ids.

use serde_json::Value;

use crate::service::context::Directory;
use crate::service::lifecycle::departed_row;
use crate::service::seen::app_view;
use crate::store::resource::ResourceRow;
use crate::store::snapshot::Ids;
use crate::store::{StoreError, Tx};

/// Memberships that are read at a time.
pub(super) const MEMBERS: i64 = 1_000;

/// A group or a user as the app sees it.
pub(in crate::service) struct Seen {
    pub(in crate::service) id: String,
    /// `None` for users whom SCIM has deleted: no group has them.
    pub(in crate::service) key: Option<i64>,
    /// The object of the app-facing API.
    pub(in crate::service) view: Value,
}

fn seen(directory: &Directory, key: Option<i64>, row: &ResourceRow) -> Option<Seen> {
    app_view(directory, row).map(|view| Seen { id: row.id.clone(), key, view })
}

pub(super) fn groups(
    tx: &mut Tx<'_>,
    directory: &Directory,
    ids: Ids<'_>,
) -> Result<Vec<Seen>, StoreError> {
    let rows = tx.snapshot_resources(directory.key, "Group", ids)?;
    Ok(rows.iter().filter_map(|row| seen(directory, Some(row.key), row)).collect())
}

pub(in crate::service) fn users(
    tx: &mut Tx<'_>,
    directory: &Directory,
    ids: Ids<'_>,
) -> Result<Vec<Seen>, StoreError> {
    let rows = tx.snapshot_resources(directory.key, "User", ids)?;
    let departed = tx.departed_by_id(directory.key, ids.after, ids.until, ids.limit)?;
    let mut users: Vec<Seen> =
        rows.iter().filter_map(|row| seen(directory, Some(row.key), row)).collect();
    let departed = departed.into_iter().map(departed_row);
    users.extend(departed.filter_map(|row| seen(directory, None, &row)));
    users.sort_by(|a, b| a.id.cmp(&b.id));
    users.truncate(usize::try_from(ids.limit).unwrap_or(usize::MAX));
    Ok(users)
}

/// Users from one id to another, both included: a stretch that was read before, as it is now.
pub(super) fn users_from(
    tx: &mut Tx<'_>,
    directory: &Directory,
    from: &str,
    until: &str,
) -> Result<Vec<Seen>, StoreError> {
    // A little before the id: few ids share all but their last character.
    let mut before = from.to_owned();
    before.pop();
    let all = users(tx, directory, Ids { after: &before, until, limit: i64::MAX })?;
    Ok(all.into_iter().filter(|user| user.id.as_str() >= from).collect())
}

/// The ids of the groups of each of these users, in the order of (user id, group id).
pub(super) fn memberships(
    tx: &mut Tx<'_>,
    directory: &Directory,
    users: &[Seen],
) -> Result<Vec<(String, String)>, StoreError> {
    let keys: Vec<i64> = users.iter().filter_map(|user| user.key).collect();
    let mut all: Vec<(String, String)> = Vec::new();
    loop {
        let after = all.last().cloned().unwrap_or_default();
        let after = (after.0.as_str(), after.1.as_str());
        let page = tx.snapshot_members(directory.key, &keys, after, MEMBERS)?;
        let full = i64::try_from(page.len()).unwrap_or(i64::MAX) >= MEMBERS;
        all.extend(page.into_iter().map(|(user, group, _)| (user, group)));
        if !full {
            return Ok(all);
        }
    }
}
