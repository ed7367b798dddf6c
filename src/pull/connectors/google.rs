//! `pull.google`: Google Workspace over the Admin SDK Directory API (directory_v1).
//!
//! Google has no list of changes. Every read lists all users and all groups (`google_groups`).

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::google_api::{Api, List, is_forbidden, is_not_found};
use super::google_config::{FIELDS, Settings, assertion, check, outbound, url};
use super::google_entry::{account, addresses, flag, is_below, manager_address, state, text};
use super::google_groups::Marks;
use super::google_members::{MemberKind, id_of, kind_of};
use crate::pull::oauth::{Authorized, Proof, Tokens};
use crate::pull::{
    Absence, AccountState, AccountType, Capabilities, Connector, Envelope, Fault, Faults, Finished,
    GroupsGiven, Increment, Kind, Probe, Sink, SourceError, SourceKind, Surroundings,
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

/// Most users on a page.
const USERS_AT_A_TIME: &str = "500";

/// So many new users are asked for their groups; of more, the members of all groups are read. So many
/// users whom the list has left out are asked for themselves; of more, the list is read again.
pub(super) const MOST_ASKED: usize = 20;

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

pub(super) struct Directory {
    pub(super) api: Api,
    pub(super) settings: Settings,
    wants_groups: bool,
}

/// The users that were read.
#[derive(Default)]
pub(super) struct People {
    /// Ids of all that Google lists, also of those who are left out.
    pub(super) listed: HashSet<String>,
    /// Ids of those who were deleted of late.
    deleted: HashSet<String>,
    /// Ids of those who are read.
    pub(super) taken: HashSet<String>,
    /// Ids by every address.
    by_address: HashMap<String, String>,
    /// Ids of those whom the directory does not have yet.
    pub(super) new: Vec<String>,
    /// Those whose manager has not been read yet, as text, which takes little room.
    waiting: BTreeMap<String, String>,
}

impl People {
    /// What a member of a group is. A group may list somebody for a while who was deleted: that is nobody
    /// of another organization.
    pub(super) fn kind_of(&self, member: &Object) -> MemberKind {
        match kind_of(member, &self.listed) {
            MemberKind::External if self.deleted.contains(id_of(member)) => MemberKind::Other,
            kind => kind,
        }
    }
}

impl Connector for Directory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            incremental: self.reads_in_part(),
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

impl Directory {
    pub(super) fn reads_in_part(&self) -> bool {
        self.wants_groups && !self.settings.needs_all_members()
    }

    /// Users, then groups.
    fn read(
        &mut self,
        before: Option<Marks>,
        sink: &mut dyn Sink,
    ) -> Result<Finished, SourceError> {
        let people = self.users(sink)?;
        match self.wants_groups {
            true => self.read_groups(before, &people, sink),
            false => Ok(Finished { cursor: None, groups: GroupsGiven::No }),
        }
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

    /// One of both: a domain hides the others.
    pub(super) fn scope(&self) -> (&'static str, String) {
        match self.settings.domain.is_empty() {
            true => ("customer", self.settings.customer.clone()),
            false => ("domain", self.settings.domain.clone()),
        }
    }

    /// Reads all users. Whose manager stands further behind waits.
    fn users(&mut self, sink: &mut dyn Sink) -> Result<People, SourceError> {
        let mut people = People::default();
        if self.settings.shows_deleted {
            let mut deleted = self.users_list();
            deleted.query.retain(|(name, _)| *name != "query");
            deleted.query.push(("showDeleted", "true".to_owned()));
            // Who was restored in between is listed afterwards.
            self.api.list(&deleted, &mut |user| match text(&user, "id") {
                "" => Ok(()),
                id => {
                    people.deleted.insert(id.to_owned());
                    sink.put(Envelope::deleted(Kind::Account, id.to_owned()))
                }
            })?;
        }
        let settings = self.settings.clone();
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
        // Only the list says who is of a domain or met by a query.
        let is_whole = self.settings.domain.is_empty() && self.settings.user_query.is_empty();
        let can_ask = is_whole && missing.len() <= MOST_ASKED;
        if can_ask && self.ask_for(missing, people, sink)? {
            return Ok(());
        }
        let settings = self.settings.clone();
        self.api.list(&self.users_list(), &mut |user| match people
            .listed
            .contains(text(&user, "id"))
        {
            true => Ok(()),
            false => take_user(user, people, &settings, sink),
        })
    }

    /// Asks for users by their ids; `false` where Google does not say of each whether it is there.
    fn ask_for(
        &mut self,
        missing: Vec<String>,
        people: &mut People,
        sink: &mut dyn Sink,
    ) -> Result<bool, SourceError> {
        let settings = self.settings.clone();
        for id in missing {
            match self.api.user(&id) {
                Ok(user) => take_user(user, people, &settings, sink)?,
                Err(error) if is_not_found(&error) => {}
                // Somebody of another organization, or of a unit that the administrator does not see. The
                // first is listed with a group as long as such members are kept.
                Err(error) if is_forbidden(&error) && settings.keeps_external => {}
                Err(error) if is_forbidden(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
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
