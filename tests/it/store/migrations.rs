//! Migrations come in pairs, lead to the same columns and can be taken back.

use std::collections::BTreeSet;
use std::path::Path;

use diesel::backend::Backend;
use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};
use diesel::{Connection, PgConnection, SqliteConnection, declare_sql_function};
use diesel_migrations::FileBasedMigrations;

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
        // The data of an event is packed on SQLite alone: PostgreSQL finds the user of a membership in it.
        let member = Column { table_name: "event".to_owned(), column_name: "member_id".to_owned() };
        assert!(sqlite.remove(&member), "{member:?}");
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

/// The migrations of that database, oldest first.
fn migrations<DB: Backend>(database: &str) -> Vec<Box<dyn Migration<DB>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(database);
    let source = FileBasedMigrations::from_path(path).expect("the folder");
    let mut all = MigrationSource::<DB>::migrations(&source).expect("migrations");
    all.sort_by_key(|migration| migration.name().to_string());
    all
}

mod events_of_earlier_versions_stay {
    use diesel::deserialize::QueryableByName;
    use diesel::sqlite::Sqlite;
    use diesel_migrations::MigrationHarness;
    use rollbook::store::packed::{pack, unpack};
    use rollbook::store::{LaneSizes, ListRange, RangeFrom, Store, StoreError};

    use super::*;

    #[declare_sql_function]
    extern "SQL" {
        fn event_text(data: Binary) -> Nullable<Text>;
    }

    #[derive(QueryableByName, PartialEq, Eq, Debug)]
    struct Event {
        #[diesel(sql_type = Text)]
        id: String,
        #[diesel(sql_type = Text)]
        data: String,
    }

    const ADDED: &str = r#"{"directory_id":"d","user":{"id":"u1"},"group":{"id":"g1"}}"#;

    /// Events as the version before packing wrote them.
    const OLD: &str = r#"INSERT INTO event (directory_key, id, event, resource_id, data, created) VALUES
        (1, 'event_1', 'dsync.user.created', 'u1', '{"id":"u1"}', 1),
        (1, 'event_2', 'dsync.group.user_added', 'g1',
            '{"directory_id":"d","user":{"id":"u1"},"group":{"id":"g1"}}', 2),
        (1, 'event_3', 'dsync.group.user_added', 'g1',
            '{"directory_id":"d","user":{"id":"u2"},"group":{"id":"g1"}}', 3)"#;

    /// A file as the version before packing left it, and the migration that follows.
    fn before(path: &Path) -> (SqliteConnection, Box<dyn Migration<Sqlite>>) {
        let mut conn = SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("a file");
        conn.applied_migrations().expect("the table of migrations");
        for migration in migrations::<Sqlite>("sqlite") {
            if migration.name().to_string() == "0038_packed_events" {
                conn.batch_execute(OLD).expect("events");
                return (conn, migration);
            }
            conn.run_migration(&*migration).expect("tables");
        }
        panic!("there is no such migration");
    }

    #[test]
    fn and_are_read_as_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("old.db");
        drop(before(&path));
        let location = Location::Sqlite(path);
        migrate(&location).expect("the newest tables");
        let store = Store::open(&location, LaneSizes::default()).expect("a store");
        let read = store.read("events", |tx| {
            let range = ListRange { from: RangeFrom::Newest, limit: 10 };
            Ok::<_, StoreError>((tx.event_list(1, 0, 10)?, tx.told_list("u1", &range)?))
        });
        let (events, told) = actix_web::rt::System::new().block_on(read).expect("events");
        let texts: Vec<&str> = events.iter().map(|event| event.data.as_str()).collect();
        assert_eq!(texts, [r#"{"id":"u1"}"#, ADDED, &ADDED.replace("u1", "u2")]);
        let told: Vec<(&str, &str)> =
            told.iter().map(|event| (event.id.as_str(), event.data.as_str())).collect();
        assert_eq!(told, [("event_2", ADDED), ("event_1", r#"{"id":"u1"}"#)]);
    }

    #[test]
    fn and_those_that_were_packed_are_texts_again_on_the_way_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut conn, migration) = before(&folder.path().join("back.db"));
        migration.run(&mut conn).expect("the column");
        let data = ADDED.replace("g1", "g2");
        diesel::sql_query(
            "INSERT INTO event (directory_key, id, event, resource_id, data, created, member_id) \
             VALUES (1, 'event_4', 'dsync.group.user_added', 'g2', ?, 4, 'u1')",
        )
        .bind::<Binary, _>(pack(&data))
        .execute(&mut conn)
        .expect("a packed event");
        // Without the program's function nothing is lost.
        assert!(migration.revert(&mut conn).is_err());
        event_text_utils::register_impl(&mut conn, |data: Vec<u8>| unpack(data).ok())
            .expect("a function");
        migration.revert(&mut conn).expect("taken back");
        let of_user = "SELECT id, data FROM event WHERE json_extract(data, '$.user.id') = 'u1' \
             AND event IN ('dsync.group.user_added', 'dsync.group.user_removed') ORDER BY id";
        let found: Vec<Event> = diesel::sql_query(of_user).load(&mut conn).expect("events");
        let event = |id: &str, data: &str| Event { id: id.to_owned(), data: data.to_owned() };
        assert_eq!(found, [event("event_2", ADDED), event("event_4", &data)]);
    }
}

mod managers_of_existing_users_get_index_entries {
    use diesel::sql_types::BigInt;

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
