//! What the app sees of a directory, in the order of ids: groups, users, memberships.
//!
//! Ids order rows that come and go while somebody walks: an id is never used again, and it says on which
//! side of the walk a row belongs that is gone by now.

use diesel::sql_types::{BigInt, Text};

use super::StoreError;
use super::resource::{IS_RESOURCE, RESOURCE_COLUMNS, ResourceRow, ResourceSql, key_list};
use super::sql::{Bind, Tx};

/// A stretch of ids: behind `after`, up to `until`.
#[derive(Clone, Copy, Debug)]
pub struct Ids<'i> {
    pub after: &'i str,
    pub until: &'i str,
    pub limit: i64,
}

/// Sorts behind every id: those are ASCII.
pub const LAST_ID: &str = "\u{10FFFF}";

impl Tx<'_> {
    /// Groups or users whom policies do not hide.
    pub fn snapshot_resources(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        ids: Ids<'_>,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        self.rows::<ResourceSql, _>(
            &format!(
                "SELECT {RESOURCE_COLUMNS} FROM resource r WHERE r.directory_key = ? \
                 AND r.resource_type = ? AND r.app_state <> 'hidden' AND r.id > ? AND r.id <= ? \
                 ORDER BY r.id LIMIT ?"
            ),
            &[
                Bind::Int(directory_key),
                Bind::Text(resource_type),
                Bind::Text(ids.after),
                Bind::Text(ids.until),
                Bind::Int(ids.limit),
            ],
        )
    }

    /// Direct memberships of these users in groups that are not hidden, as (user id, group id, group key), behind that pair of ids.
    pub fn snapshot_members(
        &mut self,
        directory_key: i64,
        user_keys: &[i64],
        after: (&str, &str),
        limit: i64,
    ) -> Result<Vec<(String, String, i64)>, StoreError> {
        let dialect = self.dialect;
        let text = format!(
            "SELECT r.id, g.id, g.key FROM {} {} {} {} WHERE g.app_state <> 'hidden' \
             AND (r.id > ? OR (r.id = ? AND g.id > ?)) ORDER BY r.id, g.id LIMIT ?",
            dialect.keys(),
            dialect.each("resource", "r", IS_RESOURCE),
            dialect.each(
                "member",
                "m",
                "m.directory_key = r.directory_key AND m.member_key = r.key"
            ),
            dialect.each(
                "resource",
                "g",
                "g.directory_key = m.directory_key AND g.key = m.group_key"
            )
        );
        self.rows::<(Text, Text, BigInt), _>(
            &text,
            &[
                Bind::Owned(key_list(user_keys)),
                Bind::Int(directory_key),
                Bind::Text(after.0),
                Bind::Text(after.0),
                Bind::Text(after.1),
                Bind::Int(limit),
            ],
        )
    }
}
