//! `pull.ldap`: a directory over LDAP version 3: OpenLDAP, 389 Directory Server, FreeIPA and others.
//!
//! `entryUUID` is the stable id, so a renamed or moved entry is the same. A read is complete page by page;
//! anything but a whole list is a failure. Changes come by content synchronization or by
//! `modifyTimestamp`; where a server cannot say what was deleted, everything is read.

use std::collections::HashSet;

use serde_json::Value;

use super::ldap_changes::{Changes, Cursor, Mark, changed_since, moved_since};
use super::ldap_group::asks_for_groups;
use super::ldap_read::{IDS, Nested, Reader};
use super::ldap_server::{once_each, set, text};
use super::ldap_user::{Reading, id_in};
use super::{ldap_group, ldap_server as server, ldap_user};
use crate::outbound::Outbound;
use crate::pull::field::{Field, LOCKOUT_IS_INACTIVE, Shape};
use crate::pull::ldap::{Entry, Scope, Search, Security, Server, Session, dn, sync};
use crate::pull::{
    Absence, Capabilities, Connector, Faults, Finished, GroupsGiven, Kind, Probe, Sink,
    SourceError, SourceKind, Surroundings,
};
use crate::scim::Object;

pub(super) static KIND: SourceKind = SourceKind {
    name: "pull.ldap",
    title: "LDAP directory",
    description: "Reads users and groups of OpenLDAP, 389 Directory Server, FreeIPA or another LDAP server.",
    fields: FIELDS,
    files: &[],
    every_minutes: Some(30),
    check,
    open,
};

const FIELDS: &[Field] = &[
    server::URL,
    server::TLS,
    server::CA_PEM,
    server::CERTIFICATE_NAME,
    Field::required(
        "bind_dn",
        Shape::Text,
        "Name of the account that reads, such as cn=reader,dc=example,dc=com.",
    ),
    server::BIND_PASSWORD,
    Field::required("user_base", Shape::Text, "The entry below which the users are."),
    Field::optional(
        "user_filter",
        Shape::Text,
        "\"(objectClass=inetOrgPerson)\"",
        "Which of the entries there are users. Whoever does not match counts as missing.",
    ),
    Field::optional(
        "group_base",
        Shape::Text,
        "",
        "The entry below which the groups are. Without it no groups are read.",
    ),
    Field::optional(
        "group_filter",
        Shape::Text,
        "\"(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup)(objectClass=groupOfURLs))\"",
        "Which of the entries there are groups.",
    ),
    Field::optional(
        "scope",
        Shape::Word(&["subtree", "one"]),
        "\"subtree\"",
        "Whether everything below the bases is read, or only what is directly below.",
    ),
    Field::optional(
        "id_attribute",
        Shape::Text,
        "",
        "The attribute that never changes. Without it entryUUID, nsUniqueId or ipaUniqueID: the one that \
         those who are stored have, at first whichever the first user has.",
    ),
    Field::optional(
        "user_name_attribute",
        Shape::Text,
        "\"uid\"",
        "The attribute that is the userName.",
    ),
    Field::optional(
        "mail_attribute",
        Shape::Text,
        "\"mail\"",
        "The attribute with the e-mail addresses.",
    ),
    server::EXTRA_ATTRIBUTES,
    Field::optional(
        "inactive_when",
        Shape::Texts,
        "",
        "Attributes with the value that makes a user inactive: {\"employeeType\": \"former\"}; \"*\" is any \
         value.",
    ),
    LOCKOUT_IS_INACTIVE,
    server::NESTED_GROUPS,
    Field::optional(
        "incremental",
        Shape::Word(&["auto", "syncrepl", "timestamp", "off"]),
        "\"auto\"",
        "How changes are found: by content synchronization, by modifyTimestamp, or not at all.",
    ),
    server::PAGE_SIZE,
    server::TIMEOUT_SECONDS,
    server::ALLOW_PRIVATE_NETWORK,
];

fn check(config: &Object, allowed: &Outbound) -> Result<(), (String, String)> {
    for field in ["bind_dn", "user_base", "group_base"] {
        if dn::key(text(config, field)).is_none() {
            let message = "it is no name of an entry such as ou=People,dc=example,dc=com.";
            return Err((field.to_owned(), message.to_owned()));
        }
    }
    server::check(config, allowed, &["id_attribute", "user_name_attribute", "mail_attribute"])
}

fn open(config: &Object, surroundings: Surroundings) -> Result<Box<dyn Connector>, SourceError> {
    let rules = config.get("inactive_when").and_then(Value::as_object);
    let rule = |(name, value): (&String, &Value)| {
        (name.clone(), value.as_str().unwrap_or_default().to_owned())
    };
    Ok(Box::new(Directory {
        server: server::server(config)?,
        outbound: server::outbound(config, &surroundings.outbound),
        user_base: text(config, "user_base").to_owned(),
        user_filter: text(config, "user_filter").to_owned(),
        group_base: set(config, "group_base")
            .filter(|_| surroundings.wants_groups)
            .map(str::to_owned),
        group_filter: text(config, "group_filter").to_owned(),
        scope: if text(config, "scope") == "one" { Scope::One } else { Scope::Subtree },
        id_attribute: set(config, "id_attribute").map(str::to_owned),
        reading: Reading {
            user_name: text(config, "user_name_attribute").to_owned(),
            mail: text(config, "mail_attribute").to_owned(),
            extra: server::extra_attributes(config),
            inactive_when: rules.into_iter().flatten().map(rule).collect(),
            lockout_is_inactive: server::is_on(config, "lockout_is_inactive"),
            now: surroundings.clock.now_ms(),
        },
        nested: Nested::named(text(config, "nested_groups")),
        incremental: text(config, "incremental").to_owned(),
        surroundings,
    }))
}

/// A directory and how it is read.
pub(super) struct Directory {
    server: Server,
    outbound: Outbound,
    surroundings: Surroundings,
    pub(super) user_base: String,
    pub(super) user_filter: String,
    /// `None` where no groups are read.
    pub(super) group_base: Option<String>,
    group_filter: String,
    scope: Scope,
    pub(super) id_attribute: Option<String>,
    pub(super) reading: Reading,
    pub(super) nested: Nested,
    incremental: String,
}

impl Connector for Directory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            incremental: self.incremental != "off",
            whole_accounts: true,
            absence: Absence::IsRemoval,
            faults: Faults::AreListed,
        }
    }

    fn probe(&mut self) -> Result<Probe, SourceError> {
        let mut session = self.connect()?;
        let root = root(&mut session)?;
        let mut probe = Probe::default();
        let (users, usable) = self.usable_users(&mut session)?;
        let lacking = || {
            let id = self.id_attribute.as_deref().unwrap_or("entryUUID");
            format!(
                "no \"{id}\" or no \"{}\", or the account must not read it",
                self.reading.user_name
            )
        };
        match usable {
            _ if users == 0 => probe.warnings.push(format!(
                "The account sees no users below user_base that meet user_filter, {}.",
                self.user_filter
            )),
            0 => {
                let message =
                    format!("not one of {users} users can be used: they have {}", lacking());
                return Err(SourceError::failed(message));
            }
            _ if usable < users => probe.warnings.push(format!(
                "{} of {users} users cannot be used: they have {}.",
                users - usable,
                lacking()
            )),
            _ => {}
        }
        probe.users = Some(users);
        if let Some(groups) = self.groups(&["1.1"]) {
            probe.groups = Some(count(&mut session, &groups)?);
        }
        let marks = self.marks(&mut session, &root)?;
        match (self.incremental.as_str(), marks) {
            ("off", _) | (_, Some(_)) => {}
            ("syncrepl", None) => probe.warnings.push(
                "The server has no content synchronization, or does not show contextCSN to the account: \
                 everything is read each time."
                    .to_owned(),
            ),
            _ => probe.warnings.push(
                "Changes are found by modifyTimestamp; who was deleted is seen when everything is read."
                    .to_owned(),
            ),
        }
        if self.server.security == Security::Plain {
            probe.warnings.push("The connection is not encrypted.".to_owned());
        }
        Ok(probe)
    }

    fn full(&mut self, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        let mut session = self.connect()?;
        let root = root(&mut session)?;
        // Before the first user: what changes meanwhile is read again.
        let marks = self.marks(&mut session, &root)?;
        let last = self.surroundings.last.as_deref().map(Cursor::parse);
        match (&marks, &last) {
            (Some(marks), Some(Ok(last))) => marks.check_follows(last)?,
            // Another server, perhaps, which may be behind: nothing tells.
            (None, Some(Ok(Cursor::Sync { .. }))) => {
                return Err(SourceError::failed(
                    "the server shows no contextCSN, which it has shown before, so nobody knows whether it is \
                     behind; if that is to be so, send the configuration again",
                ));
            }
            _ => {}
        }
        let mut reader = Reader::new(self, sink);
        let users = self.users(&self.user_attributes());
        session.list(&users, &mut |entry| reader.user(entry))?;
        reader.users_end(&mut session)?;
        if let Some(groups) = self.groups(&self.group_attributes()) {
            session.list(&groups, &mut |entry| reader.group(&entry))?;
            reader.memberships(&mut session)?;
        }
        let cursor = match marks {
            Some(cursor) => Some(cursor),
            None if matches!(self.incremental.as_str(), "auto" | "timestamp") => {
                Cursor::since(reader.newest, self.reading.now)
            }
            None => None,
        };
        Ok(self.finished(cursor))
    }

    fn incremental(&mut self, cursor: &str, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        let cursor = Cursor::parse(cursor)?;
        let mut session = self.connect()?;
        match &cursor {
            Cursor::Sync { users, groups } => {
                let next = self.synchronize(&mut session, users, groups.as_ref(), sink)?;
                Ok(self.finished(Some(next)))
            }
            Cursor::Since(since) => {
                let changed = self.changed_since(&mut session, *since)?;
                let newest =
                    changed.changed.iter().filter_map(super::ldap_changes::changed_at).max();
                self.read_changes(&mut session, changed, Changes::default(), sink)?;
                let next = Cursor::since(newest, self.reading.now).filter(|next| match next {
                    Cursor::Since(next) => next > since,
                    Cursor::Sync { .. } => true,
                });
                Ok(self.finished(Some(next.unwrap_or(cursor))))
            }
        }
    }
}

impl Directory {
    fn connect(&self) -> Result<Session, SourceError> {
        Session::open(&self.server, &self.outbound, &self.surroundings)
    }

    pub(super) fn users(&self, attributes: &[&str]) -> Search {
        Search::new(&self.user_base, self.scope, &self.user_filter, attributes)
    }

    pub(super) fn groups(&self, attributes: &[&str]) -> Option<Search> {
        let base = self.group_base.as_deref()?;
        Some(Search::new(base, self.scope, &self.group_filter, attributes))
    }

    fn user_attributes(&self) -> Vec<&str> {
        let Reading { user_name, mail, extra, inactive_when, .. } = &self.reading;
        let rules = inactive_when.iter().map(|(name, _)| name.as_str());
        let own = [user_name.as_str(), mail.as_str()].into_iter();
        let more = own.chain(extra.iter().map(String::as_str)).chain(rules);
        let mut all = ldap_user::ATTRIBUTES.to_vec();
        all.extend(more.chain(self.id_attribute.as_deref()));
        once_each(all)
    }

    fn group_attributes(&self) -> Vec<&str> {
        let mut all = ldap_group::ATTRIBUTES.to_vec();
        all.extend(self.id_attribute.as_deref());
        once_each(all)
    }

    /// How many users there are, and how many of them have an id and a name.
    fn usable_users(&self, session: &mut Session) -> Result<(u64, u64), SourceError> {
        let ids = self.id_attribute.as_deref().map_or(IDS.to_vec(), |name| vec![name]);
        let name = self.reading.user_name.as_str();
        let attributes = [&ids[..], &[name]].concat();
        let (mut users, mut usable) = (0, 0);
        session.list(&self.users(&attributes), &mut |entry| {
            let has_id = ids.iter().any(|id| id_in(&entry, id).is_some());
            users += 1;
            usable += u64::from(has_id && entry.text(name).is_some());
            Ok(())
        })?;
        Ok((users, usable))
    }

    /// What an entry is named and known by.
    pub(super) fn name_attributes(&self) -> Vec<&str> {
        let mut all = vec!["uid"];
        all.extend(IDS);
        all.extend(self.id_attribute.as_deref());
        once_each(all)
    }

    /// Where content synchronization goes on after a read that begins now.
    fn marks(&self, session: &mut Session, root: &Entry) -> Result<Option<Cursor>, SourceError> {
        let is_known = root.texts("supportedControl").any(|oid| oid == sync::REQUEST);
        let is_wanted = matches!(self.incremental.as_str(), "auto" | "syncrepl");
        // What was deleted is named by its entryUUID.
        let by_uuid =
            self.id_attribute.as_ref().is_none_or(|name| name.eq_ignore_ascii_case("entryUUID"));
        if !is_known || !is_wanted || !by_uuid {
            return Ok(None);
        }
        let Some(users) = Mark::now(session, root, &self.user_base)? else { return Ok(None) };
        let groups = match &self.group_base {
            None => None,
            Some(base) => match Mark::now(session, root, base)? {
                None => return Ok(None),
                mark => mark,
            },
        };
        Ok(Some(Cursor::Sync { users, groups }))
    }

    /// Reads what has changed since these marks; where it goes on.
    fn synchronize(
        &self,
        session: &mut Session,
        users: &Mark,
        groups: Option<&Mark>,
        sink: &mut dyn Sink,
    ) -> Result<Cursor, SourceError> {
        let groups_moved = match groups {
            Some(mark) => mark.moved(session)?,
            None => None,
        };
        let users_moved = users.moved(session)?;
        if (users_moved.is_some() || groups_moved.is_some()) && self.asks_for_groups() {
            // Whoever has come into a group or left it has not changed.
            let message = "something has changed, and memberOf is asked for".to_owned();
            return Err(SourceError::CursorLost(message));
        }
        let (mut next_users, mut next_groups) = (users.clone(), groups.cloned());
        let (mut changed, mut regrouped) = (Changes::default(), Changes::default());
        if let Some(now) = &users_moved {
            let search = self.users(&self.user_attributes());
            (changed, next_users) = users.changes(session, &search, now)?;
        }
        let search = self.groups(&["1.1"]);
        if let (Some(mark), Some(search), Some(now)) = (groups, search, &groups_moved) {
            let (changes, mark) = mark.changes(session, &search, now)?;
            (regrouped, next_groups) = (changes, Some(mark));
        }
        // A user who was there and is still there has taken nobody in or out.
        let id = |entry: &Entry| id_in(entry, "entryUUID");
        let there: HashSet<String> = changed.changed.iter().filter_map(id).collect();
        let is_user = |id: &String| there.contains(id) && sink.is_stored(Kind::Account, id);
        let stays = |place: &Entry| id(place).is_some_and(|id| is_user(&id));
        if let Some(now) = &users_moved {
            users.check_places(session, now, &stays)?;
        }
        let elsewhere = groups.filter(|mark| users_moved.is_none() || !mark.is_beside(users));
        if let (Some(mark), Some(now)) = (elsewhere, &groups_moved) {
            mark.check_places(session, now, &stays)?;
        }
        if !changed.is_empty() || !regrouped.is_empty() {
            self.read_changes(session, changed, regrouped, sink)?;
        }
        Ok(Cursor::Sync { users: next_users, groups: next_groups })
    }

    /// Whether what is read of users follows from groups that they are in.
    fn asks_for_groups(&self) -> bool {
        let Reading { extra, inactive_when, .. } = &self.reading;
        let rules = inactive_when.iter().map(|(name, _)| name);
        let mut asked =
            [&self.user_filter, &self.group_filter].into_iter().chain(extra).chain(rules);
        asked.any(|text| asks_for_groups(text))
    }

    /// What has changed since a time. Whether a group has changed makes no difference to how groups are
    /// read; it does to whether they are.
    fn changed_since(&self, session: &mut Session, since: i64) -> Result<Changes, SourceError> {
        let users = self.users(&self.user_attributes());
        // Who was moved together with the entry above has not changed.
        let scope = if self.scope == Scope::One { Scope::Base } else { self.scope };
        let places = Search::new(&self.user_base, scope, &moved_since(since), &["1.1"]);
        let mut searches = Vec::new();
        session.list(&places, &mut |place| {
            searches.push(Search { base: place.dn, ..users.clone() });
            Ok(())
        })?;
        let filter = changed_since(&users.filter, since);
        searches.push(Search { filter, ..users });
        let (mut changes, mut seen) = (Changes::default(), HashSet::new());
        for search in &searches {
            session.list(search, &mut |entry| match seen.insert(entry.dn.clone()) {
                true => changes.put(entry),
                false => Ok(()),
            })?;
        }
        Ok(changes)
    }

    /// Reads who has changed, and all groups: a group that has not changed itself may have other members
    /// by a search, by a group within it, or because somebody of that name has come.
    fn read_changes(
        &self,
        session: &mut Session,
        users: Changes,
        groups: Changes,
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        let mut reader = Reader::new(self, sink);
        let names = self.users(&self.name_attributes());
        session.list(&names, &mut |entry| reader.name(&entry))?;
        // What is gone comes first: an entry that is there as well has come back.
        reader.deleted(users.deleted, groups.deleted)?;
        for entry in users.changed {
            reader.user(entry)?;
        }
        reader.users_end(session)?;
        if let Some(all) = self.groups(&self.group_attributes()) {
            session.list(&all, &mut |entry| reader.group(&entry))?;
            reader.memberships(session)?;
        }
        Ok(())
    }

    fn finished(&self, cursor: Option<Cursor>) -> Finished {
        Finished {
            cursor: cursor.and_then(|cursor| cursor.text()),
            groups: if self.group_base.is_some() { GroupsGiven::Yes } else { GroupsGiven::No },
        }
    }
}

fn root(session: &mut Session) -> Result<Entry, SourceError> {
    session.root(&["supportedControl", "namingContexts"])
}

pub(super) fn count(session: &mut Session, search: &Search) -> Result<u64, SourceError> {
    let mut count = 0;
    session.list(search, &mut |_| {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}
