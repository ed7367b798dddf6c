//! Directories that are read: their configuration, where a read goes on, and who has the lease. What
//! comes of runs is in [`super::sync_run`].

use diesel::Queryable;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use serde::Serialize;

use super::StoreError;
use super::exec::Lease;
use super::resource::key_list;
use super::sql::{Bind, Tx};

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct SyncRow {
    pub directory_key: i64,
    /// Sealed.
    pub config: String,
    /// Sealed; `None` where the next read has to be a complete one.
    pub cursor: Option<String>,
    /// `None` for on request only.
    pub next_at: Option<i64>,
    /// When everything was read; `None` where a complete read is owed.
    pub full_at: Option<i64>,
    /// Runs that have failed one after another.
    pub failures: i64,
    /// Whether the app was told of the directory.
    pub activated: bool,
    pub last_sync: Option<i64>,
    /// JSON object.
    pub last_counts: Option<String>,
    pub last_error: Option<String>,
    /// Rises with every change of the configuration, the settings or a file.
    pub generation: i64,
}

type Sql = (
    BigInt,
    Text,
    Nullable<Text>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    BigInt,
    Bool,
    Nullable<BigInt>,
    Nullable<Text>,
    Nullable<Text>,
    BigInt,
);

const COLUMNS: &str = "SELECT s.directory_key, s.config, s.cursor, s.next_at, s.full_at, \
     s.failures, s.activated, s.last_sync, s.last_counts, s.last_error, s.generation FROM sync_directory s";

/// Which directories there is something to do for: nobody has them, they are not stopped, nobody is handed over
/// to them now, and their time has come or somebody has asked for a run.
const DUE: &str = "s.directory_key IN (SELECT n.directory_key FROM sync_directory n \
     WHERE n.next_at <= ? UNION ALL SELECT r.directory_key FROM sync_run r \
     WHERE r.status IN ('pending', 'running', 'approved')) AND s.lease <= ? \
     AND d.state IN ('validating', 'linked', 'invalid_credentials', 'error') \
     AND NOT EXISTS (SELECT 1 FROM disconnection o WHERE o.into_key = s.directory_key \
     AND o.state = 'running')";

/// A directory that somebody has taken to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub directory_key: i64,
    /// Whoever had it before has not let it go for good: it was killed, stands still, or was in trouble.
    pub is_taken_over: bool,
}

/// The places that a process has for directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    pub free: i64,
    /// Keys of the directories that have the others.
    pub reading: Vec<i64>,
}

/// A resource that came from a source.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct KnownRow {
    pub key: i64,
    pub id: String,
    pub external_id: String,
    /// A user's name as a comparison key, or what lists show.
    pub name: Option<String>,
    pub active: bool,
    pub version: i64,
    pub digest: Option<String>,
}

/// How a directory stands after a run.
#[derive(Clone, Debug)]
pub struct SyncEnd {
    pub cursor: Option<String>,
    pub next_at: Option<i64>,
    pub full_at: Option<i64>,
    pub failures: i64,
    pub last_sync: Option<i64>,
    pub last_counts: Option<String>,
    pub last_error: Option<String>,
}

impl Tx<'_> {
    pub fn sync_insert(
        &mut self,
        directory_key: i64,
        config: &str,
        next_at: Option<i64>,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO sync_directory (directory_key, config, next_at, failures, activated, \
             runner, lease) VALUES (?, ?, ?, 0, FALSE, '', 0)",
            &[Bind::Int(directory_key), Bind::Text(config), Bind::OptInt(next_at)],
        )?;
        Ok(())
    }

    pub fn sync_get(&mut self, directory_key: i64) -> Result<Option<SyncRow>, StoreError> {
        let text = format!("{COLUMNS} WHERE s.directory_key = ?");
        self.row::<Sql, _>(&text, &[Bind::Int(directory_key)])
    }

    /// Those of the directories that are read.
    pub fn sync_rows(&mut self, directory_keys: &[i64]) -> Result<Vec<SyncRow>, StoreError> {
        let keys = self.dialect.keys();
        let text = format!("{COLUMNS} WHERE s.directory_key IN (SELECT j.value FROM {keys})");
        self.rows::<Sql, _>(&text, &[Bind::Owned(key_list(directory_keys))])
    }

    /// What the last read of everything has found, sealed.
    pub fn sync_found(&mut self, directory_key: i64) -> Result<Option<String>, StoreError> {
        let text = "SELECT found FROM sync_directory WHERE directory_key = ?";
        let found =
            self.row::<Nullable<Text>, Option<String>>(text, &[Bind::Int(directory_key)])?;
        Ok(found.flatten())
    }

    pub fn sync_found_set(&mut self, directory_key: i64, found: &str) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sync_directory SET found = ? WHERE directory_key = ?",
            &[Bind::Text(found), Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// Another configuration: what was read by the one before says nothing.
    pub fn sync_config_set(
        &mut self,
        directory_key: i64,
        config: &str,
        next_at: Option<i64>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sync_directory SET config = ?, cursor = NULL, found = NULL, failures = 0, next_at = ?, \
             generation = generation + 1 WHERE directory_key = ?",
            &[Bind::Text(config), Bind::OptInt(next_at), Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// When it is read next; the next read is a complete one.
    pub fn sync_schedule_set(
        &mut self,
        directory_key: i64,
        next_at: Option<i64>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sync_directory SET cursor = NULL, next_at = ?, generation = generation + 1 \
             WHERE directory_key = ?",
            &[Bind::OptInt(next_at), Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// Another file: a run that has read the one before decides nothing.
    pub fn sync_outdate(&mut self, directory_key: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sync_directory SET generation = generation + 1 WHERE directory_key = ?",
            &[Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// Takes directories that there is something to do for. An organization gets a place only while more are free
    /// than it has, and who has fewest comes first; then come those that somebody has asked for, then those that
    /// have waited longest, for their time or for the end of a lease.
    pub fn sync_claim(
        &mut self,
        runner: &str,
        now: i64,
        lease: i64,
        room: &Room,
    ) -> Result<Vec<Claimed>, StoreError> {
        let lock = self.dialect.pick("", "FOR NO KEY UPDATE OF s SKIP LOCKED");
        let due = self.sync_turns(now, room, lock)?;
        for (key, _) in &due {
            self.execute(
                "UPDATE sync_directory SET runner = ?, lease = ? WHERE directory_key = ?",
                &[Bind::Text(runner), Bind::Int(lease), Bind::Int(*key)],
            )?;
        }
        let claimed =
            |(directory_key, before)| Claimed { directory_key, is_taken_over: before > 0 };
        Ok(due.into_iter().map(claimed).collect())
    }

    /// Whether there is something to do for any directory that may have a place.
    pub fn sync_due(&mut self, now: i64, room: &Room) -> Result<bool, StoreError> {
        Ok(!self.sync_turns(now, room, "")?.is_empty())
    }

    /// Directories that may be taken, each with its lease. In their order each finds one place less free, and its
    /// organization has one more for each of its directories before.
    fn sync_turns(
        &mut self,
        now: i64,
        room: &Room,
        lock: &str,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        let keys = self.dialect.keys();
        let text = format!(
            "WITH has AS (SELECT d.organization_key, COUNT(*) AS places FROM {keys} \
             JOIN directory d ON d.key = j.value GROUP BY d.organization_key), \
             due AS (SELECT s.directory_key, d.organization_key, CASE WHEN s.next_at <= ? \
             AND s.next_at > s.lease THEN s.next_at ELSE s.lease END AS since FROM sync_directory s \
             JOIN directory d ON d.key = s.directory_key WHERE {DUE}), \
             line AS (SELECT due.directory_key, due.since, COALESCE(has.places, 0) - 1 + ROW_NUMBER() \
             OVER (PARTITION BY due.organization_key ORDER BY due.since, due.directory_key) AS places \
             FROM due LEFT JOIN has ON has.organization_key = due.organization_key), \
             turn AS (SELECT directory_key, places, \
             ROW_NUMBER() OVER (ORDER BY places, since, directory_key) - 1 AS taken FROM line) \
             SELECT s.directory_key, s.lease FROM turn JOIN sync_directory s \
             ON s.directory_key = turn.directory_key WHERE ? - turn.taken > turn.places \
             AND s.lease <= ? ORDER BY turn.taken {lock}"
        );
        let binds = [
            Bind::Owned(key_list(&room.reading)),
            Bind::Int(now),
            Bind::Int(now),
            Bind::Int(now),
            Bind::Int(room.free),
            Bind::Int(now),
        ];
        self.rows::<(BigInt, BigInt), (i64, i64)>(&text, &binds)
    }

    /// Keeps a directory; false when somebody else has it, or it was stopped.
    pub fn sync_keep(
        &mut self,
        directory_key: i64,
        runner: &str,
        lease: i64,
    ) -> Result<bool, StoreError> {
        let held = self.execute(
            "UPDATE sync_directory SET lease = ? WHERE directory_key = ? AND runner = ? \
             AND EXISTS (SELECT 1 FROM directory d WHERE d.key = sync_directory.directory_key \
             AND d.state IN ('validating', 'linked', 'invalid_credentials', 'error'))",
            &[Bind::Int(lease), Bind::Int(directory_key), Bind::Text(runner)],
        )?;
        Ok(held == 1)
    }

    /// Keeps a directory, or lets it go; false when somebody else has it.
    pub fn sync_hold(
        &mut self,
        directory_key: i64,
        runner: &str,
        lease: i64,
    ) -> Result<bool, StoreError> {
        let held = self.execute(
            "UPDATE sync_directory SET lease = ? WHERE directory_key = ? AND runner = ?",
            &[Bind::Int(lease), Bind::Int(directory_key), Bind::Text(runner)],
        )?;
        Ok(held == 1)
    }

    /// Whether a directory is still this runner's.
    pub fn sync_is_held_by(
        &mut self,
        directory_key: i64,
        runner: &str,
    ) -> Result<bool, StoreError> {
        let lock = self.dialect.pick("", "FOR NO KEY UPDATE");
        let text = format!(
            "SELECT directory_key FROM sync_directory WHERE directory_key = ? AND runner = ? {lock}"
        );
        let found =
            self.row::<BigInt, i64>(&text, &[Bind::Int(directory_key), Bind::Text(runner)])?;
        Ok(found.is_some())
    }

    /// The same without a lock, for units that write under the lease. On PostgreSQL whoever takes a directory over
    /// waits for the units that had begun by then (see [`Tx::directory_lock_exclusive`]); those that begin later see
    /// it here.
    pub(super) fn sync_lease_stands(&mut self, lease: &Lease) -> Result<bool, StoreError> {
        let found = self.row::<BigInt, i64>(
            "SELECT directory_key FROM sync_directory WHERE directory_key = ? AND runner = ?",
            &[Bind::Int(lease.directory_key), Bind::Text(&lease.runner)],
        )?;
        Ok(found.is_some())
    }

    /// Ends every lease: whoever held one has stopped.
    pub fn sync_release_all(&mut self) -> Result<(), StoreError> {
        self.execute("UPDATE sync_directory SET lease = 0 WHERE lease <> 0", &[])?;
        Ok(())
    }

    /// False, and nothing is stored, when what it is read by has changed since that generation.
    pub fn sync_end(
        &mut self,
        directory_key: i64,
        generation: i64,
        end: &SyncEnd,
    ) -> Result<bool, StoreError> {
        let stored = self.execute(
            "UPDATE sync_directory SET cursor = ?, next_at = ?, full_at = ?, failures = ?, \
             last_sync = ?, last_counts = ?, last_error = ? WHERE directory_key = ? \
             AND generation = ?",
            &[
                Bind::OptText(end.cursor.as_deref()),
                Bind::OptInt(end.next_at),
                Bind::OptInt(end.full_at),
                Bind::Int(end.failures),
                Bind::OptInt(end.last_sync),
                Bind::OptText(end.last_counts.as_deref()),
                Bind::OptText(end.last_error.as_deref()),
                Bind::Int(directory_key),
                Bind::Int(generation),
            ],
        )?;
        Ok(stored == 1)
    }

    /// The state that a run has found, unless an operator has stopped the directory meanwhile.
    pub fn sync_state_set(
        &mut self,
        directory_key: i64,
        state: &str,
        now: i64,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE directory SET state = ?, modified = ? WHERE key = ? AND state <> ? \
             AND state IN ('validating', 'linked', 'invalid_credentials', 'error')",
            &[Bind::Text(state), Bind::Int(now), Bind::Int(directory_key), Bind::Text(state)],
        )?;
        Ok(changed == 1)
    }

    /// Notes that the app is told of the directory; false when it was before.
    pub fn sync_activate(&mut self, directory_key: i64) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE sync_directory SET activated = TRUE WHERE directory_key = ? AND NOT activated",
            &[Bind::Int(directory_key)],
        )?;
        Ok(changed == 1)
    }

    /// Resources of a type that came from the source, by key.
    pub fn sync_known(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<KnownRow>, StoreError> {
        self.rows::<(BigInt, Text, Text, Nullable<Text>, Bool, BigInt, Nullable<Text>), _>(
            "SELECT r.key, r.id, r.external_id, \
             COALESCE(r.user_name_key, r.display), r.active, r.version, \
             (SELECT g.digest FROM sync_digest g \
             WHERE g.directory_key = r.directory_key AND g.resource_key = r.key) \
             FROM resource r WHERE r.directory_key = ? AND r.resource_type = ? AND r.key > ? \
             AND r.external_id IS NOT NULL AND r.external_id <> '' ORDER BY r.key LIMIT ?",
            &[
                Bind::Int(directory_key),
                Bind::Text(resource_type),
                Bind::Int(after_key),
                Bind::Int(limit),
            ],
        )
    }

    /// Memberships by group and member, beyond that one.
    pub fn sync_members(
        &mut self,
        directory_key: i64,
        (after_group, after_member): (i64, i64),
        limit: i64,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<(BigInt, BigInt), _>(
            "SELECT group_key, member_key FROM member WHERE directory_key = ? \
             AND (group_key, member_key) > (?, ?) ORDER BY group_key, member_key LIMIT ?",
            &[
                Bind::Int(directory_key),
                Bind::Int(after_group),
                Bind::Int(after_member),
                Bind::Int(limit),
            ],
        )
    }

    /// Notes what resources were made of.
    pub fn sync_digests_put(
        &mut self,
        directory_key: i64,
        digests: &[(i64, impl Serialize)],
    ) -> Result<(), StoreError> {
        let text = self.dialect.pick(
            "INSERT INTO sync_digest (directory_key, resource_key, digest) \
             SELECT ?, j.value ->> 0, j.value ->> 1 FROM json_each(?) j WHERE TRUE \
             ON CONFLICT (directory_key, resource_key) DO UPDATE SET digest = excluded.digest",
            "INSERT INTO sync_digest (directory_key, resource_key, digest) \
             SELECT ?, CAST(j.value ->> 0 AS BIGINT), j.value ->> 1 \
             FROM jsonb_array_elements(CAST(? AS jsonb)) j (value) \
             ON CONFLICT (directory_key, resource_key) DO UPDATE SET digest = excluded.digest",
        );
        let list = serde_json::to_string(digests).unwrap_or_else(|_| "[]".to_owned());
        self.execute(text, &[Bind::Int(directory_key), Bind::Owned(list)])?;
        Ok(())
    }

    /// Lets go of the names of users who give them to each other in this unit.
    pub fn user_names_let_go(
        &mut self,
        directory_key: i64,
        keys: &[i64],
    ) -> Result<(), StoreError> {
        self.app_user_keep(directory_key, keys, false)?;
        let dialect = self.dialect;
        let listed = dialect.is_listed(dialect.keys(), "resource", "key", "directory_key = ?");
        self.execute(
            &format!("UPDATE resource SET user_name_key = NULL WHERE {listed}"),
            &[Bind::Owned(key_list(keys)), Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// Forgets what resources that are gone were made of.
    pub fn sync_digests_prune(&mut self, directory_key: i64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM sync_digest WHERE directory_key = ? AND NOT EXISTS (SELECT 1 \
             FROM resource r WHERE r.directory_key = sync_digest.directory_key \
             AND r.key = sync_digest.resource_key LIMIT 1 OFFSET 0)",
            &[Bind::Int(directory_key)],
        )?;
        Ok(())
    }
}
