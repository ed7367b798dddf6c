//! Resources: one row each, with its keys, its index entries and the running totals.

use std::collections::{HashMap, HashSet};

use diesel::Queryable;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::StoreError;
use super::sql::{Bind, Insert, Tx};
use crate::scim::resource::{AttributeKey, Columns};

/// What the app has been told of a user. Resources of other types are always active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppState {
    Active,
    Inactive,
    /// Nothing, or that it was deleted.
    Hidden,
}

impl AppState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Hidden => "hidden",
        }
    }

    pub fn is_visible(self) -> bool {
        self != Self::Hidden
    }
}

impl From<String> for AppState {
    /// The database holds no other words.
    fn from(word: String) -> Self {
        match word.as_str() {
            "active" => Self::Active,
            "inactive" => Self::Inactive,
            _ => Self::Hidden,
        }
    }
}

/// A resource as it is stored. `doc` is canonical JSON without `meta`, `groups` and `members`.
#[derive(Clone, Debug, Queryable)]
pub struct ResourceRow {
    pub key: i64,
    pub id: String,
    pub resource_type: String,
    pub active: bool,
    pub doc: String,
    pub extra: Option<String>,
    pub version: i64,
    pub created: i64,
    pub modified: i64,
    #[diesel(deserialize_as = String)]
    pub app_state: AppState,
    /// The app was told that the user is inactive because no group has it.
    pub suspended: bool,
    /// The filter of a directory that is pushed does not let the user in: the app sees it as inactive.
    pub excluded: bool,
    /// When the last direct membership ended, while the directory suspends such users.
    pub groupless_since: Option<i64>,
    /// JSON object of what the attribute map of the directory makes of a user; `None` for nothing.
    pub custom_attributes: Option<String>,
    /// JSON array of role slugs, the highest first; `None` for none.
    pub roles: Option<String>,
}

pub(super) type ResourceSql = (
    BigInt,
    Text,
    Text,
    Bool,
    Text,
    Nullable<Text>,
    BigInt,
    BigInt,
    BigInt,
    Text,
    Bool,
    Bool,
    Nullable<BigInt>,
    Nullable<Text>,
    Nullable<Text>,
);

/// The columns of [`ResourceRow`] for an alias `r`.
pub(super) const RESOURCE_COLUMNS: &str = "r.key, r.id, r.resource_type, r.active, r.doc, r.extra, r.version, r.created, r.modified, \
     r.app_state, r.suspended, r.excluded, r.groupless_since, r.custom_attributes, r.roles";

/// Resources of a directory that a list names by key or by id, and those of them that are users; the value
/// is the directory. That they are users is asked of the rows, and of no index, as with
/// [`super::dialect::Dialect::unindexed`].
pub(super) const IS_RESOURCE: &str = "r.key = j.value AND r.directory_key = ?";
pub(super) const IS_NAMED: &str = "r.id = j.value AND r.directory_key = ?";
pub(super) const IS_USER: &str =
    "r.key = j.value AND r.directory_key = ? AND r.resource_type || '' = 'User'";

/// The resource of a row `f`.
pub(super) const IS_FOUND: &str = "r.directory_key = f.directory_key AND r.key = f.key";

/// What is written of a resource.
#[derive(Clone, Debug)]
pub struct ResourceContent {
    pub columns: Columns,
    /// What member and group lists show.
    pub display: Option<String>,
    pub doc: String,
    pub extra: Option<String>,
    pub mapped: Mapped,
}

/// What the maps of the directory make of a user; nothing of other resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    /// JSON object.
    pub custom_attributes: Option<String>,
    /// JSON object: what is missing or has failed, by attribute.
    pub faults: Option<String>,
    /// JSON array of slugs, the highest first. In [`ResourceContent`] those of a user in no group.
    pub roles: Option<String>,
    /// Whether the filter keeps the user from the app; `None` where nobody was asked, or it has failed.
    pub excluded: Option<bool>,
}

/// What is written of the app's side of a resource beside what follows from its content.
#[derive(Clone, Copy, Debug)]
pub struct AppSide<'s> {
    pub state: AppState,
    /// JSON array of slugs.
    pub roles: Option<&'s str>,
    pub excluded: bool,
}

/// A new row.
#[derive(Clone, Copy, Debug)]
pub struct NewRow<'n> {
    pub resource_type: &'n str,
    pub id: &'n str,
    pub content: &'n ResourceContent,
    pub app_state: AppState,
    /// When it is created, in milliseconds since 1970.
    pub now: i64,
}

impl Tx<'_> {
    pub fn resource_get(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        id: &str,
    ) -> Result<Option<ResourceRow>, StoreError> {
        let whose = self.dialect.whose("r.directory_key");
        self.row::<ResourceSql, _>(
            &format!(
                "SELECT {RESOURCE_COLUMNS} FROM resource r WHERE r.id = ? AND {whose} \
                 AND r.resource_type || '' = ?"
            ),
            &[Bind::Text(id), Bind::Int(directory_key), Bind::Text(resource_type)],
        )
    }

    /// Like [`Tx::resource_get`], and keeps other units from changing the row until this one ends.
    pub fn resource_lock(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        id: &str,
    ) -> Result<Option<ResourceRow>, StoreError> {
        let text = self.dialect.pick(
            "SELECT r.key, r.id, r.resource_type, r.active, r.doc, r.extra, r.version, r.created, \
             r.modified, r.app_state, r.suspended, r.excluded, r.groupless_since, r.custom_attributes, r.roles FROM resource r WHERE r.id = ? AND r.directory_key = ? \
             AND r.resource_type || '' = ?",
            "SELECT r.key, r.id, r.resource_type, r.active, r.doc, r.extra, r.version, r.created, \
             r.modified, r.app_state, r.suspended, r.excluded, r.groupless_since, r.custom_attributes, r.roles FROM resource r WHERE r.id = ? AND r.directory_key = ? \
             AND r.resource_type || '' = ? FOR NO KEY UPDATE",
        );
        self.row::<ResourceSql, _>(
            text,
            &[Bind::Text(id), Bind::Int(directory_key), Bind::Text(resource_type)],
        )
    }

    /// Locks a row against every other unit, also those that only refer to it: before a DELETE.
    pub fn resource_lock_for_delete(
        &mut self,
        directory_key: i64,
        key: i64,
    ) -> Result<bool, StoreError> {
        let text = self.dialect.pick(
            "SELECT key FROM resource WHERE directory_key = ? AND key = ?",
            "SELECT key FROM resource WHERE directory_key = ? AND key = ? FOR UPDATE",
        );
        let found = self.row::<BigInt, i64>(text, &[Bind::Int(directory_key), Bind::Int(key)])?;
        Ok(found.is_some())
    }

    /// Inserts the rows and answers their keys, in the same order. A taken userName is
    /// [`StoreError::Unique`].
    pub fn resources_insert(
        &mut self,
        directory_key: i64,
        new: &[NewRow<'_>],
    ) -> Result<Vec<i64>, StoreError> {
        let insert = Insert {
            into: "INSERT INTO resource (directory_key, id, resource_type, user_name_key, \
                   display_key, display, external_id, active, doc, extra, version, created, \
                   modified, app_state, custom_attributes, attribute_faults, roles)",
            row: "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?)",
            then: "RETURNING key, id",
        };
        let binds = new.iter().flat_map(|row| {
            let (content, columns) = (row.content, &row.content.columns);
            [
                Bind::Int(directory_key),
                Bind::Text(row.id),
                Bind::Text(row.resource_type),
                Bind::OptText(columns.user_name_key.as_deref()),
                Bind::OptText(columns.display_key.as_deref()),
                Bind::OptText(content.display.as_deref()),
                Bind::OptText(columns.external_id.as_deref()),
                Bind::Bool(columns.active),
                Bind::Text(&content.doc),
                Bind::OptText(content.extra.as_deref()),
                Bind::Int(row.now),
                Bind::Int(row.now),
                Bind::Text(row.app_state.as_str()),
                Bind::OptText(content.mapped.custom_attributes.as_deref()),
                Bind::OptText(content.mapped.faults.as_deref()),
                Bind::OptText(content.mapped.roles.as_deref()),
            ]
        });
        let binds: Vec<Bind<'_>> = binds.collect();
        let inserted = self.insert_returning::<(BigInt, Text), (i64, String)>(insert, &binds)?;
        let by_id: HashMap<&str, i64> = inserted.iter().map(|(key, id)| (&**id, *key)).collect();
        let keys = new.iter().map(|row| by_id.get(row.id).copied());
        keys.collect::<Option<Vec<i64>>>().ok_or(StoreError::MissingReference)
    }

    /// Writes new content if the row still has the version that it was computed from; false if not.
    pub fn resource_update(
        &mut self,
        directory_key: i64,
        key: i64,
        from_version: i64,
        content: &ResourceContent,
        app: AppSide<'_>,
        now: i64,
    ) -> Result<bool, StoreError> {
        let columns = &content.columns;
        let changed = self.execute(
            "UPDATE resource SET user_name_key = ?, display_key = ?, display = ?, \
             external_id = ?, active = ?, doc = ?, extra = ?, version = version + 1, \
             modified = ?, app_state = ?, custom_attributes = ?, attribute_faults = ?, roles = ?, \
             excluded = ? WHERE directory_key = ? AND key = ? AND version = ?",
            &[
                Bind::OptText(columns.user_name_key.as_deref()),
                Bind::OptText(columns.display_key.as_deref()),
                Bind::OptText(content.display.as_deref()),
                Bind::OptText(columns.external_id.as_deref()),
                Bind::Bool(columns.active),
                Bind::Text(&content.doc),
                Bind::OptText(content.extra.as_deref()),
                Bind::Int(now),
                Bind::Text(app.state.as_str()),
                Bind::OptText(content.mapped.custom_attributes.as_deref()),
                Bind::OptText(content.mapped.faults.as_deref()),
                Bind::OptText(app.roles),
                Bind::Bool(app.excluded),
                Bind::Int(directory_key),
                Bind::Int(key),
                Bind::Int(from_version),
            ],
        )?;
        Ok(changed == 1)
    }

    /// Moves the version of a row whose members changed; the unit has locked the row.
    pub fn resource_touch(
        &mut self,
        directory_key: i64,
        key: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE resource SET version = version + 1, \
             modified = CASE WHEN modified > ? THEN modified ELSE ? END \
             WHERE directory_key = ? AND key = ?",
            &[Bind::Int(now), Bind::Int(now), Bind::Int(directory_key), Bind::Int(key)],
        )?;
        Ok(())
    }

    pub fn resource_delete(&mut self, directory_key: i64, key: i64) -> Result<(), StoreError> {
        let binds = [Bind::Int(directory_key), Bind::Int(key)];
        self.execute(
            "DELETE FROM resource_unique WHERE directory_key = ? AND resource_key = ?",
            &binds,
        )?;
        self.execute("DELETE FROM resource WHERE directory_key = ? AND key = ?", &binds)?;
        Ok(())
    }

    /// Rows by key, in no order; keys that are gone are missing.
    pub fn resource_rows(
        &mut self,
        directory_key: i64,
        keys: &[i64],
    ) -> Result<Vec<ResourceRow>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let resources = self.dialect.each("resource", "r", IS_RESOURCE);
        let text = format!("SELECT {RESOURCE_COLUMNS} FROM {} {resources}", self.dialect.keys());
        self.rows::<ResourceSql, _>(&text, &[Bind::Owned(key_list(keys)), Bind::Int(directory_key)])
    }

    /// What lists show of a resource; `None` when there is no such one.
    pub fn resource_display(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        id: &str,
    ) -> Result<Option<Option<String>>, StoreError> {
        let whose = self.dialect.whose("directory_key");
        self.row::<Nullable<Text>, _>(
            &format!(
                "SELECT display FROM resource WHERE id = ? AND {whose} AND resource_type || '' = ?"
            ),
            &[Bind::Text(id), Bind::Int(directory_key), Bind::Text(resource_type)],
        )
    }

    /// Replaces the index entries that changed.
    pub fn attribute_keys_change(
        &mut self,
        directory_key: i64,
        resource_key: i64,
        old: &[AttributeKey],
        new: &[AttributeKey],
    ) -> Result<(), StoreError> {
        let (before, after): (HashSet<_>, HashSet<_>) =
            (old.iter().collect(), new.iter().collect());
        for gone in old.iter().filter(|entry| !after.contains(entry)) {
            self.execute(
                "DELETE FROM resource_attr WHERE directory_key = ? AND path_id = ? AND key = ? \
                 AND resource_key = ? AND ordinal = ?",
                &[
                    Bind::Int(directory_key),
                    Bind::Small(gone.path_id),
                    Bind::Text(&gone.key),
                    Bind::Int(resource_key),
                    Bind::Small(gone.ordinal),
                ],
            )?;
        }
        let added = new.iter().filter(|entry| !before.contains(entry));
        self.attribute_keys_add(directory_key, added.map(|entry| (resource_key, entry)))
    }

    /// Adds index entries, each of the resource with that key.
    pub fn attribute_keys_add<'e>(
        &mut self,
        directory_key: i64,
        entries: impl Iterator<Item = (i64, &'e AttributeKey)>,
    ) -> Result<(), StoreError> {
        // SQLite keeps no copies of the pages for a statement that cannot fail half done, which
        // `ON CONFLICT` could: a column that must not be null has no such clause.
        let into = self.dialect.pick(
            "INSERT OR IGNORE INTO resource_attr (directory_key, path_id, key, resource_key, ordinal)",
            "INSERT INTO resource_attr (directory_key, path_id, key, resource_key, ordinal)",
        );
        let then = self.dialect.pick("", "ON CONFLICT DO NOTHING");
        let insert = Insert { into, row: "(?, ?, ?, ?, ?)", then };
        // In the order of the index: what is written next to each other is found at once.
        let mut entries: Vec<(i64, &AttributeKey)> = entries.collect();
        entries.sort_unstable_by_key(|(_, entry)| (entry.path_id, entry.key.as_str()));
        let binds = entries.into_iter().flat_map(|(resource_key, entry)| {
            [
                Bind::Int(directory_key),
                Bind::Small(entry.path_id),
                Bind::Text(&entry.key),
                Bind::Int(resource_key),
                Bind::Small(entry.ordinal),
            ]
        });
        self.insert(insert, &binds.collect::<Vec<_>>())
    }

    /// Keys of the resources that have exactly that index entry.
    pub fn attribute_holders(
        &mut self,
        directory_key: i64,
        path_id: i32,
        key: &str,
    ) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT DISTINCT resource_key FROM resource_attr WHERE directory_key = ? \
             AND path_id = ? AND key = ? ORDER BY resource_key",
            &[Bind::Int(directory_key), Bind::Small(path_id), Bind::Text(key)],
        )
    }

    /// Claims a value that must be unique in its scope; a taken one is [`StoreError::Unique`].
    pub fn unique_claim(
        &mut self,
        directory_key: i64,
        scope: &str,
        key: &str,
        resource_key: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO resource_unique (directory_key, scope, key, resource_key) \
             VALUES (?, ?, ?, ?)",
            &[
                Bind::Int(directory_key),
                Bind::Text(scope),
                Bind::Text(key),
                Bind::Int(resource_key),
            ],
        )?;
        Ok(())
    }

    /// Gives up a value that the resource holds.
    pub fn unique_release(
        &mut self,
        directory_key: i64,
        scope: &str,
        key: &str,
        resource_key: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM resource_unique WHERE directory_key = ? AND scope = ? AND key = ? \
             AND resource_key = ?",
            &[
                Bind::Int(directory_key),
                Bind::Text(scope),
                Bind::Text(key),
                Bind::Int(resource_key),
            ],
        )?;
        Ok(())
    }

    /// Claims the name of every group anew; answers names that several groups have, for which the
    /// rule cannot hold. The unit has excluded every writer.
    pub fn unique_claim_group_names(
        &mut self,
        directory_key: i64,
        scope: &str,
    ) -> Result<Vec<String>, StoreError> {
        self.execute(
            "DELETE FROM resource_unique WHERE directory_key = ? AND scope = ?",
            &[Bind::Int(directory_key), Bind::Text(scope)],
        )?;
        let twice = self.rows::<Text, String>(
            "SELECT display_key FROM resource WHERE directory_key = ? \
             AND resource_type = 'Group' AND display_key IS NOT NULL \
             GROUP BY display_key HAVING COUNT(*) > 1 ORDER BY display_key LIMIT 20",
            &[Bind::Int(directory_key)],
        )?;
        if twice.is_empty() {
            self.execute(
                "INSERT INTO resource_unique (directory_key, scope, key, resource_key) \
                 SELECT directory_key, ?, display_key, key FROM resource \
                 WHERE directory_key = ? AND resource_type = 'Group' \
                 AND display_key IS NOT NULL",
                &[Bind::Text(scope), Bind::Int(directory_key)],
            )?;
        }
        Ok(twice)
    }

    /// Claims every externalId anew, for each resource type by itself, with `scope` in front of its
    /// name; answers (type, externalId) that several resources have, for which the rule cannot hold.
    /// The unit has excluded every writer.
    pub fn unique_claim_external_ids(
        &mut self,
        directory_key: i64,
        scope: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.execute(
            "DELETE FROM resource_unique WHERE directory_key = ? AND scope IN \
             (SELECT CAST(? AS TEXT) || resource_type FROM resource_count \
             WHERE directory_key = ?)",
            &[Bind::Int(directory_key), Bind::Text(scope), Bind::Int(directory_key)],
        )?;
        let twice = self.rows::<(Text, Text), (String, String)>(
            "SELECT resource_type, external_id FROM resource WHERE directory_key = ? \
             AND external_id <> '' GROUP BY resource_type, external_id HAVING COUNT(*) > 1 \
             ORDER BY resource_type, external_id LIMIT 20",
            &[Bind::Int(directory_key)],
        )?;
        if twice.is_empty() {
            self.execute(
                "INSERT INTO resource_unique (directory_key, scope, key, resource_key) \
                 SELECT directory_key, CAST(? AS TEXT) || resource_type, external_id, key \
                 FROM resource WHERE directory_key = ? AND external_id <> ''",
                &[Bind::Text(scope), Bind::Int(directory_key)],
            )?;
        }
        Ok(twice)
    }

    /// Adds to the running total. On PostgreSQL a connection keeps to one of 32 rows, so that units seldom
    /// wait for another's commit; a unit that locked several, each in its own order, would meet deadlocks.
    /// Connections whose numbers meet share a row: units that count several types there may still meet
    /// one, and are run again.
    pub fn count_add(
        &mut self,
        directory_key: i64,
        resource_type: &str,
        active: bool,
        delta: i64,
    ) -> Result<(), StoreError> {
        let text = self.dialect.pick(
            "INSERT INTO resource_count (directory_key, resource_type, active, slot, n) \
             VALUES (?, ?, ?, 0, ?) ON CONFLICT (directory_key, resource_type, active, slot) \
             DO UPDATE SET n = resource_count.n + excluded.n",
            "INSERT INTO resource_count (directory_key, resource_type, active, slot, n) \
             VALUES (?, ?, ?, pg_backend_pid() % 32, ?) \
             ON CONFLICT (directory_key, resource_type, active, slot) \
             DO UPDATE SET n = resource_count.n + excluded.n",
        );
        self.execute(
            text,
            &[
                Bind::Int(directory_key),
                Bind::Text(resource_type),
                Bind::Bool(active),
                Bind::Int(delta),
            ],
        )?;
        Ok(())
    }

    /// The running total of a type.
    pub fn count_total(
        &mut self,
        directory_key: i64,
        resource_type: &str,
    ) -> Result<i64, StoreError> {
        let total = self.row::<BigInt, i64>(
            "SELECT CAST(COALESCE(SUM(n), 0) AS BIGINT) FROM resource_count \
             WHERE directory_key = ? AND resource_type = ?",
            &[Bind::Int(directory_key), Bind::Text(resource_type)],
        )?;
        Ok(total.unwrap_or(0))
    }
}

/// Keys as a JSON array: one value for a statement whose text does not depend on their number.
pub(super) fn key_list(keys: &[i64]) -> String {
    let mut text = String::with_capacity(keys.len() * 8 + 2);
    text.push('[');
    for (index, key) in keys.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&key.to_string());
    }
    text.push(']');
    text
}
