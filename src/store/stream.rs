//! Streams of Security Event Tokens: where they go, what each gets, and how far it has got.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::StoreError;
use super::sql::{Bind, Tx};

#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct StreamRow {
    pub id: String,
    /// The organizations whose events count, with commas; empty for all.
    pub scope: String,
    pub description: Option<String>,
    /// `push` or `poll`.
    pub method: String,
    pub endpoint_url: Option<String>,
    /// Sealed.
    pub authorization_header: Option<String>,
    /// JSON array of URIs.
    pub events: Option<String>,
    pub subject_format: String,
    /// `enabled`, `paused` or `disabled`.
    pub status: String,
    pub status_since: i64,
    /// `operator` or `failing`; `None` while it is enabled.
    pub status_cause: Option<String>,
    /// What was said about it.
    pub status_reason: Option<String>,
    /// Rises with every change by an operator.
    pub version: i64,
    pub place: StreamPlace,
    pub health: StreamHealth,
    /// JSON; asked for and not delivered yet.
    pub verification: Option<String>,
    /// When one was asked for last.
    pub verified_at: Option<i64>,
    pub created: i64,
    pub modified: i64,
}

/// How far a stream has got.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct StreamPlace {
    /// Every token of events up to here is acknowledged, or there was none.
    pub position: i64,
    /// JSON array: the tokens beyond it that are.
    pub acked: String,
    /// Positions that were removed from the log before.
    pub missed: i64,
    /// Tokens that the receiver has refused for good.
    pub refused: i64,
    /// The last of them, sealed.
    pub last_refusal: Option<String>,
}

/// How the receiver of a pushed stream has fared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Queryable)]
pub struct StreamHealth {
    /// The token that failed last, how often, and how often of that its receiver called it invalid.
    pub head: String,
    pub attempts: i64,
    pub refusals: i64,
    /// Since when every attempt has failed.
    pub failing_since: Option<i64>,
    pub last_success: Option<i64>,
    pub next_at: i64,
}

type Sql = (
    Text,
    Text,
    Nullable<Text>,
    Text,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
    Text,
    Text,
    BigInt,
    Nullable<Text>,
    Nullable<Text>,
    BigInt,
    (BigInt, Text, BigInt, BigInt, Nullable<Text>),
    (Text, BigInt, BigInt, Nullable<BigInt>, Nullable<BigInt>, BigInt),
    Nullable<Text>,
    Nullable<BigInt>,
    BigInt,
    BigInt,
);

const COLUMNS: &str = "SELECT id, scope, description, method, endpoint_url, authorization_header, \
     events, subject_format, status, status_since, status_cause, status_reason, version, position, \
     acked, missed, refused, last_refusal, head, attempts, refusals, failing_since, last_success, \
     next_at, verification, verified_at, created, modified FROM ssf_stream";

/// What a process looks at to find streams that there is something to do for.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct PushedStream {
    pub id: String,
    pub scope: String,
    /// JSON array of URIs.
    pub events: Option<String>,
    pub position: i64,
    pub next_at: i64,
    pub lease: i64,
    pub verification: Option<String>,
}

/// How far a stream is, for metrics.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct StreamLag {
    pub id: String,
    pub method: String,
    pub status: String,
    pub status_cause: Option<String>,
    pub position: i64,
}

/// An event of a user, as far as it says whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct UserEvent {
    pub position: i64,
    pub event: String,
    /// Empty when nobody knows any more.
    pub organization_id: String,
}

impl Tx<'_> {
    pub fn stream_insert(&mut self, row: &StreamRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO ssf_stream (id, scope, description, method, endpoint_url, \
             authorization_header, events, subject_format, status, status_since, version, position, \
             acked, missed, refused, head, attempts, refusals, next_at, runner, lease, served, \
             created, modified) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, '[]', 0, 0, '', 0, 0, 0, '', 0, 0, ?, ?)",
            &[
                Bind::Text(&row.id),
                Bind::Text(&row.scope),
                Bind::OptText(row.description.as_deref()),
                Bind::Text(&row.method),
                Bind::OptText(row.endpoint_url.as_deref()),
                Bind::OptText(row.authorization_header.as_deref()),
                Bind::OptText(row.events.as_deref()),
                Bind::Text(&row.subject_format),
                Bind::Text(&row.status),
                Bind::Int(row.status_since),
                Bind::Int(row.place.position),
                Bind::Int(row.created),
                Bind::Int(row.modified),
            ],
        )?;
        Ok(())
    }

    pub fn stream_get(&mut self, id: &str) -> Result<Option<StreamRow>, StoreError> {
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE id = ?"), &[Bind::Text(id)])
    }

    /// Like [`Tx::stream_get`], and keeps other units from changing the row.
    pub fn stream_lock(&mut self, id: &str) -> Result<Option<StreamRow>, StoreError> {
        let lock = self.dialect.pick("", " FOR NO KEY UPDATE");
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE id = ?{lock}"), &[Bind::Text(id)])
    }

    /// All streams; there are few.
    pub fn stream_list(&mut self) -> Result<Vec<StreamRow>, StoreError> {
        self.rows::<Sql, _>(&format!("{COLUMNS} ORDER BY id"), &[])
    }

    /// Whose events every stream gets.
    pub fn stream_scopes(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        self.rows::<(Text, Text), (String, String)>(
            "SELECT id, scope FROM ssf_stream ORDER BY id",
            &[],
        )
    }

    /// What an operator has changed, but for verifications. Whoever delivers has lost the lease, and
    /// begins anew.
    pub fn stream_update(&mut self, row: &StreamRow) -> Result<(), StoreError> {
        self.execute(
            "UPDATE ssf_stream SET scope = ?, description = ?, method = ?, endpoint_url = ?, \
             authorization_header = ?, events = ?, subject_format = ?, status = ?, \
             status_since = ?, status_cause = ?, status_reason = ?, version = version + 1, \
             position = ?, acked = ?, last_refusal = ?, attempts = ?, refusals = ?, \
             failing_since = ?, next_at = ?, runner = '', lease = 0, modified = ? \
             WHERE id = ?",
            &[
                Bind::Text(&row.scope),
                Bind::OptText(row.description.as_deref()),
                Bind::Text(&row.method),
                Bind::OptText(row.endpoint_url.as_deref()),
                Bind::OptText(row.authorization_header.as_deref()),
                Bind::OptText(row.events.as_deref()),
                Bind::Text(&row.subject_format),
                Bind::Text(&row.status),
                Bind::Int(row.status_since),
                Bind::OptText(row.status_cause.as_deref()),
                Bind::OptText(row.status_reason.as_deref()),
                Bind::Int(row.place.position),
                Bind::Text(&row.place.acked),
                Bind::OptText(row.place.last_refusal.as_deref()),
                Bind::Int(row.health.attempts),
                Bind::Int(row.health.refusals),
                Bind::OptInt(row.health.failing_since),
                Bind::Int(row.health.next_at),
                Bind::Int(row.modified),
                Bind::Text(&row.id),
            ],
        )?;
        Ok(())
    }

    /// Asks for a verification. Whoever delivers keeps the lease.
    pub fn stream_verify(&mut self, id: &str, asked: &str, now: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE ssf_stream SET verification = ?, verified_at = ? WHERE id = ?",
            &[Bind::Text(asked), Bind::Int(now), Bind::Text(id)],
        )?;
        Ok(())
    }

    /// Removes the stream with all that hangs on it; false when there was none.
    pub fn stream_delete(&mut self, id: &str) -> Result<bool, StoreError> {
        let binds = [Bind::Text(id)];
        Ok(self.execute("DELETE FROM ssf_stream WHERE id = ?", &binds)? > 0)
    }

    /// The organization is no more: streams of it alone end, others go on without it.
    pub fn stream_forget_organization(&mut self, organization: &str) -> Result<(), StoreError> {
        let named = self.dialect.pick(
            "instr(',' || scope || ',', ',' || ? || ',') > 0 ORDER BY id",
            // The scope that is written is made of the one that is read.
            "strpos(',' || scope || ',', ',' || ? || ',') > 0 ORDER BY id FOR NO KEY UPDATE",
        );
        let text = format!("SELECT id, scope FROM ssf_stream WHERE {named}");
        let binds = [Bind::Text(organization)];
        for (id, scope) in self.rows::<(Text, Text), (String, String)>(&text, &binds)? {
            let rest: Vec<&str> = scope.split(',').filter(|id| *id != organization).collect();
            // An empty scope would be that of all organizations.
            if rest.is_empty() {
                self.stream_delete(&id)?;
                continue;
            }
            self.execute(
                "UPDATE ssf_stream SET scope = ?, version = version + 1, last_refusal = NULL, \
                 runner = '', lease = 0 WHERE id = ?",
                &[Bind::Owned(rest.join(",")), Bind::Text(&id)],
            )?;
        }
        Ok(())
    }

    /// Streams that this server sends to, the one first that was served longest ago.
    pub fn stream_pushed(&mut self) -> Result<Vec<PushedStream>, StoreError> {
        self.rows::<(Text, Text, Nullable<Text>, BigInt, BigInt, BigInt, Nullable<Text>), _>(
            "SELECT id, scope, events, position, next_at, lease, verification FROM ssf_stream \
             WHERE method = 'push' AND status = 'enabled' ORDER BY served, id",
            &[],
        )
    }

    /// Takes the stream for a runner, if nobody has it.
    pub fn stream_claim(
        &mut self,
        id: &str,
        runner: &str,
        now: i64,
        lease: i64,
    ) -> Result<Option<StreamRow>, StoreError> {
        let taken = self.execute(
            "UPDATE ssf_stream SET runner = ?, lease = ?, served = ? WHERE id = ? AND lease <= ? \
             AND method = 'push' AND status = 'enabled'",
            &[Bind::Text(runner), Bind::Int(lease), Bind::Int(now), Bind::Text(id), Bind::Int(now)],
        )?;
        if taken == 0 { Ok(None) } else { self.stream_get(id) }
    }

    /// Ends every lease: whoever held one has stopped.
    pub fn stream_release_all(&mut self) -> Result<(), StoreError> {
        self.execute("UPDATE ssf_stream SET lease = 0 WHERE lease <> 0", &[])?;
        Ok(())
    }

    /// The verification that was asked for; nothing when the runner no longer has the stream as it was
    /// when it took it.
    pub fn stream_held(
        &mut self,
        id: &str,
        runner: &str,
        version: i64,
    ) -> Result<Option<Option<String>>, StoreError> {
        self.row::<Nullable<Text>, Option<String>>(
            "SELECT verification FROM ssf_stream WHERE id = ? AND runner = ? AND version = ?",
            &[Bind::Text(id), Bind::Text(runner), Bind::Int(version)],
        )
    }

    /// Stores what a runner has done, unless the stream is no longer its own or stands elsewhere than it
    /// was left at `from`; false then. `verified` is the verification that is done; another one that was
    /// asked for meanwhile stays.
    pub fn stream_save(
        &mut self,
        row: &StreamRow,
        runner: &str,
        from: i64,
        lease: i64,
        verified: &str,
    ) -> Result<bool, StoreError> {
        let (place, health) = (&row.place, &row.health);
        let saved = self.execute(
            "UPDATE ssf_stream SET position = ?, acked = ?, missed = ?, refused = ?, \
             last_refusal = ?, head = ?, attempts = ?, refusals = ?, failing_since = ?, \
             last_success = ?, next_at = ?, verification = NULLIF(verification, ?), status = ?, status_since = ?, status_cause = ?, \
             status_reason = ?, lease = ? \
             WHERE id = ? AND runner = ? AND version = ? AND position = ?",
            &[
                Bind::Int(place.position),
                Bind::Text(&place.acked),
                Bind::Int(place.missed),
                Bind::Int(place.refused),
                Bind::OptText(place.last_refusal.as_deref()),
                Bind::Text(&health.head),
                Bind::Int(health.attempts),
                Bind::Int(health.refusals),
                Bind::OptInt(health.failing_since),
                Bind::OptInt(health.last_success),
                Bind::Int(health.next_at),
                Bind::Text(verified),
                Bind::Text(&row.status),
                Bind::Int(row.status_since),
                Bind::OptText(row.status_cause.as_deref()),
                Bind::OptText(row.status_reason.as_deref()),
                Bind::Int(lease),
                Bind::Text(&row.id),
                Bind::Text(runner),
                Bind::Int(row.version),
                Bind::Int(from),
            ],
        )?;
        Ok(saved > 0)
    }

    /// Stores what a receiver that polls has acknowledged, if nobody has stored anything since `before`
    /// was read; false then.
    pub fn stream_acknowledge(
        &mut self,
        before: &StreamRow,
        after: &StreamRow,
    ) -> Result<bool, StoreError> {
        let place = &after.place;
        let saved = self.execute(
            "UPDATE ssf_stream SET position = ?, acked = ?, missed = ?, refused = ?, \
             last_refusal = ?, last_success = ?, verification = ? \
             WHERE id = ? AND version = ? AND position = ? AND acked = ? \
             AND COALESCE(verification, '') = ?",
            &[
                Bind::Int(place.position),
                Bind::Text(&place.acked),
                Bind::Int(place.missed),
                Bind::Int(place.refused),
                Bind::OptText(place.last_refusal.as_deref()),
                Bind::OptInt(after.health.last_success),
                Bind::OptText(after.verification.as_deref()),
                Bind::Text(&before.id),
                Bind::Int(before.version),
                Bind::Int(before.place.position),
                Bind::Text(&before.place.acked),
                Bind::Text(before.verification.as_deref().unwrap_or_default()),
            ],
        )?;
        Ok(saved > 0)
    }

    /// Where every stream stands.
    pub fn stream_lags(&mut self) -> Result<Vec<StreamLag>, StoreError> {
        self.rows::<(Text, Text, Text, Nullable<Text>, BigInt), _>(
            "SELECT id, method, status, status_cause, position FROM ssf_stream ORDER BY id",
            &[],
        )
    }

    /// Brings streams back that stand beyond the end of the log, as after a restore.
    pub fn stream_rewind(&mut self, end: i64) -> Result<usize, StoreError> {
        self.execute(
            "UPDATE ssf_stream SET position = ?, acked = '[]', version = version + 1, runner = '', \
             lease = 0 WHERE position > ?",
            &[Bind::Int(end), Bind::Int(end)],
        )
    }

    /// Whose the events behind a position are, oldest first.
    pub fn stream_news(&mut self, after: i64, limit: i64) -> Result<Vec<UserEvent>, StoreError> {
        self.rows::<(BigInt, Text, Text), _>(
            "SELECT p.position, e.event, COALESCE(o.id, g.organization_id, '') FROM \
             (SELECT position, directory_key, event_key FROM event_position WHERE position > ? \
             ORDER BY position LIMIT ?) p \
             JOIN event e ON e.key = p.event_key AND e.directory_key = p.directory_key \
             LEFT JOIN directory d ON d.key = p.directory_key \
             LEFT JOIN organization o ON o.key = d.organization_key \
             LEFT JOIN directory_past g ON g.directory_key = p.directory_key \
             ORDER BY p.position",
            &[Bind::Int(after), Bind::Int(limit)],
        )
    }

    /// Takes a subject out of a stream; false when there are `most` already.
    pub fn stream_remove_subject(
        &mut self,
        id: &str,
        subject: &str,
        most: i64,
    ) -> Result<bool, StoreError> {
        let count = self.row::<BigInt, i64>(
            "SELECT COUNT(*) FROM ssf_removed_subject WHERE stream_id = ? AND subject <> ?",
            &[Bind::Text(id), Bind::Text(subject)],
        )?;
        if count.unwrap_or(0) >= most {
            return Ok(false);
        }
        self.execute(
            "INSERT INTO ssf_removed_subject (stream_id, subject) VALUES (?, ?) \
             ON CONFLICT DO NOTHING",
            &[Bind::Text(id), Bind::Text(subject)],
        )?;
        Ok(true)
    }

    /// Takes a subject in again.
    pub fn stream_add_subject(&mut self, id: &str, subject: &str) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM ssf_removed_subject WHERE stream_id = ? AND subject = ?",
            &[Bind::Text(id), Bind::Text(subject)],
        )?;
        Ok(())
    }

    /// Which of these subjects were taken out.
    pub fn stream_removed(
        &mut self,
        id: &str,
        subjects: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let removed = self.dialect.each(
            "ssf_removed_subject",
            "s",
            "s.subject = j.value AND s.stream_id = ?",
        );
        let text = format!("SELECT s.subject FROM {} {removed}", self.dialect.texts());
        let subjects = serde_json::to_string(subjects).unwrap_or_default();
        self.rows::<Text, String>(&text, &[Bind::Owned(subjects), Bind::Text(id)])
    }
}
