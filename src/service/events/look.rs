//! What of the log a reader wants, and the reading.

use super::audience::Audience;
use crate::service::ApiAccess;
use crate::store::event_log::{LogHead, LogPart, LogRow, Order, Stretch};
use crate::store::{StoreError, Tx};

/// Events that a filter looks at in one statement, and how many such statements one request may take.
/// A request that has not found enough by then answers what it has, with a cursor to go on.
const CHUNK: i64 = 5_000;
const CHUNKS: usize = 10;

/// Heads that the first statement reads for each event of a page; each later one reads more.
const FIRST: i64 = 4;
const GROWTH: i64 = 8;

/// How far the time of an event and the time when it got its position may lie apart, in milliseconds:
/// units and clocks differ by seconds.
pub(super) const SLACK_MS: i64 = 10 * 60 * 1_000;

/// What of the log a reader wants, checked.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) audience: Audience,
    /// None means all.
    pub(super) names: Option<Vec<String>>,
    pub(super) range: Option<(i64, i64)>,
    /// The organizations that the reader may see and wants.
    pub(super) organizations: Option<Vec<String>>,
    pub(super) directory: Option<i64>,
    /// The id of what the event is about.
    pub(super) subject: Option<String>,
    /// Bytes of events in one part.
    pub(super) bytes: usize,
}

impl Filter {
    fn looks_at_heads(&self) -> bool {
        self.names.is_some() || self.range.is_some()
    }

    fn passes(&self, head: &LogHead) -> bool {
        self.audience.sees(&head.event)
            && self.names.as_ref().is_none_or(|names| names.contains(&head.event))
            && self.range.is_none_or(|(from, to)| (from..=to).contains(&head.created))
    }

    /// True when an event was made so far behind the end of the range, in that order, that those beyond
    /// it were made outside as well.
    fn is_past(&self, head: &LogHead, order: Order) -> bool {
        self.range.is_some_and(|(from, to)| match order {
            Order::OldestFirst => head.created > to.saturating_add(SLACK_MS),
            Order::NewestFirst => head.created < from.saturating_sub(SLACK_MS),
        })
    }

    /// The directories that count; `None` when all do.
    fn directories(&self, tx: &mut Tx<'_>) -> Result<Option<Vec<i64>>, StoreError> {
        if let Some(key) = self.directory {
            return Ok(Some(vec![key]));
        }
        self.organizations.as_ref().map(|ids| tx.log_directories(ids)).transpose()
    }
}

/// The organizations that a key may see of those that are asked for; one that it must not know is like
/// one that does not exist.
pub(super) fn organizations(access: &ApiAccess, wanted: Option<&str>) -> Option<Vec<String>> {
    match (wanted, &access.organization_ids) {
        (None, allowed) => allowed.clone(),
        (Some(wanted), _) if access.reaches(wanted) => Some(vec![wanted.to_owned()]),
        (Some(_), _) => Some(Vec::new()),
    }
}

/// What a reading has found.
pub(super) struct Found {
    /// In the order of the reading.
    pub(super) rows: Vec<LogRow>,
    /// Where the reading gave up looking, with the event there.
    pub(super) stopped: Option<(i64, String)>,
    /// The end of the log when it was read.
    pub(super) end: i64,
}

/// Reads up to `limit` events that pass, beyond a position.
pub(super) fn read(
    tx: &mut Tx<'_>,
    filter: &Filter,
    order: Order,
    beyond: i64,
    limit: i64,
) -> Result<Found, StoreError> {
    let end = tx.log_position()?;
    let directories = filter.directories(tx)?;
    let stretch = Stretch { order, beyond, directories, subject: filter.subject.clone(), limit };
    if !filter.looks_at_heads() {
        let LogPart { rows, full } = tx.log_rows(&stretch)?;
        // Where there are others among them, the heads tell which ones count.
        if rows.iter().any(|row| !filter.audience.sees(&row.event)) {
            return read_heads(tx, filter, stretch, end);
        }
        let all = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= limit;
        let stopped = rows.last().filter(|_| full && !all).map(place);
        return Ok(Found { rows, stopped, end });
    }
    read_heads(tx, filter, stretch, end)
}

/// The same for readers who do not want every event.
fn read_heads(
    tx: &mut Tx<'_>,
    filter: &Filter,
    mut stretch: Stretch,
    end: i64,
) -> Result<Found, StoreError> {
    let (order, limit) = (stretch.order, stretch.limit);
    // Whether a range is past is told by many heads, as one clock may have been wrong.
    stretch.limit = match filter.range {
        Some(_) => CHUNK,
        None => limit.saturating_mul(FIRST).min(CHUNK),
    };
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut found, mut stopped) = (Vec::new(), None);
    for _ in 0..CHUNKS {
        let heads = tx.log_heads(&stretch)?;
        let passing = heads.iter().filter(|head| filter.passes(head)).map(|head| head.position);
        found.extend(passing.take(wanted.saturating_sub(found.len())));
        // All of them: the clock of one change may have been wrong.
        let is_past = heads.iter().all(|head| filter.is_past(head, order));
        let full = !is_past && i64::try_from(heads.len()).unwrap_or(i64::MAX) >= stretch.limit;
        stopped = heads.last().filter(|_| full).map(|head| (head.position, head.id.clone()));
        match &stopped {
            Some((position, _)) if found.len() < wanted => stretch.beyond = *position,
            _ => break,
        }
        stretch.limit = stretch.limit.saturating_mul(GROWTH).min(CHUNK);
    }
    // Who has found enough goes on behind what was found.
    let stopped = stopped.filter(|_| found.len() < wanted);
    let LogPart { rows, full } = tx.log_at(&found, order, filter.bytes)?;
    let stopped = if full { rows.last().map(place) } else { stopped };
    Ok(Found { rows, stopped, end })
}

fn place(row: &LogRow) -> (i64, String) {
    (row.position, row.id.clone())
}
