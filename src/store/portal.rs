//! Setup links, and the sessions that come of them. Secrets are not here: only their SHA-256.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::StoreError;
use super::sql::{Bind, Tx};

/// What a new link starts with.
#[derive(Clone, Debug)]
pub struct NewPortalLink {
    pub id: String,
    pub organization_key: i64,
    pub hash: String,
    pub external_user_id: Option<String>,
    pub return_url: Option<String>,
    pub success_url: Option<String>,
    pub expires: i64,
    pub created: i64,
}

/// A link with the organization that it opens.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct PortalLinkRow {
    pub id: String,
    pub organization_key: i64,
    pub organization_id: String,
    pub organization_name: String,
    pub hash: String,
    /// Of the session, once the link was used.
    pub session_hash: Option<String>,
    pub return_url: Option<String>,
    pub success_url: Option<String>,
    /// When the link ends, or the session once there is one.
    pub expires: i64,
}

type Sql = (Text, BigInt, Text, Text, Text, Nullable<Text>, Nullable<Text>, Nullable<Text>, BigInt);

const COLUMNS: &str = "SELECT l.id, o.key, o.id, o.name, l.hash, l.session_hash, l.return_url, \
     l.success_url, l.expires FROM portal_link l JOIN organization o ON o.key = l.organization_key";

impl Tx<'_> {
    pub fn portal_link_insert(&mut self, link: &NewPortalLink) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO portal_link (id, organization_key, hash, external_user_id, return_url, \
             success_url, expires, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                Bind::Text(&link.id),
                Bind::Int(link.organization_key),
                Bind::Text(&link.hash),
                Bind::OptText(link.external_user_id.as_deref()),
                Bind::OptText(link.return_url.as_deref()),
                Bind::OptText(link.success_url.as_deref()),
                Bind::Int(link.expires),
                Bind::Int(link.created),
            ],
        )?;
        Ok(())
    }

    /// The link with that secret, used or not.
    pub fn portal_link_get(&mut self, hash: &str) -> Result<Option<PortalLinkRow>, StoreError> {
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE l.hash = ?"), &[Bind::Text(hash)])
    }

    /// The link whose session has that secret.
    pub fn portal_session_get(
        &mut self,
        session_hash: &str,
    ) -> Result<Option<PortalLinkRow>, StoreError> {
        let text = format!("{COLUMNS} WHERE l.session_hash = ?");
        self.row::<Sql, _>(&text, &[Bind::Text(session_hash)])
    }

    /// Makes a session of the link, once; false when it was used or has ended.
    pub fn portal_link_use(
        &mut self,
        hash: &str,
        session_hash: &str,
        session_ends: i64,
        now: i64,
    ) -> Result<bool, StoreError> {
        let used = self.execute(
            "UPDATE portal_link SET session_hash = ?, expires = ? \
             WHERE hash = ? AND session_hash IS NULL AND expires > ?",
            &[Bind::Text(session_hash), Bind::Int(session_ends), Bind::Text(hash), Bind::Int(now)],
        )?;
        Ok(used == 1)
    }

    /// True while the link has a session that has not ended. Nobody ends it before the unit does.
    pub fn portal_session_lock(&mut self, id: &str, now: i64) -> Result<bool, StoreError> {
        let lock = self.dialect.pick("", " FOR KEY SHARE");
        let found = self.row::<Text, String>(
            &format!(
                "SELECT id FROM portal_link \
                 WHERE id = ? AND session_hash IS NOT NULL AND expires > ?{lock}"
            ),
            &[Bind::Text(id), Bind::Int(now)],
        )?;
        Ok(found.is_some())
    }

    /// Ends the link and its session.
    pub fn portal_link_delete(&mut self, id: &str) -> Result<(), StoreError> {
        self.execute("DELETE FROM portal_link WHERE id = ?", &[Bind::Text(id)])?;
        Ok(())
    }

    /// Ends the organization's links and their sessions: those made for that user of the app, or all.
    pub fn portal_link_delete_of(
        &mut self,
        organization_key: i64,
        external_user_id: Option<&str>,
    ) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM portal_link WHERE organization_key = ? \
             AND (CAST(? AS TEXT) IS NULL OR external_user_id = ?)",
            &[
                Bind::Int(organization_key),
                Bind::OptText(external_user_id),
                Bind::OptText(external_user_id),
            ],
        )
    }

    /// Forgets links and sessions that have ended, a few at a time; answers how many.
    pub fn portal_link_prune(&mut self, now: i64, limit: i64) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM portal_link WHERE id IN (SELECT id FROM portal_link WHERE expires <= ? \
             ORDER BY expires LIMIT ?)",
            &[Bind::Int(now), Bind::Int(limit)],
        )
    }
}
