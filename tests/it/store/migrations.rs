//! Migrations come in pairs, lead to the same columns and can be taken back.

use std::collections::BTreeSet;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, SqliteConnection};

use rollbook::store::{Location, migrate, revert_all};

use crate::support::Database;

fn folders(database: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(database);
    let entries = std::fs::read_dir(path).expect("the folder");
    entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect()
}

#[derive(QueryableByName, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
}

fn sqlite_columns(path: &Path) -> BTreeSet<Column> {
    let mut conn =
        SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("the file opens");
    let rows: Vec<Column> = diesel::sql_query(
        "SELECT m.name AS table_name, c.name AS column_name FROM sqlite_master m \
         JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' \
         AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\'",
    )
    .load(&mut conn)
    .expect("the catalogue");
    rows.into_iter().collect()
}

fn postgres_columns(url: &str) -> BTreeSet<Column> {
    let mut conn = PgConnection::establish(url).expect("the database");
    let rows: Vec<Column> = diesel::sql_query(
        "SELECT CAST(table_name AS TEXT) AS table_name, CAST(column_name AS TEXT) AS column_name \
         FROM information_schema.columns WHERE table_schema = 'public' \
         AND table_name NOT LIKE '\\_\\_%'",
    )
    .load(&mut conn)
    .expect("the catalogue");
    rows.into_iter().collect()
}

#[test]
fn both_databases_have_the_same_migrations() {
    assert_eq!(folders("sqlite"), folders("postgres"));
}

mod both_databases_have_the_same_columns {
    use super::*;

    #[test]
    fn postgres() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("columns.db");
        migrate(&Location::Sqlite(path.clone())).expect("tables");
        let database = Database::postgres();
        migrate(&Location::Postgres(database.url())).expect("tables");
        let sqlite = sqlite_columns(&path);
        assert!(sqlite.len() > 50);
        assert_eq!(sqlite, postgres_columns(&database.url()));
    }
}

mod migrations_can_be_taken_back_and_made_again {
    use super::*;

    fn there_and_back(location: &Location) {
        assert!(!migrate(location).expect("tables").is_empty());
        assert!(migrate(location).expect("nothing to do").is_empty());
        revert_all(location).expect("taken back");
        assert!(!migrate(location).expect("tables again").is_empty());
    }

    #[test]
    fn sqlite() {
        let folder = tempfile::tempdir().expect("a folder");
        there_and_back(&Location::Sqlite(folder.path().join("back.db")));
    }

    #[test]
    fn postgres() {
        let database = Database::postgres();
        there_and_back(&Location::Postgres(database.url()));
    }
}
