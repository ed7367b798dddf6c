//! The schemas of a directory's own, and the change from one document to the next.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::StoreError;
use super::resource::{ResourceRow, ResourceSql};
use super::sql::{Bind, Tx};

#[derive(Clone, Debug, Queryable)]
pub struct SchemaRow {
    /// JSON object.
    pub document: String,
    /// The document from which resources are being converted; `None` when all are.
    pub previous: Option<String>,
}

impl Tx<'_> {
    pub fn schema_get(&mut self, directory_key: i64) -> Result<Option<SchemaRow>, StoreError> {
        self.row::<(Text, Nullable<Text>), _>(
            "SELECT document, previous FROM directory_schema WHERE directory_key = ?",
            &[Bind::Int(directory_key)],
        )
    }

    /// Begins a change: writers are refused until [`Tx::schema_converted`]. The unit has excluded
    /// them.
    pub fn schema_change(
        &mut self,
        directory_key: i64,
        document: &str,
        previous: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO directory_schema (directory_key, document, previous) VALUES (?, ?, ?) \
             ON CONFLICT (directory_key) DO UPDATE SET document = excluded.document, \
             previous = excluded.previous",
            &[Bind::Int(directory_key), Bind::Text(document), Bind::Text(previous)],
        )?;
        self.execute(
            "UPDATE directory SET schema_version = schema_version + 1, converting = ? \
             WHERE key = ?",
            &[Bind::Bool(true), Bind::Int(directory_key)],
        )?;
        Ok(())
    }

    /// Ends a change that is still the one to `document`; writers are let in again.
    pub fn schema_converted(
        &mut self,
        directory_key: i64,
        document: &str,
    ) -> Result<(), StoreError> {
        let ended = self.execute(
            "UPDATE directory_schema SET previous = NULL WHERE directory_key = ? AND document = ?",
            &[Bind::Int(directory_key), Bind::Text(document)],
        )?;
        if ended > 0 {
            self.execute(
                "UPDATE directory SET converting = ? WHERE key = ?",
                &[Bind::Bool(false), Bind::Int(directory_key)],
            )?;
        }
        Ok(())
    }

    /// Directories whose resources are being converted.
    pub fn schema_converting(&mut self) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT directory_key FROM directory_schema WHERE previous IS NOT NULL \
             ORDER BY directory_key",
            &[],
        )
    }

    /// The next resources of a type by key, locked.
    pub fn resource_chunk_locked(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let text = self.dialect.pick(
            "SELECT r.key, r.id, r.resource_type, r.active, r.doc, r.extra, r.version, r.created, \
             r.modified, r.app_state, r.suspended, r.excluded, r.groupless_since, r.custom_attributes, r.roles FROM resource r WHERE r.directory_key = ? AND r.resource_type = ? \
             AND r.key > ? ORDER BY r.key LIMIT ?",
            "SELECT r.key, r.id, r.resource_type, r.active, r.doc, r.extra, r.version, r.created, \
             r.modified, r.app_state, r.suspended, r.excluded, r.groupless_since, r.custom_attributes, r.roles FROM resource r WHERE r.directory_key = ? AND r.resource_type = ? \
             AND r.key > ? ORDER BY r.key LIMIT ? FOR NO KEY UPDATE",
        );
        self.rows::<ResourceSql, _>(
            text,
            &[
                Bind::Int(directory_key),
                Bind::Text(resource_type),
                Bind::Int(after_key),
                Bind::Int(limit),
            ],
        )
    }

    /// Who holds a claimed value.
    pub fn unique_holder(
        &mut self,
        directory_key: i64,
        scope: &str,
        key: &str,
    ) -> Result<Option<i64>, StoreError> {
        self.row::<BigInt, i64>(
            "SELECT resource_key FROM resource_unique WHERE directory_key = ? AND scope = ? \
             AND key = ?",
            &[Bind::Int(directory_key), Bind::Text(scope), Bind::Text(key)],
        )
    }
}
