//! Signed tokens as clients and providers make them, good ones and bad ones, made by hand so that
//! nothing of the product checks its own work.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

/// A key that signs.
pub enum SigningKey {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    /// For HS256.
    Secret(Vec<u8>),
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl SigningKey {
    /// An RSA key of 2048 bits that opens nothing outside these tests.
    pub fn rsa() -> Self {
        Self::pkcs8(include_bytes!("keys/first.pkcs8"))
    }

    /// Another one.
    pub fn other_rsa() -> Self {
        Self::pkcs8(include_bytes!("keys/second.pkcs8"))
    }

    fn pkcs8(der: &[u8]) -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(der).expect("a key"))
    }

    /// A new key on P-256.
    pub fn ec() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        Self::Ec(EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).expect("a key"))
    }

    /// The public half as a JSON Web Key.
    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let PublicKeyComponents { n, e }: PublicKeyComponents<Vec<u8>> =
                    key.public().into();
                json!({"kty": "RSA", "use": "sig", "kid": kid, "n": text(n), "e": text(e)})
            }
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (text(&point[1..33]), text(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid, "x": x, "y": y})
            }
            Self::Secret(_) => panic!("a secret has no public half"),
        }
    }

    /// A set of this one key.
    pub fn jwks(&self, kid: &str) -> Value {
        json!({"keys": [self.jwk(kid)]})
    }

    /// A token with that header and those claims, signed as `alg` of the header says.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(header, &claims.to_string())
    }

    /// The same with claims that need not be JSON.
    pub fn sign_text(&self, header: &Value, claims: &str) -> String {
        let message = format!("{}.{}", text(header.to_string()), text(claims));
        let signature = self.signature(header["alg"].as_str().expect("alg"), message.as_bytes());
        format!("{message}.{}", text(signature))
    }

    fn signature(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match (algorithm, self) {
            ("none", _) => Vec::new(),
            ("RS256" | "PS256", Self::Rsa(key)) => {
                let mut signature = vec![0; key.public().modulus_len()];
                let signed = match algorithm {
                    "RS256" => key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature),
                    _ => key.sign(&RSA_PSS_SHA256, &random, message, &mut signature),
                };
                signed.expect("signed");
                signature
            }
            ("ES256", Self::Ec(key)) => {
                key.sign(&random, message).expect("signed").as_ref().to_vec()
            }
            ("HS256", Self::Secret(secret)) => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
                ring::hmac::sign(&key, message).as_ref().to_vec()
            }
            _ => panic!("this key does not sign {algorithm}"),
        }
    }
}
