//! How a run ended: what is stored of it, the state of the directory, and when it is read next.

use super::alarm::RunAlarms;
use super::change::Change;
use super::drive::Job;
use super::outcome::Outcome;
use super::run::Lease;
use super::taken::Counting;
use super::view::status;
use crate::clock::fill_random;
use crate::pull::SourceError;
use crate::pull::schedule::{Ended, pause};
use crate::service::context::State;
use crate::service::overview::Series;
use crate::service::{Service, ServiceError};
use crate::store::sync::SyncEnd;
use crate::store::sync_run::RunRow;
use crate::store::{StoreError, Tx};

/// Changes that are stored, and removed, in one unit.
const CHANGES: usize = 500;
pub(super) const DROPPED: i64 = 5_000;

impl Service {
    /// Stores how a run ended, what follows for the directory, and when it is read next.
    pub(super) async fn end_run(
        &self,
        job: &Job,
        lease: &Lease,
        outcome: Outcome,
    ) -> Result<(), ServiceError> {
        let (now, key) = (self.clock.now_ms(), job.row.key);
        let is_decided = job.run.held.is_some();
        self.syncs.metrics.ended(job.kind.name, outcome.status, outcome.counts.failed());
        if let Some(series) = Series::of_run(outcome.status) {
            self.samples.count(now, series);
        }
        if let Some(error) = &outcome.error {
            tracing::warn!(
                directory = job.row.id,
                run = job.run.id,
                status = outcome.status,
                error = error.message(),
                "a run has ended"
            );
        }
        let run = RunRow {
            status: outcome.status.to_owned(),
            finished: Some(now),
            counts: outcome.counts.text(),
            progress: None,
            held: outcome.held.as_ref().map(ToString::to_string),
            error: outcome.error.as_ref().map(|error| error.message().to_owned()),
            ..job.run.clone()
        };
        self.keep_changes(key, &run.id, &outcome.changes).await?;
        let next = (!job.run.dry_run).then(|| self.next(job, &outcome, now));
        let state = match &outcome.error {
            Some(SourceError::Credentials(_)) => State::InvalidCredentials,
            Some(_) if outcome.status == status::FAILED => State::Error,
            _ => State::Linked,
        };
        let replaces = !job.run.dry_run && outcome.is_complete() && !is_decided;
        // Until it is known of everybody whether the source has them.
        let is_whole = replaces && outcome.is_final();
        let alarms = RunAlarms::of(&job.row, &outcome, next.as_ref(), job.sync.full_at.is_none());
        let is_later = job.sync.full_at.is_some();
        let (ids, generation) = (self.clock.ids(), job.sync.generation);
        let (runner, lost) = (lease.runner.clone(), lease.is_lost());
        let counting = Counting::of(job, outcome.taken);
        let found = outcome.found.as_ref().map(|found| self.syncs.seal_found(&job.row.id, found));
        let ended: Result<Vec<String>, StoreError> = self
            .store
            .write("sync_end", move |tx: &mut Tx<'_>| {
                let mut replaced = Vec::new();
                // Whoever has the directory by now does the run again.
                if lost || !tx.sync_is_held_by(key, &runner)? {
                    return Ok(replaced);
                }
                tx.run_update(key, &run)?;
                counting.keep(tx, key, now)?;
                if let Some(found) = &found {
                    tx.sync_found_set(key, found)?;
                }
                if let Some(next) = &next
                    && !tx.sync_end(key, generation, next)?
                {
                    // It was read by what is not in force any more: that decides nothing.
                    tx.run_supersede(key, "", "what the directory is read by has changed since")?;
                    return Ok(replaced);
                }
                if replaces {
                    let reason = format!("the run {} has looked again since", run.id);
                    replaced = tx.run_supersede(key, &run.id, &reason)?;
                    // After the first one nothing is left of anybody who has gone.
                    if is_later {
                        tx.sync_digests_prune(key)?;
                    }
                }
                if is_whole {
                    tx.handed_over_clear(key)?;
                }
                if next.is_some() {
                    // A decision says nothing about how the source answers.
                    if !is_decided {
                        tx.sync_state_set(key, state.as_str(), now)?;
                    }
                    alarms.settle(tx, &mut ids.clone(), now)?;
                }
                Ok(replaced)
            })
            .await;
        let replaced = ended?;
        self.forget_access();
        // While a run is held each read finds the same again.
        for run in &replaced {
            self.drop_changes(key, run).await?;
        }
        Ok(())
    }

    /// Stores the changes of a run, each under its number: those of a decided run are in place already.
    async fn keep_changes(
        &self,
        key: i64,
        run: &str,
        changes: &[Change],
    ) -> Result<(), ServiceError> {
        let mut numbers = 1_i64..;
        for chunk in changes.chunks(CHANGES) {
            // The changes first: a number that is taken in vain is a gap.
            let numbered = chunk.iter().zip(numbers.by_ref());
            let chunk: Vec<(i64, String)> = numbered
                .map(|(change, number)| (number, self.syncs.seal_change(run, change)))
                .collect();
            let run_id = run.to_owned();
            let put: Result<(), StoreError> = self
                .store
                .write("sync_changes", move |tx| match tx.directory_share(key)? {
                    Some(shared) if shared.state != "deleting" => {
                        tx.change_put(key, &run_id, &chunk)
                    }
                    _ => Ok(()),
                })
                .await;
            put?;
        }
        Ok(())
    }

    /// Removes the changes of a run, some in each unit: others write meanwhile.
    pub(super) async fn drop_changes(&self, key: i64, run: &str) -> Result<(), ServiceError> {
        loop {
            let run = run.to_owned();
            let some: Result<bool, StoreError> = self
                .store
                .write("sync_changes_drop", move |tx| tx.change_clear(key, &run, DROPPED))
                .await;
            if !some? {
                return Ok(());
            }
        }
    }

    /// How the directory stands after a run.
    fn next(&self, job: &Job, outcome: &Outcome, now: i64) -> SyncEnd {
        let sync = &job.sync;
        let is_failed = outcome.status == status::FAILED;
        let is_decided = job.run.held.is_some();
        let failures = match (is_failed, is_decided) {
            (true, _) => sync.failures.saturating_add(1),
            (false, true) => sync.failures,
            (false, false) => 0,
        };
        let ended = match &outcome.error {
            Some(SourceError::Credentials(_)) => Ended::Refused { times: failures },
            Some(SourceError::Failed { retry_after_ms, .. }) if is_failed => {
                Ended::Failed { times: failures, retry_after_ms: *retry_after_ms }
            }
            _ => Ended::Well,
        };
        let mut random = [0; 4];
        fill_random(&mut random);
        // Without a schedule a time stands only where a decision owes a read, which is tried until it
        // succeeds.
        let is_owed = is_failed && sync.next_at.is_some();
        let every = job.settings.every_ms.or(is_owed.then_some(0));
        let pause = every.map(|every| pause(every, ended, u32::from_le_bytes(random)));
        // After a decision, what had to wait for it comes at once, also where nothing is read by itself:
        // who could not come in because of those who went would be left without access.
        let has_waited = outcome.counts.failed() > 0;
        let next_at = match is_decided {
            true => Some(now).filter(|_| every.is_some() || has_waited),
            false => pause.map(|pause| now.saturating_add(pause)),
        };
        // What could not be used, or waits for a decision, is to be read again.
        let is_in_place = outcome.status == status::COMPLETED && outcome.counts.failed() == 0;
        let finished = outcome.finished.as_ref().filter(|_| is_in_place);
        let cursor = finished.and_then(|(finished, _)| finished.cursor.as_deref());
        let cursor =
            cursor.map(|cursor| self.syncs.seal.seal(job.row.id.as_bytes(), cursor.as_bytes()));
        let is_complete = outcome.is_complete();
        // What a read has left undone is looked at by a complete one, not in a day; so is what waits for a
        // decision, which may be no.
        let full_at = match outcome.status {
            status::HELD => None,
            _ if is_failed => sync.full_at,
            _ if is_complete => {
                Some(now).filter(|_| outcome.error.is_none() && outcome.spared == 0)
            }
            _ => sync.full_at.filter(|_| outcome.counts.failed() == 0 && outcome.spared == 0),
        };
        let said = outcome.error.as_ref().map(|error| error.message().to_owned());
        SyncEnd {
            // A complete read after which there is none leaves none.
            cursor: if is_complete && is_in_place {
                cursor
            } else {
                cursor.or_else(|| sync.cursor.clone())
            },
            next_at,
            full_at,
            failures,
            last_sync: if is_failed || is_decided { sync.last_sync } else { Some(now) },
            last_counts: match is_failed {
                true => sync.last_counts.clone(),
                false => Some(outcome.counts.text()),
            },
            // A read of changes does not see what a complete one has complained of.
            last_error: said.or_else(|| {
                sync.last_error.clone().filter(|_| !is_complete && sync.full_at.is_none())
            }),
        }
    }
}
