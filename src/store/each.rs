//! Rows that a list names, or that rows of another table point to: one look-up along an index for each.
//!
//! PostgreSQL turns a join round as soon as it takes the rows on the other side for few: it then walks a
//! whole group, or a whole directory, and compares each row with all of the list. It takes them for few
//! when a table has grown since it was last analysed, but also with the best of statistics: where most
//! groups are small, the one of 20,000 members counts as small. Such a plan takes the square of the time.
//! A look-up that stands behind `LATERAL` and ends with `OFFSET 0` is not merged with what is around it,
//! so nothing is left to be turned round; `EXISTS` stays a look-up by `LIMIT 1 OFFSET 0`. To SQLite
//! `CROSS JOIN` says the same.
//!
//! Of a directory that was made after a table was analysed PostgreSQL believes that it has no rows. Then every
//! index that begins with the directory is as good as the one of the value that is looked for, and the whole
//! directory is walked for each row. It sees no value that comes out of a subquery ([`Dialect::whose`]), and takes
//! that directory for one like the others.

use super::dialect::Dialect;

impl Dialect {
    /// The keys of a JSON array as rows of `j (value)`, each once. On PostgreSQL they rise: rows that are
    /// locked one after another are locked in this order.
    pub(super) fn keys(self) -> &'static str {
        self.pick(
            "(SELECT DISTINCT value FROM json_each(?)) j",
            "(SELECT DISTINCT CAST(value AS BIGINT) FROM \
             jsonb_array_elements_text(CAST(? AS jsonb)) t (value) ORDER BY 1) j (value)",
        )
    }

    /// Like [`Dialect::keys`] for the texts of a JSON array.
    pub(super) fn texts(self) -> &'static str {
        self.pick(
            "(SELECT DISTINCT value FROM json_each(?)) j",
            "(SELECT DISTINCT value FROM \
             jsonb_array_elements_text(CAST(? AS jsonb)) t (value) ORDER BY 1) j (value)",
        )
    }

    /// Joins to each row of what stands before it the rows of a table, under a name, that meet the
    /// condition.
    pub(super) fn each(self, table: &str, name: &str, condition: &str) -> String {
        self.each_kept(table, name, condition, "")
    }

    /// Like [`Dialect::each`], and locks each row in the moment that it is found.
    pub(super) fn each_kept(self, table: &str, name: &str, condition: &str, lock: &str) -> String {
        match self {
            Self::Sqlite => format!("CROSS JOIN {table} {name} ON {condition}"),
            Self::Postgres => format!(
                "CROSS JOIN LATERAL (SELECT * FROM {table} {name} WHERE {} OFFSET 0 {lock}) {name}",
                self.unseen(condition)
            ),
        }
    }

    /// The condition that a row is a directory's, for statements that find few rows by something else.
    pub(super) fn whose(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("{column} = ?"),
            Self::Postgres => format!("{column} = (SELECT CAST(? AS BIGINT))"),
        }
    }

    /// A condition, with [`Dialect::whose`] in it.
    fn unseen(self, condition: &str) -> String {
        condition.replace("directory_key = ?", &self.whose("directory_key"))
    }

    /// A column of texts, so that no index of it is chosen: one that only says of which type a resource is
    /// looks to PostgreSQL as good as the one of a value that few have.
    pub(super) fn unindexed(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("+{column}"),
            Self::Postgres => format!("({column} || '')"),
        }
    }

    /// The condition of an UPDATE or DELETE that a column is in a list ([`Dialect::keys`] or
    /// [`Dialect::texts`]) and the rest holds; the value of the list comes first.
    ///
    /// PostgreSQL finds the places of the rows first. A place stands for its row as long as the statement
    /// runs, and a row that another unit has deleted meanwhile is passed over. But a row that another unit
    /// updates meanwhile gets a new place: this is for rows that are never updated, or that the unit has
    /// locked.
    pub(super) fn is_listed(self, list: &str, table: &str, column: &str, rest: &str) -> String {
        match self {
            Self::Sqlite => format!("{column} IN (SELECT j.value FROM {list}) AND {rest}"),
            Self::Postgres => format!(
                "ctid = ANY (ARRAY (SELECT place FROM {list} CROSS JOIN LATERAL \
                 (SELECT ctid AS place FROM {table} WHERE {column} = j.value AND {} OFFSET 0) x))",
                self.unseen(rest)
            ),
        }
    }
}
