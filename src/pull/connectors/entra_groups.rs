//! Groups and members of a tenant, from the deltas of Microsoft Graph.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::entra_map;
use super::entra_read::{First, GroupTypes, Needs, Nested, Tenant, id_of, is_removed, unread};
use crate::pull::{Action, Envelope, Fault, Kind, Members, Sink, SourceError};
use crate::scim::Object;

/// So many new users are asked for their groups; of more, the members of all groups are read.
const MOST_ASKED: usize = 50;

/// A group and what is known of its members.
#[derive(Default)]
struct Group {
    object: Object,
    joined: BTreeMap<String, Object>,
    left: BTreeSet<String>,
}

impl Tenant {
    /// A round of the delta of groups, members of one group together.
    fn groups(
        &mut self,
        first: impl Into<First>,
    ) -> Result<(HashMap<String, Option<Group>>, String), SourceError> {
        let mut groups: HashMap<String, Option<Group>> = HashMap::new();
        let next = self.round(first, Needs::Groups, &mut |object| {
            let Some(id) = id_of(&object).map(str::to_owned) else { return Ok(()) };
            if is_removed(&object) {
                groups.insert(id, None);
                return Ok(());
            }
            let group = groups.entry(id).or_default().get_or_insert_default();
            group.take(object);
            Ok(())
        })?;
        Ok((groups, next))
    }

    /// The members of a group that was there before, and is read only now: a delta has what has changed.
    fn add_members(&mut self, id: &str, group: &mut Group) -> Result<(), SourceError> {
        let path = format!("groups/{id}/members");
        let url = self.url(&path, &[("$select", "id"), ("$top", "999")]);
        let listed = self.walk(url, Needs::Groups, &mut |member| {
            if let Some((id, member)) = member_of(Value::Object(member)) {
                group.take_listed(id, member);
            }
            Ok(())
        });
        unless_gone(listed.map(drop))
    }

    /// Ids of the groups that a user is in; through others, too, where those are expanded.
    fn groups_of(&mut self, user: &str) -> Result<Vec<String>, SourceError> {
        let list = match self.reading.nested {
            Nested::Kept => "memberOf",
            Nested::Expanded => "transitiveMemberOf",
        };
        let url = self.url(&format!("users/{user}/{list}"), &[("$select", "id"), ("$top", "999")]);
        let mut groups = Vec::new();
        let listed = self.walk(url, Needs::Groups, &mut |group| {
            // Roles and administrative units have members as well.
            let is_group = group.get("@odata.type") == Some(&"#microsoft.graph.group".into());
            groups.extend(id_of(&group).filter(|_| is_group).map(str::to_owned));
            Ok(())
        });
        unless_gone(listed.map(drop)).map(|()| groups)
    }

    pub(super) fn all_groups(&mut self, sink: &mut dyn Sink) -> Result<String, SourceError> {
        let select = format!("{},members", entra_map::GROUP);
        let url = self.url("groups/delta", &[("$select", select.as_str())]);
        let (groups, next) = self.groups(url)?;
        let groups: BTreeMap<String, Group> =
            groups.into_iter().filter_map(|(id, group)| Some((id, group?))).collect();
        let types = self.reading.group_types;
        let mut wanted = Vec::new();
        for (id, group) in &groups {
            match is_of_type(types, &group.object) {
                Some(true) => wanted.push((id, group)),
                Some(false) => {}
                None => untyped(id, &group.object, sink)?,
            }
        }
        let is_expanded = self.reading.nested == Nested::Expanded;
        for (id, group) in &wanted {
            // Who cannot be seen has not left, neither the group nor one around it.
            let is_blind = match is_expanded {
                true => below(id, &groups).values().any(|group| group.is_blind()),
                false => group.is_blind(),
            };
            let members = if is_blind { Members::Changes } else { Members::All };
            put_group(id, &group.object, members, sink)?;
        }
        for (id, group) in wanted {
            let members = match is_expanded {
                true => expanded(id, &groups),
                false => group.joined.iter().collect(),
            };
            for (member, payload) in members {
                sink.put(Envelope::membership(id.clone(), member.clone(), payload.clone()))?;
            }
        }
        Ok(next)
    }

    /// Groups that have changed, and those of `new` users: who is restored, or comes into the directory
    /// only now, may be in groups of which no delta says anything.
    pub(super) fn changed_groups(
        &mut self,
        delta_link: &str,
        new: &[String],
        sink: &mut dyn Sink,
    ) -> Result<String, SourceError> {
        let (mut changes, next) = self.groups(First::left(delta_link)?)?;
        if self.reading.nested == Nested::Expanded && !changes.is_empty() {
            let message = "groups have changed, and those around them are not known";
            return Err(SourceError::CursorLost(message.to_owned()));
        }
        if new.len() > MOST_ASKED {
            let message = "so many users are new that the members of all groups are read";
            return Err(SourceError::CursorLost(message.to_owned()));
        }
        for user in new {
            for group in self.groups_of(user)? {
                let change = changes.entry(group).or_insert_with(|| Some(Group::default()));
                if let Some(group) = change {
                    group.take_listed(user.clone(), Object::new());
                }
            }
        }
        let ids: Vec<String> =
            changes.iter().filter(|(_, group)| group.is_some()).map(|(id, _)| id.clone()).collect();
        let mut found = self.by_ids("groups", (entra_map::GROUP, ""), &ids, Needs::Groups)?;
        let mut memberships = Vec::new();
        for (id, change) in changes {
            let Some(mut group) = change else {
                sink.put(Envelope::deleted(Kind::Group, id))?;
                continue;
            };
            let Some(object) = found.remove(&id) else {
                unread(Kind::Group, id, &group.object, sink)?;
                continue;
            };
            match is_of_type(self.reading.group_types, &object) {
                Some(true) => {
                    put_group(&id, &object, Members::Changes, sink)?;
                    if sink.is_new(Kind::Group, &id) {
                        self.add_members(&id, &mut group)?;
                    }
                    memberships.push((id, group));
                }
                Some(false) => sink.put(Envelope::deleted(Kind::Group, id))?,
                None => untyped(&id, &object, sink)?,
            }
        }
        for (id, group) in memberships {
            for (member, payload) in group.joined {
                sink.put(Envelope::membership(id.clone(), member, payload))?;
            }
            for member in group.left {
                let left = Envelope::membership(id.clone(), member, Object::new());
                sink.put(Envelope { action: Action::Delete, ..left })?;
            }
        }
        Ok(next)
    }
}

impl Group {
    /// Whether it may have members whom the application does not see.
    fn is_blind(&self) -> bool {
        is_hidden(self.object.get("visibility")) && self.joined.is_empty()
    }

    /// Adds what a page says: members of a large group come with several objects.
    fn take(&mut self, mut object: Object) {
        let changes = match object.remove("members@delta") {
            Some(Value::Array(changes)) => changes,
            _ => Vec::new(),
        };
        self.object.extend(object);
        for change in changes {
            let Some((id, change)) = member_of(change) else { continue };
            if is_removed(&change) {
                self.joined.remove(&id);
                self.left.insert(id);
            } else {
                self.left.remove(&id);
                self.joined.insert(id, change);
            }
        }
    }

    /// Takes a member as it is listed now. What a delta says of the two counts: it does not lag behind
    /// itself.
    fn take_listed(&mut self, id: String, member: Object) {
        if !self.left.contains(&id) {
            self.joined.entry(id).or_insert(member);
        }
    }
}

/// A member with its id; devices, contacts and service principals are nobody here.
fn member_of(value: Value) -> Option<(String, Object)> {
    let Value::Object(member) = value else { return None };
    let id = id_of(&member)?.to_owned();
    let of_type = member.get("@odata.type").and_then(Value::as_str).unwrap_or_default();
    let is_known = matches!(of_type, "" | "#microsoft.graph.user" | "#microsoft.graph.group");
    is_known.then_some((id, member))
}

/// A group and those below it. Groups may hold each other.
fn below<'g>(
    id: &'g String,
    groups: &'g BTreeMap<String, Group>,
) -> BTreeMap<&'g String, &'g Group> {
    let (mut waiting, mut found) = (vec![id], BTreeMap::new());
    while let Some(id) = waiting.pop() {
        if let Some(group) = groups.get(id)
            && found.insert(id, group).is_none()
        {
            waiting.extend(group.joined.keys().filter(|member| groups.contains_key(*member)));
        }
    }
    found
}

/// Who is in a group or in one below it.
fn expanded<'g>(
    id: &'g String,
    groups: &'g BTreeMap<String, Group>,
) -> BTreeMap<&'g String, &'g Object> {
    let members = below(id, groups).into_values().flat_map(|group| &group.joined);
    members
        .filter(|(member, payload)| {
            let of_type = payload.get("@odata.type").and_then(Value::as_str);
            of_type != Some("#microsoft.graph.group") && !groups.contains_key(*member)
        })
        .collect()
}

/// What is gone by now has no list; the next round says that it is gone.
fn unless_gone(listed: Result<(), SourceError>) -> Result<(), SourceError> {
    match listed {
        Err(error) if error.message().starts_with("the source answers 404") => Ok(()),
        listed => listed,
    }
}

fn put_group(
    id: &str,
    group: &Object,
    members: Members,
    sink: &mut dyn Sink,
) -> Result<(), SourceError> {
    let envelope = Envelope::group(id.to_owned(), group.clone(), entra_map::group(group));
    sink.put(Envelope { members, ..envelope })
}

/// Whether a group is of a type that is wanted; `None` where the source does not show it.
fn is_of_type(types: GroupTypes, group: &Object) -> Option<bool> {
    match types {
        GroupTypes::All => Some(true),
        GroupTypes::Security => group.get("securityEnabled")?.as_bool(),
        GroupTypes::Microsoft365 => {
            let kinds = group.get("groupTypes")?.as_array()?;
            Some(kinds.iter().any(|kind| kind.as_str() == Some("Unified")))
        }
    }
}

/// Every group has a type: one that comes without it is one of which the application may not see enough.
fn untyped(id: &str, group: &Object, sink: &mut dyn Sink) -> Result<(), SourceError> {
    let name = group.get("displayName").and_then(Value::as_str).unwrap_or(id);
    let permission = Needs::Groups.permission();
    let message = format!(
        "Microsoft Graph does not show of what type {name} is: that needs the permission {permission}; it stays as \
         it is."
    );
    sink.fault(Fault { kind: Kind::Group, place: id.to_owned(), message })
}

pub(super) fn is_hidden(visibility: Option<&Value>) -> bool {
    visibility.and_then(Value::as_str) == Some("HiddenMembership")
}
