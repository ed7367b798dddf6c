//! The keys with which Entra signs the tokens of a tenant, fetched and kept for a while.
//!
//! A key id that is not there makes them be fetched again, but at most once a minute and tenant: who
//! invents ids costs nobody anything. One request fetches while others go on with the keys they need.

use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;

use super::TokenFault;
use crate::auth::KeySet;
use crate::outbound::{Outbound, OutboundError};
use crate::service::AuthError;

/// How long fetched keys are used before they are fetched again, in milliseconds.
const FRESH_MS: i64 = 60 * 60 * 1_000;

/// How long they are used while fetching fails.
const USABLE_MS: i64 = 24 * 60 * 60 * 1_000;

/// The time between two attempts.
const RETRY_MS: i64 = 60 * 1_000;

/// Largest key document, in bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// Most tenants remembered.
const TENANTS: usize = 10_000;

/// The keys of tenants.
pub struct TenantKeys {
    outbound: Outbound,
    authority: String,
    tenants: Cache<String, Arc<Tenant>>,
}

#[derive(Default)]
struct Tenant {
    known: Mutex<Known>,
    /// Held by the one request that fetches.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Default)]
struct Known {
    keys: Option<Arc<KeySet>>,
    fetched: i64,
    tried: Option<i64>,
}

impl Known {
    /// The keys, if they are not older than `age` and have that one.
    fn usable(&self, kid: &str, now: i64, age: i64) -> Option<Arc<KeySet>> {
        self.keys.clone().filter(|keys| now - self.fetched < age && keys.has(kid))
    }
}

impl Default for TenantKeys {
    fn default() -> Self {
        Self::new(Outbound::new(Vec::new()), "https://login.microsoftonline.com")
    }
}

impl TenantKeys {
    /// `authority` is the URL in front of the tenant's id.
    pub fn new(outbound: Outbound, authority: &str) -> Self {
        let authority = authority.trim_end_matches('/').to_owned();
        Self { outbound, authority, tenants: Cache::new(TENANTS) }
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// The keys of the tenant, among them the one with that id.
    pub(super) async fn keys(
        &self,
        tenant: &str,
        kid: &str,
        now: i64,
    ) -> Result<Arc<KeySet>, AuthError> {
        let entry = match self.tenants.get(tenant) {
            Some(entry) => entry,
            None => {
                let make = || Ok::<_, AuthError>(Arc::default());
                self.tenants.get_or_insert_with(tenant, make)?
            }
        };
        if let Some(keys) = entry.known().usable(kid, now, FRESH_MS) {
            return Ok(keys);
        }
        let turn = Arc::clone(&entry.fetching).lock_owned().await;
        let known = entry.known();
        if let Some(keys) = known.usable(kid, now, FRESH_MS) {
            return Ok(keys);
        }
        if known.tried.is_none_or(|tried| now - tried >= RETRY_MS) {
            entry.set(Known { tried: Some(now), ..known.clone() });
            let fetching = self.fetch(tenant);
            let fetched = Arc::clone(&entry);
            // A task of its own: the next attempt is a minute away, so what comes is kept although
            // the client that made it be fetched has gone.
            let task = tokio::spawn(async move {
                let _turn = turn;
                match fetching.await {
                    Ok(keys) => {
                        let keys = Some(Arc::new(keys));
                        fetched.set(Known { keys, fetched: now, tried: Some(now) });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the keys of an Entra tenant are not fetched");
                    }
                }
            });
            if let Err(error) = task.await {
                tracing::warn!(%error, "the keys of an Entra tenant are not fetched");
            }
        }
        let known = entry.known();
        match (known.usable(kid, now, USABLE_MS), known.keys) {
            (Some(keys), _) => Ok(keys),
            (None, Some(_)) if now - known.fetched < USABLE_MS => {
                Err(AuthError::InvalidToken(TokenFault::Key))
            }
            (None, _) => Err(AuthError::KeysUnavailable),
        }
    }

    fn fetch(
        &self,
        tenant: &str,
    ) -> impl Future<Output = Result<KeySet, OutboundError>> + Send + use<> {
        let url = format!("{}/{tenant}/discovery/v2.0/keys", self.authority);
        let outbound = self.outbound.clone();
        let failed = |reason: &str| OutboundError::Failed(reason.to_owned());
        async move {
            let body = tokio::task::spawn_blocking(move || outbound.get(&url, MAX_BYTES))
                .await
                .map_err(|_| failed("the request was not finished"))??;
            let set =
                serde_json::from_slice(&body).map_err(|_| failed("the answer is not JSON"))?;
            let keys = KeySet::usable(&set);
            if keys.is_empty() { Err(failed("the answer holds no key")) } else { Ok(keys) }
        }
    }
}

impl Tenant {
    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }
}
