//! Bulk (RFC 7644 §3.7): the operations of a request, in bounded units.
//!
//! Every operation is atomic by itself; a circle of references is one operation for that purpose. A
//! unit runs some of them and ends, so that other writers get their turn: however large the request,
//! nobody waits longer than for one unit.

mod tasks;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::authenticate::Access;
use super::context::Directory;
use super::context::State;
use super::identity::Scope;
use super::membership;
use super::policy::InForce;
use super::render::location;
use super::{Service, ServiceError};
use crate::scim::bulk::{self, BulkRequest, Entry, Method, Operation, Outcome, Reference};
use crate::scim::message::MissingSchemas;
use crate::scim::resource::meta::{Condition, etag};
use crate::scim::{Object, ResourceType, ScimError, urn};
use crate::store::directory::Shared;
use crate::store::pending::Guard;
use crate::store::resource::ResourceRow;
use crate::store::{StoreError, Tx};
use tasks::{Change, Members, Ran, Task, run_tasks};

/// Most operations in one request.
pub const MAX_OPERATIONS: usize = 10_000;

/// Operations in one unit, and the bytes of their data: what keeps a unit short.
const UNIT_OPERATIONS: usize = 50;
const UNIT_BYTES: usize = 256 * 1024;

/// Operations in one circle of references: it is one unit.
const MAX_CIRCLE: usize = 200;

/// bulkId → the id that its POST gives.
pub(super) type NewIds = HashMap<String, String>;

/// What a bulk request asks for.
struct Job {
    access: Arc<Access>,
    base: String,
    request: BulkRequest,
    /// bulkId → its POST.
    posts: HashMap<String, usize>,
    /// None where the POST cannot be done.
    ids: NewIds,
    /// bulkIds that operations refer to: what is made has the id that was decided for it.
    referred: HashSet<String>,
}

/// A bulk request on its way.
pub struct BulkRun {
    job: Arc<Job>,
    steps: Vec<Vec<usize>>,
    failed: HashSet<String>,
    errors: usize,
    outcomes: Vec<Option<Value>>,
    /// How many of `steps` are done.
    done: usize,
    /// Where outcomes are kept, for a request that outlives its process.
    pub(super) kept: Option<Kept>,
}

/// A request in the database that this process runs.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) directory_key: i64,
    pub(super) id: String,
    pub(super) runner: String,
    pub(super) lease: i64,
}

/// What came of trying to run the next unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Done,
    /// The database did not take the unit, another process has the request, or it was read with
    /// schemas that are no longer the directory's. Whoever takes the request over goes on.
    Stopped,
}

/// What a unit answers: index, whether it failed, and the element of the answer.
type Noted = Vec<(usize, bool, Value)>;

impl Service {
    /// Reads a bulk request and decides the ids of its new resources.
    pub fn bulk_begin(
        &self,
        access: &Arc<Access>,
        base: &str,
        body: Object,
    ) -> Result<BulkRun, ScimError> {
        let directory = &access.directory;
        let request = bulk::parse(body, MAX_OPERATIONS, directory.profile.missing_schemas())?;
        let mut ids = NewIds::new();
        // In the order of the request: ids rise, and lists are in the order of ids.
        let mut posts: Vec<(&str, usize)> = request.posts().into_iter().collect();
        posts.sort_unstable_by_key(|(_, index)| *index);
        for (bulk_id, index) in posts {
            let operation = request.operations.get(index).and_then(|e| e.operation.as_ref().ok());
            let resource_type = operation.and_then(|o| directory.resource_type(&o.endpoint).ok());
            if let Some(resource_type) = resource_type {
                ids.insert(bulk_id.to_owned(), self.clock.id(&resource_type.id_prefix));
            }
        }
        Ok(BulkRun::new(access, base, request, ids))
    }

    /// Runs a whole bulk request; the answer has an element for each operation that was tried.
    pub async fn bulk(&self, mut run: BulkRun) -> Value {
        while self.bulk_unit(&mut run).await == Progress::More {}
        run.answer()
    }

    /// Runs the next unit.
    pub(super) async fn bulk_unit(&self, run: &mut BulkRun) -> Progress {
        let Some((steps, tasks)) = self.next_unit(run) else { return Progress::Done };
        let request = &run.job.request;
        let allowed = request.fail_on_errors.map(|limit| limit.saturating_sub(run.errors));
        let (failed, job, kept) = (run.failed.clone(), Arc::clone(&run.job), run.kept.clone());
        let indexes: Vec<usize> = tasks.iter().flatten().map(|task| task.index).collect();
        let now = self.clock.now_ms();
        let ran: Result<Option<(Noted, usize, Members)>, ServiceError> = self
            .store
            .write("bulk", move |tx| {
                if let Some(kept) = &kept
                    && !hold(tx, kept, &job.access.directory)?
                {
                    return Ok(None);
                }
                // Several operations in one unit: some may look for what others write.
                let shared = tx.directory_share(job.access.directory.key)?;
                if kept.is_none() {
                    still_let_in(tx, &job.access, shared.as_ref(), now)?;
                }
                // Before the first operation locks anything: a later one may be about a user.
                if shared.is_some_and(|shared| concerns_identities(&tasks, &shared)) {
                    Scope::enter(tx, &job.access.directory)?;
                }
                membership::guard(tx, &job.access.directory, Guard::Look)?;
                // What was accepted is not ended by what is in its way for a moment.
                let done = run_tasks(tx, &tasks, failed.clone(), allowed, kept.is_some())?;
                let noted = job.noted(done.ran);
                keep(tx, kept.as_ref(), &noted)?;
                Ok(Some((noted, done.steps, done.members)))
            })
            .await;
        let (noted, steps, members) = match self.notice(ran) {
            Ok(Some(done)) => done,
            Ok(None) => return Progress::Stopped,
            Err(error) => {
                let operations = indexes.len();
                if !matches!(error, ServiceError::Scim(_)) {
                    tracing::error!(%error, operations, "a unit of a bulk request failed");
                }
                // What is kept is tried again; what is not is answered.
                if run.kept.is_some() {
                    return Progress::Stopped;
                }
                let refused = indexes.into_iter().map(|index| (index, Err(error.to_scim())));
                (run.job.noted(refused.collect()), steps, Members::Whole)
            }
        };
        run.note(noted);
        run.done += steps;
        if members == Members::Left {
            self.intent_metrics.split.inc();
        }
        if members != Members::Whole {
            let directory_key = run.job.access.directory.key;
            if let Err(error) = self.finish_member_changes_of(directory_key).await {
                tracing::warn!(%error, "members of a bulk request are not changed yet");
                // It is stored and will be done; what follows may need it.
                if run.kept.is_some() {
                    return Progress::Stopped;
                }
            }
        }
        Progress::More
    }

    /// The tasks of the next unit, by step, and how many steps they are.
    fn next_unit(&self, run: &BulkRun) -> Option<(usize, Vec<Vec<Task>>)> {
        let job = &run.job;
        if job.request.fail_on_errors.is_some_and(|limit| run.errors >= limit) {
            return None;
        }
        let (mut tasks, mut operations, mut bytes) = (Vec::new(), 0, 0);
        for step in run.steps.get(run.done..)? {
            if !tasks.is_empty() && (operations >= UNIT_OPERATIONS || bytes >= UNIT_BYTES) {
                break;
            }
            let of_step: Vec<Task> =
                step.iter().filter_map(|index| self.task(job, *index, step.len())).collect();
            operations += of_step.len();
            let entries = step.iter().filter_map(|index| job.request.operations.get(*index));
            bytes += entries.map(size_of_data).sum::<usize>();
            tasks.push(of_step);
        }
        (!tasks.is_empty()).then_some((tasks.len(), tasks))
    }

    fn task(&self, job: &Job, index: usize, circle: usize) -> Option<Task> {
        let entry = job.request.operations.get(index)?;
        let (needs, change) = match &entry.operation {
            Err(refusal) => (HashSet::new(), Err(refusal.clone())),
            Ok(_) if circle > MAX_CIRCLE => {
                let detail = format!(
                    "The operation is one of {circle} that refer to each other in a circle; at most \
                     {MAX_CIRCLE} can be resolved together."
                );
                (HashSet::new(), Err(ScimError::new(409, detail)))
            }
            Ok(operation) => (operation.references(), self.change(job, index, operation.clone())),
        };
        Some(Task { index, needs, new_name: job.new_name(index).cloned(), change })
    }

    fn change(
        &self,
        job: &Job,
        index: usize,
        mut operation: Operation,
    ) -> Result<Change, ScimError> {
        let access = &job.access.traced(job.access.trace.of_operation(index));
        let resource_type = access.directory.resource_type(&operation.endpoint)?.clone();
        if resource_type.is_read_only() {
            let detail = format!("A {} cannot be written over SCIM.", resource_type.name);
            return Err(ScimError::new(405, detail));
        }
        operation.resolve(|bulk_id| match job.ids.get(bulk_id) {
            Some(id) => Reference::Known(id),
            None if job.posts.contains_key(bulk_id) => Reference::Failed,
            None => Reference::Unknown,
        })?;
        let condition = operation.version.as_deref().map(Condition::parse);
        let id = operation.id.unwrap_or_default();
        let change = match operation.method {
            Method::Post => {
                let made = job.new_name(index).and_then(|name| job.ids.get(name).cloned());
                let id = made.unwrap_or_default();
                let mut creation = self.creation(access, &resource_type, id, operation.data);
                let name = job.new_name(index);
                if let (Ok(creation), true) =
                    (&mut creation, name.is_some_and(|name| job.referred.contains(name)))
                {
                    creation.revive = None;
                }
                creation.map(|creation| Change::Create(Box::new(creation)))
            }
            Method::Put => self
                .replacement(access, &resource_type, &id, condition, operation.data)
                .map(Change::Revise),
            Method::Patch => self
                .patching(access, &resource_type, &id, condition, &operation.data)
                .map(Change::Revise),
            Method::Delete => {
                Ok(Change::Delete(self.deletion(access, &resource_type, &id, condition)))
            }
        };
        change.map_err(|error| error.to_scim())
    }
}

/// A long request ends early when its token is revoked or its directory is stopped: nobody goes on
/// writing with what no longer opens anything.
fn still_let_in(
    tx: &mut Tx<'_>,
    access: &Access,
    shared: Option<&Shared>,
    now: i64,
) -> Result<(), ServiceError> {
    if !access.holder.is_let_in(tx, access.directory.key, now)? {
        return Err(ScimError::new(401, "The bearer token has expired or was revoked.").into());
    }
    match shared.and_then(|shared| State::parse(&shared.state)) {
        Some(State::Paused) => {
            Err(ScimError::new(503, "This directory is paused by its operator.").into())
        }
        Some(State::Disabled) => {
            Err(ScimError::new(403, "This directory is disabled by its operator.").into())
        }
        _ => Ok(()),
    }
}

/// Whether one of the operations may change what the app sees of a user.
fn concerns_identities(tasks: &[Vec<Task>], shared: &Shared) -> bool {
    let in_force = InForce::new(&shared.settings, shared.policy_cursor);
    let changes = tasks.iter().flatten().filter_map(|task| task.change.as_ref().ok());
    changes.map(Change::site).any(|site| site.concerns_identities(&in_force))
}

fn size_of_data(entry: &Entry) -> usize {
    match &entry.operation {
        Ok(operation) => Value::Object(operation.data.clone()).to_string().len(),
        Err(_) => 0,
    }
}

/// Holds the request for a unit that may go on with it. The directory is locked first, as a purge
/// locks it.
fn hold(tx: &mut Tx<'_>, kept: &Kept, directory: &Directory) -> Result<bool, StoreError> {
    let shared = tx.directory_share(kept.directory_key)?;
    let current = shared.is_some_and(|shared| {
        !shared.converting && shared.schema_version == directory.schema_version
    });
    Ok(current && tx.async_hold(kept.directory_key, &kept.id, &kept.runner, kept.lease)?)
}

fn keep(tx: &mut Tx<'_>, kept: Option<&Kept>, noted: &Noted) -> Result<(), StoreError> {
    let Some(kept) = kept else { return Ok(()) };
    for (index, _, outcome) in noted {
        let index = i32::try_from(*index).unwrap_or(i32::MAX);
        tx.async_note(kept.directory_key, &kept.id, index, &outcome.to_string())?;
    }
    Ok(())
}

impl Job {
    /// The name by which other operations can refer to what this one makes: they may repeat it, and
    /// what becomes of them is nothing to those who refer to it.
    fn new_name(&self, index: usize) -> Option<&String> {
        let bulk_id = self.request.operations.get(index)?.bulk_id.as_ref()?;
        (self.posts.get(bulk_id) == Some(&index)).then_some(bulk_id)
    }

    fn noted(&self, ran: Vec<Ran>) -> Noted {
        let one = |(index, result): Ran| {
            let entry = self.request.operations.get(index)?;
            let failed = result.is_err();
            let outcome = self.outcome(entry, result).to_value();
            self.access.trace.ended(index, failed, &outcome);
            Some((index, failed, outcome))
        };
        ran.into_iter().filter_map(one).collect()
    }

    fn outcome(&self, entry: &Entry, result: Result<Option<ResourceRow>, ScimError>) -> Outcome {
        let method = entry.operation.as_ref().map(|operation| operation.method).ok();
        let row = result.as_ref().ok().and_then(Option::as_ref);
        let status = match method {
            Some(Method::Post) => 201,
            Some(Method::Delete) => 204,
            _ => 200,
        };
        Outcome {
            method: entry.method.clone(),
            bulk_id: entry.bulk_id.clone(),
            location: self.location(entry, row),
            version: row.map(|row| etag(row.version, None)),
            status: result.map(|_| status),
        }
    }

    /// The URL that the operation was about; a reference in it is shown as the id it stands for.
    fn location(&self, entry: &Entry, row: Option<&ResourceRow>) -> Option<String> {
        let operation = entry.operation.as_ref().ok()?;
        let resource_type: &ResourceType =
            self.access.directory.resource_type(&operation.endpoint).ok()?;
        let id = match (row, &operation.id) {
            (Some(row), _) => row.id.as_str(),
            (None, Some(id)) => {
                let reference = id.strip_prefix("bulkId:").and_then(|name| self.ids.get(name));
                reference.map_or(id.as_str(), String::as_str)
            }
            (None, None) => return None,
        };
        Some(location(&self.base, resource_type, id))
    }
}

impl BulkRun {
    /// Key of the organization, where that keeps identities.
    pub(super) fn identities(&self) -> Option<i64> {
        self.job.access.directory.identities
    }

    fn new(access: &Arc<Access>, base: &str, request: BulkRequest, ids: NewIds) -> Self {
        let posts = request.posts().into_iter();
        let posts = posts.map(|(name, index)| (name.to_owned(), index)).collect();
        let operations =
            request.operations.iter().filter_map(|entry| entry.operation.as_ref().ok());
        let referred = operations.flat_map(Operation::references).collect();
        Self {
            steps: bulk::plan(&request).steps,
            failed: HashSet::new(),
            errors: 0,
            outcomes: request.operations.iter().map(|_| None).collect(),
            done: 0,
            kept: None,
            job: Arc::new(Job {
                access: Arc::clone(access),
                base: base.to_owned(),
                referred,
                request,
                posts,
                ids,
            }),
        }
    }

    /// A request that was begun before: with the ids that were decided then, and what became of its
    /// first operations. It was accepted then, so its frame is not judged by what the profile of the
    /// directory wants now.
    pub(super) fn resumed(
        access: &Arc<Access>,
        base: &str,
        body: Object,
        ids: NewIds,
        results: Noted,
    ) -> Result<Self, ScimError> {
        let request = bulk::parse(body, MAX_OPERATIONS, MissingSchemas::Accept)?;
        let mut run = Self::new(access, base, request, ids);
        run.note(results);
        let tried = |step: &&Vec<usize>| {
            step.iter().all(|index| run.outcomes.get(*index).is_some_and(Option::is_some))
        };
        run.done = run.steps.iter().take_while(tried).count();
        Ok(run)
    }

    pub(super) fn ids(&self) -> &NewIds {
        &self.job.ids
    }

    fn note(&mut self, noted: Noted) {
        for (index, failed, outcome) in noted {
            if failed {
                self.errors += 1;
                self.failed.extend(self.job.new_name(index).cloned());
            }
            if let Some(slot) = self.outcomes.get_mut(index) {
                *slot = Some(outcome);
            }
        }
    }

    /// The BulkResponse, in the order of the request.
    pub fn answer(self) -> Value {
        let outcomes: Vec<Value> = self.outcomes.into_iter().flatten().collect();
        answer(&outcomes)
    }
}

/// A BulkResponse of elements that were made before.
pub(super) fn answer(operations: &[Value]) -> Value {
    serde_json::json!({"schemas": [urn::BULK_RESPONSE], "Operations": operations})
}
