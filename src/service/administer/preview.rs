//! What the app would be told if a directory had other policies. Nothing is stored.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::directory::checked_settings;
use crate::event::{Reason, name};
use crate::service::context::Directory;
use crate::service::mapping::Gate;
use crate::service::policy::{self, DepartedUntil, Policies};
use crate::service::policy_work::Filtered;
use crate::service::seen::object;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::app_group::GroupTotals;
use crate::store::app_user::AppUser;
use crate::store::departed::DepartedRow;
use crate::store::resource::{AppState, ResourceRow};
use crate::store::{StoreError, Tx};

/// Users read at a time; fewer where a filter has to look at each.
const CHUNK: i64 = 5_000;
const FILTERED: i64 = 500;

/// Users that the answer shows.
const SHOWN: usize = 100;
const SHOWN_ROWS: i64 = 100;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsPreview {
    pub settings: Value,
}

/// A user of whom the app would be told something.
struct Told {
    old: AppState,
    new: AppUser,
    memberships: i64,
}

/// How many events of each name, and the first users they are about.
#[derive(Default)]
struct Outcome {
    users: i64,
    groups: i64,
    events: HashMap<&'static str, i64>,
    examples: Vec<Value>,
    /// Users for whom the filter fails, and what is wrong with one of them.
    faults: usize,
    fault: Option<String>,
}

impl Outcome {
    fn count(&mut self, event: &'static str, number: i64) {
        *self.events.entry(event).or_default() += number;
    }

    /// Groups come or go, the latter with all that the app knows of their members.
    fn note_groups(&mut self, hides: bool, totals: GroupTotals) {
        match hides {
            true => {
                self.groups = totals.shown;
                self.count(name::GROUP_DELETED, totals.shown);
            }
            false => {
                self.groups = totals.hidden;
                self.count(name::GROUP_CREATED, totals.hidden);
                self.count(name::GROUP_USER_ADDED, totals.hidden_memberships);
            }
        }
    }

    fn note(&mut self, told: &Told) {
        self.users += 1;
        match (told.old.is_visible(), told.new.app_state.is_visible()) {
            (true, false) => {
                self.count(name::GROUP_USER_REMOVED, told.memberships);
                self.count(name::USER_DELETED, 1);
            }
            (false, true) => {
                self.count(name::USER_CREATED, 1);
                self.count(name::GROUP_USER_ADDED, told.memberships);
            }
            _ => self.count(name::USER_UPDATED, 1),
        }
    }

    fn to_value(&self) -> Value {
        let events: serde_json::Map<String, Value> = [
            name::USER_CREATED,
            name::USER_UPDATED,
            name::USER_DELETED,
            name::GROUP_CREATED,
            name::GROUP_DELETED,
            name::GROUP_USER_ADDED,
            name::GROUP_USER_REMOVED,
        ]
        .into_iter()
        .map(|event| (event.to_owned(), self.events.get(event).copied().unwrap_or(0).into()))
        .collect();
        let mut shown = json!({
            "users": self.users,
            "groups": self.groups,
            "events": events,
            "examples": self.examples,
        });
        if let (Some(message), Some(members)) = (&self.fault, shown.as_object_mut()) {
            let faults = json!({"users": self.faults, "message": message});
            members.insert("filter_faults".to_owned(), faults);
        }
        shown
    }
}

impl Service {
    /// How many events the settings would make now, for how many users and groups, and up to 100 of the users.
    /// Departed users whose time would be over come first. With the settings that are in force it
    /// says what is still to come of a change.
    pub async fn settings_preview(
        &self,
        access: &ApiAccess,
        id: &str,
        wanted: SettingsPreview,
    ) -> Result<Value, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let settings = checked_settings(Some(&wanted.settings), &row.kind)?;
        let (policies, now, key) = (Policies::stored(&settings), self.clock.now_ms(), row.key);
        let wanted = Arc::new(self.policy_work(key).await?.with_settings(row, settings));
        let mut outcome = Outcome::default();
        if let DepartedUntil::At(until) = policies.departed_until(now) {
            let found: Result<_, StoreError> = self
                .store
                .scan("policy_preview", move |tx| {
                    let count = tx.departed_count(key, until)?;
                    Ok((count, tx.departed_list(key, until, SHOWN_ROWS)?))
                })
                .await;
            let (count, rows) = found?;
            outcome.users += count;
            outcome.count(name::USER_DELETED, count);
            outcome.examples.extend(rows.iter().map(departed));
        }
        let groups: Result<GroupTotals, StoreError> =
            self.store.scan("policy_preview", move |tx| tx.app_group_totals(key)).await;
        outcome.note_groups(wanted.hides_groups(&policies), groups?);
        let mut after = 0;
        loop {
            let shown = SHOWN.saturating_sub(outcome.examples.len());
            let wanted = Arc::clone(&wanted);
            let chunk: Result<Chunk, StoreError> = self
                .store
                .scan("policy_preview", move |tx| chunk(tx, &wanted, after, now, shown))
                .await;
            let chunk = chunk?;
            outcome.faults += chunk.faults;
            outcome.fault = outcome.fault.or(chunk.fault);
            chunk.told.iter().for_each(|told| outcome.note(told));
            outcome.examples.extend(chunk.examples);
            match chunk.last {
                Some(last) => after = last,
                None => return Ok(outcome.to_value()),
            }
        }
    }
}

struct Chunk {
    /// `None` when there are no more users.
    last: Option<i64>,
    told: Vec<Told>,
    examples: Vec<Value>,
    faults: usize,
    fault: Option<String>,
}

fn chunk(
    tx: &mut Tx<'_>,
    wanted: &Directory,
    after: i64,
    now: i64,
    shown: usize,
) -> Result<Chunk, StoreError> {
    let (directory_key, policies) = (wanted.key, &wanted.policies);
    let at_once = if matches!(wanted.mapping.gate, Gate::Open) { CHUNK } else { FILTERED };
    let users = tx.app_user_chunk(directory_key, after, at_once)?;
    let filtered = Filtered::of(tx, wanted, &users)?;
    let changes = users.iter().map(|user| {
        let user = AppUser { excluded: filtered.excludes(user), ..*user };
        (user.app_state, policies.applied(&user, now))
    });
    let mut told: Vec<Told> = changes
        .filter(|(old, new)| *old != new.app_state)
        .map(|(old, new)| Told { old, new, memberships: 0 })
        .collect();
    let moving: Vec<i64> = told
        .iter()
        .filter(|told| told.old.is_visible() != told.new.app_state.is_visible())
        .map(|told| told.new.key)
        .collect();
    let counts: HashMap<i64, i64> = match moving.is_empty() || wanted.hides_groups(policies) {
        true => HashMap::new(),
        false => tx.membership_counts(directory_key, &moving)?.into_iter().collect(),
    };
    for told in &mut told {
        told.memberships = counts.get(&told.new.key).copied().unwrap_or(0);
    }
    let keys: Vec<i64> = told.iter().take(shown).map(|told| told.new.key).collect();
    let rows: HashMap<i64, ResourceRow> =
        tx.resource_rows(directory_key, &keys)?.into_iter().map(|row| (row.key, row)).collect();
    let examples = told.iter().filter_map(|told| Some(example(told, rows.get(&told.new.key)?)));
    let examples = examples.collect();
    let (faults, fault) = filtered.faults();
    let fault = fault.map(str::to_owned);
    Ok(Chunk { last: users.last().map(|user| user.key), examples, told, faults, fault })
}

/// The word for a state as the app knows it.
fn seen(state: AppState) -> &'static str {
    match state {
        AppState::Active => "active",
        AppState::Inactive => "inactive",
        AppState::Hidden => "deleted",
    }
}

fn example(told: &Told, row: &ResourceRow) -> Value {
    let to = told.new.app_state;
    let loses = to != AppState::Active && told.old.is_visible();
    let row = &ResourceRow { excluded: told.new.excluded, ..row.clone() };
    let reason = loses.then(|| policy::reason(row).as_str());
    json!({
        "user_id": row.id,
        "username": object(&row.doc).get("userName"),
        "from": seen(told.old),
        "to": seen(to),
        "memberships": told.memberships,
        "reason": reason,
    })
}

fn departed(row: &DepartedRow) -> Value {
    json!({
        "user_id": row.id,
        "username": object(&row.doc).get("userName"),
        "from": seen(AppState::Inactive),
        "to": seen(AppState::Hidden),
        "memberships": 0,
        "reason": Reason::ScimDelete.as_str(),
    })
}
