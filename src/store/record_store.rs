//! Where request records are: beside the other tables on PostgreSQL, in a file of their own on SQLite.
//!
//! The file holds nothing that anything else depends on. One that is gone is made again, and one that
//! is damaged is set aside under another name: the server goes on without what was in it.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use diesel::sql_types::Text;

use super::conn::{Role, open_sqlite};
use super::sql::Tx;
use super::{LaneSizes, Store, StoreError, migrate_requests};

/// One writer, one reader and one scanner, each rarely used.
const SIZES: LaneSizes = LaneSizes { sqlite_readers: 1, postgres_connections: 0, queue: 64 };

/// The store of request records.
pub struct RecordStore {
    place: Place,
}

enum Place {
    /// The database that holds everything else.
    Shared(Store),
    /// `None` while the file cannot be used.
    File { path: PathBuf, store: RwLock<Option<Store>> },
}

impl RecordStore {
    /// In the tables of a store.
    pub fn shared(store: Store) -> Self {
        Self { place: Place::Shared(store) }
    }

    /// In a SQLite file, which is made when there is none.
    pub fn file(path: PathBuf) -> Self {
        let store = RwLock::new(open(&path));
        Self { place: Place::File { path, store } }
    }

    /// True when the records lie in the tables of the other rows, and one unit may hold both.
    pub fn is_shared(&self) -> bool {
        matches!(self.place, Place::Shared(_))
    }

    pub fn get(&self) -> Result<Store, StoreError> {
        match &self.place {
            Place::Shared(store) => Ok(store.clone()),
            Place::File { store, .. } => {
                let store = store.read().unwrap_or_else(PoisonError::into_inner).clone();
                let closed = || StoreError::Unavailable("requests.db cannot be used".to_owned());
                store.ok_or_else(closed)
            }
        }
    }

    /// True when the file is gone, or was never usable.
    pub fn is_lost(&self) -> bool {
        match &self.place {
            Place::Shared(_) => false,
            Place::File { path, store } => {
                let closed = store.read().unwrap_or_else(PoisonError::into_inner).is_none();
                closed || !path.exists()
            }
        }
    }

    /// Opens the file again after a failure. Blocks until what runs on the old one has ended.
    pub fn reopen(&self) {
        if let Place::File { path, store } = &self.place {
            let mut slot = store.write().unwrap_or_else(PoisonError::into_inner);
            *slot = None;
            *slot = open(path);
        }
    }
}

/// Opens the file; a damaged one makes room for a new one.
fn open(path: &Path) -> Option<Store> {
    let opened = try_open(path).or_else(|error| match is_damage(&error) {
        true => {
            set_aside(path);
            try_open(path)
        }
        false => Err(error),
    });
    opened
        .inspect_err(|error| tracing::warn!(%error, "request records cannot be kept at the moment"))
        .ok()
}

fn try_open(path: &Path) -> Result<Store, StoreError> {
    migrate_requests(path)?;
    let mut conn = open_sqlite(path, Role::Reader)?;
    let found = Tx::new(&mut conn).row::<Text, String>("PRAGMA quick_check(1)", &[])?;
    if found.as_deref() != Some("ok") {
        return Err(StoreError::Unavailable(format!("malformed: {}", found.unwrap_or_default())));
    }
    Store::open_sqlite(path, Role::RecordWriter, SIZES)
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
        records.reopen();
        assert!(records.get().is_ok() && !records.is_lost());
    }

    #[test]
    fn place_that_cannot_be_written_is_no_failure_of_the_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let records = RecordStore::file(folder.path().join("no/such/folder/requests.db"));
        assert!(records.get().is_err() && records.is_lost());
    }
}
