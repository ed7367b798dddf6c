//! Changes of more members than one unit takes: what is left of them, until the last unit is done.
//!
//! The parts are the queue. A unit that does a part holds the group's row and removes the part, so each
//! is done once, whoever does it: the process that took the request, or another one after it stopped.

use diesel::result::Error as DieselError;
use diesel::sql_types::{BigInt, Bool, Integer, Text};

use super::StoreError;
use super::resource::{IS_NAMED, IS_RESOURCE, key_list};
use super::sql::{Bind, Tx};

/// Members who join, or who leave, in one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPart {
    /// They are done by rising number.
    pub number: i32,
    pub joins: bool,
    pub keys: Vec<i64>,
}

/// What becomes of the group at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Stays,
    /// It is deleted when it has no members any more.
    Deleted,
}

impl Tx<'_> {
    /// Begins a change of the group, whose row is locked.
    pub fn intent_open(
        &mut self,
        directory_key: i64,
        group_key: i64,
        ending: Ending,
        now: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO member_intent (directory_key, group_key, ending, created) \
             VALUES (?, ?, ?, ?)",
            &[
                Bind::Int(directory_key),
                Bind::Int(group_key),
                Bind::Bool(ending == Ending::Deleted),
                Bind::Int(now),
            ],
        )?;
        Ok(())
    }

    /// The change that the group is in.
    pub fn intent_get(
        &mut self,
        directory_key: i64,
        group_key: i64,
    ) -> Result<Option<Ending>, StoreError> {
        let ending = self.row::<Bool, bool>(
            "SELECT ending FROM member_intent WHERE directory_key = ? AND group_key = ?",
            &[Bind::Int(directory_key), Bind::Int(group_key)],
        )?;
        Ok(ending.map(|deleted| if deleted { Ending::Deleted } else { Ending::Stays }))
    }

    /// Ends a change of which nothing is left.
    pub fn intent_close(&mut self, directory_key: i64, group_key: i64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM member_intent WHERE directory_key = ? AND group_key = ?",
            &[Bind::Int(directory_key), Bind::Int(group_key)],
        )?;
        Ok(())
    }

    pub fn intent_part_add(
        &mut self,
        directory_key: i64,
        group_key: i64,
        part: &MemberPart,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO member_intent_part (directory_key, group_key, part, joins, member_keys) \
             VALUES (?, ?, ?, ?, ?)",
            &[
                Bind::Int(directory_key),
                Bind::Int(group_key),
                Bind::Small(part.number),
                Bind::Bool(part.joins),
                Bind::Owned(key_list(&part.keys)),
            ],
        )?;
        Ok(())
    }

    /// The part that is next. One that cannot be read is an error: passed over, its members would be
    /// missing without a word.
    pub fn intent_part_next(
        &mut self,
        directory_key: i64,
        group_key: i64,
    ) -> Result<Option<MemberPart>, StoreError> {
        let part = self.row::<(Integer, Bool, Text), (i32, bool, String)>(
            "SELECT part, joins, member_keys FROM member_intent_part \
             WHERE directory_key = ? AND group_key = ? ORDER BY part LIMIT 1",
            &[Bind::Int(directory_key), Bind::Int(group_key)],
        )?;
        let Some((number, joins, keys)) = part else { return Ok(None) };
        let damaged = |error: serde_json::Error| {
            StoreError::Database(DieselError::DeserializationError(Box::new(error)))
        };
        let keys = serde_json::from_str(&keys).map_err(damaged)?;
        Ok(Some(MemberPart { number, joins, keys }))
    }

    pub fn intent_part_done(
        &mut self,
        directory_key: i64,
        group_key: i64,
        number: i32,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM member_intent_part WHERE directory_key = ? AND group_key = ? \
             AND part = ?",
            &[Bind::Int(directory_key), Bind::Int(group_key), Bind::Small(number)],
        )?;
        Ok(())
    }

    /// Notes who has left a group that is to be deleted, of which nobody is told.
    pub fn intent_emptied_add(
        &mut self,
        directory_key: i64,
        group_key: i64,
        keys: &[i64],
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.execute(
            "INSERT INTO member_intent_part (directory_key, group_key, part, joins, member_keys) \
             SELECT ?, ?, COALESCE(MAX(part), 0) + 1, FALSE, ? FROM member_intent_part \
             WHERE directory_key = ? AND group_key = ?",
            &[
                Bind::Int(directory_key),
                Bind::Int(group_key),
                Bind::Owned(key_list(keys)),
                Bind::Int(directory_key),
                Bind::Int(group_key),
            ],
        )?;
        Ok(())
    }

    /// Takes a user out of what was noted; answers the groups, which are still there.
    pub fn intent_emptied_take(
        &mut self,
        directory_key: i64,
        user_key: i64,
    ) -> Result<Vec<i64>, StoreError> {
        let text = self.dialect.pick(
            "UPDATE member_intent_part SET member_keys = \
             (SELECT json_group_array(j.value) FROM json_each(member_keys) j WHERE j.value <> ?) \
             WHERE directory_key = ? AND group_key IN \
             (SELECT i.group_key FROM member_intent i WHERE i.directory_key = ? AND i.ending) \
             AND EXISTS (SELECT 1 FROM json_each(member_keys) j WHERE j.value = ?) \
             RETURNING group_key",
            "UPDATE member_intent_part SET member_keys = \
             (SELECT CAST(COALESCE(jsonb_agg(j.value), '[]') AS TEXT) FROM \
             jsonb_array_elements(CAST(member_keys AS jsonb)) j (value) \
             WHERE j.value <> to_jsonb(CAST(? AS BIGINT))) \
             WHERE directory_key = ? AND group_key IN \
             (SELECT i.group_key FROM member_intent i WHERE i.directory_key = ? AND i.ending) \
             AND CAST(member_keys AS jsonb) @> to_jsonb(CAST(? AS BIGINT)) \
             RETURNING group_key",
        );
        let (user, directory) = (Bind::Int(user_key), Bind::Int(directory_key));
        self.rows::<BigInt, i64>(text, &[user.clone(), directory.clone(), directory, user])
    }

    /// Forgets what was noted: the group goes, and that is told.
    pub fn intent_emptied_forget(
        &mut self,
        directory_key: i64,
        group_key: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM member_intent_part WHERE directory_key = ? AND group_key = ?",
            &[Bind::Int(directory_key), Bind::Int(group_key)],
        )?;
        Ok(())
    }

    /// Changes that began at `until` or before and are not done, oldest first, as (directory, group).
    pub fn intent_list(&mut self, until: i64) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<(BigInt, BigInt), _>(
            "SELECT i.directory_key, i.group_key FROM member_intent i JOIN directory d \
             ON d.key = i.directory_key WHERE i.created <= ? AND d.state <> 'disabled' \
             ORDER BY i.created, i.group_key",
            &[Bind::Int(until)],
        )
    }

    /// Groups of a directory whose change is not done, oldest first.
    pub fn intent_groups(&mut self, directory_key: i64) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT group_key FROM member_intent WHERE directory_key = ? \
             ORDER BY created, group_key",
            &[Bind::Int(directory_key)],
        )
    }

    /// Resources by id, without keeping them: for what is worked out before the unit.
    pub fn member_keys_of(
        &mut self,
        directory_key: i64,
        ids: &[String],
    ) -> Result<Vec<(i64, String)>, StoreError> {
        let resources = self.dialect.each("resource", "r", IS_NAMED);
        let text = format!("SELECT r.key, r.id FROM {} {resources}", self.dialect.texts());
        let list = serde_json::Value::from(ids).to_string();
        self.rows::<(BigInt, Text), _>(&text, &[Bind::Owned(list), Bind::Int(directory_key)])
    }

    /// Which of the resources are there; they are kept from being deleted until the unit ends.
    pub fn member_present(
        &mut self,
        directory_key: i64,
        keys: &[i64],
    ) -> Result<Vec<i64>, StoreError> {
        let resources = self.dialect.each_kept("resource", "r", IS_RESOURCE, "FOR KEY SHARE");
        let text = format!("SELECT r.key FROM {} {resources}", self.dialect.keys());
        self.rows::<BigInt, i64>(&text, &[Bind::Owned(key_list(keys)), Bind::Int(directory_key)])
    }

    /// Keys of the members of a group in order, beyond `after_key`.
    pub fn member_keys(
        &mut self,
        directory_key: i64,
        group_key: i64,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<i64>, StoreError> {
        let whose = self.dialect.whose("directory_key");
        self.rows::<BigInt, i64>(
            &format!(
                "SELECT member_key FROM member WHERE {whose} AND group_key = ? \
                 AND member_key > ? ORDER BY member_key LIMIT ?"
            ),
            &[
                Bind::Int(directory_key),
                Bind::Int(group_key),
                Bind::Int(after_key),
                Bind::Int(limit),
            ],
        )
    }

    /// Whether the group has more members than that. Looks at no more index entries than it has to.
    pub fn member_exceeds(
        &mut self,
        directory_key: i64,
        group_key: i64,
        than: i64,
    ) -> Result<bool, StoreError> {
        let found = self.row::<BigInt, i64>(
            "SELECT member_key FROM member WHERE directory_key = ? AND group_key = ? \
             ORDER BY member_key LIMIT 1 OFFSET ?",
            &[Bind::Int(directory_key), Bind::Int(group_key), Bind::Int(than)],
        )?;
        Ok(found.is_some())
    }
}
