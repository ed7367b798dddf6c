//! Wiring: from a configuration to a running server, the same for the binary and for tests.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App as ActixApp, HttpServer, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth::{Secret, SecretKey, SecretKind};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::{self, State};
use crate::outbound::Outbound;
use crate::service::Service;
use crate::service::administer::{FirstKey, FirstStart};
use crate::service::authenticate::FixedKey;
use crate::service::oauth::TenantKeys;
use crate::service::secret_keys::{KeyCheck, check_keys};
use crate::store::{self, LaneSizes, Location, RecordStore, Store, StoreError, private};
use crate::telemetry::Metrics;

/// A server that is ready to run.
pub struct App {
    pub service: Arc<Service>,
    pub server: Server,
    pub address: SocketAddr,
    /// Set when this start was the first on an empty database.
    pub first_start: Option<FirstStart>,
    /// How commands on this machine reach it.
    pub local: LocalAccess,
    local_file: PathBuf,
    /// Held as long as the server runs: one server per data folder.
    _lock: File,
}

impl Drop for App {
    fn drop(&mut self) {
        // The next command must not talk to an address where nobody listens any more.
        let _ = std::fs::remove_file(&self.local_file);
    }
}

/// How commands on the same machine reach a running server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocalAccess {
    pub url: String,
    pub key: String,
}

/// How often a process looks for groups whose change another one has left half done: they take no other
/// change until then.
const FINISH_EVERY: Duration = Duration::from_secs(5);

/// How often a process looks for directories whose deletion is not finished.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// How often a process looks for free pages of a SQLite file.
const RECLAIM_EVERY: Duration = Duration::from_secs(30);
/// How often a process looks how far consumers have got.
const MEASURE_EVERY: Duration = Duration::from_secs(10);
/// How often a process adds what it has counted to what the others have.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// How often a process looks for users whose roles have to follow their memberships.
const MAP_EVERY: Duration = Duration::from_secs(2);

const LOCAL_FILE: &str = "local.json";
const LOCK_FILE: &str = "lock";
pub(crate) const SECRET_KEY_FILE: &str = "secret.key";
pub(crate) const REQUESTS_FILE: &str = "requests.db";
/// Files for directories that are read from files.
const INBOX: &str = "inbox";
const FIRST_START_FILE: &str = "first-start.txt";

/// Why a server did not start.
#[derive(Debug)]
pub struct StartError(pub String);

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

fn failed(what: &str) -> impl Fn(std::io::Error) -> StartError + '_ {
    move |error| StartError(format!("{what}: {error}"))
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for StartError {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl App {
    /// Takes the data folder, brings the database up to date, binds the address and, on an empty
    /// database, makes the first organization, directory, token and API key.
    pub async fn start(config: &Config, clock: Clock) -> Result<Self, StartError> {
        // What the operator may have written wrongly is read before anything is made.
        let tls = match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => Some(tls(cert, key)?),
            _ => None,
        };
        let lock = lock_data_dir(&config.data_dir)?;
        let location = config.location()?;
        let applied = store::migrate(&location)?;
        if !applied.is_empty() {
            tracing::info!(?applied, "the database was brought up to date");
        }
        let sizes =
            LaneSizes { postgres_connections: config.postgres_connections, ..LaneSizes::default() };
        let store = Store::open(&location, sizes)?;

        let listener = TcpListener::bind(&config.listen)
            .map_err(failed(&format!("cannot listen on {}", config.listen)))?;
        let address = listener.local_addr().map_err(failed("no local address"))?;
        let scheme = if config.tls_cert.is_some() { "https" } else { "http" };
        let listen_url = format!("{scheme}://{address}");
        let trimmed = config.public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        let public_url = trimmed.clone().unwrap_or_else(|| listen_url.clone());

        let local_key = Secret::generate(SecretKind::Api, &clock).text;
        let mut fixed = vec![FixedKey::new("local", &local_key)];
        fixed.extend(config.api_key.as_deref().map(|key| FixedKey::new("configured", key)));
        let secret_key = secret_key(config)?;
        check_secret_key(&store, &secret_key).await?;
        let records = match location {
            Location::Sqlite(_) => RecordStore::file(config.data_dir.join(REQUESTS_FILE)),
            Location::Postgres(_) => RecordStore::shared(store.clone()),
        };
        let outbound = Outbound::new(config.outbound_networks.clone());
        let tenant_keys = TenantKeys::new(outbound.clone(), &config.entra_authority);
        let receiver_time = Duration::from_secs(config.webhook_timeout);
        let limit = config.rate_limit;
        let service = Service::new(store, clock, public_url, fixed, &secret_key, limit, records);
        let service = service.with_event_retention(config.event_retention);
        let service = service.with_audit_retention(config.audit_retention);
        let service = service.with_members_at_once(config.members_at_once);
        let service = service.with_portal_origins(config.portal_origins.clone());
        let inbox = config.data_dir.join(INBOX);
        let source_time = Duration::from_secs(config.source_timeout);
        let (retry, longest) =
            (config.source_retry, Duration::from_secs(config.source_read_timeout));
        let service = service.with_sources(outbound.clone(), inbox, retry, source_time, longest);
        let openid = config.console_openid().map_err(StartError)?;
        let service = service.with_console_openid(openid, outbound.clone());
        let service = service.with_webhooks(outbound, receiver_time, config.webhook_retry);
        let service = Arc::new(service.with_tenant_keys(tenant_keys));
        if matches!(location, Location::Sqlite(_)) {
            // The data folder is locked: who was at them has stopped.
            let released = service.release_asynchronous().await;
            released.map_err(|error| StartError(error.to_string()))?;
            let released = service.release_streams().await;
            released.map_err(|error| StartError(error.to_string()))?;
            let released = service.release_webhooks().await;
            released.map_err(|error| StartError(error.to_string()))?;
            let released = service.release_syncs().await;
            released.map_err(|error| StartError(error.to_string()))?;
            let released = service.release_idempotent().await;
            released.map_err(|error| StartError(error.to_string()))?;
        }
        let first_key =
            if config.api_key.is_some() { FirstKey::Configured } else { FirstKey::Make };
        let first_start = service.first_start(first_key).await;
        let first_start = first_start.map_err(|error| StartError(error.to_string()))?;

        let state = web::Data::new(State {
            metrics: Metrics::new(&service),
            service: Arc::clone(&service),
            trusted_proxies: config.trusted_proxies.clone(),
            trusted_hosts: config.trusted_hosts.clone(),
            fixed_public_url: trimmed,
            is_tls: config.tls_cert.is_some(),
            settings: shown_settings(config),
        });
        let server = serve(config, listener, tls, state)?;
        Ok(Self {
            service,
            server,
            address,
            first_start,
            local: LocalAccess { url: listen_url, key: local_key },
            local_file: config.data_dir.join(LOCAL_FILE),
            _lock: lock,
        })
    }

    /// Serves until it is told to stop, then lets requests in flight finish.
    pub async fn run(mut self) -> Result<(), StartError> {
        let service = Arc::clone(&self.service);
        actix_web::rt::spawn(async move { service.run_records().await });
        actix_web::rt::spawn(Arc::clone(&self.service).run_disconnects());
        let service = Arc::clone(&self.service);
        actix_web::rt::spawn(async move {
            // What is there at the start was left by somebody who has stopped.
            let mut age = Duration::ZERO;
            loop {
                if let Err(error) = service.finish_member_changes(age).await {
                    tracing::warn!(%error, "changes of members are not finished yet");
                }
                age = FINISH_EVERY;
                tokio::time::sleep(FINISH_EVERY).await;
            }
        });
        let service = Arc::clone(&self.service);
        actix_web::rt::spawn(async move {
            loop {
                // Also deletions that another process began, or that failed half way.
                if let Err(error) = service.purge_deleted_directories().await {
                    tracing::warn!(%error, "deleted directories are not purged yet");
                }
                if let Err(error) = service.prune_pending_members().await {
                    tracing::warn!(%error, "pending members are not pruned yet");
                }
                if let Err(error) = service.finish_brakes().await {
                    tracing::warn!(%error, "brakes are not let go yet");
                }
                if let Err(error) = service.prune_assertions().await {
                    tracing::warn!(%error, "used assertions are not pruned yet");
                }
                if let Err(error) = service.prune_idempotent().await {
                    tracing::warn!(%error, "answers of idempotent requests are not pruned yet");
                }
                if let Err(error) = service.prune_portal_links().await {
                    tracing::warn!(%error, "setup links that have ended are not pruned yet");
                }
                if let Err(error) = service.prune_console().await {
                    tracing::warn!(%error, "sessions of the console that have ended are not pruned yet");
                }
                if let Err(error) = service.resume_asynchronous().await {
                    tracing::warn!(%error, "asynchronous requests are not resumed yet");
                }
                if let Err(error) = service.finish_schema_changes().await {
                    tracing::warn!(%error, "changes of schemas are not finished yet");
                }
                if let Err(error) = service.prune_records().await {
                    tracing::warn!(%error, "request records are not pruned yet");
                }
                if let Err(error) = service.prune_events().await {
                    tracing::warn!(%error, "old events are not pruned yet");
                }
                if let Err(error) = service.prune_audit().await {
                    tracing::warn!(%error, "the audit log is not pruned yet");
                }
                if let Err(error) = service.prune_signing_keys().await {
                    tracing::warn!(%error, "retired signing keys are not pruned yet");
                }
                if let Err(error) = service.prune_webhooks().await {
                    tracing::warn!(%error, "the log of deliveries is not pruned yet");
                }
                if let Err(error) = service.name_people().await {
                    tracing::warn!(%error, "some people are not found by their names yet");
                }
                if let Err(error) = service.resume_rotation().await {
                    tracing::warn!(%error, "the change of the secret key does not go on yet");
                }
                if let Err(error) = service.prune_syncs().await {
                    tracing::warn!(%error, "old runs are not pruned yet");
                }
                tokio::time::sleep(PURGE_EVERY).await;
            }
        });
        // Moving pages about takes its time, and nothing waits for it.
        let service = Arc::clone(&self.service);
        actix_web::rt::spawn(async move {
            loop {
                if let Err(error) = service.store.reclaim().await {
                    tracing::warn!(%error, "free pages are not given back yet");
                }
                tokio::time::sleep(RECLAIM_EVERY).await;
            }
        });
        let service = Arc::clone(&self.service);
        actix_web::rt::spawn(async move { service.run_event_log().await });
        actix_web::rt::spawn(Arc::clone(&self.service).run_webhooks());
        actix_web::rt::spawn(Arc::clone(&self.service).run_syncs());
        actix_web::rt::spawn(Arc::clone(&self.service).run_streams());
        actix_web::rt::spawn(Arc::clone(&self.service).run_live());
        let service = Arc::clone(&self.service);
        actix_web::rt::spawn(async move {
            loop {
                if let Err(error) = service.sample().await {
                    tracing::warn!(%error, "the numbers of the overview are not known");
                }
                tokio::time::sleep(SAMPLE_EVERY).await;
            }
        });
        let service = Arc::clone(&self.service);
        actix_web::rt::spawn(async move {
            stop_asked().await;
            service.event_log.close();
        });
        let service = Arc::clone(&self.service);
        actix_web::rt::spawn(async move {
            loop {
                if let Err(error) = service.measure_consumers().await {
                    tracing::warn!(%error, "the lag of consumers is not known");
                }
                if let Err(error) = service.measure_streams().await {
                    tracing::warn!(%error, "the lag of streams is not known");
                }
                if let Err(error) = service.measure_webhooks().await {
                    tracing::warn!(%error, "the lag of webhook endpoints is not known");
                }
                tokio::time::sleep(MEASURE_EVERY).await;
            }
        });
        let service = Arc::clone(&self.service);
        actix_web::rt::spawn(async move {
            loop {
                if let Err(error) = service.watch_alarms().await {
                    tracing::warn!(%error, "alarms are not looked for yet");
                }
                tokio::time::sleep(PURGE_EVERY).await;
            }
        });
        // Whom policies take access from does not wait for a large deletion or conversion.
        let service = Arc::clone(&self.service);
        actix_web::rt::spawn(async move {
            loop {
                if let Err(error) = service.apply_policies().await {
                    tracing::warn!(%error, "policies are not applied yet");
                }
                tokio::time::sleep(PURGE_EVERY).await;
            }
        });
        let service = Arc::clone(&self.service);
        actix_web::rt::spawn(async move { service.run_identities().await });
        // Changes of many memberships leave roles to this.
        let service = Arc::clone(&self.service);
        actix_web::rt::spawn(async move {
            loop {
                if let Err(error) = service.apply_mappings().await {
                    tracing::warn!(%error, "maps are not applied yet");
                }
                service.mappings_due(MAP_EVERY).await;
            }
        });
        let service = Arc::clone(&self.service);
        actix_web::rt::spawn(async move {
            loop {
                if let Err(error) = service.measure_mappings().await {
                    tracing::warn!(%error, "the number of users with faults is not known");
                }
                tokio::time::sleep(PURGE_EVERY).await;
            }
        });
        // The first poll makes the server listen to signals. Only then may commands find it: a stop
        // that came before would end the process on the spot.
        if let Poll::Ready(ended) = poll_once(&mut self.server).await {
            return ended.map_err(failed("the server stopped"));
        }
        write_private(&self.local_file, &serde_json::to_vec(&self.local).unwrap_or_default())?;
        let ended = (&mut self.server).await.map_err(failed("the server stopped"));
        self.service.event_log.close();
        self.service.stop_webhooks().await;
        self.service.stop_syncs().await;
        self.service.stop_streams().await;
        self.service.flush_records().await;
        ended
    }
}

/// Settings that the page of health shows as they are; of every other one it says only whether it is set.
const SHOWN: &[&str] = &[
    "listen",
    "data_dir",
    "public_url",
    "tls_cert",
    "trusted_proxies",
    "trusted_hosts",
    "outbound_networks",
    "portal_origins",
    "entra_authority",
    "console_oidc_issuer",
    "console_oidc_client_id",
    "console_oidc_role",
    "postgres_connections",
    "workers",
    "rate_limit",
    "event_retention",
    "audit_retention",
    "webhook_timeout",
    "webhook_retry",
    "source_retry",
    "source_timeout",
    "source_read_timeout",
    "members_at_once",
    "stop_timeout",
];

/// The configuration as text, setting by setting.
fn shown_settings(config: &Config) -> Vec<http::Setting> {
    let value = serde_json::to_value(config).unwrap_or_default();
    let settings = value.as_object().into_iter().flatten().map(|(name, value)| {
        let value = match value {
            Value::Null => "not set".to_owned(),
            _ if !SHOWN.contains(&name.as_str()) => "set".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        http::Setting { name: name.clone(), value }
    });
    settings.collect()
}

/// Returns when the process is asked to stop; the server listens to the same signals by itself.
async fn stop_asked() {
    use actix_web::rt::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()];
    let listening = kinds.into_iter().filter_map(|kind| signal(kind).ok());
    let mut listening: Vec<_> = listening.collect();
    let any = listening.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures_util::future::select_all(any).await;
}

/// Polls the future once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

fn serve(
    config: &Config,
    listener: TcpListener,
    tls: Option<rustls::ServerConfig>,
    state: web::Data<State>,
) -> Result<Server, StartError> {
    let mut server = HttpServer::new(move || {
        ActixApp::new().app_data(state.clone()).wrap(from_fn(http::observe)).configure(http::routes)
    })
    .shutdown_timeout(config.stop_timeout);
    if config.workers > 0 {
        server = server.workers(config.workers);
    }
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls),
        None => server.listen(listener),
    };
    Ok(server.map_err(failed("cannot listen"))?.run())
}

fn tls(cert: &Path, key: &Path) -> Result<rustls::ServerConfig, StartError> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let unreadable = |path: &Path, error: String| {
        StartError(format!("{} cannot be used: {error}", path.display()))
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert)
        .map_err(|error| unreadable(cert, error.to_string()))?
        .collect();
    let chain = chain.map_err(|error| unreadable(cert, error.to_string()))?;
    let key_der =
        PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StartError(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|error| unreadable(cert, error.to_string()))
}

/// Takes the data folder for this process; a second one is refused.
pub(crate) fn lock_data_dir(folder: &Path) -> Result<File, StartError> {
    private::make_folder(folder)
        .map_err(failed(&format!("cannot make the data folder {}", folder.display())))?;
    let path = folder.join(LOCK_FILE);
    let opened = private::create(&path).or_else(|error| match error.kind() {
        ErrorKind::AlreadyExists => File::options().write(true).open(&path),
        _ => Err(error),
    });
    let file = opened.map_err(failed(&format!("cannot open {}", path.display())))?;
    private::restrict(&path);
    file.try_lock().map_err(|_| {
        StartError(format!("another server uses the data folder {}", folder.display()))
    })?;
    Ok(file)
}

/// The address and key of the server that holds the data folder, if one does.
pub fn running_server(folder: &Path) -> Option<LocalAccess> {
    let file = File::options().write(true).open(folder.join(LOCK_FILE)).ok()?;
    if file.try_lock().is_ok() {
        return None;
    }
    let text = std::fs::read(folder.join(LOCAL_FILE)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// What is shown of a first start, or written where only the operator reads it.
pub fn first_start_text(first: &FirstStart) -> String {
    let api_key = first.api_key.as_deref().unwrap_or("(the configured one)");
    format!(
        "SCIM base URL  {}\nSCIM token     {}\nAPI key        {api_key}\nConsole        {}\n",
        first.base_url, first.token, first.console_url
    )
}

/// Writes the text into the data folder, readable by the owner only.
pub fn keep_first_start(first: &FirstStart, folder: &Path) -> Result<PathBuf, StartError> {
    let path = folder.join(FIRST_START_FILE);
    write_private(&path, first_start_text(first).as_bytes())?;
    Ok(path)
}

/// The configured key, else the one of the data folder, which is made when there is none.
fn secret_key(config: &Config) -> Result<SecretKey, StartError> {
    if let Some(key) = known_secret_key(config)? {
        return Ok(key);
    }
    let key = SecretKey::generate();
    write_private(&config.data_dir.join(SECRET_KEY_FILE), key.to_text().as_bytes())?;
    Ok(key)
}

/// The configured key, else the one of the data folder, if there is one.
pub(crate) fn known_secret_key(config: &Config) -> Result<Option<SecretKey>, StartError> {
    let parse = |text: &str, place: &str| {
        let message = format!("{place} does not hold 32 bytes in base64, once or several times");
        SecretKey::parse(text).map(Some).ok_or(StartError(message))
    };
    if let Some(text) = &config.secret_key {
        return parse(text, "secret_key");
    }
    let path = config.data_dir.join(SECRET_KEY_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path.display().to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&format!("cannot read {}", path.display()))(error)),
    }
}

/// The database remembers which key it was used with. Another one could not read what is sealed in
/// it, nor the cursors of the other processes.
async fn check_secret_key(store: &Store, key: &SecretKey) -> Result<(), StartError> {
    let checks = key.check_values();
    let known: Result<KeyCheck, StoreError> =
        store.write("secret_key", move |tx| check_keys(tx, &checks)).await;
    match known? {
        KeyCheck::Known => Ok(()),
        KeyCheck::Unknown => Err(StartError(format!(
            "this database is used with another secret key; set ROLLBOOK_SECRET_KEY to the one that \
             the other process has (its data folder holds it in {SECRET_KEY_FILE}), and to the one before it, \
             too, until \"rollbook keys rotate\" has ended"
        ))),
    }
}

/// Writes a file that only its owner may read; it appears complete or not at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), StartError> {
    let temporary = path.with_extension("new");
    let error = |error| failed(&format!("cannot write {}", path.display()))(error);
    let _ = std::fs::remove_file(&temporary);
    let mut file = private::create(&temporary).map_err(error)?;
    file.write_all(content).map_err(error)?;
    file.sync_all().map_err(error)?;
    std::fs::rename(&temporary, path).map_err(error)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(error)
}

/// Brings the database up to date without serving; answers the migrations that were applied.
pub fn migrate(config: &Config) -> Result<Vec<String>, StartError> {
    let location: Location = config.location()?;
    let _lock = lock_data_dir(&config.data_dir)?;
    Ok(store::migrate(&location)?)
}
