//! A disk that fails for one process, without privileges: `faults.c`, loaded into it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// How the disk fails.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    NoRoom,
    ReadOnly,
    /// Also when data is to be made durable.
    Broken,
    /// Writes succeed; only to make them durable fails.
    NotDurable,
}

/// Switches faults of one server on and off.
pub struct Faults {
    library: PathBuf,
    folder: PathBuf,
    file: PathBuf,
}

impl Faults {
    /// For files of the data folder of a server in `folder`.
    pub fn prepare(folder: &Path) -> Self {
        let library = folder.join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resilience/faults.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl")
            .status();
        assert!(compiled.expect("a C compiler").success(), "faults.c does not compile");
        Self { library, folder: folder.join("data"), file: folder.join("fault") }
    }

    /// The environment that a server needs for them.
    pub fn environment(&self) -> [(&'static str, &str); 3] {
        [
            ("LD_PRELOAD", self.library.to_str().expect("UTF-8")),
            ("FAULTS_FOLDER", self.folder.to_str().expect("UTF-8")),
            ("FAULTS_FILE", self.file.to_str().expect("UTF-8")),
        ]
    }

    pub fn begin(&self, fault: Fault) {
        let word = match fault {
            Fault::NoRoom => "ENOSPC",
            Fault::ReadOnly => "EROFS",
            Fault::Broken => "EIO",
            Fault::NotDurable => "ESYNC",
        };
        // It appears whole.
        let new = self.file.with_extension("new");
        std::fs::write(&new, word).expect("written");
        std::fs::rename(new, &self.file).expect("renamed");
    }

    pub fn end(&self) {
        std::fs::remove_file(&self.file).expect("it was there");
    }
}
