//! One read of a directory: entries become envelopes, and names of entries become ids.
//!
//! An entry names others by their names, which it may do before they are listed. A user whose manager is
//! not known yet waits for the end of the list; members are looked up when all groups are there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::json;

use super::ldap::Directory;
use super::ldap_changes::changed_at;
use super::ldap_group::{Group, Member, expanded, of_uid, search_of};
use super::ldap_user::{id_in, set_manager};
use crate::pull::ldap::dn::{self, Names};
use crate::pull::ldap::{Entry, Keep, Search, Session};
use crate::pull::{AccountState, Envelope, Fault, Kind, Sink, SourceError};
use crate::scim::Object;

/// What never changes, by servers: RFC 4530, 389 Directory Server, FreeIPA.
pub(super) const IDS: [&str; 3] = ["entryUUID", "nsUniqueId", "ipaUniqueID"];

/// Largest entry of a user, in bytes: what is larger could not be stored.
const MAX_USER: usize = 256 * 1024;

/// Most names that are looked up one by one; of more, all names are read again.
const MAX_LOOKUPS: usize = 1_000;

/// What becomes of groups within groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nested {
    Keep,
    Expand,
}

impl Nested {
    /// By the words of a configuration.
    pub(super) fn named(word: &str) -> Self {
        if word == "expand" { Self::Expand } else { Self::Keep }
    }
}

pub(super) struct Reader<'r> {
    directory: &'r Directory,
    sink: &'r mut dyn Sink,
    /// The attribute of the ids. Where the configuration does not say it, it is the one by which users are
    /// stored: a server that learns another one has still the same users.
    id_attribute: Option<String>,
    /// Users who were listed before that was clear.
    undecided: Vec<Entry>,
    names: Names,
    /// Ids that were listed, to notice entries that share one.
    listed: HashSet<(Kind, Arc<str>)>,
    doubtful: HashSet<(Kind, Arc<str>)>,
    /// `None` for a `uid` that several entries have.
    uids: HashMap<Box<str>, Option<Arc<str>>>,
    /// Users whose manager has not been listed yet.
    waiting: Vec<Entry>,
    groups: Vec<Group>,
    keep: Keep,
    /// The newest change that was seen, in milliseconds since 1970.
    pub(super) newest: Option<i64>,
}

impl<'r> Reader<'r> {
    pub(super) fn new(directory: &'r Directory, sink: &'r mut dyn Sink) -> Self {
        Self {
            directory,
            sink,
            id_attribute: directory.id_attribute.clone(),
            undecided: Vec::new(),
            names: Names::default(),
            listed: HashSet::new(),
            doubtful: HashSet::new(),
            uids: HashMap::new(),
            waiting: Vec::new(),
            groups: Vec::new(),
            keep: Keep::default(),
            newest: None,
        }
    }

    fn id_of(&mut self, entry: &Entry, kind: Kind) -> Option<Arc<str>> {
        if self.id_attribute.is_none() {
            let is_stored =
                |name: &&&str| id_in(entry, name).is_some_and(|id| self.sink.is_stored(kind, &id));
            let first = || IDS.iter().find(|name| entry.text(name).is_some());
            let known = IDS.iter().find(is_stored);
            let decided = known.or_else(|| first().filter(|_| self.sink.is_first()));
            self.id_attribute = decided.map(|name| (*name).to_owned());
        }
        id_in(entry, self.id_attribute.as_deref()?).map(Arc::from)
    }

    /// The id of an entry, noted by its name; or a fault.
    fn noted(&mut self, entry: &Entry, kind: Kind) -> Result<Option<Arc<str>>, SourceError> {
        self.newest = self.newest.max(changed_at(entry));
        let place = entry.dn.clone();
        let Some(id) = self.id_of(entry, kind) else {
            let wanted = self.id_attribute.as_deref().unwrap_or("entryUUID");
            let message = format!("it has no \"{wanted}\", or the account must not read it.");
            self.sink.fault(Fault { kind, place, message })?;
            return Ok(None);
        };
        // Renamed while it was read, or an attribute that several have: of none of them it is clear.
        if !self.listed.insert((kind, Arc::clone(&id))) {
            let wanted = self.id_attribute.as_deref().unwrap_or_default();
            let message = format!("another entry has the same \"{wanted}\", {id}.");
            self.sink.retract(kind, &id);
            self.doubtful.insert((kind, id));
            self.sink.fault(Fault { kind, place, message })?;
            return Ok(None);
        }
        self.note_name(entry, &id)?;
        Ok(Some(id))
    }

    fn note_name(&mut self, entry: &Entry, id: &Arc<str>) -> Result<(), SourceError> {
        self.keep.take(entry.dn.len() + id.len())?;
        self.names.insert(&entry.dn, Arc::clone(id));
        Ok(())
    }

    /// Notes the names of a user that is not read itself. Who has no id that is known is somebody new, who
    /// is read.
    pub(super) fn name(&mut self, entry: &Entry) -> Result<(), SourceError> {
        match self.id_of(entry, Kind::Account) {
            None => Ok(()),
            Some(id) => {
                self.note_name(entry, &id)?;
                self.note_uids(entry, &id)
            }
        }
    }

    /// Members are named by it in groups of RFC 2307.
    fn note_uids(&mut self, entry: &Entry, id: &Arc<str>) -> Result<(), SourceError> {
        if self.directory.group_base.is_none() {
            return Ok(());
        }
        for uid in entry.texts("uid") {
            match self.uids.get_mut(uid) {
                Some(known) if known.as_ref() == Some(id) => {}
                Some(known) => *known = None,
                None => {
                    self.keep.take(uid.len())?;
                    self.uids.insert(uid.into(), Some(Arc::clone(id)));
                }
            }
        }
        Ok(())
    }

    pub(super) fn user(&mut self, entry: Entry) -> Result<(), SourceError> {
        self.id_of(&entry, Kind::Account);
        if self.id_attribute.is_none() && IDS.iter().any(|name| entry.has(name)) {
            self.keep.take(entry.size())?;
            self.undecided.push(entry);
            return Ok(());
        }
        for before in std::mem::take(&mut self.undecided) {
            self.decided(before)?;
        }
        self.decided(entry)
    }

    /// A user, now that it is clear what its id is.
    fn decided(&mut self, entry: Entry) -> Result<(), SourceError> {
        let Some(id) = self.noted(&entry, Kind::Account)? else { return Ok(()) };
        self.note_uids(&entry, &id)?;
        match entry.text("manager") {
            Some(manager) if self.names.get(manager).is_none() => {
                self.keep.take(entry.size())?;
                self.waiting.push(entry);
                Ok(())
            }
            _ => self.put_user(&entry, &id),
        }
    }

    /// No more users come.
    pub(super) fn users_end(&mut self, session: &mut Session) -> Result<(), SourceError> {
        let undecided = std::mem::take(&mut self.undecided);
        if let Some(first) = undecided.first() {
            // None of them is stored under any of its ids.
            let has = |name: &&&str| first.has(name);
            self.id_attribute = IDS.iter().find(has).map(|name| (*name).to_owned());
        }
        for entry in undecided {
            self.decided(entry)?;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let managers = waiting.iter().filter_map(|entry| entry.text("manager"));
        let managers = managers.map(|name| Member::Named(name.into()));
        self.find_strangers(session, managers)?;
        for entry in waiting {
            let id = self.id_of(&entry, Kind::Account).map(|id| (Kind::Account, id));
            if let Some(known) = id.filter(|known| !self.doubtful.contains(known)) {
                self.put_user(&entry, &known.1)?;
            }
        }
        Ok(())
    }

    /// Looks for those who are named and were not listed under that name: who was renamed while all were
    /// read has a new one. Who is not found is not there.
    fn find_strangers(
        &mut self,
        session: &mut Session,
        named: impl Iterator<Item = Member>,
    ) -> Result<(), SourceError> {
        let directory = self.directory;
        let bases = [Some(&directory.user_base), directory.group_base.as_ref()];
        let bases: Vec<String> = bases.into_iter().flatten().filter_map(|b| dn::key(b)).collect();
        // Who is elsewhere is no user and no group.
        let is_here = |dn: &str| {
            let key = dn::key(dn);
            key.is_some_and(|key| bases.iter().any(|base| dn::is_below(&key, base)))
        };
        let mut strangers = HashSet::new();
        for member in named {
            let is_stranger = match &member {
                Member::Known(_) => false,
                Member::Named(dn) => self.names.get(dn).is_none() && is_here(dn),
                Member::Uid(uid) => !self.uids.contains_key(uid),
            };
            if is_stranger {
                strangers.insert(member);
            }
            if strangers.len() > MAX_LOOKUPS {
                return self.list_names(session);
            }
        }
        let wanted = directory.name_attributes();
        for stranger in strangers {
            match stranger {
                Member::Known(_) => {}
                Member::Named(name) => {
                    if let Some(entry) = session.entry(&name, &wanted)? {
                        self.name(&entry)?;
                    }
                }
                Member::Uid(uid) => {
                    let search = directory.users(&wanted);
                    let filter = of_uid(&search.filter, &uid);
                    session.list(&Search { filter, ..search }, &mut |entry| self.name(&entry))?;
                }
            }
        }
        Ok(())
    }

    fn list_names(&mut self, session: &mut Session) -> Result<(), SourceError> {
        let directory = self.directory;
        let wanted = directory.name_attributes();
        session.list(&directory.users(&wanted), &mut |entry| self.name(&entry))?;
        match directory.groups(&wanted) {
            None => Ok(()),
            Some(groups) => session.list(&groups, &mut |entry| self.name(&entry)),
        }
    }

    fn put_user(&mut self, entry: &Entry, id: &str) -> Result<(), SourceError> {
        let (id, reading) = (id.to_owned(), &self.directory.reading);
        let read = match entry.size() {
            size if size > MAX_USER => {
                Err(format!("it has {size} bytes; at most {MAX_USER} are read of a user."))
            }
            _ => reading.attributes(entry),
        };
        match read {
            Ok(mut attributes) => {
                if let Some(manager) = entry.text("manager") {
                    // Who is not here is named all the same; it refers to nobody.
                    set_manager(&mut attributes, self.names.get(manager).unwrap_or(manager));
                }
                let envelope = Envelope::account(id, self.payload(entry), attributes);
                let state = reading.state(entry);
                self.sink.put(envelope.in_state(state).at(entry.dn.clone()))
            }
            Err(message) => {
                let place = entry.dn.clone();
                let state = reading.state(entry);
                if state != AccountState::Active {
                    // An access ends whatever is wrong with the rest; the fault is listed with it.
                    let envelope = Envelope::account(id, self.payload(entry), Object::new());
                    return self.sink.put(envelope.in_state(state).at(place).faulty(message));
                }
                self.sink.fault(Fault { kind: Kind::Account, place, message })
            }
        }
    }

    fn payload(&self, entry: &Entry) -> Object {
        if self.sink.wants_payload() { entry.payload() } else { Object::new() }
    }

    /// What the server says is gone.
    pub(super) fn deleted(
        &mut self,
        users: Vec<String>,
        groups: Vec<String>,
    ) -> Result<(), SourceError> {
        for (kind, ids) in [(Kind::Account, users), (Kind::Group, groups)] {
            for id in ids {
                self.sink.put(Envelope::deleted(kind, id))?;
            }
        }
        Ok(())
    }

    pub(super) fn group(&mut self, entry: &Entry) -> Result<(), SourceError> {
        let Some(id) = self.noted(entry, Kind::Group)? else { return Ok(()) };
        let place = entry.dn.clone();
        let Some(name) = entry.text("cn") else {
            let (kind, message) = (Kind::Group, "it has no \"cn\", which is its name.".to_owned());
            return self.sink.fault(Fault { kind, place, message });
        };
        let mut attributes = Object::new();
        attributes.insert("displayName".to_owned(), name.into());
        if let Some(description) = entry.text("description") {
            attributes.insert("description".to_owned(), description.into());
        }
        let id = id.to_string();
        let mut group = Group::of(id.clone(), entry);
        for member in &mut group.members {
            self.look_up(member);
            self.keep.take(member.size())?;
        }
        self.groups.push(group);
        let envelope = Envelope::group(id, self.payload(entry), attributes);
        self.sink.put(envelope.at(place))
    }

    /// Puts the id in the place of a name, where it is known.
    fn look_up(&self, member: &mut Member) {
        let id = match member {
            Member::Known(_) => None,
            Member::Named(dn) => self.names.shared(dn),
            Member::Uid(uid) => self.uids.get(uid).and_then(Option::as_ref),
        };
        if let Some(id) = id {
            *member = Member::Known(Arc::clone(id));
        }
    }

    /// Who is meant by a `uid` that several have, nobody can tell: nobody joins by it.
    fn refuse_ambiguous(&mut self, group: &mut Group) -> Result<(), SourceError> {
        let mut ambiguous = Vec::new();
        group.members.retain(|member| match member {
            Member::Uid(uid) if self.uids.contains_key(uid) => {
                ambiguous.push(uid.clone());
                false
            }
            _ => true,
        });
        for uid in ambiguous {
            let message = format!("its memberUid \"{uid}\" is the uid of several entries.");
            let (kind, place) = (Kind::Membership, group.id.clone());
            self.sink.fault(Fault { kind, place, message })?;
        }
        Ok(())
    }

    /// No more groups come: says who is in them. Who is named and not there stays named: the plan counts
    /// members that it does not know.
    pub(super) fn memberships(&mut self, session: &mut Session) -> Result<(), SourceError> {
        let mut groups = std::mem::take(&mut self.groups);
        for group in &mut groups {
            for url in std::mem::take(&mut group.urls) {
                self.search_members(session, group, &url)?;
            }
            for member in &mut group.members {
                self.look_up(member);
            }
        }
        let named = groups.iter().flat_map(|group| group.members.iter().cloned());
        self.find_strangers(session, named)?;
        for group in &mut groups {
            for member in &mut group.members {
                self.look_up(member);
            }
            self.refuse_ambiguous(group)?;
        }
        let named =
            groups.into_iter().map(|group| (group.id, group.members.into_iter().map(name_of)));
        put_members(self.sink, self.directory.nested, named)
    }

    /// Members by a search. One that fails is a fault of the group: nobody counts as missing then.
    fn search_members(
        &mut self,
        session: &mut Session,
        group: &mut Group,
        url: &str,
    ) -> Result<(), SourceError> {
        let id_attribute = self.id_attribute.clone().unwrap_or_default();
        let found = match search_of(url, &[&id_attribute]) {
            Err(message) => Err(message),
            Ok(search) => match session.list(&search, &mut |entry| {
                let id = id_in(&entry, &id_attribute);
                group.members.extend(id.map(|id| Member::Known(id.into())));
                self.keep.take(size_of::<Member>())
            }) {
                Err(SourceError::Failed { message, .. }) => {
                    Err(format!("its memberURL cannot be followed: {message}."))
                }
                listed => return listed,
            },
        };
        match found {
            Ok(()) => Ok(()),
            Err(message) => {
                self.sink.fault(Fault { kind: Kind::Membership, place: group.id.clone(), message })
            }
        }
    }
}

/// Says who is in each group: whom the group names, or everybody in it and in the groups within it.
pub(super) fn put_members<M: Iterator<Item = String>>(
    sink: &mut dyn Sink,
    nested: Nested,
    groups: impl Iterator<Item = (String, M)>,
) -> Result<(), SourceError> {
    let mut put = |group: &str, member: &str| {
        let payload = [("group", json!(group)), ("member", json!(member))];
        let payload = payload.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        sink.put(Envelope::membership(group.to_owned(), member.to_owned(), payload))
    };
    match nested {
        Nested::Keep => {
            for (group, mut members) in groups {
                members.try_for_each(|member| put(&group, &member))?;
            }
        }
        Nested::Expand => {
            let by_id: HashMap<String, Vec<String>> =
                groups.map(|(group, members)| (group, members.collect())).collect();
            for group in by_id.keys() {
                expanded(group, &by_id).into_iter().try_for_each(|member| put(group, member))?;
            }
        }
    }
    Ok(())
}

fn name_of(member: Member) -> String {
    match member {
        Member::Known(id) => id.to_string(),
        Member::Named(name) | Member::Uid(name) => name.into(),
    }
}
