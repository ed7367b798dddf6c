//! A running server.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use serde_json::{Value, json};

use rollbook::app::App;
use rollbook::clock::Clock;
use rollbook::config::Config;
use rollbook::service::Service;
use rollbook::service::limit::RateLimit;
use rollbook::store::event::EventRow;

use super::{Client, Database};

const API_KEY: &str = "sk_test_0123456789abcdef0123456789abcdef";

/// A server on a free port with a database of its own. The clock stands still until it is moved.
pub struct TestApp {
    pub url: String,
    pub clock: Clock,
    pub service: Option<Arc<Service>>,
    pub database: Database,
    /// The management API with a key that may do everything.
    pub api: Client,
    /// SCIM on a directory of kind `scim.generic`.
    pub scim: Client,
    pub directory: DirectoryHandle,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// A server that listens: its address, its use cases, and the thread that it runs on.
type Started = (std::net::SocketAddr, Arc<Service>, ServerHandle, JoinHandle<()>);

/// A directory and how to reach it.
#[derive(Clone)]
pub struct DirectoryHandle {
    pub id: String,
    pub organization_id: String,
    pub external_key: String,
    pub base_url: String,
    pub token: String,
    pub token_id: String,
}

impl TestApp {
    pub fn start(database: Database) -> Self {
        Self::start_with(database, |_| {})
    }

    /// Starts with changes to the configuration.
    pub fn start_with(database: Database, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Self::config(&database);
        change(&mut config);
        let scheme = if config.tls_cert.is_some() { "https" } else { "http" };
        let clock = Clock::fixed(1_750_000_000_000);
        let started = Self::serve(config, &clock);
        let (address, service, handle, thread) = started.expect("the server starts");
        let url = format!("{scheme}://{address}");
        let api = Client::new(&url, API_KEY, "application/json");
        let directory = make_directory(&api, "scim.generic");
        let scim = Client::new(&directory.base_url, &directory.token, "application/scim+json");
        Self {
            url,
            clock,
            service: Some(service),
            database,
            api,
            scim,
            directory,
            handle,
            thread: Some(thread),
        }
    }

    /// Why a server does not start on the database.
    pub fn refused(database: &Database, change: impl FnOnce(&mut Config)) -> String {
        let mut config = Self::config(database);
        change(&mut config);
        let started = Self::serve(config, &Clock::fixed(1_750_000_000_000));
        started.err().expect("the server does not start")
    }

    /// Stops the server, and leaves what it has stored to another one.
    pub fn into_database(mut self) -> Database {
        self.stop();
        std::mem::replace(&mut self.database, Database::sqlite())
    }

    fn config(database: &Database) -> Config {
        Config {
            listen: "127.0.0.1:0".into(),
            data_dir: database.folder.path().join("data"),
            database_url: Some(database.url()),
            api_key: Some(API_KEY.into()),
            postgres_connections: 8,
            workers: 2,
            stop_timeout: 5,
            // Sources that fail on purpose are not waited for.
            source_retry: 1,
            // The clock stands still, so an empty bucket would stay empty.
            rate_limit: RateLimit::Off,
            portal_origins: vec!["https://app.example.com".parse().expect("an origin")],
            ..Config::default()
        }
    }

    fn serve(config: Config, clock: &Clock) -> Result<Started, String> {
        let (sender, started) = channel();
        let server_clock = clock.clone();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                match App::start(&config, server_clock).await {
                    Ok(app) => {
                        let facts = (app.address, Arc::clone(&app.service), app.server.handle());
                        sender.send(Ok(facts)).expect("the test waits");
                        app.run().await.expect("the server ends well");
                    }
                    Err(error) => sender.send(Err(error.to_string())).expect("the test waits"),
                }
            });
        });
        let (address, service, handle) = started.recv().expect("the server reports")?;
        Ok((address, service, handle, thread))
    }

    /// The use cases behind the server, for tests that look into the store.
    pub fn service(&self) -> &Arc<Service> {
        self.service.as_ref().expect("the server runs")
    }

    /// Another directory, of its own organization, and a SCIM client for it.
    pub fn directory(&self, kind: &str) -> (DirectoryHandle, Client) {
        let directory = make_directory(&self.api, kind);
        let scim = Client::new(&directory.base_url, &directory.token, "application/scim+json");
        (directory, scim)
    }

    /// Runs a future to its end on this thread.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        actix_web::rt::System::new().block_on(future)
    }

    /// The events of a directory as (name, data), oldest first.
    pub fn events(&self, directory: &DirectoryHandle) -> Vec<(String, Value)> {
        let rows = self.event_rows(directory).into_iter();
        rows.map(|row| (row.event, serde_json::from_str(&row.data).expect("event data is JSON")))
            .collect()
    }

    /// The events of a directory as they are stored, oldest first.
    pub fn event_rows(&self, directory: &DirectoryHandle) -> Vec<EventRow> {
        let id = directory.id.clone();
        let service = Arc::clone(self.service());
        let rows = self.wait(async move {
            service
                .store
                .read("events", move |tx| {
                    let row = tx.directory_get(&id)?.expect("the directory exists");
                    tx.event_list(row.key, 0, 100_000)
                })
                .await
        });
        rows.expect("events can be read")
    }

    /// Waits until readers of the event log see everything that was answered.
    pub fn settle_events(&self) {
        let service = Arc::clone(self.service());
        self.wait(async move { service.sequence_all_events().await }).expect("positions");
    }

    /// The names of the events of a directory, without those of the directory and its tokens.
    pub fn event_names(&self, directory: &DirectoryHandle) -> Vec<String> {
        self.events(directory)
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("dsync.user") || name.starts_with("dsync.group"))
            .collect()
    }

    /// Puts settings in place of those of the directory, and waits for what follows from them.
    pub fn settings(&self, directory: &DirectoryHandle, settings: Value) {
        let path = format!("/api/v1/directories/{}", directory.id);
        self.api.patch(&path, json!({"settings": settings})).expect(200);
        self.apply_policies();
    }

    /// Does what policies have to do by now.
    pub fn apply_policies(&self) {
        let service = Arc::clone(self.service());
        self.wait(async move { service.apply_policies().await }).expect("policies are applied");
    }

    /// Does what is left to do about identities.
    pub fn settle_identities(&self) {
        let service = Arc::clone(self.service());
        self.wait(async move { service.settle_identities().await }).expect("identities");
    }

    /// Removes what deleted directories have left.
    pub fn purge(&self) {
        let service = Arc::clone(self.service());
        self.wait(async move { service.purge_deleted_directories().await }).expect("a purge");
    }

    /// Stops the server and waits until it has let go of the database.
    fn stop(&mut self) {
        if let Some(service) = self.service.take() {
            // Streams that a test has left open hold up nobody.
            service.event_log.close();
        }
        let handle = self.handle.clone();
        actix_web::rt::System::new().block_on(async move { handle.stop(true).await });
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop();
    }
}

fn make_directory(api: &Client, kind: &str) -> DirectoryHandle {
    let organization = api.post("/api/v1/organizations", json!({"name": "Example"})).expect(201);
    let organization_id = organization.id();
    let directory = api
        .post(
            "/api/v1/directories",
            json!({"organization_id": organization_id, "name": "Directory", "kind": kind}),
        )
        .expect(201);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    DirectoryHandle {
        id: directory.id(),
        organization_id,
        external_key: text(&directory.body["external_key"]),
        base_url: text(&directory.body["scim"]["base_url"]),
        token: text(&directory.body["token"]["secret"]),
        token_id: text(&directory.body["token"]["id"]),
    }
}
