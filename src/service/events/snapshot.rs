//! The present state of a directory as events, with the position from which the log goes on.
//!
//! Rows are read in the order of ids, a bounded number in each transaction, so the directory changes
//! while they are read. Every transaction also reads the events that have come since the one before it.
//! Events about what was told already are told as they are; those about what is still to come are left
//! out, because it will be told as it is by then. So after each transaction the reader knows exactly
//! the state of its snapshot, as far as the walk has come.
//!
//! On PostgreSQL a snapshot shows changes whose events have no position yet. They are told like all
//! others, and noted: at the end the positions of the last of them are waited for, and the events
//! between are told, so that one position divides what was told from what was not.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::read::{expired, too_many_readers};
use super::view::LogEvent;
use super::walk::{self, MEMBERS, Seen};
use crate::event::name;
use crate::service::context::{Directory, State};
use crate::service::error::AdminError;
use crate::service::seen::app_view;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::event_log::{LogPart, LogRow, PART_BYTES, Stretch};
use crate::store::snapshot::{Ids, LAST_ID};
use crate::store::{StoreError, Tx};

/// Groups or users told in one step.
const ROWS: i64 = 50;

/// Events of the log read in one step.
const EVENTS: i64 = 1_000;

/// Events without a position that a step may meet; more mean that nobody gives positions.
const MAX_WAITING: i64 = 20_000;

/// How long positions are waited for, and how often they are looked for.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The ids of a user and of a group that has it.
type Pair = (String, String);

/// How far the walk has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Walk {
    /// Groups up to that id are told.
    Groups(String),
    /// All groups are told, users up to that id, and memberships of these users up to the pair (user
    /// id, group id), or all of them.
    Users { until: String, tail: Option<Pair> },
    /// Everything is told.
    Done,
}

impl Walk {
    fn group(&self, id: &str) -> bool {
        match self {
            Self::Groups(until) => id <= until.as_str(),
            Self::Users { .. } | Self::Done => true,
        }
    }

    fn user(&self, id: &str) -> bool {
        match self {
            Self::Groups(_) => false,
            Self::Users { until, .. } => id <= until.as_str(),
            Self::Done => true,
        }
    }

    fn member(&self, user: &str, group: &str) -> bool {
        match self {
            Self::Users { tail: Some((last_user, last_group)), .. } => {
                (user, group) <= (last_user.as_str(), last_group.as_str())
            }
            _ => self.user(user),
        }
    }

    /// Whether an event is about something that was told.
    fn covers(&self, row: &LogRow) -> bool {
        let data: Value = serde_json::from_str(&row.data).unwrap_or_default();
        let id = |value: &Value| value.get("id").and_then(Value::as_str).unwrap_or("").to_owned();
        let part = |name: &str| data.get(name).map(id).unwrap_or_default();
        match row.event.as_str() {
            name::USER_CREATED | name::USER_UPDATED | name::USER_DELETED => self.user(&id(&data)),
            name::GROUP_CREATED | name::GROUP_UPDATED | name::GROUP_DELETED => {
                self.group(&id(&data))
            }
            name::GROUP_USER_ADDED | name::GROUP_USER_REMOVED => {
                self.member(&part("user"), &part("group"))
            }
            _ => false,
        }
    }
}

/// Which events the reader knows: those up to the position, and some behind it by their keys.
#[derive(Clone, Debug, Default)]
struct Known {
    position: i64,
    ahead: HashSet<i64>,
}

/// What a step has told.
struct Told {
    events: Vec<LogEvent>,
    known: Known,
    walk: Walk,
}

/// A snapshot that is being read. It holds one of the places for readers.
pub struct Snapshot {
    service: Arc<Service>,
    bearer: String,
    directory: Arc<Directory>,
    known: Option<Known>,
    walk: Walk,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

fn gone() -> ServiceError {
    AdminError::not_found("The directory").into()
}

fn behind() -> ServiceError {
    let message = "Events have not got their positions in time; try again.";
    AdminError::new(503, "unavailable", message).into()
}

fn stopping() -> ServiceError {
    AdminError::new(503, "unavailable", "The server is about to stop; try again.").into()
}

impl Service {
    /// Begins a snapshot of a directory for a key, whose secret is asked about again before each step.
    pub async fn snapshot(
        self: Arc<Self>,
        access: &ApiAccess,
        bearer: &str,
        id: &str,
    ) -> Result<Snapshot, ServiceError> {
        let row = self.directory_row(access, id).await?;
        if State::parse(&row.state) == Some(State::Deleting) {
            return Err(gone());
        }
        let place = self.event_log.place().ok_or_else(too_many_readers)?;
        let directory = Arc::new(self.directory_of(row).await?);
        // What refuses the first step is said before anything is sent.
        let served = Arc::clone(&directory);
        let read = self.store.read("snapshot_begin", move |tx| still_served(tx, &served));
        read.await?;
        Ok(Snapshot {
            service: self,
            bearer: bearer.to_owned(),
            directory,
            known: None,
            walk: Walk::Groups(String::new()),
            ended: false,
            _place: place,
        })
    }
}

impl Snapshot {
    /// The next lines of JSON, each with a line feed; `None` behind the last. An error means that what
    /// was told is not the whole.
    pub async fn next(&mut self) -> Result<Option<String>, ServiceError> {
        if self.ended {
            return Ok(None);
        }
        if self.service.event_log.is_closing() {
            return Err(stopping());
        }
        self.service.still_open(&self.bearer).await?;
        let told = match (&self.walk, self.known.take()) {
            (Walk::Done, Some(known)) if known.ahead.is_empty() => {
                self.ended = true;
                let end = json!({
                    "object": "snapshot_end",
                    "directory_id": self.directory.id,
                    "position": known.position,
                });
                return Ok(Some(format!("{end}\n")));
            }
            (Walk::Done, Some(known)) => self.catch_up(known).await?,
            (_, known) => self.step(known).await?,
        };
        self.walk = told.walk;
        self.known = Some(told.known);
        let mut lines = String::new();
        for event in told.events {
            lines.push_str(&serde_json::to_string(&event.without_position()).unwrap_or_default());
            lines.push('\n');
        }
        Ok(Some(lines))
    }

    async fn step(&self, known: Option<Known>) -> Result<Told, ServiceError> {
        let (directory, walk) = (Arc::clone(&self.directory), self.walk.clone());
        let now = self.service.clock.now_ms();
        self.service
            .store
            .read("snapshot", move |tx| {
                still_served(tx, &directory)?;
                let (mut events, known, is_current) = match &known {
                    Some(known) => news(tx, &directory, known, &walk)?,
                    None => (Vec::new(), start(tx, &directory)?, true),
                };
                if !is_current {
                    return Ok(Told { events, known, walk: walk.clone() });
                }
                let (state, walk) = tell(tx, &directory, &walk, now)?;
                events.extend(state);
                Ok(Told { events, known, walk })
            })
            .await
    }

    /// Waits for the positions of what is known ahead and tells what lies between.
    async fn catch_up(&self, known: Known) -> Result<Told, ServiceError> {
        let key = self.directory.key;
        let ahead: Vec<i64> = known.ahead.iter().copied().collect();
        let positions = async {
            loop {
                let keys = ahead.clone();
                let found: Result<Vec<i64>, StoreError> = self
                    .service
                    .store
                    .read("snapshot_end", move |tx| tx.log_positions(key, &keys))
                    .await;
                let found = found?;
                if found.len() == ahead.len() {
                    return Ok::<_, ServiceError>(found);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let positions = tokio::time::timeout(PATIENCE, positions).await.map_err(|_| behind())??;
        let end = positions.into_iter().max().unwrap_or(known.position).max(known.position);
        self.service
            .store
            .read("snapshot_end", move |tx| {
                still_kept(tx, &known)?;
                let stretch = Stretch::behind(known.position, Some(vec![key]), EVENTS);
                let LogPart { rows, full } = tx.log_rows(&stretch)?;
                let last = rows.last().map(|row| row.position).filter(|_| full);
                // A page that ends before does not reach the end.
                let reached = last.map_or(end, |last| last.min(end));
                let told = rows.into_iter().filter(|row| {
                    row.position <= reached
                        && !known.ahead.contains(&row.key)
                        && Walk::Done.covers(row)
                });
                let events = told.map(LogEvent::from).collect();
                let ahead = if reached < end { known.ahead.clone() } else { HashSet::new() };
                Ok(Told { events, known: Known { position: reached, ahead }, walk: Walk::Done })
            })
            .await
    }
}

/// Fails when the directory has gone, or its schemas have changed: what was told was made by others.
pub(super) fn still_served(tx: &mut Tx<'_>, directory: &Directory) -> Result<(), ServiceError> {
    let row = tx.directory_by_key(directory.key)?.ok_or_else(gone)?;
    if State::parse(&row.state) == Some(State::Deleting) {
        return Err(gone());
    }
    // What is stored is not what the events up to any position say, nor what they will.
    if tx.brake_get(directory.key)?.is_some() {
        let message = "Events of this directory wait because of its brake, so its state and its \
                       events differ; release them or undo what happened, and try again.";
        return Err(AdminError::new(409, "brake_holding", message).into());
    }
    match row.schema_version == directory.schema_version {
        true => Ok(()),
        false => Err(ServiceError::SchemasChange),
    }
}

/// Fails when events behind the position were removed because of their age: the walk was too slow.
fn still_kept(tx: &mut Tx<'_>, known: &Known) -> Result<(), ServiceError> {
    match tx.log_pruned()? {
        pruned if pruned > known.position => Err(expired(known.position, pruned)),
        _ => Ok(()),
    }
}

/// The keys of the events that this snapshot shows and that have no position in it.
fn waiting(tx: &mut Tx<'_>, directory: &Directory) -> Result<Vec<i64>, ServiceError> {
    let keys = tx.log_waiting(directory.key, MAX_WAITING)?;
    match i64::try_from(keys.len()).unwrap_or(i64::MAX) < MAX_WAITING {
        true => Ok(keys),
        false => Err(behind()),
    }
}

fn start(tx: &mut Tx<'_>, directory: &Directory) -> Result<Known, ServiceError> {
    let position = tx.log_position()?;
    let ahead = waiting(tx, directory)?.into_iter().collect();
    Ok(Known { position, ahead })
}

/// What has happened since to what was told, in the order in which it happened to each resource. False
/// when there is more than one step tells: then nothing else may be told yet.
fn news(
    tx: &mut Tx<'_>,
    directory: &Directory,
    known: &Known,
    walk: &Walk,
) -> Result<(Vec<LogEvent>, Known, bool), ServiceError> {
    still_kept(tx, known)?;
    let end = tx.log_position()?;
    let stretch = Stretch::behind(known.position, Some(vec![directory.key]), EVENTS);
    let LogPart { mut rows, full } = tx.log_rows(&stretch)?;
    let after = match rows.last().filter(|_| full) {
        Some(last) => Known { position: last.position, ahead: known.ahead.clone() },
        None => {
            let ahead: HashSet<i64> = waiting(tx, directory)?.into_iter().collect();
            let fresh: Vec<i64> = ahead.difference(&known.ahead).copied().collect();
            rows.extend(tx.log_waiting_rows(directory.key, &fresh)?);
            // Keys rise in the order of the changes of one resource, with or without positions.
            rows.sort_by_key(|row| row.key);
            Known { position: end, ahead }
        }
    };
    let told = rows.into_iter().filter(|row| !known.ahead.contains(&row.key) && walk.covers(row));
    Ok((told.map(LogEvent::from).collect(), after, !full))
}

/// The next rows as events, and how far the walk has come with them.
fn tell(
    tx: &mut Tx<'_>,
    directory: &Directory,
    walk: &Walk,
    now: i64,
) -> Result<(Vec<LogEvent>, Walk), ServiceError> {
    let created = |event: &str, seen: &[Seen]| -> Vec<LogEvent> {
        seen.iter().map(|one| LogEvent::of_state(event, one.view.to_string(), now)).collect()
    };
    let is_last = |count: usize| i64::try_from(count).unwrap_or(i64::MAX) < ROWS;
    match walk {
        Walk::Groups(after) => {
            let groups = walk::groups(tx, directory, Ids { after, until: LAST_ID, limit: ROWS })?;
            let walk = match groups.last().filter(|_| !is_last(groups.len())) {
                Some(last) => Walk::Groups(last.id.clone()),
                None => Walk::Users { until: String::new(), tail: None },
            };
            Ok((created(name::GROUP_CREATED, &groups), walk))
        }
        Walk::Users { until, tail: None } => {
            let ids = Ids { after: until, until: LAST_ID, limit: ROWS };
            let users = walk::users(tx, directory, ids)?;
            let mut events = created(name::USER_CREATED, &users);
            let (members, tail) = members(tx, directory, &users, ("", ""), now)?;
            events.extend(members);
            let walk = match (users.last(), &tail) {
                (Some(last), _) if tail.is_some() || !is_last(users.len()) => {
                    Walk::Users { until: last.id.clone(), tail }
                }
                _ => Walk::Done,
            };
            Ok((events, walk))
        }
        Walk::Users { until, tail: Some((user, group)) } => {
            // The user of the pair is among them again: it may be in more groups.
            let users = walk::users_from(tx, directory, user, until)?;
            let (events, tail) = members(tx, directory, &users, (user, group), now)?;
            Ok((events, Walk::Users { until: until.clone(), tail }))
        }
        Walk::Done => Ok((Vec::new(), Walk::Done)),
    }
}

/// Memberships of the users behind a pair of ids, and the last of them if there may be more.
fn members(
    tx: &mut Tx<'_>,
    directory: &Directory,
    users: &[Seen],
    after: (&str, &str),
    now: i64,
) -> Result<(Vec<LogEvent>, Option<Pair>), StoreError> {
    let keys: Vec<i64> = users.iter().filter_map(|user| user.key).collect();
    let pairs = tx.snapshot_members(directory.key, &keys, after, MEMBERS)?;
    let mut group_keys: Vec<i64> = pairs.iter().map(|(_, _, group)| *group).collect();
    group_keys.sort_unstable();
    group_keys.dedup();
    let groups = tx.resource_rows(directory.key, &group_keys)?;
    let groups: HashMap<&str, Value> = groups
        .iter()
        .filter_map(|row| Some((row.id.as_str(), app_view(directory, row)?)))
        .collect();
    let users: HashMap<&str, &Value> =
        users.iter().map(|seen| (seen.id.as_str(), &seen.view)).collect();
    let (mut events, mut bytes, mut last) = (Vec::with_capacity(pairs.len()), 0, None);
    for (user, group, _) in &pairs {
        if bytes >= PART_BYTES {
            return Ok((events, last));
        }
        last = Some((user.clone(), group.clone()));
        if let (Some(user), Some(group)) = (users.get(user.as_str()), groups.get(group.as_str())) {
            let data = json!({"directory_id": directory.id, "user": user, "group": group});
            let data = data.to_string();
            bytes += data.len();
            events.push(LogEvent::of_state(name::GROUP_USER_ADDED, data, now));
        }
    }
    let full = i64::try_from(pairs.len()).unwrap_or(i64::MAX) >= MEMBERS;
    Ok((events, last.filter(|_| full)))
}
