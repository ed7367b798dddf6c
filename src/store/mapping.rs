//! What the maps of a directory have made of its users, and the work that changed maps and changed
//! memberships leave.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::dialect::Dialect;
use super::resource::{
    IS_RESOURCE, IS_USER, Mapped, RESOURCE_COLUMNS, ResourceRow, ResourceSql, key_list,
};
use super::sql::{Bind, Tx};
use super::{ListRange, StoreError};

/// Whose roles have to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleWork {
    /// A user, whose custom attributes may have to be made again, too.
    User,
    /// The users that a group has directly.
    Members,
    /// The users below a group, however deep.
    Below,
}

impl RoleWork {
    fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Members => "members",
            Self::Below => "below",
        }
    }
}

/// What is left to do about roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Queryable)]
pub struct RoleWorkRow {
    /// A user or a group.
    pub target_key: i64,
    /// Members up to this key are done.
    pub after_key: i64,
}

/// A user whom the attribute map lacks something of.
#[derive(Clone, Debug)]
pub struct FaultyUser {
    pub row: ResourceRow,
    /// JSON object.
    pub faults: String,
}

/// A user as the maps look at it.
#[derive(Clone, Debug)]
pub struct MappedUser {
    pub row: ResourceRow,
    /// JSON object.
    pub faults: Option<String>,
}

type UserSql = (ResourceSql, Nullable<Text>);

impl Tx<'_> {
    /// Stores the maps of a directory, whose writers are excluded. Units that were computed with the ones
    /// before are refused from now on.
    pub fn mapping_set(
        &mut self,
        directory_key: i64,
        attribute_map: Option<&str>,
        role_map: Option<&str>,
        now: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory SET attribute_map = ?, role_map = ?, modified = ?, \
             schema_version = schema_version + 1 WHERE key = ?",
            &[
                Bind::OptText(attribute_map),
                Bind::OptText(role_map),
                Bind::Int(now),
                Bind::Int(directory_key),
            ],
        )?;
        Ok(())
    }

    /// Notes how far the users of a directory are brought to changed maps; `None` when all are.
    pub fn mapping_cursor_set(
        &mut self,
        directory_key: i64,
        cursor: Option<i64>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory SET mapping_cursor = ? WHERE key = ?",
            &[Bind::OptInt(cursor), Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// Directories where changes of memberships have left something to do.
    pub fn role_work_directories(&mut self) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT DISTINCT directory_key FROM role_work ORDER BY directory_key",
            &[],
        )
    }

    /// Directories whose users are not all brought to changed maps, by key, without those of which the app
    /// is told nothing.
    pub fn mapping_directories(&mut self) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT key FROM directory WHERE mapping_cursor IS NOT NULL \
             AND state NOT IN ('disabled', 'deleting') ORDER BY key",
            &[],
        )
    }

    /// The next users of a directory by key.
    pub fn mapping_chunk(
        &mut self,
        directory_key: i64,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<MappedUser>, StoreError> {
        let rows = self.rows::<UserSql, (ResourceRow, Option<String>)>(
            &format!(
                "SELECT {RESOURCE_COLUMNS}, r.attribute_faults FROM resource r \
                 WHERE r.directory_key = ? AND r.resource_type = 'User' AND r.key > ? \
                 ORDER BY r.key LIMIT ?"
            ),
            &[Bind::Int(directory_key), Bind::Int(after_key), Bind::Int(limit)],
        )?;
        Ok(rows.into_iter().map(|(row, faults)| MappedUser { row, faults }).collect())
    }

    /// Users among the resources.
    pub fn mapping_rows(
        &mut self,
        directory_key: i64,
        keys: &[i64],
    ) -> Result<Vec<MappedUser>, StoreError> {
        let users = self.dialect.each("resource", "r", IS_USER);
        let text = format!(
            "SELECT {RESOURCE_COLUMNS}, r.attribute_faults FROM {} {users}",
            self.dialect.keys()
        );
        let binds = [Bind::Owned(key_list(keys)), Bind::Int(directory_key)];
        let rows = self.rows::<UserSql, (ResourceRow, Option<String>)>(&text, &binds)?;
        Ok(rows.into_iter().map(|(row, faults)| MappedUser { row, faults }).collect())
    }

    /// Users among the resources, locked in the order of their keys.
    pub fn mapping_lock(
        &mut self,
        directory_key: i64,
        keys: &[i64],
    ) -> Result<Vec<MappedUser>, StoreError> {
        let users = self.dialect.each_kept("resource", "r", IS_USER, "FOR NO KEY UPDATE");
        let text = format!(
            "SELECT {RESOURCE_COLUMNS}, r.attribute_faults FROM {} {users} ORDER BY r.key",
            self.dialect.keys()
        );
        let binds = [Bind::Owned(key_list(keys)), Bind::Int(directory_key)];
        let rows = self.rows::<UserSql, (ResourceRow, Option<String>)>(&text, &binds)?;
        Ok(rows.into_iter().map(|(row, faults)| MappedUser { row, faults }).collect())
    }

    /// Writes what the maps make of a user whose row is locked. For SCIM nothing has changed.
    pub fn mapping_write(
        &mut self,
        directory_key: i64,
        key: i64,
        mapped: &Mapped,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE resource SET custom_attributes = ?, attribute_faults = ?, roles = ? \
             WHERE directory_key = ? AND key = ?",
            &[
                Bind::OptText(mapped.custom_attributes.as_deref()),
                Bind::OptText(mapped.faults.as_deref()),
                Bind::OptText(mapped.roles.as_deref()),
                Bind::Int(directory_key),
                Bind::Int(key),
            ],
        )?;
        Ok(())
    }

    /// Users whom the app sees, newest first, of whom a required attribute is missing or an expression has
    /// failed.
    pub fn faulty_list(
        &mut self,
        directory_key: i64,
        range: &ListRange,
    ) -> Result<Vec<FaultyUser>, StoreError> {
        let (condition, order, cursor) = range.sql_on("r.id");
        let text = format!(
            "SELECT {RESOURCE_COLUMNS}, r.attribute_faults FROM resource r \
             WHERE r.directory_key = ? AND r.attribute_faults IS NOT NULL \
             AND r.app_state <> 'hidden' AND {condition} ORDER BY {order} LIMIT ?"
        );
        let binds = [Bind::Int(directory_key), Bind::Text(cursor), Bind::Int(range.limit)];
        let rows = self.rows::<UserSql, (ResourceRow, Option<String>)>(&text, &binds)?;
        let faulty = rows.into_iter().filter_map(|(row, faults)| {
            let faults = faults?;
            Some(FaultyUser { row, faults })
        });
        Ok(faulty.collect())
    }

    /// How many users whom the app sees have faults, in a directory or in all.
    pub fn faulty_count(&mut self, directory_key: Option<i64>) -> Result<i64, StoreError> {
        let count = match directory_key {
            Some(key) => self.row::<BigInt, i64>(
                "SELECT COUNT(*) FROM resource WHERE directory_key = ? \
                 AND attribute_faults IS NOT NULL AND app_state <> 'hidden'",
                &[Bind::Int(key)],
            )?,
            None => self.row::<BigInt, i64>(
                "SELECT COUNT(*) FROM resource WHERE attribute_faults IS NOT NULL \
                 AND app_state <> 'hidden'",
                &[],
            )?,
        };
        Ok(count.unwrap_or(0))
    }

    /// Resources by key as (key, type).
    pub fn resource_kinds(
        &mut self,
        directory_key: i64,
        keys: &[i64],
    ) -> Result<Vec<(i64, String)>, StoreError> {
        let resources = self.dialect.each("resource", "r", IS_RESOURCE);
        self.rows::<(BigInt, Text), _>(
            &format!("SELECT r.key, r.resource_type FROM {} {resources}", self.dialect.keys()),
            &[Bind::Owned(key_list(keys)), Bind::Int(directory_key)],
        )
    }

    /// Keys of resources below groups, however deep, with the groups themselves: at most so many, in no
    /// order. Each is visited once, so cycles end.
    pub fn below_groups(
        &mut self,
        directory_key: i64,
        group_keys: &[i64],
        most: i64,
    ) -> Result<Vec<i64>, StoreError> {
        let below =
            self.dialect.each("member", "m", "m.directory_key = ? AND m.group_key = down.key");
        // Each database stops only there.
        let (inner, outer) = match self.dialect {
            Dialect::Sqlite => ("LIMIT ?", ""),
            Dialect::Postgres => ("", "LIMIT ?"),
        };
        let text = format!(
            "WITH RECURSIVE down (key) AS (SELECT j.value FROM {} \
                 UNION SELECT m.member_key FROM down {below} {inner}) \
             SELECT key FROM down {outer}",
            self.dialect.keys()
        );
        self.rows::<BigInt, i64>(
            &text,
            &[Bind::Owned(key_list(group_keys)), Bind::Int(directory_key), Bind::Int(most)],
        )
    }

    /// Which groups are members of which, as (group, member): what there is of groups in groups, from the
    /// side of the few. From the other side each membership of a user would be looked at.
    pub fn group_edges(&mut self, directory_key: i64) -> Result<Vec<(i64, i64)>, StoreError> {
        let edges = self.dialect.each(
            "member",
            "m",
            "m.directory_key = r.directory_key AND m.member_key = r.key",
        );
        let text = format!(
            "SELECT m.group_key, m.member_key FROM resource r {edges} \
             WHERE r.directory_key = ? AND r.resource_type = 'Group'"
        );
        self.rows::<(BigInt, BigInt), _>(&text, &[Bind::Int(directory_key)])
    }

    /// Leaves work. A group whose members are looked at just now is looked at once more after that: who
    /// began anew each time might never come to an end.
    pub fn role_work_add(
        &mut self,
        directory_key: i64,
        kind: RoleWork,
        keys: &[i64],
    ) -> Result<(), StoreError> {
        let text = format!(
            "INSERT INTO role_work (directory_key, kind, target_key, after_key) \
             SELECT ?, ?, j.value, 0 FROM {} WHERE TRUE ORDER BY j.value \
             ON CONFLICT (directory_key, kind, target_key) DO UPDATE \
             SET again = (role_work.after_key > 0)",
            self.dialect.keys()
        );
        let binds =
            [Bind::Int(directory_key), Bind::Text(kind.as_str()), Bind::Owned(key_list(keys))];
        self.execute(&text, &binds)?;
        Ok(())
    }

    /// The next of what is left of a kind: the least done first, so that no group waits for another that
    /// is begun anew all the time.
    pub fn role_work_next(
        &mut self,
        directory_key: i64,
        kind: RoleWork,
        limit: i64,
    ) -> Result<Vec<RoleWorkRow>, StoreError> {
        self.rows::<(BigInt, BigInt), _>(
            "SELECT target_key, after_key FROM role_work WHERE directory_key = ? AND kind = ? \
             ORDER BY after_key, target_key LIMIT ?",
            &[Bind::Int(directory_key), Bind::Text(kind.as_str()), Bind::Int(limit)],
        )
    }

    /// Notes that the members of a group are done up to a key, if another process was not faster.
    pub fn role_work_move(
        &mut self,
        directory_key: i64,
        from: &RoleWorkRow,
        after_key: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE role_work SET after_key = ? WHERE directory_key = ? AND kind = 'members' \
             AND target_key = ? AND after_key = ?",
            &[
                Bind::Int(after_key),
                Bind::Int(directory_key),
                Bind::Int(from.target_key),
                Bind::Int(from.after_key),
            ],
        )?;
        Ok(())
    }

    /// All members of a group are done, or are to be looked at once more.
    pub fn role_work_end(
        &mut self,
        directory_key: i64,
        from: &RoleWorkRow,
    ) -> Result<(), StoreError> {
        let binds =
            [Bind::Int(directory_key), Bind::Int(from.target_key), Bind::Int(from.after_key)];
        let begins_again = self.execute(
            "UPDATE role_work SET after_key = 0, again = FALSE WHERE directory_key = ? \
             AND kind = 'members' AND target_key = ? AND after_key = ? AND again",
            &binds,
        )?;
        if begins_again == 0 {
            self.execute(
                "DELETE FROM role_work WHERE directory_key = ? AND kind = 'members' \
                 AND target_key = ? AND after_key = ? AND NOT again",
                &binds,
            )?;
        }
        Ok(())
    }

    pub fn role_work_done(
        &mut self,
        directory_key: i64,
        kind: RoleWork,
        keys: &[i64],
    ) -> Result<(), StoreError> {
        // Left again meanwhile, a note gets a new place and stays: it is looked at once more.
        let listed = self.dialect.is_listed(
            self.dialect.keys(),
            "role_work",
            "target_key",
            "directory_key = ? AND kind = ?",
        );
        let binds =
            [Bind::Owned(key_list(keys)), Bind::Int(directory_key), Bind::Text(kind.as_str())];
        self.execute(&format!("DELETE FROM role_work WHERE {listed}"), &binds)?;
        Ok(())
    }

    /// Whether there are notes of groups.
    pub fn role_work_of_groups(&mut self, directory_key: i64) -> Result<bool, StoreError> {
        let found = self.row::<BigInt, i64>(
            "SELECT CAST(1 AS BIGINT) FROM role_work WHERE directory_key = ? AND kind <> 'user' LIMIT 1",
            &[Bind::Int(directory_key)],
        )?;
        Ok(found.is_some())
    }

    /// Forgets the groups of a directory without groups in its role map.
    pub fn role_work_forget(&mut self, directory_key: i64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM role_work WHERE directory_key = ? AND kind <> 'user'",
            &[Bind::Int(directory_key)],
        )?;
        Ok(())
    }
}
