//! Memberships as rows. A change names the members it touches; the list of a group is never loaded
//! for it.
//!
//! SQLite keeps no statistics and takes a directory for small: left to itself it walks all of its
//! resources to find the few that a list names. `CROSS JOIN` fixes the order of its loops; for
//! PostgreSQL [`super::each`] does.

use std::collections::BTreeMap;

use diesel::Queryable;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::StoreError;
use super::dialect::Dialect;
use super::resource::{IS_FOUND, IS_NAMED, IS_RESOURCE, key_list};
use super::sql::{Bind, Tx};

/// A resource that can be a member.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Candidate {
    pub key: i64,
    pub id: String,
    pub resource_type: String,
}

/// A member as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct MemberRow {
    pub key: i64,
    pub id: String,
    pub resource_type: String,
    pub display: Option<String>,
}

/// A group that a resource is in.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct MembershipRow {
    pub group_key: i64,
    pub group_id: String,
    pub display: Option<String>,
    /// False for a group that is reached only through other groups.
    pub direct: bool,
}

/// Groups of a resource that one statement of SQLite reads: between two a look-up can stop.
const GROUPS_AT_ONCE: i64 = 250;

/// The memberships of a resource that a list names; the value is the directory.
pub(super) const IS_MEMBERSHIP: &str = "m.directory_key = ? AND m.member_key = j.value";

/// The groups that have a group of `up`, and the group of `up` itself; the value is the directory.
const IS_ABOVE: &str = "m.directory_key = ? AND m.member_key = up.group_key";
const IS_GROUP: &str = "r.directory_key = ? AND r.key = up.group_key";

/// Key, id and display of a group, and whether it is in a group itself.
type Climbed = (i64, String, Option<String>, bool);

impl Tx<'_> {
    /// Finds resources by id and keeps them from being deleted until the unit ends. Ids that are
    /// not in this directory are missing from the answer.
    pub fn member_candidates(
        &mut self,
        directory_key: i64,
        ids: &[String],
    ) -> Result<Vec<Candidate>, StoreError> {
        let named = self.dialect.each("resource", "r", IS_NAMED);
        let kept = self.dialect.each_kept("resource", "r", IS_FOUND, "FOR KEY SHARE");
        let text = format!(
            "SELECT r.key, r.id, r.resource_type FROM (SELECT r.directory_key, r.key FROM {} {named} \
             ORDER BY r.key) f {kept} ORDER BY f.key",
            self.dialect.texts()
        );
        let list = serde_json::Value::from(ids).to_string();
        self.rows::<(BigInt, Text, Text), _>(&text, &[Bind::Owned(list), Bind::Int(directory_key)])
    }

    /// Adds members and answers the keys of those that were not there.
    pub fn member_add(
        &mut self,
        directory_key: i64,
        group_key: i64,
        keys: &[i64],
    ) -> Result<Vec<i64>, StoreError> {
        let text = format!(
            "INSERT INTO member (directory_key, group_key, member_key) \
             SELECT ?, ?, j.value FROM {} WHERE TRUE ON CONFLICT DO NOTHING RETURNING member_key",
            self.dialect.keys()
        );
        self.rows::<BigInt, i64>(
            &text,
            &[Bind::Int(directory_key), Bind::Int(group_key), Bind::Owned(key_list(keys))],
        )
    }

    /// Removes members and answers the keys of those that were there.
    pub fn member_remove(
        &mut self,
        directory_key: i64,
        group_key: i64,
        keys: &[i64],
    ) -> Result<Vec<i64>, StoreError> {
        let listed = self.dialect.is_listed(
            self.dialect.keys(),
            "member",
            "member_key",
            "directory_key = ? AND group_key = ?",
        );
        self.rows::<BigInt, i64>(
            &format!("DELETE FROM member WHERE {listed} RETURNING member_key"),
            &[Bind::Owned(key_list(keys)), Bind::Int(directory_key), Bind::Int(group_key)],
        )
    }

    /// Keys of the members who are not among those.
    pub fn member_others(
        &mut self,
        directory_key: i64,
        group_key: i64,
        keep: &[i64],
    ) -> Result<Vec<i64>, StoreError> {
        let text = format!(
            "SELECT member_key FROM member WHERE directory_key = ? AND group_key = ? \
             AND member_key NOT IN (SELECT j.value FROM {})",
            self.dialect.keys()
        );
        self.rows::<BigInt, i64>(
            &text,
            &[Bind::Int(directory_key), Bind::Int(group_key), Bind::Owned(key_list(keep))],
        )
    }

    /// Members of a group by key, beyond `after_key`.
    pub fn member_list(
        &mut self,
        directory_key: i64,
        group_key: i64,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<MemberRow>, StoreError> {
        let resources = self.dialect.each(
            "resource",
            "r",
            "r.directory_key = m.directory_key AND r.key = m.member_key",
        );
        let whose = self.dialect.whose("m.directory_key");
        self.rows::<(BigInt, Text, Text, Nullable<Text>), _>(
            &format!(
                "SELECT r.key, r.id, r.resource_type, r.display FROM member m {resources} \
                 WHERE {whose} AND m.group_key = ? AND m.member_key > ? \
                 ORDER BY m.member_key LIMIT ?"
            ),
            &[
                Bind::Int(directory_key),
                Bind::Int(group_key),
                Bind::Int(after_key),
                Bind::Int(limit),
            ],
        )
    }

    /// The groups that a resource is in, directly or through other groups, however deep; each is
    /// visited once, so cycles end.
    pub fn membership_list(
        &mut self,
        directory_key: i64,
        member_key: i64,
    ) -> Result<Vec<MembershipRow>, StoreError> {
        match self.dialect {
            Dialect::Sqlite => self.membership_climb(directory_key, member_key),
            Dialect::Postgres => self.membership_recursive(directory_key, member_key),
        }
    }

    /// Level by level. A recursive statement of SQLite builds two tables on the way, which costs as much
    /// as five look-ups; most resources need one.
    fn membership_climb(
        &mut self,
        directory_key: i64,
        member_key: i64,
    ) -> Result<Vec<MembershipRow>, StoreError> {
        let mut found = BTreeMap::new();
        let mut waiting = vec![(member_key, true, 0)];
        while let Some((key, direct, after)) = waiting.pop() {
            let groups = self.rows::<(BigInt, Text, Nullable<Text>, Bool), Climbed>(
                "SELECT r.key, r.id, r.display, EXISTS (SELECT 1 FROM member p \
                     WHERE p.directory_key = m.directory_key AND p.member_key = m.group_key) \
                 FROM member m CROSS JOIN resource r WHERE m.directory_key = ? \
                 AND m.member_key = ? AND m.group_key > ? AND r.key = m.group_key \
                 AND +r.directory_key = m.directory_key ORDER BY m.group_key LIMIT ?",
                &[
                    Bind::Int(directory_key),
                    Bind::Int(key),
                    Bind::Int(after),
                    Bind::Int(GROUPS_AT_ONCE),
                ],
            )?;
            let last = groups.last().map(|group| group.0);
            let is_full = i64::try_from(groups.len()).is_ok_and(|n| n >= GROUPS_AT_ONCE);
            let mut above = Vec::new();
            for (group_key, group_id, display, is_member) in groups {
                if group_key == member_key || found.contains_key(&group_key) {
                    continue;
                }
                let group: MembershipRow = MembershipRow { group_key, group_id, display, direct };
                found.insert(group_key, group);
                if is_member {
                    above.push((group_key, false, 0));
                }
            }
            waiting.extend(above);
            // The rest goes first: who is in a group and in one above it is a direct member of both.
            if let Some(last) = last.filter(|_| is_full) {
                waiting.push((key, direct, last));
            }
        }
        Ok(found.into_values().collect())
    }

    fn membership_recursive(
        &mut self,
        directory_key: i64,
        member_key: i64,
    ) -> Result<Vec<MembershipRow>, StoreError> {
        let above = self.dialect.each("member", "m", IS_ABOVE);
        let groups = self.dialect.each("resource", "r", IS_GROUP);
        let whose = self.dialect.whose("m.directory_key");
        self.rows::<(BigInt, Text, Nullable<Text>, Bool), _>(
            &format!(
                "WITH RECURSIVE up (group_key) AS ( \
                     SELECT m.group_key FROM member m \
                     WHERE {whose} AND m.member_key = ? \
                     UNION SELECT m.group_key FROM up {above}) \
                 SELECT r.key, r.id, r.display, EXISTS (SELECT 1 FROM member d \
                     WHERE d.directory_key = ? AND d.group_key = r.key AND d.member_key = ? \
                     LIMIT 1 OFFSET 0) \
                 FROM up {groups} WHERE r.key <> ? ORDER BY r.key"
            ),
            &[
                Bind::Int(directory_key),
                Bind::Int(member_key),
                Bind::Int(directory_key),
                Bind::Int(directory_key),
                Bind::Int(member_key),
                Bind::Int(directory_key),
                Bind::Int(member_key),
            ],
        )
    }

    /// Like [`Tx::membership_list`] for several resources: member and group, by member.
    pub fn membership_lists(
        &mut self,
        directory_key: i64,
        member_keys: &[i64],
    ) -> Result<Vec<(i64, MembershipRow)>, StoreError> {
        if member_keys.is_empty() {
            return Ok(Vec::new());
        }
        let (dialect, keys) = (self.dialect, self.dialect.keys());
        // With OFFSET, EXISTS is a look-up for each row as well; left to itself, PostgreSQL reads every
        // membership of the directory where it expects many rows.
        let direct = dialect.each("member", "m", IS_MEMBERSHIP);
        let above = dialect.each("member", "m", IS_ABOVE);
        let groups = dialect.each("resource", "r", IS_GROUP);
        let text = format!(
            "WITH RECURSIVE up (member_key, group_key) AS ( \
                 SELECT m.member_key, m.group_key FROM {keys} {direct} \
                 UNION SELECT up.member_key, m.group_key FROM up {above}) \
             SELECT up.member_key, r.key, r.id, r.display, EXISTS (SELECT 1 FROM member d \
                 WHERE d.directory_key = ? AND d.group_key = r.key \
                 AND d.member_key = up.member_key LIMIT 1 OFFSET 0) \
             FROM up {groups} WHERE r.key <> up.member_key ORDER BY up.member_key, r.key"
        );
        let rows = self.rows::<(BigInt, (BigInt, Text, Nullable<Text>, Bool)), _>(
            &text,
            &[
                Bind::Owned(key_list(member_keys)),
                Bind::Int(directory_key),
                Bind::Int(directory_key),
                Bind::Int(directory_key),
                Bind::Int(directory_key),
            ],
        )?;
        Ok(rows)
    }

    /// Keys of the groups that a resource is in directly, by key. `lock` takes their rows in that
    /// order, which is the order of every unit that touches several groups.
    pub fn membership_groups(
        &mut self,
        directory_key: i64,
        member_key: i64,
    ) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT group_key FROM member WHERE directory_key = ? AND member_key = ? \
             ORDER BY group_key",
            &[Bind::Int(directory_key), Bind::Int(member_key)],
        )
    }

    /// Locks group rows in key order.
    pub fn membership_lock_groups(
        &mut self,
        directory_key: i64,
        group_keys: &[i64],
    ) -> Result<(), StoreError> {
        let groups = self.dialect.each_kept("resource", "r", IS_RESOURCE, "FOR NO KEY UPDATE");
        self.rows::<BigInt, i64>(
            &format!("SELECT r.key FROM {} {groups}", self.dialect.keys()),
            &[Bind::Owned(key_list(group_keys)), Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// Ends every membership of a resource and every membership in it.
    pub fn membership_delete_all(
        &mut self,
        directory_key: i64,
        key: i64,
    ) -> Result<(), StoreError> {
        let binds = [Bind::Int(directory_key), Bind::Int(key)];
        for text in [
            "DELETE FROM member WHERE directory_key = ? AND member_key = ?",
            "DELETE FROM member WHERE directory_key = ? AND group_key = ?",
            "DELETE FROM member_pending WHERE directory_key = ? AND group_key = ?",
        ] {
            self.execute(text, &binds)?;
        }
        Ok(())
    }
}
