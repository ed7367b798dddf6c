//! Where request records are: beside the other tables on PostgreSQL, in a file of their own on SQLite.
//!
//! The file holds nothing that anything else depends on. One that is gone is made again, and one that
//! is damaged is set aside under another name: the server goes on without what was in it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use diesel::sql_types::Text;

use super::conn::{Role, open_sqlite};
use super::sql::Tx;
use super::{LaneSizes, Store, StoreError, migrate_requests};
use crate::clock::Stopwatch;

/// One writer, one reader and one scanner, each rarely used.
fn sizes() -> LaneSizes {
    LaneSizes { sqlite_readers: 1, postgres_connections: 0, queue: 64, ..LaneSizes::default() }
}

/// The store of request records.
pub struct RecordStore {
    place: Place,
}

enum Place {
    /// The database that holds everything else.
    Shared(Store),
    /// `None` while the file cannot be used.
    File {
        path: PathBuf,
        /// Never locked for long: async code reads it.
        store: RwLock<Option<Store>>,
        /// Held while the file is opened again.
        opening: Mutex<Option<Attempt>>,
    },
}

/// After it a file that cannot be opened, or fails again, is tried once more.
const PAUSE: Duration = Duration::from_secs(10);

/// Why the file is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// It is gone, or is not open.
    Lost,
    /// It could not be read or written.
    Failed,
    Damaged,
}

/// The last time that the file was opened again.
struct Attempt {
    since: Stopwatch,
    reason: Reason,
    opened: bool,
}

impl Attempt {
    /// True when it is too early for another one.
    fn is_enough(&self, reason: Reason) -> bool {
        let again = match reason {
            Reason::Lost => false,
            Reason::Failed => true,
            Reason::Damaged => self.reason == Reason::Damaged,
        };
        (!self.opened || again) && self.since.elapsed() < PAUSE
    }
}

impl RecordStore {
    /// In the tables of a store.
    pub fn shared(store: Store) -> Self {
        Self { place: Place::Shared(store) }
    }

    /// In a SQLite file, which is made when there is none.
    pub fn file(path: PathBuf) -> Self {
        let store = RwLock::new(open(&path, true));
        Self { place: Place::File { path, store, opening: Mutex::default() } }
    }

    /// True when the records lie in the tables of the other rows, and one unit may hold both.
    pub fn is_shared(&self) -> bool {
        matches!(self.place, Place::Shared(_))
    }

    pub fn get(&self) -> Result<Store, StoreError> {
        match &self.place {
            Place::Shared(store) => Ok(store.clone()),
            Place::File { store, .. } => {
                let store = store.try_read().ok().and_then(|slot| slot.clone());
                let closed = || StoreError::Unavailable("requests.db cannot be used".to_owned());
                store.ok_or_else(closed)
            }
        }
    }

    /// True when the file is gone, or was never usable.
    pub fn is_lost(&self) -> bool {
        match &self.place {
            Place::Shared(_) => false,
            Place::File { path, store, .. } => {
                let closed = store.read().unwrap_or_else(PoisonError::into_inner).is_none();
                closed || !path.exists()
            }
        }
    }

    /// True when a failure may be one of the file, and end when that is opened again.
    pub fn may_reopen(&self, error: &StoreError) -> bool {
        !self.is_shared() && reason(error).is_some()
    }

    /// Opens the file again when it is gone, unless that failed a moment ago. Blocks.
    pub fn reopen_lost(&self) {
        if self.is_lost() {
            self.reopen(Reason::Lost);
        }
    }

    /// Opens the file again after a failure of this store, if it is one of the file and the last time
    /// is not a moment ago. Blocks until what runs on the old one has ended.
    pub fn reopen_after(&self, error: &StoreError) {
        if let Some(reason) = reason(error) {
            let reason = if self.is_lost() { Reason::Lost } else { reason };
            self.reopen(reason);
        }
    }

    fn reopen(&self, reason: Reason) {
        let Place::File { path, store, opening } = &self.place else { return };
        let mut last = opening.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|attempt| attempt.is_enough(reason)) {
            return;
        }
        let replace = |with| {
            let mut slot = store.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *slot, with)
        };
        drop(replace(None));
        let new = open(path, reason == Reason::Damaged);
        *last = Some(Attempt { since: Stopwatch::start(), reason, opened: new.is_some() });
        drop(replace(new));
    }
}

/// Why a failure is one of the file, if it may be.
fn reason(error: &StoreError) -> Option<Reason> {
    match error {
        _ if is_damage(error) => Some(Reason::Damaged),
        StoreError::Unavailable(_) | StoreError::Database(_) => Some(Reason::Failed),
        _ => None,
    }
}

/// Opens the file; a damaged one makes room for a new one. To check it takes long, as all of it is read.
fn open(path: &Path, check: bool) -> Option<Store> {
    let opened = try_open(path, check).or_else(|error| match is_damage(&error) {
        true => {
            set_aside(path);
            try_open(path, check)
        }
        false => Err(error),
    });
    opened
        .inspect_err(|error| tracing::warn!(%error, "request records cannot be kept at the moment"))
        .ok()
}

fn try_open(path: &Path, check: bool) -> Result<Store, StoreError> {
    migrate_requests(path)?;
    if check {
        let mut conn = open_sqlite(path, Role::Reader)?;
        let found = Tx::new(&mut conn).row::<Text, String>("PRAGMA quick_check(1)", &[])?;
        if found.as_deref() != Some("ok") {
            let found = found.unwrap_or_default();
            return Err(StoreError::Unavailable(format!("malformed: {found}")));
        }
    }
    Store::open_sqlite(path, Role::RecordWriter, sizes())
}

/// Damage stays; a full disk or a lock passes.
fn is_damage(error: &StoreError) -> bool {
    const PHRASES: [&str; 4] = ["not a database", "malformed", "no such table", "already exists"];
    let text = error.to_string();
    PHRASES.iter().any(|phrase| text.contains(phrase))
}

fn set_aside(path: &Path) {
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    for log in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(with(log));
    }
    let aside = with(".damaged");
    match std::fs::rename(path, &aside) {
        Ok(()) => {
            let aside = aside.display();
            tracing::warn!(%aside, "requests.db was damaged and is set aside; a new one begins");
        }
        Err(error) => tracing::warn!(%error, "the damaged requests.db cannot be set aside"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_is_damaged_or_gone_is_made_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("requests.db");
        std::fs::write(
            &path,
            "this is no database, and it is long enough to be read as one".repeat(9),
        )
        .expect("written");
        let records = RecordStore::file(path.clone());
        assert!(records.get().is_ok() && !records.is_lost());
        assert!(folder.path().join("requests.db.damaged").exists());
        std::fs::remove_file(&path).expect("removed");
        assert!(records.is_lost());
        records.reopen_lost();
        assert!(records.get().is_ok() && !records.is_lost());
    }

    #[test]
    fn file_is_opened_again_after_its_own_failures_and_not_at_once_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("requests.db");
        let records = RecordStore::file(path.clone());
        let malformed = || StoreError::Unavailable("file is malformed".to_owned());
        let opened = || match &records.place {
            Place::File { opening, .. } => {
                let last = opening.lock().expect("unlocked");
                last.as_ref().map(|attempt| attempt.reason)
            }
            Place::Shared(_) => None,
        };
        for error in [StoreError::Overloaded, StoreError::TimedOut("x".to_owned())] {
            assert!(!records.may_reopen(&error), "{error}");
            records.reopen_after(&error);
            assert_eq!(opened(), None, "{error}");
        }
        let full = StoreError::Unavailable("database or disk is full".to_owned());
        records.reopen_after(&full);
        assert_eq!(opened(), Some(Reason::Failed));
        records.reopen_after(&malformed());
        assert_eq!(opened(), Some(Reason::Damaged), "is worth another look");
        for error in [full, malformed()] {
            records.reopen_after(&error);
            assert_eq!(opened(), Some(Reason::Damaged), "too early: {error}");
        }
        std::fs::remove_file(&path).expect("removed");
        records.reopen_lost();
        assert!(records.get().is_ok() && !records.is_lost());
    }

    #[test]
    fn nobody_waits_while_the_file_is_exchanged() {
        let folder = tempfile::tempdir().expect("a folder");
        let records = RecordStore::file(folder.path().join("requests.db"));
        let Place::File { store, opening, .. } = &records.place else { panic!("a file") };
        let opening = opening.lock().expect("unlocked");
        assert!(records.get().is_ok());
        let exchanged = store.write().expect("unlocked");
        assert!(matches!(records.get(), Err(StoreError::Unavailable(_))));
        drop((exchanged, opening));
        assert!(records.get().is_ok());
    }

    #[test]
    fn place_that_cannot_be_written_is_no_failure_of_the_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let records = RecordStore::file(folder.path().join("no/such/folder/requests.db"));
        assert!(records.get().is_err() && records.is_lost());
    }
}
