//! What a run has done, would do or waits to do, as an operator reads it. Kept sealed: it names people.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Syncs;
use crate::event::Reason;
use crate::pull::Kind;
use crate::pull::plan::{Known, Record, Update, Why};
use crate::service::error::AdminError;
use crate::service::seen::object;

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum About {
    User,
    Group,
    Membership,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Act {
    Create,
    Update,
    Deactivate,
    Delete,
    Add,
    Remove,
    /// Nothing can be done about it.
    Skip,
}

/// Whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Standing {
    /// A dry run would do it.
    Planned,
    Applied,
    /// It waits for a decision.
    Held,
    Failed,
}

impl Standing {
    pub(super) fn parse(word: &str) -> Result<Self, AdminError> {
        serde_json::from_value(word.into()).map_err(|_| {
            let word: String = word.chars().take(80).collect();
            let message = format!("it is \"{word}\"; allowed is planned, applied, held or failed.");
            AdminError::invalid("status", message)
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) kind: About,
    pub(super) action: Act,
    pub(super) status: Standing,
    /// The id here; of a membership that of the member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// The source's id, or where it stands.
    pub(super) source_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// Of a membership: the group's id here, and its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) group_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<String>,
    /// Why somebody goes: `pull_missing`, `pull_suspended`, `filter_excluded`, `out_of_scope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// Names of attributes that change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) attributes: Vec<String>,
    /// Why it failed, a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
}

impl Change {
    pub(super) fn new(kind: About, action: Act, status: Standing, source_id: &str) -> Self {
        Self {
            kind,
            action,
            status,
            id: None,
            source_id: source_id.to_owned(),
            name: None,
            group_id: None,
            group: None,
            reason: None,
            attributes: Vec::new(),
            message: None,
        }
    }

    pub(super) fn failed(self, message: impl Into<String>) -> Self {
        Self { status: Standing::Failed, message: Some(message.into()), ..self }
    }

    /// As the API shows it.
    pub(super) fn shown(&self, number: i64) -> Value {
        let mut shown = json!(self);
        if let Some(members) = shown.as_object_mut() {
            members.shift_insert(0, "number".to_owned(), number.into());
        }
        shown
    }
}

pub(super) fn about(kind: Kind) -> About {
    match kind {
        Kind::Account => About::User,
        Kind::Group => About::Group,
        Kind::Membership => About::Membership,
    }
}

pub(super) fn reason_of(why: Why) -> Reason {
    match why {
        Why::Missing | Why::Deleted => Reason::PullMissing,
        Why::Excluded => Reason::FilterExcluded,
        Why::OutOfScope => Reason::OutOfScope,
    }
}

pub(super) fn end_of(known: &Known, reason: Reason, standing: Standing) -> Change {
    Change {
        id: Some(known.id.clone()),
        name: Some(known.name.clone()),
        reason: Some(reason.as_str().to_owned()),
        ..Change::new(about(known.kind), Act::Delete, standing, &known.source_id)
    }
}

pub(super) fn deactivation(update: &Update, standing: Standing) -> Change {
    Change {
        action: Act::Deactivate,
        name: Some(called(&update.record)),
        ..end_of(&update.known, Reason::PullSuspended, standing)
    }
}

/// The name of an account or a group as the source writes it, where that is known.
pub(super) fn called(record: &Record) -> String {
    let attributes = record.attributes.as_deref().map(object).unwrap_or_default();
    let written = attributes.get("userName").and_then(Value::as_str);
    written.or(record.usual_name.as_deref()).unwrap_or(&record.name).to_owned()
}

pub(super) fn end_of_membership(
    (group_id, group): (&str, &str),
    member: &Known,
    standing: Standing,
) -> Change {
    Change {
        kind: About::Membership,
        action: Act::Remove,
        group_id: Some(group_id.to_owned()),
        group: Some(group.to_owned()),
        ..end_of(member, Reason::PullMissing, standing)
    }
}

impl Syncs {
    pub(super) fn seal_change(&self, run_id: &str, change: &Change) -> String {
        self.seal.seal(run_id.as_bytes(), json!(change).to_string().as_bytes())
    }

    /// `None` for what was not sealed here.
    pub(super) fn open_change(&self, run_id: &str, data: &str) -> Option<Change> {
        serde_json::from_slice(&self.seal.open(run_id.as_bytes(), data)?).ok()
    }
}
