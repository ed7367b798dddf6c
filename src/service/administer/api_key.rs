//! API keys of the management and read APIs.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::token::expiry;
use super::{ListPage, ListParameters, check_name};
use crate::auth::{Secret, SecretKind, hash};
use crate::clock::Clock;
use crate::scim::key::instant_text;
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, ApiScope, Service, ServiceError};
use crate::store::StoreError;
use crate::store::api_key::ApiKeyRow;

/// Most organizations that a key is limited to: lists read a part of each.
const MAX_ORGANIZATIONS: usize = 100;

#[derive(Clone, Debug, Serialize)]
pub struct ApiKeyView {
    pub id: String,
    pub name: String,
    /// Shown once, when the key is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    pub suffix: String,
    pub scopes: Value,
    pub organization_ids: Option<Value>,
    pub expires_at: Option<String>,
    pub last_used_at: Option<String>,
    pub created_at: String,
}

impl From<ApiKeyRow> for ApiKeyView {
    fn from(row: ApiKeyRow) -> Self {
        let json = |text: &str| serde_json::from_str(text).unwrap_or_default();
        Self {
            scopes: json(&row.scopes),
            organization_ids: row.organization_ids.as_deref().map(json),
            id: row.id,
            name: row.name,
            secret: None,
            suffix: row.suffix,
            expires_at: row.expires.map(instant_text),
            last_used_at: row.last_used.map(instant_text),
            created_at: instant_text(row.created),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    pub name: String,
    pub scopes: Vec<ApiScope>,
    #[serde(default)]
    pub organization_ids: Option<Vec<String>>,
    #[serde(default)]
    pub expires_at: Option<String>,
}

/// A new key for every organization that does not expire, and its secret.
pub(super) fn new_row(clock: &Clock, name: &str, scopes: &[ApiScope]) -> (ApiKeyRow, String) {
    let secret = Secret::generate(SecretKind::Api, clock);
    let scopes = serde_json::to_value(scopes).map(|scopes: Value| scopes.to_string());
    let row = ApiKeyRow {
        id: secret.id,
        name: name.to_owned(),
        suffix: secret.suffix,
        hash: hash::hash(&secret.text),
        scopes: scopes.unwrap_or_default(),
        organization_ids: None,
        expires: None,
        created: clock.now_ms(),
        last_used: None,
    };
    (row, secret.text)
}

/// Keys that reach only some organizations do not manage keys.
fn refuse_limited(access: &ApiAccess) -> Result<(), AdminError> {
    match access.organization_ids {
        None => Ok(()),
        Some(_) => Err(AdminError::new(
            403,
            "forbidden",
            "This API key is limited to certain organizations and cannot manage API keys.",
        )),
    }
}

impl Service {
    pub async fn api_key_create(
        &self,
        access: &ApiAccess,
        new: NewApiKey,
    ) -> Result<ApiKeyView, ServiceError> {
        refuse_limited(access)?;
        check_name(&new.name)?;
        if new.scopes.is_empty() {
            let message = "name at least one of read, webhooks, manage, admins, ssf.manage.";
            return Err(AdminError::invalid("scopes", message).into());
        }
        if new
            .organization_ids
            .as_ref()
            .is_some_and(|ids| !(1..=MAX_ORGANIZATIONS).contains(&ids.len()))
        {
            let message = format!(
                "name 1 to {MAX_ORGANIZATIONS}, or leave it out for a key that reaches all."
            );
            return Err(AdminError::invalid("organization_ids", message).into());
        }
        if new.scopes.contains(&ApiScope::Admins) && !access.scopes.contains(&ApiScope::Admins) {
            let message = "This API key lacks the scope \"admins\" and cannot give it.";
            return Err(AdminError::new(403, "forbidden", message).into());
        }
        let now = self.clock.now_ms();
        let (row, secret) = new_row(&self.clock, &new.name, &new.scopes);
        let row = ApiKeyRow {
            organization_ids: new.organization_ids.clone().map(|ids| Value::from(ids).to_string()),
            expires: expiry(new.expires_at.as_deref(), now)?,
            ..row
        };
        let stored = row.clone();
        let audit = self.audit(access, action::API_KEY_CREATED);
        self.store
            .write("api_key_create", move |tx| {
                for id in new.organization_ids.iter().flatten() {
                    if tx.organization_get(id)?.is_none() {
                        let message = format!("\"{id}\" names no organization.");
                        return Err(AdminError::invalid("organization_ids", message).into());
                    }
                }
                tx.api_key_insert(&stored)?;
                let target = Target::of_server(&stored.id, Some(&stored.name));
                let made = json!(ApiKeyView::from(stored.clone()));
                Ok::<_, ServiceError>(audit.write(tx, target, Value::Null, made)?)
            })
            .await?;
        Ok(ApiKeyView { secret: Some(secret), ..row.into() })
    }

    pub async fn api_key_list(
        &self,
        access: &ApiAccess,
        parameters: &ListParameters,
    ) -> Result<ListPage<ApiKeyView>, ServiceError> {
        refuse_limited(access)?;
        let range = parameters.range()?;
        let reading = range.clone();
        let rows: Result<Vec<ApiKeyRow>, StoreError> =
            self.store.get("api_key_list", move |tx| tx.api_key_list(&reading)).await;
        Ok(ListPage::of(&range, rows?, |row| &row.id).map(Into::into))
    }

    pub async fn api_key_delete(&self, access: &ApiAccess, id: &str) -> Result<(), ServiceError> {
        refuse_limited(access)?;
        let id = id.to_owned();
        let audit = self.audit(access, action::API_KEY_DELETED);
        self.store
            .write("api_key_delete", move |tx| {
                let missing = || ServiceError::from(AdminError::not_found("The API key"));
                let row = tx.api_key_get(&id)?.ok_or_else(missing)?;
                if !tx.api_key_delete(&id)? {
                    return Err(missing());
                }
                let before = json!(ApiKeyView::from(row.clone()));
                let target = Target::of_server(&id, Some(&row.name));
                Ok(audit.write(tx, target, before, Value::Null)?)
            })
            .await?;
        self.forget_access();
        Ok(())
    }
}
