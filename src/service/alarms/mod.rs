//! Alarms: what needs the attention of an operator or of the customer's administrator.
//!
//! An alarm is raised once and resolved once; both are events of the log, for the native readers and for
//! webhooks that ask for them. The database decides whether one stands for a subject already, so any
//! number of processes may look. Whoever finds a condition inside a unit raises the alarm there; the
//! conditions that nothing but time brings about are looked for by [`watch`].

mod found;
mod watch;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::Serialize;
use serde_json::{Value, json};

use super::administer::{ListPage, ListParameters};
use super::error::AdminError;
use super::{ApiAccess, Directory, Service, ServiceError};
use crate::clock::Ids;
use crate::event::{name, stable};
use crate::scim::key::instant_text;
use crate::store::alarm::{AlarmFilter, AlarmRow};
use crate::store::event::NewEvent;
use crate::store::{StoreError, Tx};

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmKind {
    /// A directory has taken away more than its limits within an hour.
    Brake,
    /// The identity provider has been silent for longer than ever.
    DirectorySilent,
    /// A directory token or an OAuth client ends within 30, 7 or 1 days, or has ended, without a successor.
    TokenExpiring,
    /// A run of a pull directory waits for a decision.
    RunHeld,
    /// The runs of a pull directory fail.
    RunFailed,
    /// A webhook endpoint has been paused or disabled, and not by an operator.
    EndpointPaused,
    /// A stream of Security Event Tokens has been paused because its receiver accepts nothing.
    StreamPaused,
    /// Users lack an attribute that the app requires.
    AttributeMissing,
}

impl AlarmKind {
    pub const ALL: [Self; 8] = [
        Self::Brake,
        Self::DirectorySilent,
        Self::TokenExpiring,
        Self::RunHeld,
        Self::RunFailed,
        Self::EndpointPaused,
        Self::StreamPaused,
        Self::AttributeMissing,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Brake => "brake",
            Self::DirectorySilent => "directory_silent",
            Self::TokenExpiring => "token_expiring",
            Self::RunHeld => "run_held",
            Self::RunFailed => "run_failed",
            Self::EndpointPaused => "endpoint_paused",
            Self::StreamPaused => "stream_paused",
            Self::AttributeMissing => "attribute_missing",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Whom an alarm belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Zero for what belongs to no directory.
    pub directory_key: i64,
    pub directory_id: Option<String>,
    /// Keys limited to organizations see alarms of these alone.
    pub organization_id: Option<String>,
}

impl Place {
    pub fn of(directory: &Directory) -> Self {
        Self {
            directory_key: directory.key,
            directory_id: Some(directory.id.clone()),
            organization_id: Some(directory.organization_id.clone()),
        }
    }
}

/// An alarm to raise.
#[derive(Clone, Debug)]
pub struct Alarm {
    pub place: Place,
    pub kind: AlarmKind,
    /// The id of what it is about. One alarm of a kind stands for it at a time.
    pub subject: String,
    /// Tells the steps of one condition apart, such as days that are left.
    pub level: i64,
    /// A sentence for people.
    pub message: String,
    /// An object for programs.
    pub detail: Value,
}

/// Raises an alarm and tells so, unless one of that kind stands for the subject already. The events of an
/// alarm never wait: they go ahead of those that a brake holds.
pub fn raise(tx: &mut Tx<'_>, ids: &mut Ids, now: i64, alarm: &Alarm) -> Result<(), StoreError> {
    let row = AlarmRow {
        id: ids.next("alarm"),
        directory_key: alarm.place.directory_key,
        directory_id: alarm.place.directory_id.clone(),
        organization_id: alarm.place.organization_id.clone(),
        kind: alarm.kind.as_str().to_owned(),
        subject: alarm.subject.clone(),
        level: alarm.level,
        message: alarm.message.clone(),
        detail: alarm.detail.to_string(),
        raised: now,
        resolved: None,
    };
    match tx.alarm_insert(&row)? {
        true => tell(tx, ids, now, name::ALARM_RAISED, row),
        false => Ok(()),
    }
}

/// The same, in place of one of another level.
pub fn replace(tx: &mut Tx<'_>, ids: &mut Ids, now: i64, alarm: &Alarm) -> Result<(), StoreError> {
    let about = (alarm.place.directory_key, alarm.kind, alarm.subject.as_str());
    resolve_other(tx, ids, now, about, Some(alarm.level))?;
    raise(tx, ids, now, alarm)
}

/// Resolves the alarm that stands for a subject, if one does, and tells so.
pub fn resolve(
    tx: &mut Tx<'_>,
    ids: &mut Ids,
    now: i64,
    about: (i64, AlarmKind, &str),
) -> Result<(), StoreError> {
    resolve_other(tx, ids, now, about, None)
}

/// The same, unless the alarm has that level.
fn resolve_other(
    tx: &mut Tx<'_>,
    ids: &mut Ids,
    now: i64,
    (directory_key, kind, subject): (i64, AlarmKind, &str),
    level: Option<i64>,
) -> Result<(), StoreError> {
    match tx.alarm_resolve(directory_key, kind.as_str(), subject, level, now)? {
        Some(row) => tell(tx, ids, now, name::ALARM_RESOLVED, row),
        None => Ok(()),
    }
}

/// Resolves every alarm of a directory that ends.
pub(super) fn resolve_all(
    tx: &mut Tx<'_>,
    ids: &mut Ids,
    now: i64,
    directory_key: i64,
) -> Result<(), StoreError> {
    for row in tx.alarm_resolve_all(directory_key, now)? {
        tell(tx, ids, now, name::ALARM_RESOLVED, row)?;
    }
    Ok(())
}

fn tell(
    tx: &mut Tx<'_>,
    ids: &mut Ids,
    now: i64,
    event: &'static str,
    row: AlarmRow,
) -> Result<(), StoreError> {
    let (directory_key, resource_id) = (row.directory_key, row.id.clone());
    let mut data = serde_json::to_value(AlarmView::from(row)).unwrap_or_default();
    stable::stabilise(&mut data);
    tx.event_write(
        directory_key,
        &NewEvent {
            id: ids.next("event"),
            event,
            resource_id,
            member_id: None,
            data: data.to_string().into(),
            reason: None,
            created: now,
        },
    )
}

/// An alarm as the API and its events show it.
#[derive(Clone, Debug, Serialize)]
pub struct AlarmView {
    object: &'static str,
    pub id: String,
    pub kind: String,
    pub directory_id: Option<String>,
    pub organization_id: Option<String>,
    pub subject: String,
    pub message: String,
    pub detail: Value,
    pub raised_at: String,
    pub resolved_at: Option<String>,
}

impl From<AlarmRow> for AlarmView {
    fn from(row: AlarmRow) -> Self {
        Self {
            object: "alarm",
            id: row.id,
            kind: row.kind,
            directory_id: row.directory_id,
            organization_id: row.organization_id,
            subject: row.subject,
            message: row.message,
            detail: serde_json::from_str(&row.detail).unwrap_or_else(|_| json!({})),
            raised_at: instant_text(row.raised),
            resolved_at: row.resolved.map(instant_text),
        }
    }
}

/// What a list of alarms is asked for.
#[derive(Clone, Debug, Default)]
pub struct AlarmQuery {
    /// `raised` (the default), `resolved` or `all`.
    pub state: Option<String>,
    pub kind: Option<String>,
    pub directory_id: Option<String>,
    pub page: ListParameters,
}

impl Service {
    /// Alarms, newest first; those that stand unless asked otherwise.
    pub async fn alarm_list(
        &self,
        access: &ApiAccess,
        query: &AlarmQuery,
    ) -> Result<ListPage<AlarmView>, ServiceError> {
        let range = query.page.range()?;
        let stands = match query.state.as_deref() {
            None | Some("raised") => Some(true),
            Some("resolved") => Some(false),
            Some("all") => None,
            Some(other) => {
                let other: String = other.chars().take(80).collect();
                let message = format!("it is \"{other}\"; allowed is raised, resolved or all.");
                return Err(AdminError::invalid("state", message).into());
            }
        };
        if let Some(kind) = query.kind.as_deref().filter(|kind| AlarmKind::parse(kind).is_none()) {
            let kind: String = kind.chars().take(80).collect();
            let known = AlarmKind::ALL.map(AlarmKind::as_str).join(", ");
            let message = format!("it is \"{kind}\"; allowed is one of {known}.");
            return Err(AdminError::invalid("kind", message).into());
        }
        let filter = AlarmFilter {
            stands,
            kind: query.kind.clone(),
            directory_id: query.directory_id.clone(),
            organizations: access.organization_ids.clone(),
        };
        let reading = range.clone();
        let rows: Result<Vec<AlarmRow>, StoreError> =
            self.store.get("alarm_list", move |tx| tx.alarm_list(&filter, &reading)).await;
        Ok(ListPage::of(&range, rows?, |row| &row.id).map(Into::into))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

/// How many alarms stand, and how many directories are held; clones share the same values.
#[derive(Clone, Debug, Default)]
pub struct AlarmMetrics {
    alarms: Family<KindLabels, Gauge>,
    holding: Gauge,
}

impl AlarmMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register("alarms", "Alarms that stand, by kind", self.alarms.clone());
        registry.register(
            "brake_holding",
            "Directories whose events wait because of their brake",
            self.holding.clone(),
        );
        self.set(&[], 0);
    }

    fn set(&self, counts: &[(String, i64)], holding: usize) {
        for kind in AlarmKind::ALL {
            let count = counts.iter().find(|(found, _)| found == kind.as_str());
            let labels = KindLabels { kind: kind.as_str() };
            self.alarms.get_or_create(&labels).set(count.map_or(0, |(_, count)| *count));
        }
        self.holding.set(i64::try_from(holding).unwrap_or(i64::MAX));
    }
}
