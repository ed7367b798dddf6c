//! `pull.google`: Google Workspace over the Admin SDK Directory API (directory_v1).
//!
//! Google has no list of changes. Every read lists all users and all groups; what is spared in between is
//! the members of groups that look the same. A change of members does not always show in its group, so
//! a complete read has all of them again.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::google_api::{Api, List, is_forbidden, is_not_found};
use super::google_config::{FIELDS, Settings, assertion, check, outbound, url};
use super::google_entry::{
    account, addresses, external, flag, group, is_below, manager_address, state, text,
};
use super::google_members::{Direct, MemberKind, Nested, below, id_of, is_like, kind_of, mark};
use crate::pull::oauth::{Authorized, Proof, Tokens};
use crate::pull::{
    Absence, AccountState, AccountType, Capabilities, Connector, Envelope, Fault, Faults, Finished,
    GroupsGiven, Increment, Kind, Members, Probe, Sink, SourceError, SourceKind, Surroundings,
};
use crate::scim::Object;

pub(super) static KIND: SourceKind = SourceKind {
    name: "pull.google",
    title: "Google Workspace",
    description: "Reads users, groups and members of a Google Workspace account.",
    fields: FIELDS,
    files: &[],
    every_minutes: Some(60),
    check,
    open,
};

/// What the administrator of the account has to allow the service account.
const USER_SCOPE: &str = "https://www.googleapis.com/auth/admin.directory.user.readonly";
const GROUP_SCOPE: &str = "https://www.googleapis.com/auth/admin.directory.group.readonly";

/// Most users and most groups or members on a page.
const USERS_AT_A_TIME: &str = "500";
const GROUPS_AT_A_TIME: &str = "200";

/// So many new users are asked for their groups; of more, the members of all groups are read. So many
/// users whom the list has left out are asked for themselves; of more, the list is read again.
const MOST_ASKED: usize = 20;

fn open(config: &Object, surroundings: Surroundings) -> Result<Box<dyn Connector>, SourceError> {
    let (base, token_url) = (url(config, "base_url")?, url(config, "token_url")?);
    let outbound = outbound(config, &surroundings.outbound);
    let surroundings = Surroundings { outbound, ..surroundings };
    let wants_groups = surroundings.wants_groups;
    let scope = match wants_groups {
        true => format!("{USER_SCOPE} {GROUP_SCOPE}"),
        false => USER_SCOPE.to_owned(),
    };
    let proof = Proof::Grant(assertion(config)?);
    let tokens = Tokens::new(token_url, &scope, proof, surroundings.clone());
    let headers = vec![("Accept".to_owned(), "application/json".to_owned())];
    Ok(Box::new(Directory {
        api: Api::new(Authorized::new(&base, headers, tokens, surroundings), base),
        settings: Settings::of(config),
        wants_groups,
    }))
}

struct Directory {
    api: Api,
    settings: Settings,
    wants_groups: bool,
}

/// The users that were read.
#[derive(Default)]
struct People {
    /// Ids of all that Google lists, also of those who are left out.
    listed: HashSet<String>,
    /// Ids of those who are read.
    taken: HashSet<String>,
    /// Ids by every address.
    by_address: HashMap<String, String>,
    /// Ids of those whom the directory does not have yet.
    new: Vec<String>,
    /// Those whose manager has not been read yet, as text, which takes little room.
    waiting: BTreeMap<String, String>,
}

impl Connector for Directory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            incremental: self.reads_in_part(),
            deletes_visible: true,
            nested_groups: true,
            groups: true,
            whole_accounts: true,
            absence: Absence::IsRemoval,
            faults: Faults::AreListed,
        }
    }

    fn increment(&self) -> Increment {
        Increment::Memberships
    }

    fn probe(&mut self) -> Result<Probe, SourceError> {
        let mut probe = Probe { users: self.api.count(&self.users_list())?, ..Probe::default() };
        if self.wants_groups {
            probe.groups = self.api.count(&self.groups_list())?;
        }
        if probe.users == Some(0) {
            probe.warnings.push("Google lists no users.".to_owned());
        }
        let administrator = self.settings.administrator.clone();
        let found = self.api.user(&administrator)?;
        if !flag(&found, "isAdmin") {
            probe.warnings.push(format!(
                "{administrator} is no super administrator: an administrator whose role is limited to some \
                 organizational units sees only their users."
            ));
        }
        Ok(probe)
    }

    fn full(&mut self, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        self.read(None, sink)
    }

    fn incremental(&mut self, cursor: &str, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        let marks = serde_json::from_str(cursor)
            .map_err(|_| SourceError::CursorLost("the cursor is of another form".to_owned()))?;
        self.read(Some(marks), sink)
    }
}

/// Marks of groups by id.
type Marks = BTreeMap<String, String>;

impl Directory {
    fn reads_in_part(&self) -> bool {
        self.wants_groups && !self.settings.needs_all_members()
    }

    /// Users, then groups with their members; of groups that have the same mark as before no members.
    fn read(
        &mut self,
        before: Option<Marks>,
        sink: &mut dyn Sink,
    ) -> Result<Finished, SourceError> {
        let people = self.users(sink)?;
        if !self.wants_groups {
            return Ok(Finished { cursor: None, groups: GroupsGiven::No });
        }
        let mut same = before.unwrap_or_default();
        if !same.is_empty() {
            self.forget_groups_of_new(&people, &mut same)?;
        }
        let mut marks = Marks::new();
        let (mut held, mut hidden) = (Vec::new(), Vec::new());
        for (id, group) in self.groups(sink)? {
            let mark = mark(&group);
            if same.get(&id) == Some(&mark) {
                put_group(id.clone(), group, Members::Changes, sink)?;
                marks.insert(id, mark);
                continue;
            }
            let Some(members) = self.members(&id)? else {
                hidden.push((id, group));
                continue;
            };
            let everyone =
                |member: &Object| kind_of(member, &people.listed) == MemberKind::Everyone;
            if members.is_empty() && !matches!(text(&group, "directMembersCount"), "" | "0") {
                let count = text(&group, "directMembersCount");
                let message = format!(
                    "Google shows no members of it, although its \"directMembersCount\" is {count}; they stay \
                     as they are."
                );
                sink.fault(Fault { kind: Kind::Group, place: id.clone(), message })?;
                put_group(id, group, Members::Changes, sink)?;
                continue;
            }
            // Who the whole organization is changes without the group.
            if !members.iter().any(everyone) {
                marks.insert(id.clone(), mark);
            }
            match self.settings.needs_all_members() {
                true => held.push((id, group, members)),
                false => self.put(&id, group, members, &people, &HashMap::new(), sink)?,
            }
        }
        self.put_held(held, &people, sink)?;
        self.put_hidden(hidden, sink)?;
        let cursor = self.reads_in_part().then(|| serde_json::to_string(&marks).ok()).flatten();
        Ok(Finished { cursor, groups: GroupsGiven::Yes })
    }

    fn users_list(&self) -> List<'static> {
        let query = vec![
            self.scope(),
            ("maxResults", USERS_AT_A_TIME.to_owned()),
            ("projection", "full".to_owned()),
            ("orderBy", "email".to_owned()),
            ("query", self.settings.user_query.clone()),
        ];
        List { path: &["users"], query, kind: "admin#directory#users", member: "users" }
    }

    fn groups_list(&self) -> List<'static> {
        let query = vec![
            self.scope(),
            ("maxResults", GROUPS_AT_A_TIME.to_owned()),
            ("query", self.settings.group_query.clone()),
        ];
        List { path: &["groups"], query, kind: "admin#directory#groups", member: "groups" }
    }

    /// One of both: a domain hides the others.
    fn scope(&self) -> (&'static str, String) {
        match self.settings.domain.is_empty() {
            true => ("customer", self.settings.customer.clone()),
            false => ("domain", self.settings.domain.clone()),
        }
    }

    /// Reads all users. Whose manager stands further behind waits.
    fn users(&mut self, sink: &mut dyn Sink) -> Result<People, SourceError> {
        if self.settings.shows_deleted {
            let mut deleted = self.users_list();
            deleted.query.retain(|(name, _)| *name != "query");
            deleted.query.push(("showDeleted", "true".to_owned()));
            // Who was restored in between is listed afterwards.
            self.api.list(&deleted, &mut |user| match text(&user, "id") {
                "" => Ok(()),
                id => sink.put(Envelope::deleted(Kind::Account, id.to_owned())),
            })?;
        }
        let settings = self.settings.clone();
        let mut people = People::default();
        self.api
            .list(&self.users_list(), &mut |user| take_user(user, &mut people, &settings, sink))?;
        self.look_up_missing(&mut people, sink)?;
        for (id, written) in std::mem::take(&mut people.waiting) {
            let Ok(Value::Object(user)) = serde_json::from_str(&written) else { continue };
            put_user(id, user, &mut people, &settings, sink)?;
        }
        Ok(people)
    }

    /// The list is in the order of addresses: who is renamed while it is read may move to a page that was
    /// read before, and is in none. So nobody counts as missing who was not looked for again.
    fn look_up_missing(
        &mut self,
        people: &mut People,
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        let mut missing = sink.missing(Kind::Account);
        missing.retain(|id| !people.listed.contains(id) && !people.waiting.contains_key(id));
        if missing.is_empty() {
            return Ok(());
        }
        let settings = self.settings.clone();
        // Only the list says who is of a domain or met by a query.
        let is_whole = settings.domain.is_empty() && settings.user_query.is_empty();
        if !is_whole || missing.len() > MOST_ASKED {
            return self.api.list(&self.users_list(), &mut |user| match people
                .listed
                .contains(text(&user, "id"))
            {
                true => Ok(()),
                false => take_user(user, people, &settings, sink),
            });
        }
        for id in missing {
            match self.api.user(&id) {
                Ok(user) => take_user(user, people, &settings, sink)?,
                Err(error) if is_not_found(&error) => {}
                // Somebody of another organization, who is listed with a group.
                Err(error) if settings.keeps_external && is_forbidden(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
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

    /// The groups that are wanted, by id. As with users, none counts as missing that was not looked for again.
    fn groups(&mut self, sink: &mut dyn Sink) -> Result<BTreeMap<String, Object>, SourceError> {
        let list = self.groups_list();
        let mut groups = BTreeMap::new();
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
        groups.retain(|_, group| patterns.is_empty() || is_meant(text(group, "email")));
        Ok(groups)
    }

    /// Groups that were listed and whose members are not found. A group has gone only when neither it nor
    /// its place in the list is there any more; of one that stays nothing is known but that.
    fn put_hidden(
        &mut self,
        hidden: Vec<(String, Object)>,
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
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
            put_group(id, group, Members::Changes, sink)?;
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
        held: Vec<(String, Object, Vec<Object>)>,
        people: &People,
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        let mut direct: HashMap<String, Direct> = HashMap::new();
        let mut guests = HashSet::new();
        for (id, _, members) in &held {
            let entry = direct.entry(id.clone()).or_default();
            for member in members {
                match kind_of(member, &people.listed) {
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
            self.put(&id, group, members, people, &direct, sink)?;
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
            let is_kept = match kind_of(&member, &people.listed) {
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

/// Whether a user comes into the directory at all.
fn is_read(user: &Object, settings: &Settings) -> bool {
    let is_in = |units: &[String]| units.iter().any(|unit| is_below(user, unit));
    let is_let_in = match state(user, &settings.wanted) {
        AccountState::Active => true,
        AccountState::Suspended => settings.reads_suspended,
        AccountState::Inactive => settings.reads_archived,
    };
    is_let_in
        && (settings.units.is_empty() || is_in(&settings.units))
        && !is_in(&settings.units_excluded)
}

/// Takes a user as Google gives it; one whose manager is not known yet waits.
fn take_user(
    user: Object,
    people: &mut People,
    settings: &Settings,
    sink: &mut dyn Sink,
) -> Result<(), SourceError> {
    let id = text(&user, "id").to_owned();
    if id.is_empty() {
        let place = text(&user, "primaryEmail").to_owned();
        let message = "it has no \"id\".".to_owned();
        return sink.fault(Fault { kind: Kind::Account, place, message });
    }
    for address in addresses(&user) {
        people.by_address.insert(address, id.clone());
    }
    people.listed.insert(id.clone());
    // A list that changes while it is read may have somebody twice: the last one counts.
    people.waiting.remove(&id);
    if !is_read(&user, settings) {
        people.taken.remove(&id);
        return sink.put(Envelope::deleted(Kind::Account, id));
    }
    people.taken.insert(id.clone());
    let manager = manager_address(&user);
    if manager.is_empty() || people.by_address.contains_key(&manager) {
        return put_user(id, user, people, settings, sink);
    }
    people.waiting.insert(id, Value::Object(user).to_string());
    Ok(())
}

fn put_user(
    id: String,
    user: Object,
    people: &mut People,
    settings: &Settings,
    sink: &mut dyn Sink,
) -> Result<(), SourceError> {
    let manager = people.by_address.get(&manager_address(&user)).filter(|manager| **manager != id);
    let attributes = account(&user, manager.map(String::as_str), &settings.wanted);
    let state = state(&user, &settings.wanted);
    let account_type = match flag(&user, "isGuestUser") {
        true => AccountType::Guest,
        false => AccountType::User,
    };
    let envelope = Envelope::account(id.clone(), user, attributes);
    sink.put(envelope.in_state(state).of_type(account_type))?;
    if sink.is_new(Kind::Account, &id) {
        people.new.push(id);
    }
    Ok(())
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
