//! Users and groups that go from one directory to another, with their ids and memberships.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::StoreError;
use super::resource::{RESOURCE_COLUMNS, ResourceRow, ResourceSql};
use super::sql::{Bind, Tx};
use super::sync::KnownRow;

/// By what a resource of one directory is one of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    ExternalId,
    UserName,
    GroupName,
}

/// A user or group of one directory, and one of the other that is the same by something.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct SameRow {
    pub id: String,
    pub resource_type: String,
    /// A user's name as a comparison key, or what lists show.
    pub name: String,
    pub other_id: String,
    pub other_key: i64,
}

/// What is written of a resource that has come from another directory, beside its content.
#[derive(Clone, Copy, Debug)]
pub struct Carried<'c> {
    pub id: &'c str,
    pub version: i64,
    pub created: i64,
    pub modified: i64,
    pub suspended: bool,
    pub excluded: bool,
    pub groupless_since: Option<i64>,
    /// JSON array of slugs.
    pub roles: Option<&'c str>,
}

impl Tx<'_> {
    /// Users and groups of both directories that are the same, at most `limit`. The new directory, which has
    /// fewer, is walked. What was handed over already counts no more.
    pub fn hand_over_same(
        &mut self,
        (old_key, new_key): (i64, i64),
        same: Same,
        limit: i64,
    ) -> Result<Vec<SameRow>, StoreError> {
        let found = match same {
            Same::ExternalId => "n.external_id <> '' AND o.external_id = n.external_id",
            Same::UserName => "o.resource_type = 'User' AND o.user_name_key = n.user_name_key",
            Same::GroupName => "o.resource_type = 'Group' AND o.display_key = n.display_key",
        };
        let same = self.dialect.each("resource", "o", &format!("o.directory_key = ? AND {found}"));
        let text = format!(
            "SELECT o.id, o.resource_type, COALESCE(o.user_name_key, o.display, ''), n.id, n.key \
             FROM resource n {same} WHERE n.directory_key = ? \
             AND o.resource_type = n.resource_type AND o.id <> n.id \
             AND o.resource_type IN ('User', 'Group') \
             AND (o.resource_type = 'User' OR o.app_state <> 'hidden') \
             AND NOT EXISTS (SELECT 1 FROM handed_over h WHERE h.directory_key = n.directory_key \
             AND h.resource_key = n.key LIMIT 1 OFFSET 0) ORDER BY o.id, n.id LIMIT ?"
        );
        let binds = [Bind::Int(old_key), Bind::Int(new_key), Bind::Int(limit)];
        self.rows::<(Text, Text, Text, Text, BigInt), _>(&text, &binds)
    }

    /// The next groups that have not been handed over: the others the app sees no longer in this directory.
    pub fn hand_over_groups(&mut self, old_key: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT key FROM resource WHERE directory_key = ? AND resource_type = 'Group' \
             AND app_state <> 'hidden' ORDER BY key LIMIT ?",
            &[Bind::Int(old_key), Bind::Int(limit)],
        )
    }

    /// How many of them there are.
    pub fn hand_over_groups_left(&mut self, old_key: i64) -> Result<i64, StoreError> {
        let count = self.row::<BigInt, i64>(
            "SELECT COUNT(*) FROM resource WHERE directory_key = ? AND resource_type = 'Group' \
             AND app_state <> 'hidden'",
            &[Bind::Int(old_key)],
        )?;
        Ok(count.unwrap_or(0))
    }

    /// Groups behind a key, each with the key that it has in the new directory.
    pub fn hand_over_nested(
        &mut self,
        (old_key, new_key): (i64, i64),
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<(BigInt, BigInt), _>(
            &format!(
                "SELECT o.key, n.key FROM resource o {} WHERE o.directory_key = ? \
                 AND o.resource_type = 'Group' AND o.key > ? ORDER BY o.key LIMIT ?",
                self.dialect.each("resource", "n", "n.id = o.id AND n.directory_key = ?")
            ),
            &[Bind::Int(new_key), Bind::Int(old_key), Bind::Int(after_key), Bind::Int(limit)],
        )
    }

    /// Resources of the new directory that are the same as one of the old, by externalId or by name, and were
    /// not handed over themselves.
    pub fn hand_over_holders(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        external_id: Option<&str>,
        name_key: Option<&str>,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let name = if resource_type == "User" { "user_name_key" } else { "display_key" };
        let whose = self.dialect.whose("r.directory_key");
        let mut found = Vec::new();
        for (column, value) in [("external_id", external_id), (name, name_key)] {
            let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
            let text = format!(
                "SELECT {RESOURCE_COLUMNS} FROM resource r WHERE {whose} \
                 AND r.{column} = ? AND r.resource_type = ? AND NOT EXISTS (SELECT 1 FROM handed_over h \
                 WHERE h.directory_key = r.directory_key AND h.resource_key = r.key LIMIT 1 OFFSET 0) \
                 ORDER BY r.key LIMIT 3"
            );
            let binds = [Bind::Int(directory_key), Bind::Text(value), Bind::Text(resource_type)];
            found.extend(self.rows::<ResourceSql, ResourceRow>(&text, &binds)?);
        }
        Ok(found)
    }

    /// Writes what a resource brings along.
    pub fn hand_over_write(
        &mut self,
        directory_key: i64,
        key: i64,
        carried: Carried<'_>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE resource SET id = ?, version = ?, created = ?, modified = ?, suspended = ?, \
             excluded = ?, groupless_since = ?, roles = ? WHERE directory_key = ? AND key = ?",
            &[
                Bind::Text(carried.id),
                Bind::Int(carried.version),
                Bind::Int(carried.created),
                Bind::Int(carried.modified),
                Bind::Bool(carried.suspended),
                Bind::Bool(carried.excluded),
                Bind::OptInt(carried.groupless_since),
                Bind::OptText(carried.roles),
                Bind::Int(directory_key),
                Bind::Int(key),
            ],
        )?;
        Ok(())
    }

    /// Makes a resource a member, in the new directory, of the groups that have it in the old one. They are
    /// there under the same ids.
    pub fn hand_over_memberships(
        &mut self,
        (old_key, new_key): (i64, i64),
        (old_member, new_member): (i64, i64),
    ) -> Result<(), StoreError> {
        self.execute(
            &format!(
                "INSERT INTO member (directory_key, group_key, member_key) \
                 SELECT n.directory_key, n.key, CAST(? AS BIGINT) FROM member m {} {} \
                 WHERE m.directory_key = ? AND m.member_key = ? ON CONFLICT DO NOTHING",
                self.dialect.each(
                    "resource",
                    "o",
                    "o.key = m.group_key AND o.directory_key = m.directory_key"
                ),
                self.dialect.each("resource", "n", "n.id = o.id AND n.directory_key = ?")
            ),
            &[Bind::Int(new_member), Bind::Int(new_key), Bind::Int(old_key), Bind::Int(old_member)],
        )?;
        Ok(())
    }

    /// Values that a group of the old directory waits for are waited for in the new one.
    pub fn hand_over_pending(
        &mut self,
        (old_key, new_key): (i64, i64),
        (old_group, new_group): (i64, i64),
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO member_pending (directory_key, group_key, value, created) \
             SELECT CAST(? AS BIGINT), CAST(? AS BIGINT), value, created FROM member_pending \
             WHERE directory_key = ? AND group_key = ? ON CONFLICT DO NOTHING",
            &[Bind::Int(new_key), Bind::Int(new_group), Bind::Int(old_key), Bind::Int(old_group)],
        )?;
        Ok(())
    }

    /// The app sees a group in another directory from here on. Its members still refer to it.
    pub fn hand_over_hide(&mut self, directory_key: i64, key: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE resource SET app_state = 'hidden' WHERE directory_key = ? AND key = ?",
            &[Bind::Int(directory_key), Bind::Int(key)],
        )?;
        Ok(())
    }

    /// The account of a user, and what was suggested about it, is one of another directory.
    pub fn hand_over_account(
        &mut self,
        (old_key, new_key): (i64, i64),
        user_id: &str,
    ) -> Result<(), StoreError> {
        for table in ["identity_account", "identity_suggestion", "identity_move"] {
            let text = format!(
                "UPDATE {table} SET directory_key = ? WHERE directory_key = ? AND user_id = ?"
            );
            let binds = [Bind::Int(new_key), Bind::Int(old_key), Bind::Text(user_id)];
            self.execute(&text, &binds)?;
        }
        Ok(())
    }

    /// Notes where it came from: no other one is taken for the same, and the next complete run recognises it
    /// by name.
    pub fn handed_over_put(&mut self, directory_key: i64, key: i64) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO handed_over (directory_key, resource_key) VALUES (?, ?) ON CONFLICT DO NOTHING",
            &[Bind::Int(directory_key), Bind::Int(key)],
        )?;
        Ok(())
    }

    /// Resources of a type that a run is to recognise by name, by key.
    pub fn handed_over_list(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<KnownRow>, StoreError> {
        type Sql =
            (BigInt, Text, Text, Nullable<Text>, diesel::sql_types::Bool, BigInt, Nullable<Text>);
        self.rows::<Sql, _>(
            "SELECT r.key, r.id, COALESCE(r.external_id, ''), \
             COALESCE(r.user_name_key, r.display), r.active, r.version, CAST(NULL AS TEXT) \
             FROM handed_over h CROSS JOIN resource r WHERE r.key = h.resource_key \
             AND r.directory_key = h.directory_key AND h.directory_key = ? AND r.resource_type = ? \
             AND h.resource_key > ? ORDER BY h.resource_key LIMIT ?",
            &[
                Bind::Int(directory_key),
                Bind::Text(resource_type),
                Bind::Int(after_key),
                Bind::Int(limit),
            ],
        )
    }

    /// Forgets it: a complete run has said which of them the source has, or there is no source.
    pub fn handed_over_clear(&mut self, directory_key: i64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM handed_over WHERE directory_key = ?",
            &[Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// A directory that is read is read completely next, as soon as it is read by itself.
    pub fn sync_read_anew(&mut self, directory_key: i64, now: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sync_directory SET cursor = NULL, full_at = NULL, generation = generation + 1, \
             next_at = CASE WHEN next_at IS NULL THEN NULL ELSE CAST(? AS BIGINT) END \
             WHERE directory_key = ?",
            &[Bind::Int(now), Bind::Int(directory_key)],
        )?;
        Ok(())
    }
}
