//! Users whom SCIM has deleted and the app still sees, inactive.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::StoreError;
use super::sql::{Bind, Tx};

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct DepartedRow {
    pub id: String,
    pub user_name_key: String,
    pub external_id: Option<String>,
    /// As the resource was stored when it was deleted.
    pub doc: String,
    pub extra: Option<String>,
    pub created: i64,
    pub modified: i64,
    /// When SCIM deleted the user.
    pub departed: i64,
}

type Sql = (Text, Text, Nullable<Text>, Text, Nullable<Text>, BigInt, BigInt, BigInt);

const COLUMNS: &str = "id, user_name_key, external_id, doc, extra, created, modified, departed";

impl Tx<'_> {
    pub fn departed_insert(
        &mut self,
        directory_key: i64,
        row: &DepartedRow,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO departed_user (directory_key, id, user_name_key, external_id, doc, extra, \
             created, modified, departed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                Bind::Int(directory_key),
                Bind::Text(&row.id),
                Bind::Text(&row.user_name_key),
                Bind::OptText(row.external_id.as_deref()),
                Bind::Text(&row.doc),
                Bind::OptText(row.extra.as_deref()),
                Bind::Int(row.created),
                Bind::Int(row.modified),
                Bind::Int(row.departed),
            ],
        )?;
        Ok(())
    }

    /// Removes and answers the one who had the name.
    pub fn departed_take_name(
        &mut self,
        directory_key: i64,
        user_name_key: &str,
    ) -> Result<Option<DepartedRow>, StoreError> {
        self.row::<Sql, _>(
            &format!(
                "DELETE FROM departed_user WHERE directory_key = ? AND user_name_key = ? \
                 RETURNING {COLUMNS}"
            ),
            &[Bind::Int(directory_key), Bind::Text(user_name_key)],
        )
    }

    /// Removes and answers some who left at `until` or before, the first to leave first.
    pub fn departed_take(
        &mut self,
        directory_key: i64,
        until: i64,
        limit: i64,
    ) -> Result<Vec<DepartedRow>, StoreError> {
        let mut rows = self.rows::<Sql, DepartedRow>(
            &format!(
                "DELETE FROM departed_user WHERE directory_key = ? AND id IN (SELECT id \
                 FROM departed_user WHERE directory_key = ? AND departed <= ? \
                 ORDER BY departed, id LIMIT ?) RETURNING {COLUMNS}"
            ),
            &[
                Bind::Int(directory_key),
                Bind::Int(directory_key),
                Bind::Int(until),
                Bind::Int(limit),
            ],
        )?;
        rows.sort_by(|a, b| (a.departed, &a.id).cmp(&(b.departed, &b.id)));
        Ok(rows)
    }

    /// Some who left at `until` or before, the first to leave first.
    pub fn departed_list(
        &mut self,
        directory_key: i64,
        until: i64,
        limit: i64,
    ) -> Result<Vec<DepartedRow>, StoreError> {
        self.rows::<Sql, _>(
            &format!(
                "SELECT {COLUMNS} FROM departed_user WHERE directory_key = ? AND departed <= ? \
                 ORDER BY departed, id LIMIT ?"
            ),
            &[Bind::Int(directory_key), Bind::Int(until), Bind::Int(limit)],
        )
    }

    /// Departed users in the order of their ids, behind `after` and up to `until`.
    pub fn departed_by_id(
        &mut self,
        directory_key: i64,
        after: &str,
        until: &str,
        limit: i64,
    ) -> Result<Vec<DepartedRow>, StoreError> {
        self.rows::<Sql, _>(
            &format!(
                "SELECT {COLUMNS} FROM departed_user WHERE directory_key = ? AND id > ? \
                 AND id <= ? ORDER BY id LIMIT ?"
            ),
            &[Bind::Int(directory_key), Bind::Text(after), Bind::Text(until), Bind::Int(limit)],
        )
    }

    /// How many left at `until` or before.
    pub fn departed_count(&mut self, directory_key: i64, until: i64) -> Result<i64, StoreError> {
        let count = self.row::<BigInt, i64>(
            "SELECT COUNT(*) FROM departed_user WHERE directory_key = ? AND departed <= ?",
            &[Bind::Int(directory_key), Bind::Int(until)],
        )?;
        Ok(count.unwrap_or(0))
    }
}
