//! Directories: the tenant boundary of every SCIM resource.

use diesel::Queryable;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::dialect::Dialect;
use super::sql::{Bind, Sharing, Tx};
use super::{IdRange, StoreError};

#[derive(Clone, Debug, Queryable)]
pub struct DirectoryRow {
    pub key: i64,
    pub id: String,
    pub organization_id: String,
    pub external_key: String,
    pub name: String,
    pub kind: String,
    pub state: String,
    /// JSON object.
    pub settings: String,
    /// JSON object; connector configuration.
    pub config: String,
    pub created: i64,
    pub modified: i64,
    pub last_request: Option<i64>,
    /// Rises with every change of the directory's own schemas; zero when it never had any.
    pub schema_version: i64,
    /// Key of the last user who was brought to changed policies; `None` when all are.
    pub policy_cursor: Option<i64>,
    /// Key of its organization, where that keeps identities.
    pub identities: Option<i64>,
    /// It is the primary directory of its organization.
    pub primary: bool,
    /// JSON object; `None` for none.
    pub attribute_map: Option<String>,
    /// JSON object; `None` for none.
    pub role_map: Option<String>,
    /// Key of the last user who was brought to changed maps; `None` when all are.
    pub mapping_cursor: Option<i64>,
}

type Sql = (
    BigInt,
    Text,
    Text,
    Text,
    Text,
    Text,
    Text,
    Text,
    Text,
    BigInt,
    BigInt,
    Nullable<BigInt>,
    BigInt,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Bool,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<BigInt>,
);

/// A directory as a unit that writes into it finds it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Shared {
    pub state: String,
    pub schema_version: i64,
    /// True while resources are converted to changed schemas.
    pub converting: bool,
    /// JSON object.
    pub settings: String,
    /// Key of the last user who was brought to changed policies; `None` when all are.
    pub policy_cursor: Option<i64>,
    /// True while members of a group of it are changed in several units.
    pub has_intents: bool,
    /// Why its events wait: a word of [`super::brake::Brake`]; `None` while none wait.
    pub brake: Option<String>,
}

/// What a new directory starts with.
#[derive(Clone, Debug)]
pub struct NewDirectory {
    pub organization_key: i64,
    pub id: String,
    pub external_key: String,
    pub name: String,
    pub kind: String,
    pub state: String,
    pub settings: String,
    pub config: String,
    pub now: i64,
}

const COLUMNS: &str = "SELECT d.key, d.id, o.id, d.external_key, d.name, d.kind, d.state, \
     d.settings, d.config, d.created, d.modified, d.last_request, d.schema_version, \
     d.policy_cursor, oi.organization_key, COALESCE(oi.primary_key = d.key, FALSE), \
     d.attribute_map, d.role_map, d.mapping_cursor FROM directory d \
     JOIN organization o ON o.key = d.organization_key \
     LEFT JOIN organization_identity oi ON oi.organization_key = d.organization_key";

impl Tx<'_> {
    pub fn directory_insert(&mut self, new: &NewDirectory) -> Result<i64, StoreError> {
        let key = self.row::<BigInt, i64>(
            "INSERT INTO directory (organization_key, id, external_key, name, kind, state, \
             settings, config, created, modified) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             RETURNING key",
            &[
                Bind::Int(new.organization_key),
                Bind::Text(&new.id),
                Bind::Text(&new.external_key),
                Bind::Text(&new.name),
                Bind::Text(&new.kind),
                Bind::Text(&new.state),
                Bind::Text(&new.settings),
                Bind::Text(&new.config),
                Bind::Int(new.now),
                Bind::Int(new.now),
            ],
        )?;
        key.ok_or(StoreError::MissingReference)
    }

    pub fn directory_get(&mut self, id: &str) -> Result<Option<DirectoryRow>, StoreError> {
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE d.id = ?"), &[Bind::Text(id)])
    }

    pub fn directory_by_key(&mut self, key: i64) -> Result<Option<DirectoryRow>, StoreError> {
        self.row::<Sql, _>(&format!("{COLUMNS} WHERE d.key = ?"), &[Bind::Int(key)])
    }

    /// The directory that a SCIM base URL names.
    pub fn directory_by_external_key(
        &mut self,
        external_key: &str,
    ) -> Result<Option<DirectoryRow>, StoreError> {
        self.row::<Sql, _>(
            &format!("{COLUMNS} WHERE d.external_key = ?"),
            &[Bind::Text(external_key)],
        )
    }

    /// Directories by id: of those organizations, or of all.
    pub fn directory_range(
        &mut self,
        organization_ids: Option<&[String]>,
        range: &IdRange,
    ) -> Result<Vec<DirectoryRow>, StoreError> {
        let (condition, order, beyond) = range.sql("d.id");
        let end = format!("{condition} ORDER BY {order} LIMIT ?");
        let tail = [Bind::Text(beyond), Bind::Int(range.limit)];
        match organization_ids {
            None => self.rows::<Sql, _>(&format!("{COLUMNS} WHERE {end}"), &tail),
            // One organization has the order of the index.
            Some([id]) => {
                let text = format!(
                    "{COLUMNS} WHERE d.organization_key = (SELECT key FROM organization \
                     WHERE id = ?) AND {end}"
                );
                let [beyond, limit] = tail;
                self.rows::<Sql, _>(&text, &[Bind::Text(id), beyond, limit])
            }
            Some(ids) => {
                let columns = COLUMNS.split(" FROM ").next().unwrap_or_default();
                let text = format!(
                    "{columns} FROM {} {} {} LEFT JOIN organization_identity oi \
                     ON oi.organization_key = d.organization_key WHERE {end}",
                    self.dialect.texts(),
                    self.dialect.each("organization", "o", "o.id = j.value"),
                    self.dialect.each("directory", "d", "d.organization_key = o.key")
                );
                let list = serde_json::Value::from(ids).to_string();
                let [beyond, limit] = tail;
                self.rows::<Sql, _>(&text, &[Bind::Owned(list), beyond, limit])
            }
        }
    }

    /// The newest directory of that kind that the organization has and no identity provider has talked
    /// to yet.
    pub fn directory_untouched(
        &mut self,
        organization_key: i64,
        kind: &str,
    ) -> Result<Option<DirectoryRow>, StoreError> {
        let text = format!(
            "{COLUMNS} WHERE d.organization_key = ? AND d.kind = ? AND d.state = 'linked' \
             AND d.last_request IS NULL ORDER BY d.id DESC LIMIT 1"
        );
        self.row::<Sql, _>(&text, &[Bind::Int(organization_key), Bind::Text(kind)])
    }

    /// Keys of an organization's directories that are not being deleted.
    pub fn directory_keys_of(&mut self, organization_key: i64) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT key FROM directory WHERE organization_key = ? AND state <> 'deleting' \
             ORDER BY key",
            &[Bind::Int(organization_key)],
        )
    }

    /// The least key of a directory that is no less.
    pub fn directory_key_from(&mut self, key: i64) -> Result<Option<i64>, StoreError> {
        self.row::<BigInt, i64>(
            "SELECT key FROM directory WHERE key >= ? ORDER BY key LIMIT 1",
            &[Bind::Int(key)],
        )
    }

    /// Keys of directories in that state.
    pub fn directory_keys_in_state(&mut self, state: &str) -> Result<Vec<i64>, StoreError> {
        self.rows::<BigInt, i64>(
            "SELECT key FROM directory WHERE state = ? ORDER BY key",
            &[Bind::Text(state)],
        )
    }

    pub fn directory_update(
        &mut self,
        key: i64,
        name: &str,
        state: &str,
        settings: &str,
        config: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory SET name = ?, state = ?, settings = ?, config = ?, modified = ? \
             WHERE key = ?",
            &[
                Bind::Text(name),
                Bind::Text(state),
                Bind::Text(settings),
                Bind::Text(config),
                Bind::Int(now),
                Bind::Int(key),
            ],
        )?;
        Ok(())
    }

    /// Makes units that were computed by the rules before be refused: they go by the version that
    /// they have seen. The unit has excluded every writer.
    pub fn directory_rules_changed(&mut self, key: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory SET schema_version = schema_version + 1 WHERE key = ?",
            &[Bind::Int(key)],
        )?;
        Ok(())
    }

    /// Takes the directory for this unit: `None` when it is gone or being deleted. Writers share
    /// it; [`Tx::directory_lock_exclusive`] excludes them.
    pub fn directory_share(&mut self, key: i64) -> Result<Option<Shared>, StoreError> {
        let text = self.dialect.pick(
            "SELECT state, schema_version, converting, settings, policy_cursor, \
             EXISTS (SELECT 1 FROM member_intent i WHERE i.directory_key = directory.key), brake \
             FROM directory WHERE key = ?",
            "SELECT state, schema_version, converting, settings, policy_cursor, \
             EXISTS (SELECT 1 FROM member_intent i WHERE i.directory_key = directory.key), brake \
             FROM directory WHERE key = ? AND pg_advisory_xact_lock_shared(hashtext('directory'), \
             CAST(? % 2147483647 AS INTEGER)) IS NOT NULL FOR KEY SHARE",
        );
        if (self.dialect, self.sharing) == (Dialect::Postgres, Sharing::Alone) {
            self.directory_lock_exclusive(key)?;
        }
        let mut binds = vec![Bind::Int(key)];
        binds.extend(self.queue_bind(key));
        type Sql = (Text, BigInt, Bool, Text, Nullable<BigInt>, Bool, Nullable<Text>);
        let shared = self.row::<Sql, Shared>(text, &binds)?;
        self.hold(key, shared.as_ref().is_some_and(|shared| shared.brake.is_some()));
        Ok(shared)
    }

    /// Waits for every unit that writes into the directory and keeps new ones out.
    ///
    /// PostgreSQL lets sharers of a row pass whoever waits to have it alone, who may wait for ever.
    /// Advisory locks are given in turn, so one stands before the row, here and in
    /// [`Tx::directory_share`], in the same statement. It is the first lock of every unit. The row is
    /// locked as well: inserts that refer to it share it alone, and a waiter then reads it as it is
    /// after the wait.
    pub fn directory_lock_exclusive(&mut self, key: i64) -> Result<Option<String>, StoreError> {
        let text = self.dialect.pick(
            "SELECT state, brake FROM directory WHERE key = ?",
            "SELECT state, brake FROM directory WHERE key = ? \
             AND pg_advisory_xact_lock(hashtext('directory'), \
             CAST(? % 2147483647 AS INTEGER)) IS NOT NULL FOR UPDATE",
        );
        let mut binds = vec![Bind::Int(key)];
        binds.extend(self.queue_bind(key));
        let found = self.row::<(Text, Nullable<Text>), (String, Option<String>)>(text, &binds)?;
        self.hold(key, matches!(found, Some((_, Some(_)))));
        Ok(found.map(|(state, _)| state))
    }

    /// Goes on only in a unit that has its directory for itself. Another one runs again from its beginning
    /// and takes it so: who asks for it while others share it, and wait for what it has locked, would wait
    /// for ever. Units of SQLite are alone anyway.
    pub fn directory_alone(&mut self) -> Result<(), StoreError> {
        match (self.dialect, self.sharing) {
            (Dialect::Postgres, Sharing::Shared) => Err(StoreError::WantsAlone),
            _ => Ok(()),
        }
    }

    /// What the advisory lock of a directory is bound to, where there is one.
    fn queue_bind(&self, key: i64) -> Option<Bind<'static>> {
        (self.dialect == Dialect::Postgres).then_some(Bind::Int(key))
    }

    /// Notes when the directory was last talked to, and the longest time that it was not.
    pub fn directory_seen(&mut self, key: i64, now: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory SET longest_silence = CASE WHEN ? - last_request > longest_silence \
             THEN ? - last_request ELSE longest_silence END, last_request = ? WHERE key = ?",
            &[Bind::Int(now), Bind::Int(now), Bind::Int(now), Bind::Int(key)],
        )?;
        Ok(())
    }

    /// Removes up to `limit` rows of a directory that is being deleted; answers how many were
    /// removed. Zero means that only the directory itself is left.
    pub fn directory_purge(&mut self, key: i64, limit: i64) -> Result<usize, StoreError> {
        const TABLES: [(&str, &str); 35] = [
            ("sync_change", "run_id, number"),
            ("sync_file", "name, part"),
            ("sync_digest", "resource_key"),
            ("handed_over", "resource_key"),
            ("sync_run", "id"),
            ("sync_directory", "directory_key"),
            ("identity_walk", "directory_key"),
            ("identity_move", "user_id, suggestion_id"),
            ("identity_suggestion", "user_id, identity_key"),
            ("identity_account", "user_id"),
            ("identity_past", "user_id"),
            ("directory_client", "directory_key"),
            ("role_work", "kind, target_key"),
            ("member_intent_part", "group_key, part"),
            ("member_intent", "group_key"),
            ("member", "group_key, member_key"),
            ("member_pending", "group_key, value"),
            ("resource_unique", "scope, key"),
            ("resource_attr", "path_id, key, resource_key, ordinal"),
            ("resource", "key"),
            ("departed_user", "id"),
            // After the tables whose triggers fill it.
            ("app_count", "slot"),
            ("resource_count", "resource_type, active, slot"),
            ("directory_token", "id"),
            ("oauth_jti", "client_id, jti"),
            ("oauth_client", "id"),
            ("directory_schema", "directory_key"),
            ("async_result", "request_id, operation"),
            ("async_request", "id"),
            ("event_held", "key"),
            ("brake_member", "group_id, member_id"),
            ("brake_note", "what, id"),
            ("brake_count", "minute, slot"),
            ("brake_account", "user_id"),
            ("alarm", "id"),
        ];
        for (table, columns) in TABLES {
            let text = format!(
                "DELETE FROM {table} WHERE directory_key = ? AND ({columns}) IN \
                 (SELECT {columns} FROM {table} WHERE directory_key = ? LIMIT ?)"
            );
            let binds = [Bind::Int(key), Bind::Int(key), Bind::Int(limit)];
            let removed = self.execute(&text, &binds)?;
            if removed > 0 {
                return Ok(removed);
            }
        }
        Ok(0)
    }

    /// Removes the row; whose its events are stays known.
    pub fn directory_delete(&mut self, key: i64) -> Result<(), StoreError> {
        self.directory_past_insert(key)?;
        self.execute("DELETE FROM directory WHERE key = ?", &[Bind::Int(key)])?;
        Ok(())
    }
}
