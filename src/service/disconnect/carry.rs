//! Hands users and groups over to another directory, a bounded part in each unit: first the groups, then their
//! memberships in each other, then the users with theirs, and those whom SCIM has deleted and the app still sees.
//!
//! A group that was handed over is there twice until the end: in the new directory, where the app sees it, and
//! in the old one, hidden, for the memberships of those who have not come yet. So everybody is in all groups at
//! every moment. Both have the same id, by which a membership finds its place.
//!
//! Each one keeps id, time of creation, state, roles and identity; what the policies and maps of the new
//! directory make of it comes with its next change there. The app is told `user.updated` and `group.updated`
//! with the old `directory_id`. Names are unique in the database: one that was taken meanwhile refuses the unit.

use std::convert::identity;
use std::sync::Arc;

use super::hand_over::refuse_unfit;
use super::run::{Part, ROWS};
use super::step as steps;
use crate::event::Reason;
use crate::scim::ResourceType;
use crate::scim::resource::{Columns, Document, convert};
use crate::service::ServiceError;
use crate::service::administer::missing;
use crate::service::brake::BrakeMode;
use crate::service::content::{claim, columns, content};
use crate::service::context::Directory;
use crate::service::error::AdminError;
use crate::service::exchange::Listed;
use crate::service::identity::{Facts, Scope};
use crate::service::lifecycle;
use crate::service::policy::InForce;
use crate::service::record::Recorder;
use crate::service::seen::object;
use crate::store::disconnection::DisconnectionRow;
use crate::store::hand_over::Carried;
use crate::store::resource::{Mapped, NewRow, ResourceRow};
use crate::store::{StoreError, Tx};

/// A hand over in a unit that has both directories for itself.
struct Carry<'c> {
    old: &'c Directory,
    new: &'c Arc<Directory>,
    recorder: Recorder<'c>,
    members_at_once: usize,
}

/// Hands the next part over; `None` when nobody is left.
pub(super) fn step(
    tx: &mut Tx<'_>,
    part: &Part,
    row: DisconnectionRow,
) -> Result<Option<DisconnectionRow>, ServiceError> {
    let new = part.into.as_ref().ok_or_else(missing)?;
    let old_row = tx.directory_by_key(part.directory.key)?.ok_or_else(missing)?;
    let new_row = tx.directory_by_key(new.key)?.ok_or_else(missing)?;
    refuse_unfit(&new_row)?;
    if old_row.primary {
        let message = "The directory has become the primary one of its organization; choose another one, \
                       then go on.";
        return Err(AdminError::new(409, "directory_is_primary", message).into());
    }
    let shared = tx.directory_share(new.key)?.ok_or_else(missing)?;
    if shared.brake.is_some() {
        let message = "Events of the other directory wait because of its brake; release them or undo what \
                       happened there, then go on.";
        return Err(AdminError::new(409, "brake_holding", message).into());
    }
    if shared.converting || shared.schema_version != new.schema_version {
        return Err(ServiceError::SchemasChange);
    }
    let mut in_force = InForce::new(&shared.settings, shared.policy_cursor);
    // Nobody is taken away by a hand over.
    in_force.policies.brake.mode = BrakeMode::Off;
    let mut carry = Carry {
        old: &part.directory,
        new,
        recorder: Recorder {
            directory: new,
            in_force,
            identities: Scope::enter(tx, new)?,
            ids: part.ids.clone(),
            now: part.now,
            event_ids: Listed::default(),
            has_intents: shared.has_intents,
            removal: Some(Reason::HandedOver),
        },
        members_at_once: part.members_at_once,
    };
    match row.step.as_str() {
        steps::GROUPS => carry.groups(tx, row).map(Some),
        steps::NESTED => carry.nested(tx, row).map(Some),
        _ => carry.users(tx, row),
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Carry<'_> {
    fn keys(&self) -> (i64, i64) {
        (self.old.key, self.new.key)
    }

    fn groups(
        &mut self,
        tx: &mut Tx<'_>,
        row: DisconnectionRow,
    ) -> Result<DisconnectionRow, ServiceError> {
        let keys = tx.hand_over_groups(self.old.key, ROWS)?;
        if keys.is_empty() {
            return Ok(DisconnectionRow { step: steps::NESTED.to_owned(), reached: 0, ..row });
        }
        for group in self.sorted(tx, &keys)? {
            let new_key = self.carried(tx, &group)?;
            tx.hand_over_pending(self.keys(), (group.key, new_key))?;
            tx.hand_over_hide(self.old.key, group.key)?;
        }
        Ok(DisconnectionRow { done: row.done.saturating_add(count(keys.len())), ..row })
    }

    /// Every group is in the new directory by now.
    fn nested(
        &mut self,
        tx: &mut Tx<'_>,
        row: DisconnectionRow,
    ) -> Result<DisconnectionRow, ServiceError> {
        let groups = tx.hand_over_nested(self.keys(), row.reached, ROWS)?;
        let Some((last, _)) = groups.last().copied() else {
            return Ok(DisconnectionRow { step: steps::USERS.to_owned(), reached: 0, ..row });
        };
        for group in groups {
            tx.hand_over_memberships(self.keys(), group)?;
        }
        Ok(DisconnectionRow { reached: last, ..row })
    }

    /// Those who are there, then those who have departed.
    fn users(
        &mut self,
        tx: &mut Tx<'_>,
        row: DisconnectionRow,
    ) -> Result<Option<DisconnectionRow>, ServiceError> {
        let users = tx.app_user_chunk(self.old.key, 0, ROWS)?;
        if users.is_empty() {
            let departed = self.departed(tx)?;
            return Ok((departed > 0).then_some(row));
        }
        let keys: Vec<i64> = users.iter().map(|user| user.key).collect();
        for user in self.sorted(tx, &keys)? {
            let new_key = self.carried(tx, &user)?;
            tx.hand_over_memberships(self.keys(), (user.key, new_key))?;
            self.leave(tx, &user)?;
        }
        Ok(Some(DisconnectionRow { done: row.done.saturating_add(count(keys.len())), ..row }))
    }

    fn sorted(&self, tx: &mut Tx<'_>, keys: &[i64]) -> Result<Vec<ResourceRow>, ServiceError> {
        let mut rows = tx.resource_rows(self.old.key, keys)?;
        rows.sort_unstable_by_key(|row| row.key);
        Ok(rows)
    }

    /// A user or group as one of the new directory; answers its key there.
    fn carried(&mut self, tx: &mut Tx<'_>, row: &ResourceRow) -> Result<i64, ServiceError> {
        let resource_type = self.new.registry.by_name(&row.resource_type).cloned();
        let resource_type = resource_type.ok_or_else(missing)?;
        let document = Document::stored(object(&row.doc));
        let known = columns(&document, &resource_type, &self.new.profile)?;
        let carried = match self.copy_of(tx, row, &known)? {
            Some(copy) => self.take_place(tx, row, &copy),
            None => self.insert(tx, row, &resource_type),
        };
        carried.map_err(|error| named(error, row, &known))
    }

    /// What the new directory has read of the same one already.
    fn copy_of(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        known: &Columns,
    ) -> Result<Option<ResourceRow>, ServiceError> {
        let name = match row.resource_type.as_str() {
            "User" => known.user_name_key.as_deref(),
            _ => known.display_key.as_deref(),
        };
        let (key, external_id) = (self.new.key, known.external_id.as_deref());
        let mut found = tx.hand_over_holders(key, &row.resource_type, external_id, name)?;
        found.dedup_by_key(|holder| holder.key);
        match (found.pop(), self.new.is_read && found.is_empty()) {
            (None, _) => Ok(None),
            (Some(copy), true) => Ok(Some(copy)),
            (Some(holder), false) => {
                let message =
                    format!("{} of the other directory has its externalId or its name.", holder.id);
                Err(named(AdminError::new(409, CONFLICT, message).into(), row, known))
            }
        }
    }

    fn insert(
        &mut self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        resource_type: &Arc<ResourceType>,
    ) -> Result<i64, ServiceError> {
        let (new_key, now) = (self.new.key, self.recorder.now.max(row.modified));
        let extra = row.extra.as_deref().map(object).unwrap_or_default();
        let (document, extra) = convert(&object(&row.doc), &extra, resource_type);
        let mut content = content(&document, &extra, resource_type, self.new)?;
        content.mapped = Mapped {
            custom_attributes: row.custom_attributes.clone(),
            roles: row.roles.clone(),
            ..Mapped::default()
        };
        let type_name = &resource_type.name;
        let inserted = NewRow {
            resource_type: type_name,
            id: &row.id,
            content: &content,
            app_state: row.app_state,
            now: row.created,
        };
        let keys = tx.resources_insert(new_key, &[inserted])?;
        let key = keys.first().copied().ok_or(StoreError::MissingReference)?;
        let new = ResourceRow {
            key,
            doc: content.doc.clone(),
            extra: content.extra.clone(),
            version: row.version.saturating_add(1),
            modified: now,
            ..row.clone()
        };
        tx.hand_over_write(new_key, key, carried(&new))?;
        claim(tx, new_key, key, &[], &content.columns.claims)?;
        tx.attribute_keys_change(new_key, key, &[], &content.columns.attributes)?;
        tx.count_add(new_key, type_name, row.active, 1)?;
        if let Some(name) = &content.columns.user_name_key {
            lifecycle::take_name(tx, &mut self.recorder, name)?;
        }
        tx.handed_over_put(new_key, key)?;
        self.recorder.handed_over(tx, self.old, row, &new, identity)?;
        Ok(key)
    }

    /// What was read already goes on under the id that is kept: the copy ends for the app, and what the source
    /// says from now on is about the one that is handed over.
    fn take_place(
        &mut self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        copy: &ResourceRow,
    ) -> Result<i64, ServiceError> {
        let new_key = self.new.key;
        let memberships = tx.membership_groups(new_key, copy.key)?;
        let groups = tx.resource_rows(new_key, &memberships)?;
        if copy.app_state.is_visible() {
            self.recorder.left(tx, copy, &groups, Reason::HandedOver)?;
            self.recorder.deleted(tx, copy, copy, Some(Reason::HandedOver))?;
        }
        if row.resource_type == "User" {
            self.recorder.account_gone(tx, &copy.id)?;
        }
        let new = ResourceRow {
            id: row.id.clone(),
            version: copy.version.max(row.version).saturating_add(1),
            created: row.created,
            modified: self.recorder.now.max(row.modified).max(copy.modified),
            // Nobody loses a role by a hand over; the job brings all to the map.
            roles: row.roles.clone(),
            ..copy.clone()
        };
        tx.hand_over_write(new_key, copy.key, carried(&new))?;
        tx.handed_over_put(new_key, copy.key)?;
        self.recorder.handed_over(tx, self.old, row, &new, identity)?;
        if row.resource_type != "User" {
            return self.tell_members(tx, &new).map(|()| copy.key);
        }
        if new.app_state.is_visible() {
            let had = tx.membership_groups(self.old.key, row.key)?;
            let had = tx.resource_rows(self.old.key, &had)?;
            let is_known = |group: &ResourceRow| had.iter().any(|had| had.id == group.id);
            let joined: Vec<ResourceRow> =
                groups.into_iter().filter(|group| !is_known(group)).collect();
            self.recorder.entered(tx, &new, &joined)?;
        }
        Ok(copy.key)
    }

    /// The members that were read with the copy of a group are members of the one that is handed over.
    fn tell_members(&mut self, tx: &mut Tx<'_>, group: &ResourceRow) -> Result<(), ServiceError> {
        let most = count(self.members_at_once);
        if tx.member_exceeds(self.new.key, group.key, most)? {
            let message = format!("the other directory has read more than {most} members of it.");
            return Err(AdminError::new(409, CONFLICT, message).into());
        }
        let members = tx.member_keys(self.new.key, group.key, 0, most)?;
        let added = crate::event::name::GROUP_USER_ADDED;
        self.recorder.members(tx, added, group, &members)?;
        Ok(())
    }

    /// The user is no longer in the old directory. Nobody is told: the app knows that it is in the new one.
    fn leave(&self, tx: &mut Tx<'_>, row: &ResourceRow) -> Result<(), ServiceError> {
        let key = self.old.key;
        let resource_type = self.old.registry.by_name(&row.resource_type);
        let resource_type = resource_type.ok_or_else(missing)?;
        let known = columns(&Document::stored(object(&row.doc)), resource_type, &self.old.profile)?;
        tx.membership_strip(key, row.key)?;
        tx.attribute_keys_change(key, row.key, &known.attributes, &[])?;
        tx.resource_delete(key, row.key)?;
        tx.count_add(key, &row.resource_type, row.active, -1)?;
        Ok(())
    }

    /// The next users whom SCIM has deleted and the app still sees; answers how many. One whose name somebody
    /// of the new directory has ends, as at any other time.
    fn departed(&mut self, tx: &mut Tx<'_>) -> Result<usize, ServiceError> {
        let departed = tx.departed_take(self.old.key, i64::MAX, ROWS)?;
        let number = departed.len();
        for user in departed {
            let row = lifecycle::departed_row(user.clone());
            let is_taken = tx.user_by_name(self.new.key, &user.user_name_key)?.is_some();
            lifecycle::take_name(tx, &mut self.recorder, &user.user_name_key)?;
            tx.departed_insert(self.new.key, &user)?;
            self.recorder.handed_over(tx, self.old, &row, &row, Facts::departed)?;
            if is_taken {
                lifecycle::take_name(tx, &mut self.recorder, &user.user_name_key)?;
            }
        }
        Ok(number)
    }
}

const CONFLICT: &str = "hand_over_conflict";

fn carried(row: &ResourceRow) -> Carried<'_> {
    Carried {
        id: &row.id,
        version: row.version,
        created: row.created,
        modified: row.modified,
        suspended: row.suspended,
        excluded: row.excluded,
        groupless_since: row.groupless_since,
        roles: row.roles.as_deref(),
    }
}

/// What is wrong, with the name of whom it is about, and what to do.
fn named(error: ServiceError, row: &ResourceRow, known: &Columns) -> ServiceError {
    let message = match error {
        ServiceError::Admin(error) => error.message,
        ServiceError::Scim(error) => error.detail,
        other => return other,
    };
    let name = known.user_name_key.as_ref().or(known.display_key.as_ref());
    let (kind, name) = (row.resource_type.to_lowercase(), name.map_or("", String::as_str));
    let message = format!(
        "The {kind} \"{name}\", {}, cannot be handed over: {message} Remove what is in the way there and go on, \
         or call it off.",
        row.id
    );
    AdminError::new(409, CONFLICT, message).into()
}
