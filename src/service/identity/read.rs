//! Identities, suggestions, aliases and orphaned access, as the management API shows them.

use serde_json::{Value, json};

use super::alias::alias_view;
use super::decide::suggestion_view;
use super::person::Person;
use super::{organization, switched_off};
use crate::scim::key::text_key;
use crate::service::administer::{ListPage, ListParameters};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::identity::{IdentityFilter, IdentityRow, IdentityState};
use crate::store::organization::OrganizationRow;
use crate::store::{StoreError, Tx};

/// Which identities a list shows.
#[derive(Clone, Debug, Default)]
pub struct IdentityQuery {
    /// `active`, `inactive` or `ended`; the first two when there is none.
    pub state: Option<String>,
    /// Those with an account that has the address, in any letter case.
    pub email: Option<String>,
    pub directory_id: Option<String>,
    pub user_id: Option<String>,
    pub page: ListParameters,
}

/// States that a list of suggestions may ask for.
const SUGGESTION_STATES: [&str; 3] = ["open", "accepted", "rejected"];

fn identity_state(text: &str) -> Result<IdentityState, AdminError> {
    [IdentityState::Active, IdentityState::Inactive, IdentityState::Ended]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| not_allowed("state", text, "active, inactive and ended"))
}

fn not_allowed(field: &str, text: &str, allowed: &str) -> AdminError {
    let text: String = text.chars().take(80).collect();
    AdminError::invalid(field, format!("it is \"{text}\"; allowed are {allowed}."))
}

/// The organization, which keeps identities.
fn keeping(tx: &mut Tx<'_>, access: &ApiAccess, id: &str) -> Result<OrganizationRow, ServiceError> {
    let row = organization(tx, access, id)?;
    match tx.identity_scope(row.key)? {
        Some(_) => Ok(row),
        None => Err(switched_off()),
    }
}

/// Rows with their accounts, as the API shows them.
fn views(
    tx: &mut Tx<'_>,
    organization_id: &str,
    rows: Vec<IdentityRow>,
) -> Result<Vec<Value>, StoreError> {
    let keys: Vec<i64> = rows.iter().map(|row| row.key).collect();
    let accounts = tx.identity_accounts(&keys)?;
    let views = rows.into_iter().map(|row| {
        let own = accounts.iter().filter(|account| account.identity_key == row.key);
        Person { accounts: own.cloned().collect(), row, past: Vec::new() }.view(organization_id)
    });
    Ok(views.collect())
}

/// The text of a member.
fn member<'v>(view: &'v Value, name: &str) -> &'v str {
    view.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Service {
    /// Identities, newest first.
    pub async fn identity_list(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        query: IdentityQuery,
    ) -> Result<ListPage<Value>, ServiceError> {
        let range = query.page.range()?;
        let state = query.state.as_deref().map(identity_state).transpose()?;
        let (access, id, reading) = (access.clone(), organization_id.to_owned(), range.clone());
        let rows: Vec<Value> = self
            .store
            .read("identity_list", move |tx| {
                let organization = keeping(tx, &access, &id)?;
                let directory_key = match &query.directory_id {
                    None => None,
                    Some(wanted) => {
                        let row = tx.directory_get(wanted)?;
                        match row.filter(|row| row.organization_id == organization.id) {
                            Some(row) => Some(row.key),
                            None => return Err(AdminError::not_found("The directory").into()),
                        }
                    }
                };
                let filter = IdentityFilter {
                    state,
                    email_key: query.email.as_deref().map(|email| text_key(email, false)),
                    directory_key,
                    user_id: query.user_id.clone(),
                };
                let rows = tx.identity_list(organization.key, &filter, &reading)?;
                Ok::<_, ServiceError>(views(tx, &organization.id, rows)?)
            })
            .await?;
        Ok(ListPage::of(&range, rows, |view| member(view, "id")))
    }

    pub async fn identity_get(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        id: &str,
    ) -> Result<Value, ServiceError> {
        let (access, organization_id, id) =
            (access.clone(), organization_id.to_owned(), id.to_owned());
        self.store
            .read("identity_get", move |tx| {
                let organization = keeping(tx, &access, &organization_id)?;
                let row = tx.identity_get(organization.key, &id)?;
                let row = row.ok_or_else(|| AdminError::not_found("The identity"))?;
                let into = match row.merged_into {
                    Some(key) => tx.identity_by_key(key)?.map(|row| row.id),
                    None => None,
                };
                let mut view = views(tx, &organization.id, vec![row])?.pop().unwrap_or_default();
                if let (Some(into), Some(object)) = (into, view.as_object_mut()) {
                    object.insert("merged_into".into(), into.into());
                }
                Ok(view)
            })
            .await
    }

    /// Suggestions in that state, open ones unless another is asked for, newest first.
    pub async fn suggestion_list(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        state: Option<&str>,
        page: &ListParameters,
    ) -> Result<ListPage<Value>, ServiceError> {
        let range = page.range()?;
        let wanted = state.unwrap_or("open");
        let state = SUGGESTION_STATES.into_iter().find(|known| *known == wanted);
        let state =
            state.ok_or_else(|| not_allowed("state", wanted, "open, accepted and rejected"))?;
        let (access, id, reading) = (access.clone(), organization_id.to_owned(), range.clone());
        let rows: Vec<Value> = self
            .store
            .read("suggestion_list", move |tx| {
                let organization = keeping(tx, &access, &id)?;
                let rows = tx.suggestion_list(organization.key, state, &reading)?;
                let shown = rows.iter().map(|row| suggestion_view(&organization.id, row));
                Ok::<_, ServiceError>(shown.collect())
            })
            .await?;
        Ok(ListPage::of(&range, rows, |view| member(view, "id")))
    }

    /// The aliases of an identity and of those that were merged into it, by address.
    pub async fn alias_list(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        identity_id: &str,
    ) -> Result<Value, ServiceError> {
        let (access, organization_id, id) =
            (access.clone(), organization_id.to_owned(), identity_id.to_owned());
        self.store
            .read("alias_list", move |tx| {
                let organization = keeping(tx, &access, &organization_id)?;
                let row = tx.identity_get(organization.key, &id)?;
                let row = row.ok_or_else(|| AdminError::not_found("The identity"))?;
                let aliases = tx.alias_list(row.key)?;
                let data: Vec<Value> =
                    aliases.iter().map(|alias| alias_view(&row.id, alias)).collect();
                Ok(json!({"data": data}))
            })
            .await
    }

    /// Accounts that stay active while the primary directory says that the person is not; by user id,
    /// newest first.
    pub async fn orphaned_access(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        page: &ListParameters,
    ) -> Result<ListPage<Value>, ServiceError> {
        let range = page.range()?;
        let (access, id, reading) = (access.clone(), organization_id.to_owned(), range.clone());
        let rows: Vec<Value> = self
            .store
            .read("orphaned_access", move |tx| {
                let organization = keeping(tx, &access, &id)?;
                let rows = tx.identity_orphaned(organization.key, &reading)?;
                let shown = rows.into_iter().map(|(account, identity_id)| {
                    json!({
                        "object": "orphaned_access",
                        "identity_id": identity_id,
                        "directory_id": account.directory_id,
                        "user_id": account.user_id,
                        "email": account.email,
                        "linked_by": account.linked_by,
                    })
                });
                Ok::<_, ServiceError>(shown.collect())
            })
            .await?;
        Ok(ListPage::of(&range, rows, |view| member(view, "user_id")))
    }
}
