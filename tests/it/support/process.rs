//! The binary as an operator uses it: started, killed, stopped, started again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is shown of the log of a server whose test has failed.
const LAST_LINES: usize = 40;

/// The binary with an environment of its own.
pub fn rollbook(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROLLBOOK_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .env("ROLLBOOK_DATA_DIR", folder.join("data"))
        .env("ROLLBOOK_LISTEN", "127.0.0.1:0")
        // A bulk request of thousands of operations uses up the default limit at once.
        .env("ROLLBOOK_RATE_LIMIT", "off")
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    rollbook(folder).args(arguments).output().expect("the binary runs")
}

/// A running `serve`, ended with the test.
pub struct Server {
    pub child: Child,
    pub url: String,
    folder: PathBuf,
    environment: Vec<(String, String)>,
}

impl Server {
    /// Starts and waits until commands can find it.
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// Starts with these variables besides the usual ones. What it logs is in `log` of the folder.
    pub fn start_with(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<_> = environment.iter().map(owned).collect();
        let (child, url) = spawn(folder, &environment);
        Self { child, url, folder: folder.to_owned(), environment }
    }

    /// Ends it on the spot, as a machine that loses its process does.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ends");
    }

    /// Starts it again, after it was killed, on its data and its port.
    pub fn again(&mut self) {
        let address = self.url.split("://").nth(1).expect("an address").to_owned();
        self.environment.retain(|(name, _)| name != "ROLLBOOK_LISTEN");
        self.environment.push(("ROLLBOOK_LISTEN".into(), address));
        let (child, url) = spawn(&self.folder, &self.environment);
        assert_eq!(url, self.url);
        self.child = child;
    }

    /// Asks it to stop, as an init system does, and waits.
    pub fn stop(mut self) -> bool {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        self.child.wait().expect("it ends").success()
    }

    /// What it has logged since the first start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(LAST_LINES).collect();
            for line in last.iter().rev() {
                println!("{line}");
            }
        }
    }
}

fn spawn(folder: &Path, environment: &[(String, String)]) -> (Child, String) {
    let file = folder.join("data/local.json");
    // A killed server leaves it behind.
    let _ = fs::remove_file(&file);
    let log = File::options().create(true).append(true).open(folder.join("log")).expect("a log");
    let errors = log.try_clone().expect("a log");
    let mut child = rollbook(folder)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .arg("serve")
        .stdout(log)
        .stderr(errors)
        .spawn()
        .expect("the binary starts");
    let since = Instant::now();
    loop {
        let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(child.try_wait().expect("a child").is_none(), "the server ended early: {}", log());
        let text = fs::read_to_string(&file).unwrap_or_default();
        if let Ok(access) = serde_json::from_str::<serde_json::Value>(&text) {
            return (child, access["url"].as_str().expect("a URL").to_owned());
        }
        assert!(since.elapsed() < PATIENCE, "the server did not start: {}", log());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What the first start wrote: base URL, token, API key.
pub fn first_start(folder: &Path) -> [String; 3] {
    let text = fs::read_to_string(folder.join("data/first-start.txt")).expect("the file");
    let values: Vec<String> =
        text.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect();
    let [base_url, token, api_key, _console] = <[String; 4]>::try_from(values).expect("four lines");
    [base_url, token, api_key]
}
