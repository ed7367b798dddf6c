//! What the use cases find out about one request while they do it.
//!
//! A unit may run again, so what it notes replaces what its earlier run noted. Whether it committed is
//! said by the answer: what a refused request would have changed is not taken over into its record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::profile::rewrite::Fired;
use crate::scim::resource::Notes;
use crate::store::resource::ResourceRow;

/// Operations of a bulk request that are noted in full; later ones only when they fail.
const FULL_OPERATIONS: usize = 100;

/// Operations of a bulk request that are noted at all.
const MAX_OPERATIONS: usize = 200;

/// Rewrites and ignored paths of one operation that are noted.
const MAX_NOTES: usize = 200;

/// A list of which only the first are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::service) struct Listed {
    pub(in crate::service) count: usize,
    pub(in crate::service) first: Vec<String>,
}

impl Listed {
    pub(in crate::service) fn push(&mut self, value: &str, most: usize) {
        self.count += 1;
        if self.first.len() < most {
            self.first.push(value.to_owned());
        }
    }

    /// Takes back what was pushed last.
    pub(in crate::service) fn take_back(&mut self, value: &str) {
        self.count = self.count.saturating_sub(1);
        if self.first.last().is_some_and(|last| last == value) {
            self.first.pop();
        }
    }
}

/// What a unit did to one resource.
#[derive(Clone, Debug, Default)]
pub(in crate::service) struct Changed {
    pub(in crate::service) resource_type: String,
    pub(in crate::service) id: String,
    /// The documents before and after; none where the resource is new or gone.
    pub(in crate::service) before: Option<String>,
    pub(in crate::service) after: Option<String>,
    /// `members` of a group, `groups` of a user who is gone.
    pub(in crate::service) relation: &'static str,
    pub(in crate::service) joined: Listed,
    pub(in crate::service) left: Listed,
    /// Member values that wait for their resources.
    pub(in crate::service) waiting: Listed,
    pub(in crate::service) event_ids: Listed,
}

/// What is known of one operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Finding {
    pub(super) rewritten: Vec<Fired>,
    pub(super) ignored: Vec<String>,
    /// The document that the request met.
    pub(super) met: Option<String>,
    pub(super) changed: Option<Changed>,
    /// The element of a bulk answer.
    pub(super) outcome: Option<Value>,
}

#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) received: Option<Vec<u8>>,
    /// By their place in a bulk request; zero for any other.
    pub(super) operations: BTreeMap<usize, Finding>,
}

/// Where the findings of a request go; nowhere for requests that need none. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    findings: Option<Arc<Mutex<Findings>>>,
    operation: usize,
}

impl Trace {
    pub fn off() -> Self {
        Self::default()
    }

    pub fn on() -> Self {
        Self { findings: Some(Arc::default()), operation: 0 }
    }

    pub fn is_on(&self) -> bool {
        self.findings.is_some()
    }

    /// For one operation of a bulk request.
    pub(in crate::service) fn of_operation(&self, index: usize) -> Self {
        Self { findings: self.findings.clone(), operation: index }
    }

    /// The body as it came.
    pub fn received(&self, body: &[u8]) {
        if let Some(findings) = &self.findings {
            let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
            findings.received = Some(body.to_vec());
        }
    }

    pub(in crate::service) fn rewritten(&self, mut fired: Vec<Fired>) {
        fired.truncate(MAX_NOTES);
        self.note(move |finding| finding.rewritten = fired);
    }

    pub(in crate::service) fn ignored(&self, notes: &Notes) {
        self.note(|finding| {
            finding.ignored = notes.ignored.iter().take(MAX_NOTES).cloned().collect();
        });
    }

    /// The resource that the request is about, before it does anything.
    pub(in crate::service) fn met(&self, row: &ResourceRow) {
        self.note(|finding| finding.met = Some(row.doc.clone()));
    }

    pub(in crate::service) fn changed(&self, changed: impl FnOnce() -> Changed) {
        self.note(|finding| finding.changed = Some(changed()));
    }

    /// Counts events of units after the one that was noted.
    pub(in crate::service) fn appended(&self, events: usize) {
        self.note(|finding| {
            if let Some(changed) = &mut finding.changed {
                changed.event_ids.count += events;
            }
        });
    }

    /// What a bulk answer says of an operation.
    pub(in crate::service) fn ended(&self, index: usize, failed: bool, outcome: &Value) {
        let Some(findings) = &self.findings else { return };
        let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
        let room = findings.operations.len() < MAX_OPERATIONS;
        if failed && room {
            findings.operations.entry(index).or_default();
        }
        if let Some(finding) = findings.operations.get_mut(&index) {
            finding.outcome = Some(outcome.clone());
        }
    }

    fn note(&self, note: impl FnOnce(&mut Finding)) {
        let Some(findings) = &self.findings else { return };
        if self.operation < FULL_OPERATIONS {
            let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
            note(findings.operations.entry(self.operation).or_default());
        }
    }

    /// Everything that was found; what is noted later is lost.
    pub(super) fn take(&self) -> Findings {
        match &self.findings {
            Some(findings) => {
                std::mem::take(&mut *findings.lock().unwrap_or_else(PoisonError::into_inner))
            }
            None => Findings::default(),
        }
    }

    /// About how many bytes of memory the findings hold.
    pub(super) fn size(&self) -> usize {
        let Some(findings) = &self.findings else { return 0 };
        let findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let operations = findings.operations.values().map(|finding| {
            let changed = finding.changed.as_ref().map_or(0, |changed| {
                let lists = [&changed.joined, &changed.left, &changed.waiting, &changed.event_ids];
                let listed = lists.iter().map(|list| list.first.len() * 64).sum::<usize>();
                text(&changed.before) + text(&changed.after) + listed
            });
            let notes = finding.rewritten.len() + finding.ignored.len();
            256 + text(&finding.met) + changed + notes * 96
        });
        findings.received.as_ref().map_or(0, Vec::len) + operations.sum::<usize>()
    }
}
