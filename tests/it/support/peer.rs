//! What sources are proved by, in Python: moto and the clients of vendors (`tests/peers`).

use std::path::{Path, PathBuf};
use std::process::Command;

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

/// A file of a peer, run by the Python that has what it needs, where `tests/peers/install` has put it.
/// `None`, with a line that says so, where that is missing; nothing is left out where `CI` is set.
pub fn peer(name: &str, file: &str) -> Option<Command> {
    let install = Command::new(peers().join("install")).args([name, "--where"]).output();
    let install = install.expect("bash");
    assert!(install.status.success(), "{}", String::from_utf8_lossy(&install.stderr));
    let python = PathBuf::from(String::from_utf8_lossy(&install.stdout).trim());
    if !python.is_file() {
        let is_ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false");
        assert!(!is_ci, "missing: tests/peers/install {name}");
        println!("skipped: tests/peers/install {name} installs what is missing");
        return None;
    }
    let mut command = Command::new(python);
    command.arg(peers().join(name).join(file));
    Some(command)
}
