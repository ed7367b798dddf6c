//! The brake of a directory: what it has taken away lately, and its events that wait.
//!
//! Events that wait are rows of a table of their own, so the log, its positions and whoever removes old
//! events know nothing of them. Whether they wait is a column of the directory, which changes only in
//! units that have the directory for themselves: every other unit has read it with the directory and
//! ends before, or begins after. So no event overtakes another one of its directory.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::StoreError;
use super::event::NewEvent;
use super::sql::{Bind, Tx};
use crate::event::Reason;

/// Why events of a directory wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brake {
    /// Nobody has decided yet.
    Holding,
    /// They are being told.
    Releasing,
    /// What was taken away is being put back.
    Undoing,
}

impl Brake {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holding => "holding",
            Self::Releasing => "releasing",
            Self::Undoing => "undoing",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Holding, Self::Releasing, Self::Undoing].into_iter().find(|b| b.as_str() == text)
    }
}

/// What was taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Users deactivated or deleted.
    pub users: i64,
    pub memberships: i64,
    /// Groups deleted that gave a role.
    pub role_groups: i64,
}

/// An event that waits.
#[derive(Clone, Debug, Queryable)]
pub struct HeldRow {
    pub key: i64,
    pub event: String,
    pub resource_id: String,
    pub member_id: String,
    /// What the app was told of the resource before.
    pub before: Option<String>,
    pub data: String,
    pub reason: Option<String>,
}

type HeldSql = (BigInt, Text, Text, Text, Nullable<Text>, Text, Nullable<Text>);

const HELD: &str = "SELECT key, event, resource_id, member_id, before_data, data, reason";

/// Notes forgotten in one statement.
const FORGOTTEN: i64 = 10_000;

/// How many events wait, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    pub events: i64,
    /// When the first of them was made.
    pub oldest: Option<i64>,
}

impl Tx<'_> {
    /// Adds to what the directory has taken away in that minute. On PostgreSQL a connection keeps to one
    /// of 32 rows, as for the totals: removals at once do not wait for each other.
    pub fn brake_count_add(
        &mut self,
        directory_key: i64,
        minute: i64,
        taken: Taken,
    ) -> Result<(), StoreError> {
        let text = self.dialect.pick(
            "INSERT INTO brake_count (directory_key, minute, slot, users, memberships, role_groups) \
             VALUES (?, ?, 0, ?, ?, ?) ON CONFLICT (directory_key, minute, slot) DO UPDATE \
             SET users = brake_count.users + excluded.users, \
             memberships = brake_count.memberships + excluded.memberships, \
             role_groups = brake_count.role_groups + excluded.role_groups",
            "INSERT INTO brake_count (directory_key, minute, slot, users, memberships, role_groups) \
             VALUES (?, ?, pg_backend_pid() % 32, ?, ?, ?) \
             ON CONFLICT (directory_key, minute, slot) DO UPDATE \
             SET users = brake_count.users + excluded.users, \
             memberships = brake_count.memberships + excluded.memberships, \
             role_groups = brake_count.role_groups + excluded.role_groups",
        );
        self.execute(
            text,
            &[
                Bind::Int(directory_key),
                Bind::Int(minute),
                Bind::Int(taken.users),
                Bind::Int(taken.memberships),
                Bind::Int(taken.role_groups),
            ],
        )?;
        Ok(())
    }

    /// What the directory has taken away from that minute on, and how many active users it has.
    pub fn brake_taken(
        &mut self,
        directory_key: i64,
        from_minute: i64,
    ) -> Result<(Taken, i64), StoreError> {
        let row = self.row::<(BigInt, BigInt, BigInt, BigInt), (i64, i64, i64, i64)>(
            "SELECT CAST(COALESCE(SUM(users), 0) AS BIGINT), \
             CAST(COALESCE(SUM(memberships), 0) AS BIGINT), \
             CAST(COALESCE(SUM(role_groups), 0) AS BIGINT), \
             (SELECT CAST(COALESCE(SUM(n), 0) AS BIGINT) FROM resource_count \
             WHERE directory_key = ? AND resource_type = 'User' AND active = ?) \
             FROM brake_count WHERE directory_key = ? AND minute >= ?",
            &[
                Bind::Int(directory_key),
                Bind::Bool(true),
                Bind::Int(directory_key),
                Bind::Int(from_minute),
            ],
        )?;
        let (users, memberships, role_groups, active) = row.unwrap_or_default();
        Ok((Taken { users, memberships, role_groups }, active))
    }

    /// How many memberships the directory has, counted up to a limit.
    pub fn brake_memberships(&mut self, directory_key: i64, limit: i64) -> Result<i64, StoreError> {
        let count = self.row::<BigInt, i64>(
            "SELECT COUNT(*) FROM (SELECT 1 FROM member WHERE directory_key = ? LIMIT ?) m",
            &[Bind::Int(directory_key), Bind::Int(limit)],
        )?;
        Ok(count.unwrap_or(0))
    }

    /// Forgets what was taken away before that minute, in every directory.
    pub fn brake_count_prune(&mut self, before_minute: i64) -> Result<usize, StoreError> {
        self.execute("DELETE FROM brake_count WHERE minute < ?", &[Bind::Int(before_minute)])
    }

    /// Begins to count anew.
    pub fn brake_count_clear(&mut self, directory_key: i64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM brake_count WHERE directory_key = ?",
            &[Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// Why events of the directory wait, and since when.
    pub fn brake_get(
        &mut self,
        directory_key: i64,
    ) -> Result<Option<(Brake, Option<i64>)>, StoreError> {
        let row = self.row::<(Nullable<Text>, Nullable<BigInt>), (Option<String>, Option<i64>)>(
            "SELECT brake, brake_since FROM directory WHERE key = ?",
            &[Bind::Int(directory_key)],
        )?;
        let (brake, since) = row.unwrap_or_default();
        Ok(brake.as_deref().and_then(Brake::parse).map(|brake| (brake, since)))
    }

    /// Sets why events of the directory wait. The unit has the directory for itself.
    pub fn brake_set(
        &mut self,
        directory_key: i64,
        brake: Option<Brake>,
        since: Option<i64>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory SET brake = ?, brake_since = ? WHERE key = ?",
            &[
                Bind::OptText(brake.map(Brake::as_str)),
                Bind::OptInt(since),
                Bind::Int(directory_key),
            ],
        )?;
        self.hold(directory_key, brake.is_some());
        Ok(())
    }

    /// Begins to tell what waits now, which no undo puts back any more; what comes later is no part of that.
    /// The unit has the directory for itself.
    pub fn brake_release(
        &mut self,
        directory_key: i64,
        since: Option<i64>,
    ) -> Result<(), StoreError> {
        self.brake_set(directory_key, Some(Brake::Releasing), since)?;
        self.execute(
            "UPDATE directory SET brake_until = (SELECT COALESCE(MAX(e.key), 0) FROM event_held e \
             WHERE e.directory_key = directory.key) WHERE key = ?",
            &[Bind::Int(directory_key)],
        )?;
        while self.brake_forget(directory_key, FORGOTTEN)? > 0 {}
        Ok(())
    }

    /// The last event that a release tells.
    pub fn brake_until(&mut self, directory_key: i64) -> Result<i64, StoreError> {
        let until = self.row::<Nullable<BigInt>, Option<i64>>(
            "SELECT brake_until FROM directory WHERE key = ?",
            &[Bind::Int(directory_key)],
        )?;
        Ok(until.flatten().unwrap_or(0))
    }

    /// Directories whose events wait, with the reason.
    pub fn brake_directories(&mut self) -> Result<Vec<(i64, String)>, StoreError> {
        self.rows::<(BigInt, Text), _>(
            "SELECT key, brake FROM directory WHERE brake IS NOT NULL ORDER BY key",
            &[],
        )
    }

    /// Puts an event behind those that wait. The key is drawn while the unit holds the resource, as that
    /// of an event. `before` is what the app was told of the resource before; `None` when it knew nothing of
    /// it.
    pub fn event_hold(
        &mut self,
        directory_key: i64,
        new: &NewEvent,
        before: Option<&str>,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO event_held (directory_key, event, resource_id, member_id, before_data, \
             data, reason, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                Bind::Int(directory_key),
                Bind::Text(new.event),
                Bind::Text(&new.resource_id),
                Bind::Text(new.member_id.as_deref().unwrap_or_default()),
                Bind::OptText(before),
                Bind::Text(new.data.text()),
                Bind::OptText(new.reason.map(Reason::as_str)),
                Bind::Int(new.created),
            ],
        )?;
        Ok(())
    }

    pub fn held_count(&mut self, directory_key: i64) -> Result<Waiting, StoreError> {
        let row = self.row::<(BigInt, Nullable<BigInt>), (i64, Option<i64>)>(
            "SELECT COUNT(*), MIN(created) FROM event_held WHERE directory_key = ?",
            &[Bind::Int(directory_key)],
        )?;
        let (events, oldest) = row.unwrap_or_default();
        Ok(Waiting { events, oldest })
    }

    /// The first events that wait, in their order, up to one of them.
    pub fn held_first(
        &mut self,
        directory_key: i64,
        until: i64,
        limit: i64,
    ) -> Result<Vec<HeldRow>, StoreError> {
        self.rows::<HeldSql, _>(
            &format!(
                "{HELD} FROM event_held WHERE directory_key = ? AND key <= ? \
                 ORDER BY rank, key LIMIT ?"
            ),
            &[Bind::Int(directory_key), Bind::Int(until), Bind::Int(limit)],
        )
    }

    /// Removes events that wait, for a unit that has the directory's brake for itself.
    pub fn held_delete(&mut self, directory_key: i64, keys: &[i64]) -> Result<(), StoreError> {
        let dialect = self.dialect;
        let listed = dialect.is_listed(dialect.keys(), "event_held", "key", "directory_key = ?");
        let list = super::resource::key_list(keys);
        self.execute(
            &format!("DELETE FROM event_held WHERE {listed}"),
            &[Bind::Owned(list), Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// What events that wait are about and an undo has not looked at yet: (resource, user of a
    /// membership or nothing).
    pub fn held_subjects(
        &mut self,
        directory_key: i64,
        limit: i64,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.rows::<(Text, Text), _>(
            "SELECT DISTINCT resource_id, member_id FROM event_held WHERE directory_key = ? \
             AND rank = 0 ORDER BY resource_id, member_id LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(limit)],
        )
    }

    /// The events about one subject that an undo has not looked at yet.
    pub fn held_of(
        &mut self,
        directory_key: i64,
        subject: (&str, &str),
    ) -> Result<Vec<HeldRow>, StoreError> {
        self.rows::<HeldSql, _>(
            &format!(
                "{HELD} FROM event_held WHERE directory_key = ? AND resource_id = ? \
                 AND member_id = ? AND rank = 0 ORDER BY key"
            ),
            &[Bind::Int(directory_key), Bind::Text(subject.0), Bind::Text(subject.1)],
        )
    }

    /// What the app was told of a resource before the first event about it that waits; `None` when none
    /// does, or when it knew nothing.
    pub fn held_before(
        &mut self,
        directory_key: i64,
        resource_id: &str,
    ) -> Result<Option<String>, StoreError> {
        let before = self.row::<Nullable<Text>, Option<String>>(
            "SELECT before_data FROM event_held WHERE directory_key = ? AND resource_id = ? \
             AND member_id = '' ORDER BY key LIMIT 1",
            &[Bind::Int(directory_key), Bind::Text(resource_id)],
        )?;
        Ok(before.flatten())
    }

    /// Puts another event in the place of one that waits.
    pub fn held_replace(
        &mut self,
        directory_key: i64,
        row: &HeldRow,
        rank: i32,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE event_held SET rank = ?, event = ?, before_data = ?, data = ?, reason = ? \
             WHERE directory_key = ? AND key = ?",
            &[
                Bind::Small(rank),
                Bind::Text(&row.event),
                Bind::OptText(row.before.as_deref()),
                Bind::Text(&row.data),
                Bind::OptText(row.reason.as_deref()),
                Bind::Int(directory_key),
                Bind::Int(row.key),
            ],
        )?;
        Ok(())
    }
}
