//! Bulk (RFC 7644 §3.7): the operations of a request, in bounded units.
//!
//! Every operation is atomic by itself; a circle of references is one operation for that purpose. A
//! unit runs some of them and ends, so that other writers get their turn: however large the request,
//! nobody waits longer than for one unit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::authenticate::Access;
use super::render::location;
use super::unit::{Creation, Deletion, Revision};
use super::{Service, ServiceError};
use crate::scim::bulk::{self, BulkRequest, Entry, Method, Operation, Outcome, Reference};
use crate::scim::resource::meta::{Condition, etag};
use crate::scim::{Object, ResourceType, ScimError};
use crate::store::resource::ResourceRow;
use crate::store::{StoreError, Tx};

/// Most operations in one request.
pub const MAX_OPERATIONS: usize = 10_000;

/// Operations in one unit, and the bytes of their data: what keeps a unit short.
const UNIT_OPERATIONS: usize = 50;
const UNIT_BYTES: usize = 256 * 1024;

/// Operations in one circle of references: it is one unit.
const MAX_CIRCLE: usize = 200;

/// A bulk request on its way.
pub struct BulkRun {
    access: Arc<Access>,
    base: String,
    request: BulkRequest,
    steps: Vec<Vec<usize>>,
    /// bulkId → its POST.
    posts: HashMap<String, usize>,
    /// bulkId → the id that its POST gives; none where the POST cannot be done.
    ids: HashMap<String, String>,
    failed: HashSet<String>,
    errors: usize,
    outcomes: Vec<Option<Outcome>>,
    /// How many of `steps` are done.
    done: usize,
}

/// What an operation does, checked as far as it can be without the database.
enum Job {
    Create(Creation),
    Revise(Revision),
    Delete(Deletion),
}

/// An operation of a unit.
struct Task {
    index: usize,
    /// References that must not have failed.
    needs: HashSet<String>,
    /// What others call its resource.
    name: Option<String>,
    job: Result<Job, ScimError>,
}

/// What became of an operation: the row after it, or nothing for a DELETE.
type Ran = (usize, Result<Option<ResourceRow>, ScimError>);

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
        let steps = bulk::plan(&request).steps;
        let (mut posts, mut ids) = (HashMap::new(), HashMap::new());
        for (bulk_id, index) in request.posts() {
            posts.insert(bulk_id.to_owned(), index);
            let operation = request.operations.get(index).and_then(|e| e.operation.as_ref().ok());
            let resource_type = operation.and_then(|o| directory.resource_type(&o.endpoint).ok());
            if let Some(resource_type) = resource_type {
                ids.insert(bulk_id.to_owned(), self.clock.id(&resource_type.id_prefix));
            }
        }
        let outcomes = request.operations.iter().map(|_| None).collect();
        Ok(BulkRun {
            access: Arc::clone(access),
            base: base.to_owned(),
            request,
            steps,
            posts,
            ids,
            failed: HashSet::new(),
            errors: 0,
            outcomes,
            done: 0,
        })
    }

    /// Runs a whole bulk request; the answer has an element for each operation that was tried.
    pub async fn bulk(&self, mut run: BulkRun) -> Value {
        while self.bulk_unit(&mut run).await {}
        run.answer()
    }

    /// Runs the next unit; false when nothing is left to do.
    pub async fn bulk_unit(&self, run: &mut BulkRun) -> bool {
        let Some((steps, tasks)) = self.next_unit(run) else { return false };
        let allowed = run.request.fail_on_errors.map(|limit| limit.saturating_sub(run.errors));
        let failed = run.failed.clone();
        let indexes: Vec<usize> = tasks.iter().flatten().map(|task| task.index).collect();
        let ran: Result<Vec<Ran>, ServiceError> = self
            .store
            .write("bulk", move |tx| run_tasks(tx, &tasks, failed.clone(), allowed))
            .await;
        let ran = self.notice(ran).unwrap_or_else(|error| {
            tracing::error!(%error, operations = indexes.len(), "a unit of a bulk request failed");
            let refusal = error.to_scim();
            indexes.into_iter().map(|index| (index, Err(refusal.clone()))).collect()
        });
        for (index, result) in ran {
            run.note(index, &result);
        }
        run.done += steps;
        true
    }

    /// The tasks of the next unit, by step, and how many steps they are.
    fn next_unit(&self, run: &BulkRun) -> Option<(usize, Vec<Vec<Task>>)> {
        if run.request.fail_on_errors.is_some_and(|limit| run.errors >= limit) {
            return None;
        }
        let (mut tasks, mut operations, mut bytes) = (Vec::new(), 0, 0);
        for step in run.steps.get(run.done..)? {
            if !tasks.is_empty() && (operations >= UNIT_OPERATIONS || bytes >= UNIT_BYTES) {
                break;
            }
            let of_step: Vec<Task> =
                step.iter().filter_map(|index| self.task(run, *index, step.len())).collect();
            operations += of_step.len();
            let entries = step.iter().filter_map(|index| run.request.operations.get(*index));
            bytes += entries.map(size_of_data).sum::<usize>();
            tasks.push(of_step);
        }
        (!tasks.is_empty()).then_some((tasks.len(), tasks))
    }

    fn task(&self, run: &BulkRun, index: usize, circle: usize) -> Option<Task> {
        let entry = run.request.operations.get(index)?;
        let (needs, job) = match &entry.operation {
            Err(refusal) => (HashSet::new(), Err(refusal.clone())),
            Ok(_) if circle > MAX_CIRCLE => {
                let detail = format!(
                    "The operation is one of {circle} that refer to each other in a circle; at most \
                     {MAX_CIRCLE} can be resolved together."
                );
                (HashSet::new(), Err(ScimError::new(409, detail)))
            }
            Ok(operation) => (operation.references(), self.job(run, entry, operation.clone())),
        };
        Some(Task { index, needs, name: run.name(index).cloned(), job })
    }

    fn job(
        &self,
        run: &BulkRun,
        entry: &Entry,
        mut operation: Operation,
    ) -> Result<Job, ScimError> {
        let access = &run.access;
        let resource_type = access.directory.resource_type(&operation.endpoint)?.clone();
        operation.resolve(|bulk_id| match run.ids.get(bulk_id) {
            Some(id) => Reference::Known(id),
            None if run.posts.contains_key(bulk_id) => Reference::Failed,
            None => Reference::Unknown,
        })?;
        let condition = operation.version.as_deref().map(Condition::parse);
        let id = operation.id.unwrap_or_default();
        let job = match operation.method {
            Method::Post => {
                let made = entry.bulk_id.as_ref().and_then(|bulk_id| run.ids.get(bulk_id));
                let id = made.cloned().unwrap_or_default();
                self.creation(access, &resource_type, id, operation.data).map(Job::Create)
            }
            Method::Put => self
                .replacement(access, &resource_type, &id, condition, operation.data)
                .map(Job::Revise),
            Method::Patch => self
                .patching(access, &resource_type, &id, condition, &operation.data)
                .map(Job::Revise),
            Method::Delete => {
                Ok(Job::Delete(self.deletion(access, &resource_type, &id, condition)))
            }
        };
        job.map_err(|error| error.to_scim())
    }
}

fn size_of_data(entry: &Entry) -> usize {
    match &entry.operation {
        Ok(operation) => Value::Object(operation.data.clone()).to_string().len(),
        Err(_) => 0,
    }
}

/// Runs tasks one after the other, each alone; stops after `allowed` errors.
fn run_tasks(
    tx: &mut Tx<'_>,
    steps: &[Vec<Task>],
    mut failed: HashSet<String>,
    allowed: Option<usize>,
) -> Result<Vec<Ran>, ServiceError> {
    let (mut ran, mut errors) = (Vec::new(), 0);
    for step in steps {
        if allowed.is_some_and(|allowed| errors >= allowed) {
            break;
        }
        for (task, result) in step.iter().zip(run_step(tx, step, &failed)?) {
            if result.is_err() {
                errors += 1;
                failed.extend(task.name.clone());
            }
            ran.push((task.index, result));
        }
    }
    Ok(ran)
}

fn run_step(
    tx: &mut Tx<'_>,
    step: &[Task],
    failed: &HashSet<String>,
) -> Result<Vec<Result<Option<ResourceRow>, ScimError>>, StoreError> {
    if let [task] = step {
        let result = match (&task.job, task.needs.iter().find(|need| failed.contains(*need))) {
            (Err(refusal), _) => Err(refusal.clone()),
            (Ok(_), Some(need)) => Err(depends_on(need)),
            (Ok(job), None) => tx.part(|tx| job.run(tx))?.map_err(|error| error.to_scim()),
        };
        return Ok(vec![result]);
    }
    let result = run_circle(tx, step, failed)?;
    Ok(match result {
        Ok(rows) => rows.into_iter().map(|row| Ok(Some(row))).collect(),
        Err((at, refusal)) => (0..step.len())
            .map(|index| Err(if index == at { refusal.clone() } else { circle_failed(step, at) }))
            .collect(),
    })
}

/// A circle of references: every operation of it or none.
fn run_circle(
    tx: &mut Tx<'_>,
    step: &[Task],
    failed: &HashSet<String>,
) -> Result<Result<Vec<ResourceRow>, (usize, ScimError)>, StoreError> {
    let mut creations = Vec::with_capacity(step.len());
    for (index, task) in step.iter().enumerate() {
        match (&task.job, task.needs.iter().find(|need| failed.contains(*need))) {
            (Err(refusal), _) => return Ok(Err((index, refusal.clone()))),
            (Ok(_), Some(need)) => return Ok(Err((index, depends_on(need)))),
            (Ok(Job::Create(creation)), None) => creations.push(creation),
            (Ok(_), None) => {}
        }
    }
    let mut at = 0;
    let made = tx.part(|tx| {
        Creation::run_circle(tx, &creations).map_err(|(index, error)| {
            at = index;
            error
        })
    })?;
    Ok(made.map_err(|error| (at, error.to_scim())))
}

impl Job {
    fn run(&self, tx: &mut Tx<'_>) -> Result<Option<ResourceRow>, ServiceError> {
        match self {
            Self::Create(creation) => creation.run(tx).map(Some),
            Self::Revise(revision) => revision.run(tx, None).map(Some),
            Self::Delete(deletion) => deletion.run(tx).map(|()| None),
        }
    }
}

fn depends_on(bulk_id: &str) -> ScimError {
    ScimError::new(
        409,
        format!("The operation refers to \"bulkId:{bulk_id}\", whose operation failed."),
    )
}

fn circle_failed(step: &[Task], at: usize) -> ScimError {
    let name = step.get(at).and_then(|task| task.name.clone()).unwrap_or_default();
    ScimError::new(
        409,
        format!(
            "The operation is part of a circle of references in which \"bulkId:{name}\" failed; \
             nothing of the circle was done."
        ),
    )
}

impl BulkRun {
    /// Operations that were tried, and all of them.
    pub fn progress(&self) -> (usize, usize) {
        let tried = self.outcomes.iter().flatten().count();
        (tried, self.outcomes.len())
    }

    /// The BulkResponse, in the order of the request.
    pub fn answer(&self) -> Value {
        bulk::response(self.outcomes.iter().flatten())
    }

    /// The bulkId of an operation, if it is its own: other operations may repeat that of a POST, and
    /// what becomes of them is nothing to those who refer to it.
    fn name(&self, index: usize) -> Option<&String> {
        let bulk_id = self.request.operations.get(index)?.bulk_id.as_ref()?;
        (self.posts.get(bulk_id) == Some(&index)).then_some(bulk_id)
    }

    fn note(&mut self, index: usize, result: &Result<Option<ResourceRow>, ScimError>) {
        if result.is_err() {
            self.errors += 1;
            self.failed.extend(self.name(index).cloned());
        }
        let Some(entry) = self.request.operations.get(index) else { return };
        let method = entry.operation.as_ref().map(|operation| operation.method).ok();
        let row = result.as_ref().ok().and_then(Option::as_ref);
        let status = match method {
            Some(Method::Post) => 201,
            Some(Method::Delete) => 204,
            _ => 200,
        };
        let outcome = Outcome {
            method: entry.method.clone(),
            bulk_id: entry.bulk_id.clone(),
            location: self.location(entry, row),
            version: row.map(|row| etag(row.version, None)),
            status: result.as_ref().map(|_| status).map_err(ScimError::clone),
        };
        if let Some(slot) = self.outcomes.get_mut(index) {
            *slot = Some(outcome);
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
