//! What the look for alarms finds: directories that nobody talks to, credentials that end, endpoints that
//! get nothing, users who lack an attribute. Each query goes by an index on the condition.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::StoreError;
use super::sql::{Bind, Tx};

/// A directory that nobody talks to.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct SilentRow {
    pub directory_key: i64,
    pub directory_id: String,
    pub organization_id: String,
    pub last_request: i64,
    pub longest_silence: i64,
}

/// A directory token or an OAuth client that ends soon.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct EndingRow {
    pub id: String,
    /// The last characters of a token's secret; `None` for a client.
    pub suffix: Option<String>,
    pub expires: i64,
    pub directory_key: i64,
    pub directory_id: String,
    pub organization_id: String,
}

/// A webhook endpoint or a stream that gets nothing, though nobody has told it so.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct StoppedRow {
    pub id: String,
    /// The organizations whose events count, with commas; empty for all.
    pub scope: String,
    pub url: String,
    pub state: String,
    pub reason: String,
    pub since: i64,
}

/// A directory with users who lack an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct FaultyRow {
    pub directory_key: i64,
    pub directory_id: String,
    pub organization_id: String,
}

/// Tokens `t` that end by then and have no younger one that can do the same for longer.
const ENDING_TOKEN: &str = "t.expires <= ? AND NOT EXISTS (SELECT 1 FROM directory_token n \
     WHERE n.directory_key = t.directory_key AND n.scope = t.scope \
     AND COALESCE(n.user_id, '') = COALESCE(t.user_id, '') AND n.created > t.created \
     AND (n.expires IS NULL OR n.expires > t.expires))";

/// The same of OAuth clients.
const ENDING_CLIENT: &str = "t.expires <= ? AND NOT EXISTS (SELECT 1 FROM oauth_client n \
     WHERE n.directory_key = t.directory_key AND n.scope = t.scope AND n.created > t.created \
     AND (n.expires IS NULL OR n.expires > t.expires))";

/// Endpoints that stand still, unless an operator wants it.
const FAILING: &str = "status = 'paused' AND status_cause = 'failing'";

const STOPPED: &str = "state <> 'enabled' AND state_reason <> 'operator'";

impl Tx<'_> {
    /// Directories that take requests, were last talked to before `since`, have been silent for longer
    /// than ever, and have no alarm for it.
    pub fn silent_directories(
        &mut self,
        since: i64,
        now: i64,
        limit: i64,
    ) -> Result<Vec<SilentRow>, StoreError> {
        self.rows::<(BigInt, Text, Text, BigInt, BigInt), _>(
            "SELECT d.key, d.id, o.id, d.last_request, d.longest_silence FROM directory d \
             JOIN organization o ON o.key = d.organization_key WHERE d.last_request < ? \
             AND d.state IN ('linked', 'validating', 'error') \
             AND ? - d.last_request > d.longest_silence AND NOT EXISTS (SELECT 1 FROM alarm a \
             WHERE a.directory_key = d.key AND a.kind = 'directory_silent' AND a.subject = d.id \
             AND a.resolved IS NULL) ORDER BY d.last_request LIMIT ?",
            &[Bind::Int(since), Bind::Int(now), Bind::Int(limit)],
        )
    }

    /// Whether a directory takes requests and has had none since that time.
    pub fn is_silent_since(&mut self, directory_key: i64, time: i64) -> Result<bool, StoreError> {
        let found = self.row::<BigInt, i64>(
            "SELECT key FROM directory WHERE key = ? AND last_request < ? \
             AND state IN ('linked', 'validating', 'error')",
            &[Bind::Int(directory_key), Bind::Int(time)],
        )?;
        Ok(found.is_some())
    }

    /// Tokens and OAuth clients that end by `until` and for which no alarm of at most `level` stands.
    pub fn ending_credentials(
        &mut self,
        until: i64,
        level: i64,
        limit: i64,
    ) -> Result<Vec<EndingRow>, StoreError> {
        let of = |table: &str, suffix: &str, ending: &str| {
            format!(
                "SELECT t.id, {suffix} AS suffix, t.expires, d.key, d.id AS directory_id, \
                 o.id AS organization_id FROM {table} t JOIN directory d ON d.key = t.directory_key \
                 JOIN organization o ON o.key = d.organization_key WHERE {ending} \
                 AND d.state <> 'deleting' AND NOT EXISTS (SELECT 1 FROM alarm a \
                 WHERE a.directory_key = d.key AND a.kind = 'token_expiring' AND a.subject = t.id \
                 AND a.resolved IS NULL AND a.level <= ?)"
            )
        };
        let tokens = of("directory_token", "t.suffix", ENDING_TOKEN);
        let clients = of("oauth_client", "CAST(NULL AS TEXT)", ENDING_CLIENT);
        let bounds = [Bind::Int(until), Bind::Int(level)];
        let [one, two] = [bounds.clone(), bounds];
        let binds: Vec<Bind<'_>> = one.into_iter().chain(two).chain([Bind::Int(limit)]).collect();
        self.rows::<(Text, Nullable<Text>, BigInt, BigInt, Text, Text), _>(
            &format!("{tokens} UNION ALL {clients} ORDER BY 3 LIMIT ?"),
            &binds,
        )
    }

    /// Whether a token or an OAuth client ends by `until` and has no successor.
    pub fn is_ending(&mut self, id: &str, until: i64) -> Result<bool, StoreError> {
        let found = self.row::<BigInt, i64>(
            &format!(
                "SELECT CAST(1 AS BIGINT) FROM directory_token t WHERE t.id = ? AND {ENDING_TOKEN} \
                 UNION ALL \
                 SELECT CAST(1 AS BIGINT) FROM oauth_client t WHERE t.id = ? AND {ENDING_CLIENT}"
            ),
            &[Bind::Text(id), Bind::Int(until), Bind::Text(id), Bind::Int(until)],
        )?;
        Ok(found.is_some())
    }

    /// Endpoints that stand still without an operator's word, and have no alarm for it.
    pub fn stopped_endpoints(&mut self, limit: i64) -> Result<Vec<StoppedRow>, StoreError> {
        self.rows::<(Text, Text, Text, Text, Text, BigInt), _>(
            &format!(
                "SELECT id, scope, url, state, state_reason, state_since FROM webhook_endpoint w \
                 WHERE {STOPPED} AND NOT EXISTS (SELECT 1 FROM alarm a WHERE a.directory_key = 0 \
                 AND a.kind = 'endpoint_paused' AND a.subject = w.id AND a.resolved IS NULL) \
                 ORDER BY id LIMIT ?"
            ),
            &[Bind::Int(limit)],
        )
    }

    /// Whether an endpoint stands still without an operator's word.
    pub fn is_stopped(&mut self, endpoint_id: &str) -> Result<bool, StoreError> {
        let found = self.row::<BigInt, i64>(
            &format!("SELECT CAST(1 AS BIGINT) FROM webhook_endpoint WHERE id = ? AND {STOPPED}"),
            &[Bind::Text(endpoint_id)],
        )?;
        Ok(found.is_some())
    }

    /// Streams that are paused because their receivers accept nothing, and have no alarm for it.
    pub fn failing_streams(&mut self, limit: i64) -> Result<Vec<StoppedRow>, StoreError> {
        self.rows::<(Text, Text, Text, Text, Text, BigInt), _>(
            &format!(
                "SELECT id, scope, COALESCE(endpoint_url, ''), status, COALESCE(status_reason, ''), \
                 status_since FROM ssf_stream s \
                 WHERE {FAILING} AND NOT EXISTS (SELECT 1 FROM alarm a WHERE a.directory_key = 0 \
                 AND a.kind = 'stream_paused' AND a.subject = s.id AND a.resolved IS NULL) \
                 ORDER BY id LIMIT ?"
            ),
            &[Bind::Int(limit)],
        )
    }

    /// Whether a stream is paused because its receiver accepts nothing.
    pub fn is_stream_failing(&mut self, stream_id: &str) -> Result<bool, StoreError> {
        let found = self.row::<BigInt, i64>(
            &format!("SELECT CAST(1 AS BIGINT) FROM ssf_stream WHERE id = ? AND {FAILING}"),
            &[Bind::Text(stream_id)],
        )?;
        Ok(found.is_some())
    }

    /// The next directories, by key, with users who lack an attribute.
    pub fn faulty_directories(
        &mut self,
        after_key: i64,
        limit: i64,
    ) -> Result<Vec<FaultyRow>, StoreError> {
        self.rows::<(BigInt, Text, Text), _>(
            "SELECT d.key, d.id, o.id FROM directory d \
             JOIN organization o ON o.key = d.organization_key WHERE d.key > ? \
             AND d.attribute_map IS NOT NULL AND d.state <> 'deleting' \
             AND EXISTS (SELECT 1 FROM resource r WHERE r.directory_key = d.key \
             AND r.attribute_faults IS NOT NULL) ORDER BY d.key LIMIT ?",
            &[Bind::Int(after_key), Bind::Int(limit)],
        )
    }

    /// The faults of the first users of a directory who have some, as JSON objects.
    pub fn faults_first(
        &mut self,
        directory_key: i64,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        self.rows::<Text, String>(
            "SELECT attribute_faults FROM resource WHERE directory_key = ? \
             AND attribute_faults IS NOT NULL ORDER BY id LIMIT ?",
            &[Bind::Int(directory_key), Bind::Int(limit)],
        )
    }

    /// Whether any user of a directory lacks that attribute.
    pub fn is_lacked(&mut self, directory_key: i64, attribute: &str) -> Result<bool, StoreError> {
        let has = self.dialect.pick(
            "EXISTS (SELECT 1 FROM json_each(r.attribute_faults) j WHERE j.key = ?)",
            "jsonb_exists(CAST(r.attribute_faults AS jsonb), ?)",
        );
        let found = self.row::<BigInt, i64>(
            &format!(
                "SELECT r.key FROM resource r WHERE r.directory_key = ? \
                 AND r.attribute_faults IS NOT NULL AND {has} LIMIT 1"
            ),
            &[Bind::Int(directory_key), Bind::Text(attribute)],
        )?;
        Ok(found.is_some())
    }
}
