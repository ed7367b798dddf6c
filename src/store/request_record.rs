//! Request records: a ring for each directory, in the order of their ids.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Integer, Text};

use super::sql::{Bind, Tx};
use super::{ListRange, StoreError};

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct RequestRow {
    pub directory_key: i64,
    pub id: String,
    pub method: String,
    pub status: i32,
    /// Keyed hashes with a space before, between and after them.
    pub user_keys: String,
    /// The record as JSON, sealed.
    pub sealed: String,
}

type Sql = (BigInt, Text, Text, Integer, Text, Text);

const COLUMNS: &str = "SELECT directory_key, id, method, status, user_keys, sealed \
     FROM request_record";

/// Which records of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFilter {
    /// Lowest and highest status.
    pub status: (i32, i32),
    pub method: Option<String>,
    /// Any of these is one of the row's; empty for all rows.
    pub user_keys: Vec<String>,
    /// Ids from this one on.
    pub from: Option<String>,
    /// Ids before this one.
    pub until: Option<String>,
}

impl Tx<'_> {
    pub fn request_insert(&mut self, row: &RequestRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO request_record (directory_key, id, method, status, user_keys, \
             sealed) VALUES (?, ?, ?, ?, ?, ?)",
            &[
                Bind::Int(row.directory_key),
                Bind::Text(&row.id),
                Bind::Text(&row.method),
                Bind::Small(row.status),
                Bind::Text(&row.user_keys),
                Bind::Text(&row.sealed),
            ],
        )?;
        Ok(())
    }

    pub fn request_get(
        &mut self,
        directory_key: i64,
        id: &str,
    ) -> Result<Option<RequestRow>, StoreError> {
        self.row::<Sql, _>(
            &format!("{COLUMNS} WHERE directory_key = ? AND id = ?"),
            &[Bind::Int(directory_key), Bind::Text(id)],
        )
    }

    pub fn request_list(
        &mut self,
        directory_key: i64,
        filter: &RequestFilter,
        range: &ListRange,
    ) -> Result<Vec<RequestRow>, StoreError> {
        let (condition, order, cursor) = range.sql();
        let about = match filter.user_keys.len() {
            0 => "TRUE".to_owned(),
            count => vec!["user_keys LIKE ?"; count].join(" OR "),
        };
        let text = format!(
            "{COLUMNS} WHERE directory_key = ? AND {condition} AND status BETWEEN ? AND ? \
             AND (CAST(? AS TEXT) IS NULL OR id >= ?) AND (CAST(? AS TEXT) IS NULL OR id < ?) \
             AND (CAST(? AS TEXT) IS NULL OR method = ?) \
             AND ({about}) ORDER BY {order} LIMIT ?"
        );
        let (from, until) = (filter.from.as_deref(), filter.until.as_deref());
        let method = filter.method.as_deref();
        // Hashes have no character that LIKE reads.
        let users = filter.user_keys.iter().map(|key| Bind::Owned(format!("% {key} %")));
        let mut binds = vec![
            Bind::Int(directory_key),
            Bind::Text(cursor),
            Bind::Small(filter.status.0),
            Bind::Small(filter.status.1),
            Bind::OptText(from),
            Bind::OptText(from),
            Bind::OptText(until),
            Bind::OptText(until),
            Bind::OptText(method),
            Bind::OptText(method),
        ];
        binds.extend(users);
        binds.push(Bind::Int(range.limit));
        self.rows::<Sql, _>(&text, &binds)
    }

    /// The oldest of the newest `count` records, if there are more.
    pub fn request_oldest_kept(
        &mut self,
        directory_key: i64,
        count: i64,
    ) -> Result<Option<String>, StoreError> {
        self.row::<Text, String>(
            "SELECT id FROM request_record WHERE directory_key = ? ORDER BY id DESC \
             LIMIT 1 OFFSET ?",
            &[Bind::Int(directory_key), Bind::Int(count.saturating_sub(1).max(0))],
        )
    }

    /// Removes up to `limit` records before an id, or all when there is none; answers how many.
    pub fn request_remove_before(
        &mut self,
        directory_key: i64,
        id: Option<&str>,
        limit: i64,
    ) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM request_record WHERE directory_key = ? AND id IN \
             (SELECT id FROM request_record WHERE directory_key = ? \
             AND (CAST(? AS TEXT) IS NULL OR id < ?) ORDER BY id LIMIT ?)",
            &[
                Bind::Int(directory_key),
                Bind::Int(directory_key),
                Bind::OptText(id),
                Bind::OptText(id),
                Bind::Int(limit),
            ],
        )
    }

    /// The next directory that has records, by key.
    pub fn request_directory_after(&mut self, key: i64) -> Result<Option<i64>, StoreError> {
        self.row::<BigInt, i64>(
            "SELECT directory_key FROM request_record WHERE directory_key > ? \
             ORDER BY directory_key LIMIT 1",
            &[Bind::Int(key)],
        )
    }
}
