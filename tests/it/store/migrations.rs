//! Migrations come in pairs, lead to the same columns and can be taken back.

use std::collections::BTreeSet;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, SqliteConnection};

use rollbook::store::{Location, migrate, migrate_requests, revert_all};

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
         JOIN pragma_table_info(m.name) c WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite%' \
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
        let database = Database::empty_postgres();
        migrate(&Location::Postgres(database.url())).expect("tables");
        // On SQLite the request records are in a file of their own.
        let requests = folder.path().join("requests.db");
        migrate_requests(&requests).expect("tables");
        let mut sqlite = sqlite_columns(&path);
        sqlite.extend(sqlite_columns(&requests));
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
        let database = Database::empty_postgres();
        there_and_back(&Location::Postgres(database.url()));
    }
}

mod managers_of_existing_users_get_index_entries {
    use diesel::connection::SimpleConnection;
    use diesel::migration::{Migration, MigrationSource};
    use diesel::sql_types::BigInt;
    use diesel_migrations::FileBasedMigrations;

    use super::*;

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    #[derive(QueryableByName, PartialEq, Eq, Debug)]
    struct Entry {
        #[diesel(sql_type = BigInt)]
        resource_key: i64,
        #[diesel(sql_type = Text)]
        key: String,
    }

    const ENTRIES: &str = "SELECT CAST(resource_key AS BIGINT) AS resource_key, key \
         FROM resource_attr WHERE path_id = 3 AND directory_key = 1 AND ordinal = 0 \
         ORDER BY resource_key";

    /// Resources in the order of their keys, with what their manager is; and the entries that they must have.
    fn resources() -> (Vec<(&'static str, String)>, Vec<Entry>) {
        let with = |manager: &str| format!("{{\"{ENTERPRISE}\": {{\"manager\": {manager}}}}}");
        let long = "m".repeat(300);
        let wide = "\u{e9}".repeat(200);
        let resources = vec![
            ("User", with("{\"value\": \"directory_user_01AB\"}")),
            ("User", with("{\"$ref\": \"../Users/1\"}")),
            ("User", "{\"userName\": \"ada\"}".to_owned()),
            ("User", with(&format!("{{\"value\": \"{long}\"}}"))),
            ("User", with(&format!("{{\"value\": \"{wide}\"}}"))),
            ("User", with("{\"value\": \"m\u{fc}ller's\", \"$ref\": \"x\"}")),
            ("Group", with("{\"value\": \"directory_user_01AB\"}")),
        ];
        let entry = |resource_key: i64, key: &str| Entry { resource_key, key: key.to_owned() };
        let entries = vec![
            entry(1, "directory_user_01AB"),
            entry(4, &"m".repeat(256)),
            entry(6, "m\u{fc}ller's"),
        ];
        (resources, entries)
    }

    /// The database as the first migration left it, with these resources.
    fn before() -> String {
        let mut text = String::from(
            "INSERT INTO organization (id, name, created, modified) VALUES ('o', 'O', 0, 0);
             INSERT INTO directory (organization_key, id, external_key, name, kind, state, \
             settings, config, created, modified) \
             VALUES (1, 'd', 'D', 'D', 'scim.generic', 'linked', '{}', '{}', 0, 0);",
        );
        for (key, (resource_type, doc)) in (1..).zip(resources().0) {
            let doc = doc.replace('\'', "''");
            text.push_str(&format!(
                "INSERT INTO resource (directory_key, id, resource_type, active, doc, version, \
                 created, modified) VALUES (1, 'r{key}', '{resource_type}', TRUE, '{doc}', 1, \
                 0, 0);"
            ));
        }
        text
    }

    /// The migrations of that database, oldest first.
    fn migrations<DB: diesel::backend::Backend>(database: &str) -> Vec<Box<dyn Migration<DB>>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(database);
        let source = FileBasedMigrations::from_path(path).expect("the folder");
        let mut all = MigrationSource::<DB>::migrations(&source).expect("migrations");
        all.sort_by_key(|migration| migration.name().to_string());
        all
    }

    #[test]
    fn sqlite() {
        let mut conn = SqliteConnection::establish(":memory:").expect("a database");
        let [first, second, ..] = &migrations("sqlite")[..] else { panic!("two migrations") };
        first.run(&mut conn).expect("the first tables");
        conn.batch_execute(&before()).expect("resources");
        second.run(&mut conn).expect("the second migration");
        let found: Vec<Entry> = diesel::sql_query(ENTRIES).load(&mut conn).expect("entries");
        assert_eq!(found, resources().1);
    }

    #[test]
    fn postgres() {
        let database = Database::empty_postgres();
        let mut conn = PgConnection::establish(&database.url()).expect("the database");
        let [first, second, ..] = &migrations("postgres")[..] else { panic!("two migrations") };
        first.run(&mut conn).expect("the first tables");
        conn.batch_execute(&before()).expect("resources");
        second.run(&mut conn).expect("the second migration");
        let found: Vec<Entry> = diesel::sql_query(ENTRIES).load(&mut conn).expect("entries");
        assert_eq!(found, resources().1);
    }
}
