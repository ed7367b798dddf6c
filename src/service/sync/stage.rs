//! Takes what a connector reads: the filter, the check that it can be stored, and whether it is what is
//! stored already. What is kept of an object that has not changed is its name.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::ahead::Ahead;
use super::outcome::counted;
use crate::pull::plan::{Record, Source, Stored};
use crate::pull::term::Term;
use crate::pull::{Action, Envelope, Fault, Kind, Sink, SourceError};
use crate::scim::key::text_key;
use crate::scim::{Object, ResourceType, urn};
use crate::service::mapping::filter::Filter;
use crate::service::{Access, Service};

/// Largest object, in bytes of JSON.
const MAX_BYTES: usize = 256 * 1024;

/// Longest id of a source, in bytes.
const MAX_ID: usize = 512;

/// Most accounts and groups of a source, and most memberships: a list without an end must not take the
/// memory of the process.
const MAX_OBJECTS: usize = 2_000_000;
const MAX_MEMBERSHIPS: usize = 20_000_000;

/// Text of everything that is new or has changed, in bytes: it is kept until everything is read, but for new users
/// of a long first read.
const MAX_TEXT: usize = 1024 * 1024 * 1024;

/// Faults that are kept of a read; the others are counted as one.
const MAX_FAULTS: usize = 1_000;

/// How far a run is; written by whoever does it, read by whoever reports.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) phase: AtomicUsize,
    pub(super) read: AtomicUsize,
    pub(super) planned: AtomicUsize,
    pub(super) done: AtomicUsize,
}

/// The words of [`Progress::phase`].
const PHASES: [&str; 4] = ["starting", "reading", "planning", "applying"];

impl Progress {
    pub(super) fn enter(&self, phase: &str) {
        let number = PHASES.iter().position(|known| *known == phase).unwrap_or(0);
        self.phase.store(number, Ordering::Relaxed);
    }

    pub(super) fn shown(&self) -> Value {
        let number = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        json!({
            "phase": PHASES.get(number(&self.phase)).unwrap_or(&"starting"),
            "read": number(&self.read),
            "planned": number(&self.planned),
            "done": number(&self.done),
        })
    }
}

/// Collects a read.
pub(super) struct Stage {
    service: Arc<Service>,
    access: Access,
    stored: Arc<Stored>,
    filter: Option<Filter>,
    /// Compares nothing: every object is written again.
    again: bool,
    /// Whether what is new is checked before anything is written.
    checks: bool,
    /// Who is new is written while others are read.
    ahead: Option<Ahead>,
    term: Term,
    progress: Arc<Progress>,
    pub(super) source: Source,
    unlisted_faults: usize,
    memberships: usize,
    buffer: Vec<u8>,
    /// Ids of stored groups by the keys of their members, where anybody asks.
    groups_of: OnceCell<HashMap<i64, Vec<String>>>,
}

impl Stage {
    pub(super) fn new(
        service: Arc<Service>,
        access: Access,
        stored: Arc<Stored>,
        filter: Option<Filter>,
        again: bool,
        (term, progress): (Term, Arc<Progress>),
    ) -> Self {
        Self {
            service,
            access,
            stored,
            filter,
            again,
            checks: true,
            ahead: None,
            term,
            progress,
            source: Source::default(),
            unlisted_faults: 0,
            memberships: 0,
            buffer: Vec::new(),
            groups_of: OnceCell::new(),
        }
    }

    /// Leaves the check of what is new to those who write it, who list what cannot be written, and sends it to
    /// them as it comes: where nothing is stored yet, nobody goes because of what is known sooner.
    pub(super) fn written_meanwhile(self, ahead: Option<Ahead>) -> Self {
        match self.is_first() {
            true => Self { checks: false, ahead, ..self },
            false => self,
        }
    }

    /// What was read.
    pub(super) fn finished(mut self) -> Source {
        if self.unlisted_faults > 0 {
            let (kind, place) = (Kind::Account, "others".to_owned());
            let more = counted(self.unlisted_faults, "more object", "more objects");
            let message = format!("{more} cannot be used.");
            self.source.faults.push(Fault { kind, place, message });
            self.source.unlisted_faults = self.unlisted_faults;
        }
        self.source
    }

    fn refuse(&mut self, kind: Kind, place: String, message: String) {
        match self.source.faults.len() < MAX_FAULTS {
            true => self.source.faults.push(Fault { kind, place, message }),
            false => self.unlisted_faults += 1,
        }
    }

    /// An account or a group as it would be stored, or what is wrong with it.
    fn record(&mut self, envelope: Envelope) -> Result<Record, String> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let record = self.record_by(envelope, &mut buffer);
        self.buffer = buffer;
        record
    }

    /// The same, with a buffer for its text: a text that has grown by and by keeps more memory than it has
    /// letters.
    fn record_by(&self, envelope: Envelope, buffer: &mut Vec<u8>) -> Result<Record, String> {
        if let Some(message) = envelope.fault {
            return Err(message);
        }
        let Envelope { kind, resource, members, mut attributes, usual_name, place, .. } = envelope;
        let directory = &self.access.directory;
        let type_name = if kind == Kind::Account { "User" } else { "Group" };
        let resource_type =
            directory.registry.by_name(type_name).ok_or("the directory has no such type.")?;
        attributes.insert("externalId".to_owned(), resource.as_str().into());
        let known = self.stored.get(kind, &resource);
        let text = |name: &str| attributes.get(name).and_then(Value::as_str).unwrap_or_default();
        let name = match (kind, &usual_name) {
            (Kind::Account, Some(usual)) => {
                known.map_or_else(|| text_key(usual, false), |known| known.name.clone())
            }
            (Kind::Account, None) => text_key(text("userName"), false),
            _ => text("displayName").to_owned(),
        };
        if name.is_empty() {
            let named = if kind == Kind::Account { "userName" } else { "displayName" };
            return Err(format!("it has no \"{named}\"."));
        }
        let active = is_active(&attributes);
        let manager = manager_of(&attributes).map(Box::from);
        // The same reference may mean another user by now.
        let meant = manager.as_deref().and_then(|id| self.stored.get(Kind::Account, id));
        let is_written = serde_json::to_writer(&mut *buffer, &attributes).is_ok();
        let written = std::str::from_utf8(buffer).ok().filter(|_| is_written).unwrap_or_default();
        let digest = digest(written, meant.map_or("", |known| known.id.as_str()));
        let is_same = known.is_some_and(|known| known.digest.as_ref() == Some(&digest));
        let is_same = is_same && !self.again;
        if !is_same {
            if written.len() > MAX_BYTES {
                let bytes = written.len();
                return Err(format!("it has {bytes} bytes; at most {MAX_BYTES} are allowed."));
            }
            if written.contains("\\u0000") {
                return Err("it contains the character U+0000.".to_owned());
            }
            if self.checks {
                if let Some(usual) = &usual_name {
                    attributes.insert("userName".to_owned(), usual.as_str().into());
                }
                self.check(resource_type, attributes)?;
            }
        }
        Ok(Record {
            kind,
            source_id: resource,
            name,
            active,
            digest,
            attributes: (!is_same).then(|| written.into()),
            manager,
            members,
            place,
            usual_name: usual_name.filter(|_| !is_same).map(String::into_boxed_str),
            is_partial: false,
            id: None,
            manager_id: None,
        })
    }

    /// What is left of an object that cannot be used: that it ends the access of somebody who has one.
    fn ending(&self, envelope: &Envelope) -> Option<Record> {
        let known = self.stored.get(envelope.kind, &envelope.resource)?;
        let ends =
            envelope.kind == Kind::Account && known.active && !is_active(&envelope.attributes);
        ends.then(|| Record::inactive(known, envelope.place.clone()))
    }

    /// Whether it could be stored, as far as that can be told without the database.
    fn check(&self, resource_type: &Arc<ResourceType>, body: Object) -> Result<(), String> {
        let checked = self.service.check_new(&self.access, resource_type, body);
        checked.map_err(|error| error.to_scim().detail)
    }
}

/// Identity providers write booleans as text, too.
fn is_active(attributes: &Object) -> bool {
    match attributes.get("active") {
        Some(Value::Bool(active)) => *active,
        Some(Value::String(text)) => !text.eq_ignore_ascii_case("false"),
        _ => true,
    }
}

/// The source's id of the manager.
pub(super) fn manager_of(attributes: &Object) -> Option<&str> {
    attributes.get(urn::ENTERPRISE_USER)?.get("manager")?.get("value")?.as_str()
}

/// What tells whether an object has changed: what the source gives, and whom its reference means here.
pub(super) fn digest(written: &str, manager: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(written);
    digest.update([0]);
    digest.update(manager);
    let half =
        digest.finalize().iter().take(16).fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
    format!("{half:032x}")
}

impl Sink for Stage {
    fn put(&mut self, envelope: Envelope) -> Result<(), SourceError> {
        self.term.check()?;
        let Envelope { kind, resource, action, .. } = &envelope;
        let (kind, action) = (*kind, *action);
        if kind == Kind::Account {
            self.progress.read.fetch_add(1, Ordering::Relaxed);
            self.source.listed += usize::from(action == Action::Upsert);
        }
        self.source.listed_groups += usize::from((kind, action) == (Kind::Group, Action::Upsert));
        let place = match envelope.place.is_empty() {
            true => resource.clone(),
            false => envelope.place.clone(),
        };
        if !(1..=MAX_ID).contains(&resource.len()) || resource.contains('\0') {
            self.refuse(kind, place, format!("its id must have 1 to {MAX_ID} bytes."));
            return Ok(());
        }
        if let (Some(filter), Action::Upsert) = (&self.filter, action) {
            match filter.lets_in(&envelope) {
                Ok(true) => {}
                Ok(false) if kind == Kind::Membership => return Ok(()),
                Ok(false) => {
                    self.source.exclude(kind, envelope.resource);
                    return Ok(());
                }
                Err(message) => {
                    self.ending(&envelope).into_iter().for_each(|record| self.source.put(record));
                    self.refuse(kind, place, message);
                    return Ok(());
                }
            }
        }
        self.memberships += usize::from(kind == Kind::Membership);
        if self.source.len() >= MAX_OBJECTS || self.memberships > MAX_MEMBERSHIPS {
            return Err(SourceError::failed(format!(
                "the source lists more than {MAX_OBJECTS} accounts and groups or {MAX_MEMBERSHIPS} \
                 memberships"
            )));
        }
        if self.source.bytes() > MAX_TEXT {
            return Err(SourceError::failed(format!(
                "what is new or has changed is larger than {} MiB in all",
                MAX_TEXT / (1024 * 1024)
            )));
        }
        match (kind, action) {
            (Kind::Membership, Action::Upsert) => {
                self.source.put_member(envelope.resource, envelope.member);
            }
            (Kind::Membership, Action::Delete) => {
                self.source.remove_member(envelope.resource, envelope.member);
            }
            (_, Action::Delete) => self.source.delete(kind, envelope.resource),
            (_, Action::Upsert) => {
                let ending = self.ending(&envelope);
                match self.record(envelope) {
                    Ok(record) => {
                        self.source.put(record);
                        if let Some(ahead) = &mut self.ahead {
                            ahead.send(&mut self.source)?;
                        }
                    }
                    Err(message) => {
                        ending.into_iter().for_each(|record| self.source.put(record));
                        self.refuse(kind, place, message);
                    }
                }
            }
        }
        Ok(())
    }

    fn fault(&mut self, fault: Fault) -> Result<(), SourceError> {
        self.refuse(fault.kind, fault.place, fault.message);
        Ok(())
    }

    fn is_new(&self, kind: Kind, resource: &str) -> bool {
        self.source.has(kind, resource) && self.stored.get(kind, resource).is_none()
    }

    fn missing(&self, kind: Kind) -> Vec<String> {
        let stored = self.stored.of_kind(kind).map(|known| known.source_id.as_str());
        let silent = stored.filter(|id| !id.is_empty() && !self.source.speaks_of(kind, id));
        silent.map(str::to_owned).collect()
    }

    fn wants_payload(&self) -> bool {
        self.filter.is_some()
    }

    fn retract(&mut self, kind: Kind, resource: &str) {
        self.source.forget(kind, resource);
    }

    fn is_stored(&self, kind: Kind, resource: &str) -> bool {
        self.stored.get(kind, resource).is_some()
    }

    fn group_name(&self, group: &str) -> Option<String> {
        let known = self.stored.get(Kind::Group, group)?;
        (!known.name.is_empty()).then(|| known.name.clone())
    }

    fn has_member(&self, group: &str, member: &str) -> bool {
        self.source.has_member(group, member)
    }

    fn groups_of(&self, account: &str) -> Vec<String> {
        let Some(known) = self.stored.get(Kind::Account, account) else { return Vec::new() };
        let groups = self.groups_of.get_or_init(|| {
            let mut groups: HashMap<i64, Vec<String>> = HashMap::new();
            for (group, member) in self.stored.memberships() {
                groups.entry(member).or_default().push(group.source_id.clone());
            }
            groups
        });
        groups.get(&known.key).cloned().unwrap_or_default()
    }

    fn is_first(&self) -> bool {
        self.stored.of_kind(Kind::Account).next().is_none()
    }
}
