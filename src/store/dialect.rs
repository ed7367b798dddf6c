//! What differs between the two databases. The only place that asks which one a connection is.

use diesel::backend::Backend;
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::migration::MigrationSource;
use diesel::result::QueryResult;
use diesel::sql_types::Binary;
use diesel::{PgConnection, RunQueryDsl, SqliteConnection, declare_sql_function};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::conn::AnyConn;
use super::packed::unpack;
use super::sql::{Answers, Statement};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
/// The tables of `requests.db`, which SQLite keeps beside the database.
const REQUESTS: EmbeddedMigrations = embed_migrations!("migrations/requests");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    pub(super) fn of(conn: &AnyConn) -> Self {
        match conn {
            AnyConn::Sqlite(_) => Self::Sqlite,
            AnyConn::Pg(_) => Self::Postgres,
        }
    }

    /// The text for this database.
    pub(super) fn pick<'t>(self, sqlite: &'t str, postgres: &'t str) -> &'t str {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }
}

/// All rows of a query.
pub(super) fn load<'q, Sql, Out>(
    conn: &mut AnyConn,
    statement: Statement<'q, Sql>,
) -> QueryResult<Vec<Out>>
where
    Statement<'q, Sql>: Answers<'q, Out>,
{
    match conn {
        AnyConn::Sqlite(inner) => statement.load(inner),
        AnyConn::Pg(inner) => statement.load(inner),
    }
}

/// Runs a statement and answers how many rows it changed.
pub(super) fn execute(conn: &mut AnyConn, statement: Statement<'_, ()>) -> QueryResult<usize> {
    match conn {
        AnyConn::Sqlite(inner) => statement.execute(inner),
        AnyConn::Pg(inner) => statement.execute(inner),
    }
}

/// Runs statements that have no values.
pub(super) fn run(conn: &mut AnyConn, text: &str) -> QueryResult<()> {
    match conn {
        AnyConn::Sqlite(inner) => inner.batch_execute(text),
        AnyConn::Pg(inner) => inner.batch_execute(text),
    }
}

/// Starts a transaction that may write. SQLite takes the write lock at once, so that the first
/// statement decides about waiting and none fails in the middle.
pub(super) fn begin_write(conn: &mut AnyConn) -> QueryResult<()> {
    match conn {
        AnyConn::Sqlite(inner) => prepared(inner, "BEGIN IMMEDIATE"),
        AnyConn::Pg(inner) => AnsiTransactionManager::begin_transaction_sql(inner, "BEGIN"),
    }
}

/// Starts a transaction in which every statement sees the same state. On PostgreSQL the values of a
/// statement may decide its plan here: a filter can select few rows of a directory or most of them.
pub(super) fn begin_snapshot(conn: &mut AnyConn) -> QueryResult<()> {
    match conn {
        AnyConn::Sqlite(inner) => prepared(inner, "BEGIN"),
        AnyConn::Pg(inner) => AnsiTransactionManager::begin_transaction_sql(
            inner,
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL plan_cache_mode = auto",
        ),
    }
}

/// Commits the transaction.
pub(super) fn commit(conn: &mut AnyConn) -> QueryResult<()> {
    match conn {
        AnyConn::Sqlite(inner) => prepared(inner, "COMMIT"),
        AnyConn::Pg(inner) => AnsiTransactionManager::commit_transaction(inner),
    }
}

/// Rolls the transaction back.
pub(super) fn rollback(conn: &mut AnyConn) -> QueryResult<()> {
    match conn {
        AnyConn::Sqlite(inner) => prepared(inner, "ROLLBACK"),
        AnyConn::Pg(inner) => AnsiTransactionManager::rollback_transaction(inner),
    }
}

/// Starts a savepoint inside the open transaction or savepoint.
pub(super) fn begin_savepoint(conn: &mut AnyConn) -> QueryResult<()> {
    match conn {
        AnyConn::Sqlite(inner) => prepared(inner, "SAVEPOINT part"),
        AnyConn::Pg(inner) => AnsiTransactionManager::begin_transaction(inner),
    }
}

/// Ends the innermost savepoint; what was done since stands.
pub(super) fn release(conn: &mut AnyConn) -> QueryResult<()> {
    match conn {
        AnyConn::Sqlite(inner) => prepared(inner, "RELEASE part"),
        AnyConn::Pg(inner) => AnsiTransactionManager::commit_transaction(inner),
    }
}

/// Ends the innermost savepoint and undoes what was done since.
pub(super) fn undo(conn: &mut AnyConn) -> QueryResult<()> {
    match conn {
        AnyConn::Sqlite(inner) => {
            prepared(inner, "ROLLBACK TO part")?;
            prepared(inner, "RELEASE part")
        }
        AnyConn::Pg(inner) => AnsiTransactionManager::rollback_transaction(inner),
    }
}

/// Every unit is between two of these: parsing them anew took a tenth of a small unit's instructions.
fn prepared(conn: &mut SqliteConnection, text: &'static str) -> QueryResult<()> {
    Statement::<()>::fixed(text).execute(conn).map(drop)
}

/// Brings the tables to the newest version. On PostgreSQL an advisory lock lets one process do it.
pub(super) fn migrate(conn: &mut AnyConn) -> Result<Vec<String>, String> {
    match conn {
        AnyConn::Sqlite(inner) => run_sqlite(inner, SQLITE),
        AnyConn::Pg(inner) => {
            let lock = |inner: &mut PgConnection, call: &str| {
                inner.batch_execute(call).map_err(|error| error.to_string())
            };
            // A migration may take long, and so may waiting for the one of another process.
            lock(inner, "SET lock_timeout = 0; SET statement_timeout = 0")?;
            lock(inner, "SELECT pg_advisory_lock(7226350173411265)")?;
            let applied = run_postgres(inner);
            lock(inner, "SELECT pg_advisory_unlock(7226350173411265)")?;
            applied
        }
    }
}

/// Brings the tables of a file of request records to the newest version.
pub(super) fn migrate_requests(conn: &mut AnyConn) -> Result<Vec<String>, String> {
    match conn {
        AnyConn::Sqlite(inner) => run_sqlite(inner, REQUESTS),
        AnyConn::Pg(_) => Ok(Vec::new()),
    }
}

fn run_sqlite(
    conn: &mut SqliteConnection,
    migrations: EmbeddedMigrations,
) -> Result<Vec<String>, String> {
    let applied = conn.run_pending_migrations(migrations).map_err(|error| error.to_string())?;
    Ok(applied.iter().map(ToString::to_string).collect())
}

fn run_postgres(conn: &mut PgConnection) -> Result<Vec<String>, String> {
    let applied = conn.run_pending_migrations(POSTGRES).map_err(|error| error.to_string())?;
    Ok(applied.iter().map(ToString::to_string).collect())
}

#[declare_sql_function]
extern "SQL" {
    /// The text of an event, for the migration that takes packing back; NULL, which the column does not
    /// take, where it is damaged.
    fn event_text(data: Binary) -> Nullable<Text>;
}

/// Takes every migration back, newest first.
pub(super) fn revert_all(conn: &mut AnyConn) -> Result<(), String> {
    match conn {
        AnyConn::Sqlite(inner) => {
            event_text_utils::register_impl(inner, |data: Vec<u8>| unpack(data).ok())
                .map_err(|error| error.to_string())?;
            inner.revert_all_migrations(SQLITE)
        }
        AnyConn::Pg(inner) => inner.revert_all_migrations(POSTGRES),
    }
    .map(|_| ())
    .map_err(|error| error.to_string())
}

/// How the tables stand to those of this version.
pub(super) struct Versions {
    pub(super) applied: Vec<String>,
    /// Names of migrations that are not applied yet.
    pub(super) missing: Vec<String>,
    /// Numbers of migrations that this version does not have.
    pub(super) unknown: Vec<String>,
}

pub(super) fn versions(conn: &mut AnyConn) -> Result<Versions, String> {
    match conn {
        AnyConn::Sqlite(inner) => versions_of(inner, SQLITE),
        AnyConn::Pg(inner) => versions_of(inner, POSTGRES),
    }
}

fn versions_of<DB: Backend>(
    conn: &mut impl MigrationHarness<DB>,
    migrations: EmbeddedMigrations,
) -> Result<Versions, String>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let text = |error: Box<dyn std::error::Error + Send + Sync>| error.to_string();
    let known: Vec<String> = MigrationSource::<DB>::migrations(&migrations)
        .map_err(text)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let pending = conn.pending_migrations(migrations).map_err(text)?;
    let mut applied: Vec<String> =
        conn.applied_migrations().map_err(text)?.iter().map(ToString::to_string).collect();
    applied.sort_unstable();
    let unknown = applied.iter().filter(|version| !known.contains(version)).cloned().collect();
    let mut missing: Vec<String> =
        pending.iter().map(|migration| migration.name().to_string()).collect();
    missing.sort_unstable();
    Ok(Versions { applied, missing, unknown })
}
