//! Access tokens of applications, and a client that shows them: OAuth 2.0 with a secret (RFC 6749 §4.4) or
//! with a signed assertion (RFC 7523).
//!
//! A token is kept until five minutes before it ends. When it is refused before that, a new one is asked
//! for once. Nobody waits for a refusal to change: some sources lock out who tries a secret too often.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::client::{Answer, Client, Judge, Refusal, Reply, Request, Trouble, Verdict};
use super::{SourceError, Surroundings};
use crate::auth::jwt::Algorithm;
use crate::auth::private_key::PrivateKey;
use crate::clock::{Clock, fill_random};
use crate::scim::Object;

/// How long before its end a token is not used any more, in milliseconds.
const SPARE_MS: i64 = 5 * 60 * 1_000;

/// How long a token lasts that does not say it, in seconds.
const USUAL_LIFETIME: i64 = 3_600;

/// RFC 7523 §2.1 and §2.2.
const JWT_BEARER_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const JWT_BEARER_CLIENT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How an application proves who it is.
pub enum Proof {
    /// Client credentials, id and secret in the form (RFC 6749 §2.3.1).
    Secret { client_id: String, client_secret: String },
    /// Client credentials by HTTP Basic (RFC 6749 §2.3.1).
    Basic { client_id: String, client_secret: String },
    /// Client credentials with a signed assertion in place of a secret (RFC 7523 §2.2): Microsoft, Okta.
    Client { client_id: String, assertion: Assertion },
    /// The signed assertion is the grant (RFC 7523 §2.1), and says the scope: Google.
    Grant(Assertion),
}

/// What is signed anew for every token (RFC 7523 §3).
pub struct Assertion {
    pub key: PrivateKey,
    pub algorithm: Algorithm,
    /// Beside `alg` and `typ`: `kid` or `x5t#S256`.
    pub header: Object,
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`: as a rule the address of the token endpoint.
    pub audience: String,
    /// From `iat` to `exp`, in seconds.
    pub lifetime: i64,
}

impl Assertion {
    fn signed(&self, scope: Option<&str>, now_ms: i64) -> Result<String, SourceError> {
        let now = now_ms.div_euclid(1_000);
        let mut random = [0; 16];
        fill_random(&mut random);
        let jti: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut claims = Object::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("iss", self.issuer.as_str().into());
        put("sub", self.subject.as_str().into());
        put("aud", self.audience.as_str().into());
        put("iat", now.into());
        put("nbf", now.into());
        put("exp", now.saturating_add(self.lifetime).into());
        put("jti", jti.into());
        if let Some(scope) = scope {
            put("scope", scope.into());
        }
        self.key
            .sign(self.algorithm, &self.header, &claims)
            .ok_or_else(|| SourceError::failed("the private key does not sign this algorithm"))
    }
}

/// Where and for what tokens are asked.
pub struct Tokens {
    client: Client,
    url: Url,
    /// Divided by spaces; empty for none.
    scope: String,
    proof: Proof,
    clock: Clock,
    kept: Option<Token>,
}

struct Token {
    text: String,
    /// When it is not used any more, in milliseconds since 1970.
    until: i64,
}

impl Tokens {
    pub fn new(url: Url, scope: &str, proof: Proof, surroundings: Surroundings) -> Self {
        let secrets = match &proof {
            Proof::Secret { client_secret, .. } | Proof::Basic { client_secret, .. } => {
                vec![client_secret.clone()]
            }
            Proof::Client { .. } | Proof::Grant(_) => Vec::new(),
        };
        let clock = surroundings.clock.clone();
        let headers = vec![("Accept".to_owned(), "application/json".to_owned())];
        let client = Client::new(&url, headers, secrets, surroundings).judged_by(judge);
        Self { client, url, scope: scope.to_owned(), proof, clock, kept: None }
    }

    /// A token that is good for some minutes.
    fn token(&mut self) -> Result<String, SourceError> {
        let now = self.clock.now_ms();
        if let Some(token) = self.kept.as_ref().filter(|token| now < token.until) {
            return Ok(token.text.clone());
        }
        let token = self.fetch(now)?;
        let text = token.text.clone();
        self.kept = Some(token);
        Ok(text)
    }

    fn fetch(&mut self, now: i64) -> Result<Token, SourceError> {
        let scope = Some(self.scope.as_str()).filter(|scope| !scope.is_empty());
        let mut fields = Vec::new();
        let mut basic = None;
        let signed = match &self.proof {
            Proof::Client { assertion, .. } => Some(assertion.signed(None, now)?),
            Proof::Grant(assertion) => Some(assertion.signed(scope, now)?),
            Proof::Secret { .. } | Proof::Basic { .. } => None,
        };
        let signed = signed.as_deref().unwrap_or_default();
        match &self.proof {
            Proof::Secret { client_id, client_secret } => fields.extend([
                ("grant_type", "client_credentials"),
                ("client_id", client_id),
                ("client_secret", client_secret),
            ]),
            Proof::Basic { client_id, client_secret } => {
                fields.push(("grant_type", "client_credentials"));
                let coded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", coded(client_id), coded(client_secret));
                basic = Some(STANDARD.encode(pair));
            }
            Proof::Client { client_id, .. } => fields.extend([
                ("grant_type", "client_credentials"),
                ("client_id", client_id),
                ("client_assertion_type", JWT_BEARER_CLIENT),
                ("client_assertion", signed),
            ]),
            Proof::Grant(_) => {
                fields.extend([("grant_type", JWT_BEARER_GRANT), ("assertion", signed)]);
            }
        }
        if let (Some(scope), false) = (scope, matches!(self.proof, Proof::Grant(_))) {
            fields.push(("scope", scope));
        }
        let mut request = Request::form(&self.url, &fields);
        self.client.hide(signed);
        if let Some(basic) = &basic {
            self.client.hide(basic);
            request = request.with_header("Authorization", &format!("Basic {basic}"));
        }
        let answer = self.client.send(&request).map_err(in_words)?.object()?;
        let text = answer.get("access_token").and_then(Value::as_str).unwrap_or_default();
        if text.is_empty() || text.chars().any(|c| !c.is_ascii_graphic()) {
            return Err(SourceError::failed("the token endpoint answers without an access_token"));
        }
        // Some write the number as a text.
        let lifetime = answer.get("expires_in").and_then(|value| match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        });
        let lifetime_ms = lifetime.unwrap_or(USUAL_LIFETIME).max(0).saturating_mul(1_000);
        // One that lasts a few minutes only is used for half of them.
        let spare = SPARE_MS.min(lifetime_ms / 2);
        let until = now.saturating_add(lifetime_ms.saturating_sub(spare));
        Ok(Token { text: text.to_owned(), until })
    }
}

/// The errors of RFC 6749 §5.2 that no second try changes.
fn judge(refusal: &Refusal<'_>) -> Option<Verdict> {
    const REFUSED: [&str; 7] = [
        "invalid_client",
        "unauthorized_client",
        "invalid_grant",
        "invalid_scope",
        "access_denied",
        "invalid_request",
        "invalid_dpop_proof",
    ];
    let error = refusal.text("/error");
    let is_refused = REFUSED.contains(&error) && matches!(refusal.status, 400..=403);
    is_refused.then_some(Verdict::Refused)
}

/// Says of an error that it is of the token, not of the data.
fn in_words(error: SourceError) -> SourceError {
    let said = |message: String| format!("no access token: {message}");
    match error {
        SourceError::Credentials(message) => SourceError::Credentials(said(message)),
        SourceError::Failed { message, retry_after_ms } => {
            SourceError::Failed { message: said(message), retry_after_ms }
        }
        other => other,
    }
}

/// A client that shows a token.
pub struct Authorized {
    client: Client,
    tokens: Tokens,
}

impl Authorized {
    /// `headers` are sent beside the token, to the origin of `base` alone.
    pub fn new(
        base: &Url,
        headers: Vec<(String, String)>,
        tokens: Tokens,
        surroundings: Surroundings,
    ) -> Self {
        Self { client: Client::new(base, headers, Vec::new(), surroundings), tokens }
    }

    /// As [`Client::judged_by`].
    pub fn judged_by(self, judge: Judge) -> Self {
        Self { client: self.client.judged_by(judge), ..self }
    }

    /// As [`Client::get`].
    pub fn get(&mut self, url: &Url) -> Result<Reply, SourceError> {
        let answer = self.send(&Request::get(url))?;
        let date = answer.date;
        Ok(Reply { object: answer.object()?, date })
    }

    /// As [`Client::send`].
    pub fn send(&mut self, request: &Request<'_>) -> Result<Answer, SourceError> {
        match self.attempt(request) {
            Err(Trouble::Unauthorized(_)) => {
                self.tokens.kept = None;
                Ok(self.attempt(request)?)
            }
            attempted => Ok(attempted?),
        }
    }

    fn attempt(&mut self, request: &Request<'_>) -> Result<Answer, Trouble> {
        let token = self.tokens.token()?;
        self.client.hide(&token);
        let request = request.clone().with_header("Authorization", &format!("Bearer {token}"));
        self.client.exchange(&request)
    }
}
