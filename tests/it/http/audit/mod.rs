//! The audit log: who did what, before and after.

mod decisions;
mod list;
mod routes;

use serde_json::Value;

use crate::support::TestApp;

/// The newest row.
#[track_caller]
fn newest(app: &TestApp) -> Value {
    app.api.get("/api/v1/audit?limit=1").expect(200).body["data"][0].clone()
}
