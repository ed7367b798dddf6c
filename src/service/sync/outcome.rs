//! How a run ended, in numbers and in words.

use serde_json::{Value, json};

use super::change::{About, Act, Change, Standing};
use super::found::Found;
use super::view::{Counts, status};
use crate::pull::guard::{Reason, Toll};
use crate::pull::plan::{Extent, Plan};
use crate::pull::{Absence, Fault, Finished, Kind, SourceError};
use crate::store::brake::Taken;

/// How a run ended.
pub(super) struct Outcome {
    pub(super) status: &'static str,
    pub(super) counts: Counts,
    pub(super) changes: Vec<Change>,
    pub(super) error: Option<SourceError>,
    pub(super) held: Option<Value>,
    /// What was taken away without a decision.
    pub(super) taken: Taken,
    /// Users, groups and memberships that are not listed and stay, because of objects that cannot be used.
    pub(super) spared: usize,
    /// Whose e-mail addresses the source shows no more, and who keep them.
    pub(super) kept: usize,
    /// A new cursor, and whether everything was read.
    pub(super) finished: Option<(Finished, Extent)>,
    /// What the source has, where everything was read.
    pub(super) found: Option<Found>,
    /// What it says that somebody is not listed.
    pub(super) absence: Absence,
}

impl Outcome {
    /// Whether everything was read.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.finished, Some((_, Extent::Everything)))
    }

    /// Whether everybody who is stored is listed or has gone: nothing waits, failed or was spared.
    pub(super) fn is_final(&self) -> bool {
        self.status == status::COMPLETED
            && self.counts.failed() == 0
            && self.spared == 0
            && self.absence == Absence::IsRemoval
    }

    pub(super) fn failed(error: SourceError) -> Self {
        Self {
            status: status::FAILED,
            counts: Counts::default(),
            changes: Vec::new(),
            error: Some(error),
            held: None,
            taken: Taken::default(),
            spared: 0,
            kept: 0,
            finished: None,
            found: None,
            absence: Absence::IsNothing,
        }
    }

    /// The same of a run that had let so many users in before.
    pub(super) fn after(mut self, begun: usize) -> Self {
        self.counts.users.created = begun;
        self
    }
}

/// A number with its word.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// What is not in place although the run went on: objects that could not be used, who stays for want of
/// proof, who keeps an address that the source does not show, and names of the scope that no group has.
/// `None` where all is.
pub(super) fn remarks(
    failed: usize,
    spared: usize,
    kept: usize,
    unscoped: &[String],
) -> Option<SourceError> {
    let mut said = Vec::new();
    if failed > 0 {
        let objects = counted(failed, "object", "objects");
        said.push(format!("{objects} of the source could not be used"));
    }
    // Without a fault it is a group of the scope whose members are hidden.
    let until = if failed > 0 { "all can" } else { "it shows the members of every group in scope" };
    match spared {
        0 => {}
        1 => said
            .push(format!("1 user, group or membership that it does not list stays until {until}")),
        _ => said.push(format!(
            "{spared} users, groups and memberships that it does not list stay until {until}"
        )),
    }
    if kept > 0 {
        said.push(format!(
            "the source shows no e-mail address any more of {kept} active users, who keep theirs; if they are \
             to go, set the guard to \"off\" for a run"
        ));
    }
    if !unscoped.is_empty() {
        said.push(format!("group_scope names what is no group: {}", unscoped.join(", ")));
    }
    (!said.is_empty()).then(|| SourceError::failed(said.join("; ")))
}

/// A read with more faults than the source may have: nothing of it counts.
pub(super) fn refused(plan: &Plan) -> Outcome {
    // The sentence of a fault may hold what the row holds: it stands sealed in the diff.
    let first = plan.faults.first().map(|fault| fault.place.as_str()).unwrap_or_default();
    let message = match plan.fault_count() {
        1 => format!("nothing was applied, because of a fault: {first}"),
        faults => format!("nothing was applied, because of {faults} faults; the first is {first}"),
    };
    without_effect(plan, message)
}

/// A read of which nothing can be used.
pub(super) fn useless(plan: &Plan) -> Outcome {
    let objects = counted(plan.fault_count(), "object", "objects");
    without_effect(plan, format!("not one of {objects} can be used; the diff of the run says why"))
}

fn without_effect(plan: &Plan, message: String) -> Outcome {
    let mut counts = Counts::default();
    let changes = of_faults(&plan.faults, plan.unlisted_faults, &mut counts);
    Outcome { counts, changes, ..Outcome::failed(SourceError::failed(message)) }
}

/// Faults as changes that were not made; `unlisted` of them stand behind the last one.
pub(super) fn of_faults(faults: &[Fault], unlisted: usize, counts: &mut Counts) -> Vec<Change> {
    counts.users.failed += unlisted.saturating_sub(1);
    faults.iter().map(|fault| of_fault(fault, counts)).collect()
}

fn of_fault(fault: &Fault, counts: &mut Counts) -> Change {
    let about = match fault.kind {
        Kind::Account => {
            counts.users.failed += 1;
            About::User
        }
        Kind::Group => {
            counts.groups.failed += 1;
            About::Group
        }
        Kind::Membership => {
            counts.groups.failed += 1;
            About::Membership
        }
    };
    Change::new(about, Act::Skip, Standing::Failed, &fault.place).failed(fault.message.clone())
}

pub(super) fn held_view(reason: Reason, toll: &Toll) -> Value {
    json!({
        "reason": reason,
        "users": toll.users,
        "of_active_users": toll.active_users,
        "inactive_users": toll.inactive_users,
        "memberships": toll.memberships,
        "of_memberships": toll.all_memberships,
        "role_groups": toll.role_groups,
        "earlier": toll.earlier,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_used_is_said_in_numbers_that_fit() {
        let said = |failed, spared| remarks(failed, spared, 0, &[]).map(|e| e.message().to_owned());
        assert_eq!(said(0, 0), None);
        let hidden = "2 users, groups and memberships that it does not list stay until it shows the members of \
                      every group in scope";
        assert_eq!(said(0, 2).as_deref(), Some(hidden));
        assert_eq!(said(1, 0).as_deref(), Some("1 object of the source could not be used"));
        let both = "40 objects of the source could not be used; 2 users, groups and memberships that it does \
                    not list stay until all can";
        assert_eq!(said(40, 2).as_deref(), Some(both));
        assert!(
            said(2, 1)
                .is_some_and(|text| text.ends_with("that it does not list stays until all can"))
        );
    }
}
