//! What happens at an endpoint while somebody delivers: leases, and one unit that stores how far it got.
//!
//! One runner at a time holds the lease of an endpoint. Its progress is stored only while the row names
//! it, so that a runner that was believed dead does no harm; what it has delivered since it last stored
//! is then delivered again.

use super::StoreError;
use super::sql::{Bind, Tx};
use super::webhook::{AttemptRow, EndpointRow, ParkedRow, ReplayRow};

/// Attempts that are kept of an endpoint.
const ATTEMPTS_KEPT: i64 = 1_000;

/// Which endpoints there is something to do for: enabled, free, their time has come, and there are events
/// behind their position, or replays.
const DUE: &str = "e.state = 'enabled' AND e.lease <= ? AND e.next_at <= ? AND \
     (e.position < (SELECT position FROM event_sequencer) OR EXISTS \
     (SELECT 1 FROM webhook_replay r WHERE r.endpoint_id = e.id AND r.next_at <= ?))";

/// What a runner has done at an endpoint since it last stored.
#[derive(Clone, Debug)]
pub struct LaneProgress {
    pub endpoint_id: String,
    pub runner: String,
    /// The version that the runner works with.
    pub version: i64,
    pub position: i64,
    pub missed: i64,
    pub attempts: i64,
    pub head_since: Option<i64>,
    pub failing_since: Option<i64>,
    pub last_success: Option<i64>,
    pub next_at: i64,
    /// Until when the runner keeps the endpoint, or when it lets it go: those that were let go first are
    /// served first.
    pub lease: i64,
    pub end: LaneEnd,
    /// A new state and its reason, and when.
    pub state: Option<(&'static str, &'static str, i64)>,
    pub log: Vec<AttemptRow>,
    pub parked: Vec<ParkedRow>,
    /// Positions that a replay has delivered.
    pub unparked: Vec<i64>,
    /// The replay that it works at, with its progress.
    pub replay: Option<ReplayRow>,
}

/// Whether the runner goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneEnd {
    Open,
    Over,
}

/// What became of the progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Yes,
    /// An operator has changed the endpoint: the position is stored, the lease is given up.
    Changed,
    /// The endpoint is gone, or another runner has it: nothing is stored.
    Lost,
}

impl Tx<'_> {
    /// Whether there is something to do at any endpoint.
    pub fn webhook_due(&mut self, now: i64) -> Result<bool, StoreError> {
        let found = self.row::<diesel::sql_types::Text, String>(
            &format!("SELECT e.id FROM webhook_endpoint e WHERE {DUE} LIMIT 1"),
            &[Bind::Int(now), Bind::Int(now), Bind::Int(now)],
        )?;
        Ok(found.is_some())
    }

    /// Takes up to `limit` endpoints that there is something to do for, those that have waited longest
    /// first; `busy` are left alone.
    pub fn webhook_claim(
        &mut self,
        busy: &[String],
        runner: &str,
        now: i64,
        lease: i64,
        limit: usize,
    ) -> Result<Vec<EndpointRow>, StoreError> {
        let lock = self.dialect.pick("", "FOR NO KEY UPDATE OF e SKIP LOCKED");
        // More than are wanted, as some of them may be busy.
        let most = i64::try_from(limit.saturating_add(busy.len())).unwrap_or(i64::MAX);
        let due = self.rows::<diesel::sql_types::Text, String>(
            &format!(
                "SELECT e.id FROM webhook_endpoint e WHERE {DUE} ORDER BY e.lease, e.next_at, e.id \
                 LIMIT ? {lock}"
            ),
            &[Bind::Int(now), Bind::Int(now), Bind::Int(now), Bind::Int(most)],
        )?;
        let mut claimed = Vec::new();
        for id in due.iter().filter(|id| !busy.contains(id)).take(limit) {
            self.execute(
                "UPDATE webhook_endpoint SET runner = ?, lease = ? WHERE id = ?",
                &[Bind::Text(runner), Bind::Int(lease), Bind::Text(id)],
            )?;
            claimed.extend(self.webhook_get(id)?);
        }
        Ok(claimed)
    }

    /// Ends every lease: whoever held one has stopped.
    pub fn webhook_release_all(&mut self) -> Result<(), StoreError> {
        self.execute("UPDATE webhook_endpoint SET lease = 0 WHERE lease <> 0", &[])?;
        Ok(())
    }

    /// The version of an endpoint that this runner holds.
    pub fn webhook_held(&mut self, id: &str, runner: &str) -> Result<Option<i64>, StoreError> {
        self.row::<diesel::sql_types::BigInt, i64>(
            "SELECT version FROM webhook_endpoint WHERE id = ? AND runner = ?",
            &[Bind::Text(id), Bind::Text(runner)],
        )
    }

    /// Stores what a runner has done.
    pub fn webhook_save(&mut self, done: &LaneProgress) -> Result<Kept, StoreError> {
        let Some(row) = self.webhook_lock(&done.endpoint_id)? else { return Ok(Kept::Lost) };
        let Some(version) = self.webhook_held(&done.endpoint_id, &done.runner)? else {
            return Ok(Kept::Lost);
        };
        self.webhook_log(done)?;
        if version != done.version {
            self.execute(
                "UPDATE webhook_endpoint SET position = ?, lease = 0 WHERE id = ?",
                &[Bind::Int(row.position.max(done.position)), Bind::Text(&done.endpoint_id)],
            )?;
            return Ok(Kept::Changed);
        }
        self.execute(
            "UPDATE webhook_endpoint SET position = ?, missed = ?, attempts = ?, head_since = ?, \
             failing_since = ?, last_success = ?, next_at = ?, lease = ? WHERE id = ?",
            &[
                Bind::Int(done.position),
                Bind::Int(done.missed),
                Bind::Int(done.attempts),
                Bind::OptInt(done.head_since),
                Bind::OptInt(done.failing_since),
                Bind::OptInt(done.last_success),
                Bind::Int(done.next_at),
                Bind::Int(done.lease),
                Bind::Text(&done.endpoint_id),
            ],
        )?;
        if let Some((state, reason, since)) = done.state {
            self.execute(
                "UPDATE webhook_endpoint SET state = ?, state_reason = ?, state_since = ?, \
                 version = version + 1 WHERE id = ?",
                &[
                    Bind::Text(state),
                    Bind::Text(reason),
                    Bind::Int(since),
                    Bind::Text(&done.endpoint_id),
                ],
            )?;
        }
        Ok(Kept::Yes)
    }

    /// The parts of the progress that stand beside the endpoint.
    fn webhook_log(&mut self, done: &LaneProgress) -> Result<(), StoreError> {
        for row in &done.log {
            self.webhook_attempt_insert(&done.endpoint_id, row)?;
        }
        for row in &done.parked {
            self.webhook_park(&done.endpoint_id, row)?;
        }
        for position in &done.unparked {
            self.execute(
                "DELETE FROM webhook_parked WHERE endpoint_id = ? AND position = ?",
                &[Bind::Text(&done.endpoint_id), Bind::Int(*position)],
            )?;
        }
        match &done.replay {
            Some(replay) if replay.position >= replay.until => {
                self.webhook_replay_delete(&replay.endpoint_id, &replay.id)?;
            }
            Some(replay) => {
                self.execute(
                    "UPDATE webhook_replay SET position = ?, attempts = ?, next_at = ? \
                     WHERE endpoint_id = ? AND id = ?",
                    &[
                        Bind::Int(replay.position),
                        Bind::Int(replay.attempts),
                        Bind::Int(replay.next_at),
                        Bind::Text(&replay.endpoint_id),
                        Bind::Text(&replay.id),
                    ],
                )?;
            }
            None => {}
        }
        if done.end == LaneEnd::Over {
            self.webhook_trim(&done.endpoint_id)?;
        }
        Ok(())
    }

    /// Adds an attempt to the log.
    pub fn webhook_attempt_insert(
        &mut self,
        endpoint_id: &str,
        row: &AttemptRow,
    ) -> Result<(), StoreError> {
        let status = row.status.map(i64::from);
        self.execute(
            "INSERT INTO webhook_attempt (endpoint_id, id, event_id, event, replay_id, attempt, at, \
             duration_ms, status, outcome, detail) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS INTEGER), ?, ?)",
            &[
                Bind::Text(endpoint_id),
                Bind::Text(&row.id),
                Bind::Text(&row.event_id),
                Bind::Text(&row.event),
                Bind::OptText(row.replay_id.as_deref()),
                Bind::Int(row.attempt),
                Bind::Int(row.at),
                Bind::Int(row.duration_ms),
                Bind::OptInt(status),
                Bind::Text(&row.outcome),
                Bind::Text(&row.detail),
            ],
        )?;
        Ok(())
    }

    fn webhook_park(&mut self, endpoint_id: &str, row: &ParkedRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO webhook_parked (endpoint_id, position, event_id, event, attempts, status, \
             since, parked) VALUES (?, ?, ?, ?, ?, CAST(? AS INTEGER), ?, ?) \
             ON CONFLICT (endpoint_id, position) DO UPDATE SET attempts = excluded.attempts, \
             status = excluded.status",
            &[
                Bind::Text(endpoint_id),
                Bind::Int(row.position),
                Bind::Text(&row.event_id),
                Bind::Text(&row.event),
                Bind::Int(row.attempts),
                Bind::OptInt(row.status.map(i64::from)),
                Bind::Int(row.since),
                Bind::Int(row.parked),
            ],
        )?;
        Ok(())
    }

    /// Removes the oldest attempts beyond those that are kept.
    fn webhook_trim(&mut self, endpoint_id: &str) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM webhook_attempt WHERE endpoint_id = ? AND id <= \
             (SELECT a.id FROM webhook_attempt a WHERE a.endpoint_id = ? \
             ORDER BY a.id DESC LIMIT 1 OFFSET ?)",
            &[Bind::Text(endpoint_id), Bind::Text(endpoint_id), Bind::Int(ATTEMPTS_KEPT)],
        )?;
        Ok(())
    }
}
