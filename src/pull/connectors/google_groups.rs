//! Groups of a Google Workspace account and their members. What is spared between complete reads are the
//! members of groups that look the same. A change of members does not always show in its group, so a
//! complete read has all of them again.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::google::{Directory, MOST_ASKED, People};
use super::google_api::{List, is_forbidden, is_not_found};
use super::google_entry::{external, group, text};
use super::google_members::{Direct, MemberKind, Nested, below, id_of, is_like, mark};
use crate::pull::{
    AccountState, AccountType, Envelope, Fault, Finished, GroupsGiven, Kind, Members, Sink,
    SourceError,
};
use crate::scim::Object;

/// Most groups or members on a page.
const GROUPS_AT_A_TIME: &str = "200";

/// Most groups that are read only because they are in others: they must not take the memory.
const MOST_BELOW: usize = 100_000;

/// Marks of groups by id.
pub(super) type Marks = BTreeMap<String, String>;

/// Groups by id.
type Groups = BTreeMap<String, Object>;

/// A group with its members that waits for others; without itself where it does not come into the directory.
type Held = (String, Option<Object>, Vec<Object>);

/// A group whose members are not found; the same.
type Hidden = (String, Option<Object>);

impl Directory {
    /// Groups with their members; of groups that have the same mark as before no members.
    pub(super) fn read_groups(
        &mut self,
        before: Option<Marks>,
        people: &People,
        sink: &mut dyn Sink,
    ) -> Result<Finished, SourceError> {
        let mut same = before.unwrap_or_default();
        if !same.is_empty() {
            self.forget_groups_of_new(people, &mut same)?;
        }
        let mut marks = Marks::new();
        let (mut held, mut hidden) = (Vec::new(), Vec::new());
        let (wanted, others) = self.groups(sink)?;
        let seen = wanted.keys().cloned().collect();
        for (id, group) in wanted {
            let mark = mark(&group);
            if same.get(&id) == Some(&mark) {
                put_group(id.clone(), group, Members::Changes, sink)?;
                marks.insert(id, mark);
                continue;
            }
            let Some(members) = self.members(&id)? else {
                hidden.push((id, Some(group)));
                continue;
            };
            if let Some(fault) = blind(&id, &group, &members) {
                sink.fault(fault)?;
                put_group(id, group, Members::Changes, sink)?;
                continue;
            }
            let everyone = |member: &Object| people.kind_of(member) == MemberKind::Everyone;
            // Who the whole organization is changes without the group.
            if !members.iter().any(everyone) {
                marks.insert(id.clone(), mark);
            }
            match self.settings.needs_all_members() {
                true => held.push((id, Some(group), members)),
                false => self.put(&id, group, members, people, &HashMap::new(), sink)?,
            }
        }
        if self.settings.nested != Nested::Keep {
            self.hold_below(&mut held, &mut hidden, (seen, others), sink)?;
        }
        self.put_held(held, people, sink)?;
        self.put_hidden(hidden, sink)?;
        let cursor = self.reads_in_part().then(|| serde_json::to_string(&marks).ok()).flatten();
        Ok(Finished { cursor, groups: GroupsGiven::Yes })
    }

    pub(super) fn groups_list(&self) -> List<'static> {
        let query = vec![
            self.scope(),
            ("maxResults", GROUPS_AT_A_TIME.to_owned()),
            ("query", self.settings.group_query.clone()),
        ];
        List { path: &["groups"], query, kind: "admin#directory#groups", member: "groups" }
    }

    /// Who comes into the directory may be a member of groups that have not changed.
    fn forget_groups_of_new(
        &mut self,
        people: &People,
        same: &mut Marks,
    ) -> Result<(), SourceError> {
        if people.new.len() > MOST_ASKED {
            same.clear();
        }
        for id in &people.new {
            if same.is_empty() {
                break;
            }
            let of_user = List {
                query: vec![("userKey", id.clone()), ("maxResults", GROUPS_AT_A_TIME.to_owned())],
                ..self.groups_list()
            };
            let listed = self.api.list(&of_user, &mut |group| {
                same.remove(text(&group, "id"));
                Ok(())
            });
            match listed {
                // The user is gone by now.
                Err(error) if is_not_found(&error) => {}
                listed => listed?,
            }
        }
        Ok(())
    }

    /// The groups that are wanted, and others that were listed. As with users, none counts as missing that was
    /// not looked for again.
    fn groups(&mut self, sink: &mut dyn Sink) -> Result<(Groups, Groups), SourceError> {
        let list = self.groups_list();
        let mut groups = Groups::new();
        self.api.list(&list, &mut |group| {
            let (id, email) = (text(&group, "id").to_owned(), text(&group, "email"));
            if id.is_empty() {
                let message = "it has no \"id\".".to_owned();
                return sink.fault(Fault { kind: Kind::Group, place: email.to_owned(), message });
            }
            groups.insert(id, group);
            Ok(())
        })?;
        let mut missing = sink.missing(Kind::Group);
        missing.retain(|id| !groups.contains_key(id));
        // Only the list says which groups are of a domain or met by a query.
        let is_whole = self.settings.domain.is_empty() && self.settings.group_query.is_empty();
        if !missing.is_empty() && (!is_whole || missing.len() > MOST_ASKED) {
            self.api.list(&list, &mut |group| {
                let id = text(&group, "id").to_owned();
                if !id.is_empty() {
                    groups.entry(id).or_insert(group);
                }
                Ok(())
            })?;
        } else {
            for id in missing {
                groups.extend(self.api.group(&id)?.map(|group| (id, group)));
            }
        }
        let patterns = &self.settings.group_emails;
        let is_meant = |email: &str| patterns.iter().any(|pattern| is_like(email, pattern));
        let is_wanted = |group: &Object| patterns.is_empty() || is_meant(text(group, "email"));
        Ok(groups.into_iter().partition(|(_, group)| is_wanted(group)))
    }

    /// Reads groups that are left out and are in one that is held, at any depth: who is in them is below it.
    /// `seen` are the ids of all that are wanted, `others` were listed beside them.
    fn hold_below(
        &mut self,
        held: &mut Vec<Held>,
        hidden: &mut Vec<Hidden>,
        (mut seen, mut others): (HashSet<String>, Groups),
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        let most = held.len() + MOST_BELOW;
        let mut waiting: Vec<String> =
            held.iter().flat_map(|(_, _, members)| inner(members)).collect();
        while let Some(id) = waiting.pop() {
            if !seen.insert(id.clone()) {
                continue;
            }
            let group = match others.remove(&id) {
                Some(group) => Some(group),
                None => self.shown_group(&id)?,
            };
            let Some(group) = group else { continue };
            let Some(members) = self.members(&id)? else {
                hidden.push((id, None));
                continue;
            };
            if let Some(fault) = blind(&id, &group, &members) {
                sink.fault(fault)?;
                continue;
            }
            waiting.extend(inner(&members));
            held.push((id, None, members));
            if held.len() > most {
                return Err(SourceError::failed(format!(
                    "more than {MOST_BELOW} groups that are left out are in others"
                )));
            }
        }
        Ok(())
    }

    /// A group that is a member of another; `None` where it has gone, or is of another organization.
    fn shown_group(&mut self, id: &str) -> Result<Option<Object>, SourceError> {
        match self.api.group(id) {
            Err(error) if is_forbidden(&error) => Ok(None),
            found => found,
        }
    }

    /// Groups that were listed and whose members are not found. A group has gone only when neither it nor
    /// its place in the list is there any more; of one that stays nothing is known but that.
    fn put_hidden(&mut self, hidden: Vec<Hidden>, sink: &mut dyn Sink) -> Result<(), SourceError> {
        if hidden.is_empty() {
            return Ok(());
        }
        let mut listed = HashSet::new();
        self.api.list(&self.groups_list(), &mut |group| {
            listed.insert(text(&group, "id").to_owned());
            Ok(())
        })?;
        for (id, group) in hidden {
            if !listed.contains(&id) && self.api.group(&id)?.is_none() {
                continue;
            }
            let message = "Google lists it and does not find its members; they stay as they are.";
            let (place, message) = (id.clone(), message.to_owned());
            sink.fault(Fault { kind: Kind::Group, place, message })?;
            if let Some(group) = group {
                put_group(id, group, Members::Changes, sink)?;
            }
        }
        Ok(())
    }

    /// The direct members of a group; `None` when they are not found.
    fn members(&mut self, group: &str) -> Result<Option<Vec<Object>>, SourceError> {
        let mut members = Vec::new();
        let list = List {
            path: &["groups", group, "members"],
            query: vec![("maxResults", GROUPS_AT_A_TIME.to_owned())],
            kind: "admin#directory#members",
            member: "members",
        };
        let listed = self.api.list(&list, &mut |member| {
            members.push(member);
            Ok(())
        });
        match listed {
            Ok(()) => Ok(Some(members)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts groups that had to wait for all others.
    fn put_held(
        &self,
        held: Vec<Held>,
        people: &People,
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        let mut direct: HashMap<String, Direct> = HashMap::new();
        let mut guests = HashSet::new();
        for (id, _, members) in &held {
            let entry = direct.entry(id.clone()).or_default();
            for member in members {
                match people.kind_of(member) {
                    MemberKind::User => entry.people.push(id_of(member).to_owned()),
                    MemberKind::Group => entry.groups.push(id_of(member).to_owned()),
                    MemberKind::External if self.settings.keeps_external => {
                        let address = text(member, "email");
                        entry.people.push(id_of(member).to_owned());
                        if !address.is_empty() && guests.insert(id_of(member)) {
                            let id = id_of(member).to_owned();
                            let guest = Envelope::account(id, member.clone(), external(address));
                            let guest = guest.in_state(AccountState::Active);
                            sink.put(guest.of_type(AccountType::Guest))?;
                        }
                    }
                    MemberKind::Everyone if self.settings.expands_customer => {
                        entry.people.extend(people.taken.iter().cloned());
                    }
                    _ => {}
                }
            }
        }
        for (id, group, members) in held {
            if let Some(group) = group {
                self.put(&id, group, members, people, &direct, sink)?;
            }
        }
        Ok(())
    }

    /// A group with all its members; `direct` is of use where groups are expanded.
    fn put(
        &self,
        id: &str,
        group: Object,
        members: Vec<Object>,
        people: &People,
        direct: &HashMap<String, Direct>,
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        put_group(id.to_owned(), group, Members::All, sink)?;
        let settings = &self.settings;
        for member in members {
            let is_kept = match people.kind_of(&member) {
                MemberKind::User => true,
                MemberKind::Group => settings.nested != Nested::Flatten,
                MemberKind::External => settings.keeps_external,
                MemberKind::Everyone if settings.expands_customer => {
                    for user in &people.taken {
                        sink.put(Envelope::membership(
                            id.to_owned(),
                            user.clone(),
                            member.clone(),
                        ))?;
                    }
                    false
                }
                MemberKind::Everyone | MemberKind::Other => false,
            };
            if is_kept {
                let member_id = id_of(&member).to_owned();
                sink.put(Envelope::membership(id.to_owned(), member_id, member))?;
            }
        }
        if settings.nested != Nested::Keep {
            for member in below(id, direct) {
                let payload =
                    [("id".to_owned(), member.into()), ("derived".to_owned(), true.into())];
                let payload = payload.into_iter().collect();
                sink.put(Envelope::membership(id.to_owned(), member.to_owned(), payload))?;
            }
        }
        Ok(())
    }
}

/// What is wrong with a group of which Google shows no members although it has some by its own word.
fn blind(id: &str, group: &Object, members: &[Object]) -> Option<Fault> {
    let count = text(group, "directMembersCount");
    if !members.is_empty() || matches!(count, "" | "0") {
        return None;
    }
    let message = format!(
        "Google shows no members of it, although its \"directMembersCount\" is {count}; they stay as they are."
    );
    Some(Fault { kind: Kind::Group, place: id.to_owned(), message })
}

/// Ids of groups among members.
fn inner(members: &[Object]) -> impl Iterator<Item = String> {
    let groups = members.iter().filter(|member| text(member, "type") == "GROUP");
    groups.map(id_of).filter(|id| !id.is_empty()).map(str::to_owned)
}

fn put_group(
    id: String,
    object: Object,
    members: Members,
    sink: &mut dyn Sink,
) -> Result<(), SourceError> {
    let attributes = group(&object);
    sink.put(Envelope { members, ..Envelope::group(id, object, attributes) })
}
