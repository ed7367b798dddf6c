//! The tokens that wait in a stream, made of the event log behind its position.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::organizations;
use crate::event::set::{
    self, Audience, Happened, SUPPORTED, Set, SubjectFormat, is_full, logged, sets,
};
use crate::scim::resource::project::Projection;
use crate::scim::{Object, Registry};
use crate::service::events::{Part, Selection, part};
use crate::service::{Service, ServiceError};
use crate::store::event_log::LogRow;
use crate::store::schemas::SchemaRow;
use crate::store::signing_key::SigningKeyRow;
use crate::store::stream::{StreamPlace, StreamRow};
use crate::store::{StoreError, Tx};

/// Events of users that are looked at together. A receiver may acknowledge the tokens of these in any
/// order.
pub(super) const WINDOW: i64 = 200;

/// A token that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) position: i64,
    /// When its event was made.
    pub(super) at: i64,
    pub(super) set: Set,
}

pub(super) struct Window {
    /// In the order of the log; also those that are acknowledged already.
    pub(super) waiting: Vec<Waiting>,
    /// Where to go on behind them.
    pub(super) next: i64,
    pub(super) more: bool,
    /// Up to where the log was pruned.
    pub(super) pruned: i64,
    pub(super) keys: Vec<SigningKeyRow>,
}

impl Window {
    /// Nothing, read from there.
    pub(super) fn empty(next: i64) -> Self {
        Self { waiting: Vec::new(), next, more: false, pruned: 0, keys: Vec::new() }
    }
}

/// What of a window the database has.
pub(super) struct Page {
    part: Part,
    pruned: i64,
    keys: Vec<SigningKeyRow>,
    /// Schemas of directories by their ids, where resources are wanted whole.
    schemas: BTreeMap<String, Option<SchemaRow>>,
}

/// The URIs that the receiver has asked for, of how they are stored.
pub(super) fn requested(events: Option<&str>) -> Option<Vec<String>> {
    serde_json::from_str(events?).ok()
}

/// Those that it gets: what it has asked for and there is, or all that do not carry whole resources.
pub(super) fn delivered(events: Option<&str>) -> Vec<String> {
    let wanted = requested(events);
    let gets = |uri: &&str| match &wanted {
        Some(wanted) => wanted.iter().any(|name| name == uri),
        None => !is_full(uri),
    };
    SUPPORTED.iter().copied().filter(gets).map(str::to_owned).collect()
}

/// Reads the events behind a position.
pub(super) fn page(
    tx: &mut Tx<'_>,
    row: &StreamRow,
    after: i64,
    now: i64,
) -> Result<Page, StoreError> {
    let delivered = delivered(row.events.as_deref());
    let selection = Selection {
        names: logged(&delivered),
        organizations: organizations(&row.scope),
        range: None,
    };
    let pruned = tx.log_pruned()?;
    let part = part(tx, &selection, after.max(pruned), WINDOW)?;
    let mut schemas = BTreeMap::new();
    if delivered.iter().any(|uri| is_full(uri)) {
        let ids: BTreeSet<String> = part.rows.iter().filter_map(directory_of).collect();
        for id in ids {
            let directory = tx.directory_get(&id)?;
            let own = directory.map(|directory| tx.schema_get(directory.key)).transpose()?;
            schemas.insert(id, own.flatten());
        }
    }
    Ok(Page { part, pruned, keys: tx.signing_keys(now)?, schemas })
}

fn data(row: &LogRow) -> Value {
    serde_json::from_str(&row.data).unwrap_or_default()
}

fn directory_of(row: &LogRow) -> Option<String> {
    data(row).get("directory_id")?.as_str().map(str::to_owned)
}

/// The resource as an answer of SCIM shows it: what its schemas know, and nothing that is never returned.
fn resource(data: &Value, registry: &Registry) -> Option<Object> {
    let raw = data.get("raw_attributes")?.as_object()?.clone();
    let mut shown = Projection::default().apply(raw, registry.user());
    let user = registry.user();
    let urns = std::iter::once(user.schema.id.clone());
    let extensions = user.extensions.iter().map(|extension| extension.schema.id.clone());
    let schemas: Vec<String> =
        urns.chain(extensions.filter(|urn| shown.contains_key(urn))).collect();
    shown.insert("schemas".to_owned(), json!(schemas));
    shown.insert("id".to_owned(), data.get("id")?.clone());
    let is_active = data.get("state").and_then(Value::as_str) == Some("active");
    shown.insert("active".to_owned(), is_active.into());
    Some(shown)
}

impl Service {
    /// The tokens of a page, without those of subjects that the receiver has taken out.
    pub(super) async fn stream_window(
        &self,
        row: &StreamRow,
        page: Page,
    ) -> Result<Window, ServiceError> {
        let delivered = delivered(row.events.as_deref());
        let stream = self.stream_audience(&row.id);
        let audience = self.audience_of(row, &stream, &delivered);
        let registries: BTreeMap<&String, Registry> =
            page.schemas.iter().map(|(id, own)| (id, self.registry_of(own.as_ref()))).collect();
        let (mut waiting, mut subjects) = (Vec::new(), Vec::new());
        for event in &page.part.rows {
            let data = data(event);
            let directory = data.get("directory_id").and_then(Value::as_str).unwrap_or_default();
            let registry = registries.get(&directory.to_owned());
            let resource = registry.and_then(|registry| resource(&data, registry));
            let happened = Happened {
                id: &event.id,
                event: &event.event,
                data: &data,
                reason: event.reason.as_deref(),
                at: event.created,
                resource: resource.as_ref(),
            };
            for set in sets(&happened, &audience) {
                let (position, at) = (event.position, event.created);
                subjects.push((position, happened.subjects()));
                waiting.push(Waiting { position, at, set });
            }
        }
        let removed = self.removed_of(&row.id, &subjects).await?;
        waiting.retain(|token| !removed.contains(&token.position));
        let Part { next, more, .. } = page.part;
        Ok(Window { waiting, next, more, pruned: page.pruned, keys: page.keys })
    }

    pub(super) fn audience_of<'a>(
        &'a self,
        row: &'a StreamRow,
        stream: &'a str,
        delivered: &'a [String],
    ) -> Audience<'a> {
        Audience {
            issuer: &self.public_url,
            audience: stream,
            stream_id: &row.id,
            subject_format: SubjectFormat::parse(&row.subject_format)
                .unwrap_or(SubjectFormat::IssSub),
            delivered,
        }
    }

    /// The positions whose subjects were taken out of the stream.
    async fn removed_of(
        &self,
        stream_id: &str,
        subjects: &[(i64, Vec<String>)],
    ) -> Result<BTreeSet<i64>, ServiceError> {
        if subjects.is_empty() {
            return Ok(BTreeSet::new());
        }
        let (id, all) = (stream_id.to_owned(), subjects.iter().flat_map(|(_, names)| names));
        let all: Vec<String> = all.cloned().collect();
        let removed: Result<Vec<String>, StoreError> =
            self.store.get("stream_removed", move |tx| tx.stream_removed(&id, &all)).await;
        let removed = removed?;
        let is_removed = |names: &[String]| names.iter().any(|name| removed.contains(name));
        let gone = subjects.iter().filter(|(_, names)| is_removed(names));
        Ok(gone.map(|(position, _)| *position).collect())
    }

    /// The token that verifies the stream, if one was asked for.
    pub(super) fn stream_verification(&self, row: &StreamRow) -> Option<Waiting> {
        let asked: Value = serde_json::from_str(row.verification.as_deref()?).ok()?;
        let at = asked.get("at")?.as_i64()?;
        let stream = self.stream_audience(&row.id);
        let audience = self.audience_of(row, &stream, &[]);
        let set = set::verification(&audience, at, asked.get("state").and_then(Value::as_str));
        Some(Waiting { position: row.place.position, at, set })
    }
}

/// The ids in a stored list.
pub(super) fn acked(place: &StreamPlace) -> BTreeSet<String> {
    serde_json::from_str(&place.acked).unwrap_or_default()
}

/// Moves the place over everything that is acknowledged. What was acknowledged beyond it is kept as far as
/// the window reaches.
pub(super) fn settle(place: &mut StreamPlace, acked: &mut BTreeSet<String>, window: &Window) {
    if place.position < window.pruned {
        place.missed += window.pruned - place.position;
        place.position = window.pruned;
    }
    let first = window.waiting.iter().find(|token| !acked.contains(&token.set.jti));
    let first = first.map(|token| token.position);
    let reached = first.map_or(window.next, |position| position - 1);
    place.position = place.position.max(reached);
    let beyond = window.waiting.iter().filter(|token| Some(token.position) >= first);
    let kept = beyond.filter(|token| acked.contains(&token.set.jti));
    *acked = match first {
        Some(_) => kept.map(|token| token.set.jti.clone()).collect(),
        None => BTreeSet::new(),
    };
    place.acked = json!(acked).to_string();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(positions: &[i64], next: i64, pruned: i64) -> Window {
        let waiting = positions.iter().enumerate().map(|(number, position)| Waiting {
            position: *position,
            at: 0,
            set: Set { jti: format!("t{number}"), event: "e", claims: Value::Null },
        });
        let waiting = waiting.collect();
        Window { waiting, next, more: false, pruned, keys: Vec::new() }
    }

    fn place(position: i64) -> StreamPlace {
        let (acked, last_refusal) = ("[]".to_owned(), None);
        StreamPlace { position, acked, missed: 0, refused: 0, last_refusal }
    }

    #[test]
    fn place_moves_over_what_is_acknowledged_and_no_further() {
        // Tokens t0, t1 of the event at 3; t2 of that at 5; t3 of that at 9.
        let positions = [3, 3, 5, 9];
        for (given, position, kept) in [
            (&[][..], 2, &[][..]),
            (&["t0"], 2, &["t0"]),
            (&["t0", "t1"], 4, &[]),
            (&["t2"], 2, &["t2"]),
            (&["t0", "t1", "t3"], 4, &["t3"]),
            (&["t0", "t1", "t2", "t3"], 12, &[]),
            (&["t0", "t1", "unknown"], 4, &[]),
        ] {
            let mut place = place(1);
            let mut acked: BTreeSet<String> = given.iter().map(|id| (*id).to_owned()).collect();
            settle(&mut place, &mut acked, &window(&positions, 12, 0));
            assert_eq!(place.position, position, "{given:?}");
            assert_eq!(acked.iter().map(String::as_str).collect::<Vec<_>>(), kept, "{given:?}");
            assert_eq!(place.acked, json!(kept).to_string());
        }
    }

    #[test]
    fn events_that_have_left_the_log_are_counted() {
        let mut place = place(1);
        settle(&mut place, &mut BTreeSet::new(), &window(&[], 9, 7));
        assert_eq!((place.position, place.missed), (9, 6));
    }

    proptest! {
        /// However a receiver acknowledges, every token is served until it is acknowledged, and then no
        /// more.
        #[test]
        fn token_waits_until_it_is_acknowledged(
            gaps in prop::collection::vec(0..3_i64, 1..30),
            order in prop::collection::vec(any::<prop::sample::Index>(), 1..60),
        ) {
            let mut position = 1;
            let positions: Vec<i64> = gaps.iter().map(|gap| { position += gap; position }).collect();
            let (mut place, mut known) = (place(0), BTreeSet::new());
            let mut done: BTreeSet<usize> = BTreeSet::new();
            for index in order {
                let number = index.index(positions.len());
                done.insert(number);
                known.insert(format!("t{number}"));
                // The log is read anew from the place each time.
                let mut left = window(&positions, position + 1, 0);
                left.waiting.retain(|token| token.position > place.position);
                settle(&mut place, &mut known, &left);
                for (number, at) in positions.iter().enumerate() {
                    let waits = *at > place.position && !known.contains(&format!("t{number}"));
                    prop_assert_eq!(waits, !done.contains(&number));
                }
            }
        }
    }
}
