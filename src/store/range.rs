//! A stretch of a list that is ordered by id, newest first.

/// Which rows of a list: ids beyond a cursor. The cursor's row need not exist any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRange {
    pub from: From,
    pub limit: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    Newest,
    /// Rows that come after the id in the list: older ones.
    After(String),
    /// Rows that come before it, nearest first.
    Before(String),
}

impl ListRange {
    /// Condition and order for a column `id`, and the value of the condition's place.
    pub(super) fn sql(&self) -> (&'static str, &'static str, &str) {
        match &self.from {
            From::Newest => ("id >= ?", "id DESC", ""),
            From::After(id) => ("id < ?", "id DESC", id),
            From::Before(id) => ("id > ?", "id ASC", id),
        }
    }

    /// The same for the id of a joined table.
    pub(super) fn sql_on(&self, column: &'static str) -> (String, String, &str) {
        let (condition, order, cursor) = self.sql();
        (condition.replacen("id", column, 1), order.replacen("id", column, 1), cursor)
    }
}

/// A stretch of a list in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdRange {
    pub walk: Walk,
    /// The id behind which it begins. Its row need not exist any more.
    pub beyond: Option<String>,
    pub limit: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Rising ids.
    Up,
    /// Falling ids.
    Down,
}

/// Sorts behind every id: those are ASCII.
const LAST: &str = "\u{10FFFF}";

impl IdRange {
    /// Condition and order for the column, and the value of the condition's place.
    pub(super) fn sql(&self, column: &'static str) -> (String, String, &str) {
        let (comparison, order, end) = match self.walk {
            Walk::Up => (">", "ASC", ""),
            Walk::Down => ("<", "DESC", LAST),
        };
        let beyond = self.beyond.as_deref().unwrap_or(end);
        (format!("{column} {comparison} ?"), format!("{column} {order}"), beyond)
    }
}
