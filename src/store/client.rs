//! Which client was seen at a directory.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Integer, Text};

use super::StoreError;
use super::sql::{Bind, Tx};

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct ClientRow {
    pub directory_key: i64,
    pub provider: String,
    /// JSON array of texts.
    pub evidence: String,
    /// 1 to 3.
    pub confidence: i32,
    pub first_seen: i64,
    pub last_seen: i64,
}

impl Tx<'_> {
    /// Notes a client. One that is less sure than another that is known already is not.
    pub fn client_seen(&mut self, row: &ClientRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO directory_client AS known (directory_key, provider, evidence, confidence, \
             first_seen, last_seen) VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (directory_key) DO UPDATE SET \
             first_seen = CASE WHEN known.provider = excluded.provider \
                 THEN known.first_seen ELSE excluded.first_seen END, \
             evidence = CASE WHEN known.confidence > excluded.confidence \
                 THEN known.evidence ELSE excluded.evidence END, \
             confidence = CASE WHEN known.confidence > excluded.confidence \
                 THEN known.confidence ELSE excluded.confidence END, \
             provider = excluded.provider, last_seen = excluded.last_seen \
             WHERE known.provider = excluded.provider \
                 OR known.confidence <= excluded.confidence",
            &[
                Bind::Int(row.directory_key),
                Bind::Text(&row.provider),
                Bind::Text(&row.evidence),
                Bind::Small(row.confidence),
                Bind::Int(row.first_seen),
                Bind::Int(row.last_seen),
            ],
        )?;
        Ok(())
    }

    /// The clients of those directories, as far as one was seen.
    pub fn client_list(&mut self, directory_keys: &[i64]) -> Result<Vec<ClientRow>, StoreError> {
        let text = format!(
            "SELECT directory_key, provider, evidence, confidence, first_seen, last_seen \
             FROM directory_client WHERE directory_key IN (SELECT j.value FROM {})",
            self.dialect.keys()
        );
        let list = serde_json::Value::from(directory_keys).to_string();
        self.rows::<(BigInt, Text, Text, Integer, BigInt, BigInt), _>(&text, &[Bind::Owned(list)])
    }
}
