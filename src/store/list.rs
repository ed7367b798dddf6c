//! Lists: a page of the resources that a plan selects.

use diesel::sql_types::BigInt;

use super::StoreError;
use super::dialect::Dialect;
use super::plan::{InstantColumn, Predicate, TextColumn, render};
use super::resource::{RESOURCE_COLUMNS, ResourceRow, ResourceSql};
use super::sql::{Bind, Tx};
use crate::scim::list::SortOrder;

/// An order that the database knows. Ties are broken by key, so the order is total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The order of creation.
    Key,
    Text(TextColumn, SortOrder),
    Instant(InstantColumn, SortOrder),
}

impl Order {
    /// Unassigned values come last ascending and first descending (RFC 7644 §3.4.2.3).
    fn sql(self) -> String {
        match self {
            Self::Key => "r.key".to_owned(),
            Self::Text(column, order) => {
                let column = column.sql();
                match order {
                    SortOrder::Ascending => format!("({column} IS NULL), {column}, r.key"),
                    SortOrder::Descending => {
                        format!("({column} IS NULL) DESC, {column} DESC, r.key DESC")
                    }
                }
            }
            Self::Instant(column, order) => match order {
                SortOrder::Ascending => format!("{}, r.key", column.sql()),
                SortOrder::Descending => format!("{} DESC, r.key DESC", column.sql()),
            },
        }
    }
}

/// Conditions with more leaves come in too many forms to keep each prepared.
const MAX_PREPARED_LEAVES: usize = 2;

impl Tx<'_> {
    /// A page in the given order; `offset` rows are passed over.
    pub fn resource_page(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        predicate: &Predicate,
        order: Order,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let condition = render(predicate, directory_key, self.dialect);
        let text = format!(
            "SELECT {RESOURCE_COLUMNS} FROM resource r WHERE {} AND {} ORDER BY {} LIMIT ? OFFSET ?",
            predicate.scope(self.dialect),
            condition.text,
            order.sql()
        );
        let mut binds = scope(directory_key, resource_type);
        binds.extend(condition.binds);
        binds.extend([Bind::Int(limit), Bind::Int(offset)]);
        if condition.leaves <= MAX_PREPARED_LEAVES {
            self.rows::<ResourceSql, _>(&text, &binds)
        } else {
            self.rows_unprepared::<ResourceSql, _>(&text, &binds)
        }
    }

    /// How many resources the predicate selects. Every one of a type is read off the totals.
    pub fn resource_total(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        predicate: &Predicate,
    ) -> Result<i64, StoreError> {
        if *predicate == Predicate::All {
            return self.count_total(directory_key, resource_type);
        }
        let condition = render(predicate, directory_key, self.dialect);
        let text = format!(
            "SELECT COUNT(*) FROM resource r WHERE {} AND {}",
            predicate.scope(self.dialect),
            condition.text
        );
        let mut binds = scope(directory_key, resource_type);
        binds.extend(condition.binds);
        let rows = if condition.leaves <= MAX_PREPARED_LEAVES {
            self.rows::<BigInt, i64>(&text, &binds)?
        } else {
            self.rows_unprepared::<BigInt, i64>(&text, &binds)?
        };
        Ok(rows.into_iter().next().unwrap_or(0))
    }

    /// The next rows that the predicate selects, by key beyond `after_key`: a scan in pieces.
    pub fn resource_chunk(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        predicate: &Predicate,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let condition = render(predicate, directory_key, self.dialect);
        let text = format!(
            "SELECT {RESOURCE_COLUMNS} FROM resource r WHERE {} AND {} AND {} ORDER BY r.key LIMIT ?",
            predicate.scope(self.dialect),
            condition.text,
            predicate.beyond(self.dialect)
        );
        let mut binds = scope(directory_key, resource_type);
        binds.extend(condition.binds);
        binds.extend([Bind::Int(after_key), Bind::Int(limit)]);
        if condition.leaves <= MAX_PREPARED_LEAVES {
            self.rows::<ResourceSql, _>(&text, &binds)
        } else {
            self.rows_unprepared::<ResourceSql, _>(&text, &binds)
        }
    }

    /// The database's own plan for a page, one line a step: tests hold it to the indexes.
    pub fn resource_page_explained(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        predicate: &Predicate,
    ) -> Result<Vec<String>, StoreError> {
        use diesel::sql_types::{Integer, Text};
        let condition = render(predicate, directory_key, self.dialect);
        let mut binds = scope(directory_key, resource_type);
        binds.extend(condition.binds);
        let query = format!(
            "SELECT r.key FROM resource r WHERE {} AND {} ORDER BY r.key LIMIT 100",
            predicate.scope(self.dialect),
            condition.text
        );
        match self.dialect {
            Dialect::Sqlite => {
                let rows = self
                    .rows::<(Integer, Integer, Integer, Text), (i32, i32, i32, String)>(
                        &format!("EXPLAIN QUERY PLAN {query}"),
                        &binds,
                    )?;
                Ok(rows.into_iter().map(|row| row.3).collect())
            }
            Dialect::Postgres => self.rows::<Text, String>(&format!("EXPLAIN {query}"), &binds),
        }
    }
}

fn scope(directory_key: i64, resource_type: &str) -> Vec<Bind<'static>> {
    vec![Bind::Int(directory_key), Bind::Owned(resource_type.to_owned())]
}
