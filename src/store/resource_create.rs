//! A create as one statement of PostgreSQL.

use std::sync::LazyLock;

use diesel::sql_types::BigInt;
use serde_json::json;

use super::StoreError;
use super::event::NewEvent;
use super::resource::{AppState, ResourceContent};
use super::single::Single;
use super::sql::Bind;
use crate::event::Reason;

/// A directory as the create was computed for it.
#[derive(Clone, Debug)]
pub struct WriteInto {
    pub directory_key: i64,
    pub schema_version: i64,
    /// As they are stored.
    pub settings: String,
}

/// A new resource that claims nothing, has no members and that nobody waits for.
#[derive(Clone, Debug)]
pub struct NewResource<'n> {
    pub directory: &'n WriteInto,
    pub resource_type: &'n str,
    pub id: &'n str,
    pub content: &'n ResourceContent,
    pub app_state: AppState,
    pub event: Option<&'n NewEvent>,
    pub now: i64,
}

/// The directory is taken as by `directory_share`, and has to be as it was. The event selects from the
/// row that was inserted: its key is drawn while the unit holds the resource.
const DIRECTORY: &str = "WITH d AS ( \
         SELECT key FROM directory WHERE key = ? AND state NOT IN ('disabled', 'deleting') \
         AND NOT converting \
         AND schema_version = ? AND settings = ? AND policy_cursor IS NULL AND brake IS NULL \
         AND pg_advisory_xact_lock_shared(hashtext('directory'), \
         CAST(? % 2147483647 AS INTEGER)) IS NOT NULL";

/// Looked at when the directory is taken: see [`super::sql::Tx::sync_lease_stands`]. It is asked as things stood when
/// the statement began, so one that begins before the directory changes hands, and asks for the lock after whoever
/// took it over had it, still inserts.
const UNDER_LEASE: &str = " AND EXISTS (SELECT FROM sync_directory s \
         WHERE s.directory_key = directory.key AND s.runner = ?)";

/// What follows once the directory is taken.
const ROWS: &str = " FOR KEY SHARE), \
     r AS (INSERT INTO resource (directory_key, id, resource_type, user_name_key, display_key, \
         display, external_id, active, doc, extra, version, created, modified, app_state, \
         custom_attributes, attribute_faults, roles) \
         SELECT d.key, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ? FROM d \
         RETURNING directory_key, key), \
     a AS (INSERT INTO resource_attr (directory_key, path_id, key, resource_key, ordinal) \
         SELECT r.directory_key, x.path_id, x.key, r.key, x.ordinal FROM r \
         CROSS JOIN jsonb_to_recordset(CAST(? AS jsonb)) \
         x (path_id INTEGER, key TEXT, ordinal INTEGER) ON CONFLICT DO NOTHING), \
     c AS (INSERT INTO resource_count (directory_key, resource_type, active, slot, n) \
         SELECT r.directory_key, ?, ?, pg_backend_pid() % 32, 1 FROM r \
         ON CONFLICT (directory_key, resource_type, active, slot) \
         DO UPDATE SET n = resource_count.n + excluded.n), \
     e AS (INSERT INTO event (directory_key, id, event, resource_id, data, created, reason) \
         SELECT r.directory_key, ?, ?, ?, ?, ?, ? FROM r WHERE CAST(? AS BOOLEAN)) \
     SELECT key FROM r";

static CREATE: LazyLock<String> = LazyLock::new(|| format!("{DIRECTORY}{ROWS}"));

static CREATE_UNDER_LEASE: LazyLock<String> =
    LazyLock::new(|| format!("{DIRECTORY}{UNDER_LEASE}{ROWS}"));

impl Single<'_> {
    /// Inserts the row with its index entries, its event and its place in the totals; answers its key.
    /// `None` when the directory is no longer as it was, or no longer the runner's. A taken userName is
    /// [`StoreError::Unique`].
    pub fn resource_create(self, new: &NewResource<'_>) -> Result<Option<i64>, StoreError> {
        let (directory, content) = (new.directory, new.content);
        let columns = &content.columns;
        let entries = columns.attributes.iter().map(
            |entry| json!({"path_id": entry.path_id, "key": entry.key, "ordinal": entry.ordinal}),
        );
        let entries = serde_json::Value::Array(entries.collect()).to_string();
        let text = |part: fn(&NewEvent) -> &str| Bind::OptText(new.event.map(part));
        let taken = [
            Bind::Int(directory.directory_key),
            Bind::Int(directory.schema_version),
            Bind::Text(&directory.settings),
            Bind::Int(directory.directory_key),
        ];
        let create = if self.lease.is_some() { &CREATE_UNDER_LEASE } else { &CREATE };
        let runner = self.lease.map(|lease| Bind::Text(&lease.runner));
        let rows = [
            Bind::Text(new.id),
            Bind::Text(new.resource_type),
            Bind::OptText(columns.user_name_key.as_deref()),
            Bind::OptText(columns.display_key.as_deref()),
            Bind::OptText(content.display.as_deref()),
            Bind::OptText(columns.external_id.as_deref()),
            Bind::Bool(columns.active),
            Bind::Text(&content.doc),
            Bind::OptText(content.extra.as_deref()),
            Bind::Int(new.now),
            Bind::Int(new.now),
            Bind::Text(new.app_state.as_str()),
            Bind::OptText(content.mapped.custom_attributes.as_deref()),
            Bind::OptText(content.mapped.faults.as_deref()),
            Bind::OptText(content.mapped.roles.as_deref()),
            Bind::Text(&entries),
            Bind::Text(new.resource_type),
            Bind::Bool(columns.active),
            text(|event| &event.id),
            text(|event| event.event),
            text(|event| &event.resource_id),
            text(|event| event.data.text()),
            Bind::Int(new.now),
            Bind::OptText(new.event.and_then(|event| event.reason).map(Reason::as_str)),
            Bind::Bool(new.event.is_some()),
        ];
        let binds: Vec<Bind<'_>> = taken.into_iter().chain(runner).chain(rows).collect();
        self.row::<BigInt, i64>(create, &binds)
    }
}
