//! Runs as the management API shows them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::scim::key::instant_text;
use crate::store::sync_run::RunRow;

/// What has become of users or groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tally {
    pub(super) created: usize,
    pub(super) updated: usize,
    pub(super) deactivated: usize,
    pub(super) deleted: usize,
    pub(super) unchanged: usize,
    pub(super) failed: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct MemberTally {
    pub(super) added: usize,
    pub(super) removed: usize,
    /// Nothing can be done about them: the member is not in the directory.
    pub(super) unknown: usize,
}

/// The counts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    pub(super) users: Tally,
    pub(super) groups: Tally,
    pub(super) memberships: MemberTally,
}

impl Counts {
    pub(super) fn stored(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        json!(self).to_string()
    }

    pub(super) fn failed(&self) -> usize {
        self.users.failed + self.groups.failed
    }
}

/// The statuses of a run as they are stored. An approved run waits like a pending one.
pub(super) mod status {
    pub(in crate::service::sync) const PENDING: &str = "pending";
    pub(in crate::service::sync) const APPROVED: &str = "approved";
    pub(in crate::service::sync) const RUNNING: &str = "running";
    pub(in crate::service::sync) const COMPLETED: &str = "completed";
    pub(in crate::service::sync) const FAILED: &str = "failed";
    pub(in crate::service::sync) const HELD: &str = "held";
    pub(in crate::service::sync) const REJECTED: &str = "rejected";
}

/// Whether a run is over, or waits for somebody.
pub(super) fn is_over(row: &RunRow) -> bool {
    !matches!(row.status.as_str(), status::PENDING | status::APPROVED | status::RUNNING)
}

/// Why a run is held, with the sentence for people.
fn told(mut held: Value) -> Value {
    let message = held_words(&held);
    if let Some(members) = held.as_object_mut() {
        members.insert("message".to_owned(), message.into());
    }
    held
}

/// What a held run waits to take away, in words: a fragment.
pub(super) fn held_words(held: &Value) -> String {
    let number = |pointer: &str| held.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let mut words = match held.get("reason").and_then(Value::as_str) {
        Some("source_empty") => "the source lists nobody; ".to_owned(),
        Some("groups_empty") => {
            "the source lists no groups any more, or none of those in scope; ".to_owned()
        }
        _ => String::new(),
    };
    words.push_str(&format!(
        "it takes something from {} of {} active users",
        number("/users"),
        number("/of_active_users")
    ));
    words.push_str(&match number("/inactive_users") {
        0 => " and".to_owned(),
        inactive => format!(", deletes {inactive} inactive and"),
    });
    words.push_str(&format!(
        " ends {} of {} memberships",
        number("/memberships"),
        number("/of_memberships")
    ));
    let (users, memberships) = (number("/earlier/users"), number("/earlier/memberships"));
    if users + memberships > 0 {
        words.push_str(&format!(
            "; runs of the last hour have taken away {users} users and {memberships} memberships before"
        ));
    }
    words
}

pub(super) fn shown(row: &RunRow, directory_id: &str) -> Value {
    let object = |text: &Option<String>| {
        text.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok())
    };
    let shown_status = match row.status.as_str() {
        status::APPROVED => status::PENDING,
        other => other,
    };
    json!({
        "id": row.id,
        "directory_id": directory_id,
        "status": shown_status,
        "mode": row.mode,
        "dry_run": row.dry_run,
        "cause": row.cause,
        "created_at": instant_text(row.created),
        "started_at": row.started.map(instant_text),
        "finished_at": row.finished.map(instant_text),
        "counts": Counts::stored(&row.counts),
        "progress": if row.status == status::RUNNING { object(&row.progress) } else { None },
        "held": object(&row.held).map(told),
        "error": row.error,
        "settings": object(&row.settings),
    })
}
