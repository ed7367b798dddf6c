//! Signing in with an OpenID provider (OpenID Connect Core 1.0 §3.1, RFC 7636): authorization code with PKCE.
//!
//! What must come back is sealed into a cookie of the browser, so nothing is stored for somebody who only
//! begins. An account is found by its e-mail address the first time, and belongs to the provider's subject
//! from then on: an address that is given to somebody else later opens nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Mutex, Semaphore};

use super::admin::{email_key, is_last, shown, target};
use super::role_claim::RoleClaim;
use super::session::{Place, Role};
use super::{NewAdmin, SignInError};
use crate::auth::failures::{Windows, network};
use crate::auth::jwt::{self, Algorithm, Audience, NumericDate};
use crate::auth::{KeySet, secret};
use crate::clock::Clock;
use crate::outbound::{Outbound, OutboundError};
use crate::service::audit::{Entry, action};
use crate::service::error::AdminError;
use crate::service::{Service, ServiceError};
use crate::store::Tx;
use crate::store::admin::AdminRow;

/// How long somebody may take at the provider, in milliseconds.
const AWAY_MS: i64 = 10 * 60 * 1_000;

/// How far the provider's clock may be from ours, in milliseconds.
const SKEW_MS: i64 = 60_000;

/// How long what the provider publishes is used before it is read again.
const FRESH_MS: i64 = 60 * 60 * 1_000;

/// The time between two attempts to read it because of a key that is not there.
const RETRY_MS: i64 = 60_000;

/// The time between two attempts to read it when one has failed: meanwhile nobody asks the provider.
const FAILED_MS: i64 = 10_000;

/// Codes that are exchanged at once, and the returns of one network in a minute that end with no sign-in.
const EXCHANGES: usize = 8;
const RETURNS: u32 = 30;

/// Longest name that is taken from a provider, in characters.
const MAX_NAME: usize = 100;

/// Longest subject of a provider, in bytes (OpenID Connect Core 1.0 §2).
const MAX_SUBJECT: usize = 255;

/// Longest time of one request to the provider.
const DEADLINE: Duration = Duration::from_secs(10);

/// Largest answer of the provider, in bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// What sealed text is bound to.
const AWAY: &[u8] = b"away";

const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256];

/// What the operator has configured.
#[derive(Clone, Debug)]
pub struct OpenIdSettings {
    /// As it stands in tokens, without a slash at its end unless tokens have it.
    pub issuer: String,
    pub client_id: String,
    pub client_secret: String,
    /// Gives roles by a claim; without it only accounts that there are may sign in.
    pub roles: Option<RoleClaim>,
}

/// The provider of this installation.
pub(super) struct OpenId {
    settings: OpenIdSettings,
    outbound: Outbound,
    known: Mutex<Known>,
    exchanges: Semaphore,
    returns: Windows<IpAddr>,
}

/// What the provider publishes with the time when it was read, and the time of a failure since.
#[derive(Default)]
struct Known {
    published: Option<(Arc<Published>, i64)>,
    failed: Option<i64>,
}

struct Published {
    authorization_endpoint: String,
    token_endpoint: String,
    /// The secret goes into the form, not into a header.
    secret_in_form: bool,
    keys: KeySet,
}

/// The members of the provider's metadata that count (OpenID Connect Discovery 1.0 §3).
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// What the browser keeps while it is away.
#[derive(Serialize, Deserialize)]
struct Away {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
    until: i64,
}

/// The claims that count (OpenID Connect Core 1.0 §2, §5.1).
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: NumericDate,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<Value>,
    #[serde(default)]
    name: Option<String>,
    #[serde(flatten)]
    others: HashMap<String, Value>,
}

#[derive(Deserialize)]
struct Granted {
    id_token: String,
}

/// Where the browser goes, and what it keeps meanwhile.
#[derive(Clone, Debug)]
pub struct Departure {
    pub address: String,
    pub away: String,
}

/// Whom the provider has named.
struct Named {
    /// Issuer and subject.
    subject: String,
    email: String,
    /// The provider says that the address is theirs. Elsewhere people may write any address.
    is_verified: bool,
    name: Option<String>,
    role: Option<Role>,
}

fn refused(why: &str) -> ServiceError {
    AdminError::new(403, "openid_refused", why).into()
}

/// The provider did not do what it should; the log says what.
fn unusable(error: &dyn std::fmt::Display) -> ServiceError {
    tracing::warn!(%error, "the OpenID provider of the console cannot be used");
    let message =
        "The OpenID provider cannot be used now. Try again later, or sign in with a password.";
    AdminError::new(503, "openid_unavailable", message).into()
}

fn failed(why: impl Into<String>) -> OutboundError {
    OutboundError::Failed(why.into())
}

impl OpenId {
    pub(super) fn new(settings: OpenIdSettings, outbound: Outbound) -> Self {
        Self {
            settings,
            outbound,
            known: Mutex::default(),
            exchanges: Semaphore::new(EXCHANGES),
            returns: Windows::of(RETURNS, 60_000),
        }
    }

    /// What the provider publishes; read again when it is old, or when `kid` is not among its keys. One
    /// request at a time, and after a failure none for a while: whoever begins costs the provider nothing.
    async fn published(
        &self,
        kid: Option<&str>,
        clock: &Clock,
    ) -> Result<Arc<Published>, ServiceError> {
        // Whoever reads holds the others up: they need what comes.
        let mut known = self.known.lock().await;
        let now = clock.now_ms();
        if let Some((published, read)) = &known.published {
            let has = kid.is_none_or(|kid| published.keys.has(kid));
            let age = now - read;
            if (has && age < FRESH_MS) || (!has && age < RETRY_MS) {
                return Ok(Arc::clone(published));
            }
        }
        if known.failed.is_some_and(|failed| now - failed < FAILED_MS) {
            return Err(unusable(&"it has failed a moment ago"));
        }
        let (outbound, issuer) = (self.outbound.clone(), self.settings.issuer.clone());
        let read = tokio::task::spawn_blocking(move || read(&outbound, &issuer)).await;
        match read.map_err(|error| failed(error.to_string())).flatten() {
            Ok(published) => {
                let published = Arc::new(published);
                *known = Known { published: Some((Arc::clone(&published), now)), failed: None };
                Ok(published)
            }
            Err(error) => {
                known.failed = Some(clock.now_ms());
                Err(unusable(&error))
            }
        }
    }

    /// Exchanges the code for the identity token.
    async fn exchange(
        &self,
        published: &Published,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> Result<String, ServiceError> {
        let settings = &self.settings;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        let mut headers = vec![
            ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
            ("Accept".to_owned(), "application/json".to_owned()),
        ];
        match published.secret_in_form {
            true => fields.extend([
                ("client_id", settings.client_id.as_str()),
                ("client_secret", settings.client_secret.as_str()),
            ]),
            false => {
                // Both are form-encoded first (RFC 6749 §2.3.1).
                let pair = format!(
                    "{}:{}",
                    encoded(&settings.client_id),
                    encoded(&settings.client_secret)
                );
                let basic = format!("Basic {}", STANDARD.encode(pair));
                headers.push(("Authorization".to_owned(), basic));
            }
        }
        let form = query(&fields);
        let session = self.outbound.session(DEADLINE);
        let url = published.token_endpoint.clone();
        let _place =
            self.exchanges.try_acquire().map_err(|_| unusable(&"too many ask it at once"))?;
        let asked = tokio::task::spawn_blocking(move || {
            session.fetch(&url, &headers, Some(form.as_bytes()), MAX_BYTES)
        });
        let answer = asked.await.map_err(|error| unusable(&error))?;
        let answer = answer.map_err(|error| unusable(&error))?;
        match answer.status {
            200 => {
                let granted: Result<Granted, _> = serde_json::from_slice(&answer.body);
                Ok(granted.map_err(|error| unusable(&error))?.id_token)
            }
            400..=499 => {
                tracing::warn!(status = answer.status, "the OpenID provider refuses a code");
                Err(refused("The OpenID provider does not confirm this sign-in. Begin again."))
            }
            status => Err(unusable(&format!("the token endpoint answered {status}"))),
        }
    }

    /// Whom the token names, if it is good and was made for this sign-in.
    fn named(
        &self,
        token: &str,
        keys: &KeySet,
        nonce: &str,
        now: i64,
    ) -> Result<Named, ServiceError> {
        let settings = &self.settings;
        let bad = |what: &str| {
            tracing::warn!(what, "a token of the OpenID provider is not accepted");
            refused("The OpenID provider has answered with a token that is not accepted.")
        };
        let (claims, _) = jwt::verified::<Claims>(token, keys, &ALGORITHMS)
            .map_err(|fault| bad(&format!("{fault:?}")))?;
        if claims.iss != settings.issuer {
            return Err(bad("iss"));
        }
        if !claims.aud.is_only(std::slice::from_ref(&settings.client_id)) {
            return Err(bad("aud"));
        }
        if claims.exp.millis() + SKEW_MS <= now {
            return Err(bad("exp"));
        }
        if claims.nonce.as_deref() != Some(nonce) {
            return Err(bad("nonce"));
        }
        let sub = claims.sub;
        if sub.is_empty() || sub.len() > MAX_SUBJECT || sub.chars().any(char::is_control) {
            return Err(bad("sub"));
        }
        let Some(email) = claims.email.filter(|email| !email.is_empty()) else {
            return Err(refused("The OpenID provider tells no e-mail address of yours."));
        };
        // Some providers write it as text, and some not at all.
        let is_verified = match &claims.email_verified {
            Some(Value::Bool(is_verified)) => *is_verified,
            Some(Value::String(text)) => text == "true",
            _ => false,
        };
        let role = settings.roles.as_ref().and_then(|roles| roles.role(&claims.others));
        if settings.roles.is_some() && role.is_none() {
            return Err(refused("The OpenID provider gives you no role here."));
        }
        Ok(Named {
            subject: format!("{} {sub}", claims.iss),
            name: claims.name.map(|name| shown_name(&name)).filter(|name| !name.is_empty()),
            email,
            is_verified,
            role,
        })
    }
}

/// Reads metadata and keys. Blocks the thread.
fn read(outbound: &Outbound, issuer: &str) -> Result<Published, OutboundError> {
    let document = |url: &str| -> Result<Value, OutboundError> {
        let body = outbound.get(url, MAX_BYTES)?;
        serde_json::from_slice(&body).map_err(|error| failed(format!("{url} is no JSON: {error}")))
    };
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let metadata: Metadata = serde_json::from_value(document(&url)?)
        .map_err(|error| failed(format!("the metadata does not fit: {error}")))?;
    if metadata.issuer != issuer {
        return Err(failed(format!("the metadata is of the issuer {}", metadata.issuer)));
    }
    outbound.check(&metadata.authorization_endpoint).map_err(OutboundError::Forbidden)?;
    let keys = KeySet::usable(&document(&metadata.jwks_uri)?);
    if keys.is_empty() {
        return Err(failed("there is no key"));
    }
    // Without a word on it, the header is meant.
    let methods = metadata.token_endpoint_auth_methods_supported;
    let has = |name: &str| methods.as_ref().is_some_and(|all| all.iter().any(|m| m == name));
    Ok(Published {
        authorization_endpoint: metadata.authorization_endpoint,
        token_endpoint: metadata.token_endpoint,
        secret_in_form: has("client_secret_post") && !has("client_secret_basic"),
        keys,
    })
}

/// A name as an account may have it.
fn shown_name(name: &str) -> String {
    let kept: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    kept.trim().to_owned()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn query(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// What a sign-in writes into the audit log.
struct Entries {
    created: Entry,
    updated: Entry,
    signed_in: Entry,
}

/// The account of whom the provider has named: the one that belongs to the subject, or, by a verified address,
/// an unclaimed one, or a new one where a claim gives a role. It is held until the unit ends. Links by which a
/// password is chosen end: the provider says who this is from now on.
fn account(
    tx: &mut Tx<'_>,
    named: &Named,
    new: &AdminRow,
    entries: &Entries,
) -> Result<AdminRow, ServiceError> {
    // Held before any account, as wherever an owner may go: what is decided here stays true.
    let owners = match named.role {
        None | Some(Role::Owner) => Vec::new(),
        Some(_) => tx.admin_ids_locked(Role::Owner.as_str())?,
    };
    let known = match tx.admin_lock_subject(&named.subject)? {
        Some(row) => Some(row),
        None if !named.is_verified => {
            return Err(refused(
                "The OpenID provider does not say that your e-mail address is verified \
                 (email_verified), so it opens no account.",
            ));
        }
        None => tx.admin_lock_unclaimed(&email_key(&named.email))?,
    };
    let Some(known) = known else {
        if named.role.is_none() {
            return Err(refused(
                "There is no account for you here. Ask an owner to invite you with the e-mail address \
                 that the OpenID provider knows.",
            ));
        }
        tx.admin_insert(new)?;
        entries.created.by(&new.id).write(tx, target(new), Value::Null, claimed(new))?;
        return Ok(new.clone());
    };
    // The last owner stays one, whatever the provider says.
    let stays = is_last(&owners, &known.id);
    let role =
        named.role.filter(|_| !stays).map_or(known.role.clone(), |role| role.as_str().into());
    let subject = Some(named.subject.clone());
    let row = AdminRow { role, subject, modified: new.modified, ..known.clone() };
    tx.admin_link_delete_of(Some(&row.id))?;
    if row.role != known.role {
        tx.admin_session_delete_all(&row.id)?;
    }
    if row.role != known.role || row.subject != known.subject {
        tx.admin_update(&row)?;
        entries.updated.by(&row.id).write(tx, target(&row), claimed(&known), claimed(&row))?;
    }
    Ok(row)
}

/// The account as the audit log keeps it, with whom the provider means by it.
fn claimed(row: &AdminRow) -> Value {
    let mut shown = shown(row);
    if let Some(members) = shown.as_object_mut() {
        members.insert("openid_subject".to_owned(), json!(row.subject));
    }
    shown
}

impl Service {
    /// Whether an OpenID provider is configured.
    pub fn console_has_openid(&self) -> bool {
        self.console.openid.is_some()
    }

    fn openid(&self) -> Result<&OpenId, ServiceError> {
        let missing = || AdminError::not_found("An OpenID provider for the console").into();
        self.console.openid.as_ref().ok_or_else(missing)
    }

    /// To the provider, and back to `redirect_uri`; in the end `next` is shown.
    pub async fn console_openid_begin(
        &self,
        redirect_uri: &str,
        next: &str,
    ) -> Result<Departure, ServiceError> {
        let (openid, now) = (self.openid()?, self.clock.now_ms());
        let published = openid.published(None, &self.clock).await?;
        let random = secret::random_text;
        let away = Away {
            state: random(),
            nonce: random(),
            verifier: random(),
            next: next.to_owned(),
            until: now + AWAY_MS,
        };
        let fields = query(&[
            ("response_type", "code"),
            ("client_id", &openid.settings.client_id),
            ("redirect_uri", redirect_uri),
            ("scope", "openid email profile"),
            ("state", &away.state),
            ("nonce", &away.nonce),
            ("code_challenge", &secret::text_digest(&away.verifier)),
            ("code_challenge_method", "S256"),
        ]);
        let endpoint = &published.authorization_endpoint;
        let join = if endpoint.contains('?') { '&' } else { '?' };
        let text = serde_json::to_vec(&away).unwrap_or_default();
        Ok(Departure {
            address: format!("{endpoint}{join}{fields}"),
            away: self.console.seal.seal(AWAY, &text),
        })
    }

    /// The secret of a new session of whom the provider has named, and the path to show.
    pub async fn console_openid_return(
        &self,
        away: &str,
        (state, code): (&str, &str),
        redirect_uri: &str,
        place: &Place,
        address: Option<IpAddr>,
    ) -> Result<(String, String), SignInError> {
        let (openid, now) = (self.openid()?, self.clock.now_ms());
        let opened = self.console.seal.open(AWAY, away);
        let away = opened.and_then(|text| serde_json::from_slice::<Away>(&text).ok());
        let is_same = |away: &Away| crate::service::portal::is_same_secret(&away.state, state);
        let Some(away) = away.filter(|away| now < away.until && is_same(away)) else {
            let why = "This sign-in was not begun in this browser, or took too long. Begin again.";
            return Err(refused(why).into());
        };
        if code.is_empty() {
            return Err(refused("The OpenID provider has not signed you in.").into());
        }
        // Each try asks the provider, so they are counted as failures until one is none.
        let from = address.map(network);
        if let Some(from) = &from {
            openid.returns.wait(from, now).map_or(Ok(()), Err).map_err(SignInError::TooMany)?;
            openid.returns.count(from, now);
        }
        let published = openid.published(None, &self.clock).await?;
        let token = openid.exchange(&published, code, &away.verifier, redirect_uri).await?;
        let kid = jwt::header(&token).ok().and_then(|header| header.kid);
        let published = openid.published(kid.as_deref(), &self.clock).await?;
        let named = openid.named(&token, &published.keys, &away.nonce, now)?;
        let new = NewAdmin {
            email: named.email.clone(),
            name: named.name.clone().unwrap_or_else(|| shown_name(&named.email)),
            role: named.role.unwrap_or(Role::Viewer),
            password: None,
        };
        let new = self.admin_row(&new).await?;
        let new = AdminRow { subject: Some(named.subject.clone()), ..new };
        let (session, text) = self.console_session(place);
        let entries = Entries {
            created: self.audit_by("", action::ADMINISTRATOR_CREATED),
            updated: self.audit_by("", action::ADMINISTRATOR_UPDATED),
            signed_in: self.audit_by("", action::ADMINISTRATOR_SIGNED_IN),
        };
        let how = json!({"address": place.address, "by": "openid"});
        let id: Result<String, ServiceError> = self
            .store
            .write("admin_openid", move |tx| {
                let row = account(tx, &named, &new, &entries)?;
                tx.admin_session_insert(&row.id, &session)?;
                tx.admin_signed_in(&row.id, now)?;
                entries.signed_in.by(&row.id).write(tx, target(&row), Value::Null, how.clone())?;
                Ok(row.id)
            })
            .await;
        let id = id?;
        if let Some(from) = &from {
            openid.returns.take_back(from);
        }
        tracing::info!(admin = id, address = place.address, "an administrator has signed in");
        Ok((text, away.next))
    }
}
