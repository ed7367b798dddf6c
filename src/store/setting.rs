//! Facts about the database as a whole.

use diesel::sql_types::{BigInt, Text};

use super::StoreError;
use super::sql::{Bind, Tx};

impl Tx<'_> {
    /// Lets the SQLite file grow by that many pages and no more, on the connection of the writer
    /// until it is replaced: how a test fills the disk.
    pub fn limit_growth(&mut self, pages: i64) -> Result<(), StoreError> {
        let count = self.row::<BigInt, i64>("PRAGMA page_count", &[])?.unwrap_or(0);
        // A pragma takes no bound values; the number is ours.
        self.rows_unprepared::<BigInt, i64>(
            &format!("PRAGMA max_page_count = {}", count + pages),
            &[],
        )?;
        Ok(())
    }

    pub fn setting_get(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        self.row::<Text, String>("SELECT value FROM setting WHERE name = ?", &[Bind::Text(name)])
    }

    /// Stores the value in place of the one before.
    pub fn setting_put(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO setting (name, value) VALUES (?, ?) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            &[Bind::Text(name), Bind::Text(value)],
        )?;
        Ok(())
    }

    /// Stores the number unless a greater one is there.
    pub fn setting_raise(&mut self, name: &str, value: i64) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO setting (name, value) VALUES (?, ?) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value \
             WHERE CAST(setting.value AS BIGINT) < CAST(excluded.value AS BIGINT)",
            &[Bind::Text(name), Bind::Owned(value.to_string())],
        )?;
        Ok(())
    }

    /// Stores the value unless there is one; answers the value that holds.
    pub fn setting_put_once(&mut self, name: &str, value: &str) -> Result<String, StoreError> {
        self.execute(
            "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
            &[Bind::Text(name), Bind::Text(value)],
        )?;
        Ok(self.setting_get(name)?.unwrap_or_default())
    }
}
