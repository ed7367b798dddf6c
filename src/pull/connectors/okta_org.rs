//! An Okta organization as a source: who is asked for, in which order, and what the answers mean.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Value, json};

use super::okta_api::{Api, Limit, is_forbidden, is_missing};
use super::okta_user::{
    Managers, Statuses, group_attributes, is_user_id, set_manager, taken, text, user_attributes,
};
use crate::pull::{
    Absence, AccountState, Action, Capabilities, Connector, Envelope, Fault, Faults, Finished,
    GroupsGiven, Kind, Members, Probe, Sink, SourceError,
};
use crate::scim::Object;
use crate::scim::key::{instant_ms, instant_text};

/// How far a watermark is put back, in milliseconds: lists show changes a little later than they happen.
const OVERLAP_MS: i64 = 5 * 60 * 1_000;

/// How far back the System Log is trusted, in milliseconds; Okta keeps it for 90 days.
const LOG_REACH_MS: i64 = 85 * 24 * 3_600 * 1_000;

pub(super) struct Org {
    pub(super) api: Api,
    pub(super) rules: Rules,
    pub(super) reads_log: bool,
    pub(super) wants_groups: bool,
}

/// Who and what is asked for, and how it is understood.
pub(super) struct Rules {
    pub(super) statuses: Statuses,
    pub(super) user_search: String,
    pub(super) group_search: String,
    pub(super) app_groups: bool,
    pub(super) built_in_groups: bool,
}

/// A user who comes in.
struct Person {
    id: String,
    state: AccountState,
    user: Object,
}

/// A query parameter with its value.
type Query = (&'static str, String);

impl Connector for Org {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            incremental: true,
            whole_accounts: true,
            absence: Absence::IsRemoval,
            faults: Faults::AreListed,
        }
    }

    fn probe(&mut self) -> Result<Probe, SourceError> {
        let (name, expression) = self.rules.users(None);
        let query = [(name, expression.as_str()), ("limit", "1")];
        let (users, _) = self.api.first(Limit::Users, &["users"], &query)?;
        let mut probe = Probe::default();
        match users.is_empty() {
            true => {
                probe.users = Some(0);
                probe.warnings.push("Okta lists no users.".to_owned());
            }
            false if self.rules.user_search.is_empty() => probe.users = self.everyone(),
            false => {}
        }
        if self.wants_groups {
            self.probe_groups(&mut probe)?;
        }
        self.probe_log(&mut probe)?;
        Ok(probe)
    }

    fn full(&mut self, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        self.api.began = None;
        let newest = self.all_users(sink)?;
        if self.wants_groups {
            self.groups(None, &[], sink)?;
        }
        Ok(self.finished(newest))
    }

    fn incremental(&mut self, cursor: &str, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        let lost = || SourceError::CursorLost("the cursor is no time".to_owned());
        let since: i64 = cursor.parse().map_err(|_| lost())?;
        self.api.began = None;
        let (newest, returned) = self.changed_users(since, sink)?;
        if self.wants_groups {
            self.groups(Some(since), &returned, sink)?;
        }
        if self.reads_log {
            self.log(since, sink)?;
        }
        Ok(self.finished(newest.or(Some(since.saturating_add(OVERLAP_MS)))))
    }
}

impl Org {
    /// Okta's clock when the read began, never this one's; or the newest change that was seen.
    fn finished(&self, newest: Option<i64>) -> Finished {
        let watermark = self.api.began.or(newest);
        let cursor = watermark.map(|ms| ms.saturating_sub(OVERLAP_MS).to_string());
        let groups = if self.wants_groups { GroupsGiven::Yes } else { GroupsGiven::No };
        Finished { cursor, groups }
    }

    /// How many users Okta counts, without deactivated ones. Not every administrator may know.
    fn everyone(&mut self) -> Option<u64> {
        let query = [("filter", "type eq \"BUILT_IN\""), ("expand", "stats")];
        let (groups, _) = self.api.first(Limit::Groups, &["groups"], &query).ok()?;
        let everyone = groups.iter().find(|group| text(group, "name") == Some("Everyone"))?;
        everyone.get("_embedded")?.get("stats")?.get("usersCount")?.as_u64()
    }

    fn probe_groups(&mut self, probe: &mut Probe) -> Result<(), SourceError> {
        let (name, expression) = self.rules.groups(None);
        let query = [(name, expression.as_str()), ("limit", "200")];
        let first = self.api.first(Limit::Groups, &["groups"], &query);
        let (groups, is_all) = first.map_err(|error| error.about("the groups cannot be read"))?;
        if is_all {
            probe.groups = u64::try_from(groups.len()).ok();
        }
        if !self.rules.app_groups {
            let query = [("filter", "type eq \"APP_GROUP\""), ("limit", "1")];
            let (groups, _) = self.api.first(Limit::Groups, &["groups"], &query)?;
            if !groups.is_empty() {
                let warning =
                    "Groups that apps have brought to Okta are left out; app_groups lets them in.";
                probe.warnings.push(warning.to_owned());
            }
        }
        Ok(())
    }

    fn probe_log(&mut self, probe: &mut Probe) -> Result<(), SourceError> {
        let said = match (self.reads_log, self.api.began) {
            (true, Some(now)) => {
                let since = instant_text(now.saturating_sub(OVERLAP_MS));
                let query = [("since", since.as_str()), ("limit", "1")];
                match self.api.first(Limit::Log, &["logs"], &query) {
                    Err(error) if is_forbidden(&error) => error.message().to_owned(),
                    read => return read.map(drop),
                }
            }
            (true, None) => return Ok(()),
            (false, _) => "the scope okta.logs.read is not asked for".to_owned(),
        };
        probe.warnings.push(format!(
            "The System Log cannot be read ({said}): deleted users and groups are found only when \
             everything is read."
        ));
        Ok(())
    }

    /// Everybody. Managers may be named by what only the whole list tells, so whoever has such a manager
    /// comes at the end.
    fn all_users(&mut self, sink: &mut dyn Sink) -> Result<Option<i64>, SourceError> {
        let Self { api, rules, .. } = self;
        let mut newest = None;
        let mut managers = Managers::default();
        let mut waiting: Vec<Box<str>> = Vec::new();
        let mut take = |user: Object, sink: &mut dyn Sink| {
            newest = newest.max(time(&user, "lastUpdated"));
            if let Some(id) = id_of(&user) {
                managers.add(id, &user);
            }
            let Some(person) = rules.admit(user, sink)? else { return Ok(()) };
            match text(&person.user, "managerId").map(str::to_owned) {
                Some(manager) if !is_user_id(&manager) => {
                    let user = Value::Object(person.user).to_string();
                    waiting.push(user.into_boxed_str());
                    Ok(())
                }
                manager => sink.put(person.envelope(manager.as_deref())),
            }
        };
        let (name, expression) = rules.users(None);
        let query = (name, expression.as_str());
        let listed =
            api.list(Limit::Users, &["users"], &[query], &mut |_, user| take(user, sink))?;
        let missing = left_out(Kind::Account, &listed, sink);
        api.look_up(Limit::Users, "users", query, &missing, &mut |user| take(user, sink))?;
        for user in waiting {
            let user = serde_json::from_str(&user)
                .map_err(|_| SourceError::failed("a user cannot be kept for a while"))?;
            let Some(person) = rules.admit(user, sink)? else { continue };
            let manager =
                text(&person.user, "managerId").and_then(|manager| managers.find(manager));
            sink.put(person.envelope(manager))?;
        }
        Ok(newest)
    }

    /// Users who have changed, and the ids of those who were there before and are in use, or let in, only now.
    fn changed_users(
        &mut self,
        since: i64,
        sink: &mut dyn Sink,
    ) -> Result<(Option<i64>, Vec<String>), SourceError> {
        let Self { api, rules, .. } = self;
        let (name, expression) = rules.users(Some(since));
        let (mut newest, mut returned) = (None, Vec::new());
        let mut found: HashMap<String, Option<String>> = HashMap::new();
        api.list(Limit::Users, &["users"], &[(name, &expression)], &mut |api, user| {
            newest = newest.max(time(&user, "lastUpdated"));
            let is_new = time(&user, "created").is_some_and(|at| at > since);
            let has_turned = time(&user, "statusChanged").is_some_and(|at| at > since);
            let Some(person) = rules.admit(user, sink)? else { return Ok(()) };
            let is_back = has_turned && person.state == AccountState::Active;
            let manager = match text(&person.user, "managerId").map(str::to_owned) {
                Some(manager) if !is_user_id(&manager) => match found.get(&manager) {
                    Some(known) => known.clone(),
                    None => {
                        let id = manager_of(api, &manager)?;
                        found.insert(manager, id.clone());
                        id
                    }
                },
                manager => manager,
            };
            sink.put(person.envelope(manager.as_deref()))?;
            // Whoever is let in only now may be in groups that have not changed.
            if !is_new && (is_back || sink.is_new(Kind::Account, &person.id)) {
                returned.push(person.id);
            }
            Ok(())
        })?;
        Ok((newest, returned))
    }

    /// Groups with their members: all, or those that have changed. `returned` are users whose groups are
    /// to be looked at, too: as long as a user is deactivated, no group lists it, and none that it has left says so.
    fn groups(
        &mut self,
        since: Option<i64>,
        returned: &[String],
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        let Self { api, rules, .. } = self;
        let (name, expression) = rules.groups(since);
        let query = (name, expression.as_str());
        let mut groups = Vec::new();
        let listed = api.list(Limit::Groups, &["groups"], &[query], &mut |_, group| {
            groups.push(group);
            Ok(())
        })?;
        if since.is_none() {
            let missing = left_out(Kind::Group, &listed, sink);
            api.look_up(Limit::Groups, "groups", query, &missing, &mut |group| {
                // It is there all the same where its type is not wanted any more.
                groups.extend(Some(group).filter(|group| rules.has_type(group)));
                Ok(())
            })?;
        }
        // Groups with all their members, and groups that are there at least.
        let (mut whole, mut there) = (HashSet::new(), HashSet::new());
        for group in groups {
            let is_changed = |name: &str| {
                since.is_none_or(|since| time(&group, name).is_none_or(|at| at > since))
            };
            let (members, itself) =
                (is_changed("lastMembershipUpdated"), is_changed("lastUpdated"));
            if !members && !itself {
                continue;
            }
            let Some(id) = admitted_id(&group, Kind::Group, sink)? else { continue };
            if !members {
                sink.put(group_envelope(id.clone(), group, Members::Changes))?;
                there.insert(id);
            } else if let Some(members) = self.members(&id, sink)? {
                sink.put(group_envelope(id.clone(), group, Members::Active))?;
                for member in members {
                    sink.put(membership(&id, member))?;
                }
                whole.insert(id);
            }
        }
        for user in returned {
            let Some(groups) = self.groups_of(user)? else { continue };
            let mut left = sink.groups_of(user);
            left.retain(|id| !whole.contains(id) && !groups.iter().any(|g| id_of(g) == Some(id)));
            for id in left {
                let Some(group) = self.api.one(Limit::Groups, &["groups", &id])? else { continue };
                if there.insert(id.clone()) {
                    sink.put(group_envelope(id.clone(), group, Members::Changes))?;
                }
                sink.put(Envelope { action: Action::Delete, ..membership(&id, user.clone()) })?;
            }
            for group in groups {
                let Some(id) = id_of(&group).map(str::to_owned) else { continue };
                let is_in = self.rules.has_type(&group)
                    && (self.rules.group_search.is_empty() || listed.contains(&id));
                if !is_in || whole.contains(&id) {
                    continue;
                }
                if there.insert(id.clone()) {
                    sink.put(group_envelope(id.clone(), group, Members::Changes))?;
                }
                sink.put(membership(&id, user.clone()))?;
            }
        }
        Ok(())
    }

    /// The ids of the members of a group; `None` for a group that is gone by now.
    fn members(
        &mut self,
        id: &str,
        sink: &mut dyn Sink,
    ) -> Result<Option<Vec<String>>, SourceError> {
        let mut members = Vec::new();
        let path = ["groups", id, "users"];
        let read = self.api.list(Limit::Members, &path, &[], &mut |_, user| {
            members.extend(id_of(&user).map(str::to_owned));
            Ok(())
        });
        match read {
            Ok(_) => Ok(Some(members)),
            Err(error) if is_missing(&error) => {
                if self.api.one(Limit::Groups, &["groups", id])?.is_some() {
                    let message = format!("its members cannot be read: {}.", error.message());
                    sink.fault(Fault { kind: Kind::Group, place: id.to_owned(), message })?;
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// All groups of a user; `None` for one who is gone by now.
    fn groups_of(&mut self, user: &str) -> Result<Option<Vec<Object>>, SourceError> {
        let mut groups = Vec::new();
        let read = self.api.list(Limit::Users, &["users", user, "groups"], &[], &mut |_, group| {
            groups.push(group);
            Ok(())
        });
        match read {
            Ok(_) => Ok(Some(groups)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What was deleted, and who was taken out of a group without being listed there.
    fn log(&mut self, since: i64, sink: &mut dyn Sink) -> Result<(), SourceError> {
        if self.api.began.is_some_and(|now| now.saturating_sub(since) > LOG_REACH_MS) {
            let message = "the System Log does not reach back to the last read".to_owned();
            return Err(SourceError::CursorLost(message));
        }
        let told = match self.api.log(since) {
            Err(error) if is_forbidden(&error) => return Ok(()),
            told => told?,
        };
        let wants_groups = self.wants_groups;
        for (kind, id) in told.gone.into_iter().filter(|(k, _)| wants_groups || *k == Kind::Account)
        {
            sink.put(Envelope::deleted(kind, id))?;
        }
        for ((group, user), has_left) in told.members {
            // The log is behind, and may not show yet that somebody has come back whom a list of this run names.
            // Who has left since then is in what the next run reads again.
            if has_left && wants_groups && !sink.has_member(&group, &user) {
                let left = Envelope { action: Action::Delete, ..membership(&group, user) };
                sink.put(left)?;
            }
        }
        Ok(())
    }
}

impl Rules {
    /// What finds users. A filter sees changes at once, a search a little later; a search knows every
    /// attribute. Both find deactivated users. (Okta Users API, list.)
    fn users(&self, since: Option<i64>) -> Query {
        let changed = format!("lastUpdated gt \"{}\"", instant_text(since.unwrap_or(0)));
        match (self.user_search.is_empty(), since) {
            (true, _) => ("filter", changed),
            (false, None) => ("search", self.user_search.clone()),
            (false, Some(_)) => ("search", format!("({}) and {changed}", self.user_search)),
        }
    }

    /// What finds groups. Which have changed is looked up among those that a search finds: whoever is in
    /// use again may be in any of them.
    fn groups(&self, since: Option<i64>) -> Query {
        let mut types = vec!["type eq \"OKTA_GROUP\""];
        if self.app_groups {
            types.push("type eq \"APP_GROUP\"");
        }
        if self.built_in_groups {
            types.push("type eq \"BUILT_IN\"");
        }
        let types = types.join(" or ");
        match (self.group_search.is_empty(), since) {
            (false, _) => ("search", format!("({}) and ({types})", self.group_search)),
            (true, None) => ("filter", types),
            (true, Some(since)) => {
                let since = instant_text(since);
                let changed =
                    format!("lastUpdated gt \"{since}\" or lastMembershipUpdated gt \"{since}\"");
                ("filter", format!("({types}) and ({changed})"))
            }
        }
    }

    fn has_type(&self, group: &Object) -> bool {
        match group.get("type").and_then(Value::as_str) {
            Some("OKTA_GROUP") => true,
            Some("APP_GROUP") => self.app_groups,
            Some("BUILT_IN") => self.built_in_groups,
            _ => false,
        }
    }

    /// A user with its state, unless it is left out or cannot be used.
    fn admit(&self, user: Object, sink: &mut dyn Sink) -> Result<Option<Person>, SourceError> {
        let Some(id) = admitted_id(&user, Kind::Account, sink)? else { return Ok(None) };
        let status = user.get("status").and_then(Value::as_str).unwrap_or_default();
        match self.statuses.state(status) {
            Ok(Some(state)) => Ok(Some(Person { id, state, user: taken(user) })),
            Ok(None) => {
                sink.put(Envelope::deleted(Kind::Account, id))?;
                Ok(None)
            }
            Err(message) => {
                sink.fault(Fault { kind: Kind::Account, place: id, message })?;
                Ok(None)
            }
        }
    }
}

impl Person {
    fn envelope(&self, manager: Option<&str>) -> Envelope {
        let mut attributes = user_attributes(&self.user);
        if let Some(manager) = manager {
            set_manager(&mut attributes, manager);
        }
        Envelope::account(self.id.clone(), self.user.clone(), attributes).in_state(self.state)
    }
}

/// Who is named by a login or an employee number.
fn manager_of(api: &mut Api, manager: &str) -> Result<Option<String>, SourceError> {
    // A text in an expression is written as in JSON.
    let named = Value::from(manager);
    let search = format!("profile.login eq {named} or profile.employeeNumber eq {named}");
    let mut managers = Managers::default();
    api.list(Limit::Users, &["users"], &[("search", &search)], &mut |_, user| {
        if let Some(id) = id_of(&user) {
            managers.add(id, &user);
        }
        Ok(())
    })?;
    Ok(managers.find(manager).map(str::to_owned))
}

fn group_envelope(id: String, group: Object, members: Members) -> Envelope {
    let attributes = group_attributes(&group);
    Envelope { members, ..Envelope::group(id, taken(group), attributes) }
}

fn membership(group: &str, user: String) -> Envelope {
    let payload = Object::from_iter([("id".to_owned(), json!(user))]);
    Envelope::membership(group.to_owned(), user, payload)
}

/// Ids of what is stored and was not listed.
fn left_out(kind: Kind, listed: &HashSet<String>, sink: &dyn Sink) -> BTreeSet<String> {
    sink.missing(kind).into_iter().filter(|id| !listed.contains(id)).collect()
}

fn id_of(object: &Object) -> Option<&str> {
    object.get("id")?.as_str().filter(|id| !id.is_empty())
}

fn admitted_id(
    object: &Object,
    kind: Kind,
    sink: &mut dyn Sink,
) -> Result<Option<String>, SourceError> {
    let id = id_of(object).map(str::to_owned);
    if id.is_none() {
        let name = text(object, "login").or_else(|| text(object, "name"));
        let place = name.unwrap_or("without a name").to_owned();
        sink.fault(Fault { kind, place, message: "it has no \"id\".".to_owned() })?;
    }
    Ok(id)
}

/// A time of an object, in milliseconds since 1970.
fn time(object: &Object, name: &str) -> Option<i64> {
    instant_ms(object.get(name)?.as_str()?)
}
