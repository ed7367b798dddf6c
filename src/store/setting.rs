//! Facts about the database as a whole.

use diesel::sql_types::Text;

use super::StoreError;
use super::sql::{Bind, Tx};

impl Tx<'_> {
    pub fn setting_get(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        self.row::<Text, String>("SELECT value FROM setting WHERE name = ?", &[Bind::Text(name)])
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
