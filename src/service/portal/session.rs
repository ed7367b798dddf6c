//! A link becomes a session, once. Reading the link, as mail scanners do, changes nothing.
//!
//! The secret of a session follows from the link and from a random text that the browser was given with
//! the page of the link. So a form that is sent twice, by a double click, ends in one session and not in a
//! refusal, while anybody else who has the link comes too late.

use std::net::IpAddr;

use subtle::ConstantTimeEq;

use crate::auth::secret;
use crate::service::{ApiAccess, AuthError, Service, ServiceError};
use crate::store::StoreError;
use crate::store::portal::PortalLinkRow;

/// How long a session lasts, in milliseconds: an hour, whatever is done in it.
const SESSION_MS: i64 = 60 * 60 * 1_000;

/// What the page of a link shows before it is used.
#[derive(Clone, Debug)]
pub struct Landing {
    pub organization: String,
    pub expires: i64,
}

/// Somebody who came by a link.
#[derive(Clone, Debug)]
pub struct Visit {
    /// What it opens: the link's organization.
    pub access: ApiAccess,
    pub link_id: String,
    pub organization_id: String,
    pub organization: String,
    pub return_url: Option<String>,
    pub success_url: Option<String>,
    pub expires: i64,
    /// Stands in every form of the session.
    pub form_secret: String,
}

impl Service {
    /// Seconds that a session lasts.
    pub fn portal_session_seconds(&self) -> i64 {
        SESSION_MS / 1_000
    }

    /// What the link opens; `None` when it is none, was used, revoked or has ended. Changes nothing.
    pub async fn portal_landing(
        &self,
        link: &str,
        address: Option<IpAddr>,
    ) -> Result<Option<Landing>, AuthError> {
        let now = self.portal_may_try(address)?;
        let found = self.portal_link_row(link).await?;
        match found.filter(|row| row.session_hash.is_none() && row.expires > now) {
            Some(row) => {
                Ok(Some(Landing { organization: row.organization_name, expires: row.expires }))
            }
            None => {
                self.portal.failures.count(None, address, now);
                Ok(None)
            }
        }
    }

    /// The secret of the session that the link is exchanged for. `browser` is what the page of the link
    /// gave to the browser, a text of [`secret::is_random_text`].
    pub async fn portal_exchange(
        &self,
        link: &str,
        browser: &str,
        address: Option<IpAddr>,
    ) -> Result<Option<String>, AuthError> {
        let metrics = &self.portal.metrics;
        let now = self.portal_may_try(address).inspect_err(|_| metrics.exchanged("too_many"))?;
        let session = self.portal.mac.secret("session", &format!("{link} {browser}"));
        if secret::is_setup_secret(link) && secret::is_random_text(browser) {
            let (hash, session_hash) = (secret::text_digest(link), secret::text_digest(&session));
            let opened: Result<bool, StoreError> = self
                .store
                .write("portal_exchange", move |tx| {
                    let ends = now + SESSION_MS;
                    if tx.portal_link_use(&hash, &session_hash, ends, now)? {
                        return Ok(true);
                    }
                    let known = tx.portal_session_get(&session_hash)?;
                    Ok(known.is_some_and(|row| row.expires > now))
                })
                .await;
            if opened? {
                metrics.exchanged("opened");
                return Ok(Some(session));
            }
        }
        metrics.exchanged("refused");
        self.portal.failures.count(None, address, now);
        Ok(None)
    }

    /// The session with that secret, if it has not ended.
    pub async fn portal_visit(&self, session: &str) -> Result<Option<Visit>, ServiceError> {
        if !secret::is_random_text(session) {
            return Ok(None);
        }
        let (now, hash) = (self.clock.now_ms(), secret::text_digest(session));
        let row: Result<Option<PortalLinkRow>, StoreError> =
            self.store.lookup_one("portal_session", move |tx| tx.portal_session_get(&hash)).await;
        let row = row?.filter(|row| row.expires > now);
        Ok(row.map(|row| Visit {
            access: ApiAccess::of_organization(&row.id, &row.organization_id),
            link_id: row.id,
            organization_id: row.organization_id,
            organization: row.organization_name,
            return_url: row.return_url,
            success_url: row.success_url,
            expires: row.expires,
            form_secret: self.portal.mac.secret("form", session),
        }))
    }

    /// Ends the session.
    pub async fn portal_finish(&self, visit: &Visit) -> Result<(), ServiceError> {
        let id = visit.link_id.clone();
        let ended: Result<(), StoreError> =
            self.store.write("portal_finish", move |tx| tx.portal_link_delete(&id)).await;
        Ok(ended?)
    }

    /// What a form must carry that was made for the browser with that text.
    pub fn portal_start_secret(&self, browser: &str) -> String {
        self.portal.mac.secret("start", browser)
    }

    /// The time, unless the address has tried too many wrong links.
    fn portal_may_try(&self, address: Option<IpAddr>) -> Result<i64, AuthError> {
        let now = self.clock.now_ms();
        match self.portal.failures.blocked(None, address, now) {
            Some(seconds) => Err(AuthError::TooMany(seconds)),
            None => Ok(now),
        }
    }

    async fn portal_link_row(&self, link: &str) -> Result<Option<PortalLinkRow>, StoreError> {
        if !secret::is_setup_secret(link) {
            return Ok(None);
        }
        let hash = secret::text_digest(link);
        self.store.lookup_one("portal_link_get", move |tx| tx.portal_link_get(&hash)).await
    }
}

/// Whether a form carries what it must, compared in constant time.
pub fn is_same_secret(given: &str, expected: &str) -> bool {
    bool::from(given.as_bytes().ct_eq(expected.as_bytes()))
}
