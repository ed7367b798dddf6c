//! Runs of directories that are read, as an operator sees them, and decisions about those that are held.

use std::time::Duration;

use serde_json::{Value, json};

use super::alarm;
use super::change::Standing;
use super::view::{is_over, shown, status};
use crate::pull::SourceKind;
use crate::service::administer::{ListPage, ListParameters};
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;
use crate::store::directory::DirectoryRow;
use crate::store::sync::SyncRow;
use crate::store::sync_run::RunRow;

/// Longest time that a look at a run waits for its end, in seconds.
const MAX_WAIT: u64 = 30;

/// How often such a look asks the database, for runs of other processes.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Changes that one answer opens at most to find those with a status.
const MAX_OPENED: usize = 20_000;

/// Changes in one answer.
const DIFF_LIMITS: (i64, i64) = (100, 1_000);

const NOT_PULLABLE: &str =
    "This directory is pushed by its identity provider over SCIM; there is nothing to read.";

/// Where a diff begins and how long it is.
#[derive(Clone, Debug, Default)]
pub struct DiffParameters {
    pub after: Option<i64>,
    pub limit: Option<i64>,
    /// Only changes with that status: `planned`, `applied`, `held` or `failed`.
    pub status: Option<String>,
}

fn no_such_run() -> ServiceError {
    AdminError::not_found("The run").into()
}

impl Service {
    /// A directory that is read; others are 409 `not_pullable`.
    pub(super) async fn source_of(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<(DirectoryRow, SyncRow, &'static SourceKind), ServiceError> {
        self.source_or(access, id, 409).await
    }

    /// The same, with the status that others are.
    pub(super) async fn source_or(
        &self,
        access: &ApiAccess,
        id: &str,
        status: u16,
    ) -> Result<(DirectoryRow, SyncRow, &'static SourceKind), ServiceError> {
        let row = self.directory_row(access, id).await?;
        let refused = || AdminError::new(status, "not_pullable", NOT_PULLABLE);
        let kind = SourceKind::named(&row.kind).ok_or_else(refused)?;
        let key = row.key;
        let sync: Result<Option<SyncRow>, StoreError> =
            self.store.get("sync_get", move |tx| tx.sync_get(key)).await;
        Ok((row, sync?.ok_or_else(refused)?, kind))
    }

    /// Runs of a directory, newest first.
    pub async fn sync_list(
        &self,
        access: &ApiAccess,
        id: &str,
        parameters: &ListParameters,
    ) -> Result<ListPage<Value>, ServiceError> {
        let (row, _, _) = self.source_of(access, id).await?;
        let range = parameters.range()?;
        let (key, reading) = (row.key, range.clone());
        let rows: Result<Vec<RunRow>, StoreError> =
            self.store.get("sync_list", move |tx| tx.run_list(key, &reading)).await;
        let page = ListPage::of(&range, rows?, |run| &run.id);
        Ok(page.map(|run| shown(&run, &row.id)))
    }

    async fn run_of(&self, row: &DirectoryRow, run: &str) -> Result<RunRow, ServiceError> {
        let (key, run) = (row.key, run.to_owned());
        let found: Result<Option<RunRow>, StoreError> =
            self.store.get("sync_run", move |tx| tx.run_get(key, &run)).await;
        found?.ok_or_else(no_such_run)
    }

    /// One run, once it is over or so many seconds have passed.
    pub async fn sync_get(
        &self,
        access: &ApiAccess,
        id: &str,
        run: &str,
        wait: u64,
    ) -> Result<Value, ServiceError> {
        let (row, _, _) = self.source_of(access, id).await?;
        let waited = async {
            loop {
                let ended = self.syncs.ended.notified();
                let found = self.run_of(&row, run).await?;
                if wait == 0 || is_over(&found) || self.event_log.is_closing() {
                    return Ok(found);
                }
                tokio::select! {
                    () = ended => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        };
        let longest = Duration::from_secs(wait.min(MAX_WAIT));
        let found = match wait {
            0 => waited.await,
            _ => match tokio::time::timeout(longest, waited).await {
                Ok(found) => found,
                Err(_) => self.run_of(&row, run).await,
            },
        };
        Ok(shown(&found?, &row.id))
    }

    /// What a run has done, would do or waits to do, in order.
    pub async fn sync_diff(
        &self,
        access: &ApiAccess,
        id: &str,
        run: &str,
        parameters: DiffParameters,
    ) -> Result<Value, ServiceError> {
        let (row, _, _) = self.source_of(access, id).await?;
        let run = self.run_of(&row, run).await?;
        let limit = parameters.limit.unwrap_or(DIFF_LIMITS.0);
        if !(1..=DIFF_LIMITS.1).contains(&limit) {
            let message = format!("it is {limit}; allowed is 1 to {}.", DIFF_LIMITS.1);
            return Err(AdminError::invalid("limit", message).into());
        }
        let status = parameters.status.as_deref().map(Standing::parse).transpose()?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut data, mut after, mut opened) = (Vec::new(), parameters.after.unwrap_or(0), 0);
        // Changes are sealed: those that are wanted are found by opening all of them.
        let next = loop {
            let (key, run_id) = (row.key, run.id.clone());
            let chunk = if status.is_some() { DIFF_LIMITS.1 } else { limit };
            let rows: Result<Vec<(i64, String)>, StoreError> = self
                .store
                .read("sync_diff", move |tx| tx.change_list(key, &run_id, after, chunk + 1))
                .await;
            let (rows, chunk) = (rows?, usize::try_from(chunk).unwrap_or(usize::MAX));
            let mut is_full = false;
            for (number, sealed) in rows.iter().take(chunk) {
                if data.len() == wanted {
                    is_full = true;
                    break;
                }
                (after, opened) = (*number, opened + 1);
                let change = self.syncs.open_change(&run.id, sealed);
                let change = change.filter(|c| status.is_none_or(|status| c.status == status));
                data.extend(change.map(|change| change.shown(*number)));
            }
            let is_last = !is_full && rows.len() <= chunk;
            if is_last {
                break None;
            }
            if is_full || data.len() == wanted || opened >= MAX_OPENED {
                break Some(after);
            }
        };
        Ok(json!({"run": shown(&run, &row.id), "data": data, "next": next}))
    }

    /// Lets a held run take away what it waits to take away.
    pub async fn sync_approve(
        &self,
        access: &ApiAccess,
        id: &str,
        run: &str,
    ) -> Result<Value, ServiceError> {
        self.decide(access, id, run, status::APPROVED).await
    }

    /// Drops what a held run waits to take away. The next run looks again.
    pub async fn sync_reject(
        &self,
        access: &ApiAccess,
        id: &str,
        run: &str,
    ) -> Result<Value, ServiceError> {
        self.decide(access, id, run, status::REJECTED).await
    }

    async fn decide(
        &self,
        access: &ApiAccess,
        id: &str,
        run: &str,
        decision: &'static str,
    ) -> Result<Value, ServiceError> {
        let (row, _, _) = self.source_of(access, id).await?;
        let found = self.run_of(&row, run).await?;
        let (key, run_id, finished) = (row.key, found.id.clone(), found.finished);
        let (now, ids, directory) = (self.clock.now_ms(), self.clock.ids(), row.clone());
        let audit = self.audit(
            access,
            match decision {
                status::APPROVED => action::SYNC_APPROVED,
                _ => action::SYNC_REJECTED,
            },
        );
        let moved: Result<bool, StoreError> = self
            .store
            .write("sync_decide", move |tx| {
                if tx.directory_share(key)?.is_none() {
                    return Ok(false);
                }
                let moved = tx.run_move(key, &run_id, (status::HELD, decision), finished)?;
                if moved {
                    alarm::decided(tx, &mut ids.clone(), now, (key, &directory.id))?;
                    let target = Target::in_directory(&directory, &run_id, None);
                    let (before, after) =
                        (json!({"status": status::HELD}), json!({"status": decision}));
                    audit.write(tx, target, before, after)?;
                }
                Ok(moved)
            })
            .await;
        if !moved? {
            let message = match found.status.as_str() {
                status::HELD => "Somebody else has just decided about the run.".to_owned(),
                other => format!("The run is {other}; only one that is held can be decided about."),
            };
            return Err(AdminError::new(409, "not_held", message).into());
        }
        tracing::info!(
            directory = row.id,
            run = found.id,
            decision,
            "a held run was decided about"
        );
        self.syncs.wanted.notify_one();
        Ok(shown(&self.run_of(&row, run).await?, &row.id))
    }
}
