//! What a client signs to prove who it is (`private_key_jwt`, RFC 7523 §2.2 and §3).

use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

use super::TOKEN_PATH;
use super::grant::{GrantError, Refusal};
use crate::auth::jwt::{self, Audience, NumericDate, PUBLIC_KEY_ALGORITHMS};
use crate::auth::{JwtFault, KeySet, secret};
use crate::service::authenticate::expired;
use crate::service::{Access, Service, on_behalf_of};
use crate::store::StoreError;

/// How far ahead an assertion may end, in milliseconds.
const LIFETIME_MS: i64 = 5 * 60 * 1_000;

/// How far the client's clock may be ahead.
const SKEW_MS: i64 = 30_000;

/// Refusals of assertions that the client has signed: they are no guesses.
const NO_GUESSES: [&str; 2] = ["claims", "replay"];

/// The claims of an assertion; which of them must be there is said one by one.
#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
    jti: Option<String>,
}

/// An assertion that may be used once, until it ends.
#[derive(Debug)]
struct Once {
    jti: String,
    expires: i64,
}

impl Claims {
    /// Checks everything but the signature, for the client of that id.
    fn check(&self, client_id: &str, audiences: &[String], now: i64) -> Result<Once, String> {
        let own = |claim: &Option<String>| claim.as_deref() == Some(client_id);
        if !own(&self.iss) || !own(&self.sub) {
            return Err("The claims \"iss\" and \"sub\" must both be the client_id.".into());
        }
        if !self.aud.as_ref().is_some_and(|audience| audience.is_only(audiences)) {
            let allowed = audiences.join("\" or \"");
            return Err(format!("The claim \"aud\" must be \"{allowed}\" and nothing else."));
        }
        let Some(expires) = self.exp.map(NumericDate::millis) else {
            return Err("The claim \"exp\" is missing.".into());
        };
        if expires <= now {
            return Err("The assertion has expired.".into());
        }
        if expires > now.saturating_add(LIFETIME_MS) {
            return Err("The claim \"exp\" must be at most 5 minutes ahead.".into());
        }
        for (name, claim) in [("nbf", self.nbf), ("iat", self.iat)] {
            if claim.is_some_and(|at| at.millis() > now.saturating_add(SKEW_MS)) {
                return Err(format!(
                    "The claim \"{name}\" lies in the future; compare the clocks."
                ));
            }
        }
        match self.jti.as_deref() {
            Some(jti) if !jti.is_empty() => Ok(Once { jti: secret::text_digest(jti), expires }),
            _ => Err("The claim \"jti\" is missing.".into()),
        }
    }
}

impl Service {
    /// The client that has signed the assertion, with all that it may do. The assertion is used up.
    pub(super) async fn client_by_assertion(
        &self,
        assertion: &str,
        named: Option<&str>,
        issuer: &str,
        address: Option<IpAddr>,
    ) -> Result<Arc<Access>, GrantError> {
        let now = self.clock.now_ms();
        // A client that has proved itself to this process goes on, whatever others do at the same
        // address.
        let named_by = jwt::unverified::<Claims>(assertion).ok().and_then(|claims| claims.sub);
        let is_known = named_by.is_some_and(|id| self.granted.get(&proof(&id), now).is_some());
        if !is_known && let Some(wait) = self.failures.blocked(None, address, now) {
            return Err(GrantError::TooMany(wait));
        }
        let checked = self.signed_by(assertion, named, issuer, now).await;
        if let Err(GrantError::Refused(refusal)) = &checked
            && !NO_GUESSES.contains(&refusal.reason)
        {
            self.failures.count(None, address, now);
        }
        checked
    }

    async fn signed_by(
        &self,
        assertion: &str,
        named: Option<&str>,
        issuer: &str,
        now: i64,
    ) -> Result<Arc<Access>, GrantError> {
        let refused = |reason: &'static str, what: &str| {
            GrantError::Refused(Refusal::client(reason, what.to_owned()))
        };
        let faulty = |fault: JwtFault| match fault {
            JwtFault::Malformed => {
                refused("malformed", "The client_assertion is not a signed JWT.")
            }
            JwtFault::Algorithm => refused(
                "algorithm",
                "The client_assertion is signed with an algorithm that is not accepted; allowed \
                 are ES256, RS256 and PS256.",
            ),
            JwtFault::UnknownKey => {
                refused("key", "No key of the client fits the header of the client_assertion.")
            }
            JwtFault::Signature => {
                refused("signature", "The signature of the client_assertion is not valid.")
            }
        };
        jwt::header(assertion).map_err(faulty)?;
        let claimed: Claims = jwt::unverified(assertion).map_err(faulty)?;
        let client_id = claimed.sub.unwrap_or_default();
        if named.is_some_and(|named| named != client_id) {
            let what = "The client_id is not the subject of the client_assertion.";
            return Err(refused("client", what));
        }
        let generation = self.granted.generation();
        let unknown = || refused("client", "The client is unknown or has expired.");
        let found = match is_client_id(&client_id) {
            true => self.client(&client_id).await?,
            false => None,
        };
        let Some((client, opened)) = found else {
            self.granted.forget(&proof(&client_id));
            return Err(unknown());
        };
        if expired(client.expires, now) || opened.row.state == "deleting" {
            return Err(unknown());
        }
        let Some(jwks) = &client.jwks else {
            return Err(refused("method", "The client authenticates by its secret."));
        };
        let keys = KeySet::usable(&serde_json::from_str(jwks).unwrap_or_default());
        let allowed = PUBLIC_KEY_ALGORITHMS.map(|(algorithm, _)| algorithm);
        let (claims, _): (Claims, _) = jwt::verified(assertion, &keys, &allowed).map_err(faulty)?;
        let access = Arc::new(self.access_of_client(&client, &opened));
        self.granted.put(proof(&client_id), Arc::clone(&access), now, generation);
        self.limit_grant(&access)?;
        let audiences = [issuer.to_owned(), format!("{issuer}{TOKEN_PATH}")];
        let once =
            claims.check(&client_id, &audiences, now).map_err(|what| refused("claims", &what))?;
        let key = client.directory_key;
        if !on_behalf_of(key, self.use_once(key, &client_id, once)).await? {
            return Err(refused("replay", "The assertion was used before; its jti must be new."));
        }
        self.note_use(&access, now);
        Ok(access)
    }

    /// False when any process has seen the assertion before.
    async fn use_once(
        &self,
        directory_key: i64,
        client_id: &str,
        once: Once,
    ) -> Result<bool, StoreError> {
        let client_id = client_id.to_owned();
        self.store
            .write("oauth_jti_use", move |tx| {
                tx.oauth_jti_use(directory_key, &client_id, &once.jti, once.expires)
            })
            .await
    }
}

/// Where it is remembered that the client has signed an assertion.
fn proof(client_id: &str) -> [u8; 32] {
    secret::digest(&format!("assertion {client_id}"))
}

/// What has not the form of an id reaches no database.
fn is_client_id(text: &str) -> bool {
    text.strip_prefix("oauth_client_").is_some_and(crate::scim::urn::is_external_key)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_750_000_000_000;

    fn check(change: &Value) -> Result<Once, String> {
        let now = NOW / 1_000;
        let mut claims = json!({
            "iss": "c", "sub": "c", "aud": "https://x", "exp": now + 300, "iat": now, "jti": "1",
        });
        for (name, value) in change.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        let claims: Claims = serde_json::from_value(claims).expect("claims");
        claims.check("c", &["https://x".to_owned(), "https://x/oauth/token".to_owned()], NOW)
    }

    #[test]
    fn each_claim_is_checked() {
        let now = NOW / 1_000;
        for (change, word) in [
            (json!({}), None),
            (json!({"aud": "https://x/oauth/token"}), None),
            (json!({"aud": ["https://x"]}), None),
            (json!({"exp": now + 1, "iat": now + 30, "nbf": now + 30}), None),
            (json!({"iss": "d"}), Some("iss")),
            (json!({"sub": "d"}), Some("sub")),
            (json!({"iss": null}), Some("iss")),
            (json!({"aud": "https://y"}), Some("aud")),
            (json!({"aud": "https://x/"}), Some("aud")),
            (json!({"aud": ["https://x", "https://y"]}), Some("aud")),
            (json!({"aud": null}), Some("aud")),
            (json!({"exp": null}), Some("exp")),
            (json!({"exp": now}), Some("expired")),
            (json!({"exp": now + 301}), Some("exp")),
            (json!({"exp": i64::MAX}), Some("exp")),
            (json!({"nbf": now + 31}), Some("nbf")),
            (json!({"iat": now + 31}), Some("iat")),
            (json!({"jti": null}), Some("jti")),
            (json!({"jti": ""}), Some("jti")),
        ] {
            match (check(&change), word) {
                (Ok(once), None) => assert!(once.expires > NOW, "{change}"),
                (Err(what), Some(word)) => assert!(what.contains(word), "{change}: {what}"),
                (found, _) => panic!("{change}: {found:?}"),
            }
        }
    }
}
