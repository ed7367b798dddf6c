//! What the app has been told of users, and since when a user is in no group.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::StoreError;
use super::dialect::Dialect;
use super::member::IS_MEMBERSHIP;
use super::resource::{AppState, IS_USER, RESOURCE_COLUMNS, ResourceRow, ResourceSql, key_list};
use super::sql::{Bind, Tx};

/// The part of a user that policies look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Queryable)]
pub struct AppUser {
    pub key: i64,
    pub active: bool,
    #[diesel(deserialize_as = String)]
    pub app_state: AppState,
    pub suspended: bool,
    /// As in [`ResourceRow`].
    pub excluded: bool,
    pub groupless_since: Option<i64>,
}

type Sql = (BigInt, Bool, Text, Bool, Bool, Nullable<BigInt>);

impl Tx<'_> {
    /// The next users of a directory by key.
    pub fn app_user_chunk(
        &mut self,
        directory_key: i64,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<AppUser>, StoreError> {
        self.rows::<Sql, _>(
            "SELECT key, active, app_state, suspended, excluded, groupless_since FROM resource \
             WHERE directory_key = ? AND resource_type = 'User' AND key > ? ORDER BY key LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(after_key), Bind::Int(limit)],
        )
    }

    /// Users among the resources, locked in the order of their keys.
    pub fn app_user_lock(
        &mut self,
        directory_key: i64,
        keys: &[i64],
    ) -> Result<Vec<AppUser>, StoreError> {
        let users = self.dialect.each_kept("resource", "r", IS_USER, "FOR NO KEY UPDATE");
        let text = format!(
            "SELECT r.key, r.active, r.app_state, r.suspended, r.excluded, r.groupless_since \
             FROM {} {users} ORDER BY r.key",
            self.dialect.keys()
        );
        self.rows::<Sql, _>(&text, &[Bind::Owned(key_list(keys)), Bind::Int(directory_key)])
    }

    /// Keeps users from being changed until the unit ends, in the order of their keys, for a unit that reads
    /// them later (`reads`) or changes them. On SQLite the one writer does that.
    pub fn app_user_keep(
        &mut self,
        directory_key: i64,
        keys: &[i64],
        reads: bool,
    ) -> Result<(), StoreError> {
        if self.dialect == Dialect::Sqlite {
            return Ok(());
        }
        let lock = if reads { "FOR SHARE" } else { "FOR NO KEY UPDATE" };
        let users = self.dialect.each_kept("resource", "r", IS_USER, lock);
        let text = format!("SELECT r.key FROM {} {users}", self.dialect.keys());
        self.rows::<BigInt, i64>(&text, &[Bind::Owned(key_list(keys)), Bind::Int(directory_key)])?;
        Ok(())
    }

    /// Users among the resources, kept from being changed until the unit ends: what is told of them
    /// with a membership must not be older than what another unit tells before.
    pub fn app_user_rows(
        &mut self,
        directory_key: i64,
        keys: &[i64],
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let users = self.dialect.each_kept("resource", "r", IS_USER, "FOR SHARE");
        let text = format!("SELECT {RESOURCE_COLUMNS} FROM {} {users}", self.dialect.keys());
        self.rows::<ResourceSql, _>(&text, &[Bind::Owned(key_list(keys)), Bind::Int(directory_key)])
    }

    /// Locks the users that a group has and answers their keys.
    pub fn app_user_lock_members(
        &mut self,
        directory_key: i64,
        group_key: i64,
    ) -> Result<Vec<i64>, StoreError> {
        let users = self.dialect.each_kept(
            "resource",
            "r",
            "r.directory_key = m.directory_key AND r.key = m.member_key \
             AND r.resource_type || '' = 'User'",
            "FOR NO KEY UPDATE",
        );
        let text = format!(
            "SELECT r.key FROM (SELECT directory_key, member_key FROM member \
             WHERE directory_key = ? AND group_key = ? ORDER BY member_key) m {users} \
             ORDER BY m.member_key"
        );
        self.rows::<BigInt, i64>(&text, &[Bind::Int(directory_key), Bind::Int(group_key)])
    }

    /// Writes what the app has been told.
    pub fn app_user_set(&mut self, directory_key: i64, user: &AppUser) -> Result<(), StoreError> {
        self.execute(
            "UPDATE resource SET app_state = ?, suspended = ?, excluded = ?, groupless_since = ? \
             WHERE directory_key = ? AND key = ?",
            &[
                Bind::Text(user.app_state.as_str()),
                Bind::Bool(user.suspended),
                Bind::Bool(user.excluded),
                Bind::OptInt(user.groupless_since),
                Bind::Int(directory_key),
                Bind::Int(user.key),
            ],
        )?;
        Ok(())
    }

    /// Notes of a new user that the filter keeps it from the app.
    pub fn user_exclude(&mut self, directory_key: i64, key: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE resource SET excluded = ? WHERE directory_key = ? AND key = ?",
            &[Bind::Bool(true), Bind::Int(directory_key), Bind::Int(key)],
        )?;
        Ok(())
    }

    /// Notes that users whose rows are locked have lost their last membership, if they have.
    pub fn groupless_mark(
        &mut self,
        directory_key: i64,
        keys: &[i64],
        now: i64,
    ) -> Result<(), StoreError> {
        let listed = self.dialect.is_listed(
            self.dialect.keys(),
            "resource",
            "key",
            "directory_key = ? AND groupless_since IS NULL AND NOT EXISTS (SELECT 1 FROM member m \
             WHERE m.directory_key = resource.directory_key AND m.member_key = resource.key \
             LIMIT 1 OFFSET 0)",
        );
        self.execute(
            &format!("UPDATE resource SET groupless_since = ? WHERE {listed}"),
            &[Bind::Int(now), Bind::Owned(key_list(keys)), Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// Users who are in no group since `until` or before and of whom the app was not told so, the
    /// longest first.
    pub fn groupless_due(
        &mut self,
        directory_key: i64,
        until: i64,
        limit: i64,
    ) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT key FROM resource WHERE directory_key = ? AND groupless_since IS NOT NULL \
             AND NOT suspended AND groupless_since <= ? ORDER BY groupless_since LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(until), Bind::Int(limit)],
        )
    }

    /// The user who has the name.
    pub fn user_by_name(
        &mut self,
        directory_key: i64,
        user_name_key: &str,
    ) -> Result<Option<ResourceRow>, StoreError> {
        let whose = self.dialect.whose("r.directory_key");
        self.row::<ResourceSql, _>(
            &format!(
                "SELECT {RESOURCE_COLUMNS} FROM resource r WHERE {whose} \
                 AND r.resource_type = 'User' AND r.user_name_key = ?"
            ),
            &[Bind::Int(directory_key), Bind::Text(user_name_key)],
        )
    }

    /// How many groups each of these resources is in directly; those in none are missing.
    pub fn membership_counts(
        &mut self,
        directory_key: i64,
        keys: &[i64],
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        let memberships = self.dialect.each("member", "m", IS_MEMBERSHIP);
        let text = format!(
            "SELECT m.member_key, COUNT(*) FROM {} {memberships} GROUP BY m.member_key",
            self.dialect.keys()
        );
        self.rows::<(BigInt, BigInt), _>(
            &text,
            &[Bind::Owned(key_list(keys)), Bind::Int(directory_key)],
        )
    }

    /// Takes a resource out of every group that has it directly.
    pub fn membership_strip(&mut self, directory_key: i64, key: i64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM member WHERE directory_key = ? AND member_key = ?",
            &[Bind::Int(directory_key), Bind::Int(key)],
        )?;
        Ok(())
    }

    /// Notes how far the users of a directory are brought to changed policies; `None` when all are.
    pub fn policy_cursor_set(
        &mut self,
        directory_key: i64,
        cursor: Option<i64>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory SET policy_cursor = ? WHERE key = ?",
            &[Bind::OptInt(cursor), Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// Directories in which policies may have something to do now or later.
    pub fn policy_directories(&mut self) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT d.key FROM directory d WHERE d.state <> 'deleting' AND ( \
             d.policy_cursor IS NOT NULL \
             OR EXISTS (SELECT 1 FROM departed_user u WHERE u.directory_key = d.key \
                 LIMIT 1 OFFSET 0) \
             OR EXISTS (SELECT 1 FROM resource r WHERE r.directory_key = d.key \
                 AND r.groupless_since IS NOT NULL AND NOT r.suspended LIMIT 1 OFFSET 0)) \
             ORDER BY d.key",
            &[],
        )
    }
}
