//! The binary as an operator uses it: started, asked, stopped, started again.

mod asynchronous;
mod cli;
mod events;
mod requests;
mod serve;
mod tls;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The binary with an environment of its own.
fn rollbook(folder: &Path) -> Command {
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

fn run(folder: &Path, arguments: &[&str]) -> Output {
    rollbook(folder).args(arguments).output().expect("the binary runs")
}

/// A running `serve`, ended with the test.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts and waits until commands can find it.
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// Starts with more settings.
    fn start_with(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let mut child = rollbook(folder)
            .envs(settings.iter().copied())
            .arg("serve")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let file = folder.join("data/local.json");
        let url = loop {
            assert!(child.try_wait().expect("a child").is_none(), "the server ended early");
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Ok(access) = serde_json::from_str::<serde_json::Value>(&text) {
                break access["url"].as_str().expect("a URL").to_owned();
            }
            std::thread::yield_now();
        };
        Self { child, url }
    }

    /// Asks it to stop, as an init system does, and waits.
    fn stop(mut self) -> bool {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        self.child.wait().expect("it ends").success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the first start wrote: base URL, token, API key.
fn first_start(folder: &Path) -> [String; 3] {
    let text = std::fs::read_to_string(folder.join("data/first-start.txt")).expect("the file");
    let values: Vec<String> =
        text.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect();
    values.try_into().expect("three lines")
}
