//! Who is let in over SCIM: by a token, by a signed token, or by user name and password.

use std::net::IpAddr;
use std::sync::Arc;

use super::effective;
use crate::auth::verified::Remembered;
use crate::auth::{JwtFault, Presented, SecretKind, secret};
use crate::service::authenticate::{Holder, Opened, Recalled, TokenScope, expired};
use crate::service::context::Settings;
use crate::service::exchange::Trace;
use crate::service::{Access, AuthError, Credentials, Service, ServiceError};
use crate::store::oauth::OAuthClientRow;
use crate::store::{StoreError, Tx};

/// Why a signed token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    Malformed,
    Algorithm,
    Signature,
    /// No key of its issuer has the id that it names.
    Key,
    Expired,
    NotYet,
    /// The OAuth client is gone or has expired.
    Client,
    /// It is for another directory.
    Directory,
    /// The directory does not take tokens that Entra issues, or the URL names no directory.
    NotEnabled,
    Issuer,
    Audience,
    Tenant,
    Application,
}

impl TokenFault {
    /// The label in metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Signature => "signature",
            Self::Key => "key",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Client => "client",
            Self::Directory => "directory",
            Self::NotEnabled => "not_enabled",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Tenant => "tenant",
            Self::Application => "application",
        }
    }

    /// True unless the token is known to be one that its issuer gave out for callers of this server:
    /// such a token is no guess, whatever is wrong with it.
    fn is_guess(self) -> bool {
        !matches!(self, Self::Expired | Self::NotYet | Self::Client | Self::Directory)
    }

    /// What the caller is told.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Malformed => "The token is not a JWT of a kind that is accepted here.",
            Self::Algorithm => {
                "The token is signed with an algorithm that is not accepted; fetch one at the \
                 token endpoint, or let Entra sign it with RS256."
            }
            Self::Signature => "The signature of the token is not valid.",
            Self::Key => "The token is signed with a key that its issuer does not publish.",
            Self::Expired => "The token has expired; fetch a new one.",
            Self::NotYet => "The token is not valid yet; compare the clocks.",
            Self::Client => "The OAuth client of the token was deleted or has expired.",
            Self::Directory => "The token is for another directory than this URL.",
            Self::NotEnabled => {
                "Tokens that Entra issues are accepted only under the URL of a directory whose \
                 setting entra_token names the tenant."
            }
            Self::Issuer => "The claim \"iss\" is not that of the tenant of this directory.",
            Self::Audience => "The claim \"aud\" does not name the Entra provisioning service.",
            Self::Tenant => "The claim \"tid\" is not the tenant of this directory.",
            Self::Application => {
                "The claim \"appid\" or \"azp\" is not the application of this directory."
            }
        }
    }
}

impl From<JwtFault> for TokenFault {
    fn from(fault: JwtFault) -> Self {
        match fault {
            JwtFault::Malformed => Self::Malformed,
            JwtFault::Algorithm => Self::Algorithm,
            JwtFault::UnknownKey => Self::Key,
            JwtFault::Signature => Self::Signature,
        }
    }
}

impl Holder {
    /// True as long as the holder would still be let in: for requests that take several units. An
    /// access token that ends in between does not end them, its client or its tenant's setting does.
    pub(in crate::service) fn is_let_in(
        &self,
        tx: &mut Tx<'_>,
        directory_key: i64,
        now: i64,
    ) -> Result<bool, StoreError> {
        Ok(match self {
            Self::Token(id) => tx.token_get(id)?.is_some_and(|row| !expired(row.expires, now)),
            Self::Client(id) => {
                tx.oauth_client_get(id)?.is_some_and(|row| !expired(row.expires, now))
            }
            Self::Entra(trusted) => {
                let row = tx.directory_by_key(directory_key)?;
                row.is_some_and(|row| {
                    Settings::stored(&row.settings).entra_token.as_ref() == Some(trusted)
                })
            }
            Self::Earlier => true,
        })
    }
}

impl Service {
    /// What a caller of SCIM may do. `external_key` is the directory that the URL names.
    pub async fn scim_access(
        &self,
        credentials: Credentials<'_>,
        external_key: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<Arc<Access>, AuthError> {
        match credentials {
            Credentials::Token(text) if is_signed(text) => {
                let opened = self.signed_access(text, external_key, address).await;
                if let Err(AuthError::InvalidToken(fault)) = &opened
                    && fault.is_guess()
                {
                    self.failures.count(None, address, self.clock.now_ms());
                }
                opened
            }
            Credentials::Token(text) => self.directory_access(text, address).await,
            Credentials::Password(user, password) => {
                self.password_access(&user, &password, address).await
            }
        }
    }

    /// User name and password: the id of a directory token or of an OAuth client, and its secret.
    async fn password_access(
        &self,
        user: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> Result<Arc<Access>, AuthError> {
        let opened = match Presented::parse(password) {
            Some(secret) if secret.id != user => self.refuse(None, address),
            Some(secret) if secret.kind == SecretKind::Directory => {
                self.directory_access(password, address).await
            }
            Some(secret) if secret.kind == SecretKind::Client => {
                self.client_by_secret(&secret, address).await
            }
            _ => self.refuse(None, address),
        };
        opened.map_err(|error| match error {
            AuthError::Refused(_) => AuthError::WrongPassword,
            other => other,
        })
    }

    /// The client that a secret belongs to, with all that it may do. argon2 runs once per secret and
    /// process, as for tokens.
    pub(super) async fn client_by_secret(
        &self,
        secret: &Presented<'_>,
        address: Option<IpAddr>,
    ) -> Result<Arc<Access>, AuthError> {
        let now = self.clock.now_ms();
        let recalled = self.recall(&self.tokens, secret, address, now, |a| a.expires)?;
        let (known, generation) = match recalled {
            Recalled::Open(access) => return Ok(access),
            Recalled::Ask { known, generation } => (known, generation),
        };
        let Some((client, opened)) = self.client(&secret.id).await? else {
            self.tokens.forget(&secret.digest());
            return self.refuse(None, address);
        };
        let Some(hash) = &client.hash else { return self.refuse(None, address) };
        if !known && !self.verify(secret.text, hash).await? {
            return self.refuse(Some(&secret.id), address);
        }
        if expired(client.expires, now) || opened.row.state == "deleting" {
            return self.refuse(None, address);
        }
        let access = Arc::new(self.access_of_client(&client, &opened));
        self.note_use(&access, now);
        self.tokens.put(secret.digest(), Arc::clone(&access), now, generation);
        Ok(access)
    }

    /// The client with that id and its directory.
    pub(super) async fn client(
        &self,
        id: &str,
    ) -> Result<Option<(OAuthClientRow, Opened)>, StoreError> {
        let id = id.to_owned();
        self.store
            .read("oauth_client_get", move |tx| {
                let Some(client) = tx.oauth_client_get(&id)? else { return Ok(None) };
                let opened = Opened::read(tx, client.directory_key)?;
                Ok(opened.map(|opened| (client, opened)))
            })
            .await
    }

    pub(super) fn access_of_client(&self, client: &OAuthClientRow, opened: &Opened) -> Access {
        Access {
            directory: self.opened_directory(opened),
            holder: Holder::Client(client.id.clone()),
            scope: TokenScope::of(&client.scope),
            user_id: None,
            trace: Trace::off(),
            removal: None,
            expires: client.expires,
            last_used: client.last_used,
        }
    }

    async fn signed_access(
        &self,
        token: &str,
        external_key: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<Arc<Access>, AuthError> {
        let header = crate::auth::jwt::header(token).map_err(invalid)?;
        if header.alg == crate::auth::jwt::Algorithm::HS256 {
            return self.granted_access(token, external_key).await;
        }
        self.entra_access(token, external_key, address).await
    }

    /// What an access token of this server opens. Its signature is checked on every request; the
    /// client and its directory are read again like those of a token.
    async fn granted_access(
        &self,
        token: &str,
        external_key: Option<&str>,
    ) -> Result<Arc<Access>, AuthError> {
        let refused = |fault| Err(AuthError::InvalidToken(fault));
        let claims = self.access_tokens.verify(token).map_err(invalid)?;
        let now = self.clock.now_ms();
        if claims.exp.saturating_mul(1_000) <= now {
            return refused(TokenFault::Expired);
        }
        // One entry for every token of a client with the same scope.
        let digest = secret::digest(&format!("{} {}", claims.client_id, claims.scope));
        let generation = self.granted.generation();
        let access = match self.granted.get(&digest, now) {
            Some(Remembered::Fresh(access)) => access,
            _ => {
                let Some((client, opened)) = self.client(&claims.client_id).await? else {
                    self.granted.forget(&digest);
                    return refused(TokenFault::Client);
                };
                if opened.row.state == "deleting" {
                    return refused(TokenFault::Client);
                }
                let mut access = self.access_of_client(&client, &opened);
                access.scope = effective(&claims.scope, access.scope);
                let access = Arc::new(access);
                self.note_use(&access, now);
                self.granted.put(digest, Arc::clone(&access), now, generation);
                access
            }
        };
        if expired(access.expires, now) {
            return refused(TokenFault::Client);
        }
        let elsewhere = external_key.is_some_and(|key| key != access.directory.external_key);
        if elsewhere || claims.aud != access.directory.id {
            return refused(TokenFault::Directory);
        }
        Ok(access)
    }

    /// What a token that Entra issued opens: the directory that the URL names, if it trusts the
    /// tenant. A token says nothing about which directory is meant, so the URL must.
    async fn entra_access(
        &self,
        token: &str,
        external_key: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<Arc<Access>, AuthError> {
        let refused = |fault| Err(AuthError::InvalidToken(fault));
        let Some(key) = external_key else { return refused(TokenFault::NotEnabled) };
        let now = self.clock.now_ms();
        let digest = secret::digest(&format!("entra {key}"));
        let generation = self.granted.generation();
        let (access, was_read) = match self.granted.get(&digest, now) {
            Some(Remembered::Fresh(access)) => (access, false),
            remembered => {
                // A directory that is known goes on, whatever others do at the same address.
                if remembered.is_none()
                    && let Some(wait) = self.failures.blocked(None, address, now)
                {
                    return Err(AuthError::TooMany(wait));
                }
                let Some(access) = self.trusting(key).await? else {
                    self.granted.forget(&digest);
                    return refused(TokenFault::NotEnabled);
                };
                let access = Arc::new(access);
                self.granted.put(digest, Arc::clone(&access), now, generation);
                (access, true)
            }
        };
        let Holder::Entra(trusted) = &access.holder else {
            return refused(TokenFault::NotEnabled);
        };
        self.check_entra(token, trusted, now).await?;
        if was_read {
            self.note_use(&access, now);
        }
        Ok(access)
    }

    /// The directory with that key, if it takes tokens that Entra issues.
    async fn trusting(&self, external_key: &str) -> Result<Option<Access>, StoreError> {
        let key = external_key.to_owned();
        let found: Result<Option<Opened>, StoreError> = self
            .store
            .read("directory_by_external_key", move |tx| {
                match tx.directory_by_external_key(&key)? {
                    Some(row) if row.state != "deleting" => Opened::read(tx, row.key),
                    _ => Ok(None),
                }
            })
            .await;
        let Some(opened) = found? else { return Ok(None) };
        let Some(trusted) = Settings::stored(&opened.row.settings).entra_token else {
            return Ok(None);
        };
        Ok(Some(Access {
            directory: self.opened_directory(&opened),
            holder: Holder::Entra(trusted),
            scope: TokenScope::Write,
            user_id: None,
            trace: Trace::off(),
            removal: None,
            expires: None,
            last_used: opened.row.last_request,
        }))
    }

    /// Forgets assertions that have ended and cannot be used again.
    pub async fn prune_assertions(&self) -> Result<(), ServiceError> {
        // A minute more for processes whose clocks are behind.
        let until = self.clock.now_ms() - 60_000;
        loop {
            let pruned: Result<usize, StoreError> = self
                .store
                .write("oauth_jti_prune", move |tx| tx.oauth_jti_prune(until, 1_000))
                .await;
            if pruned? == 0 {
                return Ok(());
            }
        }
    }
}

pub(super) fn invalid(fault: JwtFault) -> AuthError {
    AuthError::InvalidToken(fault.into())
}

/// The form of a JWT: three parts, the first of which is a JSON object in base64url.
fn is_signed(text: &str) -> bool {
    text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}
