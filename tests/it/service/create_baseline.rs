//! The report on speed compares creates with the bare database. The statements that it runs there are
//! those of the server, or the comparison says nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use rollbook_bench::baseline;

use crate::support::{Database, TestApp};

/// Every statement of the process since the last look, with the connection that ran it.
static STATEMENTS: Mutex<Vec<(usize, String)>> = Mutex::new(Vec::new());

static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// Hears of every statement of every connection that is opened after it was set.
fn listener() -> Option<Box<dyn Instrumentation>> {
    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    Some(Box::new(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let text = plain(&query.to_string());
            STATEMENTS.lock().unwrap_or_else(PoisonError::into_inner).push((connection, text));
        }
    }))
}

fn taken() -> Vec<(usize, String)> {
    std::mem::take(&mut *STATEMENTS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn begins(text: &str) -> bool {
    text.starts_with("BEGIN") || text.starts_with("SAVEPOINT")
}

fn ends(text: &str) -> bool {
    text.starts_with("COMMIT") || text.starts_with("RELEASE")
}

/// The unit that wrote the resource, from where it begins to where it ends; a statement that stands
/// in no transaction is a unit by itself.
fn unit(heard: &[(usize, String)]) -> Vec<String> {
    let insert = |text: &str| text.contains("INSERT INTO resource (");
    let (connection, _) = heard.iter().find(|(_, text)| insert(text)).expect("a create");
    let of_it: Vec<&String> =
        heard.iter().filter(|(by, _)| by == connection).map(|(_, text)| text).collect();
    let at = of_it.iter().position(|text| insert(text)).expect("a create");
    let (before, after) = of_it.split_at(at);
    let bound = before.iter().rposition(|text| begins(text) || ends(text));
    let (Some(first), Some(last)) =
        (bound.filter(|bound| begins(before[*bound])), after.iter().position(|text| ends(text)))
    else {
        return vec![of_it[at].clone()];
    };
    of_it[first..=at + last].iter().map(|text| (*text).clone()).collect()
}

/// A statement as it was heard: values behind it, `$1` in it on PostgreSQL.
fn plain(heard: &str) -> String {
    let text = heard.split(" -- binds:").next().unwrap_or_default();
    let mut plain = String::new();
    for word in text.split_whitespace() {
        plain.push_str(word);
        plain.push(' ');
    }
    for number in (1..100).rev() {
        plain = plain.replace(&format!("${number}"), "?");
    }
    plain.trim_end().to_owned()
}

/// Compares what one create runs with the text of the baseline.
fn same(app: &TestApp, wanted: &str) {
    // The first request reads who is asking.
    app.scim.get("/Users?count=1").expect(200);
    taken();
    let body = serde_json::from_str(&baseline::user()).expect("JSON");
    app.scim.post("/Users", body).expect(201);
    let mut run = unit(&taken());
    let wanted: Vec<String> = baseline::statements(wanted)
        .iter()
        .map(|statement| baseline::with_values(statement, |_| "?".to_owned()))
        .collect();
    if !wanted.iter().any(|text| begins(text)) {
        run.retain(|text| !begins(text) && !ends(text));
    }
    assert_eq!(run, wanted, "conformance/bench/src/baseline/create.*.sql is what a create runs");
}

/// Which units stand in one transaction is the lane's affair, and that of each baseline.
#[test]
fn sqlite() {
    set_default_instrumentation(listener).expect("no other listener");
    let app = TestApp::start(Database::sqlite());
    same(&app, baseline::SQLITE);
}

#[test]
fn postgres() {
    set_default_instrumentation(listener).expect("no other listener");
    let app = TestApp::start(Database::postgres());
    same(&app, baseline::POSTGRES);
}
