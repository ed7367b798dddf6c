//! Pages whose order an index gives: each costs what it shows, the first like the millionth.
//!
//! A list is a sequence of segments, each with an order that the database knows: one for each type,
//! and where a column can be empty one for the resources with a value and one for those without.

use super::ServiceError;
use super::cursor::{Anchor, Cursor, Direction, Position};
use super::list::{Listing, OrderColumn, Placed, Slice, Span, order_column};
use super::sort_key::SortKey;
use crate::scim::list::SortOrder;
use crate::store::list::{Bound, BoundValue, Order, Walk};
use crate::store::plan::{Predicate, TextColumn};
use crate::store::{StoreError, Tx};

/// A stretch of a list.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    source: usize,
    order: Order,
    rising: bool,
    /// Which resources of the source belong to it.
    predicate: Predicate,
}

impl Listing {
    /// The segments of the list; `None` when something is left for the evaluator to decide, or when
    /// no index has the order.
    pub(super) fn segments(&self) -> Option<Vec<Segment>> {
        let undecided = self.sources.iter().any(|source| source.filter.is_some());
        let ordered = !self.sorted || self.sources.len() == 1;
        if undecided || !ordered {
            return None;
        }
        let mut segments = Vec::new();
        for (source, from) in self.sources.iter().enumerate() {
            if from.predicate == Predicate::Nothing {
                continue;
            }
            let rising = self.sort_order == SortOrder::Ascending || from.sort.is_none();
            let segment = |order, predicate| Segment { source, order, rising, predicate };
            let Some(attr) = from.sort_attr() else {
                segments.push(segment(Order::Key, from.predicate.clone()));
                continue;
            };
            match order_column(&attr, &from.resource_type)? {
                OrderColumn::Instant(column) => {
                    segments.push(segment(Order::Instant(column), from.predicate.clone()));
                }
                OrderColumn::Text(column) if column.is_always_assigned() => {
                    segments.push(segment(Order::Text(column), from.predicate.clone()));
                }
                OrderColumn::Text(column) => {
                    let mut two = [
                        segment(Order::Text(column), assigned(&from.predicate, column, true)),
                        segment(Order::Key, assigned(&from.predicate, column, false)),
                    ];
                    // Unassigned values come last ascending and first descending.
                    if !rising {
                        two.reverse();
                    }
                    segments.extend(two);
                }
            }
        }
        Some(segments)
    }

    /// Reads the page.
    pub(super) fn walk(
        &self,
        tx: &mut Tx<'_>,
        segments: &[Segment],
    ) -> Result<Slice, ServiceError> {
        let mut slice = Slice { total: 0, rows: Vec::new(), more_before: false, more_after: false };
        let count = usize::try_from(self.span.count()).unwrap_or(usize::MAX);
        // One row more says whether there is another page.
        if self.begins() && count > 0 {
            slice.rows = self.read(tx, segments, None, 0, count + 1, Direction::Forward)?;
            slice.more_after = slice.rows.len() > count;
            slice.rows.truncate(count);
            // A list that fits on its first page has been counted by reading it.
            slice.total = match slice.more_after {
                true => self.total(tx, segments)?,
                false => len(&slice.rows),
            };
            return Ok(slice);
        }
        slice.total = self.total(tx, segments)?;
        if count == 0 {
            return Ok(slice);
        }
        match &self.span {
            Span::Index { page, anchor } => {
                let rows = page.start_index - 1;
                // How many rows a stretch has beyond a place is not known: a jump over several
                // stretches counts from the start.
                let anchor = anchor.as_ref().filter(|at| at.rows == rows || segments.len() == 1);
                match anchor {
                    Some(anchor) => self.go_on(tx, segments, anchor, rows, count, &mut slice)?,
                    None if i64::try_from(rows).unwrap_or(i64::MAX) >= slice.total => {}
                    None => {
                        let forward = Direction::Forward;
                        slice.rows = self.read(tx, segments, None, rows, count, forward)?;
                    }
                }
            }
            Span::Cursor { from, .. } => {
                let Some(Cursor { position, direction, .. }) = from else { return Ok(slice) };
                let mut rows =
                    self.read(tx, segments, position.as_ref(), 0, count + 1, *direction)?;
                let more = rows.len() > count;
                rows.truncate(count);
                if *direction == Direction::Backward {
                    rows.reverse();
                }
                (slice.more_before, slice.more_after) = direction.sides(position.is_some(), more);
                slice.rows = rows;
            }
        }
        Ok(slice)
    }

    /// True for the first page of a list.
    fn begins(&self) -> bool {
        match &self.span {
            Span::Index { page, .. } => page.start_index == 1,
            Span::Cursor { from, .. } => from.is_none(),
        }
    }

    /// True when the list has at most one resource, which an index finds, and nothing of which there can
    /// be many has to be read to show it or to decide about it.
    pub(super) fn is_lookup(&self) -> bool {
        self.sources.iter().all(|source| {
            // What is left of a filter on groups may be about each of their members.
            let decided = source.filter.is_none() || !source.resource_type.is_group();
            source.predicate.is_unique() && source.relations.are_few() && decided
        })
    }

    /// A page by index from a place on. Rows before it may have come or gone: the total says at least
    /// what the client has yet to ask for, or a client that goes by it would end too early.
    fn go_on(
        &self,
        tx: &mut Tx<'_>,
        segments: &[Segment],
        anchor: &Anchor,
        rows: u64,
        count: usize,
        slice: &mut Slice,
    ) -> Result<(), StoreError> {
        let (place, skip) = (Some(&anchor.place), rows - anchor.rows);
        let mut found = self.read(tx, segments, place, skip, count + 1, Direction::Forward)?;
        let seen = i64::try_from(rows).unwrap_or(i64::MAX).saturating_add(len(&found));
        match found.len() {
            0 => {}
            n if n > count => slice.total = slice.total.max(seen),
            _ => slice.total = seen,
        }
        found.truncate(count);
        slice.rows = found;
        Ok(())
    }

    /// `totalResults`; on a later page by cursor it is what the first page found.
    fn total(&self, tx: &mut Tx<'_>, segments: &[Segment]) -> Result<i64, StoreError> {
        if let Span::Cursor { from: Some(cursor), .. } = &self.span {
            return Ok(cursor.total);
        }
        let mut total = 0;
        for (index, from) in self.sources.iter().enumerate() {
            if segments.iter().any(|segment| segment.source == index) {
                let name = &from.resource_type.name;
                total += tx.resource_total(self.directory_key, name, &from.predicate)?;
            }
        }
        Ok(total)
    }

    /// Up to `limit` rows beyond a place, across segments; backward in the opposite order.
    fn read(
        &self,
        tx: &mut Tx<'_>,
        segments: &[Segment],
        from: Option<&Position>,
        mut skip: u64,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Placed>, StoreError> {
        let mut rows = Vec::new();
        let mut indexes: Vec<usize> = (0..segments.len()).collect();
        if direction == Direction::Backward {
            indexes.reverse();
        }
        let begin = from.and_then(|place| indexes.iter().position(|i| *i == place.segment));
        for index in indexes.into_iter().skip(begin.unwrap_or(0)) {
            let Some(segment) = segments.get(index) else { continue };
            let Some(source) = self.sources.get(segment.source) else { continue };
            let beyond = from.filter(|place| place.segment == index).map(bound);
            // Where rows are passed over, those of a whole segment are counted, not read.
            if skip > 0 && segments.len() > 1 && beyond.is_none() {
                let name = &source.resource_type.name;
                let all = tx.resource_total(self.directory_key, name, &segment.predicate)?;
                let all = u64::try_from(all).unwrap_or(0);
                if skip >= all {
                    skip -= all;
                    continue;
                }
            }
            let walk = Walk {
                directory_key: self.directory_key,
                resource_type: &source.resource_type.name,
                predicate: &segment.predicate,
                order: segment.order,
                rising: segment.rising == (direction == Direction::Forward),
                beyond: beyond.as_ref(),
                offset: i64::try_from(skip).unwrap_or(i64::MAX),
                limit: i64::try_from(limit - rows.len()).unwrap_or(i64::MAX),
            };
            let found = tx.resource_walk(&walk)?;
            skip = 0;
            let attr = source.sort_attr();
            rows.extend(found.into_iter().map(|row| {
                let sort = attr.as_ref().map(|attr| SortKey::of(&row, attr));
                let place = Position { segment: index, sort, key: row.key };
                (segment.source, row, place)
            }));
            if rows.len() >= limit {
                break;
            }
        }
        Ok(rows)
    }
}

fn len<T>(rows: &[T]) -> i64 {
    i64::try_from(rows.len()).unwrap_or(i64::MAX)
}

fn assigned(predicate: &Predicate, column: TextColumn, present: bool) -> Predicate {
    Predicate::And(vec![predicate.clone(), Predicate::TextPresent { column, present }])
}

fn bound(place: &Position) -> Bound {
    let value = match &place.sort {
        Some(SortKey::Text(text)) => Some(BoundValue::Text(text.clone())),
        Some(SortKey::Instant(ms)) => Some(BoundValue::Instant(*ms)),
        _ => None,
    };
    Bound { value, key: place.key }
}
