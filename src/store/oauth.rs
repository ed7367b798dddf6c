//! OAuth clients, and the assertions that they have used. Secrets are not here: only argon2id hashes.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::sql::{Bind, Tx};
use super::{ListRange, StoreError};

#[derive(Clone, Debug, Queryable)]
pub struct OAuthClientRow {
    pub id: String,
    pub directory_key: i64,
    pub name: Option<String>,
    /// The end of the secret, by which people recognise it.
    pub suffix: Option<String>,
    /// PHC string; `None` for a client that signs.
    pub hash: Option<String>,
    /// JSON Web Key Set (RFC 7517 §5); `None` for a client with a secret.
    pub jwks: Option<String>,
    /// `write` or `read`.
    pub scope: String,
    pub expires: Option<i64>,
    pub created: i64,
    pub last_used: Option<i64>,
}

type Sql = (
    Text,
    BigInt,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
    Text,
    Nullable<BigInt>,
    BigInt,
    Nullable<BigInt>,
);

const COLUMNS: &str = "SELECT id, directory_key, name, suffix, hash, jwks, scope, expires, created, \
     last_used FROM oauth_client";

impl Tx<'_> {
    pub fn oauth_client_insert(&mut self, client: &OAuthClientRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO oauth_client (id, directory_key, name, suffix, hash, jwks, scope, expires, \
             created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                Bind::Text(&client.id),
                Bind::Int(client.directory_key),
                Bind::OptText(client.name.as_deref()),
                Bind::OptText(client.suffix.as_deref()),
                Bind::OptText(client.hash.as_deref()),
                Bind::OptText(client.jwks.as_deref()),
                Bind::Text(&client.scope),
                Bind::OptInt(client.expires),
                Bind::Int(client.created),
            ],
        )?;
        Ok(())
    }

    pub fn oauth_client_get(&mut self, id: &str) -> Result<Option<OAuthClientRow>, StoreError> {
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE id = ?"), &[Bind::Text(id)])
    }

    pub fn oauth_client_list(
        &mut self,
        directory_key: i64,
        range: &ListRange,
    ) -> Result<Vec<OAuthClientRow>, StoreError> {
        let (condition, order, cursor) = range.sql();
        let text =
            format!("{COLUMNS} WHERE {condition} AND directory_key = ? ORDER BY {order} LIMIT ?");
        self.rows::<Sql, _>(
            &text,
            &[Bind::Text(cursor), Bind::Int(directory_key), Bind::Int(range.limit)],
        )
    }

    /// Removes the client; false when the directory has no such client.
    pub fn oauth_client_delete(
        &mut self,
        directory_key: i64,
        id: &str,
    ) -> Result<bool, StoreError> {
        let removed = self.execute(
            "DELETE FROM oauth_client WHERE id = ? AND directory_key = ?",
            &[Bind::Text(id), Bind::Int(directory_key)],
        )?;
        Ok(removed > 0)
    }

    pub fn oauth_client_used(&mut self, id: &str, now: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE oauth_client SET last_used = ? WHERE id = ?",
            &[Bind::Int(now), Bind::Text(id)],
        )?;
        Ok(())
    }

    /// Notes that the client has used an assertion; false when it was used before.
    pub fn oauth_jti_use(
        &mut self,
        directory_key: i64,
        client_id: &str,
        jti: &str,
        expires: i64,
    ) -> Result<bool, StoreError> {
        let noted = self.execute(
            "INSERT INTO oauth_jti (directory_key, client_id, jti, expires) VALUES (?, ?, ?, ?) \
             ON CONFLICT DO NOTHING",
            &[Bind::Int(directory_key), Bind::Text(client_id), Bind::Text(jti), Bind::Int(expires)],
        )?;
        Ok(noted == 1)
    }

    /// Forgets assertions that ended before `until`, a few at a time; answers how many.
    pub fn oauth_jti_prune(&mut self, until: i64, limit: i64) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM oauth_jti WHERE (directory_key, client_id, jti) IN \
             (SELECT directory_key, client_id, jti FROM oauth_jti WHERE expires < ? \
             ORDER BY expires LIMIT ?)",
            &[Bind::Int(until), Bind::Int(limit)],
        )
    }
}
