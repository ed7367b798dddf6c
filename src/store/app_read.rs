//! What the read API looks up: users, groups and directories by id, along indexes.
//!
//! SQLite keeps no statistics; `CROSS JOIN` fixes the order of its loops, and `+` keeps it from an
//! index that would read the whole directory.

use std::collections::HashMap;

use diesel::Queryable;
use diesel::sql_types::{BigInt, Bool, Text};

use super::member::IS_MEMBERSHIP;
use super::resource::{AppState, RESOURCE_COLUMNS, ResourceRow, ResourceSql, key_list};
use super::sql::{Bind, Tx};
use super::{IdRange, ListRange, StoreError, Walk};

/// How many users and groups of a directory the app sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppCounts {
    pub active: i64,
    pub inactive: i64,
    pub groups: i64,
}

/// A resource and the directory that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Located {
    pub directory_key: i64,
    pub key: i64,
    #[diesel(deserialize_as = String)]
    pub app_state: AppState,
}

impl Tx<'_> {
    /// Where a resource is: the one look-up that does not begin with a directory. A group that is being handed
    /// over is in two, and in one of them hidden.
    pub fn resource_locate(
        &mut self,
        resource_type: &str,
        id: &str,
    ) -> Result<Option<Located>, StoreError> {
        self.row::<(BigInt, BigInt, Text), _>(
            "SELECT directory_key, key, app_state FROM resource WHERE id = ? \
             AND resource_type = ? ORDER BY CASE app_state WHEN 'hidden' THEN 1 ELSE 0 END LIMIT 1",
            &[Bind::Text(id), Bind::Text(resource_type)],
        )
    }

    /// Resources of a type that the app sees, by id.
    pub fn app_list(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        range: &IdRange,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let (condition, order, beyond) = range.sql("r.id");
        let text = format!(
            "SELECT {RESOURCE_COLUMNS} FROM resource r WHERE r.directory_key = ? \
             AND r.resource_type = ? AND r.app_state <> 'hidden' AND {condition} \
             ORDER BY {order} LIMIT ?"
        );
        let binds = [
            Bind::Int(directory_key),
            Bind::Text(resource_type),
            Bind::Text(beyond),
            Bind::Int(range.limit),
        ];
        self.rows::<ResourceSql, _>(&text, &binds)
    }

    /// Every user of a directory, newest first, whatever the app sees of it.
    pub fn user_list(
        &mut self,
        directory_key: i64,
        range: &ListRange,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let (condition, order, cursor) = range.sql_on("r.id");
        let text = format!(
            "SELECT {RESOURCE_COLUMNS} FROM resource r WHERE r.directory_key = ? \
             AND r.resource_type = 'User' AND {condition} ORDER BY {order} LIMIT ?"
        );
        let binds = [Bind::Int(directory_key), Bind::Text(cursor), Bind::Int(range.limit)];
        self.rows::<ResourceSql, _>(&text, &binds)
    }

    /// Users with that externalId whom the app sees, by key: every chunk begins where the last one
    /// ended, and nothing is sorted.
    pub fn app_users_by_external_id(
        &mut self,
        directory_key: i64,
        external_id: &str,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let (whose, kind) =
            (self.dialect.whose("r.directory_key"), self.dialect.unindexed("r.resource_type"));
        let text = format!(
            "SELECT {RESOURCE_COLUMNS} FROM resource r WHERE {whose} \
             AND r.external_id = ? AND {kind} = 'User' AND r.app_state <> 'hidden' \
             AND r.key > ? ORDER BY r.key LIMIT ?"
        );
        let binds = [
            Bind::Int(directory_key),
            Bind::Text(external_id),
            Bind::Int(after_key),
            Bind::Int(limit),
        ];
        self.rows::<ResourceSql, _>(&text, &binds)
    }

    /// Users with that index entry whom the app sees, by key, which is the order of the index. Who has
    /// the entry twice comes twice, one behind the other.
    pub fn app_users_by_attribute(
        &mut self,
        directory_key: i64,
        path_id: i32,
        key: &str,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let text = format!(
            "SELECT {RESOURCE_COLUMNS} FROM resource_attr a {} \
             WHERE a.directory_key = ? AND a.path_id = ? AND a.key = ? AND a.resource_key > ? \
             AND r.resource_type = 'User' AND r.app_state <> 'hidden' \
             ORDER BY a.resource_key LIMIT ?",
            self.dialect.each(
                "resource",
                "r",
                "r.key = a.resource_key AND r.directory_key = a.directory_key"
            )
        );
        let binds = [
            Bind::Int(directory_key),
            Bind::Small(path_id),
            Bind::Text(key),
            Bind::Int(after_key),
            Bind::Int(limit),
        ];
        self.rows::<ResourceSql, _>(&text, &binds)
    }

    /// Groups that a user is in directly and the app sees, by id.
    pub fn app_groups_of(
        &mut self,
        directory_key: i64,
        user_key: i64,
        range: &IdRange,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let (condition, order, beyond) = range.sql("r.id");
        let text = format!(
            "SELECT {RESOURCE_COLUMNS} FROM member m {} \
             WHERE r.app_state <> 'hidden' AND m.directory_key = ? AND m.member_key = ? \
             AND {condition} ORDER BY {order} LIMIT ?",
            self.dialect.each(
                "resource",
                "r",
                "r.key = m.group_key AND r.directory_key = m.directory_key"
            )
        );
        let binds = [
            Bind::Int(directory_key),
            Bind::Int(user_key),
            Bind::Text(beyond),
            Bind::Int(range.limit),
        ];
        self.rows::<ResourceSql, _>(&text, &binds)
    }

    /// Users whom a group has directly and the app sees, in the order of their keys, which is the
    /// order in which they came. A group of 100,000 is not sorted for a page.
    pub fn app_members(
        &mut self,
        directory_key: i64,
        group_key: i64,
        range: &IdRange,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let beyond = match &range.beyond {
            Some(id) => self.app_position(directory_key, id, range.walk)?,
            None if range.walk == Walk::Up => i64::MIN,
            None => i64::MAX,
        };
        let (comparison, order) = match range.walk {
            Walk::Up => (">", "ASC"),
            Walk::Down => ("<", "DESC"),
        };
        let whose = self.dialect.whose("m.directory_key");
        let text = format!(
            "SELECT {RESOURCE_COLUMNS} FROM member m {} \
             WHERE r.resource_type = 'User' AND r.app_state <> 'hidden' \
             AND {whose} AND m.group_key = ? AND m.member_key {comparison} ? \
             ORDER BY m.member_key {order} LIMIT ?",
            self.dialect.each(
                "resource",
                "r",
                "r.key = m.member_key AND r.directory_key = m.directory_key"
            )
        );
        let binds = [
            Bind::Int(directory_key),
            Bind::Int(group_key),
            Bind::Int(beyond),
            Bind::Int(range.limit),
        ];
        self.rows::<ResourceSql, _>(&text, &binds)
    }

    /// The key of a user. For one who is gone that of the neighbour by id whom the list has shown
    /// before: ids and keys rise together but for users who were created at the same moment, of whom some
    /// may then come twice or not at all.
    fn app_position(
        &mut self,
        directory_key: i64,
        id: &str,
        walk: Walk,
    ) -> Result<i64, StoreError> {
        let whose = self.dialect.whose("directory_key");
        let known = self.row::<BigInt, i64>(
            &format!("SELECT key FROM resource WHERE id = ? AND {whose}"),
            &[Bind::Text(id), Bind::Int(directory_key)],
        )?;
        if let Some(key) = known {
            return Ok(key);
        }
        let text = match walk {
            Walk::Up => {
                "SELECT key FROM resource WHERE directory_key = ? AND resource_type = 'User' \
                 AND app_state <> 'hidden' AND id < ? ORDER BY id DESC LIMIT 1"
            }
            Walk::Down => {
                "SELECT key FROM resource WHERE directory_key = ? AND resource_type = 'User' \
                 AND app_state <> 'hidden' AND id > ? ORDER BY id ASC LIMIT 1"
            }
        };
        let binds = [Bind::Int(directory_key), Bind::Text(id)];
        let neighbour = self.row::<BigInt, i64>(text, &binds)?;
        Ok(neighbour.unwrap_or(match walk {
            Walk::Up => i64::MIN,
            Walk::Down => i64::MAX,
        }))
    }

    /// Those of the resources whom a group has directly.
    pub fn members_among(
        &mut self,
        directory_key: i64,
        group_key: i64,
        keys: &[i64],
    ) -> Result<Vec<i64>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let members = self.dialect.each(
            "member",
            "m",
            "m.member_key = j.value AND m.directory_key = ? AND m.group_key = ?",
        );
        let text = format!("SELECT m.member_key FROM {} {members}", self.dialect.keys());
        let binds = [Bind::Owned(key_list(keys)), Bind::Int(directory_key), Bind::Int(group_key)];
        self.rows::<BigInt, i64>(&text, &binds)
    }

    /// (member, group) for each of the resources and each group that has it directly.
    pub fn membership_pairs(
        &mut self,
        directory_key: i64,
        member_keys: &[i64],
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        if member_keys.is_empty() {
            return Ok(Vec::new());
        }
        let memberships = self.dialect.each("member", "m", IS_MEMBERSHIP);
        let text =
            format!("SELECT m.member_key, m.group_key FROM {} {memberships}", self.dialect.keys());
        let binds = [Bind::Owned(key_list(member_keys)), Bind::Int(directory_key)];
        self.rows::<(BigInt, BigInt), _>(&text, &binds)
    }

    /// What the app sees of directories, in numbers, by their keys: from running totals, nothing is
    /// counted but groups that it does not see. One that is empty is missing.
    pub fn app_counts(
        &mut self,
        directory_keys: &[i64],
    ) -> Result<HashMap<i64, AppCounts>, StoreError> {
        if directory_keys.is_empty() {
            return Ok(HashMap::new());
        }
        let (dialect, keys) = (self.dialect, self.dialect.keys());
        let resources = dialect.each("resource_count", "c", "c.directory_key = j.value");
        let deviations = dialect.each("app_count", "c", "c.directory_key = j.value");
        let totals = self.rows::<(BigInt, Text, Bool, BigInt), (i64, String, bool, i64)>(
            &format!(
                "SELECT c.directory_key, c.resource_type, c.active, CAST(SUM(c.n) AS BIGINT) \
                 FROM {keys} {resources} WHERE c.resource_type IN ('Group', 'User') \
                 GROUP BY c.directory_key, c.resource_type, c.active"
            ),
            &[Bind::Owned(key_list(directory_keys))],
        )?;
        let deviating = self.rows::<(BigInt, BigInt, BigInt), (i64, i64, i64)>(
            &format!(
                "SELECT c.directory_key, CAST(SUM(c.active) AS BIGINT), \
                 CAST(SUM(c.inactive) AS BIGINT) FROM {keys} {deviations} GROUP BY c.directory_key"
            ),
            &[Bind::Owned(key_list(directory_keys))],
        )?;
        let mut all: HashMap<i64, AppCounts> = HashMap::new();
        for (directory_key, resource_type, is_active, n) in totals {
            let counts = all.entry(directory_key).or_default();
            match (resource_type.as_str(), is_active) {
                ("User", true) => counts.active += n,
                ("User", false) => counts.inactive += n,
                _ => counts.groups += n,
            }
        }
        for (directory_key, active, inactive) in deviating {
            let counts = all.entry(directory_key).or_default();
            counts.active += active;
            counts.inactive += inactive;
        }
        for (directory_key, hidden) in self.hidden_groups(directory_keys)? {
            all.entry(directory_key).or_default().groups -= hidden;
        }
        Ok(all)
    }
}
