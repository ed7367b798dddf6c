//! What an overview shows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::count::percentile;
use super::{DAY, HOUR, MINUTE, USERS, beginning};
use crate::scim::key::instant_text;
use crate::service::administer::ListParameters;
use crate::service::alarms::{AlarmQuery, AlarmView};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::{StoreError, Tx};

/// Alarms that are shown.
const ALARMS: i64 = 5;

/// A span of time that can be looked at.
pub struct Span {
    pub name: &'static str,
    long: i64,
    step: i64,
    /// By which of the stretches that are kept.
    kept_by: i64,
}

/// The spans, shortest first.
pub const SPANS: [Span; 4] = [
    Span { name: "1h", long: HOUR, step: MINUTE, kept_by: MINUTE },
    Span { name: "24h", long: DAY, step: 15 * MINUTE, kept_by: MINUTE },
    Span { name: "7d", long: 7 * DAY, step: 2 * HOUR, kept_by: HOUR },
    Span { name: "90d", long: 90 * DAY, step: DAY, kept_by: HOUR },
];

/// The installation in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    object: &'static str,
    /// `1h`, `24h`, `7d` or `90d`.
    pub span: &'static str,
    pub step_seconds: i64,
    /// When users and directories were looked up; null before the first time.
    pub sampled_at: Option<String>,
    /// How many there are in each state.
    pub directories: BTreeMap<String, i64>,
    pub users: Users,
    pub groups: i64,
    /// Positions of the event log that the slowest enabled endpoint has yet to get.
    pub webhooks_behind: i64,
    /// Within the span, from the time of the change to the answer of the app's endpoint.
    pub offboarding: Offboarding,
    pub alarms: Alarms,
    /// Oldest first.
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Users {
    pub active: i64,
    pub inactive: i64,
}

/// How long it took until the app knew that somebody has lost access. The times are upper bounds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Offboarding {
    /// Deliveries that the times are of.
    pub count: i64,
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
}

/// Alarms that stand.
#[derive(Clone, Debug, Serialize)]
pub struct Alarms {
    /// How many.
    pub count: i64,
    pub newest: Vec<AlarmView>,
}

/// A step of the span. What was looked up is null where nobody did, and the mean where several did.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    pub at: String,
    pub users_active: Option<i64>,
    pub users_inactive: Option<i64>,
    pub webhooks_behind: Option<i64>,
    /// Of identity providers.
    pub requests_scim: i64,
    /// With API keys.
    pub requests_api: i64,
    /// Those of both that were answered with 4xx.
    pub requests_refused: i64,
    /// Those of both that failed with 5xx.
    pub requests_failed: i64,
    pub runs_completed: i64,
    pub runs_failed: i64,
    pub runs_held: i64,
}

/// Values of a series by the beginning of their step: their sum and their mean.
type Values = BTreeMap<i64, (i64, i64)>;

fn values(tx: &mut Tx<'_>, span: &Span, series: &str, from: i64) -> Result<Values, StoreError> {
    let rows = tx.sample_list(span.kept_by, series, from, span.step)?;
    Ok(rows.into_iter().map(|row| (row.at, (row.sum, row.sum / row.count.max(1)))).collect())
}

/// The steps of the span, with the one that is under way.
fn steps(tx: &mut Tx<'_>, span: &Span, now: i64) -> Result<Vec<Step>, StoreError> {
    let last = beginning(span.step, now);
    let from = last - span.long + span.step;
    let mut series = |name: &str| values(tx, span, name, from);
    let (active, inactive) = (series(USERS)?, series("users.inactive")?);
    let behind = series("webhooks.behind")?;
    let (scim, api) = (series("requests.scim")?, series("requests.api")?);
    let (refused, failed) = (series("requests.refused")?, series("requests.failed")?);
    let (completed, broken) = (series("runs.completed")?, series("runs.failed")?);
    let held = series("runs.held")?;
    let mut steps = Vec::new();
    let mut at = from;
    while at <= last {
        let mean = |values: &Values| values.get(&at).map(|(_, mean)| *mean);
        let sum = |values: &Values| values.get(&at).map_or(0, |(sum, _)| *sum);
        steps.push(Step {
            at: instant_text(at),
            users_active: mean(&active),
            users_inactive: mean(&inactive),
            webhooks_behind: mean(&behind),
            requests_scim: sum(&scim),
            requests_api: sum(&api),
            requests_refused: sum(&refused),
            requests_failed: sum(&failed),
            runs_completed: sum(&completed),
            runs_failed: sum(&broken),
            runs_held: sum(&held),
        });
        at += span.step;
    }
    Ok(steps)
}

fn offboarding(tx: &mut Tx<'_>, span: &Span, from: i64) -> Result<Offboarding, StoreError> {
    let totals = tx.sample_totals(span.kept_by, "offboarding.", from)?;
    let bound = |name: &str| name.rsplit('.').next().and_then(|bound| bound.parse().ok());
    let counts: BTreeMap<i64, i64> =
        totals.iter().filter_map(|(name, count)| Some((bound(name)?, *count))).collect();
    Ok(Offboarding {
        count: counts.values().sum(),
        p50_ms: percentile(&counts, 50),
        p95_ms: percentile(&counts, 95),
    })
}

impl Service {
    /// The installation in numbers, over a span of time: an hour unless asked otherwise. Only for keys that
    /// are not limited to organizations.
    pub async fn overview(
        &self,
        access: &ApiAccess,
        span: Option<&str>,
    ) -> Result<Overview, ServiceError> {
        if access.organization_ids.is_some() {
            let message =
                "This API key is limited to certain organizations; the overview is of all.";
            return Err(AdminError::new(403, "forbidden", message).into());
        }
        let wanted = span.unwrap_or("1h");
        let span = SPANS.iter().find(|span| span.name == wanted).ok_or_else(|| {
            let wanted: String = wanted.chars().take(80).collect();
            let known = SPANS.map(|span| span.name).join(", ");
            AdminError::invalid("span", format!("it is \"{wanted}\"; allowed is one of {known}."))
        })?;
        let now = self.clock.now_ms();
        let read: Result<_, StoreError> = self
            .store
            .read("overview", move |tx| {
                let steps = steps(tx, span, now)?;
                let offboarding = offboarding(tx, span, now - span.long)?;
                let sampled = tx.sample_newest(MINUTE, USERS)?;
                let newest = match sampled {
                    Some(at) => tx.sample_at(MINUTE, at)?,
                    None => Vec::new(),
                };
                Ok((steps, offboarding, sampled, newest))
            })
            .await;
        let (steps, offboarding, sampled, newest) = read?;
        let value = |name: &str| newest.iter().find(|(found, _)| found == name).map_or(0, |v| v.1);
        let directories = newest.iter().filter_map(|(name, count)| {
            name.strip_prefix("directories.").map(|state| (state.to_owned(), *count))
        });
        let page = ListParameters { limit: Some(ALARMS), ..ListParameters::default() };
        let query = AlarmQuery { page, ..AlarmQuery::default() };
        let alarms = self.alarm_list(access, &query).await?.data;
        Ok(Overview {
            object: "overview",
            span: span.name,
            step_seconds: span.step / 1_000,
            sampled_at: sampled.map(instant_text),
            directories: directories.collect(),
            users: Users { active: value(USERS), inactive: value("users.inactive") },
            groups: value("groups"),
            webhooks_behind: value("webhooks.behind"),
            offboarding,
            alarms: Alarms {
                // One that was raised since the look-up counts, too.
                count: value("alarms").max(i64::try_from(alarms.len()).unwrap_or(i64::MAX)),
                newest: alarms,
            },
            steps,
        })
    }
}
