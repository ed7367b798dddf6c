//! The operations of one unit: each alone, so that one that fails leaves the others as they are.

use std::collections::HashSet;

use crate::scim::ScimError;
use crate::service::ServiceError;
use crate::service::deletion::Deletion;
use crate::service::unit::{Creation, Revision};
use crate::store::resource::ResourceRow;
use crate::store::{StoreError, Tx};

/// What an operation does, checked as far as it can be without the database.
pub(super) enum Change {
    Create(Creation),
    Revise(Revision),
    Delete(Deletion),
}

/// An operation of a unit.
pub(super) struct Task {
    pub(super) index: usize,
    /// References that must not have failed.
    pub(super) needs: HashSet<String>,
    /// The bulkId of a POST, which others may refer to.
    pub(super) new_name: Option<String>,
    pub(super) change: Result<Change, ScimError>,
}

/// What became of an operation: the row after it, or nothing for a DELETE.
pub(super) type Ran = (usize, Result<Option<ResourceRow>, ScimError>);

/// Runs tasks one after the other, each alone; stops after `allowed` errors.
pub(super) fn run_tasks(
    tx: &mut Tx<'_>,
    steps: &[Vec<Task>],
    mut failed: HashSet<String>,
    allowed: Option<usize>,
) -> Result<Vec<Ran>, StoreError> {
    let (mut ran, mut errors) = (Vec::new(), 0);
    for step in steps {
        if allowed.is_some_and(|allowed| errors >= allowed) {
            break;
        }
        for (task, result) in step.iter().zip(run_step(tx, step, &failed)?) {
            if result.is_err() {
                errors += 1;
                failed.extend(task.new_name.clone());
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
        let result = match (&task.change, task.needs.iter().find(|need| failed.contains(*need))) {
            (Err(refusal), _) => Err(refusal.clone()),
            (Ok(_), Some(need)) => Err(depends_on(need)),
            (Ok(change), None) => tx.part(|tx| change.run(tx))?.map_err(|error| error.to_scim()),
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
        match (&task.change, task.needs.iter().find(|need| failed.contains(*need))) {
            (Err(refusal), _) => return Ok(Err((index, refusal.clone()))),
            (Ok(_), Some(need)) => return Ok(Err((index, depends_on(need)))),
            (Ok(Change::Create(creation)), None) => creations.push(creation),
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

impl Change {
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
    let name = step.get(at).and_then(|task| task.new_name.clone()).unwrap_or_default();
    ScimError::new(
        409,
        format!(
            "The operation is part of a circle of references in which \"bulkId:{name}\" failed; \
             nothing of the circle was done."
        ),
    )
}
