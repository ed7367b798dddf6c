//! One run: read, plan, ask the guard, apply, and say how it ended.

use std::sync::Arc;
use std::time::Duration;

use crate::event::name;
use crate::pull::client::PATIENCE_MS;
use crate::pull::field::with_defaults;
use crate::pull::plan::{Extent, Groups, Rules, Source, Stored, plan};
use crate::pull::term::Term;
use crate::pull::{
    Absence, Capabilities, Faults, Finished, GroupsGiven, Increment, Kind, SourceError, SourceKind,
    Surroundings,
};
use crate::service::administer::activated;
use crate::service::authenticate::served_catalogue;
use crate::service::context::{Directory, Settings, State};
use crate::service::error::{AdminError, Trouble};
use crate::service::{Access, Service, ServiceError};
use crate::store::StoreError;
use crate::store::brake::Taken;
use crate::store::directory::DirectoryRow;
use crate::store::event::NewEvent;
use crate::store::sync::SyncRow;
use crate::store::sync_run::RunRow;

use super::ahead::{Ahead, Begun};
use super::apply::{Applied, Apply};
use super::change::Change;
use super::found::Found;
use super::known::PAGE;
use super::outcome::{Outcome, held_view, refused, remarks, useless};
use super::run::Lease;
use super::settings::ReadSettings;
use super::stage::Stage;
use super::view::{Counts, status};

/// After so many failures one after another everything is read: what has changed may be what fails.
const INCREMENTAL_FAILURES: i64 = 2;

/// A run that is asked for.
pub(super) struct Ask {
    pub(super) row: RunRow,
}

impl Ask {
    fn new(service: &Service, cause: &str, dry_run: bool, mode: &str) -> Self {
        Self {
            row: RunRow {
                id: service.clock.id("sync"),
                status: status::PENDING.to_owned(),
                mode: mode.to_owned(),
                dry_run,
                cause: cause.to_owned(),
                created: service.clock.now_ms(),
                started: None,
                finished: None,
                counts: Counts::default().text(),
                progress: None,
                held: None,
                error: None,
                settings: None,
            },
        }
    }

    pub(super) fn of_request(service: &Service, dry_run: bool, mode: &str) -> Self {
        Self::new(service, "request", dry_run, mode)
    }

    pub(super) fn of_file(service: &Service) -> Self {
        Self::new(service, "file", false, "auto")
    }

    fn of_schedule(service: &Service) -> Self {
        Self::new(service, "schedule", false, "auto")
    }
}

const SEALED_CHANGES: &str =
    "What the run waits for was sealed with another secret key; the next read finds it again.";

/// What a run works with.
pub(super) struct Job {
    pub(super) row: DirectoryRow,
    pub(super) sync: SyncRow,
    pub(super) kind: &'static SourceKind,
    pub(super) access: Access,
    pub(super) settings: ReadSettings,
    /// Why the settings in force cannot be gone by.
    fault: Option<String>,
    pub(super) run: RunRow,
}

/// What was read, and how.
struct Read {
    source: Source,
    finished: Finished,
    capabilities: Capabilities,
    extent: Extent,
    /// Whom it lists.
    listed: Extent,
}

impl Service {
    /// Does the runs that there are to do for a directory now. An error leaves the run to be done again.
    pub(super) async fn drive(self: &Arc<Self>, lease: &Lease) -> Result<(), ServiceError> {
        while let Some(job) = self.next_job(lease).await? {
            lease.begins(&job.run.id);
            let is_decision = job.run.status == status::APPROVED;
            let mut job = Job { run: RunRow { status: status::RUNNING.into(), ..job.run }, ..job };
            let ended = match is_decision || job.run.held.is_some() {
                true => self.carry_out(&job, lease).await,
                false => {
                    job.run.started = Some(job.run.started.unwrap_or(self.clock.now_ms()));
                    self.begin(&job).await?;
                    // What an attempt before has noted.
                    self.drop_changes(job.row.key, &job.run.id).await?;
                    self.read_and_apply(&mut job, lease).await
                }
            };
            let outcome = match ended {
                Err(ServiceError::Store(error)) if Trouble::from(&error) != Trouble::Fault => {
                    return Err(error.into());
                }
                // A fault of the server does not pass by itself.
                Err(ServiceError::Store(error)) => {
                    tracing::error!(%error, directory = job.row.id, run = job.run.id, "a run has failed");
                    Outcome::failed(SourceError::failed(Trouble::Fault.to_scim().detail))
                }
                Err(other) => Outcome::failed(SourceError::failed(other.to_scim().detail)),
                Ok(outcome) => outcome,
            };
            if matches!(outcome.error, Some(SourceError::Stopped)) {
                // Whoever has the directory next does it.
                return Ok(());
            }
            self.end_run(&job, lease, outcome).await?;
            self.syncs.ended.notify_waiters();
        }
        Ok(())
    }

    /// The next run that is to be done: one that was cut off, one that was asked for, one whose time has
    /// come.
    async fn next_job(&self, lease: &Lease) -> Result<Option<Job>, ServiceError> {
        if lease.is_lost() {
            return Ok(None);
        }
        let (key, now) = (lease.directory_key, self.clock.now_ms());
        let (scheduled, runner) = (Ask::of_schedule(self).row, lease.runner.clone());
        let found: Result<_, StoreError> = self
            .store
            .write("sync_next", move |tx| {
                if !tx.sync_is_held_by(key, &runner)? {
                    return Ok(None);
                }
                let Some(row) = tx.directory_by_key(key)? else { return Ok(None) };
                let Some(sync) = tx.sync_get(key)? else { return Ok(None) };
                // Whoever is handed over to it must not come a second time.
                let stops = matches!(row.state.as_str(), "paused" | "disabled" | "deleting")
                    || tx.disconnection_goes_into(key)?;
                let run = match tx.run_open(key)?.into_iter().next() {
                    _ if stops => None,
                    Some(open) => Some(open),
                    None if sync.next_at.is_some_and(|at| at <= now) => {
                        tx.run_insert(key, &scheduled)?;
                        Some(scheduled.clone())
                    }
                    None => None,
                };
                Ok(run.map(|run| (row, sync, run)))
            })
            .await;
        let Some((row, sync, run)) = found? else { return Ok(None) };
        let Some(kind) = SourceKind::named(&row.kind) else { return Ok(None) };
        let settings = Settings::stored(run.settings.as_deref().unwrap_or(&row.settings));
        let (settings, fault) = match ReadSettings::of(&settings, kind) {
            Ok(settings) => (settings, None),
            Err(message) => (ReadSettings::usual(kind), Some(message)),
        };
        let access = self.source_access(&row).await?;
        Ok(Some(Job { row, sync, kind, access, settings, fault, run }))
    }

    /// What lets write into a directory that is read, by its rules as they are now.
    pub(super) async fn source_access(&self, row: &DirectoryRow) -> Result<Access, ServiceError> {
        let key = row.key;
        let found: Result<_, StoreError> = self
            .store
            .read("sync_access", move |tx| {
                let row = tx.directory_by_key(key)?;
                Ok((row, tx.schema_get(key)?, served_catalogue(tx, key)?))
            })
            .await;
        let (found, own, served) = found?;
        let row = found.ok_or_else(crate::service::administer::missing)?;
        let registry = self.registry_of(own.as_ref()).with_catalogue(|name| served.contains(&name));
        Ok(Access::of_directory(Directory::from_row(&row, registry)))
    }

    /// Notes that a run begins, or goes on.
    async fn begin(&self, job: &Job) -> Result<(), ServiceError> {
        let (key, run) = (job.row.key, job.run.clone());
        let begun: Result<(), StoreError> = self
            .store
            .write("sync_begin", move |tx| {
                tx.directory_share(key)?;
                tx.run_update(key, &run)
            })
            .await;
        Ok(begun?)
    }

    async fn read_and_apply(
        self: &Arc<Self>,
        job: &mut Job,
        lease: &Lease,
    ) -> Result<Outcome, ServiceError> {
        if let Some(message) = &job.fault {
            let message = format!("the filter of the directory is not understood: {message}");
            return Ok(Outcome::failed(SourceError::failed(message)));
        }
        let stored = Arc::new(self.stored_of(job).await?);
        lease.progress.enter("reading");
        let mut begun = Begun::of(&stored);
        let read = match self.read_source(job, lease, &stored, &mut begun).await? {
            Ok(read) => read,
            Err(error) => return Ok(Outcome::failed(error).after(begun.written)),
        };
        job.run.mode = match read.extent {
            Extent::Everything => "full".to_owned(),
            Extent::Changes => "incremental".to_owned(),
        };
        lease.progress.enter("planning");
        let Read { mut source, finished, capabilities, extent, listed } = read;
        let is_first = stored.of_kind(Kind::Account).next().is_none();
        let begun_users = begun.written;
        let stored = begun.join(&mut source);
        let ahead = source.ahead();
        let stored = match stored.has_handed_over() {
            true => Arc::new(stored.recognising(&source)),
            false => stored,
        };
        self.follow_names(job.row.key, &stored, &mut source).await?;
        let rules = rules(job, &capabilities, &finished, listed);
        let (found, mut plan) = {
            let (stored, directory) = (Arc::clone(&stored), Arc::clone(&job.access.directory));
            let groups = finished.groups;
            let planned = tokio::task::spawn_blocking(move || {
                // A source that says nothing of groups has those that were found before.
                let is_told =
                    extent == Extent::Everything && (is_first || groups == GroupsGiven::Yes);
                let found = is_told.then(|| Found::of(&source, &directory.registry, is_first));
                (found, plan(source, &stored, &rules))
            });
            planned.await.map_err(|_| StoreError::Panicked("sync_plan"))?
        };
        let beyond = match capabilities.faults {
            Faults::Refuse { beyond } if plan.fault_count() > beyond => true,
            Faults::Refuse { .. } | Faults::AreListed => false,
        };
        if beyond {
            return Ok(refused(&plan));
        }
        if extent == Extent::Everything && plan.is_useless() {
            return Ok(useless(&plan));
        }
        let whole = capabilities.whole_accounts;
        // They have come with this run.
        plan.unchanged_users = plan.unchanged_users.saturating_sub(ahead);
        let kept = self.keep_addresses(job, &mut plan, whole).await?;
        self.name_removed(job.row.key, &mut plan).await?;
        plan.toll.earlier = self.taken_lately(job.row.key).await?;
        let held = job.settings.guard.holds(&plan.toll);
        if !job.run.dry_run && !job.sync.activated {
            self.activate(job).await?;
        }
        lease.progress.enter("applying");
        let (toll, spared, unscoped) = (plan.toll, plan.spared, std::mem::take(&mut plan.unscoped));
        let applied = Apply::new(self, job, lease, stored, whole, held.is_some())
            .run(plan, begun_users)
            .await?;
        let spared = spared + applied.spared;
        let Applied { counts, changes, taken, is_cut_off, .. } = applied;
        if is_cut_off {
            return Ok(Outcome::failed(SourceError::Stopped));
        }
        let is_held = held.is_some() && !job.run.dry_run;
        let error = remarks(counts.failed(), spared, kept, &unscoped);
        Ok(Outcome {
            status: if is_held { status::HELD } else { status::COMPLETED },
            held: held.map(|reason| held_view(reason, &toll)),
            counts,
            changes,
            taken,
            error,
            spared,
            kept,
            finished: Some((finished, extent)),
            found,
            absence: capabilities.absence,
        })
    }

    /// What a held run waits for is done now.
    async fn carry_out(
        self: &Arc<Self>,
        job: &Job,
        lease: &Lease,
    ) -> Result<Outcome, ServiceError> {
        self.begin(job).await?;
        lease.progress.enter("applying");
        let changes = self.held_changes(job).await?;
        let stored = Arc::new(Stored::default());
        let apply = Apply::new(self, job, lease, stored, false, false);
        let applied = apply.decided(changes, Counts::stored(&job.run.counts)).await?;
        if applied.is_cut_off {
            return Ok(Outcome::failed(SourceError::Stopped));
        }
        let failed = applied.counts.failed();
        Ok(Outcome {
            status: status::COMPLETED,
            counts: applied.counts,
            changes: applied.changes,
            error: remarks(failed, 0, 0, &[]),
            taken: Taken::default(),
            spared: 0,
            kept: 0,
            held: job.run.held.as_deref().and_then(|held| serde_json::from_str(held).ok()),
            finished: None,
            found: None,
            absence: Absence::IsNothing,
        })
    }

    /// The changes of a run, in the order of their numbers.
    async fn held_changes(&self, job: &Job) -> Result<Vec<Change>, ServiceError> {
        let (key, mut after, mut all) = (job.row.key, 0, Vec::new());
        loop {
            let run = job.run.id.clone();
            let page: Result<Vec<(i64, String)>, StoreError> = self
                .store
                .read("sync_held_changes", move |tx| tx.change_list(key, &run, after, PAGE))
                .await;
            let page = page?;
            let Some((last, _)) = page.last() else { return Ok(all) };
            after = *last;
            for (_, data) in &page {
                all.push(
                    self.syncs
                        .open_change(&job.run.id, data)
                        .ok_or_else(|| AdminError::new(409, "sealed_otherwise", SEALED_CHANGES))?,
                );
            }
        }
    }

    /// Reads the source; what has changed, where that can be read and is enough. Of a long first read it writes
    /// whom it lists meanwhile.
    async fn read_source(
        self: &Arc<Self>,
        job: &Job,
        lease: &Lease,
        stored: &Arc<Stored>,
        begun: &mut Begun,
    ) -> Result<Result<Read, SourceError>, ServiceError> {
        let Some(config) = self.syncs.open_config(&job.row, &job.sync) else {
            return Ok(Err(SourceError::failed(
                "its configuration was sealed with another secret key; send it again",
            )));
        };
        let config = with_defaults(&config, job.kind.fields);
        let longest = self.syncs.longest_read;
        let term = Term::begin(Arc::clone(&lease.stop), self.clock.clone(), longest);
        let surroundings = Surroundings {
            outbound: self.syncs.outbound.clone(),
            clock: self.clock.clone(),
            request_timeout: self.syncs.request_timeout,
            first_retry_ms: self.syncs.first_retry_ms,
            patience_ms: PATIENCE_MS,
            files: self.source_files(&job.row).await?,
            term: term.clone(),
            wants_groups: job.settings.wants_groups(),
            last: self.last_cursor(job),
        };
        let cursor = match self.wants_all(job).await? {
            true => None,
            false => surroundings.last.clone(),
        };
        let again = job.run.mode == "full" && job.run.cause == "request";
        let stage = || {
            Stage::new(
                Arc::clone(self),
                job.access.clone(),
                Arc::clone(stored),
                job.settings.filter.clone(),
                again,
                (term.clone(), Arc::clone(&lease.progress)),
            )
        };
        let (mut changed, mut whole) = (stage(), stage());
        let (open, is_dry) = (job.kind.open, job.run.dry_run);
        let (ahead, sent) = Ahead::new(self.clock.clone());
        // Who is in scope is known only by everything.
        let ahead = Some(ahead).filter(|_| job.settings.group_scope.is_none());
        let read = tokio::task::spawn_blocking(move || -> Result<Read, SourceError> {
            let mut connector = open(&config, surroundings)?;
            let capabilities = connector.capabilities();
            if let Some(cursor) = cursor.filter(|_| capabilities.incremental) {
                match connector.incremental(&cursor, &mut changed) {
                    Ok(finished) => {
                        let (source, extent) = (changed.finished(), Extent::Changes);
                        let listed = match connector.increment() {
                            Increment::Changes => Extent::Changes,
                            Increment::Memberships => Extent::Everything,
                        };
                        return Ok(Read { source, finished, capabilities, extent, listed });
                    }
                    Err(SourceError::CursorLost(reason)) => {
                        tracing::info!(reason, "a cursor is lost; everything is read");
                    }
                    Err(error) => return Err(error),
                }
            }
            if !is_dry && matches!(capabilities.faults, Faults::AreListed) {
                whole = whole.written_meanwhile(ahead);
            }
            let finished = connector.full(&mut whole)?;
            let (source, extent) = (whole.finished(), Extent::Everything);
            Ok(Read { source, finished, capabilities, extent, listed: extent })
        });
        let writer = Apply::new(self, job, lease, Arc::clone(stored), false, false);
        let (read, written) = tokio::join!(read, writer.ahead(sent, begun));
        let read = read.unwrap_or_else(|_| Err(SourceError::failed("the connector has stopped")));
        match written {
            Ok(()) => Ok(read.map_err(|error| match error {
                SourceError::Stopped if !term.is_stopped() && term.is_over() => too_long(longest),
                other => other,
            })),
            Err(ServiceError::Store(error)) => Err(error.into()),
            Err(other) => Ok(Err(SourceError::failed(other.to_scim().detail))),
        }
    }

    /// Where the last read has left off, if it was whole.
    fn last_cursor(&self, job: &Job) -> Option<String> {
        let bytes = self.syncs.seal.open(job.row.id.as_bytes(), job.sync.cursor.as_deref()?)?;
        String::from_utf8(bytes).ok()
    }

    /// Whether everything is to be read, whatever could tell what has changed.
    async fn wants_all(&self, job: &Job) -> Result<bool, ServiceError> {
        let is_old = job
            .sync
            .full_at
            .is_none_or(|at| at.saturating_add(job.settings.full_every_ms) <= self.clock.now_ms());
        // Who is in scope, and what a held run waits for, is known only by everything.
        let wants_all = job.settings.group_scope.is_some()
            || job.run.settings.is_some()
            || match job.run.mode.as_str() {
                "full" => true,
                "incremental" => false,
                _ => is_old || job.sync.failures >= INCREMENTAL_FAILURES,
            };
        let key = job.row.key;
        let held: Result<bool, StoreError> =
            self.store.get("sync_is_held", move |tx| tx.run_is_held(key)).await;
        Ok(wants_all || held?)
    }

    /// The first read has gone well: the app is told of the directory before it is told of its users.
    pub(super) async fn activate(&self, job: &Job) -> Result<(), ServiceError> {
        let (key, now, ids) = (job.row.key, self.clock.now_ms(), self.clock.ids());
        let done: Result<(), ServiceError> = self
            .store
            .write("sync_activate", move |tx| {
                if tx.directory_share(key)?.is_none_or(|shared| shared.state == "deleting") {
                    return Err(crate::service::administer::missing());
                }
                tx.sync_state_set(key, State::Linked.as_str(), now)?;
                if !tx.sync_activate(key)? {
                    return Ok(());
                }
                let row =
                    tx.directory_by_key(key)?.ok_or_else(crate::service::administer::missing)?;
                let domains = tx.domain_list(std::slice::from_ref(&row.organization_id))?;
                let event = NewEvent {
                    id: ids.clone().next("event"),
                    event: name::ACTIVATED,
                    resource_id: row.id.clone(),
                    member_id: None,
                    data: activated(&row, &domains).to_string().into(),
                    reason: None,
                    created: now,
                };
                Ok(tx.event_append(key, &event)?)
            })
            .await;
        self.forget_access();
        done
    }
}

fn too_long(longest: Duration) -> SourceError {
    let seconds = longest.as_secs();
    SourceError::failed(format!("the source was not read to its end within {seconds} seconds"))
}

fn rules(job: &Job, capabilities: &Capabilities, finished: &Finished, extent: Extent) -> Rules {
    let groups = match (job.settings.groups, finished.groups) {
        (Groups::Synced, GroupsGiven::No) => Groups::NotGiven,
        (wanted, _) => wanted,
    };
    Rules {
        extent,
        absence: match extent {
            // A list of changes says nothing about anybody else; members that come with a group do.
            Extent::Changes => Absence::IsRemoval,
            Extent::Everything => capabilities.absence,
        },
        group_scope: job.settings.group_scope.clone(),
        groups,
    }
}
