//! Directories that visitors have stopped, or that are being disconnected.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Text};

use super::StoreError;
use super::sql::{Bind, Tx};

/// Why and by whom a directory is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct StopRow {
    pub directory_key: i64,
    pub choice: String,
    /// The setup link or the API key.
    pub made_by: String,
    /// Key of the last user from whom a disconnection has taken access.
    pub reached: i64,
}

const COLUMNS: &str = "SELECT directory_key, choice, made_by, reached FROM directory_stop";

impl Tx<'_> {
    /// Notes it in the place of what was noted before.
    pub fn stop_set(
        &mut self,
        directory_key: i64,
        choice: &str,
        made_by: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO directory_stop (directory_key, choice, made_by, reached, created) \
             VALUES (?, ?, ?, 0, ?) ON CONFLICT (directory_key) DO UPDATE SET \
             choice = excluded.choice, made_by = excluded.made_by, reached = 0, \
             created = excluded.created",
            &[Bind::Int(directory_key), Bind::Text(choice), Bind::Text(made_by), Bind::Int(now)],
        )?;
        Ok(())
    }

    pub fn stop_get(&mut self, directory_key: i64) -> Result<Option<StopRow>, StoreError> {
        let text = format!("{COLUMNS} WHERE directory_key = ?");
        self.row::<(BigInt, Text, Text, BigInt), _>(&text, &[Bind::Int(directory_key)])
    }

    pub fn stop_clear(&mut self, directory_key: i64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM directory_stop WHERE directory_key = ?",
            &[Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    pub fn stop_reached(&mut self, directory_key: i64, reached: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory_stop SET reached = ? WHERE directory_key = ?",
            &[Bind::Int(reached), Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// Every directory with that choice.
    pub fn stop_list(&mut self, choice: &str) -> Result<Vec<StopRow>, StoreError> {
        let text = format!("{COLUMNS} WHERE choice = ? ORDER BY directory_key");
        self.rows::<(BigInt, Text, Text, BigInt), _>(&text, &[Bind::Text(choice)])
    }
}
