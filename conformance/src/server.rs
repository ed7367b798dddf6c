//! A Rollbook process that a run starts itself: on a free port, in a temporary folder, with a log
//! and a database that can be looked at.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Client, Trust};
use crate::matching::cut;

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// Everything of the program's own; libraries at the level that an operator debugs with.
const LOG: &str = "rollbook=trace,debug";

/// Reads every byte of a database that is not in the server's own folder.
pub type Dump = Box<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>;

pub struct Server {
    binary: PathBuf,
    folder: TempDir,
    environment: Vec<(String, String)>,
    url: String,
    api_key: String,
    dump: Option<Dump>,
    child: Mutex<Child>,
}

impl Server {
    /// Starts `<binary> serve` on an embedded database and waits until it answers.
    pub fn start(binary: &Path) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        Self::start_in(binary, folder, &[], None)
    }

    /// [`start`](Self::start) on the database of that URL.
    pub fn start_on(binary: &Path, database_url: &str, dump: Dump) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let environment = [("ROLLBOOK_DATABASE_URL", database_url)];
        Self::start_in(binary, folder, &environment, Some(dump))
    }

    /// [`start`](Self::start) with a certificate that is made for it.
    pub fn start_https(binary: &Path) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
            .map_err(|error| error.to_string())?;
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        write_private(&cert, &made.cert.pem())?;
        write_private(&key, &made.signing_key.serialize_pem())?;
        let environment = [
            ("ROLLBOOK_TLS_CERT", &*cert.to_string_lossy()),
            ("ROLLBOOK_TLS_KEY", &*key.to_string_lossy()),
        ];
        Self::start_in(binary, folder, &environment, None)
    }

    fn start_in(
        binary: &Path,
        folder: TempDir,
        environment: &[(&str, &str)],
        dump: Option<Dump>,
    ) -> Result<Self, String> {
        let binary = fs::canonicalize(binary)
            .map_err(|error| format!("the server `{}`: {error}", binary.display()))?;
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut environment: Vec<_> = environment.iter().map(owned).collect();
        let mut child = spawn(&binary, folder.path(), &environment, "127.0.0.1:0")?;
        let (url, api_key) = match first_start(&mut child, folder.path()) {
            Ok(facts) => facts,
            Err(error) => {
                end(&mut child);
                let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                return Err(format!("{error}: {}", cut(&log)));
            }
        };
        // Links keep the port through a restart.
        environment.push(("ROLLBOOK_PUBLIC_URL".into(), url.clone()));
        Ok(Self { binary, folder, environment, url, api_key, dump, child: Mutex::new(child) })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// Everything that was logged so far.
    pub fn log(&self) -> Result<String, String> {
        fs::read(self.folder.path().join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|error| format!("the log: {error}"))
    }

    /// What the database holds: the files of the embedded one one after another, write-ahead log included.
    pub fn database_bytes(&self) -> Result<Vec<u8>, String> {
        if let Some(dump) = &self.dump {
            return dump();
        }
        let folder = self.folder.path().join("data");
        let mut bytes = Vec::new();
        let entries = fs::read_dir(&folder).map_err(|error| format!("the data: {error}"))?;
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // `rollbook.db`, its `-wal`, and other databases beside it.
            if name.contains(".db") && !name.ends_with("-shm") {
                bytes.extend(fs::read(&path).map_err(|error| format!("{name}: {error}"))?);
            }
        }
        if bytes.is_empty() { Err("there is no database file".into()) } else { Ok(bytes) }
    }

    /// Stops the process as an init system does and starts it again on the same data and port.
    pub fn restart(&self) -> Result<(), String> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        told.map_err(|error| format!("kill: {error}"))?;
        within("the server did not stop", || match child.try_wait() {
            Ok(Some(status)) if status.success() => Ok(Some(())),
            Ok(Some(status)) => Err(format!("the server ended with {status}")),
            Ok(None) => Ok(None),
            Err(error) => Err(error.to_string()),
        })?;
        let address = self.url.split("://").nth(1).unwrap_or_default();
        *child = spawn(&self.binary, self.folder.path(), &self.environment, address)?;
        let client = Client::trusting(Trust::Anything);
        let ready = format!("{}/health/ready", self.url);
        within("the server did not come back", || {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("the server ended with {status} when started again"));
            }
            let answer = client.send("GET", &ready, &[], None);
            Ok(answer.ok().filter(|answer| answer.status == 200).map(drop))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn spawn(
    binary: &Path,
    folder: &Path,
    environment: &[(String, String)],
    listen: &str,
) -> Result<Child, String> {
    let mut command = Command::new(binary);
    // Settings of the caller's own server are not for this one.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROLLBOOK_") {
            command.env_remove(name);
        }
    }
    let log = File::options().create(true).append(true).open(folder.join("log"));
    let log = log.map_err(|error| format!("the log: {error}"))?;
    let errors = log.try_clone().map_err(|error| format!("the log: {error}"))?;
    command
        .arg("serve")
        .current_dir(folder)
        .env("ROLLBOOK_DATA_DIR", folder.join("data"))
        .env("ROLLBOOK_LISTEN", listen)
        .env("ROLLBOOK_LOG", LOG)
        // What is measured is the protocol, at any speed.
        .env("ROLLBOOK_RATE_LIMIT", "off")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("the server `{}`: {error}", binary.display()))
}

/// Waits for the files that the first start writes: the address, and the API key.
fn first_start(child: &mut Child, folder: &Path) -> Result<(String, String), String> {
    within("the server did not start", || {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("the server ended with {status}"));
        }
        let local = fs::read_to_string(folder.join("data/local.json")).unwrap_or_default();
        let local: Value = serde_json::from_str(&local).unwrap_or_default();
        let first = fs::read_to_string(folder.join("data/first-start.txt")).unwrap_or_default();
        let key = first.split_whitespace().find(|word| word.starts_with("sk_"));
        let url = local.get("url").and_then(Value::as_str);
        Ok(url.zip(key).map(|(url, key)| (url.to_owned(), key.to_owned())))
    })
}

/// Asks again and again until there is something, an error, or no time left.
fn within<T>(
    otherwise: &str,
    mut ask: impl FnMut() -> Result<Option<T>, String>,
) -> Result<T, String> {
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        if let Some(found) = ask()? {
            return Ok(found);
        }
        thread::sleep(PAUSE);
        waited += PAUSE;
    }
    Err(format!("{otherwise} within {} seconds", PATIENCE.as_secs()))
}

fn write_private(path: &Path, text: &str) -> Result<(), String> {
    let mut file = File::create(path).map_err(|error| error.to_string())?;
    file.write_all(text.as_bytes()).map_err(|error| error.to_string())
}
