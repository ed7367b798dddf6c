//! Pages for which every candidate has to be looked at: a filter that the database does not decide
//! alone, or an order that no index has. Bounded in rows and time; beyond that 400 `tooMany`.

use std::collections::HashMap;
use std::time::Duration;

use super::ServiceError;
use super::cursor::{Direction, Position};
use super::list::{Listing, Slice, Source, Span};
use super::relations::Relations;
use super::sort_key::SortKey;
use crate::clock::Stopwatch;
use crate::scim::ScimError;
use crate::scim::filter::{Resolved, resolve_with};
use crate::scim::list::SortOrder;
use crate::service::render::{Links, object_of};
use crate::store::list::{Bound, Order, Walk};
use crate::store::plan::Predicate;
use crate::store::resource::ResourceRow;
use crate::store::{StoreError, Tx};

/// Most rows that one request may look at beyond what the database decides.
pub const SCAN_ROWS: u64 = 200_000;

/// Longest time for that.
pub const SCAN_TIME: Duration = Duration::from_secs(5);

/// Rows read at a time while scanning.
const CHUNK: i64 = 1_000;

/// What may still be looked at.
struct Budget {
    watch: Stopwatch,
    seen: u64,
}

impl Budget {
    fn spend(&mut self, rows: usize) -> Result<(), ServiceError> {
        self.seen += u64::try_from(rows).unwrap_or(u64::MAX);
        match self.seen > SCAN_ROWS || self.watch.elapsed() > SCAN_TIME {
            true => Err(too_many(self.seen)),
            false => Ok(()),
        }
    }
}

fn too_many(seen: u64) -> ServiceError {
    ScimError::too_many(format!(
        "The request would have to look at more than {seen} resources one by one; narrow the \
         filter with userName, externalId, displayName of a group, emails.value, an indexed \
         attribute or meta.lastModified."
    ))
    .into()
}

/// A match: its place in the list. Rows are read again when the page is known.
type Match = (usize, Position);

impl Listing {
    /// Reads the page.
    pub(super) fn scan(&self, tx: &mut Tx<'_>) -> Result<Slice, ServiceError> {
        let mut budget = Budget { watch: Stopwatch::start(), seen: 0 };
        match &self.span {
            // The total is known and the order is the one in which rows are read: only what the page
            // shows has to be found.
            Span::Cursor { from: Some(cursor), count } if !self.sorted => {
                let want = usize::try_from(*count).unwrap_or(usize::MAX);
                let (place, direction) = (cursor.position.as_ref(), cursor.direction);
                let mut found = self.matches(tx, place, direction, want + 1, &mut budget)?;
                let more = found.len() > want;
                found.truncate(want);
                if direction == Direction::Backward {
                    found.reverse();
                }
                let (more_before, more_after) = direction.sides(place.is_some(), more);
                Ok(Slice {
                    total: cursor.total,
                    rows: self.rows(tx, found)?,
                    more_before,
                    more_after,
                })
            }
            _ => {
                let all = self.matches(tx, None, Direction::Forward, usize::MAX, &mut budget)?;
                self.cut(tx, all)
            }
        }
    }

    /// Takes the page out of all matches.
    fn cut(&self, tx: &mut Tx<'_>, mut all: Vec<Match>) -> Result<Slice, ServiceError> {
        if self.sorted {
            all.sort_unstable_by(|(_, a), (_, b)| self.compare(a, b));
        }
        let count = usize::try_from(self.span.count()).unwrap_or(usize::MAX);
        let mut total = i64::try_from(all.len()).unwrap_or(i64::MAX);
        // How many matches come up to a place.
        let up_to =
            |place: &Position| all.partition_point(|(_, at)| self.compare(at, place).is_le());
        let (mut first, mut end) = (0, all.len());
        match &self.span {
            Span::Index { page, anchor: None } => first = index(page.start_index - 1),
            Span::Index { page, anchor: Some(anchor) } => {
                let (known, there) = (index(anchor.rows), up_to(&anchor.place));
                first = there.saturating_add(index(page.start_index - 1) - known);
                // In the client's count, into which what was deleted still goes.
                total = i64::try_from(all.len() - there + known).unwrap_or(i64::MAX);
            }
            Span::Cursor { from: None, .. } => {}
            Span::Cursor { from: Some(cursor), .. } => {
                total = cursor.total;
                match (cursor.direction, &cursor.position) {
                    (Direction::Forward, place) => first = place.as_ref().map_or(0, up_to),
                    (Direction::Backward, place) => {
                        end = place.as_ref().map_or(end, |place| {
                            all.partition_point(|(_, at)| self.compare(at, place).is_lt())
                        });
                        first = end.saturating_sub(count);
                    }
                }
            }
        }
        let by_cursor = matches!(self.span, Span::Cursor { .. }) && count > 0;
        let end = first.saturating_add(count).min(end);
        let (more_before, more_after) = (by_cursor && first > 0, by_cursor && end < all.len());
        let page = all.get(first..end).map(<[Match]>::to_vec).unwrap_or_default();
        Ok(Slice { total, rows: self.rows(tx, page)?, more_before, more_after })
    }

    /// The order of the list.
    fn compare(&self, a: &Position, b: &Position) -> std::cmp::Ordering {
        if !self.sorted {
            return (a.segment, a.key).cmp(&(b.segment, b.key));
        }
        let by_value = (&a.sort, a.key).cmp(&(&b.sort, b.key));
        match self.sort_order {
            SortOrder::Ascending => by_value,
            SortOrder::Descending => by_value.reverse(),
        }
    }

    /// The matches beyond a place in the order of sources and keys, at most `limit`.
    fn matches(
        &self,
        tx: &mut Tx<'_>,
        from: Option<&Position>,
        direction: Direction,
        limit: usize,
        budget: &mut Budget,
    ) -> Result<Vec<Match>, ServiceError> {
        let mut found: Vec<Match> = Vec::new();
        let mut indexes: Vec<usize> = (0..self.sources.len()).collect();
        if direction == Direction::Backward {
            indexes.reverse();
        }
        let begin = from.and_then(|place| indexes.iter().position(|i| *i == place.segment));
        for index in indexes.into_iter().skip(begin.unwrap_or(0)) {
            let Some(source) = self.sources.get(index) else { continue };
            if source.predicate == Predicate::Nothing {
                continue;
            }
            let filter = match &source.filter {
                Some(filter) => Some(resolve_with(filter, &source.resource_type, source.unknown)?),
                None => None,
            };
            let attr = source.sort_attr();
            let mut beyond =
                from.filter(|place| place.segment == index).map(|place| at_key(place.key));
            loop {
                let rows = tx.resource_walk(&Walk {
                    directory_key: self.directory_key,
                    resource_type: &source.resource_type.name,
                    predicate: &source.predicate,
                    order: Order::Key,
                    rising: direction == Direction::Forward,
                    beyond: beyond.as_ref(),
                    offset: 0,
                    limit: CHUNK,
                })?;
                let Some(last) = rows.last() else { break };
                beyond = Some(at_key(last.key));
                budget.spend(rows.len())?;
                for row in rows {
                    if !self.is_match(tx, source, filter.as_ref(), &row)? {
                        continue;
                    }
                    let sort = match (&attr, self.sorted) {
                        (Some(attr), true) => Some(SortKey::of(&row, attr)),
                        (None, true) => Some(SortKey::Unassigned),
                        (_, false) => None,
                    };
                    found.push((index, Position { segment: index, sort, key: row.key }));
                    if found.len() >= limit {
                        return Ok(found);
                    }
                }
            }
        }
        Ok(found)
    }

    fn is_match(
        &self,
        tx: &mut Tx<'_>,
        source: &Source,
        filter: Option<&Resolved<'_>>,
        row: &ResourceRow,
    ) -> Result<bool, StoreError> {
        let Some(filter) = filter else { return Ok(true) };
        let relations = Relations {
            groups: source.resource_type.is_user() && filter.mentions("groups"),
            members: source.resource_type.is_group() && filter.mentions("members"),
            manager: source.resource_type.is_user() && filter.mentions("manager"),
        };
        let found = relations.load(tx, self.directory_key, row.clone())?;
        let links = Links { base: &self.base, registry: &self.registry };
        Ok(filter.matches(&object_of(&found, &source.resource_type, links)))
    }

    /// The rows of matches, in their order.
    fn rows(
        &self,
        tx: &mut Tx<'_>,
        matches: Vec<Match>,
    ) -> Result<Vec<(usize, ResourceRow, Position)>, StoreError> {
        let keys: Vec<i64> = matches.iter().map(|(_, place)| place.key).collect();
        let mut rows: HashMap<i64, ResourceRow> = tx
            .resource_rows(self.directory_key, &keys)?
            .into_iter()
            .map(|row| (row.key, row))
            .collect();
        let found = matches.into_iter().filter_map(|(source, place)| {
            let row = rows.remove(&place.key)?;
            Some((source, row, place))
        });
        Ok(found.collect())
    }
}

fn index(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

fn at_key(key: i64) -> Bound {
    Bound { value: None, key }
}
