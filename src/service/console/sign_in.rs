//! A password becomes a session.
//!
//! Nothing tells an unknown address from a wrong password: the sentence, the status and the time are the
//! same, and both are counted alike. Whoever has failed too often ([`super::guesses`]) is told to wait before
//! anything is hashed.

use std::net::IpAddr;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::Console;
use super::admin::{check_password, email_key, missing};
use super::guesses::{Attempt, browser_mark};
use super::session::{Admin, Place};
use crate::auth::password;
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::{Service, ServiceError};
use crate::store::StoreError;
use crate::store::admin::AdminRow;

/// What the browser keeps of whoever has signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The secret of the session.
    pub session: String,
    /// By which the browser is known when the account signs in there again.
    pub mark: String,
}

/// Why nobody was signed in.
#[derive(Debug)]
pub enum SignInError {
    /// No such account, or not its password.
    Wrong,
    /// Too many failures; seconds to wait.
    TooMany(u64),
    Service(ServiceError),
}

impl From<ServiceError> for SignInError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

impl Service {
    /// Runs argon2 with the parameters of passwords, one at a time; `waiting` has the places before it.
    async fn passwords<T: Send + 'static>(
        &self,
        waiting: &Semaphore,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let busy = || StoreError::Overloaded;
        let _place = waiting.try_acquire().map_err(|_| busy())?;
        let _turn = self.console.hashing.acquire().await.map_err(|_| busy())?;
        tokio::task::spawn_blocking(work).await.map_err(|_| busy())
    }

    pub(super) async fn password_hash(&self, text: &str) -> Result<String, StoreError> {
        let text = text.to_owned();
        self.passwords(&self.console.others, move || password::hash(&text)).await
    }

    /// What the form that signs in must carry, for the browser with that text.
    pub fn console_start_secret(&self, browser: &str) -> String {
        self.console.mac.secret("start", browser)
    }

    /// A new session of whoever has that address and password. `mark` is what the browser keeps of an earlier
    /// one, if it does.
    pub async fn console_sign_in(
        &self,
        email: &str,
        text: &str,
        mark: &str,
        place: &Place,
        address: Option<IpAddr>,
    ) -> Result<SignedIn, SignInError> {
        let (key, mac) = (email_key(email), &self.console.mac);
        let attempt = Attempt::outside(mac, &key, mark, address);
        let row = self.checked_password(&key, text, &attempt).await?;
        let (session, session_text) = self.console_session(place);
        let (id, now) = (row.id.clone(), self.clock.now_ms());
        let audit = self.audit_by(&id, action::ADMINISTRATOR_SIGNED_IN).named(&row.name);
        let from = json!({"address": place.address});
        let begun: Result<bool, StoreError> = self
            .store
            .write("admin_sign_in", move |tx| {
                // It may have got another password while this one was hashed.
                let known = tx.admin_lock(&row.id)?;
                if known.is_none_or(|known| known.password != row.password) {
                    return Ok(false);
                }
                tx.admin_session_insert(&row.id, &session)?;
                tx.admin_signed_in(&row.id, now)?;
                let target = Target::of_server(&row.id, Some(&row.email));
                audit.write(tx, target, Value::Null, from.clone())?;
                Ok(true)
            })
            .await;
        if !begun? {
            return Err(SignInError::Wrong);
        }
        tracing::info!(admin = id, address = place.address, "an administrator has signed in");
        Ok(SignedIn { session: session_text, mark: browser_mark(mac, &key) })
    }

    /// The account with that address, if this is its password.
    async fn checked_password(
        &self,
        key: &str,
        text: &str,
        attempt: &Attempt,
    ) -> Result<AdminRow, SignInError> {
        let Console { guesses, strangers, others, .. } = &self.console;
        guesses.begin(attempt, self.clock.now_ms()).map_err(SignInError::TooMany)?;
        let looked = key.to_owned();
        let row: Option<AdminRow> = match looked.contains('\0') {
            true => None,
            false => self.store.get("admin_by_email", move |tx| tx.admin_by_email(&looked)).await?,
        };
        let stored = row.as_ref().and_then(|row| row.password.clone());
        let text = text.to_owned();
        let waiting = if attempt.is_known() { others } else { strangers };
        let is_right =
            self.passwords(waiting, move || password::verify(&text, stored.as_deref())).await?;
        match row.filter(|_| is_right) {
            Some(row) => {
                guesses.was_right(attempt);
                Ok(row)
            }
            None => {
                tracing::warn!(?attempt, "somebody could not sign in");
                Err(SignInError::Wrong)
            }
        }
    }

    /// Another password for whoever is signed in and knows the one before: every session ends, and the
    /// secret of a new one is answered.
    pub async fn console_change_password(
        &self,
        admin: &Admin,
        before: &str,
        after: &str,
        place: &Place,
    ) -> Result<String, SignInError> {
        check_password(after, &admin.email).map_err(ServiceError::from)?;
        let key = email_key(&admin.email);
        let attempt = Attempt::inside(&key, &admin.session_id);
        let row = self.checked_password(&key, before, &attempt).await?;
        if row.id != admin.id {
            return Err(SignInError::Wrong);
        }
        let hashed = self.password_hash(after).await?;
        let (session, session_text) = self.console_session(place);
        let now = self.clock.now_ms();
        let audit = self.audit(&admin.access, action::ADMINISTRATOR_UPDATED);
        let changed = self
            .store
            .write("admin_password", move |tx| {
                let known = tx.admin_lock(&row.id)?.ok_or_else(missing)?;
                if known.password != row.password {
                    let message = "The password was changed meanwhile; nothing was done.";
                    return Err(AdminError::new(409, "conflict", message).into());
                }
                let password = Some(hashed.clone());
                tx.admin_update(&AdminRow { password, modified: now, ..known })?;
                tx.admin_link_delete_of(Some(&row.id))?;
                tx.admin_session_delete_all(&row.id)?;
                let target = Target::of_server(&row.id, Some(&row.email));
                audit.write(tx, target, Value::Null, json!({"password_changed": true}))?;
                Ok::<_, ServiceError>(tx.admin_session_insert(&row.id, &session)?)
            })
            .await;
        changed?;
        tracing::info!(admin = admin.id, "an administrator has changed the password");
        Ok(session_text)
    }
}
