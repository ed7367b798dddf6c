//! Identities: one person, several directories of an organization.
//!
//! An organization keeps identities from the first `PUT …/primary_directory` on. From then on every unit
//! that changes what the app sees of a user links the user's account to an identity, in the same
//! transaction, and appends the events that follow. Organizations without them pay nothing: a
//! [`Directory`] knows whether its organization keeps some, and switching them on makes units that did
//! not know it be refused.
//!
//! Two directories of one organization may bring the same person at the same time. Who is whom is
//! decided under one lock, the organization's row in `organization_identity`: [`Scope::enter`]. It comes
//! after the directory and before every resource, so no two units wait for each other. A unit that locks
//! resources before it knows whether one of them is a user's takes it all the same. Behind it no unit locks a
//! directory. On PostgreSQL who waits for it holds a thread of the store: of one organization few do so at
//! once ([`in_turn`](crate::store::in_turn)).
//!
//! [`facts`] is what an identity knows of an account, [`person`] what it makes of its accounts, both
//! pure; [`link`] follows the accounts, [`decide`] what people decide, which [`merge`] carries out,
//! [`alias`] the addresses that they confirm, [`primary`] the primary directory, [`work`] brings what was
//! there before; [`read`] shows it.

mod alias;
mod decide;
mod facts;
mod link;
mod merge;
mod person;
mod primary;
mod read;
mod work;

pub use alias::NewAlias;
pub use decide::Decision;
pub(super) use facts::Facts;
pub(super) use link::{Ledger, account_changed, account_gone, account_handed_over, account_seen};
pub use primary::PrimaryChange;
pub use read::IdentityQuery;
pub use work::IdentityMetrics;
pub(super) use work::retire;

use std::time::Duration;

use super::context::Directory;
use super::error::AdminError;
use super::{ApiAccess, Service, ServiceError};
use crate::store::organization::OrganizationRow;
use crate::store::{StoreError, Tx, in_line};

/// Accounts that an identity may have. An address that more users share is nobody's.
const MAX_ACCOUNTS: usize = 50;

/// How often is looked for what is left to do about identities.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Where identities are kept, as a unit finds it that holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) organization_key: i64,
    /// The primary directory.
    pub(super) primary: Option<i64>,
}

impl Scope {
    /// Takes the lock, where the organization of the directory keeps identities.
    pub(super) fn enter(
        tx: &mut Tx<'_>,
        directory: &Directory,
    ) -> Result<Option<Self>, StoreError> {
        match directory.identities {
            Some(organization_key) => Self::lock(tx, organization_key),
            None => Ok(None),
        }
    }

    fn lock(tx: &mut Tx<'_>, organization_key: i64) -> Result<Option<Self>, StoreError> {
        let row = tx.identity_scope_lock(organization_key)?;
        Ok(row.map(|row| Self { organization_key, primary: row.primary_key }))
    }
}

/// 409 where the organization keeps no identities.
fn switched_off() -> ServiceError {
    let message = "The organization keeps no identities. PUT primary_directory, with null for none, \
                   switches them on.";
    AdminError::new(409, "identities_off", message).into()
}

/// The organization, if the key may see it.
fn organization(
    tx: &mut Tx<'_>,
    access: &ApiAccess,
    id: &str,
) -> Result<OrganizationRow, ServiceError> {
    let found = if access.reaches(id) { tx.organization_get(id)? } else { None };
    found.ok_or_else(|| AdminError::not_found("The organization").into())
}

impl Service {
    /// Runs `work`, which takes the lock of the organization.
    async fn locking<T>(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        work: impl Future<Output = Result<T, ServiceError>>,
    ) -> Result<T, ServiceError> {
        let (access, id) = (access.clone(), organization_id.to_owned());
        let found: Result<OrganizationRow, ServiceError> =
            self.store.get("organization", move |tx| organization(tx, &access, &id)).await;
        in_line(found?.key, work).await
    }

    /// Does what is left to do about identities whenever there is something, for ever.
    pub async fn run_identities(&self) {
        loop {
            if let Err(error) = self.settle_identities().await {
                tracing::warn!(%error, "identities are not settled yet");
            }
            // A primary directory that another process has chosen is found by looking.
            let _ = tokio::time::timeout(LOOK_EVERY, self.identity_work.notified()).await;
        }
    }

    /// Does everything that is left to do about identities, in every organization.
    pub async fn settle_identities(&self) -> Result<(), ServiceError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let keys: Result<Vec<i64>, StoreError> =
            self.store.get("identity_pending", |tx| tx.identity_pending()).await;
        for key in keys? {
            // One organization that fails does not hold up the others.
            if let Err(error) = in_line(key, self.settle_organization(key)).await {
                tracing::warn!(%error, "identities of an organization are not settled yet");
            }
        }
        Ok(())
    }
}
