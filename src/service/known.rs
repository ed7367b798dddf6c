//! The directories that this process has read, understood once for every state of their row.
//!
//! Who may do what is read again every few seconds for each token; that the row says the same as before
//! is found by comparing it. Profile, settings and schemas are read anew only when it does not, and all
//! tokens of a directory share them.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::context::Directory;
use crate::store::directory::DirectoryRow;

/// Directories that are remembered.
const MOST: usize = 20_000;

/// What a [`Directory`] is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    kind: String,
    state: String,
    settings: String,
    attribute_map: Option<String>,
    role_map: Option<String>,
    schema_version: i64,
    /// Types of the catalogue that it has values of.
    served: Vec<&'static str>,
}

pub(super) struct KnownDirectories(Cache<i64, Arc<(Source, Arc<Directory>)>>);

impl Default for KnownDirectories {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl KnownDirectories {
    /// The directory of a row, made only if the row is not as it was.
    pub(super) fn of(
        &self,
        row: &DirectoryRow,
        served: &[&'static str],
        make: impl FnOnce() -> Directory,
    ) -> Arc<Directory> {
        let source = Source {
            kind: row.kind.clone(),
            state: row.state.clone(),
            settings: row.settings.clone(),
            attribute_map: row.attribute_map.clone(),
            role_map: row.role_map.clone(),
            schema_version: row.schema_version,
            served: served.to_vec(),
        };
        if let Some(known) = self.0.get(&row.key).filter(|known| known.0 == source) {
            return Arc::clone(&known.1);
        }
        let made = Arc::new(make());
        self.0.insert(row.key, Arc::new((source, Arc::clone(&made))));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::Registry;

    #[test]
    fn directory_is_made_anew_when_its_row_changed() {
        let text = |text: &str| text.to_owned();
        let row = |state: &str, settings: &str, schema_version| DirectoryRow {
            key: 7,
            id: text("directory_1"),
            organization_id: text("org_1"),
            external_key: text("1"),
            name: text("D"),
            kind: text("scim.generic"),
            state: text(state),
            settings: text(settings),
            config: text("{}"),
            created: 0,
            modified: 0,
            last_request: None,
            schema_version,
            policy_cursor: None,
            identities: None,
            primary: false,
            attribute_map: None,
            role_map: None,
            mapping_cursor: None,
        };
        let known = KnownDirectories::default();
        let of = |row: &DirectoryRow, served: &[&'static str]| {
            known.of(row, served, || Directory::from_row(row, Registry::builtin()))
        };
        let first = of(&row("linked", "{}", 0), &[]);
        let seen = DirectoryRow { last_request: Some(9), modified: 9, ..row("linked", "{}", 0) };
        assert!(Arc::ptr_eq(&first, &of(&seen, &[])));
        let mut last = first;
        for (row, served) in [
            (row("paused", "{}", 0), &[][..]),
            (row("paused", "{\"inactive_users\":\"delete\"}", 0), &[]),
            (row("paused", "{\"inactive_users\":\"delete\"}", 1), &[]),
            (row("paused", "{\"inactive_users\":\"delete\"}", 1), &["Role"]),
        ] {
            let next = of(&row, served);
            assert!(!Arc::ptr_eq(&last, &next), "{row:?}");
            assert_eq!(next.schema_version, row.schema_version);
            last = next;
        }
    }
}
