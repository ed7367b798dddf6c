//! Users of a tenant: the list with their managers, who is missing in it, and the delta.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::entra_map::Mapping;
use super::entra_read::{First, Guests, MOST_ASKED, Needs, Tenant, id_of, is_removed, unread};
use crate::pull::{AccountState, AccountType, Envelope, Fault, Kind, Sink, SourceError};
use crate::scim::Object;

/// `$expand` of users.
const MANAGER: &str = "manager($select=id)";

impl Tenant {
    /// `$select` and `$expand` of users.
    fn user_query(&self) -> (String, &'static str) {
        let mapping = &self.reading.mapping;
        (mapping.select(), if mapping.managers { MANAGER } else { "" })
    }

    /// Where changes of users go on from now.
    pub(super) fn latest_users(&mut self) -> Result<String, SourceError> {
        let (mut select, _) = self.user_query();
        if self.reading.mapping.managers {
            select.push_str(",manager");
        }
        let query = [("$select", select.as_str()), ("$deltatoken", "latest")];
        let url = self.url("users/delta", &query);
        self.round(url, Needs::Users, &mut |_| Ok(()))
    }

    /// Those whom the filter lets in, with their managers: an advanced query takes no `$expand`.
    fn with_managers(&mut self) -> Result<HashMap<String, Object>, SourceError> {
        let (filter, top) = (self.reading.user_filter.clone(), self.reading.page_size.to_string());
        let query = [("$select", "id"), ("$top", &top), ("$filter", &filter), ("$count", "true")];
        let (url, mut ids) = (self.url("users", &query), HashSet::new());
        self.walk(url, Needs::Users, &mut |user| {
            ids.extend(id_of(&user).map(str::to_owned));
            Ok(())
        })?;
        if ids.len() <= MOST_ASKED {
            let ids: Vec<String> = ids.into_iter().collect();
            return self.by_ids("users", ("id", MANAGER), &ids, Needs::Users);
        }
        let url = self.url("users", &[("$select", "id"), ("$expand", MANAGER), ("$top", &top)]);
        let mut found = HashMap::new();
        self.walk(url, Needs::Users, &mut |user| {
            if let Some(id) = id_of(&user).and_then(|id| ids.take(id)) {
                found.insert(id, user);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Puts everybody whom the list has; their ids, also of those who do not come in.
    pub(super) fn list_users(
        &mut self,
        sink: &mut dyn Sink,
    ) -> Result<HashSet<String>, SourceError> {
        let (select, expand) = self.user_query();
        let filter = self.reading.user_filter.clone();
        let count = if filter.is_empty() { "" } else { "true" };
        let managers = match filter.is_empty() || expand.is_empty() {
            true => None,
            false => Some(self.with_managers()?),
        };
        let expand = if managers.is_some() { "" } else { expand };
        let top = self.reading.page_size.to_string();
        let query = [
            ("$select", select.as_str()),
            ("$expand", expand),
            ("$top", &top),
            ("$filter", &filter),
            ("$count", count),
        ];
        let url = self.url("users", &query);
        let (guests, mapping) = (self.reading.guests, self.reading.mapping.clone());
        let without_manager = Mapping { managers: false, ..mapping.clone() };
        let (mut listed, mut seen, mut hidden) = (HashSet::new(), 0_usize, 0_usize);
        self.walk(url, Needs::Users, &mut |mut user| {
            *(if is_hidden_from_us(&user) { &mut hidden } else { &mut seen }) += 1;
            listed.extend(id_of(&user).map(str::to_owned));
            if !wants_user(guests, &user) {
                return Ok(());
            }
            let Some(managers) = &managers else { return put_user(&mapping, user, sink) };
            match id_of(&user).and_then(|id| managers.get(id)) {
                Some(found) => {
                    let manager = found.get("manager").cloned();
                    user.extend(manager.map(|manager| ("manager".to_owned(), manager)));
                    put_user(&mapping, user, sink)
                }
                // Who has only come in between: nothing is known of the manager.
                None => put_user(&without_manager, user, sink),
            }
        })?;
        match (seen, hidden) {
            (0, 1..) => Err(unseen()),
            _ => Ok(listed),
        }
    }

    /// A list shows whoever is new, or met by a filter, some minutes late, and may lose somebody between two pages:
    /// so nobody counts as missing who was not looked for again.
    pub(super) fn look_up_missing(
        &mut self,
        listed: &HashSet<String>,
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        let mut missing = sink.missing(Kind::Account);
        missing.retain(|id| !listed.contains(id));
        if missing.is_empty() {
            return Ok(());
        }
        // Only the list says who is met by a filter, and whether somebody is there whom another directory has handed
        // over with an id that Microsoft Graph does not take.
        let is_asked = self.reading.user_filter.is_empty()
            && missing.len() <= MOST_ASKED
            && missing.iter().all(|id| is_guid(id));
        if !is_asked {
            return self.list_users(sink).map(drop);
        }
        let (select, expand) = self.user_query();
        let found = self.by_ids("users", (&select, expand), &missing, Needs::Users)?;
        for user in found.into_values().filter(|user| wants_user(self.reading.guests, user)) {
            put_user(&self.reading.mapping, user, sink)?;
        }
        Ok(())
    }

    /// Where the next round goes on, and ids of those who were not in the directory before.
    pub(super) fn changed_users(
        &mut self,
        delta_link: &str,
        sink: &mut dyn Sink,
    ) -> Result<(String, Vec<String>), SourceError> {
        // What comes twice counts as it comes last.
        let mut changes: BTreeMap<String, Option<Object>> = BTreeMap::new();
        let next = self.round(First::left(delta_link)?, Needs::Users, &mut |user| {
            if let Some(id) = id_of(&user) {
                changes.insert(id.to_owned(), (!is_removed(&user)).then_some(user));
            }
            Ok(())
        })?;
        let ids: Vec<String> =
            changes.iter().filter(|(_, user)| user.is_some()).map(|(id, _)| id.clone()).collect();
        let (select, expand) = self.user_query();
        let mut found = self.by_ids("users", (&select, expand), &ids, Needs::Users)?;
        let mut new = Vec::new();
        for (id, change) in changes {
            let Some(sparse) = change else {
                sink.put(Envelope::deleted(Kind::Account, id))?;
                continue;
            };
            let Some(mut user) = found.remove(&id) else {
                if sparse.get("accountEnabled") == Some(&Value::Bool(false)) {
                    // The fault stands beside it: nothing else of the user is known.
                    let ended = Envelope::account(id.clone(), sparse.clone(), Object::new());
                    sink.put(ended.in_state(AccountState::Inactive))?;
                }
                unread(Kind::Account, id, &sparse, sink)?;
                continue;
            };
            // Whoever answers now may be behind what the list of changes has said already.
            user.extend(sparse.into_iter().filter(|(name, _)| !name.contains('@')));
            if !wants_user(self.reading.guests, &user) {
                sink.put(Envelope::deleted(Kind::Account, id))?;
                continue;
            }
            put_user(&self.reading.mapping, user, sink)?;
            if sink.is_new(Kind::Account, &id) {
                new.push(id);
            }
        }
        Ok((next, new))
    }
}

fn put_user(mapping: &Mapping, user: Object, sink: &mut dyn Sink) -> Result<(), SourceError> {
    let Some(id) = id_of(&user).map(str::to_owned) else {
        let place = user.get("userPrincipalName").and_then(Value::as_str).unwrap_or("a user");
        let message = "it has no \"id\".".to_owned();
        return sink.fault(Fault { kind: Kind::Account, place: place.to_owned(), message });
    };
    // Whoever may not see a property is given null, which would clear it.
    let state = match user.get("accountEnabled") {
        Some(Value::Bool(true)) => AccountState::Active,
        Some(Value::Bool(false)) => AccountState::Inactive,
        _ => {
            let name = user.get("userPrincipalName").and_then(Value::as_str).unwrap_or(&id);
            let permission = Needs::Users.permission();
            let message = format!(
                "Microsoft Graph does not show whether {name} is enabled, nor what else it has: that needs the \
                 permission {permission}; it stays as it is."
            );
            return sink.fault(Fault { kind: Kind::Account, place: id, message });
        }
    };
    let attributes = mapping.user(&user);
    let account_type = match is_guest(&user) {
        true => AccountType::Guest,
        false => AccountType::User,
    };
    sink.put(Envelope::account(id, user, attributes).of_type(account_type).in_state(state))
}

/// Whether there is a user of whom nothing is shown: everybody has `accountEnabled`.
pub(super) fn is_hidden_from_us(user: &Object) -> bool {
    !matches!(user.get("accountEnabled"), Some(Value::Bool(_)))
}

pub(super) fn unseen() -> SourceError {
    let permission = Needs::Users.permission();
    SourceError::Credentials(format!(
        "Microsoft Graph lists users and does not show their properties, such as accountEnabled (the \
         application needs the permission {permission} of type Application, with the consent of an \
         administrator)"
    ))
}

/// `8-4-4-4-12` hexadecimal digits, as every id of Microsoft Graph is.
fn is_guid(id: &str) -> bool {
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn wants_user(guests: Guests, user: &Object) -> bool {
    guests == Guests::Included || !is_guest(user)
}

/// Users from before the property was there have none: they are members.
fn is_guest(user: &Object) -> bool {
    user.get("userType").and_then(Value::as_str) == Some("Guest")
}
