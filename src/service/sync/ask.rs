//! Runs that somebody asks for: an operator, who may have any, and the app, which may have one now and then.

use serde::Deserialize;
use serde_json::{Value, json};

use super::drive::Ask;
use super::view::shown;
use crate::service::administer::checked_settings;
use crate::service::audit::{Target, action};
use crate::service::context::State;
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::Tx;
use crate::store::directory::DirectoryRow;

/// Runs that may wait.
const MAX_WAITING: usize = 10;

/// How long the app waits after a run until it may ask for another one, in milliseconds.
const COOL_DOWN_MS: i64 = 60_000;

/// A run that somebody asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRun {
    /// Shows what would change and changes nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// `full` reads everything and writes everything again, `incremental` only what has changed.
    #[serde(default)]
    pub mode: Option<String>,
    /// Settings that a dry run goes by in place of those in force.
    #[serde(default)]
    pub settings: Option<Value>,
}

impl Service {
    /// Asks for a run; it is done as soon as somebody is free for it. Answers the run.
    pub async fn sync_request(
        &self,
        access: &ApiAccess,
        id: &str,
        wanted: NewRun,
    ) -> Result<Value, ServiceError> {
        let (row, _, _) = self.source_of(access, id).await?;
        let mode = match wanted.mode.as_deref() {
            None => "auto",
            Some(mode @ ("full" | "incremental")) => mode,
            Some(other) => {
                let message = format!("it is \"{other}\"; allowed are full and incremental.");
                return Err(AdminError::invalid("mode", message).into());
            }
        };
        let settings = match wanted.settings.filter(|settings| !settings.is_null()) {
            None => None,
            Some(_) if !wanted.dry_run => {
                let message = "only a dry run goes by other settings; send dry_run as well.";
                return Err(AdminError::invalid("settings", message).into());
            }
            Some(settings) => {
                checked_settings(Some(&settings), &row.kind)?;
                Some(settings.to_string())
            }
        };
        if let Some(stopped) = stopped(&row) {
            return Err(AdminError::new(409, "directory_stopped", stopped).into());
        }
        let mut ask = Ask::of_request(self, wanted.dry_run, mode);
        ask.row.settings = settings;
        let asked = shown(&ask.row, &row.id);
        self.ask(access, row, ask, |tx, key| {
            let waiting = tx.run_open(key)?.len();
            if waiting >= MAX_WAITING {
                let message = format!("{waiting} runs of this directory wait already.");
                return Err(AdminError::new(409, "too_many_runs", message).into());
            }
            Ok(())
        })
        .await?;
        Ok(asked)
    }

    /// Asks for a run on behalf of the app. It may not do so while one is under way, nor shortly after one, nor
    /// sooner than a source that has failed is tried again: many who press the same button must not press on a
    /// source.
    pub async fn sync_ask(&self, access: &ApiAccess, id: &str) -> Result<Value, ServiceError> {
        let (row, _, _) = self.source_or(access, id, 422).await?;
        if let Some(stopped) = stopped(&row) {
            return Err(AdminError::new(422, "directory_stopped", stopped).into());
        }
        let now = self.clock.now_ms();
        let ask = Ask::of_request(self, false, "auto");
        self.ask(access, row, ask, move |tx, key| {
            if !tx.run_open(key)?.is_empty() {
                let message = "The directory is being read, or a run of it waits.";
                return Err(AdminError::new(409, "sync_running", message).into());
            }
            let rests = rests_until(tx, key)?.saturating_sub(now);
            if rests > 0 {
                let seconds = rests.unsigned_abs().div_ceil(1_000);
                let message = format!(
                    "The directory has been read a moment ago, or its source has failed; it may be read again in \
                     {seconds} seconds."
                );
                let refused = AdminError::new(429, "sync_too_soon", message);
                return Err(refused.retried_after(seconds).into());
            }
            Ok(())
        })
        .await?;
        Ok(json!({"status": "queued"}))
    }

    /// Stores a run that is asked for, unless `check` refuses it.
    async fn ask(
        &self,
        access: &ApiAccess,
        directory: DirectoryRow,
        ask: Ask,
        check: impl Fn(&mut Tx<'_>, i64) -> Result<(), ServiceError> + Send + 'static,
    ) -> Result<(), ServiceError> {
        let new = ask.row;
        let audit = self.audit(access, action::SYNC_REQUESTED);
        let stored: Result<(), ServiceError> = self
            .store
            .write("sync_request", move |tx| {
                let key = directory.key;
                if tx.directory_share(key)?.is_none_or(|shared| shared.state == "deleting") {
                    return Err(crate::service::administer::missing());
                }
                check(tx, key)?;
                tx.run_insert(key, &new)?;
                let target = Target::in_directory(&directory, &new.id, None);
                audit.write(tx, target, Value::Null, shown(&new, &directory.id))?;
                Ok(())
            })
            .await;
        stored?;
        self.syncs.wanted.notify_one();
        Ok(())
    }
}

/// Why a directory that is stopped is not read, in words.
fn stopped(row: &DirectoryRow) -> Option<String> {
    let is_stopped = matches!(State::parse(&row.state), Some(State::Paused | State::Disabled));
    is_stopped.then(|| format!("The directory is {}; resume it first.", row.state))
}

/// When the app may have a directory read again.
fn rests_until(tx: &mut Tx<'_>, key: i64) -> Result<i64, ServiceError> {
    let ended = tx.run_last_end(key)?.map_or(0, |ended| ended.saturating_add(COOL_DOWN_MS));
    let retried = tx.sync_get(key)?.filter(|sync| sync.failures > 0).and_then(|sync| sync.next_at);
    Ok(ended.max(retried.unwrap_or(0)))
}
