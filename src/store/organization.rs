//! Organizations: the customers of the company that runs the server.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::sql::{Bind, Tx};
use super::{ListRange, StoreError};

#[derive(Clone, Debug, Queryable)]
pub struct OrganizationRow {
    pub key: i64,
    pub id: String,
    pub name: String,
    pub external_id: Option<String>,
    pub created: i64,
    pub modified: i64,
}

type Sql = (BigInt, Text, Text, Nullable<Text>, BigInt, BigInt);

const COLUMNS: &str = "SELECT key, id, name, external_id, created, modified FROM organization";

impl Tx<'_> {
    pub fn organization_insert(
        &mut self,
        id: &str,
        name: &str,
        external_id: Option<&str>,
        now: i64,
    ) -> Result<OrganizationRow, StoreError> {
        let row = self.row::<Sql, OrganizationRow>(
            "INSERT INTO organization (id, name, external_id, created, modified)
             VALUES (?, ?, ?, ?, ?)
             RETURNING key, id, name, external_id, created, modified",
            &[
                Bind::Text(id),
                Bind::Text(name),
                Bind::OptText(external_id),
                Bind::Int(now),
                Bind::Int(now),
            ],
        )?;
        row.ok_or(StoreError::MissingReference)
    }

    pub fn organization_get(&mut self, id: &str) -> Result<Option<OrganizationRow>, StoreError> {
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE id = ?"), &[Bind::Text(id)])
    }

    /// Like [`Tx::organization_get`], and keeps other units from changing the row.
    pub fn organization_lock(&mut self, id: &str) -> Result<Option<OrganizationRow>, StoreError> {
        let lock = self.dialect.pick("", " FOR NO KEY UPDATE");
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE id = ?{lock}"), &[Bind::Text(id)])
    }

    pub fn organization_list(
        &mut self,
        range: &ListRange,
    ) -> Result<Vec<OrganizationRow>, StoreError> {
        let (condition, order, cursor) = range.sql();
        let text = format!("{COLUMNS} WHERE {condition} ORDER BY {order} LIMIT ?");
        self.rows::<Sql, _>(&text, &[Bind::Text(cursor), Bind::Int(range.limit)])
    }

    pub fn organization_update(
        &mut self,
        key: i64,
        name: &str,
        external_id: Option<&str>,
        now: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE organization SET name = ?, external_id = ?, modified = ? WHERE key = ?",
            &[Bind::Text(name), Bind::OptText(external_id), Bind::Int(now), Bind::Int(key)],
        )?;
        Ok(())
    }

    /// Removes the row. Directories that still point to it make this a missing reference.
    pub fn organization_delete(&mut self, key: i64) -> Result<(), StoreError> {
        self.execute("DELETE FROM organization WHERE key = ?", &[Bind::Int(key)])?;
        Ok(())
    }
}
