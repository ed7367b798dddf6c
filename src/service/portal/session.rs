//! A link becomes a session, once. Reading the link, as mail scanners do, changes nothing.
//!
//! The secret of a session follows from the link and from a random text that the browser was given with
//! the page of the link. So a form that is sent twice, by a double click, ends in one session and not in a
//! refusal, while anybody else who has the link comes too late.
//!
//! Secrets of links and of sessions carry a mark of this server. What somebody made up is known without a
//! look at the database, so guessing costs next to nothing and needs no lock that could shut out others.

use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::RATE;
use crate::auth::secret;
use crate::scim::key::instant_text;
use crate::service::audit::{Target, action};
use crate::service::limit::{Cost, Limited, Quota};
use crate::service::{ApiAccess, Service, ServiceError, on_behalf_of};
use crate::store::portal::PortalLinkRow;
use crate::store::{Session, StoreError, in_session};

/// How long a session lasts, in milliseconds: an hour, whatever is done in it.
const SESSION_MS: i64 = 60 * 60 * 1_000;

/// What a secret of the portal belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretOf {
    Link,
    Session,
}

impl SecretOf {
    fn context(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Session => "cookie",
        }
    }
}

/// A secret that this server has made. Whether it still opens something is in the database.
#[derive(Clone)]
pub struct Issued {
    of: SecretOf,
    text: String,
}

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
    organization_key: i64,
    /// When the request came.
    now: i64,
}

impl Visit {
    /// Runs `work` so that the visits of one organization take turns at the database as one directory
    /// does. Keys of directories are greater than zero.
    pub(super) async fn in_turn<F: Future>(&self, work: F) -> F::Output {
        on_behalf_of(-self.organization_key, work).await
    }

    /// Runs work that changes something: nothing of it is stored once the session has ended.
    pub(super) async fn acting<F: Future>(&self, work: F) -> F::Output {
        in_session(Session { link_id: self.link_id.clone(), now: self.now }, work).await
    }
}

impl Service {
    /// Seconds that a session lasts.
    pub fn portal_session_seconds(&self) -> i64 {
        SESSION_MS / 1_000
    }

    /// The secret, if this server has made it.
    pub fn portal_issued(&self, of: SecretOf, text: &str) -> Option<Issued> {
        let is_issued = self.portal.mac.is_marked(of.context(), text);
        is_issued.then(|| Issued { of, text: text.to_owned() })
    }

    /// A secret that [`Service::portal_issued`] knows.
    pub(super) fn portal_issue(&self, of: SecretOf, text: &str) -> Issued {
        Issued { of, text: self.portal.mac.marked(of.context(), text) }
    }

    /// Takes a request out of the bucket of that link or session, before anything is looked up.
    pub fn limit_visitor(&self, issued: &Issued) -> Result<Quota, Limited> {
        let (now, key) = (self.clock.now_ms(), secret::digest(&issued.text));
        let taken = self.portal.limiter.take(key, RATE, Cost::One, now);
        if taken.is_err_and(|limited| limited.tell) {
            let of = issued.of.context();
            tracing::warn!(of, rate = %RATE, "a visitor of the set-up portal is at the rate limit");
        }
        taken
    }

    /// What the link opens; `None` when it was used, revoked or has ended. Changes nothing.
    pub async fn portal_landing(&self, link: &Issued) -> Result<Option<Landing>, ServiceError> {
        let (now, hash) = (self.clock.now_ms(), link.hash());
        let row: Result<Option<PortalLinkRow>, StoreError> =
            self.store.lookup_one("portal_link_get", move |tx| tx.portal_link_get(&hash)).await;
        let open = row?.filter(|row| row.session_hash.is_none() && row.expires > now);
        Ok(open.map(|row| Landing { organization: row.organization_name, expires: row.expires }))
    }

    /// The secret of the session that the link is exchanged for; `None` as for
    /// [`Service::portal_landing`], and for no link at all. `browser` is what the page of the link gave to
    /// the browser, a text of [`secret::is_random_text`].
    pub async fn portal_exchange(
        &self,
        link: Option<&Issued>,
        browser: &str,
    ) -> Result<Option<Issued>, ServiceError> {
        let opened = match link.filter(|_| secret::is_random_text(browser)) {
            Some(link) => self.portal_open(link, browser).await?,
            None => None,
        };
        self.portal.metrics.exchanged(if opened.is_some() { "opened" } else { "refused" });
        Ok(opened)
    }

    async fn portal_open(
        &self,
        link: &Issued,
        browser: &str,
    ) -> Result<Option<Issued>, ServiceError> {
        let text = self.portal.mac.secret("session", &format!("{} {browser}", link.text));
        let session = self.portal_issue(SecretOf::Session, &text);
        let (now, hash, session_hash) = (self.clock.now_ms(), link.hash(), session.hash());
        let audit = self.audit_by("", action::PORTAL_LINK_USED);
        let opened: Result<_, StoreError> = self
            .store
            .write("portal_exchange", move |tx| {
                let is_new = tx.portal_link_use(&hash, &session_hash, now + SESSION_MS, now)?;
                let row = tx.portal_session_get(&session_hash)?;
                if let Some(row) = row.as_ref().filter(|_| is_new) {
                    let target = Target::of_organization(&row.organization_id, &row.id, None);
                    let after = json!({"session_expires_at": instant_text(row.expires)});
                    audit.by(&row.id).write(tx, target, Value::Null, after)?;
                }
                Ok((is_new, row))
            })
            .await;
        let (is_new, row) = opened?;
        let Some(row) = row.filter(|row| row.expires > now) else { return Ok(None) };
        if is_new {
            tracing::info!(
                link = row.id,
                organization = row.organization_id,
                "a setup link was used"
            );
        }
        Ok(Some(session))
    }

    /// The session with that secret, if it has not ended.
    pub async fn portal_visit(&self, session: &Issued) -> Result<Option<Visit>, ServiceError> {
        let (now, hash) = (self.clock.now_ms(), session.hash());
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
            form_secret: self.portal.mac.secret("form", &session.text),
            organization_key: row.organization_key,
            now,
        }))
    }

    /// Ends the session.
    pub async fn portal_finish(&self, visit: &Visit) -> Result<(), ServiceError> {
        let id = visit.link_id.clone();
        let ended: Result<(), StoreError> = visit
            .in_turn(self.store.write("portal_finish", move |tx| tx.portal_link_delete(&id)))
            .await;
        ended?;
        let (link, organization) = (&visit.link_id, &visit.organization_id);
        tracing::info!(link, organization, "the session of a setup link was finished");
        Ok(())
    }

    /// What a form must carry that was made for the browser with that text.
    pub fn portal_start_secret(&self, browser: &str) -> String {
        self.portal.mac.secret("start", browser)
    }
}

impl Issued {
    /// What stands in a link or a cookie.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the database has of it.
    pub(super) fn hash(&self) -> String {
        secret::text_digest(&self.text)
    }
}

/// Whether a form carries what it must, compared in constant time.
pub fn is_same_secret(given: &str, expected: &str) -> bool {
    bool::from(given.as_bytes().ct_eq(expected.as_bytes()))
}
