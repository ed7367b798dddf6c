//! Browsers in which somebody is signed in.
//!
//! The secret of a session is random and carries a mark of this server: what somebody made up is known
//! without a look at the database, which has the SHA-256 only.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::auth::secret;
use crate::scim::key::instant_text;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;
use crate::store::admin::{NewSession, SessionRow, VisitRow};

/// How long a session lasts that nobody uses, in milliseconds.
const IDLE_MS: i64 = 12 * 60 * 60 * 1_000;

/// How long a session lasts at most.
const LONGEST_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// How often the last use is written down.
const SEEN_EVERY_MS: i64 = 60_000;

/// Rows that one unit removes.
const PRUNED_AT_ONCE: i64 = 1_000;

const MARK: &str = "cookie";

/// What an administrator may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees everything.
    Viewer,
    /// Also acts.
    Operator,
    /// Also decides on administrators, API keys and secret keys.
    Owner,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Owner];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// The stored word; an unknown one allows the least.
    pub(super) fn stored(word: &str) -> Self {
        Self::parse(word).unwrap_or(Self::Viewer)
    }
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Admin {
    /// `admin_…`
    pub id: String,
    pub email: String,
    pub name: String,
    pub role: Role,
    pub session_id: String,
    /// What a use case is given: every organization, under the administrator's id.
    pub access: Arc<ApiAccess>,
    /// Stands in every form of the session.
    pub proof: String,
}

impl Admin {
    /// What opens one organization, for lists of what is of that organization alone.
    pub fn within(&self, organization_id: &str) -> ApiAccess {
        self.access.within(organization_id)
    }
}

/// Where a session is begun.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// `User-Agent`, as it was sent.
    pub browser: String,
    pub address: String,
}

/// A browser in which somebody is signed in.
#[derive(Clone, Debug, Serialize)]
pub struct SessionView {
    object: &'static str,
    pub id: String,
    /// `User-Agent`, as it was sent.
    pub browser: String,
    pub address: String,
    pub created_at: String,
    pub last_seen_at: String,
    /// When it ends unless it is used before.
    pub expires_at: String,
    /// When it ends at the latest.
    pub ends_at: String,
}

impl From<SessionRow> for SessionView {
    fn from(row: SessionRow) -> Self {
        Self {
            object: "admin_session",
            id: row.id,
            browser: row.browser,
            address: row.address,
            created_at: instant_text(row.created),
            last_seen_at: instant_text(row.last_seen),
            expires_at: instant_text(row.expires),
            ends_at: instant_text(row.ends),
        }
    }
}

/// Longest description of a browser that is kept, in characters.
const MAX_BROWSER: usize = 300;

impl Service {
    /// Seconds that the cookie of a session is kept.
    pub fn console_session_seconds(&self) -> i64 {
        LONGEST_MS / 1_000
    }

    /// A new session of that administrator, and its secret.
    pub(super) fn console_session(&self, place: &Place) -> (NewSession, String) {
        let text = self.console.mac.marked(MARK, &secret::random_text());
        let now = self.clock.now_ms();
        let printable = |text: &str| -> String {
            text.chars().filter(|c| !c.is_control()).take(MAX_BROWSER).collect()
        };
        let session = NewSession {
            id: self.clock.id("admin_session"),
            hash: secret::text_digest(&text),
            browser: printable(&place.browser),
            address: printable(&place.address),
            created: now,
            expires: now + IDLE_MS,
            ends: now + LONGEST_MS,
        };
        (session, text)
    }

    /// The session with that secret, if it has not ended.
    async fn console_row(&self, text: &str, now: i64) -> Result<Option<VisitRow>, StoreError> {
        if !self.console.mac.is_marked(MARK, text) {
            return Ok(None);
        }
        let hash = secret::text_digest(text);
        let row: Option<VisitRow> =
            self.store.lookup_one("admin_visit", move |tx| tx.admin_visit(&hash)).await?;
        Ok(row.filter(|row| row.expires > now && row.ends > now))
    }

    /// Whether the session lasts. To ask does not prolong it: a page that is left open is no use.
    pub async fn console_lasts(&self, text: &str) -> bool {
        matches!(self.console_row(text, self.clock.now_ms()).await, Ok(Some(_)))
    }

    /// Who is signed in with that secret; `None` for anything that opens nothing, or no longer.
    pub async fn console_visit(&self, text: &str) -> Result<Option<Admin>, ServiceError> {
        let now = self.clock.now_ms();
        let Some(row) = self.console_row(text, now).await? else { return Ok(None) };
        if now - row.last_seen > SEEN_EVERY_MS {
            let (id, expires) = (row.session_id.clone(), (now + IDLE_MS).min(row.ends));
            let store = self.store.clone();
            tokio::spawn(async move {
                let noted: Result<(), StoreError> = store
                    .write("admin_session_seen", move |tx| tx.admin_session_seen(&id, now, expires))
                    .await;
                noted.unwrap_or_else(|error| tracing::debug!(%error, "last use is not noted"));
            });
        }
        Ok(Some(Admin {
            access: Arc::new(ApiAccess::of_admin(&row.id, &row.name)),
            proof: self.console.mac.secret("form", text),
            id: row.id,
            email: row.email,
            name: row.name,
            role: Role::stored(&row.role),
            session_id: row.session_id,
        }))
    }

    /// Ends the session.
    pub async fn console_sign_out(&self, admin: &Admin) -> Result<(), ServiceError> {
        let (id, session_id) = (admin.id.clone(), admin.session_id.clone());
        let ended: Result<bool, StoreError> = self
            .store
            .write("admin_sign_out", move |tx| tx.admin_session_delete(&id, &session_id))
            .await;
        ended?;
        Ok(())
    }

    /// Forgets sessions and links that have ended.
    pub async fn prune_console(&self) -> Result<(), StoreError> {
        let now = self.clock.now_ms();
        loop {
            let gone: Result<usize, StoreError> = self
                .store
                .write("admin_prune", move |tx| tx.admin_prune(now, PRUNED_AT_ONCE))
                .await;
            if gone? == 0 {
                return Ok(());
            }
        }
    }
}
