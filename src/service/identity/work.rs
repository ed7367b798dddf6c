//! What is left to do about identities besides the requests: users who were there before the organization
//! kept identities, the identities of a changed primary directory, the accounts of a deleted directory.
//!
//! Each unit does a bounded part and stores how far it is, so that a process that stops leaves the rest
//! to the next one. Requests do not wait for it: a user whom one changes meanwhile gets its identity
//! there, and is passed over here.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::link::{Ledger, account_found, account_gone, update};
use super::primary::people;
use super::{Facts, Scope};
use crate::service::authenticate::served_catalogue;
use crate::service::context::Directory;
use crate::service::events::walk;
use crate::service::exchange::Listed;
use crate::service::{Service, ServiceError};
use crate::store::snapshot::{Ids, LAST_ID};
use crate::store::{StoreError, Tx};

/// Users or identities about which one unit tells something.
const TOLD: usize = 100;
const TOLD_ROWS: i64 = 100;

/// Identities that a unit looks at: when all change, it has not read many for nothing.
const LOOKED_AT: i64 = 200;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabels {
    decision: &'static str,
}

/// What was done about identities in this process besides the requests of identity providers.
#[derive(Clone, Debug, Default)]
pub struct IdentityMetrics {
    linked: Counter,
    settled: Counter,
    decisions: Family<DecisionLabels, Counter>,
}

impl IdentityMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "identity_accounts_linked",
            "Users linked to identities because their organization began to keep some",
            self.linked.clone(),
        );
        registry.register(
            "identity_settled",
            "Identities looked at because of a changed primary directory",
            self.settled.clone(),
        );
        registry.register(
            "identity_decisions",
            "Decisions of people about who is whom",
            self.decisions.clone(),
        );
    }

    pub(super) fn decided(&self, decision: &'static str) {
        let labels = DecisionLabels { decision };
        self.decisions.get_or_create(&labels).inc();
    }
}

/// What a unit has done.
struct Done {
    count: usize,
    more: bool,
}

impl Service {
    pub(super) async fn settle_organization(&self, key: i64) -> Result<(), ServiceError> {
        while self.link_step(key).await? {}
        while self.primary_step(key).await? {}
        Ok(())
    }

    /// Links the next users of a directory; false when none are left.
    async fn link_step(&self, organization_key: i64) -> Result<bool, ServiceError> {
        let found: Result<_, StoreError> = self
            .store
            .read("identity_walk", move |tx| {
                let Some((key, _)) = tx.identity_walk_next(organization_key)? else {
                    return Ok(None);
                };
                let Some(row) = tx.directory_by_key(key)? else { return Ok(None) };
                Ok(Some((row, tx.schema_get(key)?, served_catalogue(tx, key)?)))
            })
            .await;
        let Some((row, own, served)) = found? else { return Ok(false) };
        let registry = self.registry_of(own.as_ref()).with_catalogue(|n| served.contains(&n));
        let directory = Arc::new(Directory::from_row(&row, registry));
        let (ids, now) = (self.clock.ids(), self.clock.now_ms());
        let done: Done = self
            .store
            .write("identity_link", move |tx| {
                link_users(tx, &directory, organization_key, ids.clone(), now)
            })
            .await?;
        self.identity_metrics.linked.inc_by(u64::try_from(done.count).unwrap_or(0));
        Ok(done.more)
    }

    /// Brings the next identities to the primary directory; false when none are left.
    async fn primary_step(&self, organization_key: i64) -> Result<bool, ServiceError> {
        let (ids, now) = (self.clock.ids(), self.clock.now_ms());
        let done: Done = self
            .store
            .write("identity_primary", move |tx| settle(tx, organization_key, ids.clone(), now))
            .await?;
        self.identity_metrics.settled.inc_by(u64::try_from(done.count).unwrap_or(0));
        Ok(done.more)
    }
}

fn link_users(
    tx: &mut Tx<'_>,
    directory: &Directory,
    organization_key: i64,
    mut ids: crate::clock::Ids,
    now: i64,
) -> Result<Done, ServiceError> {
    let more = |count| Ok(Done { count, more: true });
    let shared = tx.directory_share(directory.key)?;
    if shared.as_ref().is_none_or(|shared| shared.state == "deleting") {
        // Nobody is told anything about it any more.
        tx.identity_walk_set(directory.key, None)?;
        return more(0);
    }
    if shared.is_some_and(|now| now.converting || now.schema_version != directory.schema_version) {
        // By other schemas the app is shown something else; the next look reads them.
        return Ok(Done { count: 0, more: false });
    }
    let Some(scope) = Scope::lock(tx, organization_key)? else {
        return Ok(Done { count: 0, more: false });
    };
    let next = tx.identity_walk_next(organization_key)?;
    let Some((_, after)) = next.filter(|(key, _)| *key == directory.key) else {
        return more(0);
    };
    let mut event_ids = Listed::default();
    let mut ledger = Ledger {
        scope,
        directory_key: directory.key,
        organization_id: &directory.organization_id,
        ids: &mut ids,
        event_ids: &mut event_ids,
        now,
    };
    let users =
        walk::users(tx, directory, Ids { after: &after, until: LAST_ID, limit: TOLD_ROWS })?;
    for user in &users {
        let facts = Facts::of(&user.view);
        let facts = if user.key.is_none() { facts.departed() } else { facts };
        account_found(tx, &mut ledger, &directory.id, &user.id, &facts)?;
    }
    let last = users.last().filter(|_| users.len() >= TOLD).map(|user| user.id.as_str());
    tx.identity_walk_set(directory.key, last)?;
    more(users.len())
}

fn settle(
    tx: &mut Tx<'_>,
    organization_key: i64,
    mut ids: crate::clock::Ids,
    now: i64,
) -> Result<Done, ServiceError> {
    let row = tx.identity_scope_lock(organization_key)?;
    let Some((row, after)) = row.and_then(|row| row.settle_cursor.map(|after| (row, after))) else {
        return Ok(Done { count: 0, more: false });
    };
    let scope = Scope { organization_key, primary: row.primary_key };
    let organization_id = tx.organization_id(organization_key)?.unwrap_or_default();
    let mut event_ids = Listed::default();
    let (mut count, mut cursor) = (0, None);
    let found = people(tx, organization_key, after, LOOKED_AT)?;
    for before in &found {
        if event_ids.count == TOLD {
            break;
        }
        // Who has no accounts has nothing that could change.
        if let Some(first) = before.accounts.first() {
            let mut ledger = Ledger {
                scope,
                directory_key: first.directory_key,
                organization_id: &organization_id,
                ids: &mut ids,
                event_ids: &mut event_ids,
                now,
            };
            update(tx, &mut ledger, before, before.clone(), &before.accounts)?;
        }
        count += 1;
        cursor = Some(before.row.key);
    }
    tx.identity_settled(organization_key, cursor)?;
    Ok(Done { count, more: cursor.is_some() })
}

/// Ends some accounts of a directory that is being deleted; answers how many. The unit has the directory
/// for itself.
pub(in crate::service) fn retire(
    tx: &mut Tx<'_>,
    key: i64,
    mut ids: crate::clock::Ids,
    now: i64,
) -> Result<usize, StoreError> {
    let Some(row) = tx.directory_by_key(key)? else { return Ok(0) };
    let Some(organization_key) = row.identities else { return Ok(0) };
    let Some(scope) = Scope::lock(tx, organization_key)? else { return Ok(0) };
    let mut event_ids = Listed::default();
    let mut ledger = Ledger {
        scope,
        directory_key: row.key,
        organization_id: &row.organization_id,
        ids: &mut ids,
        event_ids: &mut event_ids,
        now,
    };
    let users = tx.identity_account_users(row.key, TOLD_ROWS)?;
    for user in &users {
        account_gone(tx, &mut ledger, user)?;
    }
    Ok(users.len())
}
