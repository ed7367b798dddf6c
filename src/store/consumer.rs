//! How far named consumers of the event log have got.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Text};

use super::StoreError;
use super::sql::{Bind, Tx};

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct ConsumerRow {
    /// The organizations of the API keys that see it, with commas; empty for keys without a limit.
    pub owner: String,
    pub name: String,
    pub position: i64,
    pub created: i64,
    pub modified: i64,
}

type Sql = (Text, Text, BigInt, BigInt, BigInt);

const COLUMNS: &str = "SELECT owner, name, position, created, modified FROM consumer";

impl Tx<'_> {
    pub fn consumer_get(
        &mut self,
        owner: &str,
        name: &str,
    ) -> Result<Option<ConsumerRow>, StoreError> {
        self.row::<Sql, _>(
            &format!("{COLUMNS} WHERE owner = ? AND name = ?"),
            &[Bind::Text(owner), Bind::Text(name)],
        )
    }

    /// Like [`Tx::consumer_get`], and keeps other units from changing the row.
    pub fn consumer_lock(
        &mut self,
        owner: &str,
        name: &str,
    ) -> Result<Option<ConsumerRow>, StoreError> {
        let lock = self.dialect.pick("", " FOR NO KEY UPDATE");
        self.row::<Sql, _>(
            &format!("{COLUMNS} WHERE owner = ? AND name = ?{lock}"),
            &[Bind::Text(owner), Bind::Text(name)],
        )
    }

    /// The consumers of an owner, or all of them, by name.
    pub fn consumer_list(&mut self, owner: Option<&str>) -> Result<Vec<ConsumerRow>, StoreError> {
        self.rows::<Sql, _>(
            &format!("{COLUMNS} WHERE (CAST(? AS TEXT) IS NULL OR owner = ?) ORDER BY owner, name"),
            &[Bind::OptText(owner), Bind::OptText(owner)],
        )
    }

    /// Stores how far the consumer has got.
    pub fn consumer_put(
        &mut self,
        owner: &str,
        name: &str,
        position: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO consumer (owner, name, position, created, modified) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (owner, name) DO UPDATE SET position = excluded.position, \
             modified = excluded.modified",
            &[
                Bind::Text(owner),
                Bind::Text(name),
                Bind::Int(position),
                Bind::Int(now),
                Bind::Int(now),
            ],
        )?;
        Ok(())
    }

    /// Removes the consumer; false when there was none.
    pub fn consumer_delete(&mut self, owner: &str, name: &str) -> Result<bool, StoreError> {
        let removed = self.execute(
            "DELETE FROM consumer WHERE owner = ? AND name = ?",
            &[Bind::Text(owner), Bind::Text(name)],
        )?;
        Ok(removed > 0)
    }
}
