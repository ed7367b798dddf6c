//! Another secret key for an installation, without losing what the one before has sealed.
//!
//! A process has several keys meanwhile: the first seals, all open. A rotation seals everything again with
//! the first, a page of rows in a unit. Sealed text names its key, so whoever goes on after a crash finds
//! what is left by looking, and a row that somebody else has changed meanwhile stays as it is. When a walk
//! over all columns finds nothing any more, the database asks for no other key.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::audit::{Entry, Target, action};
use super::error::AdminError;
use super::{ApiAccess, Service, ServiceError};
use crate::auth::{Seal, SecretKey, key_id};
use crate::scim::key::instant_text;
use crate::store::sealed::{SEALED_COLUMNS, SealedColumn, SealedRow};
use crate::store::{StoreError, Tx};

/// The setting with the check values of the keys that texts of the database are sealed with, the one that
/// seals first.
pub(crate) const SECRET_KEY_CHECK: &str = "secret_key_check";

/// The setting that says how far a rotation is.
const ROTATION: &str = "secret_key_rotation";

/// So long after its last word a rotation has been cut off, in milliseconds.
const CUT_OFF_MS: i64 = 60_000;

/// Walks over all columns: what others seal meanwhile is found by the next one.
const WALKS: usize = 5;

/// The keys of this process.
pub struct SecretKeys {
    /// By purpose.
    seals: BTreeMap<&'static str, Seal>,
    checks: Vec<String>,
    /// Whether this process seals anew.
    runs: AtomicBool,
}

impl SecretKeys {
    pub(super) fn new(key: &SecretKey) -> Self {
        let purposes = SEALED_COLUMNS.iter().map(|column| column.purpose);
        Self {
            seals: purposes.map(|purpose| (purpose, key.seal(purpose))).collect(),
            checks: key.check_values(),
            runs: AtomicBool::new(false),
        }
    }

    fn current(&self) -> String {
        self.checks.first().map(|check| key_id(check)).unwrap_or_default()
    }
}

/// How far a rotation is, as it is stored. Times are milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Rotation {
    /// `running`, `completed` or `failed`.
    state: String,
    /// The key that seals.
    key: String,
    started: i64,
    updated: i64,
    finished: Option<i64>,
    /// Texts that were sealed again, by what they are.
    sealed: BTreeMap<String, u64>,
    /// Texts that no key opens, in the last walk.
    unreadable: BTreeMap<String, u64>,
    error: Option<String>,
}

impl Rotation {
    fn is_running(&self, now: i64) -> bool {
        self.state == "running" && now - self.updated < CUT_OFF_MS
    }

    fn shown(&self, now: i64) -> Value {
        let cut_off = self.state == "running" && !self.is_running(now);
        json!({
            "state": if cut_off { "interrupted" } else { self.state.as_str() },
            "key": self.key,
            "started_at": instant_text(self.started),
            "finished_at": self.finished.map(instant_text),
            "sealed": self.sealed,
            "unreadable": self.unreadable,
            "error": self.error,
        })
    }
}

/// What a database knows of the keys of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCheck {
    Known,
    /// Texts are sealed with a key that the process does not have.
    Unknown,
}

/// Notes the key that seals, if the process has every key that the database needs.
pub fn check_keys(tx: &mut Tx<'_>, checks: &[String]) -> Result<KeyCheck, StoreError> {
    let Some(first) = checks.first() else { return Ok(KeyCheck::Unknown) };
    let known = tx.setting_put_once(SECRET_KEY_CHECK, first)?;
    let known: Vec<&str> = known.split_whitespace().collect();
    if !known.iter().all(|known| checks.iter().any(|check| check == known)) {
        return Ok(KeyCheck::Unknown);
    }
    if !known.contains(&first.as_str()) {
        let all = [&[first.as_str()], known.as_slice()].concat().join(" ");
        tx.setting_put(SECRET_KEY_CHECK, &all)?;
    }
    Ok(KeyCheck::Known)
}

fn refuse_limited(access: &ApiAccess) -> Result<(), AdminError> {
    let message =
        "This API key is limited to certain organizations and cannot manage the secret key.";
    match access.organization_ids {
        None => Ok(()),
        Some(_) => Err(AdminError::new(403, "forbidden", message)),
    }
}

impl Service {
    /// The keys of this process by name, those that the database needs, and the last rotation.
    pub async fn secret_key_status(&self, access: &ApiAccess) -> Result<Value, ServiceError> {
        refuse_limited(access)?;
        let (now, keys) = (self.clock.now_ms(), &self.secret_keys);
        let read: Result<_, StoreError> = self
            .store
            .read("secret_key_status", |tx| {
                Ok((tx.setting_get(SECRET_KEY_CHECK)?, tx.setting_get(ROTATION)?))
            })
            .await;
        let (needed, rotation) = read?;
        let rotation = rotation.and_then(|text| serde_json::from_str::<Rotation>(&text).ok());
        let needed = needed.unwrap_or_default();
        Ok(json!({
            "current": keys.current(),
            "others": keys.checks.iter().skip(1).map(|check| key_id(check)).collect::<Vec<_>>(),
            "needed": needed.split_whitespace().map(key_id).collect::<Vec<_>>(),
            "rotation": rotation.map(|rotation| rotation.shown(now)),
        }))
    }

    /// Begins to seal everything again with the key that seals; answers the status.
    pub async fn secret_key_rotate(
        self: &Arc<Self>,
        access: &ApiAccess,
    ) -> Result<Value, ServiceError> {
        refuse_limited(access)?;
        let audit = self.audit(access, action::SECRET_KEY_ROTATED);
        if !self.begin_rotation(Some(audit)).await? {
            let message = "Everything is being sealed again already; wait for its end.";
            return Err(AdminError::new(409, "rotation_in_progress", message).into());
        }
        self.secret_key_status(access).await
    }

    /// Goes on with a rotation that was cut off.
    pub async fn resume_rotation(self: &Arc<Self>) -> Result<(), ServiceError> {
        self.begin_rotation(None).await.map(drop)
    }

    /// Starts a rotation unless one runs: where somebody asks for it, any; else one that was cut off.
    async fn begin_rotation(self: &Arc<Self>, audit: Option<Entry>) -> Result<bool, ServiceError> {
        let (now, current) = (self.clock.now_ms(), self.secret_keys.current());
        if self.secret_keys.runs.swap(true, Ordering::AcqRel) {
            return Ok(false);
        }
        let begun: Result<Option<Rotation>, StoreError> = self
            .store
            .write("secret_key_rotate", move |tx| {
                let last = tx.setting_get(ROTATION)?;
                let last = last.and_then(|text| serde_json::from_str::<Rotation>(&text).ok());
                let is_cut_off = last.as_ref().is_some_and(|last| {
                    last.state == "running" && last.key == current && !last.is_running(now)
                });
                if last.as_ref().is_some_and(|last| last.is_running(now))
                    || (audit.is_none() && !is_cut_off)
                {
                    return Ok(None);
                }
                let rotation = match last.filter(|_| is_cut_off) {
                    Some(last) => Rotation { updated: now, ..last },
                    None => Rotation {
                        state: "running".to_owned(),
                        key: current.clone(),
                        started: now,
                        updated: now,
                        ..Rotation::default()
                    },
                };
                tx.setting_put(ROTATION, &json!(rotation).to_string())?;
                if let Some(audit) = &audit {
                    let target = Target::of_server(&rotation.key, None);
                    audit.write(tx, target, Value::Null, json!({"key": rotation.key}))?;
                }
                Ok(Some(rotation))
            })
            .await;
        let Ok(Some(rotation)) = begun else {
            self.secret_keys.runs.store(false, Ordering::Release);
            return begun.map(|_| false).map_err(ServiceError::from);
        };
        tracing::info!(key = rotation.key, "everything is sealed again with another secret key");
        let service = Arc::clone(self);
        tokio::spawn(async move {
            service.rotate(rotation).await;
            service.secret_keys.runs.store(false, Ordering::Release);
        });
        Ok(true)
    }

    async fn rotate(&self, mut rotation: Rotation) {
        let walked = self.seal_all(&mut rotation).await;
        if matches!(walked, Ok(Walked::Stopped)) {
            return;
        }
        let error = match walked {
            Ok(Walked::Everything | Walked::Stopped) => None,
            Ok(Walked::TooOften) => Some(
                "other processes still seal with another key: start all of them with the new key \
                 first, then rotate again"
                    .to_owned(),
            ),
            Err(error) => Some(error.to_string()),
        };
        rotation.state = if error.is_none() { "completed" } else { "failed" }.to_owned();
        rotation.finished = Some(self.clock.now_ms());
        rotation.error = error;
        if let Some(error) = &rotation.error {
            tracing::error!(error, "not everything is sealed with the new secret key");
        }
        let check = self.secret_keys.checks.first().cloned().unwrap_or_default();
        let ended: Result<(), StoreError> = self
            .store
            .write("secret_key_rotated", move |tx| {
                if rotation.error.is_none() {
                    tx.setting_put(SECRET_KEY_CHECK, &check)?;
                }
                tx.setting_put(ROTATION, &json!(rotation).to_string())
            })
            .await;
        if let Err(error) = ended {
            tracing::error!(%error, "the end of a rotation of the secret key is not noted");
        }
    }

    /// Walks over all columns until there is nothing to do.
    async fn seal_all(&self, rotation: &mut Rotation) -> Result<Walked, ServiceError> {
        for _ in 0..WALKS {
            rotation.unreadable.clear();
            let mut sealed = 0;
            for column in &SEALED_COLUMNS {
                match self.reseal(column, rotation).await? {
                    Some(count) => sealed += count,
                    None => return Ok(Walked::Stopped),
                }
            }
            if sealed == 0 {
                return Ok(Walked::Everything);
            }
        }
        Ok(Walked::TooOften)
    }

    /// Seals the texts of a column again; answers how many, `None` when the server stops.
    async fn reseal(
        &self,
        column: &'static SealedColumn,
        rotation: &mut Rotation,
    ) -> Result<Option<u64>, ServiceError> {
        let Some(seal) = self.secret_keys.seals.get(column.purpose) else { return Ok(Some(0)) };
        let store = match column.is_record {
            true => self.records.database()?,
            false => self.store.clone(),
        };
        let (mut after, mut sealed): (Option<SealedRow>, u64) = (None, 0);
        let mut directories = HashMap::new();
        loop {
            if self.event_log.is_closing() {
                return Ok(None);
            }
            let (prefix, from) = (seal.prefix(), after.take());
            let page: Result<Vec<SealedRow>, StoreError> = store
                .read("sealed_page", move |tx| tx.sealed_page(column, from.as_ref(), &prefix))
                .await;
            let page = page?;
            let Some(last) = page.last() else { return Ok(Some(sealed)) };
            after = Some(last.clone());
            let mut again = Vec::with_capacity(page.len());
            for row in page {
                let context = self.sealed_context(column, &row, &mut directories).await?;
                let Some(context) = context else { continue };
                match seal.open(context.as_bytes(), &row.text) {
                    Some(message) => again.push((row, seal.seal(context.as_bytes(), &message))),
                    None => *rotation.unreadable.entry(column.what.to_owned()).or_default() += 1,
                }
            }
            let replaced: Result<u64, StoreError> = store
                .write("sealed_replace", move |tx| {
                    let mut replaced = 0;
                    for (row, text) in &again {
                        replaced += u64::from(tx.sealed_replace(column, row, text)?);
                    }
                    Ok(replaced)
                })
                .await;
            let replaced = replaced?;
            sealed += replaced;
            *rotation.sealed.entry(column.what.to_owned()).or_default() += replaced;
            rotation.updated = self.clock.now_ms();
            let text = json!(rotation).to_string();
            let noted: Result<(), StoreError> = self
                .store
                .write("secret_key_rotating", move |tx| tx.setting_put(ROTATION, &text))
                .await;
            noted?;
        }
    }

    /// What a text was sealed with; `None` when its directory is gone.
    async fn sealed_context(
        &self,
        column: &SealedColumn,
        row: &SealedRow,
        directories: &mut HashMap<String, Option<String>>,
    ) -> Result<Option<String>, ServiceError> {
        let mut parts = Vec::with_capacity(column.context.len());
        for name in column.context {
            let part = row.part(column, name).unwrap_or_default();
            if *name != "directory" {
                parts.push(part);
                continue;
            }
            if !directories.contains_key(&part) {
                let key: i64 = part.parse().unwrap_or_default();
                let found: Result<_, StoreError> =
                    self.store.get("directory_get", move |tx| tx.directory_by_key(key)).await;
                directories.insert(part.clone(), found?.map(|row| row.id));
            }
            match directories.get(&part) {
                Some(Some(id)) => parts.push(id.clone()),
                _ => return Ok(None),
            }
        }
        Ok(Some(parts.join(column.between)))
    }
}

/// How a walk ended.
enum Walked {
    Everything,
    /// Something was found each time.
    TooOften,
    /// The server stops; another one goes on.
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_without_a_word_for_a_minute_was_cut_off() {
        let rotation = |state: &str| Rotation {
            state: state.to_owned(),
            updated: 1_000,
            ..Rotation::default()
        };
        for (state, now, shown) in [
            ("running", 1_000 + CUT_OFF_MS - 1, "running"),
            ("running", 1_000 + CUT_OFF_MS, "interrupted"),
            ("completed", 1_000 + CUT_OFF_MS, "completed"),
            ("failed", 1_000, "failed"),
        ] {
            assert_eq!(rotation(state).shown(now)["state"], shown, "{state} at {now}");
        }
    }
}
