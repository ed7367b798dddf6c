//! Positions of events on PostgreSQL.
//!
//! The key of an event is drawn while its unit holds the lock of the resource, so the keys of one
//! resource rise in the order of its changes. But a unit that drew a small key may commit after one that
//! drew a greater key: who reads by key would miss it. Positions are therefore given to committed
//! events alone, in the order of their keys, by one process at a time. Of two changes of one resource
//! the earlier is committed when the later draws its key, so a look that finds the later one finds the
//! earlier one too, and positions keep the order of keys where it matters.
//!
//! The row of `event_sequencer` is the fence: whoever has locked it gives out positions. It remembers
//! the greatest key that was looked at and the keys below that were not there (gaps). A gap belongs to
//! a unit that is under way or that was rolled back. It is given up when every transaction has ended
//! that could have drawn it: each unit has a transaction id before it draws a key, because it locks or
//! writes a row first (see `Tx::event_append`).
//!
//! On SQLite units commit one after another and the key is the position: `event_position` and
//! `event_sequencer` are views there.

use std::collections::BTreeSet;

use diesel::sql_types::{BigInt, Nullable, Text};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::dialect::Dialect;
use super::sql::{Bind, Tx};

/// Most events that get their positions in one step.
pub const STEP: usize = 5_000;

/// The events in a gap of a row `g`, on PostgreSQL.
pub(super) const IS_IN_GAP: &str =
    "e.key BETWEEN CAST(g.gap ->> 'from' AS BIGINT) AND CAST(g.gap ->> 'to' AS BIGINT)";

/// What is known without locking anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The last position that was given.
    pub position: i64,
    /// True when there is something to do.
    pub work: bool,
    /// When the first event that waits for its position was made; `None` when none waits.
    pub waiting_since: Option<i64>,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another process is at it.
    Elsewhere,
    /// The last position, and how many events got theirs.
    Done { position: i64, given: usize },
}

/// Keys that were not there, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gap {
    from: i64,
    to: i64,
    /// Every transaction that could have drawn them has a smaller id; `None` when found just now.
    before: Option<i64>,
}

/// The row of the sequencer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    position: i64,
    key: i64,
    gaps: Vec<Gap>,
}

/// What a step has seen.
struct Seen<'s> {
    /// The keys that got positions.
    taken: &'s BTreeSet<i64>,
    /// The id of this transaction: it was given after the looks of all steps before.
    xid: i64,
    /// Every transaction with a smaller id had ended before the look.
    xmin: i64,
}

impl State {
    /// The state after a step.
    fn after(&self, seen: &Seen<'_>) -> Self {
        let mut gaps = Vec::with_capacity(self.gaps.len());
        for gap in &self.gaps {
            // Before this step had its id, every key of an older gap was drawn. An id from the future
            // is one of another cluster, whose dump was loaded into this one.
            let before = gap.before.filter(|before| *before <= seen.xid).unwrap_or(seen.xid);
            if before <= seen.xmin {
                continue;
            }
            gaps.extend(missing(gap.from, gap.to, seen.taken, Some(before)));
        }
        let key = seen.taken.last().copied().unwrap_or(self.key).max(self.key);
        if key > self.key {
            gaps.extend(missing(self.key.saturating_add(1), key, seen.taken, None));
        }
        let given = i64::try_from(seen.taken.len()).unwrap_or(i64::MAX);
        Self { position: self.position.saturating_add(given), key, gaps }
    }
}

/// The stretches of `from..=to` that were not taken.
fn missing(from: i64, to: i64, taken: &BTreeSet<i64>, before: Option<i64>) -> Vec<Gap> {
    let (mut gaps, mut next) = (Vec::new(), from);
    if from > to {
        return gaps;
    }
    for key in taken.range(from..=to) {
        if *key > next {
            gaps.push(Gap { from: next, to: key - 1, before });
        }
        next = key.saturating_add(1);
    }
    if next <= to {
        gaps.push(Gap { from: next, to, before });
    }
    gaps
}

impl Tx<'_> {
    /// Whether events wait for their positions. One statement without locks.
    pub fn sequencer_look(&mut self) -> Result<Look, StoreError> {
        let text = self.dialect.pick(
            "SELECT position, gaps, NULL FROM event_sequencer",
            "SELECT s.position, s.gaps, (SELECT e.created FROM event e WHERE e.key > s.key \
             ORDER BY e.key LIMIT 1) FROM event_sequencer s",
        );
        let row =
            self.row::<(BigInt, Text, Nullable<BigInt>), (i64, String, Option<i64>)>(text, &[]);
        let Some((position, gaps, waiting_since)) = row? else {
            return Err(damaged("the row of the sequencer is missing"));
        };
        Ok(Look { position, work: waiting_since.is_some() || gaps != "[]", waiting_since })
    }

    /// Gives positions to committed events. Does nothing on SQLite.
    pub fn sequencer_step(&mut self) -> Result<Step, StoreError> {
        if self.dialect == Dialect::Sqlite {
            let position = self.sequencer_look()?.position;
            return Ok(Step::Done { position, given: 0 });
        }
        // A process that is cut off while it holds the row must not keep it.
        let row = self.row::<(BigInt, BigInt, Text, Text), (i64, i64, String, String)>(
            "SELECT position, key, gaps, \
             set_config('idle_in_transaction_session_timeout', '10s', TRUE) \
             FROM event_sequencer WHERE one = 1 FOR UPDATE SKIP LOCKED",
            &[],
        )?;
        let Some((position, key, gaps, _)) = row else { return Ok(Step::Elsewhere) };
        // A statement of its own: the columns of the one above are computed before its row is locked.
        // An id from there could be older than the last step of another process, whose gaps are then
        // read in the locked row, and a transaction that began between the two could fill one of them.
        let ids = self.row::<(BigInt, BigInt), (i64, i64)>(
            "SELECT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT), \
             CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)",
            &[],
        )?;
        let Some((xid, xmin)) = ids else { return Err(damaged("no transaction id")) };
        let gaps: Vec<Gap> = serde_json::from_str(&gaps)
            .map_err(|error| damaged(&format!("the gaps of the sequencer: {error}")))?;
        let state = State { position, key, gaps };
        // What fills gaps comes with any number; of what is new the first.
        let late = self.dialect.each("event", "e", IS_IN_GAP);
        let taken = self.rows::<BigInt, i64>(
            &format!(
                "WITH fresh AS (SELECT e.key, e.directory_key \
                 FROM jsonb_array_elements(CAST(? AS jsonb)) g (gap) {late} \
                 UNION ALL (SELECT key, directory_key FROM event WHERE key > ? ORDER BY key LIMIT ?)) \
                 INSERT INTO event_position (position, directory_key, event_key) \
                 SELECT ? + row_number() OVER (ORDER BY key), directory_key, key FROM fresh \
                 RETURNING event_key"
            ),
            &[
                Bind::Owned(gaps_text(&state.gaps)),
                Bind::Int(state.key),
                Bind::Int(i64::try_from(STEP).unwrap_or(i64::MAX)),
                Bind::Int(state.position),
            ],
        )?;
        let taken: BTreeSet<i64> = taken.into_iter().collect();
        let after = state.after(&Seen { taken: &taken, xid, xmin });
        if after != state {
            self.execute(
                "UPDATE event_sequencer SET position = ?, key = ?, gaps = ? WHERE one = 1",
                &[
                    Bind::Int(after.position),
                    Bind::Int(after.key),
                    Bind::Owned(gaps_text(&after.gaps)),
                ],
            )?;
        }
        Ok(Step::Done { position: after.position, given: taken.len() })
    }
}

fn damaged(what: &str) -> StoreError {
    StoreError::Database(diesel::result::Error::DeserializationError(what.to_owned().into()))
}

fn gaps_text(gaps: &[Gap]) -> String {
    serde_json::to_string(gaps).unwrap_or_else(|_| "[]".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(keys: &[i64]) -> BTreeSet<i64> {
        keys.iter().copied().collect()
    }

    #[test]
    fn gaps_are_what_was_not_there() {
        let gap = |from, to, before| Gap { from, to, before };
        let start = State { position: 0, key: 0, gaps: Vec::new() };
        let first = start.after(&Seen { taken: &set(&[1, 2, 5, 9]), xid: 100, xmin: 90 });
        let expected = vec![gap(3, 4, None), gap(6, 8, None)];
        assert_eq!(first, State { position: 4, key: 9, gaps: expected });
        // The next step knows a transaction id that is greater than all that could fill them.
        let second = first.after(&Seen { taken: &set(&[7, 10]), xid: 110, xmin: 105 });
        let expected = vec![gap(3, 4, Some(110)), gap(6, 6, Some(110)), gap(8, 8, Some(110))];
        assert_eq!(second, State { position: 6, key: 10, gaps: expected });
        // One that could is still under way.
        let third = second.after(&Seen { taken: &set(&[4]), xid: 120, xmin: 109 });
        let expected = vec![gap(3, 3, Some(110)), gap(6, 6, Some(110)), gap(8, 8, Some(110))];
        assert_eq!(third, State { position: 7, key: 10, gaps: expected });
        let fourth = third.after(&Seen { taken: &set(&[6]), xid: 130, xmin: 110 });
        assert_eq!(fourth, State { position: 8, key: 10, gaps: Vec::new() });
    }

    #[test]
    fn transaction_id_of_another_cluster_says_nothing() {
        let gaps = vec![Gap { from: 3, to: 4, before: Some(9_000) }];
        let state = State { position: 2, key: 5, gaps };
        let after = state.after(&Seen { taken: &set(&[]), xid: 700, xmin: 699 });
        assert_eq!(after.gaps, [Gap { from: 3, to: 4, before: Some(700) }]);
        let last = after.after(&Seen { taken: &set(&[]), xid: 710, xmin: 705 });
        assert!(last.gaps.is_empty());
    }

    /// Transactions as the database has them.
    #[derive(Default)]
    struct World {
        /// The last id that was given.
        xid: i64,
        /// The last key that was drawn.
        key: i64,
        /// Transactions under way: id and keys.
        open: Vec<(i64, Vec<i64>)>,
        committed: BTreeSet<i64>,
        taken: BTreeSet<i64>,
    }

    impl World {
        fn begin(&mut self) -> i64 {
            self.xid += 1;
            self.xid
        }

        fn act(&mut self, action: u8, which: usize) {
            let which = which.checked_rem(self.open.len());
            match (action, which) {
                (0, _) | (_, None) => {
                    let xid = self.begin();
                    self.open.push((xid, Vec::new()));
                }
                (1 | 2, Some(which)) => {
                    self.key += 1;
                    self.open[which].1.push(self.key);
                }
                (3, Some(which)) => self.committed.extend(self.open.remove(which).1),
                (_, Some(which)) => drop(self.open.remove(which)),
            }
        }

        /// One step, with what its statement would find.
        fn step(&mut self, state: &State) -> State {
            let xid = self.begin();
            let xmin = self.open.iter().map(|(xid, _)| *xid).min().unwrap_or(xid);
            let is_seen = |key: &i64| {
                *key > state.key || state.gaps.iter().any(|gap| (gap.from..=gap.to).contains(key))
            };
            let fresh: BTreeSet<i64> = self.committed.iter().copied().filter(is_seen).collect();
            assert!(self.taken.is_disjoint(&fresh), "no key is taken twice");
            self.taken.extend(&fresh);
            state.after(&Seen { taken: &fresh, xid, xmin })
        }
    }

    proptest! {
        /// Whatever the order in which transactions begin, draw and end: what is committed is taken.
        #[test]
        fn what_is_committed_is_taken(actions in prop::collection::vec((0_u8..7, 0_usize..8), 0..120)) {
            let mut world = World::default();
            let mut state = State { position: 0, key: 0, gaps: Vec::new() };
            for (action, which) in actions {
                match action {
                    5 | 6 => state = world.step(&state),
                    _ => world.act(action, which),
                }
            }
            while !world.open.is_empty() {
                world.act(3, 0);
                state = world.step(&state);
            }
            for _ in 0..3 {
                state = world.step(&state);
            }
            prop_assert_eq!(&world.taken, &world.committed);
            prop_assert!(state.gaps.is_empty(), "{:?}", state.gaps);
        }

        /// A key is at any time taken, in a gap or beyond the greatest key.
        #[test]
        fn no_key_is_forgotten(steps in prop::collection::vec(prop::collection::vec(1_i64..60, 0..12), 1..8)) {
            let mut state = State { position: 0, key: 0, gaps: Vec::new() };
            let mut taken = BTreeSet::new();
            for step in steps {
                let fresh: BTreeSet<i64> =
                    step.into_iter().filter(|key| !taken.contains(key)).collect();
                state = state.after(&Seen { taken: &fresh, xid: 10, xmin: 5 });
                taken.extend(fresh);
                prop_assert_eq!(state.position, i64::try_from(taken.len()).expect("few"));
                for key in 1..=state.key {
                    let gaps = state.gaps.iter().filter(|gap| (gap.from..=gap.to).contains(&key));
                    prop_assert_eq!(gaps.count(), usize::from(!taken.contains(&key)), "{}", key);
                }
            }
        }
    }
}
