//! The access tokens that this server issues (RFC 9068): JWTs that every process with the same secret
//! key signs and recognises, so that no table of them is needed.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};

use super::SecretKey;
use super::jwt::{self, JwtFault};

/// The type that tells an access token from every other JWT (RFC 9068 §2.1).
const TYPE: &str = "at+jwt";

/// What an access token says. Times are seconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessClaims {
    pub iss: String,
    pub sub: String,
    pub client_id: String,
    /// The id of the directory that the token opens.
    pub aud: String,
    /// Words of scope, separated by spaces.
    pub scope: String,
    pub iat: i64,
    pub exp: i64,
    pub jti: String,
}

/// Issues and recognises access tokens.
pub struct AccessTokens {
    signing: EncodingKey,
    /// Those of keys that an installation leaves behind, or is about to take, come last.
    checking: Vec<DecodingKey>,
}

impl AccessTokens {
    pub fn new(secret_key: &SecretKey) -> Self {
        let keys = secret_key.derive("access token");
        let first = keys.first().map_or(&[][..], |key| key.as_slice());
        Self {
            signing: EncodingKey::from_secret(first),
            checking: keys.iter().map(|key| DecodingKey::from_secret(key)).collect(),
        }
    }

    #[expect(clippy::expect_used, reason = "an HMAC key, and claims that are texts and numbers")]
    pub fn issue(&self, claims: &AccessClaims) -> String {
        super::jwt_crypto::install();
        let header = Header { typ: Some(TYPE.to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, claims, &self.signing).expect("signed with HMAC")
    }

    /// The claims of a token that was issued with this key. Whether it has ended is not looked at;
    /// who issued it is: nobody else has the key.
    pub fn verify(&self, token: &str) -> Result<AccessClaims, JwtFault> {
        let header = jwt::header(token)?;
        if header.alg != Algorithm::HS256 {
            return Err(JwtFault::Algorithm);
        }
        if !header.typ.is_some_and(|kind| kind.eq_ignore_ascii_case(TYPE)) {
            return Err(JwtFault::Malformed);
        }
        let mut checked = Err(JwtFault::Signature);
        for key in &self.checking {
            checked = jwt::claims(token, key, Algorithm::HS256);
            if !matches!(checked, Err(JwtFault::Signature)) {
                break;
            }
        }
        checked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> AccessClaims {
        AccessClaims {
            iss: "https://scim.example.com".into(),
            sub: "oauth_client_1".into(),
            client_id: "oauth_client_1".into(),
            aud: "directory_1".into(),
            scope: "write".into(),
            iat: 0,
            exp: 600,
            jti: "access_1".into(),
        }
    }

    #[test]
    fn only_tokens_of_the_same_secret_key_are_recognised() {
        let key = SecretKey::generate();
        let token = AccessTokens::new(&key).issue(&claims());
        let read = AccessTokens::new(&key).verify(&token).expect("our own");
        assert_eq!((read.client_id.as_str(), read.exp), ("oauth_client_1", 600));
        let other = AccessTokens::new(&SecretKey::generate());
        assert_eq!(other.verify(&token).err(), Some(JwtFault::Signature));
        assert!(AccessTokens::new(&key.followed()).verify(&token).is_ok(), "the key before");
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            // The last character carries bits that no byte has.
            let same = at + 1 == token.len();
            assert!(same || AccessTokens::new(&key).verify(&forged).is_err(), "{at}");
        }
        assert_eq!(AccessTokens::new(&key).verify("a.b").err(), Some(JwtFault::Malformed));
    }

    #[test]
    fn another_type_of_token_is_none() {
        let key = SecretKey::generate();
        let tokens = AccessTokens::new(&key);
        super::super::jwt_crypto::install();
        let token = encode(&Header::new(Algorithm::HS256), &claims(), &tokens.signing);
        let fault = tokens.verify(&token.expect("signed")).err();
        assert_eq!(fault, Some(JwtFault::Malformed));
    }
}
