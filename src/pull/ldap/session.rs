//! A connection to a server: connects where the operator allows it, secures, binds and searches.
//!
//! It blocks its thread, but never longer than its time: an operation, which is at most one page, has the
//! timeout of the server, and a list a multiple of it.

use std::cell::Cell;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::time::Duration;

use url::Url;

use super::ber::{self, INTEGER, OCTET_STRING, Reader, SEQUENCE, number, octets, sequence};
use super::entry::Entry;
use super::filter::encoded;
use super::line::{Security, Socket, Stream, Trouble, broken};
use super::wire::{self, Answer, Control, Outcome, SearchRequest, control};
use crate::clock::Stopwatch;
use crate::outbound::{Outbound, OutboundError};
use crate::pull::client::{FIRST_PATIENCE_MS, FIRST_TRIES, own_pause_ms};
use crate::pull::{SourceError, Surroundings};

/// Largest message, in bytes: a group with half a million members.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// How much is read at a time, in bytes.
const CHUNK: usize = 64 * 1024;

/// Most values of an entry: twice as many as a message has room for names of members.
const MAX_VALUES: usize = 1_000_000;

/// Pages that are tried when a server refuses the size.
const PAGE_SIZES: [i64; 3] = [500, 200, 100];

/// Longest time of all pages of a list, in times of one page.
const LIST_TIMES: u32 = 120;

/// Most bytes of a page that are kept until the next page is asked for.
const MAX_AHEAD: usize = 4 * 1024 * 1024;

/// Most pages without an entry, one after another.
const MAX_EMPTY_PAGES: usize = 100;

/// Longest part of a server's own words that is kept, in characters.
const MAX_WORDS: usize = 300;

/// Results of a server that may do better a moment later.
const BUSY: i64 = 51;
const UNAVAILABLE: i64 = 52;

/// Simple paged results (RFC 2696).
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// A server with the account that reads it.
#[derive(Clone)]
pub struct Server {
    /// Tried one after another, `ldap://` or `ldaps://`.
    pub urls: Vec<Url>,
    pub security: Security,
    /// Authorities in PEM; `None` for those that are public.
    pub ca_pem: Option<String>,
    /// The name in the certificate, where it is not that of the URL.
    pub certificate_name: Option<String>,
    pub bind_dn: String,
    pub password: String,
    /// Longest time for a connection, and of one page.
    pub timeout: Duration,
    pub page_size: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Base,
    One,
    Subtree,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Search {
    pub base: String,
    pub scope: Scope,
    /// RFC 4515.
    pub filter: String,
    /// Names of attributes; operational ones come only by their names.
    pub attributes: Vec<String>,
    pub controls: Vec<Control>,
}

impl Search {
    pub fn new(base: &str, scope: Scope, filter: &str, attributes: &[&str]) -> Self {
        Self {
            base: base.to_owned(),
            scope,
            filter: filter.to_owned(),
            attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
            controls: Vec::new(),
        }
    }

    pub fn with(mut self, control: Control) -> Self {
        self.controls.push(control);
        self
    }
}

/// What a search gives before it ends.
#[derive(Debug)]
pub enum Item {
    Entry(Entry),
    /// An intermediate message.
    Message {
        oid: String,
        value: Vec<u8>,
    },
}

/// A bound connection.
pub struct Session {
    stream: Stream,
    /// What has come and is not read yet begins at `at`.
    buffer: Vec<u8>,
    at: usize,
    last_id: i64,
    timeout: Duration,
    page_size: i64,
    password: String,
}

impl Session {
    /// Connects to the first server that lets in, and binds. Where none can be reached, or is ready, all are
    /// tried again a little later. Who refuses the credentials is not asked a second time, not by way of
    /// another server either: accounts are locked so.
    pub fn open(
        server: &Server,
        outbound: &Outbound,
        surroundings: &Surroundings,
    ) -> Result<Self, SourceError> {
        // With an empty password any name is let in, as nobody (RFC 4513 §5.1.2).
        if server.password.is_empty() || server.bind_dn.is_empty() {
            let message = "a bind name and a password are required".to_owned();
            return Err(SourceError::Credentials(message));
        }
        let (mut tries, mut patience_ms) = (0, surroundings.patience_ms.min(FIRST_PATIENCE_MS));
        loop {
            tries += 1;
            let watch = Stopwatch::start();
            let message = match Self::with_any(server, outbound, surroundings) {
                Ok(session) => return Ok(session),
                Err(Trouble::Other(error)) => return Err(error),
                Err(Trouble::Passing(message)) => message,
            };
            let pause = own_pause_ms(surroundings.first_retry_ms, tries);
            let spent = i64::try_from(watch.elapsed().as_millis()).unwrap_or(i64::MAX);
            patience_ms = patience_ms.saturating_sub(spent).saturating_sub(pause);
            if tries >= FIRST_TRIES || patience_ms < 0 {
                return Err(SourceError::failed(message));
            }
            surroundings.term.rest(pause)?;
        }
    }

    /// A session with the first server that gives one.
    fn with_any(
        server: &Server,
        outbound: &Outbound,
        surroundings: &Surroundings,
    ) -> Result<Self, Trouble> {
        let (mut messages, mut is_passing) = (Vec::new(), false);
        for url in &server.urls {
            surroundings.term.check()?;
            let message = match Self::with(url, server, outbound, surroundings) {
                Ok(session) => return Ok(session),
                Err(Trouble::Passing(message)) => {
                    is_passing = true;
                    message
                }
                Err(Trouble::Other(SourceError::Failed { message, .. })) => message,
                Err(other) => return Err(other),
            };
            messages.push(format!("{url}: {message}"));
        }
        let error = SourceError::failed(messages.join("; "));
        Err(if is_passing { Trouble::passing(error) } else { error.into() })
    }

    fn with(
        url: &Url,
        server: &Server,
        outbound: &Outbound,
        surroundings: &Surroundings,
    ) -> Result<Self, Trouble> {
        let mut session = Self::connect(url, server, outbound, surroundings)?;
        session.bind(server)?;
        Ok(session)
    }

    fn connect(
        url: &Url,
        server: &Server,
        outbound: &Outbound,
        surroundings: &Surroundings,
    ) -> Result<Self, Trouble> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port().unwrap_or(if server.security == Security::Ldaps { 636 } else { 389 });
        let connected = outbound.connect(host, port, server.security.line());
        let stream = connected.map_err(|error| match error {
            OutboundError::Forbidden(reason) => {
                SourceError::failed(format!("it must not be called: {reason}")).into()
            }
            OutboundError::Untrusted(reason) => SourceError::failed(reason).into(),
            OutboundError::Failed(reason) => Trouble::Passing(reason),
        })?;
        let socket = Socket::new(stream, server.timeout, surroundings.clone())
            .map_err(|error| Trouble::passing(broken("the connection breaks off", &error)))?;
        let mut session = Self {
            stream: Stream::Plain(Box::new(socket)),
            buffer: Vec::new(),
            at: 0,
            last_id: 0,
            timeout: server.timeout,
            page_size: server.page_size,
            password: server.password.clone(),
        };
        if server.security == Security::StartTls {
            let id = session.next_id();
            let outcome = session.asked(id, &wire::start_tls(id)).map_err(Trouble::passing)?;
            let words = format!("StartTLS is refused: {}", session.words(&outcome));
            match outcome.code {
                0 => {}
                BUSY | UNAVAILABLE => return Err(Trouble::Passing(words)),
                _ => return Err(SourceError::failed(words).into()),
            }
            // What was sent before the handshake could be anybody's.
            if session.at < session.buffer.len() {
                let message = "the server says more before TLS than it was asked";
                return Err(SourceError::failed(message).into());
            }
        }
        if server.security != Security::Plain {
            let name = server.certificate_name.as_deref().unwrap_or(host);
            session.stream.begin();
            session.stream.secure(name, server.ca_pem.as_deref())?;
        }
        Ok(session)
    }

    fn bind(&mut self, server: &Server) -> Result<(), Trouble> {
        let id = self.next_id();
        let asked = wire::bind(id, &server.bind_dn, &server.password);
        let outcome = self.asked(id, &asked).map_err(Trouble::passing)?;
        let words = self.words(&outcome);
        match outcome.code {
            0 => Ok(()),
            // The name or the password is wrong, or the account must not: all but a busy server.
            19 | 32 | 34 | 48 | 49 | 50 | 53 => Err(SourceError::Credentials(words).into()),
            8 | 13 => {
                Err(SourceError::failed(format!("{words}; use \"ldaps\" or \"starttls\"")).into())
            }
            BUSY | UNAVAILABLE => Err(Trouble::Passing(words)),
            _ => Err(SourceError::failed(words).into()),
        }
    }

    /// Searches without pages; whatever the outcome is, it is answered.
    pub fn search(
        &mut self,
        search: &Search,
        take: &mut dyn FnMut(Item) -> Result<(), SourceError>,
    ) -> Result<Outcome, SourceError> {
        let id = self.ask(search)?;
        self.answers(id, take)
    }

    /// Sends a search; its number, for [`Session::answers`].
    fn ask(&mut self, search: &Search) -> Result<i64, SourceError> {
        let filter = encoded(&search.filter).map_err(|message| {
            SourceError::failed(format!("the filter {}: {message}", search.filter))
        })?;
        let request = SearchRequest {
            base: &search.base,
            scope: match search.scope {
                Scope::Base => 0,
                Scope::One => 1,
                Scope::Subtree => 2,
            },
            filter: &filter,
            attributes: &search.attributes,
        };
        let id = self.next_id();
        self.send(&wire::search(id, &request, &search.controls))?;
        Ok(id)
    }

    /// What a search gives, to its end.
    fn answers(
        &mut self,
        id: i64,
        take: &mut dyn FnMut(Item) -> Result<(), SourceError>,
    ) -> Result<Outcome, SourceError> {
        loop {
            match self.receive(id)? {
                Answer::Entry(entry) => {
                    let watch = Stopwatch::start();
                    take(Item::Entry(entry))?;
                    self.stream.excuse(watch.elapsed());
                }
                Answer::Intermediate { oid, value } => take(Item::Message { oid, value })?,
                Answer::Reference => {}
                Answer::Done(outcome) => return Ok(outcome),
            }
        }
    }

    /// Every entry of a search, page by page. Anything but a complete list is an error. The next page is
    /// asked for before the entries of a page are taken: the server makes it meanwhile.
    pub fn list(
        &mut self,
        search: &Search,
        take: &mut dyn FnMut(Entry) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let (watch, time) = (Stopwatch::start(), self.timeout.saturating_mul(LIST_TIMES));
        // What is done with the entries takes its own time.
        let own = Cell::new(Duration::ZERO);
        let mut take = |entry: Entry| {
            let watch = Stopwatch::start();
            let taken = take(entry);
            own.set(own.get().saturating_add(watch.elapsed()));
            taken
        };
        let (mut heads, mut empty) = (HashSet::new(), 0);
        let (mut id, mut is_first) = (self.ask_page(search, &[])?, true);
        loop {
            if watch.elapsed().saturating_sub(own.get()) > time {
                let seconds = time.as_secs();
                return Err(SourceError::failed(format!(
                    "the server has not come to the end of a list within {seconds} seconds"
                )));
            }
            // Taking the entries of the page before has had its time.
            self.stream.begin();
            let (mut page, mut size, mut taken) = (Vec::new(), 0, 0_usize);
            let outcome = self.answers(id, &mut |item| {
                let Item::Entry(entry) = item else { return Ok(()) };
                taken += 1;
                // The cookie may be the same for all pages; what they begin with is not.
                if taken == 1 && !heads.insert(hash_of(&entry.dn)) {
                    return Err(SourceError::failed("the server lists the same page again"));
                }
                size += entry.size();
                page.push(entry);
                match size > MAX_AHEAD {
                    true => {
                        size = 0;
                        page.drain(..).try_for_each(&mut take)
                    }
                    false => Ok(()),
                }
            })?;
            match outcome.code {
                0 => {}
                // A server that gives no pages of that size (OpenLDAP: size.pr).
                11 if is_first && taken == 0 => {
                    let smaller = PAGE_SIZES.iter().find(|size| **size < self.page_size);
                    match smaller {
                        Some(smaller) => self.page_size = *smaller,
                        None => return Err(self.refused(search, &outcome)),
                    }
                    id = self.ask_page(search, &[])?;
                    continue;
                }
                _ => return Err(self.refused(search, &outcome)),
            }
            let next = control(&outcome.controls, PAGED_RESULTS).map(page_cookie).transpose()?;
            let next = next.filter(|cookie| !cookie.is_empty());
            empty = if taken == 0 { empty + 1 } else { 0 };
            if empty > MAX_EMPTY_PAGES {
                return Err(SourceError::failed("the server gives one empty page after another"));
            }
            if let Some(cookie) = &next {
                (id, is_first) = (self.ask_page(search, cookie)?, false);
            }
            page.into_iter().try_for_each(&mut take)?;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    /// Asks for the page of a list that begins at the cookie.
    fn ask_page(&mut self, search: &Search, cookie: &[u8]) -> Result<i64, SourceError> {
        let value = sequence(&[number(INTEGER, self.page_size), octets(cookie)]);
        self.ask(&search.clone().with(Control::new(PAGED_RESULTS, true, Some(value))))
    }

    /// The entry of that name; `None` where there is none, or none that may be seen.
    pub fn entry(&mut self, dn: &str, attributes: &[&str]) -> Result<Option<Entry>, SourceError> {
        self.found(&Search::new(dn, Scope::Base, "(objectClass=*)", attributes))
    }

    /// The one entry that a search is for; `None` where there is none, or none that may be seen.
    pub fn found(&mut self, search: &Search) -> Result<Option<Entry>, SourceError> {
        let mut found = None;
        let outcome = self.search(search, &mut |item| {
            if let Item::Entry(entry) = item {
                found = Some(entry);
            }
            Ok(())
        })?;
        match outcome.code {
            0 => Ok(found),
            // There is none, its name is none here, it is elsewhere, or it must not be seen.
            10 | 32 | 34 | 50 => Ok(None),
            _ => Err(self.refused(search, &outcome)),
        }
    }

    /// What the server says about itself (RFC 4512 §5.1).
    pub fn root(&mut self, attributes: &[&str]) -> Result<Entry, SourceError> {
        self.entry("", attributes)?
            .ok_or_else(|| SourceError::failed("the server does not show its root entry"))
    }

    /// Why a search came to nothing.
    pub fn refused(&self, search: &Search, outcome: &Outcome) -> SourceError {
        let base = if search.base.is_empty() { "the root entry" } else { &search.base };
        let said = format!("the search below {base}: {}", self.words(outcome));
        SourceError::failed(match outcome.remedy() {
            "" => said,
            remedy => format!("{said}; {remedy}"),
        })
    }

    /// An outcome in the server's own words, without the password.
    pub fn words(&self, outcome: &Outcome) -> String {
        let text = outcome.text.replace(&self.password, "[secret]");
        let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect();
        let said = format!("the server answers {} ({})", outcome.code, outcome.name());
        if text.is_empty() { said } else { format!("{said}: {text}") }
    }

    fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    fn send(&mut self, message: &[u8]) -> Result<(), SourceError> {
        self.stream.begin();
        let sent = self.stream.write_all(message).and_then(|()| self.stream.flush());
        sent.map_err(|error| broken("the connection breaks off", &error))
    }

    /// The outcome of an operation that has no other answer.
    fn asked(&mut self, id: i64, message: &[u8]) -> Result<Outcome, SourceError> {
        self.send(message)?;
        match self.receive(id)? {
            Answer::Done(outcome) => Ok(outcome),
            _ => Err(malformed()),
        }
    }

    /// The next message that answers a request.
    fn receive(&mut self, id: i64) -> Result<Answer, SourceError> {
        loop {
            let pending = self.buffer.get(self.at..).unwrap_or_default();
            let size = ber::size(pending).map_err(|_| malformed())?;
            let whole = size.map(|(head, content)| head.saturating_add(content));
            if whole.is_some_and(|whole| whole > MAX_MESSAGE) {
                return Err(SourceError::failed(format!(
                    "the server sends a message of more than {MAX_MESSAGE} bytes"
                )));
            }
            let Some(message) = whole.and_then(|whole| pending.get(..whole)) else {
                self.fill()?;
                continue;
            };
            let (found, answer) = wire::answer(message).map_err(|_| malformed())?;
            self.at += message.len();
            match answer {
                Answer::Entry(entry) if entry.values_count > MAX_VALUES => {
                    return Err(SourceError::failed(format!(
                        "the server sends an entry of more than {MAX_VALUES} values"
                    )));
                }
                answer if found == id => return Ok(answer),
                // The server says goodbye (RFC 4511 §4.4.1).
                Answer::Done(outcome) if found == 0 => {
                    let words = self.words(&outcome);
                    return Err(SourceError::failed(format!(
                        "the server ends the connection: {words}"
                    )));
                }
                // What is left of a search that was given up.
                _ if found < id => {}
                _ => return Err(malformed()),
            }
        }
    }

    /// Reads more of what the server sends.
    fn fill(&mut self) -> Result<(), SourceError> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let used = self.buffer.len();
        self.buffer.resize(used + CHUNK, 0);
        let read = self.stream.read(self.buffer.get_mut(used..).unwrap_or_default());
        self.buffer.truncate(used + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => Err(SourceError::failed("the server ends the connection")),
            Ok(_) => Ok(()),
            Err(error) => Err(broken("the connection breaks off", &error)),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let id = self.next_id();
        // Who does not listen any more need not be told.
        let _ = self.stream.write_all(&wire::unbind(id));
    }
}

fn hash_of(dn: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    dn.hash(&mut hasher);
    hasher.finish()
}

fn malformed() -> SourceError {
    SourceError::failed("the server sends what is no LDAP")
}

/// Where the next page begins (RFC 2696 §2).
fn page_cookie(value: &[u8]) -> Result<Vec<u8>, SourceError> {
    let cookie = || {
        let mut reader = Reader(Reader(value).expect(SEQUENCE)?);
        reader.expect(INTEGER)?;
        reader.expect(OCTET_STRING)
    };
    cookie().map(<[u8]>::to_vec).map_err(|_: ber::Malformed| malformed())
}
