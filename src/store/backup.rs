//! Copies of a SQLite file, and how one takes the place of the file.
//!
//! A copy is made with `VACUUM INTO`: one state of the database, while others write, without its free
//! pages and without a log beside it.

use std::path::{Path, PathBuf};

use diesel::sql_types::{BigInt, Text};

use super::StoreError;
use super::check;
use super::conn::{AnyConn, Role, open_sqlite};
use super::dialect;
use super::sql::{Bind, Tx};

/// About how many bytes a copy will have.
pub fn copy_size(source: &Path) -> Result<u64, StoreError> {
    let mut conn = open_sqlite(source, Role::Reader)?;
    let bytes = Tx::new(&mut conn).row::<BigInt, i64>(
        "SELECT (c.page_count - f.freelist_count) * s.page_size \
         FROM pragma_page_count c, pragma_freelist_count f, pragma_page_size s",
        &[],
    )?;
    Ok(bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0))
}

/// Copies one state of the database into `target`, which is missing or empty.
pub fn copy(source: &Path, target: &Path) -> Result<(), StoreError> {
    let target = target
        .to_str()
        .ok_or_else(|| StoreError::Unavailable("the path of the copy is not UTF-8".to_owned()))?;
    let mut conn = open_sqlite(source, Role::Reader)?;
    Tx::new(&mut conn).execute("VACUUM INTO ?", &[Bind::Text(target)])?;
    Ok(())
}

/// A copy that nobody else uses.
pub struct Copied(AnyConn);

impl Copied {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self(open_sqlite(path, Role::Writer)?))
    }

    /// What keeps it from being used: damage, or tables of a newer version. Older tables are brought
    /// up to date at the next start.
    pub fn faults(&mut self) -> Result<Vec<String>, StoreError> {
        let mut found = check::file(&mut self.0)?;
        if found.is_empty() {
            let versions = dialect::versions(&mut self.0).map_err(StoreError::Unavailable)?;
            found.extend(versions.applied.is_empty().then(|| "it has no tables".to_owned()));
            found.extend(versions.unknown.iter().map(|version| {
                format!("it was made by a newer version of Rollbook (migration {version})")
            }));
        }
        if found.is_empty() {
            found = check::references(&mut self.0)?;
        }
        Ok(found)
    }

    /// A value of the table of settings.
    pub fn note(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        let text = "SELECT value FROM setting WHERE name = ?";
        Tx::new(&mut self.0).row::<Text, String>(text, &[Bind::Text(name)])
    }

    pub fn note_put(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        let text = "INSERT INTO setting (name, value) VALUES (?, ?) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        Tx::new(&mut self.0).execute(text, &[Bind::Text(name), Bind::Text(value)])?;
        Ok(())
    }

    pub fn note_remove(&mut self, name: &str) -> Result<(), StoreError> {
        let text = "DELETE FROM setting WHERE name = ?";
        Tx::new(&mut self.0).execute(text, &[Bind::Text(name)])?;
        Ok(())
    }

    /// Leaves one file with no log beside it.
    pub fn close(mut self) -> Result<(), StoreError> {
        Ok(dialect::run(&mut self.0, "PRAGMA journal_mode = DELETE")?)
    }
}

/// Writes the log of a database that nobody uses into its file and removes it. Fails on a damaged one.
pub fn settle(path: &Path) -> Result<(), StoreError> {
    Copied::open(path)?.close()
}

/// The log of a SQLite file and the index of the log.
pub fn companions(path: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|ending| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    })
}
