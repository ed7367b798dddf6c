//! The end of a resource inside a unit: everything that refers to it is locked and let go.
//!
//! A group with more members than go into one unit loses them in several, the last of which deletes it:
//! see [`super::intent`].

use serde_json::Value;

use super::ServiceError;
use super::exchange::{Changed, Listed};
use super::lifecycle;
use super::mapping::follow;
use super::record::{MAX_NAMED, Recorder};
use super::seen::object;
use super::unit::{Edit, Prepared, Site, check, columns};
use crate::scim::resource::meta::Condition;
use crate::scim::resource::{Document, convert};
use crate::scim::schema::MANAGER;
use crate::scim::urn;
use crate::store::brake::Taken;
use crate::store::brake_note::{Lost, Membership};
use crate::store::intent::Ending;
use crate::store::mapping::{MappedUser, RoleWork};
use crate::store::pending::Guard;
use crate::store::resource::{Mapped, ResourceRow};
use crate::store::{StoreError, Tx};

/// The end of a resource.
pub(super) struct Deletion {
    pub(super) site: Site,
    pub(super) condition: Option<Condition>,
}

/// When the attribute map is applied to the users who lose their manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evaluates {
    Now,
    /// By the job: they may be many, and all other units wait for this one.
    Later,
}

/// How far a deletion is when its unit ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deleted {
    Gone,
    /// A large group is losing its members in units of their own and goes with the last.
    Begun {
        key: i64,
    },
}

impl Deletion {
    pub(super) fn run(&self, tx: &mut Tx<'_>) -> Result<Deleted, ServiceError> {
        let site = &self.site;
        let mut recorder = site.open(tx, Guard::Write)?;
        let row = site.get(tx)?.ok_or_else(|| site.missing())?;
        check(self.condition.as_ref(), &row)?;
        site.refuse_during_intent(tx, row.key)?;
        if site.resource_type.is_group() && self.begin_emptying(tx, &row, &mut recorder)? {
            return Ok(Deleted::Begun { key: row.key });
        }
        self.delete(tx, &row, &mut recorder)?;
        Ok(Deleted::Gone)
    }

    /// Begins to end a group that has more members than go into one unit; false for others.
    fn begin_emptying(
        &self,
        tx: &mut Tx<'_>,
        found: &ResourceRow,
        recorder: &mut Recorder<'_>,
    ) -> Result<bool, ServiceError> {
        let (site, directory_key) = (&self.site, self.site.directory.key);
        let most = i64::try_from(site.members_at_once).unwrap_or(i64::MAX);
        let key = found.key;
        if !tx.member_exceeds(directory_key, key, most)? {
            return Ok(false);
        }
        tx.membership_lock_groups(directory_key, &[key])?;
        let row = site.get(tx)?.ok_or_else(|| site.missing())?;
        check(self.condition.as_ref(), &row)?;
        site.refuse_during_intent(tx, key)?;
        tx.intent_open(directory_key, key, Ending::Deleted, site.now)?;
        tx.resource_touch(directory_key, key, site.now)?;
        site.empty(tx, &row, recorder)?;
        Ok(true)
    }

    /// Goes on with a group that is to end; true when it is gone.
    pub(super) fn go_on(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        recorder: &mut Recorder<'_>,
    ) -> Result<bool, ServiceError> {
        let (site, directory_key) = (&self.site, self.site.directory.key);
        let most = i64::try_from(site.members_at_once).unwrap_or(i64::MAX);
        if tx.member_exceeds(directory_key, row.key, most)? {
            tx.membership_lock_groups(directory_key, &[row.key])?;
            site.empty(tx, row, recorder)?;
            return Ok(false);
        }
        if tx.holds(directory_key) {
            tx.brake_note_emptied(directory_key, row.key)?;
        }
        tx.intent_emptied_forget(directory_key, row.key)?;
        tx.intent_close(directory_key, row.key)?;
        self.delete(tx, row, recorder)?;
        Ok(true)
    }

    fn delete(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        recorder: &mut Recorder<'_>,
    ) -> Result<(), ServiceError> {
        let site = &self.site;
        let directory_key = site.directory.key;
        let (groups, reports) = site.lock_around(tx, row.key, recorder)?;
        let row = site.get(tx)?.ok_or_else(|| site.missing())?;
        check(self.condition.as_ref(), &row)?;
        // A large change may have begun while this unit waited for the group.
        site.refuse_during_intent(tx, row.key)?;
        let document = Document::stored(object(&row.doc));
        let columns = columns(&document, &site.resource_type, &site.directory.profile)?;
        // Removals are counted when everybody whom they are about is locked.
        let followed = follow::before_end(tx, recorder, &row)?;
        let members = site.tracked_members(tx, row.key, recorder)?;
        let taken = self.taken(tx, &row, recorder)?;
        // Of a user who is inactive already nothing is left among the active ones.
        let users = taken.users.min(i64::from(row.active));
        recorder.takes_away(tx, taken, Taken { users, ..taken })?;
        if tx.holds(directory_key) {
            recorder.note_loss(tx, Lost::Deleted, row.key)?;
            tx.brake_note_all_members(directory_key, row.key)?;
        }
        let left = match columns.user_name_key {
            Some(name) if site.resource_type.is_user() => {
                lifecycle::depart(tx, recorder, &row, &groups, (name, columns.external_id))?
            }
            _ => {
                recorder.deleted(tx, &row, &row, recorder.removal)?;
                Vec::new()
            }
        };
        let evaluates = match reports.len() <= follow::TOLD {
            true => Evaluates::Now,
            false => Evaluates::Later,
        };
        for report in &reports {
            site.forget_manager(tx, *report, evaluates, recorder)?;
        }
        if evaluates == Evaluates::Later && site.directory.mapping.attributes.is_some() {
            tx.role_work_add(directory_key, RoleWork::User, &reports)?;
        }
        for group in &groups {
            tx.resource_touch(directory_key, *group, site.now)?;
        }
        tx.attribute_keys_change(directory_key, row.key, &columns.attributes, &[])?;
        tx.membership_delete_all(directory_key, row.key)?;
        lifecycle::note_groupless(tx, recorder, &members)?;
        tx.resource_delete(directory_key, row.key)?;
        follow::after_end(tx, recorder, followed)?;
        tx.count_add(directory_key, &site.resource_type.name, row.active, -1)?;
        site.trace.changed(|| {
            let ids = left.iter().map(|group| group.id.clone()).take(MAX_NAMED);
            let named = Listed { count: groups.len(), first: ids.collect() };
            let before = Some(row.doc.clone());
            let event_ids = recorder.event_ids.clone();
            Changed { before, left: named, event_ids, ..site.unchanged("groups") }
        });
        Ok(())
    }
}

impl Deletion {
    /// What goes with a resource: a user, or the memberships in a group. Those of the user are not counted.
    fn taken(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        recorder: &Recorder<'_>,
    ) -> Result<Taken, StoreError> {
        let site = &self.site;
        if site.resource_type.is_user() {
            let users = i64::from(row.app_state.is_visible());
            return Ok(Taken { users, ..Taken::default() });
        }
        // A group with more members has lost them before.
        let is_seen = row.app_state.is_visible();
        if !site.resource_type.is_group() || !is_seen || !recorder.counts() {
            return Ok(Taken::default());
        }
        let most = i64::try_from(site.members_at_once).unwrap_or(i64::MAX);
        let members = tx.member_keys(site.directory.key, row.key, 0, most)?;
        Ok(Taken {
            memberships: i64::try_from(members.len()).unwrap_or(i64::MAX),
            role_groups: i64::from(recorder.gives_role(row)),
            users: 0,
        })
    }
}

impl Site {
    /// Ends as many memberships in a group as go into one unit. The end of a group is one event; its
    /// members make none, unless a user goes before the group: who has left is noted for that.
    fn empty(
        &self,
        tx: &mut Tx<'_>,
        group: &ResourceRow,
        recorder: &mut Recorder<'_>,
    ) -> Result<(), StoreError> {
        let most = i64::try_from(self.members_at_once).unwrap_or(i64::MAX);
        let leaving = tx.member_keys(self.directory.key, group.key, 0, most)?;
        // Removals are counted when everybody whom they are about is locked.
        let followed = follow::lock(tx, recorder, group, &leaving)?;
        if followed.is_none() {
            lifecycle::keep_leaving(tx, recorder, &leaving)?;
        }
        let memberships = lifecycle::seen_in(group, &leaving);
        let leave = Taken { memberships, ..Taken::default() };
        recorder.takes_away(tx, leave, leave)?;
        recorder.note_members(tx, group.key, &leaving, Membership::EndedSilently)?;
        let left = tx.member_remove(self.directory.key, group.key, &leaving)?;
        tx.intent_emptied_add(self.directory.key, group.key, &left)?;
        lifecycle::note_groupless(tx, recorder, &leaving)?;
        follow::moved(tx, recorder, group, followed)
    }

    /// The users whose membership ends with a group, where the directory keeps the time of it.
    fn tracked_members(
        &self,
        tx: &mut Tx<'_>,
        key: i64,
        recorder: &Recorder<'_>,
    ) -> Result<Vec<i64>, StoreError> {
        let tracks = recorder.in_force.policies.suspend_when_groupless.is_some();
        match tracks && self.resource_type.is_group() {
            true => tx.app_user_lock_members(self.directory.key, key),
            false => Ok(Vec::new()),
        }
    }

    /// Locks a user against every other unit, and before it the groups that have it: who joins
    /// meanwhile is locked in another round. `None` when there is no such user.
    pub(super) fn lock_with_groups(
        &self,
        tx: &mut Tx<'_>,
        key: i64,
        recorder: &mut Recorder<'_>,
    ) -> Result<Option<Vec<i64>>, StoreError> {
        let directory_key = self.directory.key;
        loop {
            let groups = tx.membership_groups(directory_key, key)?;
            tx.membership_lock_groups(directory_key, &groups)?;
            if !tx.resource_lock_for_delete(directory_key, key)? {
                return Ok(None);
            }
            if tx.membership_groups(directory_key, key)? == groups {
                return Ok(Some(groups));
            }
            // The deletion of a large group may have begun, and taken the user out.
            recorder.has_intents = true;
        }
    }

    /// Locks a resource that is to go and everything that refers to it: groups by key, then users by
    /// key, which is the order of every unit. What joined meanwhile is locked in another round.
    fn lock_around(
        &self,
        tx: &mut Tx<'_>,
        key: i64,
        recorder: &mut Recorder<'_>,
    ) -> Result<(Vec<i64>, Vec<i64>), ServiceError> {
        let directory_key = self.directory.key;
        loop {
            let groups = tx.membership_groups(directory_key, key)?;
            let reports = self.reports(tx, key)?;
            tx.membership_lock_groups(directory_key, &groups)?;
            let mut users: Vec<i64> = reports.iter().copied().chain([key]).collect();
            users.sort_unstable();
            for user in users {
                if user != key {
                    tx.membership_lock_groups(directory_key, &[user])?;
                } else if !tx.resource_lock_for_delete(directory_key, key)? {
                    return Err(self.missing());
                }
            }
            let unchanged = tx.membership_groups(directory_key, key)? == groups
                && self.reports(tx, key)? == reports;
            if unchanged {
                return Ok((groups, reports));
            }
            recorder.has_intents = true;
        }
    }

    /// Keys of the other users who have this one as their manager.
    fn reports(&self, tx: &mut Tx<'_>, key: i64) -> Result<Vec<i64>, StoreError> {
        let index = self.resource_type.indexes.iter().find(|index| index.name == MANAGER);
        let Some(index) = index else { return Ok(Vec::new()) };
        let mut found = tx.attribute_holders(self.directory.key, index.path_id, &self.id)?;
        found.retain(|holder| *holder != key);
        Ok(found)
    }

    /// Takes the manager out of a user who had the one that goes. The groups of that user are not
    /// locked, so the app goes on seeing or not seeing the user as before.
    fn forget_manager(
        &self,
        tx: &mut Tx<'_>,
        key: i64,
        evaluates: Evaluates,
        recorder: &mut Recorder<'_>,
    ) -> Result<(), ServiceError> {
        let Some(user) = tx.mapping_rows(self.directory.key, &[key])?.pop() else { return Ok(()) };
        let MappedUser { row, faults } = user;
        recorder.note_loss(tx, Lost::Manager, key)?;
        let mut document = object(&row.doc);
        if let Some(Value::Object(enterprise)) = document.get_mut(urn::ENTERPRISE_USER) {
            enterprise.shift_remove("manager");
        }
        let extra = row.extra.as_deref().map(object).unwrap_or_default();
        let (document, extra) = convert(&document, &extra, &self.resource_type);
        let edit = Edit { document, extra, members: Vec::new() };
        let site = Self { id: row.id.clone(), ..self.clone() };
        let prepared = match evaluates {
            Evaluates::Now => Prepared::whole(&row, edit, &site)?,
            Evaluates::Later => {
                let mut prepared = Prepared::of(&row, edit, &site)?;
                let roles = site.directory.mapping.roles_alone(&prepared.content.doc);
                let custom_attributes = row.custom_attributes.clone();
                prepared.content.mapped =
                    Mapped { custom_attributes, faults, roles, excluded: None };
                prepared
            }
        };
        site.update(tx, &row, &prepared, None, recorder)?;
        Ok(())
    }
}
