//! Configuration: `ROLLBOOK_*` environment variables over `rollbook.toml`. Unknown keys are errors.

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};

use crate::auth::SecretKey;
use crate::event::deliver::LONGEST_MS;
use crate::service::audit::RETENTION as AUDIT_RETENTION;
use crate::service::console::{OpenIdSettings, RoleClaim};
use crate::service::events::RETENTION;
use crate::service::intent::MEMBERS_AT_ONCE;
use crate::service::limit::RateLimit;
use crate::service::policy::Span;
use crate::service::portal::Origin;
use crate::service::sync::{LONGEST_READ, SOURCE_RETRY_MS, SOURCE_TIMEOUT};
use crate::service::webhook::{FIRST_RETRY_MS, TIMEOUT};
use crate::store::Location;

/// The settings of a process. Each can be set as `ROLLBOOK_<NAME>` or as `<name>` in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on.
    pub listen: String,
    /// `sqlite://<path>` or `postgres://…`; without it `sqlite://<data dir>/rollbook.db`.
    pub database_url: Option<String>,
    /// Folder for the embedded database, generated keys and the lock.
    pub data_dir: PathBuf,
    /// Where clients reach the server, `https://scim.example.com`. Links in answers start with it.
    pub public_url: Option<String>,
    /// An API key with every scope; starts with `sk_` and has at least 32 characters.
    pub api_key: Option<String>,
    /// 32 bytes in base64 from which encryption keys are derived. Without it one is generated into
    /// the data folder. Every process on one database needs the same. While it changes, several with
    /// commas: the first one seals, all of them open.
    pub secret_key: Option<String>,
    /// Certificate chain in PEM; with `tls_key` the server speaks HTTPS.
    pub tls_cert: Option<PathBuf>,
    /// Private key in PEM.
    pub tls_key: Option<PathBuf>,
    /// Networks of reverse proxies whose `Forwarded` and `X-Forwarded-For` are believed.
    #[serde(deserialize_with = "list")]
    pub trusted_proxies: Vec<IpNet>,
    /// Host names that a request may put into links when `public_url` is not set.
    #[serde(deserialize_with = "list")]
    pub trusted_hosts: Vec<String>,
    /// Networks that the server may call although they are not public. Plain `http` is spoken there only.
    #[serde(deserialize_with = "list")]
    pub outbound_networks: Vec<IpNet>,
    /// Origins of the company's app, `https://app.example.com`: setup links lead back to these alone.
    #[serde(deserialize_with = "list")]
    pub portal_origins: Vec<Origin>,
    /// Where Entra publishes the keys of its tenants; another one for national clouds.
    pub entra_authority: String,
    /// OpenID provider that says who an administrator is, as its tokens name it; without it the console knows
    /// passwords alone.
    pub console_oidc_issuer: Option<String>,
    /// Id of the console at that provider.
    pub console_oidc_client_id: Option<String>,
    /// Its secret there.
    pub console_oidc_client_secret: Option<String>,
    /// Roles by a claim, `groups:rollbook-owners=owner,staff=viewer`: who has one needs no invitation.
    pub console_oidc_role: Option<RoleClaim>,
    /// Connections to PostgreSQL.
    pub postgres_connections: usize,
    /// Threads that serve HTTP; 0 means one per core.
    pub workers: usize,
    /// Requests that one directory, or one API key, may make of this process: `off`, a number a second
    /// (twice as many at once), or `<a second>/<at once>`. `settings.rate_limit` of a directory goes
    /// before it.
    pub rate_limit: RateLimit,
    /// How long events are kept for the app to read: `90d`, `12h`. At least an hour.
    pub event_retention: Span,
    /// How long the audit log is kept: `400d`. At least a day.
    pub audit_retention: Span,
    /// Seconds that the receiver of a webhook has to answer, 1 to 60.
    pub webhook_timeout: u64,
    /// Milliseconds until a webhook that was not accepted is sent again; each time twice as long, up to an
    /// hour.
    pub webhook_retry: i64,
    /// Milliseconds until a directory that is read is asked again when it did not answer or is too busy; each
    /// time twice as long.
    pub source_retry: i64,
    /// Seconds that a directory that is read has for one answer, 1 to 600.
    pub source_timeout: u64,
    /// Seconds that a read of a directory may take as a whole, 60 to 604800: one that takes longer has failed.
    pub source_read_timeout: u64,
    /// Most changes of a group's members that are stored together. A request that makes more is stored
    /// in several steps, so that other writers get their turn, and answered after the last.
    pub members_at_once: usize,
    /// Seconds that requests in flight have to finish when the server stops.
    pub stop_timeout: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            database_url: None,
            data_dir: PathBuf::from("rollbook-data"),
            public_url: None,
            api_key: None,
            secret_key: None,
            tls_cert: None,
            tls_key: None,
            trusted_proxies: Vec::new(),
            trusted_hosts: Vec::new(),
            outbound_networks: Vec::new(),
            portal_origins: Vec::new(),
            entra_authority: "https://login.microsoftonline.com".to_owned(),
            console_oidc_issuer: None,
            console_oidc_client_id: None,
            console_oidc_client_secret: None,
            console_oidc_role: None,
            postgres_connections: 16,
            workers: 0,
            rate_limit: RateLimit::default(),
            event_retention: RETENTION,
            audit_retention: AUDIT_RETENTION,
            webhook_timeout: TIMEOUT.as_secs(),
            webhook_retry: FIRST_RETRY_MS,
            source_retry: SOURCE_RETRY_MS,
            source_timeout: SOURCE_TIMEOUT.as_secs(),
            source_read_timeout: LONGEST_READ.as_secs(),
            members_at_once: MEMBERS_AT_ONCE,
            stop_timeout: 30,
        }
    }
}

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// In seconds.
const WEEK: u64 = 7 * 24 * 60 * 60;

/// Variables with the prefix that are not settings of the server.
const NOT_SETTINGS: [&str; 4] = ["log", "config", "test_postgres", "suites_dir"];

impl Config {
    /// Reads file and environment. The file may be missing unless `ROLLBOOK_CONFIG` names it.
    pub fn load() -> Result<Self, String> {
        let named = std::env::var_os("ROLLBOOK_CONFIG").map(PathBuf::from);
        if let Some(path) = named.as_deref().filter(|path| !path.is_file()) {
            return Err(format!("the configuration file {} does not exist", path.display()));
        }
        Self::read(&named.unwrap_or_else(|| PathBuf::from("rollbook.toml")))
    }

    fn read(file: &Path) -> Result<Self, String> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if file.is_file() {
            figment = figment.merge(Toml::file_exact(file));
        }
        let config: Self = figment
            .merge(Env::prefixed("ROLLBOOK_").ignore(&NOT_SETTINGS))
            .extract()
            .map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        self.location()?;
        if let Some(key) = &self.api_key
            && (!key.starts_with("sk_") || key.len() < 32)
        {
            return Err("api_key must start with sk_ and have at least 32 characters".into());
        }
        if self.secret_key.as_deref().is_some_and(|key| SecretKey::parse(key).is_none()) {
            return Err("secret_key must be 32 bytes in base64; make one with \
                        `openssl rand -base64 32`. While it changes, the others follow it with commas, \
                        five keys at most"
                .into());
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err("tls_cert and tls_key belong together; one of them is missing".into());
        }
        if let Some(url) = &self.public_url
            && !url.starts_with("http://")
            && !url.starts_with("https://")
        {
            return Err("public_url must start with http:// or https://".into());
        }
        if !self.entra_authority.starts_with("https://")
            && !self.entra_authority.starts_with("http://")
        {
            return Err("entra_authority must start with https:// (http:// only for a network of \
                        outbound_networks)"
                .into());
        }
        self.console_openid()?;
        if self.event_retention.as_ms() < HOUR_MS {
            return Err("event_retention must be at least 1h".into());
        }
        if self.audit_retention.as_ms() < Span::days(1).as_ms() {
            return Err("audit_retention must be at least 1d".into());
        }
        if !(1..=60).contains(&self.webhook_timeout) {
            return Err("webhook_timeout must be 1 to 60 seconds".into());
        }
        if !(1..=LONGEST_MS).contains(&self.webhook_retry) {
            return Err(format!("webhook_retry must be 1 to {LONGEST_MS} milliseconds"));
        }
        if !(1..=60_000).contains(&self.source_retry) {
            return Err("source_retry must be 1 to 60000 milliseconds".into());
        }
        if !(1..=600).contains(&self.source_timeout) {
            return Err("source_timeout must be 1 to 600 seconds".into());
        }
        if !(60..=WEEK).contains(&self.source_read_timeout) {
            return Err(format!("source_read_timeout must be 60 to {WEEK} seconds"));
        }
        if self.postgres_connections == 0 {
            return Err("postgres_connections must be at least 1".into());
        }
        if self.members_at_once == 0 {
            return Err("members_at_once must be at least 1".into());
        }
        Ok(())
    }

    /// The OpenID provider of the console, if there is one.
    pub fn console_openid(&self) -> Result<Option<OpenIdSettings>, String> {
        let all = (
            &self.console_oidc_issuer,
            &self.console_oidc_client_id,
            &self.console_oidc_client_secret,
        );
        match all {
            (Some(issuer), Some(client_id), Some(client_secret)) => Ok(Some(OpenIdSettings {
                issuer: issuer.clone(),
                client_id: client_id.clone(),
                client_secret: client_secret.clone(),
                roles: self.console_oidc_role.clone(),
            })),
            (None, None, None) if self.console_oidc_role.is_none() => Ok(None),
            _ => Err("console_oidc_issuer, console_oidc_client_id and console_oidc_client_secret belong \
                      together; one of them is missing"
                .into()),
        }
    }

    /// Where the data is.
    pub fn location(&self) -> Result<Location, String> {
        match &self.database_url {
            Some(url) => Location::parse(url),
            None => Ok(Location::Sqlite(self.data_dir.join("rollbook.db"))),
        }
    }
}

/// A list, or one text with commas as the environment gives it.
fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + std::str::FromStr,
    T::Err: std::fmt::Display,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Text(String),
        List(Vec<T>),
    }
    match Either::<T>::deserialize(deserializer)? {
        Either::List(list) => Ok(list),
        Either::Text(text) => text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().map_err(serde::de::Error::custom))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("rollbook.toml");
        std::fs::write(&file, text).expect("written");
        Config::read(&file)
    }

    #[test]
    fn file_is_read_and_unknown_keys_are_refused() {
        let config = read("listen = '0.0.0.0:80'\ntrusted_proxies = ['10.0.0.0/8']").expect("good");
        assert_eq!(config.listen, "0.0.0.0:80");
        assert_eq!(config.trusted_proxies.len(), 1);
        let error = read("lisen = '0.0.0.0:80'").expect_err("unknown key");
        assert!(error.contains("lisen") && error.contains("listen"), "{error}");
    }

    #[test]
    fn rate_limit_has_several_forms() {
        for (text, expected) in [
            ("", "500/1000"),
            ("rate_limit = 'off'", "off"),
            ("rate_limit = 25", "25/50"),
            ("rate_limit = '25/30'", "25/30"),
            ("rate_limit = { per_second = 25, burst = 30 }", "25/30"),
        ] {
            assert_eq!(read(text).expect(text).rate_limit.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn missing_file_means_defaults() {
        let config = Config::read(Path::new("no/such/file.toml")).expect("defaults");
        assert_eq!(config.listen, Config::default().listen);
    }

    #[test]
    fn wrong_values_are_refused() {
        for text in [
            "database_url = 'mysql://x'",
            "api_key = 'short'",
            "secret_key = 'c2hvcnQ='",
            "tls_cert = 'a.pem'",
            "public_url = 'example.com'",
            "trusted_proxies = 'nowhere'",
            "outbound_networks = 'nowhere'",
            "portal_origins = 'app.example.com'",
            "portal_origins = ['https://app.example.com/path']",
            "portal_origins = 'https://*.example.com'",
            "entra_authority = 'login.example.com'",
            "event_retention = '30m'",
            "event_retention = 'long'",
            "audit_retention = '23h'",
            "webhook_timeout = 0",
            "webhook_timeout = 61",
            "webhook_retry = 0",
            "webhook_retry = 3600001",
            "source_retry = 0",
            "source_retry = 60001",
            "source_timeout = 0",
            "source_timeout = 601",
            "source_read_timeout = 59",
            "source_read_timeout = 604801",
            "rate_limit = 'fast'",
            "rate_limit = 0",
            "rate_limit = -5",
            "rate_limit = { rate = 5 }",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
