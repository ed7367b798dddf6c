//! Keys that sign Security Event Tokens.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::StoreError;
use super::sql::{Bind, Tx};

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct SigningKeyRow {
    /// The `kid` of its tokens.
    pub id: String,
    /// Sealed.
    pub private: String,
    /// JSON Web Key.
    pub public: String,
    /// From when it signs, unless there is a newer one that does.
    pub active_from: i64,
    /// When it is published no longer.
    pub retire_at: Option<i64>,
    pub created: i64,
}

impl Tx<'_> {
    /// Every key that is not retired, the oldest first.
    pub fn signing_keys(&mut self, now: i64) -> Result<Vec<SigningKeyRow>, StoreError> {
        self.rows::<(Text, Text, Text, BigInt, Nullable<BigInt>, BigInt), _>(
            "SELECT id, private, public, active_from, retire_at, created FROM signing_key \
             WHERE retire_at IS NULL OR retire_at > ? ORDER BY active_from, id",
            &[Bind::Int(now)],
        )
    }

    /// The public halves of these.
    pub fn signing_keys_public(&mut self, now: i64) -> Result<Vec<String>, StoreError> {
        self.rows::<Text, String>(
            "SELECT public FROM signing_key WHERE retire_at IS NULL OR retire_at > ? \
             ORDER BY active_from, id",
            &[Bind::Int(now)],
        )
    }

    pub fn signing_key_insert(&mut self, row: &SigningKeyRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO signing_key (id, private, public, active_from, created) \
             VALUES (?, ?, ?, ?, ?)",
            &[
                Bind::Text(&row.id),
                Bind::Text(&row.private),
                Bind::Text(&row.public),
                Bind::Int(row.active_from),
                Bind::Int(row.created),
            ],
        )?;
        Ok(())
    }

    /// Ends every other key at `retire_at`, and those that would have begun after this one at once.
    pub fn signing_key_supersede(
        &mut self,
        row: &SigningKeyRow,
        retire_at: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM signing_key WHERE id <> ? AND active_from > ?",
            &[Bind::Text(&row.id), Bind::Int(row.active_from)],
        )?;
        self.execute(
            "UPDATE signing_key SET retire_at = ? \
             WHERE id <> ? AND (retire_at IS NULL OR retire_at > ?)",
            &[Bind::Int(retire_at), Bind::Text(&row.id), Bind::Int(retire_at)],
        )?;
        Ok(())
    }

    /// Whether a key is retired that is still there.
    pub fn signing_key_prunable(&mut self, now: i64) -> Result<bool, StoreError> {
        let found = self.row::<Text, String>(
            "SELECT id FROM signing_key WHERE retire_at <= ? LIMIT 1",
            &[Bind::Int(now)],
        )?;
        Ok(found.is_some())
    }

    /// Removes keys that are retired.
    pub fn signing_key_prune(&mut self, now: i64) -> Result<(), StoreError> {
        self.execute("DELETE FROM signing_key WHERE retire_at <= ?", &[Bind::Int(now)])?;
        Ok(())
    }
}
