//! Alarms: conditions that need somebody's attention. What they are found by is in [`super::alarm_look`].

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::sql::{Bind, Tx};
use super::{ListRange, StoreError};

/// An alarm. It is raised once and resolved once.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct AlarmRow {
    pub id: String,
    /// Zero for what belongs to no directory.
    pub directory_key: i64,
    pub directory_id: Option<String>,
    pub organization_id: Option<String>,
    pub kind: String,
    /// What it is about: the id of a token, an endpoint, a directory.
    pub subject: String,
    /// Tells the steps of one condition apart.
    pub level: i64,
    pub message: String,
    /// JSON object.
    pub detail: String,
    pub raised: i64,
    pub resolved: Option<i64>,
}

type Sql = (
    Text,
    BigInt,
    Nullable<Text>,
    Nullable<Text>,
    Text,
    Text,
    BigInt,
    Text,
    Text,
    BigInt,
    Nullable<BigInt>,
);

const COLUMNS: &str = "id, directory_key, directory_id, organization_id, kind, subject, level, \
     message, detail, raised, resolved";

/// Which alarms a list shows.
#[derive(Clone, Debug, Default)]
pub struct AlarmFilter {
    /// True for those that stand, false for those that do not; both when `None`.
    pub stands: Option<bool>,
    pub kind: Option<String>,
    pub directory_id: Option<String>,
    /// Ids of organizations; all when `None`.
    pub organizations: Option<Vec<String>>,
}

impl Tx<'_> {
    /// Stores an alarm; false when one of that kind stands for the subject already.
    pub fn alarm_insert(&mut self, row: &AlarmRow) -> Result<bool, StoreError> {
        let stored = self.execute(
            "INSERT INTO alarm (id, directory_key, directory_id, organization_id, kind, subject, \
             level, message, detail, raised) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (directory_key, kind, subject) WHERE resolved IS NULL DO NOTHING",
            &[
                Bind::Text(&row.id),
                Bind::Int(row.directory_key),
                Bind::OptText(row.directory_id.as_deref()),
                Bind::OptText(row.organization_id.as_deref()),
                Bind::Text(&row.kind),
                Bind::Text(&row.subject),
                Bind::Int(row.level),
                Bind::Text(&row.message),
                Bind::Text(&row.detail),
                Bind::Int(row.raised),
            ],
        )?;
        Ok(stored > 0)
    }

    /// Ends the alarm that stands for a subject, unless it has that level; answers it.
    pub fn alarm_resolve(
        &mut self,
        directory_key: i64,
        kind: &str,
        subject: &str,
        unless_level: Option<i64>,
        now: i64,
    ) -> Result<Option<AlarmRow>, StoreError> {
        self.row::<Sql, _>(
            &format!(
                "UPDATE alarm SET resolved = ? WHERE directory_key = ? AND kind = ? \
                 AND subject = ? AND resolved IS NULL AND level <> ? RETURNING {COLUMNS}"
            ),
            &[
                Bind::Int(now),
                Bind::Int(directory_key),
                Bind::Text(kind),
                Bind::Text(subject),
                Bind::Int(unless_level.unwrap_or(i64::MIN)),
            ],
        )
    }

    /// Ends every alarm of a directory; answers them.
    pub fn alarm_resolve_all(
        &mut self,
        directory_key: i64,
        now: i64,
    ) -> Result<Vec<AlarmRow>, StoreError> {
        self.rows::<Sql, _>(
            &format!(
                "UPDATE alarm SET resolved = ? WHERE directory_key = ? AND resolved IS NULL \
                 RETURNING {COLUMNS}"
            ),
            &[Bind::Int(now), Bind::Int(directory_key)],
        )
    }

    /// Alarms by id, newest first.
    pub fn alarm_list(
        &mut self,
        filter: &AlarmFilter,
        range: &ListRange,
    ) -> Result<Vec<AlarmRow>, StoreError> {
        let (condition, order, cursor) = range.sql_on("id");
        let stands = match filter.stands {
            Some(true) => "resolved IS NULL",
            Some(false) => "resolved IS NOT NULL",
            None => "TRUE",
        };
        let organizations = match &filter.organizations {
            Some(_) => {
                format!("organization_id IN (SELECT j.value FROM {})", self.dialect.texts())
            }
            None => "TRUE".to_owned(),
        };
        let text = format!(
            "SELECT {COLUMNS} FROM alarm WHERE {condition} AND {stands} AND {organizations} \
             AND (CAST(? AS TEXT) IS NULL OR kind = ?) \
             AND (CAST(? AS TEXT) IS NULL OR directory_id = ?) ORDER BY {order} LIMIT ?"
        );
        let mut binds = vec![Bind::Text(cursor)];
        if let Some(ids) = &filter.organizations {
            binds.push(Bind::Owned(serde_json::Value::from(ids.as_slice()).to_string()));
        }
        let (kind, directory) = (filter.kind.as_deref(), filter.directory_id.as_deref());
        binds.extend([
            Bind::OptText(kind),
            Bind::OptText(kind),
            Bind::OptText(directory),
            Bind::OptText(directory),
            Bind::Int(range.limit),
        ]);
        self.rows::<Sql, _>(&text, &binds)
    }

    /// Alarms of a kind that stand, by id, beyond `after`.
    pub fn alarm_standing(
        &mut self,
        kind: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<AlarmRow>, StoreError> {
        self.rows::<Sql, _>(
            &format!(
                "SELECT {COLUMNS} FROM alarm WHERE kind = ? AND resolved IS NULL AND id > ? \
                 ORDER BY id LIMIT ?"
            ),
            &[Bind::Text(kind), Bind::Text(after), Bind::Int(limit)],
        )
    }

    /// How many alarms stand, by kind.
    pub fn alarm_counts(&mut self) -> Result<Vec<(String, i64)>, StoreError> {
        self.rows::<(Text, BigInt), _>(
            "SELECT kind, COUNT(*) FROM alarm WHERE resolved IS NULL GROUP BY kind",
            &[],
        )
    }

    /// Forgets alarms that were resolved before that time.
    pub fn alarm_prune(&mut self, until: i64) -> Result<usize, StoreError> {
        self.execute("DELETE FROM alarm WHERE resolved < ?", &[Bind::Int(until)])
    }

    /// What alarms of a kind that stand for a directory are about.
    pub fn alarm_subjects(
        &mut self,
        directory_key: i64,
        kind: &str,
    ) -> Result<Vec<String>, StoreError> {
        self.rows::<Text, String>(
            "SELECT subject FROM alarm WHERE directory_key = ? AND kind = ? AND resolved IS NULL",
            &[Bind::Int(directory_key), Bind::Text(kind)],
        )
    }
}
