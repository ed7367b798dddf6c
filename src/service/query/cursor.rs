//! Where a walk through a list stands: sealed in a cursor that the client carries (RFC 9865), or
//! remembered for a while for a client that pages by index.

use std::sync::{Mutex, PoisonError};

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::sort_key::SortKey;
use crate::auth::{Seal, SecretKey};
use crate::scim::{ScimError, ScimType};

use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a cursor can be used, in seconds.
pub const CURSOR_SECONDS: u32 = 3_600;

/// A place in a list: a walk goes on strictly beyond it, whatever was written meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Which stretch of the list.
    #[serde(rename = "s")]
    pub(super) segment: usize,
    #[serde(rename = "o")]
    pub(super) sort: Option<SortKey>,
    #[serde(rename = "k")]
    pub(super) key: i64,
}

/// What must be the same on every page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct QueryHash([u8; 16]);

impl QueryHash {
    pub(super) fn of<'p>(directory_key: i64, parts: impl IntoIterator<Item = &'p str>) -> Self {
        let mut digest = Sha256::new();
        digest.update(directory_key.to_be_bytes());
        for part in parts {
            digest.update(part);
            digest.update([0]);
        }
        let mut hash = [0; 16];
        hash.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
        Self(hash)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Direction {
    #[serde(rename = "f")]
    Forward,
    #[serde(rename = "b")]
    Backward,
}

impl Direction {
    /// What lies before and after a page, from what lies behind and ahead of the walk.
    pub(super) fn sides(self, behind: bool, ahead: bool) -> (bool, bool) {
        match self {
            Self::Forward => (behind, ahead),
            Self::Backward => (ahead, behind),
        }
    }
}

/// What a cursor says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// `None` is the end of the list that the walk comes from: what a page that was emptied leads
    /// back to.
    #[serde(rename = "p")]
    pub(super) position: Option<Position>,
    #[serde(rename = "d")]
    pub(super) direction: Direction,
    /// `totalResults` of the first page.
    #[serde(rename = "t")]
    pub(super) total: i64,
    #[serde(rename = "c")]
    pub(super) count: u32,
    /// Milliseconds since 1970.
    #[serde(rename = "x")]
    pub(super) expires: i64,
}

/// Seals and opens cursors.
pub(crate) struct Cursors(Seal);

impl Cursors {
    pub(crate) fn new(key: &SecretKey) -> Self {
        Self(key.seal("cursor"))
    }

    pub(super) fn seal(&self, query: QueryHash, cursor: &Cursor) -> String {
        self.0.seal(&query.0, &serde_json::to_vec(cursor).unwrap_or_default())
    }

    /// Opens a cursor for the query that it was made for.
    pub(super) fn open(
        &self,
        query: QueryHash,
        text: &str,
        count: u32,
        now: i64,
    ) -> Result<Cursor, ScimError> {
        let opened = self.0.open(&query.0, text);
        let cursor: Option<Cursor> = opened.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Some(cursor) = cursor else {
            return Err(ScimError::bad_request(
                ScimType::InvalidCursor,
                "The parameter \"cursor\" is no cursor of this query; send an empty one for the first \
                 page, and then nextCursor or previousCursor with all other parameters unchanged.",
            ));
        };
        if cursor.expires <= now {
            return Err(ScimError::bad_request(
                ScimType::ExpiredCursor,
                format!(
                    "The cursor was made more than {CURSOR_SECONDS} seconds ago; begin again with an \
                     empty one."
                ),
            ));
        }
        if cursor.count != count {
            return Err(ScimError::bad_request(
                ScimType::InvalidCount,
                format!(
                    "The parameter \"count\" is {count}, but the first page was asked for with {}; it \
                     must stay the same.",
                    cursor.count
                ),
            ));
        }
        Ok(cursor)
    }
}

/// Opens a cursor as a request does for the query with that hash, and says as JSON what it holds. It is
/// public for the fuzzer alone, which seals messages of its own for the purpose `cursor`.
pub fn open_cursor(
    key: &SecretKey,
    query: [u8; 16],
    text: &str,
    count: u32,
    now: i64,
) -> Result<String, ScimError> {
    let cursor = Cursors::new(key).open(QueryHash(query), text, count, now)?;
    Ok(serde_json::to_string(&cursor).unwrap_or_default())
}

/// How long an anchor is of use, in milliseconds: a client that reads page after page.
const ANCHOR_MS: i64 = 60_000;

/// Walks that are remembered, and places of each.
const MAX_WALKS: usize = 1_000;
const MAX_PLACES: usize = 10;

/// Where recent pages by index ended. A walk with `startIndex` goes on from there instead of counting
/// rows from the start, so reading a whole directory page by page is linear, and what is written
/// meanwhile does not shift it.
pub(crate) struct Anchors(Cache<QueryHash, Arc<Mutex<Places>>>);

#[derive(Default)]
struct Places {
    noted: i64,
    /// Rows up to and including the place → the place.
    by_count: BTreeMap<u64, Position>,
}

/// A place that is known, and how many rows lie before what follows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Anchor {
    pub(super) rows: u64,
    pub(super) place: Position,
}

impl Default for Anchors {
    fn default() -> Self {
        Self(Cache::new(MAX_WALKS))
    }
}

impl Anchors {
    /// The nearest place at or before `rows`; the first page begins the walk anew.
    pub(super) fn nearest(&self, query: QueryHash, rows: u64, now: i64) -> Option<Anchor> {
        if rows == 0 {
            self.0.remove(&query);
            return None;
        }
        let places = self.0.get(&query)?;
        let places = places.lock().unwrap_or_else(PoisonError::into_inner);
        if now - places.noted > ANCHOR_MS {
            return None;
        }
        let (rows, place) = places.by_count.range(..=rows).next_back()?;
        Some(Anchor { rows: *rows, place: place.clone() })
    }

    pub(super) fn note(&self, query: QueryHash, rows: u64, place: Position, now: i64) {
        let places = match self.0.get(&query) {
            Some(places) => places,
            None => {
                let places = Arc::<Mutex<Places>>::default();
                self.0.insert(query, Arc::clone(&places));
                places
            }
        };
        let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
        if now - places.noted > ANCHOR_MS {
            places.by_count.clear();
        }
        places.noted = now;
        places.by_count.insert(rows, place);
        while places.by_count.len() > MAX_PLACES {
            places.by_count.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position(key: i64) -> Position {
        Position { segment: 0, sort: None, key }
    }

    #[test]
    fn cursor_opens_for_its_query_only() {
        let cursors = Cursors::new(&SecretKey::generate());
        let (query, other) = (QueryHash::of(1, ["a", "b"]), QueryHash::of(1, ["ab", ""]));
        let cursor = Cursor {
            position: Some(Position { sort: Some(SortKey::Text("x\u{0}y".into())), ..position(7) }),
            direction: Direction::Backward,
            total: 12,
            count: 5,
            expires: 1_000,
        };
        let text = cursors.seal(query, &cursor);
        assert_eq!(cursors.open(query, &text, 5, 999), Ok(cursor));
        let word = |query, count, now| {
            cursors.open(query, &text, count, now).expect_err("refused").scim_type
        };
        assert_eq!(word(other, 5, 999), Some(ScimType::InvalidCursor));
        assert_eq!(word(QueryHash::of(2, ["a", "b"]), 5, 999), Some(ScimType::InvalidCursor));
        assert_eq!(word(query, 6, 999), Some(ScimType::InvalidCount));
        assert_eq!(word(query, 5, 1_000), Some(ScimType::ExpiredCursor));
    }

    #[test]
    fn cursor_keeps_a_decimal_to_the_last_bit() {
        let cursors = Cursors::new(&SecretKey::generate());
        let query = QueryHash::of(1, ["a"]);
        // Without the feature `float_roundtrip` of serde_json this is read as its neighbour.
        let sort = Some(SortKey::Decimal(-3.225_073_858_507_201_4e-308));
        let cursor = Cursor {
            position: Some(Position { sort, ..position(7) }),
            direction: Direction::Forward,
            total: 12,
            count: 5,
            expires: 1_000,
        };
        let text = cursors.seal(query, &cursor);
        assert_eq!(cursors.open(query, &text, 5, 999), Ok(cursor));
    }

    #[test]
    fn anchors_lead_to_the_nearest_place() {
        let (anchors, query) = (Anchors::default(), QueryHash::of(1, ["x"]));
        anchors.note(query, 10, position(100), 0);
        anchors.note(query, 20, position(200), 0);
        assert_eq!(anchors.nearest(query, 9, 0), None);
        let anchor = |rows, key| Some(Anchor { rows, place: position(key) });
        assert_eq!(anchors.nearest(query, 15, 0), anchor(10, 100));
        assert_eq!(anchors.nearest(query, 20, ANCHOR_MS), anchor(20, 200));
        assert_eq!(anchors.nearest(query, 20, ANCHOR_MS + 1), None);
        assert_eq!(anchors.nearest(QueryHash::of(2, ["x"]), 20, 0), None);
        assert_eq!(anchors.nearest(query, 0, 0), None, "the first page begins anew");
        assert_eq!(anchors.nearest(query, 20, 0), None);
    }

    fn sort_keys() -> impl Strategy<Value = SortKey> {
        let decimal = any::<f64>().prop_filter("JSON has no other", |n| n.is_finite());
        prop_oneof![
            any::<bool>().prop_map(SortKey::Bool),
            any::<i64>().prop_map(SortKey::Integer),
            decimal.prop_map(SortKey::Decimal),
            any::<i64>().prop_map(SortKey::Instant),
            any::<String>().prop_map(SortKey::Text),
            Just(SortKey::Unassigned),
        ]
    }

    proptest! {
        /// To the last bit: a walk goes on strictly beyond the place.
        #[test]
        fn places_come_back_as_they_were(sort in proptest::option::of(sort_keys()), key: i64) {
            let (cursors, query) = (Cursors::new(&SecretKey::generate()), QueryHash([0; 16]));
            let cursor = Cursor {
                position: Some(Position { segment: 1, sort, key }),
                direction: Direction::Forward,
                total: 1,
                count: 1,
                expires: 1,
            };
            prop_assert_eq!(cursors.open(query, &cursors.seal(query, &cursor), 1, 0), Ok(cursor));
        }

        #[test]
        fn text_that_was_not_sealed_opens_nothing(text: String, bytes: Vec<u8>) {
            use base64::Engine;
            let (cursors, query) = (Cursors::new(&SecretKey::generate()), QueryHash([0; 16]));
            let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
            for text in [text, encoded] {
                let refused = cursors.open(query, &text, 1, 0).expect_err("refused");
                prop_assert_eq!(refused.scim_type, Some(ScimType::InvalidCursor));
            }
        }
    }
}
