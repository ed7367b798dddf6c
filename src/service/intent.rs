//! Changes of more members than one unit takes.
//!
//! The first unit stores the change of the group, the first part of its members and the other parts; the
//! version moves with it. Each part after that is a unit of its own, so other writers get their turn. The
//! last unit moves the version again: what was read half done has another one than the end.
//! The request is answered after the last. What a stopped process leaves is finished by the next look of
//! any process. Until then nothing else changes the group, and readers see it half done.
//!
//! The parts go on when the client hangs up, and whoever finds an intent may do the next part: each is
//! done once, by the unit that removes it. When the database does not take a part, the request tries it
//! again for a while: an error would make the client do again what is stored already.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::authenticate::served_catalogue;
use super::context::Directory;
use super::deletion::Deletion;
use super::error::Trouble;
use super::exchange::Trace;
use super::membership::{self, Plan};
use super::unit::Site;
use super::{Service, ServiceError, in_turn, lifecycle};
use crate::clock::{Clock, Stopwatch};
use crate::scim::ScimError;
use crate::scim::patch::{MemberChange, MemberStep};
use crate::store::intent::Ending;
use crate::store::pending::Guard;
use crate::store::{Store, StoreError, Tx};

/// Most changes of members in one unit.
pub const MEMBERS_AT_ONCE: usize = 1_000;

/// How long a request tries to go on with a change when no part is taken.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pauses between the tries: they double.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What was done in parts; clones share the same values.
#[derive(Clone, Debug, Default)]
pub struct IntentMetrics {
    /// Changes that took more than one unit.
    pub split: Counter,
    /// Units after the first.
    pub parts: Counter,
    /// Changes that were found unfinished.
    pub resumed: Counter,
    /// Tries of a request to go on with a change after one that failed.
    pub retried: Counter,
}

impl IntentMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "member_changes_split",
            "Changes of members that took more than one unit",
            self.split.clone(),
        );
        registry.register(
            "member_change_parts",
            "Units after the first of changes of members that took several",
            self.parts.clone(),
        );
        registry.register(
            "member_changes_resumed",
            "Changes of members that a look found unfinished",
            self.resumed.clone(),
        );
        registry.register(
            "member_change_retries",
            "Tries of a request to go on with a change of members after one that failed",
            self.retried.clone(),
        );
    }
}

/// The rest of a change.
struct Rest {
    store: Store,
    clock: Clock,
    site: Site,
    group_key: i64,
    metrics: IntentMetrics,
}

/// What one unit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A part, with so many events.
    Part(usize),
    /// Nothing was left to do.
    Done,
}

impl Service {
    /// Does the rest of a change whose first unit has been committed. Nobody can call it off: it goes on
    /// when the request is given up.
    pub(super) async fn finish_members(
        &self,
        site: Site,
        group_key: i64,
    ) -> Result<(), ServiceError> {
        self.intent_metrics.split.inc();
        self.see_through(site.directory.key, group_key, Some(site)).await
    }

    /// Does the rest of a change and tries again what may pass: a database that takes no unit now, rules
    /// of the directory that have changed since the site was made.
    async fn see_through(
        &self,
        directory_key: i64,
        group_key: i64,
        mut site: Option<Site>,
    ) -> Result<(), ServiceError> {
        let mut patience = Patience::new();
        loop {
            let known = match site.take() {
                Some(site) => Ok(Some(site)),
                None => self.site_of(directory_key, group_key).await,
            };
            let (moved, ended) = match known {
                Ok(Some(site)) => self.run_rest(site, group_key).await,
                Ok(None) => (false, Ok(())),
                Err(error) => (false, Err(error)),
            };
            if moved {
                patience = Patience::new();
            }
            match ended {
                Err(error) if may_pass(&error) => {
                    if !patience.pause().await {
                        return Err(error);
                    }
                    tracing::warn!(%error, "a change of members is tried again");
                    self.intent_metrics.retried.inc();
                }
                ended => return ended,
            }
        }
    }

    /// Whether a part was done, and how it ended.
    async fn run_rest(&self, site: Site, group_key: i64) -> (bool, Result<(), ServiceError>) {
        let (directory_key, identities) = (site.directory.key, site.directory.identities);
        let rest = Rest {
            store: self.store.clone(),
            clock: self.clock.clone(),
            site,
            group_key,
            metrics: self.intent_metrics.clone(),
        };
        // Nor does it ask for the lease of a run: what is left was decided in the first unit, and whoever comes
        // finishes it.
        let rest = async move { rest.run().await };
        let running = tokio::spawn(in_turn(directory_key, identities, rest));
        match running.await {
            Ok(ended) => ended,
            Err(_) => {
                let stopped = "the rest of a change has stopped".to_owned();
                (false, Err(StoreError::Unavailable(stopped).into()))
            }
        }
    }

    /// Finishes every change of members that a stopped process has left. One that is younger than `age`
    /// is left to its request.
    pub async fn finish_member_changes(&self, age: Duration) -> Result<(), ServiceError> {
        let until = self.clock.now_ms() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let left: Result<Vec<(i64, i64)>, StoreError> =
            self.store.get("intent_list", move |tx| tx.intent_list(until)).await;
        for (directory_key, group_key) in left? {
            // One directory that takes no writes now does not hold up the others.
            if let Err(error) = self.resume_members(directory_key, group_key).await {
                tracing::warn!(%error, directory_key, group_key, "a change of members is not finished yet");
            }
        }
        Ok(())
    }

    /// Tries once to finish a change: the next look tries again.
    async fn resume_members(&self, directory_key: i64, group_key: i64) -> Result<(), ServiceError> {
        let Some(site) = self.site_of(directory_key, group_key).await? else { return Ok(()) };
        self.intent_metrics.resumed.inc();
        self.run_rest(site, group_key).await.1
    }

    /// Finishes the changes of members in a directory.
    pub(super) async fn finish_member_changes_of(
        &self,
        directory_key: i64,
    ) -> Result<(), ServiceError> {
        let left: Result<Vec<i64>, StoreError> =
            self.store.get("intent_groups", move |tx| tx.intent_groups(directory_key)).await;
        for group_key in left? {
            self.see_through(directory_key, group_key, None).await?;
        }
        Ok(())
    }

    /// The group of a change with the rules of its directory as they are now; `None` when one of them is
    /// gone.
    async fn site_of(
        &self,
        directory_key: i64,
        group_key: i64,
    ) -> Result<Option<Site>, ServiceError> {
        let found: Result<_, StoreError> = self
            .store
            .read("intent_resume", move |tx| {
                let Some(row) = tx.directory_by_key(directory_key)? else { return Ok(None) };
                let group = tx.resource_rows(directory_key, &[group_key])?.pop();
                let own = tx.schema_get(directory_key)?;
                Ok(Some((row, group, own, served_catalogue(tx, directory_key)?)))
            })
            .await;
        let Some((row, Some(group), own, served)) = found? else { return Ok(None) };
        let registry = self.registry_of(own.as_ref()).with_catalogue(|name| served.contains(&name));
        let directory = Directory::from_row(&row, registry);
        let Some(resource_type) = directory.registry.by_name(&group.resource_type).cloned() else {
            tracing::warn!(directory_key, group_key, resource_type = %group.resource_type,
                "a change of members waits: the directory has no such resource type");
            let detail = "The group has a resource type that its directory does not have now.";
            return Err(ScimError::new(503, detail).into());
        };
        Ok(Some(Site {
            directory: Arc::new(directory),
            resource_type,
            id: group.id,
            now: self.clock.now_ms(),
            ids: self.clock.ids(),
            trace: Trace::off(),
            members_at_once: self.members_at_once,
            removal: None,
        }))
    }

    /// Works out a change of many members before its unit; `None` for what the unit does as fast. The
    /// version is the one of the group that the change was computed from.
    pub(super) async fn plan_members(
        &self,
        site: &Site,
        group: Option<(i64, i64)>,
        steps: &[MemberStep],
    ) -> Result<Option<Plan>, ServiceError> {
        // Values that may wait have to be looked for in the unit, where nobody can come in between.
        if steps.is_empty() || site.directory.profile.hold_unknown_members {
            return Ok(None);
        }
        let named: usize = steps.iter().map(named).sum();
        if named <= site.members_at_once && !self.may_move_unnamed(site, group, steps).await? {
            return Ok(None);
        }
        let (directory_key, site, steps) = (site.directory.key, site.clone(), steps.to_vec());
        self.store
            .read("member_plan", move |tx| {
                if let Some((key, version)) = group {
                    // A plan made between its parts would not fit the group after them.
                    site.refuse_during_intent(tx, key)?;
                    if site.get(tx)?.is_none_or(|row| row.version != version) {
                        return Ok(None);
                    }
                }
                let key = group.map(|(key, _)| key);
                let change = match (MemberChange::fold(&steps), key) {
                    (Some(change), _) => change,
                    (None, None) => return Ok(None),
                    (None, Some(key)) => {
                        membership::fold_with_elements(tx, site.group(key, site.now), &steps)?
                    }
                };
                Plan::of(tx, directory_key, key, change).map(Some)
            })
            .await
    }

    /// Whether steps that name few may move many: who is not in a new list, or whom a filter matches.
    async fn may_move_unnamed(
        &self,
        site: &Site,
        group: Option<(i64, i64)>,
        steps: &[MemberStep],
    ) -> Result<bool, StoreError> {
        let by_group =
            |step: &MemberStep| matches!(step, MemberStep::Set(_) | MemberStep::RemoveMatching(_));
        let Some((key, _)) = group.filter(|_| steps.iter().any(by_group)) else {
            return Ok(false);
        };
        let directory_key = site.directory.key;
        let most = i64::try_from(site.members_at_once).unwrap_or(i64::MAX);
        self.store
            .lookup_one("member_exceeds", move |tx| tx.member_exceeds(directory_key, key, most))
            .await
    }
}

/// Whether another try may succeed.
fn may_pass(error: &ServiceError) -> bool {
    match error {
        ServiceError::SchemasChange => true,
        ServiceError::Store(error) => Trouble::from(error) == Trouble::Unavailable,
        _ => false,
    }
}

/// Pauses between tries, as long as there is hope.
struct Patience {
    since: Stopwatch,
    pause: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { since: Stopwatch::start(), pause: FIRST_PAUSE }
    }

    /// Waits before the next try; false when there was time enough.
    async fn pause(&mut self) -> bool {
        if self.since.elapsed() >= PATIENCE {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

/// How many members a step names.
fn named(step: &MemberStep) -> usize {
    match step {
        MemberStep::Add(ids) | MemberStep::Remove(ids) | MemberStep::Set(ids) => ids.len(),
        MemberStep::RemoveMatching(_) => 0,
    }
}

impl Rest {
    /// Whether a part was done, and how it ended.
    async fn run(self) -> (bool, Result<(), ServiceError>) {
        let mut moved = false;
        loop {
            let site =
                Site { now: self.clock.now_ms(), ids: self.clock.ids(), ..self.site.clone() };
            let group_key = self.group_key;
            let done =
                self.store.write("member_part", move |tx| do_next(tx, &site, group_key)).await;
            match done {
                Err(error) => return (moved, Err(error)),
                Ok(Step::Done) => return (moved, Ok(())),
                Ok(Step::Part(events)) => {
                    moved = true;
                    self.metrics.parts.inc();
                    self.site.trace.appended(events);
                }
            }
        }
    }
}

/// Does the next part, or finds that there is none.
fn do_next(tx: &mut Tx<'_>, site: &Site, group_key: i64) -> Result<Step, ServiceError> {
    let directory_key = site.directory.key;
    let mut recorder = site.open(tx, Guard::Write)?;
    if tx.intent_get(directory_key, group_key)? == Some(Ending::Deleted) {
        // What refers to the group is locked before it.
        let Some(row) = tx.resource_rows(directory_key, &[group_key])?.pop() else {
            return Ok(Step::Done);
        };
        let ending = Deletion { site: site.clone(), condition: None };
        return match ending.go_on(tx, &row, &mut recorder) {
            Ok(true) => Ok(Step::Done),
            Ok(false) => Ok(Step::Part(0)),
            // Another process was faster.
            Err(ServiceError::Scim(gone)) if gone.status == 404 => Ok(Step::Done),
            Err(error) => Err(error),
        };
    }
    tx.membership_lock_groups(directory_key, &[group_key])?;
    let row = tx.resource_rows(directory_key, &[group_key])?.pop();
    // Under the lock: another process may have done what was there a moment before.
    let open = tx.intent_get(directory_key, group_key)?;
    let (Some(row), Some(Ending::Stays)) = (row, open) else { return Ok(Step::Done) };
    let Some(part) = tx.intent_part_next(directory_key, group_key)? else {
        tx.intent_close(directory_key, group_key)?;
        // Who read it half done must not write on what it was then.
        tx.resource_touch(directory_key, group_key, site.now)?;
        return Ok(Step::Done);
    };
    let group = site.group(group_key, site.now);
    let moved = membership::do_part(tx, group, &part)?;
    lifecycle::moved(tx, &mut recorder, &row, &moved.removed, &moved.added)?;
    tx.intent_part_done(directory_key, group_key, part.number)?;
    Ok(Step::Part(recorder.event_ids.count))
}
