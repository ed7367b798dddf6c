//! A server process with a directory to write into, and the end of every scenario: the comparison.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::check;
use crate::load::Written;
use crate::support::Client;
use crate::support::process::Server;
use crate::tables;

pub const API_KEY: &str = "sk_test_0123456789abcdef0123456789abcdef";

/// Processes on one database share it.
pub const SECRET_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// How long a server may take to be well again after what it needs is there.
const RECOVERY: Duration = Duration::from_secs(60);

/// A directory and what opens it.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub id: String,
    pub external_key: String,
    pub token: String,
    pub token_id: String,
}

impl Tenant {
    /// SCIM through the process at that URL.
    pub fn scim(&self, url: &str) -> Client {
        let base = format!("{url}/scim/v2/{}", self.external_key);
        // Longer than anything the server may wait for.
        let client = Client::new(&base, &self.token, "application/scim+json");
        client.with_deadline(Duration::from_secs(60))
    }
}

pub fn api(url: &str) -> Client {
    Client::new(url, API_KEY, "application/json")
}

/// Starts a server on a database; on that in its own folder when the URL is empty.
pub fn start(folder: &Path, database: &str) -> Server {
    start_with(folder, database, &[])
}

pub fn start_with(folder: &Path, database: &str, more: &[(&str, &str)]) -> Server {
    let mut environment = vec![("ROLLBOOK_API_KEY", API_KEY), ("ROLLBOOK_SECRET_KEY", SECRET_KEY)];
    if !database.is_empty() {
        environment.push(("ROLLBOOK_DATABASE_URL", database));
    }
    environment.extend(more);
    Server::start_with(folder, &environment)
}

/// A directory of an organization of its own.
pub fn tenant(url: &str) -> Tenant {
    let api = api(url);
    let organization = api.post("/api/v1/organizations", json!({"name": "Example"})).expect(201);
    let body =
        json!({"organization_id": organization.id(), "name": "Directory", "kind": "scim.generic"});
    let made = api.post("/api/v1/directories", body).expect(201);
    let text = |at: &str| made.body.pointer(at).and_then(|v| v.as_str()).expect("text").to_owned();
    Tenant {
        id: made.id(),
        external_key: text("/external_key"),
        token: text("/token/secret"),
        token_id: text("/token/id"),
    }
}

/// The URL for a database of SQLite in a server's folder, as the checks open it.
pub fn embedded(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("data/rollbook.db").display())
}

/// Waits until the server says that it is ready.
pub fn wait_until_ready(url: &str) {
    let client = api(url).with_deadline(Duration::from_secs(10));
    wait("the server is ready", || {
        client.try_get("/health/ready").is_some_and(|answer| answer.status == 200)
    });
}

/// Asks until it is so; fails the test when that takes too long.
#[track_caller]
pub fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < RECOVERY, "not within {RECOVERY:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Everything that was acknowledged is there, what was not is there whole or not at all, and the
/// tables and events say the same. `url` is of a server, `database` what it stands on.
#[track_caller]
pub fn compare(tenant: &Tenant, url: &str, database: &str, written: &Written) {
    println!("{}", written.summary());
    let mut wrong = written.problems.clone();
    let stored = check::read(&tenant.scim(url));
    wrong.extend(check::differences(&tenant.scim(url), written, &stored));
    // The replay waits until every event has its position.
    wrong.extend(tables::replay(database, tenant, &stored));
    wrong.extend(tables::faults(database));
    let shown = wrong.len().min(20);
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong[..shown].join("\n"));
}
