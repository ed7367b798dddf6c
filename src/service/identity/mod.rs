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
//! after the directory and before every resource, so no two units wait for each other.
//!
//! [`facts`] is what an identity knows of an account, [`person`] what it makes of its accounts, both
//! pure; [`link`] follows the accounts, [`decide`] what people decide, [`primary`] the primary
//! directory, [`work`] brings what was there before; [`read`] shows it.

mod decide;
mod facts;
mod link;
mod person;
mod primary;
mod read;
mod work;

pub use decide::{Decision, NewAlias};
pub(super) use facts::Facts;
pub(super) use link::{Ledger, account_gone, account_seen};
pub use primary::PrimaryChange;
pub use read::IdentityQuery;
pub use work::IdentityMetrics;
pub(super) use work::retire;

use super::context::Directory;
use super::error::AdminError;
use super::{ApiAccess, Service, ServiceError};
use crate::store::organization::OrganizationRow;
use crate::store::{StoreError, Tx};

/// Accounts that an identity may have. An address that more users share is nobody's.
const MAX_ACCOUNTS: usize = 50;

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
    /// Does everything that is left to do about identities, in every organization.
    pub async fn settle_identities(&self) -> Result<(), ServiceError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let keys: Result<Vec<i64>, StoreError> =
            self.store.get("identity_pending", |tx| tx.identity_pending()).await;
        for key in keys? {
            // One organization that fails does not hold up the others.
            if let Err(error) = self.settle_organization(key).await {
                tracing::warn!(%error, "identities of an organization are not settled yet");
            }
        }
        Ok(())
    }
}
