//! Request records: what is kept of what clients sent, who finds it, and what a replay says.

mod fields;
mod keeping;
mod redaction;
mod replay;
mod search;

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, SqliteConnection};
use serde_json::{Value, json};

use crate::support::{DirectoryHandle, TestApp};

fn path(directory: &DirectoryHandle) -> String {
    format!("/api/v1/directories/{}/requests", directory.id)
}

/// The records of a directory as a list shows them, newest first.
#[track_caller]
fn listed(app: &TestApp, directory: &DirectoryHandle, query: &str) -> Vec<Value> {
    let answer = app.api.get(&format!("{}?{query}", path(directory))).expect(200);
    answer.body["data"].as_array().expect("a list").clone()
}

/// One record, whole.
#[track_caller]
fn whole(app: &TestApp, directory: &DirectoryHandle, record: &Value) -> Value {
    let id = record["id"].as_str().expect("an id");
    app.api.get(&format!("{}/{id}", path(directory))).expect(200).body
}

/// The newest record of the directory of the test, whole.
#[track_caller]
fn newest(app: &TestApp) -> Value {
    let list = listed(app, &app.directory, "limit=1");
    whole(app, &app.directory, list.first().expect("a record"))
}

/// Puts settings of the directory of the test in place.
#[track_caller]
fn set(app: &TestApp, settings: Value) {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    app.api.patch(&path, json!({"settings": settings})).expect(200);
}

/// The value of a counter at `/metrics`.
fn counter(app: &TestApp, name: &str) -> u64 {
    let base = app.api.get("/metrics").expect(200).text;
    let line = base.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit(' ').next()).expect("the counter").parse().expect("a number")
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Every row of every table, as text by table.
fn dump(app: &TestApp) -> BTreeMap<String, Vec<String>> {
    let url = app.database.url();
    let mut tables = BTreeMap::new();
    match url.strip_prefix("sqlite://") {
        Some(path) => {
            let requests = app.database.folder.path().join("data/requests.db");
            for path in [path, requests.to_str().expect("UTF-8")] {
                dump_sqlite(path, &mut tables);
            }
        }
        None => {
            let mut conn = PgConnection::establish(&url).expect("the database");
            let mut lines = |query: &str| -> Vec<String> {
                let rows: Vec<Line> = diesel::sql_query(query).load(&mut conn).expect("rows");
                rows.into_iter().map(|row| row.line).collect()
            };
            for table in lines(
                "SELECT CAST(table_name AS TEXT) AS line FROM information_schema.tables \
                 WHERE table_schema = 'public'",
            ) {
                let query = format!("SELECT CAST(t AS TEXT) AS line FROM {table} t ORDER BY 1");
                tables.insert(table, lines(&query));
            }
        }
    }
    tables
}

fn dump_sqlite(path: &str, tables: &mut BTreeMap<String, Vec<String>>) {
    let mut conn = SqliteConnection::establish(path).expect("the file");
    let mut lines = |query: &str| -> Vec<String> {
        let rows: Vec<Line> = diesel::sql_query(query).load(&mut conn).expect("rows");
        rows.into_iter().map(|row| row.line).collect()
    };
    for table in lines("SELECT name AS line FROM sqlite_master WHERE type = 'table'") {
        let columns = lines(&format!("SELECT name AS line FROM pragma_table_info('{table}')"));
        let quoted: Vec<String> = columns.iter().map(|name| format!("quote(\"{name}\")")).collect();
        let line = quoted.join(" || ' ' || ");
        let rows = lines(&format!("SELECT {line} AS line FROM \"{table}\" ORDER BY 1"));
        tables.insert(table, rows);
    }
}
