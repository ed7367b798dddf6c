//! `pull.active-directory`: a domain of Active Directory, or of Samba, over LDAP.
//!
//! `objectGUID` is the stable id, so a renamed or moved entry is the same. DirSync or `uSNChanged` tell which
//! entries have changed; these are read again as in a complete read. Who was deleted is told by its tombstone;
//! who is not visible any more, without one, is left to a complete read.

use std::collections::{BTreeMap, BTreeSet};

use super::active_directory_changes::{Changes, Cursor, Domain, Method};
use super::active_directory_read::{self as read, Reader, id_of};
use super::active_directory_user::{self as user, Reading};
use super::ldap::count;
use super::ldap_group::{asks_for_groups, both};
use super::ldap_read::Nested;
use super::ldap_server::{self as server, once_each, set, text};
use crate::outbound::Outbound;
use crate::pull::field::{Field, LOCKOUT_IS_INACTIVE, Shape};
use crate::pull::ldap::ad::{Name, extended_names, filetime, guid_filter};
use crate::pull::ldap::{Entry, Scope, Search, Security, Server, Session, dn};
use crate::pull::{
    Absence, Capabilities, Connector, Faults, Finished, GroupsGiven, Kind, Probe, Sink,
    SourceError, SourceKind, Surroundings,
};
use crate::scim::Object;

pub(super) static KIND: SourceKind = SourceKind {
    name: "pull.active-directory",
    title: "Active Directory",
    description: "Reads users and groups of a domain of Active Directory, or of Samba.",
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
        "The account that reads: reader@corp.example.com, CORP\\reader, or the name of its entry.",
    ),
    server::BIND_PASSWORD,
    Field::optional(
        "user_base",
        Shape::Text,
        "",
        "The entry below which the users are, such as an organizational unit; the whole domain where it is \
         left out.",
    ),
    Field::optional(
        "user_filter",
        Shape::Text,
        "\"(&(objectCategory=person)(objectClass=user))\"",
        "Which of the entries there are users. Whoever does not match counts as missing.",
    ),
    Field::optional(
        "group_base",
        Shape::Text,
        "",
        "The entry below which the groups are; the whole domain where it is left out.",
    ),
    Field::optional(
        "group_filter",
        Shape::Text,
        "\"(objectCategory=group)\"",
        "Which of the entries there are groups.",
    ),
    Field::optional(
        "user_name_attribute",
        Shape::Text,
        "\"userPrincipalName\"",
        "The attribute that is the userName. An account without userPrincipalName has sAMAccountName with the \
         name of the domain.",
    ),
    server::EXTRA_ATTRIBUTES,
    LOCKOUT_IS_INACTIVE,
    server::NESTED_GROUPS,
    Field::optional(
        "primary_groups",
        Shape::Switch,
        "false",
        "Whether users are members of their primary group as well, which is Domain Users for most of them.",
    ),
    Field::optional(
        "incremental",
        Shape::Word(&["auto", "dirsync", "usnchanged", "off"]),
        "\"auto\"",
        "How changes are found: by DirSync, by uSNChanged, or not at all.",
    ),
    server::PAGE_SIZE,
    server::TIMEOUT_SECONDS,
    server::ALLOW_PRIVATE_NETWORK,
];

/// How many entries are asked for by their ids at a time.
const AT_ONCE: usize = 100;

/// Ports of the global catalog, which has a part of the attributes and of the members.
const GLOBAL_CATALOG: [u16; 2] = [3268, 3269];

fn check(config: &Object, allowed: &Outbound) -> Result<(), (String, String)> {
    let wrong = |field: &str, message: &str| Err((field.to_owned(), message.to_owned()));
    let account = text(config, "bind_dn");
    if !account.contains(['@', '\\']) && dn::key(account).is_none_or(|key| key.is_empty()) {
        return wrong("bind_dn", "it is no account such as reader@corp.example.com.");
    }
    for field in ["user_base", "group_base"] {
        if dn::key(text(config, field)).is_none() {
            let message = "it is no name of an entry such as OU=Staff,DC=corp,DC=example,DC=com.";
            return wrong(field, message);
        }
    }
    server::check(config, allowed, &["user_name_attribute"])?;
    let is_catalog = |url: &str| {
        let port = url::Url::parse(url).ok().and_then(|url| url.port());
        port.is_some_and(|port| GLOBAL_CATALOG.contains(&port))
    };
    if text(config, "url").split_whitespace().any(is_catalog) {
        let message = "it leads to a global catalog, which has not all attributes and members; leave out \
             the port.";
        return wrong("url", message);
    }
    Ok(())
}

fn open(config: &Object, surroundings: Surroundings) -> Result<Box<dyn Connector>, SourceError> {
    Ok(Box::new(Directory {
        server: server::server(config)?,
        outbound: server::outbound(config, &surroundings.outbound),
        user_base: set(config, "user_base").map(str::to_owned),
        user_filter: text(config, "user_filter").to_owned(),
        group_base: set(config, "group_base").map(str::to_owned),
        group_filter: text(config, "group_filter").to_owned(),
        reading: Reading {
            user_name: text(config, "user_name_attribute").to_owned(),
            extra: server::extra_attributes(config),
            lockout_is_inactive: server::is_on(config, "lockout_is_inactive"),
            now: surroundings.clock.now_ms(),
        },
        nested: Nested::named(text(config, "nested_groups")),
        primary_groups: server::is_on(config, "primary_groups"),
        method: Method::named(text(config, "incremental")),
        surroundings,
    }))
}

/// A domain and how it is read.
pub(super) struct Directory {
    server: Server,
    outbound: Outbound,
    surroundings: Surroundings,
    /// `None` for the whole domain.
    user_base: Option<String>,
    user_filter: String,
    group_base: Option<String>,
    group_filter: String,
    pub(super) reading: Reading,
    pub(super) nested: Nested,
    pub(super) primary_groups: bool,
    method: Method,
}

impl Connector for Directory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            incremental: self.method != Method::Off,
            whole_accounts: true,
            absence: Absence::IsRemoval,
            faults: Faults::AreListed,
        }
    }

    fn probe(&mut self) -> Result<Probe, SourceError> {
        let (mut session, domain) = self.connect()?;
        let mut probe = Probe::default();
        let users = count(&mut session, &self.users(&domain, &["1.1"]))?;
        if users == 0 {
            probe.warnings.push(
                "The account sees no users below user_base that meet user_filter.".to_owned(),
            );
        }
        probe.users = Some(users);
        if let Some(groups) = self.groups(&domain, &["1.1"]) {
            probe.groups = Some(count(&mut session, &groups)?);
        }
        let warning = match Cursor::now(&mut session, &domain, self.method, self.reading.now)? {
            _ if self.method == Method::Off => None,
            Some(cursor) if cursor.is_dirsync() => None,
            Some(_) if domain.shows_deleted(&mut session)? => None,
            Some(_) => Some(
                "The account sees nothing in the container Deleted Objects. If it must not look there, who \
                 was deleted is seen when everything is read.",
            ),
            None => Some(
                "The account must not replicate changes, or the server does not show the number of its last \
                 change: everything is read each time.",
            ),
        };
        probe.warnings.extend(warning.map(str::to_owned));
        if self.server.security == Security::Plain {
            probe.warnings.push("The connection is not encrypted.".to_owned());
        }
        Ok(probe)
    }

    fn full(&mut self, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        let (mut session, domain) = self.connect()?;
        // Before the first user: what changes meanwhile is read again.
        let cursor = Cursor::now(&mut session, &domain, self.method, self.reading.now)?;
        if let (Some(cursor), Some(last)) = (&cursor, &self.surroundings.last) {
            cursor.check_follows(last)?;
        }
        let mut reader = Reader::new(self, &domain, sink);
        let users = self.users(&domain, &self.user_attributes());
        session.list(&users, &mut |entry| reader.user(&entry).map(drop))?;
        if let Some(groups) = self.groups(&domain, &read::ATTRIBUTES) {
            session.list(&groups, &mut |entry| reader.group(&entry).map(drop))?;
            reader.memberships(&mut session)?;
        }
        Ok(self.finished(cursor))
    }

    fn incremental(&mut self, cursor: &str, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        let now = self.reading.now;
        let cursor = Cursor::parse(cursor, now)?;
        let (mut session, domain) = self.connect()?;
        let filters = [self.user_filter.as_str(), self.group_filter.as_str()];
        let mut attributes = self.user_attributes();
        attributes.extend(["name", "isDeleted", "member", "description", "groupType"]);
        attributes.extend(filters.into_iter().flat_map(attributes_of));
        let attributes = once_each(attributes);
        let (mut changes, next) = cursor.changes(&mut session, &domain, &attributes, now)?;
        self.add_due(&mut session, &domain, cursor.at, &mut changes)?;
        if !changes.is_empty() {
            self.read_changes(&mut session, &domain, changes, sink)?;
        }
        Ok(self.finished(Some(next)))
    }
}

impl Directory {
    fn connect(&self) -> Result<(Session, Domain), SourceError> {
        let mut session = Session::open(&self.server, &self.outbound, &self.surroundings)?;
        let domain = Domain::of(&mut session)?;
        let bases = [("user_base", &self.user_base), ("group_base", &self.group_base)];
        for (field, base) in bases {
            if let Some(base) = base.as_deref().filter(|base| !domain.holds(base)) {
                let domain = &domain.base;
                return Err(SourceError::failed(format!(
                    "{field} is {base}, which is not in {domain}"
                )));
            }
        }
        Ok((session, domain))
    }

    fn users(&self, domain: &Domain, attributes: &[&str]) -> Search {
        let base = self.user_base.as_deref().unwrap_or(&domain.base);
        Search::new(base, Scope::Subtree, &self.user_filter, attributes).with(extended_names())
    }

    /// `None` where no groups are read.
    fn groups(&self, domain: &Domain, attributes: &[&str]) -> Option<Search> {
        let base = self.group_base.as_deref().unwrap_or(&domain.base);
        let search = Search::new(base, Scope::Subtree, &self.group_filter, attributes);
        self.surroundings.wants_groups.then(|| search.with(extended_names()))
    }

    fn user_attributes(&self) -> Vec<&str> {
        let mut all = user::ATTRIBUTES.to_vec();
        all.push(&self.reading.user_name);
        all.extend(self.reading.extra.iter().map(String::as_str));
        if self.reading.lockout_is_inactive {
            all.extend(["lockoutTime", user::COMPUTED]);
        }
        once_each(all)
    }

    /// Adds users whose state changes by the time alone: accounts that have ended meanwhile, and lockouts,
    /// which end without a word.
    fn add_due(
        &self,
        session: &mut Session,
        domain: &Domain,
        since: i64,
        changes: &mut Changes,
    ) -> Result<(), SourceError> {
        let (from, to) = (filetime(since), filetime(self.reading.now));
        let locked = if self.reading.lockout_is_inactive { "(lockoutTime>=1)" } else { "" };
        let due = format!("(|(&(accountExpires>={from})(accountExpires<={to})){locked})");
        let users = self.users(domain, &["objectGUID"]);
        let filter = both(&users.filter, &due);
        session.list(&Search { filter, ..users }, &mut |entry| {
            changes.changed.extend(id_of(&entry));
            changes.check()
        })
    }

    fn read_changes(
        &self,
        session: &mut Session,
        domain: &Domain,
        changes: Changes,
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        let Changes { changed, deleted } = changes;
        let visible = self.visible(session, domain, &changed)?;
        let has_groups = visible.values().any(|kind| *kind == Kind::Group) || !deleted.is_empty();
        let mut asked =
            [&self.user_filter, &self.group_filter].into_iter().chain(&self.reading.extra);
        if has_groups && asked.any(|text| asks_for_groups(text)) {
            // Whoever has come into a group or left it has not changed.
            let message = "a group has changed, and memberOf is asked for".to_owned();
            return Err(SourceError::CursorLost(message));
        }
        let mut reader = Reader::new(self, domain, sink);
        let ids: BTreeSet<&str> = visible.keys().map(String::as_str).collect();
        let mut found: BTreeSet<(Kind, String)> = BTreeSet::new();
        by_ids(session, &self.users(domain, &self.user_attributes()), &ids, &mut |entry| {
            found.extend(reader.user(&entry)?.map(|id| (Kind::Account, id)));
            Ok(())
        })?;
        let has_users = !found.is_empty();
        let groups = self.groups(domain, &read::ATTRIBUTES);
        if let Some(groups) = &groups {
            by_ids(session, groups, &ids, &mut |entry| {
                found.extend(reader.group(&entry)?.map(|id| (Kind::Group, id)));
                Ok(())
            })?;
        }
        // Who is there, but not where users are, or not as the filter says, is missing.
        let mut has_gone = !deleted.is_empty();
        for (id, kind) in visible {
            let is_read = kind == Kind::Account || groups.is_some();
            if is_read && !found.contains(&(kind, id.clone())) {
                has_gone = true;
                reader.deleted(kind, id)?;
            }
        }
        for id in deleted {
            // A tombstone may have lost what it was; there is no other of its id.
            reader.deleted(Kind::Account, id.clone())?;
            reader.deleted(Kind::Group, id)?;
        }
        let Some(groups) = groups else { return Ok(()) };
        let has_groups = found.iter().any(|(kind, _)| *kind == Kind::Group);
        // Groups that have not changed may have other members all the same.
        if reader.has_newcomers
            || self.nested == Nested::Expand && (has_groups || has_gone)
            || self.primary_groups && (has_groups || has_users)
        {
            reader.again();
            if self.primary_groups {
                let names = self.users(domain, &["objectGUID", "primaryGroupID"]);
                session.list(&names, &mut |entry| {
                    id_of(&entry).map_or(Ok(()), |id| reader.note_primary(&entry, &id))
                })?;
            }
            session.list(&groups, &mut |entry| reader.group(&entry).map(drop))?;
        }
        reader.memberships(session)
    }

    /// Which of these entries the account sees as accounts or groups, and those below a container that has
    /// changed: it may have been moved, and they with it.
    fn visible(
        &self,
        session: &mut Session,
        domain: &Domain,
        changed: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Kind>, SourceError> {
        let all = |base: &str, filter: &str| {
            let search = Search::new(base, Scope::Subtree, filter, &["objectGUID", "objectClass"]);
            search.with(extended_names())
        };
        let (mut visible, mut containers) = (BTreeMap::new(), Vec::new());
        let ids = changed.iter().map(String::as_str).collect();
        by_ids(session, &all(&domain.base, "(objectClass=*)"), &ids, &mut |entry| {
            match (kind_of(&entry), id_of(&entry)) {
                (Some(kind), Some(id)) => drop(visible.insert(id, kind)),
                _ if is_container(&entry) => {
                    containers.push(Name::parse(&entry.dn).dn.to_owned());
                }
                _ => {}
            }
            Ok(())
        })?;
        for container in containers {
            let below = all(&container, "(|(objectClass=user)(objectClass=group))");
            session.list(&below, &mut |entry| {
                if let (Some(kind), Some(id)) = (kind_of(&entry), id_of(&entry)) {
                    visible.insert(id, kind);
                }
                Changes::check_number(visible.len())
            })?;
        }
        Ok(visible)
    }

    fn finished(&self, cursor: Option<Cursor>) -> Finished {
        Finished {
            cursor: cursor.and_then(|cursor| cursor.text()),
            groups: match self.surroundings.wants_groups {
                true => GroupsGiven::Yes,
                false => GroupsGiven::No,
            },
        }
    }
}

/// What of a search has one of these ids.
fn by_ids(
    session: &mut Session,
    search: &Search,
    ids: &BTreeSet<&str>,
    take: &mut dyn FnMut(Entry) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let filters: Vec<String> = ids.iter().filter_map(|id| guid_filter(id)).collect();
    for some in filters.chunks(AT_ONCE) {
        let filter = both(&search.filter, &format!("(|{})", some.concat()));
        session.list(&Search { filter, ..search.clone() }, take)?;
    }
    Ok(())
}

/// What an entry is, if it is an account or a group at all.
fn kind_of(entry: &Entry) -> Option<Kind> {
    let is =
        |class: &str| entry.texts("objectClass").any(|found| found.eq_ignore_ascii_case(class));
    if is("group") {
        Some(Kind::Group)
    } else {
        // Whatever users are by the filter: contacts are persons as well.
        (is("user") || is("person")).then_some(Kind::Account)
    }
}

fn is_container(entry: &Entry) -> bool {
    let is =
        |class: &str| entry.texts("objectClass").any(|found| found.eq_ignore_ascii_case(class));
    is("organizationalUnit") || is("container")
}

/// The attributes that a filter asks for.
fn attributes_of(filter: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let name = move |part: &'_ str| part.len() - part.trim_start_matches(is_name).len();
    filter.split('(').filter_map(move |part| part.get(..name(part))).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_tell_what_they_ask_for() {
        let filter =
            "(&(objectCategory=person)(!(title=*))(memberOf:1.2.840.113556.1.4.1941:=CN=a,DC=x))";
        let names: Vec<&str> = attributes_of(filter).collect();
        assert_eq!(names, ["objectCategory", "title", "memberOf"]);
        assert_eq!(attributes_of("objectClass>=user").collect::<Vec<_>>(), ["objectClass"]);
    }
}
