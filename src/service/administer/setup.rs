//! What a visitor of a setup link makes: a directory and its tokens, each once however often the form
//! is sent.

use super::directory::{Draft, missing};
use super::organization;
use super::token::{TokenView, issue};
use crate::auth::{Secret, SecretKind, hash};
use crate::service::authenticate::TokenScope;
use crate::service::context::State;
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::token::TokenRow;
use crate::store::{ListRange, RangeFrom, StoreError};

/// Tokens of one directory that visitors may bring it to.
const MOST_TOKENS: i64 = 20;

impl Service {
    /// The id of a directory of that kind that no identity provider has talked to: the one that the
    /// organization has, else a new one without a token.
    pub async fn directory_for_setup(
        &self,
        organization_id: &str,
        kind: &str,
        name: &str,
    ) -> Result<String, ServiceError> {
        let draft = Draft::bare(&self.clock, name.to_owned(), kind.to_owned(), "{}".to_owned());
        let (organization_id, kind) = (organization_id.to_owned(), kind.to_owned());
        self.store
            .write("directory_for_setup", move |tx| {
                // Held until the end, so that two of the same form do not both find none.
                let organization =
                    tx.organization_lock(&organization_id)?.ok_or_else(organization::missing)?;
                if let Some(row) = tx.directory_untouched(organization.key, &kind)? {
                    return Ok(row.id);
                }
                Ok(draft.store(tx, organization.key)?.id)
            })
            .await
    }

    /// Makes a token beside those that there are. `newest` is the id of the newest one that the visitor
    /// was shown, empty for none: when another was made since, the form was sent twice and nothing is
    /// made.
    pub async fn token_for_setup(
        &self,
        access: &ApiAccess,
        directory_id: &str,
        newest: &str,
    ) -> Result<TokenView, ServiceError> {
        let row = self.directory_row(access, directory_id).await?;
        let now = self.clock.now_ms();
        let secret = Secret::generate(SecretKind::Directory, &self.clock);
        let token = TokenRow {
            id: secret.id,
            directory_key: row.key,
            suffix: secret.suffix,
            hash: hash::hash(&secret.text),
            scope: TokenScope::Write.as_str().to_owned(),
            user_id: None,
            expires: None,
            created: now,
            last_used: None,
        };
        let (ids, stored, newest) = (self.clock.ids(), token.clone(), newest.to_owned());
        self.store
            .write("token_for_setup", move |tx| {
                // Alone, so that two of the same form do not both find the same newest one.
                let state = tx.directory_lock_exclusive(row.key)?;
                if state.is_none_or(|state| state == State::Deleting.as_str()) {
                    return Err(missing());
                }
                let range = ListRange { from: RangeFrom::Newest, limit: MOST_TOKENS };
                let tokens: Result<Vec<TokenRow>, StoreError> = tx.token_list(row.key, &range);
                let tokens = tokens?;
                if tokens.first().map_or("", |token| &token.id) != newest {
                    let message = "Another token was made since this page was opened, and it is shown \
                                   only once. If nobody has copied it, open the page of the directory \
                                   again and make a new one.";
                    return Err(AdminError::new(409, "token_made_meanwhile", message).into());
                }
                if i64::try_from(tokens.len()).unwrap_or(i64::MAX) >= MOST_TOKENS {
                    let message = format!(
                        "This directory has {MOST_TOKENS} tokens already; ask whoever sent you the \
                         link to revoke those that are not used."
                    );
                    return Err(AdminError::new(409, "too_many_tokens", message).into());
                }
                issue(tx, &row, &stored, &mut ids.clone(), now)?;
                Ok::<_, ServiceError>(())
            })
            .await?;
        Ok(TokenView::with_secret(token, secret.text))
    }
}
