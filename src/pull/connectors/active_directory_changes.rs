//! Which entries of a domain have changed since it was read: by DirSync, which is for replication, or by the
//! numbers that each server gives to its changes.
//!
//! Both only say which entries are meant; what has become of them is read as in a complete read.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::ldap_changes::MAX_CHANGES;
use crate::pull::SourceError;
use crate::pull::ldap::ad::{dirsync, guid, show_deleted, synced};
use crate::pull::ldap::{Entry, Item, Outcome, Scope, Search, Session, dn};

/// Longest time between two reads, in milliseconds. What was deleted before is forgotten by and by: after 60
/// days in the oldest domains.
const MAX_AGE_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// Most answers that one synchronization may take.
const MAX_ROUNDS: usize = 10_000;

/// Lets nothing through: synchronization by it leads to where the domain stands now.
const NOTHING: &str = "(!(objectClass=*))";

/// How changes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// By DirSync where the account may, else by numbers.
    Auto,
    DirSync,
    UsnChanged,
    Off,
}

impl Method {
    /// By the words of a configuration.
    pub(super) fn named(word: &str) -> Self {
        match word {
            "dirsync" => Self::DirSync,
            "usnchanged" => Self::UsnChanged,
            "off" => Self::Off,
            _ => Self::Auto,
        }
    }
}

/// A domain as one of its servers has it.
#[derive(Clone, Debug)]
pub(super) struct Domain {
    /// The entry at the top.
    pub(super) base: String,
    /// Its name in the DNS.
    pub(super) name: String,
    /// What the server is in the domain.
    service: String,
    /// The number of its last change.
    usn: Option<i64>,
}

impl Domain {
    pub(super) fn of(session: &mut Session) -> Result<Self, SourceError> {
        let asked = ["defaultNamingContext", "dsServiceName", "highestCommittedUSN"];
        let root = session.root(&asked)?;
        let Some(base) = root.text("defaultNamingContext") else {
            let message = "the server has no defaultNamingContext: it is no domain controller";
            return Err(SourceError::failed(message));
        };
        let key = dn::key(base).unwrap_or_default();
        let labels: Vec<&str> = key.split(',').filter_map(|rdn| rdn.strip_prefix("dc=")).collect();
        Ok(Self {
            base: base.to_owned(),
            name: labels.join("."),
            service: root.text("dsServiceName").unwrap_or_default().to_owned(),
            usn: root.text("highestCommittedUSN").and_then(|usn| usn.parse().ok()),
        })
    }

    pub(super) fn holds(&self, name: &str) -> bool {
        let base = dn::key(&self.base).unwrap_or_default();
        dn::key(name).is_some_and(|key| dn::is_below(&key, &base))
    }

    fn search(&self, filter: &str, attributes: &[&str]) -> Search {
        Search::new(&self.base, Scope::Subtree, filter, attributes)
    }

    /// Whether the account sees anything that was deleted.
    pub(super) fn shows_deleted(&self, session: &mut Session) -> Result<bool, SourceError> {
        // The well-known id of the container (MS-ADTS §6.1.1.4).
        let base = format!("<WKGUID=18E2EA80684F11D2B9AA00C04F79F805,{}>", self.base);
        let search = Search::new(&base, Scope::One, "(objectClass=*)", &["1.1"]);
        let mut found = false;
        // Where there is more than the server gives at once, there is something.
        session.search(&search.with(show_deleted()), &mut |item| {
            found |= matches!(item, Item::Entry(_));
            Ok(())
        })?;
        Ok(found)
    }

    /// How far the server's own database is; `None` where it does not show it.
    fn state(&self, session: &mut Session) -> Result<Option<State>, SourceError> {
        let settings = session.entry(&self.service, &["invocationId"])?;
        let id = settings.as_ref().and_then(|entry| guid(entry.bytes("invocationId")?));
        Ok(id.zip(self.usn).map(|(invocation_id, usn)| State { invocation_id, usn }))
    }
}

/// How far the database of a server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Of that database.
    invocation_id: String,
    /// The number of its last change.
    usn: i64,
}

impl State {
    /// Whether the same database has had changes that it has no more.
    fn is_ahead_of(&self, now: &Self) -> bool {
        self.invocation_id == now.invocation_id && self.usn > now.usn
    }
}

/// Where an incremental read goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// When the read began, in milliseconds since 1970.
    pub(super) at: i64,
    /// The server that was read.
    state: Option<State>,
    /// That of DirSync in Base64, which any server of the domain takes; without it changes are found by the
    /// numbers of the server.
    cookie: Option<String>,
}

impl Cursor {
    pub(super) fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    pub(super) fn parse(text: &str, now: i64) -> Result<Self, SourceError> {
        match serde_json::from_str::<Self>(text) {
            Err(_) => Err(lost("the cursor is of another kind")),
            Ok(cursor) if now.saturating_sub(cursor.at) > MAX_AGE_MS => {
                Err(lost("it was not read for so long that it may have forgotten who was deleted"))
            }
            Ok(cursor) => Ok(cursor),
        }
    }

    /// Where the domain stands now; `None` where changes cannot be found.
    pub(super) fn now(
        session: &mut Session,
        domain: &Domain,
        method: Method,
        at: i64,
    ) -> Result<Option<Self>, SourceError> {
        if method == Method::Off {
            return Ok(None);
        }
        let state = domain.state(session)?;
        if method != Method::UsnChanged {
            let search = domain.search(NOTHING, &["objectGUID"]);
            match synchronized(session, &search, Vec::new(), &mut |_| Ok(()))? {
                Ok(cookie) => {
                    return Ok(Some(Self { at, state, cookie: Some(STANDARD.encode(cookie)) }));
                }
                Err(outcome) if is_passing(&outcome) => {
                    return Err(session.refused(&search, &outcome));
                }
                // The account must not.
                Err(_) => {}
            }
        }
        let by_number = state.filter(|_| method != Method::DirSync);
        Ok(by_number.map(|state| Self { at, state: Some(state), cookie: None }))
    }

    pub(super) fn is_dirsync(&self) -> bool {
        self.cookie.is_some()
    }

    /// Fails where the server is behind: one that came from a backup does not know who has come since, and what it
    /// lists is no proof of anything. How far another server is nobody can tell.
    ///
    /// `last` is the text of the cursor of the last read, however old it is.
    pub(super) fn check_follows(&self, last: &str) -> Result<(), SourceError> {
        let last = serde_json::from_str::<Self>(last).ok().and_then(|last| last.state);
        match (last, &self.state) {
            (Some(last), Some(now)) if last.is_ahead_of(now) => Err(SourceError::failed(format!(
                "the server is behind what was read before: its last change is number {}, and number {} was reached \
                 already; it came from a backup. If that is meant, send the configuration again",
                now.usn, last.usn
            ))),
            _ => Ok(()),
        }
    }

    /// Fails where what the server says now may leave out what has changed.
    fn check(&self, now: Option<&State>) -> Result<(), SourceError> {
        match (&self.state, now) {
            (Some(then), Some(now)) if then.is_ahead_of(now) => {
                Err(lost("the server is older than it was: it was restored"))
            }
            (Some(then), Some(now)) if then.invocation_id == now.invocation_id => Ok(()),
            _ if self.is_dirsync() => Ok(()),
            _ => Err(lost("another server answers, whose numbers are its own")),
        }
    }

    /// What has changed since, and where it goes on after a read that began at `at`. `attributes` are those
    /// whose changes matter.
    pub(super) fn changes(
        &self,
        session: &mut Session,
        domain: &Domain,
        attributes: &[&str],
        at: i64,
    ) -> Result<(Changes, Self), SourceError> {
        let state = domain.state(session)?;
        self.check(state.as_ref())?;
        let mut changes = Changes::default();
        let mut next = Self { at, state, cookie: None };
        if let Some(cookie) = &self.cookie {
            let cookie = STANDARD.decode(cookie).unwrap_or_default();
            let search = domain.search("(objectClass=*)", attributes);
            match synchronized(session, &search, cookie, &mut |entry| changes.note(&entry))? {
                Ok(cookie) => next.cookie = Some(STANDARD.encode(cookie)),
                Err(outcome) if is_passing(&outcome) => {
                    return Err(session.refused(&search, &outcome));
                }
                // The cookie is not known any more, or the account must not do this any more.
                Err(outcome) => return Err(lost(&session.words(&outcome))),
            }
        } else if let Some(then) = self.state.as_ref().filter(|_| self.state != next.state) {
            let filter = format!("(uSNChanged>={})", then.usn.saturating_add(1));
            let search = domain.search(&filter, &["objectGUID", "isDeleted"]);
            session.list(&search.with(show_deleted()), &mut |entry| changes.note(&entry))?;
        }
        Ok((changes, next))
    }
}

fn lost(reason: &str) -> SourceError {
    SourceError::CursorLost(reason.to_owned())
}

/// Whether the server may do better the next time: it has no time, or is busy.
fn is_passing(outcome: &Outcome) -> bool {
    matches!(outcome.code, 3 | 51 | 52)
}

/// Asks for changes until there are no more; the cookie after them, or how it was refused.
fn synchronized(
    session: &mut Session,
    search: &Search,
    mut cookie: Vec<u8>,
    take: &mut dyn FnMut(Entry) -> Result<(), SourceError>,
) -> Result<Result<Vec<u8>, Outcome>, SourceError> {
    for _ in 0..MAX_ROUNDS {
        let asked = search.clone().with(dirsync(&cookie));
        let outcome = session.search(&asked, &mut |item| match item {
            Item::Entry(entry) => take(entry),
            Item::Message { .. } => Ok(()),
        })?;
        if outcome.code != 0 {
            return Ok(Err(outcome));
        }
        let next = synced(&outcome.controls)
            .map_err(|_| SourceError::failed("the server answers without synchronization"))?;
        if !next.more {
            return Ok(Ok(next.cookie));
        }
        if next.cookie == cookie {
            return Err(SourceError::failed("the synchronization does not go on"));
        }
        cookie = next.cookie;
    }
    Err(SourceError::failed(format!(
        "the synchronization does not end within {MAX_ROUNDS} answers"
    )))
}

/// Ids of entries that have changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) changed: BTreeSet<String>,
    pub(super) deleted: BTreeSet<String>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.deleted.is_empty()
    }

    fn note(&mut self, entry: &Entry) -> Result<(), SourceError> {
        // What has no id is nothing that was read before.
        let Some(id) = entry.bytes("objectGUID").and_then(guid) else { return Ok(()) };
        // An entry may come twice, and be restored.
        match entry.is_true("isDeleted") {
            true => {
                self.changed.remove(&id);
                self.deleted.insert(id);
            }
            false => {
                self.deleted.remove(&id);
                self.changed.insert(id);
            }
        }
        self.check()
    }

    pub(super) fn check(&self) -> Result<(), SourceError> {
        Self::check_number(self.changed.len() + self.deleted.len())
    }

    /// Beyond a number a complete read, which comes in pages, is better.
    pub(super) fn check_number(number: usize) -> Result<(), SourceError> {
        match number <= MAX_CHANGES {
            true => Ok(()),
            false => Err(lost("too much has changed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pull::ldap::entry::tests::entry;

    #[test]
    fn cursors_come_back_and_old_ones_are_lost() {
        let cursor = Cursor { at: 1_000, state: None, cookie: Some("eA==".into()) };
        let text = cursor.text().expect("text");
        assert_eq!(Cursor::parse(&text, 1_000 + MAX_AGE_MS), Ok(cursor));
        let late = Cursor::parse(&text, 1_001 + MAX_AGE_MS);
        assert!(matches!(late, Err(SourceError::CursorLost(_))), "{late:?}");
        assert!(matches!(Cursor::parse("12", 0), Err(SourceError::CursorLost(_))));
    }

    #[test]
    fn numbers_count_for_one_database_that_was_not_restored() {
        let state = |id: &str, usn| Some(State { invocation_id: id.into(), usn });
        for (then, now, by_number, by_dirsync) in [
            (state("a", 7), state("a", 7), true, true),
            (state("a", 7), state("a", 8), true, true),
            (state("a", 7), state("a", 6), false, false),
            (state("a", 7), state("b", 9), false, true),
            (state("a", 7), None, false, true),
            (None, state("a", 7), false, true),
        ] {
            let cursor = Cursor { at: 0, state: then, cookie: None };
            assert_eq!(cursor.check(now.as_ref()).is_ok(), by_number, "{cursor:?} {now:?}");
            let cursor = Cursor { cookie: Some("eA==".into()), ..cursor };
            assert_eq!(cursor.check(now.as_ref()).is_ok(), by_dirsync, "{cursor:?} {now:?}");
        }
    }

    #[test]
    fn server_that_came_from_a_backup_is_behind() {
        let at = |id: &str, usn| {
            let state = Some(State { invocation_id: id.into(), usn });
            Cursor { at: 0, state, cookie: None }
        };
        for (now, follows) in [
            (at("a", 7), true),
            (at("a", 8), true),
            (at("a", 6), false),
            (at("b", 1), true),
            (Cursor { at: 0, state: None, cookie: None }, true),
        ] {
            let last = at("a", 7).text().expect("text");
            assert_eq!(now.check_follows(&last).is_ok(), follows, "{now:?}");
            assert_eq!(now.check_follows("12"), Ok(()));
        }
    }

    #[test]
    fn what_was_deleted_is_told_from_what_has_changed() {
        let mut changes = Changes::default();
        let id = |byte: u8| [byte; 16];
        let told = |byte: u8, deleted: &'static [u8]| {
            entry("CN=a", &[("objectGUID", &[&id(byte)]), ("isDeleted", &[deleted])])
        };
        for entry in [
            told(1, b"FALSE"),
            told(2, b"TRUE"),
            told(1, b"TRUE"),
            told(2, b""),
            entry("CN=b", &[]),
        ] {
            changes.note(&entry).expect("few");
        }
        let text = |byte: u8| BTreeSet::from([guid(&id(byte)).expect("an id")]);
        assert_eq!((changes.changed, changes.deleted), (text(2), text(1)));
    }
}
