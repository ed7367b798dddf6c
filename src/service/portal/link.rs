//! Links are made for the app, revoked, and forgotten when they have ended.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{SecretOf, origin};
use crate::auth::secret;
use crate::scim::key::instant_text;
use crate::service::administer::organization::missing;
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;
use crate::store::portal::NewPortalLink as NewRow;

/// How long a link may wait to be used, in seconds: from a minute to a week, five minutes unless the app
/// asks for another time.
const LIFE_SECONDS: (i64, i64) = (60, 7 * 24 * 60 * 60);
const DEFAULT_SECONDS: i64 = 5 * 60;

/// The one thing that links are for.
const INTENT: &str = "dsync";

/// Rows removed in one unit.
const ROWS: i64 = 1_000;

/// What the app asks for. Members that mean something to other servers of this API are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct NewPortalLink {
    pub organization: String,
    #[serde(default)]
    pub intent: Option<String>,
    /// Where the page leads back to.
    #[serde(default)]
    pub return_url: Option<String>,
    /// Where it leads when the visitor has finished.
    #[serde(default)]
    pub success_url: Option<String>,
    /// The app's own id of whom the link is for, by which it can be revoked.
    #[serde(default)]
    pub external_user_id: Option<String>,
    /// Seconds until the link ends, unless it is used before.
    #[serde(default)]
    pub expires_in: Option<i64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PortalLinkView {
    pub link: String,
}

/// Which links end, with their sessions: those for one user of the app, or all of the organization.
#[derive(Clone, Debug, Deserialize)]
pub struct PortalRevocation {
    pub organization: String,
    #[serde(default)]
    pub external_user_id: Option<String>,
}

impl NewPortalLink {
    fn check(&self) -> Result<(), AdminError> {
        if let Some(intent) = self.intent.as_deref().filter(|intent| *intent != INTENT) {
            let message = format!("it is \"{intent}\"; this server has \"{INTENT}\" alone.");
            return Err(AdminError::invalid("intent", message));
        }
        check_user_id(self.external_user_id.as_deref())
    }

    /// In milliseconds.
    fn life(&self) -> Result<i64, AdminError> {
        match self.expires_in.unwrap_or(DEFAULT_SECONDS) {
            seconds if (LIFE_SECONDS.0..=LIFE_SECONDS.1).contains(&seconds) => Ok(seconds * 1_000),
            seconds => {
                let (least, most) = LIFE_SECONDS;
                let message = format!("it is {seconds}; allowed are {least} to {most} seconds.");
                Err(AdminError::invalid("expires_in", message))
            }
        }
    }
}

fn check_user_id(id: Option<&str>) -> Result<(), AdminError> {
    match id {
        Some(id) if id.is_empty() || id.len() > 512 || id.chars().any(char::is_control) => {
            let message = "it must have 1 to 512 bytes and no control characters.";
            Err(AdminError::invalid("external_user_id", message))
        }
        _ => Ok(()),
    }
}

impl Service {
    /// A link that opens one organization, below `public_url`. Its row has the hash of its secret; the log
    /// has its id, and for whom it is.
    pub async fn portal_link(
        &self,
        access: &ApiAccess,
        new: NewPortalLink,
        public_url: &str,
    ) -> Result<PortalLinkView, ServiceError> {
        new.check()?;
        let life = new.life()?;
        let address = |field: &str, text: Option<&String>| {
            text.map(|text| origin::checked(field, text, &self.portal.origins)).transpose()
        };
        let return_url = address("return_url", new.return_url.as_ref())?;
        let success_url = address("success_url", new.success_url.as_ref())?;
        if !access.reaches(&new.organization) {
            return Err(missing());
        }
        let secret = self.portal_issue(SecretOf::Link, &secret::setup_text());
        let (now, id, hash) = (self.clock.now_ms(), self.clock.id("portal_link"), secret.hash());
        let (link, organization) = (id.clone(), new.organization.clone());
        let user = new.external_user_id.clone();
        let audit = self.audit(access, action::PORTAL_LINK_CREATED);
        self.store
            .write("portal_link", move |tx| {
                let organization = tx.organization_get(&new.organization)?.ok_or_else(missing)?;
                let inserted = tx.portal_link_insert(&NewRow {
                    id: id.clone(),
                    organization_key: organization.key,
                    hash: hash.clone(),
                    external_user_id: new.external_user_id.clone(),
                    return_url: return_url.clone(),
                    success_url: success_url.clone(),
                    expires: now + life,
                    created: now,
                });
                inserted.map_err(|error| match error {
                    // The organization was deleted in between.
                    StoreError::MissingReference => missing(),
                    other => other.into(),
                })?;
                let target = Target::of_organization(&organization.id, &id, None);
                let made = json!({
                    "external_user_id": new.external_user_id,
                    "return_url": return_url,
                    "success_url": success_url,
                    "expires_at": instant_text(now + life),
                });
                Ok::<_, ServiceError>(audit.write(tx, target, Value::Null, made)?)
            })
            .await?;
        self.portal.metrics.made.inc();
        tracing::info!(link, organization, user, "a setup link was made");
        Ok(PortalLinkView { link: format!("{public_url}/setup/{}", secret.text()) })
    }

    /// Ends links and the sessions that came of them, on every process at once.
    pub async fn portal_revoke(
        &self,
        access: &ApiAccess,
        which: PortalRevocation,
    ) -> Result<(), ServiceError> {
        check_user_id(which.external_user_id.as_deref())?;
        if !access.reaches(&which.organization) {
            return Err(missing());
        }
        let organization_id = which.organization.clone();
        let audit = self.audit(access, action::PORTAL_LINK_REVOKED);
        let ended = self
            .store
            .write("portal_revoke", move |tx| {
                let organization = tx.organization_get(&which.organization)?.ok_or_else(missing)?;
                let user = which.external_user_id.as_deref();
                let ended = tx.portal_link_delete_of(organization.key, user)?;
                let target = Target::of_organization(&organization.id, &organization.id, user);
                audit.write(tx, target, json!({"links": ended}), Value::Null)?;
                Ok::<_, ServiceError>(ended)
            })
            .await?;
        tracing::info!(organization = organization_id, ended, "setup links were revoked");
        Ok(())
    }

    /// Forgets links and sessions that have ended.
    pub async fn prune_portal_links(&self) -> Result<(), ServiceError> {
        let now = self.clock.now_ms();
        loop {
            let pruned: Result<usize, StoreError> =
                self.store.write("portal_prune", move |tx| tx.portal_link_prune(now, ROWS)).await;
            if pruned? == 0 {
                return Ok(());
            }
        }
    }
}
