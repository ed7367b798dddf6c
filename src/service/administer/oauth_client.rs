//! OAuth clients of a directory: a client belongs to one directory, and its tokens open that one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::token::expiry;
use super::{ListPage, ListParameters, check_name, directory};
use crate::auth::{KeySet, Secret, SecretKind, hash};
use crate::scim::key::instant_text;
use crate::service::audit::{Target, action};
use crate::service::authenticate::TokenScope;
use crate::service::error::AdminError;
use crate::service::oauth::TOKEN_PATH;
use crate::service::sync::config::refuse_push;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;
use crate::store::oauth::OAuthClientRow;

/// Largest key set, in bytes.
const MAX_JWKS_BYTES: usize = 32 * 1024;

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// By a secret that is made for it.
    ClientSecret,
    /// By signing with a key whose public half it has given (RFC 7523).
    PrivateKeyJwt,
}

#[derive(Clone, Debug, Serialize)]
pub struct OAuthClientView {
    pub id: String,
    /// The id under the name that OAuth has for it.
    pub client_id: String,
    /// Shown once, when the client is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    pub name: Option<String>,
    pub auth_method: AuthMethod,
    pub suffix: Option<String>,
    pub jwks: Option<Value>,
    pub scope: String,
    /// Where the client gets its access tokens.
    pub token_endpoint: String,
    pub expires_at: Option<String>,
    pub last_used_at: Option<String>,
    pub created_at: String,
}

impl OAuthClientView {
    fn of(row: OAuthClientRow, public_url: &str) -> Self {
        Self {
            client_id: row.id.clone(),
            id: row.id,
            client_secret: None,
            name: row.name,
            auth_method: match row.jwks {
                Some(_) => AuthMethod::PrivateKeyJwt,
                None => AuthMethod::ClientSecret,
            },
            suffix: row.suffix,
            jwks: row.jwks.as_deref().map(|text| serde_json::from_str(text).unwrap_or_default()),
            scope: row.scope,
            token_endpoint: format!("{public_url}{TOKEN_PATH}"),
            expires_at: row.expires.map(instant_text),
            last_used_at: row.last_used.map(instant_text),
            created_at: instant_text(row.created),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOAuthClient {
    #[serde(default)]
    pub name: Option<String>,
    pub auth_method: AuthMethod,
    /// JSON Web Key Set with public keys, for `private_key_jwt`.
    #[serde(default)]
    pub jwks: Option<Value>,
    #[serde(default)]
    pub scope: Option<TokenScope>,
    #[serde(default)]
    pub expires_at: Option<String>,
}

fn missing() -> ServiceError {
    AdminError::not_found("The OAuth client").into()
}

/// The key set as it is stored: checked, and there only for a client that signs.
fn checked_jwks(method: AuthMethod, jwks: Option<&Value>) -> Result<Option<String>, AdminError> {
    match (method, jwks.filter(|jwks| !jwks.is_null())) {
        (AuthMethod::ClientSecret, None) => Ok(None),
        (AuthMethod::ClientSecret, Some(_)) => Err(AdminError::invalid(
            "jwks",
            "a client with a secret has no keys; leave it out, or set auth_method to \
             private_key_jwt.",
        )),
        (AuthMethod::PrivateKeyJwt, None) => Err(AdminError::invalid(
            "jwks",
            "a client with auth_method private_key_jwt needs the set of its public keys.",
        )),
        (AuthMethod::PrivateKeyJwt, Some(set)) => {
            let text = set.to_string();
            if text.len() > MAX_JWKS_BYTES {
                let message = format!("it is larger than {MAX_JWKS_BYTES} bytes.");
                return Err(AdminError::invalid("jwks", message));
            }
            KeySet::strict(set).map_err(|(place, what)| {
                let field = if place.is_empty() { "jwks".into() } else { format!("jwks.{place}") };
                AdminError::invalid(&field, what)
            })?;
            Ok(Some(text))
        }
    }
}

impl Service {
    pub async fn oauth_client_create(
        &self,
        access: &ApiAccess,
        directory_id: &str,
        new: NewOAuthClient,
    ) -> Result<OAuthClientView, ServiceError> {
        let row = self.directory_row(access, directory_id).await?;
        refuse_push(&row)?;
        let now = self.clock.now_ms();
        if let Some(name) = &new.name {
            check_name(name)?;
        }
        let jwks = checked_jwks(new.auth_method, new.jwks.as_ref())?;
        let secret = Secret::generate(SecretKind::Client, &self.clock);
        let has_secret = jwks.is_none();
        let client = OAuthClientRow {
            id: secret.id,
            directory_key: row.key,
            name: new.name,
            suffix: has_secret.then_some(secret.suffix),
            hash: has_secret.then(|| hash::hash(&secret.text)),
            jwks,
            scope: new.scope.unwrap_or(TokenScope::Write).as_str().to_owned(),
            expires: expiry(new.expires_at.as_deref(), now)?,
            created: now,
            last_used: None,
        };
        let stored = client.clone();
        let view = OAuthClientView::of(client, &self.public_url);
        let (audit, made) = (self.audit(access, action::OAUTH_CLIENT_CREATED), json!(view));
        self.store
            .write("oauth_client_create", move |tx| {
                directory::lock(tx, row.key)?;
                tx.oauth_client_insert(&stored)?;
                let target = Target::in_directory(&row, &stored.id, stored.name.as_deref());
                Ok::<_, ServiceError>(audit.write(tx, target, Value::Null, made.clone())?)
            })
            .await?;
        Ok(OAuthClientView { client_secret: has_secret.then_some(secret.text), ..view })
    }

    pub async fn oauth_client_list(
        &self,
        access: &ApiAccess,
        directory_id: &str,
        parameters: &ListParameters,
    ) -> Result<ListPage<OAuthClientView>, ServiceError> {
        let range = parameters.range()?;
        let row = self.directory_row(access, directory_id).await?;
        let reading = range.clone();
        let rows: Result<Vec<OAuthClientRow>, StoreError> = self
            .store
            .get("oauth_client_list", move |tx| tx.oauth_client_list(row.key, &reading))
            .await;
        let page = ListPage::of(&range, rows?, |row| &row.id);
        Ok(page.map(|row| OAuthClientView::of(row, &self.public_url)))
    }

    pub async fn oauth_client_get(
        &self,
        access: &ApiAccess,
        directory_id: &str,
        client_id: &str,
    ) -> Result<OAuthClientView, ServiceError> {
        let row = self.directory_row(access, directory_id).await?;
        let id = client_id.to_owned();
        let client: Result<Option<OAuthClientRow>, StoreError> =
            self.store.get("oauth_client_get", move |tx| tx.oauth_client_get(&id)).await;
        let client = client?.filter(|client| client.directory_key == row.key);
        Ok(OAuthClientView::of(client.ok_or_else(missing)?, &self.public_url))
    }

    /// Removes the client: its secret and its access tokens are dead here at once, everywhere within
    /// seconds.
    pub async fn oauth_client_delete(
        &self,
        access: &ApiAccess,
        directory_id: &str,
        client_id: &str,
    ) -> Result<(), ServiceError> {
        let row = self.directory_row(access, directory_id).await?;
        let (id, public_url) = (client_id.to_owned(), self.public_url.clone());
        let audit = self.audit(access, action::OAUTH_CLIENT_DELETED);
        self.store
            .write("oauth_client_delete", move |tx| {
                directory::lock(tx, row.key)?;
                let client = tx.oauth_client_get(&id)?.ok_or_else(missing)?;
                if !tx.oauth_client_delete(row.key, &id)? {
                    return Err(missing());
                }
                let target = Target::in_directory(&row, &id, client.name.as_deref());
                let before = json!(OAuthClientView::of(client.clone(), &public_url));
                Ok(audit.write(tx, target, before, Value::Null)?)
            })
            .await?;
        self.forget_access();
        Ok(())
    }
}
