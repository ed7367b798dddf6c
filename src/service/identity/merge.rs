//! Two identities become one and apart again, and an account that is somebody else's gets a person of its
//! own.

use std::collections::HashSet;

use super::MAX_ACCOUNTS;
use super::decide::{conflict, missing};
use super::link::{Ledger, begin, load, merged_into, past, store, suggest, tell_created, update};
use super::person::Person;
use crate::event::name;
use crate::service::ServiceError;
use crate::service::error::AdminError;
use crate::store::Tx;
use crate::store::identity_account::AccountRow;
use crate::store::identity_suggestion::{MoveRow, Suggested, SuggestionRow};

/// Moves every account of the one identity to the other.
pub(super) fn merge(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    row: SuggestionRow,
) -> Result<SuggestionRow, ServiceError> {
    let account = tx.identity_account_get(row.directory_key, &row.user_id)?;
    let from = account.ok_or_else(missing)?.identity_key;
    let into = merged_into(tx, row.identity_key)?;
    if from == into {
        let message = "Both are one identity already; reject the suggestion.";
        return Err(conflict("already_merged", message));
    }
    let (source, target) = (load(tx, ledger.scope, from)?, load(tx, ledger.scope, into)?);
    if target.accounts.is_empty() {
        let message = "The other identity has ended and is never matched again.";
        return Err(conflict("identity_ended", message));
    }
    if source.accounts.len() + target.accounts.len() > MAX_ACCOUNTS {
        let message = format!("Together they have more than {MAX_ACCOUNTS} accounts.");
        return Err(conflict("too_many_accounts", &message));
    }
    for account in &source.accounts {
        let moved = MoveRow {
            directory_key: account.directory_key,
            user_id: account.user_id.clone(),
            linked_by: account.linked_by.clone(),
        };
        tx.identity_move_insert(&row.id, &moved)?;
    }
    tx.identity_past_merge(&row.id, from, into)?;
    let mut merged = Person { accounts: Vec::new(), past: Vec::new(), ..source.clone() };
    merged.row.merged_into = Some(into);
    store(tx, ledger, &source, &mut merged, &[])?;
    let mut after = target.clone();
    after.accounts.extend(source.accounts.iter().map(|account| AccountRow {
        identity_key: into,
        linked_by: "suggestion".into(),
        ..account.clone()
    }));
    after.past.extend(&source.past);
    let stored: Vec<AccountRow> = source.accounts.iter().chain(&target.accounts).cloned().collect();
    let told = store(tx, ledger, &target, &mut after, &stored)?;
    let mut data = told.unwrap_or_default();
    if let Some(object) = data.as_object_mut() {
        object.insert("merged_identity_id".into(), source.row.id.clone().into());
    }
    ledger.append(tx, name::IDENTITY_MERGED, &after, &data)?;
    Ok(SuggestionRow {
        state: "accepted".into(),
        from_key: Some(from),
        into_key: Some(into),
        own_id: Some(after.row.id),
        decided: Some(ledger.now),
        ..row
    })
}

/// The two persons after a merge was taken back.
pub(super) struct Apart {
    /// The one whose accounts had been moved.
    pub(super) again: Person,
    /// The other one, which may have none left.
    pub(super) after: Person,
}

/// Takes back what [`merge`] has done with the accounts that are still there. Who arrived since and was
/// linked because of what had moved goes along.
pub(super) fn separate(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    row: &SuggestionRow,
) -> Result<Apart, ServiceError> {
    let (Some(from), Some(into)) = (row.from_key, row.into_key) else { return Err(missing()) };
    let moves = tx.identity_moves(&row.id)?;
    if moves.is_empty() {
        let message = "None of the accounts that the suggestion has moved is there any more.";
        return Err(conflict("nothing_to_undo", message));
    }
    let (target, source) = (load(tx, ledger.scope, into)?, load(tx, ledger.scope, from)?);
    let moved = |account: &AccountRow| {
        let is_it = |moved: &&MoveRow| {
            moved.directory_key == account.directory_key && moved.user_id == account.user_id
        };
        moves.iter().find(is_it)
    };
    let (gone, rest): (Vec<AccountRow>, Vec<AccountRow>) =
        target.accounts.iter().cloned().partition(|account| moved(account).is_some());
    if gone.len() != moves.len() {
        let message = "A later suggestion has moved the accounts on; undo that one first.";
        return Err(conflict("superseded", message));
    }
    let aliases = tx.alias_list(from)?.into_iter().map(|alias| alias.email_key).collect();
    let (came, left) = came_since(row.decided, &gone, &aliases, rest);
    tx.identity_past_separate(&row.id, from, into)?;
    tx.identity_moves_delete(&row.id)?;
    let mut again = Person { past: past(tx, ledger.scope, from)?, ..source.clone() };
    again.row.merged_into = None;
    again.accounts = gone
        .iter()
        .chain(&came)
        .map(|account| AccountRow {
            identity_key: from,
            linked_by: moved(account).map_or(&account.linked_by, |moved| &moved.linked_by).clone(),
            ..account.clone()
        })
        .collect();
    store(tx, ledger, &source, &mut again, &[])?;
    let past = past(tx, ledger.scope, into)?;
    let mut after = Person { row: target.row.clone(), accounts: left, past };
    let told = store(tx, ledger, &target, &mut after, &target.accounts)?;
    let mut data = told.unwrap_or_default();
    if let Some(object) = data.as_object_mut() {
        object.insert("unmerged_identity".into(), again.view(ledger.organization_id));
    }
    ledger.append(tx, name::IDENTITY_UNMERGED, &after, &data)?;
    Ok(Apart { again, after })
}

/// Of the accounts that were not moved those that were linked since the decision because of an address of
/// one that was, or of an alias that goes back; and the others.
fn came_since(
    decided: Option<i64>,
    gone: &[AccountRow],
    aliases: &HashSet<String>,
    rest: Vec<AccountRow>,
) -> (Vec<AccountRow>, Vec<AccountRow>) {
    let since = |account: &AccountRow| decided.is_some_and(|decided| account.linked >= decided);
    // With an address that the other one has by itself nobody knows.
    let own: HashSet<String> = rest
        .iter()
        .filter(|account| !(since(account) && account.linked_by == "email"))
        .filter_map(|account| account.email_key.clone())
        .collect();
    let moved: HashSet<&str> = gone.iter().filter_map(|a| a.email_key.as_deref()).collect();
    rest.into_iter().partition(|account| {
        let Some(key) = account.email_key.as_deref().filter(|_| since(account)) else {
            return false;
        };
        match account.linked_by.as_str() {
            "email" => moved.contains(key) && !own.contains(key),
            "alias" => aliases.contains(key),
            _ => false,
        }
    })
}

/// Makes an account of an identity a person of its own, and notes that the two are not the same.
pub(super) fn unlink(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    key: i64,
    user_id: &str,
) -> Result<Person, ServiceError> {
    let before = load(tx, ledger.scope, key)?;
    let found = before.accounts.iter().find(|account| account.user_id == user_id);
    let found = found.ok_or_else(|| AdminError::not_found("The account of the identity"))?;
    if before.accounts.len() == 1 {
        return Err(conflict("only_account", "The identity has no other account."));
    }
    ledger.directory_key = found.directory_key;
    tx.suggestion_pass_on(found.directory_key, user_id)?;
    tx.identity_move_forget(found.directory_key, user_id)?;
    let mut after = before.clone();
    after.accounts.retain(|account| account != found);
    update(tx, ledger, &before, after, &before.accounts)?;
    let own = AccountRow { linked_by: "first".into(), orphaned: false, ..found.clone() };
    let alone = begin(tx, ledger, own)?;
    for account in &alone.accounts {
        tx.identity_account_update(account)?;
        let of = Suggested {
            organization_key: ledger.scope.organization_key,
            directory_key: account.directory_key,
            user_id,
            identity_key: alone.row.key,
        };
        let id = ledger.ids.next("identity_suggestion");
        tx.suggestion_reject(of, key, &id, "unlink", ledger.now)?;
    }
    tell_created(tx, ledger, &alone)?;
    for account in &alone.accounts {
        suggest(tx, ledger, account)?;
    }
    Ok(alone)
}
