//! Links by which somebody chooses a password, once: the first account of all, and invited ones. Reading
//! one, as mail scanners do, changes nothing.

use serde_json::{Value, json};

use super::NewAdmin;
use super::admin::{check_password, missing};
use super::session::{Place, Role};
use crate::auth::{Mac, secret};
use crate::clock::Clock;
use crate::scim::key::instant_text;
use crate::service::audit::{Target, action};
use crate::service::{Service, ServiceError};
use crate::store::admin::AdminRow;
use crate::store::{StoreError, Tx};

/// How long a link may wait to be used, in milliseconds.
const LIFE_MS: i64 = 3 * 24 * 60 * 60 * 1_000;

const MARK: &str = "link";

/// A link that is not stored yet.
#[derive(Clone, Debug)]
pub(in crate::service) struct Link {
    id: String,
    hash: String,
    created: i64,
    pub(super) expires: i64,
}

impl Link {
    pub(in crate::service) fn put(
        &self,
        tx: &mut Tx<'_>,
        admin_id: Option<&str>,
    ) -> Result<(), StoreError> {
        tx.admin_link_put(&self.id, admin_id, &self.hash, self.created, self.expires)
    }
}

fn made(mac: &Mac, clock: &Clock) -> (Link, String) {
    let text = mac.marked(MARK, &secret::random_text());
    let created = clock.now_ms();
    let hash = secret::text_digest(&text);
    (Link { id: clock.id("admin_link"), hash, created, expires: created + LIFE_MS }, text)
}

/// A link and the secret in it.
pub(super) fn new_link(service: &Service) -> (Link, String) {
    made(&service.console.mac, &service.clock)
}

/// Where a link leads.
pub(super) fn address(public_url: &str, text: &str) -> String {
    format!("{public_url}/console/welcome/{text}")
}

/// The link to the first account, which the first start shows.
#[derive(Clone, Debug)]
pub(in crate::service) struct FirstLink {
    pub(in crate::service) link: Link,
    pub(in crate::service) address: String,
}

/// Whom a link is for.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// `None` for the first account of all.
    pub account: Option<Invited>,
    pub expires_at: String,
}

#[derive(Clone, Debug)]
pub struct Invited {
    pub email: String,
    pub name: String,
}

/// What somebody enters who comes by a link.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Of the first account only.
    pub email: String,
    pub name: String,
    pub password: String,
}

impl Service {
    pub(in crate::service) fn first_link(&self) -> FirstLink {
        let (link, text) = new_link(self);
        FirstLink { link, address: address(&self.public_url, &text) }
    }

    /// Whom the link is for; `None` when it was used, has ended or never was. Changes nothing.
    pub async fn console_welcome(&self, text: &str) -> Result<Option<Welcome>, ServiceError> {
        if !self.console.mac.is_marked(MARK, text) {
            return Ok(None);
        }
        let (now, hash) = (self.clock.now_ms(), secret::text_digest(text));
        self.store
            .read("admin_welcome", move |tx| {
                let found = tx.admin_link_get(&hash)?.filter(|link| link.expires > now);
                let Some(link) = found else { return Ok(None) };
                let account = match &link.admin_id {
                    Some(id) => {
                        let row = tx.admin_get(id)?.ok_or_else(missing)?;
                        Some(Invited { email: row.email, name: row.name })
                    }
                    None => None,
                };
                let expires_at = instant_text(link.expires);
                Ok::<_, ServiceError>(Some(Welcome { account, expires_at }))
            })
            .await
    }

    /// Chooses the password and signs in: the secret of the session; `None` as for
    /// [`Service::console_welcome`]. Sessions that there were of the account end.
    pub async fn console_join(
        &self,
        text: &str,
        newcomer: Newcomer,
        place: &Place,
    ) -> Result<Option<String>, ServiceError> {
        let Some(welcome) = self.console_welcome(text).await? else { return Ok(None) };
        // A row for the first account; of an invited one only the password counts.
        let (email, name) = match welcome.account {
            Some(invited) => (invited.email, invited.name),
            None => (newcomer.email, newcomer.name),
        };
        check_password(&newcomer.password, &email)?;
        let password = Some(newcomer.password);
        let row = self.admin_row(&NewAdmin { email, name, role: Role::Owner, password }).await?;
        let (session, session_text) = self.console_session(place);
        let (now, hash) = (self.clock.now_ms(), secret::text_digest(text));
        let audit = self.audit_by("", action::ADMINISTRATOR_JOINED);
        let joined: Option<String> = self
            .store
            .write("admin_join", move |tx| {
                let Some(link) = tx.admin_link_get(&hash)? else { return Ok(None) };
                // The account before the link, as wherever both are changed.
                let known = link.admin_id.as_deref().map(|id| tx.admin_lock(id)).transpose()?;
                if !tx.admin_link_use(&link.id, now)? {
                    return Ok(None);
                }
                let id = match &link.admin_id {
                    Some(id) => {
                        let known = known.flatten().ok_or_else(missing)?;
                        let password = row.password.clone();
                        tx.admin_update(&AdminRow { password, modified: now, ..known })?;
                        tx.admin_session_delete_all(id)?;
                        id
                    }
                    None if !tx.admin_none()? => return Ok(None),
                    None => {
                        tx.admin_insert(&row)?;
                        &row.id
                    }
                };
                tx.admin_session_insert(id, &session)?;
                tx.admin_signed_in(id, now)?;
                let target = Target::of_server(id, Some(&row.email));
                audit.by(id).write(tx, target, Value::Null, json!({"email": row.email}))?;
                Ok::<_, ServiceError>(Some(id.clone()))
            })
            .await?;
        let Some(id) = joined else { return Ok(None) };
        tracing::info!(admin = id, "an administrator has chosen a password");
        Ok(Some(session_text))
    }
}
