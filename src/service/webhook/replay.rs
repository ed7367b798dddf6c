//! Parts of the log that are sent to one endpoint once more: one event, a range, all that is parked.

use serde::Deserialize;
use serde_json::{Value, json};

use super::endpoint::Place;
use super::view::ReplayView;
use super::{missing, organizations, reaches};
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::events::{Selection, bounds, event_position, instant, position_of};
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::event_log::Order;
use crate::store::webhook::{EndpointRow, ReplayRow};
use crate::store::{StoreError, Tx};

/// Most replays of an endpoint that are not done.
const MAX_REPLAYS: usize = 100;

/// What is to be sent again: one event, what is parked, a range of positions, or a range of times.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    #[serde(default)]
    pub event_id: Option<String>,
    #[serde(default)]
    pub parked: Option<bool>,
    /// Behind this place: a position, the id of an event, or `oldest`.
    #[serde(default)]
    pub after: Option<Place>,
    /// Up to this place: a position, the id of an event, or `newest`.
    #[serde(default)]
    pub until: Option<Place>,
    /// RFC 3339; both ends count.
    #[serde(default)]
    pub range_start: Option<String>,
    #[serde(default)]
    pub range_end: Option<String>,
}

/// The same, checked.
#[derive(Clone, Debug)]
enum Wanted {
    One(String),
    Parked,
    Positions(Option<Place>, Option<Place>),
    Times(Option<i64>, Option<i64>),
}

impl ReplayRequest {
    fn wanted(self) -> Result<Wanted, AdminError> {
        let from = instant("range_start", self.range_start.as_deref())?;
        let to = instant("range_end", self.range_end.as_deref())?;
        let positions = self.after.is_some() || self.until.is_some();
        let times = from.is_some() || to.is_some();
        let parked = self.parked == Some(true);
        match (self.event_id, parked, positions, times) {
            (Some(id), false, false, false) => Ok(Wanted::One(id)),
            (None, true, false, false) => Ok(Wanted::Parked),
            (None, false, true, false) => Ok(Wanted::Positions(self.after, self.until)),
            (None, false, false, true) => Ok(Wanted::Times(from, to)),
            _ => {
                let message = "Send one of \"event_id\", \"parked\": true, \"after\" and \
                               \"until\", \"range_start\" and \"range_end\".";
                Err(AdminError::new(422, "invalid_request_parameters", message))
            }
        }
    }
}

/// The events that an endpoint has selected.
pub(super) fn selection(row: &EndpointRow, range: Option<(i64, i64)>) -> Selection {
    Selection {
        names: serde_json::from_str(&row.events).unwrap_or_default(),
        organizations: organizations(&row.scope),
        range,
    }
}

/// Whether the endpoint gets this event, which stands at that position.
fn is_selected(
    tx: &mut Tx<'_>,
    endpoint: &EndpointRow,
    id: &str,
    position: i64,
) -> Result<bool, StoreError> {
    let Selection { names, organizations, .. } = selection(endpoint, None);
    let found = tx.log_at(&[position], Order::OldestFirst, 1)?.rows;
    if !found.iter().any(|row| names.contains(&row.event)) {
        return Ok(false);
    }
    let Some(organizations) = organizations else { return Ok(true) };
    let directories = tx.log_directories(&organizations)?;
    Ok(tx.log_find(id)?.is_some_and(|(_, directory)| directories.contains(&directory)))
}

/// The stretch of the log that is meant.
fn stretch(
    tx: &mut Tx<'_>,
    endpoint: &EndpointRow,
    wanted: &Wanted,
    access: &ApiAccess,
) -> Result<ReplayRow, ServiceError> {
    let (allowed, owner) = (access.organization_ids.as_deref(), access.owner());
    let mut row = ReplayRow {
        endpoint_id: endpoint.id.clone(),
        id: String::new(),
        position: 0,
        until: 0,
        range_start: None,
        range_end: None,
        only_parked: false,
        attempts: 0,
        since: None,
        next_at: 0,
        failed: None,
        created: 0,
    };
    match wanted {
        Wanted::One(id) => {
            let position = event_position(tx, id, allowed)?;
            (row.position, row.until) = (position - 1, position);
            if !is_selected(tx, endpoint, id, position)? {
                let message = "the endpoint does not get this event: it has not selected its name, or \
                               its organization.";
                return Err(AdminError::invalid("event_id", message).into());
            }
        }
        Wanted::Parked => {
            row.until = tx.log_position()?;
            row.only_parked = true;
        }
        Wanted::Positions(after, until) => {
            let place = |place: &Option<Place>, field: &str, otherwise: &str| match place {
                Some(place) => place.start(field),
                None => Place::Word(otherwise.to_owned()).start(field),
            };
            let after = place(after, "after", "oldest")?;
            let until = place(until, "until", "newest")?;
            row.position = position_of(tx, &after, allowed, &owner)?;
            row.until = position_of(tx, &until, allowed, &owner)?;
        }
        Wanted::Times(from, to) => {
            (row.position, row.until) = bounds(tx, *from, *to)?;
            (row.range_start, row.range_end) = (*from, *to);
        }
    }
    Ok(row)
}

impl Service {
    /// Notes that a part of the log is to be sent again. What is new goes before it.
    pub async fn webhook_replay(
        &self,
        access: &ApiAccess,
        id: &str,
        request: ReplayRequest,
    ) -> Result<ReplayView, ServiceError> {
        let wanted = request.wanted()?;
        let (replay_id, now) = (self.clock.id("webhook_replay"), self.clock.now_ms());
        let audit = self.audit(access, action::REPLAY_CREATED);
        let (id, access) = (id.to_owned(), access.clone());
        let stored: ReplayRow = self
            .store
            .write("webhook_replay", move |tx| {
                let endpoint = tx.webhook_lock(&id)?.filter(|row| reaches(&access, &row.scope));
                let endpoint = endpoint.ok_or_else(missing)?;
                let row = stretch(tx, &endpoint, &wanted, &access)?;
                if row.position >= row.until {
                    let message = "There is nothing to send again: the range has no position.";
                    return Err(AdminError::new(422, "empty_range", message).into());
                }
                let all = tx.webhook_replays(&id)?;
                if all.iter().filter(|replay| replay.failed.is_none()).count() >= MAX_REPLAYS {
                    let message = format!(
                        "{MAX_REPLAYS} replays of this endpoint are not done yet; wait, or cancel one."
                    );
                    return Err(AdminError::new(409, "too_many_replays", message).into());
                }
                let row = ReplayRow { id: replay_id.clone(), created: now, ..row };
                tx.webhook_replay_insert(&row)?;
                let target = Target::serving(&endpoint.scope, &row.id, Some(&endpoint.url));
                let made = json!({"endpoint_id": id, "replay": ReplayView::from(row.clone())});
                audit.write(tx, target, Value::Null, made)?;
                Ok::<_, ServiceError>(row)
            })
            .await?;
        self.webhooks.notify();
        Ok(stored.into())
    }

    /// The replays that are not done, oldest first, and those that were given up.
    pub async fn webhook_replays(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<Vec<ReplayView>, ServiceError> {
        let endpoint = self.webhook_row(access, id).await?.id;
        let rows: Result<Vec<ReplayRow>, StoreError> =
            self.store.get("webhook_replays", move |tx| tx.webhook_replays(&endpoint)).await;
        Ok(rows?.into_iter().map(Into::into).collect())
    }

    /// Sends nothing more of a replay.
    pub async fn webhook_replay_cancel(
        &self,
        access: &ApiAccess,
        id: &str,
        replay: &str,
    ) -> Result<(), ServiceError> {
        let endpoint = self.webhook_row(access, id).await?;
        let (replay, audit) = (replay.to_owned(), self.audit(access, action::REPLAY_CANCELLED));
        self.store
            .write("webhook_replay_cancel", move |tx| {
                if !tx.webhook_replay_delete(&endpoint.id, &replay)? {
                    return Err(AdminError::not_found("The replay").into());
                }
                let target = Target::serving(&endpoint.scope, &replay, Some(&endpoint.url));
                let before = json!({"endpoint_id": endpoint.id});
                Ok::<_, ServiceError>(audit.write(tx, target, before, Value::Null)?)
            })
            .await
    }
}
