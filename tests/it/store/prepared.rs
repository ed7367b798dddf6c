//! Statements are prepared once for a connection, and SQLite is compiled in as the lanes need it.

use std::sync::{Mutex, PoisonError};

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::json;

use crate::support::{Database, TestApp, group, patch, user};

/// Statements that were prepared to be kept, of connections opened after the listener was set.
static PREPARED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn listener() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::CacheQuery { sql, .. } = event {
            PREPARED.lock().unwrap_or_else(PoisonError::into_inner).push(sql.to_owned());
        }
    }))
}

fn prepared() -> Vec<String> {
    std::mem::take(&mut *PREPARED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What providers do most, one after the other, so that one connection reads.
fn round(app: &TestApp, name: &str) {
    let scim = &app.scim;
    let user_name = format!("{name}@example.com");
    let id = scim.post("/Users", user(&user_name)).expect(201).id();
    let path = format!("/Users/{id}");
    let member = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
    // Members are read in a lane, whose threads prepare each its own.
    let team = scim.post("/Groups?attributes=id", group(name, &[])).expect(201).id();
    scim.patch(&format!("/Groups/{team}?attributes=id"), patch(member)).expect(200);
    scim.get(&path).expect(200);
    scim.get(&format!("/Users?filter=userName%20eq%20%22{user_name}%22")).expect(200);
    let title = json!([{"op": "replace", "path": "title", "value": name}]);
    scim.patch(&path, patch(title)).expect(200);
}

#[test]
fn second_round_of_requests_prepares_nothing() {
    set_default_instrumentation(listener).expect("no other listener");
    let app = TestApp::start(Database::sqlite());
    round(&app, "ada");
    let about = ["resource", "member", "event", "directory_token"];
    // What is done beside the requests is done now and then, in whichever lane.
    let beside = [
        "event_sequencer",
        "FROM member_intent ORDER BY",
        "DELETE FROM member_pending",
        "attribute_faults IS NOT NULL",
    ];
    let hot = |text: &String| {
        about.iter().any(|table| text.contains(&format!(" {table}")))
            && !beside.iter().any(|work| text.contains(work))
    };
    let first: Vec<String> = prepared().into_iter().filter(hot).collect();
    assert!(first.len() > 10, "{first:#?}");
    // What the process does beside for the first time can only add to what a round prepares.
    let again = ["ben", "eve", "ian"].map(|name| {
        round(&app, name);
        prepared().into_iter().filter(hot).collect::<Vec<String>>()
    });
    let least = again.into_iter().min_by_key(Vec::len);
    assert_eq!(least, Some(Vec::new()));
}

#[derive(QueryableByName)]
struct CompileOption {
    #[diesel(sql_type = Text)]
    compile_options: String,
}

/// See `.cargo/config.toml`.
#[test]
fn plans_do_not_depend_on_bound_values() {
    let mut conn = SqliteConnection::establish(":memory:").expect("a connection");
    let rows: Vec<CompileOption> =
        diesel::sql_query("PRAGMA compile_options").load(&mut conn).expect("options");
    let options: Vec<&str> = rows.iter().map(|row| row.compile_options.as_str()).collect();
    for wanted in ["ENABLE_QPSG", "THREADSAFE=2", "DEFAULT_MEMSTATUS=0"] {
        assert!(options.contains(&wanted), "{wanted} is not in {options:?}");
    }
    assert!(!options.contains(&"ENABLE_MEMORY_MANAGEMENT"), "{options:?}");
}
