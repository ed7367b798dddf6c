//! One read of a directory: entries become envelopes, and names of entries become ids.
//!
//! An entry names others by their names, which it may do before they are listed. A user whose manager is
//! not known yet waits for the end of the list; members are looked up when all groups are there.

use std::collections::HashMap;

use serde_json::json;

use super::ldap::Directory;
use super::ldap_changes::changed_at;
use super::ldap_group::{Group, Member, expanded, search_of};
use super::ldap_user::{id_in, set_manager};
use crate::pull::ldap::dn::Names;
use crate::pull::ldap::{Entry, Session};
use crate::pull::{AccountState, Envelope, Fault, Kind, Sink, SourceError};
use crate::scim::Object;

/// What never changes, by servers: RFC 4530, 389 Directory Server, FreeIPA.
const IDS: [&str; 3] = ["entryUUID", "nsUniqueId", "ipaUniqueID"];

/// What becomes of groups within groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nested {
    Keep,
    Expand,
}

pub(super) struct Reader<'r> {
    directory: &'r Directory,
    sink: &'r mut dyn Sink,
    /// Decided by the first entry where the configuration does not say it.
    id_attribute: Option<String>,
    names: Names,
    uids: HashMap<Box<str>, Box<str>>,
    /// Users whose manager has not been listed yet.
    waiting: Vec<Entry>,
    groups: Vec<Group>,
    /// The newest change that was seen, in milliseconds since 1970.
    pub(super) newest: Option<i64>,
}

impl<'r> Reader<'r> {
    pub(super) fn new(directory: &'r Directory, sink: &'r mut dyn Sink) -> Self {
        Self {
            directory,
            sink,
            id_attribute: directory.id_attribute.clone(),
            names: Names::default(),
            uids: HashMap::new(),
            waiting: Vec::new(),
            groups: Vec::new(),
            newest: None,
        }
    }

    fn id_of(&mut self, entry: &Entry) -> Option<String> {
        if self.id_attribute.is_none() {
            let known = IDS.iter().find(|name| entry.text(name).is_some());
            self.id_attribute = known.map(|name| (*name).to_owned());
        }
        id_in(entry, self.id_attribute.as_deref()?)
    }

    /// The id of an entry, noted by its name; or a fault.
    fn noted(&mut self, entry: &Entry, kind: Kind) -> Result<Option<String>, SourceError> {
        self.newest = self.newest.max(changed_at(entry));
        let Some(id) = self.id_of(entry) else {
            let wanted = self.id_attribute.as_deref().unwrap_or("entryUUID");
            let message = format!("it has no \"{wanted}\", or the account must not read it.");
            self.sink.fault(Fault { kind, place: entry.dn.clone(), message })?;
            return Ok(None);
        };
        self.names.insert(&entry.dn, &id);
        Ok(Some(id))
    }

    /// Notes the names of a user that is not read itself.
    pub(super) fn name(&mut self, entry: &Entry) {
        if let Some(id) = self.id_of(entry) {
            self.names.insert(&entry.dn, &id);
            self.note_uids(entry, &id);
        }
    }

    fn note_uids(&mut self, entry: &Entry, id: &str) {
        // Members are named by it in groups of RFC 2307.
        for uid in entry.texts("uid") {
            self.uids.insert(uid.into(), id.into());
        }
    }

    pub(super) fn user(&mut self, entry: Entry) -> Result<(), SourceError> {
        let Some(id) = self.noted(&entry, Kind::Account)? else { return Ok(()) };
        self.note_uids(&entry, &id);
        match entry.text("manager") {
            Some(manager) if self.names.get(manager).is_none() => {
                self.waiting.push(entry);
                Ok(())
            }
            _ => self.put_user(&entry, id),
        }
    }

    /// No more users come.
    pub(super) fn users_end(&mut self) -> Result<(), SourceError> {
        for entry in std::mem::take(&mut self.waiting) {
            if let Some(id) = self.id_of(&entry) {
                self.put_user(&entry, id)?;
            }
        }
        Ok(())
    }

    fn put_user(&mut self, entry: &Entry, id: String) -> Result<(), SourceError> {
        let reading = &self.directory.reading;
        match reading.attributes(entry) {
            Ok(mut attributes) => {
                if let Some(manager) = entry.text("manager") {
                    // Who is not here is named all the same; it refers to nobody.
                    set_manager(&mut attributes, self.names.get(manager).unwrap_or(manager));
                }
                let envelope = Envelope::account(id, entry.payload(), attributes);
                let state = reading.state(entry);
                self.sink.put(envelope.in_state(state).at(entry.dn.clone()))
            }
            Err(message) => {
                let place = entry.dn.clone();
                let state = reading.state(entry);
                if state != AccountState::Active {
                    // An access ends whatever is wrong with the rest; the fault is listed with it.
                    let envelope = Envelope::account(id, entry.payload(), Object::new());
                    return self.sink.put(envelope.in_state(state).at(place));
                }
                self.sink.fault(Fault { kind: Kind::Account, place, message })
            }
        }
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
        let mut group = Group::of(id.clone(), entry);
        for member in &mut group.members {
            self.look_up(member);
        }
        self.groups.push(group);
        self.sink.put(Envelope::group(id, entry.payload(), attributes).at(place))
    }

    /// Puts the id in the place of a name, where it is known.
    fn look_up(&self, member: &mut Member) {
        let id = match member {
            Member::Known(_) => None,
            Member::Named(dn) => self.names.get(dn),
            Member::Uid(uid) => self.uids.get(uid).map(AsRef::as_ref),
        };
        if let Some(id) = id {
            *member = Member::Known(id.into());
        }
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
        match self.directory.nested {
            Nested::Keep => {
                for group in groups {
                    for member in group.members {
                        self.put_member(&group.id, &name_of(member))?;
                    }
                }
            }
            Nested::Expand => {
                let by_id: HashMap<String, Vec<String>> = groups
                    .into_iter()
                    .map(|group| (group.id, group.members.into_iter().map(name_of).collect()))
                    .collect();
                for group in by_id.keys() {
                    for member in expanded(group, &by_id) {
                        self.put_member(group, member)?;
                    }
                }
            }
        }
        Ok(())
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
                Ok(())
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

    fn put_member(&mut self, group: &str, member: &str) -> Result<(), SourceError> {
        let payload = [("group", json!(group)), ("member", json!(member))];
        let payload = payload.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        self.sink.put(Envelope::membership(group.to_owned(), member.to_owned(), payload))
    }
}

fn name_of(member: Member) -> String {
    match member {
        Member::Known(name) | Member::Named(name) | Member::Uid(name) => name.into(),
    }
}
