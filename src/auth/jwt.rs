//! Signed tokens of others (RFC 7515, RFC 7519): the public keys that may have signed one, and what
//! a token says once a signature of them is good.
//!
//! An algorithm counts only when the caller allows it and the key is of its family, so neither
//! `none` nor an HMAC made with a public key passes. Times and audiences are the caller's to check.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Header, Validation, decode, decode_header};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub use jsonwebtoken::Algorithm;

/// Public key algorithms, in the order in which they are told.
pub const PUBLIC_KEY_ALGORITHMS: [(Algorithm, &str); 3] =
    [(Algorithm::ES256, "ES256"), (Algorithm::RS256, "RS256"), (Algorithm::PS256, "PS256")];

/// Most keys of one set.
const MAX_KEYS: usize = 20;

/// Members of a JSON Web Key that are secret (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtFault {
    /// It is no JWT, or its claims are not of the expected types.
    Malformed,
    /// Its algorithm is none of those that are allowed.
    Algorithm,
    /// No key fits what its header names.
    UnknownKey,
    Signature,
}

/// The header of a token, which nobody has verified yet.
pub fn header(token: &str) -> Result<Header, JwtFault> {
    let header = decode_header(token).map_err(|error| match error.kind() {
        // The word of an algorithm that the library does not have, such as `none`.
        ErrorKind::Json(error) if error.to_string().contains("unknown variant") => {
            JwtFault::Algorithm
        }
        _ => JwtFault::Malformed,
    })?;
    // An extension that must be understood and is not (RFC 7515 §4.1.11).
    if header.crit.is_some() { Err(JwtFault::Malformed) } else { Ok(header) }
}

/// The claims of a token that nobody has verified: good for finding out who to ask, nothing else.
pub fn unverified<C: DeserializeOwned>(token: &str) -> Result<C, JwtFault> {
    jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| JwtFault::Malformed)
}

/// The claims of a token that one of the keys has signed, and that key.
pub fn verified<'k, C: DeserializeOwned>(
    token: &str,
    keys: &'k KeySet,
    allowed: &[Algorithm],
) -> Result<(C, &'k PublicKey), JwtFault> {
    let header = header(token)?;
    if !allowed.contains(&header.alg) {
        return Err(JwtFault::Algorithm);
    }
    let mut fault = JwtFault::UnknownKey;
    for key in keys.0.iter().filter(|key| key.may_have_signed(&header)) {
        match claims(token, &key.key, header.alg) {
            Ok(claims) => return Ok((claims, key)),
            Err(other) => fault = other,
        }
    }
    Err(fault)
}

/// The claims of a token with a good signature of that key.
pub(super) fn claims<C: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
) -> Result<C, JwtFault> {
    super::jwt_crypto::install();
    let mut validation = Validation::new(algorithm);
    // The library would ask the system's clock, and look at types that the claims decide.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    match decode(token, key, &validation) {
        Ok(token) => Ok(token.claims),
        Err(error) => Err(match error.kind() {
            ErrorKind::InvalidSignature => JwtFault::Signature,
            ErrorKind::InvalidAlgorithm => JwtFault::Algorithm,
            _ => JwtFault::Malformed,
        }),
    }
}

/// A key of a JSON Web Key Set.
pub struct PublicKey {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    key: DecodingKey,
    /// Whose tokens it signs, where its set says so, as that of Entra does.
    pub issuer: Option<String>,
}

impl PublicKey {
    fn may_have_signed(&self, header: &Header) -> bool {
        let named = match (&header.kid, &self.kid) {
            (Some(wanted), Some(kid)) => wanted == kid,
            _ => true,
        };
        named
            && self.key.family() == family(header.alg)
            && self.algorithm.is_none_or(|algorithm| algorithm == header.alg)
    }
}

fn family(algorithm: Algorithm) -> AlgorithmFamily {
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => AlgorithmFamily::Hmac,
        Algorithm::ES256 | Algorithm::ES384 => AlgorithmFamily::Ec,
        Algorithm::EdDSA => AlgorithmFamily::Ed,
        _ => AlgorithmFamily::Rsa,
    }
}

/// Public keys of one owner (RFC 7517 §5).
pub struct KeySet(Vec<PublicKey>);

impl KeySet {
    /// Reads a set that must be good throughout; the error names the place and what is wrong.
    pub fn strict(set: &Value) -> Result<Self, (String, String)> {
        let fault = |place: &str, what: &str| Err((place.to_owned(), what.to_owned()));
        let Some(keys) = set.get("keys").and_then(Value::as_array) else {
            return fault("", "it must be an object with a list \"keys\" (RFC 7517 §5).");
        };
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return fault("keys", &format!("it must hold 1 to {MAX_KEYS} keys."));
        }
        let mut read: Vec<PublicKey> = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            let key = public_key(key)
                .map_err(|(member, what)| (format!("keys[{index}]{member}"), what))?;
            if key.kid.is_some() && read.iter().any(|other| other.kid == key.kid) {
                return fault(&format!("keys[{index}].kid"), "another key of the set has it.");
            }
            read.push(key);
        }
        Ok(Self(read))
    }

    /// The keys of a set that can be used; others, which some owner may publish, are passed over.
    pub fn usable(set: &Value) -> Self {
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.into_iter().flatten().filter_map(|key| public_key(key).ok());
        Self(keys.take(MAX_KEYS).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when a key of the set has that id.
    pub fn has(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid.as_deref() == Some(kid))
    }
}

/// Reads one key; the error has the member (`.n`) and what is wrong with it.
fn public_key(key: &Value) -> Result<PublicKey, (String, String)> {
    let wrong = |member: &str, what: &str| (member.to_owned(), what.to_owned());
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    if !key.is_object() {
        return Err(wrong("", "it must be a JSON Web Key (RFC 7517 §4)."));
    }
    if let Some(name) = PRIVATE.iter().find(|name| key.get(**name).is_some()) {
        return Err(wrong(
            &format!(".{name}"),
            "it is part of a private key; send the public key alone.",
        ));
    }
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return Err(wrong(".use", "the key is not for signatures; allowed is \"sig\"."));
    }
    let algorithm = match text("alg") {
        None => None,
        Some(name) => {
            let known = PUBLIC_KEY_ALGORITHMS.iter().find(|(_, known)| *known == name);
            let known = known.ok_or_else(|| wrong(".alg", "allowed are ES256, RS256, PS256."))?;
            Some(known.0)
        }
    };
    let bytes = |name: &str| {
        let read = text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        read.ok_or_else(|| wrong(&format!(".{name}"), "it must be in base64url without padding."))
    };
    let decoding = match text("kty") {
        Some("RSA") => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            let significant = n.iter().skip_while(|byte| **byte == 0).count();
            if !(256..=1_024).contains(&significant) {
                return Err(wrong(".n", "an RSA key must have 2048 to 8192 bits."));
            }
            DecodingKey::from_rsa_raw_components(&n, &e)
        }
        Some("EC") => {
            if text("crv") != Some("P-256") {
                return Err(wrong(".crv", "allowed is \"P-256\"."));
            }
            let (x, y) = (bytes("x")?, bytes("y")?);
            if x.len() != 32 || y.len() != 32 {
                return Err(wrong(".x", "the coordinates of a P-256 key have 32 bytes each."));
            }
            DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat())
        }
        _ => return Err(wrong(".kty", "allowed are \"RSA\" and \"EC\".")),
    };
    if algorithm.is_some_and(|algorithm| family(algorithm) != decoding.family()) {
        return Err(wrong(".alg", "it does not fit the type of the key."));
    }
    let own = |name: &str| text(name).map(str::to_owned);
    Ok(PublicKey { kid: own("kid"), algorithm, key: decoding, issuer: own("issuer") })
}

/// Seconds since 1970 (RFC 7519 §2); fractions are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumericDate(pub i64);

impl NumericDate {
    pub fn millis(self) -> i64 {
        self.0.saturating_mul(1_000)
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?.to_string();
        let whole = number.split('.').next().unwrap_or_default();
        whole.parse().map(Self).map_err(|_| D::Error::custom("not a number of seconds"))
    }
}

/// `aud`: one text or a list of texts (RFC 7519 §4.1.3).
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// True when the token is for one of `accepted` and for nobody else.
    pub fn is_only(&self, accepted: &[String]) -> bool {
        match self {
            Self::One(one) => accepted.contains(one),
            Self::Many(many) => matches!(many.as_slice(), [one] if accepted.contains(one)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_key_set_is_refused_with_its_place() {
        let n = URL_SAFE_NO_PAD.encode([0xAB; 256]);
        let short = URL_SAFE_NO_PAD.encode([0xAB; 128]);
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        for (set, place) in [
            (json!([]), ""),
            (json!({"keys": []}), "keys"),
            (json!({"keys": ["x"]}), "keys[0]"),
            (json!({"keys": [{"kty": "oct"}]}), "keys[0].kty"),
            (json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}), "keys[0].k"),
            (json!({"keys": [{"kty": "RSA", "n": short, "e": "AQAB"}]}), "keys[0].n"),
            (json!({"keys": [{"kty": "RSA", "n": "=", "e": "AQAB"}]}), "keys[0].n"),
            (json!({"keys": [{"kty": "RSA", "n": n, "e": "AQAB", "d": "AQAB"}]}), "keys[0].d"),
            (json!({"keys": [{"kty": "RSA", "n": n, "e": "AQAB", "use": "enc"}]}), "keys[0].use"),
            (json!({"keys": [{"kty": "RSA", "n": n, "e": "AQAB", "alg": "HS256"}]}), "keys[0].alg"),
            (json!({"keys": [{"kty": "RSA", "n": n, "e": "AQAB", "alg": "ES256"}]}), "keys[0].alg"),
            (json!({"keys": [{"kty": "EC", "crv": "P-384", "x": x, "y": x}]}), "keys[0].crv"),
            (json!({"keys": [{"kty": "EC", "crv": "P-256", "x": x, "y": "AA"}]}), "keys[0].x"),
            (
                json!({"keys": [
                    {"kty": "EC", "crv": "P-256", "x": x, "y": x, "kid": "a"},
                    {"kty": "RSA", "n": n, "e": "AQAB", "kid": "a"},
                ]}),
                "keys[1].kid",
            ),
        ] {
            let (found, _) = KeySet::strict(&set).err().expect("refused");
            assert_eq!(found, place, "{set}");
        }
        let good = json!({"keys": [{"kty": "RSA", "n": n, "e": "AQAB", "kid": "a"}]});
        assert!(KeySet::strict(&good).is_ok_and(|keys| keys.has("a")));
        let mixed = json!({"keys": [{"kty": "oct"}, {"kty": "RSA", "n": n, "e": "AQAB"}]});
        assert_eq!(KeySet::usable(&mixed).0.len(), 1);
    }

    #[test]
    fn dates_are_seconds() {
        for (text, seconds) in [
            ("1750000000", Some(1_750_000_000)),
            ("1750000000.9", Some(1_750_000_000)),
            ("-1", Some(-1)),
            ("1e300", None),
            ("\"1750000000\"", None),
        ] {
            let read = serde_json::from_str::<NumericDate>(text).ok().map(|date| date.0);
            assert_eq!(read, seconds, "{text}");
        }
    }

    #[test]
    fn audience_is_one_and_known() {
        let accepted = ["a".to_owned(), "b".to_owned()];
        for (audience, good) in [
            (json!("a"), true),
            (json!(["b"]), true),
            (json!(["a", "b"]), false),
            (json!(["a", "c"]), false),
            (json!([]), false),
            (json!("c"), false),
        ] {
            let read: Audience = serde_json::from_value(audience.clone()).expect("an audience");
            assert_eq!(read.is_only(&accepted), good, "{audience}");
        }
    }
}
