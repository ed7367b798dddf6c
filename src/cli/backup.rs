//! `rollbook backup` and `rollbook restore`: copies of the embedded database.
//!
//! Both write beside the place where the file shall be, sync, and rename: it is there as a whole or
//! not at all.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::print;
use crate::app::{self, REQUESTS_FILE, SECRET_KEY_FILE, StartError};
use crate::auth::{SecretKey, passphrase};
use crate::config::Config;
use crate::service::secret_keys::SECRET_KEY_CHECK;
use crate::store::Location;
use crate::store::backup::{self, Copied};
use crate::store::private;

/// The setting of a copy that holds the sealed secret key. No running database has it.
const SEALED_KEY: &str = "backup_secret_key";

/// How often progress is shown.
const EVERY: Duration = Duration::from_millis(500);

#[derive(Args, Debug)]
pub(super) struct Backup {
    /// Where the copy goes
    file: PathBuf,
    /// Put the secret key in, encrypted with a passphrase
    #[arg(long, requires = "passphrase_file")]
    with_key: bool,
    /// File whose first line is the passphrase; - reads the standard input
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Replace an older copy of that name
    #[arg(long)]
    force: bool,
}

#[derive(Args, Debug)]
pub(super) struct Restore {
    /// What `rollbook backup` wrote
    file: PathBuf,
    /// File whose first line is the passphrase of the secret key in it; - reads the standard input
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Take the place of a database; it stays beside as rollbook.db.replaced, or -1, -2, …
    #[arg(long)]
    force: bool,
}

fn cannot(what: &str, path: &Path) -> impl Fn(std::io::Error) -> StartError {
    let what = format!("cannot {what} {}", path.display());
    move |error| StartError(format!("{what}: {error}"))
}

/// The file of the embedded database.
fn database(config: &Config) -> Result<PathBuf, StartError> {
    match config.location()? {
        Location::Sqlite(path) => Ok(path),
        Location::Postgres(_) => Err(StartError(
            "only the embedded database is copied by this command; use pg_dump, or the base backups \
             of the PostgreSQL server"
                .into(),
        )),
    }
}

/// Copies the database, also while a server writes.
pub(super) fn backup(config: &Config, command: &Backup) -> Result<(), StartError> {
    let source = database(config)?;
    if !source.is_file() {
        return Err(StartError(format!("there is no database at {}", source.display())));
    }
    let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    };
    let target = &command.file;
    if same(&source, target) {
        return Err(StartError(format!("{} is the database itself", target.display())));
    }
    if target.exists() && !command.force {
        let message = "exists; give another name, or --force to replace it";
        return Err(StartError(format!("{} {message}", target.display())));
    }
    let sealed = match (command.with_key, &command.passphrase_file) {
        (true, Some(file)) => Some(sealed_key(config, &source, &read_passphrase(file)?)?),
        _ => None,
    };
    let part = Part::create(target, private::create_own)?;
    let expected = backup::copy_size(&source)?;
    with_progress(&part.path, expected, || backup::copy(&source, &part.path))?;
    let mut copied = Copied::open(&part.path)?;
    refuse_faults(&copied.faults()?, "the copy is not sound; `rollbook check` says more")?;
    if let Some(sealed) = &sealed {
        copied.note_put(SEALED_KEY, sealed)?;
    }
    copied.close()?;
    let bytes = part.put(target)?;
    print(&json!({
        "file": target,
        "bytes": bytes,
        "secret_key": if sealed.is_some() { "sealed with the passphrase" } else { "not included" },
    }));
    if sealed.is_none() {
        tell(
            "The secret key is not in the copy. Keep it elsewhere (ROLLBOOK_SECRET_KEY, or secret.key of \
             the data folder), or use --with-key: without it the copy cannot be served.",
        );
    }
    Ok(())
}

/// The secret key of this database as the copy holds it.
fn sealed_key(config: &Config, source: &Path, phrase: &str) -> Result<String, StartError> {
    let key = app::known_secret_key(config)?.ok_or_else(|| {
        StartError(
            "there is no secret key to put in: none is configured or in the data folder".into(),
        )
    })?;
    if !is_of(&key, Copied::open(source)?.note(SECRET_KEY_CHECK)?.as_deref()) {
        return Err(StartError("the secret key that is configured is not the database's".into()));
    }
    Ok(passphrase::seal(phrase, key.to_text().as_bytes()))
}

/// Puts a copy in the place of the database.
pub(super) fn restore(config: &Config, command: &Restore) -> Result<(), StartError> {
    let place = database(config)?;
    let phrase = command.passphrase_file.as_deref().map(read_passphrase).transpose()?;
    let _lock = app::lock_data_dir(&config.data_dir)?;
    let [log, index] = backup::companions(&place);
    if (place.exists() || log.exists()) && !command.force {
        return Err(StartError(format!(
            "there is a database at {}; --force puts the copy in its place and keeps it beside",
            place.display()
        )));
    }
    refuse_log(&command.file)?;
    // Of the folder's owner: root may run this, and the server has a user of its own.
    let part = Part::create(&place, private::create)?;
    let expected = std::fs::metadata(&command.file).map_err(cannot("read", &command.file))?.len();
    with_progress(&part.path, expected, || {
        let mut from = File::open(&command.file)?;
        std::io::copy(&mut from, &mut File::options().write(true).open(&part.path)?)
    })
    .map_err(cannot("copy", &command.file))?;
    let unsound = format!("{} cannot be used", command.file.display());
    let mut copied =
        Copied::open(&part.path).map_err(|error| StartError(format!("{unsound}: {error}")))?;
    refuse_faults(&copied.faults()?, &unsound)?;
    let key = key_for(config, &mut copied, phrase.as_deref())?;
    copied.note_remove(SEALED_KEY)?;
    copied.close()?;

    // The key comes first: a crash in between leaves a key without its database, which is put right by
    // the same command, not a database without its key.
    if let Key::FromCopy(key) = &key {
        let file = config.data_dir.join(SECRET_KEY_FILE);
        app::write_private(&file, key.to_text().as_bytes())?;
    }
    let replaced = match place.exists() || log.exists() {
        true => Some(keep_replaced(&place, [&log, &index])?),
        false => None,
    };
    part.put(&place)?;
    // Its records name directories by keys that the copy may give to others.
    let requests = config.data_dir.join(REQUESTS_FILE);
    for file in backup::companions(&requests).iter().chain([&requests]) {
        let _ = std::fs::remove_file(file);
    }
    print(&json!({
        "database": place,
        "replaced": replaced,
        "secret_key": match key {
            Key::FromCopy(_) => "written into the data folder",
            Key::Known => "the one that is configured or in the data folder",
            Key::Missing => "missing",
        },
    }));
    if matches!(key, Key::Missing) {
        tell(
            "The copy has no secret key. Before the first start, set ROLLBOOK_SECRET_KEY to the one of the \
             server that made it, or put its secret.key into the data folder.",
        );
    }
    Ok(())
}

/// Whether a database with those check values is opened by the key and those beside it.
fn is_of(key: &SecretKey, checks: Option<&str>) -> bool {
    let known = key.check_values();
    checks.is_none_or(|checks| checks.split_whitespace().all(|one| known.iter().any(|k| k == one)))
}

/// Which key opens what is sealed in the copy.
enum Key {
    Known,
    FromCopy(SecretKey),
    Missing,
}

fn key_for(config: &Config, copied: &mut Copied, phrase: Option<&str>) -> Result<Key, StartError> {
    let known = app::known_secret_key(config)?;
    let check = copied.note(SECRET_KEY_CHECK)?;
    let fits = |key: &SecretKey| is_of(key, check.as_deref());
    if let Some(key) = &known {
        return match fits(key) {
            true => Ok(Key::Known),
            false => Err(StartError(
                "the copy belongs to another secret key than the one that is configured or in the data \
                 folder; set the right one, or move secret.key away"
                    .into(),
            )),
        };
    }
    match (copied.note(SEALED_KEY)?, phrase) {
        (Some(sealed), Some(phrase)) => passphrase::open(phrase, &sealed)
            .and_then(|bytes| SecretKey::parse(std::str::from_utf8(&bytes).ok()?))
            .filter(fits)
            .map(Key::FromCopy)
            .ok_or_else(|| StartError("the passphrase does not open the secret key".into())),
        (Some(_), None) => Err(StartError(
            "the copy holds its secret key, sealed; give the passphrase with --passphrase-file"
                .into(),
        )),
        (None, _) => Ok(Key::Missing),
    }
}

/// A copy is one file. What has a log beside it is a database that a server uses or left behind: without
/// the log, its last commits would be lost.
fn refuse_log(file: &Path) -> Result<(), StartError> {
    let logs = ["-wal", "-journal"].map(|ending| beside(file, ending));
    let full = |log: &&PathBuf| log.metadata().is_ok_and(|meta| meta.len() > 0);
    match logs.iter().find(full) {
        None => Ok(()),
        Some(log) => Err(StartError(format!(
            "{} is no backup: {} belongs to it and holds some of its data; make a backup of that \
             database and restore it",
            file.display(),
            log.display()
        ))),
    }
}

/// Keeps what was there under a name that is free, and answers the name: what an earlier restore kept may
/// be the only copy. The log must be gone before the copy takes its place: it would be read as the copy's.
fn keep_replaced(place: &Path, companions: [&PathBuf; 2]) -> Result<PathBuf, StartError> {
    let numbered = (1_u32..).map(|n| beside(place, &format!(".replaced-{n}")));
    let taken =
        |old: &PathBuf| backup::companions(old).iter().chain([old]).any(|file| file.exists());
    let old = std::iter::once(beside(place, ".replaced"))
        .chain(numbered)
        .find(|old| !taken(old))
        .ok_or_else(|| StartError(format!("no name is free beside {}", place.display())))?;
    // A sound database then has no log any more; of a damaged one everything is kept as it is. SQLite
    // removes a log that has no database, or an empty one.
    if place.metadata().is_ok_and(|meta| meta.len() > 0) {
        let _ = backup::settle(place);
    }
    if place.exists() {
        std::fs::hard_link(place, &old).map_err(cannot("keep", place))?;
    }
    for (file, kept) in companions.into_iter().zip(backup::companions(&old)) {
        if file.exists() {
            std::fs::rename(file, &kept).map_err(cannot("keep", file))?;
        }
    }
    Ok(old)
}

/// A file that is written beside the place where it shall be; gone when it does not get there.
struct Part {
    path: PathBuf,
    put: bool,
}

impl Part {
    /// An empty file that `make` makes; only its owner reads it, as it will hold personal data.
    fn create(target: &Path, make: fn(&Path) -> std::io::Result<File>) -> Result<Self, StartError> {
        let path = beside(target, ".partial");
        for file in backup::companions(&path).iter().chain([&path]) {
            let _ = std::fs::remove_file(file);
        }
        make(&path).map_err(cannot("write", &path))?;
        Ok(Self { path, put: false })
    }

    /// Puts it into its place and answers its size in bytes.
    fn put(mut self, target: &Path) -> Result<u64, StartError> {
        let file = File::open(&self.path).map_err(cannot("read", &self.path))?;
        file.sync_all().map_err(cannot("write", &self.path))?;
        let bytes = file.metadata().map_err(cannot("read", &self.path))?.len();
        std::fs::rename(&self.path, target).map_err(cannot("write", target))?;
        self.put = true;
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(cannot("write", folder))?;
        Ok(bytes)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.put {
            for file in backup::companions(&self.path).iter().chain([&self.path]) {
                let _ = std::fs::remove_file(file);
            }
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn refuse_faults(faults: &[String], what: &str) -> Result<(), StartError> {
    match faults.is_empty() {
        true => Ok(()),
        false => Err(StartError(format!("{what}: {}", faults.join("; ")))),
    }
}

fn read_passphrase(file: &Path) -> Result<String, StartError> {
    let mut text = String::new();
    let read = match file == Path::new("-") {
        true => std::io::stdin().read_to_string(&mut text),
        false => File::open(file).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.map_err(cannot("read the passphrase from", file))?;
    let phrase = text.lines().next().unwrap_or_default();
    match phrase.chars().count() >= passphrase::MIN_PASSPHRASE {
        true => Ok(phrase.to_owned()),
        false => Err(StartError(format!(
            "the passphrase must have at least {} characters",
            passphrase::MIN_PASSPHRASE
        ))),
    }
}

/// Runs `work`, and shows on a terminal how the file grows meanwhile.
fn with_progress<T>(file: &Path, expected: u64, work: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let (done, ended) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let bytes = std::fs::metadata(file).map_or(0, |meta| meta.len());
                let percent =
                    bytes.saturating_mul(100).checked_div(expected).unwrap_or(100).min(100);
                let megabytes = bytes / 1_000_000;
                let _ = write!(std::io::stderr(), "\r{percent:3} %  {megabytes} MB ");
            }
            let _ = write!(std::io::stderr(), "\r                    \r");
        });
        let outcome = work();
        drop(done);
        outcome
    })
}

/// A remark for the person at the terminal, beside the answer.
pub(super) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
