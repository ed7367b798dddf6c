//! Carries out a plan, in bounded batches through the same use cases as SCIM: what follows from a change
//! (events, roles, identities, policies) follows by itself.
//!
//! First everybody who is new or changed, then groups, then memberships, then whoever goes. Nobody who is
//! not listed goes when anything before has failed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::change::{Change, Standing, deactivation, end_of, reason_of};
use super::drive::Job;
use super::ids::Ids;
use super::outcome::of_faults;
use super::round::{Round, rounds};
use super::run::Lease;
use super::view::{Counts, Tally};
use crate::event::Reason;
use crate::pull::Kind;
use crate::pull::plan::{MemberChange, Plan, Record, Removal, Stored, Update};
use crate::scim::{Object, ResourceType, ScimType, urn};
use crate::service::unit::Revision;
use crate::service::{Access, Service, ServiceError, on_behalf_of};
use crate::store::StoreError;
use crate::store::brake::Taken;
use crate::store::resource::ResourceRow;

/// Changes that are under way at the same time: as many as SQLite takes into one transaction. A directory
/// has a share of the writer like any other.
pub(super) const AT_ONCE: usize = 256;

/// Changes between two looks whether the run goes on.
pub(super) const BATCH: usize = 2_000;

/// How often a change is tried again that the storage, or another change, was in the way of.
const TRIES: u32 = 8;

/// What a run has done.
#[derive(Default)]
pub(super) struct Applied {
    pub(super) counts: Counts,
    pub(super) changes: Vec<Change>,
    /// What was taken away, in users who were active, and direct memberships.
    pub(super) taken: Taken,
    /// Who was to go as missing and stays, because something could not be written.
    pub(super) spared: usize,
    /// The lease was lost, or the server stops.
    pub(super) is_cut_off: bool,
}

/// A new or changed account or group.
pub(super) enum Item {
    New(Record),
    /// In a box: there are as many new ones as the source has.
    Changed {
        update: Box<Update>,
    },
}

impl Item {
    pub(super) fn record(&self) -> &Record {
        match self {
            Self::New(record) => record,
            Self::Changed { update } => &update.record,
        }
    }
}

/// What became of an [`Item`].
pub(super) enum Done {
    Created(i64),
    Updated,
    Unchanged,
    /// Somebody else has the name.
    Taken(String),
    Failed(String),
}

impl Done {
    pub(super) fn of(update: &Update, row: &ResourceRow) -> Self {
        match row.version == update.known.version {
            true => Self::Unchanged,
            false => Self::Updated,
        }
    }
}

pub(super) struct Apply<'a> {
    pub(super) service: &'a Arc<Service>,
    pub(super) job: &'a Job,
    pub(super) lease: &'a Lease,
    pub(super) stored: Arc<Stored>,
    /// Accounts hold everything that the source has of them.
    pub(super) whole: bool,
    /// What takes away waits.
    pub(super) held: bool,
    pub(super) access: RwLock<Access>,
    pub(super) ids: Arc<Ids>,
    digests: Vec<(i64, String)>,
    /// Of those who were refused: that they are inactive.
    pub(super) endings: Vec<Update>,
    pub(super) applied: Applied,
}

impl<'a> Apply<'a> {
    pub(super) fn new(
        service: &'a Arc<Service>,
        job: &'a Job,
        lease: &'a Lease,
        stored: Arc<Stored>,
        whole: bool,
        held: bool,
    ) -> Self {
        let ids = Arc::new(Ids::of(Arc::clone(&stored), HashMap::new()));
        Self {
            service,
            job,
            lease,
            stored,
            whole,
            held,
            access: RwLock::new(job.access.clone()),
            ids,
            digests: Vec::new(),
            endings: Vec::new(),
            applied: Applied::default(),
        }
    }

    /// Carries out a plan, or shows what that would change. So many users have come with this run before.
    pub(super) async fn run(mut self, plan: Plan, begun: usize) -> Result<Applied, ServiceError> {
        let Plan { creates, updates, members, removals, late, unknown, .. } = plan;
        let counts = &mut self.applied.counts;
        counts.users.created = begun;
        counts.users.unchanged = plan.unchanged_users;
        counts.groups.unchanged = plan.unchanged_groups;
        counts.memberships.unknown = unknown.count;
        self.applied.changes = of_faults(&plan.faults, plan.unlisted_faults, counts);
        let total = creates.len() + updates.len() + members.len() + removals.len();
        self.lease.progress.planned.store(begun + total, Ordering::Relaxed);

        let (mut users, mut groups, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        users.reserve(creates.len());
        let mut new_ids = HashMap::with_capacity(creates.len());
        for record in creates {
            let prefix = match record.kind {
                Kind::Account => "directory_user",
                _ => "directory_group",
            };
            let id = record.id.clone().unwrap_or_else(|| self.service.clock.id(prefix).into());
            new_ids.insert((record.kind, record.source_id.clone()), id);
            let item = Item::New(record);
            let to =
                if late.contains(&item.record().source_id) { &mut waiting } else { &mut users };
            if item.record().kind == Kind::Account { to.push(item) } else { groups.push(item) }
        }
        self.ids = Arc::new(Ids::of(Arc::clone(&self.stored), new_ids));
        for update in updates {
            let item = Item::Changed { update: Box::new(update) };
            let to =
                if late.contains(&item.record().source_id) { &mut waiting } else { &mut users };
            if item.record().kind == Kind::Account { to.push(item) } else { groups.push(item) }
        }
        if self.job.run.dry_run {
            users.extend(waiting);
            self.show_unknown(&unknown);
            return self.show(users, groups, members, removals).await;
        }
        self.items(users).await?;
        self.items(groups).await?;
        // Who comes only after somebody has gone joins only then.
        let (now, later) = members.into_iter().map(|change| parted(change, &late)).unzip();
        self.members(now).await?;
        self.removals(removals).await?;
        if self.held {
            for item in &waiting {
                self.refuse(
                    item,
                    "its name is held by somebody whose removal waits for a decision.",
                );
            }
        } else {
            self.items(waiting).await?;
            self.members(later).await?;
        }
        self.endings().await?;
        Ok(self.applied)
    }

    pub(super) fn goes_on(&mut self) -> bool {
        self.applied.is_cut_off |= self.lease.is_lost();
        !self.applied.is_cut_off
    }

    pub(super) fn tally(&mut self, kind: Kind) -> &mut Tally {
        match kind {
            Kind::Account => &mut self.applied.counts.users,
            _ => &mut self.applied.counts.groups,
        }
    }

    pub(super) fn note(&mut self, change: Change) {
        self.applied.changes.push(change);
    }

    /// Writes new and changed ones, each after the one that has its name. Who cannot have a name then may
    /// still have it when all others are done.
    pub(super) async fn items(&mut self, items: Vec<Item>) -> Result<(), ServiceError> {
        let mut left = Vec::new();
        for Round { alone, circles } in rounds(items) {
            let alone = self.bundled(alone).await?;
            for batch in batches(alone, BATCH) {
                if !self.goes_on() {
                    return Ok(());
                }
                let taken = self.batch(batch).await?;
                left.extend(taken.into_iter().map(|(item, _)| item));
            }
            for circle in circles {
                if !self.goes_on() {
                    return Ok(());
                }
                self.circle(circle).await?;
            }
        }
        self.rest(left).await
    }

    /// Tries those whose name was taken until none of them gets it.
    async fn rest(&mut self, items: Vec<Item>) -> Result<(), ServiceError> {
        let mut left = items;
        while !left.is_empty() {
            let before = left.len();
            let mut taken = Vec::new();
            for batch in batches(left, BATCH) {
                if !self.goes_on() {
                    return Ok(());
                }
                taken.extend(self.batch(batch).await?);
            }
            if taken.len() == before {
                for (item, message) in &taken {
                    self.refuse(item, message);
                }
                return Ok(());
            }
            left = taken.into_iter().map(|(item, _)| item).collect();
        }
        Ok(())
    }

    /// Writes some at the same time; answers those whose name somebody else has.
    async fn batch(&mut self, batch: Vec<Item>) -> Result<Vec<(Item, String)>, ServiceError> {
        let this = &*self;
        let alone = futures_util::stream::iter(batch.into_iter().map(|item| async move {
            let done = this.item(&item).await;
            this.lease.progress.done.fetch_add(1, Ordering::Relaxed);
            (item, done)
        }));
        let written = alone.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
        self.wrote(written).await
    }

    /// Notes what became of some; answers those whose name somebody else has.
    pub(super) async fn wrote(
        &mut self,
        written: Vec<(Item, Result<Done, ServiceError>)>,
    ) -> Result<Vec<(Item, String)>, ServiceError> {
        let mut taken = Vec::new();
        for (item, done) in written {
            let (kind, record) = (item.record().kind, item.record());
            let made_of = self.ids.digest_of(record);
            let known = match &item {
                Item::New(_) => None,
                Item::Changed { update } => Some((update.known.key, update.deactivates())),
            };
            let deactivates = known.is_some_and(|(_, deactivates)| deactivates);
            match done? {
                Done::Created(key) => {
                    self.tally(kind).created += 1;
                    self.digests.push((key, made_of));
                }
                // The next run has to look again at whoever waits for a decision, also when the source
                // has gone back to what was stored before.
                Done::Unchanged if deactivates && self.held => {
                    self.tally(kind).unchanged += 1;
                    self.digests.extend(known.map(|(key, _)| (key, String::new())));
                }
                Done::Updated if deactivates && self.held => {
                    self.tally(kind).updated += 1;
                    self.digests.extend(known.map(|(key, _)| (key, String::new())));
                }
                Done::Unchanged => {
                    self.tally(kind).unchanged += 1;
                    self.digests.extend(known.map(|(key, _)| (key, made_of)));
                }
                Done::Updated => {
                    self.applied.taken.users += i64::from(deactivates);
                    let tally = self.tally(kind);
                    *(if deactivates { &mut tally.deactivated } else { &mut tally.updated }) += 1;
                    self.digests.extend(known.map(|(key, _)| (key, made_of)));
                }
                Done::Taken(message) => {
                    taken.push((item, message));
                    continue;
                }
                Done::Failed(message) => {
                    self.refuse(&item, &message);
                    continue;
                }
            }
            if let (Item::Changed { update }, true) = (&item, deactivates) {
                let standing = if self.held { Standing::Held } else { Standing::Applied };
                self.note(deactivation(update, standing));
            }
        }
        let digests = std::mem::take(&mut self.digests);
        self.keep_digests(digests).await?;
        Ok(taken)
    }

    /// Notes what is in place, so that the next run knows it without reading it.
    pub(super) async fn keep_digests(
        &self,
        digests: Vec<(i64, String)>,
    ) -> Result<(), ServiceError> {
        if digests.is_empty() {
            return Ok(());
        }
        let key = self.job.row.key;
        let kept: Result<(), StoreError> = self
            .service
            .store
            .write("sync_digests", move |tx| match tx.directory_share(key)? {
                Some(shared) if shared.state != "deleting" => tx.sync_digests_put(key, &digests),
                _ => Ok(()),
            })
            .await;
        Ok(kept?)
    }

    pub(super) async fn item(&self, item: &Item) -> Result<Done, ServiceError> {
        match item {
            Item::New(record) => {
                let body = self.ids.body(record);
                let written = self.tried(None, |access| {
                    let (kind, body) = (record.kind, body.clone());
                    let id = self.ids.of_new(record).map(str::to_owned);
                    async move {
                        let resource_type = type_of(&access, kind)?;
                        let id = id.ok_or(StoreError::MissingReference)?;
                        self.service.create_as(&access, &resource_type, id, body).await
                    }
                });
                judged(written.await, |row| Done::Created(row.key))
            }
            Item::Changed { update } => {
                let (body, reason) = (self.changed_body(update), self.reason_of(update));
                let written = self.tried(reason, |access| {
                    let body = body.clone();
                    async move {
                        let revision = self.revision(&access, update, body)?;
                        self.service.revise(revision).await
                    }
                });
                judged(written.await, |row| Done::of(update, &row))
            }
        }
    }

    /// What of an update is stored now: a deactivation may have to wait for a decision.
    pub(super) fn changed_body(&self, update: &Update) -> Object {
        let mut body = self.ids.body(&update.record);
        if update.deactivates() && self.held {
            body.shift_remove("active");
        }
        body
    }

    pub(super) fn reason_of(&self, update: &Update) -> Option<Reason> {
        update.deactivates().then_some(Reason::PullSuspended)
    }

    /// What the source does not give stays, unless it gives all that it has.
    pub(super) fn revision(
        &self,
        access: &Access,
        update: &Update,
        body: Object,
    ) -> Result<Revision, ServiceError> {
        let (kind, id) = (update.known.kind, &update.known.id);
        let resource_type = type_of(access, kind)?;
        if self.whole && kind == Kind::Account && !update.record.is_partial {
            return self.service.replacement(access, &resource_type, id, None, body);
        }
        self.service.patching(access, &resource_type, id, None, &replacing(&body))
    }

    /// Does a change as the directory's, again when something was in the way.
    pub(super) async fn tried<T, F>(
        &self,
        reason: Option<Reason>,
        work: impl Fn(Access) -> F,
    ) -> Result<T, ServiceError>
    where
        F: Future<Output = Result<T, ServiceError>>,
    {
        let mut tries = 0;
        loop {
            if self.lease.is_lost() {
                // Somebody else has the directory by now, or it was stopped.
                return Err(StoreError::Unavailable("the run is cut off".to_owned()).into());
            }
            let access = self.access.read().await.clone();
            let access = reason.map_or(access.clone(), |reason| access.because(reason));
            let key = access.directory.key;
            let error = match on_behalf_of(key, work(access)).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let is_passing = match &error {
                ServiceError::SchemasChange
                | ServiceError::MembersChange
                | ServiceError::UndoRuns => true,
                ServiceError::Store(StoreError::Unique(_) | StoreError::LeaseLost) => false,
                ServiceError::Store(_) => true,
                ServiceError::Scim(_) | ServiceError::Admin(_) => false,
            };
            let is_lost = matches!(error, ServiceError::Store(StoreError::LeaseLost));
            if is_lost || matches!(&error, ServiceError::Scim(error) if error.status == 403) {
                // Somebody else's, frozen, or being deleted: nobody is tried any more, and the run goes on if it is
                // started again.
                self.lease.stop.store(true, Ordering::Relaxed);
            }
            tries += 1;
            if !is_passing || tries >= TRIES {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(20 << tries)).await;
            if matches!(error, ServiceError::SchemasChange) {
                *self.access.write().await = self.service.source_access(&self.job.row).await?;
            }
        }
    }

    async fn removals(&mut self, removals: Vec<Removal>) -> Result<(), ServiceError> {
        let is_proof = self.applied.counts.failed() == 0;
        let gone: HashSet<i64> = removals.iter().map(|removal| removal.known.key).collect();
        for removal in removals {
            if !self.goes_on() {
                return Ok(());
            }
            if removal.why.is_absence() && !is_proof {
                self.applied.spared += 1;
                continue;
            }
            let reason = reason_of(removal.why);
            if self.held {
                self.note(end_of(&removal.known, reason, Standing::Held));
                continue;
            }
            let (kind, id) = (removal.known.kind, removal.known.id.clone());
            let change = end_of(&removal.known, reason, Standing::Applied);
            match self.delete(kind, &id, reason).await {
                Ok(()) => {
                    self.tally(kind).deleted += 1;
                    self.count_end(&removal.known, &gone);
                    self.note(change);
                }
                Err(error) => {
                    let message = refusal(error)?;
                    self.tally(kind).failed += 1;
                    self.note(change.failed(message));
                }
            }
            self.lease.progress.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Who is gone already is gone.
    pub(super) async fn delete(
        &self,
        kind: Kind,
        id: &str,
        reason: Reason,
    ) -> Result<(), ServiceError> {
        let deleted = self.tried(Some(reason), |access| async move {
            let resource_type = type_of(&access, kind)?;
            self.service.delete(&access, &resource_type, id, None).await
        });
        match deleted.await {
            Err(ServiceError::Scim(error)) if error.status == 404 => Ok(()),
            deleted => deleted,
        }
    }
}

/// What changes in the members of a group, without those who come late, and those alone.
fn parted(change: MemberChange, late: &HashSet<String>) -> (MemberChange, MemberChange) {
    let (later, now) = change.add.into_iter().partition(|(_, id)| late.contains(id));
    let group = change.group.clone();
    (MemberChange { add: now, ..change }, MemberChange { group, add: later, ..Default::default() })
}

/// So many at a time.
pub(super) fn batches(items: Vec<Item>, size: usize) -> impl Iterator<Item = Vec<Item>> {
    let mut items = items.into_iter();
    std::iter::from_fn(move || {
        let batch: Vec<Item> = items.by_ref().take(size).collect();
        (!batch.is_empty()).then_some(batch)
    })
}

/// The result of a write, with refusals of the one object told apart from trouble that ends the run.
fn judged(
    written: Result<ResourceRow, ServiceError>,
    done: impl FnOnce(ResourceRow) -> Done,
) -> Result<Done, ServiceError> {
    match written {
        Ok(row) => Ok(done(row)),
        Err(ServiceError::Scim(error)) if error.scim_type == Some(ScimType::Uniqueness) => {
            Ok(Done::Taken(error.detail))
        }
        Err(error) => refusal(error).map(Done::Failed),
    }
}

/// Why one object is refused; trouble with the storage is an error of the run.
pub(super) fn refusal(error: ServiceError) -> Result<String, ServiceError> {
    match error {
        ServiceError::Scim(error) if error.status != 403 => Ok(error.detail),
        // The directory is being deleted, or the storage is in trouble.
        other => Err(other),
    }
}

pub(super) fn type_of(access: &Access, kind: Kind) -> Result<Arc<ResourceType>, ServiceError> {
    let name = if kind == Kind::Account { "User" } else { "Group" };
    let found = access.directory.registry.by_name(name).cloned();
    found.ok_or(ServiceError::SchemasChange)
}

pub(super) fn patch(operations: Vec<Value>) -> Object {
    let mut body = Object::new();
    body.insert("schemas".to_owned(), json!([urn::PATCH_OP]));
    body.insert("Operations".to_owned(), operations.into());
    body
}

/// Sets what is there; null takes away.
pub(super) fn replacing(attributes: &Object) -> Object {
    patch(vec![json!({"op": "replace", "value": attributes})])
}
