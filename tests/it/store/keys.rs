//! Rows of a directory can be spread over machines by directory: the catalogue of both databases says
//! that every primary and unique key of their tables contains `directory_key`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::{PgConnection, SqliteConnection};

use rollbook::store::{Location, migrate, migrate_requests};

use crate::support::Database;

/// Tables whose rows belong to no directory, each with its reason.
const OF_NO_DIRECTORY: [(&str, &str); 26] = [
    ("__diesel_schema_migrations", "which migrations were applied"),
    ("setting", "what the database knows of itself"),
    ("organization", "owns directories"),
    ("directory", "is what the others belong to; the only look-up of a directory by its id"),
    ("organization_domain", "belongs to an organization"),
    ("organization_identity", "belongs to an organization"),
    ("identity", "a person, who may be in several directories of an organization"),
    ("identity_alias", "belongs to an identity"),
    ("api_key", "opens organizations"),
    ("idempotent_request", "belongs to an API key"),
    ("event_sequencer", "one row: where the log of all directories ends"),
    ("consumer", "reads the log of all directories"),
    ("portal_link", "opens an organization"),
    ("admin", "may see every organization"),
    ("admin_session", "belongs to an administrator"),
    ("admin_link", "makes an administrator, or belongs to one"),
    ("webhook_endpoint", "gets events of all directories"),
    ("webhook_attempt", "belongs to an endpoint"),
    ("webhook_parked", "belongs to an endpoint"),
    ("webhook_replay", "belongs to an endpoint"),
    ("ssf_stream", "gets events of all directories"),
    ("ssf_removed_subject", "belongs to a stream"),
    ("signing_key", "signs for all directories"),
    ("sample", "is a number of the whole installation"),
    ("audit", "tells of what belongs to no directory, and stays when one is gone"),
    ("audit_forget", "names deleted organizations"),
];

/// Keys without the directory in tables whose rows belong to one, each with its reason.
const WITHOUT: [(&str, &str); 3] = [
    ("sqlite resource (key)", "the row id of SQLite, which is one machine"),
    ("sqlite event (key)", "the row id of SQLite, which is one machine"),
    ("sqlite event_held (key)", "the row id of SQLite, which is one machine"),
];

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    name: String,
    /// Of a key: its columns with commas between them.
    #[diesel(sql_type = Text)]
    columns: String,
}

/// Primary and unique keys of every table. The row id of SQLite is a primary key without an index.
const SQLITE: &str = "\
    SELECT t.name AS name, COALESCE(( \
        SELECT group_concat(i.name, ',') FROM pragma_index_info(l.name) i), '') AS columns \
    FROM sqlite_schema t JOIN pragma_index_list(t.name) l ON l.\"unique\" = 1 \
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' \
    UNION ALL \
    SELECT t.name, group_concat(c.name, ',') \
    FROM sqlite_schema t JOIN pragma_table_info(t.name) c ON c.pk > 0 \
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' GROUP BY t.name";

const POSTGRES: &str = "\
    SELECT CAST(t.relname AS TEXT) AS name, string_agg(CAST(a.attname AS TEXT), ',') AS columns \
    FROM pg_index i \
    JOIN pg_class t ON t.oid = i.indrelid \
    JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname = 'public' \
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY (i.indkey) \
    WHERE i.indisunique GROUP BY t.relname, i.indexrelid";

const SQLITE_TABLES: &str = "SELECT name, '' AS columns FROM sqlite_schema \
    WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";

const POSTGRES_TABLES: &str = "SELECT CAST(tablename AS TEXT) AS name, '' AS columns FROM pg_tables \
    WHERE schemaname = 'public'";

/// Keys by table; a table without one is there with none.
fn by_table(tables: Vec<Row>, keys: Vec<Row>) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> =
        tables.into_iter().map(|row| (row.name, BTreeSet::new())).collect();
    for key in keys {
        all.entry(key.name).or_default().insert(key.columns);
    }
    assert!(all.len() > 12, "the catalogue was read: {all:?}");
    all
}

fn of_sqlite(path: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut conn =
        SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("the file opens");
    let tables = diesel::sql_query(SQLITE_TABLES).load(&mut conn).expect("tables");
    by_table(tables, diesel::sql_query(SQLITE).load(&mut conn).expect("keys"))
}

fn of_postgres(url: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut conn = PgConnection::establish(url).expect("the database");
    let tables = diesel::sql_query(POSTGRES_TABLES).load(&mut conn).expect("tables");
    by_table(tables, diesel::sql_query(POSTGRES).load(&mut conn).expect("keys"))
}

/// Every key without the directory, and every table without a key.
fn faults(database: &str, tables: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (table, keys) in tables {
        if OF_NO_DIRECTORY.iter().any(|(known, _)| known == table) {
            continue;
        }
        if keys.is_empty() {
            wrong.push(format!("{database} {table} has no key"));
        }
        for key in keys {
            let name = format!("{database} {table} ({key})");
            let has_directory = key.split(',').any(|column| column == "directory_key");
            if !has_directory && !WITHOUT.iter().any(|(known, _)| *known == name) {
                wrong.push(format!("{name} does not contain directory_key"));
            }
        }
    }
    wrong
}

mod every_key_of_a_row_of_a_directory_contains_it {
    use super::*;

    #[test]
    fn sqlite() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.db");
        migrate(&Location::Sqlite(path.clone())).expect("tables");
        let requests = folder.path().join("requests.db");
        migrate_requests(&requests).expect("tables");
        let mut tables = of_sqlite(&path);
        let mut conn =
            SqliteConnection::establish(requests.to_str().expect("UTF-8")).expect("the file opens");
        let keys: Vec<Row> = diesel::sql_query(SQLITE).load(&mut conn).expect("keys");
        for key in keys {
            tables.entry(key.name).or_default().insert(key.columns);
        }
        assert!(tables.contains_key("request_record"));
        assert_eq!(faults("sqlite", &tables), [""; 0]);
    }

    #[test]
    fn postgres() {
        let database = Database::postgres();
        migrate(&Location::Postgres(database.url())).expect("tables");
        let tables = of_postgres(&database.url());
        assert_eq!(faults("postgres", &tables), [""; 0]);
        // What is listed is there: an exception does not outlive its table.
        for (table, _) in OF_NO_DIRECTORY {
            assert!(tables.contains_key(table), "{table}");
        }
    }
}
