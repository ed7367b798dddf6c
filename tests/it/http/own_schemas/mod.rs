//! The schemas of a directory's own, put and changed through the management API.

mod convert;
mod put;
mod tenancy;
mod under_way;
mod unique;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

const BADGE: &str = "urn:example:params:scim:schemas:extension:Badge";
const TEAM: &str = "urn:example:params:scim:schemas:extension:Team";
const DEVICE: &str = "urn:example:params:scim:schemas:Device";

/// A document with one extension of User.
fn badge(attributes: Value) -> Value {
    json!({
        "schemas": [{"id": BADGE, "attributes": attributes}],
        "resource_types": [{"name": "User", "schemaExtensions": [{"schema": BADGE}]}],
    })
}

/// A document with the type Device at `/Devices`.
fn devices(attributes: Value) -> Value {
    json!({
        "schemas": [{"id": DEVICE, "attributes": attributes}],
        "resource_types": [{"name": "Device", "endpoint": "/Devices", "schema": DEVICE}],
    })
}

/// Where the schemas of the directory with that id are.
fn path_of(directory_id: &str) -> String {
    format!("/api/v1/directories/{directory_id}/schemas")
}

fn put(app: &TestApp, document: Value) -> Answer {
    app.api.put(&path_of(&app.directory.id), document)
}

fn read(app: &TestApp) -> Value {
    app.api.get(&path_of(&app.directory.id)).expect(200).body
}

/// A user with these members more.
fn user_with(user_name: &str, more: Value) -> Value {
    let mut body = json!({"userName": user_name});
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

/// Changes the database behind the server's back, as another process would.
pub(in crate::http) fn execute(app: &TestApp, statements: &str) {
    match app.database.url().strip_prefix("sqlite://") {
        Some(path) => {
            let mut conn = SqliteConnection::establish(path).expect("the file");
            conn.batch_execute("PRAGMA busy_timeout = 5000").expect("a setting");
            conn.batch_execute(statements).expect("statements");
        }
        None => {
            let mut conn = PgConnection::establish(&app.database.url()).expect("the database");
            conn.batch_execute(statements).expect("statements");
        }
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// The one number that the query answers.
fn number(app: &TestApp, query: &str) -> i64 {
    let query = diesel::sql_query(format!("SELECT CAST(({query}) AS BIGINT) AS n"));
    let found: Number = match app.database.url().strip_prefix("sqlite://") {
        Some(path) => query.get_result(&mut SqliteConnection::establish(path).expect("the file")),
        None => {
            let url = app.database.url();
            query.get_result(&mut PgConnection::establish(&url).expect("the database"))
        }
    }
    .expect("a number");
    found.n
}

/// A condition that names the directory of the test, in any table.
fn here(app: &TestApp) -> String {
    format!("directory_key = (SELECT key FROM directory WHERE id = '{}')", app.directory.id)
}
