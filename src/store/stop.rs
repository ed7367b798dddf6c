//! Directories that visitors have stopped.

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
}

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
            "INSERT INTO directory_stop (directory_key, choice, made_by, created) \
             VALUES (?, ?, ?, ?) ON CONFLICT (directory_key) DO UPDATE SET \
             choice = excluded.choice, made_by = excluded.made_by, created = excluded.created",
            &[Bind::Int(directory_key), Bind::Text(choice), Bind::Text(made_by), Bind::Int(now)],
        )?;
        Ok(())
    }

    pub fn stop_get(&mut self, directory_key: i64) -> Result<Option<StopRow>, StoreError> {
        self.row::<(BigInt, Text, Text), _>(
            "SELECT directory_key, choice, made_by FROM directory_stop WHERE directory_key = ?",
            &[Bind::Int(directory_key)],
        )
    }

    pub fn stop_clear(&mut self, directory_key: i64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM directory_stop WHERE directory_key = ?",
            &[Bind::Int(directory_key)],
        )?;
        Ok(())
    }
}
