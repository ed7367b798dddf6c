//! What has happened since this process looked first: for each name and organization where the newest
//! event stands. It tells which endpoints have something to do without reading the log for each of them.

use std::collections::{BTreeMap, HashMap};

use crate::store::webhook_lane::{CandidateRow, NewsRow};

/// Endpoints of one organization that a process serves at the same time, and of all organizations.
pub(super) const SHARE: usize = super::LANES / 4;
const SHARE_OF_ALL: usize = super::LANES / 2;

/// The newest events up to a position.
#[derive(Debug, Default)]
pub(super) struct News {
    /// From here on everything was seen; `None` before the first look.
    from: Option<i64>,
    to: i64,
    /// The event at `to`.
    last: Option<String>,
    names: HashMap<String, i64>,
    organizations: HashMap<String, HashMap<String, i64>>,
}

/// Whether there is an event for somebody behind a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    Something,
    /// Nothing up to this position.
    Nothing(i64),
    /// Part of it was not seen.
    Unknown,
}

impl News {
    /// From where to read what is new; the event there is to be the one that was read last. `None` when
    /// all is to begin anew.
    pub(super) fn beyond(&self, end: i64, most: i64) -> Option<i64> {
        self.from.filter(|_| (self.to..=self.to.saturating_add(most)).contains(&end))?;
        Some(self.to)
    }

    /// Adds what was read from [`News::beyond`] on. True when nothing is missing in between: the log may
    /// have lost its tail and grown again.
    pub(super) fn add(&mut self, rows: Vec<NewsRow>) -> bool {
        let follows = rows
            .first()
            .is_none_or(|first| first.position != self.to || Some(&first.id) == self.last.as_ref());
        if self.from.is_none() || self.last.is_none() || rows.is_empty() || !follows {
            return false;
        }
        let known = self.to;
        for row in rows.into_iter().filter(|row| row.position > known) {
            self.to = row.position;
            self.last = Some(row.id);
            let names = self.organizations.entry(row.organization_id).or_default();
            names.insert(row.event.clone(), row.position);
            self.names.insert(row.event, row.position);
        }
        true
    }

    /// Begins at the end of the log, where that event is.
    pub(super) fn begin(&mut self, end: i64, last: Option<NewsRow>) {
        *self = Self {
            from: Some(end),
            to: end,
            last: last.filter(|row| row.position == end).map(|row| row.id),
            ..Self::default()
        };
    }

    /// Whether there is an event with one of these names (a JSON array) of the organizations of that
    /// scope.
    pub(super) fn behind(&self, position: i64, scope: &str, events: &str) -> Behind {
        if self.from.is_none_or(|from| position < from) {
            return Behind::Unknown;
        }
        let Ok(wanted) = serde_json::from_str::<Vec<&str>>(events) else { return Behind::Unknown };
        let is_newer = |names: &HashMap<String, i64>| {
            wanted.iter().any(|name| names.get(*name).is_some_and(|newest| *newest > position))
        };
        let found = match scope {
            "" => is_newer(&self.names),
            ids => ids.split(',').any(|id| self.organizations.get(id).is_some_and(is_newer)),
        };
        match found {
            true => Behind::Something,
            false => Behind::Nothing(self.to),
        }
    }
}

/// What is to be done at the candidates.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// To be served, in this order.
    pub(super) serve: Vec<String>,
    /// For these there is nothing up to the position: `<id> <version>`.
    pub(super) idle: Vec<String>,
    pub(super) up_to: i64,
}

/// Picks those to serve, at most `room`; `busy` are served already, with their scopes. No organization
/// gets more than its share, however many endpoints it has.
pub(super) fn choose(
    news: &News,
    candidates: Vec<CandidateRow>,
    busy: &BTreeMap<String, String>,
    room: usize,
) -> Choice {
    let mut choice = Choice::default();
    let mut taken = taken(busy);
    let mut idle = Vec::new();
    for row in candidates {
        if busy.contains_key(&row.id) {
            continue;
        }
        match news.behind(row.position, &row.scope, &row.events) {
            Behind::Nothing(up_to) if !row.replay => {
                choice.up_to = up_to;
                idle.push((row.position, format!("{} {}", row.id, row.version)));
            }
            _ if choice.serve.len() < room && is_below(&taken, &row.scope, share(&row.scope)) => {
                for id in row.scope.split(',') {
                    *taken.entry(id.to_owned()).or_default() += 1;
                }
                choice.serve.push(row.id);
            }
            _ => {}
        }
    }
    // Those that are furthest behind first: not all of many are advanced at once.
    idle.sort_unstable();
    choice.idle = idle.into_iter().map(|(_, row)| row).collect();
    choice
}

/// Whether endpoints of this scope have no more than half the places that they may have.
pub(super) fn has_room(busy: &BTreeMap<String, String>, scope: &str) -> bool {
    is_below(&taken(busy), scope, share(scope) / 2 + 1)
}

/// How many are served of each organization, and of all organizations.
fn taken(busy: &BTreeMap<String, String>) -> HashMap<String, usize> {
    let mut taken = HashMap::new();
    for id in busy.values().flat_map(|scope| scope.split(',')) {
        *taken.entry(id.to_owned()).or_default() += 1;
    }
    taken
}

fn share(scope: &str) -> usize {
    if scope.is_empty() { SHARE_OF_ALL } else { SHARE }
}

fn is_below(taken: &HashMap<String, usize>, scope: &str, most: usize) -> bool {
    scope.split(',').all(|id| taken.get(id).is_none_or(|count| *count < most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(position: i64, event: &str, organization: &str) -> NewsRow {
        NewsRow {
            position,
            id: format!("event_{position}"),
            event: event.to_owned(),
            organization_id: organization.to_owned(),
        }
    }

    fn candidate(id: &str, scope: &str, events: &str, position: i64) -> CandidateRow {
        CandidateRow {
            id: id.to_owned(),
            scope: scope.to_owned(),
            events: events.to_owned(),
            version: 1,
            position,
            replay: false,
        }
    }

    /// Began at 10; then A's user was created at 12 and B's group at 15.
    fn news() -> News {
        let mut news = News::default();
        assert_eq!(news.beyond(10, 100), None);
        news.begin(10, Some(event(10, "dsync.deleted", "A")));
        assert_eq!(news.beyond(15, 100), Some(10));
        let rows = vec![
            event(10, "dsync.deleted", "A"),
            event(12, "dsync.user.created", "A"),
            event(15, "dsync.group.created", "B"),
        ];
        assert!(news.add(rows));
        news
    }

    const USER: &str = r#"["dsync.user.deleted","dsync.user.created"]"#;

    #[test]
    fn endpoint_has_something_to_do_when_what_it_selected_has_happened() {
        let news = news();
        for (position, scope, events, expected) in [
            (10, "", USER, Behind::Something),
            (12, "", USER, Behind::Nothing(15)),
            (10, "A", USER, Behind::Something),
            (10, "B", USER, Behind::Nothing(15)),
            (10, "B,C", r#"["dsync.group.created"]"#, Behind::Something),
            (10, "C", r#"["dsync.group.created"]"#, Behind::Nothing(15)),
            (10, "", r#"["dsync.deleted"]"#, Behind::Nothing(15)),
            (9, "", r#"["dsync.deleted"]"#, Behind::Unknown),
            (20, "", USER, Behind::Nothing(15)),
        ] {
            assert_eq!(
                news.behind(position, scope, events),
                expected,
                "{position} {scope} {events}"
            );
        }
        assert_eq!(News::default().behind(10, "", USER), Behind::Unknown);
    }

    #[test]
    fn log_that_is_another_one_is_begun_anew() {
        let mut shorter = news();
        assert_eq!(shorter.beyond(14, 100), None);
        assert_eq!(shorter.beyond(116, 100), None, "too much to read");
        let other = NewsRow { id: "event_other".to_owned(), ..event(15, "dsync.deleted", "A") };
        assert!(!shorter.add(vec![other, event(16, "dsync.deleted", "A")]));
        assert!(!shorter.add(Vec::new()));
        shorter.begin(16, Some(event(16, "dsync.deleted", "A")));
        assert_eq!(shorter.behind(15, "", USER), Behind::Unknown);
        assert_eq!(shorter.behind(16, "", USER), Behind::Nothing(16));
        assert!(shorter.add(vec![event(16, "dsync.deleted", "A"), event(17, "x", "A")]));
        assert_eq!(shorter.beyond(17, 0), Some(17));
    }

    #[test]
    fn those_with_something_to_do_are_served_and_others_stay() {
        let candidates = vec![
            candidate("one", "A", USER, 10),
            candidate("two", "B", USER, 10),
            candidate("three", "", USER, 3),
            candidate("busy", "", USER, 10),
            CandidateRow { replay: true, ..candidate("four", "B", USER, 10) },
        ];
        let busy = BTreeMap::from([("busy".to_owned(), String::new())]);
        let choice = choose(&news(), candidates.clone(), &busy, 10);
        assert_eq!(choice.serve, ["one", "three", "four"]);
        assert_eq!((choice.idle, choice.up_to), (vec!["two 1".to_owned()], 15));
        assert_eq!(choose(&news(), candidates, &busy, 2).serve, ["one", "three"]);
    }

    #[test]
    fn no_organization_takes_all_places() {
        let many = |scope: &str| {
            (0..100).map(|n| candidate(&format!("{scope}{n}"), scope, USER, 3)).collect::<Vec<_>>()
        };
        let busy: BTreeMap<String, String> =
            (0..4).map(|n| (format!("b{n}"), "A,B".to_owned())).collect();
        let all = [many("A"), many("A,C"), many("")].concat();
        let served = choose(&news(), all, &busy, 64).serve;
        let count = |scope: &str| {
            let digit = |c: char| c.is_ascii_digit();
            served.iter().filter(|id| id.trim_end_matches(digit) == scope).count()
        };
        assert_eq!((count("A"), count("A,C"), count("")), (SHARE - 4, 0, SHARE_OF_ALL));
    }

    #[test]
    fn places_are_kept_while_others_find_some() {
        let busy = |count: usize, scope: &str| -> BTreeMap<String, String> {
            (0..count).map(|n| (n.to_string(), scope.to_owned())).collect()
        };
        assert!(has_room(&busy(SHARE / 2, "A"), "A"));
        assert!(!has_room(&busy(SHARE / 2 + 1, "A"), "A"));
        assert!(has_room(&busy(SHARE / 2 + 1, "A"), "B"));
        assert!(!has_room(&busy(SHARE / 2 + 1, "A"), "A,B"));
        assert!(has_room(&busy(SHARE_OF_ALL / 2, ""), ""));
        assert!(!has_room(&busy(SHARE_OF_ALL / 2 + 1, ""), ""));
    }
}
