//! Disconnections: how far each is, and what stands in its way.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::StoreError;
use super::sql::{Bind, Tx};

/// A directory that is being disconnected, or whose disconnection was called off.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct DisconnectionRow {
    pub directory_key: i64,
    /// `deprovision` or `hand_over`.
    pub mode: String,
    /// The directory that takes the users over.
    pub into_key: Option<i64>,
    /// `running`, `stopped`, `called_off` or `done`.
    pub state: String,
    /// The setup link or the API key.
    pub made_by: String,
    /// What is being done: `groups`, `nested`, `users` or `rest`.
    pub step: String,
    /// Key of the last one that the step has looked at.
    pub reached: i64,
    /// Users, and groups where those go along.
    pub total: i64,
    pub done: i64,
    pub failed: i64,
    /// JSON array of the first who failed, with why.
    pub faults: String,
    /// Why it is stopped.
    pub problem: Option<String>,
    pub created: i64,
    pub modified: i64,
}

type Sql = (
    BigInt,
    Text,
    Nullable<BigInt>,
    Text,
    Text,
    Text,
    BigInt,
    BigInt,
    BigInt,
    BigInt,
    Text,
    Nullable<Text>,
    BigInt,
    BigInt,
);

const COLUMNS: &str = "SELECT directory_key, mode, into_key, state, made_by, step, reached, total, done, \
     failed, faults, problem, created, modified FROM disconnection";

impl Tx<'_> {
    pub fn disconnection_get(
        &mut self,
        directory_key: i64,
    ) -> Result<Option<DisconnectionRow>, StoreError> {
        let text = format!("{COLUMNS} WHERE directory_key = ?");
        self.row::<Sql, _>(&text, &[Bind::Int(directory_key)])
    }

    /// Those that are under way, in the order of their directories.
    pub fn disconnection_running(&mut self) -> Result<Vec<DisconnectionRow>, StoreError> {
        let text = format!(
            "{COLUMNS} WHERE state = 'running' AND EXISTS (SELECT 1 FROM directory d \
             WHERE d.key = disconnection.directory_key AND d.state = 'disabled') ORDER BY directory_key"
        );
        self.rows::<Sql, _>(&text, &[])
    }

    /// Whether users of another directory are being handed over to this one.
    pub fn disconnection_goes_into(&mut self, directory_key: i64) -> Result<bool, StoreError> {
        let found = self.row::<BigInt, i64>(
            "SELECT directory_key FROM disconnection WHERE state = 'running' AND into_key = ? LIMIT 1",
            &[Bind::Int(directory_key)],
        )?;
        Ok(found.is_some())
    }

    /// Stores it in the place of what was there before.
    pub fn disconnection_put(&mut self, row: &DisconnectionRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO disconnection (directory_key, mode, into_key, state, made_by, step, reached, \
             total, done, failed, faults, problem, created, modified) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (directory_key) DO UPDATE SET mode = excluded.mode, \
             into_key = excluded.into_key, state = excluded.state, made_by = excluded.made_by, \
             step = excluded.step, reached = excluded.reached, total = excluded.total, \
             done = excluded.done, failed = excluded.failed, faults = excluded.faults, \
             problem = excluded.problem, created = excluded.created, modified = excluded.modified",
            &[
                Bind::Int(row.directory_key),
                Bind::Text(&row.mode),
                Bind::OptInt(row.into_key),
                Bind::Text(&row.state),
                Bind::Text(&row.made_by),
                Bind::Text(&row.step),
                Bind::Int(row.reached),
                Bind::Int(row.total),
                Bind::Int(row.done),
                Bind::Int(row.failed),
                Bind::Text(&row.faults),
                Bind::OptText(row.problem.as_deref()),
                Bind::Int(row.created),
                Bind::Int(row.modified),
            ],
        )?;
        Ok(())
    }
}
