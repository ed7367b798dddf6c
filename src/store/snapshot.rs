//! What the app sees of a directory, in the order of ids: groups, users, memberships.
//!
//! Ids order rows that come and go while somebody walks: an id is never used again, and it says on which
//! side of the walk a row belongs that is gone by now.

use diesel::sql_types::{BigInt, Text};

use super::StoreError;
use super::resource::{RESOURCE_COLUMNS, ResourceRow, ResourceSql, key_list};
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
        let list = self.dialect.pick(
            "SELECT value FROM json_each(?)",
            "SELECT CAST(value AS BIGINT) FROM jsonb_array_elements_text(CAST(? AS jsonb)) j (value)",
        );
        let text = format!(
            "SELECT u.id, g.id, g.key FROM member m \
             JOIN resource u ON u.directory_key = m.directory_key AND u.key = m.member_key \
             JOIN resource g ON g.directory_key = m.directory_key AND g.key = m.group_key \
             WHERE m.directory_key = ? AND g.app_state <> 'hidden' AND m.member_key IN ({list}) \
             AND (u.id > ? OR (u.id = ? AND g.id > ?)) ORDER BY u.id, g.id LIMIT ?"
        );
        self.rows::<(Text, Text, BigInt), _>(
            &text,
            &[
                Bind::Int(directory_key),
                Bind::Owned(key_list(user_keys)),
                Bind::Text(after.0),
                Bind::Text(after.0),
                Bind::Text(after.1),
                Bind::Int(limit),
            ],
        )
    }
}
