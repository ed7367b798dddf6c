//! Keys that sign Security Event Tokens, and the tokens (RFC 8417 §2.1, RFC 7515).
//!
//! RS256 with 2048 bits: what every receiver of the CAEP interoperability profile verifies. `ring` signs
//! and cannot make such keys; the crate `rsa` makes them and does nothing else with them.

use std::convert::Infallible;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, KeyPairComponents, PublicKeyComponents};
use ring::signature::RSA_PKCS1_SHA256;
use rsa::RsaPrivateKey;
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::fill_random;

/// Length of a key, in bits.
const BITS: usize = 2_048;

/// The members of a private RSA key (RFC 7518 §6.3), as base64url.
#[derive(Serialize, Deserialize)]
struct Parts {
    n: String,
    e: String,
    d: String,
    p: String,
    q: String,
    dp: String,
    dq: String,
    qi: String,
}

/// A key that signs.
pub struct SigningKey {
    kid: String,
    n: String,
    e: String,
    pair: KeyPair,
}

/// The randomness of the clock, in the form that key generation takes.
struct Random;

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        fill_random(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        fill_random(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        fill_random(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Random {}

impl SigningKey {
    /// A new private key as text, to be sealed. Takes about a tenth of a second of this thread.
    pub fn generate() -> Option<String> {
        let key = RsaPrivateKey::new(&mut Random, BITS).ok()?;
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut primes = key.primes().iter();
        let parts = Parts {
            n: text(&key.n_bytes()),
            e: text(&key.e_bytes()),
            d: text(&key.d().to_be_bytes_trimmed_vartime()),
            p: text(&primes.next()?.to_be_bytes_trimmed_vartime()),
            q: text(&primes.next()?.to_be_bytes_trimmed_vartime()),
            dp: text(&key.dp()?.to_be_bytes_trimmed_vartime()),
            dq: text(&key.dq()?.to_be_bytes_trimmed_vartime()),
            qi: text(&key.qinv()?.retrieve().to_be_bytes_trimmed_vartime()),
        };
        serde_json::to_string(&parts).ok()
    }

    /// Reads what [`SigningKey::generate`] has made.
    pub fn parse(kid: &str, text: &str) -> Option<Self> {
        let parts: Parts = serde_json::from_str(text).ok()?;
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: bytes(&parts.n)?, e: bytes(&parts.e)? },
            d: bytes(&parts.d)?,
            p: bytes(&parts.p)?,
            q: bytes(&parts.q)?,
            dP: bytes(&parts.dp)?,
            dQ: bytes(&parts.dq)?,
            qInv: bytes(&parts.qi)?,
        };
        let pair = KeyPair::from_components(&components).ok()?;
        Some(Self { kid: kid.to_owned(), n: parts.n, e: parts.e, pair })
    }

    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as a JSON Web Key.
    pub fn jwk(&self) -> Value {
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256",
            "kid": self.kid, "n": self.n, "e": self.e,
        })
    }

    /// The claims as a signed Security Event Token. The same claims always make the same token.
    pub fn sign(&self, claims: &Value) -> Option<String> {
        let header = json!({"alg": "RS256", "kid": self.kid, "typ": "secevent+jwt"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.pair.public().modulus_len()];
        // This padding draws nothing from the source.
        let random = SystemRandom::new();
        self.pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).ok()?;
        Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::jwt::{self, Algorithm, KeySet};

    #[test]
    fn token_is_verified_with_the_public_half_alone() {
        let text = SigningKey::generate().expect("a key");
        let key = SigningKey::parse("k1", &text).expect("the same key");
        assert!(key.jwk().get("d").is_none());
        let claims = json!({"iss": "https://rollbook.example.com", "jti": "1"});
        let token = key.sign(&claims).expect("a token");
        assert_eq!(key.sign(&claims).as_ref(), Some(&token));
        let set = KeySet::strict(&json!({"keys": [key.jwk()]})).expect("a set");
        let (read, _) = jwt::verified::<Value>(&token, &set, &[Algorithm::RS256]).expect("good");
        assert_eq!(read, claims);
        assert_eq!(jwt::header(&token).expect("a header").typ.as_deref(), Some("secevent+jwt"));
        let other = SigningKey::generate().and_then(|text| SigningKey::parse("k1", &text));
        let set = KeySet::strict(&json!({"keys": [other.expect("a key").jwk()]})).expect("a set");
        assert!(jwt::verified::<Value>(&token, &set, &[Algorithm::RS256]).is_err());
        assert!(SigningKey::parse("k1", "{}").is_none());
    }
}
