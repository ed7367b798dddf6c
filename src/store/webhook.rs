//! Endpoints of webhooks: where events are sent, which ones, and how far each has got. Replays and parked
//! events hang on them; what happens while somebody delivers is in [`super::webhook_lane`].

use diesel::Queryable;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};

use super::StoreError;
use super::range::{IdRange, ListRange};
use super::resource::key_list;
use super::sql::{Bind, Tx};

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct EndpointRow {
    pub id: String,
    /// The organizations whose events count, with commas; empty for all.
    pub scope: String,
    pub url: String,
    /// JSON array of names.
    pub events: String,
    /// Sealed.
    pub secret: String,
    /// Sealed; signs as well until `previous_until`.
    pub previous_secret: Option<String>,
    pub previous_until: Option<i64>,
    /// `enabled`, `paused` or `disabled`.
    pub state: String,
    pub state_since: i64,
    /// `operator`, `failing` or `gone`; `None` while it is enabled.
    pub state_reason: Option<String>,
    /// Rises with every change by an operator.
    pub version: i64,
    /// Everything up to here is delivered or parked.
    pub position: i64,
    /// Positions that were removed from the log before they were delivered.
    pub missed: i64,
    /// Attempts that failed of the event at `head_position`, and the time of the first.
    pub attempts: i64,
    pub head_since: Option<i64>,
    pub head_position: Option<i64>,
    /// Since when no event of the log was accepted.
    pub failing_since: Option<i64>,
    pub last_success: Option<i64>,
    /// When the test event was accepted last.
    pub probed: Option<i64>,
    pub next_at: i64,
    pub created: i64,
    pub modified: i64,
}

type Sql = (
    Text,
    Text,
    Text,
    Text,
    Text,
    Nullable<Text>,
    Nullable<BigInt>,
    Text,
    BigInt,
    Nullable<Text>,
    BigInt,
    BigInt,
    BigInt,
    BigInt,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    BigInt,
    BigInt,
    BigInt,
);

const COLUMNS: &str = "SELECT id, scope, url, events, secret, previous_secret, previous_until, \
     state, state_since, state_reason, version, position, missed, attempts, head_since, \
     head_position, failing_since, last_success, probed, next_at, created, modified \
     FROM webhook_endpoint";

/// A stretch of the log that is sent once more.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct ReplayRow {
    pub endpoint_id: String,
    pub id: String,
    /// Everything up to here has been sent.
    pub position: i64,
    /// The last position.
    pub until: i64,
    pub range_start: Option<i64>,
    pub range_end: Option<i64>,
    /// Only what is parked.
    pub only_parked: bool,
    /// Attempts that failed since something of it was accepted, and the time of the first.
    pub attempts: i64,
    pub since: Option<i64>,
    pub next_at: i64,
    /// When it was given up because nothing is accepted.
    pub failed: Option<i64>,
    pub created: i64,
}

type ReplaySql = (
    Text,
    Text,
    BigInt,
    BigInt,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Bool,
    BigInt,
    Nullable<BigInt>,
    BigInt,
    Nullable<BigInt>,
    BigInt,
);

const REPLAYS: &str = "SELECT endpoint_id, id, position, until, range_start, range_end, \
     only_parked, attempts, since, next_at, failed, created FROM webhook_replay";

/// An event that an endpoint refused until it was passed over.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct ParkedRow {
    pub position: i64,
    pub event_id: String,
    pub event: String,
    pub attempts: i64,
    /// Of the last answer.
    pub status: Option<i32>,
    /// When it was refused first.
    pub since: i64,
    pub parked: i64,
}

/// How far an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct EndpointPlace {
    pub id: String,
    pub state: String,
    pub reason: Option<String>,
    pub position: i64,
    /// Since when its next event is refused.
    pub refused_since: Option<i64>,
}

impl Tx<'_> {
    /// Adds the endpoint with nobody at it.
    pub fn webhook_insert(&mut self, row: &EndpointRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO webhook_endpoint (id, scope, url, events, secret, state, state_since, \
             state_reason, version, position, missed, attempts, next_at, runner, lease, created, \
             modified) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, 0, 0, 0, '', 0, ?, ?)",
            &[
                Bind::Text(&row.id),
                Bind::Text(&row.scope),
                Bind::Text(&row.url),
                Bind::Text(&row.events),
                Bind::Text(&row.secret),
                Bind::Text(&row.state),
                Bind::Int(row.state_since),
                Bind::OptText(row.state_reason.as_deref()),
                Bind::Int(row.position),
                Bind::Int(row.created),
                Bind::Int(row.modified),
            ],
        )?;
        Ok(())
    }

    pub fn webhook_get(&mut self, id: &str) -> Result<Option<EndpointRow>, StoreError> {
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE id = ?"), &[Bind::Text(id)])
    }

    /// Like [`Tx::webhook_get`], and keeps other units from changing the row.
    pub fn webhook_lock(&mut self, id: &str) -> Result<Option<EndpointRow>, StoreError> {
        let lock = self.dialect.pick("", " FOR NO KEY UPDATE");
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE id = ?{lock}"), &[Bind::Text(id)])
    }

    pub fn webhook_range(&mut self, range: &IdRange) -> Result<Vec<EndpointRow>, StoreError> {
        let (condition, order, beyond) = range.sql("id");
        let text = format!("{COLUMNS} WHERE {condition} ORDER BY {order} LIMIT ?");
        self.rows::<Sql, _>(&text, &[Bind::Text(beyond), Bind::Int(range.limit)])
    }

    /// How many endpoints there are whose scope names the organization; without one, how many get the
    /// events of all organizations.
    pub fn webhook_count(&mut self, organization: Option<&str>) -> Result<i64, StoreError> {
        let named = match organization {
            None => "scope = ?",
            Some(_) => self.dialect.pick(
                "instr(',' || scope || ',', ',' || ? || ',') > 0",
                "strpos(',' || scope || ',', ',' || ? || ',') > 0",
            ),
        };
        let text = format!("SELECT COUNT(*) FROM webhook_endpoint WHERE {named}");
        let binds = [Bind::Text(organization.unwrap_or_default())];
        Ok(self.row::<BigInt, i64>(&text, &binds)?.unwrap_or(0))
    }

    /// The endpoints whose scope names the organization; other units cannot change them.
    pub fn webhook_of(&mut self, organization: &str) -> Result<Vec<EndpointRow>, StoreError> {
        let named = self.dialect.pick(
            "instr(',' || scope || ',', ',' || ? || ',') > 0 ORDER BY id",
            "strpos(',' || scope || ',', ',' || ? || ',') > 0 ORDER BY id FOR NO KEY UPDATE",
        );
        let text = format!("{COLUMNS} WHERE {named}");
        self.rows::<Sql, _>(&text, &[Bind::Text(organization)])
    }

    /// Another endpoint with that address for exactly these organizations.
    pub fn webhook_twin(&mut self, scope: &str, url: &str) -> Result<Option<String>, StoreError> {
        self.row::<Text, String>(
            "SELECT id FROM webhook_endpoint WHERE scope = ? AND url = ?",
            &[Bind::Text(scope), Bind::Text(url)],
        )
    }

    /// The names of what has happened behind the position in directories that an organization had.
    pub fn log_names_behind(
        &mut self,
        organization: &str,
        position: i64,
    ) -> Result<Vec<String>, StoreError> {
        self.rows::<Text, String>(
            "SELECT DISTINCT e.event FROM directory_past g \
             JOIN event e ON e.directory_key = g.directory_key \
             WHERE g.organization_id = ? AND NOT EXISTS (SELECT 1 FROM event_position p \
             WHERE p.directory_key = e.directory_key AND p.event_key = e.key AND p.position <= ?)",
            &[Bind::Text(organization), Bind::Int(position)],
        )
    }

    /// What an operator has changed: address, selection, secrets, state, and another chance. Who delivers
    /// sees the new version and begins anew.
    pub fn webhook_update(&mut self, row: &EndpointRow) -> Result<(), StoreError> {
        self.execute(
            "UPDATE webhook_endpoint SET scope = ?, url = ?, events = ?, secret = ?, \
             previous_secret = ?, previous_until = ?, state = ?, state_since = ?, \
             state_reason = ?, version = version + 1, attempts = ?, head_since = ?, \
             failing_since = ?, probed = ?, next_at = ?, modified = ? WHERE id = ?",
            &[
                Bind::Text(&row.scope),
                Bind::Text(&row.url),
                Bind::Text(&row.events),
                Bind::Text(&row.secret),
                Bind::OptText(row.previous_secret.as_deref()),
                Bind::OptInt(row.previous_until),
                Bind::Text(&row.state),
                Bind::Int(row.state_since),
                Bind::OptText(row.state_reason.as_deref()),
                Bind::Int(row.attempts),
                Bind::OptInt(row.head_since),
                Bind::OptInt(row.failing_since),
                Bind::OptInt(row.probed),
                Bind::Int(row.next_at),
                Bind::Int(row.modified),
                Bind::Text(&row.id),
            ],
        )?;
        Ok(())
    }

    /// Forgets what an endpoint has from before it was narrowed to these organizations: what waits of
    /// others, and all answers, as they may speak of others. Whoever delivers has lost the lease, so
    /// nothing of it comes after this.
    pub fn webhook_narrow(&mut self, id: &str, organizations: &[String]) -> Result<(), StoreError> {
        let directories = self.log_directories(organizations)?;
        let text = format!(
            "DELETE FROM webhook_parked WHERE endpoint_id = ? AND NOT EXISTS \
             (SELECT 1 FROM event_position p WHERE p.position = webhook_parked.position \
             AND p.directory_key IN (SELECT j.value FROM {}))",
            self.dialect.keys()
        );
        self.execute(&text, &[Bind::Text(id), Bind::Owned(key_list(&directories))])?;
        self.execute("DELETE FROM webhook_attempt WHERE endpoint_id = ?", &[Bind::Text(id)])?;
        self.execute(
            "UPDATE webhook_endpoint SET runner = '', lease = 0 WHERE id = ?",
            &[Bind::Text(id)],
        )?;
        Ok(())
    }

    /// Removes the endpoint with all that hangs on it; false when there was none.
    pub fn webhook_delete(&mut self, id: &str) -> Result<bool, StoreError> {
        let binds = [Bind::Text(id)];
        Ok(self.execute("DELETE FROM webhook_endpoint WHERE id = ?", &binds)? > 0)
    }

    /// Where every endpoint stands.
    pub fn webhook_places(&mut self) -> Result<Vec<EndpointPlace>, StoreError> {
        self.rows::<(Text, Text, Nullable<Text>, BigInt, Nullable<BigInt>), _>(
            "SELECT id, state, state_reason, position, \
             CASE WHEN head_position > position THEN head_since END \
             FROM webhook_endpoint ORDER BY id",
            &[],
        )
    }

    /// Brings endpoints back that stand beyond the end of the log, as after a restore. Whoever delivers
    /// has lost the lease.
    pub fn webhook_rewind(&mut self, end: i64) -> Result<usize, StoreError> {
        self.execute(
            "UPDATE webhook_endpoint SET position = ?, version = version + 1, runner = '', \
             lease = 0 WHERE position > ?",
            &[Bind::Int(end), Bind::Int(end)],
        )
    }

    pub fn webhook_parked(
        &mut self,
        endpoint_id: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<ParkedRow>, StoreError> {
        self.rows::<(BigInt, Text, Text, BigInt, Nullable<Integer>, BigInt, BigInt), _>(
            "SELECT position, event_id, event, attempts, status, since, parked \
             FROM webhook_parked WHERE endpoint_id = ? AND position > ? ORDER BY position LIMIT ?",
            &[Bind::Text(endpoint_id), Bind::Int(after), Bind::Int(limit)],
        )
    }

    /// How many events are parked, of each endpoint that has some.
    pub fn webhook_parked_counts(&mut self) -> Result<Vec<(String, i64)>, StoreError> {
        self.rows::<(Text, BigInt), (String, i64)>(
            "SELECT endpoint_id, COUNT(*) FROM webhook_parked GROUP BY endpoint_id",
            &[],
        )
    }

    pub fn webhook_replay_insert(&mut self, row: &ReplayRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO webhook_replay (endpoint_id, id, position, until, range_start, range_end, \
             only_parked, attempts, next_at, created) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, ?)",
            &[
                Bind::Text(&row.endpoint_id),
                Bind::Text(&row.id),
                Bind::Int(row.position),
                Bind::Int(row.until),
                Bind::OptInt(row.range_start),
                Bind::OptInt(row.range_end),
                Bind::Bool(row.only_parked),
                Bind::Int(row.created),
            ],
        )?;
        Ok(())
    }

    /// The replays of an endpoint that are not done, oldest first, and those that were given up.
    pub fn webhook_replays(&mut self, endpoint_id: &str) -> Result<Vec<ReplayRow>, StoreError> {
        self.rows::<ReplaySql, _>(
            &format!("{REPLAYS} WHERE endpoint_id = ? ORDER BY id"),
            &[Bind::Text(endpoint_id)],
        )
    }

    /// The oldest replay whose time has come.
    pub fn webhook_replay_due(
        &mut self,
        endpoint_id: &str,
        now: i64,
    ) -> Result<Option<ReplayRow>, StoreError> {
        self.row::<ReplaySql, _>(
            &format!(
                "{REPLAYS} WHERE endpoint_id = ? AND next_at <= ? AND failed IS NULL \
                 ORDER BY id LIMIT 1"
            ),
            &[Bind::Text(endpoint_id), Bind::Int(now)],
        )
    }

    /// Removes a replay; false when there was none.
    pub fn webhook_replay_delete(
        &mut self,
        endpoint_id: &str,
        id: &str,
    ) -> Result<bool, StoreError> {
        let binds = [Bind::Text(endpoint_id), Bind::Text(id)];
        let text = "DELETE FROM webhook_replay WHERE endpoint_id = ? AND id = ?";
        Ok(self.execute(text, &binds)? > 0)
    }

    /// Attempts that are kept of an endpoint, newest first unless the range says otherwise.
    pub fn webhook_attempts(
        &mut self,
        endpoint_id: &str,
        event_id: Option<&str>,
        outcome: Option<&str>,
        range: &ListRange,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        let (condition, order, cursor) = range.sql();
        self.rows::<AttemptSql, _>(
            &format!(
                "SELECT id, event_id, event, replay_id, attempt, at, duration_ms, status, outcome, \
                 detail FROM webhook_attempt WHERE endpoint_id = ? \
                 AND (CAST(? AS TEXT) IS NULL OR event_id = ?) \
                 AND (CAST(? AS TEXT) IS NULL OR outcome = ?) \
                 AND {condition} ORDER BY {order} LIMIT ?"
            ),
            &[
                Bind::Text(endpoint_id),
                Bind::OptText(event_id),
                Bind::OptText(event_id),
                Bind::OptText(outcome),
                Bind::OptText(outcome),
                Bind::Text(cursor),
                Bind::Int(range.limit),
            ],
        )
    }

    /// Removes attempts made and replays given up before `until`, and parked events that are no longer in
    /// the log.
    pub fn webhook_prune(&mut self, until: i64, pruned: i64) -> Result<usize, StoreError> {
        let old = self.execute("DELETE FROM webhook_attempt WHERE at < ?", &[Bind::Int(until)])?;
        self.execute("DELETE FROM webhook_replay WHERE failed < ?", &[Bind::Int(until)])?;
        let gone =
            self.execute("DELETE FROM webhook_parked WHERE position <= ?", &[Bind::Int(pruned)])?;
        Ok(old + gone)
    }

    /// Whether there is something for [`Tx::webhook_prune`] or [`Tx::webhook_end_secrets`].
    pub fn webhook_prunable(
        &mut self,
        until: i64,
        pruned: i64,
        now: i64,
    ) -> Result<bool, StoreError> {
        let found = self.row::<BigInt, i64>(
            "SELECT CAST(1 AS BIGINT) WHERE \
             EXISTS (SELECT 1 FROM webhook_attempt WHERE at < ?) \
             OR EXISTS (SELECT 1 FROM webhook_replay WHERE failed < ?) \
             OR EXISTS (SELECT 1 FROM webhook_parked WHERE position <= ?) \
             OR EXISTS (SELECT 1 FROM webhook_endpoint WHERE previous_until <= ?)",
            &[Bind::Int(until), Bind::Int(until), Bind::Int(pruned), Bind::Int(now)],
        )?;
        Ok(found.is_some())
    }

    /// Forgets secrets whose overlap is over.
    pub fn webhook_end_secrets(&mut self, now: i64) -> Result<usize, StoreError> {
        self.execute(
            "UPDATE webhook_endpoint SET previous_secret = NULL, previous_until = NULL \
             WHERE previous_until <= ?",
            &[Bind::Int(now)],
        )
    }
}

/// An attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct AttemptRow {
    pub id: String,
    pub event_id: String,
    pub event: String,
    pub replay_id: Option<String>,
    /// Which one it was of this event, beginning with 1.
    pub attempt: i64,
    pub at: i64,
    pub duration_ms: i64,
    pub status: Option<i32>,
    /// `delivered` or `failed`.
    pub outcome: String,
    /// Sealed.
    pub detail: String,
}

type AttemptSql =
    (Text, Text, Text, Nullable<Text>, BigInt, BigInt, BigInt, Nullable<Integer>, Text, Text);
