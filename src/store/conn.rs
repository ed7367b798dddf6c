//! Connections to either database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, RunQueryDsl, SqliteConnection};

use super::error::StoreError;
use super::private;

/// A connection to one of the two databases; every statement is written once for both.
pub(super) enum AnyConn {
    Sqlite(SqliteConnection),
    Pg(PgConnection),
}

/// What the file of a write-ahead log keeps when the log begins anew.
pub(super) const LOG_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    Sqlite(PathBuf),
    /// A connection URL that libpq understands.
    Postgres(String),
}

impl Location {
    /// Reads `sqlite://<path>`, `postgres://…` or `postgresql://…`.
    pub fn parse(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        Err("the database URL must start with sqlite:// or postgres://".to_owned())
    }
}

/// What a SQLite connection is for; it decides the size of its page cache and what a crash may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
    /// Reads on threads that wait for no lock.
    Lookup,
    /// Writes request records: a loss of power may take the last of them, never the file.
    RecordWriter,
}

/// How long a SQLite connection waits for a lock held by another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a SQLite file, and writes nothing to it once it has tables: reads must go on where nothing can be
/// written.
pub(super) fn open_sqlite(path: &Path, role: Role) -> Result<AnyConn, StoreError> {
    let text = path.to_str().ok_or_else(|| {
        StoreError::Unavailable("the path of the database file is not UTF-8".to_owned())
    })?;
    // SQLite gives the log and its index the mode and the owner of the file.
    private::create_missing(path).map_err(|error| {
        StoreError::Unavailable(format!("unable to open database file: {error}"))
    })?;
    let mut conn = SqliteConnection::establish(text)
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let cache_kib = match role {
        Role::Writer => 32 * 1024,
        Role::Reader | Role::Lookup | Role::RecordWriter => 4 * 1024,
    };
    let busy = if role == Role::Lookup { Duration::ZERO } else { BUSY_TIMEOUT };
    let synchronous = if role == Role::RecordWriter { "NORMAL" } else { "FULL" };
    conn.batch_execute(&format!("PRAGMA busy_timeout = {}", busy.as_millis()))?;
    // It takes effect only before there is a page, and commits each time that it is said.
    let pages = diesel::select(sql::<BigInt>("page_count FROM pragma_page_count"));
    if pages.get_result(&mut conn) == Ok(0_i64) {
        conn.batch_execute("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    conn.batch_execute(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = {synchronous};
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = {LOG_FILE_BYTES};
         PRAGMA cache_size = -{cache_kib};",
    ))?;
    Ok(AnyConn::Sqlite(conn))
}

/// How PostgreSQL is to run the statements of this program, all of which go along an index to few rows.
///
/// A table that has grown since it was last analysed counts as small, and a plan that was made for a
/// small table reads all of it and stays until the next ANALYZE: whole tables are therefore not read, not
/// hashed and not kept aside. A plan without values is as good as one with them, and making one for each
/// execution takes longer than the statement. Compiling never pays.
///
/// A process that stands still in the middle of a unit has that undone, and keeps its rows from nobody, before the
/// lease of what it works at is over (20 seconds for a directory that is read). A unit waits for nothing but the
/// database, so between two statements it is never idle for so long.
const SESSION: &str = "SET client_min_messages = warning; SET lock_timeout = '10s'; \
     SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '15s'; \
     SET jit = off; SET enable_seqscan = off; \
     SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; \
     SET plan_cache_mode = force_generic_plan";

/// Opens a connection to PostgreSQL.
pub(super) fn open_postgres(url: &str) -> Result<AnyConn, StoreError> {
    let mut conn = PgConnection::establish(&with_deadlines(url))
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    conn.batch_execute(SESSION)?;
    Ok(AnyConn::Pg(conn))
}

/// Adds what keeps a thread from waiting for a server that does not answer, where the URL is silent.
fn with_deadlines(url: &str) -> String {
    let mut url = url.to_owned();
    for (name, value) in [
        ("connect_timeout", "5"),
        ("keepalives_idle", "10"),
        ("keepalives_interval", "5"),
        ("keepalives_count", "2"),
        ("tcp_user_timeout", "15000"),
    ] {
        if !url.contains(name) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{name}={value}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::Tx;

    fn number(conn: &mut AnyConn, text: &'static str) -> i64 {
        Tx::new(conn).row::<BigInt, i64>(text, &[]).expect("read").expect("a row")
    }

    #[test]
    fn opening_a_file_that_has_tables_commits_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file.db");
        let mut conn = open_sqlite(&path, Role::Writer).expect("opened");
        Tx::new(&mut conn).execute("CREATE TABLE t (n INTEGER)", &[]).expect("made");
        // 2: INCREMENTAL
        assert_eq!(number(&mut conn, "SELECT auto_vacuum FROM pragma_auto_vacuum"), 2);
        let commits = "SELECT data_version FROM pragma_data_version";
        let before = number(&mut conn, commits);
        for role in [Role::Writer, Role::Reader, Role::Lookup, Role::RecordWriter] {
            let mut other = open_sqlite(&path, role).expect("opened");
            assert_eq!(number(&mut other, "SELECT COUNT(*) FROM t"), 0);
            assert_eq!(number(&mut conn, commits), before, "{role:?}");
        }
    }
}
