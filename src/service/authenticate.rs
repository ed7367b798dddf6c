//! What a bearer secret opens.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::context::Directory;
use super::exchange::Trace;
use super::oauth::{EntraToken, TokenFault};
use super::{Service, ServiceError};
use crate::auth::verified::Remembered;
use crate::auth::{Presented, SecretKind, Verified, hash, secret};
use crate::event::Reason;
use crate::store::api_key::ApiKeyRow;
use crate::store::directory::DirectoryRow;
use crate::store::schemas::SchemaRow;
use crate::store::{StoreError, Tx};

/// How often the last use of a secret is written down, in milliseconds.
const USED_EVERY_MS: i64 = 60_000;

/// What a directory token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    Read,
    Write,
}

impl TokenScope {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// The stored word; an unknown one allows the least.
    pub(super) fn of(word: &str) -> Self {
        if word == "write" { Self::Write } else { Self::Read }
    }
}

/// What a caller of SCIM presents.
#[derive(Clone, Debug)]
pub enum Credentials<'c> {
    /// A directory token, or a signed access token (RFC 6750).
    Token(&'c str),
    /// User name and password (RFC 7617).
    Password(String, String),
}

/// What let a caller in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The directory token of that id.
    Token(String),
    /// The OAuth client of that id, by its secret or by an access token.
    Client(String),
    /// A token that Entra issued for the tenant that the directory trusts.
    Entra(EntraToken),
    /// A request that was let in before, taken up again.
    Earlier,
}

/// What a caller may do, and where.
#[derive(Clone, Debug)]
pub struct Access {
    pub directory: Arc<Directory>,
    pub holder: Holder,
    pub scope: TokenScope,
    /// The user that the token was issued for, for `/Me`.
    pub user_id: Option<String>,
    /// Where the findings of the request go that comes with it.
    pub trace: Trace,
    /// Why whoever becomes inactive or goes does so, where it is not the word of a SCIM client.
    pub(super) removal: Option<Reason>,
    pub(super) expires: Option<i64>,
    pub(super) last_used: Option<i64>,
}

impl Access {
    /// The same for one request, whose findings go there.
    pub fn traced(&self, trace: Trace) -> Self {
        Self { trace, ..self.clone() }
    }

    /// What a request that was let in before may do when it is taken up again.
    pub(super) fn of_directory(directory: Directory) -> Self {
        Self {
            directory: Arc::new(directory),
            holder: Holder::Earlier,
            scope: TokenScope::Write,
            user_id: None,
            trace: Trace::off(),
            removal: None,
            expires: None,
            last_used: None,
        }
    }

    /// The same, where whoever becomes inactive or goes does so for that reason.
    pub(super) fn because(&self, reason: Reason) -> Self {
        Self { removal: Some(reason), ..self.clone() }
    }
}

/// Scopes of API keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiScope {
    #[serde(rename = "read")]
    Read,
    #[serde(rename = "webhooks")]
    Webhooks,
    #[serde(rename = "manage")]
    Manage,
    /// Who may sign in to the console: with it a key can make itself an owner.
    #[serde(rename = "admins")]
    Admins,
    #[serde(rename = "ssf.manage")]
    SsfManage,
}

impl ApiScope {
    pub const ALL: [Self; 5] =
        [Self::Read, Self::Webhooks, Self::Manage, Self::Admins, Self::SsfManage];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Webhooks => "webhooks",
            Self::Manage => "manage",
            Self::Admins => "admins",
            Self::SsfManage => "ssf.manage",
        }
    }
}

/// What an API key opens.
#[derive(Clone, Debug)]
pub struct ApiAccess {
    pub key_id: String,
    /// What people call the holder.
    pub name: Option<String>,
    pub scopes: Vec<ApiScope>,
    /// The organizations it is limited to; `None` means all.
    pub organization_ids: Option<Vec<String>>,
    expires: Option<i64>,
    last_used: Option<i64>,
}

impl ApiAccess {
    /// Every scope and every organization: the operator of this machine.
    fn fixed(name: &str) -> Self {
        Self {
            key_id: name.to_owned(),
            name: None,
            scopes: ApiScope::ALL.to_vec(),
            organization_ids: None,
            expires: None,
            last_used: None,
        }
    }

    /// Whether that is the id of a setup link, and not of a key.
    pub(super) fn is_visit(key_id: &str) -> bool {
        key_id.starts_with("portal_link_")
    }

    /// Every organization, for the administrator with that id and name.
    pub(super) fn of_admin(id: &str, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::fixed(id) }
    }

    /// The same within one organization.
    pub(super) fn within(&self, organization_id: &str) -> Self {
        Self { organization_ids: Some(vec![organization_id.to_owned()]), ..self.clone() }
    }

    /// What opens one organization and has no scope: the visitor who came by that setup link.
    pub(super) fn of_organization(link_id: &str, organization_id: &str) -> Self {
        Self {
            key_id: link_id.to_owned(),
            name: None,
            scopes: Vec::new(),
            organization_ids: Some(vec![organization_id.to_owned()]),
            expires: None,
            last_used: None,
        }
    }

    /// Whose the things are that belong to keys like this one: its organizations, with commas; empty for
    /// keys without a limit.
    pub fn owner(&self) -> String {
        let mut ids = self.organization_ids.clone().unwrap_or_default();
        ids.sort_unstable();
        ids.dedup();
        ids.join(",")
    }

    /// True when the key may see things of that organization.
    pub fn reaches(&self, organization_id: &str) -> bool {
        self.organization_ids.as_ref().is_none_or(|ids| ids.iter().any(|id| id == organization_id))
    }
}

/// A key that is not in the database.
pub struct FixedKey {
    digest: [u8; 32],
    name: &'static str,
}

impl FixedKey {
    pub fn new(name: &'static str, text: &str) -> Self {
        Self { digest: secret::digest(text), name }
    }
}

/// Why a request is not let in.
#[derive(Debug)]
pub enum AuthError {
    /// SCIM was called without credentials.
    NoCredentials,
    /// No credentials, or wrong ones.
    Refused(&'static str),
    /// A wrong user name or password.
    WrongPassword,
    /// A signed token that is not accepted (RFC 6750 §3.1, `invalid_token`).
    InvalidToken(TokenFault),
    /// Nobody can tell whether a signed token is good: its issuer's keys cannot be fetched.
    KeysUnavailable,
    /// Too many failures; seconds to wait.
    TooMany(u64),
    Store(StoreError),
}

impl From<StoreError> for AuthError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

const UNKNOWN: &str = "The bearer token is not valid, has expired or was revoked.";

/// What the memory says about a secret before the database is asked.
pub(super) enum Recalled<A> {
    Open(Arc<A>),
    /// The state must be read; `known` secrets need no hash again.
    Ask {
        known: bool,
        generation: u64,
    },
}

impl Service {
    /// The directory that a token opens.
    pub async fn directory_access(
        &self,
        bearer: &str,
        address: Option<IpAddr>,
    ) -> Result<Arc<Access>, AuthError> {
        const OTHER: &str =
            "This is an API key; SCIM needs a directory token, which starts with rbd_.";
        let presented = self.presented(bearer, SecretKind::Directory, OTHER, address)?;
        let now = self.clock.now_ms();
        let recalled = self.recall(&self.tokens, &presented, address, now, |a| a.expires)?;
        let (known, generation) = match recalled {
            Recalled::Open(access) => return Ok(access),
            Recalled::Ask { known, generation } => (known, generation),
        };
        let id = presented.id.clone();
        let found = self.store.lookup("token_get", move |tx| {
            let Some(token) = tx.token_get(&id)? else { return Ok(None) };
            let opened = Opened::read(tx, token.directory_key)?;
            Ok::<_, StoreError>(opened.map(|opened| (token, opened)))
        });
        let Some((token, opened)) = found.await? else {
            self.tokens.forget(&presented.digest());
            return self.refuse(None, address);
        };
        if !known && !self.verify(presented.text, &token.hash).await? {
            return self.refuse(Some(&presented.id), address);
        }
        if expired(token.expires, now) || opened.row.state == "deleting" {
            return self.refuse(None, address);
        }
        let access = Arc::new(Access {
            directory: self.opened_directory(&opened),
            holder: Holder::Token(token.id),
            scope: TokenScope::of(&token.scope),
            user_id: token.user_id,
            trace: Trace::off(),
            removal: None,
            expires: token.expires,
            last_used: token.last_used,
        });
        self.note_use(&access, now);
        self.tokens.put(presented.digest(), Arc::clone(&access), now, generation);
        Ok(access)
    }

    /// The directory of a row, with its own schemas and what it offers.
    pub(super) fn opened_directory(&self, opened: &Opened) -> Arc<Directory> {
        self.known_directories.of(&opened.row, &opened.served, || {
            let registry = self.registry_of(opened.own.as_ref());
            let registry = registry.with_catalogue(|name| opened.served.contains(&name));
            Directory::from_row(&opened.row, registry)
        })
    }

    /// A secret of the right form and kind.
    fn presented<'b>(
        &self,
        bearer: &'b str,
        kind: SecretKind,
        other: &'static str,
        address: Option<IpAddr>,
    ) -> Result<Presented<'b>, AuthError> {
        match Presented::parse(bearer) {
            Some(presented) if presented.kind == kind => Ok(presented),
            Some(_) => Err(AuthError::Refused(other)),
            None => self.refuse(None, address),
        }
    }

    /// Looks a secret up in memory; one that is not there and fails too often goes no further.
    pub(super) fn recall<A>(
        &self,
        memory: &Verified<Arc<A>>,
        presented: &Presented<'_>,
        address: Option<IpAddr>,
        now: i64,
        expires: impl Fn(&A) -> Option<i64>,
    ) -> Result<Recalled<A>, AuthError> {
        let generation = memory.generation();
        match memory.get(&presented.digest(), now) {
            Some(Remembered::Fresh(access)) if expired(expires(&access), now) => {
                self.refuse(None, address)
            }
            Some(Remembered::Fresh(access)) => Ok(Recalled::Open(access)),
            Some(Remembered::Stale(_)) => Ok(Recalled::Ask { known: true, generation }),
            None => match self.failures.blocked(Some(&presented.id), address, now) {
                Some(wait) => Err(AuthError::TooMany(wait)),
                None => Ok(Recalled::Ask { known: false, generation }),
            },
        }
    }

    /// What an API key opens.
    pub async fn api_access(
        &self,
        bearer: &str,
        address: Option<IpAddr>,
    ) -> Result<Arc<ApiAccess>, AuthError> {
        let digest = secret::digest(bearer);
        let fixed = self.fixed_keys.iter().find(|key| bool::from(key.digest.ct_eq(&digest)));
        if let Some(key) = fixed {
            return Ok(Arc::new(ApiAccess::fixed(key.name)));
        }
        const OTHER: &str =
            "This is a directory token; this API needs an API key, which starts with sk_.";
        let presented = self.presented(bearer, SecretKind::Api, OTHER, address)?;
        let now = self.clock.now_ms();
        let recalled = self.recall(&self.api_keys, &presented, address, now, |a| a.expires)?;
        let (known, generation) = match recalled {
            Recalled::Open(access) => return Ok(access),
            Recalled::Ask { known, generation } => (known, generation),
        };
        let id = presented.id.clone();
        let found: Result<Option<ApiKeyRow>, StoreError> =
            self.store.lookup_one("api_key_get", move |tx| tx.api_key_get(&id)).await;
        let Some(row) = found? else {
            self.api_keys.forget(&digest);
            return self.refuse(None, address);
        };
        if !known && !self.verify(presented.text, &row.hash).await? {
            return self.refuse(Some(&presented.id), address);
        }
        if expired(row.expires, now) {
            return self.refuse(None, address);
        }
        let access = Arc::new(ApiAccess {
            key_id: row.id.clone(),
            name: Some(row.name),
            scopes: serde_json::from_str(&row.scopes).unwrap_or_default(),
            organization_ids: row
                .organization_ids
                .as_deref()
                .map(|ids| serde_json::from_str(ids).unwrap_or_default()),
            expires: row.expires,
            last_used: row.last_used,
        });
        if access.last_used.is_none_or(|used| now - used > USED_EVERY_MS) {
            let (store, id) = (self.store.clone(), row.id);
            tokio::spawn(async move {
                let noted: Result<(), StoreError> =
                    store.write("api_key_used", move |tx| tx.api_key_used(&id, now)).await;
                noted.unwrap_or_else(|error| tracing::debug!(%error, "last use is not noted"));
            });
        }
        self.api_keys.put(digest, Arc::clone(&access), now, generation);
        Ok(access)
    }

    pub(super) async fn verify(&self, text: &str, stored: &str) -> Result<bool, AuthError> {
        let (text, stored) = (text.to_owned(), stored.to_owned());
        Ok(self.hashing(move || hash::verify(&text, &stored)).await?)
    }

    /// Runs argon2 on a thread that may block, a few at a time.
    pub(super) async fn hashing<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let busy = || StoreError::Overloaded;
        let _place = self.hashing_queue.try_acquire().map_err(|_| busy())?;
        let _turn = self.hashing.acquire().await.map_err(|_| busy())?;
        tokio::task::spawn_blocking(work).await.map_err(|_| busy())
    }

    pub(super) fn refuse<T>(
        &self,
        id: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<T, AuthError> {
        self.failures.count(id, address, self.clock.now_ms());
        Err(AuthError::Refused(UNKNOWN))
    }

    /// Writes the last use down now and then, outside the request.
    pub(super) fn note_use(&self, access: &Access, now: i64) {
        if access.last_used.is_some_and(|used| now - used <= USED_EVERY_MS) {
            return;
        }
        let (store, holder, key) =
            (self.store.clone(), access.holder.clone(), access.directory.key);
        tokio::spawn(async move {
            let noted: Result<(), StoreError> = store
                .write("token_used", move |tx| {
                    // Directory before token: the order of every unit that takes both.
                    tx.directory_seen(key, now)?;
                    match &holder {
                        Holder::Token(id) => tx.token_used(id, now),
                        Holder::Client(id) => tx.oauth_client_used(id, now),
                        Holder::Entra(_) | Holder::Earlier => Ok(()),
                    }
                })
                .await;
            noted.unwrap_or_else(|error| tracing::debug!(%error, "last use is not noted"));
        });
    }

    /// Makes every process-local memory of tokens and directories be read again.
    pub(crate) fn forget_access(&self) {
        self.tokens.expire_all();
        self.api_keys.expire_all();
        self.granted.expire_all();
    }
}

/// Which types of the catalogue the directory has values of.
pub(super) fn served_catalogue(
    tx: &mut Tx<'_>,
    directory_key: i64,
) -> Result<Vec<&'static str>, StoreError> {
    let mut served = Vec::new();
    for name in ["Role", "Entitlement"] {
        if tx.count_total(directory_key, name)? > 0 {
            served.push(name);
        }
    }
    Ok(served)
}

/// A directory as it is read for a caller.
pub(super) struct Opened {
    pub(super) row: DirectoryRow,
    own: Option<SchemaRow>,
    served: Vec<&'static str>,
}

impl Opened {
    pub(super) fn read(tx: &mut Tx<'_>, key: i64) -> Result<Option<Self>, StoreError> {
        let Some(row) = tx.directory_by_key(key)? else { return Ok(None) };
        let own = match row.schema_version {
            0 => None,
            _ => tx.schema_get(row.key)?,
        };
        let served = served_catalogue(tx, row.key)?;
        Ok(Some(Self { row, own, served }))
    }
}

pub(super) fn expired(expires: Option<i64>, now: i64) -> bool {
    expires.is_some_and(|at| at <= now)
}

impl From<ServiceError> for AuthError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Store(error) => Self::Store(error),
            other => Self::Store(StoreError::Unavailable(other.to_string())),
        }
    }
}
