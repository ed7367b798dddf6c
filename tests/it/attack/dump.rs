//! Every row of one directory and its organization, from every table there is.

use diesel::prelude::*;
use diesel::query_dsl::LoadQuery;
use diesel::sql_types::Text;
use diesel::{PgConnection, QueryableByName, SqliteConnection, sql_query};

use super::names::Names;
use crate::support::TestApp;

/// When somebody was last seen. B's own token moves these when it is tried in a wrong place.
const SIGHTINGS: [&str; 3] = ["last_used", "last_request", "longest_silence"];

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// The rows as text, each behind its table's name, in order.
pub(super) fn of(app: &TestApp, names: &Names) -> Vec<String> {
    // What was asked is written a little later.
    let service = app.service().clone();
    app.wait(async move {
        service.flush_records().await;
        service.sequence_all_events().await.expect("events get their positions");
    });
    let organization = format!("id = '{}'", names.get("organization"));
    let url = app.database.url();
    let Some(file) = url.strip_prefix("sqlite://") else {
        return postgres(&url, &organization);
    };
    let keys = format!(
        "SELECT CAST(key AS TEXT) AS line FROM directory WHERE organization_key = \
         (SELECT key FROM organization WHERE {organization})"
    );
    let keys = lines(&mut sqlite_connection(file), &keys).join(", ");
    let mut dump = sqlite(file, &organization, &keys);
    // Request records are in a file of their own.
    let requests = app.database.folder.path().join("data/requests.db");
    dump.extend(sqlite(requests.to_str().expect("UTF-8"), &organization, &keys));
    dump
}

/// The first row that is only in one of both.
pub(super) fn difference(before: &[String], after: &[String]) -> Option<String> {
    let lost = before.iter().find(|row| !after.contains(row)).map(|row| format!("lost {row}"));
    let gained = after.iter().find(|row| !before.contains(row)).map(|row| format!("new {row}"));
    let parts: Vec<String> = lost.into_iter().chain(gained).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Which rows of a table count. Tables without a directory count whole.
fn condition(table: &str, has_directory: bool, organization: &str, keys: &str) -> String {
    match table {
        "organization" => organization.to_owned(),
        "directory" => format!("key IN ({keys})"),
        // The events count; their places in the log of all are given a moment later.
        // Samples count what everybody asks for.
        "event_sequencer" | "event_position" | "sample" => "1 = 0".to_owned(),
        "portal_link" => {
            format!("organization_key = (SELECT o.key FROM organization o WHERE o.{organization})")
        }
        "consumer" => format!(
            "owner LIKE '%' || (SELECT o.id FROM organization o WHERE o.{organization}) || '%'"
        ),
        "organization_identity" | "identity" | "identity_alias" => {
            format!("organization_key = (SELECT o.key FROM organization o WHERE o.{organization})")
        }
        "audit" | "audit_forget" => {
            format!("organization_id = (SELECT o.id FROM organization o WHERE o.{organization})")
        }
        "webhook_endpoint" => {
            format!(
                "scope LIKE '%' || (SELECT o.id FROM organization o WHERE o.{organization}) || '%'"
            )
        }
        "webhook_attempt" | "webhook_parked" | "webhook_replay" => format!(
            "endpoint_id IN (SELECT w.id FROM webhook_endpoint w WHERE w.scope LIKE '%' || \
             (SELECT o.id FROM organization o WHERE o.{organization}) || '%')"
        ),
        "ssf_stream" => {
            format!(
                "scope LIKE '%' || (SELECT o.id FROM organization o WHERE o.{organization}) || '%'"
            )
        }
        "ssf_removed_subject" => format!(
            "stream_id IN (SELECT s.id FROM ssf_stream s WHERE s.scope LIKE '%' || \
             (SELECT o.id FROM organization o WHERE o.{organization}) || '%')"
        ),
        _ if has_directory => format!("directory_key IN ({keys})"),
        _ => "1 = 1".to_owned(),
    }
}

fn sqlite_connection(file: &str) -> SqliteConnection {
    SqliteConnection::establish(file).expect("the file opens")
}

fn lines<C>(conn: &mut C, query: &str) -> Vec<String>
where
    C: Connection,
    diesel::query_builder::SqlQuery: for<'q> LoadQuery<'q, C, Line>,
{
    let rows: Vec<Line> = sql_query(query).load(conn).expect("a query");
    rows.into_iter().map(|row| row.line).collect()
}

fn sqlite(file: &str, organization: &str, keys: &str) -> Vec<String> {
    let mut conn = sqlite_connection(file);
    let tables = lines(
        &mut conn,
        "SELECT name AS line FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
         ORDER BY name",
    );
    let mut dump = Vec::new();
    for table in tables {
        let names = format!("SELECT name AS line FROM pragma_table_info('{table}')");
        let columns = lines(&mut conn, &names);
        let has_directory = columns.iter().any(|column| column == "directory_key");
        let condition = condition(&table, has_directory, organization, keys);
        let shown: Vec<String> = columns
            .iter()
            .filter(|column| !SIGHTINGS.contains(&column.as_str()))
            .map(|column| format!("'{column}=' || quote(\"{column}\")"))
            .collect();
        let row = shown.join(" || ' ' || ");
        let query = format!("SELECT {row} AS line FROM \"{table}\" WHERE {condition} ORDER BY 1");
        dump.extend(lines(&mut conn, &query).into_iter().map(|line| format!("{table}: {line}")));
    }
    dump
}

fn postgres(url: &str, organization: &str) -> Vec<String> {
    let mut conn = PgConnection::establish(url).expect("the database");
    let keys = format!(
        "SELECT key FROM directory WHERE organization_key = \
         (SELECT key FROM organization WHERE {organization})"
    );
    let columns = lines(
        &mut conn,
        "SELECT c.table_name || '.' || c.column_name AS line FROM information_schema.columns c \
         JOIN information_schema.tables t USING (table_schema, table_name) \
         WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' ORDER BY 1",
    );
    let mut tables: Vec<&str> =
        columns.iter().filter_map(|column| Some(column.split_once('.')?.0)).collect();
    tables.dedup();
    let hidden: String = SIGHTINGS.iter().map(|column| format!(" - '{column}'")).collect();
    let mut dump = Vec::new();
    for table in tables {
        let has_directory = columns.contains(&format!("{table}.directory_key"));
        let condition = condition(table, has_directory, organization, &keys);
        let query = format!(
            "SELECT (to_jsonb(t){hidden})::text AS line FROM \"{table}\" t WHERE {condition} ORDER BY 1"
        );
        dump.extend(lines(&mut conn, &query).into_iter().map(|line| format!("{table}: {line}")));
    }
    dump
}
