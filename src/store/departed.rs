//! Users whom SCIM has deleted and the app still sees, inactive.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::sql::{Bind, Tx};
use super::{IdRange, StoreError};

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
    /// The address that the app was shown, as a comparison key.
    pub email_key: Option<String>,
    /// What the maps had made of the user.
    pub custom_attributes: Option<String>,
    pub roles: Option<String>,
}

type Sql = (
    Text,
    Text,
    Nullable<Text>,
    Text,
    Nullable<Text>,
    BigInt,
    BigInt,
    BigInt,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
);

const COLUMNS: &str = "id, user_name_key, external_id, doc, extra, created, modified, departed, \
     email_key, custom_attributes, roles";

/// Which of the departed the app asks for.
#[derive(Clone, Copy, Debug)]
pub enum Departed<'d> {
    All,
    Id(&'d str),
    ExternalId(&'d str),
    /// The address that was shown, or the user name, as a comparison key.
    Email(&'d str),
}

impl Tx<'_> {
    pub fn departed_insert(
        &mut self,
        directory_key: i64,
        row: &DepartedRow,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO departed_user (directory_key, id, user_name_key, external_id, doc, extra, \
             created, modified, departed, email_key, custom_attributes, roles) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                Bind::OptText(row.email_key.as_deref()),
                Bind::OptText(row.custom_attributes.as_deref()),
                Bind::OptText(row.roles.as_deref()),
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

    /// A departed user whom the app still sees.
    pub fn departed_get(
        &mut self,
        directory_key: i64,
        id: &str,
    ) -> Result<Option<DepartedRow>, StoreError> {
        let whose = self.dialect.whose("directory_key");
        self.row::<Sql, _>(
            &format!("SELECT {COLUMNS} FROM departed_user WHERE id = ? AND {whose}"),
            &[Bind::Text(id), Bind::Int(directory_key)],
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

    /// Some of the departed by id.
    pub fn departed_range(
        &mut self,
        directory_key: i64,
        wanted: Departed<'_>,
        range: &IdRange,
    ) -> Result<Vec<DepartedRow>, StoreError> {
        // Whoever has one address or name is found by it, not by walking along the ids.
        let id = match wanted {
            Departed::All => "id",
            _ => self.dialect.pick("+id", "id"),
        };
        let (condition, order, beyond) = range.sql(id);
        let (which, value) = match wanted {
            Departed::All => ("", None),
            Departed::Id(id) => (" AND id = ?", Some(id)),
            Departed::ExternalId(external_id) => (" AND external_id = ?", Some(external_id)),
            Departed::Email(key) => (" AND (email_key = ? OR user_name_key = ?)", Some(key)),
        };
        let text = format!(
            "SELECT {COLUMNS} FROM departed_user WHERE directory_key = ?{which} AND {condition} \
             ORDER BY {order} LIMIT ?"
        );
        let mut binds = vec![Bind::Int(directory_key)];
        for _ in 0..which.matches('?').count() {
            binds.push(Bind::OptText(value));
        }
        binds.extend([Bind::Text(beyond), Bind::Int(range.limit)]);
        self.rows::<Sql, _>(&text, &binds)
    }

    /// The directory of a departed user.
    pub fn departed_locate(&mut self, id: &str) -> Result<Option<i64>, StoreError> {
        self.row::<BigInt, i64>(
            "SELECT directory_key FROM departed_user WHERE id = ?",
            &[Bind::Text(id)],
        )
    }
}
