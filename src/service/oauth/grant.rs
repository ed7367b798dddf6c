//! The token endpoint: a client proves who it is and gets an access token for its directory (RFC
//! 6749 §4.4).

use std::net::IpAddr;
use std::sync::Arc;

use super::SCOPES;
use crate::auth::{AccessClaims, Presented, SecretKind};
use crate::service::authenticate::{Holder, TokenScope};
use crate::service::limit::{Cost, Limited};
use crate::service::{Access, AuthError, Service};
use crate::store::StoreError;

/// How long an access token lives, in seconds.
const LIFETIME_SECONDS: i64 = 600;

/// A request for a token, as far as it is read.
#[derive(Debug)]
pub struct TokenRequest {
    pub grant_type: Option<String>,
    pub scope: Option<String>,
    pub proof: ClientProof,
}

/// How a client proves who it is: one way at a time.
#[derive(Debug)]
pub enum ClientProof {
    Secret {
        client_id: String,
        secret: String,
    },
    /// A signed JWT; `client_id` may stand beside it.
    Assertion {
        assertion: String,
        client_id: Option<String>,
    },
}

/// What a client gets.
#[derive(Debug)]
pub struct Granted {
    pub access_token: String,
    /// Seconds.
    pub expires_in: i64,
    pub scope: String,
    /// How the client authenticated, for metrics.
    pub method: &'static str,
}

/// A refusal in the words of RFC 6749 §5.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub error: &'static str,
    /// The label in metrics.
    pub reason: &'static str,
    pub description: String,
}

impl Refusal {
    pub fn request(description: impl Into<String>) -> Self {
        Self { error: "invalid_request", reason: "request", description: description.into() }
    }

    pub fn client(reason: &'static str, description: String) -> Self {
        Self { error: "invalid_client", reason, description }
    }
}

#[derive(Debug)]
pub enum GrantError {
    Refused(Refusal),
    /// Too many failures; seconds to wait.
    TooMany(u64),
    /// The directory is at its rate limit.
    Limited {
        limited: Limited,
        /// What the directory was made for.
        provider: &'static str,
    },
    Store(StoreError),
}

impl From<StoreError> for GrantError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Service {
    /// Issues an access token. `issuer` is the URL of this server as the client reached it.
    pub async fn token_grant(
        &self,
        request: TokenRequest,
        issuer: &str,
        address: Option<IpAddr>,
    ) -> Result<Granted, GrantError> {
        check_grant_type(request.grant_type.as_deref()).map_err(GrantError::Refused)?;
        let (access, method) = match request.proof {
            ClientProof::Secret { client_id, secret } => {
                let client = self.client_with_secret(&client_id, &secret, address).await?;
                self.limit_grant(&client)?;
                (client, "client_secret")
            }
            ClientProof::Assertion { assertion, client_id } => {
                let named = client_id.as_deref();
                let client = self.client_by_assertion(&assertion, named, issuer, address).await?;
                (client, "private_key_jwt")
            }
        };
        let scope = scope(request.scope.as_deref(), access.scope).map_err(GrantError::Refused)?;
        let client_id = match &access.holder {
            Holder::Client(id) => id.clone(),
            _ => return Err(GrantError::Refused(wrong_secret())),
        };
        let now = self.clock.now_ms().div_euclid(1_000);
        let claims = AccessClaims {
            iss: issuer.to_owned(),
            sub: client_id.clone(),
            client_id,
            aud: access.directory.id.clone(),
            scope: scope.clone(),
            iat: now,
            exp: now + LIFETIME_SECONDS,
            jti: self.clock.id("access"),
        };
        let access_token = self.access_tokens.issue(&claims);
        Ok(Granted { access_token, expires_in: LIFETIME_SECONDS, scope, method })
    }

    /// Takes a request out of the bucket of the client's directory.
    pub(super) fn limit_grant(&self, access: &Access) -> Result<(), GrantError> {
        let provider = access.directory.provider;
        let taken = self.limit_directory(access, Cost::One);
        taken.map(drop).map_err(|limited| GrantError::Limited { limited, provider })
    }

    async fn client_with_secret(
        &self,
        client_id: &str,
        secret: &str,
        address: Option<IpAddr>,
    ) -> Result<Arc<Access>, GrantError> {
        let found = match Presented::parse(secret) {
            Some(secret) if secret.kind == SecretKind::Client && secret.id == client_id => {
                self.client_by_secret(&secret, address).await
            }
            _ => match self.failures.blocked(None, address, self.clock.now_ms()) {
                Some(wait) => Err(AuthError::TooMany(wait)),
                None => self.refuse(None, address),
            },
        };
        found.map_err(|error| match error {
            AuthError::TooMany(wait) => GrantError::TooMany(wait),
            AuthError::Store(error) => GrantError::Store(error),
            _ => GrantError::Refused(wrong_secret()),
        })
    }
}

fn wrong_secret() -> Refusal {
    let description = "The client is unknown, has expired, or its secret is wrong.";
    Refusal::client("secret", description.to_owned())
}

fn check_grant_type(grant_type: Option<&str>) -> Result<(), Refusal> {
    match grant_type {
        Some("client_credentials") => Ok(()),
        None => Err(Refusal::request("The parameter grant_type is missing.")),
        Some(_) => Err(Refusal {
            error: "unsupported_grant_type",
            reason: "grant_type",
            description: "The parameter grant_type must be client_credentials.".into(),
        }),
    }
}

/// The words of scope that are granted: those that were asked for, or all that the client may do.
fn scope(wanted: Option<&str>, client: TokenScope) -> Result<String, Refusal> {
    let refuse =
        |description: String| Err(Refusal { error: "invalid_scope", reason: "scope", description });
    let mut words: Vec<&str> = Vec::new();
    for word in wanted.unwrap_or_default().split(' ').filter(|word| !word.is_empty()) {
        if !SCOPES.contains(&word) {
            let known = SCOPES.join(", ");
            return refuse(format!(
                "The parameter scope holds an unknown word; known are {known}."
            ));
        }
        if word == "write" && client == TokenScope::Read {
            return refuse("This client may only read.".into());
        }
        if !words.contains(&word) {
            words.push(word);
        }
    }
    if words.is_empty() {
        words.push(client.as_str());
    }
    Ok(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::effective;
    use super::*;

    #[test]
    fn scope_is_what_was_asked_for_and_never_more_than_the_client_may() {
        use TokenScope::{Read, Write};
        for (wanted, client, granted) in [
            (None, Write, Some(("write", Write))),
            (None, Read, Some(("read", Read))),
            (Some(""), Write, Some(("write", Write))),
            (Some("read"), Write, Some(("read", Read))),
            (Some("scim"), Write, Some(("scim", Write))),
            (Some("scim"), Read, Some(("scim", Read))),
            (Some("read write read"), Write, Some(("read write", Write))),
            (Some("write"), Read, None),
            (Some("SCIM"), Write, None),
            (Some("openid"), Write, None),
            (Some("read openid"), Write, None),
        ] {
            let found = scope(wanted, client).ok();
            assert_eq!(found.as_deref(), granted.map(|g| g.0), "{wanted:?} {client:?}");
            if let Some((words, allowed)) = granted {
                assert_eq!(effective(words, client), allowed, "{wanted:?} {client:?}");
            }
        }
    }
}
