//! The token endpoint of Microsoft Entra ID: client credentials with a secret or a signed assertion, with
//! the errors that it gives.

use std::collections::{BTreeMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use ring::digest::{SHA256, digest};
use ring::signature::{RSA_PSS_2048_8192_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};

use super::super::fake::{Asked, Said};

pub const TENANT: &str = "7f1c0a1e-0000-4000-8000-000000000001";
pub const CLIENT: &str = "7f1c0a1e-0000-4000-8000-000000000002";
pub const SECRET: &str = "s3cret~of.the-application_0123456789";

const SCOPE: &str = "https://graph.microsoft.com/.default";

/// Who is let in, and who was.
pub struct Door {
    /// `http://127.0.0.1:port`
    url: String,
    /// Seconds since 1970.
    pub now: i64,
    tokens: HashSet<String>,
    /// `jti` of assertions that were shown.
    shown: HashSet<String>,
    issued: usize,
}

/// The key of the application, as PEM.
pub fn private_key() -> String {
    pem(include_bytes!("../keys/first.pkcs8"))
}

/// A key that the tenant does not know.
pub fn other_key() -> String {
    pem(include_bytes!("../keys/second.pkcs8"))
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("Base64 is ASCII"))
        .collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// A certificate of a key, as PEM and by its thumbprint. It is the same each time.
pub fn certificate(key: &str) -> (String, String) {
    let pair = KeyPair::from_pkcs8_pem_and_sign_algo(key, &PKCS_RSA_SHA256).expect("a key");
    let params = CertificateParams::new(vec!["app.example.com".to_owned()]).expect("names");
    let made = params.self_signed(&pair).expect("a certificate");
    (made.pem(), URL_SAFE_NO_PAD.encode(digest(&SHA256, made.der())))
}

impl Door {
    pub fn new(url: &str, now: i64) -> Self {
        Self { url: url.to_owned(), now, tokens: HashSet::new(), shown: HashSet::new(), issued: 0 }
    }

    pub fn lets_in(&self, asked: &Asked) -> bool {
        let token = asked.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        self.tokens.contains(token)
    }

    /// Tokens that were given out are good no more.
    pub fn end_tokens(&mut self) {
        self.tokens.clear();
    }

    /// `POST /{tenant}/oauth2/v2.0/token`.
    pub fn token(&mut self, tenant: &str, asked: &Asked) -> Said {
        let form: BTreeMap<String, String> = asked.form().into_iter().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let refused = |status: u16, error: &str, number: u32, words: &str| {
            let description = format!("AADSTS{number}: {words}");
            let codes = [number];
            let body = json!({
                "error": error, "error_description": description, "error_codes": codes,
                "timestamp": "2025-06-15 15:06:40Z",
                "trace_id": "7f1c0a1e-0000-4000-8000-00000000000a",
                "correlation_id": "7f1c0a1e-0000-4000-8000-00000000000b",
            });
            Said::json(status, &body)
        };
        if tenant != TENANT {
            let words = format!("Tenant '{tenant}' not found.");
            return refused(400, "invalid_request", 90_002, &words);
        }
        if field("grant_type") != "client_credentials" {
            return refused(400, "unsupported_grant_type", 70_003, "The grant is not supported.");
        }
        if field("client_id") != CLIENT {
            let words = format!(
                "Application with identifier '{}' was not found in the directory.",
                field("client_id")
            );
            return refused(400, "unauthorized_client", 700_016, &words);
        }
        if field("scope") != SCOPE {
            let words = "The provided value for scope is not valid.";
            return refused(400, "invalid_scope", 1_002_012, words);
        }
        let assertion = field("client_assertion");
        if assertion.is_empty() {
            if field("client_secret") != SECRET {
                let words = format!(
                    "Invalid client secret provided. Ensure the secret being sent in the request is \
                     the client secret value, not the client secret ID, for a secret added to app \
                     '{CLIENT}'."
                );
                return refused(401, "invalid_client", 7_000_215, &words);
            }
        } else if let Err((number, words)) = self.assertion(tenant, &form) {
            return refused(401, "invalid_client", number, &words);
        }
        self.issued += 1;
        let token = format!("eyJ0eXAi.token-{}", self.issued);
        self.tokens.insert(token.clone());
        let body = json!({"token_type": "Bearer", "expires_in": 3_599, "ext_expires_in": 3_599,
            "access_token": token});
        Said::json(200, &body)
    }

    /// What is wrong with a signed assertion.
    fn assertion(
        &mut self,
        tenant: &str,
        form: &BTreeMap<String, String>,
    ) -> Result<(), (u32, String)> {
        let wrong = |number: u32, words: &str| Err((number, words.to_owned()));
        let kind = form.get("client_assertion_type").map(String::as_str);
        if kind != Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") {
            return wrong(50_027, "JWT token is invalid or malformed.");
        }
        let Some((header, claims, signed)) = parts(&form["client_assertion"]) else {
            return wrong(50_027, "JWT token is invalid or malformed.");
        };
        let (_, thumbprint) = certificate(&private_key());
        if header["x5t#S256"] != thumbprint.as_str() {
            let words = "The certificate with identifier used to sign the client assertion is not \
                         registered on application.";
            return wrong(700_027, words);
        }
        if header["alg"] != "PS256" || !signed {
            return wrong(700_027, "Client assertion failed signature validation.");
        }
        if claims["aud"] != format!("{}/{tenant}/oauth2/v2.0/token", self.url) {
            return wrong(700_021, "Client assertion audience is not the token endpoint.");
        }
        if claims["iss"] != CLIENT || claims["sub"] != CLIENT {
            return wrong(700_030, "Invalid certificate - the subject is not the application.");
        }
        let number = |name: &str| claims[name].as_i64().unwrap_or_default();
        let (from, until) = (number("nbf"), number("exp"));
        if (from - self.now).abs() > 300 || until <= self.now || until - from > 600 {
            let words = "Client assertion is not within its valid time range.";
            return wrong(700_024, words);
        }
        if !self.shown.insert(claims["jti"].to_string()) {
            return wrong(700_027, "Client assertion was shown before.");
        }
        Ok(())
    }
}

/// Header and claims of a token, and whether the key of the application has signed it.
fn parts(token: &str) -> Option<(Value, Value, bool)> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let json = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let key = RsaKeyPair::from_pkcs8(include_bytes!("../keys/first.pkcs8")).expect("a key");
    let public: RsaPublicKeyComponents<Vec<u8>> = key.public().into();
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let verified = public.verify(&RSA_PSS_2048_8192_SHA256, message.as_bytes(), &signature);
    Some((json(header)?, json(claims)?, verified.is_ok()))
}
