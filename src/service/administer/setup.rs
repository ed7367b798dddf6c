//! What a visitor of a setup link makes: a directory and its tokens, each once however often the form
//! is sent.

use std::sync::Arc;

use serde_json::{Value, json};

use super::directory::{Draft, missing};
use super::organization;
use super::token::{TokenView, issue, shown, target};
use crate::auth::{Secret, SecretKind, hash};
use crate::pull::SourceKind;
use crate::scim::Object;
use crate::service::audit::{Target, action};
use crate::service::authenticate::TokenScope;
use crate::service::context::State;
use crate::service::error::AdminError;
use crate::service::sync::config::refuse_push;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::directory::DirectoryRow;
use crate::store::token::TokenRow;
use crate::store::{ListRange, RangeFrom, StoreError, Tx};

/// Directories of one organization that visitors may bring it to.
const MOST_DIRECTORIES: usize = 20;

/// Tokens of one directory that visitors may bring it to.
const MOST_TOKENS: i64 = 20;

impl Service {
    /// The id of a directory of that kind that no identity provider has talked to: the one that the
    /// organization has, else a new one without a token.
    pub async fn directory_for_setup(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        kind: &str,
        name: &str,
    ) -> Result<String, ServiceError> {
        let draft = Draft::bare(&self.clock, name.to_owned(), kind.to_owned(), "{}".to_owned());
        let (organization_id, kind) = (organization_id.to_owned(), kind.to_owned());
        let audit = self.audit(access, action::DIRECTORY_CREATED);
        self.store
            .write("directory_for_setup", move |tx| {
                // Held until the end, so that two of the same form do not both find none.
                let organization =
                    tx.organization_lock(&organization_id)?.ok_or_else(organization::missing)?;
                if let Some(row) = tx.directory_untouched(organization.key, &kind)? {
                    return Ok(row.id);
                }
                may_add_directory(tx, organization.key)?;
                let row = draft.store(tx, organization.key)?;
                audit.write(tx, Target::directory(&row), Value::Null, made(&row))?;
                Ok(row.id)
            })
            .await
    }

    /// Makes the directory with that id, which is read with that configuration once somebody says when.
    /// Where it is there already, the form was sent twice at the same time and nothing is made.
    pub async fn source_for_setup(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        id: &str,
        kind: &'static SourceKind,
        config: Object,
    ) -> Result<(), ServiceError> {
        let config = Value::Object(config);
        let source = self.source_checked(access, kind.name, Some(&config))?.ok_or_else(missing)?;
        let settings = json!({"schedule": "off"}).to_string();
        let draft = Draft::read(&self.clock, kind.title.into(), kind.name.into(), settings);
        let draft = draft.under(id.to_owned());
        let (organization_id, id) = (organization_id.to_owned(), id.to_owned());
        let audit = self.audit(access, action::DIRECTORY_CREATED);
        let (syncs, now) = (Arc::clone(&self.syncs), self.clock.now_ms());
        self.store
            .write("source_for_setup", move |tx| {
                let organization =
                    tx.organization_lock(&organization_id)?.ok_or_else(organization::missing)?;
                match tx.directory_get(&id)? {
                    Some(row) if row.state != State::Deleting.as_str() => return Ok(()),
                    // The form has made it once, and it was deleted since.
                    Some(_) => return Err(missing()),
                    None if tx.directory_past_get(&id)?.is_some() => return Err(missing()),
                    None => {}
                }
                may_add_directory(tx, organization.key)?;
                let row = draft.store(tx, organization.key)?;
                source.store(tx, &row, &syncs, now)?;
                Ok(audit.write(tx, Target::directory(&row), Value::Null, made(&row))?)
            })
            .await
    }

    /// Makes a token beside those that there are. `newest` is the id of the newest one that the visitor
    /// was shown, empty for none: when another was made since, the form was sent twice and nothing is
    /// made.
    pub async fn token_for_setup(
        &self,
        link_id: &str,
        row: DirectoryRow,
        newest: &str,
    ) -> Result<TokenView, ServiceError> {
        refuse_push(&row)?;
        // What is refused for the tokens that there are costs neither a hash nor the lock.
        let key = row.key;
        let tokens: Result<Vec<TokenRow>, StoreError> =
            self.store.get("token_list", move |tx| tx.token_list(key, &most())).await;
        may_add(&tokens?, newest)?;
        let now = self.clock.now_ms();
        let Secret { id, text, suffix } = Secret::generate(SecretKind::Directory, &self.clock);
        let hashed = text.clone();
        let token = TokenRow {
            id,
            directory_key: key,
            suffix,
            hash: self.hashing(move || hash::hash(&hashed)).await?,
            scope: TokenScope::Write.as_str().to_owned(),
            user_id: None,
            expires: None,
            created: now,
            last_used: None,
            made_by: Some(link_id.to_owned()),
        };
        let (ids, stored, newest) = (self.clock.ids(), token.clone(), newest.to_owned());
        let audit = self.audit_by(link_id, action::TOKEN_CREATED);
        self.store
            .write("token_for_setup", move |tx| {
                // Alone, so that two of the same form do not both find the same newest one.
                let state = tx.directory_lock_exclusive(key)?;
                if state.is_none_or(|state| state == State::Deleting.as_str()) {
                    return Err(missing());
                }
                may_add(&tx.token_list(key, &most())?, &newest)?;
                issue(tx, &row, &stored, &mut ids.clone(), now)?;
                audit.write(tx, target(&row, &stored), Value::Null, shown(&stored))?;
                Ok::<_, ServiceError>(())
            })
            .await?;
        Ok(TokenView::with_secret(token, text))
    }
}

/// What the audit log shows of a new directory.
fn made(row: &DirectoryRow) -> Value {
    json!({"id": row.id, "name": row.name, "kind": row.kind})
}

fn may_add_directory(tx: &mut Tx<'_>, organization_key: i64) -> Result<(), ServiceError> {
    if tx.directory_keys_of(organization_key)?.len() < MOST_DIRECTORIES {
        return Ok(());
    }
    let message = format!(
        "This organization has {MOST_DIRECTORIES} directories already; ask whoever sent you the link to \
         delete those that are not used."
    );
    Err(AdminError::new(409, "too_many_directories", message).into())
}

fn most() -> ListRange {
    ListRange { from: RangeFrom::Newest, limit: MOST_TOKENS }
}

/// Refuses another token beside these, which are the newest ones first.
fn may_add(tokens: &[TokenRow], newest: &str) -> Result<(), AdminError> {
    if tokens.first().map_or("", |token| &token.id) != newest {
        let message = "Another token was made since this page was opened, and it is shown only once. If \
                       nobody has copied it, open the page of the directory again and make a new one.";
        return Err(AdminError::new(409, "token_made_meanwhile", message));
    }
    if i64::try_from(tokens.len()).unwrap_or(i64::MAX) >= MOST_TOKENS {
        let message = format!(
            "This directory has {MOST_TOKENS} tokens already; ask whoever sent you the link to revoke \
             those that are not used."
        );
        return Err(AdminError::new(409, "too_many_tokens", message));
    }
    Ok(())
}
