//! The audit log: what was done through the management interfaces, by whom. Read by id, newest first.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::dialect::Dialect;
use super::sql::{Bind, Tx};
use super::{ListRange, StoreError};

/// One use of a management interface.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct AuditRow {
    pub id: String,
    pub at: i64,
    pub actor_type: String,
    pub actor_id: String,
    pub actor_name: Option<String>,
    pub action: String,
    pub organization_id: Option<String>,
    pub directory_id: Option<String>,
    pub target_id: String,
    pub target_name: Option<String>,
    /// JSON object.
    pub before: Option<String>,
    /// JSON object.
    pub after: Option<String>,
}

type Sql = (
    Text,
    BigInt,
    Text,
    Text,
    Nullable<Text>,
    Text,
    Nullable<Text>,
    Nullable<Text>,
    Text,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
);

const COLUMNS: &str = "id, at, actor_type, actor_id, actor_name, action, organization_id, \
     directory_id, target_id, target_name, before_data, after_data";

/// Which rows; everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Rows of these organizations; of everything when `None`.
    pub organizations: Option<Vec<String>>,
    pub directory_id: Option<String>,
    pub actor_id: Option<String>,
    pub action: Option<String>,
    pub target_id: Option<String>,
    /// Ids from this one on.
    pub from: Option<String>,
    /// Ids before this one.
    pub until: Option<String>,
}

impl AuditFilter {
    /// The conditions that are given, each with a place for its value.
    fn conditions(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("directory_id = ?", &self.directory_id),
            ("actor_id = ?", &self.actor_id),
            ("action = ?", &self.action),
            ("target_id = ?", &self.target_id),
            ("id >= ?", &self.from),
            ("id < ?", &self.until),
        ]
        .into_iter()
        .filter_map(|(condition, value)| Some((condition, value.as_deref()?)))
    }
}

impl Tx<'_> {
    pub fn audit_insert(&mut self, row: &AuditRow) -> Result<(), StoreError> {
        self.execute(
            &format!("INSERT INTO audit ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
            &[
                Bind::Text(&row.id),
                Bind::Int(row.at),
                Bind::Text(&row.actor_type),
                Bind::Text(&row.actor_id),
                Bind::OptText(row.actor_name.as_deref()),
                Bind::Text(&row.action),
                Bind::OptText(row.organization_id.as_deref()),
                Bind::OptText(row.directory_id.as_deref()),
                Bind::Text(&row.target_id),
                Bind::OptText(row.target_name.as_deref()),
                Bind::OptText(row.before.as_deref()),
                Bind::OptText(row.after.as_deref()),
            ],
        )?;
        Ok(())
    }

    pub fn audit_get(&mut self, id: &str) -> Result<Option<AuditRow>, StoreError> {
        self.row::<Sql, _>(&format!("SELECT {COLUMNS} FROM audit WHERE id = ?"), &[Bind::Text(id)])
    }

    pub fn audit_list(
        &mut self,
        filter: &AuditFilter,
        range: &ListRange,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let (place, order, cursor) = range.sql();
        let mut conditions = place.to_owned();
        let mut binds = vec![Bind::Text(cursor)];
        for (condition, value) in filter.conditions() {
            conditions.push_str(" AND ");
            conditions.push_str(condition);
            binds.push(Bind::Text(value));
        }
        binds.push(Bind::Int(range.limit));
        let Some(organizations) = &filter.organizations else {
            let text =
                format!("SELECT {COLUMNS} FROM audit WHERE {conditions} ORDER BY {order} LIMIT ?");
            return self.rows::<Sql, _>(&text, &binds);
        };
        // From each organization no more than are wanted of all: its index is read from the cursor on.
        let of_each = format!(
            "FROM audit WHERE organization_id = j.value AND {conditions} ORDER BY {order} LIMIT ?"
        );
        let listed = self.dialect.texts();
        let text = match self.dialect {
            Dialect::Sqlite => format!(
                "SELECT {COLUMNS} FROM audit WHERE id IN (SELECT x.id \
                 FROM {listed} CROSS JOIN audit x ON x.id IN (SELECT id {of_each})) \
                 ORDER BY {order} LIMIT ?"
            ),
            Dialect::Postgres => format!(
                "SELECT {COLUMNS} FROM {listed} \
                 CROSS JOIN LATERAL (SELECT {COLUMNS} {of_each}) part ORDER BY {order} LIMIT ?"
            ),
        };
        let ids = serde_json::Value::from(organizations.as_slice()).to_string();
        binds.insert(0, Bind::Owned(ids));
        binds.push(Bind::Int(range.limit));
        self.rows::<Sql, _>(&text, &binds)
    }

    /// Removes up to `limit` rows before an id; answers how many.
    pub fn audit_prune(&mut self, before: &str, limit: i64) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id < ? ORDER BY id LIMIT ?)",
            &[Bind::Text(before), Bind::Int(limit)],
        )
    }

    /// Notes that names and values of an organization are to be taken out.
    pub fn audit_forget_later(&mut self, organization_id: &str) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO audit_forget (organization_id) VALUES (?) ON CONFLICT DO NOTHING",
            &[Bind::Text(organization_id)],
        )?;
        Ok(())
    }

    /// An organization whose names and values are to be taken out.
    pub fn audit_forget_next(&mut self) -> Result<Option<String>, StoreError> {
        self.row::<Text, String>(
            "SELECT organization_id FROM audit_forget ORDER BY organization_id LIMIT 1",
            &[],
        )
    }

    /// Takes names and values out of up to `limit` rows of an organization behind an id; answers the last
    /// of them. At the end the note goes.
    pub fn audit_forget(
        &mut self,
        organization_id: &str,
        after: &str,
        limit: i64,
    ) -> Result<Option<String>, StoreError> {
        let last = self.row::<Nullable<Text>, Option<String>>(
            "SELECT MAX(id) FROM (SELECT id FROM audit WHERE organization_id = ? AND id > ? \
             ORDER BY id LIMIT ?) part",
            &[Bind::Text(organization_id), Bind::Text(after), Bind::Int(limit)],
        )?;
        let Some(last) = last.flatten() else {
            self.execute(
                "DELETE FROM audit_forget WHERE organization_id = ?",
                &[Bind::Text(organization_id)],
            )?;
            return Ok(None);
        };
        self.execute(
            "UPDATE audit SET target_name = NULL, before_data = NULL, after_data = NULL \
             WHERE organization_id = ? AND id > ? AND id <= ?",
            &[Bind::Text(organization_id), Bind::Text(after), Bind::Text(&last)],
        )?;
        Ok(Some(last))
    }
}
