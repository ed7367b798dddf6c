//! Requests that are answered before they are done (RFC 9967 §2.5.1.1, RFC 7240 `respond-async`).
//!
//! What is accepted is stored first, as a bulk request, together with the ids of its new resources.
//! Its units store what became of their operations along with the changes, so that a process that
//! takes over after another one has stopped goes on exactly where that one ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::authenticate::{Access, served_catalogue};
use super::bulk::{self, BulkRun, Kept, NewIds, Progress};
use super::context::Directory;
use super::seen::object;
use super::{Service, ServiceError, in_turn};
use crate::scim::{Object, ScimError, urn};
use crate::store::StoreError;
use crate::store::async_request::AsyncRow;

/// How long a runner is believed to be at it without a sign, in milliseconds.
const LEASE_MS: i64 = 30_000;

/// How long the outcome can be read, in milliseconds.
const KEEP_MS: i64 = 24 * 60 * 60 * 1_000;

/// Requests of one directory that wait or run.
const MAX_PENDING: i64 = 100;

/// Requests that one process runs at the same time.
pub(super) const RUNNERS: usize = 4;

/// Requests that one unit forgets; each may have as many outcomes as a bulk request operations.
const PRUNED: i64 = 1;

/// Longest time that a client may ask to wait for the ordinary answer.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The bulkId of the operation of a request that is no bulk request.
const SINGLE: &str = "single";

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Bulk,
    /// One operation, whose outcome is answered without a list around it.
    Single,
}

impl Form {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Single => "single",
        }
    }
}

/// A request that was accepted.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The value of `Set-Txn`.
    pub txn: String,
    /// The answer, when it was there within the time that the client wanted to wait.
    pub answer: Option<Value>,
}

/// How far a request is.
#[derive(Clone, Debug, PartialEq)]
pub enum Completion {
    /// Operations that are done.
    Running(usize),
    Done(Value),
}

/// A bulk request of one operation.
pub fn single(method: &str, path: String, version: Option<String>, data: Option<Object>) -> Object {
    let mut operation = Object::new();
    operation.insert("method".into(), method.into());
    operation.insert("path".into(), path.into());
    operation.insert("bulkId".into(), SINGLE.into());
    operation.extend(version.map(|version| ("version".to_owned(), version.into())));
    operation.extend(data.map(|data| ("data".to_owned(), data.into())));
    let mut body = Object::new();
    body.insert("schemas".into(), json!([urn::BULK_REQUEST]));
    body.insert("Operations".into(), json!([operation]));
    body
}

impl Service {
    /// The body of a request as it is stored: it may hold passwords.
    pub fn seal_accepted(&self, directory_key: i64, id: &str, body: &str) -> String {
        self.accepted.seal(format!("{directory_key} {id}").as_bytes(), body.as_bytes())
    }

    fn open_accepted(&self, row: &AsyncRow) -> Result<String, ServiceError> {
        let context = format!("{} {}", row.directory_key, row.id);
        let opened = self.accepted.open(context.as_bytes(), &row.body);
        let text = opened.and_then(|bytes| String::from_utf8(bytes).ok());
        let what = "a stored request is not sealed with the secret key of this process";
        text.ok_or_else(|| StoreError::Unavailable(what.to_owned()).into())
    }

    /// Accepts a request and begins with it. The refusals of a bulk request as a whole are answered
    /// at once.
    pub async fn asynchronous(
        self: &Arc<Self>,
        access: &Arc<Access>,
        base: &str,
        form: Form,
        body: Object,
        wait: Option<Duration>,
    ) -> Result<Accepted, ServiceError> {
        let mut run = self.bulk_begin(access, base, body.clone())?;
        let (txn, runner) = (self.clock.id("txn"), self.clock.id("runner"));
        let (now, directory_key) = (self.clock.now_ms(), access.directory.key);
        // Without a free runner the request waits in the database, not in memory, free to be taken.
        let turn = Arc::clone(&self.async_runners).try_acquire_owned().ok();
        let lease = if turn.is_some() { now + LEASE_MS } else { 0 };
        let row = AsyncRow {
            directory_key,
            id: txn.clone(),
            form: form.as_str().to_owned(),
            base: base.to_owned(),
            body: self.seal_accepted(directory_key, &txn, &Value::Object(body).to_string()),
            ids: json!(run.ids()).to_string(),
            runner: runner.clone(),
            lease,
            created: now,
            finished: None,
        };
        self.store
            .write("async_accept", move |tx| {
                if tx.async_pending(directory_key)? >= MAX_PENDING {
                    let detail = format!(
                        "{MAX_PENDING} asynchronous requests of this directory are under way; try \
                         again when some are done."
                    );
                    return Err(ServiceError::from(ScimError::new(503, detail)));
                }
                Ok(tx.async_insert(&row)?)
            })
            .await?;
        let mut accepted = Accepted { txn, answer: None };
        let Some(turn) = turn else {
            drop(run);
            self.async_arrivals.fetch_add(1, Ordering::SeqCst);
            // Every runner may have ended before the request was stored.
            if let Err(error) = self.take_up().await {
                tracing::warn!(%error, "an asynchronous request waits for the next look");
            }
            return Ok(accepted);
        };
        run.kept = Some(Kept { directory_key, id: accepted.txn.clone(), runner, lease });
        let (sender, running) = tokio::sync::oneshot::channel();
        let service = Arc::clone(self);
        tokio::spawn(async move {
            service.run_kept(run).await;
            let _ = sender.send(());
            service.run_waiting(turn).await;
        });
        if let Some(wait) = wait
            && tokio::time::timeout(wait.min(MAX_WAIT), running).await.is_ok()
            && let Completion::Done(answer) = self.completion(access, &accepted.txn).await?
        {
            accepted.answer = Some(answer);
        }
        Ok(accepted)
    }

    /// Gives every free runner a request that waits, as long as there are both.
    async fn take_up(self: &Arc<Self>) -> Result<(), ServiceError> {
        while let Ok(turn) = Arc::clone(&self.async_runners).try_acquire_owned() {
            let Some((turn, run)) = self.next_waiting(turn).await? else { break };
            let service = Arc::clone(self);
            tokio::spawn(async move {
                service.run_kept(run).await;
                service.run_waiting(turn).await;
            });
        }
        Ok(())
    }

    /// Runs what waits, one request after the other, until nothing does.
    async fn run_waiting(&self, mut turn: OwnedSemaphorePermit) {
        loop {
            match self.next_waiting(turn).await {
                Ok(Some((kept, run))) => {
                    turn = kept;
                    self.run_kept(run).await;
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "asynchronous requests are not resumed yet");
                    return;
                }
            }
        }
    }

    /// The next request that waits, with the turn to run it; gives the turn back when none does.
    async fn next_waiting(
        &self,
        mut turn: OwnedSemaphorePermit,
    ) -> Result<Option<(OwnedSemaphorePermit, BulkRun)>, ServiceError> {
        loop {
            let arrived = self.async_arrivals.load(Ordering::SeqCst);
            if let Some(run) = self.take_over().await? {
                return Ok(Some((turn, run)));
            }
            drop(turn);
            // A request that came after the look met no free runner and relies on this one.
            if self.async_arrivals.load(Ordering::SeqCst) == arrived {
                return Ok(None);
            }
            let Ok(again) = Arc::clone(&self.async_runners).try_acquire_owned() else {
                return Ok(None);
            };
            turn = again;
        }
    }

    /// Runs a stored request to its end, or until somebody else has to go on with it.
    async fn run_kept(&self, run: BulkRun) {
        let Some(directory_key) = run.kept.as_ref().map(|kept| kept.directory_key) else { return };
        let identities = run.identities();
        in_turn(directory_key, identities, self.run_to_its_end(run)).await;
    }

    async fn run_to_its_end(&self, mut run: BulkRun) {
        // The runner before may have stopped between the units of a large group.
        if let Some(directory_key) = run.kept.as_ref().map(|kept| kept.directory_key)
            && let Err(error) = self.finish_member_changes_of(directory_key).await
        {
            tracing::warn!(%error, "an asynchronous request waits for a change of members");
            return;
        }
        loop {
            if let Some(kept) = &mut run.kept {
                kept.lease = self.clock.now_ms() + LEASE_MS;
            }
            match self.bulk_unit(&mut run).await {
                Progress::More => {}
                Progress::Done => break,
                Progress::Stopped => return,
            }
        }
        let (Some(kept), now) = (run.kept, self.clock.now_ms()) else { return };
        let ended: Result<(), StoreError> = self
            .store
            .write("async_finish", move |tx| {
                match tx.async_hold(kept.directory_key, &kept.id, &kept.runner, kept.lease)? {
                    true => tx.async_finish(kept.directory_key, &kept.id, now),
                    false => Ok(()),
                }
            })
            .await;
        ended
            .unwrap_or_else(|error| tracing::warn!(%error, "an asynchronous request is not ended"));
    }

    /// How far a request of the directory is.
    pub async fn completion(&self, access: &Access, txn: &str) -> Result<Completion, ServiceError> {
        let (key, id) = (access.directory.key, txn.to_owned());
        let found: Result<_, StoreError> = self
            .store
            .read("async_get", move |tx| {
                let Some(row) = tx.async_get(key, &id)? else { return Ok(None) };
                Ok(Some((row, tx.async_results(key, &id)?)))
            })
            .await;
        let Some((row, results)) = found? else {
            return Err(ScimError::not_found("The asynchronous request").into());
        };
        if row.finished.is_none() {
            return Ok(Completion::Running(results.len()));
        }
        let mut outcomes: Vec<Value> =
            results.iter().map(|(_, outcome)| Value::Object(object(outcome))).collect();
        if row.form == Form::Single.as_str() {
            let mut outcome = outcomes.pop().unwrap_or_default();
            if let Some(members) = outcome.as_object_mut() {
                members.shift_remove("bulkId");
            }
            return Ok(Completion::Done(outcome));
        }
        Ok(Completion::Done(bulk::answer(&outcomes)))
    }

    /// Goes on with every request whose runner has stopped, as many at a time as this process runs,
    /// and forgets those that were done long ago.
    pub async fn resume_asynchronous(self: &Arc<Self>) -> Result<(), ServiceError> {
        self.take_up().await?;
        let until = self.clock.now_ms() - KEEP_MS;
        loop {
            let pruned: Result<usize, StoreError> =
                self.store.write("async_prune", move |tx| tx.async_prune(until, PRUNED)).await;
            if pruned? == 0 {
                return Ok(());
            }
        }
    }

    /// Lets requests be taken over at once whose runner was an earlier process. Only for a database
    /// that one process uses at a time.
    pub async fn release_asynchronous(&self) -> Result<(), ServiceError> {
        let at = self.clock.now_ms() - 1;
        let released: Result<(), StoreError> =
            self.store.write("async_release", move |tx| tx.async_release(at)).await;
        Ok(released?)
    }

    /// The next request whose runner has stopped.
    async fn take_over(&self) -> Result<Option<BulkRun>, ServiceError> {
        loop {
            let (runner, now) = (self.clock.id("runner"), self.clock.now_ms());
            let taking = runner.clone();
            let taken: Result<Option<AsyncRow>, StoreError> = self
                .store
                .write("async_take_over", move |tx| {
                    tx.async_take_over(&taking, now, now + LEASE_MS)
                })
                .await;
            let Some(row) = taken? else { return Ok(None) };
            let kept = Kept {
                directory_key: row.directory_key,
                id: row.id.clone(),
                runner,
                lease: now + LEASE_MS,
            };
            match self.resumed(row, kept).await {
                Ok(Some(run)) => return Ok(Some(run)),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "an asynchronous request is not resumed"),
            }
        }
    }

    async fn resumed(&self, row: AsyncRow, kept: Kept) -> Result<Option<BulkRun>, ServiceError> {
        let body = self.open_accepted(&row)?;
        let (key, id) = (row.directory_key, row.id.clone());
        let found: Result<_, StoreError> = self
            .store
            .read("async_resume", move |tx| {
                let own = tx.schema_get(key)?;
                let directory = tx.directory_by_key(key)?;
                let served = served_catalogue(tx, key)?;
                Ok((directory, own, served, tx.async_results(key, &id)?))
            })
            .await;
        let (Some(directory), own, served, results) = found? else { return Ok(None) };
        let directory = {
            let registry = self.registry_of(own.as_ref());
            Directory::from_row(&directory, registry.with_catalogue(|name| served.contains(&name)))
        };
        let access = Arc::new(Access::of_directory(directory));
        let ids: NewIds = serde_json::from_str(&row.ids).unwrap_or_default();
        let noted = results.into_iter().filter_map(|(index, outcome)| {
            let outcome = object(&outcome);
            let failed = outcome.contains_key("response");
            Some((usize::try_from(index).ok()?, failed, Value::Object(outcome)))
        });
        let mut run = BulkRun::resumed(&access, &row.base, object(&body), ids, noted.collect())?;
        run.kept = Some(kept);
        Ok(Some(run))
    }
}
