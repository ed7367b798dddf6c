//! What happens at an endpoint while somebody delivers: leases, and one unit that stores how far it got.
//!
//! One runner at a time holds the lease of an endpoint. Its progress is stored only while the row names
//! it and stands where it knows it, so that a runner that was believed dead does no harm; what it has
//! delivered since it last stored is then delivered again.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Bool, Text};

use super::StoreError;
use super::sql::{Bind, Tx};
use super::webhook::{AttemptRow, EndpointRow, ParkedRow, ReplayRow};

/// Attempts that are kept of an endpoint.
const ATTEMPTS_KEPT: i64 = 1_000;

/// Where there may be something to do: enabled and free, and either its time has come and the log goes
/// on behind its position, or there is a replay. The three values are the time.
const MAY_BE_DUE: &str = "e.state = 'enabled' AND e.lease <= ? AND ((e.next_at <= ? AND \
     e.position < (SELECT position FROM event_sequencer)) OR EXISTS \
     (SELECT 1 FROM webhook_replay r WHERE r.endpoint_id = e.id AND r.failed IS NULL \
     AND r.next_at <= ?))";

fn json(texts: &[String]) -> String {
    serde_json::to_string(texts).unwrap_or_default()
}

/// An endpoint where there may be something to do.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct CandidateRow {
    pub id: String,
    pub scope: String,
    /// JSON array of names.
    pub events: String,
    pub version: i64,
    pub position: i64,
    /// A replay's time has come.
    pub replay: bool,
}

/// An event of the log, as far as it is told by it who wants it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct NewsRow {
    pub position: i64,
    pub id: String,
    pub event: String,
    /// Empty when nobody knows.
    pub organization_id: String,
}

/// What a runner has done at an endpoint since it last stored.
#[derive(Clone, Debug)]
pub struct LaneProgress {
    pub endpoint_id: String,
    pub runner: String,
    /// The version that the runner works with.
    pub version: i64,
    /// Where the runner knows the row to stand.
    pub stood: i64,
    /// Up to where the runner has delivered, parked, or read and found nothing.
    pub position: i64,
    /// Up to where there is nothing more for the selection of that version; not below the position.
    pub passed: i64,
    pub missed: i64,
    pub attempts: i64,
    pub head_since: Option<i64>,
    pub head_position: Option<i64>,
    pub failing_since: Option<i64>,
    pub last_success: Option<i64>,
    pub probed: Option<i64>,
    pub next_at: i64,
    /// Until when the runner keeps the endpoint, or when it lets it go: those that were let go first are
    /// served first.
    pub lease: i64,
    pub end: LaneEnd,
    /// Something was added to the log since the runner has begun.
    pub trim: bool,
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
    /// An operator has changed the endpoint: what was done is stored, the lease is given up.
    Changed,
    /// The endpoint is gone, another runner has it, or it stands elsewhere: nothing is stored.
    Lost,
}

impl Tx<'_> {
    /// The endpoints where there may be something to do, those that have waited longest first.
    pub fn webhook_candidates(&mut self, now: i64) -> Result<Vec<CandidateRow>, StoreError> {
        self.rows::<(Text, Text, Text, BigInt, BigInt, Bool), _>(
            &format!(
                "SELECT e.id, e.scope, e.events, e.version, e.position, EXISTS \
                 (SELECT 1 FROM webhook_replay r WHERE r.endpoint_id = e.id AND r.failed IS NULL \
                 AND r.next_at <= ?) FROM webhook_endpoint e WHERE {MAY_BE_DUE} \
                 ORDER BY e.lease, e.next_at, e.id"
            ),
            &[Bind::Int(now), Bind::Int(now), Bind::Int(now), Bind::Int(now)],
        )
    }

    /// The events from that position on, oldest first.
    pub fn webhook_news(&mut self, from: i64, limit: i64) -> Result<Vec<NewsRow>, StoreError> {
        self.rows::<(BigInt, Text, Text, Text), _>(
            "SELECT p.position, e.id, e.event, COALESCE(o.id, g.organization_id, '') FROM \
             (SELECT position, directory_key, event_key FROM event_position WHERE position >= ? \
             ORDER BY position LIMIT ?) p \
             JOIN event e ON e.key = p.event_key AND e.directory_key = p.directory_key \
             LEFT JOIN directory d ON d.key = p.directory_key \
             LEFT JOIN organization o ON o.key = d.organization_key \
             LEFT JOIN directory_past g ON g.directory_key = p.directory_key \
             ORDER BY p.position",
            &[Bind::Int(from), Bind::Int(limit)],
        )
    }

    /// Takes those of the endpoints that nobody else has taken meanwhile.
    pub fn webhook_claim(
        &mut self,
        ids: &[String],
        runner: &str,
        now: i64,
        lease: i64,
    ) -> Result<Vec<EndpointRow>, StoreError> {
        let list = self.dialect.texts();
        let lock = self.dialect.pick("", "FOR NO KEY UPDATE OF e SKIP LOCKED");
        let free = self.rows::<Text, String>(
            &format!(
                "SELECT e.id FROM webhook_endpoint e WHERE e.id IN (SELECT j.value FROM {list}) AND {MAY_BE_DUE} \
                 ORDER BY e.id {lock}"
            ),
            &[Bind::Owned(json(ids)), Bind::Int(now), Bind::Int(now), Bind::Int(now)],
        )?;
        let mut claimed = Vec::new();
        for id in &free {
            self.execute(
                "UPDATE webhook_endpoint SET runner = ?, lease = ? WHERE id = ?",
                &[Bind::Text(runner), Bind::Int(lease), Bind::Text(id)],
            )?;
            claimed.extend(self.webhook_get(id)?);
        }
        Ok(claimed)
    }

    /// Brings endpoints to a position between which and theirs there is nothing for them. They are named
    /// by `<id> <version>`; those that were changed or taken meanwhile stay where they are.
    pub fn webhook_advance(
        &mut self,
        endpoints: &[String],
        position: i64,
        now: i64,
    ) -> Result<usize, StoreError> {
        let list = self.dialect.texts();
        self.execute(
            &format!(
                "UPDATE webhook_endpoint SET position = ? WHERE id || ' ' || version IN (SELECT j.value FROM {list}) \
                 AND position < ? AND lease <= ?"
            ),
            &[
                Bind::Int(position),
                Bind::Owned(json(endpoints)),
                Bind::Int(position),
                Bind::Int(now),
            ],
        )
    }

    /// Ends every lease: whoever held one has stopped.
    pub fn webhook_release_all(&mut self) -> Result<(), StoreError> {
        self.execute("UPDATE webhook_endpoint SET lease = 0 WHERE lease <> 0", &[])?;
        Ok(())
    }

    /// The version of an endpoint that this runner holds.
    pub fn webhook_held(&mut self, id: &str, runner: &str) -> Result<Option<i64>, StoreError> {
        self.row::<BigInt, i64>(
            "SELECT version FROM webhook_endpoint WHERE id = ? AND runner = ?",
            &[Bind::Text(id), Bind::Text(runner)],
        )
    }

    /// Stores what a runner has done.
    pub fn webhook_save(&mut self, done: &LaneProgress) -> Result<Kept, StoreError> {
        let Some(row) = self.webhook_lock(&done.endpoint_id)? else { return Ok(Kept::Lost) };
        let version = self.webhook_held(&done.endpoint_id, &done.runner)?;
        // It stands elsewhere when the database has lost what was stored last, as a standby may have.
        let Some(version) = version.filter(|_| row.position == done.stood) else {
            return Ok(Kept::Lost);
        };
        self.webhook_log(done)?;
        let is_changed = version != done.version;
        // What is behind the end of the log has yet to happen, whatever was delivered from there.
        let end = self.dialect.pick(
            "min(?, (SELECT position FROM event_sequencer))",
            "LEAST(CAST(? AS BIGINT), (SELECT position FROM event_sequencer))",
        );
        let text = format!(
            "UPDATE webhook_endpoint SET position = {end}, missed = ?, attempts = ?, head_since = ?, \
             head_position = ?, failing_since = ?, last_success = ?, probed = ?, next_at = ?, \
             lease = ? WHERE id = ?"
        );
        // What an operator has renewed stays so; the attempts belong to an event, whoever changes what.
        let renewed = |was: Option<i64>, is: Option<i64>| if is_changed { was.and(is) } else { is };
        self.execute(
            &text,
            &[
                Bind::Int(if is_changed { done.position } else { done.passed }),
                Bind::Int(done.missed),
                Bind::Int(if is_changed { row.attempts } else { done.attempts }),
                Bind::OptInt(if is_changed { row.head_since } else { done.head_since }),
                Bind::OptInt(if is_changed { row.head_position } else { done.head_position }),
                Bind::OptInt(renewed(row.failing_since, done.failing_since)),
                Bind::OptInt(done.last_success),
                Bind::OptInt(renewed(row.probed, done.probed)),
                Bind::Int(if is_changed { row.next_at } else { done.next_at }),
                Bind::Int(if is_changed { 0 } else { done.lease }),
                Bind::Text(&done.endpoint_id),
            ],
        )?;
        if is_changed {
            return Ok(Kept::Changed);
        }
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
                    "UPDATE webhook_replay SET position = ?, attempts = ?, since = ?, next_at = ?, \
                     failed = ? WHERE endpoint_id = ? AND id = ?",
                    &[
                        Bind::Int(replay.position),
                        Bind::Int(replay.attempts),
                        Bind::OptInt(replay.since),
                        Bind::Int(replay.next_at),
                        Bind::OptInt(replay.failed),
                        Bind::Text(&replay.endpoint_id),
                        Bind::Text(&replay.id),
                    ],
                )?;
            }
            None => {}
        }
        if done.end == LaneEnd::Over && done.trim {
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
    pub fn webhook_trim(&mut self, endpoint_id: &str) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM webhook_attempt WHERE endpoint_id = ? AND id <= \
             (SELECT a.id FROM webhook_attempt a WHERE a.endpoint_id = ? \
             ORDER BY a.id DESC LIMIT 1 OFFSET ?)",
            &[Bind::Text(endpoint_id), Bind::Text(endpoint_id), Bind::Int(ATTEMPTS_KEPT)],
        )?;
        Ok(())
    }
}
