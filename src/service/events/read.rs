//! Pages of the event log: by event id for the read API, by position for the native readers.

use std::time::Duration;

use serde::Serialize;

use super::audience::{Audience, names};
use super::look::{Filter, Found, SLACK_MS, organizations, read};
use super::view::{EventView, LogEvent};
use crate::clock::Clock;
use crate::scim::key::instant_ms;
use crate::service::error::AdminError;
use crate::service::read::{Order as PageOrder, Page, PageRequest};
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::event_log::{LogRow, Order, PART_BYTES};
use crate::store::{StoreError, Tx};

/// Bytes of events in a part for somebody inside the server: many of them hold one at the same time.
pub(in crate::service) const INNER_BYTES: usize = 1024 * 1024;

/// Default and greatest length of a native page.
const LIMITS: (i64, i64) = (100, 1_000);

/// Longest wait of a long poll, in seconds.
const MAX_WAIT: u64 = 60;

/// What the read API asks for.
#[derive(Clone, Debug)]
pub struct EventQuery {
    pub page: PageRequest,
    /// Names of events; all when empty.
    pub events: Vec<String>,
    pub organization_id: Option<String>,
    /// RFC 3339; both ends count.
    pub range_start: Option<String>,
    pub range_end: Option<String>,
}

/// Where a native reader begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest event that is kept.
    Oldest,
    /// Behind the newest one.
    Newest,
    /// Behind that position.
    After(i64),
    /// Behind that event.
    Event(String),
    /// At the checkpoint of that consumer.
    Consumer(String),
}

impl Start {
    /// `oldest`, `newest`, a position, or the id of an event.
    pub fn parse(field: &str, text: &str) -> Result<Self, AdminError> {
        match text {
            "oldest" => Ok(Self::Oldest),
            "newest" => Ok(Self::Newest),
            id if id.starts_with("event_") => Ok(Self::Event(id.to_owned())),
            digits => match digits.parse() {
                Ok(position) if position >= 0 => Ok(Self::After(position)),
                _ => {
                    let text: String = text.chars().take(80).collect();
                    let message = format!(
                        "it is \"{text}\"; allowed is a position, the id of an event, \"oldest\" \
                         or \"newest\"."
                    );
                    Err(AdminError::invalid(field, message))
                }
            },
        }
    }
}

/// What a native reader asks for.
#[derive(Clone, Debug)]
pub struct LogQuery {
    pub start: Start,
    pub limit: i64,
    pub events: Vec<String>,
    pub organization_id: Option<String>,
    pub directory_id: Option<String>,
}

impl LogQuery {
    /// All events from there on.
    pub fn from(start: Start) -> Self {
        Self {
            start,
            limit: LIMITS.0,
            events: Vec::new(),
            organization_id: None,
            directory_id: None,
        }
    }

    /// The number in `limit`.
    pub fn limit_of(text: Option<&str>) -> Result<i64, AdminError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(LIMITS.0) };
        let number = text.parse().ok().filter(|n| (1..=LIMITS.1).contains(n));
        number.ok_or_else(|| {
            let text: String = text.chars().take(80).collect();
            let message = format!("it is \"{text}\"; allowed is 1 to {}.", LIMITS.1);
            AdminError::invalid("limit", message)
        })
    }

    /// The seconds in `wait`.
    pub fn wait_of(text: Option<&str>) -> Result<Duration, AdminError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Duration::ZERO) };
        let seconds = text.parse().ok().filter(|seconds| *seconds <= MAX_WAIT);
        seconds.map(Duration::from_secs).ok_or_else(|| {
            let text: String = text.chars().take(80).collect();
            let message = format!("it is \"{text}\"; allowed is 0 to {MAX_WAIT} seconds.");
            AdminError::invalid("wait", message)
        })
    }
}

/// A page for a native reader.
#[derive(Clone, Debug, Serialize)]
pub struct LogPage {
    pub data: Vec<LogEvent>,
    /// Send this as `after` to go on.
    pub next: i64,
    /// True when there is more already.
    pub more: bool,
}

pub(in crate::service) fn instant(
    field: &str,
    text: Option<&str>,
) -> Result<Option<i64>, AdminError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    instant_ms(text).map(Some).ok_or_else(|| {
        let text: String = text.chars().take(80).collect();
        let message = format!("it is \"{text}\"; write it like 2031-01-01T00:00:00Z (RFC 3339).");
        AdminError::invalid(field, message)
    })
}

/// A cursor that leads nowhere.
fn bad_cursor(code: &'static str, message: String) -> ServiceError {
    AdminError::new(400, code, message).into()
}

fn unknown_event(id: &str) -> ServiceError {
    let id: String = id.chars().filter(|c| !c.is_control()).take(80).collect();
    bad_cursor(
        "invalid_cursor",
        format!(
            "The event \"{id}\" is not in the log: it is unknown, or older than events are kept. \
             Read from the oldest event, or take a snapshot."
        ),
    )
}

pub(super) fn expired(position: i64, pruned: i64) -> ServiceError {
    bad_cursor(
        "cursor_expired",
        format!(
            "Events behind position {position} were removed because of their age; those behind \
             {pruned} are kept. Take a snapshot, or read from the oldest event."
        ),
    )
}

/// What of the log somebody inside the server wants.
#[derive(Clone, Debug)]
pub(in crate::service) struct Selection {
    pub(in crate::service) names: Vec<String>,
    pub(in crate::service) organizations: Option<Vec<String>>,
    /// When the events were made; both ends count.
    pub(in crate::service) range: Option<(i64, i64)>,
}

/// Events behind a position, oldest first.
#[derive(Debug)]
pub(in crate::service) struct Part {
    pub(in crate::service) rows: Vec<LogRow>,
    /// Where to go on.
    pub(in crate::service) next: i64,
    pub(in crate::service) more: bool,
}

/// Up to `limit` events of the selection behind a position.
pub(in crate::service) fn part(
    tx: &mut Tx<'_>,
    selection: &Selection,
    after: i64,
    limit: i64,
) -> Result<Part, StoreError> {
    let filter = Filter {
        // The server's own events are among the names where they are wanted.
        audience: Audience::Native,
        names: Some(selection.names.clone()),
        range: selection.range,
        organizations: selection.organizations.clone(),
        directory: None,
        subject: None,
        bytes: INNER_BYTES,
    };
    let found = read(tx, &filter, Order::OldestFirst, after, limit)?;
    let full = i64::try_from(found.rows.len()).unwrap_or(i64::MAX) >= limit;
    let last = found.rows.last().filter(|_| full).map(|row| row.position);
    let stopped = found.stopped.map(|(position, _)| position);
    Ok(Part {
        next: last.or(stopped).unwrap_or(found.end.max(after)),
        more: full || stopped.is_some(),
        rows: found.rows,
    })
}

/// The position behind which events made at `from` or later stand, and the last one of those made
/// until `to`, as far as times say; which events count is for [`Selection::range`] to say.
pub(in crate::service) fn bounds(
    tx: &mut Tx<'_>,
    from: Option<i64>,
    to: Option<i64>,
) -> Result<(i64, i64), StoreError> {
    let floor = |ms: i64| Clock::floor("event", ms);
    let start = match from {
        Some(from) => tx.log_before_id(&floor(from.saturating_sub(SLACK_MS)))?.unwrap_or(0),
        None => 0,
    };
    let end = tx.log_position()?;
    let until = match to {
        Some(to) => tx.log_from_id(&floor(to.saturating_add(SLACK_MS)))?.unwrap_or(end),
        None => end,
    };
    Ok((start.max(tx.log_pruned()?), until))
}

/// Where the page of the read API begins.
fn page_start(
    tx: &mut Tx<'_>,
    request: &PageRequest,
    filter: &Filter,
    allowed: Option<&[String]>,
) -> Result<i64, ServiceError> {
    if let Some(id) = request.cursor() {
        return event_position(tx, id, allowed);
    }
    let start = match (request.rises(), filter.range) {
        (true, Some((from, _))) => {
            let floor = Clock::floor("event", from.saturating_sub(SLACK_MS));
            tx.log_before_id(&floor)?.unwrap_or(0)
        }
        (false, Some((_, to))) => {
            let floor = Clock::floor("event", to.saturating_add(SLACK_MS));
            tx.log_from_id(&floor)?.unwrap_or(i64::MAX)
        }
        (true, None) => 0,
        (false, None) => i64::MAX,
    };
    Ok(start)
}

impl Service {
    /// A page of events for the read API, oldest first unless asked for otherwise.
    pub async fn event_list(
        &self,
        access: &ApiAccess,
        query: EventQuery,
    ) -> Result<Page<EventView>, ServiceError> {
        let from = instant("range_start", query.range_start.as_deref())?;
        let to = instant("range_end", query.range_end.as_deref())?;
        let range = (from.is_some() || to.is_some())
            .then(|| (from.unwrap_or(0), to.unwrap_or(i64::MAX - SLACK_MS)));
        let filter = Filter {
            audience: Audience::App,
            names: names(&query.events, Audience::App)?,
            range,
            organizations: organizations(access, query.organization_id.as_deref()),
            directory: None,
            subject: None,
            bytes: PART_BYTES,
        };
        let (request, allowed) = (query.page.clone(), access.organization_ids.clone());
        let found: Found = self
            .store
            .read("event_list", move |tx| {
                let start = page_start(tx, &request, &filter, allowed.as_deref())?;
                let order = if request.rises() { Order::OldestFirst } else { Order::NewestFirst };
                Ok::<_, ServiceError>(read(tx, &filter, order, start, request.limit + 1)?)
            })
            .await?;
        let mut page = query.page.page(found.rows, |row| &row.id);
        if let Some((_, id)) = found.stopped {
            // The way on leads from where the reading stopped.
            let rises = query.page.rises();
            let is_after = match query.page.order {
                PageOrder::Asc => rises,
                PageOrder::Desc => !rises,
                PageOrder::Normal => rises,
            };
            let metadata = &mut page.list_metadata;
            let cursor = if is_after { &mut metadata.after } else { &mut metadata.before };
            *cursor = Some(id);
        }
        Ok(page.map(EventView::from))
    }

    /// A page of events for a native reader, oldest first.
    pub async fn log_read(
        &self,
        access: &ApiAccess,
        query: &LogQuery,
    ) -> Result<LogPage, ServiceError> {
        let directory = match &query.directory_id {
            Some(id) => Some(self.log_directory(access, id).await?),
            None => None,
        };
        let filter = Filter {
            audience: Audience::Native,
            names: names(&query.events, Audience::Native)?,
            range: None,
            organizations: organizations(access, query.organization_id.as_deref()),
            directory,
            subject: None,
            bytes: PART_BYTES,
        };
        let (start, limit, owner) = (query.start.clone(), query.limit, access.owner());
        let allowed = access.organization_ids.clone();
        let (found, start): (Found, i64) = self
            .store
            .read("log_read", move |tx| {
                let start = position_of(tx, &start, allowed.as_deref(), &owner)?;
                let found = read(tx, &filter, Order::OldestFirst, start, limit + 1)?;
                Ok::<_, ServiceError>((found, start))
            })
            .await?;
        let mut rows = found.rows;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let full = rows.len() > wanted;
        rows.truncate(wanted);
        let (next, more) = match (full, &found.stopped) {
            (true, _) => (rows.last().map_or(start, |row| row.position), true),
            (false, Some((position, _))) => (*position, true),
            // What was looked at and passed over need not be looked at again.
            (false, None) => (found.end.max(start), false),
        };
        Ok(LogPage { data: rows.into_iter().map(LogEvent::from).collect(), next, more })
    }

    /// The key of a directory, also of one that is gone: its readers have yet to read that it is.
    pub(super) async fn log_directory(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<i64, ServiceError> {
        let missing = match self.directory_row(access, id).await {
            Err(ServiceError::Admin(missing)) => missing,
            found => return Ok(found?.key),
        };
        let wanted = id.to_owned();
        let past: Result<Option<(i64, String)>, StoreError> =
            self.store.get("directory_past_get", move |tx| tx.directory_past_get(&wanted)).await;
        let past = past?.filter(|(_, organization)| access.reaches(organization));
        past.map(|(key, _)| key).ok_or_else(|| missing.into())
    }

    /// Like [`Service::log_read`], and waits for the first event if there is none.
    pub async fn log_wait(
        &self,
        access: &ApiAccess,
        query: &LogQuery,
        wait: Duration,
    ) -> Result<LogPage, ServiceError> {
        if wait.is_zero() {
            return self.log_read(access, query).await;
        }
        let _place = self.event_log.place().ok_or_else(too_many_readers)?;
        self.log_follow(access, query, wait).await
    }

    /// The same for a reader that has its place.
    pub async fn log_follow(
        &self,
        access: &ApiAccess,
        query: &LogQuery,
        wait: Duration,
    ) -> Result<LogPage, ServiceError> {
        let mut last = self.log_read(access, query).await?;
        if !last.data.is_empty() {
            return Ok(last);
        }
        let mut closing = self.event_log.closing.subscribe();
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => Ok(()),
            ended = tokio::time::timeout(wait, self.log_news(access, query, &mut last)) => {
                ended.unwrap_or(Ok(()))
            }
        }?;
        Ok(last)
    }

    /// Puts later pages in place of `page` until one has events.
    async fn log_news(
        &self,
        access: &ApiAccess,
        query: &LogQuery,
        page: &mut LogPage,
    ) -> Result<(), ServiceError> {
        let (mut positions, mut query) = (self.event_log.positions(), query.clone());
        while page.data.is_empty() {
            let next = page.next;
            query.start = Start::After(next);
            if !page.more && positions.wait_for(|position| *position > next).await.is_err() {
                return Ok(());
            }
            *page = self.log_read(access, &query).await?;
        }
        Ok(())
    }
}

pub(super) fn too_many_readers() -> ServiceError {
    let message = "As many readers wait for events as this process serves at a time; try again.";
    AdminError::new(503, "too_many_readers", message).into()
}

/// The position of an event that a key for these organizations sees.
pub(in crate::service) fn event_position(
    tx: &mut Tx<'_>,
    id: &str,
    allowed: Option<&[String]>,
) -> Result<i64, ServiceError> {
    let (position, directory) = tx.log_find(id)?.ok_or_else(|| unknown_event(id))?;
    let seen = allowed.map(|ids| tx.log_directories(ids)).transpose()?;
    match seen.is_none_or(|keys| keys.contains(&directory)) {
        true => Ok(position),
        false => Err(unknown_event(id)),
    }
}

/// The position behind which a native reader begins. One that has lost events, or that is beyond the
/// end of the log, is told so.
pub(in crate::service) fn position_of(
    tx: &mut Tx<'_>,
    start: &Start,
    allowed: Option<&[String]>,
    owner: &str,
) -> Result<i64, ServiceError> {
    let position = match start {
        Start::Oldest => return Ok(tx.log_pruned()?),
        Start::Newest => return Ok(tx.log_position()?),
        Start::After(position) => *position,
        Start::Event(id) => return event_position(tx, id, allowed),
        Start::Consumer(name) => match tx.consumer_get(owner, name)? {
            Some(row) => row.position,
            None => return Err(AdminError::not_found("The consumer").into()),
        },
    };
    let (pruned, end) = (tx.log_pruned()?, tx.log_position()?);
    if position < pruned {
        return Err(expired(position, pruned));
    }
    if position > end {
        let message = format!(
            "The position {position} is beyond the end of the log, which is {end}: it belongs to \
             another database, or to a time before this one was restored."
        );
        return Err(bad_cursor("invalid_cursor", message));
    }
    Ok(position)
}
