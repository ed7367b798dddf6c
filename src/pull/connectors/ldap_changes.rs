//! What has changed in a directory since it was read: by content synchronization (RFC 4533) where the
//! server has it, else by the time of the last change.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::ldap_group::both;
use crate::pull::SourceError;
use crate::pull::ldap::sync::{self, Info, State};
use crate::pull::ldap::{Entry, Item, Scope, Search, Session, dn};
use crate::scim::key::{instant_ms, instant_text};

/// How far a time is put back, in milliseconds: what was written while the server answered may have been
/// left out.
const OVERLAP_MS: i64 = 5 * 60 * 1_000;

/// Most entries that are taken as changes; beyond it a complete read, which comes in pages, is better.
pub(super) const MAX_CHANGES: usize = 20_000;

/// Most bytes of entries that are taken as changes.
const MAX_CHANGED: usize = 64 * 1024 * 1024;

/// What entries are that hold others, in filters: unlike `hasSubordinates`, every server finds it quickly.
const PLACES: &str = "(objectClass=organizationalUnit)(objectClass=organization)(objectClass=container)\
                      (objectClass=nsContainer)";

/// Where an incremental read goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Cursor {
    Sync {
        users: Mark,
        groups: Option<Mark>,
    },
    /// Milliseconds since 1970, by the server's clock.
    Since(i64),
}

impl Cursor {
    pub(super) fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    pub(super) fn parse(text: &str) -> Result<Self, SourceError> {
        let parsed = serde_json::from_str(text);
        parsed.map_err(|_| SourceError::CursorLost("the cursor is of another kind".to_owned()))
    }

    /// After the newest change that was seen, but not after the read began: what changed while it lasted
    /// may have been passed by, and a time may be of a clock that is wrong.
    pub(super) fn since(newest: Option<i64>, began: i64) -> Option<Self> {
        Some(Self::Since(newest?.min(began).saturating_sub(OVERLAP_MS)))
    }

    /// Fails where this, which a server has said now, is behind what was read before.
    pub(super) fn check_follows(&self, last: &Self) -> Result<(), SourceError> {
        let (Self::Sync { users, groups }, Self::Sync { users: last_users, groups: last_groups }) =
            (self, last)
        else {
            return Ok(());
        };
        last_users.check_not_behind(&users.context, &users.csn)?;
        match (groups, last_groups) {
            (Some(now), Some(last)) => last.check_not_behind(&now.context, &now.csn),
            _ => Ok(()),
        }
    }
}

/// How far a part of a directory was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The naming context that holds it.
    context: String,
    /// `contextCSN` of that context: a change number for each server that writes.
    csn: Vec<String>,
    /// In Base64.
    cookie: String,
}

impl Mark {
    /// Where the part of a directory below `base` stands now; `None` where the server does not say so.
    pub(super) fn now(
        session: &mut Session,
        root: &Entry,
        base: &str,
    ) -> Result<Option<Self>, SourceError> {
        let key = dn::key(base).unwrap_or_default();
        let holds =
            |context: &&str| dn::key(context).is_some_and(|context| dn::is_below(&key, &context));
        let contexts = root.texts("namingContexts").filter(holds);
        let Some(context) = contexts.max_by_key(|context| context.len()) else { return Ok(None) };
        let csn = numbers(session, context)?;
        // The form of the cookie is OpenLDAP's own, as is the attribute.
        let cookie = STANDARD.encode(format!("rid=000,csn={}", csn.join(";")));
        Ok((!csn.is_empty()).then(|| Self { context: context.to_owned(), csn, cookie }))
    }

    /// Fails where a server is behind: a replica that lags, or one that came from a backup, does not know
    /// who has come since, and what it lists is no proof of anything.
    fn check_not_behind(&self, context: &str, now: &[String]) -> Result<(), SourceError> {
        let is_reached = |csn: &&String| {
            now.iter().any(|now| server_of(now) == server_of(csn) && now.as_str() >= csn.as_str())
        };
        let missed = self.csn.iter().find(|csn| !is_reached(csn));
        match missed.filter(|_| context == self.context) {
            None => Ok(()),
            Some(missed) => Err(SourceError::failed(format!(
                "the server is behind what was read before: its contextCSN is {}, and {missed} was \
                 reached already; it is a replica that lags, or came from a backup",
                now.join(", ")
            ))),
        }
    }

    /// The change numbers as they are now where they differ from those of the mark.
    pub(super) fn moved(&self, session: &mut Session) -> Result<Option<Vec<String>>, SourceError> {
        let now = numbers(session, &self.context)?;
        match now.is_empty() {
            // That it shows none any more does not mean that nothing changes.
            true => {
                Err(SourceError::CursorLost("the server shows no contextCSN any more".to_owned()))
            }
            false => {
                self.check_not_behind(&self.context, &now)?;
                Ok((now != self.csn).then_some(now))
            }
        }
    }

    /// What has changed since, and where it stands then.
    pub(super) fn changes(
        &self,
        session: &mut Session,
        search: &Search,
        now: &[String],
    ) -> Result<(Changes, Self), SourceError> {
        let cookie = STANDARD.decode(&self.cookie).unwrap_or_default();
        let search = search.clone().with(sync::request(&cookie));
        let (mut changes, mut lists_present) = (Changes::default(), false);
        let broken = |_| SourceError::failed("the server sends what is no content synchronization");
        let outcome = session.search(&search, &mut |item| {
            match item {
                Item::Entry(entry) => match sync::state(&entry.controls).map_err(broken)? {
                    (State::Present, _) => lists_present = true,
                    (State::Changed, _) => changes.put(entry)?,
                    (State::Deleted, uuid) => changes.delete(vec![uuid])?,
                },
                Item::Message { oid, value } => match sync::info(&oid, &value).map_err(broken)? {
                    Info::Deleted(uuids) => changes.delete(uuids)?,
                    Info::Present => lists_present = true,
                    Info::Other => {}
                },
            }
            Ok(())
        })?;
        match outcome.code {
            0 => {}
            // The server is busy; the next run may do better.
            3 | 51 | 52 => return Err(session.refused(&search, &outcome)),
            // The cookie is not known any more, or the account must not do this: e-syncRefreshRequired,
            // sizeLimitExceeded, unavailableCriticalExtension and the like.
            _ => return Err(SourceError::CursorLost(session.words(&outcome))),
        }
        let done = sync::done(&outcome.controls).map_err(broken)?;
        if lists_present || !done.names_deleted {
            let message = "the server does not remember who was deleted".to_owned();
            return Err(SourceError::CursorLost(message));
        }
        let cookie =
            done.cookie.map_or_else(|| self.cookie.clone(), |cookie| STANDARD.encode(cookie));
        Ok((changes, Self { context: self.context.clone(), csn: now.to_vec(), cookie }))
    }

    /// Whether both are of one context, and as far.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        (&self.context, &self.csn) == (&other.context, &other.csn)
    }

    /// Fails where an entry with others below it has changed since: they may have been moved with it, into what is
    /// read or out of it, of which synchronization tells nothing. What was made since then is no such entry: who is
    /// below it has come there by a change of his own. Nor is one that `stays`.
    pub(super) fn check_places(
        &self,
        session: &mut Session,
        now: &[String],
        stays: &dyn Fn(&Entry) -> bool,
    ) -> Result<(), SourceError> {
        // Not of servers that have written nothing since: their numbers may be years old.
        let moved = self.csn.iter().filter(|csn| !now.contains(csn)).min();
        let from = moved.or(self.csn.iter().max()).map_or("", String::as_str);
        let filter = format!("(&(hasSubordinates=TRUE)(entryCSN>={from}))");
        let asked = ["entryCSN", "entryUUID", "createTimestamp"];
        let search = Search::new(&self.context, Scope::Subtree, &filter, &asked);
        let outcome = session.search(&search, &mut |item| match item {
            Item::Entry(place) if self.is_moved(&place) && !stays(&place) => {
                let place = place.dn;
                Err(SourceError::CursorLost(format!(
                    "{place} has changed: who is below it may have been moved with it"
                )))
            }
            _ => Ok(()),
        })?;
        match outcome.code {
            0 => Ok(()),
            51 | 52 => Err(session.refused(&search, &outcome)),
            // The account must not look, or not at so many or for so long.
            _ => Err(SourceError::CursorLost(session.words(&outcome))),
        }
    }

    /// Whether an entry was there at this mark and has changed since.
    fn is_moved(&self, entry: &Entry) -> bool {
        let csn = entry.text("entryCSN").unwrap_or_default();
        let is_known = |known: &String| server_of(known) == server_of(csn) && csn <= known.as_str();
        let second = |time: &str| time.get(..14).map(str::to_owned);
        // By the latest of all servers: who has made it may have a clock that is ahead.
        let latest = self.csn.iter().max().and_then(|csn| second(csn));
        let is_new = entry.text("createTimestamp").and_then(second) > latest;
        !is_new && !self.csn.iter().any(is_known)
    }
}

/// Which server has given a change number.
fn server_of(csn: &str) -> Option<&str> {
    csn.split('#').nth(2)
}

/// The change numbers of a context, in order.
fn numbers(session: &mut Session, context: &str) -> Result<Vec<String>, SourceError> {
    let entry = session.entry(context, &["contextCSN"])?;
    let mut numbers: Vec<String> =
        entry.iter().flat_map(|entry| entry.texts("contextCSN")).map(str::to_owned).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) changed: Vec<Entry>,
    /// By `entryUUID`.
    pub(super) deleted: Vec<String>,
    /// Of the entries, in bytes.
    size: usize,
}

impl Changes {
    pub(super) fn put(&mut self, entry: Entry) -> Result<(), SourceError> {
        self.size = self.size.saturating_add(entry.size());
        self.changed.push(entry);
        self.check()
    }

    fn delete(&mut self, uuids: Vec<String>) -> Result<(), SourceError> {
        self.deleted.extend(uuids);
        self.check()
    }

    fn check(&self) -> Result<(), SourceError> {
        let is_much = self.changed.len() > MAX_CHANGES
            || self.deleted.len() > MAX_CHANGES
            || self.size > MAX_CHANGED;
        match is_much {
            true => Err(SourceError::CursorLost("too much has changed".to_owned())),
            false => Ok(()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.deleted.is_empty()
    }
}

/// A filter for what has changed since a time.
pub(super) fn changed_since(filter: &str, since: i64) -> String {
    both(filter, &format!("(modifyTimestamp>={})", generalized(since)))
}

/// A filter for entries that hold others, have changed since a time and were there before: who is below them may
/// have been moved with them.
pub(super) fn moved_since(since: i64) -> String {
    let since = generalized(since);
    format!("(&(|{PLACES})(modifyTimestamp>={since})(!(createTimestamp>={since})))")
}

/// A time as GeneralizedTime (RFC 4517 §3.3.13).
fn generalized(ms: i64) -> String {
    let digits: String = instant_text(ms).chars().filter(char::is_ascii_digit).take(14).collect();
    format!("{digits}Z")
}

/// When an entry was changed, in milliseconds since 1970 (GeneralizedTime, RFC 4517 §3.3.13).
pub(super) fn changed_at(entry: &Entry) -> Option<i64> {
    let text = entry.text("modifyTimestamp")?;
    let [y, m, d, h, min, s] =
        [0..4, 4..6, 6..8, 8..10, 10..12, 12..14].map(|part| text.get(part).unwrap_or_default());
    instant_ms(&format!("{y}-{m}-{d}T{h}:{min}:{s}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pull::ldap::entry::tests::entry;

    #[test]
    fn times_are_read_and_asked_for_as_servers_write_them() {
        let at =
            |text: &str| changed_at(&entry("cn=a", &[("modifyTimestamp", &[text.as_bytes()])]));
        let time = at("20261121200000Z");
        assert_eq!(time, Some(1_795_291_200_000));
        assert_eq!(at("20261121200000.123Z"), time);
        assert_eq!((at("2026"), at("")), (None, None));
        let filter = changed_since("(objectClass=person)", 1_795_291_200_000);
        assert_eq!(filter, "(&(objectClass=person)(modifyTimestamp>=20261121200000Z))");
        assert_eq!(changed_since("objectClass=person", 1_795_291_200_000), filter);
    }

    #[test]
    fn places_have_moved_that_were_there_and_have_changed() {
        let csn = |time: &str, server: &str| format!("{time}.000000Z#000000#{server}#000000");
        let mark = Mark {
            context: "dc=x".into(),
            csn: vec![csn("20261122100000", "001"), csn("20261122100010", "002")],
            cookie: String::new(),
        };
        for (changed, server, made, moved) in [
            // By the number of the server that has changed it.
            ("20261122100000", "001", "20200101000000Z", false),
            ("20261122100001", "001", "20200101000000Z", true),
            ("20261122100001", "002", "20200101000000Z", false),
            ("20261122100011", "002", "20200101000000Z", true),
            ("20200101000000", "003", "20200101000000Z", true),
            // Made since.
            ("20261122100020", "001", "20261122100011Z", false),
            ("20261122100020", "001", "20261122100010Z", true),
            ("20261122100020", "001", "", true),
        ] {
            let csn = csn(changed, server);
            let place = [csn.as_bytes()];
            let made = [made.as_bytes()];
            let place = entry("ou=a", &[("entryCSN", &place), ("createTimestamp", &made)]);
            assert_eq!(mark.is_moved(&place), moved, "{csn}");
        }
        assert_eq!(
            moved_since(1_795_291_200_000),
            format!(
                "(&(|{PLACES})(modifyTimestamp>=20261121200000Z)(!(createTimestamp>=20261121200000Z)))"
            )
        );
    }

    #[test]
    fn cursors_come_back_and_others_are_lost() {
        let mark = Mark { context: "dc=x".into(), csn: vec!["1".into()], cookie: "eA==".into() };
        for cursor in [Cursor::Sync { users: mark.clone(), groups: Some(mark) }, Cursor::Since(7)] {
            assert_eq!(Cursor::parse(&cursor.text().expect("text")), Ok(cursor));
        }
        assert!(matches!(Cursor::parse("12"), Err(SourceError::CursorLost(_))));
    }
}
