//! One read of a domain: entries become envelopes.
//!
//! Entries name each other with their ids, so a name that changes while the domain is read does no harm. The
//! members of a group come in parts, which are taken only when the group has not changed in between.

use std::collections::HashMap;

use serde_json::Value;

use super::active_directory::Directory;
use super::active_directory_changes::Domain;
use super::active_directory_user::plain;
use super::ldap_read::put_members;
use crate::pull::ldap::ad::{Name, extended_names, guid, part, part_name};
use crate::pull::ldap::{Entry, Keep, Scope, Search, Session};
use crate::pull::{AccountState, Envelope, Fault, Kind, Sink, SourceError};
use crate::scim::Object;

/// Attributes that are asked for of a group, with the first part of its members.
pub(super) const ATTRIBUTES: [&str; 8] = [
    "objectClass",
    "objectGUID",
    "sAMAccountName",
    "cn",
    "description",
    "mail",
    "groupType",
    "member;range=0-1499",
];

/// How many members are asked for at a time; servers give no more than 1,500.
const PART: u64 = 1_500;

/// Most parts that a group may have.
const MAX_PARTS: u64 = 10_000;

/// How often a group that changes while it is read is read again.
const TRIES: usize = 5;

/// A group that was read.
struct Group {
    id: String,
    place: String,
    /// What accounts name it by whose primary group it is.
    rid: Option<u32>,
    members: Vec<Box<str>>,
    /// Whether there are more.
    is_cut: bool,
}

pub(super) struct Reader<'r> {
    directory: &'r Directory,
    domain: &'r Domain,
    sink: &'r mut dyn Sink,
    groups: Vec<Group>,
    /// Users by their primary group.
    primary: HashMap<u32, Vec<Box<str>>>,
    keep: Keep,
    /// Whether somebody, or a group, has come that was not in the directory.
    pub(super) has_newcomers: bool,
}

impl<'r> Reader<'r> {
    pub(super) fn new(
        directory: &'r Directory,
        domain: &'r Domain,
        sink: &'r mut dyn Sink,
    ) -> Self {
        Self {
            directory,
            domain,
            sink,
            groups: Vec::new(),
            primary: HashMap::new(),
            keep: Keep::default(),
            has_newcomers: false,
        }
    }

    /// The id of an entry, or a fault.
    fn id_of(&mut self, entry: &Entry, kind: Kind) -> Result<Option<String>, SourceError> {
        let id = id_of(entry);
        if id.is_none() {
            let message = "it has no \"objectGUID\", or the account must not read it.".to_owned();
            self.sink.fault(Fault { kind, place: place_of(entry), message })?;
        }
        Ok(id)
    }

    fn put(&mut self, envelope: Envelope) -> Result<(), SourceError> {
        let (kind, id) = (envelope.kind, envelope.resource.clone());
        self.sink.put(envelope)?;
        self.has_newcomers |= self.sink.is_new(kind, &id);
        Ok(())
    }

    pub(super) fn user(&mut self, entry: &Entry) -> Result<Option<String>, SourceError> {
        let Some(id) = self.id_of(entry, Kind::Account)? else { return Ok(None) };
        self.note_primary(entry, &id)?;
        let reading = &self.directory.reading;
        let (state, place) = (reading.state(entry), place_of(entry));
        let attributes = reading.attributes(entry, &self.domain.name);
        let (state, attributes) = match (state, attributes) {
            (Ok(state), Ok(attributes)) => (state, attributes),
            // An access ends whatever is wrong with the rest; the fault is listed with it.
            (Ok(state), Err(message)) if state != AccountState::Active => {
                let ended = Envelope::account(id.clone(), self.payload(entry, &id), Object::new());
                self.put(ended.in_state(state).at(place).faulty(message))?;
                return Ok(Some(id));
            }
            (Err(message), _) | (_, Err(message)) => {
                self.sink.fault(Fault { kind: Kind::Account, place, message })?;
                return Ok(Some(id));
            }
        };
        let envelope = Envelope::account(id.clone(), self.payload(entry, &id), attributes);
        self.put(envelope.in_state(state).at(place))?;
        Ok(Some(id))
    }

    fn payload(&self, entry: &Entry, id: &str) -> Object {
        if self.sink.wants_payload() { payload(entry, id) } else { Object::new() }
    }

    /// Notes the primary group of a user.
    pub(super) fn note_primary(&mut self, entry: &Entry, id: &str) -> Result<(), SourceError> {
        let rid = entry.text("primaryGroupID").and_then(|rid| rid.parse().ok());
        if let Some(rid) = rid.filter(|_| self.directory.primary_groups) {
            self.keep.take(id.len())?;
            self.primary.entry(rid).or_default().push(id.into());
        }
        Ok(())
    }

    pub(super) fn deleted(&mut self, kind: Kind, id: String) -> Result<(), SourceError> {
        self.sink.put(Envelope::deleted(kind, id))
    }

    pub(super) fn group(&mut self, entry: &Entry) -> Result<Option<String>, SourceError> {
        let Some(id) = self.id_of(entry, Kind::Group)? else { return Ok(None) };
        let place = place_of(entry);
        let Some(name) = entry.text("cn") else {
            let (kind, message) = (Kind::Group, "it has no \"cn\", which is its name.".to_owned());
            self.sink.fault(Fault { kind, place, message })?;
            return Ok(Some(id));
        };
        let mut attributes = Object::new();
        attributes.insert("displayName".to_owned(), name.into());
        if let Some(description) = entry.text("description") {
            attributes.insert("description".to_owned(), description.into());
        }
        let first = part(entry, "member");
        let is_cut = first.as_ref().is_some_and(|part| part.next.is_some() || part.from > 0);
        // What is cut is read again.
        let first = first.filter(|_| !is_cut).map(|part| part.values);
        let members: Vec<Box<str>> = first.into_iter().flatten().filter_map(member).collect();
        members.iter().try_for_each(|member| self.keep.take(member.len()))?;
        self.groups.push(Group {
            id: id.clone(),
            place: place.clone(),
            rid: Name::parse(&entry.dn).rid,
            members,
            is_cut,
        });
        self.put(Envelope::group(id.clone(), self.payload(entry, &id), attributes).at(place))?;
        Ok(Some(id))
    }

    /// Forgets the members of groups and the primary groups of users, which come again.
    pub(super) fn again(&mut self) {
        self.groups.clear();
        self.primary.clear();
        self.keep = Keep::default();
    }

    /// No more groups come: says who is in them. Who is not here stays all the same: the plan counts members
    /// that it does not know.
    pub(super) fn memberships(&mut self, session: &mut Session) -> Result<(), SourceError> {
        let mut groups = std::mem::take(&mut self.groups);
        for group in &mut groups {
            if group.is_cut && !self.complete(session, group)? {
                let message =
                    "its members change, or cannot be read, while they are read.".to_owned();
                let place = group.place.clone();
                self.sink.fault(Fault { kind: Kind::Membership, place, message })?;
            }
            let rid = group.rid.and_then(|rid| self.primary.remove(&rid));
            group.members.extend(rid.into_iter().flatten());
        }
        let named =
            groups.into_iter().map(|group| (group.id, group.members.into_iter().map(String::from)));
        put_members(self.sink, self.directory.nested, named)
    }

    /// Reads the members of a group part by part, all of them of one state of the group; whether that was
    /// possible.
    fn complete(&mut self, session: &mut Session, group: &mut Group) -> Result<bool, SourceError> {
        for _ in 0..TRIES {
            let (mut members, mut from, mut state) = (Vec::new(), 0, None);
            for _ in 0..MAX_PARTS {
                let name = part_name("member", from, PART);
                let Some(entry) = found(session, &group.id, &[&name, "uSNChanged"])? else {
                    return Ok(false);
                };
                let usn = entry.text("uSNChanged").map(str::to_owned);
                if usn.is_none() || state.is_some() && state != usn {
                    break;
                }
                state = usn;
                let given = part(&entry, "member");
                let next = given.as_ref().and_then(|part| part.next);
                if given.as_ref().is_some_and(|part| part.from != from)
                    || next.is_some_and(|next| next <= from)
                {
                    let message = "the server gives other members of a group than were asked for";
                    return Err(SourceError::failed(message));
                }
                for member in given.into_iter().flat_map(|part| part.values).filter_map(member) {
                    self.keep.take(member.len())?;
                    members.push(member);
                }
                let Some(next) = next else {
                    group.members = members;
                    return Ok(true);
                };
                from = next;
            }
        }
        Ok(false)
    }
}

/// The entry of that id; `None` where there is none, or none that may be seen.
fn found(
    session: &mut Session,
    id: &str,
    attributes: &[&str],
) -> Result<Option<Entry>, SourceError> {
    let base = format!("<GUID={id}>");
    let search = Search::new(&base, Scope::Base, "(objectClass=*)", attributes);
    session.found(&search.with(extended_names()))
}

pub(super) fn id_of(entry: &Entry) -> Option<String> {
    guid(entry.bytes("objectGUID")?)
}

fn place_of(entry: &Entry) -> String {
    Name::parse(&entry.dn).dn.to_owned()
}

/// A member by its id, or by its name where the server gives no ids.
fn member(value: &[u8]) -> Option<Box<str>> {
    let name = Name::parse(std::str::from_utf8(value).ok()?);
    Some(name.guid.map_or_else(|| name.dn.into(), |guid| guid.to_lowercase().into()))
}

/// The entry as filters and maps see it: names are names, and who is in a group comes by itself.
fn payload(entry: &Entry, id: &str) -> Object {
    let show = |value: &mut Value| {
        if let Value::String(text) = value {
            *text = plain(text).to_owned();
        }
    };
    let mut payload = entry.payload();
    payload.retain(|name, _| !name.contains(";range="));
    for value in payload.values_mut() {
        match value {
            Value::Array(values) => values.iter_mut().for_each(show),
            value => show(value),
        }
    }
    payload.insert("objectGUID".to_owned(), id.into());
    payload
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pull::ldap::entry::tests::entry;

    #[test]
    fn filters_see_names_and_ids_as_people_do() {
        let guid = "f555cb9c-798d-4e49-8daa-6a102d1557f0";
        let name = |dn: &str| format!("<GUID={guid}>;<SID=S-1-5-21-7>;{dn}").into_bytes();
        let entry = entry(
            &String::from_utf8(name("CN=g,DC=x")).expect("text"),
            &[
                ("objectGUID", &[&[7; 16]]),
                ("manager", &[&name("CN=m,DC=x")]),
                ("member;range=0-*", &[&name("CN=a,DC=x")]),
                ("title", &[b"<b>"]),
            ],
        );
        assert_eq!(
            Value::Object(payload(&entry, guid)),
            json!({"dn": "CN=g,DC=x", "objectGUID": guid, "manager": "CN=m,DC=x", "title": "<b>"})
        );
        assert_eq!(member(&name("CN=a,DC=x")).as_deref(), Some(guid));
        assert_eq!(member(b"CN=a,DC=x").as_deref(), Some("CN=a,DC=x"));
    }
}
