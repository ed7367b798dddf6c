//! Statements: constant SQL text with `?` for values, typed rows out.
//!
//! diesel's query builder cannot say `ON CONFLICT`, `FOR UPDATE`, `RETURNING` or a conditional
//! update for two databases at once, so statements are written out. The text is constant, values
//! are always bound, and the prepared statement is kept per connection under its text.
//!
//! A statement goes to the connection of its database, not through diesel's enum of connections: that
//! one walks a statement nine times for each use, this one twice.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::time::Duration;

use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::methods::LoadQuery;
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Binary, Bool, HasSqlType, Integer, Nullable, Text};
use diesel::{PgConnection, RunQueryDsl, SqliteConnection};

use super::conn::AnyConn;
use super::dialect::{self, Dialect};
use super::error::{StoreError, UnitError};
use crate::clock::Stopwatch;

/// A value of a statement.
#[derive(Clone, Debug)]
pub(super) enum Bind<'v> {
    Int(i64),
    OptInt(Option<i64>),
    Small(i32),
    Bool(bool),
    Text(&'v str),
    OptText(Option<&'v str>),
    Owned(String),
    Bytes(Cow<'v, [u8]>),
}

/// Whether a prepared statement is kept for the next use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    Prepared,
    /// For text whose variety a client decides: keeping every form would grow without bound.
    No,
}

pub(super) struct Statement<'q, Row> {
    text: &'q str,
    binds: &'q [Bind<'q>],
    keep: Keep,
    row: PhantomData<Row>,
}

impl<'q, Row> Statement<'q, Row> {
    /// A statement without values.
    pub(super) fn fixed(text: &'q str) -> Self {
        Self { text, binds: &[], keep: Keep::Prepared, row: PhantomData }
    }
}

impl<Row, DB> QueryFragment<DB> for Statement<'_, Row>
where
    DB: Backend + HasSqlType<Bool>,
    i64: ToSql<BigInt, DB>,
    i32: ToSql<Integer, DB>,
    bool: ToSql<Bool, DB>,
    str: ToSql<Text, DB>,
    [u8]: ToSql<Binary, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let mut binds = self.binds.iter();
        for (index, part) in self.text.split('?').enumerate() {
            if index > 0 {
                match binds.next() {
                    Some(Bind::Int(v)) => out.push_bind_param::<BigInt, _>(v)?,
                    Some(Bind::OptInt(v)) => out.push_bind_param::<Nullable<BigInt>, _>(v)?,
                    Some(Bind::Small(v)) => out.push_bind_param::<Integer, _>(v)?,
                    Some(Bind::Bool(v)) => out.push_bind_param::<Bool, _>(v)?,
                    Some(Bind::Text(v)) => out.push_bind_param::<Text, &str>(v)?,
                    Some(Bind::OptText(v)) => {
                        out.push_bind_param::<Nullable<Text>, Option<&str>>(v)?;
                    }
                    Some(Bind::Owned(v)) => out.push_bind_param::<Text, String>(v)?,
                    Some(Bind::Bytes(v)) => out.push_bind_param::<Binary, [u8]>(v)?,
                    None => {
                        return Err(diesel::result::Error::QueryBuilderError(
                            "a statement has more places than values".into(),
                        ));
                    }
                }
            }
            out.push_sql(part);
        }
        Ok(())
    }

    // Without a walk: a statement of many rows has thousands of places.
    fn is_safe_to_cache_prepared(&self, _: &DB) -> QueryResult<bool> {
        Ok(self.keep == Keep::Prepared)
    }
}

impl<Row> QueryId for Statement<'_, Row> {
    type QueryId = ();
    // The cache goes by the text, which differs between statements of the same type.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Row> Query for Statement<'_, Row> {
    type SqlType = Row;
}

impl<Row, Conn> RunQueryDsl<Conn> for Statement<'_, Row> {}

/// A query whose rows both databases give as `Out`.
pub(super) trait Answers<'q, Out>:
    LoadQuery<'q, SqliteConnection, Out> + LoadQuery<'q, PgConnection, Out>
{
}

impl<'q, Out, Q> Answers<'q, Out> for Q where
    Q: LoadQuery<'q, SqliteConnection, Out> + LoadQuery<'q, PgConnection, Out>
{
}

/// A statement that inserts rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Insert<'t> {
    /// Up to VALUES.
    pub(super) into: &'t str,
    /// The values of one row, in brackets.
    pub(super) row: &'t str,
    /// What follows the rows.
    pub(super) then: &'t str,
}

impl Insert<'_> {
    /// Rows that go into one statement where there are as many: what a statement costs beside its rows,
    /// such as keeping the pages that it changes until it is done, is then paid once for all of them. Fewer
    /// go one by one, so that each connection prepares two forms and no more.
    const ROWS: usize = 100;

    fn text(&self, rows: usize) -> String {
        let Self { into, row, then } = self;
        let rows = vec![*row; rows].join(", ");
        let space = if then.is_empty() { "" } else { " " };
        format!("{into} VALUES {rows}{space}{then}")
    }

    /// The statements for all rows, each with its values.
    fn statements<'v, 'b>(
        &self,
        binds: &'v [Bind<'b>],
    ) -> impl Iterator<Item = (String, &'v [Bind<'b>])> {
        let values = self.row.matches('?').count().max(1);
        let together = binds.chunks_exact(values * Self::ROWS);
        let alone = together.remainder().chunks_exact(values);
        let together = together.map(|binds| (self.text(Self::ROWS), binds));
        together.chain(alone.map(|binds| (self.text(1), binds)))
    }
}

/// Since when, and for how long, queries may be asked.
struct Span {
    since: Stopwatch,
    longest: Duration,
    /// Queries that may be asked at any time.
    free: u32,
}

/// The connection inside a unit. Everything that a unit does goes through it.
pub struct Tx<'c> {
    pub(super) conn: &'c mut AnyConn,
    pub(super) dialect: Dialect,
    span: Option<Span>,
    /// What the database plans for each query, while somebody asks.
    plans: Option<Vec<String>>,
    /// The directory that the unit writes into, if its events wait.
    held: Option<i64>,
    /// Whether the unit shares its directory with others.
    pub(super) sharing: Sharing,
}

/// Whether a unit runs beside others in its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// With all that do not need the directory for themselves.
    Shared,
    /// It has asked for the directory for itself, and takes it so.
    Alone,
}

impl<'c> Tx<'c> {
    pub(super) fn new(conn: &'c mut AnyConn) -> Self {
        let dialect = Dialect::of(conn);
        Self { conn, dialect, span: None, plans: None, held: None, sharing: Sharing::Shared }
    }

    /// For a unit that takes its directory for itself.
    pub(super) fn sharing(conn: &'c mut AnyConn, sharing: Sharing) -> Self {
        Self { sharing, ..Self::new(conn) }
    }

    /// Refuses queries when `longest` is over.
    pub(super) fn until(conn: &'c mut AnyConn, longest: Duration) -> Self {
        Self::briefly(conn, longest, 0)
    }

    /// Like [`Tx::until`], but `free` queries may be asked at any time.
    pub(super) fn briefly(conn: &'c mut AnyConn, longest: Duration, free: u32) -> Self {
        let span = Span { since: Stopwatch::start(), longest, free };
        Self { span: Some(span), ..Self::new(conn) }
    }

    /// Whether events of the directory wait; known once the unit has taken the directory.
    pub fn holds(&self, directory_key: i64) -> bool {
        self.held == Some(directory_key)
    }

    /// Says whether events of the directory wait from here on.
    pub(super) fn hold(&mut self, directory_key: i64, holds: bool) {
        self.held = holds.then_some(directory_key);
    }

    fn check_time(&mut self) -> Result<(), StoreError> {
        let Some(span) = &mut self.span else { return Ok(()) };
        if let Some(left) = span.free.checked_sub(1) {
            span.free = left;
            return Ok(());
        }
        match span.since.elapsed() > span.longest {
            true => {
                Err(StoreError::TimedOut("a read has held on to one state for too long".to_owned()))
            }
            false => Ok(()),
        }
    }

    /// Runs `work` and answers the database's plans for its queries, one text each: tests hold them to
    /// the indexes.
    pub fn explained<T>(
        &mut self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<String>, StoreError> {
        self.plans = Some(Vec::new());
        let done = work(self);
        let plans = self.plans.take().unwrap_or_default();
        done.map(|_| plans)
    }

    /// How many pages of tables and indexes the connection has looked at, on PostgreSQL: tests hold
    /// statements to what they are about by the difference of two readings in a unit.
    pub fn pages_read(&mut self) -> Result<i64, StoreError> {
        let pages = self.row::<BigInt, i64>(
            "SELECT CAST(SUM(pg_stat_get_xact_blocks_fetched(c.oid)) AS BIGINT) FROM pg_class c \
             WHERE c.relkind IN ('r', 'i') AND c.relnamespace = CAST('public' AS regnamespace)",
            &[],
        )?;
        Ok(pages.unwrap_or(0))
    }

    fn explain(&mut self, text: &str, binds: &[Bind<'_>]) -> Result<(), StoreError> {
        let Some(mut plans) = self.plans.take() else { return Ok(()) };
        let lines = match self.dialect {
            Dialect::Sqlite => {
                let text = format!("EXPLAIN QUERY PLAN {text}");
                let rows = self
                    .rows::<(Integer, Integer, Integer, Text), (i32, i32, i32, String)>(
                        &text, binds,
                    )?;
                rows.into_iter().map(|row| row.3).collect()
            }
            Dialect::Postgres => self.rows::<Text, String>(&format!("EXPLAIN {text}"), binds)?,
        };
        plans.push(format!("{text}\n{}", lines.join("\n")));
        self.plans = Some(plans);
        Ok(())
    }

    /// Runs a part of the unit that may fail alone: what it did is undone and the rest of the unit
    /// stands. A failure of the storage ends the whole unit.
    pub fn part<T, E: UnitError>(
        &mut self,
        part: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        dialect::begin_savepoint(self.conn)?;
        let held = self.held;
        let error = match part(self) {
            Ok(value) => {
                dialect::release(self.conn)?;
                return Ok(Ok(value));
            }
            Err(error) => error,
        };
        let own = match error.into_storage() {
            Ok(storage) if storage.is_refusal() => E::from(storage),
            Ok(storage) => return Err(storage),
            Err(own) => own,
        };
        dialect::undo(self.conn)?;
        self.held = held;
        Ok(Err(own))
    }

    /// All rows of a query; `Sql` gives the SQL types of a row of `Out`.
    pub(super) fn rows<Sql, Out>(
        &mut self,
        text: &str,
        binds: &[Bind<'_>],
    ) -> Result<Vec<Out>, StoreError>
    where
        for<'q> Statement<'q, Sql>: Answers<'q, Out>,
    {
        self.check_time()?;
        if self.plans.is_some() {
            self.explain(text, binds)?;
        }
        let statement = Statement { text, binds, keep: Keep::Prepared, row: PhantomData::<Sql> };
        Ok(dialect::load(self.conn, statement)?)
    }

    /// Like [`Tx::rows`] for text that a client's filter shapes.
    pub(super) fn rows_unprepared<Sql, Out>(
        &mut self,
        text: &str,
        binds: &[Bind<'_>],
    ) -> Result<Vec<Out>, StoreError>
    where
        for<'q> Statement<'q, Sql>: Answers<'q, Out>,
    {
        self.check_time()?;
        let statement = Statement { text, binds, keep: Keep::No, row: PhantomData::<Sql> };
        Ok(dialect::load(self.conn, statement)?)
    }

    /// The only row of a query, if there is one.
    pub(super) fn row<Sql, Out>(
        &mut self,
        text: &str,
        binds: &[Bind<'_>],
    ) -> Result<Option<Out>, StoreError>
    where
        for<'q> Statement<'q, Sql>: Answers<'q, Out>,
    {
        Ok(self.rows::<Sql, Out>(text, binds)?.into_iter().next())
    }

    /// Runs a statement and answers how many rows it changed.
    pub(super) fn execute(&mut self, text: &str, binds: &[Bind<'_>]) -> Result<usize, StoreError> {
        let statement = Statement { text, binds, keep: Keep::Prepared, row: PhantomData::<()> };
        Ok(dialect::execute(self.conn, statement)?)
    }

    /// Inserts rows, whose values stand one after another.
    pub(super) fn insert(
        &mut self,
        insert: Insert<'_>,
        binds: &[Bind<'_>],
    ) -> Result<(), StoreError> {
        for (text, binds) in insert.statements(binds) {
            self.execute(&text, binds)?;
        }
        Ok(())
    }

    /// Inserts rows and answers what the statement returns of them, in no order.
    pub(super) fn insert_returning<Sql, Out>(
        &mut self,
        insert: Insert<'_>,
        binds: &[Bind<'_>],
    ) -> Result<Vec<Out>, StoreError>
    where
        for<'q> Statement<'q, Sql>: Answers<'q, Out>,
    {
        let mut returned = Vec::new();
        for (text, binds) in insert.statements(binds) {
            returned.extend(self.rows::<Sql, Out>(&text, binds)?);
        }
        Ok(returned)
    }
}
