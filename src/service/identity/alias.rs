//! Addresses that an operator has confirmed to be a person's.
//!
//! An alias stays with the identity for which it was confirmed. Once that is merged, it acts for the one
//! that has its accounts, is shown there and may be deleted there.

use serde::Deserialize;
use serde_json::{Value, json};

use super::decide::conflict;
use super::link::merged_into;
use super::{Scope, organization, switched_off};
use crate::clock::Ids;
use crate::scim::key::{instant_text, text_key};
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::identity::IdentityState;
use crate::store::identity_suggestion::{AliasRow, Suggested};
use crate::store::{StoreError, Tx};

/// Aliases of an identity.
const MAX_ALIASES: usize = 50;

/// Accounts that are suggested because of an alias.
const MAX_SUGGESTED: i64 = 10;

const MAX_EMAIL_BYTES: usize = 512;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAlias {
    pub email: String,
}

pub(super) fn alias_view(identity_id: &str, row: &AliasRow) -> Value {
    json!({
        "object": "identity_alias",
        "identity_id": identity_id,
        "email": row.email,
        "created_at": instant_text(row.created),
    })
}

impl Service {
    /// Confirms that an address is a person's. Accounts that arrive with it are linked to the identity;
    /// those that others have are suggested.
    pub async fn alias_create(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        identity_id: &str,
        new: NewAlias,
    ) -> Result<Value, ServiceError> {
        check_email(&new.email)?;
        let (key, wanted) = (access.clone(), organization_id.to_owned());
        let (identity_id, ids, now) =
            (identity_id.to_owned(), self.clock.ids(), self.clock.now_ms());
        let audit = self.audit(access, action::ALIAS_CREATED);
        let write = self.store.write("identity_alias", move |tx| {
            let organization = organization(tx, &key, &wanted)?;
            Scope::lock(tx, organization.key)?.ok_or_else(switched_off)?;
            let identity_key = living(tx, organization.key, &identity_id)?;
            let row = AliasRow {
                identity_key,
                email: new.email.trim().to_owned(),
                email_key: text_key(&new.email, false),
                created: now,
            };
            let stored = alias_put(tx, organization.key, row, &mut ids.clone(), now)?;
            let view = alias_view(&identity_id, &stored);
            let target = Target::of_organization(&organization.id, &identity_id, None);
            audit.write(tx, target, Value::Null, view.clone())?;
            Ok(view)
        });
        self.locking(access, organization_id, write).await
    }

    pub async fn alias_delete(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        identity_id: &str,
        email: &str,
    ) -> Result<(), ServiceError> {
        let (key, wanted) = (access.clone(), organization_id.to_owned());
        let (identity_id, email) = (identity_id.to_owned(), text_key(email, false));
        let audit = self.audit(access, action::ALIAS_DELETED);
        let write = self.store.write("identity_alias", move |tx| {
            let organization = organization(tx, &key, &wanted)?;
            Scope::lock(tx, organization.key)?.ok_or_else(switched_off)?;
            let row = tx.identity_get(organization.key, &identity_id)?;
            let row = row.ok_or_else(|| AdminError::not_found("The identity"))?;
            let of = tx.alias_list(row.key)?.into_iter().find(|alias| alias.email_key == email);
            let alias = of.ok_or_else(|| AdminError::not_found("The alias"))?;
            tx.alias_delete(alias.identity_key, &email)?;
            let target = Target::of_organization(&organization.id, &identity_id, None);
            audit.write(tx, target, alias_view(&identity_id, &alias), Value::Null)?;
            Ok(())
        });
        self.locking(access, organization_id, write).await
    }
}

fn check_email(email: &str) -> Result<(), AdminError> {
    let trimmed = email.trim();
    let is_address = trimmed.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !trimmed.contains(char::is_whitespace)
    });
    if !is_address || trimmed.len() > MAX_EMAIL_BYTES || trimmed.chars().any(char::is_control) {
        let shown: String = email.chars().filter(|c| !c.is_control()).take(80).collect();
        let message = format!(
            "it is \"{shown}\"; allowed is an e-mail address of at most {MAX_EMAIL_BYTES} bytes."
        );
        return Err(AdminError::invalid("email", message));
    }
    Ok(())
}

/// The key of an identity that has accounts.
pub(super) fn living(
    tx: &mut Tx<'_>,
    organization_key: i64,
    id: &str,
) -> Result<i64, ServiceError> {
    let row = tx.identity_get(organization_key, id)?;
    let row = row.ok_or_else(|| AdminError::not_found("The identity"))?;
    match row.state {
        IdentityState::Active | IdentityState::Inactive => Ok(row.key),
        IdentityState::Ended => {
            Err(conflict("identity_ended", "The identity has ended and is never matched again."))
        }
        IdentityState::Merged => Err(conflict(
            "identity_merged",
            "The identity was merged into another one; use that one, or undo the suggestion.",
        )),
    }
}

fn alias_put(
    tx: &mut Tx<'_>,
    organization_key: i64,
    row: AliasRow,
    ids: &mut Ids,
    now: i64,
) -> Result<AliasRow, ServiceError> {
    if let Some(known) = tx.alias_get(organization_key, &row.email_key)? {
        let holder = merged_into(tx, known.identity_key)?;
        return if holder == row.identity_key { Ok(known) } else { Err(in_use(tx, holder)?) };
    }
    if tx.alias_list(row.identity_key)?.len() >= MAX_ALIASES {
        let message = format!("An identity has {MAX_ALIASES} aliases at most.");
        return Err(conflict("too_many_aliases", &message));
    }
    tx.alias_insert(organization_key, &row)?;
    let others = tx.identity_users_by_email(
        organization_key,
        &row.email_key,
        row.identity_key,
        MAX_SUGGESTED,
    )?;
    for (directory_key, user_id, identity_key) in others {
        let of = Suggested { organization_key, directory_key, user_id: &user_id, identity_key };
        let id = ids.next("identity_suggestion");
        tx.suggestion_insert(of, row.identity_key, &id, "alias", now)?;
    }
    Ok(row)
}

fn in_use(tx: &mut Tx<'_>, holder: i64) -> Result<ServiceError, StoreError> {
    let id = tx.identity_by_key(holder)?.map(|row| row.id).unwrap_or_default();
    let message = format!("The identity \"{id}\" has this alias; delete it there first.");
    Ok(conflict("alias_in_use", &message))
}
