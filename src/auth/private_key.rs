//! Private keys of applications, with which they sign who they are (RFC 7523): RSA and P-256, as PEM or as
//! a JSON Web Key; and certificates, as far as a signature names one.

use std::fmt::{Debug, Formatter};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair as RsaPair, KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::jwt::Algorithm;

/// A key that signs assertions.
pub struct PrivateKey {
    pair: Pair,
    /// The id that a JSON Web Key has.
    kid: Option<String>,
}

enum Pair {
    Rsa(RsaPair),
    P256(Box<EcdsaKeyPair>),
}

impl Debug for PrivateKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Reads PEM (PKCS#8, or PKCS#1 for RSA) or a JSON Web Key. The error is a sentence without any of it.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with('{') {
            return Self::jwk(text).ok_or_else(|| {
                "it is no private JSON Web Key of RSA (2048 bits or more) or P-256.".to_owned()
            });
        }
        if text.contains("ENCRYPTED") {
            return Err("it is encrypted; send it without a passphrase \
                        (openssl pkcs8 -topk8 -nocrypt)."
                .to_owned());
        }
        let der = PrivateKeyDer::from_pem_slice(text.as_bytes())
            .map_err(|_| "it is no private key in PEM, which begins with -----BEGIN.".to_owned())?;
        let pair = match &der {
            PrivateKeyDer::Pkcs8(der) => {
                let bytes = der.secret_pkcs8_der();
                RsaPair::from_pkcs8(bytes).ok().map(Pair::Rsa).or_else(|| {
                    let random = SystemRandom::new();
                    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                    EcdsaKeyPair::from_pkcs8(algorithm, bytes, &random).ok().map(p256)
                })
            }
            PrivateKeyDer::Pkcs1(der) => {
                RsaPair::from_der(der.secret_pkcs1_der()).ok().map(Pair::Rsa)
            }
            _ => None,
        };
        let pair = pair.ok_or_else(|| {
            "it is no key of RSA (2048 to 4096 bits) or P-256 in PKCS#8 \
             (openssl pkcs8 -topk8 -nocrypt)."
                .to_owned()
        })?;
        Ok(Self { pair, kid: None })
    }

    /// RFC 7518 §6.2.2, §6.3.2.
    fn jwk(text: &str) -> Option<Self> {
        let jwk: Value = serde_json::from_str(text).ok()?;
        let named = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(named(name)?.trim_end_matches('=')).ok();
        let pair = match (named("kty")?, named("crv")) {
            ("RSA", _) => {
                let components = KeyPairComponents {
                    public_key: PublicKeyComponents { n: bytes("n")?, e: bytes("e")? },
                    d: bytes("d")?,
                    p: bytes("p")?,
                    q: bytes("q")?,
                    dP: bytes("dp")?,
                    dQ: bytes("dq")?,
                    qInv: bytes("qi")?,
                };
                Pair::Rsa(RsaPair::from_components(&components).ok()?)
            }
            ("EC", Some("P-256")) => {
                let point = [vec![4], bytes("x")?, bytes("y")?].concat();
                let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
                let d = bytes("d")?;
                let pair =
                    EcdsaKeyPair::from_private_key_and_public_key(algorithm, &d, &point, &random);
                p256(pair.ok()?)
            }
            _ => return None,
        };
        Some(Self { pair, kid: named("kid").map(str::to_owned) })
    }

    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What it signs with where nobody asks for another: RS256 or ES256.
    pub fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Rsa(_) => Algorithm::RS256,
            Pair::P256(_) => Algorithm::ES256,
        }
    }

    /// A signed token (RFC 7515 §7.1); `None` for an algorithm that the key does not have.
    pub fn sign(
        &self,
        algorithm: Algorithm,
        header: &Map<String, Value>,
        claims: &Map<String, Value>,
    ) -> Option<String> {
        let mut whole = Map::new();
        whole.insert("alg".to_owned(), format!("{algorithm:?}").into());
        whole.insert("typ".to_owned(), "JWT".into());
        whole.extend(header.clone());
        let part = |members: &Map<String, Value>| {
            Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(members).ok()?))
        };
        let message = format!("{}.{}", part(&whole)?, part(claims)?);
        let random = SystemRandom::new();
        let signature = match (&self.pair, algorithm) {
            (Pair::Rsa(pair), Algorithm::RS256 | Algorithm::PS256) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let (message, signature_bytes) = (message.as_bytes(), &mut signature);
                match algorithm {
                    Algorithm::RS256 => {
                        pair.sign(&RSA_PKCS1_SHA256, &random, message, signature_bytes)
                    }
                    _ => pair.sign(&RSA_PSS_SHA256, &random, message, signature_bytes),
                }
                .ok()?;
                signature
            }
            (Pair::P256(pair), Algorithm::ES256) => {
                pair.sign(&random, message.as_bytes()).ok()?.as_ref().to_vec()
            }
            _ => return None,
        };
        Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Whether it is the key of that certificate: its public half stands in there as it is (RFC 5280 §4.1).
    pub fn is_of(&self, certificate: &Certificate) -> bool {
        let public = match &self.pair {
            Pair::Rsa(pair) => PublicKeyComponents::<Vec<u8>>::from(pair.public()).n,
            Pair::P256(pair) => pair.public_key().as_ref().to_vec(),
        };
        certificate.0.windows(public.len()).any(|part| part == public)
    }
}

fn p256(pair: EcdsaKeyPair) -> Pair {
    Pair::P256(Box::new(pair))
}

/// A certificate (X.509) that is named by its thumbprint.
pub struct Certificate(Vec<u8>);

impl Certificate {
    /// Reads the first certificate of a PEM text. The error is a sentence.
    pub fn read(text: &str) -> Result<Self, String> {
        match CertificateDer::from_pem_slice(text.as_bytes()) {
            Ok(der) => Ok(Self(der.as_ref().to_vec())),
            Err(_) => Err("it is no certificate in PEM, which begins with \
                           -----BEGIN CERTIFICATE-----."
                .to_owned()),
        }
    }

    /// The member `x5t#S256` of a header (RFC 7515 §4.1.8).
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use rcgen::{CertificateParams, KeyPair as Generated, PKCS_RSA_SHA256};
    use serde_json::json;

    use super::*;
    use crate::auth::jwt::{self, KeySet};
    use crate::auth::signing::SigningKey;

    const RSA: &[u8] = include_bytes!("../../tests/it/support/keys/first.pkcs8");
    const OTHER: &[u8] = include_bytes!("../../tests/it/support/keys/second.pkcs8");

    fn pem(der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("an object") };
        object
    }

    /// The public half of a key as a set.
    fn set(key: &PrivateKey) -> KeySet {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = match &key.pair {
            Pair::Rsa(pair) => {
                let PublicKeyComponents { n, e } =
                    PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "use": "sig", "n": text(&n), "e": text(&e)})
            }
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (text(&point[1..33]), text(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
        };
        KeySet::strict(&json!({"keys": [jwk]})).expect("a set")
    }

    #[test]
    fn what_is_signed_is_verified_with_the_public_half() {
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let ec = pem(ec.expect("a key").as_ref());
        let generated = object(
            serde_json::from_str(&SigningKey::generate().expect("a key")).expect("its parts"),
        );
        let mut jwk = object(json!({"kty": "RSA", "kid": "k7"}));
        jwk.extend(generated);
        let jwk = Value::Object(jwk).to_string();
        let claims = object(json!({"iss": "a", "exp": 7}));
        let header = object(json!({"x5t#S256": "t"}));
        for (text, algorithms) in [
            (pem(RSA), &[Algorithm::RS256, Algorithm::PS256][..]),
            (jwk, &[Algorithm::RS256, Algorithm::PS256]),
            (ec, &[Algorithm::ES256]),
        ] {
            let key = PrivateKey::read(&text).expect("a key");
            assert_eq!(key.algorithm(), algorithms[0]);
            for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256] {
                let Some(token) = key.sign(algorithm, &header, &claims) else {
                    assert!(!algorithms.contains(&algorithm));
                    continue;
                };
                let own = set(&key);
                let read = jwt::verified::<Value>(&token, &own, &[algorithm]);
                assert_eq!(read.expect("good").0, json!({"iss": "a", "exp": 7}));
                let first = token.split('.').next().expect("a header");
                let first: Value =
                    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(first).expect("base64"))
                        .expect("JSON");
                assert_eq!(
                    first,
                    json!({"alg": format!("{algorithm:?}"), "typ": "JWT", "x5t#S256": "t"})
                );
                let other = set(&PrivateKey::read(&pem(OTHER)).expect("a key"));
                assert!(jwt::verified::<Value>(&token, &other, &[algorithm]).is_err());
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for text in [
            "",
            "s3cret",
            "{\"kty\":\"RSA\",\"n\":\"s3cret\"}",
            "{\"kty\":\"oct\",\"k\":\"s3cret\"}",
            "-----BEGIN PRIVATE KEY-----\nczNjcmV0\n-----END PRIVATE KEY-----",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nczNjcmV0\n-----END ENCRYPTED PRIVATE KEY-----",
            "-----BEGIN CERTIFICATE-----\nczNjcmV0\n-----END CERTIFICATE-----",
        ] {
            let said = PrivateKey::read(text).expect_err("no key");
            assert!(said.ends_with('.') && !said.contains("s3cret"), "{said}");
            assert!(!said.contains("czNj"), "{said}");
        }
        assert!(!format!("{:?}", PrivateKey::read(&pem(RSA))).contains("n:"));
    }

    #[test]
    fn certificate_is_told_from_that_of_another_key() {
        let pair = Generated::from_pkcs8_pem_and_sign_algo(&pem(RSA), &PKCS_RSA_SHA256);
        let params = CertificateParams::new(vec!["app.example.com".to_owned()]).expect("names");
        let made = params.self_signed(&pair.expect("a key")).expect("a certificate");
        let certificate = Certificate::read(&made.pem()).expect("a certificate");
        let digest = ring::digest::digest(&ring::digest::SHA256, made.der());
        assert_eq!(certificate.thumbprint(), URL_SAFE_NO_PAD.encode(digest));
        assert!(PrivateKey::read(&pem(RSA)).expect("a key").is_of(&certificate));
        assert!(!PrivateKey::read(&pem(OTHER)).expect("a key").is_of(&certificate));
        assert!(Certificate::read(&pem(RSA)).is_err());
    }
}
