//! Member values that name no resource of the directory yet.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::StoreError;
use super::dialect::Dialect;
use super::resource::{IS_FOUND, key_list};
use super::sql::{Bind, Tx};

/// What a unit does in a directory whose groups may wait for members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It may look for resources by externalId and wait for those that are not there: alone.
    Look,
    /// It only writes resources, beside others that do so.
    Write,
}

/// A resource by its externalId.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Named {
    pub external_id: String,
    pub key: i64,
}

/// A value that waits for its resource.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct PendingRow {
    pub group_key: i64,
    pub group_id: String,
    pub display: Option<String>,
    pub value: String,
    pub created: i64,
}

impl Tx<'_> {
    /// How many values the group is waiting for.
    pub fn pending_count(&mut self, directory_key: i64, group_key: i64) -> Result<i64, StoreError> {
        let count = self.row::<BigInt, i64>(
            "SELECT COUNT(*) FROM member_pending WHERE directory_key = ? AND group_key = ?",
            &[Bind::Int(directory_key), Bind::Int(group_key)],
        )?;
        Ok(count.unwrap_or(0))
    }

    /// Keeps units that look for resources by externalId and units that write resources apart until
    /// they end: the second sees what the first one did. Without it each could read before the other
    /// commits, and a value would wait for a resource that is there.
    ///
    /// It is the first lock of a unit after the directory, so that nobody waits for it with another
    /// one in hand.
    pub fn pending_guard(&mut self, directory_key: i64, guard: Guard) -> Result<(), StoreError> {
        let text = match (self.dialect, guard) {
            // One unit writes at a time.
            (Dialect::Sqlite, _) => return Ok(()),
            (Dialect::Postgres, Guard::Look) => {
                "SELECT pg_advisory_xact_lock(hashtext('member_pending'), \
                 CAST(? % 2147483647 AS INTEGER))"
            }
            (Dialect::Postgres, Guard::Write) => {
                "SELECT pg_advisory_xact_lock_shared(hashtext('member_pending'), \
                 CAST(? % 2147483647 AS INTEGER))"
            }
        };
        self.execute(text, &[Bind::Int(directory_key)])?;
        Ok(())
    }

    /// Finds resources by externalId, in the order of their keys, and keeps them from being deleted
    /// until the unit ends.
    pub fn pending_candidates(
        &mut self,
        directory_key: i64,
        values: &[&str],
    ) -> Result<Vec<Named>, StoreError> {
        let named =
            self.dialect.each("resource", "r", "r.external_id = j.value AND r.directory_key = ?");
        let kept = self.dialect.each_kept("resource", "r", IS_FOUND, "FOR KEY SHARE");
        let text = format!(
            "SELECT r.external_id, r.key FROM (SELECT r.directory_key, r.key FROM {} {named} \
             ORDER BY r.key) f {kept} ORDER BY f.key",
            self.dialect.texts()
        );
        let list = serde_json::Value::from(values).to_string();
        self.rows::<(Text, BigInt), _>(&text, &[Bind::Owned(list), Bind::Int(directory_key)])
    }

    /// Keeps values; one that waits already goes on waiting from when it came.
    pub fn pending_add(
        &mut self,
        directory_key: i64,
        group_key: i64,
        values: &[&str],
        now: i64,
    ) -> Result<(), StoreError> {
        let text = format!(
            "INSERT INTO member_pending (directory_key, group_key, value, created) \
             SELECT ?, ?, j.value, ? FROM {} WHERE TRUE ON CONFLICT DO NOTHING",
            self.dialect.texts()
        );
        let list = serde_json::Value::from(values).to_string();
        self.execute(
            &text,
            &[Bind::Int(directory_key), Bind::Int(group_key), Bind::Int(now), Bind::Owned(list)],
        )?;
        Ok(())
    }

    /// Gives up values of a group.
    pub fn pending_remove(
        &mut self,
        directory_key: i64,
        group_key: i64,
        values: &[String],
    ) -> Result<(), StoreError> {
        let listed = self.dialect.is_listed(
            self.dialect.texts(),
            "member_pending",
            "value",
            "directory_key = ? AND group_key = ?",
        );
        let list = serde_json::Value::from(values).to_string();
        self.execute(
            &format!("DELETE FROM member_pending WHERE {listed}"),
            &[Bind::Owned(list), Bind::Int(directory_key), Bind::Int(group_key)],
        )?;
        Ok(())
    }

    /// Gives up every value of a group but those.
    pub fn pending_remove_others(
        &mut self,
        directory_key: i64,
        group_key: i64,
        keep: &[&str],
    ) -> Result<(), StoreError> {
        let text = format!(
            "DELETE FROM member_pending WHERE directory_key = ? AND group_key = ? \
             AND value NOT IN (SELECT j.value FROM {})",
            self.dialect.texts()
        );
        let list = serde_json::Value::from(keep).to_string();
        self.execute(&text, &[Bind::Int(directory_key), Bind::Int(group_key), Bind::Owned(list)])?;
        Ok(())
    }

    /// Keys of the groups that wait for the value, in order.
    pub fn pending_groups(
        &mut self,
        directory_key: i64,
        value: &str,
    ) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT group_key FROM member_pending WHERE directory_key = ? AND value = ? \
             ORDER BY group_key",
            &[Bind::Int(directory_key), Bind::Text(value)],
        )
    }

    /// The value has come: the groups no longer wait for it.
    pub fn pending_arrived(
        &mut self,
        directory_key: i64,
        value: &str,
        groups: &[i64],
    ) -> Result<(), StoreError> {
        let listed = self.dialect.is_listed(
            self.dialect.keys(),
            "member_pending",
            "group_key",
            "directory_key = ? AND value = ?",
        );
        self.execute(
            &format!("DELETE FROM member_pending WHERE {listed}"),
            &[Bind::Owned(key_list(groups)), Bind::Int(directory_key), Bind::Text(value)],
        )?;
        Ok(())
    }

    /// What a directory waits for, oldest first.
    pub fn pending_list(
        &mut self,
        directory_key: i64,
        limit: i64,
    ) -> Result<Vec<PendingRow>, StoreError> {
        let groups = self.dialect.each(
            "resource",
            "r",
            "r.directory_key = p.directory_key AND r.key = p.group_key",
        );
        self.rows::<(BigInt, Text, Nullable<Text>, Text, BigInt), _>(
            &format!(
                "SELECT p.group_key, r.id, r.display, p.value, p.created FROM member_pending p \
                 {groups} WHERE p.directory_key = ? \
                 ORDER BY p.created, p.group_key, p.value LIMIT ?"
            ),
            &[Bind::Int(directory_key), Bind::Int(limit)],
        )
    }

    /// Gives up values that have waited since before `until`, a few at a time; answers how many.
    pub fn pending_prune(&mut self, until: i64, limit: i64) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM member_pending WHERE (directory_key, group_key, value) IN \
             (SELECT directory_key, group_key, value FROM member_pending WHERE created < ? \
             ORDER BY created LIMIT ?)",
            &[Bind::Int(until), Bind::Int(limit)],
        )
    }
}
