//! API keys of the management and read APIs.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::sql::{Bind, Tx};
use super::{ListRange, StoreError};

#[derive(Clone, Debug, Queryable)]
pub struct ApiKeyRow {
    pub id: String,
    pub name: String,
    pub suffix: String,
    /// PHC string.
    pub hash: String,
    /// JSON array of scope names.
    pub scopes: String,
    /// JSON array of organization ids; `None` means all.
    pub organization_ids: Option<String>,
    pub expires: Option<i64>,
    pub created: i64,
    pub last_used: Option<i64>,
}

type Sql =
    (Text, Text, Text, Text, Text, Nullable<Text>, Nullable<BigInt>, BigInt, Nullable<BigInt>);

const COLUMNS: &str = "SELECT id, name, suffix, hash, scopes, organization_ids, expires, created, \
     last_used FROM api_key";

impl Tx<'_> {
    pub fn api_key_insert(&mut self, key: &ApiKeyRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO api_key (id, name, suffix, hash, scopes, organization_ids, expires, \
             created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                Bind::Text(&key.id),
                Bind::Text(&key.name),
                Bind::Text(&key.suffix),
                Bind::Text(&key.hash),
                Bind::Text(&key.scopes),
                Bind::OptText(key.organization_ids.as_deref()),
                Bind::OptInt(key.expires),
                Bind::Int(key.created),
            ],
        )?;
        Ok(())
    }

    pub fn api_key_get(&mut self, id: &str) -> Result<Option<ApiKeyRow>, StoreError> {
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE id = ?"), &[Bind::Text(id)])
    }

    pub fn api_key_list(&mut self, range: &ListRange) -> Result<Vec<ApiKeyRow>, StoreError> {
        let (condition, order, cursor) = range.sql();
        let text = format!("{COLUMNS} WHERE {condition} ORDER BY {order} LIMIT ?");
        self.rows::<Sql, _>(&text, &[Bind::Text(cursor), Bind::Int(range.limit)])
    }

    pub fn api_key_delete(&mut self, id: &str) -> Result<bool, StoreError> {
        Ok(self.execute("DELETE FROM api_key WHERE id = ?", &[Bind::Text(id)])? > 0)
    }

    pub fn api_key_used(&mut self, id: &str, now: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE api_key SET last_used = ? WHERE id = ?",
            &[Bind::Int(now), Bind::Text(id)],
        )?;
        Ok(())
    }
}
