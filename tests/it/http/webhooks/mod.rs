//! Webhooks: endpoints as apps and operators manage them, and what a receiver gets.

/// Makes `name::sqlite` and `name::postgres` of each function, with a server that may call this machine.
macro_rules! with_receivers {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[test]
            fn sqlite() {
                super::$name(&$crate::http::webhooks::start($crate::support::Database::sqlite()));
            }

            #[test]
            fn postgres() {
                super::$name(&$crate::http::webhooks::start($crate::support::Database::postgres()));
            }
        })*
    };
}

mod delivery;
mod endpoints;
mod failures;
mod heavy;
mod lanes;
mod native;
mod replays;

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde_json::{Value, json};

use crate::support::{Client, Database, Receiver, TestApp};

const PATH: &str = "/api/v1/webhook_endpoints";

fn start(database: Database) -> TestApp {
    TestApp::start_with(database, |config| {
        config.outbound_networks = vec!["127.0.0.0/8".parse().expect("a network")];
        config.webhook_timeout = 1;
    })
}

/// An endpoint for these events at the receiver: its id and its secret.
#[track_caller]
fn endpoint(app: &TestApp, receiver: &Receiver, events: &[&str]) -> (String, String) {
    // On PostgreSQL what happened a moment ago gets its position now: that is not for this endpoint.
    app.settle_events();
    let body = json!({"endpoint_url": receiver.url, "events": events});
    let made = app.api.post(PATH, body).expect(201);
    (made.id(), made.body["secret"].as_str().expect("a secret").to_owned())
}

fn shown(app: &TestApp, id: &str) -> Value {
    app.api.get(&format!("{PATH}/{id}")).expect(200).body
}

/// Asks until the endpoint is like that, and gives it.
#[track_caller]
fn wait_until(app: &TestApp, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    wait_for(app, id, Duration::from_secs(30), is_so)
}

#[track_caller]
fn wait_for(app: &TestApp, id: &str, patience: Duration, is_so: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let endpoint = shown(app, id);
        if is_so(&endpoint) {
            return endpoint;
        }
        assert!(since.elapsed() < patience, "{endpoint}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Creates users with these names.
fn people(scim: &Client, names: &[&str]) -> Vec<String> {
    names
        .iter()
        .map(|name| scim.post("/Users", crate::support::user(name)).expect(201).id())
        .collect()
}

/// The names of the users that deliveries are about.
fn names(deliveries: &[crate::support::Delivery]) -> Vec<String> {
    deliveries.iter().map(crate::support::Delivery::user_name).collect()
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}

/// What is in the database.
fn raw(app: &TestApp, query: &str) -> Vec<String> {
    let url = app.database.url();
    let rows: Vec<Line> = match url.strip_prefix("sqlite://") {
        Some(file) => {
            let mut conn = SqliteConnection::establish(file).expect("the file opens");
            diesel::sql_query(query).load(&mut conn).expect("a query")
        }
        None => {
            let mut conn = PgConnection::establish(&url).expect("the database");
            diesel::sql_query(query).load(&mut conn).expect("a query")
        }
    };
    rows.into_iter().map(|row| row.text).collect()
}

/// Changes what is in the database.
fn execute(app: &TestApp, statement: &str) {
    let url = app.database.url();
    match url.strip_prefix("sqlite://") {
        Some(file) => {
            let mut conn = SqliteConnection::establish(file).expect("the file opens");
            let patient = format!("PRAGMA busy_timeout = 10000; {statement}");
            conn.batch_execute(&patient).expect("a statement");
        }
        None => {
            let mut conn = PgConnection::establish(&url).expect("the database");
            conn.batch_execute(statement).expect("a statement");
        }
    }
}
