//! The operations of one unit: each alone, so that one that fails leaves the others as they are.

use std::collections::HashSet;

use crate::scim::ScimError;
use crate::service::ServiceError;
use crate::service::deletion::{Deleted, Deletion};
use crate::service::unit::{Creation, Revision, Site, Stored};
use crate::store::resource::ResourceRow;
use crate::store::{StoreError, Tx};

/// What an operation does, checked as far as it can be without the database.
pub(super) enum Change {
    Create(Box<Creation>),
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

/// What a unit has run.
pub(super) struct RanSteps {
    pub(super) ran: Vec<Ran>,
    pub(super) steps: usize,
    pub(super) members: Members,
}

/// What changes of large groups there are to be finished before the next operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Members {
    Whole,
    /// The last operation leaves members to units of their own.
    Left,
    /// The next operation is about a group whose members another request changes.
    InTheWay,
}

/// What became of the operations of a step.
struct RanStep {
    results: Vec<Result<Option<ResourceRow>, ScimError>>,
    members: Members,
}

/// Runs tasks one after the other, each alone; stops after `allowed` errors, and after an operation that
/// leaves something to do, on which the next may depend. One that has a large change of another request in
/// its way fails, or ends the unit before it if it `waits`.
pub(super) fn run_tasks(
    tx: &mut Tx<'_>,
    steps: &[Vec<Task>],
    mut failed: HashSet<String>,
    allowed: Option<usize>,
    waits: bool,
) -> Result<RanSteps, StoreError> {
    let mut done = RanSteps { ran: Vec::new(), steps: 0, members: Members::Whole };
    let mut errors = 0;
    for step in steps {
        if done.members != Members::Whole || allowed.is_some_and(|allowed| errors >= allowed) {
            break;
        }
        let ran = run_step(tx, step, &failed)?;
        done.members = match ran.members {
            Members::InTheWay if !waits => Members::Whole,
            members => members,
        };
        if done.members == Members::InTheWay {
            break;
        }
        for (task, result) in step.iter().zip(ran.results) {
            if result.is_err() {
                errors += 1;
                failed.extend(task.new_name.clone());
            }
            done.ran.push((task.index, result));
        }
        done.steps += 1;
    }
    Ok(done)
}

fn run_step(
    tx: &mut Tx<'_>,
    step: &[Task],
    failed: &HashSet<String>,
) -> Result<RanStep, StoreError> {
    if let [task] = step {
        let mut members = Members::Whole;
        let result = match (&task.change, task.needs.iter().find(|need| failed.contains(*need))) {
            (Err(refusal), _) => Err(refusal.clone()),
            (Ok(_), Some(need)) => Err(depends_on(need)),
            (Ok(change), None) => {
                let ran = tx.part(|tx| change.run(tx))?;
                members = match &ran {
                    Ok((_, true)) => Members::Left,
                    Err(ServiceError::MembersChange) => Members::InTheWay,
                    _ => Members::Whole,
                };
                ran.map(|(row, _)| row).map_err(|error| error.to_scim())
            }
        };
        return Ok(RanStep { results: vec![result], members });
    }
    Ok(match run_circle(tx, step, failed)? {
        Ok(stored) => {
            let unfinished = stored.iter().any(|stored| stored.unfinished);
            RanStep {
                results: stored.into_iter().map(|stored| Ok(Some(at_the_end(stored)))).collect(),
                members: if unfinished { Members::Left } else { Members::Whole },
            }
        }
        Err((at, refusal)) => {
            let of = |index| if index == at { refusal.clone() } else { circle_failed(step, at) };
            let results = (0..step.len()).map(|index| Err(of(index))).collect();
            RanStep { results, members: Members::Whole }
        }
    })
}

/// A circle of references: every operation of it or none.
fn run_circle(
    tx: &mut Tx<'_>,
    step: &[Task],
    failed: &HashSet<String>,
) -> Result<Result<Vec<Stored>, (usize, ScimError)>, StoreError> {
    let mut creations = Vec::with_capacity(step.len());
    for (index, task) in step.iter().enumerate() {
        match (&task.change, task.needs.iter().find(|need| failed.contains(*need))) {
            (Err(refusal), _) => return Ok(Err((index, refusal.clone()))),
            (Ok(_), Some(need)) => return Ok(Err((index, depends_on(need)))),
            (Ok(Change::Create(creation)), None) => creations.push(creation.as_ref()),
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
    pub(super) fn site(&self) -> &Site {
        match self {
            Self::Create(creation) => &creation.site,
            Self::Revise(revision) => &revision.site,
            Self::Delete(deletion) => &deletion.site,
        }
    }

    /// The row after it, and whether it leaves members to units of their own.
    fn run(&self, tx: &mut Tx<'_>) -> Result<(Option<ResourceRow>, bool), ServiceError> {
        let stored = match self {
            Self::Create(creation) => creation.run(tx)?,
            Self::Revise(revision) => revision.run(tx, None)?,
            Self::Delete(deletion) => return Ok((None, deletion.run(tx)? != Deleted::Gone)),
        };
        let unfinished = stored.unfinished;
        Ok((Some(at_the_end(stored)), unfinished))
    }
}

/// The row as it is when the last unit has moved the version once more. If something else moved it, too,
/// nobody finds the version that is answered, and who writes on it reads again first.
fn at_the_end(stored: Stored) -> ResourceRow {
    let version = stored.row.version + i64::from(stored.unfinished);
    ResourceRow { version, ..stored.row }
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
