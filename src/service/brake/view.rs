//! The brake of a directory as the management API shows and sets it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::count::{WINDOW_MINUTES, window};
use super::settings::BrakeSettings;
use crate::pull::SourceKind;
use crate::scim::key::instant_text;
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::policy::Policies;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;
use crate::store::brake::{Brake, Taken, Waiting};
use crate::store::brake_note::LostCounts;
use crate::store::directory::DirectoryRow;

/// What a directory has taken away lately.
#[derive(Clone, Debug, Serialize)]
struct Lately {
    minutes: i64,
    users: i64,
    memberships: i64,
    role_groups: i64,
}

/// The events that wait.
#[derive(Clone, Debug, Serialize)]
struct Held {
    events: i64,
    oldest_at: Option<String>,
}

/// What an undo would put back.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Lost {
    pub(super) users_deleted: i64,
    pub(super) users_deactivated: i64,
    pub(super) groups_deleted: i64,
    pub(super) other_resources_deleted: i64,
    pub(super) memberships_ended: i64,
}

impl From<LostCounts> for Lost {
    fn from(counts: LostCounts) -> Self {
        Self {
            users_deleted: counts.users,
            users_deactivated: counts.inactive,
            groups_deleted: counts.groups,
            other_resources_deleted: counts.others,
            memberships_ended: counts.memberships,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct BrakeView {
    object: &'static str,
    directory_id: String,
    #[serde(flatten)]
    settings: BrakeSettings,
    /// `open`, `holding`, `releasing` or `undoing`.
    state: &'static str,
    since: Option<String>,
    lately: Lately,
    held: Held,
    lost: Lost,
}

/// A change of the settings; what it leaves out stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrakeChange {
    pub mode: Value,
    #[serde(default)]
    pub limits: Option<Value>,
}

pub(super) fn nothing_waits() -> ServiceError {
    let message = "No events of this directory wait.";
    AdminError::new(409, "brake_not_holding", message).into()
}

impl Service {
    pub async fn brake_get(&self, access: &ApiAccess, id: &str) -> Result<BrakeView, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let (key, (_, from)) = (row.key, window(self.clock.now_ms()));
        let read: Result<_, StoreError> = self
            .store
            .read("brake_get", move |tx| {
                let (brake, (taken, _)) = (tx.brake_get(key)?, tx.brake_taken(key, from)?);
                Ok((brake, taken, tx.held_count(key)?, tx.brake_lost(key)?))
            })
            .await;
        let (brake, taken, held, lost) = read?;
        Ok(view(&row, brake, taken, held, lost))
    }

    /// Puts the settings of the brake in place of those before; the other settings stay.
    pub async fn brake_put(
        &self,
        access: &ApiAccess,
        id: &str,
        change: BrakeChange,
    ) -> Result<BrakeView, ServiceError> {
        let row = self.directory_row(access, id).await?;
        if SourceKind::named(&row.kind).is_some() {
            let message =
                "The directory is read from its source: settings.guard says what is too much.";
            return Err(AdminError::new(409, "not_pushable", message).into());
        }
        let mut brake = json!({"mode": change.mode});
        if let (Some(limits), Some(members)) = (change.limits, brake.as_object_mut()) {
            members.insert("limits".to_owned(), limits);
        }
        BrakeSettings::try_from(brake.clone())
            .map_err(|m| AdminError::invalid("brake", m + "."))?;
        let (key, now) = (row.key, self.clock.now_ms());
        let audit = self.audit(access, action::BRAKE_CHANGED);
        self.store
            .write("brake_put", move |tx| {
                // Units go by the settings that they have read with the directory.
                let state = tx.directory_lock_exclusive(key)?;
                let row =
                    tx.directory_by_key(key)?.filter(|_| state.as_deref() != Some("deleting"));
                let row = row.ok_or_else(|| AdminError::not_found("The directory"))?;
                let mut settings: Value =
                    serde_json::from_str(&row.settings).unwrap_or_else(|_| json!({}));
                let mut before = None;
                if let Some(members) = settings.as_object_mut() {
                    before = members.insert("brake".to_owned(), brake.clone());
                }
                let settings = settings.to_string();
                tx.directory_update(key, &row.name, &row.state, &settings, &row.config, now)?;
                let before = before.unwrap_or_default();
                audit.write(tx, Target::directory(&row), before, brake.clone())?;
                Ok::<_, ServiceError>(())
            })
            .await?;
        self.forget_access();
        self.brake_get(access, id).await
    }
}

fn view(
    row: &DirectoryRow,
    brake: Option<(Brake, Option<i64>)>,
    taken: Taken,
    held: Waiting,
    lost: LostCounts,
) -> BrakeView {
    BrakeView {
        object: "brake",
        directory_id: row.id.clone(),
        settings: Policies::stored(&row.settings).brake,
        state: brake.map_or("open", |(brake, _)| brake.as_str()),
        since: brake.and_then(|(_, since)| since).map(instant_text),
        lately: Lately {
            minutes: WINDOW_MINUTES,
            users: taken.users,
            memberships: taken.memberships,
            role_groups: taken.role_groups,
        },
        held: Held { events: held.events, oldest_at: held.oldest.map(instant_text) },
        lost: lost.into(),
    }
}
