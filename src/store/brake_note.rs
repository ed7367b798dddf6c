//! What an undo of a directory's brake puts back. Noted while events wait, by the unit that takes it away.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::StoreError;
use super::resource::{AppState, IS_RESOURCE, NewRow, ResourceContent, key_list};
use super::sql::{Bind, Tx};

/// What is to be put back of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// All of it.
    Deleted,
    /// `active` of a user.
    Inactive,
    /// The manager of a user.
    Manager,
}

impl Lost {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Inactive => "inactive",
            Self::Manager => "manager",
        }
    }
}

/// A resource of which something is to be put back.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct NoteRow {
    pub id: String,
    pub resource_type: String,
    /// The resource as it was; of a manager the member `manager`.
    pub doc: String,
    pub extra: Option<String>,
    pub version: i64,
    pub created: i64,
    /// What its groups, or none, have made of a user.
    pub suspended: bool,
    pub groupless_since: Option<i64>,
}

type NoteSql = (Text, Text, Text, Nullable<Text>, BigInt, BigInt, Bool, Nullable<BigInt>);

/// A membership that is to be put back.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct LostMember {
    pub group_id: String,
    pub member_id: String,
    /// No event told that it ended.
    pub silent: bool,
}

/// What is noted of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    Ended,
    /// No event tells so.
    EndedSilently,
    /// It came while events wait.
    Given,
}

/// How much is to be put back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostCounts {
    pub users: i64,
    pub groups: i64,
    pub others: i64,
    pub inactive: i64,
    pub memberships: i64,
}

/// What an undo is about.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct NotedRow {
    pub id: String,
    pub resource_type: String,
    /// The resource as it was.
    pub doc: String,
    /// What it has lost, or why it cannot be put back, or who is in the way.
    pub what: String,
}

type NotedSql = (Text, Text, Text, Text);

impl Tx<'_> {
    /// Notes a resource that is about to lose something. What was noted first stands.
    pub fn brake_note(
        &mut self,
        directory_key: i64,
        lost: Lost,
        key: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO brake_note (directory_key, what, id, resource_type, user_name_key, doc, \
             extra, version, created, suspended, groupless_since) \
             SELECT directory_key, CAST(? AS TEXT), id, resource_type, user_name_key, doc, extra, \
             version, created, suspended, groupless_since FROM resource \
             WHERE directory_key = ? AND key = ? ON CONFLICT DO NOTHING",
            &[Bind::Text(lost.as_str()), Bind::Int(directory_key), Bind::Int(key)],
        )?;
        Ok(())
    }

    /// Marks what a resource has been given while events wait: what is taken away again is not noted then.
    pub fn brake_note_given(
        &mut self,
        directory_key: i64,
        given: Lost,
        key: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO brake_note (directory_key, what, id, resource_type, doc, version, created, \
             suspended, given) SELECT directory_key, CAST(? AS TEXT), id, resource_type, '{}', 0, 0, \
             FALSE, TRUE FROM resource WHERE directory_key = ? AND key = ? ON CONFLICT DO NOTHING",
            &[Bind::Text(given.as_str()), Bind::Int(directory_key), Bind::Int(key)],
        )?;
        Ok(())
    }

    /// Whether a resource has that since the hold began, and had it not before.
    pub fn brake_was_given(
        &mut self,
        directory_key: i64,
        given: Lost,
        id: &str,
    ) -> Result<bool, StoreError> {
        let found = self.row::<Bool, bool>(
            "SELECT given FROM brake_note WHERE directory_key = ? AND what = ? AND id = ?",
            &[Bind::Int(directory_key), Bind::Text(given.as_str()), Bind::Text(id)],
        )?;
        Ok(found.unwrap_or(false))
    }

    /// Notes the memberships of some members in a group that is about to lose them, or has just done, or
    /// has got them. What was noted first stands.
    pub fn brake_note_members(
        &mut self,
        directory_key: i64,
        group_key: i64,
        member_keys: &[i64],
        noted: Membership,
    ) -> Result<(), StoreError> {
        let members = self.dialect.each("resource", "r", IS_RESOURCE);
        let text = format!(
            "INSERT INTO brake_member (directory_key, group_id, member_id, silent, given) \
             SELECT g.directory_key, g.id, r.id, CAST(? AS BOOLEAN), CAST(? AS BOOLEAN) \
             FROM {} {members} CROSS JOIN resource g WHERE g.directory_key = ? AND g.key = ? \
             ON CONFLICT DO NOTHING",
            self.dialect.keys()
        );
        self.execute(
            &text,
            &[
                Bind::Bool(noted == Membership::EndedSilently),
                Bind::Bool(noted == Membership::Given),
                Bind::Owned(key_list(member_keys)),
                Bind::Int(directory_key),
                Bind::Int(directory_key),
                Bind::Int(group_key),
            ],
        )?;
        Ok(())
    }

    /// Notes every membership of a resource in a group, and those in it if it is one.
    pub fn brake_note_all_members(
        &mut self,
        directory_key: i64,
        key: i64,
    ) -> Result<(), StoreError> {
        let of_membership = |name: &str, column: &str| {
            let condition =
                format!("{name}.directory_key = m.directory_key AND {name}.key = {column}");
            self.dialect.each("resource", name, &condition)
        };
        let (group, user) = (of_membership("g", "m.group_key"), of_membership("u", "m.member_key"));
        for (column, silent) in [("m.member_key", false), ("m.group_key", true)] {
            self.execute(
                &format!(
                    "INSERT INTO brake_member (directory_key, group_id, member_id, silent) \
                     SELECT m.directory_key, g.id, u.id, CAST(? AS BOOLEAN) FROM member m \
                     {group} {user} WHERE m.directory_key = ? AND {column} = ? \
                     ON CONFLICT DO NOTHING"
                ),
                &[Bind::Bool(silent), Bind::Int(directory_key), Bind::Int(key)],
            )?;
        }
        Ok(())
    }

    /// Notes who has left a group that is being deleted in several units, also before events began to wait.
    pub fn brake_note_emptied(
        &mut self,
        directory_key: i64,
        group_key: i64,
    ) -> Result<(), StoreError> {
        let elements = self.dialect.pick(
            "json_each(p.member_keys) j",
            "jsonb_array_elements_text(CAST(p.member_keys AS jsonb)) j (value)",
        );
        let member = self.dialect.each(
            "resource",
            "r",
            "r.directory_key = p.directory_key AND r.key = CAST(j.value AS BIGINT)",
        );
        let text = format!(
            "INSERT INTO brake_member (directory_key, group_id, member_id, silent) \
             SELECT g.directory_key, g.id, r.id, TRUE FROM member_intent_part p \
             CROSS JOIN {elements} {member} CROSS JOIN resource g \
             WHERE p.directory_key = ? AND p.group_key = ? \
             AND g.directory_key = p.directory_key AND g.key = p.group_key ON CONFLICT DO NOTHING"
        );
        self.execute(&text, &[Bind::Int(directory_key), Bind::Int(group_key)])?;
        Ok(())
    }

    /// Resources that have lost that and were not found to be beyond repair.
    pub fn brake_notes(
        &mut self,
        directory_key: i64,
        lost: Lost,
        limit: i64,
    ) -> Result<Vec<NoteRow>, StoreError> {
        self.rows::<NoteSql, _>(
            "SELECT id, resource_type, doc, extra, version, created, suspended, groupless_since \
             FROM brake_note WHERE directory_key = ? AND what = ? \
             AND failed IS NULL AND NOT given ORDER BY id LIMIT ?",
            &[Bind::Int(directory_key), Bind::Text(lost.as_str()), Bind::Int(limit)],
        )
    }

    pub fn brake_note_done(
        &mut self,
        directory_key: i64,
        lost: Lost,
        id: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM brake_note WHERE directory_key = ? AND what = ? AND id = ?",
            &[Bind::Int(directory_key), Bind::Text(lost.as_str()), Bind::Text(id)],
        )?;
        Ok(())
    }

    pub fn brake_note_failed(
        &mut self,
        directory_key: i64,
        lost: Lost,
        id: &str,
        why: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE brake_note SET failed = ? WHERE directory_key = ? AND what = ? AND id = ?",
            &[Bind::Text(why), Bind::Int(directory_key), Bind::Text(lost.as_str()), Bind::Text(id)],
        )?;
        Ok(())
    }

    /// What could not be put back, and why.
    pub fn brake_failed(
        &mut self,
        directory_key: i64,
        limit: i64,
    ) -> Result<Vec<NotedRow>, StoreError> {
        self.rows::<NotedSql, _>(
            "SELECT id, resource_type, doc, failed FROM brake_note WHERE directory_key = ? \
             AND failed IS NOT NULL ORDER BY what, id LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(limit)],
        )
    }

    /// Deleted users whose userName somebody else has by now, and whose id that is.
    pub fn brake_taken_names(
        &mut self,
        directory_key: i64,
        limit: i64,
    ) -> Result<Vec<NotedRow>, StoreError> {
        let named = self.dialect.each(
            "resource",
            "r",
            "r.directory_key = n.directory_key AND r.resource_type = n.resource_type \
             AND r.user_name_key = n.user_name_key",
        );
        self.rows::<NotedSql, _>(
            &format!(
                "SELECT n.id, n.resource_type, n.doc, r.id FROM brake_note n {named} \
                 WHERE n.directory_key = ? AND n.what = 'deleted' AND NOT n.given \
                 AND n.user_name_key IS NOT NULL AND r.id <> n.id ORDER BY n.id LIMIT ?"
            ),
            &[Bind::Int(directory_key), Bind::Int(limit)],
        )
    }

    /// Deleted resources and deactivated users that are to be put back, and which of both they are.
    pub fn brake_listed(
        &mut self,
        directory_key: i64,
        limit: i64,
    ) -> Result<Vec<NotedRow>, StoreError> {
        self.rows::<NotedSql, _>(
            "SELECT id, resource_type, doc, what FROM brake_note WHERE directory_key = ? AND NOT given \
             AND failed IS NULL AND what IN ('deleted', 'inactive') ORDER BY what, id LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(limit)],
        )
    }

    pub fn brake_lost(&mut self, directory_key: i64) -> Result<LostCounts, StoreError> {
        let row = self.row::<(BigInt, BigInt, BigInt, BigInt, BigInt), _>(
            "SELECT CAST(COALESCE(SUM(CASE WHEN what = 'deleted' AND resource_type = 'User' \
             THEN 1 ELSE 0 END), 0) AS BIGINT), \
             CAST(COALESCE(SUM(CASE WHEN what = 'deleted' AND resource_type = 'Group' \
             THEN 1 ELSE 0 END), 0) AS BIGINT), \
             CAST(COALESCE(SUM(CASE WHEN what = 'deleted' \
             AND resource_type NOT IN ('User', 'Group') THEN 1 ELSE 0 END), 0) AS BIGINT), \
             CAST(COALESCE(SUM(CASE WHEN what = 'inactive' THEN 1 ELSE 0 END), 0) AS BIGINT), \
             (SELECT COUNT(*) FROM brake_member WHERE directory_key = ? AND NOT given) \
             FROM brake_note WHERE directory_key = ? AND NOT given",
            &[Bind::Int(directory_key), Bind::Int(directory_key)],
        )?;
        let (users, groups, others, inactive, memberships): (i64, i64, i64, i64, i64) =
            row.unwrap_or_default();
        Ok(LostCounts { users, groups, others, inactive, memberships })
    }

    /// Memberships that are to be put back, group by group.
    pub fn brake_members(
        &mut self,
        directory_key: i64,
        limit: i64,
    ) -> Result<Vec<LostMember>, StoreError> {
        self.rows::<(Text, Text, Bool), _>(
            "SELECT group_id, member_id, silent FROM brake_member WHERE directory_key = ? \
             AND NOT given ORDER BY group_id, member_id LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(limit)],
        )
    }

    pub fn brake_members_done(
        &mut self,
        directory_key: i64,
        group_id: &str,
        until_member: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM brake_member WHERE directory_key = ? AND group_id = ? AND member_id <= ?",
            &[Bind::Int(directory_key), Bind::Text(group_id), Bind::Text(until_member)],
        )?;
        Ok(())
    }

    /// Forgets some of what would have been put back; answers how many rows went.
    pub fn brake_forget(&mut self, directory_key: i64, limit: i64) -> Result<usize, StoreError> {
        for (table, columns) in
            [("brake_member", "group_id, member_id"), ("brake_note", "what, id")]
        {
            let text = format!(
                "DELETE FROM {table} WHERE directory_key = ? AND ({columns}) IN \
                 (SELECT {columns} FROM {table} WHERE directory_key = ? LIMIT ?)"
            );
            let binds = [Bind::Int(directory_key), Bind::Int(directory_key), Bind::Int(limit)];
            let gone = self.execute(&text, &binds)?;
            if gone > 0 {
                return Ok(gone);
            }
        }
        Ok(0)
    }

    /// Notes a user whose identity catches up when the hold is over.
    pub fn brake_account_note(
        &mut self,
        directory_key: i64,
        user_id: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO brake_account (directory_key, user_id) VALUES (?, ?) \
             ON CONFLICT DO NOTHING",
            &[Bind::Int(directory_key), Bind::Text(user_id)],
        )?;
        Ok(())
    }

    /// Those users of whom no event waits, the oldest first: who goes is older than who comes in the place.
    pub fn brake_accounts(
        &mut self,
        directory_key: i64,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        self.rows::<Text, String>(
            "SELECT user_id FROM brake_account WHERE directory_key = ? AND NOT EXISTS \
             (SELECT 1 FROM event_held e WHERE e.directory_key = brake_account.directory_key \
             AND e.resource_id = brake_account.user_id AND e.member_id = '' LIMIT 1 OFFSET 0) \
             ORDER BY user_id LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(limit)],
        )
    }

    /// Forgets those users up to one of them.
    pub fn brake_accounts_done(
        &mut self,
        directory_key: i64,
        until: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM brake_account WHERE directory_key = ? AND user_id <= ? AND NOT EXISTS \
             (SELECT 1 FROM event_held e WHERE e.directory_key = brake_account.directory_key \
             AND e.resource_id = brake_account.user_id AND e.member_id = '' LIMIT 1 OFFSET 0)",
            &[Bind::Int(directory_key), Bind::Text(until)],
        )?;
        Ok(())
    }

    /// Inserts a resource that was deleted, under its id and behind its last version; answers its key.
    pub fn resource_restore(
        &mut self,
        directory_key: i64,
        note: &NoteRow,
        content: &ResourceContent,
        app_state: AppState,
        now: i64,
    ) -> Result<i64, StoreError> {
        let (resource_type, id) = (note.resource_type.as_str(), note.id.as_str());
        let new = NewRow { resource_type, id, content, app_state, now };
        let keys = self.resources_insert(directory_key, &[new])?;
        let key = keys.first().copied().ok_or(StoreError::MissingReference)?;
        self.execute(
            "UPDATE resource SET version = ?, created = ?, suspended = ?, groupless_since = ? \
             WHERE directory_key = ? AND key = ?",
            &[
                Bind::Int(note.version.saturating_add(1)),
                Bind::Int(note.created),
                Bind::Bool(note.suspended),
                Bind::OptInt(note.groupless_since),
                Bind::Int(directory_key),
                Bind::Int(key),
            ],
        )?;
        Ok(key)
    }

    /// Forgets a deleted user whom the app still sees; true when there was such a one.
    pub fn departed_return(&mut self, directory_key: i64, id: &str) -> Result<bool, StoreError> {
        let gone = self.execute(
            "DELETE FROM departed_user WHERE id = ? AND directory_key = ?",
            &[Bind::Text(id), Bind::Int(directory_key)],
        )?;
        Ok(gone > 0)
    }
}
