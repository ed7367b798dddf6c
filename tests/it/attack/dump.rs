//! Every row of one directory and its organization, from every table there is.

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::{PgConnection, QueryableByName, SqliteConnection, sql_query};

use super::names::Names;
use crate::support::TestApp;

/// When somebody was last seen. B's own token moves these when it is tried in a wrong place.
const SIGHTINGS: [&str; 2] = ["last_used", "last_request"];

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// The rows as text, each behind its table's name, in order.
pub(super) fn of(app: &TestApp, names: &Names) -> Vec<String> {
    let url = app.database.url();
    match url.strip_prefix("sqlite://") {
        Some(file) => sqlite(file, names),
        None => postgres(&url, names),
    }
}

/// The first row that is only in one of both.
pub(super) fn difference(before: &[String], after: &[String]) -> Option<String> {
    let lost = before.iter().find(|row| !after.contains(row)).map(|row| format!("lost {row}"));
    let gained = after.iter().find(|row| !before.contains(row)).map(|row| format!("new {row}"));
    let parts: Vec<String> = lost.into_iter().chain(gained).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Which rows of a table count. Tables without a directory count whole.
fn condition(table: &str, has_directory: bool, names: &Names) -> String {
    let organization =
        format!("(SELECT key FROM organization WHERE id = '{}')", names.get("organization"));
    match table {
        "organization" => format!("id = '{}'", names.get("organization")),
        "directory" => format!("organization_key = {organization}"),
        _ if has_directory => {
            let directory =
                format!("SELECT key FROM directory WHERE organization_key = {organization}");
            format!("directory_key IN ({directory})")
        }
        _ => "1 = 1".to_owned(),
    }
}

fn sqlite(file: &str, names: &Names) -> Vec<String> {
    let mut conn = SqliteConnection::establish(file).expect("the file opens");
    let mut lines = |query: &str| -> Vec<String> {
        let rows: Vec<Line> = sql_query(query).load(&mut conn).expect("a query");
        rows.into_iter().map(|row| row.line).collect()
    };
    let tables = lines(
        "SELECT name AS line FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
         ORDER BY name",
    );
    let mut dump = Vec::new();
    for table in tables {
        let columns = lines(&format!("SELECT name AS line FROM pragma_table_info('{table}')"));
        let condition = condition(&table, columns.iter().any(|c| c == "directory_key"), names);
        let shown: Vec<String> = columns
            .iter()
            .filter(|column| !SIGHTINGS.contains(&column.as_str()))
            .map(|column| format!("'{column}=' || quote(\"{column}\")"))
            .collect();
        let row = shown.join(" || ' ' || ");
        let query = format!("SELECT {row} AS line FROM \"{table}\" WHERE {condition} ORDER BY 1");
        dump.extend(lines(&query).into_iter().map(|line| format!("{table}: {line}")));
    }
    dump
}

fn postgres(url: &str, names: &Names) -> Vec<String> {
    let mut conn = PgConnection::establish(url).expect("the database");
    let mut lines = |query: &str| -> Vec<String> {
        let rows: Vec<Line> = sql_query(query).load(&mut conn).expect("a query");
        rows.into_iter().map(|row| row.line).collect()
    };
    let columns = lines(
        "SELECT c.table_name || '.' || c.column_name AS line FROM information_schema.columns c \
         JOIN information_schema.tables t USING (table_schema, table_name) \
         WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' ORDER BY 1",
    );
    let mut tables: Vec<&str> =
        columns.iter().filter_map(|column| Some(column.split_once('.')?.0)).collect();
    tables.dedup();
    let mut dump = Vec::new();
    for table in tables {
        let has_directory = columns.contains(&format!("{table}.directory_key"));
        let condition = condition(table, has_directory, names);
        let hidden: String = SIGHTINGS.iter().map(|column| format!(" - '{column}'")).collect();
        let query = format!(
            "SELECT (to_jsonb(t){hidden})::text AS line FROM \"{table}\" t WHERE {condition} ORDER BY 1"
        );
        dump.extend(lines(&query).into_iter().map(|line| format!("{table}: {line}")));
    }
    dump
}
