//! An empty database for one test.

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use tempfile::TempDir;

use rollbook::clock::Clock;

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

    /// A new database on the server that `tests/postgres` started.
    pub fn postgres() -> Self {
        let admin = std::env::var("ROLLBOOK_TEST_POSTGRES").expect(
            "ROLLBOOK_TEST_POSTGRES names no server; run: tests/postgres run -- cargo nextest run",
        );
        let name = Clock::system().id("test").to_lowercase();
        let mut conn = PgConnection::establish(&admin).expect("the test server answers");
        conn.batch_execute(&format!("CREATE DATABASE {name}")).expect("a new database");
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            postgres: Some((admin, name)),
        }
    }

    /// Lets PostgreSQL learn about the rows, as it does by itself after a while.
    pub fn analyze(&self) {
        if self.postgres.is_some() {
            let mut conn = PgConnection::establish(&self.url()).expect("the database");
            conn.batch_execute("ANALYZE").expect("statistics");
        }
    }

    /// The URL for `ROLLBOOK_DATABASE_URL`.
    pub fn url(&self) -> String {
        match &self.postgres {
            Some((admin, name)) => {
                let (server, _) = admin.rsplit_once('/').expect("the URL names a database");
                format!("{server}/{name}")
            }
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
