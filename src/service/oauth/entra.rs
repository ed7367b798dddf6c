//! Tokens that Entra issues for its provisioning service when an administrator leaves the secret
//! token blank. They say who signed them and nothing about the directory, so the operator stores the
//! tenant, and every other tenant's token, correctly signed as it may be, is refused.
//!
//! Sources: "Tutorial: develop and plan provisioning for a SCIM endpoint" and "Access token claims
//! reference" of Microsoft.

use serde::{Deserialize, Serialize};

use super::access::{TokenFault, invalid};
use crate::auth::jwt::{self, Algorithm, Audience, NumericDate};
use crate::service::{AuthError, Service};

/// The application id of Entra's provisioning service, which is what its tokens are for.
const AUDIENCES: [&str; 3] = [
    "8adf8e6e-67b2-4cf2-a259-e3dc5476c621",
    "spn:8adf8e6e-67b2-4cf2-a259-e3dc5476c621",
    "api://8adf8e6e-67b2-4cf2-a259-e3dc5476c621",
];

/// How far the clock of the issuer may be ahead, in milliseconds.
const SKEW_MS: i64 = 60_000;

/// Whose tokens a directory accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntraToken {
    /// The id of the tenant, the claim `tid`.
    tenant_id: Guid,
    /// The id of the application, the claim `appid` or `azp`. Without it every application of the
    /// tenant is let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app_id: Option<Guid>,
}

/// A GUID in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Guid(String);

impl TryFrom<String> for Guid {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        let hexadecimal = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        if lengths == [8, 4, 4, 4, 12] && hexadecimal {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err("it must be a GUID such as \"11111111-2222-3333-4444-555555555555\"".to_owned())
    }
}

impl From<Guid> for String {
    fn from(guid: Guid) -> Self {
        guid.0
    }
}

/// The claims that count, of tokens of both versions.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    tid: String,
    /// In tokens of version 1.
    appid: Option<String>,
    /// In tokens of version 2.
    azp: Option<String>,
    exp: NumericDate,
    nbf: Option<NumericDate>,
}

impl EntraToken {
    /// The issuers of that tenant's tokens, of version 1 and 2.
    fn issuers(&self, authority: &str) -> [String; 3] {
        let tenant = &self.tenant_id.0;
        [
            format!("https://sts.windows.net/{tenant}/"),
            format!("https://login.microsoftonline.com/{tenant}/v2.0"),
            format!("{authority}/{tenant}/v2.0"),
        ]
    }

    fn check(&self, claims: &Claims, issuers: &[String], now: i64) -> Result<(), TokenFault> {
        if claims.tid != self.tenant_id.0 {
            return Err(TokenFault::Tenant);
        }
        if !issuers.contains(&claims.iss) {
            return Err(TokenFault::Issuer);
        }
        if !claims.aud.is_only(&AUDIENCES.map(str::to_owned)) {
            return Err(TokenFault::Audience);
        }
        if let Some(wanted) = &self.app_id {
            let named: Vec<&String> = claims.appid.iter().chain(&claims.azp).collect();
            if named.is_empty() || named.iter().any(|named| **named != wanted.0) {
                return Err(TokenFault::Application);
            }
        }
        if claims.exp.millis() <= now {
            return Err(TokenFault::Expired);
        }
        if claims.nbf.is_some_and(|from| from.millis() > now.saturating_add(SKEW_MS)) {
            return Err(TokenFault::NotYet);
        }
        Ok(())
    }
}

impl Service {
    /// Fails unless Entra has signed the token for the tenant that is trusted.
    pub(super) async fn check_entra(
        &self,
        token: &str,
        trusted: &EntraToken,
        now: i64,
    ) -> Result<(), AuthError> {
        let refused = |fault| Err(AuthError::InvalidToken(fault));
        let header = jwt::header(token).map_err(invalid)?;
        // Nothing is fetched for a token that cannot be good.
        if header.alg != Algorithm::RS256 {
            return refused(TokenFault::Algorithm);
        }
        let Some(kid) = &header.kid else { return refused(TokenFault::Key) };
        let keys = self.tenant_keys.keys(&trusted.tenant_id.0, kid, now).await?;
        let (claims, key) =
            jwt::verified::<Claims>(token, &keys, &[Algorithm::RS256]).map_err(invalid)?;
        let issuers = trusted.issuers(self.tenant_keys.authority());
        // A key may be published for certain issuers only, by name or for every tenant.
        let issuer = key.issuer.as_ref().map(|i| i.replace("{tenantid}", &trusted.tenant_id.0));
        if issuer.is_some_and(|issuer| !issuers.contains(&issuer)) {
            return refused(TokenFault::Key);
        }
        trusted.check(&claims, &issuers, now).map_err(AuthError::InvalidToken)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TENANT: &str = "11111111-2222-3333-4444-555555555555";

    #[test]
    fn settings_hold_guids() {
        let upper = "AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE";
        let read: EntraToken = serde_json::from_value(json!({"tenant_id": upper})).expect("good");
        assert_eq!(read.tenant_id.0, upper.to_ascii_lowercase());
        for wrong in [
            json!({}),
            json!({"tenant_id": "common"}),
            json!({"tenant_id": "11111111-2222-3333-4444-55555555555/"}),
            json!({"tenant_id": format!("{TENANT}/..")}),
            json!({"tenant_id": "g1111111-2222-3333-4444-555555555555"}),
            json!({"tenant_id": TENANT, "app_id": ""}),
            json!({"tenant_id": TENANT, "appid": TENANT}),
        ] {
            assert!(serde_json::from_value::<EntraToken>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
