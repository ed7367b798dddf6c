//! The primary directory of an organization: which one it is, and what would follow from another one.

use serde::Deserialize;
use serde_json::{Value, json};

use super::person::Person;
use super::{Scope, organization};
use crate::service::administer::present;
use crate::service::audit::{Entry, Target, action};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::identity::IdentityState;
use crate::store::identity_account::AccountRow;
use crate::store::organization::OrganizationRow;
use crate::store::{StoreError, Tx};

/// Identities read at a time for a diff.
const CHUNK: i64 = 1_000;

/// Identities that a diff shows.
const SHOWN: usize = 100;

/// Kinds of directories, without what stands before the dot, that issue no tokens to log in with.
const NO_IDENTITY_PROVIDERS: [&str; 7] =
    ["rippling", "github", "workday", "bamboohr", "personio", "hibob", "csv"];

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrimaryChange {
    /// Null for none.
    #[serde(default, deserialize_with = "present")]
    pub directory_id: Option<Option<String>>,
    /// Only says what would follow.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a primary directory would change.
#[derive(Default)]
struct Diff {
    changed: u64,
    activated: u64,
    deactivated: u64,
    /// Accounts that would be orphaned access, and that would be so no longer.
    orphaned: u64,
    adopted: u64,
    examples: Vec<Value>,
}

impl Diff {
    fn note(&mut self, before: &Person, after: &Person) {
        let orphans =
            |accounts: &[AccountRow]| accounts.iter().filter(|account| account.orphaned).count();
        let (old, new) = (orphans(&before.accounts), orphans(&after.accounts));
        self.orphaned += u64::try_from(new.saturating_sub(old)).unwrap_or(0);
        self.adopted += u64::try_from(old.saturating_sub(new)).unwrap_or(0);
        if (before.row.state, &before.row.profile) == (after.row.state, &after.row.profile) {
            return;
        }
        self.changed += 1;
        match (before.row.state, after.row.state) {
            (IdentityState::Active, IdentityState::Inactive) => self.deactivated += 1,
            (IdentityState::Inactive, IdentityState::Active) => self.activated += 1,
            _ => {}
        }
        if self.examples.len() < SHOWN {
            let profile = |person: &Person| -> Value {
                serde_json::from_str(&person.row.profile).unwrap_or_default()
            };
            self.examples.push(json!({
                "identity_id": before.row.id,
                "from": {"state": before.row.state.as_str(), "profile": profile(before)},
                "to": {"state": after.row.state.as_str(), "profile": profile(after)},
                "orphaned_accounts": new,
            }));
        }
    }

    fn to_value(&self) -> Value {
        json!({
            "identities": self.changed,
            "activated": self.activated,
            "deactivated": self.deactivated,
            "orphaned_accounts": self.orphaned,
            "no_longer_orphaned_accounts": self.adopted,
            "examples": self.examples,
        })
    }
}

/// What is wrong with a directory of that kind as the primary one.
fn warning(kind: &str) -> Option<String> {
    let source = kind.rsplit('.').next().unwrap_or(kind);
    NO_IDENTITY_PROVIDERS.contains(&source).then(|| {
        format!(
            "A directory of the kind {kind} issues no tokens: people do not log in with it. Make the \
             directory of the identity provider the primary one."
        )
    })
}

/// The primary directory of an organization, and how far its identities are.
fn view(tx: &mut Tx<'_>, row: &OrganizationRow) -> Result<Value, StoreError> {
    let scope = tx.identity_scope(row.key)?;
    let identities = match &scope {
        None => "off",
        Some(_) if tx.identity_pending()?.contains(&row.key) => "building",
        Some(_) => "on",
    };
    let primary = match scope.and_then(|scope| scope.primary_key) {
        Some(key) => tx.directory_by_key(key)?,
        None => None,
    };
    Ok(json!({
        "organization_id": row.id,
        "directory_id": primary.as_ref().map(|directory| &directory.id),
        "identities": identities,
        "warning": primary.as_ref().and_then(|directory| warning(&directory.kind)),
    }))
}

/// Key and kind of the directory that is to be the primary one.
fn chosen(
    tx: &mut Tx<'_>,
    row: &OrganizationRow,
    id: Option<&str>,
) -> Result<Option<(i64, String)>, ServiceError> {
    let Some(id) = id else { return Ok(None) };
    let found = tx.directory_get(id)?;
    let found = found.filter(|found| found.organization_id == row.id && found.state != "deleting");
    match found {
        Some(found) => Ok(Some((found.key, found.kind))),
        None => {
            let id: String = id.chars().take(80).collect();
            let message = format!("it is \"{id}\", which is no directory of the organization.");
            Err(AdminError::invalid("directory_id", message).into())
        }
    }
}

/// From now on the organization keeps identities. Every unit of its directories that does not know it
/// yet is refused. False when it keeps some by now: the unit is to end, and to let the organization go for
/// which those wait that make identities.
fn switch_on(tx: &mut Tx<'_>, id: &str, now: i64) -> Result<bool, ServiceError> {
    // Nobody adds a directory meanwhile that would not know it either.
    let Some(row) = tx.organization_lock_whole(id)? else {
        return Err(AdminError::not_found("The organization").into());
    };
    if tx.identity_scope(row.key)?.is_some() {
        return Ok(false);
    }
    for key in tx.directory_keys_of(row.key)? {
        if tx.directory_lock_exclusive(key)?.is_some_and(|state| state != "deleting") {
            tx.directory_rules_changed(key)?;
            tx.identity_walk_insert(key, row.key)?;
        }
    }
    tx.identity_scope_insert(row.key, now)?;
    Ok(true)
}

/// Stores the primary directory; `None` when the unit is to be run once more.
fn put(
    tx: &mut Tx<'_>,
    access: &ApiAccess,
    id: &str,
    wanted: Option<&str>,
    now: i64,
    audit: &Entry,
) -> Result<Option<Value>, ServiceError> {
    let row = organization(tx, access, id)?;
    let before = view(tx, &row)?;
    if tx.identity_scope(row.key)?.is_none() && !switch_on(tx, &row.id, now)? {
        return Ok(None);
    }
    let primary = chosen(tx, &row, wanted)?;
    if let Some((key, _)) = &primary {
        // A directory that is being deleted meanwhile is seen here.
        let shared = tx.directory_share(*key)?;
        if shared.is_none_or(|shared| shared.state == "deleting") {
            chosen(tx, &row, wanted)?;
        }
    }
    let scope = Scope::lock(tx, row.key)?;
    let primary = primary.map(|(key, _)| key);
    if scope.is_some_and(|scope| scope.primary != primary) {
        tx.identity_primary_set(row.key, primary)?;
    }
    let after = view(tx, &row)?;
    let target = Target::of_organization(&row.id, &row.id, Some(&row.name));
    audit.write(tx, target, before, after.clone())?;
    Ok(Some(after))
}

impl Service {
    pub async fn primary_get(
        &self,
        access: &ApiAccess,
        organization_id: &str,
    ) -> Result<Value, ServiceError> {
        let (access, id) = (access.clone(), organization_id.to_owned());
        self.store
            .read("primary_get", move |tx| {
                let row = organization(tx, &access, &id)?;
                Ok::<_, ServiceError>(view(tx, &row)?)
            })
            .await
    }

    /// Makes a directory the primary one of its organization, or none; with `dry_run` it only says what
    /// would follow. The organization keeps identities from then on. What follows for many of them is
    /// done by [`Service::run_identities`].
    pub async fn primary_put(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        change: PrimaryChange,
    ) -> Result<Value, ServiceError> {
        let Some(wanted) = change.directory_id else {
            let message = "it is missing; send the id of a directory, or null for none.";
            return Err(AdminError::invalid("directory_id", message).into());
        };
        if change.dry_run {
            return self.primary_diff(access, organization_id, wanted).await;
        }
        let now = self.clock.now_ms();
        let answer = loop {
            let (key, id, wanted) = (access.clone(), organization_id.to_owned(), wanted.clone());
            let audit = self.audit(access, action::PRIMARY_DIRECTORY_CHANGED);
            let write = self
                .store
                .write("primary_put", move |tx| put(tx, &key, &id, wanted.as_deref(), now, &audit));
            let stored: Option<Value> = self.locking(access, organization_id, write).await?;
            if let Some(answer) = stored {
                break answer;
            }
        };
        self.forget_access();
        self.identity_work.notify_one();
        Ok(answer)
    }

    async fn primary_diff(
        &self,
        access: &ApiAccess,
        organization_id: &str,
        wanted: Option<String>,
    ) -> Result<Value, ServiceError> {
        let (access, id) = (access.clone(), organization_id.to_owned());
        let (key, primary, mut answer): (i64, Option<(i64, String)>, Value) = self
            .store
            .read("primary_diff", {
                let wanted = wanted.clone();
                move |tx| {
                    let row = organization(tx, &access, &id)?;
                    let primary = chosen(tx, &row, wanted.as_deref())?;
                    Ok::<_, ServiceError>((row.key, primary, view(tx, &row)?))
                }
            })
            .await?;
        let (primary, kind) = primary.unzip();
        let (mut diff, mut after) = (Diff::default(), 0);
        loop {
            let chunk: Result<Vec<Person>, StoreError> =
                self.store.scan("primary_diff", move |tx| people(tx, key, after, CHUNK)).await;
            let chunk = chunk?;
            for before in &chunk {
                let mut person = before.clone();
                person.derive(primary);
                diff.note(before, &person);
            }
            match chunk.last() {
                Some(last) => after = last.row.key,
                None => break,
            }
        }
        if let Some(object) = answer.as_object_mut() {
            object.insert("directory_id".into(), wanted.into());
            object.insert("warning".into(), kind.as_deref().and_then(warning).into());
            object.insert("dry_run".into(), true.into());
            object.insert("diff".into(), diff.to_value());
        }
        Ok(answer)
    }
}

/// The next identities of an organization by key.
pub(super) fn people(
    tx: &mut Tx<'_>,
    organization_key: i64,
    after: i64,
    limit: i64,
) -> Result<Vec<Person>, StoreError> {
    let rows = tx.identity_chunk(organization_key, after, limit)?;
    let keys: Vec<i64> = rows.iter().map(|row| row.key).collect();
    let mut accounts = tx.identity_accounts(&keys)?.into_iter().peekable();
    let mut all = tx.identity_past(&keys)?.into_iter().peekable();
    let people = rows.into_iter().map(|row| {
        let mut own = Vec::new();
        while let Some(account) = accounts.next_if(|account| account.identity_key == row.key) {
            own.push(account);
        }
        let mut past = Vec::new();
        while let Some((_, directory_key)) = all.next_if(|(identity, _)| *identity == row.key) {
            past.push(directory_key);
        }
        Person { row, accounts: own, past }
    });
    Ok(people.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_issues_no_tokens_is_named() {
        for kind in ["scim.rippling", "pull.github", "pull.workday"] {
            assert!(warning(kind).is_some_and(|text| text.contains(kind)), "{kind}");
        }
        for kind in ["scim.okta", "scim.entra", "scim.generic", "pull.google"] {
            assert_eq!(warning(kind), None, "{kind}");
        }
    }
}
