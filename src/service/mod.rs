//! Use cases. No HTTP types and no SQL: handlers call these functions, these call the store.
//!
//! [`provision`] creates, replaces, patches and deletes resources, [`query`] reads them, [`read`] shows
//! them to the app,
//! [`administer`] manages organizations, directories, tokens and API keys, [`authenticate`] says
//! what a bearer secret opens, [`events`] reads what is told, [`webhook`] sends it, [`ssf`] makes Security
//! Event Tokens of it, [`oauth`] what a client gets and what a signed token opens, [`exchange`] keeps records
//! of what clients sent, [`sync`] reads directories that nobody pushes.

pub mod administer;
pub mod alarms;
pub mod asynchronous;
pub mod audit;
pub mod authenticate;
pub mod brake;
pub mod bulk;
pub mod client;
pub mod console;
mod content;
pub mod context;
mod creation;
mod deletion;
pub mod disconnect;
pub mod discovery;
pub mod error;
pub mod events;
pub mod exchange;
pub mod idempotent;
pub mod identity;
pub mod intent;
mod known;
mod lifecycle;
pub mod limit;
pub mod live;
pub mod mapping;
mod membership;
pub mod oauth;
pub mod openapi;
pub mod overview;
pub mod people;
pub mod policy;
pub mod policy_work;
pub mod portal;
mod prepared;
pub mod provision;
pub mod purge;
pub mod query;
pub mod read;
mod record;
pub mod render;
pub mod secret_keys;
mod seen;
mod side_by_side;
pub mod ssf;
pub mod sync;
mod turns;
mod unit;
mod unit_single;
pub mod webhook;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

pub use authenticate::{Access, ApiAccess, ApiScope, AuthError, Credentials};
pub use context::Directory;
pub use error::ServiceError;

/// Runs `work` as the directory's: in the queues of the store it takes turns with other directories.
pub use crate::store::on_behalf_of;

/// The same, with the organization for whose identities its writes wait, if that keeps some.
pub use crate::store::in_turn;

use crate::auth::{AccessTokens, Failures, Seal, SecretKey, Verified};
use crate::clock::Clock;
use crate::outbound::Outbound;
use crate::scim::Registry;
use crate::store::{RecordStore, Store, StoreError};
use limit::{Cost, Limited, Limiter, Quota, RateLimit};

/// Everything that the use cases need. Built once and shared.
pub struct Service {
    pub store: Store,
    pub clock: Clock,
    /// The schemas that every directory has.
    pub registry: Registry,
    /// Where clients reach the server, without a trailing slash; used when the request does not say.
    pub public_url: String,
    /// Records of what SCIM clients sent.
    pub records: Arc<exchange::Records>,
    known_directories: known::KnownDirectories,
    pub(crate) tokens: Verified<Arc<Access>>,
    pub(crate) api_keys: Verified<Arc<ApiAccess>>,
    pub(crate) failures: Failures,
    /// Signs and recognises the access tokens of OAuth clients.
    pub(crate) access_tokens: AccessTokens,
    /// What OAuth clients and Entra tenants open, by who they are.
    pub(crate) granted: Verified<Arc<Access>>,
    pub(crate) tenant_keys: oauth::TenantKeys,
    /// What directories and API keys may ask for that have no limit of their own.
    rate_limit: RateLimit,
    directory_limiter: Limiter<i64>,
    key_limiter: Limiter<String>,
    sightings: client::Sightings,
    /// Asynchronous requests that run at the same time.
    pub(crate) async_runners: Arc<tokio::sync::Semaphore>,
    /// Requests that were stored when no runner was free.
    pub(crate) async_arrivals: AtomicU64,
    /// Seals everything again when the secret key changes.
    pub secret_keys: secret_keys::SecretKeys,
    /// Seals what is accepted to be done later.
    accepted: Seal,
    /// Seals answers that are kept for the same request.
    answers: Seal,
    pub(crate) cursors: query::Cursors,
    pub(crate) anchors: query::Anchors,
    pub policy_metrics: policy_work::PolicyMetrics,
    pub alarm_metrics: alarms::AlarmMetrics,
    pub identity_metrics: identity::IdentityMetrics,
    /// Wakes who does what is left to do about identities.
    identity_work: tokio::sync::Notify,
    pub mapping_metrics: mapping::work::MappingMetrics,
    /// A map was put.
    mapping_wake: tokio::sync::Notify,
    /// Previews that may be worked out at the same time.
    previews: Arc<tokio::sync::Semaphore>,
    /// What this process has counted for the overview.
    pub samples: overview::Samples,
    /// Who is told that something has changed.
    pub(crate) live: live::Live,
    /// How long rows of the audit log are kept.
    audit_retention: policy::Span,
    /// The log that the app reads.
    pub event_log: events::EventLog,
    /// Sends it to endpoints.
    pub webhooks: webhook::Webhooks,
    /// What of it security systems are told.
    pub streams: ssf::Streams,
    pub intent_metrics: intent::IntentMetrics,
    /// A directory is to be disconnected.
    disconnecting: tokio::sync::Notify,
    pub portal: portal::Portal,
    pub(crate) console: console::Console,
    /// Reads directories that are not pushed.
    pub syncs: Arc<sync::Syncs>,
    /// Most changes of members in one unit.
    pub(crate) members_at_once: usize,
    /// Hashes that may be computed at the same time.
    pub(crate) hashing: tokio::sync::Semaphore,
    /// Hashes that may be computed or wait for it.
    pub(crate) hashing_queue: tokio::sync::Semaphore,
    /// Keys that are not in the database: the one from the configuration and the local one.
    pub(crate) fixed_keys: Vec<authenticate::FixedKey>,
}

impl Service {
    /// Fails when the database does not answer.
    pub async fn check_database(&self) -> Result<(), ServiceError> {
        let answer: Result<Option<String>, StoreError> =
            self.store.get("ready", |tx| tx.setting_get("first_start")).await;
        answer?;
        Ok(())
    }

    /// Takes the cost of a request out of the directory's bucket; `None` when it has no limit.
    pub fn limit_directory(&self, access: &Access, cost: Cost) -> Result<Option<Quota>, Limited> {
        let directory = &access.directory;
        let RateLimit::At(rate) = directory.rate_limit.unwrap_or(self.rate_limit) else {
            return Ok(None);
        };
        let now = self.clock.now_ms();
        let taken = self.directory_limiter.take(directory.key, rate, cost, now);
        if taken.is_err_and(|limited| limited.tell) {
            tracing::warn!(directory = directory.id, %rate, "the directory is at its rate limit");
        }
        taken.map(Some)
    }

    /// Takes a request out of the bucket of the API key; `None` when there is no limit.
    pub fn limit_api_key(&self, access: &ApiAccess) -> Result<Option<Quota>, Limited> {
        let RateLimit::At(rate) = self.rate_limit else { return Ok(None) };
        let now = self.clock.now_ms();
        let taken = self.key_limiter.take(access.key_id.clone(), rate, Cost::One, now);
        if taken.is_err_and(|limited| limited.tell) {
            tracing::warn!(api_key = access.key_id, %rate, "the API key is at its rate limit");
        }
        taken.map(Some)
    }

    /// Units that wait, by lane.
    pub fn queue_depths(&self) -> [(&'static str, usize); 3] {
        self.store.queue_depths()
    }
}

/// Hashes computed at the same time.
const HASHING_THREADS: usize = 2;

/// Hashes computed or waiting; more are refused, so that a flood of tokens holds no memory.
const MAX_HASHING: usize = 256;

impl Service {
    pub fn new(
        store: Store,
        clock: Clock,
        public_url: String,
        fixed_keys: Vec<authenticate::FixedKey>,
        secret_key: &SecretKey,
        rate_limit: RateLimit,
        records: RecordStore,
    ) -> Self {
        Self {
            records: Arc::new(exchange::Records::new(records, secret_key)),
            async_runners: Arc::new(tokio::sync::Semaphore::new(asynchronous::RUNNERS)),
            async_arrivals: AtomicU64::new(0),
            secret_keys: secret_keys::SecretKeys::new(secret_key),
            accepted: secret_key.seal("asynchronous request"),
            answers: secret_key.seal("idempotent answer"),
            cursors: query::Cursors::new(secret_key),
            anchors: query::Anchors::default(),
            policy_metrics: policy_work::PolicyMetrics::default(),
            alarm_metrics: alarms::AlarmMetrics::default(),
            identity_metrics: identity::IdentityMetrics::default(),
            identity_work: tokio::sync::Notify::new(),
            mapping_metrics: mapping::work::MappingMetrics::default(),
            mapping_wake: tokio::sync::Notify::new(),
            previews: Arc::new(tokio::sync::Semaphore::new(1)),
            samples: overview::Samples::default(),
            live: live::Live::default(),
            audit_retention: audit::RETENTION,
            event_log: events::EventLog::default(),
            webhooks: webhook::Webhooks::new(secret_key),
            streams: ssf::Streams::new(secret_key),
            intent_metrics: intent::IntentMetrics::default(),
            disconnecting: tokio::sync::Notify::new(),
            portal: portal::Portal::new(secret_key),
            console: console::Console::new(secret_key),
            syncs: Arc::new(sync::Syncs::new(secret_key)),
            members_at_once: intent::MEMBERS_AT_ONCE,
            store,
            clock,
            registry: Registry::builtin(),
            public_url,
            known_directories: known::KnownDirectories::default(),
            tokens: Verified::default(),
            api_keys: Verified::default(),
            failures: Failures::default(),
            access_tokens: AccessTokens::new(secret_key),
            granted: Verified::default(),
            tenant_keys: oauth::TenantKeys::default(),
            rate_limit,
            directory_limiter: Limiter::default(),
            key_limiter: Limiter::default(),
            sightings: client::Sightings::default(),
            hashing: tokio::sync::Semaphore::new(HASHING_THREADS),
            hashing_queue: tokio::sync::Semaphore::new(MAX_HASHING),
            fixed_keys,
        }
    }

    /// The same service with the operator's retention of events.
    pub fn with_event_retention(self, retention: policy::Span) -> Self {
        Self { event_log: self.event_log.keeping(retention), ..self }
    }

    /// The same service with the operator's retention of the audit log.
    pub fn with_audit_retention(self, retention: policy::Span) -> Self {
        Self { audit_retention: retention, ..self }
    }

    /// The same service with the operator's network and patience for receivers of webhooks and tokens: how
    /// long one may take, and the pause after the first failure in milliseconds.
    pub fn with_webhooks(self, outbound: Outbound, timeout: Duration, first_retry_ms: i64) -> Self {
        let streams = self.streams.reaching(outbound.clone(), timeout, first_retry_ms);
        let webhooks = self.webhooks.reaching(outbound, timeout, first_retry_ms);
        Self { webhooks, streams, ..self }
    }

    /// The same service with the operator's network for sources, the folder where files are laid for
    /// directories, the first pause after a source that did not answer, in milliseconds, and how long it
    /// has for one answer.
    pub fn with_sources(
        self,
        outbound: Outbound,
        inbox: PathBuf,
        first_retry_ms: i64,
        request_timeout: Duration,
        longest_read: Duration,
    ) -> Self {
        let syncs =
            self.syncs.reaching(outbound, inbox, first_retry_ms, request_timeout, longest_read);
        Self { syncs: Arc::new(syncs), ..self }
    }

    /// The same service with so many changes of members in one unit.
    pub fn with_members_at_once(self, members_at_once: usize) -> Self {
        Self { members_at_once, ..self }
    }

    /// The same service, whose setup links may lead back to these places.
    pub fn with_portal_origins(self, origins: Vec<portal::Origin>) -> Self {
        Self { portal: self.portal.leading_to(origins), ..self }
    }

    /// The same service, whose administrators are also named by that OpenID provider.
    pub fn with_console_openid(
        self,
        settings: Option<console::OpenIdSettings>,
        outbound: Outbound,
    ) -> Self {
        let Some(settings) = settings else { return self };
        Self { console: self.console.with_openid(settings, outbound), ..self }
    }

    /// The same service with the operator's settings for Entra.
    pub fn with_tenant_keys(self, tenant_keys: oauth::TenantKeys) -> Self {
        Self { tenant_keys, ..self }
    }
}
