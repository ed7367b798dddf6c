//! Alarms of directories that are read: a run waits for a decision, or runs fail.

use serde_json::{Value, json};

use super::outcome::Outcome;
use super::view::{held_words, status};
use crate::clock::Ids;
use crate::pull::SourceError;
use crate::service::alarms::{self, Alarm, AlarmKind, Place};
use crate::store::directory::DirectoryRow;
use crate::store::sync::SyncEnd;
use crate::store::{StoreError, Tx};

/// So many failures one after another are not a matter of the moment any more.
const FAILURES: i64 = 3;

/// What the end of a run says.
pub(super) struct RunAlarms {
    key: i64,
    directory_id: String,
    /// To be raised.
    held: Option<Alarm>,
    failed: Option<Alarm>,
    /// A run has gone well.
    is_well: bool,
}

impl RunAlarms {
    /// `next` is how the directory stands after the run, `None` after a dry one; `is_owed` whether a complete
    /// read was owed before it.
    pub(super) fn of(
        row: &DirectoryRow,
        outcome: &Outcome,
        next: Option<&SyncEnd>,
        is_owed: bool,
    ) -> Self {
        let failures = next.map_or(0, |next| next.failures);
        // While a complete read is owed, no other sees whether what the last one has found still is so.
        let has_looked = outcome.is_complete() || (next.is_some() && !is_owed);
        let is_failed = outcome.status == status::FAILED;
        let held = outcome.held.as_ref().filter(|_| outcome.status == status::HELD);
        let error = outcome.error.as_ref();
        let failed = match is_failed {
            true => error.and_then(|error| failed_alarm(row, error, failures)),
            false => error
                .filter(|_| outcome.spared > 0 || outcome.kept > 0)
                .map(|error| remark_alarm(row, error, outcome)),
        };
        Self {
            key: row.key,
            directory_id: row.id.clone(),
            held: held.map(|held| held_alarm(row, held)),
            is_well: !is_failed && failed.is_none() && has_looked,
            failed,
        }
    }

    /// In the unit that ends the run.
    pub(super) fn settle(
        &self,
        tx: &mut Tx<'_>,
        ids: &mut Ids,
        now: i64,
    ) -> Result<(), StoreError> {
        // A directory that has gone meanwhile has nothing to be missed for.
        if tx.directory_share(self.key)?.is_none_or(|shared| shared.state == "deleting") {
            return Ok(());
        }
        match &self.held {
            Some(alarm) => alarms::replace(tx, ids, now, alarm)?,
            None => decided(tx, ids, now, (self.key, &self.directory_id))?,
        }
        if let Some(alarm) = &self.failed {
            alarms::replace(tx, ids, now, alarm)?;
        }
        match self.is_well {
            true => {
                let about = (self.key, AlarmKind::RunFailed, self.directory_id.as_str());
                alarms::resolve(tx, ids, now, about)
            }
            false => Ok(()),
        }
    }
}

/// Resolves the alarm of a directory none of whose runs waits any more.
pub(super) fn decided(
    tx: &mut Tx<'_>,
    ids: &mut Ids,
    now: i64,
    (key, directory_id): (i64, &str),
) -> Result<(), StoreError> {
    match tx.run_is_held(key)? {
        true => Ok(()),
        false => alarms::resolve(tx, ids, now, (key, AlarmKind::RunHeld, directory_id)),
    }
}

/// What held runs wait for was found by a configuration or by settings that are not in force any more.
pub(in crate::service) fn outdate(
    tx: &mut Tx<'_>,
    ids: &mut Ids,
    now: i64,
    row: &DirectoryRow,
) -> Result<(), StoreError> {
    tx.run_supersede(row.key, "", "what the directory is read by has changed since")?;
    decided(tx, ids, now, (row.key, &row.id))
}

fn place(row: &DirectoryRow) -> Place {
    Place {
        directory_key: row.key,
        directory_id: Some(row.id.clone()),
        organization_id: Some(row.organization_id.clone()),
    }
}

/// Stands as long as runs would take away the same number: each read finds it again.
fn held_alarm(row: &DirectoryRow, held: &Value) -> Alarm {
    let number = |name: &str| held.get(name).and_then(Value::as_i64).unwrap_or(0);
    let (users, memberships) = (number("users"), number("memberships"));
    Alarm {
        place: place(row),
        kind: AlarmKind::RunHeld,
        subject: row.id.clone(),
        level: users.saturating_mul(1_000_000).saturating_add(memberships),
        message: format!(
            "A run of the directory waits for a decision: {}. Look at what it would do, then approve or reject \
             it.",
            held_words(held),
        ),
        detail: held.clone(),
    }
}

/// Whoever has left keeps access as long as objects that cannot be used spoil the proof,
/// or the source shows less of everybody than before.
fn remark_alarm(row: &DirectoryRow, error: &SourceError, outcome: &Outcome) -> Alarm {
    Alarm {
        place: place(row),
        kind: AlarmKind::RunFailed,
        subject: row.id.clone(),
        level: 2,
        message: match outcome.spared {
            0 => format!("Not all that the source says is applied: {}.", error.message()),
            _ => format!(
                "Nothing that the source does not list any more is removed: {}.",
                error.message()
            ),
        },
        detail: json!({
            "state": "linked",
            "spared": outcome.spared,
            "kept_addresses": outcome.kept,
            "error": error.message(),
        }),
    }
}

/// Refused credentials do not mend themselves; other failures may.
fn failed_alarm(row: &DirectoryRow, error: &SourceError, failures: i64) -> Option<Alarm> {
    let is_refused = matches!(error, SourceError::Credentials(_));
    if !is_refused && failures < FAILURES {
        return None;
    }
    let message = match is_refused {
        true => format!("The source refuses the credentials: {}.", error.message()),
        false => format!(
            "The last {failures} runs of the directory have failed; the last one says: {}.",
            error.message()
        ),
    };
    Some(Alarm {
        place: place(row),
        kind: AlarmKind::RunFailed,
        subject: row.id.clone(),
        level: i64::from(is_refused),
        message,
        detail: json!({
            "state": if is_refused { "invalid_credentials" } else { "error" },
            "failures": failures,
            "error": error.message(),
        }),
    })
}
