//! Directory tokens: several live at once, so that they can be rotated without an outage.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ListPage, ListParameters, directory};
use crate::auth::{Secret, SecretKind, hash};
use crate::clock::Ids;
use crate::event::name;
use crate::scim::key::{instant_ms, instant_text};
use crate::service::audit::{Target, action};
use crate::service::authenticate::TokenScope;
use crate::service::error::AdminError;
use crate::service::sync::config::refuse_push;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::directory::DirectoryRow;
use crate::store::event::NewEvent;
use crate::store::token::TokenRow;
use crate::store::{StoreError, Tx};

#[derive(Clone, Debug, Serialize)]
pub struct TokenView {
    pub id: String,
    /// Shown once, when the token is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    pub suffix: String,
    pub scope: String,
    pub user_id: Option<String>,
    pub expires_at: Option<String>,
    pub last_used_at: Option<String>,
    pub created_at: String,
    /// The API key or the setup link that it was made with.
    pub made_by: Option<String>,
    /// Only in the answer to a rotation: the token that this one replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
}

/// A token that lives on for a while beside its successor.
#[derive(Clone, Debug, Serialize)]
pub struct Replaced {
    pub id: String,
    pub expires_at: Option<String>,
}

impl From<TokenRow> for TokenView {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            secret: None,
            suffix: row.suffix,
            scope: row.scope,
            user_id: row.user_id,
            expires_at: row.expires.map(instant_text),
            last_used_at: row.last_used.map(instant_text),
            created_at: instant_text(row.created),
            made_by: row.made_by,
            replaces: None,
        }
    }
}

impl TokenView {
    pub(super) fn with_secret(row: TokenRow, secret: String) -> Self {
        Self { secret: Some(secret), ..row.into() }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    #[serde(default)]
    pub expires_at: Option<String>,
    #[serde(default)]
    pub scope: Option<TokenScope>,
    #[serde(default)]
    pub user_id: Option<String>,
}

/// A successor for a token. The old one goes on for `overlap` seconds, so that the identity provider
/// can be given the new one without an outage.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    #[serde(default)]
    pub overlap: Option<i64>,
    #[serde(default)]
    pub expires_at: Option<String>,
}

/// How long a replaced token goes on when nobody says: a day. And at most: 90 days.
const OVERLAP_SECONDS: (i64, i64) = (24 * 60 * 60, 90 * 24 * 60 * 60);

impl Rotation {
    /// In milliseconds.
    fn overlap(&self) -> Result<i64, AdminError> {
        match self.overlap.unwrap_or(OVERLAP_SECONDS.0) {
            seconds if (0..=OVERLAP_SECONDS.1).contains(&seconds) => Ok(seconds * 1_000),
            seconds => Err(AdminError::invalid(
                "overlap",
                format!("it is {seconds}; allowed are 0 to {} seconds.", OVERLAP_SECONDS.1),
            )),
        }
    }
}

/// Reads an expiry, which lies in the future.
pub(super) fn expiry(text: Option<&str>, now: i64) -> Result<Option<i64>, AdminError> {
    let Some(text) = text else { return Ok(None) };
    match instant_ms(text) {
        Some(ms) if ms > now => Ok(Some(ms)),
        Some(_) => Err(AdminError::invalid("expires_at", "it lies in the past.")),
        None => {
            let message = "it must be a date and time such as \"2031-01-01T00:00:00Z\".";
            Err(AdminError::invalid("expires_at", message))
        }
    }
}

/// Stores the token and its event.
pub(super) fn issue(
    tx: &mut Tx<'_>,
    directory: &DirectoryRow,
    token: &TokenRow,
    ids: &mut Ids,
    now: i64,
) -> Result<(), StoreError> {
    tx.token_insert(token)?;
    note(tx, directory, token, name::TOKEN_CREATED, ids, now)
}

fn note(
    tx: &mut Tx<'_>,
    directory: &DirectoryRow,
    token: &TokenRow,
    event: &'static str,
    ids: &mut Ids,
    now: i64,
) -> Result<(), StoreError> {
    let data = json!({
        "object": "directory_token",
        "id": token.id,
        "directory_id": directory.id,
        "organization_id": directory.organization_id,
        "token_suffix": token.suffix,
        "created_at": instant_text(token.created),
        "made_by": token.made_by,
    });
    let new = NewEvent {
        id: ids.next("event"),
        event,
        resource_id: token.id.clone(),
        member_id: None,
        data: data.to_string().into(),
        reason: None,
        created: now,
    };
    tx.event_append(directory.key, &new)
}

/// Tokens have no name; people know them by their last characters.
pub(super) fn target<'t>(directory: &'t DirectoryRow, token: &'t TokenRow) -> Target<'t> {
    Target::in_directory(directory, &token.id, Some(&token.suffix))
}

pub(super) fn shown(token: &TokenRow) -> Value {
    json!(TokenView::from(token.clone()))
}

impl Service {
    pub async fn token_create(
        &self,
        access: &ApiAccess,
        directory_id: &str,
        new: NewToken,
    ) -> Result<TokenView, ServiceError> {
        let row = self.directory_row(access, directory_id).await?;
        refuse_push(&row)?;
        let now = self.clock.now_ms();
        let secret = Secret::generate(SecretKind::Directory, &self.clock);
        let token = TokenRow {
            id: secret.id,
            directory_key: row.key,
            suffix: secret.suffix,
            hash: hash::hash(&secret.text),
            scope: new.scope.unwrap_or(TokenScope::Write).as_str().to_owned(),
            user_id: new.user_id.clone(),
            expires: expiry(new.expires_at.as_deref(), now)?,
            created: now,
            last_used: None,
            made_by: Some(access.key_id.clone()),
        };
        let (ids, stored) = (self.clock.ids(), token.clone());
        let audit = self.audit(access, action::TOKEN_CREATED);
        self.store
            .write("token_create", move |tx| {
                directory::lock(tx, row.key)?;
                if let Some(user) = &stored.user_id
                    && tx.resource_get(row.key, "User", user)?.is_none()
                {
                    let message = "it names no user of this directory.";
                    return Err(AdminError::invalid("user_id", message).into());
                }
                issue(tx, &row, &stored, &mut ids.clone(), now)?;
                audit.write(tx, target(&row, &stored), Value::Null, shown(&stored))?;
                Ok::<_, ServiceError>(())
            })
            .await?;
        Ok(TokenView::with_secret(token, secret.text))
    }

    /// Makes a token with the scope and the user of another one, which ends after the overlap.
    pub async fn token_rotate(
        &self,
        access: &ApiAccess,
        directory_id: &str,
        token_id: &str,
        rotation: Rotation,
    ) -> Result<TokenView, ServiceError> {
        let row = self.directory_row(access, directory_id).await?;
        let now = self.clock.now_ms();
        let ends = now.saturating_add(rotation.overlap()?);
        let expires = expiry(rotation.expires_at.as_deref(), now)?;
        let secret = Secret::generate(SecretKind::Directory, &self.clock);
        let (id, suffix, hash) = (secret.id, secret.suffix, hash::hash(&secret.text));
        let (old_id, ids) = (token_id.to_owned(), self.clock.ids());
        let made_by = access.key_id.clone();
        let audit = self.audit(access, action::TOKEN_ROTATED);
        let (token, old): (TokenRow, TokenRow) = self
            .store
            .write("token_rotate", move |tx| {
                directory::lock(tx, row.key)?;
                let old = tx.token_get(&old_id)?.filter(|token| token.directory_key == row.key);
                let old = old.ok_or_else(|| AdminError::not_found("The token"))?;
                if old.expires.is_some_and(|at| at <= now) {
                    let message = "This token has expired; make a new one.";
                    return Err(AdminError::new(409, "token_expired", message).into());
                }
                let before = json!({"id": old.id, "expires_at": old.expires.map(instant_text)});
                let old =
                    TokenRow { expires: Some(old.expires.map_or(ends, |at| at.min(ends))), ..old };
                tx.token_expire(row.key, &old.id, old.expires)?;
                let token = TokenRow {
                    id: id.clone(),
                    suffix: suffix.clone(),
                    hash: hash.clone(),
                    expires,
                    created: now,
                    last_used: None,
                    made_by: Some(made_by.clone()),
                    ..old.clone()
                };
                issue(tx, &row, &token, &mut ids.clone(), now)?;
                let replaces = json!({"id": old.id, "expires_at": old.expires.map(instant_text)});
                let after = json!({"id": token.id, "suffix": token.suffix, "replaces": replaces});
                audit.write(tx, target(&row, &token), before, after)?;
                Ok::<_, ServiceError>((token, old))
            })
            .await?;
        self.forget_access();
        let replaces = Replaced { id: old.id, expires_at: old.expires.map(instant_text) };
        let view = TokenView::with_secret(token, secret.text);
        Ok(TokenView { replaces: Some(replaces), ..view })
    }

    pub async fn token_list(
        &self,
        access: &ApiAccess,
        directory_id: &str,
        parameters: &ListParameters,
    ) -> Result<ListPage<TokenView>, ServiceError> {
        let range = parameters.range()?;
        let row = self.directory_row(access, directory_id).await?;
        let reading = range.clone();
        let rows: Result<Vec<TokenRow>, StoreError> =
            self.store.get("token_list", move |tx| tx.token_list(row.key, &reading)).await;
        Ok(ListPage::of(&range, rows?, |row| &row.id).map(Into::into))
    }

    /// Revokes the token: dead here at once, everywhere within seconds.
    pub async fn token_delete(
        &self,
        access: &ApiAccess,
        directory_id: &str,
        token_id: &str,
    ) -> Result<(), ServiceError> {
        let row = self.directory_row(access, directory_id).await?;
        let (id, now, ids) = (token_id.to_owned(), self.clock.now_ms(), self.clock.ids());
        let audit = self.audit(access, action::TOKEN_REVOKED);
        self.store
            .write("token_delete", move |tx| {
                directory::lock(tx, row.key)?;
                let token = tx.token_get(&id)?.filter(|token| token.directory_key == row.key);
                let missing = || ServiceError::from(AdminError::not_found("The token"));
                let token = token.ok_or_else(missing)?;
                if !tx.token_delete(row.key, &id)? {
                    return Err(missing());
                }
                note(tx, &row, &token, name::TOKEN_REVOKED, &mut ids.clone(), now)?;
                audit.write(tx, target(&row, &token), shown(&token), Value::Null)?;
                Ok(())
            })
            .await?;
        self.forget_access();
        Ok(())
    }
}
