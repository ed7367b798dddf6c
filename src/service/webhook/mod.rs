//! Webhooks: events are sent to endpoints, each of them in the order of the log and at least once.
//!
//! An endpoint is one row with the position up to which everything is delivered; no event is copied for
//! it. [`run`] looks for endpoints that have something to do ([`news`]) and takes their leases, [`lane`] serves one
//! endpoint for a few seconds, [`attempt`] makes one request. When to try again, to pause and to park is
//! decided by [`crate::event::deliver`]. [`endpoint`], [`replay`] and [`history`] are for operators.
//!
//! Nothing here waits in a request of SCIM, and no transaction is open while a receiver is waited for.

mod attempt;
mod endpoint;
mod history;
mod lane;
mod leave;
mod metrics;
mod news;
mod replay;
mod run;
mod scope;
mod view;

pub use endpoint::{
    EndpointChange, EndpointState, HookChange, NewEndpoint, NewHook, Place, SecretRotation,
};
pub use history::DeliveryQuery;
pub(super) use leave::leave;
pub use metrics::WebhookMetrics;
pub use replay::ReplayRequest;
pub use view::{DeliveryView, EndpointView, HookView, ParkedPage, ParkedView, ReplayView};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use self::news::News;
use super::error::AdminError;
use super::turns::Turns;
use super::{ApiAccess, ServiceError};
use crate::auth::{Seal, SecretKey};
use crate::event::sign::SigningSecret;
use crate::outbound::Outbound;
use crate::store::webhook::EndpointRow;

/// Endpoints that one process serves at the same time.
const LANES: usize = 64;

/// How long a receiver has for its answer unless the operator says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after the first attempt that failed, in milliseconds.
pub const FIRST_RETRY_MS: i64 = 1_000;

/// What a process knows of webhooks.
pub struct Webhooks {
    outbound: Outbound,
    seal: Seal,
    timeout: Duration,
    first_retry_ms: i64,
    lanes: Arc<Semaphore>,
    /// Endpoints that this process serves at the moment, with their scopes.
    busy: Mutex<BTreeMap<String, String>>,
    /// Told when an operator has changed something.
    changed: watch::Sender<()>,
    news: Arc<Mutex<News>>,
    /// Up to where the news are known.
    seen: watch::Sender<i64>,
    tests: Arc<Turns>,
    pub metrics: WebhookMetrics,
}

impl Webhooks {
    pub(super) fn new(secret_key: &SecretKey) -> Self {
        Self {
            outbound: Outbound::new(Vec::new()),
            seal: secret_key.seal("webhook"),
            timeout: TIMEOUT,
            first_retry_ms: FIRST_RETRY_MS,
            lanes: Arc::new(Semaphore::new(LANES)),
            busy: Mutex::default(),
            changed: watch::Sender::new(()),
            news: Arc::default(),
            seen: watch::Sender::new(0),
            tests: Arc::default(),
            metrics: WebhookMetrics::default(),
        }
    }

    /// The same with the operator's network and patience.
    pub fn reaching(self, outbound: Outbound, timeout: Duration, first_retry_ms: i64) -> Self {
        Self { outbound, timeout, first_retry_ms, ..self }
    }

    fn busy(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether others are served at once although an endpoint of this scope keeps its place.
    fn has_room(&self, scope: &str) -> bool {
        self.lanes.available_permits() >= LANES / 2 && news::has_room(&self.busy(), scope)
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells this process that an operator has changed something.
    fn notify(&self) {
        self.changed.send_replace(());
    }

    /// A secret as it is stored; it opens for no other endpoint.
    fn sealed(&self, endpoint_id: &str, secret: &SigningSecret) -> String {
        self.seal.seal(endpoint_id.as_bytes(), secret.text().as_bytes())
    }

    fn opened(&self, endpoint_id: &str, sealed: &str) -> Option<SigningSecret> {
        let text = self.seal.open(endpoint_id.as_bytes(), sealed)?;
        SigningSecret::parse(std::str::from_utf8(&text).ok()?)
    }

    /// The secrets that sign at that time.
    fn secrets(&self, row: &EndpointRow, now: i64) -> Result<Secrets, ServiceError> {
        let lost = || {
            let message = "The secret of this endpoint was sealed with another secret key.";
            ServiceError::from(AdminError::new(500, "secret_lost", message))
        };
        let newest = self.opened(&row.id, &row.secret).ok_or_else(lost)?;
        let previous = row.previous_secret.as_deref();
        let previous = previous.filter(|_| row.previous_until.is_some_and(|until| until > now));
        // One that was sealed with a key that is lost signs nothing; the newest one goes on.
        let previous = previous.and_then(|sealed| self.opened(&row.id, sealed));
        Ok(Secrets { newest, previous })
    }
}

/// What an endpoint's deliveries are signed with.
#[derive(Clone)]
struct Secrets {
    newest: SigningSecret,
    /// The one before, while it still counts.
    previous: Option<SigningSecret>,
}

impl Secrets {
    /// The one for the header that holds one signature: a receiver may not know the newest yet.
    fn single(&self) -> &SigningSecret {
        self.previous.as_ref().unwrap_or(&self.newest)
    }

    fn all(&self) -> impl Iterator<Item = &SigningSecret> {
        std::iter::once(&self.newest).chain(&self.previous)
    }
}

/// The organizations of a scope; `None` for all.
fn organizations(scope: &str) -> Option<Vec<String>> {
    (!scope.is_empty()).then(|| scope.split(',').map(str::to_owned).collect())
}

/// Whether a key may see an endpoint: all of its organizations are the key's.
fn reaches(access: &ApiAccess, scope: &str) -> bool {
    match &access.organization_ids {
        None => true,
        Some(_) => !scope.is_empty() && scope.split(',').all(|id| access.reaches(id)),
    }
}

fn missing() -> ServiceError {
    AdminError::not_found("The webhook endpoint").into()
}
