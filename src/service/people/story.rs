//! The story of a person: the accounts, the groups, and what has changed, newest first, with who caused it.
//!
//! Changes are the events that the app was told and the rows of the audit log; both have ids that sort by
//! time, so that they make one list. An event of a directory that is pushed has the request that caused it,
//! as long as its record is kept.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::search::PersonView;
use crate::pull::SourceKind;
use crate::scim::key::{instant_ms, instant_text};
use crate::service::administer::{ListMetadata, ListParameters};
use crate::service::audit::AuditView;
use crate::service::error::AdminError;
use crate::service::exchange::RecordQuery;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::audit::AuditFilter;
use crate::store::directory::DirectoryRow;
use crate::store::people::ToldRow;
use crate::store::resource::ResourceRow;
use crate::store::{ListRange, RangeFrom, StoreError, Tx};

/// Groups and accounts that are shown.
const SHOWN: usize = 100;

/// Request records that are looked through for the causes of one page.
const RECORDS: i64 = 200;

/// A person.
#[derive(Clone, Debug, Serialize)]
pub struct Story {
    object: &'static str,
    /// Null when the user is deleted; the changes are still told.
    pub person: Option<PersonView>,
    pub user_id: String,
    pub organization_id: String,
    pub directory_id: String,
    /// Id of the identity, where the organization keeps some.
    pub identity_id: Option<String>,
    /// Users of the same identity, this one too.
    pub accounts: Vec<PersonView>,
    /// Groups that have the user directly, at most 100.
    pub groups: Vec<PersonView>,
    /// What has changed, newest first.
    pub data: Vec<Change>,
    pub list_metadata: ListMetadata,
}

/// Something that has happened to a person.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    pub id: String,
    pub at: String,
    /// An event such as `dsync.user.updated`, or an action of the audit log.
    pub what: String,
    /// The name of the group, for memberships.
    pub group: Option<String>,
    /// Why access was taken away.
    pub reason: Option<String>,
    pub by: Cause,
    /// Of an event, `previous_attributes`; of an action, how things were before.
    pub before: Option<Value>,
    /// How things were then.
    pub after: Option<Value>,
}

/// Who or what has caused a change.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cause {
    /// `request` of an identity provider, `source` that is read, `provider` when no record of the request
    /// is kept, or the type of an actor of the audit log.
    #[serde(rename = "type")]
    pub kind: String,
    /// Id of the request or the actor.
    pub id: Option<String>,
    /// The client of the request, or the actor's name.
    pub name: Option<String>,
}

/// What one look at the database tells.
struct Told {
    directory: Option<DirectoryRow>,
    organization_id: String,
    directory_id: String,
    person: Option<PersonView>,
    identity_id: Option<String>,
    accounts: Vec<PersonView>,
    groups: Vec<PersonView>,
    changes: Vec<Change>,
}

/// What sorts ids of all kinds by time.
fn moment(id: &str) -> &str {
    id.rsplit('_').next().unwrap_or_default()
}

impl Service {
    /// The story of a user; 404 where nobody of that id was ever told of, or the key does not see it.
    pub async fn story(
        self: &Arc<Self>,
        access: &ApiAccess,
        user_id: &str,
        page: &ListParameters,
    ) -> Result<Story, ServiceError> {
        let limit = page.range()?.limit;
        if page.before.is_some() {
            let message = "a story is read from its newest change on; send \"after\".";
            return Err(AdminError::invalid("before", message).into());
        }
        let (id, key, after) = (user_id.to_owned(), access.clone(), page.after.clone());
        let told: Option<Told> = self
            .store
            .read("story", move |tx| told(tx, &key, &id, after.as_deref(), limit))
            .await
            .map_err(|error: StoreError| ServiceError::from(error))?;
        let mut told = told.ok_or_else(|| AdminError::not_found("The user"))?;
        let wanted = usize::try_from(limit - 1).unwrap_or_default();
        let more = told.changes.len() > wanted;
        told.changes.truncate(wanted);
        if let Some(directory) = &told.directory {
            self.name_causes(access, directory, user_id, &mut told.changes).await?;
        }
        let after = told.changes.last().filter(|_| more).map(|change| change.id.clone());
        Ok(Story {
            object: "story",
            person: told.person,
            user_id: user_id.to_owned(),
            organization_id: told.organization_id,
            directory_id: told.directory_id,
            identity_id: told.identity_id,
            accounts: told.accounts,
            groups: told.groups,
            data: told.changes,
            list_metadata: ListMetadata { before: None, after },
        })
    }

    /// Says of events which request has caused them.
    async fn name_causes(
        self: &Arc<Self>,
        access: &ApiAccess,
        directory: &DirectoryRow,
        user_id: &str,
        changes: &mut [Change],
    ) -> Result<(), ServiceError> {
        let events = || changes.iter().filter(|change| change.id.starts_with("event_"));
        let (Some(newest), Some(oldest)) = (events().next(), events().next_back()) else {
            return Ok(());
        };
        if SourceKind::named(&directory.kind).is_some() {
            for change in changes.iter_mut().filter(|change| change.by.kind == "provider") {
                change.by.kind = "source".to_owned();
            }
            return Ok(());
        }
        // A request is noted under the time at which it came, which is before its events.
        let around = |at: &str, by: i64| instant_ms(at).map(|ms| instant_text(ms + by));
        let query = RecordQuery {
            user: Some(user_id.to_owned()),
            since: around(&oldest.at, -60_000),
            until: around(&newest.at, 60_000),
            page: ListParameters { limit: Some(RECORDS), ..ListParameters::default() },
            ..RecordQuery::default()
        };
        let records = self.record_list(access, &directory.id, &query).await?.data;
        let text = |record: &Value, name: &str| {
            record.get(name).and_then(Value::as_str).map(str::to_owned)
        };
        let mut causes: HashMap<String, Cause> = HashMap::new();
        for record in &records {
            let ids = record.get("event_ids").and_then(Value::as_array);
            for event in ids.into_iter().flatten().filter_map(Value::as_str) {
                let (id, name) = (text(record, "id"), text(record, "client"));
                causes.insert(event.to_owned(), Cause { kind: "request".to_owned(), id, name });
            }
        }
        for change in changes {
            if let Some(cause) = causes.remove(&change.id) {
                change.by = cause;
            }
        }
        Ok(())
    }
}

fn told(
    tx: &mut Tx<'_>,
    access: &ApiAccess,
    id: &str,
    after: Option<&str>,
    limit: i64,
) -> Result<Option<Told>, StoreError> {
    let behind = |prefix: &str| ListRange {
        from: match after {
            Some(after) => RangeFrom::After(format!("{prefix}_{}", moment(after))),
            None => RangeFrom::Newest,
        },
        limit,
    };
    let events = tx.told_list(id, &behind("event"))?;
    let person = tx.person_row("User", id)?;
    let directory_key = match &person {
        Some((directory_key, _)) => Some(*directory_key),
        None => match tx.departed_locate(id)? {
            Some(directory_key) => Some(directory_key),
            // Deleted: what was told of the user says where it was.
            None => tx
                .told_list(id, &ListRange { from: RangeFrom::Newest, limit: 1 })?
                .first()
                .map(|told| told.directory_key),
        },
    };
    let Some(directory_key) = directory_key else { return Ok(None) };
    let Some(directory) = tx.directory_by_key(directory_key)? else { return Ok(None) };
    if !access.reaches(&directory.organization_id) || !id.starts_with("directory_user_") {
        return Ok(None);
    }
    let view = |row: &ResourceRow| PersonView::of(row, &directory.organization_id, &directory.id);
    let mut groups = Vec::new();
    if let Some((_, row)) = &person {
        let pairs = tx.membership_pairs(directory_key, &[row.key])?;
        let keys: Vec<i64> = pairs.iter().map(|(_, group)| *group).take(SHOWN).collect();
        groups.extend(tx.resource_rows(directory_key, &keys)?.iter().map(view));
    }
    let (identity_id, accounts) = accounts(tx, &directory, id)?;
    let mut changes: Vec<Change> = events.iter().map(of_event).collect();
    for target in [Some(id), identity_id.as_deref()].into_iter().flatten() {
        let filter = AuditFilter {
            organizations: Some(vec![directory.organization_id.clone()]),
            target_id: Some(target.to_owned()),
            ..AuditFilter::default()
        };
        let rows = tx.audit_list(&filter, &behind("audit"))?;
        changes.extend(rows.into_iter().map(|row| of_action(AuditView::from(row))));
    }
    changes.sort_by(|a, b| moment(&b.id).cmp(moment(&a.id)));
    changes.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(Some(Told {
        organization_id: directory.organization_id.clone(),
        directory_id: directory.id.clone(),
        person: person.as_ref().map(|(_, row)| view(row)),
        directory: Some(directory),
        identity_id,
        accounts,
        groups,
        changes,
    }))
}

/// The identity of a user and its accounts.
fn accounts(
    tx: &mut Tx<'_>,
    directory: &DirectoryRow,
    id: &str,
) -> Result<(Option<String>, Vec<PersonView>), StoreError> {
    let Some(account) = tx.identity_account_get(directory.key, id)? else {
        return Ok((None, Vec::new()));
    };
    let identity = tx.identity_by_key(account.identity_key)?;
    let mut views = Vec::new();
    for account in tx.identity_accounts(&[account.identity_key])?.iter().take(SHOWN) {
        if let Some((_, row)) = tx.person_row("User", &account.user_id)? {
            views.push(PersonView::of(&row, &directory.organization_id, &account.directory_id));
        }
    }
    Ok((identity.map(|identity| identity.id), views))
}

fn of_event(told: &ToldRow) -> Change {
    let mut data: Value = serde_json::from_str(&told.data).unwrap_or_default();
    let before = data.as_object_mut().and_then(|data| data.shift_remove("previous_attributes"));
    let group = data.get("group").and_then(|group| group.get("name")).and_then(Value::as_str);
    let group = group.map(str::to_owned);
    // What is there is shown beside the list; of a change only what is another value now.
    let after = match (&before, &group) {
        (Some(Value::Object(before)), _) => {
            let now = |name: &String| (name.clone(), data.get(name).cloned().unwrap_or_default());
            Some(Value::Object(before.keys().map(now).collect()))
        }
        (_, Some(_)) => None,
        _ => Some(json!({"state": data.get("state")})),
    };
    Change {
        id: told.id.clone(),
        at: instant_text(told.created),
        what: told.event.clone(),
        group,
        reason: told.reason.clone(),
        by: Cause { kind: "provider".to_owned(), ..Cause::default() },
        before,
        after,
    }
}

fn of_action(row: AuditView) -> Change {
    Change {
        id: row.id,
        at: row.at,
        what: row.action,
        group: None,
        reason: None,
        by: Cause { kind: row.actor.kind, id: Some(row.actor.id), name: row.actor.name },
        before: row.before,
        after: row.after,
    }
}
