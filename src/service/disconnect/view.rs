//! How a disconnection stands, as people and programs are shown it.

use serde::{Deserialize, Serialize};

use super::{Disconnection, is_in_part, state};
use crate::scim::key::instant_text;
use crate::service::seen::{called, object};
use crate::store::disconnection::DisconnectionRow;
use crate::store::resource::ResourceRow;
use crate::store::{StoreError, Tx};

/// How many of those who failed are named.
const NAMED: usize = 10;

/// Somebody whose access could not be taken away; it ends with the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub id: String,
    /// The userName; disconnections of earlier versions have noted none.
    #[serde(default)]
    pub name: Option<String>,
    /// A sentence.
    pub message: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct DisconnectionView {
    object: &'static str,
    pub directory_id: String,
    /// `deprovision` or `hand_over`.
    pub mode: String,
    /// The directory that takes the users over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_name: Option<String>,
    /// `running`; `stopped`, because of `problem`; `called_off`; `done`.
    pub state: String,
    /// Users, and groups where those go along.
    pub total: i64,
    pub done: i64,
    pub failed: i64,
    /// The first of those who failed.
    pub faults: Vec<Fault>,
    /// Why it is stopped and what to do, in sentences.
    pub problem: Option<String>,
    /// Some are in the other directory, so this one is not started again.
    #[serde(skip)]
    pub is_in_part: bool,
    pub started_at: String,
    pub updated_at: String,
}

impl DisconnectionView {
    pub fn is_under_way(&self) -> bool {
        matches!(self.state.as_str(), state::RUNNING | state::STOPPED)
    }

    pub fn is_running(&self) -> bool {
        self.state == state::RUNNING
    }

    pub fn is_stopped(&self) -> bool {
        self.state == state::STOPPED
    }

    pub fn is_called_off(&self) -> bool {
        self.state == state::CALLED_OFF
    }

    pub fn is_hand_over(&self) -> bool {
        self.mode == Disconnection::HandOver.as_str()
    }

    /// The directory that takes the users over, for people.
    pub fn target(&self) -> &str {
        self.to_name.as_deref().unwrap_or("the other directory")
    }
}

/// Of a directory; `None` where nobody has begun one.
pub(super) fn of(tx: &mut Tx<'_>, key: i64) -> Result<Option<DisconnectionView>, StoreError> {
    let (Some(row), Some(directory)) = (tx.disconnection_get(key)?, tx.directory_by_key(key)?)
    else {
        return Ok(None);
    };
    let to = match row.into_key {
        Some(key) => tx.directory_by_key(key)?,
        None => None,
    };
    Ok(Some(DisconnectionView {
        object: "disconnection",
        directory_id: directory.id,
        to: to.as_ref().map(|to| to.id.clone()),
        to_name: to.map(|to| to.name),
        faults: faults(&row),
        is_in_part: is_in_part(&row),
        mode: row.mode,
        state: row.state,
        total: row.total,
        done: row.done,
        failed: row.failed,
        problem: row.problem,
        started_at: instant_text(row.created),
        updated_at: instant_text(row.modified),
    }))
}

fn faults(row: &DisconnectionRow) -> Vec<Fault> {
    serde_json::from_str(&row.faults).unwrap_or_default()
}

/// The same with one who failed.
pub(super) fn failing(
    row: DisconnectionRow,
    user: &ResourceRow,
    message: String,
) -> DisconnectionRow {
    let mut named = faults(&row);
    if named.len() < NAMED {
        let name = called(&object(&user.doc)).map(str::to_owned);
        named.push(Fault { id: user.id.clone(), name, message });
    }
    let faults = serde_json::to_string(&named).unwrap_or_default();
    DisconnectionRow { failed: row.failed.saturating_add(1), faults, ..row }
}
