//! Events of a change, appended in its unit, in the order that the contract fixes.

use std::collections::HashMap;

use serde_json::Value;

use super::context::Directory;
use super::exchange::{Listed, MAX_EVENTS};
use super::identity::{self, Facts, Ledger, Scope};
use super::policy::InForce;
use super::seen::{GroupTold, Seen, app_text, app_view, text};
use super::side_by_side::side_by_side;
use super::unit::Site;
use crate::clock::Ids;
use crate::event::{Reason, name, previous_attributes, stable};
use crate::scim::Object;
use crate::scim::key::text_key;
use crate::store::event::{EventData, NewEvent};
use crate::store::resource::{AppState, ResourceContent, ResourceRow};
use crate::store::{EventForm, StoreError, Tx};

/// How many member rows are read at a time for their events.
const CHUNK: usize = 500;

/// Members and groups that the record of a request names.
pub(super) const MAX_NAMED: usize = 50;

/// Appends the events of one unit.
pub(super) struct Recorder<'r> {
    pub(super) directory: &'r Directory,
    pub(super) in_force: InForce,
    /// Where users are linked to identities, if the unit may change what the app sees of one.
    pub(super) identities: Option<Scope>,
    pub(super) ids: Ids,
    pub(super) now: i64,
    /// The events that were appended.
    pub(super) event_ids: Listed,
    /// Members of some group of the directory are changed in several units, or may be.
    pub(super) has_intents: bool,
    /// Why whoever becomes inactive or goes does so, where it is not the word of a SCIM client.
    pub(super) removal: Option<Reason>,
}

/// The event of a new resource, rendered before its unit: all others wait for the one that runs. It
/// counts if the policies that the unit finds give the resource the same state.
pub(super) struct Told {
    state: AppState,
    data: Option<EventData>,
    /// What the identity of a user follows, where there are identities.
    facts: Option<Facts>,
}

impl Told {
    /// Of a type that the app does not know.
    pub(super) fn nothing() -> Self {
        Self { state: AppState::Active, data: None, facts: None }
    }

    pub(super) fn new(
        site: &Site,
        form: EventForm,
        document: &Object,
        extra: &Object,
        content: &ResourceContent,
    ) -> Self {
        let resource_type = &site.resource_type;
        let excluded = site.directory.excludes_new(resource_type, &content.mapped);
        let active = content.columns.active;
        let policies = &site.directory.policies;
        let state = site.directory.state_of_new(policies, resource_type, active, excluded);
        let seen = Seen {
            resource_type: &resource_type.name,
            id: &site.id,
            doc: document,
            extra: (!extra.is_empty()).then_some(extra),
            active: state == AppState::Active,
            created: site.now,
            modified: site.now,
            custom_attributes: content.mapped.custom_attributes.as_deref(),
            roles: content.mapped.roles.as_deref(),
        };
        if !state.is_visible() {
            return Self { state, data: None, facts: None };
        }
        let directory = &site.directory;
        let is_linked = resource_type.is_user() && directory.identities.is_some();
        let view = is_linked.then(|| seen.view(directory)).flatten();
        let data = view.as_ref().map_or_else(|| seen.text(directory), |view| Some(text(view)));
        Self { state, data: data.map(|data| form.data(data)), facts: view.as_ref().map(Facts::of) }
    }
}

impl Recorder<'_> {
    /// The row as the app sees it; `None` for types that the app does not know.
    fn view(&self, row: &ResourceRow) -> Option<Value> {
        app_view(self.directory, row)
    }

    /// The address that the app is shown of a user, as a comparison key.
    pub(super) fn email_key(&self, row: &ResourceRow) -> Option<String> {
        app_view(self.directory, row)?.get("email")?.as_str().map(|email| text_key(email, false))
    }

    fn append(
        &mut self,
        tx: &mut Tx<'_>,
        event: &'static str,
        resource_id: &str,
        data: String,
        reason: Option<Reason>,
        before: impl FnOnce(&Self) -> Option<String>,
    ) -> Result<(), StoreError> {
        let new = self.event(event, resource_id, data.into(), reason);
        self.write(tx, &new, before)
    }

    /// Writes an event, or puts it behind those that wait, with what the app was told `before`. What waits has
    /// no id yet.
    fn write(
        &mut self,
        tx: &mut Tx<'_>,
        new: &NewEvent,
        before: impl FnOnce(&Self) -> Option<String>,
    ) -> Result<(), StoreError> {
        let key = self.directory.key;
        if !tx.holds(key) {
            return tx.event_write(key, new);
        }
        self.event_ids.take_back(&new.id);
        tx.event_hold(key, new, before(self).as_deref())
    }

    fn event(
        &mut self,
        event: &'static str,
        resource_id: &str,
        data: EventData,
        reason: Option<Reason>,
    ) -> NewEvent {
        let id = self.ids.next("event");
        self.event_ids.push(&id, MAX_EVENTS);
        NewEvent {
            id,
            event,
            resource_id: resource_id.to_owned(),
            member_id: None,
            data,
            reason,
            created: self.now,
        }
    }

    /// The same for several events, in their order, before which the app knew nothing.
    fn write_all(&mut self, tx: &mut Tx<'_>, new: &[NewEvent]) -> Result<(), StoreError> {
        let key = self.directory.key;
        if !tx.holds(key) {
            return tx.events_write(key, new.iter());
        }
        for event in new {
            self.write(tx, event, |_| None)?;
        }
        Ok(())
    }

    /// New resources, or some that the app sees again, with what was rendered of them before.
    pub(super) fn created(
        &mut self,
        tx: &mut Tx<'_>,
        new: &[(&ResourceRow, Option<&Told>)],
    ) -> Result<(), StoreError> {
        let (mut events, mut known) = (Vec::with_capacity(new.len()), Vec::new());
        for (row, told) in new {
            if let Some(event) = self.creation(row, *told) {
                events.push(event);
                known.push((row, told.filter(|told| told.state == row.app_state)));
            }
        }
        self.write_all(tx, &events)?;
        for (row, told) in known {
            match told.and_then(|told| told.facts.as_ref()) {
                Some(facts) => self.account_is(tx, &row.id, facts)?,
                None => self.account_seen(tx, row)?,
            }
        }
        Ok(())
    }

    /// What identities of the directory's users do is written there, if there are some.
    pub(super) fn ledger(&mut self) -> Option<Ledger<'_>> {
        Some(Ledger {
            scope: self.identities?,
            directory_key: self.directory.key,
            organization_id: &self.directory.organization_id,
            ids: &mut self.ids,
            event_ids: &mut self.event_ids,
            now: self.now,
        })
    }

    /// The identity of a user follows what the app is told of the user: while events wait, it waits.
    pub(super) fn account_seen(
        &mut self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
    ) -> Result<(), StoreError> {
        if self.identities.is_none() || row.resource_type != "User" {
            return Ok(());
        }
        if tx.holds(self.directory.key) {
            return tx.brake_account_note(self.directory.key, &row.id);
        }
        match self.view(row) {
            Some(view) => self.account_is(tx, &row.id, &Facts::of(&view)),
            None => Ok(()),
        }
    }

    /// An event that shows a user as it is, for a fold that compares it with what was told before: `old`,
    /// if nothing about the user waits yet.
    pub(super) fn told_as(
        &mut self,
        tx: &mut Tx<'_>,
        event: &'static str,
        old: &ResourceRow,
        row: &ResourceRow,
    ) -> Result<(), StoreError> {
        let Some(data) = self.view(row) else { return Ok(()) };
        let before = |recorder: &Self| recorder.view(old).map(|view| view.to_string());
        self.append(tx, event, &row.id, data.to_string(), None, before)?;
        self.account_seen(tx, row)
    }

    /// SCIM has deleted a user whom the app still sees.
    pub(super) fn account_departed(
        &mut self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
    ) -> Result<(), StoreError> {
        if self.identities.is_none() {
            return Ok(());
        }
        match self.view(row) {
            Some(view) => self.account_is(tx, &row.id, &Facts::of(&view).departed()),
            None => Ok(()),
        }
    }

    /// A user of whom the app sees nothing has changed in SCIM.
    pub(super) fn account_changed(
        &mut self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
    ) -> Result<(), StoreError> {
        if self.identities.is_none() {
            return Ok(());
        }
        if tx.holds(self.directory.key) {
            return tx.brake_account_note(self.directory.key, &row.id);
        }
        let (Some(view), Some(mut ledger)) = (self.view(row), self.ledger()) else { return Ok(()) };
        identity::account_changed(tx, &mut ledger, &row.id, &Facts::of(&view))?;
        Ok(())
    }

    fn account_is(&mut self, tx: &mut Tx<'_>, id: &str, facts: &Facts) -> Result<(), StoreError> {
        let directory = self.directory;
        if self.identities.is_some() && tx.holds(directory.key) {
            return tx.brake_account_note(directory.key, id);
        }
        match &mut self.ledger() {
            Some(ledger) => identity::account_seen(tx, ledger, &directory.id, id, facts),
            None => Ok(()),
        }
    }

    /// A user is gone for the app and in SCIM.
    pub(super) fn account_gone(&mut self, tx: &mut Tx<'_>, id: &str) -> Result<(), StoreError> {
        if self.identities.is_some() && tx.holds(self.directory.key) {
            return tx.brake_account_note(self.directory.key, id);
        }
        match &mut self.ledger() {
            Some(ledger) => identity::account_gone(tx, ledger, id),
            None => Ok(()),
        }
    }

    /// The event of a new resource, to be appended by whoever inserts it.
    pub(super) fn creation(&mut self, row: &ResourceRow, told: Option<&Told>) -> Option<NewEvent> {
        let event =
            if row.resource_type == "User" { name::USER_CREATED } else { name::GROUP_CREATED };
        let rendered = told.filter(|told| told.state == row.app_state);
        let data = match rendered.and_then(|told| told.data.clone()) {
            Some(data) => data,
            None => app_text(self.directory, row)?.into(),
        };
        Some(self.event(event, &row.id, data, None))
    }

    /// Nothing when nothing that the app sees has changed, or it sees nothing of the user.
    pub(super) fn updated(
        &mut self,
        tx: &mut Tx<'_>,
        old: &ResourceRow,
        new: &ResourceRow,
        reason: Option<Reason>,
    ) -> Result<(), StoreError> {
        if !new.app_state.is_visible() {
            return Ok(());
        }
        let event =
            if new.resource_type == "User" { name::USER_UPDATED } else { name::GROUP_UPDATED };
        let (Some(before), Some(data)) = (self.view(old), self.view(new)) else { return Ok(()) };
        self.changed(tx, event, new, (before, data), reason)
    }

    /// A user or group of another directory is one of this: the app is told what it sees differently, the
    /// directory above all.
    pub(super) fn handed_over(
        &mut self,
        tx: &mut Tx<'_>,
        from: &Directory,
        old: &ResourceRow,
        new: &ResourceRow,
        facts: fn(Facts) -> Facts,
    ) -> Result<(), StoreError> {
        let (Some(before), Some(data)) = (app_view(from, old), self.view(new)) else {
            return Ok(());
        };
        let is_user = new.resource_type == "User";
        let (directory, id) = (self.directory, &new.id);
        if is_user && let Some(mut ledger) = self.ledger() {
            let facts = facts(Facts::of(&data));
            identity::account_handed_over(tx, &mut ledger, (from.key, &directory.id), id, &facts)?;
        }
        let event = if is_user { name::USER_UPDATED } else { name::GROUP_UPDATED };
        match (old.app_state.is_visible(), new.app_state.is_visible()) {
            (false, false) => Ok(()),
            (true, true) => self.changed(tx, event, new, (before, data), None),
            (false, true) => self.created(tx, &[(new, None)]),
            (true, false) => self.deleted(tx, new, new, self.removal),
        }
    }

    fn changed(
        &mut self,
        tx: &mut Tx<'_>,
        event: &'static str,
        new: &ResourceRow,
        (before, mut data): (Value, Value),
        reason: Option<Reason>,
    ) -> Result<(), StoreError> {
        let Some(mut previous) = previous_attributes(&before, &data) else { return Ok(()) };
        stable::stabilise(&mut previous);
        let facts = (self.identities.is_some() && new.resource_type == "User")
            .then(|| Facts::of(&data))
            .filter(|facts| *facts != Facts::of(&before));
        if let Some(object) = data.as_object_mut() {
            object.insert("previous_attributes".into(), previous);
        }
        let before = |_: &Self| Some(before.to_string());
        self.append(tx, event, &new.id, data.to_string(), reason, before)?;
        facts.map_or(Ok(()), |facts| self.account_is(tx, &new.id, &facts))
    }

    /// `old` is the resource as the app was told last; nothing when it was not told.
    pub(super) fn deleted(
        &mut self,
        tx: &mut Tx<'_>,
        old: &ResourceRow,
        row: &ResourceRow,
        reason: Option<Reason>,
    ) -> Result<(), StoreError> {
        if !old.app_state.is_visible() {
            return Ok(());
        }
        let event =
            if row.resource_type == "User" { name::USER_DELETED } else { name::GROUP_DELETED };
        match self.view(row) {
            Some(data) => {
                let before = |recorder: &Self| recorder.view(old).map(|view| view.to_string());
                self.append(tx, event, &row.id, data.to_string(), reason, before)
            }
            None => Ok(()),
        }
    }

    /// The key of the last member of a group of whom the app may hear with it: nobody while it does not see
    /// the group. While it is being told of a group it hears of the members behind that one later.
    fn audible(&self, tx: &mut Tx<'_>, group: &ResourceRow) -> Result<i64, StoreError> {
        if !group.app_state.is_visible() {
            return Ok(i64::MIN);
        }
        let telling = match self.in_force.changing {
            true => tx.telling_get(self.directory.key)?,
            false => None,
        };
        let of_this = telling.filter(|telling| telling.group_key == group.key);
        Ok(of_this.map_or(i64::MAX, |telling| telling.member_key))
    }

    /// One event per user that the app sees; groups as members make none. Answers who they are.
    pub(super) fn members(
        &mut self,
        tx: &mut Tx<'_>,
        event: &'static str,
        group: &ResourceRow,
        member_keys: &[i64],
    ) -> Result<Listed, StoreError> {
        let mut named = Listed::default();
        if member_keys.is_empty() {
            return Ok(named);
        }
        let Some(told) = GroupTold::of(self.directory, group) else {
            named.count = member_keys.len();
            return Ok(named);
        };
        let audible = self.audible(tx, group)?;
        let reason = self.removal.filter(|_| event == name::GROUP_USER_REMOVED);
        for keys in member_keys.chunks(CHUNK) {
            let rows = tx.app_user_rows(self.directory.key, keys)?;
            let by_key: HashMap<i64, ResourceRow> =
                rows.into_iter().map(|row| (row.key, row)).collect();
            named.count += keys.len().saturating_sub(by_key.len());
            let rows: Vec<&ResourceRow> = keys.iter().filter_map(|key| by_key.get(key)).collect();
            rows.iter().for_each(|row| named.push(&row.id, MAX_NAMED));
            let seen = |row: &&ResourceRow| row.app_state.is_visible() && row.key <= audible;
            let pairs: Vec<_> = rows.into_iter().filter(seen).map(|user| (user, &told)).collect();
            self.memberships(tx, event, &pairs, reason)?;
        }
        Ok(named)
    }

    /// The user leaves every one of the groups.
    pub(super) fn left(
        &mut self,
        tx: &mut Tx<'_>,
        user: &ResourceRow,
        groups: &[ResourceRow],
        reason: Reason,
    ) -> Result<(), StoreError> {
        self.with_groups(tx, name::GROUP_USER_REMOVED, user, groups, Some(reason))
    }

    /// The user is in every one of the groups.
    pub(super) fn entered(
        &mut self,
        tx: &mut Tx<'_>,
        user: &ResourceRow,
        groups: &[ResourceRow],
    ) -> Result<(), StoreError> {
        self.with_groups(tx, name::GROUP_USER_ADDED, user, groups, None)
    }

    fn with_groups(
        &mut self,
        tx: &mut Tx<'_>,
        event: &'static str,
        user: &ResourceRow,
        groups: &[ResourceRow],
        reason: Option<Reason>,
    ) -> Result<(), StoreError> {
        let mut told = Vec::with_capacity(groups.len());
        for group in groups {
            if user.key <= self.audible(tx, group)? {
                told.extend(GroupTold::of(self.directory, group));
            }
        }
        let pairs: Vec<_> = told.iter().map(|group| (user, group)).collect();
        self.memberships(tx, event, &pairs, reason)
    }

    /// One event for each user and group; those of many are rendered and packed on several threads, as
    /// everybody else who writes waits.
    fn memberships(
        &mut self,
        tx: &mut Tx<'_>,
        event: &'static str,
        pairs: &[(&ResourceRow, &GroupTold<'_>)],
        reason: Option<Reason>,
    ) -> Result<(), StoreError> {
        let directory = self.directory;
        let form = tx.event_form();
        let rendered = side_by_side(pairs, |(user, group)| {
            group.with(directory, user).map(|text| form.data(text))
        });
        let told = pairs.iter().zip(rendered).filter_map(|((user, group), data)| {
            let event = self.event(event, group.id, data?, reason);
            Some(NewEvent { member_id: Some(user.id.clone()), ..event })
        });
        let events: Vec<NewEvent> = told.collect();
        self.write_all(tx, &events)
    }
}
