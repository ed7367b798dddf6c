//! Runs of directories that are read, what they did or would do, and the files that were handed in.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::StoreError;
use super::range::ListRange;
use super::sql::{Bind, Tx};

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct RunRow {
    pub id: String,
    pub status: String,
    /// `full`, `incremental`, or `auto` while nobody knows.
    pub mode: String,
    pub dry_run: bool,
    /// `schedule`, `request` or `file`.
    pub cause: String,
    pub created: i64,
    pub started: Option<i64>,
    pub finished: Option<i64>,
    /// JSON object.
    pub counts: String,
    /// JSON object, while it runs.
    pub progress: Option<String>,
    /// JSON object: why it is held.
    pub held: Option<String>,
    pub error: Option<String>,
    /// JSON object: what a dry run goes by in place of the settings in force.
    pub settings: Option<String>,
}

type Sql = (
    Text,
    Text,
    Text,
    Bool,
    Text,
    BigInt,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Text,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
);

const COLUMNS: &str = "SELECT id, status, mode, dry_run, cause, created, started, finished, counts, \
     progress, held, error, settings FROM sync_run";

/// A file without its content.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct FileRow {
    pub name: String,
    pub bytes: i64,
    pub uploaded: i64,
}

impl Tx<'_> {
    pub fn run_insert(&mut self, directory_key: i64, row: &RunRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO sync_run (directory_key, id, status, mode, dry_run, cause, created, started, \
             counts, settings) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                Bind::Int(directory_key),
                Bind::Text(&row.id),
                Bind::Text(&row.status),
                Bind::Text(&row.mode),
                Bind::Bool(row.dry_run),
                Bind::Text(&row.cause),
                Bind::Int(row.created),
                Bind::OptInt(row.started),
                Bind::Text(&row.counts),
                Bind::OptText(row.settings.as_deref()),
            ],
        )?;
        Ok(())
    }

    pub fn run_get(&mut self, directory_key: i64, id: &str) -> Result<Option<RunRow>, StoreError> {
        let text = format!("{COLUMNS} WHERE directory_key = ? AND id = ?");
        self.row::<Sql, _>(&text, &[Bind::Int(directory_key), Bind::Text(id)])
    }

    /// Runs that are not over, in the order in which they are done: one that was cut off comes first.
    pub fn run_open(&mut self, directory_key: i64) -> Result<Vec<RunRow>, StoreError> {
        let text = format!(
            "{COLUMNS} WHERE directory_key = ? AND status IN ('pending', 'running', 'approved') \
             ORDER BY CASE status WHEN 'running' THEN 0 ELSE 1 END, id"
        );
        self.rows::<Sql, _>(&text, &[Bind::Int(directory_key)])
    }

    /// When the last run ended that was no dry one.
    pub fn run_last_end(&mut self, directory_key: i64) -> Result<Option<i64>, StoreError> {
        let last = self.row::<Nullable<BigInt>, Option<i64>>(
            "SELECT finished FROM sync_run WHERE directory_key = ? AND finished IS NOT NULL \
             AND NOT dry_run ORDER BY id DESC LIMIT 1",
            &[Bind::Int(directory_key)],
        )?;
        Ok(last.flatten())
    }

    /// Runs, newest first.
    pub fn run_list(
        &mut self,
        directory_key: i64,
        range: &ListRange,
    ) -> Result<Vec<RunRow>, StoreError> {
        let (condition, order, cursor) = range.sql();
        let text =
            format!("{COLUMNS} WHERE directory_key = ? AND {condition} ORDER BY {order} LIMIT ?");
        self.rows::<Sql, _>(
            &text,
            &[Bind::Int(directory_key), Bind::Text(cursor), Bind::Int(range.limit)],
        )
    }

    /// Writes how a run stands: everything but what it was made with.
    pub fn run_update(&mut self, directory_key: i64, row: &RunRow) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sync_run SET status = ?, mode = ?, started = ?, finished = ?, counts = ?, \
             progress = ?, held = ?, error = ? WHERE directory_key = ? AND id = ?",
            &[
                Bind::Text(&row.status),
                Bind::Text(&row.mode),
                Bind::OptInt(row.started),
                Bind::OptInt(row.finished),
                Bind::Text(&row.counts),
                Bind::OptText(row.progress.as_deref()),
                Bind::OptText(row.held.as_deref()),
                Bind::OptText(row.error.as_deref()),
                Bind::Int(directory_key),
                Bind::Text(&row.id),
            ],
        )?;
        Ok(())
    }

    pub fn run_progress(
        &mut self,
        directory_key: i64,
        id: &str,
        progress: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sync_run SET progress = ? WHERE directory_key = ? AND id = ? \
             AND status = 'running'",
            &[Bind::Text(progress), Bind::Int(directory_key), Bind::Text(id)],
        )?;
        Ok(())
    }

    /// Moves a run from one status to another; false when it does not have that one.
    pub fn run_move(
        &mut self,
        directory_key: i64,
        id: &str,
        (from, to): (&str, &str),
        finished: Option<i64>,
    ) -> Result<bool, StoreError> {
        let moved = self.execute(
            "UPDATE sync_run SET status = ?, finished = ? WHERE directory_key = ? AND id = ? \
             AND status = ?",
            &[
                Bind::Text(to),
                Bind::OptInt(finished),
                Bind::Int(directory_key),
                Bind::Text(id),
                Bind::Text(from),
            ],
        )?;
        Ok(moved == 1)
    }

    /// A newer read has looked at everything, or what is read by has changed: what waits by an older run has no
    /// proof any more, nor has the rest of one that was let and is under way. Whoever does that one loses the
    /// directory, and with it every unit that is not done yet. Answers which of them have waited.
    pub fn run_supersede(
        &mut self,
        directory_key: i64,
        newer: &str,
        error: &str,
    ) -> Result<Vec<String>, StoreError> {
        let under_way = format!("{error}; what was done until then stays");
        let stopped = self.execute(
            "UPDATE sync_run SET status = 'cancelled', progress = NULL, error = ? \
             WHERE directory_key = ? AND id <> ? AND status = 'running' AND held IS NOT NULL",
            &[Bind::Text(&under_way), Bind::Int(directory_key), Bind::Text(newer)],
        )?;
        if stopped > 0 {
            self.execute(
                "UPDATE sync_directory SET runner = '' WHERE directory_key = ?",
                &[Bind::Int(directory_key)],
            )?;
        }
        self.rows::<Text, String>(
            "UPDATE sync_run SET status = 'cancelled', error = ? WHERE directory_key = ? \
             AND id <> ? AND status IN ('held', 'approved') RETURNING id",
            &[Bind::Text(error), Bind::Int(directory_key), Bind::Text(newer)],
        )
    }

    /// Whether a run waits for a decision.
    pub fn run_is_held(&mut self, directory_key: i64) -> Result<bool, StoreError> {
        let found = self.row::<Text, String>(
            "SELECT id FROM sync_run WHERE directory_key = ? AND status = 'held' LIMIT 1",
            &[Bind::Int(directory_key)],
        )?;
        Ok(found.is_some())
    }

    /// Runs that wait for a decision, in all directories.
    pub fn run_held_count(&mut self) -> Result<i64, StoreError> {
        let count =
            self.row::<BigInt, i64>("SELECT COUNT(*) FROM sync_run WHERE status = 'held'", &[])?;
        Ok(count.unwrap_or(0))
    }

    /// Removes up to `limit` changes of the oldest run that is over and older than that, and the run when it has
    /// none any more; false when there is no such run.
    pub fn run_prune(&mut self, before: i64, limit: i64) -> Result<bool, StoreError> {
        let old = self.row::<(BigInt, Text), (i64, String)>(
            "SELECT directory_key, id FROM sync_run WHERE created < ? \
             AND status NOT IN ('pending', 'running', 'approved', 'held') ORDER BY created LIMIT 1",
            &[Bind::Int(before)],
        )?;
        let Some((directory_key, id)) = old else { return Ok(false) };
        if !self.change_clear(directory_key, &id, limit)? {
            self.execute(
                "DELETE FROM sync_run WHERE directory_key = ? AND id = ?",
                &[Bind::Int(directory_key), Bind::Text(&id)],
            )?;
        }
        Ok(true)
    }

    /// Puts changes behind those that a run has; sealed.
    pub fn change_put(
        &mut self,
        directory_key: i64,
        run_id: &str,
        changes: &[(i64, String)],
    ) -> Result<(), StoreError> {
        for (number, data) in changes {
            self.execute(
                "INSERT INTO sync_change (directory_key, run_id, number, data) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (directory_key, run_id, number) DO UPDATE SET data = excluded.data",
                &[
                    Bind::Int(directory_key),
                    Bind::Text(run_id),
                    Bind::Int(*number),
                    Bind::Text(data),
                ],
            )?;
        }
        Ok(())
    }

    /// Removes up to `limit` changes of a run, the first ones; false when it has none.
    pub fn change_clear(
        &mut self,
        directory_key: i64,
        run_id: &str,
        limit: i64,
    ) -> Result<bool, StoreError> {
        let run = [Bind::Int(directory_key), Bind::Text(run_id)];
        let first = self.row::<BigInt, i64>(
            "SELECT number FROM sync_change WHERE directory_key = ? AND run_id = ? \
             ORDER BY number LIMIT 1",
            &run,
        )?;
        let Some(first) = first else { return Ok(false) };
        self.execute(
            "DELETE FROM sync_change WHERE directory_key = ? AND run_id = ? AND number < ?",
            &[Bind::Int(directory_key), Bind::Text(run_id), Bind::Int(first.saturating_add(limit))],
        )?;
        Ok(true)
    }

    /// Changes of a run by number, beyond that one; sealed.
    pub fn change_list(
        &mut self,
        directory_key: i64,
        run_id: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        self.rows::<(BigInt, Text), _>(
            "SELECT number, data FROM sync_change WHERE directory_key = ? AND run_id = ? \
             AND number > ? ORDER BY number LIMIT ?",
            &[Bind::Int(directory_key), Bind::Text(run_id), Bind::Int(after), Bind::Int(limit)],
        )
    }

    /// Puts a file in the place of the one before; the parts are sealed.
    pub fn file_put(
        &mut self,
        directory_key: i64,
        file: &FileRow,
        parts: &[String],
    ) -> Result<(), StoreError> {
        self.file_delete(directory_key, &file.name)?;
        for (part, data) in (0_i64..).zip(parts) {
            self.execute(
                "INSERT INTO sync_file (directory_key, name, part, bytes, uploaded, data) \
                 VALUES (?, ?, ?, ?, ?, ?)",
                &[
                    Bind::Int(directory_key),
                    Bind::Text(&file.name),
                    Bind::Int(part),
                    Bind::Int(file.bytes),
                    Bind::Int(file.uploaded),
                    Bind::Text(data),
                ],
            )?;
        }
        Ok(())
    }

    pub fn file_list(&mut self, directory_key: i64) -> Result<Vec<FileRow>, StoreError> {
        self.rows::<(Text, BigInt, BigInt), _>(
            "SELECT name, bytes, uploaded FROM sync_file WHERE directory_key = ? AND part = 0 \
             ORDER BY name",
            &[Bind::Int(directory_key)],
        )
    }

    /// The parts of a file in their order; sealed.
    pub fn file_parts(
        &mut self,
        directory_key: i64,
        name: &str,
    ) -> Result<Vec<String>, StoreError> {
        self.rows::<Text, String>(
            "SELECT data FROM sync_file WHERE directory_key = ? AND name = ? ORDER BY part",
            &[Bind::Int(directory_key), Bind::Text(name)],
        )
    }

    /// False when there is none.
    pub fn file_delete(&mut self, directory_key: i64, name: &str) -> Result<bool, StoreError> {
        let removed = self.execute(
            "DELETE FROM sync_file WHERE directory_key = ? AND name = ?",
            &[Bind::Int(directory_key), Bind::Text(name)],
        )?;
        Ok(removed > 0)
    }
}
