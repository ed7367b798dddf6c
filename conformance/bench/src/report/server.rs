//! A Rollbook that the report starts: on a free port, with its data in a folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::connection::{Connection, Origin};
use crate::drive::{Loop, Plan};

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// For servers that live as long as a measurement, reachable from this machine.
const API_KEY: &str = "sk_bench_0123456789abcdef0123456789abcdef";
const SECRET_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(super) struct Server {
    child: Child,
    url: String,
    log: PathBuf,
    /// From the start of the process to the first `/health/ready` that answered 200.
    pub(super) to_ready: Duration,
}

/// A directory of the server.
pub(super) struct Directory {
    pub(super) id: String,
    /// `/scim/v2/{external_key}`
    pub(super) path: String,
    pub(super) token: String,
}

/// Resident memory, in MiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) now: f64,
    pub(super) peak: f64,
}

impl Server {
    /// Starts the program on the folder, and on a database in it unless another one is named.
    pub(super) fn start(
        program: &Path,
        folder: &Path,
        database: Option<(&str, usize)>,
    ) -> Result<Self, String> {
        let failed = |what: &str| format!("the server in {}: {what}", folder.display());
        fs::create_dir_all(folder).map_err(|error| failed(&error.to_string()))?;
        let local = folder.join("local.json");
        let _ = fs::remove_file(&local);
        let log = folder.join("log");
        let file = File::create(&log).map_err(|error| failed(&error.to_string()))?;
        let mut command = Command::new(program);
        // Settings of the caller's own server are not for this one.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ROLLBOOK_") {
                command.env_remove(name);
            }
        }
        if let Some((url, connections)) = database {
            command.env("ROLLBOOK_DATABASE_URL", url);
            command.env("ROLLBOOK_POSTGRES_CONNECTIONS", connections.to_string());
            command.env("ROLLBOOK_SECRET_KEY", SECRET_KEY);
        }
        command
            .arg("serve")
            .env("ROLLBOOK_DATA_DIR", folder)
            .env("ROLLBOOK_LISTEN", "127.0.0.1:0")
            .env("ROLLBOOK_RATE_LIMIT", "off")
            .env("ROLLBOOK_API_KEY", API_KEY)
            // Where the receiver of webhooks is.
            .env("ROLLBOOK_OUTBOUND_NETWORKS", "127.0.0.0/8")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        let begun = Instant::now();
        let child = command.spawn().map_err(|error| failed(&error.to_string()))?;
        let mut server = Self { child, url: String::new(), log, to_ready: Duration::ZERO };
        server.wait_until_ready(begun, &local).map_err(|error| failed(&error))?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, begun: Instant, local: &Path) -> Result<(), String> {
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it ended with {status}; see the file log there"));
            }
            if self.url.is_empty() {
                let text = fs::read_to_string(local).unwrap_or_default();
                let local: Value = serde_json::from_str(&text).unwrap_or_default();
                self.url = local.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
            }
            if !self.url.is_empty() {
                let mut connection = Connection::new(Origin::parse(&self.url)?, None);
                let answer = connection.exchange("GET", "/health/ready", None);
                if answer.is_ok_and(|answer| answer.status == 200) {
                    self.to_ready = begun.elapsed();
                    return Ok(());
                }
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        Err(format!("it was not ready within {} seconds", PATIENCE.as_secs()))
    }

    /// Clients of a path of the server, with that token.
    pub(super) fn plan(
        &self,
        path: &str,
        token: Option<&str>,
        clients: u64,
    ) -> Result<Plan, String> {
        let origin = Origin::parse(&format!("{}{path}", self.url))?;
        Ok(Plan { connect: Connection::new(origin, token), clients, seed: 1, work: Loop::Closed })
    }

    /// Clients of a directory.
    pub(super) fn clients(&self, directory: &Directory, clients: u64) -> Result<Plan, String> {
        self.plan(&directory.path, Some(&directory.token), clients)
    }

    /// The directory that the first start made, with a new token.
    pub(super) fn directory(&self) -> Result<Directory, String> {
        let list = self.api("GET", "/directories", None)?;
        let found = list.get("data").and_then(|data| data.get(0)).cloned();
        let found = found.ok_or("the server has no directory")?;
        let id = text(&found, "/id")?;
        let token = self.token(&id)?;
        Ok(Directory { path: format!("/scim/v2/{}", text(&found, "/external_key")?), id, token })
    }

    /// A new directory beside the first one.
    pub(super) fn new_directory(&self, name: &str) -> Result<Directory, String> {
        let organizations = self.api("GET", "/organizations", None)?;
        let body = json!({
            "organization_id": text(&organizations, "/data/0/id")?,
            "name": name,
            "kind": "scim.generic",
        });
        let made = self.api("POST", "/directories", Some(&body))?;
        Ok(Directory {
            id: text(&made, "/id")?,
            path: format!("/scim/v2/{}", text(&made, "/external_key")?),
            token: text(&made, "/token/secret")?,
        })
    }

    /// A new token of a directory.
    pub(super) fn token(&self, directory: &str) -> Result<String, String> {
        let made =
            self.api("POST", &format!("/directories/{directory}/tokens"), Some(&json!({})))?;
        text(&made, "/secret")
    }

    /// An endpoint of webhooks.
    pub(super) fn webhook(&self, endpoint: &Value) -> Result<(), String> {
        self.api("POST", "/webhook_endpoints", Some(endpoint)).map(|_| ())
    }

    fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let origin = Origin::parse(&format!("{}/api/v1", self.url))?;
        let mut connection = Connection::new(origin, Some(API_KEY));
        let body = body.map(Value::to_string);
        let answer = connection
            .exchange(method, path, body.as_deref().map(str::as_bytes))
            .map_err(|error| format!("{method} /api/v1{path}: {error}"))?;
        match answer.status {
            200..300 => serde_json::from_slice(answer.body).map_err(|error| error.to_string()),
            status => Err(format!("{method} /api/v1{path} answered {status}")),
        }
    }

    pub(super) fn memory(&self) -> Result<Memory, String> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let megabytes = |name: &str| {
            let kilobytes =
                text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
            let kilobytes: Option<f64> = kilobytes.and_then(|number| number.parse().ok());
            kilobytes.map(|number| number / 1024.0).ok_or_else(|| format!("{path} has no {name}"))
        };
        Ok(Memory { now: megabytes("VmRSS:")?, peak: megabytes("VmHWM:")? })
    }

    /// Lets the peak count from now on.
    pub(super) fn forget_peak(&self) -> Result<(), String> {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(&path, "5").map_err(|error| format!("{path}: {error}"))
    }

    /// Asks it to stop, as an init system does, and waits. A line for each of a million requests is
    /// kept only where something went wrong.
    pub(super) fn stop(mut self) -> Result<(), String> {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        told.map_err(|error| format!("kill: {error}"))?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        match status.success() {
            true => fs::remove_file(&self.log).map_err(|error| error.to_string()),
            false => Err(format!("the server ended with {status} when it was told to stop")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(value: &Value, at: &str) -> Result<String, String> {
    let text = value.pointer(at).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| format!("the management API answered without {at}"))
}
