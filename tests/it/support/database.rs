//! A database for one test.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel::{Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;

use rollbook::clock::Clock;
use rollbook::store::{Location, migrate};

/// Where a test's data is; gone when the test ends.
pub struct Database {
    pub folder: TempDir,
    /// The admin URL and the name of the database, on PostgreSQL.
    postgres: Option<(String, String)>,
}

impl Database {
    pub fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), postgres: None }
    }

    /// A new database on the server that `tests/postgres` started, with all tables and no rows: a copy
    /// of one that was migrated once, which takes half as long as migrating it.
    pub fn postgres() -> Self {
        Self::on_server(|server| format!(" TEMPLATE {}", server.migrated()))
    }

    /// A new database on that server without tables.
    pub fn empty_postgres() -> Self {
        Self::on_server(|_| String::new())
    }

    fn on_server(clause: impl FnOnce(&mut Server) -> String) -> Self {
        let mut server = Server::connect();
        let name = Clock::system().id("test").to_lowercase();
        let clause = clause(&mut server);
        server.execute(&format!("CREATE DATABASE {name}{clause}"));
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            postgres: Some((server.admin, name)),
        }
    }

    /// Lets PostgreSQL learn about the rows, as it does by itself after a while.
    pub fn analyze(&self) {
        if self.postgres.is_some() {
            let mut conn = PgConnection::establish(&self.url()).expect("the database");
            conn.batch_execute("ANALYZE").expect("statistics");
        }
    }

    /// Runs `work` while nobody else can write: on PostgreSQL to any directory.
    pub fn without_writers<T>(&self, work: impl FnOnce() -> T) -> T {
        fn held<T>(conn: &mut impl SimpleConnection, begin: &str, work: impl FnOnce() -> T) -> T {
            conn.batch_execute(begin).expect("nobody writes");
            let done = work();
            conn.batch_execute("ROLLBACK").expect("writers go on");
            done
        }
        match &self.postgres {
            Some(_) => {
                let mut conn = PgConnection::establish(&self.url()).expect("the database");
                held(&mut conn, "BEGIN; SELECT 1 FROM directory FOR UPDATE", work)
            }
            None => {
                let url = self.url();
                let file = url.strip_prefix("sqlite://").expect("a file");
                let mut conn = SqliteConnection::establish(file).expect("the file opens");
                held(&mut conn, "BEGIN IMMEDIATE", work)
            }
        }
    }

    /// Waits until a session stands before a lock with a statement like that, on PostgreSQL. What the server
    /// does beside may stand before the same lock, sooner than what is meant: a token that was used is noted in
    /// its directory.
    #[track_caller]
    pub fn wait_for_lock_of(&self, statement: &str) {
        let mut conn = PgConnection::establish(&self.url()).expect("the database");
        let query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock' AND query LIKE $1) AS known";
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let waits = diesel::sql_query(query).bind::<Text, _>(statement);
            if waits.get_result::<Known>(&mut conn).expect("the activity").known {
                return;
            }
            assert!(Instant::now() < until, "nobody waits: {statement}");
            std::thread::yield_now();
        }
    }

    /// The URL for `ROLLBOOK_DATABASE_URL`.
    pub fn url(&self) -> String {
        match &self.postgres {
            Some((admin, name)) => url_of(admin, name),
            None => format!("sqlite://{}", self.folder.path().join("test.db").display()),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some((admin, name)) = &self.postgres
            && let Ok(mut conn) = PgConnection::establish(admin)
        {
            let _ = conn.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

fn url_of(admin: &str, name: &str) -> String {
    let (server, _) = admin.rsplit_once('/').expect("the URL names a database");
    format!("{server}/{name}")
}

/// The server that `tests/postgres` started.
struct Server {
    admin: String,
    conn: PgConnection,
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Bool)]
    known: bool,
}

impl Server {
    fn connect() -> Self {
        let admin = std::env::var("ROLLBOOK_TEST_POSTGRES").expect(
            "ROLLBOOK_TEST_POSTGRES names no server; run: tests/postgres run -- cargo nextest run",
        );
        let conn = PgConnection::establish(&admin).expect("the test server answers");
        Self { admin, conn }
    }

    fn execute(&mut self, statement: &str) {
        self.conn.batch_execute(statement).expect("the test server does it");
    }

    fn has(&mut self, name: &str) -> bool {
        let query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1) AS known";
        let found =
            diesel::sql_query(query).bind::<Text, _>(name).get_result::<Known>(&mut self.conn);
        found.expect("the catalogue").known
    }

    /// The name of a database with all tables and no rows. The first test process that asks makes it.
    fn migrated(&mut self) -> String {
        let name = format!("migrated_{:016x}", migrations());
        if !self.has(&name) {
            self.execute("SELECT pg_advisory_lock(1)");
            if !self.has(&name) {
                // Under its last name only when it is whole.
                self.execute(&format!("DROP DATABASE IF EXISTS half_{name}"));
                self.execute(&format!("CREATE DATABASE half_{name}"));
                let url = url_of(&self.admin, &format!("half_{name}"));
                migrate(&Location::Postgres(url)).expect("migrations");
                self.execute(&format!("ALTER DATABASE half_{name} RENAME TO {name}"));
            }
            self.execute("SELECT pg_advisory_unlock(1)");
        }
        name
    }
}

/// Differs where any migration does.
fn migrations() -> u64 {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
    let mut folders: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    folders.sort();
    let mut hasher = DefaultHasher::new();
    for folder in folders {
        folder.hash(&mut hasher);
        std::fs::read_to_string(folder.join("up.sql")).expect("a migration").hash(&mut hasher);
    }
    hasher.finish()
}
