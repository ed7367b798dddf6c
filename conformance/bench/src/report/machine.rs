//! The machine on which figures were measured.

use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::line::median;
use crate::baseline::postgres;

/// Writes that are timed to know what a durable one takes.
const WRITES: usize = 200;

#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    processor: String,
    cores: usize,
    memory_gb: f64,
    /// Median time to append 4 KiB to a file and have them on the disk.
    fsync_ms: f64,
    sqlite: String,
    postgres: Option<String>,
}

impl Machine {
    /// Looks at the machine and times the disk of the folder.
    pub(super) fn look(folder: &Path, postgres: Option<&str>) -> Result<Self, String> {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
            line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
        };
        let kilobytes: f64 = field("/proc/meminfo", "MemTotal")
            .and_then(|text| text.split(' ').next()?.parse().ok())
            .unwrap_or_default();
        Ok(Self {
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gb: (kilobytes / 1024.0 / 1024.0).round(),
            fsync_ms: fsync(folder).map_err(|error| format!("{}: {error}", folder.display()))?,
            sqlite: rusqlite::version().to_owned(),
            postgres: postgres.map(postgres::version).transpose()?,
        })
    }
}

/// The median time of a durable write, in milliseconds.
fn fsync(folder: &Path) -> std::io::Result<f64> {
    let path = folder.join("fsync");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let begun = Instant::now();
        file.write_all(&[0x55; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    fs::remove_file(path)?;
    Ok(median(&times))
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cores ({}), {} GB of memory, {:.2} ms for a durable write of 4 KiB, SQLite {}",
            self.cores, self.processor, self.memory_gb, self.fsync_ms, self.sqlite
        )?;
        match &self.postgres {
            Some(version) => write!(f, ", PostgreSQL {version}"),
            None => Ok(()),
        }
    }
}
