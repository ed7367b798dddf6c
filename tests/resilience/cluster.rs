//! A PostgreSQL server of a scenario's own, which it may stop, crash and fail over; made by
//! `tests/postgres`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use tempfile::TempDir;

/// How a server is stopped.
#[derive(Clone, Copy, Debug)]
pub enum Halt {
    /// As an operator does: connections are ended, a checkpoint is written.
    Fast,
    /// A crash.
    Immediate,
}

pub struct Cluster {
    folder: TempDir,
    /// The superuser's, of the database `postgres`.
    pub url: String,
}

impl Cluster {
    pub fn start() -> Self {
        let folder = short_folder();
        let url = script(&["start", &text(folder.path())]);
        Self { folder, url }
    }

    /// A hot standby that follows this one, with the name `standby`.
    pub fn standby(&self) -> Self {
        let folder = short_folder();
        let url = script(&["standby", &text(folder.path()), &text(self.folder.path())]);
        Self { folder, url }
    }

    pub fn halt(&self, how: Halt) {
        let mode = match how {
            Halt::Fast => "fast",
            Halt::Immediate => "immediate",
        };
        script(&["halt", &text(self.folder.path()), mode]);
    }

    pub fn resume(&self) {
        script(&["resume", &text(self.folder.path())]);
    }

    pub fn promote(&self) {
        script(&["promote", &text(self.folder.path())]);
    }

    /// Runs statements in the database `postgres`, each by itself.
    pub fn execute(&self, statements: &[&str]) {
        let mut conn = PgConnection::establish(&self.url).expect("the server answers");
        for statement in statements {
            conn.batch_execute(statement).expect(statement);
        }
    }

    pub fn address(&self) -> SocketAddr {
        let host = self.url.split('@').nth(1).and_then(|rest| rest.split('/').next());
        host.expect("a host").parse().expect("an address")
    }

    /// The URL of its database through another address.
    pub fn url_through(&self, address: SocketAddr) -> String {
        format!("postgres://rollbook@{address}/postgres")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A scenario that has failed is being unwound: it must not panic again.
        let _ = command(&["stop", &text(self.folder.path())]).stdout(Stdio::null()).status();
    }
}

/// The path of a socket in it must not be long.
fn short_folder() -> TempDir {
    tempfile::Builder::new().prefix("rb-pg-").tempdir().expect("a folder")
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("bash");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("tests/postgres").args(arguments);
    command
}

/// What the script prints. The server that it starts must not hold the pipe open, so it goes to a file.
fn script(arguments: &[&str]) -> String {
    let out = tempfile::NamedTempFile::new().expect("a file");
    let to = out.reopen().expect("the file");
    let status = command(arguments).stdout(to).status().expect("bash");
    assert!(status.success(), "tests/postgres {arguments:?}: {status}");
    std::fs::read_to_string(out.path()).expect("the output").trim().to_owned()
}
