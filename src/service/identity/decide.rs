//! What people decide: whether a suggestion holds, and which addresses are a person's.

use serde::Deserialize;
use serde_json::{Value, json};

use super::link::{Ledger, end, load, merged_into, store};
use super::person::Person;
use super::{MAX_ACCOUNTS, Scope, organization, switched_off};
use crate::clock::Ids;
use crate::event::name;
use crate::scim::key::{instant_text, text_key};
use crate::service::error::AdminError;
use crate::service::exchange::Listed;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::Tx;
use crate::store::identity::{AccountRow, IdentityState};
use crate::store::identity_suggestion::{AliasRow, MoveRow, Suggested, SuggestionRow};

/// Aliases of an identity.
const MAX_ALIASES: usize = 50;

/// Accounts that are suggested because of an alias.
const MAX_SUGGESTED: i64 = 10;

const MAX_EMAIL_BYTES: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They are the same person: the identity of the account is merged into the other one.
    Accept,
    Reject,
    /// As it was before the decision.
    Undo,
}

impl Decision {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Undo => "undo",
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAlias {
    pub email: String,
}

fn missing() -> ServiceError {
    AdminError::not_found("The suggestion").into()
}

fn conflict(code: &'static str, message: &str) -> ServiceError {
    AdminError::new(409, code, message).into()
}

pub(super) fn suggestion_view(
    tx: &mut Tx<'_>,
    organization_id: &str,
    row: &SuggestionRow,
) -> Result<Value, ServiceError> {
    let account = tx.identity_account_get(row.directory_key, &row.user_id)?;
    let own = match &account {
        Some(account) => tx.identity_by_key(account.identity_key)?.map(|own| own.id),
        None => None,
    };
    Ok(json!({
        "object": "identity_suggestion",
        "id": row.id,
        "organization_id": organization_id,
        "state": row.state,
        "reason": row.reason,
        "account": {
            "directory_id": row.directory_id,
            "user_id": row.user_id,
            "email": account.and_then(|account| account.email),
            "identity_id": own,
        },
        "identity_id": row.identity_id,
        "created_at": instant_text(row.created),
        "decided_at": row.decided.map(instant_text),
    }))
}

pub(super) fn alias_view(identity_id: &str, row: &AliasRow) -> Value {
    json!({
        "object": "identity_alias",
        "identity_id": identity_id,
        "email": row.email,
        "created_at": instant_text(row.created),
    })
}

impl Service {
    /// Decides about a suggestion and answers it as it is then.
    pub async fn suggestion_decide(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        id: &str,
        decision: Decision,
    ) -> Result<Value, ServiceError> {
        let (access, wanted, id) = (access.clone(), organization_id.to_owned(), id.to_owned());
        let (ids, now) = (self.clock.ids(), self.clock.now_ms());
        let decided: Value = self
            .store
            .write("identity_decide", move |tx| {
                let organization = organization(tx, &access, &wanted)?;
                let scope = Scope::lock(tx, organization.key)?.ok_or_else(switched_off)?;
                let row = tx.suggestion_get(organization.key, &id)?.ok_or_else(missing)?;
                let (mut ids, mut event_ids) = (ids.clone(), Listed::default());
                let ledger = Ledger {
                    scope,
                    directory_key: row.directory_key,
                    organization_id: &organization.id,
                    ids: &mut ids,
                    event_ids: &mut event_ids,
                    now,
                };
                let decided = decide(tx, ledger, row, decision)?;
                suggestion_view(tx, &organization.id, &decided)
            })
            .await?;
        self.identity_metrics.decided(decision);
        Ok(decided)
    }

    /// Confirms that an address is a person's. Accounts that arrive with it are linked to the identity;
    /// those that others have are suggested.
    pub async fn alias_create(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        identity_id: &str,
        new: NewAlias,
    ) -> Result<Value, ServiceError> {
        check_email(&new.email)?;
        let (access, organization_id) = (access.clone(), organization_id.to_owned());
        let (identity_id, ids, now) =
            (identity_id.to_owned(), self.clock.ids(), self.clock.now_ms());
        self.store
            .write("identity_alias", move |tx| {
                let organization = organization(tx, &access, &organization_id)?;
                Scope::lock(tx, organization.key)?.ok_or_else(switched_off)?;
                let key = living(tx, organization.key, &identity_id)?;
                let row = AliasRow {
                    identity_key: key,
                    email: new.email.trim().to_owned(),
                    email_key: text_key(&new.email, false),
                    created: now,
                };
                let stored = alias_put(tx, organization.key, row, &mut ids.clone(), now)?;
                Ok(alias_view(&identity_id, &stored))
            })
            .await
    }

    pub async fn alias_delete(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        identity_id: &str,
        email: &str,
    ) -> Result<(), ServiceError> {
        let (access, organization_id) = (access.clone(), organization_id.to_owned());
        let (identity_id, email) = (identity_id.to_owned(), text_key(email, false));
        self.store
            .write("identity_alias", move |tx| {
                let organization = organization(tx, &access, &organization_id)?;
                Scope::lock(tx, organization.key)?.ok_or_else(switched_off)?;
                let row = tx.identity_get(organization.key, &identity_id)?;
                let row = row.ok_or_else(|| AdminError::not_found("The identity"))?;
                match tx.alias_delete(row.key, &email)? {
                    true => Ok(()),
                    false => Err(AdminError::not_found("The alias").into()),
                }
            })
            .await
    }
}

fn check_email(email: &str) -> Result<(), AdminError> {
    let trimmed = email.trim();
    let is_address = trimmed.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !trimmed.contains(char::is_whitespace)
    });
    if !is_address || trimmed.len() > MAX_EMAIL_BYTES || trimmed.chars().any(char::is_control) {
        let shown: String = email.chars().filter(|c| !c.is_control()).take(80).collect();
        let message = format!(
            "it is \"{shown}\"; allowed is an e-mail address of at most {MAX_EMAIL_BYTES} bytes."
        );
        return Err(AdminError::invalid("email", message));
    }
    Ok(())
}

/// The key of an identity that has accounts.
fn living(tx: &mut Tx<'_>, organization_key: i64, id: &str) -> Result<i64, ServiceError> {
    let row = tx.identity_get(organization_key, id)?;
    let row = row.ok_or_else(|| AdminError::not_found("The identity"))?;
    match row.state {
        IdentityState::Active | IdentityState::Inactive => Ok(row.key),
        IdentityState::Ended => {
            Err(conflict("identity_ended", "The identity has ended and is never matched again."))
        }
        IdentityState::Merged => Err(conflict(
            "identity_merged",
            "The identity was merged into another one; use that one, or undo the suggestion.",
        )),
    }
}

fn alias_put(
    tx: &mut Tx<'_>,
    organization_key: i64,
    row: AliasRow,
    ids: &mut Ids,
    now: i64,
) -> Result<AliasRow, ServiceError> {
    match tx.alias_get(organization_key, &row.email_key)? {
        Some(known) if known.identity_key == row.identity_key => return Ok(known),
        Some(_) => {
            let message =
                "Another identity of the organization has this alias; delete it there first.";
            return Err(conflict("alias_in_use", message));
        }
        None => {}
    }
    if tx.alias_list(row.identity_key)?.len() >= MAX_ALIASES {
        let message = format!("An identity has {MAX_ALIASES} aliases at most.");
        return Err(conflict("too_many_aliases", &message));
    }
    tx.alias_insert(organization_key, &row)?;
    let others = tx.identity_users_by_email(
        organization_key,
        &row.email_key,
        row.identity_key,
        MAX_SUGGESTED,
    )?;
    for (directory_key, user_id, identity_key) in others {
        let of = Suggested { organization_key, directory_key, user_id: &user_id, identity_key };
        let id = ids.next("identity_suggestion");
        tx.suggestion_insert(of, row.identity_key, &id, "alias", now)?;
    }
    Ok(row)
}

fn decide(
    tx: &mut Tx<'_>,
    mut ledger: Ledger<'_>,
    mut row: SuggestionRow,
    decision: Decision,
) -> Result<SuggestionRow, ServiceError> {
    let now = ledger.now;
    match (decision, row.state.as_str()) {
        (Decision::Undo, "open") => {
            return Err(conflict("suggestion_open", "Nothing was decided about this suggestion."));
        }
        (Decision::Accept | Decision::Reject, state) if state != "open" => {
            let message = format!("The suggestion is {state}; undo that first.");
            return Err(conflict("suggestion_decided", &message));
        }
        (Decision::Undo, "accepted") => {
            let left_over = separate(tx, &mut ledger, &row)?;
            row = open(row);
            tx.suggestion_decide(&row)?;
            if let Some(ended) = left_over {
                end(tx, &mut ledger, &ended)?;
            }
            return Ok(row);
        }
        (Decision::Undo, _) => row = open(row),
        (Decision::Reject, _) => {
            row = SuggestionRow { state: "rejected".into(), decided: Some(now), ..row };
        }
        (Decision::Accept, _) => row = merge(tx, &mut ledger, row)?,
    }
    tx.suggestion_decide(&row)?;
    Ok(row)
}

fn open(row: SuggestionRow) -> SuggestionRow {
    SuggestionRow {
        state: "open".into(),
        from_key: None,
        into_key: None,
        into_root_key: None,
        decided: None,
        ..row
    }
}

/// Moves every account of the one identity to the other.
fn merge(
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
    let (source, target) = (load(tx, from)?, load(tx, into)?);
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
    let mut merged = Person { row: source.row.clone(), accounts: Vec::new() };
    merged.row.merged_into = Some(into);
    store(tx, ledger, &source, &mut merged, &[])?;
    let mut after = target.clone();
    after.accounts.extend(source.accounts.iter().map(|account| AccountRow {
        identity_key: into,
        linked_by: "suggestion".into(),
        ..account.clone()
    }));
    let primary = ledger.scope.primary;
    if primary.is_some() && source.row.root_key == primary {
        after.row.root_key = primary;
    }
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
        into_root_key: target.row.root_key,
        decided: Some(ledger.now),
        ..row
    })
}

/// Takes back what [`merge`] has done with the accounts that are still there. Answers the other identity
/// if it has none left.
fn separate(
    tx: &mut Tx<'_>,
    ledger: &mut Ledger<'_>,
    row: &SuggestionRow,
) -> Result<Option<Person>, ServiceError> {
    let (Some(from), Some(into)) = (row.from_key, row.into_key) else { return Err(missing()) };
    let moves = tx.identity_moves(&row.id)?;
    if moves.is_empty() {
        let message = "None of the accounts that the suggestion has moved is there any more.";
        return Err(conflict("nothing_to_undo", message));
    }
    let (target, source) = (load(tx, into)?, load(tx, from)?);
    let moved = |account: &AccountRow| {
        let is_it = |moved: &&MoveRow| {
            moved.directory_key == account.directory_key && moved.user_id == account.user_id
        };
        moves.iter().find(is_it)
    };
    let (gone, left): (Vec<AccountRow>, Vec<AccountRow>) =
        target.accounts.iter().cloned().partition(|account| moved(account).is_some());
    if gone.len() != moves.len() {
        let message = "A later suggestion has moved the accounts on; undo that one first.";
        return Err(conflict("superseded", message));
    }
    tx.identity_moves_delete(&row.id)?;
    let mut again = Person { row: source.row.clone(), accounts: Vec::new() };
    again.row.merged_into = None;
    again.accounts.extend(gone.iter().map(|account| AccountRow {
        identity_key: from,
        linked_by: moved(account).map_or_else(String::new, |moved| moved.linked_by.clone()),
        ..account.clone()
    }));
    store(tx, ledger, &source, &mut again, &gone)?;
    let mut after = Person { row: target.row.clone(), accounts: left };
    after.row.root_key = row.into_root_key;
    let told = store(tx, ledger, &target, &mut after, &target.accounts)?;
    let mut data = told.unwrap_or_default();
    if let Some(object) = data.as_object_mut() {
        object.insert("unmerged_identity".into(), again.view(ledger.organization_id));
    }
    ledger.append(tx, name::IDENTITY_UNMERGED, &after, &data)?;
    Ok(after.accounts.is_empty().then_some(after))
}
