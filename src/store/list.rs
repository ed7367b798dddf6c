//! Lists: a page of the resources that a plan selects.

use diesel::sql_types::BigInt;

use super::StoreError;
use super::dialect::Dialect;
use super::plan::{InstantColumn, Predicate, TextColumn, render};
use super::resource::{RESOURCE_COLUMNS, ResourceRow, ResourceSql};
use super::sql::{Bind, Tx};

/// An order that an index gives. Ties are broken by key, so every order is total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The order of creation.
    Key,
    /// Only resources that have a value there.
    Text(TextColumn),
    Instant(InstantColumn),
}

/// A place in an order: strictly beyond it a walk goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The value that the order compares first; `None` for orders by key.
    pub value: Option<BoundValue>,
    pub key: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundValue {
    Text(String),
    Instant(i64),
}

/// A stretch of the resources that a predicate selects.
#[derive(Clone, Debug)]
pub struct Walk<'w> {
    pub directory_key: i64,
    pub resource_type: &'w str,
    pub predicate: &'w Predicate,
    pub order: Order,
    /// False for the opposite direction.
    pub rising: bool,
    pub beyond: Option<&'w Bound>,
    /// Rows that are passed over first.
    pub offset: i64,
    pub limit: i64,
}

impl Order {
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Key => None,
            Self::Text(column) => Some(column.sql()),
            Self::Instant(column) => Some(column.sql()),
        }
    }

    /// Which rows the order is about.
    fn part(self) -> String {
        match self {
            Self::Key | Self::Instant(_) => String::new(),
            Self::Text(column) => format!(" AND {} IS NOT NULL", column.sql()),
        }
    }

    /// The columns that are compared, most significant first.
    fn keys(self) -> Vec<&'static str> {
        match self {
            Self::Key => vec!["r.key"],
            Self::Text(_) | Self::Instant(_) => {
                self.column().into_iter().chain(["r.key"]).collect()
            }
        }
    }
}

/// Conditions with more leaves come in too many forms to keep each prepared.
const MAX_PREPARED_LEAVES: usize = 2;

/// A walk as SQL text and its values.
struct WalkSql {
    text: String,
    binds: Vec<Bind<'static>>,
    /// How many conditions the predicate has.
    leaves: usize,
}

impl Walk<'_> {
    /// `None` where the place lacks the value that the order compares: nothing lies beyond it.
    fn sql(&self, dialect: Dialect) -> Option<WalkSql> {
        let predicate = self.predicate;
        let condition = render(predicate, self.directory_key, dialect);
        let keys = self.order.keys();
        let mut binds = scope(self.directory_key, self.resource_type);
        binds.extend(condition.binds);
        let sign = if self.rising { ">" } else { "<" };
        let beyond = match (self.beyond, keys.len()) {
            (None, _) => String::new(),
            (Some(bound), 1) => {
                binds.push(Bind::Int(bound.key));
                format!(" AND {} {sign} ?", predicate.key_column(dialect))
            }
            (Some(bound), _) => {
                binds.push(match bound.value.as_ref()? {
                    BoundValue::Text(text) => Bind::Owned(text.clone()),
                    BoundValue::Instant(ms) => Bind::Int(*ms),
                });
                binds.push(Bind::Int(bound.key));
                format!(" AND ({}) {sign} (?, ?)", keys.join(", "))
            }
        };
        let direction = if self.rising { "" } else { " DESC" };
        let order: Vec<String> = keys.iter().map(|key| format!("{key}{direction}")).collect();
        let text = format!(
            "SELECT {RESOURCE_COLUMNS} FROM resource r WHERE {} AND {}{}{beyond} ORDER BY {} \
             LIMIT ? OFFSET ?",
            predicate.scope(dialect),
            condition.text,
            self.order.part(),
            order.join(", ")
        );
        binds.extend([Bind::Int(self.limit), Bind::Int(self.offset)]);
        Some(WalkSql { text, binds, leaves: condition.leaves })
    }
}

impl Tx<'_> {
    /// The next resources in the given order. Row values are compared as a whole, which both
    /// databases answer from an index where the order has one: the millionth row costs what the first
    /// one does.
    pub fn resource_walk(&mut self, walk: &Walk<'_>) -> Result<Vec<ResourceRow>, StoreError> {
        let Some(WalkSql { text, binds, leaves }) = walk.sql(self.dialect) else {
            return Ok(Vec::new());
        };
        if leaves <= MAX_PREPARED_LEAVES {
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

    /// The database's own plan for a walk, one line a step: tests hold it to the indexes.
    pub fn resource_walk_explained(&mut self, walk: &Walk<'_>) -> Result<Vec<String>, StoreError> {
        use diesel::sql_types::{Integer, Text};
        let Some(WalkSql { text, binds, .. }) = walk.sql(self.dialect) else {
            return Ok(Vec::new());
        };
        match self.dialect {
            Dialect::Sqlite => {
                let rows = self
                    .rows::<(Integer, Integer, Integer, Text), (i32, i32, i32, String)>(
                        &format!("EXPLAIN QUERY PLAN {text}"),
                        &binds,
                    )?;
                Ok(rows.into_iter().map(|row| row.3).collect())
            }
            Dialect::Postgres => self.rows::<Text, String>(&format!("EXPLAIN {text}"), &binds),
        }
    }
}

fn scope(directory_key: i64, resource_type: &str) -> Vec<Bind<'static>> {
    vec![Bind::Int(directory_key), Bind::Owned(resource_type.to_owned())]
}
