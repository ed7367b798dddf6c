//! Directory tokens. The secret is not here: only its argon2id hash.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::sql::{Bind, Tx};
use super::{ListRange, StoreError};

#[derive(Clone, Debug, Queryable)]
pub struct TokenRow {
    pub id: String,
    pub directory_key: i64,
    pub suffix: String,
    /// PHC string.
    pub hash: String,
    /// `write` or `read`.
    pub scope: String,
    pub user_id: Option<String>,
    pub expires: Option<i64>,
    pub created: i64,
    pub last_used: Option<i64>,
    /// The API key or the setup link that it was made with; `None` for the first one of the server, and
    /// those from before this was noted.
    pub made_by: Option<String>,
}

type Sql = (
    Text,
    BigInt,
    Text,
    Text,
    Text,
    Nullable<Text>,
    Nullable<BigInt>,
    BigInt,
    Nullable<BigInt>,
    Nullable<Text>,
);

const COLUMNS: &str = "SELECT id, directory_key, suffix, hash, scope, user_id, expires, created, \
     last_used, made_by FROM directory_token";

impl Tx<'_> {
    pub fn token_insert(&mut self, token: &TokenRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO directory_token (id, directory_key, suffix, hash, scope, user_id, \
             expires, created, made_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                Bind::Text(&token.id),
                Bind::Int(token.directory_key),
                Bind::Text(&token.suffix),
                Bind::Text(&token.hash),
                Bind::Text(&token.scope),
                Bind::OptText(token.user_id.as_deref()),
                Bind::OptInt(token.expires),
                Bind::Int(token.created),
                Bind::OptText(token.made_by.as_deref()),
            ],
        )?;
        Ok(())
    }

    pub fn token_get(&mut self, id: &str) -> Result<Option<TokenRow>, StoreError> {
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE id = ?"), &[Bind::Text(id)])
    }

    pub fn token_list(
        &mut self,
        directory_key: i64,
        range: &ListRange,
    ) -> Result<Vec<TokenRow>, StoreError> {
        let (condition, order, cursor) = range.sql();
        let text =
            format!("{COLUMNS} WHERE {condition} AND directory_key = ? ORDER BY {order} LIMIT ?");
        self.rows::<Sql, _>(
            &text,
            &[Bind::Text(cursor), Bind::Int(directory_key), Bind::Int(range.limit)],
        )
    }

    /// Sets when the token ends.
    pub fn token_expire(
        &mut self,
        directory_key: i64,
        id: &str,
        expires: Option<i64>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory_token SET expires = ? WHERE id = ? AND directory_key = ?",
            &[Bind::OptInt(expires), Bind::Text(id), Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// Revokes the token; false when the directory has no such token.
    pub fn token_delete(&mut self, directory_key: i64, id: &str) -> Result<bool, StoreError> {
        let removed = self.execute(
            "DELETE FROM directory_token WHERE id = ? AND directory_key = ?",
            &[Bind::Text(id), Bind::Int(directory_key)],
        )?;
        Ok(removed > 0)
    }

    /// Revokes every token of the directory.
    pub fn token_delete_all(&mut self, directory_key: i64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM directory_token WHERE directory_key = ?",
            &[Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    pub fn token_used(&mut self, id: &str, now: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory_token SET last_used = ? WHERE id = ?",
            &[Bind::Int(now), Bind::Text(id)],
        )?;
        Ok(())
    }
}
