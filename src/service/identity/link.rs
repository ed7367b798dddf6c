//! Accounts follow the users whom the app sees: they arrive, change and go in the unit of the change.
//!
//! Which identity an account belongs to is decided once, when it arrives: by its address, if the domain is
//! a verified one of the organization, the other account is in the primary directory or neither is, exactly
//! one identity has it, and that one has no account in the same directory; else by an alias that an operator
//! has confirmed. Nothing moves a link but an operator. Whoever might be the same person is suggested.

use serde_json::Value;

use super::person::Person;
use super::{Facts, MAX_ACCOUNTS, Scope};
use crate::clock::Ids;
use crate::event::{name, previous_attributes};
use crate::service::exchange::{Listed, MAX_EVENTS};
use crate::store::event::NewEvent;
use crate::store::identity::{IdentityRow, IdentityState};
use crate::store::identity_account::{AccountRow, Holder, Holders};
use crate::store::identity_suggestion::{Same, Suggested};
use crate::store::{StoreError, Tx};

/// Identities that are suggested for an account because of one address or name.
const MAX_SUGGESTED: i64 = 10;

/// Where a unit writes what it does to identities.
pub(in crate::service) struct Ledger<'l> {
    pub(in crate::service) scope: Scope,
    /// Whose change it is; the events stand in the log of this directory.
    pub(in crate::service) directory_key: i64,
    pub(in crate::service) organization_id: &'l str,
    pub(in crate::service) ids: &'l mut Ids,
    pub(in crate::service) event_ids: &'l mut Listed,
    pub(in crate::service) now: i64,
}

impl Ledger<'_> {
    pub(super) fn append(
        &mut self,
        tx: &mut Tx<'_>,
        event: &'static str,
        of: &Person,
        data: &Value,
    ) -> Result<(), StoreError> {
        let id = self.ids.next("event");
        self.event_ids.push(&id, MAX_EVENTS);
        let new = NewEvent {
            id,
            event,
            resource_id: of.row.id.clone(),
            member_id: None,
            data: data.to_string().into(),
            reason: None,
            created: self.now,
        };
        // An identity is the organization's, and follows what was told: its events never wait.
        tx.event_write(self.directory_key, &new)
    }
}

/// An identity with its accounts.
pub(super) fn load(tx: &mut Tx<'_>, scope: Scope, key: i64) -> Result<Person, StoreError> {
    let row = tx.identity_by_key(key)?.ok_or(StoreError::MissingReference)?;
    Ok(Person { row, accounts: tx.identity_accounts(&[key])?, past: past(tx, scope, key)? })
}

/// The directories in which it had accounts that are gone; nobody asks without a primary one.
pub(super) fn past(tx: &mut Tx<'_>, scope: Scope, key: i64) -> Result<Vec<i64>, StoreError> {
    if scope.primary.is_none() {
        return Ok(Vec::new());
    }
    Ok(tx.identity_past(&[key])?.into_iter().map(|(_, directory_key)| directory_key).collect())
}

/// Stores an identity whose accounts have changed. `stored` are the accounts as they are in the
/// database. Answers its view, with `previous_attributes` if something of it has changed.
pub(super) fn store(
    tx: &mut Tx<'_>,
    ledger: &Ledger<'_>,
    before: &Person,
    after: &mut Person,
    stored: &[AccountRow],
) -> Result<Option<Value>, StoreError> {
    after.accounts.sort_by(|a, b| a.user_id.cmp(&b.user_id));
    after.derive(ledger.scope.primary);
    for account in after.accounts.iter().filter(|account| !stored.contains(account)) {
        tx.identity_account_update(account)?;
    }
    let old = before.view(ledger.organization_id);
    let changed = previous_attributes(&old, &after.view(ledger.organization_id));
    if changed.is_some() {
        after.row.modified = ledger.now.max(before.row.modified);
    }
    if after.row != before.row {
        tx.identity_update(&after.row)?;
    }
    Ok(changed.map(|previous| {
        let mut data = after.view(ledger.organization_id);
        if let Some(object) = data.as_object_mut() {
            object.insert("previous_attributes".into(), previous);
        }
        data
    }))
}

/// Stores it and tells what has changed.
pub(super) fn update(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    before: &Person,
    mut after: Person,
    stored: &[AccountRow],
) -> Result<(), StoreError> {
    match store(tx, ledger, before, &mut after, stored)? {
        Some(data) => ledger.append(tx, name::IDENTITY_UPDATED, &after, &data),
        None => Ok(()),
    }
}

/// An identity without accounts ends, and with it what was suggested about those that were merged into
/// it: none of them has accounts either.
pub(super) fn end(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    ended: &Person,
) -> Result<(), StoreError> {
    let mut keys = vec![ended.row.key];
    while let Some(key) = keys.pop() {
        tx.identity_forget(key)?;
        keys.extend(tx.identity_merged_keys(key)?);
    }
    let data = ended.view(ledger.organization_id);
    ledger.append(tx, name::IDENTITY_ENDED, ended, &data)
}

/// The app sees a user as these facts say, for the first time or otherwise than before.
pub(in crate::service) fn account_seen(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    directory_id: &str,
    user_id: &str,
    facts: &Facts,
) -> Result<(), StoreError> {
    if !account_changed(tx, ledger, user_id, facts)? {
        arrive(tx, ledger, (directory_id, user_id), facts, Holders::Present)?;
    }
    Ok(())
}

/// A user who was there before the organization kept identities. Those whom SCIM had deleted by then are
/// somebody, too: who of them has left something active elsewhere is orphaned access.
pub(super) fn account_found(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    directory_id: &str,
    user_id: &str,
    facts: &Facts,
) -> Result<(), StoreError> {
    if !account_changed(tx, ledger, user_id, facts)? {
        arrive(tx, ledger, (directory_id, user_id), facts, Holders::AlsoDeparted)?;
    }
    Ok(())
}

/// Brings an account to these facts; false when the user has none.
pub(in crate::service) fn account_changed(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    user_id: &str,
    facts: &Facts,
) -> Result<bool, StoreError> {
    let Some(known) = tx.identity_account_get(ledger.directory_key, user_id)? else {
        return Ok(false);
    };
    if !facts.are_those_of(&known) {
        change(tx, ledger, &known, facts)?;
    }
    Ok(true)
}

/// A user of another directory is one of the ledger's, and the same account of the same identity.
pub(in crate::service) fn account_handed_over(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    (from_key, directory_id): (i64, &str),
    user_id: &str,
    facts: &Facts,
) -> Result<(), StoreError> {
    let directory_key = ledger.directory_key;
    let Some(known) = tx.identity_account_get(from_key, user_id)? else { return Ok(()) };
    let before = load(tx, ledger.scope, known.identity_key)?;
    tx.hand_over_account((from_key, directory_key), user_id)?;
    let directory_id = directory_id.to_owned();
    let moved = AccountRow { directory_key, directory_id, ..known.clone() };
    let with_account = |new: &AccountRow| -> Vec<AccountRow> {
        let is_it = |account: &AccountRow| *account == known;
        let accounts = before.accounts.iter();
        accounts.map(|account| if is_it(account) { new.clone() } else { account.clone() }).collect()
    };
    let after = Person { accounts: with_account(&with(&moved, facts)), ..before.clone() };
    let stored = with_account(&moved);
    update(tx, ledger, &before, after, &stored)
}

/// A user is gone for the app and in SCIM.
pub(in crate::service) fn account_gone(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    user_id: &str,
) -> Result<(), StoreError> {
    let directory_key = ledger.directory_key;
    let Some(gone) = tx.identity_account_get(directory_key, user_id)? else { return Ok(()) };
    let before = load(tx, ledger.scope, gone.identity_key)?;
    tx.suggestion_pass_on(directory_key, user_id)?;
    tx.identity_account_delete(directory_key, user_id)?;
    let mut after = before.clone();
    after.accounts.retain(|account| *account != gone);
    if !after.accounts.is_empty() {
        tx.identity_past_put(&gone)?;
        after.past.push(directory_key);
        let stored = after.accounts.clone();
        return update(tx, ledger, &before, after, &stored);
    }
    store(tx, ledger, &before, &mut after, &[])?;
    end(tx, ledger, &after)
}

/// The account as it is with these facts.
fn with(account: &AccountRow, facts: &Facts) -> AccountRow {
    let Facts { active, email, email_key, name_key, profile, departed } = facts.clone();
    AccountRow { active, email, email_key, name_key, profile, departed, ..account.clone() }
}

fn change(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    known: &AccountRow,
    facts: &Facts,
) -> Result<(), StoreError> {
    let before = load(tx, ledger.scope, known.identity_key)?;
    let mut after = before.clone();
    let new = with(known, facts);
    for account in after.accounts.iter_mut().filter(|account| *account == known) {
        account.clone_from(&new);
    }
    update(tx, ledger, &before, after, &before.accounts)?;
    match (&new.email_key, &new.name_key) == (&known.email_key, &known.name_key) {
        true => Ok(()),
        false => suggest(tx, ledger, &new),
    }
}

fn arrive(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    (directory_id, user_id): (&str, &str),
    facts: &Facts,
    holders: Holders,
) -> Result<(), StoreError> {
    let organization_key = ledger.scope.organization_key;
    let plain = AccountRow {
        directory_key: ledger.directory_key,
        directory_id: directory_id.to_owned(),
        user_id: user_id.to_owned(),
        identity_key: 0,
        active: facts.active,
        orphaned: false,
        email: None,
        email_key: None,
        name_key: None,
        profile: String::new(),
        linked_by: "first".to_owned(),
        departed: false,
        linked: ledger.now,
    };
    let mut account = with(&plain, facts);
    if let Some((before, linked_by)) = find(tx, ledger, facts, holders)? {
        account.identity_key = before.row.key;
        account.linked_by = linked_by.to_owned();
        tx.identity_account_insert(organization_key, &account)?;
        let mut after = before.clone();
        after.accounts.push(account);
        let stored = after.accounts.clone();
        return update(tx, ledger, &before, after, &stored);
    }
    let mut person = begin(tx, ledger, account)?;
    for account in &mut person.accounts {
        tx.identity_account_insert(organization_key, account)?;
    }
    tell_created(tx, ledger, &person)?;
    person.accounts.iter().try_for_each(|account| suggest(tx, ledger, account))
}

/// A new person with that account, whose row is not stored yet.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    account: AccountRow,
) -> Result<Person, StoreError> {
    let mut person = Person {
        row: IdentityRow {
            key: 0,
            id: ledger.ids.next("identity"),
            state: IdentityState::Active,
            profile: "{}".to_owned(),
            merged_into: None,
            created: ledger.now,
            modified: ledger.now,
        },
        accounts: vec![account],
        past: Vec::new(),
    };
    person.derive(ledger.scope.primary);
    let key = tx.identity_insert(ledger.scope.organization_key, &person.row)?;
    person.row.key = key;
    for account in &mut person.accounts {
        account.identity_key = key;
    }
    Ok(person)
}

pub(super) fn tell_created(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    person: &Person,
) -> Result<(), StoreError> {
    let data = person.view(ledger.organization_id);
    ledger.append(tx, name::IDENTITY_CREATED, person, &data)
}

/// The identity that an arriving account belongs to, and why.
fn find(
    tx: &mut Tx<'_>,
    ledger: &Ledger<'_>,
    facts: &Facts,
    holders: Holders,
) -> Result<Option<(Person, &'static str)>, StoreError> {
    let (Some(email), Some(domain)) = (facts.email_key.as_deref(), facts.domain()) else {
        return Ok(None);
    };
    let Scope { organization_key, primary } = ledger.scope;
    let is_here = |account: &AccountRow| account.directory_key == ledger.directory_key;
    if tx.domain_verified(organization_key, domain)?
        && let [holder] = tx.identity_holders(organization_key, email, primary, holders)?.as_slice()
        && may_link(*holder, ledger.directory_key, primary)
        && let Some(person) = with_room(tx, ledger.scope, holder.identity_key)?
        // To its directory it is another one: the address may have been given to somebody else.
        && !person.accounts.iter().any(is_here)
    {
        return Ok(Some((person, "email")));
    }
    let Some(alias) = tx.alias_get(organization_key, email)? else { return Ok(None) };
    let key = merged_into(tx, alias.identity_key)?;
    Ok(with_room(tx, ledger.scope, key)?.map(|person| (person, "alias")))
}

/// The other account is in the primary directory, or neither is; and it has the address for certain.
fn may_link(holder: Holder, directory_key: i64, primary: Option<i64>) -> bool {
    !holder.waits() && (holder.is_in_primary() || primary != Some(directory_key))
}

/// The identity, if another account can be linked to it.
fn with_room(tx: &mut Tx<'_>, scope: Scope, key: i64) -> Result<Option<Person>, StoreError> {
    let person = load(tx, scope, key)?;
    let is_open = !person.accounts.is_empty() && person.accounts.len() < MAX_ACCOUNTS;
    Ok(is_open.then_some(person))
}

/// The identity that has the accounts of this one: itself, unless it was merged.
pub(super) fn merged_into(tx: &mut Tx<'_>, key: i64) -> Result<i64, StoreError> {
    let mut at = key;
    while let Some(into) = tx.identity_by_key(at)?.and_then(|row| row.merged_into) {
        at = into;
    }
    Ok(at)
}

/// Suggests identities that may be the same person.
pub(super) fn suggest(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    account: &AccountRow,
) -> Result<(), StoreError> {
    let of = Suggested {
        organization_key: ledger.scope.organization_key,
        directory_key: account.directory_key,
        user_id: &account.user_id,
        identity_key: account.identity_key,
    };
    let email = account.email_key.as_deref().map(|key| (Same::Email(key), "email"));
    let name = account.name_key.as_deref().map(|key| (Same::Name(key), "name"));
    for (same, reason) in email.into_iter().chain(name) {
        for candidate in tx.identity_candidates(of, same, MAX_SUGGESTED)? {
            let id = ledger.ids.next("identity_suggestion");
            tx.suggestion_insert(of, candidate, &id, reason, ledger.now)?;
        }
    }
    Ok(())
}
