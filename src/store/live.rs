//! What shows that something has changed: texts to compare, of one cheap statement each.

use diesel::sql_types::{BigInt, Text};

use super::StoreError;
use super::sql::{Bind, Tx};

/// Rows of a list that are looked at: what a page shows.
const SHOWN: i64 = 50;

impl Tx<'_> {
    /// The newest requests of a directory. One that is written down late is among them.
    pub fn live_requests(&mut self, directory_key: i64) -> Result<Vec<String>, StoreError> {
        self.rows::<Text, String>(
            "SELECT id FROM request_record WHERE directory_key = ? ORDER BY id DESC LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(SHOWN)],
        )
    }

    /// The newest runs of a directory, and how far they are.
    pub fn live_runs(&mut self, directory_key: i64) -> Result<Vec<String>, StoreError> {
        self.rows::<Text, String>(
            "SELECT id || ' ' || status || ' ' || COALESCE(progress, '') FROM sync_run \
             WHERE directory_key = ? ORDER BY id DESC LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(SHOWN)],
        )
    }

    /// One run, and how far it is.
    pub fn live_run(&mut self, directory_key: i64, id: &str) -> Result<Option<String>, StoreError> {
        self.row::<Text, String>(
            "SELECT status || ' ' || COALESCE(progress, '') FROM sync_run \
             WHERE directory_key = ? AND id = ?",
            &[Bind::Int(directory_key), Bind::Text(id)],
        )
    }

    /// The directory of a run, and the organization of that.
    pub fn run_directory(&mut self, id: &str) -> Result<Option<(i64, String)>, StoreError> {
        self.row::<(BigInt, Text), _>(
            "SELECT d.key, o.id FROM sync_run r JOIN directory d ON d.key = r.directory_key \
             JOIN organization o ON o.key = d.organization_key WHERE r.id = ?",
            &[Bind::Text(id)],
        )
    }

    /// A directory: its state, changes, last request, brake, the end of its last run, and how far its disconnection is.
    pub fn live_directory(&mut self, directory_key: i64) -> Result<Option<String>, StoreError> {
        self.row::<Text, String>(
            "SELECT d.state || ' ' || CAST(d.modified AS TEXT) \
             || ' ' || COALESCE(CAST(d.last_request AS TEXT), '') \
             || ' ' || COALESCE(d.brake, '') || ' ' || COALESCE(CAST(s.last_sync AS TEXT), '') \
             || ' ' || COALESCE(s.last_error, '') \
             || ' ' || COALESCE((SELECT x.state || ' ' || CAST(x.done AS TEXT) FROM disconnection x \
             WHERE x.directory_key = d.key), '') FROM directory d LEFT JOIN sync_directory s ON s.directory_key = d.key \
             WHERE d.key = ?",
            &[Bind::Int(directory_key)],
        )
    }

    /// An endpoint: its state, how far it is, and its last attempt.
    pub fn live_webhook(&mut self, id: &str) -> Result<Option<String>, StoreError> {
        self.row::<Text, String>(
            "SELECT state || ' ' || CAST(modified AS TEXT) || ' ' || CAST(position AS TEXT) \
             || ' ' || COALESCE((SELECT MAX(a.id) FROM webhook_attempt a \
             WHERE a.endpoint_id = w.id), '') \
             || ' ' || COALESCE((SELECT MAX(r.position) || ' ' || COUNT(*) \
             FROM webhook_replay r WHERE r.endpoint_id = w.id), '') \
             FROM webhook_endpoint w WHERE w.id = ?",
            &[Bind::Text(id)],
        )
    }

    /// The newest alarm, and when the last one was resolved.
    pub fn live_alarms(&mut self) -> Result<(Option<String>, Option<i64>), StoreError> {
        let newest =
            self.row::<Text, String>("SELECT id FROM alarm ORDER BY id DESC LIMIT 1", &[])?;
        let resolved = self.row::<BigInt, i64>(
            "SELECT resolved FROM alarm WHERE resolved IS NOT NULL ORDER BY resolved DESC LIMIT 1",
            &[],
        )?;
        Ok((newest, resolved))
    }
}
